//! The firmware's list of what it starts (UEFI 2.10 §3.1, §3.3): variables, as efivarfs shows them.
//!
//! ```text
//! Boot0001: attributes (4) | length of the paths (2) | description, UTF-16, ended by zero | device paths | data
//! device path: nodes of  type (1) | kind (1) | length (2) | …, ended by 7f ff 04 00
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::agent::sys::kernel;
use crate::model::MacAddr;

/// Where a running kernel shows them.
pub const VARIABLES: &str = "/sys/firmware/efi/efivars";
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Kept over power, seen while booting and by the system.
const ATTRIBUTES: u32 = 7;
const ACTIVE: u32 = 1;

const MESSAGING: u8 = 3;
const MEDIA: u8 = 4;
const MEDIA_DISK: u8 = 1;
const MEDIA_FILE: u8 = 4;
const MESSAGING_MAC: u8 = 11;
const MESSAGING_NETWORK: [u8; 4] = [11, 12, 13, 24];
const END: [u8; 4] = [0x7f, 0xff, 4, 0];

/// One thing that the firmware can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: u16,
    pub active: bool,
    pub label: String,
    paths: Vec<u8>,
}

/// The whole list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menu {
    pub order: Vec<u16>,
    pub entries: BTreeMap<u16, Entry>,
}

/// A partition as a device path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardDisk {
    pub number: u32,
    pub start: u64,
    pub size: u64,
    /// Its own GUID, as it stands on the disk.
    pub guid: [u8; 16],
}

impl Entry {
    fn read(number: u16, data: &[u8]) -> Option<Self> {
        let flags = u32::from_le_bytes(*data.first_chunk()?);
        let length = usize::from(u16::from_le_bytes(*data.get(4..)?.first_chunk()?));
        let text: Vec<u16> = data
            .get(6..)?
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .take_while(|unit| *unit != 0)
            .collect();
        let at = 6 + 2 * (text.len() + 1);
        Some(Self {
            number,
            active: flags & ACTIVE != 0,
            label: String::from_utf16_lossy(&text),
            paths: data.get(at..at.checked_add(length)?)?.to_vec(),
        })
    }

    /// A loader in a file of a partition.
    pub fn of_file(number: u16, label: &str, partition: HardDisk, file: &str) -> Self {
        let mut paths = vec![MEDIA, MEDIA_DISK, 42, 0];
        paths.extend(partition.number.to_le_bytes());
        paths.extend(partition.start.to_le_bytes());
        paths.extend(partition.size.to_le_bytes());
        paths.extend(partition.guid);
        paths.extend([2, 2]);
        let name: Vec<u8> = file
            .replace('/', "\\")
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .collect();
        let length = u16::try_from(name.len() + 4).unwrap_or(u16::MAX);
        paths.extend([MEDIA, MEDIA_FILE]);
        paths.extend(length.to_le_bytes());
        paths.extend(name);
        paths.extend(END);
        Self {
            number,
            active: true,
            label: label.into(),
            paths,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut data = u32::from(self.active).to_le_bytes().to_vec();
        data.extend(
            u16::try_from(self.paths.len())
                .unwrap_or(u16::MAX)
                .to_le_bytes(),
        );
        data.extend(
            self.label
                .encode_utf16()
                .chain([0])
                .flat_map(u16::to_le_bytes),
        );
        data.extend(&self.paths);
        data
    }

    /// The nodes of its paths: type, kind, and what is in each.
    fn nodes(&self) -> Vec<(u8, u8, &[u8])> {
        let mut nodes = Vec::new();
        let mut rest = self.paths.as_slice();
        while let [sort, kind, low, high, ..] = rest {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let Some(node) = rest.get(4..length) else {
                break;
            };
            nodes.push((*sort, *kind, node));
            rest = &rest[length..];
        }
        nodes
    }

    /// Whether it starts from the network.
    pub fn is_network(&self) -> bool {
        self.nodes()
            .iter()
            .any(|(sort, kind, _)| *sort == MESSAGING && MESSAGING_NETWORK.contains(kind))
    }

    /// The card that it starts from.
    pub fn card(&self) -> Option<MacAddr> {
        let nodes = self.nodes();
        let (_, _, node) = nodes
            .iter()
            .find(|(sort, kind, _)| *sort == MESSAGING && *kind == MESSAGING_MAC)?;
        node.first_chunk::<6>().map(|octets| MacAddr::new(*octets))
    }

    /// The GUID of the partition that it starts from.
    pub fn partition(&self) -> Option<[u8; 16]> {
        let nodes = self.nodes();
        let (_, _, node) = nodes
            .iter()
            .find(|(sort, kind, _)| *sort == MEDIA && *kind == MEDIA_DISK)?;
        node.get(20..36)?.try_into().ok()
    }
}

impl Menu {
    /// Reads it off a folder of variables.
    pub fn read(folder: &Path) -> io::Result<Self> {
        // A firmware that was never told an order has no such variable.
        let order = value(folder, "BootOrder").unwrap_or_default();
        let order = order
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let mut entries = BTreeMap::new();
        for file in fs::read_dir(folder)?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(number) = number(&name) else {
                continue;
            };
            let data = value(folder, &format!("Boot{number:04X}")).unwrap_or_default();
            if let Some(entry) = Entry::read(number, &data) {
                entries.insert(number, entry);
            }
        }
        Ok(Self { order, entries })
    }

    /// The entries in the order in which the firmware tries them.
    pub fn in_order(&self) -> impl Iterator<Item = &Entry> {
        self.order
            .iter()
            .filter_map(|number| self.entries.get(number))
    }

    /// A number that no entry has.
    pub fn free(&self) -> u16 {
        (0..=u16::MAX)
            .find(|number| !self.entries.contains_key(number))
            .unwrap_or(u16::MAX)
    }

    /// The order in which those that `first` likes come first; each keeps its place among its like.
    pub fn reordered(&self, first: impl Fn(&Entry) -> bool) -> Vec<u16> {
        let liked = |number: &&u16| self.entries.get(number).is_some_and(&first);
        let (mut order, rest): (Vec<u16>, Vec<u16>) = self.order.iter().partition(liked);
        order.extend(rest);
        order
    }
}

/// `Boot0001-…` of the global variables.
fn number(name: &str) -> Option<u16> {
    let digits = name
        .strip_prefix("Boot")?
        .strip_suffix(GLOBAL)?
        .strip_suffix('-')?;
    let is_number = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_number)
}

/// A variable without its attributes.
fn value(folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    let bytes = fs::read(folder.join(format!("{name}-{GLOBAL}")))?;
    Ok(bytes.get(4..).unwrap_or_default().to_vec())
}

/// Writes a variable: attributes and value at one go, as efivarfs wants it.
fn set(folder: &Path, name: &str, data: &[u8]) -> io::Result<()> {
    let path = folder.join(format!("{name}-{GLOBAL}"));
    if let Ok(file) = File::open(&path) {
        // Only efivarfs guards its files so.
        let _ = kernel::unguard(&file);
    }
    let bytes = [&ATTRIBUTES.to_le_bytes(), data].concat();
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?
        .write_all(&bytes)
}

/// Puts an entry into the list; the order is not touched.
pub fn set_entry(folder: &Path, entry: &Entry) -> io::Result<()> {
    set(folder, &format!("Boot{:04X}", entry.number), &entry.bytes())
}

pub fn set_order(folder: &Path, order: &[u16]) -> io::Result<()> {
    let bytes: Vec<u8> = order
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    set(folder, "BootOrder", &bytes)
}

/// At the next start, once, this entry.
pub fn set_next(folder: &Path, number: u16) -> io::Result<()> {
    set(folder, "BootNext", &number.to_le_bytes())
}

/// At the next start, once, the first disk of the firmware's own order.
pub fn boot_disk_once(folder: &Path) -> io::Result<()> {
    let menu = Menu::read(folder)?;
    let disk = menu
        .in_order()
        .find(|entry| entry.active && entry.partition().is_some());
    let disk = disk.ok_or_else(|| io::Error::other("the firmware's list has no disk"))?;
    set_next(folder, disk.number)
}

/// At the next start, once, the network: from this card where an entry names it, else from any.
pub fn boot_network_once(folder: &Path, macs: &[MacAddr]) -> io::Result<Entry> {
    let menu = Menu::read(folder)?;
    let network = || menu.in_order().filter(|entry| entry.is_network());
    let same = |entry: &&Entry| entry.card().is_some_and(|card| macs.contains(&card));
    let entry = network().find(same).or_else(|| network().next());
    let entry = entry.ok_or_else(|| {
        io::Error::other("the firmware's list has nothing that starts from the network")
    })?;
    set_next(folder, entry.number)?;
    Ok(entry.clone())
}

#[cfg(test)]
mod tests;
