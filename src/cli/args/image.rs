//! `dragonfly image …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Change;

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// List images, and how much room they take
    #[command(visible_alias = "ls")]
    List,
    /// Show an image in full
    Show { name: String },
    /// Keep an image for machines, from a URL or a file
    Add(AddImage),
    /// Never remove an image to make room
    Pin {
        name: String,
        /// Let it go again when room is needed
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Remove an image
    Rm {
        name: String,
        #[command(flatten)]
        change: Change,
    },
    /// Sum images again, all of them when none is named; one that is damaged is removed
    Verify {
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Write images into one file, for a place without a way to the outside
    Export(ExportImages),
    /// Take in what was exported
    Import(ImportImages),
    /// Take what lies at an image's URL now in its place
    Refresh {
        name: String,
        #[command(flatten)]
        change: Change,
    },
}

/// All that are here when none is named.
#[derive(Debug, Args)]
pub struct ExportImages {
    /// The file to write, a tar archive
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ImportImages {
    /// A file that export wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Read and verify it, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A template names it image:NAME, and machines fetch it at /images/NAME. It is fetched once, however \
many machines ask, and they get its bytes while they arrive. Without --checksum and --checksums, what \
comes first is what it stays. Keys that come with Dragonfly: alma-9, fedora-43, rocky-10, \
ubuntu-cloudimage.

Examples:
  dragonfly image add debian-13.raw.zst https://images.example.net/debian-13.raw.zst
  dragonfly image add rescue.iso https://example.net/rescue.iso --checksum sha256:5a… --pin
  dragonfly image add noble.img https://cloud-images.example.net/noble.img \\
      --checksums https://cloud-images.example.net/SHA256SUMS \\
      --signature https://cloud-images.example.net/SHA256SUMS.gpg --key ubuntu-cloudimage
  dragonfly image add mine.qcow2 ./build/mine.qcow2")]
pub struct AddImage {
    pub name: String,
    #[arg(value_name = "URL|FILE")]
    pub source: String,
    /// What its bytes have to be: sha256:… or sha512:…
    #[arg(long, value_name = "SUM")]
    pub checksum: Option<String>,
    /// Where its vendor tells that instead: a file with a line for it, such as SHA256SUMS
    #[arg(long, value_name = "URL", conflicts_with = "checksum")]
    pub checksums: Option<String>,
    /// The signature of that file; without it, a file that has a key is signed in itself
    #[arg(long, value_name = "URL", requires = "key")]
    pub signature: Option<String>,
    /// Who signed that file: a key that comes with Dragonfly, or an armored public key in ./FILE
    #[arg(long, value_name = "NAME|FILE", requires = "checksums")]
    pub key: Option<String>,
    /// Never remove it to make room
    #[arg(long)]
    pub pin: bool,
    /// Do not wait until it is here
    #[arg(long)]
    pub background: bool,
    #[command(flatten)]
    pub change: Change,
}
