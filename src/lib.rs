//! Dragonfly turns bare machines into running servers.
//!
//! The map of the program; each room says at its head what it owns, and may use only the rooms above it.
//!
//! - [`model`]: the nouns and their rules, pure.
//! - `agent` (feature `agent`): the program that runs on a machine that booted from us, and in what it installed.
//! - [`store`]: what is kept, in atomic commits, with the events that changed it.
//! - [`core`]: commands in, events out. The policy, the clock, telemetry and configuration.
//! - [`api`]: the people's API as types.
//! - [`net`]: the wire: frames, the floating IP, DHCP and TFTP.
//! - [`boot`]: all that a booting machine fetches.
//! - [`provision`]: what turns an order into an installed system.
//! - [`web`]: serves the API and the page.
//! - [`cli`]: the command line, a client of the API.
//! - [`demo`]: invented machines.
//! - `lab` (feature `lab`): an isolated network with DHCP servers and virtual machines, for tests and `dragonfly-lab`.
//! - [`daemon`]: builds the rooms, plugs them together, and takes them down again.

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod boot;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod core;
#[cfg(feature = "server")]
pub mod daemon;
#[cfg(feature = "server")]
pub mod demo;
#[cfg(feature = "lab")]
pub mod lab;
pub mod model;
#[cfg(feature = "server")]
pub mod net;
#[cfg(feature = "server")]
pub mod provision;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod web;
