"""What schemathesis cannot know of the API from its contract: values that a schema cannot describe, and rules that it cannot say."""

import json
from datetime import UTC, datetime, timedelta

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

REPORTS = {"getCampaignReport"}
LISTINGS = {"listCampaignRegistrations", "listPassRegistrations"}
WRITES = {"registerPass", "takeEvents"}

# A request that meets the schema may be refused all the same for one of these reasons, told in `errors`.
# Operations, how the parameter or field begins and how its error does, and the rule that a schema cannot say.
REFUSALS = [
    (LISTINGS, "page", "expected a page among the first", "how far a jump leads depends on per_page and offset"),
    (LISTINGS, "q[", "expected at most 256 bytes", "a schema counts characters, the table bytes"),
    (REPORTS, "start_date", "expected a day", "the earliest day, and that the last does not come before the first"),
    (REPORTS, "start_date", "expected at most 366 days", "how many days lie between the two"),
    (REPORTS, "end_date", "expected a day between", "the earliest day"),
    (WRITES, "created_at", "expected an instant", "the earliest and the latest instant; the latter moves with the clock"),
    (WRITES, "event_at", "expected an instant", "the same"),
    (WRITES, "device_library_identifier", "expected 1 to 128 bytes", "a schema counts characters, the table bytes"),
    (WRITES, "push_token", "expected 1 to 384 bytes", "the same"),
    (WRITES, "serial_number", "expected 1 to 256 bytes", "the same"),
    (WRITES, "event_extra.device_library_identifier", "expected 1 to 128 bytes", "the same"),
    (WRITES, "event_extra.push_token", "expected 1 to 384 bytes", "the same"),
    (WRITES, "account_id", "expected the caller's own account", "whose request it is, is in its credentials"),
    (WRITES, "campaign_type", "the campaign is one of", "what earlier events told"),
]


def instants():
    """Instants that have been, as wallets tell them."""
    moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime.now() - timedelta(days=1))
    return moments.map(lambda moment: moment.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z"))


schemathesis.openapi.format("date-time", instants())
schemathesis.openapi.format("account-id", st.just("demo"))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Takes made-up cursors out of requests that are to be accepted: a cursor is an earlier answer's, and never with a page."""
    if case.meta.generation.mode.is_positive and case.query:
        case.query.pop("cursor", None)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Keeps a failure unless it is one of the exceptions above, or the one below."""
    operation = case.operation.definition.raw["operationId"]
    if isinstance(failure, RejectedPositiveData):
        return not all(
            any(operation in operations and field.startswith(name) and error.startswith(beginning) for operations, name, beginning, _ in REFUSALS)
            for field, errors in response.json()["errors"].items()
            for error in errors
        )
    if isinstance(failure, AcceptedNegativeData) and operation == "takeEvents":
        # In an array each event is refused by itself: the answer is 200 and says which were.
        results = json.loads(response.content)
        return not (isinstance(results, list) and any(result["result"] == "refused" for result in results))
    return True
