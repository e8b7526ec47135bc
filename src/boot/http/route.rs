//! What there is on the machine plane.

use std::borrow::Cow;
use std::net::SocketAddr;

use uuid::Uuid;

use super::answer::{Answer, Body, Entity, Status, TEXT, kind};
use super::request::{Method, Request};
use super::select::{About, Selection, select};
use super::target::Target;
use super::{Ask, Plane, Told, images, pages, registry};
use crate::boot::files::{Content, Missing, Opened};
use crate::boot::ipxe::{Guest, words};
use crate::boot::loaders::{AUTOEXEC, ENTRY};
use crate::model::boot::Platform;
use crate::model::environment::{PATH, pci_id_of_bus};

/// Longer than any name that a maker gives a machine.
const MAX_TOLD: usize = 64;

/// An answer, and the name of the file that it is about, for the trace.
#[derive(Debug)]
pub struct Routed {
    pub answer: Answer,
    pub file: Option<String>,
}

impl From<Answer> for Routed {
    fn from(answer: Answer) -> Self {
        Self { answer, file: None }
    }
}

pub async fn route(
    plane: &Plane,
    request: &Request,
    peer: SocketAddr,
    local: SocketAddr,
) -> Routed {
    let path = request.target.path();
    if path == "healthz" {
        return Answer::text(Status::Ok, "ok").into();
    }
    if path == ENTRY || path == AUTOEXEC {
        return file(plane, request, path, local);
    }
    if let Some(name) = path.strip_prefix("boot/") {
        return file(plane, request, name, local);
    }
    if let (Some(name), Some(cache)) = (path.strip_prefix("images/"), &plane.images) {
        return images::image(cache, request, name).await;
    }
    if let Some(name) = path.strip_prefix(PATH.trim_start_matches('/')) {
        let opened = plane.files.environments().open(name);
        return sent(request, path, opened);
    }
    if let (Some(rest), Some(cache)) = (below_v2(path), &plane.images) {
        return registry::registry(cache, request, rest).await;
    }
    if let Some(mac) = path.strip_prefix("ipxe/machine/") {
        return machine(plane, request, mac, peer, local).await.into();
    }
    if pages::leads_here(path) {
        return pages::page(plane, request, peer, local).await.into();
    }
    let line =
        "there is nothing here; boot files are below /boot/, and scripts begin at /ipxe/boot.ipxe";
    Routed {
        answer: Answer::text(Status::NotFound, line),
        file: Some(path.to_owned()),
    }
}

/// `v2` itself, and what lies below.
fn below_v2(path: &str) -> Option<&str> {
    if path == "v2" {
        return Some("");
    }
    path.strip_prefix("v2/")
}

fn file(plane: &Plane, request: &Request, name: &str, local: SocketAddr) -> Routed {
    sent(request, name, plane.files.open(name, local))
}

fn sent(request: &Request, name: &str, opened: Result<Opened, Missing>) -> Routed {
    let answer = match opened {
        Ok(opened) => selected(request, name, opened),
        Err(missing) => Answer::text(status(&missing), missing.to_string()),
    };
    let file = Some(name.to_owned());
    Routed { answer, file }
}

fn status(missing: &Missing) -> Status {
    match missing {
        Missing::Name(_) => Status::BadRequest,
        Missing::Absent(_) | Missing::NotAFile(_) => Status::NotFound,
        Missing::Unreadable(_, error) => {
            tracing::warn!(%error, "boot file not readable");
            Status::Broken
        }
        Missing::Script(_, error) => {
            tracing::error!(%error, "script not made");
            Status::Broken
        }
    }
}

fn selected(request: &Request, name: &str, opened: Opened) -> Answer {
    let entity = Entity {
        len: opened.len,
        tag: opened.tag,
        modified: opened.modified,
    };
    let kind = Cow::Borrowed(kind(name));
    answered(request, kind, entity, |from, len| {
        body(opened.content, from, len)
    })
}

/// The part of a content that a request gets.
pub(super) fn answered(
    request: &Request,
    kind: Cow<'static, str>,
    entity: Entity,
    body: impl FnOnce(u64, u64) -> Body,
) -> Answer {
    let about = About {
        len: entity.len,
        tag: &entity.tag,
        modified: entity.modified,
    };
    let selection = select(request, &about);
    let (status, part, (from, len)) = match selection {
        Selection::Whole => (Status::Ok, None, (0, entity.len)),
        Selection::Part(first, last) => {
            let range = (first, last - first + 1);
            (Status::PartialContent, Some((first, last)), range)
        }
        Selection::NotModified => (Status::NotModified, None, (0, 0)),
        Selection::Nothing => {
            let line = format!("the range lies behind the end, at {} bytes", entity.len);
            let entity = Some(entity);
            return Answer {
                entity,
                ..Answer::text(Status::RangeNotSatisfiable, line)
            };
        }
    };
    Answer {
        status,
        kind,
        entity: Some(entity),
        part,
        body: body(from, len),
        more: Vec::new(),
    }
}

fn body(content: Content, from: u64, len: u64) -> Body {
    match content {
        Content::File(file) => Body::File { file, from, len },
        Content::Bytes(bytes) => {
            let place = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
            Body::Bytes(bytes.slice(place(from)..place(from + len)))
        }
    }
}

async fn machine(
    plane: &Plane,
    request: &Request,
    mac: &str,
    peer: SocketAddr,
    local: SocketAddr,
) -> Answer {
    if request.method == Method::Head {
        let line = "a machine's script is made when it is fetched, by GET";
        return Answer::text(Status::MethodNotAllowed, line);
    }
    let Ok(mac) = mac.parse() else {
        let line = "a machine's script is at /ipxe/machine/ and its MAC address";
        return Answer::text(Status::BadRequest, line);
    };
    let ask = ask(&request.target, mac, peer, local);
    let given = match plane.machines.script(&ask).await {
        Ok(given) => given,
        Err(unavailable) => return Answer::text(Status::Unavailable, unavailable.to_string()),
    };
    let guest = Guest {
        name: &given.name,
        mac,
        address: peer.ip(),
        platform: ask.platform,
        agent: given.agent.as_ref(),
        installer: given.installer.as_ref(),
    };
    match plane
        .files
        .scripts()
        .machine(local, &guest, &given.decision)
    {
        Ok(script) => Answer {
            kind: Cow::Borrowed(TEXT),
            ..Answer::text(Status::Ok, script)
        },
        Err(error) => {
            tracing::error!(%mac, %error, "script not made");
            Answer::text(Status::Broken, error.to_string())
        }
    }
}

fn ask(target: &Target, mac: crate::model::MacAddr, peer: SocketAddr, local: SocketAddr) -> Ask {
    let told = |name| words(target.value(name), MAX_TOLD);
    Ask {
        mac,
        uuid: target.value("uuid").parse::<Uuid>().ok(),
        platform: platform(target.value("platform"), target.value("arch")),
        peer,
        local,
        card: pci_id_of_bus(target.value("bus")),
        told: Told {
            chip: told("chip"),
            version: told("version"),
            maker: told("maker"),
            product: told("product"),
            serial: told("serial"),
        },
    }
}

/// iPXE's `${platform}` and `${buildarch}`.
fn platform(platform: &str, arch: &str) -> Option<Platform> {
    Some(match (platform, arch) {
        ("pcbios", _) => Platform::Bios,
        ("efi", "i386") => Platform::Ia32,
        ("efi", "x86_64") => Platform::X64,
        ("efi", "arm32") => Platform::Arm32,
        ("efi", "arm64") => Platform::Arm64,
        ("efi", "riscv64") => Platform::Riscv64,
        ("efi", "loong64") => Platform::Loong64,
        _ => return None,
    })
}
