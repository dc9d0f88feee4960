# SPDX-License-Identifier: Apache-2.0
"""What health and metrics tell of servers that cannot get rid of their WAL: archive_command fails, or a slot is about to lose it."""
import signal
import subprocess

import daemon
import postgres
import test_wal_stream
from test_base import JOB, cluster, make_cluster, open_place  # noqa: F401 (fixtures)
from test_wal_stream import SLOT, stream, switch  # noqa: F401 (fixtures)
from test_wal_stream import primary, servers  # noqa: F401 (fixtures)

MIB = 1 << 20


def metric(keepfs, name):
    """the value of the only sample; None: there is none"""
    found = [line.rsplit(" ", 1)[1] for line in keepfs.text("status", "metrics.prom").splitlines() if line.startswith(name + "{")]
    return float(found[0]) if found else None


def line_of(keepfs, subject):
    """the line of health that tells of it; the first line of all tells the worst once more"""
    return [line for line in keepfs.text("status", "health").splitlines() if subject in line][-1]


def test_an_archive_command_that_fails(cluster, clocks):  # noqa: F811
    keepfs, server = cluster.keepfs, cluster.server
    server.set("archive_command = 'false'\n")
    server.sql("postgres", "SELECT pg_reload_conf()")
    name = switch(server)
    daemon.wait_until(lambda: server.sql("postgres", "SELECT last_failed_wal FROM pg_stat_archiver") == name, "a failure")
    keepfs.unmount()
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    daemon.wait_until(lambda: metric(keepfs, "keepfs_wal_archiver_failing") == 1, lambda: keepfs.text("status", "metrics.prom"))
    assert metric(keepfs, "keepfs_wal_archiver_failed_total") >= 1
    assert "archive_command of main" not in keepfs.text("status", "health")  # the next attempt may go well
    clocks.pass_time(100)
    daemon.wait_until(lambda: "archive_command of main" in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))
    line = line_of(keepfs, "archive_command of main")
    assert line.startswith("WARN") and name in line and "whose disk gets full" in line


def test_a_slot_that_is_about_to_lose_wal(stream, servers, tmp_path):  # noqa: F811
    """somebody else has the slot, and does not take what it keeps"""
    limited = postgres.Postgres(test_wal_stream.STREAMING + "max_slot_wal_keep_size = 8MB\nmax_wal_size = 2MB\nmin_wal_size = 2MB\nwal_sender_timeout = 0\n")
    servers.append(limited)
    limited.sql("postgres", f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    holder = subprocess.Popen([str(limited.bindir / "pg_receivewal"), "-S", SLOT, "-D", str(tmp_path), "-d", limited.uri("postgres")],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=daemon.clean_environment())
    try:
        daemon.wait_until(lambda: limited.sql("postgres", "SELECT active FROM pg_replication_slots") == "t", "the slot to be taken")
        holder.send_signal(signal.SIGSTOP)
        while int(limited.sql("postgres", "SELECT safe_wal_size FROM pg_replication_slots")) > 2 * MIB:
            switch(limited)
        keepfs = stream(limited)
        daemon.wait_until(lambda: "slot of main" in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))
        line = line_of(keepfs, "slot of main")
        assert line.startswith("WARN") and "max_slot_wal_keep_size" in line
        assert 0 <= metric(keepfs, "keepfs_wal_slot_safe_bytes") <= 2 * MIB
    finally:
        holder.kill()
        holder.wait()
