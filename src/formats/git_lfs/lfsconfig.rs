//! `.lfsconfig`: what stock Git-LFS reads in every clone, so that `git lfs pull` works without any setting of the user.
//!
//! Only the address and the end of lock requests are written. A transfer agent cannot be named there (git-lfs ignores it, as
//! no clone may choose programs to run), nor can a folder.

/// The file's name.
pub const PATH: &str = ".lfsconfig";

/// What the file says about these matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LfsConfig {
    /// `lfs.url`.
    pub url: Option<String>,
    /// `lfs.locksverify`.
    pub locks_verify: Option<String>,
}

/// Returns the text of a new file.
pub fn write(url: &str) -> String {
    let quoted = url.replace('\\', "\\\\").replace('"', "\\\"");
    format!("[lfs]\n\turl = \"{quoted}\"\n\tlocksverify = false\n")
}

/// Returns what a file says. Keys that are neither `lfs.url` nor `lfs.locksverify` are passed over.
pub fn read(text: &str) -> LfsConfig {
    let mut config = LfsConfig::default();
    let mut in_lfs = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            in_lfs = header.split(']').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("lfs"));
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| in_lfs && !line.starts_with(['#', ';'])) else { continue };
        match key.trim().to_ascii_lowercase().as_str() {
            "url" => config.url = Some(plain(value)),
            "locksverify" => config.locks_verify = Some(plain(value)),
            _ => {}
        }
    }
    config
}

/// Returns a value without its quotes, escapes and comment.
fn plain(value: &str) -> String {
    let mut text = String::new();
    let mut quoted = false;
    let mut letters = value.trim().chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted = !quoted,
            '\\' => text.extend(letters.next()),
            '#' | ';' if !quoted => break,
            letter => text.push(letter),
        }
    }
    if quoted { text } else { text.trim_end().to_owned() }
}

/// Returns what is wrong with a file that should name this address, and how to put it right; `None` where it is as it should be.
pub fn disagreement(text: Option<&str>, wanted: Option<&str>) -> Option<String> {
    let found = text.map(read).unwrap_or_default();
    match (found.url.as_deref(), wanted) {
        (found, Some(wanted)) if found != Some(wanted) => {
            let is = found.map_or("names no lfs.url".to_owned(), |found| format!("names {found}"));
            Some(format!("ddb.toml says lfs.url = \"{wanted}\" and {PATH} {is}, so stock Git-LFS asks elsewhere; {}", remedy(wanted)))
        }
        (Some(_), Some(wanted)) if found.locks_verify.as_deref() != Some("false") => Some(format!(
            "{PATH} does not say lfs.locksverify = false, so `git push` asks a server for locks that has none; {}",
            remedy(wanted)
        )),
        _ => None,
    }
}

fn remedy(url: &str) -> String {
    format!(
        "run `git config -f {PATH} lfs.url '{}' && git config -f {PATH} lfs.locksverify false && git add {PATH}` and commit",
        url.replace('\'', "%27")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_odd_forms_are_understood() {
        let url = "https://example.org/a \"b\"#c";
        let expected = LfsConfig { url: Some(url.to_owned()), locks_verify: Some("false".to_owned()) };
        assert_eq!(read(&write(url)), expected);
        let odd = "# url = x\n[other]\nurl = no\n[LFS]\n  URL=https://a.example/lfs ; comment\n[lfs \"https://b\"]\nurl = no\n";
        assert_eq!(read(odd).url.as_deref(), Some("https://a.example/lfs"));
    }

    #[test]
    fn a_disagreement_is_said_with_its_remedy() {
        let text = write("https://a.example/lfs");
        assert_eq!(disagreement(Some(&text), Some("https://a.example/lfs")), None);
        assert_eq!(disagreement(Some(&text), None), None, "an address that ddb.toml does not speak of is the user's own");
        assert_eq!(disagreement(None, None), None);
        for (text, said) in [(Some(text.as_str()), "names https://a"), (None, "no lfs.url")] {
            let message = disagreement(text, Some("https://b.example/lfs")).unwrap_or_default();
            assert!(message.contains(said) && message.contains("git config -f"), "{message}");
        }
        let message = disagreement(Some("[lfs]\nurl = https://a.example/lfs\n"), Some("https://a.example/lfs"));
        assert!(message.is_some_and(|message| message.contains("locksverify")));
    }
}
