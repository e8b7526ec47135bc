//! The Debian mirror that this machine's apt is configured with, for the machines of a lab, under its own name: a host
//! of the lab answers for that name and passes on what is asked of it. Who it is, is read when it is needed.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs},
    process::Command,
    time::Duration,
};

use super::{Lab, LabError, Process, error::Doing, forward, forward::Forward, net, tools::output};

const HOST: &str = "mirror";
/// Where it is in the lab.
const ADDRESS: Ipv4Addr = net::address(60);
/// The line by which the foreign dnsmasq tells its clients whom to ask for names.
pub const NAMES: &str = "dhcp-option=option:dns-server,192.168.77.60\n";
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// A mirror as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    folder: String,
}

/// A mirror in a lab; dropping it ends the way to it.
#[derive(Debug)]
pub struct Mirror {
    /// As a machine of the lab reaches it, without a slash at its end.
    pub url: String,
    _way: Forward,
    _names: Process,
}

impl Lab {
    /// Brings the mirror into the lab, if it has what is asked for: a path below it, such as `dists/trixie/InRelease`.
    /// Its machines learn its name where the foreign server was started with [`NAMES`].
    pub fn mirror(&self, path: &str) -> Result<Mirror, LabError> {
        let place = Place::of_this_machine()?;
        place.check(path)?;
        let host = self.add_host(HOST, Some(ADDRESS))?;
        let listen = SocketAddr::from((ADDRESS, place.port));
        let way = Forward::outward(&host.netns, listen, (place.host.clone(), place.port))?;
        let mut names = self.tools().command("dnsmasq")?;
        names.args(["--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
        names.args(["--keep-in-foreground", "--log-facility=-", "--pid-file"]);
        names.args(["--user=root", "--group=root"]);
        names.arg(format!("--address=/{}/{ADDRESS}", place.host));
        let names = self.spawn("names", &host, &names)?;
        names.wait_log(self.stop(), "started", STARTS_WITHIN)?;
        Ok(Mirror {
            url: place.url(),
            _way: way,
            _names: names,
        })
    }
}

impl Place {
    fn of_this_machine() -> Result<Place, LabError> {
        let mut proxy = Command::new("apt-config");
        proxy.args(["shell", "via", "Acquire::http::Proxy"]);
        let mut targets = Command::new("apt-get");
        targets.args([
            "indextargets",
            "--format",
            "$(ORIGIN)|$(REPO_URI)",
            "Created-By: Packages",
        ]);
        let proxy = output(proxy, "apt-config").map_err(|_| lacking("apt"))?;
        if !proxy.trim().is_empty() {
            return Err(lacking("Debian mirror that apt needs no proxy for"));
        }
        let targets = output(targets, "apt-get indextargets")?;
        let known = targets.lines().filter_map(|line| line.split_once('|'));
        known
            .filter(|(origin, _)| *origin == "Debian")
            .find_map(|(_, url)| Place::parse(url).filter(Place::has_releases))
            .ok_or_else(|| lacking("Debian mirror with plain http among apt's sources"))
    }

    fn parse(url: &str) -> Option<Place> {
        let (at, folder) = url.strip_prefix("http://")?.split_once('/')?;
        let (host, port) = at.split_once(':').unwrap_or((at, "80"));
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        (!host.is_empty() && host.chars().all(plain)).then_some(Place {
            host: host.to_owned(),
            port: port.parse().ok()?,
            folder: folder.trim_end_matches('/').to_owned(),
        })
    }

    /// Not only security updates.
    fn has_releases(&self) -> bool {
        !self.folder.ends_with("security")
    }

    fn url(&self) -> String {
        format!("http://{}/{}", self.authority(), self.folder)
    }

    fn authority(&self) -> String {
        match self.port {
            80 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    fn check(&self, path: &str) -> Result<(), LabError> {
        let asked = || format!("ask the Debian mirror of this machine for {path}");
        let Place { host, port, folder } = self;
        let answer = (host.as_str(), *port)
            .to_socket_addrs()
            .and_then(forward::connect_to)
            .and_then(|mut stream| {
                stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
                write!(
                    stream,
                    "GET /{folder}/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                    self.authority()
                )?;
                let mut head = [0; 12];
                stream.read_exact(&mut head)?;
                Ok(head)
            })
            .doing(asked)
            .map_err(|error| lacking(&format!("Debian mirror that answers ({error})")))?;
        if answer.ends_with(b" 200") {
            return Ok(());
        }
        Err(lacking(&format!("Debian mirror with {path}")))
    }
}

fn lacking(what: &str) -> LabError {
    LabError::Lacking {
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(
        "http://deb.example.net/debian/",
        Some("http://deb.example.net/debian")
    )]
    #[test_case(
        "http://deb.example.net:8080/a/debian",
        Some("http://deb.example.net:8080/a/debian")
    )]
    #[test_case("https://deb.example.net/debian/", None; "what a forward cannot pass on")]
    #[test_case("http://deb.example.net", None; "no folder")]
    #[test_case("http://:80/debian", None; "no host")]
    #[test_case("http://[2001:db8::1]/debian", None; "no name")]
    fn a_mirror_is_read_off_its_address(url: &str, is: Option<&str>) {
        let place = Place::parse(url);
        assert_eq!(place.map(|place| place.url()).as_deref(), is);
    }

    #[test]
    fn a_mirror_of_security_updates_alone_has_no_releases() {
        let place = |url| Place::parse(url).unwrap();
        assert!(place("http://deb.example.net/debian/").has_releases());
        assert!(!place("http://deb.example.net/debian-security/").has_releases());
    }

    #[test]
    fn the_line_for_the_foreign_server_names_its_address() {
        assert!(NAMES.trim().ends_with(&ADDRESS.to_string()));
    }
}
