//! Templates, and the defaults of installations.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Response;
use serde_json::Value;

use super::ask::{Ask, json, list as as_list};
use super::nearest;
use super::param::shown;
use super::problem::Fault;
use crate::api::template as api;
use crate::core::Command;
use crate::core::templates::TemplateView;
use crate::model::template::Format;
use crate::model::{OsChoice, Setting, SettingKey, Template};

pub fn list(ask: &Ask) -> Result<Response<Body>, Fault> {
    let views = ask.web.core().templates()?;
    as_list(views.iter().map(view).collect())
}

pub fn show(ask: &Ask) -> Result<Response<Body>, Fault> {
    let name = name(ask)?;
    let found = ask.web.core().template_view(&name)?;
    let found = found.ok_or_else(|| unknown(ask, name.as_str()))?;
    let shown = api::Template {
        source: Some(found.source.to_string()),
        ..view(&found)
    };
    ask.versioned(&shown, found.version)
}

pub async fn put(ask: Ask) -> Result<Response<Body>, Fault> {
    let api::PutTemplate { source } = ask.json()?;
    let name = name(&ask)?;
    ask.run(Command::PutTemplate { name, source }).await
}

pub async fn delete(ask: Ask) -> Result<Response<Body>, Fault> {
    let name = name(&ask)?;
    ask.run(Command::DeleteTemplate { name }).await
}

fn name(ask: &Ask) -> Result<OsChoice, Fault> {
    let text = ask.part("template")?;
    text.parse().map_err(|_| unknown(ask, text))
}

fn unknown(ask: &Ask, name: &str) -> Fault {
    let views = ask.web.core().templates().unwrap_or_default();
    let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
    let detail = nearest::unknown("the template", name, &names);
    Fault::new(crate::api::Code::NotFound, detail).hint("list them: dragonfly template list")
}

fn view(found: &TemplateView) -> api::Template {
    let mut shown = match &found.template {
        Ok(template) => of(template),
        Err(errors) => {
            let mut broken = of_nothing();
            broken.errors = errors.iter().cloned().map(Into::into).collect();
            broken
        }
    };
    shown.name = found.name.to_string();
    found.origin.name().clone_into(&mut shown.origin);
    shown.version = found.version;
    shown
}

fn of_nothing() -> api::Template {
    api::Template {
        name: String::new(),
        origin: String::new(),
        version: 0,
        description: None,
        format: format_name(Format::Dragonfly).into(),
        template_version: None,
        timeout_seconds: None,
        annotations: BTreeMap::new(),
        parameters: Vec::new(),
        steps: Vec::new(),
        errors: Vec::new(),
        source: None,
    }
}

fn of(template: &Template) -> api::Template {
    let parameters = template.parameters.iter().map(|parameter| api::Parameter {
        name: parameter.name.clone(),
        description: parameter.description.clone(),
        required: parameter.default.is_none(),
        default: parameter.default.clone(),
    });
    let steps = template.outline().map(|(name, action)| api::TemplateStep {
        name: name.into(),
        action: action.into(),
    });
    api::Template {
        description: template.description.clone(),
        format: format_name(template.format).into(),
        template_version: template.version.clone(),
        timeout_seconds: template.timeout_seconds,
        annotations: template.annotations.clone(),
        parameters: parameters.collect(),
        steps: steps.collect(),
        ..of_nothing()
    }
}

const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Dragonfly => "dragonfly",
        Format::Tinkerbell => "tinkerbell",
    }
}

pub fn defaults(ask: &Ask) -> Result<Response<Body>, Fault> {
    let set = ask.web.core().defaults()?;
    json(&api::Defaults {
        user: set.user().into(),
        ssh_keys: set.ssh_keys.iter().map(ToString::to_string).collect(),
        password_set: set.password_hash.is_some(),
        os: set.os.as_ref().map(ToString::to_string),
        timezone: set.timezone.as_ref().map(ToString::to_string),
        locale: set.locale.as_ref().map(ToString::to_string),
        dns: set.dns.iter().map(ToString::to_string).collect(),
        ntp: set.ntp.iter().map(ToString::to_string).collect(),
    })
}

pub async fn set_defaults(ask: Ask) -> Result<Response<Body>, Fault> {
    let body: api::SetDefaults = ask.json()?;
    let changes = body.0.iter().map(|(name, value)| change(name, value));
    let changes = changes.collect::<Result<_, _>>()?;
    ask.run(Command::SetDefaults { changes }).await
}

fn change(name: &str, value: &Value) -> Result<(SettingKey, Option<String>), Fault> {
    const EXAMPLE: &str = r#"{"user":"ada","dns":["192.0.2.1"]}"#;
    let key = format!("{}{name}", Setting::DEFAULTS).parse();
    let key: SettingKey = key.map_err(|_| {
        let known = SettingKey::all().filter_map(|key| key.strip_prefix(Setting::DEFAULTS));
        let known: Vec<_> = known.collect();
        let reason = nearest::unknown("the default", name, &known);
        Fault::field(shown(name), reason, EXAMPLE)
    })?;
    let wrong = || {
        let reason = "it has to be a text, a list of texts, or null";
        Fault::field(shown(name), reason, EXAMPLE)
    };
    let value = match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let lines = items.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
            Some(lines.ok_or_else(wrong)?.join("\n"))
        }
        _ => return Err(wrong()),
    };
    Ok((key, value))
}
