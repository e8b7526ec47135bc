//! What is known of the boot agent of a machine: which one was let in, and which tokens were used for it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{Digest, MacAddr};

/// As often as the agent is sent for to look into a machine before it is given up.
pub const MAX_TRIES: u8 = 3;
/// As long as a token is good.
pub const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(15);
/// As many tokens as one machine may use while they are remembered: a boot needs one.
const MAX_REDEEMED: usize = 16;
/// As many agents that went before as are told apart from strangers.
const MAX_FORMER: usize = 4;

/// The agent of a machine, as far as it has to outlive a restart of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentRecord {
    /// SHA-256 of the public key of the one that is believed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The card that its token was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// Its own version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// When it was let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Tokens that were used, each with the key that it was used for; none is good for another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redeemed: Vec<Redeemed>,
    /// Keys of those that were let in before; whoever shows one of them now is not the machine, or is not alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Digest>,
    /// How often the agent was sent for since one checked in.
    #[serde(skip_serializing_if = "is_zero")]
    pub tries: u8,
    /// A person wants a new look into the machine.
    #[serde(skip_serializing_if = "is_false")]
    pub wanted: bool,
}

/// A token that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeemed {
    /// SHA-256 of the token.
    pub token: Digest,
    pub key: Digest,
    pub at: Timestamp,
}

impl AgentRecord {
    /// Whether no agent was ever sent for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Believes this agent from now on. Tokens that were used longer ago than they are good need not be remembered.
    pub fn let_in(&mut self, mac: MacAddr, version: String, used: Redeemed) {
        self.disown();
        self.redeemed.retain(|old| {
            old.token != used.token && used.at.duration_since(old.at).abs() < TOKEN_LIFE
        });
        if self.redeemed.len() >= MAX_REDEEMED {
            self.redeemed.remove(0);
        }
        self.former.retain(|old| *old != used.key);
        self.key = Some(used.key.clone());
        self.mac = Some(mac);
        self.version = version;
        self.at = Some(used.at);
        self.redeemed.push(used);
    }

    /// Believes nobody any more; who was believed is told apart from strangers from now on.
    pub fn disown(&mut self) {
        let Some(key) = self.key.take() else { return };
        if self.former.len() >= MAX_FORMER {
            self.former.remove(0);
        }
        self.former.push(key);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u8) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::DigestKind;

    const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);

    fn sum(number: u8) -> Digest {
        Digest::of(DigestKind::Sha256, &[number; 32]).unwrap()
    }

    fn used(number: u8, second: i64) -> Redeemed {
        Redeemed {
            token: sum(number),
            key: sum(100 + number),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn the_last_one_is_believed_and_those_before_are_told_apart() {
        let mut record = AgentRecord::default();
        for number in 0..40 {
            record.let_in(MAC, "1".into(), used(number, i64::from(number)));
        }
        assert_eq!(record.key, Some(sum(139)));
        assert_eq!(record.former, [135, 136, 137, 138].map(sum));
        assert_eq!(record.redeemed.len(), MAX_REDEEMED);
        record.disown();
        assert_eq!((record.key, record.former.len()), (None, MAX_FORMER));
    }

    #[test]
    fn tokens_are_forgotten_when_they_are_good_no_more() {
        let mut record = AgentRecord::default();
        record.let_in(MAC, "1".into(), used(1, 0));
        record.let_in(MAC, "1".into(), used(2, 899));
        assert_eq!(record.redeemed.len(), 2);
        record.let_in(MAC, "1".into(), used(3, 900));
        let tokens: Vec<_> = record.redeemed.into_iter().map(|used| used.token).collect();
        assert_eq!(tokens, [2, 3].map(sum));
    }

    #[test]
    fn a_record_that_says_nothing_is_not_written() {
        let json = serde_json::to_string(&AgentRecord::default()).unwrap();
        assert_eq!(json, "{}");
    }
}
