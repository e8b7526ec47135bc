//! The system calls that have no safe wrapper.

pub mod block;
pub mod kernel;
pub mod link;
