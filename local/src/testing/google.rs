//! Plays Google Wallet: publishes root keys and signs callbacks, good ones and ones that are wrong in one part.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::time;
use http::{Response, StatusCode, header::CACHE_CONTROL, request::Parts};
use hyper::body::Bytes;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    aws::{
        front::{self, Front},
        gateway::own_response,
    },
    template::Template,
};

/// What precedes the point in a public key of P-256 (RFC 5480, `SubjectPublicKeyInfo`), in base64. Its length is not a
/// multiple of three bytes, so a key is encoded as a whole.
const P256_PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// Google's keys, and the parts of a callback before it is signed. A test changes the part that should be wrong.
#[derive(Debug, Clone)]
pub struct SignedCallback {
    /// The root key.
    pub root: SigningKey,
    /// The intermediate key.
    pub intermediate: SigningKey,
    /// When the intermediate key expires, in milliseconds since 1970.
    pub key_expires_at: i64,
    /// The sender that the signatures cover.
    pub sender: &'static str,
    /// The issuer's id that the message's signature covers.
    pub recipient: String,
    /// The name of the scheme that the signatures cover and the body has.
    pub protocol: &'static str,
    /// The message.
    pub message: Value,
}

impl SignedCallback {
    /// Returns a callback of `event_type` about an object of the issuer that expires, with its intermediate key, at
    /// `expires_at`, in milliseconds since 1970.
    #[must_use]
    pub fn new(event_type: &str, issuer_id: &str, object_id: &str, expires_at: i64) -> Self {
        Self {
            root: key(1),
            intermediate: key(2),
            key_expires_at: expires_at,
            sender: "GooglePayPasses",
            recipient: issuer_id.to_owned(),
            protocol: "ECv2SigningOnly",
            message: json!({
                "classId": format!("{issuer_id}.class"),
                "objectId": object_id,
                "eventType": event_type,
                "expTimeMillis": expires_at,
                "count": 1,
                "nonce": uuid::Uuid::new_v4().to_string(),
            }),
        }
    }

    /// Returns the set of root keys that Google publishes, with this callback's root key, valid until `expires_at`.
    #[must_use]
    pub fn published_keys(&self, expires_at: i64) -> Value {
        json!({"keys": [{
            "keyValue": public_key(&self.root),
            "protocolVersion": "ECv2SigningOnly",
            "keyExpiration": expires_at.to_string(),
        }]})
    }

    /// Returns the body of the callback, signed.
    #[must_use]
    pub fn body(&self) -> Value {
        self.body_with(&self.message.to_string())
    }

    /// Returns the body of the callback with this text as its message, signed.
    #[must_use]
    pub fn body_with(&self, message: &str) -> Value {
        let Self { root, intermediate, key_expires_at, sender, recipient, protocol, message: _ } = self;
        let signed_key =
            json!({"keyValue": public_key(intermediate), "keyExpiration": key_expires_at.to_string()}).to_string();
        json!({
            "signature": sign(intermediate, &[sender, recipient, protocol, message]),
            "intermediateSigningKey": {
                "signatures": [sign(root, &[sender, protocol, &signed_key])],
                "signedKey": signed_key,
            },
            "protocolVersion": protocol,
            "signedMessage": message,
        })
    }
}

/// Returns a key that is no secret: the number is the key.
///
/// # Panics
///
/// If `number` is 0, which is no key.
#[must_use]
#[expect(clippy::expect_used, reason = "for tests; each number but 0 is a key")]
pub fn key(number: u8) -> SigningKey {
    let mut bytes = [0; 32];
    bytes[31] = number;
    SigningKey::from_slice(&bytes).expect("expected a number from 1 to 255")
}

/// Returns a key's public part as Google writes it.
#[must_use]
pub fn public_key(key: &SigningKey) -> String {
    let prefix = hex::decode(P256_PREFIX).unwrap_or_default();
    BASE64_STANDARD.encode([prefix.as_slice(), key.verifying_key().to_sec1_point(false).as_bytes()].concat())
}

/// Returns a key's signature of texts, each preceded by its length, in base64.
#[must_use]
pub fn sign(key: &SigningKey, texts: &[&str]) -> String {
    let lengths = texts.iter().map(|text| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    let signed: Vec<u8> = lengths.zip(texts).flat_map(|(length, text)| [&length, text.as_bytes()].concat()).collect();
    let signature: Signature = key.sign(&signed);
    BASE64_STANDARD.encode(signature.to_der())
}

/// Plays Google for a template: starts a server that publishes the root key of every [`SignedCallback::new`] for two
/// days, and makes `google-wallet-callback` fetch its keys there.
pub async fn play(template: &mut Template) -> io::Result<KeysServer> {
    let expires_at = time::now().plus(Duration::from_hours(48)).unix_milliseconds();
    let server = KeysServer::start(&SignedCallback::new("", "", "", 0).published_keys(expires_at)).await?;
    if let Some(function) = template.functions.get_mut("google-wallet-callback") {
        function.variables.insert("GOOGLE_KEYS_URL".to_owned(), server.url());
    }
    Ok(server)
}

/// A server that publishes root keys, and counts how often it is asked. Ends with the runtime.
#[derive(Debug)]
pub struct KeysServer {
    address: SocketAddr,
    state: Arc<ServerState>,
}

#[derive(Debug)]
struct ServerState {
    answer: Mutex<Response<Vec<u8>>>,
    requests: AtomicUsize,
    /// The server stops when this is dropped, so it has it itself.
    _stop: watch::Sender<bool>,
}

impl Front for Arc<ServerState> {
    async fn answer(&self, _: Parts, _: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl KeysServer {
    /// How many seconds the published keys are fresh.
    pub const MAX_AGE: u64 = 3_600;

    /// Starts a server that publishes this key set.
    pub async fn start(keys: &Value) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let answer = Mutex::new(published(keys, Self::MAX_AGE));
        let state = Arc::new(ServerState { answer, requests: AtomicUsize::new(0), _stop: stop });
        tokio::spawn(front::serve(listener, Arc::clone(&state), stopping));
        Ok(Self { address, state })
    }

    /// Returns the address of the keys.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/gp/m/issuer/keys", self.address)
    }

    /// Publishes another key set from now on.
    pub fn publish(&self, keys: &Value) {
        self.publish_for(keys, Self::MAX_AGE);
    }

    /// Publishes another key set from now on, which is fresh for this number of seconds.
    pub fn publish_for(&self, keys: &Value, max_age: u64) {
        self.answer_with(published(keys, max_age));
    }

    /// Answers 500 from now on.
    pub fn fail(&self) {
        self.answer_with(own_response(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
    }

    /// Returns how many requests were answered.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    fn answer_with(&self, answer: Response<Vec<u8>>) {
        *self.state.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

fn published(keys: &Value, max_age: u64) -> Response<Vec<u8>> {
    let response = Response::builder().header(CACHE_CONTROL, format!("public, max-age={max_age}"));
    response.body(keys.to_string().into_bytes()).unwrap_or_default()
}
