//! `dragonfly machine …`

use clap::{Args, Subcommand, ValueEnum};

use super::Change;

const NAMING: &str = "MACHINE is an id, the beginning of one, a MAC address, or any of its names.";

#[derive(Debug, Subcommand)]
pub enum MachineCommand {
    /// List machines
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one machine in full
    #[command(after_help = NAMING)]
    Show { machine: String },
    /// Tell of a machine before it shows itself
    Add(Add),
    /// Edit a machine; most fields wait until `machine apply`
    Set(Box<Set>),
    /// Make the waiting edit the desired state
    Apply(Apply),
    /// Drop the waiting edit
    #[command(after_help = NAMING)]
    Discard(Several),
    /// Put tags on machines
    #[command(after_help = TAG_EXAMPLES,
        override_usage = "dragonfly machine tag [OPTIONS] <MACHINE>... <TAGS>")]
    Tag(Tagging),
    /// Take tags off machines
    #[command(after_help = TAG_EXAMPLES,
        override_usage = "dragonfly machine untag [OPTIONS] <MACHINE>... <TAGS>")]
    Untag(Tagging),
    /// Lock machines: no reinstallation, no power-off, no deletion
    Lock(Lock),
    /// Unlock machines
    #[command(after_help = NAMING)]
    Unlock(Several),
    /// Forget machines
    #[command(visible_alias = "rm")]
    Delete(Delete),
    /// List who asked to boot and is not registered
    Seen,
    /// Let machines in that were seen on the wire
    Approve(Approve),
    /// Say what a machine boots next, once
    BootOnce(BootOnce),
    /// Choose the build of iPXE that a machine gets
    Loader(Loader),
    /// Have machines looked into by the agent at their next boot
    #[command(after_help = NAMING)]
    Inspect(Several),
    /// Show what a machine's agent said lately
    #[command(after_help = NAMING)]
    Log {
        machine: String,
        /// Go on with what comes, until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// List machines that cannot be told apart
    Conflicts,
    /// Make one machine of two
    Merge(Merge),
    /// Make two machines of one
    Split(Split),
}

const TAG_EXAMPLES: &str = "\
The last word is the tags, with commas between; all before it are machines.

Examples:
  dragonfly machine tag web01 rack2
  dragonfly machine tag web01 web02 web03 rack2,new
  dragonfly machine untag web01 new";

const SORTS: [&str; 8] = [
    "registered",
    "-registered",
    "name",
    "-name",
    "hostname",
    "-hostname",
    "updated",
    "-updated",
];

/// Filters, order and look of a list.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Examples:
  dragonfly machine list --tag web --tag rack2       machines that carry both
  dragonfly machine list --pending                   what waits to be applied
  dragonfly machine list --columns name,mac,ip
  dragonfly machine list -q --state error | xargs -n1 dragonfly machine show")]
pub struct List {
    /// Only those in this state
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Only those that carry this tag; give it again for machines that carry all
    #[arg(long, value_name = "TAG", action = super::MANY)]
    pub tag: Vec<String>,
    /// Only those for which this system is chosen
    #[arg(long, value_name = "NAME")]
    pub os: Option<String>,
    /// Only those with this text in a name, address, MAC, tag or id
    #[arg(long, short = 's', value_name = "TEXT")]
    pub search: Option<String>,
    /// Only those that are locked; `--locked=false` for the others
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub locked: Option<bool>,
    /// Only those with a waiting edit; `--pending=false` for the others
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub pending: Option<bool>,
    /// The order; a minus before it turns it round
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true, value_parser = SORTS)]
    pub sort: Option<String>,
    /// At most so many; without it, all
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Which columns, in this order, with commas between
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COLUMNS")]
    pub columns: Vec<Column>,
}

/// The states, as a filter takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    Discovered,
    Ready,
    Provisioning,
    Provisioned,
    Error,
    Offline,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Ready => "ready",
            Self::Provisioning => "provisioning",
            Self::Provisioned => "provisioned",
            Self::Error => "error",
            Self::Offline => "offline",
        }
    }
}

/// What a list can show of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    Name,
    State,
    Hostname,
    Os,
    Tags,
    Mac,
    Ip,
    Flags,
    Seen,
    Id,
    Memory,
    Cpu,
    Source,
    Created,
    Updated,
    Version,
}

/// One or more machines, and the options of a change.
#[derive(Clone, Debug, Args)]
pub struct Several {
    /// As many as wanted
    #[arg(required = true, value_name = "MACHINE")]
    pub machines: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

/// A machine that a person tells of.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  dragonfly machine add 52:54:00:12:34:56
  dragonfly machine add 52:54:00:12:34:56 --hostname web01 --tag web,rack2 --os debian-13")]
pub struct Add {
    /// The card that it boots from
    pub mac: String,
    /// Another card of the same machine
    #[arg(long, value_name = "MAC", value_delimiter = ',')]
    pub other_mac: Vec<String>,
    /// The UUID of its firmware
    #[arg(long, value_name = "UUID")]
    pub uuid: Option<String>,
    /// Its host name
    #[arg(long)]
    pub hostname: Option<String>,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    pub friendly_name: Option<String>,
    /// The system that it is to be installed with
    #[arg(long, value_name = "NAME")]
    pub os: Option<String>,
    /// Tags, with commas between
    #[arg(long, value_delimiter = ',', value_name = "TAGS")]
    pub tag: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

/// An edit.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Fields:
  hostname=web01                    its host name, at its next installation
  friendly-name=\"The quiet one\"     what people call it, at once
  tags=web,rack2                    all of its tags; `machine tag` adds to them
  label.owner=ada                   one label of your own; label.owner= takes it off
  static-ip=\"192.0.2.10/24 via 192.0.2.1\"
  vlan=20                           the VLAN that its address is in
  bond=802.3ad:MAC,MAC              cards that work as one; or active-backup
  os=debian-13                      the system of its next installation
  status=offline                    where it stands
  mac=52:54:00:12:34:56             the card that it boots from; asks first

FIELD= with nothing after it clears the field, and so does --clear FIELD.

Examples:
  dragonfly machine set web01 os=debian-13 tags=web,rack2
  dragonfly machine set 52:54:00:12:34:56 --hostname web01 --dry-run
  dragonfly machine set web01 --clear static-ip")]
pub struct Set {
    /// An id, the beginning of one, a MAC address, or any of its names
    pub machine: String,
    /// What to set, as FIELD=VALUE
    #[arg(value_name = "FIELD=VALUE")]
    pub fields: Vec<String>,
    /// Same as hostname=NAME
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Same as friendly-name=NAME
    #[arg(long, value_name = "NAME")]
    pub friendly_name: Option<String>,
    /// Same as tags=TAGS
    #[arg(long, value_name = "TAGS")]
    pub tags: Option<String>,
    /// Same as label.KEY=VALUE
    #[arg(long, value_name = "KEY=VALUE", action = super::MANY)]
    pub label: Vec<String>,
    /// Same as static-ip=ADDRESS
    #[arg(long, value_name = "ADDRESS")]
    pub static_ip: Option<String>,
    /// Same as vlan=NUMBER
    #[arg(long, value_name = "NUMBER")]
    pub vlan: Option<String>,
    /// Same as bond=MODE:MAC,MAC
    #[arg(long, value_name = "BOND")]
    pub bond: Option<String>,
    /// Same as os=NAME
    #[arg(long, value_name = "NAME")]
    pub os: Option<String>,
    /// Same as status=STATE
    #[arg(long, value_name = "STATE")]
    pub status: Option<String>,
    /// Same as mac=MAC
    #[arg(long, value_name = "MAC")]
    pub mac: Option<String>,
    /// Clear a field
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub clear: Vec<String>,
    /// Say yes beforehand to the question that a new MAC address brings
    #[arg(long)]
    pub confirm: bool,
    #[command(flatten)]
    pub change: Change,
}

/// How a waiting edit is applied.
#[derive(Clone, Debug, Args)]
#[command(after_help = NAMING)]
pub struct Apply {
    /// Ask for it on the running system too, not at the next installation only
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub several: Several,
}

/// Machines and tags.
#[derive(Clone, Debug, Args)]
pub struct Tagging {
    /// Machines, as many as wanted, and as the last word the tags, with commas between
    #[arg(required = true, num_args = 2.., value_names = ["MACHINE", "TAGS"])]
    pub words: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

/// What is locked and why.
#[derive(Clone, Debug, Args)]
#[command(after_help = NAMING)]
pub struct Lock {
    /// Why; shown to whoever runs into the lock
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub several: Several,
}

/// Which cards are let in.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
`dragonfly machine seen` lists who waits.

Example:
  dragonfly machine approve 52:54:00:12:34:56")]
pub struct Approve {
    /// As many as wanted
    #[arg(required = true, value_name = "MAC")]
    pub macs: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

/// What is booted once.
#[derive(Clone, Debug, Args)]
#[command(
    override_usage = "dragonfly machine boot-once [OPTIONS] <MACHINE> <--shell|--chain URL|--kernel URL|--cancel>",
    group(clap::ArgGroup::new("what").required(true).args(["shell", "chain", "kernel", "cancel"])),
    after_help = "\
The order is given out when the machine boots from the network next, and is over then.

Examples:
  dragonfly machine boot-once web01 --shell
  dragonfly machine boot-once web01 --chain http://192.168.1.9/own.ipxe
  dragonfly machine boot-once web01 --kernel http://192.168.1.9/vmlinuz \\
    --initrd http://192.168.1.9/initrd.img --cmdline \"console=ttyS0 quiet\"
  dragonfly machine boot-once web01 --cancel")]
pub struct BootOnce {
    /// An id, the beginning of one, a MAC address, or any of its names
    pub machine: String,
    /// iPXE's own shell, on the machine's screen
    #[arg(long)]
    pub shell: bool,
    /// Another script or program
    #[arg(long, value_name = "URL")]
    pub chain: Option<String>,
    /// A kernel
    #[arg(long, value_name = "URL")]
    pub kernel: Option<String>,
    /// An initial RAM disk of the kernel; give it again for one more
    #[arg(long, value_name = "URL", requires = "kernel", action = super::MANY)]
    pub initrd: Vec<String>,
    /// The command line of the kernel
    #[arg(
        long,
        value_name = "TEXT",
        requires = "kernel",
        allow_hyphen_values = true
    )]
    pub cmdline: Option<String>,
    /// Take the order back
    #[arg(long)]
    pub cancel: bool,
    #[command(flatten)]
    pub change: Change,
}

/// Which loader.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Choices:
  auto       what fits most machines; the other one when no script is fetched after it
  firmware   iPXE with the firmware's own driver (snponly.efi, undionly.kpxe)
  full       iPXE with its own drivers (ipxe.efi, ipxe.pxe)
  signed     your own signed shim and what it loads, for Secure Boot

Example:
  dragonfly machine loader web01 full")]
pub struct Loader {
    /// An id, the beginning of one, a MAC address, or any of its names
    pub machine: String,
    /// auto, firmware, full or signed
    #[arg(value_parser = ["auto", "firmware", "full", "signed"], hide_possible_values = true)]
    pub choice: String,
    #[command(flatten)]
    pub change: Change,
}

/// What is deleted.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
On a terminal it asks for the machine's name, in a script it needs --yes. A machine that shows \
itself on the network again is registered again, as new.")]
pub struct Delete {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub several: Several,
}

/// Which two become one.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
KEEP takes over every MAC address and the UUID that ABSORB was known by; the rest of ABSORB is \
lost. On a terminal it asks for ABSORB's name, in a script it needs --yes.

Example:
  dragonfly machine merge web01 52:54:00:12:34:57")]
pub struct Merge {
    /// The machine that stays
    pub keep: String,
    /// The machine that ends
    pub absorb: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub change: Change,
}

/// What becomes a machine of its own.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Example:
  dragonfly machine split web01 --mac 52:54:00:12:34:57")]
pub struct Split {
    /// The machine that gives them away
    pub machine: String,
    /// A card that goes
    #[arg(long, required = true, value_name = "MAC", value_delimiter = ',')]
    pub mac: Vec<String>,
    /// The UUID of the firmware goes too
    #[arg(long)]
    pub uuid: bool,
    #[command(flatten)]
    pub change: Change,
}
