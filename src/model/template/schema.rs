//! What may stand in an action: one row per key, from which templates are checked and their page is held against.

use std::fmt::Write as _;

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// An absolute path without `..`.
    Path,
    /// `http://…`, `https://…`, `oci://…` or `image:NAME`.
    Url,
    Urls,
    /// A list of words.
    Texts,
    Checksum,
    /// Where checksums are told, and how they are believed.
    Checksums,
    /// `http://…` or `https://…`
    Web,
    /// The name of a key that comes with Dragonfly, or one's own in its armor.
    SigningKey,
    /// Words with spaces between, as a kernel takes them.
    Words,
    Disk,
    Disks,
    /// A number from 1 to 128.
    PartitionNumber,
    /// `/dev/…`
    Device,
    Flag,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// Bytes, such as `512M` or `20G`.
    Size,
    Word(&'static [&'static str]),
    /// Octal, such as `0644`.
    Mode,
    /// Program and arguments.
    Command,
    /// Names and texts.
    Environment,
    /// The content of a file.
    Content,
    Base64,
    /// Anything, written into a file as YAML or JSON.
    Tree(Tree),
}

/// How a tree is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    Yaml,
    Json,
}

impl Kind {
    /// In the words of the page about templates.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Text | Self::Words => "text",
            Self::Path => "absolute path",
            Self::Url => "`http://…`, `https://…`, `oci://…` or `image:NAME`",
            Self::Urls => "list of those",
            Self::Texts => "list of texts",
            Self::Checksum => "`sha256:…` or `sha512:…`",
            Self::Checksums => "map of the keys of `checksums`",
            Self::Web => "`http://…` or `https://…`",
            Self::SigningKey => "name of a key, or its armor",
            Self::Disk => "disk rule",
            Self::Disks => "list of disk rules",
            Self::PartitionNumber => "number from 1 to 128",
            Self::Device => "`/dev/…`",
            Self::Flag => "`true` or `false`",
            Self::Number(..) => "number",
            Self::Size => "size, such as `512M`",
            Self::Word(_) => "word",
            Self::Mode => "octal mode, such as `0644`",
            Self::Command => "list of program and arguments",
            Self::Environment => "map of names to texts",
            Self::Content => "text with filters",
            Self::Base64 => "base64",
            Self::Tree(Tree::Yaml) => "any YAML, written as YAML",
            Self::Tree(Tree::Json) => "any YAML, written as JSON",
        }
    }
}

/// One key of an action.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// What the action calls it.
    pub field: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub help: &'static str,
}

/// One action.
#[derive(Clone, Copy, Debug)]
pub struct ActionSpec {
    pub name: &'static str,
    pub help: &'static str,
    pub keys: &'static [Key],
    /// Keys of which exactly one has to be there.
    pub one_of: &'static [&'static str],
}

const fn key(name: &'static str, kind: Kind, help: &'static str) -> Key {
    Key {
        name,
        field: name,
        kind,
        required: false,
        help,
    }
}

const fn required(name: &'static str, kind: Kind, help: &'static str) -> Key {
    Key {
        required: true,
        ..key(name, kind, help)
    }
}

const fn named(name: &'static str, field: &'static str, kind: Kind, help: &'static str) -> Key {
    Key {
        field,
        ..key(name, kind, help)
    }
}

const DISK: Key = key(
    "disk",
    Kind::Disk,
    "which disk; the only one there is without it",
);
const PARTITION: Key = key(
    "partition",
    Kind::PartitionNumber,
    "which partition of the disk; the one that holds the root without it",
);
const DEVICE: Key = key(
    "device",
    Kind::Device,
    "a device that is no partition of the disk, such as `/dev/vg0/root`",
);
const FS_TYPE: Key = key(
    "fs_type",
    Kind::Text,
    "what it is mounted as; found out without it",
);
const URL: Key = required("url", Kind::Url, "where it comes from");
const CHECKSUM: Key = key("checksum", Kind::Checksum, "of the bytes that are fetched");
const CHECKSUMS: Key = key(
    "checksums",
    Kind::Checksums,
    "where its vendor tells its checksum, instead of `checksum`",
);
const COMPRESSION: Key = key(
    "compression",
    Kind::Word(&["none", "gzip", "bzip2", "xz", "zstd"]),
    "read off the first bytes without it",
);

/// Keys of every action.
pub const COMMON: &[Key] = &[
    required("action", Kind::Text, "one of the actions below"),
    key(
        "name",
        Kind::Text,
        "what the step is called; the action's name without it",
    ),
    key(
        "timeout",
        Kind::Number(1, MAX_TIMEOUT),
        "seconds that it may take",
    ),
    key(
        "when",
        Kind::Text,
        "a condition; the step is left out where it does not hold",
    ),
];

/// A week.
pub const MAX_TIMEOUT: u64 = 7 * 24 * 3600;

/// Every action there is.
pub const ACTIONS: &[ActionSpec] = &[
    ActionSpec {
        name: "partition",
        help: "Partition a disk anew and make its file systems. Everything on it is lost.",
        keys: &[
            DISK,
            key(
                "layout",
                Kind::Word(&["gpt-efi", "gpt-bios", "single"]),
                "EFI partition and root, GRUB's own partition and root, or the root alone; `gpt-efi` without it",
            ),
            named("efi_size", "efi_bytes", Kind::Size, "of the EFI partition"),
            named(
                "swap_size",
                "swap_bytes",
                Kind::Size,
                "of a partition for swap; none without it",
            ),
            key(
                "fs_type",
                Kind::Word(&["ext4", "xfs"]),
                "file system of the root",
            ),
            key(
                "mirror",
                Kind::Disks,
                "further disks, for a mirror of the root (RAID 1)",
            ),
            key(
                "lvm",
                Kind::Text,
                "put the root on LVM, in a volume group of this name",
            ),
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "image2disk",
        help: "Write an image, raw or qcow2, over a whole disk.",
        keys: &[
            URL,
            CHECKSUM,
            CHECKSUMS,
            DISK,
            key(
                "format",
                Kind::Word(&["raw", "qcow2"]),
                "read off the first bytes without it",
            ),
            COMPRESSION,
            key(
                "verify",
                Kind::Flag,
                "read back what was written and compare",
            ),
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "archive2disk",
        help: "Unpack a tar archive into a file system.",
        keys: &[
            URL,
            CHECKSUM,
            CHECKSUMS,
            DISK,
            PARTITION,
            DEVICE,
            FS_TYPE,
            key(
                "path",
                Kind::Path,
                "the folder that it is unpacked into; `/` without it",
            ),
            COMPRESSION,
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "writefile",
        help: "Write one file into a file system.",
        keys: &[
            required("path", Kind::Path, "the file"),
            key("content", Kind::Content, "what is in it"),
            key(
                "content_b64",
                Kind::Base64,
                "the same in base64, for what is no text",
            ),
            named(
                "yaml",
                "content",
                Kind::Tree(Tree::Yaml),
                "a tree that is written as YAML",
            ),
            named(
                "json",
                "content",
                Kind::Tree(Tree::Json),
                "a tree that is written as JSON",
            ),
            DISK,
            PARTITION,
            DEVICE,
            FS_TYPE,
            key("mode", Kind::Mode, "of the file; `0644` without it"),
            key(
                "dir_mode",
                Kind::Mode,
                "of folders that have to be made; `0755` without it",
            ),
            key("uid", Kind::Number(0, MAX_ID), "owner"),
            key("gid", Kind::Number(0, MAX_ID), "group"),
        ],
        one_of: &["content", "content_b64", "yaml", "json"],
    },
    ActionSpec {
        name: "chroot",
        help: "Run a command inside the system on the disk; no shell stands between.",
        keys: &[
            required("command", Kind::Command, "program and arguments"),
            key("env", Kind::Environment, "its environment"),
            DISK,
            PARTITION,
            DEVICE,
            FS_TYPE,
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "growroot",
        help: "Grow the last partition, and the file system on it, to the end of the disk.",
        keys: &[
            DISK,
            key(
                "partition",
                Kind::PartitionNumber,
                "the one that grows; the root without it",
            ),
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "bootloader",
        help: "Make the disk start on this firmware: GRUB for BIOS, the removable path for UEFI.",
        keys: &[DISK, PARTITION, DEVICE, FS_TYPE],
        one_of: &[],
    },
    ActionSpec {
        name: "efibootmgr",
        help: "The firmware's boot order (UEFI): the disk before the network.",
        keys: &[
            DISK,
            key(
                "set_pxe_first",
                Kind::Flag,
                "the network before the disk instead",
            ),
            key(
                "label",
                Kind::Text,
                "what the firmware's menu calls the disk",
            ),
            named(
                "pxe_boot_label",
                "label",
                Kind::Text,
                "the same under its older name",
            ),
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "call_home",
        help: "The unit by which the installed system tells that it runs, and takes orders.",
        keys: &[DISK, PARTITION, DEVICE, FS_TYPE],
        one_of: &[],
    },
    ActionSpec {
        name: "erase",
        help: "Make a disk forget what was on it.",
        keys: &[
            DISK,
            key(
                "secure",
                Kind::Flag,
                "overwrite everything, by the disk's own command where it has one",
            ),
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "kexec",
        help: "Start the kernel of the system on the disk without going through the firmware.",
        keys: &[
            DISK,
            PARTITION,
            DEVICE,
            FS_TYPE,
            key(
                "kernel",
                Kind::Path,
                "inside that file system; found without it",
            ),
            key(
                "initrd",
                Kind::Path,
                "inside that file system; found without it",
            ),
            key("cmdline", Kind::Words, "the kernel's command line"),
        ],
        one_of: &[],
    },
    ActionSpec {
        name: "wait",
        help: "Do nothing for a while.",
        keys: &[required(
            "seconds",
            Kind::Number(0, MAX_TIMEOUT),
            "how long",
        )],
        one_of: &[],
    },
    ActionSpec {
        name: "reboot",
        help: "Start the machine anew.",
        keys: &[key("delay", Kind::Number(0, 3600), "seconds before it")],
        one_of: &[],
    },
    ActionSpec {
        name: "poweroff",
        help: "Switch the machine off.",
        keys: &[],
        one_of: &[],
    },
    ActionSpec {
        name: "installer",
        help: "The distribution's own installer, straight from iPXE and without the agent; the only step.",
        keys: &[
            required("kernel", Kind::Url, "of the installer"),
            key("initrd", Kind::Url, "of the installer"),
            key(
                "cmdline",
                Kind::Words,
                "of its kernel; where its answers are is added",
            ),
            required(
                "answers",
                Kind::Word(&[
                    "preseed",
                    "kickstart",
                    "autoinstall",
                    "autoyast",
                    "ignition",
                ]),
                "the language that it is answered in",
            ),
            key(
                "source",
                Kind::Url,
                "where its packages come from: a mirror, a tree",
            ),
            key(
                "suite",
                Kind::Text,
                "the release, where an installer has to be told",
            ),
            key(
                "packages",
                Kind::Words,
                "packages beside those that it needs",
            ),
            DISK,
        ],
        one_of: &[],
    },
];

/// As many owners as Linux knows.
const MAX_ID: u64 = 4_294_967_294;

/// Actions of other tools that have no equal here, and what to write instead.
pub const UNSUPPORTED: &[(&str, &str)] = &[
    (
        "seabios",
        "the boot order of a BIOS cannot be set from outside; use bootloader",
    ),
    ("jetpack", "use chroot"),
    (
        "debootstrap",
        "write an image with image2disk, or unpack one with archive2disk",
    ),
];

pub fn find(name: &str) -> Option<&'static ActionSpec> {
    ACTIONS.iter().find(|spec| spec.name == name)
}

impl ActionSpec {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// What stands in `checksums`.
pub const CHECKSUMS_KEYS: &[Key] = &[
    required(
        "url",
        Kind::Web,
        "the file with a line for the image, such as `SHA256SUMS`",
    ),
    key(
        "signature",
        Kind::Web,
        "its signature; without it, it is signed in itself",
    ),
    key(
        "key",
        Kind::SigningKey,
        "who signed it; without it, it is not signed",
    ),
];

/// What a disk rule asks of a disk, as a template writes it.
pub const DISK_KEYS: &[Key] = &[
    key("serial", Kind::Text, "its serial number, whole"),
    key("wwn", Kind::Text, "its world wide name, whole"),
    key(
        "model",
        Kind::Text,
        "a part of its model's name, in any case",
    ),
    named(
        "min_size",
        "min_bytes",
        Kind::Size,
        "it is at least this large",
    ),
    named(
        "max_size",
        "max_bytes",
        Kind::Size,
        "it is at most this large",
    ),
    key(
        "min_bytes",
        Kind::Size,
        "the same under the action's own name",
    ),
    key(
        "max_bytes",
        Kind::Size,
        "the same under the action's own name",
    ),
    key(
        "kind",
        Kind::Word(&["hdd", "ssd", "nvme", "virtual", "card"]),
        "how it is made",
    ),
    key(
        "pick",
        Kind::Word(&["smallest", "largest"]),
        "of several that fit, the one at this end",
    ),
];

/// The table of all actions, for the page about templates.
pub fn page() -> String {
    let mut page = String::new();
    draw("Keys of every action", "", COMMON, &mut page);
    for spec in ACTIONS {
        let title = format!("`{}`", spec.name);
        draw(&title, spec.help, spec.keys, &mut page);
        if !spec.one_of.is_empty() {
            let names: Vec<_> = spec.one_of.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(page, "\nExactly one of {}.", names.join(", "));
        }
    }
    draw("The keys of `checksums`", "", CHECKSUMS_KEYS, &mut page);
    draw("A disk rule's keys", "", DISK_KEYS, &mut page);
    page
}

fn draw(title: &str, help: &str, keys: &[Key], page: &mut String) {
    let _ = writeln!(page, "\n### {title}\n");
    if !help.is_empty() {
        let _ = writeln!(page, "{help}");
    }
    if keys.is_empty() {
        return;
    }
    if !help.is_empty() {
        page.push('\n');
    }
    page.push_str("| key | value | meaning |\n|---|---|---|\n");
    for key in keys {
        let value = match key.kind {
            Kind::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                words.join(", ")
            }
            Kind::Number(low, high) => format!("number from {low} to {high}"),
            other => other.words().to_owned(),
        };
        let needed = if key.required { " (needed)" } else { "" };
        let _ = writeln!(page, "| `{}`{needed} | {value} | {} |", key.name, key.help);
    }
}
