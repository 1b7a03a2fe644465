//! Many requests at once: a bounded number of threads that take work from one list.
//!
//! Not rayon's pool: that has as many threads as processors, and who waits for a server uses none.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many requests run at once where nothing says otherwise.
pub const LANES: usize = 16;

/// Does this work for every item, this many at once, and returns the results in the order of the items. After the first
/// failure nothing more is begun.
///
/// # Errors
/// Of the failures, that of the first item.
pub fn in_lanes<I: Sync, T: Send, E: Send>(lanes: usize, items: &[I], work: impl Fn(&I) -> Result<T, E> + Sync) -> Result<Vec<T>, E> {
    if lanes <= 1 || items.len() <= 1 {
        return items.iter().map(work).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done: Mutex<Vec<(usize, Result<T, E>)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..lanes.min(items.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = work(item);
                    if result.is_err() {
                        failed.store(true, Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items_however_many_run_at_once() {
        let items: Vec<u32> = (0..100).collect();
        for lanes in [0, 1, 3, 200] {
            let doubled: Vec<u32> = in_lanes(lanes, &items, |item| Ok::<_, ()>(item * 2)).unwrap();
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn after_a_failure_nothing_more_is_begun() {
        let items: Vec<usize> = (0..10_000).collect();
        let begun = AtomicUsize::new(0);
        let fault = in_lanes(4, &items, |item| {
            begun.fetch_add(1, Ordering::SeqCst);
            if *item == 5 {
                Err(*item)
            } else {
                std::thread::yield_now();
                Ok(())
            }
        });
        assert_eq!(fault.unwrap_err(), 5);
        assert!(begun.load(Ordering::SeqCst) < items.len());
    }
}
