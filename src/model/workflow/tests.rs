//! What a workflow does, told as it happens to one.

use jiff::{SignedDuration, Timestamp};
use test_case::test_case;

use super::*;

mod properties;

/// Four steps as an installation has them.
pub(super) fn installation() -> Workflow {
    let steps = [
        ("write", "image2disk", 600),
        ("name", "writefile", 60),
        ("home", "call_home", 60),
        ("restart", "reboot", 60),
    ];
    workflow(&steps)
}

pub(super) fn workflow(steps: &[(&str, &str, u64)]) -> Workflow {
    let mut workflow = drawing::sample(true);
    let steps = steps.iter();
    workflow.steps = steps
        .map(|(name, action, seconds)| Step::new(*name, *action, *seconds))
        .collect();
    workflow.limits = Limits {
        come: 3600,
        steps: 7200,
        home: 900,
    };
    workflow
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn took(attempt: u32) -> Input {
    Input::AgentTook {
        attempt,
        taking: Taking {
            secret_hash: Some(format!("hash {attempt}")),
            ..Taking::default()
        },
    }
}

fn started(attempt: u32, step: usize) -> Input {
    Input::StepStarted { attempt, step }
}

fn done(attempt: u32, step: usize) -> Input {
    Input::StepDone {
        attempt,
        step,
        message: "so".into(),
        bytes: 7,
    }
}

fn failed(attempt: u32, step: usize) -> Input {
    Input::StepFailed {
        attempt,
        step,
        error: "no such disk".into(),
    }
}

/// Brought to where the agent of attempt 1 is in its first step.
fn at_work() -> Workflow {
    let mut workflow = installation();
    for input in [Input::Slot, took(1), started(1, 0)] {
        workflow.handle(at(10), input).unwrap();
    }
    workflow
}

/// All steps done, one second each.
fn written() -> Workflow {
    let mut workflow = at_work();
    for step in 0..4 {
        let now = at(11 + i64::try_from(step).unwrap());
        workflow.handle(now, started(1, step)).unwrap();
        workflow.handle(now, done(1, step)).unwrap();
    }
    workflow
}

#[test]
fn an_installation_succeeds_when_its_system_has_called_home() {
    let mut workflow = written();
    assert_eq!(workflow.state, State::WaitingHome);
    assert!(workflow.steps.iter().all(super::Step::is_done));
    workflow.handle(at(60), Input::HomeCalled).unwrap();
    assert_eq!(workflow.state, State::Success);
    assert_eq!(workflow.took(at(999)), Some(SignedDuration::from_secs(50)));
    assert_eq!(workflow.handle(at(61), Input::HomeCalled), Ok(Vec::new()));
}

#[test]
fn what_installs_nothing_succeeds_with_its_last_step() {
    let mut workflow = workflow(&[("wipe", "erase", 60)]);
    for input in [Input::Slot, took(1), started(1, 0), done(1, 0)] {
        workflow.handle(at(1), input).unwrap();
    }
    assert_eq!(workflow.state, State::Success);
}

#[test]
fn a_later_agent_goes_on_behind_what_is_done() {
    let mut workflow = at_work();
    workflow.handle(at(20), done(1, 0)).unwrap();
    workflow.handle(at(21), started(1, 1)).unwrap();
    workflow.handle(at(30), took(2)).unwrap();
    assert_eq!(workflow.current(), Some(1));
    assert_eq!(workflow.steps[1].status, StepStatus::Pending);
    let old = workflow.handle(at(31), done(1, 1)).unwrap_err();
    assert_eq!(old, Refused::OtherAttempt { told: 1, now: 2 });
    workflow.handle(at(32), started(2, 1)).unwrap();
    assert_eq!(workflow.steps[1].attempts, 2);
}

#[test]
fn a_step_that_costs_three_agents_is_given_up() {
    let mut workflow = at_work();
    for attempt in 2..=3 {
        workflow.handle(at(20), took(attempt)).unwrap();
        workflow.handle(at(21), started(attempt, 0)).unwrap();
    }
    workflow.handle(at(22), took(4)).unwrap();
    assert_eq!(workflow.state, State::Failed);
    assert!(workflow.error.unwrap().starts_with("write: 3 agents"));
}

#[test]
fn how_the_last_of_them_ended_is_told() {
    let mut workflow = at_work();
    let lost = |why: &str| Input::AgentLost { why: why.into() };
    for attempt in 2..=3 {
        workflow.handle(at(20), lost("SIGKILL")).unwrap();
        assert_eq!(workflow.steps[0].message.as_deref(), Some("SIGKILL"));
        workflow.handle(at(20), took(attempt)).unwrap();
        workflow.handle(at(21), started(attempt, 0)).unwrap();
        assert_eq!(workflow.steps[0].message, None);
    }
    workflow.handle(at(22), lost("no memory")).unwrap();
    workflow.handle(at(22), took(4)).unwrap();
    let error = workflow.error.unwrap();
    assert!(error.ends_with("; of the last: no memory"), "{error}");
}

#[test]
fn between_two_steps_no_agent_is_lost_in_one() {
    let mut workflow = at_work();
    workflow.handle(at(20), done(1, 0)).unwrap();
    let why = "SIGKILL".into();
    workflow.handle(at(21), Input::AgentLost { why }).unwrap();
    assert_eq!(workflow.steps[0].message.as_deref(), Some("so"));
    assert_eq!(workflow.steps[1].message, None);
}

#[test]
fn an_agent_that_is_here_again_shows_that_the_reboot_was_carried_out() {
    let mut workflow = at_work();
    for step in 0..3 {
        workflow.handle(at(20), done(1, step)).unwrap();
    }
    workflow.handle(at(21), started(1, 3)).unwrap();
    workflow.handle(at(60), took(2)).unwrap();
    assert_eq!(workflow.state, State::WaitingHome);
    assert_eq!(workflow.attempt, 1);
}

#[test]
fn a_call_home_shows_it_too() {
    let mut workflow = at_work();
    for step in 0..3 {
        workflow.handle(at(20), done(1, step)).unwrap();
    }
    workflow.handle(at(60), Input::HomeCalled).unwrap();
    assert_eq!(workflow.state, State::Success);
}

#[test]
fn a_system_that_is_not_whole_yet_proves_nothing() {
    let mut workflow = at_work();
    assert!(workflow.handle(at(20), Input::HomeCalled).is_err());
    assert_eq!(workflow.state, State::Running);
}

#[test]
fn the_secret_on_the_disk_is_kept() {
    let mut workflow = at_work();
    workflow.handle(at(20), took(2)).unwrap();
    for step in 0..3 {
        workflow.handle(at(21), done(2, step)).unwrap();
    }
    workflow.handle(at(30), took(3)).unwrap();
    assert_eq!(workflow.home.unwrap().secret_hash, "hash 2");
}

#[test_case(started(1, 0); "a start")]
#[test_case(took(1); "a taking")]
fn what_comes_twice_changes_nothing(input: Input) {
    let mut workflow = at_work();
    let before = workflow.clone();
    let again = workflow.handle(at(99), input);
    assert!(matches!(again, Ok(moved) if moved.is_empty()) || workflow == before);
    assert_eq!(workflow, before);
}

#[test]
fn an_end_that_is_told_twice_changes_nothing() {
    let mut workflow = written();
    let before = workflow.clone();
    assert_eq!(workflow.handle(at(99), done(1, 3)), Ok(Vec::new()));
    assert_eq!(workflow, before);
    let mut workflow = at_work();
    workflow.handle(at(20), failed(1, 0)).unwrap();
    assert_eq!(workflow.handle(at(21), failed(1, 0)), Ok(Vec::new()));
}

#[test_case(done(1, 1), "step 1 is not done"; "a step too far")]
#[test_case(done(2, 0), "attempt 1 has the work"; "an attempt that never was")]
#[test_case(done(1, 9), "there are 4"; "a step that is none")]
#[test_case(took(7), "attempt 1 has the work"; "a taking out of turn")]
fn what_is_out_of_order_is_refused_with_a_reason(input: Input, why: &str) {
    let mut workflow = at_work();
    let before = workflow.clone();
    let refused = workflow.handle(at(20), input).unwrap_err();
    assert!(refused.to_string().contains(why), "{refused}");
    assert_eq!(workflow, before);
}

#[test]
fn nobody_takes_what_waits_for_its_turn() {
    let refused = installation().handle(at(1), took(1)).unwrap_err();
    assert!(refused.to_string().contains("not its turn"), "{refused}");
}

#[test]
fn a_failed_step_ends_it_with_the_agents_own_words() {
    let mut workflow = at_work();
    workflow.handle(at(20), failed(1, 0)).unwrap();
    assert_eq!(workflow.state, State::Failed);
    assert_eq!(workflow.error.as_deref(), Some("write: no such disk"));
    let over = workflow.handle(at(21), done(1, 1)).unwrap_err();
    assert!(over.to_string().contains("no such disk"), "{over}");
}

#[test]
fn an_installer_is_booted_once_and_proves_itself_by_a_call() {
    let mut workflow = workflow(&[("install", "installer", 3600)]);
    workflow.handle(at(0), Input::Slot).unwrap();
    assert_eq!(workflow.wants(), Wants::Installer);
    workflow.handle(at(1), took(1)).unwrap();
    workflow.handle(at(2), started(1, 0)).unwrap();
    assert_eq!(workflow.wants(), Wants::Disk);
    workflow.handle(at(900), Input::HomeCalled).unwrap();
    assert_eq!(workflow.state, State::Success);
}

#[test]
fn an_agent_brings_the_steps_for_its_machine() {
    let named = |names: &[&str]| {
        let names = names.iter();
        let steps = names.map(|name| ((*name).to_owned(), "image2disk".to_owned(), 60));
        steps.collect::<Vec<_>>()
    };
    let take = |attempt, names: &[&str]| Input::AgentTook {
        attempt,
        taking: Taking {
            steps: named(names),
            ..Taking::default()
        },
    };
    let mut workflow = installation();
    workflow.handle(at(0), Input::Slot).unwrap();
    workflow.handle(at(1), take(1, &["write", "grow"])).unwrap();
    assert_eq!(workflow.steps.len(), 2);
    workflow.handle(at(2), done(1, 0)).unwrap();
    workflow
        .handle(at(3), take(2, &["write", "other"]))
        .unwrap();
    assert_eq!(workflow.steps[1].name, "other");
    workflow
        .handle(at(4), take(3, &["erase", "other"]))
        .unwrap();
    assert_eq!(workflow.state, State::Failed);
}

#[test]
fn each_part_has_its_deadline() {
    let mut waiting = installation();
    waiting.handle(at(0), Input::Slot).unwrap();
    let mut silent = at_work();
    silent.handle(at(20), done(1, 0)).unwrap();
    let cases = [
        (waiting, 3600, "did not come within 60 minutes"),
        (at_work(), 670, "write: took longer than 10 minutes"),
        (silent, 620, "not heard of for 10 minutes before name"),
        (written(), 914, "did not call home within 15 minutes"),
    ];
    for (mut workflow, due, why) in cases {
        assert_eq!(workflow.handle(at(due - 1), Input::Tick), Ok(Vec::new()));
        workflow.handle(at(due), Input::Tick).unwrap();
        assert_eq!(workflow.state, State::TimedOut);
        let error = workflow.error.unwrap();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn all_steps_together_have_one_too() {
    let mut workflow = at_work();
    workflow.limits.steps = 100;
    workflow.handle(at(110), Input::Tick).unwrap();
    assert_eq!(workflow.state, State::TimedOut);
    assert!(workflow.error.unwrap().contains("its steps took longer"));
}

#[test]
fn a_retry_begins_with_what_is_not_done() {
    let mut workflow = at_work();
    workflow.handle(at(20), done(1, 0)).unwrap();
    workflow.handle(at(21), failed(1, 1)).unwrap();
    let retry = |from| Input::Retry { from };
    let far = workflow.handle(at(22), retry(Some(2))).unwrap_err();
    assert!(matches!(far, Refused::OutOfOrder { told: 2, next: 1 }));
    workflow.handle(at(22), retry(None)).unwrap();
    assert_eq!(workflow.state, State::Queued);
    assert_eq!(workflow.current(), Some(1));
    assert_eq!((workflow.error, workflow.ended_at), (None, None));
}

#[test]
fn a_retry_from_a_step_does_that_and_all_behind_it_again() {
    let mut workflow = written();
    let cancel = Input::Cancel { by: "ada".into() };
    workflow.handle(at(20), cancel).unwrap();
    assert_eq!(workflow.error.as_deref(), Some("cancelled by ada"));
    let nothing = workflow.handle(at(21), Input::Retry { from: None });
    assert_eq!(nothing, Err(Refused::NothingLeft));
    workflow
        .handle(at(21), Input::Retry { from: Some(2) })
        .unwrap();
    assert_eq!(workflow.current(), Some(2));
}

#[test]
fn a_step_is_named_or_counted() {
    let workflow = installation();
    assert_eq!(workflow.step("home"), Some(2));
    assert_eq!(workflow.step("3"), Some(2));
    assert_eq!(workflow.step("0"), None);
    assert_eq!(workflow.step("5"), None);
}

#[test]
fn it_reads_back_as_it_was_written() {
    let workflow = written();
    let json = serde_json::to_string(&workflow).unwrap();
    assert_eq!(serde_json::from_str::<Workflow>(&json).unwrap(), workflow);
}

#[test]
fn the_drawing_shows_every_state_and_ends_well_by_a_call_home_or_a_last_step() {
    let drawing = diagram();
    for state in State::ALL {
        assert!(drawing.contains(state.as_str()), "{state}");
    }
    let well: Vec<_> = drawing
        .lines()
        .filter(|l| l.contains("> success"))
        .collect();
    assert_eq!(well.len(), 3, "{well:?}");
    assert!(table().lines().count() > State::ALL.len());
}
