use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable, Encoder};
use test_case::test_case;

use super::*;

const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 1, 2, 3]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
const SECOND: Duration = Duration::from_secs(1);

/// A message of ours, read by another implementation.
fn read(message: &[u8]) -> Message {
    Message::decode(&mut Decoder::new(message)).unwrap()
}

fn kind(message: &[u8]) -> MessageType {
    read(message).opts().msg_type().unwrap()
}

/// An answer to what was asked, written by another implementation.
fn answer(question: &[u8], kind: MessageType) -> Message {
    let question = read(question);
    let mut answer = Message::default();
    answer
        .set_opcode(Opcode::BootReply)
        .set_xid(question.xid())
        .set_yiaddr(GIVEN)
        .set_chaddr(question.chaddr());
    let opts = answer.opts_mut();
    opts.insert(DhcpOption::MessageType(kind));
    opts.insert(DhcpOption::ServerIdentifier(SERVER));
    opts.insert(DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 254, 0)));
    opts.insert(DhcpOption::Router(vec![Ipv4Addr::new(10, 0, 0, 254)]));
    opts.insert(DhcpOption::AddressLeaseTime(7200));
    answer
}

fn bytes(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).unwrap();
    bytes
}

fn asked(client: &mut Client, now: Duration) -> Vec<u8> {
    client.tick(now).0.expect("a question is due")
}

#[test]
fn four_messages_make_a_lease() {
    let mut client = Client::new(MAC, 7);
    let discover = asked(&mut client, Duration::ZERO);
    assert_eq!(kind(&discover), MessageType::Discover);
    assert!(discover.len() >= SHORTEST);
    assert_eq!(
        client.hear(SECOND, &bytes(&answer(&discover, MessageType::Offer))),
        None
    );
    let request = asked(&mut client, SECOND);
    let opts = read(&request).opts().clone();
    assert_eq!(
        opts.get(OptionCode::RequestedIpAddress),
        Some(&DhcpOption::RequestedIpAddress(GIVEN))
    );
    assert_eq!(
        opts.get(OptionCode::ServerIdentifier),
        Some(&DhcpOption::ServerIdentifier(SERVER))
    );
    let lease = client
        .hear(SECOND, &bytes(&answer(&request, MessageType::Ack)))
        .unwrap();
    assert_eq!(
        (lease.address, lease.prefix, lease.server),
        (GIVEN, 23, SERVER)
    );
    assert_eq!(lease.gateway, Some(Ipv4Addr::new(10, 0, 0, 254)));
    assert_eq!(lease.renew_after(), Duration::new(3600, 0));
}

#[test]
fn it_asks_for_ever_and_ever_more_slowly() {
    let mut client = Client::new(MAC, 7);
    let mut now = Duration::ZERO;
    let waits: Vec<u64> = (0..7)
        .map(|_| {
            let (message, wait) = client.tick(now);
            assert_eq!(kind(&message.unwrap()), MessageType::Discover);
            now += wait;
            wait.as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 16, 16]);
}

#[test]
fn nothing_is_sent_before_it_is_due() {
    let mut client = Client::new(MAC, 7);
    asked(&mut client, Duration::ZERO);
    let (message, wait) = client.tick(Duration::from_millis(400));
    assert_eq!((message, wait), (None, Duration::from_millis(600)));
}

#[test_case(None; "a server that fell silent")]
#[test_case(Some(MessageType::Nak); "a server that thought better of it")]
fn an_offer_that_comes_to_nothing_starts_over(then: Option<MessageType>) {
    let mut client = Client::new(MAC, 7);
    let mut now = Duration::ZERO;
    let discover = asked(&mut client, now);
    client.hear(now, &bytes(&answer(&discover, MessageType::Offer)));
    let request = asked(&mut client, now);
    if let Some(kind) = then {
        assert_eq!(client.hear(now, &bytes(&answer(&request, kind))), None);
    }
    let mut kinds = Vec::new();
    for _ in 0..8 {
        let (message, wait) = client.tick(now);
        kinds.extend(message.map(|message| (kind(&message), read(&message).xid())));
        now += wait;
    }
    assert!(kinds.contains(&(MessageType::Discover, 8)), "{kinds:?}");
}

#[test]
fn a_renewal_carries_its_address_where_it_belongs() {
    let lease = Lease {
        address: GIVEN,
        prefix: 24,
        gateway: None,
        server: SERVER,
        time: SECOND,
    };
    let mut client = Client::renewing(MAC, 9, lease);
    let request = client.renewal();
    let message = read(&request);
    assert_eq!(message.ciaddr(), GIVEN);
    assert!(message.opts().get(OptionCode::RequestedIpAddress).is_none());
    assert!(
        client
            .hear(SECOND, &bytes(&answer(&request, MessageType::Ack)))
            .is_some()
    );
    assert!(
        client
            .hear(SECOND, &bytes(&answer(&request, MessageType::Nak)))
            .is_none()
    );
}

#[test]
fn what_is_for_another_is_not_heard() {
    let mut client = Client::new(MAC, 7);
    let discover = asked(&mut client, Duration::ZERO);
    let offer = answer(&discover, MessageType::Offer);
    let mut other_card = offer.clone();
    other_card.set_chaddr(&[2, 0, 0, 0, 0, 1]);
    let mut other_question = offer.clone();
    other_question.set_xid(8);
    let mut nobody = offer.clone();
    nobody.set_yiaddr(Ipv4Addr::UNSPECIFIED);
    for message in [other_card, other_question, nobody] {
        client.hear(SECOND, &bytes(&message));
        assert!(matches!(client.state, State::Selecting), "{message:?}");
    }
}

#[test]
fn no_part_of_an_answer_and_no_garbage_does_harm() {
    let mut client = Client::new(MAC, 7);
    let discover = asked(&mut client, Duration::ZERO);
    let offer = bytes(&answer(&discover, MessageType::Offer));
    for end in 0..offer.len() {
        client.hear(SECOND, &offer[..end]);
    }
    for place in at::COOKIE..offer.len() {
        let mut broken = offer.clone();
        broken[place] = 0xee;
        Client::new(MAC, 7).hear(SECOND, &broken);
    }
}
