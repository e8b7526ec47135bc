use std::collections::BTreeSet;

use super::*;
use crate::core::wire::Found;
use crate::model::network::FloatingState;
use crate::net::arp::Operation;
use crate::net::links::LinkAddress;
use jiff::Timestamp;

mod a_conflict;
mod a_restart;
mod the_claim;
mod the_link;
mod two;

const MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 0xee]);
const HOME: Ipv4Addr = at(2);
const PEER: Ipv4Addr = at(250);

const fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 77, last)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A host with its link, its kernel and its record, and everybody else on the wire.
struct Host {
    machine: FloatingIp,
    now: Duration,
    place: Place,
    recorded: Option<Record>,
    /// Others, who answer for their addresses.
    neighbours: Vec<(Ipv4Addr, MacAddr)>,
    /// What left, and when.
    sent: Vec<(Duration, Packet)>,
    /// What was done, but for sending.
    done: Vec<Output>,
    report: Option<Report>,
    store_fails: bool,
    kernel_fails: bool,
}

impl Host {
    fn new(config: Floating) -> Self {
        Self::restarted(config, place(), None)
    }

    fn restarted(config: Floating, place: Place, held: Option<&Held>) -> Self {
        let recorded = held.map(|held| Record {
            address: held.address,
            leaving: held.leaving,
        });
        Self {
            machine: FloatingIp::new(MAC, 7, config, held, place.clone()),
            now: seconds(100),
            place,
            recorded,
            neighbours: Vec::new(),
            sent: Vec::new(),
            done: Vec::new(),
            report: None,
            store_fails: false,
            kernel_fails: false,
        }
    }

    fn with(mut self, neighbours: &[Ipv4Addr]) -> Self {
        self.neighbours = neighbours.iter().map(|address| (*address, OTHER)).collect();
        self
    }

    fn feed(&mut self, input: Input<'_>) {
        let mut todo = self.machine.handle(self.now, input);
        while !todo.is_empty() {
            for output in mem::take(&mut todo) {
                todo.extend(self.perform(output));
            }
        }
    }

    fn perform(&mut self, output: Output) -> Vec<Output> {
        if !matches!(output, Output::Send(_) | Output::Report(_)) {
            self.done.push(output.clone());
        }
        match output {
            Output::Send(packet) => {
                self.sent.push((self.now, packet));
                self.answers(&packet)
            }
            Output::Record(_) if self.store_fails => {
                let result = Err("the disk is full".to_owned());
                self.machine.handle(self.now, Input::Recorded(result))
            }
            Output::Record(record) => {
                self.recorded = record;
                self.machine.handle(self.now, Input::Recorded(Ok(())))
            }
            Output::Add(address) if self.kernel_fails => {
                let result = Err("no such device".to_owned());
                self.machine.handle(self.now, Input::Added(address, result))
            }
            Output::Add(address) => {
                let mine = self.recorded.filter(|record| record.address == address);
                assert!(
                    mine.is_some(),
                    "{address} is put on before it is written down"
                );
                self.place.note(address);
                self.machine.handle(self.now, Input::Added(address, Ok(())))
            }
            Output::Remove(address) => {
                self.place.forget(address);
                Vec::new()
            }
            Output::Report(report) => {
                self.report = Some(report);
                Vec::new()
            }
        }
    }

    fn answers(&mut self, packet: &Packet) -> Vec<Output> {
        if !self.place.running || packet.operation == Operation::Reply {
            return Vec::new();
        }
        let has = |(address, _): &&(Ipv4Addr, MacAddr)| *address == packet.target;
        let Some((address, mac)) = self.neighbours.iter().find(has).copied() else {
            return Vec::new();
        };
        let reply = Packet::reply(mac, address, MAC, packet.sender);
        self.machine.handle(self.now, Input::Arp(&reply))
    }

    /// Lets time pass, tick by tick.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut ticks = 0;
        while let Some(due) = self.machine.next_timer().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.feed(Input::Tick);
            ticks += 1;
            assert!(ticks < 1000, "it ticks without end");
        }
        self.now = end;
    }

    fn settle(mut self) -> Self {
        self.pass(seconds(20));
        self
    }

    fn change(&mut self, change: impl FnOnce(&mut Place)) {
        change(&mut self.place);
        self.feed(Input::Place(self.place.clone()));
    }

    fn hear(&mut self, packet: &Packet) {
        self.feed(Input::Arp(packet));
    }

    fn state(&self) -> FloatingState {
        self.report.as_ref().unwrap().state
    }

    fn text(&self) -> &str {
        &self.report.as_ref().unwrap().text
    }

    /// Our addresses on the link.
    fn on_link(&self) -> Vec<Ipv4Addr> {
        let alone = self
            .place
            .addresses
            .iter()
            .filter(|entry| entry.prefix == 32);
        alone.map(|entry| entry.address).collect()
    }

    fn holds(&self, address: Ipv4Addr) {
        assert_eq!(self.on_link(), [address], "{}", self.text());
        assert_eq!(self.machine.address(), Some(address));
        let record = Record {
            address,
            leaving: None,
        };
        assert_eq!(self.recorded, Some(record));
        assert_eq!(self.state(), FloatingState::Held, "{}", self.text());
        assert_eq!(self.report.as_ref().unwrap().address, Some(address));
    }

    fn holds_nothing(&self, state: FloatingState) {
        assert!(self.on_link().is_empty(), "{}", self.text());
        assert_eq!(self.recorded, None);
        assert_eq!(self.state(), state, "{}", self.text());
    }

    fn announced(&self, address: Ipv4Addr) -> usize {
        let words = Packet::announcement(MAC, address);
        self.sent
            .iter()
            .filter(|(_, packet)| *packet == words)
            .count()
    }
}

fn place() -> Place {
    Place {
        running: true,
        addresses: vec![LinkAddress {
            address: HOME,
            prefix: 24,
        }],
        elsewhere: BTreeSet::new(),
        macs: BTreeSet::from([MAC]),
    }
}

fn place_with(address: Ipv4Addr) -> Place {
    let mut place = place();
    place.note(address);
    place
}

fn auto() -> Floating {
    Floating::default()
}

fn wants(address: Ipv4Addr) -> Floating {
    Floating {
        want: Want::Address(address),
        ..auto()
    }
}

fn held(address: Ipv4Addr) -> Held {
    Held::new(address, Timestamp::UNIX_EPOCH)
}

fn claims(address: Ipv4Addr) -> Packet {
    Packet::announcement(OTHER, address)
}

#[test]
fn takes_the_first_free_address_after_the_hosts_own() {
    let host = Host::new(auto()).with(&[at(3), at(4), at(6)]).settle();
    host.holds(at(5));
    assert_eq!(host.announced(at(5)), 2);
}

#[test]
fn writes_it_down_before_it_puts_it_on_the_link() {
    let host = Host::new(auto()).settle();
    let record = Record {
        address: at(3),
        leaving: None,
    };
    assert_eq!(
        host.done,
        [Output::Record(Some(record)), Output::Add(at(3))]
    );
}

#[test]
fn looks_at_all_candidates_at_the_same_time() {
    let host = Host::new(auto()).settle();
    let first = host.sent[0].0;
    let at_once = host.sent.iter().filter(|(at, _)| *at == first);
    let asked: Vec<_> = at_once.map(|(_, packet)| packet.target).collect();
    assert_eq!(asked, (3..=22).map(at).collect::<Vec<_>>());
}

#[test]
fn probes_as_nobody_and_asks_as_the_host() {
    let host = Host::new(auto()).settle();
    let probes = host.sent.iter().filter(|(_, packet)| packet.is_probe());
    assert_eq!(probes.count(), usize::from(PROBE_NUM));
    let others = host.sent.iter().filter(|(_, packet)| !packet.is_probe());
    for (_, packet) in others {
        assert!(
            packet.sender == HOME || packet.sender == at(3),
            "{packet:?}"
        );
    }
}

#[test]
fn is_had_within_eight_seconds() {
    for seed in 0..100 {
        let mut host = Host::new(auto());
        host.machine = FloatingIp::new(MAC, seed, auto(), None, place());
        host.pass(seconds(8));
        host.holds(at(3));
    }
}

#[test]
fn all_taken_is_said_and_tried_again_every_minute() {
    let taken: Vec<_> = (3..=22).map(at).collect();
    let mut host = Host::new(auto()).with(&taken);
    host.neighbours[0].1 = MacAddr::new([2, 0, 0, 0, 0, 0xdd]);
    host.pass(seconds(20));
    host.holds_nothing(FloatingState::NoneFree);
    let said = "all 20 addresses from 192.168.77.3 to 192.168.77.22 are in use";
    assert!(host.text().contains(said), "{}", host.text());
    host.neighbours.pop();
    host.pass(RATE_LIMIT_INTERVAL);
    host.holds(at(22));
}

#[test]
fn one_that_answers_for_all_is_named() {
    let taken: Vec<_> = (3..=22).map(at).collect();
    let host = Host::new(auto()).with(&taken).settle();
    host.holds_nothing(FloatingState::NoneFree);
    let said = "02:00:00:00:00:ee answers for all 20 addresses";
    assert!(host.text().contains(said), "{}", host.text());
}

#[test]
fn a_wanted_address_is_the_only_one_asked_for() {
    let host = Host::new(wants(at(99))).settle();
    host.holds(at(99));
    assert!(host.sent.iter().all(|(_, packet)| packet.target == at(99)));
}

#[test]
fn a_wanted_address_that_is_taken_is_named_with_its_holder() {
    let host = Host::new(wants(at(99))).with(&[at(99)]).settle();
    host.holds_nothing(FloatingState::NoneFree);
    assert!(
        host.text()
            .contains("192.168.77.99 is in use by 02:00:00:00:00:ee"),
        "{}",
        host.text()
    );
}

#[test]
fn the_hosts_own_address_is_used_as_it_is() {
    let host = Host::new(wants(HOME)).settle();
    assert_eq!(host.machine.address(), Some(HOME));
    assert_eq!(host.state(), FloatingState::Held);
    assert!(host.text().contains("the host's own"), "{}", host.text());
    assert!(
        host.done.is_empty() && host.sent.is_empty(),
        "{:?}",
        host.done
    );
}

#[test]
fn the_hosts_other_addresses_are_never_candidates() {
    let mut host = Host::new(auto());
    host.change(|place| {
        place.elsewhere.insert(at(3));
        place.addresses.push(LinkAddress {
            address: at(4),
            prefix: 24,
        });
        // Not ours, for it is not in the record.
        place.note(at(5));
    });
    let host = host.settle();
    assert_eq!(host.machine.address(), Some(at(6)));
    assert_eq!(host.on_link(), [at(5), at(6)]);
}

#[test]
fn off_asks_for_nothing_and_takes_off_what_was_held() {
    let off = Floating {
        want: Want::Off,
        ..auto()
    };
    let host = Host::new(off.clone()).settle();
    host.holds_nothing(FloatingState::Off);
    assert!(host.sent.is_empty() && host.done.is_empty());

    let mut host = Host::new(auto()).settle();
    host.feed(Input::Config(off));
    host.holds_nothing(FloatingState::Off);
}

/// A daemon that is killed between the two may leave a record too many, but never an address too many.
#[test]
fn takes_an_address_off_before_it_strikes_it_out() {
    let mut host = Host::new(auto()).settle();
    host.done.clear();
    host.feed(Input::Release);
    assert_eq!(host.done, [Output::Remove(at(3)), Output::Record(None)]);
    host.holds_nothing(FloatingState::Released);
    host.pass(seconds(600));
    host.holds_nothing(FloatingState::Released);
}

#[test]
fn after_a_release_it_waits_for_another_wish() {
    let mut host = Host::new(auto()).settle();
    host.feed(Input::Release);
    host.feed(Input::Config(auto()));
    host.pass(seconds(20));
    host.holds_nothing(FloatingState::Released);
    host.feed(Input::Config(wants(at(9))));
    host.pass(seconds(20));
    host.holds(at(9));
}

#[test]
fn waits_for_a_cable_and_for_an_address_of_the_host() {
    let mut host = Host::restarted(auto(), Place::default(), None).settle();
    host.holds_nothing(FloatingState::Waiting);
    assert!(host.text().contains("down"), "{}", host.text());
    host.change(|place| place.running = true);
    host.pass(seconds(20));
    host.holds_nothing(FloatingState::Waiting);
    assert!(host.text().contains("no IPv4 address"), "{}", host.text());
    assert!(host.sent.is_empty());
    host.change(|place| *place = self::place());
    host.pass(seconds(20));
    host.holds(at(3));
}

#[test]
fn the_last_address_of_a_subnet_has_none_after_it() {
    let mut full = place();
    full.addresses[0].address = at(254);
    let host = Host::restarted(auto(), full, None).settle();
    host.holds_nothing(FloatingState::NoneFree);
    assert!(
        host.text()
            .contains("no address after 192.168.77.254 is left"),
        "{}",
        host.text()
    );
}

mod the_other_server {
    use super::*;

    fn offers(host: &mut Host, last: u8) {
        host.feed(Input::Offered {
            server: at(1),
            address: at(last),
        });
    }

    #[test]
    fn gives_out_addresses_around_ours_so_a_person_is_warned() {
        let mut host = Host::new(wants(at(150))).settle();
        offers(&mut host, 100);
        assert_eq!(host.report.as_ref().unwrap().warning, None);
        offers(&mut host, 180);
        let warning = host.report.as_ref().unwrap().warning.clone().unwrap();
        assert!(
            warning.contains("192.168.77.100 to 192.168.77.180"),
            "{warning}"
        );
        host.holds(at(150));
    }

    #[test]
    fn gives_out_others_so_nobody_is_warned() {
        let mut host = Host::new(auto()).settle();
        offers(&mut host, 100);
        offers(&mut host, 180);
        assert_eq!(host.report.unwrap().warning, None);
    }
}

#[test]
fn an_address_outside_of_the_subnet_is_held_with_a_warning() {
    let far = Ipv4Addr::new(10, 9, 9, 9);
    let host = Host::new(wants(far)).settle();
    host.holds(far);
    let warning = host.report.unwrap().warning.unwrap();
    assert!(warning.contains("outside of 192.168.77.0/24"), "{warning}");
}

#[test]
fn an_idle_machine_wakes_for_nothing() {
    let host = Host::new(auto()).settle();
    assert_eq!(host.machine.next_timer(), None);
}

#[test]
fn a_scan_tells_who_has_which() {
    let mut host = Host::new(auto()).settle();
    let mut scan = host.machine.scan(host.now).unwrap();
    let mut asked = 0;
    while let Some(due) = scan.next_timer() {
        host.now = due;
        for packet in scan.tick(host.now) {
            asked += 1;
            if packet.target == at(5) {
                scan.heard(&Packet::reply(OTHER, at(5), MAC, HOME));
            }
        }
    }
    let found = scan.found();
    assert_eq!(found.len(), 20);
    assert_eq!(found[0].found, Found::Own);
    assert_eq!(found[2].found, Found::Taken { by: OTHER });
    assert!(
        found[3..]
            .iter()
            .all(|scanned| scanned.found == Found::Free)
    );
    assert_eq!(asked, 1 + 18 * 3);
}

#[test]
fn a_scan_needs_a_link_with_an_address() {
    let machine = |place| FloatingIp::new(MAC, 1, auto(), None, place);
    let said = machine(Place::default()).scan(Duration::ZERO).unwrap_err();
    assert_eq!(said, "the link is down");
    let bare = Place {
        running: true,
        ..Place::default()
    };
    let said = machine(bare).scan(Duration::ZERO).unwrap_err();
    assert!(said.contains("no IPv4 address"), "{said}");
}
