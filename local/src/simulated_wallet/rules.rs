//! The rules that the answers of a web service have to keep, in one table.
//!
//! A rule is what a real device needs, or what the protocol documents. Its source says which of the two. *passd* is
//! decompiled code of the iOS wallet daemon, and *logged* is what passd reports to `/v1/log`; see
//! [`behaviour`](super::behaviour).

use std::fmt;

use strum::{Display, VariantArray};

use super::behaviour::SimulatedWallet;

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, VariantArray)]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the table in `Rule::text` documents each rule")]
pub enum Rule {
    Redirect,
    RegisterStatus,
    RegisterAgain,
    SuccessStatus,
    ListStatus,
    ListBody,
    ListEmpty,
    ListRegistered,
    ListUnregistered,
    ListUnknownDevice,
    TagMissing,
    TagText,
    TagUnchanged,
    PassStatus,
    PassType,
    PassData,
    PassLastModified,
    PassUnchanged,
    WrongToken,
    TokenEcho,
    LogStatus,
    UnregisterStatus,
    UnregisterAgain,
}

/// What a rule demands, of which wallets, and how that is known.
#[derive(Debug)]
pub struct RuleText {
    /// The wallets that need it.
    pub wallets: RuleWallets,
    /// What it demands.
    pub sentence: &'static str,
    /// How that is known.
    pub source: &'static str,
}

/// The wallets that need a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleWallets {
    /// All wallets.
    All,
    /// Those that take only the documented statuses for success.
    DocumentedStatuses,
    /// Those that take every 2xx for success.
    Every2xx,
    /// Only Apple Wallet.
    Passbook,
}

impl RuleWallets {
    /// Whether a wallet is one of them.
    #[must_use]
    pub fn contain(self, wallet: SimulatedWallet) -> bool {
        match self {
            Self::All => true,
            Self::DocumentedStatuses => !wallet.takes_every_2xx(),
            Self::Every2xx => wallet.takes_every_2xx(),
            Self::Passbook => wallet == SimulatedWallet::Passbook,
        }
    }
}

impl fmt::Display for RuleWallets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::All {
            return formatter.write_str("all");
        }
        let names = SimulatedWallet::VARIANTS.iter().filter(|wallet| self.contain(**wallet));
        formatter.write_str(&names.map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

impl Rule {
    /// The table of the rules.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    pub fn text(self) -> RuleText {
        use RuleWallets::{All, DocumentedStatuses, Every2xx, Passbook};
        let (wallets, sentence, source) = match self {
            Self::Redirect => (
                All,
                "The web service answers itself and redirects nowhere.",
                "Wallets differ: OkHttp follows 307 and 308 of a POST or DELETE only since 4.6 (its changelog), and \
                 what passd does is not public.",
            ),
            Self::RegisterStatus => (
                DocumentedStatuses,
                "A registration is answered with 201 or 200.",
                "Apple, Register a Pass for Update Notifications; passd repeats it after any other status.",
            ),
            Self::RegisterAgain => (
                All,
                "A repeated registration is answered with 200, also if it brings a new push token.",
                "Apple, Register a Pass for Update Notifications.",
            ),
            Self::SuccessStatus => (
                Every2xx,
                "A registration, a list, a log and an unregistration are answered with a 2xx status.",
                "WalletPasses and FossWallet: isSuccessful of Retrofit and OkHttp.",
            ),
            Self::ListStatus => (
                DocumentedStatuses,
                "A list is answered with 200 or 204.",
                "Apple, Get the List of Updatable Passes; passd repeats it after any other status.",
            ),
            Self::ListBody => (
                All,
                "The body of a list is a JSON object whose serialNumbers are an array of strings.",
                "Apple, SerialNumbers; logged as: Server response was malformed.",
            ),
            Self::ListEmpty => {
                (All, "If there is no pass to list, the answer is 204.", "Apple, Get the List of Updatable Passes.")
            }
            Self::ListRegistered => (
                All,
                "A list without a tag has every pass that is registered for the device.",
                "Apple, Get the List of Updatable Passes.",
            ),
            Self::ListUnregistered => (
                All,
                "A list has no pass that is not registered for the device.",
                "Logged as: Update requested for unregistered serial number.",
            ),
            Self::ListUnknownDevice => (
                All,
                "The list of a device that was never registered is answered with 204.",
                "Apple, Get the List of Updatable Passes; passd repeats it after 401, 404 and 400.",
            ),
            Self::TagMissing => (
                All,
                "A list has lastUpdated.",
                "Apple, SerialNumbers; logged as: included serial numbers but omitted a lastUpdated tag.",
            ),
            Self::TagText => (
                All,
                "The lastUpdated of a list is a string.",
                "Apple, SerialNumbers; logged as: Server response was malformed.",
            ),
            Self::TagUnchanged => (
                Passbook,
                "If a list has passes, its lastUpdated differs from the tag in the request.",
                "Logged as: the lastUpdated tag remained the same.",
            ),
            Self::PassStatus => (
                All,
                "A pass is answered with 200, or with 304 if the request has If-Modified-Since.",
                "Apple, Send an Updated Pass; passd takes no other status.",
            ),
            Self::PassType => (
                All,
                "The content type of a pass is application/vnd.apple.pkpass.",
                "Apple, PassKit Web Service Reference.",
            ),
            Self::PassData => (All, "A pass is a ZIP archive.", "Logged as: Received invalid pass data."),
            Self::PassLastModified => (
                Passbook,
                "A pass has the header Last-Modified.",
                "Logged as: did not provide a 'last-modified' header.",
            ),
            Self::PassUnchanged => (
                Passbook,
                "An unchanged pass is answered with 304 if If-Modified-Since is its Last-Modified.",
                "Logged as: ignored the 'if-modified-since' header and returned the full unchanged pass data.",
            ),
            Self::WrongToken => (
                All,
                "A call with a wrong authentication token is answered with 401.",
                "Apple, Register a Pass for Update Notifications and Send an Updated Pass.",
            ),
            Self::TokenEcho => (
                All,
                "The answer to a wrong authentication token does not repeat it.",
                "No device reads it, but answers are often logged.",
            ),
            Self::LogStatus => (
                DocumentedStatuses,
                "A log is answered with 200.",
                "Apple, Log a Message; passd repeats it after any other status.",
            ),
            Self::UnregisterStatus => (
                DocumentedStatuses,
                "An unregistration is answered with 200.",
                "Apple, Unregister a Pass for Update Notifications; passd takes 201 too, and repeats it after any \
                 other status, such as 204.",
            ),
            Self::UnregisterAgain => (
                All,
                "An unregistration of what is no longer registered is answered as the first one.",
                "passd repeats a call whose answer was lost, and takes no other status for success.",
            ),
        };
        RuleText { wallets, sentence, source }
    }
}

/// Returns the table as Markdown, as `docs/wallets.md` has it.
#[must_use]
pub fn table() -> String {
    let rows = Rule::VARIANTS.iter().map(|rule| {
        let RuleText { wallets, sentence, source } = rule.text();
        format!("| `{rule}` | {wallets} | {sentence} | {source} |\n")
    });
    let head = "| rule | wallets | what it demands | source |\n|---|---|---|---|\n".to_owned();
    head + &rows.collect::<String>()
}
