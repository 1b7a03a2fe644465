//! Signing without a key that is kept: a build job's identity token, a key that is made for one signature, and Fulcio's certificate for both.
//!
//! The token is sent to Fulcio and to nobody else, and what Fulcio says is repeated without anything that may be a part of it.

use std::time::Instant;

use p256::elliptic_curve::rand_core::OsRng;
use serde::Deserialize;

use super::super::LogError;
use super::super::http::{Answer, Http};
use super::retry::{Fault, accepted, retry};
use crate::formats::sigstore::certificate::Certificate;
use crate::formats::sigstore::fulcio;
use crate::formats::sigstore::secret_key::SecretKey;
use crate::formats::sigstore::verify::Trust;
use crate::places::credentials::Secret;
use crate::words::archive::{LogKind, is_private};

/// Letters in a row from which on a word may be a part of a token.
const SECRET_WORD: usize = 24;

/// Where the identity token comes from.
#[derive(Debug, Clone)]
pub enum IdentityToken {
    /// The token itself.
    Given {
        /// The variable or file.
        source_name: String,
        /// Three parts in base64url.
        text: Secret,
    },
    /// A forge that is asked for it, as GitHub's is in its actions.
    Asked {
        /// The address, to which the audience is added.
        url: String,
        /// What the forge knows the job by.
        bearer: Secret,
    },
    /// There is none on this machine.
    None,
}

#[derive(Deserialize)]
struct TokenAnswer {
    value: String,
}

impl IdentityToken {
    /// Tells whether there is one, or a forge to ask.
    pub(super) fn check(&self) -> Result<(), LogError> {
        match self {
            Self::Given { source_name, text } => {
                fulcio::identity_token(text.expose()).map(drop).map_err(|fault| wrong(format!("{source_name}: {fault}")))
            }
            Self::Asked { .. } => Ok(()),
            Self::None => Err(wrong(
                "there is no identity token to sign with; in a job of GitLab ask for it with \"id_tokens: {SIGSTORE_ID_TOKEN: {aud: sigstore}}\", in GitHub's \
                 actions with \"permissions: {id-token: write}\", elsewhere give --sigstore-id-token-file"
                    .to_owned(),
            )),
        }
    }

    fn fetch(&self, http: &Http, end: Instant) -> Result<String, LogError> {
        match self {
            Self::Given { text, .. } => {
                self.check()?;
                Ok(text.expose().trim().to_owned())
            }
            Self::Asked { url, bearer } => asked(http, url, bearer, end),
            Self::None => self.check().map(|()| String::new()),
        }
    }
}

/// Asks a forge for a token, as jobs of GitHub's actions do.
fn asked(http: &Http, url: &String, bearer: &Secret, end: Instant) -> Result<String, LogError> {
    let joint = if url.contains('?') { '&' } else { '?' };
    let headers = [("authorization", format!("Bearer {}", bearer.expose())), ("accept", "application/json".to_owned())];
    let failed = |reason: &dyn std::fmt::Display| wrong(format!("the forge gives no identity token at {url}: {reason}"));
    let body = retry(end, ("forge", std::slice::from_ref(url)), |url, within| {
        let mut answer = http.get_with(&format!("{url}{joint}audience=sigstore"), &headers, within).map_err(Fault::Down)?;
        clean(&mut answer);
        accepted(answer)
    });
    let body = body.map_err(|said| match said.fault {
        Fault::Refused(reason) => failed(&reason),
        _ => said.error(),
    })?;
    // What serde says may quote the answer.
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| failed(&"it answers something else"))?;
    fulcio::identity_token(&answer.value).map(str::to_owned).map_err(|fault| failed(&fault))
}

/// Makes a key and gets a certificate for it, which is one for whom should sign.
pub(super) fn certified(
    http: &Http,
    authorities: &[String],
    token: &IdentityToken,
    trust: &Trust,
    end: Instant,
) -> Result<(SecretKey, Certificate), LogError> {
    let token = token.fetch(http, end)?;
    let key = SecretKey::fresh(&mut OsRng);
    let request = key.certificate_request().and_then(|request| fulcio::request(&token, &request)).map_err(super::unverified)?;
    let certificate = retry(end, ("certificate authority", authorities), |url, within| {
        if !is_private(url) {
            return Err(Fault::Refused("it is no https address, and everybody on the way could read the job's identity token".to_owned()));
        }
        let url = format!("{}/api/v2/signingCert", url.trim_end_matches('/'));
        let headers = [("content-type", "application/json"), ("accept", "application/json")];
        let mut answer = http.post(&url, &headers, &request, within).map_err(Fault::Down)?;
        clean(&mut answer);
        let body = accepted(answer).map_err(explained)?;
        let refused = |fault: &dyn std::fmt::Display| Fault::Refused(fault.to_string());
        let der = fulcio::certificate(&body).map_err(|fault| refused(&fault))?;
        let certificate = Certificate::parse(&der).map_err(|fault| refused(&fault))?;
        if certificate.key().is_ok_and(|own| own == key.public()) {
            trust.check_identity(&certificate, certificate.begins()).map_err(|fault| refused(&fault))?;
            Ok(certificate)
        } else {
            Err(refused(&"its certificate is for another key than was asked for"))
        }
    })
    .map_err(super::retry::Said::error)?;
    Ok((key, certificate))
}

/// Takes what may be a part of a token out of an answer that is repeated in a message.
fn clean(answer: &mut Answer) {
    if !matches!(answer.status, 200 | 201) {
        answer.body = without_secrets(&String::from_utf8_lossy(&answer.body)).into_bytes();
    }
}

fn explained(fault: Fault) -> Fault {
    match fault {
        Fault::Refused(said) => Fault::Refused(format!(
            "it gives no certificate for this job's identity token ({said}); has the token expired, is its audience \"sigstore\", and does it know the issuer?"
        )),
        fault => fault,
    }
}

/// Returns a text without words that are long enough to be a part of a token.
fn without_secrets(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '=' | '+' | '/' | '%');
    let mut kept = String::new();
    for piece in text.split_inclusive(|letter| !is_part(letter)) {
        let word = piece.trim_end_matches(|letter| !is_part(letter));
        if word.len() < SECRET_WORD {
            kept.push_str(piece);
        } else {
            kept.push('…');
            kept.push_str(piece.get(word.len()..).unwrap_or_default());
        }
    }
    kept
}

fn wrong(problem: String) -> LogError {
    LogError::Key { kind: LogKind::Sigstore, problem }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn nothing_that_may_be_a_token_is_repeated() {
        let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJhdWQiOiJzaWdzdG9yZSJ9.c2lnbmF0dXJl";
        let said = without_secrets(&format!("{{\"message\":\"bad token {token}: expired\",\"code\":3}}"));
        assert_eq!(said, "{\"message\":\"bad token …: expired\",\"code\":3}");
        assert_eq!(without_secrets("There was an error processing the identity token"), "There was an error processing the identity token");
        assert_eq!(without_secrets(token), "…");
    }
}
