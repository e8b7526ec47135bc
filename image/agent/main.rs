//! Makes the archives of the boot environment out of unpacked packages. Called by image/agent/build, which fetches
//! them and which knows the order:
//!
//! ```text
//! dragonfly-agent-env root STAGE                       an empty root
//! dragonfly-agent-env tools ROOT LIST STAGE            the tools of LIST and their libraries
//! dragonfly-agent-env modules ROOT KERNEL LIST STAGE   the modules of LIST and those that they need
//! dragonfly-agent-env pack FROM KERNEL LATER FIRST REST  FROM's modules in two files, by the list LATER, and a list
//! dragonfly-agent-env tar STAGE                        prints STAGE as a tar archive that is the same every time
//! dragonfly-agent-env firmware ROOT KERNEL FROM STAGE  what FROM's modules ask for; prints whose it is
//! dragonfly-agent-env archive STAGE                    prints STAGE as a cpio archive that is the same every time
//! dragonfly-agent-env manifest FOLDER ARCH KERNEL DEBS prints what FOLDER's files are and were made of
//! ```
//!
//! Nothing of the unpacked packages is run, so that an environment of another architecture is made the same way.

mod archive;
mod elf;
mod firmware;
mod manifest;
mod modules;
mod stage;
mod tarball;
mod userland;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Ends with a sentence for whoever called make.
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dragonfly-agent-env: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Outcome {
    let mut out = io::stdout().lock();
    match *words {
        ["tools", root, list, stage] => {
            userland::stage(Path::new(root), &stage::list(Path::new(list))?, Path::new(stage))
        }
        ["root", stage] => stage::skeleton(Path::new(stage)),
        ["modules", root, kernel, list, stage] => {
            let list = stage::list(Path::new(list))?;
            modules::stage(Path::new(root), kernel, &list, Path::new(stage))
        }
        ["pack", from, kernel, later, first, rest] => {
            let (from, later) = (modules::folder(Path::new(from), kernel), Path::new(later));
            modules::pack(&from, &stage::list(later)?, Path::new(first), Path::new(rest))
        }
        ["firmware", root, kernel, from, stage] => {
            let modules = modules::read(&modules::folder(Path::new(from), kernel))?;
            let list = firmware::stage(Path::new(root), &modules, Path::new(stage))?;
            serde_json::to_writer_pretty(&mut out, &list)?;
            Ok(writeln!(out)?)
        }
        ["tar", stage] => tarball::write(Path::new(stage), io::BufWriter::new(out)),
        ["archive", stage] => archive::write(Path::new(stage), &mut io::BufWriter::new(out)),
        ["manifest", folder, architecture, kernel, packages] => {
            let packages = std::fs::read_to_string(packages)?;
            let manifest = manifest::of(Path::new(folder), architecture, kernel, &packages)?;
            serde_json::to_writer_pretty(&mut out, &manifest)?;
            Ok(writeln!(out)?)
        }
        _ => Err(
            "expected root, tools, modules, pack, tar, firmware, archive or manifest; its source says with what"
                .into(),
        ),
    }
}
