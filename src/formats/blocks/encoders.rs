//! Which compressors make blocks: recorded with each Release, so that whoever makes its indices again knows whether to expect the
//! same bytes or only the same text.
//!
//! A Release keeps blocks of the one before it, so what is recorded are all compressors that may have made one of its blocks.

use std::collections::BTreeSet;

use crate::words::archive::Compression;

/// Names of compressors, such as `xz: liblzma-sys 0.4.9, settings 1`.
pub type Encoders = BTreeSet<String>;

/// What stands for the compressors of a Release that recorded none.
pub const UNRECORDED: &str = "not recorded";

/// The crate and version of each compressor as `Cargo.lock` pins it, and a number for what it is told to do: another one whenever
/// other settings give other bytes.
const COMPRESSORS: [(Compression, &str); 3] = [
    (Compression::Gz, "gz: zlib-rs 0.6.8, settings 1"),
    (Compression::Xz, "xz: liblzma-sys 0.4.9, settings 1"),
    (Compression::Zst, "zst: zstd-sys 2.1.3+zstd.1.5.7, settings 1"),
];

/// Returns the compressors of this program.
pub fn encoders() -> Encoders {
    COMPRESSORS.iter().map(|(_, name)| (*name).to_owned()).collect()
}

/// Returns the compressors that may have made the blocks of a new Release, which keeps blocks of these earlier ones.
pub fn encoders_after<'a>(earlier: impl Iterator<Item = &'a Encoders>) -> Encoders {
    let mut all = encoders();
    for recorded in earlier {
        all.extend(recorded.iter().cloned());
        if recorded.is_empty() {
            all.insert(UNRECORDED.to_owned());
        }
    }
    all
}

/// Tells whether every block of this kind was certainly made by the compressor that this program has.
pub fn are_own(recorded: &Encoders, compression: Compression) -> bool {
    let kind = format!("{}: ", compression.suffix().trim_start_matches('.'));
    let mut named = recorded.iter().filter(|name| name.starts_with(&kind));
    let own = COMPRESSORS.iter().find(|(of, _)| *of == compression).map(|(_, name)| *name);
    !recorded.contains(UNRECORDED) && named.next().map(String::as_str) == own && named.next().is_none()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The versions that the golden digests of `blocks` are of, too.
    #[test]
    fn they_are_those_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        for (_, name) in COMPRESSORS {
            let (_, rest) = name.split_once(": ").unwrap();
            let (krate, version) = rest.split_once(", settings ").unwrap().0.split_once(' ').unwrap();
            let entry = format!("name = \"{krate}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&entry), "Cargo.lock has another {krate} than {version}: name it here, and look at the golden digests");
            assert_eq!(lock.matches(&format!("name = \"{krate}\"\n")).count(), 1, "{krate} is there once");
        }
    }

    #[test]
    fn blocks_that_were_kept_bring_their_compressors_along() {
        let own = encoders();
        assert_eq!(encoders_after(std::iter::empty()), own);
        assert_eq!(encoders_after([own.clone()].iter()), own);
        for compression in [Compression::Gz, Compression::Xz, Compression::Zst] {
            assert!(are_own(&own, compression));
            assert!(!are_own(&Encoders::new(), compression), "a Release that recorded none");
            assert!(!are_own(&encoders_after([Encoders::new()].iter()), compression));
        }
        let older = Encoders::from(["xz: liblzma-sys 0.3.1, settings 1".to_owned()]);
        let mixed = encoders_after([older.clone()].iter());
        assert_eq!((are_own(&mixed, Compression::Xz), are_own(&mixed, Compression::Gz)), (false, true));
        assert!(!are_own(&older, Compression::Xz));
    }
}
