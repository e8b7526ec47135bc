//! The network cards that the kernel has, as sysfs tells of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::MacAddr;

/// One card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub name: String,
    pub mac: MacAddr,
    /// Whether a cable is in it; none while it is not up.
    pub carrier: Option<bool>,
    /// Where its device stands in sysfs; none where it has none, as loopback and bridges.
    pub device: Option<PathBuf>,
}

/// All with an Ethernet address, by their names.
pub fn cards(sys: &Path) -> Vec<Card> {
    let folder = sys.join("class/net");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut cards: Vec<Card> = names.filter_map(|name| card(sys, name)).collect();
    cards.sort_by(|a, b| a.name.cmp(&b.name));
    cards
}

fn card(sys: &Path, name: String) -> Option<Card> {
    let place = sys.join("class/net").join(&name);
    if word(&place.join("type")).as_deref() != Some("1") {
        return None;
    }
    let mac = word(&place.join("address"))?.parse().ok()?;
    let carrier = carrier(sys, &name);
    let device = fs::canonicalize(place.join("device")).ok();
    Some(Card {
        name,
        mac,
        carrier,
        device,
    })
}

/// Whether a cable is in it. The file cannot be read while the link is down.
pub fn carrier(sys: &Path, name: &str) -> Option<bool> {
    word(&sys.join("class/net").join(name).join("carrier")).map(|word| word == "1")
}

/// A short file's text without the space around it.
pub fn word(path: &Path) -> Option<String> {
    let text = String::from_utf8(fs::read(path).ok()?).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_cards_are_found_by_name_and_nothing_else() {
        let sys = tempfile::tempdir().unwrap();
        for (name, kind, mac, carrier) in [
            ("lo", "772", "00:00:00:00:00:00", "1"),
            ("eth1", "1", "52:54:00:00:00:02", ""),
            ("eth0", "1", "52:54:00:00:00:01", "1"),
            ("bad", "1", "not an address", "1"),
        ] {
            let place = sys.path().join("class/net").join(name);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("type"), format!("{kind}\n")).unwrap();
            fs::write(place.join("address"), format!("{mac}\n")).unwrap();
            fs::write(place.join("carrier"), carrier).unwrap();
        }
        let cards = cards(sys.path());
        let seen: Vec<_> = cards
            .iter()
            .map(|card| (card.name.as_str(), card.carrier))
            .collect();
        assert_eq!(seen, [("eth0", Some(true)), ("eth1", None)]);
    }

    #[test]
    fn no_sysfs_is_no_card() {
        assert_eq!(cards(Path::new("/nowhere")), []);
    }
}
