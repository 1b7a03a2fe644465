//! The plugin and its scripts without apt: what they answer, where they are installed, and signatures that only gpgv can read.

use std::os::unix::fs::PermissionsExt as _;

use super::hook::{PROGRAM, from_outside, place};
use super::plain_archive;
use crate::sandbox::{Run, Sandbox, cache};

/// A system in a folder, with what the hook needs.
fn system(sandbox: &Sandbox, root: &str) {
    place(env!("CARGO_BIN_EXE_ddb-publish"), &sandbox.path(format!("{root}{PROGRAM}")));
    place("/usr/bin/gpgv", &sandbox.path(format!("{root}/usr/bin/gpgv")));
    sandbox.write("policy", "log 0ec7e16843119b120377a73913ac6acbc2d03d82432e2c36b841b09a95841f25\nquorum none\n");
    sandbox.write("key", "0ec7e16843119b120377a73913ac6acbc2d03d82432e2c36b841b09a95841f25\n");
}

fn install(sandbox: &Sandbox, root: &str, more: &[&str]) -> Run {
    sandbox.publish(&[&["apt-verify-hook", "--install", "--root", root, "--program", PROGRAM], more].concat())
}

fn pins<'a>(keyring: &'a str, key: &'a str) -> [&'a str; 8] {
    ["--keyring", keyring, "--origin", "Test", "--sigsum-policy", "policy", "--sigsum-key", key]
}

/// Writes what apt hands over of the published Release.
fn handed_over(sandbox: &Sandbox) -> String {
    let in_release = std::fs::read_to_string(sandbox.public().join("dists/trixie/InRelease")).unwrap();
    let signature = in_release[in_release.find("-----BEGIN PGP SIGNATURE").unwrap()..].to_owned();
    sandbox.write("sig", &signature);
    let release = std::fs::read_to_string(sandbox.public().join("dists/trixie/Release")).unwrap();
    sandbox.write("data", release.trim_end());
    signature
}

#[test]
fn the_plugin_answers_what_apt_asks_and_its_scripts_pass_on_what_they_get() {
    let sandbox = plain_archive("2026-11-01T00:00:00Z");
    let config = ["apt-verify-hook", "--config", "root/etc/ddb/verify.d", "--"];
    let hook = |more: &[&str]| sandbox.publish(&[&config[..], more].concat());
    let run = hook(&["--dump-options"]).ok();
    assert!(run.out.is_empty() && run.err.is_empty(), "{run:?}");
    // A configuration that is lost lets nothing pass; an empty one everything.
    hook(&["nosuch", "nosuch"]).exits(4).says("verify.d");
    std::fs::create_dir_all(sandbox.path("root/etc/ddb/verify.d")).unwrap();
    hook(&["nosuch", "nosuch"]).ok();
    system(&sandbox, "root");
    install(&sandbox, "root", &pins("pinned.asc", "key")).ok();
    hook(&["nosuch", "nosuch"]).exits(1).says("nosuch");
    hook(&[]).exits(2).says("apt-verify");
    handed_over(&sandbox);
    let gpgv = ["--homedir", "x", "--keyring", "y", "--ignore-time-conflict", "--status-fd", "3", "sig", "data"];
    let root = sandbox.path("root");
    for script in ["etc/apt/verify.d/50-ddb", "etc/apt/ddb-gpgv"] {
        let script = root.join(script);
        from_outside(&script, root.to_str().unwrap());
        let script = script.to_str().unwrap();
        sandbox.run(script, &gpgv).exits(23).says("has no Sigsum proof stapled");
        sandbox.run(script, &["--dump-options"]).ok();
    }
    // apt passes over what says nothing: the script in place of gpgv speaks although the program is gone.
    std::fs::remove_file(sandbox.path(format!("root{PROGRAM}"))).unwrap();
    let script = root.join("etc/apt/ddb-gpgv").display().to_string();
    assert!(sandbox.run(&script, &["--dump-options"]).ok().out.starts_with("--ddb-apt-verify-hook\n"));
    assert_ne!(sandbox.run(&script, &gpgv).code, 0);
}

#[test]
fn nothing_is_installed_that_apt_could_not_run_and_nothing_in_the_place_of_another_archive() {
    let sandbox = plain_archive("2026-11-01T00:00:00Z");
    system(&sandbox, "root");
    let etc = sandbox.path("root/etc");
    let mode = |path: &str, mode| std::fs::set_permissions(sandbox.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    let good = pins("pinned.asc", "key");
    install(&sandbox, "root", &pins("pinned.asc", "pinned.asc")).exits(2).says("Sigsum key");
    install(&sandbox, "root", &["--keyring", "pinned.asc", "--sigsum-policy", "policy", "--sigsum-key", "key"]).exits(2).says("--origin");
    for closed in ["root/usr", "root/usr/bin/ddb-publish", "root/usr/bin/gpgv"] {
        mode(closed, 0o700);
        install(&sandbox, "root", &good).exits(1).says("_apt");
        mode(closed, 0o755);
    }
    std::fs::rename(sandbox.path("root/usr/bin/gpgv"), sandbox.path("gpgv")).unwrap();
    install(&sandbox, "root", &good).exits(1).says("apt install gpgv");
    assert!(!etc.exists());
    std::fs::rename(sandbox.path("gpgv"), sandbox.path("root/usr/bin/gpgv")).unwrap();
    // Folders that are there already stay as they are, and have to be for everybody.
    std::fs::create_dir(&etc).unwrap();
    mode("root/etc", 0o700);
    install(&sandbox, "root", &good).exits(1).says("chmod");
    assert_eq!(std::fs::read_dir(&etc).unwrap().count(), 0);
    std::fs::remove_dir(&etc).unwrap();

    let program = env!("CARGO_BIN_EXE_ddb-publish");
    let umask = ["-c", "umask 077; exec \"$@\"", "sh", program, "apt-verify-hook", "--install", "--root", "root", "--program", PROGRAM];
    let run = sandbox.run("sh", &[&umask[..], &good].concat()).ok();
    assert!(run.out.contains("apt.conf.d/74ddb-verify"), "{}", run.out);
    for (path, mode) in [
        ("", 0o755),
        ("apt", 0o755),
        ("apt/verify.d", 0o755),
        ("apt/apt.conf.d", 0o755),
        ("apt/verify.d/50-ddb", 0o755),
        ("apt/apt.conf.d/74ddb-verify", 0o644),
        ("apt/ddb-gpgv", 0o755),
        ("ddb", 0o755),
        ("ddb/verify.d", 0o755),
        ("ddb/verify.d/archive.conf", 0o644),
        ("ddb/verify.d/archive.pub", 0o644),
    ] {
        let found = std::fs::metadata(etc.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    // What is written is for the system below the folder, which knows no path outside.
    let outside = sandbox.path("");
    for path in ["apt/verify.d/50-ddb", "apt/ddb-gpgv", "apt/apt.conf.d/74ddb-verify"] {
        let text = std::fs::read_to_string(etc.join(path)).unwrap();
        assert!(!text.contains(outside.to_str().unwrap().trim_end_matches('/')), "{text}");
    }
    let part = std::fs::read_to_string(etc.join("apt/apt.conf.d/74ddb-verify")).unwrap();
    assert_eq!(part, "APT::Key::gpgvcommand \"/etc/apt/ddb-gpgv\";\n");

    // The same again changes nothing; another archive needs another name.
    install(&sandbox, "root", &good).ok();
    let other = plain_archive("2026-11-01T00:00:00Z");
    std::fs::copy(other.path("pinned.asc"), sandbox.path("other.asc")).unwrap();
    let before = std::fs::read(etc.join("ddb/verify.d/archive.asc")).unwrap();
    let second = pins("other.asc", "key");
    install(&sandbox, "root", &second).exits(1).says("--name");
    assert_eq!(std::fs::read(etc.join("ddb/verify.d/archive.asc")).unwrap(), before);
    let run = install(&sandbox, "root", &[&second[..], &["--name", "second"]].concat()).ok();
    assert!(run.out.contains("2 archives are opted in."), "{}", run.out);

    // Where apt-verify is, it calls the plugin, and nothing takes its place; half of it is none.
    system(&sandbox, "other");
    sandbox.write("other/etc/apt/verify.d/gpgv", "");
    sandbox.write("other/etc/apt/apt.conf.d/75verify", "");
    install(&sandbox, "other", &[]).exits(1).says("apt purge apt-verify");
    place(cache("apt-verify/root/usr/bin/apt-verify").to_str().unwrap(), &sandbox.path("other/usr/bin/apt-verify"));
    let run = install(&sandbox, "other", &[]).ok();
    let part = sandbox.path("other/etc/apt/apt.conf.d/74ddb-verify");
    assert!(run.out.contains("verify.d/50-ddb") && !part.exists(), "{}", run.out);
    std::fs::remove_file(sandbox.path("other/etc/apt/apt.conf.d/75verify")).unwrap();
    let run = install(&sandbox, "other", &[]).ok();
    assert!(run.out.contains("note: apt-verify is there") && part.exists(), "{}", run.out);
}

#[test]
fn a_signature_that_gpgv_reads_otherwise_than_the_hook_lets_no_release_pass() {
    let sandbox = plain_archive("2026-11-01T00:00:00Z");
    system(&sandbox, "root");
    install(&sandbox, "root", &pins("pinned.asc", "key")).ok();
    // Only the key tells whose it is.
    let conf = sandbox.path("root/etc/ddb/verify.d/archive.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text.replace("Origin: Test\n", "")).unwrap();
    let own = handed_over(&sandbox);
    sandbox.write("pinned.gpg", unarmored(&std::fs::read_to_string(sandbox.path("pinned.asc")).unwrap()));
    let (keyring, home) = (sandbox.path("pinned.gpg"), sandbox.path("gpg-home"));
    std::fs::create_dir(&home).unwrap();
    let hook = |signature: &str| {
        sandbox.write("sig", signature);
        sandbox.publish(&["apt-verify-hook", "--config", "root/etc/ddb/verify.d", "--", "sig", "data"])
    };
    let gpg = crate::specimens::Gpg::new();
    let key = gpg.key("Stranger <stranger@example.org>", "ed25519", "sign", "0", "");
    let signed = sandbox.write("stranger", "text\n");
    gpg.clearsign(&key, &[], &signed);
    let signed = std::fs::read_to_string(signed).unwrap();
    let stranger = signed[signed.find("-----BEGIN PGP SIGNATURE").unwrap()..].to_owned();
    hook(&stranger).ok();
    hook(&own).exits(23);

    let mut packets = unarmored(&own);
    let mpi = first_mpi(&packets);
    // Another length of as many bytes.
    let bits = u16::from_be_bytes([packets[mpi], packets[mpi + 1]]);
    let other = if bits.is_multiple_of(8) { bits - 1 } else { bits + 1 };
    packets[mpi..mpi + 2].copy_from_slice(&other.to_be_bytes());
    let odd = armored(&packets);
    let (long, middle) = (format!("-----BEGIN PGP SIGNATURE-----\nComment: {}\n", "x".repeat(30_000)), "some text\n");
    for (what, bad, code) in [
        ("a number whose length is off by one bit", odd.clone(), 20),
        ("behind a stranger's in one armor", armored(&[unarmored(&stranger), packets.clone()].concat()), 20),
        ("a stranger's armor before", format!("{stranger}{own}"), 23),
        ("a stranger's armor behind", format!("{own}{stranger}"), 23),
        ("text before", format!("{middle}{own}"), 20),
        ("text between", format!("{stranger}{middle}{own}"), 20),
        ("a long line", own.replacen("-----BEGIN PGP SIGNATURE-----\n", &long, 1), 20),
    ] {
        // gpgv takes each of them, so that the hook alone stops it.
        sandbox.write("sig", &bad);
        let arguments = ["--homedir", home.to_str().unwrap(), "--keyring", keyring.to_str().unwrap(), "--status-fd", "1", "sig", "data"];
        let run = sandbox.run("gpgv", &arguments);
        assert!(run.out.contains("VALIDSIG"), "{what}: {}{}", run.out, run.err);
        let run = hook(&bad);
        assert_eq!(run.code, code, "{what}: {}", run.err);
    }
    hook("").exits(20);
    hook("-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n").exits(20);

    // Origin counts as apt reads it, also in what is no Release for a strict reader.
    std::fs::write(&conf, text.replace("Signed-By: archive.asc\n", "")).unwrap();
    hook(&stranger).exits(23);
    let release = std::fs::read_to_string(sandbox.path("data")).unwrap();
    sandbox.write("data", release.replace("Origin: Test", "origin:Test ").replace("\nDate:", "\nDate: x\nDate:"));
    hook(&stranger).exits(23);
    sandbox.write("data", release.replace("Origin: Test", "Origin: Tester"));
    hook(&stranger).ok();
}

/// The bytes in armor.
fn unarmored(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let (_, body) = text.split_once("\n\n").unwrap();
    let body: String = body.lines().take_while(|line| !line.starts_with(['=', '-'])).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}

fn armored(packets: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(packets);
    let lines: String = body.as_bytes().chunks(64).map(|line| format!("{}\n", std::str::from_utf8(line).unwrap())).collect();
    format!("-----BEGIN PGP SIGNATURE-----\n\n{lines}-----END PGP SIGNATURE-----\n")
}

/// Where the length in bits of a signature's first number is (RFC 9580 section 5.2.3, version 4).
fn first_mpi(packets: &[u8]) -> usize {
    let header = if packets[0] & 0x40 != 0 { if packets[1] < 192 { 2 } else { 3 } } else { 2 + usize::from(packets[0] & 3) };
    assert_eq!(packets[header], 4);
    let area = |at: usize| 2 + usize::from(u16::from_be_bytes([packets[at], packets[at + 1]]));
    let unhashed = header + 4 + area(header + 4);
    unhashed + area(unhashed) + 2
}
