//! Who a lease belongs to (RFC 2131 4.2, RFC 2132 9.14).

use crate::model::MacAddr;
use crate::net::dhcp::classify::Client;

/// A client to a server: its card, and its identifier where that says more than the card.
#[derive(Clone, Debug, Eq)]
pub struct Identity {
    pub mac: MacAddr,
    pub id: Option<Vec<u8>>,
}

impl Identity {
    /// Firmware sends its UUID (type 0), iPXE and others their card (type 1): neither tells one client on a card from
    /// another. A system's own (DUID, or a text) does, and goes with it to another card.
    pub fn of(client: &Client) -> Self {
        let mac = client.mac;
        let says_more = |id: &&Vec<u8>| match id.split_first() {
            Some((0, rest)) => rest.len() != 16,
            Some((1, rest)) => rest != mac.octets(),
            _ => true,
        };
        Self {
            mac,
            id: client.client_id.as_ref().filter(says_more).cloned(),
        }
    }

    fn key(&self) -> (Option<&[u8]>, Option<MacAddr>) {
        match &self.id {
            Some(id) => (Some(id), None),
            None => (None, Some(self.mac)),
        }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl std::hash::Hash for Identity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
        if self.id.is_none() {
            self.mac.octets().hash(state);
        }
    }
}

pub fn hex_of(id: &[u8]) -> String {
    let digits = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// None where it is no hexadecimal: then the card has to do.
pub fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8; 2]| {
        let value = digit(pair[0])? * 16 + digit(pair[1])?;
        u8::try_from(value).ok()
    };
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    bytes.filter(|bytes| rest.is_empty() && !bytes.is_empty())
}
