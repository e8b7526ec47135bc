//! What is known while one input is handled, and what comes of it.

use jiff::Timestamp;

use super::Output;
use crate::model::trace::{Mark, Stage, Step};
use crate::model::{MacAddr, Sighting};
use crate::net::dhcp::answer::{Instructions, Reply, View};
use crate::net::dhcp::classify::Client;
use crate::net::dhcp::ladder::Verdict;
use crate::net::dhcp::moment::Moment;

/// What is known while one input is handled.
#[derive(Debug)]
pub struct Scene<'a> {
    pub view: &'a View<'a>,
    pub now: Timestamp,
    pub moment: Moment,
    pub out: Vec<Output>,
}

impl Scene<'_> {
    pub fn trace(&mut self, mac: MacAddr, mark: Mark, text: impl Into<String>, why: &str) {
        let step = Step {
            at: self.now,
            stage: Stage::Dhcp,
            mark,
            link: Some(self.view.link.clone()),
            text: text.into(),
            why: why.to_owned(),
        };
        self.out.push(Output::Trace { mac, step });
    }

    pub fn send(&mut self, mac: MacAddr, mark: Mark, text: impl Into<String>, reply: Reply) {
        self.trace(mac, mark, text, reply.reason);
        self.out.push(Output::Send(reply));
    }

    /// What is said to a client of our own; of one that boots nothing only the troubles are traced, so that the
    /// machines of an office push no boot out of the trace.
    pub fn serve(&mut self, client: &Client, mark: Mark, text: impl Into<String>, reply: Reply) {
        if client.boots() {
            self.send(client.mac, mark, text, reply);
        } else {
            self.out.push(Output::Send(reply));
        }
    }

    pub fn seen(&mut self, client: &Client, waiting: bool) {
        let has = !client.ciaddr.is_unspecified();
        self.out.push(Output::Seen(Sighting {
            arch: client.arch(),
            vendor: bounded(&client.vendor),
            uuid: client.uuid,
            hostname: client.hostname.as_deref().map(bounded).unwrap_or_default(),
            address: has.then_some(client.ciaddr),
            waiting,
            ..Sighting::new(client.mac, self.view.link.clone(), self.now)
        }));
    }

    pub fn judged(&mut self, mac: MacAddr, verdict: Verdict) {
        let Verdict {
            failed,
            next,
            cause,
        } = verdict;
        match next {
            Some(next) if verdict.is_step() => {
                let text =
                    format!("nothing was fetched on rung {failed}; the next boot takes {next}");
                self.trace(mac, Mark::RungChanged, text, &cause.to_string());
            }
            Some(_) => {
                let text = format!(
                    "{cause}; the next boot takes rung {failed} again. The snippet '{}' may cure it",
                    cause.snippet()
                );
                self.trace(mac, Mark::Stopped, text, "nothing was fetched");
            }
            None => {
                let text = format!(
                    "{cause}. The snippet '{}' cures it; the next boot begins with the first rung",
                    cause.snippet()
                );
                self.trace(mac, Mark::Stopped, text, "nothing was fetched on any rung");
            }
        }
    }
}

/// Escaped text is ASCII, so it may be cut anywhere.
fn bounded(text: &str) -> String {
    text.chars().take(Sighting::MAX_TEXT).collect()
}

pub fn question(client: &Client) -> String {
    let who = client.describe();
    let vendor = match client.vendor.as_str() {
        "" => String::new(),
        vendor => format!(": {vendor}"),
    };
    if client.is_relayed() {
        return format!(
            "DISCOVER from {who}{vendor}, by the relay {}",
            client.giaddr
        );
    }
    format!("DISCOVER from {who}{vendor}")
}

pub fn named(instructions: &Instructions) -> String {
    let Instructions { server, file, .. } = instructions;
    if file.contains("://") {
        return file.clone();
    }
    if file.is_empty() {
        return format!("the board's own files from {server}");
    }
    format!("{file} from {server}")
}
