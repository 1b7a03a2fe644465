//! Keys made, found in every place, extended in one of two copies.

use super::*;
use crate::places::sign::gnupg::{Gpg, NOW};
use crate::places::sign::{SignedRelease, Signer as _};

fn days(number: u32) -> Span {
    Span::of_seconds(number * 86_400)
}

fn request(folder: &Path) -> GenerateRequest {
    GenerateRequest {
        user_id: "Archive <archive@example.org>".to_owned(),
        validity: Some(days(10)),
        secret_dir: folder.to_owned(),
        one_line: false,
        passphrase: None,
        forbidden_root: None,
        now: NOW,
    }
}

/// Makes a key and returns its certificate as it lies in the archive, besides what was answered.
fn made(request: &GenerateRequest) -> ((String, PublicCertificate), Outcome<GenerateAnswer>) {
    let outcome = generate(request).unwrap();
    (committed(&outcome), outcome)
}

fn committed<A>(outcome: &Outcome<A>) -> (String, PublicCertificate) {
    (outcome.public_path.clone(), PublicCertificate::read_all(&outcome.public_path, &outcome.public).unwrap().remove(0))
}

fn signs(found: Result<Found, KeyError>, now: Timestamp) -> Vec<String> {
    let found = found.unwrap();
    assert_eq!(found.notes, Vec::<String>::new());
    SignedRelease::sign(&found.signer, b"Origin: x\n", now).unwrap().fingerprints().to_vec()
}

#[test]
fn generate_writes_the_secret_and_the_revocation_and_returns_the_public_part() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, outcome) = made(&request(folder.path()));
    let fingerprint = certificate.1.fingerprint();
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, [format!("{fingerprint}.revocation.asc"), format!("{fingerprint}.secret.asc")]);
    assert_eq!(outcome.public_path, format!("keys/archive-{}.asc", fingerprint[24..].to_lowercase()));
    assert_eq!(outcome.answer.secret_path.as_deref(), folder.path().join(&files[1]).to_str());
    assert!(outcome.public.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----") && outcome.secret.is_none());

    let answer = serde_json::to_value(&outcome.answer).unwrap();
    assert_eq!(answer["key"]["expires"], "2026-09-22T07:55:41Z");
    assert_eq!(answer["key"]["refused"], serde_json::Value::Null);
    let shown = show(&[certificate], Some(folder.path()), NOW.plus(days(11)));
    assert!(shown.keys[0].key.refused.as_ref().unwrap().contains("expired on 2026-09-22"));
    assert_eq!(shown.keys[0].secret_path, outcome.answer.secret_path);
}

#[test]
fn a_key_for_a_variable_is_one_line_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new(b"hunter2\n".to_vec());
    let wanted = GenerateRequest { one_line: true, passphrase: Some(passphrase.clone()), ..request(folder.path()) };
    let (certificate, outcome) = made(&wanted);
    assert_eq!((outcome.answer.secret_path, std::fs::read_dir(folder.path()).unwrap().count()), (None, 1));
    let line = outcome.secret.unwrap();
    assert!(line.expose().iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)), "what GitLab can mask");
    let secrets = Secrets { variable: Some(("DDB_SIGNING_KEY", line.expose())), ..Secrets::default() };
    let protected = find_secrets(std::slice::from_ref(&certificate), &[], &secrets, NOW).unwrap_err();
    assert!(matches!(protected, KeyError::Secret(SecretError::Protected { .. })), "{protected}");
    let passphrases = [passphrase];
    let secrets = Secrets { passphrases: &passphrases, ..secrets };
    assert_eq!(signs(find_secrets(std::slice::from_ref(&certificate), &[], &secrets, NOW), NOW), [certificate.1.fingerprint()]);
}

#[test]
fn no_secret_is_laid_into_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    std::fs::create_dir_all(archive.join("keys")).unwrap();
    std::os::unix::fs::symlink(archive.join("keys"), folder.path().join("link")).unwrap();
    for inside in ["archive", "archive/keys/secret", "link", "link/deep", "not/yet/../../archive/x", "other/../archive"] {
        let wanted = GenerateRequest { forbidden_root: Some(archive.clone()), ..request(&folder.path().join(inside)) };
        assert!(matches!(generate(&wanted), Err(KeyError::InsideArchive { .. })), "{inside}");
    }
    assert_eq!(std::fs::read_dir(archive.join("keys")).unwrap().count(), 0);
    made(&GenerateRequest { forbidden_root: Some(archive), ..request(&folder.path().join("archive-keys")) });
}

#[test]
fn secrets_are_found_in_variable_files_and_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = made(&request(&folder.path().join("keys")));
    let (two, second) = made(&GenerateRequest { one_line: true, ..request(&folder.path().join("two")) });
    let (three, third) = made(&request(&folder.path().join("three")));
    let keys = [one.clone(), two.clone(), three.clone()];
    let mut all: Vec<_> = keys.iter().map(|(_, certificate)| certificate.fingerprint()).collect();
    all.sort();

    let line = second.secret.unwrap();
    let files = [PathBuf::from(third.answer.secret_path.unwrap())];
    let at = folder.path().join("keys");
    let secrets = Secrets { variable: Some(("DDB_SIGNING_KEY", line.expose())), files: &files, folder: Some(&at), passphrases: &[] };
    assert_eq!(signs(find_secrets(&keys, &keys, &secrets, NOW), NOW), all);
    assert_eq!(signs(find_secrets(&keys[..1], &keys, &secrets, NOW), NOW), [one.1.fingerprint()], "known, but not wanted");

    let none = Secrets { folder: Some(&at), ..Secrets::default() };
    let error = find_secrets(&keys, &keys, &none, NOW).unwrap_err();
    let KeyError::Missing { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing, &[(two.0.clone(), two.1.fingerprint()), (three.0.clone(), three.1.fingerprint())]);
    for part in ["DDB_SIGNING_KEY", "--key-file", &at.display().to_string(), &format!("{}.secret.asc", two.1.fingerprint())] {
        assert!(error.to_string().contains(part), "{error}");
    }
    for (secrets, origin) in
        [(Secrets { files: &[], ..secrets }, "DDB_SIGNING_KEY"), (Secrets { variable: None, ..secrets }, files[0].to_str().unwrap())]
    {
        let error = find_secrets(&keys[..1], &keys[..1], &secrets, NOW).unwrap_err();
        assert!(matches!(&error, KeyError::Stranger { origin: named, .. } if named == origin), "{error}");
    }
    std::fs::copy(&files[0], at.join(format!("{}.secret.asc", two.1.fingerprint()))).unwrap();
    assert!(matches!(find_secrets(&keys[1..2], &keys, &none, NOW), Err(KeyError::OtherKey { .. })));
    assert!(matches!(find_secrets(&[], &keys, &secrets, NOW), Err(KeyError::NoCertificate)));
    let junk = Secrets { variable: Some(("DDB_SIGNING_KEY", b"hunter2")), ..Secrets::default() };
    assert!(!find_secrets(&keys, &keys, &junk, NOW).unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn extending_one_copy_of_a_key_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("keys");
    let (old, _) = made(&request(&at));
    let secret_path = at.join(format!("{}.secret.asc", old.1.fingerprint()));
    let old_secret = std::fs::read(&secret_path).unwrap();
    let later = NOW.plus(days(20));
    let secrets = Secrets { folder: Some(&at), ..Secrets::default() };
    let expired = find_secrets(std::slice::from_ref(&old), &[], &secrets, later).unwrap_err().to_string();
    assert!(expired.contains("expired on 2026-09-22") && expired.contains("ddb-publish key extend"), "{expired}");

    let (path, certificate) = old.clone();
    let asked = ExtendRequest { path, certificate, validity: Some(days(30)), secrets, one_line: true, now: later };
    let outcome = extend(&asked).unwrap();
    assert_eq!(
        (outcome.answer.expired_before.as_deref(), outcome.answer.key.expires.as_deref()),
        (Some("2026-09-22T07:55:41Z"), Some("2026-11-01T07:55:41Z"))
    );
    assert_eq!((&outcome.public_path, outcome.answer.secret_path.as_deref()), (&old.0, secret_path.to_str()));
    let new = committed(&outcome);
    let line = outcome.secret.unwrap();
    let new_secrets = Secrets { variable: Some(("DDB_SIGNING_KEY", line.expose())), ..Secrets::default() };
    let old_secrets = Secrets { variable: Some(("DDB_SIGNING_KEY", &old_secret)), ..Secrets::default() };
    assert_eq!(signs(find_secrets(std::slice::from_ref(&new), &[], &new_secrets, later), later), [new.1.fingerprint()]);
    assert_eq!(signs(find_secrets(std::slice::from_ref(&new), &[], &old_secrets, later), later), [new.1.fingerprint()]);
    assert_eq!(signs(find_secrets(std::slice::from_ref(&new), &[], &secrets, later), later), [new.1.fingerprint()]);
    let stale = find_secrets(&[old], &[], &secrets, later).unwrap();
    assert!(stale.notes[0].contains("is older than its secret key"), "{:?}", stale.notes);
    assert_eq!(stale.signer.certificates()[0].describe(later).expires.as_deref(), Some("2026-11-01T07:55:41Z"));

    // A secret that was not in the folder is not laid there.
    std::fs::write(&secret_path, &old_secret).unwrap();
    let outcome = extend(&ExtendRequest { secrets: Secrets { folder: Some(&at), ..new_secrets }, one_line: false, ..asked }).unwrap();
    assert_eq!((outcome.answer.secret_path, std::fs::read(&secret_path).unwrap() == old_secret), (None, true));
}

#[test]
fn keys_by_gpg_are_found_and_extended_too() {
    let gpg = Gpg::new();
    let fingerprint = gpg.protected_key("gpg <gpg@example.org>", "rsa2048", "sign", "10d", "hunter2");
    let certificate = PublicCertificate::read_all("keys/gpg.asc", &gpg.public(&fingerprint)).unwrap().remove(0);
    let folder = tempfile::tempdir().unwrap();
    let file = [folder.path().join("gpg.secret")];
    std::fs::write(&file[0], gpg.secret(&fingerprint, "hunter2")).unwrap();
    let passphrases = [Passphrase::new(b"hunter2".to_vec())];
    let secrets = Secrets { files: &file, passphrases: &passphrases, ..Secrets::default() };
    let known = [("keys/gpg.asc".to_owned(), certificate.clone())];
    assert_eq!(signs(find_secrets(&known, &known, &secrets, NOW), NOW), [fingerprint]);
    let later = NOW.plus(days(11));
    let outcome =
        extend(&ExtendRequest { path: known[0].0.clone(), certificate, validity: None, secrets, one_line: false, now: later }).unwrap();
    assert_eq!((outcome.answer.key.expires.clone(), outcome.public_path.as_str()), (None, "keys/gpg.asc"));
    let known = [committed(&outcome)];
    assert_eq!(signs(find_secrets(&known, &known, &secrets, later), later), [known[0].1.fingerprint()]);
}
