//! Reads Rust just far enough to know its words and paths: comments and literals are left out, and each path is
//! told with the module that it stands in.

/// A word or a sign of the program, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The words and signs of `source`. `::` is one sign, every other sign is of one character.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let end = skipped(&chars, at).unwrap_or(at);
        if end > at {
            line += newlines(&chars[at..end]);
            at = end;
            continue;
        }
        let end = at + word_length(&chars[at..]);
        if !chars[at].is_whitespace() {
            let text = chars[at..end].iter().collect();
            tokens.push(Token { text, line });
        }
        line += newlines(&chars[at..end]);
        at = end;
    }
    tokens
}

fn newlines(chars: &[char]) -> usize {
    chars.iter().filter(|c| **c == '\n').count()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_length(rest: &[char]) -> usize {
    match rest {
        [':', ':', ..] => 2,
        [c, ..] if is_word(*c) => rest.iter().take_while(|c| is_word(**c)).count(),
        _ => 1,
    }
}

/// Where the comment or literal that begins at `at` ends; None when none does.
fn skipped(chars: &[char], at: usize) -> Option<usize> {
    match chars[at..] {
        ['/', '/', ..] => Some(find(chars, at, |c| c == '\n')),
        ['/', '*', ..] => Some(block_comment(chars, at)),
        ['"', ..] => Some(text(chars, at + 1)),
        ['\'', '\\', ..] => Some(find(chars, at + 3, |c| c == '\'') + 1),
        ['\'', _, '\'', ..] => Some(at + 3),
        [c, ..] if matches!(c, 'r' | 'b' | 'c') && (at == 0 || !is_word(chars[at - 1])) => {
            prefixed(chars, at)
        }
        _ => None,
    }
    .map(|end| end.min(chars.len()))
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|c| !wanted(**c)).count()
}

fn block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn text(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'` and `c"…"`.
fn prefixed(chars: &[char], at: usize) -> Option<usize> {
    let quote = find(chars, at, |c| !matches!(c, 'r' | 'b' | 'c'));
    let raw = chars[at..quote.min(chars.len())].contains(&'r');
    let open = find(chars, quote, |c| c != '#');
    let hashes = open - quote;
    match chars.get(open) {
        Some('"') if raw => {
            let mut end = open + 1;
            loop {
                end = find(chars, end, |c| c == '"') + 1;
                let closing = chars.get(end..end + hashes);
                if end >= chars.len() || closing.is_some_and(|c| c.iter().all(|c| *c == '#')) {
                    return Some(end + hashes);
                }
            }
        }
        Some('"') if hashes == 0 => Some(text(chars, open + 1)),
        _ => None,
    }
}

/// A path as it was written, from its first word on, and the inline modules around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub words: Vec<String>,
    /// How many `mod name { … }` of the same file it stands in.
    pub depth: usize,
    pub line: usize,
}

/// Every path that begins with one of `roots`, groups in braces spread out: `a::{b, c::d}` is `a::b` and
/// `a::c::d`.
pub fn paths(source: &str, roots: &[&str]) -> Vec<Path> {
    let tokens = tokens(source);
    let mut paths = Vec::new();
    let mut braces = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let word = |back: usize| {
            at.checked_sub(back)
                .map_or("", |at| tokens[at].text.as_str())
        };
        match tokens[at].text.as_str() {
            "{" => braces.push(word(2) == "mod"),
            "}" => drop(braces.pop()),
            root if roots.contains(&root) && word(1) != "::" => {
                let depth = braces.iter().filter(|module| **module).count();
                let mut found = Vec::new();
                let end = spread(&tokens, at, &[], &mut found);
                let line = tokens[at].line;
                paths.extend(found.into_iter().map(|words| Path { words, depth, line }));
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    paths
}

/// Reads one path from `at` on; answers where it ends.
fn spread(
    tokens: &[Token],
    mut at: usize,
    before: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut words = before.to_vec();
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    loop {
        match text(at) {
            "{" => {
                at += 1;
                while !matches!(text(at), "}" | "") {
                    at = spread(tokens, at, &words, found);
                    while !matches!(text(at), "}" | "," | "") {
                        at += 1; // as another_name
                    }
                    at += usize::from(text(at) == ",");
                }
                return at + 1;
            }
            word => words.push(word.to_owned()),
        }
        at += 1;
        if text(at) != "::" {
            found.push(words);
            return at;
        }
        at += 1;
    }
}

/// The lines of `source` that are not of its own test module at the end.
pub fn body_lines(source: &str) -> usize {
    let lines: Vec<_> = source.lines().map(str::trim_end).collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    let after = tests.and_then(|from| lines[from..].iter().position(|line| *line == "}"));
    match (tests, after) {
        (Some(from), Some(length)) => lines.len() - length - 1 - usize::from(from > 0),
        _ => lines.len(),
    }
}
