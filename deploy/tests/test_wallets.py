"""Runs docs/wallets.md against the local stack: each block of commands, in the order of the page, and compares what it prints with the block of text
that follows it."""

import os
import re
import subprocess

import stack
from conftest import LOCAL, local_stack
from test_deploying import blocks, matches

PAGE = (stack.ROOT / "docs/wallets.md").read_text(encoding="utf-8")
# `cargo run … --` of the page runs the program that is built already.
CARGO = f'cargo() {{ while [[ $1 != -- ]]; do shift; done; shift; "{LOCAL}" "$@"; }}'


def test_every_command_of_the_page_works_and_prints_what_the_page_shows(tmp_path):
    page = list(blocks(PAGE))
    assert sum(expected is not None for _, _, expected in page) > 5
    with local_stack("--play-google") as urls:
        script = "\n".join(f"printf '\\n=== {line}\\n'\n{commands}" for line, commands, _ in page)
        script = script.replace("http://127.0.0.1:4010", urls["API"]).replace("http://127.0.0.1:PORT", urls["Lambda"])
        script = f"{CARGO}\n{script}"
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    printed = dict(re.findall(r"^=== (\d+)\n(.*?)(?=^=== \d+\n|\Z)", run.stdout, re.MULTILINE | re.DOTALL))
    assert run.returncode == 0, f"the block in line {list(printed)[-1]} failed: {run.stdout[-2000:]}"
    for line, commands, expected in page:
        if expected is not None:
            assert matches(printed[str(line)], expected), f"line {line}: {commands} printed\n{printed[str(line)]}"
