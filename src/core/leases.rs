//! Leases: written straight to the store, since each has to be durable before its ACK leaves, and a pool of a
//! thousand machines that boot is a thousand of them. No command, no receipt and no event stands in between.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::model::{Lease, LinkName};
use crate::store::{Change, Commit, Index, Key, MAX_PAGE, Object, Query, StoreError};

use super::{Core, Refusal};

/// As many leases as one commit holds; its limit is 100 operations.
const LEASES_PER_COMMIT: usize = 90;

impl Core {
    /// Every lease of a link, by address.
    pub fn leases(&self, link: &LinkName) -> Result<Vec<Arc<Lease>>, Refusal> {
        let mut query = Query {
            by: Index::Leases(link.clone()),
            after: None,
            limit: MAX_PAGE,
            descending: false,
        };
        let mut leases = Vec::new();
        loop {
            let page = self.store().page(&query)?;
            leases.extend(
                page.items
                    .into_iter()
                    .filter_map(|stored| match stored.object {
                        Object::Lease(lease) => Some(lease),
                        _ => None,
                    }),
            );
            query.after = page.next;
            if query.after.is_none() {
                return Ok(leases);
            }
        }
    }

    /// Makes `put` durable, and ends what is `gone`; of an address that is in both, or twice, the last put counts.
    ///
    /// Callers that wait together share a sync. After an error some of it may be durable and some not.
    pub async fn record_leases(
        &self,
        put: Vec<Lease>,
        gone: Vec<(LinkName, Ipv4Addr)>,
    ) -> Result<(), StoreError> {
        let gone = gone
            .into_iter()
            .map(|(link, address)| Key::Lease(link, address));
        let gone = gone.map(|key| (key.clone(), Change::Delete(key)));
        let put = put.into_iter().map(|lease| Object::Lease(Arc::new(lease)));
        let put = put.map(|lease| (lease.key(), Change::Put(lease)));
        let changes: BTreeMap<_, _> = gone.chain(put).collect();
        let mut changes: Vec<_> = changes.into_values().collect();
        let mut commits = Vec::with_capacity(changes.len().div_ceil(LEASES_PER_COMMIT));
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(LEASES_PER_COMMIT));
            commits.push(self.store().commit(Commit {
                changes: std::mem::replace(&mut changes, rest),
                ..Commit::default()
            }));
        }
        let done = join_all(commits).await;
        done.into_iter().try_for_each(|done| done.map(drop))
    }
}
