//! The images that Dragonfly keeps for machines: their names, where they come from, and what others may know of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::checksums::Proof;
use super::digest::Digest;
use super::field::{FieldError, quoted, text_field};
use super::oci::OciName;

/// Before the name of an image where a template would have a URL.
pub const SCHEME: &str = "image:";
/// Before the name of an image in its path on the machine plane.
pub const FOLDER: &str = "/images/";

/// The name of an image: letters, digits, `.`, `_`, `+` and `-`, for it becomes part of a path and of a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName(Box<str>);
text_field!(ImageName);

impl ImageName {
    /// Room enough for a version and an architecture; with its folder it fits into a header of a tar archive.
    pub const MAX: usize = 90;

    /// Where machines fetch it, below the address of the machine plane.
    pub fn path(&self) -> String {
        format!("{FOLDER}{self}")
    }
}

impl FromStr for ImageName {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let wrong = |why: String| FieldError::new("name", why, "debian-13.raw.zst");
        let length = text.chars().count();
        if length == 0 || length > Self::MAX {
            let limit = Self::MAX;
            return Err(wrong(format!(
                "an image's name has 1 to {limit} characters, not {length}"
            )));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if let Some(bad) = text.chars().find(|c| !fits(*c)) {
            let bad = quoted(&bad.to_string());
            return Err(wrong(format!(
                "{bad} is none of letters, digits, '.', '_', '+' and '-'"
            )));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(wrong(format!(
                "{} begins with neither a letter nor a digit",
                quoted(text)
            )));
        }
        Ok(Self(text.into()))
    }
}

/// Where an image is fetched from: `http://`, `https://` or, in a container registry, `oci://` and `oci+http://`; without a
/// user name, a password and a fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceUrl(Box<str>);
text_field!(SourceUrl);

impl SourceUrl {
    pub const MAX: usize = 2048;

    /// What it names in a container registry, if it does.
    pub fn oci(&self) -> Option<OciName> {
        self.0.parse().ok()
    }

    /// Itself, where it is asked by HTTP: a file beside an image, a registry, where a redirect leads.
    pub fn web(self) -> Result<Self, FieldError> {
        if OciName::is_meant(&self.0) {
            let why = format!("{} is fetched by http and https alone", quoted(&self.0));
            return Err(FieldError::new(
                "url",
                why,
                "https://images.example.net/SHA256SUMS",
            ));
        }
        Ok(self)
    }

    /// The last part of its path, for a name.
    pub fn file_name(&self) -> &str {
        let path = self.0.split('?').next().unwrap_or_default();
        let behind = path.split_once("://").map_or("", |(_, rest)| rest);
        match behind.split_once('/') {
            Some((_, path)) => path.rsplit('/').next().unwrap_or_default(),
            None => "",
        }
    }
}

impl FromStr for SourceUrl {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        url(text).map_err(|why| {
            FieldError::new("url", why, "https://images.example.net/debian-13.raw")
        })?;
        Ok(Self(text.into()))
    }
}

fn url(text: &str) -> Result<(), String> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("{} begins with neither http:// nor https://", quoted(text)))?;
    if OciName::is_meant(text) {
        text.parse::<OciName>()?;
    } else if scheme != "http" && scheme != "https" {
        return Err(format!(
            "{} is fetched by http and https alone",
            quoted(text)
        ));
    }
    if text.len() > SourceUrl::MAX {
        let limit = SourceUrl::MAX;
        return Err(format!("it is longer than {limit} bytes"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("it holds spaces or characters other than ASCII: write them as %XX".into());
    }
    if text.contains(['#', '"', '<', '>', '\\', '^', '`', '{', '}', '|']) {
        return Err("it holds a character that no URL has".into());
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("it holds a user name, which everybody could read here".into());
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err("it names no host".into());
    }
    Ok(())
}

/// What others may know of an image: where machines fetch it and, as soon as that is known, what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownImage {
    /// `/images/NAME`, below the address of the machine plane.
    pub path: String,
    pub digest: Option<Digest>,
    pub bytes: Option<u64>,
}

/// The images as whoever renders for machines sees them. Neither call waits, and neither fetches anything.
pub trait ImageShelf: fmt::Debug + Send + Sync {
    /// The image of this name.
    fn lookup(&self, name: &ImageName) -> Option<KnownImage>;

    /// The name under which machines get what lies at `url`; it is fetched when the first of them asks. The same URL
    /// and proof have the same name. Only what an admin wrote may come in here.
    fn adopt(&self, url: &str, proof: Option<&Proof>) -> Result<ImageName, FieldError>;
}

/// What a person does to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageChange {
    /// It is fetched from there, now.
    Add {
        url: SourceUrl,
        proof: Option<Proof>,
        pin: bool,
    },
    /// Its bytes came from the person.
    Upload {
        bytes: u64,
    },
    /// It came in a bundle.
    Import,
    /// It is never removed to make room.
    Pin,
    Unpin,
    Remove,
    /// What lies at its URL now takes its place.
    Refresh,
}

impl fmt::Display for ImageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { url, proof, pin } => {
                write!(f, "added from {url}")?;
                match proof {
                    Some(Proof::Checksum(checksum)) => write!(f, ", {checksum}")?,
                    Some(Proof::Checksums(checksums)) => write!(f, ", checksums {checksums}")?,
                    None => {}
                }
                f.write_str(if *pin { ", pinned" } else { "" })
            }
            Self::Upload { bytes } => write!(f, "uploaded, {bytes} bytes"),
            Self::Import => f.write_str("imported from a bundle"),
            Self::Pin => f.write_str("pinned"),
            Self::Unpin => f.write_str("unpinned"),
            Self::Remove => f.write_str("removed"),
            Self::Refresh => f.write_str("to be fetched anew"),
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("debian-13.raw.zst")]
    #[test_case("a")]
    #[test_case("0c++_x")]
    fn a_name_is_taken_as_it_is(text: &str) {
        let name: ImageName = text.parse().unwrap();
        assert_eq!(name.path(), format!("/images/{text}"));
    }

    #[test_case(""; "empty")]
    #[test_case("."; "a dot")]
    #[test_case("../x"; "upwards")]
    #[test_case("a/b"; "a slash")]
    #[test_case("-rf"; "an option")]
    #[test_case("a b"; "a space")]
    #[test_case("ä"; "not ascii")]
    #[test_case("a\n"; "a line break")]
    #[test_case(&"x".repeat(91); "too long")]
    fn what_is_no_name_is_refused_with_an_example(text: &str) {
        let error = text.parse::<ImageName>().unwrap_err();
        assert!(error.example.parse::<ImageName>().is_ok(), "{error}");
    }

    #[test_case("http://10.0.0.1/x", "x")]
    #[test_case("https://images.example.net:8443/a/b.raw?c=/d", "b.raw")]
    #[test_case("http://[::1]:80", ""; "no path")]
    #[test_case("http://host/a/", ""; "a folder")]
    fn a_url_tells_the_name_of_its_file(text: &str, name: &str) {
        let url: SourceUrl = text.parse().unwrap();
        assert_eq!((url.as_str(), url.file_name()), (text, name));
    }

    #[test_case("ftp://host/x"; "another scheme")]
    #[test_case("/etc/passwd"; "a path")]
    #[test_case("file:///etc/passwd"; "a file")]
    #[test_case("http://"; "no host")]
    #[test_case("http://:80/x"; "a port alone")]
    #[test_case("http://user:secret@host/x"; "a password")]
    #[test_case("http://host/a b"; "a space")]
    #[test_case("http://host/\r\nX: y"; "a line break")]
    #[test_case("http://host/x#y"; "a fragment")]
    fn what_cannot_be_fetched_is_refused_with_an_example(text: &str) {
        let error = text.parse::<SourceUrl>().unwrap_err();
        assert!(error.example.parse::<SourceUrl>().is_ok(), "{error}");
    }
}
