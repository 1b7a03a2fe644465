//! A suite's Release: who publishes what, and the digests of every index (DebianRepository/Format; Debian's own order).
//!
//! Writing and reading are one another's inverse: a text is read only if writing what was read gives the same bytes. Debian's
//! Release files read so too. Signing is not done here.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fmt::Write as _;
use std::str::FromStr;

use crate::words::archive::{ExtraDigest, Identity, Suite};
use crate::words::date::Timestamp;
use crate::words::deb822::{Deb822Error, Paragraph};
use crate::words::digest::{ListHasher, Listed};
use crate::words::name::{Architecture, Codename, Component};

/// Largest Release in bytes that is read.
const LIMIT: usize = 64 << 20;

/// Why a text is no Release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Larger than any Release may be.
    #[error("it has {size} bytes, more than the {LIMIT} of a Release")]
    TooLong {
        /// Length in bytes.
        size: usize,
    },
    /// Not one deb822 paragraph.
    #[error("it is not one paragraph")]
    Paragraph(#[source] Deb822Error),
    /// A field that every Release has is missing.
    #[error("the field {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field holds something else than it should.
    #[error("the field {field} holds \"{}\"", value.escape_debug())]
    Value {
        /// The field.
        field: String,
        /// The value, or the line of it that is wrong.
        value: String,
    },
    /// A list has other files or other sizes than the list of SHA-256 digests.
    #[error("the list {field} does not name the same files as SHA256")]
    Lists {
        /// The list.
        field: &'static str,
    },
    /// What was read would be written otherwise: unknown fields, another order, other spacing.
    #[error("it is not as ddb or Debian writes it, from line {line} on")]
    Form {
        /// The first line that would be written otherwise, from 1.
        line: usize,
    },
}

/// A suite's Release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Origin`
    pub origin: Option<String>,
    /// `Label`
    pub label: Option<String>,
    /// `Suite`
    pub suite: String,
    /// `Version`
    pub version: Option<String>,
    /// `Codename`
    pub codename: Codename,
    /// `Changelogs`
    pub changelogs: Option<String>,
    /// `Snapshots`: where older states are, with `@SNAPSHOTID@` for which one
    pub snapshots: Option<String>,
    /// `Date`
    pub date: Timestamp,
    /// `Valid-Until`
    pub valid_until: Option<Timestamp>,
    /// `NotAutomatic: yes`
    pub not_automatic: bool,
    /// `ButAutomaticUpgrades: yes`
    pub but_automatic_upgrades: bool,
    /// `Acquire-By-Hash: yes`
    pub acquire_by_hash: bool,
    /// `No-Support-for-Architecture-all: Packages`: binary-all repeats what every other architecture's Packages has.
    pub no_support_for_all: bool,
    /// `Signed-By`: fingerprints
    pub signed_by: Vec<String>,
    /// `Architectures`
    pub architectures: Vec<Architecture>,
    /// `Components`
    pub components: Vec<Component>,
    /// `Description`
    pub description: Option<String>,
    /// The indices by path.
    pub files: BTreeMap<String, Listed>,
}

impl Release {
    /// Returns the Release of a suite at this date that lists these indices.
    pub fn new(identity: &Identity, codename: &Codename, suite: &Suite, date: Timestamp, files: BTreeMap<String, Listed>) -> Self {
        let mut architectures = suite.architectures.clone();
        architectures.sort();
        Self {
            origin: identity.origin.clone(),
            label: identity.label.clone(),
            suite: suite.suite.clone().unwrap_or_else(|| codename.to_string()),
            version: suite.version.clone(),
            codename: codename.clone(),
            changelogs: suite.changelogs.clone(),
            snapshots: identity.snapshots.clone(),
            date,
            valid_until: suite.valid_for.map(|span| date.plus(span)),
            not_automatic: suite.not_automatic,
            but_automatic_upgrades: suite.but_automatic_upgrades,
            acquire_by_hash: suite.acquire_by_hash,
            no_support_for_all: architectures.iter().any(Architecture::is_all),
            signed_by: suite.signed_by.clone(),
            architectures,
            components: suite.components.clone(),
            description: suite.description.clone(),
            files,
        }
    }

    /// Returns the text.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(600 + self.files.len() * 200);
        let mut line = |field: &str, value: Option<&dyn Display>| {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{field}: {value}");
            }
        };
        let yes = |set: bool| set.then_some(&"yes" as &dyn Display);
        line("Origin", optional(&self.origin));
        line("Label", optional(&self.label));
        line("Suite", Some(&self.suite));
        line("Version", optional(&self.version));
        line("Codename", Some(&self.codename));
        line("Changelogs", optional(&self.changelogs));
        line("Snapshots", optional(&self.snapshots));
        line("Date", Some(&self.date.rfc1123()));
        line("Valid-Until", self.valid_until.map(Timestamp::rfc1123).as_ref().map(|date| date as &dyn Display));
        line("NotAutomatic", yes(self.not_automatic));
        line("ButAutomaticUpgrades", yes(self.but_automatic_upgrades));
        line("Acquire-By-Hash", yes(self.acquire_by_hash));
        line("No-Support-for-Architecture-all", self.no_support_for_all.then_some(&"Packages" as &dyn Display));
        line("Signed-By", (!self.signed_by.is_empty()).then(|| self.signed_by.join(", ")).as_ref().map(|keys| keys as &dyn Display));
        line("Architectures", Some(&words(&self.architectures)));
        line("Components", Some(&words(&self.components)));
        line("Description", optional(&self.description));
        self.list(&mut text, "MD5Sum", |file| file.md5);
        self.list(&mut text, "SHA1", |file| file.sha1);
        self.list(&mut text, "SHA256", |file| Some(file.sha256));
        self.list(&mut text, "SHA512", |file| file.sha512);
        text
    }

    /// Writes one list of digests, unless no file has that digest.
    fn list<D: Display>(&self, text: &mut String, field: &str, digest: impl Fn(&Listed) -> Option<D>) {
        let mut named = field == "SHA256";
        if named {
            let _ = writeln!(text, "{field}:");
        }
        for (path, file) in &self.files {
            let Some(digest) = digest(file) else { continue };
            if !named {
                let _ = writeln!(text, "{field}:");
                named = true;
            }
            let _ = writeln!(text, " {digest} {:>8} {path}", file.size);
        }
    }

    /// Reads a text strictly.
    ///
    /// # Errors
    /// Anything but a text that `text` would write.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        if bytes.len() > LIMIT {
            return Err(ReleaseError::TooLong { size: bytes.len() });
        }
        let fields = Fields(Paragraph::parse(bytes).map_err(ReleaseError::Paragraph)?);
        let release = Self {
            origin: fields.text("Origin"),
            label: fields.text("Label"),
            suite: fields.need("Suite")?.to_owned(),
            version: fields.text("Version"),
            codename: fields.one("Codename")?,
            changelogs: fields.text("Changelogs"),
            snapshots: fields.text("Snapshots"),
            date: fields.date("Date")?.ok_or(ReleaseError::Missing { field: "Date" })?,
            valid_until: fields.date("Valid-Until")?,
            not_automatic: fields.is("NotAutomatic", "yes")?,
            but_automatic_upgrades: fields.is("ButAutomaticUpgrades", "yes")?,
            acquire_by_hash: fields.is("Acquire-By-Hash", "yes")?,
            no_support_for_all: fields.is("No-Support-for-Architecture-all", "Packages")?,
            signed_by: fields.0.get("Signed-By").unwrap_or_default().split(", ").filter(|key| !key.is_empty()).map(str::to_owned).collect(),
            architectures: fields.many("Architectures")?,
            components: fields.many("Components")?,
            description: fields.text("Description"),
            files: fields.files()?,
        };
        match first_difference(release.text().as_bytes(), bytes) {
            Some(line) => Err(ReleaseError::Form { line }),
            None => Ok(release),
        }
    }

    /// Tells whether a file is listed and not written: the plain form of an index that has a compressed one. Lists of patches are
    /// written in both forms.
    pub fn is_listed_only(&self, path: &str) -> bool {
        let has = |suffix: &str| self.files.contains_key(&format!("{path}{suffix}"));
        !path.ends_with(".diff/Index") && [".gz", ".xz", ".zst"].into_iter().any(has)
    }

    /// Tells whether two Releases say the same but for `Date` and `Valid-Until`: then nothing changed.
    pub fn content_equals(&self, other: &Self) -> bool {
        let timeless = |release: &Self| Self { date: Timestamp(0), valid_until: None, ..release.clone() };
        timeless(self) == timeless(other)
    }
}

/// Returns a hasher for what the Release of a suite lists about a file.
pub fn hasher(suite: &Suite) -> ListHasher {
    let wanted = |digest| suite.release_digests.contains(&digest);
    ListHasher::of(wanted(ExtraDigest::Md5), wanted(ExtraDigest::Sha1), wanted(ExtraDigest::Sha512))
}

/// Tells whether this says everything that the Release of a suite lists, and no more.
pub fn suffices(listed: &Listed, suite: &Suite) -> bool {
    let fits = |digest, there: bool| suite.release_digests.contains(&digest) == there;
    fits(ExtraDigest::Md5, listed.md5.is_some())
        && fits(ExtraDigest::Sha1, listed.sha1.is_some())
        && fits(ExtraDigest::Sha512, listed.sha512.is_some())
}

fn optional(value: &Option<String>) -> Option<&dyn Display> {
    value.as_ref().map(|value| value as &dyn Display)
}

fn words<T: Display>(names: &[T]) -> String {
    names.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

/// The first line, from 1, in which two texts differ.
fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    if left == right {
        return None;
    }
    let same = left.iter().zip(right).take_while(|(left, right)| left == right);
    Some(same.filter(|(byte, _)| **byte == b'\n').count() + 1)
}

/// The fields of a Release that is being read.
struct Fields<'a>(Paragraph<'a>);

type Rows<'a> = BTreeMap<&'a str, (u64, &'a str)>;

impl Fields<'_> {
    fn text(&self, field: &str) -> Option<String> {
        self.0.get(field).map(str::to_owned)
    }

    fn need(&self, field: &'static str) -> Result<&str, ReleaseError> {
        self.0.get(field).ok_or(ReleaseError::Missing { field })
    }

    fn one<T: FromStr>(&self, field: &'static str) -> Result<T, ReleaseError> {
        let value = self.need(field)?;
        value.parse().map_err(|_| wrong(field, value))
    }

    fn many<T: FromStr>(&self, field: &'static str) -> Result<Vec<T>, ReleaseError> {
        self.need(field)?.split(' ').map(|word| word.parse().map_err(|_| wrong(field, word))).collect()
    }

    fn date(&self, field: &'static str) -> Result<Option<Timestamp>, ReleaseError> {
        self.0.get(field).map(|value| Timestamp::parse_rfc1123(value).map_err(|_| wrong(field, value))).transpose()
    }

    fn is(&self, field: &'static str, set: &str) -> Result<bool, ReleaseError> {
        match self.0.get(field) {
            None => Ok(false),
            Some(value) if value == set => Ok(true),
            Some(value) => Err(wrong(field, value)),
        }
    }

    fn files(&self) -> Result<BTreeMap<String, Listed>, ReleaseError> {
        let rows = self.rows("SHA256")?.ok_or(ReleaseError::Missing { field: "SHA256" })?;
        let mut files = BTreeMap::new();
        for (path, (size, digest)) in &rows {
            let sha256 = digest.parse().map_err(|_| wrong("SHA256", digest))?;
            files.insert((*path).to_owned(), Listed { size: *size, sha256, md5: None, sha1: None, sha512: None });
        }
        self.also(&mut files, "MD5Sum", |file, digest| file.md5 = Some(digest))?;
        self.also(&mut files, "SHA1", |file, digest| file.sha1 = Some(digest))?;
        self.also(&mut files, "SHA512", |file, digest| file.sha512 = Some(digest))?;
        Ok(files)
    }

    /// Adds the digests of another list, which must name the same files with the same sizes.
    fn also<D: FromStr>(
        &self,
        files: &mut BTreeMap<String, Listed>,
        field: &'static str,
        set: impl Fn(&mut Listed, D),
    ) -> Result<(), ReleaseError> {
        let Some(rows) = self.rows(field)? else { return Ok(()) };
        if rows.len() != files.len() {
            return Err(ReleaseError::Lists { field });
        }
        for (path, (size, digest)) in rows {
            let file = files.get_mut(path).filter(|file| file.size == size).ok_or(ReleaseError::Lists { field })?;
            set(file, digest.parse().map_err(|_| wrong(field, digest))?);
        }
        Ok(())
    }

    fn rows(&self, field: &'static str) -> Result<Option<Rows<'_>>, ReleaseError> {
        let Some(list) = self.0.get(field) else { return Ok(None) };
        let mut rows = Rows::new();
        for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut parts = line.split_ascii_whitespace();
            let (Some(digest), Some(size), Some(path), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
                return Err(wrong(field, line));
            };
            let size = size.parse().map_err(|_| wrong(field, line))?;
            if !stays_inside(path) || rows.insert(path, (size, digest)).is_some() {
                return Err(wrong(field, line));
            }
        }
        Ok(Some(rows))
    }
}

/// Tells whether a path is relative and names nothing outside its folder.
fn stays_inside(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn wrong(field: &str, value: &str) -> ReleaseError {
    ReleaseError::Value { field: field.to_owned(), value: value.chars().take(200).collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
