//! What stock verifiers say about signatures made here: sqv and apt-get.

use std::path::Path;

use sequoia_openpgp::Profile;
use sequoia_openpgp::cert::prelude::*;

use super::certificate::system_time;
use super::gnupg::{Gpg, clock, run};
use super::keys::SecretKey;
use super::openpgp::OpenPgpSigner;
use super::*;
use crate::words::date::Span;

fn ours(user: &str) -> SecretKey {
    SecretKey::generate(user, Some(Span::of_seconds(86_400)), None, clock()).unwrap().key
}

pub(super) fn version_6() -> SecretKey {
    let builder = CertBuilder::new().set_creation_time(system_time(clock())).set_profile(Profile::RFC9580).unwrap();
    SecretKey::of(builder.add_userid("v6 <six@example.org>").add_signing_subkey().generate().unwrap().0)
}

fn by_gpg(algorithm: &str) -> SecretKey {
    let mut gpg = Gpg::new();
    gpg.at(clock());
    let fingerprint = gpg.key("gpg <gpg@example.org>", algorithm, "sign", "1y");
    SecretKey::read_all("gpg", &gpg.secret(&fingerprint, "")).unwrap().remove(0)
}

/// Makes a tree with one suite of no packages, signed by these keys.
fn tree(folder: &Path, keys: &[SecretKey]) -> SignedRelease {
    let suite = folder.join("dists/trixie");
    std::fs::create_dir_all(suite.join("main/binary-amd64")).unwrap();
    std::fs::write(suite.join("main/binary-amd64/Packages"), "").unwrap();
    let options = ["Codename=trixie", "Suite=trixie", "Components=main", "Architectures=amd64"];
    let options = options.iter().flat_map(|option| ["-o".to_owned(), format!("APT::FTPArchive::Release::{option}")]);
    let release = run("apt-ftparchive", options.chain(["release".to_owned(), suite.display().to_string()]), b"");
    assert!(release.status.success());
    let signed = SignedRelease::sign(&OpenPgpSigner::new(keys, &[], clock()).unwrap(), &release.stdout, clock()).unwrap();
    std::fs::write(suite.join("InRelease"), signed.in_release()).unwrap();
    signed
}

/// Runs `apt-get update` with folders of its own; the answer is whether it trusts the tree.
fn apt_trusts(tree: &Path, keyring_name: &str, keyring: &[u8]) -> bool {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    for folder in [
        "etc/apt.conf.d",
        "etc/preferences.d",
        "etc/trusted.gpg.d",
        "etc/sources.list.d",
        "state/lists/partial",
        "cache/archives/partial",
        "log",
    ] {
        std::fs::create_dir_all(home.path().join(folder)).unwrap();
    }
    std::fs::write(path(keyring_name), keyring).unwrap();
    std::fs::write(path("status"), "").unwrap();
    std::fs::write(
        path("etc/sources.list"),
        format!("deb [signed-by={} arch=amd64] file:{} trixie main\n", path(keyring_name), tree.display()),
    )
    .unwrap();
    let options = [
        format!("Dir::Etc={}", path("etc")),
        format!("Dir::State={}", path("state")),
        format!("Dir::State::status={}", path("status")),
        format!("Dir::Cache={}", path("cache")),
        format!("Dir::Log={}", path("log")),
        "APT::Architecture=amd64".to_owned(),
        "APT::Sandbox::User=".to_owned(),
        "APT::Update::Error-Mode=any".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ];
    let arguments = options.iter().flat_map(|option| ["-o", option.as_str()]).chain(["update"]);
    let output = run("apt-get", arguments, b"");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let listed = std::fs::read_dir(home.path().join("state/lists"))
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().contains("trixie"));
    assert_eq!(output.status.success(), listed, "{said}");
    assert!(listed || said.contains("NO_PUBKEY") || said.contains("not signed") || said.contains("Missing key"), "{said}");
    listed
}

#[test]
fn apt_trusts_every_one_of_several_signers_and_nobody_else() {
    let (new, old, rsa, other) =
        (ours("new <new@example.org>"), ours("old <old@example.org>"), by_gpg("rsa3072"), ours("other <o@example.org>"));
    let folder = tempfile::tempdir().unwrap();
    let signed = tree(folder.path(), &[new.clone(), old.clone(), rsa.clone()]);
    for key in [&new, &old, &rsa] {
        assert!(apt_trusts(folder.path(), "keyring.asc", &key.public().armored().unwrap()));
    }
    let both = keyring(&[other.public(), rsa.public()]).unwrap();
    assert!(apt_trusts(folder.path(), "keyring.gpg", &both));
    assert!(!apt_trusts(folder.path(), "keyring.asc", &other.public().armored().unwrap()));

    // Without InRelease, apt takes Release and Release.gpg.
    let suite = folder.path().join("dists/trixie");
    std::fs::remove_file(suite.join("InRelease")).unwrap();
    std::fs::write(suite.join("Release"), signed.release()).unwrap();
    std::fs::write(suite.join("Release.gpg"), signed.detached()).unwrap();
    assert!(apt_trusts(folder.path(), "keyring.asc", &old.public().armored().unwrap()));
    assert!(!apt_trusts(folder.path(), "keyring.asc", &other.public().armored().unwrap()));
}

#[test]
fn version_6_signs_only_beside_version_4() {
    let (four, six) = (ours("four <four@example.org>"), version_6());
    let alone = OpenPgpSigner::new(std::slice::from_ref(&six), &[], clock()).unwrap();
    assert!(matches!(SignedRelease::sign(&alone, b"x\n", clock()), Err(SignError::OnlyVersion6)));
    let folder = tempfile::tempdir().unwrap();
    let signed = tree(folder.path(), &[four.clone(), six.clone()]);
    assert_eq!(signed.fingerprints().len(), 2);
    assert!(apt_trusts(folder.path(), "keyring.asc", &four.public().armored().unwrap()));
}

#[test]
fn sqv_agrees_about_detached_signatures() {
    let (one, two) = (ours("one <one@example.org>"), by_gpg("rsa2048"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let signed = tree(folder.path(), &[one.clone(), two.clone()]);
    std::fs::write(path("keyring.gpg"), keyring(&[one.public(), two.public()]).unwrap()).unwrap();
    std::fs::write(path("Release"), signed.release()).unwrap();
    std::fs::write(path("Release.gpg"), signed.detached()).unwrap();
    let good = run("sqv", ["-n", "2", "--keyring", &path("keyring.gpg"), &path("Release.gpg"), &path("Release")], b"");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    std::fs::write(path("Release"), [signed.release(), b"x\n"].concat()).unwrap();
    assert!(!run("sqv", ["--keyring", &path("keyring.gpg"), &path("Release.gpg"), &path("Release")], b"").status.success());
}

#[test]
fn a_key_of_sq_signs_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let user = "sq <sq@example.org>";
    // sq of Debian 12, then sq 1.x.
    let old = run("sq", ["key", "generate", "--userid", user, "--export", &path("key.pgp")], b"");
    if !old.status.success() {
        let home = folder.path().display().to_string();
        let arguments =
            ["--home", &home, "key", "generate", "--own-key", "--userid", user, "--without-password", "--output", &path("key.pgp")];
        let new = run("sq", arguments.into_iter().chain(["--rev-cert", &path("key.rev")]), b"");
        assert!(new.status.success(), "{}{}", String::from_utf8_lossy(&old.stderr), String::from_utf8_lossy(&new.stderr));
    }
    let key = SecretKey::read_all("key.pgp", &std::fs::read(path("key.pgp")).unwrap()).unwrap().remove(0);
    let signed = tree(folder.path(), std::slice::from_ref(&key));
    assert_eq!(signed.fingerprints(), [key.fingerprint()]);
    assert!(apt_trusts(folder.path(), "keyring.asc", &key.public().armored().unwrap()));
}
