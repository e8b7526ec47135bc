//! Where boot agents and installed systems speak to the server: HTTP/1.1 with JSON, over TLS 1.3 (`model::agent`).
//!
//! Whoever calls shows a key of its own in the handshake. A hello with a boot token makes the key a session; every other
//! call is heard from a session alone, but the call home of an installed system, which has a secret. What two have who
//! should be one ends in an alarm: its workflow is halted, and none of the two hears anything more.
//!
//! - `serve`: connections, from the first byte to the last. - `seats`: how many. - `routes`: from a request to an answer.
//!   - `hello`, `work`: what is done for it.

mod hello;
mod routes;
mod seats;
mod serve;
mod work;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::identity::{Identity, random};
use super::sessions::Sessions;
use super::tokens::Tokens;
use crate::core::{Command, Core, MachineFilter, Receipt, Refusal, Sort};
use crate::model::agent::{Heard, HomeOrder, HomeReport, Order, Refused, Report};
use crate::model::boot::TOKEN_LIFE;
use crate::model::trace::{Mark, Stage, Step};
use crate::model::{Actor, ActorKind, Digest, MacAddr, Machine, MachineId};

pub use serve::{GRACE, serve};

/// What workflows have for agents, and hear from them.
pub trait Orders: Send + Sync {
    /// What the agent of this machine does now.
    fn order<'a>(&'a self, machine: &'a Machine) -> BoxFuture<'a, Order>;

    /// What became of a step.
    fn report<'a>(
        &'a self,
        machine: MachineId,
        report: &'a Report,
    ) -> BoxFuture<'a, Result<Heard, Refused>>;

    /// An installed system tells that it runs.
    fn home<'a>(
        &'a self,
        report: &'a HomeReport,
        from: IpAddr,
    ) -> BoxFuture<'a, Result<HomeOrder, Refused>>;

    /// The agent that was at work on this machine ended, and another has taken its place.
    fn lost<'a>(&'a self, machine: MachineId, why: &'a str) -> BoxFuture<'a, ()>;

    /// The workflow of this machine does not go on.
    fn halt<'a>(&'a self, machine: MachineId, why: &'a str) -> BoxFuture<'a, ()>;
}

/// What the wire knows of addresses.
pub trait Neighbours: Send + Sync {
    /// Who was heard at this address last.
    fn mac_at(&self, address: IpAddr) -> Option<MacAddr>;
}

/// What a script carries to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub token: String,
    /// SHA-256 of our public key, in hexadecimal.
    pub pin: String,
}

/// All that agents are served with. One for all listeners.
pub struct Endpoint {
    core: Core,
    identity: Identity,
    tokens: Tokens,
    sessions: Mutex<Sessions>,
    orders: Box<dyn Orders>,
    neighbours: Box<dyn Neighbours>,
    seats: Arc<seats::Seats>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Goes on with the sessions that the records of machines tell of.
    pub fn new(
        core: Core,
        identity: Identity,
        orders: Box<dyn Orders>,
        neighbours: Box<dyn Neighbours>,
    ) -> Result<Self, Refusal> {
        let sessions = Mutex::new(restored(&core)?);
        Ok(Self {
            tokens: Tokens::new(identity.secret()),
            core,
            identity,
            sessions,
            orders,
            neighbours,
            seats: Arc::default(),
        })
    }

    /// What lets in the agent of the machine with this card, whose script is sent to `address`. None when nothing was
    /// heard of that card by DHCP lately: who never asked for an address boots nothing.
    pub fn invite(&self, mac: MacAddr, address: IpAddr) -> Option<Invitation> {
        let now = self.core.clock().now();
        let traces = self.core.traces();
        if !traces.heard_lately(mac, Stage::Dhcp, now, TOKEN_LIFE) {
            tracing::warn!(%mac, %address, "no token: no DHCP of this card was heard");
            return None;
        }
        let random = random()?;
        Some(Invitation {
            token: self.tokens.issue(mac, address, now, random),
            pin: self.identity.pin().hex().to_owned(),
        })
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the trace.
    fn note(&self, mac: MacAddr, mark: Mark, text: impl Into<String>, why: &str) {
        let step = Step {
            at: self.core.clock().now(),
            stage: Stage::Agent,
            mark,
            link: None,
            text: text.into(),
            why: why.to_owned(),
        };
        self.core.traces().note(mac, step);
    }

    async fn run(&self, caller: &Caller, command: Command) -> Result<Receipt, Refusal> {
        let actor = Actor {
            kind: ActorKind::Machine,
            name: "agent".into(),
            from: format!("tls {}", caller.address),
        };
        self.core.order(actor, command).await
    }

    /// Somebody else may be at work as this machine: all stops, and people are told.
    async fn alarm(&self, caller: &Caller, mac: MacAddr, machine: Option<MachineId>, why: &str) {
        tracing::error!(%mac, from = %caller.address, why, "ALARM");
        self.note(mac, Mark::AgentAlarm, format!("ALARM: {why}"), "");
        let Some(machine) = machine else { return };
        let now = self.core.clock().now();
        self.sessions().disown_machine(machine, now);
        self.orders.halt(machine, why).await;
        let reason = format!("{why}; the last one spoke from {}", caller.address);
        if let Err(error) = self.run(caller, Command::Alarm { machine, reason }).await {
            tracing::error!(%mac, %error, "alarm not written down");
        }
    }
}

/// Who calls: the key that its handshake proved, if it showed one, and where from.
#[derive(Clone, Debug)]
struct Caller {
    key: Option<Digest>,
    address: IpAddr,
}

/// The sessions of all records.
fn restored(core: &Core) -> Result<Sessions, Refusal> {
    const AT_ONCE: usize = 1000;
    let mut sessions = Sessions::default();
    let mut cursor = None;
    loop {
        let all = MachineFilter::default();
        let page = core.machines(&all, Sort::default(), AT_ONCE, cursor.as_deref())?;
        for (machine, _) in page.items {
            sessions.restore(machine.id, &machine.boot.agent);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(sessions);
        }
    }
}

#[cfg(test)]
mod tests;
