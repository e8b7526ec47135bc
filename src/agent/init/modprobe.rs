//! The agent as `modprobe`: what the kernel starts when it asks for a module, and what programs of disks expect.

use std::path::Path;
use std::process::ExitCode;

use super::modules::{self, index::plain};

/// What its command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    words: Vec<String>,
    parameters: String,
    quiet: bool,
}

/// Loads what the words name; `-a` says that all are modules, otherwise what follows the first are its parameters.
pub fn run(words: &[String]) -> ExitCode {
    let wanted = Wanted::parse(words);
    let complain = |line: String| {
        if !wanted.quiet {
            super::tell_error(&line);
        }
    };
    let no_modules = |error| {
        complain(format!("modprobe: no modules: {error}"));
        ExitCode::FAILURE
    };
    let pack = match modules::open() {
        Ok(pack) => pack,
        Err(error) => return no_modules(error),
    };
    let loader = match pack.loader(Path::new("/sys"), modules::settings()) {
        Ok(loader) => loader,
        Err(error) => return no_modules(error),
    };
    let mut failed = false;
    for word in &wanted.words {
        let wrong = match loader.load(word, &wanted.parameters) {
            // What the kernel has in itself is in no file.
            Ok(0) if Path::new("/sys/module").join(plain(word)).exists() => {
                continue;
            }
            Ok(0) => "there is no such module".to_owned(),
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        complain(format!("modprobe: {word}: {wrong}"));
        failed = true;
    }
    ExitCode::from(u8::from(failed))
}

impl Wanted {
    fn parse(words: &[String]) -> Self {
        let mut wanted = Self::default();
        let (mut all, mut options) = (false, true);
        for word in words {
            if options && word.starts_with('-') {
                options = word != "--";
                let letters = if word.starts_with("--") { "" } else { word };
                all |= letters.contains('a') || word == "--all";
                wanted.quiet |= letters.contains('q') || word == "--quiet";
            } else {
                wanted.words.push(word.clone());
            }
        }
        if !all && !wanted.words.is_empty() {
            wanted.parameters = wanted.words.split_off(1).join(" ");
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("-q -- net-pf-10", &["net-pf-10"], "", true; "as the kernel asks")]
    #[test_case("-a -b -q md_mod raid1", &["md_mod", "raid1"], "", true; "several")]
    #[test_case("-abq md_mod raid1", &["md_mod", "raid1"], "", true; "in one word")]
    #[test_case("bonding mode=4 miimon=100", &["bonding"], "mode=4 miimon=100", false; "with parameters")]
    #[test_case("--all --quiet a b", &["a", "b"], "", true; "in full")]
    #[test_case("", &[], "", false; "nothing")]
    fn its_words_are_those_of_modprobe(line: &str, words: &[&str], parameters: &str, quiet: bool) {
        let line: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let wanted = Wanted::parse(&line);
        assert_eq!(wanted.words, words);
        assert_eq!((&*wanted.parameters, wanted.quiet), (parameters, quiet));
    }
}
