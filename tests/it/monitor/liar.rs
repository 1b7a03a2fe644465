//! A Sigsum log that lies as it is told: it signs whatever it says with its own key, and its witness cosigns that.
//!
//! Real logs do not lie on request. This one takes leaves, proves them and gives its tree as log.md says, from a list of leaves
//! that a test may change under it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddb::formats::merkle::{empty_root, node_hash};
use ddb::formats::sigsum::PublicKey;
use ddb::formats::sigsum::leaf::{Leaf, checksum};
use ddb::formats::sigsum::tree_head::origin;
use ddb::words::digest::Sha256;
use ed25519_dalek::{Signer as _, SigningKey};

pub struct Liar {
    port: u16,
    pub state: Arc<Mutex<State>>,
}

/// What the log says; a test changes it at will.
pub struct State {
    log: SigningKey,
    witness: SigningKey,
    pub leaves: Vec<Leaf>,
    /// Signs this root hash, not that of its leaves.
    pub root: Option<Sha256>,
    /// Answers get-leaves from this list.
    pub shown: Option<Vec<Leaf>>,
    /// Answers get-consistency-proof so.
    pub consistency: Option<String>,
    /// When the witness cosigned; `None` where it did not.
    pub cosigned: Option<i64>,
    /// Signs tree heads with another key.
    pub unsigned: bool,
    /// Answers everything with this status.
    pub status: Option<u16>,
    /// Says that its tree has so many leaves.
    pub claimed: Option<u64>,
    /// Answers requests that begin so with status 500.
    pub refused: Option<&'static str>,
    /// Gives at most so many leaves at once.
    pub most: usize,
    pub asked: Vec<String>,
    act: Option<Box<dyn FnOnce() + Send>>,
}

/// RFC 6962 section 2.1, word for word.
pub fn root(leaves: &[Sha256]) -> Sha256 {
    match leaves {
        [] => empty_root(),
        [only] => *only,
        leaves => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

pub fn inclusion(index: usize, leaves: &[Sha256]) -> Vec<Sha256> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) =
        if index < left.len() { (inclusion(index, left), root(right)) } else { (inclusion(index - left.len(), right), root(left)) };
    path.push(sibling);
    path
}

fn consistency(old: usize, leaves: &[Sha256], whole: bool) -> Vec<Sha256> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut path, sibling) = if old <= left.len() {
        (consistency(old, left, whole), root(right))
    } else {
        (consistency(old - left.len(), right, false), root(left))
    };
    path.push(sibling);
    path
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lines(hashes: &[Sha256]) -> String {
    hashes.iter().map(|hash| format!("node_hash={hash}\n")).collect()
}

/// Now, as the machine knows it.
pub fn clock() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

impl Liar {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let key = |seed: u8| SigningKey::from_bytes(&[seed; 32]);
        let state = State {
            log: key(1),
            witness: key(2),
            leaves: Vec::new(),
            root: None,
            shown: None,
            consistency: None,
            cosigned: Some(clock()),
            unsigned: false,
            status: None,
            claimed: None,
            refused: None,
            most: 100,
            asked: Vec::new(),
            act: None,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { return };
                std::thread::spawn(move || drop(answer_all(&stream, &shared)));
            }
        });
        Self { port, state }
    }

    /// Its lines of a policy, with the quorum.
    pub fn policy(&self) -> String {
        let state = self.state.lock().unwrap();
        let [log, witness] = [&state.log, &state.witness].map(|key| hex(key.verifying_key().as_bytes()));
        format!("log {log} http://127.0.0.1:{}\nwitness w {witness}\nquorum w\n", self.port)
    }

    pub fn name(&self) -> String {
        PublicKey::from_bytes(self.state.lock().unwrap().log.verifying_key().to_bytes()).hash().to_hex()
    }

    /// Changes what it says.
    pub fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Does this once, before the next answer.
    pub fn before_the_next(&self, act: impl FnOnce() + Send + 'static) {
        self.tell(|state| state.act = Some(Box::new(act)));
    }

    /// Adds so many leaves of a stranger.
    pub fn fill(&self, count: usize) {
        self.tell(|state| {
            for _ in 0..count {
                let number = state.leaves.len().to_string();
                state.leaves.push(stranger(number.as_bytes()));
            }
        });
    }
}

/// A leaf of somebody else.
pub fn stranger(file: &[u8]) -> Leaf {
    let key = SigningKey::from_bytes(&[9; 32]);
    let checksum = checksum(&Sha256::of(file));
    let signature = key.sign(&ddb::formats::sigsum::leaf::signed_text(&checksum)).to_bytes();
    let key_hash = PublicKey::from_bytes(key.verifying_key().to_bytes()).hash();
    Leaf { checksum, signature: ddb::formats::sigsum::Signature::from_bytes(signature), key_hash }
}

fn answer_all(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            requests.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        requests.read_exact(&mut body)?;
        let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let (status, body) = state.lock().unwrap().answer(&path, &String::from_utf8_lossy(&body));
        write!(&mut &*stream, "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}

impl State {
    /// Takes other keys: another log with another witness.
    pub fn become_another(&mut self) {
        [self.log, self.witness] = [4, 5].map(|seed: u8| SigningKey::from_bytes(&[seed; 32]));
    }

    fn hashes(&self) -> Vec<Sha256> {
        self.leaves.iter().map(Leaf::hash).collect()
    }

    fn answer(&mut self, path: &str, body: &str) -> (u16, String) {
        self.asked.push(path.to_owned());
        if let Some(act) = self.act.take() {
            act();
        }
        if let Some(status) = self.status {
            return (status, "no".to_owned());
        }
        if self.refused.is_some_and(|refused| path.starts_with(refused)) {
            return (500, "no".to_owned());
        }
        let hashes = self.hashes();
        match path.split('/').collect::<Vec<_>>()[..] {
            ["get-tree-head"] => (200, self.head()),
            ["add-leaf"] => {
                self.add(body);
                (200, String::new())
            }
            ["get-inclusion-proof", size, hash] => {
                let within = &hashes[..size.parse::<usize>().unwrap()];
                match within.iter().position(|leaf| leaf.to_hex() == hash) {
                    Some(index) => (200, format!("leaf_index={index}\n{}", lines(&inclusion(index, within)))),
                    None => (404, "no such leaf".to_owned()),
                }
            }
            ["get-consistency-proof", old, new] => {
                let [old, new] = [old, new].map(|size| size.parse::<usize>().unwrap());
                let proof = || if new > hashes.len() { String::new() } else { lines(&consistency(old, &hashes[..new], true)) };
                (200, self.consistency.clone().unwrap_or_else(proof))
            }
            ["get-leaves", from, to] => {
                let [from, to] = [from, to].map(|number| number.parse::<usize>().unwrap());
                let leaves = self.shown.as_ref().unwrap_or(&self.leaves);
                let text = |leaf: &Leaf| format!("leaf={} {} {}\n", leaf.checksum, leaf.signature, leaf.key_hash);
                (200, leaves[from.min(leaves.len())..to.min(leaves.len())].iter().take(self.most).map(text).collect())
            }
            _ => (404, "no such thing".to_owned()),
        }
    }

    fn add(&mut self, body: &str) {
        let value = |name: &str| body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned();
        let (message, signature, key): (Sha256, _, PublicKey) =
            (value("message").parse().unwrap(), value("signature").parse().unwrap(), value("public_key").parse().unwrap());
        let leaf = Leaf { checksum: checksum(&message), signature, key_hash: key.hash() };
        if !self.leaves.contains(&leaf) {
            self.leaves.push(leaf);
        }
    }

    fn head(&self) -> String {
        let (size, root) = (self.claimed.unwrap_or(self.leaves.len() as u64), self.root.unwrap_or_else(|| root(&self.hashes())));
        let log = PublicKey::from_bytes(self.log.verifying_key().to_bytes());
        let body = format!("{}\n{size}\n{}\n", origin(&log), STANDARD.encode(root.as_bytes()));
        let signer = if self.unsigned { &self.witness } else { &self.log };
        let mut text = format!("size={size}\nroot_hash={root}\nsignature={}\n", hex(&signer.sign(body.as_bytes()).to_bytes()));
        if let Some(time) = self.cosigned {
            let witness = PublicKey::from_bytes(self.witness.verifying_key().to_bytes()).hash();
            let signature = self.witness.sign(format!("cosignature/v1\ntime {time}\n{body}").as_bytes());
            text.push_str(&format!("cosignature={witness} {time} {}\n", hex(&signature.to_bytes())));
        }
        text
    }
}
