//! One conversation for each cause.

use test_case::test_case;

use super::*;
use crate::model::network::NetworkPatch;
use crate::model::snippets::Topic;

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

/// Marks at their seconds.
fn steps(marks: &[(i64, Mark)]) -> Vec<Step> {
    let made = marks.iter().map(|(second, mark)| Step {
        at: at(*second),
        stage: match mark {
            Mark::FileBegun
            | Mark::FileProbed
            | Mark::FileDone
            | Mark::FileMissing
            | Mark::FileBroken => Stage::Tftp,
            Mark::ScriptGiven | Mark::LocalBoot => Stage::Script,
            _ => Stage::Dhcp,
        },
        mark: *mark,
        link: Some("eth0".parse().unwrap()),
        text: format!("{mark:?}"),
        why: String::new(),
    });
    made.collect()
}

fn network(json: &str) -> NetworkConfig {
    let patch: NetworkPatch = serde_json::from_str(json).unwrap();
    patch.applied(&NetworkConfig::default())
}

fn found(steps: &[Step], second: i64, json: &str, arch: Option<u16>) -> Option<Diagnosis> {
    let network = network(json);
    let server = Server::new([10, 0, 0, 2].into(), 3080, ([10, 0, 0, 1].into(), 24));
    let scene = Scene {
        network: &network,
        server: Some(&server),
        arch: arch.map(Arch),
    };
    diagnose(steps, at(second), &scene)
}

const DISCOVER: (i64, Mark) = (0, Mark::Discover);
const OFFERED: (i64, Mark) = (0, Mark::Offered);
const FETCHED: (i64, Mark) = (3, Mark::FileDone);

#[test_case(&[DISCOVER, OFFERED] => Cause::NoAddress; "nobody offers an address")]
#[test_case(&[DISCOVER, OFFERED, (1, Mark::ForeignOffer)] => Cause::OffersLost; "offers that are not taken")]
#[test_case(&[DISCOVER, OFFERED, (1, Mark::ForeignOffer), (2, Mark::Request)] => Cause::OfferIgnored; "an address and no boot")]
#[test_case(&[DISCOVER, OFFERED, (1, Mark::ForeignBoot), (2, Mark::Request)] => Cause::ForeignBoot; "a foreign server that offers boot instructions")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::Request), (3, Mark::BinlAsked), (3, Mark::BinlAnswered)] => Cause::FileNotFetched; "told on 4011")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::Request), (3, Mark::Acknowledged)] => Cause::FileNotFetched; "told with its lease")]
#[test_case(&[DISCOVER, (1, Mark::Relayed), (4, Mark::RelaySilent)] => Cause::RelaySilent; "a server that ignores relays")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::Request), (3, Mark::Refused)] => Cause::Refused; "an address that was refused")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::FileMissing)] => Cause::FileMissing; "a file that is not there")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::FileBegun)] => Cause::TftpBroken; "a transfer that stands still")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::FileProbed)] => Cause::TftpBroken; "a size that was asked for alone")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::FileBegun), (9, Mark::FileBroken)] => Cause::TftpBroken; "a transfer that broke off")]
#[test_case(&[DISCOVER, OFFERED, (2, Mark::FileBegun), FETCHED] => Cause::LoaderSilent; "a loader that hangs")]
#[test_case(&[DISCOVER, OFFERED, FETCHED, (5, Mark::Discover), (5, Mark::Offered)] => Cause::ScriptNotFetched; "a loader that cannot reach us")]
#[test_case(&[DISCOVER, OFFERED, (1, Mark::FileBroken), FETCHED] => Cause::LoaderSilent; "a transfer that went well the second time")]
#[test_case(&[DISCOVER, OFFERED, (1, Mark::FileBroken), FETCHED, (9, Mark::FileBegun)] => Cause::TftpBroken; "a second file that stands still")]
#[test_case(&[DISCOVER] => Cause::Unanswered; "no answer at all")]
#[test_case(&[DISCOVER, OFFERED, (1, Mark::Request), (2, Mark::RungChanged), (60, Mark::Discover), (60, Mark::Offered), (61, Mark::Request)] => Cause::OfferIgnored; "on the second rung too")]
fn what_the_marks_come_to(marks: &[(i64, Mark)]) -> Cause {
    let steps = steps(marks);
    let end = marks.last().unwrap().0;
    let diagnosis = found(&steps, end + 40, "{}", None).unwrap();
    assert!(!diagnosis.cause.is_empty() && !diagnosis.what_to_do.is_empty());
    diagnosis.kind
}

#[test_case("{}", ONLY_KNOWN => Cause::OnlyKnown; "only known ones")]
#[test_case("{}", STAYS_SILENT => Cause::NothingToDo; "idle and silent")]
#[test_case("{}", NO_LOADER => Cause::NoLoader; "no loader")]
#[test_case(r#"{"serve":"off"}"#, "" => Cause::NotServed; "not served")]
#[test_case("{}", "too many ask" => Cause::Unanswered; "another reason")]
fn silence_has_its_reason(json: &str, why: &str) -> Cause {
    let mut steps = steps(&[DISCOVER, (0, Mark::Silent)]);
    steps[1].why = why.to_owned();
    let diagnosis = found(&steps, 0, json, None).unwrap();
    let told = matches!(diagnosis.kind, Cause::Unanswered);
    assert_eq!(diagnosis.cause.ends_with(": too many ask"), told);
    diagnosis.kind
}

#[test]
fn a_client_that_wants_http_and_fetches_nothing_refuses_plain_http() {
    let steps = steps(&[DISCOVER, OFFERED, (2, Mark::Request)]);
    let kind = |arch| found(&steps, 60, "{}", Some(arch)).unwrap().kind;
    assert_eq!(kind(16), Cause::HttpRefused);
    assert_eq!(kind(7), Cause::OfferIgnored);
}

#[test]
fn a_broken_transfer_over_http_is_told_from_one_over_tftp() {
    let mut steps = steps(&[DISCOVER, OFFERED, (2, Mark::FileBroken)]);
    steps[2].stage = Stage::Http;
    let diagnosis = found(&steps, 60, "{}", None).unwrap();
    assert_eq!(diagnosis.kind, Cause::HttpBroken);
}

/// The clock of the house was set back by an hour while a machine stood before its failed boot: the last step lay in
/// the future, so the boot seemed to go on, and nothing was said for an hour.
#[test]
fn a_boot_does_not_go_on_since_the_clock_was_set_back() {
    let steps = steps(&[(3600, Mark::Discover), (3600, Mark::Offered)]);
    assert_eq!(
        found(&steps, 60, "{}", None).unwrap().kind,
        Cause::NoAddress
    );
    assert_eq!(found(&steps, 3599, "{}", None), None);
}

/// The clock was set forward by a day in the midst of a boot: what came before was taken for another boot, the rest began
/// with no question, and nothing was said at all.
#[test]
fn a_boot_is_one_though_the_clock_was_set_forward_in_it() {
    let steps = steps(&[
        DISCOVER,
        OFFERED,
        (86_400, Mark::Request),
        (86_460, Mark::RungChanged),
    ]);
    let found = found(&steps, 86_500, "{}", None).unwrap();
    assert_eq!(found.kind, Cause::OfferIgnored);
}

/// The line that ends an attempt on its rung comes a minute after it; for forty seconds more the boot seemed to go on.
#[test]
fn a_boot_is_over_when_its_next_one_takes_another_rung() {
    let steps = steps(&[
        DISCOVER,
        OFFERED,
        (1, Mark::Request),
        (60, Mark::RungChanged),
    ]);
    assert_eq!(
        found(&steps, 60, "{}", None).unwrap().kind,
        Cause::OfferIgnored
    );
}

#[test]
fn who_waits_for_approval_is_told_at_once() {
    let mut steps = steps(&[DISCOVER, OFFERED, FETCHED, (5, Mark::ScriptGiven)]);
    assert_eq!(found(&steps, 100, "{}", None), None);
    steps[3].why = WAITS.to_owned();
    let diagnosis = found(&steps, 5, "{}", None).unwrap();
    assert_eq!(diagnosis.kind, Cause::Approval);
}

#[test_case(&[], 100; "nothing was seen")]
#[test_case(&[DISCOVER, OFFERED], 39; "it may still fetch")]
#[test_case(&[DISCOVER, OFFERED, FETCHED, (5, Mark::ScriptGiven)], 500; "it has its script")]
#[test_case(&[DISCOVER, OFFERED, FETCHED, (5, Mark::ScriptGiven), (6, Mark::LocalBoot)], 500; "it boots its disk")]
#[test_case(&[DISCOVER, (5, Mark::ScriptGiven), (7, Mark::FileBegun), (9, Mark::FileDone)], 500; "its script fetched what it wanted")]
fn what_goes_on_or_went_well_has_no_cause(marks: &[(i64, Mark)], second: i64) {
    assert_eq!(found(&steps(marks), second, "{}", None), None);
}

#[test]
fn a_file_that_a_script_asked_for_and_is_not_there_is_told() {
    let steps = steps(&[DISCOVER, (5, Mark::ScriptGiven), (7, Mark::FileMissing)]);
    assert_eq!(found(&steps, 16, "{}", None), None);
    let diagnosis = found(&steps, 17, "{}", None).unwrap();
    assert_eq!(diagnosis.kind, Cause::FileMissing);
    assert!(diagnosis.cause.contains("FileMissing"), "{diagnosis:?}");
}

#[test]
fn what_was_long_ago_is_another_attempt() {
    let steps = steps(&[
        DISCOVER,
        OFFERED,
        (1, Mark::ForeignBoot),
        (200, Mark::Discover),
        (200, Mark::Offered),
    ]);
    assert_eq!(
        found(&steps, 300, "{}", None).unwrap().kind,
        Cause::NoAddress
    );
}

#[test]
fn snippets_carry_our_address_and_stapling_is_offered_where_it_is_off() {
    let steps = steps(&[DISCOVER, OFFERED, (1, Mark::Request)]);
    let diagnosis = found(&steps, 60, "{}", None).unwrap();
    let topics: Vec<_> = diagnosis.snippets.iter().map(|s| s.topic).collect();
    assert!(topics.contains(&Topic::BootOptions) && topics.contains(&Topic::Snooping));
    let named = |s: &&Snippet| s.topic == Topic::BootOptions;
    let named = diagnosis.snippets.iter().find(named).unwrap();
    assert!(named.text.contains("10.0.0.2"));
    let staples = |diagnosis: &Diagnosis| diagnosis.what_to_do.iter().any(|w| w.contains("staple"));
    assert!(staples(&diagnosis));
    assert!(
        diagnosis
            .what_to_do
            .iter()
            .any(|what| what.contains("network set eth0"))
    );
    let allowed = found(&steps, 60, r#"{"rungs":["proxy","staple"]}"#, None).unwrap();
    assert!(!staples(&allowed));
}
