//! The suite that every transparency log must pass. It is a module of the tests that have real logs.

use super::{LogError, Proof, TransparencyLog};

/// Runs the whole contract on a log that answers, and on one that has nothing but what is public.
pub(crate) fn check(log: &dyn TransparencyLog, stranger: &dyn TransparencyLog) {
    log.ready().unwrap();
    assert!(stranger.ready().is_err());
    let texts = [&b"Origin: Test\nSuite: trixie\n"[..], b"Origin: Test\nSuite: sid\n", b"x\n"];
    let proofs: Vec<Proof> = texts.iter().map(|text| log.prove(text).unwrap()).collect();
    for (text, proof) in texts.iter().zip(&proofs) {
        log.check(text, proof).unwrap();
        stranger.check(text, proof).unwrap();
        let again = log.prove(text).unwrap();
        stranger.check(text, &again).unwrap();
        for other in texts.iter().filter(|other| *other != text) {
            assert!(matches!(log.check(other, proof), Err(LogError::Unverified { .. })));
        }
        assert!(log.check(&text[..text.len() - 1], proof).is_err());
        assert!(log.check(text, b"").is_err());
        assert!(log.check(text, &proof[..proof.len() / 2]).is_err());
        assert!(log.check(text, &[proof.as_slice(), b"x"].concat()).is_err());
    }
}
