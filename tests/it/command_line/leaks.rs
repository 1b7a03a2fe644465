//! Neither a secret key nor a passphrase is ever shown or stored, however a command fails.

use super::super::sandbox::{Run, Sandbox};
use super::super::specimens::{Gpg, commit_by_hand, only};
use super::{shell, workshop};

const PASSPHRASE: &str = "correct horse battery staple";

/// What must never be seen: parts of a secret key's text, and the passphrase.
struct Forbidden(Vec<String>);

impl Forbidden {
    /// Takes a secret key as armored text or as one line, and its certificate: base64 in pieces that any copy of it would hold,
    /// but for what is in the certificate as well.
    fn of(key: &str, certificate: &str) -> Self {
        let public = bytes(certificate);
        let text = base64(key);
        let pieces = text.as_bytes().chunks_exact(32).map(|piece| String::from_utf8(piece.to_vec()).unwrap());
        let secret: Vec<String> = pieces.filter(|piece| !public.windows(24).any(|part| part == bytes(piece))).collect();
        assert!(secret.len() > 1, "no key");
        Self(secret.into_iter().chain([PASSPHRASE.to_owned(), "BEGIN PGP PRIVATE".to_owned()]).collect())
    }

    #[track_caller]
    fn not_in(&self, what: &str, text: &str) {
        if let Some(found) = self.0.iter().find(|piece| text.contains(*piece)) {
            panic!("{what} shows {found:?}");
        }
    }
}

/// Returns the base64 of armored text, or of a line of it.
fn base64(armored: &str) -> String {
    armored.lines().filter(|line| !line.is_empty() && !line.starts_with(['-', '=']) && !line.contains(':')).collect()
}

/// Returns what the base64 of armored text means.
fn bytes(armored: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for value in base64(armored).chars().filter_map(|digit| DIGITS.find(digit)) {
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

/// Looks through what a run said, all files of the archive and all objects of its history.
#[track_caller]
fn nothing_leaks(sandbox: &Sandbox, forbidden: &Forbidden, runs: &[Run]) {
    for run in runs {
        forbidden.not_in("standard output", &run.out);
        forbidden.not_in("standard error", &run.err);
    }
    let files = shell(sandbox, "find archive -type f -not -path '*/objects/*' -exec cat {} +").ok().out;
    forbidden.not_in("a file of the archive", &files);
    let history = sandbox.git(&["cat-file", "--batch-all-objects", "--batch"]).ok().out;
    forbidden.not_in("a Git object", &history);
}

#[test]
fn neither_keys_nor_passphrases_are_ever_shown_or_stored() {
    let mut sandbox = workshop();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.environment.insert("DDB_SIGNING_KEY_PASSPHRASE".to_owned(), PASSPHRASE.to_owned());
    let made = sandbox.publish(&["-C", "archive", "-v", "-v", "key", "generate", "--one-line"]).ok();
    let key = made.out.trim().to_owned();
    assert_eq!(made.out.lines().count(), 1, "the secret stands alone on standard output");
    let certificate = std::fs::read_to_string(only(&sandbox.archive().join("keys"), ".asc")).unwrap();
    let forbidden = Forbidden::of(&key, &certificate);
    forbidden.not_in("standard error", &made.err);
    assert!(
        std::fs::read_dir(sandbox.path("home/.config/ddb/keys")).unwrap().all(|entry| !entry
            .unwrap()
            .path()
            .to_str()
            .unwrap()
            .ends_with("secret.asc"))
    );

    let mut runs = vec![sandbox.commit("out", &["-v", "-v"]).ok()];
    let loud = ["-v", "-v"];
    // Failing in every way: no key, a wrong passphrase, none, a cut-off key, a key that is no key.
    runs.push(sandbox.dists(&loud).exits(7));
    for (variable, passphrase) in [
        (key.clone(), "wrong horse"),
        (key.clone(), ""),
        (key[..key.len() / 2].to_owned(), PASSPHRASE),
        (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{key}"), PASSPHRASE),
        (PASSPHRASE.to_owned(), &key),
        (format!("{key} {PASSPHRASE}"), PASSPHRASE),
    ] {
        sandbox.environment.insert("DDB_SIGNING_KEY".to_owned(), variable);
        sandbox.environment.insert("DDB_SIGNING_KEY_PASSPHRASE".to_owned(), passphrase.to_owned());
        for json in [&loud[..], &["--json"]] {
            runs.push(sandbox.dists(json).exits(7));
        }
        runs.push(sandbox.publish(&["-C", "archive", "key", "extend"]).exits(7));
    }
    // The key where a file's name belongs, and the other way round.
    sandbox.environment.remove("DDB_SIGNING_KEY");
    sandbox.environment.insert("DDB_SIGNING_KEY_PASSPHRASE".to_owned(), PASSPHRASE.to_owned());
    sandbox.write("half.asc", &key[..key.len() - 9]);
    sandbox.write("passphrase", "wrong horse\n");
    runs.push(sandbox.dists(&["--key-file", "half.asc"]).exits(7));
    runs.push(sandbox.dists(&["--key-file", "nowhere"]).exits(7));
    runs.push(sandbox.dists(&["--passphrase-file", "nowhere"]).exits(2));
    // And at last as it should be.
    sandbox.environment.insert("DDB_SIGNING_KEY".to_owned(), key.clone());
    runs.push(sandbox.dists(&loud).ok());
    runs.push(sandbox.publish(&["-C", "archive", "key", "show", "--json"]).ok());
    runs.push(sandbox.publish(&["-C", "archive", "key", "extend", "-v", "-v"]).ok());
    runs.push(sandbox.deploy(&["-C", "archive", "fsck", "--full", "-v", "-v"]).ok());
    runs.push(sandbox.dists(&["--renew", "-v", "-v"]).ok());
    nothing_leaks(&sandbox, &forbidden, &runs);
    // The test can find what it looks for.
    sandbox.write("archive/oops", &key);
    assert!(std::panic::catch_unwind(|| nothing_leaks(&sandbox, &forbidden, &[])).is_err());
}

#[test]
fn a_protected_key_of_gpg_is_not_shown_either() {
    let gpg = Gpg::new();
    let fingerprint = gpg.key("protected <protected@example.org>", "rsa3072", "sign", "1y", PASSPHRASE);
    let secret = String::from_utf8(gpg.secret(&fingerprint, PASSPHRASE)).unwrap();
    let mut sandbox = workshop();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.write("archive/keys/gpg.asc", gpg.public(&fingerprint));
    commit_by_hand(&sandbox, "Sign with a key made by gpg.");
    sandbox.commit("out", &[]).ok();
    let forbidden = Forbidden::of(&secret, &String::from_utf8(gpg.public(&fingerprint)).unwrap());
    sandbox.environment.insert("DDB_SIGNING_KEY".to_owned(), secret.clone());
    let mut runs = Vec::new();
    for (passphrase, code) in [("wrong horse", 7), ("", 7), (PASSPHRASE, 0)] {
        sandbox.environment.insert("DDB_SIGNING_KEY_PASSPHRASE".to_owned(), passphrase.to_owned());
        runs.push(sandbox.dists(&["-v", "-v"]).exits(code));
    }
    nothing_leaks(&sandbox, &forbidden, &runs);
}
