//! The installed system's unit: this very program, put into that system with what it has to know, and started by it.
//!
//! It tells the server that the system runs, and can have its next start come from the network. On UEFI the firmware
//! does that; a BIOS machine gets an iPXE of its own beside GRUB, since no BIOS can be asked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::target::Mounted;
use super::{ActionError, Context, Control, efi, inside};
use crate::agent::home::grub;
use crate::agent::http::{Fetch, Url};
use crate::model::action::CallHome;

const PROGRAM: &str = "/usr/lib/dragonfly/dragonfly-agent";
/// Where the unit reads who and where the server is.
pub const HOME: &str = "/etc/dragonfly/home.json";
const UNIT: &str = "/etc/systemd/system/dragonfly-home.service";
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";
const OPENRC: &str = "/etc/init.d/dragonfly-home";
/// An iPXE that GRUB starts like a kernel.
const IPXE: &str = "boot/bios/ipxe.lkrn";
const IPXE_BYTES: u64 = 8 << 20;

const SYSTEMD: &str = "[Unit]
Description=Tells Dragonfly that this system runs, and takes its orders
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/lib/dragonfly/dragonfly-agent home
Restart=on-failure
RestartSec=30
UMask=0077

[Install]
WantedBy=multi-user.target
";
const RC: &str = "#!/sbin/openrc-run
description=\"Tells Dragonfly that this system runs, and takes its orders\"
command=/usr/lib/dragonfly/dragonfly-agent
command_args=home
command_background=true
pidfile=/run/dragonfly-home.pid
depend() { need net; }
";

pub(super) fn install(
    wanted: &CallHome,
    context: &Context,
    control: &Control,
) -> Result<String, ActionError> {
    let home = wanted
        .home
        .as_ref()
        .ok_or_else(|| ActionError::Other("the order does not say where home is".into()))?;
    let json =
        serde_json::to_vec_pretty(home).map_err(|error| ActionError::Other(error.to_string()))?;
    let own = Path::new("/proc/self/exe");
    let program = fs::read(own).map_err(ActionError::at(own))?;
    let mounted = Mounted::open(context, control, &wanted.place)?;
    let unit = put(mounted.root(), &program, &json).map_err(ActionError::io("the unit"))?;
    let mut told = format!("{unit}, {} KiB", program.len() >> 10);
    if !Path::new(efi::VARIABLES).exists() {
        // Without it the system still calls home; only its next start cannot be made one from the network.
        match bios(&mounted, context, control) {
            Ok(()) => told.push_str(", and an iPXE for GRUB"),
            Err(error) => {
                context.log.say(format!("no iPXE for GRUB: {error}"));
                told.push_str(", without an iPXE for GRUB");
            }
        }
    }
    mounted.close()?;
    Ok(told)
}

/// Writes program, knowledge and unit; which kind of unit it is.
fn put(root: &Path, program: &[u8], json: &[u8]) -> std::io::Result<&'static str> {
    inside::write(root, Path::new(PROGRAM), program, 0o755, 0o755)?;
    inside::write(root, Path::new(HOME), json, 0o600, 0o755)?;
    let openrc = inside::resolve(root, Path::new("/sbin/openrc-run"))?.exists();
    if openrc {
        inside::write(root, Path::new(OPENRC), RC.as_bytes(), 0o755, 0o755)?;
        link(root, "/etc/runlevels/default", "dragonfly-home", OPENRC)?;
        return Ok("an OpenRC service");
    }
    inside::write(root, Path::new(UNIT), SYSTEMD.as_bytes(), 0o644, 0o755)?;
    link(root, WANTS, "dragonfly-home.service", UNIT)?;
    Ok("a systemd unit")
}

fn link(root: &Path, folder: &str, name: &str, to: &str) -> std::io::Result<()> {
    let link = inside::make_folder(root, Path::new(folder), 0o755)?.join(name);
    let _ = fs::remove_file(&link);
    symlink(to, link)
}

fn bios(mounted: &Mounted, context: &Context, control: &Control) -> Result<(), ActionError> {
    let folder = grub::folder(mounted.root())
        .ok_or_else(|| ActionError::Other("the system has no GRUB".into()))?;
    let text = format!("http://{}/{IPXE}", context.files);
    let url: Url = text
        .parse()
        .map_err(|error| ActionError::Other(format!("{text}: {error}")))?;
    let bytes = fetch(url, control)?;
    let write = |path: &str, bytes: &[u8]| {
        inside::write(mounted.root(), Path::new(path), bytes, 0o644, 0o755)
            .map_err(ActionError::io(path))
    };
    write(grub::IPXE, &bytes)?;
    let menu = format!("{folder}/custom.cfg");
    let place =
        inside::resolve(mounted.root(), Path::new(&menu)).map_err(ActionError::io(&menu))?;
    let before = fs::read_to_string(place).unwrap_or_default();
    write(&menu, grub::with_entry(&before).as_bytes()).map(drop)
}

fn fetch(url: Url, control: &Control) -> Result<Vec<u8>, ActionError> {
    let failed = |error: crate::agent::http::HttpError| ActionError::Other(error.to_string());
    let mut fetch = Fetch::open(url, control).map_err(failed)?;
    let length = usize::try_from(fetch.length().min(IPXE_BYTES)).unwrap_or(0);
    let mut bytes = vec![0; length];
    let read = fetch.fill(&mut bytes).map_err(failed)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn text(root: &Path, path: &str) -> String {
        fs::read_to_string(root.join(path)).unwrap()
    }

    #[test]
    fn a_system_gets_a_unit_that_is_on_and_keeps_its_secret() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            assert_eq!(
                put(root.path(), b"program", b"{}").unwrap(),
                "a systemd unit"
            );
        }
        let secret = fs::metadata(root.path().join("etc/dragonfly/home.json")).unwrap();
        assert_eq!(secret.permissions().mode() & 0o777, 0o600);
        let program = fs::metadata(root.path().join("usr/lib/dragonfly/dragonfly-agent")).unwrap();
        assert_eq!(program.permissions().mode() & 0o777, 0o755);
        let link = fs::read_link(
            root.path()
                .join("etc/systemd/system/multi-user.target.wants/dragonfly-home.service"),
        );
        assert_eq!(link.unwrap(), Path::new(UNIT));
        assert!(text(root.path(), &UNIT[1..]).contains(&format!("ExecStart={PROGRAM} home\n")));
    }

    #[test]
    fn a_system_of_openrc_gets_a_service() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sbin")).unwrap();
        fs::write(root.path().join("sbin/openrc-run"), "").unwrap();
        assert_eq!(
            put(root.path(), b"program", b"{}").unwrap(),
            "an OpenRC service"
        );
        assert_eq!(
            fs::read_link(root.path().join("etc/runlevels/default/dragonfly-home")).unwrap(),
            Path::new(OPENRC)
        );
        assert!(text(root.path(), &OPENRC[1..]).starts_with("#!/sbin/openrc-run\n"));
    }
}
