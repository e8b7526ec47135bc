//! A session with its name, and its story as the trace tells it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::model::trace::Mark;

use super::burst::Burst;
use super::name;
use super::packet::{self, ErrorCode, Malformed, Packet, Request};
use super::session::{Bounds, Cause, Fate, Input, Session};
use super::{FileRequest, Files, Limits, OpenError, Watcher};

/// What all transfers of one server share.
pub(super) struct House {
    pub files: Arc<dyn Files>,
    pub watcher: Arc<dyn Watcher>,
    pub local: Ipv4Addr,
    pub limits: Limits,
}

/// What a datagram to the port of requests asks for.
pub(super) enum Asked<'a> {
    /// Nothing that has an answer.
    Nothing,
    /// Something that is refused; the answer is in the burst.
    Refused,
    Read(Request<'a>),
}

impl<'a> Asked<'a> {
    /// Reads a datagram to the port of requests; what refuses it goes to `out`.
    pub(super) fn parse(peer: SocketAddr, datagram: &'a [u8], out: &mut Burst) -> Self {
        out.clear();
        match Packet::parse(datagram) {
            Ok(Packet::Read(request)) => Self::Read(request),
            Ok(Packet::Write) => {
                let text = "this server takes no files, it only sends them";
                packet::write_error(ErrorCode::AccessViolation, text, out);
                Self::Refused
            }
            // A stray ACK may be the echo of a transfer that is done; an ERROR is never answered (RFC 1350 section 7).
            Ok(Packet::Ack(_) | Packet::Error { .. }) | Err(Malformed::Short(_)) => Self::Nothing,
            Err(error) => {
                let (text, shown) = (error.to_string(), name::shown(datagram));
                tracing::debug!(%peer, why = %text, datagram = %shown, "malformed TFTP request");
                packet::write_error(ErrorCode::IllegalOperation, &text, out);
                Self::Refused
            }
        }
    }
}

impl House {
    /// Begins a transfer; its first datagram, or the reason why there is none, is in `out`.
    pub(super) fn begin(
        self: &Arc<Self>,
        peer: SocketAddr,
        request: &Request<'_>,
        mtu: u16,
        now: Duration,
        out: &mut Burst,
    ) -> Option<Transfer> {
        let shown = name::shown(request.name);
        let source = match self.open(peer, request) {
            Ok(source) => source,
            Err(Refusal { answer, why }) => {
                out.clear();
                if let Some((code, text)) = answer {
                    packet::write_error(code, text, out);
                }
                let text = format!("{shown}: {why}");
                self.watcher.tftp(peer, Mark::FileMissing, text);
                return None;
            }
        };
        out.clear();
        let bounds = Bounds::of_path(mtu, self.limits.window);
        let (session, fate) = Session::open(source, request, bounds, now, out);
        let transfer = Transfer {
            house: Arc::clone(self),
            session,
            peer,
            name: shown,
            begun: now,
        };
        transfer.tell_begin();
        transfer.tell(now, &fate);
        matches!(fate, Fate::Goes).then_some(transfer)
    }

    /// A client began another transfer at its port, while one was going on.
    pub(super) fn tell_replaced(&self, peer: SocketAddr) {
        let text = "the client asked anew before the file was whole".to_owned();
        self.watcher.tftp(peer, Mark::FileBroken, text);
    }

    fn open(
        &self,
        peer: SocketAddr,
        request: &Request<'_>,
    ) -> Result<Box<dyn super::Source>, Refusal> {
        let missing = Some((ErrorCode::NotFound, "file not found"));
        let denied = Some((ErrorCode::AccessViolation, "access denied"));
        let name = name::clean(request.name).map_err(|error| Refusal {
            answer: missing,
            why: error.to_string(),
        })?;
        let request = FileRequest {
            name: &name,
            peer,
            local: self.local,
        };
        self.files.open(&request).map_err(|error| {
            let (answer, why) = match error {
                OpenError::Missing => (missing, "there is no such file"),
                OpenError::Denied => (denied, "it is not for this machine"),
                OpenError::Silence => (None, "nothing is answered"),
            };
            let why = why.to_owned();
            Refusal { answer, why }
        })
    }
}

struct Refusal {
    answer: Option<(ErrorCode, &'static str)>,
    why: String,
}

pub(super) struct Transfer {
    house: Arc<House>,
    session: Session,
    peer: SocketAddr,
    /// As a person may read it.
    name: String,
    begun: Duration,
}

impl Transfer {
    /// True while it goes on. What is to be sent is in `out`.
    pub(super) fn handle(&mut self, now: Duration, input: Input<'_>, out: &mut Burst) -> bool {
        let fate = self.session.handle(now, input, out);
        self.tell(now, &fate);
        matches!(fate, Fate::Goes)
    }

    pub(super) fn read_ahead(&mut self) {
        self.session.read_ahead();
    }

    pub(super) fn deadline(&self) -> Duration {
        self.session.deadline()
    }

    pub(super) fn is_half_open(&self) -> bool {
        self.session.is_half_open()
    }

    fn tell_begin(&self) {
        let agreed = self.session.agreed();
        let mut text = format!("{}, {} octets", self.name, self.session.len());
        let parts = [
            ("blksize", agreed.blksize.map(u64::from)),
            ("windowsize", agreed.windowsize.map(u64::from)),
            ("timeout", agreed.timeout.map(u64::from)),
        ];
        for (option, value) in parts {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(text, ", {option} {value}");
            }
        }
        self.house.watcher.tftp(self.peer, Mark::FileBegun, text);
    }

    fn tell(&self, now: Duration, fate: &Fate) {
        let (name, octets) = (&self.name, self.session.len());
        let millis = now.saturating_sub(self.begun).as_millis();
        let (mark, text) = match fate {
            Fate::Goes => return,
            Fate::Probed => (Mark::FileProbed, format!("{name}, {octets} octets")),
            Fate::Done { acknowledged: true } => (
                Mark::FileDone,
                format!("{name}, {octets} octets in {millis} ms"),
            ),
            Fate::Done {
                acknowledged: false,
            } => (
                Mark::FileDone,
                format!(
                    "{name}, {octets} octets in {millis} ms, the end of which was not acknowledged"
                ),
            ),
            Fate::Broken(cause) => {
                let had = self.session.delivered();
                let why = told(cause, self.is_half_open());
                (
                    Mark::FileBroken,
                    format!("{name}, after {had} of {octets} octets: {why}"),
                )
            }
        };
        self.house.watcher.tftp(self.peer, mark, text);
    }
}

fn told(cause: &Cause, half_open: bool) -> String {
    match cause {
        Cause::Client { code, message } => format!("the client gave up, code {code}: {message}"),
        Cause::Gone => "the client closed its port".to_owned(),
        Cause::Silent if half_open => {
            "the client asked and never answered; does a filter between drop what comes from another port than 69?"
                .to_owned()
        }
        Cause::Silent => "the client fell silent".to_owned(),
        Cause::Read(error) => format!("the file could not be read: {error}"),
    }
}
