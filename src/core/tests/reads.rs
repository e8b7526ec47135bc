//! Finding, listing, watching, counting.

use std::time::Duration;

use test_case::test_case;

use super::*;
use crate::core::{MachineFilter, MachineRef, Sort};
use crate::store::StoreError;

fn named(house: &House, text: &str) -> Result<MachineId, Refusal> {
    let reference = MachineRef(text.into());
    house
        .core
        .machine(&reference)
        .map(|(machine, _)| machine.id)
}

#[tokio::test]
async fn a_machine_is_found_by_all_that_a_person_may_type() {
    let house = House::new();
    for octet in 2..40 {
        house.add(octet).await;
    }
    let id = house.add(1).await;
    house
        .run(set(
            id,
            r#"{"friendly_name":"Topaz Größe","hostname":"web01.example"}"#,
        ))
        .await
        .unwrap();
    house.run(apply(id)).await.unwrap();
    let words = house.machine(id).config.memorable_name.to_string();
    let text = id.to_string();
    for way in [
        text.clone(),
        text.to_uppercase(),
        text.replace('-', ""),
        mac(1).to_string(),
        mac(1).to_string().replace(':', "-").to_uppercase(),
        "topaz größe".into(),
        " WEB01.Example ".into(),
        words.clone(),
        words.to_lowercase(),
    ] {
        assert_eq!(named(&house, &way).unwrap(), id, "{way}");
    }
}

#[tokio::test]
async fn the_beginning_of_an_id_is_enough_when_it_fits_one() {
    let house = House::new();
    let one = house.add(1).await;
    house.pass(24 * 3600);
    let two = house.add(2).await;
    let (a, b) = (one.to_string(), two.to_string());
    let same = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    assert!(same >= 4, "the test needs two ids with the same beginning");
    assert_eq!(named(&house, &a[..=same]).unwrap(), one);
    assert_eq!(named(&house, &b[..=same]).unwrap(), two);
    let refusal = named(&house, &a[..same]).unwrap_err();
    let Refusal::Ambiguous { candidates, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(candidates.len(), 2);
    assert!(matches!(
        named(&house, &a[..3]),
        Err(Refusal::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_name_of_two_machines_is_ambiguous_and_names_both() {
    let house = House::new();
    let (one, two) = (house.add(1).await, house.add(2).await);
    house
        .run(set(one, r#"{"friendly_name":"web"}"#))
        .await
        .unwrap();
    house.run(set(two, r#"{"hostname":"web"}"#)).await.unwrap();
    assert_eq!(named(&house, "web").unwrap(), one);
    house.run(apply(two)).await.unwrap();
    let refusal = named(&house, "Web").unwrap_err();
    assert!(refusal.to_string().contains(&two.to_string()), "{refusal}");
}

#[test_case("")]
#[test_case("nobody")]
#[test_case("52:54:00:00:00:99")]
#[test_case("ffff")]
#[test_case("\u{1b}[31m")]
#[tokio::test]
async fn what_nobody_is_called_is_not_found(text: &str) {
    let house = House::new();
    house.add(1).await;
    let refusal = named(&house, text).unwrap_err();
    assert!(matches!(refusal, Refusal::NotFound { .. }), "{refusal}");
    assert!(!refusal.to_string().contains('\u{1b}'));
}

/// Twelve machines: every third locked, every fourth tagged, one with a host name.
async fn shelf() -> (House, Vec<MachineId>) {
    let house = House::new();
    let mut ids = Vec::new();
    for octet in 1..=12 {
        let id = house.add(octet).await;
        if octet % 3 == 0 {
            house.run(lock(id)).await.unwrap();
        }
        if octet % 4 == 0 {
            house
                .run(tag(id, &["rack2", &format!("n{octet}")], &[]))
                .await
                .unwrap();
        }
        ids.push(id);
    }
    house
        .run(set(ids[4], r#"{"hostname":"jellyfin"}"#))
        .await
        .unwrap();
    house.run(apply(ids[4])).await.unwrap();
    house
        .run(set(ids[5], r#"{"status":"offline"}"#))
        .await
        .unwrap();
    house
        .run(set(ids[6], r#"{"os_choice":"debian-13"}"#))
        .await
        .unwrap();
    house.run(apply(ids[6])).await.unwrap();
    (house, ids)
}

fn list(house: &House, filter: &MachineFilter, sort: &str, limit: usize) -> Vec<MachineId> {
    let sort: Sort = sort.parse().unwrap();
    let mut cursor: Option<String> = None;
    let mut found = Vec::new();
    loop {
        let page = house
            .core
            .machines(filter, sort, limit, cursor.as_deref())
            .unwrap();
        assert!(page.items.len() <= limit);
        found.extend(page.items.iter().map(|(machine, _)| machine.id));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn every_order_lists_every_machine_once_whatever_the_page_holds() {
    let (house, ids) = shelf().await;
    let all = MachineFilter::default();
    for sort in ["registered", "name", "hostname", "updated"] {
        for limit in [1, 5, 12, 1000] {
            let found = list(&house, &all, sort, limit);
            assert_eq!(
                BTreeSet::from_iter(found.clone()).len(),
                12,
                "{sort} {limit}"
            );
            assert_eq!(found.len(), 12);
            let mut back = list(&house, &all, &format!("-{sort}"), limit);
            back.reverse();
            assert_eq!(BTreeSet::from_iter(back), BTreeSet::from_iter(ids.clone()));
        }
    }
    assert_eq!(list(&house, &all, "registered", 5), ids);
    assert_eq!(list(&house, &all, "hostname", 5)[0], ids[4]);
}

#[tokio::test]
async fn filters_let_through_what_they_say_in_every_order_and_page() {
    let (house, ids) = shelf().await;
    let of = |places: &[usize]| -> BTreeSet<_> { places.iter().map(|n| ids[*n]).collect() };
    let text = |text: &str| MachineFilter {
        text: Some(text.into()),
        ..MachineFilter::default()
    };
    let none = MachineFilter::default;
    let cases = [
        (
            MachineFilter {
                locked: Some(true),
                ..none()
            },
            of(&[2, 5, 8, 11]),
        ),
        (
            MachineFilter {
                tags: vec!["rack2".parse().unwrap()],
                ..none()
            },
            of(&[3, 7, 11]),
        ),
        (
            MachineFilter {
                tags: vec!["rack2".parse().unwrap(), "n8".parse().unwrap()],
                ..none()
            },
            of(&[7]),
        ),
        (
            MachineFilter {
                pending: Some(true),
                ..none()
            },
            of(&[5]),
        ),
        (
            MachineFilter {
                state: Some(crate::model::StateKind::Ready),
                ..none()
            },
            of(&[6]),
        ),
        (
            MachineFilter {
                state: Some(crate::model::StateKind::Discovered),
                tags: vec!["rack2".parse().unwrap()],
                locked: Some(false),
                ..none()
            },
            of(&[3, 7]),
        ),
        (
            MachineFilter {
                os: Some("debian-13".parse().unwrap()),
                ..none()
            },
            of(&[6]),
        ),
        (text("JELLY"), of(&[4])),
        (text("99-00-00-0c"), of(&[11])),
        (text("rack2 n4"), of(&[3])),
        (text("   "), of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])),
    ];
    for (filter, expected) in cases {
        for sort in ["registered", "-name", "updated"] {
            for limit in [1, 2, 100] {
                let found = list(&house, &filter, sort, limit);
                assert_eq!(found.len(), expected.len(), "{filter:?} {sort} {limit}");
                assert_eq!(
                    BTreeSet::from_iter(found),
                    expected,
                    "{filter:?} {sort} {limit}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let (house, _) = shelf().await;
    let all = MachineFilter::default();
    let by = |text: &str| text.parse::<Sort>().unwrap();
    let page = house.core.machines(&all, by("name"), 5, None).unwrap();
    let cursor = page.next.unwrap();
    let tagged = MachineFilter {
        tags: vec!["rack2".parse().unwrap()],
        ..MachineFilter::default()
    };
    for (filter, sort, cursor) in [
        (&all, "updated", cursor.as_str()),
        (&all, "-name", &cursor),
        (&tagged, "registered", &cursor),
        (&all, "name", &cursor[..cursor.len() - 1]),
        (&all, "name", "nonsense"),
        (&all, "name", ""),
        (&all, "name", "é"),
    ] {
        let refusal = house
            .core
            .machines(filter, by(sort), 5, Some(cursor))
            .unwrap_err();
        assert!(matches!(refusal, Refusal::Field(error) if error.field == "cursor"));
    }
}

#[test_case(0)]
#[test_case(1001)]
#[tokio::test]
async fn a_page_has_between_one_and_a_thousand(limit: usize) {
    let house = House::new();
    let refusal = house
        .core
        .machines(&MachineFilter::default(), Sort::default(), limit, None)
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Field(error) if error.field == "limit"));
}

#[tokio::test]
async fn a_search_of_absurd_length_and_an_unknown_order_are_refused() {
    let house = House::new();
    let filter = MachineFilter {
        text: Some("x".repeat(201)),
        ..MachineFilter::default()
    };
    assert!(
        house
            .core
            .machines(&filter, Sort::default(), 5, None)
            .is_err()
    );
    assert_eq!("colour".parse::<Sort>().unwrap_err().field, "sort");
}

#[tokio::test]
async fn a_watch_gives_what_comes_and_what_came_since_a_place() {
    let house = House::new();
    house.add(1).await;
    let mut live = house.core.watch(None);
    let mut whole = house.core.watch(Some(Cursor::START));
    house.add(2).await;
    assert_eq!(live.next().await.unwrap().len(), 1);
    assert_eq!(whole.next().await.unwrap().len(), 2);
    let mut resumed = house.core.watch(Some(whole.cursor()));
    let waited = tokio::time::timeout(Duration::from_millis(20), resumed.next()).await;
    assert!(waited.is_err(), "there is nothing new");
    let id = house.add(3).await;
    let events = resumed.next().await.unwrap();
    assert_eq!(events[0].subject, Subject::Machine(id));
}

#[tokio::test]
async fn a_watch_reads_a_long_log_in_bounded_batches() {
    let house = House::new();
    let id = house.add(1).await;
    for n in 0..300 {
        let (on, off) = (format!("t{n}"), format!("t{}", n - 1));
        house.run(tag(id, &[&on], &[&off])).await.unwrap();
    }
    let mut watch = house.core.watch(Some(Cursor::START));
    let (first, second) = (watch.next().await.unwrap(), watch.next().await.unwrap());
    assert_eq!((first.len(), second.len()), (256, 45));
    assert!(first.last().unwrap().cursor < second[0].cursor);
}

#[tokio::test]
async fn a_watch_of_one_machine_passes_over_the_others() {
    let house = House::new();
    let id = house.add(1).await;
    let mut watch = house.core.watch(None).about(Subject::Machine(id));
    let mut audit = house.core.watch(None).audit_only();
    house.system(check_in(&[2])).await.unwrap();
    house.run(tag(id, &["a"], &[])).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].subject, Subject::Machine(id));
    assert_eq!(audit.next().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_watch_from_before_the_window_or_from_another_store_is_reset_once() {
    let house = House::new();
    house.system(check_in(&[1])).await.unwrap();
    house.pass(400 * 24 * 3600);
    house.system(Command::TrimEvents).await.unwrap();
    for place in [Cursor::START, Cursor::from_raw(1_000_000)] {
        let mut watch = house.core.watch(Some(place));
        assert!(
            matches!(watch.next().await, Err(StoreError::Reset { .. })),
            "{place}"
        );
        let id = house.add(100).await;
        let events = watch.next().await.unwrap();
        assert_eq!(events[0].subject, Subject::Machine(id));
        house
            .run(Command::DeleteMachine { machine: id })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn closing_ends_every_watch_and_takes_nothing_more() {
    let house = House::new();
    let id = house.add(1).await;
    let mut watch = house.core.watch(None);
    let waiting = tokio::spawn(async move { watch.next().await });
    house.core.close().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(StoreError::Closed)));
    let refusal = house.run(tag(id, &["a"], &[])).await.unwrap_err();
    assert!(
        matches!(refusal, Refusal::Store(StoreError::Closed)),
        "{refusal}"
    );
}

#[tokio::test]
async fn commands_are_counted_by_name_and_outcome() {
    let house = House::new();
    let id = house.add(1).await;
    house.run(tag(id, &["a"], &[])).await.unwrap();
    house.run(tag(id, &["a"], &[])).await.unwrap();
    house.dry(tag(id, &["b"], &[])).await.unwrap();
    house.run(Command::TrimEvents).await.unwrap_err();
    assert_eq!(
        house.core.meter().read(),
        [
            ("machine.add", "accepted", 1),
            ("machine.tag", "accepted", 1),
            ("machine.tag", "unchanged", 1),
            ("machine.tag", "dry_run", 1),
            ("events.trim", "forbidden", 1),
        ]
    );
}
