//! Dragonfly as the daemon plugs it together, without sockets: the cores, what is durable, and what is lost in a crash.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dragonfly::model::boot::{BootRequest, Platform, decide};
use dragonfly::model::trace::{Mark, Scene, Stage, Step, diagnose};
use dragonfly::model::{
    Boot, Evidence, Lease, LinkName, MacAddr, Machine, MachineId, MemorableName, NetworkConfig,
    Rung, Source,
};
use dragonfly::net::dhcp::{
    BootAnswer, Client, Engine, Firmware, Frame, Input, Output, Reply, View,
};
use dragonfly::net::peers::Peers;
use dragonfly::net::tftp::burst::Burst;
use dragonfly::net::tftp::packet::Packet;
use dragonfly::net::tftp::session::{self, Bounds, Fate, Session};
use dragonfly::net::tftp::table::{Entry, Table};
use dragonfly::net::tftp::{Embedded, Limits, packet};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::machine::Got;
use crate::wire::{Datagram, Time};

pub const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 5);
pub const FLOATING: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 6);
pub const MAC: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 6]);

/// A loader, as long as a few windows; what a real one has more only takes more time.
static LOADER: [u8; 20_000] = [0x4d; 20_000];
const FILES: [&str; 3] = ["undionly.kpxe", "snponly.efi", "config.txt"];

/// The vendor of those who are not there: a flood is made of them.
pub const STRANGERS: [u8; 3] = [0x0a, 0xbb, 0xcc];

/// The ports that transfers are sent from.
const FIRST_PORT: u16 = 40_000;

/// More steps are not kept of a machine.
const MAX_STEPS: usize = 256;

/// A file on its way.
struct Transfer {
    port: u16,
    session: Session,
    mac: Option<MacAddr>,
}

/// What is durable.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub leases: BTreeMap<Ipv4Addr, Lease>,
    pub machines: BTreeMap<MacAddr, Machine>,
}

pub struct Appliance {
    pub config: NetworkConfig,
    link: LinkName,
    pub disk: Disk,
    /// What our clock says beyond the time that went by; it jumps.
    skew: Timestamp,
    /// When it jumped last.
    pub jumped: Time,
    pub engine: Engine,
    transfers: Table<Transfer>,
    next_port: u16,
    pub traces: BTreeMap<MacAddr, Vec<Step>>,
    peers: Peers,
    /// Which rung brought a machine here that has no record yet.
    rungs: BTreeMap<MacAddr, Rung>,
    /// When the engine wants to be woken.
    due: Option<Time>,
    burst: Burst,
}

/// What follows for the world.
#[derive(Debug, Default)]
pub struct Effects {
    pub replies: Vec<Reply>,
    pub datagrams: Vec<Datagram>,
    pub writes: Vec<(u64, Vec<Lease>, Vec<Ipv4Addr>)>,
    pub probes: Vec<Ipv4Addr>,
}

impl Appliance {
    pub fn new(config: NetworkConfig, start: Timestamp) -> Self {
        Self {
            config,
            link: "eth0".parse().expect("a name"),
            disk: Disk::default(),
            skew: start,
            jumped: Duration::ZERO,
            engine: Engine::new(),
            transfers: Table::new(Limits::default()),
            next_port: FIRST_PORT,
            traces: BTreeMap::new(),
            peers: Peers::default(),
            rungs: BTreeMap::new(),
            due: None,
            burst: Burst::default(),
        }
    }

    /// What our clock shows.
    pub fn clock(&self, now: Time) -> Timestamp {
        self.skew.checked_add(now).expect("a time")
    }

    pub fn jump(&mut self, by: SignedDuration, now: Time) {
        self.skew = self.skew.checked_add(by).expect("a time");
        self.jumped = now;
    }

    /// The process ends without a word, and begins anew with what is durable.
    pub fn crash(&mut self, now: Time) {
        self.engine = Engine::new();
        let leases = self.disk.leases.values().cloned();
        self.engine.load_leases(self.clock(now), leases);
        self.transfers = Table::new(Limits::default());
        self.traces.clear();
        self.peers = Peers::default();
        self.rungs.clear();
        self.due = None;
    }

    /// The rung that brought this one here.
    pub fn rung(&self, mac: MacAddr) -> Option<Rung> {
        let record = self.disk.machines.get(&mac);
        let kept = record.and_then(|machine| machine.boot.rung);
        self.rungs.get(&mac).copied().or(kept)
    }

    /// Why this one's last boot came to nothing, as a person is told: by the page of its trace, or by the line that ends
    /// the attempt.
    pub fn cause(&self, mac: MacAddr, now: Time) -> Option<String> {
        let steps = self.traces.get(&mac)?;
        let scene = Scene {
            network: &self.config,
            server: None,
            arch: None,
        };
        if let Some(diagnosis) = diagnose(steps, self.clock(now), &scene) {
            return Some(format!("{:?}: {}", diagnosis.kind, diagnosis.cause));
        }
        let mut ends = steps.iter().rev().filter(|step| step.mark == Mark::Stopped);
        ends.next().map(|step| step.text.clone())
    }

    /// When it wants to be woken next.
    pub fn next(&mut self) -> Option<Time> {
        let transfers = self.transfers.values_mut();
        let transfers = transfers.map(|(_, entry)| entry.driver.session.deadline());
        transfers.chain(self.due).min()
    }

    pub fn transfers(&self) -> usize {
        self.transfers.len()
    }

    pub fn heard(&mut self, datagram: &Datagram, now: Time) -> Effects {
        self.peers
            .heard(*datagram.src.ip(), datagram.src_mac, &self.link);
        let ours = [OWN, FLOATING].contains(datagram.dst.ip());
        match datagram.dst.port() {
            67 | 68 | 4011 => {
                let frame = Frame {
                    src_mac: datagram.src_mac,
                    src: datagram.src,
                    dst: datagram.dst,
                    vlan: None,
                    payload: &datagram.payload,
                };
                self.feed(Input::Datagram(frame), now)
            }
            69 if ours => self.requested(datagram, now),
            port if ours => self.transfer(port, datagram, now),
            _ => Effects::default(),
        }
    }

    pub fn tick(&mut self, now: Time) -> Effects {
        let mut effects = Effects::default();
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            effects = self.feed(Input::Tick, now);
        }
        let due = self.transfers.values_mut();
        let due = due.filter(|(_, entry)| entry.driver.session.deadline() <= now);
        let due: Vec<_> = due.map(|(peer, _)| *peer).collect();
        for peer in due {
            self.advance(peer, session::Input::Tick, now, &mut effects);
        }
        effects
    }

    pub fn feed(&mut self, input: Input<'_>, now: Time) -> Effects {
        let clock = self.clock(now);
        let Self {
            engine,
            disk,
            config,
            link,
            ..
        } = self;
        let boot = |client: &Client, address| answer(&disk.machines, config, client, address);
        let view = View {
            link,
            own: OWN,
            prefix: 24,
            server: FLOATING,
            routed: OWN,
            mtu: 1500,
            config,
            version: 1,
            boot: &boot,
        };
        let outputs = engine.handle(clock, input, &view);
        let next = engine.next_timer();
        // A sleep goes on for as long as was told, whatever the clock does meanwhile.
        self.due = next.map(|next| {
            let wait = next.duration_since(clock);
            now + Duration::try_from(wait).unwrap_or(Duration::ZERO)
        });
        let mut effects = Effects::default();
        for output in outputs {
            self.note(output, &mut effects);
        }
        effects
    }

    fn note(&mut self, output: Output, effects: &mut Effects) {
        match output {
            Output::Send(reply) => effects.replies.push(reply),
            Output::Trace { mac, step } => self.step(mac, step),
            Output::Seen(_) => {}
            Output::WriteLeases {
                token,
                leases,
                drop,
            } => effects.writes.push((token, leases, drop)),
            Output::Probe { address } => effects.probes.push(address),
            Output::RungWorked { mac, rung } => {
                if let Some(machine) = self.disk.machines.get_mut(&mac) {
                    machine.boot.rung = Some(rung);
                }
                self.rungs.insert(mac, rung);
            }
        }
    }

    /// The rings of `core` are bounded by their number; here the strangers of a flood have none.
    fn step(&mut self, mac: MacAddr, step: Step) {
        if mac.oui() == STRANGERS {
            return;
        }
        let steps = self.traces.entry(mac).or_default();
        if steps.len() == MAX_STEPS {
            steps.remove(0);
        }
        steps.push(step);
    }

    fn say(&mut self, mac: MacAddr, stage: Stage, mark: Mark, text: &str, why: &str, now: Time) {
        let step = Step {
            at: self.clock(now),
            stage,
            mark,
            link: Some(self.link.clone()),
            text: text.to_owned(),
            why: why.to_owned(),
        };
        self.step(mac, step);
    }

    /// A fetch by HTTP, which TCP brought here whole.
    pub fn get(&mut self, mac: MacAddr, url: &str, now: Time) -> (Got, Effects) {
        let effects = self.feed(Input::Fetched { mac }, now);
        if !url.contains("/script/") {
            self.say(mac, Stage::Http, Mark::FileBegun, url, "", now);
            self.say(mac, Stage::Http, Mark::FileDone, url, "", now);
            return (Got::Loader, effects);
        }
        let decision = decide(&BootRequest {
            machine: self.disk.machines.get(&mac),
            admit: self.config.admit,
            idle: self.config.idle,
            work: dragonfly::model::workflow::Wants::Nothing,
            agent: false,
            tries: 0,
            other_board: false,
        });
        let waits = matches!(decision.boot, Boot::Wait);
        self.say(
            mac,
            Stage::Script,
            Mark::ScriptGiven,
            url,
            decision.why,
            now,
        );
        if matches!(decision.boot, Boot::Local) {
            self.say(mac, Stage::Script, Mark::LocalBoot, "", decision.why, now);
        }
        if !waits {
            self.register(mac, now);
        }
        if let (Boot::Once(_), Some(machine)) = (&decision.boot, self.disk.machines.get_mut(&mac)) {
            machine.boot.once = None;
        }
        (Got::Script(decision.boot), effects)
    }

    /// The first fetch makes a machine of a client.
    pub fn register(&mut self, mac: MacAddr, now: Time) {
        let clock = self.clock(now);
        let number = self.disk.machines.len() as u128;
        let rung = self.rungs.get(&mac).copied();
        let machine = self.disk.machines.entry(mac).or_insert_with(|| {
            let id = MachineId(Uuid::from_u128(number));
            let name = MemorableName::candidates(mac).next().expect("a name");
            let evidence = Evidence::of_macs(mac, []);
            Machine::register(id, &evidence, name, Source::Manual, clock)
        });
        machine.boot.rung = rung.or(machine.boot.rung);
    }

    fn requested(&mut self, datagram: &Datagram, now: Time) -> Effects {
        let mut effects = Effects::default();
        let Ok(Packet::Read(request)) = Packet::parse(&datagram.payload) else {
            return effects;
        };
        let name = String::from_utf8_lossy(request.name).into_owned();
        let there = FILES.contains(&name.as_str());
        let mac = self.peer(*datagram.src.ip());
        self.burst.clear();
        if there {
            let peer = SocketAddr::V4(datagram.src);
            if !self.transfers.admit(peer, &datagram.payload).granted {
                return effects;
            }
            let bounds = Bounds::of_path(1500, 64);
            let source = Box::new(Embedded(&LOADER[..]));
            let (session, _) = Session::open(source, &request, bounds, now, &mut self.burst);
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            let entry = Entry {
                id: self.transfers.next_id(),
                request: datagram.payload[..].into(),
                answered: Arc::default(),
                driver: Transfer { port, session, mac },
            };
            self.transfers.insert(peer, entry);
            self.flush(port, datagram.src, &mut effects);
        } else {
            packet::write_error(
                packet::ErrorCode::NotFound,
                "file not found",
                &mut self.burst,
            );
            self.flush(69, datagram.src, &mut effects);
        }
        if let Some(mac) = mac {
            let mark = if there {
                Mark::FileBegun
            } else {
                Mark::FileMissing
            };
            self.say(mac, Stage::Tftp, mark, &name, "", now);
            effects.join(self.feed(Input::Fetched { mac }, now));
        }
        effects
    }

    fn transfer(&mut self, port: u16, datagram: &Datagram, now: Time) -> Effects {
        let mut effects = Effects::default();
        let peer = SocketAddr::V4(datagram.src);
        let entry = self.transfers.get_mut(peer);
        if entry.is_some_and(|entry| entry.driver.port == port) {
            let input = session::Input::Datagram(&datagram.payload);
            self.advance(peer, input, now, &mut effects);
        }
        effects
    }

    fn advance(
        &mut self,
        peer: SocketAddr,
        input: session::Input<'_>,
        now: Time,
        effects: &mut Effects,
    ) {
        let (Some(entry), SocketAddr::V4(to)) = (self.transfers.get_mut(peer), peer) else {
            return;
        };
        let transfer = &mut entry.driver;
        let fate = transfer.session.handle(now, input, &mut self.burst);
        let (port, mac) = (transfer.port, transfer.mac);
        let half_open = transfer.session.is_half_open();
        entry.answered.store(!half_open, Ordering::Relaxed);
        self.flush(port, to, effects);
        let (mark, text) = match fate {
            Fate::Goes => return,
            Fate::Probed => (Mark::FileProbed, String::new()),
            Fate::Done { .. } => (Mark::FileDone, String::new()),
            Fate::Broken(cause) => (Mark::FileBroken, format!("{cause:?}")),
        };
        self.transfers.remove(peer);
        if let Some(mac) = mac {
            self.say(mac, Stage::Tftp, mark, &text, "", now);
        }
    }

    /// Whoever has the address answers our ARP.
    fn peer(&self, address: Ipv4Addr) -> Option<MacAddr> {
        self.peers.at(address).map(|peer| peer.mac)
    }

    fn flush(&self, port: u16, peer: SocketAddrV4, effects: &mut Effects) {
        let Some(dst_mac) = self.peer(*peer.ip()) else {
            return;
        };
        let sent = self.burst.datagrams().map(|bytes| Datagram {
            src_mac: MAC,
            dst_mac,
            src: SocketAddrV4::new(FLOATING, port),
            dst: peer,
            payload: Rc::from(bytes),
        });
        effects.datagrams.extend(sent);
    }
}

impl Effects {
    pub fn join(&mut self, other: Self) {
        self.replies.extend(other.replies);
        self.datagrams.extend(other.datagrams);
        self.writes.extend(other.writes);
        self.probes.extend(other.probes);
    }
}

/// What the daemon answers for `boot::loaders`.
fn answer(
    machines: &BTreeMap<MacAddr, Machine>,
    config: &NetworkConfig,
    client: &Client,
    address: Ipv4Addr,
) -> BootAnswer {
    let machine = machines.get(&client.mac);
    let decision = decide(&BootRequest {
        machine,
        admit: config.admit,
        idle: config.idle,
        work: dragonfly::model::workflow::Wants::Nothing,
        agent: false,
        tries: 0,
        other_board: false,
    });
    let file = match client.platform() {
        Some(Platform::Bios) => Some("undionly.kpxe"),
        Some(Platform::RaspberryPi) | None => None,
        Some(_) => Some("snponly.efi"),
    };
    let plane = SocketAddr::from((address, 3080));
    let url = match client.firmware {
        Firmware::HttpClient => format!("http://{plane}/boot/snponly.efi"),
        _ => format!("http://{plane}/script/{}", client.mac),
    };
    BootAnswer {
        decision,
        file: file.map(str::to_owned),
        url: Some(url),
        known: machine.is_some(),
        rung: machine.and_then(|machine| machine.boot.rung),
    }
}
