//! Tinkerbell's actions by the names of their images, with the environment that each reads.

use crate::model::nearest;
use crate::model::template::expression::{Filter, Form};
use crate::model::template::node::{Data, Node, Part, Spot, TemplateError, Word};

use super::{disk, word};

type Errors = Vec<TemplateError>;
type Pairs = Vec<(Word, Node)>;

/// One action as Tinkerbell writes it.
pub(super) struct Asked<'a> {
    pub at: Spot,
    pub image: &'a Node,
    pub command: Option<&'a Node>,
    /// With that of the task.
    pub environment: Pairs,
    pub shared: &'a [(Word, Node)],
}

/// An action that has an equal here.
struct Known {
    image: &'static str,
    ours: &'static str,
    /// Its variables, and our key for each; without one it has no meaning here.
    environment: &'static [(&'static str, Means)],
    required: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Means {
    /// A value of this key.
    Key(&'static str),
    /// The content of a file, as it is.
    Text(&'static str),
    /// An image in a container registry, written without a scheme.
    Oci(&'static str),
    /// A disk, and perhaps a partition.
    Place,
    /// Read elsewhere.
    Apart,
    /// How the original goes about it; ours finds out, or always does.
    Moot,
}
use Means::{Apart, Key, Moot, Oci, Place, Text};

const WRITES: &[(&str, Means)] = &[
    ("IMG_URL", Key("url")),
    ("DEST_DISK", Place),
    ("COMPRESSED", Moot),
    ("RETRY_ENABLED", Moot),
    ("RETRY_DURATION_MINUTES", Moot),
    ("PROGRESS_INTERVAL_SECONDS", Moot),
    ("TEXT_LOGGING", Moot),
];

const KNOWN: &[Known] = &[
    Known {
        image: "image2disk",
        ours: "image2disk",
        environment: WRITES,
        required: &["IMG_URL", "DEST_DISK"],
    },
    Known {
        image: "qemuimg2disk",
        ours: "image2disk",
        environment: WRITES,
        required: &["IMG_URL", "DEST_DISK"],
    },
    Known {
        image: "oci2disk",
        ours: "image2disk",
        environment: &[
            ("IMG_URL", Oci("url")),
            ("DEST_DISK", Place),
            ("COMPRESSED", Moot),
            ("RETRY_ENABLED", Moot),
            ("RETRY_DURATION_MINUTES", Moot),
            ("PROGRESS_INTERVAL_SECONDS", Moot),
            ("TEXT_LOGGING", Moot),
        ],
        required: &["IMG_URL", "DEST_DISK"],
    },
    Known {
        image: "archive2disk",
        ours: "archive2disk",
        environment: &[
            ("ARCHIVE_URL", Key("url")),
            ("ARCHIVE_TYPE", Moot),
            ("TARFILE_CHECKSUM", Key("checksum")),
            ("DEST_DISK", Place),
            ("DEST_PATH", Key("path")),
            ("FS_TYPE", Key("fs_type")),
            ("INSECURE_NO_TARFILE_CHECKSUM_VERIFICATION", Moot),
        ],
        required: &["ARCHIVE_URL", "DEST_DISK"],
    },
    Known {
        image: "writefile",
        ours: "writefile",
        environment: &[
            ("DEST_DISK", Place),
            ("FS_TYPE", Key("fs_type")),
            ("DEST_PATH", Key("path")),
            ("CONTENTS", Text("content")),
            ("UID", Key("uid")),
            ("GID", Key("gid")),
            ("MODE", Key("mode")),
            ("DIRMODE", Key("dir_mode")),
        ],
        required: &["DEST_DISK", "DEST_PATH", "CONTENTS"],
    },
    Known {
        image: "cexec",
        ours: "chroot",
        environment: &[
            ("BLOCK_DEVICE", Place),
            ("FS_TYPE", Key("fs_type")),
            ("CHROOT", Apart),
            ("DEFAULT_INTERPRETER", Apart),
            ("CMD_LINE", Apart),
            ("UPDATE_RESOLV_CONF", Moot),
        ],
        required: &["BLOCK_DEVICE", "CHROOT", "CMD_LINE"],
    },
    Known {
        image: "grub2disk",
        ours: "bootloader",
        environment: &[
            ("GRUB_DISK", Place),
            ("GRUB_INSTALL_PATH", Moot),
            ("FS_TYPE", Key("fs_type")),
        ],
        required: &["GRUB_DISK"],
    },
    Known {
        image: "kexec",
        ours: "kexec",
        environment: &[
            ("BLOCK_DEVICE", Place),
            ("FS_TYPE", Key("fs_type")),
            ("KERNEL_PATH", Key("kernel")),
            ("INITRD_PATH", Key("initrd")),
            ("CMD_LINE", Key("cmdline")),
        ],
        required: &["BLOCK_DEVICE"],
    },
    Known {
        image: "waitdaemon",
        ours: "reboot",
        environment: &[("IMAGE", Moot), ("WAIT_SECONDS", Key("delay"))],
        required: &[],
    },
];

/// Actions of theirs that have no equal here.
const CANNOT: &[(&str, &str)] = &[
    ("slurp", "disks are copied to no server"),
    (
        "syslinux",
        "its loader is for old BIOS systems; use grub2disk",
    ),
    (
        "rootio",
        "it takes the layout from Tinkerbell's hardware metadata, which is not kept here; use Dragonfly's own format \
         and its action partition",
    ),
];

impl Asked<'_> {
    /// The same in our own words.
    pub fn ours(&self, errors: &mut Errors) -> Option<Pairs> {
        let text = self
            .image
            .scalar()
            .map_or("", |scalar| scalar.text.as_str());
        let last = text.rsplit('/').next().unwrap_or_default();
        let name = last.split([':', '@']).next().unwrap_or_default();
        let Some(known) = KNOWN.iter().find(|known| known.image == name) else {
            errors.push(TemplateError::new(self.image.at, unknown(name, text)));
            return None;
        };
        let before = errors.len();
        let mut made = vec![(
            word(self.at, "action"),
            Node::text(self.image.at, known.ours),
        )];
        for name in known
            .required
            .iter()
            .filter(|name| self.value(name).is_none())
        {
            let message = format!(
                "{}: the variable {name} is missing in environment",
                known.image
            );
            errors.push(TemplateError::new(self.at, message));
        }
        for (name, value) in &self.environment {
            match known
                .environment
                .iter()
                .find(|(known, _)| *known == name.text)
            {
                Some((_, means)) => made.extend(means.of(value)),
                // A task's environment is for all of its actions.
                None if self
                    .shared
                    .iter()
                    .any(|(shared, _)| shared.text == name.text) => {}
                None => {
                    let names: Vec<_> = known.environment.iter().map(|(name, _)| *name).collect();
                    let what = format!("{}: the variable", known.image);
                    errors.push(TemplateError::new(
                        name.at,
                        nearest::unknown(&what, &name.text, &names),
                    ));
                }
            }
        }
        match known.image {
            "cexec" => made.extend(self.command(errors)),
            "waitdaemon" => made[0].1 = Node::text(self.image.at, self.waited(errors)?),
            _ => {}
        }
        (errors.len() == before).then_some(made)
    }

    fn value(&self, name: &str) -> Option<&Node> {
        let found = self.environment.iter().find(|(word, _)| word.text == name);
        found.map(|(_, node)| node)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let scalar = self.value(name)?.scalar()?;
        Some(scalar.text.as_str())
    }

    /// cexec: a line for an interpreter; without one the original splits it at spaces, which a shell does too.
    fn command(&self, errors: &mut Errors) -> Option<(Word, Node)> {
        let yes = ["y", "yes", "true", "1"];
        if self.text("CHROOT").is_some_and(|text| !yes.contains(&text)) {
            let message =
                "cexec: outside of the system on the disk (CHROOT) no command is run here";
            errors.push(TemplateError::new(self.at, message));
        }
        let line = self.value("CMD_LINE")?;
        let interpreter = self.text("DEFAULT_INTERPRETER").unwrap_or("/bin/sh -c");
        let words = interpreter.split_whitespace();
        let mut command: Vec<_> = words.map(|word| Node::text(line.at, word)).collect();
        command.push(raw(line));
        Some((word(line.at, "command"), Node::list(line.at, command)))
    }

    /// waitdaemon runs another action when the agent has reported; ours does so anyway.
    fn waited(&self, errors: &mut Errors) -> Option<&'static str> {
        let words = match self.command.map(|node| &node.data) {
            Some(Data::List(items)) => {
                let texts = items.iter().filter_map(Node::scalar);
                texts
                    .map(|scalar| scalar.text.as_str())
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            Some(Data::Scalar(scalar)) => scalar.text.clone(),
            _ => String::new(),
        };
        let has = |wanted: &[&str]| {
            let mut words = words.split([' ', ';', '&', '/']);
            words.any(|word| wanted.contains(&word))
        };
        if has(&["reboot"]) {
            return Some("reboot");
        }
        let message = "waitdaemon: only the command reboot is known behind it";
        errors.push(TemplateError::new(self.at, message));
        None
    }
}

impl Means {
    fn of(self, value: &Node) -> Pairs {
        match self {
            Key(key) => vec![(word(value.at, key), value.clone())],
            Text(key) => vec![(word(value.at, key), raw(value))],
            Oci(key) => vec![(word(value.at, key), in_registry(value))],
            Place => disk::place(value),
            Apart | Moot => Vec::new(),
        }
    }
}

/// The name of an image as an address.
fn in_registry(node: &Node) -> Node {
    const SCHEME: &str = "oci://";
    let mut node = node.clone();
    if let Data::Scalar(scalar) = &mut node.data
        && !scalar.text.contains("://")
    {
        scalar.text.insert_str(0, SCHEME);
        if scalar.has_holes() {
            scalar.parts.insert(0, Part::Text(SCHEME.into()));
        }
    }
    node
}

/// A text whose placeholders are put in as they are: Tinkerbell's have no filters.
fn raw(node: &Node) -> Node {
    let mut node = node.clone();
    if let Data::Scalar(scalar) = &mut node.data {
        for part in &mut scalar.parts {
            if let Part::Hole(hole) = part {
                hole.filters = vec![Filter::Form(Form::Raw)];
            }
        }
        if !scalar.has_holes() {
            scalar.plain = false;
        }
    }
    node
}

fn unknown(name: &str, image: &str) -> String {
    if let Some((_, why)) = CANNOT.iter().find(|(known, _)| *known == name) {
        return format!("the action {name} is not done here: {why}");
    }
    let shown = crate::model::template::quoted(image);
    let names: Vec<_> = KNOWN.iter().map(|known| known.image).collect();
    format!(
        "the image {shown} is no action that is known here: no containers are run; {}",
        nearest::unknown("the action", name, &names)
    )
}
