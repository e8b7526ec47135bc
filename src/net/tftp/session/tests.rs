use std::sync::Arc;

use test_case::test_case;

use super::*;
use crate::net::tftp::Embedded;

mod client;
mod properties;

use client::bytes;

const BOUNDS: Bounds = Bounds {
    block: 1468,
    window: 64,
};

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An RRQ of these pairs.
fn rrq(mode: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = format!("\0\x01file\0{mode}\0").into_bytes();
    for (name, value) in options {
        bytes.extend(format!("{name}\0{value}\0").bytes());
    }
    bytes
}

fn open(file: &[u8], request: &[u8], out: &mut Burst) -> Session {
    let Ok(Packet::Read(request)) = Packet::parse(request) else {
        panic!("{}", request.escape_ascii());
    };
    let source = Box::new(Embedded(Arc::<[u8]>::from(file)));
    let (session, fate) = Session::open(source, &request, BOUNDS, Duration::ZERO, out);
    assert!(matches!(fate, Fate::Goes), "{fate:?}");
    session
}

fn opened(file: &[u8], options: &[(&str, &str)]) -> (Session, Burst) {
    let mut out = Burst::default();
    let session = open(file, &rrq("octet", options), &mut out);
    (session, out)
}

fn ack(block: u16) -> [u8; 4] {
    let [a, b] = block.to_be_bytes();
    [0, 4, a, b]
}

/// The block numbers in a burst of DATA.
fn blocks(out: &Burst) -> Vec<u16> {
    let number = |data: &[u8]| {
        assert_eq!(data[..2], [0, 3], "{}", data.escape_ascii());
        u16::from_be_bytes([data[2], data[3]])
    };
    out.datagrams().map(number).collect()
}

#[test_case(&[], ""; "without options")]
#[test_case(&[("multicast", "")], ""; "with unknown ones alone")]
#[test_case(&[("blksize", "4")], ""; "with a value out of range")]
#[test_case(&[("blksize", "1024")], "blksize\x001024\0"; "a block size")]
#[test_case(&[("blksize", "65464")], "blksize\x001468\0"; "a block that crosses no path")]
#[test_case(&[("tsize", "0")], "tsize\x001000\0"; "the size")]
#[test_case(&[("timeout", "3"), ("foo", "1")], "timeout\x003\0"; "a timeout beside an unknown one")]
#[test_case(&[("windowsize", "4"), ("blksize", "1468")], "blksize\x001468\0windowsize\x004\0"; "a window")]
#[test_case(&[("windowsize", "65535"), ("blksize", "1468")], "blksize\x001468\0windowsize\x0044\0"; "a window larger than a burst")]
#[test_case(&[("windowsize", "65535")], "windowsize\x0064\0"; "a window larger than the bound")]
fn grants(options: &[(&str, &str)], acknowledged: &str) {
    let (_, out) = opened(&[7; 1000], options);
    if acknowledged.is_empty() {
        assert_eq!(blocks(&out), [1], "the first block is the answer");
    } else {
        let expected = format!("\0\x06{acknowledged}");
        assert_eq!(
            out.bytes().escape_ascii().to_string(),
            expected.as_bytes().escape_ascii().to_string()
        );
    }
}

#[test]
fn netascii_leaves_the_size_untold() {
    let mut out = Burst::default();
    open(
        b"a\n",
        &rrq("netascii", &[("tsize", "0"), ("blksize", "512")]),
        &mut out,
    );
    assert_eq!(out.bytes(), b"\0\x06blksize\x00512\0");
    open(b"a\n", &rrq("netascii", &[("tsize", "0")]), &mut out);
    assert_eq!(out.bytes(), b"\0\x03\0\x01a\r\n");
}

#[test_case(0, 1; "an empty file is one empty block")]
#[test_case(511, 1; "less than a block")]
#[test_case(512, 2; "a whole block, and an empty one that says so")]
#[test_case(1024, 3; "two, and an empty one")]
fn ends_with_a_block_that_is_not_full(length: usize, count: u16) {
    let file = bytes(length);
    let (mut session, mut out) = opened(&file, &[]);
    let mut got = Vec::new();
    for block in 1..=count {
        assert_eq!(blocks(&out), [block]);
        got.extend_from_slice(&out.bytes()[4..]);
        let fate = session.handle(at(1), Input::Datagram(&ack(block)), &mut out);
        assert_eq!(
            matches!(fate, Fate::Done { acknowledged: true }),
            block == count
        );
    }
    assert!(out.is_empty());
    assert_eq!(got, file);
}

#[test]
fn a_probe_for_the_size_is_no_error() {
    let (mut session, mut out) = opened(&bytes(9000), &[("tsize", "0"), ("blksize", "1468")]);
    let abort = b"\0\x05\0\x08User aborted the transfer\0";
    let fate = session.handle(at(1), Input::Datagram(abort), &mut out);
    assert!(matches!(fate, Fate::Probed), "{fate:?}");
    assert!(out.is_empty(), "an ERROR is not answered");
    let fate = session.handle(at(60_000), Input::Tick, &mut out);
    assert!(matches!(fate, Fate::Goes) && out.is_empty());
}

#[test]
fn a_client_that_gives_up_is_heard() {
    let (mut session, mut out) = opened(&bytes(9000), &[]);
    session.handle(at(1), Input::Datagram(&ack(1)), &mut out);
    let fate = session.handle(
        at(2),
        Input::Datagram(b"\0\x05\0\x03disk\x1b full\0"),
        &mut out,
    );
    let Fate::Broken(Cause::Client { code: 3, message }) = fate else {
        panic!("{fate:?}");
    };
    assert_eq!(message, "disk\\x1b full");
}

#[test]
fn a_doubled_ack_at_window_1_doubles_nothing() {
    let (mut session, mut out) = opened(&bytes(9000), &[]);
    session.handle(at(1), Input::Datagram(&ack(1)), &mut out);
    assert_eq!(blocks(&out), [2]);
    for late in [1, 0, 1] {
        session.handle(at(2), Input::Datagram(&ack(late)), &mut out);
        assert!(out.is_empty(), "ACK {late} was answered");
    }
}

#[test_case(0, &[]; "the window before")]
#[test_case(9, &[]; "beyond what was sent")]
#[test_case(8, &[9, 10, 11, 12]; "the whole window")]
#[test_case(6, &[7, 8, 9, 10]; "half of it, and the rest is sent again")]
fn an_ack_moves_the_window(block: u16, sent: &[u16]) {
    let (mut session, mut out) = opened(&bytes(90_000), &[("windowsize", "4")]);
    session.handle(at(5), Input::Datagram(&ack(0)), &mut out);
    assert_eq!(blocks(&out), [1, 2, 3, 4]);
    session.handle(at(10), Input::Datagram(&ack(4)), &mut out);
    assert_eq!(blocks(&out), [5, 6, 7, 8]);
    session.handle(at(15), Input::Datagram(&ack(block)), &mut out);
    assert_eq!(blocks(&out), sent);
}

#[test]
fn a_doubled_ack_in_a_window_calls_for_its_first_block_once_a_trip() {
    let (mut session, mut out) = opened(&bytes(90_000), &[("windowsize", "4")]);
    session.handle(at(10), Input::Datagram(&ack(0)), &mut out);
    session.handle(at(20), Input::Datagram(&ack(4)), &mut out);
    session.handle(at(21), Input::Datagram(&ack(4)), &mut out);
    assert!(out.is_empty(), "the network doubled it: a trip takes 10 ms");
    session.handle(at(30), Input::Datagram(&ack(4)), &mut out);
    assert_eq!(blocks(&out), [5, 6, 7, 8]);
    session.handle(at(31), Input::Datagram(&ack(4)), &mut out);
    assert!(
        out.is_empty(),
        "each block that came behind the lost one may have said so"
    );
}

/// The times at which something is sent again when nobody answers, and the end.
fn silence(session: &mut Session, out: &mut Burst) -> (Vec<u128>, Fate) {
    let mut times = Vec::new();
    loop {
        let now = session.deadline();
        let fate = session.handle(now, Input::Tick, out);
        if !matches!(fate, Fate::Goes) {
            return (times, fate);
        }
        assert!(!out.is_empty());
        times.push(now.as_millis());
        assert!(times.len() < 100);
    }
}

#[test]
fn a_client_that_never_answers_is_let_go_soon() {
    let (mut session, mut out) = opened(&bytes(9000), &[("tsize", "0")]);
    let (times, fate) = silence(&mut session, &mut out);
    assert_eq!(times, [250, 750, 1750, 3750, 5750]);
    assert!(matches!(fate, Fate::Broken(Cause::Silent)), "{fate:?}");
}

#[test]
fn a_client_that_stops_is_waited_for_longer() {
    let (mut session, mut out) = opened(&bytes(9000), &[]);
    session.handle(at(8), Input::Datagram(&ack(1)), &mut out);
    let (times, fate) = silence(&mut session, &mut out);
    assert_eq!(
        times[..3],
        [32, 80, 176],
        "from the trip of 8 ms that was measured"
    );
    assert!(
        times
            .last()
            .is_some_and(|last| (28_000..31_000).contains(last)),
        "{times:?}"
    );
    assert!(matches!(fate, Fate::Broken(Cause::Silent)), "{fate:?}");
}

#[test]
fn the_timeout_that_a_client_asks_for_is_kept_to() {
    let (mut session, mut out) = opened(&bytes(9000), &[("timeout", "3")]);
    let (times, _) = silence(&mut session, &mut out);
    assert_eq!(times, [3000, 6000, 9000, 12000]);
}

#[test]
fn a_last_block_that_is_never_acknowledged_is_no_failure() {
    let (mut session, mut out) = opened(&bytes(600), &[]);
    session.handle(at(1), Input::Datagram(&ack(1)), &mut out);
    assert_eq!(blocks(&out), [2]);
    let (_, fate) = silence(&mut session, &mut out);
    assert!(
        matches!(
            fate,
            Fate::Done {
                acknowledged: false
            }
        ),
        "{fate:?}"
    );
}

#[test]
fn a_port_that_closes_behind_the_last_block_is_no_failure() {
    let (mut session, mut out) = opened(&bytes(600), &[]);
    session.handle(at(1), Input::Datagram(&ack(1)), &mut out);
    let fate = session.handle(at(2), Input::Gone, &mut out);
    assert!(
        matches!(
            fate,
            Fate::Done {
                acknowledged: false
            }
        ),
        "{fate:?}"
    );

    let (mut session, mut out) = opened(&bytes(6000), &[]);
    session.handle(at(1), Input::Datagram(&ack(1)), &mut out);
    let fate = session.handle(at(2), Input::Gone, &mut out);
    assert!(matches!(fate, Fate::Broken(Cause::Gone)), "{fate:?}");
}

/// A source that ends before it said that it would.
struct Shrinks;

impl Source for Shrinks {
    fn len(&self) -> u64 {
        100_000
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(if offset < 600 {
            buffer.len().min(600)
        } else {
            0
        })
    }
}

#[test]
fn a_file_that_cannot_be_read_is_said_so() {
    let request = rrq("octet", &[]);
    let Ok(Packet::Read(request)) = Packet::parse(&request) else {
        panic!("the request was not read");
    };
    let mut out = Burst::default();
    let (mut session, fate) = Session::open(
        Box::new(Shrinks),
        &request,
        BOUNDS,
        Duration::ZERO,
        &mut out,
    );
    assert!(matches!(fate, Fate::Goes));
    let fate = session.handle(at(1), Input::Datagram(&ack(1)), &mut out);
    assert!(matches!(fate, Fate::Broken(Cause::Read(_))), "{fate:?}");
    assert!(
        out.bytes()
            .starts_with(b"\0\x05\0\0the file could not be read")
    );
}

#[test]
fn noise_is_not_answered() {
    let (mut session, mut out) = opened(&bytes(9000), &[]);
    for noise in [
        b"".as_slice(),
        b"\0",
        b"\0\x04\0",
        b"\0\x03\0\x01x",
        b"\xff\xff\0\x01",
        &rrq("octet", &[]),
    ] {
        let fate = session.handle(at(1), Input::Datagram(noise), &mut out);
        assert!(
            matches!(fate, Fate::Goes) && out.is_empty(),
            "{}",
            noise.escape_ascii()
        );
    }
}

/// A firmware whose disk became slow: every answer takes five times as long from one moment on.
#[test]
fn what_becomes_slow_is_not_sent_twice_for_ever() {
    let (mut session, mut out) = opened(&bytes(90_000), &[]);
    let (mut now, mut doubled) = (0, 0);
    for block in 1..150 {
        let trip = if block < 20 { 10 } else { 100 };
        let answer = now + trip;
        while session.deadline() < at(answer) {
            session.handle(session.deadline(), Input::Tick, &mut out);
            doubled += 1;
        }
        now = answer;
        session.handle(at(now), Input::Datagram(&ack(block)), &mut out);
        assert_eq!(blocks(&out), [block + 1]);
    }
    assert!(doubled < 12, "{doubled} blocks were sent twice");
}

/// Requests, answers and times of any kind: nothing is sent beyond a window, and a burst is what the kernel takes.
#[test]
fn fuzz_tftp_session() {
    type Story = (bool, Vec<u8>, Vec<(u8, u8, u16, Vec<u8>)>);
    let file: &'static [u8] = bytes(70_000).leak();
    bolero::check!()
        .with_iterations(crate::net::frame::fuzz_cases())
        .with_type::<Story>()
        .for_each(|(text, options, events)| {
            let mode: &[u8] = if *text { b"netascii\0" } else { b"octet\0" };
            let request = [b"\0\x01f\0", mode, options].concat();
            let Ok(Packet::Read(request)) = Packet::parse(&request) else {
                panic!("{}", request.escape_ascii());
            };
            let (mut out, mut now) = (Burst::default(), at(0));
            let source = Box::new(Embedded(file));
            let (mut session, _) = Session::open(source, &request, BOUNDS, now, &mut out);
            for (kind, block, pause, noise) in events {
                now += at(u64::from(*pause) / 8);
                let ack = ack(u16::from(*block));
                let input = match kind % 8 {
                    0 => Input::Tick,
                    1 => Input::Datagram(noise),
                    2 if kind / 8 == 0 => Input::Gone,
                    _ => Input::Datagram(&ack),
                };
                session.handle(now, input, &mut out);
                assert!(out.bytes().len() <= Burst::MAX);
                assert!(out.datagrams().count() <= Burst::MAX_DATAGRAMS);
            }
        });
}
