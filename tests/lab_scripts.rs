//! The scripts in real firmware: QEMU's iPXE ROM, OVMF and trixie's iPXE fetch them from the machine plane, and do
//! what they say. Who answers DHCP is dnsmasq; that is not under test here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dragonfly::boot::files::Files;
use dragonfly::boot::http::{self, Ask, Given, Machines, Plane, Seen, Unavailable, Watcher};
use dragonfly::boot::ipxe::Scripts;
use dragonfly::core::SystemClock;
use dragonfly::lab::{Disk, DiskFormat, Lab, LabOptions, Profile, Vm, VmSpec, net};
use dragonfly::model::boot::{Boot, Decision, Once, Platform};
use dragonfly::model::trace::Mark;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lab::one_at_a_time;
use tokio::runtime::Runtime;
use tokio::sync::watch;

const BOOTS_WITHIN: Duration = Duration::from_mins(2);
const PORT: u16 = 3080;

/// Gives these out in turn, and the last one for ever; none is a server that cannot answer.
#[derive(Clone, Default)]
struct Decider {
    boots: Arc<Mutex<Vec<Option<Boot>>>>,
    asks: Arc<Mutex<Vec<Ask>>>,
    fetched: Arc<Mutex<Vec<(Mark, String)>>>,
}

impl Machines for Decider {
    fn script<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Given, Unavailable>> {
        self.asks.lock().unwrap().push(ask.clone());
        let mut boots = self.boots.lock().unwrap();
        let boot = match boots.len() {
            1 => boots[0].clone(),
            _ => boots.remove(0),
        };
        let given = boot.map(|boot| Given {
            name: "brave-otter || shell # ${x}".to_owned(),
            decision: Decision {
                boot,
                why: "a test says so",
            },
            agent: None,
            installer: None,
        });
        std::future::ready(given.ok_or_else(|| Unavailable("not now".to_owned()))).boxed()
    }
}

impl Watcher for Decider {
    fn seen(&self, seen: &Seen<'_>) {
        let mut fetched = self.fetched.lock().unwrap();
        fetched.push((seen.mark, seen.name.to_owned()));
    }
}

/// A lab whose machines come to the machine plane of this process, on a host of the lab.
struct Place {
    lab: Lab,
    decider: Decider,
    own: tempfile::TempDir,
    _runtime: Runtime,
    _stop: watch::Sender<bool>,
}

impl Place {
    fn new(boots: &[Option<Boot>]) -> Option<Self> {
        let tools = dragonfly::lab::Tools::find().ok()?;
        let loaders = tools.file("usr/lib/ipxe").ok()?;
        let plane = format!("http://{}:{PORT}", net::DRAGONFLY);
        let lab = lab::lab(&LabOptions {
            foreign_extra: format!(
                "dhcp-match=set:ipxe,175\n\
                 dhcp-match=set:http,option:client-arch,16\n\
                 dhcp-option-force=tag:http,60,HTTPClient\n\
                 dhcp-boot=tag:ipxe,{plane}/ipxe/boot.ipxe\n\
                 dhcp-boot=tag:http,tag:!ipxe,{plane}/boot/x64/snponly.efi\n"
            ),
            ..LabOptions::default()
        })?;
        let host = lab.add_host("plane", Some(net::DRAGONFLY)).unwrap();
        let bound = host
            .netns
            .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)));
        let listener = bound.unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        let own = tempfile::tempdir().unwrap();
        let files = Files::new(
            own.path().to_owned(),
            vec![loaders],
            Scripts::new().unwrap(),
        );
        let decider = Decider::default();
        decider.boots.lock().unwrap().extend_from_slice(boots);
        let (machines, watcher) = (Box::new(decider.clone()), Box::new(decider.clone()));
        let plane = Plane::new(Arc::new(files), machines, watcher, Arc::new(SystemClock));
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = watch::channel(false);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            http::serve(listener, Arc::new(plane), stopped).await;
        });
        Some(Self {
            lab,
            decider,
            own,
            _runtime: runtime,
            _stop: stop,
        })
    }

    fn boot(&self, profile: Profile) -> Vm {
        let disks = vec![Disk::new(1, DiskFormat::Raw)];
        let spec = VmSpec {
            disks,
            ..VmSpec::new("client", profile)
        };
        self.lab.boot(&spec).unwrap()
    }
}

/// Says these words on the screen and stops: a boot sector with its mark at the end.
fn boot_sector(words: &str) -> Vec<u8> {
    // xor ax,ax; mov ds,ax; mov si,7C18h; next: lodsb; or al,al; jz stop; mov ah,0Eh; mov bx,7; int 10h; jmp next;
    // stop: hlt; jmp stop
    let code = [
        0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x18, 0x7c, 0xac, 0x08, 0xc0, 0x74, 0x09, 0xb4, 0x0e, 0xbb,
        0x07, 0x00, 0xcd, 0x10, 0xeb, 0xf2, 0xf4, 0xeb, 0xfd,
    ];
    let mut sector = [&code[..], words.as_bytes(), b"\r\n"].concat();
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

#[test]
fn a_bios_is_led_through_errors_orders_and_waiting_to_its_own_disk() {
    let _turn = one_at_a_time();
    let url = format!("http://{}:{PORT}/boot/hello.ipxe", net::DRAGONFLY);
    let chain = Boot::Once(Once::Chain { url });
    let steps = [None, Some(chain), Some(Boot::Wait), Some(Boot::Local)];
    let Some(place) = Place::new(&steps) else {
        return;
    };
    let vm = place.boot(Profile::Bios);
    let said = |text: &str| vm.wait_serial(text, BOOTS_WITHIN).unwrap();

    // iPXE heeds Retry-After, so of a server that cannot answer just now nothing is seen.
    said("Dragonfly: script reached, brave-otter ?? shell ? ?{x}");
    said(&format!("{}, 192.168.77.", vm.mac));
    said("that led to nothing; the reason is above");
    said("Next try in 5 s, a shell by s");
    let hello = "#!ipxe\necho Hello from a script of one's own\n";
    fs::write(place.own.path().join("hello.ipxe"), hello).unwrap();
    said("Hello from a script of one's own");
    said(&format!(
        "On the server: dragonfly machine approve {}",
        vm.mac
    ));
    said("the first disk does not boot; the reason is above");
    let sector = boot_sector("The local disk was reached");
    let disk = OpenOptions::new()
        .write(true)
        .open(vm.dir.join("disk0.raw"));
    disk.unwrap().write_all(&sector).unwrap();
    said("The local disk was reached");

    assert!(
        !vm.serial().text().contains("iPXE>"),
        "a name opened a shell"
    );
    let asks = place.decider.asks.lock().unwrap();
    assert_eq!(asks[0].platform, Some(Platform::Bios));
    assert_eq!(
        (asks[0].told.chip.as_str(), asks[0].told.maker.as_str()),
        ("virtio-net", "QEMU")
    );
    assert!(asks[0].uuid.is_some());
}

#[test]
#[ignore = "needs a minute"]
fn long_uefi_fetches_loader_and_scripts_by_http_waits_and_goes_on_to_its_disk() {
    let _turn = one_at_a_time();
    let Some(place) = Place::new(&[Some(Boot::Wait), Some(Boot::Local)]) else {
        return;
    };
    let vm = place.boot(Profile::UefiHttp);
    let said = |text: &str| vm.wait_serial(text, BOOTS_WITHIN).unwrap();

    said("Dragonfly: script reached, brave-otter ?? shell ? ?{x}");
    said(&format!(
        "On the server: dragonfly machine approve {}",
        vm.mac
    ));
    // The disk is blank: what matters is that the firmware tried it.
    said("failed to load Boot0001 \"UEFI Misc Device\"");

    let fetched = place.decider.fetched.lock().unwrap();
    for name in ["x64/snponly.efi", "x64/autoexec.ipxe", "ipxe/boot.ipxe"] {
        assert!(
            fetched.contains(&(Mark::FileDone, name.to_owned())),
            "{fetched:?}"
        );
    }
    let asks = place.decider.asks.lock().unwrap();
    assert_eq!(asks[0].platform, Some(Platform::X64));
}
