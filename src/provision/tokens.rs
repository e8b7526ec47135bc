//! Boot tokens: what a script carries to the agent, and the agent back to us, once.
//!
//! ```text
//! 16 bytes  a number that nobody guesses
//!  8 bytes  seconds since 1970, when it was issued
//! 16 bytes  the address that its script was sent to; IPv4 mapped into IPv6
//! 16 bytes  the beginning of an HMAC-SHA256 over these and the MAC address
//! ```
//!
//! Nothing is kept of a token until it is used, so a flood of questions fills no memory, and a token that left before
//! the server was killed is good after it came back. Whether one was used already is known to [`super::sessions`].

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use ring::hmac;

use crate::model::boot::TOKEN_LIFE;
use crate::model::digest::{DigestKind, hex};
use crate::model::{Digest, MacAddr};

const RANDOM: usize = 16;
const SIGNED: usize = RANDOM + 8 + 16;
const TAG: usize = 16;
const WHOLE: usize = SIGNED + TAG;

/// Makes tokens and knows them again.
#[derive(Debug)]
pub struct Tokens(hmac::Key);

/// A token of ours that is still good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of it: as it is remembered once it was used.
    pub id: Digest,
    /// Where its script was sent to.
    pub address: IpAddr,
    pub issued: Timestamp,
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is none: it has another form")]
    Malformed,
    #[error("the token was not made here for this card")]
    Foreign,
    #[error("the token is older than 15 minutes; the next boot brings another")]
    Expired,
}

impl Tokens {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A token for the machine with this card, whose script is sent to `address`. `random` comes from the system's
    /// source of random numbers.
    pub fn issue(
        &self,
        mac: MacAddr,
        address: IpAddr,
        now: Timestamp,
        random: [u8; RANDOM],
    ) -> String {
        let mut token = [0; WHOLE];
        token[..RANDOM].copy_from_slice(&random);
        token[RANDOM..RANDOM + 8].copy_from_slice(&now.as_second().to_be_bytes());
        token[RANDOM + 8..SIGNED].copy_from_slice(&mapped(address).octets());
        let tag = hmac::sign(&self.0, &Self::signed(&token[..SIGNED], mac));
        token[SIGNED..].copy_from_slice(&tag.as_ref()[..TAG]);
        hex(&token)
    }

    /// What `text` is, shown by the machine with this card.
    pub fn read(&self, text: &str, mac: MacAddr, now: Timestamp) -> Result<Token, TokenError> {
        let token = unhex(text).ok_or(TokenError::Malformed)?;
        let (told, tag) = token.split_at(SIGNED);
        let own = hmac::sign(&self.0, &Self::signed(told, mac));
        if !same(tag, &own.as_ref()[..TAG]) {
            return Err(TokenError::Foreign);
        }
        let issued = issued(told).ok_or(TokenError::Malformed)?;
        // A clock that was set back counts as late.
        if now.duration_since(issued).abs() >= TOKEN_LIFE {
            return Err(TokenError::Expired);
        }
        Ok(Token {
            id: sum(&token),
            address: address(told),
            issued,
        })
    }

    /// What the tag is made over; all of it has one length.
    fn signed(told: &[u8], mac: MacAddr) -> Vec<u8> {
        [b"boot token 1", told, &mac.octets()].concat()
    }
}

fn issued(told: &[u8]) -> Option<Timestamp> {
    let seconds = told[RANDOM..RANDOM + 8].try_into().ok()?;
    Timestamp::from_second(i64::from_be_bytes(seconds)).ok()
}

fn address(told: &[u8]) -> IpAddr {
    let octets: [u8; 16] = told[RANDOM + 8..].try_into().unwrap_or_default();
    Ipv6Addr::from(octets).to_canonical()
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// SHA-256 in the form in which it is kept.
#[expect(clippy::expect_used, reason = "SHA-256 has as many bytes as SHA-256")]
pub(super) fn sum(bytes: &[u8]) -> Digest {
    use sha2::{Digest as _, Sha256};
    Digest::of(DigestKind::Sha256, &Sha256::digest(bytes)).expect("a sum of its own length")
}

fn unhex(text: &str) -> Option<[u8; WHOLE]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * WHOLE {
        return None;
    }
    let mut bytes = [0; WHOLE];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

/// In a time that does not tell where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use jiff::SignedDuration;
    use proptest::prelude::*;
    use test_case::test_case;

    use super::*;

    const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);
    const OTHER: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 2]);
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn tokens() -> Tokens {
        Tokens::new(&[7; 32])
    }

    fn token() -> String {
        tokens().issue(MAC, HERE, at(0), [3; RANDOM])
    }

    #[test]
    fn a_token_tells_where_and_when_it_was_sent() {
        let read = tokens().read(&token(), MAC, at(5)).unwrap();
        assert_eq!((read.address, read.issued), (HERE, at(0)));
        let other = tokens().issue(MAC, HERE, at(0), [4; RANDOM]);
        assert_ne!(read.id, tokens().read(&other, MAC, at(5)).unwrap().id);
        let six: IpAddr = "fd00::9".parse().unwrap();
        let token = tokens().issue(MAC, six, at(0), [3; RANDOM]);
        assert_eq!(tokens().read(&token, MAC, at(5)).unwrap().address, six);
    }

    #[test_case(&token(), MAC, 899 => Ok(()); "for a quarter of an hour")]
    #[test_case(&token().to_uppercase(), MAC, 1 => Ok(()); "in other letters")]
    #[test_case(&token(), MAC, 900 => Err(TokenError::Expired); "and no longer")]
    #[test_case(&token(), MAC, -900 => Err(TokenError::Expired); "a clock that was set back")]
    #[test_case(&token(), OTHER, 1 => Err(TokenError::Foreign); "by another card")]
    #[test_case(&Tokens::new(&[8; 32]).issue(MAC, HERE, at(0), [3; RANDOM]), MAC, 1 => Err(TokenError::Foreign); "of another server")]
    #[test_case("", MAC, 1 => Err(TokenError::Malformed); "nothing")]
    #[test_case(&token()[2..], MAC, 1 => Err(TokenError::Malformed); "too short")]
    #[test_case(&token().replace('3', "x"), MAC, 1 => Err(TokenError::Malformed); "no digits")]
    #[test_case(&"é".repeat(WHOLE), MAC, 1 => Err(TokenError::Malformed); "no ASCII")]
    fn a_token_is_good(text: &str, mac: MacAddr, second: i64) -> Result<(), TokenError> {
        tokens().read(text, mac, at(second)).map(drop)
    }

    proptest! {
        #[test]
        fn what_was_changed_in_any_place_is_none_of_ours(place in 0..WHOLE, change in 1..=u8::MAX) {
            let mut bytes = unhex(&token()).unwrap();
            bytes[place] ^= change;
            prop_assert_eq!(tokens().read(&hex(&bytes), MAC, at(1)), Err(TokenError::Foreign));
        }

        #[test]
        fn any_text_is_read_without_harm(text: String) {
            prop_assert!(tokens().read(&text, MAC, at(1)).is_err());
        }

        #[test]
        fn tokens_live_exactly_as_long_as_they_should(passed in -2000_i64..2000) {
            let good = tokens().read(&token(), MAC, at(passed)).is_ok();
            let life = TOKEN_LIFE.as_secs();
            prop_assert_eq!(good, (-life < passed) && (passed < life));
            prop_assert_eq!(SignedDuration::from_secs(life), TOKEN_LIFE);
        }
    }
}
