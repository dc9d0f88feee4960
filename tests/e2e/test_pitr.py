# SPDX-License-Identifier: Apache-2.0
"""A cluster comes back as it was at a moment: which rows are there is held against what the server said when they were committed."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import pytest

import daemon
import postgres
import test_encrypt
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

    def __init__(self, data, start=True, bindir=None):
        self.restored = pathlib.Path(data)
        self.starts = start
        old = self.restored / "server.log"
        self.old_log = len(old.read_text()) if old.exists() else 0
        super().__init__(bindir=bindir)

    def _create(self):
        self.data = self.restored
        self.environment = daemon.clean_environment()  # that restore_command has, too
        self.set(f"\nport = {self.port}\nunix_socket_directories = '{self.directory}'\narchive_mode = off\n")
        if self.starts:
            self.start()

    def begin(self):
        """without waiting for anything"""
        with open(self.directory / "pg_ctl.log", "wb") as log:
            subprocess.run([*self.as_user, str(self.bindir / "pg_ctl"), "-D", str(self.data), "-W", "-l", str(self.data / "server.log"), "start"], cwd="/",
                           env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)

    def start(self):
        try:
            super().start()
        except subprocess.CalledProcessError as failure:
            raise AssertionError((self.data / "server.log").read_text()) from failure

    def takes_over(self, other):
        """the port and the directory for sockets that the base names, which are those of a server that is gone"""
        shutil.rmtree(self.directory)
        self.directory, self.port = other.directory, other.port
        return self

    def log(self):
        """since it was restored: the base has that of the old server"""
        path = self.data / "server.log"
        return path.read_text()[self.old_log:] if path.exists() else ""

    def wait_until_promoted(self):
        daemon.wait_until(lambda: self.answers() and self.sql("postgres", "SELECT pg_is_in_recovery()") == "f", lambda: self.log())
        return self

    def numbers(self):
        return [int(n) for n in self.sql("shop", "SELECT n FROM t ORDER BY n").split()]

    def remove(self):
        super().remove()
        shutil.rmtree(self.restored, ignore_errors=True)


def target_of(open_place, name="back"):
    """a directory that is not there, in one that the servers' user may pass"""
    return open_place / name


def restore(keepfs, to, *words, check=True, word=JOB):
    """the server gets its WAL out of the mount: its user may not read the configuration of these tests"""
    by = [] if any(str(w).startswith("restore_command=") for w in words) else ["restore_command=mount"]
    return keepfs.run("restore", word, to, *owner_words(), *by, *words, check=check)


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


def stopped(data):
    """a data directory on which a server has run, and does not any more"""
    server = Restored(data)
    server.wait_until_promoted()
    return server


def test_delta_fetches_what_differs(cluster, history, open_place):
    """also what differs and has the same CRC-32C, as every pg_control and pg_filenode.map has"""
    data = target_of(open_place)
    restore(cluster.keepfs, data)
    server = stopped(data)
    try:
        server.sql("shop", "DELETE FROM t WHERE n < 4")
        server.sql("shop", "VACUUM FULL pg_class")
        done = restore(cluster.keepfs, data, "delta=yes", f"confirm={data}", check=False)
        assert done.returncode != 0 and "a server runs on" in done.stdout
        server.stop("fast")
        (data / "base/rubbish").write_text("of nobody")
        done = restore(cluster.keepfs, data, "delta=yes", check=False)
        assert done.returncode != 0 and f"to do that write confirm={data}" in done.stdout and (data / "base/rubbish").exists()
        done = restore(cluster.keepfs, data, "delta=yes", f"confirm={data}")
        line = next(line for line in done.stdout.splitlines() if "are fetched" in line)
        fetched, there = int(line.split()[0]), int(line.split("; ")[1].split()[0])
        assert 0 < fetched < there / 4, line
        assert "are not in the base, and are removed" in done.stdout and not (data / "base/rubbish").exists()
        server.set(f"\nport = {server.port}\nunix_socket_directories = '{server.directory}'\narchive_mode = off\n")
        server.start()
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4, 5]
    finally:
        server.remove()


def test_another_cluster_is_not_overwritten(cluster, history, open_place):
    other = postgres.Postgres()
    try:
        other.stop("fast")
        done = restore(cluster.keepfs, other.data, "delta=yes", f"confirm={other.data}", check=False)
        assert done.returncode != 0 and "of another cluster" in done.stdout
        other.start()
    finally:
        other.remove()


def test_a_link_does_not_lead_to_the_control_file_of_another(cluster, history, open_place):
    """it would be renamed there, and the server that works on it be lost"""
    data, production = target_of(open_place), open_place / "production"
    restore(cluster.keepfs, data)
    (data / "global").rename(production)
    (data / "global").symlink_to(production)
    for mark in (False, True):
        if mark:
            (data / "keepfs.restore").write_text("x: 1\n")
        done = restore(cluster.keepfs, data, "delta=yes", f"confirm={data}", check=False)
        assert done.returncode != 0 and f"{data}/global is a symbolic link" in done.stdout, done.stdout
        assert (production / "pg_control").exists()


def test_a_server_that_was_started_meanwhile_is_not_overwritten(cluster, history, open_place):
    """when the directory was looked at none ran: it was started while what is there was compared"""
    data = target_of(open_place)
    restore(cluster.keepfs, data)
    (data / "base/rubbish").write_text("of nobody")
    done = restore(cluster.keepfs, data, "delta=yes", f"confirm={data}", f"pre_hook=echo {os.getpid()} > {data}/postmaster.pid", check=False)
    assert done.returncode != 0 and "a server runs on" in done.stdout, done.stdout
    assert (data / "global/pg_control").exists() and (data / "base/rubbish").exists()


def test_links_that_lead_elsewhere_are_told_before_they_are_followed(cluster, history, open_place):
    """a directory that was copied together with its links has those to what another server works on"""
    data, wal = target_of(open_place), open_place / "wal"
    restore(cluster.keepfs, data)
    (data / "pg_wal").rename(wal)
    (data / "pg_wal").symlink_to(wal)
    (wal / "000000010000000000000009").write_text("of another server")
    done = restore(cluster.keepfs, data, "delta=yes", check=False)
    assert done.returncode != 0 and f"behind these links, which no other server may use: pg_wal -> {wal};" in done.stdout, done.stdout
    assert (wal / "000000010000000000000009").exists()


class Host:
    """another one, that has the store and nothing else: what a server's user may read of it, too"""

    def __init__(self, cluster, place):
        self.place = place
        self.store = place / "store"
        shutil.copytree(cluster.keepfs.store.root, self.store)
        subprocess.run(["chmod", "-R", "a+rX", str(self.store)], check=True)
        self.conf = place / "new.conf"
        self.conf.write_text(f"[keepfs]\nmountpoint = {place / 'nowhere'}\nstate_dir = {place / 'state2'}\nmemory = 176M\n\n[store]\nurl = dir:{self.store}\nscrub_within = none\n")
        self.conf.chmod(0o644)
        subprocess.run([daemon.PROGRAM, "rebuild", "-c", str(self.conf), "--moved"], check=True, stdout=subprocess.DEVNULL, env=daemon.clean_environment())

    def command(self, data, *words):
        return [daemon.PROGRAM, "restore", "-c", str(self.conf), JOB, str(data), *owner_words(), *words]

    def restore(self, data, *words, check=True):
        done = subprocess.run(self.command(data, *words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                              env=daemon.clean_environment())
        assert not check or done.returncode == 0, done.stdout
        return done


@pytest.fixture
def new_host(cluster, history, open_place):
    """the old one is gone"""
    cluster.keepfs.unmount()
    cluster.server.stop()
    return Host(cluster, open_place)


def test_a_new_host_needs_nothing_but_the_store(new_host, history, open_place):
    data = target_of(open_place)
    done = new_host.restore(data, "--to", history.moments[4][0])
    assert "the last commit in these is of" in done.stdout, done.stdout
    server = Restored(data)
    try:
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4]
    finally:
        server.remove()


def test_start_waits_until_the_target_is_reached(new_host, history, open_place):
    """the port is that of the old server, which is gone"""
    data = target_of(open_place)
    done = new_host.restore(data, "--to", f"xid:{history.moments[4][2]}", "start=yes", "action=pause", "archive=off")
    server = Restored(data, start=False).takes_over(history.server)
    try:
        assert "the recovery has reached its target after" in done.stdout and "has paused" in done.stdout, done.stdout
        assert "the last transaction that was replayed is of 20" in done.stdout
        assert server.numbers() == [1, 2, 3, 4]
        assert server.sql("postgres", "SHOW archive_mode") == "off"
    finally:
        server.remove()


@pytest.mark.parametrize("action, said", [("promote", "the server takes writes"), ("shutdown", "the server has shut down")])
def test_start_with_what_is_done_at_the_target(new_host, history, open_place, action, said):
    data = target_of(open_place)
    done = new_host.restore(data, "--to", f"xid:{history.moments[4][2]}", "start=yes", f"action={action}", "archive=off")
    assert said in done.stdout, done.stdout
    server = Restored(data, start=False).takes_over(history.server)
    try:
        assert server.running() == (action == "promote")
        if action == "shutdown":
            told = subprocess.run([str(server.bindir / "pg_controldata"), str(data)], check=True, stdout=subprocess.PIPE, text=True).stdout
            assert "shut down in recovery" in told
        else:
            assert server.numbers() == [1, 2, 3, 4]
    finally:
        server.remove()


def as_debian_has_it(server):
    """its configuration lies elsewhere, and names the data directory"""
    server.stop("fast")
    data, elsewhere = server.data, server.directory / "etc"
    elsewhere.mkdir()
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        shutil.move(data / name, elsewhere / name)
    with open(elsewhere / "postgresql.conf", "a") as conf:
        conf.write(f"data_directory = '{data}'\nhba_file = '{elsewhere}/pg_hba.conf'\nident_file = '{elsewhere}/pg_ident.conf'\n")
    subprocess.run(["chown", "-R", f"--reference={data}", str(elsewhere)], check=True)
    server.data = elsewhere
    server.start()
    server.data = data
    return elsewhere / "postgresql.conf"


def test_a_configuration_that_lies_elsewhere(cluster, open_place):
    configuration = as_debian_has_it(cluster.server)
    cluster.server.create("shop")
    cluster.server.sql("shop", "CREATE TABLE t AS SELECT 7 AS n")
    cluster.backup()
    cluster.server.stop("fast")
    to = target_of(open_place)
    done = restore(cluster.keepfs, to, "start=yes", "archive=off", check=False)
    assert done.returncode != 0 and "say with config=/etc/postgresql" in done.stdout and not to.exists(), done.stdout
    done = restore(cluster.keepfs, to, "start=yes", "archive=off", "config=/nonexistent/postgresql.conf", check=False)
    assert done.returncode != 0 and "config=/nonexistent/postgresql.conf: there is no such file" in done.stdout + done.stderr
    done = restore(cluster.keepfs, to, "start=yes", "archive=off", f"config={configuration}")
    server = Restored(to, start=False).takes_over(cluster.server)
    try:
        assert "the server takes writes" in done.stdout, done.stdout
        assert server.numbers() == [7] and server.sql("postgres", "SHOW data_directory") == str(to)
    finally:
        server.remove()


def test_the_newest_base_that_was_consistent_before_is_taken(cluster, history, open_place):
    first = history.cluster.manifest()["path"].rsplit("/", 1)[1]
    cluster.backup()
    history.add(6)
    history.archive()
    assert numbers_after(cluster.keepfs, target_of(open_place), "until=immediate") == [1, 2, 3, 4, 5]
    assert numbers_after(cluster.keepfs, target_of(open_place), "until=immediate", f"base={first}") == [1, 2]
    done = restore(cluster.keepfs, target_of(open_place), f"until={history.moments[3][0]}", "--dry-run")
    assert f"the base is backups/{JOB}/{first}:" in done.stdout, done.stdout
    done = restore(cluster.keepfs, target_of(open_place), f"until={history.moments[6][0]}", f"base={first}", "--dry-run", check=False)
    assert not target_of(open_place).exists()


def test_a_restore_that_was_killed_is_gone_on_with(new_host, history, open_place):
    data = target_of(open_place)
    process = subprocess.Popen(new_host.command(data, "jobs=1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                               env=daemon.clean_environment())
    daemon.wait_until(lambda: (data / "keepfs.restore").exists() or process.poll() is not None, "the restore to begin", pause_s=0.001)
    process.kill()
    process.wait()
    assert (data / "keepfs.restore").exists() and not (data / "global/pg_control").exists()
    done = new_host.restore(data)
    assert "which goes on" in done.stdout
    server = Restored(data)
    try:
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4, 5]
    finally:
        server.remove()


def test_a_recovery_does_not_end_where_the_store_is_away(new_host, history, open_place):
    """it stops instead, and goes on when it is started again; else it would take what it has for all there is"""
    data, away = target_of(open_place), open_place / "away"
    new_host.restore(data)
    os.rename(new_host.store, away)
    server = Restored(data, start=False)
    try:
        server.begin()
        daemon.wait_until(lambda: "database system is shut down" in server.log(), lambda: server.log())
        assert "FATAL" in server.log() and "could not restore file" in server.log()
        os.rename(away, new_host.store)
        server.start()
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4, 5], server.log()
    finally:
        server.remove()


def test_a_recovery_waits_while_the_mount_does_not_answer(cluster, history, open_place):
    data = target_of(open_place)
    restore(cluster.keepfs, data)
    server = Restored(data, start=False)
    daemons = cluster.keepfs.daemons()
    try:
        for pid in daemons:
            os.kill(pid, signal.SIGSTOP)
        try:
            server.begin()
            asks = ["pgrep", "-f", f"^cp {cluster.keepfs.path('wal', JOB)}/"]
            daemon.wait_until(lambda: subprocess.run(asks, stdout=subprocess.DEVNULL).returncode == 0, "the server to ask")
        finally:
            for pid in daemons:
                os.kill(pid, signal.SIGCONT)
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4, 5], server.log()
        assert "FATAL:  could not" not in server.log()
    finally:
        server.remove()


def test_a_recovery_does_not_end_where_the_mount_is_gone(cluster, history, open_place):
    data = target_of(open_place)
    restore(cluster.keepfs, data)
    cluster.keepfs.kill()
    server = Restored(data, start=False)
    try:
        server.begin()
        daemon.wait_until(lambda: "database system is shut down" in server.log(), lambda: server.log())
        cluster.keepfs.mount()
        server.start()
        assert server.wait_until_promoted().numbers() == [1, 2, 3, 4, 5], server.log()
    finally:
        server.remove()


def test_a_damaged_pack_is_told_with_the_file(new_host, history, open_place):
    [pack] = sorted(new_host.store.glob(f"packs/{JOB}/*/*.tar.zst"))[:1]
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(content)
    data = target_of(open_place)
    done = new_host.restore(data, check=False)
    assert done.returncode != 0 and "cannot be had from the pack packs/main/" in done.stdout and "is not whole" in done.stdout, done.stdout
    assert not (data / "global/pg_control").exists()


@pytest.fixture
def spaces(cluster, open_place):
    """a table in a tablespace"""
    place = open_place / "space"
    place.mkdir()
    if os.geteuid() == 0:
        shutil.chown(place, "postgres")
    h = History(cluster)
    cluster.server.sql("postgres", f"CREATE TABLESPACE fast LOCATION '{place}'")
    cluster.server.sql("shop", "CREATE TABLE far (n int) TABLESPACE fast; INSERT INTO far SELECT generate_series(1, 1000)")
    h.add(1)
    cluster.backup()
    h.add(2)
    h.archive()
    h.place = place
    h.oid = cluster.server.sql("postgres", "SELECT oid FROM pg_tablespace WHERE spcname = 'fast'")
    return h


def far(server):
    return server.wait_until_promoted().sql("shop", "SELECT count(*), max(n) FROM far")


def test_tablespaces_lie_inside_or_where_they_are_sent(cluster, spaces, open_place):
    data, elsewhere = target_of(open_place), open_place / "elsewhere"
    done = restore(cluster.keepfs, data, check=False)
    assert done.returncode != 0 and f"the directory {spaces.place} of tablespace {spaces.oid} is not empty" in done.stdout and not data.exists()
    done = restore(cluster.keepfs, data, "tablespace=99999:/nowhere", check=False)
    assert done.returncode != 0 and f"{spaces.oid} {spaces.place}" in done.stdout and not data.exists()
    # A server takes none of these by itself, but it is what there is to be moved.
    assert "allow_in_place_tablespaces" in restore(cluster.keepfs, data, "tablespaces=inside").stdout
    assert (data / "pg_tblspc" / spaces.oid).is_dir() and not (data / "pg_tblspc" / spaces.oid).is_symlink()
    shutil.rmtree(data)
    restore(cluster.keepfs, data, f"tablespace={spaces.oid}:{elsewhere}")
    assert os.readlink(data / "pg_tblspc" / spaces.oid) == str(elsewhere) and os.listdir(elsewhere)
    server = Restored(data)
    try:
        assert far(server) == "1000|1000"
        server.stop("fast")
        restore(cluster.keepfs, data, "delta=yes", f"confirm={data}")
        assert os.readlink(data / "pg_tblspc" / spaces.oid) == str(elsewhere)
        # The link would stay, and what is behind it be changed: where it leads to a server may be at work.
        (elsewhere / "of another server").touch()
        done = restore(cluster.keepfs, data, "delta=yes", f"confirm={data}", f"tablespace={spaces.oid}:{open_place}/third", check=False)
        assert done.returncode != 0 and f"pg_tblspc/{spaces.oid} is a link to another directory" in done.stdout, done.stdout
        assert (elsewhere / "of another server").exists() and not (open_place / "third").exists()
    finally:
        server.remove()


def test_a_tablespace_within_the_data_directory(make_cluster, open_place):
    """has no place of its own, and needs no word"""
    cluster = make_cluster("allow_in_place_tablespaces = on\n")
    h = History(cluster)
    cluster.server.sql("postgres", "CREATE TABLESPACE near LOCATION ''")
    cluster.server.sql("shop", "CREATE TABLE beside (n int) TABLESPACE near; INSERT INTO beside VALUES (7)")
    h.add(1)
    cluster.backup()
    h.archive()
    data = target_of(open_place)
    restore(cluster.keepfs, data)
    server = Restored(data)
    try:
        assert server.wait_until_promoted().sql("shop", "SELECT n FROM beside") == "7"
    finally:
        server.remove()


def test_encrypted(make_cluster, tmp_path, open_place):
    identity = test_encrypt.Identity(tmp_path / "identity")
    cluster = make_cluster(encrypt_to=identity.recipient)
    cluster.keepfs.settings |= {"identity_file": identity.path}
    cluster.keepfs.write_conf()
    cluster.keepfs.remount()
    h = History(cluster)
    h.add(1)
    cluster.backup()
    h.add(2)
    h.add(3)
    h.archive()
    assert numbers_after(cluster.keepfs, target_of(open_place), "--to", f"xid:{h.moments[2][2]}") == [1, 2]
