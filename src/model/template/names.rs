//! The variables that a template may name.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Parameter;
use crate::model::{Defaults, Machine, nearest};

/// One variable, or a family of them.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its first two parts; an asterisk stands for any word.
    pub name: &'static str,
    pub help: &'static str,
}

const fn known(name: &'static str, help: &'static str) -> Known {
    Known { name, help }
}

/// Every variable there is. What a machine did not tell, or a person did not set, has no value.
pub const VARIABLES: &[Known] = &[
    known("machine.id", "its id"),
    known("machine.name", "the name that people see"),
    known("machine.memorable_name", "its four words"),
    known(
        "machine.hostname",
        "its host name; made of its four words where it has none",
    ),
    known("machine.mac", "the primary MAC address"),
    known("machine.macs", "all of them, a list"),
    known("machine.smbios_uuid", "the UUID of its mainboard"),
    known("machine.tags", "a list"),
    known(
        "machine.labels.*",
        "a label of its own, such as `machine.labels.owner`",
    ),
    known("machine.os", "the template that was chosen for it"),
    known("hardware.architecture", "`amd64` or `arm64`"),
    known("hardware.firmware", "`bios` or `uefi`"),
    known(
        "hardware.secure_boot",
        "whether its firmware checks signatures",
    ),
    known("hardware.bios_version", "as its firmware says"),
    known("hardware.vendor", "as its firmware says"),
    known("hardware.product", "as its firmware says"),
    known("hardware.serial", "as its firmware says"),
    known("hardware.cpu_model", "as its processor says"),
    known("hardware.cpu_cores", "a number"),
    known("hardware.cpu_threads", "a number"),
    known("hardware.memory_bytes", "a number"),
    known("hardware.is_virtual", "whether it is a virtual machine"),
    known("hardware.virt_platform", "whose"),
    known("hardware.bmc_address", "of its management controller"),
    known(
        "hardware.disks",
        "a list; `hardware.disks.0.serial` is of the first",
    ),
    known(
        "hardware.network_interfaces",
        "a list, each with `name` and `mac`",
    ),
    known("hardware.gpus", "a list, each with `name`"),
    known("hardware.pci_ids", "a list, such as `8086:1539`"),
    known(
        "hardware.existing_os",
        "what was on a disk before: `name` and `device`",
    ),
    known("defaults.user", "the user that is made on each machine"),
    known(
        "defaults.password_hash",
        "its password, as `/etc/shadow` keeps it",
    ),
    known("defaults.ssh_keys", "a list"),
    known(
        "defaults.os",
        "the template that is meant where nobody names one",
    ),
    known("defaults.timezone", "such as `Europe/Vienna`"),
    known("defaults.locale", "such as `en_US.UTF-8`"),
    known("defaults.dns", "a list of addresses"),
    known("defaults.ntp", "a list of names or addresses"),
    known(
        "cloud_init.user_data",
        "the file of that name for cloud-init, ready made",
    ),
    known("cloud_init.meta_data", "likewise"),
    known("cloud_init.network_config", "likewise"),
    known(
        "server.http",
        "where this Dragonfly serves files to the machine: `http://10.0.0.2:3080`",
    ),
    known("params.*", "a parameter of the template"),
];

/// The table of all variables, for the page about templates.
pub fn page() -> String {
    let rows = VARIABLES
        .iter()
        .map(|known| format!("| `{}` | {} |\n", known.name, known.help));
    format!(
        "| variable | what it is |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// The values of all variables for one machine. `cloud_init` and `server` are maps of theirs; `params` is what a
/// person gave for the template's parameters.
pub fn variables(
    machine: &Machine,
    defaults: &Defaults,
    cloud_init: Value,
    server: Value,
    params: &BTreeMap<String, String>,
) -> Value {
    let config = &machine.config;
    let name = config
        .hostname
        .as_ref()
        .map(|hostname| hostname.as_str().to_owned());
    let labels: Map<_, _> = config
        .labels
        .iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    let mut own = json!({
        "id": machine.id,
        "name": machine.name(),
        "memorable_name": config.memorable_name.as_str(),
        "hostname": name.unwrap_or_else(|| config.memorable_name.as_str().to_ascii_lowercase()),
        "mac": machine.identity.primary_mac,
        "macs": machine.identity.all_macs,
        "tags": config.tags,
        "labels": labels,
    });
    if let Some(uuid) = machine.identity.smbios_uuid {
        own["smbios_uuid"] = json!(uuid);
    }
    if let Some(os) = &config.os_choice {
        own["os"] = json!(os);
    }
    let mut set = json!(defaults);
    set["user"] = json!(defaults.user());
    for list in ["ssh_keys", "dns", "ntp"] {
        if set[list].is_null() {
            set[list] = json!([]);
        }
    }
    let mut all = json!({
        "machine": own,
        "hardware": machine.hardware,
        "defaults": set,
        "params": params,
    });
    all["cloud_init"] = cloud_init;
    all["server"] = server;
    all
}

/// Why there is no such variable.
pub(super) fn check(name: &[String], parameters: &[Parameter]) -> Result<(), String> {
    let whole = name.join(".");
    let Some(second) = name.get(1) else {
        let names: Vec<_> = VARIABLES.iter().map(|known| known.name).collect();
        let guess = nearest::nearest(&whole, names);
        let hint = guess.map_or_else(
            || {
                "there are machine.…, hardware.…, defaults.…, cloud_init.…, server.… and params.…"
                    .into()
            },
            |guess| format!("did you mean '{guess}'?"),
        );
        return Err(format!(
            "the variable {} is unknown; {hint}",
            super::quoted(&whole)
        ));
    };
    if name[0] == "params" {
        let names: Vec<_> = parameters
            .iter()
            .map(|parameter| parameter.name.as_str())
            .collect();
        if names.contains(&second.as_str()) {
            return Ok(());
        }
        return Err(nearest::unknown("the parameter", second, &names));
    }
    let short = format!("{}.{second}", name[0]);
    let any = format!("{}.{second}.*", name[0]);
    let fits = |known: &Known| known.name == short || (known.name == any && name.len() > 2);
    if VARIABLES.iter().any(fits) {
        return Ok(());
    }
    let same = VARIABLES
        .iter()
        .filter(|known| known.name.starts_with(&format!("{}.", name[0])));
    let mut names: Vec<_> = same.map(|known| known.name).collect();
    if names.is_empty() {
        names = VARIABLES.iter().map(|known| known.name).collect();
    }
    Err(nearest::unknown("the variable", &short, &names))
}

/// The value of a variable; what there is instead where it has none.
pub(super) fn find<'a>(name: &[String], variables: &'a Value) -> Result<&'a Value, String> {
    let mut value = variables;
    for (depth, part) in name.iter().enumerate() {
        let next = match value {
            Value::Array(items) => part
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index)),
            other => other.get(part),
        };
        value = match next {
            Some(next) => next,
            None => return Err(absent(name, depth, value)),
        };
    }
    Ok(value)
}

fn absent(name: &[String], depth: usize, inside: &Value) -> String {
    let there = match inside {
        Value::Object(map) if !map.is_empty() => {
            let keys: Vec<_> = map.keys().map(String::as_str).take(40).collect();
            keys.join(", ")
        }
        Value::Array(items) => format!("{} entries, counted from 0", items.len()),
        _ => "nothing".into(),
    };
    let of = match name[..depth].join(".") {
        whole if whole.is_empty() => "there is".to_owned(),
        whole => format!("{whole} has"),
    };
    format!(
        "the variable '{}' has no value here; {of} {there}",
        name.join(".")
    )
}
