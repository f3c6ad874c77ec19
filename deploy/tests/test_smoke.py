"""The smoke test, against the local stack: whole, and with each function broken in turn."""

import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stack

LOCAL = stack.ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "local"
PASS = r"/v2/coupons/[^/]+/passes/[^/]+/registrations"


@pytest.fixture(scope="module")
def local():
    """Where the stack of `cargo run -p local` answers."""
    with subprocess.Popen(
        [LOCAL, "--port", "0", "--ephemeral"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        found = {}
        for line in process.stdout:
            name, _, value = line.partition(" ")
            found[name] = value.strip()
            if line.startswith("Ctrl-C"):
                break
        yield found
        process.terminate()
        process.stdout.read()


def smoke(local, api=None, queue_url=None, lambda_url=None, environment="dev", patience=60):
    urls = {"api": api or local["API"], "queue-url": queue_url or local["Queue"], "lambda-url": lambda_url or local["Lambda"]}
    arguments = [environment, *(part for name, url in urls.items() for part in (f"--{name}", url))]
    run = subprocess.run(
        [sys.executable, stack.ROOT / "deploy" / "smoke.py", *arguments, "--patience", str(patience)],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in run.stderr, run.stderr
    return run


def broken(run):
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stderr.strip().removeprefix("error: broken: ").split("; ")


def test_a_whole_stack_passes_twice(local):
    for _ in range(2):
        run = smoke(local)
        assert run.returncode == 0, run.stdout + run.stderr
        assert run.stdout.splitlines()[-1] == "everything works"


@pytest.mark.parametrize(
    ("method", "path", "function"),
    [
        ("GET", "/v2/openapi.json", "api-contract"),
        ("GET", "/v2/nowhere", "unmatched-route"),
        ("POST", PASS, "registration-writes"),
        ("DELETE", PASS + "/.*", "registration-writes"),
        ("GET", PASS, "pass-registrations"),
        ("GET", r"/v2/coupons/[^/]+/registrations.*", "campaign-registrations"),
        ("GET", r"/v2/coupons/[^/]+/reports/totals", "registration-tally, campaign-reports"),
    ],
)
def test_a_broken_function_is_named(local, method, path, function):
    with breaking(local["API"], method, path) as api:
        assert function in broken(smoke(local, api=api, patience=1))


def test_a_queue_that_feeds_nobody_is_named(local):
    assert "registration-ingest" in broken(smoke(local, queue_url="http://127.0.0.1:1/nobody", patience=1))


def test_functions_without_a_route_are_named(local):
    # Of another environment there is no function here.
    run = smoke(local, environment="staging", patience=1)
    assert {"account-admin", "campaign-recount"} <= set(broken(run))


class breaking:
    """A proxy of the API that answers 500 where method and path match."""

    def __init__(self, api, method, path):
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self):
                if self.command == method and re.fullmatch(path, self.path):
                    return self.reply(500, b'{"message":"Internal Server Error"}')
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = urllib.request.Request(api + self.path, data=body or None, method=self.command)
                for name in ("Authorization", "Content-Type"):
                    if name in self.headers:
                        request.add_header(name, self.headers[name])
                try:
                    with urllib.request.urlopen(request, timeout=30) as response:
                        return self.reply(response.status, response.read())
                except urllib.error.HTTPError as error:
                    return self.reply(error.code, error.read())

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names of http.server

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
