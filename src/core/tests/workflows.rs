//! Workflows, from the asking to the call home.

use super::*;
use crate::core::HomeCall;
use crate::model::agent::{Progress, Report, StepNews};
use crate::model::machine::WorkflowResult;
use crate::model::workflow::{Blueprint, Input, Snapshot, State, Step, Taking};
use crate::model::{StateKind, Workflow, WorkflowId};

const HASH: &str = "5ec2e7";

fn blueprint() -> Blueprint {
    let steps = [
        ("write", "image2disk", 600),
        ("home", "call_home", 60),
        ("restart", "reboot", 60),
    ];
    Blueprint {
        template: Snapshot {
            name: "debian-13".into(),
            source: "kind: Template".into(),
        },
        params: std::collections::BTreeMap::new(),
        steps: steps
            .iter()
            .map(|(name, action, seconds)| Step::new(*name, *action, *seconds))
            .collect(),
        timeout_seconds: None,
    }
}

fn start(machine: MachineId) -> Command {
    Command::StartWorkflow {
        machine,
        blueprint: blueprint(),
        confirmed: true,
    }
}

fn home(machine: MachineId, workflow: WorkflowId) -> HomeCall {
    HomeCall {
        machine,
        workflow,
        secret_hash: HASH.into(),
        hostname: Some("web01".parse().unwrap()),
        os: Some("Debian GNU/Linux 13 (trixie)".into()),
        machine_id: None,
        addresses: vec!["10.0.0.7".parse().unwrap()],
        netboot_once: true,
    }
}

impl House {
    async fn start(&self, machine: MachineId) -> WorkflowId {
        let receipt = self.run(start(machine)).await.unwrap();
        let Subject::Workflow(id) = receipt.subject else {
            panic!("{receipt:?}");
        };
        self.core.tend().await.unwrap();
        id
    }

    fn workflow(&self, id: WorkflowId) -> Arc<Workflow> {
        self.core.workflow(id).unwrap().0
    }

    async fn advance(&self, id: WorkflowId, input: Input) -> Result<Receipt, Refusal> {
        self.system(Command::AdvanceWorkflow {
            workflow: id,
            input,
        })
        .await
    }

    async fn take(&self, id: WorkflowId) -> Result<Receipt, Refusal> {
        let attempt = self.workflow(id).attempt + 1;
        let taking = Taking {
            secret_hash: Some(HASH.to_owned()),
            ..Taking::default()
        };
        self.advance(id, Input::AgentTook { attempt, taking }).await
    }

    /// What the agent of the last attempt tells; whether it is to go on.
    async fn hear(&self, id: WorkflowId, step: u32, what: StepNews) -> bool {
        let workflow = self.workflow(id);
        let report = Report {
            workflow: id.0,
            attempt: workflow.attempt,
            step,
            what,
        };
        self.pass(1);
        let heard = self.core.hear(workflow.machine, &report).await.unwrap();
        heard.go_on
    }

    async fn do_all(&self, id: WorkflowId) {
        let count = u32::try_from(self.workflow(id).steps.len()).unwrap();
        for step in 0..count {
            assert!(self.hear(id, step, StepNews::Started).await);
            assert!(self.hear(id, step, done()).await);
        }
    }

    fn kind(&self, id: MachineId) -> StateKind {
        self.machine(id).status.state.kind()
    }
}

fn done() -> StepNews {
    StepNews::Done {
        message: String::new(),
    }
}

fn failed() -> StepNews {
    StepNews::Failed {
        error: "no such disk".into(),
    }
}

#[tokio::test]
async fn a_machine_is_provisioned_when_its_system_has_called_home() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    assert_eq!(house.workflow(id).state, State::Waiting);
    assert_eq!(house.kind(machine), StateKind::Discovered);
    house.take(id).await.unwrap();
    assert_eq!(house.kind(machine), StateKind::Provisioning);
    house.do_all(id).await;
    assert_eq!(house.workflow(id).state, State::WaitingHome);
    assert_eq!(house.kind(machine), StateKind::Provisioning);

    let call = Command::CallHome(home(machine, id));
    house.system(call).await.unwrap();
    let is = house.machine(machine);
    assert_eq!(is.status.state.kind(), StateKind::Provisioned);
    assert_eq!(is.status.current_workflow, None);
    assert!(matches!(
        is.status.last_workflow_result,
        Some(WorkflowResult::Success { .. })
    ));
    assert_eq!(is.observed.generation, Some(is.config.generation));
    assert_eq!(is.observed.hostname.as_ref().unwrap().as_str(), "web01");
    assert!(is.observed.called_home_at.is_some());
    assert_eq!(house.workflow(id).state, State::Success);
    assert!(house.core.active_workflow(machine).unwrap().is_none());
}

#[tokio::test]
async fn a_call_with_another_secret_or_machine_is_no_call() {
    let house = House::new();
    let (machine, other) = (house.add(1).await, house.add(2).await);
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    house.do_all(id).await;
    let wrong = [
        HomeCall {
            secret_hash: "00".into(),
            ..home(machine, id)
        },
        HomeCall {
            machine: other,
            ..home(machine, id)
        },
    ];
    for call in wrong {
        let refused = house.system(Command::CallHome(call)).await.unwrap_err();
        assert!(matches!(refused, Refusal::NotFound { .. }), "{refused:?}");
    }
    assert_eq!(house.workflow(id).state, State::WaitingHome);
}

#[tokio::test]
async fn calls_that_tell_nothing_new_are_written_down_now_and_then() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    house.do_all(id).await;
    let call = || house.system(Command::CallHome(home(machine, id)));
    call().await.unwrap();
    let version = house.version(machine);
    call().await.unwrap();
    assert_eq!(house.version(machine), version);
    house.pass(1800);
    call().await.unwrap();
    assert_eq!(house.version(machine), version + 1);
}

#[tokio::test]
async fn a_failed_step_leaves_the_machine_in_error_with_the_true_cause() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    assert!(house.hear(id, 0, StepNews::Started).await);
    assert!(!house.hear(id, 0, failed()).await);
    let crate::model::State::Error { message } = &house.machine(machine).status.state else {
        panic!("it is no error");
    };
    assert_eq!(message, "write: no such disk");
    assert!(!house.hear(id, 0, done()).await, "it is over");
}

#[tokio::test]
async fn a_system_that_calls_after_its_deadline_is_up_after_all() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    house.do_all(id).await;
    house.pass(1800);
    house.core.tend().await.unwrap();
    assert_eq!(house.workflow(id).state, State::TimedOut);
    assert_eq!(house.kind(machine), StateKind::Error);
    let call = Command::CallHome(home(machine, id));
    house.system(call).await.unwrap();
    assert_eq!(house.kind(machine), StateKind::Provisioned);
}

#[tokio::test]
async fn a_machine_that_never_came_is_left_as_it_was() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    let next = house.core.tend().await.unwrap().unwrap();
    assert!(next > house.clock.now());
    house.pass(24 * 3600);
    house.core.tend().await.unwrap();
    assert_eq!(house.workflow(id).state, State::TimedOut);
    assert_eq!(house.kind(machine), StateKind::Discovered);
    assert!(matches!(
        house.machine(machine).status.last_workflow_result,
        Some(WorkflowResult::Failed { .. })
    ));
}

#[tokio::test]
async fn what_destroys_data_wants_to_be_confirmed() {
    let house = House::new();
    let machine = house.add(1).await;
    let mut command = start(machine);
    if let Command::StartWorkflow { confirmed, .. } = &mut command {
        *confirmed = false;
    }
    let refused = house.run(command).await.unwrap_err();
    assert!(matches!(refused, Refusal::Unconfirmed { .. }));
}

#[tokio::test]
async fn a_locked_machine_one_put_aside_and_one_at_work_are_left_alone() {
    let house = House::new();
    let [locked, aside, busy] = [house.add(1).await, house.add(2).await, house.add(3).await];
    house.run(lock(locked)).await.unwrap();
    house
        .run(set(aside, r#"{"status":"offline"}"#))
        .await
        .unwrap();
    house.run(apply(aside)).await.unwrap();
    house.start(busy).await;
    let refused = house.run(start(locked)).await.unwrap_err();
    assert!(matches!(refused, Refusal::Locked { .. }));
    for (machine, why) in [(aside, "put aside"), (busy, "is at work")] {
        let refused = house.run(start(machine)).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

#[tokio::test]
async fn a_machine_is_not_changed_under_the_hands_of_a_workflow() {
    let house = House::new();
    let (machine, other) = (house.add(1).await, house.add(2).await);
    let id = house.start(machine).await;
    house
        .run(set(machine, r#"{"hostname":"web02"}"#))
        .await
        .unwrap();
    let other_mac = Command::SetMachine {
        machine,
        patch: patch(r#"{"mac":"b4:2e:99:00:00:77"}"#),
        confirmed: true,
    };
    let merge = |keep, absorb| Command::MergeMachines { keep, absorb };
    for command in [
        Command::DeleteMachine { machine },
        apply(machine),
        other_mac,
        merge(machine, other),
        merge(other, machine),
    ] {
        let refused = house.run(command).await.unwrap_err();
        assert!(refused.to_string().contains("is at work"), "{refused}");
    }
    house
        .run(Command::CancelWorkflow { workflow: id })
        .await
        .unwrap();
    house.run(apply(machine)).await.unwrap();
    house.run(Command::DeleteMachine { machine }).await.unwrap();
}

#[tokio::test]
async fn only_so_many_are_at_work_at_once_and_the_next_follows() {
    let house = House::new();
    let limit = Command::SetSetting {
        key: "provision.at_once".parse().unwrap(),
        value: "2".into(),
    };
    house.run(limit).await.unwrap();
    let mut ids = Vec::new();
    for octet in 1..=4 {
        let machine = house.add(octet).await;
        ids.push(house.start(machine).await);
    }
    let states = || ids.iter().map(|id| house.workflow(*id).state);
    let [queued, waiting] = [State::Queued, State::Waiting];
    assert!(states().eq([waiting, waiting, queued, queued]));
    assert!(house.take(ids[2]).await.is_err());
    house.take(ids[0]).await.unwrap();
    house.do_all(ids[0]).await;
    house.core.tend().await.unwrap();
    assert!(states().eq([State::WaitingHome, waiting, waiting, queued]));
}

#[tokio::test]
async fn a_machine_that_does_not_come_keeps_others_waiting_for_a_while_only() {
    let house = House::new();
    let limit = Command::SetSetting {
        key: "provision.at_once".parse().unwrap(),
        value: "1".into(),
    };
    house.run(limit).await.unwrap();
    let (first, second) = (house.add(1).await, house.add(2).await);
    let first = house.start(first).await;
    let second = house.start(second).await;
    house.pass(600);
    house.core.tend().await.unwrap();
    house.take(second).await.unwrap();
    let refused = house.take(first).await.unwrap_err();
    assert!(refused.to_string().contains("the limit"), "{refused}");
}

#[tokio::test]
async fn a_retry_goes_on_where_it_stood() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    house.hear(id, 0, done()).await;
    house.hear(id, 1, failed()).await;
    let retry = |confirmed| Command::RetryWorkflow {
        workflow: id,
        from: None,
        confirmed,
    };
    assert!(matches!(
        house.run(retry(false)).await,
        Err(Refusal::Unconfirmed { .. })
    ));
    house.run(retry(true)).await.unwrap();
    house.core.tend().await.unwrap();
    let (active, _) = house.core.active_workflow(machine).unwrap().unwrap();
    assert_eq!((active.id, active.current()), (id, Some(1)));
    house.take(id).await.unwrap();
    assert!(house.hear(id, 1, done()).await);
    assert_eq!(house.kind(machine), StateKind::Provisioning);
}

#[tokio::test]
async fn only_the_newest_can_be_tried_again() {
    let house = House::new();
    let machine = house.add(1).await;
    let old = house.start(machine).await;
    let cancel = |workflow| Command::CancelWorkflow { workflow };
    house.run(cancel(old)).await.unwrap();
    let new = house.start(machine).await;
    house.run(cancel(new)).await.unwrap();
    let retry = |workflow| Command::RetryWorkflow {
        workflow,
        from: None,
        confirmed: true,
    };
    let refused = house.run(retry(old)).await.unwrap_err();
    assert!(refused.to_string().contains("another workflow since"));
    house.run(retry(new)).await.unwrap();
}

#[tokio::test]
async fn progress_is_kept_in_memory_and_its_bytes_with_the_step() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    house.hear(id, 0, StepNews::Started).await;
    let version = house.core.workflow(id).unwrap().1;
    let progress = Progress {
        bytes_done: 700,
        bytes_total: 1000,
        bytes_per_second: 70,
        phase: "fetching".into(),
    };
    let news = StepNews::Progress(progress.clone());
    assert!(house.hear(id, 0, news).await);
    assert_eq!(house.core.workflow(id).unwrap().1, version);
    let beat = house.core.progress().of(&house.workflow(id)).unwrap();
    assert_eq!(beat.progress, progress);
    house.hear(id, 0, done()).await;
    assert_eq!(house.workflow(id).steps[0].bytes, 700);
    assert!(house.core.progress().of(&house.workflow(id)).is_none());
}

#[tokio::test]
async fn a_report_of_another_machines_workflow_is_not_heard() {
    let house = House::new();
    let (machine, other) = (house.add(1).await, house.add(2).await);
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    let report = Report {
        workflow: id.0,
        attempt: 1,
        step: 0,
        what: done(),
    };
    let heard = house.core.hear(other, &report).await.unwrap();
    assert!(!heard.go_on);
    assert_eq!(house.workflow(id).current(), Some(0));
}

#[tokio::test]
async fn a_workflow_is_found_by_its_id_and_by_its_machine() {
    let house = House::new();
    let machine = house.add(1).await;
    let id = house.start(machine).await;
    let name = house.machine(machine).name().to_owned();
    for word in [id.to_string(), name] {
        assert_eq!(house.core.find_workflow(&word).unwrap().0.id, id);
    }
    assert!(house.core.find_workflow("nobody").is_err());
}

#[tokio::test]
async fn old_ones_go_and_those_that_count_stay() {
    let house = House::new();
    let machine = house.add(1).await;
    let first = house.start(machine).await;
    house.take(first).await.unwrap();
    house.do_all(first).await;
    let call = Command::CallHome(home(machine, first));
    house.system(call).await.unwrap();
    for _ in 0..30 {
        let id = house.start(machine).await;
        let cancel = Command::CancelWorkflow { workflow: id };
        house.run(cancel).await.unwrap();
    }
    house.system(Command::TrimEvents).await.unwrap();
    let left = house.core.counts().unwrap().workflows;
    assert_eq!(left, 21, "twenty, and the one whose system runs");
    assert!(house.core.workflow(first).is_ok());
}

#[tokio::test]
async fn what_happens_is_told_in_order() {
    let house = House::new();
    let machine = house.add(1).await;
    let before = house.count();
    let id = house.start(machine).await;
    house.take(id).await.unwrap();
    house.do_all(id).await;
    let call = Command::CallHome(home(machine, id));
    house.system(call).await.unwrap();
    let names = house.names(before);
    let all = [
        "workflow.started",
        "workflow.moved",
        "workflow.taken",
        "workflow.moved",
        "machine.state_changed",
        "workflow.step",
        "workflow.step",
        "workflow.step",
        "workflow.step",
        "workflow.step",
        "workflow.step",
        "workflow.moved",
        "workflow.ended",
        "machine.state_changed",
        "machine.called_home",
    ];
    assert_eq!(names, all);
}
