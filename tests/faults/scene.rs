//! Where faults happen: a machine that is written to, its image's source, and beside it another machine, disk and image,
//! which no fault of the first may touch.

use std::fs;
use std::path::Path;
use std::time::Duration;

use dragonfly::lab::dragonfly::with_environments;
use dragonfly::lab::{Dragonfly, Stopwatch, Vm};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::site::{self, INSTALLS_WITHIN, Site};
use crate::small::{self, Behaviour, MIB, Upstream};

pub const IMAGE: u64 = 128 * MIB;
const NAME: &str = "struck";
const MAC: &str = "52:54:00:fa:00:01";
const GIB: u32 = 1;
const TEMPLATE: &str = "noise";
/// What has to be on the disk before the fault comes: the image is half here.
const ENOUGH: u64 = 60 * MIB;
/// Seconds for the step that writes.
const PATIENT: u64 = 900;
pub const SOON: Duration = Duration::from_mins(1);

/// A machine that waits in its agent, with something of value on a disk that counts as blank.
struct Other {
    vm: Vm,
    disk: Vec<u8>,
    image: Value,
}

pub struct Scene {
    pub source: Upstream,
    pub site: Site,
    pub vm: Vm,
    other: Other,
    clock: Stopwatch,
}

impl Scene {
    /// Up to where the first machine's disk is being written, from a source that behaves so.
    pub fn open(behaviour: Behaviour) -> Option<Scene> {
        Self::open_within(PATIENT, behaviour)
    }

    /// The same; the disk has to be written within so many seconds.
    pub fn open_within(seconds: u64, behaviour: Behaviour) -> Option<Scene> {
        let clock = Stopwatch::start();
        let site = Site::bare()?;
        let source = Upstream::start(&site.lab, small::noise(IMAGE, 1), behaviour);
        let other = Other::switch_on(&site);
        let vm = site.lab.boot(&small::spec(NAME, MAC, GIB)).unwrap();
        let scene = Scene {
            source,
            site,
            vm,
            other,
            clock,
        };
        scene.site.wait_inventory(&scene.other.vm);
        scene.site.wait_inventory(&scene.vm);
        scene.tell("two agents wait");
        order(&scene.site, &scene.source, seconds);
        scene.wait_half();
        Some(scene)
    }

    /// Has the same machine written to once more, with another image from another source.
    pub fn again(&mut self, behaviour: Behaviour) {
        let image = small::noise(IMAGE, 4);
        self.source = Upstream::start(&self.site.lab, image, behaviour);
        order(&self.site, &self.source, PATIENT);
        self.wait_half();
    }

    /// How long all took so far, for whoever reads the test's output.
    pub fn tell(&self, what: &str) {
        println!("{what} after {:.0} s", self.clock.elapsed().as_secs_f64());
    }

    /// Waits until about half of the image is written.
    pub fn wait_half(&self) {
        let what = "half of the image on the disk";
        self.site.until(what, INSTALLS_WITHIN, || {
            let workflow = self.workflow();
            expect_active(&workflow);
            let done = workflow["progress"]["bytes_done"].as_u64();
            let writes = workflow["progress"]["step"] == 2;
            Ok((writes && done >= Some(ENOUGH)).then_some(()))
        });
        assert!(self.compare().is_err(), "the fault comes too late");
        self.tell("half written");
    }

    /// The newest workflow of the machine; nothing while the daemon is away.
    pub fn workflow(&self) -> Value {
        newest_workflow(&self.site.dragonfly, MAC)
    }

    pub fn wait_end(&self) -> Value {
        let workflow = self.site.until("the workflow's end", INSTALLS_WITHIN, || {
            let workflow = self.workflow();
            Ok((workflow["active"] == false).then_some(workflow))
        });
        self.tell("workflow over");
        workflow
    }

    /// Waits until the workflow is over, and well.
    pub fn wait_success(&self) -> Value {
        let workflow = self.wait_end();
        assert_eq!(workflow["state"], "success", "{workflow}");
        self.site.wait_state(&self.vm, "ready", SOON);
        self.compare().unwrap();
        workflow
    }

    /// Whether the disk holds the image, and nothing else.
    pub fn compare(&self) -> Result<(), String> {
        small::compare(&small::disk(&self.site.lab, NAME), self.source.bytes())
    }

    /// Switches the machine on again after its power was cut.
    pub fn power_on(&mut self) {
        self.vm = self.site.lab.boot(&small::spec(NAME, MAC, GIB)).unwrap();
    }

    /// The daemon gets this signal, and is gone.
    pub fn end_daemon(&self, signal: Signal) {
        let process = &self.site.dragonfly.process;
        process.signal(signal);
        let gone = || Ok((!process.is_alive()).then_some(()));
        self.site.until("the end of the daemon", SOON, gone);
    }

    pub fn start_daemon(&mut self) {
        self.start(Path::new(site::BINARY));
    }

    /// As an upgrade leaves it: another file.
    pub fn upgrade_daemon(&mut self) {
        let newer = self.site.lab.dir().join("dragonfly-newer");
        fs::copy(site::BINARY, &newer).unwrap();
        self.start(&newer);
    }

    fn start(&mut self, program: &Path) {
        let started = self.site.lab.dragonfly(program, with_environments);
        self.site.dragonfly = started.unwrap();
    }

    /// Nothing of anybody else was touched, and the other machine's agent still does what it is told.
    pub fn expect_others_untouched(&self) {
        self.other.expect_untouched(&self.site);
        self.tell("the other machine was found untouched");
    }
}

/// How often each step was begun.
pub fn begun(workflow: &Value) -> Vec<u64> {
    let steps = workflow["steps"].as_array().unwrap();
    let begun = steps.iter().map(|step| step["attempts"].as_u64().unwrap());
    begun.collect()
}

/// Its agent waits, and begins at once.
fn order(site: &Site, source: &Upstream, seconds: u64) {
    let actions = format!(
        "- action: wait\n  name: before\n  seconds: 0\n\
         - action: image2disk\n  name: write\n  url: {}\n  timeout: {seconds}\n\
         - action: wait\n  name: after\n  seconds: 0\n",
        source.url
    );
    small::template(site, TEMPLATE, &actions);
    site.cli(&["reimage", MAC, "--os", TEMPLATE, "--yes"]);
}

fn newest_workflow(dragonfly: &Dragonfly, mac: &str) -> Value {
    let path = format!("/api/v1/workflows?machine={mac}&limit=1");
    let listed = dragonfly.get(&path).unwrap_or_default();
    listed["items"][0].clone()
}

fn expect_active(workflow: &Value) {
    assert_ne!(workflow["active"], false, "it is over already: {workflow}");
}

impl Other {
    const NAME: &str = "other";
    const MAC: &str = "52:54:00:fa:00:02";
    const IMAGE: &str = "keepsake";

    fn switch_on(site: &Site) -> Other {
        let (before, value) = (64 * MIB, small::noise(MIB, 2));
        small::put_disk(&site.lab, Self::NAME, GIB, before, &value);
        let disk = [vec![0; usize::try_from(before).unwrap()], value].concat();
        let image = small::image(site.lab.dir(), 4 * MIB, 3);
        site.cli(&["image", "add", Self::IMAGE, &image.to_string_lossy()]);
        small::template(site, "still", "- action: wait\n  seconds: 0\n");
        let mut spec = small::spec(Self::NAME, Self::MAC, GIB);
        spec.cpus = 1;
        Other {
            image: Self::image(site),
            vm: site.lab.boot(&spec).unwrap(),
            disk,
        }
    }

    fn image(site: &Site) -> Value {
        let path = format!("/api/v1/images/{}", Self::IMAGE);
        site.dragonfly.get(&path).unwrap()["digest"].clone()
    }

    fn expect_untouched(&self, site: &Site) {
        site.cli(&["reimage", Self::MAC, "--os", "still", "--yes"]);
        let what = "a workflow of the other machine";
        let workflow = site.until(what, SOON, || {
            let workflow = newest_workflow(&site.dragonfly, Self::MAC);
            Ok((workflow["active"] == false).then_some(workflow))
        });
        assert_eq!(workflow["state"], "success", "{workflow}");
        assert_eq!(workflow["attempt"], 1, "{workflow}");
        small::compare(&small::disk(&site.lab, Self::NAME), &self.disk).unwrap();
        assert_eq!(Self::image(site), self.image);
        let verified = site.cli(&["image", "verify"]);
        assert!(verified.contains("is what it was"), "{verified}");
        let id = site.machine(Self::MAC)["id"].clone();
        let events = events(site);
        let own = |event: &&Value| event["subject_id"] == id;
        let let_in = events.iter().filter(own);
        let let_in = let_in.filter(|event| event["type"] == "machine.agent_let_in");
        assert_eq!(let_in.count(), 1, "its token was used again: {events:?}");
        let alarm = events.iter().find(|event| event["type"] == "machine.alarm");
        assert!(alarm.is_none(), "{alarm:?}");
        self.vm.process.expect_alive().unwrap();
    }
}

fn events(site: &Site) -> Vec<Value> {
    let path = "/api/v1/events?limit=1000";
    let read = site.dragonfly.get(path).unwrap();
    read["items"].as_array().unwrap().clone()
}
