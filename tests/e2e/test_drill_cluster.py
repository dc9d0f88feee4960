# SPDX-License-Identifier: Apache-2.0
"""keepfs drill of a [cluster]: a base backup and its WAL become a throw-away server, which has what was committed before a moment, and nothing from behind it."""
import os
import shutil

import pytest

import daemon
import test_wal_server
from test_base import JOB, cluster, make_cluster, open_place  # noqa: F401 (fixtures)
from test_drill import drilled, report

pytestmark = pytest.mark.usefixtures("open_place")


@pytest.fixture
def drilling(make_cluster, drill_dir):  # noqa: F811
    """a cluster with a database `bench` and a base; @settings: of the server"""
    def make(settings="", **keys):
        made = make_cluster(settings, of_keepfs={"drill_dir": drill_dir}, **keys)
        made.fill()
        made.backup()
        return made

    return make


def failed(keepfs, words=JOB):
    run = int(keepfs.ask("drill", words).split()[0])
    assert keepfs.wait_run(run)["state"] == "failed", keepfs.text("jobs", str(run), "log")
    return keepfs.text("jobs", str(run), "log")


def test_a_moment_is_proven(drilling):
    cluster = drilling()  # noqa: F811
    server = cluster.server
    server.sql("bench", "CREATE TABLE behind_the_base AS SELECT g FROM generate_series(1, 1234) g")
    before = server.sql("postgres", "SELECT datname FROM pg_database ORDER BY 1"), server.sql("bench", "SELECT relname FROM pg_class ORDER BY 1")
    log = drilled(cluster.keepfs, JOB)
    found = report(cluster.keepfs)
    assert found["result"] == "passed" and found["level"] == 6 and found["wanted_level"] == 6, log
    assert [p["name"] for p in found["phases"]] == ["moment", "reach", "recover", "replayed", "rows", "sound", "yours", "proof"]
    assert found["moment"]["is_proven"] and found["moment"]["wal_files"] >= 1
    assert found["tables"]["rows"] > 100000 + 1234
    assert found["rto"]["seconds"] > 0 and found["peak_disk_bytes"] > 1 << 20
    assert "what was committed before" in log and "can be restored: level 6" in log
    # nothing of it stays at the source
    assert before == (server.sql("postgres", "SELECT datname FROM pg_database ORDER BY 1"), server.sql("bench", "SELECT relname FROM pg_class ORDER BY 1"))
    proven = cluster.keepfs.text("status", "recovery")
    assert "level 6 (recovered to a moment)" in proven and "last drill" in proven
    # what recovers is a copy: it archives nothing, not even that it has begun a timeline
    assert [name for name in os.listdir(cluster.keepfs.path("wal", JOB)) if name.endswith(".history")] == []


def test_without_the_right_to_end_a_segment(drilling):
    cluster = drilling()  # noqa: F811
    cluster.server.sql("postgres", "CREATE ROLE weak LOGIN REPLICATION")
    uri = cluster.server.uri("postgres").replace("postgres@", "weak@", 1) if "postgres@" in cluster.server.uri("postgres") else \
        cluster.server.uri("postgres") + ("&" if "?" in cluster.server.uri("postgres") else "?") + "user=weak"
    cluster.keepfs.jobs[f"cluster {JOB}"] |= {"database": uri, "wal_timeout": "1s"}
    cluster.keepfs.write_conf()
    cluster.keepfs.remount()
    log = drilled(cluster.keepfs, JOB)
    found = report(cluster.keepfs)
    assert found["level"] == 4 and not found["moment"]["is_proven"], log
    assert "GRANT EXECUTE ON FUNCTION pg_switch_wal()" in log and "it is recovered to latest" in log


def test_an_older_base_and_a_question(drilling):
    cluster = drilling()  # noqa: F811
    first = cluster.manifest()["path"].removeprefix("backups/")
    cluster.backup()
    cluster.keepfs.sections = {"check accounts": {"jobs": JOB, "databases": "bench", "sql": "SELECT count(*) = 100000 FROM pgbench_accounts"}}
    cluster.keepfs.write_conf()
    cluster.keepfs.remount()
    log = drilled(cluster.keepfs, first)
    found = report(cluster.keepfs)
    assert found["level"] == 5 and "it is not the newest base backup" in log and "recovered to immediate" in log, log
    assert [c["name"] for c in found["checks"]] == ["accounts"] and found["checks"][0]["ok"]


def test_wal_that_cannot_be_read(drilling):
    cluster = drilling()  # noqa: F811
    keepfs = cluster.keepfs
    name = test_wal_server.wait_until_archived(cluster.server)
    [path] = [p for p in (keepfs.store.root / "wal" / JOB).rglob(f"*{name}*") if p.is_file()]
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes(b ^ 0x55 for b in whole[40:80]) + whole[80:])
    log = failed(keepfs)
    assert f"{name}, which the recovery needs" in log, log
    assert report(keepfs)["level"] == -1
    path.write_bytes(whole)
    drilled(keepfs, JOB)


def test_killed_while_it_recovers(drilling, drill_dir):
    cluster = drilling()  # noqa: F811
    keepfs = cluster.keepfs
    name = test_wal_server.wait_until_archived(cluster.server)
    keepfs.ask("drill", JOB)
    daemon.wait_until(lambda: list(drill_dir.glob("scratch-*/keepfs-wal.ask")), lambda: os.listdir(drill_dir))
    keepfs.kill()
    keepfs.mount()
    daemon.wait_until(lambda: sorted(os.listdir(drill_dir)) == ["lock"], lambda: os.listdir(drill_dir))
    assert name
    drilled(keepfs, JOB)


def test_what_is_refused(drilling):
    cluster = drilling()  # noqa: F811
    keepfs = cluster.keepfs
    for words, problem in ((f"{JOB} level=7", "level=7: allowed are 2"), (f"{JOB} keep=yes", "keep=yes")):
        done = keepfs.run("drill", *words.split(), check=False)
        assert done.returncode != 0 and problem in done.stderr, done.stderr
    assert "server=: " in failed(keepfs, f"{JOB} server={cluster.server.uri('postgres')}")


def test_tablespaces_and_a_prepared_transaction(drilling, open_place):  # noqa: F811
    """files elsewhere come into the scratch place, and what was prepared is still there, neither committed nor rolled back"""
    cluster = drilling("max_prepared_transactions = 8\n")  # noqa: F811
    server, fast = cluster.server, open_place / "fast"
    fast.mkdir()
    shutil.chown(fast, "postgres") if os.geteuid() == 0 else None
    server.sql("postgres", f"CREATE TABLESPACE fast LOCATION '{fast}'")
    server.sql("bench", "CREATE TABLE there TABLESPACE fast AS SELECT g FROM generate_series(1, 777) g")
    server.sql("bench", "BEGIN; INSERT INTO there VALUES (0); PREPARE TRANSACTION 'two'")
    cluster.backup()
    before = sorted(os.listdir(fast))
    cluster.keepfs.sections = {"check there": {"jobs": JOB, "databases": "bench",
                                               "sql": "SELECT (SELECT count(*) FROM there) = 777 AND (SELECT count(*) FROM pg_prepared_xacts) = 1"}}
    cluster.keepfs.write_conf()
    cluster.keepfs.remount()
    log = drilled(cluster.keepfs, JOB)
    assert report(cluster.keepfs)["level"] == 6, log
    assert sorted(os.listdir(fast)) == before
    server.sql("bench", "ROLLBACK PREPARED 'two'")
