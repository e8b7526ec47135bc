use test_case::test_case;

use super::ipxe::feature;
use super::*;
use crate::net::dhcp::fixtures::*;

#[test_case(EDK2_X64, "UEFI x64 (PXE)", Some(Platform::X64))]
#[test_case(EDK2_X64_9, "UEFI x64 (PXE)", Some(Platform::X64))]
#[test_case(EDK2_HTTP, "UEFI x64 (HTTP boot)", Some(Platform::X64))]
#[test_case(EDK2_ARM64, "UEFI arm64 (PXE)", Some(Platform::Arm64))]
#[test_case(IPXE_ROM, "BIOS (iPXE)", Some(Platform::Bios))]
#[test_case(INTEL_UNDI, "BIOS (PXE)", Some(Platform::Bios))]
#[test_case(RASPBERRY_PI_4, "Raspberry Pi", Some(Platform::RaspberryPi))]
#[test_case(U_BOOT, "U-Boot (U-Boot)", Some(Platform::UBoot))]
#[test_case(VMWARE, "UEFI x64 (PXE)", Some(Platform::X64))]
#[test_case(UDHCPC, "plain DHCP", None)]
fn every_firmware_is_told_apart(model: Model, described: &str, platform: Option<Platform>) {
    let client = model.client();
    assert_eq!(client.describe(), described);
    assert_eq!(client.platform(), platform);
    assert_eq!(client.boots(), model.name != "udhcpc");
}

#[test]
fn ipxe_says_what_it_can() {
    let Firmware::Ipxe(rom) = IPXE_ROM.client().firmware else {
        panic!();
    };
    assert!(rom.runs_scripts() && rom.has(feature::HTTP));
    assert_eq!(
        (rom.version.as_deref(), rom.user_class),
        (Some("1.21.1"), None)
    );
    let Firmware::Ipxe(poor) = IPXE_POOR.client().firmware else {
        panic!();
    };
    assert!(!poor.runs_scripts());
}

#[test_case(&[(77, b"iPXE".as_slice())], true; "as iPXE sends it")]
#[test_case(&[(77, b"\x04iPXE".as_slice())], true; "as RFC 3004 wants it")]
#[test_case(&[(175, b"\x13\x01\x01".as_slice())], true; "by its features")]
#[test_case(&[(77, b"iPXE-like".as_slice())], false; "another class")]
#[test_case(&[(77, b"".as_slice())], false; "none")]
fn ipxe_is_known_by_its_own_options(options: &[(u8, &[u8])], is: bool) {
    let bytes = EDK2_X64.changed(DISCOVER, 1, |packet| {
        for (code, data) in options {
            packet.options.set(*code, *data);
        }
    });
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    assert_eq!(matches!(client.firmware, Firmware::Ipxe(_)), is);
}

#[test_case(Some("0007 0010 000b"), "=PXEClient", &[7, 16, 11]; "all of them are kept")]
#[test_case(Some("0007 00"), "=PXEClient", &[7]; "half of one is none")]
#[test_case(None, "=PXEClient:Arch:00009:UNDI:003016", &[9]; "from option 60")]
#[test_case(None, "=PXEClient:Arch:x", &[0]; "from neither")]
#[test_case(None, "=HTTPClient", &[]; "HTTP boot without one")]
fn architectures_come_from_93_or_from_60(option: Option<&str>, class: &str, archs: &[u16]) {
    let bytes = EDK2_X64.changed(DISCOVER, 1, |packet| {
        packet.options.take(93);
        packet.options.set(60, &class.as_bytes()[1..]);
        if let Some(option) = option {
            packet.options.set(93, hex(option));
        }
    });
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    let found: Vec<u16> = client.archs.iter().map(|arch| arch.0).collect();
    assert_eq!(found, archs);
}

#[test]
fn the_first_architecture_with_a_platform_counts() {
    let bytes = EDK2_X64.changed(DISCOVER, 1, |packet| {
        packet.options.set(93, hex("0003 0007"));
    });
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    assert_eq!(client.arch(), Some(Arch(7)));
}

#[test_case("00 000102030405060708090a0b0c0d0e0f", true; "as RFC 4578 has it")]
#[test_case("01 000102030405060708090a0b0c0d0e0f", false; "of another type")]
#[test_case("", false; "empty")]
#[test_case("00 0001", false; "short")]
fn option_97_is_kept_as_it_came(data: &str, is: bool) {
    let bytes = EDK2_X64.changed(DISCOVER, 1, |packet| packet.options.set(97, hex(data)));
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    assert_eq!(client.uuid.is_some(), is);
    assert_eq!(client.uuid_raw, Some(hex(data)));
}

#[test]
fn uefi_on_a_pi_is_uefi() {
    let bytes = RASPBERRY_PI_4.changed(DISCOVER, 1, |packet| packet.options.set(93, hex("000b")));
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    assert_eq!(client.platform(), Some(Platform::Arm64));
}

#[test]
fn a_u_boot_that_wants_an_address_alone_is_a_plain_client() {
    let bytes = U_BOOT.changed(DISCOVER, 1, |packet| {
        packet.options.take(93);
    });
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    assert_eq!(client.firmware, Firmware::Plain);
}

#[test]
fn bytes_of_the_wire_are_escaped_and_bounded() {
    let class = [b"PXEClient\x1b[2J\xff".as_slice(), &[b'x'; 200]].concat();
    let bytes = EDK2_X64.changed(DISCOVER, 1, |packet| packet.options.set(60, class));
    let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
    assert!(client.vendor.starts_with("PXEClient\\x1b[2J\\xff"));
    assert!(client.vendor.is_ascii() && client.vendor.len() <= 4 * 64);
}

#[test]
fn a_name_loses_its_nul() {
    assert_eq!(text(b"web01\0\0"), "web01");
    assert_eq!(text(b"\0"), "");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_but_its_own_words_makes_a_client_boot(class in "[ -~]{0,40}", hostname: Vec<u8>) {
            let bytes = UDHCPC.changed(DISCOVER, 1, |packet| {
                packet.options.set(60, class.clone());
                packet.options.set(12, hostname);
            });
            let client = Client::read(&Packet::read(&bytes).unwrap()).unwrap();
            let says = class.starts_with("PXEClient") || class.starts_with("HTTPClient");
            prop_assert_eq!(client.boots(), says);
        }
    }
}
