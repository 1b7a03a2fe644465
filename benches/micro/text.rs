//! What is measured with: an index, records and a package.

use std::path::Path;

/// Debian's own Packages where `benches/peers/run.sh` has fetched it, else an index made here, of about the same kind of text.
pub fn packages() -> (String, &'static str) {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-cache/indices/Packages");
    match std::fs::read_to_string(fetched) {
        Ok(text) => (text, "trixie's Packages"),
        Err(_) => (made(68_820), "an index made here (benches/peers/run.sh fetches trixie's)"),
    }
}

/// An index of this many paragraphs.
fn made(paragraphs: usize) -> String {
    let words = ["library", "shared", "development", "files", "documentation", "common", "tools", "plugin", "python3", "runtime", "data"];
    let mut random = fastrand::Rng::with_seed(1);
    let mut text = String::new();
    for number in 0..paragraphs {
        let mut say = |count: usize| (0..count).map(|_| *random.choice(&words).unwrap()).collect::<Vec<_>>();
        let (description, depends) =
            (say(7).join(" "), say(9).iter().map(|word| format!("lib{word}1 (>= 1.2)")).collect::<Vec<_>>().join(", "));
        let name = format!("p{:05}-{}", number / 3, words[number % 3]);
        let digest = ddb::words::digest::Sha256::of(name.as_bytes()).to_hex();
        text.push_str(&format!(
            "Package: {name}\nSource: p{:05}\nVersion: {}.{}-1\nInstalled-Size: {}\nMaintainer: Bench <bench@example.org>\nArchitecture: amd64\n\
             Depends: {depends}\nDescription: {description}\nSection: misc\nPriority: optional\n\
             Filename: pool/main/p/p{:05}/{name}_1-1_amd64.deb\nSize: {}\nMD5sum: {}\nSHA256: {digest}\n\n",
            number / 3,
            number % 9,
            number % 13,
            number * 7 % 90_000,
            number / 3,
            number * 31 % 1_000_000,
            &digest[32..],
        ));
    }
    text
}

/// Bytes that do not compress.
pub fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(2).fill(&mut bytes);
    bytes
}

/// A .deb with a file of this many bytes, packed by gzip.
pub fn deb(length: usize) -> Vec<u8> {
    let control = "Package: bench\nVersion: 1\nArchitecture: amd64\nMaintainer: Bench <bench@example.org>\nDescription: bench\n";
    let mut archive = b"!<arch>\n".to_vec();
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", packed(&[("./control", control.as_bytes())])),
        // Noise of six bits a byte, which compresses by a quarter.
        ("data.tar.gz", packed(&[("./usr/share/bench", &noise(length).iter().map(|byte| byte & 63).collect::<Vec<_>>())])),
    ];
    for (name, bytes) in members {
        archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes());
        archive.extend(&bytes);
        archive.resize(archive.len().next_multiple_of(2), b'\n');
    }
    archive
}

fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}
