//! Sockets that are never read, on the ports whose frames are heard raw.
//!
//! The kernel knows nothing of the raw socket: to a datagram for a port that nobody has it answers by itself that the port
//! is unreachable. EDK2 takes that for the answer of a boot service and gives up on it. So the ports are taken at the
//! address that machines are told, and there alone: at the host's own address, port 67 belongs to whatever DHCP server the
//! host runs beside us.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

use crate::model::LinkName;
use crate::net::dhcp::answer::{BINL_PORT, SERVER_PORT};

/// The ports of one link.
#[derive(Debug, Default)]
pub(super) struct Ports {
    at: Option<Place>,
    taken: Vec<OwnedFd>,
}

/// Where machines are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub address: Ipv4Addr,
    /// It is ours alone, and not the host's own.
    pub floating: bool,
}

impl Ports {
    /// Takes the ports at this place and lets go of those elsewhere. One that another program has is as well taken.
    pub(super) fn keep(&mut self, at: Option<Place>, link: &LinkName) {
        if at == self.at {
            return;
        }
        self.at = at;
        self.taken.clear();
        let Some(Place { address, floating }) = at else {
            return;
        };
        let ports = [(BINL_PORT, true), (SERVER_PORT, floating)];
        for port in ports
            .iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(port, _)| *port)
        {
            match take(SocketAddrV4::new(address, port)) {
                Ok(socket) => self.taken.push(socket),
                Err(error) => tracing::debug!(%link, %address, port, %error, "port not taken"),
            }
        }
    }
}

/// It may be shared, so that another program can start after us.
fn take(at: SocketAddrV4) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let taken = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&taken, sockopt::ReuseAddr, &true)?;
    // The kernel's least: a few datagrams lie there unread, and the rest is dropped.
    setsockopt(&taken, sockopt::RcvBuf, &0)?;
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&taken),
        &SockaddrIn::from(at),
    )?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_taken_port_is_answered_with_silence_and_one_let_go_is_not() {
        let link = "lo".parse().unwrap();
        let place = Place {
            address: Ipv4Addr::new(127, 0, 77, 3),
            floating: false,
        };
        let mut ports = Ports::default();
        ports.keep(Some(place), &link);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect((place.address, BINL_PORT)).unwrap();
        client.set_nonblocking(true).unwrap();

        client.send(b"?").unwrap();
        let said = client.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(said.kind(), io::ErrorKind::WouldBlock);

        ports.keep(None, &link);
        client.send(b"?").unwrap();
        let said = client.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(said.kind(), io::ErrorKind::ConnectionRefused);
    }
}
