//! A network that Dragonfly serves: one link, what is given out on it, and the floating IP that it holds there.

mod patch;
pub mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::MacAddr;
use super::boot::{LoaderChoice, Rung};
use super::field::{FieldError, quoted};

pub use patch::NetworkPatch;

/// The name of a link, as the kernel knows it. Held in place, without an allocation: every lease has one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkName {
    /// Filled up with NUL, which no name has, so names sort as their texts do.
    bytes: [u8; Self::MAX],
    len: u8,
}

impl LinkName {
    /// IFNAMSIZ without its NUL.
    pub const MAX: usize = 15;

    pub fn as_str(&self) -> &str {
        let name = &self.bytes[..usize::from(self.len)];
        // Only ASCII ever comes in.
        std::str::from_utf8(name).unwrap_or_default()
    }
}

impl fmt::Debug for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkName({:?})", self.as_str())
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for LinkName {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<LinkName> for String {
    fn from(name: LinkName) -> Self {
        name.as_str().into()
    }
}

impl FromStr for LinkName {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let fine = |c: char| c.is_ascii_graphic() && c != '/' && c != ':' && c != '%';
        let good = !text.is_empty()
            && text.len() <= Self::MAX
            && text.chars().all(fine)
            && text != "."
            && text != "..";
        if good {
            let mut bytes = [0; Self::MAX];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            let len = u8::try_from(text.len()).unwrap_or_default();
            return Ok(Self { bytes, len });
        }
        let reason = format!(
            "{} is no name of a network link: 1 to {} characters without spaces, '/', ':' and '%'",
            quoted(text),
            Self::MAX
        );
        Err(FieldError::new("link", reason, "eth0"))
    }
}

/// One network: what a person wants of it, and what is held on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub link: LinkName,
    pub config: NetworkConfig,
    /// The floating IP that was claimed here. Written before it is used, removed when it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

impl Network {
    /// A network as it is before anybody changed it.
    pub fn new(link: LinkName) -> Self {
        Self {
            link,
            config: NetworkConfig::default(),
            held: None,
        }
    }
}

/// An address that was claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub address: Ipv4Addr,
    pub since: Timestamp,
    /// The one before it, until that is off the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Ipv4Addr>,
    /// How the link was set before; put back when the address is let go or the daemon stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ArpSettings>,
}

impl Held {
    pub fn new(address: Ipv4Addr, since: Timestamp) -> Self {
        Self {
            address,
            since,
            leaving: None,
            before: None,
        }
    }
}

/// How a link does address resolution: the kernel's settings of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArpSettings {
    pub arp_ignore: u8,
    pub arp_announce: u8,
}

/// How it stands with the floating IP of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloatingStatus {
    pub state: FloatingState,
    /// Where machines are answered; none: at the host's own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Since when it is in this state, at this address.
    pub since: Timestamp,
    /// What it is about, and what a person can do.
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloatingState {
    /// None is wanted.
    Off,
    /// The link is down or the host has no address there yet.
    Waiting,
    /// Looking for a free address, or making sure of one.
    Probing,
    Held,
    /// Somebody else uses the address; another one is being looked for, and this one answers until then.
    Conflict,
    /// It was let go: by a person, or to somebody who kept using it.
    Released,
    /// All that may be taken are in use; it is tried again every minute.
    NoneFree,
}

impl FloatingState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Probing => "probing",
            Self::Held => "held",
            Self::Conflict => "conflict",
            Self::Released => "released",
            Self::NoneFree => "none_free",
        }
    }
}

impl fmt::Display for FloatingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a person wants of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkConfig {
    pub serve: Serve,
    pub idle: Idle,
    pub admit: Admit,
    /// The rungs of the fallback ladder that may be used here, in the order of the ladder.
    pub rungs: BTreeSet<Rung>,
    pub floating: Floating,
    /// Which loader machines of this network get, by the first three octets of their MAC; see also the machine's own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub loaders: BTreeMap<Oui, LoaderChoice>,
    /// What the full DHCP server gives out; used only while `serve` is `server`.
    pub dhcp: DhcpConfig,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            serve: Serve::Proxy,
            idle: Idle::Local,
            admit: Admit::Open,
            rungs: BTreeSet::from([Rung::Proxy, Rung::Binl]),
            floating: Floating::default(),
            loaders: BTreeMap::new(),
            dhcp: DhcpConfig::default(),
        }
    }
}

/// The vendor's half of a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oui(pub [u8; 3]);

impl fmt::Display for Oui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}")
    }
}

impl FromStr for Oui {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        let whole = (digits.len() == 6).then(|| u32::from_str_radix(&digits, 16).ok());
        let plain = whole
            .flatten()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        plain
            .map(|value| {
                let [_, a, b, c] = value.to_be_bytes();
                Self([a, b, c])
            })
            .ok_or_else(|| {
                let reason = format!(
                    "{} is not the first three octets of a MAC address",
                    quoted(text)
                );
                FieldError::new("oui", reason, "b8:27:eb")
            })
    }
}

impl TryFrom<String> for Oui {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<Oui> for String {
    fn from(oui: Oui) -> Self {
        oui.to_string()
    }
}

/// What Dragonfly is on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serve {
    /// Gives nothing out.
    Off,
    /// Boot instructions beside another DHCP server; never an address.
    #[default]
    Proxy,
    /// The network's DHCP server.
    Server,
}

/// What a machine gets that asks to boot while there is nothing to do for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// A script that says so and goes on to the local disk.
    #[default]
    Local,
    /// No answer at all, so that the firmware goes on by itself.
    Silence,
}

/// Which machines are taken up when they boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admit {
    /// Every machine that fetches something is registered.
    #[default]
    Open,
    /// An unknown machine waits on a screen that says so until a person approves it.
    Approve,
    /// An unknown machine gets no answer.
    Known,
}

/// How the floating IP of a network is chosen and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Floating {
    pub want: Want,
    /// As many addresses after the host's own as are looked at.
    pub scan: u8,
    pub on_conflict: OnConflict,
}

impl Floating {
    pub const SCAN: u8 = 20;
}

impl Default for Floating {
    fn default() -> Self {
        Self {
            want: Want::Auto,
            scan: Self::SCAN,
            on_conflict: OnConflict::Move,
        }
    }
}

/// Which address is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// None; machines are served from the host's own address.
    Off,
    /// The first free one after the host's own.
    #[default]
    Auto,
    /// This one.
    Address(Ipv4Addr),
}

/// What happens when somebody else keeps using the floating IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Another free address is claimed, and this one is let go.
    #[default]
    Move,
    /// It is let go; machines are served from the host's own address.
    Release,
}

/// What the full DHCP server gives out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DhcpConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<super::Hostname>,
    pub lease_seconds: u32,
    /// Addresses that belong to certain machines, inside the pool or outside of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reservations: BTreeMap<MacAddr, Ipv4Addr>,
}

impl Default for DhcpConfig {
    fn default() -> Self {
        Self {
            pool: None,
            router: None,
            dns: Vec::new(),
            domain: None,
            lease_seconds: 3600,
            reservations: BTreeMap::new(),
        }
    }
}

/// Addresses to give out, first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
}

/// An address that the DHCP server gave out. It is durable before its ACK leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub link: LinkName,
    pub address: Ipv4Addr,
    pub holder: Holder,
    pub until: Timestamp,
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    Client {
        mac: MacAddr,
        /// Option 61, in hexadecimal, where the client sent one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hostname: Option<String>,
    },
    /// Somebody unknown was found there, by a probe or by a DECLINE: it is left alone until then.
    Stranger,
}
