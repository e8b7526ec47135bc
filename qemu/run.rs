//! `dragonfly-lab run`: the daemon beside a foreign DHCP server, and bare machines that become servers by it, told as
//! it happens, one line each. What `make run` shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use dragonfly::lab::{
    Dragonfly, Lab, LabError, LabOptions, Stop, Stopwatch, Vm, VmSpec,
    dragonfly::with_environments,
    forward::Forward,
    net,
    stock::{IMAGE, TEMPLATE, USER},
};
use serde_json::Value;

use crate::{args::Run, commands::Failure};

/// Ports that are looked at before it gives up.
const PORTS: u16 = 20;
const A_YEAR: Duration = Duration::from_hours(365 * 24);
/// As many lines as one look takes.
const PAGE: usize = 200;
/// The daemon's own port inside the lab.
const API: &str = "127.0.0.1:3000";

pub(crate) fn run(args: &Run, stop: &Stop) -> Result<ExitCode, Failure> {
    let daemon = binary(args.daemon.as_deref())?;
    let lab = Lab::start(&LabOptions {
        foreign: args.foreign,
        stop: stop.clone(),
        ..LabOptions::default()
    })?;
    println!(
        "A network of its own: {} is the DHCP server that is already there.",
        lab.kind()
    );
    let dragonfly = lab.dragonfly(&daemon, with_environments)?;
    let forward = Forward::start(args.listen, PORTS, &dragonfly.host.netns, API.parse()?)?;
    let key = stock(args, &lab, &dragonfly)?;
    greet(args, forward.listening, &dragonfly);
    let mut show = Show::new(&dragonfly);
    for profile in &args.machines {
        let vm = lab.boot(&VmSpec::new(profile.name(), *profile))?;
        show.line(
            &vm.name,
            "power",
            &format!("switched on: {profile}, {}", vm.mac),
        );
        show.vms.push(vm);
    }
    let within = args.within.map_or(A_YEAR, Duration::from_secs);
    let awaited = if args.until_booted {
        "the machines to fetch their scripts"
    } else {
        "the machines to become servers"
    };
    let ended = lab.until(awaited, within, || {
        dragonfly.process.expect_alive()?;
        show.look(key.as_deref())?;
        let booted = args.until_booted && show.all_booted();
        let servers = args.until_servers && show.all_servers();
        Ok((booted || servers).then_some(()))
    });
    match ended {
        Ok(()) if args.until_booted => println!("All machines booted from Dragonfly."),
        Ok(()) => println!("All machines are servers."),
        Err(LabError::Interrupted { .. }) => {}
        Err(LabError::Late { .. }) if !args.until_booted && !args.until_servers => {}
        Err(error) => return Err(error.into()),
    }
    drop(forward);
    let down = lab.down()?;
    println!("Lab {} is down.", down.lab);
    Ok(ExitCode::SUCCESS)
}

/// Gives Dragonfly what blank machines need to become servers by themselves. Where something was not built they boot
/// and stay blank, and it is said why. The key signs in on the servers.
fn stock(args: &Run, lab: &Lab, dragonfly: &Dragonfly) -> Result<Option<PathBuf>, Failure> {
    if args.until_booted {
        return Ok(None);
    }
    let supplies = match lab.supplies() {
        Ok(supplies) => supplies,
        Err(error) if args.until_servers => return Err(error.into()),
        Err(error) => {
            println!("The machines will boot and stay blank: {error}");
            return Ok(None);
        }
    };
    let key = dragonfly.stock(lab, &supplies)?;
    dragonfly.order(&["defaults", "set", &format!("os={TEMPLATE}")])?;
    dragonfly.order(&["mode", "set", "flight"])?;
    println!("Flight: a machine whose disks are blank becomes {IMAGE} by itself.");
    Ok(Some(key))
}

/// The daemon lies beside this program, unless a person names another.
fn binary(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let beside = || {
        env::current_exe()
            .ok()?
            .parent()
            .map(|dir| dir.join("dragonfly"))
    };
    let path = named.map(Path::to_owned).or_else(beside);
    let found = path.filter(|path| path.is_file());
    found.ok_or_else(|| "the daemon's binary is not beside this one: name it with --daemon".into())
}

fn greet(args: &Run, listening: std::net::SocketAddr, dragonfly: &Dragonfly) {
    if listening.port() != args.listen.port() {
        println!(
            "Port {} is taken, so this one takes {}.",
            args.listen.port(),
            listening.port()
        );
    }
    println!();
    println!("  Dragonfly answers at http://{listening}/");
    println!("  Its command line:    dragonfly --server http://{listening} machine list");
    println!(
        "  It lives at {} on the lab's wire; its log: {}",
        net::DRAGONFLY,
        dragonfly.process.log.display()
    );
    println!("  Ctrl-C takes everything down.");
    println!();
}

/// What was told already, and what comes next.
struct Show<'a> {
    dragonfly: &'a Dragonfly,
    clock: Stopwatch,
    vms: Vec<Vm>,
    /// The last line of each machine's trace that was told.
    told: Vec<u64>,
    cursor: Option<String>,
    booted: BTreeSet<String>,
    servers: BTreeSet<String>,
    /// The last line of each workflow that was told.
    doing: BTreeMap<String, String>,
}

impl<'a> Show<'a> {
    fn new(dragonfly: &'a Dragonfly) -> Show<'a> {
        Show {
            dragonfly,
            clock: Stopwatch::start(),
            vms: Vec::new(),
            told: Vec::new(),
            cursor: None,
            booted: BTreeSet::new(),
            servers: BTreeSet::new(),
            doing: BTreeMap::new(),
        }
    }

    fn line(&self, who: &str, stage: &str, text: &str) {
        println!(
            "{:7.1} s  {who:<10} {stage:<7} {text}",
            self.clock.elapsed().as_secs_f64()
        );
    }

    fn all_booted(&self) -> bool {
        self.booted.len() == self.vms.len()
    }

    fn all_servers(&self) -> bool {
        self.servers.len() == self.vms.len()
    }

    /// Tells what happened since the last look.
    fn look(&mut self, key: Option<&Path>) -> Result<(), LabError> {
        self.told.resize(self.vms.len(), 0);
        for at in 0..self.vms.len() {
            self.look_at(at)?;
            if let Some(key) = key {
                self.arrived(at, key)?;
            }
        }
        self.workflows()?;
        self.events()
    }

    fn look_at(&mut self, at: usize) -> Result<(), LabError> {
        let path = format!(
            "/api/v1/seen/{}/trace?after={}",
            self.vms[at].mac, self.told[at]
        );
        let trace = self.dragonfly.get(&path)?;
        let name = self.vms[at].name.clone();
        for step in trace["steps"].as_array().into_iter().flatten().take(PAGE) {
            let (text, why) = (word(step, "text"), word(step, "why"));
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(" ({why})")
            };
            self.line(&name, word(step, "stage"), &format!("{text}{why}"));
            if word(step, "mark") == "script_given" {
                self.booted.insert(name.clone());
            }
            self.told[at] = step["number"].as_u64().unwrap_or(self.told[at]);
        }
        Ok(())
    }

    /// Tells of a machine whose installed system called home.
    fn arrived(&mut self, at: usize, key: &Path) -> Result<(), LabError> {
        let vm = self.vms[at].clone();
        if self.servers.contains(&vm.name) {
            return Ok(());
        }
        let machine = self
            .dragonfly
            .get(&format!("/api/v1/machines/{}", vm.mac))?;
        if word(&machine, "state") != "provisioned" {
            return Ok(());
        }
        let addresses = machine["observed"]["addresses"].as_array();
        let address = addresses.and_then(|all| all.first()?.as_str());
        let way = format!(
            "it is a server: dragonfly-lab exec dhcp ssh -i {} {USER}@{}",
            key.display(),
            address.unwrap_or("its address")
        );
        self.line(&vm.name, "server", &way);
        self.servers.insert(vm.name);
        Ok(())
    }

    /// Tells what is being done to machines, whenever it is something else or a tenth further.
    fn workflows(&mut self) -> Result<(), LabError> {
        let page = self.dragonfly.get("/api/v1/workflows")?;
        for workflow in page["items"].as_array().into_iter().flatten() {
            let text = doing(workflow);
            let id = word(workflow, "id").to_owned();
            if workflow["active"] == true && self.doing.get(&id) != Some(&text) {
                let machine = word(workflow, "name").to_owned();
                self.line(&machine, "work", &text);
                self.doing.insert(id, text);
            }
        }
        Ok(())
    }

    fn events(&mut self) -> Result<(), LabError> {
        let after = self.cursor.as_ref();
        let after = after.map(|cursor| format!("&cursor={cursor}"));
        let path = format!(
            "/api/v1/events?order=oldest&limit={PAGE}{}",
            after.unwrap_or_default()
        );
        let page = self.dragonfly.get(&path)?;
        for event in page["items"].as_array().into_iter().flatten() {
            // The trace tells of boots already.
            if word(event, "type") != "machine.boot" {
                self.line("dragonfly", "event", word(event, "text"));
            }
            self.cursor = Some(word(event, "cursor").to_owned());
        }
        Ok(())
    }
}

/// What a workflow does now, with the tenths of the step that is at work.
fn doing(workflow: &Value) -> String {
    let now = word(workflow, "now");
    let progress = &workflow["progress"];
    let part = |key: &str| progress[key].as_u64().unwrap_or_default();
    let (done, total) = (part("bytes_done"), part("bytes_total"));
    match (done * 10).checked_div(total) {
        Some(tenths) => format!("{now}, {} %", tenths.min(10) * 10),
        None => now.to_owned(),
    }
}

fn word<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}
