//! Text from the wire made fit for a terminal: nothing in it moves the cursor, and its width is known.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text with every character that a terminal would obey, or that would pass one text for another,
/// written out.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_tricky) {
        return Cow::Borrowed(text);
    }
    let mut done = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => done.push_str("\\n"),
            '\t' => done.push_str("\\t"),
            '\r' => done.push_str("\\r"),
            c if is_tricky(c) => done.extend(c.escape_unicode()),
            c => done.push(c),
        }
    }
    Cow::Owned(done)
}

/// Control characters (C0, DEL, C1), marks of direction, separators of lines, and what has no width by design.
fn is_tricky(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// How many columns it takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// At most `room` columns of it; what is cut off is marked.
pub fn shorten(text: &str, room: usize) -> Cow<'_, str> {
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let mut done = String::new();
    let mut taken = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if taken + wide + 1 > room {
            break;
        }
        done.push(c);
        taken += wide;
    }
    if room > 0 {
        done.push('…');
    }
    Cow::Owned(done)
}

/// The text and as many spaces as fill the column.
pub fn padding(text: &str, room: usize) -> String {
    " ".repeat(room.saturating_sub(width(text)))
}

/// Breaks a text into lines of `room` columns at its spaces.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if !line.is_empty() && width(line) + 1 + width(word) > room {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Bytes as people say them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is rounded to one place for people anyway"
    )]
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let text = if amount < 10.0 {
        format!("{amount:.1}")
    } else {
        format!("{amount:.0}")
    };
    format!(
        "{} {}",
        text.strip_suffix(".0").unwrap_or(&text),
        UNITS[unit]
    )
}

/// `1 machine`, `2 machines`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A word as a shell takes it back.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", clean(word).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("web01", "web01"; "plain text stays")]
    #[test_case("Größe 大", "Größe 大"; "letters of any script stay")]
    #[test_case("\u{1b}[2Jgone", "\\u{1b}[2Jgone"; "an escape sequence is written out")]
    #[test_case("\u{9b}31m", "\\u{9b}31m"; "the one byte form too")]
    #[test_case("a\r\nb\tc\u{7}", "a\\r\\nb\\tc\\u{7}"; "line ends and bells")]
    #[test_case("a\u{202e}b", "a\\u{202e}b"; "marks that turn text round")]
    #[test_case("a\u{200b}b", "a\\u{200b}b"; "nothing that cannot be seen")]
    fn text_from_the_wire_cannot_command_the_terminal(text: &str, shown: &str) {
        assert_eq!(clean(text), shown);
    }

    #[test_case("web01", 5, "web01")]
    #[test_case("web01", 4, "web…")]
    #[test_case("大大大", 5, "大大…")]
    #[test_case("大大大", 4, "大…")]
    #[test_case("web01", 1, "…")]
    #[test_case("web01", 0, "")]
    fn a_shortened_text_never_takes_more_than_its_room(text: &str, room: usize, shown: &str) {
        assert_eq!(shorten(text, room), shown);
        assert!(width(&shorten(text, room)) <= room);
    }

    #[test_case(0, "0 B")]
    #[test_case(1023, "1023 B")]
    #[test_case(1024, "1 KiB")]
    #[test_case(1536, "1.5 KiB")]
    #[test_case(34_359_738_368, "32 GiB")]
    #[test_case(u64::MAX, "16384 PiB")]
    fn sizes_are_told_as_people_say_them(bytes: u64, shown: &str) {
        assert_eq!(size(bytes), shown);
    }
}
