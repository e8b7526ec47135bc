//! Settings: a value of one's own, and back to the default.

use std::sync::Arc;

use serde_json::json;

use crate::model::{FieldChange, Setting, SettingKey, Subject, What};
use crate::store::{Key, Object};

use super::Refusal;
use super::plan::{Plan, View};

pub(super) fn set(view: &View, key: &SettingKey, value: &str) -> Result<Plan, Refusal> {
    let setting = Setting::parse(key.clone(), value)?;
    let now = view.core.setting(key)?;
    let mut plan = begin(key, now.version);
    if now.set && now.value == setting.value {
        plan.note(format!("{key} is '{}' already", now.value));
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

fn begin(key: &SettingKey, version: u64) -> Plan {
    let mut plan = Plan::new(Subject::Setting(key.clone()), version);
    plan.next("see all settings", "dragonfly settings");
    plan
}

fn change(plan: &mut Plan, key: &SettingKey, from: &str, to: &str) {
    plan.diff = vec![FieldChange::new(key.as_str(), json!(from), json!(to))];
    plan.say(What::SettingChanged {
        diff: plan.diff.clone(),
    });
}
