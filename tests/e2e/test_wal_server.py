# SPDX-License-Identifier: Apache-2.0
"""A server archives into wal/NAME/, and another one recovers from there."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import daemon
import postgres

JOB = "main"


@pytest.fixture
def open_place():
    """where the servers' user may pass"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-wal-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def walfs(open_place, new_keepfs):
    keepfs = new_keepfs({f"cluster {JOB}": {"wal": "archive"}}, directory=open_place)
    if os.geteuid() == 0:
        keepfs.settings |= {"owner": "postgres", "allow_other": "yes"}
        keepfs.write_conf()
    yield keepfs.mount()
    keepfs.close()


@pytest.fixture
def primary(walfs):
    server = postgres.Postgres("wal_level = replica\nmax_wal_senders = 4\narchive_mode = on\narchive_timeout = 0\n"
                               f"archive_command = 'cp %p {walfs.path('wal', JOB)}/%f'\n")
    try:
        yield server
    finally:
        server.remove()


def archived(server):
    return server.sql("postgres", "SELECT last_archived_wal FROM pg_stat_archiver")


def switch(server):
    """end the segment that is written; its name"""
    server.sql("postgres", "SELECT pg_create_restore_point('a reason for a switch')")
    return server.sql("postgres", "SELECT pg_walfile_name(pg_switch_wal())")


def wait_until_archived(server):
    """until all segments that are full are in the archive"""
    name = switch(server)
    daemon.wait_until(lambda: archived(server) >= name, lambda: f"{name} to be archived; the last one is {archived(server)}")
    return name


def pgbench(server, *arguments):
    server.tool("pgbench", "-n", *arguments, server.uri("bench"))


def rows(server):
    return server.fingerprint("bench")


class Recovered(postgres.Postgres):
    """a copy of a data directory that recovers from an archive and is promoted"""

    def __init__(self, data, restore_command, settings=""):
        self.source, self.restore_command = data, restore_command
        super().__init__(settings)

    def _create(self):
        shutil.copytree(self.source, self.data, symlinks=True)
        self.set(f"port = {self.port}\nunix_socket_directories = '{self.directory}'\narchive_mode = off\n"
                 f"restore_command = '{self.restore_command}'\n{self.settings}")
        (self.data / "recovery.signal").touch()
        if self.as_user:
            subprocess.run(["chown", "-R", "postgres", str(self.data)], check=True)
        os.chmod(self.data, 0o700)
        self.start()

    def wait_until_promoted(self):
        daemon.wait_until(lambda: self.sql("postgres", "SELECT pg_is_in_recovery()") == "f", "the end of the recovery")


def base_backup(primary, tmp_path):
    primary._run("pg_basebackup", "-c", "fast", "--no-sync", "-X", "none", "-D", primary.directory / "base", "-d", primary.uri(""))
    return primary.directory / "base"


def test_a_recovery_from_the_mount_has_every_row(walfs, primary, tmp_path):
    primary.create("bench")
    pgbench(primary, "-i", "-s", "2")
    data = base_backup(primary, tmp_path)
    pgbench(primary, "-c", "4", "-t", "500")
    last = wait_until_archived(primary)
    there = os.listdir(walfs.path("wal", JOB))
    segments = sorted(n for n in there if len(n) == 24)
    assert last in segments and len(segments) > 20
    assert [n for n in there if n.endswith(".backup")]
    for name in segments[-3:]:
        local = primary.data / "pg_wal" / name
        if local.exists():
            assert walfs.path("wal", JOB, name).read_bytes() == local.read_bytes()
    assert primary.sql("postgres", "SELECT failed_count FROM pg_stat_archiver") == "0"
    recovered = Recovered(data, f"cp {walfs.path('wal', JOB)}/%f %p")
    try:
        recovered.wait_until_promoted()
        assert rows(recovered) == rows(primary)
        assert recovered.sql("postgres", "SELECT timeline_id FROM pg_control_checkpoint()") == "2"
    finally:
        recovered.remove()


def test_another_server_is_refused(walfs, primary):
    wait_until_archived(primary)
    other = postgres.Postgres(f"archive_mode = on\narchive_command = 'cp %p {walfs.path('wal', JOB)}/%f'\n")
    try:
        switch(other)
        daemon.wait_until(lambda: int(other.sql("postgres", "SELECT failed_count FROM pg_stat_archiver")) > 0, "the refusal")
        assert "cluster" in walfs.text("status", "last-error")
    finally:
        other.remove()
    assert primary.sql("postgres", "SELECT failed_count FROM pg_stat_archiver") == "0"


def test_an_outage_is_caught_up_with(walfs, primary):
    """the daemon is gone for a while: the server keeps what it has, and hands it over when keepfs is back"""
    wait_until_archived(primary)
    walfs.kill()
    name = switch(primary)
    daemon.wait_until(lambda: int(primary.sql("postgres", "SELECT failed_count FROM pg_stat_archiver")) > 0, "a failure")
    walfs.mount()
    primary.sql("postgres", "SELECT pg_reload_conf()")
    daemon.wait_until(lambda: archived(primary) >= name, "the archiver to go on")
    assert walfs.path("wal", JOB, name).exists()


def test_bytes_behind_the_last_record_mean_nothing(walfs, primary, tmp_path):
    """a standby's, or those of a server that has crashed, differ there; what is before that may not"""
    table = "CREATE TABLE t AS SELECT n, md5(n::text) FROM generate_series(1, 500) n"
    primary.sql("postgres", table)
    name = wait_until_archived(primary)
    content = bytearray(walfs.path("wal", JOB, name).read_bytes())
    assert content[-1] == 0, "the switch has left nothing unwritten"
    for place, status in ((len(content) - 1, 0), (200, 1)):
        other = bytearray(content)
        other[place] ^= 0xFF
        (tmp_path / "other").write_bytes(other)
        done = subprocess.run(["cp", str(tmp_path / "other"), str(walfs.path("wal", JOB, name))], stderr=subprocess.PIPE, text=True)
        assert done.returncode == status, done.stderr
    assert "two servers" in walfs.text("status", "last-error")
    assert "mean nothing" in (walfs.state / "keepfs.log").read_text()
    assert walfs.path("wal", JOB, name).read_bytes() == content
