//! What every backend has to be: one suite of facts, a naive model to agree with, and things to store.
//!
//! `facts` are single promises with telling names; `contract_tests!` makes a test of each for one backend.
//! `properties` runs any sequence of operations against a backend and against [`naive`]. What lies
//! in [`samples`], [`naive`] and [`agree`] serves the tests and benches outside of this crate too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "it is all test: what fails here shall panic"
)]

use std::future::Future;

pub mod agree;
#[cfg(test)]
mod facts;
pub mod naive;
#[cfg(test)]
mod properties;
pub mod samples;

#[cfg(test)]
use std::sync::Arc;

#[cfg(test)]
use super::redb::{Options, RedbStore};
use super::{Commit, Committed, Store, StoreError};

/// Waits for a future of a store on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers needs nothing")
        .block_on(future)
}

pub fn commit(store: &dyn Store, commit: Commit) -> Result<Committed, StoreError> {
    wait(store.commit(commit))
}

/// A store under test that can be closed and opened again.
#[cfg(test)]
pub(super) struct Bed {
    store: Option<Arc<dyn Store>>,
    again: Box<Again>,
}

/// Opens what the store that was has left.
#[cfg(test)]
type Again = dyn FnMut(Option<Arc<dyn Store>>) -> Arc<dyn Store>;

#[cfg(test)]
impl Bed {
    /// `again` gets the store that was, and opens what it left.
    pub fn new(again: impl FnMut(Option<Arc<dyn Store>>) -> Arc<dyn Store> + 'static) -> Self {
        let mut again: Box<Again> = Box::new(again);
        Self {
            store: Some(again(None)),
            again,
        }
    }

    /// A backend that has nothing to open again: it stays as it is.
    pub fn memory() -> Self {
        Self::new(|store| store.unwrap_or_else(|| Arc::new(super::memory::MemoryStore::new())))
    }

    /// A file in a directory of its own, which is removed with the bed.
    pub fn redb(tune: impl Fn(&mut Options)) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut options = Options::new(home.path().join("store.dragonfly"));
        tune(&mut options);
        Self::new(move |store| {
            let _home = &home;
            drop(store);
            Arc::new(RedbStore::open(options.clone()).expect("opens what it left"))
        })
    }

    /// Bodies that have no room, and a journal of `bytes` that is taken into the tables all the time.
    pub fn cramped(bytes: u64) -> Self {
        Self::redb(|options| {
            options.body_bytes = 2048;
            options.cache_bytes = 64 * 1024;
            options.journal_records = 3;
            options.journal_bytes = bytes;
        })
    }

    pub fn store(&self) -> &dyn Store {
        &**self.store.as_ref().expect("is there between calls")
    }

    pub fn shared(&self) -> Arc<dyn Store> {
        self.store.clone().expect("is there between calls")
    }

    pub fn reopen(&mut self) {
        let store = self.store.take();
        self.store = Some((self.again)(store));
    }

    pub fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self::commit(self.store(), commit)
    }
}

/// One test per fact, for one backend.
#[cfg(test)]
macro_rules! contract_tests {
    ($backend:ident, $bed:expr) => {
        mod $backend {
            use super::*;

            contract_tests!(@each $bed,
                versions_begin_at_one_and_have_no_gap
                an_expected_version_that_is_not_there_refuses_the_commit
                a_free_anchor_may_be_its_own_holders
                a_refused_commit_leaves_nothing
                limits_are_a_hundred_operations_and_a_mebibyte
                one_key_changes_once_in_a_commit
                every_anchor_finds_its_machine_and_only_while_it_has_it
                every_index_is_walked_in_both_directions
                a_place_survives_what_comes_and_goes_around_it
                whoever_stays_is_on_exactly_one_page_while_others_move
                tags_and_states_are_counted_as_they_change
                events_are_found_from_both_ends_and_by_subject
                a_cursor_takes_a_follower_on_without_gap
                a_watcher_wakes_for_each_commit_with_an_event
                a_trim_keeps_the_audit_log_and_resets_who_missed_something
                a_setting_that_comes_back_goes_on_counting
                leases_are_found_by_link_in_the_order_of_their_addresses
                a_deleted_lease_begins_anew_and_a_network_counts_on
                an_answer_is_kept_word_for_word
                sixteen_writers_lose_nothing
                of_sixteen_claims_on_one_anchor_one_wins
                readers_see_whole_commits_only
                what_was_closed_takes_nothing_more
                what_was_reopened_reads_and_counts_on_as_before
                an_empty_commit_changes_nothing
            );
        }
    };
    (@each $bed:expr, $($fact:ident)*) => {
        $(
            #[test]
            fn $fact() {
                let mut bed = $bed;
                crate::store::contract::facts::$fact(&mut bed);
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    contract_tests!(memory, Bed::memory());
    contract_tests!(redb, Bed::redb(|_| ()));
    contract_tests!(cramped, Bed::cramped(2 * 1024 * 1024));
}
