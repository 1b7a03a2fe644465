//! What is read from packages, whole, cut off and made to harm.

use super::super::specimens::{CONTROL, Tar, ar, chain, control_tar, data_tar, deb, gzip, xz};
use super::*;
use proptest::prelude::*;

/// Reads a whole .deb.
fn read(bytes: &[u8]) -> Result<DebContents, DebError> {
    super::read(bytes, Depth::Whole)
}

const BINARY: (&str, &[u8]) = ("debian-binary", b"2.0\n");

/// Returns a .deb of these members behind `debian-binary`.
fn with(members: &[(&str, &[u8])]) -> Vec<u8> {
    ar(&[&[BINARY], members].concat())
}

fn fault(bytes: &[u8]) -> String {
    chain(&read(bytes).unwrap_err())
}

#[test]
fn control_and_paths_come_back() {
    let expected = DebContents { control: CONTROL.to_owned(), paths: vec!["usr/hello".to_owned(), "usr/link".to_owned()] };
    let (control, data) = (control_tar(CONTROL.as_bytes()), data_tar());
    let check = |bytes: Vec<u8>| assert_eq!(read(&bytes).unwrap(), expected);
    check(deb(CONTROL));
    check(deb(&format!("\n{CONTROL}\n\n")));
    check(deb(CONTROL.trim_end()));
    check(with(&[("control.tar", &control), ("data.tar", &data)]));
    check(with(&[("control.tar.xz/", &xz(&control)), ("data.tar.xz/", &xz(&data)), ("_gpgorigin", b"sig"), ("later", b"x")]));
    check(with(&[("_first", b"1"), ("control.tar.gz", &gzip(&control)), ("_second", b""), ("data.tar", &data)]));
    check(ar(&[("debian-binary", b"2.1\nmore\n"), ("control.tar", &control), ("data.tar", &data)]));
    let bare = Tar::new().file("control", CONTROL.as_bytes()).end();
    check(with(&[("control.tar", &bare), ("data.tar", &data)]));
}

#[test]
fn the_data_is_passed_over_where_only_the_control_text_is_asked_for() {
    let control = control_tar(CONTROL.as_bytes());
    let read = |members: &[(&str, &[u8])]| super::read(with(members).as_slice(), Depth::Control);
    let expected = DebContents { control: CONTROL.to_owned(), paths: Vec::new() };
    let (control, data) = (("control.tar", control.as_slice()), ("data.tar.xz", &b"this is no xz"[..]));
    assert_eq!(read(&[control, data]).unwrap(), expected);
    assert!(matches!(super::read(with(&[control, data]).as_slice(), Depth::Whole), Err(DebError::Member { .. })));
    let fault = |members: &[(&str, &[u8])]| chain(&read(members).unwrap_err());
    assert_eq!(fault(&[control]), "it has no data.tar");
    assert_eq!(fault(&[control, data, data]), "its member data.tar.xz is one too many");
    assert_eq!(fault(&[control, ("data.tar.zip", b"")]), "its member data.tar.zip is compressed in a way that dpkg does not read");
    let whole = with(&[control, data]);
    for end in 0..whole.len() {
        assert!(super::read(whole.get(..end).unwrap(), Depth::Control).is_err(), "cut at {end} of {}", whole.len());
    }
}

#[test]
fn members_in_the_wrong_order_or_number_are_refused() {
    let (control, data) = (control_tar(CONTROL.as_bytes()), data_tar());
    let (control, data) = (("control.tar", control.as_slice()), ("data.tar", data.as_slice()));
    let check = |members: &[(&str, &[u8])], expected: &str| assert_eq!(fault(&ar(members)), expected);
    check(&[], "it has no debian-binary");
    check(&[control, data], "its member control.tar stands where debian-binary belongs");
    check(&[("_x", b""), BINARY, control, data], "its member _x stands where debian-binary belongs");
    check(&[BINARY], "it has no control.tar");
    check(&[BINARY, control], "it has no data.tar");
    check(&[BINARY, data, control], "its member data.tar stands where control.tar belongs");
    check(&[BINARY, BINARY, control, data], "its member debian-binary is one too many");
    check(&[BINARY, control, control, data], "its member control.tar is one too many");
    check(&[BINARY, control, data, control], "its member control.tar is one too many");
    check(&[BINARY, control, data, data], "its member data.tar is one too many");
    check(&[BINARY, control, ("stranger", b""), data], "its member stranger stands where data.tar belongs");
    check(&[("debian-binary", b"3.0\n"), control, data], "its debian-binary says \"3.0\", not 2.0");
    check(&[("debian-binary", b"2.0"), control, data], "its debian-binary says \"2.0\", not 2.0");
    check(&[("debian-binary", b""), control, data], "its debian-binary says \"\", not 2.0");
    check(&[BINARY, ("control.tar.bz2", b""), data], "its member control.tar.bz2 is compressed in a way that dpkg does not read");
    check(&[BINARY, control, ("data.tar.zip", b"")], "its member data.tar.zip is compressed in a way that dpkg does not read");
}

#[test]
fn a_control_file_that_is_none_is_refused() {
    let check = |tar: Tar, expected: &str| {
        assert_eq!(fault(&with(&[("control.tar", &tar.end()), ("data.tar", &data_tar())])), expected);
    };
    let control = CONTROL.as_bytes();
    check(Tar::new().folder("./"), "its control.tar holds no control file");
    check(Tar::new().file("x/control", control), "its control.tar holds no control file");
    check(Tar::new().link(b'2', "control", "/etc/passwd"), "its control file is a symbolic link, not a regular file");
    check(Tar::new().file("x", control).link(b'1', "control", "x"), "its control file is a hard link, not a regular file");
    check(Tar::new().raw(b'6', b"control", b"", b""), "its control file is a device or fifo, not a regular file");
    check(Tar::new().folder("control"), "its control file is a folder, not a regular file");
    check(Tar::new().file("control", control).file("./control", control), "its control.tar holds two control files");
    check(Tar::new().file("control", b"Package: \xff"), "its control file is not UTF-8 (byte 9)");
    let huge = vec![b'x'; usize::try_from(limits::CONTROL).unwrap() + 1];
    check(Tar::new().file("control", &huge), "its member control.tar: the tar entry \"control\" is longer than 1048576 bytes");
}

#[test]
fn bombs_and_garbage_are_refused() {
    let control = control_tar(CONTROL.as_bytes());
    let bomb = |megabytes: usize| xz(&Tar::new().file("zeros", &vec![0; megabytes << 20]).end());
    let data = ("data.tar.gz", &gzip(&data_tar())[..]);
    let large = Tar::new().file("zeros", &vec![0; 65 << 20]).end();
    assert_eq!(
        fault(&with(&[("control.tar", &large), data])),
        "its member control.tar: cannot be unpacked: it unpacks to more than 67108864 bytes"
    );
    assert_eq!(
        fault(&with(&[("control.tar", &control), ("data.tar.xz", &bomb(300))])),
        "its member data.tar.xz: cannot be unpacked: it unpacks to more than 2000 times its size (a compression bomb)"
    );
    let twice = [xz(&data_tar()), xz(&data_tar())].concat();
    assert_eq!(
        fault(&with(&[("control.tar", &control), ("data.tar.xz", &twice)])),
        "garbage follows the compressed data of its member data.tar.xz"
    );
    let garbage = [gzip(&data_tar()), b"garbage".to_vec()].concat();
    assert!(fault(&with(&[("control.tar", &control), ("data.tar.gz", &garbage)])).starts_with("its member data.tar.gz: cannot"));
    assert!(fault(&[deb(CONTROL), b"garbage".to_vec()].concat()).contains("is cut off in the ar header"));
    assert!(fault(&[deb(CONTROL), vec![b'x'; 60]].concat()).contains("garbage follows"));
    assert_eq!(fault(b"<html>"), "it is not an ar archive (it does not begin with \"!<arch>\")");
    assert_eq!(fault(b"!<arch>"), "it is cut off in its first bytes");
}

/// Builds a package with dpkg-deb and returns its file.
fn built(compression: &str, folder: &std::path::Path) -> Vec<u8> {
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(tree.join("usr/share/doc/hello")).unwrap();
    std::fs::write(tree.join("DEBIAN/control"), CONTROL).unwrap();
    let noise: Vec<u8> = (0..40_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    std::fs::write(tree.join("usr/share/doc/hello/noise"), noise).unwrap();
    let deb = folder.join(format!("{compression}.deb"));
    let output = std::process::Command::new("dpkg-deb")
        .args(["--root-owner-group", "--uniform-compression", &format!("-Z{compression}"), "-b"])
        .arg(&tree)
        .arg(&deb)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(deb).unwrap()
}

#[test]
fn what_dpkg_deb_builds_is_read_and_no_cut_copy_of_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for compression in ["none", "gzip", "xz", "zstd"] {
        let bytes = built(compression, folder.path());
        let contents = read(&bytes).unwrap();
        assert_eq!(contents.control, CONTROL, "{compression}");
        assert_eq!(contents.paths, ["usr/share/doc/hello/noise"], "{compression}");
        for end in (0..bytes.len()).step_by(97).chain(bytes.len().saturating_sub(300)..bytes.len()) {
            assert!(read(bytes.get(..end).unwrap()).is_err(), "{compression} cut at {end} of {}", bytes.len());
        }
    }
}

#[test]
fn no_cut_copy_of_a_small_package_is_read() {
    let bytes = deb(CONTROL);
    for end in 0..bytes.len() {
        assert!(read(bytes.get(..end).unwrap()).is_err(), "cut at {end} of {}", bytes.len());
    }
}

#[test]
fn old_packages_with_bzip2_and_lzma_are_read() {
    use std::io::Write as _;
    let control = gzip(&control_tar(CONTROL.as_bytes()));
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    bzip2.write_all(&data_tar()).unwrap();
    let options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
    let stream = liblzma::stream::Stream::new_lzma_encoder(&options).unwrap();
    let mut lzma = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    lzma.write_all(&data_tar()).unwrap();
    for (name, packed) in [("data.tar.bz2", bzip2.finish().unwrap()), ("data.tar.lzma", lzma.finish().unwrap())] {
        let whole = with(&[("control.tar.gz", &control), (name, &packed)]);
        assert_eq!(read(&whole).unwrap().paths.len(), 2, "{name}");
        let twice = [packed.clone(), packed.clone()].concat();
        let twice = with(&[("control.tar.gz", &control), (name, &twice)]);
        assert_eq!(fault(&twice), format!("garbage follows the compressed data of its member {name}"));
        for end in 0..packed.len() {
            let cut = with(&[("control.tar.gz", &control), (name, packed.get(..end).unwrap())]);
            assert!(read(&cut).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn a_compressed_member_that_is_cut_inside_a_whole_ar_archive_is_refused() {
    let control = gzip(&control_tar(CONTROL.as_bytes()));
    let zst = zstd::encode_all(data_tar().as_slice(), 3).unwrap();
    for (name, packed) in [("data.tar.gz", gzip(&data_tar())), ("data.tar.xz", xz(&data_tar())), ("data.tar.zst", zst)] {
        for end in 0..packed.len() {
            let cut = with(&[("control.tar.gz", &control), (name, packed.get(..end).unwrap())]);
            assert!(read(&cut).is_err(), "{name} cut at {end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn changed_packages_never_panic(
        kind in 0..3usize, at in 0.0..1.0f64, length in 0..40usize, new in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let (control, data) = (control_tar(CONTROL.as_bytes()), data_tar());
        let mut bytes = match kind {
            0 => deb(CONTROL),
            1 => with(&[("control.tar", &control), ("data.tar", &data)]),
            _ => with(&[("control.tar.xz", &xz(&control)), ("data.tar.zst", &zstd::encode_all(data.as_slice(), 3).unwrap())]),
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let begin = (at * bytes.len() as f64) as usize;
        let end = (begin + length).min(bytes.len());
        bytes.splice(begin..end, new);
        if let Ok(contents) = read(&bytes) {
            let _ = super::super::control::Binary::parse(contents.control, &"hello_1.0-1_amd64.deb".parse().unwrap());
        }
    }
}
