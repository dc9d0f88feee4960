# SPDX-License-Identifier: Apache-2.0
"""status/metrics.prom: its format, and that its figures are those of what was done."""
import errno
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import daemon
from exposition import Metrics

OPERATIONS = daemon.TOP / "docs/operations.md"


def metrics(keepfs):
    return Metrics(keepfs.path("status", "metrics.prom").read_bytes().decode())


def changes(before, after, name, **labels):
    return after.get(name, **labels) - before.get(name, **labels)


def seconds(keepfs, run, key):
    """of the catalog's microseconds"""
    catalog = keepfs.catalog()
    try:
        return catalog.execute(f"SELECT {key} FROM run WHERE id = ?", (run,)).fetchone()[0] / 1e6
    finally:
        catalog.close()


def test_before_and_after_a_backup(keepfs):
    none = metrics(keepfs)
    assert none.get("keepfs_backups", backup_job="full") == none.get("keepfs_stored_bytes", backup_job="full") == 0
    for never in ("newest_backup", "last_success", "last_failure"):
        assert none.get(f"keepfs_{never}_timestamp_seconds", backup_job="full") == 0
    assert none.get("keepfs_last_run_state", backup_job="full", state="completed") is None
    assert none.get("keepfs_health_check_status", check="job full") == 1

    run = keepfs.backup()
    one = metrics(keepfs)
    files = [path for path in keepfs.path("backups", "full").iterdir() if path.is_file() and path.name[0].isdigit()]
    assert one.get("keepfs_backups", backup_job="full") == 1
    stored = one.get("keepfs_stored_bytes", backup_job="full")
    index, = (key for key in keepfs.store.keys() if key.startswith("manifests/") and key.endswith(".index"))
    assert stored == sum(path.stat().st_size for path in files) + len(keepfs.store.get(index))
    assert one.get("keepfs_newest_backup_timestamp_seconds", backup_job="full") > 0
    finished = seconds(keepfs, run["run"], "finished_at_us")
    assert one.get("keepfs_last_success_timestamp_seconds", backup_job="full") == finished
    assert one.get("keepfs_last_run_end_timestamp_seconds", backup_job="full") == finished
    started = seconds(keepfs, run["run"], "started_at_us")
    assert one.get("keepfs_last_run_start_timestamp_seconds", backup_job="full") == started
    assert abs(one.get("keepfs_last_run_duration_seconds", backup_job="full") - (finished - started)) < 1e-3
    assert one.get("keepfs_last_run_size_bytes", backup_job="full") == run["size_bytes"]
    assert one.get("keepfs_last_run_state", backup_job="full", state="completed") == 1
    assert one.get("keepfs_last_run_state", backup_job="full", state="failed") == 0
    assert one.get("keepfs_runs", backup_job="full", state="completed") == 1
    assert one.get("keepfs_last_failure_timestamp_seconds", backup_job="full") == 0
    assert one.get("keepfs_health_check_status", check="job full") == 0
    sent = sum(changes(none, one, "keepfs_store_bytes_total", call=call) for call in ("put", "part"))
    assert sent >= stored  # and the manifest
    assert changes(none, one, "keepfs_store_bytes_total", call="get") >= run["size_bytes"]  # read back
    assert one.get("keepfs_store_failures_total", call="put") == 0


def test_a_failed_run(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("nosuch")}, "good": {"database": pg.uri("sample")}}).mount()
    assert keepfs.wait_run(keepfs.trigger("full"))["state"] == "failed"
    keepfs.backup("good")
    m = metrics(keepfs)
    assert m.get("keepfs_last_run_state", backup_job="full", state="failed") == 1
    assert m.get("keepfs_runs", backup_job="full", state="failed") == 1
    assert m.get("keepfs_last_failure_timestamp_seconds", backup_job="full") > 0
    assert m.get("keepfs_last_success_timestamp_seconds", backup_job="full") == 0
    assert m.get("keepfs_last_run_state", backup_job="good", state="completed") == 1
    assert m.get("keepfs_health_status") == m.get("keepfs_health_check_status", check="job full") == 2


def test_a_run_under_way(keepfs, pg):
    with pg.lock("sample", "sales.orders"):
        run = keepfs.trigger()
        keepfs.wait_run(run, {"running"})
        m = metrics(keepfs)
        assert m.get("keepfs_runs", backup_job="full", state="running") == 1
        assert m.get("keepfs_live_run_elapsed_seconds", backup_job="full") >= 0
        sent = m.get("keepfs_live_run_sent_bytes", backup_job="full")
    keepfs.wait_run(run)
    # The roles of the cluster may be on their way while the tables wait for their lock.
    assert 0 <= sent < keepfs.history(run)["size_bytes"]
    daemon.wait_until(lambda: metrics(keepfs).get("keepfs_live_run_sent_bytes", backup_job="full") is None, "the run to be over")


def test_reads_from_the_store(keepfs):
    """what is read for the first time comes from the store, and is counted"""
    run = keepfs.backup()
    keepfs.remount()
    before = metrics(keepfs)
    data = keepfs.path("backups", "full", "latest.dump").read_bytes()
    assert len(data) == run["size_bytes"]
    # A reader has its bytes while the get that brings them goes on, and a get is counted when it ends.
    daemon.wait_until(lambda: changes(before, metrics(keepfs), "keepfs_store_bytes_total", call="get") >= len(data), "the gets to end")
    after = metrics(keepfs)
    calls = changes(before, after, "keepfs_store_calls_total", call="get")
    assert calls >= 1
    assert changes(before, after, "keepfs_store_call_duration_seconds_count", call="get") == calls
    assert after.get("keepfs_store_failures_total", call="get") == 0


def test_reads_of_a_backup(keepfs):
    """what readers were given, and what came from the store for them"""
    run = keepfs.backup()
    keepfs.remount()
    path = keepfs.path("backups", "full", "latest.dump")
    before = metrics(keepfs)
    assert before.get("keepfs_read_open_files") == before.get("keepfs_read_bytes_total") == 0
    with open(path, "rb") as f:
        assert len(f.read()) == run["size_bytes"]
        after = metrics(keepfs)
    assert after.get("keepfs_read_bytes_total") == run["size_bytes"]
    assert after.get("keepfs_read_open_files") == 1
    assert after.get("keepfs_read_fetched_bytes_total") == run["size_bytes"]
    requests = after.get("keepfs_read_requests_total")
    assert requests >= 1 and after.get("keepfs_read_duration_seconds_count") == requests
    assert after.get("keepfs_read_failures_total") == after.get("keepfs_read_wrong_extents_total") == 0
    daemon.wait_until(lambda: metrics(keepfs).get("keepfs_read_open_files") == 0, "the file to be closed")
    again = path.read_bytes()
    assert len(again) == run["size_bytes"]
    assert metrics(keepfs).get("keepfs_read_bytes_total") == run["size_bytes"]  # from the kernel's cache
    assert metrics(keepfs).get("keepfs_read_wrong_files_total") == 0


def test_a_file_that_is_read_whole(new_keepfs, pg):
    """nothing has read it before, so its SHA-256 is compared now, once"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "format": "plain", "verify": "none"}}).mount()
    keepfs.backup()
    keepfs.path("backups", "full", "latest.sql.gz").read_bytes()
    daemon.wait_until(lambda: metrics(keepfs).get("keepfs_read_whole_files_total") == 1, "the hash to be compared")
    assert metrics(keepfs).get("keepfs_read_wrong_files_total") == 0


def test_failures_of_the_store(new_keepfs):
    """each try counts, by call and by class, also when a later one succeeds"""
    keepfs = new_keepfs()
    keepfs.store_settings["faults"] = "put:1:unavailable,get:1:unavailable,get:2:timeout"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    m = metrics(keepfs)
    failed = {call: m.get("keepfs_store_failures_total", call=call) for call in m.labels("keepfs_store_failures_total", "call")}
    assert {call: n for call, n in failed.items() if n} == {"put": 1, "get": 2}
    assert len(failed) == 11
    assert m.get("keepfs_store_failures_by_class_total", **{"class": "unavailable"}) == 2
    assert m.get("keepfs_store_failures_by_class_total", **{"class": "timeout"}) == 1
    assert m.get("keepfs_store_failures_by_class_total", **{"class": "denied"}) == 0
    assert m.get("keepfs_last_run_state", backup_job="full", state="completed") == 1


def test_a_damaged_backup(keepfs):
    keepfs.backup()
    name = keepfs.run_artifact(1)
    key = f"backups/full/{name}"
    data = bytearray(keepfs.store.get(key))
    keepfs.remount()
    assert metrics(keepfs).get("keepfs_damaged_backups") == 0
    data[len(data) // 2] ^= 1
    keepfs.store.put(key, bytes(data))
    with pytest.raises(OSError) as caught:
        keepfs.path(key).read_bytes()
    assert caught.value.errno == errno.EIO
    m = metrics(keepfs)
    assert m.get("keepfs_read_failures_total") >= 1 and m.get("keepfs_read_wrong_extents_total") >= 2  # it is got twice
    daemon.wait_until(lambda: metrics(keepfs).get("keepfs_damaged_backups") == 1, "the backup to be marked")
    assert metrics(keepfs).get("keepfs_health_check_status", check="damaged backup") == 2


def test_odd_names(new_keepfs, pg):
    """a label's value may be any text"""
    jobs = {"a.b-c_1": {"database": pg.uri("sample")},
            "many": {"database": pg.uri("postgres"), "databases": 'no\\such {a=b} "sch""ön"'}}
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("a.b-c_1")
    keepfs.ask("probe", "now")
    m = metrics(keepfs)
    assert m.get("keepfs_backups", backup_job="a.b-c_1") == 1
    assert m.labels("keepfs_backups", "backup_job") == {"a.b-c_1", "many"}
    for name in ("no\\such", "{a=b}", 'sch"ön'):
        assert m.get("keepfs_health_check_status", check=f"check database many/{name}") == 1, name


def test_a_job_that_is_gone(new_keepfs, pg):
    """its backups are told of, but no times that would alarm for ever"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}, "old": {"database": pg.uri("sample")}}).mount()
    keepfs.backup("old")
    keepfs.unmount()
    del keepfs.jobs["old"]
    keepfs.write_conf()
    keepfs.mount()
    m = metrics(keepfs)
    assert m.get("keepfs_backups", backup_job="old") == m.get("keepfs_runs", backup_job="old", state="completed") == 1
    assert m.labels("keepfs_last_success_timestamp_seconds", "backup_job") == {"full"}


def test_the_process(keepfs):
    (pid,) = keepfs.daemons()
    m = metrics(keepfs)
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    resident = int(status["VmRSS"].split()[0]) << 10
    assert resident / 2 < m.get("keepfs_process_resident_memory_bytes") < resident * 2
    assert abs(m.get("keepfs_process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) <= 8
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    boot = int(re.search(r"^btime (\d+)$", pathlib.Path("/proc/stat").read_text(), re.M)[1])
    assert abs(m.get("keepfs_process_start_time_seconds") - boot - ticks / os.sysconf("SC_CLK_TCK")) < 2
    assert m.get("keepfs_process_cpu_seconds_total") < metrics_after_work(keepfs)
    version = keepfs.run("version", conf=False).stdout.split()[1]
    assert m.get("keepfs_build_info", version=version) == 1


def metrics_after_work(keepfs):
    """the CPU time of the daemon once it has grown: a backup is more than a tick of the clock"""
    keepfs.backup()
    return metrics(keepfs).get("keepfs_process_cpu_seconds_total")


def test_sizes(keepfs):
    """each open has a text of its own, whole, of the size that fstat tells; tools that look at sizes copy all of it"""
    path, copy = keepfs.path("status", "metrics.prom"), keepfs.directory / "copy.prom"
    with open(path, "rb") as first:
        size = os.fstat(first.fileno()).st_size
        keepfs.backup()
        text = first.read()
        assert len(text) == size and Metrics(text.decode()).get("keepfs_backups", backup_job="full") == 0
    shutil.copyfile(path, copy)
    assert Metrics(copy.read_text()).get("keepfs_backups", backup_job="full") == 1
    subprocess.run(["cp", path, copy], check=True)
    assert Metrics(copy.read_text()).get("keepfs_backups", backup_job="full") == 1
    assert path.stat().st_size > 1000


def test_the_documentation_lists_each_metric(keepfs):
    keepfs.backup()
    listed = re.findall(r"^\| `(keepfs_\w+)(?:\{[\w, ]*\})?` \| (\w+) \|", OPERATIONS.read_text(), re.M)
    told = {(f.name, f.type) for f in metrics(keepfs).families.values()}
    absent = ("keepfs_cache_", "keepfs_catalog_copy_", "keepfs_replica", "keepfs_storage_class", "keepfs_recovery_", "keepfs_wal_")  # there is no disk cache, no copy yet, no further store, no class, and no archive
    assert sorted(one for one in listed if not one[0].startswith(absent)) == sorted(told)
