//! Ubuntu's installer: a tree below `autoinstall` in cloud-init's user data. What the system is to become at its first
//! start is cloud-init's own.

use serde_json::{Value, json};

use super::{AnswersError, Questions, disk, words};
use crate::model::yaml::to_yaml;
use crate::provision::first_boot::{network_config, user_data};

pub(super) fn autoinstall(questions: &Questions<'_>) -> Result<String, AnswersError> {
    let (machine, defaults) = (questions.machine, questions.defaults);
    let mut layout = json!({ "name": "direct" });
    if let Some(disk) = disk(questions)? {
        layout["match"] = json!({ "path": disk });
    }
    let mut tree = json!({
        "version": 1,
        "keyboard": { "layout": "us" },
        "network": network_config(machine, defaults),
        "storage": { "layout": layout },
        "ssh": { "install-server": true, "allow-pw": defaults.password_hash.is_some() },
        "packages": words::packages(questions, &["curl"])?,
        "user-data": user_data(machine, defaults),
        "late-commands": late(questions),
        "shutdown": "reboot",
    });
    if let Some(locale) = &defaults.locale {
        tree["locale"] = json!(locale);
    }
    if let Some(source) = words::source(questions)? {
        tree["apt"] = json!({ "primary": [{ "arches": ["default"], "uri": source }] });
    }
    let text = to_yaml(&json!({ "autoinstall": tree }));
    Ok(format!("#cloud-config\n{text}"))
}

/// Each is a list of words, so that no shell stands between.
fn late(questions: &Questions<'_>) -> Value {
    const SCRIPT: &str = "/root/dragonfly-finish";
    let inside = format!("/target{SCRIPT}");
    json!([
        ["wget", "-q", "-O", inside, questions.links.finish],
        [
            "curtin",
            "in-target",
            "--target=/target",
            "--",
            "sh",
            SCRIPT
        ],
        ["rm", inside],
        ["wget", "-q", "-O", "/dev/null", questions.links.installed],
    ])
}
