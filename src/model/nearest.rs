//! "Did you mean": the nearest of the words that would have been taken.

/// The word that `given` most likely stands for, if one is near enough.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |word: &str| strsim::damerau_levenshtein(given, word);
    known
        .into_iter()
        .filter(|word| given.chars().count() <= 2 * word.chars().count())
        .map(|word| (distance(word), word))
        .filter(|(distance, word)| *distance <= 1 + word.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `unknown …; did you mean …?`, or all that there is.
pub fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let shown: String = given
        .chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect();
    match nearest(given, known.iter().copied()) {
        Some(word) => format!("{what} '{shown}' is unknown; did you mean '{word}'?"),
        None if known.is_empty() => format!("{what} '{shown}' is unknown; none is taken here"),
        None => format!(
            "{what} '{shown}' is unknown; there are {}",
            known.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_nonsense_finds_none() {
        let known = ["hostname", "friendly_name", "mac"];
        assert_eq!(nearest("hostnmae", known), Some("hostname"));
        assert_eq!(nearest("frendlyname", known), Some("friendly_name"));
        assert_eq!(nearest("quux", known), None);
    }
}
