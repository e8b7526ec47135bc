//! Two daemons on one wire that loses, delays and repeats: they settle on two addresses.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

/// One daemon with its host.
struct Side {
    machine: FloatingIp,
    mac: MacAddr,
    place: Place,
    starts: Duration,
}

/// What is on its way: when it arrives, at whom, in the order sent.
type OnItsWay = Reverse<(Duration, usize, usize)>;

struct Wire {
    now: Duration,
    sides: [Side; 2],
    packets: Vec<Packet>,
    on_its_way: BinaryHeap<OnItsWay>,
    /// Drawn from again and again.
    fates: Vec<(u8, u16)>,
    /// Every frame gets through from then on.
    calm: Duration,
}

impl Side {
    /// Both count from the same address, so that they want the same ones.
    fn new(number: u8, seed: u64, starts: u16) -> Self {
        let mac = MacAddr::new([2, 0, 0, 0, 0, number]);
        let place = Place {
            macs: BTreeSet::from([mac]),
            ..super::place()
        };
        let machine = FloatingIp::new(mac, seed, auto(), None, place.clone());
        let starts = Duration::from_millis(starts.into());
        Self {
            machine,
            mac,
            place,
            starts,
        }
    }

    fn on_link(&self) -> Option<Ipv4Addr> {
        let mut alone = self
            .place
            .addresses
            .iter()
            .filter(|entry| entry.prefix == 32);
        alone.next_back().map(|entry| entry.address)
    }
}

impl Wire {
    fn new(seeds: [u64; 2], starts: [u16; 2], fates: Vec<(u8, u16)>, calm: Duration) -> Self {
        Self {
            now: Duration::ZERO,
            sides: [
                Side::new(1, seeds[0], starts[0]),
                Side::new(2, seeds[1], starts[1]),
            ],
            packets: Vec::new(),
            on_its_way: BinaryHeap::new(),
            fates,
            calm,
        }
    }

    fn run(&mut self, until: Duration) {
        loop {
            let ticks = self
                .sides
                .iter()
                .enumerate()
                .filter_map(|(side, it)| Some((it.machine.next_timer()?.max(it.starts), side)));
            let tick = ticks.min();
            let arrival = self.on_its_way.peek().map(|Reverse(next)| (next.0, next.2));
            let next = [tick, arrival].into_iter().flatten().min();
            let Some((at, side)) = next.filter(|(at, _)| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            if arrival.is_some_and(|arrival| Some(arrival) <= tick || tick.is_none()) {
                if let Some(Reverse((_, packet, to))) = self.on_its_way.pop() {
                    let packet = self.packets[packet];
                    self.arrive(to, &packet);
                }
            } else {
                self.feed(side, Input::Tick);
            }
        }
    }

    fn arrive(&mut self, to: usize, packet: &Packet) {
        if self.now < self.sides[to].starts {
            return;
        }
        // The kernel answers for what is on the link.
        let side = &self.sides[to];
        let has = side
            .place
            .addresses
            .iter()
            .any(|entry| entry.address == packet.target && entry.prefix == 32);
        if has && packet.operation == Operation::Request && packet.sender != packet.target {
            let reply = Packet::reply(side.mac, packet.target, packet.sender_mac, packet.sender);
            self.send(to, reply);
        }
        self.feed(to, Input::Arp(packet));
    }

    fn feed(&mut self, side: usize, input: Input<'_>) {
        let mut todo = self.sides[side].machine.handle(self.now, input);
        while !todo.is_empty() {
            for output in mem::take(&mut todo) {
                let now = self.now;
                let it = &mut self.sides[side];
                match output {
                    Output::Send(packet) => self.send(side, packet),
                    Output::Record(_) => {
                        todo.extend(it.machine.handle(now, Input::Recorded(Ok(()))));
                    }
                    Output::Add(address) => {
                        it.place.note(address);
                        todo.extend(it.machine.handle(now, Input::Added(address, Ok(()))));
                    }
                    Output::Remove(address) => it.place.forget(address),
                    Output::Report(_) => {}
                }
            }
        }
    }

    fn send(&mut self, from: usize, packet: Packet) {
        self.packets.push(packet);
        let number = self.packets.len() - 1;
        let (fate, delay) = match self.fates.get(number % self.fates.len().max(1)) {
            Some(fate) if self.now < self.calm => *fate,
            _ => (2, 1),
        };
        let to = 1 - from;
        let delay = Duration::from_millis(u64::from(delay) % 300 + 1);
        match fate % 4 {
            0 => {}
            1 => {
                self.on_its_way
                    .push(Reverse((self.now + delay, number, to)));
                self.on_its_way
                    .push(Reverse((self.now + 2 * delay, number, to)));
            }
            _ => self
                .on_its_way
                .push(Reverse((self.now + delay, number, to))),
        }
    }

    /// Ordinary traffic: each asks for somebody, as its floating IP.
    fn talk(&mut self) {
        for side in 0..2 {
            if let Some(address) = self.sides[side].on_link() {
                let words = Packet::request(self.sides[side].mac, address, PEER);
                self.send(side, words);
            }
        }
    }
}

proptest! {
    #[test]
    fn two_that_start_together_settle_on_two_addresses(seeds: [u64; 2], later in 0..9000_u16) {
        let mut wire = Wire::new(seeds, [0, later], Vec::new(), Duration::ZERO);
        wire.run(seconds(60));
        let [one, two] = &wire.sides;
        prop_assert!(one.on_link().is_some() && two.on_link().is_some());
        prop_assert_ne!(one.on_link(), two.on_link());
    }

    #[test]
    fn once_messages_get_through_they_never_stay_on_one_address(
        seeds: [u64; 2],
        starts: [u16; 2],
        fates in proptest::collection::vec(any::<(u8, u16)>(), 1..60),
    ) {
        let calm = seconds(90);
        let mut wire = Wire::new(seeds, starts, fates, calm);
        wire.run(calm);
        for _ in 0..60 {
            wire.talk();
            wire.run(wire.now + seconds(3));
        }
        let [one, two] = &wire.sides;
        prop_assert!(one.on_link().is_some() && two.on_link().is_some());
        prop_assert_ne!(one.on_link(), two.on_link());
    }

    /// Whatever it hears, it neither panics nor ticks without end, and holds one address at most.
    #[test]
    fn no_conversation_breaks_it(script in proptest::collection::vec(any::<(u8, u8, u16)>(), 0..200)) {
        let mut host = Host::new(auto());
        for (what, last, pause) in script {
            let address = at(last % 32);
            match what % 12 {
                0 => host.hear(&claims(address)),
                1 => host.hear(&Packet::probe(OTHER, address)),
                2 => host.hear(&Packet::request(OTHER, PEER, address)),
                3 => host.change(|place| place.running = !place.running),
                4 => host.change(|place| place.forget(address)),
                5 => host.change(|place| {
                    place.addresses.retain(|entry| entry.prefix == 32);
                    place.addresses.insert(0, LinkAddress { address, prefix: 24 });
                }),
                6 => host.feed(Input::Config(wants(address))),
                7 => host.feed(Input::Config(auto())),
                8 => host.store_fails = !host.store_fails,
                9 => host.kernel_fails = !host.kernel_fails,
                10 => host.feed(Input::Release),
                _ => host.feed(Input::Config(Floating { scan: last, on_conflict: OnConflict::Release, ..auto() })),
            }
            host.pass(Duration::from_millis(pause.into()));
            prop_assert!(host.on_link().len() <= 2);
        }
        host.store_fails = false;
        host.kernel_fails = false;
        host.change(|place| place.running = true);
        host.feed(Input::Config(Floating { want: Want::Off, ..auto() }));
        host.pass(seconds(60));
        prop_assert_eq!(host.recorded, None);
        prop_assert!(host.on_link().is_empty());
    }
}
