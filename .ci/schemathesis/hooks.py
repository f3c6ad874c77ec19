"""Gives schemathesis the values and rules that the schemas of the contract cannot express."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, unquote, urlsplit

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData, MalformedJson
from schemathesis.openapi.checks import MissingContentType, RejectedPositiveData, UndefinedStatusCode, UnsupportedMethodResponse

REPORTS = {"getCampaignReport"}
LISTINGS = {"listCampaignRegistrations", "listPassRegistrations"}
WRITES = {"registerPass", "takeEvents"}

# The allowed refusals of requests that conform to the schema. Each row has the operations, the beginning of the parameter's or field's name,
# the beginning of its text in `errors`, and the rule that a schema cannot express.
REFUSALS = [
    (LISTINGS, "page", "expected a page with at most", "the last page that is reachable by its number depends on per_page and offset"),
    (LISTINGS, "q", "expected conditions of at most 2000 bytes", "the length of all conditions together"),
    (REPORTS, "start_date", "expected a day", "the earliest day; the first day must be at or before the last"),
    (REPORTS, "start_date", "expected at most 366 days", "the number of days between start_date and end_date"),
    (REPORTS, "end_date", "expected a day between", "the earliest day"),
    (WRITES, "created_at", "expected an instant", "the earliest and the latest instant; the latest moves with the clock"),
    (WRITES, "event_at", "expected an instant", "the same"),
    (WRITES, "device_library_identifier", "expected 1 to 128 bytes", "a schema counts characters, the table counts bytes"),
    (WRITES, "push_token", "expected 1 to 384 bytes", "the same"),
    (WRITES, "serial_number", "expected 1 to 256 bytes", "the same"),
    (WRITES, "serial_number", "the serial number belongs to another pass", "an earlier event gave it to another pass"),
    (WRITES, "google_object_id", "the Google object belongs to another pass", "the same"),
    (WRITES, "event_extra.device_library_identifier", "expected 1 to 128 bytes", "the same"),
    (WRITES, "event_extra.push_token", "expected 1 to 384 bytes", "the same"),
    (WRITES, "account_id", "expected the caller's own account", "the account comes from the credentials"),
    (WRITES, "campaign_type", "the campaign is one of", "the type that earlier events named"),
]

# The pass that .ci/schemathesis/run creates. Most valid requests of wallets are about it.
PASS = {"pass_type_identifier": "pass.com.example.coupon", "serial_number": "1"}


def is_of_wallets(case):
    return "Wallets" in case.operation.definition.raw["tags"]


def instants():
    """Generates past instants, in the format that wallets send."""
    moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime.now() - timedelta(days=1))
    return moments.map(lambda moment: moment.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z"))


schemathesis.openapi.format("date-time", instants())
schemathesis.openapi.format("account-id", st.just("demo"))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Removes generated cursors from valid requests, because a cursor must come from an earlier answer and cannot be combined with a page.

    Names a known pass in requests of wallets.
    """
    if case.meta.generation.mode.is_positive and case.query:
        case.query.pop("cursor", None)
    if case.meta.generation.mode.is_positive and is_of_wallets(case):
        number = case.path_parameters.get("serial_number", "")
        if len(number) % 3 and "pass_type_identifier" in case.path_parameters:
            case.path_parameters.update({name: value for name, value in PASS.items() if name in case.path_parameters})


def is_allowed_to_wallets(failure, case, response):
    """Returns whether the protocol of wallets demands what is a failure elsewhere. local/tests/stack/wallet_calls.rs tests what is refused."""
    # A wallet takes most answers that are not documented for an outage, so nothing is refused because of a parameter, a content type or an
    # unknown member, and other methods are unknown calls.
    if isinstance(failure, AcceptedNegativeData | UnsupportedMethodResponse):
        return True
    # Generated values are encoded already.
    values = [unquote(str(value)) for value in case.path_parameters.values()]
    if isinstance(failure, RejectedPositiveData):
        # A schema counts characters, the table counts bytes. The gateway refuses a path that cannot be decoded twice. Only Google can sign.
        text = json.dumps([values, case.body if isinstance(case.body, dict) else None], ensure_ascii=False)
        is_callback = case.operation.definition.raw["operationId"] == "receiveGoogleCallback"
        return is_callback or not text.isascii() or "%" in text
    if isinstance(failure, MissingContentType | MalformedJson):
        # A schema cannot say that a response has no body if it does not come from the gateway.
        return response.status_code >= 400 and not response.content
    if isinstance(failure, UndefinedStatusCode):
        # With a slash, or a question mark at which the gateway cuts it, a path may be that of another call.
        return response.status_code == 404 and any(character in value for value in values for character in "/?")
    return False


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Keeps a failure (returns True) unless REFUSALS, or the rule for arrays below, allows it."""
    operation = case.operation.definition.raw["operationId"]
    if is_of_wallets(case):
        return not is_allowed_to_wallets(failure, case, response)
    if isinstance(failure, RejectedPositiveData):
        return not all(
            any(operation in operations and field.startswith(name) and error.startswith(beginning) for operations, name, beginning, _ in REFUSALS)
            for field, errors in response.json()["errors"].items()
            for error in errors
        )
    if isinstance(failure, AcceptedNegativeData) and operation == "takeEvents":
        # In an array each event is refused on its own: the answer is 200 and names the refused ones.
        results = json.loads(response.content)
        return not (isinstance(results, list) and any(result["result"] == "refused" for result in results))
    if isinstance(failure, AcceptedNegativeData) and operation in LISTINGS:
        # A value of another type, such as an empty array, is sent as an empty value, which is no condition.
        query = parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True)
        return not any(name.startswith("q[") and not value for name, value in query)
    return True
