//! A machine as [`crate::api::Machine`] shows it.

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::{Text, Texts};
use crate::api;
use crate::model::edit::Pending;
use crate::model::machine::{BmcConfig, BmcType};
use crate::model::{Conflict, Labels, Lock, Machine, Observed, Source, State};

/// A machine and its version.
#[derive(Clone, Copy, Debug)]
pub struct MachineView<'a>(pub &'a Machine, pub u64);

/// Bytes that one machine takes in JSON, more or less: what to reserve for a page.
pub const TYPICAL_BYTES: usize = 1100;

impl Serialize for MachineView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(machine, version) = self;
        let (identity, status, config) = (&machine.identity, &machine.status, &machine.config);
        let message = match &status.state {
            State::Error { message } => Some(message),
            _ => None,
        };
        let mut out = serializer.serialize_struct("Machine", 32)?;
        out.serialize_field("id", &Text(machine.id))?;
        out.serialize_field("version", version)?;
        out.serialize_field("name", machine.name())?;
        out.serialize_field("memorable_name", config.memorable_name.as_str())?;
        out.serialize_field("friendly_name", &config.friendly_name.as_ref().map(Text))?;
        out.serialize_field("hostname", &config.hostname.as_ref().map(Text))?;
        out.serialize_field("mac", &Text(identity.primary_mac))?;
        out.serialize_field("macs", &Texts(identity.all_macs.iter()))?;
        out.serialize_field("smbios_uuid", &identity.smbios_uuid.map(Text))?;
        out.serialize_field("machine_id", &identity.machine_id)?;
        out.serialize_field("identity_hash", &identity.identity_hash)?;
        out.serialize_field("state", status.state.kind().as_str())?;
        out.serialize_field("state_message", &message)?;
        out.serialize_field("last_seen", &status.last_seen.map(Text))?;
        out.serialize_field("os_choice", &config.os_choice.as_ref().map(Text))?;
        out.serialize_field("tags", &Texts(config.tags.iter()))?;
        out.serialize_field("labels", &LabelsView(&config.labels))?;
        out.serialize_field("static_ip", &config.static_ip.as_ref().map(Text))?;
        out.serialize_field("vlan", &config.vlan)?;
        out.serialize_field("bond", &config.bond.as_ref().map(Text))?;
        out.serialize_field("generation", &config.generation)?;
        out.serialize_field("wanted_now", &config.wanted_now)?;
        let pending = machine
            .pending
            .as_ref()
            .map(|pending| PendingView(machine, pending));
        out.serialize_field("pending", &pending)?;
        out.serialize_field("observed", &ObservedView(&machine.observed))?;
        out.serialize_field("lock", &machine.lock.as_ref().map(LockView))?;
        out.serialize_field("boot", &super::boot::boot(&machine.boot))?;
        out.serialize_field("bmc", &config.bmc.as_ref().map(BmcView))?;
        out.serialize_field("hardware", &super::hardware::hardware(&machine.hardware))?;
        out.serialize_field("source", source(&machine.metadata.source))?;
        out.serialize_field("created_at", &Text(machine.metadata.created_at))?;
        out.serialize_field("updated_at", &Text(machine.metadata.updated_at))?;
        out.end()
    }
}

const fn source(source: &Source) -> &'static str {
    match source {
        Source::Agent => "agent",
        Source::Proxmox { .. } => "proxmox",
        Source::Manual => "manual",
        Source::Demo => "demo",
    }
}

struct LabelsView<'a>(&'a Labels);

impl Serialize for LabelsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter() {
            out.serialize_entry(key, value)?;
        }
        out.end()
    }
}

struct PendingView<'a>(&'a Machine, &'a Pending);

impl Serialize for PendingView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(machine, pending) = self;
        let mut out = serializer.serialize_struct("Pending", 4)?;
        // Its fields are named as those of `api::Change`.
        out.serialize_field("diff", &pending.patch.diff(machine))?;
        out.serialize_field("author", &pending.author)?;
        out.serialize_field("at", &Text(pending.at))?;
        out.serialize_field("base_generation", &pending.base_generation)?;
        out.end()
    }
}

struct ObservedView<'a>(&'a Observed);

impl Serialize for ObservedView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Observed", 5)?;
        out.serialize_field("generation", &self.0.generation)?;
        out.serialize_field("hostname", &self.0.hostname.as_ref().map(Text))?;
        out.serialize_field("os", &self.0.os)?;
        out.serialize_field("addresses", &Texts(self.0.addresses.iter()))?;
        out.serialize_field("called_home_at", &self.0.called_home_at.map(Text))?;
        out.end()
    }
}

struct LockView<'a>(&'a Lock);

impl Serialize for LockView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Lock", 3)?;
        out.serialize_field("by", &self.0.by)?;
        out.serialize_field("at", &Text(self.0.at))?;
        out.serialize_field("reason", &self.0.reason)?;
        out.end()
    }
}

struct BmcView<'a>(&'a BmcConfig);

impl Serialize for BmcView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = match self.0.bmc_type {
            BmcType::Ipmi => "ipmi",
            BmcType::Redfish => "redfish",
            BmcType::ProxmoxApi => "proxmox_api",
        };
        let mut out = serializer.serialize_struct("Bmc", 3)?;
        out.serialize_field("address", &self.0.address)?;
        out.serialize_field("username", &self.0.username)?;
        out.serialize_field("kind", kind)?;
        out.end()
    }
}

/// A conflict, with the names of those that it is about as `name_of` knows them.
pub fn conflict(
    conflict: &Conflict,
    name_of: impl Fn(crate::model::MachineId) -> String,
) -> api::Conflict {
    let claims = conflict
        .claims
        .iter()
        .map(|(anchor, machine)| api::machine::Claim {
            anchor: anchor.to_string(),
            machine: machine.to_string(),
            machine_name: name_of(*machine),
        });
    api::Conflict {
        id: conflict.id.to_string(),
        mac: conflict.evidence.primary_mac.to_string(),
        claims: claims.collect(),
        first_seen: conflict.first_seen.to_string(),
        last_seen: conflict.last_seen.to_string(),
    }
}
