//! What a network may be told. Checked as a whole, since its fields lean on each other.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::{DhcpConfig, NetworkConfig, Pool, Serve, Want};
use crate::model::field::{FieldError, quoted};

/// Addresses in a pool: those of a /16.
pub const MAX_POOL: u32 = 65_536;
/// Addresses that belong to certain machines.
pub const MAX_RESERVATIONS: usize = 4096;
/// Name servers: option 6 would hold 63, and clients use two or three.
pub const MAX_DNS: usize = 8;
/// Vendors with a loader of their own.
pub const MAX_LOADERS: usize = 256;
/// The longest lease: 30 days. The shortest is a minute.
pub const MAX_LEASE_SECONDS: u32 = 30 * 24 * 3600;
pub const MIN_LEASE_SECONDS: u32 = 60;

impl Pool {
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// How many addresses it has; none when its ends are the wrong way round.
    pub fn size(&self) -> u64 {
        let (first, last) = (u32::from(self.first), u32::from(self.last));
        (u64::from(last) + 1).saturating_sub(first.into())
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Pool {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let ends = text.split_once('-');
        let ends = ends.and_then(|(first, last)| {
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        });
        let (first, last) = ends.ok_or_else(|| {
            let reason = format!("{} is not a first and a last address", quoted(text));
            FieldError::new("pool", reason, POOL)
        })?;
        Ok(Self { first, last })
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.pad("off"),
            Self::Auto => f.pad("auto"),
            Self::Address(address) => f.pad(&address.to_string()),
        }
    }
}

impl FromStr for Want {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        match text {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            address => address.parse().map(Self::Address).map_err(|_| {
                let reason = format!("{} is neither auto, off nor an IPv4 address", quoted(text));
                FieldError::new("floating", reason, "auto")
            }),
        }
    }
}

const POOL: &str = "10.0.0.100-10.0.0.200";

impl NetworkConfig {
    /// Whether all of it can be meant together.
    pub fn check(&self) -> Result<(), FieldError> {
        if self.rungs.is_empty() && self.serve == Serve::Proxy {
            let reason = "without a rung no machine would be told where to boot from; to be silent, set serve to off";
            return Err(FieldError::new("rungs", reason, "proxy, binl"));
        }
        if self.loaders.len() > MAX_LOADERS {
            let reason = too_many(self.loaders.len(), "vendors", MAX_LOADERS);
            return Err(FieldError::new("loaders", reason, "b8:27:eb=firmware"));
        }
        self.check_floating()?;
        self.dhcp.check()?;
        if self.serve == Serve::Server {
            self.check_server()?;
        }
        Ok(())
    }

    fn check_floating(&self) -> Result<(), FieldError> {
        match self.floating.want {
            Want::Address(address) => usable("floating", address),
            Want::Auto if self.floating.scan == 0 => {
                let reason = "without an address to look at none can be found; to have none, set floating to off";
                Err(FieldError::new("scan", reason, "20"))
            }
            Want::Auto | Want::Off => Ok(()),
        }
    }

    /// What has to be true before addresses are given out.
    fn check_server(&self) -> Result<(), FieldError> {
        let dhcp = &self.dhcp;
        let Some(pool) = &dhcp.pool else {
            if dhcp.reservations.is_empty() {
                let reason =
                    "a DHCP server needs a pool or reservations, to have something to give out";
                return Err(FieldError::new("pool", reason, POOL));
            }
            return Ok(());
        };
        match self.floating.want {
            Want::Address(own) if pool.contains(own) => Err(FieldError::new(
                "pool",
                format!("the floating IP {own} lies in it, and would be given out"),
                POOL,
            )),
            _ => Ok(()),
        }
    }
}

impl DhcpConfig {
    fn check(&self) -> Result<(), FieldError> {
        if let Some(pool) = self.pool {
            check_pool(pool)?;
        }
        if let Some(router) = self.router {
            usable("router", router)?;
            if self.pool.is_some_and(|pool| pool.contains(router)) {
                let reason = format!("the router {router} lies in it, and would be given out");
                return Err(FieldError::new("pool", reason, POOL));
            }
        }
        if self.dns.len() > MAX_DNS {
            let reason = too_many(self.dns.len(), "name servers", MAX_DNS);
            return Err(FieldError::new("dns", reason, "10.0.0.1"));
        }
        self.dns
            .iter()
            .try_for_each(|server| usable("dns", *server))?;
        let seconds = self.lease_seconds;
        if !(MIN_LEASE_SECONDS..=MAX_LEASE_SECONDS).contains(&seconds) {
            let reason = format!(
                "{seconds} is not a number of seconds from {MIN_LEASE_SECONDS} to {MAX_LEASE_SECONDS}"
            );
            return Err(FieldError::new("lease_seconds", reason, "3600"));
        }
        self.check_reservations()
    }

    fn check_reservations(&self) -> Result<(), FieldError> {
        const EXAMPLE: &str = "52:54:00:12:34:56=10.0.0.50";
        let wrong = |reason| Err(FieldError::new("reservations", reason, EXAMPLE));
        if self.reservations.len() > MAX_RESERVATIONS {
            let reason = too_many(self.reservations.len(), "reservations", MAX_RESERVATIONS);
            return wrong(reason);
        }
        let mut owners = BTreeMap::new();
        for (mac, address) in &self.reservations {
            usable("reservations", *address)?;
            if self.router == Some(*address) {
                return wrong(format!(
                    "{address} is the router's, and is reserved for {mac}"
                ));
            }
            if let Some(other) = owners.insert(address, mac) {
                return wrong(format!("{address} is reserved for both {other} and {mac}"));
            }
        }
        Ok(())
    }
}

fn check_pool(pool: Pool) -> Result<(), FieldError> {
    usable("pool", pool.first)?;
    usable("pool", pool.last)?;
    let size = pool.size();
    let reason = if size == 0 {
        format!(
            "its first address {} comes after its last {}",
            pool.first, pool.last
        )
    } else if size > MAX_POOL.into() {
        format!("{size} addresses are too many, {MAX_POOL} is the limit")
    } else {
        return Ok(());
    };
    Err(FieldError::new("pool", reason, POOL))
}

fn too_many(count: usize, what: &str, limit: usize) -> String {
    format!("{count} {what} are too many, {limit} is the limit")
}

/// Whether a machine can have this address.
fn usable(field: &str, address: Ipv4Addr) -> Result<(), FieldError> {
    let kind = if address.octets()[0] == 0 {
        "means this network"
    } else if address.is_loopback() {
        "is the machine itself"
    } else if address.is_link_local() {
        "is link-local"
    } else if address.is_multicast() {
        "is a multicast group"
    } else if address.octets()[0] >= 240 {
        "is a broadcast or reserved address"
    } else {
        return Ok(());
    };
    let example = if field == "pool" { POOL } else { "10.0.0.50" };
    let reason = format!("{address} {kind}, no machine can have it");
    Err(FieldError::new(field, reason, example))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::NetworkPatch;
    use super::*;

    fn with(json: &str) -> Result<(), FieldError> {
        let patch: NetworkPatch = serde_json::from_str(json).unwrap();
        patch.applied(&NetworkConfig::default()).check()
    }

    #[test_case("{}"; "nothing said")]
    #[test_case(r#"{"serve":"off","rungs":[]}"#; "no rung while nothing is served")]
    #[test_case(r#"{"rungs":["staple"]}"#; "stapling alone")]
    #[test_case(r#"{"floating":"off","scan":0}"#; "no floating IP and nothing to look at")]
    #[test_case(r#"{"serve":"server","pool":{"first":"10.0.0.9","last":"10.0.0.9"}}"#; "a pool of one")]
    #[test_case(r#"{"serve":"server","reservations":{"52:54:00:00:00:01":"10.0.0.9"}}"#; "reservations alone")]
    fn what_can_be_meant_is_taken(json: &str) {
        with(json).unwrap();
    }

    #[test_case(r#"{"rungs":[]}"#, "rungs", "no machine would be told"; "no rung")]
    #[test_case(r#"{"serve":"server"}"#, "pool", "needs a pool or reservations"; "nothing to give out")]
    #[test_case(r#"{"pool":{"first":"10.0.0.9","last":"10.0.0.8"}}"#, "pool", "comes after its last"; "turned round")]
    #[test_case(r#"{"pool":{"first":"10.0.0.0","last":"10.1.0.0"}}"#, "pool", "65537 addresses are too many"; "too large")]
    #[test_case(r#"{"pool":{"first":"224.0.0.1","last":"224.0.0.9"}}"#, "pool", "multicast"; "multicast pool")]
    #[test_case(r#"{"pool":{"first":"10.0.0.1","last":"10.0.0.9"},"router":"10.0.0.5"}"#, "pool", "router 10.0.0.5 lies in it"; "router in the pool")]
    #[test_case(r#"{"serve":"server","floating":{"address":"10.0.0.5"},"pool":{"first":"10.0.0.1","last":"10.0.0.9"}}"#, "pool", "floating IP 10.0.0.5"; "floating IP in the pool")]
    #[test_case(r#"{"floating":{"address":"127.0.0.1"}}"#, "floating", "itself"; "loopback")]
    #[test_case(r#"{"floating":{"address":"169.254.1.1"}}"#, "floating", "link-local"; "link local")]
    #[test_case(r#"{"floating":{"address":"0.0.0.0"}}"#, "floating", "this network"; "unspecified")]
    #[test_case(r#"{"floating":{"address":"255.255.255.255"}}"#, "floating", "broadcast"; "broadcast")]
    #[test_case(r#"{"scan":0}"#, "scan", "none can be found"; "nothing to look at")]
    #[test_case(r#"{"lease_seconds":59}"#, "lease_seconds", "from 60 to"; "too short")]
    #[test_case(r#"{"lease_seconds":2592001}"#, "lease_seconds", "to 2592000"; "too long")]
    #[test_case(r#"{"dns":["10.0.0.1","0.0.0.0"]}"#, "dns", "this network"; "no name server")]
    #[test_case(r#"{"reservations":{"52:54:00:00:00:01":"10.0.0.9","52:54:00:00:00:02":"10.0.0.9"}}"#, "reservations", "reserved for both"; "twice the same")]
    #[test_case(r#"{"router":"10.0.0.9","reservations":{"52:54:00:00:00:01":"10.0.0.9"}}"#, "reservations", "router's"; "the router's own")]
    fn what_cannot_be_meant_tells_the_field_and_why(json: &str, field: &str, why: &str) {
        let error = with(json).unwrap_err();
        assert_eq!(error.field, field);
        assert!(error.reason.contains(why), "{error}");
    }

    #[test]
    fn pools_and_wants_read_back_as_they_are_shown() {
        for text in ["auto", "off", "10.0.0.9"] {
            assert_eq!(text.parse::<Want>().unwrap().to_string(), text);
        }
        let pool: Pool = "10.0.0.100 - 10.0.0.200".parse().unwrap();
        assert_eq!((pool.to_string(), pool.size()), (POOL.to_owned(), 101));
        for wrong in ["", "10.0.0.1", "a-b", "10.0.0.1-10.0.0.2-10.0.0.3"] {
            let error = wrong.parse::<Pool>().unwrap_err();
            assert!(error.example.parse::<Pool>().is_ok());
        }
        assert!("sometimes".parse::<Want>().is_err());
    }
}
