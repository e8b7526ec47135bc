//! From what a person types to one machine.

use std::sync::Arc;

use crate::core::{Core, MachineRef, Refusal};
use crate::model::{Anchor, MacAddr, Machine, MachineId, MemorableName};
use crate::store::{Index, Key, Object, Position, Query, Stored};

/// The shortest beginning of an id that is looked up.
pub const MIN_PREFIX: usize = 4;
/// As many machines as an ambiguous name lists.
pub const MAX_CANDIDATES: usize = 10;

impl Core {
    /// The machine that a person means, with its version.
    ///
    /// Tried in this order: the whole id, a MAC address, any of its names (in any case), the beginning of its
    /// id. The first of these that fits anything decides, and has to fit one machine only.
    pub fn machine(&self, reference: &MachineRef) -> Result<(Arc<Machine>, u64), Refusal> {
        let text = reference.0.trim();
        if let Ok(id) = text.parse::<MachineId>() {
            return self.machine_by_id(id);
        }
        for look in [Self::by_mac, Self::by_name, Self::by_prefix] {
            let mut found = look(self, text)?;
            found.sort_by_key(|(machine, _)| machine.id);
            found.dedup_by_key(|(machine, _)| machine.id);
            if found.len() > 1 {
                return Err(ambiguous(text, &found));
            }
            if let Some(found) = found.pop() {
                return Ok(found);
            }
        }
        Err(Refusal::NotFound {
            what: "machine",
            name: shown(text),
        })
    }

    pub fn machine_by_id(&self, id: MachineId) -> Result<(Arc<Machine>, u64), Refusal> {
        let stored = self.store().get(&Key::Machine(id))?;
        stored
            .and_then(machine_of)
            .ok_or_else(|| Refusal::NotFound {
                what: "machine",
                name: id.to_string(),
            })
    }

    fn by_mac(&self, text: &str) -> Result<Vec<(Arc<Machine>, u64)>, Refusal> {
        match text.parse::<MacAddr>() {
            Ok(mac) => self.by_anchor(&Anchor::Mac(mac)),
            Err(_) => Ok(Vec::new()),
        }
    }

    fn by_anchor(&self, anchor: &Anchor) -> Result<Vec<(Arc<Machine>, u64)>, Refusal> {
        let mut found = Vec::new();
        for id in self.store().find(anchor)? {
            found.extend(self.store().get(&Key::Machine(id))?.and_then(machine_of));
        }
        Ok(found)
    }

    fn by_name(&self, text: &str) -> Result<Vec<(Arc<Machine>, u64)>, Refusal> {
        let folded = text.to_lowercase();
        if folded.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.seek(Index::Name, &folded, |machine| {
            machine.name().to_lowercase() == folded
        })?;
        found.extend(self.seek(Index::Hostname, &folded, |machine| {
            let name = machine.config.hostname.as_ref();
            name.is_some_and(|name| name.as_str() == folded)
        })?);
        for name in four_words(&folded) {
            found.extend(self.by_anchor(&Anchor::Name(name))?);
        }
        Ok(found)
    }

    fn by_prefix(&self, text: &str) -> Result<Vec<(Arc<Machine>, u64)>, Refusal> {
        let prefix = text.to_ascii_lowercase();
        let digits = prefix.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if prefix.len() < MIN_PREFIX || !digits {
            return Ok(Vec::new());
        }
        self.seek(Index::Machines, &prefix, |machine| {
            machine.id.to_string().starts_with(&prefix)
        })
    }

    /// The machines from a place of an index on, as long as they fit; one more than an ambiguous name lists.
    fn seek(
        &self,
        by: Index,
        place: &str,
        fits: impl Fn(&Machine) -> bool,
    ) -> Result<Vec<(Arc<Machine>, u64)>, Refusal> {
        let page = self.store().page(&Query {
            after: Some(Position::before(&by, place)),
            by,
            limit: MAX_CANDIDATES + 1,
            descending: false,
        })?;
        let machines = page.items.into_iter().filter_map(machine_of);
        Ok(machines.take_while(|(machine, _)| fits(machine)).collect())
    }
}

pub(super) fn machine_of(stored: Stored) -> Option<(Arc<Machine>, u64)> {
    match stored.object {
        Object::Machine(machine) => Some((machine, stored.version)),
        _ => None,
    }
}

/// The four-word names that are spelt like this when case is left out of account.
fn four_words(folded: &str) -> Vec<MemorableName> {
    // BIP39's English words have three to eight letters.
    const WORD: std::ops::RangeInclusive<usize> = 3..=8;
    let letters = folded.bytes().all(|b| b.is_ascii_lowercase());
    if !letters || !(12..=32).contains(&folded.len()) {
        return Vec::new();
    }
    let mut names = Vec::new();
    for first in WORD {
        for second in WORD {
            for third in WORD {
                let cuts = [0, first, first + second, first + second + third];
                let last = folded.len().checked_sub(cuts[3]);
                if !last.is_some_and(|last| WORD.contains(&last)) {
                    continue;
                }
                let mut name = folded.to_owned().into_bytes();
                for cut in cuts {
                    name[cut].make_ascii_uppercase();
                }
                let name = String::from_utf8(name).unwrap_or_default();
                names.extend(name.parse::<MemorableName>());
            }
        }
    }
    names
}

fn ambiguous(text: &str, found: &[(Arc<Machine>, u64)]) -> Refusal {
    let mut candidates: Vec<_> = found
        .iter()
        .take(MAX_CANDIDATES)
        .map(|(machine, _)| format!("{} ({})", machine.name(), machine.id))
        .collect();
    if found.len() > MAX_CANDIDATES {
        candidates.push("more".to_owned());
    }
    Refusal::Ambiguous {
        name: shown(text),
        candidates,
    }
}

/// What was typed, fit for a message: bounded, and without control characters.
fn shown(text: &str) -> String {
    text.chars()
        .take(100)
        .map(|c| if c.is_control() { '�' } else { c })
        .collect()
}
