use test_case::test_case;

use super::*;
use crate::net::dhcp::fixtures::*;

const BOTH: [Rung; 2] = [Rung::Proxy, Rung::Binl];

fn after(seconds: u64) -> Moment {
    Moment::default().after(Duration::from_secs(seconds))
}

/// A DISCOVER of one transaction, with what the client counts in `secs`.
fn ask(
    ladder: &mut Ladder,
    model: &Model,
    rungs: &[Rung],
    (at, xid, secs): (u64, u32, u16),
) -> (Option<Rung>, Option<Verdict>) {
    let client = Client {
        xid,
        secs,
        ..model.client()
    };
    let climber = Climber {
        client: &client,
        standing: Standing::Stranger,
        worked: None,
    };
    ladder.ask(&climber, &rungs.iter().copied().collect(), after(at))
}

/// N6: one rung per attempt, however often the firmware asks in it.
#[test_case(EDK2_X64, &[(0, 1, 0), (4, 1, 4), (12, 1, 12), (28, 1, 28)]; "the same transaction")]
#[test_case(EDK2_X64, &[(0, 1, 0), (8, 2, 8), (40, 3, 40)]; "rising seconds")]
#[test_case(IPXE_ROM, &[(0, 1, 0), (1, 2, 0), (3, 3, 0), (7, 4, 0)]; "one soon after the other")]
#[test_case(IPXE_ROM, &[(0, 1, 9), (200, 1, 3)]; "the same transaction much later")]
fn one_attempt_stays_on_its_rung(model: Model, asks: &[(u64, u32, u16)]) {
    let mut ladder = Ladder::default();
    for asked in asks {
        let (rung, verdict) = ask(&mut ladder, &model, &BOTH, *asked);
        assert_eq!((rung, verdict), (Some(Rung::Proxy), None));
    }
}

#[test_case(EDK2_X64, (20, 2, 0); "seconds from the start")]
#[test_case(EDK2_X64, (300, 2, 90); "rising seconds, but much later")]
#[test_case(IPXE_ROM, (20, 2, 90); "iPXE keeps other things in its seconds")]
fn another_attempt_takes_another_rung(model: Model, asked: (u64, u32, u16)) {
    let mut ladder = Ladder::default();
    ask(&mut ladder, &model, &BOTH, (0, 1, 0));
    let (rung, verdict) = ask(&mut ladder, &model, &BOTH, asked);
    assert_eq!(rung, Some(Rung::Binl));
    assert_eq!(verdict.unwrap().next, Some(Rung::Binl));
}

#[test_case(&[Rung::Proxy], &[Rung::Proxy, Rung::Proxy]; "one rung")]
#[test_case(&[Rung::Binl], &[Rung::Binl, Rung::Binl]; "4011 only")]
#[test_case(&[Rung::Staple], &[Rung::Staple, Rung::Staple]; "stapling only")]
#[test_case(&[Rung::Proxy, Rung::Staple], &[Rung::Proxy, Rung::Staple, Rung::Proxy]; "one left out")]
#[test_case(&Rung::ALL, &[Rung::Proxy, Rung::Binl, Rung::Staple, Rung::Proxy]; "all")]
fn it_climbs_what_the_network_allows_and_begins_anew(rungs: &[Rung], climbed: &[Rung]) {
    let mut ladder = Ladder::default();
    for (attempt, expected) in (0_u32..).zip(climbed) {
        let asked = (u64::from(attempt) * 100, attempt, 0);
        let (rung, verdict) = ask(&mut ladder, &EDK2_X64, rungs, asked);
        assert_eq!(rung, Some(*expected));
        let last = climbed.len() - 1 == attempt as usize;
        assert_eq!(verdict.is_some_and(|verdict| verdict.next.is_none()), last);
    }
}

#[test]
fn an_attempt_that_fetched_takes_no_step() {
    let mut ladder = Ladder::default();
    let mac = EDK2_X64.mac();
    ask(&mut ladder, &EDK2_X64, &BOTH, (0, 1, 0));
    assert_eq!(ladder.fetched(mac, after(3)), Some(Rung::Proxy));
    let (rung, verdict) = ask(&mut ladder, &EDK2_X64, &BOTH, (100, 2, 0));
    assert_eq!((rung, verdict), (Some(Rung::Proxy), None));
}

/// The firmware's fetch brought iPXE here: that it stops afterwards says nothing of the rung.
#[test]
fn an_ipxe_that_was_loaded_takes_no_step() {
    let mut ladder = Ladder::default();
    let ipxe = Model {
        mac: EDK2_X64.mac,
        ..IPXE_ROM
    };
    ask(&mut ladder, &EDK2_X64, &BOTH, (0, 1, 0));
    ladder.fetched(EDK2_X64.mac(), after(3));
    ask(&mut ladder, &ipxe, &BOTH, (8, 2, 0));
    let (rung, verdict) = ask(&mut ladder, &EDK2_X64, &BOTH, (200, 3, 0));
    let verdict = verdict.unwrap();
    assert_eq!(
        (rung, verdict.cause),
        (Some(Rung::Proxy), Cause::ScriptNotFetched)
    );
    assert!(!verdict.is_step());
}

#[test]
fn a_rung_that_worked_is_left_at_the_second_failure_in_a_row() {
    let mut ladder = Ladder::default();
    ask(&mut ladder, &EDK2_X64, &BOTH, (0, 1, 0));
    ladder.fetched(EDK2_X64.mac(), after(3));
    let mut rungs = Vec::new();
    for attempt in 2..6 {
        let asked = (u64::from(attempt) * 100, attempt, 0);
        rungs.extend(ask(&mut ladder, &EDK2_X64, &BOTH, asked).0);
    }
    assert_eq!(rungs, [Rung::Proxy, Rung::Proxy, Rung::Binl, Rung::Proxy]);
}

/// Firmware that takes the first offer took the real server's on its first attempt at stapling, and the ladder began
/// anew: the offer that was remembered for it was never sent, or three boots later.
#[test]
fn stapling_has_a_second_attempt_where_the_real_server_was_faster() {
    let mut ladder = Ladder::default();
    let mut rungs = Vec::new();
    for attempt in 0..4 {
        let asked = (u64::from(attempt) * 100, attempt, 0);
        let (rung, verdict) = ask(&mut ladder, &EDK2_X64, &Rung::ALL, asked);
        rungs.extend(rung);
        assert!(verdict.is_none_or(|verdict| verdict.next.is_some()));
        ladder.note(EDK2_X64.mac(), after(asked.0 + 1), |facts| {
            facts.requested = true;
        });
    }
    let climbed = [Rung::Proxy, Rung::Binl, Rung::Staple, Rung::Staple];
    assert_eq!(rungs, climbed);
}

#[test]
fn a_late_fetch_counts_for_the_rung_that_it_began_on() {
    let mut ladder = Ladder::default();
    ask(&mut ladder, &EDK2_X64, &BOTH, (0, 1, 0));
    let verdicts = ladder.judge(&BOTH.into(), after(61));
    assert_eq!(verdicts.len(), 1);
    assert_eq!(ladder.fetched(EDK2_X64.mac(), after(90)), Some(Rung::Proxy));
    let (rung, _) = ask(&mut ladder, &EDK2_X64, &BOTH, (200, 2, 0));
    assert_eq!(rung, Some(Rung::Proxy));
}

#[test]
fn what_an_installed_system_fetches_is_no_boot() {
    let mut ladder = Ladder::default();
    ask(&mut ladder, &EDK2_X64, &BOTH, (0, 1, 0));
    assert_eq!(ladder.fetched(EDK2_X64.mac(), after(3_600)), None);
    assert_eq!(ladder.fetched(UDHCPC.mac(), after(3_600)), None);
}

#[test]
fn a_firmware_that_goes_on_to_http_ends_its_attempt() {
    let mut ladder = Ladder::default();
    let mac = EDK2_X64.mac();
    ask(&mut ladder, &EDK2_X64, &BOTH, (0, 1, 0));
    assert!(ladder.leave(mac, &BOTH.into()).unwrap().is_step());
    assert_eq!(ladder.fetched(mac, after(5)), None);
    assert_eq!(
        (ladder.next(), ladder.leave(mac, &BOTH.into())),
        (None, None)
    );
}

#[test_case(|_: &mut Facts| {}, Cause::NoAddress; "nothing was heard")]
#[test_case(|facts: &mut Facts| facts.requested = true, Cause::Ignored; "it took an address")]
#[test_case(|facts: &mut Facts| facts.foreign_offer = Some(REAL), Cause::Ignored; "it was offered one")]
#[test_case(|facts: &mut Facts| facts.foreign_boot = Some(REAL), Cause::ForeignBoot(REAL); "somebody else's boot file")]
#[test_case(|facts: &mut Facts| facts.binl_asked = true, Cause::FileNotFetched; "asked on 4011")]
#[test_case(|facts: &mut Facts| facts.relay_silent = true, Cause::RelaySilent; "a silent server")]
fn the_end_of_an_attempt_has_its_likely_cause(note: fn(&mut Facts), cause: Cause) {
    let mut ladder = Ladder::default();
    ask(&mut ladder, &EDK2_X64, &BOTH, (0, 1, 0));
    assert!(ladder.note(EDK2_X64.mac(), after(1), note));
    let verdicts = ladder.judge(&BOTH.into(), after(61));
    assert_eq!(verdicts[0].1.cause, cause);
    assert!(!cause.to_string().is_empty());
    assert!(
        !ladder.note(EDK2_X64.mac(), after(62), |_| {}),
        "it is over"
    );
}

#[test]
fn every_timer_belongs_to_an_attempt_that_runs() {
    let mut ladder = Ladder::default();
    for mac in 0..(u32::try_from(MAX_STRANGERS).unwrap() + 500) {
        ask(
            &mut ladder,
            &EDK2_X64.on(mac),
            &BOTH,
            (u64::from(mac), mac, 0),
        );
    }
    assert_eq!(
        (ladder.len(), ladder.due.len()),
        (MAX_STRANGERS, MAX_STRANGERS)
    );
}
