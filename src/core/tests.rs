//! What commands promise, on the memory store and a clock that stands still.

mod agent;
mod answers;
mod boot;
mod conflicts;
mod defaults;
mod editing;
mod identity;
mod network;
mod properties;
mod reads;
mod removal;
mod retention;
mod templates;
mod workflows;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use super::command::AddMachine;
use super::{Call, Clock, Command, Core, IdempotencyKey, ManualClock, Receipt, Refusal};
use crate::model::machine::Source;
use crate::model::{
    Actor, Cursor, Event, Evidence, MacAddr, Machine, MachineId, NicEvidence, NicKind, Patch,
    Subject,
};
use crate::store::memory::MemoryStore;
use crate::store::{Change, Commit, EventQuery, Object, Store};

/// A core of its own for each test.
struct House {
    core: Core,
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
}

impl House {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap()));
        let store = Arc::new(MemoryStore::new());
        let core = Core::new(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        Self { core, store, clock }
    }

    fn call(&self, actor: Actor, command: Command) -> Call {
        Call::alone(actor, command, self.clock.new_id())
    }

    async fn by(&self, actor: Actor, command: Command) -> Result<Receipt, Refusal> {
        self.core.run(self.call(actor, command)).await
    }

    /// By Ada, at a time of its own.
    async fn run(&self, command: Command) -> Result<Receipt, Refusal> {
        self.pass(1);
        self.by(ada(), command).await
    }

    async fn system(&self, command: Command) -> Result<Receipt, Refusal> {
        self.pass(1);
        self.by(Actor::system("wire"), command).await
    }

    async fn dry(&self, command: Command) -> Result<Receipt, Refusal> {
        let mut call = self.call(ada(), command);
        call.dry_run = true;
        self.core.run(call).await
    }

    async fn keyed(&self, key: &str, body: &str, command: Command) -> Result<Receipt, Refusal> {
        let mut call = self.call(ada(), command);
        call.idempotency = Some(IdempotencyKey {
            key: key.into(),
            route: "PATCH /api/v1/machines/web".into(),
            body_hash: body.into(),
        });
        self.pass(1);
        self.core.run(call).await
    }

    /// A machine with this last octet of its MAC.
    async fn add(&self, octet: u8) -> MachineId {
        let receipt = self.run(Command::AddMachine(told(octet))).await.unwrap();
        subject(&receipt)
    }

    fn machine(&self, id: MachineId) -> Arc<Machine> {
        self.core.machine_by_id(id).unwrap().0
    }

    fn version(&self, id: MachineId) -> u64 {
        self.core.machine_by_id(id).unwrap().1
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    fn events(&self) -> Vec<Event> {
        let all = EventQuery {
            limit: 1000,
            ..EventQuery::default()
        };
        self.core.events(&all).unwrap().events
    }

    fn names(&self, from: usize) -> Vec<&'static str> {
        let events = self.events();
        events[from..].iter().map(|e| e.what.name()).collect()
    }

    fn count(&self) -> usize {
        self.events().len()
    }

    fn head(&self) -> Cursor {
        self.core.stats().cursor
    }

    /// What later parts of Dragonfly will do to a machine: done here by hand.
    async fn rewrite(&self, id: MachineId, change: impl FnOnce(&mut Machine)) {
        let mut machine = Machine::clone(&self.machine(id));
        change(&mut machine);
        let commit = Commit {
            changes: vec![Change::Put(Object::Machine(Arc::new(machine)))],
            ..Commit::default()
        };
        self.store.commit(commit).await.unwrap();
    }

    /// Its installed system has reported.
    async fn call_home(&self, id: MachineId) {
        let now = self.clock.now();
        self.rewrite(id, |machine| machine.observed.called_home_at = Some(now))
            .await;
    }
}

fn ada() -> Actor {
    Actor::person("ada", "unix uid 1000")
}

fn bob() -> Actor {
    Actor::person("bob", "http 127.0.0.1")
}

fn mac(octet: u8) -> MacAddr {
    MacAddr::new([0xb4, 0x2e, 0x99, 0, 0, octet])
}

fn told(octet: u8) -> AddMachine {
    AddMachine {
        mac: mac(octet),
        other_macs: BTreeSet::new(),
        smbios_uuid: None,
        hostname: None,
        friendly_name: None,
        os_choice: None,
        tags: BTreeSet::new(),
    }
}

/// A machine with these cards, the first of which speaks.
fn check_in(octets: &[u8]) -> Command {
    let nics = octets.iter().map(|octet| NicEvidence {
        mac: mac(*octet),
        kind: NicKind::Fixed,
    });
    Command::CheckIn {
        evidence: Evidence {
            primary_mac: mac(octets[0]),
            nics: nics.collect(),
            smbios_uuid: None,
            machine_id: None,
        },
        source: Source::Agent,
    }
}

fn patch(json: &str) -> Patch {
    serde_json::from_str(json).unwrap()
}

fn set(machine: MachineId, json: &str) -> Command {
    Command::SetMachine {
        machine,
        patch: patch(json),
        confirmed: false,
    }
}

fn apply(machine: MachineId) -> Command {
    Command::ApplyMachine {
        machine,
        now: false,
    }
}

fn tag(machine: MachineId, add: &[&str], remove: &[&str]) -> Command {
    let tags = |words: &[&str]| words.iter().map(|word| word.parse().unwrap()).collect();
    Command::TagMachine {
        machine,
        add: tags(add),
        remove: tags(remove),
    }
}

fn lock(machine: MachineId) -> Command {
    Command::LockMachine {
        machine,
        reason: Some("holds the only backup".into()),
    }
}

fn subject(receipt: &Receipt) -> MachineId {
    match receipt.subject {
        Subject::Machine(id) => id,
        ref other => panic!("{other:?} is no machine"),
    }
}

fn fields(receipt: &Receipt) -> Vec<&str> {
    receipt.diff.iter().map(|c| c.field.as_str()).collect()
}
