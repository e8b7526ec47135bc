//! Booting from the network: orders, loaders, who is let in, and what is remembered of a boot.

use super::*;
use crate::core::traces::{BURST, EARNED_EVERY, MAX_MACS, MAX_STEPS, MAX_TEXT, MIN_STRANGERS};
use crate::model::boot::{LoaderChoice, Once};
use crate::model::trace::{Mark, Stage, Step};
use crate::model::{Arch, Rung, Sighting, What};

fn chain(url: &str) -> Once {
    Once::Chain { url: url.into() }
}

fn once(machine: MachineId, once: Option<Once>) -> Command {
    Command::BootOnce { machine, once }
}

fn take(machine: MachineId, given: Option<Once>) -> Command {
    Command::TakeBoot {
        machine,
        given,
        agent: false,
        arch: Some(Arch(7)),
        rung: Some(Rung::Binl),
    }
}

impl House {
    fn step(&self, mark: Mark) -> Step {
        Step {
            at: self.clock.now(),
            stage: Stage::Dhcp,
            mark,
            link: None,
            text: format!("{mark:?}"),
            why: String::new(),
        }
    }

    fn sighting(&self, mac: MacAddr) -> Sighting {
        Sighting::new(mac, "eth0".parse().unwrap(), self.clock.now())
    }
}

fn stranger(number: u32) -> MacAddr {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddr::new([0x02, 0x11, a, b, c, d])
}

#[tokio::test]
async fn an_order_is_given_out_once() {
    let house = House::new();
    let id = house.add(1).await;
    let order = chain("http://10.0.0.9/own.ipxe");
    let receipt = house.run(once(id, Some(order.clone()))).await.unwrap();
    assert_eq!(fields(&receipt), ["boot.once"]);
    assert!(receipt.next[0].command.starts_with("dragonfly boot trace"));
    assert_eq!(house.machine(id).boot.once, Some(order.clone()));
    let again = house.run(once(id, Some(order.clone()))).await.unwrap();
    assert!(again.events.is_empty());

    let taken = house.system(take(id, Some(order.clone()))).await.unwrap();
    assert_eq!(fields(&taken), ["boot.arch", "boot.once", "boot.rung"]);
    let boot = house.machine(id).boot.clone();
    assert_eq!(boot.once, None);
    assert_eq!((boot.arch, boot.rung), (Some(Arch(7)), Some(Rung::Binl)));
    assert_eq!(boot.at, Some(house.clock.now()));
    let What::BootTaken { once, .. } = house.events().pop().unwrap().what else {
        panic!("it is told");
    };
    assert_eq!(once, Some(order));
}

#[tokio::test]
async fn an_order_that_was_written_meanwhile_is_still_to_come() {
    let house = House::new();
    let id = house.add(1).await;
    let (first, second) = (chain("http://10.0.0.9/1"), chain("http://10.0.0.9/2"));
    house.run(once(id, Some(first.clone()))).await.unwrap();
    let receipt = house.run(once(id, Some(second.clone()))).await.unwrap();
    assert!(receipt.notes[0].contains("http://10.0.0.9/1"));
    house.system(take(id, Some(first))).await.unwrap();
    assert_eq!(house.machine(id).boot.once, Some(second));
}

#[tokio::test]
async fn an_order_can_be_called_off_also_where_there_is_none() {
    let house = House::new();
    let id = house.add(1).await;
    let none = house.run(once(id, None)).await.unwrap();
    assert!(none.events.is_empty());
    house.run(once(id, Some(Once::Shell))).await.unwrap();
    house.run(once(id, None)).await.unwrap();
    assert_eq!(house.machine(id).boot.once, None);
    assert_eq!(
        house.names(house.count() - 2),
        ["machine.boot_ordered", "machine.boot_cancelled"]
    );
}

#[tokio::test]
async fn a_locked_machine_takes_no_order_but_its_end() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(once(id, Some(Once::Shell))).await.unwrap();
    house.run(lock(id)).await.unwrap();
    let refused = house.run(once(id, Some(chain("http://10.0.0.9/1")))).await;
    assert!(
        matches!(&refused, Err(Refusal::Locked { reason, .. }) if reason.as_deref() == Some("holds the only backup"))
    );
    house.run(once(id, None)).await.unwrap();
    assert_eq!(house.machine(id).boot.once, None);
}

#[tokio::test]
async fn an_order_that_no_script_can_hold_is_refused() {
    let house = House::new();
    let id = house.add(1).await;
    let refused = house.run(once(id, Some(chain("ftp://10.0.0.9/1")))).await;
    assert!(matches!(refused, Err(Refusal::Field(error)) if error.field == "url"));
    let unknown = MachineId(house.clock.new_id());
    let refused = house.run(once(unknown, Some(Once::Shell))).await;
    assert!(matches!(refused, Err(Refusal::NotFound { .. })));
}

#[tokio::test]
async fn a_machine_that_fetches_its_script_over_and_over_is_written_down_once_a_minute() {
    let house = House::new();
    let id = house.add(1).await;
    house.system(take(id, None)).await.unwrap();
    let count = house.count();
    for _ in 0..10 {
        house.system(take(id, None)).await.unwrap();
    }
    assert_eq!(house.count(), count);
    house.pass(60);
    house.system(take(id, None)).await.unwrap();
    assert_eq!(house.count(), count + 1);
}

#[tokio::test]
async fn a_loader_is_chosen_and_told() {
    let house = House::new();
    let id = house.add(1).await;
    let choose = |loader| Command::SetLoader {
        machine: id,
        loader,
    };
    let receipt = house.run(choose(LoaderChoice::Full)).await.unwrap();
    assert_eq!(fields(&receipt), ["boot.loader"]);
    assert_eq!(house.machine(id).boot.loader, LoaderChoice::Full);
    let again = house.run(choose(LoaderChoice::Full)).await.unwrap();
    assert!(again.events.is_empty());
}

#[tokio::test]
async fn what_the_wire_does_no_person_may() {
    let house = House::new();
    let id = house.add(1).await;
    let step = house.step(Mark::ScriptGiven);
    for command in [
        take(id, None),
        Command::NoteBoot { machine: id, step },
        Command::HoldAddress {
            link: "eth0".parse().unwrap(),
            held: None,
        },
    ] {
        let refused = house.run(command).await;
        assert!(matches!(refused, Err(Refusal::Forbidden { .. })));
    }
}

#[tokio::test]
async fn who_was_seen_is_approved_and_listed_no_more() {
    let house = House::new();
    house.core.seen().note(house.sighting(mac(1)));
    let receipt = house.run(Command::Approve { mac: mac(1) }).await.unwrap();
    let machine = house.machine(subject(&receipt));
    assert_eq!(machine.identity.primary_mac, mac(1));
    assert!(house.core.seen().is_empty());
    let again = house.run(Command::Approve { mac: mac(1) }).await;
    assert!(matches!(again, Err(Refusal::Conflict { reason, .. }) if reason.contains("is known")));
    house.core.seen().note(house.sighting(mac(2)));
    house.system(check_in(&[2])).await.unwrap();
    assert!(house.core.seen().is_empty());
}

#[tokio::test]
async fn who_was_not_seen_is_told_whom_one_may_have_meant() {
    let house = House::new();
    let refused = house
        .run(Command::Approve { mac: mac(1) })
        .await
        .unwrap_err();
    let Refusal::Conflict { hint, .. } = refused else {
        panic!("{refused}")
    };
    assert!(hint.contains(&format!("dragonfly machine add {}", mac(1))));
    assert!(!hint.contains("did you mean"));
    house.core.seen().note(house.sighting(mac(2)));
    house.core.seen().note(house.sighting(stranger(1)));
    let refused = house
        .run(Command::Approve { mac: mac(1) })
        .await
        .unwrap_err();
    let Refusal::Conflict { hint, .. } = refused else {
        panic!("{refused}")
    };
    assert!(
        hint.contains(&format!("did you mean {}?", mac(2))),
        "{hint}"
    );
}

#[tokio::test]
async fn only_so_many_machines_register_by_themselves_within_a_minute() {
    let house = House::new();
    let few = Command::SetSetting {
        key: "boot.registrations_per_minute".parse().unwrap(),
        value: "2".into(),
    };
    house.run(few).await.unwrap();
    let check = |octet| house.by(Actor::system("wire"), check_in(&[octet]));
    check(1).await.unwrap();
    check(2).await.unwrap();
    let refused = check(3).await.unwrap_err();
    let Refusal::Conflict { reason, hint } = refused else {
        panic!("{refused}")
    };
    assert!(reason.starts_with("2 machines"), "{reason}");
    assert!(
        hint.contains("dragonfly settings set boot.registrations_per_minute 4"),
        "{hint}"
    );
    check(1).await.unwrap();
    house.add(4).await;
    house.pass(29);
    check(3).await.unwrap();
}

#[tokio::test]
async fn milestones_of_registered_machines_become_events_until_there_are_many() {
    let house = House::new();
    let id = house.add(1).await;
    let teller = tokio::spawn({
        let core = house.core.clone();
        async move { core.tell_boots().await }
    });
    let before = house.count();
    let traces = house.core.traces();
    traces.note(mac(1), house.step(Mark::Discover));
    traces.note(stranger(1), house.step(Mark::RungChanged));
    for _ in 0..BURST * 2 {
        traces.note(mac(1), house.step(Mark::RungChanged));
    }
    house.pass(i64::from(EARNED_EVERY));
    traces.note(mac(1), house.step(Mark::Stopped));
    let expected = before + BURST as usize + 1;
    for _ in 0..10_000 {
        if house.count() == expected {
            break;
        }
        tokio::task::yield_now().await;
    }
    let names = house.names(before);
    assert_eq!(names, vec!["machine.boot"; BURST as usize + 1]);
    let last = house.events().pop().unwrap();
    assert!(!last.audit && last.subject == Subject::Machine(id));
    assert_eq!(last.subject_version, house.version(id));
    assert_eq!(
        house.core.traces().steps(mac(1), 0).len(),
        2 + 2 * BURST as usize
    );
    house.core.close().await.unwrap();
    teller.await.unwrap();
    house.core.tell_boots().await;
}

#[tokio::test]
async fn a_trace_is_read_on_from_a_number_over_all_cards_and_ends_with_its_machine() {
    let house = House::new();
    let receipt = house.system(check_in(&[1, 2])).await.unwrap();
    let id = subject(&receipt);
    let traces = house.core.traces();
    traces.note(mac(1), house.step(Mark::Discover));
    traces.note(mac(2), house.step(Mark::Offered));
    traces.note(stranger(1), house.step(Mark::Discover));
    traces.note(mac(1), house.step(Mark::Request));
    let marks = |after| {
        let steps = house.core.boot_trace(&house.machine(id), after);
        steps.iter().map(|(_, step)| step.mark).collect::<Vec<_>>()
    };
    assert_eq!(marks(0), [Mark::Discover, Mark::Offered, Mark::Request]);
    assert_eq!(marks(2), [Mark::Request]);
    assert_eq!(*traces.watch().borrow(), 4);
    house
        .run(Command::DeleteMachine { machine: id })
        .await
        .unwrap();
    assert!(traces.steps(mac(1), 0).is_empty() && traces.steps(mac(2), 0).is_empty());
    assert_eq!(traces.held().0, 1);
}

#[tokio::test]
async fn a_flood_of_strangers_leaves_the_traces_of_registered_machines() {
    let house = House::new();
    house.add(1).await;
    let traces = house.core.traces();
    traces.note(mac(1), house.step(Mark::Discover));
    for number in 0..100_000 {
        traces.note(stranger(number), house.step(Mark::Discover));
    }
    assert_eq!(traces.steps(mac(1), 0).len(), 1);
    let (macs, bytes) = traces.held();
    assert_eq!(macs, MAX_MACS);
    assert!(bytes < MAX_MACS * 400, "{bytes} bytes");
    assert!(traces.steps(stranger(99_999), 0).len() == 1 && MIN_STRANGERS < MAX_MACS);
}

#[tokio::test]
async fn a_ring_keeps_the_newest_steps_and_short_texts() {
    let house = House::new();
    let traces = house.core.traces();
    for number in 0..MAX_STEPS + 10 {
        let mut step = house.step(Mark::Discover);
        step.text = format!("{number} {}", "é".repeat(MAX_TEXT));
        traces.note(mac(1), step);
    }
    let steps = traces.steps(mac(1), 0);
    assert_eq!(steps.len(), MAX_STEPS);
    assert!(steps[0].1.text.starts_with("10 ") && steps[0].1.text.len() <= MAX_TEXT);
    let (_, bytes) = traces.held();
    traces.forget(mac(1));
    assert!(bytes > MAX_STEPS * MAX_TEXT && traces.held() == (0, 0));
}

#[tokio::test]
async fn a_stranger_that_is_registered_takes_its_trace_along() {
    let house = House::new();
    let traces = house.core.traces();
    traces.note(mac(1), house.step(Mark::Discover));
    house.system(check_in(&[1])).await.unwrap();
    traces.note(mac(1), house.step(Mark::ScriptGiven));
    assert_eq!(traces.steps(mac(1), 0).len(), 2);
    assert_eq!(traces.held().0, 1);
}

fn named(host: &str, tags: &[&str]) -> crate::model::naming::Named {
    crate::model::naming::Named {
        hostname: host.parse().unwrap(),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
    }
}

#[tokio::test]
async fn a_new_machine_is_named_once_and_never_over_a_persons_edit() {
    let house = House::new();
    let machine = house.add(1).await;
    let name = |named| Command::NameMachine { machine, named };
    let receipt = house
        .system(name(named("web01", &["web", "rack2"])))
        .await
        .unwrap();
    assert_eq!(fields(&receipt), ["hostname", "tags"]);
    assert_eq!(
        house
            .machine(machine)
            .config
            .hostname
            .as_ref()
            .unwrap()
            .as_str(),
        "web01"
    );
    let again = house.system(name(named("db01", &[]))).await.unwrap();
    assert!(again.events.is_empty(), "it has a name");
    assert!(
        house.run(name(named("db01", &[]))).await.is_err(),
        "only the system names"
    );

    let edited = house.add(2).await;
    let patch = serde_json::from_str(r#"{"hostname":"own"}"#).unwrap();
    let set = Command::SetMachine {
        machine: edited,
        patch,
        confirmed: false,
    };
    house.run(set).await.unwrap();
    let machine = edited;
    let late = house
        .system(Command::NameMachine {
            machine,
            named: named("web02", &[]),
        })
        .await
        .unwrap();
    assert!(late.events.is_empty(), "a person was first");
}
