//! The client's end of a path that is long and loses: each datagram waits its time here, either way, or is gone.
//!
//! It is made here and not by netem, which many kernels do not have; a server cannot tell the difference.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

/// What a path does to a datagram, each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trip {
    pub delay: Duration,
    pub lost_of_100: u64,
}

pub struct Wire {
    socket: UdpSocket,
    trip: Trip,
    dice: u64,
    out: VecDeque<Datagram>,
    back: VecDeque<Datagram>,
}

struct Datagram {
    due: Instant,
    bytes: Vec<u8>,
    peer: SocketAddr,
}

impl Wire {
    pub fn new(socket: UdpSocket, trip: Trip, dice: u64) -> Self {
        Self {
            socket,
            trip,
            dice,
            out: VecDeque::new(),
            back: VecDeque::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8], peer: SocketAddr) -> io::Result<()> {
        if self.trip == Trip::default() {
            self.socket.send_to(bytes, peer).await?;
        } else if let Some(datagram) = self.delayed(bytes, peer) {
            self.out.push_back(datagram);
        }
        Ok(())
    }

    pub async fn recv(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        if self.trip == Trip::default() {
            return self.socket.recv_from(buffer).await;
        }
        loop {
            let now = Instant::now();
            while let Some(datagram) = self.out.pop_front_if(|datagram| datagram.due <= now) {
                self.socket.send_to(&datagram.bytes, datagram.peer).await?;
            }
            if let Some(datagram) = self.back.pop_front_if(|datagram| datagram.due <= now) {
                buffer[..datagram.bytes.len()].copy_from_slice(&datagram.bytes);
                return Ok((datagram.bytes.len(), datagram.peer));
            }
            let queues = [self.out.front(), self.back.front()];
            let next = queues
                .into_iter()
                .flatten()
                .map(|datagram| datagram.due)
                .min();
            tokio::select! {
                received = self.socket.recv_from(buffer) => {
                    let (length, peer) = received?;
                    if let Some(datagram) = self.delayed(&buffer[..length], peer) {
                        self.back.push_back(datagram);
                    }
                }
                () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
        }
    }

    fn delayed(&mut self, bytes: &[u8], peer: SocketAddr) -> Option<Datagram> {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let lost = (self.dice >> 33) % 100 < self.trip.lost_of_100;
        (!lost).then(|| Datagram {
            due: Instant::now() + self.trip.delay,
            bytes: bytes.to_vec(),
            peer,
        })
    }
}
