//! What a person pastes into the router, the switch or the DHCP server at fault, with our addresses filled in.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// What a snippet cures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// The DHCP server itself tells machines to boot from us.
    BootOptions,
    /// The DHCP server stops telling machines to boot from somewhere else.
    NoBootOptions,
    /// The DHCP server has addresses for machines that boot.
    DhcpPool,
    /// The DHCP server answers what we relay to it.
    AllowRelay,
    /// The switch lets our answers through.
    Snooping,
    /// The firewall lets machines fetch from us.
    Firewall,
}

impl Topic {
    pub const ALL: [Self; 6] = [
        Self::BootOptions,
        Self::NoBootOptions,
        Self::DhcpPool,
        Self::AllowRelay,
        Self::Snooping,
        Self::Firewall,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::BootOptions => "boot-options",
            Self::NoBootOptions => "no-boot-options",
            Self::DhcpPool => "dhcp-pool",
            Self::AllowRelay => "allow-relay",
            Self::Snooping => "snooping",
            Self::Firewall => "firewall",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    Dnsmasq,
    Kea,
    IscDhcp,
    Mikrotik,
    Unifi,
    /// A firewall on the way.
    Nftables,
}

impl Product {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dnsmasq => "dnsmasq",
            Self::Kea => "Kea",
            Self::IscDhcp => "ISC dhcpd",
            Self::Mikrotik => "MikroTik RouterOS",
            Self::Unifi => "UniFi Network",
            Self::Nftables => "nftables",
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing to paste, or to click where there is nothing to paste into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippet {
    pub topic: Topic,
    pub product: Product,
    pub text: String,
}

/// Where machines fetch from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    pub address: Ipv4Addr,
    pub http_port: u16,
    /// The host's own address, from which requests are relayed.
    pub relay: Ipv4Addr,
    /// The network that the machines are in.
    pub network: (Ipv4Addr, u8),
}

impl Server {
    /// A server at `address`, of a host with this address and length of prefix.
    pub fn new(address: Ipv4Addr, http_port: u16, host: (Ipv4Addr, u8)) -> Self {
        let (relay, prefix) = host;
        let part = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        Self {
            address,
            http_port,
            relay,
            network: (Ipv4Addr::from(u32::from(relay) & !part), prefix.min(32)),
        }
    }
}

/// The loaders that a DHCP server of another's can name: for BIOS, x64 and arm64.
const BIOS: &str = "undionly.kpxe";
const X64: &str = "snponly.efi";
const ARM64: &str = "ipxe-arm64.efi";

/// Everything there is for one topic.
pub fn snippets(topic: Topic, server: &Server) -> Vec<Snippet> {
    let texts: Vec<(Product, String)> = match topic {
        Topic::BootOptions => boot_options(server),
        Topic::NoBootOptions => no_boot_options(),
        Topic::DhcpPool => dhcp_pool(server),
        Topic::AllowRelay => allow_relay(server),
        Topic::Snooping => snooping(server),
        Topic::Firewall => firewall(server),
    };
    let made = texts.into_iter();
    made.map(|(product, text)| Snippet {
        topic,
        product,
        text,
    })
    .collect()
}

fn boot_options(server: &Server) -> Vec<(Product, String)> {
    let ip = server.address;
    let script = format!("http://{ip}:{}/ipxe/boot.ipxe", server.http_port);
    let dnsmasq = format!(
        "\
dhcp-userclass=set:ipxe,iPXE
dhcp-match=set:x64,option:client-arch,7
dhcp-match=set:x64,option:client-arch,9
dhcp-match=set:arm64,option:client-arch,11
dhcp-boot=tag:!ipxe,tag:!x64,tag:!arm64,{BIOS},,{ip}
dhcp-boot=tag:!ipxe,tag:x64,{X64},,{ip}
dhcp-boot=tag:!ipxe,tag:arm64,{ARM64},,{ip}
dhcp-boot=tag:ipxe,{script}
"
    );
    let kea = format!(
        r#"// in "Dhcp4"
"client-classes": [
  {{ "name": "ipxe", "test": "substring(option[77].hex,0,4) == 'iPXE'",
    "next-server": "{ip}", "boot-file-name": "{script}" }},
  {{ "name": "x64", "test": "not member('ipxe') and (option[93].hex == 0x0007 or option[93].hex == 0x0009)",
    "next-server": "{ip}", "boot-file-name": "{X64}" }},
  {{ "name": "arm64", "test": "not member('ipxe') and option[93].hex == 0x000b",
    "next-server": "{ip}", "boot-file-name": "{ARM64}" }},
  {{ "name": "bios", "test": "not member('ipxe') and option[93].hex == 0x0000",
    "next-server": "{ip}", "boot-file-name": "{BIOS}" }}
]
"#
    );
    let isc = format!(
        r#"option arch code 93 = unsigned integer 16;
next-server {ip};
if exists user-class and option user-class = "iPXE" {{
  filename "{script}";
}} elsif option arch = 00:07 or option arch = 00:09 {{
  filename "{X64}";
}} elsif option arch = 00:0b {{
  filename "{ARM64}";
}} else {{
  filename "{BIOS}";
}}
"#
    );
    let mikrotik = format!(
        "\
# One file for all machines of the network: {X64} for UEFI, {BIOS} for BIOS.
/ip dhcp-server network set [find] next-server={ip} boot-file-name={X64}
"
    );
    let unifi = format!(
        "\
Settings > Networks > (the network) > DHCP > Network Boot: on
  Server: {ip}
  File name: {X64} (for BIOS machines: {BIOS})
"
    );
    vec![
        (Product::Dnsmasq, dnsmasq),
        (Product::Kea, kea),
        (Product::IscDhcp, isc),
        (Product::Mikrotik, mikrotik),
        (Product::Unifi, unifi),
    ]
}

fn no_boot_options() -> Vec<(Product, String)> {
    let texts = [
        (
            Product::Dnsmasq,
            "# take out every line that begins so\n#dhcp-boot=\n#pxe-service=\n#dhcp-option=66,\n#dhcp-option=67,\n",
        ),
        (
            Product::Kea,
            "// take out of subnets, pools, classes and reservations\n// \"next-server\", \"boot-file-name\", \"server-hostname\", and options 66 and 67\n",
        ),
        (
            Product::IscDhcp,
            "# take out every line that begins so\n#next-server\n#filename\n#option tftp-server-name\n#option bootfile-name\n",
        ),
        (
            Product::Mikrotik,
            "/ip dhcp-server network set [find] next-server=0.0.0.0 boot-file-name=\"\"\n",
        ),
        (
            Product::Unifi,
            "Settings > Networks > (the network) > DHCP > Network Boot: off, TFTP Server: off\n",
        ),
    ];
    texts.map(|(product, text)| (product, text.into())).into()
}

fn dhcp_pool(server: &Server) -> Vec<(Product, String)> {
    let (first, last, mask) = range(server.network);
    let (network, prefix) = server.network;
    let unifi = "Settings > Networks > (the network) > DHCP Mode: DHCP Server, with free addresses in its range\n";
    vec![
        (
            Product::Dnsmasq,
            format!("dhcp-range={first},{last},{mask},1h\n"),
        ),
        (
            Product::Kea,
            format!(
                "// in \"Dhcp4\"\n\"subnet4\": [ {{ \"id\": 1, \"subnet\": \"{network}/{prefix}\",\n  \"pools\": [ {{ \"pool\": \"{first} - {last}\" }} ] }} ]\n"
            ),
        ),
        (
            Product::IscDhcp,
            format!("subnet {network} netmask {mask} {{\n  range {first} {last};\n}}\n"),
        ),
        (
            Product::Mikrotik,
            format!(
                "/ip pool add name=netboot ranges={first}-{last}\n/ip dhcp-server set [find] address-pool=netboot\n"
            ),
        ),
        (Product::Unifi, unifi.into()),
    ]
}

fn allow_relay(server: &Server) -> Vec<(Product, String)> {
    let (first, last, mask) = range(server.network);
    let (relay, (network, prefix)) = (server.relay, server.network);
    vec![
        (
            Product::Dnsmasq,
            format!(
                "# a range with its netmask is given out to relays as well\ndhcp-range={first},{last},{mask},1h\n"
            ),
        ),
        (
            Product::Kea,
            format!(
                "// in the subnet {network}/{prefix}\n\"relay\": {{ \"ip-addresses\": [ \"{relay}\" ] }}\n"
            ),
        ),
        (
            Product::IscDhcp,
            format!(
                "# the relay {relay} has to lie in a subnet that is declared\nsubnet {network} netmask {mask} {{\n  range {first} {last};\n}}\n"
            ),
        ),
        (
            Product::Mikrotik,
            format!(
                "# a second server for what comes from the relay\n/ip dhcp-server add name=relayed interface=bridge relay={relay} address-pool=[/ip dhcp-server get 0 address-pool] disabled=no\n"
            ),
        ),
        (
            Product::Unifi,
            "UniFi gateways do not answer relays of their own network: leave stapling off, and use the snippet boot-options\n".into(),
        ),
    ]
}

fn snooping(server: &Server) -> Vec<(Product, String)> {
    let (ip, relay) = (server.address, server.relay);
    vec![
        (
            Product::Mikrotik,
            "# the port that this host is plugged into\n/interface bridge port set [find interface=etherN] trusted=yes\n".into(),
        ),
        (
            Product::Unifi,
            format!(
                "Settings > Networks > (the network) > DHCP Guarding: add {ip} and {relay} to the trusted servers, or turn it off\n"
            ),
        ),
    ]
}

fn firewall(server: &Server) -> Vec<(Product, String)> {
    let (ip, port, (network, prefix)) = (server.address, server.http_port, server.network);
    let nft = format!(
        "\
nft add rule inet filter input ip saddr {network}/{prefix} ip daddr {ip} udp dport {{ 67, 69, 4011 }} accept
nft add rule inet filter input ip saddr {network}/{prefix} ip daddr {ip} tcp dport {port} accept
"
    );
    let mikrotik = format!(
        "\
/ip firewall filter add chain=forward dst-address={ip} protocol=udp dst-port=67,69,4011 action=accept place-before=0
/ip firewall filter add chain=forward dst-address={ip} protocol=tcp dst-port={port} action=accept place-before=0
"
    );
    let unifi = format!(
        "Settings > Security > Firewall: allow from the machines' network to {ip}, UDP 67, 69 and 4011, TCP {port}\n"
    );
    vec![
        (Product::Nftables, nft),
        (Product::Mikrotik, mikrotik),
        (Product::Unifi, unifi),
    ]
}

/// The upper half of a network without its broadcast address, and the network's mask.
fn range((network, prefix): (Ipv4Addr, u8)) -> (Ipv4Addr, Ipv4Addr, Ipv4Addr) {
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let network = u32::from(network);
    let first = network | (host / 2 + 1);
    let last = (network | host.saturating_sub(1)).max(first);
    (
        Ipv4Addr::from(first),
        Ipv4Addr::from(last),
        Ipv4Addr::from(!host),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Server = Server {
        address: Ipv4Addr::new(10, 0, 0, 2),
        http_port: 3080,
        relay: Ipv4Addr::new(10, 0, 0, 1),
        network: (Ipv4Addr::new(10, 0, 0, 0), 24),
    };

    #[test]
    fn the_real_addresses_stand_in_what_is_pasted() {
        for product in [
            Product::Dnsmasq,
            Product::Kea,
            Product::IscDhcp,
            Product::Mikrotik,
            Product::Unifi,
        ] {
            let all = snippets(Topic::BootOptions, &SERVER);
            let own = all.iter().find(|snippet| snippet.product == product);
            let text = &own.unwrap().text;
            assert!(text.contains("10.0.0.2") && text.contains(X64), "{text}");
        }
    }

    #[test]
    fn a_loader_is_never_named_to_ipxe_again() {
        for snippet in snippets(Topic::BootOptions, &SERVER) {
            let scripted = snippet.text.contains("http://10.0.0.2:3080/ipxe/boot.ipxe");
            let plain = matches!(snippet.product, Product::Mikrotik | Product::Unifi);
            assert!(scripted || plain, "{snippet:?}");
        }
    }

    #[test]
    fn every_topic_has_something_to_paste_that_ends_its_line() {
        for topic in Topic::ALL {
            let all = snippets(topic, &SERVER);
            assert!(!all.is_empty(), "{topic}");
            for snippet in all {
                assert!(snippet.text.ends_with('\n') && !snippet.text.ends_with("\n\n"));
                assert!(!snippet.text.contains("{ip}"), "{}", snippet.text);
            }
        }
    }

    #[test]
    fn a_range_lies_inside_its_network() {
        let text = |network: [u8; 4], prefix| {
            let (first, last, mask) = range((network.into(), prefix));
            format!("{first}-{last} {mask}")
        };
        assert_eq!(
            text([10, 0, 0, 0], 24),
            "10.0.0.128-10.0.0.254 255.255.255.0"
        );
        assert_eq!(text([10, 0, 0, 0], 30), "10.0.0.2-10.0.0.2 255.255.255.252");
        assert_eq!(text([10, 0, 0, 7], 32), "10.0.0.7-10.0.0.7 255.255.255.255");
        assert_eq!(text([0, 0, 0, 0], 0), "128.0.0.0-255.255.255.254 0.0.0.0");
    }
}
