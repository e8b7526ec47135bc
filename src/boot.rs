//! All that a booting machine fetches: loaders, scripts and files.
//!
//! - [`loaders`]: which file for which machine. - [`ipxe`]: the scripts. - [`files`]: where files come from.
//!   - [`http`]: the machine plane, by plain HTTP.

pub mod files;
pub mod http;
pub mod ipxe;
pub mod loaders;
