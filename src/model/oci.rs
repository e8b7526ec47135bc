//! Images in container registries: `oci://HOST[:PORT]/REPO[:TAG|@DIGEST][?arch=ARCH]`, or `oci+http://` for a registry
//! that speaks no TLS. One on this machine is asked without, as others do.

use std::fmt;
use std::str::FromStr;

use super::digest::Digest;
use super::image::SourceUrl;

/// As many characters as a repository's name may have.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// Where an image lies in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciName {
    pub tls: bool,
    /// With its port.
    pub host: String,
    pub name: String,
    pub reference: OciReference,
    /// Which of the platforms under the name is meant: `amd64` where it does not say.
    pub arch: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OciReference {
    Tag(String),
    Digest(Digest),
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl OciName {
    /// Whether an address is one of these, whatever else it is.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("oci://") || text.starts_with("oci+http://")
    }

    /// Where the registry has a manifest, or a blob.
    pub fn url(&self, kind: &str, reference: &str) -> Option<SourceUrl> {
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!(
            "{scheme}://{}/v2/{}/{kind}/{reference}",
            self.host, self.name
        );
        url.parse().ok()
    }
}

impl FromStr for OciName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let plain = text.strip_prefix("oci+http://");
        let rest = plain.or_else(|| text.strip_prefix("oci://"));
        let rest = rest.ok_or("it begins with neither oci:// nor oci+http://")?;
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(r, q)| (r, Some(q)));
        let (host, path) = rest.split_once('/').ok_or("it names no repository")?;
        let (name, reference) = if let Some((name, digest)) = path.split_once('@') {
            let digest = digest.parse().map_err(|_| "behind @ stands no digest")?;
            (name, OciReference::Digest(digest))
        } else {
            let (name, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
            if !is_tag(tag) {
                return Err("behind the last : stands no tag");
            }
            (name, OciReference::Tag(tag.to_owned()))
        };
        if host.is_empty() || host.starts_with(':') || host.contains('@') {
            return Err("it names no host");
        }
        if name.len() > MAX_NAME || !name.split('/').all(is_part) {
            return Err("its repository's name is none: lower-case letters, digits, . _ - and /");
        }
        let arch = match query {
            None => "amd64",
            Some(query) => query
                .strip_prefix("arch=")
                .filter(|arch| is_part(arch))
                .ok_or("behind ? only arch=ARCH may stand, such as arch=arm64")?,
        };
        Ok(Self {
            tls: plain.is_none() && !is_here(host),
            host: host.to_owned(),
            name: name.to_owned(),
            reference,
            arch: arch.to_owned(),
        })
    }
}

/// This machine itself.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// `[a-z0-9]+([._-]+[a-z0-9]+)*`, near enough: nothing else has a place in a path.
pub fn is_part(part: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(plain))
        && bytes.iter().all(|b| plain(b) || b"._-".contains(b))
        && !part.contains("..")
}

pub fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_TAG).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(
        "oci://r.example.net/a/b:1.0",
        "https://r.example.net/v2/a/b/manifests/1.0"
    )]
    #[test_case("oci://r.example.net:5000/a", "https://r.example.net:5000/v2/a/manifests/latest"; "no tag")]
    #[test_case("oci+http://r.example.net/a", "http://r.example.net/v2/a/manifests/latest"; "no tls")]
    #[test_case("oci://localhost:5000/a:x", "http://localhost:5000/v2/a/manifests/x"; "this machine")]
    #[test_case("oci://[::1]:5000/a:x", "http://[::1]:5000/v2/a/manifests/x"; "this machine by its address")]
    #[test_case("oci://r.example.net/a:x?arch=arm64", "https://r.example.net/v2/a/manifests/x"; "a platform")]
    fn a_name_says_where_its_manifest_is(text: &str, url: &str) {
        let name: OciName = text.parse().unwrap();
        let found = name.url("manifests", &name.reference.to_string());
        assert_eq!(found.unwrap().as_str(), url);
        assert_eq!(
            name.arch,
            if text.contains("arm64") {
                "arm64"
            } else {
                "amd64"
            }
        );
    }

    #[test_case("https://r.example.net/a"; "another scheme")]
    #[test_case("oci://r.example.net"; "no repository")]
    #[test_case("oci:///a"; "no host")]
    #[test_case("oci://u@r.example.net/a"; "a user")]
    #[test_case("oci://r.example.net/A"; "capitals")]
    #[test_case("oci://r.example.net/a/../b"; "upwards")]
    #[test_case("oci://r.example.net/a@sha256:00"; "half a digest")]
    #[test_case("oci://r.example.net/a:x?y=z"; "another query")]
    #[test_case("oci://r.example.net/a:"; "an empty tag")]
    fn what_is_no_name_is_refused(text: &str) {
        assert!(text.parse::<OciName>().is_err());
    }
}
