//! Facts about identity, and what holds after any sequence of its changes.

use test_case::test_case;

use super::*;

const UUID: &str = "4c4c4544-0042-3510-8054-b4c04f4e3332";
const MACHINE_ID: &str = "b08dfa6083e7567a1921a715000001fb";

fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

fn nic(text: &str, kind: NicKind) -> NicEvidence {
    NicEvidence {
        mac: mac(text),
        kind,
    }
}

fn evidence(primary: &str, nics: &[(&str, NicKind)], uuid: Option<&str>) -> Evidence {
    Evidence {
        primary_mac: mac(primary),
        nics: nics.iter().map(|(text, kind)| nic(text, *kind)).collect(),
        smbios_uuid: uuid.map(|text| text.parse().unwrap()),
        machine_id: None,
    }
}

fn macs(identity: &Identity) -> Vec<Anchor> {
    let anchors = identity.anchors();
    anchors.filter(|a| matches!(a, Anchor::Mac(_))).collect()
}

// The digests were computed with Python's hashlib from the seed's description, not with this code.
#[test_case(&[], None, None, "cbe5cfdf7c2118a9c3d78ef1d684f3afa089201352886449a06a6511cfef74a7"; "nothing")]
#[test_case(&["3c:ec:ef:12:34:56"], None, None, "1184fa78398c20234dd4e973270baa5e3b76f518effb8e8fd6abf0288e65da31"; "one card")]
#[test_case(&["3C-EC-EF-12-34-57", "3c:ec:ef:12:34:56"], Some("4C4C4544-0042-3510-8054-B4C04F4E3332"), None, "1bd40dc03840203f29198990900058effabc85e859fca60051b9bc823ebe256f"; "other spellings and order")]
#[test_case(&["3c:ec:ef:12:34:56", "3c:ec:ef:12:34:57"], Some(UUID), Some(MACHINE_ID), "8e64df78189cbbe0ec95d476329f0bbae4ad4c32c936c864b40bd62629a4e1c1"; "everything")]
#[test_case(&[], Some(UUID), None, "fb5e623f37c7dbd1da9cd0f926e53522c99a61ef4e72b3c19625210496d6f9e4"; "uuid alone")]
#[test_case(&["3c:ec:ef:12:34:56"], None, Some(MACHINE_ID), "3be4d120c4dd163a5a34f823f15eda6b42c868615e22b11e0538cd10bc805b1e"; "no uuid")]
fn the_hash_is_the_published_function(
    macs: &[&str],
    uuid: Option<&str>,
    machine_id: Option<&str>,
    expected: &str,
) {
    let macs: Vec<_> = macs.iter().map(ToString::to_string).collect();
    assert_eq!(compute_identity_hash(&macs, uuid, machine_id), expected);
}

#[test]
fn a_machine_is_hashed_by_what_it_shows() {
    let mut shown = evidence(
        "3c:ec:ef:12:34:57",
        &[("3c:ec:ef:12:34:56", NicKind::Fixed)],
        Some(UUID),
    );
    shown.machine_id = Some(MACHINE_ID.parse().unwrap());
    assert_eq!(
        shown.identity().identity_hash.unwrap().to_string(),
        "8e64df78189cbbe0ec95d476329f0bbae4ad4c32c936c864b40bd62629a4e1c1"
    );
}

#[test_case("02:42:ac:11:00:02", NicKind::Fixed, true; "locally administered")]
#[test_case("00:00:5e:00:01:0a", NicKind::Unknown, false; "vrrp")]
#[test_case("00:50:b6:01:02:03", NicKind::Unknown, false; "dock by its range")]
#[test_case("00:e0:4c:68:01:02", NicKind::Fixed, true; "soldered chip of a dock's range")]
#[test_case("3c:ec:ef:00:00:01", NicKind::Removable, false; "dongle")]
#[test_case("3c:ec:ef:00:00:02", NicKind::Virtual, false; "bridge")]
fn some_cards_are_kept_but_never_hashed(text: &str, kind: NicKind, found_by_it: bool) {
    let plain = evidence("3c:ec:ef:12:34:56", &[], Some(UUID));
    let more = evidence("3c:ec:ef:12:34:56", &[(text, kind)], Some(UUID)).identity();
    assert_eq!(more.identity_hash, plain.identity().identity_hash);
    assert!(more.all_macs.contains(&mac(text)));
    assert_eq!(macs(&more).contains(&Anchor::Mac(mac(text))), found_by_it);
}

#[test_case("00000000-0000-0000-0000-000000000000")]
#[test_case("ffffffff-ffff-ffff-ffff-ffffffffffff")]
#[test_case("fefefefe-fefe-fefe-fefe-fefefefefefe")]
#[test_case("03000200-0400-0500-0006-000700080009")]
#[test_case("00020003-0004-0005-0006-000700080009"; "the same in the other byte order")]
#[test_case("44454c4c-0000-1020-8020-80c04f202020")]
#[test_case("4c4c4544-0000-2010-8020-80c04f202020")]
fn a_vendors_filler_is_no_uuid(filler: &str) {
    let shown = evidence("52:54:00:12:34:56", &[], Some(filler));
    assert_eq!(shown.identity().smbios_uuid, None);
    assert_eq!(shown.anchors(), [Anchor::Mac(mac("52:54:00:12:34:56"))]);
}

#[test]
fn a_vm_of_local_addresses_alone_is_found_by_them_and_hashed_by_its_uuid() {
    let bare = evidence("52:54:00:12:34:56", &[], None).identity();
    assert_eq!(bare.identity_hash, None);
    assert_eq!(macs(&bare), [Anchor::Mac(mac("52:54:00:12:34:56"))]);
    let known = evidence("52:54:00:12:34:56", &[], Some(UUID)).identity();
    assert_eq!(
        known.identity_hash.unwrap().to_string(),
        compute_identity_hash(&[], Some(UUID), None)
    );
}

/// A template's disk was cloned with its machine-id: two VMs without a UUID had the same hash, and the second
/// was taken for the first.
#[test]
fn a_machine_id_alone_makes_no_hash() {
    let mut shown = evidence("52:54:00:12:34:56", &[], None);
    shown.machine_id = Some(MACHINE_ID.parse().unwrap());
    assert_eq!(shown.identity().identity_hash, None);
}

#[test]
fn anchors_are_asked_in_the_order_hash_spoke_others_uuid() {
    let shown = evidence(
        "3c:ec:ef:12:34:57",
        &[
            ("3c:ec:ef:12:34:58", NicKind::Fixed),
            ("3c:ec:ef:12:34:56", NicKind::Fixed),
            ("00:50:b6:01:02:03", NicKind::Removable),
        ],
        Some(UUID),
    );
    let hash = shown.identity().identity_hash.unwrap();
    let expected = [
        Anchor::Hash(hash),
        Anchor::Mac(mac("3c:ec:ef:12:34:57")),
        Anchor::Mac(mac("3c:ec:ef:12:34:56")),
        Anchor::Mac(mac("3c:ec:ef:12:34:58")),
        Anchor::SmbiosUuid(UUID.parse().unwrap()),
        Anchor::SmbiosUuid("44454c4c-4200-1035-8054-b4c04f4e3332".parse().unwrap()),
    ];
    assert_eq!(shown.anchors(), expected);
}

/// A laptop that first booted through a dock was indexed under the dock's address, so the next laptop on the
/// same dock was refused.
#[test]
fn a_dock_that_spoke_is_no_anchor_when_more_is_known() {
    let dock = "00:50:b6:01:02:03";
    let first = evidence(dock, &[(dock, NicKind::Removable)], Some(UUID));
    assert!(macs(&first.identity()).is_empty());
    let second = evidence(dock, &[("3c:ec:ef:12:34:56", NicKind::Fixed)], None);
    assert_eq!(
        macs(&second.identity()),
        [Anchor::Mac(mac("3c:ec:ef:12:34:56"))]
    );
    assert!(!second.anchors().contains(&Anchor::Mac(mac(dock))));
}

#[test]
fn a_dock_names_a_machine_of_which_nothing_better_is_known_until_it_is() {
    let dock = "00:50:b6:01:02:03";
    let mut known = evidence(dock, &[], None).identity();
    assert_eq!(macs(&known), [Anchor::Mac(mac(dock))]);
    assert!(known.learn(&evidence(dock, &[], Some(UUID))));
    assert!(macs(&known).is_empty());
}

#[test]
fn a_card_that_was_looked_at_is_known_better_than_one_on_the_wire() {
    let wire = evidence("3c:ec:ef:12:34:56", &[], Some(UUID));
    let mut known = wire.identity();
    let bridge = evidence(
        "3c:ec:ef:12:34:56",
        &[("3c:ec:ef:12:34:56", NicKind::Virtual)],
        None,
    );
    assert!(known.learn(&bridge));
    assert!(macs(&known).is_empty());
    assert!(
        !known.learn(&wire),
        "the wire does not take back what was seen"
    );
    let board = evidence(
        "3c:ec:ef:12:34:56",
        &[("3c:ec:ef:12:34:56", NicKind::Fixed)],
        None,
    );
    assert!(known.learn(&board));
    assert_eq!(known, wire.identity());
}

/// Firmware and kernel of one board reported its UUID in different byte orders, and each boot wrote an event.
#[test]
fn a_uuid_in_the_other_byte_order_is_nothing_new() {
    let mut known = evidence("3c:ec:ef:12:34:56", &[], Some(UUID)).identity();
    let swapped = evidence(
        "3c:ec:ef:12:34:56",
        &[],
        Some("44454c4c-4200-1035-8054-b4c04f4e3332"),
    );
    assert!(!known.learn(&swapped));
}

/// A host of many containers reported so many bridges that its own card fell off the end of the list.
#[test]
fn real_cards_are_kept_before_made_up_ones() {
    let mut shown = evidence(
        "f4:52:14:00:00:01",
        &[("f4:52:14:00:00:02", NicKind::Fixed)],
        None,
    );
    shown.nics.extend((0..200).map(|last| NicEvidence {
        mac: MacAddr::new([0x02, 0x42, 0, 0, 0, last]),
        kind: NicKind::Virtual,
    }));
    let identity = shown.identity();
    assert_eq!(identity.all_macs.len(), MAX_NICS);
    assert_eq!(macs(&identity).len(), 2);
    assert_eq!(shown.bounded().nics.len(), MAX_NICS);
}

#[test]
fn an_edited_primary_card_takes_the_place_of_the_old_one() {
    let mut known = evidence("3c:ec:ef:12:34:56", &[], None).identity();
    let before = known.clone();
    known.replace_primary(mac("3c:ec:ef:12:34:56"));
    assert_eq!(known, before);
    known.replace_primary(mac("3c:ec:ef:00:00:01"));
    assert_eq!(
        known,
        evidence("3c:ec:ef:00:00:01", &[], None).identity(),
        "nothing of the old card is left, neither address nor hash"
    );
}

#[test]
fn absorbing_takes_what_is_missing_and_keeps_what_is_known() {
    let mut keep = evidence("3c:ec:ef:12:34:56", &[], None).identity();
    let other = evidence("3c:ec:ef:12:34:57", &[], Some(UUID)).identity();
    keep.absorb(&other);
    assert_eq!(keep.primary_mac, mac("3c:ec:ef:12:34:56"));
    assert_eq!(keep.smbios_uuid, other.smbios_uuid);
    assert_eq!(
        macs(&keep),
        ["3c:ec:ef:12:34:56", "3c:ec:ef:12:34:57"].map(|text| Anchor::Mac(mac(text)))
    );
}

#[test]
fn a_card_that_the_absorbed_one_was_found_by_is_an_anchor_again() {
    let card = "3c:ec:ef:12:34:56";
    let moved = [(card, NicKind::Removable)];
    let mut keep = evidence(card, &moved, Some(UUID)).identity();
    assert_eq!(macs(&keep), []);
    keep.absorb(&evidence(card, &[], None).identity());
    assert_eq!(macs(&keep), [Anchor::Mac(mac(card))]);
}

#[test_case(UUID, Some(UUID) => false; "the same")]
#[test_case(UUID, Some("44454c4c-4200-1035-8054-b4c04f4e3332") => false; "in the other order of bytes")]
#[test_case(UUID, Some("4c4c4544-0042-3510-8054-b4c04f4e3333") => true; "another")]
#[test_case(UUID, Some("03000200-0400-0500-0006-000700080009") => false; "a filler says nothing")]
#[test_case(UUID, None => false; "none")]
#[test_case("ffffffff-ffff-ffff-ffff-ffffffffffff", Some(UUID) => false; "of one that has none")]
fn another_board_is_told_by_its_uuid(known: &str, shown: Option<&str>) -> bool {
    let known = evidence("3c:ec:ef:12:34:56", &[], Some(known)).identity();
    known.is_other(shown.map(|text| text.parse().unwrap()))
}

#[test]
fn an_identity_out_of_order_is_put_in_order_when_it_is_read() {
    let text = r#"{"primary_mac":"52:54:00:00:00:02",
        "all_macs":["52:54:00:00:00:03","52:54:00:00:00:01","52:54:00:00:00:03"],
        "unanchored":["52:54:00:00:00:09"],"smbios_uuid":null,"machine_id":null,"identity_hash":null}"#;
    let read: Identity = serde_json::from_str(text).unwrap();
    let sorted = [
        "52:54:00:00:00:01",
        "52:54:00:00:00:02",
        "52:54:00:00:00:03",
    ];
    assert_eq!(read.all_macs, sorted.map(mac));
    assert!(read.unanchored.is_empty());
}

#[test_case(""; "empty")]
#[test_case("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"; "short")]
#[test_case("+3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; "a sign")]
fn a_wrong_hash_is_refused_with_a_valid_example(text: &str) {
    let error = text.parse::<IdentityHash>().unwrap_err();
    assert!(error.example.parse::<IdentityHash>().is_ok());
}

#[test_case("uninitialized")]
#[test_case("00000000000000000000000000000000")]
#[test_case("b08dfa60-83e7-567a-1921-a715000001fb"; "a UUID")]
fn what_is_no_machine_id_is_refused(text: &str) {
    assert!(text.parse::<OsMachineId>().is_err());
}

mod resolution {
    use super::*;

    fn id(number: u128) -> MachineId {
        MachineId(Uuid::from_u128(number))
    }

    #[test]
    fn nobody_known_means_new() {
        let shown = evidence("3c:ec:ef:12:34:56", &[], None);
        assert_eq!(resolve(&shown, |_| Vec::new()), Resolution::New);
    }

    #[test]
    fn the_best_anchor_names_the_machine() {
        let shown = evidence("3c:ec:ef:12:34:56", &[], Some(UUID));
        let found = resolve(&shown, |anchor| match anchor {
            Anchor::Mac(_) | Anchor::SmbiosUuid(_) => vec![id(1)],
            _ => Vec::new(),
        });
        let by = Anchor::Mac(mac("3c:ec:ef:12:34:56"));
        let machine = id(1);
        assert_eq!(found, Resolution::Known { machine, by });
    }

    #[test]
    fn two_machines_behind_one_piece_of_evidence_are_a_conflict() {
        let shown = evidence("3c:ec:ef:12:34:56", &[], Some(UUID));
        let uuid = Anchor::SmbiosUuid(UUID.parse().unwrap());
        let found = resolve(&shown, |anchor| match anchor {
            Anchor::Mac(_) => vec![id(1)],
            anchor if *anchor == uuid => vec![id(2)],
            _ => Vec::new(),
        });
        let claims = vec![
            (Anchor::Mac(mac("3c:ec:ef:12:34:56")), id(1)),
            (uuid, id(2)),
        ];
        let machine = id(1);
        assert_eq!(found, Resolution::Conflict { machine, claims });
    }
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Few enough addresses that machines share some; docks, VRRP and local ones among them.
    fn a_mac() -> impl Strategy<Value = MacAddr> {
        let range = prop_oneof![
            3 => Just([0x3c, 0xec, 0xef, 0x00]),
            1 => Just([0x52, 0x54, 0x00, 0x00]),
            1 => Just([0x00, 0x50, 0xb6, 0x00]),
            1 => Just([0x00, 0x00, 0x5e, 0x00]),
        ];
        (range, 0..40_u8).prop_map(|(r, last)| MacAddr::new([r[0], r[1], r[2], r[3], 0, last]))
    }

    fn a_kind() -> impl Strategy<Value = NicKind> {
        prop_oneof![
            Just(NicKind::Fixed),
            Just(NicKind::Removable),
            Just(NicKind::Virtual),
            Just(NicKind::Unknown)
        ]
    }

    fn some_evidence() -> impl Strategy<Value = Evidence> {
        let nics = vec(
            (a_mac(), a_kind()).prop_map(|(mac, kind)| NicEvidence { mac, kind }),
            0..90,
        );
        let uuid = proptest::option::of(prop_oneof![
            Just(Uuid::nil()),
            (1..5_u128).prop_map(|n| Uuid::from_u128(n << 64 | 0x8054_b4c0))
        ]);
        let machine_id =
            proptest::option::of((1..4_u8).prop_map(|n| format!("{n:032x}").parse().unwrap()));
        (a_mac(), nics, uuid, machine_id).prop_map(
            |(primary_mac, nics, smbios_uuid, machine_id)| Evidence {
                primary_mac,
                nics,
                smbios_uuid,
                machine_id,
            },
        )
    }

    #[derive(Clone, Debug)]
    enum Step {
        Learn(Evidence),
        Absorb(Evidence),
        Replace(MacAddr),
        GiveUp(BTreeSet<MacAddr>, bool),
    }

    fn a_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            some_evidence().prop_map(Step::Learn),
            some_evidence().prop_map(Step::Absorb),
            a_mac().prop_map(Step::Replace),
            (
                proptest::collection::btree_set(a_mac(), 0..9),
                any::<bool>()
            )
                .prop_map(|(macs, uuid)| Step::GiveUp(macs, uuid)),
        ]
    }

    fn take(identity: &mut Identity, step: Step) {
        match step {
            Step::Learn(evidence) => drop(identity.learn(&evidence)),
            Step::Absorb(evidence) => identity.absorb(&evidence.identity()),
            Step::Replace(mac) => identity.replace_primary(mac),
            Step::GiveUp(macs, uuid) => identity.give_up(&macs, uuid),
        }
    }

    fn holds(identity: &Identity) -> Result<(), TestCaseError> {
        prop_assert!(identity.all_macs.is_sorted_by(|a, b| a < b));
        prop_assert!(identity.all_macs.len() <= MAX_NICS);
        prop_assert!(identity.all_macs.contains(&identity.primary_mac));
        prop_assert!(
            identity
                .unanchored
                .iter()
                .all(|mac| identity.all_macs.contains(mac))
        );
        let mut fresh = identity.clone();
        fresh.rehash();
        prop_assert_eq!(&fresh, identity, "the hash is that of the inputs");
        let uuid = identity.smbios_uuid;
        prop_assert_eq!(uuid.and_then(usable_uuid), uuid, "no filler is kept");
        prop_assert!(
            identity.anchors().next().is_some(),
            "every machine can be found"
        );
        let text = serde_json::to_string(identity).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Identity>(&text).unwrap(), identity);
        Ok(())
    }

    proptest! {
        #[test]
        fn any_sequence_of_changes_keeps_an_identity_whole(
            first in some_evidence(),
            steps in vec(a_step(), 0..12),
        ) {
            let mut identity = first.identity();
            holds(&identity)?;
            for step in steps {
                take(&mut identity, step);
                holds(&identity)?;
            }
        }

        #[test]
        fn learning_the_same_twice_changes_nothing(first in some_evidence(), again in some_evidence()) {
            let mut identity = first.identity();
            prop_assert!(!identity.learn(&first), "it was made of this");
            identity.learn(&again);
            prop_assert!(!identity.learn(&again));
        }

        #[test]
        fn a_machine_is_looked_for_wherever_it_is_indexed(shown in some_evidence()) {
            let asked = shown.anchors();
            let indexed: Vec<_> = shown.identity().anchors().collect();
            prop_assert!(indexed.iter().all(|anchor| asked.contains(anchor)));
            let unique: BTreeSet<_> = asked.iter().collect();
            prop_assert_eq!(unique.len(), asked.len());
        }

        #[test]
        fn the_order_of_a_report_does_not_matter(shown in some_evidence()) {
            let mut turned = shown.clone();
            turned.nics.reverse();
            turned.nics.extend(shown.nics.clone());
            prop_assert_eq!(turned.identity(), shown.identity());
            prop_assert_eq!(turned.anchors(), shown.anchors());
        }

        #[test]
        fn evidence_survives_being_written_down(shown in some_evidence()) {
            let text = serde_json::to_string(&shown).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Evidence>(&text).unwrap(), &shown);
            prop_assert_eq!(shown.clone().bounded().identity(), shown.identity());
        }
    }
}
