//! KVM, where it really works. A `/dev/kvm` that is there proves nothing: inside some virtual machines QEMU
//! aborts with it, or crawls. So a boot sector of 512 bytes is booted with it, up into long mode,
//! whose last instruction ends QEMU with a code that nothing else gives.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    LabError,
    error::Doing,
    tools::Tools,
    vm::firmware_dirs,
    wait::{Stop, Stopwatch},
};

/// Where it works it takes a third of a second, in software a tenth; one that needs longer is slower than software.
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// `isa-debug-exit` makes (value << 1) | 1 of what is written to it, and the probe writes 0x10.
const PROBE_CODE: i32 = 33;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    Kvm,
    Software,
}

impl Accelerator {
    /// Probes once per boot of this machine; the answer is kept in `dir`.
    pub fn probe(tools: &Tools, dir: &Path) -> Result<Accelerator, LabError> {
        if !Path::new("/dev/kvm").exists() {
            return Ok(Accelerator::Software);
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let answer = dir.join(format!(".kvm-{}", boot.trim()));
        match fs::read_to_string(&answer).as_deref() {
            Ok("works") => return Ok(Accelerator::Kvm),
            Ok("does not work") => return Ok(Accelerator::Software),
            _ => {}
        }
        let works = boots(tools, dir, &["-accel", "kvm", "-cpu", "host"])?;
        // Not kept, it is only asked again.
        let _ = fs::write(&answer, if works { "works" } else { "does not work" });
        Ok(if works {
            Accelerator::Kvm
        } else {
            Accelerator::Software
        })
    }

    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Accelerator::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Accelerator::Software => &["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

fn boots(tools: &Tools, dir: &Path, accelerator: &[&str]) -> Result<bool, LabError> {
    let disk = dir.join(format!(".probe-{}", std::process::id()));
    fs::write(&disk, boot_sector()).doing(|| format!("write {}", disk.display()))?;
    let mut qemu: Command = tools.command("qemu-system-x86_64")?;
    firmware_dirs(tools, &mut qemu)?;
    qemu.args(accelerator)
        .args(["-m", "32", "-nodefaults", "-display", "none"]);
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-drive"]);
    qemu.arg(format!(
        "if=floppy,format=raw,readonly=on,file={}",
        disk.display()
    ));
    qemu.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = qemu
        .spawn()
        .doing(|| "start qemu-system-x86_64".to_owned())?;
    let clock = Stopwatch::start();
    let ended = Stop::default().until("the probe", PROBE_WITHIN, || {
        child
            .try_wait()
            .doing(|| "wait for qemu-system-x86_64".to_owned())
    });
    let _ = child.kill();
    let _ = child.wait();
    let _ = fs::remove_file(&disk);
    let works = ended.is_ok_and(|status| status.code() == Some(PROBE_CODE));
    tracing::debug!(works, took = ?clock.elapsed(), "probed KVM");
    Ok(works)
}

/// Real mode to long mode with 2 MiB mapped onto itself, by page tables at 0x1000 to 0x3fff.
const CODE: &[u8] = &[
    0xfa, //                                                 cli
    0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, //       ax, ds, es, ss = 0
    0xbc, 0x00, 0x7c, //                                     sp = 0x7c00
    0x66, 0xbf, 0x00, 0x10, 0x00, 0x00, //                   edi = 0x1000
    0x66, 0xb9, 0x00, 0x0c, 0x00, 0x00, //                   ecx = 0xc00
    0x66, 0x31, 0xc0, 0xfc, 0xf3, 0x66, 0xab, //             zero the tables
    0x66, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, 0, 0, //       [0x1000] = 0x2003
    0x66, 0xc7, 0x06, 0x00, 0x20, 0x03, 0x30, 0, 0, //       [0x2000] = 0x3003
    0x66, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, 0, 0, //       [0x3000] = 0x83, a large page
    0x0f, 0x20, 0xe0, 0x66, 0x83, 0xc8, 0x20, 0x0f, 0x22, 0xe0, // cr4.PAE
    0x66, 0xb8, 0x00, 0x10, 0, 0, 0x0f, 0x22, 0xd8, //       cr3 = 0x1000
    0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, //       read EFER
    0x66, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, //       EFER.LME
    0x0f, 0x01, 0x16, 0x88, 0x7c, //                         lgdt [0x7c88]
    0x0f, 0x20, 0xc0, 0x66, 0x0d, 0x01, 0, 0, 0x80, 0x0f, 0x22, 0xc0, // cr0.PE, cr0.PG
    0xea, 0x73, 0x7c, 0x08, 0x00, //                         jump to 0x08:0x7c73
    0xb0, 0x10, 0xe6, 0xf4, 0xf4, //                         out 0xf4, 0x10; hlt
    0, 0, 0, 0, 0, 0, 0, 0, //                               GDT at 0x7c78
    0, 0, 0, 0, 0x00, 0x9a, 0x20, 0x00, //                   64-bit code
    15, 0, 0x78, 0x7c, 0, 0, //                              its pointer at 0x7c88
];

fn boot_sector() -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..CODE.len()].copy_from_slice(CODE);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs QEMU, not root; without the lab's tools there is nothing to boot with.
    #[test]
    fn the_probe_boots_in_software() {
        let Ok(tools) = Tools::find() else {
            eprintln!("SKIPPED: scripts/setup-lab has not been run");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        assert!(boots(&tools, dir.path(), Accelerator::Software.arguments()).unwrap());
    }
}
