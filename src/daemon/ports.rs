//! Every door that Dragonfly opens, in one table.

use std::net::SocketAddr;
use std::path::Path;

use crate::api::PortUse;
use crate::core::config::NetConfig;
use crate::model::LinkName;

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
/// Boot instructions, or the whole of DHCP, on the links that were named.
pub const DHCP: Port = Port {
    name: "dhcp",
    default: "67/udp",
    purpose: "boot instructions for machines on the served links, or their DHCP server",
};
/// The PXE boot service.
pub const BINL: Port = Port {
    name: "binl",
    default: "4011/udp",
    purpose: "boot instructions for firmware that asks a boot service",
};
/// Loaders.
pub const TFTP: Port = Port {
    name: "tftp",
    default: "69/udp",
    purpose: "boot loaders for machines on the served links",
};
/// Scripts and files.
pub const MACHINES: Port = Port {
    name: "machines",
    default: "3080/tcp",
    purpose: "scripts, loaders and files for machines on the served links",
};
/// Agents and installed systems.
pub const AGENTS: Port = Port {
    name: "agents",
    default: "3081/tcp",
    purpose: "boot agents and installed systems on the served links, by TLS",
};
/// The table.
pub const PORTS: [&Port; 7] = [&HTTP, &SOCKET, &DHCP, &BINL, &TFTP, &MACHINES, &AGENTS];

/// The doors that are really open.
///
/// The machines' doors come and go with the links; `links` are those that were named.
pub fn in_use(
    http: &[SocketAddr],
    socket: Option<&Path>,
    links: &[LinkName],
    net: &NetConfig,
) -> Vec<PortUse> {
    let door = |port: &Port, at: String| PortUse {
        name: port.name.into(),
        at,
        purpose: port.purpose.into(),
    };
    let http = http.iter().map(|at| door(&HTTP, at.to_string()));
    let socket = socket.map(|path| door(&SOCKET, path.display().to_string()));
    let machines = links.iter().flat_map(|link| {
        let files = format!("{link}:{}/tcp", net.http_port);
        let agents = format!("{link}:{}/tcp", net.agent_port);
        let raw = [&DHCP, &BINL, &TFTP].map(|port| door(port, format!("{link}:{}", port.default)));
        raw.into_iter()
            .chain([door(&MACHINES, files), door(&AGENTS, agents)])
    });
    http.chain(socket).chain(machines).collect()
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
        assert_eq!(
            format!("{}/tcp", default("net.http_port")),
            MACHINES.default
        );
        assert_eq!(format!("{}/tcp", default("net.agent_port")), AGENTS.default);
    }
}
