# SPDX-License-Identifier: Apache-2.0
"""[cluster NAME]: base backups, held to what zstd, tar, pg_verifybackup and a server that starts from them say."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import daemon
import postgres
import test_wal_server

JOB = "main"
LONG = "t" * 90  # of the directory of a tablespace: its path, not its name in the tar


@pytest.fixture
def open_place():
    """where the servers' user may pass"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-base-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Cluster:
    """a server, and a mount that archives its WAL and backs it up"""

    def __init__(self, keepfs, server):
        self.keepfs, self.server = keepfs, server

    def fill(self, database="bench", scale=1):
        self.server.create(database)
        self.server.tool("pgbench", "-q", "-i", "-n", "-s", scale, self.server.uri(database))

    def backup(self, command=JOB):
        run = self.keepfs.trigger(command)
        fields = self.keepfs.wait_run(run)
        assert fields["state"] == "completed", self.keepfs.text("jobs", str(run), "log")
        return run

    def fail(self, command=JOB):
        """how a run failed"""
        run = self.keepfs.trigger(command)
        fields = self.keepfs.wait_run(run)
        assert fields["state"] == "failed", self.keepfs.text("jobs", str(run), "log")
        return self.keepfs.text("jobs", str(run), "log")

    def manifests(self):
        return sorted((self.keepfs.store.root / "manifests" / "backups" / JOB).glob("*.json"))

    def manifest(self):
        return json.loads(self.manifests()[-1].read_text())

    def packs(self, name=None):
        return sorted((self.keepfs.store.root / "packs" / JOB).glob("*/*.tar.zst*"))

    def unpack(self, target):
        """what a manual says: cat, zstd, tar"""
        [(directory, _)] = self.manifest()["needs"].items()
        target.mkdir(mode=0o700)
        subprocess.run(f"cat {self.keepfs.store.root}/{directory}/*.tar.zst | zstd -qdc | tar -x -C {target}", shell=True, check=True)
        return target


def wal_settings(keepfs):
    return ("wal_level = replica\nmax_wal_senders = 4\narchive_mode = on\narchive_timeout = 0\n"
            f"archive_command = 'cp %p {keepfs.path('wal', JOB)}/%f'\n")


@pytest.fixture
def make_cluster(open_place, new_keepfs):
    made = []

    def make(settings="", **keys):
        server = postgres.Postgres("wal_level = replica\nmax_wal_senders = 4\narchive_mode = on\narchive_timeout = 0\n" + settings)
        made.append(server)
        keepfs = new_keepfs({f"cluster {JOB}": {"wal": "archive", "database": server.uri("postgres"), **keys}}, directory=open_place)
        made.append(keepfs)
        if os.geteuid() == 0:
            keepfs.settings |= {"owner": "postgres", "allow_other": "yes"}
            keepfs.write_conf()
        keepfs.mount()
        server.set(f"archive_command = 'cp %p {keepfs.path('wal', JOB)}/%f'\n")
        server.sql("postgres", "SELECT pg_reload_conf()")
        return Cluster(keepfs, server)

    yield make
    for one in reversed(made):
        one.close() if hasattr(one, "close") else one.remove()


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()


def start_from(cluster, data):
    """a server that recovers from a directory, by the archive in the mount"""
    return test_wal_server.Recovered(data, f"cp {cluster.keepfs.path('wal', JOB)}/%f %p")


def test_a_base_is_a_tar_that_starts(cluster, tmp_path):
    cluster.fill()
    cluster.backup()
    m = cluster.manifest()
    assert m["kind"] == "base" and m["type"] == "directory"
    data = cluster.unpack(tmp_path / "data")
    assert os.stat(data).st_mode & 0o7777 == 0o700
    cluster.server.tool("pg_verifybackup", "-n", data)
    rows = cluster.server.fingerprint("bench")
    recovered = start_from(cluster, data)
    try:
        recovered.wait_until_promoted()
        assert recovered.fingerprint("bench") == rows
    finally:
        recovered.remove()
