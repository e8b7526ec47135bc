//! The life of the agent in the boot environment: network, hello, check-in, and then one order after the other.
//!
//! It ends only with the machine's restart. Whatever fails is shown, logged and tried again; a token that is no longer
//! good is the one thing that only a restart mends, since a new one comes with the next boot script.

mod session;
mod work;

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::agent::actions::{self, Context, Control, efi};
use crate::agent::client::CallError;
use crate::agent::client::identity::Identity;
use crate::agent::cmdline::Cmdline;
use crate::agent::console::Console;
use crate::agent::init::rest::{self, Patient, RestError};
use crate::agent::inventory::{self, Places};
use crate::agent::log::Log;
use crate::agent::network::{self, Link, Wanted};
use crate::agent::{clock, init};
use crate::model::MacAddr;
use crate::model::agent::{self as words, AskOrder, CheckIn, Order, Work};
use session::{Session, Start};
use work::{Act, Leave, Outcome};

/// An order is waited for so long by one question.
const WAIT: u64 = 20;
/// An agent that cannot go on restarts its machine after this time.
const BEFORE_RESTART: Duration = Duration::new(60, 0);
const BETWEEN: Duration = Duration::from_secs(1);

/// What everything here needs.
struct Agent {
    places: Places,
    console: Console,
    log: Log,
    session: Session,
    mac: MacAddr,
    address: IpAddr,
    /// Where the server has its files.
    files: SocketAddr,
    /// Gets the rest.
    getting: Option<JoinHandle<()>>,
    /// How the agent before it ended, until that is told.
    before: Option<String>,
}

/// Runs until the machine restarts. The key comes by standard input, from the init.
/// `before` says how the agent before this one ended, in the same boot.
pub fn boot(before: Option<String>) -> ExitCode {
    let (console, log, places) = (Console::default(), Log::default(), Places::real());
    let line = std::fs::read_to_string(places.proc.join("cmdline")).unwrap_or_default();
    let told = Cmdline::parse(&line);
    console.start(&told.consoles, &log);
    log.say(concat!(
        "dragonfly-agent ",
        env!("CARGO_PKG_VERSION"),
        " starts"
    ));
    let mut key = Vec::new();
    let _ = std::io::stdin().take(4096).read_to_end(&mut key);
    match Identity::of(key) {
        Ok(identity) => live(&told, identity, before, &places, &console, &log),
        Err(error) => {
            log.say(format!("the key of this session cannot be read: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn live(
    told: &Cmdline,
    identity: Identity,
    mut before: Option<String>,
    places: &Places,
    console: &Console,
    log: &Log,
) -> ! {
    if let Some(before) = &before {
        log.say(format!("{before}; this one takes its place"));
    }
    for word in &told.wrong {
        log.say(format!(
            "{word} on the kernel's command line cannot be read"
        ));
    }
    let (Some(server), Some(pin), Some(token)) = (told.server, told.pin, told.token.clone()) else {
        let names = [
            words::cmdline::SERVER,
            words::cmdline::PIN,
            words::cmdline::TOKEN,
        ]
        .join(", ");
        halt(
            console,
            log,
            &format!(
                "the kernel's command line lacks one of {names}: was it started by Dragonfly's script?"
            ),
        );
    };
    let port = words::cmdline::FILES_PORT;
    let files = told
        .files
        .unwrap_or_else(|| SocketAddr::new(server.ip(), port));
    console.update(|status| {
        status.server = server.to_string();
        status.mac = told.mac.map(|mac| mac.to_string()).unwrap_or_default();
    });
    show(console, "starting", "loading drivers");
    let loading = load_aside(places, log);
    let link = join(told, places, console, log);
    let start = Start {
        server,
        pin,
        token,
        mac: told.mac.unwrap_or(link.mac),
        identity,
    };
    let mac = start.mac;
    loop {
        match Session::open(&start, console, log) {
            Ok(session) => {
                // Disks that are not there yet would be missing from the inventory.
                let lacks = match loading {
                    Some(loading) => loading.join().unwrap_or(true),
                    None => init::modules::load_all(&places.sys, log),
                };
                let (places, console, log) = (places.clone(), console.clone(), log.clone());
                let address = link.lease.address.into();
                let mut agent = Agent {
                    places,
                    console,
                    log,
                    session,
                    mac,
                    address,
                    files,
                    getting: None,
                    before: before.take(),
                };
                if lacks {
                    agent.load_more();
                }
                agent.serve()
            }
            Err(error) => refused(console, log, &error),
        }
    }
}

/// All drivers but those that the network needs, while it comes up and the server is greeted. None where no thread could
/// be had; otherwise it ends with whether some come with the rest.
fn load_aside(places: &Places, log: &Log) -> Option<JoinHandle<bool>> {
    let (sys, log) = (places.sys.clone(), log.clone());
    let loading = std::thread::Builder::new()
        .name("drivers".into())
        .spawn(move || init::modules::load_all(&sys, &log));
    loading.ok()
}

/// The network, with the drivers that it needs.
fn join(told: &Cmdline, places: &Places, console: &Console, log: &Log) -> Link {
    init::modules::load_for_network(&places.sys, log);
    let state = |why: &str| show(console, "connecting", why);
    let link = network::bring_up(&Wanted {
        sys: &places.sys,
        mac: told.mac,
        vlan: told.vlan,
        log,
        state: &state,
    });
    console.update(|status| {
        status.address = format!(
            "{}/{} on {}",
            link.lease.address, link.lease.prefix, link.name
        );
        status.mac = link.mac.to_string();
    });
    link
}

impl Agent {
    fn serve(&mut self) -> ! {
        let mut order = self.check_in();
        loop {
            order = match order {
                Ok(order) => self.obey(order),
                Err(error) => {
                    refused(&self.console, &self.log, &error);
                    self.check_in()
                }
            }
        }
    }

    /// Tells what is in the machine, as it is now.
    fn check_in(&mut self) -> Result<Order, CallError> {
        show(&self.console, "looking", "reading what is in this machine");
        let hardware = inventory::hardware(&self.places);
        for disk in &hardware.disks {
            let contents = disk
                .contents
                .as_ref()
                .map_or_else(|| "unreadable".into(), |kinds| kinds.join(", "));
            self.log.say(format!(
                "disk {disk}: {}",
                if contents.is_empty() {
                    "blank"
                } else {
                    &contents
                }
            ));
        }
        let question = CheckIn {
            evidence: inventory::evidence(&self.places, self.mac),
            hardware,
            address: Some(self.address),
            before: self.before.clone(),
        };
        show(&self.console, "checking in", "");
        let heard = self
            .session
            .insist(words::CHECK_IN, &question, Duration::ZERO)?;
        self.before = None;
        self.get_rest_aside();
        Ok(heard)
    }

    /// Gets the rest while the server thinks of what to do. Where it fails, the next step tries again, and says why.
    fn get_rest_aside(&mut self) {
        if (self.getting.as_ref()).is_some_and(|getting| !getting.is_finished()) {
            return;
        }
        let (log, files) = (self.log.clone(), self.files);
        let getting = move || {
            if let Err(error) = rest::get(Path::new("/"), files, &Patient(&log)) {
                log.say(error.to_string());
            }
        };
        let getting = std::thread::Builder::new()
            .name("rest".into())
            .spawn(getting);
        self.getting = getting.ok();
    }

    /// Drivers that only the rest has. Without them a disk with data could be taken for none, so a machine that cannot
    /// have them is not told of.
    fn load_more(&self) {
        show(&self.console, "looking", "fetching further drivers");
        match rest::get(Path::new("/"), self.files, &Patient(&self.log)) {
            Ok(()) => drop(init::modules::load_all(&self.places.sys, &self.log)),
            Err(error) => self.restart_for_rest(&error.to_string()),
        }
    }

    fn restart_for_rest(&self, why: &str) {
        restart(&self.console, &self.log, why, "for what the server has now");
    }

    fn obey(&mut self, order: Order) -> Result<Order, CallError> {
        match order {
            Order::Wait { name, why } => {
                self.console.update(|status| {
                    status.name = name;
                    status.state = "waiting".into();
                    status.why = why;
                });
                self.ask()
            }
            Order::Execute(work) => self.execute(&work),
            Order::LocalBoot { why } => {
                show(&self.console, "starting the system on the disk", &why);
                if let Err(error) = efi::boot_disk_once(Path::new(efi::VARIABLES)) {
                    self.log
                        .say(format!("the firmware's own order decides: {error}"));
                }
                self.leave(Leave::Restart)
            }
            Order::Reboot { why } => {
                show(&self.console, "restarting", &why);
                self.leave(Leave::Restart)
            }
            Order::PowerOff { why } => {
                show(&self.console, "switching off", &why);
                self.leave(Leave::PowerOff)
            }
            Order::Halt { why } => halt(&self.console, &self.log, &why),
        }
    }

    /// The next order; a machine that changed meanwhile is told first.
    fn ask(&mut self) -> Result<Order, CallError> {
        let before = inventory::disks::names(&self.places);
        let asked = clock::now();
        let question = AskOrder { wait_seconds: WAIT };
        let order = self
            .session
            .insist(words::ORDER, &question, Duration::from_secs(WAIT));
        if init::modules::load_new(&self.places.sys, &self.log) {
            self.load_more();
        }
        if inventory::disks::names(&self.places) != before {
            self.log.say("the disks changed");
            return self.check_in();
        }
        // A server that holds nothing back would be asked without end.
        clock::pause(BETWEEN.saturating_sub(asked.elapsed()));
        order
    }

    fn execute(&mut self, work: &Work) -> Result<Order, CallError> {
        self.log.say(format!(
            "workflow {} with {}, attempt {}",
            work.workflow, work.template, work.attempt
        ));
        let context = Context {
            places: self.places.clone(),
            log: self.log.clone(),
            files: self.files,
        };
        let act: Act = Arc::new(move |action: &_, control: &_| {
            get_rest(context.files, control)?;
            actions::perform(action, &context, control)
        });
        let outcome = work::perform(work, &self.session, &self.console, &self.log, &act)?;
        self.console.update(|status| status.bar = None);
        match outcome {
            Outcome::Leave(leave) => self.leave(leave),
            Outcome::Finished => {
                show(&self.console, "done", &work.template);
                self.ask()
            }
            Outcome::Failed => {
                show(&self.console, "failed", "waiting for what the server says");
                self.ask()
            }
            Outcome::Stopped(why) => {
                self.log.say(format!("stopped: {why}"));
                show(&self.console, "stopped", &why);
                self.ask()
            }
            Outcome::Anew(why) => {
                self.restart_for_rest(&why);
                self.ask()
            }
            Outcome::Stuck => {
                show(&self.console, "restarting", "a step does not end");
                self.leave(Leave::Restart)
            }
        }
    }

    /// The machine goes; what comes back is only what did not work.
    fn leave(&mut self, how: Leave) -> Result<Order, CallError> {
        self.session.flush_log();
        let error = match how {
            Leave::Restart => init::restart(),
            Leave::PowerOff => init::power_off(),
            Leave::Loaded => init::start_loaded(),
        };
        self.log.say(format!("the machine does not go: {error}"));
        self.console
            .update(|status| status.error = Some(format!("the machine does not go: {error}")));
        clock::pause(BEFORE_RESTART);
        self.ask()
    }
}

/// What the steps are done with, before the first.
fn get_rest(files: SocketAddr, control: &Control) -> Result<(), RestError> {
    let root = Path::new("/");
    if rest::is_there(root) {
        return Ok(());
    }
    control.phase("fetching the tools");
    rest::get(root, files, control)?;
    control.phase("");
    Ok(())
}

fn show(console: &Console, state: &str, why: &str) {
    console.update(|status| {
        state.clone_into(&mut status.state);
        why.clone_into(&mut status.why);
    });
}

/// Stops for good when the server says so; otherwise a restart brings a new token.
fn refused(console: &Console, log: &Log, error: &CallError) {
    if error.halts() {
        halt(console, log, &error.to_string())
    }
    restart(console, log, &error.to_string(), "for a new token");
}

/// In a minute, in which a person can read why.
fn restart(console: &Console, log: &Log, error: &str, why: &str) {
    let when = format!("in a minute, {why}");
    log.say(format!("{error}; restarting {when}"));
    console.update(|status| status.error = Some(error.to_owned()));
    show(console, "restarting", &when);
    clock::pause(BEFORE_RESTART);
    let error = init::restart();
    log.say(format!("the machine does not restart: {error}"));
}

/// Shows why, and nothing more.
fn halt(console: &Console, log: &Log, why: &str) -> ! {
    log.say(format!("halted: {why}"));
    console.update(|status| status.error = Some(why.to_owned()));
    show(
        console,
        "halted",
        "this machine does nothing more until it is restarted",
    );
    loop {
        clock::pause(Duration::new(3600, 0));
    }
}
