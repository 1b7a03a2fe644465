//! Attacks on what is served: on the signature, on time, on indices and on packages.

use ddb::words::archive::LogKind;

use super::{MONDAY, TUESDAY, WEDNESDAY, copy_tree, dists, plain_archive, replace, set_time, verdict, verify};
use crate::sandbox::{Run, Sandbox};
use crate::server::Server;
use crate::sigsum::site::{Log, configure, give_key};

#[track_caller]
fn is(run: &Run, class: &str, file: &str) {
    let (found, files) = verdict(run);
    assert!(found == class && files.iter().any(|named| named == file), "{found} {files:?}\n{}", run.out);
}

const LOCATION: &str = "archive/public";
const IN_RELEASE: &str = "dists/trixie/InRelease";

fn json(sandbox: &Sandbox, more: &[&str]) -> Run {
    verify(sandbox, LOCATION, &[&["--json"], more].concat())
}

#[test]
fn a_signature_that_is_not_by_a_pinned_key_or_does_not_cover_the_text_is_refused() {
    let sandbox = plain_archive(MONDAY);
    let good = std::fs::read_to_string(dists(&sandbox, "InRelease")).unwrap();
    let release = std::fs::read_to_string(dists(&sandbox, "Release")).unwrap();
    for (what, bad) in [
        ("changed", good.replacen("Origin: Test", "Origin: Tset", 1)),
        ("text behind", format!("{good}Origin: evil\n")),
        ("text before", format!("Origin: evil\n\n{good}")),
        ("cut off", good[..good.len() - 40].to_owned()),
        ("cut off in the text", good[..good.len() / 3].to_owned()),
        ("not signed at all", release.clone()),
        ("empty", String::new()),
    ] {
        replace(&dists(&sandbox, "InRelease"), bad);
        let run = json(&sandbox, &["--pool"]).exits(20);
        is(&run, "signature", IN_RELEASE);
        assert_eq!(run.json()["suites"][0]["indices"]["files"], 0, "{what}: nothing below is believed");
    }
    replace(&dists(&sandbox, "InRelease"), &good);
    json(&sandbox, &[]).ok();

    // The detached signature is for other clients, and says the same.
    replace(&dists(&sandbox, "Release"), release.replacen("Origin: Test", "Origin: Tset", 1));
    is(&json(&sandbox, &[]).exits(20), "signature", "dists/trixie/Release.gpg");
    replace(&dists(&sandbox, "Release"), &release);
    // Without InRelease, the two are all there is.
    std::fs::remove_file(dists(&sandbox, "InRelease")).unwrap();
    json(&sandbox, &[]).ok();
    let detached = std::fs::read(dists(&sandbox, "Release.gpg")).unwrap();
    std::fs::remove_file(dists(&sandbox, "Release.gpg")).unwrap();
    is(&json(&sandbox, &[]).exits(20), "signature", "dists/trixie/Release.gpg");
    replace(&dists(&sandbox, "Release"), &release);
    std::fs::write(dists(&sandbox, "Release.gpg"), detached).unwrap();
    std::fs::write(dists(&sandbox, "InRelease"), &good).unwrap();

    // A stranger signs the very same Release.
    sandbox.publish(&["-C", "archive", "key", "generate", "--name", "Stranger", "--email", "stranger@example.org"]).ok();
    let keys = std::fs::read_dir(sandbox.archive().join("keys")).unwrap().map(|entry| entry.unwrap().path());
    let pinned = std::fs::read_to_string(sandbox.path("pinned.asc")).unwrap();
    let armor = |text: &str| text.lines().filter(|line| !line.contains(':')).collect::<String>();
    let own = keys.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| armor(&text) == armor(&pinned))).last().unwrap();
    sandbox.git(&["rm", "-q", own.to_str().unwrap()]).ok();
    sandbox.git(&["commit", "-q", "-m", "Another key."]).ok();
    sandbox.dists(&["--renew", "--now", TUESDAY]).ok();
    is(&json(&sandbox, &["--now", TUESDAY]).exits(20), "signature", IN_RELEASE);
}

#[test]
fn an_expired_key_and_a_key_of_the_future_do_not_count() {
    let sandbox = plain_archive(MONDAY);
    json(&sandbox, &["--now", "2045-01-01T00:00:00Z"]).exits(20);
    json(&sandbox, &["--now", "2020-01-01T00:00:00Z"]).exits(20);
}

#[test]
fn two_signed_texts_that_contradict_each_other_are_refused() {
    let mut sandbox = plain_archive(MONDAY);
    let old = [dists(&sandbox, "Release"), dists(&sandbox, "Release.gpg")].map(|path| (std::fs::read(&path).unwrap(), path));
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&["--renew"]).ok();
    for (bytes, path) in old {
        replace(&path, bytes);
    }
    is(&json(&sandbox, &[]).exits(20), "signature", "dists/trixie/Release");
    // Another suite's Release, rightly signed, in the place of this one.
    copy_tree(&sandbox, "archive/public/dists/trixie", "archive/public/dists/other");
    let run = sandbox.publish(&["verify", LOCATION, "--suite", "other", "--keyring", "pinned.asc"]).exits(20);
    assert!(run.out.contains("shown in place of that of other"), "{}", run.out);
}

#[test]
fn an_archive_that_stands_still_or_comes_from_the_future_is_not_fresh() {
    let mut sandbox = plain_archive(MONDAY);
    // No Valid-Until: only a limit of our own notices.
    json(&sandbox, &["--now", "2026-12-01T00:00:00Z"]).ok();
    is(&json(&sandbox, &["--now", WEDNESDAY, "--max-age", "1d"]).exits(21), "freshness", IN_RELEASE);
    json(&sandbox, &["--now", WEDNESDAY, "--max-age", "3d"]).ok();
    let settings = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text + "valid-for = \"1d\"\n").unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Expire."]).ok();
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&[]).ok();
    json(&sandbox, &[]).ok();
    let run = json(&sandbox, &["--now", "2026-09-16T08:00:01Z"]).exits(21);
    is(&run, "freshness", IN_RELEASE);
    assert!(run.out.contains("was good until 2026-09-16T08:00:00Z"));

    // A Date of the future, signed now by the archive's own key: it would outdate every later Release.
    let gpg = crate::specimens::Gpg::new();
    let key = gpg.key("Ahead <ahead@example.org>", "ed25519", "sign", "0", "");
    sandbox.write("pinned.asc", gpg.public(&key));
    let release = std::fs::read_to_string(dists(&sandbox, "Release")).unwrap();
    let ahead: String = release.lines().filter(|line| !line.starts_with("Valid-Until")).map(|line| format!("{line}\n")).collect();
    let file = sandbox.write("Release", ahead.replace("Date: Tue, 15 Sep 2026", "Date: Mon, 15 Sep 2042"));
    gpg.clearsign(&key, &[], &file);
    replace(&dists(&sandbox, "InRelease"), std::fs::read(&file).unwrap());
    for file in ["Release", "Release.gpg"] {
        std::fs::remove_file(dists(&sandbox, file)).unwrap();
    }
    let now = sandbox.run("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).ok().out.trim().to_owned();
    let run = json(&sandbox, &["--state", "anew", "--now", &now]).exits(21);
    is(&run, "freshness", IN_RELEASE);
    assert!(run.out.contains("lies in the future"));
    assert!(!sandbox.path("anew").exists(), "what comes from the future is not remembered");
}

#[test]
fn an_older_release_is_a_rollback_also_when_a_stolen_key_signs_it_anew() {
    let mut sandbox = plain_archive(MONDAY);
    copy_tree(&sandbox, "archive", "stolen");
    copy_tree(&sandbox, "archive/public", "old");
    sandbox.deb("next", "plain", "1.1-1", "amd64", "");
    sandbox.commit("next", &[]).ok();
    set_time(&mut sandbox, WEDNESDAY);
    sandbox.dists(&[]).ok();
    let server = Server::of(&sandbox.path("shown"));
    let show = |tree: &str| {
        sandbox.run("rm", &["-rf", "shown"]).ok();
        copy_tree(&sandbox, tree, "shown");
    };
    let look = || verify(&sandbox, &server.url(), &["--json"]);
    show("archive/public");
    look().ok();
    // The mirror plays an old state, whole and rightly signed.
    show("old");
    is(&look().exits(22), "rollback", IN_RELEASE);
    // The thief signs it anew, with a new Date that lies before the newest.
    sandbox.publish(&["-C", "stolen", "dists", "trixie", "--renew", "--now", TUESDAY]).ok();
    show("stolen/public");
    is(&look().exits(22), "rollback", IN_RELEASE);
    // With the same Date: two Releases of one second are not one archive for everybody.
    sandbox.publish(&["-C", "stolen", "dists", "trixie", "--renew", "--now", WEDNESDAY]).ok();
    show("stolen/public");
    let run = look().exits(22);
    is(&run, "rollback", IN_RELEASE);
    assert!(run.out.contains("another Release of the same date"), "{}", run.out);
    // The refused ones were not remembered: the true one is still good.
    show("archive/public");
    look().ok();
    // Whoever did not look before has nothing to compare with; that is said.
    show("old");
    let run = verify(&sandbox, &server.url(), &["--state", "fresh"]).ok();
    assert!(run.out.contains("first look at this suite"), "{}", run.out);
}

#[test]
fn a_bad_release_that_is_taken_away_while_it_is_looked_at_was_shown_all_the_same() {
    let mut sandbox = plain_archive(MONDAY);
    let old = std::fs::read(dists(&sandbox, "InRelease")).unwrap();
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&["--renew"]).ok();
    let server = Server::of(&sandbox.public());
    let look = || verify(&sandbox, &server.url(), &["--json"]);
    look().ok();
    server.take_log();
    server.change(IN_RELEASE, old);
    let run = std::thread::scope(|scope| {
        let run = scope.spawn(look);
        // What is shown first is the old one, and every later time the new one.
        while !run.is_finished() && !server.take_log().iter().any(|(path, _)| path == IN_RELEASE) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        server.change_nothing();
        run.join().unwrap()
    });
    is(&run.exits(22), "rollback", IN_RELEASE);
    look().ok();
}

#[test]
fn indices_of_two_releases_mixed_changed_cut_off_or_missing_are_named() {
    let mut sandbox = plain_archive(MONDAY);
    copy_tree(&sandbox, "archive/public", "old");
    sandbox.deb("next", "plain", "1.1-1", "amd64", "");
    sandbox.commit("next", &[]).ok();
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&[]).ok();
    let server = Server::of(&sandbox.public());
    let look = || verify(&sandbox, &server.url(), &["--json", "--pool"]);
    look().ok();
    server.take_log();
    look().ok();
    let asked: Vec<String> = server.take_served();
    let indices: Vec<&String> = asked.iter().filter(|path| path.contains("/binary-amd64/")).collect();
    assert!(
        indices.iter().any(|path| path.contains("/by-hash/")) && indices.iter().any(|path| path.ends_with("Packages.xz")),
        "{indices:?}"
    );
    for path in indices {
        let good = std::fs::read(sandbox.public().join(path)).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for bad in [flipped, good[..good.len() - 1].to_vec(), [&good[..], b"\n"].concat(), Vec::new()] {
            server.change(path, bad);
            let run = look().exits(24);
            is(&run, "index", path);
            assert_eq!(verdict(&run).1.len(), 1, "{}", run.out);
        }
        server.hide(path);
        is(&look().exits(24), "index", path);
        server.change_nothing();
    }
    // Mix and match: the index of the Release before, as it was published.
    let path = "dists/trixie/main/binary-amd64/Packages.xz";
    server.change(path, std::fs::read(sandbox.path("old").join(path)).unwrap());
    is(&look().exits(24), "index", path);
    server.change_nothing();
    look().ok();
}

#[test]
fn a_compressed_index_that_unpacks_to_something_else_is_refused_although_it_is_listed() {
    // The archive's own key signs a Release whose forms differ: clients would see different archives.
    let sandbox = plain_archive(MONDAY);
    let gpg = crate::specimens::Gpg::new();
    let key = gpg.key("Liar <liar@example.org>", "ed25519", "sign", "0", "");
    sandbox.write("pinned.asc", gpg.public(&key));
    let xz = dists(&sandbox, "main/binary-amd64/Packages.xz");
    let release = std::fs::read_to_string(dists(&sandbox, "Release")).unwrap();
    let other = "Package: plain\nVersion: 9\nArchitecture: amd64\nFilename: pool/main/p/plain/plain_9_amd64.deb\nSize: 1\nSHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\n";
    sandbox.write("Packages", other);
    sandbox.run("xz", &["Packages"]).ok();
    let bytes = std::fs::read(sandbox.path("Packages.xz")).unwrap();
    let sha256 = |path: &str| sandbox.run("sha256sum", &[path]).ok().out[..64].to_owned();
    let (old, new) = (sha256(xz.to_str().unwrap()), sha256("Packages.xz"));
    let size = |bytes: usize| format!("{bytes:>8}");
    let line = |digest: &str, length: usize| format!(" {digest} {} main/binary-amd64/Packages.xz\n", size(length));
    let before = line(&old, std::fs::metadata(&xz).unwrap().len() as usize);
    assert!(release.contains(&before), "{release}");
    let lied = release.replace(&before, &line(&new, bytes.len()));
    for path in [xz.clone(), xz.parent().unwrap().join(format!("by-hash/SHA256/{new}"))] {
        std::fs::remove_file(&path).unwrap_or_default();
        std::fs::write(path, &bytes).unwrap();
    }
    let release = sandbox.write("Release", &lied);
    gpg.clearsign(&key, &[], &release);
    let signed = std::fs::read(&release).unwrap();
    replace(&dists(&sandbox, "InRelease"), signed);
    for file in ["Release", "Release.gpg"] {
        std::fs::remove_file(dists(&sandbox, file)).unwrap();
    }
    let now = sandbox.run("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).ok().out.trim().to_owned();
    let run = json(&sandbox, &["--pool", "--now", &now]).exits(24);
    is(&run, "index", "dists/trixie/main/binary-amd64/Packages.xz");
    assert!(run.out.contains("what it unpacks to is not the main/binary-amd64/Packages that Release lists"), "{}", run.out);
}

#[test]
fn a_replaced_package_is_noticed_by_whoever_looks_at_packages() {
    let sandbox = plain_archive(MONDAY);
    let server = Server::of(&sandbox.public());
    let path = "pool/main/p/plain/plain_1.0-1_amd64.deb";
    let good = std::fs::read(sandbox.public().join(path)).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [flipped, good[..20].to_vec(), [&good[..], b"evil"].concat()] {
        server.change(path, bad);
        for more in [&["--pool"][..], &["--package", "plain"]] {
            let run = verify(&sandbox, &server.url(), &[&["--json"], more].concat()).exits(25);
            is(&run, "pool", path);
        }
        // Packages are read on request alone.
        verify(&sandbox, &server.url(), &[]).ok();
    }
    server.hide(path);
    is(&verify(&sandbox, &server.url(), &["--json", "--pool"]).exits(25), "pool", path);
    // The file at hand is compared with the signed index, whatever the server has.
    verify(&sandbox, &server.url(), &["--deb", "out/plain_1.0-1_amd64.deb"]).ok();
}

#[test]
fn what_cannot_be_reached_is_told_apart_from_what_is_wrong() {
    let sandbox = plain_archive(MONDAY);
    let server = Server::of(&sandbox.path("nothing"));
    is(&verify(&sandbox, &server.url(), &["--json"]).exits(27), "unreachable", "dists/trixie/Release");
    let address = format!("http://user:geheim@127.0.0.1:{}/", crate::ports::port());
    let run = verify(&sandbox, &address, &["--json"]).exits(27);
    is(&run, "unreachable", IN_RELEASE);
    assert!(!run.out.contains("geheim") && !run.err.contains("geheim"), "{}{}", run.out, run.err);
}

#[test]
fn a_stolen_key_alone_makes_no_release_that_has_a_proof() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let mut sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    let policy = format!("{}quorum log\n", log.lines());
    configure(&sandbox, &policy, "");
    copy_tree(&sandbox, "archive", "stolen");
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    std::fs::copy(sandbox.public().join("archive-keyring.asc"), sandbox.path("pinned.asc")).unwrap();
    let pins = ["--sigsum-policy", "archive/keys/sigsum.policy", "--sigsum-key", "submit.pub", "--json"];
    let server = Server::of(&sandbox.public());
    let look = || verify(&sandbox, &server.url(), &pins);
    let answer = look().ok().json();
    let proof = &answer["suites"][0]["proofs"][0];
    assert_eq!((proof["log"].as_str(), proof["witnesses"][0].as_str()), (Some("sigsum"), Some("log")));
    let digest = answer["suites"][0]["release"].as_str().unwrap().to_owned();
    let found: Vec<&str> = proof["found"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(found, [IN_RELEASE, "dists/trixie/Release.proof", &format!("dists/trixie/tlog/{digest}.proof")]);
    // One of them is enough; a bad one is never passed over.
    let proof = std::fs::read(dists(&sandbox, "Release.proof")).unwrap();
    server.hide("dists/trixie/Release.proof");
    look().ok();
    server.change("dists/trixie/Release.proof", proof[..proof.len() / 2].to_vec());
    is(&look().exits(23), "proof", "dists/trixie/Release.proof");
    server.change_nothing();

    // The thief has the OpenPGP key and the repository, and not the key that submits.
    let settings = std::fs::read_to_string(sandbox.path("stolen/ddb.toml")).unwrap();
    sandbox.write("stolen/ddb.toml", settings.split("\n[logs.sigsum]").next().unwrap());
    sandbox.run("git", &["-C", "stolen", "commit", "-q", "-a", "-m", "No log."]).ok();
    sandbox.deb("evil", "plain", "1.0-2", "amd64", "");
    sandbox.deploy(&["-C", "stolen", "commit", "evil"]).ok();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    sandbox.publish(&["-C", "stolen", "dists", "trixie"]).ok();
    let victim = Server::of(&sandbox.path("stolen/public"));
    let trusting = verify(&sandbox, &victim.url(), &[]);
    assert_eq!(trusting.code, 0, "its signature is good, so that only the log tells:\n{}", trusting.out);
    is(&verify(&sandbox, &victim.url(), &pins).exits(23), "proof", IN_RELEASE);
    // A proof of another Release, stapled and beside it, is none of this one.
    let stolen = std::fs::read(sandbox.path("stolen/public/dists/trixie/InRelease")).unwrap();
    let stapled = ddb::formats::staple::staple(&stolen, LogKind::Sigsum, &proof).unwrap();
    replace(&sandbox.path("stolen/public/dists/trixie/InRelease"), stapled);
    victim.change("dists/trixie/Release.proof", proof);
    let run = verify(&sandbox, &victim.url(), &pins).exits(23);
    is(&run, "proof", "dists/trixie/Release.proof");
    is(&run, "proof", IN_RELEASE);

    // Another log, or witnesses that did not see it.
    let other = Log::new(&keeper, "other");
    for policy in
        [format!("{}quorum other\n", other.lines()), format!("{}{}group all all log other\nquorum all\n", log.lines(), other.lines())]
    {
        sandbox.write("other.policy", policy);
        let pins = ["--sigsum-policy", "other.policy", "--sigsum-key", "submit.pub", "--json"];
        is(&verify(&sandbox, &server.url(), &pins).exits(23), "proof", IN_RELEASE);
    }
}

#[test]
fn a_sigstore_bundle_beside_release_is_checked_against_pinned_key_or_identity_and_trusted_root() {
    // A Release that a real log has (tests/data/README.md), signed with a key of this test.
    let data = |file: &str| format!("{}/tests/data/sigstore/{file}", env!("CARGO_MANIFEST_DIR"));
    let sandbox = Sandbox::new();
    let gpg = crate::specimens::Gpg::new();
    let key = gpg.key("Test <test@example.org>", "ed25519", "sign", "0", "");
    sandbox.write("pinned.asc", gpg.public(&key));
    let signed = sandbox.write("public/dists/trixie/InRelease", std::fs::read(data("Release")).unwrap());
    gpg.clearsign(&key, &[], &signed);
    sandbox.write("public/dists/trixie/main/binary-amd64/Packages", "");
    let root = data("trusted_root.json");
    let look = |bundle: &str, pins: &[&str]| {
        std::fs::copy(data(bundle), sandbox.path("public/dists/trixie/Release.sigstore.json")).unwrap();
        verify(&sandbox, "public", &[&["--json", "--sigstore-trusted-root", &root], pins].concat())
    };
    let (right, other) = (data("submit.pub"), data("other.pub"));
    let by_key = ["--sigstore-key", right.as_str()];
    let answer = look("key.sigstore.json", &by_key).ok().json();
    let proof = &answer["suites"][0]["proofs"][0];
    assert_eq!((proof["log"].as_str(), proof["found"][0].as_str()), (Some("sigstore"), Some("dists/trixie/Release.sigstore.json")));
    assert!(proof["entry"].as_str().unwrap().contains("rekor.example"), "{proof}");
    let answer = look("key-timestamp.sigstore.json", &by_key).ok().json();
    assert!(answer["suites"][0]["proofs"][0]["entry"].as_str().unwrap().contains("stamped at 2026-"), "{answer}");
    let job = "https://gitlab.com/debian/archive//.gitlab-ci.yml@refs/heads/main";
    let by_job = ["--sigstore-identity", job, "--sigstore-issuer", "https://gitlab.com"];
    look("certificate.sigstore.json", &by_job).ok();
    // Another key, another branch, a key where a job should sign, and something that is no bundle.
    let by_other = ["--sigstore-key", other.as_str()];
    let evil = job.replace("main", "evil");
    let by_branch = ["--sigstore-identity", &evil, "--sigstore-issuer", "https://gitlab.com"];
    for (bundle, pins) in [
        ("key.sigstore.json", &by_other[..]),
        ("certificate.sigstore.json", &by_branch),
        ("certificate.sigstore.json", &by_key),
        ("key.sigstore.json", &by_job),
        ("answer.json", &by_key),
    ] {
        is(&look(bundle, pins).exits(23), "proof", "dists/trixie/Release.sigstore.json");
    }
    std::fs::remove_file(sandbox.path("public/dists/trixie/Release.sigstore.json")).unwrap();
    let run = verify(&sandbox, "public", &[&["--json", "--sigstore-trusted-root", &root], &by_key[..]].concat()).exits(23);
    is(&run, "proof", "dists/trixie/Release.sigstore.json");
    verify(&sandbox, "public", &["--sigstore-trusted-root", &root]).exits(2).says("--sigstore-key");
}
