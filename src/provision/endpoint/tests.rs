mod client;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::SignedDuration;
use test_case::test_case;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::client::{Agent, Said};
use super::*;
use crate::core::command::AddMachine;
use crate::core::telemetry::Kind;
use crate::model::agent::{
    AskOrder, CHECK_IN, CheckIn, HELLO, HOME, Hello, LOG, LogLines, ORDER, PROTOCOL, Progress,
    REPORT, StepNews, Welcome,
};
use crate::model::machine::{Disk, Hardware, Source};
use crate::model::{Evidence, NicEvidence, NicKind, What};

const MAC: MacAddr = MacAddr::new([0x3c, 0xec, 0xef, 0, 0, 1]);
const HERE: &str = "127.0.0.1";

/// What workflows said and were asked.
#[derive(Clone, Debug, Default)]
struct Flow {
    halted: Arc<Mutex<Vec<(MachineId, String)>>>,
    lost: Arc<Mutex<Vec<(MachineId, String)>>>,
    asked: Arc<AtomicUsize>,
}

impl Orders for Flow {
    /// There is something from the third time on.
    fn order<'a>(&'a self, machine: &'a Machine) -> BoxFuture<'a, Order> {
        let name = machine.name().to_owned();
        let why = String::new();
        let order = match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Order::Wait { name, why },
            _ => Order::LocalBoot { why },
        };
        async { order }.boxed()
    }

    fn report<'a>(
        &'a self,
        _machine: MachineId,
        report: &'a Report,
    ) -> BoxFuture<'a, Result<Heard, Refused>> {
        let heard = Heard {
            go_on: report.step < 7,
            why: String::new(),
        };
        async { Ok(heard) }.boxed()
    }

    fn home<'a>(
        &'a self,
        report: &'a HomeReport,
        from: IpAddr,
    ) -> BoxFuture<'a, Result<HomeOrder, Refused>> {
        let why = format!("{} from {from}", report.secret);
        async { Ok(HomeOrder::Reboot { why }) }.boxed()
    }

    fn lost<'a>(&'a self, machine: MachineId, why: &'a str) -> BoxFuture<'a, ()> {
        self.lost.lock().unwrap().push((machine, why.into()));
        async {}.boxed()
    }

    fn halt<'a>(&'a self, machine: MachineId, why: &'a str) -> BoxFuture<'a, ()> {
        self.halted.lock().unwrap().push((machine, why.into()));
        async {}.boxed()
    }
}

/// Who is where on the wire.
#[derive(Clone, Debug, Default)]
struct Wire(Arc<Mutex<Option<MacAddr>>>);

impl Neighbours for Wire {
    fn mac_at(&self, _address: IpAddr) -> Option<MacAddr> {
        *self.0.lock().unwrap()
    }
}

struct House {
    core: Core,
    endpoint: Arc<Endpoint>,
    flow: Flow,
    wire: Wire,
    folder: tempfile::TempDir,
    address: SocketAddr,
    _stop: watch::Sender<bool>,
}

impl House {
    async fn new() -> Self {
        Self::on(Core::in_memory(), tempfile::tempdir().unwrap()).await
    }

    async fn on(core: Core, folder: tempfile::TempDir) -> Self {
        let identity = Identity::open(&folder.path().join("key")).unwrap();
        let (flow, wire) = (Flow::default(), Wire::default());
        let orders = Box::new(flow.clone());
        let endpoint = Endpoint::new(core.clone(), identity, orders, Box::new(wire.clone()));
        let endpoint = Arc::new(endpoint.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, Arc::clone(&endpoint), stopped));
        Self {
            core,
            endpoint,
            flow,
            wire,
            folder,
            address,
            _stop: stop,
        }
    }

    /// The same machine and store, another process.
    async fn restarted(self) -> Self {
        Self::on(self.core, self.folder).await
    }

    fn boots(&self, mac: MacAddr) -> String {
        let step = Step {
            at: self.core.clock().now(),
            stage: Stage::Dhcp,
            mark: Mark::Discover,
            link: None,
            text: String::new(),
            why: String::new(),
        };
        self.core.traces().note(mac, step);
        let invitation = self.endpoint.invite(mac, HERE.parse().unwrap());
        invitation.unwrap().token
    }

    fn agent(&self) -> Agent {
        Agent::new(self.address, self.endpoint.identity.pin().hex())
    }

    /// One that booted with this card and was let in.
    async fn let_in(&self, mac: MacAddr) -> Agent {
        let agent = self.agent();
        let token = self.boots(mac);
        hello(&agent, mac, &token).await.unwrap();
        agent
    }

    async fn known(&self) -> MachineId {
        let command = Command::AddMachine(AddMachine {
            mac: MAC,
            other_macs: std::collections::BTreeSet::new(),
            smbios_uuid: None,
            hostname: None,
            friendly_name: None,
            os_choice: Some("debian-13".parse().unwrap()),
            tags: std::collections::BTreeSet::new(),
        });
        let caller = Caller {
            key: None,
            address: HERE.parse().unwrap(),
        };
        self.endpoint.run(&caller, command).await.unwrap();
        self.core.machine_by_mac(MAC).unwrap().unwrap().id
    }

    fn machine(&self) -> Arc<Machine> {
        self.core.machine_by_mac(MAC).unwrap().unwrap()
    }

    fn alarms(&self) -> Vec<String> {
        let all = crate::core::EventQuery {
            limit: 1000,
            audit_only: true,
            ..crate::core::EventQuery::default()
        };
        let events = self.core.events(&all).unwrap().events.into_iter();
        let alarms = events.filter_map(|event| match event.what {
            What::Alarm { reason } => Some(reason),
            _ => None,
        });
        alarms.collect()
    }
}

async fn hello(agent: &Agent, mac: MacAddr, token: &str) -> Said<Welcome> {
    let hello = Hello {
        protocol: PROTOCOL,
        version: "test\n1".into(),
        token: token.into(),
        mac,
    };
    agent.call(HELLO, &hello).await
}

fn found(mac: MacAddr) -> CheckIn {
    let nic = NicEvidence {
        mac,
        kind: NicKind::Fixed,
    };
    CheckIn {
        evidence: Evidence {
            primary_mac: mac,
            nics: vec![nic],
            smbios_uuid: Some(uuid::Uuid::from_u128(0x4c4c_4544_0042)),
            machine_id: None,
        },
        hardware: Hardware {
            serial: Some("A1".into()),
            disks: vec![Disk {
                device: "sda".into(),
                size_bytes: 1 << 34,
                contents: Some(Vec::new()),
                ..Disk::default()
            }],
            ..Hardware::default()
        },
        address: None,
        before: None,
    }
}

async fn ask(agent: &Agent, wait_seconds: u64) -> Said<Order> {
    agent.call(ORDER, &AskOrder { wait_seconds }).await
}

fn refused<T: std::fmt::Debug>(said: Said<T>) -> Refused {
    said.unwrap_err().1
}

#[tokio::test]
async fn a_new_machine_is_registered_by_its_agents_check_in_with_what_it_found() {
    let house = House::new().await;
    let token = house.boots(MAC);
    let agent = house.agent();
    let welcome = hello(&agent, MAC, &token).await.unwrap();
    assert_eq!(
        (welcome.protocol, welcome.name),
        (PROTOCOL, MAC.to_string())
    );
    let off = house.core.clock().now().duration_since(welcome.now);
    assert!(off < SignedDuration::from_mins(1));
    assert!(house.core.machine_by_mac(MAC).unwrap().is_none());

    let order = agent.call::<Order>(CHECK_IN, &found(MAC)).await.unwrap();
    let machine = house.machine();
    let name = machine.name().to_owned();
    assert_eq!(
        order,
        Order::Wait {
            name,
            why: String::new()
        }
    );
    assert_eq!(machine.metadata.source, Source::Agent);
    assert_eq!(machine.hardware.serial.as_deref(), Some("A1"));
    assert!(machine.hardware.is_blank() && machine.hardware.seen_at.is_some());
    assert_eq!(machine.boot.agent.version, "test\\n1");
    // It waits for the third time that somebody looks.
    let order = ask(&agent, 30).await.unwrap();
    assert!(matches!(order, Order::LocalBoot { .. }), "{order:?}");
}

#[tokio::test]
async fn how_the_agent_before_it_ended_is_told_to_the_workflow() {
    let house = House::new().await;
    let agent = house.let_in(MAC).await;
    let again = CheckIn {
        before: Some("it was ended by SIGKILL\n".into()),
        ..found(MAC)
    };
    agent.call::<Order>(CHECK_IN, &again).await.unwrap();
    let told = (house.machine().id, "it was ended by SIGKILL\\n".to_owned());
    assert_eq!(*house.flow.lost.lock().unwrap(), [told]);
}

#[tokio::test]
async fn what_an_agent_tells_is_kept_in_memory_and_escaped() {
    let house = House::new().await;
    let agent = house.let_in(MAC).await;
    agent.call::<Order>(CHECK_IN, &found(MAC)).await.unwrap();
    let lines = vec!["\u{1b}[2Jhello".into()];
    let () = agent.call(LOG, &LogLines { lines }).await.unwrap();
    let progress = Progress {
        bytes_done: 3 << 20,
        bytes_total: 9 << 20,
        bytes_per_second: 1 << 20,
        phase: "writing".into(),
    };
    let report = |step| Report {
        workflow: uuid::Uuid::nil(),
        attempt: 1,
        step,
        what: StepNews::Progress(progress.clone()),
    };
    let heard: Heard = agent.call(REPORT, &[report(1), report(2)]).await.unwrap();
    assert!(heard.go_on);
    let heard: Heard = agent.call(REPORT, &[report(7)]).await.unwrap();
    assert!(!heard.go_on);
    let said = |kind| {
        let recent = house
            .core
            .telemetry()
            .recent(house.machine().id, Some(kind));
        let texts = recent
            .entries
            .into_iter()
            .map(|entry| entry.text.into_string());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(said(Kind::Log), ["\\u{1b}[2Jhello"]);
    assert_eq!(
        said(Kind::Progress)[0],
        "step 1: writing, 3 of 9 MiB, 1 MiB/s"
    );
}

#[tokio::test]
async fn an_installed_system_is_heard_by_its_secret_alone() {
    let house = House::new().await;
    let pin = house.endpoint.identity.pin().hex().to_owned();
    let system = Agent::nameless(house.address, &pin);
    let report = HomeReport {
        protocol: PROTOCOL,
        machine: MachineId(uuid::Uuid::nil()),
        workflow: uuid::Uuid::nil(),
        secret: "s3cret".into(),
        hostname: None,
        os: None,
        machine_id: None,
        addresses: Vec::new(),
        netboot_once: false,
        wait_seconds: 0,
        failed: None,
    };
    let order: HomeOrder = system.call(HOME, &report).await.unwrap();
    let why = "s3cret from 127.0.0.1".to_owned();
    assert_eq!(order, HomeOrder::Reboot { why });
}

#[tokio::test]
async fn a_server_with_another_key_is_not_spoken_to() {
    let house = House::new().await;
    let agent = Agent::new(house.address, &"00".repeat(32));
    let ask = AskOrder { wait_seconds: 0 };
    let error = agent.try_call::<Order>(ORDER, &ask).await.unwrap_err();
    assert!(
        error.to_string().contains("another server's key"),
        "{error}"
    );
}

#[tokio::test]
async fn who_was_not_let_in_is_told_nothing() {
    let house = House::new().await;
    let pin = house.endpoint.identity.pin().hex().to_owned();
    let token = house.boots(MAC);
    let nameless = Agent::nameless(house.address, &pin);
    assert!(
        refused(hello(&nameless, MAC, &token).await)
            .error
            .contains("key of its own")
    );
    assert_eq!(ask(&nameless, 0).await.unwrap_err().0, 403);
    let stranger = house.agent();
    assert_eq!(ask(&stranger, 0).await.unwrap_err().0, 403);
    let said = stranger.call::<Order>(CHECK_IN, &found(MAC)).await;
    assert_eq!(said.unwrap_err().0, 403);
    assert_eq!(
        stranger
            .call::<()>("/agent/v1/secrets", &())
            .await
            .unwrap_err()
            .0,
        404
    );
    // The token is good still.
    hello(&stranger, MAC, &token).await.unwrap();
    // And names one card alone.
    let other = MacAddr::new([0x3c, 0xec, 0xef, 0, 0, 9]);
    let said = stranger.call::<Order>(CHECK_IN, &found(other)).await;
    assert_eq!(said.unwrap_err().0, 400);
}

#[test_case(PROTOCOL + 1)]
#[test_case(0)]
#[tokio::test]
async fn another_protocol_is_refused_with_those_that_are_spoken(protocol: u16) {
    let house = House::new().await;
    let token = house.boots(MAC);
    let hello = Hello {
        protocol,
        version: String::new(),
        token,
        mac: MAC,
    };
    let (status, refused) = house
        .agent()
        .call::<Welcome>(HELLO, &hello)
        .await
        .unwrap_err();
    assert_eq!(status, 400);
    assert!(refused.error.contains("1 to 1"), "{}", refused.error);
}

#[tokio::test]
async fn a_token_is_given_to_cards_alone_that_asked_for_an_address() {
    let house = House::new().await;
    assert_eq!(house.endpoint.invite(MAC, HERE.parse().unwrap()), None);
    house.boots(MAC);
    assert!(house.endpoint.invite(MAC, HERE.parse().unwrap()).is_some());
}

#[tokio::test]
async fn a_token_is_good_where_its_script_was_sent_or_where_its_card_is_now() {
    let house = House::new().await;
    let token = house.boots(MAC);
    let agent = house.agent().from("127.0.0.2");
    let said = refused(hello(&agent, MAC, &token).await);
    assert!(
        said.error
            .contains("sent to 127.0.0.1, and came from 127.0.0.2"),
        "{}",
        said.error
    );
    assert!(!said.halt);
    *house.wire.0.lock().unwrap() = Some(MAC);
    hello(&agent, MAC, &token).await.unwrap();
}

#[tokio::test]
async fn an_old_token_lets_nobody_in() {
    let house = House::new().await;
    house.boots(MAC);
    let before = house.core.clock().now() - SignedDuration::from_mins(15);
    let old = house
        .endpoint
        .tokens
        .issue(MAC, HERE.parse().unwrap(), before, [1; 16]);
    let said = refused(hello(&house.agent(), MAC, &old).await);
    assert!(
        said.error.contains("older than 15 minutes"),
        "{}",
        said.error
    );
}

#[tokio::test]
async fn a_token_that_is_used_twice_halts_the_machine_and_raises_an_alarm() {
    let house = House::new().await;
    let id = house.known().await;
    let token = house.boots(MAC);
    let (agent, thief) = (house.agent(), house.agent());
    hello(&agent, MAC, &token).await.unwrap();
    // An answer that was lost is no theft.
    hello(&agent, MAC, &token).await.unwrap();
    assert!(house.alarms().is_empty());

    assert!(refused(hello(&thief, MAC, &token).await).halt);
    assert!(
        house.alarms()[0].contains("used by two"),
        "{:?}",
        house.alarms()
    );
    assert_eq!(house.flow.halted.lock().unwrap()[0].0, id);
    for who in [&agent, &thief] {
        assert_eq!(ask(who, 0).await.unwrap_err().0, 403);
    }
    assert!(refused(hello(&agent, MAC, &token).await).halt);
    assert_eq!(house.machine().boot.agent.key, None);
    let trace = house.core.traces().steps(MAC, 0);
    assert!(trace.iter().any(|(_, step)| step.mark == Mark::AgentAlarm));
    // After a new boot it is one machine again.
    house.let_in(MAC).await;
    assert_eq!(house.alarms().len(), 1);
}

#[tokio::test]
async fn an_agent_that_still_speaks_after_the_next_one_was_let_in_raises_an_alarm() {
    let house = House::new().await;
    house.known().await;
    let first = house.let_in(MAC).await;
    let second = house.let_in(MAC).await;
    assert!(house.alarms().is_empty());
    second.call::<Order>(CHECK_IN, &found(MAC)).await.unwrap();
    assert!(refused(ask(&first, 0).await).halt);
    assert!(
        house.alarms()[0].contains("two agents"),
        "{:?}",
        house.alarms()
    );
    assert!(refused(ask(&second, 0).await).halt);
}

#[tokio::test]
async fn an_agent_goes_on_after_the_server_was_killed_and_its_token_stays_used() {
    let house = House::new().await;
    house.known().await;
    let token = house.boots(MAC);
    let agent = house.agent();
    hello(&agent, MAC, &token).await.unwrap();
    let mut house = house.restarted().await;
    let agent = agent.towards(house.address);
    agent.call::<Order>(CHECK_IN, &found(MAC)).await.unwrap();
    house = house.restarted().await;
    assert!(refused(hello(&house.agent(), MAC, &token).await).halt);
    assert_eq!(house.alarms().len(), 1);
}

#[tokio::test]
async fn a_token_that_was_not_used_yet_is_good_after_the_server_was_killed() {
    let house = House::new().await;
    let token = house.boots(MAC);
    let house = house.restarted().await;
    hello(&house.agent(), MAC, &token).await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_too_long_or_none_is_refused() {
    let house = House::new().await;
    let agent = house.let_in(MAC).await;
    let lines = vec!["x".repeat(1000); 1000];
    let said = agent.try_call::<()>(LOG, &LogLines { lines }).await;
    assert!(said.is_err() || said.unwrap().is_err());
    assert_eq!(agent.call::<()>(LOG, &7).await.unwrap_err().0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_shakes_hands_at_once_is_served_to_the_last() {
    let house = House::new().await;
    let pin = house.endpoint.identity.pin().hex().to_owned();
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..300_u32 {
        let [.., a, b] = number.to_be_bytes();
        let agent =
            Agent::nameless(house.address, &pin).from(&format!("127.0.{a}.{b}", b = b.max(1)));
        crowd.spawn(async move { ask(&agent, 0).await.unwrap_err().0 });
    }
    let all = tokio::time::timeout(Duration::from_mins(1), crowd.join_all());
    let answers = all.await.unwrap();
    assert!(answers.iter().all(|status| *status == 403), "{answers:?}");
}
