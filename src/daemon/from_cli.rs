//! What was typed, as the daemon's entries take it, and what the command line is told for `doctor`.

use super::args::{
    ConfigArgs, ConfigCommand, DemoArgs, Flags, ServerArgs, StoreArgs, StoreCommand,
};
use super::plane;
use crate::cli::args::{self as typed, local};
use crate::cli::doctor::Facts;
use crate::core::config::{Config, Environment, keys};

impl From<typed::Server> for ServerArgs {
    fn from(typed: typed::Server) -> Self {
        let flags = Flags {
            config: typed.place.config,
            data: typed.place.data,
            socket: typed.socket,
            listen: typed.listen,
            log: typed.logging.log,
            log_format: typed.logging.log_format,
        };
        Self { flags }
    }
}

impl From<typed::Demo> for DemoArgs {
    fn from(typed: typed::Demo) -> Self {
        let flags = Flags {
            listen: typed.listen,
            log: typed.logging.log,
            log_format: typed.logging.log_format,
            ..Flags::default()
        };
        Self { flags }
    }
}

impl From<(typed::Store, bool)> for StoreArgs {
    fn from((typed, json): (typed::Store, bool)) -> Self {
        let command = match typed.command {
            typed::StoreCommand::Check => StoreCommand::Check,
            typed::StoreCommand::Export { to } => StoreCommand::Export { to },
            typed::StoreCommand::Import { from } => StoreCommand::Import { from },
            typed::StoreCommand::Compact => StoreCommand::Compact,
        };
        Self {
            flags: place(typed.place),
            json,
            command,
        }
    }
}

impl From<(typed::Config, bool)> for ConfigArgs {
    fn from((typed, json): (typed::Config, bool)) -> Self {
        let command = match typed.command {
            typed::ConfigCommand::Show => ConfigCommand::Show,
            typed::ConfigCommand::Check => ConfigCommand::Check,
        };
        Self {
            flags: place(typed.place),
            json,
            command,
        }
    }
}

fn place(typed: local::StorePlace) -> Flags {
    Flags {
        config: typed.config,
        data: typed.data,
        ..Flags::default()
    }
}

/// What the daemon would be configured with; the defaults, when its configuration is wrong.
pub fn facts(typed: &typed::Doctor) -> Facts {
    let flags = Flags {
        config: typed.place.config.clone(),
        data: typed.place.data.clone(),
        ..Flags::default()
    };
    match Config::load(&flags, &Environment::of_process()) {
        Ok(config) => Facts {
            config_file: config.file.clone().filter(|file| file.exists()),
            config_errors: Vec::new(),
            data: config.data.clone(),
            data_named: typed.place.data.is_some(),
            socket: config.socket.path.clone(),
            socket_mode: config.socket.mode,
            socket_group: config.socket.group.clone(),
            links: config.net.links.iter().map(ToString::to_string).collect(),
            http_port: config.net.http_port,
            loaders: config.loaders.clone(),
            lacking: plane::lacking(&config),
            environments: plane::environments(&config),
        },
        Err(errors) => Facts {
            config_file: flags.config,
            config_errors: errors.to_string().lines().map(str::to_owned).collect(),
            data: default("data").into(),
            data_named: false,
            socket: default("socket.path").into(),
            socket_mode: 0o660,
            socket_group: default("socket.group"),
            links: Vec::new(),
            http_port: default("net.http_port").parse().unwrap_or(3080),
            loaders: default("boot.loaders").into(),
            lacking: Vec::new(),
            environments: Vec::new(),
        },
    }
}

fn default(key: &str) -> String {
    keys::find(key)
        .map_or("", |key| key.default)
        .trim_matches('"')
        .to_owned()
}
