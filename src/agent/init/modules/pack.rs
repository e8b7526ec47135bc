//! The modules of the boot environment as they are loaded: picked out of a pack, unpacked in memory, and handed to the
//! kernel after what they need.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use liblzma::read::XzDecoder;
use rustix::io::Errno;

use super::index::{Entry, INDEX, Index, Part, plain};
use super::settings::Settings;
use crate::agent::init::rest;

const XZ: &[u8] = b"\xfd7zXZ\0";

/// The packs and their list, below a root.
#[derive(Debug)]
pub struct Pack {
    list: String,
    first: File,
    /// None while it was not fetched, or is not unpacked to its end.
    rest: Option<File>,
}

impl Pack {
    pub fn open(root: &Path) -> io::Result<Self> {
        let rest = rest::is_there(root).then(|| File::open(root.join(Part::Rest.path())));
        Ok(Self {
            list: fs::read_to_string(root.join(INDEX))?,
            first: File::open(root.join(Part::First.path()))?,
            rest: rest.and_then(io::Result::ok),
        })
    }

    /// What loads them, and knows what is loaded by what `sys` says.
    pub fn loader(&self, sys: &Path, settings: Settings) -> io::Result<Loader<'_>> {
        let wrong = || io::Error::other("the list of modules cannot be read");
        Ok(Loader {
            index: Index::parse(&self.list).ok_or_else(wrong)?,
            pack: self,
            lacking: Mutex::default(),
            loaded: sys.join("module"),
            settings,
        })
    }
}

/// Loads modules.
#[derive(Debug)]
pub struct Loader<'a> {
    index: Index<'a>,
    pack: &'a Pack,
    lacking: Mutex<BTreeSet<String>>,
    loaded: PathBuf,
    settings: Settings,
}

impl Loader<'_> {
    /// Whether a module for one of these words comes with the rest, which was not there when it was to be loaded.
    pub fn lacks(&self, words: &BTreeSet<String>) -> bool {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        !lacking.is_disjoint(words)
    }

    /// Loads the module of this name, or those that are for what `word` says and that the command line does not deny.
    /// How many there are; one that the kernel does not take is an error only where all are.
    pub fn load(&self, word: &str, parameters: &str) -> io::Result<usize> {
        let named = |entry: &&Entry<'_>| entry.name == plain(word);
        let mut found = self.index.find(word);
        found.retain(|entry| named(entry) || !self.settings.denies(entry.name));
        let (mut there, mut wrong) = (0, None);
        if self.pack.rest.is_none() && found.iter().any(|entry| entry.part == Part::Rest) {
            let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
            lacking.insert(word.to_owned());
        }
        for entry in found {
            match self.insert(entry, parameters, &mut BTreeSet::new()) {
                Ok(()) => there += 1,
                Err(error) => wrong = Some(error),
            }
        }
        match wrong {
            Some(error) if there == 0 => Err(error),
            _ => Ok(there),
        }
    }

    /// What it needs is tried; whether it was enough the kernel knows.
    fn insert<'e>(
        &'e self,
        entry: &'e Entry<'_>,
        parameters: &str,
        begun: &mut BTreeSet<&'e str>,
    ) -> io::Result<()> {
        if !begun.insert(entry.name) || self.loaded.join(entry.name).exists() {
            return Ok(());
        }
        self.insert_all(&entry.before, begun);
        let parameters = CString::new(self.settings.parameters(entry.name, parameters))?;
        match rustix::system::init_module(&self.content(entry)?, &parameters) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.insert_all(&entry.after, begun);
        Ok(())
    }

    fn insert_all<'e>(&'e self, words: &[&str], begun: &mut BTreeSet<&'e str>) {
        for entry in words.iter().flat_map(|word| self.index.find(word)) {
            let _ = self.insert(entry, "", begun);
        }
    }

    fn content(&self, entry: &Entry<'_>) -> io::Result<Vec<u8>> {
        let length = usize::try_from(entry.length).map_err(io::Error::other)?;
        let mut packed = vec![0; length];
        let pack = match entry.part {
            Part::First => Some(&self.pack.first),
            Part::Rest => self.pack.rest.as_ref(),
        };
        let absent = || io::Error::other("it comes with the rest, which was not fetched yet");
        let pack = pack.ok_or_else(absent)?;
        pack.read_exact_at(&mut packed, entry.offset)?;
        if !packed.starts_with(XZ) {
            return Ok(packed);
        }
        let mut content = Vec::with_capacity(length * 4);
        XzDecoder::new(&*packed).read_to_end(&mut content)?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use liblzma::write::XzEncoder;

    use super::super::index;
    use super::*;

    fn root(list: &str, pack: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let first = root.path().join(Part::First.path());
        fs::create_dir_all(first.parent().unwrap()).unwrap();
        fs::write(root.path().join(INDEX), list).unwrap();
        fs::write(first, pack).unwrap();
        root
    }

    fn packed() -> tempfile::TempDir {
        let mut encoder = XzEncoder::new(Vec::new(), 6);
        encoder.write_all(b"a module").unwrap();
        let xz = encoder.finish().unwrap();
        let length = xz.len() as u64;
        let mut list = String::new();
        let entry = |name, offset, length| Entry {
            name,
            part: Part::First,
            offset,
            length,
            before: vec![],
            after: vec![],
        };
        index::write(&mut list, &entry("plain", 0, 5), &["x:*".to_owned()]);
        index::write(&mut list, &entry("packed", 5, length), &[]);
        index::write(&mut list, &entry("beyond", 5, length + 1), &[]);
        let later = Entry {
            part: Part::Rest,
            ..entry("later", 1, 4)
        };
        index::write(&mut list, &later, &["z:*".to_owned()]);
        root(&list, &[b"plain", &*xz].concat())
    }

    #[test]
    fn a_module_is_picked_out_packed_or_not() {
        let root = packed();
        let pack = Pack::open(root.path()).unwrap();
        let loader = pack.loader(root.path(), Settings::default()).unwrap();
        let content = |name: &str| loader.content(loader.index.find(name)[0]);
        assert_eq!(content("plain").unwrap(), b"plain");
        assert_eq!(content("packed").unwrap(), b"a module");
        assert!(content("beyond").is_err());
    }

    #[test]
    fn what_comes_with_the_rest_is_missed_until_that_is_there() {
        let root = packed();
        let pack = Pack::open(root.path()).unwrap();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (other, wanted) = (words(&["y:1"]), words(&["y:1", "z:1"]));
        let loader = pack.loader(root.path(), Settings::default()).unwrap();
        assert!(loader.load("y:1", "").is_ok() && !loader.lacks(&wanted));
        assert!(loader.load("z:1", "").is_err() && loader.lacks(&wanted) && !loader.lacks(&other));
        // Half of it is there, as one who was ended while unpacking leaves it.
        fs::write(root.path().join(Part::Rest.path()), "-r").unwrap();
        fs::write(root.path().join(rest::SUM), "").unwrap();
        let pack = Pack::open(root.path()).unwrap();
        let loader = pack.loader(root.path(), Settings::default()).unwrap();
        assert!(loader.load("z:1", "").is_err() && loader.lacks(&wanted));
        fs::write(root.path().join(Part::Rest.path()), "-rest").unwrap();
        fs::remove_file(root.path().join(rest::SUM)).unwrap();
        let pack = Pack::open(root.path()).unwrap();
        let loader = pack.loader(root.path(), Settings::default()).unwrap();
        let content = loader.content(loader.index.find("later")[0]);
        assert_eq!(content.unwrap(), b"rest");
        assert!(!loader.lacks(&wanted));
    }

    #[test]
    fn what_is_loaded_is_not_loaded_again_and_what_is_unknown_is_nothing() {
        let root = packed();
        fs::create_dir_all(root.path().join("module/plain")).unwrap();
        let pack = Pack::open(root.path()).unwrap();
        let loader = pack.loader(root.path(), Settings::default()).unwrap();
        assert_eq!(loader.load("plain", "").unwrap(), 1);
        assert_eq!(loader.load("x:1", "").unwrap(), 1);
        assert_eq!(loader.load("y:1", "").unwrap(), 0);
        let settings = Settings::parse("modprobe.blacklist=plain");
        let loader = pack.loader(root.path(), settings).unwrap();
        assert_eq!(
            loader.load("x:1", "").unwrap(),
            0,
            "it is denied to devices"
        );
        assert_eq!(loader.load("plain", "").unwrap(), 1);
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        let root = root("?", b"");
        let pack = Pack::open(root.path()).unwrap();
        assert!(pack.loader(root.path(), Settings::default()).is_err());
        assert!(Pack::open(Path::new("/nowhere")).is_err());
    }
}
