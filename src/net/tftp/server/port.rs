//! A UDP socket that costs few system calls.
//!
//! It waits for what comes in and not for room to send: the kernel would tell of room after every datagram, and each
//! block of a transfer would wake its task twice. Bursts are sent in one call, where the kernel cuts them into
//! datagrams (`UDP_SEGMENT`).

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrStorage, getsockopt, sendmsg, sockopt::IpMtu,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::sys;
use crate::net::tftp::burst::Burst;

/// What Ethernet carries, for a path of which nothing is known.
pub(super) const ETHERNET: u16 = 1500;

pub(super) struct Port {
    socket: AsyncFd<UdpSocket>,
    /// Until the kernel or a driver says that it cannot.
    segments: AtomicBool,
}

impl Port {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: sys::wait_for(socket, Interest::READABLE)?,
            segments: AtomicBool::new(true),
        })
    }

    /// A new port of this address of ours, connected to a client.
    pub(super) fn to(local: Ipv4Addr, peer: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((local, 0))?;
        socket.connect(peer)?;
        Self::new(socket)
    }

    /// What the path to the connected client is known to carry.
    pub(super) fn path_mtu(&self) -> u16 {
        let known = getsockopt(self.socket.get_ref(), IpMtu).ok();
        known.map_or(ETHERNET, |mtu| u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    pub(super) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.get_ref().recv(buffer)
    }

    pub(super) fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.get_ref().recv_from(buffer)
    }

    /// Waits until something came, and takes the first of it. What came along with it stays unnoticed until more comes;
    /// with `rest` it is looked for first, after all others had their turn. One task waits at a time.
    pub(super) async fn recv(&self, buffer: &mut [u8], rest: bool) -> io::Result<usize> {
        self.first(rest, |socket| socket.recv(buffer)).await
    }

    /// As [`Self::recv`].
    pub(super) async fn recv_from(
        &self,
        buffer: &mut [u8],
        rest: bool,
    ) -> io::Result<(usize, SocketAddr)> {
        self.first(rest, |socket| socket.recv_from(buffer)).await
    }

    async fn first<T>(
        &self,
        rest: bool,
        mut take: impl FnMut(&UdpSocket) -> io::Result<T>,
    ) -> io::Result<T> {
        if rest {
            tokio::task::yield_now().await;
            match take(self.socket.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken,
            }
        }
        loop {
            // Each datagram that comes later makes it ready again; one more call would only say that there is none yet.
            let ready = poll_fn(|context| self.socket.poll_read_ready(context));
            ready.await?.clear_ready();
            match take(self.socket.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken,
            }
        }
    }

    /// Sends to a client, or to the one that the port is connected to. What the network does not take is as lost.
    pub(super) async fn send(&self, to: Option<SocketAddr>, burst: &Burst) {
        let many = burst.bytes().len() > burst.segment();
        if many && self.segments.load(Ordering::Relaxed) {
            let sent = self
                .when_there_is_room(|socket| send_whole(socket, to, burst))
                .await;
            if !sent.is_err_and(|error| cannot_segment(&error)) {
                return;
            }
            self.segments.store(false, Ordering::Relaxed);
        }
        for datagram in burst.datagrams() {
            let send = |socket: &UdpSocket| match to {
                Some(peer) => socket.send_to(datagram, peer),
                None => socket.send(datagram),
            };
            let _ = self.when_there_is_room(send).await;
        }
    }

    async fn when_there_is_room<T>(
        &self,
        send: impl Fn(&UdpSocket) -> io::Result<T>,
    ) -> io::Result<T> {
        let socket = self.socket.get_ref();
        loop {
            match send(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let copy = sys::wait_for(socket.try_clone()?, Interest::WRITABLE)?;
                    copy.writable().await?.clear_ready();
                }
                result => return result,
            }
        }
    }
}

fn send_whole(socket: &UdpSocket, to: Option<SocketAddr>, burst: &Burst) -> io::Result<usize> {
    let to = to.map(SockaddrStorage::from);
    let segment = u16::try_from(burst.segment()).unwrap_or(u16::MAX);
    let parts = [IoSlice::new(burst.bytes())];
    let control = [ControlMessage::UdpGsoSegments(&segment)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    Ok(sendmsg(fd, &parts, &control, flags, to.as_ref())?)
}

/// `EIO`: the device computes no checksums; `EINVAL`, `ENOPROTOOPT`: the kernel or the path knows no segments.
fn cannot_segment(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::ENOPROTOOPT)
    )
}
