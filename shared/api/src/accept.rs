//! Content negotiation: which of several media types a request's `Accept` prefers (RFC 9110, section 12.5.1).

use http::header::ACCEPT;
use lambda_http::Request;

/// Returns the index of the preferred media type in `offered`: the first one with the highest quality, or 0 if none is
/// accepted.
#[must_use]
pub fn preferred(request: &Request, offered: &[&str]) -> usize {
    let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, f32)> = accepted.flat_map(|value| value.split(',')).map(range).collect();
    let mut preferred = (0, 0.0);
    for (place, media_type) in offered.iter().enumerate() {
        let quality = quality(&ranges, media_type);
        if quality > preferred.1 {
            preferred = (place, quality);
        }
    }
    preferred.0
}

/// Returns the quality of a media type. The most specific matching range determines it, not the one with the highest
/// quality.
fn quality(ranges: &[(&str, f32)], media_type: &str) -> f32 {
    let matching = ranges.iter().filter(|(range, _)| is_in(media_type, range));
    matching.max_by_key(|(range, _)| range.len() - range.matches('*').count()).map_or(0.0, |(_, quality)| *quality)
}

fn is_in(media_type: &str, range: &str) -> bool {
    let everything_of = range.strip_suffix("/*");
    range == media_type
        || range == "*/*"
        || everything_of.is_some_and(|kind| media_type.split('/').next() == Some(kind))
}

/// Splits a media range into the range without parameters and its quality: 1 if absent, 0 if it is not a number.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    (range, quality.map_or(1.0, |quality| quality.parse().unwrap_or_default()))
}
