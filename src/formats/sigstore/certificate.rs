//! X.509 certificates (RFC 5280), as far as timestamp authorities and Sigstore's certificate authority use them: who issued whom,
//! for what and when. Revocation lists are not looked at; promises of certificate transparency logs are in [`super::promise`].

use der::asn1::{AnyRef, ObjectIdentifier, Utf8StringRef};
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use super::SigstoreError;
use super::public_key::{Hash, PublicKey};
use super::trusted_root::Authority;
use crate::words::date::Timestamp;

/// The longest certificate in bytes.
const LONGEST: usize = 64 << 10;

/// How many certificates may stand between one that signs and the one that is trusted.
const LONGEST_CHAIN: usize = 8;

/// What a certificate's key may be used for (RFC 5280, section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Signatures over code.
    CodeSigning,
    /// Timestamps, and nothing else.
    TimeStamping,
}

impl Purpose {
    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::CodeSigning => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
            Self::TimeStamping => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8"),
        }
    }
}

const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Extensions that are understood here: basic constraints, key usage, extended key usage, subject's names.
const UNDERSTOOD: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
];

/// Fulcio's "Issuer (V2)", a UTF8String in DER, and the older one, the bare text.
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
const OLD_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");

/// Fulcio's "Source Repository URI" and "Source Repository Ref" of a build job (`oid-info.md`), UTF8Strings in DER.
const REPOSITORY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.12");
const REFERENCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.14");

/// A certificate that was read and not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// What is signed, byte for byte.
    signed: Vec<u8>,
    parsed: x509_cert::Certificate,
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// It is none, or has a rest.
    pub fn parse(der: &[u8]) -> Result<Self, SigstoreError> {
        let wrong = |fault: String| SigstoreError::malformed("the certificate", fault);
        if der.len() > LONGEST {
            return Err(wrong("it is too long".to_owned()));
        }
        let read = || {
            let parsed = x509_cert::Certificate::from_der(der)?;
            let signed = SliceReader::new(AnyRef::from_der(der)?.value())?.tlv_bytes()?.to_vec();
            Ok(Self { der: der.to_vec(), signed, parsed })
        };
        read().map_err(|fault: der::Error| wrong(fault.to_string()))
    }

    /// Takes over a certificate that stands in a message.
    pub(super) fn of(parsed: &x509_cert::Certificate) -> Result<Self, SigstoreError> {
        Self::parse(&parsed.to_der().map_err(|fault| SigstoreError::malformed("the certificate", fault))?)
    }

    /// Returns the bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the key.
    ///
    /// # Errors
    /// It is of a kind that is not known.
    pub fn key(&self) -> Result<PublicKey, SigstoreError> {
        PublicKey::of(&self.parsed.tbs_certificate.subject_public_key_info)
    }

    pub(super) fn is_named(&self, name: &cms::cert::IssuerAndSerialNumber) -> bool {
        let own = &self.parsed.tbs_certificate;
        own.issuer == name.issuer && own.serial_number == name.serial_number
    }

    fn extension<'a, T: der::Decode<'a> + der::oid::AssociatedOid>(&'a self) -> Result<Option<(bool, T)>, SigstoreError> {
        self.parsed.tbs_certificate.get::<T>().map_err(|fault| SigstoreError::malformed("the certificate", fault))
    }

    fn is_good_at(&self, time: Timestamp) -> bool {
        let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        let validity = self.parsed.tbs_certificate.validity;
        (seconds(validity.not_before)..=seconds(validity.not_after)).contains(&time.0)
    }

    fn is_issued_by(&self, issuer: &Self) -> Result<bool, SigstoreError> {
        if self.parsed.tbs_certificate.issuer != issuer.parsed.tbs_certificate.subject {
            return Ok(false);
        }
        let algorithm = self.parsed.signature_algorithm.oid;
        if self.parsed.tbs_certificate.signature.oid != algorithm {
            return Err(SigstoreError::Certificate { fault: "it names two signature algorithms".to_owned() });
        }
        let Some(signature) = self.parsed.signature.as_bytes() else { return Ok(false) };
        holds(&issuer.key()?, &algorithm.to_string(), &self.signed, signature)
    }

    /// Returns what is signed without an extension, and the value of that; `None` where it is not there.
    pub(super) fn without(&self, oid: ObjectIdentifier) -> Result<(Vec<u8>, Option<Vec<u8>>), SigstoreError> {
        let wrong = |fault: der::Error| SigstoreError::malformed("the certificate", fault);
        let mut own = self.parsed.tbs_certificate.clone();
        // What is taken off was put into exactly these bytes.
        if own.to_der().map_err(wrong)? != self.signed {
            return Err(refused("it is not in the one form that DER allows"));
        }
        let mut taken = Vec::new();
        if let Some(extensions) = &mut own.extensions {
            let (with, rest): (Vec<_>, Vec<_>) = std::mem::take(extensions).into_iter().partition(|extension| extension.extn_id == oid);
            taken.extend(with.into_iter().map(|extension| extension.extn_value.into_bytes()));
            *extensions = rest;
        }
        if taken.len() > 1 {
            return Err(refused("it has an extension twice"));
        }
        Ok((own.to_der().map_err(wrong)?, taken.pop()))
    }

    /// Returns the certificate of an authority that issued this one.
    pub(super) fn issuer<'a>(&self, authority: &'a Authority) -> Option<&'a Self> {
        authority.chain.iter().find(|candidate| self.is_issued_by(candidate).unwrap_or_default())
    }

    /// Returns the point in time from which on it is good.
    pub fn begins(&self) -> Timestamp {
        Timestamp(i64::try_from(self.parsed.tbs_certificate.validity.not_before.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    }

    /// Refuses extensions that must be understood and are not.
    fn check_extensions(&self) -> Result<(), SigstoreError> {
        let extensions = self.parsed.tbs_certificate.extensions.iter().flatten();
        match extensions.into_iter().find(|extension| extension.critical && !UNDERSTOOD.contains(&extension.extn_id)) {
            Some(extension) => Err(refused(&format!("it has a critical extension {} that is not understood", extension.extn_id))),
            None => Ok(()),
        }
    }

    /// Checks that this one may issue others for a purpose, with `below` certificates of authorities below it.
    fn check_authority(&self, purpose: Purpose, below: usize) -> Result<(), SigstoreError> {
        self.check_extensions()?;
        let constraints = self.extension::<BasicConstraints>()?.map(|(_, constraints)| constraints);
        let Some(constraints) = constraints.filter(|constraints| constraints.ca) else {
            return Err(refused("an issuer in its chain is no certificate authority"));
        };
        if constraints.path_len_constraint.is_some_and(|most| usize::from(most) < below) {
            return Err(refused("its chain is longer than an issuer in it allows"));
        }
        if self.extension::<KeyUsage>()?.is_some_and(|(_, usage)| !usage.key_cert_sign()) {
            return Err(refused("an issuer in its chain may not sign certificates"));
        }
        let usage = self.extension::<ExtendedKeyUsage>()?.map(|(_, usage)| usage.0);
        if usage.is_some_and(|usage| !usage.contains(&purpose.oid()) && !usage.contains(&ANY_PURPOSE)) {
            return Err(refused("an issuer in its chain is for something else"));
        }
        Ok(())
    }

    /// Checks that this one signs for a purpose and issues nothing.
    fn check_leaf(&self, purpose: Purpose) -> Result<(), SigstoreError> {
        self.check_extensions()?;
        if self.extension::<BasicConstraints>()?.is_some_and(|(_, constraints)| constraints.ca) {
            return Err(refused("it is one of a certificate authority"));
        }
        if self.extension::<KeyUsage>()?.is_some_and(|(_, usage)| !usage.digital_signature()) {
            return Err(refused("its key is not for signatures"));
        }
        let Some((critical, usage)) = self.extension::<ExtendedKeyUsage>()? else {
            return Err(refused("it does not say what its key is for"));
        };
        let right = match purpose {
            Purpose::CodeSigning => usage.0.contains(&purpose.oid()),
            // RFC 3161, section 2.3: this purpose alone, and critical.
            Purpose::TimeStamping => critical && usage.0 == [purpose.oid()],
        };
        if right { Ok(()) } else { Err(refused("its key is for something else")) }
    }

    /// Checks that this certificate signs for a purpose at a time, and that a chain leads from it to the trusted certificate of an
    /// authority; `others` may stand between.
    ///
    /// # Errors
    /// See [`SigstoreError::Certificate`]
    pub fn check(&self, purpose: Purpose, time: Timestamp, authority: &Authority, others: &[Self]) -> Result<(), SigstoreError> {
        let late = || refused(&format!("one of its chain is not good at {}", time.iso8601()));
        self.check_leaf(purpose)?;
        if !authority.period.contains(time) || !self.is_good_at(time) {
            return Err(late());
        }
        let anchor = authority.chain.last().ok_or_else(|| refused("its authority has no certificate"))?;
        let mut current = self;
        for below in 0..LONGEST_CHAIN {
            if current == anchor {
                return Ok(());
            }
            // The trusted one first: nothing above it matters.
            let candidates = std::iter::once(anchor).chain(authority.chain.iter()).chain(others);
            let mut issuer = None;
            for candidate in candidates.filter(|candidate| *candidate != current) {
                if current.is_issued_by(candidate)? {
                    issuer = Some(candidate);
                    break;
                }
            }
            let issuer = issuer.ok_or_else(|| refused("no chain leads from it to a trusted authority"))?;
            issuer.check_authority(purpose, below)?;
            if !issuer.is_good_at(time) {
                return Err(late());
            }
            current = issuer;
        }
        Err(refused("its chain is too long"))
    }

    /// Returns the name that Fulcio put into it: an address of a build job, or a mail address.
    ///
    /// # Errors
    /// It has none, or several.
    pub fn subject(&self) -> Result<String, SigstoreError> {
        let names = self.extension::<SubjectAltName>()?.map(|(_, names)| names.0).unwrap_or_default();
        match names.as_slice() {
            [GeneralName::UniformResourceIdentifier(name)] => Ok(name.to_string()),
            [GeneralName::Rfc822Name(name)] => Ok(name.to_string()),
            _ => Err(refused("it has not exactly one name that is an address")),
        }
    }

    /// Returns who vouched for that name to Fulcio, such as `https://gitlab.com`.
    ///
    /// # Errors
    /// It says nothing of that.
    pub fn vouched_by(&self) -> Result<String, SigstoreError> {
        let extensions = || self.parsed.tbs_certificate.extensions.iter().flatten();
        let value = |oid| extensions().find(|extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes());
        let text = match (value(ISSUER), value(OLD_ISSUER)) {
            (Some(value), _) => Utf8StringRef::from_der(value).ok().map(|text| text.as_str().to_owned()),
            (None, Some(value)) => std::str::from_utf8(value).ok().map(str::to_owned),
            (None, None) => None,
        };
        text.ok_or_else(|| refused("it does not say who vouched for its name"))
    }

    /// Returns the address of the repository that a build job ran for, such as `https://gitlab.com/debian/hello`; `None` where
    /// it is not said.
    pub fn repository(&self) -> Option<String> {
        self.said(REPOSITORY)
    }

    /// Returns the branch or tag that a build job ran for, such as `refs/heads/main`; `None` where it is not said.
    pub fn reference(&self) -> Option<String> {
        self.said(REFERENCE)
    }

    /// Returns the text of an extension that stands there once.
    fn said(&self, oid: ObjectIdentifier) -> Option<String> {
        let mut found = self.parsed.tbs_certificate.extensions.iter().flatten().filter(|extension| extension.extn_id == oid);
        match (found.next(), found.next()) {
            (Some(extension), None) => Utf8StringRef::from_der(extension.extn_value.as_bytes()).ok().map(|text| text.as_str().to_owned()),
            _ => None,
        }
    }
}

fn refused(fault: &str) -> SigstoreError {
    SigstoreError::Certificate { fault: fault.to_owned() }
}

/// Tells whether a signature by an algorithm, named as in certificates, holds.
pub(super) fn holds(key: &PublicKey, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<bool, SigstoreError> {
    let hash = match algorithm {
        "1.2.840.10045.4.3.2" => Hash::Sha256,
        "1.2.840.10045.4.3.3" => Hash::Sha384,
        "1.2.840.10045.4.3.4" => Hash::Sha512,
        "1.3.101.112" => return Ok(matches!(key, PublicKey::Ed25519(_)) && key.verifies(message, signature)),
        other => return Err(refused(&format!("signature algorithm {other} is not known"))),
    };
    Ok(key.verifies_with(hash, message, signature))
}
