//! What a booting client is told, and where the answer goes.
//!
//! `answer` is the whole of proxy DHCP: a pure function from a request and what is known to replies. It gives boot
//! instructions and never an address; a client that asks for an address alone gets nothing.

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddrV4};

use super::classify::{Client, Firmware};
use super::packet::{Kind, Packet, code, limit};
use crate::model::{Arch, Decision, LinkName, MacAddr, NetworkConfig, Rung};

/// Where servers, clients and the boot service listen (RFC 2131 4.1, RFC 4578 5).
pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;
pub const BINL_PORT: u16 = 4011;

pub const EVERYBODY: MacAddr = MacAddr::new([0xff; 6]);

/// A datagram as it came off the wire.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub src_mac: MacAddr,
    pub src: SocketAddrV4,
    pub dst: SocketAddrV4,
    pub vlan: Option<u16>,
    pub payload: &'a [u8],
}

/// A datagram to send, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub dst_mac: MacAddr,
    pub dst: SocketAddrV4,
    pub src: SocketAddrV4,
    pub vlan: Option<u16>,
    pub payload: Vec<u8>,
    pub reason: &'static str,
}

/// What the engine is told with each input of how things stand on its link.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub link: &'a LinkName,
    /// The host's own address there, with its prefix.
    pub own: Ipv4Addr,
    pub prefix: u8,
    /// Who we are to clients: the floating IP, or the host's own address when there is none.
    pub server: Ipv4Addr,
    /// The address by which machines behind a relay reach us.
    pub routed: Ipv4Addr,
    pub mtu: u16,
    pub config: &'a NetworkConfig,
    /// Grows with each change of `config`.
    pub version: u64,
    /// What this client boots. URLs have to name the address, which is one that it reaches.
    pub boot: &'a dyn Fn(&Client, Ipv4Addr) -> BootAnswer,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("link", &self.link)
            .field("own", &self.own)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl View<'_> {
    /// The address that this client is given as ours.
    pub const fn address_for(&self, client: &Client) -> Ipv4Addr {
        if client.is_relayed() {
            self.routed
        } else {
            self.server
        }
    }

    /// Whether an address is one of ours.
    pub fn is_ours(&self, address: Ipv4Addr) -> bool {
        !address.is_unspecified() && [self.own, self.server, self.routed].contains(&address)
    }

    pub const fn mask(&self) -> Ipv4Addr {
        let bits = if self.prefix >= 32 { 32 } else { self.prefix };
        let mask = match u32::MAX.checked_shl(32 - bits as u32) {
            Some(mask) => mask,
            None => 0,
        };
        Ipv4Addr::from_bits(mask)
    }

    /// Whether an address lies in the network of the host's own.
    pub const fn on_link(&self, address: Ipv4Addr) -> bool {
        let mask = self.mask().to_bits();
        address.to_bits() & mask == self.own.to_bits() & mask
    }

    pub const fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.own.to_bits() | !self.mask().to_bits())
    }

    /// Whether a datagram was sent to us or to everybody: a switch floods others' too.
    pub fn is_addressed(&self, destination: Ipv4Addr) -> bool {
        self.is_ours(destination)
            || destination.is_broadcast()
            || destination.is_multicast()
            || destination == self.broadcast()
    }
}

/// What a client boots, in the words of whoever decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootAnswer {
    pub decision: Decision,
    /// The loader's name for TFTP; none where there is none for this architecture.
    pub file: Option<String>,
    /// For HTTP boot the loader's URL, for iPXE that of its script.
    pub url: Option<String>,
    /// Whether there is a record of the machine.
    pub known: bool,
    /// The rung on which it last fetched something.
    pub rung: Option<Rung>,
}

/// Boot instructions, ready to be put on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instructions {
    pub server: Ipv4Addr,
    /// A file name or a URL; empty for a Raspberry Pi, whose ROM knows its files.
    pub file: String,
    firmware: Firmware,
    uuid: Option<Vec<u8>>,
    boot_item: Option<Vec<u8>>,
}

/// Why a booting client is told nothing: for the trace, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// The decision.
    Decided(&'static str),
    /// No loader is there.
    NoLoader(String),
}

impl Instructions {
    /// What fits the client of all that it could be told.
    pub fn choose(client: &Client, answer: &BootAnswer, server: Ipv4Addr) -> Result<Self, Nothing> {
        if !answer.decision.wants_netboot() {
            return Err(Nothing::Decided(answer.decision.why));
        }
        let file = match &client.firmware {
            Firmware::HttpClient => answer.url.clone(),
            Firmware::Ipxe(ipxe) if ipxe.runs_scripts() => answer.url.clone(),
            Firmware::RaspberryPi => Some(answer.file.clone().unwrap_or_default()),
            _ => answer.file.clone(),
        };
        Ok(Self {
            server,
            file: file.ok_or_else(|| no_loader(client))?,
            firmware: client.firmware.clone(),
            uuid: client.uuid_raw.clone(),
            boot_item: client.boot_item.clone(),
        })
    }

    /// RFC 4578 and PXE 2.1, 2.2.1: all that names server and file, each in every place where some firmware looks for
    /// it. U-Boot reads the header alone, EDK2 prefers 67.
    pub fn put_on(&self, packet: &mut Packet) {
        let server = self.server.to_string();
        self.identify(packet);
        if let Some(vendor) = self.vendor_options() {
            packet.options.set(code::VENDOR, vendor);
        }
        packet.siaddr = self.server;
        packet.sname = server.clone().into_bytes();
        packet.file = self.file.clone().into_bytes();
        if self.file.is_empty() {
            packet.options.take(code::BOOT_FILE);
        } else {
            // The NUL counts for firmware that copies the option as a C string.
            let mut name = self.file.clone().into_bytes();
            name.push(0);
            packet.options.set(code::BOOT_FILE, name);
        }
        packet.options.set(code::TFTP_SERVER, server);
    }

    /// Tells iPXE that no proxy's offer is worth a wait (its option `no-pxedhcp`), beside an address that comes from us.
    pub fn end_the_wait(&self, packet: &mut Packet) {
        if matches!(self.firmware, Firmware::Ipxe(_)) {
            packet.options.set(code::IPXE, [0xb0, 1, 1]);
        }
    }

    /// Who we are and nothing more, without option 43: what the client shall boot it has to ask on port 4011.
    pub fn refer_to_binl(&self, packet: &mut Packet) {
        self.identify(packet);
        packet.siaddr = self.server;
    }

    fn identify(&self, packet: &mut Packet) {
        let class: &[u8] = match self.firmware {
            Firmware::HttpClient => b"HTTPClient",
            _ => b"PXEClient",
        };
        packet.options.set(code::SERVER_ID, self.server.octets());
        packet.options.set(code::VENDOR_CLASS, class);
        if let Some(uuid) = &self.uuid {
            packet.options.set(code::UUID, uuid.clone());
        }
    }

    /// Option 43, ended by 0xFF (PXE 2.1, 2.2.1.1). Sub-option 6 with bit 3: no menu, boot `file` at once.
    fn vendor_options(&self) -> Option<Vec<u8>> {
        if self.firmware == Firmware::HttpClient {
            return None;
        }
        let mut data = vec![6, 1, 8];
        if self.firmware == Firmware::RaspberryPi {
            // The ROM looks for these words: a boot item of type 0, and a prompt without a wait.
            data.extend([9, 20, 0, 0, 17]);
            data.extend(b"Raspberry Pi Boot");
            data.extend([10, 4, 0]);
            data.extend(b"PXE");
        }
        if let Some(item) = &self.boot_item {
            data.extend([71, 4]);
            data.extend(item);
        }
        data.push(code::END);
        Some(data)
    }
}

fn no_loader(client: &Client) -> Nothing {
    let arch = client.arch().map_or_else(
        || "a client that names no architecture".to_owned(),
        |arch| named(client, arch),
    );
    Nothing::NoLoader(format!(
        "no loader is here for {arch}; put one into a folder of boot.loaders"
    ))
}

fn named(client: &Client, arch: Arch) -> String {
    match client.platform() {
        Some(_) => format!("{} (option 93 says {})", client.describe(), arch.0),
        None => client.describe(),
    }
}

/// The proxy's answer on port 67 (RFC 4578; PXE 2.1, 2.2.3): an offer without an address.
pub fn proxy_offer(
    request: &Packet,
    client: &Client,
    instructions: &Instructions,
    rung: Rung,
    frame: &Frame<'_>,
    view: &View<'_>,
) -> Reply {
    let mut offer = Packet::reply_to(request, Kind::Offer);
    offer.ciaddr = Ipv4Addr::UNSPECIFIED;
    let reason = if client.firmware == Firmware::HttpClient {
        instructions.put_on(&mut offer);
        "it boots by HTTP, so it gets a URL beside the address of the real server"
    } else if rung == Rung::Binl {
        instructions.refer_to_binl(&mut offer);
        "an offer without boot options makes it ask on port 4011"
    } else {
        instructions.put_on(&mut offer);
        "an offer with boot options beside the address of the real server"
    };
    echo_relay(request, &mut offer);
    send(&offer, request, client, frame, view, reason)
}

/// The boot service's answer on port 4011 (PXE 2.1, 2.2.5): to where the question came from, from where it went.
pub fn binl_answer(
    request: &Packet,
    client: &Client,
    instructions: &Instructions,
    frame: &Frame<'_>,
    view: &View<'_>,
) -> Reply {
    let kind = match client.kind {
        Kind::Discover => Kind::Offer,
        _ => Kind::Ack,
    };
    let mut answer = Packet::reply_to(request, kind);
    instructions.put_on(&mut answer);
    echo_relay(request, &mut answer);
    let from = if view.is_ours(*frame.dst.ip()) {
        *frame.dst.ip()
    } else {
        view.server
    };
    let (dst_mac, dst) = if frame.src.ip().is_unspecified() {
        let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, frame.src.port());
        (EVERYBODY, everybody)
    } else {
        (frame.src_mac, frame.src)
    };
    Reply {
        dst_mac,
        dst,
        src: SocketAddrV4::new(from, BINL_PORT),
        vlan: frame.vlan,
        payload: answer.write(limit(client.max_size, view.mtu)),
        reason: "it asked on port 4011",
    }
}

/// RFC 3046 2.2: the relay's own option goes back as it came.
pub fn echo_relay(request: &Packet, reply: &mut Packet) {
    if let Some(relay) = request.options.get(code::RELAY) {
        reply.options.set(code::RELAY, relay);
    }
}

/// A reply from port 67 on its way (RFC 2131 4.1).
pub fn send(
    reply: &Packet,
    request: &Packet,
    client: &Client,
    frame: &Frame<'_>,
    view: &View<'_>,
    reason: &'static str,
) -> Reply {
    let (dst_mac, dst) = destination(reply, request, client.mac, frame);
    Reply {
        dst_mac,
        dst,
        src: SocketAddrV4::new(view.address_for(client), SERVER_PORT),
        vlan: frame.vlan,
        payload: reply.write(limit(client.max_size, view.mtu)),
        reason,
    }
}

/// RFC 2131 4.1: to the relay; else to the address that the client has; else, unless it wants a broadcast, to the
/// one that it gets. A client that gets none is reached by a broadcast alone. A NAK on the link always is one.
fn destination(
    reply: &Packet,
    request: &Packet,
    mac: MacAddr,
    frame: &Frame<'_>,
) -> (MacAddr, SocketAddrV4) {
    if !request.giaddr.is_unspecified() {
        let relay = SocketAddrV4::new(request.giaddr, SERVER_PORT);
        return (frame.src_mac, relay);
    }
    let everybody = (
        EVERYBODY,
        SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT),
    );
    if reply.kind() == Some(Kind::Nak) {
        return everybody;
    }
    if !request.ciaddr.is_unspecified() {
        return (mac, SocketAddrV4::new(request.ciaddr, CLIENT_PORT));
    }
    if request.wants_broadcast() || reply.yiaddr.is_unspecified() {
        return everybody;
    }
    (mac, SocketAddrV4::new(reply.yiaddr, CLIENT_PORT))
}
