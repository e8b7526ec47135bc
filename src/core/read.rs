//! Questions: machines by name and by filter, tags, conflicts, settings, events, counts.
//!
//! All of it is answered from the store's read model, in pieces of bounded size, and nothing here waits.

mod find;
mod list;
mod word;

use std::sync::Arc;

use crate::model::setting::{SETTINGS, SettingSpec};
use crate::model::{Conflict, SettingKey, Tag};
use crate::store::{
    Counts, EventPage, EventQuery, Index, Key, MAX_PAGE, Object, Query, StoreStats,
};

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

    /// Anchors that point at different machines and wait for a person, with the version of each record.
    ///
    /// Every write demands that the anchors it brings are free, so no two machines share one in the indexes:
    /// what is recorded at check-in is all that there is.
    pub fn conflicts(&self) -> Result<Vec<(Arc<Conflict>, u64)>, Refusal> {
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
        Ok(self.store().counts()?)
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
