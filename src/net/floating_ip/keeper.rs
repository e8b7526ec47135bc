//! The shell around the machine: does what comes out of it, and tells it what came of that.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rtnetlink::Handle;
use tokio::sync::{oneshot, watch};

use super::scan::{self, Scan};
use super::{FloatingIp, Input, Output, Place, Record, Report, kernel};
use crate::core::Clock;
use crate::core::wire::Scanned;
use crate::model::network::{ArpSettings, Floating, FloatingState, FloatingStatus, Held};
use crate::model::{LinkName, MacAddr};
use crate::net::arp::Packet;
use crate::net::link::Link;

/// Where it is written down what is held.
pub trait Records: Send + Sync {
    /// Returns once it is durable, or with the reason why it is not.
    fn hold(
        &self,
        link: &LinkName,
        held: Option<Held>,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// As many scans at once share one look.
const MAX_WAITING: usize = 8;

/// Who waits for a scan.
pub type ScanAnswer = oneshot::Sender<Result<Vec<Scanned>, String>>;

/// The floating IP of one link, with hands. Its owner passes on what happens, and the time.
pub struct Keeper<R> {
    machine: FloatingIp,
    link: LinkName,
    index: u32,
    handle: Handle,
    records: R,
    clock: Arc<dyn Clock>,
    /// As it was written last.
    held: Option<Held>,
    /// How the link was set before, where that is known.
    before: Option<ArpSettings>,
    /// Whether it is set as it has to be while an address is held.
    quiet: bool,
    status: watch::Sender<FloatingStatus>,
    scan: Option<(Scan, Vec<ScanAnswer>)>,
}

/// What a keeper is made of.
#[derive(Debug)]
pub struct Setting<R> {
    pub link: LinkName,
    pub index: u32,
    pub mac: MacAddr,
    /// The connection of [`crate::net::links::Watch`].
    pub handle: Handle,
    pub place: Place,
    pub config: Floating,
    /// What the record says.
    pub held: Option<Held>,
    pub records: R,
    pub clock: Arc<dyn Clock>,
}

impl<R: Records> Keeper<R> {
    /// Nothing is done before the first [`Keeper::feed`], which is due at once.
    pub fn new(setting: Setting<R>) -> Self {
        // Two daemons on one wire draw different times.
        let (_, seed) = setting.clock.new_id().as_u64_pair();
        let held = setting.held;
        let machine = FloatingIp::new(
            setting.mac,
            seed,
            setting.config,
            held.as_ref(),
            setting.place,
        );
        let status = FloatingStatus {
            state: FloatingState::Waiting,
            address: None,
            since: setting.clock.now(),
            text: "about to look at the link".to_owned(),
            warning: None,
        };
        Self {
            machine,
            link: setting.link,
            index: setting.index,
            handle: setting.handle,
            records: setting.records,
            clock: setting.clock,
            before: held.as_ref().and_then(|held| held.before),
            held,
            quiet: false,
            status: watch::Sender::new(status),
            scan: None,
        }
    }

    /// How it stands, now and after each change.
    pub fn status(&self) -> watch::Receiver<FloatingStatus> {
        self.status.subscribe()
    }

    /// Passes on what happened, and does what follows. `now` is counted from one fixed moment of the caller's.
    pub async fn feed(&mut self, link: &impl Link, now: Duration, input: Input<'_>) {
        self.feed_scan(link, now, scan::hears(&input));
        let mut todo = VecDeque::from(self.machine.handle(now, input));
        while let Some(output) = todo.pop_front() {
            match output {
                Output::Send(packet) => send(link, &packet),
                Output::Record(record) => {
                    let result = self.record(record).await;
                    todo.extend(self.machine.handle(now, Input::Recorded(result)));
                }
                Output::Add(address) => {
                    self.quieten();
                    let result = kernel::add(&self.handle, self.index, address).await;
                    tracing::info!(link = %self.link, %address, ?result, "floating IP put on the link");
                    todo.extend(self.machine.handle(now, Input::Added(address, result)));
                }
                Output::Remove(address) => {
                    let result = kernel::remove(&self.handle, self.index, address).await;
                    tracing::info!(link = %self.link, %address, ?result, "floating IP taken off the link");
                }
                Output::Report(report) => self.tell(report),
            }
        }
        if self.machine.holds() {
            // One that was on the link already.
            self.quieten();
        }
    }

    /// When the next [`Input::Tick`] is due.
    pub fn next_timer(&self) -> Option<Duration> {
        // A scan that is over is answered at once.
        let scan = self
            .scan
            .as_ref()
            .map(|(scan, _)| scan.next_timer().unwrap_or_default());
        self.machine.next_timer().into_iter().chain(scan).min()
    }

    /// Where machines are answered; none: at the host's own address.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.machine.address()
    }

    /// The link has another name now.
    pub fn renamed(&mut self, link: LinkName) {
        self.link = link;
    }

    /// Looks at all addresses that may be taken, and answers; the next tick is due at once.
    pub fn scan(&mut self, now: Duration, answer: ScanAnswer) {
        let result = match &mut self.scan {
            Some((_, waiting)) if waiting.len() >= MAX_WAITING => {
                Err("too many wait for a scan already; ask again in a moment".to_owned())
            }
            Some((_, waiting)) => return waiting.push(answer),
            None => self.machine.scan(now),
        };
        match result {
            Ok(scan) => self.scan = Some((scan, vec![answer])),
            // Whoever asked may have gone.
            Err(why) => drop(answer.send(Err(why))),
        }
    }

    /// The daemon stops: the address stays where it is, for the next one to take up.
    pub fn stop(mut self) {
        self.put_back();
    }

    fn feed_scan(&mut self, link: &impl Link, now: Duration, heard: Option<&Packet>) {
        let Some((scan, _)) = &mut self.scan else {
            return;
        };
        heard.inspect(|packet| scan.heard(packet));
        scan.tick(now).iter().for_each(|packet| send(link, packet));
        if let Some((scan, waiting)) = self.scan.take_if(|(scan, _)| scan.next_timer().is_none()) {
            for answer in waiting {
                // Whoever asked may have gone.
                let _ = answer.send(Ok(scan.found()));
            }
        }
    }

    async fn record(&mut self, record: Option<Record>) -> Result<(), String> {
        let held = record.map(|record| self.held(record));
        let result = self.records.hold(&self.link, held.clone()).await;
        match &result {
            Ok(()) => self.held.clone_from(&held),
            Err(why) => {
                tracing::warn!(link = %self.link, %why, "floating IP could not be written down");
            }
        }
        if held.is_none() {
            self.put_back();
        }
        result
    }

    fn held(&mut self, record: Record) -> Held {
        let known = self
            .held
            .as_ref()
            .filter(|held| held.address == record.address);
        Held {
            address: record.address,
            since: known.map_or_else(|| self.clock.now(), |held| held.since),
            leaving: record.leaving,
            before: self.before.or_else(|| self.arp_settings()),
        }
    }

    fn arp_settings(&self) -> Option<ArpSettings> {
        match kernel::arp_settings(&self.link) {
            // Of a daemon that was killed; what was before that is not known.
            Ok(kernel::QUIET) => None,
            Ok(settings) => Some(settings),
            Err(error) => {
                tracing::warn!(link = %self.link, %error, "the link's ARP settings could not be read");
                None
            }
        }
    }

    /// Lets the kernel answer for the address on this link, and on no other.
    fn quieten(&mut self) {
        if mem::replace(&mut self.quiet, true) {
            return;
        }
        self.before = self.before.or_else(|| self.arp_settings());
        if let Err(error) = kernel::set_arp(&self.link, kernel::QUIET) {
            tracing::warn!(link = %self.link, %error, "the link's ARP settings could not be changed");
        }
    }

    fn put_back(&mut self) {
        self.quiet = false;
        let Some(before) = self.before.take() else {
            return;
        };
        if let Err(error) = kernel::set_arp(&self.link, before) {
            tracing::warn!(link = %self.link, %error, "the link's ARP settings could not be put back");
        }
    }

    fn tell(&mut self, report: Report) {
        let Report {
            state,
            address,
            text,
            warning,
        } = report;
        tracing::info!(link = %self.link, %state, ?address, %text, "floating IP");
        let adopted = self
            .held
            .as_ref()
            .filter(|held| Some(held.address) == address);
        let now = self.clock.now();
        self.status.send_modify(|status| {
            let same = (status.state, status.address) == (state, address);
            let since = match state {
                FloatingState::Held => adopted.map_or(now, |held| held.since),
                _ => now,
            };
            *status = FloatingStatus {
                state,
                address,
                since: if same { status.since } else { since },
                text,
                warning,
            };
        });
    }
}

/// What the wire loses it may lose here too: all of it is said again, or repaired by what others say.
fn send(link: &impl Link, packet: &Packet) {
    if let Err(error) = link.send(&packet.to_frame()) {
        tracing::debug!(link = %link.name(), %error, "ARP packet was not sent");
    }
}

impl<R> fmt::Debug for Keeper<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("link", &self.link)
            .field("machine", &self.machine)
            .finish_non_exhaustive()
    }
}
