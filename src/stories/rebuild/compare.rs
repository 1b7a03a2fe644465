//! File by file: what the commit gives beside what Release lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::published::Published;
use super::{Outcome, RebuiltFile};
use crate::formats::blocks::decompress_block;
use crate::formats::blocks::encoders::{self, Encoders};
use crate::formats::blocks::sheet::Sheet;
use crate::formats::index::difference::first_difference;
use crate::formats::index::order::{Kind, SortKey};
use crate::formats::release::{Listed, Release};
use crate::stories::fold::{Bytes, Fold, is_contents};
use crate::words::archive::Compression;
use crate::words::digest::Sha256;

/// What is compared.
pub(super) struct Comparing<'a> {
    /// What the commit gives.
    pub(super) fold: &'a Fold,
    /// The Release that the commit gives.
    pub(super) made: &'a Release,
    /// The published one, and its bytes.
    pub(super) release: &'a Release,
    pub(super) text: &'a [u8],
    pub(super) published: &'a Published<'a>,
    /// What is recorded of the compressors.
    pub(super) encoders: &'a Encoders,
    pub(super) without_contents: bool,
}

const FORMS: [Compression; 3] = [Compression::Gz, Compression::Xz, Compression::Zst];

impl Comparing<'_> {
    /// Compares everything: the Release, then what it lists, by path.
    pub(super) fn all(&self) -> Vec<RebuiltFile> {
        let (made, listed) = (&self.fold.listed, &self.release.files);
        let paths: BTreeSet<&String> = made.keys().chain(listed.keys()).collect();
        let mut files: Vec<RebuiltFile> = paths.into_iter().map(|path| self.file(path, made.get(path), listed.get(path))).collect();
        files.insert(0, self.release(&files));
        files
    }

    /// Compares the Release: byte for byte, or but for the digests of files that are compared otherwise.
    fn release(&self, files: &[RebuiltFile]) -> RebuiltFile {
        let (made, published) = (Sha256::of(self.made.text().as_bytes()), Sha256::of(self.text));
        // With the list that was published only what stands before it can differ.
        let head = Release { files: self.release.files.clone(), ..self.made.clone() }.text();
        let (outcome, reason) = if made == published {
            (Outcome::Same, None)
        } else if head.as_bytes() != self.text {
            (Outcome::Differs, Some(other_line(&head, &String::from_utf8_lossy(self.text))))
        } else if files.iter().any(|file| file.outcome == Outcome::Differs) {
            (Outcome::Differs, Some("it lists files that the commit does not give".to_owned()))
        } else {
            (Outcome::SameContent, Some("it lists files that were compared otherwise than byte for byte".to_owned()))
        };
        RebuiltFile { path: "Release".to_owned(), outcome, made: Some(made), published: Some(published), reason }
    }

    fn file(&self, path: &str, made: Option<&Listed>, listed: Option<&Listed>) -> RebuiltFile {
        let (outcome, reason) = match (made, listed) {
            (Some(made), Some(listed)) if made == listed => (Outcome::Same, None),
            (Some(_), Some(_)) => self.other(path),
            (None, _) if self.without_contents && is_contents(path) => (Outcome::LeftOut, None),
            (None, _) => (Outcome::Differs, Some("Release lists it, and the commit gives no such file".to_owned())),
            (Some(_), None) => (Outcome::Differs, Some("the commit gives it, and Release does not list it".to_owned())),
        };
        let digest = |listed: Option<&Listed>| listed.map(|listed| listed.sha256);
        RebuiltFile { path: path.to_owned(), outcome, made: digest(made), published: digest(listed), reason }
    }

    /// Tells in what a file is another one.
    fn other(&self, path: &str) -> (Outcome, Option<String>) {
        let compressed = FORMS.into_iter().find_map(|compression| Some((compression, path.strip_suffix(compression.suffix())?)));
        let Some((compression, plain)) = compressed.filter(|(_, plain)| self.release.files.contains_key(*plain)) else {
            return (Outcome::Differs, Some(self.difference(path)));
        };
        if self.fold.listed.get(plain) != self.release.files.get(plain) {
            return (Outcome::Differs, Some(format!("{plain} differs")));
        }
        self.recompressed(path, compression, plain)
    }

    /// Compares a file whose plain form is the same by what Release lists. Only another compressor explains that, and only its bytes
    /// show that it unpacks to what Release lists beside it.
    fn recompressed(&self, path: &str, compression: Compression, plain: &str) -> (Outcome, Option<String>) {
        if encoders::are_own(self.encoders, compression) {
            let reason =
                format!("{plain} is the same, but the compressor that is recorded, which is this program's, makes another file of it");
            return (Outcome::Differs, Some(reason));
        }
        let bytes = match self.published.bytes(path) {
            Ok(bytes) => bytes,
            Err(reason) => return (Outcome::PlainSame, Some(format!("only {plain} was compared, by its digest: {reason}"))),
        };
        let unpacked = self.release.files.get(plain).and_then(|listed| {
            let text = decompress_block(&bytes, compression, listed.size).ok()?;
            (Sha256::of(&text) == listed.sha256).then_some(())
        });
        match unpacked {
            Some(()) => (Outcome::SameContent, Some(format!("another compressor made it; it unpacks to {plain}"))),
            None => (Outcome::Differs, Some(format!("it does not unpack to {plain}"))),
        }
    }

    /// Tells where an index, or another text, differs first.
    fn difference(&self, path: &str) -> String {
        let made = match self.made_text(path) {
            Ok(made) => made,
            Err(reason) => return format!("what the commit gives cannot be shown: {reason}"),
        };
        match (self.published.text(path), kind_of(path)) {
            (Ok(published), Some(kind)) => match first_difference(kind, &made, &published) {
                Some(difference) => difference.to_string(),
                None => "its text is the same, but Release lists other digests".to_owned(),
            },
            (Ok(published), None) => other_line(&made, &published),
            (Err(reason), _) => {
                match self.published.recorded.and_then(|last| last.sheets.get(path)).and_then(|sheet| self.block(path, sheet)) {
                    Some(block) => format!("{block}; what was published there cannot be shown: {reason}"),
                    None => format!("what was published cannot be shown: {reason}"),
                }
            }
        }
    }

    /// Returns the text that was made of an index.
    fn made_text(&self, path: &str) -> Result<String, String> {
        let size = self.fold.listed.get(path).map(|listed| listed.size).unwrap_or_default();
        let form =
            FORMS.into_iter().find_map(|compression| Some((compression, self.fold.made.get(&format!("{path}{}", compression.suffix()))?)));
        let bytes = match form.filter(|_| self.fold.sheets.contains_key(path)) {
            Some((compression, bytes)) => decompress_block(bytes, compression, size).map_err(|fault| fault.to_string())?,
            None => Arc::unwrap_or_clone(self.fold.content(path, &Bytes::nothing()).map_err(|fault| fault.to_string())?),
        };
        String::from_utf8(bytes).map_err(|fault| fault.to_string())
    }

    /// Tells between which entries an index differs first, by what is recorded of its blocks.
    fn block(&self, path: &str, recorded: &Sheet) -> Option<String> {
        let made: BTreeSet<Sha256> = self.fold.sheets.get(path)?.blocks.iter().map(|block| block.sha256).collect();
        let at = recorded.blocks.iter().position(|block| !made.contains(&block.sha256))?;
        let name = |key: &SortKey| if key.second.is_empty() { key.name.clone() } else { key.second.clone() };
        let first = recorded.blocks.get(at).map(|block| name(&block.first))?;
        let end = recorded.blocks.get(at + 1).map_or("the end".to_owned(), |block| name(&block.first));
        Some(format!("it differs between {} and {}", first.escape_debug(), end.escape_debug()))
    }
}

fn kind_of(path: &str) -> Option<Kind> {
    match path.rsplit('/').next()? {
        "Packages" => Some(Kind::Packages),
        "Sources" => Some(Kind::Sources),
        "Translation-en" => Some(Kind::Translation),
        _ if is_contents(path) => Some(Kind::Contents),
        _ => None,
    }
}

/// Returns the first line in which a text differs from the published one.
fn other_line(made: &str, published: &str) -> String {
    let (mut ours, mut theirs) = (made.lines(), published.lines());
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return "it ends in another line end".to_owned(),
            (own, other) if own == other => {}
            (own, other) => {
                let line = |line: Option<&str>| line.map_or("nothing".to_owned(), |line| format!("\"{}\"", line.escape_debug()));
                return format!("it has {} where the commit gives {}", line(other), line(own));
            }
        }
    }
}
