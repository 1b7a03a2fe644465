//! The bytes that were published: from the place that serves them, else joined from kept blocks. They are needed only to say what
//! differs and to look into files of another compressor; nothing that has not the digest that Release lists counts.

use std::collections::BTreeMap;

use super::ReadSite;
use crate::formats::blocks::decompress_block;
use crate::formats::release::{Listed, by_hash_paths};
use crate::places::store::ObjectStore;
use crate::stories::fold::{self, Bytes, Last};
use crate::words::archive::Compression;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// The order in which a text is sought among the compressed forms: fastest to decompress first.
const FASTEST: [Compression; 3] = [Compression::Zst, Compression::Gz, Compression::Xz];

/// Where published bytes come from.
pub(super) struct Published<'a> {
    pub(super) codename: &'a Codename,
    /// What Release lists.
    pub(super) listed: &'a BTreeMap<String, Listed>,
    pub(super) site: Option<&'a ReadSite<'a>>,
    /// The kept blocks, where the archive's store can be named.
    pub(super) blocks: Option<Box<dyn ObjectStore>>,
    pub(super) recorded: Option<&'a Last>,
}

impl Published<'_> {
    /// Returns a file as Release lists it, or why it cannot be had.
    pub(super) fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        let listed = self.listed.get(path).ok_or("Release does not list it")?;
        let right = |bytes: &Vec<u8>| bytes.len() as u64 == listed.size && Sha256::of(bytes) == listed.sha256;
        let mut reasons = Vec::new();
        if let Some(site) = self.site {
            for name in by_hash_paths(path, listed).into_iter().chain([path.to_owned()]) {
                match site(&format!("dists/{}/{name}", self.codename), listed.size) {
                    Ok(bytes) if right(&bytes) => return Ok(bytes),
                    Ok(_) => reasons.push(format!("{name} of the site is another file")),
                    Err(fault) => reasons.push(format!("{name} of the site {fault}")),
                }
            }
        }
        if let (Some(blocks), Some(recorded)) = (&self.blocks, self.recorded) {
            let bytes = Bytes::new(blocks.as_ref(), None, false);
            match fold::kept(path, &recorded.record, &recorded.sheets, &bytes) {
                Ok(Some(bytes)) if right(&bytes) => return Ok(bytes),
                Ok(_) => reasons.push("what is recorded of its blocks gives another file".to_owned()),
                Err(_) => reasons.push(format!("its blocks are not in {}", blocks.describe())),
            }
        }
        Err(if reasons.is_empty() { "its bytes are nowhere".to_owned() } else { reasons.join(", ") })
    }

    /// Returns the text of an index by one of its forms, or why it cannot be had.
    pub(super) fn text(&self, plain: &str) -> Result<String, String> {
        let size = self.listed.get(plain).ok_or("Release does not list it")?.size;
        let forms = FASTEST.map(|compression| (compression, format!("{plain}{}", compression.suffix())));
        let mut reason = None;
        for (compression, form) in forms.iter().filter(|(_, form)| self.listed.contains_key(form)) {
            match self.bytes(form) {
                Ok(bytes) => return text_of(&decompress_block(&bytes, *compression, size).map_err(|fault| format!("{form}: {fault}"))?),
                Err(fault) => reason = reason.or(Some(fault)),
            }
        }
        match reason {
            Some(reason) => Err(reason),
            None => text_of(&self.bytes(plain)?),
        }
    }
}

fn text_of(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8".to_owned())
}
