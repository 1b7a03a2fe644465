//! Commits on a branch of Releases as ddb would never leave them: what a thief of keys and of write access can do.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ddb::places::sign::keys::SecretKey;
use ddb::places::sign::openpgp::OpenPgpSigner;
use ddb::places::sign::{SignedRelease, Signer as _};
use ddb::words::date::Timestamp;
use ddb::words::digest::Sha256;

use super::head;
use crate::sandbox::{Sandbox, Value};

/// A commit that is to stand on the branch ddb/releases/trixie of the archive.
pub struct Plant<'a> {
    sandbox: &'a Sandbox,
    /// Without bytes, the file is taken away.
    edits: Vec<(String, Option<Vec<u8>>)>,
    from: String,
}

impl<'a> Plant<'a> {
    /// Begins with the files of a commit of the archive's repository.
    pub fn on(sandbox: &'a Sandbox, from: &str) -> Self {
        Self { sandbox, edits: Vec::new(), from: head(sandbox, from) }
    }

    /// The bytes of a file.
    pub fn file(&self, path: &str) -> Vec<u8> {
        let edited = self.edits.iter().rev().find(|(edited, _)| edited == path).and_then(|(_, bytes)| bytes.clone());
        edited.unwrap_or_else(|| self.sandbox.git(&["show", &format!("{}:{path}", self.from)]).ok().out.into_bytes())
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.file(path)).unwrap()
    }

    pub fn put(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.edits.push((path.to_owned(), Some(bytes.into())));
    }

    pub fn remove(&mut self, path: &str) {
        self.edits.push((path.to_owned(), None));
    }

    /// The paths of the files that `recorded.asc` is about, in order.
    pub fn recorded(&self) -> BTreeSet<String> {
        let listed = self.sandbox.git(&["ls-tree", "-r", "--name-only", &self.from]).ok().out;
        let mut paths: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
        for (path, bytes) in &self.edits {
            let _ = if bytes.is_some() { paths.insert(path.clone()) } else { paths.remove(path) };
        }
        paths.retain(|path| ["Release", "inputs.json", "fold.json", "lists.json"].contains(&path.as_str()) || path.starts_with("sheets/"));
        paths
    }

    /// Signs with the archive's own key what the commit records, to stand after this commit of the branch.
    fn vouch(&mut self, after: &str) {
        let after = head(self.sandbox, after);
        self.edit("inputs.json", |inputs| {
            inputs["after"] = after.as_str().into();
            inputs["follows"] = after.as_str().into();
        });
        let paths = self.recorded();
        let lines: String = paths.iter().map(|path| format!("{}  {path}\n", Sha256::of(&self.file(path)))).collect();
        let text = format!("ddb recorded 2\ncodename: trixie\nfiles: {}\n{lines}", paths.len());
        let at = Timestamp(self.json("inputs.json")["date"].as_i64().unwrap());
        let signer = OpenPgpSigner::new(&own_keys(self.sandbox), &[], at).unwrap();
        self.put("recorded.asc", signer.detach_sign(text.as_bytes(), at).unwrap());
    }

    pub fn edit(&mut self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.json(path);
        change(&mut value);
        self.put(path, serde_json::to_vec(&value).unwrap());
    }

    /// Signs a Release with the archive's own key, as if it had been served when the one before was.
    pub fn sign(&mut self, release: &str) {
        let at = Timestamp(self.json("served.json")["at"].as_i64().unwrap_or_else(|| panic!("{}", self.json("served.json"))));
        let signer = OpenPgpSigner::new(&own_keys(self.sandbox), &[], at).unwrap();
        let signed = SignedRelease::sign(&signer, release.as_bytes(), at).unwrap();
        self.put("InRelease", signed.in_release());
        self.put("Release.gpg", signed.detached());
        self.put("Release", release);
        self.edit("fold.json", |record| record["release"] = Sha256::of(release.as_bytes()).to_hex().into());
    }

    /// The same, and makes the commit the tip of the branch, after that one.
    pub fn commit_vouched(mut self, after: &str) {
        self.vouch(after);
        let base = self.json("inputs.json")["base"].as_str().unwrap().to_owned();
        self.commit(&[after, &base]);
    }

    /// Makes the commit the tip of the branch, with these parents.
    pub fn commit(self, parents: &[&str]) {
        let write = |(number, (path, bytes)): (usize, &(String, Option<Vec<u8>>))| {
            let Some(bytes) = bytes else { return format!("0 {}\t{path}\0", "0".repeat(40)) };
            let file = self.sandbox.write(format!("plant/{number}"), bytes);
            let blob = self.sandbox.git(&["hash-object", "-w", file.to_str().unwrap()]).ok().out;
            format!("100644 {}\t{path}\0", blob.trim())
        };
        let entries: String = self.edits.iter().enumerate().map(write).collect();
        let entries = self.sandbox.write("plant/entries", entries);
        let parents: String = parents.iter().map(|parent| format!(" -p {}", head(self.sandbox, parent))).collect();
        let script = format!(
            "set -e; export GIT_INDEX_FILE=$PWD/index; rm -f index; cd archive; git read-tree {}; git update-index -z --add --index-info <{}
             git update-ref refs/heads/ddb/releases/trixie $(git commit-tree $(git write-tree){parents} -m Serve.)",
            self.from,
            entries.display()
        );
        self.sandbox.run("sh", &["-c", &script]).ok();
    }
}

/// The archive's secret keys.
fn own_keys(sandbox: &Sandbox) -> Vec<SecretKey> {
    let files = std::fs::read_dir(sandbox.path("home/.config/ddb/keys")).unwrap().map(|entry| entry.unwrap().path());
    let secret = |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains("PRIVATE KEY"));
    let keys = files.filter(secret).flat_map(|path| SecretKey::read_all("a key", &std::fs::read(path).unwrap()).unwrap());
    keys.collect()
}
