//! A change of a network, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Admit, Idle, NetworkConfig, OnConflict, Oui, Pool, Serve, Want};
use crate::model::boot::{LoaderChoice, Rung};
use crate::model::edit::nullable;
use crate::model::{FieldChange, Hostname, MacAddr};

/// Fields with their new values; what is left out stays. `null` clears what can be without a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serve: Option<Serve>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admit: Option<Admit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rungs: Option<BTreeSet<Rung>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floating: Option<Want>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaders: Option<BTreeMap<Oui, LoaderChoice>>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub pool: Option<Option<Pool>>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub router: Option<Option<Ipv4Addr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Vec<Ipv4Addr>>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub domain: Option<Option<Hostname>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservations: Option<BTreeMap<MacAddr, Ipv4Addr>>,
}

impl NetworkPatch {
    /// What the network is with this patch.
    #[must_use]
    pub fn applied(&self, config: &NetworkConfig) -> NetworkConfig {
        fn lay<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        let mut new = config.clone();
        lay(&mut new.serve, self.serve.as_ref());
        lay(&mut new.idle, self.idle.as_ref());
        lay(&mut new.admit, self.admit.as_ref());
        lay(&mut new.rungs, self.rungs.as_ref());
        lay(&mut new.floating.want, self.floating.as_ref());
        lay(&mut new.floating.scan, self.scan.as_ref());
        lay(&mut new.floating.on_conflict, self.on_conflict.as_ref());
        lay(&mut new.loaders, self.loaders.as_ref());
        lay(&mut new.dhcp.pool, self.pool.as_ref());
        lay(&mut new.dhcp.router, self.router.as_ref());
        lay(&mut new.dhcp.dns, self.dns.as_ref());
        lay(&mut new.dhcp.domain, self.domain.as_ref());
        lay(&mut new.dhcp.lease_seconds, self.lease_seconds.as_ref());
        lay(&mut new.dhcp.reservations, self.reservations.as_ref());
        new
    }
}

impl NetworkConfig {
    /// The fields in which `other` differs, under the names that a patch gives them.
    pub fn diff(&self, other: &Self) -> Vec<FieldChange> {
        let fields = |config: &Self| {
            let dhcp = &config.dhcp;
            [
                ("admit", json!(config.admit)),
                ("dns", json!(dhcp.dns)),
                ("domain", json!(dhcp.domain)),
                ("floating", json!(config.floating.want.to_string())),
                ("idle", json!(config.idle)),
                ("lease_seconds", json!(dhcp.lease_seconds)),
                ("loaders", json!(config.loaders)),
                ("on_conflict", json!(config.floating.on_conflict)),
                ("pool", json!(dhcp.pool.map(|pool| pool.to_string()))),
                ("reservations", json!(dhcp.reservations)),
                ("router", json!(dhcp.router)),
                ("rungs", json!(config.rungs)),
                ("scan", json!(config.floating.scan)),
                ("serve", json!(config.serve)),
            ]
        };
        let pairs = fields(self).into_iter().zip(fields(other));
        let changed = pairs.filter(|((_, from), (_, to))| from != to);
        changed
            .map(|((field, from), (_, to))| FieldChange::new(field, from, to))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(json: &str) -> NetworkPatch {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_a_patch_leaves_out_stays_and_null_clears() {
        let config = NetworkConfig::default();
        let set = patch(
            r#"{"serve":"server","pool":{"first":"10.0.0.100","last":"10.0.0.200"},"router":"10.0.0.1","scan":7}"#,
        );
        let new = set.applied(&config);
        assert_eq!((new.serve, new.floating.scan), (Serve::Server, 7));
        assert_eq!(new.idle, config.idle);
        let diff = config.diff(&new);
        let fields: Vec<_> = diff.iter().map(|change| &*change.field).collect();
        assert_eq!(fields, ["pool", "router", "scan", "serve"]);
        assert_eq!(diff[0].to, "10.0.0.100-10.0.0.200");
        let cleared = patch(r#"{"router":null}"#).applied(&new);
        assert_eq!(cleared.dhcp.router, None);
        assert_eq!(cleared.dhcp.pool, new.dhcp.pool);
        assert_eq!(NetworkPatch::default().applied(&new), new);
    }

    #[test]
    fn a_field_that_there_is_not_is_refused() {
        assert!(serde_json::from_str::<NetworkPatch>(r#"{"gateway":"10.0.0.1"}"#).is_err());
        let every = r#"{"floating":{"address":"10.0.0.9"},"rungs":["staple"],"loaders":{"b8:27:eb":"firmware"}}"#;
        let text = serde_json::to_string(&patch(every)).unwrap();
        assert_eq!(patch(&text), patch(every));
    }
}
