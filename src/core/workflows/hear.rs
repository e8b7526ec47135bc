//! Reports of an agent, and what it is answered.

use crate::core::{Call, Command, Core, Refusal};
use crate::model::agent::{Heard, Report, StepNews};
use crate::model::workflow::{Input, State};
use crate::model::{Actor, ActorKind, CorrelationId, MachineId, Workflow, WorkflowId};

impl Core {
    /// Takes in a report of the agent on this machine. An error is one of ours, and the same report may be made again.
    pub async fn hear(&self, machine: MachineId, report: &Report) -> Result<Heard, Refusal> {
        let id = WorkflowId(report.workflow);
        let workflow = match self.workflow(id) {
            Ok((workflow, _)) if workflow.machine == machine => workflow,
            Ok(_) | Err(Refusal::NotFound { .. }) => {
                return Ok(stop("this machine has no such workflow"));
            }
            Err(why) => return Err(why),
        };
        let step = usize::try_from(report.step).unwrap_or(usize::MAX);
        let attempt = report.attempt;
        let input = match &report.what {
            StepNews::Progress(progress) => {
                let own = workflow.state == State::Running && workflow.attempt == attempt;
                if own && workflow.current() == Some(step) {
                    self.progress()
                        .note(&workflow, step, progress, self.clock().now());
                }
                return Ok(if own { go_on() } else { over(&workflow) });
            }
            StepNews::Started => Input::StepStarted { attempt, step },
            StepNews::Done { message } => Input::StepDone {
                attempt,
                step,
                message: message.clone(),
                bytes: self.progress().bytes(id, step),
            },
            StepNews::Failed { error } => Input::StepFailed {
                attempt,
                step,
                error: error.clone(),
            },
        };
        match self.advance(machine_actor(&workflow), id, input).await {
            Ok(workflow) => Ok(match workflow.state {
                State::Running | State::WaitingHome | State::Success => go_on(),
                _ => over(&workflow),
            }),
            Err(Refusal::Conflict { reason, .. }) => Ok(stop(reason)),
            Err(why) => Err(why),
        }
    }

    /// Moves a workflow on, and shows it as it is then.
    pub async fn advance(
        &self,
        actor: Actor,
        workflow: WorkflowId,
        input: Input,
    ) -> Result<std::sync::Arc<Workflow>, Refusal> {
        let id = self.clock().new_id();
        let command = Command::AdvanceWorkflow { workflow, input };
        self.run(Call {
            correlation: CorrelationId(workflow.0),
            ..Call::alone(actor, command, id)
        })
        .await?;
        Ok(self.workflow(workflow)?.0)
    }
}

fn machine_actor(workflow: &Workflow) -> Actor {
    Actor {
        kind: ActorKind::Machine,
        name: workflow.name.clone(),
        from: "agent".into(),
    }
}

fn go_on() -> Heard {
    Heard {
        go_on: true,
        why: String::new(),
    }
}

fn stop(why: impl Into<String>) -> Heard {
    Heard {
        go_on: false,
        why: why.into(),
    }
}

fn over(workflow: &Workflow) -> Heard {
    let error = workflow
        .error
        .as_deref()
        .unwrap_or("another agent has the work");
    stop(format!("workflow is {}: {error}", workflow.state))
}
