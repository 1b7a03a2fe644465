//! What goes to Fulcio, Sigstore's certificate authority, and what comes back (`fulcio.proto`, version 2, in protobuf's JSON form).
//!
//! `POST /api/v2/signingCert` with the identity token of a build job and a request for a certificate (RFC 2986) whose signature shows
//! that the asker has the key. The answer is the certificate with those above it, in PEM.

use serde::{Deserialize, Serialize};

use super::{Octets, SigstoreError};

/// The longest answer in bytes.
pub const LONGEST_ANSWER: usize = 256 << 10;

/// The longest identity token in bytes.
const LONGEST_TOKEN: usize = 32 << 10;

/// What it is called in messages.
const ANSWER: &str = "the answer of the certificate authority";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestText<'a> {
    credentials: CredentialsText<'a>,
    certificate_signing_request: Octets,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CredentialsText<'a> {
    oidc_identity_token: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerText {
    signed_certificate_embedded_sct: Option<CertificateText>,
    /// A promise beside the certificate has no place in a bundle; the certificate is as good without, where none is asked for.
    signed_certificate_detached_sct: Option<CertificateText>,
}

#[derive(Deserialize)]
struct CertificateText {
    chain: ChainText,
}

#[derive(Deserialize)]
struct ChainText {
    certificates: Vec<String>,
}

/// Checks that a text may be an identity token: three parts in base64url (RFC 7515, section 7.1). Returns it without blanks around it.
///
/// # Errors
/// It is something else; the message holds nothing of it.
pub fn identity_token(text: &str) -> Result<&str, SigstoreError> {
    let token = text.trim();
    let good = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if token.len() <= LONGEST_TOKEN && token.split('.').count() == 3 && token.split('.').all(good) {
        Ok(token)
    } else {
        Err(SigstoreError::malformed("the identity token", "it is not three parts in base64url with dots between them"))
    }
}

/// Returns the body of the request for a certificate; the certificate request is in PEM.
///
/// # Errors
/// It has no JSON form.
pub fn request(token: &str, certificate_request: &str) -> Result<Vec<u8>, SigstoreError> {
    let credentials = CredentialsText { oidc_identity_token: token };
    let request = RequestText { credentials, certificate_signing_request: Octets(certificate_request.as_bytes().to_vec()) };
    serde_json::to_vec(&request).map_err(|fault| SigstoreError::malformed("the request for a certificate", fault))
}

/// Reads the answer and returns the certificate in DER. Those above it are not looked at: whom to trust is known beforehand.
///
/// # Errors
/// There is none in it.
pub fn certificate(answer: &[u8]) -> Result<Vec<u8>, SigstoreError> {
    let wrong = |fault: String| SigstoreError::malformed(ANSWER, fault);
    if answer.len() > LONGEST_ANSWER {
        return Err(wrong("it is too long".to_owned()));
    }
    // What serde says may quote the answer, which may quote the identity token.
    let fault = |fault: serde_json::Error| {
        wrong(format!("it is not of the form that version 2 gives, at line {} column {}", fault.line(), fault.column()))
    };
    let text: AnswerText = serde_json::from_slice(answer).map_err(fault)?;
    let given = text.signed_certificate_embedded_sct.or(text.signed_certificate_detached_sct);
    let first =
        given.and_then(|given| given.chain.certificates.into_iter().next()).ok_or_else(|| wrong("it has no certificate".to_owned()))?;
    match der::pem::decode_vec(first.trim().as_bytes()) {
        Ok(("CERTIFICATE", der)) => Ok(der),
        Ok(_) => Err(wrong("its certificate is a PEM block of something else".to_owned())),
        Err(fault) => Err(wrong(format!("its certificate is no PEM block: {fault}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What a real Fulcio answered.
    const REAL: &[u8] = include_bytes!("../../../tests/data/sigstore/fulcio.json");

    #[test]
    fn a_real_answer_has_a_certificate() {
        let der = certificate(REAL).unwrap();
        let certificate = super::super::certificate::Certificate::parse(&der).unwrap();
        assert_eq!(certificate.subject().unwrap(), "https://git.example/debian/archive//.gitlab-ci.yml@refs/heads/main");
    }

    #[test]
    fn what_is_no_answer_or_token_is_refused() {
        let key = r#"{"signedCertificateDetachedSct":{"chain":{"certificates":["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]}}}"#;
        for (answer, says) in [
            ("", "at line 1 column 0"),
            (r#"{"signedCertificateEmbeddedSct":"a.token.c"}"#, "not of the form"),
            (r#""a.token.c""#, "not of the form"),
            ("{}", "no certificate"),
            (r#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":[]}}}"#, "no certificate"),
            (r#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":["x"]}}}"#, "no PEM block"),
            (key, "PEM block of something else"),
            (&key.replace("PUBLIC KEY", "a.token.c"), "PEM block of something else"),
        ] {
            let said = certificate(answer.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(says) && !said.contains("token.c"), "{said}");
        }
        assert_eq!(identity_token(" a.b-_9.c\n").unwrap(), "a.b-_9.c");
        for token in ["", "a.b", "a.b.c.d", "a..c", "a.b.c\nX: y", "a.b\".c", &format!("a.b.{}", "c".repeat(LONGEST_TOKEN))] {
            let said = identity_token(token).unwrap_err().to_string();
            assert!(!said.contains("a.b"), "{said}");
        }
    }
}
