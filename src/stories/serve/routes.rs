//! Which path is what.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::files::{self, Found, Objects, Source};
use super::state::View;
use super::{Gateway, Refused, html, page};
use crate::formats::client;
use crate::formats::http::path::RequestPath;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::Listed;
use crate::formats::web::presentation;
use crate::places::git::Oid;
use crate::places::http::{Answer, Request, refusal};
use crate::stories::archive::OpenArchive;
use crate::stories::publish::KEYRING;
use crate::stories::served::index::{self, IndexFault};
use crate::stories::served::snapshot::{self, Commits, SnapshotId};
use crate::stories::served::{Edition, Whole};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// How many requests may wait for a Release to be folded again.
const WAITING: usize = 8;

/// How long it is not tried again to make an index that could not be made.
const LOST: Duration = Duration::from_secs(60);

/// How many old bases are looked at to learn since when a pool file is what it is.
const LOOK_BACK: usize = 64;

fn nothing() -> Refused {
    Refused::new(404, "there is no such file here")
}

impl Gateway {
    /// Answers a request.
    pub(super) fn answer(&self, path: &RequestPath, request: &Request) -> Result<Answer, Refused> {
        let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
        if request.method == "POST" {
            return self.post(&names, request);
        }
        match names.as_slice() {
            [] => return Ok(html(page::archive(&self.state(), &self.base(request)))),
            ["healthz"] => return Ok(refusal(200, "ok")),
            _ if path.folder => return Err(Refused::new(404, "folders are not listed here")),
            ["lfs", "objects", oid] => return self.file(request, self.object(oid)?),
            ["snapshots", id, below @ ..] => {
                let view = self.snapshot(&id.parse()?)?;
                return self.below(&view, below, request);
            }
            _ => {}
        }
        let view = Arc::clone(&self.state().current);
        self.below(&view, &names, request)
    }

    fn file(&self, request: &Request, found: Found) -> Result<Answer, Refused> {
        let objects = Objects { store: self.store.as_ref(), redirect: self.options.redirect, public: self.public };
        Ok(files::answer(request, found, &objects)?)
    }

    /// Answers from these Releases.
    fn below(&self, view: &View, names: &[&str], request: &Request) -> Result<Answer, Refused> {
        let found = match names {
            ["dists", codename, below @ ..] => self.dists(view, codename, &below.join("/"))?,
            ["pool", ..] => self.pool(view, &names.join("/"))?,
            // A tree that names objects directly: <store>/ab/cd/<oid>.
            [.., first, second, oid]
                if oid.len() == 64 && oid.starts_with(first) && oid.get(2..).is_some_and(|rest| rest.starts_with(second)) =>
            {
                self.object(oid)?
            }
            [name] => return self.of_clients(view, name, request),
            _ => return Err(nothing()),
        };
        self.file(request, found)
    }

    fn dists(&self, view: &View, codename: &str, path: &str) -> Result<Found, Refused> {
        let codename: Codename = codename.parse().map_err(|_| nothing())?;
        let editions = view.editions.get(&codename).ok_or_else(|| Refused::new(404, format!("no Release of {codename} was served")))?;
        let newest = self.whole(editions.first().ok_or_else(nothing)?)?;
        let named = |bytes: &[u8]| Ok(found(bytes.to_vec(), &newest, &codename, path));
        match path {
            "InRelease" => return named(&newest.signatures.in_release),
            "Release" => return named(&newest.release),
            "Release.gpg" => return named(&newest.signatures.detached),
            _ => {}
        }
        if let Some(proof) = newest.proof(path) {
            return named(proof);
        }
        if let Some(name) = path.strip_prefix("tlog/") {
            return self.logged(&codename, name);
        }
        let by_hash = path.contains("/by-hash/");
        for (age, edition) in editions.iter().enumerate().filter(|(age, _)| *age == 0 || by_hash) {
            let whole = if age == 0 { Arc::clone(&newest) } else { self.whole(edition)? };
            if let Some((listed, facts)) = whole.listed(path) {
                let bytes = self.index(&whole, listed, facts)?;
                let shown = presentation(&format!("dists/{codename}/{path}"));
                return Ok(Found { bytes: Source::Memory(bytes, facts.sha256), modified: whole.edition.date, shown });
            }
        }
        if path.contains(".diff/") {
            let recorded = self.with(|open| index::recorded(open, &newest))?;
            if let Some(patch) = recorded.and_then(|recorded| index::patch(self.blocks.as_ref(), &recorded, path)) {
                let (bytes, oid) = patch.map_err(|fault| Refused::new(500, fault.to_string()))?;
                let shown = presentation(&format!("dists/{codename}/{path}"));
                return Ok(Found { bytes: Source::Memory(Bytes::from(bytes), oid), modified: newest.edition.date, shown });
            }
        }
        Err(nothing())
    }

    /// A logged Release or a proof of it, of any time, by the digest of Release.
    fn logged(&self, codename: &Codename, name: &str) -> Result<Found, Refused> {
        let digest: Sha256 = name.split('.').next().and_then(|digest| digest.parse().ok()).ok_or_else(nothing)?;
        let editions = self.state().histories.get(codename).cloned().unwrap_or_default();
        let edition = self.edition_of(&editions, &digest)?.ok_or_else(nothing)?;
        let whole = self.whole(edition)?;
        let bytes = whole.logged(name).ok_or_else(nothing)?.to_vec();
        Ok(Found { bytes: Source::of(bytes), modified: whole.edition.date, shown: presentation(&format!("dists/{codename}/tlog/{name}")) })
    }

    /// Finds the Release with this digest; digests are remembered, since the branch does not list them.
    fn edition_of<'a>(&self, editions: &'a [Edition], digest: &Sha256) -> Result<Option<&'a Edition>, Refused> {
        for edition in editions {
            let known = self.releases.lock().unwrap_or_else(PoisonError::into_inner).get(&edition.commit).copied();
            let found = match known {
                Some(known) => known,
                None => {
                    let release = self.with(|open| open.repository.snapshot(edition.commit)?.file("Release"))?;
                    let found = Sha256::of(&release?.unwrap_or_default());
                    self.releases.lock().unwrap_or_else(PoisonError::into_inner).insert(edition.commit, found);
                    found
                }
            };
            if found == *digest {
                return Ok(Some(edition));
            }
        }
        Ok(None)
    }

    fn whole(&self, edition: &Edition) -> Result<Arc<Whole>, Refused> {
        if let Some(whole) = self.state().newest.get(&edition.codename).filter(|whole| whole.edition == *edition) {
            return Ok(Arc::clone(whole));
        }
        if let Some(whole) = self.wholes.get(&edition.commit) {
            return Ok(whole);
        }
        let whole = Arc::new(self.with(|open| Whole::read(open, edition))??);
        // The lists are what takes room: about twice their text.
        self.wholes.put(edition.commit, whole.release.len() * 3, Arc::clone(&whole));
        Ok(whole)
    }

    /// The bytes of an index: from memory, joined, or folded again.
    fn index(&self, whole: &Whole, path: &str, listed: &Listed) -> Result<Bytes, Refused> {
        if let Some(bytes) = self.indices.get(&listed.sha256) {
            return Ok(bytes);
        }
        let recorded = self.with(|open| index::recorded(open, whole))?;
        let fault = match index::join(self.blocks.as_ref(), recorded.as_ref(), whole, path, listed) {
            Ok(bytes) => {
                let bytes = Bytes::from(bytes);
                self.indices.put(listed.sha256, bytes.len(), bytes.clone());
                return Ok(bytes);
            }
            // The plain form of an index is listed, because apt looks indices up by it, and not written.
            Err(IndexFault::NotRecorded { .. }) if recorded.is_some_and(|recorded| index::is_of(&recorded, whole)) => {
                return Err(Refused::new(404, "this form of the index is listed and not served"));
            }
            Err(fault) => fault,
        };
        self.fold_again(whole, path, listed, &fault)
    }

    fn fold_again(&self, whole: &Whole, path: &str, listed: &Listed, fault: &IndexFault) -> Result<Bytes, Refused> {
        let lost = || Refused::new(500, format!("{fault}; and commit {} does not fold to it any more", whole.edition.base));
        let key = (whole.edition.commit, path.to_owned());
        if self.lost.lock().unwrap_or_else(PoisonError::into_inner).get(&key).is_some_and(|since| since.elapsed() < LOST) {
            return Err(lost());
        }
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(Refused::new(503, "an old Release is being made again; try again in a moment"));
        }
        let done = {
            let _alone = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
            match self.indices.get(&listed.sha256) {
                Some(bytes) => Ok(Some(bytes)),
                None => self.with(|open| {
                    let mut wanted = None;
                    for (name, bytes) in index::folded(open, whole, path) {
                        let Some(facts) = whole.parsed.files.get(&name) else { continue };
                        let bytes = Bytes::from(bytes);
                        self.indices.put(facts.sha256, bytes.len(), bytes.clone());
                        wanted = if name == path { Some(bytes) } else { wanted };
                    }
                    wanted
                }),
            }
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        done?.ok_or_else(|| {
            let mut known = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, since| since.elapsed() < LOST);
            known.insert(key, Instant::now());
            lost()
        })
    }

    fn pool(&self, view: &View, path: &str) -> Result<Found, Refused> {
        let path: PoolPath = path.parse().map_err(|_| nothing())?;
        let name = path.to_string();
        let found = self.with(|open| -> Result<_, Refused> {
            let mut bases = view.bases.iter();
            for (base, date) in bases.by_ref() {
                let Some(pointer) = pointer_at(open, *base, &name)? else { continue };
                let mut since = *date;
                for (base, date) in bases.by_ref().take(LOOK_BACK) {
                    if pointer_at(open, *base, &name)? != Some(pointer) {
                        break;
                    }
                    since = *date;
                }
                return Ok(Some((pointer, since)));
            }
            Ok(None)
        })??;
        let (pointer, modified) = found.ok_or_else(|| Refused::new(404, "no Release that is kept has this file"))?;
        Ok(Found { bytes: Source::Object(pointer), modified, shown: presentation(&name) })
    }

    /// The keyring and the sources stanzas.
    fn of_clients(&self, view: &View, name: &str, request: &Request) -> Result<Answer, Refused> {
        let newest = |editions: &Vec<Edition>| editions.first().map(|edition| self.whole(edition));
        if name == KEYRING {
            let wholes = view.editions.values().filter_map(newest).collect::<Result<Vec<_>, _>>()?;
            let whole = wholes.into_iter().max_by_key(|whole| whole.edition.date).ok_or_else(nothing)?;
            let bytes = Source::of(whole.keyring.clone().into_bytes());
            return self.file(request, Found { bytes, modified: whole.edition.date, shown: presentation(name) });
        }
        let codename: Codename = name.strip_suffix(".sources").and_then(|name| name.parse().ok()).ok_or_else(nothing)?;
        let whole = view.editions.get(&codename).and_then(newest).ok_or_else(nothing)??;
        let state = self.state();
        let address = self.options.url.clone().or_else(|| state.archive.archive.url.clone());
        let (address, believed) = address.map_or_else(|| (self.base(request), true), |address| (address, false));
        let suite = whole.archive.suite(&codename).ok_or_else(nothing)?;
        let bytes = Source::of(client::sources_stanza(&address, &codename, suite, &whole.keyring).into_bytes());
        let mut shown = presentation(name);
        if believed {
            // It holds what the client said of this server's name, which must not come to others from a cache.
            shown.cache_control = "no-store";
        }
        self.file(request, Found { bytes, modified: whole.edition.date, shown })
    }

    /// What the name of a snapshot means.
    fn snapshot(&self, id: &SnapshotId) -> Result<Arc<View>, Refused> {
        let state = self.state();
        let key = (state.generation, id.clone());
        if let Some(view) = self.snapshots.get(&key) {
            return Ok(view);
        }
        let editions = match id {
            SnapshotId::Time(time) => snapshot::at_time(&state.histories, *time),
            SnapshotId::Commit(name) => {
                let commits = {
                    let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
                    if commits.0 != state.generation {
                        let bases = state.histories.values().flatten().map(|edition| edition.base);
                        let tips: Vec<Oid> = bases.chain([state.tip]).collect();
                        *commits = (state.generation, Arc::new(self.with(|open| Commits::reachable(&open.repository, &tips))??));
                    }
                    Arc::clone(&commits.1)
                };
                let commit = commits.find(name)?;
                self.with(|open| snapshot::at_commit(&open.repository, &state.histories, commit))??
            }
        };
        if editions.is_empty() {
            return Err(snapshot::SnapshotFault::Before { id: id.clone() }.into());
        }
        let view = Arc::new(View::new(editions.into_iter().map(|(codename, edition)| (codename, vec![edition])).collect()));
        self.snapshots.put(key, 1, Arc::clone(&view));
        Ok(view)
    }
}

fn found(bytes: Vec<u8>, whole: &Whole, codename: &Codename, path: &str) -> Found {
    Found { bytes: Source::of(bytes), modified: whole.edition.date, shown: presentation(&format!("dists/{codename}/{path}")) }
}

fn pointer_at(open: &OpenArchive, base: Oid, path: &str) -> Result<Option<Pointer>, Refused> {
    let bytes = open.repository.snapshot(base)?.file(path)?;
    Ok(bytes.and_then(|bytes| Pointer::decode(&bytes).ok()))
}
