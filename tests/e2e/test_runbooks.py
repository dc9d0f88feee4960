# SPDX-License-Identifier: Apache-2.0
"""The runbooks of docs/operations.md: the lines of each are taken out of the document and run, in a shell, on a host where that has happened."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

import daemon
import test_pitr
from test_base import JOB, cluster, make_cluster, open_place  # noqa: F401 (fixtures)
from test_pitr import history  # noqa: F401 (a fixture)

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "operations.md"
ROWS = 1000


def runbooks():
    """{title: its commands}"""
    section = DOCUMENT.read_text().split("### Runbooks\n")[1].split("\n## ")[0]
    found = {}
    for title, body in re.findall(r"^\*\*(.+?)\*\*(.*?)(?=^\*\*|\Z)", section, re.M | re.S):
        found[title] = [line[6:].split("   #")[0].strip() for line in body.splitlines() if re.match(r"    [$#] ", line)]
    return found


class Host:
    """a backup of the database shop, a service that runs, and a place for files"""

    def __init__(self, new_keepfs, pg, store, tmp_path, job):
        self.pg, self.store, self.tmp_path = pg, store, tmp_path
        pg.sql("postgres", "CREATE ROLE keepfs_shop")
        pg.sql("postgres", "CREATE DATABASE shop OWNER keepfs_shop")
        pg.sql("shop", f"CREATE TABLE public.orders AS SELECT generate_series(1, {ROWS}) AS id; ALTER TABLE orders OWNER TO keepfs_shop")
        form = {"full": "custom", "dirs": "directory", "text": "plain"}[job]
        self.keepfs = new_keepfs({job: {"database": pg.uri("shop"), "format": form}}).mount()
        self.keepfs.backup(job)
        self.work = tmp_path / "work"
        self.work.mkdir()
        self.make_programs()

    def make_programs(self):
        programs = self.tmp_path / "bin"
        programs.mkdir()
        (programs / "keepfs").symlink_to(daemon.PROGRAM)
        mountpoint = shlex.quote(str(self.keepfs.mountpoint))
        (programs / "systemctl").write_text(f"""#!/bin/sh
            case "$1" in
            enable | start) exec keepfs mount ;;
            stop) exec umount {mountpoint} ;;
            *) exit 2 ;;
            esac
            """)
        (programs / "systemctl").chmod(0o755)
        self.env = {**self.keepfs.env, "PATH": f"{programs}:{self.pg.bindir}:{os.environ['PATH']}", "KEEPFS_CONFIG": str(self.keepfs.conf),
                    "PGHOST": str(self.pg.directory), "PGPORT": str(self.pg.port), "PGUSER": "postgres"}

    def names(self):
        """what the document calls otherwise"""
        own = {"/etc/keepfs/keepfs.conf": str(self.keepfs.conf), "s3://copy/keep": f"dir:{self.tmp_path}/copy", "/srv/keep": str(self.store.root)}
        for job, name in (("full", "20261120T020000Z"), ("dirs", "20261121T020000Z"), ("text", "20261122T020000Z")):
            stems = sorted({key.split("/")[2].split(".")[0] for key in self.store.keys() if key.startswith(f"backups/{job}/")})
            own[name] = stems[0] if stems else name
        own["/mnt/keep"] = str(self.keepfs.mountpoint)
        return own

    def follow(self, commands):
        names = self.names()
        for command in commands:
            for name, own in names.items():
                command = command.replace(name, own)
            if command == "systemctl start keepfs" or "enable --now" in command:
                daemon.wait_until(lambda: not self.keepfs.daemons(), "the old one has ended")
            with open(self.tmp_path / "said", "w+") as said:  # a daemon that is left behind would keep a pipe open
                done = subprocess.run(["bash", "-o", "pipefail", "-c", command], env=self.env, cwd=self.work, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
                said.seek(0)
                assert done.returncode == 0, f"{command}\n{said.read()}"
            if command.startswith("systemctl stop"):
                daemon.wait_until(lambda: not self.keepfs.daemons(), "it has ended")

    def assert_restored(self):
        assert self.pg.sql("shop", "SELECT count(id) FROM public.orders") == str(ROWS)
        assert self.pg.sql("shop", "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'") == "keepfs_shop"
        assert self.pg.sql("postgres", "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'") == "keepfs_shop"


def database_lost(host):
    host.pg.drop("shop")
    return host.assert_restored


def host_lost(host):
    """server, catalog, configuration; the latter is among the papers"""
    server_lost(host)
    host.keepfs.unmount()
    os.rename(host.keepfs.state, host.tmp_path / "lost")
    os.rename(host.keepfs.conf, host.work / "keepfs.conf")

    def after():
        host.assert_restored()
        assert {row["job"] for row in host.keepfs.history()} >= {"full", "restore:full"}
        host.keepfs.backup()
    return after


def migration_wrong(host):
    host.pg.sql("shop", "ALTER TABLE public.orders DROP COLUMN id; CREATE TABLE public.migrated (a int)")

    def after():
        host.assert_restored()
        (old,) = host.pg.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'shop_before_%'").splitlines()
        assert host.pg.sql(old, "SELECT count(*) FROM public.migrated") == "0"
    return after


def table_lost(host):
    host.pg.sql("shop", "DELETE FROM public.orders")
    return host.assert_restored


def row_lost(host):
    host.pg.sql("shop", "DELETE FROM public.orders WHERE id IN (7, 8, 500)")
    return host.assert_restored


def table_dropped(host):
    host.pg.sql("shop", "CREATE TABLE public.newer AS SELECT 1 AS one; DROP TABLE public.orders")

    def after():
        host.assert_restored()
        assert host.pg.sql("shop", "SELECT one FROM public.newer") == "1"
    return after


def rows_lost(host):
    """and others have come"""
    host.pg.sql("shop", f"ALTER TABLE public.orders ADD PRIMARY KEY (id); DELETE FROM public.orders WHERE id IN (5, 6, 7); INSERT INTO public.orders VALUES ({ROWS + 1})")

    def after():
        host.pg.sql("shop", f"DELETE FROM public.orders WHERE id = {ROWS + 1}; SELECT 1 / count(*) FROM public.orders WHERE id IN (5, 6, 7)")
        host.assert_restored()
    return after


def catalog_lost(host):
    """under a daemon that runs"""
    before = host.keepfs.artifacts()
    shutil.rmtree(host.keepfs.state)

    def after():
        assert host.keepfs.artifacts() == before and len(host.keepfs.history()) == 1
        host.keepfs.backup()
    return after


def bucket_lost(host):
    """as it was before the last backup"""
    shutil.copytree(host.store.root, host.tmp_path / "copy")
    before = host.keepfs.artifacts()
    host.keepfs.backup()
    shutil.rmtree(host.store.root)
    host.store.root.mkdir()

    def after():
        now = host.keepfs.artifacts()
        assert now[0] == before[0] and len(now) == 2
        assert len(list((host.tmp_path / "copy" / "backups" / "full").glob("*.dump"))) == 2
        host.pg.drop("shop")
        host.keepfs.run("restore", f"full/{before[0]}", "-m", host.keepfs.mountpoint)
        host.assert_restored()
    return after


def server_lost(host):
    host.pg.drop("shop")
    host.pg.sql("postgres", "DROP ROLE keepfs_shop")


def keepfs_gone(host):
    server_lost(host)
    host.keepfs.unmount()
    shutil.rmtree(host.keepfs.state)
    host.keepfs.conf.unlink()
    (host.tmp_path / "bin" / "keepfs").unlink()
    return host.assert_restored


TROUBLES = {
    "A database is lost, or was dropped.": database_lost,
    "The host is lost.": host_lost,
    "A migration was wrong.": migration_wrong,
    "One table is lost or spoilt.": table_lost,
    "One table was dropped.": table_dropped,
    "A few rows are lost.": rows_lost,
    "One row is lost, or some are.": row_lost,
    "The catalog is lost.": catalog_lost,
    "The bucket is lost, and there is another copy of it.": bucket_lost,
    "keepfs itself is gone.": keepfs_gone,
    "keepfs itself is gone, and the backup is a directory.": keepfs_gone,
    "keepfs itself is gone, and the backup is SQL text.": keepfs_gone,
}


OF_CLUSTERS = "The host of a cluster is gone."


def test_each_has_a_test():
    assert sorted(runbooks()) == sorted([*TROUBLES, OF_CLUSTERS])


@pytest.mark.parametrize("title", TROUBLES)
def test_followed_literally(new_keepfs, own_pg, store, tmp_path, title):
    commands = runbooks()[title]
    assert commands
    job = "dirs" if "directory" in title else "text" if "SQL text" in title else "full"
    host = Host(new_keepfs, own_pg, store, tmp_path, job)
    after = TROUBLES[title](host)
    host.follow(commands)
    after()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to the servers' user")
def test_the_host_of_a_cluster(cluster, history, open_place):
    """the new one has what the store has, and what [store] said; the old one's port and directory of sockets are free; the store is copied to where the servers'
    user may read"""
    keepfs, data = cluster.keepfs, open_place / "back"
    keepfs.unmount()
    cluster.server.stop()
    shutil.rmtree(keepfs.state)
    shutil.copytree(keepfs.store.root, open_place / "store")
    subprocess.run(["chmod", "-R", "a+rX", open_place / "store"], check=True)
    (open_place / "keepfs.conf").write_text(f"[keepfs]\nstate_dir = {open_place}/state2\nmemory = 176M\n\n[store]\nurl = dir:{open_place}/store\n")
    env = {**daemon.clean_environment(), "KEEPFS_CONFIG": str(open_place / "new" / "keepfs.conf"), "PATH": f"{open_place}:{os.environ['PATH']}"}
    (open_place / "keepfs").symlink_to(daemon.PROGRAM)
    commands = runbooks()[OF_CLUSTERS]
    assert len(commands) == 5 and commands[-1].endswith("start")
    for command in commands:
        for name, own in (("/etc/keepfs/keepfs.conf", env["KEEPFS_CONFIG"]), ("/var/lib/postgresql/15/main", str(data)),
                          ("/usr/lib/postgresql/15/bin", str(cluster.server.bindir)), ("keepfs rebuild", "keepfs rebuild --moved")):
            command = command.replace(name, own)
        with open(open_place / "said", "w+") as said:
            done = subprocess.run(["bash", "-c", command], env=env, cwd=open_place, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            said.seek(0)
            assert done.returncode == 0, f"{command}\n{said.read()}"
    server = test_pitr.Restored(data, start=False).takes_over(cluster.server)
    try:
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4, 5]
    finally:
        server.remove()
