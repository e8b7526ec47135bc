//! The engine's part in stapling: which messages are relayed, and what is traced of it.

use super::scene::{Scene, named};
use super::{Engine, Told, advise};
use crate::model::Rung;
use crate::model::network::Serve;
use crate::model::trace::Mark;
use crate::net::dhcp::answer::{Frame, Instructions, View};
use crate::net::dhcp::classify::Client;
use crate::net::dhcp::crowd::Standing;
use crate::net::dhcp::packet::{Kind, Packet, code};
use crate::net::dhcp::staple::{Asked, Stapled};

impl Engine {
    /// Relays the DISCOVER of a client on this rung.
    pub(super) fn staple(
        &mut self,
        packet: &Packet,
        client: &Client,
        told: &Told,
        frame: &Frame<'_>,
        scene: &mut Scene<'_>,
    ) {
        let asked = Asked {
            packet,
            client,
            frame,
            standing: told.standing,
        };
        let boot = &told.instructions;
        let (early, forwarded) = self.staple.discover(&asked, boot, scene.view, scene.moment);
        if let Some(early) = early {
            self.issued(early, Some(boot), scene);
        }
        let text = "DISCOVER, to the real server";
        scene.send(client.mac, Mark::Relayed, text, forwarded);
    }

    /// Whether a message is for the real server by way of us: it names us as its server, or is a renewal that
    /// came to us alone. Whose lease we did not staple is left to ask everybody, as it will in time.
    pub(super) fn is_stapled(
        &self,
        packet: &Packet,
        client: &Client,
        frame: &Frame<'_>,
        view: &View<'_>,
    ) -> bool {
        let allowed = may_staple(view) && !client.is_relayed();
        let named = packet.options.address(code::SERVER_ID) == Some(view.server);
        let renews = client.kind == Kind::Request
            && !client.ciaddr.is_unspecified()
            && *frame.dst.ip() == view.server
            && packet.options.get(code::SERVER_ID).is_none();
        let known = self.staple.knows(client.mac);
        let ours = match client.kind {
            Kind::Request => (named && (known || client.boots())) || (renews && known),
            Kind::Release | Kind::Decline => named && known,
            _ => false,
        };
        allowed && ours
    }

    /// Relays a REQUEST, RELEASE or DECLINE.
    pub(super) fn relay(
        &mut self,
        packet: &Packet,
        client: &Client,
        frame: &Frame<'_>,
        scene: &mut Scene<'_>,
    ) {
        let view = scene.view;
        let boot = client.boots().then(|| advise(client, view)).flatten();
        let boot = boot.map(|told| told.instructions);
        let asked = Asked {
            packet,
            client,
            frame,
            standing: Standing::Known,
        };
        let forwarded = if client.kind == Kind::Request {
            self.ladder
                .note(client.mac, scene.moment, |facts| facts.requested = true);
            let reply = self
                .staple
                .request(&asked, boot.as_ref(), view, scene.moment);
            Some(reply)
        } else {
            self.staple.give_up(&asked, view)
        };
        if let Some(forwarded) = forwarded {
            let text = format!("{}, to the real server", client.kind.name());
            scene.send(client.mac, Mark::Relayed, text, forwarded);
        }
    }

    /// What the real server answered to a relayed message.
    pub(super) fn relayed(&mut self, packet: &Packet, frame: &Frame<'_>, scene: &mut Scene<'_>) {
        if *frame.dst.ip() != scene.view.own || !may_staple(scene.view) {
            return;
        }
        if let Some(stapled) = self.staple.answered(packet, scene.view, scene.moment) {
            self.issued(stapled, None, scene);
        }
    }

    fn issued(&mut self, stapled: Stapled, boot: Option<&Instructions>, scene: &mut Scene<'_>) {
        let Stapled {
            mac,
            kind,
            server,
            address,
            reply,
        } = stapled;
        let acknowledged = kind == Kind::Ack;
        self.ladder.note(mac, scene.moment, |facts| {
            facts.foreign_offer = Some(server);
            facts.acknowledged |= acknowledged;
        });
        let told = boot
            .map(|boot| format!(", with {}", named(boot)))
            .unwrap_or_default();
        let (mark, text) = match kind {
            Kind::Offer => (
                Mark::Offered,
                format!("{address} of {server}, stapled{told}"),
            ),
            Kind::Ack => (
                Mark::Acknowledged,
                format!("{address} of {server}, stapled"),
            ),
            _ => (Mark::Refused, format!("{server} refused")),
        };
        scene.send(mac, mark, text, reply);
    }

    pub(super) fn tell_silent_servers(&mut self, scene: &mut Scene<'_>) {
        for (mac, kind) in self.staple.silent(scene.moment) {
            self.ladder
                .note(mac, scene.moment, |facts| facts.relay_silent = true);
            let text = format!("no answer to the relayed {}", kind.name());
            let why = "the real server ignores relays, or the switch drops them (DHCP snooping)";
            scene.trace(mac, Mark::RelaySilent, text, why);
        }
    }
}

fn may_staple(view: &View<'_>) -> bool {
    view.config.serve == Serve::Proxy && view.config.rungs.contains(&Rung::Staple)
}
