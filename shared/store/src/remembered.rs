//! What a process remembers between requests, so that it need not read it again.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::time::Timestamp;

/// A bounded memory: each value is forgotten after a fixed time, and all of them when it is full. Clones share the memory.
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

    /// The value of `key`, unless its time is over.
    pub(crate) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        self.values().get(key).filter(|(_, until)| now < *until).map(|(value, _)| value.clone())
    }

    /// Remembers `value` from `now` on.
    pub(crate) fn insert(&self, key: K, value: V, now: Timestamp) {
        let mut values = self.values();
        if values.len() >= self.capacity {
            values.clear();
        }
        values.insert(key, (value, now.plus(self.lifetime)));
    }

    /// The values. A panic elsewhere cannot leave a half-written entry, so a poisoned lock is used as it is.
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
    fn a_value_is_forgotten_after_its_time() {
        let remembered = Remembered::new(10, Duration::from_mins(1));
        remembered.insert("key", 1, at(100));
        assert_eq!(remembered.get(&"key", at(159)), Some(1));
        assert_eq!(remembered.get(&"key", at(160)), None);
        assert_eq!(remembered.get(&"other", at(100)), None);
    }

    #[test]
    fn a_full_memory_begins_again() {
        let remembered = Remembered::new(2, Duration::from_mins(1));
        for key in 1..=3 {
            remembered.insert(key, key, at(0));
        }
        assert_eq!([1, 2, 3].map(|key| remembered.get(&key, at(0))), [None, None, Some(3)]);
    }
}
