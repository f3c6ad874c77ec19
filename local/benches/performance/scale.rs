//! Measures a campaign of a million registrations, to show that a page costs the same as in a small campaign.

use std::time::{Duration, Instant};

use http::{Method, header};
use local::{
    aws::front::{ApiFront, Front as _},
    testing::{
        recorder::{Call, Recorder},
        sandbox::Sandbox,
    },
};

use crate::measure::Measured;

const REGISTRATIONS: usize = 1_000_000;
const SMALL: usize = 1_001;
const PER_PAGE: usize = 500;
const LARGE_CAMPAIGN: &str = "11111111-2222-4333-8444-666666666666";
const SMALL_CAMPAIGN: &str = "11111111-2222-4333-8444-777777777777";

/// The cost of a range of pages.
#[derive(Default)]
struct Stretch {
    times: Vec<Duration>,
    calls: Vec<Call>,
}

/// One page of a listing.
struct Page {
    next: Option<String>,
    total: Option<String>,
    registrations: usize,
}

/// Walks through the large campaign from the first page to the last. Then compares single requests to it with the same
/// requests to a small campaign.
pub(crate) async fn walk() -> Measured<()> {
    let sandbox = Sandbox::start().await?;
    let begin = Instant::now();
    sandbox.load_campaign(LARGE_CAMPAIGN.parse()?, REGISTRATIONS).await?;
    println!("{REGISTRATIONS} registrations loaded and counted in {:.0} s", begin.elapsed().as_secs_f64());
    sandbox.load_campaign(SMALL_CAMPAIGN.parse()?, SMALL).await?;
    let recorder = sandbox.recorder().await?;
    let front = sandbox.recorded_front(&recorder)?;

    println!(
        "\n| pages of {PER_PAGE} | calls a page | read units a page | bytes a page | median |\n|---|---|--:|--:|--:|"
    );
    let pages = REGISTRATIONS / PER_PAGE;
    let mut next = Some(format!("{}?per_page={PER_PAGE}", path(LARGE_CAMPAIGN)));
    let mut listed = 0;
    for stretch in [1..2, 2..100, 100..pages / 2, pages / 2..pages - 1, pages - 1..pages + 1] {
        let mut cost = Stretch::default();
        for _ in stretch.clone() {
            let Some(target) = next else { return Err("the walk ended too early".into()) };
            let page = cost.ask(&front, &recorder, &target).await?;
            next = page.next;
            listed += page.registrations;
            if page.total.as_deref() != Some(&REGISTRATIONS.to_string()) {
                return Err(format!("X-Total is {:?}", page.total).into());
            }
            if next.is_none() {
                break;
            }
        }
        cost.print(&format!("{} to {}", stretch.start, stretch.end - 1));
    }
    if next.is_some() || listed != REGISTRATIONS {
        return Err(format!("{listed} registrations listed").into());
    }

    println!("\n| query | campaign of {SMALL} | campaign of {REGISTRATIONS} |\n|---|---|---|");
    for query in [
        "per_page=50&q[created_at_gteq]=2016-11-09",
        "per_page=50&q[created_at_gteq]=2016-11-09T00:10&q[s]=created_at+desc&q[created_at_lt]=2016-11-09T00:12",
        "per_page=50&q[wallet_eq]=google_wallet",
        "per_page=50&page=15",
        "per_page=50&q[s]=created_at+desc",
    ] {
        let mut costs = Vec::new();
        for campaign in [SMALL_CAMPAIGN, LARGE_CAMPAIGN] {
            let mut cost = Stretch::default();
            cost.ask(&front, &recorder, &format!("{}?{query}", path(campaign))).await?;
            costs.push(cost.summary());
        }
        println!("| `{query}` | {} |", costs.join(" | "));
    }
    Ok(())
}

fn path(campaign: &str) -> String {
    format!("/v2/coupons/{campaign}/registrations")
}

impl Stretch {
    async fn ask(&mut self, front: &ApiFront, recorder: &Recorder, target: &str) -> Measured<Page> {
        let request = http::Request::builder().method(Method::GET).uri(target).header("authorization", "demo");
        let (request, ()) = request.body(())?.into_parts();
        recorder.take().clear();
        let begin = Instant::now();
        let (head, body) = front.answer(request, Vec::new().into(), ([127, 0, 0, 1], 1).into()).await.into_parts();
        self.times.push(begin.elapsed());
        self.calls.extend(recorder.take());
        if !head.status.is_success() {
            return Err(format!("{target}: {}", String::from_utf8_lossy(&body)).into());
        }
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let links = header(header::LINK.as_str()).unwrap_or_default();
        let next = links.split(", ").find_map(|link| link.strip_suffix("; rel=\"next\""));
        let registrations: Vec<serde_json::Value> = serde_json::from_slice(&body)?;
        Ok(Page {
            next: next.map(|link| link.trim_matches(['<', '>']).to_owned()),
            total: header("x-total"),
            registrations: registrations.len(),
        })
    }

    fn units(&self) -> f64 {
        self.calls.iter().map(|call| call.units).sum()
    }

    fn summary(&self) -> String {
        let mut operations: Vec<_> = self.calls.iter().map(|call| call.operation.as_str()).collect();
        operations.sort_unstable();
        format!("{} units: {}", self.units(), operations.join(", "))
    }

    #[expect(clippy::cast_precision_loss, reason = "averages of thousands")]
    fn print(mut self, name: &str) {
        self.times.sort_unstable();
        let (pages, median) = (self.times.len() as f64, self.times[self.times.len() / 2]);
        let bytes = self.calls.iter().map(|call| call.bytes.0 + call.bytes.1).sum::<usize>() as f64 / pages;
        let (calls, units) = (self.calls.len() as f64 / pages, self.units() / pages);
        println!("| {name} | {calls:.2} | {units:.2} | {bytes:.0} | {:.1} ms |", median.as_secs_f64() * 1e3);
    }
}
