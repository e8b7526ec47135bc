//! Network links by the old ioctls (netdevice(7)), and the packet socket that DHCP needs before there is an address.
//!
//! Each `unsafe` block hands the kernel pointers into values that live on this stack or in the caller's slice for the
//! whole call, with their true lengths.
#![expect(unsafe_code, reason = "network ioctls and packet sockets")]

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{check, ioctl};

/// What `linux/if_vlan.h` and `linux/sockios.h` have and `libc` does not.
const SIOCSIFVLAN: u32 = 0x8983;
const ADD_VLAN: libc::c_int = 0;

/// `struct vlan_ioctl_args`.
#[repr(C)]
struct VlanArgs {
    command: libc::c_int,
    device: [u8; 24],
    union: [u8; 24],
    qos: libc::c_short,
}

/// Sets the link up, so that it looks for a carrier.
pub fn set_up(name: &str) -> io::Result<()> {
    let socket = control()?;
    let mut request = request(name)?;
    call(&socket, libc::SIOCGIFFLAGS, &raw mut request)?;
    // SAFETY: the call above filled in the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = libc::c_short::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    request.ifr_ifru.ifru_flags = flags | up;
    call(&socket, libc::SIOCSIFFLAGS, &raw mut request)
}

/// Gives the link its one address.
pub fn set_address(name: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
    let socket = control()?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_addr = internet(address);
    call(&socket, libc::SIOCSIFADDR, &raw mut request)?;
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    request.ifr_ifru.ifru_netmask = internet(mask.into());
    call(&socket, libc::SIOCSIFNETMASK, &raw mut request)
}

/// Sends what is not for a neighbour to the gateway. A route that is there already is well.
pub fn add_default_route(gateway: Ipv4Addr) -> io::Result<()> {
    let socket = control()?;
    // SAFETY: all zeros is a valid rtentry.
    let mut route: libc::rtentry = unsafe { mem::zeroed() };
    route.rt_dst = internet(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = internet(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = internet(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    match call(&socket, libc::SIOCADDRT, &raw mut route) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}

/// Makes the link of a VLAN on another one; the kernel calls it `PARENT.ID`.
pub fn add_vlan(parent: &str, id: u16) -> io::Result<()> {
    let socket = control()?;
    let mut args = VlanArgs {
        command: ADD_VLAN,
        device: [0; 24],
        union: [0; 24],
        qos: 0,
    };
    let room = args
        .device
        .get_mut(..parent.len())
        .filter(|_| parent.len() < 16);
    let room = room.ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?;
    room.copy_from_slice(parent.as_bytes());
    args.union[..4].copy_from_slice(&u32::from(id).to_ne_bytes());
    match call(&socket, SIOCSIFVLAN.into(), &raw mut args) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}

/// IPv4 packets of one link, without their Ethernet headers.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    index: libc::c_int,
}

impl PacketSocket {
    pub fn open(index: u32) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_PACKET, kind, ip().into()) })?;
        // SAFETY: the descriptor was made just now, and nobody else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let index = libc::c_int::try_from(index).map_err(io::Error::other)?;
        let socket = Self { fd, index };
        let address = socket.address([0; 6]);
        // SAFETY: `address` outlives the call, and the length is its own.
        check(unsafe {
            libc::bind(
                socket.fd.as_raw_fd(),
                (&raw const address).cast(),
                length(&address),
            )
        })?;
        Ok(socket)
    }

    /// Sends a packet to everybody on the link.
    pub fn broadcast(&self, packet: &[u8]) -> io::Result<()> {
        let to = self.address([0xff; 6]);
        let (fd, at) = (self.fd.as_raw_fd(), (&raw const to).cast());
        // SAFETY: `packet` and `to` outlive the call, and the lengths are their own.
        let sent =
            unsafe { libc::sendto(fd, packet.as_ptr().cast(), packet.len(), 0, at, length(&to)) };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// The next packet, or none within the time.
    pub fn receive(&self, buffer: &mut [u8], within: Duration) -> io::Result<Option<usize>> {
        let mut poll = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = libc::c_int::try_from(within.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one pollfd, which outlives the call.
        match unsafe { libc::poll(&raw mut poll, 1, millis) } {
            0 => return Ok(None),
            ready => check(ready)?,
        };
        // SAFETY: `buffer` outlives the call, and the length is its own.
        let read = unsafe {
            libc::recv(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        };
        usize::try_from(read)
            .map(Some)
            .map_err(|_| io::Error::last_os_error())
    }

    fn address(&self, card: [u8; 6]) -> libc::sockaddr_ll {
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = family(libc::AF_PACKET);
        address.sll_protocol = ip();
        address.sll_ifindex = self.index;
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&card);
        address
    }
}

fn ip() -> u16 {
    u16::try_from(libc::ETH_P_IP).unwrap_or_default().to_be()
}

fn family(family: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).unwrap_or_default()
}

fn length<T>(value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of_val(value)).unwrap_or_default()
}

fn control() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor was made just now, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

fn internet(address: Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = address.octets();
    // SAFETY: all zeros is a valid sockaddr.
    let mut socket: libc::sockaddr = unsafe { mem::zeroed() };
    socket.sa_family = family(libc::AF_INET);
    // sockaddr_in: two bytes of port, then the address.
    for (to, from) in socket.sa_data[2..6].iter_mut().zip([a, b, c, d]) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    socket
}

/// Each caller's request is the struct that its ioctl reads and writes.
fn call<T>(socket: &OwnedFd, name: libc::c_ulong, request: *mut T) -> io::Result<()> {
    // SAFETY: the pointer is to a value on the caller's stack, of the type that the ioctl is for.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), ioctl(name), request) }).map(drop)
}
