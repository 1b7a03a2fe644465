//! Which archives are opted in: `/etc/ddb/verify.d/*.conf`, one paragraph an archive (deb822(5)).
//!
//! ```text
//! Signed-By: example.asc
//! Origin: Example
//! Suite: trixie
//! Sigsum-Key: example.pub
//! Sigsum-Policy: example.policy
//! Sigstore-Trusted-Root: example.trusted_root.json
//! Sigstore-Key: example.pem
//! ```
//!
//! Which proofs are needed say the fields of Sigsum, those of Sigstore or both; then both are needed. `Sigsum-Key` and `Sigstore-Key`
//! may name several files, of which one key is enough. `Sigstore-Identity` and `Sigstore-Issuer` stand in place of `Sigstore-Key`
//! where a certificate signs.
//!
//! An archive is recognised by a signature that names a key of the keyring `Signed-By`, or by `Origin` and, where given, `Suite`
//! (or Codename). The first is the stronger: whoever stole the key can write another Origin, but has to sign with it. The second
//! recognises the archive after it changed to a key that the keyring here does not have.

use std::path::{Path, PathBuf};

use sequoia_openpgp::KeyHandle;

use super::super::openpgp::PinnedKeys;
use super::needs::{self, Needs};
use crate::words::deb822::{Paragraph, paragraphs};

/// Largest file of the configuration in bytes.
const LIMIT: u64 = 64 << 20;

/// What a paragraph may hold beside what is needed.
const FIELDS: [&str; 3] = ["Signed-By", "Origin", "Suite"];

/// What is wrong with the configuration. Nothing passes then: nobody knows which archives are opted in.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}; until that is mended no archive is accepted", path.display())]
pub struct HookConfigError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// An archive whose Releases need a proof.
pub(super) struct OptedIn {
    /// The file, for messages.
    pub(super) file: String,
    signed_by: Option<PinnedKeys>,
    origin: Option<String>,
    suite: Option<String>,
    pub(super) needs: Needs,
}

impl OptedIn {
    /// Returns by what an archive is recognised as this one; `None` if it is not.
    pub(super) fn matches(&self, issuers: &[KeyHandle], release: &str) -> Option<String> {
        if let Some(key) = self.signed_by.as_ref().and_then(|keys| issuers.iter().find(|issuer| keys.know(issuer))) {
            return Some(format!("signed by {key}"));
        }
        let origin = self.origin.as_ref()?;
        let fits = says(release, "Origin", origin)
            && self.suite.as_ref().is_none_or(|suite| says(release, "Suite", suite) || says(release, "Codename", suite));
        fits.then(|| format!("Origin {origin}"))
    }
}

/// Tells whether a field of Release could have this value for apt: whatever the letters of its name, blanks around it, the line
/// its value stands on, or how often it is there. What is no Release for a strict reader may be one for apt.
fn says(release: &str, field: &str, value: &str) -> bool {
    let blank = |letter: char| letter.is_whitespace() || letter.is_control();
    let mut inside = false;
    release.split(['\n', '\r']).any(|line| {
        let own = match line.split_once(':') {
            Some((name, own)) if !line.starts_with([' ', '\t']) || name.trim_matches(blank).eq_ignore_ascii_case(field) => {
                inside = name.trim_matches(blank).eq_ignore_ascii_case(field);
                own
            }
            _ => line,
        };
        inside && own.trim_matches(blank) == value
    })
}

/// Reads every `.conf` of a folder, in the order of their names. An empty folder opts nothing in; one that is not there may have been lost.
pub(super) fn read(folder: &Path) -> Result<Vec<OptedIn>, HookConfigError> {
    let refuse = |reason: String| HookConfigError { path: folder.to_owned(), reason };
    let entries = std::fs::read_dir(folder).map_err(|fault| refuse(format!("cannot be read ({fault})")))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|fault| refuse(fault.to_string()))?.path();
        if path.extension().is_some_and(|ending| ending == "conf") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut archives = Vec::new();
    for path in paths {
        let text = text_of(&path)?;
        let refuse = |reason: String| HookConfigError { path: path.clone(), reason };
        let before = archives.len();
        for paragraph in paragraphs(&text) {
            archives.push(opted_in(&path, paragraph).map_err(refuse)?);
        }
        if archives.len() == before {
            return Err(refuse("it has no paragraph, so it is about no archive; write one, or remove the file".to_owned()));
        }
    }
    Ok(archives)
}

fn opted_in(path: &Path, text: &str) -> Result<OptedIn, String> {
    let paragraph = Paragraph::parse(text.as_bytes()).map_err(|fault| fault.to_string())?;
    let known = [&FIELDS[..], &needs::FIELDS].concat();
    if let Some(field) = paragraph.fields().iter().find(|field| !known.contains(&field.name)) {
        return Err(format!("it has the field {}, which is none of {}", field.name, known.join(", ")));
    }
    // A value that was forgotten must not make an archive need less than was meant.
    if let Some(field) = needs::FIELDS.into_iter().find(|field| paragraph.get(field).is_some_and(str::is_empty)) {
        return Err(format!("its field {field} is empty"));
    }
    let own = |field: &str| paragraph.get(field).filter(|value| !value.is_empty()).map(str::to_owned);
    let beside = |file: &str| path.parent().unwrap_or(path).join(file);
    let signed_by = match own("Signed-By") {
        Some(file) => {
            let file = beside(&file);
            let bytes = std::fs::read(&file).map_err(|fault| format!("cannot read {}: {fault}", file.display()))?;
            Some(PinnedKeys::read(&[(file.display().to_string(), bytes)]).map_err(|fault| fault.to_string())?)
        }
        None => None,
    };
    let origin = own("Origin");
    if signed_by.is_none() && origin.is_none() {
        return Err("it has neither Signed-By nor Origin, so it is about no archive".to_owned());
    }
    let read = |file: &str| text_of(&beside(file)).map_err(|fault| format!("{}: {}", fault.path.display(), fault.reason));
    let needs = Needs::read(&own, &read, &|file| beside(file).exists())?;
    Ok(OptedIn { file: path.display().to_string(), signed_by, origin, suite: own("Suite"), needs })
}

fn text_of(path: &Path) -> Result<String, HookConfigError> {
    let refuse = |reason: String| HookConfigError { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|fault| refuse(fault.to_string()))?.len();
    if size > LIMIT {
        return Err(refuse(format!("it has more than {LIMIT} bytes")));
    }
    std::fs::read_to_string(path).map_err(|fault| refuse(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::says;

    #[test]
    fn whatever_apt_may_take_for_an_origin_is_one() {
        for text in [
            "Origin: Test",
            "Suite: x\norigin:Test \n",
            "ORIGIN :\tTest\r\n",
            "Origin:\n Test\nSuite: x",
            "Origin: a\nOrigin: Test\n",
            "\n Origin: Test",
        ] {
            assert!(says(text, "Origin", "Test"), "{text:?}");
        }
        for text in ["Origin: Tests", "Suite: Test", "Label: x\n Test", "Origin: x\nLabel: y\n Test", "Origins: Test", ""] {
            assert!(!says(text, "Origin", "Test"), "{text:?}");
        }
    }
}
