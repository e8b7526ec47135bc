//! What other DHCP servers were seen to give out: a floating IP among it may be a machine's one day.

use std::net::Ipv4Addr;

/// The ends of what was seen: a pool is a range, as a rule, and its ends widen with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    server: Ipv4Addr,
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// Takes note of an address that `server` offered or leased.
pub(super) fn note(seen: &mut Option<Seen>, server: Ipv4Addr, address: Ipv4Addr) {
    let known = seen.filter(|seen| seen.server == server);
    *seen = Some(Seen {
        server,
        first: known.map_or(address, |seen| seen.first.min(address)),
        last: known.map_or(address, |seen| seen.last.max(address)),
    });
}

/// Why `address` should not be held, if there is a sign of it.
pub(super) fn warning(seen: Option<Seen>, address: Ipv4Addr) -> Option<String> {
    let Seen {
        server,
        first,
        last,
    } = seen?;
    let inside = (first..=last).contains(&address);
    inside.then(|| {
        format!(
            "{address} may lie in the pool of the DHCP server {server}, which was seen to give out {first} to {last}: \
             exclude it there, or set another floating IP"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn at(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, last)
    }

    #[test]
    fn an_address_between_those_that_were_given_out_is_warned_about() {
        let mut seen = None;
        assert_eq!(warning(seen, at(120)), None);
        note(&mut seen, SERVER, at(140));
        assert_eq!(warning(seen, at(120)), None);
        note(&mut seen, SERVER, at(100));
        let said = warning(seen, at(120)).unwrap();
        assert!(
            said.contains("10.0.0.1, which was seen to give out 10.0.0.100 to 10.0.0.140"),
            "{said}"
        );
        assert_eq!(warning(seen, at(3)), None);
        assert_eq!(warning(seen, at(141)), None);
    }

    #[test]
    fn the_very_address_given_out_is_warned_about() {
        let mut seen = None;
        note(&mut seen, SERVER, at(3));
        assert!(warning(seen, at(3)).is_some());
    }

    #[test]
    fn two_servers_pools_are_not_taken_for_one() {
        let mut seen = None;
        note(&mut seen, SERVER, at(10));
        note(&mut seen, at(2), at(200));
        assert_eq!(warning(seen, at(100)), None);
    }
}
