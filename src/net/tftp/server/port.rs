//! A UDP socket that sends bursts: in one call, where the kernel cuts them into datagrams (`UDP_SEGMENT`).

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrStorage, getsockopt, sendmsg, sockopt::IpMtu,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::net::tftp::burst::Burst;

/// What Ethernet carries, for a path of which nothing is known.
const ETHERNET: u16 = 1500;

pub(super) struct Port {
    socket: UdpSocket,
    /// Until the kernel or a driver says that it cannot.
    segments: AtomicBool,
}

impl Port {
    pub(super) fn new(socket: UdpSocket) -> Self {
        Self {
            socket,
            segments: AtomicBool::new(true),
        }
    }

    /// A new port of this address of ours, connected to a client.
    pub(super) fn to(local: Ipv4Addr, peer: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((local, 0))?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket).map(Self::new)
    }

    /// What the path to the connected client is known to carry.
    pub(super) fn path_mtu(&self) -> u16 {
        let known = getsockopt(&self.socket, IpMtu).ok();
        known.map_or(ETHERNET, |mtu| u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    pub(super) async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer).await
    }

    pub(super) async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.recv_from(buffer).await
    }

    pub(super) fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.try_recv_from(buffer)
    }

    /// Sends to a client, or to the one that the port is connected to. What the network does not take is as lost.
    pub(super) async fn send(&self, to: Option<SocketAddr>, burst: &Burst) {
        let many = burst.bytes().len() > burst.segment();
        if many && self.segments.load(Ordering::Relaxed) {
            match self.send_whole(to, burst).await {
                Ok(()) => return,
                Err(error) => self.note(&error),
            }
            if self.segments.load(Ordering::Relaxed) {
                return;
            }
        }
        for datagram in burst.datagrams() {
            let _ = match to {
                Some(peer) => self.socket.send_to(datagram, peer).await,
                None => self.socket.send(datagram).await,
            };
        }
    }

    async fn send_whole(&self, to: Option<SocketAddr>, burst: &Burst) -> io::Result<()> {
        let to = to.map(SockaddrStorage::from);
        let segment = u16::try_from(burst.segment()).unwrap_or(u16::MAX);
        let parts = [IoSlice::new(burst.bytes())];
        let control = [ControlMessage::UdpGsoSegments(&segment)];
        let send = || {
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            sendmsg(fd, &parts, &control, flags, to.as_ref()).map_err(io::Error::from)
        };
        self.socket.async_io(Interest::WRITABLE, send).await?;
        Ok(())
    }

    /// `EIO`: the device computes no checksums; `EINVAL`, `ENOPROTOOPT`: the kernel or the path knows no segments.
    fn note(&self, error: &io::Error) {
        if let Some(nix::libc::EIO | nix::libc::EINVAL | nix::libc::ENOPROTOOPT) =
            error.raw_os_error()
        {
            self.segments.store(false, Ordering::Relaxed);
        }
    }
}
