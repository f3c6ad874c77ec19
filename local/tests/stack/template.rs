//! The template and the code say the same.

use std::{cell::RefCell, collections::BTreeSet};

use local::{sandbox::Sandbox, template::Template};
use serde_json::json;
use shared::{api::route, store::key};

fn template() -> Template {
    Template::read(&Template::default_path()).unwrap()
}

#[test]
fn every_route_of_the_code_is_in_the_template_and_the_other_way_round() {
    let template = template();
    let in_code: BTreeSet<_> =
        route::ALL.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let (caught, routed): (Vec<_>, Vec<_>) =
        template.routes.iter().partition(|route| route.function == "unmatched-route");
    let routed: BTreeSet<_> = routed.into_iter().map(|route| (route.method.clone(), route.path.clone())).collect();
    assert_eq!(routed, in_code);

    let caught: BTreeSet<_> = caught.into_iter().map(|route| (route.method.as_str(), route.path.as_str())).collect();
    let paths = route::ALL.iter().map(|route| ("ANY", route.path)).chain([("ANY", "$default")]);
    assert_eq!(caught, paths.collect(), "what no route takes is answered in our shape");
}

#[tokio::test]
async fn every_function_of_the_template_starts_with_its_variables_and_reads_them_all() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fresh_functions().unwrap();
    for (name, function) in &sandbox.template.functions {
        let variables = sandbox.variables(name);
        let read = RefCell::new(BTreeSet::new());
        let lookup = |variable: &str| {
            read.borrow_mut().insert(variable.to_owned());
            variables.get(variable).cloned()
        };
        match name.as_str() {
            "account-admin" => drop(account_admin::Config::from_lookup(&lookup).unwrap()),
            "api-contract" => drop(api_contract::Config::from_lookup(&lookup).unwrap()),
            "campaign-recount" => drop(campaign_recount::Config::from_lookup(&lookup).unwrap()),
            "campaign-registrations" => drop(campaign_registrations::Config::from_lookup(&lookup).unwrap()),
            "campaign-reports" => drop(campaign_reports::Config::from_lookup(&lookup).unwrap()),
            "pass-registrations" => drop(pass_registrations::Config::from_lookup(&lookup).unwrap()),
            "registration-ingest" => drop(registration_ingest::Config::from_lookup(&lookup).unwrap()),
            "registration-tally" => drop(registration_tally::Config::from_lookup(&lookup).unwrap()),
            "registration-writes" => drop(registration_writes::Config::from_lookup(&lookup).unwrap()),
            "unmatched-route" => drop(unmatched_route::Config::from_lookup(&lookup).unwrap()),
            unknown => panic!("who reads the variables of {unknown}?"),
        }
        let unread: Vec<_> = function.variables.keys().filter(|variable| !read.borrow().contains(*variable)).collect();
        assert!(unread.is_empty(), "{name} does not read {unread:?}");
    }
}

#[test]
fn the_table_has_the_keys_and_indexes_that_the_code_uses() {
    let table = template().table;
    assert_eq!((table.key.hash.as_str(), table.key.range.as_deref()), (key::PK, Some(key::SK)));
    assert_eq!(table.time_to_live.as_deref(), Some(key::EXPIRES_AT));
    let indexes: Vec<_> = table.indexes.iter().collect();
    let [(by_campaign, campaigns), (by_pass, passes)] = indexes.as_slice() else { panic!("expected two indexes") };
    assert_eq!((by_campaign.as_str(), by_pass.as_str()), (key::BY_CAMPAIGN, key::BY_PASS));
    assert_eq!((campaigns.key.hash.as_str(), campaigns.key.range.as_deref()), (key::PK, Some(key::CREATED_AT)));
    assert_eq!((passes.key.hash.as_str(), passes.key.range.as_deref()), (key::PASS, Some(key::CREATED_AT)));
    for index in [campaigns, passes] {
        assert_eq!(index.projected, [key::WALLET, key::DEVICE_OS]);
    }
}

#[test]
fn the_queue_waits_six_times_as_long_as_its_function_may_take() {
    let template = template();
    let [queue] = template.queues.as_slice() else { panic!("expected one queue") };
    assert!(queue.visibility_timeout >= 6 * template.functions[&queue.function].timeout);
    assert!(queue.batch_size <= 10 || !queue.batching_window.is_zero(), "Lambda wants a window for large batches");
}

#[test]
fn the_stream_is_fed_so_that_a_count_can_be_exact() {
    let template = template();
    assert_eq!(template.table.stream_view.as_deref(), Some("NEW_AND_OLD_IMAGES"));
    let [source] = template.streams.as_slice() else { panic!("expected one function on the stream") };
    assert_eq!(source.parallelization_factor, 1, "one batch of a shard at a time");
    assert!(!source.tumbling_window.is_zero(), "or the event does not name its shard");
    let takes = |sk: &str| source.takes(&json!({"dynamodb": {"Keys": {"sk": {"S": sk}}}}));
    assert!(takes(key::CAMPAIGN_SK) && takes("PASS#22d5b0ed-cc82-4743-a4fb-ee655d928037#x"));
    // Counts and checkpoints, or the tally would feed itself.
    assert!(!takes(key::TOTALS_SK) && !takes("COUNTS#2016-11-09") && !takes(key::TALLY_SK) && !takes("PAGE#2"));
}

#[test]
fn a_browser_may_call_from_the_origin_that_a_parameter_names_or_from_none() {
    let whole = std::fs::read_to_string(Template::default_path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yaml");
    let default = "Default: \"*\"";
    assert_eq!(whole.matches(default).count(), 1, "CorsAllowOrigin's");
    for (origin, allowed) in
        [("*", "*"), ("https://example.org", "https://example.org"), ("", "https://nobody.invalid")]
    {
        std::fs::write(&path, whole.replace(default, &format!("Default: \"{origin}\""))).unwrap();
        assert_eq!(Template::read(&path).unwrap().cors.allow_origins, [allowed]);
    }
}

#[test]
fn a_lister_writes_bookmarks_only() {
    let text = std::fs::read_to_string(Template::default_path()).unwrap();
    for (lister, next) in
        [("  CampaignRegistrations:", "  PassRegistrations:"), ("  PassRegistrations:", "  RegistrationWrites:")]
    {
        let resource = text.split(lister).nth(1).and_then(|rest| rest.split(next).next()).unwrap();
        let statements: Vec<_> = resource.split("- Effect: Allow").filter(|part| part.contains("PutItem")).collect();
        let [statement] = statements.as_slice() else { panic!("{lister} one statement that writes") };
        assert!(
            statement.contains(&format!(r#""dynamodb:LeadingKeys": ["{}*"]"#, key::BOOKMARK_PREFIX)),
            "{statement}"
        );
    }
}
