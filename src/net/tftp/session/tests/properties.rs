//! What holds for every file, window and network.

use std::time::Duration;

use proptest::prelude::*;

use super::client::{Luck, Network, bytes, fetch};
use super::{BOUNDS, Input, at, rrq};
use crate::net::tftp::Embedded;
use crate::net::tftp::burst::Burst;
use crate::net::tftp::packet::Packet;
use crate::net::tftp::session::Session;

fn quiet() -> Network<impl FnMut() -> Luck> {
    Network {
        trip: Duration::from_micros(100),
        luck: || Luck::Arrives,
    }
}

fn luck(mut dice: u64, loss: u8, noise: u8) -> impl FnMut() -> Luck {
    move || {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let roll = u8::try_from((dice >> 33) % 100).unwrap();
        match roll {
            roll if roll < loss => Luck::Lost,
            roll if roll < loss + noise => Luck::Doubled,
            roll if roll < loss + 2 * noise => Luck::Late(Duration::from_millis(dice >> 61)),
            _ => Luck::Arrives,
        }
    }
}

#[test]
fn block_numbers_begin_again_at_0_behind_65535() {
    let file = bytes(40 << 20);
    for window in [1_u16, 16] {
        let asked = [("windowsize", window.to_string())];
        let options: Vec<_> = asked.iter().map(|(a, b)| (*a, b.as_str())).collect();
        let options = if window == 1 { &[][..] } else { &options };
        let story = fetch(&file, &rrq("octet", options), (512, window), quiet());
        assert!(story.whole && story.done);
        assert!(story.received == file, "the file came apart");
        let blocks = file.len() / 512 + 1;
        assert!(
            story.datagrams <= blocks + blocks / usize::from(window) + 4,
            "{}",
            story.datagrams
        );
    }
}

#[test]
fn one_percent_of_loss_costs_little_more_than_its_trips() {
    let file = bytes(2 << 20);
    for window in ["1", "16"] {
        let size: u16 = window.parse().unwrap();
        let network = Network {
            trip: Duration::from_millis(10),
            luck: luck(7, 1, 0),
        };
        let request = rrq("octet", &[("blksize", "1468"), ("windowsize", window)]);
        let story = fetch(&file, &request, (1468, size), network);
        assert!(story.whole && story.received == file);
        let trips = u32::try_from(file.len() / 1468).unwrap() / u32::from(size);
        let without_loss = trips * Duration::from_millis(20);
        assert!(
            story.took < without_loss * 3,
            "window {window}: {:?}",
            story.took
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
    ))]

    /// Whatever the network does, what arrives is the file, and what one side holds to be whole is so.
    #[test]
    fn a_file_arrives_whole_or_not_at_all(
        length in 0_usize..60_000,
        block in prop_oneof![Just(512_usize), Just(1468), 8..1468_usize],
        window in prop_oneof![Just(1_u16), Just(4), 1..64_u16],
        dice: u64, loss in 0_u8..40, noise in 0_u8..20, trip in 0_u64..60,
    ) {
        let file = bytes(length);
        let (asked_block, asked_window) = (block.to_string(), window.to_string());
        let request = rrq("octet", &[("blksize", &asked_block), ("windowsize", &asked_window), ("tsize", "0")]);
        let network = Network { trip: at(trip), luck: luck(dice, loss, noise) };
        let story = fetch(&file, &request, (block, window), network);
        prop_assert!(file.starts_with(&story.received));
        prop_assert!(!story.whole || story.received == file);
        // The server may hold a file to be delivered whose last window was not acknowledged.
        let window = block * usize::from(window);
        prop_assert!(!story.done || story.received.len() + window >= file.len());
        if loss < 15 {
            prop_assert!(story.whole && story.done, "{} of {length} octets", story.received.len());
        }
    }

    /// No order of datagrams and moments makes it panic, send more than a window, or send what was not asked for.
    #[test]
    fn a_stranger_gets_no_more_than_a_window(
        request in prop::collection::vec(any::<u8>(), 0..60),
        inputs in prop::collection::vec((any::<u16>(), 0_u8..6, 0_u64..3000), 0..80),
    ) {
        let request = [b"\0\x01f\0octet\0windowsize\x009\0", request.as_slice()].concat();
        let Ok(Packet::Read(request)) = Packet::parse(&request) else {
            return Err(TestCaseError::fail("the request was not read"));
        };
        let (mut out, mut now) = (Burst::default(), 0);
        let source = Box::new(Embedded(bytes(70_000)));
        let (mut session, _) = Session::open(source, &request, BOUNDS, at(now), &mut out);
        for (number, kind, pause) in inputs {
            let [a, b] = (number % 160).to_be_bytes();
            let datagram = [0, if kind == 5 { 5 } else { 4 }, a, b];
            let input = if kind == 0 { Input::Tick } else { Input::Datagram(&datagram) };
            now += pause;
            session.handle(at(now), input, &mut out);
            prop_assert!(out.datagrams().count() <= 9);
        }
    }
}
