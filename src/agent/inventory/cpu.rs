//! Processors and memory.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Places;
use crate::agent::network::sysfs::word;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Processors {
    pub(super) model: Option<String>,
    pub(super) cores: Option<u32>,
    pub(super) threads: Option<u32>,
    /// The processor says that it is not real.
    pub(super) hypervisor: bool,
}

pub(super) fn look(places: &Places) -> Processors {
    let text = fs::read_to_string(places.proc.join("cpuinfo")).unwrap_or_default();
    let value = |name: &str| {
        fields(&text)
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let threads = fields(&text).filter(|(key, _)| *key == "processor").count();
    let flags = value("flags").unwrap_or_default();
    Processors {
        model: value("model name")
            .map(tidy)
            .or_else(|| Some(arm(value("CPU implementer")?, value("CPU part")?))),
        cores: count(cores(&places.sys)),
        threads: count(threads),
        hypervisor: flags.split(' ').any(|flag| flag == "hypervisor"),
    }
}

fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.trim(), value.trim()))
}

/// Vendors pad their names.
fn tidy(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().take(16).collect();
    words.join(" ")
}

/// Arm's processors have numbers alone; those that are met in servers have names here.
fn arm(implementer: &str, part: &str) -> String {
    let name = match (implementer, part) {
        ("0x41", "0xd03") => "Arm Cortex-A53",
        ("0x41", "0xd07") => "Arm Cortex-A57",
        ("0x41", "0xd08") => "Arm Cortex-A72",
        ("0x41", "0xd0b") => "Arm Cortex-A76",
        ("0x41", "0xd0c") => "Arm Neoverse-N1",
        ("0x41", "0xd40") => "Arm Neoverse-V1",
        ("0x41", "0xd49") => "Arm Neoverse-N2",
        ("0x41", "0xd4f") => "Arm Neoverse-V2",
        ("0xc0", "0xac3" | "0xac4") => "Ampere Altra",
        _ => return format!("Arm {implementer}/{part}"),
    };
    name.into()
}

/// Pairs of package and core, each once.
fn cores(sys: &Path) -> usize {
    let entries = fs::read_dir(sys.join("devices/system/cpu"))
        .into_iter()
        .flatten()
        .flatten();
    let pairs: BTreeSet<(String, String)> = entries
        .filter_map(|entry| {
            let topology = entry.path().join("topology");
            let package = word(&topology.join("physical_package_id"))?;
            Some((package, word(&topology.join("core_id"))?))
        })
        .collect();
    pairs.len()
}

fn count(number: usize) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// What the kernel has, which is a little less than what is plugged in.
pub(super) fn memory(proc: &Path) -> Option<u64> {
    let text = fs::read_to_string(proc.join("meminfo")).ok()?;
    let (_, total) = fields(&text).find(|(key, _)| *key == "MemTotal")?;
    let kib: u64 = total.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
