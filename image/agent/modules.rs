//! The kernel's modules: which are taken, what they depend on, what they say of themselves, and the pack that the agent
//! picks them out of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dragonfly::agent::init::modules::index::{self, Entry, INDEX, Part};

use super::{Outcome, stage};

/// Debian's kmod; a user's PATH need not have it.
const MODINFO: &str = "/usr/sbin/modinfo";

/// What modinfo tells of one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Module {
    pub name: String,
    /// Names of modules that have to be there, or should: these in this order before it,
    pub before: Vec<String>,
    /// these after it,
    pub after: Vec<String>,
    /// and these whenever it asks the kernel for them.
    pub beside: Vec<String>,
    pub aliases: Vec<String>,
    pub firmware: Vec<String>,
}

/// Where a root has the modules of this kernel.
pub(crate) fn folder(root: &Path, kernel: &str) -> PathBuf {
    root.join("usr/lib/modules").join(kernel)
}

/// Copies the modules that the list names and those that they depend on.
pub(crate) fn stage(root: &Path, kernel: &str, list: &[Vec<String>], to: &Path) -> Outcome {
    let from = folder(root, kernel);
    let all = files(&from)?;
    let wanted = |path: &&PathBuf| is_wanted(list, path);
    let mut waiting: Vec<PathBuf> = all.values().filter(wanted).cloned().collect();
    if waiting.is_empty() {
        return Err(format!("{} has none of the modules of the list", from.display()).into());
    }
    let mut taken: BTreeSet<PathBuf> = waiting.iter().cloned().collect();
    while !waiting.is_empty() {
        let read = modinfo(&from, &waiting)?;
        let names: BTreeSet<&String> = read.iter().flat_map(Module::wants).collect();
        // What is built in has no file.
        let paths = names.into_iter().filter_map(|name| all.get(name));
        waiting = paths
            .filter(|path| !taken.contains(*path))
            .cloned()
            .collect();
        taken.extend(waiting.iter().cloned());
    }
    let own = Path::new("usr/lib/modules").join(kernel);
    for path in &taken {
        stage::copy(root, &own.join(path), to)?;
    }
    Ok(())
}

/// Makes of those that lie in `from` the two packs and their list: what `later` names goes into the second one, unless
/// a module of the first needs it.
pub(crate) fn pack(from: &Path, later: &[Vec<String>], first: &Path, rest: &Path) -> Outcome {
    let paths = files(from)?;
    let read: BTreeMap<String, Module> = read(from)?
        .into_iter()
        .map(|module| (module.name.clone(), module))
        .collect();
    let early = early(&paths, &read, later);
    let (mut packs, mut list) = ([Vec::new(), Vec::new()], String::new());
    for (name, path) in &paths {
        let module = read
            .get(name)
            .ok_or_else(|| format!("{} says another name of itself", path.display()))?;
        let content = fs::read(from.join(path))?;
        let part = if early.contains(name) {
            Part::First
        } else {
            Part::Rest
        };
        let pack = &mut packs[usize::from(part == Part::Rest)];
        let entry = Entry {
            name,
            part,
            offset: pack.len() as u64,
            length: content.len() as u64,
            before: module.before.iter().map(String::as_str).collect(),
            after: module.after.iter().map(String::as_str).collect(),
        };
        index::write(&mut list, &entry, &module.aliases);
        pack.extend(content);
    }
    let [one, two] = packs;
    put(&first.join(Part::First.path()), one)?;
    put(&first.join(INDEX), list.into_bytes())?;
    put(&rest.join(Part::Rest.path()), two)
}

fn put(path: &Path, content: Vec<u8>) -> Outcome {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, content)?)
}

/// Those that `later` does not name, and all that they want.
fn early(
    paths: &BTreeMap<String, PathBuf>,
    read: &BTreeMap<String, Module>,
    later: &[Vec<String>],
) -> BTreeSet<String> {
    let own = paths.iter().filter(|(_, path)| !is_wanted(later, path));
    let mut waiting: Vec<&String> = own.map(|(name, _)| name).collect();
    let mut early = BTreeSet::new();
    while let Some(word) = waiting.pop() {
        if paths.contains_key(word) {
            if early.insert(word.clone()) {
                waiting.extend(read.get(word).into_iter().flat_map(Module::wants));
            }
        } else {
            // A sum or a cipher, of which there may be several, each the better on its processor.
            let is_for = |module: &&Module| module.is_for(word) && !early.contains(&module.name);
            waiting.extend(read.values().filter(is_for).map(|module| &module.name));
        }
    }
    early
}

/// All that lie in this folder, by the names that they have in the kernel.
pub(crate) fn read(folder: &Path) -> Outcome<Vec<Module>> {
    let paths: Vec<PathBuf> = files(folder)?.into_values().collect();
    modinfo(folder, &paths)
}

/// Module files by name, their paths relative to the folder: `virtio_net`, `kernel/drivers/net/virtio_net.ko.xz`.
fn files(folder: &Path) -> Outcome<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![PathBuf::from("kernel")];
    while let Some(inner) = waiting.pop() {
        let place = folder.join(&inner);
        let items =
            fs::read_dir(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        for item in items {
            let item = item?;
            let path = inner.join(item.file_name());
            if item.file_type()?.is_dir() {
                waiting.push(path);
            } else if let Some((name, _)) = item.file_name().to_string_lossy().split_once(".ko") {
                found.insert(index::plain(name), path);
            }
        }
    }
    Ok(found)
}

/// The rule with the longest path decides.
fn is_wanted(list: &[Vec<String>], path: &Path) -> bool {
    let Ok(path) = path.strip_prefix("kernel") else {
        return false;
    };
    let rules = list.iter().flatten().map(|rule| {
        let out = rule.strip_prefix('!');
        (Path::new(out.unwrap_or(rule)), out.is_none())
    });
    let fitting = rules.filter(|(place, _)| path.starts_with(place));
    let longest = fitting.max_by_key(|(place, _)| place.components().count());
    longest.is_some_and(|(_, taken)| taken)
}

fn modinfo(folder: &Path, paths: &[PathBuf]) -> Outcome<Vec<Module>> {
    let told = Command::new(MODINFO)
        .args(paths)
        .current_dir(folder)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| format!("{MODINFO}: {error}"))?;
    if !told.status.success() {
        let words = String::from_utf8_lossy(&told.stderr);
        return Err(format!("{MODINFO}: {}", words.trim()).into());
    }
    Ok(parse(&String::from_utf8_lossy(&told.stdout)))
}

/// Each module begins with the name of its file.
fn parse(text: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    for (field, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if field == "filename" {
            modules.push(Module::default());
        }
        let Some(module) = modules.last_mut() else {
            continue;
        };
        match field {
            "name" => value.clone_into(&mut module.name),
            "alias" => module.aliases.push(value.to_owned()),
            "firmware" => module.firmware.push(value.to_owned()),
            "depends" => module.before.extend(value.split(',').filter_map(name)),
            "softdep" => module.depend(value),
            "weakdep" => module
                .beside
                .extend(value.split_whitespace().filter_map(name)),
            _ => {}
        }
    }
    modules
}

impl Module {
    fn wants(&self) -> impl Iterator<Item = &String> {
        self.before.iter().chain(&self.after).chain(&self.beside)
    }

    /// By an alias that is a name, as that of a sum is.
    fn is_for(&self, word: &str) -> bool {
        self.aliases.iter().any(|alias| index::plain(alias) == word)
    }

    /// `pre: a b post: c`.
    fn depend(&mut self, text: &str) {
        let mut to = &mut self.before;
        for word in text.split_whitespace() {
            match word {
                "pre:" => to = &mut self.before,
                "post:" => to = &mut self.after,
                word => to.extend(name(word)),
            }
        }
    }
}

fn name(word: &str) -> Option<String> {
    (!word.is_empty()).then(|| index::plain(word))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("kernel/drivers/net/ethernet/intel/e1000/e1000.ko.xz", true; "below a folder")]
    #[test_case("kernel/drivers/net/ethernet2/x.ko.xz", false; "a folder of a like name")]
    #[test_case("kernel/drivers/net/tun.ko.xz", false; "not named")]
    #[test_case("kernel/drivers/net/virtio_net.ko.xz", true; "by its file")]
    #[test_case("kernel/arch/x86/crypto/aes.ko.xz", true; "all of it")]
    #[test_case("kernel/arch/x86/kvm/kvm.ko.xz", false; "left out again")]
    fn the_longest_rule_decides(path: &str, wanted: bool) {
        let rules = [
            "!arch/x86/kvm",
            "arch",
            "drivers/net/ethernet",
            "drivers/net/virtio_net.ko.xz",
        ];
        let list = rules.map(|rule| vec![rule.to_owned()]);
        assert_eq!(is_wanted(&list, Path::new(path)), wanted);
    }

    #[test]
    fn what_an_early_module_wants_is_early_too() {
        let paths = [
            "drivers/net/card",
            "lib/sum",
            "lib/other",
            "crypto/aes",
            "crypto/crc_fast",
            "crypto/crc_plain",
        ];
        let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let paths = paths.map(|path| (name(path), format!("kernel/{path}.ko.xz").into()));
        let wants = |name: &str| Module {
            before: vec![name.to_owned(), "gone".to_owned()],
            ..Module::default()
        };
        let sums = |name: &str| Module {
            name: name.to_owned(),
            aliases: vec!["crypto-crc32c".to_owned(), "crc32c".to_owned()],
            ..Module::default()
        };
        let read = BTreeMap::from([
            ("card".to_owned(), wants("sum")),
            ("sum".to_owned(), wants("crc32c")),
            ("crc_fast".to_owned(), sums("crc_fast")),
            ("crc_plain".to_owned(), sums("crc_plain")),
            ("other".to_owned(), wants("aes")),
            ("aes".to_owned(), Module::default()),
        ]);
        let later = ["lib", "crypto"].map(|rule| vec![rule.to_owned()]);
        let early = early(&paths.into_iter().collect(), &read, &later);
        let early: Vec<String> = early.into_iter().collect();
        assert_eq!(early, ["card", "crc_fast", "crc_plain", "sum"]);
    }

    #[test]
    fn modules_tell_of_themselves() {
        let text = "filename:       kernel/a.ko.xz\nfirmware:       bnx2/a.fw\n\
            alias:          pci:v000014E4d0000164Asv*sd*bc*sc*i*\ndepends:        mii,crc-ccitt\n\
            softdep:        pre: crc32c post: x\nweakdep:        y\nname:           bnx2\n\
            filename:       kernel/b.ko.xz\ndepends:\nname:           b\nparm:           x:of a: kind (int)\n";
        let modules = parse(text);
        assert_eq!(modules.len(), 2);
        assert_eq!(modules[0].before, ["mii", "crc_ccitt", "crc32c"]);
        assert_eq!(modules[0].after, ["x"]);
        assert_eq!(modules[0].beside, ["y"]);
        assert_eq!(modules[0].firmware, ["bnx2/a.fw"]);
        assert_eq!(modules[0].aliases.len(), 1);
        assert_eq!(modules[1].name, "b");
        assert!(modules[1].wants().next().is_none());
    }
}
