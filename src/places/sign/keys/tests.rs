//! Keys made here, by gpg and in every form that a CI variable may have.

use super::super::certificate::Refusal;
use super::super::gnupg::{Gpg, NOW, clock, run};
use super::super::openpgp::OpenPgpSigner;
use super::super::{SignedRelease, contract, secret_file, verify_release};
use super::*;

const DAY: u32 = 86_400;

fn days(number: u32) -> Span {
    Span::of_seconds(number * DAY)
}

fn ours(user: &str, passphrase: Option<&Passphrase>, now: Timestamp) -> SecretKey {
    SecretKey::generate(user, Some(days(10)), passphrase, now).unwrap().key
}

fn signer(key: &SecretKey, passphrases: &[Passphrase], now: Timestamp) -> Result<OpenPgpSigner, SecretError> {
    OpenPgpSigner::new(std::slice::from_ref(key), passphrases, now)
}

/// Returns gpg's listing of all keys in its home.
fn listing(gpg: &Gpg) -> String {
    String::from_utf8(gpg.run(&["--with-colons", "--fixed-list-mode", "--list-keys"], b"")).unwrap()
}

#[test]
fn a_new_key_is_what_apt_wants_and_gpg_takes_it_and_its_revocation() {
    let new = SecretKey::generate("Archive <archive@example.org>", Some(days(10)), None, NOW).unwrap();
    let description = new.key.public().describe(NOW);
    assert_eq!(
        (description.algorithm.as_str(), description.user_ids.as_slice()),
        ("ed25519", &["Archive <archive@example.org>".to_owned()][..])
    );
    assert_eq!((description.created.as_str(), description.expires.as_deref()), ("2026-09-12T07:55:41Z", Some("2026-09-22T07:55:41Z")));
    assert_eq!((description.signing_keys.len(), description.refused.as_deref()), (1, None));
    assert_ne!(description.signing_keys[0].fingerprint, description.fingerprint, "the primary key only certifies");
    assert_eq!(description.signing_keys[0].expires, description.expires);
    assert_eq!((new.key.public().version(), description.fingerprint.len()), (4, 40));

    let gpg = Gpg::new();
    gpg.run(&["--import"], new.key.armored().unwrap().expose());
    let colons = listing(&gpg);
    assert!(colons.lines().any(|line| line.starts_with("pub:") && line.contains(":c") && line.contains("ed25519")), "{colons}");
    assert!(colons.lines().any(|line| line.starts_with("sub:") && line.contains(":s:") && line.contains("ed25519")), "{colons}");
    let signed = gpg.clearsign(&description.fingerprint, "SHA512", b"Origin: x\n");
    assert_eq!(verify_release(&signed, &[new.key.public()], NOW).unwrap().fingerprints.concat(), description.fingerprint);

    gpg.run(&["--import"], new.revocation.expose());
    let revoked = PublicCertificate::read_all("gpg", &gpg.public(&description.fingerprint)).unwrap().remove(0);
    assert!(revoked.describe(NOW).refused.unwrap().contains("is revoked"));
    let merged = new.key.with_public(&revoked).unwrap();
    assert!(matches!(signer(&merged, &[], NOW), Err(SecretError::Refused(Refusal::Revoked { .. }))));
}

#[test]
fn user_ids_and_validities_are_checked() {
    for bad in [
        "",
        "Archive",
        "archive@example.org",
        "A <a>",
        "A <a@b> ",
        "A\n <a@b>",
        "A <a@b@c>",
        "A <a@b>c",
        &format!("{} <a@b>", "x".repeat(200)),
    ] {
        assert!(matches!(SecretKey::generate(bad, None, None, NOW), Err(SecretError::UserId { .. })), "{bad:?}");
    }
    for bad in ["0s", "80y", "4294967295y"] {
        assert!(
            matches!(SecretKey::generate("A <a@b>", Some(bad.parse().unwrap()), None, NOW), Err(SecretError::Validity { .. })),
            "{bad}"
        );
    }
    let for_ever = SecretKey::generate("Ä Ö <a@b.example>", None, None, NOW).unwrap().key;
    assert_eq!(for_ever.public().describe(NOW).expires, None);
}

#[test]
fn keys_are_read_in_every_form_that_variables_and_files_have() {
    let gpg = Gpg::new();
    let keys = [ours("one <one@example.org>", None, NOW), ours("two <two@example.org>", None, NOW)];
    let rsa = SecretKey::read_all("gpg", &gpg.secret(&gpg.key("rsa <rsa@example.org>", "rsa2048", "sign", "1y"), "")).unwrap().remove(0);
    let keys = [keys.to_vec(), vec![rsa]].concat();
    let armored: Vec<Vec<u8>> = keys.iter().map(|key| key.armored().unwrap().expose().to_vec()).collect();
    let binary: Vec<Vec<u8>> = keys.iter().map(|key| key.binary().unwrap().to_vec()).collect();
    let lines: Vec<Vec<u8>> = keys.iter().map(|key| key.one_line().unwrap().expose().to_vec()).collect();
    let by_tool = |wrap: &str, bytes: &[u8]| run("base64", ["-w", wrap], bytes).stdout;
    assert_eq!(by_tool("0", &binary[0]), lines[0], "one line is plain base64");
    let escaped = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap().replace('\n', "\\n").into_bytes();
    for (form, bytes) in [
        ("armored", armored.concat()),
        ("armored with text around", [b"# for CI\n".as_slice(), &armored.join(&b"\nnext:\n"[..]), b"\n\n"].concat()),
        ("armored with CRLF", String::from_utf8(armored.concat()).unwrap().replace('\n', "\r\n").into_bytes()),
        ("armored with \\n", escaped(&armored.concat())),
        ("binary", binary.concat()),
        ("lines", lines.join(&b'\n')),
        ("words", lines.join(&b' ')),
        ("wrapped lines", binary.iter().map(|bytes| by_tool("76", bytes)).collect::<Vec<_>>().concat()),
        ("base64 of all", by_tool("0", &binary.concat())),
        ("base64 of armored", by_tool("0", &armored.concat())),
        ("wrapped base64 of armored", by_tool("76", &armored.concat())),
    ] {
        let read = SecretKey::read_all("DDB_SIGNING_KEY", &bytes).unwrap_or_else(|error| panic!("{form}: {error}"));
        let found: Vec<_> = read.iter().map(SecretKey::fingerprint).collect();
        assert_eq!(found, keys.iter().map(SecretKey::fingerprint).collect::<Vec<_>>(), "{form}");
        for key in &read {
            signer(key, &[], NOW).unwrap_or_else(|error| panic!("{form}: {error}"));
        }
    }
}

#[test]
fn what_is_no_secret_key_is_refused_and_secrets_are_never_shown() {
    let key = ours("one <one@example.org>", None, NOW);
    let line = key.one_line().unwrap();
    let text = String::from_utf8(line.expose().to_vec()).unwrap();
    let cut = &text.as_bytes()[..text.len() / 2];
    for bytes in [&b""[..], b"\n", b"hello", b"hunter2!", cut, &[0x80, 1, 2], format!("{text}\n{}=", &text[..90]).as_bytes()] {
        let error = SecretKey::read_all("DDB_SIGNING_KEY", bytes).unwrap_err();
        assert!(matches!(&error, SecretError::Unreadable { name } if name == "DDB_SIGNING_KEY"), "{error}");
        assert!(!format!("{error} {error:?}").contains(&text[..20]));
    }
    let public = SecretKey::read_all("key.asc", &key.public().armored().unwrap()).unwrap_err();
    assert!(public.to_string().contains("key.asc holds only the public part of"), "{public}");

    let passphrase = Passphrase::new(b"hunter2\n".to_vec());
    let protected = SecretKey::generate("p <p@example.org>", None, Some(&passphrase), NOW).unwrap();
    let shown = format!("{key:?} {line:?} {passphrase:?} {protected:?} {:?} {:?}", key.armored().unwrap(), signer(&key, &[], NOW).unwrap());
    assert!(!shown.contains(&text[60..80]) && !shown.contains("hunter2") && !shown.contains("BEGIN"), "{shown}");
}

#[test]
fn protected_keys_by_us_and_by_gpg_need_their_passphrase() {
    let gpg = Gpg::new();
    let right = [Passphrase::new(b"wrong".to_vec()), Passphrase::new(b"hunter2 \xc3\xa4\r\n".to_vec())];
    let ed = gpg.protected_key("ed <ed@example.org>", "ed25519", "sign", "1y", "hunter2 ä");
    let rsa = gpg.protected_key("rsa <rsa@example.org>", "rsa2048", "sign", "1y", "hunter2 ä");
    let by_gpg = |fingerprint: &str| SecretKey::read_all("gpg", &gpg.secret(fingerprint, "hunter2 ä")).unwrap().remove(0);
    let own = ours("own <own@example.org>", right.last(), NOW);
    for key in [by_gpg(&ed), by_gpg(&rsa), own.clone()] {
        assert!(matches!(signer(&key, &[], NOW), Err(SecretError::Protected { key: named }) if named == key.fingerprint()));
        assert!(matches!(signer(&key, &right[..1], NOW), Err(SecretError::WrongPassphrase { .. })));
        assert!(matches!(signer(&key, &[Passphrase::new(Vec::new())], NOW), Err(SecretError::WrongPassphrase { .. })));
        let signed = SignedRelease::sign(&signer(&key, &right, NOW).unwrap(), b"Origin: x\n", NOW).unwrap();
        assert_eq!(signed.fingerprints(), [key.fingerprint()]);
        let extended = key.extended(Some(days(400)), &right, NOW).unwrap();
        assert!(matches!(signer(&extended, &[], NOW), Err(SecretError::Protected { .. })), "an extended key stays protected");
    }
    gpg.run(&["--import"], own.armored().unwrap().expose());
    let signed = gpg.run(&["--passphrase", "hunter2 ä", "-u", &own.fingerprint(), "--clearsign"], b"Origin: x\n");
    assert!(verify_release(&signed, &[own.public()], NOW).is_ok());
    assert!(
        !ours("open <open@example.org>", Some(&Passphrase::new(b"\n".to_vec())), NOW)
            .cert
            .keys()
            .any(|key| !key.key().has_unencrypted_secret())
    );
}

#[test]
fn weak_old_revoked_and_incapable_keys_are_refused_with_a_reason() {
    let mut gpg = Gpg::new();
    let mut cases = Vec::new();
    for (algorithm, shown) in [
        ("rsa1024", "is a rsa1024 key"),
        ("dsa2048", "is a dsa2048 key"),
        ("brainpoolP256r1", "is a brainpoolP256r1 key"),
        ("secp256k1", "is a "),
    ] {
        let fingerprint = gpg.key(&format!("{algorithm} <weak@example.org>"), algorithm, "sign", "1y");
        cases.push((fingerprint, shown.to_owned(), "which apt refuses"));
    }
    let large = b"%no-protection\nKey-Type: RSA\nKey-Length: 4128\nKey-Usage: sign\nName-Real: large\nExpire-Date: 1y\n%commit\n";
    gpg.run(&["--enable-large-rsa", "--gen-key"], large);
    cases.push((gpg.fingerprint("large"), "is a rsa4128 key".to_owned(), "larger than the 4096 bits"));
    let subkey = gpg.key("strong <strong@example.org>", "ed25519", "cert", "1y");
    gpg.subkey(&subkey, "rsa1024", "sign", "1y");
    cases.push((subkey, "is a rsa1024 key".to_owned(), "which apt refuses"));
    cases.push((gpg.key("certify <c@example.org>", "ed25519", "cert", "1y"), "has no key for signing".to_owned(), "add a signing subkey"));
    let revoked = gpg.key("revoked <r@example.org>", "ed25519", "sign", "1y");
    gpg.revoke(&revoked);
    cases.push((revoked, "is revoked".to_owned(), ""));
    gpg.at(NOW.minus(days(3)));
    let brief = gpg.key("brief subkey <b@example.org>", "ed25519", "cert", "5y");
    gpg.subkey(&brief, "ed25519", "sign", "2d");
    cases.push((brief, "expired on 2026-09-11".to_owned(), "ddb-publish key extend"));
    cases.push((gpg.key("expired <e@example.org>", "ed25519", "sign", "1d"), "expired on 2026-09-10".to_owned(), "ddb-publish key extend"));
    gpg.at(NOW.plus(days(1)));
    cases.push((gpg.key("future <f@example.org>", "ed25519", "sign", "1y"), "is valid only from 2026-09-13".to_owned(), "clock"));
    gpg.at(NOW);
    let sha1 = ["--allow-weak-digest-algos", "--cert-digest-algo", "SHA1", "--passphrase", "", "--quick-gen-key"];
    gpg.run(&[&sha1[..], &["sha1 <1@example.org>", "ed25519", "sign", "1y"]].concat(), b"");
    cases.push((gpg.fingerprint("sha1 <1@example.org>"), "has no valid self-signature (only with SHA1".to_owned(), ""));
    gpg.run(
        &["--cert-digest-algo", "SHA224", "--passphrase", "", "--quick-gen-key", "sha224 <2@example.org>", "ed25519", "sign", "1y"],
        b"",
    );
    cases.push((gpg.fingerprint("sha224 <2@example.org>"), "has no valid self-signature (only with SHA224".to_owned(), ""));

    for (fingerprint, expected, remedy) in cases {
        let key = SecretKey::read_all("gpg", &gpg.secret(&fingerprint, "")).unwrap().remove(0);
        let error = signer(&key, &[], NOW).unwrap_err();
        assert!(matches!(error, SecretError::Refused(_)), "{error}");
        let error = error.to_string();
        assert!(error.contains(&expected) && error.contains(remedy), "{expected}: {error}");
        assert!(key.public().describe(NOW).refused.unwrap().contains(&expected));
    }
}

#[test]
fn the_newest_usable_signing_key_signs_and_an_absent_primary_key_is_no_obstacle() {
    let mut gpg = Gpg::new();
    let fingerprint = gpg.key("a <a@example.org>", "ed25519", "sign", "1y");
    gpg.at(NOW.plus(days(1))).subkey(&fingerprint, "ed25519", "sign", "1y");
    gpg.at(NOW.plus(days(2))).subkey(&fingerprint, "rsa2048", "sign", "3d");
    gpg.at(NOW);
    let whole = SecretKey::read_all("gpg", &gpg.secret(&fingerprint, "")).unwrap().remove(0);
    let subkeys = gpg.run(&["--armor", "--passphrase", "", "--export-secret-subkeys", &fingerprint], b"");
    let subkeys = SecretKey::read_all("gpg", &subkeys).unwrap().remove(0);
    let used =
        |key: &SecretKey, after: u32| key.signing_pair(&[], NOW.plus(days(after))).map(|pair| format!("{}", pair.public().pk_algo()));
    assert_eq!(used(&whole, 0).unwrap(), used(&whole, 1).unwrap());
    assert!(used(&whole, 3).unwrap().contains("RSA"), "the newest");
    assert!(used(&subkeys, 6).unwrap().contains("EdDSA"), "not the expired one");
    assert!(matches!(used(&subkeys, 0), Err(SecretError::Absent { primary: true, .. })));
    assert!(matches!(subkeys.extended(None, &[], NOW.plus(days(3))), Err(SecretError::Absent { primary: true, .. })));
}

#[test]
fn extended_keys_are_valid_for_longer_and_older_signatures_stay_valid() {
    let mut gpg = Gpg::new();
    let past = clock().minus(days(20));
    gpg.at(past);
    let rsa = gpg.key("rsa <rsa@example.org>", "rsa2048", "cert,sign", "10d");
    gpg.run(&["--passphrase", "", "--quick-add-uid", &rsa, "second <rsa@example.org>"], b"");
    let split = gpg.key("split <split@example.org>", "nistp256", "cert", "none");
    gpg.subkey(&split, "ed25519", "sign", "10d");
    let by_gpg = |fingerprint: &str| SecretKey::read_all("gpg", &gpg.secret(fingerprint, "")).unwrap().remove(0);
    for key in [ours("own <own@example.org>", None, past), by_gpg(&rsa), by_gpg(&split)] {
        let old = SignedRelease::sign(&signer(&key, &[], past).unwrap(), b"Origin: x\n", past).unwrap();
        let expired = verify_release(old.in_release(), &[key.public()], clock()).unwrap_err().to_string();
        assert!(expired.contains("expired on"), "{expired}");
        assert!(matches!(signer(&key, &[], clock()), Err(SecretError::Refused(Refusal::Expired { .. }))));

        let extended = key.extended(Some(days(30)), &[], clock()).unwrap();
        contract::check(&signer(&extended, &[], clock()).unwrap());
        contract::gpgv_agrees(&old, &[extended.public()]);
        verify_release(old.in_release(), &[extended.public()], clock()).unwrap();
        let description = extended.public().describe(clock());
        assert_eq!(description.signing_keys.len(), 1);
        for expires in [&description.expires, &description.signing_keys[0].expires] {
            let seconds = expires.as_ref().unwrap().parse::<Timestamp>().unwrap().0 - clock().0;
            assert!((30 * i64::from(DAY) - 60..=30 * i64::from(DAY)).contains(&seconds), "{expires:?}");
        }
        assert!(signer(&extended, &[], clock().plus(days(31))).is_err());

        // Twice in one second, the other way round, and for ever.
        let shorter = extended.extended(Some(days(5)), &[], clock()).unwrap();
        assert!(signer(&shorter, &[], clock().plus(days(6))).is_err());
        let for_ever = shorter.extended(None, &[], clock()).unwrap();
        assert_eq!(for_ever.public().describe(clock().plus(days(1))).expires, None);

        // The copy that was not extended learns it from the one that was; gpg does too.
        signer(&key.with_public(&extended.public()).unwrap(), &[], clock()).unwrap();
        let fresh = Gpg::new();
        fresh.run(&["--import"], &extended.public().armored().unwrap());
        let colons = listing(&fresh);
        let expires = (clock().0 + 30 * i64::from(DAY)) / 1000;
        let with_expiry =
            colons.lines().filter(|line| (line.starts_with("pub:") || line.starts_with("sub:")) && line.contains(&expires.to_string()));
        let expected = colons.lines().filter(|line| line.starts_with("pub:") || line.starts_with("sub:")).count();
        assert_eq!(with_expiry.count(), expected, "{colons}");
    }
    let revoked = gpg.key("revoked <r@example.org>", "ed25519", "sign", "1y");
    gpg.revoke(&revoked);
    assert!(matches!(by_gpg(&revoked).extended(None, &[], clock()), Err(SecretError::Refused(Refusal::Revoked { .. }))));
}

#[test]
fn extending_neither_revives_retired_subkeys_nor_needs_secrets_of_subkeys() {
    let mut gpg = Gpg::new();
    gpg.at(NOW.minus(days(20)));
    let fingerprint = gpg.key("a <a@example.org>", "ed25519", "cert", "5d");
    for expires in ["10d", "12d", "15d"] {
        gpg.subkey(&fingerprint, "ed25519", "sign", expires);
    }
    let whole = SecretKey::read_all("gpg", &gpg.secret(&fingerprint, "")).unwrap().remove(0);
    let primary_only = SecretKey::of(
        Cert::from_packets(whole.cert.as_tsk().into_packets().map(|packet| match packet {
            Packet::SecretSubkey(subkey) => Packet::PublicSubkey(subkey.take_secret().0),
            packet => packet,
        }))
        .unwrap(),
    );
    let expiries = |key: &SecretKey, now: Timestamp| key.public().describe(now).signing_keys.len();
    for (now, revived) in [(NOW, 1), (NOW.minus(days(9)), 2)] {
        let extended = primary_only.extended(Some(days(30)), &[], now).unwrap();
        assert_eq!(expiries(&extended, now), revived, "{now:?}");
        let merged = whole.with_public(&extended.public()).unwrap();
        signer(&merged, &[], now.plus(days(29))).unwrap();
        assert!(matches!(signer(&extended, &[], now), Err(SecretError::Absent { primary: false, .. })));
    }
}

#[test]
fn secret_files_are_for_their_owner_only_and_never_overwritten_unasked() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/keys/a.secret.asc");
    let key = ours("one <one@example.org>", None, NOW);
    let text = key.armored().unwrap();
    secret_file::create(&path, &text).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap()), mode(&folder.path().join("deep"))), (0o600, 0o700, 0o700));
    let error = secret_file::create(&path, &ours("two <two@example.org>", None, NOW).armored().unwrap()).unwrap_err();
    assert!(matches!(error, SecretError::Io { operation: "make", .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), text.expose());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    secret_file::replace(&path, &key.one_line().unwrap()).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(secret_file::read(&path).unwrap()[0].fingerprint(), key.fingerprint());
    assert!(secret_file::read(&folder.path().join("missing")).unwrap_err().to_string().starts_with("cannot read /"));
}
