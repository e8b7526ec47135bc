//! Files with templates: read within bounds, and checked here, without a daemon.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::json;

use crate::api::{TextError, template};
use crate::cli::failure::{FAILED, Failure, Sort};
use crate::cli::out::text::clean;
use crate::cli::out::{Screen, Tone};

/// More than a template may have; what is larger is told of by the check.
const MAX_READ: u64 = 1024 * 1024;

/// The text of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<String, Failure> {
    let fail = |error: io::Error| {
        Failure::new(
            Sort::Failed,
            format!("file {} is not read: {error}", path.display()),
        )
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin()
            .take(MAX_READ)
            .read_to_end(&mut bytes)
            .map_err(fail)?;
    } else {
        let file = File::open(path).map_err(fail)?;
        file.take(MAX_READ).read_to_end(&mut bytes).map_err(fail)?;
    }
    String::from_utf8(bytes).map_err(|_| {
        let told = format!("file {} is not text: it is not in UTF-8", path.display());
        Failure::new(Sort::Failed, told)
    })
}

/// Checks each file, and tells of all that is wrong.
pub fn check(files: &[impl AsRef<Path>], screen: &mut Screen) -> Result<(), Failure> {
    let mut wrong = false;
    for path in files {
        let path = path.as_ref();
        let found = template::check(&read(path)?);
        wrong |= found.is_err();
        if screen.json {
            let data = match &found {
                Ok(name) => json!({ "name": name, "errors": [] }),
                Err(errors) => json!({ "errors": errors }),
            };
            let more = [("file", json!(path.display().to_string())), ("data", data)];
            screen.answer_line("template.check", &more)?;
            continue;
        }
        match found {
            Ok(_) if screen.quiet => {}
            Ok(name) => {
                let tick = screen.paint.on(Tone::Good, "✓");
                let path = path.display().to_string();
                screen.line(&format!("{tick} {}: template {name}", clean(&path)))?;
            }
            Err(errors) => tell(path, &errors, screen)?,
        }
    }
    if wrong {
        Err(Failure::Told(FAILED))
    } else {
        Ok(())
    }
}

/// Stops before a wrong template is sent.
pub fn refuse_wrong(path: &Path, source: &str, screen: &mut Screen) -> Result<(), Failure> {
    let Err(errors) = template::check(source) else {
        return Ok(());
    };
    if screen.json {
        let path = json!(path.display().to_string());
        let data = json!({ "errors": errors });
        screen.answer_line("template.check", &[("file", path), ("data", data)])?;
    } else {
        tell(path, &errors, screen)?;
    }
    Err(Failure::Told(FAILED))
}

/// `FILE:LINE:COLUMN: WHAT`, as editors find their way by.
pub fn tell(path: &Path, errors: &[TextError], screen: &mut Screen) -> Result<(), Failure> {
    let path = path.display().to_string();
    for error in errors {
        let place = format!("{}:{}:{}:", clean(&path), error.line, error.column);
        let place = screen.paint.on(Tone::Bad, &place);
        screen.line(&format!("{place} {}", clean(&error.message)))?;
    }
    Ok(())
}
