//! Turns and deadlines: what no report brings about.

use jiff::{SignedDuration, Timestamp};

use crate::core::{Core, Refusal};
use crate::model::workflow::{Input, State};
use crate::model::{Actor, Workflow};

/// A machine whose turn it is keeps others from theirs for so long; then it may still come, and they go on.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

impl Core {
    /// Gives out turns, ends what is late, and says when to look again if nothing happens before.
    pub async fn tend(&self) -> Result<Option<Timestamp>, Refusal> {
        let now = self.clock().now();
        let active = self.active_workflows()?;
        let limit = self.number("provision.at_once")?;
        let mut at_work = active.iter().filter(|(w, _)| keeps_a_turn(w, now)).count() as u64;
        let mut next: Option<Timestamp> = None;
        let mut look = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
        for (workflow, _) in &active {
            let input = match workflow.state {
                State::Queued if at_work < limit => {
                    at_work += 1;
                    Some(Input::Slot)
                }
                _ => {
                    let due = workflow.deadline().map(|(due, _)| due);
                    due.into_iter()
                        .chain(patience(workflow))
                        .filter(|at| *at > now)
                        .for_each(&mut look);
                    due.filter(|due| *due <= now).map(|_| Input::Tick)
                }
            };
            let Some(input) = input else { continue };
            let actor = Actor::system("workflows");
            match self.advance(actor, workflow.id, input).await {
                Ok(moved) => {
                    let due = moved.deadline().map(|(due, _)| due);
                    due.into_iter().for_each(&mut look);
                }
                // It moved meanwhile; whatever moved it is looked at next.
                Err(Refusal::Conflict { .. } | Refusal::NotFound { .. }) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(next)
    }
}

/// Until when a machine that did not come yet keeps others waiting.
fn patience(workflow: &Workflow) -> Option<Timestamp> {
    let waiting = workflow.state == State::Waiting;
    waiting
        .then(|| workflow.since.checked_add(PATIENCE).ok())
        .flatten()
}

fn keeps_a_turn(workflow: &Workflow, now: Timestamp) -> bool {
    match workflow.state {
        State::Running => true,
        State::Waiting => patience(workflow).is_some_and(|until| until > now),
        _ => false,
    }
}
