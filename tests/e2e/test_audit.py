# SPDX-License-Identifier: Apache-2.0
"""The chain of the audit: `keepfs audit verify` finds what somebody changed, removed or cut off, wherever the lines are."""
import gzip
import hashlib
import json
import re
import sqlite3
import subprocess

import pytest

import daemon

RECIPE = re.compile(r"    \$ cat audit\.py\n((?:    .*\n|\n)+?)    \$ zcat")


def audit(keepfs, *words, check=True):
    return keepfs.run("audit", *words, check=check)


def verified(keepfs, *words):
    return json.loads(audit(keepfs, "verify", "--json", *words, check=False).stdout)


def read_all(keepfs):
    """lines: of a backup, of a read, of a probe"""
    keepfs.backup()
    for name in keepfs.artifacts():
        keepfs.path("backups", "full", name).read_bytes()
    daemon.wait_until(lambda: '"read"' in keepfs.text("status", "audit.jsonl"), "the line of that read")


def change(keepfs, statement):
    """by somebody who has the host; while no daemon runs"""
    with sqlite3.connect(keepfs.state / "catalog.db") as catalog:
        catalog.execute(statement)
    catalog.close()


def of_catalog(keepfs, statement):
    catalog = keepfs.catalog()
    try:
        return catalog.execute(statement).fetchone()
    finally:
        catalog.close()


def test_all_lines_are_proven_while_the_daemon_runs(keepfs):
    read_all(keepfs)
    number, digest = audit(keepfs, "head").stdout.strip().split(":")
    assert json.loads(audit(keepfs, "head", "--json").stdout) == {"number": int(number), "sha256": digest}
    newest = keepfs.text("status", "audit.jsonl").splitlines()[0]
    assert json.loads(newest)["number"] == int(number) and hashlib.sha256(newest.encode()).hexdigest() == digest
    told = audit(keepfs, "verify", f"expect={number}:{digest}").stdout
    assert f"{number} lines, from 1, the first one, to {number}, whose SHA-256 is {digest}" in told
    assert "every line is the one that the next one names" in told
    assert "2 heads that were noted elsewhere fit" in told
    result = verified(keepfs)
    assert result["ok"] and result["lines"] == int(number) and result["findings"] == [] and result["whole"]


@pytest.mark.parametrize("statement, finding", [
    ("UPDATE audit SET uid = 7 WHERE id = 2", "line 2 is not the one that line 3 names: one of them was changed"),
    ("DELETE FROM audit WHERE id = 2", "line 2 is missing"),
    ("INSERT INTO audit (at_us, uid, pid, command, action, object, result, detail) VALUES (1, 1, 1, 'x', 'read', 'x', 'ok', '')",
     "there is one without a place in the chain"),
])
def test_changed_lines_are_found(keepfs, statement, finding):
    read_all(keepfs)
    read_all(keepfs)
    keepfs.unmount()
    change(keepfs, statement)
    told = audit(keepfs, "verify", check=False)
    assert told.returncode == 1 and finding in told.stdout
    # The daemon goes on, and what comes then has its place.
    keepfs.mount()
    read_all(keepfs)
    result = verified(keepfs)
    assert not result["ok"] and any(finding in text for text in result["findings"])


def test_an_end_that_was_cut_off_is_found_by_a_noted_head(keepfs):
    read_all(keepfs)
    keepfs.unmount()
    head = audit(keepfs, "head").stdout.strip()
    number = int(head.split(":")[0])
    previous = of_catalog(keepfs, f"SELECT previous FROM audit WHERE id = {number}")[0]
    change(keepfs, f"DELETE FROM audit WHERE id = {number}")
    told = audit(keepfs, "verify", check=False)
    assert told.returncode == 1 and f"there were lines up to {number}, as the catalog says" in told.stdout
    # Whoever does this makes the chain right again.
    change(keepfs, f"UPDATE audit_head SET number = {number - 1}, hash = '{previous}'")
    assert audit(keepfs, "verify").returncode == 0
    told = audit(keepfs, "verify", f"expect={head}", check=False)
    assert told.returncode == 1
    assert f"there were lines up to {number}, as expect={head} says: what comes behind line {number - 1} was cut off" in told.stdout


def test_wrong_words(keepfs):
    for words in [(), ("look",), ("head", "now"), ("verify", "expect=17"), ("verify", "expect=0:" + "0" * 64)]:
        assert audit(keepfs, *words, check=False).returncode == 2
    told = audit(keepfs, "verify", "/nonexistent/audit.jsonl", check=False)
    assert told.returncode == 2 and "/nonexistent/audit.jsonl" in told.stderr


def records(keepfs, directory):
    """what `aws s3 cp --recursive` brings"""
    paths = []
    for key in sorted(keepfs.store.keys()):
        if key.startswith("records/audit/"):
            path = directory / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(keepfs.store.get(key))
            paths.append(path)
    return paths


def test_records_are_part_of_the_chain(new_keepfs, tmp_path):
    keepfs = new_keepfs(audit_keep=2).mount()
    for _ in range(3):
        read_all(keepfs)
    daemon.wait_until(lambda: records(keepfs, tmp_path), "a record of the audit")
    result = verified(keepfs)
    assert result["ok"] and result["whole"] and result["first"] == 1
    # On any host, from the files alone: those of the store, and what the mount showed, which has the newest line first.
    kept = tmp_path / "audit.jsonl"
    kept.write_text(keepfs.text("status", "audit.jsonl"))
    stored = records(keepfs, tmp_path)
    lines = [line for path in stored for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    assert f"{len(lines)} lines" in keepfs.run("audit", "verify", *reversed(stored), conf=False).stdout
    assert "every line is" in keepfs.run("audit", "verify", kept, conf=False).stdout
    # As docs/formats.md has it, without keepfs.
    text = (daemon.TOP / "docs" / "formats.md").read_text()
    (tmp_path / "audit.py").write_text("\n".join(line[4:] for line in RECIPE.search(text).group(1).splitlines()) + "\n")
    read = "\n".join(lines) + "\n"
    assert subprocess.run(["python3", "audit.py"], input=read, cwd=tmp_path, capture_output=True, text=True).stdout.startswith(f"{len(lines)}:")
    wrong = read.replace('"uid":0', '"uid":7', 1)
    assert "was changed" in subprocess.run(["python3", "audit.py"], input=wrong, cwd=tmp_path, capture_output=True, text=True).stdout

    # A record that somebody changes in the bucket.
    keepfs.unmount()
    key = next(key for key in keepfs.store.keys() if key.startswith("records/audit/"))
    before = keepfs.store.get(key)
    keepfs.store.put(key, gzip.compress(gzip.decompress(before).replace(b'"result":"ok"', b'"result":"no"', 1)))
    assert not verified(keepfs)["ok"]
    keepfs.store.put(key, b"no gzip")
    assert any(f"{key} cannot be read" in text for text in verified(keepfs)["findings"])
    keepfs.store.put(key, before)
    assert verified(keepfs)["ok"]

    # A catalog that is made anew without a copy goes on behind the last line that records tell of; what was in the catalog alone is missed.
    last = json.loads(lines[-1])["number"]
    head = audit(keepfs, "head").stdout.strip()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild", "--no-history")
    result = verified(keepfs, f"expect={head}")
    assert result["lines"] == last + 1
    assert any("as expect=" in text or "is another one than expect=" in text for text in result["findings"])
    assert verified(keepfs)["ok"]
