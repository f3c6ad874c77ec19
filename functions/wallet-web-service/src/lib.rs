//! The web service that a pass names (`webServiceURL` in `pass.json`): wallets register, list and unregister passes.
//!
//! It speaks the protocol of Apple Wallet (Apple, *Wallet Passes*, "Adding a Web Service to Update Passes"), which the
//! Android wallets copy. `docs/wallets.md` has the answer to each call. Devices understand only bare statuses, repeat
//! what fails for days, and take most answers that are not documented for an outage, so this function answers less, and
//! more patiently, than the API below `/v2`.
//!
//! - [`call`] parses a request's path, `signs` tells the wallets apart.
//! - `tag` decides which passes have changed since a device asked.
//! - `complaint` sorts what devices report.

mod body;
pub mod call;
mod complaint;
mod error;
mod signs;
mod tag;

use std::collections::BTreeSet;

use api::{
    Response, bare, error::BareError, json, lambda::HttpFunction, query, request_log::RequestLog, route::WALLET_PREFIX,
};
use domain::{
    device::{DeviceLibraryIdentifier, PushServiceUrl},
    event::Installation,
    id::{AccountId, RegistrationId},
    pass::{PassTypeIdentifier, TokenHash, TypedSerialNumber},
    time::Timestamp,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, HeaderName, StatusCode, header};
use lambda_http::{Request, RequestExt as _};
pub use process::config::TableConfig as Config;
use serde::Serialize;
use store::{NamedPass, NamedRegistration, RegisteredForWallet, StoreError, Table, limits};
use tracing::info;

use self::{
    body::RegistrationBody,
    call::{Call, Target},
    complaint::Complaint,
    signs::Signs,
    tag::{Changes, PassState},
};

/// The parameter with the tag of the device's last list.
const SINCE: &str = "passesUpdatedSince";
/// The header by which two wallets say who they are.
const PASS_CLIENT: HeaderName = HeaderName::from_static("x-pass-client");
/// The token with which the sent one is compared if there is no pass, so that a comparison is made in any case.
const NO_TOKEN: &str = "the token of no pass";

/// The function.
#[derive(Debug, Clone)]
pub struct WalletWebService {
    table: Table,
}

/// The answer to a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedPasses<'a> {
    serial_numbers: BTreeSet<&'a str>,
    last_updated: &'a str,
}

impl WalletWebService {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    async fn register(
        &self,
        request: &Request,
        account: Option<&AccountId>,
        target: Target,
        now: Timestamp,
    ) -> Result<StatusCode, BareError> {
        let (account, pass) = self.authorized(request, account, &target).await?;
        let NamedPass { serial_number, campaign_id, pass_id, token: _ } = pass;
        let Target { device, is_attido, .. } = target;
        let device: DeviceLibraryIdentifier = device.parse().map_err(error::malformed)?;
        let RegistrationBody { push_token, push_service_url } = RegistrationBody::parse(request)?;
        let wallet = Signs {
            pass_client: header(request.headers(), &PASS_CLIENT),
            scheme: authorization(request).map(|(scheme, _)| scheme),
            is_attido,
            push_service_url: push_service_url.as_ref().map(PushServiceUrl::as_str),
            user_agent: header(request.headers(), &header::USER_AGENT),
        }
        .wallet();
        let installation = Installation {
            registration_id: RegistrationId::derived(pass_id, wallet, device.as_str()),
            wallet,
            device_os: signs::device_os(wallet),
            device_library_identifier: Some(device),
            push_token,
            push_service_url,
            serial_number: Some(serial_number),
        };
        let registered = self.table.register_for_wallet(account, campaign_id, pass_id, &installation, now).await?;
        RequestLog::record_event(request, Some(wallet), &registered.outcome());
        Ok(match registered {
            RegisteredForWallet::Created(_) => StatusCode::CREATED,
            RegisteredForWallet::Active(_) => StatusCode::OK,
        })
    }

    /// Ends each registration of the pass on the device, in whichever wallet: a wallet may unregister under other signs
    /// than it registered under. A registration under another serial number stays: the device has that pass.
    async fn unregister(
        &self,
        request: &Request,
        account: Option<&AccountId>,
        target: &Target,
        now: Timestamp,
    ) -> Result<StatusCode, BareError> {
        let (account, pass) = self.authorized(request, account, target).await?;
        // A registration has a valid device library identifier, so there is nothing to end without one.
        let Ok(device) = target.device.parse::<DeviceLibraryIdentifier>() else { return Ok(StatusCode::OK) };
        let named = self.table.registrations_of_pass_on_device(account, &device, &pass).await?;
        let each = named.into_iter().map(|registration| async move {
            let NamedRegistration { campaign_id, pass_id, registration_id, wallet } = registration;
            let unregistered = self.table.unregister(campaign_id, pass_id, registration_id, now).await?;
            Ok::<_, StoreError>((wallet, unregistered))
        });
        let ended: Vec<_> = stream::iter(each).buffer_unordered(limits::CONCURRENCY).try_collect().await?;
        for (wallet, unregistered) in ended {
            RequestLog::record_event(request, wallet, &unregistered.outcome());
        }
        Ok(StatusCode::OK)
    }

    /// Answers which passes on a device have changed since the tag that it sent. Devices need no authorization for it,
    /// and one that is not known, or an account that is not, is answered like one without changes.
    async fn list(
        &self,
        request: &Request,
        account: Option<&AccountId>,
        device: &str,
        pass_type: &str,
    ) -> Result<Response, BareError> {
        let nothing = || Ok(bare(StatusCode::NO_CONTENT));
        let names = device.parse::<DeviceLibraryIdentifier>().ok().zip(pass_type.parse::<PassTypeIdentifier>().ok());
        let Some((account, (device, pass_type))) = account.zip(names) else { return nothing() };
        let registrations = self.table.registrations_of_device(account, &device, Some(&pass_type)).await?;
        let passes: Vec<_> = registrations.iter().map(|found| (found.campaign_id, found.pass_id)).collect();
        let updates = self.table.updates_of(&passes).await?;
        let states: Vec<_> = registrations
            .iter()
            .map(|registration| PassState {
                campaign: registration.campaign_id,
                pass: registration.pass_id,
                created_at: registration.created_at,
                serial_number: registration.serial_number.as_ref(),
                pass_updated_at: updates.of_pass(registration.campaign_id, registration.pass_id),
                campaign_updated_at: updates.of_campaign(registration.campaign_id),
            })
            .collect();
        let Changes { changed, tag } = tag::changes(&states, since(request).as_deref());
        let serial_numbers = changed.iter().filter_map(|state| Some(state.serial_number?.serial_number.as_str()));
        let serial_numbers: BTreeSet<_> = serial_numbers.collect();
        if serial_numbers.is_empty() {
            return nothing();
        }
        RequestLog::record_listed(request, serial_numbers.len());
        Ok(json(StatusCode::OK, &ChangedPasses { serial_numbers, last_updated: &tag })?)
    }

    /// Returns the account, and the pass that the target names, if the request has the pass's authentication token. If
    /// the target may mean two passes, the token shows which one it means.
    ///
    /// An unknown pass and a wrong token are the same to the caller: the same read, the same comparisons and the same
    /// answer.
    async fn authorized<'a>(
        &self,
        request: &Request,
        account: Option<&'a AccountId>,
        target: &Target,
    ) -> Result<(&'a AccountId, NamedPass), BareError> {
        let names = target.serial_numbers();
        let account = account.filter(|_| !names.is_empty()).ok_or_else(error::unauthorized)?;
        let mut passes = self.table.passes_with_serial_numbers(account, &names).await?.into_iter();
        let sent = authorization(request).and_then(|(_, token)| token.parse::<TokenHash>().ok());
        let no_token: Option<TokenHash> = NO_TOKEN.parse().ok();
        let mut authorized = None;
        // As many comparisons as names, whether or not they are known.
        for _ in names {
            let pass = passes.next();
            let expected = pass.as_ref().and_then(|pass| pass.token.as_ref());
            let is_equal = sent.is_some() && sent.as_ref() == expected.or(no_token.as_ref());
            let is_authorized = is_equal && expected.is_some();
            authorized = authorized.or(pass.filter(|_| is_authorized));
        }
        authorized.map(|pass| (account, pass)).ok_or_else(error::unauthorized)
    }
}

impl HttpFunction for WalletWebService {
    type Error = BareError;

    async fn warm_up(&self) {
        self.table.open_connections(1).await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, BareError> {
        let path = request.raw_http_path().strip_prefix(WALLET_PREFIX).ok_or_else(error::not_found)?;
        let (account, path) = path.split_at(path.find('/').unwrap_or(path.len()));
        let account = account.parse::<AccountId>().ok();
        let call = Call::parse(request.method(), path);
        RequestLog::record_call(&request, (&call).into());
        // It comes from the caller, so it is logged only if it has the form of one.
        if let Some(pass_type) = call.pass_type().and_then(|pass_type| pass_type.parse().ok()) {
            RequestLog::record_pass_type(&request, pass_type);
        }
        if let Some(account) = &account {
            RequestLog::record_account(&request, account);
        }
        let account = account.as_ref();
        match call {
            Call::Register(target) => self.register(&request, account, target, now).await.map(bare),
            Call::Unregister(target) => self.unregister(&request, account, &target, now).await.map(bare),
            Call::List { device, pass_type } => self.list(&request, account, &device, &pass_type).await,
            Call::Log => {
                count_complaints(&request);
                Ok(bare(StatusCode::OK))
            }
            Call::LifecycleUpdate => Ok(bare(StatusCode::OK)),
            Call::Unknown => Err(error::not_found()),
        }
    }
}

/// Writes a log line for each kind of complaint in the request, from which the metric filter counts. The pass type
/// comes from the caller, so it is in the line only if it has the form of one, and if all complaints of the kind name
/// the same one: otherwise one call could fill the log. A device and a serial number never are.
fn count_complaints(request: &Request) {
    let request_id = RequestLog::request_id(request);
    let complaints = body::text(request).map(Complaint::all_in).unwrap_or_default();
    for (kind, (complaints, pass_type)) in complaint::by_kind(&complaints) {
        let (kind, pass_type) = (kind.as_str(), pass_type.map(PassTypeIdentifier::as_str));
        info!(request_id, kind, pass_type, complaints, "wallets complained");
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the scheme and the token of the request. Wallets send several schemes, and any is good with the right token.
fn authorization(request: &Request) -> Option<(&str, &str)> {
    let (scheme, token) = header(request.headers(), &header::AUTHORIZATION)?.split_once(' ')?;
    Some((scheme, token.trim()))
}

/// Returns the tag that the device sent.
fn since(request: &Request) -> Option<String> {
    let parameters = query::parameters(request).ok()?;
    parameters.into_iter().find_map(|(name, value)| (name == SINCE).then_some(value))
}

impl Target {
    /// Returns the names that the path may mean: the serial number as it came, and decoded once more.
    fn serial_numbers(&self) -> Vec<TypedSerialNumber> {
        let Ok(pass_type) = self.pass_type.parse::<PassTypeIdentifier>() else { return Vec::new() };
        let texts = [Some(self.serial_number.clone()), self.decoded_serial_number()];
        let names = texts.into_iter().flatten().filter_map(|text| text.parse().ok());
        names.map(|serial_number| TypedSerialNumber { pass_type: pass_type.clone(), serial_number }).collect()
    }
}
