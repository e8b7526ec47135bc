//! Where a daemon is looked for.

use std::fmt;
use std::path::PathBuf;

use super::failure::Failure;

/// The socket of an installed daemon.
pub const SOCKET: &str = "/run/dragonfly/dragonfly.sock";
/// Where a demo answers, which has no socket because it writes nothing.
pub const LOOPBACK: &str = "127.0.0.1:3000";

/// One place where a daemon may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Unix(PathBuf),
    /// Host and port, as they stand in a URL.
    Tcp(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

/// The variables of the environment that have a say.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub server: Option<String>,
    pub socket: Option<String>,
}

impl Environment {
    pub fn of_process() -> Self {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            server: read("DRAGONFLY_SERVER"),
            socket: read("DRAGONFLY_SOCKET"),
        }
    }
}

/// The places to try, in order. A place that somebody named is the only one.
pub fn places(flag: Option<&str>, env: &Environment) -> Result<Vec<Target>, Failure> {
    if let Some(named) = flag {
        return Ok(vec![parse(named, "--server")?]);
    }
    if let Some(named) = &env.server {
        return Ok(vec![parse(named, "DRAGONFLY_SERVER")?]);
    }
    if let Some(socket) = &env.socket {
        return Ok(vec![Target::Unix(socket.into())]);
    }
    Ok(vec![
        Target::Unix(SOCKET.into()),
        Target::Tcp(LOOPBACK.into()),
    ])
}

/// Reads `http://HOST[:PORT]`, `HOST:PORT`, `unix:PATH` or a path with a slash.
fn parse(text: &str, origin: &str) -> Result<Target, Failure> {
    let wrong = |reason: &str| {
        Failure::usage(format!("{origin} '{text}': {reason}")).field(
            "server",
            "http://127.0.0.1:3000, or unix:/run/dragonfly/dragonfly.sock",
        )
    };
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err(wrong("the path is missing"))
        } else {
            Ok(Target::Unix(path.into()))
        };
    }
    if text.starts_with('/') || text.starts_with("./") {
        return Ok(Target::Unix(text.into()));
    }
    if text.starts_with("https:") {
        return Err(wrong(
            "Dragonfly speaks plain HTTP on this machine only, so there is no https to ask",
        ));
    }
    let rest = text
        .strip_prefix("http://")
        .unwrap_or(text)
        .trim_end_matches('/');
    if rest.contains("://") {
        return Err(wrong("only http:// and unix: are understood"));
    }
    if rest.contains('/') {
        return Err(wrong("nothing may follow the port"));
    }
    if !rest.contains("://") && !text.starts_with("http://") && !rest.contains(':') {
        return Err(wrong("it is neither a URL nor a path"));
    }
    let authority: hyper::http::uri::Authority = rest
        .parse()
        .map_err(|_| wrong("the host or the port cannot be read"))?;
    if authority.host().is_empty() || rest.contains('@') {
        return Err(wrong("the host cannot be read"));
    }
    let port_told = rest != authority.host();
    if port_told && authority.port_u16().is_none_or(|port| port == 0) {
        return Err(wrong("the port has to lie between 1 and 65535"));
    }
    Ok(Target::Tcp(if port_told {
        rest.into()
    } else {
        format!("{rest}:80")
    }))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("http://127.0.0.1:3000", "http://127.0.0.1:3000")]
    #[test_case("http://localhost:3001/", "http://localhost:3001")]
    #[test_case("localhost:3001", "http://localhost:3001")]
    #[test_case("http://[::1]:3000", "http://[::1]:3000")]
    #[test_case("http://rack", "http://rack:80")]
    #[test_case("unix:/tmp/d.sock", "/tmp/d.sock")]
    #[test_case("unix:///tmp/d.sock", "/tmp/d.sock")]
    #[test_case("/tmp/d.sock", "/tmp/d.sock")]
    fn a_place_is_read_from_a_url_or_a_path(text: &str, place: &str) {
        assert_eq!(parse(text, "--server").unwrap().to_string(), place);
    }

    #[test_case("")]
    #[test_case("rack")]
    #[test_case("unix:")]
    #[test_case("https://127.0.0.1:3000")]
    #[test_case("ftp://127.0.0.1")]
    #[test_case("http://127.0.0.1:99999")]
    #[test_case("http://127.0.0.1:")]
    #[test_case("http://")]
    #[test_case("http://127.0.0.1:3000/api")]
    #[test_case("http://ada@127.0.0.1:3000")]
    fn a_wrong_place_is_a_wrong_usage_with_an_example(text: &str) {
        let failure = parse(text, "--server").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(
            failure
                .lines()
                .iter()
                .any(|line| line.contains("unix:/run")),
            "{failure:?}"
        );
    }

    #[test]
    fn what_is_named_is_the_only_place_and_otherwise_the_socket_comes_before_loopback() {
        let env = Environment {
            server: Some("/a".into()),
            socket: Some("/b".into()),
        };
        let shown = |places: Vec<Target>| places.iter().map(Target::to_string).collect::<Vec<_>>();
        assert_eq!(shown(places(Some("/c"), &env).unwrap()), ["/c"]);
        assert_eq!(shown(places(None, &env).unwrap()), ["/a"]);
        let env = Environment {
            server: None,
            ..env
        };
        assert_eq!(shown(places(None, &env).unwrap()), ["/b"]);
        let all = shown(places(None, &Environment::default()).unwrap());
        assert_eq!(all, [SOCKET, "http://127.0.0.1:3000"]);
    }
}
