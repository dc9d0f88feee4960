# SPDX-License-Identifier: Apache-2.0
"""Names and messages that would like to speak to a terminal: what keepfs shows of them is text, and stays what it was in JSON."""
import csv
import io
import json
import re
import subprocess
import urllib.parse

import pytest

# An escape sequence, a line end, quotes, a comma, what turns the direction of text, a C1 control.
HOSTILE = "a\x1b[31m\nb\"',\u202e\u009bz"
# What a terminal obeys or reorders; line ends and tabs are the texts' own.
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def hostile_uri(pg):
    return pg.uri(urllib.parse.quote(HOSTILE, safe=""))


@pytest.fixture
def hostile(pg):
    """a database of that name"""
    name = HOSTILE.replace('"', '""')
    pg.sql("postgres", f'CREATE DATABASE "{name}"')
    yield hostile_uri(pg)
    pg.sql("postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


def assert_is_text(what, text):
    found = UNSEEN.search(text)
    assert not found, f"{what}: {text[max(found.start() - 60, 0):found.end() + 60]!r}"


def test_a_database_with_a_hostile_name(new_keepfs, hostile):
    keepfs = new_keepfs({"odd": {"database": hostile}}).mount()
    run = keepfs.backup("odd note='with, \"quotes\"'")["run"]
    for parts in (("status", "health"), ("status", "history.csv"), ("status", "history.jsonl"), ("status", "audit.jsonl"),
                  ("status", "stats.json"), ("status", "metrics.prom"), ("status", "dashboard.html"), ("jobs", str(run), "status"), ("jobs", str(run), "log"),
                  ("jobs", str(run), "progress"), ("backups", "odd", "SHA256SUMS")):
        assert_is_text(parts, keepfs.path(*parts).read_bytes().decode())
    assert run == json.loads(keepfs.text("status", "history.jsonl").splitlines()[0])["run"]
    assert "target completed" in keepfs.text("jobs", str(run), "status")
    for command in (["jobs", "-m", keepfs.mountpoint], ["jobs", "-m", keepfs.mountpoint, run], ["status", "-m", keepfs.mountpoint],
                    ["status", "-m", keepfs.mountpoint, "--json"], ["check"]):
        done = keepfs.run(*command, check=False, conf=command[0] == "check")
        assert_is_text(command, done.stdout + done.stderr)


def test_messages_about_a_hostile_name(new_keepfs, pg):
    """there is no such database, and the server says so with its name"""
    keepfs = new_keepfs({"odd": {"database": hostile_uri(pg)}}).mount()
    status = keepfs.wait_run(keepfs.trigger("odd"))
    assert status["state"] == "failed" and "does not exist" in status["error"]
    keepfs.ask("probe", "now")
    run, = keepfs.history()
    assert HOSTILE.replace("\n", "; ") in run["error"]  # JSON has it as it was
    row = list(csv.DictReader(io.StringIO(keepfs.path("status", "history.csv").read_bytes().decode(), newline="")))[0]
    assert row["error"] == UNSEEN.sub("\ufffd", run["error"])  # CSV what can be shown
    for parts in (("status", "health"), ("status", "history.csv"), ("status", "history.jsonl"), ("status", "metrics.prom"), ("status", "dashboard.html"),
                  ("control", "probe"), ("status", "last-error"), ("jobs", "1", "status"), ("jobs", "1", "log")):
        assert_is_text(parts, keepfs.path(*parts).read_bytes().decode())
    for command in (["jobs", "-m", keepfs.mountpoint], ["jobs", "-m", keepfs.mountpoint, "1"], ["status", "-m", keepfs.mountpoint],
                    ["status", "-m", keepfs.mountpoint, "--json"], ["check"], ["trigger", "-m", keepfs.mountpoint, "--wait", "odd"]):
        done = keepfs.run(*command, check=False, conf=command[0] == "check")
        assert_is_text(command, done.stdout + done.stderr)
    assert_is_text("keepfs.log", (keepfs.state / "keepfs.log").read_text())
    keepfs.unmount()
    done = keepfs.run("run", "odd", check=False)
    assert_is_text("run", done.stdout + done.stderr)


def test_an_answer_that_others_read(keepfs):
    """the last answer of a control file is read by whoever opens it"""
    with pytest.raises(OSError):
        keepfs.write("trigger", "no\u202ejob")
    answer = subprocess.run(["cat", keepfs.path("control", "trigger")], check=True, capture_output=True).stdout.decode()
    assert "no\ufffdjob" in answer
    assert_is_text("control/trigger", answer)
    assert_is_text("last-error", keepfs.text("status", "last-error"))
