//! `ddb-publish verify`: its options and what it prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::verify::{
    CheckedFiles, Class, EnvelopeAnswer, FileAnswer, PinnedKeys, SigstorePins, SigsumPins, SuiteAnswer, VerifyAnswer, VerifyError,
    VerifyRequest, verify,
};
use crate::words::date::Span;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The archive: an http or https address, or a folder; what stands before dists/
    #[arg(value_name = "URL|DIR", required_unless_present = "lists")]
    location: Option<String>,
    /// A suite, by its name below dists/; may be repeated
    #[arg(short, long = "suite", value_name = "NAME", required_unless_present = "lists")]
    suites: Vec<String>,
    /// Certificates that the archive is known by, armored or binary, or a folder of them; may be repeated
    #[arg(short, long = "keyring", value_name = "FILE", required = true)]
    keyrings: Vec<PathBuf>,
    /// A Sigsum policy, which logs and witnesses count; a file or the name of a built-in one. Then a proof is needed
    #[arg(long, value_name = "FILE|NAME", requires = "sigsum_keys")]
    sigsum_policy: Option<PathBuf>,
    /// The public key that submits the archive's Releases to Sigsum logs; may be repeated
    #[arg(long = "sigsum-key", value_name = "FILE", requires = "sigsum_policy")]
    sigsum_keys: Vec<PathBuf>,
    /// The logs and authorities of Sigstore that are trusted. Then a bundle is needed, beside Release or in its signature
    #[arg(long, value_name = "FILE")]
    sigstore_trusted_root: Option<PathBuf>,
    /// The public key of the archive's Sigstore signatures (PEM); may be repeated, one is enough
    #[arg(long = "sigstore-key", value_name = "FILE", requires = "sigstore_trusted_root")]
    sigstore_keys: Vec<PathBuf>,
    /// Who signs instead of a key: a build job's address or a mail address, whole. Beside keys it is one more who may
    #[arg(long, value_name = "TEXT", requires_all = ["sigstore_trusted_root", "sigstore_issuer"])]
    sigstore_identity: Option<String>,
    /// Who vouches for --sigstore-identity, such as https://gitlab.com
    #[arg(long, value_name = "URL", requires = "sigstore_identity")]
    sigstore_issuer: Option<String>,
    /// Refuse a Release that is older, such as 7d, also where it has no Valid-Until
    #[arg(long, value_name = "SPAN")]
    max_age: Option<Span>,
    /// Read every file that Packages and Sources name
    #[arg(long)]
    pool: bool,
    /// Read the files of every version of this package, by its own name or its source's; may be repeated
    #[arg(long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Tell whether this file is what the archive published; may be repeated
    #[arg(long = "deb", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A clone of the archive's repository, which tells where the file of --deb comes from
    #[arg(long, value_name = "DIR", requires = "files")]
    repository: Option<PathBuf>,
    /// Check what apt fetched into this folder, /var/lib/apt/lists without a value, instead of an archive
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "/var/lib/apt/lists",
        conflicts_with_all = ["pool", "packages", "files"])]
    lists: Option<PathBuf>,
    /// Give up on a server that says nothing for so long, or sends less than 1 kB a second after that
    #[arg(long, value_name = "SPAN", default_value = "1m")]
    timeout: Span,
    /// Where this verifier keeps what it saw, for the next time; default is ddb/verify in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub(super) fn run(common: &Common, options: Verify) -> Result<ExitCode, Failure> {
    let mut keyrings = Vec::new();
    for path in keyring_files(&options.keyrings)? {
        let bytes = std::fs::read(&path).map_err(|source| VerifyError::Read { path: path.clone(), source })?;
        keyrings.push((path.display().to_string(), bytes));
    }
    let sigstore = sigstore(&options)?;
    let memory = options.state.or_else(|| environment::state_folder().map(|folder| folder.join("verify")));
    let request = VerifyRequest {
        location: options.location,
        suites: options.suites,
        keys: PinnedKeys::read(&keyrings)?,
        sigstore,
        sigsum: sigsum(options.sigsum_policy.as_deref(), &options.sigsum_keys)?,
        memory: memory.ok_or_else(|| Failure::usage("neither --state nor HOME says where to keep what was seen"))?,
        patience: options.timeout,
        max_age: options.max_age,
        pool: options.pool,
        packages: options.packages,
        files: options.files,
        repository: options.repository,
        lists: options.lists,
        authorities: environment::variable("SSL_CERT_FILE").map(PathBuf::from),
        now: environment::now(common.now),
    };
    let said = |line: String| {
        if common.verbose > 0 {
            answer::say(&line);
        }
    };
    let answer = verify(&request, &said)?;
    answer::print(&answer, common.json);
    Ok(exit(answer.verdict).into())
}

/// Returns the files, and those of folders that are named as keyrings are.
fn keyring_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, VerifyError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let fault = |source| VerifyError::Read { path: path.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fault)? {
            found.push(entry.map_err(fault)?.path());
        }
        let is_keyring = |path: &PathBuf| path.extension().is_some_and(|ending| ["asc", "gpg", "pgp"].iter().any(|own| ending == *own));
        found.retain(is_keyring);
        if found.is_empty() {
            let reason = "is a folder without files named .asc, .gpg or .pgp".to_owned();
            return Err(VerifyError::Keyring { file: path.display().to_string(), reason });
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}

fn sigstore(options: &Verify) -> Result<Option<SigstorePins>, VerifyError> {
    let Some(root) = &options.sigstore_trusted_root else { return Ok(None) };
    let read = |path: &Path| std::fs::read(path).map_err(|source| VerifyError::Read { path: path.to_owned(), source });
    let root = read(root)?;
    let keys: Vec<Vec<u8>> = options.sigstore_keys.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let keys: Vec<&str> = keys.iter().map(|key| std::str::from_utf8(key).unwrap_or_default()).collect();
    let identity = options.sigstore_identity.as_deref().zip(options.sigstore_issuer.as_deref());
    if keys.is_empty() && identity.is_none() {
        let reason = "--sigstore-trusted-root needs --sigstore-key, or --sigstore-identity with --sigstore-issuer";
        return Err(VerifyError::Pins(reason.to_owned()));
    }
    SigstorePins::read(&root, &keys, identity).map(Some).map_err(VerifyError::Pins)
}

fn sigsum(policy: Option<&Path>, keys: &[PathBuf]) -> Result<Option<SigsumPins>, VerifyError> {
    let Some(policy) = policy else { return Ok(None) };
    let read = |path: &Path| std::fs::read(path).map_err(|source| VerifyError::Read { path: path.to_owned(), source });
    let built_in = policy.to_str().filter(|_| !policy.exists()).map(|name| name.as_bytes().to_vec());
    let policy = built_in.map_or_else(|| read(policy), Ok)?;
    let keys: Vec<Vec<u8>> = keys.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let keys: Vec<&str> = keys.iter().map(|key| std::str::from_utf8(key).unwrap_or_default()).collect();
    SigsumPins::read(&policy, &keys).map(Some).map_err(VerifyError::Pins)
}

fn exit(verdict: Option<Class>) -> Exit {
    match verdict {
        None => Exit::Done,
        Some(Class::Signature) => Exit::Unsigned,
        Some(Class::Freshness) => Exit::NotFresh,
        Some(Class::Rollback) => Exit::RolledBack,
        Some(Class::Proof) => Exit::Unproven,
        Some(Class::Index) => Exit::WrongIndex,
        Some(Class::Pool) => Exit::WrongPool,
        Some(Class::NotPublished) => Exit::NotPublished,
        Some(Class::Unreachable) => Exit::Unreachable,
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        let exit = match &error {
            VerifyError::NoLocation
            | VerifyError::Location { .. }
            | VerifyError::Keyring { .. }
            | VerifyError::Pins(_)
            | VerifyError::Read { .. } => Exit::Usage,
            VerifyError::Repository { .. } => Exit::Archive,
            VerifyError::Memory { .. } | VerifyError::Write { .. } | VerifyError::Install { .. } | VerifyError::Https(_) => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl Answer for VerifyAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&format!("{}: {}\n", plain(&finding.file), plain(&finding.reason)));
        }
        for suite in &self.suites {
            text.push_str(&of_suite(suite));
        }
        for version in &self.versions {
            let files = version.files.join(", ");
            text.push_str(&format!(
                "{} {} {} in {}: {}\n",
                version.package,
                version.version,
                version.architecture,
                version.suite,
                plain(&files)
            ));
        }
        for file in &self.files {
            text.push_str(&of_file(file));
        }
        text.push_str(&match self.findings.len() {
            0 => format!("{}: everything that was checked is good.\n", self.location),
            1 => format!("{}: 1 problem.\n", self.location),
            number => format!("{}: {number} problems.\n", self.location),
        });
        text
    }
}

fn of_suite(suite: &SuiteAnswer) -> String {
    let Some(date) = &suite.date else { return format!("{}: not verified\n", suite.suite) };
    let until = suite.valid_until.as_ref().map_or(String::new(), |until| format!(", good until {until}"));
    let mut text = format!("{}: Release of {date}{until}\n", suite.suite);
    let mut line = |line: &str| text.push_str(&format!("  {}\n", plain(line)));
    line(&format!("signed by {}", suite.signed_by.join(", ")));
    if let Some(before) = &suite.seen_before {
        line(&format!("the newest that was seen here before is of {before}"));
    }
    for proof in &suite.proofs {
        let witnesses = if proof.witnesses.is_empty() { String::new() } else { format!(", seen by {}", proof.witnesses.join(", ")) };
        line(&format!("in the {} log: {}{witnesses} (from {})", proof.log, proof.entry, proof.found.join(", ")));
    }
    let counted = |checked: &CheckedFiles, what: &str| format!("{} {what} files with {} bytes are as listed", checked.files, checked.bytes);
    line(&counted(&suite.indices, "index"));
    if suite.pool.files > 0 {
        line(&counted(&suite.pool, "pool"));
    }
    for note in &suite.notes {
        line(&format!("note: {note}"));
    }
    text
}

fn of_file(file: &FileAnswer) -> String {
    let mut text = format!("{}: sha256 {}\n", file.file, file.sha256);
    let mut line = |line: &str| text.push_str(&format!("  {}\n", plain(line)));
    if let (Some(package), Some(version), Some(architecture)) = (&file.package, &file.version, &file.architecture) {
        let source = file.source.as_ref().map_or(String::new(), |source| format!(", from source {source}"));
        line(&format!("{package} {version} {architecture}{source}"));
    }
    for listed in &file.listed {
        line(&format!("published: {} in {} of {}, Release of {}", listed.path, listed.index, listed.suite, listed.date));
    }
    if let Some(known) = &file.provenance {
        line(&format!("the repository says: {} came with commit {} of {}, by {}", known.path, known.commit, known.committed, known.author));
        for (what, value) in [("CI job", &known.job), ("statement", &known.statement)] {
            if let Some(value) = value {
                line(&format!("  {what} {value}"));
            }
        }
        known.uploaders.iter().for_each(|uploader| line(&format!("  signed by the uploader {uploader}")));
        known.buildinfo.iter().for_each(|buildinfo| line(&format!("  build evidence {buildinfo}")));
        known.releases.iter().for_each(|releases| line(&format!("  offered by {releases}")));
        known.envelope.iter().chain(&known.other_envelopes).flat_map(of_envelope).for_each(|said| line(&format!("  {said}")));
    }
    text
}

/// Says what provenance shows, and what it only claims.
fn of_envelope(envelope: &EnvelopeAnswer) -> Vec<String> {
    let mut lines = Vec::new();
    let by = envelope.signed_by.as_deref().unwrap_or("nobody");
    lines.push(match (&envelope.project, &envelope.refused) {
        (Some(project), _) => format!("provenance {}: names this file, signed for the project {project} by {by}", envelope.sha256),
        (None, refused) => {
            let reason = refused.as_deref().unwrap_or("nobody who is pinned signed it");
            format!("provenance {}: claims only, not evidence, signed by {by}: {reason}", envelope.sha256)
        }
    });
    if envelope.names_file == Some(false) {
        lines.push("  it does not name this file".to_owned());
    }
    let EnvelopeAnswer { builder, repository, reference, commit, job, image, .. } = envelope;
    for (what, value) in
        [("repository", repository), ("ref", reference), ("commit", commit), ("job", job), ("builder", builder), ("image", image)]
    {
        lines.extend(value.iter().map(|value| format!("  {what} {value}")));
    }
    lines
}

/// Escapes control characters: what a foreign archive says must not steer a terminal.
fn plain(text: &str) -> String {
    text.chars().flat_map(|letter| if letter.is_control() { letter.escape_debug().collect::<Vec<_>>() } else { vec![letter] }).collect()
}
