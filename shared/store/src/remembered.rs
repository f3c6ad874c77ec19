//! A cache of items that a process has read, so that it does not have to read them again for each request.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::time::Timestamp;

/// A bounded cache. Each value expires after a fixed time, and a full cache drops all its values. Clones share the
/// values.
#[derive(Debug, Clone)]
pub(crate) struct Remembered<K, V> {
    values: Arc<Mutex<HashMap<K, (V, Timestamp)>>>,
    capacity: usize,
    lifetime: Duration,
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    pub(crate) fn new(capacity: usize, lifetime: Duration) -> Self {
        Self { values: Arc::default(), capacity, lifetime }
    }

    /// Returns the value of `key`, unless it has expired.
    pub(crate) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        self.values().get(key).filter(|(_, until)| now < *until).map(|(value, _)| value.clone())
    }

    /// Remembers `value` until `now` plus the lifetime.
    pub(crate) fn insert(&self, key: K, value: V, now: Timestamp) {
        let mut values = self.values();
        if values.len() >= self.capacity {
            values.clear();
        }
        values.insert(key, (value, now.plus(self.lifetime)));
    }

    /// Locks the values. A panic elsewhere cannot leave a half-written entry, so a poisoned lock is safe to
    /// use.
    fn values(&self) -> MutexGuard<'_, HashMap<K, (V, Timestamp)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::of_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn a_value_expires_after_the_lifetime() {
        let remembered = Remembered::new(10, Duration::from_mins(1));
        remembered.insert("key", 1, at(100));
        assert_eq!(remembered.get(&"key", at(159)), Some(1));
        assert_eq!(remembered.get(&"key", at(160)), None);
        assert_eq!(remembered.get(&"other", at(100)), None);
    }

    #[test]
    fn a_full_cache_drops_all_its_values() {
        let remembered = Remembered::new(2, Duration::from_mins(1));
        for key in 1..=3 {
            remembered.insert(key, key, at(0));
        }
        assert_eq!([1, 2, 3].map(|key| remembered.get(&key, at(0))), [None, None, Some(3)]);
    }
}
