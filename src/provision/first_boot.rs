//! What an installed system reads at its first boot: cloud-init's user data, meta data and network configuration.
//!
//! The three texts are made of trees, so no value of a person or a machine can become anything but a value. The same
//! texts go into a NoCloud folder on the disk and over the metadata service.

mod network;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::yaml::to_yaml;
use crate::model::{Defaults, Machine};

pub use network::network_config;

/// The three files of NoCloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudInit {
    /// `#cloud-config`; the password's hash is in it, where one is set.
    pub user_data: String,
    pub meta_data: String,
    /// Version 2, which netplan reads too.
    pub network_config: String,
}

/// What `machine` is to read at its first boot. `workflow` is the installation that it belongs to: another one makes
/// cloud-init do everything anew. Without one, that is done by the generation of what is desired.
pub fn cloud_init(machine: &Machine, defaults: &Defaults, workflow: Option<Uuid>) -> CloudInit {
    CloudInit {
        user_data: format!("#cloud-config\n{}", to_yaml(&user_data(machine, defaults))),
        meta_data: to_yaml(&meta_data(machine, workflow)),
        network_config: to_yaml(&network_config(machine, defaults)),
    }
}

/// The name that a machine has for itself: its host name, or its four words, and the domain where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnName {
    pub host: String,
    pub domain: Option<String>,
}

impl OwnName {
    pub fn of(machine: &Machine) -> Self {
        let Some(name) = &machine.config.hostname else {
            let words = &machine.config.memorable_name;
            return Self {
                host: words.as_str().to_ascii_lowercase(),
                domain: None,
            };
        };
        match name.as_str().split_once('.') {
            Some((host, domain)) => Self {
                host: host.into(),
                domain: Some(domain.into()),
            },
            None => Self {
                host: name.as_str().into(),
                domain: None,
            },
        }
    }

    /// With its domain, where there is one.
    pub fn full(&self) -> String {
        match &self.domain {
            Some(domain) => format!("{}.{domain}", self.host),
            None => self.host.clone(),
        }
    }
}

/// Names the installation, so that a second one is told from a second boot.
pub fn instance_id(machine: &Machine, workflow: Option<Uuid>) -> String {
    match workflow {
        Some(workflow) => format!("{}-{}", machine.id.0, workflow.simple()),
        None => format!("{}-{}", machine.id.0, machine.config.generation),
    }
}

fn meta_data(machine: &Machine, workflow: Option<Uuid>) -> Value {
    json!({
        "instance-id": instance_id(machine, workflow),
        "local-hostname": OwnName::of(machine).full(),
    })
}

/// The tree of the user data.
pub fn user_data(machine: &Machine, defaults: &Defaults) -> Value {
    let name = OwnName::of(machine);
    let mut data = json!({
        "hostname": name.host,
        "preserve_hostname": false,
        "manage_etc_hosts": "localhost",
        "users": [user(defaults)],
        "ssh_pwauth": defaults.password_hash.is_some(),
        "growpart": { "mode": "auto", "devices": ["/"] },
        "resize_rootfs": true,
    });
    if name.domain.is_some() {
        data["fqdn"] = json!(name.full());
        data["prefer_fqdn_over_hostname"] = json!(false);
    }
    if let Some(locale) = &defaults.locale {
        data["locale"] = json!(locale);
    }
    if let Some(timezone) = &defaults.timezone {
        data["timezone"] = json!(timezone);
    }
    if !defaults.ntp.is_empty() {
        data["ntp"] = json!({ "enabled": true, "servers": defaults.ntp });
    }
    data
}

/// The one user; the image's own stays away, since `default` is not among them.
fn user(defaults: &Defaults) -> Value {
    let mut user = Map::new();
    user.insert("name".into(), json!(defaults.user()));
    user.insert("shell".into(), json!("/bin/bash"));
    user.insert("sudo".into(), json!(["ALL=(ALL) NOPASSWD:ALL"]));
    user.insert(
        "lock_passwd".into(),
        json!(defaults.password_hash.is_none()),
    );
    if let Some(hash) = &defaults.password_hash {
        user.insert("passwd".into(), json!(hash));
    }
    if !defaults.ssh_keys.is_empty() {
        user.insert("ssh_authorized_keys".into(), json!(defaults.ssh_keys));
    }
    Value::Object(user)
}

#[cfg(test)]
pub(in crate::provision) mod tests;
