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
    use sha2::{Digest, Sha256};
    use test_case::test_case;

    use super::*;

    // Computed with Python from BIP39's published list.
    #[test_case("52:54:00:ab:cd:ef", "CensusAbleQualitySadness")]
    #[test_case("3c:ec:ef:12:34:56", "SolutionJealousEmotionMember")]
    #[test_case("00:1b:21:3a:4c:5d", "AccuseMountainTruckMerry")]
    #[test_case("fe:ff:ff:ff:ff:fe", "UsefulZooZooZone")]
    fn a_card_is_named_by_the_published_words(mac: &str, name: &str) {
        let mut candidates = MemorableName::candidates(mac.parse().unwrap());
        assert_eq!(candidates.next().unwrap().as_str(), name);
    }

    /// Names are stored, and read back by this list: another list would make them unreadable.
    #[test]
    fn the_list_is_bip39s_of_words_of_three_to_eight_letters() {
        let list = Language::English.word_list();
        let digest = Sha256::digest(list.join("\n") + "\n");
        let published = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda";
        let published: crate::model::IdentityHash = published.parse().unwrap();
        assert_eq!(digest[..], published.bytes()[..]);
        assert!(list.is_sorted());
        let plain = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase());
        assert!(
            list.iter()
                .all(|word| (3..=8).contains(&word.len()) && plain(word))
        );
    }

    #[test_case(""; "empty")]
    #[test_case("CensusAbleQuality"; "three words")]
    #[test_case("CensusAbleQualityParentZoo"; "five words")]
    #[test_case("censusAbleQualityParent"; "small beginning")]
    #[test_case("CensusAbleQualityDragonfly"; "a word of no list")]
    #[test_case("Census Able Quality Parent"; "spaces")]
    #[test_case("CensusAbleQualityParent "; "trailing space")]
    fn what_is_not_four_words_is_refused_with_an_example(text: &str) {
        let error = text.parse::<MemorableName>().unwrap_err();
        assert!(error.example.parse::<MemorableName>().is_ok());
    }

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

    mod properties {
        use proptest::prelude::*;

        use super::*;

        /// The number that a name stands for, read word by word.
        fn number(name: &MemorableName) -> u64 {
            let list = Language::English.word_list();
            let lower = name
                .as_str()
                .chars()
                .map(|c| (c.is_ascii_uppercase(), c.to_ascii_lowercase()));
            let mut words: Vec<String> = Vec::new();
            for (begins, c) in lower {
                if begins {
                    words.push(String::new());
                }
                words.last_mut().unwrap().push(c);
            }
            let place = |word: &String| list.binary_search(&word.as_str()).unwrap() as u64;
            words
                .iter()
                .fold(0, |sum, word| sum << WORD_BITS | place(word))
        }

        proptest! {
            #[test]
            fn every_number_has_a_name_of_its_own_that_reads_back(one in 0..SPACE) {
                let name = MemorableName::from_number(one);
                prop_assert_eq!(number(&name), one);
                prop_assert_eq!(name.as_str().parse::<MemorableName>().unwrap(), name);
            }

            #[test]
            fn candidates_count_on_from_the_low_bits_and_wrap(octets: [u8; 6], step in 0..50_usize) {
                let bits = octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
                let mut candidates = MemorableName::candidates(MacAddr::new(octets));
                let name = candidates.nth(step).unwrap();
                prop_assert_eq!(number(&name), (bits + step as u64) % SPACE);
            }
        }
    }
}
