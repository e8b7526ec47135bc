//! Our pipeline, with its checksum on, beside `curl`, the tool that unpacks, and `dd`; qcow2 beside `qemu-img convert`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::process::Command;
use std::time::{Duration, Instant};

use dragonfly::agent::image::{Options, Source, Target, write_image};
use dragonfly::model::digest::{Digest, DigestKind};

use super::Result;
use super::common::{Running, shell};
use super::device::Device;
use super::files::{Files, RAW};
use super::measure::{Only, load, median, print};

const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// The disk is somewhat larger than the image, as disks are.
const ROOM: u64 = 64 << 20;
const DD: &str = "dd bs=4M iflag=fullblock oflag=direct conv=fsync status=none of=";

struct Case {
    name: &'static str,
    file: &'static str,
    /// How the file is made, and how the peer unpacks it; nothing where it does not.
    pack: &'static str,
    unpack: &'static str,
    rounds: usize,
}

const CASES: &[Case] = &[
    Case {
        name: "image_write_raw",
        file: RAW,
        pack: "",
        unpack: "",
        rounds: 7,
    },
    Case {
        name: "image_write_zst",
        file: "image.raw.zst",
        pack: "zstd -q -T0 -f {raw} -o {file}",
        unpack: "zstd -dc",
        rounds: 7,
    },
    Case {
        name: "image_write_gz",
        file: "image.raw.gz",
        pack: "gzip -c {raw} >{file}",
        unpack: "gzip -dc",
        rounds: 7,
    },
    // As xz packs of itself since 5.6, and with -T0 before: in blocks.
    Case {
        name: "image_write_xz",
        file: "image.raw.xz",
        pack: "xz -T0 -c {raw} >{file}",
        unpack: "xz -dc -T1",
        rounds: 3,
    },
    // As it did before: in one.
    Case {
        name: "image_write_xz_single",
        file: "image.single.xz",
        pack: "xz -T1 -c {raw} >{file}",
        unpack: "xz -dc -T1",
        rounds: 3,
    },
    Case {
        name: "image_write_qcow2",
        file: "image.qcow2",
        pack: "qcow2",
        unpack: "",
        rounds: 7,
    },
];

pub fn run(only: &Only) -> Result<()> {
    if !only.wants("image_write") {
        return Ok(());
    }
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let files = Files::new(home.path())?;
    let device = Device::new(home.path(), (files.size + ROOM).next_multiple_of(4 << 20))?;
    let (_server, address) = serve(home.path())?;
    for case in CASES.iter().filter(|case| only.wants(case.name)) {
        let bytes = match case.pack {
            "" => files.size,
            "qcow2" => files.qcow2(case.file)?,
            line => files.pack(case.file, line)?,
        };
        println!("# {}: {} MiB to fetch", case.name, bytes >> 20);
        let bench = Bench {
            case,
            files: &files,
            device: &device,
            url: format!("http://{address}/boot/{}", case.file),
            digest: sum(&files, case.file)?,
        };
        for (warm, name) in [
            (true, case.name.into()),
            (false, format!("{}_cold", case.name)),
        ] {
            bench.compare(&name, warm)?;
        }
    }
    Ok(())
}

/// Our own server of files, in a process of its own.
fn serve(root: &std::path::Path) -> Result<(Running, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let child = Command::new(std::env::current_exe()?)
        .args(["serve", &address.to_string()])
        .arg(root)
        .spawn()?;
    let running = Running(child);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > STARTS_WITHIN {
            return Err("the server does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((running, address))
}

fn sum(files: &Files, name: &str) -> Result<Digest> {
    let bytes = std::fs::read(files.path(name))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    Digest::of(DigestKind::Sha256, digest.as_ref()).ok_or_else(|| "no digest".into())
}

struct Bench<'a> {
    case: &'a Case,
    files: &'a Files,
    device: &'a Device,
    url: String,
    digest: Digest,
}

impl Bench<'_> {
    /// In turn, and the other one first each time.
    fn compare(&self, name: &str, warm: bool) -> Result<()> {
        let mut rates = [Vec::new(), Vec::new()];
        for round in 0..self.case.rounds {
            for turn in 0..2 {
                let at = (round + turn) % 2;
                self.device.spoil()?;
                self.files.warm(self.case.file, warm)?;
                let began = Instant::now();
                if at == 0 {
                    self.ours()?;
                } else {
                    self.peer()?;
                }
                let seconds = began.elapsed().as_secs_f64();
                rates[at].push(mebibytes(self.files.size) / seconds);
                if round == 0 {
                    self.proof()?;
                }
            }
        }
        let ratios = rates[0].iter().zip(&rates[1]);
        let mut ratios: Vec<f64> = ratios.map(|(ours, peer)| ours / peer).collect();
        ratios.sort_by(f64::total_cmp);
        print(name, median(&rates[0]), median(&rates[1]), median(&ratios));
        println!(
            "# {name}: MiB/s; ratios of the rounds between {:.2} and {:.2}; load of the machine {}",
            ratios[0],
            ratios[ratios.len() - 1],
            load()
        );
        Ok(())
    }

    fn ours(&self) -> Result<()> {
        let mut source = Source::new(self.url.parse()?);
        source.checksum = Some(self.digest.clone());
        let target = Target::new(&self.device.path);
        let written = write_image(&source, &target, &Options::default(), &mut |_| {
            ControlFlow::Continue(())
        })?;
        assert_eq!((written.length, written.checked), (self.files.size, true));
        Ok(())
    }

    fn peer(&self) -> Result<()> {
        let (url, device) = (&self.url, self.device.path.display());
        if self.case.pack == "qcow2" {
            let mut command = self.files.tools.command("qemu-img")?;
            command.args(["convert", "-f", "qcow2", "-O", "raw", "-n", "-t", "none"]);
            let file = self.files.path(self.case.file);
            let status = command.arg(file).arg(&self.device.path).status()?;
            return if status.success() {
                Ok(())
            } else {
                Err(format!("qemu-img: {status}").into())
            };
        }
        match self.case.unpack {
            "" => shell(&format!("curl -sf {url} | {DD}{device}")),
            unpack => shell(&format!("curl -sf {url} | {unpack} | {DD}{device}")),
        }
    }

    /// That the disk holds the image, whoever wrote it.
    fn proof(&self) -> Result<()> {
        let (raw, device) = (self.files.path(RAW), self.device.path.display());
        let size = self.files.size;
        shell(&format!("cmp -n {size} {} {device}", raw.display()))
    }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
