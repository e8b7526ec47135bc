//! Every door that Dragonfly opens, in one table.

use std::net::SocketAddr;
use std::path::Path;

use crate::api::PortUse;

/// One sort of door.
#[derive(Debug)]
pub struct Port {
    pub name: &'static str,
    /// Where it is when nobody says otherwise.
    pub default: &'static str,
    pub purpose: &'static str,
}

/// The pages and the API on loopback.
pub const HTTP: Port = Port {
    name: "http",
    default: "127.0.0.1:3000",
    purpose: "pages and API for people and scripts on this machine",
};
/// The API for the command line.
pub const SOCKET: Port = Port {
    name: "socket",
    default: "/run/dragonfly/dragonfly.sock",
    purpose: "API for the command line, for members of its group",
};
/// The table.
pub const PORTS: [&Port; 2] = [&HTTP, &SOCKET];

/// The doors that are really open.
pub fn in_use(http: &[SocketAddr], socket: Option<&Path>) -> Vec<PortUse> {
    let door = |port: &Port, at: String| PortUse {
        name: port.name.into(),
        at,
        purpose: port.purpose.into(),
    };
    let http = http.iter().map(|at| door(&HTTP, at.to_string()));
    let socket = socket.map(|path| door(&SOCKET, path.display().to_string()));
    http.chain(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::keys;

    #[test]
    fn the_table_and_the_configuration_name_the_same_places() {
        let default = |key| {
            keys::find(key)
                .unwrap()
                .default
                .trim_matches(['[', ']', '"'])
        };
        assert_eq!(default("listen"), HTTP.default);
        assert_eq!(default("socket.path"), SOCKET.default);
    }
}
