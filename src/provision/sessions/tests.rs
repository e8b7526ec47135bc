use std::net::Ipv4Addr;

use super::*;
use crate::model::digest::DigestKind;

const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);
const SECOND_CARD: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 2]);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
const MACHINE: MachineId = MachineId(uuid::Uuid::from_u128(7));

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn sum(number: u8) -> Digest {
    Digest::of(DigestKind::Sha256, &[number; 32]).unwrap()
}

fn token(number: u8) -> Token {
    Token {
        id: sum(number),
        address: HERE,
        issued: at(0),
    }
}

fn newcomer(mac: MacAddr, key: u8, machine: Option<MachineId>) -> Newcomer {
    Newcomer {
        mac,
        address: HERE,
        version: "1".into(),
        key: sum(key),
        machine,
    }
}

fn let_in(sessions: &mut Sessions, number: u8, who: &Newcomer, second: i64) -> Session {
    match sessions.redeem(&token(number), who, at(second)) {
        Outcome::LetIn(session) => session,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_lets_one_key_in_and_the_same_key_may_ask_again() {
    let mut sessions = Sessions::default();
    let agent = newcomer(MAC, 100, Some(MACHINE));
    let session = let_in(&mut sessions, 1, &agent, 0);
    let again = sessions.redeem(&token(1), &agent, at(1));
    assert_eq!(again, Outcome::Again(session.clone()));
    assert_eq!(sessions.speaker(&sum(100), at(2)), Speaker::Known(session));
    assert_eq!(sessions.speaker(&sum(101), at(2)), Speaker::Unknown);
}

#[test]
fn a_token_that_two_have_leaves_none_of_them_believed() {
    let mut sessions = Sessions::default();
    let_in(&mut sessions, 1, &newcomer(MAC, 100, Some(MACHINE)), 0);
    let thief = newcomer(MAC, 101, Some(MACHINE));
    let stolen = sessions.redeem(&token(1), &thief, at(1));
    assert_eq!(
        stolen,
        Outcome::Replayed {
            machine: Some(MACHINE)
        }
    );
    assert_eq!(sessions.speaker(&sum(100), at(2)), Speaker::Former);
    assert_eq!(sessions.speaker(&sum(101), at(2)), Speaker::Unknown);
    let first = newcomer(MAC, 100, Some(MACHINE));
    assert_eq!(sessions.redeem(&token(1), &first, at(3)), Outcome::Spent);
    assert!(sessions.is_empty());
    // The next boot is another one.
    let_in(&mut sessions, 2, &newcomer(MAC, 102, Some(MACHINE)), 60);
}

#[test]
fn a_new_boot_takes_the_place_of_the_one_before() {
    let mut sessions = Sessions::default();
    let_in(&mut sessions, 1, &newcomer(MAC, 100, Some(MACHINE)), 0);
    let_in(&mut sessions, 2, &newcomer(MAC, 101, Some(MACHINE)), 60);
    assert_eq!(sessions.len(), 1);
    assert!(sessions.believes(&sum(101)));
}

#[test]
fn who_was_believed_before_and_still_speaks_is_a_second_one() {
    let mut sessions = Sessions::default();
    let_in(&mut sessions, 1, &newcomer(MAC, 100, Some(MACHINE)), 0);
    let_in(&mut sessions, 2, &newcomer(MAC, 101, Some(MACHINE)), 60);
    let twofold = Speaker::Twofold {
        mac: MAC,
        machine: Some(MACHINE),
    };
    assert_eq!(sessions.speaker(&sum(100), at(61)), twofold);
    assert_eq!(sessions.speaker(&sum(101), at(61)), Speaker::Former);
    assert_eq!(sessions.speaker(&sum(100), at(62)), Speaker::Former);
}

/// Two cards of one machine have tokens of their own; only one agent is in it all the same.
#[test]
fn one_machine_has_one_agent_whatever_card_it_booted_from() {
    let mut sessions = Sessions::default();
    let_in(&mut sessions, 1, &newcomer(MAC, 100, Some(MACHINE)), 0);
    let_in(
        &mut sessions,
        2,
        &newcomer(SECOND_CARD, 101, Some(MACHINE)),
        1,
    );
    assert!(matches!(
        sessions.speaker(&sum(100), at(2)),
        Speaker::Twofold { .. }
    ));

    let mut sessions = Sessions::default();
    let_in(&mut sessions, 1, &newcomer(MAC, 100, Some(MACHINE)), 0);
    let_in(&mut sessions, 2, &newcomer(SECOND_CARD, 101, None), 1);
    assert_eq!(sessions.len(), 2);
    sessions.belongs(&sum(101), Some(MACHINE), at(2));
    assert!(matches!(
        sessions.speaker(&sum(100), at(3)),
        Speaker::Twofold { .. }
    ));
}

#[test]
fn what_could_not_be_written_down_can_be_tried_again() {
    let mut sessions = Sessions::default();
    let agent = newcomer(MAC, 100, Some(MACHINE));
    let session = let_in(&mut sessions, 1, &agent, 0);
    sessions.undo(&session);
    assert_eq!(sessions.speaker(&sum(100), at(1)), Speaker::Unknown);
    let_in(&mut sessions, 1, &agent, 2);
}

#[test]
fn a_record_brings_back_who_was_believed_and_which_tokens_were_used() {
    let mut before = Sessions::default();
    let first = let_in(&mut before, 1, &newcomer(MAC, 100, Some(MACHINE)), 0);
    let second = let_in(&mut before, 2, &newcomer(MAC, 101, Some(MACHINE)), 60);
    let mut record = AgentRecord::default();
    for session in [first, second] {
        record.let_in(session.mac, session.version, session.used);
    }
    let mut sessions = Sessions::default();
    sessions.restore(MACHINE, &record);
    assert!(matches!(
        sessions.speaker(&sum(101), at(61)),
        Speaker::Known(_)
    ));
    let replay = sessions.redeem(&token(2), &newcomer(MAC, 105, Some(MACHINE)), at(62));
    assert_eq!(
        replay,
        Outcome::Replayed {
            machine: Some(MACHINE)
        }
    );
    let mut sessions = Sessions::default();
    sessions.restore(MACHINE, &record);
    assert!(matches!(
        sessions.speaker(&sum(100), at(61)),
        Speaker::Twofold { .. }
    ));
}

#[test]
fn agents_that_never_say_whose_they_are_are_bounded_and_forgotten() {
    let mut sessions = Sessions::default();
    let stranger = |number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        let id = [a, b, c, d].repeat(8);
        let id = Digest::of(DigestKind::Sha256, &id).unwrap();
        let mac = MacAddr::new([0x52, 0x54, a, b, c, d]);
        let who = Newcomer {
            key: id.clone(),
            ..newcomer(mac, 0, None)
        };
        (Token { id, ..token(0) }, who)
    };
    for number in 0..5000 {
        let (token, who) = stranger(number);
        sessions.redeem(&token, &who, at(0));
    }
    assert_eq!(sessions.len(), MAX_UNKNOWN);
    let (token, who) = stranger(9999);
    assert_eq!(sessions.redeem(&token, &who, at(1)), Outcome::Crowded);
    assert!(matches!(
        sessions.redeem(&token, &who, at(900)),
        Outcome::LetIn(_)
    ));
    assert_eq!(sessions.len(), 1);
}
