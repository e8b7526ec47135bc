//! One run of a scenario: the segment, everybody on it, and the time, which jumps from event to event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use dragonfly::model::network::{DhcpConfig, Pool, Serve};
use dragonfly::model::{Lease, MacAddr, NetworkConfig};
use dragonfly::net::dhcp::packet::{Kind as Message, MAX_PAYLOAD, Packet};
use dragonfly::net::dhcp::{Input, Reply};
use jiff::{SignedDuration, Timestamp};

use crate::appliance::{self, Appliance, Effects};
use crate::dice::Dice;
use crate::firmware::Kind;
use crate::foreign::Foreign;
use crate::laws::Laws;
use crate::machine::Event;
use crate::person::{Seat, seats};
use crate::scenario::Scenario;
use crate::segment::Node;
use crate::talk::Talk;
use crate::tally::Tally;
use crate::wire::{Datagram, Time};

/// Nobody's boots take longer.
const END: Duration = Duration::from_hours(6);
/// The first address that we give out; those who squat have every second one from here.
pub const FIRST_OF_POOL: u8 = 100;
/// As many strangers come in a tenth of a second.
const FLOOD: usize = 200;
/// The last lines of what happened, for whoever looks for a fault.
const STORY: usize = 400;

/// What is to happen at its time.
pub enum Happening {
    Arrives(Node, Datagram),
    Power(usize),
    Alarm(usize, u64),
    Fetched(usize, u64, String),
    Tick,
    Written {
        life: u32,
        token: u64,
        leases: Vec<Lease>,
        gone: Vec<Ipv4Addr>,
        ok: bool,
    },
    Probed {
        life: u32,
        address: Ipv4Addr,
        by: MacAddr,
    },
    Reckon(usize),
    ClockJumps,
    Crash,
    Cut(Duration),
    /// So many strangers in a tenth of a second, and as many more as are left.
    Flood(usize),
}

pub struct World {
    pub scenario: Scenario,
    pub now: Time,
    turn: u64,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: HashMap<u64, Happening>,
    pub dice: Dice,
    pub appliance: Appliance,
    pub foreign: Option<Foreign>,
    pub seats: Vec<Seat>,
    pub cut_until: Time,
    /// Counts the lives of our process.
    pub life: u32,
    pub crashed: Vec<Time>,
    awake: Option<Time>,
    pub laws: Laws,
    pub tally: Tally,
    pub story: VecDeque<String>,
}

impl World {
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let start = Timestamp::from_second(1_790_000_000).expect("a time");
        let mut world = Self {
            appliance: Appliance::new(config(scenario), start),
            foreign: scenario.foreign.clone().map(Foreign::new),
            seats: seats(scenario, &mut dice),
            scenario: scenario.clone(),
            now: Duration::ZERO,
            turn: 0,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            dice,
            cut_until: Duration::ZERO,
            life: 0,
            crashed: Vec::new(),
            awake: None,
            laws: Laws::default(),
            tally: Tally::default(),
            story: VecDeque::new(),
        };
        world.plan();
        world
    }

    /// Runs until everybody is where it ends.
    pub fn run(&mut self) {
        while let Some(Reverse((at, turn))) = self.queue.pop() {
            self.now = at;
            let happening = self
                .happenings
                .remove(&turn)
                .expect("what is queued is there");
            self.happen(happening);
            self.laws.bounds(&self.appliance);
            if self.seats.iter().all(|seat| seat.over) {
                break;
            }
            if at > END {
                self.laws.break_with("the boots never come to an end");
            }
            if self.laws.broken.is_some() {
                return;
            }
        }
        self.tally.seconds = self.now.as_secs();
    }

    fn plan(&mut self) {
        for seat in 0..self.seats.len() {
            let at = self.dice.millis(0, 30_000);
            self.queue(at, Happening::Power(seat));
        }
        let mishaps = self.scenario.mishaps.clone();
        for _ in 0..mishaps.clock_jumps {
            let at = self.dice.millis(0, 400_000);
            self.queue(at, Happening::ClockJumps);
        }
        for _ in 0..mishaps.crashes {
            let at = self.dice.millis(0, 400_000);
            self.queue(at, Happening::Crash);
        }
        self.queue(Duration::from_secs(1), Happening::Flood(mishaps.flood));
        for _ in 0..mishaps.cuts {
            let at = self.dice.millis(0, 400_000);
            let long = self.dice.millis(100, 30_000);
            self.queue(at, Happening::Cut(long));
        }
    }

    pub fn queue(&mut self, after: Duration, happening: Happening) {
        self.turn += 1;
        self.queue.push(Reverse((self.now + after, self.turn)));
        self.happenings.insert(self.turn, happening);
    }

    /// A line for whoever looks for a fault.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.story.len() == STORY {
            self.story.pop_front();
        }
        let text = format!("{:>10.3} {}", self.now.as_secs_f64(), line());
        self.story.push_back(text);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(node, datagram) => self.arrives(node, &datagram),
            Happening::Power(seat) => self.power(seat),
            Happening::Alarm(seat, alarm) => {
                if self.seats[seat].alarm == alarm {
                    self.act(seat, Event::Alarm);
                }
            }
            Happening::Fetched(seat, boot, url) => self.fetched(seat, boot, &url),
            Happening::Tick => {
                self.awake = None;
                let effects = self.appliance.tick(self.now);
                self.effects(effects);
            }
            Happening::Written {
                life,
                token,
                leases,
                gone,
                ok,
            } => {
                self.written(life, token, leases, gone, ok);
            }
            Happening::Probed { life, address, by } => {
                if life == self.life {
                    let effects = self
                        .appliance
                        .feed(Input::ProbeAnswered { address, by }, self.now);
                    self.effects(effects);
                }
            }
            Happening::Reckon(seat) => self.reckon(seat),
            Happening::ClockJumps => self.clock_jumps(),
            Happening::Crash => self.crash(),
            Happening::Flood(left) => self.flood(left),
            Happening::Cut(long) => {
                self.tell(|| format!("the wire is cut for {long:?}"));
                self.cut_until = self.now + long;
            }
        }
    }

    pub fn effects(&mut self, effects: Effects) {
        for reply in effects.replies {
            self.reply(reply);
        }
        for datagram in effects.datagrams {
            self.carry(Node::Appliance, &datagram, Duration::ZERO);
        }
        for (token, leases, gone) in effects.writes {
            self.laws.writes(&self.scenario);
            let after = self.dice.millis(1, 60);
            let ok = !self.dice.percent(2);
            let life = self.life;
            self.queue(
                after,
                Happening::Written {
                    life,
                    token,
                    leases,
                    gone,
                    ok,
                },
            );
        }
        for address in effects.probes {
            self.probe(address);
        }
        self.doze();
    }

    fn reply(&mut self, reply: Reply) {
        self.laws.reply(
            &reply,
            &self.scenario,
            &self.seats,
            &self.appliance,
            self.foreign.as_ref(),
            self.now,
        );
        let datagram = Datagram {
            src_mac: appliance::MAC,
            dst_mac: reply.dst_mac,
            src: reply.src,
            dst: reply.dst,
            payload: reply.payload.into(),
        };
        self.carry(Node::Appliance, &datagram, Duration::ZERO);
    }

    fn doze(&mut self) {
        let Some(next) = self.appliance.next() else {
            return;
        };
        let next = next.max(self.now);
        if self.awake.is_none_or(|awake| next < awake) {
            self.awake = Some(next);
            self.queue(next.saturating_sub(self.now), Happening::Tick);
        }
    }

    fn probe(&mut self, address: Ipv4Addr) {
        let Some(by) = self.resolve(address) else {
            return;
        };
        self.tell(|| format!("{by} has {address} and answers the probe"));
        let life = self.life;
        let after = self.dice.millis(1, 3);
        self.queue(after, Happening::Probed { life, address, by });
    }

    fn written(
        &mut self,
        life: u32,
        token: u64,
        leases: Vec<Lease>,
        gone: Vec<Ipv4Addr>,
        ok: bool,
    ) {
        // A write that was under way when we were killed landed, or did not.
        let lands = if life == self.life {
            ok
        } else {
            self.dice.percent(50)
        };
        if lands {
            for address in gone {
                self.appliance.disk.leases.remove(&address);
            }
            for lease in leases {
                self.appliance.disk.leases.insert(lease.address, lease);
            }
        }
        if life == self.life {
            let effects = self
                .appliance
                .feed(Input::LeasesWritten { token, ok }, self.now);
            self.effects(effects);
        }
    }

    /// What nobody sent who is there: nothing of it is lost.
    fn flood(&mut self, left: usize) {
        for _ in 0..left.min(FLOOD) {
            for datagram in stranger(&mut self.dice) {
                let effects = self.appliance.heard(&datagram, self.now);
                // Nobody hears the answers; what is written is written.
                let real = |reply: &Reply| reply.dst_mac.oui() != appliance::STRANGERS;
                let replies = effects.replies.into_iter().filter(real);
                let replies = replies.filter(|reply| !is_strangers(reply)).collect();
                self.effects(Effects {
                    replies,
                    datagrams: Vec::new(),
                    ..effects
                });
            }
        }
        if left > FLOOD {
            self.queue(Duration::from_millis(100), Happening::Flood(left - FLOOD));
        }
    }

    fn clock_jumps(&mut self) {
        let by = i64::try_from(self.dice.below(86_400)).unwrap_or(0);
        let by = SignedDuration::from_secs(if self.dice.percent(50) { by } else { -by });
        self.tell(|| format!("our clock jumps by {by:?}"));
        self.appliance.jump(by, self.now);
    }

    fn crash(&mut self) {
        self.tell(|| "we are killed and begin anew".to_owned());
        self.life += 1;
        self.crashed.push(self.now);
        self.appliance.crash(self.now);
        self.awake = None;
    }
}

/// A DISCOVER and a request for a file, from one who is not there.
fn stranger(dice: &mut Dice) -> [Datagram; 2] {
    let mut mac = [0; 6];
    mac[..3].copy_from_slice(&appliance::STRANGERS);
    mac[3..].copy_from_slice(&dice.number().to_be_bytes()[1..]);
    let mac = MacAddr::new(mac);
    let (talk, _) = Talk::begin(Kind::Edk2, mac, dice.number(), Duration::ZERO);
    let discover = talk.message(Message::Discover, Duration::ZERO);
    let own = Ipv4Addr::from(0xc0a8_0180 + dice.number() % 64);
    let sent = |src, dst, payload: Vec<u8>| Datagram {
        src_mac: mac,
        dst_mac: appliance::MAC,
        src,
        dst,
        payload: payload.into(),
    };
    let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, 67);
    let request = b"\0\x01snponly.efi\0octet\0blksize\x001468\0".to_vec();
    [
        sent(
            SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
            everybody,
            discover.write(MAX_PAYLOAD),
        ),
        sent(
            SocketAddrV4::new(own, u16::try_from(dice.below(60_000)).unwrap_or(0) + 1_024),
            SocketAddrV4::new(appliance::FLOATING, 69),
            request,
        ),
    ]
}

fn is_strangers(reply: &Reply) -> bool {
    let packet = Packet::read(&reply.payload).ok();
    let mac = packet.and_then(|packet| packet.mac());
    mac.is_some_and(|mac| mac.oui() == appliance::STRANGERS)
}

fn config(scenario: &Scenario) -> NetworkConfig {
    let pool = Pool {
        first: Ipv4Addr::new(192, 168, 1, FIRST_OF_POOL),
        last: Ipv4Addr::new(192, 168, 1, FIRST_OF_POOL + scenario.pool - 1),
    };
    NetworkConfig {
        serve: scenario.serve,
        idle: scenario.idle,
        admit: scenario.admit,
        rungs: scenario.rungs.iter().copied().collect(),
        dhcp: DhcpConfig {
            pool: (scenario.serve == Serve::Server).then_some(pool),
            lease_seconds: 300,
            ..DhcpConfig::default()
        },
        ..NetworkConfig::default()
    }
}
