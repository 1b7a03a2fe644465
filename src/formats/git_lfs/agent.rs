//! The protocol of custom transfer agents: one JSON object a line, from git-lfs to the agent and back (`docs/custom-transfers.md`).

use serde::{Deserialize, Serialize};

use super::batch::Operation;

/// What git-lfs says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Order {
    /// The beginning.
    Init {
        /// Whether objects will be sent or fetched.
        operation: Operation,
        /// The Git remote: a name or an address.
        #[serde(default)]
        remote: String,
    },
    /// An object is to be sent.
    Upload {
        /// Its name.
        oid: String,
        /// Its size in bytes.
        size: u64,
        /// The file that holds it.
        path: String,
    },
    /// An object is to be fetched.
    Download {
        /// Its name.
        oid: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The end.
    Terminate,
}

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Report {
    /// A part of an object was transferred.
    Progress {
        /// The object.
        oid: String,
        /// How many of its bytes so far.
        #[serde(rename = "bytesSoFar")]
        so_far: u64,
        /// How many since the last report.
        #[serde(rename = "bytesSinceLast")]
        since_last: u64,
    },
    /// An object was transferred, or was not.
    Complete {
        /// The object.
        oid: String,
        /// For a download: the file that holds it, which git-lfs moves away.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Why not.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<AgentError>,
    },
}

/// What went wrong, for the user of git-lfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentError {
    /// A number; git-lfs gives it no meaning.
    pub code: u16,
    /// What to tell.
    pub message: String,
}

/// Returns the answer to `init`: nothing, or why the agent cannot work.
pub fn ready(error: Option<AgentError>) -> String {
    #[derive(Serialize)]
    struct Ready {
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<AgentError>,
    }
    serde_json::to_string(&Ready { error }).unwrap_or_default()
}

impl Order {
    /// Reads one line.
    ///
    /// # Errors
    /// It is no message of this protocol.
    pub fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|fault| fault.to_string())
    }
}

impl Report {
    /// Returns the line, without its end.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_specification_are_understood() {
        let init = r#"{ "event": "init", "operation": "download", "remote": "origin", "concurrent": true, "concurrenttransfers": 3 }"#;
        assert_eq!(Order::read(init).unwrap(), Order::Init { operation: Operation::Download, remote: "origin".into() });
        let upload = r#"{ "event": "upload", "oid": "bf3", "size": 346232, "path": "/path/to/file.png", "action": null }"#;
        assert_eq!(Order::read(upload).unwrap(), Order::Upload { oid: "bf3".into(), size: 346_232, path: "/path/to/file.png".into() });
        assert_eq!(Order::read(r#"{ "event": "terminate" }"#).unwrap(), Order::Terminate);
        assert!(Order::read("{}").is_err());
        let progress = Report::Progress { oid: "22ab".into(), so_far: 1234, since_last: 64 };
        assert_eq!(progress.line(), r#"{"event":"progress","oid":"22ab","bytesSoFar":1234,"bytesSinceLast":64}"#);
        let done = Report::Complete { oid: "22ab".into(), path: None, error: None };
        assert_eq!(done.line(), r#"{"event":"complete","oid":"22ab"}"#);
        assert_eq!(ready(None), "{}");
        let error = AgentError { code: 32, message: "no".into() };
        assert_eq!(ready(Some(error)), r#"{"error":{"code":32,"message":"no"}}"#);
    }
}
