//! Flight: a blank machine is installed by itself, and one with data is left alone.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails"
)]

mod lab;
#[path = "provision/site.rs"]
mod site;
#[path = "provision/small.rs"]
mod small;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dragonfly::lab::{Lab, VmSpec};
use lab::one_at_a_time;
use serde_json::Value;
use site::{BOOTS_WITHIN, Site};
use small::MIB;

const BLANK: &str = "52:54:00:98:00:01";
const FULL: &str = "52:54:00:98:00:02";
const NOISE: u64 = 8 * MIB;

/// A machine whose first disk is blank, and whose second has a partition with a file system on it.
fn with_data(site: &Site) -> (VmSpec, [PathBuf; 2]) {
    let mut spec = small::spec("full", FULL, 1);
    spec.disks.push(spec.disks[0]);
    let first = small::disk(&site.lab, "full");
    let second = first.with_file_name("disk1.raw");
    fs::create_dir_all(first.parent().unwrap()).unwrap();
    for disk in [&first, &second] {
        File::create(disk).unwrap().set_len(1 << 30).unwrap();
    }
    partition(&site.lab, &second);
    (spec, [first, second])
}

fn partition(lab: &Lab, disk: &Path) {
    let mut table = lab.tools().command("sfdisk").unwrap();
    let mut table = table
        .arg("-q")
        .arg(disk)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = table.stdin.take().unwrap();
    words.write_all(b"label: gpt\nstart=2048\n").unwrap();
    drop(words);
    assert!(table.wait().unwrap().success());
    let mut system = Command::new("mke2fs");
    let root = disk.with_file_name("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(
        root.join("etc/os-release"),
        "PRETTY_NAME=\"Somebody's Linux 7\"\n",
    )
    .unwrap();
    system.args(["-q", "-F", "-t", "ext4", "-E", "offset=1048576", "-d"]);
    let made = system.arg(root).arg(disk).arg("900M").status().unwrap();
    assert!(made.success());
}

#[test]
fn a_blank_machine_is_installed_by_itself_and_one_with_data_is_left_alone() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let image = small::image(site.lab.dir(), NOISE, 1);
    site.cli(&["image", "add", "noise", &image.to_string_lossy()]);
    small::template(&site, "noise", "- action: image2disk\n  url: image:noise\n");
    site.cli(&["defaults", "set", "os=noise"]);
    site.cli(&["mode", "set", "flight"]);
    let (spec, disks) = with_data(&site);
    let before = disks.each_ref().map(|disk| small::sum(disk));

    let full = site.lab.boot(&spec).unwrap();
    let blank = site.lab.boot(&small::spec("blank", BLANK, 1)).unwrap();
    site.wait_state(&blank, "ready", BOOTS_WITHIN);
    let workflow = site
        .dragonfly
        .get(&format!("/api/v1/workflows/{BLANK}"))
        .unwrap();
    assert_eq!(workflow["by"], "flight", "{workflow:#}");
    let disk = small::disk(&site.lab, "blank");
    small::compare(&disk, &small::noise(NOISE, 1)).unwrap();

    // Sent to its own disk, it comes by once more, and nothing is done to it then either.
    let why = "Flight leaves it alone, vdb holds gpt";
    site.until(
        "the machine with data to go to its disk",
        BOOTS_WITHIN,
        || {
            let told = site.cli(&["boot", "trace", FULL]);
            let left = told.contains(why) && told.contains("goes on to its own disk");
            Ok(left.then_some(()))
        },
    );
    let machine = site.machine(FULL);
    assert_eq!(machine["state"], "discovered", "{machine}");
    assert_eq!(machine["hardware"]["blank"], false, "{machine}");
    let system = &machine["hardware"]["existing_os"];
    assert_eq!(system, "Somebody's Linux 7 on vdb1", "{machine}");
    full.power_off().unwrap();
    let after = disks.each_ref().map(|disk| small::sum(disk));
    assert_eq!(after, before, "its disks were written to");
    let all = site.dragonfly.get("/api/v1/workflows").unwrap();
    let machines: Vec<&Value> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|workflow| &workflow["machine"])
        .collect();
    assert_eq!(machines, [&workflow["machine"]]);
}
