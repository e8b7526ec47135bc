//! Whatever is asked in whatever order, some things stay true.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::core::{MachineFilter, ReceiptStatus, Sort};
use crate::model::ActorKind;
use crate::store::Key;

/// A command on the machines that are there, by their places.
#[derive(Clone, Debug)]
enum Step {
    Add(u8, Option<u8>),
    CheckIn(Vec<u8>),
    Set(usize, &'static str, bool),
    Apply(usize, bool),
    Discard(usize),
    Tag(usize, bool),
    Lock(usize, bool),
    Delete(usize),
    Merge(usize, usize),
    Split(usize, u8),
    CallHome(usize),
}

const PATCHES: &[&str] = &[
    "{}",
    r#"{"hostname":"web"}"#,
    r#"{"hostname":null}"#,
    r#"{"hostname":"db","friendly_name":"topaz"}"#,
    r#"{"friendly_name":null}"#,
    r#"{"tags":["rack2"]}"#,
    r#"{"tags":[]}"#,
    r#"{"os_choice":"debian-13"}"#,
    r#"{"os_choice":null}"#,
    r#"{"status":"offline"}"#,
    r#"{"status":"discovered"}"#,
    r#"{"status":"ready"}"#,
    r#"{"status":"provisioned"}"#,
    r#"{"mac":"b4:2e:99:00:00:03"}"#,
    r#"{"mac":"b4:2e:99:00:00:05","static_ip":"192.0.2.10/24"}"#,
];

fn step() -> impl Strategy<Value = Step> {
    let octet = || 1_u8..8;
    let place = || 0_usize..6;
    prop_oneof![
        3 => (octet(), proptest::option::of(octet())).prop_map(|(a, b)| Step::Add(a, b)),
        4 => proptest::collection::vec(octet(), 1..4).prop_map(Step::CheckIn),
        6 => (place(), proptest::sample::select(PATCHES), any::<bool>())
            .prop_map(|(n, patch, yes)| Step::Set(n, patch, yes)),
        4 => (place(), any::<bool>()).prop_map(|(n, now)| Step::Apply(n, now)),
        1 => place().prop_map(Step::Discard),
        2 => (place(), any::<bool>()).prop_map(|(n, on)| Step::Tag(n, on)),
        1 => (place(), any::<bool>()).prop_map(|(n, on)| Step::Lock(n, on)),
        1 => place().prop_map(Step::Delete),
        2 => (place(), place()).prop_map(|(a, b)| Step::Merge(a, b)),
        2 => (place(), octet()).prop_map(|(n, octet)| Step::Split(n, octet)),
        1 => place().prop_map(Step::CallHome),
    ]
}

fn all(house: &House) -> Vec<(Arc<Machine>, u64)> {
    let page = house
        .core
        .machines(&MachineFilter::default(), Sort::default(), 1000, None);
    page.unwrap().items
}

fn command(step: &Step, ids: &[MachineId]) -> Option<Command> {
    let at = |n: usize| ids.get(n % ids.len().max(1)).copied();
    Some(match step {
        Step::Add(octet, other) => Command::AddMachine(AddMachine {
            other_macs: other.iter().copied().map(mac).collect(),
            ..told(*octet)
        }),
        Step::CheckIn(octets) => check_in(octets),
        Step::Set(n, json, confirmed) => Command::SetMachine {
            machine: at(*n)?,
            patch: patch(json),
            confirmed: *confirmed,
        },
        Step::Apply(n, now) => Command::ApplyMachine {
            machine: at(*n)?,
            now: *now,
        },
        Step::Discard(n) => Command::DiscardMachine { machine: at(*n)? },
        Step::Tag(n, true) => tag(at(*n)?, &["rack2"], &[]),
        Step::Tag(n, false) => tag(at(*n)?, &[], &["rack2"]),
        Step::Lock(n, true) => lock(at(*n)?),
        Step::Lock(n, false) => Command::UnlockMachine { machine: at(*n)? },
        Step::Delete(n) => Command::DeleteMachine { machine: at(*n)? },
        Step::Merge(a, b) => Command::MergeMachines {
            keep: at(*a)?,
            absorb: at(*b)?,
        },
        Step::Split(n, octet) => Command::SplitMachine {
            machine: at(*n)?,
            macs: BTreeSet::from([mac(*octet)]),
            uuid: false,
        },
        Step::CallHome(_) => return None,
    })
}

/// Each anchor is one machine's, what waits is something else than what is, and conflicts name who is there.
fn check_state(house: &House) {
    let machines = all(house);
    let mut anchors = BTreeMap::new();
    for (machine, _) in &machines {
        for anchor in machine.identity.anchors() {
            assert_eq!(house.store.find(&anchor).unwrap(), [machine.id]);
            let other = anchors.insert(anchor.clone(), machine.id);
            assert_eq!(other, None, "{anchor}");
        }
        if let Some(pending) = &machine.pending {
            assert!(!pending.patch.is_empty());
            let waits = pending.patch.clone().without_what_is(machine);
            assert_eq!(waits, pending.patch);
            assert!(pending.base_generation <= machine.config.generation);
        }
    }
    let names: BTreeSet<_> = machines
        .iter()
        .map(|(m, _)| m.config.memorable_name.clone())
        .collect();
    assert_eq!(names.len(), machines.len());
    for (conflict, _) in house.core.conflicts().unwrap() {
        let parties = conflict.machines();
        assert!(parties.len() > 1);
        assert!(
            parties
                .iter()
                .all(|id| machines.iter().any(|(m, _)| m.id == *id))
        );
    }
}

/// What is written is told, by whom it was done, and versions leave no gap.
fn check_receipt(
    house: &House,
    call: &Call,
    before: &BTreeMap<MachineId, u64>,
    events: usize,
    result: &Result<Receipt, Refusal>,
) {
    let told = house.events().split_off(events);
    let after: BTreeMap<_, _> = all(house).into_iter().map(|(m, v)| (m.id, v)).collect();
    let Ok(receipt) = result else {
        assert_eq!((told.len(), &after), (0, before));
        return;
    };
    let places: Vec<_> = told
        .iter()
        .map(|e| (e.cursor, e.what.name().to_owned()))
        .collect();
    let (own, followed) = places.split_at(receipt.events.len().min(places.len()));
    assert_eq!(receipt.events, own);
    // What did not fit the command's own commit follows it, and says because of what.
    let because = receipt.events.first().map(|(cursor, _)| *cursor);
    for (event, (_, name)) in told.iter().skip(own.len()).zip(followed) {
        assert_eq!(
            (name.as_str(), event.causation),
            ("conflict.settled", because)
        );
    }
    for (id, version) in &after {
        let old = before.get(id).copied().unwrap_or(0);
        assert!(*version == old || *version == old + 1);
        let tells =
            |e: &&Event| e.subject == Subject::Machine(*id) && e.subject_version == *version;
        assert_eq!(told.iter().any(|e| tells(&e)), *version > old);
    }
    for id in before.keys().filter(|id| !after.contains_key(id)) {
        let gone = told
            .iter()
            .any(|e| e.subject == Subject::Machine(*id) && e.what.name() == "machine.deleted");
        assert!(gone && house.store.get(&Key::Machine(*id)).unwrap().is_none());
    }
    for event in &told {
        assert_eq!(event.actor, call.actor);
        assert_eq!(event.request, call.request);
        let person = call.actor.kind == ActorKind::Person;
        assert_eq!(event.audit, person || event.what.is_audit());
    }
    if receipt.status == ReceiptStatus::Accepted {
        assert!(!told.is_empty());
    } else {
        assert!(told.is_empty());
        assert_eq!(&after, before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_commands_keeps_the_house_in_order(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let house = House::new();
            for step in &steps {
                let before = all(&house);
                let ids: Vec<_> = before.iter().map(|(m, _)| m.id).collect();
                if let (Step::CallHome(n), false) = (step, ids.is_empty()) {
                    house.call_home(ids[n % ids.len()]).await;
                    continue;
                }
                let Some(command) = command(step, &ids) else { continue };
                house.pass(1);
                let wire = matches!(command, Command::CheckIn { .. });
                let actor = if wire { Actor::system("wire") } else { ada() };
                let call = house.call(actor, command);
                let before = before.into_iter().map(|(m, v)| (m.id, v)).collect();
                let events = house.count();
                let result = house.core.run(call.clone()).await;
                assert!(!matches!(result, Err(Refusal::Store(_) | Refusal::Contended)), "{result:?}");
                check_receipt(&house, &call, &before, events, &result);
                check_state(&house);
            }
        });
    }
}
