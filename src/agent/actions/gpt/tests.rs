use std::io::Cursor;
use std::process::Command;

use test_case::test_case;

use super::*;

fn table(sector: u64, bytes: u64) -> Table {
    let entry = |number, kind, first: u64, last: u64, name: &str| Entry {
        number,
        kind,
        guid: new_guid().unwrap(),
        first: first / sector,
        last: last / sector - 1,
        attributes: u64::from(number),
        name: name.into(),
    };
    Table {
        disk: new_guid().unwrap(),
        sector,
        sectors: bytes / sector,
        entries: vec![
            entry(1, EFI_SYSTEM, ALIGN, 4 * ALIGN, "EFI"),
            entry(3, LINUX, 4 * ALIGN, 15 * ALIGN, "root é"),
        ],
    }
}

fn written(table: &Table) -> Vec<u8> {
    let mut disk = Cursor::new(vec![
        0;
        usize::try_from(table.sector * table.sectors).unwrap()
    ]);
    table.write(&mut disk).unwrap();
    table.write_shield(&mut disk).unwrap();
    disk.into_inner()
}

#[test_case(512)]
#[test_case(4096)]
fn a_table_reads_back_as_it_was_written(sector: u64) {
    let table = table(sector, 16 * ALIGN);
    let disk = written(&table);
    let read = Table::read(&mut Cursor::new(&disk), sector, table.sectors).unwrap();
    assert_eq!(read, Some(table));
}

#[test]
fn the_types_are_those_that_are_known() {
    let text = |guid: Guid| uuid::Uuid::from_bytes_le(guid).to_string();
    assert_eq!(text(EFI_SYSTEM), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    assert_eq!(text(BIOS_BOOT), "21686148-6449-6e6f-744e-656564454649");
    assert_eq!(text(LINUX), "0fc63daf-8483-4772-8e79-3d69d8477de4");
    assert_eq!(text(LINUX_SWAP), "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
    assert_eq!(text(LINUX_RAID), "a19d880f-05fc-4d3b-a006-743f0f84911e");
    assert_eq!(text(LINUX_LVM), "e6d6d379-f507-44c2-a23c-238f2a3df928");
    assert_eq!(new_guid().unwrap()[7] >> 4, 4);
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

/// What sfdisk makes of it, where this machine has it.
#[test]
fn another_program_reads_it_without_a_complaint() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), written(&table(512, 16 * ALIGN))).unwrap();
    let seen = Command::new("sfdisk")
        .arg("--verify")
        .arg(file.path())
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output();
    match seen {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        seen => {
            let seen = seen.unwrap();
            let text = String::from_utf8_lossy(&seen.stdout).into_owned()
                + &String::from_utf8_lossy(&seen.stderr);
            assert!(
                seen.status.success() && text.contains("No errors detected"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_byte_that_is_wrong_is_seen() {
    let table = table(512, 16 * ALIGN);
    let disk = written(&table);
    for at in [512, 560, 1024, 1024 + 300] {
        let mut broken = disk.clone();
        broken[at] ^= 1;
        let read = Table::read(&mut Cursor::new(&broken), 512, table.sectors).unwrap();
        assert_eq!(read, None, "{at}");
    }
}

#[test]
fn a_disk_that_ends_too_early_is_an_error() {
    assert!(Table::read(&mut Cursor::new(&[0; 100]), 512, 1).is_err());
}
