//! Programs other than the apt of the machine and of trixie read indices that are made of blocks: sid's apt, debootstrap, python.
//!
//! Every index here has several blocks of both kinds, those of a first publish and those that changed later.

use std::path::PathBuf;

use crate::client::{Apt, Kind};
use crate::sandbox::{Run, Sandbox};
use crate::server::Server;
use crate::specimens::{Gpg, commit_by_hand};

const PACKAGES: &str = "dists/trixie/main/binary-amd64/Packages";

/// The packages that debootstrap asks for by name, and so many others, some of them required.
const NAMES: usize = 60;

/// A published archive with a Packages of several blocks in these forms, one of which changed after the first publish.
fn archive(sandbox: &Sandbox, compression: &str, more: &str) -> Server {
    let server = Server::of(&sandbox.public());
    let url = server.url();
    sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--origin", "Test", "--url", &url]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate", "--name", "Test", "--email", "archive@example.org"]).ok();
    let path = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let settings = format!("descriptions = \"long\"\nblock-size = \"64KiB\"\ncompression = [{compression}]\n{more}components =");
    std::fs::write(&path, text.replacen("components =", &settings, 1)).unwrap();
    commit_by_hand(sandbox, "Configure the suite.");
    for number in 0..NAMES {
        let priority = if number % 20 == 0 { "required" } else { "optional" };
        let depends = if number == 20 { "Depends: package-7 (>= 1)\n" } else { "" };
        deb(sandbox, "out", &format!("package-{number}"), "1.0", &format!("Priority: {priority}\n{depends}"));
    }
    deb(sandbox, "out", "apt", "1.0", "Depends: package-9\n");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    change(sandbox, 31, "1.1");
    if compression.contains("xz") {
        has_blocks(sandbox);
    }
    server
}

fn deb(sandbox: &Sandbox, out: &str, package: &str, version: &str, fields: &str) {
    let long = format!("what {package} {version} is for ").repeat(200);
    sandbox.deb(out, package, version, "amd64", &format!("{fields}Description: {package}\n {long}\n"));
}

/// Another version of one package.
fn change(sandbox: &Sandbox, number: usize, version: &str) {
    let out = format!("out-{number}-{version}");
    deb(sandbox, &out, &format!("package-{number}"), version, "");
    sandbox.commit(&out, &[]).ok();
    sandbox.dists(&[]).ok();
}

fn published(sandbox: &Sandbox, ending: &str) -> PathBuf {
    sandbox.public().join(format!("{PACKAGES}{ending}"))
}

/// The text of Packages by the stock program of a form.
fn text(sandbox: &Sandbox, ending: &str) -> String {
    let program = match ending {
        ".gz" => "gzip",
        ".xz" => "xz",
        _ => "zstd",
    };
    let text = sandbox.run(program, &["-dc", published(sandbox, ending).to_str().unwrap()]).ok().out;
    assert_eq!(text.matches("\n\n").count(), NAMES + 1);
    text
}

/// There are several blocks in the file, by xz's own word.
fn has_blocks(sandbox: &Sandbox) {
    let listed = sandbox.run("xz", &["--robot", "--list", published(sandbox, ".xz").to_str().unwrap()]).ok().out;
    let totals: Vec<&str> = listed.lines().find(|line| line.starts_with("file")).unwrap().split('\t').collect();
    let (streams, blocks): (u32, u32) = (totals[1].parse().unwrap(), totals[2].parse().unwrap());
    assert!(streams == 1 && blocks > 3, "{listed}");
}

#[test]
fn pythons_lzma_and_gzip_read_what_is_made_of_blocks() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "\"gz\", \"xz\"", "");
    let expected = sandbox.write("expected", text(&sandbox, ".xz"));
    assert_eq!(text(&sandbox, ".gz"), text(&sandbox, ".xz"));
    // As files, and as what must be one stream and one member: the rest would be lost on whoever reads no second one.
    let script = r#"
import gzip, lzma, sys, zlib
expected = open(sys.argv[1], "rb").read()
xz, gz = sys.argv[2] + ".xz", sys.argv[2] + ".gz"
assert lzma.open(xz).read() == expected
assert gzip.open(gz).read() == expected
one = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
assert one.decompress(open(xz, "rb").read()) == expected and one.eof and not one.unused_data
one = zlib.decompressobj(wbits=31)
assert one.decompress(open(gz, "rb").read()) == expected and one.eof and not one.unused_data
piece = b""
with lzma.open(xz) as file:
    while part := file.read(4099):
        piece += part
assert piece == expected
print(len(expected))
"#;
    let index = published(&sandbox, "");
    let run = sandbox.run("/usr/bin/python3", &["-c", script, expected.to_str().unwrap(), index.to_str().unwrap()]).ok();
    assert!(run.out.trim().parse::<usize>().unwrap() > 4 * (64 << 10));
    // It would have said so: a file that is cut off is refused.
    let whole = std::fs::read(published(&sandbox, ".xz")).unwrap();
    let cut = sandbox.write("cut.xz", &whole[..whole.len() / 2]);
    let run = sandbox.run("/usr/bin/python3", &["-c", "import lzma, sys; lzma.open(sys.argv[1]).read()", cut.to_str().unwrap()]);
    assert!(run.code != 0 && run.err.contains("EOFError"), "{}", run.err);
}

#[test]
fn debootstrap_finds_and_downloads_a_base_system_in_every_form() {
    for compression in ["xz", "gz"] {
        let sandbox = Sandbox::new();
        let server = archive(&sandbox, &format!("\"{compression}\""), "");
        assert!(published(&sandbox, &format!(".{compression}")).exists());
        let armored = std::fs::read(sandbox.public().join("archive-keyring.asc")).unwrap();
        let keyring = sandbox.write("keyring.gpg", Gpg::new().run(&["--dearmor"], &armored));
        let run = debootstrap(&sandbox, &keyring, &["--download-only"], &server);
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        assert!(format!("{}{}", run.out, run.err).contains("Valid Release signature"), "{}{}", run.out, run.err);
        // What is required, apt, and what these depend on.
        let archives = sandbox.run("ls", &["base/var/cache/apt/archives"]).ok().out;
        let packages: Vec<&str> =
            archives.lines().filter(|file| file.ends_with(".deb")).map(|file| file.split('_').next().unwrap()).collect();
        assert_eq!(packages, ["apt", "package-0", "package-20", "package-40", "package-7", "package-9"]);
        let asked = server.take_served();
        assert!(asked.iter().any(|path| path.contains("main/binary-amd64/")), "{asked:?}");
        // Another index in its place is refused: what it read is what is signed.
        let index = format!("{PACKAGES}.{compression}");
        let by_hash = asked.iter().find(|path| path.contains("/binary-amd64/by-hash/")).cloned();
        let bytes = std::fs::read(sandbox.public().join(&index)).unwrap();
        for path in std::iter::once(index).chain(by_hash) {
            server.change(&path, bytes[..bytes.len() - 1].to_vec());
        }
        sandbox.run("rm", &["-rf", "base"]).ok();
        let run = debootstrap(&sandbox, &keyring, &["--print-debs"], &server);
        assert!(run.code != 0, "{}{}", run.out, run.err);
    }
}

fn debootstrap(sandbox: &Sandbox, keyring: &std::path::Path, more: &[&str], server: &Server) -> Run {
    let keyring = format!("--keyring={}", keyring.display());
    let base = sandbox.path("base").display().to_string();
    let url = server.url();
    crate::client::as_root(
        sandbox,
        &[&["/usr/sbin/debootstrap", "--variant=minbase", "--arch=amd64", &keyring], more, &["trixie", &base, &url]].concat(),
    )
}

#[test]
fn sids_apt_reads_every_form_and_follows_by_patches() {
    for compression in ["xz", "gz", "zst"] {
        let sandbox = Sandbox::new();
        let server = archive(&sandbox, &format!("\"{compression}\""), "pdiffs = 8\n");
        let ending = format!(".{compression}");
        let apt = Apt::of_sid(&sandbox);
        assert_eq!(apt.kind, Kind::Sid);
        apt.use_stanza(&std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap());
        apt.updates();
        assert_eq!(apt.versions("package-31"), ["1.1"]);
        let whole = |path: &&String| path.contains("/binary-amd64/by-hash/") || path.contains("/binary-amd64/Packages.");
        let is_patch =
            |path: &&String| path.contains("/binary-amd64/Packages.diff/") && !path.contains("/by-hash/") && !path.contains("Index");
        assert_eq!(server.take_served().iter().filter(whole).filter(|path| !path.contains(".diff/")).count(), 1);
        is_listed(&apt, &text(&sandbox, &ending));
        // Two changes are two patches, and nothing is fetched whole.
        change(&sandbox, 3, "1.1");
        change(&sandbox, 44, "1.1");
        server.take_log();
        apt.updates();
        assert_eq!((apt.versions("package-3"), apt.versions("package-44")), (vec!["1.1".to_owned()], vec!["1.1".to_owned()]));
        let fetched = server.take_served();
        assert_eq!(fetched.iter().filter(is_patch).count(), 2, "{fetched:?}");
        assert_eq!(fetched.iter().filter(whole).filter(|path| !path.contains(".diff/")).count(), 0, "{fetched:?}");
        is_listed(&apt, &text(&sandbox, &ending));
        apt.get(&["download", "package-44"]).ok();
        assert!(apt.downloaded("package-44_1.1_amd64.deb").exists());
        // What was changed on the way is refused.
        let release = std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap();
        let changed = String::from_utf8(release).unwrap().replacen("Origin: Test", "Origin: Tset", 1);
        server.change("dists/trixie/InRelease", changed.into_bytes());
        apt.refuses_update(&["BADSIG", "Message has been manipulated"]);
    }
}

/// apt's own copy of Packages is this text.
fn is_listed(apt: &Apt<'_>, text: &str) {
    let script = "/usr/lib/apt/apt-helper cat-file $(find ../var/lib/apt/lists -name '*binary-amd64_Packages*')";
    let run = apt.run(&["/bin/sh", "-c", script]).ok();
    assert!(run.out == text, "apt has another index than was published: {} and {} bytes", run.out.len(), text.len());
}
