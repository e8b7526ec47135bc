//! A person lets a machine in that was seen on the wire.

use crate::core::Refusal;
use crate::core::plan::{Plan, View};
use crate::model::identity::Resolution;
use crate::model::machine::Source;
use crate::model::{Evidence, MacAddr, Sighting};

use super::add::{contested, known, look_up, register};
use super::next_show;

/// Octets that may differ in a MAC that is offered instead.
const CLOSE: usize = 2;
/// As many as are offered.
const OFFERED: usize = 3;

pub(in crate::core) fn plan(view: &View, mac: MacAddr) -> Result<Plan, Refusal> {
    // What a packet said beside its MAC proves nothing; the rest is learnt when the machine checks in.
    let evidence = Evidence::of_macs(mac, []);
    match look_up(view, &evidence)? {
        Resolution::New => {}
        Resolution::Known { machine, by } => return Err(known(view, machine, &by)?),
        Resolution::Conflict { claims, .. } => return Err(contested(view, &claims)?),
    }
    let Some(sighting) = view.core.seen().get(mac) else {
        return Err(unseen(mac, &view.core.seen().list()));
    };
    let (mut plan, machine) = register(view, &evidence, Source::Agent)?;
    if sighting.waiting {
        plan.note("it waits on its screen, and goes on within seconds");
    }
    next_show(&mut plan, &machine);
    plan.put_machine(machine, 0);
    Ok(plan)
}

fn unseen(mac: MacAddr, seen: &[Sighting]) -> Refusal {
    let differ = |other: MacAddr| {
        let pairs = mac.octets().into_iter().zip(other.octets());
        pairs.filter(|(one, other)| one != other).count()
    };
    let mut close: Vec<_> = seen
        .iter()
        .map(|sighting| (differ(sighting.mac), sighting.mac))
        .filter(|(count, _)| *count <= CLOSE)
        .collect();
    close.sort();
    let close: Vec<_> = close
        .iter()
        .take(OFFERED)
        .map(|(_, mac)| mac.to_string())
        .collect();
    let by_hand = format!("register it without having seen it: dragonfly machine add {mac}");
    Refusal::Conflict {
        reason: format!("no machine with MAC {mac} was seen on the wire"),
        hint: if close.is_empty() {
            by_hand
        } else {
            format!("did you mean {}? Or {by_hand}", close.join(" or "))
        },
    }
}
