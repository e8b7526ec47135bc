//! What agents and installed systems are told, from the first order to the next installation.

use std::collections::BTreeMap;

use super::*;
use crate::core::command::AddMachine;
use crate::model::action::Action;
use crate::model::agent::{StepNews, Work};
use crate::model::machine::{Disk, Hardware};
use crate::model::workflow::{Blueprint, Snapshot, Step};
use crate::model::{Proof, Setting, Subject};
use crate::provision::work::Placed;

const TEMPLATE: &str = "\
apiVersion: dragonfly.computer/v1
kind: Template
metadata:
  name: box
spec:
  actions:
    - action: image2disk
      url: image:debian
    - action: call_home
    - action: reboot
";

#[derive(Debug)]
struct Here;

impl Whereabouts for Here {
    fn server(&self, _machine: &Machine) -> Option<Server> {
        Some(Server {
            http: "http://10.0.0.2:3080".into(),
            tls: "10.0.0.2:3081".parse().unwrap(),
            pin: "00".into(),
        })
    }
}

#[derive(Debug)]
struct Images;

impl Shelf for Images {
    fn place(&self, _url: &str, _proof: Option<&Proof>) -> Result<Placed, String> {
        Ok(Placed {
            path: "/images/debian".into(),
            digest: None,
        })
    }
}

struct House {
    core: Core,
    orders: WorkOrders,
}

impl House {
    fn new() -> Self {
        let core = Core::in_memory();
        let orders = WorkOrders::new(core.clone(), Box::new(Here), Box::new(Images));
        Self { core, orders }
    }

    async fn run(&self, command: Command) -> Subject {
        let actor = Actor::person("ada", "tests");
        self.core.order(actor, command).await.unwrap().subject
    }

    async fn machine(&self) -> MachineId {
        let add = AddMachine {
            mac: "b4:2e:99:00:00:01".parse().unwrap(),
            other_macs: std::collections::BTreeSet::new(),
            smbios_uuid: None,
            hostname: None,
            friendly_name: None,
            os_choice: None,
            tags: std::collections::BTreeSet::new(),
        };
        match self.run(Command::AddMachine(add)).await {
            Subject::Machine(id) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The machine as it is with one disk that holds this.
    fn shown(&self, id: MachineId, contents: &[&str]) -> Machine {
        let mut machine = Machine::clone(&self.core.machine_by_id(id).unwrap().0);
        machine.hardware = Hardware {
            disks: vec![Disk {
                device: "sda".into(),
                size_bytes: 1 << 34,
                serial: Some("A1".into()),
                contents: Some(contents.iter().map(|word| (*word).to_owned()).collect()),
                ..Disk::default()
            }],
            ..Hardware::default()
        };
        machine
    }

    async fn start(&self, machine: MachineId, source: &str) -> WorkflowId {
        let blueprint = Blueprint {
            template: Snapshot {
                name: "box".into(),
                source: source.into(),
            },
            params: BTreeMap::new(),
            steps: vec![Step::new("image2disk", "image2disk", 600)],
            timeout_seconds: None,
        };
        let command = Command::StartWorkflow {
            machine,
            blueprint,
            confirmed: true,
        };
        let subject = self.run(command).await;
        self.core.tend().await.unwrap();
        match subject {
            Subject::Workflow(id) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn order(&self, id: MachineId) -> Order {
        self.orders.order(&self.shown(id, &[])).await
    }

    async fn work(&self, id: MachineId) -> Work {
        match self.order(id).await {
            Order::Execute(work) => work,
            other => panic!("{other:?}"),
        }
    }

    /// Done from end to end, and called home.
    async fn install(&self, id: MachineId) -> HomeReport {
        self.start(id, TEMPLATE).await;
        let work = self.work(id).await;
        for step in 0..3 {
            let report = Report {
                workflow: work.workflow,
                attempt: work.attempt,
                step,
                what: StepNews::Done {
                    message: String::new(),
                },
            };
            assert!(self.orders.report(id, &report).await.unwrap().go_on);
        }
        let report = report(id, &work);
        let answer = self.orders.home(&report, address()).await;
        assert_eq!(answer.unwrap(), HomeOrder::Nothing);
        report
    }

    fn kind(&self, id: MachineId) -> StateKind {
        self.core.machine_by_id(id).unwrap().0.status.state.kind()
    }
}

fn address() -> IpAddr {
    "10.0.0.7".parse().unwrap()
}

fn report(machine: MachineId, work: &Work) -> HomeReport {
    let secret = work.steps.iter().find_map(|step| match &step.action {
        Action::CallHome(call) => call.home.as_ref(),
        _ => None,
    });
    HomeReport {
        protocol: 1,
        machine,
        workflow: work.workflow,
        secret: secret.unwrap().secret.clone(),
        hostname: Some("web01".into()),
        os: Some("Debian GNU/Linux 13 (trixie)".into()),
        machine_id: None,
        addresses: Vec::new(),
        netboot_once: true,
        wait_seconds: 0,
        failed: None,
    }
}

fn told(order: &Order) -> &str {
    match order {
        Order::Wait { why, .. } | Order::LocalBoot { why } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_blank_machine_without_work_waits_and_one_with_a_system_goes_on() {
    let house = House::new();
    let id = house.machine().await;
    let blank = house.order(id).await;
    assert!(told(&blank).contains("dragonfly reimage"), "{blank:?}");
    let full = house.orders.order(&house.shown(id, &["gpt"])).await;
    assert!(matches!(full, Order::LocalBoot { .. }), "{full:?}");
}

#[tokio::test]
async fn each_agent_is_given_the_work_as_an_attempt_of_its_own() {
    let house = House::new();
    let id = house.machine().await;
    house.start(id, TEMPLATE).await;
    let (first, second) = (house.work(id).await, house.work(id).await);
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(first.steps.len(), 3);
    assert_ne!(report(id, &first).secret, report(id, &second).secret);
    let late = Report {
        workflow: first.workflow,
        attempt: 1,
        step: 0,
        what: StepNews::Started,
    };
    let heard = house.orders.report(id, &late).await.unwrap();
    assert!(!heard.go_on && heard.why.contains("attempt"), "{heard:?}");
}

#[tokio::test]
async fn a_template_that_does_not_fit_ends_the_workflow_and_is_told_on_the_screen() {
    let house = House::new();
    let id = house.machine().await;
    let source = TEMPLATE.replace("image:debian", "\"{{ machine.labels.image }}\"");
    let workflow = house.start(id, &source).await;
    let order = house.order(id).await;
    assert!(told(&order).contains("line"), "{order:?}");
    let (workflow, _) = house.core.workflow(workflow).unwrap();
    assert_eq!(workflow.state, State::Failed);
    assert_eq!(workflow.error.as_deref(), Some(told(&order)));
}

#[tokio::test]
async fn an_installed_system_makes_its_machine_provisioned_by_its_secret_alone() {
    let house = House::new();
    let id = house.machine().await;
    let mut report = house.install(id).await;
    assert_eq!(house.kind(id), StateKind::Provisioned);
    report.secret.push('x');
    let answer = house.orders.home(&report, address()).await.unwrap();
    assert!(matches!(answer, HomeOrder::Forget { .. }), "{answer:?}");
}

#[tokio::test]
async fn an_installed_system_restarts_into_the_network_for_the_next_workflow() {
    let house = House::new();
    let id = house.machine().await;
    let mut report = house.install(id).await;
    house.start(id, TEMPLATE).await;
    let answer = house.orders.home(&report, address()).await.unwrap();
    assert!(
        matches!(answer, HomeOrder::NetbootOnce { .. }),
        "{answer:?}"
    );
    report.failed = Some("no network boot in its firmware".into());
    let answer = house.orders.home(&report, address()).await.unwrap();
    assert_eq!(answer, HomeOrder::Nothing);
    let second = house.work(id).await;
    assert_eq!(second.attempt, 1);
}

#[tokio::test]
async fn a_halted_workflow_says_why() {
    let house = House::new();
    let id = house.machine().await;
    let workflow = house.start(id, TEMPLATE).await;
    house.work(id).await;
    house.orders.halt(id, "its token was used twice").await;
    let (workflow, _) = house.core.workflow(workflow).unwrap();
    assert_eq!(workflow.error.as_deref(), Some("its token was used twice"));
    assert_eq!(house.kind(id), StateKind::Error);
}

#[tokio::test]
async fn in_flight_a_blank_machine_is_installed_by_itself_and_one_with_data_is_not() {
    let house = House::new();
    let id = house.machine().await;
    let set = |key: String, value: &str| Command::SetSetting {
        key: key.parse().unwrap(),
        value: value.into(),
    };
    house.run(set(Mode::KEY.into(), "flight")).await;
    let blank = house.order(id).await;
    assert!(
        told(&blank).contains("dragonfly reimage"),
        "no system is chosen"
    );
    let os = format!("{}os", Setting::DEFAULTS);
    house.run(set(os, "debian-13")).await;
    let full = house.orders.order(&house.shown(id, &["ext4"])).await;
    assert!(matches!(full, Order::LocalBoot { .. }), "{full:?}");
    assert!(
        told(&full).starts_with("Flight leaves it alone, sda holds ext4: dragonfly reimage"),
        "{full:?}"
    );
    assert!(house.core.active_workflow(id).unwrap().is_none());
    house.order(id).await;
    let (workflow, _) = house.core.active_workflow(id).unwrap().unwrap();
    assert_eq!(workflow.template.name, "debian-13");
    assert_eq!(workflow.by.name, "flight");
}
