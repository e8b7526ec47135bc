use serde_json::Value;
use test_case::test_case;

use super::*;
use crate::model::machine::Disk;
use crate::provision::first_boot::tests::{full, machine};

/// A machine's own installation, for each language in turn.
struct Case {
    machine: Machine,
    defaults: Defaults,
    installer: Installer,
    links: Links,
}

fn case(kind: Answers) -> Case {
    let mut machine = machine();
    machine.config.hostname = Some("web01.example.net".parse().unwrap());
    machine.hardware.disks = vec![disk("sda", &["/dev/disk/by-id/ata-A1"])];
    let link = |what: &str| format!("http://192.0.2.1:3080/answers/{what}/5ec2e7");
    Case {
        machine,
        defaults: full(),
        installer: Installer {
            kernel: "http://192.0.2.1:3080/linux".into(),
            initrd: None,
            cmdline: String::new(),
            answers: kind,
            source: Some("http://deb.example.net/debian".into()),
            suite: Some("trixie".into()),
            packages: if kind == Answers::Ignition {
                ""
            } else {
                "vim htop"
            }
            .into(),
            disk: DiskRule::Auto,
        },
        links: Links {
            finish: link("finish"),
            installed: link("installed"),
            home: link("home"),
        },
    }
}

fn disk(device: &str, links: &[&str]) -> Disk {
    Disk {
        device: device.into(),
        size_bytes: 20 << 30,
        links: links.iter().map(|link| (*link).to_owned()).collect(),
        ..Disk::default()
    }
}

impl Case {
    fn questions(&self) -> Questions<'_> {
        Questions {
            machine: &self.machine,
            defaults: &self.defaults,
            installer: &self.installer,
            links: &self.links,
        }
    }

    fn answers(&self) -> Result<String, AnswersError> {
        answers(&self.questions())
    }

    /// A key whose comment holds everything that means something somewhere.
    fn hostile(mut self) -> Self {
        let key = format!("{} {HOSTILE}", self.defaults.ssh_keys[0]);
        self.defaults.ssh_keys = vec![key.parse().unwrap()];
        self
    }
}

const HOSTILE: &str = r#"a'b"c\d $(touch x) `id` ${HOME} <!&amp;]]> %end #{y} {{z}} ; | & \"#;

#[test_case(Answers::Preseed)]
#[test_case(Answers::Kickstart)]
#[test_case(Answers::Autoinstall)]
#[test_case(Answers::Autoyast)]
#[test_case(Answers::Ignition)]
fn answers_of(kind: Answers) {
    insta::assert_snapshot!(kind.name(), case(kind).answers().unwrap());
}

#[test]
fn the_script_at_the_end() {
    let mut case = case(Answers::Preseed);
    insta::assert_snapshot!("finish", finish(&case.questions()));
    case.machine.config.vlan = Some("20".parse().unwrap());
    let script = finish(&case.questions());
    assert!(
        script.contains("/etc/netplan/50-dragonfly.yaml"),
        "{script}"
    );
}

#[test]
fn a_shell_reads_a_value_as_it_is() {
    let case = case(Answers::Preseed).hostile();
    let script = finish(&case.questions());
    let line = script
        .lines()
        .find(|line| line.contains("ssh-ed25519"))
        .unwrap();
    let line = line.split(" >>").next().unwrap();
    let told = std::process::Command::new("sh")
        .arg("-c")
        .arg(line)
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told, format!("{}\n", case.defaults.ssh_keys[0]));
    let whole = std::process::Command::new("sh")
        .args(["-n", "-c", &script])
        .status()
        .unwrap();
    assert!(whole.success());
}

#[test]
fn a_tree_reads_a_value_as_it_is() {
    let case = case(Answers::Ignition).hostile();
    let read: Value = serde_json::from_str(&case.answers().unwrap()).unwrap();
    let key = &read["passwd"]["users"][0]["sshAuthorizedKeys"][0];
    assert_eq!(key, case.defaults.ssh_keys[0].as_str());
    let files = read["storage"]["files"].as_array().unwrap();
    assert_eq!(files[0]["contents"]["source"], "data:,web01.example.net%0A");
}

#[test]
fn xml_reads_a_value_as_it_is() {
    let case = case(Answers::Autoyast).hostile();
    let text = case.answers().unwrap();
    assert!(
        text.contains("a&apos;b&quot;c\\d $(touch x) `id` ${HOME} &lt;!&amp;amp;]]&gt;"),
        "{text}"
    );
    assert_eq!(words::xml("a\u{0}b\u{1b}c"), "a\u{fffd}b\u{fffd}c");
}

#[test]
fn python_reads_words_of_a_kickstart_as_they_are() {
    let script = "import shlex,sys; print(shlex.split(sys.argv[1], comments=True)[0], end='')";
    let python = |text: &str| {
        std::process::Command::new("python3")
            .args(["-c", script, text])
            .output()
    };
    let Ok(told) = python(&words::shlex(HOSTILE)) else {
        eprintln!("skipped: there is no python3 here");
        return;
    };
    assert_eq!(String::from_utf8(told.stdout).unwrap(), HOSTILE);
}

#[test_case("vim\nd-i x/y string z"; "two lines")]
#[test_case("$(reboot)"; "a command")]
#[test_case("%end"; "an end")]
#[test_case("--nobase"; "an option")]
#[test_case("a\\"; "a backslash")]
#[test_case("a\"b"; "a quote")]
fn what_is_no_package_is_refused_everywhere(packages: &str) {
    for kind in Answers::ALL
        .into_iter()
        .filter(|kind| *kind != Answers::Ignition)
    {
        let mut case = case(kind);
        case.installer.packages = packages.into();
        let refused = case.answers();
        let split = packages.split_ascii_whitespace().count() > 1;
        let lines = refused.as_ref().map_or(0, |text| {
            let injected = |line: &str| line.starts_with("d-i x/y");
            text.lines().filter(|line| injected(line)).count()
        });
        assert!(
            refused.is_err() || (split && lines == 0),
            "{kind:?}: {refused:?}"
        );
    }
}

#[test_case("http://x/$(id)")]
#[test_case("http://x/a b")]
#[test_case("http://x/`id`")]
#[test_case("http://x/a\\")]
#[test_case("http://x/a;b")]
fn what_is_no_plain_source_is_refused(source: &str) {
    for kind in [Answers::Preseed, Answers::Kickstart, Answers::Autoinstall] {
        let mut case = case(kind);
        case.installer.source = Some(source.into());
        assert!(matches!(
            case.answers(),
            Err(AnswersError::Word { what: "source", .. })
        ));
    }
}

#[test]
fn the_disk_is_the_one_that_the_rule_points_at() {
    let mut case = case(Answers::Preseed);
    let line = |case: &Case| {
        let text = case.answers().unwrap();
        let found = text
            .lines()
            .find(|line| line.contains("partman/early_command"));
        found.unwrap().to_owned()
    };
    assert!(line(&case).contains("disk='/dev/disk/by-id/ata-A1'; "));
    case.machine.hardware.disks = vec![disk("sda", &[]), disk("sdb", &[])];
    assert!(matches!(
        case.answers(),
        Err(AnswersError::Disk(DiskError::Several { .. }))
    ));
    case.installer.disk = DiskRule::Device("/dev/sdb".into());
    assert!(line(&case).contains("disk='/dev/sdb'; "));
    case.machine.hardware.disks.clear();
    case.installer.disk = DiskRule::Auto;
    assert!(
        line(&case).contains("[ $# -ne 1 ] ||"),
        "only where there is one"
    );
}

/// Runs what the partitioner runs first, with programs of the installer's names that tell what they were given.
/// `answering` are the addresses that a mirror has.
fn told_to_installer(case: &Case, disk: &str, answering: &str) -> Vec<String> {
    let text = case.answers().unwrap();
    let mut lines = text.lines();
    let command = lines
        .find_map(|line| line.strip_prefix("d-i partman/early_command string "))
        .unwrap();
    let stand_ins = format!(
        "debconf-set() {{ echo \"$1=$2\"; }}; debconf-get() {{ echo trixie; }}; list-devices() {{ printf '{disk}'; }}; \
         wget() {{ for last in \"$@\"; do :; done; case $last in {answering}) ;; *) return 1 ;; esac; }}; {command}"
    );
    let ran = std::process::Command::new("bash")
        .args(["-c", &stand_ins])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let told = String::from_utf8(ran.stdout).unwrap();
    told.lines().map(str::to_owned).collect()
}

/// Debian's partitioner knows no lasting names of `NVMe` and virtual disks, and found none.
#[test]
fn a_lasting_name_becomes_the_disk_that_it_stands_for() {
    let folder = tempfile::tempdir().unwrap();
    let lasting = folder.path().join("nvme-A1");
    std::os::unix::fs::symlink("/dev/nvme0n1", &lasting).unwrap();
    let mut case = case(Answers::Preseed);
    case.machine.hardware.disks.clear();
    case.installer.disk = DiskRule::Device(lasting.to_str().unwrap().into());
    let told = told_to_installer(&case, "", "none");
    assert_eq!(
        told[..2],
        [
            "partman-auto/disk=/dev/nvme0n1",
            "grub-installer/bootdev=/dev/nvme0n1"
        ]
    );
}

#[test_case("/dev/vda\\n", 2; "the only one")]
#[test_case("/dev/vda\\n/dev/vdb\\n", 0; "one of two")]
fn a_disk_that_nobody_chose_is_taken_where_it_is_the_only_one(disks: &str, answers: usize) {
    let mut case = case(Answers::Preseed);
    case.machine.hardware.disks.clear();
    case.installer.disk = DiskRule::Auto;
    let told = told_to_installer(&case, disks, "none");
    let taken = told.iter().filter(|line| line.ends_with("=/dev/vda"));
    assert_eq!(taken.count(), answers, "{told:?}");
}

/// What cannot be fetched is told to a person, however the installer was started, and the installation stands still.
#[test_case("http://deb.example.net/*", Some("deb.example.net"), "security, updates"; "a mirror with all")]
#[test_case("http://deb.example.net/debian/*", None, "updates"; "a mirror without security updates, and no way out")]
#[test_case("http://security.debian.org/debian-security/dists/trixie-security/InRelease", Some("security.debian.org"), "security"; "security updates from Debian itself")]
#[test_case("none", None, ""; "nothing but the release")]
fn updates_are_asked_for_where_they_are(answering: &str, host: Option<&str>, services: &str) {
    let told = told_to_installer(&case(Answers::Preseed), "", answering);
    let asked = host.map(|host| format!("apt-setup/security_host={host}"));
    let asked = asked.into_iter();
    let asked: Vec<_> = asked
        .chain([format!("apt-setup/services-select={services}")])
        .collect();
    assert_eq!(told[2..], asked);
}

#[test_case(Answers::Autoyast)]
#[test_case(Answers::Ignition)]
fn what_cannot_be_answered_is_said(kind: Answers) {
    let mut case = case(kind);
    case.machine.config.vlan = Some("20".parse().unwrap());
    assert!(matches!(case.answers(), Err(AnswersError::Unable { .. })));
}

#[test_case(None, None, "192.0.2.10/25 via 192.0.2.1", &["network --device=52:54:00:12:34:56 --bootproto=static --ip=192.0.2.10 --netmask=255.255.255.128 --gateway=192.0.2.1 --nameserver=192.0.2.53,2001:db8::53 --activate"]; "an address")]
#[test_case(None, None, "2001:db8::10/64 via fe80::1", &["network --device=52:54:00:12:34:56 --bootproto=dhcp --ipv6=2001:db8::10/64 --ipv6gateway=fe80::1 --nameserver=192.0.2.53,2001:db8::53 --activate"]; "of IPv6")]
#[test_case(Some("20"), None, "", &["network --device=52:54:00:12:34:56 --bootproto=dhcp --activate", "network --device=52:54:00:12:34:56 --vlanid=20 --interfacename=vlan20 --bootproto=dhcp"]; "a VLAN")]
#[test_case(None, Some("802.3ad:525400123456,525400123457"), "", &["network --device=bond0 --bondslaves=\"52:54:00:12:34:56,52:54:00:12:34:57\" --bondopts=\"mode=802.3ad,miimon=100,xmit_hash_policy=layer3+4\" --bootproto=dhcp --activate"]; "a bond")]
fn the_network_of_a_kickstart(vlan: Option<&str>, bond: Option<&str>, ip: &str, lines: &[&str]) {
    let mut case = case(Answers::Kickstart);
    let config = &mut case.machine.config;
    config.vlan = vlan.map(|vlan| vlan.parse().unwrap());
    config.bond = bond.map(|bond| bond.parse().unwrap());
    config.static_ip = (!ip.is_empty()).then(|| ip.parse().unwrap());
    let text = case.answers().unwrap();
    let all: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("network --device"))
        .collect();
    assert_eq!(all, lines);
}

#[test_case(
    Answers::Preseed,
    "auto=true priority=critical interface=52:54:00:12:34:56 hostname=web01 domain=example.net url=http://192.0.2.1:3080/answers/preseed"
)]
#[test_case(
    Answers::Autoinstall,
    "autoinstall ip=dhcp cloud-config-url=/dev/null ds=nocloud;s=http://192.0.2.1:3080/answers/autoinstall/"
)]
fn the_command_line_tells_where_the_answers_are(kind: Answers, words: &str) {
    let line = cmdline(kind, &case(kind).machine, "http://192.0.2.1:3080");
    assert_eq!(line, words);
    let once = crate::model::Once::Kernel {
        kernel: "http://192.0.2.1/linux".into(),
        initrds: Vec::new(),
        cmdline: line,
    };
    assert_eq!(once.check(), Ok(()));
}
