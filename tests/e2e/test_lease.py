# SPDX-License-Identifier: Apache-2.0
"""One writer: two keepfs on one prefix never both write, whatever happens to the one that has the lease."""
import contextlib
import json
import os
import signal
import subprocess

import pytest

import daemon
import postgres
import stores

LEASE_S = 6  # of these tests: long enough for a machine that is slow


@pytest.fixture
def slow_database(pg):
    """of several parts, so that an upload can be met in its middle"""
    pg.create("lease_noise")
    postgres.fill_noise(pg, "lease_noise", 24)
    yield "lease_noise"
    pg.drop("lease_noise")


@pytest.fixture
def hosts(new_keepfs, tmp_path, store):
    """two keepfs with the same store, as on two hosts"""
    def make(**settings):
        jobs = settings.pop("jobs", None)
        return [new_keepfs(jobs, directory=tmp_path / name, lease=f"{LEASE_S}s", **settings) for name in ("one", "two")]

    return make


def lease_of(store):
    return json.loads(store.get("state/lease.json"))


def health(keepfs):
    return keepfs.text("status", "health")


@contextlib.contextmanager
def standing_by(keepfs):
    """`mount --wait` in the background; yields what it says"""
    log = keepfs.directory / "standby.log"
    with open(log, "wb") as out:
        process = subprocess.Popen([daemon.PROGRAM, "mount", "-c", str(keepfs.conf), "--wait", "-f"], env=keepfs.env,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(daemon.DEADLINE_S)


def manifests(store):
    return {key: json.loads(store.get(key)) for key in store.keys() if key.startswith("manifests/") and key.endswith(".json")}


@pytest.mark.parametrize("store", ["dir", "ceph", "swift"], indirect=True)
def test_the_second_is_refused_and_goes_on_when_the_first_has_ended(hosts):
    one, two = hosts()
    one.mount()
    one.backup()
    held = lease_of(one.store)
    assert held["fence"] == 1 and held["given_back"] is False and held["length_ms"] == LEASE_S * 1000
    done = two.run("mount", check=False)
    assert done.returncode == 1, done
    assert "another keepfs, on" in done.stderr and f"(pid {one.daemons()[0]})" in done.stderr, done.stderr
    assert "lease" in health(one) and "fence 1" in health(one)
    for command in (("run", "full"), ("rebuild",)):
        refused = two.run(*command, check=False)
        assert refused.returncode == 1 and "another keepfs, on" in refused.stderr, refused.stderr
    one.unmount()
    assert lease_of(one.store)["given_back"] is True
    with standing_by(two):  # at once, and with what the first has made
        daemon.wait_until(lambda: daemon.is_mounted(two.mountpoint), "the second to serve")
        assert len(two.artifacts()) == 1
        two.backup()
    found = sorted(m["fence"] for m in manifests(one.store).values())
    assert found[0] == 1 and found[-1] > 1, found
    one.mount("--wait")
    assert len(one.artifacts()) == 2
    one.backup()


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_who_was_paused_for_too_long_writes_nothing_any_more(hosts, pg, slow_database):
    """both are in mid-upload when the first one wakes up: nothing of its appears, and nothing of the other's is cleared away"""
    one, two = hosts(jobs={"full": {"database": pg.uri(slow_database)}})
    for keepfs in (one, two):
        keepfs.store_settings |= {"part_size": "5M", "faults": f"part:2+:slow:{10000 if keepfs is one else 120000}"}
        keepfs.write_conf()
    one.mount()
    run = one.trigger()
    one.wait_run(run, condition=lambda _: one.store.uploads())
    before = {str(upload) for upload in one.store.uploads()}

    def of_two():
        return {str(upload) for upload in two.store.uploads()} - before

    ours = one.daemons()
    one.signal(signal.SIGSTOP, wait=False)
    try:
        with standing_by(two) as log:
            daemon.wait_until(lambda: daemon.is_mounted(two.mountpoint), lambda: log.read_text())
            assert "it is taken over" in log.read_text()
            theirs = two.trigger()
            two.wait_run(theirs, condition=lambda _: of_two())
            for pid in ours:
                os.kill(pid, signal.SIGCONT)
            status = one.wait_run(run)
            assert status["state"] == "failed"
            assert "another keepfs, on" in one.history(run)["error"], one.history(run)
            assert health(one).startswith("CRIT") and "nothing is written by this one any more" in health(one)
            assert two.run_status(theirs)["state"] == "running"
            again = one.trigger()
            assert one.wait_run(again)["state"] == "failed"
            assert one.artifacts() == [] and manifests(one.store) == {}
            assert of_two(), "the upload of the other one was cleared away"
            two.path("jobs", str(theirs), "cancel").write_text("1\n")
            two.wait_run(theirs)
            two.store_settings.pop("faults")
    finally:
        for pid in one.daemons():
            os.kill(pid, signal.SIGCONT)
    one.unmount()
    two.write_conf()
    two.mount()
    two.backup()
    assert [m["fence"] for m in manifests(two.store).values()] == [lease_of(two.store)["fence"]]
    two.unmount()
    # What the first one had put before it lost the lease it clears away itself, when it is its turn.
    one.store_settings.pop("faults")
    one.write_conf()
    one.mount("--wait")
    assert len(one.artifacts()) == 1


def test_who_was_paused_writes_nothing_into_further_stores(hosts, pg, slow_database, tmp_path):
    """in the middle of a copy: the one that wakes up adds no part, no object and no manifest to it, and clears nothing away there"""
    offsite = stores.DirStore(tmp_path / "offsite")
    one, two = hosts(jobs={"full": {"database": pg.uri(slow_database), "copies": "primary, offsite"}})
    for keepfs in (one, two):
        keepfs.store_settings |= {"part_size": "5M"}
        keepfs.sections = {"store offsite": {"url": offsite.settings["url"], "faults": f"part:2+:slow:{10000 if keepfs is one else 120000}"}}
        keepfs.write_conf()
    one.mount()
    one.backup()
    (name,) = one.artifacts()
    daemon.wait_until(offsite.uploads, lambda: one.text("status", "replicas"))
    before = {str(upload) for upload in offsite.uploads()}

    def of_two():
        return {str(upload) for upload in offsite.uploads()} - before

    ours = one.daemons()
    one.signal(signal.SIGSTOP, wait=False)
    try:
        with standing_by(two) as log:
            daemon.wait_until(lambda: daemon.is_mounted(two.mountpoint), lambda: log.read_text())
            daemon.wait_until(of_two, lambda: two.text("status", "replicas"))
            held, keys = of_two(), offsite.all_keys()
            for pid in ours:
                os.kill(pid, signal.SIGCONT)
            daemon.wait_until(lambda: "another keepfs, on" in one.text("status", "replicas"), lambda: (one.text("status", "replicas"), health(one)))
            # Nor when somebody orders it.
            ordered = one.run("replicate", f"full/{name}", "to=offsite", "--wait", check=False)
            assert ordered.returncode != 0 and "another keepfs, on" in ordered.stdout + ordered.stderr
            assert of_two() == held, "the upload of the other one was cleared away"
            assert offsite.all_keys() == keys and manifests(offsite) == {}
    finally:
        for pid in one.daemons():
            os.kill(pid, signal.SIGCONT)
    one.unmount()
    del two.sections["store offsite"]["faults"]
    two.write_conf()
    two.mount()
    daemon.wait_until(lambda: len(manifests(offsite)) == 1, lambda: two.text("status", "replicas"))
    daemon.wait_until(lambda: offsite.uploads() == [], lambda: offsite.uploads())
    assert offsite.get(f"backups/full/{name}") == two.store.get(f"backups/full/{name}")


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_a_crash(hosts):
    """the same host goes on at once; another one when the lease is over, or when it sees that the process is gone"""
    one, two = hosts(**{})
    one.mount()
    one.backup()
    one.kill()
    one.mount()
    assert lease_of(one.store)["fence"] == 2
    one.backup()
    one.kill()
    # As if it were another host: it cannot see the process.
    lease = lease_of(one.store) | {"process": "elsewhere"}
    one.store.put("state/lease.json", json.dumps(lease).encode())
    with standing_by(two) as log:
        daemon.wait_until(lambda: daemon.is_mounted(two.mountpoint), lambda: log.read_text())
        assert len(two.artifacts()) == 2
        assert lease_of(two.store)["fence"] == 3
        refused = one.run("mount", check=False)
        assert refused.returncode == 1 and "another keepfs, on" in refused.stderr
    one.run("mount", "--wait")
    assert len(one.artifacts()) == 2


def hand_over(one, two):
    """the first makes a backup and ends, the other one makes another and removes that; returns what is there then"""
    one.mount()
    one.backup()
    (old,) = one.artifacts()
    one.unmount()
    two.run("rebuild")
    two.mount()
    two.backup()
    two.path("backups", "full", old).unlink()
    found = two.artifacts()
    assert old not in found
    two.unmount()
    return found


def test_a_start_that_took_the_lease_over_and_failed(hosts):
    """the next start finds its own lease, and knows all the same that it has to look at what the other one did"""
    one, two = hosts()
    found = hand_over(one, two)
    one.store_settings |= {"retry_deadline": "1s", "faults": "list:1+:eio"}
    one.write_conf()
    failed = one.run("mount", check=False)
    assert failed.returncode == 1 and "input/output error" in failed.stderr, failed
    assert lease_of(one.store)["instance"] == (one.state / "instance").read_text()
    one.store_settings.pop("faults")
    one.write_conf()
    one.mount()
    assert one.artifacts() == found
    assert "damaged" not in health(one) and "no manifest" not in health(one)
    one.backup()


def test_the_store_answers_late_and_another_one_was_there(hosts, s3_servers):
    """who could not ask at the start does not go on from a catalog that is old"""
    import stores

    server = s3_servers("ceph")
    store = stores.S3Store(server, f"test-lease-late-{os.getpid()}")
    link = stores.Link(server.facts["ENDPOINT"])
    one, two = hosts(store=store)
    one.store_settings |= {"endpoint": link.endpoint, "retry_deadline": "1s"}
    one.write_conf()
    try:
        found = hand_over(one, two)
        link.cut()
        one.mount()
        assert "not surely ours" in health(one)
        link.join()
        daemon.wait_until(lambda: "wrote to" in health(one), lambda: health(one))
        before = sorted(store.keys())
        assert one.wait_run(one.trigger())["state"] == "failed"
        with pytest.raises(OSError):
            one.path("backups", "full", one.artifacts()[0]).unlink()
        assert len(one.artifacts()) == 1, "it hides what it may not remove"
        assert sorted(store.keys()) == before
        one.remount()
        assert one.artifacts() == found
        one.backup()
        one.unmount()
    finally:
        link.cut()
        store.clear()


def test_the_store_is_away_for_longer_than_the_lease(hosts, s3_servers, tmp_path):
    """nothing is written meanwhile, health says so; and when nobody took it, it goes on"""
    import stores

    server = s3_servers("ceph")
    store = stores.S3Store(server, f"test-lease-{os.getpid()}")
    link = stores.Link(server.facts["ENDPOINT"])
    store.settings["endpoint"] = link.endpoint
    one, _ = hosts(store=store)
    try:
        one.mount()
        one.backup()
        link.cut()
        daemon.wait_until(lambda: "not surely ours" in health(one), lambda: health(one))
        link.join()
        daemon.wait_until(lambda: "not surely ours" not in health(one), lambda: health(one))
        one.backup()
        assert lease_of(store)["fence"] == 1
        one.unmount()
    finally:
        link.cut()
        store.clear()


def test_a_host_that_slept(hosts, clocks, store):
    """its monotonic clock stood still: it knows all the same that its time is over, asks, and goes on"""
    one, two = hosts()
    one.env = clocks.environment(one.env)
    one.mount()
    one.backup()
    before = lease_of(store)["until"]
    clocks.sleep_host(3600)
    one.backup()
    assert lease_of(store)["until"] != before and lease_of(store)["fence"] == 1


def test_no_lease(hosts, store):
    one, _ = hosts()
    one.settings["lease"] = "none"
    one.write_conf()
    one.mount()
    one.backup()
    assert "state/lease.json" not in store.all_keys()
    assert all("fence" not in m for m in manifests(store).values())
