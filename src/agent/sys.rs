//! The system calls that have no safe wrapper.

pub mod block;
pub mod kernel;
pub mod link;

use std::io;

/// The number of an ioctl, as this system's libc wants it.
#[allow(
    clippy::unnecessary_cast,
    clippy::cast_possible_truncation,
    reason = "musl's ioctl takes an int, glibc's a long"
)]
const fn ioctl(name: libc::c_ulong) -> libc::Ioctl {
    name as libc::Ioctl
}

/// What a system call answered: a number that is not below zero, or why not.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
