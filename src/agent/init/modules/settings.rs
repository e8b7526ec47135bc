//! What the kernel's command line says of modules, as modprobe reads it: `NAME.PARAMETER=VALUE`, and
//! `modprobe.blacklist=NAME,NAME` for those that no device gets.

use std::collections::{BTreeMap, BTreeSet};

use super::index::plain;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settings {
    denied: BTreeSet<String>,
    parameters: BTreeMap<String, String>,
}

impl Settings {
    pub fn parse(cmdline: &str) -> Self {
        let mut settings = Self::default();
        for word in words(cmdline) {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let Some((module, parameter)) = key.split_once('.') else {
                continue;
            };
            if let ("modprobe", "blacklist") = (module, parameter) {
                settings.denied.extend(value.split(',').map(plain));
                continue;
            }
            let own = settings.parameters.entry(plain(module)).or_default();
            if !own.is_empty() {
                own.push(' ');
            }
            own.push_str(parameter);
            own.push_str(&word[key.len()..]);
        }
        settings
    }

    /// Whether no device gets it.
    pub fn denies(&self, module: &str) -> bool {
        self.denied.contains(module)
    }

    /// Those of the command line, and then those of whoever asks, which count for more.
    pub fn parameters(&self, module: &str, asked: &str) -> String {
        let own = self.parameters.get(module).map_or("", String::as_str);
        [own, asked].join(" ").trim().to_owned()
    }
}

/// At spaces that stand in no quotes.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.trim_end().split(move |c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(
        "quiet mpt3sas.max_queue_depth=64 root=/dev/x",
        "mpt3sas",
        "max_queue_depth=64"
    )]
    #[test_case("xhci-hcd.quirks=1 xhci_hcd.debug", "xhci_hcd", "quirks=1 debug"; "two, by either name")]
    #[test_case("a.b=\"x y\" a.c=1", "a", "b=\"x y\" c=1"; "in quotes")]
    #[test_case("a=b.c=1", "a", ""; "a point in a value")]
    #[test_case("", "a", ""; "nothing")]
    fn parameters_are_read(line: &str, module: &str, told: &str) {
        assert_eq!(Settings::parse(line).parameters(module, ""), told);
    }

    #[test]
    fn who_asks_has_the_last_word() {
        let settings = Settings::parse("bonding.mode=1");
        assert_eq!(settings.parameters("bonding", "mode=4"), "mode=1 mode=4");
        assert_eq!(settings.parameters("other", "x=1"), "x=1");
    }

    #[test]
    fn what_is_denied_is_denied_by_either_name() {
        let settings = Settings::parse("modprobe.blacklist=hpsa,snd-pcm\n");
        assert!(
            settings.denies("hpsa") && settings.denies("snd_pcm") && !settings.denies("sd_mod")
        );
        assert_eq!(settings.parameters("modprobe", ""), "");
    }
}
