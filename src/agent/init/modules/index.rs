//! The list of the modules in the boot environment's packs: where each lies, what it needs, and what it is for. Written
//! when the environment is built, and read by the agent, which picks one out without unpacking the others.
//!
//! ```text
//! NAME PACK OFFSET LENGTH BEFORE AFTER     a module: its place, and names parted by commas, or "-"
//! <tab>ALIAS                               a pattern of what it is for; of the module before it
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Below the root of the environment.
pub const PACKS: [&str; 2] = [
    "usr/lib/dragonfly/modules",
    "usr/lib/dragonfly/modules.rest",
];
pub const INDEX: &str = "usr/lib/dragonfly/modules.index";

/// The pack that a module lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// There from the start.
    First,
    /// Comes with the rest.
    Rest,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Rest => "rest",
        }
    }

    /// Below the root of the environment.
    pub const fn path(self) -> &'static str {
        match self {
            Self::First => PACKS[0],
            Self::Rest => PACKS[1],
        }
    }
}

/// A module of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub part: Part,
    pub offset: u64,
    pub length: u64,
    /// Names, or what aliases fit, of what has to be there before it, or should.
    pub before: Vec<&'a str>,
    pub after: Vec<&'a str>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Index<'a> {
    entries: BTreeMap<&'a str, Entry<'a>>,
    /// By the bus that they begin with; those that name none are under nothing.
    aliases: BTreeMap<&'a str, Vec<(&'a str, &'a str)>>,
}

/// Writes a module and what it is for.
pub fn write(out: &mut String, entry: &Entry<'_>, aliases: &[String]) {
    let names = |names: &[&str]| match names {
        [] => "-".to_owned(),
        names => names.join(","),
    };
    let Entry {
        name,
        part,
        offset,
        length,
        before,
        after,
    } = entry;
    let (before, after) = (names(before), names(after));
    // A String takes all that is written to it.
    let _ = writeln!(
        out,
        "{name} {} {offset} {length} {before} {after}",
        part.name()
    );
    for alias in aliases {
        let _ = writeln!(out, "\t{alias}");
    }
}

impl<'a> Index<'a> {
    /// None where it is not what [`write()`] wrote.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (mut index, mut name) = (Self::default(), None);
        for line in text.lines() {
            if let Some(alias) = line.strip_prefix('\t') {
                let own = index.aliases.entry(bus(alias)).or_default();
                own.push((alias, name?));
            } else {
                let entry = entry(line)?;
                name = Some(entry.name);
                index.entries.insert(entry.name, entry);
            }
        }
        Some(index)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.values()
    }

    /// The module of this name, or else those that are for what `word` says.
    pub fn find(&self, word: &str) -> Vec<&Entry<'a>> {
        if let Some(entry) = self.entries.get(plain(word).as_str()) {
            return vec![entry];
        }
        let buses = [bus(word), ""];
        let buses = if buses[0].is_empty() {
            &buses[1..]
        } else {
            &buses
        };
        let aliases = buses
            .iter()
            .filter_map(|bus| self.aliases.get(bus))
            .flatten();
        let fitting = aliases.filter(|(alias, _)| fits(alias.as_bytes(), word.as_bytes()));
        let mut names: Vec<&str> = fitting.map(|(_, name)| *name).collect();
        names.sort_unstable();
        names.dedup();
        names
            .iter()
            .filter_map(|name| self.entries.get(name))
            .collect()
    }
}

/// A module's name as the kernel has it, for which both strokes are one.
pub fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let mut words = line.split(' ');
    let (name, part) = (words.next()?, words.next()?);
    let (offset, length) = (words.next()?, words.next()?);
    let part = [Part::First, Part::Rest]
        .into_iter()
        .find(|one| one.name() == part)?;
    let mut list = || {
        let text = words.next()?;
        let names = text.split(',').filter(|name| *name != "-");
        Some(names.collect())
    };
    Some(Entry {
        name,
        part,
        offset: offset.parse().ok()?,
        length: length.parse().ok()?,
        before: list()?,
        after: list()?,
    })
}

/// `pci` of `pci:v00008086d*`; nothing where it could be several.
fn bus(alias: &str) -> &str {
    match alias.split_once(':') {
        Some((bus, _)) if !bus.contains(['*', '?', '[']) => bus,
        _ => "",
    }
}

/// As fnmatch(3) has it, without escapes; `-` and `_` are the same outside of brackets, as they are to modprobe.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut on) = (0, 0);
    // Where the last star stands, and how much of the text it has taken.
    let mut star = None;
    loop {
        if on == text.len() && pattern[at..].iter().all(|byte| *byte == b'*') {
            return true;
        }
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, on));
            at += 1;
            continue;
        }
        match text.get(on).and_then(|byte| one(&pattern[at..], *byte)) {
            Some(length) => (at, on) = (at + length, on + 1),
            None => match star {
                Some((from, taken)) if taken < text.len() => {
                    star = Some((from, taken + 1));
                    (at, on) = (from + 1, taken + 1);
                }
                _ => return false,
            },
        }
    }
}

/// How much of the pattern this byte fits.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    let plain = |byte| if byte == b'-' { b'_' } else { byte };
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let end = pattern.iter().position(|byte| *byte == b']')?;
            is_in(&pattern[1..end], byte).then_some(end + 1)
        }
        own => (plain(own) == plain(byte)).then_some(1),
    }
}

/// Bytes, and ranges such as `0-9`; after `!` those that are not.
fn is_in(set: &[u8], byte: u8) -> bool {
    let (set, not) = match set {
        [b'!' | b'^', set @ ..] => (set, true),
        set => (set, false),
    };
    let (mut rest, mut found) = (set, false);
    while let [first, after @ ..] = rest {
        (rest, found) = match after {
            [b'-', last, after @ ..] => (after, found || (*first..=*last).contains(&byte)),
            after => (after, found || *first == byte),
        };
    }
    found != not
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_case::test_case;

    use super::*;

    #[test_case("pci:v00001AF4d*sv*", "pci:v00001AF4d00001000sv0", true)]
    #[test_case("pci:v00001AF4d*sv*", "pci:v00001AF5d00001000sv0", false)]
    #[test_case("acpi*:PNP0C0B:*", "acpi:PNP0C0B:", true; "a star may stand for nothing")]
    #[test_case("a*b*c", "aXbXbXc", true; "the second star takes the later one")]
    #[test_case("a*b", "aXbX", false; "more behind it")]
    #[test_case("usb:v0bdap81[0-5]2d*", "usb:v0bdap8152d0", true; "within a range")]
    #[test_case("usb:v0bdap81[0-4]2d*", "usb:v0bdap8152d0", false; "beyond a range")]
    #[test_case("a[!b-]c", "a-c", false; "left out")]
    #[test_case("a[^b]c", "axc", true; "anything else")]
    #[test_case("a[b", "ab", false; "a bracket that nobody closes")]
    #[test_case("dm?mod", "dm-mod", true; "any byte")]
    #[test_case("dm_mod", "dm-mod", true; "one stroke or the other")]
    #[test_case("", "", true; "nothing")]
    #[test_case("*", "", true; "a star alone")]
    #[test_case("", "a", false; "nothing is not something")]
    fn patterns_fit_as_modprobe_reads_them(pattern: &str, text: &str, is: bool) {
        assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), is);
    }

    fn text() -> String {
        let mut text = String::new();
        let entry = |name, offset, before, after| Entry {
            name,
            part: if offset > 20 { Part::Rest } else { Part::First },
            offset,
            length: 7,
            before,
            after,
        };
        let alias = |alias: &str| vec![alias.to_owned()];
        write(&mut text, &entry("failover", 0, vec![], vec![]), &[]);
        write(
            &mut text,
            &entry("virtio_net", 7, vec!["failover", "x"], vec![]),
            &alias("virtio:d00000001v*"),
        );
        write(
            &mut text,
            &entry("one", 14, vec![], vec!["two"]),
            &alias("acpi*:A:*"),
        );
        write(
            &mut text,
            &entry("two", 21, vec![], vec![]),
            &alias("acpi*:*"),
        );
        text
    }

    #[test]
    fn what_was_written_is_found_again() {
        let text = text();
        let index = Index::parse(&text).unwrap();
        let names = |word: &str| {
            let found = index.find(word);
            found.iter().map(|entry| entry.name).collect::<Vec<_>>()
        };
        assert_eq!(names("virtio:d00000001v00001AF4"), ["virtio_net"]);
        assert_eq!(names("virtio-net"), ["virtio_net"]);
        assert_eq!(names("acpi:A:"), ["one", "two"]);
        assert_eq!(names("acpi:B:"), ["two"]);
        assert!(names("virtio:d00000002v00001AF4").is_empty() && names("").is_empty());
        let found = index.find("virtio_net");
        assert_eq!((found[0].offset, found[0].length), (7, 7));
        assert_eq!(found[0].before, ["failover", "x"]);
        assert_eq!(index.find("one")[0].after, ["two"]);
        assert_eq!(index.find("one")[0].part, Part::First);
        assert_eq!(index.find("two")[0].part, Part::Rest);
    }

    #[test_case("\talias"; "an alias of nothing")]
    #[test_case("a first 0 x - -"; "no length")]
    #[test_case("a third 0 1 - -"; "no such part")]
    #[test_case("a first 0 1 -"; "cut")]
    fn what_was_not_written_so_is_refused(text: &str) {
        assert!(Index::parse(text).is_none());
    }

    proptest! {
        #[test]
        fn no_words_end_it(pattern in "[ab*?\\[\\]!-]{0,12}", text in "[ab-]{0,12}") {
            fits(pattern.as_bytes(), text.as_bytes());
        }

        #[test]
        fn a_text_fits_itself(text in "[a-z0-9:_-]{0,30}") {
            prop_assert!(fits(text.as_bytes(), text.as_bytes()));
        }
    }
}
