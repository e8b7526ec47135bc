//! Who is this machine? Anchors, the identity hash, and what to do when anchors disagree.
//!
//! A machine shows evidence (its cards, its SMBIOS UUID, the machine-id of its installed system). Evidence
//! yields *anchors*; each is looked up in the order of [`Evidence::anchors`], and the first that is known
//! names the machine. Anchors that name different machines are a conflict for a person to settle: nothing
//! is merged in silence.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::field::{FieldError, text_field};
use super::{ConflictId, MacAddr, MachineId, MemorableName};

/// As many cards as one machine is believed to have; a report of more is cut, lowest address first.
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

/// How a card is attached, as far as its reporter can tell.
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
        self.is_anchor() && !self.mac.is_local()
    }

    /// Whether the machine may be found by this card at all.
    fn is_anchor(self) -> bool {
        matches!(self.kind, NicKind::Fixed | NicKind::Unknown)
            && self.mac.is_unicast()
            && !is_virtual_range(self.mac)
            && !is_dock(self.mac)
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

/// The contents of `/etc/machine-id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OsMachineId(Box<str>);
text_field!(OsMachineId);

impl FromStr for OsMachineId {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let text = text.trim().to_ascii_lowercase();
        let valid = text.len() == 32
            && text.bytes().all(|b| b.is_ascii_hexdigit())
            && text.bytes().any(|b| b != b'0');
        if valid {
            return Ok(Self(text.into()));
        }
        Err(FieldError::new(
            "machine_id",
            "it has to be 32 hexadecimal digits that are not all zero",
            "b08dfa6083e7567a1921a715000001fb",
        ))
    }
}

/// What a stored machine is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub primary_mac: MacAddr,
    /// Sorted, each once, the primary among them.
    pub all_macs: Vec<MacAddr>,
    /// The cards of `all_macs` that the machine may not be found by: docks, bridges and the like.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unanchored: BTreeSet<MacAddr>,
    pub smbios_uuid: Option<Uuid>,
    pub machine_id: Option<OsMachineId>,
    /// None when nothing that the hash may rest on is known; then other anchors have to do.
    pub identity_hash: Option<IdentityHash>,
}

/// SHA-256 over the hardware's own names; see [`compute_identity_hash`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentityHash([u8; 32]);

impl IdentityHash {
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for IdentityHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for IdentityHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for IdentityHash {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let mut bytes = [0; 32];
        let valid = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let pairs = text.as_bytes().chunks_exact(2).filter(|_| valid);
        let mut read = 0;
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
            read += 1;
        }
        if read == 32 {
            return Ok(Self(bytes));
        }
        Err(FieldError::new(
            "identity_hash",
            "it has to be 64 hexadecimal digits",
            "e3b0c442…b855",
        ))
    }
}

impl TryFrom<String> for IdentityHash {
    type Error = FieldError;

    fn try_from(text: String) -> Result<Self, FieldError> {
        text.parse()
    }
}

impl From<IdentityHash> for String {
    fn from(hash: IdentityHash) -> Self {
        hash.to_string()
    }
}

/// SHA-256(sorted MACs, each followed by `|`, then the SMBIOS UUID, `|`, then the machine-id), in hexadecimal.
///
/// The bytes that go in are part of the stored format: a change here makes every known machine a stranger.
pub fn compute_identity_hash(
    macs: &[String],
    smbios_uuid: Option<&str>,
    machine_id: Option<&str>,
) -> String {
    hash(macs, smbios_uuid, machine_id).to_string()
}

fn hash(macs: &[String], smbios_uuid: Option<&str>, machine_id: Option<&str>) -> IdentityHash {
    let mut sorted: Vec<_> = macs
        .iter()
        .map(|mac| mac.to_lowercase().replace('-', ":"))
        .collect();
    sorted.sort();
    let mut hasher = Sha256::new();
    for mac in &sorted {
        hasher.update(mac.as_bytes());
        hasher.update(b"|");
    }
    if let Some(uuid) = smbios_uuid {
        hasher.update(uuid.to_lowercase().as_bytes());
    }
    hasher.update(b"|");
    if let Some(id) = machine_id {
        hasher.update(id.as_bytes());
    }
    IdentityHash(hasher.finalize().into())
}

/// A UUID that says something about one machine; vendors' fillers say nothing.
pub fn usable_uuid(uuid: Uuid) -> Option<Uuid> {
    const FILLERS: [u128; 6] = [
        0x03000200_0400_0500_0006_000700080009,
        0x00020003_0004_0005_0006_000700080009,
        0x12345678_1234_5678_90ab_cddeefaabbcc,
        0x11111111_2222_3333_4444_555555555555,
        0x4c4c4544_0000_2010_8020_80c04f202020,
        0x44454c4c_0000_1020_8020_80c04f202020,
    ];
    let bytes = uuid.as_bytes();
    let uniform = bytes.iter().all(|byte| *byte == bytes[0]);
    let filler = FILLERS.contains(&uuid.as_u128())
        || FILLERS.contains(&u128::from_be_bytes(uuid.to_bytes_le()));
    (!uniform && !filler).then_some(uuid)
}

/// One thing by which a machine can be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Anchor {
    Hash(IdentityHash),
    Mac(MacAddr),
    SmbiosUuid(Uuid),
    /// A four-word name; not shown by any machine, but as unique as an anchor.
    Name(MemorableName),
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(hash) => write!(f, "identity hash {hash}"),
            Self::Mac(mac) => write!(f, "MAC {mac}"),
            Self::SmbiosUuid(uuid) => write!(f, "SMBIOS UUID {uuid}"),
            Self::Name(name) => write!(f, "name {name}"),
        }
    }
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
                .filter(|nic| !nic.is_anchor() && nic.mac != self.primary_mac)
                .map(|nic| nic.mac)
                .collect(),
            smbios_uuid: self.smbios_uuid,
            machine_id: self.machine_id.clone(),
            identity_hash: None,
        };
        identity.all_macs.dedup();
        identity.rehash();
        identity
    }

    /// Where to look, first answer first: hash, the card that spoke, any other card, SMBIOS UUID.
    ///
    /// A card on a dock names a machine only when nothing better is known of it.
    pub fn anchors(&self) -> Vec<Anchor> {
        let nics = self.all_nics();
        let uuid = self.smbios_uuid.and_then(usable_uuid);
        let mut anchors: Vec<_> = self
            .identity()
            .identity_hash
            .map(Anchor::Hash)
            .into_iter()
            .collect();
        let spoke = nics.iter().find(|nic| nic.mac == self.primary_mac);
        let alone = uuid.is_none() && !nics.iter().any(|nic| nic.is_anchor());
        if alone || spoke.is_some_and(|nic| nic.is_anchor()) {
            anchors.push(Anchor::Mac(self.primary_mac));
        }
        let others = nics
            .iter()
            .filter(|nic| nic.is_anchor() && nic.mac != self.primary_mac);
        anchors.extend(others.map(|nic| Anchor::Mac(nic.mac)));
        anchors.extend(uuid.map(Anchor::SmbiosUuid));
        // SMBIOS before 2.6 left the byte order open, so firmware and kernel may differ in it.
        anchors.extend(uuid.map(|uuid| Anchor::SmbiosUuid(swapped(uuid))));
        anchors
    }

    /// Sorted by address, each once; of two reports the better informed one, at most [`MAX_NICS`].
    fn all_nics(&self) -> Vec<NicEvidence> {
        let spoke = NicEvidence {
            mac: self.primary_mac,
            kind: NicKind::Unknown,
        };
        let mut nics: Vec<_> = self.nics.iter().copied().chain([spoke]).collect();
        nics.sort();
        nics.dedup_by_key(|nic| nic.mac);
        while nics.len() > MAX_NICS {
            let last = nics.iter().rposition(|nic| nic.mac != self.primary_mac);
            nics.remove(last.unwrap_or_default());
        }
        nics
    }
}

fn swapped(uuid: Uuid) -> Uuid {
    Uuid::from_bytes(uuid.to_bytes_le())
}

impl Identity {
    /// Everything this machine is indexed under.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + '_ {
        let macs = self
            .all_macs
            .iter()
            .filter(|mac| !self.unanchored.contains(mac));
        let uuid = self.smbios_uuid.and_then(usable_uuid);
        self.identity_hash
            .map(Anchor::Hash)
            .into_iter()
            .chain(macs.map(|mac| Anchor::Mac(*mac)))
            .chain(uuid.map(Anchor::SmbiosUuid))
    }

    /// Takes in what a known machine showed this time. Cards are added and never forgotten here: a card that
    /// is silent once is not gone. Returns whether anything changed.
    pub fn learn(&mut self, evidence: &Evidence) -> bool {
        let before = self.clone();
        let shown = evidence.identity();
        for mac in shown.all_macs {
            if let Err(place) = self.all_macs.binary_search(&mac) {
                if self.all_macs.len() >= MAX_NICS {
                    continue;
                }
                self.all_macs.insert(place, mac);
                if shown.unanchored.contains(&mac) {
                    self.unanchored.insert(mac);
                }
            }
        }
        if let Some(uuid) = evidence.smbios_uuid.and_then(usable_uuid) {
            self.smbios_uuid = Some(uuid);
        }
        if evidence.machine_id.is_some() {
            self.machine_id.clone_from(&evidence.machine_id);
        }
        self.rehash();
        *self != before
    }

    /// Makes `mac` the primary card, in place of the one that was.
    pub fn replace_primary(&mut self, mac: MacAddr) {
        self.all_macs.retain(|known| *known != self.primary_mac);
        if let Err(place) = self.all_macs.binary_search(&mac) {
            self.all_macs.insert(place, mac);
        }
        self.unanchored.remove(&mac);
        self.primary_mac = mac;
        self.rehash();
    }

    /// Gives up the cards in `macs` and, when asked, the UUID. The primary card stays.
    pub fn give_up(&mut self, macs: &BTreeSet<MacAddr>, uuid: bool) {
        let primary = self.primary_mac;
        self.all_macs
            .retain(|mac| *mac == primary || !macs.contains(mac));
        self.unanchored.retain(|mac| !macs.contains(mac));
        if uuid {
            self.smbios_uuid = None;
        }
        self.rehash();
    }

    /// Takes over all that `other` was known by.
    pub fn absorb(&mut self, other: &Self) {
        for mac in &other.all_macs {
            if let Err(place) = self.all_macs.binary_search(mac) {
                self.all_macs.insert(place, *mac);
            }
        }
        self.unanchored.extend(&other.unanchored);
        self.smbios_uuid = self.smbios_uuid.or(other.smbios_uuid);
        if self.machine_id.is_none() {
            self.machine_id.clone_from(&other.machine_id);
        }
        self.rehash();
    }

    /// The hash over the inputs that count; none when there are none.
    fn rehash(&mut self) {
        let macs: Vec<String> = self
            .all_macs
            .iter()
            .filter(|mac| !self.unanchored.contains(mac))
            .filter(|mac| {
                NicEvidence {
                    mac: **mac,
                    kind: NicKind::Unknown,
                }
                .counts_for_hash()
            })
            .map(ToString::to_string)
            .collect();
        let uuid = self
            .smbios_uuid
            .and_then(usable_uuid)
            .map(|uuid| uuid.to_string());
        let machine_id = self.machine_id.as_ref().map(OsMachineId::as_str);
        let known = !macs.is_empty() || uuid.is_some() || machine_id.is_some();
        self.identity_hash = known.then(|| hash(&macs, uuid.as_deref(), machine_id));
    }
}

/// What the known machines say to a piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Nobody knows it.
    New,
    /// `machine` is named by `by`, and no anchor names another.
    Known { machine: MachineId, by: Anchor },
    /// `machine` is named by the best anchor, and others by others.
    Conflict {
        machine: MachineId,
        claims: Vec<(Anchor, MachineId)>,
    },
}

/// Asks `find` who is known by each anchor of `evidence`, and draws the conclusion.
pub fn resolve(evidence: &Evidence, mut find: impl FnMut(&Anchor) -> Vec<MachineId>) -> Resolution {
    let mut claims = Vec::new();
    for anchor in evidence.anchors() {
        claims.extend(
            find(&anchor)
                .into_iter()
                .map(|machine| (anchor.clone(), machine)),
        );
    }
    let Some((by, machine)) = claims.first().cloned() else {
        return Resolution::New;
    };
    if claims.iter().all(|(_, other)| *other == machine) {
        return Resolution::Known { machine, by };
    }
    Resolution::Conflict { machine, claims }
}

/// Anchors that were seen together and point at different machines, until a person settles it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub id: ConflictId,
    pub evidence: Evidence,
    pub claims: Vec<(Anchor, MachineId)>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

impl Conflict {
    /// The machines that lay claim, each once, the best claim first.
    pub fn machines(&self) -> Vec<MachineId> {
        let mut machines = Vec::new();
        for (_, machine) in &self.claims {
            if !machines.contains(machine) {
                machines.push(*machine);
            }
        }
        machines
    }
}
