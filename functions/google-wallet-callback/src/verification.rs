//! Verifies that a callback comes from Google and is meant for one of our issuers.
//!
//! Google signs a callback in two steps, the scheme `ECv2SigningOnly`: a root key signs an intermediate key, and the
//! intermediate key signs the message. Google publishes the root keys; [`RootKeys`] parses them.
//! [`UnverifiedCallback::parse`] checks the form of a callback, so that the object that it names can be looked up, and
//! [`UnverifiedCallback::verify`] follows the chain and returns what the message says.
//!
//! A signature covers texts as they were received: to decode and encode a text again would break its signature. Each
//! signed text is preceded by its length in bytes, as four bytes, the lowest first.
//!
//! Sources: Google Wallet, "Use callbacks for saves and deletions", and Tink's `PaymentMethodTokenRecipient`, which
//! Google names as the reference.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{
    google::{Callback, CallbackKind, GoogleIssuerId, GoogleObjectId},
    time::Timestamp,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// The name of the scheme, which every signature covers.
const PROTOCOL: &str = "ECv2SigningOnly";
/// The name of the sender, which every signature covers.
const SENDER: &str = "GooglePayPasses";
/// What precedes the point in a public key of P-256 (RFC 5480, `SubjectPublicKeyInfo`): always the same bytes.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// How many signatures of an intermediate key are tried. Google sends one; the reference accepts a list, so that keys
/// can be changed. Each is tried with each root key before anything is proven, so a forged callback must not have
/// thousands.
const MAX_SIGNATURES: usize = 10;

/// A callback that has the right form. Whatever it says is only claimed until it is verified.
#[derive(Debug)]
pub(crate) struct UnverifiedCallback {
    body: Body,
    message: Value,
}

/// A message that Google has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// An object was saved to a wallet or deleted from it.
    Callback(Callback),
    /// An event of another type, which changes nothing here.
    Other,
}

/// The reason why a callback is refused. The text says nothing about the callback's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum VerificationError {
    /// The body is not a callback of this scheme.
    #[error("expected a callback signed with {PROTOCOL}")]
    NotACallback,
    /// None of Google's root keys has signed the intermediate key.
    #[error("no root key has signed the intermediate key")]
    IntermediateNotSigned,
    /// The intermediate key has expired.
    #[error("the intermediate key has expired")]
    IntermediateExpired,
    /// The intermediate key has not signed the message for an issuer of the account.
    #[error("the message is not signed for an issuer of this account")]
    NotSigned,
    /// The message is not JSON, or a member of it has another type.
    #[error("expected a message in JSON, with members of the right types")]
    MalformedMessage,
    /// The signed message lacks a member that a callback has, or the member is invalid.
    #[error("the signed message has no valid {0}")]
    MissingMember(&'static str),
    /// The message has expired.
    #[error("the message has expired")]
    Expired,
}

/// The error for a published key set that is not one.
#[derive(Debug, Error)]
#[error("expected a set of keys: {0}")]
pub(crate) struct NotAKeySet(#[from] serde_json::Error);

/// Google's root keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootKeys(Vec<RootKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct RootKey {
    key: PublicKey,
    expires_at: i64,
}

/// A point of P-256, uncompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PublicKey(Vec<u8>);

/// The published key set. Members that we do not know are ignored.
#[derive(Deserialize)]
struct KeySetBody {
    keys: Vec<PublishedKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublishedKey {
    key_value: Option<String>,
    protocol_version: Option<String>,
    key_expiration: Option<String>,
}

/// The body of a callback. It has exactly these members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    signature: String,
    intermediate_signing_key: IntermediateKey,
    protocol_version: String,
    signed_message: String,
}

/// The intermediate key and its signatures. It has exactly these members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IntermediateKey {
    signed_key: String,
    signatures: Vec<String>,
}

/// The text of an intermediate key. It may have further members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedKey {
    key_value: String,
    key_expiration: String,
}

/// The members of a message about one object. A message of another type may have others of the same names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedMessage {
    class_id: Option<String>,
    object_id: Option<String>,
    /// Names the pass in place of class and object, if it is a generic private pass ("Add and delete callbacks" of
    /// Google's documentation of these passes). It has the form of an object's id (`setPassUpdateNotice`).
    external_pass_id: Option<String>,
    exp_time_millis: Option<i64>,
    nonce: Option<String>,
}

impl RootKeys {
    /// Parses the key set that Google publishes. Keys of another scheme or without an expiration are skipped.
    ///
    /// # Errors
    ///
    /// If the text is not a key set.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAKeySet> {
        let KeySetBody { keys } = serde_json::from_str(text)?;
        Ok(Self(keys.iter().filter_map(PublishedKey::root_key).collect()))
    }

    /// Returns when the last of the keys expires, or `None` if there is no key.
    #[must_use]
    pub(crate) fn last_expiration(&self) -> Option<Timestamp> {
        self.0.iter().map(|root| root.expires_at).max().map(Timestamp::nearest)
    }

    /// Returns whether there is a key that has not expired.
    #[must_use]
    pub(crate) fn any_valid_at(&self, now: Timestamp) -> bool {
        self.valid_at(now).next().is_some()
    }

    fn valid_at(&self, now: Timestamp) -> impl Iterator<Item = &PublicKey> {
        let is_valid = move |root: &&RootKey| root.expires_at > now.unix_milliseconds();
        self.0.iter().filter(is_valid).map(|root| &root.key)
    }
}

impl PublishedKey {
    fn root_key(&self) -> Option<RootKey> {
        if self.protocol_version.as_deref() != Some(PROTOCOL) {
            return None;
        }
        let key = PublicKey::parse(self.key_value.as_deref()?)?;
        let expires_at = self.key_expiration.as_deref()?.parse().ok()?;
        Some(RootKey { key, expires_at })
    }
}

impl PublicKey {
    /// Parses a `SubjectPublicKeyInfo` of P-256 in base64.
    fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        Some(Self(bytes.strip_prefix(&P256_PREFIX)?.to_vec()))
    }

    /// Returns whether `signature`, in base64, is this key's signature of `texts`.
    fn has_signed(&self, texts: &[&str], signature: &str) -> bool {
        let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
        let Some(signed) = with_lengths(texts) else { return false };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(&signed, &signature).is_ok()
    }
}

/// Returns the texts, each preceded by its length, or `None` if a text is longer than the length can say.
fn with_lengths(texts: &[&str]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    Some(bytes)
}

impl UnverifiedCallback {
    /// Parses the body of a callback.
    ///
    /// # Errors
    ///
    /// If the body does not have the form of a callback. Sending the same again does not help.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, VerificationError> {
        let body: Body = serde_json::from_slice(body).map_err(|_| VerificationError::NotACallback)?;
        if body.protocol_version != PROTOCOL || body.intermediate_signing_key.signatures.len() > MAX_SIGNATURES {
            return Err(VerificationError::NotACallback);
        }
        let message = serde_json::from_str(&body.signed_message).map_err(|_| VerificationError::MalformedMessage)?;
        Ok(Self { body, message })
    }

    /// Returns the object that the callback names, or `None` if it names none.
    #[must_use]
    pub(crate) fn object_id(&self) -> Option<GoogleObjectId> {
        let named = ["externalPassId", "objectId"].into_iter().find_map(|name| self.message.get(name)?.as_str());
        named?.parse().ok()
    }

    /// Returns the message of the callback, which was received at `now`, if Google has signed it for one of
    /// `issuer_ids`.
    ///
    /// # Errors
    ///
    /// If the callback is not signed or expired, or if its message is incomplete. Sending the same again does not help.
    pub(crate) fn verify(
        self,
        roots: &RootKeys,
        issuer_ids: &[GoogleIssuerId],
        now: Timestamp,
    ) -> Result<Message, VerificationError> {
        let Self { body, message } = self;
        let Body { signature, intermediate_signing_key, protocol_version: _, signed_message } = body;
        let intermediate = intermediate_signing_key.verify(roots, now)?;
        let is_recipient = |issuer_id: &&GoogleIssuerId| {
            intermediate.has_signed(&[SENDER, issuer_id.as_str(), PROTOCOL, &signed_message], &signature)
        };
        let issuer_id = issuer_ids.iter().find(is_recipient).ok_or(VerificationError::NotSigned)?;
        read(message, issuer_id, now)
    }
}

impl IntermediateKey {
    /// Returns the key if a root key has signed it and it has not expired.
    fn verify(&self, roots: &RootKeys, now: Timestamp) -> Result<PublicKey, VerificationError> {
        let Self { signed_key, signatures } = self;
        let texts = [SENDER, PROTOCOL, signed_key];
        let is_signed = roots.valid_at(now).any(|root| signatures.iter().any(|by| root.has_signed(&texts, by)));
        if !is_signed {
            return Err(VerificationError::IntermediateNotSigned);
        }
        let SignedKey { key_value, key_expiration } =
            serde_json::from_str(signed_key).map_err(|_| VerificationError::NotACallback)?;
        let expires_at: i64 = key_expiration.parse().map_err(|_| VerificationError::NotACallback)?;
        if expires_at <= now.unix_milliseconds() {
            return Err(VerificationError::IntermediateExpired);
        }
        PublicKey::parse(&key_value).ok_or(VerificationError::NotACallback)
    }
}

/// Returns what a message says that was signed for this issuer.
fn read(message: Value, issuer_id: &GoogleIssuerId, now: Timestamp) -> Result<Message, VerificationError> {
    // The type comes first: a message of another type may have no object (a real `activate` had `objectIds`), or
    // members of other types.
    let event_type =
        message.get("eventType").and_then(Value::as_str).ok_or(VerificationError::MissingMember("eventType"))?;
    let kind = match event_type {
        "save" => CallbackKind::Saved,
        "del" => CallbackKind::Deleted,
        _ => return Ok(Message::Other),
    };
    let SignedMessage { class_id, object_id, external_pass_id, exp_time_millis, nonce } =
        serde_json::from_value(message).map_err(|_| VerificationError::MalformedMessage)?;
    let expires_at = exp_time_millis.ok_or(VerificationError::MissingMember("expTimeMillis"))?;
    if expires_at <= now.unix_milliseconds() {
        return Err(VerificationError::Expired);
    }
    // The ids of classes and objects have the same form.
    let id_of_issuer = |id: Option<String>| {
        let id: GoogleObjectId = id?.parse().ok()?;
        id.is_of(issuer_id).then_some(id)
    };
    let object_id = if external_pass_id.is_some() {
        id_of_issuer(external_pass_id).ok_or(VerificationError::MissingMember("externalPassId of the issuer"))?
    } else {
        id_of_issuer(class_id).ok_or(VerificationError::MissingMember("classId of the issuer"))?;
        id_of_issuer(object_id).ok_or(VerificationError::MissingMember("objectId of the issuer"))?
    };
    let nonce = nonce.and_then(|nonce| nonce.parse().ok()).ok_or(VerificationError::MissingMember("nonce"))?;
    Ok(Message::Callback(Callback { object_id, kind, order: expires_at, nonce }))
}

#[cfg(test)]
mod tests {
    use local::testing::google::{self, SignedCallback};
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::{
        VerificationError::{
            Expired, IntermediateExpired, IntermediateNotSigned, MalformedMessage, MissingMember, NotACallback,
            NotSigned,
        },
        *,
    };

    const ISSUER: &str = "3388000000000000001";
    const OBJECT: &str = "3388000000000000001.pass_1";
    const NOW: i64 = 1_754_114_831_806;
    const LATER: i64 = NOW + 1;

    fn now() -> Timestamp {
        Timestamp::nearest(NOW)
    }

    /// The issuers of the account. The callbacks are for the second one.
    fn issuers() -> [GoogleIssuerId; 2] {
        ["3388000000000000000", ISSUER].map(|id| id.parse().unwrap())
    }

    fn verify(
        body: &str,
        roots: &RootKeys,
        issuer_ids: &[GoogleIssuerId],
        now: Timestamp,
    ) -> Result<Message, VerificationError> {
        UnverifiedCallback::parse(body.as_bytes())?.verify(roots, issuer_ids, now)
    }

    fn saved() -> SignedCallback {
        SignedCallback::new("save", ISSUER, OBJECT, LATER)
    }

    fn roots(callback: &SignedCallback) -> RootKeys {
        RootKeys::parse(&callback.published_keys(LATER).to_string()).unwrap()
    }

    /// Verifies a body against the root keys of [`saved`].
    fn check(body: &Value) -> Result<Message, VerificationError> {
        verify(&body.to_string(), &roots(&saved()), &issuers(), now())
    }

    #[test]
    fn a_vector_of_another_implementation_is_verified() {
        let vector: Value = serde_json::from_str(include_str!("verification/vector.json")).unwrap();
        let roots = RootKeys::parse(&vector["keys_json"].to_string()).unwrap();
        let issuer = vector["recipient_id"].as_str().unwrap().parse().unwrap();
        let Ok(Message::Callback(callback)) = verify(&vector["callback"].to_string(), &roots, &[issuer], now()) else {
            panic!("expected a callback");
        };
        let expected = Callback {
            object_id: OBJECT.parse().unwrap(),
            kind: CallbackKind::Saved,
            order: 4_102_444_800_000,
            nonce: "40a8e5af-5b7f-4ea4-b152-63d96858550e".parse().unwrap(),
        };
        assert_eq!(callback, expected);
    }

    #[rstest]
    #[case("save", CallbackKind::Saved)]
    #[case("del", CallbackKind::Deleted)]
    fn a_message_says_what_happened_to_an_object(#[case] event_type: &str, #[case] expected: CallbackKind) {
        let signed = SignedCallback::new(event_type, ISSUER, OBJECT, LATER);
        let Ok(Message::Callback(callback)) = check(&signed.body()) else { panic!("expected a callback") };
        assert_eq!((callback.kind, callback.order), (expected, LATER));
        assert_eq!(callback.nonce.as_str(), signed.message["nonce"]);
    }

    #[test]
    fn the_object_is_known_before_the_callback_is_verified() {
        let mut signed = saved();
        let object = |signed: &SignedCallback| {
            UnverifiedCallback::parse(signed.body().to_string().as_bytes()).unwrap().object_id()
        };
        assert_eq!(object(&signed), Some(OBJECT.parse().unwrap()));
        signed.message["objectId"] = json!("x");
        assert_eq!(object(&signed), None);
    }

    #[test]
    fn a_generic_private_pass_is_named_without_a_class() {
        let private = |id: &str| {
            let mut signed = saved();
            signed.message.as_object_mut().unwrap().retain(|member, _| member != "classId" && member != "objectId");
            signed.message["externalPassId"] = json!(id);
            signed.body()
        };
        let object = UnverifiedCallback::parse(private(OBJECT).to_string().as_bytes()).unwrap().object_id();
        assert_eq!(object, Some(OBJECT.parse().unwrap()));
        let Ok(Message::Callback(callback)) = check(&private(OBJECT)) else { panic!("expected a callback") };
        assert_eq!((callback.object_id, callback.kind), (OBJECT.parse().unwrap(), CallbackKind::Saved));
        assert_eq!(check(&private("1.x")), Err(MissingMember("externalPassId of the issuer")));
    }

    #[test]
    fn a_message_of_another_type_needs_no_object() {
        let mut callback = saved();
        callback.message = json!({"eventType": "activate", "objectIds": [OBJECT], "deviceContext": {}});
        assert_eq!(check(&callback.body()), Ok(Message::Other));
        // Not even the members that a `save` has need to be of the same types.
        callback.message =
            json!({"eventType": "activate", "objectId": [OBJECT], "classId": 1, "expTimeMillis": "1", "nonce": {}});
        assert_eq!(check(&callback.body()), Ok(Message::Other));
    }

    #[rstest]
    #[case::another_sender(SignedCallback { sender: "GooglePay", ..saved() }, IntermediateNotSigned)]
    #[case::another_root(SignedCallback { root: google::key(9), ..saved() }, IntermediateNotSigned)]
    #[case::another_recipient(SignedCallback { recipient: "3388000000000000002".to_owned(), ..saved() }, NotSigned)]
    #[case::another_scheme(SignedCallback { protocol: "ECv1", ..saved() }, NotACallback)]
    #[case::an_expired_intermediate_key(SignedCallback { key_expires_at: NOW, ..saved() }, IntermediateExpired)]
    #[case::an_expired_message(SignedCallback::new("save", ISSUER, OBJECT, NOW), IntermediateExpired)]
    fn a_part_that_is_wrong_is_refused(#[case] callback: SignedCallback, #[case] expected: VerificationError) {
        assert_eq!(check(&callback.body()), Err(expected));
    }

    #[rstest]
    #[case::expired("expTimeMillis", json!(NOW), Expired)]
    #[case::no_expiration("expTimeMillis", Value::Null, MissingMember("expTimeMillis"))]
    #[case::a_text_as_expiration("expTimeMillis", json!("1"), MalformedMessage)]
    #[case::no_type("eventType", Value::Null, MissingMember("eventType"))]
    #[case::a_number_as_type("eventType", json!(1), MissingMember("eventType"))]
    #[case::no_object("objectId", Value::Null, MissingMember("objectId of the issuer"))]
    #[case::an_object_of_another("objectId", json!("33880000000000000012.x"), MissingMember("objectId of the issuer"))]
    #[case::a_class_of_another("classId", json!("3388.x"), MissingMember("classId of the issuer"))]
    #[case::no_nonce("nonce", json!(""), MissingMember("nonce"))]
    #[case::a_long_nonce("nonce", json!("n".repeat(129)), MissingMember("nonce"))]
    #[case::an_odd_object("objectId", json!(format!("{ISSUER}.a b")), MissingMember("objectId of the issuer"))]
    fn a_signed_message_is_not_believed_blindly(
        #[case] member: &str,
        #[case] value: Value,
        #[case] expected: VerificationError,
    ) {
        let mut callback = saved();
        callback.message[member] = value;
        assert_eq!(check(&callback.body()), Err(expected));
    }

    #[test]
    fn signatures_cannot_be_swapped() {
        let mut body = saved().body();
        let of_message = body["signature"].take();
        body["signature"] = body["intermediateSigningKey"]["signatures"][0].take();
        body["intermediateSigningKey"]["signatures"][0] = of_message;
        assert_eq!(check(&body), Err(IntermediateNotSigned));
    }

    #[test]
    fn any_signature_of_the_intermediate_key_may_be_the_good_one() {
        let mut body = saved().body();
        let signatures = body["intermediateSigningKey"]["signatures"].as_array_mut().unwrap();
        signatures.insert(0, json!("no base64"));
        signatures.insert(1, json!(google::sign(&google::key(9), &["something else"])));
        assert!(check(&body).is_ok());
    }

    #[test]
    fn a_callback_with_many_signatures_is_refused_before_any_is_tried() {
        let mut body = saved().body();
        let good = body["intermediateSigningKey"]["signatures"][0].clone();
        for (wrong, expected) in [(9, None), (10, Some(NotACallback))] {
            let mut signatures = vec![json!("no base64"); wrong];
            signatures.push(good.clone());
            body["intermediateSigningKey"]["signatures"] = json!(signatures);
            assert_eq!(UnverifiedCallback::parse(body.to_string().as_bytes()).err(), expected, "{wrong}");
            assert_eq!(check(&body).err(), expected, "{wrong}");
        }
    }

    #[test]
    fn any_root_key_that_is_valid_may_have_signed() {
        let callback = saved();
        let mut keys = callback.published_keys(LATER);
        let good = keys["keys"][0].clone();
        let with = |member: &str, value: Value| {
            let mut key = good.clone();
            key[member] = value;
            key
        };
        let unusable = [
            with("protocolVersion", json!("ECv2")),
            with("protocolVersion", Value::Null),
            with("keyExpiration", Value::Null),
            with("keyExpiration", json!(NOW.to_string())),
            with("keyValue", json!(google::public_key(&google::key(9)))),
            with("keyValue", json!("AAAA")),
            json!({"something": "else"}),
        ];
        let parsed = |keys: &Value| RootKeys::parse(&keys.to_string()).unwrap();
        let body = callback.body().to_string();
        keys["keys"] = json!(unusable);
        let refused = verify(&body, &parsed(&keys), &issuers(), now());
        assert_eq!(refused, Err(IntermediateNotSigned));
        keys["keys"].as_array_mut().unwrap().push(good);
        assert!(verify(&body, &parsed(&keys), &issuers(), now()).is_ok());
        assert!(RootKeys::parse("{}").is_err());
        assert!(!parsed(&json!({"keys": []})).any_valid_at(now()));
        assert!(roots(&callback).any_valid_at(now()) && !roots(&callback).any_valid_at(Timestamp::nearest(LATER)));
    }

    #[rstest]
    #[case::a_fifth_member("/fifth", json!(1))]
    #[case::a_third_member_of_the_key("/intermediateSigningKey/third", json!(1))]
    #[case::no_signature("/signature", Value::Null)]
    #[case::no_scheme("/protocolVersion", Value::Null)]
    #[case::no_signatures("/intermediateSigningKey/signatures", Value::Null)]
    #[case::a_message_that_is_an_object("/signedMessage", json!({}))]
    fn a_body_has_exactly_its_members(#[case] pointer: &str, #[case] value: Value) {
        let mut body = saved().body();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        assert_eq!(check(&body), Err(NotACallback));
    }

    #[test]
    fn the_signed_text_is_verified_as_it_was_received() {
        let mut callback = saved();
        // An escape in the message's own JSON, which decoding and encoding would remove.
        let text = callback.message.to_string().replace("save", "sa\\u0076e");
        assert!(matches!(check(&callback.body_with(&text)), Ok(Message::Callback(_))));
        callback.message["note"] = json!("a=b");
        let text = callback.message.to_string().replace('=', "\\u003d");
        let mut body = callback.body_with(&text);
        assert!(matches!(check(&body), Ok(Message::Callback(_))));
        body["signedMessage"] = json!(text.replace("\\u003d", "="));
        assert_eq!(check(&body), Err(NotSigned));
    }

    #[test]
    fn nothing_is_accepted_without_issuers_or_root_keys() {
        let callback = saved();
        let body = callback.body().to_string();
        assert_eq!(verify(&body, &roots(&callback), &[], now()), Err(NotSigned));
        let none = RootKeys::parse(r#"{"keys": []}"#).unwrap();
        assert_eq!(verify(&body, &none, &issuers(), now()), Err(IntermediateNotSigned));
    }

    proptest! {
        #[test]
        fn a_callback_with_one_changed_byte_is_refused(position in any::<prop::sample::Index>(), byte in b'!'..=b'~') {
            let callback = SignedCallback {
                message: json!({
                    "classId": format!("{ISSUER}.c"), "objectId": OBJECT, "eventType": "save", "expTimeMillis": LATER,
                    "nonce": "n",
                }),
                ..saved()
            };
            let good = callback.body().to_string();
            let mut bytes = good.clone().into_bytes();
            let position = position.index(bytes.len());
            prop_assume!(bytes[position] != byte);
            bytes[position] = byte;
            let text = String::from_utf8(bytes).unwrap();
            // Base64 has several texts for the same bytes at its end, and JSON for the same value.
            let same = |text: &str| {
                let value: Value = serde_json::from_str(text).ok()?;
                let signature = |value: &Value| BASE64_STANDARD.decode(value.as_str()?).ok();
                let by_root = signature(&value["intermediateSigningKey"]["signatures"][0]);
                Some((signature(&value["signature"]), by_root, value["signedMessage"].clone()))
            };
            prop_assume!(same(&text).is_none() || same(&text) != same(&good));
            prop_assert!(verify(&text, &roots(&callback), &issuers(), now()).is_err());
        }

        #[test]
        fn a_body_with_a_strange_member_is_refused(
            member in prop::sample::select(vec![
                "/signature", "/signedMessage", "/protocolVersion", "/intermediateSigningKey",
                "/intermediateSigningKey/signedKey", "/intermediateSigningKey/signatures",
                "/intermediateSigningKey/signatures/0",
            ]),
            value in strange_value(),
        ) {
            let mut body = saved().body();
            *body.pointer_mut(member).unwrap() = value;
            prop_assert!(check(&body).is_err());
        }

        #[test]
        fn a_signed_message_with_strange_members_installs_only_an_object_of_the_issuer(
            members in prop::collection::btree_map(
                prop::sample::select(vec![
                    "classId", "objectId", "externalPassId", "eventType", "expTimeMillis", "nonce",
                ]),
                strange_value(),
                0..4,
            ),
        ) {
            let mut callback = saved();
            for (member, value) in members {
                callback.message[member] = value;
            }
            if let Ok(Message::Callback(callback)) = check(&callback.body()) {
                prop_assert!(callback.object_id.is_of(&ISSUER.parse().unwrap()) && callback.order > NOW);
            }
        }
    }

    /// Values of every type of JSON, and texts that a callback has, or nearly.
    fn strange_value() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "(save|del|3388000000000000001|\\.|[0-9]{1,9}|[A-Za-z0-9+/]{4}=?|\\{|\"|:|\\}|.){0,6}"
                .prop_map(Value::from),
        ];
        prop_oneof![
            3 => plain.clone(),
            1 => prop::collection::vec(plain.clone(), 0..4).prop_map(Value::from),
            1 => prop::collection::btree_map("keyValue|keyExpiration|signatures|[a-z]", plain, 0..3)
                .prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    }
}
