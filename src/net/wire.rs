//! All links that are served, each in a task of its own that comes and goes with its link.
//!
//! What a machine boots, where files come from and where what was learnt is kept is the affair of others, who are
//! plugged in here: [`Advice`] and [`Records`].

mod ports;
mod post;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use self::post::Post;
use super::dhcp::{BootAnswer, Client};
use super::floating_ip::Records;
use super::links::{LinkState, Links, Watch};
use super::peers::Peers;
use crate::core::wire::Scanned;
use crate::core::{Clock, Core};
use crate::model::{LinkName, MacAddr};

/// Stands for every real Ethernet link.
pub const AUTO: &str = "auto";
/// Fetches that wait for their link's task; the ladder needs one of a boot, and hundreds come.
const FETCHES: usize = 1024;
/// Scans of one link that wait for its task.
const SCANS: usize = 8;
/// A link that cannot be served is tried again after this.
const RETRY: std::time::Duration = std::time::Duration::from_secs(3);

/// Says what a client boots.
pub trait Advice: Send + Sync {
    /// `address` is one of ours that the client reaches; all URLs name it.
    fn answer(&self, client: &Client, link: &LinkName, address: Ipv4Addr) -> BootAnswer;

    /// The machine fetched something after it was told how on this rung, which is news.
    fn rung_worked(&self, mac: MacAddr, rung: crate::model::Rung);
}

/// What the wire is made of.
pub struct Setting<R> {
    pub core: Core,
    pub clock: Arc<dyn Clock>,
    /// The links that a person named, or [`AUTO`].
    pub wanted: Vec<LinkName>,
    pub advice: Arc<dyn Advice>,
    pub records: R,
    pub peers: Peers,
    /// Machines that fetched something from us.
    pub fetched: mpsc::Receiver<MacAddr>,
    /// Told which addresses the machine plane shall answer at.
    pub addresses: watch::Sender<Addresses>,
}

impl<R> std::fmt::Debug for Setting<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

/// Our addresses by link: the floating IP first, then the host's own.
pub type Addresses = BTreeMap<LinkName, Vec<Ipv4Addr>>;

type ScanAnswer = oneshot::Sender<Result<Vec<Scanned>, String>>;

/// What the task of a link hears beside its frames.
enum Word {
    Fetched(MacAddr),
    Scan(ScanAnswer),
}

/// Serves until `stop` turns true.
pub async fn run<R>(setting: Setting<R>, stop: watch::Receiver<bool>) -> Result<(), String>
where
    R: Records + Clone + Send + Sync + 'static,
{
    let watch = Watch::start().await.map_err(|error| error.to_string())?;
    Wire {
        posts: BTreeMap::new(),
        tasks: JoinSet::new(),
        shared: Shared {
            core: setting.core,
            clock: setting.clock,
            advice: setting.advice,
            records: setting.records,
            peers: setting.peers,
            addresses: Arc::new(setting.addresses),
        },
        wanted: setting.wanted,
        watch,
        stop: stop.clone(),
    }
    .run(setting.fetched, stop)
    .await;
    Ok(())
}

/// What every link's task needs.
struct Shared<R> {
    core: Core,
    clock: Arc<dyn Clock>,
    advice: Arc<dyn Advice>,
    records: R,
    peers: Peers,
    addresses: Arc<watch::Sender<Addresses>>,
}

impl<R: Clone> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            clock: Arc::clone(&self.clock),
            advice: Arc::clone(&self.advice),
            records: self.records.clone(),
            peers: self.peers.clone(),
            addresses: Arc::clone(&self.addresses),
        }
    }
}

struct Wire<R> {
    /// By index: a name may change hands.
    posts: BTreeMap<u32, mpsc::Sender<Word>>,
    tasks: JoinSet<(u32, Result<(), String>)>,
    shared: Shared<R>,
    wanted: Vec<LinkName>,
    watch: Watch,
    stop: watch::Receiver<bool>,
}

impl<R> Wire<R>
where
    R: Records + Clone + Send + Sync + 'static,
{
    async fn run(mut self, mut fetched: mpsc::Receiver<MacAddr>, mut stop: watch::Receiver<bool>) {
        let mut links = self.watch.subscribe();
        let mut scans = self.shared.core.wire().scans();
        let mut retry = None;
        self.tend(&mut retry);
        loop {
            tokio::select! {
                () = told_to_stop(&mut stop) => break,
                changed = links.changed() => {
                    if changed.is_err() {
                        tracing::error!("the kernel tells no more of its links");
                        break;
                    }
                    self.tend(&mut retry);
                }
                Some(ended) = self.tasks.join_next() => {
                    self.ended(ended, &mut retry);
                }
                () = pause(retry) => {
                    retry = None;
                    self.tend(&mut retry);
                }
                Some(mac) = fetched.recv() => self.fetched(mac),
                Some(request) = next(&mut scans) => self.scan(&request.link, request.answer),
            }
        }
        drop(self.posts);
        // Each of them heard the same signal, and puts its link back as it was.
        while self.tasks.join_next().await.is_some() {}
    }

    /// Lets go of links that are no longer wanted, and starts a task for each wanted one that is there and has none.
    fn tend(&mut self, retry: &mut Option<tokio::time::Instant>) {
        let links = self.watch.now();
        let wanted = wanted(&links, &self.wanted);
        let_go(&mut self.posts, &wanted);
        if retry.is_some() {
            return;
        }
        // One that cannot be served holds up none of the others.
        for link in wanted {
            if self.posts.contains_key(&link.index) {
                continue;
            }
            let (words, heard) = mpsc::channel(FETCHES + SCANS);
            let index = link.index;
            let post = Post::open(self.shared.clone(), link, &links, self.watch.handle());
            match post {
                Ok(post) => {
                    tracing::info!(link = %link.name, mac = %link.mac, "link is served");
                    let (links, stop) = (self.watch.subscribe(), self.stop.clone());
                    self.tasks
                        .spawn(async move { (index, post.serve(links, heard, stop).await) });
                    self.posts.insert(index, words);
                }
                Err(why) => {
                    tracing::warn!(link = %link.name, %why, "link cannot be served; tried again soon");
                    *retry = Some(tokio::time::Instant::now() + RETRY);
                }
            }
        }
    }

    fn ended(
        &mut self,
        ended: Result<(u32, Result<(), String>), tokio::task::JoinError>,
        retry: &mut Option<tokio::time::Instant>,
    ) {
        match ended {
            Ok((index, outcome)) => {
                self.posts.remove(&index);
                if let Err(why) = outcome {
                    tracing::warn!(index, why, "link is served no more");
                }
            }
            Err(error) => {
                tracing::error!(%error, "the task of a link broke");
                self.posts.retain(|_, words| !words.is_closed());
            }
        }
        // It may be there again already, or come back in a moment.
        *retry = Some(tokio::time::Instant::now() + RETRY);
    }

    fn fetched(&self, mac: MacAddr) {
        for words in self.posts.values() {
            // A link that is behind by that much learns nothing new from one more.
            let _ = words.try_send(Word::Fetched(mac));
        }
    }

    fn scan(&self, link: &LinkName, answer: ScanAnswer) {
        let links = self.watch.now();
        let words = links
            .named(link)
            .and_then(|link| self.posts.get(&link.index));
        if let Some(words) = words {
            // When it cannot be taken, the answer's end is dropped, and whoever asked is told.
            let _ = words.try_send(Word::Scan(answer));
        }
    }
}

/// The links that are to be served, of those that are there.
fn wanted<'a>(links: &'a Links, named: &[LinkName]) -> Vec<&'a LinkState> {
    if named.iter().any(|name| name.as_str() == AUTO) {
        return links.real().collect();
    }
    named.iter().filter_map(|name| links.named(name)).collect()
}

/// A link that got another name, or became a port of a bridge, was named by nobody: its task ends with its channel.
fn let_go<T>(posts: &mut BTreeMap<u32, T>, wanted: &[&LinkState]) {
    posts.retain(|index, _| {
        let stays = wanted.iter().any(|link| link.index == *index);
        if !stays {
            tracing::info!(index, "link is not among those of net.links any more");
        }
        stays
    });
}

/// Whoever could say stop may be gone; then nobody is there to serve for.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn pause(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

async fn next<T>(receiver: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::links::LinkKind;
    use super::*;

    fn link(index: u32, name: &str, master: Option<u32>) -> (u32, LinkState) {
        let state = LinkState {
            index,
            name: name.parse().unwrap(),
            mac: MacAddr::new([2, 0, 0, 0, 0, 1]),
            up: true,
            running: true,
            mtu: 1500,
            kind: if name.starts_with("br") {
                LinkKind::Bridge
            } else {
                LinkKind::Card
            },
            master,
            addresses: Vec::new(),
        };
        (index, state)
    }

    fn served(links: Vec<(u32, LinkState)>, named: &str) -> Vec<u32> {
        let links = Links(links.into_iter().collect());
        let mut posts = BTreeMap::from([(2, "a"), (3, "b")]);
        let_go(&mut posts, &wanted(&links, &[named.parse().unwrap()]));
        posts.into_keys().collect()
    }

    #[test]
    fn a_link_that_gave_its_name_to_another_is_served_no_more() {
        let renamed = vec![link(2, "wan", None), link(3, "lan", None)];
        assert_eq!(served(renamed, "lan"), [3]);
    }

    #[test]
    fn a_card_that_became_a_port_leaves_its_frames_to_the_bridge() {
        let bridged = vec![link(2, "eth0", Some(3)), link(3, "br0", None)];
        assert_eq!(served(bridged, AUTO), [3]);
    }
}
