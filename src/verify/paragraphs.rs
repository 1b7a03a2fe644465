//! Packages and Sources as a stream of paragraphs, and what each says about its files (deb822(5), DebianRepository/Format).

use std::io::{BufRead, Read as _};

use super::release::{is_path, row};
use crate::words::deb822::Paragraph;
use crate::words::digest::Sha256;
use crate::words::limits;

/// A file of the pool, as an index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolFile {
    /// Path below the location.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: Sha256,
}

/// What a paragraph offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) package: String,
    pub(super) version: String,
    /// `source` in Sources.
    pub(super) architecture: String,
    pub(super) source: Option<String>,
    pub(super) files: Vec<PoolFile>,
}

/// Reads an index to its end and calls for each paragraph. Fails with what is wrong.
pub(super) fn each(sources: bool, index: &mut impl BufRead, mut visit: impl FnMut(Offer)) -> Result<(), String> {
    let mut text = Vec::new();
    let mut line = 0usize;
    loop {
        let before = text.len();
        let read = (&mut *index).take(limits::RECORD + 1).read_until(b'\n', &mut text).map_err(|fault| fault.to_string())?;
        line += 1;
        let blank = text.get(before..) == Some(b"\n");
        if (read == 0 || blank) && !text.iter().all(|byte| *byte == b'\n') {
            let paragraph = Paragraph::parse(&text).map_err(|fault| format!("the paragraph that ends on line {line}: {fault}"))?;
            visit(offer(sources, &paragraph).ok_or_else(|| format!("the paragraph that ends on line {line} names no usable file"))?);
        }
        if read == 0 {
            return Ok(());
        }
        if blank {
            text.clear();
        }
        if text.len() as u64 > limits::RECORD {
            return Err(format!("the paragraph around line {line} has more than {} bytes", limits::RECORD));
        }
    }
}

fn offer(sources: bool, paragraph: &Paragraph<'_>) -> Option<Offer> {
    let own = |field: &str| paragraph.get(field).map(str::to_owned);
    let files = if sources { source_files(paragraph)? } else { vec![binary_file(paragraph)?] };
    Some(Offer {
        package: own("Package")?,
        version: own("Version")?,
        architecture: if sources { "source".to_owned() } else { own("Architecture")? },
        source: own("Source"),
        files,
    })
}

fn binary_file(paragraph: &Paragraph<'_>) -> Option<PoolFile> {
    let path = paragraph.get("Filename")?;
    let path = path.strip_prefix("./").unwrap_or(path).to_owned();
    let (size, sha256) = (paragraph.get("Size")?.parse().ok()?, paragraph.get("SHA256")?.parse().ok()?);
    is_path(&path).then_some(PoolFile { path, size, sha256 })
}

fn source_files(paragraph: &Paragraph<'_>) -> Option<Vec<PoolFile>> {
    let folder = paragraph.get("Directory")?;
    let mut files = Vec::new();
    for line in paragraph.get("Checksums-Sha256")?.lines().filter(|line| !line.is_empty()) {
        let (name, size, digest) = row(line).filter(|(name, ..)| !name.contains('/'))?;
        let path = if [".", ""].contains(&folder) { name.to_owned() } else { format!("{folder}/{name}") };
        files.push(is_path(&path).then_some(PoolFile { path, size, sha256: digest.parse().ok()? })?);
    }
    (!files.is_empty()).then_some(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(sources: bool, text: &str) -> Result<Vec<Offer>, String> {
        let mut offers = Vec::new();
        each(sources, &mut text.as_bytes(), |offer| offers.push(offer)).map(|()| offers)
    }

    fn binary(name: &str, path: &str) -> String {
        format!("Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: {path}\nSize: 0\nSHA256: {DIGEST}\n")
    }

    #[test]
    fn every_paragraph_is_seen_with_and_without_a_last_empty_line() {
        let (one, two) = (binary("one", "pool/one.deb"), binary("two", "./two.deb"));
        for text in [format!("{one}\n{two}"), format!("{one}\n{two}\n"), format!("\n{one}\n\n\n{two}\n\n")] {
            let offers = read(false, &text).unwrap();
            let paths: Vec<&str> = offers.iter().map(|offer| offer.files[0].path.as_str()).collect();
            assert_eq!(paths, ["pool/one.deb", "two.deb"], "{text}");
        }
        assert_eq!(read(false, "").unwrap(), []);
        let sources = format!("Package: s\nVersion: 1\nDirectory: pool/s\nChecksums-Sha256:\n {DIGEST} 0 s.dsc\n {DIGEST} 0 s.tar.xz\n");
        assert_eq!(read(true, &sources).unwrap()[0].files[1].path, "pool/s/s.tar.xz");
    }

    #[test]
    fn a_paragraph_that_leads_out_of_the_pool_or_names_no_file_is_refused() {
        for path in ["/etc/passwd", "../x.deb", "pool/../../x.deb", "pool//x.deb", ""] {
            assert!(read(false, &binary("one", path)).unwrap_err().contains("line"), "{path}");
        }
        assert!(read(false, "Package: one\nVersion: 1\nArchitecture: amd64\n").is_err());
        assert!(read(true, &binary("one", "pool/one.deb")).is_err());
        assert!(read(false, "no paragraph").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = each(false, &mut bytes.as_slice(), |_| ());
            let _ = each(true, &mut bytes.as_slice(), |_| ());
        }
    }
}
