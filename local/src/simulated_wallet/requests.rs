//! The requests of a wallet.

use http::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, IF_MODIFIED_SINCE, USER_AGENT},
};
use serde_json::{Value, json};

use super::{
    Visit,
    behaviour::{PassClient, Signs},
};
use crate::client::Call;

/// The header by which Pass2U and Passworks Wallet name themselves.
const X_PASS_CLIENT: &str = "x-pass-client";

/// Makes the requests of a visit.
pub(super) struct Requests<'a> {
    pub(super) visit: &'a Visit,
    pub(super) signs: &'static Signs,
}

impl Requests<'_> {
    pub(super) fn registration(&self, token: &str, push_token: &str) -> Call {
        let Signs { registration_scheme, registration_path, push_service_url, pass_client, .. } = *self.signs;
        let mut body = json!({ "pushToken": push_token });
        if let Some(url) = push_service_url {
            body["pushServiceUrl"] = json!(url);
        }
        let mut call = self.call(Method::POST, self.registration_target(registration_path), Some(&body));
        call.headers.push((AUTHORIZATION.as_str(), format!("{registration_scheme} {token}")));
        if let Some(PassClient::InRegistrations(name)) = pass_client {
            call.headers.push((X_PASS_CLIENT, name.to_owned()));
        }
        call
    }

    pub(super) fn unregistration(&self) -> Call {
        let mut call = self.call(Method::DELETE, self.registration_target("registrations"), None);
        self.authorize(&mut call, &self.visit.token);
        call
    }

    pub(super) fn list(&self, device: &str, tag: Option<&str>) -> Call {
        let encoding = self.signs.encoding;
        let mut target = format!(
            "/v1/devices/{}/registrations/{}",
            encoding.path_part(device),
            encoding.path_part(&self.visit.pass_type)
        );
        if let Some(tag) = tag {
            target = format!("{target}?passesUpdatedSince={}", encoding.query_value(tag));
        }
        self.call(Method::GET, target, None)
    }

    pub(super) fn pass(&self, token: &str, last_modified: Option<&str>) -> Call {
        let encoding = self.signs.encoding;
        let Visit { pass_type, serial_number, .. } = self.visit;
        let target = format!("/v1/passes/{}/{}", encoding.path_part(pass_type), encoding.path_part(serial_number));
        let mut call = self.call(Method::GET, target, None);
        self.authorize(&mut call, token);
        call.headers.extend(last_modified.map(|value| (IF_MODIFIED_SINCE.as_str(), value.to_owned())));
        call
    }

    pub(super) fn log(&self, line: &str) -> Call {
        self.call(Method::POST, "/v1/log".to_owned(), Some(&json!({ "logs": [line] })))
    }

    fn registration_target(&self, registrations: &str) -> String {
        let encoding = self.signs.encoding;
        let Visit { device, pass_type, serial_number, .. } = self.visit;
        let [device, pass_type, serial_number] =
            [device, pass_type, serial_number].map(|part| encoding.path_part(part));
        format!("/v1/devices/{device}/{registrations}/{pass_type}/{serial_number}")
    }

    fn authorize(&self, call: &mut Call, token: &str) {
        call.headers.push((AUTHORIZATION.as_str(), format!("{} {token}", self.signs.scheme)));
    }

    /// A request with the headers that every request of the wallet has.
    fn call(&self, method: Method, target: String, body: Option<&Value>) -> Call {
        let Signs { user_agent, content_type, pass_client, .. } = *self.signs;
        let mut headers = vec![(USER_AGENT.as_str(), user_agent.to_owned())];
        if let Some(PassClient::Always(name)) = pass_client {
            headers.push((X_PASS_CLIENT, name.to_owned()));
        }
        if body.is_some() {
            headers.push((CONTENT_TYPE.as_str(), content_type.to_owned()));
        }
        Call { method, target, headers, body: body.map(Value::to_string).unwrap_or_default() }
    }
}
