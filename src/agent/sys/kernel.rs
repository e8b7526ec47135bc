//! The kernel itself: another one loaded in its place, files that must not be changed, and how wide a terminal is.
#![expect(unsafe_code, reason = "kexec_file_load and two ioctls")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::{check, ioctl};

const KEXEC_FILE_NO_INITRAMFS: libc::c_ulong = 4;
/// `linux/fs.h`; the argument is an int, whatever the number says (`ioctl_iflags(2)`).
const FS_IOC_GETFLAGS: libc::c_ulong = 0x8008_6601;
const FS_IOC_SETFLAGS: libc::c_ulong = 0x4008_6602;
const FS_IMMUTABLE: libc::c_int = 0x10;

/// Loads a kernel that `reboot` then starts (`kexec_file_load(2)`).
pub fn load(kernel: &File, initrd: Option<&File>, cmdline: &str) -> io::Result<()> {
    let line = CString::new(cmdline).map_err(io::Error::other)?;
    let bytes = line.as_bytes_with_nul();
    let (initrd, flags) = match initrd {
        Some(file) => (file.as_raw_fd(), 0),
        None => (-1, KEXEC_FILE_NO_INITRAMFS),
    };
    // SAFETY: the line outlives the call and ends with the zero that its length counts.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initrd,
            bytes.len(),
            bytes.as_ptr(),
            flags,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Lets a file be changed that its file system keeps from it: efivarfs guards most variables so.
pub fn unguard(file: &File) -> io::Result<()> {
    let mut flags: libc::c_int = 0;
    // SAFETY: the ioctl writes an int.
    check(unsafe { libc::ioctl(file.as_raw_fd(), ioctl(FS_IOC_GETFLAGS), &raw mut flags) })?;
    flags &= !FS_IMMUTABLE;
    // SAFETY: the ioctl reads an int.
    check(unsafe { libc::ioctl(file.as_raw_fd(), ioctl(FS_IOC_SETFLAGS), &raw const flags) })
        .map(drop)
}

/// Rows and columns of a terminal; none where it does not know.
pub fn terminal_size(terminal: &File) -> Option<(u16, u16)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the ioctl writes a winsize.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }).ok()?;
    Some((size.ws_row, size.ws_col)).filter(|(rows, columns)| *rows > 0 && *columns > 0)
}
