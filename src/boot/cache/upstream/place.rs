//! Hosts and ports out of URLs, and where a redirect leads.

use std::fmt;

use crate::model::SourceUrl;

/// Where a URL's server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub tls: bool,
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

impl Place {
    pub fn of(url: &SourceUrl) -> Self {
        let (scheme, rest) = split(url.as_str());
        let tls = scheme == "https";
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = host_and_port(authority);
        Self {
            tls,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
        }
    }

    /// As `Host` has it: the port is left out where it is the scheme's own.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            self.bracketed()
        } else {
            self.with_port()
        }
    }

    pub fn with_port(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

/// Path and query, as a request has them.
pub fn path(url: &SourceUrl) -> String {
    let (_, rest) = split(url.as_str());
    match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('?') => format!("/{}", &rest[at..]),
        Some(at) => rest[at..].to_owned(),
        None => "/".to_owned(),
    }
}

/// RFC 3986 5.2, for what servers send: another URL, another host, a path from the root or from the same folder.
pub fn follow(from: &SourceUrl, target: &str) -> Result<SourceUrl, String> {
    let target = target.split('#').next().unwrap_or_default();
    let (scheme, rest) = split(from.as_str());
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let whole = if target.contains("://") && !target.starts_with('/') {
        target.to_owned()
    } else if let Some(other) = target.strip_prefix("//") {
        format!("{scheme}://{other}")
    } else if target.starts_with('/') {
        format!("{scheme}://{authority}{target}")
    } else {
        let path = path(from);
        let path = path.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{target}")
    };
    let parsed = whole.parse().and_then(SourceUrl::web);
    parsed.map_err(|error| error.reason)
}

fn split(url: &str) -> (&str, &str) {
    url.split_once("://").unwrap_or(("http", url))
}

/// A port that is no number is left to fail where the host is looked up.
pub fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    if let Some((host, behind)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return (
            host,
            behind.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("http://host/a?b", "http://host", "host:80", "/a?b")]
    #[test_case("https://Host:8443", "https://host:8443", "host:8443", "/"; "a port")]
    #[test_case("https://[2001:db8::1]/x", "https://[2001:db8::1]", "[2001:db8::1]:443", "/x"; "ipv6")]
    #[test_case("http://host?a=/b", "http://host", "host:80", "/?a=/b"; "no path")]
    fn a_url_is_a_place_and_a_path(url: &str, shown: &str, with_port: &str, wanted: &str) {
        let url: SourceUrl = url.parse().unwrap();
        let place = Place::of(&url);
        assert_eq!(place.to_string(), shown);
        assert_eq!(place.with_port(), with_port);
        assert_eq!(path(&url), wanted);
    }

    #[test_case("https://other/x#y", "https://other/x"; "elsewhere")]
    #[test_case("//other/x", "http://other/x"; "another host")]
    #[test_case("/x?y=z", "http://host:81/x?y=z"; "from the root")]
    #[test_case("x", "http://host:81/a/x"; "beside it")]
    fn a_redirect_is_followed(target: &str, to: &str) {
        let from: SourceUrl = "http://host:81/a/b?c=d/e".parse().unwrap();
        assert_eq!(follow(&from, target).unwrap().as_str(), to);
    }

    #[test_case("file:///etc/passwd")]
    #[test_case("http://u:p@host/")]
    #[test_case("/a b")]
    fn a_redirect_to_no_url_is_not_followed(target: &str) {
        let from: SourceUrl = "http://host/".parse().unwrap();
        assert!(follow(&from, target).is_err());
    }
}
