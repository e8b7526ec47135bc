use std::fs;

use tempfile::TempDir;
use test_case::test_case;

use super::*;
use crate::model::NicKind::{Fixed, Removable};
use crate::model::disk::DiskKind;

/// A machine of files.
struct Bench {
    root: TempDir,
    places: Places,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let places = Places {
            sys: root.path().join("sys"),
            proc: root.path().join("proc"),
            dev: root.path().join("dev"),
            look: None,
        };
        Self { root, places }
    }

    fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A disk of so many sectors of 512, with bytes at its start.
    fn disk(&self, name: &str, sectors: u64, content: &[u8]) {
        self.put(&format!("sys/block/{name}/size"), format!("{sectors}\n"));
        self.put(&format!("dev/{name}"), content);
        let file = fs::OpenOptions::new()
            .write(true)
            .open(self.places.dev.join(name))
            .unwrap();
        file.set_len(sectors * 512).unwrap();
    }
}

#[test]
fn a_whole_machine_is_read() {
    let bench = Bench::new();
    let cpu = "processor\t: 0\nmodel name\t: Intel(R)  Xeon(R) CPU\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\n";
    bench.put("proc/cpuinfo", cpu);
    bench.put("proc/meminfo", "MemTotal:        1024 kB\n");
    for (cpu, core) in [(0, 0), (1, 0)] {
        bench.put(
            &format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"),
            "0\n",
        );
        bench.put(
            &format!("sys/devices/system/cpu/cpu{cpu}/topology/core_id"),
            format!("{core}\n"),
        );
    }
    bench.put("sys/class/dmi/id/sys_vendor", "QEMU\n");
    bench.put("sys/class/dmi/id/product_name", "Standard PC (Q35)\n");
    bench.put(
        "sys/class/dmi/id/product_serial",
        "To Be Filled By O.E.M.\n",
    );
    bench.put(
        "sys/class/dmi/id/product_uuid",
        "03010203-0405-0607-0809-0a0b0c0d0eff\n",
    );
    bench.put(
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        [6, 0, 0, 0, 1],
    );
    bench.put("sys/bus/pci/devices/0000:00:01.0/vendor", "0x1234\n");
    bench.put("sys/bus/pci/devices/0000:00:01.0/device", "0x1111\n");
    bench.put("sys/bus/pci/devices/0000:00:01.0/class", "0x030000\n");
    let hardware = hardware(&bench.places);
    assert_eq!(hardware.cpu_model.as_deref(), Some("Intel(R) Xeon(R) CPU"));
    assert_eq!(
        (hardware.cpu_cores, hardware.cpu_threads),
        (Some(1), Some(2))
    );
    assert_eq!(hardware.memory_bytes, Some(1 << 20));
    assert_eq!(hardware.virt_platform.as_deref(), Some("kvm"));
    assert_eq!(
        hardware.serial, None,
        "what a vendor left in is no serial number"
    );
    assert_eq!(
        (hardware.firmware.as_deref(), hardware.secure_boot),
        (Some("uefi"), Some(true))
    );
    assert_eq!(hardware.gpus[0].name, "QEMU 1234:1111");
    assert_eq!(hardware.pci_ids, ["1234:1111"]);
    let evidence = evidence(&bench.places, "52:54:00:00:00:01".parse().unwrap());
    assert!(evidence.smbios_uuid.is_some());
}

#[test]
fn a_machine_without_files_is_empty_and_not_blank() {
    let bench = Bench::new();
    let hardware = hardware(&bench.places);
    assert!(
        hardware.disks.is_empty() && hardware.network_interfaces.is_empty() && !hardware.is_virtual
    );
    assert!(!hardware.is_blank());
}

#[test]
fn what_is_no_text_or_no_number_is_absent() {
    let bench = Bench::new();
    bench.put("proc/cpuinfo", [0xff; 100]);
    bench.put("proc/meminfo", "MemTotal: 99999999999999999999 kB\n");
    bench.put("sys/class/dmi/id/sys_vendor", [0xff, 0xfe]);
    bench.put("sys/firmware/dmi/tables/DMI", [17, 200, 0, 0, 1]);
    bench.put("sys/block/sda/size", "-1\n");
    bench.put("sys/block/sdb/size", "99999999999999999999\n");
    bench.put(
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        [6],
    );
    let hardware = hardware(&bench.places);
    assert_eq!(
        (hardware.cpu_model, hardware.memory_bytes, hardware.vendor),
        (None, None, None)
    );
    assert_eq!((hardware.disks, hardware.secure_boot), (vec![], None));
}

#[test]
fn disks_tell_their_names_and_what_is_on_them() {
    let bench = Bench::new();
    bench.disk("sda", 2048, b"XFSB");
    bench.put("sys/block/sda/device/model", "QEMU HARDDISK   \n");
    bench.put("sys/block/sda/device/vendor", "ATA     \n");
    bench.put("sys/block/sda/device/vpd_pg80", b"\0\x80\0\x14A1      ");
    bench.put("sys/block/sda/queue/logical_block_size", "4096\n");
    bench.disk("vdb", 2048, b"");
    bench.put("sys/block/vdb/serial", "B2\n");
    bench.disk("loop0", 2048, b"");
    bench.disk("nvme0n1", 4096, b"");
    bench.put("sys/block/nvme0n1/ro", "1\n");
    bench.put("sys/block/nvme0n1/nvme0n1p1/partition", "1\n");
    bench.put("sys/block/nvme0n1/nvme0n1p1/start", "2048\n");
    bench.put("sys/block/nvme0n1/nvme0n1p1/size", "1024\n");
    bench.put(
        "dev/nvme0n1p1",
        [&[0; 4086][..], b"SWAPSPACE2", &[0; 8192]].concat(),
    );
    bench.put(
        "proc/mounts",
        "/dev/nvme0n1p1 /boot ext4 rw 0 0\n/dev/sda1 /run/dragonfly/target xfs rw 0 0\n",
    );
    let disks = hardware(&bench.places).disks;
    let [nvme, sda, vdb] = disks.as_slice() else {
        panic!("{disks:?}");
    };
    assert_eq!(sda.serial.as_deref(), Some("A1"));
    assert_eq!(sda.links, ["/dev/disk/by-id/ata-QEMU_HARDDISK_A1"]);
    assert_eq!(
        (sda.sector_bytes, sda.kind),
        (Some(4096), Some(DiskKind::Virtual))
    );
    assert_eq!(sda.contents.as_deref(), Some(&["xfs".to_owned()][..]));
    assert!(
        !sda.booted_from,
        "a system that is being installed is not the one that runs"
    );
    assert_eq!(vdb.contents.as_deref(), Some(&[][..]));
    assert_eq!(vdb.links, ["/dev/disk/by-id/virtio-B2"]);
    assert_eq!(nvme.contents.as_deref(), Some(&["swap".to_owned()][..]));
    assert!(nvme.read_only && nvme.booted_from);
}

#[test]
fn a_disk_on_usb_has_the_serial_number_of_its_device() {
    let bench = Bench::new();
    let device = "sys/devices/pci0000:00/0000:00:14.0/usb1/1-1";
    bench.put(&format!("{device}/idVendor"), "46f4\n");
    bench.put(&format!("{device}/serial"), "C3\n");
    let disk = format!("{device}/1-1:1.0/host6/target6:0:0/6:0:0:0/block/sdc");
    bench.put(&format!("{disk}/size"), "2048\n");
    bench.put(&format!("{disk}/device/vendor"), "QEMU    \n");
    bench.put(&format!("{disk}/device/model"), "STICK\n");
    let sys = &bench.places.sys;
    fs::create_dir_all(sys.join("block")).unwrap();
    let inside = disk.strip_prefix("sys").unwrap();
    std::os::unix::fs::symlink(format!("..{inside}"), sys.join("block/sdc")).unwrap();
    let disks = hardware(&bench.places).disks;
    assert_eq!(disks[0].serial.as_deref(), Some("C3"));
    assert_eq!(disks[0].links, ["/dev/disk/by-id/usb-QEMU_STICK_C3-0:0"]);
    assert!(disks[0].removable);
}

#[test]
fn a_disk_that_cannot_be_read_is_not_said_to_be_blank() {
    let bench = Bench::new();
    bench.put("sys/block/sda/size", "2048\n");
    let disks = hardware(&bench.places).disks;
    assert_eq!(disks[0].contents, None);
}

#[test]
fn cards_are_told_apart_by_what_they_hang_on() {
    let bench = Bench::new();
    let sys = &bench.places.sys;
    for (name, mac, device) in [
        (
            "eth0",
            "52:54:00:00:00:01",
            Some("devices/pci0000:00/0000:00:02.0"),
        ),
        (
            "eth1",
            "52:54:00:00:00:02",
            Some("devices/pci0000:00/0000:00:14.0/usb1/1-1"),
        ),
        (
            "eth2",
            "52:54:00:00:00:03",
            Some("devices/pci0000:00/0000:00:07.0/0000:04:00.0"),
        ),
        ("eth0.7", "52:54:00:00:00:01", None),
    ] {
        bench.put(&format!("sys/class/net/{name}/type"), "1\n");
        bench.put(&format!("sys/class/net/{name}/address"), format!("{mac}\n"));
        bench.put(&format!("sys/class/net/{name}/speed"), "-1\n");
        if let Some(device) = device {
            bench.put(&format!("sys/{device}/vendor"), "0x8086\n");
            let place = sys.join("class/net").join(name).join("device");
            std::os::unix::fs::symlink(sys.join(device), place).unwrap();
        }
    }
    bench.put(
        "sys/devices/pci0000:00/0000:00:07.0/removable",
        "removable\n",
    );
    let kinds: Vec<_> = nics::evidence(sys).iter().map(|nic| nic.kind).collect();
    assert_eq!(kinds, [Fixed, Removable, Removable]);
    let seen = nics::look(sys);
    assert_eq!(seen.len(), 3, "a VLAN is no card");
    assert_eq!(seen[0].speed_mbps, None);
}

#[test_case(
    "usr/lib/os-release",
    "PRETTY_NAME=\"Debian GNU/Linux 13\"\nID=debian\n",
    Some("Debian GNU/Linux 13")
)]
#[test_case("@/etc/os-release", "ID=x\nPRETTY_NAME='Tumbleweed'\n", Some("Tumbleweed"); "on a subvolume")]
#[test_case("EFI/Microsoft/Boot/bootmgfw.efi", "MZ", Some("Windows"))]
#[test_case("etc/os-release", "ID=x\n", None; "without a name")]
fn a_system_says_what_it_is(file: &str, text: &str, name: Option<&str>) {
    let bench = Bench::new();
    bench.put(file, text);
    assert_eq!(os::name_in(bench.root.path()).as_deref(), name);
}

#[test]
fn a_pipe_where_a_name_should_be_keeps_nobody_waiting() {
    let bench = Bench::new();
    let place = bench.root.path().join("usr/lib");
    fs::create_dir_all(&place).unwrap();
    nix::unistd::mkfifo(&place.join("os-release"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("/etc/os-release", bench.root.path().join("etc")).unwrap();
    assert_eq!(os::name_in(bench.root.path()), None);
}

#[test]
fn memory_is_what_is_plugged_in() {
    let bench = Bench::new();
    let mut device = vec![17, 0x22, 0, 0];
    device.resize(0x22, 0);
    let mut table = Vec::new();
    for (size, extended) in [(2048_u16, 0_u32), (0x7fff, 65536), (0xffff, 0), (0, 0)] {
        device[0x0c..0x0e].copy_from_slice(&size.to_le_bytes());
        device[0x1c..0x20].copy_from_slice(&extended.to_le_bytes());
        table.extend(&device);
        table.extend(b"DIMM 0\0\0");
    }
    table.extend([127, 4, 0, 0, 0, 0]);
    bench.put("sys/firmware/dmi/tables/DMI", &table);
    assert_eq!(
        hardware(&bench.places).memory_bytes,
        Some((2048 + 65536) << 20)
    );
    for end in 0..table.len() {
        bench.put("sys/firmware/dmi/tables/DMI", &table[..end]);
        hardware(&bench.places);
    }
}
