//! Names of new machines out of the reverse DNS, by the rule in `naming.rule`.
//!
//! Each machine is asked about once, when it is registered; what comes of it is an event like any other change. A
//! name server that does not answer keeps no machine waiting: it is left alone for a while.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::core::{Call, Command, Core, Refusal, StoreError};
use crate::model::machine::Source;
use crate::model::naming::Named;
use crate::model::{
    Actor, CorrelationId, Event, Hostname, MachineId, NamingRule, RequestId, Subject, What,
};
use crate::net::dns::{MAX_DATAGRAM, answer, question};
use crate::net::peers::Peers;

const PORT: u16 = 53;
const RESOLVERS: &str = "/etc/resolv.conf";
/// As many name servers as are asked, one after the other.
const MAX_SERVERS: usize = 3;
/// As often as one of them is asked.
const TRIES: u8 = 2;
const PATIENCE: Duration = Duration::from_secs(2);
/// After a silence none is asked for so long: machines that register by the hundred would wait for it one by one.
const REST: SignedDuration = SignedDuration::from_secs(30);

/// Names machines until `stop` turns true.
pub(super) async fn run(core: Core, peers: Peers, mut stop: watch::Receiver<bool>) {
    let mut events = core.watch(None);
    let mut namer = Namer {
        core,
        peers,
        rests_until: None,
    };
    loop {
        let batch = tokio::select! {
            batch = events.next() => batch,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match batch {
            Ok(batch) => {
                for event in &batch {
                    tokio::select! {
                        () = namer.see(event) => {}
                        _ = stop.wait_for(|stop| *stop) => return,
                    }
                }
            }
            Err(StoreError::Reset { .. }) => {}
            Err(_) => return,
        }
    }
}

struct Namer {
    core: Core,
    peers: Peers,
    rests_until: Option<Timestamp>,
}

impl Namer {
    async fn see(&mut self, event: &Event) {
        let (Subject::Machine(id), What::Registered { .. }) = (&event.subject, &event.what) else {
            return;
        };
        let now = self.core.clock().now();
        if self.rests_until.is_some_and(|until| now < until) {
            return;
        }
        if let Err(why) = self.name(*id, event).await {
            tracing::warn!(machine = %id, %why, "machine not named");
        }
    }

    async fn name(&mut self, id: MachineId, event: &Event) -> Result<(), Refusal> {
        let Ok(rule) = self.setting("naming.rule")?.parse::<NamingRule>() else {
            return Ok(());
        };
        let (machine, _) = self.core.machine_by_id(id)?;
        let mac = machine.identity.primary_mac;
        let address = match machine.metadata.source {
            Source::Agent => self.peers.address_of(mac),
            _ => None,
        };
        let Some(address) = address.map(IpAddr::V4) else {
            return Ok(());
        };
        let Some(name) = self.ask(address).await? else {
            tracing::info!(%mac, %address, "address has no name");
            return Ok(());
        };
        let Some(named) = rule.apply(&name) else {
            tracing::info!(%mac, %address, %name, %rule, "name does not fit the rule");
            return Ok(());
        };
        self.give(id, named, event).await
    }

    fn setting(&self, key: &str) -> Result<String, Refusal> {
        Ok(self.core.setting(&key.parse()?)?.value)
    }

    /// The name of an address, by the first server that knows or denies one.
    async fn ask(&mut self, address: IpAddr) -> Result<Option<Hostname>, Refusal> {
        let servers = match self.setting("naming.dns")?.parse::<IpAddr>() {
            Ok(server) => vec![server],
            Err(_) => own_resolvers().await,
        };
        for server in servers {
            match ask(&self.core, server, address).await {
                Ok(name) => return Ok(name),
                Err(why) => tracing::warn!(%server, %why, "name server did not tell a name"),
            }
        }
        let until = self.core.clock().now().checked_add(REST);
        self.rests_until = until.ok();
        Ok(None)
    }

    async fn give(&self, id: MachineId, named: Named, event: &Event) -> Result<(), Refusal> {
        let request = self.core.clock().new_id();
        let call = Call {
            actor: Actor::system("naming"),
            command: Command::NameMachine { machine: id, named },
            request: RequestId(request),
            correlation: CorrelationId(event.correlation.0),
            causation: Some(event.cursor),
            idempotency: None,
            dry_run: false,
            if_version: None,
        };
        self.core.run(call).await.map(drop)
    }
}

/// Asks one server, whose answers alone the socket lets in.
async fn ask(core: &Core, server: IpAddr, address: IpAddr) -> Result<Option<Hostname>, String> {
    let any: IpAddr = match server {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let failed = |error: std::io::Error| error.to_string();
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    socket
        .connect(SocketAddr::new(server, PORT))
        .await
        .map_err(failed)?;
    let mut why = format!(
        "it was silent for {} s",
        PATIENCE.as_secs() * u64::from(TRIES)
    );
    for _ in 0..TRIES {
        // The last bytes of an id are random.
        let [.., a, b] = core.clock().new_id().into_bytes();
        let id = u16::from_be_bytes([a, b]);
        socket.send(&question(id, address)).await.map_err(failed)?;
        let mut bytes = [0; MAX_DATAGRAM];
        match timeout(PATIENCE, socket.recv(&mut bytes)).await {
            Ok(Ok(length)) => match answer(id, address, &bytes[..length]) {
                Ok(name) => return Ok(name),
                Err(error) => why = error.to_string(),
            },
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => {}
        }
    }
    Err(why)
}

/// The name servers of this machine.
async fn own_resolvers() -> Vec<IpAddr> {
    let text = tokio::fs::read_to_string(RESOLVERS)
        .await
        .unwrap_or_default();
    let servers = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers = servers.filter_map(|server| server.trim().parse().ok());
    servers.take(MAX_SERVERS).collect()
}
