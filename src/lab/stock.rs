//! What a person gives Dragonfly before it installs anything: a key to sign in with, a system, a template; and where
//! the lab has them from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Dragonfly, Lab, LabError, dragonfly::environments, error::Doing, tools::output};

/// The template's name, and the image's.
pub const TEMPLATE: &str = "lab-debian";
pub const IMAGE: &str = "debian-13";
/// Who may sign in on what was installed.
pub const USER: &str = "ada";
const TEMPLATE_TEXT: &str = include_str!("../../qemu/lab-debian.yaml");

/// What is built beside the lab's tools.
#[derive(Clone, Debug)]
pub struct Supplies {
    /// The boot environment, a folder per architecture.
    pub agent: PathBuf,
    /// The system, as a compressed disk image.
    pub image: PathBuf,
}

impl Lab {
    /// The boot environment and the image, or what is missing and how it is made.
    pub fn supplies(&self) -> Result<Supplies, LabError> {
        let build = self.tools().build();
        let found = Supplies {
            agent: environments(),
            image: build.join("lab/images/debian-13.raw.zst"),
        };
        let needed = [
            (found.agent.join("amd64/vmlinuz"), "make agent-env"),
            (found.image.clone(), "make lab-image"),
        ];
        for (file, how) in needed {
            if !file.exists() {
                let what = format!("{}; make it with: {how}", file.display());
                return Err(LabError::Missing { what });
            }
        }
        Ok(found)
    }
}

impl Dragonfly {
    /// Gives it all of that by its own command line. The private key is the answer.
    pub fn stock(&self, lab: &Lab, supplies: &Supplies) -> Result<PathBuf, LabError> {
        let folder = lab.dir().join("stock");
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let key = make_key(lab, &folder)?;
        let template = folder.join("lab-debian.yaml");
        fs::write(&template, TEMPLATE_TEXT).doing(|| format!("write {}", template.display()))?;
        let keys = format!("ssh_keys=@{}.pub", key.display());
        self.order(&["defaults", "set", &format!("user={USER}"), &keys])?;
        self.order(&["image", "add", IMAGE, &supplies.image.to_string_lossy()])?;
        self.order(&["template", "add", TEMPLATE, &template.to_string_lossy()])?;
        Ok(key)
    }

    /// One command line, which has to succeed; what it said.
    pub fn order(&self, words: &[&str]) -> Result<String, LabError> {
        output(self.cli(words), &format!("dragonfly {}", words.join(" ")))
    }
}

fn make_key(lab: &Lab, folder: &Path) -> Result<PathBuf, LabError> {
    let key = folder.join("key");
    if !key.exists() {
        let mut make = lab.tools().command("ssh-keygen")?;
        make.args(["-q", "-t", "ed25519", "-N", "", "-C", "ada@desk", "-f"]);
        make.arg(&key);
        output(make, "ssh-keygen")?;
    }
    Ok(key)
}
