//! Every key of the configuration.

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its path in the file, such as `socket.mode`.
    pub name: &'static str,
    pub env: &'static str,
    pub kind: Kind,
    /// As it would be written in the file.
    pub default: &'static str,
    /// As it would be written in the file.
    pub example: &'static str,
    pub help: &'static str,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Path,
    /// A path that fits into an address of a unix socket.
    SocketPath,
    /// Addresses of this machine alone, with ports.
    Listen,
    /// Permissions in octal; nothing for everybody.
    Mode,
    Group,
    Level,
    OneOf(&'static [&'static str]),
    /// Bytes, with or without a unit, from the first to the second.
    Size(u64, u64),
    /// Names of network links, or `auto` for every real Ethernet link; may be empty.
    Links,
    /// A TCP port.
    Port,
    /// Container registries, each as `ALIAS=URL`; may be empty.
    Registries,
}

const MIB: u64 = 1024 * 1024;

/// The table.
pub const KEYS: &[Key] = &[
    Key {
        name: "data",
        env: "DRAGONFLY_DATA",
        kind: Kind::Path,
        default: "\"/var/lib/dragonfly\"",
        example: "\"/var/lib/dragonfly\"",
        help: "the folder that holds the store",
    },
    Key {
        name: "listen",
        env: "DRAGONFLY_LISTEN",
        kind: Kind::Listen,
        default: "[\"127.0.0.1:3000\"]",
        example: "[\"127.0.0.1:3000\", \"[::1]:3000\"]",
        help: "where people's pages and the API answer; this machine only; port 0 takes a free one",
    },
    Key {
        name: "socket.path",
        env: "DRAGONFLY_SOCKET",
        kind: Kind::SocketPath,
        default: "\"/run/dragonfly/dragonfly.sock\"",
        example: "\"/run/dragonfly/dragonfly.sock\"",
        help: "the unix socket that the command line speaks to",
    },
    Key {
        name: "socket.mode",
        env: "DRAGONFLY_SOCKET_MODE",
        kind: Kind::Mode,
        default: "\"0660\"",
        example: "\"0660\"",
        help: "who may use the socket",
    },
    Key {
        name: "socket.group",
        env: "DRAGONFLY_SOCKET_GROUP",
        kind: Kind::Group,
        default: "\"dragonfly\"",
        example: "\"dragonfly\"",
        help: "whose members may use the socket",
    },
    Key {
        name: "log.level",
        env: "DRAGONFLY_LOG",
        kind: Kind::Level,
        default: "\"info\"",
        example: "\"info,dragonfly::store=debug\"",
        help: "error, warn, info, debug, trace or off; also by part of the program",
    },
    Key {
        name: "log.format",
        env: "DRAGONFLY_LOG_FORMAT",
        kind: Kind::OneOf(&["text", "json"]),
        default: "\"text\"",
        example: "\"json\"",
        help: "lines for people, or one JSON object each",
    },
    Key {
        name: "store.journal",
        env: "DRAGONFLY_STORE_JOURNAL",
        kind: Kind::Size(4 * MIB, 1024 * MIB),
        default: "\"16 MiB\"",
        example: "\"16 MiB\"",
        help: "the journal's room on disk, in a store that is new; a larger one is emptied less often",
    },
    Key {
        name: "store.cache",
        env: "DRAGONFLY_STORE_CACHE",
        kind: Kind::Size(MIB, 64 * 1024 * MIB),
        default: "\"256 MiB\"",
        example: "\"256 MiB\"",
        help: "memory for machines that were read; the others are read from disk",
    },
    Key {
        name: "net.links",
        env: "DRAGONFLY_NET_LINKS",
        kind: Kind::Links,
        default: "[]",
        example: "[\"eth0\"]",
        help: "links whose machines are booted, or auto for every Ethernet link; nothing goes out on any other",
    },
    Key {
        name: "net.http_port",
        env: "DRAGONFLY_NET_HTTP_PORT",
        kind: Kind::Port,
        default: "3080",
        example: "3080",
        help: "where booting machines fetch scripts and files, on the served links alone",
    },
    Key {
        name: "net.agent_port",
        env: "DRAGONFLY_NET_AGENT_PORT",
        kind: Kind::Port,
        default: "3081",
        example: "3081",
        help: "where boot agents and installed systems are heard, by TLS, on the served links alone",
    },
    Key {
        name: "boot.loaders",
        env: "DRAGONFLY_BOOT_LOADERS",
        kind: Kind::Path,
        default: "\"/usr/lib/ipxe\"",
        example: "\"/usr/lib/ipxe\"",
        help: "the folder with the boot loaders of Debian's package ipxe; your own go into boot/ of the data folder",
    },
    Key {
        name: "boot.agent",
        env: "DRAGONFLY_BOOT_AGENT",
        kind: Kind::Path,
        default: "\"/usr/share/dragonfly/agent\"",
        example: "\"/usr/share/dragonfly/agent\"",
        help: "the folder with the boot environments, one folder for each architecture",
    },
    Key {
        name: "images.quota",
        env: "DRAGONFLY_IMAGES_QUOTA",
        kind: Kind::Size(64 * MIB, 1024 * 1024 * 1024 * MIB),
        default: "\"32 GiB\"",
        example: "\"200 GiB\"",
        help: "as much as images take on disk; what was not used for longest goes first, pinned and uploaded ones stay",
    },
    Key {
        name: "images.registries",
        env: "DRAGONFLY_IMAGES_REGISTRIES",
        kind: Kind::Registries,
        default: "[]",
        example: "[\"hub=https://registry-1.docker.io\"]",
        help: "container registries that machines pull through this one, each as ALIAS=URL, at /v2/ALIAS/",
    },
    Key {
        name: "images.mode",
        env: "DRAGONFLY_IMAGES_MODE",
        kind: Kind::OneOf(&["online", "offline"]),
        default: "\"online\"",
        example: "\"offline\"",
        help: "offline fetches nothing: images that are here, uploaded or imported are served, and no others",
    },
];

/// Variables that are ours and no keys of the configuration.
pub const OTHER_ENV: [&str; 3] = [
    "DRAGONFLY_CONFIG",
    "DRAGONFLY_INSTALLED",
    "DRAGONFLY_SERVER",
];

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The name that `wrong` was most likely meant to be, if any is near.
pub fn nearest(wrong: &str, of: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let wrong = wrong.to_lowercase();
    let ranked = of.map(|name| (strsim::jaro_winkler(&wrong, name), name));
    let best = ranked.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.75).then_some(best.1)
}

impl Key {
    /// The last word of the name, as it is written inside its section.
    pub fn leaf(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// The example as a flag or a variable takes it.
    pub(super) fn example_word(&self) -> String {
        let first = self.example.trim_matches(['[', ']']).split(", ").next();
        first.unwrap_or(self.example).trim_matches('"').into()
    }
}
