//! `ddb-publish key …`, and finding the signer for `ddb-publish dists`: options and variables that lead to secrets.
//!
//! Secrets come from files and variables, never from arguments. What is printed is public, but for the one line that
//! `--one-line` asks for, which stands alone on standard output.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::answer::{self, Answer};
use super::deploy::Common;
use super::environment;
use super::exit::Exit;
use super::failure::Failure;
use crate::places::git::read::Snapshot;
use crate::places::sign::command::CommandSigner;
use crate::places::sign::keys::Passphrase;
use crate::places::sign::{KeyDescription, PublicCertificate, Signer};
use crate::stories::archive::OpenArchive;
use crate::stories::key::{self, ExtendAnswer, ExtendRequest, GenerateAnswer, GenerateRequest, KeyError, ShowAnswer, ShownKey};
use crate::stories::publish::PublishError;
use crate::words::archive::Archive;
use crate::words::date::{Span, Timestamp};

/// Make, show and extend the archive's signing keys
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an ed25519 key: public part into keys/ (committed), secret part into a file outside the repository
    #[command(after_help = "\
The secret key and a revocation certificate go into ~/.config/ddb/keys with mode 0600. Keep a copy of both elsewhere.

Examples:
  $ ddb-publish -C archive key generate --name \"Example archive\"
  $ ddb-publish -C other key generate --email archive@example.org --one-line")]
    Generate(Generate),
    /// Show the certificates in keys/
    #[command(after_help = "\
Examples:
  $ ddb-publish -C archive key show
  $ ddb-publish -C archive key show --json")]
    Show(Show),
    /// Move the expiry of a key
    #[command(after_help = "\
Clients need the extended certificate: publish again, and have them fetch the keyring.

Examples:
  $ ddb-publish -C archive key extend --valid-for 2y")]
    Extend(Extend),
}

#[derive(Debug, Args)]
struct Generate {
    /// Name of the archive, as the key shows it
    #[arg(long, value_name = "NAME", default_value = "apt archive")]
    name: String,
    /// Mail address of those who care for the archive; default is Git's user.email
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// How long the key is valid (3y, 52w), or "forever"
    #[arg(long, value_name = "SPAN", default_value = "3y")]
    valid_for: Validity,
    /// Print the secret key as one line for a masked CI variable instead of writing it to a file
    #[arg(long, conflicts_with = "json")]
    one_line: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Extend {
    /// Fingerprint of the key; may be left out where there is one
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
    /// How long the key is valid from now on (3y, 52w), or "forever"
    #[arg(long, value_name = "SPAN", default_value = "3y")]
    valid_for: Validity,
    /// Print the extended secret key as one line for a masked CI variable too
    #[arg(long, conflicts_with = "json")]
    one_line: bool,
    #[command(flatten)]
    secrets: Secrets,
}

/// A length of time, or for ever.
#[derive(Debug, Clone, Copy)]
struct Validity(Option<Span>);

impl std::str::FromStr for Validity {
    type Err = crate::words::date::DateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "forever" { Ok(Self(None)) } else { text.parse().map(|span| Self(Some(span))) }
    }
}

/// Where secrets of this user lie.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Place {
    /// Folder for secret keys; default is ~/.config/ddb/keys
    #[arg(long, value_name = "DIR")]
    secret_dir: Option<PathBuf>,
    /// File with the passphrase of the secret key; DDB_SIGNING_KEY_PASSPHRASE goes before it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Where the secret keys are.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Secrets {
    /// File with a secret key; may be repeated; DDB_SIGNING_KEY goes before it
    #[arg(long = "key-file", value_name = "FILE")]
    key_files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

const KEY_VARIABLE: &str = "DDB_SIGNING_KEY";
const PASSPHRASE_VARIABLE: &str = "DDB_SIGNING_KEY_PASSPHRASE";

impl Place {
    fn folder(&self) -> Option<PathBuf> {
        self.secret_dir.clone().or_else(environment::secret_folder)
    }

    fn passphrases(&self) -> Result<Vec<Passphrase>, Failure> {
        let mut passphrases: Vec<Passphrase> =
            environment::variable(PASSPHRASE_VARIABLE).map(|text| Passphrase::new(text.into_bytes())).into_iter().collect();
        if let Some(file) = &self.passphrase_file {
            let bytes = std::fs::read(file)
                .map_err(|fault| Failure::usage(&format!("cannot read --passphrase-file {}: {fault}", file.display())))?;
            passphrases.push(Passphrase::new(bytes));
        }
        Ok(passphrases)
    }
}

impl Secrets {
    /// Calls a function with where secrets are looked for.
    fn with<T>(&self, passphrases: &[Passphrase], use_them: impl FnOnce(key::Secrets<'_>) -> T) -> T {
        let variable = environment::variable(KEY_VARIABLE);
        let folder = self.place.folder();
        use_them(key::Secrets {
            variable: variable.as_ref().map(|content| (KEY_VARIABLE, content.as_bytes())),
            files: &self.key_files,
            folder: folder.as_deref(),
            passphrases,
        })
    }

    /// Reads the passphrases once, before anything is staged.
    pub(super) fn passphrases(&self) -> Result<Vec<Passphrase>, Failure> {
        self.place.passphrases()
    }
}

/// Returns who signs: the configured program, else the secret keys of the archive's signing certificates.
pub(super) fn signer(
    open: &OpenArchive,
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    secrets: &Secrets,
    passphrases: &[Passphrase],
    now: Timestamp,
) -> Result<Box<dyn Signer>, PublishError> {
    let wanted = open.signing_certificates(snapshot, archive)?;
    let certificates = wanted.iter().map(|(_, certificate)| certificate.clone()).collect();
    if let Some(signer) = CommandSigner::new(&archive.signing.command, certificates) {
        return Ok(Box::new(signer));
    }
    let known = open.certificates(snapshot)?;
    let found = secrets.with(passphrases, |secrets| key::find_secrets(&wanted, &known, &secrets, now))?;
    for note in &found.notes {
        answer::say(&format!("warning: {note}"));
    }
    Ok(Box::new(found.signer))
}

pub(super) fn run(common: &Common, key: Key) -> Result<Exit, Failure> {
    match key.command {
        Command::Generate(options) => generate(common, &options),
        Command::Show(options) => show(common, &options),
        Command::Extend(options) => extend(common, &options),
    }
}

fn generate(common: &Common, options: &Generate) -> Result<Exit, Failure> {
    let now = environment::now(common.now);
    let open = OpenArchive::open(&common.archive, common.branch.as_deref())?;
    open.configuration(&open.tip()?)?;
    let email = options.email.clone().unwrap_or_else(|| environment::author(&common.archive, now).email);
    let user_id = format!("{} <{email}>", options.name);
    let secret_dir =
        options.place.folder().ok_or_else(|| Failure::usage("neither HOME nor XDG_CONFIG_HOME is set; name a folder with --secret-dir"))?;
    let made = key::generate(&GenerateRequest {
        user_id,
        validity: options.valid_for.0,
        secret_dir,
        one_line: options.one_line,
        passphrase: options.place.passphrases()?.into_iter().next(),
        forbidden_root: Some(open.repository.root().to_owned()),
        now,
    })?;
    open.put_certificate(&made.public_path, &made.answer.key.fingerprint, &made.public, &environment::author(&common.archive, now))?;
    finish(common, &made.answer, made.secret.as_ref());
    Ok(Exit::Done)
}

/// Prints an answer; where a secret line was asked for, that line alone goes to standard output and the rest to standard error.
fn finish(common: &Common, answer: &impl Answer, secret: Option<&crate::places::sign::keys::SecretText>) {
    match secret {
        Some(secret) => {
            answer::say(answer.text().trim_end());
            answer::print_text(&format!("{}\n", String::from_utf8_lossy(secret.expose()).trim_end()));
        }
        None => answer::print(answer, common.json),
    }
}

fn show(common: &Common, options: &Show) -> Result<Exit, Failure> {
    let open = OpenArchive::open(&common.archive, common.branch.as_deref())?;
    let certificates = open.certificates(&open.tip()?)?;
    let answer = key::show(&certificates, options.place.folder().as_deref(), environment::now(common.now));
    answer::print(&answer, common.json);
    Ok(Exit::Done)
}

fn extend(common: &Common, options: &Extend) -> Result<Exit, Failure> {
    let now = environment::now(common.now);
    let open = OpenArchive::open(&common.archive, common.branch.as_deref())?;
    let (path, certificate) = choose(open.certificates(&open.tip()?)?, options.fingerprint.as_deref())?;
    let passphrases = options.secrets.passphrases()?;
    let made = options.secrets.with(&passphrases, |secrets| {
        key::extend(&ExtendRequest { path, certificate, validity: options.valid_for.0, secrets, one_line: options.one_line, now })
    })?;
    open.put_certificate(&made.public_path, &made.answer.key.fingerprint, &made.public, &environment::author(&common.archive, now))?;
    finish(common, &made.answer, made.secret.as_ref());
    Ok(Exit::Done)
}

fn choose(certificates: Vec<(String, PublicCertificate)>, fingerprint: Option<&str>) -> Result<(String, PublicCertificate), Failure> {
    let wanted = fingerprint.map(|text| text.replace(' ', "").to_uppercase());
    let mut found = certificates
        .into_iter()
        .filter(|(_, certificate)| wanted.as_ref().is_none_or(|wanted| certificate.fingerprint().ends_with(wanted)));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) if wanted.is_none() => Err(KeyError::NoCertificate.into()),
        (None, _) => Err(Failure::usage("keys/ holds no certificate with that fingerprint; `ddb-publish key show` lists them")),
        _ => Err(Failure::usage("keys/ holds several certificates; name one by its fingerprint (`ddb-publish key show` lists them)")),
    }
}

impl Answer for GenerateAnswer {
    fn text(&self) -> String {
        let secret = self.secret_path.as_ref().map_or_else(String::new, |path| format!("secret key:             {path}\n"));
        format!(
            "{}public certificate:     {} (committed)\n{secret}revocation certificate: {}\nKeep a copy of the secret key and the revocation certificate elsewhere.\n",
            key_text(&self.key),
            self.public_path,
            self.revocation_path
        )
    }
}

impl Answer for ShowAnswer {
    fn text(&self) -> String {
        if self.keys.is_empty() {
            return "keys/ holds no certificate; `ddb-publish key generate` makes a key.\n".to_owned();
        }
        let shown = |shown: &ShownKey| {
            let secret = shown.secret_path.as_deref().unwrap_or("not in the folder for secret keys");
            format!("{}certificate: {}\nsecret key:  {secret}\n", key_text(&shown.key), shown.path)
        };
        self.keys.iter().map(shown).collect::<Vec<_>>().join("\n")
    }
}

impl Answer for ExtendAnswer {
    fn text(&self) -> String {
        format!(
            "{}public certificate: {} (committed)\nPublish again, so that clients get the extended certificate.\n",
            key_text(&self.key),
            self.public_path
        )
    }
}

fn key_text(key: &KeyDescription) -> String {
    let expires = key.expires.as_deref().unwrap_or("never");
    let mut text =
        format!("{}\n  {}, {}, created {}, expires {expires}\n", key.fingerprint, key.user_ids.join(", "), key.algorithm, key.created);
    if let Some(refused) = &key.refused {
        text.push_str(&format!("  does not sign: {refused}\n"));
    }
    text
}
