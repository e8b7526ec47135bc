//! What takes seconds instead of a whole system: an image of noise, a template of a few lines, a disk that is read
//! from outside, and a source of images that is slow, or breaks off, on purpose.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dragonfly::lab::{Disk, DiskFormat, Lab, Profile, VmSpec, net};
use dragonfly::model::digest::hex;
use sha2::{Digest, Sha256};

use crate::site::Site;

pub const MIB: u64 = 1 << 20;
/// The last part of the source's address on the lab's network.
const SOURCE: u8 = 60;
pub const HOST: &str = "source";
/// What is sent at once, so that a rate is even and a cut is where it should be.
const PIECE: usize = 64 * 1024;
const LOOKS: Duration = Duration::from_millis(10);

/// Bytes without a pattern, the same for the same seed (xorshift64*). No partition table, no file system: a disk that
/// begins with them counts as blank.
pub fn noise(bytes: u64, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = vec![0; usize::try_from(bytes).unwrap()];
    for piece in noise.chunks_mut(8) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
        piece.copy_from_slice(&word[..piece.len()]);
    }
    noise
}

/// The same as a file: a raw image.
pub fn image(folder: &Path, bytes: u64, seed: u64) -> PathBuf {
    let path = folder.join(format!("noise-{seed}.raw"));
    fs::write(&path, noise(bytes, seed)).unwrap();
    path
}

/// Gives Dragonfly a template of these actions, each a line `- action: …` with what belongs to it indented below.
pub fn template(site: &Site, name: &str, actions: &str) {
    let actions = actions.trim_end().replace('\n', "\n    ");
    let text = format!(
        "apiVersion: dragonfly.computer/v1\nkind: Template\nmetadata:\n  name: {name}\nspec:\n  actions:\n    {actions}\n"
    );
    let path = site.lab.dir().join(format!("{name}.yaml"));
    fs::write(&path, text).unwrap();
    site.cli(&["template", "add", name, &path.to_string_lossy()]);
}

/// A machine with one disk of so many GiB that is read from outside.
pub fn spec(name: &str, mac: &str, gib: u32) -> VmSpec {
    let mut spec = VmSpec::new(name, Profile::Bios);
    spec.disks = vec![Disk::new(gib, DiskFormat::Raw)];
    spec.mac = Some(mac.to_owned());
    spec
}

/// Where the machine of this name has its disk, before it was ever switched on as well.
pub fn disk(lab: &Lab, vm: &str) -> PathBuf {
    lab.dir().join("vm").join(vm).join("disk0.raw")
}

/// Puts a disk into a machine that was never switched on: these bytes at this place, and nothing else.
pub fn put_disk(lab: &Lab, vm: &str, gib: u32, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let path = disk(lab, vm);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(u64::from(gib) << 30).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// SHA-256 of a whole file.
pub fn sum(path: &Path) -> String {
    let (mut sum, mut file) = (Sha256::new(), File::open(path).unwrap());
    let mut block = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut block).unwrap();
        if read == 0 {
            break;
        }
        sum.update(&block[..read]);
    }
    hex(&sum.finalize())
}

/// Whether a disk holds exactly this, and nothing but zeros behind it; else where it does not.
pub fn compare(disk: &Path, image: &[u8]) -> Result<(), String> {
    const BLOCK: usize = 1 << 20;
    let zeros = vec![0; BLOCK];
    let (mut file, mut block, mut at) = (File::open(disk).unwrap(), vec![0; BLOCK], 0);
    loop {
        let read = file.read(&mut block).unwrap();
        if read == 0 {
            return if at < image.len() {
                Err(format!("it ends at {at}"))
            } else {
                Ok(())
            };
        }
        let end = at + read;
        let own = &image[at.min(image.len())..end.min(image.len())];
        if block[..own.len()] != *own || block[own.len()..read] != zeros[own.len()..read] {
            return Err(format!("its bytes {at} to {end} are others"));
        }
        at = end;
    }
}

/// What is wrong with a source. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    pub bytes_per_second: Option<u64>,
    /// Answers end before this byte of the file, without a word.
    pub cut_at: Option<u64>,
    /// So many of them, when not all.
    pub cuts: Option<u64>,
    /// Answers get so far, and not on before [`Upstream::release`].
    pub hold_at: Option<u64>,
    /// Knows no ranges, and tells nothing by which a content is known again.
    pub plain: bool,
}

/// A source of one file on a host of its own in the lab. It ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    pub url: String,
    shared: Arc<Shared>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bytes: Vec<u8>,
    behaviour: Behaviour,
    cuts: AtomicU64,
    released: AtomicBool,
    stopped: AtomicBool,
    asked: Mutex<Vec<u64>>,
}

impl Upstream {
    pub fn start(lab: &Lab, bytes: Vec<u8>, behaviour: Behaviour) -> Upstream {
        let at = net::address(SOURCE);
        let host = match lab.host(HOST) {
            Ok(host) => host,
            Err(_) => lab.add_host(HOST, Some(at)).unwrap(),
        };
        let address = SocketAddr::from((at, 0));
        // A socket stays in the namespace that it was opened in, and so does what it accepts.
        let listener = host
            .netns
            .run(|| TcpListener::bind(address))
            .unwrap()
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        let at = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            bytes,
            cuts: AtomicU64::new(behaviour.cuts.unwrap_or(u64::MAX)),
            behaviour,
            released: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            asked: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        Upstream {
            url: format!("http://{at}/noise.raw"),
            shared,
            serving: Some(std::thread::spawn(move || serve(&listener, &own))),
        }
    }

    /// Lets answers go on that were held.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
    }

    /// From which byte on each question wanted the file.
    pub fn asked(&self) -> Vec<u64> {
        let asked = self.shared.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.shared.bytes
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// Each question in a thread of its own; all of them end with this.
fn serve(listener: &TcpListener, shared: &Shared) {
    std::thread::scope(|scope| {
        while !shared.stopped.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((stream, _)) => {
                    // Whoever asked may be gone before the end: that is what is tried here.
                    scope.spawn(move || shared.answer(stream).ok());
                }
                Err(_) => std::thread::sleep(LOOKS),
            }
        }
    });
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_write_timeout(Some(Duration::from_mins(2)))?;
        let head = head(&mut stream)?;
        let from = self.wanted(&head);
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).push(from);
        let whole = self.bytes.len() as u64;
        let length = whole - from;
        let (status, range) = if from == 0 {
            ("200 OK", String::new())
        } else {
            let last = whole - 1;
            let range = format!("Content-Range: bytes {from}-{last}/{whole}\r\n");
            ("206 Partial Content", range)
        };
        let known = if self.behaviour.plain {
            ""
        } else {
            "Accept-Ranges: bytes\r\nETag: \"noise\"\r\n"
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{known}{range}\r\n"
        );
        stream.write_all(head.as_bytes())?;
        self.send(&mut stream, from)
    }

    /// The first byte that is wanted, as far as this source knows ranges.
    fn wanted(&self, head: &str) -> u64 {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let range = fields.find(|(name, _)| name.eq_ignore_ascii_case("range"));
        let from = range.and_then(|(_, value)| value.strip_prefix("bytes=")?.strip_suffix('-'));
        let from = from.and_then(|from| from.parse().ok()).unwrap_or(0);
        if self.behaviour.plain || from >= self.bytes.len() as u64 {
            0
        } else {
            from
        }
    }

    fn send(&self, stream: &mut TcpStream, from: u64) -> io::Result<()> {
        let (began, mut at) = (Instant::now(), usize::try_from(from).unwrap());
        while at < self.bytes.len() {
            let mut end = (at + PIECE).min(self.bytes.len());
            if let Some(cut) = self
                .behaviour
                .cut_at
                .map(|cut| usize::try_from(cut).unwrap())
            {
                if at == cut
                    && self
                        .cuts
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                            left.checked_sub(1)
                        })
                        .is_ok()
                {
                    return Ok(());
                }
                end = if at < cut { end.min(cut) } else { end };
            }
            self.wait_until(|| self.may_send(end as u64, from, began))?;
            stream.write_all(&self.bytes[at..end])?;
            at = end;
        }
        Ok(())
    }

    /// Whether it is time for the bytes before `end`.
    fn may_send(&self, end: u64, from: u64, began: Instant) -> bool {
        let behaviour = &self.behaviour;
        let held = behaviour.hold_at.is_some_and(|most| end > most);
        let early = behaviour.bytes_per_second.is_some_and(|rate| {
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap();
            end - from > PIECE as u64 + millis * rate / 1000
        });
        !early && (!held || self.released.load(Ordering::SeqCst))
    }

    fn wait_until(&self, ready: impl Fn() -> bool) -> io::Result<()> {
        while !ready() {
            if self.stopped.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            std::thread::sleep(LOOKS);
        }
        Ok(())
    }
}

/// All that comes before the empty line.
fn head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
