//! Networks, floating IPs, leases and machines seen on the wire, as the API shows and takes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A network that Dragonfly serves, or may: one link, what is wanted of it, and how it is now.
///
/// What it shows under a field's name is what a `PATCH` takes there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    #[schema(example = "eth0")]
    pub link: String,
    /// Grows by one with each change; `If-Match` takes it as `"v3"`. 0 while everything is as by default.
    pub version: u64,
    /// `off`, `proxy` (boot instructions beside another DHCP server) or `server` (the network's DHCP server).
    pub serve: String,
    /// What a machine gets while nothing is to be done for it: `local` or `silence`.
    pub idle: String,
    /// Which machines are taken up: `open`, `approve` or `known`.
    pub admit: String,
    /// The rungs of the fallback ladder that may be used: `proxy`, `binl`, `staple`.
    pub rungs: Vec<String>,
    /// The floating IP that is wanted: `auto`, `off` or an address.
    pub floating: String,
    /// As many addresses after the host's own as are looked at.
    pub scan: u8,
    /// What happens when somebody else keeps using the floating IP: `move` or `release`.
    pub on_conflict: String,
    /// The loader by the first three octets of a MAC address: `auto`, `firmware`, `full` or `signed`.
    pub loaders: BTreeMap<String, String>,
    /// What the DHCP server gives out: a first and a last address with a hyphen between.
    pub pool: Option<String>,
    pub router: Option<String>,
    pub dns: Vec<String>,
    pub domain: Option<String>,
    pub lease_seconds: u32,
    /// Addresses that belong to certain machines, by MAC address.
    pub reservations: BTreeMap<String, String>,
    /// The floating IP that was claimed here; it is kept over restarts.
    pub held: Option<Held>,
    /// How the link is now; absent while Dragonfly does not serve it.
    pub now: Option<Link>,
}

/// An address that was claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    pub address: String,
    pub since: String,
}

/// A change of a network: fields that are absent stay, `null` clears.
///
/// Names of fields: `serve`, `idle`, `admit`, `rungs`, `floating`, `scan`, `on_conflict`, `loaders`, `pool`, `router`,
/// `dns`, `domain`, `lease_seconds`, `reservations`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct SetNetwork(pub BTreeMap<String, Value>);

/// A link that is served, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    pub name: String,
    pub mac: String,
    pub up: bool,
    pub mtu: u16,
    /// The host's own addresses, each with the length of its prefix; the floating IP is none of them.
    #[schema(example = json!(["10.0.0.2/24"]))]
    pub addresses: Vec<String>,
    /// `off`, `proxy` or `server`.
    pub serve: String,
    /// The address that machines are told; absent while nothing is given out.
    pub from: Option<String>,
    /// Why nothing is given out, or not what is wanted.
    pub why: Option<String>,
    pub floating: FloatingState,
    pub counters: BTreeMap<String, u64>,
}

/// How it stands with a floating IP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FloatingState {
    /// `off`, `waiting`, `probing`, `held`, `conflict`, `released` or `none_free`; `unserved` while Dragonfly does
    /// not serve the link.
    pub state: String,
    /// Where machines are answered; absent: at the host's own address.
    pub address: Option<String>,
    /// Since when it is in this state, at this address.
    pub since: Option<String>,
    /// What it is about, and what a person can do.
    pub text: Option<String>,
    /// Something that a person should know, such as that it lies in the other server's pool.
    pub warning: Option<String>,
}

/// The floating IP of a link: what is wanted and what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FloatingIp {
    pub link: String,
    /// `auto`, `off` or an address.
    pub want: String,
    pub scan: u8,
    pub on_conflict: String,
    #[serde(flatten)]
    pub now: FloatingState,
}

/// Which floating IP is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantFloatingIp {
    /// `auto`, `off` or an address.
    #[schema(example = "auto")]
    pub want: String,
}

/// What was found at the addresses that a floating IP may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scan {
    pub link: String,
    pub addresses: Vec<Scanned>,
}

/// One address that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scanned {
    pub address: String,
    /// `free`, `own` or `taken`.
    pub found: String,
    /// The MAC address of who has it.
    pub by: Option<String>,
}

/// An address that the DHCP server gave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    pub link: String,
    pub address: String,
    /// Absent where somebody unknown was found at the address, which is left alone until then.
    pub mac: Option<String>,
    /// Option 61, in hexadecimal.
    pub client_id: Option<String>,
    pub hostname: Option<String>,
    /// The name of the machine with this MAC address.
    pub machine: Option<String>,
    pub until: String,
}

/// Who was seen on the wire and is no machine yet. Told by packets alone, so believed by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sighting {
    pub mac: String,
    pub link: String,
    pub first: String,
    pub last: String,
    /// What kind of machine its firmware says it is, in words.
    pub platform: Option<String>,
    /// Option 93.
    pub arch: Option<u16>,
    /// Option 60.
    pub vendor: Option<String>,
    /// Option 97.
    pub uuid: Option<String>,
    pub hostname: Option<String>,
    pub address: Option<String>,
    /// How often it asked.
    pub asked: u32,
    /// It stands on a screen that says that a person has to approve it.
    pub waiting: bool,
}
