//! All that a booting machine fetches: loaders, scripts and files.
//!
//! - [`loaders`]: which file for which machine. - [`ipxe`]: the scripts. - [`files`]: where files come from.
//!   - [`environments`]: what machines run the agent from. - [`cache`]: images, fetched once for all.
//!   - [`http`]: the machine plane, by plain HTTP.

pub mod cache;
pub mod environments;
pub mod files;
pub mod http;
pub mod ipxe;
pub mod loaders;
