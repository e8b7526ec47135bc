use std::io::Cursor;

use test_case::test_case;

use super::*;

const SIZE: usize = 4 << 20;

fn found(bytes: &[u8]) -> Vec<String> {
    of(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
}

fn with(at: usize, mark: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[at..at + mark.len()].copy_from_slice(mark);
    bytes
}

#[test_case("xfs", 0, b"XFSB")]
#[test_case("btrfs", 0x10040, b"_BHRfS_M")]
#[test_case("luks", 0, b"LUKS\xba\xbe\x00\x02")]
#[test_case("lvm", 512, b"LABELONE")]
#[test_case("swap", 4086, b"SWAPSPACE2")]
#[test_case("iso9660", 0x8001, b"CD001")]
#[test_case("mdraid", 4096, &RAID; "mdraid 1.2")]
#[test_case("mdraid", 0, &RAID; "mdraid 1.1")]
#[test_case("mdraid", SIZE - 8192, &RAID; "mdraid 1.0")]
#[test_case("mdraid", SIZE - 65536, &RAID; "mdraid 0.90")]
#[test_case("zfs", 128 * 1024 + 7 * 1024, &0x00ba_b10c_u64.to_le_bytes())]
#[test_case("gpt", 4096, b"EFI PART"; "gpt of sectors of 4096")]
#[test_case("gpt", SIZE - 512, b"EFI PART"; "the backup of a gpt")]
#[test_case("ext2", 0x438, &[0x53, 0xef])]
fn a_mark_is_found(kind: &str, at: usize, mark: &[u8]) {
    assert_eq!(found(&with(at, mark)), [kind]);
}

#[test]
fn a_disk_of_zeros_is_blank() {
    assert!(found(&vec![0; SIZE]).is_empty());
    assert!(found(&[]).is_empty());
    assert!(found(&[0; 700]).is_empty());
}

#[test]
fn a_boot_sector_without_a_partition_is_no_table() {
    let mut bytes = with(510, &[0x55, 0xaa]);
    assert!(found(&bytes).is_empty());
    bytes[446 + 4] = 0x83;
    bytes[446 + 12] = 8;
    assert_eq!(found(&bytes), ["mbr"]);
    bytes[446 + 4] = 0xee;
    assert!(
        found(&bytes).is_empty(),
        "the shield of a GPT is no table of its own"
    );
}

#[test]
fn what_an_earlier_use_left_is_told_too() {
    let mut bytes = with(0x438, &[0x53, 0xef]);
    bytes[0x460] = 0x40;
    bytes[SIZE - 8192..SIZE - 8188].copy_from_slice(&RAID);
    assert_eq!(found(&bytes), ["ext4", "mdraid"]);
}

/// Each with its own maker's program, where this machine has it.
#[test_case("ext4", &["mke2fs", "-q", "-F", "-t", "ext4"])]
#[test_case("ext3", &["mke2fs", "-q", "-F", "-t", "ext3"])]
#[test_case("xfs", &["mkfs.xfs", "-q", "-f"])]
#[test_case("vfat", &["mkfs.vfat"])]
#[test_case("swap", &["mkswap", "-q"])]
fn what_the_real_programs_make_is_found(kind: &str, program: &[&str]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(320 << 20).unwrap();
    let made = std::process::Command::new(program[0])
        .args(&program[1..])
        .arg(file.path())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output();
    match made {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        made => assert!(made.unwrap().status.success()),
    }
    assert_eq!(of(&mut file.as_file(), 320 << 20).unwrap(), [kind]);
}
