//! Patches: what absent, null and a value do, and what an applied patch leaves behind.

use test_case::test_case;
use uuid::Uuid;

use super::*;
use crate::model::machine::{BmcConfig, Disk, Source, WorkflowResult};
use crate::model::{Evidence, Lock, MachineId, MemorableName};

fn machine() -> Machine {
    let mac = "52:54:00:12:34:56".parse().unwrap();
    let name = MemorableName::candidates(mac).next().unwrap();
    let id = MachineId(Uuid::from_u128(1));
    let evidence = Evidence::of_macs(mac, []);
    Machine::register(id, &evidence, name, Source::Manual, Timestamp::UNIX_EPOCH)
}

fn patch(json: &str) -> Patch {
    serde_json::from_str(json).unwrap()
}

fn in_state(kind: StateKind) -> Machine {
    let mut machine = machine();
    machine.status.state = by_hand(kind);
    machine
}

#[test]
fn absent_leaves_null_clears_and_a_value_sets() {
    let mut machine = machine();
    patch(r#"{"hostname":"web01","friendly_name":"Ada's"}"#).apply(&mut machine);
    patch("{}").apply(&mut machine);
    assert_eq!(machine.config.hostname.as_ref().unwrap().as_str(), "web01");
    patch(r#"{"hostname":null}"#).apply(&mut machine);
    assert_eq!(machine.config.hostname, None);
    assert_eq!(machine.name(), "Ada's");
    patch(r#"{"friendly_name":null}"#).apply(&mut machine);
    assert_eq!(machine.name(), machine.config.memorable_name.as_str());
}

/// Null was taken for "not given", so clearing all tags did nothing and said nothing.
#[test]
fn null_clears_tags_and_labels() {
    let mut machine = machine();
    patch(r#"{"tags":["web"],"labels":{"owner":"ada"}}"#).apply(&mut machine);
    let clear = patch(r#"{"tags":null,"labels":null}"#);
    assert_eq!(clear.fields(), [Field::Tags, Field::Labels]);
    clear.apply(&mut machine);
    assert!(machine.config.tags.is_empty() && machine.config.labels.is_empty());
}

#[test_case(r#"{"mac":null}"#; "a machine has a card")]
#[test_case(r#"{"status":null}"#; "a machine has a state")]
#[test_case(r#"{"hostnam":"web01"}"#; "unknown field")]
#[test_case(r#"{"hostname":"web_01"}"#; "wrong value")]
#[test_case(r#"{"hostname":7}"#; "wrong type")]
#[test_case(r#"{"tags":"web"}"#; "no list")]
#[test_case(r#"{"tags":["web","WEB "],"tags":[]}"#; "the same field twice")]
#[test_case(r#"{"status":"rebooting"}"#; "unknown state")]
fn what_says_nothing_clear_is_refused(json: &str) {
    assert!(serde_json::from_str::<Patch>(json).is_err());
}

#[test]
fn a_cleared_field_that_waits_is_still_cleared_after_it_was_stored() {
    let mut machine = machine();
    machine.pending = Some(Pending {
        patch: patch(r#"{"hostname":null,"static_ip":null,"os_choice":null,"tags":[]}"#),
        author: "ada".into(),
        at: Timestamp::UNIX_EPOCH,
        base_generation: 1,
    });
    let text = serde_json::to_string(&machine).unwrap();
    let back: Machine = serde_json::from_str(&text).unwrap();
    assert_eq!(back, machine);
    let waiting = back.pending.unwrap().patch;
    assert_eq!(waiting.hostname, Some(None));
    assert_eq!(waiting.fields().len(), 4);
}

#[test]
fn a_machine_with_everything_reads_back() {
    let mut full = machine();
    patch(
        r#"{"hostname":"web01","friendly_name":"Büro","tags":["a","b"],"labels":{"k":"v"},
        "static_ip":"192.0.2.10/24 via 192.0.2.1","vlan":20,
        "bond":"802.3ad:52:54:00:00:00:01,52:54:00:00:00:02","os_choice":"debian-13"}"#,
    )
    .apply(&mut full);
    full.config.wanted_now = Some(1);
    full.config.bmc = serde_json::from_value::<BmcConfig>(json!({
        "address": "192.0.2.9", "username": "root", "password_encrypted": "x", "bmc_type": "redfish"
    }))
    .ok();
    full.status.last_workflow_result = Some(WorkflowResult::Failed {
        error: "disk full".into(),
        failed_at: Timestamp::UNIX_EPOCH,
    });
    full.status.last_seen = Some(Timestamp::UNIX_EPOCH);
    full.hardware.disks.push(Disk {
        device: "/dev/sda".into(),
        size_bytes: u64::MAX,
        serial: Some("s".into()),
        ..Disk::default()
    });
    full.observed.generation = Some(1);
    full.lock = Some(Lock {
        by: "ada".into(),
        at: Timestamp::UNIX_EPOCH,
        reason: None,
    });
    full.metadata.source = Source::Proxmox {
        cluster: "c".into(),
        node: "n".into(),
        vmid: 100,
    };
    assert!(full.config.bmc.is_some());
    let text = serde_json::to_string(&full).unwrap();
    assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), full);
    assert!(!format!("{full:?}").contains("password_encrypted: \"x\""));
}

#[test]
fn a_friendly_name_and_a_confirmed_mac_do_not_wait() {
    let all = r#"{"mac":"52:54:00:00:00:01","friendly_name":"x","hostname":"y","tags":[]}"#;
    let (now, later) = patch(all).split();
    assert_eq!(now.fields(), [Field::Mac, Field::FriendlyName]);
    assert_eq!(later.fields(), [Field::Hostname, Field::Tags]);
    for field in now.fields() {
        assert!(matches!(
            field.settles(),
            Settles::Now | Settles::OnConfirmation
        ));
    }
    for field in later.fields() {
        assert!(matches!(
            field.settles(),
            Settles::OnApply | Settles::OnReimage
        ));
    }
}

#[test]
fn a_chosen_system_makes_ready_and_taking_it_back_unmakes() {
    let mut machine = machine();
    patch(r#"{"os_choice":"debian-13"}"#).apply(&mut machine);
    assert_eq!(machine.status.state, State::Ready);
    patch(r#"{"os_choice":null}"#).apply(&mut machine);
    assert_eq!(machine.status.state, State::Discovered);
}

/// A machine was put back to discovered by hand, its system kept; then a tag was edited, and it was ready.
#[test]
fn an_edit_of_something_else_leaves_the_state_alone() {
    let mut machine = machine();
    patch(r#"{"os_choice":"debian-13"}"#).apply(&mut machine);
    patch(r#"{"status":"discovered"}"#).apply(&mut machine);
    patch(r#"{"tags":["web"]}"#).apply(&mut machine);
    assert_eq!(machine.status.state, State::Discovered);
    let back = patch(r#"{"status":"ready"}"#);
    assert!(back.check(&machine).unwrap().is_some());
    back.apply(&mut machine);
    assert_eq!(machine.status.state, State::Ready);
}

#[test_case(StateKind::Discovered, r#"{"status":"ready"}"#, "none is"; "ready without a system")]
#[test_case(StateKind::Offline, r#"{"status":"provisioned"}"#, "called home"; "never installed")]
#[test_case(StateKind::Ready, r#"{"status":"provisioning"}"#, "cannot become"; "an installation by hand")]
#[test_case(StateKind::Ready, r#"{"status":"error"}"#, "cannot become"; "an error by hand")]
#[test_case(StateKind::Provisioning, r#"{"status":"offline"}"#, "by hand"; "out of an installation")]
fn a_state_that_is_not_true_is_refused(from: StateKind, json: &str, why: &str) {
    let error = patch(json).check(&in_state(from)).unwrap_err();
    assert!(error.reason.contains(why), "{error}");
}

#[test]
fn a_machine_that_once_called_home_may_come_back_from_aside() {
    let mut machine = in_state(StateKind::Offline);
    machine.observed.called_home_at = Some(Timestamp::UNIX_EPOCH);
    let back = patch(r#"{"status":"provisioned"}"#);
    assert!(back.check(&machine).unwrap().is_some());
}

#[test]
fn a_machine_carries_64_tags_and_no_more() {
    let many = |n: usize| (0..n).map(|n| format!("t{n}").parse().unwrap()).collect();
    assert!(check_tags(&many(64)).is_ok());
    assert!(check_tags(&many(65)).is_err());
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn parsed<T: std::str::FromStr<Err = FieldError> + std::fmt::Debug>(
        words: &'static [&'static str],
    ) -> impl Strategy<Value = T> {
        proptest::sample::select(words).prop_map(|word| word.parse().unwrap())
    }

    /// Few values, so that a patch often says what is, or what another patch said.
    fn a_patch() -> impl Strategy<Value = Patch> {
        use proptest::collection::btree_set;
        use proptest::option::{of, weighted};
        let text = (
            of(parsed::<MacAddr>(&[
                "52:54:00:12:34:56",
                "52:54:00:00:00:01",
            ])),
            of(of(parsed(&["web01", "db"]))),
            of(of(parsed(&["Ada", "Büro"]))),
            of(btree_set(parsed(&["a", "b", "c"]), 0..3)),
        );
        let rest = (
            of(proptest::sample::select(vec![
                Labels::default(),
                patch(r#"{"labels":{"k":"v"}}"#).labels.unwrap(),
            ])),
            of(of(parsed(&["192.0.2.10/24", "2001:db8::1/64"]))),
            weighted(0.3, proptest::sample::select(StateKind::ALL.to_vec())),
            of(of(parsed(&["debian-13", "alpine"]))),
            of(of(parsed(&["20", "4094"]))),
            of(of(parsed(&["802.3ad:525400000001,525400000002"]))),
        );
        (text, rest).prop_map(
            |(
                (mac, hostname, friendly_name, tags),
                (labels, static_ip, status, os_choice, vlan, bond),
            )| {
                Patch {
                    mac,
                    hostname,
                    friendly_name,
                    tags,
                    labels,
                    static_ip,
                    vlan,
                    bond,
                    status,
                    os_choice,
                }
            },
        )
    }

    fn fields(patch: &Patch) -> BTreeSet<Field> {
        patch.fields().into_iter().collect()
    }

    proptest! {
        #[test]
        fn a_patch_reads_back_from_what_was_written(one in a_patch()) {
            let text = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(serde_json::from_str::<Patch>(&text).unwrap(), one);
        }

        #[test]
        fn the_parts_of_a_patch_make_it_whole(one in a_patch()) {
            let (now, later) = one.clone().split();
            prop_assert!(fields(&now).is_disjoint(&fields(&later)));
            prop_assert_eq!(now.overlaid(later), one);
        }

        #[test]
        fn laid_over_each_other_the_newer_wins(one in a_patch(), two in a_patch(), three in a_patch()) {
            let both = one.clone().overlaid(two.clone());
            prop_assert_eq!(fields(&both), &fields(&one) | &fields(&two));
            prop_assert_eq!(both.clone().overlaid(two.clone()), both.clone());
            prop_assert_eq!(both.overlaid(three.clone()), one.overlaid(two.overlaid(three)));
        }

        #[test]
        fn the_diff_names_what_is_left_when_what_is_was_taken_out(before in a_patch(), one in a_patch()) {
            let mut machine = machine();
            before.apply(&mut machine);
            let left = one.clone().without_what_is(&machine);
            let named: Vec<_> = one.diff(&machine).into_iter().map(|change| change.field).collect();
            let fields: Vec<_> = left.fields().into_iter().map(|field| field.to_string()).collect();
            prop_assert_eq!(named, fields);
            prop_assert_eq!(left.is_empty(), left.diff(&machine).is_empty());
        }

        #[test]
        fn applied_it_is_what_is(before in a_patch(), one in a_patch()) {
            let mut machine = machine();
            before.apply(&mut machine);
            let stateless = Patch { status: None, ..one };
            stateless.clone().apply(&mut machine);
            prop_assert!(stateless.without_what_is(&machine).is_empty());
        }

        #[test]
        fn checked_and_applied_it_follows_the_table(steps in proptest::collection::vec(a_patch(), 0..8)) {
            let mut machine = machine();
            for one in steps {
                let from = machine.status.state.kind();
                let Ok(arrow) = one.check(&machine) else { continue };
                one.apply(&mut machine);
                let to = machine.status.state.kind();
                if let Some(arrow) = arrow {
                    prop_assert_eq!((arrow.from, arrow.to), (from, to));
                } else if from != to {
                    prop_assert!(state::transition(from, Cause::Choice, to).is_ok());
                }
                prop_assert!(to != StateKind::Ready || machine.config.os_choice.is_some());
            }
        }
    }
}
