//! A template in a person's own editor: checked before it is kept, and nothing that was typed is lost.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{file, keep, path_of};
use crate::api::{Template, template};
use crate::cli::args::Change;
use crate::cli::client::{Ask, Client};
use crate::cli::failure::{FAILED, Failure, Sort};
use crate::cli::out::Screen;

/// What is opened where a person named no editor.
const EDITOR: &str = "vi";

pub async fn run(
    name: &str,
    mut change: Change,
    client: &mut Client,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let found: Template = client.read(Ask::get(path_of(name)?)).await?;
    let before = found.source.unwrap_or_default();
    if found.version > 0 {
        // What was read is what is built on.
        change.if_version = change.if_version.or(Some(found.version));
    }
    let draft = Draft::of(name, &before)?;
    loop {
        open(&draft.path)?;
        let source = file::read(&draft.path)?;
        if source == before {
            screen.line("Nothing was changed.")?;
            return draft.done();
        }
        let Err(errors) = template::check(&source) else {
            keep(name, source, &change, client, screen).await?;
            return draft.done();
        };
        file::tell(&draft.path, &errors, screen)?;
        let answer = screen.ask("It is wrong, and was not kept. Edit it again? [Y/n]");
        let again = answer.is_some_and(|answer| !answer.to_lowercase().starts_with('n'));
        if !again {
            screen.remark(&format!("What you typed is in {}.", draft.path.display()));
            return Err(Failure::Told(FAILED));
        }
    }
}

/// A file of its own, which stays where it is unless all went well.
struct Draft {
    path: std::path::PathBuf,
}

impl Draft {
    fn of(name: &str, text: &str) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| {
            Failure::new(Sort::Failed, format!("draft is not written: {error}"))
        };
        let safe: String = name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
            .collect();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let own = std::process::id();
        let mut number = 0;
        let (path, mut file) = loop {
            let path = std::env::temp_dir().join(format!("dragonfly-{safe}-{own}-{number}.yaml"));
            match options.open(&path) {
                Ok(file) => break (path, file),
                // Somebody else's, perhaps put there on purpose.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 100 => {
                    number += 1;
                }
                Err(error) => return Err(fail(error)),
            }
        };
        file.write_all(text.as_bytes()).map_err(fail)?;
        Ok(Self { path })
    }

    #[expect(clippy::unnecessary_wraps, reason = "it ends a command that went well")]
    fn done(self) -> Result<(), Failure> {
        // Left behind, it would only take room.
        let _ = std::fs::remove_file(&self.path);
        Ok(())
    }
}

/// The editor may come with options of its own, such as `code --wait`.
fn open(path: &Path) -> Result<(), Failure> {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.trim().is_empty()).then_some(value)
    });
    let editor = named.unwrap_or_else(|| EDITOR.into());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or(EDITOR);
    let status = Command::new(program).args(words).arg(path).status();
    let failed = |what: String| {
        let hint = format!(
            "what you typed is in {}; $EDITOR names the editor",
            path.display()
        );
        Failure::new(Sort::Failed, what).hint(hint)
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("editor {program} ended with {status}"))),
        Err(error) => Err(failed(format!("editor {program} does not start: {error}"))),
    }
}
