//! Networks, and machines as the wire names them.

use std::sync::Arc;

use crate::core::{Core, Refusal};
use crate::model::{Anchor, LinkName, MacAddr, Machine, Network};
use crate::store::{Index, Key, MAX_PAGE, Object, Query};

impl Core {
    /// The networks that somebody changed or something was claimed on, by link, each with its version.
    pub fn networks(&self) -> Result<Vec<(Arc<Network>, u64)>, Refusal> {
        let page = self.store().page(&Query {
            by: Index::Networks,
            after: None,
            limit: MAX_PAGE,
            descending: false,
        })?;
        let networks = page
            .items
            .into_iter()
            .filter_map(|stored| match stored.object {
                Object::Network(network) => Some((network, stored.version)),
                _ => None,
            });
        Ok(networks.collect())
    }

    /// The network of a link; as it is by default, with version 0, where nobody changed it.
    pub fn network(&self, link: &LinkName) -> Result<(Arc<Network>, u64), Refusal> {
        let stored = self.store().get(&Key::Network(link.clone()))?;
        let found = stored.and_then(|stored| match stored.object {
            Object::Network(network) => Some((network, stored.version)),
            _ => None,
        });
        Ok(found.unwrap_or_else(|| (Arc::new(Network::new(link.clone())), 0)))
    }

    /// The machine with this card; of several, which only an import can bring, the one that was registered first.
    pub fn machine_by_mac(&self, mac: MacAddr) -> Result<Option<Arc<Machine>>, Refusal> {
        for id in self.store().find(&Anchor::Mac(mac))? {
            if let Some(stored) = self.store().get(&Key::Machine(id))?
                && let Object::Machine(machine) = stored.object
            {
                return Ok(Some(machine));
            }
        }
        Ok(None)
    }
}
