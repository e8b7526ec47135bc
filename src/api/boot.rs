//! How machines boot, as the API shows and takes it: orders for one boot, loaders, and traces.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is known of how a machine boots from the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Boot {
    /// A person's order for the next boot.
    pub once: Option<BootOnce>,
    /// The rung of the ladder on which it last fetched something: `proxy`, `binl` or `staple`.
    pub rung: Option<String>,
    /// `auto`, `firmware`, `full` or `signed`.
    pub loader: String,
    /// What kind of machine its firmware said it is, in words.
    pub platform: Option<String>,
    /// What it said in option 93.
    pub arch: Option<u16>,
    /// When it last fetched its script.
    pub at: Option<String>,
}

/// What a machine shall boot once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BootOnce {
    /// iPXE's own shell on the machine's screen.
    Shell {},
    /// Another script or program, by its URL.
    Chain {
        #[schema(example = "http://10.0.0.1/boot/custom.ipxe")]
        url: String,
    },
    /// A kernel with its initial RAM disks and command line.
    Kernel {
        #[schema(example = "http://10.0.0.1/vmlinuz")]
        kernel: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        initrds: Vec<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        cmdline: String,
    },
}

/// Which build of iPXE a machine gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLoader {
    /// `auto`, `firmware`, `full` or `signed`.
    #[schema(example = "firmware")]
    pub loader: String,
}

/// What was seen of the boots of one machine, oldest first, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// What the machine is called; absent while it is none.
    pub machine: Option<String>,
    pub machine_id: Option<String>,
    /// Its cards.
    pub macs: Vec<String>,
    pub steps: Vec<Step>,
    /// Hand it back as `after` to get what comes next.
    pub last: u64,
    /// `unseen`, `going_on`, `arrived` (its script was handed out), `waiting` (for a person's approval) or `stopped`.
    pub state: String,
    /// Why it stopped, or waits.
    pub diagnosis: Option<Diagnosis>,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Rises from step to step, also from machine to machine.
    pub number: u64,
    pub at: String,
    /// `dhcp`, `tftp`, `http`, `script`, `agent`, `disk` or `os`.
    pub stage: String,
    /// What it was, from a closed list of words, such as `discover` or `file_done`.
    pub mark: String,
    pub link: Option<String>,
    /// The same for people.
    pub text: String,
    /// Why it was done so.
    pub why: Option<String>,
}

/// Why a boot stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// A word from a closed list, such as `offer_ignored`.
    pub kind: String,
    /// The likely cause, in a sentence.
    pub cause: String,
    /// What a person does about it, one thing a line.
    pub what_to_do: Vec<String>,
    /// What to paste into the router, the switch or the DHCP server at fault.
    pub snippets: Vec<Snippet>,
}

/// Something to paste.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snippet {
    /// What it cures, such as `boot-options`.
    pub topic: String,
    /// Whose configuration it is: `dnsmasq`, `kea`, `isc-dhcp`, `mikrotik`, `unifi` or `nftables`.
    pub product: String,
    /// The product's own name.
    pub title: String,
    pub text: String,
}
