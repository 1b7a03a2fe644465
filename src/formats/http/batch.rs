//! The Git-LFS batch API, as a server that only hands out objects speaks it (git-lfs `docs/api/batch.md`).

use serde::{Deserialize, Serialize};

use crate::words::digest::ObjectId;

/// The media type of questions and answers.
pub const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";

/// Most objects in one question.
pub const OBJECTS: usize = 1000;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BatchRequest {
    /// `download` or `upload`.
    pub operation: String,
    /// The ways of transfer that it knows; `basic` where it names none.
    #[serde(default)]
    pub transfers: Vec<String>,
    /// The digest that names are made of; `sha256` where it names none.
    #[serde(default)]
    pub hash_algo: Option<String>,
    /// The objects.
    pub objects: Vec<WantedObject>,
}

/// An object that a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WantedObject {
    /// Its name, as the client wrote it.
    pub oid: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Why a whole question is refused: status and message.
pub type Refusal = (u16, String);

/// Where an object is: its size and address and for how many seconds that is good, or `None` where there is none.
pub type Located = Option<(u64, String, Option<u32>)>;

#[derive(Serialize)]
struct BatchAnswer<'a> {
    transfer: &'a str,
    objects: Vec<serde_json::Value>,
    hash_algo: &'a str,
}

/// Reads a question for objects to be downloaded.
///
/// # Errors
/// It is none, or asks for something that is not offered; with the status that says so.
pub fn read(body: &[u8]) -> Result<Vec<WantedObject>, Refusal> {
    let request: BatchRequest =
        serde_json::from_slice(body).map_err(|fault| (422, format!("this is no question of the Git-LFS batch API: {fault}")))?;
    match request.operation.as_str() {
        "download" => {}
        "upload" => return Err((403, "objects are only handed out here; `ddb-deploy commit` adds packages to this archive".to_owned())),
        other => return Err((422, format!("the operation \"{}\" is not known", other.escape_debug()))),
    }
    if !request.transfers.is_empty() && !request.transfers.iter().any(|way| way == "basic") {
        return Err((422, "only the transfer \"basic\" is offered".to_owned()));
    }
    if request.hash_algo.as_deref().is_some_and(|digest| digest != "sha256") {
        return Err((409, "objects are named by SHA-256 here".to_owned()));
    }
    if request.objects.len() > OBJECTS {
        return Err((413, format!("{} objects are asked for at once, more than {OBJECTS}", request.objects.len())));
    }
    Ok(request.objects)
}

/// Returns the answer: each object's address, or that there is none.
///
/// # Errors
/// An object cannot be located.
pub fn answer<E>(wanted: &[WantedObject], mut locate: impl FnMut(&ObjectId) -> Result<Located, E>) -> Result<Vec<u8>, E> {
    let mut objects = Vec::with_capacity(wanted.len());
    for WantedObject { oid, size } in wanted {
        let located = match oid.parse::<ObjectId>() {
            Ok(oid) => locate(&oid)?.filter(|(there, _, _)| there == size),
            Err(_) => {
                let error = serde_json::json!({"code": 422, "message": "this is no SHA-256"});
                objects.push(serde_json::json!({"oid": oid, "size": size, "error": error}));
                continue;
            }
        };
        objects.push(match located {
            Some((_, href, seconds)) => {
                let mut download = serde_json::json!({"href": href});
                if let (Some(seconds), Some(action)) = (seconds, download.as_object_mut()) {
                    action.insert("expires_in".to_owned(), seconds.into());
                }
                serde_json::json!({"oid": oid, "size": size, "authenticated": true, "actions": {"download": download}})
            }
            None => {
                let error = serde_json::json!({"code": 404, "message": "no commit of this archive that is kept names this object"});
                serde_json::json!({"oid": oid, "size": size, "error": error})
            }
        });
    }
    let answer = BatchAnswer { transfer: "basic", objects, hash_algo: "sha256" };
    Ok(serde_json::to_vec(&answer).unwrap_or_default())
}

/// Returns the body that says why a question was refused.
pub fn refusal(message: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({"message": message})).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_downloads_of_what_is_there_are_answered() {
        let oid = ObjectId::of(b"there");
        let question = |more: &str| {
            format!(
                "{{\"operation\":\"download\",\"objects\":[{{\"oid\":\"{oid}\",\"size\":5}},{{\"oid\":\"{oid}\",\"size\":6}},{{\"oid\":\"../x\",\"size\":5}}]{more}}}"
            )
        };
        let wanted =
            read(question(",\"transfers\":[\"lfs-standalone-file\",\"basic\"],\"ref\":{\"name\":\"refs/heads/main\"}").as_bytes()).unwrap();
        let located = |asked: &ObjectId| Ok::<_, ()>((*asked == oid).then(|| (5, "https://x/y".to_owned(), Some(60))));
        let answer: serde_json::Value = serde_json::from_slice(&answer(&wanted, located).unwrap()).unwrap();
        assert_eq!(answer["objects"][0]["actions"]["download"], serde_json::json!({"href": "https://x/y", "expires_in": 60}));
        assert_eq!(answer["objects"][1]["error"]["code"], 404, "another size is another object");
        assert_eq!(answer["objects"][2]["error"]["code"], 422);
        for (text, status) in [
            (String::new(), 422),
            ("[]".to_owned(), 422),
            (question("").replace("download", "upload"), 403),
            (question("").replace("download", "delete"), 422),
            (question(",\"transfers\":[\"tus\"]"), 422),
            (question(",\"hash_algo\":\"sha512\""), 409),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap_err().0, status, "{text}");
        }
    }
}
