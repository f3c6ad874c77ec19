//! The calls of the protocol, parsed from a request's method and path.
//!
//! API Gateway has one route for all of them, because it could not match some paths that devices send: with two slashes
//! at the start (the pass names a URL with a slash at its end), with a slash at the end, or with a slash within the
//! serial number. API Gateway decodes the path twice before this function gets it.

use http::Method;
use percent_encoding::percent_decode_str;
use strum::{IntoStaticStr, VariantNames};

/// A call of the protocol (Apple, "Adding a Web Service to Update Passes").
///
/// Its name is the one in the log.
#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Call {
    /// A device registers a pass.
    Register(Target),
    /// A device unregisters a pass.
    Unregister(Target),
    /// A device asks which of its passes have changed.
    List {
        /// The device library identifier.
        device: String,
        /// The pass type identifier.
        pass_type: String,
    },
    /// A device reports what went wrong.
    Log,
    /// iOS reports a change in the life of a pass. Nothing is done with it.
    LifecycleUpdate,
    /// Another call, or another method of a call. The latest contents of a pass are such a call too, because API Gateway
    /// passes it on to another service, or it is not served at all.
    Unknown,
}

/// The pass and the device that a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The device library identifier.
    pub device: String,
    /// The pass type identifier.
    pub pass_type: String,
    /// The serial number, as it came.
    pub serial_number: String,
    /// Whether the path is PassWallet's: `registrations_attido` instead of `registrations`.
    pub is_attido: bool,
}

impl Call {
    /// Returns the pass type identifier that the path names.
    #[must_use]
    pub fn pass_type(&self) -> Option<&str> {
        match self {
            Self::Register(target) | Self::Unregister(target) => Some(&target.pass_type),
            Self::List { pass_type, .. } => Some(pass_type),
            Self::Log | Self::LifecycleUpdate | Self::Unknown => None,
        }
    }

    /// Parses the part of the path after the account.
    #[must_use]
    pub fn parse(method: &Method, path: &str) -> Self {
        let Some(call) = path.trim_matches('/').strip_prefix("v1/") else { return Self::Unknown };
        let is_post = method == Method::POST;
        if call == "log" && is_post {
            return Self::Log;
        }
        if call.starts_with("passes/") && call.ends_with("/passLifecycleUpdate") && is_post {
            return Self::LifecycleUpdate;
        }
        Self::of_device(method, call).unwrap_or(Self::Unknown)
    }

    /// Parses `devices/{device}/registrations/{pass type}`, and `…/{serial number}`, which may contain slashes.
    fn of_device(method: &Method, call: &str) -> Option<Self> {
        let mut parts = call.strip_prefix("devices/")?.splitn(4, '/');
        let device = parts.next().map(decoded).filter(|device| !device.is_empty())?;
        let is_attido = match parts.next()? {
            "registrations" => false,
            "registrations_attido" => true,
            _ => return None,
        };
        let pass_type = parts.next().map(decoded).filter(|pass_type| !pass_type.is_empty())?;
        match (parts.next(), method) {
            (None, &Method::GET) => Some(Self::List { device, pass_type }),
            (Some(serial_number), &Method::POST | &Method::DELETE) => {
                let target = Target { device, pass_type, serial_number: serial_number.to_owned(), is_attido };
                Some(if method == Method::POST { Self::Register(target) } else { Self::Unregister(target) })
            }
            _ => None,
        }
    }
}

impl Target {
    /// Returns the serial number decoded once more, or `None` if that changes nothing. iOS encodes each part of the path
    /// and then the whole path, so a serial number arrives encoded if what is in front of this function decodes only once.
    #[must_use]
    pub fn decoded_serial_number(&self) -> Option<String> {
        let decoded = decoded(&self.serial_number);
        (decoded != self.serial_number).then_some(decoded)
    }
}

/// Decodes a text once, or returns it as it is if the result is not UTF-8.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Into::into)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn target(serial_number: &str) -> Target {
        Target {
            device: "device".to_owned(),
            pass_type: "pass.com.example".to_owned(),
            serial_number: serial_number.to_owned(),
            is_attido: false,
        }
    }

    fn list() -> Call {
        Call::List { device: "device".to_owned(), pass_type: "pass.com.example".to_owned() }
    }

    #[rstest]
    #[case(Method::POST, "/v1/devices/device/registrations/pass.com.example/1", Call::Register(target("1")))]
    #[case(Method::DELETE, "/v1/devices/device/registrations/pass.com.example/1", Call::Unregister(target("1")))]
    #[case(Method::GET, "/v1/devices/device/registrations/pass.com.example", list())]
    #[case(Method::POST, "/v1/log", Call::Log)]
    #[case(Method::POST, "/v1/passes/pass.com.example/1/passLifecycleUpdate", Call::LifecycleUpdate)]
    #[case(Method::POST, "/v1/passes/pass.com.example/a/b/passLifecycleUpdate", Call::LifecycleUpdate)]
    #[case::two_slashes(Method::GET, "//v1/devices/device/registrations/pass.com.example", list())]
    #[case::a_slash_at_the_end(Method::GET, "/v1/devices/device/registrations/pass.com.example/", list())]
    #[case::both(Method::POST, "//v1/log/", Call::Log)]
    #[case::a_slash_in_the_serial(
        Method::POST,
        "/v1/devices/device/registrations/pass.com.example/a/b",
        Call::Register(target("a/b"))
    )]
    #[case::an_encoded_serial(
        Method::POST,
        "/v1/devices/device/registrations/pass.com.example/a%2Fb",
        Call::Register(target("a%2Fb"))
    )]
    #[case::an_encoded_device(Method::GET, "/v1/devices/de%76ice/registrations/pass%2Ecom.example", list())]
    fn a_path_is_a_call(#[case] method: Method, #[case] path: &str, #[case] expected: Call) {
        assert_eq!(Call::parse(&method, path), expected);
    }

    #[test]
    fn a_pass_wallet_registers_at_a_path_of_its_own() {
        let path = "/v1/devices/device/registrations_attido/pass.com.example/1";
        let expected = Target { is_attido: true, ..target("1") };
        assert_eq!(Call::parse(&Method::POST, path), Call::Register(expected.clone()));
        assert_eq!(Call::parse(&Method::DELETE, path), Call::Unregister(expected));
    }

    #[rstest]
    #[case(Method::GET, "/v1/devices/device/registrations/pass.com.example/1")]
    #[case(Method::PUT, "/v1/devices/device/registrations/pass.com.example/1")]
    #[case(Method::POST, "/v1/devices/device/registrations/pass.com.example")]
    #[case(Method::GET, "/v1/devices/device/registrations")]
    #[case(Method::GET, "/v1/devices//registrations/pass.com.example")]
    #[case(Method::GET, "/v1/devices/device/other/pass.com.example")]
    #[case(Method::GET, "/v2/devices/device/registrations/pass.com.example")]
    #[case(Method::GET, "/v1/log")]
    #[case(Method::POST, "/v1/logs")]
    #[case(Method::GET, "/v1/passes/pass.com.example/1")]
    #[case(Method::POST, "/v1/passes/pass.com.example/1/personalize")]
    #[case(Method::POST, "/google")]
    #[case(Method::GET, "/")]
    #[case(Method::GET, "")]
    fn every_other_path_is_unknown(#[case] method: Method, #[case] path: &str) {
        assert_eq!(Call::parse(&method, path), Call::Unknown);
    }

    #[rstest]
    #[case("plain", None)]
    #[case("100%", None)]
    #[case("a%2Fb", Some("a/b"))]
    #[case("a%252Fb", Some("a%2Fb"))]
    #[case("%C3%A9", Some("é"))]
    #[case("%FF", None)]
    fn a_serial_number_is_decoded_once_more(#[case] serial_number: &str, #[case] expected: Option<&str>) {
        assert_eq!(target(serial_number).decoded_serial_number().as_deref(), expected);
    }

    proptest! {
        #[test]
        fn every_serial_number_is_found(serial_number in "[^/\u{0}-\u{1f}].{0,20}[^/]") {
            let path = format!("/v1/devices/device/registrations/pass.com.example/{serial_number}");
            prop_assert_eq!(Call::parse(&Method::POST, &path), Call::Register(target(&serial_number)));
        }

        #[test]
        fn no_path_makes_the_parser_panic(
            method in prop::sample::select(vec![Method::GET, Method::POST, Method::DELETE]),
            path in "/{0,2}v1/(devices/|passes/|/?registrations(_attido)?/|/passLifecycleUpdate|log|%[0-9A-F]{0,2}|[^/]{0,3}|/){0,9}",
        ) {
            if let Call::Register(target) | Call::Unregister(target) = Call::parse(&method, &path) {
                let _ = target.decoded_serial_number();
            }
        }
    }
}
