//! Things to put into a store: machines as real ones are, and small ones that differ where an index looks.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::model::identity::OsMachineId;
use crate::model::machine::{Disk, NetworkInterface};
use crate::model::network::{Held, Holder};
use crate::model::workflow::{self, Blueprint, Limits, Snapshot, Step};
use crate::model::{
    Actor, Conflict, ConflictId, CorrelationId, Evidence, FieldChange, Lease, MacAddr, Machine,
    MachineId, MemorableName, Network, NicEvidence, NicKind, RequestId, Setting, Source, State,
    Subject, TemplateFile, What, Workflow, WorkflowId,
};
use crate::store::{Answer, Change, Commit, NewEvent, Object};

/// The id of machine `number`; ids sort as their numbers do.
pub fn machine_id(number: u32) -> MachineId {
    MachineId(Uuid::from_u128(
        0x0199_0000_0000_7000_8000_0000_0000_0000 | u128::from(number) << 80 | u128::from(number),
    ))
}

/// A card of a vendor's, the same for the same number.
pub fn mac(number: u32) -> MacAddr {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddr::new([0x3c, 0xec, a, b, c, d])
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
}

/// A machine that was just met, with one card.
pub fn machine(number: u32) -> Machine {
    let mac = mac(number);
    let name = MemorableName::candidates(mac).next().expect("has a first");
    let evidence = Evidence::of_macs(mac, []);
    Machine::register(
        machine_id(number),
        &evidence,
        name,
        Source::Manual,
        at(number.into()),
    )
}

/// A machine as a rack's is: two cards, two disks, names, tags and labels; 850 to 920 bytes of JSON.
pub fn server(number: u32, revision: u64) -> Machine {
    let mut machine = machine(number);
    let [_, b, c, d] = number.to_be_bytes();
    let second = MacAddr::new([0xb4, 0x96, 0x91, b, c, d]);
    machine.identity = server_evidence(number, second).identity();
    machine.status.state = match number % 4 {
        0 => State::Discovered,
        1 => State::Ready,
        _ => State::Provisioned,
    };
    machine.hardware.cpu_model = Some("AMD EPYC 7302P".into());
    machine.hardware.cpu_cores = Some(16);
    machine.hardware.memory_bytes = Some(128 << 30);
    machine.hardware.disks = vec![Disk {
        device: "nvme0n1".into(),
        size_bytes: 960_197_124_096,
        model: Some("SAMSUNG MZQL2960HCJR".into()),
        ..Disk::default()
    }];
    machine.hardware.network_interfaces = vec![NetworkInterface {
        name: "eno1".into(),
        mac: mac(number),
        speed_mbps: Some(10_000),
        link_up: Some(true),
        driver: None,
    }];
    machine.config.generation = revision + 1;
    machine.config.hostname = Some(text(&format!("node{number:06}")));
    machine.config.tags = [format!("rack{}", number % 50), "worker".into()]
        .iter()
        .map(|tag| text(tag))
        .collect();
    machine.metadata.updated_at = at(i64::from(number) + revision.cast_signed());
    machine
}

fn server_evidence(number: u32, second: MacAddr) -> Evidence {
    let nic = |mac| NicEvidence {
        mac,
        kind: NicKind::Fixed,
    };
    let uuid = Uuid::from_u128(0x4c4c_4544_0044_4a10_8054_b7c0_0000_0000 + u128::from(number));
    Evidence {
        primary_mac: mac(number),
        nics: vec![nic(mac(number)), nic(second)],
        smbios_uuid: Some(uuid),
        machine_id: Some(text::<OsMachineId>(&format!(
            "{:032x}",
            u64::from(number) + 1
        ))),
    }
}

/// What the model parses from text.
pub fn text<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("samples are valid")
}

pub fn setting(key: &str, value: &str) -> Object {
    Object::Setting(
        Setting::parse(text(key), value)
            .expect("samples are valid")
            .into(),
    )
}

pub fn conflict(number: u32) -> Object {
    let id = ConflictId(machine_id(number).0);
    let evidence = Evidence::of_macs(mac(number), [mac(number + 1)]);
    let claims = evidence.anchors().into_iter();
    Object::Conflict(
        Conflict {
            id,
            claims: claims.map(|anchor| (anchor, machine_id(number))).collect(),
            evidence,
            first_seen: at(0),
            last_seen: at(1),
        }
        .into(),
    )
}

pub fn answer(scope: &str, receipt: &str) -> Object {
    Object::Answer(
        Answer {
            scope: scope.into(),
            body_hash: "00".repeat(32),
            at: at(0),
            receipt: receipt.into(),
        }
        .into(),
    )
}

/// A network whose host was given another floating IP in each revision.
pub fn network(link: &str, revision: u8) -> Object {
    let held = Held::new(Ipv4Addr::new(10, 0, 0, revision), at(revision.into()));
    Object::Network(
        Network {
            held: Some(held),
            ..Network::new(text(link))
        }
        .into(),
    )
}

pub fn lease(link: &str, address: u32, seconds: i64) -> Object {
    Object::Lease(
        Lease {
            link: text(link),
            address: Ipv4Addr::from(0x0a00_0000 + address),
            holder: Holder::Client {
                mac: mac(address),
                client_id: None,
                hostname: Some(format!("node{address}")),
            },
            until: at(seconds),
        }
        .into(),
    )
}

/// A template of a person's own with another content in each revision.
pub fn template(name: &str, number: u8, revision: u8) -> Object {
    Object::Template(
        TemplateFile {
            name: text(&format!("{name}-{number}")),
            source: format!("# {revision}\n"),
        }
        .into(),
    )
}

/// A workflow of a machine.
pub fn workflow(number: u8, of: u32, active: bool) -> Object {
    let step = Step::new("write", "image2disk", 600);
    let machine = server(of, 1);
    let blueprint = Blueprint {
        template: Snapshot {
            name: "debian-13".into(),
            source: "kind: Template".into(),
        },
        params: std::collections::BTreeMap::new(),
        steps: vec![step],
        timeout_seconds: None,
    };
    let limits = Limits {
        come: 60,
        steps: 60,
        home: 60,
    };
    let id = WorkflowId(Uuid::from_u128(number.into()));
    let by = Actor::person("ada", "unix uid 1000");
    let mut workflow = Workflow::new(id, &machine, blueprint, limits, by, at(0));
    if !active {
        workflow.state = workflow::State::Cancelled;
    }
    Object::Workflow(workflow.into())
}

pub fn event(subject: Subject, seconds: i64, audit: bool) -> NewEvent {
    NewEvent {
        at: at(seconds),
        subject,
        what: What::Edited {
            diff: vec![FieldChange::new(
                "hostname",
                "node000001".into(),
                seconds.into(),
            )],
        },
        audit,
        actor: Actor::person("ada", "unix uid 1000"),
        request: RequestId(Uuid::from_u128(seconds.unsigned_abs().into())),
        correlation: CorrelationId(Uuid::nil()),
        causation: None,
    }
}

pub fn put(object: impl Into<Object>) -> Commit {
    Commit {
        changes: vec![Change::Put(object.into())],
        ..Commit::default()
    }
}

/// A machine with an event that tells of it.
pub fn put_told(machine: Machine, seconds: i64) -> Commit {
    let events = vec![event(Subject::Machine(machine.id), seconds, false)];
    Commit {
        events,
        ..put(machine)
    }
}

impl From<Machine> for Object {
    fn from(machine: Machine) -> Self {
        Self::Machine(machine.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_as_long_as_it_says() {
        let json = serde_json::to_vec(&server(77, 3)).unwrap();
        let text = String::from_utf8(json).unwrap();
        assert!(
            (850..=920).contains(&text.len()),
            "{} bytes: {text}",
            text.len()
        );
    }
}
