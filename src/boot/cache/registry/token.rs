//! Tokens: a registry that wants one says where it is had, and gives it to anybody for what is public.
//!
//! `WWW-Authenticate: Bearer realm="https://auth.example.net/token",service="registry",scope="repository:a/b:pull"`

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// No answer with a token is larger.
pub const MAX: usize = 64 * 1024;
/// As long as a token holds where nobody says so, and as it is known that none is needed.
const USUAL: i64 = 60;
/// A token is not used in its last moments.
const MARGIN: i64 = 10;

/// What a registry says about tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    pub fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let value = |name: &str| {
            let mut parts = Params(rest);
            parts.find_map(|(own, value)| own.eq_ignore_ascii_case(name).then(|| value.to_owned()))
        };
        Some(Self {
            realm: value("realm")?,
            service: value("service"),
            scope: value("scope"),
        })
    }

    /// Where the token is had.
    pub fn url(&self) -> String {
        let pairs = [("service", &self.service), ("scope", &self.scope)];
        let pairs = pairs.iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name}={}", encoded(value)))
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        let sign = if self.realm.contains('?') { '&' } else { '?' };
        format!("{}{sign}{query}", self.realm)
    }
}

/// `name="value"` with commas between; a comma may stand in a value.
struct Params<'a>(&'a str);

impl<'a> Iterator for Params<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once('=')?;
        let name = name.trim_matches([' ', ',']);
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        self.0 = rest;
        Some((name, value))
    }
}

fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut done, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            done.push(char::from(byte));
        } else {
            let _ = write!(done, "%{byte:02X}");
        }
        done
    })
}

/// A token, or the knowledge that none is needed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: Option<String>,
    until: Timestamp,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Given {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<i64>,
}

impl Token {
    pub fn none(now: Timestamp) -> Self {
        Self {
            text: None,
            until: now + SignedDuration::from_secs(USUAL),
        }
    }

    pub fn read(body: &[u8], now: Timestamp) -> Option<Self> {
        let given: Given = serde_json::from_slice(body).ok()?;
        let seconds = given.expires_in.unwrap_or(USUAL).clamp(MARGIN, 86_400) - MARGIN;
        Some(Self {
            text: Some(given.text()?),
            until: now + SignedDuration::from_secs(seconds),
        })
    }

    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }

    pub fn header(&self) -> Option<String> {
        self.text.as_deref().map(bearer)
    }
}

impl Given {
    fn text(self) -> Option<String> {
        let text = self.token.or(self.access_token)?;
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        plain.then_some(text)
    }
}

/// The header for one question, of an answer with a token in it.
pub fn header_of(body: &[u8]) -> Option<String> {
    let given: Given = serde_json::from_slice(body).ok()?;
    given.text().as_deref().map(bearer)
}

fn bearer(text: &str) -> String {
    format!("Bearer {text}")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(
        r#"Bearer realm="https://auth.example.net/token",service="registry.example.net",scope="repository:a/b:pull,push""#,
        "https://auth.example.net/token?service=registry.example.net&scope=repository:a/b:pull%2Cpush"; "all")]
    #[test_case(r#"bearer realm="http://a/t?x=y", service=z"#, "http://a/t?x=y&service=z"; "without quotes")]
    fn a_challenge_tells_where_the_token_is(text: &str, url: &str) {
        assert_eq!(Challenge::read(text).unwrap().url(), url);
    }

    #[test_case("Basic realm=\"x\""; "another scheme")]
    #[test_case("Bearer service=\"x\""; "no realm")]
    #[test_case("Bearer realm=\"x"; "half a realm")]
    fn what_asks_for_something_else_is_no_challenge(text: &str) {
        assert_eq!(Challenge::read(text), None);
    }

    #[test_case(r#"{"token":"abc"}"#, Some(50); "the usual time")]
    #[test_case(r#"{"access_token":"abc","expires_in":300}"#, Some(290); "its own")]
    #[test_case(r#"{"token":"a b"}"#, None; "with a space")]
    #[test_case("[]", None; "another shape")]
    fn a_token_holds_for_a_while(body: &str, seconds: Option<i64>) {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let token = Token::read(body.as_bytes(), now);
        let held = token
            .as_ref()
            .map(|token| token.until.duration_since(now).as_secs());
        assert_eq!(held, seconds);
        assert!(token.is_none_or(|token| token.header().as_deref() == Some("Bearer abc")));
    }
}
