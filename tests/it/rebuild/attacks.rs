//! What `rebuild` notices: Releases that are rightly signed and are not what the commit gives, and history that was rewritten.

use ddb::formats::contents::FileList;

use super::plant::Plant;
use super::{clone, configure_suite, head, only_finding, otherwise, plain_archive, rebuild};
use crate::sandbox::{Run, Sandbox};
use crate::server::Server;

const PACKAGES: &str = "main/binary-amd64/Packages";

/// Somebody who has the signing key publishes other bytes under the name of a package, in a copy of the archive.
pub fn stolen(sandbox: &Sandbox) {
    sandbox.run("cp", &["-a", "archive", "stolen"]).ok();
    sandbox.deb("evil", "plain", "1.0-1", "amd64", "Depends: libc6, evil\n");
    sandbox.deploy(&["-C", "stolen", "commit", "evil", "--on-conflict", "replace"]).ok();
    sandbox.publish(&["-C", "stolen", "dists", "trixie", "--now", "2026-09-15T08:00:00Z"]).ok();
    sandbox.git(&["fetch", "-q", "../stolen", "ddb/releases/trixie:stolen"]).ok();
}

/// Puts the stolen Release onto the archive's branch, as if it had been made from the honest commit.
pub fn plant(sandbox: &Sandbox) {
    let base = head(sandbox, "HEAD");
    let mut planted = Plant::on(sandbox, "stolen");
    planted.edit("inputs.json", |inputs| inputs["base"] = base.as_str().into());
    planted.commit_vouched("ddb/releases/trixie");
}

#[test]
fn changed_packages_with_a_valid_looking_release_are_named_to_the_package_and_field() {
    let sandbox = plain_archive();
    stolen(&sandbox);
    plant(&sandbox);
    // Nobody else notices: the signature is that of the archive, and every index is as Release lists it.
    let pinned = ["--suite", "trixie", "--keyring", "archive/keys", "--pool", "--now", "2026-09-15T08:00:00Z"];
    sandbox.publish(&[&["verify", "stolen/public"], &pinned[..]].concat()).ok();
    clone(&sandbox, "stranger", &[]);
    let differs = |run: Run| {
        let answer = run.exits(35).json();
        assert_eq!(answer["verdict"], "differs");
        assert!(answer["signature"].is_object(), "it is well signed: {answer}");
        let files: Vec<String> = otherwise(&answer).into_keys().collect();
        assert_eq!(files, ["Release", PACKAGES, &format!("{PACKAGES}.gz"), &format!("{PACKAGES}.xz")]);
        answer["findings"].as_array().unwrap().iter().find(|finding| finding["file"] == PACKAGES).unwrap()["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // The stranger has no published bytes: what is recorded of the blocks tells roughly where.
    let reason = differs(rebuild(&sandbox, "stranger", "trixie", &[]));
    assert!(reason.contains("it differs between plain and the end"), "{reason}");
    // With what clients are given, to the field.
    let field = "plain 1.0-1: the field Depends is published as \"libc6, evil\", and the commit gives \"libc6\"";
    let server = Server::of(&sandbox.path("stolen/public"));
    for site in ["stolen/public", &server.url()] {
        assert_eq!(differs(rebuild(&sandbox, "stranger", "trixie", &["--site", site])), field);
    }
    let said = sandbox.publish(&["-C", "stranger", "rebuild", "trixie", "--site", "stolen/public"]).exits(35).out;
    assert!(said.contains(&format!("{PACKAGES}: {field}\n")) && said.ends_with("trixie: 4 problems.\n"), "{said}");
    // The Release before is what it was.
    rebuild(&sandbox, "stranger", "trixie@1", &[]).ok();
}

#[test]
fn a_package_that_is_hidden_or_slipped_in_is_named() {
    for (change, expected) in [
        ("git -C stolen rm -q -r suites/trixie/main/binary-all/s/second", "second 2.0-1: the commit gives it, and it is not published"),
        ("ddb-deploy -C stolen commit slipped", "quiet 6.6.6: it is published, and the commit does not give it"),
    ] {
        let sandbox = plain_archive();
        sandbox.run("cp", &["-a", "archive", "stolen"]).ok();
        sandbox.deb("slipped", "quiet", "6.6.6", "amd64", "");
        match change.strip_prefix("ddb-deploy ") {
            Some(arguments) => drop(sandbox.deploy(&arguments.split(' ').collect::<Vec<_>>()).ok()),
            None => drop(sandbox.run("sh", &["-c", &format!("{change} && git -C stolen commit -q -m Hide.")]).ok()),
        }
        sandbox.publish(&["-C", "stolen", "dists", "trixie", "--now", "2026-09-15T08:00:00Z"]).ok();
        sandbox.git(&["fetch", "-q", "../stolen", "ddb/releases/trixie:stolen"]).ok();
        plant(&sandbox);
        let answer = rebuild(&sandbox, "archive", "trixie", &["--site", "stolen/public"]).exits(35).json();
        let finding = answer["findings"].as_array().unwrap().iter().find(|finding| finding["file"] == PACKAGES).unwrap();
        assert_eq!(finding["reason"], expected);
    }
}

#[test]
fn a_release_with_another_head_or_another_signer_is_named() {
    let sandbox = plain_archive();
    let honest = head(&sandbox, "ddb/releases/trixie");
    let mut planted = Plant::on(&sandbox, &honest);
    let release = String::from_utf8(planted.file("Release")).unwrap();
    planted.sign(&release.replace("Origin: Test", "Origin: Debian"));
    planted.commit(&[&honest, "HEAD"]);
    let answer = rebuild(&sandbox, "archive", "trixie", &[]).exits(35).json();
    let expected = "it has \"Origin: Debian\" where the commit gives \"Origin: Test\"";
    assert_eq!(only_finding(&answer), ("Release".to_owned(), expected.to_owned()));

    // The same Release, signed by somebody whose key is not in the base commit.
    sandbox.run("cp", &["-a", "archive", "stolen"]).ok();
    sandbox.run("git", &["-C", "stolen", "update-ref", "refs/heads/ddb/releases/trixie", &honest]).ok();
    sandbox.run("sh", &["-c", "cd stolen && git rm -q keys/* && git commit -q -m 'No key.'"]).ok();
    sandbox.publish(&["-C", "stolen", "key", "generate", "--name", "Stranger", "--email", "stranger@example.org"]).ok();
    sandbox.publish(&["-C", "stolen", "dists", "trixie", "--now", "2026-09-15T08:00:00Z"]).ok();
    sandbox.git(&["fetch", "-q", "../stolen", "ddb/releases/trixie:stolen"]).ok();
    plant(&sandbox);
    let answer = rebuild(&sandbox, "archive", "trixie", &[]).exits(35).json();
    let (file, reason) = only_finding(&answer);
    assert!(file == "InRelease" && reason.contains("unknown key"), "{file}: {reason}");
    assert!(answer["signature"].is_null());
}

#[test]
fn history_that_was_rewritten_after_a_publish_is_noticed() {
    let sandbox = plain_archive();
    let base = head(&sandbox, "HEAD");
    let served = head(&sandbox, "ddb/releases/trixie");
    rebuild(&sandbox, "archive", "trixie", &[]).ok();
    // The archive's branch goes another way. The commit is still there, since the branch of Releases keeps it.
    sandbox.git(&["commit", "-q", "--amend", "-m", "Something else."]).ok();
    clone(&sandbox, "stranger", &[]);
    let answer = rebuild(&sandbox, "stranger", "trixie", &[]).exits(35).json();
    assert_eq!((&answer["history"], otherwise(&answer).len()), (&"elsewhere".into(), 0));
    let (file, reason) = only_finding(&answer);
    assert!(file == "Release" && reason.contains(&base) && reason.contains("history was rewritten"), "{file}: {reason}");
    // Who knows of it names the branch that the archive was.
    sandbox.git(&["branch", "before", &base]).ok();
    clone(&sandbox, "both", &[]);
    rebuild(&sandbox, "both", "trixie", &[]).exits(35);
    assert_eq!(rebuild(&sandbox, "both", "trixie", &["--branch", "before"]).ok().json()["history"], "kept");
    rebuild(&sandbox, "both", "trixie", &["--branch", "nosuch"]).exits(4).says("refs/heads/nosuch");
    sandbox.git(&["branch", "-q", "-D", "before"]).ok();
    // The branch of Releases is rewritten as well, so that nothing leads to the commit: nobody can make that Release again.
    Plant::on(&sandbox, &served).commit(&[]);
    clone(&sandbox, "forgetful", &[]);
    assert_ne!(sandbox.run("git", &["-C", "forgetful", "cat-file", "-e", &base]).code, 0);
    let run = rebuild(&sandbox, "forgetful", "trixie", &[]).exits(4);
    run.says(&format!("commit {base}, which Release 1 of trixie was made from, is not here")).says("history was rewritten");
}

#[test]
fn what_clients_are_given_is_compared_too() {
    let sandbox = plain_archive();
    let server = Server::of(&sandbox.public());
    let look = |release: &str| rebuild(&sandbox, "archive", release, &["--site", &server.url()]);
    let answer = look("trixie").ok().json();
    assert_eq!((&answer["verdict"], answer["notes"].as_array().unwrap().len()), (&"same".into(), 0));
    // Another index, a missing one, and an InRelease that nobody recorded.
    let path = format!("dists/trixie/{PACKAGES}.xz");
    server.change(&path, b"evil".to_vec());
    assert_eq!(only_finding(&look("trixie").exits(35).json()).0, format!("{PACKAGES}.xz"));
    server.hide(&path);
    assert_eq!(only_finding(&look("trixie").exits(35).json()).1, "it is missing");
    server.change_nothing();
    stolen(&sandbox);
    server.change("dists/trixie/InRelease", std::fs::read(sandbox.path("stolen/public/dists/trixie/InRelease")).unwrap());
    let (file, reason) = only_finding(&look("trixie").exits(35).json());
    assert!(file == "dists/trixie/InRelease" && reason.contains("is not on refs/heads/ddb/releases/trixie"), "{file}: {reason}");
    server.hide("dists/trixie/InRelease");
    assert_eq!(only_finding(&look("trixie").exits(35).json()).1, "it is missing");
    server.change_nothing();
    // An older Release: its indices are still there under their digests.
    sandbox.dists(&["--renew", "--now", "2026-09-15T08:00:00Z"]).ok();
    let answer = look("trixie@1").ok().json();
    assert_eq!(answer["notes"], serde_json::json!(["the site shows Release 2 now, not 1"]));
}

#[test]
fn a_planted_file_list_does_not_pass_for_that_of_a_package() {
    // The package came before Contents were wanted, so that its list is named with the Release and not in its record.
    let sandbox = plain_archive();
    configure_suite(&sandbox, "contents = true\n");
    sandbox.dists_at("2026-09-15T08:00:00Z", &[]).ok();
    assert_eq!(rebuild(&sandbox, "archive", "trixie", &[]).ok().json()["verdict"], "same");
    let package = std::fs::read(sandbox.path("out/plain_1.0-1_amd64.deb")).unwrap();
    let package = ddb::words::digest::Sha256::of(&package).to_hex();
    let list = FileList::of(&["usr/bin/sudo".to_owned()]);
    let digest = list.digest().to_hex();
    sandbox.write(format!("archive/.git/ddb/derived/file-lists-v1/{}/{}/{digest}", &digest[..2], &digest[2..4]), list.bytes());
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    planted.edit("lists.json", |lists| *lists.get_mut(&package).unwrap() = digest.into());
    planted.commit(&["ddb/releases/trixie", "HEAD"]);
    sandbox.dists_at("2026-09-16T08:00:00Z", &["--repack"]).ok().says("no key of the archive vouches for what");
    let published = sandbox.run("gzip", &["-dc", "archive/public/dists/trixie/main/Contents-amd64.gz"]).ok().out;
    assert!(!published.contains("usr/bin/sudo") && published.contains("plain"), "{published}");
    assert_eq!(rebuild(&sandbox, "archive", "trixie", &[]).ok().json()["verdict"], "same");
    // On the branch it is a finding.
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    planted.edit("lists.json", |lists| *lists.get_mut(&package).unwrap() = list.digest().to_hex().into());
    planted.commit(&["ddb/releases/trixie", "HEAD"]);
    let answer = rebuild(&sandbox, "archive", "trixie", &[]).exits(35).json();
    assert!(answer["findings"].to_string().contains("lists.json"), "{answer}");
}
