//! Somebody else speaks as the address that is held.

use test_case::test_case;

use super::*;

fn holding(config: Floating) -> Host {
    let mut host = Host::new(config).settle();
    host.sent.clear();
    host.done.clear();
    host
}

#[test]
fn is_answered_by_one_announcement() {
    let mut host = holding(auto());
    host.hear(&claims(at(3)));
    assert_eq!(host.sent, [(host.now, Packet::announcement(MAC, at(3)))]);
    host.holds(at(3));
    assert!(
        host.text().contains("defended against 02:00:00:00:00:ee"),
        "{}",
        host.text()
    );
}

#[test]
fn is_answered_again_after_ten_quiet_seconds() {
    let mut host = holding(auto());
    for _ in 0..5 {
        host.hear(&claims(at(3)));
        host.pass(DEFEND_INTERVAL);
    }
    host.holds(at(3));
    assert_eq!(host.announced(at(3)), 5);
}

#[test]
fn that_goes_on_moves_it_and_the_old_one_answers_until_then() {
    let mut host = holding(auto());
    host.neighbours = vec![(at(4), OTHER)];
    host.hear(&claims(at(3)));
    host.pass(seconds(2));
    host.hear(&claims(at(3)));
    assert_eq!(host.state(), FloatingState::Conflict);
    assert!(
        host.text()
            .contains("02:00:00:00:00:ee keeps using 192.168.77.3"),
        "{}",
        host.text()
    );
    assert_eq!(host.machine.address(), Some(at(3)));
    host.pass(seconds(20));
    host.holds(at(5));
    let both = Record {
        address: at(5),
        leaving: Some(at(3)),
    };
    let one = Record {
        address: at(5),
        leaving: None,
    };
    let moved = [
        Output::Record(Some(both)),
        Output::Add(at(5)),
        Output::Remove(at(3)),
        Output::Record(Some(one)),
    ];
    assert_eq!(host.done, moved);
}

#[test]
fn that_goes_on_is_not_fought_over() {
    let mut host = holding(auto());
    for _ in 0..20 {
        host.hear(&claims(at(3)));
        host.pass(Duration::from_millis(100));
    }
    assert_eq!(host.announced(at(3)), 1);
}

#[test]
fn that_goes_on_lets_it_go_where_that_is_configured() {
    let config = Floating {
        on_conflict: OnConflict::Release,
        ..auto()
    };
    let mut host = holding(config);
    host.hear(&claims(at(3)));
    host.hear(&claims(at(3)));
    host.holds_nothing(FloatingState::Released);
    assert!(
        host.text()
            .contains("02:00:00:00:00:ee kept using 192.168.77.3"),
        "{}",
        host.text()
    );
    host.pass(seconds(600));
    host.holds_nothing(FloatingState::Released);
}

/// Somebody goes after whatever we take: the record is not written, and the wire not asked, without end.
#[test]
fn with_everything_ends_in_one_attempt_a_minute() {
    let mut host = holding(auto());
    for _ in 0..3600 {
        host.pass(seconds(1));
        if let Some(address) = host.machine.address() {
            host.hear(&claims(address));
        }
    }
    let adds = host
        .done
        .iter()
        .filter(|output| matches!(output, Output::Add(_)));
    assert!(adds.count() <= 70);
}

#[test]
fn with_nowhere_to_go_lets_it_go() {
    let mut host = holding(auto());
    host.neighbours = (4..=22).map(|last| (at(last), OTHER)).collect();
    host.hear(&claims(at(3)));
    host.hear(&claims(at(3)));
    host.pass(seconds(20));
    host.holds_nothing(FloatingState::NoneFree);
}

#[test]
fn over_the_wanted_address_moves_it_to_a_free_one() {
    let mut host = holding(wants(at(99)));
    host.neighbours = vec![(at(99), OTHER)];
    host.hear(&claims(at(99)));
    host.hear(&claims(at(99)));
    host.pass(seconds(20));
    host.holds(at(3));
    assert!(
        host.text().contains("in place of 192.168.77.99"),
        "{}",
        host.text()
    );
}

#[test_case(Packet::probe(OTHER, at(3)); "a probe, which the kernel answers")]
#[test_case(Packet::request(OTHER, PEER, at(3)); "a question for it")]
#[test_case(Packet::announcement(MAC, at(3)); "our own words, reflected")]
fn is_none_of(packet: Packet) {
    let mut host = holding(auto());
    host.hear(&packet);
    host.hear(&packet);
    assert!(host.sent.is_empty());
    host.holds(at(3));
}
