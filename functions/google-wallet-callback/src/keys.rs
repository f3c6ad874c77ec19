//! Google's root keys have two lifetimes. A key set is *fresh* for as long as its answer allowed caching; until then
//! nothing is fetched. A key is *valid* until its own expiration; until then a stale set may still be used if Google
//! does not answer. Only staleness causes a fetch, so a forged callback cannot.
//!
//! All processes share the keys in the table, so a new process needs no fetch.

use std::{sync::Arc, time::Duration};

use domain::time::Timestamp;
use store::{GoogleRootKeys, Table};
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::warn;

use crate::{
    published_keys::{self, FetchError, FetchedKeySet, KeysUrl},
    verification::{NotAKeySet, RootKeys},
};

/// How long no keys are fetched after that failed.
const PAUSE: Duration = Duration::from_mins(1);

/// The root keys, as this process knows them. A clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    url: KeysUrl,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    keys: Option<KnownKeys>,
    /// Before this instant no keys are fetched, because that failed.
    fetch_after: Option<Timestamp>,
}

/// Keys that this process knows, fresh or stale.
#[derive(Debug)]
struct KnownKeys {
    roots: RootKeys,
    fresh_until: Timestamp,
}

/// There are no valid keys, so no callback can be verified now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there are no valid keys of Google, and none could be fetched")]
pub(crate) struct NoKeys;

/// Why fetched keys are not used.
#[derive(Debug, Error)]
enum Unusable {
    #[error(transparent)]
    NotFetched(#[from] FetchError),
    #[error(transparent)]
    NotAKeySet(#[from] NotAKeySet),
    #[error("the key set has no valid key")]
    NoValidKey,
}

impl Keys {
    /// Returns the keys of this address. Fetches nothing yet.
    #[must_use]
    pub(crate) fn new(url: KeysUrl) -> Self {
        Self { url, known: Arc::default() }
    }

    /// Returns whether this process knows fresh keys, so that those in the table are not needed.
    pub(crate) async fn are_fresh(&self, now: Timestamp) -> bool {
        self.known.lock().await.fresh_at(now).is_some()
    }

    /// Returns the keys that are valid now. `stored` are the keys in the table, or `None` if there are none, or if they
    /// were not needed. Those of another address are not used: the operator may have changed it because of them.
    ///
    /// Keys that have to be fetched are stored in the table, unless fresher ones are there. Callbacks that arrive
    /// meanwhile wait for them.
    ///
    /// # Errors
    ///
    /// If no valid keys are known, and none could be fetched now or less than a minute ago.
    pub(crate) async fn current(
        &self,
        table: &Table,
        stored: Option<GoogleRootKeys>,
        now: Timestamp,
    ) -> Result<RootKeys, NoKeys> {
        let mut known = self.known.lock().await;
        if let Some(stored) = stored.filter(|stored| stored.url == self.url.to_string()) {
            known.learn(&stored);
        }
        if let Some(roots) = known.fresh_at(now) {
            return Ok(roots.clone());
        }
        if known.fetch_after.is_none_or(|instant| instant <= now) {
            match self.fetch(now).await {
                Ok((roots, fetched)) => {
                    // They replace the known ones in any case: those were not fresh, whatever they claimed.
                    known.keys = Some(KnownKeys { roots, fresh_until: fetched.fresh_until });
                    known.fetch_after = None;
                    share_with_other_processes(table, &fetched).await;
                }
                Err(error) => {
                    known.fetch_after = Some(now.plus(PAUSE));
                    warn!(%error, "the keys of Google were not fetched");
                }
            }
        }
        known.keys.as_ref().map(|keys| &keys.roots).filter(|roots| roots.any_valid_at(now)).cloned().ok_or(NoKeys)
    }

    /// Fetches the keys. An empty key set or a broken one replaces nothing.
    ///
    /// They are not fresh for longer than they are valid. So keys that have all expired are always less fresh than
    /// others, in this process and in the table.
    async fn fetch(&self, now: Timestamp) -> Result<(RootKeys, GoogleRootKeys), Unusable> {
        let FetchedKeySet { key_set, fresh_for } = published_keys::fetch(&self.url).await?;
        let roots = RootKeys::parse(&key_set)?;
        let expiration = roots.last_expiration().filter(|expiration| *expiration > now).ok_or(Unusable::NoValidKey)?;
        let fresh_until = expiration.min(now.plus(fresh_for));
        Ok((roots, GoogleRootKeys { url: self.url.to_string(), key_set, fresh_until }))
    }
}

impl Known {
    fn fresh_at(&self, now: Timestamp) -> Option<&RootKeys> {
        self.keys.as_ref().filter(|keys| keys.fresh_until > now && keys.roots.any_valid_at(now)).map(|keys| &keys.roots)
    }

    /// Remembers keys that stay fresh longer than the known ones. Only keys that could be parsed were ever stored.
    fn learn(&mut self, stored: &GoogleRootKeys) {
        let GoogleRootKeys { url: _, key_set, fresh_until } = stored;
        let is_fresher = self.keys.as_ref().is_none_or(|keys| keys.fresh_until < *fresh_until);
        if let (true, Ok(roots)) = (is_fresher, RootKeys::parse(key_set)) {
            self.keys = Some(KnownKeys { roots, fresh_until: *fresh_until });
        }
    }
}

/// Stores the keys in the table. This process has them, so a failure does not matter to it.
async fn share_with_other_processes(table: &Table, keys: &GoogleRootKeys) {
    if let Err(error) = table.store_google_keys(keys).await {
        warn!(%error, "the keys of Google were not stored");
    }
}

#[cfg(test)]
mod tests {
    use local::testing::{
        google::{self, KeysServer, SignedCallback},
        sandbox::Sandbox,
    };
    use serde_json::{Value, json};

    use super::*;

    const FRESH: Duration = Duration::from_secs(KeysServer::MAX_AGE);
    const MOMENT: Duration = Duration::from_millis(1);

    fn now() -> Timestamp {
        "2026-01-01T00:00:00.000Z".parse().unwrap()
    }

    /// Returns a key set with this root key, which expires after this time.
    fn key_set(root: u8, expires_after: Duration) -> Value {
        let root = google::key(root);
        let callback = SignedCallback { root, ..SignedCallback::new("save", "1", "1.x", 0) };
        callback.published_keys(now().plus(expires_after).unix_milliseconds())
    }

    fn roots(keys: &Value) -> RootKeys {
        RootKeys::parse(&keys.to_string()).unwrap()
    }

    fn just_before(instant: Timestamp) -> Timestamp {
        instant.minus(MOMENT).unwrap()
    }

    /// Returns how long the keys of a good key set are valid.
    fn long() -> Duration {
        FRESH * 10
    }

    /// A table, a server with the root key 1, and processes that use both.
    struct Setting {
        _sandbox: Sandbox,
        table: Table,
        server: KeysServer,
    }

    impl Setting {
        async fn start() -> Self {
            let sandbox = Sandbox::start().await.unwrap();
            let table = sandbox.store().unwrap();
            Self { _sandbox: sandbox, table, server: KeysServer::start(&key_set(1, long())).await.unwrap() }
        }

        fn process(&self) -> Keys {
            Keys::new(self.server.url().parse().unwrap())
        }

        /// Returns the keys of a process, which reads the table as the function does.
        async fn current(&self, process: &Keys, now: Timestamp) -> Result<RootKeys, NoKeys> {
            let with_keys = !process.are_fresh(now).await;
            let context = self.table.callback_context(&"demo".parse().unwrap(), None, with_keys).await.unwrap();
            process.current(&self.table, context.keys, now).await
        }
    }

    #[tokio::test]
    async fn keys_are_fetched_once_for_all_processes_while_they_are_fresh() {
        let setting = Setting::start().await;
        let processes = [setting.process(), setting.process()];
        for process in [&processes[0], &processes[0], &processes[1]] {
            for now in [now(), just_before(now().plus(FRESH))] {
                assert_eq!(setting.current(process, now).await, Ok(roots(&key_set(1, long()))));
            }
        }
        assert_eq!(setting.server.requests(), 1);
    }

    #[tokio::test]
    async fn keys_are_replaced_when_they_are_no_longer_fresh() {
        let setting = Setting::start().await;
        let (one, other) = (setting.process(), setting.process());
        setting.current(&one, now()).await.unwrap();
        setting.current(&other, now()).await.unwrap();
        setting.server.publish(&key_set(2, long()));
        let later = now().plus(FRESH);
        for process in [&one, &other, &setting.process()] {
            assert_eq!(setting.current(process, later).await, Ok(roots(&key_set(2, long()))));
        }
        assert_eq!(setting.server.requests(), 2);
    }

    #[tokio::test]
    async fn expired_keys_are_replaced_although_they_claimed_to_be_fresh_for_longer() {
        let setting = Setting::start().await;
        let process = setting.process();
        // The answer may be kept for an hour, but its key expires after a minute.
        setting.server.publish(&key_set(1, PAUSE));
        setting.current(&process, now()).await.unwrap();
        setting.server.publish_for(&key_set(2, long()), PAUSE.as_secs());
        let later = now().plus(PAUSE);
        for process in [&process, &setting.process()] {
            assert_eq!(setting.current(process, later).await, Ok(roots(&key_set(2, long()))));
        }
        assert_eq!(setting.server.requests(), 2, "the new process has the keys from the table");
    }

    #[tokio::test]
    async fn fetched_keys_replace_known_ones_that_are_fresh_for_longer() {
        let setting = Setting::start().await;
        let fresh_until = now().plus(long());
        let key_set_1 = key_set(1, PAUSE).to_string();
        let stored = GoogleRootKeys { url: setting.server.url(), key_set: key_set_1, fresh_until };
        setting.table.store_google_keys(&stored).await.unwrap();
        setting.server.publish(&key_set(2, long()));
        let process = setting.process();
        for _ in 0..2 {
            assert_eq!(setting.current(&process, now().plus(PAUSE)).await, Ok(roots(&key_set(2, long()))));
        }
        assert_eq!(setting.server.requests(), 1);
    }

    #[tokio::test]
    async fn keys_of_another_address_are_replaced_at_once() {
        let setting = Setting::start().await;
        let before = setting.process();
        setting.current(&before, now()).await.unwrap();
        // Also if they are fresh for a shorter time.
        let other = KeysServer::start(&json!({})).await.unwrap();
        other.publish_for(&key_set(2, long()), PAUSE.as_secs());
        let process = || Keys::new(other.url().parse().unwrap());
        for process in [process(), process()] {
            assert_eq!(setting.current(&process, now()).await, Ok(roots(&key_set(2, long()))));
        }
        assert_eq!(other.requests(), 1);
        assert_eq!(setting.current(&before, now()).await, Ok(roots(&key_set(1, long()))));
        other.fail();
        assert_eq!(setting.current(&process(), now().plus(FRESH)).await, Ok(roots(&key_set(2, long()))), "an outage");
        let elsewhere = KeysServer::start(&json!({})).await.unwrap();
        let process = Keys::new(elsewhere.url().parse().unwrap());
        assert_eq!(setting.current(&process, now()).await, Err(NoKeys));
    }

    #[tokio::test]
    async fn an_outage_is_bridged_until_the_keys_expire() {
        let setting = Setting::start().await;
        let process = setting.process();
        setting.current(&process, now()).await.unwrap();
        setting.server.fail();
        let expected = Ok(roots(&key_set(1, long())));
        let last = just_before(now().plus(long()));
        for now in [now().plus(FRESH), last] {
            assert_eq!(setting.current(&process, now).await, expected);
            assert_eq!(setting.current(&setting.process(), now).await, expected, "a new process, with the table only");
        }
        for process in [process, setting.process()] {
            assert_eq!(setting.current(&process, now().plus(long())).await, Err(NoKeys));
        }
    }

    #[tokio::test]
    async fn after_a_failure_no_keys_are_fetched_for_a_minute() {
        let setting = Setting::start().await;
        let process = setting.process();
        setting.server.fail();
        for now in [now(), now().plus(MOMENT), just_before(now().plus(PAUSE))] {
            assert_eq!(setting.current(&process, now).await, Err(NoKeys));
        }
        assert_eq!(setting.server.requests(), 1);
        setting.server.publish(&key_set(1, long()));
        assert!(setting.current(&process, now().plus(PAUSE)).await.is_ok());
        assert_eq!(setting.server.requests(), 2);
    }

    #[tokio::test]
    async fn keys_that_another_process_fetched_after_a_failure_are_used_at_once() {
        let setting = Setting::start().await;
        let process = setting.process();
        setting.server.fail();
        assert_eq!(setting.current(&process, now()).await, Err(NoKeys));
        setting.server.publish(&key_set(1, long()));
        setting.current(&setting.process(), now()).await.unwrap();
        assert!(setting.current(&process, now().plus(MOMENT)).await.is_ok());
        assert_eq!(setting.server.requests(), 2);
    }

    #[tokio::test]
    async fn a_key_set_without_valid_keys_replaces_none() {
        let setting = Setting::start().await;
        let process = setting.process();
        setting.current(&process, now()).await.unwrap();
        let later = now().plus(FRESH);
        for (unusable, minutes) in [(json!({"keys": []}), 0), (json!({}), 1), (key_set(2, FRESH), 2)] {
            setting.server.publish(&unusable);
            let later = later.plus(PAUSE * minutes);
            assert_eq!(setting.current(&process, later).await, Ok(roots(&key_set(1, long()))), "{unusable}");
            assert_eq!(setting.current(&setting.process(), later).await, Ok(roots(&key_set(1, long()))), "{unusable}");
        }
        assert_eq!(setting.server.requests(), 7);
    }
}
