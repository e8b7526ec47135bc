//! What a machine boots, asked by DHCP, HTTP and the trace alike: the record of the machine, the rules of its
//! network, the one decision, and the loader for its architecture.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::orders::Given;
use crate::boot::environments::Load;
use crate::boot::files::Files;
use crate::boot::loaders::{self, Loader, LoaderMemory};
use crate::core::Core;
use crate::model::boot::{MAX_TRIES, TOKEN_LIFE};
use crate::model::trace::Stage;
use crate::model::workflow::Wants;
use crate::model::{
    BootRequest, Decision, LinkName, MacAddr, Machine, Network, Platform, Rung, decide,
};
use crate::net::dhcp::{BootAnswer, Client, Firmware};

/// A loader that a person puts there is noticed this much later.
const LOOKED_FOR: SignedDuration = SignedDuration::from_secs(5);

/// Machines that fetch something at the same time and have no record yet.
const MAX_WORKED: usize = 4096;

/// Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Adviser {
    core: Core,
    pub(super) files: Arc<Files>,
    http_port: u16,
    memory: Arc<Mutex<LoaderMemory>>,
    /// The rung on which a machine fetched something, until its record has it.
    worked: Arc<Mutex<BTreeMap<MacAddr, Rung>>>,
    present: Arc<Mutex<Present>>,
    /// Orders that were handed out a moment ago.
    pub(super) orders: Arc<Given>,
    /// How often each that is unknown was sent the agent; until it checks in, or is registered without.
    tries: Arc<Mutex<BTreeMap<MacAddr, u8>>>,
}

/// Which loaders are there, asked of the disk now and then: a flood of questions must not become one of system calls.
#[derive(Debug, Default)]
struct Present {
    since: Timestamp,
    names: BTreeMap<String, bool>,
}

/// Who asks, with everything that is known of it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub machine: Option<Arc<Machine>>,
    pub network: Arc<Network>,
    pub decision: Decision,
}

impl Adviser {
    pub(super) fn new(core: Core, files: Arc<Files>, http_port: u16) -> Self {
        Self {
            core,
            files,
            http_port,
            memory: Arc::default(),
            worked: Arc::default(),
            present: Arc::default(),
            orders: Arc::default(),
            tries: Arc::default(),
        }
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// The decision for the machine with this card, of that kind, on that link. Where the store cannot answer, the machine counts
    /// as unknown and the network as untouched; both make for the most harmless boot. `uuid` is what its board says of
    /// itself, once it has.
    pub(super) fn asked(
        &self,
        mac: MacAddr,
        uuid: Option<Uuid>,
        platform: Option<Platform>,
        link: &LinkName,
    ) -> Asked {
        let machine = self.core.machine_by_mac(mac).unwrap_or_default();
        let network = self.core.network(link).map(|(network, _)| network);
        let network = network.unwrap_or_else(|_| Arc::new(Network::new(link.clone())));
        let decision = decide(&BootRequest {
            machine: machine.as_deref(),
            admit: network.config.admit,
            idle: network.config.idle,
            work: machine
                .as_deref()
                .map_or(Wants::Nothing, |machine| self.wants(machine)),
            agent: platform.is_some_and(|platform| self.has_agent(mac, platform)),
            tries: self.tries(mac),
            other_board: machine
                .as_deref()
                .is_some_and(|machine| machine.identity.is_other(uuid)),
        });
        Asked {
            machine,
            network,
            decision,
        }
    }

    /// What DHCP tells a client. `address` is one of ours that the client reaches.
    pub(super) fn answer(&self, client: &Client, link: &LinkName, address: Ipv4Addr) -> BootAnswer {
        self.orders.forget(client.mac);
        let asked = self.asked(client.mac, None, client.platform(), link);
        let loader = self.loader(client, &asked);
        let server = SocketAddr::from((address, self.http_port));
        let url = |loader: &Loader| format!("http://{server}{}", loader.http_path);
        BootAnswer {
            url: loader.as_ref().map(url),
            file: loader.map(|loader| loader.tftp_name),
            known: asked.machine.is_some(),
            rung: asked.machine.and_then(|machine| machine.boot.rung),
            decision: asked.decision,
        }
    }

    fn loader(&self, client: &Client, asked: &Asked) -> Option<Loader> {
        let own = asked.machine.as_ref().map(|machine| machine.boot.loader);
        let vendors = &asked.network.config.loaders;
        let choice = loaders::choice(own.unwrap_or_default(), client.mac, vendors);
        let ipxe = match &client.firmware {
            Firmware::Ipxe(ipxe) => Some(loaders::Ipxe {
                http: ipxe.runs_scripts(),
                kernels: ipxe.runs_scripts(),
            }),
            _ => None,
        };
        let who = loaders::Client {
            arch: client.arch(),
            platform: client.platform(),
            mac: client.mac,
            ipxe,
        };
        let now = self.core.clock().now();
        let present = |name: &str| self.is_present(name, now);
        loaders::plan(who, choice, &self.memory(), now, present)
    }

    /// What a workflow wants of the machine now.
    fn wants(&self, machine: &Machine) -> Wants {
        match self.core.active_workflow(machine.id) {
            Ok(Some((workflow, _))) => workflow.wants(),
            _ => Wants::Nothing,
        }
    }

    /// Whether there is a boot environment for this platform, and its agent would be let in: who was not heard to ask
    /// for an address gets no token.
    fn has_agent(&self, mac: MacAddr, platform: Platform) -> bool {
        let now = self.core.clock().now();
        let asked = || {
            self.core
                .traces()
                .heard_lately(mac, Stage::Dhcp, now, TOKEN_LIFE)
        };
        let there = || self.environment(platform, None, None).is_some();
        self.is_present_by(platform.name(), now, there) && asked()
    }

    /// What a machine loads as its boot environment; firmware for its cards too, as far as they are known.
    pub(super) fn environment(
        &self,
        platform: Platform,
        machine: Option<&Machine>,
        card: Option<&str>,
    ) -> Option<Load> {
        let known = machine.iter().flat_map(|machine| &machine.hardware.pci_ids);
        let ids = known.map(String::as_str).chain(card);
        self.files.environments().load(platform, ids).ok()
    }

    fn tries(&self, mac: MacAddr) -> u8 {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.get(&mac).copied().unwrap_or(0)
    }

    /// One that is unknown was sent the agent.
    pub(super) fn agent_sent(&self, mac: MacAddr) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        // Who is pushed out is tried anew.
        if tries.len() >= MAX_WORKED {
            tries.clear();
        }
        let sent = tries.entry(mac).or_default();
        *sent = sent.saturating_add(1).min(MAX_TRIES);
    }

    /// It is a machine now.
    pub(super) fn forget_tries(&self, mac: MacAddr) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.remove(&mac);
    }

    fn is_present(&self, name: &str, now: Timestamp) -> bool {
        self.is_present_by(name, now, || self.files.has(name))
    }

    /// What `look` says, or said a moment ago.
    fn is_present_by(&self, name: &str, now: Timestamp, look: impl FnOnce() -> bool) -> bool {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back counts as late.
        if now.duration_since(present.since).abs() > LOOKED_FOR {
            present.names.clear();
            present.since = now;
        }
        if let Some(there) = present.names.get(name) {
            return *there;
        }
        let there = look();
        present.names.insert(name.to_owned(), there);
        there
    }

    /// The machine has this loader whole.
    pub(super) fn loader_fetched(&self, mac: MacAddr, name: &str) {
        if let Some(build) = loaders::build(name) {
            self.memory().fetched(mac, build, self.core.clock().now());
        }
    }

    /// The machine came to its script.
    pub(super) fn script_reached(&self, mac: MacAddr) {
        self.memory().reached(mac);
    }

    pub(super) fn worked(&self, mac: MacAddr, rung: Rung) {
        let mut worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        // Most of them never came to a script; a machine that did says so again at its next boot.
        if worked.len() >= MAX_WORKED {
            worked.clear();
        }
        worked.insert(mac, rung);
    }

    /// The rung that worked, for the machine's record.
    pub(super) fn take_rung(&self, mac: MacAddr) -> Option<Rung> {
        let mut worked = self.worked.lock().unwrap_or_else(PoisonError::into_inner);
        worked.remove(&mac)
    }

    fn memory(&self) -> MutexGuard<'_, LoaderMemory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
