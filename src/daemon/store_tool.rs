//! `dragonfly store check`, `export`, `import` and `compact`: works on the file while no daemon does.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json, to_value};

use super::args::{StoreArgs, StoreCommand};
use super::failure::{FAILED, Failure};
use super::{house, print};
use crate::core::config::{Config, Environment};
use crate::core::{Clock, SystemClock};
use crate::store::tool::{self, CheckReport};

/// How often a person hears how far it is.
const TELL: SignedDuration = SignedDuration::from_millis(200);

/// Works on the store's file while no daemon does.
pub fn store_tool(args: StoreArgs) -> ExitCode {
    let StoreArgs {
        flags,
        json,
        command,
    } = args;
    let config = Config::load(&flags, &Environment::of_process()).map_err(Failure::from);
    let done = config.and_then(|config| match &command {
        StoreCommand::Check => check(&present(&config)?, json),
        StoreCommand::Export { to } => export(&present(&config)?, to, json),
        StoreCommand::Import { from } => import(&config, from, json),
        StoreCommand::Compact => compact(&present(&config)?, json),
    });
    done.unwrap_or_else(|failure| failure.report(json))
}

/// The store's file, when there is one.
fn present(config: &Config) -> Result<std::path::PathBuf, Failure> {
    let path = config.store_file();
    match std::fs::symlink_metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(format!(
            "there is no store at {}",
            path.display()
        ))
        .hint("say where it is with --data (or DRAGONFLY_DATA)")),
        Err(error) => Err(Failure::unavailable(format!(
            "store {} cannot be looked at: {error}",
            path.display()
        ))),
    }
}

fn check(path: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let report = tool::check(path)?;
    let sound = report.is_sound();
    if as_json {
        let mut data = value(&report);
        data["path"] = json!(path);
        data["sound"] = json!(sound);
        print::json("store.check", &data);
    } else {
        print::line(&words(path, &report));
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn words(path: &Path, report: &CheckReport) -> String {
    let mut lines = vec![format!(
        "{}: {} objects, {} events, {}, schema {}",
        path.display(),
        report.objects,
        report.events,
        size(report.file_bytes),
        report.schema
    )];
    if report.is_sound() {
        lines.push("sound: every checksum and every index agrees".into());
        return lines.join("\n");
    }
    lines.extend(
        report
            .findings
            .iter()
            .map(|finding| format!("  damaged: {finding}")),
    );
    if report.more_findings > 0 {
        lines.push(format!("  and {} more", report.more_findings));
    }
    lines.push(
        "The file was left as it is. Restore a backup, or export what can still be read.".into(),
    );
    lines.join("\n")
}

fn export(path: &Path, to: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let to_stdout = to == Path::new("-");
    let passed = if to_stdout {
        tool::export(path, Told::new(io::stdout().lock(), "exported"))?
    } else {
        export_to_file(path, to)?
    };
    let data =
        json!({ "path": path, "to": to, "objects": passed.objects, "events": passed.events });
    let report = format!(
        "exported {} objects and {} events",
        passed.objects, passed.events
    );
    match (to_stdout, as_json) {
        // Standard output is the export itself.
        (true, true) => print::error_line(
            &json!({ "version": 1, "kind": "store.export", "data": data }).to_string(),
        ),
        (true, false) => print::error_line(&report),
        (false, true) => print::json("store.export", &data),
        (false, false) => print::line(&format!("{report} to {}", to.display())),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes beside the name first: under the name itself there is nothing, or a whole export.
fn export_to_file(path: &Path, to: &Path) -> Result<tool::Passed, Failure> {
    let failed = |error: io::Error| {
        Failure::unavailable(format!(
            "export {} cannot be written: {error}",
            to.display()
        ))
    };
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(
            Failure::new(format!("file {} is there already", to.display()))
                .hint("choose another name, or move it away"),
        );
    }
    let mut half = to.as_os_str().to_owned();
    half.push(".part");
    let half = Path::new(&half);
    // Machines' records are nobody else's business.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(half)
        .map_err(failed)?;
    let written = tool::export(path, Told::new(&file, "exported"))
        .map_err(Failure::from)
        .and_then(|passed| {
            file.sync_all()
                .and_then(|()| std::fs::rename(half, to))
                .map_err(failed)?;
            Ok(passed)
        });
    written.inspect_err(|_| {
        std::fs::remove_file(half).ok();
    })
}

fn import(config: &Config, from: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let path = config.store_file();
    let passed = if from == Path::new("-") {
        house::make_folder(&config.data)?;
        tool::import(
            BufReader::new(Told::new(io::stdin().lock(), "imported")),
            &path,
        )?
    } else {
        let file = File::open(from).map_err(|error| {
            Failure::unavailable(format!("export {} cannot be read: {error}", from.display()))
        })?;
        house::make_folder(&config.data)?;
        tool::import(BufReader::new(Told::new(file, "imported")), &path)?
    };
    if as_json {
        let data = json!({ "path": path, "from": from, "objects": passed.objects, "events": passed.events });
        print::json("store.import", &data);
    } else {
        print::line(&format!(
            "imported {} objects and {} events into {}",
            passed.objects,
            passed.events,
            path.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn compact(path: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let report = tool::compact(path)?;
    if as_json {
        let mut data = value(&report);
        data["path"] = json!(path);
        print::json("store.compact", &data);
    } else {
        let (before, after) = (size(report.bytes_before), size(report.bytes_after));
        print::line(&format!("{}: {before} before, {after} now", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn value(report: &impl serde::Serialize) -> Value {
    to_value(report).unwrap_or_default()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20),
    }
}

/// Passes bytes on, and tells a person who watches how many they were.
struct Told<T> {
    inner: T,
    verb: &'static str,
    watched: bool,
    bytes: u64,
    last: Timestamp,
}

impl<T> Told<T> {
    fn new(inner: T, verb: &'static str) -> Self {
        Self {
            inner,
            verb,
            watched: print::person_watches(),
            bytes: 0,
            last: SystemClock.now(),
        }
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let now = SystemClock.now();
        if self.watched && now.duration_since(self.last) >= TELL {
            self.last = now;
            write!(io::stderr(), "\r{} {} ", self.verb, size(self.bytes)).ok();
        }
    }
}

impl<T> Drop for Told<T> {
    fn drop(&mut self) {
        if self.watched {
            // The line is cleared for what is said at the end.
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}

impl<T: Write> Write for Told<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Told<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.count(read);
        Ok(read)
    }
}
