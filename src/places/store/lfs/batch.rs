//! What the server says about objects: asked for many at once, and used again for a while.

use std::time::{Duration, Instant};

use ureq::http::Method;

use super::http::{self, Ask, Fault, Payload};
use super::{Authorization, Inner, header, lock, media_type};
use crate::formats::git_lfs::batch::{Action, AnsweredObject, BatchAnswer, BatchError, BatchRequest, ObjectError, Operation};
use crate::formats::pool::pointer::Pointer;

/// How long an answer is used that does not say how long it may be.
const FRESH: i64 = 300;

/// How many answers are kept before all are forgotten: what is forgotten is asked again.
const MOST_ANSWERS: usize = 10_000;

/// An answer of the server that may be used for a while.
#[derive(Clone)]
pub(super) struct Fresh {
    pub(super) object: AnsweredObject,
    pub(super) until: Instant,
}

const NO_REPOSITORY: &str = "is store.lfs.url right, has the project Git-LFS, and may we see it?";

impl Inner {
    /// Returns what the server says about an object, from an earlier answer where that may still be used.
    pub(super) fn ask(&self, operation: Operation, pointer: &Pointer) -> Result<AnsweredObject, Fault> {
        let fresh = lock(&self.answers).get(&(operation, pointer.oid)).filter(|fresh| fresh.until > Instant::now()).cloned();
        if let Some(fresh) = fresh {
            return Ok(fresh.object);
        }
        let answers = self.batch(operation, std::slice::from_ref(pointer))?;
        answers.into_iter().next().ok_or_else(|| self.odd(BatchError::Silent(pointer.oid)))
    }

    /// Asks about up to 100 objects. Some servers answer with an error for the whole where all objects have the same one.
    pub(super) fn batch(&self, operation: Operation, pointers: &[Pointer]) -> Result<Vec<AnsweredObject>, Fault> {
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
}

/// Returns an answer with an error instead of actions.
fn without(object: AnsweredObject, code: u16) -> AnsweredObject {
    let there = object.error.is_none() && object.actions.as_ref().is_none_or(|actions| actions.upload.is_none());
    // What is there cannot be missing: the server contradicts itself.
    let (code, message) = if code == 404 && there { (500, "is missing and there at once") } else { (code, "no such object") };
    AnsweredObject { actions: None, error: Some(ObjectError { code, message: message.to_owned() }), ..object }
}
