//! Whether a step is done at all: `when: hardware.firmware == "uefi"`.
//!
//! ```text
//! condition  = comparison { "and" comparison }
//! comparison = operand ( "==" | "!=" | "in" ) operand
//! operand    = name { "." name } | "text" | 'text' | number | true | false | null
//! ```
//!
//! A variable without a value is `null` here. `in` asks whether a list holds a value, or a text another.

use serde_json::Value;

use super::expression::{Operand, Token, literal, name, tokens};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition(Vec<Comparison>);

#[derive(Clone, Debug, PartialEq)]
struct Comparison {
    left: Operand,
    how: How,
    right: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Same,
    Other,
    In,
}

impl Condition {
    pub fn read(source: &str) -> Result<Self, String> {
        let tokens = tokens(source)?;
        let and = Token::Word("and".into());
        let parts = tokens.split(|token| *token == and);
        parts
            .map(|part| comparison(part, source))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The variables that it asks for.
    pub fn names(&self) -> impl Iterator<Item = &[String]> {
        let operands = self.0.iter().flat_map(|one| [&one.left, &one.right]);
        operands.filter_map(|operand| match operand {
            Operand::Name(name) => Some(name.as_slice()),
            _ => None,
        })
    }

    pub fn holds(&self, value: &dyn Fn(&[String]) -> Value) -> bool {
        let of = |operand: &Operand| match operand {
            Operand::Name(name) => value(name),
            Operand::Literal(value) => value.clone(),
            Operand::Disk(_) => Value::Null,
        };
        let mut all = self.0.iter();
        all.all(|one| {
            let (left, right) = (of(&one.left), of(&one.right));
            match one.how {
                How::Same => left == right,
                How::Other => left != right,
                How::In => contains(&right, &left),
            }
        })
    }
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Array(items), part) => items.contains(part),
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        _ => false,
    }
}

fn comparison(tokens: &[Token], source: &str) -> Result<Comparison, String> {
    let [left, how, right] = tokens else {
        return Err(format!(
            "{} is no condition; a valid example: hardware.firmware == \"uefi\" and \"web\" in machine.tags",
            super::quoted(source)
        ));
    };
    let how = match how {
        Token::Sign("==") => How::Same,
        Token::Sign("!=") => How::Other,
        Token::Word(word) if word == "in" => How::In,
        _ => return Err("the middle of a comparison is ==, != or in".into()),
    };
    Ok(Comparison {
        left: operand(left)?,
        how,
        right: operand(right)?,
    })
}

fn operand(token: &Token) -> Result<Operand, String> {
    match token {
        Token::Text(text) => Ok(Operand::Literal(Value::from(text.as_str()))),
        Token::Word(word) => match literal(word) {
            Some(value) => Ok(Operand::Literal(value)),
            None => name(word).map(Operand::Name),
        },
        Token::Sign(sign) => Err(format!("'{sign}' stands where a value should")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    fn of(name: &[String]) -> Value {
        match name.join(".").as_str() {
            "hardware.firmware" => json!("uefi"),
            "hardware.cpu_cores" => json!(8),
            "machine.tags" => json!(["web", "rack2"]),
            _ => Value::Null,
        }
    }

    #[test_case(r#"hardware.firmware == "uefi""#, true)]
    #[test_case(r"hardware.firmware != 'uefi'", false)]
    #[test_case("hardware.cpu_cores == 8", true)]
    #[test_case(r#""web" in machine.tags"#, true)]
    #[test_case(r#""db" in machine.tags"#, false)]
    #[test_case(r#""ef" in hardware.firmware"#, true)]
    #[test_case("hardware.serial == null", true)]
    #[test_case(r#"hardware.firmware == "uefi" and "db" in machine.tags"#, false)]
    #[test_case(r#"hardware.firmware == "uefi" and hardware.cpu_cores != 4"#, true)]
    fn a_condition_holds_or_not(source: &str, holds: bool) {
        assert_eq!(Condition::read(source).unwrap().holds(&of), holds);
    }

    #[test_case("", "no condition"; "nothing")]
    #[test_case("a", "no condition"; "a lone name")]
    #[test_case("a = b", "means nothing"; "a single equals sign")]
    #[test_case("a == b and", "no condition"; "an and with nothing behind it")]
    #[test_case("a b c", "==, != or in"; "three names")]
    fn what_is_no_condition_tells_why(source: &str, why: &str) {
        let error = Condition::read(source).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
