//! The wire: frames, addresses and the protocols by which a machine finds us.
//!
//! Each protocol is a plain state machine, `(state, input, now) -> outputs`; the sockets and timers around it
//! are thin loops that `daemon` starts.
//!
//! - [`links`]: what links there are. - [`link`]: raw frames of one link. - [`frame`], [`arp`]: frames, UDP and address
//!   resolution, built and parsed. - [`floating_ip`]: the address that is held beside the host's own. - [`dhcp`]: what a
//!   machine is told when it asks. - [`dns`]: the name of an address. - [`tftp`]: the files it fetches first. - [`peers`]: which machine is behind an
//!   address. - [`wire`]: all of it together, link by link.

pub mod arp;
pub mod dhcp;
pub mod dns;
pub mod floating_ip;
pub mod frame;
pub mod link;
pub mod links;
pub mod peers;
pub mod tftp;
pub mod wire;
