//! An edit as it comes in JSON, made into the model's [`Patch`]: absent stays, `null` clears.

mod network;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::Value;

use super::nearest;
use super::param::shown;
use super::problem::Fault;
use crate::model::{Field, FieldError, Labels, Patch, Tag};

pub use network::network;

/// The patch, or the first field that is wrong, why, and what it would have taken.
pub fn patch(fields: &BTreeMap<String, Value>) -> Result<Patch, Fault> {
    let mut patch = Patch::default();
    for (name, value) in fields {
        let Some(field) = Field::ALL.into_iter().find(|field| field.as_str() == name) else {
            let known = Field::ALL.map(Field::as_str);
            let reason = nearest::unknown("the field", name, &known);
            return Err(Fault::field(shown(name), reason, r#"{"hostname":"web01"}"#));
        };
        set(&mut patch, field, value)?;
    }
    if patch.is_empty() {
        let reason = "it names no field to change";
        return Err(Fault::field("body", reason, r#"{"hostname":"web01"}"#));
    }
    Ok(patch)
}

fn set(patch: &mut Patch, field: Field, value: &Value) -> Result<(), Fault> {
    match field {
        Field::Mac => patch.mac = Some(text(field, value)?),
        Field::Hostname => patch.hostname = Some(clearable(field, value)?),
        Field::FriendlyName => patch.friendly_name = Some(clearable(field, value)?),
        Field::Tags => patch.tags = Some(tag_set(value)?),
        Field::Labels => patch.labels = Some(labels(value)?),
        Field::StaticIp => patch.static_ip = Some(clearable(field, value)?),
        Field::Vlan => patch.vlan = Some(clearable(field, &digits(value))?),
        Field::Bond => patch.bond = Some(clearable(field, value)?),
        Field::Status => patch.status = Some(text(field, value)?),
        Field::OsChoice => patch.os_choice = Some(clearable(field, value)?),
    }
    Ok(())
}

fn clearable<T: FromStr<Err = FieldError>>(
    field: Field,
    value: &Value,
) -> Result<Option<T>, Fault> {
    match value {
        Value::Null => Ok(None),
        value => text(field, value).map(Some),
    }
}

/// A number may come as one, or as the text of one.
fn digits(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        other => other.clone(),
    }
}

fn text<T: FromStr<Err = FieldError>>(field: Field, value: &Value) -> Result<T, Fault> {
    match value {
        Value::String(text) => Ok(text.parse()?),
        Value::Null => Err(wrong(
            field.as_str(),
            "it cannot be cleared",
            example(field),
        )),
        other => Err(wrong_kind(field.as_str(), "text", other, example(field))),
    }
}

fn tag_set(value: &Value) -> Result<BTreeSet<Tag>, Fault> {
    let example = example(Field::Tags);
    match value {
        Value::Null => Ok(BTreeSet::new()),
        Value::Array(items) => {
            let tags = items.iter().enumerate().map(|(place, item)| match item {
                Value::String(text) => text.parse::<Tag>().map_err(|error| {
                    Fault::field(format!("tags[{place}]"), error.reason, error.example)
                }),
                other => Err(wrong_kind(
                    &format!("tags[{place}]"),
                    "text",
                    other,
                    example,
                )),
            });
            tags.collect()
        }
        other => Err(wrong_kind("tags", "a list of texts", other, example)),
    }
}

fn labels(value: &Value) -> Result<Labels, Fault> {
    let example = example(Field::Labels);
    match value {
        Value::Null => Ok(Labels::default()),
        Value::Object(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| match value {
                Value::String(text) => Ok((key.clone(), text.clone())),
                other => Err(wrong_kind(
                    &format!("labels.{}", shown(key)),
                    "text",
                    other,
                    example,
                )),
            });
            Ok(Labels::try_from(
                pairs.collect::<Result<BTreeMap<_, _>, Fault>>()?,
            )?)
        }
        other => Err(wrong_kind("labels", "an object of texts", other, example)),
    }
}

const fn example(field: Field) -> &'static str {
    match field {
        Field::Mac => "52:54:00:12:34:56",
        Field::Hostname => "web01.rack2.example.net",
        Field::FriendlyName => "topaz-control-master",
        Field::Tags => r#"["web","rack2"]"#,
        Field::Labels => r#"{"owner":"ada"}"#,
        Field::StaticIp => "192.0.2.10/24 via 192.0.2.1",
        Field::Vlan => "20",
        Field::Bond => "802.3ad:52:54:00:12:34:56,52:54:00:12:34:57",
        Field::Status => "offline",
        Field::OsChoice => "debian-13",
    }
}

fn wrong(field: &str, reason: &str, example: &str) -> Fault {
    Fault::field(field, reason, example)
}

fn wrong_kind(field: &str, wanted: &str, found: &Value, example: &str) -> Fault {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fault::field(
        field,
        format!("it is {found}, and has to be {wanted}"),
        example,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_takes_its_own_example() {
        for field in Field::ALL {
            let value: Value =
                serde_json::from_str(example(field)).unwrap_or_else(|_| json!(example(field)));
            let fields = BTreeMap::from([(field.as_str().to_owned(), value)]);
            assert_eq!(patch(&fields).unwrap().fields(), [field]);
        }
    }
}
