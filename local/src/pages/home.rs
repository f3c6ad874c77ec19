//! The page at `/`, which lists the known campaigns. Only the local stack has this page, because on AWS no function may
//! scan the table.

use aws_sdk_dynamodb::Client;
use domain::campaign::CampaignType;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use maud::{DOCTYPE, html};
use store::keys;

use crate::pages::docs;

/// The largest number of campaigns that the page lists.
const MAX_CAMPAIGNS: usize = 100;

/// The start page of one table.
pub struct HomePage {
    /// A client of the engine.
    pub client: Client,
    /// The name of the table.
    pub table: String,
}

impl HomePage {
    /// Returns the page with the campaigns that are known now. Its status is 503 if the table cannot be read.
    pub async fn answer(&self) -> Response<Vec<u8>> {
        let campaigns = self.campaigns().await;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "Wallet registrations, local" }
                    style { ":root{color-scheme:light dark}body{margin:0 auto;max-width:52rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif}li{overflow-wrap:anywhere}" }
                }
                body {
                    main {
                        h1 { "Wallet registrations" }
                        p { a href=(docs::PATH) { "The API" } ": read about it and try it. User name " code { "demo" } ", API key " code { "demo" } "." }
                        h2 { "Campaigns" }
                        @match &campaigns {
                            Err(problem) => p { "The table cannot be read: " (problem) },
                            Ok(campaigns) if campaigns.is_empty() => p { "No campaign is known yet." },
                            Ok(campaigns) => ul {
                                @for (id, campaign_type) in campaigns {
                                    @let path = format!("/v2/{campaign_type}/{id}");
                                    li {
                                        (id) ", " (campaign_type) ": "
                                        a href=(format!("{path}/reports")) { "report" } ", "
                                        a href=(format!("{path}/registrations")) { "registrations" }
                                    }
                                }
                            },
                        }
                    }
                }
            }
        };
        let is_read = campaigns.is_ok();
        let mut response = Response::new(page.into_string().into_bytes());
        *response.status_mut() = if is_read { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }

    /// Returns the ids and types of up to [`MAX_CAMPAIGNS`] campaigns. A campaign whose type is not known answers under
    /// every type, so it gets the first type.
    async fn campaigns(&self) -> Result<Vec<(String, String)>, String> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression("sk = :campaign")
            .expression_attribute_values(
                ":campaign",
                aws_sdk_dynamodb::types::AttributeValue::S(keys::CAMPAIGN_SK.to_owned()),
            )
            .into_paginator()
            .items()
            .send();
        let mut campaigns = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| error.to_string())?;
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
            if let Some(id) = text(keys::PK).as_deref().and_then(keys::parse_campaign_pk) {
                let campaign_type = text("campaign_type").unwrap_or_else(|| CampaignType::ALL[0].to_string());
                campaigns.push((id.to_string(), campaign_type));
            }
            if campaigns.len() == MAX_CAMPAIGNS {
                break;
            }
        }
        Ok(campaigns)
    }
}
