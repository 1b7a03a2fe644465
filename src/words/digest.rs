//! Digests as values, and one pass over bytes that makes all of them.
//!
//! A digest prints and parses as lower-case hexadecimal, the only form that Packages, Release and Git-LFS pointers use.
//! Debian's indices carry MD5 and SHA-256; SHA-1 and SHA-512 are made only where the configuration asks for them.

mod reading;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

pub use reading::Hashing;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not {expected} lower-case hexadecimal digits of a {algorithm} digest", text.escape_debug())]
pub struct DigestError {
    text: String,
    algorithm: &'static str,
    expected: usize,
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $len:literal, $algorithm:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Returns the digest with these raw bytes.
            pub fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Returns the raw bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Returns the lower-case hexadecimal form.
            pub fn to_hex(&self) -> String {
                self.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                let refuse = || DigestError {
                    text: text.chars().take(160).collect(),
                    algorithm: $algorithm,
                    expected: $len * 2,
                };
                if text.len() != $len * 2 {
                    return Err(refuse());
                }
                let mut bytes = [0u8; $len];
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let [high, low] = pair else { return Err(refuse()) };
                    let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low)) else {
                        return Err(refuse());
                    };
                    *byte = high << 4 | low;
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": format!("^[0-9a-f]{{{}}}$", $len * 2)})
            }
        }
    };
}

digest!(
    /// An MD5 digest: identification only, never trusted.
    Md5, 16, "MD5"
);
digest!(
    /// A SHA-1 digest: read from .dsc and .changes, written only on request.
    Sha1, 20, "SHA-1"
);
digest!(
    /// A SHA-256 digest; of a whole file it is also the file's Git-LFS oid.
    Sha256, 32, "SHA-256"
);
digest!(
    /// A SHA-512 digest, written only on request.
    Sha512, 64, "SHA-512"
);

/// The Git-LFS oid of an object: the SHA-256 of its bytes.
pub type ObjectId = Sha256;

impl Sha256 {
    /// Returns the digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl Md5 {
    /// Returns the digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(md5::Md5::digest(bytes).into())
    }
}

/// What one pass over a file finds out: its length in bytes and its digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// Length in bytes.
    pub size: u64,
    /// MD5, for `MD5sum` and `Files`.
    pub md5: Md5,
    /// SHA-256, also the Git-LFS oid.
    pub sha256: Sha256,
    /// SHA-1, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<Sha1>,
    /// SHA-512, where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<Sha512>,
}

impl FileFacts {
    /// Returns the facts of bytes that are in memory.
    pub fn of(bytes: &[u8], extra: ExtraDigests) -> Self {
        let mut hasher = Hasher::new(extra);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Which digests are made beside MD5 and SHA-256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtraDigests {
    /// Also SHA-1.
    pub sha1: bool,
    /// Also SHA-512.
    pub sha512: bool,
}

/// Makes every wanted digest in one pass.
pub struct Hasher {
    md5: md5::Md5,
    rest: ListHasher,
}

impl Hasher {
    /// Returns a hasher that has seen nothing yet.
    pub fn new(extra: ExtraDigests) -> Self {
        Self { md5: md5::Md5::new(), rest: ListHasher::of(false, extra.sha1, extra.sha512) }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.rest.update(bytes);
    }

    /// Returns the facts about everything that was seen.
    pub fn finish(self) -> FileFacts {
        let Listed { size, sha256, sha1, sha512, .. } = self.rest.finish();
        FileFacts { size, md5: Md5(self.md5.finalize().into()), sha256, sha1, sha512 }
    }
}

/// What a list of digests says about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256, always there.
    pub sha256: Sha256,
    /// MD5, where that list is there.
    pub md5: Option<Md5>,
    /// SHA-1, where that list is there.
    pub sha1: Option<Sha1>,
    /// SHA-512, where that list is there.
    pub sha512: Option<Sha512>,
}

/// Makes SHA-256 and only those digests that are listed, in one pass.
pub struct ListHasher {
    size: u64,
    sha256: sha2::Sha256,
    md5: Option<md5::Md5>,
    sha1: Option<sha1::Sha1>,
    sha512: Option<sha2::Sha512>,
}

impl ListHasher {
    /// Returns a hasher that has seen nothing yet.
    pub fn of(md5: bool, sha1: bool, sha512: bool) -> Self {
        Self {
            size: 0,
            sha256: sha2::Sha256::new(),
            md5: md5.then(md5::Md5::new),
            sha1: sha1.then(sha1::Sha1::new),
            sha512: sha512.then(sha2::Sha512::new),
        }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// Returns what is listed about everything that was seen.
    pub fn finish(self) -> Listed {
        Listed {
            size: self.size,
            sha256: Sha256(self.sha256.finalize().into()),
            md5: self.md5.map(|hash| Md5(hash.finalize().into())),
            sha1: self.sha1.map(|hash| Sha1(hash.finalize().into())),
            sha512: self.sha512.map(|hash| Sha512(hash.finalize().into())),
        }
    }
}

/// Finds out the length of bytes and their SHA-256, and no other digest.
#[derive(Default)]
pub struct OidHasher {
    size: u64,
    sha256: sha2::Sha256,
}

impl OidHasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
    }

    /// Returns the digest of everything that was seen, and its length.
    pub fn finish(self) -> (ObjectId, u64) {
        (Sha256(self.sha256.finalize().into()), self.size)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_makes_the_digests_of_fips_180_and_rfc_1321() {
        let facts = FileFacts::of(b"abc", ExtraDigests { sha1: true, sha512: true });
        assert_eq!(facts.size, 3);
        assert_eq!(facts.md5.to_hex(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(facts.sha1.unwrap().to_hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(facts.sha256.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(facts.sha512.unwrap().to_hex().starts_with("ddaf35a193617abacc417349ae204131"));
        assert_eq!(facts.sha256, Sha256::of(b"abc"));
    }

    #[test]
    fn only_lower_case_hexadecimal_of_the_right_length_is_a_digest() {
        let good = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(good.parse::<Md5>().unwrap().to_hex(), good);
        for bad in ["", "9001", "900150983CD24FB0D6963F7D28E17F72", "g00150983cd24fb0d6963f7d28e17f72", "é00150983cd24fb0d6963f7d28e17f7"]
        {
            assert!(bad.parse::<Md5>().is_err(), "{bad}");
        }
    }
}
