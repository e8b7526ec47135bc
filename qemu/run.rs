//! `dragonfly-lab run`: the daemon beside a foreign DHCP server, and bare machines that boot from it, told as
//! they happen, one line each. What `make run` shows.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use dragonfly::lab::{
    Dragonfly, Lab, LabError, LabOptions, Stop, Stopwatch, Vm, VmSpec, forward::Forward, net,
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
    let dragonfly = lab.dragonfly(&daemon, |_| {})?;
    let forward = Forward::start(args.listen, PORTS, &dragonfly.host.netns, API.parse()?)?;
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
    let ended = lab.until("the machines to fetch their scripts", within, || {
        dragonfly.process.expect_alive()?;
        show.look()?;
        Ok((args.until_booted && show.all_booted()).then_some(()))
    });
    match ended {
        Ok(()) => println!("All machines booted from Dragonfly."),
        Err(LabError::Interrupted { .. }) => {}
        Err(LabError::Late { .. }) if !args.until_booted => {}
        Err(error) => return Err(error.into()),
    }
    drop(forward);
    let down = lab.down()?;
    println!("Lab {} is down.", down.lab);
    Ok(ExitCode::SUCCESS)
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

    /// Tells what happened since the last look.
    fn look(&mut self) -> Result<(), LabError> {
        self.told.resize(self.vms.len(), 0);
        for at in 0..self.vms.len() {
            self.look_at(at)?;
        }
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

fn word<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}
