//! The floor's init: it says one line on the serial line, and waits. Compiled by the bench itself (`floor`), by rustc
//! alone, so that the initramfs holds nothing but this.

use std::ffi::{c_char, c_int, c_uint, c_ulong};
use std::io::Write;

unsafe extern "C" {
    fn mknod(path: *const c_char, mode: c_uint, device: c_ulong) -> c_int;
}

/// A character device of root's, and its numbers: major 4, minor 64.
const SERIAL: (c_uint, c_ulong) = (0o20_600, 4 << 8 | 64);

fn main() {
    // SAFETY: the path ends with a NUL, and the call keeps none of it.
    unsafe { mknod(c"/dev/ttyS0".as_ptr(), SERIAL.0, SERIAL.1) };
    if let Ok(mut line) = std::fs::OpenOptions::new().write(true).open("/dev/ttyS0") {
        let _ = line.write_all(b"\r\nDRAGONFLY-FLOOR init reached\r\n");
    }
    loop {
        std::thread::park();
    }
}
