# SPDX-License-Identifier: Apache-2.0
"""A cluster comes back as it was at a moment: which rows are there is held against what the server said when they were committed."""
import hashlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import pytest

import daemon
import postgres
import test_wal_server
from test_base import JOB, cluster, make_cluster, open_place  # noqa: F401 (fixtures)

pytestmark = pytest.mark.usefixtures("open_place")


def owner_words():
    return ["owner=postgres"] if os.geteuid() == 0 else []


class History:
    """a table of numbers, and when each was committed, as the server says"""

    def __init__(self, cluster):
        self.cluster, self.server = cluster, cluster.server
        self.moments = {}  # number: (time, lsn, xid)
        self.server.create("shop")
        self.server.sql("shop", "CREATE TABLE t (n int)")

    def add(self, number):
        """committed by itself; what is asked for behind it is later"""
        xid = self.server.sql("shop", f"BEGIN; INSERT INTO t VALUES ({number}); SELECT pg_current_xact_id(); COMMIT").split()[-1]
        xid = [word for word in xid.split() if word.isdigit()][0]
        lsn = self.server.sql("shop", "SELECT pg_current_wal_insert_lsn()")
        at = self.server.sql("shop", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ')")
        self.moments[number] = (at, lsn, xid)

    def point(self, name):
        self.server.sql("shop", f"SELECT pg_create_restore_point('{name}')")

    def archive(self):
        return test_wal_server.wait_until_archived(self.server)


@pytest.fixture
def history(cluster):
    """1, 2 before the base; 3, a restore point, 4, 5 behind it; all of it archived"""
    h = History(cluster)
    h.add(1)
    h.add(2)
    cluster.backup()
    h.add(3)
    h.point("between")
    h.add(4)
    h.add(5)
    h.archive()
    return h


class Restored(postgres.Postgres):
    """a server on a directory that keepfs has filled"""

    def __init__(self, data, start=True):
        self.restored = pathlib.Path(data)
        self.starts = start
        super().__init__()

    def _create(self):
        self.data = self.restored
        self.set(f"\nport = {self.port}\nunix_socket_directories = '{self.directory}'\narchive_mode = off\n")
        if self.starts:
            self.start()

    def start(self):
        try:
            super().start()
        except subprocess.CalledProcessError as failure:
            raise AssertionError((self.data / "server.log").read_text()) from failure

    def wait_until_promoted(self):
        daemon.wait_until(lambda: self.sql("postgres", "SELECT pg_is_in_recovery()") == "f", "the end of the recovery")
        return self

    def numbers(self):
        return [int(n) for n in self.sql("shop", "SELECT n FROM t ORDER BY n").split()]

    def remove(self):
        super().remove()
        shutil.rmtree(self.restored, ignore_errors=True)


def target_of(open_place, name="back"):
    """a directory that is not there, in one that the servers' user may pass"""
    return open_place / name


def restore(keepfs, to, *words, check=True):
    """the server gets its WAL out of the mount: its user may not read the configuration of these tests"""
    by = [] if any(str(w).startswith("restore_command=") for w in words) else ["restore_command=mount"]
    return keepfs.run("restore", JOB, to, *owner_words(), *by, *words, check=check)


def numbers_after(keepfs, to, *words):
    restore(keepfs, to, *words)
    server = Restored(to)
    try:
        return server.wait_until_promoted().numbers()
    finally:
        server.remove()


def test_the_newest_state_comes_back(cluster, history, open_place):
    done = restore(cluster.keepfs, target_of(open_place))
    assert "the target is latest" in done.stdout and "each compared with its CRC-32C" in done.stdout
    data = target_of(open_place)
    assert os.stat(data).st_mode & 0o7777 == 0o700
    if os.geteuid() == 0:
        assert {os.stat(p).st_uid for p in data.rglob("*")} == {pwd.getpwnam("postgres").pw_uid}
    assert not (data / "keepfs.restore").exists() and (data / "global/pg_control").exists()
    server = Restored(data)
    try:
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4, 5]
        assert server.sql("postgres", "SELECT timeline_id FROM pg_control_checkpoint()") == "2"
    finally:
        server.remove()


def test_each_kind_of_target_is_met_exactly(cluster, history, open_place):
    """what is committed at the target is there, and nothing that came behind it"""
    at, lsn, xid = history.moments[4]
    for word, expected in ((f"xid:{xid}", [1, 2, 3, 4]), (f"xid:{history.moments[3][2]}", [1, 2, 3]), (f"lsn:{lsn}", [1, 2, 3, 4]), (at, [1, 2, 3, 4]),
                           ("name:between", [1, 2, 3]), ("immediate", [1, 2])):
        assert numbers_after(cluster.keepfs, target_of(open_place), "--to", word) == expected, word


def test_a_server_is_started_and_waited_for(cluster, history, open_place):
    """and paused, where that was asked for: what came behind the target can still be had"""
    data = target_of(open_place)
    port = postgres.free_port()
    # What the base says of ports is the old server's, which still runs.
    hook = f"printf \"port = {port}\\nunix_socket_directories = '{open_place}'\\narchive_mode = off\\n\" >> $KEEPFS_DIRECTORY/postgresql.conf"
    restore(cluster.keepfs, data, "--to", f"xid:{history.moments[3][2]}", "action=pause", f"post_hook={hook}")
    server = Restored(data, start=False)
    try:
        server.start()
        daemon.wait_until(lambda: server.sql("postgres", "SELECT pg_is_wal_replay_paused()") == "t", "the recovery to pause")
        assert server.numbers() == [1, 2, 3]
        server.sql("postgres", "SELECT pg_wal_replay_resume()")
        assert server.wait_until_promoted().numbers() == [1, 2, 3]
    finally:
        server.remove()


def refused(cluster, open_place, *words, says):
    data = target_of(open_place)
    done = restore(cluster.keepfs, data, *words, check=False)
    assert done.returncode != 0 and says in done.stdout + done.stderr, done.stdout + done.stderr
    assert not data.exists()


def test_what_cannot_be_reached_is_refused_before_anything_is_written(cluster, history, open_place):
    refused(cluster, open_place, "--to", "2099-01-01 00:00", says="the last commit in the archive is of")
    refused(cluster, open_place, "--to", "2001-01-01 00:00", says="is consistent only from")
    refused(cluster, open_place, "--to", "lsn:FF/0", says="ends at")
    refused(cluster, open_place, "--to", "name:nobody", says="no restore point")
    refused(cluster, open_place, "--to", "yesterday", says="is no target of a recovery")
    refused(cluster, open_place, "timeline=7", says="7")
    refused(cluster, open_place, "base=20010101T000000Z", says="base")
    refused(cluster, open_place, "action=pause", says="action=pause is for a target")
    refused(cluster, open_place, "swap=no", says="swap")


def test_a_plan_writes_nothing(cluster, history, open_place):
    done = restore(cluster.keepfs, target_of(open_place), "--dry-run", "--to", "immediate")
    assert not target_of(open_place).exists()
    for words in ("the base is backups/main/", "the target is immediate", "is not there, and is made", "files (", "are fetched", "WAL that is replayed: ",
                  "plan=yes: nothing was done"):
        assert words in done.stdout, done.stdout


def test_a_directory_with_something_in_it_is_refused(cluster, history, open_place):
    data = target_of(open_place)
    data.mkdir()
    (data / "mine").touch()
    done = restore(cluster.keepfs, data, check=False)
    assert done.returncode != 0 and "is not empty" in done.stdout
    done = restore(cluster.keepfs, data, "delta=yes", f"confirm={data}", check=False)
    assert done.returncode != 0 and "no data directory" in done.stdout
    assert os.listdir(data) == ["mine"]
