//! Anchors that point at different machines, for a person to settle by merge or split.

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, list as as_list};
use super::problem::Fault;
use super::view;
use crate::model::MachineId;

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    let core = ask.web.core();
    let name_of = |id: MachineId| match core.machine_by_id(id) {
        Ok((machine, _)) => machine.name().to_owned(),
        Err(_) => id.to_string(),
    };
    let conflicts = core.conflicts()?;
    let shown = conflicts
        .iter()
        .map(|(conflict, _)| view::conflict(conflict, name_of));
    as_list(shown.collect())
}
