//! Templates: those that come with Dragonfly, and what the choices of a person come to.

mod catalogue;

use std::sync::Arc;

use crate::model::{Defaults, Mode, OsChoice, Setting, SettingKey, Template};

use super::{Core, Refusal};

pub use catalogue::{CATALOGUE, Entry};

impl Core {
    /// The template of this name.
    pub fn template(&self, name: &OsChoice) -> Result<Option<Arc<Template>>, Refusal> {
        Ok(catalogue::find(name.as_str()))
    }

    /// What every installation starts from.
    pub fn defaults(&self) -> Result<Defaults, Refusal> {
        let mut defaults = Defaults {
            user: self.default("user")?,
            password_hash: self.default("password_hash")?,
            os: self.default("os")?,
            timezone: self.default("timezone")?,
            locale: self.default("locale")?,
            ..Defaults::default()
        };
        defaults.ssh_keys = self.default_list("ssh_keys")?;
        defaults.dns = self.default_list("dns")?;
        defaults.ntp = self.default_list("ntp")?;
        Ok(defaults)
    }

    /// What happens to machines that are new.
    pub fn mode(&self) -> Result<Mode, Refusal> {
        let setting = self.setting(&Mode::KEY.parse()?)?;
        Ok(Mode::of(&setting.value))
    }

    /// What a person set was read before it was stored, so what cannot be read is nothing.
    fn default<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        Ok(self.default_text(name)?.parse().ok())
    }

    fn default_list<T: std::str::FromStr>(&self, name: &str) -> Result<Vec<T>, Refusal> {
        let text = self.default_text(name)?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    fn default_text(&self, name: &str) -> Result<String, Refusal> {
        let key: SettingKey = format!("{}{name}", Setting::DEFAULTS).parse()?;
        Ok(self.setting(&key)?.value)
    }
}
