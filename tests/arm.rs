//! A machine of another architecture: arm64 with AAVMF, from power-on to its inventory and to a disk that was written
//! and read back.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails, and says how long something took"
)]

mod lab;
#[path = "provision/site.rs"]
mod site;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use dragonfly::lab::dragonfly::environments;
use dragonfly::lab::{Disk, DiskFormat, Profile, Stopwatch, VmSpec};
use dragonfly::model::digest::hex;
use lab::one_at_a_time;
use sha2::{Digest, Sha256};
use site::Site;

/// Everything is in software here, and nothing of it is for this processor.
const WITHIN: Duration = Duration::from_mins(20);
const IMAGE_BYTES: usize = 96 << 20;
const TEMPLATE: &str = "
apiVersion: dragonfly.computer/v1
kind: Template
metadata:
  name: synthetic
spec:
  actions:
    - action: image2disk
      url: image:synthetic
      checksum: sha256:SUM
      format: raw
      verify: true
";

/// Noise that is the same every time, with a hole in its middle as images have them.
fn synthetic() -> Vec<u8> {
    let mut state = 0x6472_6167_6f6e_666c_u64;
    let noise = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes: Vec<u8> = noise.take(IMAGE_BYTES / 8).flatten().collect();
    bytes[IMAGE_BYTES / 4..IMAGE_BYTES / 2].fill(0);
    bytes
}

/// The file that is the machine's disk, as far as the image goes, and whether there is anything behind it.
fn written(disk: &Path) -> (Vec<u8>, bool) {
    let mut file = File::open(disk).unwrap();
    let mut image = vec![0; IMAGE_BYTES];
    file.read_exact(&mut image).unwrap();
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    (image, rest.iter().any(|byte| *byte != 0))
}

#[test]
#[ignore = "long: an arm64 machine in software"]
fn an_arm64_machine_is_looked_into_and_written() {
    let _turn = one_at_a_time();
    if !environments().join("arm64/manifest.json").exists() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a lab test: no boot environment for arm64; make it with: make agent-env ARCH=arm64"
        );
        return;
    }
    let Some(site) = Site::open() else { return };
    let image = synthetic();
    let sum = hex(&Sha256::digest(&image));
    let folder = site.lab.dir().join("synthetic");
    fs::create_dir_all(&folder).unwrap();
    let (file, template) = (folder.join("image"), folder.join("template.yaml"));
    fs::write(&file, &image).unwrap();
    fs::write(&template, TEMPLATE.replace("SUM", &sum)).unwrap();
    site.cli(&["image", "add", "synthetic", file.to_str().unwrap()]);
    site.cli(&["template", "add", "synthetic", template.to_str().unwrap()]);

    let clock = Stopwatch::start();
    let told = |what: &str| println!("arm64: {what} after {:.0} s", clock.elapsed().as_secs_f64());
    let mut spec = VmSpec::new("arm", Profile::Arm64);
    spec.disks = vec![Disk::new(1, DiskFormat::Raw)];
    let vm = site.lab.boot(&spec).unwrap();
    let machine = site.wait_inventory_within(&vm, WITHIN);
    told("inventory");
    let hardware = &machine["hardware"];
    assert_eq!(hardware["architecture"], "arm64", "{hardware}");
    assert_eq!(hardware["firmware"], "uefi", "{hardware}");
    assert_eq!(hardware["disks"][0]["serial"], "disk0", "{hardware}");
    assert_eq!(
        hardware["disks"][0]["size_bytes"],
        1_u64 << 30,
        "{hardware}"
    );

    site.cli(&["reimage", &vm.mac, "--os", "synthetic", "--yes"]);
    let path = format!("/api/v1/workflows/{}", vm.mac);
    let done = site.until("the end of its workflow", WITHIN, || {
        let workflow = site.dragonfly.get(&path)?;
        let over = ["success", "failed", "timed_out", "cancelled"];
        let state = workflow["state"].as_str().unwrap_or_default();
        Ok(over.contains(&state).then_some(workflow))
    });
    assert_eq!(done["state"], "success", "{done}");
    told("written and read back");
    vm.power_off().unwrap();
    let (on_disk, more) = written(&vm.dir.join("disk0.raw"));
    assert!(on_disk == image, "the disk is not the image");
    assert!(!more, "something was written behind the image");
}
