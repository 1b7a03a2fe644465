//! Timestamps (RFC 3161): a digest goes to an authority, which answers with a signed message (CMS, RFC 5652) of when it saw it.
//!
//! Whole seconds only, as Sigstore's authorities write them, and one signer.

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Any, GeneralizedTime, Int, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode as _, Encode as _, Reader as _, Sequence, Tagged as _};
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::SigstoreError;
use super::certificate::{Certificate, Purpose, holds};
use super::public_key::Hash;
use super::trusted_root::Authority;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// The longest answer of an authority in bytes.
pub const LONGEST: usize = 64 << 10;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

#[derive(Sequence)]
struct TimeStampReq {
    version: u8,
    message_imprint: MessageImprint,
    nonce: Int,
    cert_req: bool,
}

#[derive(Sequence)]
struct MessageImprint {
    hash_algorithm: AlgorithmIdentifierOwned,
    hashed_message: OctetString,
}

#[derive(Sequence)]
struct TimeStampResp {
    status: Any,
    #[asn1(optional = "true")]
    time_stamp_token: Option<ContentInfo>,
}

#[derive(Sequence)]
struct TstInfo {
    version: u8,
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial_number: Int,
    gen_time: GeneralizedTime,
    #[asn1(optional = "true")]
    accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    ordering: bool,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    tsa: Option<Any>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    extensions: Option<x509_cert::ext::Extensions>,
}

#[derive(Sequence)]
struct Accuracy {
    #[asn1(optional = "true")]
    seconds: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    millis: Option<Int>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    micros: Option<Int>,
}

/// `SigningCertificateV2` of RFC 5035.
#[derive(Sequence)]
struct SigningCertificate {
    certs: Vec<CertificateId>,
    #[asn1(optional = "true")]
    policies: Option<Any>,
}

#[derive(Sequence)]
struct CertificateId {
    /// SHA-256 where it is left out.
    #[asn1(optional = "true")]
    hash_algorithm: Option<AlgorithmIdentifierOwned>,
    cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<Any>,
}

fn sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: SHA256, parameters: None }
}

/// Returns a request in DER for a timestamp over these bytes; the nonce is eight random bytes.
///
/// # Errors
/// It has no DER form.
pub fn request(signed: &[u8], nonce: [u8; 8]) -> Result<Vec<u8>, SigstoreError> {
    let request = || {
        // A positive number without leading zeros.
        let mut nonce = nonce;
        nonce[0] = (nonce[0] & 0x3f) | 0x40;
        let hashed_message = OctetString::new(Sha256::of(signed).as_bytes().as_slice())?;
        let message_imprint = MessageImprint { hash_algorithm: sha256(), hashed_message };
        TimeStampReq { version: 1, message_imprint, nonce: Int::new(&nonce)?, cert_req: true }.to_der()
    };
    request().map_err(|fault: der::Error| SigstoreError::malformed("the request for a timestamp", fault))
}

/// Checks that an authority's answer is a timestamp over these bytes, and returns the time.
///
/// # Errors
/// It cannot be read, refuses, is over something else, or is not signed by one of these authorities.
pub fn verify(answer: &[u8], signed: &[u8], authorities: &[Authority]) -> Result<Timestamp, SigstoreError> {
    if answer.len() > LONGEST {
        return Err(SigstoreError::malformed("the timestamp", "it is too long"));
    }
    let unreadable = |fault: der::Error| SigstoreError::malformed("the timestamp", fault);
    let answer = TimeStampResp::from_der(answer).map_err(unreadable)?;
    let status = status(&answer.status).map_err(unreadable)?;
    let Some(token) = answer.time_stamp_token.filter(|_| status <= 1) else {
        return Err(refused(&format!("the authority refused with status {status}")));
    };
    if token.content_type != SIGNED_DATA {
        return Err(refused("it is no signed message"));
    }
    let message: SignedData = token.content.decode_as().map_err(unreadable)?;
    let content = message.encap_content_info.econtent.filter(|_| message.encap_content_info.econtent_type == TST_INFO);
    let content: OctetString = content.ok_or_else(|| refused("it is signed, and no timestamp"))?.decode_as().map_err(unreadable)?;
    let info = TstInfo::from_der(content.as_bytes()).map_err(unreadable)?;
    let imprint = &info.message_imprint;
    if info.version != 1 || hash(&imprint.hash_algorithm)?.of(signed) != imprint.hashed_message.as_bytes() {
        return Err(refused("it is over something else"));
    }
    let time = Timestamp(i64::try_from(info.gen_time.to_unix_duration().as_secs()).unwrap_or(i64::MAX));
    let [signer] = message.signer_infos.0.as_slice() else { return Err(refused("it has not exactly one signer")) };
    let embedded: Result<Vec<Certificate>, _> = message
        .certificates
        .iter()
        .flat_map(|set| set.0.iter())
        .filter_map(|choice| match choice {
            CertificateChoices::Certificate(certificate) => Some(Certificate::of(certificate)),
            CertificateChoices::Other(_) => None,
        })
        .collect();
    let embedded = embedded?;
    let mut last = refused("no authority is trusted");
    for authority in authorities {
        match signed_by(signer, content.as_bytes(), authority, &embedded, time) {
            Ok(()) => return Ok(time),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// Returns the status of an answer: 0 and 1 are granted.
fn status(status: &Any) -> Result<u32, der::Error> {
    if status.tag() != der::Tag::Sequence {
        return Err(der::Tag::Sequence.value_error());
    }
    der::SliceReader::new(status.value())?.decode()
}

/// Checks that the certificate of one authority signed the content (RFC 5652, section 5.4).
fn signed_by(
    signer: &SignerInfo,
    content: &[u8],
    authority: &Authority,
    embedded: &[Certificate],
    time: Timestamp,
) -> Result<(), SigstoreError> {
    let SignerIdentifier::IssuerAndSerialNumber(name) = &signer.sid else { return Err(refused("its signer has no name")) };
    let certificate = authority.chain.iter().chain(embedded).find(|certificate| certificate.is_named(name));
    let certificate = certificate.ok_or_else(|| refused("its signer is none that is trusted"))?;
    let attributes = signer.signed_attrs.as_ref().ok_or_else(|| refused("its signer signed no attributes"))?;
    let content_type: ObjectIdentifier = single(attributes, CONTENT_TYPE)?.ok_or_else(|| refused("it has no content type"))?;
    let digest: OctetString = single(attributes, MESSAGE_DIGEST)?.ok_or_else(|| refused("it has no message digest"))?;
    let own = hash(&signer.digest_alg)?;
    if content_type != TST_INFO || digest.as_bytes() != own.of(content) {
        return Err(refused("its signer signed something else"));
    }
    let id: Option<SigningCertificate> = single(attributes, SIGNING_CERTIFICATE)?;
    if let Some(first) = id.and_then(|id| id.certs.into_iter().next())
        && first.hash_algorithm.as_ref().map_or(Ok(Hash::Sha256), hash)?.of(certificate.der()) != first.cert_hash.as_bytes()
    {
        return Err(refused("its signer names another certificate"));
    }
    let signed = attributes.to_der().map_err(|fault| SigstoreError::malformed("the timestamp", fault))?;
    let key = certificate.key()?;
    let algorithm = signer.signature_algorithm.oid.to_string();
    let good = match algorithm.as_str() {
        // The key's own name: the digest is said elsewhere.
        "1.2.840.10045.2.1" => key.verifies_with(own, &signed, signer.signature.as_bytes()),
        algorithm => holds(&key, algorithm, &signed, signer.signature.as_bytes())?,
    };
    if !good {
        return Err(refused("its signature does not hold"));
    }
    certificate.check(Purpose::TimeStamping, time, authority, embedded)
}

/// Returns the one value of an attribute, `None` where it is not there.
fn single<T>(attributes: &SetOfVec<Attribute>, oid: ObjectIdentifier) -> Result<Option<T>, SigstoreError>
where
    T: for<'a> der::Choice<'a> + for<'a> der::DecodeValue<'a>,
{
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(attribute), None) if attribute.values.len() == 1 => {
            let value = attribute.values.get(0).map(|value| value.decode_as::<T>());
            value.transpose().map_err(|fault| SigstoreError::malformed("the timestamp", fault))
        }
        _ => Err(refused("it has an attribute twice")),
    }
}

fn hash(algorithm: &AlgorithmIdentifierOwned) -> Result<Hash, SigstoreError> {
    match algorithm.oid.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => Ok(Hash::Sha256),
        "2.16.840.1.101.3.4.2.2" => Ok(Hash::Sha384),
        "2.16.840.1.101.3.4.2.3" => Ok(Hash::Sha512),
        other => Err(refused(&format!("digest {other} is not known"))),
    }
}

fn refused(fault: &str) -> SigstoreError {
    SigstoreError::Timestamp { fault: fault.to_owned() }
}
