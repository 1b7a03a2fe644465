//! Git-LFS pointers: a few lines of text that stand in Git for an object (git-lfs `docs/spec.md`, version 1).
//!
//! A pointer has exactly one encoding, so equal objects give equal blobs and reading is writing turned round: what does not
//! encode back to the same bytes is not a pointer. An empty file is its own pointer and has none here.

use crate::words::digest::{FileFacts, ObjectId};
use crate::words::limits;

const VERSION: &str = "version https://git-lfs.github.com/spec/v1";

/// Why a blob is not a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// Longer than any pointer may be: probably the file itself, committed without Git-LFS.
    #[error("it has {size} bytes: not a Git-LFS pointer but probably the file itself, committed without Git-LFS")]
    TooLong {
        /// Length in bytes.
        size: usize,
    },
    /// With an extension: what lies in the store is not the file but what a program made of it.
    #[error(
        "it is a Git-LFS pointer with the extension \"{0}\", so its object is not the file itself; `git lfs ext` says what set it: remove it, then `git add --renormalize pool`"
    )]
    Extension(String),
    /// Not the one encoding of a pointer.
    #[error("it is not a Git-LFS pointer (version, oid sha256 and size, in this order)")]
    Malformed,
}

/// The name and length of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer {
    /// SHA-256 of the object's bytes.
    pub oid: ObjectId,
    /// Length of the object in bytes.
    pub size: u64,
}

impl Pointer {
    /// Returns the pointer's bytes.
    pub fn encode(&self) -> String {
        format!("{VERSION}\noid sha256:{}\nsize {}\n", self.oid, self.size)
    }

    /// Reads a pointer's bytes.
    ///
    /// # Errors
    /// Anything but the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, PointerError> {
        if bytes.len() > limits::POINTER {
            return Err(PointerError::TooLong { size: bytes.len() });
        }
        if let Some(extension) = extension(bytes) {
            return Err(PointerError::Extension(extension));
        }
        Self::decode_lines(bytes).filter(|pointer| pointer.encode().as_bytes() == bytes).ok_or(PointerError::Malformed)
    }

    fn decode_lines(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        lines.next().filter(|line| *line == VERSION)?;
        let oid = lines.next()?.strip_prefix("oid sha256:")?.parse().ok()?;
        let size = lines.next()?.strip_prefix("size ")?.parse().ok()?;
        Some(Self { oid, size })
    }
}

/// Returns the name of the first extension of a pointer: its line is `ext-<priority>-<name> sha256:<oid>`.
fn extension(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.strip_prefix(VERSION)?;
    let (key, value) = text.lines().find_map(|line| line.strip_prefix("ext-")?.split_once(' '))?;
    let name = key.split_once('-').map_or(key, |(_, name)| name);
    value.starts_with("sha256:").then(|| name.chars().filter(|letter| !letter.is_control()).collect())
}

impl From<&FileFacts> for Pointer {
    fn from(facts: &FileFacts) -> Self {
        Self { oid: facts.sha256, size: facts.size }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_has_one_encoding() {
        let pointer = Pointer { oid: ObjectId::of(b"hello"), size: 5 };
        let text = pointer.encode();
        assert_eq!(Pointer::decode(text.as_bytes()), Ok(pointer));
        for bad in [
            text.trim_end().to_owned(),
            format!("{text}\n"),
            format!("{text}x 1\n"),
            text.replace("size 5", "size 05"),
            text.replace("size 5", "size +5"),
            text.replace('\n', "\r\n"),
            text.replace("sha256:", "sha256: "),
            text.to_uppercase(),
            String::new(),
        ] {
            assert_eq!(Pointer::decode(bad.as_bytes()), Err(PointerError::Malformed), "{bad:?}");
        }
        let oid = pointer.oid;
        let extended = text.replace("oid", &format!("ext-0-squeeze sha256:{oid}\noid"));
        assert_eq!(Pointer::decode(extended.as_bytes()), Err(PointerError::Extension("squeeze".to_owned())));
        assert_eq!(Pointer::decode(&[0; 5000]), Err(PointerError::TooLong { size: 5000 }));
    }
}
