# SPDX-License-Identifier: Apache-2.0
"""[cluster NAME] wal = stream: the log of a real server as it is written, without a gap whatever is killed, and to the last commit."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

import pytest

import daemon
import faulty_s3
import postgres
from test_wal_server import Recovered, base_backup, rows

JOB = "main"
MIB = 1 << 20
STREAMING = "synchronous_commit = on\nwal_level = replica\nmax_wal_senders = 6\nmax_replication_slots = 6\n"
SLOT = f"keepfs_{JOB}"


@pytest.fixture
def open_place():
    """where the servers' user may pass"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-wal-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def servers():
    """those that a test starts; they are removed at its end"""
    found = []
    yield found
    for server in found:
        server.remove()


@pytest.fixture
def primary(servers):
    servers.append(postgres.Postgres(STREAMING))
    return servers[0]


@pytest.fixture
def stream(open_place, new_keepfs, primary):
    """a mount whose cluster is streamed from the primary; with further keys"""
    made = []

    def make(server=None, **settings):
        keepfs = new_keepfs({f"cluster {JOB}": {"database": (server or primary).uri(""), "wal": "stream", "wal_tail": "100ms", **settings}},
                            directory=open_place)
        if os.geteuid() == 0:
            keepfs.settings |= {"owner": "postgres", "allow_other": "yes"}
            keepfs.write_conf()
        made.append(keepfs)
        return keepfs.mount()

    yield make
    for keepfs in made:
        keepfs.close()


def objects_of(keepfs):
    return [key for key in keepfs.store.keys() if key.startswith("wal/")]


def segments_of(keepfs):
    return sorted(key.rsplit("/", 1)[1][:24] for key in objects_of(keepfs) if re.fullmatch(r"wal/.*/[0-9A-F]{24}\.zst(\.age)?", key))


def lsn(server, expression="pg_current_wal_flush_lsn()"):
    return int(server.sql("postgres", f"SELECT ({expression} - '0/0')::bigint"))


def place_of(name):
    """where a segment of 1 MiB begins"""
    return int(name[8:16], 16) << 32 | int(name[16:24], 16) * MIB


def durable_in_store(keepfs):
    """how far the store has the log, by its keys alone: behind the last segment, or where the tail behind it ends"""
    names = segments_of(keepfs)
    end = place_of(names[-1]) + MIB if names else 0
    tails = {}
    for key in objects_of(keepfs):
        piece = re.fullmatch(r"wal/.*/([0-9A-F]{24})\.tail/([0-9A-F]{8})-([0-9A-F]{8})\.zst(\.age)?", key)
        if piece:
            tails.setdefault(piece[1], []).append((int(piece[2], 16), int(piece[3], 16)))
    for name, pieces in tails.items():
        at = 0
        for begin, stop in sorted(pieces):
            at = max(at, stop) if begin <= at else at
        end = max(end, place_of(name) + at)
    return end


def wait_until_stored(keepfs, server):
    """until all that the server has written is in the store"""
    place = lsn(server)
    daemon.wait_until(lambda: durable_in_store(keepfs) >= place, lambda: f"{place:X} to be stored; it is {durable_in_store(keepfs):X}")


def confirmed(server, slot=SLOT):
    text = server.sql("postgres", f"SELECT restart_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = '{slot}'")
    return int(text) if text else 0


def switch(server):
    server.sql("postgres", "SELECT pg_create_restore_point('a reason for a switch')")
    return server.sql("postgres", "SELECT pg_walfile_name(pg_switch_wal())")


def assert_no_gap(keepfs, timeline=1):
    places = [place_of(n) for n in segments_of(keepfs) if int(n[:8], 16) == timeline]
    assert places == list(range(places[0], places[-1] + MIB, MIB))


def pgbench(server, *arguments):
    server.tool("pgbench", "-n", *arguments, server.uri("bench"))


def health(keepfs):
    return keepfs.text("status", "health")


def wait_for_health(keepfs, words):
    daemon.wait_until(lambda: words in health(keepfs), lambda: f"'{words}' in health: {health(keepfs)}")


def recover(servers, data, command, settings=""):
    servers.append(Recovered(data, command, settings))
    servers[-1].wait_until_promoted()
    return servers[-1]


def test_the_last_commit_comes_back(stream, primary, servers, tmp_path):
    """nobody switches segments: what is restored is in a tail"""
    keepfs = stream()
    primary.create("bench")
    pgbench(primary, "-i", "-s", "2")
    data = base_backup(primary, tmp_path)
    pgbench(primary, "-c", "4", "-t", "500")
    primary.sql("bench", "CREATE TABLE last_words AS SELECT 42 AS answer")
    wait_until_stored(keepfs, primary)
    assert_no_gap(keepfs)
    primary.stop()
    keepfs.remount()  # what there is of tails is found in the store
    restored = recover(servers, data, f"cp {keepfs.path('wal', JOB)}/%f %p")
    assert restored.sql("bench", "SELECT answer FROM last_words") == "42"
    primary.start()
    assert rows(restored) == rows(primary)


def test_what_is_streamed_is_what_the_server_has(stream, primary):
    keepfs = stream()
    primary.create("bench")
    pgbench(primary, "-i", "-s", "1")
    name = switch(primary)
    daemon.wait_until(lambda: name in segments_of(keepfs), f"{name} to be stored")
    compared = 0
    for segment in segments_of(keepfs):
        local = primary.data / "pg_wal" / segment
        if local.exists():
            assert keepfs.path("wal", JOB, segment).read_bytes() == local.read_bytes()
            compared += 1
    assert compared > 3
    daemon.wait_until(lambda: confirmed(primary) >= place_of(name) + MIB, "the slot to move")
    assert primary.sql("postgres", "SELECT application_name FROM pg_stat_replication") == f"keepfs_{JOB}"
    assert not [key for key in objects_of(keepfs) if f"{name}.tail" in key]


def test_a_tail_is_there_by_name_alone(stream, primary, tmp_path):
    keepfs = stream()
    primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS n")
    wait_until_stored(keepfs, primary)
    name = primary.sql("postgres", "SELECT pg_walfile_name(pg_current_wal_flush_lsn())")
    assert name not in os.listdir(keepfs.path("wal", JOB))
    content = keepfs.path("wal", JOB, name).read_bytes()
    used = lsn(primary) - place_of(name)
    assert len(content) == MIB and os.stat(keepfs.path("wal", JOB, name)).st_size == MIB
    assert content[:used] == (primary.data / "pg_wal" / name).read_bytes()[:used]
    assert keepfs.run("wal-get", JOB, name, tmp_path / "got").returncode == 0
    assert (tmp_path / "got").read_bytes()[:used] == content[:used]
    following = f"{name[:16]}{int(name[16:], 16) + 1:08X}"
    assert not keepfs.path("wal", JOB, following).exists()
    assert keepfs.run("wal-get", JOB, following, tmp_path / "none", check=False).returncode == 1
    switch(primary)
    daemon.wait_until(lambda: name in os.listdir(keepfs.path("wal", JOB)), "the segment")
    assert keepfs.path("wal", JOB, name).read_bytes() == (primary.data / "pg_wal" / name).read_bytes()


def test_killed_again_and_again_it_goes_on_without_a_gap(stream, primary, servers, tmp_path):
    keepfs = stream()
    primary.create("bench")
    pgbench(primary, "-i", "-s", "2")
    data = base_backup(primary, tmp_path)
    load = threading.Thread(target=pgbench, args=(primary, "-c", "3", "-T", "6"))
    load.start()
    while load.is_alive():
        before = durable_in_store(keepfs)
        daemon.wait_until(lambda: durable_in_store(keepfs) > before or not load.is_alive(), "something new")
        keepfs.kill()
        keepfs.mount()
    load.join()
    wait_until_stored(keepfs, primary)
    assert_no_gap(keepfs)
    restored = recover(servers, data, f"cp {keepfs.path('wal', JOB)}/%f %p")
    assert rows(restored) == rows(primary)


def test_a_server_that_is_restarted_is_streamed_on(stream, primary):
    keepfs = stream()
    wait_until_stored(keepfs, primary)
    for mode in ("immediate", "fast"):
        primary.stop(mode)  # "fast" returns when what it wrote last is confirmed
        primary.start()
        primary.sql("postgres", "SELECT pg_create_restore_point('again')")
        switch(primary)
        wait_until_stored(keepfs, primary)
    assert_no_gap(keepfs)
    wait_for_health(keepfs, "0 bytes behind the server")


def test_what_a_server_sent_before_it_died_is_stored(stream, primary):
    """with a tail that is far away: what has come is stored when the connection breaks off"""
    keepfs = stream(wal_tail="1h")
    daemon.wait_until(lambda: primary.sql("postgres", "SELECT sent_lsn = pg_current_wal_flush_lsn() FROM pg_stat_replication") == "t", "a stream")
    primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS n")
    place = lsn(primary)
    daemon.wait_until(lambda: lsn(primary, "(SELECT sent_lsn FROM pg_stat_replication)") >= place, "the last bytes to be sent")
    primary.stop("immediate")
    daemon.wait_until(lambda: durable_in_store(keepfs) >= place, "the tail")


def test_a_promoted_standby_is_followed_onto_its_timeline(stream, primary, servers):
    servers.append(postgres.Standby(primary, STREAMING))
    standby = servers[-1]
    keepfs = stream(standby)
    primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS n")
    switch(primary)
    primary.sql("postgres", "INSERT INTO t VALUES (2)")
    standby.catch_up()
    daemon.wait_until(lambda: durable_in_store(keepfs) >= lsn(standby, "pg_last_wal_replay_lsn()"), "what the standby has")
    primary.stop()
    standby.sql("postgres", "SELECT pg_promote()")
    standby.sql("postgres", "INSERT INTO t VALUES (3)")
    name = switch(standby)
    assert name.startswith("00000002")
    daemon.wait_until(lambda: name in segments_of(keepfs), f"{name} to be stored")
    assert "00000002.history" in os.listdir(keepfs.path("wal", JOB))
    assert keepfs.path("wal", JOB, "00000002.history").read_bytes() == (standby.data / "pg_wal" / "00000002.history").read_bytes()
    second = [n for n in segments_of(keepfs) if n.startswith("00000002")]
    first = [n for n in segments_of(keepfs) if n.startswith("00000001")]
    assert place_of(second[0]) == place_of(first[-1]) + MIB
    daemon.wait_until(lambda: not [k for k in objects_of(keepfs) if "/00000001" in k and ".tail/" in k], "the old timeline's tail to go")
    keepfs.remount()
    standby.sql("postgres", "INSERT INTO t VALUES (4)")
    wait_until_stored(keepfs, standby)
    assert_no_gap(keepfs, 2)


def test_a_lost_slot_is_a_gap_that_is_told(stream, servers):
    servers.append(postgres.Postgres(STREAMING + "max_slot_wal_keep_size = 2MB\nmax_wal_size = 2MB\nmin_wal_size = 2MB\n"))
    server = servers[-1]
    keepfs = stream(server)
    wait_until_stored(keepfs, server)
    keepfs.unmount()
    for _ in range(12):
        switch(server)
    server.sql("postgres", "CHECKPOINT")
    switch(server)
    server.sql("postgres", "CHECKPOINT")
    assert server.sql("postgres", "SELECT wal_status FROM pg_replication_slots") == "lost"
    keepfs.mount()
    wait_for_health(keepfs, "gap in the WAL")
    assert "CRIT" in health(keepfs) and "Make a base backup" in health(keepfs)
    wait_until_stored(keepfs, server)
    daemon.wait_until(lambda: server.sql("postgres", "SELECT wal_status FROM pg_replication_slots") == "reserved", "a slot that keeps WAL")
    assert "was dropped" in (keepfs.state / "keepfs.log").read_text()


def test_what_was_removed_is_no_gap_in_the_stream(stream, servers):
    """the store lacks a segment before the last one, as where retention has kept an old base backup's alone; the server has it no more"""
    servers.append(postgres.Postgres(STREAMING + "max_wal_size = 2MB\nmin_wal_size = 2MB\n"))
    server = servers[-1]
    keepfs = stream(server)
    for _ in range(6):
        switch(server)
    wait_until_stored(keepfs, server)
    keepfs.unmount()
    for _ in range(2):
        server.sql("postgres", "CHECKPOINT")
    removed = segments_of(keepfs)[-4]
    assert not (server.data / "pg_wal" / removed).exists()
    keepfs.store.remove(next(key for key in objects_of(keepfs) if f"/{removed}." in key))
    for file in keepfs.state.glob("catalog.db*"):
        file.unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    switch(server)
    wait_until_stored(keepfs, server)
    assert "the server has no WAL any more" not in (keepfs.state / "keepfs.log").read_text()
    assert "gap in the WAL" not in health(keepfs)


def test_both_ways_at_once(stream, primary):
    keepfs = stream(wal="both")
    primary.set(f"archive_mode = on\narchive_command = 'cp %p {keepfs.path('wal', JOB)}/%f'\n")
    primary.stop()
    primary.start()
    primary.create("bench")
    pgbench(primary, "-i", "-s", "1")
    name = switch(primary)
    archived = "SELECT last_archived_wal FROM pg_stat_archiver"
    daemon.wait_until(lambda: primary.sql("postgres", archived) >= name, "the archiver")
    wait_until_stored(keepfs, primary)
    assert primary.sql("postgres", "SELECT failed_count FROM pg_stat_archiver") == "0", (primary.data / "server.log").read_text()
    assert_no_gap(keepfs)


@pytest.mark.parametrize("confirm", ["store", "disk"])
def test_commits_that_returned_are_there_after_everything_was_killed(stream, primary, servers, tmp_path, confirm):
    keepfs = stream(wal_tail="0s" if confirm == "store" else "1h", wal_confirm=confirm)
    primary.sql("postgres", "CREATE TABLE t (n int)")
    data = base_backup(primary, tmp_path)
    daemon.wait_until(lambda: confirmed(primary) > 0, "the stream")
    primary.set(f"synchronous_standby_names = 'keepfs_{JOB}'\n")
    primary.sql("postgres", "SELECT pg_reload_conf()")
    daemon.wait_until(lambda: primary.sql("postgres", "SELECT sync_state FROM pg_stat_replication") == "sync", "a synchronous standby")
    for n in range(40):
        primary.sql("postgres", f"INSERT INTO t VALUES ({n})")
    last = lsn(primary)
    keepfs.kill()
    primary.stop("immediate")
    if confirm == "disk":
        # What is on disk is brought into the store before the server is asked for more.
        assert list((keepfs.state / "wal" / JOB).iterdir())
        primary.set("synchronous_standby_names = ''\n")
        primary.start()
        keepfs.mount()
        daemon.wait_until(lambda: durable_in_store(keepfs) >= last, "what was on disk")
    else:
        keepfs.mount()
    restored = recover(servers, data, f"cp {keepfs.path('wal', JOB)}/%f %p", "synchronous_standby_names = ''\n")
    assert restored.sql("postgres", "SELECT count(*) FROM t WHERE n < 40") == "40"


def test_commits_wait_for_what_is_durable(stream, primary):
    """with a tail that is far away a commit does not return, and then it does"""
    keepfs = stream(wal_tail="1h")
    daemon.wait_until(lambda: confirmed(primary) > 0, "the stream")
    primary.set(f"synchronous_standby_names = 'keepfs_{JOB}'\n")
    primary.sql("postgres", "SELECT pg_reload_conf()")
    daemon.wait_until(lambda: primary.sql("postgres", "SELECT sync_state FROM pg_stat_replication") == "sync", "a synchronous standby")
    writer = threading.Thread(target=primary.sql, args=("postgres", "CREATE TABLE t AS SELECT 1 AS n"))
    writer.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    daemon.wait_until(lambda: primary.sql("postgres", waiting) == "1", "a commit that waits")
    keepfs.jobs[f"cluster {JOB}"]["wal_tail"] = "0s"
    keepfs.write_conf()
    keepfs.signal(1, wait=False)
    writer.join(60)
    assert not writer.is_alive()
    assert durable_in_store(keepfs) > 0


@pytest.fixture
def outage():
    """a store whose server can go away, and come back"""
    server = faulty_s3.FaultyS3()
    yield server
    server.close()


def test_a_store_that_is_down_is_waited_for(new_keepfs, primary, outage, tmp_path):
    keepfs = new_keepfs({f"cluster {JOB}": {"database": primary.uri(""), "wal": "stream", "wal_tail": "100ms"}}, store=outage, directory=tmp_path / "down")
    keepfs.store_settings["retry_deadline"] = "1s"
    keepfs.write_conf()
    keepfs.mount()
    wait_until_stored(keepfs, primary)
    outage.close()
    primary.create("bench")
    pgbench(primary, "-i", "-s", "5")
    wait_for_health(keepfs, "the server keeps its WAL meanwhile")
    assert primary.sql("postgres", "SELECT count(*) FROM pg_stat_replication") == "1"
    outage.listen()
    wait_until_stored(keepfs, primary)
    assert_no_gap(keepfs)
    wait_for_health(keepfs, "0 bytes behind the server")


def test_another_cluster_is_refused(stream, primary, servers):
    keepfs = stream()
    wait_until_stored(keepfs, primary)
    before = objects_of(keepfs)
    servers.append(postgres.Postgres(STREAMING))
    keepfs.jobs[f"cluster {JOB}"]["database"] = servers[-1].uri("")
    keepfs.write_conf()
    keepfs.remount()
    wait_for_health(keepfs, "is another cluster")
    assert [k for k in objects_of(keepfs) if ".tail/" not in k] == [k for k in before if ".tail/" not in k]


def test_a_reload_ends_and_begins_it(stream, primary):
    keepfs = stream()
    wait_until_stored(keepfs, primary)
    for wal, count in (("archive", "0"), ("stream", "1")):
        keepfs.jobs[f"cluster {JOB}"]["wal"] = wal
        keepfs.write_conf()
        keepfs.signal(1, wait=False)
        daemon.wait_until(lambda: primary.sql("postgres", "SELECT count(*) FROM pg_stat_replication") == count, f"{wal} to be in force")
    switch(primary)
    wait_until_stored(keepfs, primary)
    assert_no_gap(keepfs)


def test_two_receivers_do_not_share_a_slot(stream, primary):
    keepfs = stream()
    daemon.wait_until(lambda: confirmed(primary) > 0, "the stream")
    keepfs.unmount()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        other = subprocess.Popen([str(primary.bindir / "pg_receivewal"), "-D", directory, "-S", SLOT, "-d", primary.uri("")],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            daemon.wait_until(lambda: primary.sql("postgres", "SELECT count(*) FROM pg_stat_replication") == "1", "the other receiver")
            keepfs.mount()
            wait_for_health(keepfs, "another receiver streams by this slot")
        finally:
            other.kill()
            other.wait()
    wait_until_stored(keepfs, primary)


def test_a_tail_is_encrypted_as_its_segment_is(stream, primary, open_place):
    secret = open_place / "identity"
    made = subprocess.run(["age-keygen"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    secret.write_text(made)
    secret.chmod(0o600)
    recipient = next(line.split(": ")[1] for line in made.splitlines() if "public key" in line)
    keepfs = stream(encrypt_to=recipient)
    primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS n")
    wait_until_stored(keepfs, primary)
    assert all(key.endswith(".zst.age") for key in objects_of(keepfs))
    keepfs.settings["identity_file"] = secret
    keepfs.write_conf()
    keepfs.remount()
    name = primary.sql("postgres", "SELECT pg_walfile_name(pg_current_wal_flush_lsn())")
    used = lsn(primary) - place_of(name)
    wait_until_stored(keepfs, primary)
    assert keepfs.path("wal", JOB, name).read_bytes()[:used] == (primary.data / "pg_wal" / name).read_bytes()[:used]
