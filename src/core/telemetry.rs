//! What machines said lately: packets, progress, log lines, and when each was last heard of.
//!
//! Bounded rings in memory, one per machine, beside the store on purpose: a chatty machine costs no sync and no
//! disk, and a power cut loses what nobody promised to keep. The least recently heard machine gives way when there
//! are too many, and who talks too fast is cut short, with a count of what was not kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::model::MachineId;

use super::Clock;
use super::recency::Recency;

/// Machines with a ring. At the limits below that is at most 512 MiB, and in practice a hundredth of it.
pub const MAX_MACHINES: usize = 2048;
/// Machines whose last sign of life is remembered, at about 100 bytes each.
pub const MAX_SEEN: usize = 200_000;
/// Entries in one machine's ring: a boot from DHCP to login is about 300.
pub const MAX_ENTRIES: usize = 1024;
/// Bytes of text in one machine's ring.
pub const MAX_BYTES: usize = 256 * 1024;
/// Bytes of one entry; a longer one is cut.
pub const MAX_ENTRY_BYTES: usize = 4096;
/// Entries that one machine may add at once, and how many it earns back each second.
pub const BURST: u32 = 512;
pub const PER_SECOND: u32 = 100;
/// An agent tells once a second how far it is. Of one step and phase a line is kept this often, or an hour of them would
/// push out all that the machine said beside. Where it is now, [`super::workflows`] knows.
pub const PROGRESS_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Packet,
    Progress,
    Log,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Progress => "progress",
            Self::Log => "log",
        }
    }
}

/// One thing that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: Timestamp,
    pub kind: Kind,
    pub text: Box<str>,
}

/// One machine's ring as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Entries that were not kept since the ring came to be: pushed out by newer ones, or said too fast.
    pub dropped: u64,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub machines: usize,
    pub entries: usize,
    pub bytes: usize,
    /// Entries that were not kept since the start, of all machines.
    pub dropped: u64,
}

/// The rings of all machines. Clones share them.
#[derive(Clone, Debug)]
pub struct Telemetry {
    rings: Arc<Mutex<Rings>>,
    clock: Arc<dyn Clock>,
}

impl Telemetry {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            rings: Arc::default(),
            clock,
        }
    }

    /// A sign of life.
    pub fn seen(&self, machine: MachineId) {
        let now = self.clock.now();
        self.with(|rings| rings.seen.touch(machine, || now, |last| *last = now));
    }

    /// When the machine was last heard of, since the daemon started.
    pub fn last_seen(&self, machine: MachineId) -> Option<Timestamp> {
        self.with(|rings| rings.seen.get(machine).copied())
    }

    /// Keeps one entry, unless the machine talks too fast, or told so of its progress a moment ago. Also a sign of life.
    pub fn note(&self, machine: MachineId, kind: Kind, text: &str) {
        let now = self.clock.now();
        let text = cut(text, MAX_ENTRY_BYTES).into();
        self.with(|rings| {
            rings.seen.touch(machine, || now, |last| *last = now);
            let dropped = rings.talk.touch(
                machine,
                || Ring::new(now),
                |ring| {
                    ring.push(Entry {
                        at: now,
                        kind,
                        text,
                    })
                },
            );
            rings.dropped += dropped;
        });
    }

    /// What the machine said lately, of one kind or of all.
    pub fn recent(&self, machine: MachineId, kind: Option<Kind>) -> Recent {
        let wanted = |entry: &&Entry| kind.is_none_or(|kind| entry.kind == kind);
        self.with(|rings| {
            let ring = rings.talk.get(machine);
            ring.map_or_else(Recent::default, |ring| Recent {
                entries: ring.entries.iter().filter(wanted).cloned().collect(),
                dropped: ring.dropped,
            })
        })
    }

    /// Drops all that is held of a machine.
    pub fn forget(&self, machine: MachineId) {
        self.with(|rings| {
            rings.seen.remove(machine);
            rings.talk.remove(machine);
        });
    }

    pub fn held(&self) -> Held {
        self.with(|rings| {
            let all = || rings.talk.newest_first();
            Held {
                machines: rings.talk.len(),
                entries: all().map(|ring| ring.entries.len()).sum(),
                bytes: all().map(|ring| ring.bytes).sum(),
                dropped: rings.dropped,
            }
        })
    }

    /// Nothing in here panics half way, so a poisoned lock still guards whole rings.
    fn with<T>(&self, work: impl FnOnce(&mut Rings) -> T) -> T {
        work(&mut self.rings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Rings {
    seen: Recency<MachineId, Timestamp>,
    talk: Recency<MachineId, Ring>,
    dropped: u64,
}

impl Default for Rings {
    fn default() -> Self {
        Self {
            seen: Recency::new(MAX_SEEN),
            talk: Recency::new(MAX_MACHINES),
            dropped: 0,
        }
    }
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    dropped: u64,
    /// Entries that may still be added, in thousandths, and when that was true.
    allowance: u64,
    counted_at: Timestamp,
    /// What was told last of progress, and when.
    progress: Option<(Timestamp, Box<str>)>,
}

impl Ring {
    fn new(now: Timestamp) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            allowance: u64::from(BURST) * 1000,
            counted_at: now,
            progress: None,
        }
    }

    /// Returns how many entries were lost by it, this one included.
    fn push(&mut self, entry: Entry) -> u64 {
        let before = self.dropped;
        if entry.kind == Kind::Progress && self.is_known(&entry) {
            return 0;
        }
        if self.may_speak(entry.at) {
            self.bytes += entry.text.len();
            self.entries.push_back(entry);
            while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
                self.bytes -= self.entries.pop_front().map_or(0, |old| old.text.len());
                self.dropped += 1;
            }
        } else {
            self.dropped += 1;
        }
        self.dropped - before
    }

    /// Whether the same was told of this step and phase, which stand before the comma, lately. If not, it is now.
    fn is_known(&mut self, entry: &Entry) -> bool {
        let (what, _) = entry.text.split_once(',').unwrap_or((&entry.text, ""));
        let known = self.progress.as_ref().is_some_and(|(at, told)| {
            **told == *what && entry.at.duration_since(*at).abs() < PROGRESS_EVERY
        });
        if !known {
            self.progress = Some((entry.at, what.into()));
        }
        known
    }

    /// A bucket of tokens. A clock that steps back earns nothing.
    fn may_speak(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.counted_at).as_millis();
        let passed = u64::try_from(passed).unwrap_or(0);
        let earned = passed.saturating_mul(u64::from(PER_SECOND));
        self.counted_at = now;
        self.allowance = self
            .allowance
            .saturating_add(earned)
            .min(u64::from(BURST) * 1000);
        let allowed = self.allowance >= 1000;
        if allowed {
            self.allowance -= 1000;
        }
        allowed
    }
}

/// As much of `text` as fits, never half a character.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::core::ManualClock;

    fn telemetry() -> (Telemetry, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap()));
        (Telemetry::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn machine(clock: &ManualClock) -> MachineId {
        MachineId(clock.new_id())
    }

    #[test]
    fn last_seen_is_the_moment_of_the_last_sign_of_life() {
        let (telemetry, clock) = telemetry();
        let id = machine(&clock);
        assert_eq!(telemetry.last_seen(id), None);
        telemetry.seen(id);
        clock.advance(SignedDuration::from_secs(5));
        telemetry.note(id, Kind::Packet, "DISCOVER");
        assert_eq!(telemetry.last_seen(id), Some(clock.now()));
        telemetry.forget(id);
        assert_eq!(telemetry.last_seen(id), None);
    }

    #[test]
    fn a_ring_keeps_the_newest_entries_and_counts_the_others() {
        let (telemetry, clock) = telemetry();
        let id = machine(&clock);
        for line in 0..MAX_ENTRIES + 10 {
            telemetry.note(id, Kind::Log, &line.to_string());
            clock.advance(SignedDuration::from_millis(10));
        }
        let recent = telemetry.recent(id, None);
        assert_eq!(recent.entries.len(), MAX_ENTRIES);
        assert_eq!(recent.dropped, 10);
        assert_eq!(&*recent.entries[0].text, "10");
        assert!(telemetry.recent(id, Some(Kind::Packet)).entries.is_empty());
    }

    /// A machine whose image took a quarter of an hour had a log of nothing but how far it was.
    #[test]
    fn progress_of_one_phase_is_kept_now_and_then_and_pushes_out_nothing() {
        let (telemetry, clock) = telemetry();
        let id = machine(&clock);
        telemetry.note(id, Kind::Log, "starts");
        for second in 0..3600 {
            let phase = if second < 3000 {
                "writing"
            } else {
                "verifying"
            };
            telemetry.note(
                id,
                Kind::Progress,
                &format!("step 1: {phase}, {second} of 3600 MiB"),
            );
            clock.advance(SignedDuration::from_secs(1));
        }
        let recent = telemetry.recent(id, None);
        assert_eq!(&*recent.entries[0].text, "starts");
        assert_eq!((recent.entries.len(), recent.dropped), (1 + 100 + 20, 0));
        assert_eq!(
            &*recent.entries[101].text,
            "step 1: verifying, 3000 of 3600 MiB"
        );
        assert_eq!(
            telemetry.last_seen(id),
            Some(clock.now() - SignedDuration::from_secs(1))
        );
    }

    #[test]
    fn a_machine_that_talks_too_fast_is_cut_short_and_may_speak_again_later() {
        let (telemetry, clock) = telemetry();
        let id = machine(&clock);
        for _ in 0..BURST + 50 {
            telemetry.note(id, Kind::Log, "again");
        }
        assert_eq!(telemetry.recent(id, None).dropped, 50);
        clock.advance(SignedDuration::from_secs(1));
        telemetry.note(id, Kind::Log, "better");
        assert_eq!(telemetry.recent(id, None).dropped, 50);
        assert_eq!(telemetry.held().dropped, 50);
    }

    #[test]
    fn a_ring_is_bounded_in_bytes_and_a_long_entry_is_cut_between_characters() {
        let (telemetry, clock) = telemetry();
        let id = machine(&clock);
        for _ in 0..200 {
            telemetry.note(id, Kind::Log, &"é".repeat(MAX_ENTRY_BYTES));
        }
        let held = telemetry.held();
        assert!(held.bytes <= MAX_BYTES, "{held:?}");
        let recent = telemetry.recent(id, None);
        assert_eq!(recent.entries[0].text.len(), MAX_ENTRY_BYTES);
    }

    #[test]
    fn the_machine_that_was_heard_longest_ago_gives_way() {
        let (telemetry, clock) = telemetry();
        let first = machine(&clock);
        let second = machine(&clock);
        telemetry.note(first, Kind::Log, "one");
        telemetry.note(second, Kind::Log, "two");
        telemetry.note(first, Kind::Log, "three");
        for _ in 0..MAX_MACHINES - 1 {
            telemetry.note(machine(&clock), Kind::Log, "more");
        }
        assert_eq!(telemetry.held().machines, MAX_MACHINES);
        assert!(telemetry.recent(second, None).entries.is_empty());
        assert_eq!(telemetry.recent(first, None).entries.len(), 2);
    }
}
