//! Each cause in a person's words. `{link}`, `{port}` and the step's own `{text}` are filled in.

use super::Cause;
use crate::model::snippets::Topic;

/// One cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    kind: Cause,
    /// The likely cause, in a sentence.
    pub cause: &'static str,
    /// What helps most comes first.
    pub what_to_do: &'static [&'static str],
    pub topics: &'static [Topic],
}

/// For an offer that was ignored, while stapling is off.
pub(super) const ALLOW_STAPLING: &str =
    "or allow stapling: dragonfly network set {link} rungs=proxy,binl,staple";

/// The row of a cause. Every cause has one; a test goes through them.
pub(super) fn words(kind: Cause) -> &'static Words {
    let row = TABLE.iter().find(|row| row.kind == kind);
    row.unwrap_or(&TABLE[TABLE.len() - 1])
}

const TABLE: [Words; Cause::ALL.len()] = [
    Words {
        kind: Cause::Approval,
        cause: "it waits on its screen for a person's approval",
        what_to_do: &["let it in: dragonfly machine approve MAC"],
        topics: &[],
    },
    Words {
        kind: Cause::OnlyKnown,
        cause: "this network answers known machines only, and it is none",
        what_to_do: &[
            "register it: dragonfly machine add MAC",
            "or let new ones ask: dragonfly network set {link} admit=approve",
        ],
        topics: &[],
    },
    Words {
        kind: Cause::NothingToDo,
        cause: "nothing is to be done for it, and this network is silent then, so its firmware goes on to its own disk",
        what_to_do: &["to boot something once: dragonfly machine boot-once MACHINE --shell"],
        topics: &[],
    },
    Words {
        kind: Cause::NotServed,
        cause: "nothing is given out on this network: serve is off",
        what_to_do: &["dragonfly network set {link} serve=proxy"],
        topics: &[],
    },
    Words {
        kind: Cause::FileMissing,
        cause: "it asked for a file that is not there: {text}",
        what_to_do: &[
            "install the package that brings the loaders (Debian: ipxe), or put the file into boot/ of the data folder",
            "see which loaders are there: dragonfly doctor",
        ],
        topics: &[],
    },
    Words {
        kind: Cause::TftpBroken,
        cause: "a transfer over TFTP broke off: packets get lost, or are too long for a link on the way (MTU), or a firewall lets only the first one through",
        what_to_do: &[
            "make the MTU the same on all links between us and the machine",
            "let UDP port 69 and the answers to it through firewalls on the way",
        ],
        topics: &[Topic::Firewall],
    },
    Words {
        kind: Cause::HttpBroken,
        cause: "a transfer over HTTP broke off: packets get lost, or its firmware ran out of memory",
        what_to_do: &["look for lost packets on the way, and for the memory that the file takes"],
        topics: &[Topic::Firewall],
    },
    Words {
        kind: Cause::LoaderSilent,
        cause: "it fetched its loader, and the loader was not heard of again: it hangs on this network card, or Secure Boot refused it",
        what_to_do: &[
            "give it the other loader: full instead of firmware, or the other way round",
            "with Secure Boot on, only signed loaders start: give it the signed one, or turn Secure Boot off",
        ],
        topics: &[],
    },
    Words {
        kind: Cause::ScriptNotFetched,
        cause: "iPXE runs and did not fetch its script: a firewall closes TCP port {port}, or the link was not up in time (spanning tree, LACP)",
        what_to_do: &[
            "open TCP port {port} in firewalls on the way",
            "set the switch port to portfast (edge), and LACP to fall back to a single link",
        ],
        topics: &[Topic::Firewall],
    },
    Words {
        kind: Cause::RelaySilent,
        cause: "the DHCP server does not answer what is relayed to it: it ignores relays, or the switch drops them (DHCP snooping)",
        what_to_do: &[
            "let the DHCP server answer relays, or let it name us itself: see the snippets",
            "or leave stapling off: dragonfly network set {link} rungs=proxy,binl",
        ],
        topics: &[Topic::AllowRelay, Topic::Snooping, Topic::BootOptions],
    },
    Words {
        kind: Cause::ForeignBoot,
        cause: "another DHCP server sends boot instructions of its own, and firmware prefers those that come with the address",
        what_to_do: &[
            "take the boot instructions out of the other DHCP server, or make them name us: see the snippets",
        ],
        topics: &[Topic::NoBootOptions, Topic::BootOptions],
    },
    Words {
        kind: Cause::HttpRefused,
        cause: "its firmware boots by HTTP and did not fetch from our URL: most firmware refuses plain http until it is told otherwise",
        what_to_do: &[
            "allow plain http in its firmware's set-up ('Allow HTTP connections', 'HTTP boot policy')",
            "or choose PXE over IPv4 in its boot menu",
        ],
        topics: &[Topic::Firewall],
    },
    Words {
        kind: Cause::Refused,
        cause: "the DHCP server refused the address that it asked for, so it begins anew",
        what_to_do: &[
            "nothing, if it boots the next time; else look for two DHCP servers in its network",
        ],
        topics: &[],
    },
    Words {
        kind: Cause::FileNotFetched,
        cause: "it was told what to boot and did not fetch it: a firewall closes UDP port 69, or it is in another VLAN than we are",
        what_to_do: &[
            "open UDP port 69 between the machine and us",
            "see that the machine's port is in the VLAN of this link",
        ],
        topics: &[Topic::Firewall],
    },
    Words {
        kind: Cause::OfferIgnored,
        cause: "it took an address and not our offer: the switch drops offers that are not the DHCP server's (DHCP snooping), or its firmware does not put two offers together",
        what_to_do: &[
            "where DHCP snooping or guarding is on, make the switch port of this host a trusted one",
            "or let the DHCP server itself name us: see the snippets",
        ],
        topics: &[Topic::Snooping, Topic::BootOptions],
    },
    Words {
        kind: Cause::OffersLost,
        cause: "addresses were offered and it took none: the offers do not reach it (another VLAN, a spanning tree that is slow to open its port, DHCP snooping)",
        what_to_do: &[
            "set the switch port to portfast (edge)",
            "see that the machine's port is in the VLAN of this link, and untagged",
        ],
        topics: &[Topic::Snooping],
    },
    Words {
        kind: Cause::NoAddress,
        cause: "nobody offered it an address: there is no DHCP server in its VLAN, its pool is used up, or the switch keeps the answers back (DHCP snooping)",
        what_to_do: &[
            "see that a DHCP server runs in the machine's VLAN and has free addresses",
            "or give out addresses from here: dragonfly network set {link} serve=server pool=FIRST-LAST",
        ],
        topics: &[Topic::DhcpPool, Topic::Snooping],
    },
    Words {
        kind: Cause::NoLoader,
        cause: "it asked to boot, and there is no loader for what it is: {text}",
        what_to_do: &[
            "install the package that brings the loaders (Debian: ipxe); it has none for ia32 and arm32",
            "or put one into boot/ of the data folder",
            "see which loaders are there: dragonfly doctor",
        ],
        topics: &[],
    },
    Words {
        kind: Cause::Unanswered,
        cause: "it asked to boot, and nothing was answered",
        what_to_do: &["see what is given out on its network: dragonfly network list"],
        topics: &[],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_words() {
        for (kind, row) in Cause::ALL.into_iter().zip(&TABLE) {
            assert_eq!(row.kind, kind);
            assert!(!row.cause.is_empty() && !row.what_to_do.is_empty());
        }
    }
}
