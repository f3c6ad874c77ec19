//! The template and the code agree.

use std::{cell::RefCell, collections::BTreeSet};

use api::route::{self, GOOGLE_CALLBACKS, Route};
use local::{functions, template::Template, testing::sandbox::Sandbox};
use process::deadline;
use serde_json::json;
use store::{keys, limits};

fn template() -> Template {
    Template::read(&Template::default_path()).unwrap()
}

#[test]
fn every_route_of_the_code_is_in_the_template_and_the_other_way_round() {
    let template = template();
    let in_code = Route::ALL.iter().flat_map(|route| route.methods().iter().map(|method| (*method, route.path())));
    let in_code = in_code.chain([("ANY", route::WALLET_WEB_SERVICE), GOOGLE_CALLBACKS]);
    let in_code: BTreeSet<_> = in_code.map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    let (caught, routed): (Vec<_>, Vec<_>) =
        template.routes.iter().partition(|route| route.function() == Some("unmatched-route"));
    let routed: BTreeSet<_> = routed.into_iter().map(|route| (route.method.clone(), route.path.clone())).collect();
    assert_eq!(routed, in_code);

    let caught: BTreeSet<_> = caught.into_iter().map(|route| (route.method.as_str(), route.path.as_str())).collect();
    let paths = Route::ALL.iter().map(|route| ("ANY", route.path())).chain([("ANY", "$default")]);
    assert_eq!(caught, paths.collect(), "requests that match no route get our own error body");
}

#[tokio::test]
async fn every_function_of_the_template_starts_with_its_variables_and_reads_all_of_them() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fresh_functions().unwrap();
    for (name, function) in &sandbox.template.functions {
        let variables = sandbox.variables(name);
        let read = RefCell::new(BTreeSet::new());
        let lookup = |variable: &str| {
            read.borrow_mut().insert(variable.to_owned());
            variables.get(variable).cloned()
        };
        functions::check_config(name, &lookup).unwrap();
        let unread: Vec<_> = function.variables.keys().filter(|variable| !read.borrow().contains(*variable)).collect();
        assert!(unread.is_empty(), "{name} does not read {unread:?}");
    }
}

#[test]
fn the_table_has_the_keys_and_indexes_that_the_code_uses() {
    let table = template().table;
    assert_eq!((table.key.hash.as_str(), table.key.range.as_deref()), (keys::PK, Some(keys::SK)));
    assert_eq!(table.time_to_live.as_deref(), Some(keys::EXPIRES_AT));
    let indexes: Vec<_> = table.indexes.iter().collect();
    let [(by_campaign, campaigns), (by_device, devices), (by_pass, passes)] = indexes.as_slice() else {
        panic!("expected three indexes");
    };
    assert_eq!(
        [by_campaign, by_device, by_pass].map(|name| name.as_str()),
        [keys::BY_CAMPAIGN, keys::BY_DEVICE, keys::BY_PASS]
    );
    assert_eq!((campaigns.key.hash.as_str(), campaigns.key.range.as_deref()), (keys::PK, Some(keys::CREATED_AT)));
    assert_eq!((passes.key.hash.as_str(), passes.key.range.as_deref()), (keys::PASS, Some(keys::CREATED_AT)));
    for index in [campaigns, passes] {
        assert_eq!(index.projected, [keys::WALLET, keys::DEVICE_OS]);
    }
    assert_eq!((devices.key.hash.as_str(), devices.key.range.as_deref()), (keys::DEVICE, Some(keys::SK)));
    assert_eq!(devices.projected, [keys::PASS_TYPE, keys::SERIAL_NUMBER, keys::CREATED_AT]);
}

#[test]
fn the_queue_hides_messages_for_at_least_six_times_the_timeout_of_the_function() {
    let template = template();
    let [queue] = template.queues.as_slice() else { panic!("expected one queue") };
    assert!(queue.visibility_timeout >= 6 * template.functions[&queue.function].timeout);
    assert!(queue.batch_size <= 10 || !queue.batching_window.is_zero(), "Lambda requires a window for large batches");
}

/// The reasons are in `store::registrations::batch`.
#[test]
fn a_batch_of_throttled_campaigns_leaves_time_for_the_others() {
    let template = template();
    let [queue] = template.queues.as_slice() else { panic!("expected one queue") };
    // Claim, apply, and complete the claim: in each step the last round may be nearly empty.
    let rounds = (queue.batch_size + 3 * (limits::CONCURRENCY - 1)) / limits::CONCURRENCY;
    // The first call reads the accounts.
    let needed = limits::CALL_TIMEOUT * u32::try_from(1 + rounds).unwrap() + deadline::ANSWER_MARGIN;
    assert!(needed <= template.functions[&queue.function].timeout, "{needed:?}");
}

#[test]
fn the_stream_is_configured_so_that_counts_can_be_exact() {
    let template = template();
    assert_eq!(template.table.stream_view.as_deref(), Some("NEW_AND_OLD_IMAGES"));
    let [source] = template.streams.as_slice() else { panic!("expected one function on the stream") };
    assert_eq!(source.parallelization_factor, 1, "one batch of a shard at a time");
    assert!(!source.tumbling_window.is_zero(), "without a window the event does not name its shard");
    let takes = |sk: &str| source.takes(&json!({"dynamodb": {"Keys": {"sk": {"S": sk}}}}));
    assert!(takes(keys::CAMPAIGN_SK) && takes("PASS#22d5b0ed-cc82-4743-a4fb-ee655d928037#x"));
    // The tally writes counts and checkpoints; if the filter let them pass, it would feed itself.
    assert!(!takes(keys::TOTALS_SK) && !takes("COUNTS#2016-11-09") && !takes(keys::TALLY_SK) && !takes("PAGE#2"));
}

#[test]
fn only_pages_of_the_origin_in_the_parameter_may_call() {
    let whole = std::fs::read_to_string(Template::default_path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yaml");
    let default = "Default: \"*\"";
    assert_eq!(whole.matches(default).count(), 1, "only CorsAllowOrigin has this default");
    for (origin, allowed) in
        [("*", "*"), ("https://example.org", "https://example.org"), ("", "https://no-origin.invalid")]
    {
        std::fs::write(&path, whole.replace(default, &format!("Default: \"{origin}\""))).unwrap();
        assert_eq!(Template::read(&path).unwrap().cors.allow_origins, [allowed]);
    }
}

#[test]
fn a_listing_function_may_write_bookmarks_only() {
    let text = std::fs::read_to_string(Template::default_path()).unwrap();
    for (lister, next) in
        [("  CampaignRegistrations:", "  PassRegistrations:"), ("  PassRegistrations:", "  PushTargets:")]
    {
        let resource = text.split(lister).nth(1).and_then(|rest| rest.split(next).next()).unwrap();
        let statements: Vec<_> = resource.split("- Effect: Allow").filter(|part| part.contains("PutItem")).collect();
        let [statement] = statements.as_slice() else { panic!("{lister} expected one statement that writes") };
        assert!(
            statement.contains(&format!(r#""dynamodb:LeadingKeys": ["{}*"]"#, keys::BOOKMARK_PREFIX)),
            "{statement}"
        );
    }
}

#[test]
fn the_log_of_every_function_is_tested_at_every_level() {
    let path = Template::default_path();
    let template = Template::read(&path).unwrap();
    assert_eq!(template.log_levels, ["DEBUG", "INFO", "WARN", "ERROR"]);
    for function in template.functions.keys() {
        let tests = path.with_file_name("functions").join(function).join("tests/runtime.rs");
        let source = std::fs::read_to_string(&tests).unwrap();
        assert!(source.contains("log_levels::expect_filterable_log(FUNCTION, BINARY"), "{}", tests.display());
    }
}
