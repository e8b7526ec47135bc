use test_case::test_case;

use super::*;

const MAC: MacAddr = MacAddr::new([0x52, 0x54, 0, 0, 0, 1]);
const DISK: HardDisk = HardDisk {
    number: 1,
    start: 2048,
    size: 4096,
    guid: [7; 16],
};

fn network(number: u16, label: &str, card: Option<MacAddr>) -> Entry {
    let mut paths = Vec::new();
    if let Some(card) = card {
        paths.extend([MESSAGING, MESSAGING_MAC, 37, 0]);
        paths.extend(card.octets());
        paths.extend([0; 27]);
    }
    paths.extend([MESSAGING, 12, 27, 0]);
    paths.extend([0; 23]);
    paths.extend(END);
    Entry {
        number,
        active: true,
        label: label.into(),
        paths,
    }
}

/// A folder as efivarfs would show it.
fn firmware() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let other = MacAddr::new([2, 0, 0, 0, 0, 9]);
    set_entry(place, &network(0, "PXE of another card", Some(other))).unwrap();
    set_entry(place, &network(1, "PXE", Some(MAC))).unwrap();
    set_entry(
        place,
        &Entry::of_file(2, "Debian é", DISK, "/EFI/debian/shimx64.efi"),
    )
    .unwrap();
    set_entry(
        place,
        &Entry {
            active: false,
            ..Entry::of_file(3, "off", DISK, "/x")
        },
    )
    .unwrap();
    set_order(place, &[3, 0, 1, 2]).unwrap();
    fs::write(
        place.join("BootCurrent-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
        [7, 0, 0, 0, 1, 0],
    )
    .unwrap();
    fs::write(
        place.join("Boot00ZZ-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
        [0; 8],
    )
    .unwrap();
    folder
}

fn next(folder: &Path) -> u16 {
    let bytes = value(folder, "BootNext").unwrap();
    u16::from_le_bytes([bytes[0], bytes[1]])
}

#[test]
fn the_list_reads_back_as_it_was_written() {
    let folder = firmware();
    let menu = Menu::read(folder.path()).unwrap();
    assert_eq!(menu.order, [3, 0, 1, 2]);
    assert_eq!(menu.entries.len(), 4);
    let debian = &menu.entries[&2];
    assert_eq!(
        (
            debian.label.as_str(),
            debian.partition(),
            debian.is_network()
        ),
        ("Debian é", Some([7; 16]), false)
    );
    assert_eq!(
        (menu.entries[&1].card(), menu.entries[&1].is_network()),
        (Some(MAC), true)
    );
    assert_eq!(menu.free(), 4);
    let attributes = fs::read(
        folder
            .path()
            .join("BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c"),
    )
    .unwrap();
    assert_eq!(attributes[..4], [7, 0, 0, 0]);
}

#[test]
fn a_load_option_has_the_bytes_of_the_specification() {
    let bytes = Entry::of_file(0, "D", DISK, "/x").bytes();
    let expected = [
        &[1, 0, 0, 0][..],
        &[42 + 10 + 4, 0],
        &[b'D', 0, 0, 0],
        &[4, 1, 42, 0, 1, 0, 0, 0],
    ]
    .concat();
    assert_eq!(bytes[..expected.len()], expected);
    assert_eq!(
        bytes[bytes.len() - 14..],
        [4, 4, 10, 0, b'\\', 0, b'x', 0, 0, 0, 0x7f, 0xff, 4, 0]
    );
}

#[test_case(Some(MAC), 1; "from the card that is asked for")]
#[test_case(None, 0; "from the first where none is")]
fn the_network_is_started_once(card: Option<MacAddr>, number: u16) {
    let folder = firmware();
    let entry = boot_network_once(folder.path(), card.as_slice()).unwrap();
    assert_eq!((entry.number, next(folder.path())), (number, number));
}

#[test]
fn the_disk_is_started_once_by_an_entry_that_is_on() {
    let folder = firmware();
    boot_disk_once(folder.path()).unwrap();
    assert_eq!(next(folder.path()), 2);
}

#[test]
fn those_that_are_liked_come_first_and_keep_their_order() {
    let menu = Menu::read(firmware().path()).unwrap();
    assert_eq!(menu.reordered(Entry::is_network), [0, 1, 3, 2]);
    assert_eq!(
        menu.reordered(|entry| entry.partition().is_some()),
        [3, 2, 0, 1]
    );
}

#[test]
fn a_firmware_without_a_list_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(boot_disk_once(folder.path()).is_err());
    assert!(boot_network_once(folder.path(), &[]).is_err());
}

#[test]
fn no_part_of_an_entry_and_no_garbage_does_harm() {
    let whole = network(1, "PXE", Some(MAC)).bytes();
    for end in 0..whole.len() {
        let entry = Entry::read(1, &whole[..end]);
        assert_eq!(entry, None, "{end}");
    }
    for place in 0..whole.len() {
        let mut broken = whole.clone();
        broken[place] = 0;
        if let Some(entry) = Entry::read(1, &broken) {
            entry.is_network();
            entry.card();
        }
    }
}
