//! GRUB's way to start something else once: an entry of its menu, and the variable `next_entry` in its environment
//! block, which the menu of every distribution looks at first and then forgets.
//!
//! ```text
//! # GRUB Environment Block\n | name=value\n … | ####… up to 1024 bytes
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Where iPXE is kept, as GRUB names it.
pub const IPXE: &str = "/boot/dragonfly-ipxe.lkrn";
/// The entry's name, for `next_entry`.
const ENTRY: &str = "dragonfly-network";
const FOLDERS: [&str; 2] = ["/boot/grub", "/boot/grub2"];
const SIGNATURE: &str = "# GRUB Environment Block\n";
const SIZE: usize = 1024;
const BEGIN: &str = "### BEGIN dragonfly ###\n";
const END: &str = "### END dragonfly ###\n";

/// The folder that a system's GRUB reads, inside of that system.
pub fn folder(root: &Path) -> Option<&'static str> {
    FOLDERS
        .into_iter()
        .find(|folder| under(root, folder).join("grub.cfg").exists())
}

/// Whether everything is there that a start from the network needs.
pub(super) fn is_ready(root: &Path) -> bool {
    let menu = folder(root).map(|folder| {
        fs::read_to_string(under(root, folder).join("custom.cfg")).unwrap_or_default()
    });
    menu.is_some_and(|menu| menu.contains(ENTRY)) && under(root, IPXE).exists()
}

/// Has GRUB start iPXE at the next start, once.
pub(super) fn boot_ipxe_once(root: &Path) -> io::Result<()> {
    let folder = folder(root)
        .filter(|_| is_ready(root))
        .ok_or_else(|| io::Error::other("GRUB has no entry that starts iPXE"))?;
    let path = under(root, folder).join("grubenv");
    // In place: GRUB itself writes to the blocks that the file has, and knows no other file.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    let mut block = Vec::new();
    (&mut file).take(64 * 1024).read_to_end(&mut block)?;
    let block = with(&block, "next_entry", ENTRY)?;
    file.rewind()?;
    file.write_all(&block)?;
    file.set_len(SIZE as u64)?;
    file.sync_all()
}

/// A menu with our entry in it, once.
pub fn with_entry(menu: &str) -> String {
    let mut text = match (menu.find(BEGIN), menu.find(END)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{}", &menu[..from], &menu[to + END.len()..])
        }
        _ => menu.to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    // The file lies on the file system of the root, or on that of /boot.
    let entry = format!(
        "{BEGIN}menuentry 'Network (Dragonfly)' --id {ENTRY} {{
    if search --no-floppy --file --set=root {IPXE} ; then
        linux16 {IPXE}
    else
        search --no-floppy --file --set=root {short}
        linux16 {short}
    fi
}}
{END}",
        short = IPXE.trim_start_matches("/boot")
    );
    text + &entry
}

fn under(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The block with one variable set; what else is in it stays.
fn with(block: &[u8], name: &str, value: &str) -> io::Result<Vec<u8>> {
    let text = String::from_utf8_lossy(block);
    let lines = text.strip_prefix(SIGNATURE).unwrap_or_default().lines();
    let kept = lines.filter(|line| {
        !line.starts_with('#') && line.split_once('=').is_some_and(|(known, _)| known != name)
    });
    let mut text = String::from(SIGNATURE);
    for line in kept.map(str::to_owned).chain([format!("{name}={value}")]) {
        text.push_str(&line);
        text.push('\n');
    }
    let mut bytes = text.into_bytes();
    if bytes.len() > SIZE {
        return Err(io::Error::other("GRUB's environment block is full"));
    }
    bytes.resize(SIZE, b'#');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn system(folder: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join(folder);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("grub.cfg"), "").unwrap();
        fs::write(place.join("custom.cfg"), with_entry("")).unwrap();
        fs::write(root.path().join(&IPXE[1..]), "").unwrap();
        root
    }

    #[test_case("boot/grub")]
    #[test_case("boot/grub2")]
    fn the_next_start_is_written_where_grub_reads_it(folder: &str) {
        let root = system(folder);
        let path = root.path().join(folder).join("grubenv");
        let before = format!("{SIGNATURE}saved_entry=abc\nnext_entry=old\n");
        fs::write(
            &path,
            format!("{before}{}", "#".repeat(SIZE - before.len())),
        )
        .unwrap();
        assert!(is_ready(root.path()));
        boot_ipxe_once(root.path()).unwrap();
        let block = fs::read_to_string(path).unwrap();
        let expected = format!("{SIGNATURE}saved_entry=abc\nnext_entry={ENTRY}\n");
        assert_eq!(
            block,
            format!("{expected}{}", "#".repeat(SIZE - expected.len()))
        );
    }

    #[test]
    fn a_system_without_our_entry_is_not_ready() {
        let root = system("boot/grub");
        fs::write(root.path().join("boot/grub/custom.cfg"), "").unwrap();
        assert!(!is_ready(root.path()));
        assert!(boot_ipxe_once(root.path()).is_err());
        assert_eq!(folder(Path::new("/nowhere")), None);
    }

    #[test_case(b""; "nothing")]
    #[test_case(&[0xff; 4096]; "garbage")]
    #[test_case(b"next_entry=x"; "without its head")]
    fn a_block_that_is_none_becomes_one(block: &[u8]) {
        let block = with(block, "next_entry", "x").unwrap();
        assert!(block.starts_with(b"# GRUB Environment Block\nnext_entry=x\n#"));
        assert_eq!(block.len(), SIZE);
    }

    #[test]
    fn a_full_block_is_left_alone() {
        let block = format!("{SIGNATURE}a={}\n", "x".repeat(1000));
        assert!(with(block.as_bytes(), "next_entry", "x").is_err());
    }

    #[test]
    fn a_persons_own_menu_stays_and_ours_is_there_once() {
        let menu = with_entry(&with_entry("menuentry 'mine' { true }"));
        assert!(menu.starts_with("menuentry 'mine' { true }\n### BEGIN"));
        assert_eq!(menu.matches("menuentry").count(), 2);
    }
}
