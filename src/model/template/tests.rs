use std::collections::BTreeMap;

use serde_json::json;
use test_case::test_case;

use super::*;
use crate::model::{Defaults, Evidence, Machine, MachineId, machine::Source};

mod hostile;
mod tinkerbell;

const HEAD: &str =
    "apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata:\n  name: t\nspec:\n  actions:\n";

/// A template of these actions, the first of them in line 7.
fn actions(lines: &str) -> String {
    let mut text = HEAD.to_owned();
    for line in lines.lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn machine() -> Machine {
    let mac = "52:54:00:12:34:56".parse().unwrap();
    let evidence = Evidence::of_macs(mac, [mac]);
    let id = MachineId(uuid::Uuid::from_u128(7));
    let name = crate::model::MemorableName::candidates(mac).next().unwrap();
    let mut machine = Machine::register(
        id,
        &evidence,
        name,
        Source::Agent,
        jiff::Timestamp::UNIX_EPOCH,
    );
    machine.config.hostname = Some("web01".parse().unwrap());
    machine.config.tags = ["web".parse().unwrap()].into();
    machine.hardware.firmware = Some("uefi".into());
    machine.hardware.cpu_cores = Some(8);
    machine
}

fn values() -> Value {
    let cloud_init =
        json!({"user_data": "#cloud-config\n{{ jinja }}\n", "meta_data": "", "network_config": ""});
    let defaults = Defaults {
        dns: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        ..Defaults::default()
    };
    let server = json!({"http": "http://10.0.0.2:3080"});
    variables(&machine(), &defaults, cloud_init, server, &BTreeMap::new())
}

fn told(text: &str) -> String {
    let errors = Template::parse(text).unwrap_err();
    let lines: Vec<_> = errors
        .iter()
        .map(|error| format!("t.yaml:{error}\n"))
        .collect();
    lines.concat()
}

fn rendered(lines: &str) -> Vec<serde_json::Value> {
    let template = Template::parse(&actions(lines)).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let steps = template
        .render(&values())
        .unwrap_or_else(|error| panic!("{error}"));
    steps
        .iter()
        .map(|step| serde_json::to_value(&step.action).unwrap())
        .collect()
}

fn one(lines: &str) -> serde_json::Value {
    rendered(lines).remove(0)
}

const WHOLE: &str = r#"
apiVersion: dragonfly.computer/v1
kind: Template
metadata:
  name: whole
  description: Everything that there is
spec:
  version: "1.0"
  timeout: 7200
  parameters:
    url: {description: where the image is}
    checksum: {default: null}
    verify: {default: false}
  actions:
    - {action: erase, disk: {serial: A1}, secure: true}
    - action: partition
      disk: {min_size: 20G, pick: smallest}
      layout: gpt-efi
      efi_size: 512M
      swap_size: 2G
      fs_type: xfs
    - action: image2disk
      name: write the image
      timeout: 1800
      url: "{{ params.url }}"
      checksum: "{{ params.checksum }}"
      verify: "{{ params.verify }}"
      disk: auto
    - action: writefile
      path: /etc/hosts
      mode: 0644
      content: |
        127.0.0.1 localhost
        127.0.1.1 {{ machine.hostname | raw }}
    - action: writefile
      path: /var/lib/cloud/seed/nocloud/user-data
      content: "{{ cloud_init.user_data }}"
    - action: writefile
      path: /etc/netplan/60-dns.yaml
      yaml:
        network:
          version: 2
          ethernets: {all: {match: {name: "*"}, nameservers: {addresses: "{{ defaults.dns }}"}}}
    - {action: efibootmgr, when: 'hardware.firmware == "uefi"'}
    - {action: bootloader, when: 'hardware.firmware != "uefi"'}
    - action: chroot
      command: [sh, -c, 'hostnamectl set-hostname {{ machine.hostname | shell }}']
    - {action: reboot}
"#;

#[test]
fn a_whole_template_becomes_actions() {
    let template = Template::parse(WHOLE).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(template.parameters.len(), 3);
    let mut values = values();
    values["params"] = json!({"url": "image:debian-13"});
    insta::assert_debug_snapshot!(template.render(&values).unwrap());
}

#[test]
fn a_parameter_that_is_missing_or_unknown_is_told() {
    let template = Template::parse(WHOLE).unwrap();
    let error = template.render(&values()).unwrap_err().to_string();
    assert!(
        error.contains("the parameter 'url' (where the image is) has to be given"),
        "{error}"
    );
    let mut values = values();
    values["params"] = json!({"url": "image:x", "chekcsum": "y"});
    let error = template.render(&values).unwrap_err().to_string();
    assert!(error.contains("did you mean 'checksum'"), "{error}");
}

#[test]
fn all_errors_of_a_file_are_told_each_with_its_place() {
    let text = r#"apiVersion: dragonfly.computer/v2
kind: Template
metadata: {name: Debian, labels: {}, nmae: x}
spec:
  timeout: soon
  verison: 1
  actions:
    - action: image2dsk
    - action: image2disk
      url: ftp://example.net/x
      disk: sda
      cheksum: sha256:00
    - action: writefile
      path: etc/hosts
      content: "name {{ machine.hostname }}"
      yaml: {}
    - action: chroot
      command: update-grub
    - {action: debootstrap, suite: trixie}
    - {action: kexec, timeout: 0, when: "hardware.firmwre == 'uefi'"}
    - {action: reboot, delay: "{{ machine.labels }}"}
    - {action: partition, disk: {min_size: big, serail: A1}}
    - {action: writefile, path: /x, mode: 999, content: "{{ hardware.disks | shel }}"}
"#;
    insta::assert_snapshot!(told(text));
}

#[test_case("", "1:1: the file is empty"; "nothing")]
#[test_case("a: [1", "this is no YAML"; "a list that is not closed")]
#[test_case("- a\n", "the file is a map, not a list"; "a list")]
#[test_case("apiVersion: dragonfly.computer/v1\napiVersion: x\n", "2:1: 'apiVersion' stands twice; the first is in line 1"; "a key that stands twice")]
#[test_case("a: !!python/object x\n", "a YAML tag"; "a tag")]
#[test_case("--- a\n--- b\n", "a second document"; "two documents")]
#[test_case("a: &a [*a]\n", "inside the value that it names"; "an alias of itself")]
#[test_case("? [a]\n: b\n", "a key has to be a plain word"; "a list for a key")]
#[test_case("{{ a }}: b\n", "a key has to be a plain word"; "a variable for a key")]
fn what_is_no_template_tells_where(text: &str, why: &str) {
    let told = told(text);
    assert!(told.contains(why), "{told}");
}

#[test]
fn a_file_is_bounded() {
    assert!(told(&"#".repeat(MAX_BYTES + 1)).contains("262145 bytes are too many"));
    let deep = format!("a: {}", "[".repeat(200));
    assert!(
        told(&deep).contains("nested deeper than 32"),
        "{}",
        told(&deep)
    );
    let many = "- {action: reboot}\n".repeat(101);
    assert!(told(&actions(&many)).contains("101 actions are too many, 100 is the limit"));
    // Each line names the one before nine times: 9^9 values.
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        let aliases = [alias.as_str(); 9].join(", ");
        let line = format!("a{level}: &a{level} [{aliases}]\n");
        bomb.push_str(&line);
    }
    assert!(told(&bomb).contains("more than 20000 values, aliases counted each time"));
}

#[test_case("- {action: reboot}\n- {action: wait, seconds: 1}", "8:7: nothing is done behind 'reboot'"; "a step behind the end")]
#[test_case("- {action: erase}\n- {action: installer, kernel: 'http://10.0.0.1/linux', answers: preseed}", "can only be the only step"; "an installer behind something")]
#[test_case("- {action: installer, kernel: 'http://10.0.0.1/linux', answers: preseed}\n- {action: call_home}", "can only be the only step"; "something behind an installer")]
#[test_case("- {name: x}", "7:7: the key 'action' is missing; there are partition"; "no action")]
#[test_case("- x", "7:7: an action is a map"; "a word for an action")]
#[test_case("- {action: seabios}", "use bootloader"; "an action of others")]
#[test_case("- {action: image2disk}", "the key 'url' is missing"; "a missing key")]
#[test_case("- {action: image2disk, url: null}", "a value is wanted"; "a key without its value")]
#[test_case("- {action: writefile, path: /x}", "none of content, content_b64, yaml, json"; "no content")]
#[test_case("- {action: writefile, path: '{{ machine.hostname | shell }}', content: ''}", "leave it out here"; "a filter outside of a content")]
#[test_case("- {action: reboot, name: '{{ machine.name }}'}", "without variables"; "a variable for a name")]
#[test_case("- {action: wait, seconds: '{{ params.seconds }}'}", "the parameter 'seconds' is unknown; none is taken here"; "a parameter that is not declared")]
#[test_case("- {action: wait, seconds: '{{ machine }}'}", "the variable 'machine' is unknown"; "half a name")]
#[test_case("- {action: wait, seconds: '{{ machin.name }}'}", "did you mean 'machine.name'"; "a slip in a name")]
#[test_case("- {action: chroot, command: [sh, -c, '{{ machine.name }}']}", "in a program's text"; "a value that would be a program")]
#[test_case("- {action: chroot, command: [bash, -euc, 'x {{ machine.name }}']}", "in a program's text"; "a value in a program")]
#[test_case("- {action: chroot, command: []}", "its first entry is the program"; "no command")]
#[test_case("- {action: chroot, command: [x], env: {'a b': c}}", "no name of a variable of the environment"; "a strange variable of the environment")]
#[test_case("- action: image2disk\n  url: http://a/x\n  checksums: {url: http://a/S, sig: http://a/S.gpg}", "9:36: checksums: the key 'sig' is unknown"; "a slip under checksums")]
#[test_case("- action: image2disk\n  url: http://a/x\n  checksums: {url: http://a/S, key: fedora-34}", "9:41: checksums: key: the key 'fedora-34' is unknown; did you mean 'fedora-43'"; "a key that nobody knows")]
#[test_case("- action: image2disk\n  url: http://a/x\n  checksums: {url: http://a/S, signature: http://a/S.gpg}", "9:18: checksums: a signature is of no use"; "a signature without a key")]
#[test_case("- action: image2disk\n  url: http://a/x\n  checksum: sha256:0000000000000000000000000000000000000000000000000000000000000000\n  checksums: {url: http://a/S}", "10:7: checksum and checksums"; "a checksum told twice")]
fn a_wrong_action_tells_where(lines: &str, why: &str) {
    let told = told(&actions(lines));
    assert!(told.contains(why), "{told}");
}

#[test]
fn a_variable_is_found_in_its_own_line_and_column() {
    let lines = "- action: writefile\n  path: /x\n  content: |\n    one\n    two {{ machine.nmae | shell }}\n- action: writefile\n  path: /y\n  content: >-\n    a {{ machine.name | shel }}\n    b {{ machine.name }}";
    insta::assert_snapshot!(told(&actions(lines)));
}

#[test]
fn a_variable_alone_keeps_its_type() {
    let action = one(
        "- action: writefile\n  path: /x\n  json: {dns: '{{ defaults.dns }}', n: '{{ hardware.cpu_cores }}', t: 'on {{ machine.hostname }}'}",
    );
    let content: serde_json::Value =
        serde_json::from_str(action["content"].as_str().unwrap()).unwrap();
    assert_eq!(
        content,
        json!({"dns": ["192.0.2.1", "192.0.2.2"], "n": 8, "t": "on web01"})
    );
}

#[test]
fn a_variable_may_stand_without_quotes_and_braces_may_be_text() {
    let action = one(
        "- action: writefile\n  path: /{{ machine.hostname }}\n  content: '{{ \"{{ kept }\" | raw }}}'",
    );
    assert_eq!(action["path"], "/web01");
    assert_eq!(action["content"], "{{ kept }}");
}

#[test]
fn what_a_value_holds_is_not_read_again() {
    let action = one("- action: writefile\n  path: /x\n  content: '{{ cloud_init.user_data }}'");
    assert_eq!(action["content"], "#cloud-config\n{{ jinja }}\n");
}

#[test]
fn a_default_stands_for_what_is_not_known() {
    let lines = "- action: writefile\n  path: /x\n  content: 'serial={{ hardware.serial | default(\"none\") | shell }}'";
    assert_eq!(one(lines)["content"], "serial='none'");
    let steps = rendered(
        "- {action: image2disk, url: 'image:x', checksum: '{{ machine.labels.sum | default(null) }}'}",
    );
    assert!(steps[0].get("checksum").is_none());
}

#[test]
fn a_condition_leaves_a_step_out() {
    let steps = rendered(
        "- {action: efibootmgr, when: 'hardware.firmware == \"uefi\"'}\n- {action: erase, when: '\"db\" in machine.tags'}\n- {action: poweroff}",
    );
    let names: Vec<_> = steps
        .iter()
        .map(|step| step["action"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["efibootmgr", "poweroff"]);
}

#[test_case("- {action: wait, seconds: '{{ machine.hostname }}'}", "seconds: 'web01' is no whole number"; "a value of another type")]
#[test_case("- {action: writefile, path: '/{{ hardware.serial }}', content: ''}", "line 7, step 'writefile': the variable 'hardware.serial' has no value here; hardware has cpu_cores, disks, firmware"; "a value that is not there")]
#[test_case("- {action: kexec, cmdline: 'root=/dev/sda1 x={{ cloud_init.user_data }}'}", "more than one word"; "words for a word")]
#[test_case("- {action: writefile, path: '/{{ defaults.dns }}', content: ''}", "has a list for its value"; "a list in a text")]
#[test_case("- {action: writefile, path: '/{{ hardware.disks.3.device }}', content: ''}", "hardware.disks has 0 entries"; "an entry that is not there")]
fn what_does_not_fit_a_machine_tells_where(lines: &str, why: &str) {
    let error = Template::parse(&actions(lines))
        .unwrap()
        .render(&values())
        .unwrap_err()
        .to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn every_action_of_the_table_is_an_action() {
    for spec in schema::ACTIONS {
        assert!(
            schema::COMMON
                .iter()
                .all(|key| spec.key(key.name).is_none()),
            "{}",
            spec.name
        );
        let mut given = json!({"action": spec.name});
        for key in spec.keys.iter().filter(|key| key.required) {
            given[key.field] = match key.kind {
                schema::Kind::Number(..) => json!(1),
                schema::Kind::Command => json!(["true"]),
                schema::Kind::Word(words) => json!(words[0]),
                _ => json!("/x"),
            };
        }
        let action: Action = serde_json::from_value(given).unwrap();
        assert_eq!(action.name(), spec.name);
        assert_eq!(action.ends_agent(), Action::ENDING.contains(&spec.name));
    }
}

#[test]
fn every_known_variable_can_be_had() {
    let values = values();
    for known in VARIABLES {
        let name: Vec<_> = known
            .name
            .replace('*', "x")
            .split('.')
            .map(str::to_owned)
            .collect();
        let parameters = [Parameter {
            name: "x".into(),
            description: None,
            default: None,
        }];
        names::check(&name, &parameters).unwrap();
    }
    for (root, map) in values.as_object().unwrap() {
        for key in map.as_object().unwrap().keys() {
            let fits = |known: &Known| known.name.trim_end_matches(".*") == format!("{root}.{key}");
            let told = key == "seen_at" || VARIABLES.iter().any(fits);
            assert!(told, "{root}.{key} is not in the table");
        }
    }
}

#[test]
fn every_action_stands_once_in_the_list() {
    let names: std::collections::BTreeSet<_> =
        schema::ACTIONS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), schema::ACTIONS.len());
}

/// A second list of the installer's keys stood before the right one, and no template with an installer was taken.
#[test]
fn an_installer_takes_all_that_its_page_tells_of() {
    let lines = "- action: installer\n  kernel: image:linux\n  initrd: http://192.0.2.1/initrd.gz\n  cmdline: console=ttyS0\n  answers: preseed\n  source: http://192.0.2.1/debian\n  suite: trixie\n  packages: vim htop\n  disk: /dev/sda\n";
    let installer = one(lines);
    assert_eq!(installer["initrd"], "http://192.0.2.1/initrd.gz");
    assert_eq!(installer["packages"], "vim htop");
    assert_eq!(installer["answers"], "preseed");
}
