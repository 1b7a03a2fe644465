//! The bytes of a .deb, changed one by one: ar, tar, compression, control paragraph, names.

use super::super::sandbox::cache;
use super::super::specimens::{CONTROL, DEB, Tar, ar, ar_header, control_tar, data_tar, deb, deb_of, gzip, xz_with_zeros, zstd_with_zeros};
use super::Watched;

#[test]
fn debs_that_are_cut_off_or_no_archives_are_refused() {
    let archive = Watched::new();
    let good = deb(CONTROL);
    archive.accepts(&archive.out(&[(DEB, &good)]));
    let real = std::fs::read(cache("out/small/hostname_3.23+nmu1_amd64.deb")).unwrap();
    let name = "hostname_3.23+nmu1_amd64.deb";
    archive.accepts(&archive.out(&[(name, &real)]));
    for end in [real.len() - 1, real.len() / 2, 200, 100, 61] {
        archive.refuses_file(name, &real[..end], "cut off");
    }
    archive.refuses_file(name, &real[..7], "cut off");
    archive.refuses_file(DEB, b"", "");
    archive.refuses_file(DEB, b"#!/bin/sh\nexit 0\n", "it is not an ar archive");
    archive.refuses_file(DEB, &[&good[..], b"trailing garbage"].concat(), "cut off");
    archive.refuses_file(DEB, &[&good[..], &[b'x'; 60][..]].concat(), "the ar header at byte");
    // One flipped bit in the middle of data.tar.xz, which neither reprepro nor aptly would notice.
    let mut flipped = real.clone();
    let middle = real.len() - 2000;
    flipped[middle] ^= 0x10;
    archive.refuses_file(name, &flipped, "data.tar.xz");
    // A data.tar that ends early in a whole compressed stream.
    let cut = &data_tar()[..1024];
    archive.refuses_file(DEB, &deb_of(&control_tar(CONTROL), cut), "cut off");
}

/// What `check-packages = "control"` gives up, and what it does not.
#[test]
fn with_the_control_member_alone_checked_the_data_is_taken_as_it_is() {
    let archive = Watched::new();
    let name = "hostname_3.23+nmu1_amd64.deb";
    let real = std::fs::read(cache("out/small").join(name)).unwrap();
    let mut flipped = real.clone();
    flipped[real.len() - 2000] ^= 0x10;
    archive.refuses_file(name, &flipped, "data.tar.xz");
    let plain = std::fs::read_to_string(archive.sandbox.path("archive/ddb.toml")).unwrap();
    let with = |more: &str, contents: &str| {
        archive.sandbox.write("archive/ddb.toml", format!("{more}{plain}{contents}"));
        archive.sandbox.git(&["commit", "--quiet", "--all", "--message", "Check otherwise."]).ok();
    };
    with("check-packages = \"control\"\n", "");
    archive.accepts(&archive.out(&[(name, &flipped)]));
    archive.refuses_file(name, &real[..real.len() - 1], "cut off");
    archive.refuses_file(DEB, &deb(CONTROL.replace("Version", "Verzion")), "Version");
    // Contents are made of what is in the data.
    with("check-packages = \"control\"\n", "contents = true\n");
    archive.refuses_file(name, &flipped, "data.tar.xz");
}

#[test]
fn members_that_are_missing_wrong_repeated_or_out_of_order_are_refused() {
    let archive = Watched::new();
    let (control, data) = (gzip(&control_tar(CONTROL)), gzip(&data_tar()));
    let format = ("debian-binary", &b"2.0\n"[..]);
    let control = ("control.tar.gz", &control[..]);
    let data = ("data.tar.gz", &data[..]);
    archive.accepts(&archive.out(&[(DEB, &ar(&[format, control, data]))]));
    archive.accepts(&archive.out(&[(DEB, &ar(&[format, ("_gpgorigin", b"x"), control, data, ("extra", b"x")]))]));
    for (members, reason) in [
        (&[][..], "has no debian-binary"),
        (&[control, data], "control.tar.gz stands where debian-binary belongs"),
        (&[("debian-binary", &b"3.0\n"[..]), control, data], "its debian-binary says \"3.0\""),
        (&[("debian-binary", b""), control, data], "its debian-binary says \"\""),
        (&[("debian-binary", b"2.0"), control, data], "its debian-binary says"),
        (&[control, format, data], "stands where debian-binary belongs"),
        (&[format, data, control], "data.tar.gz stands where control.tar belongs"),
        (&[format], "has no control.tar"),
        (&[format, control], "has no data.tar"),
        (&[format, data], "data.tar.gz stands where control.tar belongs"),
        (&[format, control, control, data], "control.tar.gz is one too many"),
        (&[format, control, data, control], "control.tar.gz is one too many"),
        (&[format, control, data, ("control.tar.xz", control.1)], "control.tar.xz is one too many"),
        (&[format, control, data, data], "data.tar.gz is one too many"),
        (&[format, format, control, data], "debian-binary is one too many"),
        (&[format, ("control.tar.Z", control.1), data], "compressed in a way that dpkg does not read"),
        (&[format, ("control.tar.xz", control.1), data], "control.tar.xz"),
        (&[format, ("extra", b"x"), control, data], "extra stands where control.tar belongs"),
    ] {
        archive.refuses_file(DEB, &ar(members), reason);
    }
}

#[test]
fn a_control_file_that_is_missing_twofold_or_no_file_is_refused() {
    let archive = Watched::new();
    let refuse = |tar: Tar, reason: &str| archive.refuses_file(DEB, &deb_of(&tar.end(), &data_tar()), reason);
    archive.accepts(&archive.out(&[(DEB, &deb_of(&Tar::new().file("control", CONTROL).end(), &data_tar()))]));
    refuse(Tar::new().folder("./"), "holds no control file");
    refuse(Tar::new().file("./md5sums", ""), "holds no control file");
    refuse(Tar::new().file("./control", CONTROL).file("control", CONTROL), "holds two control files");
    refuse(Tar::new().file("./x/control", CONTROL), "holds no control file");
    refuse(Tar::new().entry(b'2', "./control", "/etc/passwd", b""), "its control file is a symbolic link");
    refuse(Tar::new().file("./x", CONTROL).entry(b'1', "./control", "./x", b""), "its control file is a hard link");
    refuse(Tar::new().entry(b'3', "./control", "", b""), "its control file is a device or fifo");
    refuse(Tar::new().entry(b'6', "./control", "", b""), "its control file is a device or fifo");
    refuse(Tar::new().folder("./control"), "its control file is a folder");
}

#[test]
fn path_tricks_in_ar_and_tar_names_are_refused() {
    let archive = Watched::new();
    for name in ["../x", "/etc/passwd", "//", "#1/20", "..", "a b"] {
        let bytes = [ar(&[("debian-binary", b"2.0\n")]), ar_header(name, "0"), deb(CONTROL)[72..].to_vec()].concat();
        archive.refuses_file(DEB, &bytes, "has a name that is not allowed");
    }
    for path in ["../../../etc/passwd", "./usr/../../x", "/etc/passwd", "usr/..", "./usr/a\nb"] {
        archive.refuses_file(DEB, &deb_of(&control_tar(CONTROL), &Tar::new().file(path, "x").end()), "the tar entry");
        archive.refuses_file(DEB, &deb_of(&Tar::new().file("./control", CONTROL).file(path, "x").end(), &data_tar()), "the tar entry");
    }
    let link = Tar::new().file("./usr/x", "").entry(b'1', "./usr/link", "../../../etc/shadow", b"");
    archive.refuses_file(DEB, &deb_of(&control_tar(CONTROL), &link.end()), "the tar entry");
    // Symbolic links may point anywhere: dpkg unpacks them, and Debian's packages have them.
    let link = Tar::new().entry(b'2', "./usr/link", "../../etc/hello", b"");
    archive.accepts(&archive.out(&[(DEB, &deb_of(&control_tar(CONTROL), &link.end()))]));
}

#[test]
fn control_files_over_the_limit_and_compression_bombs_are_refused_in_bounded_time() {
    const MIB: usize = 1 << 20;
    let archive = Watched::new();
    let long = |length: usize| format!("{CONTROL}X-Filler:{}\n", "\n line of a value".repeat(length / 16));
    archive.accepts(&archive.out(&[(DEB, &deb(long(900 << 10)))]));
    archive.refuses_file(DEB, &deb(long(1100 << 10)), "is longer than 1048576 bytes");

    let members = |control: (&str, &[u8]), data: (&str, &[u8])| ar(&[("debian-binary", b"2.0\n"), control, data]);
    let control = gzip(&control_tar(CONTROL));
    let data = gzip(&data_tar());
    archive.accepts(&archive.out(&[(
        DEB,
        &members(("control.tar.xz", &xz_with_zeros(&control_tar(CONTROL), MIB)), ("data.tar.zst", &zstd_with_zeros(&data_tar(), MIB))),
    )]));
    let bomb = "compression bomb";
    archive.refuses_file(DEB, &members(("control.tar.gz", &control), ("data.tar.xz", &xz_with_zeros(&data_tar(), 64 * MIB))), bomb);
    archive.refuses_file(DEB, &members(("control.tar.gz", &control), ("data.tar.zst", &zstd_with_zeros(&data_tar(), 400 * MIB))), bomb);
    archive.refuses_file(
        DEB,
        &members(("control.tar.zst", &zstd_with_zeros(&control_tar(CONTROL), 40 * MIB)), ("data.tar.gz", &data)),
        bomb,
    );
    // gzip cannot bring out more than a thousandfold; the limit of control.tar holds all the same.
    let filler = Tar::new().file("./control", CONTROL).file("./filler", vec![0; 65 * MIB]).end();
    archive.refuses_file(DEB, &members(("control.tar.gz", &gzip(&filler)), ("data.tar.gz", &data)), "unpacks to more than 67108864 bytes");
}

#[test]
fn control_paragraphs_that_dpkg_or_apt_would_stumble_over_are_refused() {
    let archive = Watched::new();
    let check = |from: &str, to: &str, reason: &str| {
        assert!(CONTROL.contains(from));
        archive.refuses_file(DEB, &deb(CONTROL.replace(from, to)), reason);
    };
    // Duplicate and malformed fields, second paragraphs.
    check("Section: devel", "Section: devel\nSection: net", "repeats the field Section");
    check("Section: devel", "section: devel\nSECTION: devel", "repeats the field SECTION");
    check("Section: devel", "Section devel", "is not \"Field: value\"");
    check("Section: devel", "Sect ion: devel", "is not \"Field: value\"");
    check("Section: devel", "# a comment", "line 5");
    check("Package: hello", " a continuation\nPackage: hello", "continues a field, but none was begun");
    check("Description:", "\nDescription:", "begins a second paragraph");
    check(" Long text.\n", " Long text.\n\nPackage: second\nVersion: 1\n", "begins a second paragraph");
    check(" Long text.\n", " Long text.\n   \n more\n", "holds only blanks");
    check("Section: devel", "Filename: pool/main/h/hello/x.deb", "may not be set by a package");
    check("Section: devel", "sha256: 00", "may not be set by a package");
    check("Maintainer: Test <test@example.org>\n", "", "the field Maintainer is missing");
    check("Package: hello\n", "", "the field Package is missing");
    archive.refuses_file(DEB, &deb(""), "it holds no field");
    // Bytes.
    check("Section: devel", "Section: devel\r", "holds a carriage return");
    check("\n", "\r\n", "holds a carriage return");
    check("Long text", "Long\0text", "holds a NUL byte");
    archive.refuses_file(DEB, &deb([CONTROL.as_bytes(), b"X-Name: J\xf6rg\n"].concat()), "is not UTF-8");
    // Relations.
    for (relation, reason) in [
        ("Depends: libc6 (>= 2.3", "has no \")\" for its \"(\""),
        ("Depends: libc6 2.3", "goes on where it should end"),
        ("Depends: libc6 (=> 2.3)", "has no operator"),
        ("Depends: libc6,, zlib1g", "holds an empty entry"),
        ("Depends: ${shlibs:Depends}", "does not begin with a package name"),
        ("Depends:", "Depends is empty"),
        ("Pre-Depends: (>= 1)", "does not begin with a package name"),
        ("Conflicts: a | b", "holds \"|\""),
        ("Provides: a (>= 1)", "may hold a version only behind \"=\""),
        ("Breaks: a (<< 1 2)", "Breaks"),
    ] {
        check("Section: devel", relation, reason);
    }
    check("Section: devel", "Section: ../../net", "Section");
    check("Section: devel", "Section: de vel", "Section");
    check("Section: devel", "Multi-Arch: perhaps", "Multi-Arch");
    check("Section: devel", "Source: hello (1", "Source");
    archive
        .accepts(&archive.out(&[(DEB, &deb(CONTROL.replace("Section: devel", "Depends: libc6 (>= 2.3), zlib1g | x\nProvides: a (= 1)")))]));
}

#[test]
fn packages_versions_and_architectures_that_disagree_with_the_file_name_or_are_none_are_refused() {
    let archive = Watched::new();
    archive.accepts(&archive.out(&[(DEB, &deb(CONTROL))]));
    archive.accepts(&archive.out(&[(DEB, &deb(CONTROL.replace("Version: ", "Version: 3:")))]));
    for name in [
        "hallo_1.0-1_amd64.deb",
        "hello_1.0-2_amd64.deb",
        "hello_1.0-1_all.deb",
        "hello_1.0-1.deb",
        "hello.deb",
        "hello_1.0-1_amd64.udeb.deb",
    ] {
        archive.refuses_file(name, &deb(CONTROL), "its name should be hello_1.0-1_amd64.deb");
    }
    let udeb = CONTROL.replace("Section: devel", "Package-Type: udeb");
    archive.accepts(&archive.out(&[("hello_1.0-1_amd64.udeb", &deb(&udeb))]));
    archive.refuses_file(DEB, &deb(&udeb), "its name should end in .udeb");
    for (from, to, reason) in [
        ("Package: hello", "Package: Hello", "is not a valid package name"),
        ("Package: hello", "Package: ../../hx", "is not a valid package name"),
        ("Package: hello", "Package: h", "is not a valid package name"),
        ("Package: hello", "Package: hello world", "is not a valid package name"),
        ("Package: hello", &format!("Package: {}", "h".repeat(300)), "is not a valid package name"),
        ("Version: 1.0-1", "Version: 1.0/../1", "is not a valid version"),
        ("Version: 1.0-1", "Version: one:1.0-1", "is not a valid version"),
        ("Version: 1.0-1", "Version: 1.0-1:", "is not a valid version"),
        ("Version: 1.0-1", "Version: 1.0 1", "is not a valid version"),
        ("Version: 1.0-1", &format!("Version: {}", "1".repeat(300)), "is not a valid version"),
        ("Architecture: amd64", "Architecture: any", "is not a valid architecture"),
        ("Architecture: amd64", "Architecture: source", "is not a valid architecture"),
        ("Architecture: amd64", "Architecture: amd64 arm64", "is not a valid architecture"),
        ("Section: devel", "Source: ../evil", "is not a valid source name"),
        ("Section: devel", "Source: hello (1/2)", "is not a valid version"),
    ] {
        archive.refuses_file(DEB, &deb(CONTROL.replace(from, to)), reason);
    }
}

#[test]
fn file_names_that_no_pool_can_hold_are_refused() {
    let archive = Watched::new();
    for name in ["-rf_1_amd64.deb", ".hello_1_amd64.deb", "hello 1.deb", "hello_1_\u{e4}.deb", "a\nb_1_amd64.deb", "a\\b.deb"] {
        archive.refuses_with(3, &archive.out(&[(name, &deb(CONTROL))]), &[], &[]);
    }
    // Names that would forge lines of a log, or colour it, are shown escaped.
    use std::os::unix::ffi::OsStrExt as _;
    let out = archive.out(&[("x\x1b[31m\nerror: fake_1_amd64.deb", &deb(CONTROL))]);
    std::fs::write(out.join(std::ffi::OsStr::from_bytes(b"\xff_1_amd64.deb")), deb(CONTROL)).unwrap();
    let run = archive.refuses_with(3, &out, &[], &[]);
    assert!(run.err.contains("2 problems of") && !run.err.contains('\x1b') && !run.err.contains("\nerror: fake"), "{:?}", run.err);
    let long = format!("{}_1_amd64.deb", "a".repeat(230));
    archive.refuses_with(3, &archive.out(&[(&long, &deb(CONTROL))]), &[], &[]);
}
