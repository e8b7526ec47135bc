//! The rules of each field, and that a value which was taken is taken again.

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

#[test_case("wéb"; "latin with a mark")]
#[test_case("wеb"; "cyrillic in the middle")]
#[test_case("İ"; "grows when folded")]
#[test_case("web\u{200b}"; "space without width")]
#[test_case("ｗｅｂ"; "full width")]
#[test_case("\u{212a}"; "kelvin")]
fn what_only_looks_like_a_tag_is_none(text: &str) {
    let error = text.parse::<Tag>().unwrap_err();
    assert!(error.reason.contains("a to z"), "{error}");
}

#[test]
fn a_tag_is_folded_to_lower_case_and_ends_at_63_characters() {
    assert_eq!(
        " Rack2/Row:A ".parse::<Tag>().unwrap().as_str(),
        "rack2/row:a"
    );
    assert!("A".repeat(63).parse::<Tag>().is_ok());
    assert!("A".repeat(64).parse::<Tag>().is_err());
}

#[test_case("adа\u{200b}"; "space without width")]
#[test_case("web\u{200d}01"; "joiner between plain letters")]
#[test_case("\u{feff}web"; "byte order mark")]
#[test_case("so\u{ad}ft"; "soft hyphen")]
#[test_case("a\u{2028}b"; "separator of lines")]
#[test_case("a\u{a0}b"; "space that does not break")]
#[test_case("\u{3164}"; "filler")]
#[test_case("a\u{61c}b"; "mark of direction")]
#[test_case("a\u{e0041}"; "tag character")]
#[test_case("a\u{1b}[31m"; "escape sequence")]
#[test_case("\u{2800}"; "blank braille")]
fn what_cannot_be_seen_is_in_no_friendly_name(text: &str) {
    let error = text.parse::<FriendlyName>().unwrap_err();
    assert!(error.reason.contains("invisible"), "{error}");
}

#[test_case("Büro 2")]
#[test_case("東京")]
#[test_case("می\u{200c}خواهم"; "persian needs its joiner")]
#[test_case("🏳\u{fe0f}\u{200d}🌈"; "emoji of several parts")]
#[test_case("क्\u{200d}ष"; "devanagari needs its joiner")]
fn a_friendly_name_may_be_of_any_script(text: &str) {
    assert_eq!(text.parse::<FriendlyName>().unwrap().as_str(), text);
}

#[test]
fn lengths_are_counted_in_characters() {
    assert!("ü".repeat(64).parse::<FriendlyName>().is_ok());
    assert!("ü".repeat(65).parse::<FriendlyName>().is_err());
    assert!("x".repeat(65).parse::<FriendlyName>().is_err());
    let why = "ü".repeat(300).parse::<Hostname>().unwrap_err().reason;
    assert!(why.starts_with("300 characters"), "{why}");
}

#[test]
fn an_empty_friendly_name_is_told_how_to_clear_it() {
    let error = "  ".parse::<FriendlyName>().unwrap_err();
    assert!(error.reason.contains("clear it"), "{error}");
}

fn labels(pairs: &[(&str, &str)]) -> Result<Labels, FieldError> {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Labels::try_from(pairs.collect::<BTreeMap<_, _>>())
}

#[test_case("owner", "Ada Löve", true; "words")]
#[test_case("example.net/Role", "", true; "empty value")]
#[test_case("", "x", false; "no key")]
#[test_case("öwner", "x", false; "key of other letters")]
#[test_case("owner ", "x", false; "space in the key")]
#[test_case("owner", "a\nb", false; "two lines")]
#[test_case("owner", "a\u{202e}b", false; "turned around")]
fn a_label_has_a_plain_key_and_a_value_that_can_be_seen(key: &str, value: &str, fits: bool) {
    assert_eq!(labels(&[(key, value)]).is_ok(), fits);
}

#[test]
fn labels_end_at_64_pairs_and_255_characters() {
    let many: BTreeMap<_, _> = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
    assert!(Labels::try_from(many).is_err());
    assert!(labels(&[("k", &"ü".repeat(255))]).is_ok());
    assert!(labels(&[("k", &"ü".repeat(256))]).is_err());
}

#[test_case("2001:db8::/64", "any router"; "subnet router anycast")]
#[test_case("2001:db8::10/64 via 2001:db8:1::1", "not on the network"; "gateway elsewhere under ipv6")]
#[test_case("fe80::10/64 via fe80::1", "link-local"; "link-local with a gateway")]
#[test_case("169.254.3.4/16 via 169.254.1.1", "link-local"; "link-local with a gateway under ipv4")]
#[test_case("::ffff:192.0.2.1/96", "own address"; "ipv4 in disguise")]
#[test_case("0.1.2.3/8", "own address"; "this network")]
#[test_case("240.0.0.1/8", "own address"; "reserved")]
#[test_case("224.0.0.1/24", "own address"; "multicast")]
#[test_case("ff02::1/64", "own address"; "multicast under ipv6")]
#[test_case("192.0.2.10/24 via 192.0.2.255", "broadcast"; "gateway at the edge")]
#[test_case("192.0.2.10/24 via 224.0.0.1", "own address"; "gateway that is nobody")]
#[test_case("192.0.2.10/+24", "between"; "a sign")]
#[test_case("192.0.2.10/0", "between"; "no prefix at all")]
#[test_case("192.0.2.10/", "between"; "empty prefix")]
#[test_case("fe80::1%eth0/64", "not an IP"; "a zone")]
#[test_case("192.0.2.010/24", "not an IP"; "octal")]
#[test_case("192.0.2.10/24 via 192.0.2.1 dev eth0", "has to read"; "more words")]
fn an_address_that_cannot_work_tells_why(text: &str, why: &str) {
    let error = text.parse::<StaticIp>().unwrap_err();
    assert!(error.reason.contains(why), "{error}");
}

#[test_case("2001:db8::/127"; "point to point under ipv6")]
#[test_case("2001:db8::/128"; "one address under ipv6")]
#[test_case("192.0.2.7/32"; "one address")]
#[test_case("192.0.2.0/31 via 192.0.2.1"; "both ends of a link")]
#[test_case("fe80::10/64"; "link-local alone")]
#[test_case("2001:db8::10/64 via 2001:db8::"; "any router as gateway")]
fn an_address_at_the_edge_that_works_is_taken(text: &str) {
    assert_eq!(text.parse::<StaticIp>().unwrap().to_string(), text);
}

mod properties {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    /// What was taken once is shown as it is kept, and taken again unchanged, as words and as JSON.
    fn settles<T>(text: &str) -> Result<(), TestCaseError>
    where
        T: FromStr<Err = FieldError> + ToString + Serialize + for<'de> Deserialize<'de>,
        T: PartialEq + Debug,
    {
        match text.parse::<T>() {
            Ok(value) => {
                prop_assert_eq!(&value.to_string().parse::<T>().unwrap(), &value);
                let json = serde_json::to_string(&value).unwrap();
                prop_assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value);
            }
            Err(error) => {
                prop_assert!(error.example.parse::<T>().is_ok(), "{error}");
                prop_assert!(!error.reason.chars().any(char::is_control), "{error}");
            }
        }
        Ok(())
    }

    fn a_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ a-zA-Z0-9._:/-]{0,70}",
            "[0-9a-f:.]{2,20}/[0-9]{1,3}( via [0-9a-f:.]{2,20})?",
            "[a-zü\u{200b}-\u{200f}\u{202e}İа]{1,5}",
        ]
    }

    proptest! {
        #[test]
        fn every_field_takes_again_what_it_took(text in a_text()) {
            settles::<Hostname>(&text)?;
            settles::<FriendlyName>(&text)?;
            settles::<Tag>(&text)?;
            settles::<OsChoice>(&text)?;
            settles::<StaticIp>(&text)?;
            settles::<crate::model::MacAddr>(&text)?;
            settles::<crate::model::MemorableName>(&text)?;
            settles::<crate::model::StateKind>(&text)?;
        }

        #[test]
        fn what_a_field_keeps_is_within_its_bounds(text in a_text()) {
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert!(tag.as_str().is_ascii() && tag.as_str().len() <= Tag::MAX);
                prop_assert_eq!(tag.as_str(), tag.as_str().to_lowercase());
            }
            if let Ok(name) = text.parse::<FriendlyName>() {
                prop_assert!((1..=FriendlyName::MAX).contains(&name.as_str().chars().count()));
                prop_assert_eq!(hidden(name.as_str()), None);
            }
            if let Ok(name) = text.parse::<Hostname>() {
                prop_assert!(name.as_str().split('.').all(|label| (1..=63).contains(&label.len())));
            }
        }

        #[test]
        fn labels_read_back(pairs in proptest::collection::btree_map("[a-z]{1,5}", "[ -~ü]{0,9}", 0..9)) {
            let labels = Labels::try_from(pairs.clone()).unwrap();
            let json = serde_json::to_string(&labels).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Labels>(&json).unwrap(), &labels);
            prop_assert_eq!(BTreeMap::from(labels), pairs);
        }

        #[test]
        fn a_network_of_any_size_has_no_machine_at_its_edges(bits: u32, prefix in 1..=30_u8) {
            let host = u32::MAX >> prefix;
            for edge in [bits & !host, bits | host] {
                let text = format!("{}/{prefix}", std::net::Ipv4Addr::from_bits(edge));
                prop_assert!(text.parse::<StaticIp>().is_err());
            }
        }
    }
}
