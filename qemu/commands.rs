//! Each command as one function: the lab does the work, this tells it to a person or a program.

use std::{fs, process::Command as Program, process::ExitCode, time::Duration};

use dragonfly::lab::{
    Foreign, Lab, LabError, LabOptions, LabStatus, Stop, Stopwatch, TakenDown, Vm, VmSpec,
    forward::Forward as Forwarding, net, ready_tools, sweep,
};
use serde_json::{Value, json};

use crate::{
    args::{Args, Boot, Capture, Command, Down, Exec, Forward, Up, VmAction, VmArgs, WhichLab},
    console,
};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Waits that only a person, or the end of the lab, ends.
const A_YEAR: Duration = Duration::from_hours(365 * 24);
/// Ports that `forward` looks at before it gives up.
const PORTS: u16 = 20;

pub(crate) fn run(args: Args, stop: &Stop) -> Result<ExitCode, Failure> {
    let told = Told { json: args.json };
    match args.command {
        Command::Run(args) => crate::run::run(&args, stop),
        Command::Up(up) => hold(&up, &told, stop),
        Command::Down(down) => take_down(&down, &told),
        Command::Status => status(&told),
        Command::Boot(boot) => switch_on(&boot, &told, stop),
        Command::Console(args) => {
            console::run(&open(&args.lab, stop)?.vm(&args.name)?, args.follow, stop)
        }
        Command::Vm(args) => act(&args, &told, stop),
        Command::Capture(capture) => watch(&capture, stop),
        Command::Exec(exec) => execute(&exec, stop),
        Command::Forward(args) => forward(&args, &told, stop),
    }
}

/// Says it in words, or as the one JSON object.
struct Told {
    json: bool,
}

impl Told {
    fn say(&self, kind: &str, data: &Value, words: &str) -> ExitCode {
        if self.json {
            println!("{}", json!({ "version": 1, "kind": kind, "data": data }));
        } else if !words.is_empty() {
            println!("{words}");
        }
        ExitCode::SUCCESS
    }
}

fn open(which: &WhichLab, stop: &Stop) -> Result<Lab, LabError> {
    Lab::open(which.lab.as_deref(), stop)
}

fn hold(up: &Up, told: &Told, stop: &Stop) -> Result<ExitCode, Failure> {
    let extra = up.extra.as_ref().map(fs::read_to_string).transpose()?;
    let lab = Lab::start(&LabOptions {
        name: up.name.clone(),
        foreign: up.foreign,
        foreign_extra: extra.unwrap_or_default(),
        netboot: up.netboot,
        detached: up.detach,
        stop: stop.clone(),
    })?;
    let name = lab.name().to_owned();
    let beside = match lab.kind() {
        Foreign::None => "no DHCP server".to_owned(),
        kind => format!(
            "{kind} at {} leases {} to {}",
            net::FOREIGN,
            net::POOL.0,
            net::POOL.1
        ),
    };
    let until = if up.detach {
        format!("`dragonfly-lab down {name}`")
    } else {
        "Ctrl-C".to_owned()
    };
    let words = format!(
        "Lab {name} is up: {beside}. {until} takes it down.\nIts files: {}",
        lab.dir().display()
    );
    told.say("lab.up", &json!(lab.status()), &words);
    if up.detach {
        return Ok(ExitCode::SUCCESS);
    }
    let gone = lab.until("the end of the lab", A_YEAR, || {
        Ok((!lab.dir().exists()).then_some(()))
    });
    if gone.is_ok() {
        return Ok(told.say(
            "lab.down",
            &json!({ "lab": name }),
            &format!("Lab {name} was taken down."),
        ));
    }
    Ok(tell_down(&[lab.down()?], told))
}

fn take_down(down: &Down, told: &Told) -> Result<ExitCode, Failure> {
    // Labs that nobody holds any more go first: they are nobody's choice.
    let mut done = sweep(&ready_tools()?)?;
    let mut names = match (&down.name, down.all) {
        (_, true) => Lab::names(),
        (Some(name), _) => vec![name.clone()],
        (None, _) => match Lab::open(None, &Stop::default()) {
            Ok(lab) => vec![lab.name().to_owned()],
            Err(LabError::NoLab) if !done.is_empty() => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    names.retain(|name| !done.iter().any(|down| down.lab == *name));
    for name in names {
        done.push(Lab::take_down(&name)?);
    }
    Ok(tell_down(&done, told))
}

fn tell_down(done: &[TakenDown], told: &Told) -> ExitCode {
    let lines: Vec<String> = done
        .iter()
        .map(|down| {
            let (processes, spaces) = (down.processes.len(), down.namespaces.len());
            let strangers = if down.strangers.is_empty() {
                String::new()
            } else {
                format!(" Not started by the lab, and so left alone: {:?}.", down.strangers)
            };
            format!(
                "Lab {} is down: {processes} processes ended, {spaces} namespaces removed.{strangers}",
                down.lab
            )
        })
        .collect();
    let words = if lines.is_empty() {
        "No lab was up.".to_owned()
    } else {
        lines.join("\n")
    };
    told.say("lab.down", &json!(done), &words)
}

fn status(told: &Told) -> Result<ExitCode, Failure> {
    let all = LabStatus::all()?;
    let words = if all.is_empty() {
        "No lab is up.".to_owned()
    } else {
        all.iter().map(paragraph).collect::<Vec<_>>().join("\n\n")
    };
    Ok(told.say("lab.list", &json!(all), &words))
}

fn paragraph(lab: &LabStatus) -> String {
    let holder = match (lab.orphan, lab.detached) {
        (true, _) => ", left behind: `dragonfly-lab down` takes it down",
        (_, true) => ", detached",
        _ => "",
    };
    let mut lines = vec![format!(
        "{} beside {}{holder}; files in {}",
        lab.name,
        lab.foreign,
        lab.dir.display()
    )];
    for vm in &lab.vms {
        let state = if vm.on { "on" } else { "off" };
        let lease = lab.leases.iter().find(|lease| lease.mac == vm.mac);
        let address =
            lease.map_or_else(|| "no lease".to_owned(), |lease| lease.address.to_string());
        lines.push(format!(
            "  {:<11} {:<9} {:<3} {}  {address}",
            vm.name,
            vm.profile.name(),
            state,
            vm.mac
        ));
    }
    for process in &lab.processes {
        lines.push(format!(
            "  process {:<16} pid {}",
            process.name, process.pid
        ));
    }
    lines.join("\n")
}

fn switch_on(boot: &Boot, told: &Told, stop: &Stop) -> Result<ExitCode, Failure> {
    let lab = open(&boot.lab, stop)?;
    let taken = lab.vms();
    let mut free = (1..=u32::MAX)
        .map(|n| format!("vm{n}"))
        .filter(|name| !taken.contains(name));
    let spec = VmSpec {
        name: boot
            .name
            .clone()
            .or_else(|| free.next())
            .unwrap_or_default(),
        profile: boot.profile,
        memory_mb: boot.memory,
        cpus: boot.cpus,
        disks: if boot.diskless {
            Vec::new()
        } else {
            boot.disks.clone()
        },
        mac: boot.mac.clone(),
        uuid: None,
        serials: None,
    };
    let clock = Stopwatch::start();
    let vm = lab.boot(&spec)?;
    let Some(text) = &boot.wait else {
        let words = format!(
            "{} is on ({}, {}): `dragonfly-lab console {0}`",
            vm.name, vm.profile, vm.mac
        );
        return Ok(told.say("vm.on", &json!(vm.status()), &words));
    };
    let line = vm.wait_serial(text, Duration::from_secs(boot.within))?;
    let seconds = clock.elapsed().as_secs_f64();
    let words = format!("{} said after {seconds:.1} s: {line}", vm.name);
    Ok(told.say(
        "vm.said",
        &json!({ "vm": vm.status(), "line": line, "seconds": seconds }),
        &words,
    ))
}

fn act(args: &VmArgs, told: &Told, stop: &Stop) -> Result<ExitCode, Failure> {
    let vm: Vm = open(&args.lab, stop)?.vm(&args.name)?;
    let name = &vm.name;
    let words = match &args.action {
        VmAction::Off => vm.power_off().map(|()| format!("{name} is off."))?,
        VmAction::Press => vm
            .press_power()
            .map(|()| format!("The power button of {name} was pressed."))?,
        VmAction::Reset => vm.reset().map(|()| format!("{name} starts anew."))?,
        VmAction::Plug => vm
            .set_link(true)
            .map(|()| format!("The cable of {name} is in."))?,
        VmAction::Unplug => vm
            .set_link(false)
            .map(|()| format!("The cable of {name} is out."))?,
        VmAction::Screenshot { file } => vm
            .screenshot(file)
            .map(|()| format!("The screen of {name} is in {}.", file.display()))?,
    };
    Ok(told.say("vm", &json!(vm.status()), &words))
}

/// tcpdump in the foreground; it hears a Ctrl-C by itself.
fn watch(capture: &Capture, stop: &Stop) -> Result<ExitCode, Failure> {
    let lab = open(&capture.lab, stop)?;
    Ok(code(
        lab.wire_command(&lab.tcpdump(capture.write.as_deref(), &capture.filter)?)
            .status()?,
    ))
}

fn execute(exec: &Exec, stop: &Stop) -> Result<ExitCode, Failure> {
    let lab = open(&exec.lab, stop)?;
    let host = if lab.hosts().contains(&exec.host) {
        lab.host(&exec.host)?
    } else {
        lab.add_host(&exec.host, None)?
    };
    let (program, arguments) = exec.command.split_first().ok_or("no program was named")?;
    // The lab's own programs first: busybox, tcpdump, dnsmasq; then the machine's.
    let mut command = lab
        .tools()
        .command(program)
        .unwrap_or_else(|_| Program::new(program));
    command.args(arguments);
    Ok(code(host.command(&command).status()?))
}

fn forward(args: &Forward, told: &Told, stop: &Stop) -> Result<ExitCode, Failure> {
    let host = open(&args.lab, stop)?.host(&args.host)?;
    let forward = Forwarding::start(args.listen, PORTS, &host.netns, args.to)?;
    let here = forward.listening;
    if here.port() != args.listen.port() && !told.json {
        println!(
            "Port {} is taken, so this one takes {}.",
            args.listen.port(),
            here.port()
        );
    }
    let words = format!(
        "{} of {} answers at {here}. Ctrl-C ends it.",
        args.to, host.name
    );
    told.say(
        "forward",
        &json!({ "host": host.name, "to": args.to, "listening": here }),
        &words,
    );
    let gone = || Ok((!host.netns.exists()).then_some(()));
    match stop.until("the end of the host", A_YEAR, gone) {
        Ok(()) | Err(LabError::Interrupted { .. }) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

fn code(status: std::process::ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}
