//! The traces of boots: what was seen of each MAC lately, step by step.
//!
//! Bounded rings in memory, beside the store on purpose, as [`super::telemetry`] is. Strangers give way before machines
//! that are registered, so that a flood of invented MACs wipes out nobody's trace. A milestone of a registered machine
//! is an event as well: it is queued here, and [`Core::tell_boots`] writes it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::model::trace::{Stage, Step};
use crate::model::{Actor, Anchor, MacAddr, Machine, MachineId};
use crate::store::Store;

use super::recency::Recency;
use super::{Command, Core};

/// MACs with a ring.
pub const MAX_MACS: usize = 2048;
/// As many strangers keep their rings when registered machines would fill all of it.
pub const MIN_STRANGERS: usize = 256;
/// Steps in one ring: a boot with retries on every rung is about 100.
pub const MAX_STEPS: usize = 256;
/// Bytes of a step's `text`, and of its `why`; what is longer is cut.
pub const MAX_TEXT: usize = 300;
/// Bytes of all rings together; beyond that the oldest go before there are [`MAX_MACS`].
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Milestones that one MAC may tell at once, and seconds until it has earned another. A machine in a boot loop fills
/// its ring, and not the log.
pub const BURST: u32 = 12;
pub const EARNED_EVERY: u32 = 20;
/// Milestones that wait to be written; what comes on top is in the ring alone.
const QUEUE: usize = 1024;

/// What a step costs beside its texts.
const STEP: usize = size_of::<(u64, Step)>();

/// The rings of all MACs.
pub struct Traces {
    store: Arc<dyn Store>,
    rings: Mutex<Rings>,
    moved: watch::Sender<u64>,
    milestones: mpsc::Sender<Milestone>,
    told: Mutex<Option<mpsc::Receiver<Milestone>>>,
}

#[derive(Debug)]
struct Milestone {
    machine: MachineId,
    step: Step,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let (milestones, told) = mpsc::channel(QUEUE);
        Self {
            store,
            rings: Mutex::default(),
            moved: watch::Sender::new(0),
            milestones,
            told: Mutex::new(Some(told)),
        }
    }

    /// Keeps one step. A milestone of a registered machine is told as an event too, unless there were many.
    pub fn note(&self, mac: MacAddr, step: Step) {
        let step = bounded(step);
        let machine = self.registered(mac);
        let milestone = step.mark.is_milestone().then(|| step.clone());
        let (number, may_tell) = self.with(|rings| rings.push(mac, step, machine.is_some()));
        self.moved.send_if_modified(|last| {
            let later = *last < number;
            *last = number.max(*last);
            later
        });
        if let (Some(machine), Some(step), true) = (machine, milestone, may_tell)
            && self
                .milestones
                .try_send(Milestone { machine, step })
                .is_err()
        {
            tracing::debug!(%mac, "milestone of a boot not told: too many wait");
        }
    }

    /// What was seen of a MAC after the step with number `after`, oldest first. Numbers rise, also from MAC to MAC.
    pub fn steps(&self, mac: MacAddr, after: u64) -> Vec<(u64, Step)> {
        self.with(|rings| {
            let ring = rings.known.get(mac).or_else(|| rings.strangers.get(mac));
            let steps = ring.into_iter().flat_map(|ring| &ring.steps);
            steps
                .filter(|(number, _)| *number > after)
                .cloned()
                .collect()
        })
    }

    /// Whether something was seen of a MAC at this stage within `within` of `now`.
    pub fn heard_lately(
        &self,
        mac: MacAddr,
        stage: Stage,
        now: Timestamp,
        within: SignedDuration,
    ) -> bool {
        let lately =
            |step: &Step| step.stage == stage && now.duration_since(step.at).abs() < within;
        self.with(|rings| {
            let ring = rings.known.get(mac).or_else(|| rings.strangers.get(mac));
            ring.is_some_and(|ring| ring.steps.iter().any(|(_, step)| lately(step)))
        })
    }

    /// Drops what is held of a MAC.
    pub fn forget(&self, mac: MacAddr) {
        self.with(|rings| {
            let ring = rings.known.remove(mac).or(rings.strangers.remove(mac));
            rings.bytes -= ring.map_or(0, |ring| ring.bytes);
        });
    }

    /// The number of the last step of all, and a signal each time there is another.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// How many MACs have a ring, and the bytes of all of them.
    pub fn held(&self) -> (usize, usize) {
        self.with(|rings| (rings.known.len() + rings.strangers.len(), rings.bytes))
    }

    /// Who has this MAC. A store that cannot answer makes it a stranger's.
    fn registered(&self, mac: MacAddr) -> Option<MachineId> {
        let found = self.store.find(&Anchor::Mac(mac)).unwrap_or_default();
        found.into_iter().next()
    }

    /// Nothing in here panics half way, so a poisoned lock still guards whole rings.
    fn with<T>(&self, work: impl FnOnce(&mut Rings) -> T) -> T {
        work(&mut self.rings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Core {
    /// The trace of a machine: the steps of all its cards, in their order, after the one with number `after`.
    pub fn boot_trace(&self, machine: &Machine, after: u64) -> Vec<(u64, Step)> {
        let macs = machine.identity.all_macs.iter();
        let steps = macs.flat_map(|mac| self.traces().steps(*mac, after));
        let mut steps: Vec<_> = steps.collect();
        steps.sort_by_key(|(number, _)| *number);
        steps
    }

    /// Writes milestones of boots to the log until the core closes. For one task of the daemon; a second one would
    /// have nothing to do, and ends at once.
    pub async fn tell_boots(&self) {
        let queue = &self.traces().told;
        let queue = queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut queue) = queue else { return };
        let mut closing = self.inner.closing.subscribe();
        loop {
            let milestone = tokio::select! {
                _ = closing.wait_for(|closing| *closing) => return,
                milestone = queue.recv() => milestone,
            };
            let Some(Milestone { machine, step }) = milestone else {
                return;
            };
            let command = Command::NoteBoot { machine, step };
            // Refusals are logged where commands run; a machine may have been deleted meanwhile.
            let _told = self.order(Actor::system("boot"), command).await;
        }
    }
}

/// The same with its texts short enough to be kept.
fn bounded(mut step: Step) -> Step {
    for text in [&mut step.text, &mut step.why] {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
    }
    step
}

#[derive(Debug)]
struct Rings {
    known: Recency<MacAddr, Ring>,
    strangers: Recency<MacAddr, Ring>,
    /// The number of the last step.
    number: u64,
    bytes: usize,
}

impl Default for Rings {
    fn default() -> Self {
        Self {
            known: Recency::new(MAX_MACS),
            strangers: Recency::new(MAX_MACS),
            number: 0,
            bytes: 0,
        }
    }
}

impl Rings {
    /// Returns the step's number, and whether it may be told as an event.
    fn push(&mut self, mac: MacAddr, step: Step, known: bool) -> (u64, bool) {
        self.number += 1;
        let number = self.number;
        let (list, other) = if known {
            (&mut self.known, &mut self.strangers)
        } else {
            (&mut self.strangers, &mut self.known)
        };
        // A stranger that was registered takes its trace along, and the other way round.
        let before = other.remove(mac);
        let now = step.at;
        let (grown, may_tell) = list.touch(
            mac,
            || before.unwrap_or_else(|| Ring::new(now)),
            |ring| {
                let old = ring.bytes;
                let may_tell = step.mark.is_milestone() && ring.may_tell(now);
                ring.push(number, step);
                (ring.bytes.cast_signed() - old.cast_signed(), may_tell)
            },
        );
        self.bytes = self.bytes.saturating_add_signed(grown);
        self.make_room();
        (number, may_tell)
    }

    fn make_room(&mut self) {
        while self.known.len() + self.strangers.len() > MAX_MACS || self.bytes > MAX_BYTES {
            let gone = if self.strangers.len() > MIN_STRANGERS || self.known.len() == 0 {
                self.strangers.pop_oldest()
            } else {
                self.known.pop_oldest()
            };
            let Some((_, ring)) = gone else { return };
            self.bytes -= ring.bytes;
        }
    }
}

#[derive(Debug)]
struct Ring {
    steps: VecDeque<(u64, Step)>,
    bytes: usize,
    /// Milestones that may still be told, in shares of [`EARNED_EVERY`], and when that was true.
    allowance: u64,
    counted_at: Timestamp,
}

impl Ring {
    fn new(now: Timestamp) -> Self {
        Self {
            steps: VecDeque::new(),
            bytes: 0,
            allowance: u64::from(BURST * EARNED_EVERY),
            counted_at: now,
        }
    }

    fn push(&mut self, number: u64, step: Step) {
        let cost = |step: &Step| STEP + step.text.len() + step.why.len();
        self.bytes += cost(&step);
        self.steps.push_back((number, step));
        if self.steps.len() > MAX_STEPS
            && let Some((_, old)) = self.steps.pop_front()
        {
            self.bytes -= cost(&old);
        }
    }

    /// A bucket of tokens, one share a second. A clock that steps back earns nothing.
    fn may_tell(&mut self, now: Timestamp) -> bool {
        let passed = u64::try_from(now.duration_since(self.counted_at).as_secs()).unwrap_or(0);
        if passed > 0 || now < self.counted_at {
            self.counted_at = now;
        }
        let full = u64::from(BURST * EARNED_EVERY);
        self.allowance = self.allowance.saturating_add(passed).min(full);
        let price = u64::from(EARNED_EVERY);
        let may = self.allowance >= price;
        if may {
            self.allowance -= price;
        }
        may
    }
}
