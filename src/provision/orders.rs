//! What workflows have for agents and installed systems, and what they hear from them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use super::endpoint::Orders;
use super::identity::random;
use super::work::{Recipe, Server, Shelf};
use crate::core::{Command, Core, HomeCall, Refusal};
use crate::model::agent::{Heard, HomeOrder, HomeReport, Order, Refused, Report};
use crate::model::digest::hex;
use crate::model::field::readable;
use crate::model::workflow::{Input, State, Wants};
use crate::model::{Actor, ActorKind, Machine, MachineId, Mode, StateKind, Workflow, WorkflowId};

/// As long as the answer to an installed system is held back, whatever it asks for.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// How often it is looked whether there is something for it now.
const LOOK: Duration = Duration::from_secs(2);
/// As many characters of what a system calls itself as are kept.
const MAX_OS: usize = 100;
/// As many addresses of a system as are kept.
const MAX_ADDRESSES: usize = 32;

/// Where this Dragonfly is.
pub trait Whereabouts: fmt::Debug + Send + Sync {
    /// As this machine reaches it; none while its link has no address of ours.
    fn server(&self, machine: &Machine) -> Option<Server>;
}

/// The orders that come of workflows.
#[derive(Debug)]
pub struct WorkOrders {
    core: Core,
    whereabouts: Box<dyn Whereabouts>,
    shelf: Box<dyn Shelf>,
}

impl WorkOrders {
    pub fn new(core: Core, whereabouts: Box<dyn Whereabouts>, shelf: Box<dyn Shelf>) -> Self {
        Self {
            core,
            whereabouts,
            shelf,
        }
    }

    async fn next(&self, machine: &Machine) -> Order {
        match self.core.active_workflow(machine.id) {
            Ok(Some((workflow, _))) => self.of(machine, &workflow).await,
            Ok(None) => self.idle(machine).await,
            Err(why) => wait(machine, why.to_string()),
        }
    }

    async fn of(&self, machine: &Machine, workflow: &Workflow) -> Order {
        match (workflow.state, workflow.wants()) {
            (State::Queued, _) => wait(machine, "its workflow waits for its turn"),
            (_, Wants::Agent) => self.give(machine, workflow).await,
            (_, Wants::Installer) => Order::Reboot {
                why: "the system's own installer is to be started".into(),
            },
            (_, Wants::Disk | Wants::Nothing) => Order::LocalBoot {
                why: "its system is written, and has to call home".into(),
            },
        }
    }

    /// Gives the work to the agent: written down first, then handed out.
    async fn give(&self, machine: &Machine, workflow: &Workflow) -> Order {
        let Some(server) = self.whereabouts.server(machine) else {
            return wait(machine, "no address of ours is known on its network");
        };
        let defaults = match self.core.defaults() {
            Ok(defaults) => defaults,
            Err(why) => return wait(machine, why.to_string()),
        };
        let recipe = Recipe {
            workflow,
            machine,
            defaults: &defaults,
            server: &server,
            shelf: &*self.shelf,
        };
        let prepared = match recipe.prepare() {
            Ok(prepared) => prepared,
            Err(why) => {
                let input = Input::Halt { why: why.clone() };
                self.note(workflow.id, input).await;
                return wait(machine, why);
            }
        };
        let Some(secret) = random::<32>().map(|bytes| hex(&bytes)) else {
            return wait(machine, "this host has no random numbers");
        };
        let input = Input::AgentTook {
            attempt: workflow.attempt + 1,
            taking: prepared.taking(hash(&secret)),
        };
        match self.core.advance(actor(machine), workflow.id, input).await {
            Ok(now) if now.state == State::Running => {
                Order::Execute(prepared.work(&now, &server, &secret))
            }
            Ok(now) if now.state == State::WaitingHome => Order::LocalBoot {
                why: "its system is written, and has to call home".into(),
            },
            Ok(now) => wait(machine, now.error.clone().unwrap_or_default()),
            Err(Refusal::Conflict { reason, .. }) => wait(machine, reason),
            Err(why) => wait(machine, why.to_string()),
        }
    }

    /// Tells the workflow that is at work on this machine.
    async fn tell(&self, machine: MachineId, input: Input) {
        if let Ok(Some((workflow, _))) = self.core.active_workflow(machine) {
            self.note(workflow.id, input).await;
        }
    }

    async fn note(&self, workflow: WorkflowId, input: Input) {
        let actor = Actor::system("provision");
        match self.core.advance(actor, workflow, input.clone()).await {
            // It was over already.
            Ok(_) | Err(Refusal::Conflict { .. }) => {}
            Err(error) => tracing::error!(%workflow, ?input, %error, "workflow not told"),
        }
    }

    /// For a machine that nothing is to be done to. One with a system goes on to it; one without stays.
    async fn idle(&self, machine: &Machine) -> Order {
        if let crate::model::State::Error { message } = &machine.status.state {
            return wait(machine, message.clone());
        }
        if !machine.hardware.is_blank() {
            let why = self.spared(machine);
            let why = why.unwrap_or_else(|| "nothing is to be done for it".into());
            return Order::LocalBoot { why };
        }
        match self.fly(machine).await {
            Ok(true) => wait(machine, "it is blank, and gets the default system"),
            Ok(false) => wait(
                machine,
                "it is blank: dragonfly reimage says what it becomes",
            ),
            Err(why) => wait(machine, why.to_string()),
        }
    }

    /// Why Flight does nothing to a machine that nothing was ever done to.
    fn spared(&self, machine: &Machine) -> Option<String> {
        let untouched = machine.status.last_workflow_result.is_none();
        let flight = self.core.mode().is_ok_and(|mode| mode == Mode::Flight);
        let holds = machine.hardware.holds().filter(|_| untouched && flight)?;
        Some(format!(
            "Flight leaves it alone, {holds}: dragonfly reimage says what it becomes"
        ))
    }

    /// Flight: a blank machine gets its own system, or everybody's, once and without being asked.
    async fn fly(&self, machine: &Machine) -> Result<bool, Refusal> {
        let fresh = matches!(
            machine.status.state.kind(),
            StateKind::Discovered | StateKind::Ready
        );
        let untouched = machine.status.last_workflow_result.is_none() && machine.lock.is_none();
        if self.core.mode()? != Mode::Flight || !fresh || !untouched {
            return Ok(false);
        }
        let own = machine.config.os_choice.clone();
        let Some(template) =
            own.map_or_else(|| self.core.defaults().map(|d| d.os), |os| Ok(Some(os)))?
        else {
            return Ok(false);
        };
        let blueprint = self
            .core
            .blueprint(&template, std::collections::BTreeMap::new())?;
        let command = Command::StartWorkflow {
            machine: machine.id,
            blueprint,
            // There is nothing on it that could be lost: that was looked at a moment ago.
            confirmed: true,
        };
        self.run(Actor::system("flight"), command).await?;
        Ok(true)
    }

    async fn run(&self, actor: Actor, command: Command) -> Result<(), Refusal> {
        self.core.order(actor, command).await.map(drop)
    }

    async fn called(&self, report: &HomeReport, from: IpAddr) -> Result<HomeOrder, Refused> {
        let mut addresses = report.addresses.clone();
        addresses.retain(|address| !address.is_loopback());
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            addresses.push(from);
        }
        let os = report.os.as_deref();
        let os = os.and_then(|os| readable("os", os, MAX_OS, "Debian").ok());
        let call = HomeCall {
            machine: report.machine,
            workflow: WorkflowId(report.workflow),
            secret_hash: hash(&report.secret),
            hostname: report
                .hostname
                .as_deref()
                .and_then(|name| name.parse().ok()),
            os: os.map(String::from),
            machine_id: report.machine_id.as_deref().and_then(|id| id.parse().ok()),
            addresses,
            netboot_once: report.netboot_once,
        };
        let actor = Actor {
            kind: ActorKind::Machine,
            name: "installed system".into(),
            from: format!("tls {from}"),
        };
        match self.run(actor, Command::CallHome(call)).await {
            Ok(()) => {}
            Err(Refusal::NotFound { .. }) => {
                let why = "this Dragonfly did not install it, or something else since".into();
                return Ok(HomeOrder::Forget { why });
            }
            Err(why) => {
                return Err(Refused {
                    error: why.to_string(),
                    retry: true,
                    halt: false,
                });
            }
        }
        let core = &self.core;
        core.telemetry().seen(report.machine);
        if let Some(why) = &report.failed {
            tracing::warn!(machine = %report.machine, why, "installed system did not restart into the network");
        }
        Ok(self.wanted(report).await)
    }

    /// What the installed system is asked to do, now or as soon as there is something.
    async fn wanted(&self, report: &HomeReport) -> HomeOrder {
        let wait = Duration::from_secs(report.wait_seconds).min(MAX_WAIT);
        let able = report.netboot_once && report.failed.is_none();
        let mut passed = Duration::ZERO;
        loop {
            let due = self.awaits(report.machine, WorkflowId(report.workflow));
            if let Some(why) = due.filter(|_| able) {
                return HomeOrder::NetbootOnce { why };
            }
            if passed + LOOK > wait {
                return HomeOrder::Nothing;
            }
            tokio::time::sleep(LOOK).await;
            passed += LOOK;
        }
    }

    /// Whether another workflow waits for this machine to boot the network.
    fn awaits(&self, machine: MachineId, own: WorkflowId) -> Option<String> {
        let (workflow, _) = self.core.active_workflow(machine).ok()??;
        let other = workflow.id != own && workflow.state == State::Waiting;
        other.then(|| format!("{} is to be installed", workflow.template.name))
    }
}

impl Orders for WorkOrders {
    fn order<'a>(&'a self, machine: &'a Machine) -> BoxFuture<'a, Order> {
        self.next(machine).boxed()
    }

    fn report<'a>(
        &'a self,
        machine: MachineId,
        report: &'a Report,
    ) -> BoxFuture<'a, Result<Heard, Refused>> {
        async move {
            self.core
                .hear(machine, report)
                .await
                .map_err(|why| Refused {
                    error: why.to_string(),
                    retry: true,
                    halt: false,
                })
        }
        .boxed()
    }

    fn home<'a>(
        &'a self,
        report: &'a HomeReport,
        from: IpAddr,
    ) -> BoxFuture<'a, Result<HomeOrder, Refused>> {
        self.called(report, from).boxed()
    }

    fn lost<'a>(&'a self, machine: MachineId, why: &'a str) -> BoxFuture<'a, ()> {
        let input = Input::AgentLost { why: why.into() };
        self.tell(machine, input).boxed()
    }

    fn halt<'a>(&'a self, machine: MachineId, why: &'a str) -> BoxFuture<'a, ()> {
        let input = Input::Halt { why: why.into() };
        self.tell(machine, input).boxed()
    }
}

fn wait(machine: &Machine, why: impl Into<String>) -> Order {
    Order::Wait {
        name: machine.name().to_owned(),
        why: why.into(),
    }
}

fn actor(machine: &Machine) -> Actor {
    Actor {
        kind: ActorKind::Machine,
        name: machine.name().to_owned(),
        from: "agent".into(),
    }
}

/// What is kept of a secret.
fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

#[cfg(test)]
mod tests;
