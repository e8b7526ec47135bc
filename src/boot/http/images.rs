//! Images at `/images/NAME`: whole, in parts, and while they arrive.

use std::borrow::Cow;

use super::answer::{Answer, Body, Entity, Status, kind};
use super::request::Request;
use super::route::{Routed, answered};
use crate::boot::cache::{Cache, Content, Missing, Opened};

pub async fn image(cache: &Cache, request: &Request, name: &str) -> Routed {
    let answer = match cache.serve(name).await {
        Ok(opened) => sent(request, Cow::Borrowed(kind(name)), opened),
        Err(missing) => Answer::text(status(&missing), missing.to_string()),
    };
    Routed {
        answer,
        file: Some(format!("images/{name}")),
    }
}

/// What is here, or arrives, in the part that was asked for.
pub(super) fn sent(request: &Request, kind: Cow<'static, str>, opened: Opened) -> Answer {
    let entity = Entity {
        len: opened.bytes,
        tag: tag(request, &opened),
        modified: None,
    };
    answered(request, kind, entity, |from, len| match opened.content {
        Content::Whole(file, lease) => Body::Kept {
            file,
            from,
            len,
            lease,
        },
        Content::Growing(growing) => Body::Growing { growing, from, len },
    })
}

/// A client that began while the image arrived, and goes on now, knows it by its first tag.
fn tag(request: &Request, opened: &Opened) -> String {
    let goes_on = request.fields.if_range.as_deref().map(str::trim) == Some(&opened.first_tag);
    if goes_on {
        opened.first_tag.clone()
    } else {
        opened.tag.clone()
    }
}

pub(super) const fn status(missing: &Missing) -> Status {
    match missing {
        Missing::Absent(_) => Status::NotFound,
        Missing::Failed(..) => Status::BadGateway,
        // What the answer depends on failed, and an agent does not ask again.
        Missing::Wrong(..) => Status::FailedDependency,
        Missing::Offline(_) | Missing::Unsized(_) | Missing::Slow(_) => Status::Unavailable,
        Missing::Unreadable(..) => Status::Broken,
    }
}
