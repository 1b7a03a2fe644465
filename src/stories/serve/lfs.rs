//! The Git-LFS batch API over the archive's objects: those that a kept commit names, and no others.

use super::files::{ADDRESS_SECONDS, Found, Source};
use super::{Gateway, Refused};
use crate::formats::http::batch::{self, MEDIA_TYPE};
use crate::formats::pool::pointer::Pointer;
use crate::formats::web::{IMMUTABLE, Presentation};
use crate::places::git::history::NamedObjects;
use crate::places::http::{Answer, Content, Request};
use crate::words::date::Timestamp;
use crate::words::digest::ObjectId;

impl Gateway {
    /// Answers a POST: `…/objects/batch`, or a question about locks, which there are none of.
    pub(super) fn post(&self, names: &[&str], request: &Request) -> Result<Answer, Refused> {
        match names {
            [.., "objects", "batch"] => {}
            [.., "locks", "verify"] | [.., "locks"] => return Ok(json(404, batch::refusal("there are no locks here"))),
            _ => return Err(Refused::new(405, "only the Git-LFS batch API takes POST")),
        }
        let wanted = match batch::read(&request.body) {
            Ok(wanted) => wanted,
            Err((status, message)) => return Ok(json(status, batch::refusal(&message))),
        };
        let base = self.base(request);
        let body = batch::answer(&wanted, |oid| -> Result<_, Refused> {
            let Some(size) = self.named_size(oid)? else { return Ok(None) };
            let address = if self.options.redirect { self.store.download_address(oid, ADDRESS_SECONDS)? } else { None };
            Ok(Some(match address {
                Some(address) => (size, address, Some(ADDRESS_SECONDS)),
                None => (size, format!("{base}lfs/objects/{oid}"), None),
            }))
        })?;
        Ok(json(200, body))
    }

    /// Finds an object that a kept commit names.
    pub(super) fn object(&self, oid: &str) -> Result<Found, Refused> {
        let unknown = || Refused::new(404, "no commit of this archive that is kept names this object");
        let oid: ObjectId = oid.parse().map_err(|_| Refused::new(404, "this is no SHA-256"))?;
        let size = self.named_size(&oid)?.ok_or_else(unknown)?;
        let shown = Presentation { content_type: "application/octet-stream", cache_control: IMMUTABLE };
        // What is named by its content was never changed.
        Ok(Found { bytes: Source::Object(Pointer { oid, size }), modified: Timestamp(0), shown })
    }

    /// The size of an object that the newest commit, or the base of a served Release, names.
    fn named_size(&self, oid: &ObjectId) -> Result<Option<u64>, Refused> {
        let state = self.state();
        let mut named = self.named.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (generation, objects): &mut (u64, NamedObjects) = &mut named;
        if *generation != state.generation {
            self.with(|open| {
                let bases = state.histories.values().flatten().map(|edition| edition.base);
                bases.chain([state.tip]).try_for_each(|commit| open.repository.objects_named(commit, objects))
            })??;
            *generation = state.generation;
        }
        Ok(objects.size(oid))
    }
}

fn json(status: u16, body: Vec<u8>) -> Answer {
    let fields = vec![("content-type", MEDIA_TYPE.to_owned()), ("cache-control", "no-store".to_owned())];
    Answer { status, fields, content: Content::Bytes(body.into()) }
}
