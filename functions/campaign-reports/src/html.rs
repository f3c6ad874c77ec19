//! A report as an HTML page. Its charts are inline SVG or styled HTML, so the page loads nothing. It follows the
//! reader's light or dark theme, and each chart also has its numbers as text.

use api::{Response, accept};
use domain::{
    counts::{ChangeKind, Counts, Part},
    wallet::{DeviceOs, Wallet},
};
use http::{
    HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY},
};
use lambda_http::Request;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::history::{History, PastDay};

/// The size of a chart in SVG units. The browser scales it to the page.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// The margins of a chart, with numbers on the left and days below.
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 12.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--paper:#fff;--in:#0a66c2;--out:#b35900;--fill:#0a66c222}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--paper:#0d1117;--in:#58a6ff;--out:#f0883e;--fill:#58a6ff33}}\
*{box-sizing:border-box}body{margin:0 auto;max-width:52rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}\
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:0}p{margin:.2rem 0 1rem;color:var(--soft);overflow-wrap:anywhere}\
dl{display:flex;flex-wrap:wrap;gap:.5rem 2rem;margin:0 0 1.5rem}dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.6rem;font-variant-numeric:tabular-nums}\
figure{margin:0 0 2rem}svg{display:block;width:100%;height:auto}svg text{fill:var(--soft);font-size:13px}\
.grid{stroke:var(--line)}.line{fill:none;stroke:var(--in);stroke-width:2}.area{fill:var(--fill)}.in{fill:var(--in)}.out{fill:var(--out)}\
.key::before{content:'';display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px;background:var(--in)}.key.o::before{background:var(--out)}.key{margin-right:1.2em;color:var(--soft);font-size:.9rem}\
details{margin-top:.4rem;color:var(--soft)}table{border-collapse:collapse;font-variant-numeric:tabular-nums;color:var(--ink)}\
th,td{padding:.15rem .9rem .15rem 0;text-align:right;font-weight:400}th[scope=row],thead th:first-child{text-align:left}thead th{color:var(--soft)}\
.bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:.35rem .8rem;align-items:center;margin:.5rem 0 0;padding:0;list-style:none}\
.bars li{display:contents}.bars i{display:block;height:.9rem;background:var(--in);border-radius:2px}@media(max-width:34rem){svg text{font-size:23px}}.bars b{font-weight:400;font-variant-numeric:tabular-nums}";

/// Returns whether a request prefers HTML to JSON, as browsers do.
pub(crate) fn is_preferred(request: &Request) -> bool {
    accept::preferred(request, &["application/json", "text/html"]) == 1
}

/// Returns the page as a response.
pub(crate) fn response(history: &History) -> Response {
    let mut response = Response::new(page(history).into_string().as_str().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn page(history: &History) -> Markup {
    let History { campaign, days } = history;
    let none = Counts::default();
    let last = days.last().map_or(&none, |past| &past.until_its_end);
    let sum = |kind| days.iter().map(|past| past.counts.get(kind, Part::All)).sum::<i64>();
    let period = match (days.first(), days.last()) {
        (Some(first), Some(last)) => format!("{} to {}", first.day, last.day),
        _ => String::new(),
    };
    let wallets: Vec<_> = Wallet::ALL.iter().map(|wallet| (wallet_name(*wallet), Part::Wallet(*wallet))).collect();
    let systems: Vec<_> = DeviceOs::ALL.iter().map(|system| (system_name(*system), Part::DeviceOs(*system))).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Registrations of campaign " (campaign) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Registrations" }
                    p { "Campaign " (campaign) ", " (period) ", days in UTC" }
                    dl {
                        div { dt { "Active" } dd { (last.active(Part::All)) } }
                        div { dt { "Installs" } dd { (sum(ChangeKind::Install)) } }
                        div { dt { "Uninstalls" } dd { (sum(ChangeKind::Uninstall)) } }
                    }
                    (active_over_time(days))
                    (changes_by_day(days))
                    (split("Active by wallet", last, &wallets))
                    (split("Active by operating system", last, &systems))
                }
            }
        }
    }
}

fn active_over_time(days: &[PastDay]) -> Markup {
    let values: Vec<i64> = days.iter().map(|past| past.until_its_end.active(Part::All)).collect();
    let scale = Scale::of(values.iter().copied().max().unwrap_or_default(), 0, days.len());
    let points: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(place, value)| format!("{:.1},{:.1}", scale.middle(place), scale.y(*value)))
        .collect();
    let line = points.join(" ");
    let floor = scale.y(0);
    let area = format!(
        "{:.1},{floor:.1} {line} {:.1},{floor:.1}",
        scale.middle(0),
        scale.middle(days.len().saturating_sub(1))
    );
    let summary = match (values.first(), values.last()) {
        (Some(first), Some(last)) => format!("From {first} to {last} active registrations."),
        _ => String::new(),
    };
    html! {
        figure {
            h2 #active { "Active over time" }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby="active" aria-description=(summary) {
                (scale.grid(days))
                polygon .area points=(area) {}
                polyline .line points=(line) {}
            }
            (numbers(days, &["Active at the end"], |past| vec![past.until_its_end.active(Part::All)]))
        }
    }
}

fn changes_by_day(days: &[PastDay]) -> Markup {
    let of = |past: &PastDay, kind| past.counts.get(kind, Part::All);
    let most = |kind| days.iter().map(|past| of(past, kind)).max().unwrap_or_default();
    let scale = Scale::of(most(ChangeKind::Install), most(ChangeKind::Uninstall), days.len());
    let (zero, width) = (scale.y(0), (scale.step() * 0.72).max(0.5));
    let bar = |place: usize, value: i64| {
        let y = scale.y(value);
        (
            format!("{:.1}", scale.middle(place) - width / 2.0),
            format!("{:.1}", y.min(zero)),
            format!("{:.1}", (y - zero).abs()),
        )
    };
    let total = |kind| days.iter().map(|past| of(past, kind)).sum::<i64>();
    let summary = format!("{} installs, {} uninstalls.", total(ChangeKind::Install), total(ChangeKind::Uninstall));
    html! {
        figure {
            h2 #changes { "Installs and uninstalls per day" }
            span .key { "installs" } span .key.o { "uninstalls" }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby="changes" aria-description=(summary) {
                (scale.grid(days))
                @for (place, past) in days.iter().enumerate() {
                    @for (kind, class, value) in [
                        (ChangeKind::Install, "in", of(past, ChangeKind::Install)),
                        (ChangeKind::Uninstall, "out", -of(past, ChangeKind::Uninstall)),
                    ] {
                        @if value != 0 {
                            @let (x, y, height) = bar(place, value);
                            rect class=(class) x=(x) y=(y) width=(format!("{width:.1}")) height=(height) {
                                title { (past.day) ": " (of(past, kind)) " " (if class == "in" { "installs" } else { "uninstalls" }) }
                            }
                        }
                    }
                }
            }
            (numbers(days, &["Installs", "Uninstalls"], |past| vec![of(past, ChangeKind::Install), of(past, ChangeKind::Uninstall)]))
        }
    }
}

/// Draws a bar for each part, with its number next to it. The numbers are also the text alternative.
fn split(title: &str, counts: &Counts, parts: &[(&str, Part)]) -> Markup {
    let most = parts.iter().map(|(_, part)| counts.active(*part)).max().unwrap_or_default().max(1);
    html! {
        figure {
            h2 { (title) }
            ul .bars {
                @for (name, part) in parts {
                    @let value = counts.active(*part);
                    li {
                        span { (name) }
                        i style=(format!("width:{}%", (value.max(0) * 100).checked_div(most).unwrap_or_default())) {}
                        b { (value) }
                    }
                }
            }
        }
    }
}

/// Writes the numbers of a chart as a table, newest day first.
fn numbers(days: &[PastDay], names: &[&str], values: impl Fn(&PastDay) -> Vec<i64>) -> Markup {
    html! {
        details {
            summary { "As a table" }
            table {
                thead { tr { th scope="col" { "Day" } @for name in names { th scope="col" { (name) } } } }
                tbody {
                    @for past in days.iter().rev() {
                        tr { th scope="row" { (past.day) } @for value in values(past) { td { (value) } } }
                    }
                }
            }
        }
    }
}

/// The scale of a chart: converts numbers and positions of days into SVG units.
struct Scale {
    /// The number at the top.
    top: i64,
    /// The number at the bottom: zero or less.
    bottom: i64,
    days: usize,
}

impl Scale {
    /// Returns the scale for numbers from `-most_below` to `most`.
    fn of(most: i64, most_below: i64, days: usize) -> Self {
        Self { top: round_up(most.max(1)), bottom: -round_up(most_below), days: days.max(1) }
    }

    fn y(&self, value: i64) -> f64 {
        let share = float(self.top - value) / float((self.top - self.bottom).max(1));
        TOP + share * (HEIGHT - TOP - BOTTOM)
    }

    fn step(&self) -> f64 {
        (WIDTH - LEFT) / float(i64::try_from(self.days).unwrap_or(1))
    }

    fn middle(&self, place: usize) -> f64 {
        LEFT + (float(i64::try_from(place).unwrap_or_default()) + 0.5) * self.step()
    }

    /// Draws a line with its number at the top, at half of the top, at zero and at the bottom. Names the first, middle
    /// and last day, or only the first if there are at most two days.
    fn grid(&self, days: &[PastDay]) -> Markup {
        let mut levels = vec![self.top, self.top / 2, 0, self.bottom];
        levels.dedup();
        let places = [(0, "start"), (days.len() / 2, "middle"), (days.len().saturating_sub(1), "end")];
        let shown = if days.len() > 2 { &places[..] } else { &places[..1] };
        html! {
            @for level in levels {
                @let y = format!("{:.1}", self.y(level));
                line .grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                text x=(LEFT - 8.0) y=(y) text-anchor="end" dominant-baseline="middle" { (short(level.abs())) }
            }
            @for (place, anchor) in shown {
                @if let Some(past) = days.get(*place) {
                    @let x = match *anchor { "start" => LEFT, "end" => WIDTH, _ => self.middle(*place) };
                    text x=(format!("{x:.1}")) y=(HEIGHT - 6.0) text-anchor=(anchor) { (past.day) }
                }
            }
        }
    }
}

/// Writes a number, with `k` or `M` if it is a whole number of thousands or millions.
fn short(number: i64) -> String {
    match number {
        1_000_000.. if number % 1_000_000 == 0 => format!("{}M", number / 1_000_000),
        1000.. if number % 1000 == 0 => format!("{}k", number / 1000),
        _ => number.to_string(),
    }
}

/// Rounds up to 0, 1, 2, 4, 6, 10, 20, 40, …, so that half of the result is a whole number, except for 1.
fn round_up(number: i64) -> i64 {
    let mut unit = 1;
    while unit * 10 < number {
        unit *= 10;
    }
    [0, 1, 2, 4, 6, 10].map(|step| step * unit).into_iter().find(|round| *round >= number).unwrap_or(number)
}

#[expect(clippy::cast_precision_loss, reason = "a chart shows no more than three digits of a number")]
fn float(number: i64) -> f64 {
    number as f64
}

fn wallet_name(wallet: Wallet) -> &'static str {
    match wallet {
        Wallet::Passbook => "Apple Wallet",
        Wallet::GoogleWallet => "Google Wallet",
        Wallet::WalletPasses => "Wallet Passes",
        Wallet::PassworksWallet => "Passworks Wallet",
        Wallet::Pass2u => "Pass2U",
        Wallet::Passwallet => "PassWallet",
        Wallet::Other => "Other",
    }
}

fn system_name(system: DeviceOs) -> &'static str {
    match system {
        DeviceOs::Ios => "iOS",
        DeviceOs::Android => "Android",
        DeviceOs::Wp => "Windows Phone",
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use lambda_http::Body;
    use rstest::rstest;
    use store::CampaignCounts;

    use super::*;
    use crate::history::Period;

    #[rstest]
    #[case("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true)]
    #[case("application/json, text/html", false)]
    #[case("*/*", false)]
    #[case("", false)]
    fn a_browser_gets_the_page(#[case] accept: &str, #[case] expected: bool) {
        let mut request = Request::new(Body::Empty);
        request.headers_mut().insert(ACCEPT, accept.parse().unwrap());
        assert_eq!(is_preferred(&request), expected);
    }

    #[test]
    fn numbers_are_rounded_up_to_round_ones() {
        let rounded = [0, 1, 3, 7, 10, 11, 37, 99, 100, 101].map(round_up);
        assert_eq!(rounded, [0, 1, 4, 10, 10, 20, 40, 100, 100, 200]);
    }

    #[test]
    fn round_numbers_are_written_short() {
        assert_eq!([0, 4000, 10_000, 400_000, 2_000_000].map(short), ["0", "4k", "10k", "400k", "2M"]);
    }

    #[test]
    fn a_report_of_a_day_and_one_of_a_year_are_complete_pages() {
        let campaign = "bd69162b-8995-4c89-bdca-898fae6050d0".parse().unwrap();
        for (start, end) in [("2016-11-09", "2016-11-09"), ("2016-01-01", "2016-12-31")] {
            let period = Period { start: start.parse().unwrap(), end: end.parse().unwrap() };
            let history = History::of(campaign, period, &CampaignCounts::default());
            let page = page(&history).into_string();
            assert!(page.starts_with("<!DOCTYPE html>") && page.contains(start) && page.contains("Apple Wallet"));
            assert!(!page.contains("NaN") && !page.contains("inf") && !page.contains("://"), "{page}");
        }
    }
}
