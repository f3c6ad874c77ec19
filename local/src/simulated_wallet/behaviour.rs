//! The six simulated wallets: what each sends, and which statuses it takes for success.
//!
//! Sources:
//! - **passd**: decompiled code of the iOS wallet daemon (the classes `PDWebServiceConnectionTask`,
//!   `PDRegistrationTask`, `PDGetSerialNumbersTask`, `PDGetPassTask`, `PDLogTask`, `PDWebServicesCoordinator`). Apple
//!   documents none of it.
//! - **WalletPasses**: the decompiled Android app (github.com/bquast/WalletPasses).
//! - **PassWallet**: github.com/Kwiket/passwallet, README, "Push Notifications".
//! - **Pass2U**: <https://www.pass2u.net/apiPushNotification>.
//! - **Passworks**: github.com/passworks/android-wallet-api, README.
//! - **FossWallet**: github.com/SeineEloquenz/fosswallet, `api/PassbookApi.kt`.
//!
//! What is marked *inferred* is not public. The versions in user agents are examples.

use clap::ValueEnum;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use strum::{Display, VariantArray};

/// A wallet to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, ValueEnum, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum SimulatedWallet {
    /// Apple Wallet
    Passbook,
    /// WalletPasses; as PassWallet if the web service does not know the scheme `AndroidPass`
    WalletPasses,
    /// PassWallet by Attido
    Passwallet,
    /// Pass2U Wallet for Android
    Pass2u,
    /// Passworks Wallet, which is deprecated
    PassworksWallet,
    /// An Android wallet without signs of its own, such as FossWallet
    Other,
}

/// The signs of itself that a wallet sends.
#[derive(Debug)]
pub(super) struct SentSigns {
    pub(super) user_agent: &'static str,
    /// The scheme of `Authorization` in a registration.
    pub(super) registration_scheme: &'static str,
    /// The scheme of `Authorization` in every other call that needs the token.
    pub(super) scheme: &'static str,
    /// The part of a registration's path between the device and the pass type.
    pub(super) registration_path: &'static str,
    /// The `pushServiceUrl` in a registration.
    pub(super) push_service_url: Option<&'static str>,
    /// The header `X-Pass-Client`.
    pub(super) pass_client: Option<PassClient>,
    /// The content type of bodies.
    pub(super) content_type: &'static str,
    pub(super) encoding: Encoding,
    /// How the wallet registers if the first registration is answered with one of [`REFUSALS`].
    pub(super) fallback: Option<&'static SentSigns>,
}

/// The header `X-Pass-Client`, and when it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum PassClient {
    InRegistrations(&'static str),
    Always(&'static str),
}

/// How an identifier becomes a part of a path, and a tag the value of a query parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    /// passd encodes each part twice: by `stringByAddingPercentEncodingWithAllowedCharacters` with the characters of
    /// a path, and by `URLByAppendingPathComponent`. A slash is such a character, so it is sent as it is. A tag is
    /// encoded once, with the characters of a query.
    Passd,
    /// Retrofit's `@Path` and `@Query` encode once (`RequestBuilder.java`, `HttpUrl.kt`). For the Android wallets
    /// other than WalletPasses inferred.
    Once,
}

/// The statuses on which WalletPasses registers as PassWallet (its class `dqt`).
pub(super) const REFUSALS: [u16; 3] = [400, 401, 403];

/// The line that WalletPasses logs before it does so.
pub(super) const FALLBACK_LOG: &str =
    "!!! Wallet Passes for Android not supported. Visit http://walletpasses.io/developer for more information.";

const JSON: &str = "application/json";
const JSON_UTF_8: &str = "application/json; charset=UTF-8";

const PASSBOOK: SentSigns = SentSigns {
    // From a public access log of a load balancer, of 2019. CFNetwork adds it.
    user_agent: "passd/1.0 CFNetwork/978.0.7 Darwin/18.6.0",
    registration_scheme: "ApplePass",
    scheme: "ApplePass",
    registration_path: "registrations",
    push_service_url: None,
    pass_client: None,
    content_type: JSON,
    encoding: Encoding::Passd,
    fallback: None,
};

const WALLET_PASSES: SentSigns = SentSigns {
    // Its class `drf`: name and version of the app, then release, model and build of Android.
    user_agent: "WalletPasses/1.4.4 (Linux; U; Android 9; Pixel 2 Build/PQ3A.190801.002)",
    registration_scheme: "AndroidPass",
    scheme: "AndroidPass",
    registration_path: "registrations",
    push_service_url: None,
    pass_client: None,
    content_type: JSON_UTF_8,
    encoding: Encoding::Once,
    fallback: Some(&WALLET_PASSES_AS_PASSWALLET),
};

/// After this registration, `GET` and `DELETE` come with `ApplePass` on the standard path (its class `dqm`).
const WALLET_PASSES_AS_PASSWALLET: SentSigns = SentSigns {
    // Its class `drg` puts the other wallet's name in front of its own.
    user_agent: "PassWallet/Android WalletPasses/1.4.4 (Linux; U; Android 9; Pixel 2 Build/PQ3A.190801.002)",
    registration_scheme: "AttidoPass",
    scheme: "ApplePass",
    registration_path: "registrations_attido",
    push_service_url: Some("http://walletpasses.appspot.com/api/attido/"),
    pass_client: None,
    content_type: JSON_UTF_8,
    encoding: Encoding::Once,
    fallback: None,
};

const PASSWALLET: SentSigns = SentSigns {
    // Inferred: what WalletPasses sends when it registers as PassWallet.
    user_agent: "PassWallet/Android",
    registration_scheme: "AttidoPass",
    // Its README adds only the registration to Apple's web service.
    scheme: "ApplePass",
    registration_path: "registrations_attido",
    // The address of its service is not public.
    push_service_url: Some("https://passwallet.example/push"),
    pass_client: None,
    content_type: JSON_UTF_8,
    encoding: Encoding::Once,
    fallback: None,
};

const PASS2U: SentSigns = SentSigns { pass_client: Some(PassClient::InRegistrations("Passes")), ..OTHER };

const PASSWORKS_WALLET: SentSigns = SentSigns { pass_client: Some(PassClient::Always("Passworks")), ..OTHER };

const OTHER: SentSigns = SentSigns {
    // OkHttp's default (`internal/Util.kt`), because FossWallet sets none. Inferred for the others.
    user_agent: "okhttp/4.12.0",
    registration_scheme: "ApplePass",
    scheme: "ApplePass",
    registration_path: "registrations",
    push_service_url: None,
    pass_client: None,
    content_type: JSON_UTF_8,
    encoding: Encoding::Once,
    fallback: None,
};

impl SimulatedWallet {
    pub(super) const fn signs(self) -> &'static SentSigns {
        match self {
            Self::Passbook => &PASSBOOK,
            Self::WalletPasses => &WALLET_PASSES,
            Self::Passwallet => &PASSWALLET,
            Self::Pass2u => &PASS2U,
            Self::PassworksWallet => &PASSWORKS_WALLET,
            Self::Other => &OTHER,
        }
    }

    /// Whether the wallet takes every 2xx for success (WalletPasses: Retrofit's `isSuccessful`; FossWallet:
    /// OkHttp's), and not only the statuses that Apple documents (passd; inferred for the wallets whose documents
    /// refer to Apple's).
    pub(super) const fn takes_every_2xx(self) -> bool {
        match self {
            Self::WalletPasses | Self::Other => true,
            Self::Passbook | Self::Passwallet | Self::Pass2u | Self::PassworksWallet => false,
        }
    }
}

/// What the wallets encode that encode once: everything except the unreserved characters (RFC 3986, section 2.3).
const ENCODED_ONCE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What passd encodes in a path after its first slash (the complement of `kURLPathAllowedCharacters` in Core
/// Foundation).
const ENCODED_BY_PASSD_IN_PATH: &AsciiSet = &ENCODED_ONCE
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b'=')
    .remove(b'@');
/// What it encodes before that: the colon, too (RFC 3986, section 4.2).
const ENCODED_BY_PASSD_IN_FIRST_PART: &AsciiSet = &ENCODED_BY_PASSD_IN_PATH.add(b':');
/// What it encodes in a query (the complement of `kURLQueryAllowedCharacters` in Core Foundation).
const ENCODED_BY_PASSD_IN_QUERY: &AsciiSet = &ENCODED_BY_PASSD_IN_PATH.remove(b';').remove(b'?');

impl Encoding {
    pub(super) fn path_part(self, text: &str) -> String {
        match self {
            Self::Passd => {
                let (first, rest) = text.split_at(text.find('/').unwrap_or(text.len()));
                let first = utf8_percent_encode(first, ENCODED_BY_PASSD_IN_FIRST_PART);
                let once: String = first.chain(utf8_percent_encode(rest, ENCODED_BY_PASSD_IN_PATH)).collect();
                once.replace('%', "%25")
            }
            Self::Once => utf8_percent_encode(text, ENCODED_ONCE).to_string(),
        }
    }

    pub(super) fn query_value(self, text: &str) -> String {
        let encoded = match self {
            Self::Passd => ENCODED_BY_PASSD_IN_QUERY,
            Self::Once => ENCODED_ONCE,
        };
        utf8_percent_encode(text, encoded).to_string()
    }
}

#[cfg(test)]
mod tests {
    use domain::wallet::Wallet;
    use rstest::rstest;

    use super::*;

    #[test]
    fn each_wallet_has_the_name_that_the_api_gives_it() {
        for wallet in SimulatedWallet::VARIANTS {
            let name = wallet.to_string();
            assert!(name.parse::<Wallet>().is_ok(), "{name}");
            assert_eq!(wallet.to_possible_value().unwrap().get_name(), name);
        }
    }

    #[rstest]
    #[case("a-B_9.~", "a-B_9.~", "a-B_9.~")]
    #[case("a b", "a%2520b", "a%20b")]
    #[case("a/b", "a/b", "a%2Fb")]
    #[case("50%", "50%2525", "50%25")]
    #[case("a:b/c:d", "a%253Ab/c:d", "a%3Ab%2Fc%3Ad")]
    #[case("é;?#", "%25C3%25A9%253B%253F%2523", "%C3%A9%3B%3F%23")]
    fn an_identifier_is_encoded_twice_by_passd_and_once_by_the_others(
        #[case] text: &str,
        #[case] passd: &str,
        #[case] once: &str,
    ) {
        assert_eq!(Encoding::Passd.path_part(text), passd);
        assert_eq!(Encoding::Once.path_part(text), once);
    }

    #[test]
    fn passd_sends_a_tag_with_raw_delimiters() {
        let tag = "2026-11-27T12:00:00+00:00&=/% #";
        assert_eq!(Encoding::Passd.query_value(tag), "2026-11-27T12:00:00+00:00&=/%25%20%23");
        assert_eq!(Encoding::Once.query_value(tag), "2026-11-27T12%3A00%3A00%2B00%3A00%26%3D%2F%25%20%23");
    }
}
