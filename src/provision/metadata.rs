//! The metadata service: what a machine is told of itself over HTTP, in the two manners that cloud-init speaks.
//!
//! | below | what |
//! |---|---|
//! | `metadata/nocloud/` | `user-data`, `meta-data`, `network-config`, and an empty `vendor-data` |
//! | `latest/`, `2009-04-04/` | `user-data`, and `meta-data/` with `instance-id`, `hostname`, `local-ipv4`, `public-keys/…` |

use std::fmt::Write;
use std::net::IpAddr;

use uuid::Uuid;

use super::first_boot::{OwnName, cloud_init, instance_id};
use crate::model::{Defaults, Machine};

/// The versions of EC2's tree that are served; cloud-init asks for the oldest that has what it needs.
pub const EC2: [&str; 2] = ["latest", "2009-04-04"];

/// Whom it is told to.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    pub machine: &'a Machine,
    pub defaults: &'a Defaults,
    /// The installation that is under way or was the last.
    pub workflow: Option<Uuid>,
    /// Where it asks from.
    pub address: IpAddr,
    /// Whether the password's hash may be told: only while an installation of this machine is under way, since whoever
    /// sits on its network can ask in its name.
    pub trusted: bool,
}

/// The page at that path, if there is one.
pub fn page(path: &[&str], guest: &Guest<'_>) -> Option<String> {
    match path {
        ["metadata", "nocloud", name] => nocloud(name, guest),
        [version, rest @ ..] if EC2.contains(version) => ec2(rest, guest),
        _ => None,
    }
}

fn nocloud(name: &str, guest: &Guest<'_>) -> Option<String> {
    let texts = || {
        let mut defaults = guest.defaults.clone();
        if !guest.trusted {
            defaults.password_hash = None;
        }
        cloud_init(guest.machine, &defaults, guest.workflow)
    };
    Some(match name {
        "user-data" => texts().user_data,
        "meta-data" => texts().meta_data,
        "network-config" => texts().network_config,
        "vendor-data" => String::new(),
        _ => return None,
    })
}

/// A folder is a list of what is in it, one name a line; folders in it end in a slash.
fn ec2(path: &[&str], guest: &Guest<'_>) -> Option<String> {
    let keys = &guest.defaults.ssh_keys;
    let name = || OwnName::of(guest.machine).full();
    Some(match path {
        [] => "meta-data/\nuser-data".into(),
        ["user-data"] => return nocloud("user-data", guest),
        ["meta-data"] => {
            let mut names = vec!["hostname", "instance-id", "local-hostname", "local-ipv4"];
            names.extend((!keys.is_empty()).then_some("public-keys/"));
            names.join("\n")
        }
        ["meta-data", "instance-id"] => instance_id(guest.machine, guest.workflow),
        ["meta-data", "hostname" | "local-hostname"] => name(),
        ["meta-data", "local-ipv4"] => guest.address.to_string(),
        ["meta-data", "public-keys"] if !keys.is_empty() => {
            let mut list = String::new();
            for place in 0..keys.len() {
                let _ = writeln!(list, "{place}=key{place}");
            }
            list.trim_end().into()
        }
        ["meta-data", "public-keys", place] => {
            keys.get(place.parse::<usize>().ok()?)?;
            "openssh-key".into()
        }
        ["meta-data", "public-keys", place, "openssh-key"] => {
            keys.get(place.parse::<usize>().ok()?)?.to_string()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::provision::first_boot::tests::{full, machine};

    fn told(path: &str, trusted: bool) -> Option<String> {
        let (mut machine, defaults) = (machine(), full());
        machine.config.hostname = Some("web01.example.net".parse().unwrap());
        let path: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        let guest = Guest {
            machine: &machine,
            defaults: &defaults,
            workflow: Some(Uuid::from_u128(7)),
            address: "192.0.2.10".parse().unwrap(),
            trusted,
        };
        page(&path, &guest)
    }

    #[test_case("latest/meta-data/hostname" => "web01.example.net")]
    #[test_case("2009-04-04/meta-data/local-ipv4" => "192.0.2.10")]
    #[test_case("latest/meta-data/instance-id" => "0190a0b0-0000-7000-8000-000000000001-00000000000000000000000000000007")]
    #[test_case("latest" => "meta-data/\nuser-data")]
    #[test_case("latest/meta-data/" => "hostname\ninstance-id\nlocal-hostname\nlocal-ipv4\npublic-keys/")]
    #[test_case("latest/meta-data/public-keys/" => "0=key0")]
    #[test_case("latest/meta-data/public-keys/0/" => "openssh-key")]
    #[test_case("latest/meta-data/public-keys/0/openssh-key" => full().ssh_keys[0].to_string())]
    #[test_case("metadata/nocloud/vendor-data" => "")]
    fn a_machine_is_told(path: &str) -> String {
        told(path, false).unwrap()
    }

    #[test_case("latest/meta-data/public-keys/1/openssh-key")]
    #[test_case("latest/meta-data/public-keys/-1")]
    #[test_case("latest/meta-data/iam")]
    #[test_case("2021-01-03/meta-data")]
    #[test_case("metadata/nocloud")]
    #[test_case("metadata/nocloud/user-data/x")]
    fn there_is_no(path: &str) {
        assert_eq!(told(path, true), None);
    }

    #[test_case("metadata/nocloud/user-data")]
    #[test_case("latest/user-data")]
    fn a_secret_is_told_only_while_an_installation_is_under_way(path: &str) {
        let hash = full().password_hash.unwrap();
        assert!(told(path, true).unwrap().contains(hash.as_str()));
        let without = told(path, false).unwrap();
        assert!(!without.contains(hash.as_str()) && without.contains("lock_passwd: true"));
    }
}
