//! Whatever is told, in whatever order: what was done stays done.

use proptest::prelude::*;

use super::*;

fn input() -> impl Strategy<Value = (Input, i64)> {
    let report = (0..4_u32, 0..5_usize);
    let kind = prop_oneof![
        2 => Just(Input::Slot),
        3 => (0..5_u32).prop_map(took),
        6 => report.clone().prop_map(|(attempt, step)| started(attempt, step)),
        8 => report.clone().prop_map(|(attempt, step)| done(attempt, step)),
        1 => report.prop_map(|(attempt, step)| failed(attempt, step)),
        1 => Just(Input::HomeCalled),
        1 => Just(Input::AgentLost { why: "no memory".into() }),
        2 => Just(Input::Tick),
        1 => Just(Input::Cancel { by: "ada".into() }),
        1 => proptest::option::of(0..5_usize).prop_map(|from| Input::Retry { from }),
    ];
    (kind, 0..200_i64)
}

/// What has to be true of any workflow at any time.
fn is_sound(workflow: &Workflow) {
    let next = workflow.current().unwrap_or(workflow.steps.len());
    for (at, step) in workflow.steps.iter().enumerate() {
        assert_eq!(step.is_done(), at < next, "done steps come first");
        if step.status != StepStatus::Done && at != next {
            assert_eq!(step.status, StepStatus::Pending, "one step at a time");
        }
    }
    if workflow
        .steps
        .iter()
        .any(|s| s.status == StepStatus::Running)
    {
        assert_eq!(workflow.state, State::Running);
    }
    if matches!(workflow.state, State::WaitingHome | State::Success) {
        assert_eq!(workflow.current(), None);
    }
    let failed = workflow.error.is_some();
    let ended_ill = !workflow.is_active() && workflow.state != State::Success;
    assert_eq!(failed, ended_ill, "it is told why");
    assert_eq!(workflow.ended_at.is_some(), !workflow.is_active());
}

proptest! {
    #[test]
    fn nothing_that_is_told_repeats_a_finished_step(inputs in prop::collection::vec(input(), 0..80)) {
        let mut workflow = installation();
        let mut now = 0;
        for (input, passed) in inputs {
            now += passed;
            let before = workflow.clone();
            let retried = matches!(input, Input::Retry { .. });
            let result = workflow.handle(at(now), input);
            is_sound(&workflow);
            if result.is_err() {
                prop_assert_eq!(&workflow, &before);
            }
            if !before.is_active() && !retried {
                prop_assert_eq!(&workflow, &before, "an end is an end");
            }
            for (old, new) in before.steps.iter().zip(&workflow.steps) {
                if old.is_done() && !retried {
                    prop_assert_eq!(old, new, "done is done");
                }
            }
            prop_assert!(workflow.attempt >= before.attempt);
        }
    }
}
