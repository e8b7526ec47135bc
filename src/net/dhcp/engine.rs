//! All DHCP of one link: takes datagrams and the time, gives replies, traces and what is to be kept.

mod relay;
mod scene;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::answer::{
    BINL_PORT, BootAnswer, Frame, Instructions, Nothing, Reply, SERVER_PORT, View, binl_answer,
    proxy_offer,
};
use super::classify::{Client, Firmware};
use super::crowd::Standing;
use super::ladder::{Climber, Ladder};
use super::moment::Metronome;
use super::packet::{Kind, Op, Packet, code};
use super::server::{self, Server};
use super::staple::{self, Staple};
use crate::model::network::Serve;
use crate::model::trace::{Mark, Step};
use crate::model::{Boot, Lease, MacAddr, Rung, Sighting};

pub use scene::Scene;
use scene::{named, question};

/// What happens on the link.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    Datagram(Frame<'a>),
    /// The moment of [`Engine::next_timer`] is there.
    Tick,
    /// The machine fetched something from us.
    Fetched {
        mac: MacAddr,
    },
    /// What became of [`Output::WriteLeases`].
    LeasesWritten {
        token: u64,
        ok: bool,
    },
    /// Somebody answered [`Output::Probe`].
    ProbeAnswered {
        address: Ipv4Addr,
        by: MacAddr,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Send(Reply),
    Trace {
        mac: MacAddr,
        step: Step,
    },
    Seen(Sighting),
    /// Keep these and drop those, in one commit; then say [`Input::LeasesWritten`]. What waits for it is sent no
    /// earlier.
    WriteLeases {
        token: u64,
        leases: Vec<Lease>,
        drop: Vec<Ipv4Addr>,
    },
    /// Ask by ARP whether somebody has this address.
    Probe {
        address: Ipv4Addr,
    },
    /// The machine fetched something after it was answered on this rung, which is news.
    RungWorked {
        mac: MacAddr,
        rung: Rung,
    },
}

/// The engine of one link.
#[derive(Debug, Default)]
pub struct Engine {
    metronome: Metronome,
    ladder: Ladder,
    staple: Staple,
    server: Server,
}

impl Engine {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up the leases that were written down, before anything else is handled.
    pub fn load_leases(&mut self, now: Timestamp, leases: impl IntoIterator<Item = Lease>) {
        self.metronome.moment(now);
        self.server.load(leases);
    }

    /// What follows from one input. Whatever the input is, this neither panics nor grows beyond its bounds.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, view: &View<'_>) -> Vec<Output> {
        let mut scene = Scene {
            view,
            now,
            moment: self.metronome.moment(now),
            out: Vec::new(),
        };
        if view.config.serve != Serve::Server {
            self.server.rest();
        }
        if view.config.serve == Serve::Off {
            self.forget();
        }
        match (input, view.config.serve) {
            (Input::LeasesWritten { token, ok }, Serve::Server) => {
                self.server.written(token, ok, &mut scene);
            }
            // It is true all the same, but nobody is told: we are no more the server.
            (Input::LeasesWritten { token, ok }, _) => {
                self.server.settle(token, ok);
            }
            (_, Serve::Off) => {}
            (Input::Datagram(frame), _) => self.datagram(&frame, &mut scene),
            (Input::Tick, _) => self.tick(&mut scene),
            (Input::Fetched { mac }, _) => {
                if let Some(rung) = self.ladder.fetched(mac, scene.moment) {
                    scene.out.push(Output::RungWorked { mac, rung });
                }
            }
            (Input::ProbeAnswered { address, by }, _) => {
                self.server.probe_answered(address, by, &mut scene);
            }
        }
        scene.out
    }

    pub const fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// As many machines as something was relayed for.
    pub fn stapled(&self) -> usize {
        self.staple.len()
    }

    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// When [`Input::Tick`] is due.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let timers = [self.ladder.next(), self.staple.next(), self.server.next()];
        let next = timers.into_iter().flatten().min()?;
        self.metronome.timestamp(next)
    }

    /// On a network that is not served nothing is remembered and nothing is due.
    fn forget(&mut self) {
        if !self.ladder.is_empty() || !self.staple.is_empty() {
            self.ladder = Ladder::default();
            self.staple = Staple::default();
        }
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        let rungs = rungs(scene.view);
        for (mac, verdict) in self.ladder.judge(&rungs, scene.moment) {
            scene.judged(mac, verdict);
        }
        self.tell_silent_servers(scene);
        if scene.view.config.serve == Serve::Server {
            self.server.tick(scene);
        }
    }

    fn datagram(&mut self, frame: &Frame<'_>, scene: &mut Scene<'_>) {
        let Ok(packet) = Packet::read(frame.payload) else {
            return;
        };
        match packet.op {
            Op::Reply if packet.giaddr == scene.view.own => self.relayed(&packet, frame, scene),
            Op::Reply => self.foreign(&packet, frame, scene),
            Op::Request if staple::is_own(&packet, scene.view) => {}
            Op::Request if !scene.view.is_addressed(*frame.dst.ip()) => {}
            Op::Request => {
                if let Some(client) = Client::read(&packet) {
                    self.request(&packet, &client, frame, scene);
                }
            }
        }
    }

    fn request(
        &mut self,
        packet: &Packet,
        client: &Client,
        frame: &Frame<'_>,
        scene: &mut Scene<'_>,
    ) {
        match frame.dst.port() {
            BINL_PORT if client.boots() => self.binl(packet, client, frame, scene),
            SERVER_PORT if scene.view.config.serve == Serve::Server => {
                self.serve(packet, client, frame, scene);
            }
            SERVER_PORT if self.is_stapled(packet, client, frame, scene.view) => {
                self.relay(packet, client, frame, scene);
            }
            SERVER_PORT if client.boots() => self.proxy(packet, client, frame, scene),
            _ => {}
        }
    }

    /// Beside another server: boot instructions, never an address.
    fn proxy(
        &mut self,
        packet: &Packet,
        client: &Client,
        frame: &Frame<'_>,
        scene: &mut Scene<'_>,
    ) {
        match client.kind {
            Kind::Discover => self.discover(packet, client, frame, scene),
            Kind::Request => {
                let seen = self
                    .ladder
                    .note(client.mac, scene.moment, |facts| facts.requested = true);
                if seen {
                    let chosen = packet.options.address(code::SERVER_ID);
                    let text = match chosen {
                        Some(server) if scene.view.is_ours(server) => {
                            "it took our offer for one with an address: its firmware merges no offers".to_owned()
                        }
                        Some(server) => format!("it asks {server} for its address"),
                        None => "it asks for the address that it had".to_owned(),
                    };
                    scene.trace(client.mac, Mark::Request, text, "");
                }
            }
            _ => {}
        }
    }

    fn discover(
        &mut self,
        packet: &Packet,
        client: &Client,
        frame: &Frame<'_>,
        scene: &mut Scene<'_>,
    ) {
        scene.trace(client.mac, Mark::Discover, question(client), "");
        let Some(told) = self.told(client, scene) else {
            return;
        };
        let Some(rung) = self.climb(client, &told, scene) else {
            let why = "no rung of the ladder is allowed on this network";
            scene.trace(client.mac, Mark::Silent, "no answer", why);
            return;
        };
        if rung == Rung::Staple && !client.is_relayed() {
            return self.staple(packet, client, &told, frame, scene);
        }
        let boot = named(&told.instructions);
        let text = match rung {
            Rung::Staple => format!(
                "proxy offer instead of a stapled one, since it is behind a relay already: {boot}"
            ),
            _ => format!("proxy offer on rung {rung}: {boot}"),
        };
        let reply = proxy_offer(packet, client, &told.instructions, rung, frame, scene.view);
        scene.send(client.mac, Mark::Offered, text, reply);
    }

    /// As the network's own server: an address for everybody, and boot instructions with it for who boots.
    fn serve(
        &mut self,
        packet: &Packet,
        client: &Client,
        frame: &Frame<'_>,
        scene: &mut Scene<'_>,
    ) {
        let told = match client.kind {
            Kind::Discover if client.boots() => {
                scene.trace(client.mac, Mark::Discover, question(client), "");
                let told = self.told(client, scene);
                if let Some(told) = &told {
                    self.climb(client, told, scene);
                }
                told
            }
            Kind::Request | Kind::Inform if client.boots() => {
                self.ladder
                    .note(client.mac, scene.moment, |facts| facts.acknowledged = true);
                scene.trace(client.mac, Mark::Request, client.kind.name(), "");
                advise(client, scene.view)
            }
            _ => None,
        };
        let asked = server::Asked {
            packet,
            client,
            frame,
            instructions: told.as_ref().map(|told| &told.instructions),
            known: told
                .as_ref()
                .is_some_and(|told| told.standing == Standing::Known),
        };
        self.server.handle(&asked, scene);
    }

    fn binl(&mut self, packet: &Packet, client: &Client, frame: &Frame<'_>, scene: &mut Scene<'_>) {
        if !matches!(client.kind, Kind::Request | Kind::Inform | Kind::Discover) {
            return;
        }
        let text = format!("asked on port {BINL_PORT}: {}", client.describe());
        scene.trace(client.mac, Mark::BinlAsked, text, "");
        self.ladder
            .note(client.mac, scene.moment, |facts| facts.binl_asked = true);
        let Some(told) = self.told(client, scene) else {
            return;
        };
        let text = format!("boot {}", named(&told.instructions));
        let reply = binl_answer(packet, client, &told.instructions, frame, scene.view);
        scene.send(client.mac, Mark::BinlAnswered, text, reply);
    }

    /// What the client boots; where it gets nothing, that is traced with its reason.
    #[expect(clippy::unused_self, reason = "it belongs to the engine's story")]
    fn told(&self, client: &Client, scene: &mut Scene<'_>) -> Option<Told> {
        let view = scene.view;
        let address = view.address_for(client);
        let answer = (view.boot)(client, address);
        scene.seen(client, answer.decision.boot == Boot::Wait);
        match Instructions::choose(client, &answer, address) {
            Ok(instructions) => Some(Told::new(instructions, &answer)),
            Err(nothing) => {
                match nothing {
                    Nothing::Decided(why) => {
                        scene.trace(client.mac, Mark::Silent, "no answer", why);
                    }
                    Nothing::NoLoader(what) => {
                        scene.trace(
                            client.mac,
                            Mark::Silent,
                            what,
                            crate::model::boot::NO_LOADER,
                        );
                    }
                }
                None
            }
        }
    }

    /// The rung on which this client is answered. HTTP boot has an answer of its own.
    fn climb(&mut self, client: &Client, told: &Told, scene: &mut Scene<'_>) -> Option<Rung> {
        let rungs = rungs(scene.view);
        if client.firmware == Firmware::HttpClient {
            if let Some(verdict) = self.ladder.leave(client.mac, &rungs) {
                scene.judged(client.mac, verdict);
            }
            return Some(Rung::Proxy);
        }
        let climber = Climber {
            client,
            standing: told.standing,
            worked: told.worked,
        };
        let (rung, verdict) = self.ladder.ask(&climber, &rungs, scene.moment);
        if let Some(verdict) = verdict {
            scene.judged(client.mac, verdict);
        }
        rung
    }

    /// What another server says to a machine that boots: it tells why a boot stops.
    fn foreign(&mut self, packet: &Packet, frame: &Frame<'_>, scene: &mut Scene<'_>) {
        let from = packet
            .options
            .address(code::SERVER_ID)
            .unwrap_or(*frame.src.ip());
        let Some(mac) = packet.mac() else {
            return;
        };
        if packet.kind() != Some(Kind::Offer) || scene.view.is_ours(*frame.src.ip()) {
            return;
        }
        let boots = gives_boot_options(packet);
        let heard = self.ladder.note(mac, scene.moment, |facts| {
            if !packet.yiaddr.is_unspecified() {
                facts.foreign_offer = Some(from);
            }
            if boots {
                facts.foreign_boot = Some(from);
            }
        });
        if !heard {
            return;
        }
        if boots {
            let text = format!("{from} offers boot instructions of its own");
            scene.trace(mac, Mark::ForeignBoot, text, "");
        } else {
            let text = format!("{from} offers {}", packet.yiaddr);
            scene.trace(mac, Mark::ForeignOffer, text, "");
        }
    }
}

/// What a client is told, and what is known of it.
struct Told {
    instructions: Instructions,
    standing: Standing,
    worked: Option<Rung>,
}

impl Told {
    fn new(instructions: Instructions, answer: &BootAnswer) -> Self {
        let standing = if answer.known {
            Standing::Known
        } else {
            Standing::Stranger
        };
        Self {
            instructions,
            standing,
            worked: answer.rung,
        }
    }
}

/// What the client boots, without a word in the trace: it asked that before.
fn advise(client: &Client, view: &View<'_>) -> Option<Told> {
    let address = view.address_for(client);
    let answer = (view.boot)(client, address);
    let instructions = Instructions::choose(client, &answer, address).ok()?;
    Some(Told::new(instructions, &answer))
}

/// The rungs that may be used. A network's own server has one way to answer.
fn rungs(view: &View<'_>) -> BTreeSet<Rung> {
    match view.config.serve {
        Serve::Server => BTreeSet::from([Rung::Proxy]),
        _ => view.config.rungs.clone(),
    }
}

/// EDK2 prefers an offer with an address that names a file or says that it is a boot server.
fn gives_boot_options(offer: &Packet) -> bool {
    let class = offer.options.get(code::VENDOR_CLASS);
    let pxe = class
        .is_some_and(|class| class.starts_with(b"PXEClient") || class.starts_with(b"HTTPClient"));
    pxe || !offer.file.is_empty() || offer.options.get(code::BOOT_FILE).is_some()
}
