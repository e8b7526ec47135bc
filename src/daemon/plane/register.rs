//! The first fetch of a script makes a machine of whoever was seen, where its network lets it in; and each fetch of
//! a script takes the order for this boot off the machine's record.

use jiff::Timestamp;
use uuid::Uuid;

use super::adviser::{Adviser, Asked};
use super::orders::{Given, SAME_BOOT};
use crate::core::{Command, Core, Receipt, Refusal};
use crate::model::machine::Source;
use crate::model::network::Admit;
use crate::model::{
    Actor, ActorKind, Arch, Boot, Decision, Evidence, LinkName, MacAddr, Machine, Platform,
};

/// Who asks for its script.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub mac: MacAddr,
    /// What its board says of itself.
    pub uuid: Option<Uuid>,
    pub platform: Option<Platform>,
    pub arch: Option<Arch>,
    pub link: LinkName,
    /// Where it asks from, for the audit log.
    pub from: String,
}

/// What the visitor boots. Where it is sent no agent, it is registered on the way, if it may be: by its card alone, since
/// whoever asks can say any UUID.
pub(super) async fn admit(adviser: &Adviser, visitor: &Visitor) -> Asked {
    let ask = || {
        let Visitor { mac, uuid, .. } = visitor;
        adviser.asked(*mac, *uuid, visitor.platform, &visitor.link)
    };
    let mut asked = ask();
    if asked.machine.is_some() {
        adviser.forget_tries(visitor.mac);
    } else if asked.decision.boot == Boot::Agent {
        adviser.agent_sent(visitor.mac);
    } else if asked.network.config.admit == Admit::Open {
        let command = Command::CheckIn {
            evidence: Evidence::of_macs(visitor.mac, []),
            source: Source::Agent,
        };
        match run(adviser.core(), visitor, command).await {
            Ok(_) => asked = ask(),
            Err(why) => {
                tracing::warn!(mac = %visitor.mac, %why, "machine not registered");
                asked.decision = Decision {
                    boot: Boot::Wait,
                    why: "it could not be registered just now, and tries again",
                };
            }
        }
    }
    take(adviser, visitor, asked).await
}

/// Takes the order off the record before its script leaves. One that cannot be taken off is not given: it would be
/// given again with the next boot.
async fn take(adviser: &Adviser, visitor: &Visitor, mut asked: Asked) -> Asked {
    let given = &adviser.orders;
    let now = adviser.core().clock().now();
    let Some(machine) = &asked.machine else {
        return asked;
    };
    let once = match &asked.decision.boot {
        Boot::Once(once) => Some(once.clone()),
        _ => None,
    };
    let lately = machine
        .boot
        .at
        .is_some_and(|at| now.duration_since(at).abs() < SAME_BOOT);
    if once.is_none() && lately {
        // A machine that asks over and over writes nothing.
        again(given, visitor.mac, now, &mut asked);
        return asked;
    }
    let command = Command::TakeBoot {
        machine: machine.id,
        given: once.clone(),
        agent: asked.decision.boot == Boot::Agent,
        arch: visitor.arch,
        rung: adviser.take_rung(visitor.mac),
    };
    let taken = run(adviser.core(), visitor, command).await;
    match (taken, once) {
        (Ok(_), Some(once)) => given.note(visitor.mac, now, &once),
        (Ok(_), None) => again(given, visitor.mac, now, &mut asked),
        (Err(why), Some(_)) => {
            tracing::warn!(mac = %visitor.mac, %why, "order for this boot not taken off, so not given");
            asked.decision = Decision {
                boot: Boot::Wait,
                why: "its order cannot be written down as given, and it tries again",
            };
        }
        (Err(why), None) => {
            tracing::debug!(mac = %visitor.mac, %why, "boot not written down");
        }
    }
    asked
}

/// The order that it was given a moment ago still holds for this boot, unless the machine was locked since.
fn again(given: &Given, mac: MacAddr, now: Timestamp, asked: &mut Asked) {
    let locked = |machine: &Machine| machine.lock.is_some();
    if asked.machine.as_deref().is_some_and(locked) {
        return;
    }
    if let (Boot::Local | Boot::Silence, Some(once)) =
        (&asked.decision.boot, given.lately(mac, now))
    {
        asked.decision = Decision {
            boot: Boot::Once(once),
            why: "it was told so a moment ago",
        };
    }
}

async fn run(core: &Core, visitor: &Visitor, command: Command) -> Result<Receipt, Refusal> {
    let actor = Actor {
        kind: ActorKind::Machine,
        name: visitor.mac.to_string(),
        from: visitor.from.clone(),
    };
    core.order(actor, command).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use test_case::test_case;

    use super::*;
    use crate::model::{Lock, MachineId, MemorableName, Network, Once};

    #[test_case(Boot::Local, false => Boot::Once(Once::Shell))]
    #[test_case(Boot::Silence, false => Boot::Once(Once::Shell); "on a network that is silent else")]
    #[test_case(Boot::Local, true => Boot::Local; "but not past a lock")]
    fn an_order_that_was_given_is_given_again_in_the_same_boot(boot: Boot, locked: bool) -> Boot {
        let mac = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);
        let (id, now) = (MachineId(uuid::Uuid::nil()), Timestamp::UNIX_EPOCH);
        let name = MemorableName::candidates(mac).next().unwrap();
        let evidence = Evidence::of_macs(mac, []);
        let mut machine = Machine::register(id, &evidence, name, Source::Agent, now);
        machine.lock = locked.then(|| Lock {
            by: "ada".into(),
            at: now,
            reason: None,
        });
        let mut asked = Asked {
            machine: Some(Arc::new(machine)),
            network: Arc::new(Network::new("eth0".parse().unwrap())),
            decision: Decision { boot, why: "" },
        };
        let given = Given::default();
        given.note(mac, now, &Once::Shell);
        again(&given, mac, now, &mut asked);
        asked.decision.boot
    }
}
