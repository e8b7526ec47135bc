//! Memorable names: four BIP39 words that stand for a machine until a person names it.
//!
//! The words are the low 44 bits of the primary MAC, eleven bits a word, first word highest. They are chosen
//! once, at registration, and stored; on a collision the next free number is taken.

use std::fmt;
use std::str::FromStr;

use bip39::Language;
use serde::{Deserialize, Serialize};

use super::MacAddr;
use super::field::{FieldError, quoted, text_field};

const WORD_BITS: u32 = 11;
const WORDS: u32 = 4;
const SPACE: u64 = 1 << (WORD_BITS * WORDS);

/// Such as `CensusAbleQualityParent`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemorableName(Box<str>);
text_field!(MemorableName);

impl MemorableName {
    /// The names for a machine with this card, best first; the first that nobody has is its own.
    pub fn candidates(mac: MacAddr) -> impl Iterator<Item = Self> {
        let octets = mac.octets();
        let low = octets[1..].iter().fold(u64::from(octets[0]), |sum, octet| {
            sum << 8 | u64::from(*octet)
        });
        (0..SPACE).map(move |step| Self::from_number((low + step) % SPACE))
    }

    fn from_number(number: u64) -> Self {
        let list = Language::English.word_list();
        let mut name = String::new();
        for place in (0..WORDS).rev() {
            let index = number >> (place * WORD_BITS) & ((1 << WORD_BITS) - 1);
            let word = list[usize::try_from(index).unwrap_or_default()];
            name.extend(word[..1].chars().map(|first| first.to_ascii_uppercase()));
            name.push_str(&word[1..]);
        }
        Self(name.into())
    }
}

impl FromStr for MemorableName {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let mut words = Vec::new();
        for c in text.chars() {
            match words.last_mut() {
                _ if c.is_ascii_uppercase() => words.push(c.to_ascii_lowercase().to_string()),
                Some(word) => word.push(c),
                None => break,
            }
        }
        let list = Language::English.word_list();
        if words.len() == 4
            && words
                .iter()
                .all(|word| list.binary_search(&word.as_str()).is_ok())
        {
            return Ok(Self(text.into()));
        }
        Err(FieldError::new(
            "memorable_name",
            format!("{} is not four words of the list", quoted(text)),
            "CensusAbleQualityParent",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_card_gives_the_same_four_words() {
        let mac: MacAddr = "52:54:00:ab:cd:ef".parse().unwrap();
        let name = MemorableName::candidates(mac).next().unwrap();
        assert_eq!(name, MemorableName::candidates(mac).next().unwrap());
        assert_eq!(
            name.as_str()
                .chars()
                .filter(char::is_ascii_uppercase)
                .count(),
            4
        );
        assert_eq!(name.as_str().parse::<MemorableName>().unwrap(), name);
    }

    #[test]
    fn only_the_low_44_bits_count_and_collisions_take_the_next() {
        let one = "02:54:00:ab:cd:ef".parse::<MacAddr>().unwrap();
        let two = "12:54:00:ab:cd:ef".parse::<MacAddr>().unwrap();
        let mut first = MemorableName::candidates(one);
        let mut second = MemorableName::candidates(two);
        assert_eq!(first.next(), second.next());
        assert_eq!(first.next(), second.next());
    }

    #[test]
    fn the_last_number_is_followed_by_the_first() {
        let last = "0e:ff:ff:ff:ff:ff".parse::<MacAddr>().unwrap();
        let names: Vec<_> = MemorableName::candidates(last).take(2).collect();
        assert_ne!(names[0], names[1]);
        assert_eq!(
            MemorableName::from_number(0).as_str(),
            "AbandonAbandonAbandonAbandon"
        );
        assert_eq!(
            MemorableName::from_number(SPACE - 1).as_str(),
            "ZooZooZooZoo"
        );
    }
}
