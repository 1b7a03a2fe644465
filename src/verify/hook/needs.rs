//! What an opted-in archive needs: which logs' proofs must be in the armor of its signatures, and whose count.
//!
//! A paragraph has the fields of Sigsum, those of Sigstore or both. With both, each Release needs both proofs: whoever gets hold of
//! one log's key, or of one log, has nothing yet.

use super::super::proofs::{SigstorePins, SigsumPins};
use crate::formats::staple;
use crate::words::archive::LogKind;

/// The fields that say what is needed.
pub(super) const FIELDS: [&str; 6] =
    ["Sigsum-Key", "Sigsum-Policy", "Sigstore-Trusted-Root", "Sigstore-Key", "Sigstore-Identity", "Sigstore-Issuer"];

/// The proofs that each Release of an archive needs; at least one.
pub(super) struct Needs {
    sigsum: Option<SigsumPins>,
    sigstore: Option<SigstorePins>,
}

/// The text of a file that a field names, or why it cannot be read.
pub(super) type ReadText<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

impl Needs {
    /// Reads the fields of a paragraph. `own` gives the value of a field, `read` the text of a file, `there` tells whether there is one.
    pub(super) fn read(own: &dyn Fn(&str) -> Option<String>, read: &ReadText<'_>, there: &dyn Fn(&str) -> bool) -> Result<Self, String> {
        let needs = Self { sigsum: sigsum(own, read, there)?, sigstore: sigstore(own, read)? };
        if needs.kinds().next().is_none() {
            return Err("it has neither Sigsum-Key and Sigsum-Policy nor Sigstore-Trusted-Root, so it asks for nothing".to_owned());
        }
        Ok(needs)
    }

    fn kinds(&self) -> impl Iterator<Item = (LogKind, &'static str)> {
        let sigsum = self.sigsum.as_ref().map(|_| (LogKind::Sigsum, "Sigsum proof"));
        sigsum.into_iter().chain(self.sigstore.as_ref().map(|_| (LogKind::Sigstore, "Sigstore bundle")))
    }

    /// Returns what each Release needs, such as "a Sigsum proof and a Sigstore bundle".
    pub(super) fn text(&self) -> String {
        self.kinds().map(|(_, name)| format!("a {name}")).collect::<Vec<_>>().join(" and ")
    }

    /// Checks that everything that is needed is in the armor of a signature. `data` is what was signed, perhaps without its last line
    /// feed. Fails with what is wrong, as a fragment behind "this Release".
    pub(super) fn check(&self, signature: &[u8], data: &[u8]) -> Result<(), String> {
        // Without and with the last line feed: apt takes it off what stood in InRelease.
        let ended = [data, &b"\n"[..]].concat();
        let (likely, other) = if data.ends_with(b"\n") { (data, &ended[..]) } else { (&ended[..], data) };
        for (kind, name) in self.kinds() {
            let proof = staple::stapled(signature, kind).map_err(|fault| format!("is not readable: {fault}"))?;
            let proof = proof.ok_or_else(|| format!("has no {name} stapled to its signature"))?;
            let good = |release: &[u8]| self.is_good(kind, release, &proof);
            good(likely).or_else(|fault| good(other).map_err(|_| format!("has no good {name}: {fault}")))?;
        }
        Ok(())
    }

    fn is_good(&self, kind: LogKind, release: &[u8], proof: &[u8]) -> Result<(), String> {
        match (kind, &self.sigsum, &self.sigstore) {
            (LogKind::Sigsum, Some(pins), _) => pins.check(release, proof).map(drop),
            (LogKind::Sigstore, _, Some(pins)) => pins.check(release, proof).map(drop),
            _ => Err("nothing is known of that log".to_owned()),
        }
    }
}

fn sigsum(own: &dyn Fn(&str) -> Option<String>, read: &ReadText<'_>, there: &dyn Fn(&str) -> bool) -> Result<Option<SigsumPins>, String> {
    let (policy, keys) = match (own("Sigsum-Policy"), own("Sigsum-Key")) {
        (None, None) => return Ok(None),
        (Some(policy), Some(keys)) => (policy, keys),
        (None, Some(_)) => return Err("it has no Sigsum-Policy".to_owned()),
        (Some(_), None) => return Err("it has no Sigsum-Key".to_owned()),
    };
    // A built-in policy is named; a file is beside the configuration or has a path.
    let policy = if there(&policy) { read(&policy)? } else { policy };
    let keys: Vec<String> = keys.split_ascii_whitespace().map(read).collect::<Result<_, _>>()?;
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    SigsumPins::read(policy.as_bytes(), &keys).map(Some)
}

fn sigstore(own: &dyn Fn(&str) -> Option<String>, read: &ReadText<'_>) -> Result<Option<SigstorePins>, String> {
    let keys = own("Sigstore-Key");
    let identity = match (own("Sigstore-Identity"), own("Sigstore-Issuer")) {
        (Some(identity), Some(issuer)) => Some((identity, issuer)),
        (None, None) => None,
        _ => return Err("Sigstore-Identity and Sigstore-Issuer go together".to_owned()),
    };
    let Some(root) = own("Sigstore-Trusted-Root") else {
        let alone = keys.is_some() || identity.is_some();
        return if alone { Err("it has no Sigstore-Trusted-Root".to_owned()) } else { Ok(None) };
    };
    if keys.is_none() && identity.is_none() {
        return Err(
            "Sigstore-Trusted-Root goes with Sigstore-Key, or with Sigstore-Identity and Sigstore-Issuer, or with all of them".to_owned()
        );
    }
    let keys: Vec<String> = keys.iter().flat_map(|keys| keys.split_ascii_whitespace()).map(read).collect::<Result<_, _>>()?;
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let identity = identity.as_ref().map(|(identity, issuer)| (identity.as_str(), issuer.as_str()));
    SigstorePins::read(read(&root)?.as_bytes(), &keys, identity).map(Some)
}
