//! Finding the transparency logs that `ddb-publish monitor` reads: those of the policy and of the trusted root, at their addresses.

use crate::formats::sigstore::owned::OwnSigner;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigsum::PublicKey;
use crate::places::credentials;
use crate::places::transparency::LogError;
use crate::places::transparency::reader::{LogReader, SigsumReader, TileReader};
use crate::stories::monitor::{OwnKeys, Trust};

/// Where Rekor's logs publish their tiles, below their names.
const TILES: &str = "api/v2";

/// Shortest beginning of a key hash that names a log.
const SHORTEST: usize = 8;

/// What the command line says of logs.
pub(super) struct Named<'a> {
    /// Logs that are read at another address.
    pub(super) addresses: &'a [(String, String)],
    /// Logs that are not read.
    pub(super) left_out: &'a [String],
}

/// Returns the readers of all logs that are trusted, but for those that are left out, and why some cannot be read.
pub(super) fn readers(keys: &OwnKeys<'_>, named: &Named<'_>) -> (Vec<LogReader>, Vec<LogError>) {
    let (mut known, mut readers, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    // Who may push could ask for less of a log that is trusted before and after, or name one that has no address.
    for trust in [keys.before, keys.trust] {
        for found in [sigsum(trust, keys, named, &mut known), sigstore(trust, keys, named, &mut known)] {
            match found {
                Ok(found) => readers.extend(found),
                Err(fault) => faults.push(fault),
            }
        }
    }
    let mut names = named.addresses.iter().map(|(name, _)| name).chain(named.left_out);
    if let Some(unknown) = names.find(|name| faults.is_empty() && !known.iter().any(|known| is(known, name))) {
        let problem = format!("no log of this name is trusted; known: {}", known.join(", "));
        faults.push(LogError::Settings { file: unknown.clone(), problem });
    }
    (readers, faults)
}

fn sigsum(trust: &Trust, keys: &OwnKeys<'_>, named: &Named<'_>, known: &mut Vec<String>) -> Result<Vec<LogReader>, LogError> {
    let Some((policy, _)) = &trust.sigsum else { return Ok(Vec::new()) };
    let authorities = credentials::given().authorities;
    let own: Vec<PublicKey> = [keys.before, keys.trust].iter().filter_map(|trust| trust.sigsum.as_ref()).map(|(_, key)| *key).collect();
    let mut readers = Vec::new();
    for log in policy.logs() {
        let name = log.key.hash().to_hex();
        if !named.reads(&name, known) {
            continue;
        }
        let none = || {
            let problem = format!("the log {name} has no address there; give one by --log-address NAME=URL, or say --leave-out NAME");
            LogError::Settings { file: "logs.sigsum.policy".to_owned(), problem }
        };
        let url = named.address(&name).or(log.url.as_deref()).ok_or_else(none)?;
        let reader = SigsumReader::new(log, url, policy, own.clone(), keys.submitters, authorities.as_deref())?;
        readers.push(LogReader::Sigsum(reader));
    }
    Ok(readers)
}

fn sigstore(trust: &Trust, keys: &OwnKeys<'_>, named: &Named<'_>, known: &mut Vec<String>) -> Result<Vec<LogReader>, LogError> {
    let Some((root, _)) = &trust.sigstore else { return Ok(Vec::new()) };
    let authorities = credentials::given().authorities;
    let both = || [keys.before, keys.trust].into_iter().filter_map(|trust| trust.sigstore.as_ref());
    let roots: Vec<&TrustedRoot> = both().map(|(root, _)| root).chain(keys.roots).collect();
    let mut own: Vec<OwnSigner> = Vec::new();
    for signer in both().map(|(_, signer)| signer).chain(keys.signers) {
        let signer = OwnSigner::new(signer.clone(), &roots);
        if !own.contains(&signer) {
            own.push(signer);
        }
    }
    let mut readers = Vec::new();
    for log in &root.logs {
        let name = log.origin.clone();
        if !named.reads(&name, known) {
            continue;
        }
        let usual = format!("https://{name}/{TILES}");
        let url = named.address(&name).unwrap_or(&usual);
        readers.push(LogReader::Rekor(TileReader::new(log.clone(), url, own.clone(), authorities.as_deref())?));
    }
    Ok(readers)
}

impl Named<'_> {
    fn address(&self, log: &str) -> Option<&str> {
        self.addresses.iter().find(|(name, _)| is(log, name)).map(|(_, url)| url.as_str())
    }

    /// Tells whether a log is to be read that is not known yet, and makes it known.
    fn reads(&self, log: &str, known: &mut Vec<String>) -> bool {
        if known.iter().any(|name| name == log) {
            return false;
        }
        known.push(log.to_owned());
        !self.left_out.iter().any(|name| is(log, name))
    }
}

/// Tells whether a name means a log: all of it, or the beginning of a key hash.
fn is(log: &str, name: &str) -> bool {
    log == name || (name.len() >= SHORTEST && log.len() == 64 && log.starts_with(name))
}
