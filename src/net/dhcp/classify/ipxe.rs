//! What iPXE says of itself: options 77 and 175.

use crate::net::dhcp::packet::{Options, code, sub_options};

/// An iPXE and what it was built with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipxe {
    /// Option 77, where it is another name than `iPXE`.
    pub user_class: Option<String>,
    /// The features that it names in option 175, by their number, one bit each.
    features: u64,
    /// Option 175.235, escaped: `1.21.1`.
    pub version: Option<String>,
}

/// Features in option 175 (iPXE `src/include/ipxe/features.h`): each is one byte, 1 where it is there.
pub mod feature {
    pub const HTTP: u8 = 0x13;
    pub const BZIMAGE: u8 = 0x18;
    pub const EFI: u8 = 0x24;
}

const VERSION: u8 = 0xeb;

impl Ipxe {
    /// None when it is no iPXE.
    pub fn read(options: &Options) -> Option<Self> {
        let own = options.get(code::IPXE);
        let class = options.get(code::USER_CLASS).map(user_class);
        if own.is_none() && class != Some(b"iPXE".as_slice()) {
            return None;
        }
        let mut found = Self {
            user_class: class.filter(|name| *name != b"iPXE").map(super::text),
            ..Self::default()
        };
        for (code, data) in sub_options(own.unwrap_or_default()) {
            match (code, data) {
                (VERSION, version) => found.version = Some(dotted(version)),
                // Set as often as it is there; a false one says that it is not.
                (code @ 0x10..=0x3f, [value, ..]) if *value != 0 => found.features |= 1 << code,
                _ => {}
            }
        }
        Some(found)
    }

    pub const fn has(&self, feature: u8) -> bool {
        feature < 64 && self.features >> feature & 1 == 1
    }

    /// Whether it can do what our scripts do: fetch by HTTP and start a kernel. A ROM in a card's flash often
    /// cannot, and is given a full iPXE first.
    pub const fn runs_scripts(&self) -> bool {
        self.has(feature::HTTP) && (self.has(feature::BZIMAGE) || self.has(feature::EFI))
    }
}

/// iPXE sends its class bare; RFC 3004 4 wants each with its length before it.
fn user_class(data: &[u8]) -> &[u8] {
    match data.split_first() {
        Some((length, rest)) if usize::from(*length) == rest.len() => rest,
        _ => data,
    }
}

fn dotted(version: &[u8]) -> String {
    let parts: Vec<_> = version.iter().take(4).map(u8::to_string).collect();
    parts.join(".")
}
