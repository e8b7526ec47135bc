//! Questions: machines by name and by filter, tags, conflicts, settings, events, counts.
//!
//! All of it is answered from the store's read model, in pieces of bounded size, and nothing here waits.

mod find;
mod list;
mod network;
mod word;

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::setting::{SETTINGS, SettingSpec};
use crate::model::{Anchor, Conflict, ConflictId, Evidence, Machine, MachineId, SettingKey, Tag};
use crate::store::{
    Counts, EventPage, EventQuery, Index, Key, MAX_PAGE, Object, Query, StoreStats,
};

use super::machines::MAX_CLAIMANTS;
use super::{Core, Refusal};

pub use list::{MAX_SCAN, MachineFilter, MachinePage, Sort, SortBy};

/// As many conflicts as are kept until somebody settles some.
pub const MAX_CONFLICTS: usize = MAX_PAGE;

/// A setting as it is in force.
#[derive(Clone, Debug)]
pub struct SettingView {
    pub spec: &'static SettingSpec,
    pub value: String,
    /// Whether a person set it; otherwise `value` is the default.
    pub set: bool,
    /// 0 when nobody set it.
    pub version: u64,
}

impl Core {
    /// Every tag that some machine carries, with how many do.
    pub fn tags(&self) -> Result<Vec<(Tag, usize)>, Refusal> {
        Ok(self.store().tags()?)
    }

    /// Anchors that point at different machines and wait for a person: those that were recorded at a check-in, with
    /// the version of each record, and with version 0 those that stand in the indexes alone. (Every write demands
    /// that the anchors it brings are free, but an import may bring two machines with the same one.)
    pub fn conflicts(&self) -> Result<Vec<(Arc<Conflict>, u64)>, Refusal> {
        let mut conflicts = self.recorded_conflicts()?;
        for machines in self.store().contested()? {
            if conflicts.len() >= MAX_CONFLICTS {
                break;
            }
            let Some(derived) = self.derived(&machines)? else {
                continue;
            };
            let known = |conflict: &Conflict| {
                let mut claims = derived.claims.iter();
                claims.all(|claim| conflict.claims.contains(claim))
            };
            if !conflicts.iter().any(|(conflict, _)| known(conflict)) {
                conflicts.push((Arc::new(derived), 0));
            }
        }
        conflicts.sort_by_key(|(conflict, _)| (conflict.first_seen, conflict.id));
        Ok(conflicts)
    }

    /// What machines that share anchors in the indexes come to.
    fn derived(&self, ids: &[MachineId]) -> Result<Option<Conflict>, Refusal> {
        let mut machines = Vec::new();
        for id in ids.iter().take(MAX_CLAIMANTS) {
            if let Some(stored) = self.store().get(&Key::Machine(*id))? {
                machines.extend(find::machine_of(stored).map(|(machine, _)| machine));
            }
        }
        let anchors = |machine: &Machine| {
            let name = Anchor::Name(machine.config.memorable_name.clone());
            let anchors = machine.identity.anchors().chain([name]);
            anchors.collect::<BTreeSet<_>>()
        };
        let Some((first, others)) = machines.split_first().filter(|(_, more)| !more.is_empty())
        else {
            return Ok(None);
        };
        let mut shared = anchors(first);
        for other in others {
            let has = anchors(other);
            shared.retain(|anchor| has.contains(anchor));
        }
        let claims: Vec<_> = shared
            .iter()
            .flat_map(|anchor| machines.iter().map(|m| (anchor.clone(), m.id)))
            .collect();
        let identity = &first.identity;
        let macs = identity.all_macs.iter().copied();
        let evidence = Evidence {
            smbios_uuid: identity.smbios_uuid,
            ..Evidence::of_macs(identity.primary_mac, macs).bounded()
        };
        let created = machines.iter().map(|machine| machine.metadata.created_at);
        let updated = machines.iter().map(|machine| machine.metadata.updated_at);
        Ok((!claims.is_empty()).then(|| Conflict {
            id: derived_id(ids),
            evidence,
            claims,
            first_seen: created.max().unwrap_or_default(),
            last_seen: updated.max().unwrap_or_default(),
        }))
    }

    /// The conflicts that were recorded at a check-in.
    pub(super) fn recorded_conflicts(&self) -> Result<Vec<(Arc<Conflict>, u64)>, Refusal> {
        let page = self.store().page(&Query {
            by: Index::Conflicts,
            after: None,
            limit: MAX_CONFLICTS,
            descending: false,
        })?;
        let conflicts = page.items.into_iter().filter_map(|stored| {
            let Object::Conflict(conflict) = stored.object else {
                return None;
            };
            Some((conflict, stored.version))
        });
        let mut conflicts: Vec<_> = conflicts.collect();
        conflicts.sort_by_key(|(conflict, _)| (conflict.first_seen, conflict.id));
        Ok(conflicts)
    }

    /// Every setting of the table.
    pub fn settings(&self) -> Result<Vec<SettingView>, Refusal> {
        SETTINGS.iter().map(|spec| self.setting_of(spec)).collect()
    }

    pub fn setting(&self, key: &SettingKey) -> Result<SettingView, Refusal> {
        self.setting_of(key.spec())
    }

    pub(super) fn setting_of(&self, spec: &'static SettingSpec) -> Result<SettingView, Refusal> {
        let key = Key::Setting(spec.key.parse()?);
        let stored = self.store().get(&key)?;
        let version = stored.as_ref().map_or(0, |stored| stored.version);
        let own = stored.and_then(|stored| match stored.object {
            Object::Setting(setting) => Some(setting.value.clone()),
            _ => None,
        });
        Ok(SettingView {
            spec,
            set: own.is_some(),
            value: own.unwrap_or_else(|| spec.default.to_owned()),
            version,
        })
    }

    /// Events after a place, oldest first; or newest first and before a place.
    pub fn events(&self, query: &EventQuery) -> Result<EventPage, Refusal> {
        Ok(self.store().events(query)?)
    }

    /// How many objects there are of each kind, and of machines in each state.
    pub fn counts(&self) -> Result<Counts, Refusal> {
        let mut counts = self.store().counts()?;
        if !self.store().contested()?.is_empty() {
            counts.conflicts = self.conflicts()?.len();
        }
        Ok(counts)
    }

    /// Why a change could not be kept now, if there is a reason.
    pub fn health(&self) -> Result<(), Refusal> {
        Ok(self.store().health()?)
    }

    /// Figures of the store.
    pub fn stats(&self) -> StoreStats {
        self.store().stats()
    }

    /// The store's backend and place, for people.
    pub fn store_name(&self) -> String {
        self.store().describe()
    }
}

/// The same for the same machines, whoever asks and when.
fn derived_id(ids: &[MachineId]) -> ConflictId {
    let mut hash = Sha256::new();
    for id in ids {
        hash.update(id.0.as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    ConflictId(uuid::Builder::from_custom_bytes(half).into_uuid())
}
