//! From a workflow to what its agent does: every variable known, every disk chosen, every image near.
//!
//! Nothing here touches a machine, so whatever is wrong with a template or a rule is told before anything is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::json;

use super::first_boot::cloud_init;
use crate::model::action::{Action, Home, Place};
use crate::model::agent::{Work, WorkStep};
use crate::model::disk::choose;
use crate::model::machine::Disk;
use crate::model::oci::OciName;
use crate::model::template::{RenderedStep, Template, variables};
use crate::model::workflow::{ChosenDisk, StepStatus, Taking};
use crate::model::{Defaults, Digest, DiskRule, Machine, Proof, Workflow};

/// This Dragonfly, as one machine reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `http://10.0.0.2:3080`
    pub http: String,
    /// Where agents and installed systems are heard.
    pub tls: SocketAddr,
    /// SHA-256 of its public key, in hexadecimal.
    pub pin: String,
}

/// The images that are kept near.
pub trait Shelf: std::fmt::Debug + Send + Sync {
    /// Where machines fetch what a template names: a path on our own server, and what it has to be, if that is known.
    fn place(&self, url: &str, proof: Option<&Proof>) -> Result<Placed, String>;
}

/// An image's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// `/images/debian-13`
    pub path: String,
    pub digest: Option<Digest>,
}

/// All that a machine's work is made of.
#[derive(Debug)]
pub struct Recipe<'a> {
    pub workflow: &'a Workflow,
    pub machine: &'a Machine,
    pub defaults: &'a Defaults,
    pub server: &'a Server,
    pub shelf: &'a dyn Shelf,
}

/// The steps of a workflow for its very machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    steps: Vec<RenderedStep>,
    disks: Vec<ChosenDisk>,
}

impl Recipe<'_> {
    /// Makes the steps, or tells what is wrong in a person's words.
    pub fn prepare(&self) -> Result<Prepared, String> {
        let template = &self.workflow.template;
        let parsed = Template::parse(&template.source).map_err(|errors| {
            let first = errors.first().map(ToString::to_string);
            format!("template {}: {}", template.name, first.unwrap_or_default())
        })?;
        let texts = cloud_init(self.machine, self.defaults, Some(self.workflow.id.0));
        let texts = json!({
            "user_data": texts.user_data,
            "meta_data": texts.meta_data,
            "network_config": texts.network_config,
        });
        let server = json!({ "http": self.server.http });
        let params = &self.workflow.params;
        let values = variables(self.machine, self.defaults, texts, server, params);
        let mut steps = parsed.render(&values).map_err(|error| error.to_string())?;
        let mut disks = Chooser::new(self.workflow, &self.machine.hardware.disks);
        for step in &mut steps {
            let wrong = |why: String| format!("{}: {why}", step.name);
            disks.pin(&mut step.action).map_err(wrong)?;
            self.bring_near(&mut step.action).map_err(wrong)?;
        }
        if steps.is_empty() {
            return Err(format!(
                "template {} has no step for this machine",
                template.name
            ));
        }
        Ok(Prepared {
            steps,
            disks: disks.chosen,
        })
    }

    /// Machines speak plain HTTP with us alone, so what they fetch is fetched by us.
    fn bring_near(&self, action: &mut Action) -> Result<(), String> {
        let (url, checksum, checksums) = match action {
            Action::Image2disk(i) => (&mut i.url, &mut i.checksum, i.checksums.take()),
            Action::Archive2disk(a) => (&mut a.url, &mut a.checksum, a.checksums.take()),
            _ => return Ok(()),
        };
        let own = format!("{}/", self.server.http);
        if url.starts_with(&own) {
            return Ok(());
        }
        // A registry has a name for all platforms, and we know the one of this machine.
        if OciName::is_meant(url)
            && !url.contains('?')
            && let Some(arch) = &self.machine.hardware.architecture
        {
            url.push_str("?arch=");
            url.push_str(arch);
        }
        let told = checksum.clone().map(Proof::Checksum);
        let proof = told.or(checksums.map(Proof::Checksums));
        let placed = self.shelf.place(url, proof.as_ref())?;
        *url = format!("{}{}", self.server.http, placed.path);
        if checksum.is_none() {
            *checksum = placed.digest;
        }
        Ok(())
    }
}

impl Prepared {
    /// What the workflow has to know of it. `secret_hash` is of the secret for the installed system.
    pub fn taking(&self, secret_hash: String) -> Taking {
        let steps = self.steps.iter().map(|step| {
            let action = step.action.name().to_owned();
            (step.name.clone(), action, step.timeout_seconds)
        });
        let homes =
            |step: &RenderedStep| matches!(step.action, Action::CallHome(_) | Action::Installer(_));
        Taking {
            secret_hash: self.steps.iter().any(homes).then_some(secret_hash),
            steps: steps.collect(),
            disks: self.disks.clone(),
        }
    }

    /// The order for the agent that took the work, with the secret in it.
    pub fn work(self, workflow: &Workflow, server: &Server, secret: &str) -> Work {
        let home = Home {
            server: server.tls,
            pin: server.pin.clone(),
            machine: workflow.machine,
            workflow: workflow.id.0,
            secret: secret.to_owned(),
        };
        let mut steps = Vec::new();
        for (at, mut step) in self.steps.into_iter().enumerate() {
            if let Action::CallHome(call) = &mut step.action {
                call.home = Some(home.clone());
            }
            let known = workflow.steps.get(at);
            steps.push(WorkStep {
                name: step.name,
                action: step.action,
                timeout_seconds: step.timeout_seconds,
                done: known.is_some_and(|known| known.status == StepStatus::Done),
            });
        }
        Work {
            workflow: workflow.id.0,
            attempt: workflow.attempt,
            name: workflow.name.clone(),
            template: workflow.template.name.clone(),
            steps,
        }
    }
}

/// Finds the disks that rules point at. What an earlier agent's work chose stays chosen.
struct Chooser<'a> {
    disks: &'a [Disk],
    chosen: Vec<ChosenDisk>,
    /// The disks that steps before wrote a system to.
    written: BTreeMap<String, DiskRule>,
}

impl<'a> Chooser<'a> {
    fn new(workflow: &Workflow, disks: &'a [Disk]) -> Self {
        Self {
            disks,
            chosen: workflow.disks.clone(),
            written: BTreeMap::new(),
        }
    }

    /// Makes each rule of the action one that points at its disk and no other.
    fn pin(&mut self, action: &mut Action) -> Result<(), String> {
        let writes = matches!(action, Action::Partition(_) | Action::Image2disk(_));
        for rule in rules(action) {
            let (pinned, name) = self.resolve(rule, writes)?;
            if writes {
                self.written.insert(name, pinned.clone());
            }
            *rule = pinned;
        }
        Ok(())
    }

    /// Where a step does not say which disk it means, it means the one that a step before it wrote to.
    fn resolve(&mut self, rule: &DiskRule, writes: bool) -> Result<(DiskRule, String), String> {
        if *rule == DiskRule::Auto
            && !writes
            && self.written.len() == 1
            && let Some((name, pinned)) = self.written.first_key_value()
        {
            return Ok((pinned.clone(), name.clone()));
        }
        let known = self.chosen.iter().find(|known| known.rule == *rule);
        let again = known.map_or(rule, |known| &known.pinned);
        let disk = choose(again, self.disks).map_err(|error| match known {
            Some(known) => format!("its disk is gone, {}: {error}", known.name),
            None => error.to_string(),
        })?;
        let known = known.map(|known| known.pinned.clone());
        let pinned = known.unwrap_or_else(|| {
            let pinned = DiskRule::pin(disk);
            self.chosen.push(ChosenDisk {
                rule: rule.clone(),
                pinned: pinned.clone(),
                name: disk.to_string(),
            });
            pinned
        });
        Ok((pinned, disk.to_string()))
    }
}

/// The rules for disks in an action.
fn rules(action: &mut Action) -> Vec<&mut DiskRule> {
    match action {
        Action::Partition(partition) => {
            let mirror = partition.mirror.iter_mut();
            std::iter::once(&mut partition.disk).chain(mirror).collect()
        }
        Action::Image2disk(image) => vec![&mut image.disk],
        Action::Growroot(grow) => vec![&mut grow.disk],
        Action::Efibootmgr(boot) => vec![&mut boot.disk],
        Action::Erase(erase) => vec![&mut erase.disk],
        Action::Installer(installer) => vec![&mut installer.disk],
        Action::Archive2disk(archive) => of_place(&mut archive.place),
        Action::Writefile(file) => of_place(&mut file.place),
        Action::Chroot(chroot) => of_place(&mut chroot.place),
        Action::Bootloader(loader) => of_place(&mut loader.place),
        Action::CallHome(call) => of_place(&mut call.place),
        Action::Kexec(kexec) => of_place(&mut kexec.place),
        Action::Wait(_) | Action::Reboot(_) | Action::Poweroff(_) => Vec::new(),
    }
}

/// A device that is no partition of a disk, such as an array, needs no disk.
fn of_place(place: &mut Place) -> Vec<&mut DiskRule> {
    match place.device {
        Some(_) => Vec::new(),
        None => vec![&mut place.disk],
    }
}

#[cfg(test)]
mod tests;
