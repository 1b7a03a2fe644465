//! `ddb-publish key`: the archive's signing keys are made, shown, extended, and found again when something is to be signed.
//!
//! The public certificates in `keys/` of the archive say *who* signs; the secrets lie outside: in a masked variable, in files
//! that are named, or as `<FINGERPRINT>.secret.asc` in a folder of the user. Both copies of a certificate are merged before
//! they are judged, so that only one of them needs to be extended. What belongs into `keys/` is returned; the caller commits it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::places::sign::keys::{Passphrase, SecretError, SecretKey, SecretText};
use crate::places::sign::openpgp::OpenPgpSigner;
use crate::places::sign::{KeyDescription, PublicCertificate, secret_file};
use crate::words::date::{Span, Timestamp};

/// How long a key is valid where nobody says otherwise: three years, `3y`.
pub const VALIDITY_SECONDS: u32 = 3 * 365 * 86_400;

/// Why something about keys cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A secret key is not usable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The archive has no certificate.
    #[error("keys/ of the archive holds no certificate to sign with; `ddb-publish key generate` makes a key")]
    NoCertificate,
    /// Secrets are missing.
    #[error(
        "no secret key for {}; put it into the variable DDB_SIGNING_KEY, name its file with --key-file, or lay it into the folder {folder} as {}",
        list(missing),
        secret_names(missing)
    )]
    Missing {
        /// Path and fingerprint of each certificate without secret.
        missing: Vec<(String, String)>,
        /// The folder where secrets are looked for.
        folder: String,
    },
    /// A secret was given that belongs to no certificate of the archive.
    #[error(
        "the key {fingerprint} from {origin} is not in keys/ of the archive; commit its public part there, or take the key out of {origin}"
    )]
    Stranger {
        /// The key.
        fingerprint: String,
        /// Where it was given.
        origin: String,
    },
    /// A file in the folder of secrets holds another key than its name says.
    #[error("{} does not hold the key {fingerprint}", path.display())]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// The key that its name says.
        fingerprint: String,
    },
    /// A secret would lie inside the archive.
    #[error("the folder {} for secret keys lies inside the archive {}, where it could be committed; name another one", path.display(), root.display())]
    InsideArchive {
        /// The folder for secrets.
        path: PathBuf,
        /// The archive.
        root: PathBuf,
    },
    /// A public certificate cannot be written out.
    #[error("cannot write the certificate {fingerprint}")]
    Write {
        /// The certificate.
        fingerprint: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

fn list(missing: &[(String, String)]) -> String {
    missing.iter().map(|(path, fingerprint)| format!("{path} ({fingerprint})")).collect::<Vec<_>>().join(" and ")
}

fn secret_names(missing: &[(String, String)]) -> String {
    missing.iter().map(|(_, fingerprint)| secret_name(fingerprint)).collect::<Vec<_>>().join(" and ")
}

fn secret_name(fingerprint: &str) -> String {
    format!("{fingerprint}.secret.asc")
}

/// A new key, as asked for.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// Its user ID, such as `Archive <archive@example.org>`.
    pub user_id: String,
    /// How long it is valid; `None` is for ever.
    pub validity: Option<Span>,
    /// The folder for the secret key and the revocation certificate.
    pub secret_dir: PathBuf,
    /// Return the secret key as one line instead of writing it to a file.
    pub one_line: bool,
    /// Protects the secret key.
    pub passphrase: Option<Passphrase>,
    /// The archive, in which no secret may lie.
    pub forbidden_root: Option<PathBuf>,
    /// The time.
    pub now: Timestamp,
}

/// What `key generate` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GenerateAnswer {
    /// The key.
    pub key: KeyDescription,
    /// Where its public part belongs in the archive.
    pub public_path: String,
    /// The file with the secret key; `null` where it was asked for as one line.
    pub secret_path: Option<String>,
    /// The file with the revocation certificate, to be kept like a secret.
    pub revocation_path: String,
}

/// A new or extended key: what to say and what to commit.
#[derive(Debug, Clone)]
pub struct Outcome<A> {
    /// What to say.
    pub answer: A,
    /// The path of the public part in the archive.
    pub public_path: String,
    /// The armored public part, to be committed at that path.
    pub public: Vec<u8>,
    /// The secret key as one line, if it was asked for: for standard output alone.
    pub secret: Option<SecretText>,
}

/// Makes a key: secret key and revocation certificate are written, the public part is returned.
///
/// # Errors
/// The user ID or validity is not usable, the folder lies inside the archive, or a file cannot be made.
pub fn generate(request: &GenerateRequest) -> Result<Outcome<GenerateAnswer>, KeyError> {
    outside_archive(&request.secret_dir, request.forbidden_root.as_deref())?;
    let new = SecretKey::generate(&request.user_id, request.validity, request.passphrase.as_ref(), request.now)?;
    let certificate = new.key.public();
    let fingerprint = new.key.fingerprint();
    let public = armored(&certificate)?;
    let public_path = public_path(&fingerprint);
    let secret_path = request.secret_dir.join(secret_name(&fingerprint));
    let revocation_path = request.secret_dir.join(format!("{fingerprint}.revocation.asc"));
    secret_file::create(&revocation_path, &new.revocation)?;
    let secret = if request.one_line {
        Some(new.key.one_line()?)
    } else {
        secret_file::create(&secret_path, &new.key.armored()?)?;
        None
    };
    let answer = GenerateAnswer {
        key: certificate.describe(request.now),
        public_path: public_path.clone(),
        secret_path: (!request.one_line).then(|| secret_path.display().to_string()),
        revocation_path: revocation_path.display().to_string(),
    };
    Ok(Outcome { answer, public_path, public, secret })
}

/// Returns where a certificate belongs in the archive: `keys/archive-<last 16 digits of the fingerprint>.asc`.
pub fn public_path(fingerprint: &str) -> String {
    let start = fingerprint.len().saturating_sub(16);
    format!("keys/archive-{}.asc", fingerprint.get(start..).unwrap_or(fingerprint).to_lowercase())
}

/// What `key show` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ShowAnswer {
    /// The certificates of the archive.
    pub keys: Vec<ShownKey>,
}

/// One certificate of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ShownKey {
    /// Its path in the archive.
    pub path: String,
    /// What there is to say about it.
    pub key: KeyDescription,
    /// The file with its secret in the user's folder, if there is one.
    pub secret_path: Option<String>,
}

/// Describes the certificates of the archive.
pub fn show(certificates: &[(String, PublicCertificate)], secret_dir: Option<&Path>, now: Timestamp) -> ShowAnswer {
    let shown = certificates.iter().map(|(path, certificate)| {
        let secret = secret_dir.map(|folder| folder.join(secret_name(&certificate.fingerprint()))).filter(|secret| secret.exists());
        ShownKey { path: path.clone(), key: certificate.describe(now), secret_path: secret.map(|secret| secret.display().to_string()) }
    });
    ShowAnswer { keys: shown.collect() }
}

/// Where secret keys are looked for, in this order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Secrets<'a> {
    /// Name and content of a variable with one or more keys.
    pub variable: Option<(&'a str, &'a [u8])>,
    /// Files with keys.
    pub files: &'a [PathBuf],
    /// The folder with `<FINGERPRINT>.secret.asc`.
    pub folder: Option<&'a Path>,
    /// Passphrases, each of which may open any key.
    pub passphrases: &'a [Passphrase],
}

/// Who signs, and what a person should know about it.
#[derive(Debug)]
pub struct Found {
    /// Signs with every wanted certificate.
    pub signer: OpenPgpSigner,
    /// Warnings, each a sentence.
    pub notes: Vec<String>,
}

/// Finds the secrets of all wanted certificates. `known` is everything in `keys/`, also what does not sign.
///
/// # Errors
/// A secret is missing, is not in `keys/`, cannot be opened, or may not sign.
pub fn find_secrets(
    wanted: &[(String, PublicCertificate)],
    known: &[(String, PublicCertificate)],
    secrets: &Secrets<'_>,
    now: Timestamp,
) -> Result<Found, KeyError> {
    if wanted.is_empty() {
        return Err(KeyError::NoCertificate);
    }
    let given = given(secrets)?;
    let is_known = |key: &SecretKey| known.iter().chain(wanted).any(|(_, certificate)| certificate.fingerprint() == key.fingerprint());
    if let Some((origin, stranger)) = given.iter().find(|(_, key)| !is_known(key)) {
        return Err(KeyError::Stranger { fingerprint: stranger.fingerprint(), origin: origin.clone() });
    }
    let (mut keys, mut missing, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (path, certificate) in wanted {
        match secret_of(certificate, &given, secrets.folder)? {
            None => missing.push((path.clone(), certificate.fingerprint())),
            Some((key, _)) => {
                if key.public().may_sign(now).is_ok()
                    && let Err(refusal) = certificate.may_sign(now)
                {
                    notes.push(format!("{path} is older than its secret key: clients that have it refuse the archive, since {refusal}; commit the newer certificate"));
                }
                keys.push(key);
            }
        }
    }
    if !missing.is_empty() {
        return Err(without_secret(missing, secrets));
    }
    Ok(Found { signer: OpenPgpSigner::new(&keys, secrets.passphrases, now)?, notes })
}

fn without_secret(missing: Vec<(String, String)>, secrets: &Secrets<'_>) -> KeyError {
    let folder = secrets.folder.map_or_else(|| "~/.config/ddb/keys".to_owned(), |folder| folder.display().to_string());
    KeyError::Missing { missing, folder }
}

/// Reads the variable and the files, each key with where it came from.
fn given(secrets: &Secrets<'_>) -> Result<Vec<(String, SecretKey)>, KeyError> {
    let mut given = Vec::new();
    if let Some((name, content)) = secrets.variable {
        given.extend(SecretKey::read_all(name, content)?.into_iter().map(|key| (name.to_owned(), key)));
    }
    for file in secrets.files {
        given.extend(secret_file::read(file)?.into_iter().map(|key| (file.display().to_string(), key)));
    }
    Ok(given)
}

/// Returns the secret of a certificate, merged with what the certificate knows, and its file if it came from the folder.
fn secret_of(
    certificate: &PublicCertificate,
    given: &[(String, SecretKey)],
    folder: Option<&Path>,
) -> Result<Option<(SecretKey, Option<PathBuf>)>, KeyError> {
    if let Some(key) = given.iter().find_map(|(_, key)| key.with_public(certificate)) {
        return Ok(Some((key, None)));
    }
    let fingerprint = certificate.fingerprint();
    let Some(path) = folder.map(|folder| folder.join(secret_name(&fingerprint))).filter(|path| path.exists()) else { return Ok(None) };
    match secret_file::read(&path)?.iter().find_map(|key| key.with_public(certificate)) {
        Some(key) => Ok(Some((key, Some(path)))),
        None => Err(KeyError::OtherKey { path, fingerprint }),
    }
}

/// A longer life for a key, as asked for.
#[derive(Debug, Clone)]
pub struct ExtendRequest<'a> {
    /// The certificate's path in the archive.
    pub path: String,
    /// The certificate.
    pub certificate: PublicCertificate,
    /// How long it is valid from now on; `None` is for ever.
    pub validity: Option<Span>,
    /// Where its secret is.
    pub secrets: Secrets<'a>,
    /// Return the extended secret key as one line as well.
    pub one_line: bool,
    /// The time.
    pub now: Timestamp,
}

/// What `key extend` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExtendAnswer {
    /// The key.
    pub key: KeyDescription,
    /// When it expired before, ISO 8601; `null` is never.
    pub expired_before: Option<String>,
    /// Where its public part lies in the archive.
    pub public_path: String,
    /// The file with the secret key that was brought up to date. A secret elsewhere stays usable as it is.
    pub secret_path: Option<String>,
}

/// Extends a key and its signing subkeys; the secret in the user's folder is brought up to date, the public part returned.
///
/// # Errors
/// The secret is not found or cannot be opened, the key is revoked or weak, or the file cannot be written.
pub fn extend(request: &ExtendRequest<'_>) -> Result<Outcome<ExtendAnswer>, KeyError> {
    let secrets = &request.secrets;
    let found = secret_of(&request.certificate, &given(secrets)?, secrets.folder)?;
    let (key, file) = found.ok_or_else(|| without_secret(vec![(request.path.clone(), request.certificate.fingerprint())], secrets))?;
    let extended = key.extended(request.validity, secrets.passphrases, request.now)?;
    if let Some(file) = &file {
        secret_file::replace(file, &extended.armored()?)?;
    }
    let certificate = extended.public();
    let answer = ExtendAnswer {
        key: certificate.describe(request.now),
        expired_before: key.public().describe(request.now).expires,
        public_path: request.path.clone(),
        secret_path: file.map(|path| path.display().to_string()),
    };
    let secret = request.one_line.then(|| extended.one_line()).transpose()?;
    Ok(Outcome { answer, public_path: request.path.clone(), public: armored(&certificate)?, secret })
}

fn armored(certificate: &PublicCertificate) -> Result<Vec<u8>, KeyError> {
    certificate.armored().map_err(|source| KeyError::Write { fingerprint: certificate.fingerprint(), source })
}

/// Refuses a folder inside the archive, also behind links and where it does not exist yet.
fn outside_archive(folder: &Path, root: Option<&Path>) -> Result<(), KeyError> {
    let Some(root) = root else { return Ok(()) };
    if real(folder).starts_with(real(root)) {
        return Err(KeyError::InsideArchive { path: folder.to_owned(), root: root.to_owned() });
    }
    Ok(())
}

/// Returns a path without links; what does not exist yet is taken as it is written.
fn real(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find_map(|ancestor| ancestor.canonicalize().ok().map(|real| (ancestor, real)));
    let Some((ancestor, mut real)) = there else { return absolute };
    for part in absolute.strip_prefix(ancestor).unwrap_or(Path::new("")).components() {
        match part {
            std::path::Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    real
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
