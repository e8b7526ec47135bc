//! A client's half of DHCP: from its first question to an address and, for those that boot, to a server and a file.

use std::net::Ipv4Addr;
use std::time::Duration;

use dragonfly::model::MacAddr;
use dragonfly::net::dhcp::packet::{self, Op, Options, Packet, code, sub_options};

use crate::firmware::{Kind, Manner, Picks, Proxies};
use crate::wire::Time;

/// Where to boot from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub server: Ipv4Addr,
    /// A file name or a URL.
    pub file: String,
}

/// What a client does next.
#[derive(Clone, Debug)]
pub enum Next {
    Wait,
    /// Sends this to everybody, and asks again after that time.
    Ask(Box<Packet>, Duration),
    /// Has an address, from this acknowledgement.
    Bound(Box<Packet>, Choice),
    GaveUp(&'static str),
}

/// Where the boot instructions of a chosen offer are.
#[derive(Clone, Debug)]
pub enum Choice {
    Ack,
    Proxy(Box<Packet>),
    /// It has to ask this one on port 4011.
    Binl(Ipv4Addr),
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Talk {
    pub kind: Kind,
    mac: MacAddr,
    xid: u32,
    began: Time,
    asked: usize,
    offers: Vec<Packet>,
    /// The offer that it asked for, and where it will boot from.
    taken: Option<(Box<Packet>, Choice)>,
}

/// EDK2 keeps no more.
const MAX_OFFERS: usize = 16;

/// iPXE waits no longer for a proxy.
const PROXY_WAIT: Duration = Duration::from_secs(2);

impl Talk {
    pub fn begin(kind: Kind, mac: MacAddr, xid: u32, now: Time) -> (Self, Next) {
        let mut talk = Self {
            kind,
            mac,
            xid,
            began: now,
            asked: 0,
            offers: Vec::new(),
            taken: None,
        };
        let next = talk.ask(now);
        (talk, next)
    }

    fn manner(&self) -> Manner {
        self.kind.manner()
    }

    /// Nothing came in time.
    pub fn waited(&mut self, now: Time) -> Next {
        if self.taken.is_none()
            && let Some(next) = self.pick(now, true)
        {
            return next;
        }
        self.ask(now)
    }

    pub fn heard(&mut self, packet: &Packet, now: Time) -> Next {
        // Without option 54 firmware drops it.
        if packet.options.address(code::SERVER_ID).is_none() {
            return Next::Wait;
        }
        match (packet.kind(), &self.taken) {
            (Some(packet::Kind::Offer), None) => {
                if self.offers.len() < MAX_OFFERS {
                    self.offers.push(packet.clone());
                }
                self.pick(now, false).unwrap_or(Next::Wait)
            }
            (Some(packet::Kind::Ack), Some((offer, choice))) if is_from(packet, offer) => {
                Next::Bound(Box::new(packet.clone()), choice.clone())
            }
            (Some(packet::Kind::Nak), Some((offer, _))) if is_from(packet, offer) => {
                self.offers.clear();
                self.taken = None;
                self.ask(now)
            }
            _ => Next::Wait,
        }
    }

    /// Whether a message is an answer to this conversation.
    pub fn is_mine(&self, xid: u32) -> bool {
        self.xid == xid
    }

    fn ask(&mut self, now: Time) -> Next {
        let Some(wait) = self.manner().waits.get(self.asked) else {
            let why = if self.taken.is_some() {
                "no acknowledgement"
            } else if self.offers.is_empty() {
                "no offer"
            } else {
                "no offer that it can boot from"
            };
            return Next::GaveUp(why);
        };
        self.asked += 1;
        let packet = match &self.taken {
            None => self.message(packet::Kind::Discover, now),
            Some((offer, _)) => self.request(offer, now),
        };
        Next::Ask(Box::new(packet), Duration::from_secs(*wait))
    }

    fn pick(&mut self, now: Time, waited: bool) -> Option<Next> {
        let (offer, choice) = match self.manner().picks {
            Picks::Best { proxies } => waited.then(|| self.best(proxies))??,
            Picks::First => (self.address(|_| true)?, Choice::Ack),
            Picks::Ipxe => self.as_ipxe(now)?,
        };
        self.taken = Some((Box::new(offer.clone()), choice));
        self.asked = 0;
        Some(self.ask(now))
    }

    /// EDK2's order (`PxeBcSelectDhcp4Offer`).
    fn best(&self, proxies: Proxies) -> Option<(&Packet, Choice)> {
        if self.kind == Kind::Edk2Http {
            return self.best_http();
        }
        let proxy = |class: Class| {
            let mut found = self.offers.iter().filter(|offer| is_proxy(offer));
            found.find(|offer| Class::of(offer) == class)
        };
        let whole = |class| self.address(move |offer| Class::of(offer) == class);
        if let Some(offer) = whole(Class::Boot) {
            return Some((offer, Choice::Ack));
        }
        let plain = self.address(|_| true)?;
        if let Some(offer) = proxy(Class::Boot).filter(|_| proxies == Proxies::All) {
            return Some((plain, Choice::Proxy(Box::new(offer.clone()))));
        }
        if let Some(offer) = whole(Class::Binl) {
            return Some((offer, Choice::Binl(server(offer))));
        }
        if let Some(offer) = proxy(Class::Binl).filter(|_| proxies != Proxies::None) {
            return Some((plain, Choice::Binl(server(offer))));
        }
        let named = self.address(|offer| !file(offer).is_empty())?;
        Some((named, Choice::Ack))
    }

    fn best_http(&self) -> Option<(&Packet, Choice)> {
        let http = |offer: &&Packet| file(offer).starts_with("http://");
        if let Some(offer) = self.address(|offer| http(&offer) && says(offer, "HTTPClient")) {
            return Some((offer, Choice::Ack));
        }
        let mut proxies = self.offers.iter().filter(|offer| is_proxy(offer));
        let proxy = proxies.find(|offer| http(offer) && says(offer, "HTTPClient"))?;
        let plain = self.address(|_| true)?;
        Some((plain, Choice::Proxy(Box::new(proxy.clone()))))
    }

    fn as_ipxe(&self, now: Time) -> Option<(&Packet, Choice)> {
        let address = self.address(|_| true)?;
        let mut proxies = self.offers.iter().filter(|offer| is_proxy(offer));
        let proxy = proxies.find(|offer| says(offer, "PXEClient"));
        if proxy.is_none() && now.saturating_sub(self.began) < PROXY_WAIT && !names_boot(address) {
            return None;
        }
        let choice = match proxy {
            Some(offer) if !file(offer).is_empty() => Choice::Proxy(Box::new(offer.clone())),
            Some(offer) => Choice::Binl(server(offer)),
            None => Choice::Ack,
        };
        Some((address, choice))
    }

    fn address(&self, fits: impl Fn(&Packet) -> bool) -> Option<&Packet> {
        let mut with = self.offers.iter().filter(|offer| !is_proxy(offer));
        with.find(|offer| fits(offer))
    }

    fn request(&self, offer: &Packet, now: Time) -> Packet {
        let mut packet = self.message(packet::Kind::Request, now);
        packet
            .options
            .set(code::REQUESTED_ADDRESS, offer.yiaddr.octets());
        if let Some(server) = offer.options.address(code::SERVER_ID) {
            packet.options.set(code::SERVER_ID, server.octets());
        }
        packet
    }

    /// A question with all that this firmware says of itself.
    pub fn message(&self, kind: packet::Kind, now: Time) -> Packet {
        let manner = self.manner();
        let secs = now.saturating_sub(self.began).as_secs();
        let mut packet = message(self.mac, self.xid, kind);
        packet.secs = u16::try_from(secs).unwrap_or(u16::MAX);
        packet.flags = if manner.broadcast {
            Packet::BROADCAST
        } else {
            0
        };
        let options = &mut packet.options;
        options.set(code::PARAMETERS, [1, 3, 6, 43, 54, 60, 66, 67, 97]);
        options.set(code::MAX_SIZE, 1472_u16.to_be_bytes());
        if let Some(vendor) = manner.vendor {
            options.set(code::VENDOR_CLASS, vendor.as_bytes());
        }
        if let Some(arch) = manner.arch {
            options.set(code::ARCH, arch.to_be_bytes());
            options.set(code::UNDI, [1, 3, 16]);
            options.set(code::UUID, uuid(self.mac));
        }
        if !manner.features.is_empty() {
            options.set(code::USER_CLASS, *b"iPXE");
            options.set(code::IPXE, manner.features);
        }
        packet
    }
}

fn uuid(mac: MacAddr) -> [u8; 17] {
    let mut uuid = [0x42; 17];
    uuid[0] = 0;
    uuid[11..].copy_from_slice(&mac.octets());
    uuid
}

/// A client's message with its option 53 and nothing else.
pub fn message(mac: MacAddr, xid: u32, kind: packet::Kind) -> Packet {
    let mut chaddr = [0; 16];
    chaddr[..6].copy_from_slice(&mac.octets());
    let mut options = Options::default();
    options.set(code::MESSAGE_TYPE, [kind.value()]);
    Packet {
        op: Op::Request,
        htype: 1,
        hlen: 6,
        hops: 0,
        xid,
        secs: 0,
        flags: 0,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: Ipv4Addr::UNSPECIFIED,
        chaddr,
        sname: Vec::new(),
        file: Vec::new(),
        options,
        truncated: false,
    }
}

/// What EDK2 takes an offer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// It has PXE options of its own: "PXE10".
    Boot,
    /// It says that it is a boot server, and no more.
    Binl,
    Other,
}

impl Class {
    fn of(offer: &Packet) -> Self {
        if !says(offer, "PXEClient") {
            return Self::Other;
        }
        let vendor = offer.options.get(code::VENDOR).unwrap_or_default();
        let boots = sub_options(vendor).any(|(code, _)| matches!(code, 6..=10));
        if boots { Self::Boot } else { Self::Binl }
    }
}

fn says(offer: &Packet, class: &str) -> bool {
    let said = offer.options.get(code::VENDOR_CLASS);
    said.is_some_and(|said| said.starts_with(class.as_bytes()))
}

fn names_boot(offer: &Packet) -> bool {
    says(offer, "PXEClient") || !file(offer).is_empty()
}

fn is_proxy(offer: &Packet) -> bool {
    offer.yiaddr.is_unspecified()
}

fn is_from(packet: &Packet, offer: &Packet) -> bool {
    let server = |packet: &Packet| packet.options.address(code::SERVER_ID);
    server(packet) == server(offer)
}

/// Option 67 before the header's field, up to its NUL.
pub fn file(packet: &Packet) -> String {
    let option = packet.options.get(code::BOOT_FILE).unwrap_or_default();
    let end = option.iter().position(|byte| *byte == 0);
    let option = &option[..end.unwrap_or(option.len())];
    let name = if option.is_empty() {
        &packet.file
    } else {
        option
    };
    String::from_utf8_lossy(name).into_owned()
}

/// The server that a message sends a client to.
pub fn server(packet: &Packet) -> Ipv4Addr {
    let named = packet.options.address(code::SERVER_ID);
    let own = Some(packet.siaddr).filter(|address| !address.is_unspecified());
    own.or(named).unwrap_or(Ipv4Addr::UNSPECIFIED)
}

/// What a message says to boot; none when it names no file.
pub fn source(packet: &Packet) -> Option<Source> {
    let file = file(packet);
    let server = server(packet);
    (!file.is_empty() && !server.is_unspecified()).then_some(Source { server, file })
}
