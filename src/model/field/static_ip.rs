//! A machine's own address, as a person gives it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FieldError, quoted};

/// An address of a machine's own with the length of its prefix, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StaticIp {
    address: IpAddr,
    prefix: u8,
    gateway: Option<IpAddr>,
}

impl StaticIp {
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    pub const fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }
}

impl fmt::Display for StaticIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)?;
        match self.gateway {
            Some(gateway) => write!(f, " via {gateway}"),
            None => Ok(()),
        }
    }
}

impl FromStr for StaticIp {
    type Err = FieldError;

    /// Reads `192.0.2.10/24` and `192.0.2.10/24 via 192.0.2.1`, and the same of IPv6.
    fn from_str(text: &str) -> Result<Self, FieldError> {
        parse(text).map_err(|why| FieldError::new("static_ip", why, "192.0.2.10/24 via 192.0.2.1"))
    }
}

fn parse(text: &str) -> Result<StaticIp, String> {
    let mut words = text.split_whitespace();
    let (own, gateway) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(own), None, ..) => (own, None),
        (Some(own), Some("via"), Some(gateway), None) => (own, Some(gateway)),
        _ => return Err("it has to read ADDRESS/PREFIX or ADDRESS/PREFIX via GATEWAY".into()),
    };
    let (address, prefix) = own
        .split_once('/')
        .ok_or("the length of the prefix is missing, such as /24")?;
    let ip = StaticIp {
        address: usable(address)?,
        prefix: 0,
        gateway: gateway.map(usable).transpose()?,
    };
    let bits = if ip.address.is_ipv4() { 32 } else { 128 };
    let digits = Some(prefix).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let prefix = digits
        .and_then(|text| text.parse().ok())
        .filter(|prefix| (1..=bits).contains(prefix))
        .ok_or_else(|| format!("the length of the prefix has to lie between 1 and {bits}"))?;
    let ip = StaticIp { prefix, ..ip };
    ip.check_own()?;
    ip.gateway
        .map_or(Ok(()), |gateway| ip.check_gateway(gateway))?;
    Ok(ip)
}

/// An address that some one machine can have.
fn usable(text: &str) -> Result<IpAddr, String> {
    let address = text
        .parse()
        .map_err(|_| format!("{} is not an IP address", quoted(text)))?;
    let nobodys = match address {
        // RFC 1122 3.2.1.3 and RFC 1112 4: this network, loopback, multicast, reserved and broadcast.
        IpAddr::V4(v4) => matches!(v4.octets()[0], 0 | 127 | 224..),
        // RFC 4291 2.5.5: IPv4 in disguise never stands in a header.
        IpAddr::V6(v6) => {
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.to_ipv4().is_some()
        }
    };
    if nobodys {
        return Err(format!("{address} cannot be a machine's own address"));
    }
    Ok(address)
}

impl StaticIp {
    /// The first address of a network is nobody's, nor is the last under IPv4; RFC 3021 and RFC 6164 let
    /// /31 and /127 be.
    fn check_own(&self) -> Result<(), String> {
        let Self {
            address, prefix, ..
        } = *self;
        match address {
            IpAddr::V4(v4) if is_edge_v4(v4, prefix) => Err(format!(
                "{address} is the network's own or its broadcast address"
            )),
            IpAddr::V6(v6) if is_anycast_v6(v6, prefix) => Err(format!(
                "{address} is the address of any router on its network (RFC 4291 2.6.1)"
            )),
            _ => Ok(()),
        }
    }

    /// The way out is another machine on the same network, or under IPv6 on the same link.
    fn check_gateway(&self, gateway: IpAddr) -> Result<(), String> {
        let prefix = self.prefix;
        if gateway == self.address {
            return Err("a machine cannot be its own gateway".into());
        }
        let (near, edge) = match (self.address, gateway) {
            (IpAddr::V4(own), IpAddr::V4(way)) => {
                if own.is_link_local() {
                    return Err(format!(
                        "{own} is a link-local address, which no router passes on"
                    ));
                }
                (same_v4(own, way, prefix), is_edge_v4(way, prefix))
            }
            (IpAddr::V6(own), IpAddr::V6(way)) => {
                if own.is_unicast_link_local() {
                    return Err(format!(
                        "{own} is a link-local address, which no router passes on"
                    ));
                }
                (
                    way.is_unicast_link_local() || same_v6(own, way, prefix),
                    false,
                )
            }
            _ => return Err(format!("the gateway {gateway} is of the other IP family")),
        };
        if !near {
            return Err(format!(
                "the gateway {gateway} is not on the network of {self}"
            ));
        }
        if edge {
            return Err(format!(
                "the gateway {gateway} is the network's own or its broadcast address"
            ));
        }
        Ok(())
    }
}

/// The bits of an address that name the machine on its network.
fn host_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

fn host_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

fn is_edge_v4(address: Ipv4Addr, prefix: u8) -> bool {
    let (bits, host) = (address.to_bits(), host_v4(prefix));
    prefix < 31 && (bits & host == 0 || bits & host == host)
}

fn is_anycast_v6(address: Ipv6Addr, prefix: u8) -> bool {
    prefix < 127 && address.to_bits() & host_v6(prefix) == 0
}

fn same_v4(one: Ipv4Addr, other: Ipv4Addr, prefix: u8) -> bool {
    (one.to_bits() ^ other.to_bits()) & !host_v4(prefix) == 0
}

fn same_v6(one: Ipv6Addr, other: Ipv6Addr, prefix: u8) -> bool {
    (one.to_bits() ^ other.to_bits()) & !host_v6(prefix) == 0
}

impl TryFrom<String> for StaticIp {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<StaticIp> for String {
    fn from(ip: StaticIp) -> Self {
        ip.to_string()
    }
}
