//! `dragonfly config show` and `dragonfly config check`.

use std::process::ExitCode;

use serde_json::json as object;

use super::args::{ConfigArgs, ConfigCommand};
use super::failure::Failure;
use super::print;
use crate::core::config::{Config, DEFAULT_FILE, Entry, Environment, Origin};

/// Shows or checks the configuration.
pub fn config_tool(args: ConfigArgs) -> ExitCode {
    let ConfigArgs {
        flags,
        json,
        command,
    } = args;
    match Config::load(&flags, &Environment::of_process()) {
        Ok(config) => {
            match command {
                ConfigCommand::Show => show(&config, json),
                ConfigCommand::Check => right(&config, json),
            }
            ExitCode::SUCCESS
        }
        Err(errors) => Failure {
            exit: super::failure::FAILED,
            ..errors.into()
        }
        .report(json),
    }
}

fn show(config: &Config, as_json: bool) {
    if as_json {
        let values: Vec<_> = config.entries().iter().map(entry).collect();
        return print::json(
            "config.show",
            &object!({ "file": config.file, "values": values, "notes": config.notes }),
        );
    }
    let head = ["KEY", "VALUE", "ORIGIN"].map(String::from);
    let rows = config.entries().iter().map(|entry| {
        [
            entry.key.name.into(),
            entry.shown.clone(),
            entry.origin.to_string(),
        ]
    });
    print::line(&print::table(
        &std::iter::once(head).chain(rows).collect::<Vec<_>>(),
    ));
    notes(config);
}

fn right(config: &Config, as_json: bool) {
    if as_json {
        return print::json(
            "config.check",
            &object!({ "file": config.file, "right": true, "notes": config.notes }),
        );
    }
    match &config.file {
        Some(file) => print::line(&format!("configuration is right: {}", file.display())),
        None => print::line(&format!(
            "configuration is right; there is no file {DEFAULT_FILE}, so defaults hold"
        )),
    }
    notes(config);
}

fn notes(config: &Config) {
    for note in &config.notes {
        print::error_line(&format!("note: {note}"));
    }
}

fn entry(entry: &Entry) -> serde_json::Value {
    let origin = match &entry.origin {
        Origin::Default => object!({ "kind": "default" }),
        Origin::File { path, line } => object!({ "kind": "file", "path": path, "line": line }),
        Origin::Env(name) => object!({ "kind": "environment", "name": name }),
        Origin::Flag(name) => object!({ "kind": "flag", "name": name }),
    };
    object!({
        "key": entry.key.name,
        "value": entry.shown,
        "origin": origin,
        "default": entry.key.default,
        "variable": entry.key.env,
        "help": entry.key.help,
    })
}
