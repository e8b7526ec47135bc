//! What a person is told.

use std::net::Ipv4Addr;

use super::hold::Hold;
use super::search::{Goal, Search};
use super::{Aim, FloatingIp, Output, pool};
use crate::model::network::{FloatingState, Want};

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub state: FloatingState,
    pub address: Option<Ipv4Addr>,
    pub text: String,
    pub warning: Option<String>,
}

impl FloatingIp {
    pub(super) fn report(&mut self) {
        let report = self.standing();
        if self.told.as_ref() != Some(&report) {
            self.told = Some(report.clone());
            self.out.push(Output::Report(report));
        }
    }

    fn standing(&self) -> Report {
        let (state, text) = match (&self.released, self.aim(), &self.hold) {
            (Some(why), _, _) => (FloatingState::Released, why.clone()),
            (None, Aim::Nothing, _) => (FloatingState::Off, "none is wanted here".to_owned()),
            (None, Aim::Hosts(address), _) => (
                FloatingState::Held,
                format!("{address} is the host's own address; it is used as it is, and left alone"),
            ),
            (None, _, Some(hold)) => self.held(hold),
            (None, aim, None) => self.not_held(aim),
        };
        let address = self.address();
        let warning = address.and_then(|address| self.warning(address));
        Report {
            state,
            address,
            text,
            warning,
        }
    }

    fn held(&self, hold: &Hold) -> (FloatingState, String) {
        let address = hold.address;
        if let Some(other) = hold.gives_way_to() {
            let text =
                format!("{other} keeps using {address}; another address is being looked for");
            return (FloatingState::Conflict, text);
        }
        let text = if let Some(why) = hold.refusal() {
            format!("{address} was taken off the link and could not be put back: {why}")
        } else if !self.place.running {
            format!("{address} is kept while the cable is out")
        } else if hold.is_rechecked() {
            format!("the cable is in again; making sure that nobody took {address} meanwhile")
        } else if let (Want::Address(wanted), Some(other)) = (self.config.want, self.wanted_is_with)
        {
            format!("{address} is held in place of {wanted}, which {other} uses")
        } else if let Some(address) = self.sought() {
            format!("moving to {address}, once it is sure that nobody has it")
        } else if let Some(trouble) = &self.trouble {
            format!("{address} is held; {trouble}")
        } else if let Some(other) = hold.last_conflict() {
            format!("{address} is held; it was defended against {other}")
        } else {
            format!("{address} is held")
        };
        (FloatingState::Held, text)
    }

    fn not_held(&self, aim: Aim) -> (FloatingState, String) {
        let trouble = self.trouble.clone().filter(|_| self.pause.is_some());
        let home = self.place.home(|address| self.is_ours(address));
        if !self.place.running {
            (FloatingState::Waiting, "the link is down".to_owned())
        } else if let Some(trouble) = trouble {
            (FloatingState::NoneFree, trouble)
        } else if let Some(address) = self.sought() {
            (
                FloatingState::Probing,
                format!("making sure that nobody has {address}"),
            )
        } else if let Some(home) = home {
            let text = format!(
                "looking at the {} addresses after {}",
                self.config.scan, home.address
            );
            (FloatingState::Probing, text)
        } else if matches!(aim, Aim::Seek(Goal::This(_))) {
            (FloatingState::Probing, "about to look".to_owned())
        } else {
            let text = "the host has no IPv4 address here yet, after which one could be taken";
            (FloatingState::Waiting, text.to_owned())
        }
    }

    fn sought(&self) -> Option<Ipv4Addr> {
        match self.search.as_ref()? {
            Search::Look(_) => None,
            Search::Claim { claim, .. } => Some(claim.address),
            Search::Record(address) | Search::Add(address) => Some(*address),
        }
    }

    fn warning(&self, address: Ipv4Addr) -> Option<String> {
        let mut own = self.place.own(|other| self.is_ours(other)).peekable();
        let home = own.peek().copied()?;
        if own.any(|entry| entry.contains(address)) {
            return pool::warning(self.seen, address);
        }
        Some(format!(
            "{address} lies outside of {}/{}, so machines there reach it only by a router",
            home.network(),
            home.prefix
        ))
    }
}
