//! Push targets: where a push reaches a registration.

use serde::Serialize;

use crate::{
    device::{PushServiceUrl, PushToken},
    id::{PassId, RegistrationId},
    pass::PassTypeIdentifier,
    wallet::Wallet,
};

/// An active registration with a push token, with the keys of the API in the order of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushTarget {
    /// The registration.
    pub registration_id: RegistrationId,
    /// The pass. An event about a failed push names it.
    pub pass_id: PassId,
    /// The wallet, which determines the push service.
    pub wallet: Wallet,
    /// The pass type, to which a push is addressed (Apple: the topic of the notification), if it is known.
    pub pass_type_identifier: Option<PassTypeIdentifier>,
    /// The push token.
    pub push_token: PushToken,
    /// The server that passes pushes on to the wallet, if the wallet named one.
    pub push_service_url: Option<PushServiceUrl>,
}
