//! Life after the curtain rises: machines are redeployed, some fail, and all of them recover.
//!
//! Each running machine has a chance of five in a hundred per minute to be redeployed, and the same to fail.
//! What a person locked, put aside or is editing is left alone, and machines that a person added are not ours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::chance::Chance;
use super::story::{begin, call_home, fail};
use super::{Act, Change, DemoError, Stage};
use crate::core::{Core, MachineFilter, Refusal, Sort};
use crate::model::machine::Source;
use crate::model::{Machine, MachineId, StateKind};

/// How often somebody may move.
const BEAT: Duration = Duration::from_secs(5);
/// Five in a hundred per minute, as one in so many per beat.
const ODDS: u64 = 240;
const INSTALLATION: SignedDuration = SignedDuration::from_secs(90);
const RECOVERY: SignedDuration = SignedDuration::from_mins(3);
/// As many machines as one beat looks at; the cast is far smaller, and a person may add to it.
const LOOK: usize = 200;

const TROUBLES: [&str; 4] = [
    "no answer from the agent for 120 s while the image was written: is the cable in?",
    "image debian-13.raw.zst: checksum differs from the one in the template",
    "BMC 192.0.2.7 took the order to restart and did not follow it",
    "link enp65s0f0 went down while the machine was running",
];

/// Plays until it is dropped, or the stage gives way.
pub async fn live(core: Core, stage: Arc<dyn Stage>) -> Result<(), DemoError> {
    let mut life = Life::new();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        beat.tick().await;
        for act in life.beat(&core)? {
            // Somebody else changed the machine in between; the play goes on with the next beat.
            if let Err(error) = stage.play(act).await {
                tracing::debug!(%error, "act left out");
            }
        }
    }
}

struct Life {
    chance: Chance,
    /// Since when each machine has been installing, or broken.
    since: BTreeMap<MachineId, (StateKind, Timestamp)>,
}

impl Life {
    const fn new() -> Self {
        Self {
            chance: Chance::new(0x0d_7a60_4f17),
            since: BTreeMap::new(),
        }
    }

    /// What happens now.
    fn beat(&mut self, core: &Core) -> Result<Vec<Act>, Refusal> {
        let now = core.clock().now();
        let page = core.machines(&MachineFilter::default(), Sort::default(), LOOK, None)?;
        let known = |id: &MachineId| page.items.iter().any(|(machine, _)| machine.id == *id);
        self.since.retain(|id, _| known(id));
        let mut acts = Vec::new();
        for (machine, _) in &page.items {
            if machine.metadata.source != Source::Demo {
                continue;
            }
            core.telemetry().seen(machine.id);
            if let Some(change) = self.turn(machine, now) {
                acts.push(Act::of(machine.id, change));
            }
        }
        Ok(acts)
    }

    fn turn(&mut self, machine: &Machine, now: Timestamp) -> Option<Change> {
        let kind = machine.status.state.kind();
        let waited = self.waited(machine.id, kind, now);
        if machine.lock.is_some() || machine.pending.is_some() {
            return None;
        }
        match kind {
            StateKind::Provisioning if waited >= INSTALLATION => {
                Some(Box::new(move |machine| call_home(machine, now)))
            }
            StateKind::Error if waited >= RECOVERY => Some(Box::new(begin)),
            StateKind::Provisioned => match self.chance.below(ODDS) {
                0 => Some(Box::new(begin)),
                1 => {
                    let which = self.chance.below(TROUBLES.len() as u64);
                    let why = TROUBLES[usize::try_from(which).unwrap_or(0)];
                    Some(Box::new(move |machine| fail(machine, why)))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn waited(&mut self, id: MachineId, kind: StateKind, now: Timestamp) -> SignedDuration {
        let entry = self.since.entry(id).or_insert((kind, now));
        if entry.0 != kind {
            *entry = (kind, now);
        }
        now.duration_since(entry.1)
    }
}
