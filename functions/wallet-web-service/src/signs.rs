//! Tells the wallets apart by the signs in a registration. Each speaks the same protocol with small differences.
//!
//! | sign, in this order | wallet |
//! |---|---|
//! | header `X-Pass-Client: Passes` | `pass2u` |
//! | header `X-Pass-Client: Passworks` | `passworks_wallet` |
//! | `Authorization: AndroidPass` | `wallet_passes` |
//! | `Authorization: AttidoPass`, or the path `registrations_attido`, with a `pushServiceUrl` at walletpasses.appspot.com | `wallet_passes` |
//! | `Authorization: AttidoPass`, or the path `registrations_attido` | `passwallet` |
//! | `Authorization: WalletUnionPass` or `WalletUnionHMSPass` | `other` |
//! | `User-Agent` has `WalletPasses/` | `wallet_passes` |
//! | `User-Agent` begins with `passd/` | `passbook` |
//! | none of these | `other` |
//!
//! Only Apple Wallet has the user agent `passd/`. Others send `Authorization: ApplePass` too, and WalletUnion has the
//! word `Passbook` in its user agent, so these are no signs of Apple Wallet.

use domain::wallet::{DeviceOs, Wallet};

/// The host of the service that notifies WalletPasses, which registers like PassWallet if its own way fails.
const WALLET_PASSES_HOST: &str = "walletpasses.appspot.com";

/// The parts of a registration that show which wallet sends it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Signs<'a> {
    /// The header `X-Pass-Client`.
    pub(crate) pass_client: Option<&'a str>,
    /// The scheme of the header `Authorization`.
    pub(crate) scheme: Option<&'a str>,
    /// Whether the path is `registrations_attido`.
    pub(crate) is_attido: bool,
    /// The member `pushServiceUrl` of the body.
    pub(crate) push_service_url: Option<&'a str>,
    /// The header `User-Agent`.
    pub(crate) user_agent: Option<&'a str>,
}

impl Signs<'_> {
    /// Returns the wallet.
    #[must_use]
    pub(crate) fn wallet(self) -> Wallet {
        let Self { pass_client, scheme, is_attido, push_service_url, user_agent } = self;
        let user_agent = user_agent.unwrap_or_default();
        match (pass_client, scheme) {
            (Some("Passes"), _) => Wallet::Pass2u,
            (Some("Passworks"), _) => Wallet::PassworksWallet,
            (_, Some("AndroidPass")) => Wallet::WalletPasses,
            (_, scheme) if is_attido || scheme == Some("AttidoPass") => {
                let is_wallet_passes = push_service_url.and_then(host_of) == Some(WALLET_PASSES_HOST);
                if is_wallet_passes { Wallet::WalletPasses } else { Wallet::Passwallet }
            }
            (_, Some("WalletUnionPass" | "WalletUnionHMSPass")) => Wallet::Other,
            _ if user_agent.contains("WalletPasses/") => Wallet::WalletPasses,
            _ if user_agent.starts_with("passd/") => Wallet::Passbook,
            _ => Wallet::Other,
        }
    }
}

/// Returns the operating system of a wallet's device. Only Apple Wallet runs on iOS, and every other wallet that speaks
/// the protocol on Android.
#[must_use]
pub(crate) fn device_os(wallet: Wallet) -> DeviceOs {
    match wallet {
        Wallet::Passbook => DeviceOs::Ios,
        Wallet::GoogleWallet
        | Wallet::WalletPasses
        | Wallet::PassworksWallet
        | Wallet::Pass2u
        | Wallet::Passwallet
        | Wallet::Other => DeviceOs::Android,
    }
}

/// Returns the host in a URL.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.split(':').next()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PASSES: Signs<'_> = Signs {
        pass_client: None,
        scheme: Some("ApplePass"),
        is_attido: false,
        push_service_url: None,
        user_agent: None,
    };
    const AT_WALLET_PASSES: Option<&str> = Some("https://walletpasses.appspot.com/api/v1");

    #[rstest]
    #[case::apple_wallet(Signs { user_agent: Some("passd/1.0 CFNetwork/1410.0.3 Darwin/22.6.0"), ..PASSES }, Wallet::Passbook)]
    #[case::wallet_passes(Signs { scheme: Some("AndroidPass"), user_agent: Some("WalletPasses/1.5 (Android 14)"), ..PASSES }, Wallet::WalletPasses)]
    #[case::wallet_passes_by_scheme(Signs { scheme: Some("AndroidPass"), ..PASSES }, Wallet::WalletPasses)]
    #[case::wallet_passes_by_user_agent(Signs { user_agent: Some("Mozilla/5.0 WalletPasses/1.5"), ..PASSES }, Wallet::WalletPasses)]
    #[case::wallet_passes_like_attido(
        Signs { scheme: Some("AttidoPass"), is_attido: true, push_service_url: AT_WALLET_PASSES, user_agent: Some("PassWallet/Android"), ..PASSES },
        Wallet::WalletPasses
    )]
    #[case::pass_wallet(
        Signs { scheme: Some("AttidoPass"), is_attido: true, push_service_url: Some("https://push.attidomobile.com"), user_agent: Some("PassWallet/1.2"), ..PASSES },
        Wallet::Passwallet
    )]
    #[case::pass_wallet_by_scheme(Signs { scheme: Some("AttidoPass"), ..PASSES }, Wallet::Passwallet)]
    #[case::pass_wallet_by_path(Signs { is_attido: true, ..PASSES }, Wallet::Passwallet)]
    #[case::pass2u(Signs { pass_client: Some("Passes"), user_agent: Some("okhttp/4.9"), ..PASSES }, Wallet::Pass2u)]
    #[case::passworks(Signs { pass_client: Some("Passworks"), ..PASSES }, Wallet::PassworksWallet)]
    #[case::foss_wallet(Signs { user_agent: Some("okhttp/4.12.0"), ..PASSES }, Wallet::Other)]
    #[case::wallet_union(
        Signs { scheme: Some("WalletUnionPass"), user_agent: Some("WalletUnion/1.0 Passbook/1.0 (Linux; Android 14)"), ..PASSES },
        Wallet::Other
    )]
    #[case::wallet_union_of_huawei(Signs { scheme: Some("WalletUnionHMSPass"), ..PASSES }, Wallet::Other)]
    #[case::no_sign(Signs { scheme: None, ..PASSES }, Wallet::Other)]
    #[case::passd_not_at_the_start(Signs { user_agent: Some("not passd/1.0"), ..PASSES }, Wallet::Other)]
    #[case::an_unknown_client(Signs { pass_client: Some("Else"), user_agent: Some("passd/1.0"), ..PASSES }, Wallet::Passbook)]
    fn a_registration_shows_its_wallet(#[case] signs: Signs<'_>, #[case] expected: Wallet) {
        assert_eq!(signs.wallet(), expected);
    }

    #[rstest]
    #[case("https://walletpasses.appspot.com/api/v1", Wallet::WalletPasses)]
    #[case("https://walletpasses.appspot.com:443", Wallet::WalletPasses)]
    #[case("https://walletpasses.appspot.com.example.org/", Wallet::Passwallet)]
    #[case("https://example.org/walletpasses.appspot.com", Wallet::Passwallet)]
    #[case("walletpasses.appspot.com", Wallet::Passwallet)]
    fn only_the_host_of_the_push_service_counts(#[case] url: &str, #[case] expected: Wallet) {
        let signs = Signs { is_attido: true, push_service_url: Some(url), ..PASSES };
        assert_eq!(signs.wallet(), expected);
    }

    #[test]
    fn only_apple_wallet_runs_on_ios() {
        for wallet in Wallet::ALL {
            assert_eq!(device_os(*wallet) == DeviceOs::Ios, *wallet == Wallet::Passbook);
        }
    }
}
