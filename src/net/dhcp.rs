//! What a machine is told when it asks for an address or for boot instructions.
//!
//! All of it is pure: bytes and the time go in, bytes and what was learnt come out. Beside another DHCP server we give
//! boot instructions and never an address (N3 to N6); where a network says so we are its DHCP server (N7).
//!
//! - [`packet`]: messages, read and written. - [`classify`]: who asks. - [`answer`]: what a booting client is told.
//! - [`ladder`]: which way it is told. - [`staple`]: the real server's lease with our instructions. - [`engine`]: all of it for one link.
//! - [`server`]: the network's own server. - [`crowd`]: a bounded memory of many. - [`moment`]: time that only goes forward.

pub mod answer;
pub mod classify;
pub mod crowd;
pub mod engine;
#[cfg(test)]
mod fixtures;
pub mod ladder;
pub mod moment;
pub mod packet;
pub mod server;
pub mod staple;

pub use answer::{BootAnswer, Frame, Reply, View};
pub use classify::{Client, Firmware, Ipxe};
pub use engine::{Engine, Input, Output};
