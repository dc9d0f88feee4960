# SPDX-License-Identifier: Apache-2.0
"""With a server that archives, and base backups of it: its WAL goes with the base backups that needed it, and what stays recovers."""
import os

import daemon
import test_base
import test_wal_server
from test_base import JOB, MIB
from waling import name_of

make_cluster, open_place = test_base.make_cluster, test_base.open_place


def first_segment(cluster):
    """that the newest base backup needs"""
    upper, lower = cluster.manifest()["facts"]["start_lsn"].split("/")
    return name_of(((int(upper, 16) << 32) + int(lower, 16)) // MIB)


def archived(cluster):
    return sorted(name for name in os.listdir(cluster.keepfs.path("wal", JOB)) if not name.endswith(".history"))


def test_wal_goes_with_a_base_and_the_other_recovers(make_cluster, tmp_path):
    cluster = make_cluster(keep_last=1, keep_within="none", incremental="off")
    cluster.fill()
    cluster.backup()
    before = first_segment(cluster)
    # What came before the first one goes with its run: nobody could use it.
    assert archived(cluster)[0][:24] == before
    cluster.fill("more")
    run = cluster.backup()
    assert "of WAL removed" in cluster.log(run), cluster.log(run)
    assert len(cluster.manifests()) == 1
    assert before < first_segment(cluster) == archived(cluster)[0][:24]
    with cluster.keepfs.catalog() as catalog:
        assert catalog.execute("SELECT count(*) FROM wal_pin").fetchone() == (0,)
    cluster.fill("later")
    test_wal_server.wait_until_archived(cluster.server)
    cluster.check_it_starts(cluster.unpack(tmp_path / "data"))


def test_wal_stays_while_a_base_is_made(make_cluster):
    cluster = make_cluster(keep_last=1, keep_within="none")
    cluster.fill()
    cluster.backup()
    cluster.fill("more")
    test_wal_server.wait_until_archived(cluster.server)
    with cluster.slow_backup() as run:
        there = archived(cluster)
        assert "a base backup begins" in cluster.keepfs.ask("prune", JOB)
        cluster.keepfs.ask("prune", f"{JOB} apply")
        assert archived(cluster)[:len(there)] == there
        cluster.keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        daemon.wait_until(lambda: cluster.keepfs.wait_run(run)["state"] == "cancelled", "the run to end")
    assert "a base backup begins" not in cluster.keepfs.ask("prune", JOB)
