//! The system calls of a packet socket, for which there are no safe wrappers (packet(7)).
//!
//! Each `unsafe` block hands the kernel pointers into values that live on this stack or in the caller's slice
//! for the whole call, with their true lengths.
#![expect(
    unsafe_code,
    reason = "packet sockets: setsockopt and recvmsg with PACKET_AUXDATA"
)]

use std::ffi::CString;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Received;
use crate::net::frame::Checksum;

/// What `linux/if_packet.h` has and `libc` does not.
const PACKET_AUXDATA: libc::c_int = 8;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const TP_STATUS_CSUMNOTREADY: u32 = 1 << 3;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;

/// `struct tpacket_auxdata`.
#[repr(C)]
#[derive(Clone, Copy)]
struct AuxData {
    status: u32,
    len: u32,
    snaplen: u32,
    mac: u16,
    net: u16,
    vlan_tci: u16,
    vlan_tpid: u16,
}

/// What a socket is waited for: frames, and the word that its link went down.
pub(super) const HEARD: Interest = Interest::READABLE.add(Interest::ERROR);

/// One instruction of the kernel's filter: `struct sock_filter`.
pub(super) type Instruction = libc::sock_filter;

pub(super) struct Socket(OwnedFd);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Socket {
    /// Hears nothing until it is bound: its protocol is none.
    pub(super) fn new() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: the descriptor was made just now, and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Waits for frames by the runtime that it is called in.
    pub(super) fn listen(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is this value's own, stays open as long as it lives and never becomes another one.
        let listening = unsafe { AsyncFd::register_with_interest(self, HEARD) };
        listening.map_err(|error| error.into_parts().1)
    }

    pub(super) fn attach(&self, program: &[Instruction]) -> io::Result<()> {
        let len = u16::try_from(program.len()).map_err(io::Error::other)?;
        let program = libc::sock_fprog {
            len,
            // The kernel only reads it.
            filter: program.as_ptr().cast_mut(),
        };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    /// Tags that were taken off, and checksums that were not filled in, are told beside the frame.
    pub(super) fn keep_tags(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, PACKET_AUXDATA, &1_i32)
    }

    pub(super) fn ignore_outgoing(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)
    }

    pub(super) fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = family();
        address.sll_protocol = every_protocol().to_be();
        address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
        let at = (&raw const address).cast();
        // SAFETY: `address` outlives the call, and the length is its own.
        check(unsafe { libc::bind(self.as_raw_fd(), at, size_of_val(&address)) }).map(drop)
    }

    /// The card's address; none where the link is not Ethernet.
    pub(super) fn ethernet_address(&self) -> io::Result<Option<[u8; 6]>> {
        let address = self.address()?;
        let card = address.sll_addr.first_chunk::<6>().copied();
        let is_ethernet = address.sll_hatype == libc::ARPHRD_ETHER && address.sll_halen == 6;
        Ok(card.filter(|_| is_ethernet))
    }

    /// Whether the link that it was bound to is there, up or not.
    pub(super) fn is_bound(&self) -> bool {
        // The kernel unbinds it, to -1, from a link that is deleted.
        self.address().is_ok_and(|address| address.sll_ifindex > 0)
    }

    fn address(&self) -> io::Result<libc::sockaddr_ll> {
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        let mut length = size_of_val(&address);
        let at = (&raw mut address).cast();
        // SAFETY: `address` outlives the call, and the kernel writes at most `length` bytes into it.
        check(unsafe { libc::getsockname(self.as_raw_fd(), at, &raw mut length) })?;
        Ok(address)
    }

    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the slice outlives the call, and the length is its own.
        let sent = unsafe { libc::send(self.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        // A frame goes whole or not at all.
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// None for a frame that is longer than the buffer.
    pub(super) fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        /// Aligned as a control message needs it.
        #[repr(C, align(8))]
        struct Control([u8; 64]);

        let mut control = Control([0; 64]);
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: all zeros is a valid msghdr.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len();
        // SAFETY: buffer, iovec and control outlive the call, and the kernel writes no more than their lengths.
        let got = unsafe { libc::recvmsg(self.as_raw_fd(), &raw mut message, 0) };
        // Negative only for an error.
        let length = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
        if message.msg_flags & libc::MSG_TRUNC != 0 {
            return Ok(None);
        }
        let beside = aux_data(&message);
        let status = beside.map_or(0, |data| data.status);
        let ready = status & TP_STATUS_CSUMNOTREADY == 0;
        let tagged = status & TP_STATUS_VLAN_VALID != 0;
        Ok(Some(Received {
            length,
            tag: beside.filter(|_| tagged).map(|data| data.vlan_tci),
            checksum: if ready {
                Checksum::Verify
            } else {
                Checksum::NotReady
            },
        }))
    }

    fn set<T>(&self, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
        let at = ptr::from_ref(value).cast();
        let length = size_of_val(value);
        // SAFETY: the kernel reads `length` bytes of a value that outlives the call.
        check(unsafe { libc::setsockopt(self.as_raw_fd(), level, name, at, length) }).map(drop)
    }
}

/// What the kernel told beside the frame.
fn aux_data(message: &libc::msghdr) -> Option<AuxData> {
    // SAFETY: the kernel filled in `message`, whose control buffer lives as long as the caller's frame.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: a non-null header lies wholly inside the control buffer, says cmsg(3).
        let header = unsafe { &*next };
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_PACKET, PACKET_AUXDATA) {
            let mut data = MaybeUninit::<AuxData>::uninit();
            // SAFETY: the kernel writes a whole tpacket_auxdata behind such a header, and any bytes are a valid one.
            return Some(unsafe {
                let from = libc::CMSG_DATA(next);
                ptr::copy_nonoverlapping(from, data.as_mut_ptr().cast(), size_of::<AuxData>());
                data.assume_init()
            });
        }
        // SAFETY: `next` came from this very message.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    None
}

/// The index of the link of this name.
pub(super) fn index(name: &str) -> io::Result<u32> {
    let name = CString::new(name).map_err(io::Error::other)?;
    // SAFETY: a string with its NUL, which outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Lengths of the few types that are handed over here, none near the limit.
#[expect(clippy::cast_possible_truncation, reason = "a few dozen bytes")]
const fn size_of_val<T>(_: &T) -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

#[expect(clippy::cast_possible_truncation, reason = "17")]
const fn family() -> u16 {
    libc::AF_PACKET as u16
}

#[expect(clippy::cast_possible_truncation, reason = "3")]
const fn every_protocol() -> u16 {
    libc::ETH_P_ALL as u16
}
