//! Network cards: as hardware, and as what the machine is known by.

use std::fs;
use std::path::Path;

use crate::agent::network::sysfs::{Card, cards, word};
use crate::model::machine::NetworkInterface;
use crate::model::{NicEvidence, NicKind};

pub(super) fn look(sys: &Path) -> Vec<NetworkInterface> {
    let real = cards(sys)
        .into_iter()
        .filter(|card| kind(sys, card) != NicKind::Virtual);
    real.map(|card| {
        let place = sys.join("class/net").join(&card.name);
        let driver = fs::read_link(place.join("device/driver")).ok();
        NetworkInterface {
            // The kernel says -1 where it does not know.
            speed_mbps: word(&place.join("speed"))
                .and_then(|speed| speed.parse().ok())
                .filter(|speed| *speed > 0),
            link_up: card.carrier,
            driver: driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned())),
            name: card.name,
            mac: card.mac,
        }
    })
    .collect()
}

pub(super) fn evidence(sys: &Path) -> Vec<NicEvidence> {
    let real = cards(sys).into_iter().filter(|card| card.mac.is_unicast());
    real.map(|card| NicEvidence {
        mac: card.mac,
        kind: kind(sys, &card),
    })
    .filter(|nic| nic.kind != NicKind::Virtual)
    .collect()
}

fn kind(sys: &Path, card: &Card) -> NicKind {
    let Some(device) = &card.device else {
        return NicKind::Virtual;
    };
    let usb = device.components().any(|part| {
        part.as_os_str()
            .to_str()
            .is_some_and(|name| name.starts_with("usb"))
    });
    // A dock on Thunderbolt brings a card on PCI; the kernel marks the port that it hangs on.
    let docked = device
        .ancestors()
        .take_while(|place| place.starts_with(sys))
        .any(|place| word(&place.join("removable")).as_deref() == Some("removable"));
    if usb || docked {
        NicKind::Removable
    } else {
        NicKind::Fixed
    }
}
