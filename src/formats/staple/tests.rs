//! What is stapled comes off again, and nothing else is taken for a proof.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use LogKind::{Sigstore, Sigsum};

const DETACHED: &[u8] = b"-----BEGIN PGP SIGNATURE-----\n\nwsB=\n-----END PGP SIGNATURE-----\n";
const IN_RELEASE: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: x\n- -----BEGIN PGP SIGNATURE-----\nComment: Sigsum-Proof AAAA\n-----BEGIN PGP SIGNATURE-----\nVersion: y\nComment: Sigsum-Proofs AAAA\n\nwsB=\n-----END PGP SIGNATURE-----\n";

#[test]
fn what_was_stapled_comes_off_again_and_leaves_the_rest_as_it_was() {
    for (text, kind, other) in [(DETACHED, Sigsum, Sigstore), (IN_RELEASE, Sigstore, Sigsum)] {
        assert_eq!(stapled(text, kind), Ok(None));
        let long: Vec<u8> = (0..=255).cycle().take(1500).collect();
        for proof in [b"x".as_slice(), b"version=2\n", &long] {
            let with = staple(text, kind, proof).unwrap();
            assert!(with.split(|byte| *byte == b'\n').all(|line| line.len() <= "Comment: Sigstore-Bundle ".len() + WIDTH));
            assert_eq!(stapled(&with, kind), Ok(Some(proof.to_vec())));
            assert_eq!(stapled(&with, other), Ok(None));
            assert_eq!(without(&with, kind).unwrap(), text);
            assert_eq!(without(&with, other).unwrap(), with);
            let again = staple(&with, kind, b"other").unwrap();
            assert_eq!(stapled(&again, kind), Ok(Some(b"other".to_vec())));
            assert_eq!(without(&again, kind).unwrap(), text);
        }
    }
}

#[test]
fn nothing_else_is_taken_for_a_proof() {
    for kind in LogKind::ALL {
        for text in [&b""[..], b"x\n", b" -----BEGIN PGP SIGNATURE-----\n\n", b"-----BEGIN PGP SIGNATURE-----"] {
            assert_eq!(stapled(text, kind), Err(StapleError::NoSignature), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(stapled(b"-----BEGIN PGP SIGNATURE-----\nComment: x\n", kind), Err(StapleError::Cut));
        for digits in ["", "A", "A===", "!"] {
            let text = format!("-----BEGIN PGP SIGNATURE-----\nComment: {} {digits}\n\nwsB=\n", word(kind));
            assert_eq!(stapled(text.as_bytes(), kind), Err(StapleError::NoProof(kind)), "{digits}");
        }
        let huge = format!("Comment: {} AAAA\n", word(kind)).repeat(limit(kind));
        assert_eq!(stapled(format!("-----BEGIN PGP SIGNATURE-----\n{huge}\n").as_bytes(), kind), Err(StapleError::NoProof(kind)));
        // The longest one comes back, one more byte does not get in, nor out.
        let longest = vec![7; limit(kind)];
        assert_eq!(stapled(&staple(DETACHED, kind, &longest).unwrap(), kind), Ok(Some(longest.clone())));
        let longer = [&longest[..], b"x"].concat();
        assert_eq!(staple(DETACHED, kind, &longer), Err(StapleError::TooLong { kind, bytes: longer.len() }));
        let header = format!("Comment: {} {}\n", word(kind), STANDARD.encode(&longer));
        let text = [BEGIN, header.as_bytes(), b"\n"].concat();
        assert_eq!(stapled(&text, kind), Err(StapleError::NoProof(kind)));
    }
}

/// The comment lines of a kind that a text has in its armor.
fn comments(text: &[u8], kind: LogKind) -> Vec<Vec<u8>> {
    split(text).unwrap().1.into_iter().filter(|header| digits(header, kind).is_some()).map(<[u8]>::to_vec).collect()
}

fn a_kind() -> impl Strategy<Value = LogKind> {
    prop_oneof![Just(Sigsum), Just(Sigstore)]
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..80usize, kind in a_kind()) {
        let mut text = DETACHED.to_vec();
        text.splice(at.min(text.len()).., bytes);
        let _ = (stapled(&text, kind), without(&text, kind));
    }

    /// Whatever is stapled in whatever order, the last proof of each kind is there, and its bytes do not depend on the order.
    #[test]
    fn each_kind_has_its_last_proof(
        steps in proptest::collection::vec((a_kind(), proptest::collection::vec(any::<u8>(), 0..400)), 0..6),
        clear in any::<bool>(),
    ) {
        let plain = if clear { IN_RELEASE } else { DETACHED };
        let (mut text, mut last) = (plain.to_vec(), BTreeMap::new());
        for (kind, proof) in steps {
            text = staple(&text, kind, &proof).unwrap();
            last.insert(kind, proof);
        }
        let mut anew = plain.to_vec();
        for kind in [Sigstore, Sigsum] {
            let wanted = last.get(&kind).filter(|proof| !proof.is_empty()).cloned();
            prop_assert_eq!(stapled(&text, kind), Ok(wanted.clone()));
            anew = staple(&anew, kind, &wanted.unwrap_or_default()).unwrap();
        }
        prop_assert_eq!(&anew, &text);
        prop_assert_eq!(without(&without(&text, Sigsum).unwrap(), Sigstore).unwrap(), plain);
    }

    /// Lines of two kinds and other headers may be mixed; a line twice is other digits; a cut leaves no proof that nobody stapled.
    #[test]
    fn lines_are_told_apart_and_a_cut_is_noticed(
        first in proptest::collection::vec(any::<u8>(), 1..300),
        second in proptest::collection::vec(any::<u8>(), 1..300),
        mixed in proptest::collection::vec(0..3u8, 0..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let both = staple(&staple(DETACHED, Sigsum, &first).unwrap(), Sigstore, &second).unwrap();
        let mut left = [Sigsum, Sigstore].map(|kind| comments(&both, kind).into_iter());
        let mut text = BEGIN.to_vec();
        for pick in mixed {
            match left.get_mut(usize::from(pick)) {
                Some(lines) => text.extend(lines.next().into_iter().flatten()),
                None => text.extend_from_slice(b"Comment: Sigsum Proof AAAA\n"),
            }
        }
        left.into_iter().flatten().for_each(|line| text.extend(line));
        text.extend_from_slice(b"\nwsB=\n-----END PGP SIGNATURE-----\n");
        prop_assert_eq!(stapled(&text, Sigsum), Ok(Some(first.clone())));
        prop_assert_eq!(stapled(&text, Sigstore), Ok(Some(second.clone())));

        // Before the empty line everything that is cut off is missed; behind it nothing of the proofs is.
        let at = cut.index(text.len());
        match stapled(&text[..at], Sigstore) {
            Ok(proof) => prop_assert_eq!(proof, Some(second.clone())),
            Err(StapleError::Cut | StapleError::NoSignature) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }

        let lines = comments(&text, Sigstore);
        let twice = [BEGIN, &lines.concat(), &lines.concat(), b"\n"].concat();
        prop_assert_ne!(stapled(&twice, Sigstore).ok().flatten(), Some(second.clone()));
    }
}
