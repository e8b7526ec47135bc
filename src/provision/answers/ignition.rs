//! Fedora `CoreOS` and Flatcar: JSON that is applied once, before the first start is over. There is no installer that
//! could run a script, so all of it stands here.

use serde_json::{Value, json};

use super::finish::{UNIT_NAME, unit};
use super::{AnswersError, Questions, has_own_network};
use crate::provision::first_boot::OwnName;

const VERSION: &str = "3.3.0";

pub(super) fn ignition(questions: &Questions<'_>) -> Result<String, AnswersError> {
    if has_own_network(questions.machine) {
        return Err(AnswersError::Unable {
            kind: "ignition",
            what: "address, VLAN or bond of the machine's own",
        });
    }
    if !questions.installer.packages.trim().is_empty() {
        return Err(AnswersError::Unable {
            kind: "ignition",
            what: "packages",
        });
    }
    let defaults = questions.defaults;
    let mut user = json!({ "name": defaults.user(), "groups": ["wheel", "sudo"] });
    if let Some(hash) = &defaults.password_hash {
        user["passwordHash"] = json!(hash);
    }
    if !defaults.ssh_keys.is_empty() {
        user["sshAuthorizedKeys"] = json!(defaults.ssh_keys);
    }
    let hostname = format!("{}\n", OwnName::of(questions.machine).full());
    let sudo = format!("{} ALL=(ALL) NOPASSWD:ALL\n", defaults.user());
    let tree = json!({
        "ignition": { "version": VERSION },
        "passwd": { "users": [user] },
        "storage": { "files": [
            file("/etc/hostname", 0o644, &hostname),
            file("/etc/sudoers.d/90-dragonfly", 0o440, &sudo),
        ] },
        "systemd": { "units": [{
            "name": UNIT_NAME,
            "enabled": true,
            "contents": unit(&questions.links.home),
        }] },
    });
    Ok(format!("{tree:#}\n"))
}

fn file(path: &str, mode: u32, content: &str) -> Value {
    json!({ "path": path, "mode": mode, "overwrite": true, "contents": { "source": data_url(content) } })
}

/// RFC 2397, with everything escaped that is no letter, digit or one of `-._~`.
fn data_url(content: &str) -> String {
    let escaped = content.bytes().map(|b| match b {
        b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    });
    format!("data:,{}", escaped.collect::<String>())
}
