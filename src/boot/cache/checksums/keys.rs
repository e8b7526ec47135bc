//! The keys of vendors that come with Dragonfly: the files of `catalogue/keys/`, whose README says where each is from.

macro_rules! keys {
    ($($name:literal)*) => {
        const KEYS: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../../catalogue/keys/", $name, ".asc"))),)*
        ];
    };
}

keys! {
    "alma-9"
    "fedora-43"
    "rocky-10"
    "ubuntu-cloudimage"
}

/// The file of this name; a name that is none is refused before it comes here.
pub fn shipped(name: &str) -> &'static str {
    let found = KEYS.iter().find(|(own, _)| *own == name);
    found.map_or("", |(_, file)| *file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::boot::cache::openpgp::Keyring;
    use crate::model::SigningKey;

    /// As the README of the folder tells them.
    const FINGERPRINTS: [&str; 4] = [
        "bf18ac2876178908d6e71267d36cb86cb86b3716",
        "c6e7f081cf80e13146676e88829b606631645531",
        "fc226859c0860bf0ddb95b085b106c736fedfc85",
        "d2eb44626fddc30b513d5bb71a5d6c4c7db87c81",
    ];

    #[test]
    fn every_key_of_the_folder_is_the_one_that_its_readme_tells() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue/keys");
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        for ((name, file), fingerprint) in KEYS.iter().zip(FINGERPRINTS) {
            let ring = Keyring::read(file.as_bytes()).unwrap();
            let keys: Vec<_> = ring.iter().map(|key| key.fingerprint.as_str()).collect();
            assert_eq!(keys, [fingerprint], "{name}");
            let shown = fingerprint.to_uppercase();
            assert!(
                page.contains(&format!("| `{name}` | `{shown}` |")),
                "{name}"
            );
        }
        let names: Vec<_> = KEYS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, SigningKey::NAMES);
        let files = fs::read_dir(folder).unwrap();
        assert_eq!(files.count(), KEYS.len() + 1, "the keys and their README");
    }
}
