# SPDX-License-Identifier: Apache-2.0
"""WAL stays as long as a base backup needs it, and goes then: the oldest first, and whatever happens meanwhile."""
import base64
import datetime
import errno
import hashlib
import json
import os
import struct
import subprocess

import pytest

import daemon
import handmade
from waling import MIB, SYSTEM_ID, name_of, segment

JOB = "main"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def days_ago(days):
    return NOW - datetime.timedelta(days=days)


def lsn(place):
    return f"{place >> 32:X}/{place & 0xFFFFFFFF:X}"


def publish_base(store, at, first, last, timeline=1, run=1, **facts):
    """a base backup, by hand: one that needs the segments @first to @last; its path"""
    path = f"backups/{JOB}/{at:%Y%m%dT%H%M%SZ}"
    content = b"15\n"
    digest = hashlib.sha256(content).hexdigest()
    table = struct.pack("<II", len(content), handmade.crc32c(content))
    store.put(f"{path}/PG_VERSION", content)
    manifest = {
        "version": 2, "path": path, "type": "directory", "job": JOB, "kind": "base", "target": JOB, "run": run, "triggered_by": "uid 0 (bash)",
        "started_at": f"{at:%Y-%m-%dT%H:%M:%S}.000000Z", "finished_at": f"{at:%Y-%m-%dT%H:%M:%S}.000000Z",
        "verified_at": f"{at:%Y-%m-%dT%H:%M:%S}.000000Z", "keepfs_version": "0.2.0", "size": len(content), "sha256": digest,
        "facts": {"system_identifier": str(SYSTEM_ID), "timeline": timeline, "start_lsn": lsn(first * MIB + 40), "stop_lsn": lsn(last * MIB + 400),
                  "segment_bytes": MIB, "stopped_at": f"{at:%Y-%m-%dT%H:%M:%S}.000000Z", **facts},
        "files": [{"name": "PG_VERSION", "size": len(content), "sha256": digest, "object": 0}],
        "objects": [{"key": f"{path}/PG_VERSION", "size": len(content), "sha256": digest, "extents": 1}],
        "extents": {"sha256": hashlib.sha256(table).hexdigest(), "table": base64.b64encode(table).decode()},
    }
    store.put(f"manifests/{path}.json", json.dumps(manifest).encode())
    return path


def archive(new_keepfs, section=None, **settings):
    return new_keepfs({f"cluster {JOB}": {"wal": "archive", **(section or {})}}, policy_delay="none", **settings)


def put(keepfs, tmp_path, name, content):
    source = tmp_path / "handed over"
    source.write_bytes(content)
    subprocess.run(["cp", str(source), str(keepfs.path("wal", JOB, name))], check=True)


def put_segments(keepfs, tmp_path, numbers, timeline=1):
    for number in numbers:
        put(keepfs, tmp_path, name_of(number, timeline), segment(number, timeline))


def listed(keepfs):
    return sorted(os.listdir(keepfs.path("wal", JOB)))


def stored(keepfs):
    return sorted(key.rsplit("/", 1)[1].removesuffix(".zst") for key in keepfs.store.keys() if key.startswith("wal/"))


def names(numbers, timeline=1):
    return [name_of(number, timeline) for number in numbers]


def wait_for_bases(keepfs, count):
    """until the bases that were put into the store are listed"""
    def bases():
        catalog = keepfs.catalog()
        try:
            return catalog.execute("SELECT count(*) FROM base").fetchone()[0]
        finally:
            catalog.close()

    daemon.wait_until(lambda: bases() == count, lambda: f"{count} base backups to be listed; there are {bases()}")


def with_bases(keepfs, count):
    keepfs.remount()
    wait_for_bases(keepfs, count)


def prune(keepfs, words="apply"):
    return keepfs.ask("prune", f"{JOB} {words}".strip())


def test_wal_goes_with_the_last_base_that_needs_it(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}).mount()
    put_segments(keepfs, tmp_path, range(1, 12))
    put(keepfs, tmp_path, f"{name_of(3)}.00000028.backup", b"START WAL LOCATION: 0/300028 (file 000000010000000000000003)\n")
    assert "there is no base backup" in prune(keepfs, "")
    assert stored(keepfs) == listed(keepfs)
    for run, (days, first) in enumerate(((9, 3), (5, 6), (1, 8)), 1):
        publish_base(keepfs.store, days_ago(days), first, first, run=run)
    with_bases(keepfs, 3)
    # As long as the oldest is there, only what comes before it goes.
    answer = prune(keepfs, "")
    assert f"nobody needs 2 files of" in answer and f"from {name_of(1)} to {name_of(2)}" in answer
    assert listed(keepfs)[0] == name_of(1)
    answer = prune(keepfs)
    assert f"7 files of WAL removed" not in answer  # one of them is a text beside
    assert f"8 files of WAL removed" in answer and f"to {name_of(7)}" in answer
    assert listed(keepfs) == stored(keepfs) == names(range(8, 12))
    audit = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    assert [line for line in audit if line["object"] == f"wal/{JOB}" and line["action"] == "remove" and "8 files" in line["detail"]]
    assert f"wal/{JOB}: 4 files of" in keepfs.text("status", "retention")
    assert f'keepfs_wal_removed_files_total{{backup_job="{JOB}"}} 8' in keepfs.text("status", "metrics.prom")
    # What stays is what the last one needs, also for a catalog that is made anew.
    keepfs.unmount()
    keepfs.run("rebuild")
    keepfs.mount()
    assert listed(keepfs) == names(range(8, 12))
    assert keepfs.path("wal", JOB, name_of(8)).read_bytes() == segment(8)


def test_a_window_needs_less_than_all_base_backups(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 9, "wal_window": "4d"}).mount()
    put_segments(keepfs, tmp_path, range(1, 14))
    for run, (days, first, last) in enumerate(((9, 2, 3), (5, 6, 6), (1, 10, 10)), 1):
        publish_base(keepfs.store, days_ago(days), first, last, run=run)
    with_bases(keepfs, 3)
    prune(keepfs)
    # The first is consistent, and everything is there from the second on.
    assert listed(keepfs) == stored(keepfs) == names([2, 3, *range(6, 14)])


def test_a_shorter_window_waits_for_the_delay(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 9}, ).mount()
    put_segments(keepfs, tmp_path, range(1, 10))
    for run, (days, first) in enumerate(((9, 1), (1, 6)), 1):
        publish_base(keepfs.store, days_ago(days), first, first, run=run)
    with_bases(keepfs, 2)
    prune(keepfs)
    keepfs.unmount()
    keepfs.settings["policy_delay"] = "1d"
    keepfs.jobs[f"cluster {JOB}"]["wal_window"] = "1d"
    keepfs.write_conf()
    keepfs.mount()
    prune(keepfs)
    assert listed(keepfs) == names(range(1, 10))
    assert "wal_window was longer" in prune(keepfs, "")
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE wal_kept SET shorter_since_us = shorter_since_us - 2 * 86400000000")
    keepfs.mount()
    prune(keepfs)
    assert listed(keepfs) == names([1, *range(6, 10)])


def test_a_held_base_keeps_what_makes_it_consistent(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}).mount()
    put_segments(keepfs, tmp_path, range(1, 14))
    held = publish_base(keepfs.store, days_ago(9), 2, 4, run=1)
    publish_base(keepfs.store, days_ago(1), 10, 10, run=2)
    with_bases(keepfs, 2)
    keepfs.write("hold", f"{held} on reason=audit")
    prune(keepfs)
    assert listed(keepfs) == stored(keepfs) == names([2, 3, 4, *range(10, 14)])
    keepfs.write("hold", f"{held} off")
    prune(keepfs)
    assert listed(keepfs) == names(range(10, 14))


def test_a_base_in_the_trash_keeps_it_too(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}, trash="3d").mount()
    put_segments(keepfs, tmp_path, range(1, 14))
    publish_base(keepfs.store, days_ago(9), 2, 4, run=1)
    publish_base(keepfs.store, days_ago(1), 10, 10, run=2)
    with_bases(keepfs, 2)
    prune(keepfs)
    assert listed(keepfs) == names([2, 3, 4, *range(10, 14)])


def test_nobody_removes_it_by_hand(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs).mount()
    put_segments(keepfs, tmp_path, [1])
    with pytest.raises(PermissionError) as refused:
        os.unlink(keepfs.path("wal", JOB, name_of(1)))
    assert refused.value.errno == errno.EPERM
    assert "base backups need it" in keepfs.text("status", "last-error")


def test_what_is_being_made_keeps_its_wal(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}).mount()
    put_segments(keepfs, tmp_path, range(1, 10))
    publish_base(keepfs.store, days_ago(1), 8, 8, run=1)
    with_bases(keepfs, 1)
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("INSERT INTO wal_pin (run_id, job, first) VALUES (77, ?, ?)", (JOB, name_of(5)))
    keepfs.mount()
    prune(keepfs)
    assert listed(keepfs) == names(range(5, 10))
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("DELETE FROM wal_pin")
    keepfs.mount()
    prune(keepfs)
    assert listed(keepfs) == names(range(8, 10))


def test_a_base_that_the_catalog_does_not_know_stops_it(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 9}).mount()
    put_segments(keepfs, tmp_path, range(1, 10))
    publish_base(keepfs.store, days_ago(1), 8, 8, run=2)
    with_bases(keepfs, 1)
    path = publish_base(keepfs.store, days_ago(3), 4, 4, run=1)
    answer = prune(keepfs)
    assert path in answer and "does not list" in answer
    assert listed(keepfs) == names(range(1, 10))
    with_bases(keepfs, 2)
    prune(keepfs)
    assert listed(keepfs) == names(range(4, 10))


def test_a_removal_that_broke_off_is_finished(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs).mount()
    put_segments(keepfs, tmp_path, range(1, 8))
    keepfs.unmount()
    # As after a kill between two objects: four were going, and two of them are gone from the store.
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE wal_segment SET is_going = 1 WHERE name <= ?", (name_of(4),))
    for number in (1, 2):
        keepfs.store.remove(f"wal/{JOB}/{SYSTEM_ID}/{name_of(number)}.zst")
    keepfs.mount()
    daemon.wait_until(lambda: stored(keepfs) == names(range(5, 8)), lambda: f"the rest to be removed: {stored(keepfs)}")
    assert listed(keepfs) == names(range(5, 8))


def test_a_rebuild_in_the_middle_lists_nothing_by_halves(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}).mount()
    put_segments(keepfs, tmp_path, range(1, 8))
    publish_base(keepfs.store, days_ago(1), 6, 6, run=1)
    with_bases(keepfs, 1)
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE wal_segment SET is_going = 1 WHERE name <= ?", (name_of(4),))
    keepfs.store.remove(f"wal/{JOB}/{SYSTEM_ID}/{name_of(1)}.zst")
    for file in keepfs.state.glob("catalog.db*"):
        file.unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert listed(keepfs) == names(range(2, 8))
    prune(keepfs)
    assert listed(keepfs) == stored(keepfs) == names(range(6, 8))


def test_what_a_promoted_server_came_from_stays(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}).mount()
    put_segments(keepfs, tmp_path, range(1, 6))
    put(keepfs, tmp_path, "00000002.history", f"1\t{lsn(5 * MIB + 500)}\tno recovery target specified\n".encode())
    put(keepfs, tmp_path, f"{name_of(5)}.partial", segment(5))
    put_segments(keepfs, tmp_path, range(5, 9), timeline=2)
    publish_base(keepfs.store, days_ago(5), 3, 3, run=1)
    with_bases(keepfs, 1)
    prune(keepfs)
    assert listed(keepfs) == [*names(range(3, 6)), f"{name_of(5)}.partial", "00000002.history", *names(range(5, 9), 2)]
    # A base of the new timeline alone: what is left of the old one goes when it is older than that.
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE wal_segment SET arrived_us = 1 WHERE name LIKE '00000001%'")
    keepfs.mount()
    publish_base(keepfs.store, NOW, 7, 7, timeline=2, run=2)
    with_bases(keepfs, 2)
    prune(keepfs)
    assert listed(keepfs) == ["00000002.history", *names(range(7, 9), 2)]


def test_a_server_that_recovers_loses_nothing_in_front_of_it(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}).mount()
    put_segments(keepfs, tmp_path, range(1, 10))
    publish_base(keepfs.store, days_ago(1), 8, 8, run=1)
    with_bases(keepfs, 1)
    assert keepfs.path("wal", JOB, name_of(4)).read_bytes() == segment(4)
    prune(keepfs)
    assert listed(keepfs) == names(range(4, 10))


def test_a_kill_in_the_middle(new_keepfs, tmp_path):
    keepfs = archive(new_keepfs, {"keep_last": 1}).mount()
    put_segments(keepfs, tmp_path, range(1, 20))
    publish_base(keepfs.store, days_ago(1), 18, 18, run=1)
    keepfs.unmount()
    # The first is removed, and the second takes so long that it is never done.
    keepfs.store_settings["faults"] = "remove:2+:slow:60000"
    keepfs.write_conf()
    keepfs.mount()
    wait_for_bases(keepfs, 1)
    with subprocess.Popen([daemon.PROGRAM, "prune", "-m", str(keepfs.mountpoint), JOB, "--apply"], env=keepfs.env, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL):
        daemon.wait_until(lambda: len(stored(keepfs)) < 19, "the first to go")
        # What is going is found by nobody.
        assert listed(keepfs) == names(range(18, 20))
        keepfs.killed = True
        keepfs.kill()
    assert len(stored(keepfs)) > 2
    keepfs.store_settings.pop("faults")
    keepfs.write_conf()
    keepfs.unmount()
    keepfs.mount()
    daemon.wait_until(lambda: stored(keepfs) == names(range(18, 20)), lambda: f"the rest to be removed: {stored(keepfs)}")
    assert listed(keepfs) == names(range(18, 20))


def test_a_clock_that_jumps_removes_nothing(new_keepfs, tmp_path, clocks):
    def ago(days):
        return (clocks.now() - datetime.timedelta(days=days)).replace(microsecond=0)

    keepfs = archive(new_keepfs, {"keep_last": 9, "wal_window": "20d"})
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    put_segments(keepfs, tmp_path, range(1, 10))
    for run, (days, first) in enumerate(((9, 1), (5, 5), (1, 8)), 1):
        publish_base(keepfs.store, ago(days), first, first, run=run)
    with_bases(keepfs, 3)
    prune(keepfs)
    assert listed(keepfs) == names(range(1, 10))
    clocks.set_clock(datetime.timedelta(days=365).total_seconds())
    assert "has jumped" in prune(keepfs)
    assert listed(keepfs) == stored(keepfs) == names(range(1, 10))
    assert "has jumped" in prune(keepfs, "")
    keepfs.ask("prune", "clock=right")
    prune(keepfs)
    assert listed(keepfs) == names([1, 5, 8, 9])
