//! The batch API: which objects a client wants to send or fetch, and where the server says they go (git-lfs `docs/api/batch.md`).
//!
//! Addresses and headers of an answer may be secrets (presigned, tokens): nothing here has a `Debug` form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::formats::pool::pointer::Pointer;
use crate::words::digest::ObjectId;

/// The media type of requests and answers.
pub const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// How many objects are asked for at once; servers refuse more (GitLab, GitHub: 100).
pub const MOST_OBJECTS: usize = 100;

/// What a client wants to do with the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Send them.
    Upload,
    /// Fetch them.
    Download,
}

/// A client's question.
#[derive(Clone, Serialize, Deserialize)]
pub struct BatchRequest {
    /// What it wants to do.
    pub operation: Operation,
    /// How it can transfer.
    #[serde(default)]
    pub transfers: Vec<String>,
    /// The objects.
    pub objects: Vec<AskedObject>,
    /// Which digest names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_algo: Option<String>,
}

/// An object that is asked for.
#[derive(Clone, Serialize, Deserialize)]
pub struct AskedObject {
    /// SHA-256 in hex.
    pub oid: String,
    /// Size in bytes.
    pub size: u64,
}

/// A server's answer.
#[derive(Clone, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// How to transfer; default is `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<String>,
    /// One entry for each object.
    pub objects: Vec<AnsweredObject>,
    /// Which digest names them; default is `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_algo: Option<String>,
}

/// What the server says about one object.
#[derive(Clone, Serialize, Deserialize)]
pub struct AnsweredObject {
    /// SHA-256 in hex.
    pub oid: String,
    /// Size in bytes: the object's, but some servers repeat what was asked.
    #[serde(default)]
    pub size: u64,
    /// Whether the actions need no more credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<bool>,
    /// What to do; none for an upload of what is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Actions>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ObjectError>,
}

/// What to do with one object.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Actions {
    /// Where it can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download: Option<Action>,
    /// Where it can be put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<Action>,
    /// Whom to tell that it was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Action>,
}

/// One request to be made.
#[derive(Clone, Serialize, Deserialize)]
pub struct Action {
    /// Its address.
    pub href: String,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// For how many seconds it can be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
    /// Until when it can be made, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// Why the server will not transfer an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ObjectError {
    /// A status as in HTTP: 404 not there, 409 other digest, 410 removed, 422 not valid.
    pub code: u16,
    /// The server's words.
    #[serde(default)]
    pub message: String,
}

/// Why an answer is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not JSON of this form.
    #[error("it is no answer of a Git-LFS batch API: {0}")]
    Json(String),
    /// A transfer that was not offered.
    #[error("it wants the transfer \"{0}\", which was not offered")]
    Transfer(String),
    /// Another digest than SHA-256.
    #[error("it names objects by {0} instead of sha256")]
    Digest(String),
    /// An object that was asked for is not in it.
    #[error("it says nothing about object {0}")]
    Silent(ObjectId),
}

impl BatchRequest {
    /// Returns the question about these objects.
    pub fn new(operation: Operation, pointers: &[Pointer]) -> Self {
        Self {
            operation,
            transfers: vec!["basic".to_owned()],
            objects: pointers.iter().map(|pointer| AskedObject { oid: pointer.oid.to_hex(), size: pointer.size }).collect(),
            hash_algo: Some("sha256".to_owned()),
        }
    }

    /// Returns its JSON form.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl BatchAnswer {
    /// Reads the answer to a question about these objects and returns what it says about each, in the order asked. What it
    /// says about others is left out.
    ///
    /// # Errors
    /// It is no such answer, or says nothing about one of them.
    pub fn read(bytes: &[u8], asked: &[Pointer]) -> Result<Vec<AnsweredObject>, BatchError> {
        let answer: Self = serde_json::from_slice(bytes).map_err(|fault| BatchError::Json(fault.to_string()))?;
        if let Some(transfer) = answer.transfer.filter(|transfer| !transfer.is_empty() && transfer != "basic") {
            return Err(BatchError::Transfer(transfer));
        }
        if let Some(digest) = answer.hash_algo.filter(|digest| digest != "sha256") {
            return Err(BatchError::Digest(digest));
        }
        let mut by_oid: BTreeMap<String, AnsweredObject> =
            answer.objects.into_iter().map(|object| (object.oid.to_ascii_lowercase(), object)).collect();
        asked.iter().map(|pointer| by_oid.remove(&pointer.oid.to_hex()).ok_or(BatchError::Silent(pointer.oid))).collect()
    }
}

/// Returns the words of a server that answered with an error: `message` of its JSON.
pub fn message_of(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    serde_json::from_slice::<Said>(bytes).ok().map(|said| one_line(&said.message)).filter(|message| !message.is_empty())
}

/// Returns a server's words as one line of reasonable length without control characters.
pub fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect();
    plain.trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_the_order_asked_and_odd_ones_are_refused() {
        let pointers = [b"one", b"two"].map(|bytes| Pointer { oid: ObjectId::of(bytes), size: 3 });
        let object = |pointer: &Pointer| format!("{{\"oid\":\"{}\",\"size\":3}}", pointer.oid);
        let both = format!("{{\"objects\":[{},{}]}}", object(&pointers[1]), object(&pointers[0]));
        let read = BatchAnswer::read(both.as_bytes(), &pointers).unwrap_or_default();
        assert_eq!(read.iter().map(|object| object.oid.clone()).collect::<Vec<_>>(), pointers.map(|pointer| pointer.oid.to_hex()));
        let refuse = |text: &str| BatchAnswer::read(text.as_bytes(), &pointers).err().unwrap();
        assert!(matches!(refuse("<html>"), BatchError::Json(_)));
        assert_eq!(refuse("{\"objects\":[]}"), BatchError::Silent(pointers[0].oid));
        assert_eq!(refuse("{\"transfer\":\"tus\",\"objects\":[]}"), BatchError::Transfer("tus".into()));
        assert_eq!(refuse("{\"hash_algo\":\"sha512\",\"objects\":[]}"), BatchError::Digest("sha512".into()));
        assert_eq!(message_of(b"{\"message\":\"no\\nway\"}").as_deref(), Some("no way"));
        assert_eq!(message_of(b"<html>"), None);
    }
}
