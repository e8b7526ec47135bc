//! Who is let in, and who is in which machine.

use super::routes::No;
use super::{Caller, Endpoint};
use crate::core::telemetry::MAX_ENTRY_BYTES;
use crate::core::{Command, Inventory, LetIn, Refusal};
use crate::model::MachineId;
use crate::model::agent::{CheckIn, Hello, OLDEST_PROTOCOL, Order, PROTOCOL, Welcome};
use crate::model::trace::Mark;
use crate::provision::sessions::{Newcomer, Outcome, Session, Speaker};
use crate::provision::tokens::Token;

const TWICE: &str = "its boot token was used by two";
const TWO: &str = "two agents are at work as this machine";
/// Bytes of an agent's own version.
const MAX_VERSION: usize = 64;

impl Endpoint {
    /// An agent shows its token.
    pub(super) async fn hello(&self, caller: &Caller, hello: Hello) -> Result<Welcome, No> {
        let key = caller.key.clone().ok_or_else(no_key)?;
        if !(OLDEST_PROTOCOL..=PROTOCOL).contains(&hello.protocol) {
            return Err(No::wrong(format!(
                "protocol {} is not spoken here, {OLDEST_PROTOCOL} to {PROTOCOL} are",
                hello.protocol
            )));
        }
        let token = self.token(caller, &hello)?;
        let machine = self
            .core
            .machine_by_mac(hello.mac)
            .map_err(|why| later(&why))?;
        let newcomer = Newcomer {
            mac: hello.mac,
            address: caller.address,
            version: words(&hello.version, MAX_VERSION),
            key,
            machine: machine.as_ref().map(|machine| machine.id),
        };
        self.redeem(caller, &token, &newcomer).await?;
        Ok(Welcome {
            protocol: hello.protocol,
            version: env!("CARGO_PKG_VERSION").into(),
            now: self.core.clock().now(),
            name: machine.map_or_else(|| hello.mac.to_string(), |own| own.name().to_owned()),
        })
    }

    /// The token that it shows, when it is ours, of its card, and comes from where it was sent to.
    fn token(&self, caller: &Caller, hello: &Hello) -> Result<Token, No> {
        let (mac, now) = (hello.mac, self.core.clock().now());
        let token = self.tokens.read(&hello.token, mac, now).map_err(|why| {
            tracing::warn!(%mac, from = %caller.address, %why, "agent not let in");
            No::forbidden(why.to_string())
        })?;
        // Its own DHCP may have given it another address than its firmware had.
        let moved = || self.neighbours.mac_at(caller.address) == Some(mac);
        if token.address == caller.address || moved() {
            return Ok(token);
        }
        let why = format!(
            "its token was sent to {}, and came from {}",
            token.address, caller.address
        );
        tracing::warn!(%mac, why, "agent not let in");
        self.note(mac, Mark::AgentRefused, "an agent is not let in", &why);
        Err(No::forbidden(why))
    }

    async fn redeem(&self, caller: &Caller, token: &Token, newcomer: &Newcomer) -> Result<(), No> {
        let mac = newcomer.mac;
        let outcome = self
            .sessions()
            .redeem(token, newcomer, self.core.clock().now());
        match outcome {
            Outcome::Again(_) => Ok(()),
            Outcome::LetIn(session) => {
                if let Some(machine) = session.machine {
                    let agent = told(&session, caller);
                    let let_in = self.run(caller, Command::LetIn { machine, agent }).await;
                    if let Err(why) = let_in {
                        self.sessions().undo(&session);
                        return Err(later(&why));
                    }
                }
                let text = format!("the agent is let in, from {}", caller.address);
                self.note(mac, Mark::AgentLetIn, text, "");
                Ok(())
            }
            Outcome::Replayed { machine } => {
                self.alarm(caller, mac, machine, TWICE).await;
                Err(No::halt(TWICE))
            }
            Outcome::Spent => Err(No::halt("this agent is believed no more")),
            Outcome::Crowded => Err(No::later("too many machines boot just now")),
        }
    }

    /// The session of whoever calls.
    pub(super) async fn session(&self, caller: &Caller) -> Result<Session, No> {
        let key = caller.key.as_ref().ok_or_else(no_key)?;
        let now = self.core.clock().now();
        let speaker = self.sessions().speaker(key, now);
        match speaker {
            Speaker::Known(session) => Ok(session),
            Speaker::Twofold { mac, machine } => {
                self.alarm(caller, mac, machine, TWO).await;
                Err(No::halt(TWO))
            }
            Speaker::Former => Err(No::halt("this agent is believed no more")),
            Speaker::Unknown => Err(No::forbidden("no agent with this key was let in")),
        }
    }

    /// An agent tells what it found.
    pub(super) async fn check_in(
        &self,
        caller: &Caller,
        session: &Session,
        found: CheckIn,
    ) -> Result<Order, No> {
        if found.evidence.primary_mac != session.mac {
            return Err(No::wrong(
                "it booted from another card than its token is for",
            ));
        }
        let mut evidence = found.evidence.bounded();
        // What the boot environment has for one is new with each boot.
        evidence.machine_id = None;
        let inventory = Inventory {
            agent: told(session, caller),
            evidence,
            hardware: found.hardware.bounded(),
        };
        let machine = self.recognise(caller, session, &inventory).await?;
        let now = self.core.clock().now();
        self.sessions().belongs(&session.used.key, machine, now);
        let Some(machine) = machine else {
            let why = "its cards and its UUID belong to different machines, see: dragonfly machine conflicts";
            self.note(session.mac, Mark::AgentCheckIn, "the agent checked in", why);
            return Ok(Order::LocalBoot { why: why.into() });
        };
        if let Some(why) = &found.before {
            let why = words(why, MAX_ENTRY_BYTES);
            tracing::warn!(mac = %session.mac, why, "agent was lost");
            self.orders.lost(machine, &why).await;
        }
        let order = self.order_of(machine).await?;
        let why = match &order {
            Order::Wait { why, .. } | Order::LocalBoot { why } => why,
            _ => "",
        };
        self.note(session.mac, Mark::AgentCheckIn, "the agent checked in", why);
        Ok(order)
    }

    /// Writes down what was found; the machine, unless that is disputed.
    async fn recognise(
        &self,
        caller: &Caller,
        session: &Session,
        inventory: &Inventory,
    ) -> Result<Option<MachineId>, No> {
        let look = || self.core.machine_of(inventory).map_err(|why| later(&why));
        let mut known = look()?.is_some();
        // Who looks like another machine is registered first, and found to be in dispute with it after that.
        for _ in 0..2 {
            let command = Command::RecordInventory(Box::new(inventory.clone()));
            if let Err(why) = self.run(caller, command).await {
                return Err(self.unrecognised(caller, session, inventory, &why).await);
            }
            let machine = look()?;
            if known && machine.is_some() {
                return Ok(machine);
            }
            known = machine.is_some();
        }
        look()
    }

    async fn unrecognised(
        &self,
        caller: &Caller,
        session: &Session,
        inventory: &Inventory,
        why: &Refusal,
    ) -> No {
        let machine = self.core.machine_of(inventory).ok().flatten();
        let busy = machine.filter(|machine| {
            let found = self.core.machine_by_id(*machine);
            found.is_ok_and(|(machine, _)| machine.status.current_workflow.is_some())
        });
        match (busy, why) {
            (Some(_), Refusal::Conflict { reason, .. }) => {
                self.alarm(caller, session.mac, busy, reason).await;
                No::halt(reason.clone())
            }
            _ => later(why),
        }
    }
}

fn told(session: &Session, caller: &Caller) -> LetIn {
    LetIn {
        mac: session.mac,
        version: session.version.clone(),
        from: caller.address.to_string(),
        used: session.used.clone(),
    }
}

fn no_key() -> No {
    No::forbidden("an agent shows a key of its own in the handshake")
}

/// What the store or the rules refuse now may be so later.
pub(super) fn later(why: &Refusal) -> No {
    No::later(why.to_string())
}

/// Printable, and no longer than `max` bytes.
pub(super) fn words(text: &str, max: usize) -> String {
    let escaped = text.chars().flat_map(|c| {
        let plain = !c.is_control();
        plain.then_some(c).into_iter().chain(
            (!plain)
                .then_some(c)
                .into_iter()
                .flat_map(char::escape_default),
        )
    });
    let mut words = String::new();
    for c in escaped {
        if words.len() + c.len_utf8() > max {
            break;
        }
        words.push(c);
    }
    words
}
