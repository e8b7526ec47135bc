//! The table of states, read as a whole.

use std::collections::BTreeSet;

use test_case::test_case;

use super::*;

#[test]
fn no_arrow_stands_twice_and_none_leads_to_itself() {
    let mut seen = BTreeSet::new();
    for t in TRANSITIONS {
        assert!(seen.insert((t.from, t.cause.to_string(), t.to)), "{t:?}");
        assert_ne!(t.from, t.to, "{t:?}");
        assert!(!t.impact.is_empty(), "{t:?}");
    }
}

#[test]
fn every_state_can_be_reached_from_registration_and_left() {
    let mut reached = BTreeSet::from([StateKind::Discovered]);
    for _ in StateKind::ALL {
        let open = TRANSITIONS.iter().filter(|t| reached.contains(&t.from));
        let next: Vec<_> = open.map(|t| t.to).collect();
        reached.extend(next);
    }
    assert_eq!(reached, BTreeSet::from(StateKind::ALL));
    for kind in StateKind::ALL {
        assert!(
            TRANSITIONS.iter().any(|t| t.from == kind),
            "{kind} is a dead end"
        );
    }
}

#[test]
fn an_installation_ends_well_by_a_call_home_alone() {
    let ends: Vec<_> = TRANSITIONS
        .iter()
        .filter(|t| t.from == StateKind::Provisioning && t.to == StateKind::Provisioned)
        .map(|t| t.cause)
        .collect();
    assert_eq!(ends, [Cause::CallHome]);
}

#[test]
fn provisioning_is_begun_by_a_workflow_alone() {
    for t in TRANSITIONS
        .iter()
        .filter(|t| t.to == StateKind::Provisioning)
    {
        assert_eq!(t.cause, Cause::Workflow, "{t:?}");
    }
}

#[test]
fn no_person_moves_a_machine_into_an_error_or_an_installation_or_out_of_one() {
    for t in TRANSITIONS.iter().filter(|t| t.cause == Cause::Person) {
        assert!(
            !matches!(t.to, StateKind::Error | StateKind::Provisioning),
            "{t:?}"
        );
        assert_ne!(t.from, StateKind::Provisioning, "{t:?}");
    }
}

#[test]
fn what_a_person_put_aside_is_offered_no_work() {
    let work = |t: &&Transition| t.from == StateKind::Offline && t.cause == Cause::Workflow;
    assert_eq!(TRANSITIONS.iter().filter(work).count(), 0);
}

#[test]
fn every_pair_is_either_in_the_table_or_refused_with_a_way_out() {
    for from in StateKind::ALL {
        for to in StateKind::ALL {
            let listed = |t: &&Transition| t.from == from && t.to == to && t.cause == Cause::Person;
            let found = transition(from, Cause::Person, to);
            assert_eq!(found.is_ok(), TRANSITIONS.iter().any(|t| listed(&t)));
            if let Err(error) = found {
                assert_eq!(error.field, "status");
                assert!(error.example.parse::<StateKind>().is_ok());
            }
        }
    }
}

#[test_case("Ready", StateKind::Ready)]
#[test_case(" OFFLINE ", StateKind::Offline)]
fn a_state_is_read_in_any_case(text: &str, kind: StateKind) {
    assert_eq!(text.parse::<StateKind>().unwrap(), kind);
}

#[test]
fn an_unknown_state_is_told_the_known_ones() {
    let error = "gone".parse::<StateKind>().unwrap_err();
    for kind in StateKind::ALL {
        assert!(error.reason.contains(kind.as_str()));
    }
}

#[test]
fn states_read_back_from_what_was_written() {
    let error = State::Error {
        message: "disk \"sda\" is full".into(),
    };
    for state in [
        State::Discovered,
        State::Ready,
        State::Provisioned,
        State::Offline,
        error,
    ] {
        let json = serde_json::to_value(&state).unwrap();
        assert_eq!(json["name"], state.kind().as_str());
        assert_eq!(serde_json::from_value::<State>(json).unwrap(), state);
    }
}
