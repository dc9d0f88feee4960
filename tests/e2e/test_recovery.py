# SPDX-License-Identifier: Apache-2.0
"""What can be recovered is known at any time: status/recovery, its JSON, the command, and health, against a server that says when what was committed."""
import json
import pathlib
import struct
import subprocess

import pytest

import daemon
from test_base import JOB, cluster, make_cluster, open_place  # noqa: F401
import test_wal_server

SETTINGS = "track_commit_timestamp = on\n"


def told(keepfs):
    (one,) = json.loads(keepfs.text("status", "recovery.json"))
    assert one["cluster"] == JOB
    return one


def lasting(one):
    """without what depends on when a file came here, on whether its index is in it, and on how far a server is"""
    return {key: value for key, value in one.items() if key not in ("server", "wal_last", "wal_last_at", "wal_stored_bytes")}


def commit(server, statement):
    """carry it out, and say when it was committed, in UTC to the microsecond"""
    server.sql("postgres", statement)
    return server.sql("postgres", "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM pg_last_committed_xact()")


def archive(cluster):  # noqa: F811
    """end the segment, without a transaction, and wait until it has come"""
    server = cluster.server
    name = server.sql("postgres", "SELECT pg_walfile_name(pg_switch_wal())")
    daemon.wait_until(lambda: test_wal_server.archived(server) >= name, f"{name} to be archived")
    return name


def rebuild(keepfs, mount=True):
    keepfs.unmount()
    for file in pathlib.Path(keepfs.state).glob("catalog.db*"):
        file.unlink()
    keepfs.run("rebuild")
    if mount:
        keepfs.mount()


@pytest.fixture
def filled(make_cluster):  # noqa: F811
    """a cluster with a base, two segments of commits, and a restore point; .last is when the last commit was"""
    one = make_cluster(SETTINGS)
    server = one.server
    server.sql("postgres", "CREATE TABLE t (n int)")
    one.backup()
    commit(server, "INSERT INTO t VALUES (1)")
    one.first_behind = archive(one)
    server.sql("postgres", "SELECT pg_create_restore_point('before the upgrade')")
    one.last = commit(server, "INSERT INTO t VALUES (2)")
    one.second_behind = archive(one)
    return one


def test_from_when_to_when(filled):
    one = told(filled.keepfs)
    (base,) = one["bases"]
    assert base["whole"] and base["usable"] and base["missing"] is None and base["timeline"] == 1 and base["bytes"] > 0
    (window,) = one["windows"]
    assert window["from"]["at"] == base["at"] and window["from"]["lsn"] == base["stop_lsn"] and window["bases"] == 1 and window["unread"] == 0
    assert one["newest"] == window["to"] and one["newest"]["at"] == filled.last
    assert one["oldest"] == window["from"] and one["gaps"] == []
    (point,) = one["restore_points"]
    assert point["name"] == "before the upgrade" and point["timeline"] == 1
    text = filled.keepfs.text("status", "recovery")
    for part in (f"{JOB}\n", one["newest"]["lsn"], "restore point", "before the upgrade", base["path"].rsplit("/")[-1], filled.second_behind):
        assert part in text
    metrics = filled.keepfs.text("status", "metrics.prom")
    for name in ("recovery_newest_timestamp_seconds", "recovery_oldest_timestamp_seconds", "wal_missing_segments"):
        assert f'keepfs_{name}{{backup_job="{JOB}"}}' in metrics


def test_a_rebuild_tells_the_same(filled):
    before = lasting(told(filled.keepfs))
    rebuild(filled.keepfs)
    assert lasting(told(filled.keepfs)) == before


def test_a_missing_segment_is_named(filled):
    keepfs = filled.keepfs
    server = filled.server
    keepfs.unmount()
    (object,) = (keepfs.store.root / "wal" / JOB).glob(f"*/{filled.first_behind}.zst")
    object.unlink()
    keepfs.mount()
    rebuild(keepfs)
    one = told(keepfs)
    (gap,) = one["gaps"]
    assert gap["first"] == gap["last"] == filled.first_behind and gap["blocks_newest"] and not gap["removed"]
    assert one["newest"]["at"] != filled.last
    assert f"missing            {filled.first_behind}" in keepfs.text("status", "recovery")
    assert f'keepfs_wal_missing_segments{{backup_job="{JOB}"}} 1' in keepfs.text("status", "metrics.prom")
    # A new base closes it.
    last = commit(server, "INSERT INTO t VALUES (3)")
    filled.backup()
    one = told(keepfs)
    assert len(one["windows"]) == 2 and one["newest"]["at"] in (last, None)
    assert not one["gaps"][0]["blocks_newest"]


def test_encrypted(make_cluster, tmp_path):  # noqa: F811
    secret = tmp_path / "identity"
    made = subprocess.run(["age-keygen"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    secret.write_text(made)
    secret.chmod(0o600)
    recipient = next(line.split(": ")[1] for line in made.splitlines() if "public key" in line)
    one = make_cluster(SETTINGS, encrypt_to=recipient)
    one.keepfs.settings["identity_file"] = secret
    one.keepfs.write_conf()
    one.keepfs.unmount()
    one.keepfs.mount()
    one.server.sql("postgres", "CREATE TABLE t (n int)")
    one.backup()
    last = commit(one.server, "INSERT INTO t VALUES (1)")
    archive(one)
    before = lasting(told(one.keepfs))
    assert before["newest"]["at"] == last
    rebuild(one.keepfs)
    assert lasting(told(one.keepfs)) == before


def without_index(file):
    """as an older keepfs wrote it"""
    content = file.read_bytes()
    mark, length, _ = struct.unpack("<8sII", content[-16:])
    assert mark == b"keepfs-w"
    start = len(content) - length - 24
    magic, rest = struct.unpack("<II", content[start:start + 8])
    assert magic == 0x184D2A57 and rest == length + 16
    assert json.loads(content[start + 8:-16])["format"] == "keepfs-wal"
    file.write_bytes(content[:start])


def test_segments_of_an_older_keepfs_are_read(filled):
    keepfs = filled.keepfs
    before = lasting(told(keepfs))
    keepfs.unmount()
    for file in (keepfs.store.root / "wal" / JOB).glob("*/????????????????????????.zst"):
        without_index(file)
    keepfs.mount()
    rebuild(keepfs)
    daemon.wait_until(lambda: lasting(told(keepfs)) == before, lambda: f"{before}, and not {told(keepfs)}")


def test_a_promoted_server(filled):
    keepfs, server = filled.keepfs, filled.server
    data = test_wal_server.base_backup(server, None)
    archive(filled)
    archiving = f"archive_mode = on\narchive_command = 'cp %p {keepfs.path('wal', JOB)}/%f'\n"
    standby = test_wal_server.Recovered(data, f"cp {keepfs.path('wal', JOB)}/%f %p", SETTINGS + archiving)
    try:
        standby.wait_until_promoted()
        last = commit(standby, "INSERT INTO t VALUES (4)")
        name = standby.sql("postgres", "SELECT pg_walfile_name(pg_switch_wal())")
        assert name.startswith("00000002")
        daemon.wait_until(lambda: test_wal_server.archived(standby) >= name, f"{name} to be archived")
    finally:
        standby.remove()
    one = told(keepfs)
    assert one["newest"]["timeline"] == 2 and one["newest"]["at"] == last and one["gaps"] == []
    before = lasting(one)
    rebuild(keepfs)
    assert lasting(told(keepfs)) == before


def test_a_server_whose_segments_do_not_come(filled):
    keepfs, server = filled.keepfs, filled.server
    server.set("archive_command = 'false'\n")
    server.sql("postgres", "SELECT pg_reload_conf()")
    for number in range(2):
        server.sql("postgres", f"INSERT INTO t VALUES ({number})")
        server.sql("postgres", "SELECT pg_switch_wal()")
    keepfs.jobs[f"cluster {JOB}"]["wal_max_age"] = "1s"
    keepfs.write_conf()
    keepfs.unmount()
    keepfs.mount()
    daemon.wait_until(lambda: (told(keepfs)["server"] or {}).get("waiting_segments") == 2, lambda: f"two, and not {told(keepfs)['server']}")
    assert told(keepfs)["server"]["behind_bytes"] >= 2 << 20
    assert "2 whole segments" in keepfs.text("status", "recovery")
    daemon.wait_until(lambda: "2 segments of WAL that have not come" in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))


def test_nothing_to_recover_from(make_cluster):  # noqa: F811
    one = make_cluster()
    archive(one)
    state = told(one.keepfs)
    assert state["newest"] is None and state["oldest"] is None and state["windows"] == [] and state["wal_files"] > 0
    assert "NONE: there is no base backup" in one.keepfs.text("status", "recovery")
