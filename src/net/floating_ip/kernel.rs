//! What is done to the link itself: the address on it, and how the kernel answers for it.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressScope};
use rtnetlink::{AddressMessageBuilder, Handle};

use super::place::ALONE;
use crate::model::LinkName;
use crate::model::network::ArpSettings;

/// `arp_ignore` 1: an address is answered for on its own link only. `arp_announce` 2: what the host asks it asks as
/// itself, also while it answers from the floating IP.
pub(super) const QUIET: ArpSettings = ArpSettings {
    arp_ignore: 1,
    arp_announce: 2,
};

/// With no prefix route, and of a subnet of its own: no traffic of the host goes by it.
pub(super) async fn add(handle: &Handle, index: u32, address: Ipv4Addr) -> Result<(), String> {
    let mut request = handle.address().add(index, address.into(), ALONE);
    let message = request.message_mut();
    message.header.scope = AddressScope::Universe;
    let flags = AddressAttribute::Flags(AddressFlags::Noprefixroute);
    message.attributes.push(flags);
    forgive(request.execute().await, libc::EEXIST)
}

/// This address with this prefix alone; the same address with another one is the host's.
pub(super) async fn remove(handle: &Handle, index: u32, address: Ipv4Addr) -> Result<(), String> {
    let message = AddressMessageBuilder::<Ipv4Addr>::new()
        .index(index)
        .address(address, ALONE)
        .build();
    let result = handle.address().del(message).execute().await;
    forgive(result, libc::EADDRNOTAVAIL)
}

/// That it is so already is as good.
fn forgive(result: Result<(), rtnetlink::Error>, code: i32) -> Result<(), String> {
    match result {
        Err(rtnetlink::Error::NetlinkError(error)) => match error.to_io() {
            error if error.raw_os_error() == Some(code) => Ok(()),
            error => Err(error.to_string()),
        },
        result => result.map_err(|error| error.to_string()),
    }
}

/// How the link is set now.
pub(super) fn arp_settings(link: &LinkName) -> io::Result<ArpSettings> {
    Ok(ArpSettings {
        arp_ignore: read(link, "arp_ignore")?,
        arp_announce: read(link, "arp_announce")?,
    })
}

pub(super) fn set_arp(link: &LinkName, settings: ArpSettings) -> io::Result<()> {
    fs::write(file(link, "arp_ignore"), settings.arp_ignore.to_string())?;
    fs::write(
        file(link, "arp_announce"),
        settings.arp_announce.to_string(),
    )
}

fn read(link: &LinkName, setting: &str) -> io::Result<u8> {
    let text = fs::read_to_string(file(link, setting))?;
    text.trim().parse().map_err(io::Error::other)
}

fn file(link: &LinkName, setting: &str) -> PathBuf {
    let links = PathBuf::from("/proc/sys/net/ipv4/conf");
    links.join(link.as_str()).join(setting)
}
