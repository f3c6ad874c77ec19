//! The bodies of the calls.

use api::error::BareError;
use domain::device::{PushServiceUrl, PushToken};
use lambda_http::Request;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::error;

/// The longest body that is read, in bytes. A log of fifty lines stays below it.
const MAX_LENGTH: usize = 64 * 1024;

/// The body of a registration. Other members are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegistrationBody {
    /// The address for push notifications, if the wallet has one already.
    #[serde(default, deserialize_with = "empty_as_none")]
    pub(crate) push_token: Option<PushToken>,
    /// The server that passes push notifications on to the wallet.
    pub(crate) push_service_url: Option<PushServiceUrl>,
}

impl RegistrationBody {
    /// Parses the body, whatever its content type is. A registration without a body has no push token.
    pub(crate) fn parse(request: &Request) -> Result<Self, BareError> {
        let text = text(request).ok_or_else(|| error::malformed("expected text of at most 64 KiB"))?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(error::malformed)
    }
}

/// Reads a push token. A wallet that has none yet may send an empty one.
fn empty_as_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PushToken>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

/// Returns the body as text, without a byte order mark before it, or `None` if it is too long or not UTF-8.
pub(crate) fn text(request: &Request) -> Option<&str> {
    let bytes: &[u8] = request.body();
    let text = str::from_utf8(bytes).ok().filter(|_| bytes.len() <= MAX_LENGTH)?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(text))
}
