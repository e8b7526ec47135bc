//! What the firmware tells of its board (SMBIOS, DMTF DSP0134), and whether that board is real.

use std::fs;
use std::path::Path;

use uuid::Uuid;

use crate::agent::network::sysfs::word;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Board {
    pub(super) vendor: Option<String>,
    pub(super) product: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) bios_version: Option<String>,
    /// All modules together.
    pub(super) memory_bytes: Option<u64>,
}

pub(super) fn look(sys: &Path) -> Board {
    let id = sys.join("class/dmi/id");
    let field = |name: &str| {
        word(&id.join(name))
            .filter(|text| !is_filler(text))
            .map(|text| short(&text))
    };
    Board {
        vendor: field("sys_vendor"),
        product: field("product_name")
            .or_else(|| word(&sys.join("firmware/devicetree/base/model")).map(|text| short(&text))),
        serial: field("product_serial"),
        bios_version: field("bios_version"),
        memory_bytes: fs::read(sys.join("firmware/dmi/tables/DMI"))
            .ok()
            .and_then(|table| memory(&table)),
    }
}

pub(super) fn uuid(sys: &Path) -> Option<Uuid> {
    word(&sys.join("class/dmi/id/product_uuid"))?.parse().ok()
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

/// What boards say whose vendor had nothing to say.
fn is_filler(text: &str) -> bool {
    const FILLERS: [&str; 9] = [
        "to be filled by o.e.m.",
        "default string",
        "not specified",
        "not applicable",
        "system serial number",
        "system product name",
        "system manufacturer",
        "none",
        "o.e.m.",
    ];
    let text = text.to_lowercase();
    FILLERS.contains(&text.as_str()) || text.chars().all(|c| matches!(c, '0' | ' ' | '.' | '-'))
}

/// Adds up the memory devices (type 17) of the table.
fn memory(table: &[u8]) -> Option<u64> {
    const DEVICE: u8 = 17;
    const MEBIBYTE: u64 = 1 << 20;
    let mut total: u64 = 0;
    let mut rest = table;
    while let [kind, length, ..] = rest {
        let formatted = rest
            .get(..usize::from(*length))
            .filter(|part| part.len() >= 4)?;
        let word = |at: usize| {
            formatted
                .get(at..at + 2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        };
        if *kind == DEVICE {
            let bytes = match word(0x0c)? {
                0 | 0xffff => 0,
                0x7fff => {
                    let size = formatted
                        .get(0x1c..0x20)
                        .and_then(|four| four.first_chunk::<4>())?;
                    u64::from(u32::from_le_bytes(*size) & 0x7fff_ffff) * MEBIBYTE
                }
                size if size & 0x8000 != 0 => u64::from(size & 0x7fff) * 1024,
                size => u64::from(size) * MEBIBYTE,
            };
            total = total.checked_add(bytes)?;
        }
        // The texts of a structure end with two zeros.
        let texts = rest.get(formatted.len()..)?;
        let end = texts.windows(2).position(|pair| pair == [0, 0]);
        let Some(end) = end else { break };
        rest = texts.get(end + 2..)?;
    }
    (total > 0).then_some(total)
}

/// The name of the hypervisor; none on a real board.
pub(super) fn virtualization(board: &Board, flagged: bool, sys: &Path) -> Option<String> {
    const VENDORS: [(&str, &str); 10] = [
        ("qemu", "kvm"),
        ("openstack", "kvm"),
        ("red hat", "kvm"),
        ("vmware", "vmware"),
        ("innotek", "virtualbox"),
        ("xen", "xen"),
        ("bochs", "bochs"),
        ("parallels", "parallels"),
        ("amazon ec2", "amazon"),
        ("google", "google"),
    ];
    if word(&sys.join("hypervisor/type")).as_deref() == Some("xen") {
        return Some("xen".into());
    }
    let vendor = board.vendor.as_deref().unwrap_or_default().to_lowercase();
    let product = board.product.as_deref().unwrap_or_default().to_lowercase();
    if vendor.starts_with("microsoft") && product.contains("virtual machine") {
        return Some("hyperv".into());
    }
    let named = VENDORS
        .iter()
        .find(|(prefix, _)| vendor.starts_with(prefix));
    // Some clouds sell whole machines under the same name.
    let named = named.filter(|_| !product.contains("metal"));
    named
        .map(|(_, name)| (*name).into())
        .or_else(|| flagged.then(|| "unknown".into()))
}
