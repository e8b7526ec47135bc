//! Where in a text a variable may stand, by what its filter makes of it.
//!
//! A quoted word is only safe where the quotes are its own. So what stands around the variable is looked at once, when
//! the template is read: `"{{ x | shell }}"` in double quotes would let a value run a command, and is refused.

use super::expression::{Form, Hole};
use super::node::Part;

/// Why the variable at `index` cannot stand there with its filter.
pub(super) fn check(parts: &[Part], index: usize, form: Form) -> Result<(), String> {
    let before = &parts[..index];
    match form {
        Form::Raw => Ok(()),
        Form::Shell => match shell(before) {
            Shell::Plain => Ok(()),
            Shell::Quotes(quote) => Err(format!(
                "a variable with the filter shell brings its own quotes: put it outside of {quote}…{quote}"
            )),
            Shell::Comment => Err("a variable with the filter shell stands in a comment".into()),
            Shell::Nested(what) => Err(format!(
                "a variable with the filter shell stands in or behind {what}, where its quotes may mean something \
                 else; set a shell variable before that"
            )),
            Shell::Escape => {
                Err("a backslash stands before a variable with the filter shell".into())
            }
        },
        Form::Json | Form::Yaml => {
            let name = form.name();
            let wrong = format!(
                "a variable with the filter {name} has to be a whole value on its line, as in `key: {{{{ x | {name} }}}}`; \
                 it brings its own quotes"
            );
            let fits =
                opens_value(&line_before(before)) && ends_value(&line_after(&parts[index + 1..]));
            fits.then_some(()).ok_or(wrong)
        }
    }
}

/// How a shell reads the place behind a text.
enum Shell {
    Plain,
    Quotes(char),
    Comment,
    /// Behind something in which quotes mean something else, or whose end is hard to tell.
    Nested(&'static str),
    Escape,
}

fn shell(before: &[Part]) -> Shell {
    let mut quote = None;
    let (mut escaped, mut comment) = (false, false);
    // The character before; an escaped one is a letter like any other.
    let mut last = '\n';
    for part in before {
        let Part::Text(text) = part else {
            last = 'x';
            continue;
        };
        for c in text.chars() {
            match (quote, c) {
                _ if comment => comment = c != '\n',
                _ if escaped => {
                    escaped = false;
                    last = 'x';
                    continue;
                }
                (Some('\''), '\'') | (Some('"'), '"') | (Some('`'), '`') => quote = None,
                (Some('\''), _) => {}
                (_, '\\') => escaped = true,
                (None, '\'' | '"' | '`') => quote = Some(c),
                (None, '#') if last.is_whitespace() || ";&|()<>".contains(last) => comment = true,
                (None, '<') if last == '<' => return Shell::Nested("a here-document (<<)"),
                (None, '(') if last == '(' => return Shell::Nested("arithmetic ((…))"),
                (Some(_), '(' | '{') if last == '$' => return Shell::Nested("quotes in quotes"),
                (Some('"'), '`') => return Shell::Nested("quotes in quotes"),
                _ => {}
            }
            last = c;
        }
    }
    match quote {
        _ if comment => Shell::Comment,
        _ if escaped => Shell::Escape,
        Some(quote) => Shell::Quotes(quote),
        // `$` and `{` would make the quotes a part of something else.
        None if matches!(last, '$' | '{') => Shell::Escape,
        None => Shell::Plain,
    }
}

/// The line up to the variable; another variable in it is a character that opens nothing.
fn line_before(parts: &[Part]) -> String {
    let mut line = String::new();
    for part in parts {
        match part {
            Part::Text(text) => match text.rsplit_once('\n') {
                Some((_, last)) => last.clone_into(&mut line),
                None => line.push_str(text),
            },
            Part::Hole(Hole { .. }) => line.push('\u{fffd}'),
        }
    }
    line
}

fn line_after(parts: &[Part]) -> String {
    let mut line = String::new();
    for part in parts {
        match part {
            Part::Text(text) => match text.split_once('\n') {
                Some((first, _)) => {
                    line.push_str(first);
                    break;
                }
                None => line.push_str(text),
            },
            Part::Hole(Hole { .. }) => line.push('\u{fffd}'),
        }
    }
    line
}

/// Spaces, list dashes, and at most one key with `:` or `=` behind it.
fn opens_value(line: &str) -> bool {
    let mut rest = line.trim_start();
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start();
    }
    if rest.is_empty() {
        return true;
    }
    let rest = rest.trim_end();
    let Some(key) = rest.strip_suffix([':', '=']) else {
        return false;
    };
    let key = key.trim_end();
    let bare = key
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .unwrap_or(key);
    let in_key = |c: char| c.is_ascii_alphanumeric() || "_-./ ".contains(c);
    // YAML wants a space behind the colon of a key, and takes `a:"b"` for one word.
    let spaced = line.ends_with(' ') || key.ends_with('"') || rest.ends_with('=');
    !bare.is_empty() && bare.chars().all(in_key) && spaced
}

/// Nothing but what separates values.
fn ends_value(line: &str) -> bool {
    let rest = line.trim();
    rest.is_empty() || rest == ","
}
