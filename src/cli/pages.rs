//! `dragonfly completion` and `dragonfly man`: both are made from the tree of arguments.

use std::path::Path;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::{self, Shell};
use super::failure::{Failure, Sort};
use super::out::Screen;

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "DRAGONFLY_SERVER",
        "Where Dragonfly answers: http://HOST:PORT or unix:PATH. The option --server goes before it.",
    ),
    (
        "DRAGONFLY_SOCKET",
        "The socket that is asked when nothing else is named.",
    ),
    (
        "DRAGONFLY_INSTALLED",
        "Tells that Dragonfly is installed here, whatever else is found.",
    ),
    (
        "NO_COLOR",
        "When it is set to anything, there are no colours.",
    ),
    (
        "COLUMNS",
        "How wide tables are, whatever the terminal says.",
    ),
];

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "All went well."),
    ("1", "It failed; the error says why."),
    ("2", "It was asked in a wrong way."),
    ("3", "Not allowed."),
    ("4", "Not found."),
    (
        "5",
        "A conflict: changed meanwhile, locked, ambiguous, or not confirmed.",
    ),
    (
        "6",
        "Not just now: Dragonfly does not answer or is busy. The same call may go well later.",
    ),
    ("7", "A fault inside Dragonfly."),
];

pub fn completion(shell: Shell, screen: &mut Screen) -> Result<(), Failure> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "dragonfly", &mut script);
    screen.write(&String::from_utf8_lossy(&script))
}

pub fn man(dir: Option<&Path>, screen: &mut Screen) -> Result<(), Failure> {
    let pages = pages().map_err(Failure::from)?;
    let Some(dir) = dir else {
        return pages.iter().try_for_each(|(_, page)| screen.write(page));
    };
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::new(
            Sort::Failed,
            format!("{} cannot be written: {error}", path.display()),
        )
        .hint("name a directory that is there and that you may write to: --dir ./man")
    };
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    for (name, page) in &pages {
        let path = dir.join(name);
        std::fs::write(&path, page).map_err(|error| failed(&path, &error))?;
    }
    screen.say(&format!("{} pages are in {}", pages.len(), dir.display()))
}

/// Every page by the name of its file.
fn pages() -> std::io::Result<Vec<(String, String)>> {
    let mut root = args::command().disable_help_subcommand(true);
    root.build();
    let mut found = Vec::new();
    collect(&root, &mut found)?;
    Ok(found)
}

fn collect(command: &clap::Command, found: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let man = Man::new(command.clone())
        .source(concat!("dragonfly ", env!("CARGO_PKG_VERSION")))
        .manual("Dragonfly");
    found.push((man.get_filename(), page(command, &man)?));
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .try_for_each(|sub| collect(sub, found))
}

fn page(command: &clap::Command, man: &Man) -> std::io::Result<String> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::default();
    let help = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    after_help(&help, &mut more);
    terms("EXIT STATUS", EXIT_STATUS, &mut more);
    terms("ENVIRONMENT", ENVIRONMENT, &mut more);
    more.to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// What stands below the options in `--help`: its examples get a section of their own.
fn after_help(help: &str, page: &mut Roff) {
    let mut title = "NOTES";
    for paragraph in help.split("\n\n") {
        // The exit codes have their own section here.
        if paragraph.trim().is_empty() || paragraph.starts_with("Exit codes:") {
            continue;
        }
        let example = paragraph.starts_with("Example");
        if example {
            title = "EXAMPLES";
        }
        match std::mem::take(&mut title) {
            "" => page.control("PP", []),
            title => page.control("SH", [title]),
        };
        let lines = paragraph.lines().skip(usize::from(example));
        let drawn = paragraph.lines().any(|line| line.starts_with(' '));
        if drawn {
            page.control("nf", []);
        }
        for line in lines {
            page.text([roman(line)]);
        }
        if drawn {
            page.control("fi", []);
        }
    }
}

fn terms(title: &str, terms: &[(&str, &str)], page: &mut Roff) {
    page.control("SH", [title]);
    for (term, meaning) in terms {
        page.control("TP", []);
        page.text([bold(*term)]);
        page.text([roman(*meaning)]);
    }
}
