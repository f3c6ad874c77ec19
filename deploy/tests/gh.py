"""A stand-in for the GitHub CLI, for the commands of docs/deploying.md.

It accepts only the calls that are listed here, in the form that GitHub documents, and keeps what they set. When a run is watched or approved, it
runs the steps of deploy-environment.yml with the variables that were set, except for the smoke test of an environment that has no local stack.
It shows that the commands fit the documentation, each other and the workflow. It cannot show what GitHub's own settings refuse.

- repo create, api, variable set, run list, run watch, run view: https://cli.github.com/manual
- environments: https://docs.github.com/en/rest/deployments/environments, branch policies: …/deployments/branch-policies,
  repositories: …/repos/repos, users: …/users/users, pending deployments: …/actions/workflow-runs
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

USER_ID, REPOSITORY_ID, RUN_ID = 123456, 456789, 17
ENVIRONMENT_IDS = {"dev": 1, "staging": 2, "prod": 3}
# The jq filters of the page, as functions of the answer.
FILTERS = {
    ".id": lambda answer: answer["id"],
    ".name": lambda answer: answer["name"],
    r'"\(.owner.login)@\(.owner.id)/\(.name)@\(.id)"': lambda a: f"{a['owner']['login']}@{a['owner']['id']}/{a['name']}@{a['id']}",
    ".protection_rules[].type": lambda answer: "\n".join(rule["type"] for rule in answer["protection_rules"]),
    # The CLI prints nothing for null.
    ".[0].databaseId": lambda answer: answer[0]["databaseId"] if answer else "",
    ".[].environment.id": lambda answer: "\n".join(str(pending["environment"]["id"]) for pending in answer),
    ".[].environment": lambda answer: "\n".join(deployment["environment"] for deployment in answer),
}


def main(arguments):
    parser = argparse.ArgumentParser(prog="gh", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    repo = commands.add_parser("repo").add_subparsers(required=True).add_parser("create", allow_abbrev=False)
    repo.add_argument("name")
    repo.add_argument("--private", action="store_true", required=True)
    repo.add_argument("--source", required=True)
    repo.add_argument("--remote", required=True)
    repo.set_defaults(run=create_repository)
    api = commands.add_parser("api", allow_abbrev=False)
    api.add_argument("path")
    api.add_argument("--method")
    api.add_argument("--jq", required=True)
    api.add_argument("-f", "--raw-field", action="append", default=[], type=lambda field: parse(field, typed=False))
    api.add_argument("-F", "--field", action="append", default=[], type=lambda field: parse(field, typed=True))
    api.set_defaults(run=call)
    variable = commands.add_parser("variable").add_subparsers(required=True).add_parser("set", allow_abbrev=False)
    variable.add_argument("name")
    variable.add_argument("--env", required=True)
    variable.add_argument("--body", required=True)
    variable.set_defaults(run=of_repository(set_variable))
    runs = commands.add_parser("run").add_subparsers(required=True)
    listing = runs.add_parser("list", allow_abbrev=False)
    for name in ("--workflow", "--commit", "--limit", "--json", "--jq"):
        listing.add_argument(name, required=True)
    listing.set_defaults(run=of_repository(list_runs))
    watch = runs.add_parser("watch", allow_abbrev=False)
    watch.add_argument("run_id", type=int)
    watch.set_defaults(run=of_repository(watch_run))
    view = runs.add_parser("view", allow_abbrev=False)
    view.add_argument("run_id", type=int)
    view.add_argument("--log", action="store_true", required=True)
    view.set_defaults(run=of_repository(view_log))
    arguments = parser.parse_args(arguments)
    state = Path(os.environ["GH_STATE"])
    github = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {"environments": {}, "deployed": []}
    arguments.run(github, arguments)
    state.write_text(json.dumps(github), encoding="utf-8")


def of_repository(run):
    """Wraps a command that acts on a repository: GH_REPO has to name it, because with several remotes the CLI does not take `origin` first."""

    def checked(github, arguments):
        expect(os.environ.get("GH_REPO"), github["repository"])
        run(github, arguments)

    return checked


def create_repository(github, arguments):
    bare = Path(os.environ["GH_STATE"]).with_name("github.git")
    subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
    subprocess.run(["git", "-C", arguments.source, "remote", "add", arguments.remote, bare], check=True)
    github["repository"] = arguments.name


def parse(field, *, typed):
    """Parses `key[subkey]=value` into the keys and the value. With -F the words true, false and null, and integers, are JSON values."""
    name, value = field.split("=", 1)
    keys = re.findall(r"[^][]+|(?<=\[)(?=\])", name)
    if typed and re.fullmatch(r"true|false|null|\d+", value):
        value = json.loads(value)
    return keys, value


def body_of(fields):
    """Returns the JSON body of fields. As in the CLI, a repeated `key[][subkey]` begins the next element only if the last one has that subkey."""
    body = {}
    for keys, value in fields:
        match keys:
            case [key]:
                body[key] = value
            case [key, ""]:
                body.setdefault(key, []).append(value)
            case [key, subkey]:
                body.setdefault(key, {})[subkey] = value
            case [key, "", subkey]:
                elements = body.setdefault(key, [])
                if not elements or subkey in elements[-1]:
                    elements.append({})
                elements[-1][subkey] = value
            case _:
                raise ValueError(f"a field of an unknown form: {keys}")
    return body


def call(github, arguments):
    body = body_of(arguments.raw_field + arguments.field)
    method = arguments.method or ("POST" if body else "GET")
    repository = f"repos/{github['repository']}"
    for known, path, answer in CALLS:
        found = re.fullmatch(path.format(repository=repository), arguments.path)
        if known == method and found:
            print(FILTERS[arguments.jq](answer(github, body, *found.groups())))
            return
    raise ValueError(f"{method} {arguments.path} is not a call that GitHub documents, or not one of this repository")


def read_user(_github, body):
    expect(body, {})
    return {"id": USER_ID}


def read_repository(github, body):
    expect(body, {})
    owner, name = github["repository"].split("/")
    return {"id": REPOSITORY_ID, "name": name, "owner": {"login": owner, "id": USER_ID}}


def put_environment(github, body, name):
    reviewers = body.pop("reviewers", [])
    expect(body, {"deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True}})
    for reviewer in reviewers:
        expect(reviewer, {"type": "User", "id": USER_ID})
    environment = github["environments"].setdefault(name, {"branches": [], "variables": {}})
    environment["reviewers"] = reviewers
    rules = [{"type": "required_reviewers"}] if reviewers else []
    return {"name": name, "protection_rules": [*rules, {"type": "branch_policy"}]}


def add_branch_policy(github, body, name):
    expect(body.keys(), {"name"})
    github["environments"][name]["branches"].append(body["name"])
    return {"name": body["name"]}


def list_pending(github, body, run):
    expect((body, int(run)), ({}, RUN_ID))
    return [{"environment": {"id": ENVIRONMENT_IDS[name]}} for name in github["pending"]]


def approve(github, body, run):
    expect(int(run), RUN_ID)
    expect(body.keys(), {"environment_ids", "state", "comment"})
    expect((body["environment_ids"], body["state"]), ([ENVIRONMENT_IDS[name] for name in github["pending"]], "approved"))
    approved = github.pop("pending")
    for name in approved:
        deploy(github, name)
    return [{"environment": name} for name in approved]


CALLS = [
    ("GET", "user", read_user),
    ("GET", "{repository}", read_repository),
    ("PUT", "{repository}/environments/([a-z]+)", put_environment),
    ("POST", "{repository}/environments/([a-z]+)/deployment-branch-policies", add_branch_policy),
    ("GET", "{repository}/actions/runs/([0-9]+)/pending_deployments", list_pending),
    ("POST", "{repository}/actions/runs/([0-9]+)/pending_deployments", approve),
]


def set_variable(github, arguments):
    github["environments"][arguments.env]["variables"][arguments.name] = arguments.body


def list_runs(github, arguments):
    """Prints the run of the commit that was pushed, as on GitHub not at the first time, because the run begins some time after the push."""
    expect((Path(".github/workflows") / arguments.workflow).is_file(), True)
    expect((arguments.limit, arguments.json), ("1", "databaseId"))
    pushed = subprocess.run(["git", "rev-parse", "origin/main"], check=True, capture_output=True, text=True).stdout.strip()
    expect(arguments.commit, pushed)
    runs = [{"databaseId": RUN_ID}] if github.get("asked") == pushed else []
    github["asked"] = pushed
    print(FILTERS[arguments.jq](runs))


def watch_run(github, arguments):
    """Deploys to each environment that was set up and not yet deployed, in the order of the workflow, up to one that waits for reviewers."""
    expect(arguments.run_id, RUN_ID)
    jobs = yaml_parse(Path(".github/workflows/deploy.yml").read_text(encoding="utf-8"))["jobs"]
    github["pending"] = []
    for name in [name for name in jobs if name in github["environments"] and name not in github["deployed"]]:
        if github["environments"][name]["reviewers"]:
            github["pending"].append(name)
            return
        deploy(github, name)


def view_log(github, arguments):
    expect(arguments.run_id, RUN_ID)
    print(github["log"], end="")


def deploy(github, name):
    """Runs the commands of the workflow with the variables of an environment."""
    github["deployed"].append(name)
    environment = github["environments"][name]
    expect(environment["branches"], ["main"])
    [job] = yaml_parse(Path(".github/workflows/deploy-environment.yml").read_text(encoding="utf-8"))["jobs"].values()
    given = {f"${{{{ vars.{variable} }}}}": value for variable, value in environment["variables"].items()}
    for step in job["steps"]:
        with_variables = {key: given.get(value, value) for key, value in step.get("env", {}).items()}
        expect([value for value in with_variables.values() if "vars." in str(value)], [])
        if "configure-aws-credentials" in step.get("uses", ""):
            expect(set(step["with"].values()) - set(given), set())
        if step.get("name") in ("Deploy", "Protect the table and the queues from replacement and deletion") or (
            step.get("name") == "Smoke test" and name == os.environ["LOCAL_ENVIRONMENT"]
        ):
            variables = {**os.environ, "ENVIRONMENT": name, **with_variables}
            output = subprocess.run(["bash", "-euo", "pipefail", "-c", step["run"]], env=variables, capture_output=True, text=True, check=False)
            expect(output.returncode, 0, output.stdout + output.stderr)
            github["log"] = github.get("log", "") + output.stdout


def expect(found, wanted, otherwise=""):
    if found != wanted:
        raise ValueError(f"expected {wanted}, got {found} {otherwise}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, KeyError) as error:
        sys.exit(f"gh: {error!r}")
