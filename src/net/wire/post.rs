//! One link that is served: its frames, its floating IP, its DHCP, and the time.
//!
//! The machines inside are plain; this loop gives them what comes off the wire and does what comes out of them. It ends
//! when the link is gone.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::ports::{Place as PortPlace, Ports};
use super::{Shared, Word};
use crate::core::wire::{LinkStatus, Serving};
use crate::model::network::{FloatingState, FloatingStatus, Serve};
use crate::model::{Lease, LinkName, Network, NetworkConfig, Sighting};
use crate::net::arp;
use crate::net::arp::{Answer, Pace, Prober};
use crate::net::dhcp::{Client, Engine, Frame as Datagram, Input, Output, Reply, View};
use crate::net::floating_ip::{self, Keeper, Place, Records};
use crate::net::frame::{Frame, UdpFrame};
use crate::net::link::{Link, RawLink};
use crate::net::links::{LinkState, Links};

/// How a host is told apart that has no own address on a link yet.
const NO_ADDRESS: &str = "the host has no address on this link yet";

pub(super) struct Post<R> {
    shared: Shared<R>,
    link: RawLink,
    state: LinkState,
    keeper: Keeper<R>,
    engine: Engine,
    prober: Prober,
    network: Arc<Network>,
    /// Grows with each change of `network`.
    version: u64,
    /// From here on the machines count their time.
    origin: Instant,
    writes: FuturesUnordered<BoxFuture<'static, (u64, bool)>>,
    counters: Counters,
    ports: Ports,
    told: Vec<Ipv4Addr>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    heard: u64,
    answered: u64,
    unsent: u64,
}

impl<R> Post<R>
where
    R: Records + Clone + Send + Sync + 'static,
{
    pub(super) fn open(
        shared: Shared<R>,
        state: &LinkState,
        links: &Links,
        handle: rtnetlink::Handle,
    ) -> Result<Self, String> {
        let link = RawLink::open(&state.name).map_err(|error| error.to_string())?;
        let network = shared.core.network(&state.name);
        let (network, _) = network.map_err(|error| error.to_string())?;
        let leases = shared.core.leases(&state.name);
        let leases = leases.map_err(|error| error.to_string())?;
        let now = shared.clock.now();
        let mut engine = Engine::new();
        engine.load_leases(now, leases.iter().map(|lease| Lease::clone(lease)));
        let keeper = Keeper::new(floating_ip::Setting {
            link: state.name.clone(),
            index: state.index,
            mac: link.mac(),
            handle,
            place: Place::of(links, state.index).unwrap_or_default(),
            config: network.config.floating.clone(),
            held: network.held.clone(),
            records: shared.records.clone(),
            clock: Arc::clone(&shared.clock),
        });
        Ok(Self {
            prober: Prober::new(link.mac(), Pace::LEASE),
            shared,
            link,
            state: state.clone(),
            keeper,
            engine,
            network,
            version: 0,
            origin: Instant::now(),
            writes: FuturesUnordered::new(),
            counters: Counters::default(),
            ports: Ports::default(),
            told: Vec::new(),
        })
    }

    pub(super) async fn serve(
        mut self,
        mut links: watch::Receiver<Arc<Links>>,
        mut words: mpsc::Receiver<Word>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), String> {
        let mut moved = self.shared.core.moved();
        // Between its opening and now somebody may have changed the network.
        moved.mark_changed();
        self.float(floating_ip::Input::Tick).await;
        let mut buffer = vec![0; RawLink::BUFFER];
        let outcome = loop {
            let due = self.due();
            tokio::select! {
                () = super::told_to_stop(&mut stop) => break Ok(()),
                received = self.link.recv(&mut buffer) => match received {
                    Ok(received) => {
                        let bytes = buffer.get(..received.length).unwrap_or_default();
                        self.heard(bytes, &received).await;
                    }
                    Err(error) => break Err(error.to_string()),
                },
                () = tokio::time::sleep_until(due.unwrap_or(self.origin)), if due.is_some() => self.tick().await,
                Some((token, ok)) = self.writes.next(), if !self.writes.is_empty() => {
                    self.dhcp(Input::LeasesWritten { token, ok });
                }
                word = words.recv() => match word {
                    Some(Word::Fetched(mac)) => self.dhcp(Input::Fetched { mac }),
                    Some(Word::Scan(answer)) => self.keeper.scan(self.now(), answer),
                    None => break Ok(()),
                },
                changed = links.changed() => {
                    let now = links.borrow_and_update().clone();
                    let here = now.0.get(&self.state.index).cloned();
                    match (changed, here) {
                        (Ok(()), Some(state)) => {
                            if let Err(why) = self.placed(state, &now).await {
                                break Err(why);
                            }
                        }
                        _ => break Err("the link is gone".to_owned()),
                    }
                }
                Ok(()) = moved.changed() => self.configured().await,
            }
        };
        self.leave();
        outcome
    }
}

/// What is done when something happens.
impl<R> Post<R>
where
    R: Records + Clone + Send + Sync + 'static,
{
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// When something is due by itself.
    fn due(&self) -> Option<Instant> {
        let floating = self.keeper.next_timer();
        let probes = self.prober.next_timer();
        let machines = [floating, probes].into_iter().flatten().min();
        let machines = machines.map(|at| self.origin + at);
        let engine = self.engine.next_timer();
        let engine = engine.and_then(|at| wait(at, self.shared.clock.now(), self.own().is_some()));
        let engine = engine.map(|wait| Instant::now() + wait);
        machines.into_iter().chain(engine).min()
    }

    async fn tick(&mut self) {
        self.float(floating_ip::Input::Tick).await;
        self.probe();
        self.dhcp(Input::Tick);
    }

    async fn heard(&mut self, bytes: &[u8], received: &crate::net::link::Received) {
        self.counters.heard += 1;
        match Frame::parse(bytes, received.tag, received.checksum) {
            Ok(Frame::Arp(packet)) => self.arp(&packet).await,
            Ok(Frame::Udp(frame)) => {
                if !frame.src.ip().is_unspecified() && !self.is_routed(*frame.src.ip()) {
                    let peers = &self.shared.peers;
                    peers.heard(*frame.src.ip(), frame.src_mac, &self.state.name);
                }
                self.dhcp(Input::Datagram(Datagram {
                    src_mac: frame.src_mac,
                    src: frame.src,
                    dst: frame.dst,
                    vlan: frame.vlan,
                    payload: frame.payload,
                }));
            }
            Err(error) => tracing::trace!(link = %self.state.name, %error, "frame passed over"),
        }
    }

    /// Whether an address is behind a router, whose card is then no machine's.
    fn is_routed(&self, address: Ipv4Addr) -> bool {
        !self.state.addresses.iter().any(|own| own.contains(address))
    }

    async fn arp(&mut self, packet: &arp::Packet) {
        let peers = &self.shared.peers;
        peers.heard(packet.sender, packet.sender_mac, &self.state.name);
        if let Some(Answer::Taken(address, by)) = self.prober.heard(packet) {
            self.dhcp(Input::ProbeAnswered { address, by });
        }
        self.float(floating_ip::Input::Arp(packet)).await;
    }

    async fn float(&mut self, input: floating_ip::Input<'_>) {
        let now = self.now();
        self.keeper.feed(&self.link, now, input).await;
        self.publish();
    }

    async fn placed(&mut self, state: LinkState, links: &Links) -> Result<(), String> {
        if state.mac != self.link.mac() {
            return Err("the link has another card's address now".to_owned());
        }
        let renamed = state.name != self.state.name;
        if renamed {
            tracing::info!(from = %self.state.name, to = %state.name, "link was renamed");
            self.shared.core.wire().withdraw(&self.state.name);
            self.tell(Vec::new());
            self.keeper.renamed(state.name.clone());
        }
        let place = Place::of(links, state.index).unwrap_or_default();
        self.state = state;
        self.float(floating_ip::Input::Place(place)).await;
        if renamed {
            self.configured().await;
        }
        Ok(())
    }

    /// A person may have changed the network.
    async fn configured(&mut self) {
        let Ok((network, _)) = self.shared.core.network(&self.state.name) else {
            return;
        };
        if network.config == self.network.config {
            self.network = network;
            return;
        }
        let floating = network.config.floating.clone();
        self.network = network;
        self.version += 1;
        self.float(floating_ip::Input::Config(floating)).await;
        self.dhcp(Input::Tick);
    }

    /// Asks the wire whether addresses are free that a lease may be given on.
    fn probe(&mut self) {
        let now = self.now();
        let from = self.own().map_or(Ipv4Addr::UNSPECIFIED, |(own, _)| own);
        for answer in self.prober.tick(now, from) {
            if let Answer::Send(packet) = answer {
                self.send(&packet.to_frame());
            }
        }
    }

    /// The host's own address here, with its prefix.
    fn own(&self) -> Option<(Ipv4Addr, u8)> {
        let floating = self.keeper.address();
        let own = self.state.addresses.iter();
        let mut own = own.filter(|entry| entry.prefix < 32 || Some(entry.address) != floating);
        own.next().map(|entry| (entry.address, entry.prefix))
    }

    fn dhcp(&mut self, input: Input<'_>) {
        let Some((own, prefix)) = self.own() else {
            return;
        };
        let server = self.keeper.address().unwrap_or(own);
        let (advice, name) = (Arc::clone(&self.shared.advice), self.state.name.clone());
        let network = Arc::clone(&self.network);
        let boot = |client: &Client, address| advice.answer(client, &name, address);
        let view = View {
            link: &name,
            own,
            prefix,
            server,
            routed: server,
            mtu: u16::try_from(self.state.mtu).unwrap_or(u16::MAX),
            config: &network.config,
            version: self.version,
            boot: &boot,
        };
        let now = self.shared.clock.now();
        for output in self.engine.handle(now, input, &view) {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send(reply) => self.reply(&reply),
            Output::Trace { mac, step } => self.shared.core.traces().note(mac, step),
            Output::Seen(sighting) => self.seen(sighting),
            Output::RungWorked { mac, rung } => self.shared.advice.rung_worked(mac, rung),
            Output::Probe { address } => {
                if self.prober.ask(self.now(), address) {
                    self.probe();
                }
            }
            Output::WriteLeases {
                token,
                leases,
                drop,
            } => self.write(token, leases, drop),
        }
    }

    /// Strangers are listed; of a machine it is a sign of life.
    fn seen(&self, sighting: Sighting) {
        let core = &self.shared.core;
        match core.machine_by_mac(sighting.mac) {
            Ok(Some(machine)) => core.telemetry().seen(machine.id),
            _ => core.seen().note(sighting),
        }
    }

    /// A lease is durable before whoever waits for it hears of it.
    fn write(&mut self, token: u64, leases: Vec<Lease>, drop: Vec<Ipv4Addr>) {
        let core = self.shared.core.clone();
        let link = self.state.name.clone();
        self.writes.push(Box::pin(async move {
            let gone = drop.into_iter().map(|address| (link.clone(), address));
            let written = core.record_leases(leases, gone.collect()).await;
            if let Err(why) = &written {
                tracing::warn!(%link, %why, "leases not written, so not given");
            }
            (token, written.is_ok())
        }));
    }

    fn reply(&mut self, reply: &Reply) {
        let frame = UdpFrame {
            src_mac: self.link.mac(),
            dst_mac: reply.dst_mac,
            vlan: reply.vlan,
            src: reply.src,
            dst: reply.dst,
            payload: &reply.payload,
        };
        match frame.build() {
            Ok(bytes) => {
                tracing::debug!(to = %reply.dst_mac, at = %reply.dst, why = reply.reason, "answer");
                self.send(&bytes);
            }
            Err(error) => tracing::warn!(%error, why = reply.reason, "answer could not be built"),
        }
    }

    fn send(&mut self, frame: &[u8]) {
        match self.link.send(frame) {
            Ok(()) => self.counters.answered += 1,
            // A full queue, or a cable that was pulled: whoever waits asks again.
            Err(error) => {
                self.counters.unsent += 1;
                tracing::debug!(link = %self.state.name, %error, "frame not sent");
            }
        }
    }
}

/// What others are shown.
impl<R> Post<R>
where
    R: Records + Clone + Send + Sync + 'static,
{
    fn publish(&mut self) {
        let floating = self.keeper.status().borrow().clone();
        let own: Vec<_> = self.owns();
        let mut at: Vec<Ipv4Addr> = self.keeper.address().into_iter().collect();
        let first_own = own.first().map(|(address, _)| *address);
        at.extend(first_own.filter(|own| !at.contains(own)));
        let serving = self.serving(&floating, first_own);
        let nothing = self.network.config.serve == Serve::Off || first_own.is_none();
        let place = |address: &Ipv4Addr| PortPlace {
            address: *address,
            floating: Some(*address) != first_own,
        };
        let place = at.first().map(place).filter(|_| !nothing);
        self.ports.keep(place, &self.state.name);
        self.tell(if nothing { Vec::new() } else { at });
        self.shared.core.wire().publish(LinkStatus {
            name: self.state.name.clone(),
            mac: self.state.mac,
            up: self.state.running,
            mtu: u16::try_from(self.state.mtu).unwrap_or(u16::MAX),
            addresses: own,
            floating,
            serving,
            counters: vec![
                ("frames_heard", self.counters.heard),
                ("frames_sent", self.counters.answered),
                ("frames_unsent", self.counters.unsent),
            ],
        });
    }

    fn owns(&self) -> Vec<(Ipv4Addr, u8)> {
        let floating = self.keeper.address();
        let all = self.state.addresses.iter();
        let own = all.filter(|entry| entry.prefix < 32 || Some(entry.address) != floating);
        own.map(|entry| (entry.address, entry.prefix)).collect()
    }

    fn serving(&self, floating: &FloatingStatus, own: Option<Ipv4Addr>) -> Serving {
        let config: &NetworkConfig = &self.network.config;
        let why = match (own, floating.state) {
            (None, _) => NO_ADDRESS.to_owned(),
            (_, FloatingState::Held | FloatingState::Off) => String::new(),
            _ => floating.text.clone(),
        };
        Serving {
            serve: config.serve,
            from: self
                .keeper
                .address()
                .or(own)
                .filter(|_| config.serve != Serve::Off),
            why,
        }
    }

    /// Tells where the machine plane is to answer on this link, when that is news.
    fn tell(&mut self, at: Vec<Ipv4Addr>) {
        if at == self.told {
            return;
        }
        self.told.clone_from(&at);
        let name: LinkName = self.state.name.clone();
        self.shared.addresses.send_modify(|all| {
            if at.is_empty() {
                all.remove(&name);
            } else {
                all.insert(name, at);
            }
        });
    }

    /// The address stays for the next daemon; all else is as before.
    fn leave(mut self) {
        self.tell(Vec::new());
        self.shared.core.wire().withdraw(&self.state.name);
        self.keeper.stop();
    }
}

/// How long until the engine has something to do. It is handed nothing while the host has no address: what is due then
/// stays due, and this loop would turn and turn.
fn wait(at: Timestamp, now: Timestamp, has_address: bool) -> Option<Duration> {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    has_address.then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_waits_for_the_address_of_the_host() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let soon = now + Duration::from_secs(1);
        assert_eq!(wait(soon, now, true), Some(Duration::from_secs(1)));
        assert_eq!(wait(now, soon, true), Some(Duration::ZERO));
        assert_eq!(wait(now, soon, false), None);
    }
}
