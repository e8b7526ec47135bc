//! One machine as QEMU's arguments.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::{Disk, DiskBus, DiskFormat, LabError, Profile, VmSpec};
use crate::lab::{
    accel::Accelerator,
    error::Doing,
    tools::{Tools, output},
};

pub(super) const QMP_SOCKET: &str = "qmp.sock";
pub(super) const SERIAL_SOCKET: &str = "serial.sock";
pub(super) const SERIAL_LOG: &str = "serial.log";
pub(super) const NIC: &str = "nic0";
const VARIABLES: &str = "variables.fd";
/// AAVMF since 2025 takes its random numbers from the processor (RNDR), and without them offers no
/// network boot at all: a cortex-a72 ends in the shell. The real pointer authentication is slow to emulate.
const ARM64_CPU: &str = "max,pauth-impdef=on";

pub(super) struct Machine<'a> {
    pub spec: &'a VmSpec,
    pub accelerator: Accelerator,
    pub dir: &'a Path,
    pub tap: &'a str,
    pub mac: &'a str,
    pub uuid: uuid::Uuid,
}

impl Machine<'_> {
    /// Makes what the machine owns and does not have yet: blank disks, its firmware's variables.
    pub(super) fn prepare(&self, tools: &Tools) -> Result<(), LabError> {
        for stale in [QMP_SOCKET, SERIAL_SOCKET, SERIAL_LOG] {
            let _ = fs::remove_file(self.dir.join(stale));
        }
        for (number, disk) in self.spec.disks.iter().enumerate() {
            let path = self.disk(number, disk.format);
            if path.exists() {
                continue;
            }
            let size = format!("{}G", disk.gib);
            let mut make = tools.command("qemu-img")?;
            make.args(["create", "-q", "-f", disk.format.name()])
                .arg(&path)
                .arg(&size);
            output(make, &format!("qemu-img create {} {size}", path.display()))?;
        }
        let variables = self.dir.join(VARIABLES);
        if let Some((_, blank)) = self.firmware()
            && !variables.exists()
        {
            copy_sparse(&tools.file(blank)?, &variables)?;
        }
        Ok(())
    }

    pub(super) fn command(&self, tools: &Tools) -> Result<Command, LabError> {
        let mut qemu = tools.command(self.program())?;
        firmware_dirs(tools, &mut qemu)?;
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none"]);
        qemu.arg("-name")
            .arg(&self.spec.name)
            .arg("-uuid")
            .arg(self.uuid.to_string());
        qemu.arg("-m").arg(self.spec.memory_mb.to_string());
        qemu.arg("-smp").arg(self.spec.cpus.to_string());
        self.board(&mut qemu);
        self.flash(tools, &mut qemu)?;
        self.console(&mut qemu);
        self.network(&mut qemu);
        for number in 0..self.spec.disks.len() {
            self.add_disk(number, &mut qemu);
        }
        // Without a source of random numbers EDK2 since 2024 does no network boot.
        qemu.args(["-device", "virtio-rng-pci"]);
        Ok(qemu)
    }

    fn program(&self) -> &'static str {
        if self.spec.profile == Profile::Arm64 {
            "qemu-system-aarch64"
        } else {
            "qemu-system-x86_64"
        }
    }

    fn board(&self, qemu: &mut Command) {
        match self.spec.profile {
            // graphics=off makes SeaBIOS and all that prints through it speak on the serial line too.
            Profile::Bios => qemu.args(["-machine", "q35,graphics=off", "-vga", "std"]),
            Profile::Uefi | Profile::UefiHttp => qemu.args(["-machine", "q35", "-vga", "std"]),
            Profile::Arm64 => qemu.args(["-machine", "virt", "-device", "ramfb"]),
        };
        match self.spec.profile {
            Profile::Arm64 => qemu.args(["-accel", "tcg,thread=multi", "-cpu", ARM64_CPU]),
            _ => qemu.args(self.accelerator.arguments()),
        };
        qemu.args(["-boot", "strict=on"]);
        match self.spec.profile {
            Profile::Bios => {}
            Profile::Uefi | Profile::Arm64 => take_out(qemu, "IPv6PXESupport"),
            Profile::UefiHttp => {
                take_out(qemu, "IPv4PXESupport");
                take_out(qemu, "IPv6PXESupport");
            }
        }
    }

    /// Code and blank variables, where the firmware is one of two flash chips.
    fn firmware(&self) -> Option<(&'static str, &'static str)> {
        match self.spec.profile {
            Profile::Bios => None,
            Profile::Uefi | Profile::UefiHttp => Some((
                "usr/share/OVMF/OVMF_CODE_4M.fd",
                "usr/share/OVMF/OVMF_VARS_4M.fd",
            )),
            Profile::Arm64 => Some((
                "usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
                "usr/share/AAVMF/AAVMF_VARS.fd",
            )),
        }
    }

    fn flash(&self, tools: &Tools, qemu: &mut Command) -> Result<(), LabError> {
        if let Some((code, _)) = self.firmware() {
            let (code, variables) = (tools.file(code)?, self.dir.join(VARIABLES));
            qemu.arg("-drive").arg(format!(
                "if=pflash,format=raw,unit=0,readonly=on,file={}",
                code.display()
            ));
            qemu.arg("-drive").arg(format!(
                "if=pflash,format=raw,unit=1,file={}",
                variables.display()
            ));
        }
        Ok(())
    }

    /// The log takes all that is said; the socket is for whoever wants to talk.
    fn console(&self, qemu: &mut Command) {
        let at = |file: &str| self.dir.join(file).display().to_string();
        qemu.arg("-chardev").arg(format!(
            "socket,id=serial0,server=on,wait=off,path={},logfile={}",
            at(SERIAL_SOCKET),
            at(SERIAL_LOG)
        ));
        qemu.args(["-serial", "chardev:serial0"]);
        qemu.arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", at(QMP_SOCKET)));
    }

    /// An empty romfile leaves UEFI to its own driver; to SeaBIOS the ROM *is* its network boot.
    fn network(&self, qemu: &mut Command) {
        let rom = if self.spec.profile == Profile::Bios {
            ""
        } else {
            ",romfile="
        };
        qemu.arg("-netdev").arg(format!(
            "tap,id=net0,ifname={},script=no,downscript=no",
            self.tap
        ));
        qemu.arg("-device").arg(format!(
            "virtio-net-pci,id={NIC},netdev=net0,mac={},bootindex=1{rom}",
            self.mac
        ));
    }

    fn add_disk(&self, number: usize, qemu: &mut Command) {
        let Disk { format, bus, .. } = self.spec.disks[number];
        let path = self.disk(number, format);
        let serials = self.spec.serials.as_deref().unwrap_or("disk");
        qemu.arg("-drive").arg(format!(
            "if=none,id=disk{number},format={},discard=unmap,file={}",
            format.name(),
            path.display()
        ));
        let (controller, device) = match bus {
            DiskBus::Virtio => (None, "virtio-blk-pci".to_owned()),
            DiskBus::Ahci => (None, format!("ide-hd,bus=ide.{number}")),
            DiskBus::Nvme => (None, "nvme".to_owned()),
            DiskBus::Scsi => (
                Some(format!("virtio-scsi-pci,id=scsi{number}")),
                format!("scsi-hd,bus=scsi{number}.0"),
            ),
            DiskBus::Usb => (
                Some(format!("qemu-xhci,id=usb{number}")),
                format!("usb-storage,bus=usb{number}.0"),
            ),
            DiskBus::Raid => (
                Some(format!("megasas,id=raid{number}")),
                format!("scsi-hd,bus=raid{number}.0"),
            ),
        };
        if let Some(controller) = controller {
            qemu.arg("-device").arg(controller);
        }
        qemu.arg("-device").arg(format!(
            "{device},drive=disk{number},serial={serials}{number},bootindex={}",
            number + 2
        ));
    }

    fn disk(&self, number: usize, format: DiskFormat) -> PathBuf {
        self.dir.join(format!("disk{number}.{}", format.name()))
    }
}

/// Where QEMU looks for ROMs, keymaps and modules; it was unpacked, not installed.
pub(in crate::lab) fn firmware_dirs(tools: &Tools, qemu: &mut Command) -> Result<(), LabError> {
    for dir in ["usr/share/qemu", "usr/share/seabios"] {
        qemu.arg("-L").arg(tools.file(dir)?);
    }
    qemu.env(
        "QEMU_MODULE_DIR",
        tools.file("usr/lib/x86_64-linux-gnu/qemu")?,
    );
    Ok(())
}

/// EDK2 reads this from QEMU, and then does not offer that way to boot.
fn take_out(qemu: &mut Command, support: &str) {
    qemu.arg("-fw_cfg")
        .arg(format!("name=opt/org.tianocore/{support},string=n"));
}

/// AAVMF's variables are 64 MiB, nearly all of it empty: as far as they end in zeros they stay a hole.
fn copy_sparse(from: &Path, to: &Path) -> Result<(), LabError> {
    let bytes = fs::read(from).doing(|| format!("read {}", from.display()))?;
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let size = bytes.len() as u64;
    fs::write(to, &bytes[..used])
        .and_then(|()| File::options().write(true).open(to))
        .and_then(|file| file.set_len(size))
        .doing(|| format!("write {}", to.display()))
}
