//! Tags in use.

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, list as as_list};
use super::problem::Fault;
use crate::api::TagCount;

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    let tags = ask.web.core().tags()?.into_iter();
    as_list(
        tags.map(|(tag, machines)| TagCount {
            tag: tag.to_string(),
            machines: machines as u64,
        })
        .collect(),
    )
}
