//! Block devices: what can be told to a disk, and asked of it, by ioctl alone.
#![expect(unsafe_code, reason = "block and NVMe ioctls")]

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use super::{check, ioctl};

/// `linux/fs.h`.
const BLKRRPART: libc::c_ulong = 0x125f;
const BLKFLSBUF: libc::c_ulong = 0x1261;
const BLKDISCARD: libc::c_ulong = 0x1277;
const BLKSECDISCARD: libc::c_ulong = 0x127d;
const BLKZEROOUT: libc::c_ulong = 0x127f;
/// `linux/nvme_ioctl.h`.
const NVME_IOCTL_ADMIN_CMD: libc::c_ulong = 0xc048_4e41;
const NVME_GET_LOG_PAGE: u8 = 0x02;
const NVME_LOG_SMART: u32 = 0x02;
const NVME_ALL_NAMESPACES: u32 = 0xffff_ffff;

/// How a range of a disk can be made to read as nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wipe {
    /// The disk may forget it.
    Discard,
    /// The disk forgets it and all copies that it has.
    SecureDiscard,
    /// It reads as zeros, written if need be.
    Zero,
}

/// Has the kernel read the disk's partitions anew.
pub fn reread_partitions(disk: &File) -> io::Result<()> {
    // SAFETY: takes no argument.
    check(unsafe { libc::ioctl(disk.as_raw_fd(), ioctl(BLKRRPART), 0) }).map(drop)
}

/// Drops what the kernel remembers of the disk, so that the next read is the disk's own word.
pub fn forget_cached(disk: &File) -> io::Result<()> {
    // SAFETY: takes no argument.
    check(unsafe { libc::ioctl(disk.as_raw_fd(), ioctl(BLKFLSBUF), 0) }).map(drop)
}

pub fn wipe(disk: &File, how: Wipe, from: u64, length: u64) -> io::Result<()> {
    let name = match how {
        Wipe::Discard => BLKDISCARD,
        Wipe::SecureDiscard => BLKSECDISCARD,
        Wipe::Zero => BLKZEROOUT,
    };
    let range = [from, length];
    // SAFETY: the ioctl reads two numbers of 64 bits, which outlive the call.
    check(unsafe { libc::ioctl(disk.as_raw_fd(), ioctl(name), range.as_ptr()) }).map(drop)
}

/// `struct nvme_admin_cmd`.
#[repr(C)]
#[derive(Default)]
struct AdminCommand {
    opcode: u8,
    flags: u8,
    rsvd1: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    addr: u64,
    metadata_len: u32,
    data_len: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

/// The SMART log of such a disk (its base specification, "SMART / Health Information").
pub fn nvme_smart(disk: &File) -> io::Result<[u8; 512]> {
    let mut log = [0_u8; 512];
    let dwords = 512 / 4 - 1;
    let mut command = AdminCommand {
        opcode: NVME_GET_LOG_PAGE,
        nsid: NVME_ALL_NAMESPACES,
        addr: log.as_mut_ptr() as usize as u64,
        data_len: 512,
        cdw10: dwords << 16 | NVME_LOG_SMART,
        timeout_ms: 2000,
        ..AdminCommand::default()
    };
    const { assert!(mem::size_of::<AdminCommand>() == 72) };
    // SAFETY: the command has the layout that the ioctl is for, and its address is that of `log` with its true length.
    check(unsafe {
        libc::ioctl(
            disk.as_raw_fd(),
            ioctl(NVME_IOCTL_ADMIN_CMD),
            &raw mut command,
        )
    })?;
    Ok(log)
}
