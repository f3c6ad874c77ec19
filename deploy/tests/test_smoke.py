"""Tests the smoke test against the local stack: as it is, and with each function broken in turn."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import boto3
import pytest
import smoke as smoke_test
import stack

PASS = r"/v2/coupons/[^/]+/passes/[^/]+/registrations"


def smoke(local, patience, environment="dev", **urls):
    urls = {"api": local["API"], "queue_url": local["Queue"], "lambda_url": local["Lambda"], **urls}
    options = [part for name, url in urls.items() for part in (f"--{name.replace('_', '-')}", url)]
    return run_smoke([environment, *options, "--patience", str(patience)])


def run_smoke(arguments, **variables):
    run = subprocess.run(
        [sys.executable, stack.ROOT / "deploy" / "smoke.py", *arguments],
        env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in run.stderr, run.stderr
    return run


def assert_works(run):
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "everything works"


def assert_broken(run, verdict):
    assert run.returncode == 1, run.stdout + run.stderr
    assert run.stderr.strip() == f"error: broken: {verdict}", run.stdout


# In seconds: long enough for a result that comes late, and short because the result never comes.
PATIENT, IMPATIENT = 60, 5


def test_a_working_stack_passes_twice(local):
    for _ in range(2):
        assert_works(smoke(local, PATIENT))


@pytest.mark.parametrize(
    ("method", "path", "verdict"),
    [
        ("GET", "/v2/openapi.json", "api-contract"),
        ("GET", "/v2/nowhere", "unmatched-route"),
        ("GET", "/wallet/.*", "wallet-web-service"),
        ("POST", PASS, "registration-writes"),
        ("POST", "/wallet/[^/]+/google", "google-wallet-callback"),
        ("POST", "/wallet/[^/]+/v1/.*", "wallet-web-service"),
        ("DELETE", "/wallet/.*", "wallet-web-service"),
        ("POST", "/v2/registration_events", "registration-writes (not tried: wallet-web-service)"),
        ("DELETE", PASS + "/.*", "registration-writes"),
        ("GET", PASS, "pass-registrations"),
        ("GET", r"/v2/coupons/[^/]+/passes/[^/]+/push_targets", "push-targets"),
        ("GET", r"/v2/coupons/[^/]+/registrations.*", "campaign-registrations"),
        ("GET", r"/v2/coupons/[^/]+/reports/totals", "campaign-reports (not tried: registration-tally)"),
    ],
)
def test_only_the_broken_function_is_reported(local, method, path, verdict):
    with changing(local["API"], method, path, 500, {"message": "Internal Server Error"}) as api:
        assert_broken(smoke(local, IMPATIENT, api=api), verdict)
    assert_works(smoke(local, PATIENT))


def test_counts_that_stand_still_are_reported(local):
    totals = {"report": {"installs_count": 7}}
    with changing(local["API"], "GET", ".*/reports/totals", 200, totals) as api:
        assert_broken(smoke(local, IMPATIENT, api=api), "registration-tally")


def test_a_queue_that_invokes_no_function_is_reported(local, aws):
    queue = boto3.client("sqs", endpoint_url=aws, region_name="eu-west-1").create_queue(QueueName="unread")
    assert_broken(smoke(local, IMPATIENT, queue_url=queue["QueueUrl"]), "registration-ingest")


@pytest.mark.parametrize(
    ("function", "verdict"),
    [
        (
            "account-admin",
            "account-admin (not tried: campaign-reports; registration-ingest; pass-registrations; push-targets; "
            "campaign-registrations; registration-tally; campaign-recount)",
        ),
        ("campaign-recount", "campaign-recount"),
    ],
)
def test_a_broken_function_without_a_route_is_reported(local, function, verdict):
    failed = {"errorType": "Runtime.ExitError", "errorMessage": "exit status: 101"}
    with changing(local["Lambda"], "POST", f".*/{function}-dev.*", 200, failed, ("X-Amz-Function-Error", "Unhandled")) as url:
        assert_broken(smoke(local, IMPATIENT, lambda_url=url), verdict)


def test_a_deployed_stack_is_found_by_its_outputs(local, aws):
    # In a region without other stacks. The outputs of the deployed stack are the URLs of the local stack.
    variables = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-south-1"}
    variables |= {"AWS_ENDPOINT_URL_CLOUDFORMATION": aws, "AWS_ENDPOINT_URL_LAMBDA": local["Lambda"]}
    run = run_smoke(["dev"], **variables)
    assert run.returncode == 1
    assert "error: the outputs of the stack cannot be read" in run.stderr
    outputs = {"ApiUrl": local["API"], "EventQueueUrl": local["Queue"]}
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": url} for name, url in outputs.items()},
    }
    assert outputs.keys() <= stack.template()["Outputs"].keys()
    boto3.client("cloudformation", endpoint_url=aws, region_name="eu-south-1").create_stack(
        StackName="registrations-dev", TemplateBody=json.dumps(template)
    )
    assert_works(run_smoke(["dev"], **variables))


class NewStack(smoke_test.Smoke):
    """A run against a stack whose queue and stream Lambda begins to poll only after a while. Its clock advances when it sleeps."""

    def __init__(self, monkeypatch, polled_after):
        super().__init__("dev", "http://api", "http://queue", "http://lambda", None)
        self.now, self.polled_after = 0, polled_after
        self.by_http, self.by_queue = {}, {}
        self.recounted_after = 0
        monkeypatch.setattr(smoke_test.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(smoke_test.time, "sleep", lambda seconds: setattr(self, "now", self.now + seconds))

    def registrations(self):
        return self.by_http | (self.by_queue if self.now >= self.polled_after else {})

    def installs(self):
        return len(self.registrations()) if self.now >= self.polled_after else 0

    def listed(self, path):
        return {id: pass_id for id, pass_id in self.registrations().items() if "id_eq" not in path or path.endswith(id)}

    def push_targets(self):
        return self.registrations().keys()

    def send(self, registration):
        self.by_queue[registration] = str(self.pass_id)

    def use_wallet(self):
        """Wallets wait for no queue and no stream."""

    def expect(self, status, method, path, body=None):
        if method == "POST":
            self.by_http[body["id"]] = str(self.pass_id)
        else:
            for registrations in (self.by_http, self.by_queue):
                registrations.pop(path.rsplit("/", 1)[-1], None)

    def invoke(self, function, event):
        return {"outcome": "busy", "active_count": 0} if self.now >= self.recounted_after else {"outcome": "running"}


def test_a_queue_and_a_stream_that_are_polled_after_minutes_are_waited_for(monkeypatch):
    run = NewStack(monkeypatch, polled_after=240)
    run.run_with_key()
    assert run.verdict() is None
    run = NewStack(monkeypatch, polled_after=1000)
    run.run_with_key()
    assert run.verdict().startswith("broken: registration-ingest")
    assert run.now < 1000


def test_the_recount_of_another_run_is_waited_for(monkeypatch):
    run = NewStack(monkeypatch, polled_after=0)
    # After a recount that was killed, others wait for three minutes.
    run.recounted_after = 180
    run.run_with_key()
    assert run.verdict() is None
    assert run.now >= 180
    run = NewStack(monkeypatch, polled_after=0)
    run.recounted_after = 1000
    run.run_with_key()
    assert run.verdict() == "broken: campaign-recount"


def test_a_line_is_printed_when_its_step_ends(tmp_path):
    # The log of a workflow shows at what time a line was printed.
    for name in ("deploy/smoke", "deploy/smoke.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(stack.ROOT / name, tmp_path / name)
    python = tmp_path / "target/tools/deploy/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/usr/bin/env bash\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        urls = ["--api", "http://127.0.0.1:1", "--queue-url", silent_url, "--lambda-url", silent_url]
        command = [tmp_path / "deploy/smoke", "dev", *urls]
        with subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True) as run:
            try:
                printed, _, _ = select.select([run.stdout], [], [], PATIENT)
                assert printed
                assert run.stdout.readline().startswith("FAIL  api-contract")
                assert run.poll() is None
            finally:
                run.kill()


class changing:
    """A proxy that answers with this status, body and headers if method and path match, and forwards every other request."""

    def __init__(self, url, method, path, status, body, *headers):
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self):
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.command == method and re.fullmatch(path, unquote(self.path)):
                    return self.reply(status, json.dumps(body).encode(), headers)
                request = urllib.request.Request(url + self.path, data=sent or None, method=self.command)
                for name in ("Authorization", "Content-Type"):
                    if name in self.headers:
                        request.add_header(name, self.headers[name])
                try:
                    with urllib.request.urlopen(request, timeout=30) as response:
                        kept = [(name, value) for name, value in response.headers.items() if name.lower() == "x-amz-function-error"]
                        return self.reply(response.status, response.read(), kept)
                except urllib.error.HTTPError as error:
                    return self.reply(error.code, error.read())

            def reply(self, status, body, headers=()):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
