//! Release, read as a client reads it: what it is about, when it was made, how long it is good, and which files it lists.
//!
//! DebianRepository/Format. Fields that are not needed are passed over; whatever is needed is read strictly.

use std::collections::BTreeMap;

use crate::words::date::Timestamp;
use crate::words::deb822::Paragraph;
use crate::words::digest::Listed;

/// Largest InRelease or Release in bytes that is read.
pub(super) const LIMIT: u64 = 16 << 20;

/// Most files that a Release may list.
const FILES: usize = 200_000;

/// What Release says.
#[derive(Debug, Clone)]
pub(super) struct Release {
    pub(super) origin: Option<String>,
    pub(super) suite: Option<String>,
    pub(super) codename: Option<String>,
    pub(super) date: Timestamp,
    pub(super) valid_until: Option<Timestamp>,
    pub(super) by_hash: bool,
    /// What is listed, by path relative to Release.
    pub(super) files: BTreeMap<String, Listed>,
}

impl Release {
    /// Reads the text. Fails with what is wrong, as a fragment behind the file's name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let paragraph = Paragraph::parse(text.as_bytes()).map_err(|fault| format!("is not one paragraph: {fault}"))?;
        let own = |field: &str| paragraph.get(field).map(str::to_owned);
        let date = |field: &str| {
            let read = |value| Timestamp::parse_rfc1123(value).map_err(|fault| format!("has an unusable {field}: {fault}"));
            paragraph.get(field).map(read).transpose()
        };
        Ok(Self {
            origin: own("Origin"),
            suite: own("Suite"),
            codename: own("Codename"),
            date: date("Date")?.ok_or("has no Date")?,
            valid_until: date("Valid-Until")?,
            by_hash: paragraph.get("Acquire-By-Hash") == Some("yes"),
            files: files(&paragraph)?,
        })
    }

    /// Tells whether this is the Release of a suite of that name; one that names no suite is everybody's.
    pub(super) fn is_of(&self, name: &str) -> bool {
        let mut names = [&self.suite, &self.codename].into_iter().flatten().peekable();
        names.peek().is_none() || names.any(|own| own == name)
    }
}

fn files(paragraph: &Paragraph<'_>) -> Result<BTreeMap<String, Listed>, String> {
    let mut files = BTreeMap::new();
    let rows = rows(paragraph, "SHA256")?.ok_or("lists no files by SHA256")?;
    for (path, (size, digest)) in rows {
        let sha256 = digest.parse().map_err(|fault| format!("lists {path}: {fault}"))?;
        files.insert(path, Listed { size, sha256, md5: None, sha1: None, sha512: None });
    }
    also(paragraph, "MD5Sum", &mut files, |file, digest| digest.parse().map(|digest| file.md5 = Some(digest)).is_ok())?;
    also(paragraph, "SHA1", &mut files, |file, digest| digest.parse().map(|digest| file.sha1 = Some(digest)).is_ok())?;
    also(paragraph, "SHA512", &mut files, |file, digest| digest.parse().map(|digest| file.sha512 = Some(digest)).is_ok())?;
    Ok(files)
}

/// Adds the digests of another list to the files of the list of SHA-256 digests; the lists must agree in names and sizes.
fn also(
    paragraph: &Paragraph<'_>,
    field: &str,
    files: &mut BTreeMap<String, Listed>,
    add: impl Fn(&mut Listed, &str) -> bool,
) -> Result<(), String> {
    for (path, (size, digest)) in rows(paragraph, field)?.unwrap_or_default() {
        let added = files.get_mut(&path).filter(|file| file.size == size).is_some_and(|file| add(file, &digest));
        if !added {
            return Err(format!("lists {path} under {field} otherwise than under SHA256"));
        }
    }
    Ok(())
}

type Rows = BTreeMap<String, (u64, String)>;

fn rows(paragraph: &Paragraph<'_>, field: &str) -> Result<Option<Rows>, String> {
    let Some(value) = paragraph.get(field) else { return Ok(None) };
    let mut rows = Rows::new();
    for line in value.lines().filter(|line| !line.is_empty()) {
        let (path, size, digest) = row(line).ok_or_else(|| format!("has the line \"{}\" under {field}", line.escape_debug()))?;
        if rows.len() == FILES {
            return Err(format!("lists more than {FILES} files"));
        }
        if rows.insert(path.to_owned(), (size, digest.to_owned())).is_some() {
            return Err(format!("lists {path} twice under {field}"));
        }
    }
    Ok(Some(rows))
}

/// Reads `DIGEST SIZE PATH`, the form of the lists of Release and of .dsc.
pub(super) fn row(line: &str) -> Option<(&str, u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (digest, size, path) = (words.next()?, words.next()?, words.next()?);
    (words.next().is_none() && is_path(path)).then_some((path, size.parse().ok()?, digest))
}

/// Tells whether this is a path that stays below its folder: names joined by single slashes, none of them hidden.
pub(super) fn is_path(path: &str) -> bool {
    path.len() <= 1024
        && path
            .split('/')
            .all(|name| !name.is_empty() && !name.starts_with('.') && !name.contains(|letter: char| letter.is_control() || letter == '\\'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn text() -> String {
        format!("Origin: a\nSuite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n {SHA256} 0 main/x\n")
    }

    #[test]
    fn what_is_needed_is_read() {
        let release = Release::parse(&text()).unwrap();
        assert!(release.is_of("stable") && release.is_of("trixie") && !release.is_of("sid"));
        assert_eq!(release.date, Timestamp(1_789_199_741));
        assert_eq!(release.files["main/x"].sha256.to_hex(), SHA256);
        assert!(!release.by_hash && release.valid_until.is_none());
    }

    #[test]
    fn what_could_mislead_is_refused() {
        for (from, to) in [
            ("Date: Sat", "Date: Never"),
            ("Date: ", "X-Date: "),
            ("SHA256:", "SHA1:"),
            ("main/x", "../x"),
            ("main/x", "/etc/passwd"),
            ("main/x", "main/.x"),
            (" 0 main", " -1 main"),
            ("e3b0", "E3B0"),
            ("Origin: a\n", "Origin: a\n\n"),
            ("Origin: a\n", "Origin: a\nOrigin: b\n"),
            ("SHA256:\n", "MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 1 main/x\nSHA256:\n"),
        ] {
            let bad = text().replacen(from, to, 1);
            assert_ne!(bad, text());
            assert!(Release::parse(&bad).is_err(), "{bad}");
        }
        let twice = format!("{} {SHA256} 0 main/x\n", text());
        assert!(Release::parse(&twice).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}", lines in "([A-Za-z]{1,8}: ?[ -~]{0,20}\n( [ -~]{1,30}\n){0,2}){0,6}") {
            let _ = Release::parse(&text);
            let _ = Release::parse(&lines);
        }
    }
}
