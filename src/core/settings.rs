//! Settings: a value of one's own, and back to the default.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::model::setting::DefaultKind;
use crate::model::setting::SettingKind::Default;
use crate::model::{FieldChange, FieldError, Mode, Setting, SettingKey, Subject, What};
use crate::store::{Key, Object};

use super::Refusal;
use super::plan::{Plan, View};

pub(super) fn set(view: &View, key: &SettingKey, value: &str) -> Result<Plan, Refusal> {
    let setting = Setting::parse(key.clone(), value)?;
    let now = view.core.setting(key)?;
    let mut plan = begin(key, now.version);
    advise(view, &setting, &mut plan)?;
    if now.set && now.value == setting.value {
        let shown = now.spec.shown(&now.value);
        plan.note(format!("{key} is '{shown}' already"));
        return Ok(plan);
    }
    change(&mut plan, key, &now.value, &setting.value);
    plan.put(Object::Setting(Arc::new(setting)), now.version);
    Ok(plan)
}

pub(super) fn reset(view: &View, key: &SettingKey) -> Result<Plan, Refusal> {
    let now = view.core.setting(key)?;
    let mut plan = begin(key, now.version);
    if !now.set {
        plan.note(format!(
            "{key} stands at its default '{}' already",
            now.value
        ));
        return Ok(plan);
    }
    change(&mut plan, key, &now.value, now.spec.default);
    plan.delete(Key::Setting(key.clone()), now.version);
    Ok(plan)
}

/// Several of the defaults at once; none for one that goes back to nothing.
pub(super) fn set_defaults(
    view: &View,
    changes: &BTreeMap<SettingKey, Option<String>>,
) -> Result<Plan, Refusal> {
    let mut whole: Option<Plan> = None;
    for (key, value) in changes {
        if !matches!(key.spec().kind, Default(_)) {
            let reason = format!("{key} is none of the defaults");
            return Err(FieldError::new("key", reason, "defaults.user").into());
        }
        let one = match value.as_deref().filter(|value| !value.trim().is_empty()) {
            Some(value) => set(view, key, value)?,
            None => reset(view, key)?,
        };
        match &mut whole {
            Some(plan) => plan.join(one),
            None => whole = Some(one),
        }
    }
    let mut plan =
        whole.ok_or_else(|| FieldError::new("defaults", "nothing was given to set", "user=ada"))?;
    plan.next.clear();
    plan.next("see the defaults", "dragonfly defaults show");
    Ok(plan)
}

/// What a person should know of a choice that is theirs to make.
fn advise(view: &View, setting: &Setting, plan: &mut Plan) -> Result<(), Refusal> {
    let key = &setting.key;
    if key.as_str() == Mode::KEY
        && Mode::of(&setting.value) == Mode::Flight
        && view.core.defaults()?.os.is_none()
    {
        plan.note("no machine is installed by itself until a default system is chosen");
        plan.next("choose it", "dragonfly defaults set os=debian-13");
    }
    if key.spec().kind == Default(DefaultKind::Os)
        && let Ok(name) = setting.value.parse()
        && view.core.template(&name)?.is_none()
    {
        plan.note(format!("no template is called {name}"));
        plan.next("see all templates", "dragonfly template list");
    }
    Ok(())
}

fn begin(key: &SettingKey, version: u64) -> Plan {
    let mut plan = Plan::new(Subject::Setting(key.clone()), version);
    plan.next("see all settings", "dragonfly settings");
    plan
}

/// A secret's change is told without the secret.
fn change(plan: &mut Plan, key: &SettingKey, from: &str, to: &str) {
    let spec = key.spec();
    let told = match to {
        "" => "",
        _ if spec.is_secret() && !from.is_empty() => "(set anew)",
        _ => spec.shown(to),
    };
    plan.diff = vec![FieldChange::new(
        key.as_str(),
        json!(spec.shown(from)),
        json!(told),
    )];
    plan.say(What::SettingChanged {
        diff: plan.diff.clone(),
    });
}
