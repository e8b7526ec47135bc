//! What a machine boots: the architectures that firmware names, the loaders for them, and the one decision.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::field::{FieldError, quoted};
use super::machine::Machine;
use super::network::{Admit, Idle};

/// What a client said that it is: option 93 of its DISCOVER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arch(pub u16);

impl Arch {
    /// The platform behind the number (research: RFC 4578 with its erratum, IANA, EDK2); none where it is unknown.
    pub const fn platform(self) -> Option<Platform> {
        Some(match self.0 {
            0 | 20 => Platform::Bios,
            6 | 15 => Platform::Ia32,
            // Real x64 machines send 7 or 9.
            7 | 9 | 16 => Platform::X64,
            10 | 18 => Platform::Arm32,
            11 | 19 => Platform::Arm64,
            21 | 22 | 23 | 24 => Platform::UBoot,
            27 | 28 => Platform::Riscv64,
            39 | 40 => Platform::Loong64,
            41 => Platform::RaspberryPi,
            _ => return None,
        })
    }

    /// Whether the client wants a URL and not a file name.
    pub const fn is_http(self) -> bool {
        matches!(
            self.0,
            15 | 16 | 18 | 19 | 20 | 23 | 24 | 26 | 28 | 30 | 38 | 40
        )
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.platform() {
            Some(platform) if self.is_http() => write!(f, "{platform} by HTTP"),
            Some(platform) => platform.fmt(f),
            None => write!(f, "unknown architecture {}", self.0),
        }
    }
}

/// A kind of machine, as far as loaders differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    Bios,
    Ia32,
    X64,
    Arm32,
    Arm64,
    Riscv64,
    Loong64,
    UBoot,
    RaspberryPi,
}

impl Platform {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bios => "BIOS",
            Self::Ia32 => "UEFI ia32",
            Self::X64 => "UEFI x64",
            Self::Arm32 => "UEFI arm32",
            Self::Arm64 => "UEFI arm64",
            Self::Riscv64 => "UEFI riscv64",
            Self::Loong64 => "UEFI loong64",
            Self::UBoot => "U-Boot",
            Self::RaspberryPi => "Raspberry Pi",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which build of iPXE a machine gets; some cards work with one and hang in another.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LoaderChoice {
    /// What fits most machines of its platform; the next one when no script was fetched after it.
    #[default]
    Auto,
    /// The firmware's own driver (`snponly.efi`, `undionly.kpxe`).
    Firmware,
    /// iPXE's drivers (`ipxe.efi`, `ipxe.pxe`).
    Full,
    /// The signed shim and what it loads; the files are the person's own.
    Signed,
}

impl LoaderChoice {
    pub const ALL: [Self; 4] = [Self::Auto, Self::Firmware, Self::Full, Self::Signed];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Firmware => "firmware",
            Self::Full => "full",
            Self::Signed => "signed",
        }
    }
}

impl fmt::Display for LoaderChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A step of the fallback ladder.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// A proxy offer with option 43: the client is told to boot at once.
    #[default]
    Proxy,
    /// A proxy offer without option 43: the client has to ask on port 4011.
    Binl,
    /// The real server's offer and acknowledgement, relayed, with boot instructions stapled on.
    Staple,
}

impl Rung {
    pub const ALL: [Self; 3] = [Self::Proxy, Self::Binl, Self::Staple];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Binl => "binl",
            Self::Staple => "staple",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is known of how a machine boots the network; part of its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootRecord {
    /// A person's order for the next boot; taken off when its script is handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// The rung on which it last fetched something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    #[serde(skip_serializing_if = "is_auto")]
    pub loader: LoaderChoice,
    /// What it said in option 93 when it last fetched something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// When it last fetched its script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl BootRecord {
    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_auto(choice: &LoaderChoice) -> bool {
    *choice == LoaderChoice::Auto
}

/// What a machine shall boot once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Once {
    /// iPXE's own shell on the machine's screen.
    Shell,
    /// Another script or program, by its URL.
    Chain { url: String },
    /// A kernel with its initial RAM disks and command line.
    Kernel {
        kernel: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        initrds: Vec<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        cmdline: String,
    },
}

impl Once {
    /// As many bytes as a URL may have.
    pub const MAX_URL: usize = 2048;
    /// What Linux takes on x86 and arm64.
    pub const MAX_CMDLINE: usize = 2048;
    pub const MAX_INITRDS: usize = 8;

    /// Whether it can be written into a script, one command a line, and mean what it says.
    pub fn check(&self) -> Result<(), FieldError> {
        match self {
            Self::Shell => Ok(()),
            Self::Chain { url } => check_url("url", url),
            Self::Kernel {
                kernel,
                initrds,
                cmdline,
            } => {
                check_url("kernel", kernel)?;
                if initrds.len() > Self::MAX_INITRDS {
                    let (count, limit) = (initrds.len(), Self::MAX_INITRDS);
                    let reason =
                        format!("{count} initial RAM disks are too many, {limit} is the limit");
                    return Err(FieldError::new("initrds", reason, URL));
                }
                initrds
                    .iter()
                    .try_for_each(|initrd| check_url("initrds", initrd))?;
                check_cmdline(cmdline)
            }
        }
    }
}

const URL: &str = "http://10.0.0.1/boot/custom.ipxe";
/// What begins a variable of iPXE. Its value comes from the machine or off the wire, and may hold further commands.
const VARIABLE: &str = "${";

fn check_url(field: &str, url: &str) -> Result<(), FieldError> {
    let wrong = |reason: String| Err(FieldError::new(field, reason, URL));
    let schemes = ["http://", "https://", "tftp://"];
    let Some(rest) = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)) else {
        return wrong(format!(
            "{} does not begin with http://, https:// or tftp://",
            quoted(url)
        ));
    };
    if url.len() > Once::MAX_URL {
        let (length, limit) = (url.len(), Once::MAX_URL);
        return wrong(format!("{length} bytes are too many, {limit} is the limit"));
    }
    if rest.is_empty() || rest.starts_with(['/', ':', '?', '#', '@']) {
        return wrong(format!("{} names no host", quoted(url)));
    }
    if let Some(bad) = url.chars().find(|c| !c.is_ascii_graphic()) {
        let bad = quoted(&bad.to_string());
        return wrong(format!("{bad} has to be written with per cent signs"));
    }
    if url.contains(VARIABLE) {
        return wrong(format!(
            "{} holds '${{', which iPXE would replace",
            quoted(url)
        ));
    }
    Ok(())
}

fn check_cmdline(cmdline: &str) -> Result<(), FieldError> {
    let wrong = |reason: String| Err(FieldError::new("cmdline", reason, "console=ttyS0 quiet"));
    if cmdline.len() > Once::MAX_CMDLINE {
        let (length, limit) = (cmdline.len(), Once::MAX_CMDLINE);
        return wrong(format!("{length} bytes are too many, {limit} is the limit"));
    }
    if let Some(bad) = cmdline.chars().find(|c| !matches!(c, ' '..='~')) {
        let bad = quoted(&bad.to_string());
        return wrong(format!("{bad} is not printable ASCII"));
    }
    if cmdline.contains(VARIABLE) {
        return wrong("it holds '${', which iPXE would replace".to_owned());
    }
    // iPXE ends a command at these words, and takes what follows for another command or for a comment.
    let ends = |word: &&str| matches!(*word, "&&" | "||" | ";") || word.starts_with('#');
    match cmdline.split(' ').find(ends) {
        Some(word) => wrong(format!("the word {} ends a command in iPXE", quoted(word))),
        None => Ok(()),
    }
}

impl fmt::Display for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell => f.write_str("the iPXE shell"),
            Self::Chain { url } => f.write_str(url),
            Self::Kernel { kernel, .. } => write!(f, "the kernel {kernel}"),
        }
    }
}

/// Who asks, and under which rules of its network.
#[derive(Clone, Copy, Debug)]
pub struct BootRequest<'a> {
    /// The record of the one who asks; none while it is unknown.
    pub machine: Option<&'a Machine>,
    pub admit: Admit,
    pub idle: Idle,
}

/// What is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Nothing is answered.
    Silence,
    /// A script that says so and goes on to the local disk.
    Local,
    /// A screen that says that a person has to approve the machine; it asks again.
    Wait,
    /// A person's order for this one boot.
    Once(Once),
}

/// The decision with its reason, which is shown on screens and in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub boot: Boot,
    pub why: &'static str,
}

impl Decision {
    /// Whether the machine shall be brought to us by its firmware: the ladder steps only then.
    pub const fn wants_netboot(&self) -> bool {
        !matches!(self.boot, Boot::Silence)
    }
}

/// The only place that says what a machine boots. DHCP, TFTP, HTTP and iPXE all ask it.
pub fn decide(request: &BootRequest<'_>) -> Decision {
    let decision = |boot, why| Decision { boot, why };
    let Some(machine) = request.machine else {
        return match request.admit {
            Admit::Open => decision(Boot::Local, "it is new here, and nothing is to be done yet"),
            Admit::Approve => decision(Boot::Wait, "it waits for a person's approval"),
            Admit::Known => decision(Boot::Silence, "only known machines are answered here"),
        };
    };
    if let Some(once) = &machine.boot.once {
        return decision(Boot::Once(once.clone()), "a person asked for this boot");
    }
    match request.idle {
        Idle::Local => decision(
            Boot::Local,
            "nothing is to be done, so it boots its own disk",
        ),
        Idle::Silence => decision(
            Boot::Silence,
            "nothing is to be done, and this network stays silent then",
        ),
    }
}
