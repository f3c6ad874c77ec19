//! Simulates a wallet on a phone against any web service for passes, and names the rules that its answers break.
//!
//! The idea: a phone reports its troubles only to `/v1/log`, hours later and in a few words. Here the same requests are
//! sent at once, each answer is checked, and for an answer that the wallet does not accept, the rule is named.
//!
//! - [`Visit`] says which wallet does what with which pass, and [`run`] does it.
//! - [`behaviour`] has the wallets and their signs, from which `requests` makes their requests.
//! - [`rules`] has the rules with their sources, and `checks` holds the answers against them.
//! - [`exchange`] has a request with its answer. [`client`](crate::client) sends it, to the given web service only.

pub mod behaviour;
mod checks;
pub mod exchange;
mod requests;
pub mod rules;

use http::Request;
use hyper::body::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use self::{
    behaviour::{FALLBACK_LOG, SimulatedWallet},
    exchange::{Broken, Check, Exchange},
    requests::Requests,
};
use crate::client::{Client, HttpError, ServiceUrl};

/// What a wallet does with one pass.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The wallet.
    pub wallet: SimulatedWallet,
    /// The pass's `webServiceURL`.
    pub service: ServiceUrl,
    /// The pass's `passTypeIdentifier`.
    pub pass_type: String,
    /// The pass's `serialNumber`.
    pub serial_number: String,
    /// The pass's `authenticationToken`.
    pub token: String,
    /// The device library identifier.
    pub device: String,
    /// The push token that the wallet has in the end. Before, it has another one.
    pub push_token: String,
    /// What the wallet does.
    pub extent: Extent,
    /// Whether an answer 404 to a request for the pass breaks a rule.
    pub expects_pass: bool,
    /// The time in the log.
    pub now: Timestamp,
}

/// What a wallet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Registers the pass, uses it, and unregisters it.
    Whole,
    /// Registers the pass and uses it.
    KeepRegistered,
    /// Unregisters the pass.
    Unregister,
}

impl Visit {
    /// A whole visit, by a device that depends only on the arguments, so that it is the same in the next visit.
    #[must_use]
    pub fn new(
        wallet: SimulatedWallet,
        service: ServiceUrl,
        pass_type: String,
        serial_number: String,
        token: String,
        now: Timestamp,
    ) -> Self {
        let derived =
            |name: &str| identifier(&[name, &wallet.to_string(), &service.to_string(), &pass_type, &serial_number]);
        let (device, push_token) = (derived("device"), derived("push token"));
        let (extent, expects_pass) = (Extent::Whole, false);
        Self { wallet, service, pass_type, serial_number, token, device, push_token, extent, expects_pass, now }
    }

    /// A line as passd writes it.
    fn log_line(&self) -> String {
        let Self { pass_type, service, serial_number, now, .. } = self;
        let time = now.strftime("%Y-%m-%d %H:%M:%S +0000");
        format!(
            "[{time}] Web service error for {pass_type} ({service}): Server requested update to serial number \
             '{serial_number}', but the pass was unchanged."
        )
    }
}

/// Derives an identifier in the form of passd's: 32 hexadecimal digits.
fn identifier(parts: &[&str]) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, parts.join("\n").as_bytes()).simple().to_string()
}

/// Makes a visit, and passes each exchange to `report`. Returns the broken rules.
///
/// # Errors
///
/// If the web service cannot be reached or does not speak HTTP.
pub async fn run(visit: &Visit, report: impl FnMut(&Exchange)) -> Result<Vec<Broken>, HttpError> {
    let client = Client::new(&visit.service)?;
    let requests = Requests { visit, signs: visit.wallet.signs() };
    let mut visitor = Visitor { visit, client, requests, report, broken: Vec::new() };
    match visit.extent {
        Extent::Whole => {
            if visitor.register().await? {
                visitor.use_pass().await?;
                visitor.unregister().await?;
            }
        }
        Extent::KeepRegistered => {
            if visitor.register().await? {
                visitor.use_pass().await?;
            }
        }
        Extent::Unregister => visitor.unregister().await?,
    }
    Ok(visitor.broken)
}

/// A wallet during a visit.
struct Visitor<'a, R> {
    visit: &'a Visit,
    client: Client<'a>,
    /// They change if WalletPasses falls back to the registration of PassWallet.
    requests: Requests<'a>,
    report: R,
    broken: Vec<Broken>,
}

impl<R: FnMut(&Exchange)> Visitor<'_, R> {
    /// Registers the pass, and returns whether the wallet takes it for registered.
    async fn register(&mut self) -> Result<bool, HttpError> {
        let Visit { token, push_token, .. } = self.visit;
        let old_push_token = identifier(&["old push token", push_token]);
        let (signs, mut falls_back) = (self.requests.signs, None);
        let request = self.requests.registration(token, &old_push_token)?;
        let mut is_registered = self
            .step("register", request, |check| {
                falls_back = checks::fallback(check, signs);
                falls_back.is_none() && checks::registration(check)
            })
            .await?;
        if let Some(fallback) = falls_back {
            let request = self.requests.log(FALLBACK_LOG)?;
            self.step("log that AndroidPass is not supported", request, checks::log).await?;
            self.requests.signs = fallback;
            let request = self.requests.registration(token, &old_push_token)?;
            is_registered = self.step("register as PassWallet", request, checks::registration).await?;
        }
        if is_registered {
            let request = self.requests.registration(token, &old_push_token)?;
            self.step("register again", request, checks::repeated_registration).await?;
            let request = self.requests.registration(token, push_token)?;
            self.step("register with a new push token", request, checks::repeated_registration).await?;
        }
        Ok(is_registered)
    }

    /// Asks for the list and for the pass, tries a wrong token, and sends the log.
    async fn use_pass(&mut self) -> Result<(), HttpError> {
        let Visit { device, serial_number, token, push_token, expects_pass, .. } = self.visit;
        let request = self.requests.list(device, None)?;
        let tag = self.step("list", request, |check| checks::list_with(check, serial_number)).await?;
        if let Some(tag) = tag {
            let request = self.requests.list(device, Some(&tag))?;
            self.step("list what changed", request, |check| checks::list_since(check, &tag)).await?;
        }
        let request = self.requests.pass(token, None)?;
        let pass = self.step("fetch the pass", request, |check| checks::pass(check, *expects_pass)).await?;
        if let Some((pass, Some(last_modified))) = &pass {
            let request = self.requests.pass(token, Some(last_modified))?;
            self.step("fetch the pass if it changed", request, |check| checks::pass_since(check, pass)).await?;
        }
        let wrong_token = identifier(&["wrong token", device]);
        let request = self.requests.registration(&wrong_token, push_token)?;
        self.step("register with a wrong token", request, |check| checks::refusal(check, &wrong_token)).await?;
        if pass.is_some() {
            let request = self.requests.pass(&wrong_token, None)?;
            self.step("fetch the pass with a wrong token", request, |check| checks::refusal(check, &wrong_token))
                .await?;
        }
        let request = self.requests.log(&self.visit.log_line())?;
        self.step("send the log", request, checks::log).await?;
        let request = self.requests.list(&identifier(&["unknown device", device]), None)?;
        self.step("list for a device that was never registered", request, checks::list_for_unknown_device).await
    }

    /// Unregisters the pass, does so again as if the answer had been lost, and asks for the list.
    async fn unregister(&mut self) -> Result<(), HttpError> {
        let Visit { device, serial_number, .. } = self.visit;
        let (signs, mut falls_back) = (self.requests.signs, None);
        let request = self.requests.unregistration()?;
        let mut first = self
            .step("unregister", request, |check| {
                // A real wallet remembers as what it has registered, but a visit that only unregisters does not.
                falls_back = checks::fallback(check, signs);
                if falls_back.is_none() { Some(checks::unregistration(check)) } else { None }
            })
            .await?;
        if let Some(fallback) = falls_back {
            self.requests.signs = fallback;
            let request = self.requests.unregistration()?;
            first = self.step("unregister as PassWallet", request, |check| Some(checks::unregistration(check))).await?;
        }
        let request = self.requests.unregistration()?;
        self.step("unregister again", request, |check| checks::repeated_unregistration(check, first)).await?;
        let request = self.requests.list(device, None)?;
        self.step("list after that", request, |check| checks::list_without(check, serial_number)).await
    }

    /// Sends a request, and checks and reports the answer. Returns the result of the check, or the default if the
    /// answer is a redirect, which is not checked further.
    async fn step<T: Default>(
        &mut self,
        step: &'static str,
        request: Request<Bytes>,
        check_answer: impl FnOnce(&mut Check<'_>) -> T,
    ) -> Result<T, HttpError> {
        let answer = self.client.send(request.clone()).await?;
        let mut check = Check::new(self.visit.wallet, step, &answer);
        let outcome = if check.is_redirect() { T::default() } else { check_answer(&mut check) };
        let Check { broken, notes, .. } = check;
        self.broken.extend_from_slice(&broken);
        let service = self.visit.service.clone();
        (self.report)(&Exchange { step, service, request, answer, broken, notes });
        Ok(outcome)
    }
}
