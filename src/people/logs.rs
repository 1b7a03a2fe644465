//! Finding the transparency logs for `ddb-publish`: options and variables that lead to the keys that submit to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::environment;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigsum::Policy;
use crate::formats::sigsum::token::Tokens;
use crate::places::credentials::{self, Secret};
use crate::places::git::read::Snapshot;
use crate::places::transparency::LogError;
use crate::places::transparency::sigstore::{IdentityToken, Secrets, SigningKey, SigstoreLog};
use crate::places::transparency::sigsum::{SigsumLog, SubmitKey, Token};
use crate::stories::publish::PublishError;
use crate::stories::publish::logging::{ConfiguredLog, SigstoreTrust, sigstore_trust, sigsum_trust};
use crate::words::archive::{Archive, LogKind, LogMode, SigstoreSettings, SigsumSettings};
use crate::words::date::Timestamp;

/// Where the keys of logs are.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LogKeys {
    /// File with the OpenSSH ed25519 key that submits to Sigsum logs; DDB_SIGSUM_KEY goes before it, an ssh agent after it
    #[arg(long, value_name = "FILE")]
    sigsum_key_file: Option<PathBuf>,
    /// File with the ECDSA P-256 key (PKCS#8 in PEM) that signs entries of Sigstore logs; DDB_SIGSTORE_KEY goes before it
    #[arg(long, value_name = "FILE")]
    sigstore_key_file: Option<PathBuf>,
    /// File with the identity token of the build job that signs entries of Sigstore logs without a key; SIGSTORE_ID_TOKEN goes before it
    #[arg(long, value_name = "FILE")]
    sigstore_id_token_file: Option<PathBuf>,
}

const SIGSUM_KEY: &str = "DDB_SIGSUM_KEY";
const SIGSTORE_KEY: &str = "DDB_SIGSTORE_KEY";
/// As jobs of GitLab have it, and other clients of Sigstore take it.
const SIGSTORE_ID_TOKEN: &str = "SIGSTORE_ID_TOKEN";
/// As GitHub's actions have them: where a job asks for its identity token, and what it shows there.
const ACTIONS: [&str; 2] = ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"];
const SIGSUM_TOKEN: &str = "DDB_SIGSUM_TOKEN";
const SIGSUM_TOKEN_KEY: &str = "DDB_SIGSUM_TOKEN_KEY";

/// Returns the logs that a commit configures and does not turn off; of several addresses those that are in use now.
pub(super) fn logs(snapshot: &Snapshot<'_>, archive: &Archive, keys: &LogKeys, now: Timestamp) -> Result<Vec<ConfiguredLog>, PublishError> {
    let mut logs = Vec::new();
    if let Some(settings) = archive.logs.sigsum.as_ref().filter(|settings| settings.mode != LogMode::Off) {
        logs.push(sigsum(snapshot, settings, keys)?);
    }
    if let Some(settings) = archive.logs.sigstore.as_ref().filter(|settings| settings.mode != LogMode::Off) {
        logs.push(sigstore(snapshot, settings, keys, now)?);
    }
    Ok(logs)
}

fn sigsum(snapshot: &Snapshot<'_>, settings: &SigsumSettings, keys: &LogKeys) -> Result<ConfiguredLog, PublishError> {
    let (policy, public) = sigsum_trust(snapshot, settings)?;
    let seconds = u64::try_from(settings.timeout.seconds()).unwrap_or_default();
    let authorities = credentials::given().authorities;
    let (submit, token) = (keys.submit_key()?, token(settings, &policy)?);
    let log = SigsumLog::new(policy, public, submit, token, Duration::from_secs(seconds), authorities.as_deref())?;
    Ok(ConfiguredLog { log: Box::new(log), mode: settings.mode, staple: settings.staple })
}

fn sigstore(snapshot: &Snapshot<'_>, settings: &SigstoreSettings, keys: &LogKeys, now: Timestamp) -> Result<ConfiguredLog, PublishError> {
    let SigstoreTrust { services, signer, root } = sigstore_trust(snapshot, settings, now)?;
    let seconds = u64::try_from(settings.timeout.seconds()).unwrap_or_default();
    let authorities = credentials::given().authorities;
    let secrets = match signer {
        Signer::Key(_) => Secrets { key: keys.signing_key()?, token: IdentityToken::None },
        Signer::Identity { .. } => Secrets { key: None, token: keys.identity_token()? },
    };
    let log = SigstoreLog::new(services, signer, secrets, root, Duration::from_secs(seconds), authorities.as_deref())?;
    Ok(ConfiguredLog { log: Box::new(log), mode: settings.mode, staple: settings.staple })
}

impl LogKeys {
    fn signing_key(&self) -> Result<Option<SigningKey>, PublishError> {
        if let Some(text) = environment::variable(SIGSTORE_KEY) {
            return Ok(Some(SigningKey { source_name: SIGSTORE_KEY.to_owned(), text: Secret::new(text) }));
        }
        let Some(file) = &self.sigstore_key_file else { return Ok(None) };
        Ok(Some(SigningKey { source_name: file.display().to_string(), text: secret_in(file)? }))
    }

    fn identity_token(&self) -> Result<IdentityToken, PublishError> {
        if let Some(text) = environment::variable(SIGSTORE_ID_TOKEN) {
            return Ok(IdentityToken::Given { source_name: SIGSTORE_ID_TOKEN.to_owned(), text: Secret::new(text) });
        }
        if let Some(file) = &self.sigstore_id_token_file {
            return Ok(IdentityToken::Given { source_name: file.display().to_string(), text: secret_in(file)? });
        }
        let [url, bearer] = ACTIONS.map(environment::variable);
        Ok(url.zip(bearer).map_or(IdentityToken::None, |(url, bearer)| IdentityToken::Asked { url, bearer: Secret::new(bearer) }))
    }

    fn submit_key(&self) -> Result<SubmitKey, PublishError> {
        if let Some(text) = environment::variable(SIGSUM_KEY) {
            return Ok(SubmitKey::Text(SIGSUM_KEY.to_owned(), Secret::new(text)));
        }
        if let Some(file) = &self.sigsum_key_file {
            let text = std::fs::read_to_string(file).map_err(|fault| key(format!("cannot read {}: {fault}", file.display())))?;
            return Ok(SubmitKey::Text(file.display().to_string(), Secret::new(text)));
        }
        Ok(environment::variable("SSH_AUTH_SOCK").map_or(SubmitKey::None, |socket| SubmitKey::Agent(PathBuf::from(socket))))
    }
}

/// Reads a file with what signs entries of Sigstore logs.
fn secret_in(file: &Path) -> Result<Secret, LogError> {
    let problem = |fault| format!("cannot read {}: {fault}", file.display());
    let text = std::fs::read_to_string(file).map_err(|fault| LogError::Key { kind: LogKind::Sigstore, problem: problem(fault) })?;
    Ok(Secret::new(text))
}

fn key(problem: String) -> LogError {
    LogError::Key { kind: LogKind::Sigsum, problem }
}

fn token(settings: &SigsumSettings, policy: &Policy) -> Result<Option<Token>, PublishError> {
    if let Some(text) = environment::variable(SIGSUM_TOKEN) {
        let tokens = Tokens::parse(&text, policy.logs()).map_err(|fault| key(format!("{SIGSUM_TOKEN}: {fault}")))?;
        return Ok(Some(Token::Made(tokens)));
    }
    let Some(text) = environment::variable(SIGSUM_TOKEN_KEY) else { return Ok(None) };
    let missing = || key(format!("{SIGSUM_TOKEN_KEY} is set, and logs.sigsum.token-domain of ddb.toml does not name its domain"));
    let domain = settings.token_domain.clone().ok_or_else(missing)?;
    Ok(Some(Token::Key { domain, source_name: SIGSUM_TOKEN_KEY.to_owned(), key: Secret::new(text) }))
}
