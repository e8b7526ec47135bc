//! The Debian mirror that this machine's apt is configured with, for the machines of a lab, under its own name: a host
//! of the lab answers for that name and passes on what is asked of it. Who it is, is read when it is needed. A folder
//! may be laid over it: its files are given out in the place of the mirror's own.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs},
    path::Path,
    process::Command,
    time::Duration,
};

use super::{
    Host, Lab, LabError, Process, error::Doing, forward, forward::Forward, net, tools::output,
};

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
    _over: Option<Process>,
    _names: Process,
}

impl Lab {
    /// Brings the mirror into the lab, if it has what is asked for: a path below it, such as `dists/trixie/InRelease`.
    /// Its machines learn its name where the foreign server was started with [`NAMES`]. The files in `over` come before
    /// the mirror's own.
    pub fn mirror(&self, path: &str, over: Option<&Path>) -> Result<Mirror, LabError> {
        let place = Place::of_this_machine()?;
        place.check(path)?;
        let host = self.add_host(HOST, Some(ADDRESS))?;
        let port = if over.is_some() { 0 } else { place.port };
        let listen = SocketAddr::from((ADDRESS, port));
        let way = Forward::outward(&host.netns, listen, (place.host.clone(), place.port))?;
        let over = over
            .map(|over| self.lay_over(&host, &place, over, way.listening))
            .transpose()?;
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
            _over: over,
            _names: names,
        })
    }

    /// An nginx in front of the way to the mirror.
    fn lay_over(
        &self,
        host: &Host,
        place: &Place,
        over: &Path,
        way: SocketAddr,
    ) -> Result<Process, LabError> {
        let dir = self.record.path(HOST);
        let file = dir.join("nginx.conf");
        fs::create_dir_all(&dir)
            .and_then(|()| fs::write(&file, place.nginx(&dir, over, way)))
            .doing(|| format!("write {}", file.display()))?;
        let mut nginx = self.tools().command("nginx")?;
        nginx.args(["-e", "stderr", "-c"]).arg(&file);
        let nginx = self.spawn(HOST, host, &nginx)?;
        // It says so once its sockets are open.
        nginx.wait_log(self.stop(), "event method", STARTS_WITHIN)?;
        Ok(nginx)
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

    /// One process, which gives out what is in `over`, and asks at `way` for the rest.
    fn nginx(&self, dir: &Path, over: &Path, way: SocketAddr) -> String {
        let (dir, over) = (dir.display(), over.display());
        let Place { port, folder, .. } = self;
        format!(
            "daemon off;\nmaster_process off;\nuser root;\npid \"{dir}/pid\";\nerror_log stderr notice;\nevents {{}}\n\
             http {{\n  access_log \"{dir}/access.log\";\n  client_body_temp_path \"{dir}/body\";\n\
             \x20 proxy_temp_path \"{dir}/proxy\";\n  fastcgi_temp_path \"{dir}/fastcgi\";\n\
             \x20 uwsgi_temp_path \"{dir}/uwsgi\";\n  scgi_temp_path \"{dir}/scgi\";\n  server {{\n\
             \x20   listen {ADDRESS}:{port};\n    log_not_found off;\n\
             \x20   error_page 403 404 = @mirror;\n    location / {{ return 404; }}\n\
             \x20   location /{folder}/ {{ alias \"{over}/\"; }}\n\
             \x20   location @mirror {{\n      proxy_pass http://{way};\n      proxy_http_version 1.1;\n\
             \x20     proxy_set_header Host $http_host;\n      proxy_buffering off;\n    }}\n  }}\n}}\n"
        )
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
