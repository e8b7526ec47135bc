//! The path of one command: authorise, plan, commit, answer.

use tokio::sync::{Mutex, MutexGuard};

use crate::model::identity::Resolution;
use crate::model::{Actor, ActorKind, MacAddr, MachineId, ReceiptId, Subject};
use crate::store::{Change, Commit, Committed, Expect, Key, NewEvent, StoreError};

use super::answer::{self, Slot};
use super::command::{Call, Command};
use super::meter::Outcome;
use super::plan::{Plan, View, plan};
use super::policy;
use super::receipt::{RECEIPT_FORMAT, Receipt, ReceiptStatus, Refusal};
use super::{Core, machines};

/// How often a plan is made anew when others were faster. Writers of one machine in this process take turns,
/// so this is only for anchors, settings and other processes.
const ATTEMPTS: usize = 16;
/// As many turns as are told apart; more would only cost memory.
const TURNS: usize = 64;
/// The turn of check-ins that end in a conflict, so that one conflict is not recorded twice.
const CONFLICT_TURN: usize = 0;

/// Writers of the same machine wait for each other instead of throwing plans away.
#[derive(Debug)]
pub(super) struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Core {
    /// Runs a command that stands alone.
    pub async fn order(&self, actor: Actor, command: Command) -> Result<Receipt, Refusal> {
        self.run(Call::alone(actor, command, self.clock().new_id()))
            .await
    }

    /// Runs one command: all of it happens and is durable when the receipt comes back, or none of it.
    pub async fn run(&self, call: Call) -> Result<Receipt, Refusal> {
        let result = self.decide(&call).await;
        let outcome = Outcome::of(&result);
        self.meter().count(&call.command, outcome);
        let command = call.command.name();
        let request = call.request;
        match &result {
            Err(Refusal::Store(why)) => {
                tracing::error!(command, %request, %why, "command failed");
            }
            Err(why) => tracing::info!(command, %request, %why, "command refused"),
            Ok(receipt) => {
                let outcome = outcome.as_str();
                tracing::debug!(command, %request, outcome, version = receipt.version, "command ran");
            }
        }
        result
    }

    async fn decide(&self, call: &Call) -> Result<Receipt, Refusal> {
        authorise(call)?;
        call.idempotency.as_ref().map_or(Ok(()), answer::check)?;
        if matches!(call.command, Command::TrimEvents) {
            return self.trim(call).await;
        }
        for _ in 0..ATTEMPTS {
            let _turn = self.turn(call).await?;
            let slot = self.slot(call)?;
            if let Slot::Answered(receipt) = slot {
                return Ok(*receipt);
            }
            let view = self.view(call);
            let plan = match plan(&view, &call.command) {
                // Somebody was quicker between two looks of the same plan.
                Err(Refusal::Store(StoreError::Taken { .. })) => continue,
                planned => planned?,
            };
            if let Some(expected) = call.if_version.filter(|version| *version != plan.found) {
                return Err(Refusal::Stale {
                    expected,
                    found: plan.found,
                });
            }
            let now = view.now;
            match self.carry_out(call, plan, slot, now).await {
                Err(Refusal::Store(StoreError::Version { .. } | StoreError::Taken { .. })) => {}
                done => return done,
            }
        }
        Err(Refusal::Contended)
    }

    fn view<'a>(&'a self, call: &'a Call) -> View<'a> {
        View {
            core: self,
            actor: &call.actor,
            now: self.clock().now(),
        }
    }

    async fn carry_out(
        &self,
        call: &Call,
        plan: Plan,
        slot: Slot,
        now: jiff::Timestamp,
    ) -> Result<Receipt, Refusal> {
        let mut receipt = self.receipt(call, &plan);
        if call.dry_run {
            return Ok(receipt);
        }
        let before = self.macs_of_deleted(call);
        let mut commit = Commit {
            events: events(call, &plan, now),
            expect: plan.expect,
            changes: plan.changes,
        };
        if let Slot::Open { scope, found } = slot {
            let answer = answer::make(call, scope, &receipt, &plan.events, now);
            commit.expect.push(Expect::Version(answer.key(), found));
            commit.changes.push(Change::Put(answer));
        }
        if !commit.changes.is_empty() || !commit.events.is_empty() {
            let committed = self.store().commit(commit).await?;
            complete(&mut receipt, committed);
            self.settle_after(call, &receipt).await;
        }
        self.tell_memory(call, &receipt, &before);
        Ok(receipt)
    }

    /// Settles the conflicts that did not fit the command's commit, or came up meanwhile.
    async fn settle_after(&self, call: &Call, receipt: &Receipt) {
        let how = match &call.command {
            Command::DeleteMachine { machine } => format!("machine {machine} was deleted"),
            Command::MergeMachines { keep, absorb } => {
                format!("machine {absorb} was merged into {keep}")
            }
            Command::SplitMachine { machine, .. } => format!("machine {machine} was split"),
            Command::SetMachine { machine, patch, .. } if patch.mac.is_some() => {
                format!("machine {machine} has another MAC")
            }
            _ => return,
        };
        let mut call = call.clone();
        call.causation = receipt.events.first().map(|(cursor, _)| *cursor);
        if let Err(why) = self.settle(&call, &how).await {
            // The command itself is durable; retention goes through the conflicts again.
            tracing::warn!(request = %call.request, %why, "conflicts not settled");
        }
    }

    /// The cards of a machine that is about to be deleted.
    fn macs_of_deleted(&self, call: &Call) -> Vec<MacAddr> {
        match &call.command {
            Command::DeleteMachine { machine } => self.macs_of(*machine),
            _ => Vec::new(),
        }
    }

    fn macs_of(&self, machine: MachineId) -> Vec<MacAddr> {
        let found = self.machine_by_id(machine);
        let macs = found.map(|(machine, _)| machine.identity.all_macs.clone());
        macs.unwrap_or_default()
    }

    /// What the rings and lists in memory have to know of a command that was carried out.
    fn tell_memory(&self, call: &Call, receipt: &Receipt, deleted: &[MacAddr]) {
        if let Command::CheckIn { .. }
        | Command::RecordInventory(_)
        | Command::AddMachine(_)
        | Command::Approve { .. } = &call.command
            && let Subject::Machine(machine) = receipt.subject
        {
            for mac in self.macs_of(machine) {
                self.seen().forget(mac);
            }
        }
        if receipt
            .events
            .iter()
            .any(|(_, name)| name == "workflow.ended")
        {
            self.tally(call);
        }
        match (&call.command, &receipt.subject) {
            (Command::CheckIn { .. } | Command::RecordInventory(_), Subject::Machine(machine)) => {
                self.telemetry().seen(*machine);
            }
            (Command::DeleteMachine { machine }, _) => {
                self.telemetry().forget(*machine);
                for mac in deleted {
                    self.traces().forget(*mac);
                }
            }
            (Command::MergeMachines { absorb, .. }, _) => self.telemetry().forget(*absorb),
            _ => {}
        }
    }

    /// Counts the workflow that this command ended.
    fn tally(&self, call: &Call) {
        let id = match &call.command {
            Command::AdvanceWorkflow { workflow, .. } | Command::CancelWorkflow { workflow } => {
                *workflow
            }
            Command::CallHome(call) => call.workflow,
            _ => return,
        };
        if let Ok((workflow, _)) = self.workflow(id) {
            self.tallies().count(&workflow);
        }
    }

    /// The receipt as far as it is known before the commit.
    pub(super) fn receipt(&self, call: &Call, plan: &Plan) -> Receipt {
        let status = if call.dry_run {
            ReceiptStatus::DryRun
        } else if plan.changes.is_empty() && plan.events.is_empty() {
            ReceiptStatus::Unchanged
        } else {
            ReceiptStatus::Accepted
        };
        Receipt {
            format: RECEIPT_FORMAT,
            id: ReceiptId(self.clock().new_id()),
            command: call.command.name().to_owned(),
            status,
            subject: plan.subject.clone(),
            version: plan.found,
            diff: plan.diff.clone(),
            events: Vec::new(),
            next: plan.next.clone(),
            notes: plan.notes.clone(),
            request: call.request,
            correlation: call.correlation,
            causation: call.causation,
        }
    }

    async fn turn(&self, call: &Call) -> Result<MutexGuard<'_, ()>, Refusal> {
        let place = match &call.command {
            Command::SetMachine { machine, .. }
            | Command::ApplyMachine { machine, .. }
            | Command::DiscardMachine { machine }
            | Command::TagMachine { machine, .. }
            | Command::NameMachine { machine, .. }
            | Command::LockMachine { machine, .. }
            | Command::UnlockMachine { machine }
            | Command::DeleteMachine { machine }
            | Command::SplitMachine { machine, .. }
            | Command::BootOnce { machine, .. }
            | Command::TakeBoot { machine, .. }
            | Command::SetLoader { machine, .. }
            | Command::LetIn { machine, .. }
            | Command::LookInto { machine }
            | Command::Alarm { machine, .. }
            | Command::NoteBoot { machine, .. }
            | Command::StartWorkflow { machine, .. }
            | Command::MergeMachines { keep: machine, .. } => turn_of(*machine),
            Command::CallHome(call) => turn_of(call.machine),
            // Its machine's turn, since the two change together.
            Command::AdvanceWorkflow { workflow, .. }
            | Command::CancelWorkflow { workflow }
            | Command::RetryWorkflow { workflow, .. } => {
                turn_of(self.workflow(*workflow)?.0.machine)
            }
            Command::AddMachine(add) => turn_of_byte(add.mac.octets()[5]),
            Command::Approve { mac } => turn_of_byte(mac.octets()[5]),
            Command::CheckIn { evidence, .. } => {
                let view = self.view(call);
                match machines::add::look_up(&view, evidence)? {
                    Resolution::New => turn_of_byte(evidence.primary_mac.octets()[5]),
                    Resolution::Known { machine, .. } => turn_of(machine),
                    Resolution::Conflict { .. } => CONFLICT_TURN,
                }
            }
            Command::RecordInventory(inventory) => {
                let view = self.view(call);
                match machines::add::look_up(&view, &inventory.evidence)? {
                    Resolution::Known { machine, .. } => turn_of(machine),
                    _ => CONFLICT_TURN,
                }
            }
            Command::SetNetwork { .. }
            | Command::HoldAddress { .. }
            | Command::SetSetting { .. }
            | Command::ResetSetting { .. }
            | Command::SetDefaults { .. }
            | Command::ChangeImage { .. }
            | Command::PutTemplate { .. }
            | Command::DeleteTemplate { .. }
            | Command::TrimEvents => 1,
        };
        Ok(self.inner.turns.0[place].lock().await)
    }
}

fn turn_of(machine: MachineId) -> usize {
    turn_of_byte(machine.0.as_bytes()[15])
}

/// Any turn but the one that conflicts take.
fn turn_of_byte(byte: u8) -> usize {
    1 + usize::from(byte) % (TURNS - 1)
}

fn authorise(call: &Call) -> Result<(), Refusal> {
    let permission = call.command.permission();
    if policy::allows(policy::role(&call.actor), permission) {
        return Ok(());
    }
    Err(Refusal::Forbidden {
        actor: call.actor.name.clone(),
        action: policy::action(permission).to_owned(),
    })
}

/// The plan's events with the circumstances of the call. What a person did belongs to the audit log, and what touches
/// on who a machine is.
pub(super) fn events(call: &Call, plan: &Plan, now: jiff::Timestamp) -> Vec<NewEvent> {
    let told = plan.events.iter().map(|(subject, what)| NewEvent {
        at: now,
        subject: subject.clone(),
        what: what.clone(),
        audit: call.actor.kind == ActorKind::Person || what.is_audit(),
        actor: call.actor.clone(),
        request: call.request,
        correlation: call.correlation,
        causation: call.causation,
    });
    told.collect()
}

/// Fills in what only the commit could tell.
pub(super) fn complete(receipt: &mut Receipt, committed: Committed) {
    let key = match &receipt.subject {
        Subject::Machine(id) => Some(Key::Machine(*id)),
        Subject::Setting(key) => Some(Key::Setting(key.clone())),
        Subject::Conflict(id) => Some(Key::Conflict(*id)),
        Subject::Network(link) => Some(Key::Network(link.clone())),
        Subject::Template(name) => Some(Key::Template(name.clone())),
        Subject::Workflow(id) => Some(Key::Workflow(*id)),
        Subject::Appliance => None,
    };
    let mut versions = committed.versions.into_iter();
    if let Some((_, version)) = versions.find(|(changed, _)| Some(changed) == key.as_ref()) {
        receipt.version = version;
    }
    let events = committed.events.into_iter();
    receipt.events = events
        .map(|event| (event.cursor, event.what.name().to_owned()))
        .collect();
}
