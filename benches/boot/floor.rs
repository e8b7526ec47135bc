//! The floor: a boot environment with our kernel, and with an initramfs of one static program.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Result;

/// What its init says.
pub const REACHED: &str = "DRAGONFLY-FLOOR init reached";
const INIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/boot/init.rs");
const PACKER: &str = env!("CARGO_BIN_EXE_dragonfly-agent-env");

/// Makes of the environment in `ours` one in `floor`: the same but for the initramfs.
pub fn make(ours: &Path, floor: &Path) -> Result<()> {
    fs::create_dir(floor)?;
    for name in ["vmlinuz", "firmware.zst", "firmware.json"] {
        fs::copy(ours.join(name), floor.join(name))?;
    }
    // A daemon starts no machine with files that its manifest does not tell of.
    let text = fs::read_to_string(ours.join("manifest.json"))?;
    let mut manifest: serde_json::Value = serde_json::from_str(&text)?;
    manifest["files"] = serde_json::json!({});
    fs::write(floor.join("manifest.json"), manifest.to_string())?;
    let stage = floor.join("stage");
    // In it the packer puts the console.
    fs::create_dir_all(stage.join("dev"))?;
    compile(&stage.join("init"))?;
    let packed = Command::new(PACKER).arg("archive").arg(&stage).output()?;
    said_well("the packer", &packed)?;
    // The kernel knows what it is by its first bytes, whatever its name says.
    fs::write(floor.join("initrd.zst"), packed.stdout)?;
    Ok(())
}

fn compile(to: &Path) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let done = Command::new(rustc)
        .args([
            "--edition",
            "2024",
            "-C",
            "opt-level=z",
            "-C",
            "panic=abort",
        ])
        .args(["-C", "strip=symbols", "-C", "target-feature=+crt-static"])
        .arg("-o")
        .arg(to)
        .arg(INIT)
        .output()?;
    said_well("rustc", &done)
}

fn said_well(who: &str, output: &std::process::Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{who}: {}: {said}", output.status).into())
}
