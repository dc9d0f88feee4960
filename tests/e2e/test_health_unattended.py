# SPDX-License-Identifier: Apache-2.0
"""Health while nobody looks: what is overdue, unusual, acknowledged; and what Prometheus and Grafana make of the metrics."""
import datetime
import errno
import json
import re
import shutil
import sqlite3
import subprocess

import pytest

import daemon
from exposition import Metrics

DOCS = daemon.TOP / "docs"
# Of these there is nothing without a disk cache, or without an archive of WAL; the textfile collector adds the last.
ELSEWHERE = re.compile(r"keepfs_cache_\w+|keepfs_wal_(missing|waiting)_segments|keepfs_wal_archiver_failing|keepfs_wal_copy_behind_seconds|node_textfile_mtime_seconds")


def metrics(keepfs):
    return Metrics(keepfs.path("status", "metrics.prom").read_bytes().decode())


def health(keepfs):
    return keepfs.text("status", "health")


def days_ahead(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_expected_since(keepfs, days):
    """as if the daemon had been there for so long; it is not mounted"""
    catalog = sqlite3.connect(keepfs.state / "catalog.db")
    try:
        with catalog:
            assert catalog.execute("UPDATE expected SET since_us = since_us - ?", (days * 86400 * 10**6,)).rowcount >= 1
    finally:
        catalog.close()


@pytest.fixture
def overdue(new_keepfs, pg):
    """a job that should have made a backup long ago, and never did"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "expected_interval": "1d", "rpo": "2d", "rto": "1h"}}).mount()
    keepfs.unmount()
    set_expected_since(keepfs, 10)
    return keepfs.mount()


def test_overdue_until_a_backup_comes(overdue):
    assert re.search(r"^CRIT  overdue full: there is no good backup, and one has been expected since 20.*trigger full$", health(overdue), re.M)
    before = metrics(overdue)
    assert before.get("keepfs_overdue", backup_job="full") == 2
    assert before.get("keepfs_rpo_seconds", backup_job="full") >= 10 * 86400
    assert before.get("keepfs_health_items", check="overdue", level="crit") == 1
    assert overdue.run("status", check=False).returncode == 2
    overdue.backup()
    assert "overdue full" not in health(overdue)
    after = metrics(overdue)
    assert after.get("keepfs_overdue", backup_job="full") == 0
    assert after.get("keepfs_rpo_seconds", backup_job="full") < 3600
    assert after.get("keepfs_expected_interval_seconds", backup_job="full") == 86400
    assert after.get("keepfs_grace_seconds", backup_job="full") == 6 * 3600
    assert after.get("keepfs_rpo_target_seconds", backup_job="full") == 2 * 86400
    assert after.get("keepfs_rto_target_seconds", backup_job="full") == 3600
    assert after.get("keepfs_job_enabled", backup_job="full") == 1


def test_an_item_that_somebody_knows_of(overdue):
    """it is shown, does not count, is audited, and ends when it is over; the other one goes on counting"""
    until = days_ahead(3)
    answer = overdue.ask("ack", f"overdue/full until={until} note='the server is new'")
    assert answer == f"overdue full is acknowledged until {until}\n"
    text = health(overdue)
    assert re.search(rf"^CRIT  overdue full: .*; acknowledged by uid \d+ \(.*\) until {until}: the server is new$", text, re.M)
    assert text.startswith("WARN ") and text.split("\n")[0].endswith("; acknowledged: overdue full")
    assert overdue.run("status", check=False).returncode == 1
    told = json.loads(overdue.run("info", "--json", "full").stdout)
    assert told["health"] == "WARN" and any(line.startswith("CRIT  overdue full: ") for line in told["why"])
    m = metrics(overdue)
    assert m.get("keepfs_health_status") == 1
    assert m.get("keepfs_health_items", check="overdue", level="crit") == 0
    assert m.get("keepfs_health_acknowledged", check="overdue", subject="full") == 1
    overdue.remount()
    assert "acknowledged: overdue full" in health(overdue)
    line = next(line for line in map(json.loads, overdue.text("status", "audit.jsonl").splitlines()) if line["action"] == "ack")
    assert line["result"] == "ok" and "the server is new" in line["object"]
    overdue.backup()
    assert "; acknowledged" not in health(overdue)
    assert metrics(overdue).get("keepfs_health_acknowledged", check="overdue", subject="full") is None
    catalog = overdue.catalog()
    try:
        assert catalog.execute("SELECT count(*) FROM ack").fetchone() == (0,)
    finally:
        catalog.close()


def test_the_command(overdue):
    """which is a thin client of control/ack"""
    done = overdue.run("ack", "overdue/full", f"until={days_ahead(3)}", "note=two words")
    assert done.stdout.startswith("overdue full is acknowledged until 20")
    assert ": two words\n" in health(overdue)
    assert overdue.run("ack", "overdue full", "off").stdout == "overdue full counts again\n"
    refused = overdue.run("ack", "overdue/full", "until=never", check=False)
    assert refused.returncode == 2 and "until=never is no time" in refused.stderr
    assert overdue.run("ack", "nosuch", "off", check=False).returncode == 1


def test_what_cannot_be_acknowledged(overdue):
    for command, number in (("overdue/full", errno.EINVAL), ("overdue/full until=2020-01-01", errno.EINVAL),
                            (f"overdue/other until={days_ahead(3)}", errno.ENOENT), ("overdue/full off", errno.ENOENT)):
        with pytest.raises(OSError) as caught:
            overdue.write("ack", command)
        assert caught.value.errno == number, command
    assert "; acknowledged" not in health(overdue)
    assert "overdue/full" in overdue.text("control", "README")


def test_a_database_that_was_emptied(new_keepfs, own_pg):
    """the facts that are kept with each backup tell it from those before it"""
    keepfs = new_keepfs({"full": {"database": own_pg.uri("sample")}}).mount()
    keepfs.backup()
    run = keepfs.backup()
    assert "anomaly" not in health(keepfs)
    manifest = json.loads(keepfs.store.get(f"manifests/backups/full/{keepfs.run_artifact(run['run'])}.json"))
    facts = manifest["facts"]
    assert facts["rows"] > 0 and facts["raw_bytes"] > 0 and facts["tables"] > 0
    assert re.fullmatch("[0-9a-f]{16}", facts["selection"])
    table = keepfs.path("backups", "full", keepfs.run_artifact(run["run"]).replace(".dump", ".tables.csv")).read_text().splitlines()[1:]
    assert facts["rows"] == sum(int(line.split(",")[-3]) for line in table)
    largest = json.loads(facts["largest_tables"])
    by_size = sorted((int(line.split(",")[-2]) for line in table if line.split(",")[-1] and int(line.split(",")[-3])), reverse=True)
    assert [size for _, _, size in largest] == by_size[:10]
    tables = own_pg.sql("sample", "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
                                  " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
    own_pg.sql("sample", f"TRUNCATE {tables} CASCADE; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    keepfs.backup()
    assert re.search(r"^CRIT  anomaly full: the newest backup of full \(.*rows: nothing at all", health(keepfs), re.M)
    assert metrics(keepfs).get("keepfs_anomaly_score", backup_job="full") >= 1


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_reads_the_metrics(overdue):
    """as its own parser has it"""
    overdue.backup()
    overdue.ask("probe", "now")
    done = subprocess.run(["promtool", "check", "metrics"], input=overdue.path("status", "metrics.prom").read_bytes(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()


def names_in(text):
    return set(re.findall(r"\b(?:keepfs|node)_\w+", text))


def test_alerts_and_dashboard_name_only_metrics_that_exist(keepfs):
    """histograms are named by their parts"""
    known = set()
    for family in metrics(keepfs).families.values():
        known.update(family.names())
    rules = names_in("\n".join(re.findall(r"expr:(.*?)(?=\n +(?:for|labels):)", (DOCS / "alerts.yml").read_text(), re.S)))
    board = json.loads((DOCS / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [variable["definition"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    shown = names_in("\n".join(queries))
    assert len(rules) > 15 and len(shown) > 15
    assert {name for name in rules | shown if name not in known and not ELSEWHERE.fullmatch(name)} == set()
