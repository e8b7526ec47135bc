//! One file of 1 GiB by HTTP, beside nginx with sendfile: one client, and a hundred at once.
//!
//! Both servers run in one namespace with the file in the page cache, and the client in another, over cables and a
//! bridge. It throws away what it receives without copying it, so that what is measured is the server and the kernel.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use dragonfly::lab::{Foreign, Host, Lab, LabError, LabOptions, Process, net};

use super::Result;
use super::common::{Only, Spent, median, print};

#[path = "http/client.rs"]
mod client;
#[path = "http/ours.rs"]
pub mod ours;

const SIZE: u64 = 1 << 30;
const FILE: &str = "file";
const ROUNDS: usize = 9;
const CROWD: usize = 100;
/// Of a hundred clients each fetches this part of the file, at offsets that lie apart.
const SHARE: u64 = SIZE / 25;
const STARTS_WITHIN: Duration = Duration::from_secs(10);
const OURS: u16 = 3080;
const PEER: u16 = 80;
const CLIENT: Ipv4Addr = net::address(3);

pub fn run(only: &Only) -> Result<()> {
    if !only.wants("http_1") && !only.wants("http_100") {
        return Ok(());
    }
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    write_file(&home.path().join(FILE))?;
    let lab = Lab::start(&LabOptions {
        foreign: Foreign::None,
        ..LabOptions::default()
    })?;
    let server = lab.add_host("server", Some(net::DRAGONFLY))?;
    let client = lab.add_host("client", Some(CLIENT))?;
    let ours = Side::start_ours(&lab, &server, home.path())?;
    let peer = Side::start_nginx(&lab, &server, home.path())?;
    for side in [&ours, &peer] {
        client
            .netns
            .run(|| client::fetch(side.address, side.path, &[(0, SIZE)]))??;
    }
    if only.wants("http_1") {
        compare("http_1", &client, &ours, &peer, &[(0, SIZE)])?;
    }
    if only.wants("http_100") {
        let places = SIZE / SHARE;
        let shares = (0..CROWD as u64).map(|n| (n % places * SHARE, SHARE));
        compare(
            "http_100",
            &client,
            &ours,
            &peer,
            &shares.collect::<Vec<_>>(),
        )?;
    }
    Ok(())
}

/// Every page differs, as those of a real image do.
fn write_file(path: &Path) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for number in 0..SIZE / 8 {
        file.write_all(&number.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

/// A server that runs.
struct Side {
    process: Process,
    address: SocketAddr,
    path: &'static str,
}

impl Side {
    fn start_ours(lab: &Lab, host: &Host, root: &Path) -> Result<Self> {
        let address = SocketAddr::from((net::DRAGONFLY, OURS));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve-http", &address.to_string()]).arg(root);
        Self::start(lab, host, "ours", &command, address, "/boot/file")
    }

    /// nginx as Debian sets it up: a worker for each processor, sendfile, `tcp_nopush`; without logs.
    fn start_nginx(lab: &Lab, host: &Host, root: &Path) -> Result<Self> {
        let home = lab.dir().join("nginx");
        fs::create_dir_all(&home)?;
        let (at, root) = (home.display(), root.display());
        let text = format!(
            "daemon off;\nuser root;\nworker_processes auto;\npid {at}/pid;\nerror_log {at}/error.log;\n\
             events {{ worker_connections 768; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             server {{ listen {}:{PEER}; root {root}; }} }}\n",
            net::DRAGONFLY
        );
        let config = home.join("nginx.conf");
        fs::write(&config, text)?;
        let mut command = lab.tools().command("nginx")?;
        command
            .arg("-e")
            .arg(home.join("error.log"))
            .arg("-c")
            .arg(config);
        let address = SocketAddr::from((net::DRAGONFLY, PEER));
        Self::start(lab, host, "nginx", &command, address, "/file")
    }

    fn start(
        lab: &Lab,
        host: &Host,
        name: &str,
        command: &Command,
        address: SocketAddr,
        path: &'static str,
    ) -> Result<Self> {
        let process = lab.spawn(name, host, command)?;
        lab.until(&format!("{name} to listen"), STARTS_WITHIN, || {
            process.expect_alive()?;
            let open = host
                .netns
                .run(|| std::net::TcpStream::connect(address).is_ok())?;
            Ok::<_, LabError>(open.then_some(()))
        })?;
        Ok(Self {
            process,
            address,
            path,
        })
    }

    /// Of the process and of its workers.
    fn spent(&self) -> Result<Spent> {
        let pid = self.process.pid();
        let mut spent = Spent::of_pid(self.process.pid())?;
        let workers = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for worker in workers.split_whitespace() {
            let more = Spent::of_pid(worker.parse()?)?;
            spent.cpu += more.cpu;
            spent.peak_kib += more.peak_kib;
        }
        Ok(spent)
    }
}

/// In turn, and the other one first each time.
fn compare(
    name: &str,
    client: &Host,
    ours: &Side,
    peer: &Side,
    shares: &[(u64, u64)],
) -> Result<()> {
    let (mut rates, mut cpu) = ([Vec::new(), Vec::new()], [Duration::ZERO; 2]);
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let at = (round + turn) % 2;
            let side = [ours, peer][at];
            let before = side.spent()?.cpu;
            let began = Instant::now();
            let bytes = client
                .netns
                .run(|| client::fetch(side.address, side.path, shares))??;
            rates[at].push(mebibytes(bytes) / began.elapsed().as_secs_f64());
            cpu[at] += side.spent()?.cpu.saturating_sub(before);
        }
    }
    let ratios = rates[0]
        .iter()
        .zip(&rates[1])
        .map(|(ours, peer)| ours / peer);
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    print(name, median(&rates[0]), median(&rates[1]), median(&ratios));
    let (low, high) = (ratios[ROUNDS / 4], ratios[ROUNDS - 1 - ROUNDS / 4]);
    println!("# {name}: MiB/s; half of the rounds' ratios lie between {low:.2} and {high:.2}");
    for (side, (spender, cpu)) in ["ours", "nginx"]
        .into_iter()
        .zip([ours, peer].into_iter().zip(cpu))
    {
        let all: u64 = shares.iter().map(|(_, len)| len * ROUNDS as u64).sum();
        let each = cpu.as_secs_f64() / (mebibytes(all) / 1024.0);
        let kib = spender.spent()?.peak_kib;
        println!(
            "# {name}: {side} spent {each:.2} s of processor time per GiB, {kib} KiB at its peak"
        );
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
