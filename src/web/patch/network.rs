//! A change of a network as it comes in JSON, made into the model's [`NetworkPatch`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{wrong, wrong_kind};
use crate::model::boot::{LoaderChoice, Rung};
use crate::model::network::{NetworkPatch, Oui};
use crate::model::{FieldError, MacAddr};
use crate::web::nearest;
use crate::web::param::shown;
use crate::web::problem::Fault;

/// Each field with a value that it takes.
const FIELDS: [(&str, &str); 14] = [
    ("admit", "approve"),
    ("dns", r#"["10.0.0.1"]"#),
    ("domain", "lab.example.net"),
    ("floating", "auto"),
    ("idle", "local"),
    ("lease_seconds", "3600"),
    ("loaders", r#"{"b8:27:eb":"firmware"}"#),
    ("on_conflict", "move"),
    ("pool", "10.0.0.100-10.0.0.200"),
    ("reservations", r#"{"52:54:00:12:34:56":"10.0.0.50"}"#),
    ("router", "10.0.0.1"),
    ("rungs", r#"["proxy","binl"]"#),
    ("scan", "20"),
    ("serve", "proxy"),
];

/// The patch, or the first field that is wrong, why, and what it would have taken.
pub fn network(fields: &BTreeMap<String, Value>) -> Result<NetworkPatch, Fault> {
    const EXAMPLE: &str = r#"{"serve":"proxy"}"#;
    let mut patch = NetworkPatch::default();
    for (name, value) in fields {
        let Some((field, example)) = FIELDS.iter().find(|(field, _)| field == name) else {
            let known = FIELDS.map(|(field, _)| field);
            let reason = nearest::unknown("the field", name, &known);
            return Err(Fault::field(shown(name), reason, EXAMPLE));
        };
        set(
            &mut patch,
            &Given {
                field,
                value,
                example,
            },
        )?;
    }
    if patch == NetworkPatch::default() {
        return Err(Fault::field("body", "it names no field to change", EXAMPLE));
    }
    Ok(patch)
}

fn set(patch: &mut NetworkPatch, given: &Given<'_>) -> Result<(), Fault> {
    match given.field {
        "admit" => patch.admit = Some(given.choice(&["open", "approve", "known"])?),
        "dns" => patch.dns = Some(given.each(address)?),
        "domain" => patch.domain = Some(given.clearable(Given::text)?),
        "floating" => patch.floating = Some(given.text()?),
        "idle" => patch.idle = Some(given.choice(&["local", "silence"])?),
        "lease_seconds" => patch.lease_seconds = Some(given.number()?),
        "loaders" => patch.loaders = Some(given.pairs::<Oui, _>(loader)?),
        "on_conflict" => patch.on_conflict = Some(given.choice(&["move", "release"])?),
        "pool" => patch.pool = Some(given.clearable(Given::text)?),
        "reservations" => {
            patch.reservations = Some(given.pairs::<MacAddr, _>(address)?);
        }
        "router" => patch.router = Some(given.clearable(address)?),
        "rungs" => patch.rungs = Some(given.each(rung)?),
        "scan" => patch.scan = Some(given.number()?),
        _ => patch.serve = Some(given.choice(&["off", "proxy", "server"])?),
    }
    Ok(())
}

/// A field, or a part of one, and what it was given.
#[derive(Clone, Copy)]
struct Given<'a> {
    field: &'a str,
    value: &'a Value,
    example: &'a str,
}

impl Given<'_> {
    fn str(&self) -> Result<&str, Fault> {
        match self.value {
            Value::String(text) => Ok(text),
            Value::Null => Err(wrong(self.field, "it cannot be cleared", self.example)),
            other => Err(wrong_kind(self.field, "text", other, self.example)),
        }
    }

    fn text<T: FromStr<Err = FieldError>>(&self) -> Result<T, Fault> {
        let parsed = self.str()?.parse::<T>();
        parsed.map_err(|error| Fault::field(self.field, error.reason, self.example))
    }

    fn number<T: TryFrom<u64>>(&self) -> Result<T, Fault> {
        let number = self
            .value
            .as_u64()
            .and_then(|number| number.try_into().ok());
        number.ok_or_else(|| match self.value {
            Value::Number(number) => {
                let reason = format!("{number} is not a whole number that can be meant here");
                wrong(self.field, &reason, self.example)
            }
            other => wrong_kind(self.field, "a number", other, self.example),
        })
    }

    /// One of these words, which are all that the type is written as.
    fn choice<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, Fault> {
        let text = self.str()?;
        serde_json::from_value(self.value.clone()).map_err(|_| {
            let reason = nearest::unknown("the word", text, words);
            wrong(self.field, &reason, words.first().unwrap_or(&self.example))
        })
    }

    fn clearable<T>(&self, read: impl Fn(&Self) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
        match self.value {
            Value::Null => Ok(None),
            _ => read(self).map(Some),
        }
    }

    /// A list; the refusal names the place in it.
    fn each<T, L: FromIterator<T> + Default>(
        &self,
        read: impl Fn(&Given<'_>) -> Result<T, Fault>,
    ) -> Result<L, Fault> {
        let items = match self.value {
            Value::Null => return Ok(L::default()),
            Value::Array(items) => items.iter().enumerate(),
            other => return Err(wrong_kind(self.field, "a list", other, self.example)),
        };
        let items = items.map(|(place, value)| {
            let field = &*format!("{}[{place}]", self.field);
            read(&Given {
                field,
                value,
                ..*self
            })
        });
        items.collect()
    }

    /// An object; the refusal names the key.
    fn pairs<K: FromStr<Err = FieldError> + Ord, V>(
        &self,
        read: impl Fn(&Given<'_>) -> Result<V, Fault>,
    ) -> Result<BTreeMap<K, V>, Fault> {
        let pairs = match self.value {
            Value::Null => return Ok(BTreeMap::new()),
            Value::Object(pairs) => pairs,
            other => return Err(wrong_kind(self.field, "an object", other, self.example)),
        };
        let pairs = pairs.iter().map(|(key, value)| {
            let field = &*format!("{}.{}", self.field, shown(key));
            let key = key.parse::<K>();
            let key = key.map_err(|error| Fault::field(field, error.reason, error.example))?;
            let value = read(&Given {
                field,
                value,
                ..*self
            })?;
            Ok((key, value))
        });
        pairs.collect()
    }
}

fn address(given: &Given<'_>) -> Result<Ipv4Addr, Fault> {
    let text = given.str()?;
    text.parse().map_err(|_| {
        let reason = format!("'{}' is not an IPv4 address", shown(text));
        wrong(given.field, &reason, "10.0.0.1")
    })
}

fn loader(given: &Given<'_>) -> Result<LoaderChoice, Fault> {
    given.choice(&LoaderChoice::ALL.map(LoaderChoice::name))
}

fn rung(given: &Given<'_>) -> Result<Rung, Fault> {
    given.choice(&Rung::ALL.map(Rung::name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(name: &str, value: Value) -> Result<NetworkPatch, Fault> {
        network(&BTreeMap::from([(name.to_owned(), value)]))
    }

    #[test]
    fn every_field_takes_its_own_example() {
        for (field, example) in FIELDS {
            let value = serde_json::from_str(example).unwrap_or_else(|_| json!(example));
            let patch = of(field, value).unwrap();
            let written = serde_json::to_value(&patch).unwrap();
            assert!(written[field] != Value::Null, "{written}");
            assert_eq!(written.as_object().unwrap().len(), 1, "{written}");
        }
    }

    #[test]
    fn null_clears_what_may_be_without_a_value() {
        for (field, cleared) in [
            ("pool", json!(null)),
            ("router", json!(null)),
            ("domain", json!(null)),
            ("dns", json!([])),
            ("loaders", json!({})),
            ("reservations", json!({})),
        ] {
            let patch = of(field, Value::Null).unwrap();
            assert_eq!(serde_json::to_value(&patch).unwrap()[field], cleared);
        }
        for field in ["serve", "scan", "floating"] {
            assert!(of(field, Value::Null).is_err(), "{field}");
        }
    }
}
