//! The work of workflows, plugged to where we are on the wire and to the images that are kept here.

use std::net::{Ipv4Addr, SocketAddr};

use crate::boot::cache::Cache;
use crate::core::Core;
use crate::core::config::Config;
use crate::model::{ImageName, ImageShelf, LinkName, Machine, Proof};
use crate::provision::identity::Identity;
use crate::provision::orders::{Whereabouts, WorkOrders};
use crate::provision::work::{Placed, Server, Shelf};

/// The orders for agents and installed systems.
pub(super) fn orders(
    config: &Config,
    core: &Core,
    identity: &Identity,
    images: Option<Cache>,
) -> WorkOrders {
    let here = Here {
        core: core.clone(),
        http_port: config.net.http_port,
        agent_port: config.net.agent_port,
        pin: identity.pin().hex().to_owned(),
    };
    WorkOrders::new(core.clone(), Box::new(here), Box::new(Kept(images)))
}

/// Our addresses, as they are now.
#[derive(Debug)]
struct Here {
    core: Core,
    http_port: u16,
    agent_port: u16,
    pin: String,
}

impl Whereabouts for Here {
    fn server(&self, machine: &Machine) -> Option<Server> {
        let address = self.address(machine)?;
        Some(Server {
            http: format!("http://{address}:{}", self.http_port),
            tls: SocketAddr::from((address, self.agent_port)),
            pin: self.pin.clone(),
        })
    }
}

impl Here {
    /// What machines are told on the link on which this one was seen last; else on the only one that is served.
    fn address(&self, machine: &Machine) -> Option<Ipv4Addr> {
        let wire = self.core.wire();
        let own = |link: &LinkName| wire.link(link)?.serving.from;
        let macs = machine.identity.all_macs.iter();
        let seen = macs.filter_map(|mac| {
            let steps = self.core.traces().steps(*mac, 0);
            let mut steps = steps.into_iter().rev();
            steps.find_map(|(_, step)| Some((step.at, step.link?)))
        });
        if let Some((_, link)) = seen.max_by_key(|(at, _)| *at) {
            return own(&link);
        }
        let served = wire.links().into_iter();
        let mut served = served.filter_map(|link| link.serving.from);
        served.next().filter(|_| served.next().is_none())
    }
}

/// The images that are kept here; none where there is no cache.
#[derive(Debug)]
struct Kept(Option<Cache>);

impl Shelf for Kept {
    fn place(&self, url: &str, proof: Option<&Proof>) -> Result<Placed, String> {
        let Some(cache) = &self.0 else {
            return Err("no images are kept here: see images.mode in the configuration".into());
        };
        let name: ImageName = match url.strip_prefix("image:") {
            Some(_) if matches!(proof, Some(Proof::Checksums(_))) => {
                return Err(format!(
                    "{url} is kept here, and was believed when it came: checksums are for a URL"
                ));
            }
            Some(name) => name.parse().map_err(|error| said(&error))?,
            None => cache.adopt(url, proof).map_err(|error| said(&error))?,
        };
        let known = cache.lookup(&name).ok_or_else(|| {
            format!("there is no image {name} here: bring it with dragonfly image add {name}")
        })?;
        Ok(Placed {
            path: known.path,
            digest: known.digest,
        })
    }
}

fn said(error: &crate::model::FieldError) -> String {
    format!("{}: {}", error.field, error.reason)
}
