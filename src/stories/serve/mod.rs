//! `ddb-publish serve`: a read-only HTTP gateway over an archive repository, or over a published folder.
//!
//! `dists/` is the newest served Release of each suite, its indices joined from retained blocks; `pool/` is what the pointers of
//! the kept Releases name, streamed from the object store or redirected to it; `snapshots/<id>/` is the same for any Release
//! that was ever served. New Releases are seen while it runs. A client never gets other bytes than the signed Release lists.

mod files;
mod lfs;
mod page;
mod routes;
mod state;
mod tree;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::formats::blocks::sheet::KIND;
use crate::formats::http::path::RequestPath;
use crate::places::git::history::NamedObjects;
use crate::places::git::{GitError, Oid};
use crate::places::http::{self, Answer, Content, Exchange, Limits, Request, ServerError, refusal};
use crate::places::s3::{Client, S3Error};
use crate::places::store::{ObjectStore, StoreError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, SharedListener};
use crate::stories::served::cache::Cache;
use crate::stories::served::snapshot::{Commits, SnapshotFault, SnapshotId};
use crate::stories::served::{ServedError, Whole};
use crate::words::archive::BucketSettings;
use crate::words::causes::chain;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use state::{State, View};
use tree::Tree;

/// How often the refs are looked at, at most.
const LOOK: Duration = Duration::from_millis(250);

/// How the gateway answers.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// What the server takes upon itself.
    pub limits: Limits,
    /// Send clients to the object store itself, where it has addresses that anybody can fetch from.
    pub redirect: bool,
    /// The address of the gateway as clients see it; without one, the `Host` of each request is believed.
    pub url: Option<String>,
    /// Most bytes of indices that are kept in memory.
    pub cache: usize,
}

/// Opens the archive once more: every thread that reads Git needs an own handle.
pub type Reopen = Arc<dyn Fn() -> Result<OpenArchive, OpenError> + Send + Sync>;

/// Brings the repository up to date with where it comes from.
pub struct Refresh {
    /// How often.
    pub every: Duration,
    /// Fetches.
    pub fetch: Box<dyn Fn() -> Result<(), OpenError> + Send>,
}

/// Returns the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Why the gateway cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was served cannot be read.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// The server cannot run.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] S3Error),
    /// The folder is not there.
    #[error("cannot serve the folder {}", path.display())]
    Tree {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// What a client is told instead of what it asked for.
#[derive(Debug)]
pub(super) struct Refused {
    status: u16,
    reason: String,
    /// What only the log says.
    detail: Option<String>,
}

impl Refused {
    fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), detail: None }
    }

    /// The fault is the archive's, and its words may hold paths of this machine.
    fn inner(reason: &str, fault: &dyn std::error::Error) -> Self {
        Self { status: 500, reason: reason.to_owned(), detail: Some(chain(fault)) }
    }
}

impl From<OpenError> for Refused {
    fn from(fault: OpenError) -> Self {
        Self::inner("the archive cannot be read", &fault)
    }
}

impl From<GitError> for Refused {
    fn from(fault: GitError) -> Self {
        Self::inner("the archive cannot be read", &fault)
    }
}

impl From<ServedError> for Refused {
    fn from(fault: ServedError) -> Self {
        Self::inner("this Release cannot be read", &fault)
    }
}

impl From<StoreError> for Refused {
    fn from(fault: StoreError) -> Self {
        match &fault {
            StoreError::Missing { oid, .. } => {
                Self { status: 500, reason: format!("the object {oid} is missing in the object store"), detail: None }
            }
            _ => Self { status: 502, ..Self::inner("the object store cannot be read", &fault) },
        }
    }
}

impl From<SnapshotFault> for Refused {
    fn from(fault: SnapshotFault) -> Self {
        match fault {
            SnapshotFault::Served(fault) => fault.into(),
            other => Self::new(404, other.to_string()),
        }
    }
}

/// The gateway over a repository.
pub(super) struct Gateway {
    options: ServeOptions,
    reopen: Reopen,
    clock: Clock,
    events: SharedListener,
    /// Handles that no thread uses at the moment.
    handles: Mutex<Vec<OpenArchive>>,
    store: Box<dyn ObjectStore>,
    /// Whether the store's addresses are public.
    public: bool,
    blocks: Box<dyn ObjectStore>,
    state: RwLock<Arc<State>>,
    looked: Mutex<Instant>,
    /// Indices by their digest.
    indices: Cache<Sha256, Bytes>,
    /// Served Releases by the commit on their branch.
    wholes: Cache<Oid, Arc<Whole>>,
    /// What the names of snapshots meant in a state.
    snapshots: Cache<(u64, SnapshotId), Arc<View>>,
    /// The commits that names mean in a state.
    commits: Mutex<(u64, Arc<Commits>)>,
    /// The objects that commits name, and as of which state.
    named: Mutex<(u64, NamedObjects)>,
    /// Held while a Release is folded again; how many wait for that; what could not be made, and when.
    folding: Mutex<()>,
    waiting: AtomicUsize,
    lost: Mutex<BTreeMap<(Oid, String), Instant>>,
    /// The digests of Releases, by their commit: what the history of logged Releases is looked up by.
    releases: Mutex<BTreeMap<Oid, Sha256>>,
}

impl Gateway {
    fn new(options: ServeOptions, reopen: Reopen, clock: Clock, events: SharedListener) -> Result<Self, ServeError> {
        let open = reopen()?;
        let archive = open.configuration(&open.tip()?)?;
        let (store, blocks) = (open.store(&archive)?, open.derived(&archive, KIND)?);
        let state = State::load(&open, None, clock(), &events)?;
        let state = state
            .ok_or_else(|| ServedError::Git(GitError::NoBranch { path: open.repository.root().to_owned(), branch: open.branch.clone() }))?;
        Ok(Self {
            public: archive.store.url.is_some(),
            indices: Cache::new(options.cache),
            wholes: Cache::new(64 << 20),
            snapshots: Cache::new(1000),
            commits: Mutex::new((0, Arc::default())),
            named: Mutex::default(),
            folding: Mutex::default(),
            waiting: AtomicUsize::new(0),
            lost: Mutex::default(),
            releases: Mutex::default(),
            looked: Mutex::new(Instant::now()),
            state: RwLock::new(Arc::new(state)),
            handles: Mutex::new(vec![open]),
            options,
            reopen,
            clock,
            events,
            store,
            blocks,
        })
    }

    /// Does something with a handle that no other thread has.
    fn with<T>(&self, work: impl FnOnce(&OpenArchive) -> T) -> Result<T, OpenError> {
        let free = self.handles.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let open = free.map_or_else(|| (self.reopen)(), Ok)?;
        let done = work(&open);
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).push(open);
        Ok(done)
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks whether refs moved, unless that was done just now or another thread is at it.
    fn look(&self) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.elapsed() < LOOK {
            return;
        }
        let earlier = self.state();
        match self.with(|open| State::load(open, Some(&earlier), (self.clock)(), &self.events)) {
            Ok(Ok(Some(new))) => {
                (self.events)(Event::Detail(format!("the archive is at {} now", new.tip)));
                *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
            }
            Ok(Ok(None)) => {}
            Ok(Err(fault)) => {
                // A handle may hold on to packs that were replaced.
                self.handles.lock().unwrap_or_else(PoisonError::into_inner).clear();
                (self.events)(Event::Warning(chain(&fault)));
            }
            Err(fault) => (self.events)(Event::Warning(chain(&fault))),
        }
        *looked = Instant::now();
    }

    /// The address of this server as the client sees it, with a slash at its end.
    fn base(&self, request: &Request) -> String {
        if let Some(url) = &self.options.url {
            return format!("{}/", url.trim_end_matches('/'));
        }
        let sound = |host: &&str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        let host = request.field("host").filter(sound).unwrap_or("localhost");
        let scheme = request.field("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
        format!("{scheme}://{host}/")
    }
}

fn html(page: String) -> Answer {
    let fields = vec![
        ("content-type", "text/html; charset=utf-8".to_owned()),
        ("cache-control", "no-cache".to_owned()),
        ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'".to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
    ];
    Answer { status: 200, fields, content: Content::Bytes(page.into()) }
}

/// Serves an archive repository until the program is told to stop; `ready` is called when it answers.
///
/// # Errors
/// The archive cannot be read at the start, or the server cannot run.
pub fn serve(
    listener: TcpListener,
    options: ServeOptions,
    reopen: Reopen,
    refresh: Option<Refresh>,
    clock: Clock,
    events: SharedListener,
    ready: impl FnOnce(),
) -> Result<(), ServeError> {
    let limits = options.limits.clone();
    // Dropped at the end, which is what the thread waits for.
    let _fetching = refresh.map(|refresh| fetch_on(refresh, Arc::clone(&events)));
    let gateway = Arc::new(Gateway::new(options, reopen, clock, Arc::clone(&events))?);
    let told = Arc::clone(&events);
    let answerer: http::Answerer = Arc::new(move |request| {
        gateway.look();
        answered(&told, |path| gateway.answer(path, request), &request.path)
    });
    Ok(http::serve(listener, &limits, &answerer, &log(events), ready)?)
}

/// Fetches now and then, on a thread of its own, until what is returned is dropped.
fn fetch_on(refresh: Refresh, events: SharedListener) -> Sender<()> {
    let (end, ended) = channel::<()>();
    std::thread::spawn(move || {
        while ended.recv_timeout(refresh.every) == Err(RecvTimeoutError::Timeout) {
            if let Err(fault) = (refresh.fetch)() {
                events(Event::Warning(chain(&fault)));
            }
        }
    });
    end
}

/// Where a published tree is.
#[derive(Debug, Clone)]
pub enum TreePlace {
    /// A folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket(BucketSettings),
}

/// Serves a published folder or bucket until the program is told to stop; `ready` is called when it answers.
///
/// # Errors
/// The folder is not there, the bucket cannot be used, or the server cannot run.
pub fn serve_tree(
    listener: TcpListener,
    limits: &Limits,
    place: &TreePlace,
    events: SharedListener,
    ready: impl FnOnce(),
) -> Result<(), ServeError> {
    let tree = match place {
        TreePlace::Folder(root) => Tree::folder(root).map_err(|source| ServeError::Tree { path: root.clone(), source })?,
        TreePlace::Bucket(bucket) => Tree::Bucket(Client::new(bucket)?),
    };
    let told = Arc::clone(&events);
    let answerer: http::Answerer = Arc::new(move |request| answered(&told, |path| tree.answer(path, request), &request.path));
    Ok(http::serve(listener, limits, &answerer, &log(events), ready)?)
}

fn answered(events: &SharedListener, answer: impl FnOnce(&RequestPath) -> Result<Answer, Refused>, raw: &str) -> Answer {
    let path = match RequestPath::parse(raw) {
        Ok(path) => path,
        Err(fault) => return refusal(400, &fault.to_string()),
    };
    answer(&path).unwrap_or_else(|Refused { status, reason, detail }| {
        if status >= 500 {
            let detail = detail.map_or_else(String::new, |detail| format!(" ({detail})"));
            events(Event::Warning(format!("{}: {reason}{detail}", raw.escape_debug())));
        }
        refusal(status, &reason)
    })
}

fn log(events: SharedListener) -> http::Log {
    Arc::new(move |exchange| {
        let Exchange { method, path, status, length, took } = exchange;
        let path = path.escape_debug();
        events(Event::Detail(format!("{} {path} {status} {length} bytes, {} ms", method.escape_debug(), took.as_millis())));
    })
}
