//! Signed certificate timestamps (RFC 6962, sections 3.2 and 3.3): a certificate transparency log's promise, which stands in a certificate,
//! that everybody will see it.
//!
//! What a log signed is the certificate without the promises, and the key of who issued it. Only promises of version 1, with ECDSA on
//! P-256 over SHA-256, as the logs of Sigstore give them.

use der::Decode as _;
use der::asn1::{ObjectIdentifier, OctetStringRef};

use super::SigstoreError;
use super::certificate::Certificate;
use super::public_key::PublicKey;
use super::trusted_root::Period;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// The extension with the promises.
pub(super) const PROMISES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// SHA-256 and ECDSA (RFC 5246, section 7.4.1.4.1).
const ALGORITHM: [u8; 2] = [4, 3];

/// Most promises of one certificate.
const MOST: usize = 32;

/// A certificate transparency log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateLog {
    /// Its key; `None` where that is of a kind that is not known here: then no promise of it counts.
    pub key: Option<PublicKey>,
    /// When the key was good.
    pub period: Period,
}

/// One promise.
#[derive(Debug, PartialEq, Eq)]
struct Promise<'a> {
    /// SHA-256 of the log's key in DER.
    log: &'a [u8],
    /// Milliseconds since 1970, eight bytes.
    time: &'a [u8],
    extensions: &'a [u8],
    signature: &'a [u8],
}

/// Checks that a certificate has a promise of one of these logs, and no promise in such a log's name that does not hold.
///
/// # Errors
/// See [`SigstoreError::Certificate`]
pub(super) fn check(certificate: &Certificate, issuer: &Certificate, logs: &[CertificateLog]) -> Result<(), SigstoreError> {
    let (signed, extension) = certificate.without(PROMISES)?;
    let extension = extension.ok_or_else(|| refused("it has no promise of a certificate transparency log"))?;
    let list = OctetStringRef::from_der(&extension).map_err(|fault| SigstoreError::malformed("the certificate", fault))?;
    let promises = promises(list.as_bytes()).ok_or_else(|| refused("its promises of certificate transparency logs cannot be read"))?;
    let issuer = issuer.key()?.fingerprint();
    let mut held = false;
    for promise in &promises {
        let known = logs.iter().filter_map(|log| Some((log.key.as_ref()?, log.period)));
        // The same key may be named several times.
        let named: Vec<_> = known.filter(|(key, _)| key.fingerprint().as_bytes() == promise.log).collect();
        let Some((key, _)) = named.first() else { continue };
        if !named.iter().any(|(_, period)| period.contains(promise.seconds())) {
            return Err(refused("a certificate transparency log promised to show it at a time when the log's key was not good"));
        }
        if !key.verifies(&promise.signed(&issuer, &signed), promise.signature) {
            return Err(refused("a promise in the name of a certificate transparency log is not signed by it"));
        }
        held = true;
    }
    if held { Ok(()) } else { Err(refused("no certificate transparency log that is trusted promised to show it")) }
}

impl Promise<'_> {
    fn seconds(&self) -> Timestamp {
        let milliseconds = self.time.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        Timestamp(i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX))
    }

    /// Returns what the log signed: version, kind of signature, time, a `PreCert` and extensions.
    fn signed(&self, issuer: &Sha256, certificate: &[u8]) -> Vec<u8> {
        let length = u32::try_from(certificate.len()).unwrap_or(u32::MAX).to_be_bytes();
        let of_extensions = u16::try_from(self.extensions.len()).unwrap_or(u16::MAX).to_be_bytes();
        let [_, length @ ..] = length;
        let parts = [&[0, 0], self.time, &[0, 1], issuer.as_bytes(), &length, certificate, &of_extensions, self.extensions];
        parts.concat()
    }
}

/// Reads a `SignedCertificateTimestampList`. Promises of other versions and algorithms are left out.
fn promises(list: &[u8]) -> Option<Vec<Promise<'_>>> {
    let (mut list, rest) = sized(list)?;
    let mut promises = Vec::new();
    let mut count = 0;
    while !list.is_empty() {
        let (promise, others) = sized(list)?;
        list = others;
        count += 1;
        let (version, body) = promise.split_first()?;
        if *version == 0
            && let Some(promise) = read(body)?
        {
            promises.push(promise);
        }
    }
    (rest.is_empty() && (1..=MOST).contains(&count)).then_some(promises)
}

/// Reads a promise after its version; the inner `None` is one by another algorithm.
#[allow(clippy::option_option, reason = "not readable, and of no use, are two things")]
fn read(body: &[u8]) -> Option<Option<Promise<'_>>> {
    let (log, body) = body.split_at_checked(32)?;
    let (time, body) = body.split_at_checked(8)?;
    let (extensions, body) = sized(body)?;
    let (algorithm, body) = body.split_at_checked(2)?;
    let (signature, rest) = sized(body)?;
    let promise = Promise { log, time, extensions, signature };
    rest.is_empty().then_some((algorithm == ALGORITHM).then_some(promise))
}

/// Takes what two bytes give the length of; returns it and the rest.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn refused(fault: &str) -> SigstoreError {
    SigstoreError::Certificate { fault: fault.to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_whole_or_not_at_all() {
        let body = [&[7; 32][..], &[0, 0, 1, 0x8b, 0, 0, 0x07, 0xd0], &[0, 1, 9], &ALGORITHM, &[0, 2, 5, 6]].concat();
        let one = [&[0, 50, 0][..], &body].concat();
        let list = [&[0, 52][..], &one].concat();
        let read = promises(&list).unwrap();
        assert_eq!(read, [Promise { log: &[7; 32], time: &body[32..40], extensions: &[9], signature: &[5, 6] }]);
        assert_eq!(read[0].seconds(), Timestamp(0x018b_0000_07d0 / 1000));
        for cut in 0..list.len() {
            assert_eq!(promises(&list[..cut]), None);
        }
        assert_eq!(promises(&[&list[..], &[0]].concat()), None);
        assert_eq!(promises(&[0, 0]), None);
        let mut other = list.clone();
        other[4] = 1;
        assert_eq!(promises(&other), Some(Vec::new()), "another version");
    }

    proptest::proptest! {
        #[test]
        fn any_list_is_read_or_refused(list in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = promises(&list);
            let _ = read(&list);
        }
    }
}
