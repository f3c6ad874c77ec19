//! Filters: every listing with a good status answers the question that was asked.

use http::StatusCode;
use local::testing::sandbox::Sandbox;
use rstest::rstest;

use crate::{campaign_path, get, pass_path};

/// The registrations of the source document.
const ROWS: [&str; 3] = [
    "ed2951b4-1127-4a96-a2b1-8a73adb4b2db",
    "01ff7401-ba48-4bc4-90ab-714dac0971fd",
    "fe9c5b7a-fd1e-49fd-8467-cd010c28b481",
];

/// The campaign of the source document has three registrations: two of `passbook` on iOS, one of `wallet_passes` on
/// Android, created at 11:09:00.745, 11:11:29.498 and 14:29:11.651 on 2016-11-09.
#[rstest]
#[case::an_offset("q[created_at_gteq]=2016-11-09T12:00:00%2B02:00", &[0, 1, 2])]
#[case::an_offset_whose_plus_became_a_space("q[created_at_gteq]=2016-11-09T12:00:00+02:00", &[0, 1, 2])]
#[case::a_space_instead_of_t("q[created_at_lt]=2016-11-09+12:00Z", &[0, 1])]
#[case::microseconds("q[created_at_eq]=2016-11-09T11:09:00.745000Z", &[0])]
#[case::after_all_in_microseconds("q[created_at_gteq]=2016-11-09T14:29:11.651001Z", &[])]
#[case::a_day("q[created_at_gteq]=2016-11-09&q[created_at_lt]=2016-11-10", &[0, 1, 2])]
#[case::before_1970("q[created_at_gteq]=0001-01-01", &[0, 1, 2])]
#[case::until_9999("q[created_at_lteq]=9999-12-31T23:59:59Z", &[0, 1, 2])]
#[case::nothing_before_1970("q[created_at_lt]=1969", &[])]
#[case::nothing_after_9999("q[created_at_gt]=9999-12-31T23:59:59Z", &[])]
#[case::an_id_in_upper_case("q[pass_id_eq]=22D5B0ED-CC82-4743-A4FB-EE655D928037", &[0])]
#[case::an_empty_field_of_a_form("q[wallet_eq]=&q[device_os_eq]=ios", &[0, 1])]
#[case::a_name_in_upper_case("q[device_os_eq]=IOS", &[0, 1])]
#[case::the_original_spelling("q[wallet_matches]=pass%25", &[0, 1])]
#[case::one_of_several("q[wallet_in][]=passbook&q[wallet_in][]=wallet_passes", &[0, 1, 2])]
#[case::encoded_brackets("q%5Bwallet_in%5D%5B%5D=wallet_passes&q%5Bwallet_in%5D%5B%5D=", &[2])]
#[case::an_order_in_upper_case("q[s]=created_at+DESC", &[2, 1, 0])]
#[case::no_order("q[s]=", &[0, 1, 2])]
#[tokio::test]
async fn a_filter_lists_the_registrations_that_it_means(#[case] query: &str, #[case] rows: &[usize]) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    let answer = get(&sandbox, &format!("{}?{query}", campaign_path())).await;
    let expected: Vec<_> = rows.iter().map(|row| ROWS[*row]).collect();
    assert_eq!(answer.ids(), expected, "{answer:?}");
    assert_eq!(answer.header("x-total"), Some(rows.len().to_string().as_str()));
    let first = get(&sandbox, &answer.link("first").unwrap()).await;
    assert_eq!(first.ids(), answer.ids(), "the canonical form means the same");
}

#[rstest]
#[case::a_misspelt_parameter("perpage=1", "perpage", "is not known, expected one of page, ")]
#[case::another_case("Page=2", "Page", "is not known, expected one of page, ")]
#[case::a_filter_of_another_api("filter[0].field=wallet", "filter[0].field", "is not known, expected one of page, ")]
#[case::seconds_since_1970("q[created_at_gteq]=1893456000", "q[created_at_gteq]", "expected an instant such as")]
#[case::equal_to_a_day("q[created_at_eq]=2016-11-09", "q[created_at_eq]", "use gteq and lt")]
#[case::until_a_day("q[created_at_lteq]=2016-11-09", "q[created_at_lteq]", "use gteq and lt")]
#[case::no_such_wallet("q[wallet_eq]=apple", "q[wallet_eq]", "expected one of passbook, ")]
#[case::no_id("q[id_eq]=1", "q[id_eq]", "expected a UUID")]
#[case::an_unknown_condition("q[colour_eq]=", "q[colour_eq]", "expected q[s], ")]
#[case::an_empty_set("q[wallet_in][]=", "q[wallet_in][]", "expected 1 to 20 different values")]
#[case::an_empty_page("page=", "page", "expected a number")]
#[case::an_empty_cursor("cursor=", "cursor", "expected a cursor")]
#[tokio::test]
async fn a_question_that_cannot_be_answered_is_refused(
    #[case] query: &str,
    #[case] parameter: &str,
    #[case] expected: &str,
) {
    let sandbox = Sandbox::with_first_events().await.unwrap();
    for path in [campaign_path(), pass_path()] {
        let answer = get(&sandbox, &format!("{path}?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let errors = &answer.json()["errors"];
        assert!(errors[parameter][0].as_str().unwrap().contains(expected), "{errors}");
        assert_eq!(errors.as_object().unwrap().len(), 1);
    }
}
