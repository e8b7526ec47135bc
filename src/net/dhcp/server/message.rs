//! What the server says: offers, acknowledgements and refusals.

use std::net::Ipv4Addr;

use super::Asked;
use crate::model::trace::Mark;
use crate::net::dhcp::answer::{View, echo_relay, send};
use crate::net::dhcp::engine::Scene;
use crate::net::dhcp::packet::{Kind, Packet, code};

/// RFC 2131 4.3.1.
pub fn offer(address: Ipv4Addr, asked: &Asked<'_>, scene: &mut Scene<'_>) {
    let mut packet = Packet::reply_to(asked.packet, Kind::Offer);
    packet.ciaddr = Ipv4Addr::UNSPECIFIED;
    packet.yiaddr = address;
    fill(&mut packet, true, asked, scene.view);
    let reason = "we are this network's DHCP server";
    let reply = send(
        &packet,
        asked.packet,
        asked.client,
        asked.frame,
        scene.view,
        reason,
    );
    scene.serve(asked.client, Mark::Offered, format!("{address}"), reply);
}

pub fn acknowledgement(address: Ipv4Addr, asked: &Asked<'_>, view: &View<'_>) -> Packet {
    let mut packet = Packet::reply_to(asked.packet, Kind::Ack);
    packet.yiaddr = address;
    fill(&mut packet, true, asked, view);
    packet
}

/// RFC 2131 4.3.5: what it asked for, without an address or a lease.
pub fn inform(asked: &Asked<'_>, scene: &mut Scene<'_>) {
    if !scene.view.on_link(asked.client.ciaddr) {
        return;
    }
    let mut packet = Packet::reply_to(asked.packet, Kind::Ack);
    fill(&mut packet, false, asked, scene.view);
    let reason = "it has an address and asks for the rest";
    let reply = send(
        &packet,
        asked.packet,
        asked.client,
        asked.frame,
        scene.view,
        reason,
    );
    scene.serve(asked.client, Mark::Acknowledged, "its settings", reply);
}

/// RFC 2131 4.3.2: the client begins anew. Behind a relay it is reached by a broadcast of the relay's alone.
pub fn refuse(address: Ipv4Addr, asked: &Asked<'_>, why: &'static str, scene: &mut Scene<'_>) {
    let mut packet = Packet::reply_to(asked.packet, Kind::Nak);
    packet.ciaddr = Ipv4Addr::UNSPECIFIED;
    if asked.client.is_relayed() {
        packet.flags |= Packet::BROADCAST;
    }
    let server = scene.view.address_for(asked.client);
    packet.options.set(code::SERVER_ID, server.octets());
    packet.options.set(code::MESSAGE, why);
    echo_relay(asked.packet, &mut packet);
    let reply = send(
        &packet,
        asked.packet,
        asked.client,
        asked.frame,
        scene.view,
        why,
    );
    scene.send(asked.client.mac, Mark::Refused, format!("{address}"), reply);
}

/// What goes with an address (RFC 2132), and with a lease of it.
fn fill(packet: &mut Packet, leased: bool, asked: &Asked<'_>, view: &View<'_>) {
    let dhcp = &view.config.dhcp;
    let options = &mut packet.options;
    options.set(code::SERVER_ID, view.address_for(asked.client).octets());
    if leased {
        let seconds = dhcp.lease_seconds;
        options.set(code::LEASE_TIME, seconds.to_be_bytes());
        options.set(code::RENEWAL, (seconds / 2).to_be_bytes());
        let rebinding = seconds - seconds / 8;
        options.set(code::REBINDING, rebinding.to_be_bytes());
    }
    options.set(code::SUBNET_MASK, view.mask().octets());
    options.set(code::BROADCAST, view.broadcast().octets());
    if let Some(router) = dhcp.router {
        options.set(code::ROUTER, router.octets());
    }
    if !dhcp.dns.is_empty() {
        let servers: Vec<u8> = dhcp.dns.iter().flat_map(Ipv4Addr::octets).collect();
        options.set(code::DNS, servers);
    }
    if let Some(domain) = &dhcp.domain {
        options.set(code::DOMAIN, domain.as_str());
    }
    if let Some(instructions) = asked.instructions {
        instructions.put_on(packet);
        instructions.end_the_wait(packet);
    }
    echo_relay(asked.packet, packet);
}
