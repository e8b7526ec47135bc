//! Places in an index, as text that a client may keep.
//!
//! A place is the sort key of the last item with its id, not a number of items: it survives whatever is put
//! in or taken out around it. On the outside it is hexadecimal, so that it fits a URL whatever a name holds.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{ConflictId, LinkName, MachineId, WorkflowId};
use crate::store::{Index, Position};

/// A sort key that can be written down and found again.
pub(super) trait Place: Ord + Sized {
    fn text(&self) -> String;
    fn parse(text: &str) -> Option<Self>;

    fn position(&self) -> Position {
        Position(self.text().bytes().fold(String::new(), |mut hex, byte| {
            use std::fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
            hex
        }))
    }

    /// None for what was never given out; then the walk begins at its start.
    fn of(position: &Position) -> Option<Self> {
        let digits = position.as_str().as_bytes();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes = pairs.collect::<Option<Vec<u8>>>()?;
        Self::parse(&String::from_utf8(bytes).ok()?)
    }
}

impl Position {
    /// The place just before what begins with `text`: a name (folded to lower case) in [`Index::Name`] and
    /// [`Index::Hostname`], the first digits of an id elsewhere. For looking something up in an order.
    pub fn before(index: &Index, text: &str) -> Self {
        let first = MachineId(Uuid::nil());
        match index {
            Index::Name => (Arc::<str>::from(text), first).position(),
            Index::Hostname => (HostName::Named(text.into()), first).position(),
            _ => {
                let digits = text.bytes().filter(|b| *b != b'-').take(32);
                let digits: String = digits.map(char::from).collect();
                MachineId::parse(&format!("{digits:0<32}"))
                    .unwrap_or(first)
                    .position()
            }
        }
    }
}

impl Place for MachineId {
    fn text(&self) -> String {
        self.0.simple().to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl Place for ConflictId {
    fn text(&self) -> String {
        self.0.simple().to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl Place for WorkflowId {
    fn text(&self) -> String {
        self.0.simple().to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl Place for LinkName {
    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Place for Ipv4Addr {
    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Place for String {
    fn text(&self) -> String {
        self.clone()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

/// Host names, the missing one last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostName {
    Named(Arc<str>),
    Missing,
}

impl Place for (Arc<str>, MachineId) {
    fn text(&self) -> String {
        format!("{}{}", self.1.text(), self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, name) = text.split_at_checked(32)?;
        Some((name.into(), MachineId::parse(id)?))
    }
}

impl Place for (HostName, MachineId) {
    fn text(&self) -> String {
        match &self.0 {
            HostName::Named(name) => format!("{}.{name}", self.1.text()),
            HostName::Missing => self.1.text(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, name) = text.split_at_checked(32)?;
        let name = match name.strip_prefix('.') {
            Some(name) => HostName::Named(name.into()),
            None => HostName::Missing,
        };
        Some((name, MachineId::parse(id)?))
    }
}

impl Place for (Timestamp, MachineId) {
    fn text(&self) -> String {
        format!("{}{}", self.1.text(), self.0.as_nanosecond())
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, nanos) = text.split_at_checked(32)?;
        let at = Timestamp::from_nanosecond(nanos.parse().ok()?).ok()?;
        Some((at, MachineId::parse(id)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_as_it_was_given_out() {
        let id = MachineId(Uuid::from_u128(7));
        let name: (Arc<str>, _) = ("ünser / server".into(), id);
        assert_eq!(Place::of(&name.position()), Some(name));
        let host = (HostName::Named("web.example".into()), id);
        assert_eq!(Place::of(&host.position()), Some(host));
        let none = (HostName::Missing, id);
        assert_eq!(Place::of(&none.position()), Some(none));
        let at = (Timestamp::from_nanosecond(-5).unwrap(), id);
        assert_eq!(Place::of(&at.position()), Some(at));
    }

    #[test]
    fn nonsense_is_no_place() {
        for text in ["", "zz", "abc", "é", "00", "6e6f"] {
            assert_eq!(
                <(Arc<str>, MachineId)>::of(&Position::from_text(text)),
                None,
                "{text}"
            );
        }
    }
}
