//! What .dsc, .changes and .buildinfo say about other files, and what they say themselves.

use std::path::Path;

use super::super::sandbox::cache;
use super::super::specimens::{CONTROL, DEB, deb, only, patch, relist, write_changes, write_source};
use super::Watched;

#[test]
fn digests_and_sizes_that_disagree_with_changes_buildinfo_or_dsc_are_refused() {
    let archive = Watched::new();
    archive.accepts(&archive.copy_of("out/small"));
    let (changes, dsc, info) = ("hostname_3.23+nmu1_amd64.changes", "hostname_3.23+nmu1.dsc", "hostname_3.23+nmu1_amd64.buildinfo");
    let (binary, tarball) = ("hostname_3.23+nmu1_amd64.deb", "hostname_3.23+nmu1.tar.xz");

    // One field at a time: a digit of each digest, and the size.
    for list in ["Checksums-Sha1", "Checksums-Sha256", "Files"] {
        let out = archive.copy_of("out/small");
        spoil(&out.join(changes), list, binary, |digest, size| (flip(digest), size.to_owned()));
        archive.refuses(&out, &[(binary, changes)]);
        let out = archive.copy_of("out/small");
        spoil(&out.join(dsc), list, tarball, |digest, size| (flip(digest), size.to_owned()));
        relist_but(&out, dsc);
        archive.refuses(&out, &[(tarball, dsc)]);
    }
    let out = archive.copy_of("out/small");
    for list in ["Checksums-Sha1", "Checksums-Sha256", "Files"] {
        spoil(&out.join(changes), list, tarball, |digest, _| (digest.to_owned(), "12887".to_owned()));
    }
    archive.refuses(&out, &[(tarball, changes)]);
    let out = archive.copy_of("out/small");
    spoil(&out.join(changes), "Files", tarball, |digest, _| (digest.to_owned(), "12887".to_owned()));
    archive.refuses(&out, &[(changes, "different sizes")]);
    let out = archive.copy_of("out/small");
    spoil(&out.join(info), "Checksums-Sha256", binary, |digest, size| (flip(digest), size.to_owned()));
    relist(&out.join(changes));
    archive.refuses(&out, &[(binary, info)]);

    // The file instead of the list.
    let out = archive.copy_of("out/small");
    let mut bytes = std::fs::read(out.join(tarball)).unwrap();
    bytes.push(0);
    std::fs::write(out.join(tarball), bytes).unwrap();
    archive.refuses(&out, &[(tarball, changes), (tarball, dsc)]);
}

/// Rewrites the line of a file in one list of a .dsc, .changes or .buildinfo.
fn spoil(listing: &Path, list: &str, file: &str, change: impl Fn(&str, &str) -> (String, String)) {
    let mut inside = false;
    let mut changed = 0;
    let text = std::fs::read_to_string(listing).unwrap();
    let lines = text.lines().map(|line| {
        if !line.starts_with(' ') {
            inside = line == format!("{list}:");
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if !inside || words.last() != Some(&file) {
            return format!("{line}\n");
        }
        changed += 1;
        let (digest, size) = change(words[0], words[1]);
        format!(" {digest} {size} {}\n", words[2..].join(" "))
    });
    let text: String = lines.collect();
    assert_eq!(changed, 1, "{list} of {} names {file}", listing.display());
    std::fs::write(listing, text).unwrap();
}

fn flip(digest: &str) -> String {
    let last = if digest.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &digest[..digest.len() - 1])
}

/// Makes the lists of all .buildinfo and .changes of a folder true, after another file was changed.
fn relist_but(out: &Path, changed: &str) {
    for ending in [".buildinfo", ".changes"] {
        let file = only(out, ending);
        if file.file_name().unwrap() != changed {
            relist(&file);
        }
    }
}

#[test]
fn lists_of_files_that_contradict_themselves_are_refused() {
    let archive = Watched::new();
    let out = |fields: &str, files: &[&str]| {
        let out = archive.out(&[(DEB, &deb(CONTROL))]);
        write_changes(&out, "hello_1.0-1_amd64.changes", fields, files);
        out
    };
    let changes = "hello_1.0-1_amd64.changes";
    archive.accepts(&out("", &[DEB]));
    archive.refuses(&out("", &[DEB, DEB]), &[(changes, "twice")]);
    for name in ["../hello_1.0-1_amd64.deb", "/etc/passwd", "sub/hello_1.0-1_amd64.deb"] {
        let out = out("", &[DEB]);
        patch(&out.join(changes), DEB, name);
        archive.refuses(&out, &[(changes, "is not a valid file name")]);
    }
    let out = |from: &str, to: &str| {
        let out = out("", &[DEB]);
        patch(&out.join(changes), from, to);
        out
    };
    archive.refuses(&out("Checksums-Sha256", "Checksums-Sha3"), &[(changes, "Checksums-Sha256 is missing")]);
    archive.refuses(&out("Source: hello", "Source: ../hello"), &[(changes, "is not a valid source name")]);
    archive.refuses(&out("Version: 1.0-1", "Version: 1.0 1"), &[(changes, "is not a valid version")]);
    archive.refuses(&out("Distribution: trixie", "Distribution: trixie\nDistribution: sid"), &[(changes, "repeats the field")]);
    archive.refuses(&out("Distribution: trixie\n", "Distribution: trixie\n\n"), &[(changes, "second paragraph")]);
    archive.refuses(&out("   * Change.", "   * Change.\r"), &[(changes, "carriage return")]);
    archive.refuses(&out("   * Change.", "   * Change.\0"), &[(changes, "NUL")]);
    let latin1 = out("   * Change.", "   * Change.");
    let mut bytes = std::fs::read(latin1.join(changes)).unwrap();
    bytes.extend(b"X-Name: J\xf6rg\n");
    std::fs::write(latin1.join(changes), bytes).unwrap();
    archive.refuses(&latin1, &[(changes, "not UTF-8")]);
}

#[test]
fn a_file_that_is_neither_in_the_build_output_nor_in_the_pool_is_named() {
    let archive = Watched::new();
    let (changes, dsc) = ("hostname_3.23+nmu1_amd64.changes", "hostname_3.23+nmu1.dsc");
    let binary = "hostname_3.23+nmu1_amd64.deb";
    let out = archive.copy_of("out/small");
    std::fs::remove_file(out.join(binary)).unwrap();
    archive.refuses(&out, &[(changes, binary)]);

    // As of an upload without orig: .changes does not name it, .dsc does.
    let orig = "nyancat_1.5.2.orig.tar.gz";
    let without_orig = archive.copy_of("out/two-amd64");
    std::fs::remove_file(without_orig.join(orig)).unwrap();
    let upload = only(&without_orig, ".changes");
    let text = std::fs::read_to_string(&upload).unwrap();
    std::fs::write(&upload, text.lines().filter(|line| !line.ends_with(orig)).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let run = archive.refuses_with(3, &without_orig, &[], &[(orig, "neither in the build output nor in the pool")]);
    assert!(run.err.contains("nyancat_1.5.2-0.2.dsc names it"), "{}", run.err);
    archive.accepts(&archive.copy_of("out/two-amd64"));

    let alone = archive.out(&[(dsc, &std::fs::read(cache("out/small").join(dsc)).unwrap())]);
    archive.refuses_with(3, &alone, &[], &[("hostname_3.23+nmu1.tar.xz", "neither in the build output nor in the pool")]);
}

#[test]
fn sources_that_do_not_hold_together_are_refused() {
    let archive = Watched::new();
    let out = |from: &str, to: &str| {
        let out = archive.out(&[]);
        let dsc = write_source(&out, "hello", "1.0");
        if !from.is_empty() {
            patch(&dsc, from, to);
        }
        out
    };
    let dsc = "hello_1.0.dsc";
    archive.accepts(&out("", ""));
    archive.refuses(&out("Source: hello", "Source: hallo"), &[(dsc, "")]);
    archive.refuses(&out("Version: 1.0", "Version: 1.1"), &[(dsc, "its name should be hello_1.1.dsc")]);
    archive.refuses(&out("Checksums-Sha256", "Checksums-Sha3"), &[(dsc, "Checksums-Sha256 is missing")]);
    archive.refuses(&out("hello_1.0.tar.gz", "../hello_1.0.tar.gz"), &[(dsc, "is not a valid file name")]);
    archive.refuses(&out("hello_1.0.tar.gz", "other_1.0.tar.gz"), &[(dsc, "it lists other_1.0.tar.gz")]);
    archive.refuses(&out("Format: 3.0 (native)", "Format: three"), &[(dsc, "is not a source format")]);
    archive.refuses(&out("Architecture: any", "Architecture: any\nBuild-Depends: debhelper (>= 13"), &[(dsc, "Build-Depends")]);
    archive.refuses(&out("Architecture: any", "Architecture: any\nDirectory: pool"), &[(dsc, "may not be set by a package")]);
    archive.refuses(&out("Format:", "\nX: y\n\nFormat:"), &[(dsc, "second paragraph")]);
    let renamed = out("", "");
    std::fs::rename(renamed.join(dsc), renamed.join("hello_2.0.dsc")).unwrap();
    archive.refuses(&renamed, &[("hello_2.0.dsc", "its name should be hello_1.0.dsc")]);
    // A tarball that is cut off, though its .dsc lists what is there.
    let cut = out("", "");
    let tarball = cut.join("hello_1.0.tar.gz");
    let bytes = std::fs::read(&tarball).unwrap();
    std::fs::write(&tarball, &bytes[..bytes.len() - 20]).unwrap();
    archive.refuses(&cut, &[("hello_1.0.tar.gz", dsc)]);
}

#[test]
fn a_source_and_a_deb_of_one_build_must_agree() {
    let archive = Watched::new();
    let changes = "hello_1.0-1_amd64.changes";
    let out = archive.out(&[(DEB, &deb(CONTROL))]);
    write_changes(&out, changes, "Source: other\n", &[DEB]);
    archive.refuses(&out, &[(DEB, "")]);
    let out = archive.out(&[(DEB, &deb(CONTROL))]);
    write_changes(&out, changes, "Version: 1.0-2\n", &[DEB]);
    archive.refuses(&out, &[(DEB, "")]);
}
