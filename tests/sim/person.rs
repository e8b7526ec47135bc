//! The person before each machine of a [`World`]: switches it on, orders a boot, looks what became of it, tries again.

use std::time::Duration;

use dragonfly::model::Boot;
use dragonfly::model::boot::Once;

use crate::dice::Dice;
use crate::firmware::Kind;
use crate::laws::Laws;
use crate::machine::{Deed, End, Event, Got, Machine};
use crate::scenario::Scenario;
use crate::segment::Node;
use crate::wire::Time;
use crate::world::{Happening, World};

/// After a boot that failed a machine stays off until what became of it can be said: an attempt ends with a minute of
/// silence.
const PAUSE: Duration = Duration::from_secs(80);

/// A machine and where its person is with it.
pub struct Seat {
    pub machine: Machine,
    /// Counts alarms and boots, so that an old one is told from a new one.
    pub alarm: u64,
    pub boot: u64,
    pub left: usize,
    pub tries: usize,
    pub on_at: Time,
    pub holds_until: Time,
    /// A question of this boot reached us, one that we could answer.
    pub reached: bool,
    pub failed: Option<&'static str>,
    pub over: bool,
}

impl World {
    pub fn power(&mut self, place: usize) {
        let now = self.now;
        let seat = &mut self.seats[place];
        seat.boot += 1;
        seat.on_at = now;
        seat.reached = false;
        seat.failed = None;
        let (mac, kind) = (seat.machine.mac, seat.machine.kind);
        self.appliance.traces.remove(&mac);
        self.tally.boots += 1;
        // Every second boot is one that a person ordered.
        if self.dice.percent(50)
            && let Some(record) = self.appliance.disk.machines.get_mut(&mac)
        {
            record.boot.once = Some(Once::Shell);
        }
        self.tell(|| format!("{mac} {kind:?} is switched on"));
        self.act(place, Event::On);
    }

    pub fn act(&mut self, place: usize, event: Event<'_>) {
        let deeds = self.seats[place]
            .machine
            .handle(self.now, event, &mut self.dice);
        for deed in deeds {
            self.deed(place, deed);
        }
        if self.seats[place].machine.asked > 3 && self.seats[place].machine.kind.boots() {
            self.laws.break_with("a machine loads iPXE again and again");
        }
    }

    pub fn deed(&mut self, place: usize, deed: Deed) {
        let mac = self.seats[place].machine.mac;
        match deed {
            Deed::Send { src, dst, payload } => {
                self.send(Node::Machine(place), mac, src, dst, payload);
            }
            Deed::Alarm(after) => {
                self.seats[place].alarm += 1;
                let alarm = self.seats[place].alarm;
                self.queue(after, Happening::Alarm(place, alarm));
            }
            Deed::Get(url) => {
                let after = self.dice.millis(5, 400);
                let boot = self.seats[place].boot;
                self.queue(after, Happening::Fetched(place, boot, url));
            }
            Deed::Holds(address, server, seconds) => {
                self.tell(|| format!("{mac} holds {address} from {server} for {seconds} s"));
                self.seats[place].holds_until = self.now + Duration::from_secs(seconds);
                if self.is_squatted(address) {
                    self.laws
                        .break_with("an address is given out that somebody uses");
                }
                self.laws.holds(
                    place,
                    address,
                    server,
                    self.now,
                    &self.seats,
                    self.foreign.as_ref(),
                );
            }
            Deed::Gave => self.seats[place].holds_until = self.now,
            Deed::End(end) => self.end(place, &end),
        }
    }

    pub fn end(&mut self, place: usize, end: &End) {
        let mac = self.seats[place].machine.mac;
        self.tell(|| format!("{mac} ends: {end:?}"));
        // No alarm of this boot rings any more.
        self.seats[place].alarm += 1;
        if let End::Failed(why) = end {
            self.seats[place].failed = Some(*why);
            self.queue(PAUSE, Happening::Reckon(place));
            return;
        }
        if let End::Script(Boot::Once(_)) = end {
            let record = self.appliance.disk.machines.get(&mac);
            if record.is_none_or(|record| record.boot.once.is_some()) {
                self.laws
                    .break_with("an order for one boot outlives that boot");
            }
        }
        let rung = self.appliance.rung(mac);
        let kind = self.seats[place].machine.kind;
        self.tally.ended(kind, end, rung);
        self.seats[place].tries = 0;
        self.seats[place].left -= 1;
        if self.seats[place].left == 0 {
            self.seats[place].over = true;
            self.tally.arrived += 1;
        } else {
            let pause = self.dice.millis(5_000, 120_000);
            self.queue(pause, Happening::Power(place));
        }
    }

    /// What became of a boot that failed: it has to have been said.
    pub fn reckon(&mut self, place: usize) {
        let cause = Laws::cause(&self.seats[place], &self.appliance, &self.crashed, self.now);
        let (mac, failed) = (self.seats[place].machine.mac, self.seats[place].failed);
        self.tell(|| format!("{mac}: {failed:?}; said: {cause:?}"));
        let Some(cause) = cause else {
            let kind = self.seats[place].machine.kind;
            for step in self.appliance.traces.remove(&mac).unwrap_or_default() {
                self.tell(|| {
                    format!(
                        "    {}: {:?} {} ({})",
                        step.at, step.mark, step.text, step.why
                    )
                });
            }
            let clock = self.appliance.clock(self.now);
            self.laws.break_with(&format!(
                "{mac} ({kind:?}) failed without a stated cause at {clock}: {failed:?}"
            ));
            return;
        };
        self.tally.failed(cause);
        self.seats[place].tries += 1;
        if self.seats[place].tries >= self.scenario.tries {
            self.seats[place].over = true;
            let kind = self.seats[place].machine.kind;
            self.tally.gave_up += 1;
            *self.tally.lost.entry(kind).or_default() += 1;
        } else {
            let pause = self.dice.millis(0, 60_000);
            self.queue(pause, Happening::Power(place));
        }
    }

    pub fn fetched(&mut self, place: usize, boot: u64, url: &str) {
        if self.seats[place].boot != boot || !self.seats[place].machine.is_on() {
            return;
        }
        let (mac, fails) = (self.seats[place].machine.mac, self.scenario.faults.http);
        self.tell(|| format!("{mac} fetches {url}"));
        if self.now < self.cut_until || self.dice.percent(fails) {
            self.act(place, Event::Got(Got::Failed));
            return;
        }
        let (got, effects) = self.appliance.get(mac, url, self.now);
        self.seats[place].reached = true;
        self.effects(effects);
        self.act(place, Event::Got(got));
    }
}

pub fn seats(scenario: &Scenario, dice: &mut Dice) -> Vec<Seat> {
    let kinds = scenario.machines.iter();
    let kinds: Vec<Kind> = kinds
        .flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count))
        .collect();
    let first = dice.number() >> 8;
    let seats = kinds.into_iter().zip(first..).map(|(kind, number)| Seat {
        machine: Machine::new(kind, number),
        alarm: 0,
        boot: 0,
        left: scenario.boots,
        tries: 0,
        on_at: Duration::ZERO,
        holds_until: Duration::ZERO,
        reached: false,
        failed: None,
        over: false,
    });
    seats.collect()
}
