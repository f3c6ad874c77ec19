//! Passes as their issuer and the wallets name them.

use crate::text::{bounded_texts, is_printable};

bounded_texts! {
    /// The serial number of a pass, unique among the passes of one type.
    SerialNumber: 256 bytes, is_printable, "text without control characters";
    /// The pass type identifier, for example `pass.com.example.coupon`. Apple assigns it to the issuer of the passes.
    PassTypeIdentifier: 128 bytes, is_pass_type, "`pass.` and then letters, digits, '.' or '-'";
}

/// A serial number with its pass type: the name of a pass in Apple's protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypedSerialNumber {
    /// The pass type.
    pub pass_type: PassTypeIdentifier,
    /// The serial number.
    pub serial_number: SerialNumber,
}

fn is_pass_type(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    text.strip_prefix("pass.").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pass.com.example.coupon", true)]
    #[case("pass.com.example-2.Coupon", true)]
    #[case("pass.", false)]
    #[case("com.example.coupon", false)]
    #[case("PASS.com.example", false)]
    #[case("pass.com#example", false)]
    #[case("pass.com/example", false)]
    fn a_pass_type_begins_with_pass(#[case] text: &str, #[case] is_valid: bool) {
        assert_eq!(text.parse::<PassTypeIdentifier>().is_ok(), is_valid);
        assert!(format!("pass.{}", "x".repeat(124)).parse::<PassTypeIdentifier>().is_err());
    }
}
