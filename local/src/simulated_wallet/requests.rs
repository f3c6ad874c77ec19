//! The requests of a wallet.

use http::{
    Request,
    header::{AUTHORIZATION, CONTENT_TYPE, IF_MODIFIED_SINCE, USER_AGENT},
    request::Builder,
};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::{
    Visit,
    behaviour::{PassClient, SentSigns},
};

/// The header by which Pass2U and Passworks Wallet name themselves.
const X_PASS_CLIENT: &str = "x-pass-client";

/// Makes the requests of a visit.
pub(super) struct Requests<'a> {
    pub(super) visit: &'a Visit,
    pub(super) signs: &'static SentSigns,
}

/// A request to the web service. An error means that an argument cannot be a part of one.
type MadeRequest = Result<Request<Bytes>, http::Error>;

impl Requests<'_> {
    pub(super) fn registration(&self, token: &str, push_token: &str) -> MadeRequest {
        let SentSigns { registration_scheme, registration_path, push_service_url, pass_client, .. } = *self.signs;
        let mut body = json!({ "pushToken": push_token });
        if let Some(url) = push_service_url {
            body["pushServiceUrl"] = json!(url);
        }
        let request = self.with_signs(Request::post(self.registration_target(registration_path)));
        let mut request =
            self.with_content_type(request).header(AUTHORIZATION, format!("{registration_scheme} {token}"));
        if let Some(PassClient::InRegistrations(name)) = pass_client {
            request = request.header(X_PASS_CLIENT, name);
        }
        request.body(bytes(&body))
    }

    pub(super) fn unregistration(&self) -> MadeRequest {
        let request = self.with_signs(Request::delete(self.registration_target("registrations")));
        self.authorized(request, &self.visit.token).body(Bytes::new())
    }

    pub(super) fn list(&self, device: &str, tag: Option<&str>) -> MadeRequest {
        let encoding = self.signs.encoding;
        let mut target = format!(
            "/v1/devices/{}/registrations/{}",
            encoding.path_part(device),
            encoding.path_part(&self.visit.pass_type)
        );
        if let Some(tag) = tag {
            target = format!("{target}?passesUpdatedSince={}", encoding.query_value(tag));
        }
        self.with_signs(Request::get(target)).body(Bytes::new())
    }

    pub(super) fn pass(&self, token: &str, last_modified: Option<&str>) -> MadeRequest {
        let encoding = self.signs.encoding;
        let Visit { pass_type, serial_number, .. } = self.visit;
        let target = format!("/v1/passes/{}/{}", encoding.path_part(pass_type), encoding.path_part(serial_number));
        let mut request = self.authorized(self.with_signs(Request::get(target)), token);
        if let Some(last_modified) = last_modified {
            request = request.header(IF_MODIFIED_SINCE, last_modified);
        }
        request.body(Bytes::new())
    }

    pub(super) fn log(&self, line: &str) -> MadeRequest {
        let request = self.with_signs(Request::post("/v1/log"));
        self.with_content_type(request).body(bytes(&json!({ "logs": [line] })))
    }

    fn registration_target(&self, registrations: &str) -> String {
        let encoding = self.signs.encoding;
        let Visit { device, pass_type, serial_number, .. } = self.visit;
        let [device, pass_type, serial_number] =
            [device, pass_type, serial_number].map(|part| encoding.path_part(part));
        format!("/v1/devices/{device}/{registrations}/{pass_type}/{serial_number}")
    }

    /// Adds the headers that every request of the wallet has.
    fn with_signs(&self, request: Builder) -> Builder {
        let request = request.header(USER_AGENT, self.signs.user_agent);
        match self.signs.pass_client {
            Some(PassClient::Always(name)) => request.header(X_PASS_CLIENT, name),
            Some(PassClient::InRegistrations(_)) | None => request,
        }
    }

    fn with_content_type(&self, request: Builder) -> Builder {
        request.header(CONTENT_TYPE, self.signs.content_type)
    }

    fn authorized(&self, request: Builder, token: &str) -> Builder {
        request.header(AUTHORIZATION, format!("{} {token}", self.signs.scheme))
    }
}

fn bytes(body: &Value) -> Bytes {
    body.to_string().into()
}
