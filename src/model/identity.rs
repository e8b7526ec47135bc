//! Who is this machine? Anchors, the identity hash, and what to do when anchors disagree.
//!
//! A machine shows evidence (its cards, its SMBIOS UUID, the machine-id of its installed system). Evidence
//! yields *anchors*; each is looked up in the order of [`Evidence::anchors`], and the first that is known
//! names the machine. Anchors that name different machines are a conflict for a person to settle: nothing
//! is merged in silence.

mod evidence;
mod hash;

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ConflictId, MacAddr, MachineId, MemorableName};

pub use evidence::{Evidence, MAX_NICS, NicEvidence, NicKind};
pub use hash::{IdentityHash, OsMachineId, compute_identity_hash, usable_uuid};

/// What a stored machine is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Record")]
pub struct Identity {
    pub primary_mac: MacAddr,
    /// Sorted, each once, the primary among them, at most [`MAX_NICS`].
    pub all_macs: Vec<MacAddr>,
    /// The cards of `all_macs` that the machine may not be found by: docks, bridges and the like.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unanchored: BTreeSet<MacAddr>,
    pub smbios_uuid: Option<Uuid>,
    pub machine_id: Option<OsMachineId>,
    /// None when nothing that tells hardware apart is known; then other anchors have to do.
    pub identity_hash: Option<IdentityHash>,
}

/// An identity as it is written down; one that a person wrote may be out of order.
#[derive(Deserialize)]
struct Record {
    primary_mac: MacAddr,
    all_macs: Vec<MacAddr>,
    #[serde(default)]
    unanchored: BTreeSet<MacAddr>,
    smbios_uuid: Option<Uuid>,
    machine_id: Option<OsMachineId>,
    identity_hash: Option<IdentityHash>,
}

impl From<Record> for Identity {
    fn from(record: Record) -> Self {
        let mut identity = Self {
            primary_mac: record.primary_mac,
            all_macs: record.all_macs,
            unanchored: record.unanchored,
            smbios_uuid: record.smbios_uuid,
            machine_id: record.machine_id,
            identity_hash: record.identity_hash,
        };
        identity.tidy();
        identity
    }
}

/// One thing by which a machine can be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Anchor {
    Hash(IdentityHash),
    Mac(MacAddr),
    SmbiosUuid(Uuid),
    /// A four-word name; not shown by any machine, but as unique as an anchor.
    Name(MemorableName),
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => write!(f, "identity hash {hash}"),
            Self::Mac(mac) => write!(f, "MAC {mac}"),
            Self::SmbiosUuid(uuid) => write!(f, "SMBIOS UUID {uuid}"),
            Self::Name(name) => write!(f, "name {name}"),
        }
    }
}

impl Identity {
    /// Everything this machine is indexed under. The primary card is an anchor whatever it hangs on when
    /// nothing better is known.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + '_ {
        let uuid = self.smbios_uuid.and_then(usable_uuid);
        let alone = uuid.is_none()
            && self
                .all_macs
                .iter()
                .all(|mac| self.unanchored.contains(mac));
        let macs = self.all_macs.iter().copied().filter(move |mac| {
            !self.unanchored.contains(mac) || (alone && *mac == self.primary_mac)
        });
        self.identity_hash
            .map(Anchor::Hash)
            .into_iter()
            .chain(macs.map(Anchor::Mac))
            .chain(uuid.map(Anchor::SmbiosUuid))
    }

    /// Takes in what a known machine showed this time. Cards are added and never forgotten here: a card that
    /// is silent once is not gone. Returns whether anything changed.
    pub fn learn(&mut self, evidence: &Evidence) -> bool {
        let before = self.clone();
        for nic in evidence.all_nics() {
            let known = self.all_macs.binary_search(&nic.mac);
            match known {
                // An address on the wire says nothing new of a card that was looked at.
                Ok(_) if nic.kind == NicKind::Unknown => continue,
                Ok(_) => {}
                Err(_) if self.all_macs.len() >= MAX_NICS => continue,
                Err(place) => self.all_macs.insert(place, nic.mac),
            }
            if nic.is_anchor() {
                self.unanchored.remove(&nic.mac);
            } else {
                self.unanchored.insert(nic.mac);
            }
        }
        let known = self.smbios_uuid.map(evidence::swapped);
        let uuid = evidence.smbios_uuid.and_then(usable_uuid);
        if let Some(uuid) = uuid.filter(|uuid| known != Some(*uuid)) {
            self.smbios_uuid = Some(uuid);
        }
        if evidence.machine_id.is_some() {
            self.machine_id.clone_from(&evidence.machine_id);
        }
        self.rehash();
        *self != before
    }

    /// Makes `mac` the primary card, in place of the one that was. It is a person's word, so the machine is
    /// found by it from now on.
    pub fn replace_primary(&mut self, mac: MacAddr) {
        if mac == self.primary_mac {
            return;
        }
        let old = self.primary_mac;
        self.all_macs.retain(|known| *known != old);
        self.primary_mac = mac;
        self.unanchored.remove(&mac);
        self.tidy();
        self.rehash();
    }

    /// Whether this UUID is of another board: both have one, and it is not the same, in neither order of bytes.
    pub fn is_other(&self, uuid: Option<Uuid>) -> bool {
        let ours = self.smbios_uuid.and_then(usable_uuid);
        match (ours, uuid.and_then(usable_uuid)) {
            (Some(ours), Some(theirs)) => ours != theirs && evidence::swapped(theirs) != ours,
            _ => false,
        }
    }

    /// Gives up the cards in `macs` and, when asked, the UUID. The primary card stays.
    pub fn give_up(&mut self, macs: &BTreeSet<MacAddr>, uuid: bool) {
        let primary = self.primary_mac;
        self.all_macs
            .retain(|mac| *mac == primary || !macs.contains(mac));
        if uuid {
            self.smbios_uuid = None;
        }
        self.tidy();
        self.rehash();
    }

    /// Takes over all that `other` was known by, as far as there is room; where both know something, its own
    /// knowledge stays.
    pub fn absorb(&mut self, other: &Self) {
        for mac in &other.all_macs {
            if let Err(place) = self.all_macs.binary_search(mac) {
                self.all_macs.insert(place, *mac);
                if other.unanchored.contains(mac) {
                    self.unanchored.insert(*mac);
                }
            } else if !other.unanchored.contains(mac) {
                // The other may be found by it, so it sits in this machine after all.
                self.unanchored.remove(mac);
            }
        }
        self.smbios_uuid = self.smbios_uuid.and_then(usable_uuid).or(other.smbios_uuid);
        if self.machine_id.is_none() {
            self.machine_id.clone_from(&other.machine_id);
        }
        self.tidy();
        self.rehash();
    }

    /// Brings the list of cards into its order: sorted, each once, the primary among them, anchors kept
    /// before others when there are too many, and nothing unanchored that is not there.
    fn tidy(&mut self) {
        let macs = &mut self.all_macs;
        if !macs.is_sorted_by(|a, b| a < b) {
            macs.sort();
            macs.dedup();
        }
        if let Err(place) = macs.binary_search(&self.primary_mac) {
            macs.insert(place, self.primary_mac);
        }
        if macs.len() > MAX_NICS {
            macs.sort_by_key(|mac| (*mac != self.primary_mac, self.unanchored.contains(mac)));
            macs.truncate(MAX_NICS);
            macs.sort();
        }
        self.unanchored
            .retain(|mac| macs.binary_search(mac).is_ok());
    }

    /// The hash over the inputs that count. None when neither a card nor a UUID does: a machine-id alone is
    /// copied with the disk it stands on, and would make one machine of all clones.
    fn rehash(&mut self) {
        let macs: Vec<String> = self
            .all_macs
            .iter()
            .filter(|mac| !self.unanchored.contains(mac))
            .map(|mac| NicEvidence {
                mac: *mac,
                kind: NicKind::Unknown,
            })
            .filter(|nic| nic.counts_for_hash())
            .map(|nic| nic.mac.to_string())
            .collect();
        let uuid = self
            .smbios_uuid
            .and_then(usable_uuid)
            .map(|uuid| uuid.to_string());
        let machine_id = self.machine_id.as_ref().map(OsMachineId::as_str);
        let known = !macs.is_empty() || uuid.is_some();
        self.identity_hash = known.then(|| hash::hash(&macs, uuid.as_deref(), machine_id));
    }
}

/// What the known machines say to a piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Nobody knows it.
    New,
    /// `machine` is named by `by`, and no anchor names another.
    Known { machine: MachineId, by: Anchor },
    /// `machine` is named by the best anchor, and others by others.
    Conflict {
        machine: MachineId,
        claims: Vec<(Anchor, MachineId)>,
    },
}

/// Asks `find` who is known by each anchor of `evidence`, and draws the conclusion.
pub fn resolve(evidence: &Evidence, mut find: impl FnMut(&Anchor) -> Vec<MachineId>) -> Resolution {
    let mut claims = Vec::new();
    for anchor in evidence.anchors() {
        claims.extend(
            find(&anchor)
                .into_iter()
                .map(|machine| (anchor.clone(), machine)),
        );
    }
    let Some((by, machine)) = claims.first().cloned() else {
        return Resolution::New;
    };
    if claims.iter().all(|(_, other)| *other == machine) {
        return Resolution::Known { machine, by };
    }
    Resolution::Conflict { machine, claims }
}

/// Anchors that were seen together and point at different machines, until a person settles it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub id: ConflictId,
    pub evidence: Evidence,
    pub claims: Vec<(Anchor, MachineId)>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

impl Conflict {
    /// The machines that lay claim, each once, the best claim first.
    pub fn machines(&self) -> Vec<MachineId> {
        let mut machines = Vec::new();
        for (_, machine) in &self.claims {
            if !machines.contains(machine) {
                machines.push(*machine);
            }
        }
        machines
    }
}

#[cfg(test)]
mod tests;
