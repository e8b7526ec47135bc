//! Configuration: defaults, then the file, then the environment, then flags; built once, never changed.
//!
//! Each key stands in one table ([`keys::KEYS`]) with its kind, default, meaning and a valid example; file,
//! environment, flags, error messages and `config show` are all made from it. Everything that is wrong is told
//! at once, each with its place, so that a person repairs a file in one go. A file that is not there is fine
//! unless it was named.

pub mod error;
mod file;
pub mod keys;
mod value;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use error::{ConfigError, ConfigErrors, Origin};
use keys::{KEYS, Key};
use value::{Raw, Value};

use crate::model::{LinkName, SourceUrl};

/// Where the file lies when nobody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/dragonfly/config.toml";
/// What every variable of the environment begins with.
pub const ENV_PREFIX: &str = "DRAGONFLY_";
/// The file of the store inside the data folder.
pub const STORE_FILE: &str = "store.dragonfly";

/// What was given on the command line, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--data DIR`
    pub data: Option<OsString>,
    /// `--socket FILE`
    pub socket: Option<OsString>,
    /// `--listen ADDRESS:PORT`, as often as wanted
    pub listen: Vec<OsString>,
    /// `--log LEVEL`
    pub log: Option<OsString>,
    /// `--log-format text|json`
    pub log_format: Option<OsString>,
}

/// The variables of the environment that are ours, and no others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, OsString>);

impl Environment {
    /// What this process was started with.
    pub fn of_process() -> Self {
        let all = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            (name.starts_with(ENV_PREFIX) || name == "KUBECONFIG").then_some((name, value))
        });
        Self(all.collect())
    }

    /// A variable's value; one that is set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.0.get(name)?;
        (!value.is_empty()).then_some(value.as_os_str())
    }
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// The data folder.
    pub data: PathBuf,
    /// Where the people's plane listens.
    pub listen: Vec<SocketAddr>,
    pub socket: SocketConfig,
    pub log: LogConfig,
    pub store: StoreConfig,
    pub net: NetConfig,
    /// The folder with the boot loaders of the distribution.
    pub loaders: PathBuf,
    pub images: ImagesConfig,
    /// The folder with the boot environments.
    pub agent: PathBuf,
    /// Things worth knowing that stopped nothing.
    pub notes: Vec<String>,
    entries: Vec<Entry>,
}

/// The unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    pub path: PathBuf,
    pub mode: u32,
    pub group: String,
}

/// What is logged, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or several with their targets, such as `info,dragonfly::store=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// As much as both halves of the journal take on disk.
    pub journal_bytes: u64,
    /// As much as objects take in memory that were read.
    pub cache_bytes: u64,
}

/// The machines' side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// The links that are served; none means that nothing goes out on any wire.
    pub links: Vec<LinkName>,
    /// Where booting machines fetch scripts and files.
    pub http_port: u16,
    /// Where boot agents and installed systems are heard, by TLS.
    pub agent_port: u16,
}

impl NetConfig {
    /// Stands for every real Ethernet link.
    pub const AUTO: &str = "auto";
}

/// The image cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagesConfig {
    /// As much as images take on disk.
    pub quota: u64,
    /// Nothing is fetched.
    pub offline: bool,
    /// Container registries, by the alias that machines use.
    pub registries: BTreeMap<String, SourceUrl>,
}

/// One key as it ended up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: &'static Key,
    /// The value, as it would be written in the file.
    pub shown: String,
    pub origin: Origin,
}

impl Config {
    /// Reads all four sources, or tells everything that is wrong with them.
    pub fn load(flags: &Flags, env: &Environment) -> Result<Self, ConfigErrors> {
        let mut sources = Sources::default();
        let file = sources.read_file(flags, env);
        sources.read_env(env);
        sources.read_flags(flags);
        sources.build(file)
    }

    /// Every key with its value and origin, in the order of the table.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The store's file.
    pub fn store_file(&self) -> PathBuf {
        self.data.join(STORE_FILE)
    }

    /// Whether somebody chose this key's value.
    pub fn is_set(&self, key: &str) -> bool {
        let entry = self.entries.iter().find(|entry| entry.key.name == key);
        entry.is_some_and(|entry| entry.origin != Origin::Default)
    }
}

/// What was found so far: for each key the latest value, and every mistake.
#[derive(Default)]
struct Sources {
    values: BTreeMap<&'static str, (Value, Origin)>,
    errors: Vec<ConfigError>,
    notes: Vec<String>,
}

impl Sources {
    fn read_file(&mut self, flags: &Flags, env: &Environment) -> Option<PathBuf> {
        let named_by_env = env.get("DRAGONFLY_CONFIG").map(PathBuf::from);
        let named = flags.config.clone().or(named_by_env);
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let text = match file::read(&path) {
            Ok(text) => text,
            Err(file::Unread::Missing) if named.is_none() => return None,
            Err(why) => {
                self.errors.push(why.told_of(&path));
                return None;
            }
        };
        let found = file::parse(&path, &text);
        self.errors.extend(found.errors);
        for (key, raw, origin) in found.values {
            self.take(key, &raw, origin);
        }
        // What a broken line would have meant is a guess: the first complaint about it is the true one.
        self.errors.sort_by_key(|error| error.origin.line());
        self.errors.dedup_by_key(|error| error.origin.line());
        Some(path)
    }

    fn read_env(&mut self, env: &Environment) {
        for key in KEYS {
            if let Some(text) = env.get(key.env) {
                self.take(key, &Raw::of_os(text), Origin::Env(key.env.into()));
            }
        }
        self.notes
            .extend(env.0.keys().filter_map(|name| misspelt(name)));
    }

    fn read_flags(&mut self, flags: &Flags) {
        let single = [
            ("data", "--data", &flags.data),
            ("socket.path", "--socket", &flags.socket),
            ("log.level", "--log", &flags.log),
            ("log.format", "--log-format", &flags.log_format),
        ];
        for (name, flag, text) in single {
            if let (Some(text), Some(key)) = (text, keys::find(name)) {
                self.take(key, &Raw::of_os(text), Origin::Flag(flag.into()));
            }
        }
        if let (false, Some(key)) = (flags.listen.is_empty(), keys::find("listen")) {
            let all = flags.listen.iter().map(|text| Raw::of_os(text)).collect();
            self.take(key, &Raw::List(all), Origin::Flag("--listen".into()));
        }
    }

    fn take(&mut self, key: &'static Key, raw: &Raw, origin: Origin) {
        match Value::parse(key, raw, &origin) {
            Ok(value) => {
                self.values.insert(key.name, (value, origin));
            }
            Err(reason) => self.errors.push(ConfigError::of_key(key, origin, reason)),
        }
    }

    fn build(mut self, file: Option<PathBuf>) -> Result<Config, ConfigErrors> {
        for key in KEYS {
            if !self.values.contains_key(key.name) {
                self.take(key, &Raw::of_default(key), Origin::Default);
            }
        }
        if !self.errors.is_empty() {
            return Err(ConfigErrors(self.errors));
        }
        let entries = KEYS.iter().filter_map(|key| {
            let (value, origin) = self.values.get(key.name)?;
            Some(Entry {
                key,
                shown: value.to_string(),
                origin: origin.clone(),
            })
        });
        Ok(Config {
            file,
            entries: entries.collect(),
            data: self.path("data"),
            listen: self.listen(),
            socket: SocketConfig {
                path: self.path("socket.path"),
                mode: u32::try_from(self.number("socket.mode")).unwrap_or(0o600),
                group: self.text("socket.group"),
            },
            log: LogConfig {
                level: self.text("log.level"),
                format: match self.text("log.format").as_str() {
                    "json" => LogFormat::Json,
                    _ => LogFormat::Text,
                },
            },
            store: StoreConfig {
                journal_bytes: self.number("store.journal"),
                cache_bytes: self.number("store.cache"),
            },
            net: NetConfig {
                links: self.links(),
                http_port: self.port("net.http_port"),
                agent_port: self.port("net.agent_port"),
            },
            loaders: self.path("boot.loaders"),
            images: ImagesConfig {
                quota: self.number("images.quota"),
                offline: self.text("images.mode") == "offline",
                registries: self.registries(),
            },
            agent: self.path("boot.agent"),
            notes: self.notes,
        })
    }

    fn path(&self, key: &str) -> PathBuf {
        match self.values.get(key) {
            Some((Value::Path(path), _)) => path.clone(),
            _ => PathBuf::new(),
        }
    }

    fn text(&self, key: &str) -> String {
        match self.values.get(key) {
            Some((Value::Text(text), _)) => text.clone(),
            _ => String::new(),
        }
    }

    fn number(&self, key: &str) -> u64 {
        match self.values.get(key) {
            Some((Value::Size(number) | Value::Mode(number), _)) => *number,
            _ => 0,
        }
    }

    fn links(&self) -> Vec<LinkName> {
        match self.values.get("net.links") {
            Some((Value::Links(all), _)) => all.clone(),
            _ => Vec::new(),
        }
    }

    fn registries(&self) -> BTreeMap<String, SourceUrl> {
        match self.values.get("images.registries") {
            Some((Value::Registries(all), _)) => all.clone(),
            _ => BTreeMap::new(),
        }
    }

    fn port(&self, key: &str) -> u16 {
        match self.values.get(key) {
            Some((Value::Port(port), _)) => *port,
            _ => 0,
        }
    }

    fn listen(&self) -> Vec<SocketAddr> {
        match self.values.get("listen") {
            Some((Value::Listen(all), _)) => all.clone(),
            _ => Vec::new(),
        }
    }
}

/// A hint for a variable that looks like one of ours and is none. It is no error: Kubernetes itself puts
/// variables such as `DRAGONFLY_SERVICE_HOST` into the pods beside a service of that name.
fn misspelt(name: &str) -> Option<String> {
    let known = || KEYS.iter().map(|key| key.env).chain(keys::OTHER_ENV);
    if known().any(|known| known == name) {
        return None;
    }
    let near = known().find(|known| strsim::damerau_levenshtein(known, name) <= 2)?;
    Some(format!("variable {name} is not known; {near} is"))
}

/// A path for people, whatever bytes it holds.
fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

#[cfg(test)]
mod tests;
