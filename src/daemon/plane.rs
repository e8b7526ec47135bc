//! The machines' side, plugged together: the wire tells which addresses are ours, files and scripts are served there,
//! and whoever fetches something is told to the trace, to the ladder and to the book of machines.

mod adviser;
mod agents;
mod doors;
mod naming;
mod orders;
mod pages;
mod reception;
mod register;
mod story;
mod work;

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use self::adviser::Adviser;
use self::reception::Reception;
use self::story::Story;
use super::failure::Failure;
use crate::boot::cache::Cache;
use crate::boot::environments::{Environments, NoEnvironment};
use crate::boot::files::Files;
use crate::boot::http::Plane;
use crate::boot::ipxe::Scripts;
use crate::boot::loaders;
use crate::cli::doctor::{Environment, Lacking};
use crate::core::config::Config;
use crate::core::{Clock, Command, Core, SystemClock};
use crate::model::environment::ARCHITECTURES;
use crate::model::network::Held;
use crate::model::{Actor, LinkName, MacAddr, Rung};
use crate::net::dhcp::{BootAnswer, Client};
use crate::net::floating_ip::Records;
use crate::net::peers::Peers;
use crate::net::wire::{self, Addresses, Advice};

/// The folder in the data folder with what a person adds for booting machines.
const OWN_FILES: &str = "boot";
/// Fetches that wait to be told to the ladders; hundreds belong to one boot, and one would do.
const FETCHES: usize = 1024;

/// Serves until `stop` turns true. Ends at once, and well, where no link was named.
pub(super) async fn serve(
    config: Config,
    core: Core,
    images: Option<Cache>,
    stop: watch::Receiver<bool>,
) -> Result<(), String> {
    let machines =
        Machines::build(&config, &core, images).map_err(|failure| failure.to_string())?;
    let (told, addresses) = watch::channel(Addresses::new());
    let naming = naming::run(core.clone(), machines.peers.clone(), stop.clone());
    let setting = wire::Setting {
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        wanted: config.net.links.clone(),
        advice: Arc::new(machines.adviser.clone()),
        records: Book(core.clone()),
        peers: machines.peers,
        fetched: machines.fetched,
        addresses: told,
        core,
    };
    let doors = doors::keep(machines.doors, addresses, stop.clone());
    let (wire, (), ()) = tokio::join!(wire::run(setting, stop), doors, naming);
    wire
}

/// What is served, and by whom.
struct Machines {
    adviser: Adviser,
    peers: Peers,
    fetched: mpsc::Receiver<MacAddr>,
    doors: doors::Doors,
}

impl Machines {
    fn build(config: &Config, core: &Core, images: Option<Cache>) -> Result<Self, Failure> {
        let scripts = Scripts::new().map_err(|error| Failure::internal(error.to_string()))?;
        let own = config.data.join(OWN_FILES);
        let files = Files::new(own.clone(), vec![config.loaders.clone()], scripts);
        let files = Arc::new(files.with_environments(config.agent.clone()));
        tell_lacks(&files, &own);
        let peers = Peers::default();
        let (tell, fetched) = mpsc::channel(FETCHES);
        let adviser = Adviser::new(core.clone(), Arc::clone(&files), config.net.http_port);
        let story = Story::new(adviser.clone(), peers.clone(), tell);
        let agents = agents::open(config, core, &peers, images.clone())?;
        let port = config.net.agent_port;
        let reception = Reception::new(adviser.clone(), story.clone(), Arc::clone(&agents), port);
        let plane = Plane::new(
            Arc::clone(&files),
            Box::new(reception),
            Box::new(story.clone()),
            Arc::new(SystemClock),
        );
        let own = pages::OwnPages::new(core.clone(), story.clone());
        let plane = plane.with_pages(Box::new(own));
        let plane = match images {
            Some(cache) => plane.with_images(cache),
            None => plane,
        };
        Ok(Self {
            adviser,
            peers,
            fetched,
            doors: doors::Doors::new(files, story, plane, agents, &config.net),
        })
    }
}

/// Loaders that the package should have brought; those that only a person can supply are no lack until one is asked for.
fn tell_lacks(files: &Files, own: &std::path::Path) {
    let lacks = loaders::lacks(own, |name| files.has(name));
    for lack in lacks {
        if lack.from == loaders::Supplier::Package {
            tracing::warn!(platform = %lack.platform, loader = lack.name, remedy = lack.remedy, "boot loader is missing");
        }
    }
    for architecture in ARCHITECTURES {
        match files.environments().manifest(architecture) {
            Ok(manifest) => {
                tracing::info!(
                    architecture,
                    kernel = manifest.kernel,
                    agent = manifest.agent.version,
                    "boot environment found"
                );
            }
            Err(why @ NoEnvironment::Absent(_)) => {
                tracing::info!(architecture, %why, "no boot environment");
            }
            Err(why) => tracing::warn!(architecture, %why, "boot environment not usable"),
        }
    }
}

/// The same, for `doctor`.
pub(super) fn lacking(config: &Config) -> Vec<Lacking> {
    let Ok(scripts) = Scripts::new() else {
        return Vec::new();
    };
    let own = config.data.join(OWN_FILES);
    let files = Files::new(own.clone(), vec![config.loaders.clone()], scripts);
    let lacks = loaders::lacks(&own, |name| files.has(name)).into_iter();
    let lacks = lacks.filter(|lack| lack.from == loaders::Supplier::Package);
    lacks
        .map(|lack| Lacking {
            name: lack.name,
            platform: lack.platform.to_string(),
            remedy: lack.remedy,
        })
        .collect()
}

/// The boot environments, for `doctor`.
pub(super) fn environments(config: &Config) -> Vec<Environment> {
    let environments = Environments::new(config.agent.clone());
    let found = |architecture: &str| match environments.manifest(architecture) {
        Ok(manifest) => Ok(manifest.kernel),
        Err(why) => Err(why.to_string()),
    };
    let each = ARCHITECTURES.map(|architecture| Environment {
        architecture: architecture.to_owned(),
        found: found(architecture),
    });
    each.into()
}

impl Advice for Adviser {
    fn answer(&self, client: &Client, link: &LinkName, address: Ipv4Addr) -> BootAnswer {
        Adviser::answer(self, client, link, address)
    }

    fn rung_worked(&self, mac: MacAddr, rung: Rung) {
        self.worked(mac, rung);
    }
}

/// Where the floating IP is written down.
#[derive(Clone)]
struct Book(Core);

impl Records for Book {
    async fn hold(&self, link: &LinkName, held: Option<Held>) -> Result<(), String> {
        let link = link.clone();
        let command = Command::HoldAddress { link, held };
        self.0
            .order(Actor::system("net"), command)
            .await
            .map(drop)
            .map_err(|why| why.to_string())
    }
}
