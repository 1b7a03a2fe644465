//! An object store behind a forge's Git-LFS batch API (git-lfs `docs/api/batch.md`, transfer `basic`).
//!
//! The server is asked for addresses, up to 100 objects at once where a caller announces them, and each object is then sent to
//! or fetched from the address that it names. Nothing of the server's answers is believed: bytes are hashed before they are
//! sent and while they come, and after an upload the server is asked for the object. The API can neither list nor remove.

mod download;
pub mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use ureq::http::{Method, Response};

use self::download::Download;
use self::http::{Ask, Client, Fault, Patience, Payload, same_origin};
use super::{Intent, Listing, ObjectStore, Put, Source, StoreError};
use crate::formats::git_lfs::batch::{
    Action, AnsweredObject, BatchAnswer, BatchError, BatchRequest, MEDIA_TYPE, MOST_OBJECTS, ObjectError, Operation, one_line,
};
use crate::formats::pool::pointer::Pointer;
use crate::places::credentials::Secret;
use crate::places::digest_of;
use crate::places::git::credential::{self, Credential};
use crate::places::requests::Requests;
use crate::words::date::Timestamp;
use crate::words::digest::ObjectId;

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

/// An answer of the server that may be used for a while.
#[derive(Clone)]
struct Fresh {
    object: AnsweredObject,
    until: Instant,
}

/// Who we are for the API.
#[derive(Clone, Default)]
enum Authorization {
    /// Nobody was asked yet.
    #[default]
    Unasked,
    /// A header, from the environment.
    Given(Secret),
    /// A header, from a credential helper.
    Filled(Secret),
    /// Nobody knows.
    Nobody,
}

/// How long an answer is used that does not say how long it may be.
const FRESH: i64 = 300;

/// How many answers are kept before all are forgotten: what is forgotten is asked again.
const MOST_ANSWERS: usize = 10_000;

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

    /// Returns what the server says about an object, from an earlier answer where that may still be used.
    fn ask(&self, operation: Operation, pointer: &Pointer) -> Result<AnsweredObject, Fault> {
        let fresh = lock(&self.answers).get(&(operation, pointer.oid)).filter(|fresh| fresh.until > Instant::now()).cloned();
        if let Some(fresh) = fresh {
            return Ok(fresh.object);
        }
        let answers = self.batch(operation, std::slice::from_ref(pointer))?;
        answers.into_iter().next().ok_or_else(|| self.odd(BatchError::Silent(pointer.oid)))
    }

    /// Asks about up to 100 objects. Some servers answer with an error for the whole where all objects have the same one.
    fn batch(&self, operation: Operation, pointers: &[Pointer]) -> Result<Vec<AnsweredObject>, Fault> {
        match self.batch_once(operation, pointers) {
            Err(Fault::Status { status: 404, .. }) if operation == Operation::Download => {
                // Either there is no such repository (for us), or none of these objects: whoever can be asked for an upload exists.
                let answers = self.batch_once(Operation::Upload, pointers).map_err(|fault| fault.with_hint(NO_REPOSITORY))?;
                Ok(answers.into_iter().map(|object| without(object, 404)).collect())
            }
            Err(Fault::Status { status: 404, host, said }) => Err(Fault::Status { status: 404, host, said }.with_hint(NO_REPOSITORY)),
            Err(Fault::Status { status: 422, .. }) => {
                let silent = |pointer: &Pointer| AnsweredObject {
                    oid: pointer.oid.to_hex(),
                    size: pointer.size,
                    authenticated: None,
                    actions: None,
                    error: None,
                };
                Ok(pointers.iter().map(|pointer| without(silent(pointer), 422)).collect())
            }
            answers => answers,
        }
    }

    fn batch_once(&self, operation: Operation, pointers: &[Pointer]) -> Result<Vec<AnsweredObject>, Fault> {
        let url = format!("{}/objects/batch", self.options.url);
        let question = BatchRequest::new(operation, pointers).to_json();
        let mut asked = self.authorization(false);
        loop {
            let own_headers = header(&asked).map(|secret| ("Authorization".to_owned(), secret.expose().to_owned()));
            let ask = Ask {
                method: Method::POST,
                url: &url,
                headers: media_type(),
                own_headers: own_headers.into_iter().collect(),
                payload: Payload::Text(&question),
            };
            let answer = self.client.send(&ask)?;
            match (answer.status().as_u16(), &asked) {
                (200..=299, _) => {
                    let bytes = self.client.read(&url, answer)?;
                    let objects = BatchAnswer::read(&bytes, pointers).map_err(|fault| self.odd(fault))?;
                    self.keep(operation, pointers, &objects);
                    return Ok(objects);
                }
                (401, Authorization::Unasked) => asked = self.authorization(true),
                (401, _) => return Err(self.unauthorized(&asked)),
                _ => return Err(self.client.refusal(&url, answer)),
            }
        }
    }

    fn odd(&self, reason: BatchError) -> Fault {
        Fault::Answer { host: http::host_of(&self.options.url), reason }
    }

    fn keep(&self, operation: Operation, pointers: &[Pointer], objects: &[AnsweredObject]) {
        let now = Instant::now();
        let mut answers = lock(&self.answers);
        if answers.len() > MOST_ANSWERS {
            answers.clear();
        }
        for (pointer, object) in pointers.iter().zip(objects).filter(|(_, object)| object.error.is_none()) {
            let actions = object.actions.iter().flat_map(|actions| [&actions.download, &actions.upload, &actions.verify]).flatten();
            // A date of expiry would need the server's clock; such answers are used at once or not at all.
            let seconds = |action: &Action| action.expires_in.unwrap_or(if action.expires_at.is_some() { 30 } else { FRESH });
            let least = actions.map(seconds).min().unwrap_or(FRESH).saturating_sub(10);
            let until = now + Duration::from_secs(u64::try_from(least).unwrap_or_default().min(3600));
            answers.insert((operation, pointer.oid), Fresh { object: object.clone(), until });
        }
    }

    /// Returns who we are; where nobody was asked and it is needed, the credential helpers are.
    fn authorization(&self, needed: bool) -> Authorization {
        let mut authorization = lock(&self.authorization);
        if needed && matches!(*authorization, Authorization::Unasked) {
            let filled = credential::fill(&self.options.git_dir, &self.options.url);
            *authorization = filled
                .map_or(Authorization::Nobody, |Credential { user, password }| Authorization::Filled(basic(&user, password.expose())));
        }
        authorization.clone()
    }

    fn unauthorized(&self, asked: &Authorization) -> Fault {
        let hint = match asked {
            Authorization::Given(_) => "refuses the token: it is wrong, expired, or may not use Git-LFS here",
            Authorization::Filled(_) => {
                "refuses what Git's credential helper knows; let it forget that with `git credential reject`, or set DDB_LFS_TOKEN"
            }
            Authorization::Unasked | Authorization::Nobody => {
                "wants to know who we are; set DDB_LFS_TOKEN, or configure a Git credential helper"
            }
        };
        Fault::Unauthorized { host: http::host_of(&self.options.url), hint }
    }

    /// Returns an action's headers, and our own credentials where the action has none and is on the API's host.
    fn headers_of(&self, action: &Action, object: &AnsweredObject) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = action.header.clone().into_iter().collect();
        let has = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if !has && object.authenticated != Some(true) && same_origin(&action.href, &self.options.url) {
            let own = header(&self.authorization(false)).map(|secret| ("Authorization".to_owned(), secret.expose().to_owned()));
            headers.extend(own);
        }
        headers
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

const NO_REPOSITORY: &str = "is store.lfs.url right, has the project Git-LFS, and may we see it?";

/// Returns an answer with an error instead of actions.
fn without(object: AnsweredObject, code: u16) -> AnsweredObject {
    let there = object.error.is_none() && object.actions.as_ref().is_none_or(|actions| actions.upload.is_none());
    // What is there cannot be missing: the server contradicts itself.
    let (code, message) = if code == 404 && there { (500, "is missing and there at once") } else { (code, "no such object") };
    AnsweredObject { actions: None, error: Some(ObjectError { code, message: message.to_owned() }), ..object }
}

fn basic(user: &str, password: &str) -> Secret {
    Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))))
}

fn header(authorization: &Authorization) -> Option<&Secret> {
    match authorization {
        Authorization::Given(secret) | Authorization::Filled(secret) => Some(secret),
        Authorization::Unasked | Authorization::Nobody => None,
    }
}

fn media_type() -> Vec<(String, String)> {
    ["Accept", "Content-Type"].map(|name| (name.to_owned(), MEDIA_TYPE.to_owned())).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
