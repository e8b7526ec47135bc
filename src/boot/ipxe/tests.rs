use std::net::Ipv4Addr;

use test_case::test_case;

use super::*;

const SERVER: &str = "192.168.77.3:3080";

fn server() -> SocketAddr {
    SERVER.parse().unwrap()
}

fn scripts() -> Scripts {
    Scripts::new().unwrap()
}

fn guest(name: &str, platform: Option<Platform>) -> Guest<'_> {
    Guest {
        name,
        mac: MacAddr::new([0x52, 0x54, 0, 1, 2, 3]),
        address: IpAddr::V4(Ipv4Addr::new(192, 168, 77, 100)),
        platform,
        agent: Some(&*AGENT),
        installer: None,
    }
}

static AGENT: std::sync::LazyLock<Invited> = std::sync::LazyLock::new(|| Invited {
    load: Load {
        kernel: "/agent/amd64/vmlinuz".into(),
        initrds: vec![
            "/agent/amd64/initrd.zst".into(),
            "/agent/amd64/firmware.zst".into(),
        ],
    },
    port: 3081,
    pin: "ab".repeat(32),
    token: "cd".repeat(56),
});

fn decided(boot: Boot) -> Decision {
    Decision {
        boot,
        why: "a test says so",
    }
}

fn kernel(cmdline: &str) -> Once {
    Once::Kernel {
        kernel: "http://192.0.2.1/vmlinuz".to_owned(),
        initrds: vec![
            "http://192.0.2.1/a".to_owned(),
            "http://192.0.2.1/b".to_owned(),
        ],
        cmdline: cmdline.to_owned(),
    }
}

/// Every kind of script that there is.
fn all(name: &str) -> Vec<String> {
    let scripts = scripts();
    let url = "http://192.0.2.1/a?b=c&d".to_owned();
    let boots = [
        Boot::Local,
        Boot::Silence,
        Boot::Wait,
        Boot::Agent,
        Boot::Once(Once::Shell),
        Boot::Once(Once::Chain { url }),
        Boot::Once(kernel("console=ttyS0 quiet")),
    ];
    let mut all = vec![
        scripts.autoexec(server()).unwrap(),
        scripts.entry(server()).unwrap(),
    ];
    for boot in boots {
        for platform in [None, Some(Platform::Bios), Some(Platform::X64)] {
            let guest = guest(name, platform);
            let decision = decided(boot.clone());
            all.push(scripts.machine(server(), &guest, &decision).unwrap());
        }
    }
    all
}

fn machine(platform: Platform, boot: Boot) -> String {
    let guest = guest("brave-otter", Some(platform));
    scripts().machine(server(), &guest, &decided(boot)).unwrap()
}

#[test]
fn every_script_begins_as_one_shows_79_columns_at_most_and_leads_on_from_its_last_line() {
    for script in all(&"brave-otter ".repeat(20)) {
        assert!(script.starts_with("#!ipxe\n"), "{script}");
        let mut shown = script.lines().filter_map(|line| line.strip_prefix("echo "));
        assert!(shown.all(|text| text.len() <= COLUMNS), "{script}");
        let last = script.trim_end().lines().last().unwrap();
        assert!(last.starts_with("goto ") || last == "exit 1", "{script}");
        assert!(!script.contains("{%") && !script.contains("{{"), "{script}");
    }
}

#[test]
fn every_label_is_there_once_and_every_goto_has_one() {
    for script in all("brave-otter") {
        let labels: Vec<_> = script.lines().filter_map(|l| l.strip_prefix(':')).collect();
        for label in &labels {
            assert_eq!(labels.iter().filter(|l| l == &label).count(), 1, "{script}");
        }
        let words: Vec<_> = script.split_whitespace().collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "goto") {
            assert!(labels.contains(&pair[1]), "{} in {script}", pair[1]);
        }
    }
}

#[test]
fn what_can_fail_has_a_way_out() {
    let fails = [
        "chain", "kernel", "initrd", "boot", "dhcp", "sanboot", "shell",
    ];
    for script in all("brave-otter") {
        for line in script.lines() {
            let command = line.split(' ').next().unwrap();
            assert!(!fails.contains(&command) || line.contains("||"), "{line}");
        }
    }
}

#[test]
fn the_banner_tells_name_card_address_and_platform() {
    let script = machine(Platform::X64, Boot::Local);
    assert!(script.contains("\necho Dragonfly: script reached, brave-otter\n"));
    assert!(script.contains("\necho 52:54:00:01:02:03, 192.168.77.100, UEFI x64\n"));
    assert!(script.contains("a test says so"));
}

#[test]
fn a_bios_goes_to_its_first_disk_and_uefi_to_its_next_entry() {
    let bios = machine(Platform::Bios, Boot::Local);
    assert!(bios.contains("sanboot --no-describe --drive 0x80 ||"));
    assert!(!bios.contains("exit"));
    let efi = machine(Platform::Arm64, Boot::Local);
    assert!(efi.ends_with("\nexit 1\n"));
}

#[test]
fn every_url_names_the_address_that_was_asked() {
    for script in [scripts().autoexec(server()), scripts().entry(server())] {
        assert!(script.unwrap().contains("http://192.168.77.3:3080/ipxe/"));
    }
    let six: SocketAddr = "[fd00::1]:3080".parse().unwrap();
    let script = scripts().entry(six).unwrap();
    assert!(script.contains("http://[fd00::1]:3080/ipxe/machine/"));
}

#[test]
fn a_kernel_gets_its_disks_and_its_command_line() {
    let script = machine(
        Platform::X64,
        Boot::Once(kernel("  console=ttyS0   a=b&&c ")),
    );
    let line = "kernel --name kernel http://192.0.2.1/vmlinuz initrd=initrd.magic console=ttyS0 a=b&&c || goto failed\n";
    assert!(script.contains(line), "{script}");
    assert!(script.contains("initrd --name initrd2 http://192.0.2.1/b || goto failed\n"));
}

#[test_case("a\nshell\n"; "a line of its own")]
#[test_case("a\r\nshell"; "with a return")]
#[test_case("${netX/mac} $${x}"; "a variable")]
#[test_case("$ {x} a${"; "halves of one")]
#[test_case("a || shell && shell ; shell # b"; "a next command")]
#[test_case("\u{2028}\u{0}\u{1b}[2J\u{202e}ü"; "what is not ascii")]
#[test_case("{{ base }}{% include 'shell.ipxe' %}"; "our own templates")]
#[test_case("--option"; "an option")]
fn a_name_changes_nothing_of_a_script(name: &str) {
    let count = |script: &String| (script.lines().count(), script.matches("||").count());
    let expected: Vec<_> = all("brave-otter").iter().map(count).collect();
    let found = all(name);
    assert_eq!(found.iter().map(count).collect::<Vec<_>>(), expected);
    for script in found.iter().filter(|script| script.contains("reached")) {
        let line = script
            .lines()
            .find(|line| line.contains("reached"))
            .unwrap();
        let said = line
            .strip_prefix("echo Dragonfly: script reached, ")
            .unwrap();
        assert!(!said.contains(['$', ';', '|', '&', '#']), "{line}");
    }
}

#[test]
fn a_long_name_is_cut() {
    let cut = words(&"x".repeat(200), MAX_NAME);
    assert_eq!(cut.len(), MAX_NAME);
    assert!(cut.ends_with("x.."));
}

#[test_case(Once::Chain { url: "http://a/\nshell".to_owned() }; "a url of two lines")]
#[test_case(Once::Chain { url: "http://a/${x}".to_owned() }; "a url with a variable")]
#[test_case(kernel("quiet || shell"); "a command line of two commands")]
fn an_order_that_slipped_in_unchecked_is_refused_here(once: Once) {
    let guest = guest("brave-otter", None);
    let script = scripts().machine(server(), &guest, &decided(Boot::Once(once)));
    assert!(matches!(script, Err(ScriptError::Order(_))));
}

#[test_case("a\nb"; "a line break")]
#[test_case("${x}"; "a variable")]
#[test_case("ü"; "what is not ascii")]
fn the_renderer_itself_writes_no_such_value(value: &str) {
    let rendered = scripts().render("return.ipxe", context! { base => value });
    assert!(matches!(rendered, Err(ScriptError::Template(_))));
    let nothing = scripts().render("return.ipxe", context! {});
    assert!(nothing.is_err());
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_words(text in ".*", max in 2_usize..80) {
            let words = words(&text, max);
            prop_assert!(words.len() <= max);
            prop_assert!(words.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
            prop_assert!(!words.contains(['$', ';', '|', '&', '#']));
        }

        #[test]
        fn an_order_that_passes_its_check_stays_one_command(url in "http://[ -~\n]{1,40}", cmdline in "[ -~\n]{0,40}") {
            let once = Once::Kernel { kernel: url, initrds: Vec::new(), cmdline };
            let guest = guest("brave-otter", None);
            if let Ok(script) = scripts().machine(server(), &guest, &decided(Boot::Once(once))) {
                let lines = script.lines().count();
                prop_assert_eq!(lines, machine(Platform::X64, Boot::Once(kernel(""))).lines().count() - 2);
                let line = script.lines().find(|line| line.starts_with("kernel ")).unwrap();
                let ends = line.split(' ').filter(|w| ["||", "&&", ";"].contains(w) || w.starts_with('#')).count();
                prop_assert_eq!(ends, 1);
                let variable = line.contains("${");
                prop_assert!(!variable);
            }
        }
    }
}

#[test]
fn the_agent_is_told_where_the_server_is_and_how_to_know_it() {
    let script = machine(Platform::X64, Boot::Agent);
    let kernel = script
        .lines()
        .find(|line| line.starts_with("kernel "))
        .unwrap();
    let words: Vec<_> = kernel.split(' ').collect();
    for word in [
        "http://192.168.77.3:3080/agent/amd64/vmlinuz",
        "initrd=initrd.magic",
        "BOOTIF=01-52-54-00-01-02-03",
        "dragonfly.server=192.168.77.3:3081",
        "dragonfly.files=192.168.77.3:3080",
        "dragonfly.mac=52:54:00:01:02:03",
        &format!("dragonfly.pin={}", AGENT.pin),
        &format!("dragonfly.token={}", AGENT.token),
    ] {
        assert!(words.contains(&word), "{word} in {kernel}");
    }
    assert!(
        script.contains("\ninitrd --name initrd1 http://192.168.77.3:3080/agent/amd64/initrd.zst ")
    );
    assert!(
        script
            .contains("\ninitrd --name initrd2 http://192.168.77.3:3080/agent/amd64/firmware.zst ")
    );
    // A Linux kernel cuts a longer one.
    assert!(kernel.len() < 2048, "{}", kernel.len());
}

#[test]
fn a_machine_whose_agent_does_not_start_goes_on_to_its_disk() {
    let efi = machine(Platform::X64, Boot::Agent);
    assert!(efi.contains("\niseq ${tries} 3 && goto local ||\n"));
    assert!(efi.ends_with("\nexit 1\n"));
    let bios = machine(Platform::Bios, Boot::Agent);
    assert!(bios.contains("sanboot --no-describe --drive 0x80 ||"));
}

#[test]
fn without_an_invitation_there_is_no_agent() {
    let guest = Guest {
        agent: None,
        installer: None,
        ..guest("brave-otter", Some(Platform::X64))
    };
    let made = scripts().machine(server(), &guest, &decided(Boot::Agent));
    assert!(matches!(made, Err(ScriptError::NoInvitation)));
}
