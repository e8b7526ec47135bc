//! Commands in, events out.
//!
//! Every change, through whatever door, is a [`Command`] with an actor. It is authorised by the policy table,
//! validated against what is, committed together with the events that it causes, and answered with a
//! [`Receipt`]. Nothing else writes to the store.

pub mod clock;
pub mod command;
pub mod config;
pub mod policy;
pub mod receipt;

pub use clock::{Clock, ManualClock, SystemClock};
pub use command::{Call, Command, IdempotencyKey, MachineRef};
pub use receipt::{NextStep, Receipt, Refusal};
