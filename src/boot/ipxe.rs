//! iPXE scripts, rendered per machine.
//!
//! The templates of `scripts/` are embedded. iPXE splits a line at spaces and knows neither quotes nor escapes, so a
//! value from outside can do no harm only by what it does not hold: [`words`] takes everything out of a text that a
//! script would read, orders are checked when they are given ([`Once::check`]) and once more here, and the renderer
//! itself refuses to write a control character or a variable that came with a value.
//!
//! Each fetch in a script has its way out: a readable message with the reason above it, a pause that grows from 5 s
//! to 60 s, a key for iPXE's shell, and another try.

use std::net::{IpAddr, SocketAddr};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::environments::Load;
use crate::model::MacAddr;
use crate::model::agent::cmdline;
use crate::model::boot::{Boot, Decision, Once, Platform};

/// SeaBIOS breaks a line at 80 columns.
const COLUMNS: usize = 79;
const MAX_NAME: usize = COLUMNS - "Dragonfly: script reached, ".len();
const MAX_WHY: usize = COLUMNS - "Dragonfly: .".len();

const TEMPLATES: [(&str, &str); 13] = [
    ("agent.ipxe", include_str!("scripts/agent.ipxe")),
    ("again.ipxe", include_str!("scripts/again.ipxe")),
    ("autoexec.ipxe", include_str!("scripts/autoexec.ipxe")),
    ("banner.ipxe", include_str!("scripts/banner.ipxe")),
    ("boot.ipxe", include_str!("scripts/boot.ipxe")),
    ("chain.ipxe", include_str!("scripts/chain.ipxe")),
    ("disk.ipxe", include_str!("scripts/disk.ipxe")),
    ("kernel.ipxe", include_str!("scripts/kernel.ipxe")),
    ("local.ipxe", include_str!("scripts/local.ipxe")),
    ("pause.ipxe", include_str!("scripts/pause.ipxe")),
    ("return.ipxe", include_str!("scripts/return.ipxe")),
    ("shell.ipxe", include_str!("scripts/shell.ipxe")),
    ("wait.ipxe", include_str!("scripts/wait.ipxe")),
];

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("script template does not render: {0:#}")]
    Template(#[from] minijinja::Error),
    #[error("order cannot be put into a script: {0}")]
    Order(#[from] crate::model::FieldError),
    #[error("nothing is known of how the agent is let in")]
    NoInvitation,
    #[error("nothing is known of the installer")]
    NoInstaller,
}

/// Whom a script is for, as its banner shows it.
#[derive(Clone, Debug)]
pub struct Guest<'a> {
    pub name: &'a str,
    pub mac: MacAddr,
    pub address: IpAddr,
    pub platform: Option<Platform>,
    /// How its agent is let in, when it is sent one.
    pub agent: Option<&'a Invited>,
    /// The installer that it is sent, if it is.
    pub installer: Option<&'a Once>,
}

/// What the boot agent is told on its kernel's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// What is loaded: paths on this server.
    pub load: Load,
    /// Where the server hears agents.
    pub port: u16,
    /// SHA-256 of the server's public key, in hexadecimal.
    pub pin: String,
    pub token: String,
}

/// The templates, parsed once. Cheap to clone a reference to, never changed.
#[derive(Debug)]
pub struct Scripts(Environment<'static>);

impl Scripts {
    pub fn new() -> Result<Self, ScriptError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let whole_lines = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?;
        templates.set_syntax(whole_lines);
        templates.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        templates.set_formatter(|out, _, value| write_value(out, value));
        for (name, text) in TEMPLATES {
            templates.add_template(name, text)?;
        }
        Ok(Self(templates))
    }

    /// What a loader runs that nobody told of a script. `server` is the address that it was fetched from.
    pub fn autoexec(&self, server: SocketAddr) -> Result<String, ScriptError> {
        self.render("autoexec.ipxe", context! { base => base(server) })
    }

    /// The first script: it tells who asks, and fetches the machine's own.
    pub fn entry(&self, server: SocketAddr) -> Result<String, ScriptError> {
        self.render("boot.ipxe", context! { base => base(server) })
    }

    /// What this machine does now.
    pub fn machine(
        &self,
        server: SocketAddr,
        guest: &Guest<'_>,
        decision: &Decision,
    ) -> Result<String, ScriptError> {
        let common = context! {
            base => base(server),
            name => words(guest.name, MAX_NAME),
            mac => guest.mac.to_string(),
            address => guest.address.to_string(),
            platform => guest.platform.map_or("unknown firmware", Platform::name),
            why => words(decision.why, MAX_WHY),
        };
        match &decision.boot {
            // It got as far as a script, so it is told where to go.
            Boot::Silence | Boot::Local => {
                let way = local_way(guest.platform).name();
                self.render("local.ipxe", context! { way, ..common })
            }
            Boot::Wait => self.render("wait.ipxe", common),
            Boot::Once(once) => self.once(once, common),
            Boot::Installer => {
                let installer = guest.installer.ok_or(ScriptError::NoInstaller)?;
                self.once(installer, common)
            }
            Boot::Agent => {
                let agent = guest.agent.ok_or(ScriptError::NoInvitation)?;
                let way = local_way(guest.platform).name();
                let Load { kernel, initrds } = &agent.load;
                let line = agent_cmdline(server, guest, agent);
                let arguments = arguments(&line, initrds.len());
                self.render(
                    "agent.ipxe",
                    context! { way, kernel, initrds, arguments, ..common },
                )
            }
        }
    }

    fn once(&self, once: &Once, common: Value) -> Result<String, ScriptError> {
        once.check()?;
        match once {
            Once::Shell => self.render("shell.ipxe", common),
            Once::Chain { url } => {
                let shown = words(url, COLUMNS);
                self.render("chain.ipxe", context! { url, shown, ..common })
            }
            Once::Kernel {
                kernel,
                initrds,
                cmdline,
            } => {
                let shown = words(kernel, COLUMNS);
                let arguments = arguments(cmdline, initrds.len());
                self.render(
                    "kernel.ipxe",
                    context! { kernel, initrds, arguments, shown, ..common },
                )
            }
        }
    }

    fn render(&self, name: &str, context: Value) -> Result<String, ScriptError> {
        Ok(self.0.get_template(name)?.render(context)?)
    }
}

/// How a firmware is sent to its own disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LocalWay {
    /// Out of iPXE with an error: UEFI goes on to its next boot entry. After a success EDK2 shows its menu instead
    /// (UEFI 2.10, 3.1.3).
    Exit,
    /// Straight into the first disk's boot sector: what a BIOS does after its network boot ended is every vendor's
    /// own, from the next device to the network again.
    FirstDisk,
}

impl LocalWay {
    const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::FirstDisk => "first disk",
        }
    }
}

const fn local_way(platform: Option<Platform>) -> LocalWay {
    match platform {
        Some(Platform::Bios) => LocalWay::FirstDisk,
        // iPXE reaches local disks through the BIOS alone.
        _ => LocalWay::Exit,
    }
}

/// Kernels since 5.8 find what iPXE loaded by themselves; older ones on UEFI need its name.
fn arguments(cmdline: &str, initrds: usize) -> String {
    let magic = (initrds > 0).then_some("initrd=initrd.magic");
    let all = magic.into_iter().chain(cmdline.split_ascii_whitespace());
    all.fold(String::new(), |line, word| line + " " + word)
}

/// The screen is the console, and what the kernel says is on the serial line too. `BOOTIF` is how `PXELinux` names the card;
/// the agent understands it as its own word for it.
fn agent_cmdline(server: SocketAddr, guest: &Guest<'_>, agent: &Invited) -> String {
    let serial = match guest.platform {
        Some(Platform::Arm64 | Platform::UBoot | Platform::RaspberryPi) => "ttyAMA0,115200n8",
        _ => "ttyS0,115200n8",
    };
    let at = SocketAddr::new(server.ip(), agent.port);
    let mac = guest.mac.to_string();
    let words = [
        format!("console={serial}"),
        "console=tty0".into(),
        "quiet".into(),
        // A kernel that cannot go on starts the machine anew.
        "panic=10".into(),
        format!("BOOTIF=01-{}", mac.replace(':', "-")),
        format!("{}={at}", cmdline::SERVER),
        format!("{}={server}", cmdline::FILES),
        format!("{}={}", cmdline::PIN, agent.pin),
        format!("{}={}", cmdline::TOKEN, agent.token),
        format!("{}={mac}", cmdline::MAC),
    ];
    words.join(" ")
}

fn base(server: SocketAddr) -> String {
    format!("http://{server}")
}

/// A text that people wrote or machines told of, as words of an `echo`: ASCII, without what begins a variable, a
/// comment or a next command, at most `max` characters.
pub fn words(text: &str, max: usize) -> String {
    let plain = |c: char| match c {
        '$' | '#' | ';' | '|' | '&' => '?',
        c if c.is_ascii_graphic() || c == ' ' => c,
        _ => '?',
    };
    let mut words: String = text.chars().map(plain).take(max).collect();
    if text.chars().nth(max).is_some() {
        words.truncate(max.saturating_sub(2));
        words.push_str("..");
    }
    words
}

/// The last look at a value before it becomes part of a script.
fn write_value(out: &mut minijinja::Output<'_>, value: &Value) -> Result<(), minijinja::Error> {
    let text = value.to_string();
    let printable = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if printable && !text.contains("${") && !value.is_undefined() {
        return Ok(out.write_str(&text)?);
    }
    let what = format!("{text:?} would change the script");
    Err(minijinja::Error::new(minijinja::ErrorKind::BadEscape, what))
}

#[cfg(test)]
mod tests;
