use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;
use test_case::test_case;

use super::*;

const SERVER: &str = "192.168.77.3:3080";

/// A person's folder and a distribution's, beside a secret that is in neither.
struct Place {
    root: TempDir,
    files: Files,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["own/x64", "own/signed", "own/deep/er", "loaders"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let (own, loaders) = (root.path().join("own"), root.path().join("loaders"));
        let files = Files::new(own, vec![loaders], Scripts::new().unwrap());
        let place = Self { root, files };
        place.write("secret", "secret");
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, name: &str) -> Result<String, Missing> {
        let opened = self.files.open(name, SERVER.parse().unwrap())?;
        let mut text = String::new();
        match opened.content {
            Content::File(mut file) => drop(file.read_to_string(&mut text).unwrap()),
            Content::Bytes(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
        }
        assert_eq!(opened.len, text.len() as u64);
        Ok(text)
    }
}

#[test]
fn the_persons_own_file_stands_before_the_distributions() {
    let place = Place::new();
    place.write("loaders/snponly.efi", "theirs");
    assert_eq!(place.read("x64/snponly.efi").unwrap(), "theirs");
    assert_eq!(place.read("snponly.efi").unwrap(), "theirs");
    place.write("own/snponly.efi", "own");
    assert_eq!(place.read("x64/snponly.efi").unwrap(), "own");
    place.write("own/x64/snponly.efi", "own, for x64");
    assert_eq!(place.read("x64/snponly.efi").unwrap(), "own, for x64");
    assert_eq!(place.read("snponly.efi").unwrap(), "own");
}

#[test]
fn beside_a_signed_shim_only_what_is_there_is_found() {
    let place = Place::new();
    place.write("loaders/ipxe.efi", "not signed");
    assert!(matches!(
        place.read("signed/ipxe.efi"),
        Err(Missing::Absent(_))
    ));
    place.write("own/signed/ipxe.efi", "signed");
    assert_eq!(place.read("signed/ipxe.efi").unwrap(), "signed");
}

#[test_case("deep/er/x", true; "the persons folders are served as they are")]
#[test_case("deep/x", false; "but not searched")]
#[test_case("other/loader", false; "a folder that is no platform is not left off")]
fn only_a_platforms_folder_is_left_off(name: &str, found: bool) {
    let place = Place::new();
    place.write("own/deep/er/x", "x");
    place.write("own/x", "x");
    place.write("loaders/loader", "x");
    assert_eq!(place.read(name).is_ok(), found);
}

#[test_case("autoexec.ipxe")]
#[test_case("x64/autoexec.ipxe")]
#[test_case("signed/autoexec.ipxe")]
#[test_case("/ipxe//boot.ipxe")]
fn a_script_is_made_for_the_address_that_was_asked(name: &str) {
    let script = Place::new().read(name).unwrap();
    assert!(script.starts_with("#!ipxe"));
    assert!(script.contains("http://192.168.77.3:3080/ipxe/"));
}

#[test]
fn a_script_of_ones_own_stands_before_ours() {
    let place = Place::new();
    place.write("own/x64/autoexec.ipxe", "#!ipxe\nshell\n");
    assert_eq!(place.read("x64/autoexec.ipxe").unwrap(), "#!ipxe\nshell\n");
}

#[test]
fn links_are_followed_inside_a_folder_and_not_out_of_it() {
    let place = Place::new();
    place.write("loaders/ipxe-amd64.efi", "loader");
    symlink("ipxe-amd64.efi", place.path("loaders/ipxe.efi")).unwrap();
    assert_eq!(place.read("x64/ipxe.efi").unwrap(), "loader");
    symlink("../secret", place.path("own/up")).unwrap();
    symlink(place.path("secret"), place.path("own/absolute")).unwrap();
    symlink(place.root.path(), place.path("own/folder")).unwrap();
    symlink("loop", place.path("own/loop")).unwrap();
    symlink("/proc/self/root", place.path("own/magic")).unwrap();
    for name in [
        "up",
        "absolute",
        "folder/secret",
        "loop",
        "magic/etc/passwd",
    ] {
        assert!(
            matches!(place.read(name), Err(Missing::Absent(_))),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_regular_file_is_not_served() {
    let place = Place::new();
    mkfifo(&place.path("own/pipe"), Mode::S_IRWXU).unwrap();
    std::os::unix::net::UnixListener::bind(place.path("own/socket")).unwrap();
    for name in ["pipe", "socket", "deep"] {
        assert!(
            matches!(place.read(name), Err(Missing::NotAFile(_))),
            "{name}"
        );
    }
}

#[test]
fn a_tag_changes_with_the_file() {
    let place = Place::new();
    let tag = || {
        let opened = place.files.open("x", SERVER.parse().unwrap());
        opened.unwrap().tag
    };
    place.write("own/x", "one");
    let first = tag();
    assert_eq!(tag(), first);
    place.write("new", "two");
    fs::rename(place.path("new"), place.path("own/x")).unwrap();
    assert_ne!(tag(), first);
}

#[test]
fn a_folder_that_is_not_there_holds_nothing() {
    let nowhere = Path::new("/nowhere").to_owned();
    let files = Files::new(nowhere.clone(), vec![nowhere], Scripts::new().unwrap());
    assert!(!files.has("x64/snponly.efi"));
    assert!(files.open("autoexec.ipxe", SERVER.parse().unwrap()).is_ok());
}

#[test_case("", NameError::Empty)]
#[test_case("//./", NameError::Empty; "only slashes")]
#[test_case("../secret", NameError::Above)]
#[test_case("a/../../secret", NameError::Above; "up from below")]
#[test_case("a/..", NameError::Above; "up at the end")]
#[test_case("..\\secret", NameError::Above; "by backslash")]
#[test_case("a\0b", NameError::Control; "a nul")]
#[test_case("a\nb", NameError::Control; "a line break")]
fn a_text_that_is_no_name_is_told_why(text: &str, why: NameError) {
    assert_eq!(text.parse::<Name>(), Err(why));
    let long = "x/".repeat(200);
    assert_eq!(long.parse::<Name>(), Err(NameError::Long));
}

#[test_case("/x64//snponly.efi", "x64/snponly.efi")]
#[test_case("./x64/./snponly.efi/", "x64/snponly.efi")]
#[test_case("\\Boot\\BCD", "Boot/BCD")]
#[test_case("...", "...")]
fn a_name_is_put_in_order(text: &str, name: &str) {
    assert_eq!(text.parse::<Name>().unwrap().as_str(), name);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_name_leaves_the_folder(parts in prop::collection::vec("(\\.|\\.\\.|/|\\\\|//|up|down|folder|secret|\\.\\.\\.|%2e|\0| ){1}", 0..12)) {
            let place = Place::new();
            symlink("..", place.path("own/up")).unwrap();
            symlink(place.root.path(), place.path("own/folder")).unwrap();
            symlink("deep", place.path("own/down")).unwrap();
            let name = parts.concat();
            if let Ok(text) = place.read(&name) {
                prop_assert_ne!(text, "secret", "{}", name);
            }
        }

        #[test]
        fn a_name_is_made_of_plain_segments(text in ".{0,80}") {
            if let Ok(name) = text.parse::<Name>() {
                let plain = |segment: &str| !matches!(segment, "" | "." | "..");
                prop_assert!(name.as_str().split('/').all(plain));
                prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
            }
        }
    }
}
