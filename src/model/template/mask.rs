//! Variables hidden from YAML: `{{ … }}` is written in characters that mean nothing to it, one for one, so that they may
//! stand in a plain value too and nothing moves; afterwards they are found again.

use super::node::Spot;

const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';
/// Byte 0 of ASCII, masked; the others follow.
const FIRST: u32 = 0xe100;
const LAST: u32 = FIRST + 0x7f;

/// The text with its variables masked, or the place of a character that masks use.
pub(super) fn mask(text: &str) -> Result<String, Spot> {
    let mut masked = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if let Some(column) = line.chars().position(private) {
            return Err(Spot {
                line: index + 1,
                column: column + 1,
            });
        }
        if index > 0 {
            masked.push('\n');
        }
        mask_line(line, &mut masked);
    }
    Ok(masked)
}

fn mask_line(line: &str, masked: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            break;
        };
        masked.push_str(before);
        masked.extend([OPEN, OPEN]);
        masked.extend(inside.chars().map(hide));
        masked.extend([CLOSE, CLOSE]);
        rest = behind;
    }
    masked.push_str(rest);
}

/// One piece of a masked text.
pub(super) enum Part {
    Text(String),
    /// Still masked.
    Hole(String),
}

/// The pieces of a masked text, if there is a variable in it.
pub(super) fn parts(masked: &str) -> Option<Vec<Part>> {
    if !masked.contains(OPEN) {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = masked;
    while let Some(start) = rest.find(OPEN) {
        let length = rest[start..]
            .find(CLOSE)
            .map(|end| start + end + 2 * CLOSE.len_utf8());
        let end = length
            .filter(|end| rest.is_char_boundary(*end))
            .unwrap_or(rest.len());
        if start > 0 {
            parts.push(Part::Text(rest[..start].to_owned()));
        }
        parts.push(Part::Hole(rest[start..end].to_owned()));
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Some(parts)
}

/// What stands between the braces.
pub(super) fn inside(masked: &str) -> String {
    let between = masked.trim_start_matches(OPEN).trim_end_matches(CLOSE);
    between.chars().map(show).collect()
}

/// The text as it was.
pub(super) fn unmask(masked: &str) -> String {
    let shown = masked.chars().map(|c| match c {
        OPEN => '{',
        CLOSE => '}',
        other => show(other),
    });
    shown.collect()
}

fn private(c: char) -> bool {
    c == OPEN || c == CLOSE || (FIRST..=LAST).contains(&u32::from(c))
}

fn hide(c: char) -> char {
    let hidden = c.is_ascii().then(|| char::from_u32(FIRST + u32::from(c)));
    hidden.flatten().unwrap_or(c)
}

fn show(c: char) -> char {
    let shown = u32::from(c)
        .checked_sub(FIRST)
        .and_then(|low| u8::try_from(low).ok());
    shown.filter(u8::is_ascii).map_or(c, char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_moves_nothing_and_comes_undone() {
        let text = "a: {{ x | default(\"y: z\") }} b\nc: {{ é }}\n";
        let masked = mask(text).unwrap();
        assert_eq!(masked.chars().count(), text.chars().count());
        assert!(!masked.contains("{{") && !masked.contains('"'));
        assert_eq!(unmask(&masked), text);
    }

    #[test]
    fn what_masks_are_made_of_is_told_by_its_place() {
        assert_eq!(
            mask("a\nb\u{e000}").unwrap_err(),
            Spot { line: 2, column: 2 }
        );
    }

    #[test]
    fn braces_that_are_not_closed_on_their_line_are_text() {
        let masked = mask("a: '{{'\nb: '}}'").unwrap();
        assert!(parts(&masked).is_none());
    }
}
