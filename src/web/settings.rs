//! Settings: the closed table of keys, with what a person made of it.

use axum::body::Body;
use axum::http::Response;

use super::ask::{Ask, list as as_list};
use super::nearest;
use super::problem::Fault;
use crate::api::{self, Code};
use crate::core::{Command, SettingView};
use crate::model::SettingKey;
use crate::model::setting::SETTINGS;

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    as_list(ask.web.core().settings()?.into_iter().map(view).collect())
}

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    let setting = view(ask.web.core().setting(&key(ask)?)?);
    ask.versioned(&setting, setting.version)
}

pub async fn set(ask: Ask) -> Result<Response<Body>, Fault> {
    let api::SetSetting { value } = ask.json()?;
    ask.run(Command::SetSetting {
        key: key(&ask)?,
        value,
    })
    .await
}

pub async fn reset(ask: Ask) -> Result<Response<Body>, Fault> {
    ask.run(Command::ResetSetting { key: key(&ask)? }).await
}

/// A key that is none is an address that is none.
fn key(ask: &Ask) -> Result<SettingKey, Fault> {
    let text = ask.part("key")?;
    text.parse().map_err(|_| {
        let known: Vec<_> = SETTINGS.iter().map(|spec| spec.key).collect();
        Fault::new(
            Code::NotFound,
            nearest::unknown("the setting", text, &known),
        )
        .hint("list them: dragonfly settings")
    })
}

fn view(setting: SettingView) -> api::Setting {
    let SettingView {
        spec,
        value,
        set,
        version,
    } = setting;
    let value = if spec.is_secret() {
        spec.shown(&value).to_owned()
    } else {
        value
    };
    api::Setting {
        key: spec.key.into(),
        value,
        default: spec.default.into(),
        set,
        version,
        help: spec.help.into(),
        example: spec.example.into(),
    }
}
