//! The one place with async code under way: a runtime of two threads for all S3 clients of the process.
//!
//! Callers block, from any thread that is not the runtime's own, threads of rayon included. What bounds memory is here too:
//! the bytes of parts that are read or sent at one time, over all callers.

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Returns the runtime, started at first use.
pub(super) fn start() -> io::Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread().worker_threads(2).thread_name("s3").enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// Bytes that all uploads of a process hold at one time.
const BUDGET: u64 = 64 << 20;
const UNIT: u64 = 64 << 10;

static HELD: OnceLock<Arc<Semaphore>> = OnceLock::new();

/// Waits until so many bytes may be held; they are given back when the value is dropped. More than the whole budget counts
/// as the whole budget, so that a single part goes through whatever its size.
pub(super) fn hold(runtime: &Runtime, bytes: u64) -> Option<OwnedSemaphorePermit> {
    let units = bytes.div_ceil(UNIT).min(BUDGET / UNIT);
    let held = HELD.get_or_init(|| Arc::new(Semaphore::new(usize::try_from(BUDGET / UNIT).unwrap_or(1))));
    runtime.block_on(Arc::clone(held).acquire_many_owned(u32::try_from(units).unwrap_or(1))).ok()
}

/// Runs a request to its end on the calling thread, which waits.
pub(super) fn block_on<T>(runtime: &Runtime, request: impl Future<Output = T>) -> T {
    runtime.block_on(request)
}
