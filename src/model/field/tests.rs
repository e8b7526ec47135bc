use test_case::test_case;

use super::*;

#[test_case("web01")]
#[test_case("WEB01.Rack2.example.NET")]
#[test_case("3com")]
fn a_host_name_of_rfc_1123_is_taken_in_lower_case(text: &str) {
    assert_eq!(
        text.parse::<Hostname>().unwrap().as_str(),
        text.to_ascii_lowercase()
    );
}

#[test_case("", "empty"; "empty")]
#[test_case("web_01", "neither"; "underscore")]
#[test_case("-web", "hyphen"; "leading hyphen")]
#[test_case("web-.net", "hyphen"; "trailing hyphen")]
#[test_case("web..net", "dot"; "two dots")]
#[test_case("web.", "dot"; "trailing dot")]
#[test_case("wéb", "neither"; "not ascii")]
#[test_case("10.0.0.1", "address"; "an address")]
fn a_wrong_host_name_tells_why(text: &str, why: &str) {
    let error = text.parse::<Hostname>().unwrap_err();
    assert!(error.reason.contains(why), "{error}");
    assert!(error.example.parse::<Hostname>().is_ok());
}

#[test]
fn a_host_name_ends_at_63_and_253_characters() {
    assert!("a".repeat(63).parse::<Hostname>().is_ok());
    assert!("a".repeat(64).parse::<Hostname>().is_err());
    let long = [
        &*"a".repeat(63),
        &"b".repeat(63),
        &"c".repeat(63),
        &"d".repeat(61),
    ]
    .join(".");
    assert_eq!(long.len(), 253);
    assert!(long.parse::<Hostname>().is_ok());
    assert!(format!("{long}d").parse::<Hostname>().is_err());
}

#[test_case("192.0.2.10/24"; "v4")]
#[test_case("192.0.2.10/24 via 192.0.2.1"; "v4 with gateway")]
#[test_case("2001:db8::10/64 via fe80::1"; "v6 with a link-local gateway")]
#[test_case("192.0.2.0/31"; "both of a slash 31 are usable")]
fn a_static_address_is_shown_as_it_was_typed(text: &str) {
    assert_eq!(text.parse::<StaticIp>().unwrap().to_string(), text);
}

#[test_case("192.0.2.10", "prefix"; "no prefix")]
#[test_case("192.0.2.10/33", "between 1 and 32"; "prefix too long")]
#[test_case("192.0.2.0/24", "network's own"; "network address")]
#[test_case("192.0.2.255/24", "broadcast"; "broadcast address")]
#[test_case("192.0.2.10/24 via 198.51.100.1", "not on the network"; "gateway elsewhere")]
#[test_case("192.0.2.10/24 via 2001:db8::1", "family"; "gateway of the other family")]
#[test_case("192.0.2.10/24 via 192.0.2.10", "its own gateway"; "own gateway")]
#[test_case("127.0.0.1/8", "own address"; "loopback")]
#[test_case("192.0.2.10/24 by 192.0.2.1", "has to read"; "other word")]
#[test_case("x/24", "not an IP"; "no address")]
fn a_wrong_static_address_tells_why(text: &str, why: &str) {
    let error = text.parse::<StaticIp>().unwrap_err();
    assert!(error.reason.contains(why), "{error}");
    assert!(error.example.parse::<StaticIp>().is_ok());
}

#[test_case(""; "empty")]
#[test_case("two words"; "space")]
#[test_case("-x"; "leading hyphen")]
#[test_case("a\u{7}b"; "bell")]
fn a_wrong_tag_is_refused(text: &str) {
    assert!(text.parse::<Tag>().is_err());
}

#[test]
fn a_friendly_name_cannot_turn_the_text_around() {
    assert!("abc\u{202e}def".parse::<FriendlyName>().is_err());
    assert_eq!(
        "  Ada's box  ".parse::<FriendlyName>().unwrap().as_str(),
        "Ada's box"
    );
}
