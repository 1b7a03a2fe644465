//! Every file that Release lists, in every form and under every name: size, digests, and for a compressed one what it unpacks to.
//!
//! A plain index that has compressed forms need not be there (apt takes a compressed one); all else must be. With
//! `Acquire-By-Hash`, each form has a second name, and both are read: different clients ask for different ones.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _};

use rayon::prelude::*;

use super::answer::{CheckedFiles, Class, Finding};
use super::paragraphs::{self, Offer};
use super::release::Release;
use super::site::{Missing, Site};
use super::stream::{self, Hashed, SUFFIXES};
use crate::words::digest::Listed;

/// Most bytes that an index may unpack to where Release does not list its plain form.
const PLAIN: u64 = 8 << 30;

/// What was found in the indices of one suite.
#[derive(Default)]
pub(super) struct Indices {
    pub(super) findings: Vec<Finding>,
    pub(super) checked: CheckedFiles,
    /// What is wanted of the offers, each with the index's path relative to Release.
    pub(super) offers: Vec<(String, Offer)>,
}

/// The forms of one index: endings of names with what is listed.
type Forms<'a> = BTreeMap<&'static str, &'a Listed>;

/// Which offers are kept; `None`: indices are not taken apart.
pub(super) type Keep<'a> = Option<&'a (dyn Fn(&Offer) -> bool + Sync)>;

/// Checks everything that a Release lists. `folder` is where Release is, such as `dists/trixie`.
pub(super) fn check(site: &Site, folder: &str, release: &Release, keep: Keep<'_>) -> Indices {
    let mut groups: BTreeMap<&str, Forms<'_>> = BTreeMap::new();
    for (path, listed) in &release.files {
        let (base, suffix) = stream::split_suffix(path);
        groups.entry(base).or_default().insert(suffix, listed);
    }
    let groups: Vec<_> = groups.into_iter().collect();
    let looked = groups.par_iter().map(|(base, forms)| Group { site, folder, base, forms, by_hash: release.by_hash, keep }.check());
    looked.reduce(Indices::default, |mut all, mut one| {
        all.findings.append(&mut one.findings);
        all.checked.files += one.checked.files;
        all.checked.bytes += one.checked.bytes;
        all.offers.append(&mut one.offers);
        all
    })
}

struct Group<'a> {
    site: &'a Site,
    folder: &'a str,
    base: &'a str,
    forms: &'a Forms<'a>,
    by_hash: bool,
    keep: Keep<'a>,
}

impl Group<'_> {
    fn check(&self) -> Indices {
        let mut found = Indices::default();
        let plain = self.forms.get("").copied();
        let mut wanted = self.keep.filter(|_| is_index(self.base));
        let compressed = SUFFIXES.into_iter().filter_map(|suffix| Some((suffix, *self.forms.get(suffix)?)));
        let forms: Vec<_> = compressed.chain(plain.map(|listed| ("", listed))).collect();
        for (suffix, listed) in forms {
            let needed = !suffix.is_empty() || self.forms.len() == 1;
            for path in self.names(suffix, listed) {
                let mut offers = Vec::new();
                let look = File { site: self.site, path: &path, listed, suffix, plain: plain.filter(|_| !suffix.is_empty()) };
                match look.check(self.base, wanted, &mut offers) {
                    Ok(()) => {
                        found.checked.files += 1;
                        found.checked.bytes += listed.size;
                        if wanted.take().is_some() {
                            found.offers.extend(offers.into_iter().map(|offer| (self.base.to_owned(), offer)));
                        }
                    }
                    Err(Fault::Missing(Missing::Absent)) if !needed => {}
                    Err(fault) => found.findings.push(fault.finding(Class::Index, &path)),
                }
            }
        }
        found
    }

    /// Returns the names of a form below the location.
    fn names(&self, suffix: &str, listed: &Listed) -> Vec<String> {
        let mut names = vec![format!("{}/{}{suffix}", self.folder, self.base)];
        if self.by_hash {
            let above = self.base.rsplit_once('/').map_or(String::new(), |(above, _)| format!("{above}/"));
            names.push(format!("{}/{above}by-hash/SHA256/{}", self.folder, listed.sha256));
        }
        names
    }
}

fn is_index(base: &str) -> bool {
    is_sources(base) || base == "Packages" || base.ends_with("/Packages")
}

fn is_sources(base: &str) -> bool {
    base == "Sources" || base.ends_with("/Sources")
}

/// Why a file is not what is listed.
pub(super) enum Fault {
    Missing(Missing),
    Wrong(String),
}

impl Fault {
    pub(super) fn finding(&self, class: Class, path: &str) -> Finding {
        match self {
            Self::Missing(missing @ Missing::Absent) => Finding::new(class, path, missing.reason()),
            Self::Missing(missing) => Finding::new(Class::Unreachable, path, missing.reason()),
            Self::Wrong(reason) => Finding::new(class, path, reason),
        }
    }
}

/// One file that is compared with what is listed.
pub(super) struct File<'a> {
    pub(super) site: &'a Site,
    pub(super) path: &'a str,
    pub(super) listed: &'a Listed,
    pub(super) suffix: &'a str,
    /// What is listed about the plain form of a compressed file.
    pub(super) plain: Option<&'a Listed>,
}

impl File<'_> {
    /// Reads the file once, to its end. Where `keep` is given, the offers that it wants are added.
    pub(super) fn check(&self, base: &str, keep: Keep<'_>, offers: &mut Vec<Offer>) -> Result<(), Fault> {
        let mut packed = Hashed::new(self.site.open(self.path).map_err(Fault::Missing)?, self.listed);
        let fault = packed.fault();
        let taken_apart = if self.plain.is_some() || keep.is_some() { self.unpack(&mut packed, base, keep, offers) } else { Ok(()) };
        // That the file is another one explains why it does not unpack.
        let result = packed.finish(self.listed).and(taken_apart);
        match (result, fault.take()) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(reason)) => Err(Fault::Missing(Missing::Unreachable(reason))),
            (Err(reason), None) => Err(Fault::Wrong(reason)),
        }
    }

    fn unpack(&self, packed: &mut Hashed<impl std::io::Read>, base: &str, keep: Keep<'_>, offers: &mut Vec<Offer>) -> Result<(), String> {
        let decoder = stream::decoder(self.suffix, packed).map_err(|fault| fault.to_string())?;
        let Some(mut decoder) = decoder else { return Ok(()) };
        let Some(plain) = self.plain else { return take_apart(&mut BufReader::new(decoder.take(PLAIN)), base, keep, offers) };
        let mut hashed = Hashed::new(&mut decoder, plain);
        let read = take_apart(&mut BufReader::with_capacity(1 << 17, &mut hashed), base, keep, offers);
        hashed.finish(plain).map_err(|reason| format!("what it unpacks to is not the {base} that Release lists: {reason}"))?;
        read
    }
}

fn take_apart(index: &mut impl BufRead, base: &str, keep: Keep<'_>, offers: &mut Vec<Offer>) -> Result<(), String> {
    let Some(keep) = keep else { return Ok(()) };
    paragraphs::each(is_sources(base), index, |offer| {
        if keep(&offer) {
            offers.push(offer);
        }
    })
}
