//! A cache in memory with a bound: what was not used for longest goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Values by key, together no larger than the bound.
pub struct Cache<K, V> {
    bound: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    clock: u64,
    size: usize,
    values: HashMap<K, (u64, usize, V)>,
    /// Keys by when they were last used.
    used: BTreeMap<u64, K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// Returns an empty cache for values of this size together.
    pub fn new(bound: usize) -> Self {
        let inner = Inner { clock: 0, size: 0, values: HashMap::new(), used: BTreeMap::new() };
        Self { bound, inner: Mutex::new(inner) }
    }

    /// Returns a value.
    pub fn get(&self, key: &K) -> Option<V> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        let (used, _, value) = inner.values.get_mut(key)?;
        let before = std::mem::replace(used, now);
        let value = value.clone();
        inner.used.remove(&before);
        inner.used.insert(now, key.clone());
        Some(value)
    }

    /// Keeps a value of this size, unless it is larger than a quarter of the bound.
    pub fn put(&self, key: K, size: usize, value: V) {
        if size > self.bound / 4 {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        if let Some((before, old, _)) = inner.values.insert(key.clone(), (now, size, value)) {
            inner.used.remove(&before);
            inner.size -= old;
        }
        inner.used.insert(now, key);
        inner.size += size;
        while inner.size > self.bound
            && let Some((_, oldest)) = inner.used.pop_first()
        {
            if let Some((_, old, _)) = inner.values.remove(&oldest) {
                inner.size -= old;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let cache = Cache::new(100);
        for key in 0..4 {
            cache.put(key, 25, key);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.put(4, 25, 4);
        assert_eq!([0, 1, 2, 3, 4].map(|key| cache.get(&key)), [Some(0), None, Some(2), Some(3), Some(4)]);
        cache.put(4, 1, 44);
        cache.put(5, 26, 5);
        assert_eq!((cache.get(&4), cache.get(&5)), (Some(44), None), "too large for this cache");
    }
}
