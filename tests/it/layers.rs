//! The house: a layer imports only from the layers named before it, whole files open with a text, and no room is a lumber room.

use std::path::{Path, PathBuf};

const LAYERS: [&str; 6] = ["words", "formats", "verify", "places", "stories", "people"];

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 30, "the sources were found");
    files
}

/// The sources that ship: without the modules that only tests have, and without the tests at the end of the others.
fn shipped() -> Vec<(PathBuf, String)> {
    let mut only_tests = Vec::new();
    let mut files = Vec::new();
    for (path, text) in sources() {
        let folder = if path.file_name().unwrap() == "mod.rs" { path.parent().unwrap().to_owned() } else { path.with_extension("") };
        let mut kept = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                kept.push_str(line);
                kept.push('\n');
                continue;
            }
            let module = lines.by_ref().find(|line| !line.trim().starts_with("#[")).unwrap_or_default().trim();
            match module.strip_suffix(';').and_then(|module| module.rsplit_once("mod ")) {
                Some((_, name)) => only_tests.push(folder.join(format!("{name}.rs"))),
                None => break,
            }
        }
        files.push((path, kept));
    }
    files.retain(|(path, _)| !only_tests.contains(path));
    files
}

fn layer_of(path: &Path) -> Option<usize> {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    LAYERS.iter().position(|layer| *layer == first)
}

#[test]
fn a_layer_imports_only_from_the_layers_before_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = layer_of(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            for (at, layer) in LAYERS.iter().enumerate() {
                if at > own && line.contains(&format!("crate::{layer}")) {
                    wrong.push(format!("{}:{}: {line}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn formats_and_words_have_no_effects() {
    let effects = ["std::fs", "std::net", "std::env", "std::process", "SystemTime", "Utc::now", "println!", "eprintln!", "std::thread"];
    for (path, text) in shipped().into_iter().filter(|(path, _)| layer_of(path).is_some_and(|layer| layer < 2)) {
        for effect in effects {
            assert!(!text.contains(effect), "{} uses {effect}", path.display());
        }
    }
}

/// What `verify` may import: values, its own modules, and the parsers of proofs, which verify and publish nothing else.
const OF_VERIFY: [&str; 8] = [
    "words::",
    "verify::",
    "formats::merkle::",
    "formats::openssh",
    "formats::provenance::",
    "formats::sigsum::",
    "formats::sigstore::",
    "formats::staple",
];

#[test]
fn verify_shares_no_code_with_what_writes_and_publishes() {
    let mut looked = 0;
    for (path, text) in sources().into_iter().filter(|(path, _)| layer_of(path).is_some_and(|layer| LAYERS[layer] == "verify")) {
        for (number, line) in text.lines().enumerate() {
            for (at, _) in line.match_indices("crate::") {
                let below = &line[at + "crate::".len()..];
                assert!(OF_VERIFY.iter().any(|own| below.starts_with(own)), "{}:{}: {line}", path.display(), number + 1);
                looked += 1;
            }
        }
    }
    assert!(looked > 10, "the verifier was found");
    // Only people use it: what writes must not lean on what checks it.
    for (path, text) in
        sources().into_iter().filter(|(path, _)| layer_of(path).is_some_and(|layer| !["verify", "people"].contains(&LAYERS[layer])))
    {
        assert!(!text.contains("crate::verify"), "{} uses the verifier", path.display());
    }
}

#[test]
fn only_people_print_and_read_the_environment_and_the_clock() {
    for (path, text) in shipped().into_iter().filter(|(path, _)| layer_of(path).is_some_and(|layer| LAYERS[layer] != "people")) {
        for effect in ["println!", "eprintln!", "SystemTime::now", "Utc::now", "std::env::var", "env::var("] {
            assert!(!text.contains(effect), "{} uses {effect}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_fits_a_head() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} opens without a text", path.display());
        assert!(text.lines().count() <= 800, "{} has {} lines; split it", path.display(), text.lines().count());
        let name = path.file_stem().unwrap().to_str().unwrap();
        for lumber in ["util", "utils", "common", "helpers", "misc", "manager", "handler"] {
            assert!(name != lumber, "{} is a lumber room", path.display());
        }
    }
}
