//! What a distribution's installer asks, answered for one machine.
//!
//! Each language is written in its own way, and each has characters that mean something in it. So values are typed
//! ([`Defaults`], [`Machine`]), words of a template are checked here, and what is written is quoted by the rules of its
//! language: one line for preseed, `shlex` for kickstart, a tree for YAML, XML and JSON.
//!
//! All of them end the same way: the installer fetches [`finish`], a script that makes what installers have no answers
//! for (keys, sudo, the unit that calls home), runs it in the new system, and reports the end.
//!
//! | kind | held against |
//! |---|---|
//! | preseed | `debconf-set-selections -c` |
//! | kickstart | pykickstart's `ksvalidator` |
//! | autoinstall | `cloud-init schema` |
//! | autoyast | the rules of XML alone: unverified |
//! | ignition | `ignition-validate` |

mod autoinstall;
mod autoyast;
mod finish;
mod ignition;
mod kickstart;
mod preseed;
mod words;

use crate::model::action::{Answers, Installer};
use crate::model::disk::{DiskError, DiskRule, choose};
use crate::model::{Defaults, Machine};

pub use finish::finish;

/// What answers are made of.
#[derive(Clone, Copy, Debug)]
pub struct Questions<'a> {
    pub machine: &'a Machine,
    pub defaults: &'a Defaults,
    pub installer: &'a Installer,
    pub links: &'a Links,
}

/// Where the installer, and the system that it installs, report. Each holds the installation's own secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// The script that is run in the new system.
    pub finish: String,
    /// Fetched when the installer is done.
    pub installed: String,
    /// Fetched by the new system at its first start.
    pub home: String,
}

/// Why there are no answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswersError {
    #[error("{what} '{word}' cannot stand in {kind} answers: {why}")]
    Word {
        kind: &'static str,
        what: &'static str,
        word: String,
        why: &'static str,
    },
    #[error("{kind} answers have no {what}")]
    Unable {
        kind: &'static str,
        what: &'static str,
    },
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The answers, in the language of `questions.installer`.
pub fn answers(questions: &Questions<'_>) -> Result<String, AnswersError> {
    match questions.installer.answers {
        Answers::Preseed => preseed::preseed(questions),
        Answers::Kickstart => kickstart::kickstart(questions),
        Answers::Autoinstall => autoinstall::autoinstall(questions),
        Answers::Autoyast => autoyast::autoyast(questions),
        Answers::Ignition => ignition::ignition(questions),
    }
}

/// Whether what is written was ever held against a validator or an installer of its language.
pub const fn is_verified(kind: Answers) -> bool {
    !matches!(kind, Answers::Autoyast)
}

/// What is added to the kernel's command line, so that the installer finds its answers. `base` is where we are:
/// `http://10.0.0.2:3080`.
pub fn cmdline(kind: Answers, machine: &Machine, base: &str) -> String {
    let own = super::first_boot::OwnName::of(machine);
    let mac = machine.identity.primary_mac.to_string();
    let place = format!("{base}/answers/{}", kind.name());
    match kind {
        // Its questions about the network come before the answers, so these stand here.
        Answers::Preseed => format!(
            "auto=true priority=critical interface={mac} hostname={} domain={} url={place}",
            own.host,
            own.domain.as_deref().unwrap_or("local"),
        ),
        Answers::Kickstart => format!(
            "inst.ks={place} ip=dhcp BOOTIF=01-{}",
            mac.replace(':', "-")
        ),
        Answers::Autoinstall => {
            format!("autoinstall ip=dhcp cloud-config-url=/dev/null ds=nocloud;s={place}/")
        }
        Answers::Autoyast => format!("autoyast={place} ifcfg=*=dhcp"),
        Answers::Ignition => format!("ignition.config.url={place} ip=dhcp rd.neednet=1"),
    }
}

/// The device that is written to. A rule has to point at one disk of those that were found; where nobody looked into
/// the machine yet, and no rule was given, the installer takes the first.
fn disk(questions: &Questions<'_>) -> Result<Option<String>, AnswersError> {
    let (rule, disks) = (&questions.installer.disk, &questions.machine.hardware.disks);
    if disks.is_empty() {
        return match rule {
            DiskRule::Auto => Ok(None),
            DiskRule::Device(path) => words::device(questions, path).map(Some),
            DiskRule::Where(_) => Err(AnswersError::Disk(DiskError::None)),
        };
    }
    let chosen = choose(rule, disks)?;
    // The installer's kernel may count disks in another order.
    let lasting = chosen
        .links
        .iter()
        .find(|link| link.starts_with("/dev/disk/by-id/"));
    let path = lasting.cloned();
    let path =
        path.unwrap_or_else(|| format!("/dev/{}", chosen.device.trim_start_matches("/dev/")));
    words::device(questions, &path).map(Some)
}

/// Whether the system's network is anything but DHCP on the card that it booted from.
fn has_own_network(machine: &Machine) -> bool {
    let config = &machine.config;
    config.static_ip.is_some() || config.vlan.is_some() || config.bond.is_some()
}

#[cfg(test)]
mod tests;
