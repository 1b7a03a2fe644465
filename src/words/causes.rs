//! An error and its causes as one text.

use std::error::Error;

/// Returns what an error says, followed by what each of its causes says, all with colons between them. What stands at the end already
/// is not said again: many errors pass on the words of their cause.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(fault) = cause {
        let said = fault.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = fault.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Fault {
        said: &'static str,
        source: Option<Box<Fault>>,
    }

    fn fault(words: &[&'static str]) -> Option<Box<Fault>> {
        let (said, causes) = words.split_first()?;
        Some(Box::new(Fault { said, source: fault(causes) }))
    }

    #[test]
    fn causes_follow_and_what_was_said_is_not_said_again() {
        for (words, expected) in [
            (vec!["ddb.toml"], "ddb.toml"),
            (vec!["ddb.toml", "line 3", "no number"], "ddb.toml: line 3: no number"),
            (vec!["no number", "no number"], "no number"),
            (vec!["line 3: no number", "no number", "a letter"], "line 3: no number: a letter"),
        ] {
            let chained = fault(&words).map(|fault| chain(&*fault));
            assert_eq!(chained.as_deref(), Some(expected));
        }
    }
}
