//! The least that could be started: an initial RAM disk with one program that says so and waits.

/// What its init says on the console.
pub const SAYS: &str = "DRAGONFLY-BENCH init reached";

/// The archive, uncompressed (newc, as Documentation/driver-api/early-userspace of the kernel describes it).
pub fn initramfs() -> Vec<u8> {
    const FOLDER: u32 = 0o040_755;
    const CONSOLE: u32 = 0o020_600;
    const PROGRAM: u32 = 0o100_755;
    let mut archive = Vec::new();
    entry(&mut archive, "dev", FOLDER, (0, 0), &[]);
    entry(&mut archive, "dev/console", CONSOLE, (5, 1), &[]);
    entry(&mut archive, "init", PROGRAM, (0, 0), &program());
    entry(&mut archive, "TRAILER!!!", 0, (0, 0), &[]);
    archive
}

fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
    let size = u32::try_from(content.len()).unwrap();
    let length = u32::try_from(name.len() + 1).unwrap();
    let number = u32::try_from(archive.len()).unwrap();
    let fields = [
        number, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, length, 0,
    ];
    archive.extend(b"070701");
    for field in fields {
        archive.extend(format!("{field:08X}").bytes());
    }
    archive.extend(name.bytes().chain([0]));
    pad(archive);
    archive.extend(content);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// write(1, …), then pause() for ever: a static program for x86-64 in one segment.
fn program() -> Vec<u8> {
    const AT: u64 = 0x40_0000;
    const HEADERS: usize = 64 + 56;
    let says = format!("\n{SAYS}\n");
    let length = u32::try_from(says.len()).unwrap();
    let mut code = Vec::new();
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, write
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.extend([0x48, 0x8d, 0x35, 16, 0, 0, 0]); // lea rsi, [rip + 16]
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 34, 0, 0, 0]); // mov eax, pause
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xeb, 0xf7]); // back to pause
    code.extend(says.bytes());
    let size = (HEADERS + code.len()) as u64;

    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    elf.extend([0; 8]);
    elf.extend([2_u16, 62].iter().flat_map(|half| half.to_le_bytes()));
    elf.extend(1_u32.to_le_bytes());
    let wide = [AT + HEADERS as u64, 64, 0];
    elf.extend(wide.iter().flat_map(|word| word.to_le_bytes()));
    elf.extend(0_u32.to_le_bytes());
    let halves = [64_u16, 56, 1, 0, 0, 0];
    elf.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    // One segment that is loaded, readable and executable.
    elf.extend([1_u32, 5].iter().flat_map(|word| word.to_le_bytes()));
    let segment = [0, AT, AT, size, size, 0x1000];
    elf.extend(segment.iter().flat_map(|word| word.to_le_bytes()));
    elf.extend(code);
    elf
}
