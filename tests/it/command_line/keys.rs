//! Signing keys of ddb and of gpg: files for their owner only, used from variables and files, refused with a reason.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::super::sandbox::Sandbox;
use super::super::specimens::{Gpg, commit_by_hand, configure, only};
use super::{shell, workshop};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The only file of a folder with this ending.
fn secrets(sandbox: &Sandbox) -> (PathBuf, PathBuf) {
    let folder = sandbox.path("home/.config/ddb/keys");
    (only(&folder, ".secret.asc"), only(&folder, ".revocation.asc"))
}

#[test]
fn a_generated_key_is_for_its_owner_only_and_usable_by_gpg() {
    let sandbox = workshop();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    // Whatever the user's mask is.
    shell(&sandbox, "umask 0 && ddb-publish -C archive key generate --name 'Test archive' --email a@example.org --valid-for 1y").ok();
    let (secret, revocation) = secrets(&sandbox);
    assert_eq!((mode(&secret), mode(&revocation), mode(secret.parent().unwrap())), (0o600, 0o600, 0o700));
    let shown = sandbox.publish(&["-C", "archive", "key", "show", "--json"]).ok().json();
    let key = &shown["keys"][0];
    let path = key["path"].as_str().unwrap();
    assert!(path.starts_with("keys/") && key["secret_path"] == secret.to_str().unwrap(), "{shown}");
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    let public = sandbox.git(&["show", &format!("HEAD:{path}")]).ok().out;
    assert!(public.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK-----"), "{public}");
    let gpg = Gpg::new();
    gpg.run(&["--import"], public.as_bytes());
    let listing = String::from_utf8(gpg.run(&["--with-colons", "--list-keys"], b"")).unwrap();
    assert!(listing.contains("Test archive <a@example.org>") && listing.contains(":ed25519:"), "{listing}");
    gpg.run(&["--import"], &std::fs::read(&secret).unwrap());
    gpg.run(&["--local-user", key["key"]["fingerprint"].as_str().unwrap(), "--clearsign"], b"works");
    // The revocation certificate revokes.
    gpg.run(&["--import"], &std::fs::read(&revocation).unwrap());
    let listing = String::from_utf8(gpg.run(&["--with-colons", "--list-keys"], b"")).unwrap();
    assert!(listing.lines().any(|line| line.starts_with("pub:r:")), "{listing}");
    // A second key does not replace the first one's files.
    let before = std::fs::read(&secret).unwrap();
    sandbox.publish(&["-C", "archive", "key", "generate", "--name", "Second"]).ok();
    assert_eq!(std::fs::read(&secret).unwrap(), before);
    assert_eq!(sandbox.publish(&["-C", "archive", "key", "show", "--json"]).ok().json()["keys"].as_array().unwrap().len(), 2);
    // Both sign.
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let signatures = sandbox.run("gpg", &["--list-packets", sandbox.public().join("dists/trixie/Release.gpg").to_str().unwrap()]);
    assert_eq!(signatures.out.matches(":signature packet:").count(), 2, "{}", signatures.out);
}

#[test]
fn no_secret_may_lie_inside_the_archive() {
    let sandbox = workshop();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    symlink(sandbox.archive(), sandbox.path("innocent")).unwrap();
    for folder in ["archive/keys", "archive/secret/deep", "archive/.git/secret", "innocent/keys", "home/../archive/keys"] {
        let run = sandbox.publish(&["-C", "archive", "key", "generate", "--secret-dir", folder]).exits(7);
        assert!(run.err.contains("inside the archive"), "{folder}: {}", run.err);
        let run = sandbox.publish(&["-C", "archive/keys", "key", "generate", "--secret-dir", folder]).exits(7);
        assert!(run.err.contains("inside the archive"), "{folder}: {}", run.err);
    }
    assert_eq!(sandbox.git(&["rev-list", "--count", "HEAD"]).ok().out, "1\n");
    assert_eq!(shell(&sandbox, "grep -rl PRIVATE archive || true").ok().out, "");
    // A HOME inside the archive is no excuse.
    let mut inside = workshop();
    inside.deploy(&["init", "archive"]).ok();
    inside.environment.insert("XDG_CONFIG_HOME".to_owned(), inside.archive().join("config").to_str().unwrap().to_owned());
    inside.publish(&["-C", "archive", "key", "generate"]).exits(7).says("inside the archive");
    // A secret key that somebody committed into keys/ stops everything.
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    let (secret, _) = secrets(&sandbox);
    std::fs::copy(&secret, sandbox.archive().join("keys/oops.asc")).unwrap();
    commit_by_hand(&sandbox, "Add a secret key by mistake.");
    sandbox.dists(&[]).says("keys/oops.asc").says("SECRET");
    assert!(!sandbox.public().join("dists").exists());
}

#[test]
fn an_extended_key_signs_for_longer_and_old_clients_learn_it_from_the_tree() {
    let sandbox = workshop();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate", "--valid-for", "30d", "--now", "2026-11-01T00:00:00Z"]).ok();
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&["--now", "2026-11-02T00:00:00Z"]).ok();
    let late = ["--now", "2026-12-15T00:00:00Z"];
    sandbox.dists(&[&late[..], &["--renew"]].concat()).exits(7).says("expired");
    let answer =
        sandbox.publish(&["-C", "archive", "key", "extend", "--valid-for", "1y", "--json", "--now", "2026-12-15T00:00:00Z"]).ok().json();
    assert!(answer["expired_before"].as_str().unwrap().starts_with("2026-12-01"), "{answer}");
    assert!(answer["key"]["expires"].as_str().unwrap().starts_with("2027-12-15"), "{answer}");
    sandbox.dists(&[&late[..], &["--renew"]].concat()).ok();
    let (secret, _) = secrets(&sandbox);
    assert_eq!(mode(&secret), 0o600);
    let keyring = std::fs::read(sandbox.public().join("archive-keyring.asc")).unwrap();
    let gpg = Gpg::new();
    gpg.run(&["--import"], &keyring);
    let listing = |time: &str| String::from_utf8(gpg.run(&["--faked-system-time", time, "--with-colons", "--list-keys"], b"")).unwrap();
    assert!(!listing("20271201T000000").contains("pub:e:"), "{}", listing("20271201T000000"));
    assert!(listing("20280101T000000").contains("pub:e:"), "{}", listing("20280101T000000"));
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
}

#[test]
fn keys_made_by_gpg_sign_from_the_variable_and_from_a_file() {
    let gpg = Gpg::new();
    let plain = gpg.key("plain <plain@example.org>", "ed25519", "sign", "1y", "");
    let protected = gpg.key("protected <protected@example.org>", "rsa3072", "sign", "1y", "pass phrase");
    let with_subkey = gpg.key("subkey <subkey@example.org>", "rsa3072", "cert", "1y", "");
    gpg.run(&["--passphrase", "", "--quick-add-key", &with_subkey, "ed25519", "sign", "1y"], b"");
    let secret = |key: &str, passphrase: &str| String::from_utf8(gpg.secret(key, passphrase)).unwrap();
    for (key, passphrase) in [(&plain, ""), (&protected, "pass phrase"), (&with_subkey, "")] {
        for way in ["variable", "file"] {
            let mut sandbox = workshop();
            sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
            sandbox.write("archive/keys/gpg.asc", gpg.public(key));
            commit_by_hand(&sandbox, "Sign with a key made by gpg.");
            sandbox.commit("out", &[]).ok();
            let mut more: Vec<&str> = Vec::new();
            if way == "variable" {
                sandbox.environment.insert("DDB_SIGNING_KEY".to_owned(), secret(key, passphrase));
                sandbox.environment.insert("DDB_SIGNING_KEY_PASSPHRASE".to_owned(), passphrase.to_owned());
            } else {
                sandbox.write("secret.asc", secret(key, passphrase));
                sandbox.write("passphrase", format!("{passphrase}\n"));
                more.extend(["--key-file", "secret.asc"]);
                if !passphrase.is_empty() {
                    more.extend(["--passphrase-file", "passphrase"]);
                }
            }
            sandbox.dists(&more).ok();
            // gpgv, as apt runs it, with the keyring that the tree offers.
            let tree = sandbox.public();
            let keyring = sandbox.path("keyring.gpg");
            sandbox.run("gpg", &["--dearmor", "-o", keyring.to_str().unwrap(), tree.join("archive-keyring.asc").to_str().unwrap()]).ok();
            let release = tree.join("dists/trixie");
            sandbox.run("gpgv", &["--keyring", keyring.to_str().unwrap(), release.join("InRelease").to_str().unwrap()]).ok();
            sandbox
                .run(
                    "gpgv",
                    &[
                        "--keyring",
                        keyring.to_str().unwrap(),
                        release.join("Release.gpg").to_str().unwrap(),
                        release.join("Release").to_str().unwrap(),
                    ],
                )
                .ok();
        }
    }
}

#[test]
fn several_keys_sign_at_once_and_signing_keys_chooses_among_them() {
    let gpg = Gpg::new();
    let (one, two) =
        (gpg.key("one <one@example.org>", "ed25519", "sign", "1y", ""), gpg.key("two <two@example.org>", "rsa3072", "sign", "1y", "two"));
    let mut sandbox = workshop();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.write("archive/keys/one.asc", gpg.public(&one));
    sandbox.write("archive/keys/two.asc", gpg.public(&two));
    commit_by_hand(&sandbox, "Sign with two keys.");
    sandbox.commit("out", &[]).ok();
    sandbox.write("one.secret", gpg.secret(&one, ""));
    sandbox.write("two.secret", gpg.secret(&two, "two"));
    sandbox.environment.insert("DDB_SIGNING_KEY_PASSPHRASE".to_owned(), "two".to_owned());
    sandbox.dists(&["--key-file", "one.secret"]).exits(7).says(&two);
    assert!(!sandbox.public().join("dists").exists());
    sandbox.dists(&["--key-file", "one.secret", "--key-file", "two.secret"]).ok();
    let status = |sandbox: &Sandbox| {
        let keyring = sandbox.path("keyring.gpg");
        let _ = std::fs::remove_file(&keyring);
        sandbox
            .run("gpg", &["--dearmor", "-o", keyring.to_str().unwrap(), sandbox.public().join("archive-keyring.asc").to_str().unwrap()])
            .ok();
        sandbox
            .run(
                "gpgv",
                &[
                    "--status-fd",
                    "1",
                    "--keyring",
                    keyring.to_str().unwrap(),
                    sandbox.public().join("dists/trixie/InRelease").to_str().unwrap(),
                ],
            )
            .ok()
            .out
    };
    let said = status(&sandbox);
    assert!(said.contains(&format!("VALIDSIG {one}")) && said.contains(&format!("VALIDSIG {two}")), "{said}");
    configure(&sandbox, "", &format!("[signing]\nkeys = [\"{one}\"]\n"));
    sandbox.dists(&["--key-file", "one.secret"]).ok();
    let said = status(&sandbox);
    assert!(said.contains(&format!("VALIDSIG {one}")) && !said.contains(&two), "{said}");
}

#[test]
fn weak_expired_foreign_and_missing_keys_are_refused_before_anything_is_staged() {
    let gpg = Gpg::new();
    let weak = gpg.key("weak <weak@example.org>", "rsa1024", "sign", "1y", "");
    let (expired, _) = gpg.expired_key("expired <expired@example.org>");
    let stranger = gpg.key("stranger <stranger@example.org>", "ed25519", "sign", "1y", "");
    let good = gpg.key("good <good@example.org>", "ed25519", "sign", "1y", "");
    for (public, secret, said) in [(&weak, &weak, "rsa1024"), (&expired, &expired, "expired on"), (&good, &stranger, stranger.as_str())] {
        let mut sandbox = workshop();
        sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
        sandbox.write("archive/keys/gpg.asc", gpg.public(public));
        commit_by_hand(&sandbox, "Sign with a key made by gpg.");
        sandbox.commit("out", &[]).ok();
        sandbox.dists(&[]).exits(7).says("DDB_SIGNING_KEY");
        sandbox.environment.insert("DDB_SIGNING_KEY".to_owned(), String::from_utf8(gpg.secret(secret, "")).unwrap());
        sandbox.dists(&[]).exits(7).says(said);
        assert!(!sandbox.public().join("dists").exists());
        assert_eq!(sandbox.git(&["for-each-ref", "refs/heads/ddb"]).ok().out, "");
        if public == &good {
            sandbox.environment.insert("DDB_SIGNING_KEY".to_owned(), String::from_utf8(gpg.secret(&good, "")).unwrap());
            sandbox.dists(&[]).ok();
        }
    }
}
