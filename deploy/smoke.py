"""Tests a running stack: installs, lists, counts and removes over HTTP and through the queue, and names the functions that fail.

    deploy/smoke ENVIRONMENT                                       # a deployed stack, found by its outputs
    deploy/smoke dev --api URL --queue-url URL --lambda-url URL    # a local stack, with the URLs that `cargo run -p local` prints

It creates a key for the account smoke-test, which is reserved for it, and revokes the key at the end. It uses one campaign of its own and
removes every active registration of that campaign, including those that an interrupted run left.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ACCOUNT = "smoke-test"
NAMESPACE = uuid.UUID("9f0d7f52-3f0e-4c8c-8c55-0b1a3f0f6f9e")
# Functions that can be tested only with a key, or with registrations that were made with one.
NEED_A_KEY = [
    "campaign-reports", "registration-ingest", "pass-registrations", "push-targets", "campaign-registrations", "registration-tally",
    "campaign-recount",
]  # fmt: skip
# How many seconds to wait for a result. Indexes, counts and the queue lag by a few seconds at most; a cold start takes longer.
PATIENCE = 90
# The same for what arrives through the queue or the stream. A new mapping may take several minutes to begin to poll a stream
# (https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html). Also for the recount of another run: after one that was killed, others wait for
# three minutes (docs/operating.md, "Recount").
POLLED_PATIENCE = 300
PAUSE = 0.2


class Failure(Exception):
    """An expectation that was not met."""


class Smoke:
    """One run. Each step depends on as few functions as possible, so that only the broken ones are reported."""

    def __init__(self, environment, api, queue_url, lambda_url, patience):
        self.environment = environment
        self.patience, self.polled_patience = (patience, patience) if patience else (PATIENCE, POLLED_PATIENCE)
        self.api, self.queue_url = api.rstrip("/"), queue_url
        self.functions = boto3.client("lambda", endpoint_url=lambda_url)
        self.key = None
        self.campaign = uuid.uuid5(NAMESPACE, ACCOUNT)
        self.pass_id = uuid.uuid4()
        self.wallet_pass_id = uuid.uuid5(NAMESPACE, "wallet")
        self.campaign_path = f"/v2/coupons/{self.campaign}"
        self.pass_path = self.path_of(self.pass_id)
        # Dictionaries as ordered sets: functions in the order in which they failed or were skipped.
        self.broken, self.not_tried = {}, {}

    def run(self):
        with self.step("api-contract", "serves the contract"):
            contract = self.expect(200, "GET", "/v2/openapi.json")
            expect(str(contract.get("openapi", "")).startswith("3.1"), f"expected OpenAPI 3.1, got {contract.get('openapi')}")
        with self.step("unmatched-route", "answers an unknown path with our error body"):
            answer = self.expect(404, "GET", "/v2/nowhere")
            expect("error_code" in answer, f"expected an error_code, got {answer}")
        with self.step("wallet-web-service", "lists nothing for an unknown device"):
            self.expect(204, "GET", f"/wallet/{ACCOUNT}/v1/devices/{ACCOUNT}/registrations/pass.{ACCOUNT}")
        with self.step("registration-writes", "refuses a request without a key"):
            self.expect(401, "POST", self.pass_path, {})
        with self.step("google-wallet-callback", "refuses a forged callback"):
            self.expect(400, "POST", f"/wallet/{ACCOUNT}/google", {"signedMessage": "{}"})
        with self.step("account-admin", "creates a key"):
            # This fails if the account exists already, so the result is ignored. If there is no account, adding a key fails.
            self.answer("account-admin", {"action": "create_account", "account_id": ACCOUNT, "user_name": ACCOUNT})
            created = self.invoke("account-admin", {"action": "add_key", "account_id": ACCOUNT, "access": "read_write"})
            expect("api_key" in created, f"expected a key, got {created}")
            self.key = created["api_key"]
        campaign = {"campaign_id": str(self.campaign), "campaign_type": "coupons"}
        for what, event in {
            "refuses to change a campaign through its alias": {"action": "set_campaign_type", "account_id": ACCOUNT, **campaign},
            # An account that does not exist, so that a broken function adds no key either.
            "refuses a key for another account through its alias": {"action": "add_key", "account_id": f"not-{ACCOUNT}"},
        }.items():
            with self.step("account-admin", what):
                failed, answer = self.answer("account-admin", event)
                expect(failed and "without an alias" in answer.get("errorMessage", ""), f"expected a refusal, got {answer}")
        if self.key:
            self.run_with_key()
            with self.step("account-admin", "revokes the key"):
                revoke = {"action": "revoke_key", "account_id": ACCOUNT, "key_id": created["key_id"]}
                revoked = self.invoke("account-admin", revoke)
                expect(revoked.get("revoked_at"), f"expected a revoked key, got {revoked}")
        else:
            for function in NEED_A_KEY:
                self.skip(function, "there is no key")

    def run_with_key(self):
        before = None
        with self.step("campaign-reports", "returns the totals"):
            before = self.installs()
        installed = self.install()
        with self.step("pass-registrations", "lists the pass"):
            self.wait(lambda: self.listed(self.pass_path).keys() == installed, f"expected {installed or 'nothing'}")
        with self.step("push-targets", "lists the push targets of the pass"):
            self.wait(lambda: self.push_targets() == installed, f"expected {installed or 'nothing'}")
        with self.step("campaign-registrations", "lists the campaign"):
            for registration in installed or {uuid.uuid4()}:
                path, expected = f"{self.campaign_path}/registrations?q[id_eq]={registration}", installed & {registration}
                self.wait(lambda path=path, expected=expected: self.listed(path).keys() == expected, f"{registration} is not listed")
        if before is None or not installed:
            self.skip("registration-tally", "nothing was installed" if not installed else "there are no totals")
        else:
            with self.step("registration-tally", "counts the installs"):
                expected = before + len(installed)
                # There may be more, because installs of an earlier run may be counted only now.
                self.wait(lambda: self.installs() >= expected, f"expected {expected} installs", self.polled_patience)
        self.use_wallet()
        is_empty = self.remove(installed)
        with self.step("campaign-recount", "counts the campaign"):
            counted = self.recount()
            expect("active_count" in counted, f"expected an active_count, got {counted}")
            expect(counted["active_count"] == 0 or not is_empty, f"expected no active registration, got {counted}")

    def use_wallet(self):
        """Makes a pass known, and registers, lists and unregisters it as a wallet does. Every run uses the same pass, with another token."""
        token, device, serial_number, pass_type = uuid.uuid4().hex, uuid.uuid4().hex, ACCOUNT, f"pass.{ACCOUNT}"
        is_known = False
        with self.step("registration-writes", "makes a pass known to wallets"):
            names = {"serial_number": serial_number, "pass_type_identifier": pass_type, "authentication_token": token}
            result = self.expect(200, "POST", "/v2/registration_events", self.event("created", self.wallet_pass_id) | names)
            expect(result == {"result": "applied"}, f"expected an applied event, got {result}")
            is_known = True
        if not is_known:
            return self.skip("wallet-web-service", "no pass is known to wallets")
        path, authorization = f"/wallet/{ACCOUNT}/v1/devices/{device}/registrations/{pass_type}", f"ApplePass {token}"
        with self.step("wallet-web-service", "registers a pass, lists it and unregisters it"):
            self.expect(201, "POST", f"{path}/{serial_number}", {"pushToken": "smoke-test"}, authorization)
            self.wait(lambda: serial_number in ((self.call("GET", path)[1] or {}).get("serialNumbers", [])), "the pass is not listed")
            self.expect(200, "DELETE", f"{path}/{serial_number}", None, authorization)
            self.wait(lambda: self.call("GET", path)[0] == 204, "the pass is still listed")

    def recount(self):
        """Recounts the campaign and returns the last answer. Invokes the function again while a recount of another run is in progress."""
        answers = []

        def is_over():
            answers.append(self.invoke("campaign-recount", {"campaign_id": str(self.campaign)}))
            return answers[-1].get("outcome") not in {"running", "unfinished"}

        self.wait(is_over, "the recount does not end", self.polled_patience)
        return answers[-1]

    def install(self):
        """Installs over HTTP and through the queue, and returns the ids of the registrations that were installed."""
        installed = set()
        by_http, by_queue = str(uuid.uuid4()), str(uuid.uuid4())
        with self.step("registration-writes", "installs"):
            self.expect(201, "POST", self.pass_path, {"wallet": "passbook", "device_os": "ios", "id": by_http, "push_token": "smoke-test"})
            installed.add(by_http)
        with self.step("registration-ingest", "installs from the queue"):
            self.send(by_queue)
            path = f"{self.campaign_path}/registrations?q[id_eq]={by_queue}"
            # Asks both listings, because one of them may be broken.
            self.wait(lambda: by_queue in self.seen(self.pass_path) | self.seen(path), f"{by_queue} is not listed", self.polled_patience)
            installed.add(by_queue)
        return installed

    def remove(self, installed):
        """Removes these registrations and those that an earlier run left, and returns whether the campaign is known to be empty."""
        with self.step("registration-writes", "removes"):
            paths = dict.fromkeys(installed, self.pass_path)
            for registration, pass_id in self.seen(f"{self.campaign_path}/registrations?per_page=1000").items():
                paths[registration] = self.path_of(pass_id)
            for registration, path in paths.items():
                self.expect(204, "DELETE", f"{path}/{registration}")
            self.wait(lambda: not self.seen(self.pass_path).keys() & installed, "a removed registration is still listed")
            return "campaign-registrations" not in self.broken
        return False

    def invoke(self, function, event):
        """Invokes a function without a route and returns its answer. Raises if it failed."""
        failed, payload = self.answer(function, event)
        expect(not failed, f"the invocation failed with {payload}")
        return payload

    def answer(self, function, event):
        """Invokes a function without a route and returns whether it failed, and its answer."""
        answer = self.functions.invoke(FunctionName=f"{function}-{self.environment}:live", Payload=json.dumps(event))
        return "FunctionError" in answer, json.loads(answer["Payload"].read())

    @contextmanager
    def step(self, function, what):
        try:
            yield
            print(f"ok    {function}: {what}")
        except Exception as failure:  # noqa: BLE001 - after any error the other steps still run, and the verdict names this one
            self.broken[function] = True
            print(f"FAIL  {function}: {what}: {failure}")

    def skip(self, function, why):
        self.not_tried[function] = True
        print(f"-     {function}: not tried, {why}")

    def verdict(self):
        """Returns a sentence that names the broken functions, or `None` if everything works."""
        if not self.broken:
            return None
        not_tried = f" (not tried: {'; '.join(self.not_tried)})" if self.not_tried else ""
        return f"broken: {'; '.join(self.broken)}{not_tried}"

    def installs(self):
        """Returns how many installs are counted, or 0 if the campaign is new."""
        status, answer = self.call("GET", f"{self.campaign_path}/reports/totals")
        expect(status in (200, 404), f"expected totals, got {status} {answer}")
        return answer["report"]["installs_count"] if status == 200 else 0

    def listed(self, path):
        """Returns the pass of each listed registration, by registration id. The result is empty if the campaign or the pass is new."""
        status, answer = self.call("GET", path)
        expect(status in (200, 404), f"expected a listing, got {status} {answer}")
        return {registration["id"]: registration["pass_id"] for registration in answer} if status == 200 else {}

    def push_targets(self):
        """Returns the registrations of the pass that have a push token. The result is empty if the campaign or the pass is new."""
        status, answer = self.call("GET", f"{self.campaign_path}/passes/{self.pass_id}/push_targets")
        expect(status in (200, 404), f"expected push targets, got {status} {answer}")
        return {target["registration_id"] for target in answer} if status == 200 else set()

    def seen(self, path):
        """Returns the same as `listed`, but an empty result if the listing fails."""
        try:
            return self.listed(path)
        except (Failure, OSError):
            return {}

    def path_of(self, pass_id):
        return f"{self.campaign_path}/passes/{pass_id}/registrations"

    def send(self, registration):
        url = urlsplit(self.queue_url)
        sqs = boto3.client("sqs", endpoint_url=f"{url.scheme}://{url.netloc}")
        extra = {"registration_id": registration, "device_os": "ios", "device_app_vendor": "passbook", "push_token": "smoke-test"}
        event = self.event("installed", self.pass_id) | {"event_extra": extra}
        sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(event))

    def event(self, event, pass_id):
        event_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"event": event, "account_id": ACCOUNT, "campaign_id": str(self.campaign), "pass_id": str(pass_id), "event_at": event_at}

    def expect(self, status, method, path, body=None, authorization=None):
        got, answer = self.call(method, path, body, authorization)
        expect(got == status, f"{method} {path}: expected {status}, got {got} {answer}")
        return answer

    def call(self, method, path, body=None, authorization=None):
        request = urllib.request.Request(self.api + path, method=method)
        if authorization or self.key:
            request.add_header("Authorization", authorization or f"Bearer {self.key}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, read(response)
        except urllib.error.HTTPError as error:
            return error.code, read(error)

    def wait(self, holds, otherwise, patience=None):
        patience = patience or self.patience
        end = time.monotonic() + patience
        while True:
            try:
                if holds():
                    return
                failure = ""
            except Failure as failed:
                failure = f": {failed}"
            expect(time.monotonic() < end, f"{otherwise} after {patience:g} s{failure}")
            time.sleep(PAUSE)


def read(response):
    text = response.read().decode()
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def expect(holds, otherwise):
    if not holds:
        raise Failure(otherwise)


def outputs(environment):
    """Returns the outputs of an environment's stack."""
    try:
        [stack] = boto3.client("cloudformation").describe_stacks(StackName=f"registrations-{environment}")["Stacks"]
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"error: the outputs of the stack cannot be read: {error}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", help="an environment of samconfig.toml; dev for a local stack")
    local = parser.add_argument_group("a local stack, with the URLs that it prints")
    local.add_argument("--api", metavar="URL")
    local.add_argument("--queue-url", metavar="URL")
    local.add_argument("--lambda-url", metavar="URL")
    parser.add_argument(
        "--patience",
        type=float,
        help=f"how many seconds to wait for each result (default {PATIENCE}; {POLLED_PATIENCE} for the queue, the stream and a recount)",
    )
    arguments = parser.parse_args()
    urls = (arguments.api, arguments.queue_url, arguments.lambda_url)
    if all(urls):
        # The local stack does not check signatures, but boto3 needs credentials to sign.
        os.environ.update(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION="eu-west-1")
    elif any(urls):
        parser.error("expected all three of --api, --queue-url and --lambda-url, or none")
    else:
        found = outputs(arguments.environment)
        urls = (found["ApiUrl"], found["EventQueueUrl"], None)
    smoke = Smoke(arguments.environment, *urls, arguments.patience)
    smoke.run()
    if verdict := smoke.verdict():
        sys.exit(f"error: {verdict}")
    print("everything works")


if __name__ == "__main__":
    main()
