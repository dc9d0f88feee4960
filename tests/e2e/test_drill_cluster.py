# SPDX-License-Identifier: Apache-2.0
"""keepfs drill of a [cluster]: a base backup and its WAL become a throw-away server, which has what was committed before a moment, and nothing from behind it."""
import os
import shutil
import signal

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
    assert keepfs.wait_run(run)["state"] == "failed"
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
