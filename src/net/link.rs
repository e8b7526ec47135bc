//! Raw frames of one link.
//!
//! One packet socket per link. The kernel's own filter lets through ARP and the three DHCP ports and nothing
//! else, so that the daemon sleeps while other traffic passes. A link is bound by its index: a new name does not
//! disturb it, and one that goes down is waited for. That one was deleted is told by [`super::links`], and here by an
//! error, upon which its owner opens it anew when there is one of the name again.
//!
//! `filter` is the program of the filter, `sys` the system calls.

mod filter;
mod sys;

use std::fmt;
use std::future::Future;
use std::io;

use tokio::io::unix::AsyncFd;

use super::frame::Checksum;
use crate::model::{LinkName, MacAddr};

/// Where frames go and come from. Tests put a fake in its place.
pub trait Link: Send + Sync {
    fn name(&self) -> &LinkName;

    /// Its card's address, as it was when the link was opened.
    fn mac(&self) -> MacAddr;

    /// Sends a whole frame now, or says why not; it does not wait for room in the card's queue.
    fn send(&self, frame: &[u8]) -> io::Result<()>;

    /// Waits for a frame. One that is longer than the buffer is dropped in silence: what is meant for us is short.
    fn recv(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<Received>> + Send;
}

/// A frame that lies at the start of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub length: usize,
    /// The tag that the kernel or the card took off: priority and VLAN, as it stood on the wire.
    pub tag: Option<u16>,
    pub checksum: Checksum,
}

/// The real one.
pub struct RawLink {
    name: LinkName,
    mac: MacAddr,
    index: u32,
    socket: AsyncFd<sys::Socket>,
}

impl RawLink {
    /// What a buffer for [`Link::recv`] needs: a full frame of a link with the usual MTU, and a bit.
    pub const BUFFER: usize = 2048;

    /// Needs `CAP_NET_RAW`. The link may be down; frames come once it is up.
    pub fn open(name: &LinkName) -> io::Result<Self> {
        let socket = sys::Socket::new()?;
        // From the first frame on: the socket is bound to a link only after that.
        socket.attach(&filter::PROGRAM)?;
        socket.keep_tags()?;
        socket.ignore_outgoing()?;
        let index = sys::index(name.as_str())?;
        socket.bind(index)?;
        let Some(mac) = socket.ethernet_address()? else {
            let said = format!("{name} is no Ethernet link");
            return Err(io::Error::new(io::ErrorKind::Unsupported, said));
        };
        Ok(Self {
            name: name.clone(),
            mac: MacAddr::new(mac),
            index,
            socket: socket.listen()?,
        })
    }

    /// The number by which the kernel knows it, whatever its name.
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl Link for RawLink {
    fn name(&self) -> &LinkName {
        &self.name
    }

    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.get_ref().send(frame)
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            let mut ready = self.socket.ready(sys::HEARD).await?;
            match ready.try_io(|socket| socket.get_ref().recv(buffer)) {
                Ok(Ok(Some(received))) => return Ok(received),
                Ok(Ok(None)) => {}
                Ok(Err(error)) if is_passing(&error) && self.socket.get_ref().is_bound() => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}

/// A link that goes down says so once, by an error on the socket; frames come again when it is up.
fn is_passing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENETDOWN) || error.kind() == io::ErrorKind::Interrupted
}

impl fmt::Debug for RawLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawLink")
            .field("name", &self.name)
            .field("mac", &self.mac)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
