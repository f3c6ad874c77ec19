//! One request with its answer, and the rules that the answer breaks.

use std::{
    fmt::{self, Write as _},
    iter,
};

use http::{HeaderName, Request, Response, StatusCode, header::LOCATION};
use hyper::body::Bytes;

use super::{behaviour::SimulatedWallet, rules::Rule};
use crate::client::ServiceUrl;

/// A request with its answer.
#[derive(Debug)]
pub struct Exchange {
    /// What the wallet does with this request.
    pub step: &'static str,
    /// The web service.
    pub service: ServiceUrl,
    /// The request. Its URI is what follows the URL of the web service.
    pub request: Request<Bytes>,
    /// The answer.
    pub answer: Response<Bytes>,
    /// The rules that the answer breaks.
    pub broken: Vec<Broken>,
    /// What else is worth knowing about the answer.
    pub notes: Vec<String>,
}

/// A rule that an answer breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub rule: Rule,
    /// The step whose answer breaks it.
    pub step: &'static str,
    /// What the answer has instead.
    pub found: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, step: _, found } = self;
        write!(formatter, "{rule}: {} Found: {found}", rule.text().sentence)
    }
}

impl Exchange {
    /// Returns the whole exchange as text: the request with `>`, the answer with `<`, notes with `-`, and broken rules
    /// with `!`. `hidden_token` is replaced by `…`, except in the request line, which has the URL of the pass.
    #[must_use]
    pub fn text(&self, hidden_token: Option<&str>) -> String {
        let Self { step, service, request, answer, broken, notes } = self;
        let mut lines = vec![format!("> {} {service}{}", request.method(), request.uri())];
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes());
            lines.push(format!("> {name}: {value}"));
        }
        lines.extend(body_lines('>', request.body()));
        lines.push(format!("< {}", answer.status()));
        for (name, value) in answer.headers() {
            lines.push(format!("< {name}: {}", String::from_utf8_lossy(value.as_bytes())));
        }
        lines.extend(body_lines('<', answer.body()));
        lines.extend(notes.iter().map(|note| format!("- {note}")));
        lines.extend(broken.iter().map(|broken| format!("! {broken}")));
        let request_line = lines.remove(0);
        let lines = lines.iter().map(|line| hide(line, hidden_token));
        iter::once(request_line).chain(lines).fold(format!("{step}\n"), |mut text, line| {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "  {line}");
            text
        })
    }
}

/// Returns the text with `…` instead of the token.
#[must_use]
pub fn hide(text: &str, hidden_token: Option<&str>) -> String {
    match hidden_token {
        Some(token) if !token.is_empty() => text.replace(token, "…"),
        _ => text.to_owned(),
    }
}

/// Returns the lines of a body after an empty line, or the size of a body that is not text.
fn body_lines(mark: char, body: &[u8]) -> Vec<String> {
    match str::from_utf8(body) {
        Ok("") => Vec::new(),
        Ok(text) => {
            let lines = text.lines().map(|line| format!("{mark} {}", printable(line)));
            [mark.to_string()].into_iter().chain(lines).collect()
        }
        Err(_) => vec![mark.to_string(), format!("{mark} {} bytes that are not text", body.len())],
    }
}

/// Escapes control characters, so that a web service cannot control the terminal.
fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut printable, character| {
        if character.is_control() && character != '\t' {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
        printable
    })
}

/// Checks one answer.
#[derive(Debug)]
pub(super) struct Check<'a> {
    wallet: SimulatedWallet,
    step: &'static str,
    pub(super) answer: &'a Response<Bytes>,
    pub(super) broken: Vec<Broken>,
    pub(super) notes: Vec<String>,
}

impl<'a> Check<'a> {
    pub(super) fn new(wallet: SimulatedWallet, step: &'static str, answer: &'a Response<Bytes>) -> Self {
        Self { wallet, step, answer, broken: Vec::new(), notes: Vec::new() }
    }

    /// Reports a broken rule, if the wallet needs it.
    pub(super) fn breaks(&mut self, rule: Rule, found: impl Into<String>) {
        if rule.text().wallets.contain(self.wallet) {
            self.broken.push(Broken { rule, step: self.step, found: printable(&found.into()) });
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn status(&self) -> String {
        self.answer.status().to_string()
    }

    /// Returns a header of the answer as text, or `None` if it is missing or not ASCII.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&'a str> {
        self.answer.headers().get(name)?.to_str().ok()
    }

    /// Whether the wallet takes the status for success: every 2xx or, depending on the wallet, only `documented` ones.
    pub(super) fn is_success(&self, documented: &[StatusCode]) -> bool {
        let status = self.answer.status();
        if self.wallet.takes_every_2xx() { status.is_success() } else { documented.contains(&status) }
    }

    /// Like [`Self::is_success`], but reports a status that the wallet does not take for success: as `rule`, or for a
    /// wallet that takes every 2xx, as the rule about those.
    pub(super) fn succeeds(&mut self, documented: &[StatusCode], rule: Rule) -> bool {
        let is_success = self.is_success(documented);
        if !is_success {
            self.breaks(rule, self.status());
            self.breaks(Rule::SuccessStatus, self.status());
        }
        is_success
    }

    /// Whether the answer is a redirect. A 304 is none.
    pub(super) fn is_redirect(&mut self) -> bool {
        let status = self.answer.status();
        let is_redirect = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
        if is_redirect {
            let location = self.header(&LOCATION).unwrap_or("nowhere");
            self.breaks(Rule::Redirect, format!("{status} to {location}"));
        }
        is_redirect
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"", &[])]
    #[case(b"{\"a\":1}", &["<", "< {\"a\":1}"])]
    #[case(b"one\r\n\ttwo\x1b[2J\n", &["<", "< one", "< \ttwo\\u{1b}[2J"])]
    #[case(b"PK\x03\x04\xff", &["<", "< 5 bytes that are not text"])]
    fn a_body_is_printed_whole_and_without_control_characters(#[case] body: &[u8], #[case] lines: &[&str]) {
        assert_eq!(body_lines('<', body), lines);
    }
}
