//! The defaults of installations and the mode, as they are in force.

use std::str::FromStr;

use crate::core::{Core, Refusal};
use crate::model::{Defaults, Mode, Setting, SettingKey};

impl Core {
    /// What every installation starts from.
    pub fn defaults(&self) -> Result<Defaults, Refusal> {
        Ok(Defaults {
            user: self.default("user")?,
            password_hash: self.default("password_hash")?,
            os: self.default("os")?,
            timezone: self.default("timezone")?,
            locale: self.default("locale")?,
            ssh_keys: self.default_list("ssh_keys")?,
            dns: self.default_list("dns")?,
            ntp: self.default_list("ntp")?,
        })
    }

    /// What happens to machines that are new.
    pub fn mode(&self) -> Result<Mode, Refusal> {
        let setting = self.setting(&Mode::KEY.parse()?)?;
        Ok(Mode::of(&setting.value))
    }

    /// What a person set was read before it was stored, so what cannot be read is nothing.
    fn default<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        Ok(self.default_text(name)?.parse().ok())
    }

    fn default_list<T: FromStr>(&self, name: &str) -> Result<Vec<T>, Refusal> {
        let text = self.default_text(name)?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    fn default_text(&self, name: &str) -> Result<String, Refusal> {
        let key: SettingKey = format!("{}{name}", Setting::DEFAULTS).parse()?;
        Ok(self.setting(&key)?.value)
    }
}
