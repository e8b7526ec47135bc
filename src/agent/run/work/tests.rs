use std::sync::Mutex;

use test_case::test_case;
use uuid::Uuid;

use super::*;
use crate::model::action::{Poweroff, Reboot, Wait};

/// A server that writes down what it hears, and has enough after so many reports.
#[derive(Debug, Default)]
struct Notebook {
    heard: Mutex<Vec<String>>,
    enough_after: Option<usize>,
    /// Reports of progress that it wants to hear.
    enough_progress: Option<usize>,
}

impl Notebook {
    fn write(&self, report: &Report) -> Heard {
        let mut heard = self.heard.lock().unwrap();
        heard.push(match &report.what {
            StepNews::Started => format!("{} started", report.step),
            StepNews::Progress(_) => format!("{} progress", report.step),
            StepNews::Done { message } => format!("{} done: {message}", report.step),
            StepNews::Failed { error } => format!("{} failed: {error}", report.step),
        });
        Heard {
            go_on: self.enough_after.is_none_or(|enough| heard.len() < enough),
            why: "cancelled".into(),
        }
    }
}

impl Teller for Notebook {
    fn insist(&self, report: &Report) -> Result<Heard, CallError> {
        Ok(self.write(report))
    }

    fn mention(&self, report: &Report) -> Option<Heard> {
        self.write(report);
        let heard = self.heard.lock().unwrap();
        let told = heard.iter().filter(|line| line.ends_with("progress"));
        Some(Heard {
            go_on: self
                .enough_progress
                .is_none_or(|enough| told.count() < enough),
            why: "cancelled".into(),
        })
    }
}

fn step(action: Action, done: bool) -> WorkStep {
    WorkStep {
        name: action.name().into(),
        action,
        timeout_seconds: 1,
        done,
    }
}

fn wait(seconds: u64) -> Action {
    Action::Wait(Wait { seconds })
}

fn run(steps: Vec<WorkStep>, server: &Notebook, act: &Act) -> (Outcome, Vec<String>) {
    let work = Work {
        workflow: Uuid::nil(),
        attempt: 1,
        name: "m".into(),
        template: "t".into(),
        steps,
    };
    let outcome = perform(&work, server, &Console::default(), &Log::default(), act).unwrap();
    (outcome, server.heard.lock().unwrap().clone())
}

fn acting(
    act: impl Fn(&Action, &Control) -> Result<String, ActionError> + Send + Sync + 'static,
) -> Act {
    Arc::new(act)
}

#[test]
fn what_is_done_is_not_done_again() {
    let steps = vec![
        step(wait(0), true),
        step(wait(1), false),
        step(wait(2), false),
    ];
    let act = acting(|action, _| Ok(format!("{action:?}")));
    let (outcome, heard) = run(steps, &Notebook::default(), &act);
    assert_eq!(outcome, Outcome::Finished);
    assert_eq!(
        heard,
        [
            "1 started",
            "1 done: Wait(Wait { seconds: 1 })",
            "2 started",
            "2 done: Wait(Wait { seconds: 2 })"
        ]
    );
}

#[test_case(Action::Reboot(Reboot { delay: 0 }), Leave::Restart)]
#[test_case(Action::Poweroff(Poweroff {}), Leave::PowerOff)]
fn a_step_after_which_the_agent_is_gone_is_told_before(action: Action, leave: Leave) {
    let server = Notebook {
        enough_after: Some(2),
        ..Notebook::default()
    };
    let act = acting(|_, _| Ok("going".into()));
    let (outcome, heard) = run(vec![step(action, false)], &server, &act);
    assert_eq!(outcome, Outcome::Leave(leave));
    assert_eq!(heard.last().unwrap(), "0 done: going");
}

#[test]
fn a_failure_ends_the_workflow_with_its_cause() {
    let act = acting(|_, _| Err(ActionError::Other("no disk".into())));
    let (outcome, heard) = run(
        vec![step(wait(0), false), step(wait(0), false)],
        &Notebook::default(),
        &act,
    );
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(heard, ["0 started", "0 failed: no disk"]);
}

#[test]
fn a_machine_that_has_to_start_anew_before_a_step_calls_it_no_failure() {
    let act = acting(|_, _| Err(ActionError::Anew("another environment".into())));
    let steps = vec![step(wait(0), false), step(wait(0), false)];
    let (outcome, heard) = run(steps, &Notebook::default(), &act);
    assert_eq!(outcome, Outcome::Anew("another environment".into()));
    assert_eq!(heard, ["0 started"]);
}

#[test]
fn a_panic_is_the_failure_of_its_step() {
    let act = acting(|_, _| panic!("a fault of ours"));
    let (outcome, heard) = run(vec![step(wait(0), false)], &Notebook::default(), &act);
    assert_eq!(outcome, Outcome::Failed);
    assert!(heard[1].contains("panicked"), "{heard:?}");
}

#[test]
fn a_step_that_takes_too_long_is_stopped() {
    let act = acting(|_, control| control.wait(3600));
    let (outcome, heard) = run(vec![step(wait(0), false)], &Notebook::default(), &act);
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(
        heard.last().unwrap(),
        "0 failed: it did not end within its 1 seconds"
    );
}

#[test]
fn a_workflow_that_is_not_wanted_any_more_stops_before_its_next_step() {
    let server = Notebook {
        enough_after: Some(2),
        ..Notebook::default()
    };
    let act = acting(|_, _| Ok(String::new()));
    let (outcome, heard) = run(
        vec![step(wait(0), false), step(wait(0), false)],
        &server,
        &act,
    );
    assert_eq!(outcome, Outcome::Stopped("cancelled".into()));
    assert_eq!(heard.len(), 2);
}

#[test]
fn a_running_step_stops_when_the_server_says_so() {
    let server = Notebook {
        enough_progress: Some(1),
        ..Notebook::default()
    };
    let act = acting(|_, control| {
        let mut done = 0;
        while !control.is_stopped() {
            done += 1;
            control.bytes("writing", done, 0);
            clock::pause(Duration::from_millis(20));
        }
        Err(ActionError::Stopped)
    });
    let mut slow = step(wait(0), false);
    slow.timeout_seconds = 60;
    let (outcome, heard) = run(vec![slow], &server, &act);
    assert_eq!(outcome, Outcome::Stopped("cancelled".into()));
    assert_eq!(heard.last().unwrap(), "0 progress");
}

/// A step that is quiet said how far it is once, and then nothing by whose answer it could have been cancelled.
#[test]
fn a_quiet_step_stops_when_the_server_says_so() {
    let server = Notebook {
        enough_progress: Some(2),
        ..Notebook::default()
    };
    let mut quiet = step(wait(0), false);
    quiet.timeout_seconds = 60;
    let act = acting(|_, control| control.wait(3600));
    let (outcome, heard) = run(vec![quiet], &server, &act);
    assert_eq!(outcome, Outcome::Stopped("cancelled".into()));
    assert_eq!(heard, ["0 started", "0 progress", "0 progress"]);
}
