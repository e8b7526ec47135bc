//! What the kernel's command line tells.

use std::net::SocketAddr;

use crate::model::MacAddr;
use crate::model::agent::cmdline as names;

/// The agent's part of `/proc/cmdline`. A word that cannot be read is as good as absent, and told in `wrong`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    pub server: Option<SocketAddr>,
    /// Where its files are, if that is told.
    pub files: Option<SocketAddr>,
    /// SHA-256 of the server's public key.
    pub pin: Option<[u8; 32]>,
    pub token: Option<String>,
    /// The card that it booted from.
    pub mac: Option<MacAddr>,
    pub vlan: Option<u16>,
    /// The names of `console=`, without their speeds, in order.
    pub consoles: Vec<String>,
    /// Words for us that cannot be read, but for their values: one of them may be secret.
    pub wrong: Vec<String>,
}

impl Cmdline {
    /// As the kernel reads it: words between spaces, the last one of a name wins.
    pub fn parse(line: &str) -> Self {
        let mut told = Self::default();
        for word in line.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let value = value.trim_matches('"');
            if told.take(name, value).is_none() {
                told.wrong.push(name.to_owned());
            }
        }
        told
    }

    fn take(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            names::SERVER => self.server = Some(value.parse().ok()?),
            names::FILES => self.files = Some(value.parse().ok()?),
            names::PIN => self.pin = Some(pin(value)?),
            names::TOKEN => self.token = Some(value.to_owned()).filter(|token| !token.is_empty()),
            names::MAC => self.mac = Some(value.parse().ok()?),
            names::VLAN => self.vlan = Some(vlan(value)?),
            "BOOTIF" if self.mac.is_none() => self.mac = Some(bootif(value)?),
            "console" => {
                let name = value.split(',').next().unwrap_or_default();
                self.consoles.push(name.to_owned());
            }
            _ => {}
        }
        Some(())
    }
}

/// 64 hexadecimal digits.
pub fn pin(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A number that frames can carry (IEEE 802.1Q).
fn vlan(value: &str) -> Option<u16> {
    value.parse().ok().filter(|id| (1..=4094).contains(id))
}

/// PXELINUX's spelling: the hardware's type before the address, `01-52-54-00-12-34-56`.
fn bootif(value: &str) -> Option<MacAddr> {
    value.strip_prefix("01-").unwrap_or(value).parse().ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const MAC: &str = "52:54:00:12:34:56";

    #[test]
    fn every_word_for_us_is_read() {
        let pin = "0a".repeat(32);
        let told = Cmdline::parse(&format!(
            "quiet dragonfly.server=10.0.0.1:3081 dragonfly.files=10.0.0.1:80 dragonfly.pin={pin} dragonfly.token=abc dragonfly.mac={MAC} \
             dragonfly.vlan=42 console=tty0 console=ttyS0,115200n8 -- x\n"
        ));
        assert_eq!(told.server, Some("10.0.0.1:3081".parse().unwrap()));
        assert_eq!(told.files, Some("10.0.0.1:80".parse().unwrap()));
        assert_eq!(told.pin, Some([10; 32]));
        assert_eq!(told.token.as_deref(), Some("abc"));
        assert_eq!(told.mac, Some(MAC.parse().unwrap()));
        assert_eq!(told.vlan, Some(42));
        assert_eq!(told.consoles, ["tty0", "ttyS0"]);
        assert_eq!(told.wrong, [""; 0]);
    }

    #[test_case("BOOTIF=01-52-54-00-12-34-56"; "as PXELINUX writes it")]
    #[test_case("BOOTIF=52:54:00:12:34:56"; "bare")]
    #[test_case("dragonfly.mac=52:54:00:12:34:56 BOOTIF=01-52-54-00-00-00-01"; "our own word wins")]
    #[test_case("BOOTIF=01-52-54-00-00-00-01 dragonfly.mac=52:54:00:12:34:56"; "our own word wins from behind")]
    fn the_card_is_found(line: &str) {
        assert_eq!(Cmdline::parse(line).mac, Some(MAC.parse().unwrap()));
    }

    #[test_case("dragonfly.server=nowhere"; "no address")]
    #[test_case("dragonfly.pin=é0000000000000000000000000000000000000000000000000000000000000e"; "no hexadecimal")]
    #[test_case("dragonfly.pin=+1"; "too short")]
    #[test_case("dragonfly.vlan=0"; "no VLAN")]
    #[test_case("dragonfly.mac=ff:ff:ff:ff:ff:ff"; "everybody's address")]
    fn what_cannot_be_read_is_named(line: &str) {
        let told = Cmdline::parse(line);
        let name = line.split('=').next().unwrap();
        assert_eq!(
            told,
            Cmdline {
                wrong: vec![name.to_owned()],
                ..Cmdline::default()
            }
        );
    }
}
