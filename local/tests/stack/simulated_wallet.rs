//! The simulated wallet, against web services of these tests: one that keeps every rule, and for each rule one that
//! breaks it.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    net::SocketAddr,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
};

use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, IF_MODIFIED_SINCE, LAST_MODIFIED, LOCATION},
    request::Parts,
};
use hyper::body::Bytes;
use local::{
    aws::front::Front,
    simulated_wallet::{
        self, Extent, Visit,
        behaviour::SimulatedWallet,
        rules::{self, Rule},
    },
    template::Template,
};
use percent_encoding::percent_decode_str;
use rstest::rstest;
use serde_json::{Value, json};
use strum::VariantArray as _;
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::Served;

const BINARY: &str = env!("CARGO_BIN_EXE_local");
const PASS_TYPE: &str = "pass.com.example.coupon";
const SERIAL_NUMBER: &str = "B-1 é/7";
const TOKEN: &str = "0123456789abcdef";
const PASS: &[u8] = b"PK\x03\x04 a pass";
/// A date in another form than HTTP's, because a device returns the text as it came.
const MODIFIED: &str = "Fri, 27 Nov 2026 12:00:00 +0000";
const TAG: &str = "1.a+b";

/// What a request asks for, and whether the web service knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Register { is_known: bool },
    Unregister { is_known: bool },
    List { device: Device, has_tag: bool },
    Pass { has_date: bool },
    WrongToken,
    Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Registered,
    Unregistered,
    Unknown,
}

/// Turns the right answer into a wrong one.
type Mistake = dyn Fn(Asked, &Parts, &mut Response<Vec<u8>>) + Send + Sync;

/// A web service for one pass.
#[derive(Clone)]
struct Service {
    mistake: Arc<Mistake>,
    /// The schemes of `Authorization` that it accepts.
    schemes: &'static [&'static str],
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Each registered device with the body of its last registration.
    registrations: BTreeMap<String, Value>,
    /// The devices that were ever registered.
    seen: HashSet<String>,
    requests: Vec<(Method, String, HeaderMap, Value)>,
}

impl Front for Service {
    async fn answer(&self, request: Parts, body: Bytes, _: SocketAddr) -> Response<Vec<u8>> {
        let (asked, mut response) = self.right_answer(&request, &body);
        (self.mistake)(asked, &request, &mut response);
        response
    }
}

impl Service {
    fn right_answer(&self, request: &Parts, body: &[u8]) -> (Asked, Response<Vec<u8>>) {
        let mut state = self.state.lock().unwrap();
        let body = serde_json::from_slice(body).unwrap_or_default();
        let target = request.uri.path_and_query().unwrap().as_str();
        state.requests.push((request.method.clone(), target.to_owned(), request.headers.clone(), body));
        let body = &state.requests.last().unwrap().3.clone();

        let authorization = request.headers.get(AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
        let is_authorized = self.schemes.iter().any(|scheme| authorization == format!("{scheme} {TOKEN}"));
        let has_date = request.headers.contains_key(IF_MODIFIED_SINCE);
        // passd encodes twice.
        let path = decoded(&decoded(request.uri.path()));
        let call = path.strip_prefix("/wallet/v1/").unwrap_or_else(|| panic!("{path}"));
        let pass = format!("{PASS_TYPE}/{SERIAL_NUMBER}");
        let device = call.split('/').nth(1).unwrap_or_default().to_owned();
        let is_known = state.registrations.contains_key(&device);
        let is_pass = call == format!("passes/{pass}");
        let is_registration = ["registrations", "registrations_attido"]
            .iter()
            .any(|registrations| call == format!("devices/{device}/{registrations}/{pass}"));
        let is_list = call == format!("devices/{device}/registrations/{PASS_TYPE}");
        match (&request.method, is_authorized) {
            (&Method::POST, _) if call == "log" => (Asked::Log, status(StatusCode::OK)),
            (&Method::GET, _) if is_list => {
                let has_tag = request.uri.query() == Some(&format!("passesUpdatedSince={TAG}"))
                    || request.uri.query() == Some("passesUpdatedSince=1.a%2Bb");
                assert!(has_tag || request.uri.query().is_none(), "{request:?}");
                let (device, response) = match (is_known, state.seen.contains(&device)) {
                    (true, _) if has_tag => (Device::Registered, status(StatusCode::NO_CONTENT)),
                    (true, _) => (Device::Registered, listed(&[SERIAL_NUMBER])),
                    (false, true) => (Device::Unregistered, status(StatusCode::NO_CONTENT)),
                    (false, false) => (Device::Unknown, status(StatusCode::NO_CONTENT)),
                };
                (Asked::List { device, has_tag }, response)
            }
            (_, false) if is_registration || is_pass => (Asked::WrongToken, status(StatusCode::UNAUTHORIZED)),
            (&Method::POST, true) if is_registration => {
                state.seen.insert(device.clone());
                state.registrations.insert(device, body.clone());
                let response = status(if is_known { StatusCode::OK } else { StatusCode::CREATED });
                (Asked::Register { is_known }, response)
            }
            (&Method::DELETE, true) if is_registration => {
                state.registrations.remove(&device);
                (Asked::Unregister { is_known }, status(StatusCode::OK))
            }
            (&Method::GET, true) if is_pass && has_date => {
                assert_eq!(request.headers[IF_MODIFIED_SINCE], MODIFIED);
                (Asked::Pass { has_date }, status(StatusCode::NOT_MODIFIED))
            }
            (&Method::GET, true) if is_pass => (Asked::Pass { has_date }, pass_response(PASS)),
            _ => panic!("{request:?}"),
        }
    }

    fn requests(&self) -> Vec<(Method, String, HeaderMap, Value)> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    fn registrations(&self) -> BTreeMap<String, Value> {
        self.state.lock().unwrap().registrations.clone()
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn status(status: StatusCode) -> Response<Vec<u8>> {
    Response::builder().status(status).body(Vec::new()).unwrap()
}

fn pass_response(pass: &[u8]) -> Response<Vec<u8>> {
    let response =
        Response::builder().header(CONTENT_TYPE, "application/vnd.apple.pkpass").header(LAST_MODIFIED, MODIFIED);
    response.body(pass.to_vec()).unwrap()
}

fn json_response(body: &Value) -> Response<Vec<u8>> {
    Response::builder().header(CONTENT_TYPE, "application/json").body(body.to_string().into_bytes()).unwrap()
}

fn listed(serial_numbers: &[&str]) -> Response<Vec<u8>> {
    json_response(&json!({ "serialNumbers": serial_numbers, "lastUpdated": TAG }))
}

/// A web service that runs until it is dropped.
struct Running {
    service: Service,
    url: String,
    _served: Served,
}

const SCHEMES: &[&str] = &["ApplePass", "AndroidPass", "AttidoPass"];

async fn serve(
    schemes: &'static [&'static str],
    mistake: impl Fn(Asked, &Parts, &mut Response<Vec<u8>>) + Send + Sync + 'static,
) -> Running {
    let service = Service { mistake: Arc::new(mistake), schemes, state: Arc::default() };
    let served = crate::serve(service.clone()).await;
    Running { service, url: format!("http://{}/wallet", served.address), _served: served }
}

/// A web service that keeps every rule.
async fn serve_right() -> Running {
    serve(SCHEMES, |_, _, _| {}).await
}

fn visit(wallet: SimulatedWallet, url: &str) -> Visit {
    let [pass_type, serial_number, token] = [PASS_TYPE, SERIAL_NUMBER, TOKEN].map(str::to_owned);
    Visit::new(wallet, url.parse().unwrap(), pass_type, serial_number, token, jiff::Timestamp::UNIX_EPOCH)
}

/// Makes a visit and returns the broken rules.
async fn broken_rules(visit: &Visit) -> Vec<Rule> {
    simulated_wallet::run(visit, |_| {}).await.unwrap().into_iter().map(|broken| broken.rule).collect()
}

/// Runs the command `wallet` against `url`.
async fn command(wallet: SimulatedWallet, url: &str, more: &[&str]) -> Output {
    let wallet = wallet.to_string();
    let mut command = Command::new(BINARY);
    command.args(["wallet", "--as", &wallet, url, PASS_TYPE, SERIAL_NUMBER, TOKEN]).args(more);
    command.env_remove("SSL_CERT_FILE").stdin(Stdio::null()).output().await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

const ALL: &[SimulatedWallet] = SimulatedWallet::VARIANTS;
/// The wallets that take only the statuses that Apple documents for success.
const DOCUMENTED: &[SimulatedWallet] = &[
    SimulatedWallet::Passbook,
    SimulatedWallet::Passwallet,
    SimulatedWallet::Pass2u,
    SimulatedWallet::PassworksWallet,
];
/// The wallets that take every 2xx for success.
const EVERY_2XX: &[SimulatedWallet] = &[SimulatedWallet::WalletPasses, SimulatedWallet::Other];
const PASSBOOK: &[SimulatedWallet] = &[SimulatedWallet::Passbook];

/// For each rule a wallet that needs it, all wallets that need it, and a web service that breaks only this rule for the
/// first.
const MISTAKES: &[(Rule, SimulatedWallet, &[SimulatedWallet], &Mistake)] = &[
    (Rule::Redirect, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if asked == Asked::Log {
            *response = status(StatusCode::TEMPORARY_REDIRECT);
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("https://example.com/v1/log"));
        }
    }),
    (Rule::RegisterStatus, SimulatedWallet::Passbook, DOCUMENTED, &|asked, _, response| {
        if let Asked::Register { .. } = asked {
            *response = status(StatusCode::NO_CONTENT);
        }
    }),
    (Rule::RegisterAgain, SimulatedWallet::Passwallet, ALL, &|asked, _, response| {
        if let (Asked::Register { is_known: true }, status) = (asked, response.status_mut()) {
            *status = StatusCode::CREATED;
        }
    }),
    (Rule::SuccessStatus, SimulatedWallet::Other, EVERY_2XX, &|asked, _, response| {
        if asked == Asked::Log {
            *response = status(StatusCode::NOT_FOUND);
        }
    }),
    (Rule::ListStatus, SimulatedWallet::Pass2u, DOCUMENTED, &|asked, _, response| {
        if let Asked::List { has_tag: true, .. } = asked {
            *response = status(StatusCode::NOT_MODIFIED);
        }
    }),
    (Rule::ListBody, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if let Asked::List { has_tag: true, .. } = asked {
            *response = json_response(&json!([SERIAL_NUMBER]));
        }
    }),
    (Rule::ListBody, SimulatedWallet::Other, ALL, &|asked, _, response| {
        if let Asked::List { has_tag: true, .. } = asked {
            *response = pass_response(b"<html>");
        }
    }),
    (Rule::ListEmpty, SimulatedWallet::PassworksWallet, ALL, &|asked, _, response| {
        if let Asked::List { has_tag: true, .. } = asked {
            *response = listed(&[]);
        }
    }),
    (Rule::ListRegistered, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if let Asked::List { device: Device::Registered, has_tag: false } = asked {
            *response = listed(&["another"]);
        }
    }),
    (Rule::ListUnregistered, SimulatedWallet::WalletPasses, ALL, &|asked, _, response| {
        if let Asked::List { device: Device::Unregistered, .. } = asked {
            *response = listed(&["another", SERIAL_NUMBER]);
        }
    }),
    (Rule::ListUnknownDevice, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if let Asked::List { device: Device::Unknown, .. } = asked {
            *response = status(StatusCode::UNAUTHORIZED);
        }
    }),
    (Rule::TagMissing, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if let Asked::List { device: Device::Registered, has_tag: false } = asked {
            *response = json_response(&json!({ "serialNumbers": [SERIAL_NUMBER] }));
        }
    }),
    (Rule::TagText, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if let Asked::List { device: Device::Registered, has_tag: false } = asked {
            *response = json_response(&json!({ "serialNumbers": [SERIAL_NUMBER], "lastUpdated": 1_351_981_923 }));
        }
    }),
    (Rule::TagUnchanged, SimulatedWallet::Passbook, PASSBOOK, &|asked, _, response| {
        if let Asked::List { has_tag: true, .. } = asked {
            *response = listed(&[SERIAL_NUMBER]);
        }
    }),
    (Rule::PassStatus, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if let Asked::Pass { .. } = asked {
            *response = status(StatusCode::NO_CONTENT);
        }
    }),
    (Rule::PassType, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if let Asked::Pass { has_date: false } = asked {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
    }),
    (Rule::PassData, SimulatedWallet::Other, ALL, &|asked, _, response| {
        if let Asked::Pass { has_date: false } = asked {
            *response.body_mut() = b"<html>".to_vec();
        }
    }),
    (Rule::PassLastModified, SimulatedWallet::Passbook, PASSBOOK, &|asked, _, response| {
        if let Asked::Pass { has_date: false } = asked {
            response.headers_mut().remove(LAST_MODIFIED);
        }
    }),
    (Rule::PassUnchanged, SimulatedWallet::Passbook, PASSBOOK, &|asked, _, response| {
        if let Asked::Pass { has_date: true } = asked {
            *response = pass_response(PASS);
        }
    }),
    (Rule::WrongToken, SimulatedWallet::Passbook, ALL, &|asked, _, response| {
        if asked == Asked::WrongToken {
            *response = status(StatusCode::FORBIDDEN);
        }
    }),
    (Rule::TokenEcho, SimulatedWallet::WalletPasses, ALL, &|asked, request, response| {
        if asked == Asked::WrongToken {
            response.headers_mut().insert("x-refused", request.headers[AUTHORIZATION].clone());
        }
    }),
    (Rule::TokenEcho, SimulatedWallet::Passbook, ALL, &|asked, request, response| {
        if asked == Asked::WrongToken {
            *response.body_mut() = request.headers[AUTHORIZATION].as_bytes().to_vec();
        }
    }),
    (Rule::LogStatus, SimulatedWallet::Passbook, DOCUMENTED, &|asked, _, response| {
        if asked == Asked::Log {
            *response = status(StatusCode::NO_CONTENT);
        }
    }),
    (Rule::UnregisterStatus, SimulatedWallet::Passbook, DOCUMENTED, &|asked, _, response| {
        if let Asked::Unregister { .. } = asked {
            *response = status(StatusCode::NO_CONTENT);
        }
    }),
    (Rule::UnregisterAgain, SimulatedWallet::Other, ALL, &|asked, _, response| {
        if let Asked::Unregister { is_known: false } = asked {
            *response = status(StatusCode::NOT_FOUND);
        }
    }),
];

#[tokio::test]
async fn a_web_service_that_keeps_the_rules_breaks_none_and_a_second_visit_changes_nothing() {
    for wallet in SimulatedWallet::VARIANTS.iter().copied() {
        let running = serve_right().await;
        let visited = async |extent| {
            let visit = Visit { extent, expects_pass: true, ..visit(wallet, &running.url) };
            assert_eq!(broken_rules(&visit).await, []);
            running.service.registrations()
        };
        assert_eq!(visited(Extent::Whole).await, BTreeMap::new());

        let Visit { device, push_token, .. } = visit(wallet, &running.url);
        let first = visited(Extent::KeepRegistered).await;
        assert_eq!(first.keys().collect::<Vec<_>>(), [&device]);
        assert_eq!(first[&device]["pushToken"], push_token);
        assert_eq!(visited(Extent::KeepRegistered).await, first);

        for _ in 0..2 {
            assert_eq!(visited(Extent::Unregister).await, BTreeMap::new());
        }
    }
}

#[test]
fn each_wallet_and_each_pass_has_a_device_of_its_own() {
    let visits = SimulatedWallet::VARIANTS.iter().flat_map(|wallet| {
        let first = visit(*wallet, "https://example.com");
        let other_service = visit(*wallet, "https://example.org");
        let [pass_type, serial_number, token] = [PASS_TYPE, "another", TOKEN].map(str::to_owned);
        let (service, now) = (first.service.clone(), first.now);
        let other_pass = Visit::new(*wallet, service, pass_type, serial_number, token, now);
        [first, other_service, other_pass]
    });
    let devices: HashSet<String> = visits.map(|visit| visit.device).collect();
    assert_eq!(devices.len(), 3 * SimulatedWallet::VARIANTS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_a_rule_is_named_and_the_command_fails() {
    for (rule, wallet, _, mistake) in MISTAKES {
        let running = serve(SCHEMES, mistake).await;
        let output = command(*wallet, &running.url, &[]).await;
        let stdout = text(&output.stdout);
        let (_, broken) = stdout.split_once("\nbroken rules:\n").unwrap_or_else(|| panic!("{rule}: {stdout}"));
        let named = format!(": {rule}: {} Found: ", rule.text().sentence);
        assert!(broken.lines().all(|line| line.contains(&named)), "{rule}: {broken}");
        assert!(stdout.contains(&format!("  ! {rule}: ")), "{rule}: {stdout}");
        assert_eq!(output.status.code(), Some(1), "{rule}");
    }
    let tested: HashSet<Rule> = MISTAKES.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(tested, Rule::VARIANTS.iter().copied().collect(), "each rule has a mistake");
}

#[tokio::test]
async fn a_rule_is_held_against_exactly_the_wallets_that_need_it() {
    for (rule, _, expected, mistake) in MISTAKES {
        let mut held_against = Vec::new();
        for wallet in SimulatedWallet::VARIANTS {
            let running = serve(SCHEMES, mistake).await;
            if broken_rules(&visit(*wallet, &running.url)).await.contains(rule) {
                held_against.push(*wallet);
            }
        }
        assert_eq!(held_against, *expected, "{rule}");
    }
    let running = serve(SCHEMES, |asked, _, response| {
        if let Asked::Register { .. } | Asked::Unregister { .. } | Asked::Log = asked {
            *response = status(StatusCode::ACCEPTED);
        }
    })
    .await;
    let visit = visit(SimulatedWallet::WalletPasses, &running.url);
    assert_eq!(broken_rules(&visit).await, [Rule::RegisterAgain; 2]);
}

/// What a wallet does in a whole visit, each with one request.
const STEPS: [&str; 14] = [
    "register",
    "register again",
    "register with a new push token",
    "list",
    "list what changed",
    "fetch the pass",
    "fetch the pass if it changed",
    "register with a wrong token",
    "fetch the pass with a wrong token",
    "send the log",
    "list for a device that was never registered",
    "unregister",
    "unregister again",
    "list after that",
];

/// Returns a header as text, empty if it is missing.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[rstest]
#[case(SimulatedWallet::Passbook, "registrations", "ApplePass", "passd/", ["", ""])]
#[case(SimulatedWallet::WalletPasses, "registrations", "AndroidPass", "WalletPasses/", ["", ""])]
#[case(SimulatedWallet::Passwallet, "registrations_attido", "AttidoPass", "PassWallet/", ["", ""])]
#[case(SimulatedWallet::Pass2u, "registrations", "ApplePass", "okhttp/", ["Passes", ""])]
#[case(SimulatedWallet::PassworksWallet, "registrations", "ApplePass", "okhttp/", ["Passworks", "Passworks"])]
#[case(SimulatedWallet::Other, "registrations", "ApplePass", "okhttp/4.12.0", ["", ""])]
#[tokio::test]
async fn each_wallet_shows_its_signs(
    #[case] wallet: SimulatedWallet,
    #[case] registrations: &str,
    #[case] scheme: &str,
    #[case] user_agent: &str,
    #[case] pass_client: [&str; 2],
) {
    let running = serve_right().await;
    let visit = visit(wallet, &running.url);
    let mut steps = Vec::new();
    simulated_wallet::run(&visit, |exchange| steps.push(exchange.step)).await.unwrap();
    assert_eq!(steps, STEPS);
    let requests = running.service.requests();
    assert_eq!(requests.len(), STEPS.len());
    for (method, target, headers, body) in &requests {
        assert!(header(headers, "user-agent").starts_with(user_agent), "{headers:?}");
        let is_registration = method == Method::POST && !target.ends_with("/v1/log");
        let [in_registrations, elsewhere] = pass_client;
        let expected = if is_registration { in_registrations } else { elsewhere };
        assert_eq!(header(headers, "x-pass-client"), expected, "{target}");
        assert_eq!(header(headers, "content-type").starts_with("application/json"), *body != Value::Null, "{target}");
        if is_registration {
            let path = format!("/wallet/v1/devices/{}/{registrations}/{PASS_TYPE}/", visit.device);
            assert!(target.starts_with(&path), "{target}");
            assert!(header(headers, "authorization").starts_with(&format!("{scheme} ")), "{headers:?}");
            assert_eq!(body.get("pushServiceUrl").is_some(), wallet == SimulatedWallet::Passwallet, "{body}");
        }
    }
}

#[tokio::test]
async fn wallet_passes_falls_back_to_the_registration_of_passwallet() {
    let running = serve(&["ApplePass", "AttidoPass"], |_, _, _| {}).await;
    let visit = visit(SimulatedWallet::WalletPasses, &running.url);
    assert_eq!(broken_rules(&visit).await, []);
    let requests = running.service.requests();
    let (refused, log, registration) = (&requests[0], &requests[1], &requests[2]);
    assert_eq!(header(&refused.2, "authorization"), format!("AndroidPass {TOKEN}"));
    assert!(log.3["logs"][0].as_str().unwrap().starts_with("!!! Wallet Passes for Android not supported."), "{log:?}");
    assert!(registration.1.contains("/registrations_attido/"), "{registration:?}");
    assert_eq!(header(&registration.2, "authorization"), format!("AttidoPass {TOKEN}"));
    assert_eq!(registration.3["pushServiceUrl"], "http://walletpasses.appspot.com/api/attido/");
    for (method, target, headers, _) in &requests[2..] {
        assert!(header(headers, "user-agent").starts_with("PassWallet/Android WalletPasses/"), "{headers:?}");
        if method == Method::DELETE {
            assert!(target.contains("/registrations/"), "{target}");
            assert_eq!(header(headers, "authorization"), format!("ApplePass {TOKEN}"));
        }
    }

    let unregister = Visit { extent: Extent::Unregister, ..visit };
    assert_eq!(broken_rules(&unregister).await, []);
    let refused_by_all = serve(&["Bearer"], |_, _, _| {}).await;
    let unknown = self::visit(SimulatedWallet::WalletPasses, &refused_by_all.url);
    assert_eq!(broken_rules(&unknown).await, [Rule::SuccessStatus]);
    assert_eq!(refused_by_all.service.requests().len(), 3);
}

#[rstest]
#[case::registrations(true)]
#[case::all_others(false)]
#[tokio::test]
async fn a_redirect_is_not_followed(#[case] redirects_registrations: bool) {
    let other = serve_right().await;
    let location = HeaderValue::from_str(&other.url).unwrap();
    let running = serve(SCHEMES, move |asked, _, response| {
        if matches!(asked, Asked::Register { .. }) == redirects_registrations {
            *response = status(StatusCode::PERMANENT_REDIRECT);
            response.headers_mut().insert(LOCATION, location.clone());
        }
    })
    .await;
    for wallet in SimulatedWallet::VARIANTS {
        let broken = broken_rules(&visit(*wallet, &running.url)).await;
        assert!(!broken.is_empty() && broken.iter().all(|rule| *rule == Rule::Redirect), "{broken:?}");
    }
    assert_eq!(other.service.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_each_exchange_and_hides_only_the_token() {
    // An answer repeats the token, in a header, in the body and in what breaks a rule.
    let echoing = serve(SCHEMES, |asked, _, response| {
        if let Asked::Register { .. } = asked {
            *response = status(StatusCode::FOUND);
            response.headers_mut().insert(LOCATION, HeaderValue::try_from(format!("/{TOKEN}")).unwrap());
            *response.body_mut() = json!({ "token": TOKEN }).to_string().into_bytes();
        }
    })
    .await;
    for (more, token) in [(&[][..], "…"), (&["--verbose"][..], TOKEN)] {
        let output = command(SimulatedWallet::Passbook, &echoing.url, more).await;
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{stdout}");
        assert_eq!(stdout.contains(TOKEN), token == TOKEN, "{stdout}");
        for line in [
            format!("  < location: /{token}\n"),
            format!("  < {{\"token\":\"{token}\"}}\n"),
            format!(
                "  ! redirect: The web service answers itself and redirects nowhere. Found: 302 Found to /{token}\n"
            ),
        ] {
            assert!(stdout.contains(&line), "{line}: {stdout}");
        }
    }

    let running = serve_right().await;
    for (more, shows_token) in [(&[][..], false), (&["--verbose"][..], true)] {
        let output = command(SimulatedWallet::Passbook, &running.url, more).await;
        let stdout = text(&output.stdout);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{stdout}");
        assert!(stdout.ends_with("\nno rule was broken\n"), "{stdout}");
        assert_eq!(stdout.contains(TOKEN), shows_token, "{stdout}");
        let token = if shows_token { TOKEN } else { "…" };
        assert!(stdout.contains(&format!("  > authorization: ApplePass {token}\n")), "{stdout}");
        let authorizations: HashSet<&str> = stdout.lines().filter(|line| line.contains("authorization: ")).collect();
        assert_eq!(authorizations.len(), 2, "the pass's token and a wrong one: {authorizations:?}");
        for line in [
            format!("register\n  > POST {}/v1/devices/", running.url),
            "  < 201 Created\n".to_owned(),
            format!("  < {{\"serialNumbers\":[\"{SERIAL_NUMBER}\"],\"lastUpdated\":\"{TAG}\"}}\n"),
            format!("  > if-modified-since: {MODIFIED}\n"),
            "  < 304 Not Modified\n".to_owned(),
        ] {
            assert!(stdout.contains(&line), "{line}: {stdout}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_chooses_device_push_token_and_extent() {
    let running = serve_right().await;
    let device = ["--device", "d1", "--push-token", "p1", "--keep-registered"];
    assert_eq!(command(SimulatedWallet::Passbook, &running.url, &device).await.status.code(), Some(0));
    let registrations = BTreeMap::from([("d1".to_owned(), json!({ "pushToken": "p1" }))]);
    assert_eq!(running.service.registrations(), registrations);
    let unregister = ["--device", "d1", "--unregister"];
    assert_eq!(command(SimulatedWallet::Passbook, &running.url, &unregister).await.status.code(), Some(0));
    assert_eq!(running.service.registrations(), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pass_breaks_a_rule_only_if_one_is_expected() {
    let running = serve(SCHEMES, |asked, _, response| {
        if let Asked::Pass { .. } = asked {
            *response = status(StatusCode::NOT_FOUND);
        }
    })
    .await;
    let output = command(SimulatedWallet::Passbook, &running.url, &[]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("  - no pass is served here\n"), "{output:?}");
    let output = command(SimulatedWallet::Passbook, &running.url, &["--expect-pass"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("  ! pass-status: "), "{output:?}");
}

#[rstest]
#[case::no_server("http://127.0.0.1:1/wallet", &[], "error: http://127.0.0.1:1/wallet cannot be reached: ")]
#[case::no_url("127.0.0.1", &[], "expected http://HOST/PATH or https://HOST/PATH")]
#[case::two_extents("http://127.0.0.1:1", &["--keep-registered", "--unregister"], "cannot be used with")]
#[tokio::test]
async fn a_wrong_argument_and_an_unreachable_web_service_have_a_status_of_their_own(
    #[case] url: &str,
    #[case] more: &[&str],
    #[case] reason: &str,
) {
    let output = command(SimulatedWallet::Passbook, url, more).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    assert!(text(&output.stderr).contains(reason), "{output:?}");
}

/// Accepts TLS connections and forwards them to `address`. Returns the URL, and the file with the certificate.
async fn tls_in_front_of(address: &str) -> (String, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance");
    let (certificate, key) = (format!("{folder}/localhost.pem"), format!("{folder}/localhost.key"));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&certificate).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/wallet", listener.local_addr().unwrap().port());
    let address = address.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, address) = (acceptor.clone(), address.clone());
            tokio::spawn(async move {
                // A client that does not trust the certificate closes the connection.
                if let Ok(mut client) = acceptor.accept(stream).await {
                    let mut server = TcpStream::connect(address).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    (url, certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn https_needs_a_certificate_that_the_system_trusts() {
    let running = serve_right().await;
    let address = running.url.trim_start_matches("http://").trim_end_matches("/wallet");
    let (url, certificate) = tls_in_front_of(address).await;
    let output = command(SimulatedWallet::Passbook, &url, &[]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(" cannot be reached: invalid peer certificate: "), "{output:?}");
    assert!(running.service.requests().is_empty());

    let mut trusting = Command::new(BINARY);
    trusting.args(["wallet", "--as", "passbook", &url, PASS_TYPE, SERIAL_NUMBER, TOKEN]);
    let output = trusting.env("SSL_CERT_FILE", certificate).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!running.service.requests().is_empty());
}

#[tokio::test]
async fn the_documented_rules_are_those_of_the_code() {
    let document = fs::read_to_string(Template::default_path().with_file_name("docs/wallets.md")).unwrap();
    assert!(document.contains(&rules::table()), "run `cargo run -p local -- wallet --rules`");
    let output = Command::new(BINARY).args(["wallet", "--rules"]).output().await.unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), rules::table().as_str()));
}
