//! Questions about workflows.

use std::sync::Arc;

use crate::core::{Core, MachineRef, Refusal};
use crate::model::{MachineId, Workflow, WorkflowId, workflow};
use crate::store::{Index, Key, MAX_PAGE, Object, Position, Query, Stored};

/// As many rows as one question looks at; a page that stops there says where to go on.
const MAX_SCAN: usize = 5 * MAX_PAGE;

/// Which workflows, newest first.
#[derive(Clone, Debug, Default)]
pub struct WorkflowFilter {
    pub machine: Option<MachineId>,
    /// Only those that something may still come of.
    pub active: bool,
    pub state: Option<workflow::State>,
    pub template: Option<String>,
    pub limit: usize,
    pub after: Option<Position>,
}

/// Some workflows with their versions, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct WorkflowPage {
    pub items: Vec<(Arc<Workflow>, u64)>,
    pub next: Option<Position>,
}

impl Core {
    pub fn workflow(&self, id: WorkflowId) -> Result<(Arc<Workflow>, u64), Refusal> {
        let stored = self.store().get(&Key::Workflow(id))?;
        stored
            .and_then(workflow_of)
            .ok_or_else(|| Refusal::NotFound {
                what: "workflow",
                name: id.to_string(),
            })
    }

    /// The one that is at work on a machine, or waits to be.
    pub fn active_workflow(
        &self,
        machine: MachineId,
    ) -> Result<Option<(Arc<Workflow>, u64)>, Refusal> {
        let stored = self.store().get(&Key::Machine(machine))?;
        let current = stored.and_then(|stored| match stored.object {
            Object::Machine(machine) => machine.status.current_workflow,
            _ => None,
        });
        let Some(current) = current else {
            return Ok(None);
        };
        let stored = self.store().get(&Key::Workflow(current))?;
        let found = stored.and_then(workflow_of);
        Ok(found.filter(|(workflow, _)| workflow.is_active()))
    }

    /// A machine's newest, over or not.
    pub fn newest_workflow(
        &self,
        machine: MachineId,
    ) -> Result<Option<(Arc<Workflow>, u64)>, Refusal> {
        let page = self.store().page(&Query {
            by: Index::WorkflowsOf(machine),
            after: None,
            limit: 1,
            descending: true,
        })?;
        Ok(page.items.into_iter().find_map(workflow_of))
    }

    /// Every workflow that something may still come of, in the order in which they were asked for.
    pub fn active_workflows(&self) -> Result<Vec<(Arc<Workflow>, u64)>, Refusal> {
        let mut query = Query {
            by: Index::ActiveWorkflows,
            after: None,
            limit: MAX_PAGE,
            descending: false,
        };
        let mut found = Vec::new();
        loop {
            let page = self.store().page(&query)?;
            found.extend(page.items.into_iter().filter_map(workflow_of));
            query.after = page.next;
            if query.after.is_none() {
                return Ok(found);
            }
        }
    }

    pub fn workflows(&self, filter: &WorkflowFilter) -> Result<WorkflowPage, Refusal> {
        let limit = filter.limit.clamp(1, MAX_PAGE);
        let by = match (filter.machine, filter.active) {
            (Some(machine), _) => Index::WorkflowsOf(machine),
            (None, true) => Index::ActiveWorkflows,
            (None, false) => Index::Workflows,
        };
        let mut found = WorkflowPage {
            items: Vec::new(),
            next: filter.after.clone(),
        };
        let mut scanned = 0;
        while scanned < MAX_SCAN && found.items.len() < limit {
            let page = self.store().page(&Query {
                by: by.clone(),
                after: found.next.take(),
                limit: limit - found.items.len(),
                descending: true,
            })?;
            scanned += page.items.len();
            let workflows = page.items.into_iter().filter_map(workflow_of);
            let wanted = workflows.filter(|(workflow, _)| filter.fits(workflow));
            found.items.extend(wanted);
            found.next = page.next;
            if found.next.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The workflow that a word means: its id, or a machine, whose active or else newest one it is.
    pub fn find_workflow(&self, word: &str) -> Result<(Arc<Workflow>, u64), Refusal> {
        if let Ok(id) = word.parse() {
            match self.workflow(WorkflowId(id)) {
                Err(Refusal::NotFound { .. }) => {}
                found => return found,
            }
        }
        let missing = || Refusal::NotFound {
            what: "workflow",
            name: word.to_owned(),
        };
        let machine = match self.machine(&MachineRef(word.to_owned())) {
            Ok((machine, _)) => machine.id,
            Err(Refusal::NotFound { .. }) => return Err(missing()),
            Err(why) => return Err(why),
        };
        if let Some(active) = self.active_workflow(machine)? {
            return Ok(active);
        }
        self.newest_workflow(machine)?.ok_or_else(missing)
    }
}

/// A place that came back from a client.
pub fn place(text: &str) -> Position {
    Position::from_text(text)
}

impl WorkflowFilter {
    fn fits(&self, workflow: &Workflow) -> bool {
        (!self.active || workflow.is_active())
            && self.state.is_none_or(|state| workflow.state == state)
            && self
                .template
                .as_ref()
                .is_none_or(|name| workflow.template.name == *name)
    }
}

pub(super) fn workflow_of(stored: Stored) -> Option<(Arc<Workflow>, u64)> {
    match stored.object {
        Object::Workflow(workflow) => Some((workflow, stored.version)),
        _ => None,
    }
}
