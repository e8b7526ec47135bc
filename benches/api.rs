//! Pages of machines over HTTP on loopback, out of a store on a real disk: first in peace, then while 100
//! durable updates a second go in; in turn, several rounds. Prints for each size of page
//! `bench NAME ours=<p99 with updates, ms> peer=<p99 without, ms> ratio=<with / without>`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on says why"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dragonfly::core::{Command, Core, SystemClock};
use dragonfly::model::{
    Actor, Evidence, MacAddr, Machine, MachineId, MemorableName, Patch, machine::Source,
};
use dragonfly::store::redb::{Options, RedbStore};
use dragonfly::store::{Change, Commit, Object, Store};
use dragonfly::web::{self, About, Listeners, Mode, Ready};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Instant;

const MACHINES: u32 = 10_000;
const UPDATES_PER_SECOND: u32 = 100;
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(3);

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory on disk");
    let store = RedbStore::open(Options::new(directory.path().join("store.dragonfly")));
    let store = Arc::new(store.expect("a store"));
    let core = Core::new(store.clone(), Arc::new(SystemClock));
    let ids = runtime.block_on(fill(&core, &store));
    let (address, stop) = runtime.block_on(serve(&core));
    for size in [100, 1000] {
        measure(&runtime, &core, &ids, address, size);
    }
    stop.send(true).expect("the server to listen for its stop");
    runtime.block_on(store.close()).expect("the store to close");
}

fn measure(runtime: &Runtime, core: &Core, ids: &[MachineId], address: SocketAddr, size: usize) {
    let (mut quiet, mut busy, mut updates) = (Vec::new(), Vec::new(), 0);
    read(address, size, Duration::from_millis(500));
    for _ in 0..ROUNDS {
        quiet.extend(read(address, size, ROUND));
        let (go_on, told) = watch::channel(true);
        let writer = runtime.spawn(update(core.clone(), ids.to_vec(), told));
        busy.extend(read(address, size, ROUND));
        go_on.send(false).expect("the writer to be there");
        updates += runtime.block_on(writer).expect("the writer to end well");
    }
    quiet.sort_unstable();
    busy.sort_unstable();
    let seconds = ROUND.as_secs() * ROUNDS as u64;
    for (name, times) in [("without updates", &quiet), ("with updates", &busy)] {
        println!(
            "# api_page_{size} {name}: p50 {:.3} ms, p99 {:.3} ms, {} requests in {seconds} s",
            millis(times, 50),
            millis(times, 99),
            times.len(),
        );
    }
    println!("# api_page_{size}: {updates} durable updates in {seconds} s");
    let (ours, peer) = (millis(&busy, 99), millis(&quiet, 99));
    println!(
        "bench api_page_{size}_p99 ours={ours:.3} peer={peer:.3} ratio={:.2} (lower is better)",
        ours / peer
    );
}

fn millis(sorted: &[Duration], percent: usize) -> f64 {
    let place = (sorted.len() * percent / 100).min(sorted.len() - 1);
    sorted[place].as_secs_f64() * 1000.0
}

/// Reads page after page on one connection, as a client that walks the list does; how long each took.
fn read(address: SocketAddr, size: usize, how_long: Duration) -> Vec<Duration> {
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket
        .set_nodelay(true)
        .expect("a socket that takes options");
    let mut answers = BufReader::with_capacity(256 * 1024, socket.try_clone().expect("a clone"));
    let (mut times, mut cursor, mut body) = (Vec::new(), None::<String>, Vec::new());
    let began = Instant::now();
    while began.elapsed() < how_long {
        let after = cursor
            .take()
            .map(|next| format!("&cursor={next}"))
            .unwrap_or_default();
        let request =
            format!("GET /api/v1/machines?limit={size}{after} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let asked = Instant::now();
        socket
            .write_all(request.as_bytes())
            .expect("the request to leave");
        receive(&mut answers, &mut body);
        times.push(asked.elapsed());
        let text = std::str::from_utf8(&body).expect("text");
        let (_, next) = text.rsplit_once("\"next\":\"").unzip();
        cursor = next
            .and_then(|next| next.split('"').next())
            .map(str::to_owned);
    }
    times
}

fn receive(answers: &mut BufReader<TcpStream>, body: &mut Vec<u8>) {
    let mut length = 0;
    loop {
        let mut line = String::new();
        answers.read_line(&mut line).expect("a line of the head");
        if line.starts_with("HTTP/1.1") {
            assert!(line.contains(" 200 "), "{line}");
        }
        if let Some(told) = line.strip_prefix("content-length: ") {
            length = told.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
    }
    body.resize(length, 0);
    answers.read_exact(body).expect("the body");
}

/// Renames machines at an even pace; how many.
async fn update(core: Core, ids: Vec<MachineId>, go_on: watch::Receiver<bool>) -> usize {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / UPDATES_PER_SECOND);
    let mut done = 0;
    while *go_on.borrow() {
        pace.tick().await;
        let name = format!("renamed {done}").parse().expect("a name");
        let patch = Patch {
            friendly_name: Some(Some(name)),
            ..Patch::default()
        };
        let command = Command::SetMachine {
            machine: ids[done * 7919 % ids.len()],
            patch,
            confirmed: false,
        };
        let actor = Actor::person("bench", "bench");
        let made = core.order(actor, command).await;
        made.expect("the update to be made");
        done += 1;
    }
    done
}

/// Machines as a person's racks have them: a host name, three tags, two cards.
async fn fill(core: &Core, store: &RedbStore) -> Vec<MachineId> {
    let mut ids = Vec::new();
    for first in (0..MACHINES).step_by(50) {
        let mut commit = Commit::default();
        for n in first..first + 50 {
            let [_, high, middle, low] = n.to_be_bytes();
            let mac = MacAddr::new([0x52, 0x54, 0, high, middle, low]);
            let other = MacAddr::new([0x52, 0x54, 1, high, middle, low]);
            let name = MemorableName::candidates(mac).next().expect("a name");
            let id = MachineId(core.clock().new_id());
            let evidence = Evidence::of_macs(mac, [other]);
            let now = core.clock().now();
            let mut machine = Machine::register(id, &evidence, name, Source::Demo, now);
            machine.config.hostname = format!("web{n:05}.example.net").parse().ok();
            machine.config.tags = ["web".to_owned(), format!("rack{}", n % 100), "blue".into()]
                .iter()
                .filter_map(|tag| tag.parse().ok())
                .collect();
            commit
                .changes
                .push(Change::Put(Object::Machine(Arc::new(machine))));
            ids.push(id);
        }
        store.commit(commit).await.expect("the machines to be kept");
    }
    ids
}

async fn serve(core: &Core) -> (SocketAddr, watch::Sender<bool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let about = About {
        version: "bench".into(),
        mode: Mode::Installed,
        installed_by: None,
        started_at: core.clock().now(),
        ports: Vec::new(),
        boot_port: 3080,
        ready: watch::channel(Ready::Yes).1,
    };
    let (stop, stopped) = watch::channel(false);
    let listeners = Listeners {
        tcp: vec![listener],
        unix: Vec::new(),
    };
    let router = web::router(core.clone(), about);
    tokio::spawn(web::serve(
        listeners,
        router,
        stopped,
        Duration::from_secs(1),
    ));
    (address, stop)
}
