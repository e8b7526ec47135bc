//! What real firmware sent in the lab, replayed to the parsers: as it was, cut at every place, and with every byte
//! turned. SeaBIOS with its iPXE ROM, OVMF by PXE and by HTTP, AAVMF, trixie's iPXE, dnsmasq's answers and ours.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::Path;

use dragonfly::boot::http::request::{self, Head};
use dragonfly::net::dhcp::{Client, packet};
use dragonfly::net::frame::{Checksum, Frame};
use dragonfly::net::tftp;
use test_case::test_case;

/// Whether the parser makes something of it.
type Parser = fn(&[u8]) -> bool;

#[test_case("arp", |bytes| Frame::parse(bytes, None, Checksum::Verify).is_ok())]
#[test_case("dhcp", dhcp)]
#[test_case("tftp", |bytes| tftp::packet::Packet::parse(bytes).is_ok())]
#[test_case("http", |bytes| matches!(request::read(bytes), Head::Whole(..)))]
fn what_real_firmware_sent_is_read_and_what_was_damaged_does_no_harm(kind: &str, parses: Parser) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(kind);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        assert!(parses(&whole), "{}", path.display());
        for cut in 0..whole.len() {
            parses(&whole[..cut]);
        }
        let mut damaged = whole.clone();
        for (at, byte) in whole.iter().enumerate() {
            for turned in [!byte, byte ^ 1, 0, 0xff] {
                damaged[at] = turned;
                parses(&damaged);
            }
            damaged[at] = *byte;
        }
        replayed += 1;
    }
    assert!(replayed >= 9, "{replayed} in {}", folder.display());
}

/// A request has a client in it; each message is written again as one that reads the same.
fn dhcp(bytes: &[u8]) -> bool {
    let Ok(read) = packet::Packet::read(bytes) else {
        return false;
    };
    let _ = Client::read(&read);
    let written = read.write(packet::limit(Some(1500), 1500));
    let again = packet::Packet::read(&written).unwrap();
    (again.xid, again.chaddr) == (read.xid, read.chaddr)
}
