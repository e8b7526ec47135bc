//! Installations that cannot end well. Each ends in an error that tells the true cause, and what is none of its business
//! is left alone: other disks, other machines, their agents, images that are kept.

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
#[path = "provision/watched.rs"]
mod watched;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use dragonfly::lab::{Lab, Stopwatch, Vm, VmSpec};
use lab::one_at_a_time;
use serde_json::{Value, json};
use site::{BOOTS_WITHIN, Site};
use small::{Behaviour, MIB, Upstream};
use watched::{Bystander, newest, wait_failed, wait_workflow};

const MAC: &str = "52:54:00:99:00:02";
const NOISE: u64 = 8 * MIB;
const WRONG: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
/// A word that stands on the disk that nobody named.
const KEPT: &[u8] = b"what somebody keeps on the second disk";

/// A machine with a blank disk, and a second one that somebody keeps something on.
fn two_disks(lab: &Lab) -> VmSpec {
    let mut spec = small::spec("victim", MAC, 1);
    spec.disks.push(spec.disks[0]);
    let second = second_disk(lab);
    fs::create_dir_all(second.parent().unwrap()).unwrap();
    let mut file = fs::File::create(second).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all(KEPT).unwrap();
    spec
}

fn second_disk(lab: &Lab) -> PathBuf {
    small::disk(lab, "victim").with_file_name("disk1.raw")
}

/// A step that writes this image to the first disk.
fn write(url: &str, more: &str) -> String {
    format!("- action: image2disk\n  url: {url}\n  disk: {{serial: disk0}}\n  timeout: 300\n{more}")
}

/// Runs a template that cannot end well; why it did not.
fn failing(site: &Site, vm: &Vm, name: &str, actions: &str) -> String {
    small::template(site, name, actions);
    site.cli(&["reimage", &vm.mac, "--os", name, "--yes"]);
    let error = wait_failed(site, vm);
    println!("{name}: {error}");
    error
}

fn has(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "{word:?} is missing: {error}");
    }
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", lab::said(&done));
}

/// Two GiB of nothing, in a few hundred bytes.
fn huge(folder: &Path) -> PathBuf {
    let (raw, packed) = (folder.join("huge.raw"), folder.join("huge.raw.zst"));
    fs::File::create(&raw).unwrap().set_len(2 << 30).unwrap();
    run(Command::new("zstd")
        .arg("-q1")
        .arg(&raw)
        .arg("-o")
        .arg(&packed));
    packed
}

/// An empty frame of zstd whose window is 2 GiB (RFC 8878 3.1.1): descriptor, window, one raw block of one byte.
fn greedy(folder: &Path) -> PathBuf {
    let path = folder.join("greedy.raw.zst");
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 0b0000_1001, 0, 0, b'x'];
    fs::write(&path, frame).unwrap();
    path
}

/// A file system with a busybox, and what that needs to start: enough of a system to run a program in.
fn tiny_system(lab: &Lab, folder: &Path) -> PathBuf {
    let (root, image) = (folder.join("root"), folder.join("tiny.raw"));
    let busybox = lab.tools().command("busybox").unwrap();
    let busybox = Path::new(busybox.get_program()).to_owned();
    let linked = Command::new("ldd").arg(&busybox).output().unwrap();
    let text = String::from_utf8_lossy(&linked.stdout).into_owned();
    let words = text.split_whitespace();
    let libraries = words.filter(|word| word.starts_with('/')).map(Path::new);
    for place in ["dev", "proc", "sys", "run", "bin"] {
        fs::create_dir_all(root.join(place)).unwrap();
    }
    fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    for library in libraries {
        let to = root.join(library.strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
    run(Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .args([&root, &image])
        .arg("16M"));
    image
}

/// A step that runs this in the tiny system.
fn inside(words: &str) -> String {
    format!("- action: chroot\n  disk: {{serial: disk0}}\n  timeout: 300\n  command: {words}\n")
}

fn images(site: &Site) -> Value {
    let kept = site.dragonfly.get("/api/v1/images").unwrap();
    let kept = kept["items"].as_array().unwrap();
    let told = |image: &Value| json!([image["name"], image["digest"], image["bytes"]]);
    kept.iter().map(told).collect()
}

fn add(site: &Site, name: &str, file: &Path) {
    site.cli(&["image", "add", name, &file.to_string_lossy()]);
}

/// After all of it, the same machine is installed without another boot.
fn is_installed_all_the_same(site: &Site, vm: &Vm) {
    small::template(site, "good", &write("image:noise", ""));
    site.cli(&["reimage", &vm.mac, "--os", "good", "--yes"]);
    wait_workflow(site, vm, "success");
    assert_eq!(site.machine(&vm.mac)["state"], "ready");
    // What stands behind it may be of an earlier, larger one.
    let mut written = vec![0; usize::try_from(NOISE).unwrap()];
    let mut disk = fs::File::open(small::disk(&site.lab, &vm.name)).unwrap();
    disk.read_exact(&mut written).unwrap();
    assert!(
        written == small::noise(NOISE, 1),
        "the image is not what its disk holds"
    );
}

#[test]
#[ignore = "long: two machines, and eight workflows"]
fn what_cannot_be_done_ends_in_an_error_that_tells_the_cause() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let folder = site.lab.dir().to_owned();
    add(&site, "noise", &small::image(&folder, NOISE, 1));
    add(&site, "huge", &huge(&folder));
    add(&site, "greedy", &greedy(&folder));
    let spec = two_disks(&site.lab);
    let second = small::sum(&second_disk(&site.lab));
    let bystander = Bystander::start(&site);
    let vm = site.lab.boot(&spec).unwrap();
    site.wait_inventory(&vm);
    let kept = images(&site);

    let rack = write(
        "image:noise",
        "- action: writefile\n  path: /x\n  content: \"{{ machine.labels.rack }}\"\n",
    );
    has(
        &failing(&site, &vm, "no-rack", &rack),
        &["machine.labels.rack", "line"],
    );
    let both = write("image:noise", "").replace("{serial: disk0}", "auto");
    has(
        &failing(&site, &vm, "both", &both),
        &["fits 2 disks", "disk0", "disk1"],
    );
    let blank = small::sum(&small::disk(&site.lab, "victim"));
    assert_eq!(
        blank,
        small::sum(&small::disk(&site.lab, "bystander")),
        "its disk was written to"
    );

    let checked = format!("  checksum: {WRONG}\n");
    let wrong = ["the checksum is wrong", WRONG];
    has(
        &failing(&site, &vm, "wrong", &write("image:noise", &checked)),
        &wrong,
    );
    let upstream = Upstream::start(&site.lab, small::noise(NOISE, 2), Behaviour::default());
    let lying = failing(&site, &vm, "lying", &write(&upstream.url, &checked));
    has(&lying, &wrong);
    has(
        &failing(&site, &vm, "huge", &write("image:huge", "")),
        &["the disk is too small", "/dev/vda"],
    );
    has(
        &failing(&site, &vm, "greedy", &write("image:greedy", "")),
        &["more memory than"],
    );

    assert_eq!(
        small::sum(&second_disk(&site.lab)),
        second,
        "the second disk"
    );
    let left: Vec<Value> = images(&site).as_array().unwrap().clone();
    for image in kept.as_array().unwrap() {
        assert!(left.contains(image), "{image} is not as it was: {left:?}");
    }
    is_installed_all_the_same(&site, &vm);
    assert_eq!(
        small::sum(&second_disk(&site.lab)),
        second,
        "the second disk"
    );
    bystander.is_untouched(&site, "good");
}

#[test]
#[ignore = "long: an agent is lost three times"]
fn a_machine_that_runs_out_of_memory_tells_so() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let folder = site.lab.dir().to_owned();
    add(&site, "noise", &small::image(&folder, NOISE, 1));
    add(&site, "tiny", &tiny_system(&site.lab, &folder));
    let spec = two_disks(&site.lab);
    let second = small::sum(&second_disk(&site.lab));
    let bystander = Bystander::start(&site);
    let vm = site.lab.boot(&spec).unwrap();
    site.wait_inventory(&vm);

    // The program that a step started takes all that there is.
    let eater = write("image:tiny", &inside("[busybox, tail, /dev/zero]"));
    let error = failing(&site, &vm, "eater", &eater);
    has(
        &error,
        &["busybox failed", "ran out of memory", "ended busybox"],
    );

    // The kernel's choice falls on the agent itself, each time that it begins the step.
    let press = "[busybox, sh, -c, \"echo f > /proc/sysrq-trigger; sleep 120\"]";
    let killer = write("image:tiny", &inside(press));
    let error = failing(&site, &vm, "killer", &killer);
    let wanted = [
        "3 agents were lost in it",
        "ran out of memory",
        "ended the agent",
    ];
    has(&error, &wanted);
    let workflow = newest(&site, &vm).unwrap();
    assert_eq!(workflow["steps"][0]["attempts"], 1, "{workflow:#}");
    assert_eq!(workflow["steps"][1]["attempts"], 3, "{workflow:#}");

    is_installed_all_the_same(&site, &vm);
    assert_eq!(
        small::sum(&second_disk(&site.lab)),
        second,
        "the second disk"
    );
    bystander.is_untouched(&site, "good");
}

/// Waits until the image has come as far as its source lets it.
fn wait_held(site: &Site, vm: &Vm, bytes: u64) {
    site.until("the image to be half written", BOOTS_WITHIN, || {
        let workflow = newest(site, vm)?;
        let done = workflow["progress"]["bytes_done"].as_u64();
        let done = done.filter(|_| workflow["steps"][0]["status"] == "running");
        Ok(done.filter(|done| *done >= bytes).map(drop))
    });
}

/// The last question of an agent whose machine lost its power is held for so long, and would be given the work.
fn wait_forgotten(site: &Site) {
    let (clock, held) = (Stopwatch::start(), Duration::from_secs(25));
    site.until("the last question to be over", BOOTS_WITHIN, || {
        Ok((clock.elapsed() > held).then_some(()))
    });
}

#[test]
#[ignore = "long: a machine is switched on four times"]
fn a_disk_that_is_gone_is_missed_and_no_other_is_written_to_in_its_place() {
    let _turn = one_at_a_time();
    let Some(site) = Site::bare() else { return };
    let noise = small::noise(4 * NOISE, 3);
    let held = Behaviour {
        hold_at: Some(2 * NOISE),
        ..Behaviour::default()
    };
    let upstream = Upstream::start(&site.lab, noise.clone(), held);
    small::template(&site, "held", &write(&upstream.url, ""));
    let mut spec = two_disks(&site.lab);
    let first = small::disk(&site.lab, "victim");
    let second = small::sum(&second_disk(&site.lab));
    let vm = site.lab.boot(&spec).unwrap();
    site.wait_inventory(&vm);
    site.cli(&["reimage", &vm.mac, "--os", "held", "--yes"]);
    wait_held(&site, &vm, NOISE);
    vm.power_off().unwrap();

    // Half written, it comes back with another pair of disks.
    let half = small::sum(&first);
    spec.serials = Some("spare".into());
    let vm = site.lab.boot(&spec).unwrap();
    let error = wait_failed(&site, &vm);
    println!("other disks: {error}");
    has(
        &error,
        &[
            "its disk is gone, vda",
            "serial disk0",
            "there are: vda",
            "spare0",
            "spare1",
        ],
    );
    vm.power_off().unwrap();
    assert_eq!(small::sum(&first), half, "another disk was written to");
    assert_eq!(
        small::sum(&second_disk(&site.lab)),
        second,
        "the second disk"
    );

    // With its own disk it goes on, until that dies under its hands.
    spec.serials = None;
    wait_forgotten(&site);
    site.cli(&["workflow", "retry", &vm.mac, "--yes"]);
    let vm = site.lab.boot(&spec).unwrap();
    wait_held(&site, &vm, NOISE);
    let pull = json!({ "command-line": "drive_del disk0" });
    vm.qmp("human-monitor-command", &pull).unwrap();
    upstream.release();
    let error = wait_failed(&site, &vm);
    println!("dead disk: {error}");
    has(
        &error,
        &[
            "/dev/vda failed at byte",
            "the disk is failing, or its cable",
        ],
    );
    vm.power_off().unwrap();
    assert_eq!(
        small::sum(&second_disk(&site.lab)),
        second,
        "the second disk"
    );

    wait_forgotten(&site);
    site.cli(&["workflow", "retry", &vm.mac, "--yes"]);
    let vm = site.lab.boot(&spec).unwrap();
    wait_workflow(&site, &vm, "success");
    small::compare(&first, &noise).unwrap();
    assert_eq!(
        small::sum(&second_disk(&site.lab)),
        second,
        "the second disk"
    );
}
