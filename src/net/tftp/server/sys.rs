//! UDP sockets in the hands of the runtime, each waited for as its port wants it.

#![expect(unsafe_code, reason = "tokio trusts a descriptor to stay what it is")]

use std::io;
use std::net::UdpSocket;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(super) fn wait_for(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a UdpSocket owns its descriptor, which stays open as long as it lives and never becomes another one.
    let waiting = unsafe { AsyncFd::register_with_interest(socket, interest) };
    waiting.map_err(|error| error.into_parts().1)
}
