//! Every kind of file that a build leaves lands where Debian would put it.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::sandbox::{Run, Sandbox, cache};
use super::super::specimens::{Gpg, Tar, commit_by_hand, copy, gzip, only, patch, relist, write_changes, write_source};
use super::{archive, clean, commits, land, records, set, tree};

#[test]
fn every_compression_and_every_kind_of_version_lands_where_debian_puts_it() {
    let sandbox = archive(&["amd64"], &[]);
    for (package, version, fields, option, place, record) in [
        ("plain", "1.0", "", "-Znone", "main/p/plain/plain_1.0_amd64.deb", "main/binary-amd64/p/plain/plain_1.0"),
        ("gz", "1:1.0-1", "", "-Zgzip", "main/g/gz/gz_1.0-1_amd64.deb", "main/binary-amd64/g/gz/gz_1%3a1.0-1"),
        (
            "libxz1",
            "2.0~rc1-1",
            "Source: libxz\n",
            "-Zxz",
            "main/libx/libxz/libxz1_2.0~rc1-1_amd64.deb",
            "main/binary-amd64/libx/libxz/libxz1_2.0~rc1-1",
        ),
        (
            "zst",
            "0.1+git2026-1~bpo13+1",
            "",
            "-Zzstd",
            "main/z/zst/zst_0.1+git2026-1~bpo13+1_amd64.deb",
            "main/binary-amd64/z/zst/zst_0.1+git2026-1~bpo13+1",
        ),
        ("0ad", "1", "", "-Zxz", "main/0/0ad/0ad_1_amd64.deb", "main/binary-amd64/0/0ad/0ad_1"),
        ("g++-15", "15", "Source: gcc-15 (15.1)\n", "-Zxz", "main/g/gcc-15/g++-15_15_amd64.deb", "main/binary-amd64/g/gcc-15/g++-15_15"),
        ("libreal", "1", "", "-Zxz", "main/libr/libreal/libreal_1_amd64.deb", "main/binary-amd64/libr/libreal/libreal_1"),
    ] {
        sandbox.deb_with(package, package, version, "amd64", fields, &[option]);
        land(&sandbox, package, &[]);
        assert!(tree(&sandbox, "pool/").contains(&format!("pool/{place}")), "{place}");
        assert!(records(&sandbox).contains(record), "{record}");
    }
    clean(&sandbox);
}

#[test]
fn sections_decide_about_the_component() {
    let sandbox = archive(&["amd64"], &["contrib", "non-free", "non-free-firmware"]);
    for (package, section, component) in [
        ("aa", "net", "main"),
        ("bb", "contrib/net", "contrib"),
        ("cc", "non-free/libs", "non-free"),
        ("dd", "non-free-firmware/kernel", "non-free-firmware"),
    ] {
        sandbox.deb("out", package, "1", "amd64", &format!("Section: {section}\n"));
        land(&sandbox, "out", &[]);
        let prefix = &package[..1];
        assert!(records(&sandbox).contains(&format!("{component}/binary-amd64/{prefix}/{package}/{package}_1")), "{section}");
        assert!(tree(&sandbox, "pool/").contains(&format!("pool/{component}/{prefix}/{package}/{package}_1_amd64.deb")), "{section}");
    }
    // A source in contrib whose binaries are there too; its .changes says so.
    let out = sandbox.path("contrib");
    sandbox.deb("contrib", "ee", "1", "amd64", "Section: contrib/net\n");
    let dsc = write_source(&out, "ee", "1");
    patch(&dsc, "deb devel optional", "deb contrib/net optional");
    write_changes(
        &out,
        "ee_1_amd64.changes",
        "Source: ee\nBinary: ee\nArchitecture: source amd64\nVersion: 1\n",
        &["ee_1.dsc", "ee_1.tar.gz", "ee_1_amd64.deb"],
    );
    patch(&out.join("ee_1_amd64.changes"), "devel optional", "contrib/net optional");
    land(&sandbox, "contrib", &[]);
    assert!(records(&sandbox).contains("contrib/source/e/ee/ee_1"), "{:?}", records(&sandbox));
    assert!(tree(&sandbox, "pool/").contains("pool/contrib/e/ee/ee_1.tar.gz"));
    // Without .changes, Package-List says it.
    let dsc = write_source(&sandbox.path("listed"), "ff", "1");
    patch(&dsc, "deb devel optional", "deb non-free/net optional");
    land(&sandbox, "listed", &[]);
    assert!(records(&sandbox).contains("non-free/source/f/ff/ff_1"), "{:?}", records(&sandbox));
    clean(&sandbox);
}

#[test]
fn udebs_and_debug_symbols_land_beside_their_packages() {
    let sandbox = archive(&["amd64"], &[]);
    let udeb = sandbox.deb("out", "prog-udeb", "1", "amd64", "Source: prog\nSection: debian-installer\nPackage-Type: udeb\n");
    std::fs::rename(&udeb, udeb.with_extension("udeb")).unwrap();
    let symbols = "Source: prog\nAuto-Built-Package: debug-symbols\nSection: debug\n";
    sandbox.deb("out", "prog-dbgsym", "1", "amd64", symbols);
    let ddeb = sandbox.deb("out", "other-dbgsym", "1", "amd64", &format!("{symbols}Package-Type: ddeb\n"));
    std::fs::rename(&ddeb, ddeb.with_extension("ddeb")).unwrap();
    sandbox.deb("out", "prog", "1", "amd64", "");
    land(&sandbox, "out", &[]);
    let expected = [
        "main/binary-amd64/p/prog/other-dbgsym_1",
        "main/binary-amd64/p/prog/prog-dbgsym_1",
        "main/binary-amd64/p/prog/prog_1",
        "main/debian-installer/binary-amd64/p/prog/prog-udeb_1",
    ];
    assert_eq!(records(&sandbox), set(expected));
    let pool = ["other-dbgsym_1_amd64.ddeb", "prog-dbgsym_1_amd64.deb", "prog-udeb_1_amd64.udeb", "prog_1_amd64.deb"];
    assert_eq!(tree(&sandbox, "pool/"), pool.map(|name| format!("pool/main/p/prog/{name}")).into());
    clean(&sandbox);
    // A udeb alone is no reason to drop what the same build brought before, nor the other way round.
    let udeb = sandbox.path("udeb-alone");
    std::fs::create_dir(&udeb).unwrap();
    std::fs::copy(sandbox.path("out/prog-udeb_1_amd64.udeb"), udeb.join("prog-udeb_1_amd64.udeb")).unwrap();
    land(&sandbox, "udeb-alone", &[]);
    assert_eq!(records(&sandbox), set(expected));
}

#[test]
fn a_build_output_in_folders_lands_like_a_flat_one_and_logs_are_kept_as_evidence() {
    let flat = archive(&["amd64"], &[]);
    land(&flat, cache("out/small"), &[]);
    let sandbox = archive(&["amd64"], &[]);
    for entry in std::fs::read_dir(cache("out/small")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let folder = sandbox.path(format!("out/{}", if name.ends_with(".deb") { "binaries/amd64" } else { "source" }));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(entry.path(), folder.join(name)).unwrap();
    }
    sandbox.write("out/.gitkeep", "");
    land(&sandbox, "out", &[]);
    let listing = |sandbox: &Sandbox| sandbox.git(&["ls-tree", "-r", "HEAD", "suites/", "pool/"]).ok().out;
    assert_eq!(listing(&sandbox), listing(&flat));
    assert!(tree(&sandbox, "pool/").contains("pool/main/h/hostname/hostname_3.23+nmu1_amd64.build"));
    // A second build of the same, with another log: both logs stay.
    let log = only(&sandbox.path("out/source"), ".build");
    std::fs::write(&log, "another log\n").unwrap();
    land(&sandbox, "out", &[]);
    let logs = tree(&sandbox, "pool/").into_iter().filter(|path| path.ends_with(".build")).count();
    assert_eq!(logs, 2);
    clean(&sandbox);
}

#[test]
fn packages_without_changes_and_sources_without_packages_land() {
    let sandbox = archive(&["amd64"], &[]);
    let binary = "hostname_3.23+nmu1_amd64.deb";
    std::fs::create_dir(sandbox.path("debs")).unwrap();
    std::fs::copy(cache("out/small").join(binary), sandbox.path("debs").join(binary)).unwrap();
    land(&sandbox, "debs", &[]);
    assert_eq!(records(&sandbox), set(["main/binary-amd64/h/hostname/hostname_3.23+nmu1"]));
    land(&sandbox, cache("source/two"), &[]);
    assert!(records(&sandbox).contains("main/source/n/nyancat/nyancat_1.5.2-0.2"));
    assert_eq!(tree(&sandbox, "pool/main/n/").len(), 3);
    land(&sandbox, cache("source/small"), &[]);
    assert!(records(&sandbox).contains("main/source/h/hostname/hostname_3.23+nmu1"));
    assert!(records(&sandbox).contains("main/binary-amd64/h/hostname/hostname_3.23+nmu1"));
    clean(&sandbox);
}

#[test]
fn parts_of_one_build_that_come_one_after_another_are_united() {
    let sandbox = archive(&["amd64"], &[]);
    for (at, ending) in ["hostname_3.23+nmu1_amd64.deb", "hostname-dbgsym_3.23+nmu1_amd64.deb"].into_iter().enumerate() {
        let out = sandbox.path(format!("part-{at}"));
        std::fs::create_dir(&out).unwrap();
        std::fs::copy(cache("out/small").join(ending), out.join(ending)).unwrap();
        land(&sandbox, format!("part-{at}"), &[]);
    }
    land(&sandbox, cache("source/small"), &[]);
    assert_eq!(records(&sandbox).len(), 3, "{:?}", records(&sandbox));
    clean(&sandbox);
}

/// Makes a source package with dpkg-source in a folder; `add` puts more into its tree and returns options.
fn dpkg_source(sandbox: &Sandbox, folder: &str, format: &str, version: &str, prepare: impl Fn(&Path, &Path)) -> Run {
    let top = sandbox.path(folder);
    let unpacked = top.join("work/prog-1.0");
    std::fs::create_dir_all(unpacked.join("debian/source")).unwrap();
    std::fs::write(unpacked.join("main.c"), "int main(void) { return 0; }\n").unwrap();
    prepare(&top, &unpacked);
    let control = "Source: prog\nSection: net\nPriority: optional\nMaintainer: Test <test@example.org>\nStandards-Version: 4.6.2\n\nPackage: prog\nArchitecture: any\nDescription: prog\n Long.\n";
    std::fs::write(unpacked.join("debian/control"), control).unwrap();
    std::fs::write(
        unpacked.join("debian/changelog"),
        format!("prog ({version}) trixie; urgency=medium\n\n  * Change.\n\n -- Test <test@example.org>  Mon, 23 Nov 2026 10:00:00 +0000\n"),
    )
    .unwrap();
    std::fs::write(unpacked.join("debian/rules"), "#!/usr/bin/make -f\n%:\n\ttrue\n").unwrap();
    if format != "1.0" {
        std::fs::write(unpacked.join("debian/source/format"), format!("{format}\n")).unwrap();
    }
    let run = sandbox.run("sh", &["-c", &format!("cd {folder} && dpkg-source -b work/prog-1.0 && rm -r work")]);
    run.ok()
}

/// Packs the upstream tree as orig tarball.
fn orig(top: &Path, name: &str) {
    let options = if name.ends_with("xz") { "-cJf" } else { "-czf" };
    let status = std::process::Command::new("tar")
        .arg("-C")
        .arg(top.join("work"))
        .args([options, top.join(name).to_str().unwrap(), "--exclude=debian", "prog-1.0"])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn sources_of_every_format_land_with_all_their_files() {
    for (format, version, origs, expected) in [
        ("1.0", "1.0-1", &["prog_1.0.orig.tar.gz"][..], &["prog_1.0-1.diff.gz", "prog_1.0-1.dsc", "prog_1.0.orig.tar.gz"][..]),
        ("1.0", "1.0", &[], &["prog_1.0.dsc", "prog_1.0.tar.gz"]),
        ("3.0 (native)", "1.0", &[], &["prog_1.0.dsc", "prog_1.0.tar.xz"]),
        ("3.0 (quilt)", "1:1.0-1", &["prog_1.0.orig.tar.xz"], &["prog_1.0-1.debian.tar.xz", "prog_1.0-1.dsc", "prog_1.0.orig.tar.xz"]),
        (
            "3.0 (quilt)",
            "1.0-2",
            &["prog_1.0.orig.tar.gz", "prog_1.0.orig-foo.tar.xz"],
            &["prog_1.0-2.debian.tar.xz", "prog_1.0-2.dsc", "prog_1.0.orig-foo.tar.xz", "prog_1.0.orig.tar.gz"],
        ),
    ] {
        let sandbox = archive(&["amd64"], &[]);
        dpkg_source(&sandbox, "out", format, version, |top, unpacked| {
            for name in origs {
                orig(top, name);
            }
            if origs.iter().any(|name| name.contains("orig-foo")) {
                std::fs::create_dir(unpacked.join("foo")).unwrap();
                std::fs::copy(unpacked.join("main.c"), unpacked.join("foo/main.c")).unwrap();
                let status = std::process::Command::new("tar")
                    .arg("-C")
                    .arg(unpacked)
                    .args(["-cJf", top.join("prog_1.0.orig-foo.tar.xz").to_str().unwrap(), "foo"])
                    .status();
                assert!(status.unwrap().success());
            }
        });
        land(&sandbox, "out", &[]);
        let pool: BTreeSet<String> = expected.iter().map(|name| format!("pool/main/p/prog/{name}")).collect();
        assert_eq!(tree(&sandbox, "pool/"), pool, "{format} {version}");
        assert_eq!(records(&sandbox), set([format!("main/source/p/prog/prog_{}", version.replace(':', "%3a")).as_str()]));
        clean(&sandbox);
    }
}

#[test]
fn an_upload_without_orig_uses_the_one_in_the_pool_if_it_is_the_same() {
    let sandbox = archive(&["amd64"], &[]);
    let orig = |top: &Path, _: &Path| orig(top, "prog_1.0.orig.tar.gz");
    dpkg_source(&sandbox, "first", "3.0 (quilt)", "1.0-1", orig);
    dpkg_source(&sandbox, "second", "3.0 (quilt)", "1.0-2", |top, _| {
        std::fs::copy(sandbox.path("first/prog_1.0.orig.tar.gz"), top.join("prog_1.0.orig.tar.gz")).unwrap();
    });
    std::fs::remove_file(sandbox.path("second/prog_1.0.orig.tar.gz")).unwrap();
    sandbox.commit("second", &[]).exits(3).says("prog_1.0.orig.tar.gz").says("neither in the build output nor in the pool");
    assert_eq!(commits(&sandbox), 1);
    land(&sandbox, "first", &[]);
    land(&sandbox, "second", &[]);
    assert_eq!(records(&sandbox), set(["main/source/p/prog/prog_1.0-2"]));
    clean(&sandbox);
    // An orig of that name with other bytes: refused, whatever the rules, while another version needs the first.
    let other = dpkg_source(&sandbox, "third", "3.0 (quilt)", "1.0-3", |top, unpacked| {
        std::fs::write(unpacked.join("main.c"), "int other;\n").unwrap();
        self::orig(top, "prog_1.0.orig.tar.gz");
    });
    assert_eq!(other.code, 0);
    sandbox.commit("third", &[]).exits(5).says("pool/main/p/prog/prog_1.0.orig.tar.gz");
    sandbox.commit("third", &["--on-conflict", "replace"]).exits(5).says("pool/main/p/prog/prog_1.0.orig.tar.gz");
    clean(&sandbox);
}

#[test]
fn uploads_of_binaries_alone_and_a_second_changes_file_for_the_source_land() {
    let sandbox = archive(&["amd64", "arm64"], &[]);
    let without = |folder: &str, dropped: &[&str], architecture: &str, suffix: &str| {
        let out = sandbox.path(folder);
        let changes = only(&out, "64.changes");
        let text = std::fs::read_to_string(&changes).unwrap();
        let kept = text.lines().filter(|line| !dropped.iter().any(|ending| line.ends_with(ending)));
        let text: String = kept
            .map(|line| if line.starts_with("Architecture: ") { format!("Architecture: {architecture}\n") } else { format!("{line}\n") })
            .collect();
        std::fs::write(out.join(format!("nyancat_1.5.2-0.2_{suffix}.changes")), text).unwrap();
    };
    // sbuild --source-only-changes leaves two .changes.
    copy(&cache("out/two-amd64"), &sandbox.path("amd64"));
    without("amd64", &[".deb", ".buildinfo"], "source", "source");
    land(&sandbox, "amd64", &[]);
    assert!(tree(&sandbox, "pool/").contains("pool/main/n/nyancat/nyancat_1.5.2-0.2_source.changes"));
    // dpkg-buildpackage -B leaves only what the architecture needs.
    copy(&cache("out/two-arm64"), &sandbox.path("arm64"));
    let sources = [".dsc", ".tar.gz", ".tar.xz", "_all.deb"];
    for file in sources {
        std::fs::remove_file(only(&sandbox.path("arm64"), file)).unwrap();
    }
    patch(&only(&sandbox.path("arm64"), ".buildinfo"), "nyancat-server_1.5.2-0.2_all.deb", "nyancat-other_1.5.2-0.2_all.deb");
    without("arm64", &sources, "arm64", "arm64");
    relist(&only(&sandbox.path("arm64"), ".changes"));
    land(&sandbox, "arm64", &[]);
    let names = ["nyancat", "nyancat-dbgsym"]
        .into_iter()
        .flat_map(|name| ["amd64", "arm64"].map(|architecture| format!("main/binary-{architecture}/n/nyancat/{name}_1.5.2-0.2")));
    let mut expected: BTreeSet<String> = names.collect();
    expected.extend(set(["main/binary-all/n/nyancat/nyancat-server_1.5.2-0.2", "main/source/n/nyancat/nyancat_1.5.2-0.2"]));
    assert_eq!(records(&sandbox), expected);
    clean(&sandbox);
}

#[test]
fn a_signed_source_keeps_its_signature_in_the_pool_and_lands_without_it_in_the_record() {
    let sandbox = archive(&["amd64"], &[]);
    let gpg = Gpg::new();
    let key = gpg.key("maintainer", "ed25519", "sign", "1y", "");
    copy(&cache("out/small"), &sandbox.path("out"));
    gpg.sign_upload(&key, &sandbox.path("out"));
    land(&sandbox, "out", &[]);
    let record = sandbox.git(&["show", "HEAD:suites/trixie/main/source/h/hostname/hostname_3.23+nmu1"]).ok().out;
    assert!(!record.contains("PGP") && record.starts_with("Format: 3.0"), "{record}");
    let digest = sandbox.run("sha256sum", &["out/hostname_3.23+nmu1.dsc"]).ok().out;
    assert!(record.contains(&digest[..64]));
    // Sources published from it name the signed file.
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.dists(&[]).ok();
    let served = std::fs::read_to_string(sandbox.public().join("pool/main/h/hostname/hostname_3.23+nmu1.dsc")).unwrap();
    assert!(served.contains("-----BEGIN PGP SIGNATURE-----"));
    clean(&sandbox);
}

#[test]
fn a_source_that_moves_to_another_component_leaves_the_first() {
    let sandbox = archive(&["amd64"], &["contrib"]);
    sandbox.deb("one", "prog", "1", "amd64", "Section: contrib/net\n");
    land(&sandbox, "one", &[]);
    assert_eq!(records(&sandbox), set(["contrib/binary-amd64/p/prog/prog_1"]));
    sandbox.deb("two", "prog", "2", "amd64", "Section: net\n");
    land(&sandbox, "two", &[]);
    assert_eq!(records(&sandbox), set(["main/binary-amd64/p/prog/prog_2"]));
    clean(&sandbox);
}

#[test]
fn a_tarball_that_a_dsc_lists_may_be_signed_by_upstream() {
    let sandbox = archive(&["amd64"], &[]);
    let out = sandbox.path("out");
    let dsc = write_source(&out, "prog", "1.0-1");
    let text = std::fs::read_to_string(&dsc).unwrap().replace("3.0 (native)", "3.0 (quilt)");
    std::fs::remove_file(out.join("prog_1.0-1.tar.gz")).unwrap();
    let parts = ["prog_1.0.orig.tar.gz", "prog_1.0.orig.tar.gz.asc", "prog_1.0-1.debian.tar.gz"];
    for part in parts {
        std::fs::write(out.join(part), gzip(&Tar::new().file(part, "x").end())).unwrap();
    }
    std::fs::write(out.join(parts[1]), "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n").unwrap();
    let text = text.replace(" prog_1.0-1.tar.gz", " prog_1.0.orig.tar.gz\n 0 0 prog_1.0.orig.tar.gz.asc\n 0 0 prog_1.0-1.debian.tar.gz");
    std::fs::write(&dsc, text).unwrap();
    relist(&dsc);
    land(&sandbox, "out", &[]);
    assert_eq!(tree(&sandbox, "pool/").len(), 4);
    clean(&sandbox);
    commit_by_hand_is_seen(&sandbox);
}

/// A removal by hand is a deploy like any other: the record goes, the pool stays, all is clean.
fn commit_by_hand_is_seen(sandbox: &Sandbox) {
    std::fs::remove_file(sandbox.archive().join("suites/trixie/main/source/p/prog/prog_1.0-1")).unwrap();
    commit_by_hand(sandbox, "Remove prog from trixie.");
    assert!(records(sandbox).is_empty());
    clean(sandbox);
}
