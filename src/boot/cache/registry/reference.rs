//! What a client of a registry asks for: `ALIAS/NAME/manifests/REFERENCE` or `ALIAS/NAME/blobs/DIGEST`, as the
//! distribution specification spells them.

use std::fmt;
use std::str::FromStr;

use crate::model::digest::DigestKind;
use crate::model::oci::{is_part, is_tag};
use crate::model::{Digest, SourceUrl};

const MAX_NAME: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub alias: String,
    pub name: String,
    pub item: Item,
    pub reference: Reference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Manifest,
    Blob,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Digest(Digest),
    Tag(String),
}

impl Wanted {
    /// Where the registry has it, by its tag or digest.
    pub fn url(&self, base: &SourceUrl, reference: &str) -> String {
        let base = base.as_str().trim_end_matches('/');
        format!("{base}/v2/{}/{}/{reference}", self.name, self.item.word())
    }
}

impl Item {
    const fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifests",
            Self::Blob => "blobs",
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alias, name, .. } = self;
        match &self.reference {
            Reference::Digest(digest) => write!(f, "{alias}/{name}@{digest}"),
            Reference::Tag(tag) => write!(f, "{alias}/{name}:{tag}"),
        }
    }
}

impl FromStr for Wanted {
    type Err = &'static str;

    fn from_str(path: &str) -> Result<Self, &'static str> {
        const NONE: &str = "ask for ALIAS/NAME/manifests/REFERENCE or ALIAS/NAME/blobs/DIGEST";
        let (alias, rest) = path.split_once('/').ok_or(NONE)?;
        let (rest, reference) = rest.rsplit_once('/').ok_or(NONE)?;
        let (name, item) = rest.rsplit_once('/').ok_or(NONE)?;
        let item = match item {
            "manifests" => Item::Manifest,
            "blobs" => Item::Blob,
            _ => return Err(NONE),
        };
        if name.len() > MAX_NAME || !name.split('/').all(is_part) {
            return Err("that is no name of a repository");
        }
        let reference = match (reference.contains(':'), item) {
            (true, _) => {
                let digest = reference.parse::<Digest>().ok();
                let digest = digest.filter(|digest| digest.kind() == DigestKind::Sha256);
                Reference::Digest(digest.ok_or("only digests of SHA-256 are served")?)
            }
            (false, Item::Manifest) if is_tag(reference) => Reference::Tag(reference.to_owned()),
            _ => return Err("that is neither a digest nor a tag"),
        };
        Ok(Self {
            alias: alias.to_owned(),
            name: name.to_owned(),
            item,
            reference,
        })
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const SUM: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test_case("hub/library/debian/manifests/13.1", "hub/library/debian:13.1")]
    #[test_case(&format!("hub/a/blobs/{SUM}"), &format!("hub/a@{SUM}"); "a blob")]
    #[test_case(&format!("hub/a/manifests/{SUM}"), &format!("hub/a@{SUM}"); "a manifest by digest")]
    #[test_case("hub/manifests/manifests/manifests", "hub/manifests:manifests"; "a name like the word")]
    fn a_path_is_read(path: &str, shown: &str) {
        let wanted: Wanted = path.parse().unwrap();
        assert_eq!(wanted.to_string(), shown);
        let base: SourceUrl = "https://registry.example.net/".parse().unwrap();
        let (_, rest) = path.split_once('/').unwrap();
        let reference = rest.rsplit('/').next().unwrap();
        assert_eq!(
            wanted.url(&base, reference),
            format!("https://registry.example.net/v2/{rest}")
        );
    }

    #[test_case("hub"; "nothing")]
    #[test_case("hub/manifests/x"; "no name")]
    #[test_case("hub/a/tags/list"; "another item")]
    #[test_case("hub/A/manifests/x"; "capitals")]
    #[test_case("hub/a/../b/manifests/x"; "upwards")]
    #[test_case("hub/a?x=y/manifests/x"; "a query")]
    #[test_case("hub/a/blobs/latest"; "a blob by tag")]
    #[test_case("hub/a/manifests/-x"; "a tag that is none")]
    #[test_case("hub/a/manifests/sha256:00"; "a digest that is none")]
    fn what_cannot_be_asked_is_refused(path: &str) {
        assert!(path.parse::<Wanted>().is_err());
    }
}
