//! Templates and the defaults of installations, as the API shows and takes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::problem::TextError;
use crate::model::template;

/// A template as it is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    #[schema(example = "debian-13")]
    pub name: String,
    /// `catalogue`: it comes with Dragonfly; `own`: a person's; `override`: a person's of a name that the catalogue has
    /// too.
    pub origin: String,
    /// 0 for one of the catalogue.
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `dragonfly` or `tinkerbell`: whose format it is written in.
    pub format: String,
    /// Its author's own version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// What else its author says of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    pub steps: Vec<TemplateStep>,
    /// What this version of Dragonfly finds wrong with one that an earlier one took.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<TextError>,
    /// The text itself, where one template is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A value that is given when the template is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Parameter {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it has to be given.
    pub required: bool,
    /// What it is where nobody gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// One step, as it stands in the template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateStep {
    pub name: String,
    pub action: String,
}

/// A template of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTemplate {
    /// The whole text, in Dragonfly's format or Tinkerbell's.
    #[schema(example = "apiVersion: dragonfly.computer/v1\n…")]
    pub source: String,
}

/// What every installation starts from. Names that are absent were not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Defaults {
    /// The user that is made on each machine; what it is called where nobody named it, too.
    pub user: String,
    pub ssh_keys: Vec<String>,
    /// Whether there is a password; it is never shown.
    pub password_set: bool,
    /// The template that is meant where nobody names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    pub dns: Vec<String>,
    pub ntp: Vec<String>,
}

/// A change of the defaults: names that are absent stay, `null` clears; lists are lists of texts.
///
/// Names: `user`, `ssh_keys`, `password_hash`, `os`, `timezone`, `locale`, `dns`, `ntp`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct SetDefaults(pub BTreeMap<String, Value>);

/// The name of the template in a text, or all that is wrong with it. Both sides read it the same way, so that a text
/// can be checked without a daemon.
pub fn check(source: &str) -> Result<String, Vec<TextError>> {
    let read = template::Template::parse(source);
    read.map(|template| template.name.to_string())
        .map_err(|errors| errors.into_iter().map(Into::into).collect())
}
