//! Debian 13 by Debian's own installer: its kernel straight by iPXE from Dragonfly, every question answered by
//! Dragonfly, packages from the mirror that this machine's apt is configured with.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails, and says how long something took"
)]

mod lab;
#[path = "provision/site.rs"]
mod site;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use dragonfly::lab::mirror::{Mirror, NAMES};
use dragonfly::lab::{Lab, LabError, LabOptions, Profile, Stopwatch, VmSpec};
use lab::one_at_a_time;
use serde_json::Value;
use site::Site;

/// Of the catalogue.
const TEMPLATE: &str = "debian-13-installer";
/// All packages are unpacked and set up in software.
const INSTALLS_WITHIN: Duration = Duration::from_hours(2);
/// To the inventory, and to the answers.
const BOOTS_WITHIN: Duration = Duration::from_mins(15);
/// The installer asks for more than an image that is written.
const MEMORY_MB: u32 = 1024;

fn or_skip<T>(found: Result<T, LabError>) -> Option<T> {
    if let Err(error) = &found {
        let _ = writeln!(std::io::stderr(), "SKIPPED a lab test: {error}");
    }
    found.ok()
}

/// What scripts/lab-installer unpacks beside the lab's tools.
struct Installer {
    kernel: PathBuf,
    initrd: PathBuf,
    /// The suite whose drivers go with them.
    suite: String,
    /// Where the mirror's suite names parts that are not there any more: a folder with a suite of what is there, unsigned.
    over: Option<PathBuf>,
}

impl Installer {
    fn of(lab: &Lab) -> Result<Self, LabError> {
        let folder = lab.tools().build().join("lab/installer");
        let suite = fs::read_to_string(folder.join("suite")).map_err(|_| LabError::Missing {
            what: format!("{} (of scripts/lab-installer)", folder.display()),
        })?;
        Ok(Self {
            kernel: folder.join("linux"),
            initrd: folder.join("initrd.gz"),
            suite: suite.trim().to_owned(),
            over: Some(folder.join("mirror")).filter(|over| over.is_dir()),
        })
    }

    /// Its parts may be unsigned where they are of such a folder.
    fn cmdline(&self) -> String {
        let unsigned = match self.over {
            Some(_) => " debian-installer/allow_unauthenticated=true",
            None => "",
        };
        format!(
            "cmdline=mirror/udeb/suite={}{unsigned} console=ttyS0,115200n8 DEBIAN_FRONTEND=text",
            self.suite
        )
    }
}

/// A lab in which Debian's mirror is reached, and what its machines are installed with.
fn place() -> Option<(Mirror, Installer, Site)> {
    let options = LabOptions {
        foreign_extra: NAMES.to_owned(),
        ..LabOptions::default()
    };
    let lab = lab::lab(&options)?;
    let installer = or_skip(Installer::of(&lab))?;
    let mirror = or_skip(lab.mirror("dists/trixie/InRelease", installer.over.as_deref()))?;
    let place = Site::open_in(lab)?;
    for (name, file) in [
        ("debian-13-linux", &installer.kernel),
        ("debian-13-initrd", &installer.initrd),
    ] {
        place.cli(&["image", "add", name, file.to_str().unwrap()]);
    }
    Some((mirror, installer, place))
}

#[test]
#[ignore = "long: a whole system is installed package by package"]
fn debians_own_installer_is_answered_to_its_end() {
    let _turn = one_at_a_time();
    let Some((mirror, installer, site)) = place() else {
        return;
    };
    site.cli(&["mode", "set", "simple"]);
    site.cli(&["defaults", "set", &format!("os={TEMPLATE}")]);
    let clock = Stopwatch::start();
    let told = |what: &str| println!("{what} after {:.0} s", clock.elapsed().as_secs_f64());
    let mut spec = VmSpec::new("web", Profile::Bios);
    spec.memory_mb = MEMORY_MB;
    let vm = site.lab.boot(&spec).unwrap();
    site.wait_inventory_within(&vm, BOOTS_WITHIN);
    told("inventory");

    site.cli(&["machine", "set", &vm.mac, "hostname=web01"]);
    site.cli(&["machine", "apply", &vm.mac]);
    let source = format!("mirror={}", mirror.url);
    let cmdline = installer.cmdline();
    let params = [
        &*source,
        "kernel=image:debian-13-linux",
        "initrd=image:debian-13-initrd",
        &*cmdline,
    ];
    let mut reimage = vec!["reimage", &vm.mac, "--yes"];
    reimage.extend(params.iter().flat_map(|param| ["--param", param]));
    site.cli(&reimage);
    site.wait_state(&vm, "provisioning", BOOTS_WITHIN);
    told("answers given");
    let machine = site.wait_state(&vm, "provisioned", INSTALLS_WITHIN);
    told("provisioned");

    let look = "hostname; id -un; sudo -n id -un; cat /etc/apt/sources.list; . /etc/os-release; echo $VERSION_CODENAME";
    let said = site.wait_ssh(address(&machine), look);
    assert!(said.starts_with("web01\nada\nroot\n"), "{said}");
    assert!(said.ends_with("\ntrixie\n"), "{said}");
    assert!(said.contains(&mirror.url), "{said}");
}

/// Where the installed system called home from.
fn address(machine: &Value) -> std::net::Ipv4Addr {
    let told = machine["observed"]["addresses"][0].as_str();
    let told = told.and_then(|address| address.parse().ok());
    told.unwrap_or_else(|| panic!("no address in {machine}"))
}
