//! The clock of the signatures, which is corrected if DynamoDB refuses one because of its time.
//!
//! DynamoDB refuses a signature whose time is more than five minutes off. Its response has the right time, so the call
//! is signed with it and tried again, as the SDK's own signer does (`aws-runtime`, `service_clock_skew.rs`).

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use aws_sdk_dynamodb::{
    config::{
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction},
    },
    primitives::{DateTime, DateTimeFormat},
};
use aws_smithy_runtime_api::client::{retries::ErrorKind, retries::classifiers::RetryClassifierPriority};
use domain::time::{self, Timestamp};

/// The errors that may mean that a signature's time is wrong.
const REFUSALS: [&str; 5] = [
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AuthFailure",
    "RequestTimeTooSkewed",
    "AccessDeniedException",
];
/// If the clocks differ by at most this many milliseconds, a signature was refused for another reason.
const TOLERANCE: i64 = 4 * 60 * 1000;

/// The clock. Clones share the correction.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    /// By how many milliseconds DynamoDB's clock is ahead of that of this machine.
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// Returns the time at which a request that is sent now is signed.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::nearest(time::now().unix_milliseconds() + self.ahead.load(Ordering::Relaxed))
    }
}

impl ClassifyRetry for Clock {
    fn classify_retry(&self, attempt: &InterceptorContext) -> RetryAction {
        let refusal = attempt.response().filter(|response| response.status().is_client_error());
        let Some(refusal) = refusal else { return RetryAction::NoActionIndicated };
        let body = String::from_utf8_lossy(refusal.body().bytes().unwrap_or_default());
        let date =
            refusal.headers().get("date").and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        let Some(date) = date.filter(|_| REFUSALS.iter().any(|code| body.contains(code))) else {
            return RetryAction::NoActionIndicated;
        };
        let ahead = date.secs().saturating_mul(1000).saturating_sub(time::now().unix_milliseconds());
        self.ahead.store(ahead, Ordering::Relaxed);
        if ahead.abs() <= TOLERANCE {
            return RetryAction::NoActionIndicated;
        }
        RetryAction::retryable_error(ErrorKind::ServerError)
    }

    fn name(&self) -> &'static str {
        "Clock"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::http_status_code_classifier())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use aws_sdk_dynamodb::operation::query::QueryInput;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use rstest::rstest;

    use super::{
        super::canned::{Canned, credentials, response},
        *,
    };

    const HOUR: Duration = Duration::from_hours(1);

    /// A refusal by a server whose clock is ahead of ours.
    fn refusal(code: &str, ahead: Duration) -> HttpResponse {
        let body = format!(r#"{{"__type":"com.amazon.coral.service#{code}","message":"Signature expired"}}"#);
        let mut response = response(400, &body);
        let date = DateTime::from(SystemTime::now() + ahead).fmt(DateTimeFormat::HttpDate).unwrap();
        response.headers_mut().insert("date", date);
        response
    }

    #[tokio::test]
    async fn a_signature_that_is_refused_for_its_time_is_made_again_with_the_time_of_the_server() {
        let server =
            Canned::new([refusal("InvalidSignatureException", HOUR), response(200, "{}"), response(200, "{}")]);
        let client = server.client(credentials());
        let begin = time::now().unix_seconds();
        for _ in 0..2 {
            client.send(QueryInput::builder().table_name("table")).await.unwrap();
        }
        let signed_at: Vec<i64> =
            server.requests().iter().map(|request| signing_time(request.headers().get("x-amz-date"))).collect();
        let ahead: Vec<i64> = signed_at.iter().map(|at| (at - begin + 60) / 3600).collect();
        assert_eq!(ahead, [0, 1, 1], "{signed_at:?} after {begin}");
    }

    /// Parses `20261127T164042Z`.
    fn signing_time(text: Option<&str>) -> i64 {
        let text = text.unwrap();
        let parts = [&text[..4], "-", &text[4..6], "-", &text[6..11], ":", &text[11..13], ":", &text[13..]];
        DateTime::from_str(&parts.concat(), DateTimeFormat::DateTime).unwrap().secs()
    }

    #[rstest]
    #[case::of_a_wrong_secret("InvalidSignatureException", Duration::ZERO)]
    #[case::of_something_else("ConditionalCheckFailedException", HOUR)]
    #[tokio::test]
    async fn another_refusal_is_final(#[case] code: &str, #[case] ahead: Duration) {
        let server = Canned::new([refusal(code, ahead)]);
        let client = server.client(credentials());
        client.send(QueryInput::builder().table_name("table")).await.unwrap_err();
        assert_eq!(server.requests().len(), 1);
    }
}
