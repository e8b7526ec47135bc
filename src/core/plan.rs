//! What a command would do: found out by reading alone, written by nobody.
//!
//! Each command has a planner, a function from a [`View`] of what is to a [`Plan`]. The plan names what it
//! rests on, so when that has changed before the commit, the plan is thrown away and made anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{
    Actor, Anchor, Conflict, FieldChange, Identity, Machine, MachineId, Subject, What,
};
use crate::store::{Change, Expect, Key, Object};

use super::command::Command;
use super::receipt::NextStep;
use super::{Core, Refusal, images, machines, networks, settings, templates, workflows};

/// What a planner may ask.
pub(super) struct View<'a> {
    pub core: &'a Core,
    pub actor: &'a Actor,
    /// The moment of the call.
    pub now: Timestamp,
}

impl View<'_> {
    pub fn machine(&self, id: MachineId) -> Result<(Arc<Machine>, u64), Refusal> {
        self.core.machine_by_id(id)
    }

    /// The machines that are known by `anchor`.
    pub fn find(&self, anchor: &Anchor) -> Result<Vec<MachineId>, Refusal> {
        Ok(self.core.store().find(anchor)?)
    }

    /// The conflicts that were recorded.
    pub fn conflicts(&self) -> Result<Vec<(Arc<Conflict>, u64)>, Refusal> {
        self.core.recorded_conflicts()
    }

    pub fn new_id(&self) -> Uuid {
        self.core.clock().new_id()
    }
}

/// What is to be written, what it rests on, and what is to be told.
#[derive(Debug)]
pub(super) struct Plan {
    pub subject: Subject,
    /// The subject's version as it was read; 0 when there was none.
    pub found: u64,
    pub expect: Vec<Expect>,
    pub changes: Vec<Change>,
    /// The first is about `subject`.
    pub events: Vec<(Subject, What)>,
    pub diff: Vec<FieldChange>,
    pub next: Vec<NextStep>,
    pub notes: Vec<String>,
}

impl Plan {
    pub fn new(subject: Subject, found: u64) -> Self {
        Self {
            subject,
            found,
            expect: Vec::new(),
            changes: Vec::new(),
            events: Vec::new(),
            diff: Vec::new(),
            next: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub fn about(machine: &Machine, found: u64) -> Self {
        Self::new(Subject::Machine(machine.id), found)
    }

    /// Writes `object` over the version that was read.
    pub fn put(&mut self, object: Object, found: u64) {
        self.expect.push(Expect::Version(object.key(), found));
        self.changes.push(Change::Put(object));
    }

    pub fn put_machine(&mut self, machine: Machine, found: u64) {
        self.put(Object::Machine(Arc::new(machine)), found);
    }

    /// Ends an object that was read at this version.
    pub fn delete(&mut self, key: Key, found: u64) {
        self.expect.push(Expect::Version(key.clone(), found));
        self.changes.push(Change::Delete(key));
    }

    /// Demands that what `after` is known by, and none of `before` was, belongs to nobody but `holders`. What one
    /// of `before` was known by only moves, so it needs no demand: the plan rests on the versions of these machines,
    /// and it does not matter whether an import gave it to strangers as well.
    pub fn claim(
        &mut self,
        view: &View,
        before: &[&Identity],
        after: &Identity,
        holders: &[MachineId],
    ) -> Result<(), Refusal> {
        let before: BTreeSet<_> = before.iter().flat_map(|old| old.anchors()).collect();
        let had = |anchor: &Anchor| before.contains(anchor);
        for anchor in after.anchors().filter(|anchor| !had(anchor)) {
            let found = view.find(&anchor)?;
            if let Some(other) = found.iter().find(|id| !holders.contains(id)) {
                return Err(machines::taken(view, &anchor, *other));
            }
            let holder = found.first().or(holders.first()).copied();
            self.expect.push(Expect::Free(anchor, holder));
        }
        Ok(())
    }

    /// Does what `other` does too, in the same commit.
    pub fn join(&mut self, other: Self) {
        self.expect.extend(other.expect);
        self.changes.extend(other.changes);
        self.events.extend(other.events);
        self.diff.extend(other.diff);
        self.next.extend(other.next);
        self.notes.extend(other.notes);
    }

    /// How much of a commit it takes so far.
    pub fn operations(&self) -> usize {
        self.expect.len() + self.changes.len() + self.events.len()
    }

    pub fn tell(&mut self, subject: Subject, what: What) {
        self.events.push((subject, what));
    }

    /// Tells of the plan's own subject.
    pub fn say(&mut self, what: What) {
        self.events.push((self.subject.clone(), what));
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub fn next(&mut self, label: &str, command: impl Into<String>) {
        self.next.push(NextStep {
            label: label.to_owned(),
            command: command.into(),
        });
    }
}

/// The plan of any command but the trimming of events, which the store does by itself.
pub(super) fn plan(view: &View, command: &Command) -> Result<Plan, Refusal> {
    match command {
        Command::AddMachine(add) => machines::add::plan(view, add),
        Command::CheckIn { evidence, source } => machines::check_in::plan(view, evidence, source),
        Command::SetMachine {
            machine,
            patch,
            confirmed,
        } => machines::set::plan(view, *machine, patch, *confirmed),
        Command::ApplyMachine { machine, now } => machines::apply::plan(view, *machine, *now),
        Command::DiscardMachine { machine } => machines::apply::discard(view, *machine),
        Command::TagMachine {
            machine,
            add,
            remove,
        } => machines::tag::plan(view, *machine, add, remove),
        Command::LockMachine { machine, reason } => {
            machines::lock::lock(view, *machine, reason.as_deref())
        }
        Command::UnlockMachine { machine } => machines::lock::unlock(view, *machine),
        Command::DeleteMachine { machine } => machines::delete::plan(view, *machine),
        Command::MergeMachines { keep, absorb } => machines::merge::plan(view, *keep, *absorb),
        Command::SplitMachine {
            machine,
            macs,
            uuid,
        } => machines::split::plan(view, *machine, macs, *uuid),
        Command::NameMachine { machine, named } => machines::name::plan(view, *machine, named),
        Command::Approve { mac } => machines::approve::plan(view, *mac),
        Command::BootOnce { machine, once } => machines::boot::once(view, *machine, once.as_ref()),
        Command::TakeBoot {
            machine,
            given,
            agent,
            arch,
            rung,
        } => {
            let given = machines::boot::Given {
                once: given.as_ref(),
                agent: *agent,
            };
            machines::boot::take(view, *machine, &given, *arch, *rung)
        }
        Command::LetIn { machine, agent } => machines::agent::let_in(view, *machine, agent),
        Command::RecordInventory(inventory) => machines::inventory::plan(view, inventory),
        Command::LookInto { machine } => machines::agent::look_into(view, *machine),
        Command::Alarm { machine, reason } => machines::agent::alarm(view, *machine, reason),
        Command::SetLoader { machine, loader } => machines::boot::loader(view, *machine, *loader),
        Command::NoteBoot { machine, step } => machines::boot::note(view, *machine, step),
        Command::SetNetwork { link, patch } => networks::set(view, link, patch),
        Command::HoldAddress { link, held } => networks::hold(view, link, held.as_ref()),
        Command::SetSetting { key, value } => settings::set(view, key, value),
        Command::ResetSetting { key } => settings::reset(view, key),
        Command::StartWorkflow {
            machine,
            blueprint,
            confirmed,
        } => workflows::start::plan(view, *machine, blueprint, *confirmed),
        Command::AdvanceWorkflow { workflow, input } => {
            workflows::advance::plan(view, *workflow, input)
        }
        Command::CancelWorkflow { workflow } => workflows::advance::cancel(view, *workflow),
        Command::RetryWorkflow {
            workflow,
            from,
            confirmed,
        } => workflows::start::retry(view, *workflow, *from, *confirmed),
        Command::CallHome(call) => workflows::home::plan(view, call),
        Command::SetDefaults { changes } => settings::set_defaults(view, changes),
        Command::ChangeImage { name, change } => Ok(images::note(name, change)),
        Command::PutTemplate { name, source } => templates::put(view, name, source),
        Command::DeleteTemplate { name } => templates::delete(view, name),
        Command::TrimEvents => Ok(Plan::new(Subject::Appliance, 0)),
    }
}
