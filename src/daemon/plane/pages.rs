//! What a machine is told of itself over plain HTTP: the metadata service, and the answers of its installer.
//!
//! Who asks is known by its address alone: the card that was heard there last, on a served link. Whoever sits on that
//! network can speak in another's name, so secrets are told only while an installation of the machine is under way,
//! and an installer's answers once: its kernel is booted again and again until they are fetched, then they are the same
//! for [`WINDOW`], and then there are none.
//!
//! | page | asked by | what it does |
//! |---|---|---|
//! | `answers/KIND…` | the installer | its workflow is at work |
//! | `answers/finish/W/SECRET` | the installer, at its end | |
//! | `answers/installed/W/SECRET` | the installer, when it is done | its step is done |
//! | `answers/home/W/SECRET` | the new system | it called home |

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::story::Story;
use crate::boot::http::{PageAsk, Pages};
use crate::core::{Command, Core, HomeCall, Refusal};
use crate::model::action::Answers;
use crate::model::digest::hex;
use crate::model::trace::{Mark, Stage};
use crate::model::workflow::{Input, Wants};
use crate::model::{Actor, ActorKind, Defaults, Machine, MachineId, Once, Workflow, WorkflowId};
use crate::provision::answers::Links;
use crate::provision::identity::random;
use crate::provision::installer::{Prepared, prepare};
use crate::provision::metadata::{self, Guest};

/// As long as answers that were fetched are the same for whoever asks again: installers fetch them twice.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// As many installers as are answered within that time.
const MAX_GIVEN: usize = 256;

/// Makes the pages.
pub(super) struct OwnPages {
    core: Core,
    story: Story,
    given: Mutex<BTreeMap<MachineId, Handed>>,
}

/// Answers that were handed out a moment ago.
#[derive(Debug)]
struct Handed {
    at: Timestamp,
    workflow: WorkflowId,
    text: String,
}

impl Pages for OwnPages {
    fn page<'a>(&'a self, ask: &'a PageAsk) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
            let made = match path.as_slice() {
                [
                    "answers",
                    what @ ("finish" | "installed" | "home"),
                    workflow,
                    secret,
                ] => self.report(what, workflow, secret, ask).await,
                ["answers", kind, rest @ ..] => self.answers(kind, rest, ask).await,
                path => self.metadata(path, ask),
            };
            made.unwrap_or_else(|why| {
                tracing::warn!(peer = %ask.peer, %why, "page not made");
                None
            })
        })
    }
}

impl OwnPages {
    pub(super) fn new(core: Core, story: Story) -> Self {
        Self {
            core,
            story,
            given: Mutex::default(),
        }
    }

    /// Whoever was heard last at the address that asks.
    fn who(&self, ask: &PageAsk) -> Result<Option<std::sync::Arc<Machine>>, Refusal> {
        match self.story.mac_of(ask.peer.ip()) {
            Some(mac) => self.core.machine_by_mac(mac),
            None => Ok(None),
        }
    }

    fn metadata(&self, path: &[&str], ask: &PageAsk) -> Result<Option<String>, Refusal> {
        let Some(machine) = self.who(ask)? else {
            return Ok(None);
        };
        let defaults = self.core.defaults()?;
        let newest = self.core.newest_workflow(machine.id)?;
        let guest = Guest {
            machine: &machine,
            defaults: &defaults,
            workflow: newest.as_ref().map(|(workflow, _)| workflow.id.0),
            address: ask.peer.ip(),
            trusted: newest.is_some_and(|(workflow, _)| workflow.is_active()),
        };
        let text = metadata::page(path, &guest);
        if text.is_some() {
            self.note(&machine, &format!("was told {}", path.join("/")), "");
        }
        Ok(text)
    }

    async fn answers(
        &self,
        kind: &str,
        rest: &[&str],
        ask: &PageAsk,
    ) -> Result<Option<String>, Refusal> {
        let kind = Answers::ALL.into_iter().find(|known| known.name() == kind);
        let (Some(kind), Some(machine)) = (kind, self.who(ask)?) else {
            return Ok(None);
        };
        match (kind, rest) {
            // What cloud-init fetches beside its user data.
            (Answers::Autoinstall, ["meta-data"]) => {
                return self.metadata(&["metadata", "nocloud", "meta-data"], ask);
            }
            (Answers::Autoinstall, ["vendor-data"]) => return Ok(Some(String::new())),
            (Answers::Autoinstall, ["user-data"]) | (_, []) => {}
            _ => return Ok(None),
        }
        // One at a time: whoever asks twice at once gets the same.
        let mut given = self.given.lock().await;
        let now = self.core.clock().now();
        given.retain(|_, handed| now.duration_since(handed.at).abs() < WINDOW);
        let Some((workflow, _)) = self.core.active_workflow(machine.id)? else {
            return Ok(None);
        };
        if let Some(handed) = given
            .get(&machine.id)
            .filter(|own| own.workflow == workflow.id)
        {
            return Ok(Some(handed.text.clone()));
        }
        if workflow.wants() != Wants::Installer || given.len() >= MAX_GIVEN {
            return Ok(None);
        }
        let text = self.begin(&machine, &workflow, kind, ask).await?;
        if let Some(text) = &text {
            let (at, workflow) = (now, workflow.id);
            let text = text.clone();
            given.insert(machine.id, Handed { at, workflow, text });
        }
        Ok(text)
    }

    /// Makes the answers, and tells the workflow that its installer is at work before they leave.
    async fn begin(
        &self,
        machine: &Machine,
        workflow: &Workflow,
        kind: Answers,
        ask: &PageAsk,
    ) -> Result<Option<String>, Refusal> {
        let defaults = self.core.defaults()?;
        let made = Made::new(workflow, machine, &defaults, ask.local, None);
        let text = made.and_then(|made| {
            if made.prepared.installer.answers != kind {
                return Err(format!("its installer is not answered by {}", kind.name()));
            }
            let answers = made.prepared.answers(machine, &defaults, &made.links);
            Ok((answers.map_err(|why| why.to_string())?, made))
        });
        let (text, made) = match text {
            Ok(done) => done,
            Err(why) => {
                self.note(machine, "got no answers for its installer", &why);
                self.advance(workflow, ask, Input::Halt { why }).await?;
                return Ok(None);
            }
        };
        let attempt = workflow.attempt + 1;
        let taking = made.prepared.taking(hash(&made.secret));
        self.advance(workflow, ask, Input::AgentTook { attempt, taking })
            .await?;
        self.advance(workflow, ask, Input::StepStarted { attempt, step: 0 })
            .await?;
        self.note(
            machine,
            &format!("was given its {} answers", kind.name()),
            "",
        );
        Ok(Some(text))
    }

    /// What an installer, or the system that it made, tells by its secret.
    async fn report(
        &self,
        what: &str,
        workflow: &str,
        secret: &str,
        ask: &PageAsk,
    ) -> Result<Option<String>, Refusal> {
        let Ok(id) = workflow.parse().map(WorkflowId) else {
            return Ok(None);
        };
        let Ok((workflow, _)) = self.core.workflow(id) else {
            return Ok(None);
        };
        let told = hash(secret);
        let key = workflow.home.as_ref();
        if key.is_none_or(|key| !same(&key.secret_hash, &told)) {
            return Ok(None);
        }
        let (machine, _) = self.core.machine_by_id(workflow.machine)?;
        match what {
            "finish" => {
                let defaults = self.core.defaults()?;
                let made = Made::new(&workflow, &machine, &defaults, ask.local, Some(secret));
                let script =
                    made.map(|made| made.prepared.finish(&machine, &defaults, &made.links));
                self.note(
                    &machine,
                    "was given the script for the end of its installation",
                    "",
                );
                Ok(script.ok().filter(|_| workflow.is_active()))
            }
            "installed" => {
                let done = Input::StepDone {
                    attempt: workflow.attempt,
                    step: 0,
                    message: "its installer is done".into(),
                    bytes: 0,
                };
                self.advance(&workflow, ask, done).await?;
                self.note(&machine, "its installer is done", "");
                Ok(Some(String::new()))
            }
            _ => {
                self.home(&machine, id, told, ask.peer.ip()).await?;
                Ok(Some(String::new()))
            }
        }
    }

    async fn home(
        &self,
        machine: &Machine,
        workflow: WorkflowId,
        secret_hash: String,
        from: IpAddr,
    ) -> Result<(), Refusal> {
        let call = HomeCall {
            machine: machine.id,
            workflow,
            secret_hash,
            hostname: None,
            os: None,
            machine_id: None,
            addresses: vec![from],
            netboot_once: false,
        };
        self.run(machine.name(), from, Command::CallHome(call))
            .await
    }

    async fn advance(
        &self,
        workflow: &Workflow,
        ask: &PageAsk,
        input: Input,
    ) -> Result<(), Refusal> {
        let command = Command::AdvanceWorkflow {
            workflow: workflow.id,
            input,
        };
        self.run(&workflow.name, ask.peer.ip(), command).await
    }

    async fn run(&self, name: &str, from: IpAddr, command: Command) -> Result<(), Refusal> {
        let actor = Actor {
            kind: ActorKind::Machine,
            name: name.to_owned(),
            from: format!("http {from}"),
        };
        self.core.order(actor, command).await.map(drop)
    }

    fn note(&self, machine: &Machine, text: &str, why: &str) {
        let what = (Stage::Http, Mark::FileDone);
        self.story
            .note(machine.identity.primary_mac, None, what, text, why);
    }
}

/// The kernel of the installer that the machine's workflow begins with.
pub(super) async fn installer(
    core: &Core,
    machine: &Machine,
    local: SocketAddr,
) -> Result<Once, String> {
    let said = |why: Refusal| why.to_string();
    let active = core.active_workflow(machine.id).map_err(said)?;
    let (workflow, _) = active.ok_or("its workflow is over")?;
    let defaults = core.defaults().map_err(said)?;
    let made = prepare(&workflow, machine, &defaults, &format!("http://{local}"));
    let why = match made.and_then(|made| made.boot(machine)) {
        Ok(once) => return Ok(once),
        Err(why) => why,
    };
    let halt = Input::Halt { why: why.clone() };
    let ended = core
        .advance(Actor::system("provision"), workflow.id, halt)
        .await;
    ended.map_err(said)?;
    Err(why)
}

/// An installer with its secret and the addresses that hold it.
struct Made {
    prepared: Prepared,
    secret: String,
    links: Links,
}

impl Made {
    fn new(
        workflow: &Workflow,
        machine: &Machine,
        defaults: &Defaults,
        local: SocketAddr,
        secret: Option<&str>,
    ) -> Result<Self, String> {
        let base = format!("http://{local}");
        let prepared = prepare(workflow, machine, defaults, &base)?;
        let secret = match secret {
            Some(secret) => secret.to_owned(),
            None => hex(&random::<32>().ok_or("there are no random numbers to be had")?),
        };
        let link = |what: &str| format!("{base}/answers/{what}/{}/{secret}", workflow.id);
        let links = Links {
            finish: link("finish"),
            installed: link("installed"),
            home: link("home"),
        };
        Ok(Self {
            prepared,
            secret,
            links,
        })
    }
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// In a time that tells nothing of where they differ.
fn same(one: &str, other: &str) -> bool {
    let differ = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differ == 0
}
