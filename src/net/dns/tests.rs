#![allow(clippy::needless_pass_by_value, reason = "a table makes what it gives")]

use proptest::prelude::*;
use test_case::test_case;

use super::*;

const ID: u16 = 0x1234;

fn address() -> IpAddr {
    "192.0.2.10".parse().unwrap()
}

fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels
        .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
        .collect();
    bytes.push(0);
    bytes
}

fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [
        owner,
        &kind.to_be_bytes(),
        &[0, 1, 0, 0, 0, 60],
        &length,
        data,
    ]
    .concat()
}

/// The answer of a server to our question, with these records.
fn answered(flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = question(ID, address());
    bytes[2..4].copy_from_slice(&flags.to_be_bytes());
    bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    bytes.extend(records.concat());
    bytes
}

const FINE: u16 = 0x8180;
/// A pointer to the question's name.
const ASKED: [u8; 2] = [0xc0, 12];

fn told(bytes: &[u8]) -> Result<Option<String>, DnsError> {
    let name = answer(ID, address(), bytes)?;
    Ok(name.map(|name| name.as_str().to_owned()))
}

#[test]
fn an_address_is_asked_for_by_its_reverse_name() {
    assert_eq!(reverse_name(address()), "10.2.0.192.in-addr.arpa");
    let six = reverse_name("2001:db8::1".parse().unwrap());
    assert_eq!(
        six,
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    );
    let bytes = question(ID, address());
    assert_eq!(&bytes[..12], [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        bytes[12..],
        [labels("10.2.0.192.in-addr.arpa"), vec![0, 12, 0, 1]].concat()
    );
}

#[test]
fn the_name_is_read_whether_it_is_compressed_or_not() {
    let name = labels("Web01.rack2.example.net");
    let plain = answered(
        FINE,
        &[record(&labels("10.2.0.192.in-addr.arpa"), TYPE_PTR, &name)],
    );
    let short = answered(FINE, &[record(&ASKED, TYPE_PTR, &name)]);
    for bytes in [plain, short] {
        assert_eq!(told(&bytes), Ok(Some("web01.rack2.example.net".into())));
    }
}

#[test]
fn an_alias_is_followed() {
    let alias = labels("10.0-25.2.0.192.in-addr.arpa");
    let records = [
        record(&ASKED, TYPE_CNAME, &alias),
        record(&alias, TYPE_PTR, &labels("web01.example.net")),
    ];
    assert_eq!(
        told(&answered(FINE, &records)),
        Ok(Some("web01.example.net".into()))
    );
}

#[test_case(answered(FINE, &[]), Ok(None); "no record")]
#[test_case(answered(FINE | 3, &[]), Ok(None); "no such name")]
#[test_case(answered(FINE | 2, &[]), Err(DnsError::Server(2)); "a server that failed")]
#[test_case(answered(FINE | TRUNCATED, &[]), Err(DnsError::Truncated); "cut off")]
#[test_case(answered(0x0100, &[]), Err(DnsError::Foreign); "a question")]
#[test_case(answered(FINE, &[record(&labels("x.example.net"), TYPE_PTR, &labels("evil.example.net"))]), Ok(None); "a record of another name")]
#[test_case(answered(FINE, &[record(&ASKED, TYPE_PTR, &labels("a b.$(x)"))]), Ok(None); "a name that no host has")]
#[test_case(answered(FINE, &[record(&ASKED, TYPE_PTR, &[0xc0, 0xff])]), Err(DnsError::Name(53)); "a pointer ahead")]
#[test_case(answered(FINE, &[record(&ASKED, TYPE_PTR, &[1, b'a', 0xc0, 53])]), Err(DnsError::Name(53)); "a loop")]
#[test_case(answered(FINE, &[record(&ASKED, TYPE_PTR, &[0x80])]), Err(DnsError::Name(53)); "a length that is none")]
#[test_case(vec![], Err(DnsError::Short(0)); "nothing")]
fn what_is_no_name(bytes: Vec<u8>, told_as: Result<Option<String>, DnsError>) {
    assert_eq!(told(&bytes), told_as);
}

#[test]
fn the_answer_to_another_question_is_not_taken() {
    let bytes = answered(
        FINE,
        &[record(&ASKED, TYPE_PTR, &labels("web01.example.net"))],
    );
    assert_eq!(answer(ID + 1, address(), &bytes), Err(DnsError::Foreign));
    assert_eq!(
        answer(ID, "192.0.2.11".parse().unwrap(), &bytes),
        Err(DnsError::Foreign)
    );
}

mod properties {
    use super::*;

    proptest! {
        #[test]
        fn whatever_a_server_sends_is_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = answer(ID, address(), &bytes);
        }

        #[test]
        fn whatever_follows_our_question_is_an_answer_or_an_error(count in any::<u16>(), tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = answered(FINE, &[]);
            bytes[6..8].copy_from_slice(&count.to_be_bytes());
            bytes.extend(tail);
            let _ = answer(ID, address(), &bytes);
        }
    }
}
