//! An object store behind a forge's Git-LFS batch API (git-lfs `docs/api/batch.md`, transfer `basic`).
//!
//! The server is asked for addresses, up to 100 objects at once where a caller announces them, and each object is then sent to
//! or fetched from the address that it names. Nothing of the server's answers is believed: bytes are hashed before they are
//! sent and while they come, and after an upload the server is asked for the object. The API can neither list nor remove.

mod authorization;
mod batch;
mod download;
pub mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use ureq::http::{Method, Response};

use self::download::Download;
use self::http::{Ask, Client, Fault, Patience, Payload, same_origin};
use super::{Intent, Listing, ObjectStore, Put, Source, StoreError};
use crate::formats::git_lfs::batch::{Action, AnsweredObject, MEDIA_TYPE, MOST_OBJECTS, Operation, one_line};
use crate::formats::pool::pointer::Pointer;
use crate::places::credentials::Secret;
use crate::places::digest_of;
use crate::places::requests::Requests;
use crate::words::date::Timestamp;
use crate::words::digest::ObjectId;
use authorization::{Authorization, basic, header};
use batch::Fresh;

/// Tells the size of objects that nobody has named by a pointer yet: servers want to know it.
pub type Sizes = Box<dyn Fn() -> BTreeMap<ObjectId, u64> + Send + Sync>;

/// What an `LfsStore` is made of.
pub struct LfsOptions {
    /// The API's address.
    pub url: String,
    /// The token, or `user:token`.
    pub token: Option<Secret>,
    /// The file of certificate authorities to trust instead of the machine's.
    pub authorities: Option<PathBuf>,
    /// The repository whose credential helpers are asked where there is no token.
    pub git_dir: PathBuf,
    /// Sizes of the archive's objects, asked for once and only when needed.
    pub sizes: Sizes,
    /// How long and how often the server is waited for.
    pub patience: Patience,
}

/// Objects behind a Git-LFS batch API.
pub struct LfsStore(Arc<Inner>);

struct Inner {
    options: LfsOptions,
    client: Client,
    authorization: Mutex<Authorization>,
    sizes: OnceLock<BTreeMap<ObjectId, u64>>,
    known: Mutex<BTreeMap<ObjectId, u64>>,
    answers: Mutex<BTreeMap<(Operation, ObjectId), Fresh>>,
}

impl LfsStore {
    /// Returns the store; nothing is asked yet.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn new(options: LfsOptions) -> Result<Self, StoreError> {
        let url = options.url.trim_end_matches('/').to_owned();
        let options = LfsOptions { url, ..options };
        let client = Client::new(options.authorities.as_deref(), options.patience).map_err(|source| StoreError::Io {
            store: options.url.clone(),
            operation: "read the certificate authorities".to_owned(),
            source,
        })?;
        let authorization = options.token.as_ref().map_or(Authorization::Unasked, |token| {
            let (user, password) = token.expose().split_once(':').unwrap_or(("oauth2", token.expose()));
            Authorization::Given(basic(user, password))
        });
        Ok(Self(Arc::new(Inner {
            options,
            client,
            authorization: Mutex::new(authorization),
            sizes: OnceLock::new(),
            known: Mutex::default(),
            answers: Mutex::default(),
        })))
    }

    fn send(&self, pointer: &Pointer, source: Source<'_>, upload: &Action, object: &AnsweredObject) -> Result<(), Fault> {
        let inner = &self.0;
        let mut own_headers = inner.headers_of(upload, object);
        if !own_headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            own_headers.push(("Content-Type".to_owned(), "application/octet-stream".to_owned()));
        }
        own_headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        let ask = Ask {
            method: Method::PUT,
            url: &upload.href,
            headers: Vec::new(),
            own_headers,
            payload: Payload::Object(source, pointer.size),
        };
        let answer = inner.client.send(&ask)?;
        if answer.status().is_success() { Ok(()) } else { Err(inner.client.refusal(&upload.href, answer)) }
    }

    /// Sends an object where the server wants it.
    fn upload(&self, pointer: &Pointer, source: Source<'_>) -> Result<Put, Fault> {
        let object = self.0.ask(Operation::Upload, pointer)?;
        let host = http::host_of(&self.0.options.url);
        if let Some(error) = &object.error {
            return Err(Fault::Object { host, code: error.code, said: one_line(&error.message) });
        }
        let Some(actions) = &object.actions else { return Ok(Put::Present) };
        let Some(upload) = &actions.upload else { return Ok(Put::Present) };
        self.send(pointer, source, upload, &object)?;
        if let Some(verify) = &actions.verify {
            self.verify(pointer, verify, &object)?;
        }
        Ok(Put::New)
    }

    fn verify(&self, pointer: &Pointer, verify: &Action, object: &AnsweredObject) -> Result<(), Fault> {
        let inner = &self.0;
        let mut own_headers = inner.headers_of(verify, object);
        own_headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type") && !name.eq_ignore_ascii_case("accept"));
        let body = serde_json::json!({ "oid": pointer.oid.to_hex(), "size": pointer.size }).to_string();
        let ask = Ask { method: Method::POST, url: &verify.href, headers: media_type(), own_headers, payload: Payload::Text(&body) };
        let answer = inner.client.send(&ask)?;
        if answer.status().is_success() { Ok(()) } else { Err(inner.client.refusal(&verify.href, answer)) }
    }

    /// Asks the server for an object that it should have now: its word that an upload succeeded is not enough.
    fn confirm(&self, pointer: &Pointer) -> Result<(), StoreError> {
        self.0.forget(Operation::Download, &pointer.oid);
        let failed = |answer: String| self.0.answered(&format!("store object {}", pointer.oid), answer);
        match self.size(&pointer.oid)? {
            Some(size) if size == pointer.size => Ok(()),
            Some(size) => Err(failed(format!("it has {size} bytes there instead of {}", pointer.size))),
            None => Err(failed("the server took the upload, but has no such object".to_owned())),
        }
    }
}

impl Inner {
    fn answered(&self, operation: &str, answer: String) -> StoreError {
        StoreError::Answer { store: self.options.url.clone(), operation: operation.to_owned(), answer }
    }

    fn failed(&self, operation: &str, fault: Fault) -> StoreError {
        match fault {
            Fault::Source(source) => {
                StoreError::Io { store: self.options.url.clone(), operation: format!("{operation}: its file cannot be read"), source }
            }
            fault => self.answered(operation, fault.to_string()),
        }
    }

    fn missing(&self, oid: &ObjectId) -> StoreError {
        StoreError::Missing { store: self.options.url.clone(), oid: *oid }
    }

    /// Returns a pointer with the size that somebody knows, else 0: most servers answer then too.
    fn pointer(&self, oid: &ObjectId) -> Pointer {
        let known = lock(&self.known).get(oid).copied();
        let size = known.or_else(|| self.sizes.get_or_init(|| (self.options.sizes)()).get(oid).copied());
        Pointer { oid: *oid, size: size.unwrap_or_default() }
    }

    fn remember(&self, pointers: &[Pointer]) {
        lock(&self.known).extend(pointers.iter().map(|pointer| (pointer.oid, pointer.size)));
    }

    fn forget(&self, operation: Operation, oid: &ObjectId) {
        lock(&self.answers).remove(&(operation, *oid));
    }

    /// Returns where an object can be fetched, `None` where it is not there.
    fn address(&self, oid: &ObjectId) -> Result<Option<(AnsweredObject, Action)>, StoreError> {
        let pointer = self.pointer(oid);
        let operation = format!("fetch object {oid}");
        let object = self.ask(Operation::Download, &pointer).map_err(|fault| self.failed(&operation, fault))?;
        match (&object.error, object.actions.as_ref().and_then(|actions| actions.download.clone())) {
            (Some(error), _) if matches!(error.code, 404 | 410) => Ok(None),
            (Some(error), _) if error.code == 422 => {
                Err(StoreError::OtherSize { store: self.options.url.clone(), expected: pointer, said: one_line(&error.message) })
            }
            (Some(error), _) => {
                let fault = Fault::Object { host: http::host_of(&self.options.url), code: error.code, said: one_line(&error.message) };
                Err(self.failed(&operation, fault))
            }
            (None, Some(action)) => Ok(Some((object, action))),
            (None, None) => Err(self.answered(&operation, "no address and no error".to_owned())),
        }
    }

    /// Opens a part of an object, from a byte on.
    fn get(&self, oid: &ObjectId, range: Option<(u64, Option<u64>)>) -> Result<Option<Response<ureq::Body>>, StoreError> {
        let operation = format!("fetch object {oid}");
        for again in [true, false] {
            let Some((object, action)) = self.address(oid)? else { return Ok(None) };
            let mut headers = Vec::new();
            if let Some((from, to)) = range {
                let to = to.map(|to| to.to_string()).unwrap_or_default();
                headers.push(("Range".to_owned(), format!("bytes={from}-{to}")));
            }
            let own_headers = self.headers_of(&action, &object);
            let ask = Ask { method: Method::GET, url: &action.href, headers, own_headers, payload: Payload::Nothing };
            let answer = self.client.send(&ask).map_err(|fault| self.failed(&operation, fault))?;
            match answer.status().as_u16() {
                200 | 206 | 416 => return Ok(Some(answer)),
                // The address has expired, or the object has gone since the server was asked.
                401 | 403 | 404 | 410 if again => self.forget(Operation::Download, oid),
                404 | 410 => return Ok(None),
                _ => return Err(self.failed(&operation, self.client.refusal(&action.href, answer))),
            }
        }
        Ok(None)
    }
}

impl ObjectStore for LfsStore {
    fn describe(&self) -> String {
        self.0.options.url.clone()
    }

    fn announce(&self, intent: Intent, pointers: &[Pointer]) -> Result<(), StoreError> {
        self.0.remember(pointers);
        let operation = match intent {
            Intent::Put => Operation::Upload,
            Intent::Open => Operation::Download,
        };
        let now = Instant::now();
        let is_stale = |pointer: &&Pointer| lock(&self.0.answers).get(&(operation, pointer.oid)).is_none_or(|fresh| fresh.until <= now);
        let unknown: Vec<Pointer> = pointers.iter().filter(is_stale).copied().collect();
        let asked = unknown.chunks(MOST_OBJECTS).try_for_each(|chunk| self.0.batch(operation, chunk).map(drop));
        asked.map_err(|fault| self.0.failed(&format!("ask about {} objects", pointers.len()), fault))
    }

    fn put(&self, pointer: &Pointer, source: Source<'_>) -> Result<Put, StoreError> {
        let read = |fault| StoreError::Io { store: self.describe(), operation: format!("read {}", source.path().display()), source: fault };
        let found = Pointer::from(&source.open().and_then(digest_of).map_err(read)?);
        if found != *pointer {
            return Err(StoreError::Changed { path: source.path(), expected: *pointer, found });
        }
        self.0.remember(&[*pointer]);
        let put = match self.upload(pointer, source) {
            // The address has expired while other objects were sent: ask once more.
            Err(Fault::Status { status: 401 | 403 | 404 | 410, .. }) => {
                self.0.forget(Operation::Upload, &pointer.oid);
                self.upload(pointer, source)
            }
            done => done,
        };
        let put = put.map_err(|fault| self.0.failed(&format!("store object {}", pointer.oid), fault))?;
        self.0.forget(Operation::Upload, &pointer.oid);
        self.confirm(pointer)?;
        Ok(put)
    }

    fn size(&self, oid: &ObjectId) -> Result<Option<u64>, StoreError> {
        // Servers repeat the size that was asked for; what they would send is the object's own.
        let Some(answer) = self.0.get(oid, Some((0, Some(0))))? else { return Ok(None) };
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let size = match answer.status().as_u16() {
            200 => header("content-length").and_then(|length| length.parse().ok()),
            _ => header("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok()),
        };
        // Without a length in the answer: the server has compared its own with the one that we know.
        let size = size.or_else(|| Some(self.0.pointer(oid).size).filter(|size| *size > 0));
        if size.is_some() {
            return Ok(size);
        }
        let mut download = Download::new(Arc::clone(&self.0), *oid, None).unchecked();
        download.begin(answer);
        let failed = |source| StoreError::Io { store: self.describe(), operation: format!("read object {oid}"), source };
        io::copy(&mut download, &mut io::sink()).map(Some).map_err(failed)
    }

    fn open(&self, oid: &ObjectId) -> Result<Box<dyn Read + Send>, StoreError> {
        let answer = self.0.get(oid, None)?.ok_or_else(|| self.0.missing(oid))?;
        let mut download = Download::new(Arc::clone(&self.0), *oid, None);
        download.begin(answer);
        Ok(Box::new(download))
    }

    fn open_range(&self, oid: &ObjectId, range: Range<u64>) -> Result<Box<dyn Read + Send>, StoreError> {
        if range.is_empty() {
            return match self.size(oid)? {
                Some(_) => Ok(Box::new(io::empty())),
                None => Err(self.0.missing(oid)),
            };
        }
        let answer = self.0.get(oid, Some((range.start, Some(range.end - 1))))?.ok_or_else(|| self.0.missing(oid))?;
        let mut download = Download::new(Arc::clone(&self.0), *oid, Some(range));
        download.begin(answer);
        Ok(Box::new(download))
    }

    fn list(&self) -> Result<Listing, StoreError> {
        Err(StoreError::Unlisted { store: self.describe() })
    }

    fn remove(&self, oid: &ObjectId) -> Result<(), StoreError> {
        let answer = "the Git-LFS API removes nothing; the forge's own pages or its API for maintainers do";
        Err(self.0.answered(&format!("remove object {oid}"), answer.to_owned()))
    }

    fn refresh(&self, pointer: &Pointer) -> Result<bool, StoreError> {
        match self.size(&pointer.oid) {
            Err(StoreError::OtherSize { .. }) => Ok(false),
            size => Ok(size? == Some(pointer.size)),
        }
    }

    fn modified(&self, oid: &ObjectId) -> Result<Option<Timestamp>, StoreError> {
        let answer = "the Git-LFS API tells no times";
        Err(self.0.answered(&format!("find out when object {oid} was written"), answer.to_owned()))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn download_address(&self, oid: &ObjectId, seconds: u32) -> Result<Option<String>, StoreError> {
        let Some((object, action)) = self.0.address(oid)? else { return Err(self.0.missing(oid)) };
        let free = action.header.is_empty() && (object.authenticated == Some(true) || !same_origin(&action.href, &self.0.options.url));
        let lasts = action.expires_in.is_some_and(|expires| expires >= i64::from(seconds));
        Ok(Some(action.href).filter(|_| free && lasts))
    }

    fn requests(&self) -> Requests {
        self.0.client.requests()
    }
}

fn media_type() -> Vec<(String, String)> {
    ["Accept", "Content-Type"].map(|name| (name.to_owned(), MEDIA_TYPE.to_owned())).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
