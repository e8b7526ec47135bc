//! A packet socket on a real link: what the kernel hands over, and what it does when the link changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says where"
)]

mod lab;

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use dragonfly::{
    lab::{Foreign, Host, Lab},
    model::MacAddr,
    net::{
        arp::Packet,
        frame::{BROADCAST, Frame, UdpFrame, to_everybody},
        link::{Link, RawLink, Received},
    },
};
use lab::beside;

const SOON: Duration = Duration::from_secs(15);
/// The last frame of a test goes to this port: what should have come before it has come.
const LAST: u16 = 4011;

/// Two hosts on one wire.
fn pair(lab: &Lab) -> (Host, Host) {
    let host = |name| lab.add_host(name, None).unwrap();
    (host("ours"), host("theirs"))
}

/// Runs inside a host, with a runtime.
fn inside<T: Send>(host: &Host, work: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(work())
    };
    host.netns.run(run).unwrap()
}

fn open() -> RawLink {
    RawLink::open(&"eth0".parse().unwrap()).unwrap()
}

fn send(host: &Host, frames: &[Vec<u8>]) {
    inside(host, async || {
        let link = open();
        for frame in frames {
            link.send(frame).unwrap();
        }
    });
}

/// A socket that was opened inside a host, and the runtime that it waits by.
struct Ear {
    runtime: tokio::runtime::Runtime,
    link: RawLink,
}

impl Ear {
    fn of(host: &Host) -> Self {
        let open = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            let link = runtime.block_on(async { open() });
            Self { runtime, link }
        };
        host.netns.run(open).unwrap()
    }

    /// Once the switch passes on what `theirs` sends: a port that was made just now takes a moment.
    fn wired(self, lab: &Lab, theirs: &Host) -> Self {
        let brief = Duration::from_millis(100);
        let passes = || {
            send(theirs, &[last()]);
            Ok(self.within(brief).map(drop))
        };
        lab.until("a frame passes", SOON, passes).unwrap();
        while self.within(brief).is_some() {}
        self
    }

    fn next(&self) -> io::Result<(Received, Vec<u8>)> {
        self.within(SOON).expect("nothing came")
    }

    fn within(&self, time: Duration) -> Option<io::Result<(Received, Vec<u8>)>> {
        let mut buffer = [0; RawLink::BUFFER];
        let received = self.runtime.block_on(async {
            let received = self.link.recv(&mut buffer);
            tokio::time::timeout(time, received).await.ok()
        })?;
        Some(received.map(|received| (received, buffer[..received.length].to_vec())))
    }

    /// What came up to the last frame, that one left out; ARP as port 0.
    fn ports(&self) -> Vec<u16> {
        let mut ports = Vec::new();
        loop {
            let (received, bytes) = self.next().unwrap();
            match Frame::parse(&bytes, received.tag, received.checksum).unwrap() {
                Frame::Arp(_) => ports.push(0),
                Frame::Udp(frame) if frame.dst.port() == LAST => return ports,
                Frame::Udp(frame) => ports.push(frame.dst.port()),
            }
        }
    }
}

const THEIRS: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);

fn udp(vlan: Option<u16>, from: u16, to: u16) -> Vec<u8> {
    let frame = UdpFrame {
        src_mac: THEIRS,
        dst_mac: BROADCAST,
        vlan,
        src: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, from),
        dst: to_everybody(to),
        payload: &[0; 300],
    };
    frame.build().unwrap()
}

fn arp() -> Vec<u8> {
    Packet::probe(THEIRS, Ipv4Addr::new(10, 0, 0, 1)).to_frame()
}

fn last() -> Vec<u8> {
    udp(None, 68, LAST)
}

#[test]
fn hears_arp_and_dhcp_and_nothing_else() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let (ours, theirs) = pair(&lab);
    let ear = Ear::of(&ours).wired(&lab, &theirs);
    let mut fragment = udp(None, 68, 67);
    fragment[20] = 0x20;
    let mut ipv6 = udp(None, 68, 67);
    ipv6[12..14].copy_from_slice(&[0x86, 0xdd]);

    let dhcp = [udp(None, 68, 67), udp(None, 67, 68), arp()];
    let others = [
        udp(None, 53, 68),
        udp(None, 68, 69),
        udp(None, 5353, 5353),
        fragment,
        ipv6,
    ];
    send(
        &theirs,
        &[&others[..], &dhcp[..], &others[..], &[last()][..]].concat(),
    );

    assert_eq!(ear.ports(), [67, 68, 0]);
}

#[test]
fn keeps_the_vlan_of_a_frame() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let (ours, theirs) = pair(&lab);
    let ear = Ear::of(&ours).wired(&lab, &theirs);

    send(&theirs, &[udp(Some(10), 68, 67)]);

    let (received, bytes) = ear.next().unwrap();
    let frame = Frame::parse(&bytes, received.tag, received.checksum).unwrap();
    assert!(
        matches!(frame, Frame::Udp(UdpFrame { vlan: Some(10), .. })),
        "{frame:?}"
    );
}

#[test]
fn does_not_hear_itself() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let (ours, theirs) = pair(&lab);
    let ear = Ear::of(&ours).wired(&lab, &theirs);

    ear.link.send(&arp()).unwrap();
    send(&theirs, &[last()]);

    assert!(ear.ports().is_empty());
}

#[test]
fn hears_again_after_the_link_was_down_and_under_another_name() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let (ours, theirs) = pair(&lab);
    let ear = Ear::of(&ours).wired(&lab, &theirs);

    ours.ip("link set eth0 down").unwrap();
    assert!(ear.link.send(&arp()).is_err());
    ours.ip("link set eth0 name lan0").unwrap();
    ours.ip("link set lan0 up").unwrap();
    let up = || {
        Ok(ours
            .ip("link show lan0")?
            .contains("LOWER_UP")
            .then_some(()))
    };
    lab.until("the link is up", SOON, up).unwrap();
    let ear = ear.wired(&lab, &theirs);
    send(&theirs, &[arp(), last()]);

    assert_eq!(ear.ports(), [0]);
}

#[test]
fn says_when_the_link_is_gone() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let (ours, theirs) = pair(&lab);
    let ear = Ear::of(&ours).wired(&lab, &theirs);

    ours.ip("link del eth0").unwrap();

    assert!(ear.next().is_err());
}

#[test]
fn a_link_that_is_none_is_refused() {
    let Some(lab) = beside(Foreign::None) else {
        return;
    };
    let (ours, _) = pair(&lab);
    let open = |name: &'static str| {
        let opened = inside(&ours, async || {
            RawLink::open(&name.parse().unwrap()).map(drop)
        });
        opened.unwrap_err().to_string()
    };
    assert!(open("eth7").contains("No such device"), "{}", open("eth7"));
    assert_eq!(open("lo"), "lo is no Ethernet link");
}
