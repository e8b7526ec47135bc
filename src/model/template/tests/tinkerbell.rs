//! Tinkerbell's templates: what becomes of them here, and what is refused by name.

use serde_json::json;
use test_case::test_case;

use super::{told, values};
use crate::model::template::{Format, Template};

const UBUNTU: &str = r#"version: "0.1"
name: ubuntu
global_timeout: 1800
tasks:
  - name: "os-installation"
    worker: "{{.device_1}}"
    volumes:
      - /dev:/dev
    environment:
      MIRROR_HOST: 10.0.0.1
    actions:
      - name: "stream-image"
        image: quay.io/tinkerbell/actions/image2disk:latest
        timeout: 600
        environment:
          DEST_DISK: {{ index .Hardware.Disks 0 }}
          IMG_URL: "http://10.0.0.1:8080/jammy.raw.gz"
          COMPRESSED: true
      - name: "write-netplan"
        image: quay.io/tinkerbell/actions/writefile
        timeout: 90
        environment:
          DEST_DISK: {{ formatPartition ( index .Hardware.Disks 0 ) 1 }}
          FS_TYPE: ext4
          DEST_PATH: /etc/netplan/config.yaml
          CONTENTS: |
            network: {version: 2, ethernets: {id0: {match: {macaddress: {{.device_1}}}, dhcp4: true}}}
          UID: 0
          GID: 0
          MODE: 0644
          DIRMODE: 0755
      - name: "grow"
        image: quay.io/tinkerbell/actions/cexec:v1.0.0
        timeout: 90
        environment:
          BLOCK_DEVICE: /dev/nvme0n1p1
          FS_TYPE: ext4
          CHROOT: y
          DEFAULT_INTERPRETER: "/bin/sh -c"
          CMD_LINE: "growpart /dev/nvme0n1 1"
      - name: "archive"
        image: archive2disk
        environment:
          ARCHIVE_URL: http://10.0.0.1/rootfs.tgz
          ARCHIVE_TYPE: targz
          DEST_DISK: /dev/md0
          DEST_PATH: /
      - name: "grub"
        image: grub2disk@sha256:aa
        environment: {GRUB_DISK: /dev/sda, GRUB_INSTALL_PATH: /boot}
      - name: "reboot"
        image: ghcr.io/jacobweinstock/waitdaemon:latest
        timeout: 90
        pid: host
        command: ["reboot"]
        environment:
          IMAGE: alpine
          WAIT_SECONDS: 10
        volumes: [/var/run/docker.sock:/var/run/docker.sock]
"#;

#[test]
fn tinkerbells_actions_become_ours() {
    let template = Template::parse(UBUNTU).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(template.format, Format::Tinkerbell);
    assert_eq!(template.timeout_seconds, Some(1800));
    insta::assert_debug_snapshot!(template.render(&values()).unwrap());
}

#[test]
fn a_template_inside_an_object_is_read_with_the_lines_of_its_file() {
    let object = |data: &str| {
        let head = "apiVersion: tinkerbell.org/v1alpha1\nkind: Template\nmetadata:\n  name: jammy\nspec:\n  data: |\n";
        let lines: Vec<_> = data.lines().map(|line| format!("    {line}\n")).collect();
        format!("{head}{}", lines.concat())
    };
    let template = Template::parse(&object(UBUNTU)).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(template.name.as_str(), "jammy");
    let told = told(&object("version: \"0.1\"\nname: x\ntasks: {}\n"));
    assert_eq!(
        told,
        "t.yaml:9:8: in spec.data: tasks is a list, not a map\n"
    );
}

#[test]
fn what_has_no_equal_here_is_named() {
    let text = r#"version: "0.1"
name: x
tasks:
  - name: a
    worker: "{{.device_1}}"
    actions:
      - {name: a, image: quay.io/tinkerbell/actions/slurp:v1}
      - {name: b, image: quay.io/tinkerbell/actions/syslinux}
      - {name: c, image: quay.io/tinkerbell/actions/rootio:latest, command: [partition]}
      - {name: e, image: example.net/mine/wirtefile:v2}
      - {name: f, image: docker.io/library/alpine, command: [sh, -c, reboot]}
      - {name: g, image: image2disk, environment: {IMG_URl: x}}
      - {name: h, image: waitdaemon, command: [halt]}
      - {name: i, image: image2disk, environment: {IMG_URL: http://10.0.0.1/x, DEST_DISK: "{{ index .Hardware.Disks 1 }}"}}
      - {name: j, image: writefile, environment: {DEST_DISK: /dev/sda1, DEST_PATH: /x, CONTENTS: "{{ .Hardware.UserData }}"}}
"#;
    insta::assert_snapshot!(told(text));
}

#[test_case("version: \"0.2\"\nname: x\ntasks: []\n", "version has to be \"0.1\""; "another version")]
#[test_case("version: \"0.1\"\nname: x\ntasks:\n- {worker: aa, actions: []}\n", "worker has to be {{.device_1}}"; "a machine by name")]
#[test_case("version: \"0.1\"\nname: x\ntasks:\n- {worker: '{{ .device_2 }}', actions: []}\n", "{{ .device_2 }} is not known here"; "a second machine")]
fn a_file_that_is_half_theirs_is_told(text: &str, why: &str) {
    let told = told(text);
    assert!(told.contains(why), "{told}");
}

#[test_case("registry.example.net/images/disk:1", "oci://registry.example.net/images/disk:1"; "as they write it")]
#[test_case("oci+http://10.0.0.1:5000/disk", "oci+http://10.0.0.1:5000/disk"; "with a scheme")]
#[test_case("{{ index .Hardware.Disks 0 }}", ""; "a disk is no name")]
fn an_image_in_a_registry_is_written_as_any_other(name: &str, url: &str) {
    let text = format!(
        "version: \"0.1\"\nname: x\ntasks:\n- worker: '{{{{ .device_1 }}}}'\n  actions:\n  - {{name: a, image: quay.io/tinkerbell/actions/oci2disk, environment: {{IMG_URL: '{name}', DEST_DISK: /dev/sda}}}}\n"
    );
    match Template::parse(&text) {
        Ok(template) => {
            let action = template.render(&values()).unwrap().remove(0).action;
            assert_eq!(serde_json::to_value(action).unwrap()["url"], json!(url));
        }
        Err(errors) => assert!(url.is_empty(), "{errors:#?}"),
    }
}

#[test]
fn a_shared_environment_is_for_the_actions_that_know_it() {
    let text = "version: \"0.1\"\nname: x\ntasks:\n- worker: '{{ .device_1 }}'\n  environment: {DEST_DISK: /dev/sda, OTHER: 1}\n  actions:\n  - {name: a, image: image2disk, environment: {IMG_URL: 'http://10.0.0.1/x'}}\n";
    let template = Template::parse(text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let action = template.render(&values()).unwrap().remove(0).action;
    let json = serde_json::to_value(action).unwrap();
    assert_eq!(json["disk"], json!("/dev/sda"));
}
