//! The demo: invented machines with a little history, and a gentle life.
//!
//! It runs on the same core as the real thing, so that all that a person sees and does is true of Dragonfly;
//! only the machines are not. What a machine or a workflow would report, the demo puts on through a [`Stage`],
//! by the same table of states. It holds nothing but memory: no file is written, no packet leaves the machine.

mod cast;
mod chance;
mod clock;
mod life;
mod story;

use futures_util::future::BoxFuture;

use crate::core::Refusal;
use crate::model::state::{Cause, transition};
use crate::model::{Actor, FieldError, Machine, MachineId, State, What};

pub use clock::StoryClock;
pub use life::live;
pub use story::tell;

/// Why the demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("invented machine is not valid: {0}")]
    Invalid(#[from] FieldError),
    #[error("invented machine was refused: {0}")]
    Refused(#[from] Refusal),
    #[error("stage: {0}")]
    Stage(String),
}

/// Changes a machine, and says what happened, if anything did.
pub type Change = Box<dyn FnOnce(&mut Machine) -> Result<Option<What>, FieldError> + Send>;

/// One act of the play: what a machine or a workflow would have reported.
pub struct Act {
    pub machine: MachineId,
    pub actor: Actor,
    pub change: Change,
}

impl Act {
    fn of(
        machine: MachineId,
        change: impl FnOnce(&mut Machine) -> Result<Option<What>, FieldError> + Send + 'static,
    ) -> Self {
        Self {
            machine,
            actor: Actor::system("demo"),
            change: Box::new(change),
        }
    }
}

impl std::fmt::Debug for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Act")
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}

/// Where acts are played: one commit each, with its event.
pub trait Stage: Send + Sync {
    fn play(&self, act: Act) -> BoxFuture<'_, Result<(), DemoError>>;
}

/// Moves `machine` along an arrow of the table of states.
fn move_to(machine: &mut Machine, cause: Cause, to: State) -> Result<Option<What>, FieldError> {
    let from = machine.status.state.kind();
    let arrow = transition(from, cause, to.kind())?;
    machine.status.state = to;
    Ok(Some(What::StateChanged {
        from,
        to: arrow.to,
        impact: arrow.impact.into(),
    }))
}
