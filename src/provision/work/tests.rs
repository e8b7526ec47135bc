//! What an agent is told, for machines as they are.

use jiff::Timestamp;
use test_case::test_case;
use uuid::Uuid;

use super::*;
use crate::model::machine::Source;
use crate::model::workflow::{Blueprint, Input, Limits, Snapshot, Step};
use crate::model::{Actor, Evidence, MachineId, MemorableName, WorkflowId};

const TEMPLATE: &str = "\
apiVersion: dragonfly.computer/v1
kind: Template
metadata:
  name: box
spec:
  actions:
    - action: image2disk
      url: image:debian
      disk: {min_size: 1000}
    - action: writefile
      path: /etc/hostname
      content: \"{{ machine.hostname }}\\n\"
    - action: call_home
    - action: reboot
";

#[derive(Debug)]
struct Shelves;

impl Shelf for Shelves {
    fn place(&self, url: &str, _proof: Option<&Proof>) -> Result<Placed, String> {
        let name = url.strip_prefix("image:").unwrap_or("fetched");
        if name == "nothing" {
            return Err("there is no image nothing".into());
        }
        Ok(Placed {
            path: format!("/images/{name}"),
            digest: format!("sha256:{}", "ab".repeat(32)).parse().ok(),
        })
    }
}

fn machine(disks: &[(&str, u64, &str)]) -> Machine {
    let mac = "52:54:00:12:34:56".parse().unwrap();
    let name = MemorableName::candidates(mac).next().unwrap();
    let evidence = Evidence::of_macs(mac, []);
    let now = Timestamp::UNIX_EPOCH;
    let id = MachineId(Uuid::from_u128(1));
    let mut machine = Machine::register(id, &evidence, name, Source::Agent, now);
    machine.config.hostname = Some("web01".parse().unwrap());
    machine.hardware.disks = disks
        .iter()
        .map(|(device, size_bytes, serial)| Disk {
            device: (*device).into(),
            size_bytes: *size_bytes,
            serial: Some((*serial).into()),
            ..Disk::default()
        })
        .collect();
    machine
}

fn workflow(machine: &Machine, source: &str) -> Workflow {
    let blueprint = Blueprint {
        template: Snapshot {
            name: "box".into(),
            source: source.into(),
        },
        params: BTreeMap::new(),
        steps: vec![Step::new("image2disk", "image2disk", 600)],
        timeout_seconds: None,
    };
    let limits = Limits {
        come: 60,
        steps: 600,
        home: 60,
    };
    let (id, by) = (WorkflowId(Uuid::from_u128(2)), Actor::system("tests"));
    let now = Timestamp::UNIX_EPOCH;
    let mut workflow = Workflow::new(id, machine, blueprint, limits, by, now);
    workflow.handle(now, Input::Slot).unwrap();
    workflow
}

fn server() -> Server {
    Server {
        http: "http://10.0.0.2:3080".into(),
        tls: "10.0.0.2:3081".parse().unwrap(),
        pin: "00".into(),
    }
}

fn prepare(machine: &Machine, workflow: &Workflow) -> Result<Prepared, String> {
    let recipe = Recipe {
        workflow,
        machine,
        defaults: &Defaults::default(),
        server: &server(),
        shelf: &Shelves,
    };
    recipe.prepare()
}

/// As the first agent of a fresh workflow gets it.
fn work(machine: &Machine, source: &str) -> (Workflow, Work) {
    let mut workflow = workflow(machine, source);
    let prepared = prepare(machine, &workflow).unwrap();
    let taking = prepared.taking("hash".into());
    let input = Input::AgentTook { attempt: 1, taking };
    workflow.handle(Timestamp::UNIX_EPOCH, input).unwrap();
    let work = prepared.work(&workflow, &server(), "secret");
    (workflow, work)
}

fn serial(rule: &DiskRule) -> String {
    serde_json::to_string(rule).unwrap()
}

#[test]
fn every_value_is_known_and_every_disk_is_one() {
    let (workflow, work) = work(
        &machine(&[("sda", 2000, "A1"), ("sdb", 500, "B2")]),
        TEMPLATE,
    );
    assert_eq!((work.attempt, work.steps.len()), (1, 4));
    let Action::Image2disk(image) = &work.steps[0].action else {
        panic!("{work:?}");
    };
    assert_eq!(image.url, "http://10.0.0.2:3080/images/debian");
    assert!(image.checksum.is_some());
    assert_eq!(serial(&image.disk), r#"{"serial":"A1"}"#);
    let Action::Writefile(file) = &work.steps[1].action else {
        panic!("{work:?}");
    };
    assert_eq!(file.content.as_deref(), Some("web01\n"));
    assert_eq!(file.place.disk, image.disk, "the disk that was written");
    let Action::CallHome(call) = &work.steps[2].action else {
        panic!("{work:?}");
    };
    let home = call.home.as_ref().unwrap();
    assert_eq!((&*home.secret, home.workflow), ("secret", workflow.id.0));
    assert_eq!(workflow.home.unwrap().secret_hash, "hash");
    assert_eq!(workflow.steps.len(), 4);
    assert!(workflow.disks[0].name.contains("A1"));
}

#[test]
fn a_later_agent_writes_to_the_same_disk_though_another_fits_now() {
    let mut machine = machine(&[("sda", 2000, "A1")]);
    let (mut workflow, _) = work(&machine, TEMPLATE);
    machine.hardware.disks.push(Disk {
        device: "sdb".into(),
        size_bytes: 4000,
        serial: Some("B2".into()),
        ..Disk::default()
    });
    let prepared = prepare(&machine, &workflow).unwrap();
    let taking = prepared.taking("hash".into());
    let input = Input::AgentTook { attempt: 2, taking };
    workflow.handle(Timestamp::UNIX_EPOCH, input).unwrap();
    let work = prepared.work(&workflow, &server(), "secret");
    let Action::Image2disk(image) = &work.steps[0].action else {
        panic!("{work:?}");
    };
    assert_eq!(serial(&image.disk), r#"{"serial":"A1"}"#);
}

#[test]
fn a_disk_that_is_gone_is_an_error_that_names_those_that_are_there() {
    let mut machine = machine(&[("sda", 2000, "A1")]);
    let (workflow, _) = work(&machine, TEMPLATE);
    machine.hardware.disks[0].serial = Some("C3".into());
    let why = prepare(&machine, &workflow).unwrap_err();
    assert!(why.contains("A1") && why.contains("C3"), "{why}");
}

#[test_case("min_size: 1000", "min_size: 100", "fits 2 disks"; "a rule that fits two")]
#[test_case("min_size: 1000", "min_size: 9000", "no disk fits"; "a rule that fits none")]
#[test_case("image:debian", "image:nothing", "no image nothing"; "an image that is not there")]
#[test_case("machine.hostname", "machine.labels.owner", "line"; "a variable without a value")]
#[test_case("action: reboot", "action: rebot", "14:15: the action 'rebot' is unknown"; "a template that is none")]
fn what_is_wrong_is_told_before_anything_is_lost(from: &str, to: &str, why: &str) {
    let machine = machine(&[("sda", 2000, "A1"), ("sdb", 500, "B2")]);
    let source = TEMPLATE.replace(from, to);
    let told = prepare(&machine, &workflow(&machine, &source)).unwrap_err();
    assert!(told.contains(why), "{told}");
}

#[test]
fn a_secret_is_not_shown() {
    let (_, work) = work(&machine(&[("sda", 2000, "A1")]), TEMPLATE);
    let shown = format!("{work:?}").replace("secret_hash", "");
    assert!(!shown.contains("secret\""), "{shown}");
}
