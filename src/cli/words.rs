//! Fields that a person types as `FIELD=VALUE`: which one is meant when it is misspelt.

use super::failure::Failure;

/// What a person types, what the API calls it, and an example.
pub type Field = (&'static str, &'static str, &'static str);

/// The field that is most likely meant.
pub fn nearest(name: &str, fields: &'static [Field]) -> Option<&'static Field> {
    let name = name.to_lowercase();
    let ranked = fields
        .iter()
        .map(|field| (strsim::jaro_winkler(&name, field.0), field));
    let best = ranked.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.75).then_some(best.1)
}

/// There is no such field.
pub fn unknown(what: &str, name: &str, fields: &'static [Field]) -> Failure {
    let failure = Failure::usage(format!("{what} has no field '{name}' that can be set"));
    if let Some((typed, _, example)) = nearest(name, fields) {
        return failure
            .field(name, *example)
            .hint(format!("did you mean {typed}?"));
    }
    let names: Vec<_> = fields.iter().map(|(typed, ..)| *typed).collect();
    failure.hint(format!("fields: {}", names.join(", ")))
}

/// A word that is no pair.
pub fn no_pair(word: &str, form: &str, fields: &'static [Field]) -> Failure {
    let example = nearest(word, fields).or(fields.first());
    Failure::usage(format!("'{word}' is not of the form {form}"))
        .field(word, example.map_or("", |field| field.2))
}

pub fn once(first: bool, name: &str) -> Result<(), Failure> {
    if first {
        Ok(())
    } else {
        Err(Failure::usage(format!("{name} is given twice")))
    }
}

/// The parts of a list with commas between.
pub fn list(value: &str) -> Vec<&str> {
    let parts = value.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}
