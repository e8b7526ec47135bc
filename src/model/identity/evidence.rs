//! What a machine shows of itself, and where that leads us to look for it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Anchor, Identity, OsMachineId, usable_uuid};
use crate::model::MacAddr;

/// As many cards as one machine is believed to have. Of a report of more, cards that a machine may be found
/// by are kept before others, and low addresses before high ones.
pub const MAX_NICS: usize = 64;

/// What one machine shows of itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The card that spoke.
    pub primary_mac: MacAddr,
    /// Every card that was reported, the one that spoke among them or not.
    pub nics: Vec<NicEvidence>,
    pub smbios_uuid: Option<Uuid>,
    /// Only from an installed system: a boot environment invents a new one each time.
    pub machine_id: Option<OsMachineId>,
}

/// One network card and how it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NicEvidence {
    pub mac: MacAddr,
    pub kind: NicKind,
}

/// How a card is attached, as far as its reporter can tell. The better informed report comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NicKind {
    /// Soldered or plugged inside.
    Fixed,
    /// On a dock or a dongle: it travels between machines.
    Removable,
    /// A bridge, tunnel, container or VLAN: made by software.
    Virtual,
    /// Only its address was seen, on the wire.
    Unknown,
}

impl NicEvidence {
    /// Whether the identity hash may rest on this card.
    pub fn counts_for_hash(self) -> bool {
        self.is_anchor() && !self.mac.is_local() && !is_dock(self.mac)
    }

    /// Whether the machine may be found by this card at all. A card that was seen to sit inside is believed,
    /// though its address be of a range that docks use: cheap boards carry the same chips.
    pub(super) fn is_anchor(self) -> bool {
        let inside = match self.kind {
            NicKind::Fixed => true,
            NicKind::Unknown => !is_dock(self.mac),
            NicKind::Removable | NicKind::Virtual => false,
        };
        inside && self.mac.is_unicast() && !is_virtual_range(self.mac)
    }
}

/// VRRP and its kin (RFC 9568 7.3): one address, many machines.
fn is_virtual_range(mac: MacAddr) -> bool {
    mac.octets()[..4] == [0x00, 0x00, 0x5e, 0x00]
}

/// Vendors whose addresses stand on docks and USB dongles, some of them thousands of times over.
fn is_dock(mac: MacAddr) -> bool {
    const DOCKS: [[u8; 3]; 4] = [
        [0x00, 0xe0, 0x4c], // Realtek USB, often left at its default
        [0x00, 0x0e, 0xc6], // ASIX USB
        [0x00, 0x50, 0xb6], // Good Way docks
        [0x8c, 0xae, 0x4c], // Plugable docks
    ];
    DOCKS.contains(&mac.oui())
}

impl Evidence {
    /// What a person knows, or what was seen on the wire: addresses alone.
    pub fn of_macs(primary_mac: MacAddr, others: impl IntoIterator<Item = MacAddr>) -> Self {
        let nics = others
            .into_iter()
            .map(|mac| NicEvidence {
                mac,
                kind: NicKind::Unknown,
            })
            .collect();
        Self {
            primary_mac,
            nics,
            smbios_uuid: None,
            machine_id: None,
        }
    }

    /// The identity that a new machine with this evidence gets.
    pub fn identity(&self) -> Identity {
        let nics = self.all_nics();
        let mut identity = Identity {
            primary_mac: self.primary_mac,
            all_macs: nics.iter().map(|nic| nic.mac).collect(),
            unanchored: nics
                .iter()
                .filter(|nic| !nic.is_anchor())
                .map(|nic| nic.mac)
                .collect(),
            smbios_uuid: self.smbios_uuid.and_then(usable_uuid),
            machine_id: self.machine_id.clone(),
            identity_hash: None,
        };
        identity.rehash();
        identity
    }

    /// Whether a card is in its hash: virtual ones and those of docks are not.
    pub fn hashes_cards(&self) -> bool {
        self.all_nics().iter().any(|nic| nic.counts_for_hash())
    }

    /// Where to look, first answer first: hash, the card that spoke, any other card, SMBIOS UUID.
    ///
    /// A card on a dock names a machine only when nothing better is known of it. A hash over the UUID alone says no more
    /// than the UUID.
    pub fn anchors(&self) -> Vec<Anchor> {
        let mut anchors: Vec<_> = self.identity().anchors().collect();
        let spoke = Anchor::Mac(self.primary_mac);
        anchors.sort_by_key(|anchor| match anchor {
            Anchor::Hash(_) if self.hashes_cards() => 0,
            Anchor::Mac(_) if *anchor == spoke => 1,
            Anchor::Mac(_) => 2,
            Anchor::Hash(_) | Anchor::SmbiosUuid(_) | Anchor::Name(_) => 3,
        });
        let uuid = self.smbios_uuid.and_then(usable_uuid);
        let other = uuid.map(swapped).filter(|other| Some(*other) != uuid);
        anchors.extend(other.map(Anchor::SmbiosUuid));
        anchors
    }

    /// The same with its cards sorted, each once, and no more than [`MAX_NICS`]: fit to be kept.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            nics: self.all_nics(),
            ..self
        }
    }

    /// Sorted by address, each once; of two reports the better informed one, at most [`MAX_NICS`].
    pub(super) fn all_nics(&self) -> Vec<NicEvidence> {
        let spoke = NicEvidence {
            mac: self.primary_mac,
            kind: NicKind::Unknown,
        };
        let mut nics: Vec<_> = self.nics.iter().copied().chain([spoke]).collect();
        nics.sort();
        nics.dedup_by_key(|nic| nic.mac);
        if nics.len() > MAX_NICS {
            nics.sort_by_key(|nic| (nic.mac != self.primary_mac, !nic.is_anchor()));
            nics.truncate(MAX_NICS);
            nics.sort();
        }
        nics
    }
}

/// SMBIOS before 2.6 left the byte order open, so firmware and kernel may differ in it.
pub(super) fn swapped(uuid: Uuid) -> Uuid {
    Uuid::from_bytes(uuid.to_bytes_le())
}
