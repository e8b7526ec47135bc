//! Editing a machine: a patch, the rule of each field, and how a patch becomes the desired state.
//!
//! `set` writes a patch into `pending`, `apply` moves it to `config`, `discard` drops it. Two fields do not
//! wait: the friendly name is only ever a label, and a MAC address is confirmed before it is saved.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::event::FieldChange;
use super::field::{
    Bond, FieldError, FriendlyName, Hostname, Labels, OsChoice, StaticIp, Tag, VlanId,
};
use super::state::{self, Cause, Transition};
use super::{MacAddr, Machine, State, StateKind};

/// A field that a person can edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Mac,
    Hostname,
    FriendlyName,
    Tags,
    Labels,
    StaticIp,
    Vlan,
    Bond,
    Status,
    OsChoice,
}

/// When an edit of a field takes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settles {
    /// In the same commit.
    Now,
    /// In the same commit, once the person has confirmed it.
    OnConfirmation,
    /// When it is applied.
    OnApply,
    /// When it is applied, and on the machine at its next installation.
    OnReimage,
}

impl Field {
    pub const ALL: [Self; 10] = [
        Self::Mac,
        Self::Hostname,
        Self::FriendlyName,
        Self::Tags,
        Self::Labels,
        Self::StaticIp,
        Self::Vlan,
        Self::Bond,
        Self::Status,
        Self::OsChoice,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::Hostname => "hostname",
            Self::FriendlyName => "friendly_name",
            Self::Tags => "tags",
            Self::Labels => "labels",
            Self::StaticIp => "static_ip",
            Self::Vlan => "vlan",
            Self::Bond => "bond",
            Self::Status => "status",
            Self::OsChoice => "os_choice",
        }
    }

    pub const fn settles(self) -> Settles {
        match self {
            Self::FriendlyName => Settles::Now,
            Self::Mac => Settles::OnConfirmation,
            Self::Tags | Self::Labels | Self::Status => Settles::OnApply,
            Self::Hostname | Self::StaticIp | Self::Vlan | Self::Bond | Self::OsChoice => {
                Settles::OnReimage
            }
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a person is asked before a MAC address is saved.
pub const CONFIRM_MAC: &str = "Changing the MAC address for this machine will cause issues if the \
    machine is still using the old one. Definitely ready to change it?";

/// An edit of some fields. A field that is absent is left alone; an inner `None`, or an empty set, clears it.
/// The MAC and the status have no empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patch {
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Option<Hostname>>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub friendly_name: Option<Option<FriendlyName>>,
    #[serde(
        deserialize_with = "given_or_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub tags: Option<BTreeSet<Tag>>,
    #[serde(
        deserialize_with = "given_or_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub labels: Option<Labels>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub static_ip: Option<Option<StaticIp>>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Option<VlanId>>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub bond: Option<Option<Bond>>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub status: Option<StateKind>,
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none")]
    pub os_choice: Option<Option<OsChoice>>,
}

/// A field that cannot be cleared: null is no value of it.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A field of many: null clears it, as an empty one does.
fn given_or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(from).map(|value| Some(value.unwrap_or_default()))
}

/// A field that tells "not given" from "given as null".
pub(super) mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::option_option,
        clippy::ref_option,
        reason = "absent, null and a value are three"
    )]
    pub(in crate::model) fn serialize<S: Serializer, T: Serialize>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .and_then(Option::as_ref)
            .serialize(serializer)
    }

    #[expect(clippy::option_option, reason = "absent, null and a value are three")]
    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}

/// A patch that waits, with who wrote it and what it was written against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub patch: Patch,
    pub author: String,
    pub at: Timestamp,
    /// The generation of `config` that the author saw.
    pub base_generation: u64,
}

impl Patch {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The fields that it touches.
    pub fn fields(&self) -> Vec<Field> {
        let touched = [
            (Field::Mac, self.mac.is_some()),
            (Field::Hostname, self.hostname.is_some()),
            (Field::FriendlyName, self.friendly_name.is_some()),
            (Field::Tags, self.tags.is_some()),
            (Field::Labels, self.labels.is_some()),
            (Field::StaticIp, self.static_ip.is_some()),
            (Field::Vlan, self.vlan.is_some()),
            (Field::Bond, self.bond.is_some()),
            (Field::Status, self.status.is_some()),
            (Field::OsChoice, self.os_choice.is_some()),
        ];
        touched
            .into_iter()
            .filter(|(_, yes)| *yes)
            .map(|(field, _)| field)
            .collect()
    }

    /// The part that takes hold at once, and the part that waits.
    pub fn split(self) -> (Self, Self) {
        let now = Self {
            mac: self.mac,
            friendly_name: self.friendly_name.clone(),
            ..Self::default()
        };
        let later = Self {
            mac: None,
            friendly_name: None,
            ..self
        };
        (now, later)
    }

    /// This patch with `newer` laid over it.
    #[must_use]
    pub fn overlaid(self, newer: Self) -> Self {
        Self {
            mac: newer.mac.or(self.mac),
            hostname: newer.hostname.or(self.hostname),
            friendly_name: newer.friendly_name.or(self.friendly_name),
            tags: newer.tags.or(self.tags),
            labels: newer.labels.or(self.labels),
            static_ip: newer.static_ip.or(self.static_ip),
            vlan: newer.vlan.or(self.vlan),
            bond: newer.bond.or(self.bond),
            status: newer.status.or(self.status),
            os_choice: newer.os_choice.or(self.os_choice),
        }
    }

    /// Leaves out what `machine` already is, so that a patch never says nothing.
    #[must_use]
    pub fn without_what_is(mut self, machine: &Machine) -> Self {
        let config = &machine.config;
        self.mac = self.mac.filter(|mac| *mac != machine.identity.primary_mac);
        self.hostname = self.hostname.filter(|new| *new != config.hostname);
        self.friendly_name = self
            .friendly_name
            .filter(|new| *new != config.friendly_name);
        self.tags = self.tags.filter(|new| *new != config.tags);
        self.labels = self.labels.filter(|new| *new != config.labels);
        self.static_ip = self.static_ip.filter(|new| *new != config.static_ip);
        self.vlan = self.vlan.filter(|new| *new != config.vlan);
        self.bond = self.bond.filter(|new| *new != config.bond);
        self.status = self
            .status
            .filter(|new| *new != machine.status.state.kind());
        self.os_choice = self.os_choice.filter(|new| *new != config.os_choice);
        self
    }

    /// What it would change in `machine`, field by field.
    pub fn diff(&self, machine: &Machine) -> Vec<FieldChange> {
        let config = &machine.config;
        let mut diff = Vec::new();
        let mut note = |field: Field, from: Value, to: Option<Value>| {
            diff.extend(
                to.filter(|to| *to != from)
                    .map(|to| FieldChange::new(field.as_str(), from, to)),
            );
        };
        note(
            Field::Mac,
            json!(machine.identity.primary_mac),
            self.mac.map(|new| json!(new)),
        );
        note(
            Field::Hostname,
            json!(config.hostname),
            self.hostname.as_ref().map(|new| json!(new)),
        );
        let name = self.friendly_name.as_ref().map(|new| json!(new));
        note(Field::FriendlyName, json!(config.friendly_name), name);
        note(
            Field::Tags,
            json!(config.tags),
            self.tags.as_ref().map(|new| json!(new)),
        );
        note(
            Field::Labels,
            json!(config.labels),
            self.labels.as_ref().map(|new| json!(new)),
        );
        note(
            Field::StaticIp,
            json!(config.static_ip),
            self.static_ip.as_ref().map(|new| json!(new)),
        );
        note(
            Field::Vlan,
            json!(config.vlan),
            self.vlan.map(|new| json!(new)),
        );
        note(
            Field::Bond,
            json!(config.bond),
            self.bond.as_ref().map(|new| json!(new)),
        );
        note(
            Field::Status,
            json!(machine.status.state.kind()),
            self.status.map(|new| json!(new)),
        );
        note(
            Field::OsChoice,
            json!(config.os_choice),
            self.os_choice.as_ref().map(|new| json!(new)),
        );
        diff
    }

    /// Checks it against `machine` as it is: the limits and the table of states.
    pub fn check(&self, machine: &Machine) -> Result<Option<Transition>, FieldError> {
        if let Some(tags) = &self.tags {
            check_tags(tags)?;
        }
        let from = machine.status.state.kind();
        let Some(to) = self.status.filter(|to| *to != from) else {
            return Ok(None);
        };
        let arrow = state::transition(from, Cause::Person, to)?;
        if to == StateKind::Provisioned && machine.observed.called_home_at.is_none() {
            return Err(FieldError::new(
                "status",
                "no installed system of this machine has ever called home, so it cannot be provisioned",
                "ready",
            ));
        }
        if to == StateKind::Ready && self.os_after(machine).is_none() {
            return Err(FieldError::new(
                "status",
                "ready means that a system is chosen, and none is: set os_choice as well",
                "discovered",
            ));
        }
        Ok(Some(arrow))
    }

    fn os_after<'a>(&'a self, machine: &'a Machine) -> Option<&'a OsChoice> {
        match &self.os_choice {
            Some(choice) => choice.as_ref(),
            None => machine.config.os_choice.as_ref(),
        }
    }

    /// Makes it true in `machine`. The caller has checked it. Choosing a system moves a machine between
    /// Discovered and Ready, unless the patch sets the status itself.
    pub fn apply(self, machine: &mut Machine) {
        if let Some(mac) = self.mac {
            machine.identity.replace_primary(mac);
        }
        let choice = self.os_choice.is_some();
        let config = &mut machine.config;
        assign(&mut config.hostname, self.hostname);
        assign(&mut config.friendly_name, self.friendly_name);
        assign(&mut config.tags, self.tags);
        assign(&mut config.labels, self.labels);
        assign(&mut config.static_ip, self.static_ip);
        assign(&mut config.vlan, self.vlan);
        assign(&mut config.bond, self.bond);
        assign(&mut config.os_choice, self.os_choice);
        let chosen = config.os_choice.is_some();
        let state = &mut machine.status.state;
        match (self.status, state.kind()) {
            (Some(kind), from) if kind != from => *state = by_hand(kind),
            (_, StateKind::Discovered) if choice && chosen => *state = State::Ready,
            (_, StateKind::Ready) if choice && !chosen => *state = State::Discovered,
            _ => {}
        }
    }
}

/// The limit on a machine's tags.
pub fn check_tags(tags: &BTreeSet<Tag>) -> Result<(), FieldError> {
    if tags.len() <= Tag::MAX_PER_MACHINE {
        return Ok(());
    }
    let reason = format!(
        "{} tags are too many, {} is the limit",
        tags.len(),
        Tag::MAX_PER_MACHINE
    );
    Err(FieldError::new("tags", reason, "web, rack2"))
}

fn assign<T>(place: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *place = new;
    }
}

/// The table has no arrow for a person into Error or Provisioning.
fn by_hand(kind: StateKind) -> State {
    match kind {
        StateKind::Discovered => State::Discovered,
        StateKind::Ready => State::Ready,
        StateKind::Provisioning => State::Provisioning,
        StateKind::Provisioned => State::Provisioned,
        StateKind::Error => State::Error {
            message: "set by hand".into(),
        },
        StateKind::Offline => State::Offline,
    }
}

#[cfg(test)]
mod tests;
