//! Hands each machine its script: registers who is new, takes off what was ordered for one boot, and tells the trace.

use futures_util::future::BoxFuture;

use std::sync::Arc;

use super::adviser::{Adviser, Asked};
use super::pages::installer;
use super::register::{self, Visitor};
use super::story::Story;
use crate::boot::http::{Ask, Given, Machines, Unavailable};
use crate::boot::ipxe::Invited;
use crate::model::trace::{Mark, Stage};
use crate::model::{Arch, Boot, Decision, LinkName, Once, Platform};
use crate::provision::endpoint::Endpoint;

pub(super) struct Reception {
    adviser: Adviser,
    story: Story,
    agents: Arc<Endpoint>,
    agent_port: u16,
}

impl Reception {
    pub(super) fn new(
        adviser: Adviser,
        story: Story,
        agents: Arc<Endpoint>,
        agent_port: u16,
    ) -> Self {
        Self {
            adviser,
            story,
            agents,
            agent_port,
        }
    }

    async fn give(&self, ask: &Ask) -> Result<Given, Unavailable> {
        let visitor = Visitor {
            mac: ask.mac,
            uuid: ask.uuid,
            platform: ask.platform,
            arch: ask.platform.and_then(arch_of),
            link: self.link(ask)?,
            from: format!("http {}", ask.peer.ip()),
        };
        self.story.arrived(ask.mac);
        self.adviser.script_reached(ask.mac);
        let mut asked = register::admit(&self.adviser, &visitor).await;
        let agent = self.invite(ask, &mut asked);
        let installer = self.installer(ask, &mut asked).await;
        let name = match &asked.machine {
            Some(machine) => machine.name().to_owned(),
            None => ask.mac.to_string(),
        };
        let decision = asked.decision;
        let mark = match decision.boot {
            Boot::Local | Boot::Silence => Mark::LocalBoot,
            Boot::Wait | Boot::Once(_) | Boot::Agent | Boot::Installer => Mark::ScriptSaid,
        };
        let link = Some(visitor.link);
        let reached = format!("{name} is given its script");
        let given = (Stage::Script, Mark::ScriptGiven);
        self.story.note(ask.mac, link.clone(), given, &reached, "");
        let told = (Stage::Script, mark);
        self.story
            .note(ask.mac, link, told, &told_to(&decision.boot), decision.why);
        Ok(Given {
            name,
            decision,
            agent,
            installer,
        })
    }

    /// How its agent is let in, if it is sent one; one that cannot be let in is not sent.
    fn invite(&self, ask: &Ask, asked: &mut Asked) -> Option<Invited> {
        if asked.decision.boot != Boot::Agent {
            return None;
        }
        let load = ask.platform.and_then(|platform| {
            let machine = asked.machine.as_deref();
            self.adviser
                .environment(platform, machine, ask.card.as_deref())
        });
        let invited = self.agents.invite(ask.mac, ask.peer.ip().to_canonical());
        let Some((invited, load)) = invited.zip(load) else {
            asked.decision = Decision {
                boot: Boot::Local,
                why: "its boot environment is gone, or its agent would not be let in",
            };
            return None;
        };
        Some(Invited {
            load,
            port: self.agent_port,
            pin: invited.pin,
            token: invited.token,
        })
    }

    /// The kernel of its installer, if it is sent one. A workflow whose installer cannot be made is over.
    async fn installer(&self, ask: &Ask, asked: &mut Asked) -> Option<Once> {
        let machine = asked.machine.as_ref()?;
        if asked.decision.boot != Boot::Installer {
            return None;
        }
        match installer(self.adviser.core(), machine, ask.local).await {
            Ok(once) => Some(once),
            Err(why) => {
                tracing::warn!(mac = %ask.mac, %why, "installer not started");
                asked.decision = Decision {
                    boot: Boot::Local,
                    why: "its installer cannot be started; its workflow tells why",
                };
                None
            }
        }
    }

    /// The link that it was heard on; behind a router, the one that our address is on.
    fn link(&self, ask: &Ask) -> Result<LinkName, Unavailable> {
        let heard = self.story.link_of(ask.peer.ip());
        let ours = || {
            let links = self.adviser.core().wire().links();
            let of = links.into_iter().find(|link| {
                let own = link
                    .addresses
                    .iter()
                    .any(|(address, _)| *address == ask.local.ip());
                own || link.serving.from.is_some_and(|from| from == ask.local.ip())
            });
            of.map(|link| link.name)
        };
        heard.or_else(ours).ok_or_else(|| {
            Unavailable("no link is known by which this machine asks; it is tried again".to_owned())
        })
    }
}

/// What such an iPXE says to DHCP.
const fn arch_of(platform: Platform) -> Option<Arch> {
    Some(Arch(match platform {
        Platform::Bios => 0,
        Platform::Ia32 => 6,
        Platform::X64 => 7,
        Platform::Arm32 => 10,
        Platform::Arm64 => 11,
        Platform::Riscv64 => 27,
        Platform::Loong64 => 39,
        Platform::UBoot | Platform::RaspberryPi => return None,
    }))
}

fn told_to(boot: &Boot) -> String {
    match boot {
        Boot::Local | Boot::Silence => "goes on to its own disk".to_owned(),
        Boot::Wait => "waits, and asks again".to_owned(),
        Boot::Agent => "boots the agent".to_owned(),
        Boot::Installer => "boots its system's installer".to_owned(),
        Boot::Once(Once::Shell) => "boots into iPXE's shell, this once".to_owned(),
        Boot::Once(Once::Chain { url }) => format!("boots {url}, this once"),
        Boot::Once(Once::Kernel { kernel, .. }) => format!("boots the kernel {kernel}, this once"),
    }
}

impl Machines for Reception {
    fn script<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Given, Unavailable>> {
        Box::pin(self.give(ask))
    }
}
