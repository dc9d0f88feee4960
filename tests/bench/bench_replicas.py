# SPDX-License-Identifier: Apache-2.0
"""Copies in a second store, in one run with what they are compared with: how fast one is made beside a backup of the same bytes straight into that store (both
are read back there), and how long it takes from a trigger until the backup is listed, without copies and with them.

BENCH_REPLICAS_MB  of the archive that is copied, default 512
BENCH_STORES       of dir,ceph,swift: the second stores; default dir, and ceph where it is installed
BENCH_ROUNDS       default 5
"""
import os
import pathlib
import shutil
import tempfile
import time
import uuid

import bench_common
import daemon
import postgres
import stores

MEGABYTES = int(os.environ.get("BENCH_REPLICAS_MB", "512"))
KINDS = os.environ.get("BENCH_STORES", "dir,ceph" if shutil.which("radosgw") else "dir").split(",")
GOAL_RATE = 0.9
GOAL_MS = 100
DEADLINE_S = 3600


def noise(directory):
    (directory / "noise").mkdir()
    with open(directory / "noise/bytes", "wb") as f:
        for _ in range(MEGABYTES):
            f.write(os.urandom(1 << 20))
    return directory / "noise"


def new_store(kind, directory, servers):
    if kind == "dir":
        return stores.DirStore(directory / f"store-{uuid.uuid4().hex[:8]}")
    if kind not in servers:
        servers[kind] = stores.S3Server(kind)
    return stores.S3Store(servers[kind], f"bench-{uuid.uuid4().hex[:12]}")


def run_to_end(keepfs, command):
    """how long it took, and the daemon's processor seconds"""
    (pid,) = keepfs.daemons()
    before, start = bench_common.cpu_s(pid), time.monotonic()
    status = keepfs.wait_run(int(keepfs.ask(*command).split()[0]), deadline_s=DEADLINE_S)
    assert status["state"] == "completed", status
    return {"seconds": time.monotonic() - start, "cpu": bench_common.cpu_s(pid) - before}


def copied(keepfs, second):
    """once: the copy is removed, and made by an order, which waits for nothing else"""
    def once():
        for key in second.keys():
            second.remove(key) if second.kind == "dir" else second.client.remove(f"{second.prefix}/{key}")
        return run_to_end(keepfs, ("replicate", "all to=offsite"))
    return once


def straight(keepfs):
    def once():
        return run_to_end(keepfs, ("trigger", "noise"))
    return once


def measure_rate(kind, directory, servers, data):
    first, second = new_store("dir", directory, servers), new_store(kind, directory, servers)
    own = directory / f"rate-{kind}"
    own.mkdir()
    job = {"files noise": {"path": data, "compression": "none"}}
    (own / "copying").mkdir()
    copying = daemon.Keepfs(own / "copying", first, job)
    copying.sections = {"store offsite": second.settings}
    copying.write_conf()
    copying.mount()
    run_to_end(copying, ("trigger", "noise"))
    (own / "straight").mkdir()
    beside = daemon.Keepfs(own / "straight", new_store(kind, directory, servers), job).mount()
    try:
        found = bench_common.measured({"backup into that store": straight(beside), "copy": copied(copying, second)})
    finally:
        for one in (copying, beside):
            one.close()
            one.store.clear()
        second.clear()
    base = found["backup into that store"].median("seconds")
    bench_common.print_table(f"{MEGABYTES} MB into {kind}", ["", "seconds", "MB/s", "of the first", "processor s/GB"], [
        [name, f"{s.median('seconds'):.2f}", f"{MEGABYTES / s.median('seconds'):.0f}", f"{base / s.median('seconds'):.2f}", f"{1000 * s.median('cpu') / MEGABYTES:.2f}"]
        for name, s in found.items()])
    bench_common.goal(f"a copy at {GOAL_RATE} of that store's own rate: {base / found['copy'].median('seconds'):.2f}", base / found["copy"].median("seconds") >= GOAL_RATE)


def measure_listing(directory, server, servers):
    def mounted(name, copies):
        where = directory / name
        where.mkdir()
        keepfs = daemon.Keepfs(where, new_store("dir", directory, servers), {"full": {"database": server.uri("sample"), **copies}}, lease="1m" if copies else "none")
        keepfs.sections = {"store offsite": new_store("dir", directory, servers).settings}
        keepfs.write_conf()
        return keepfs.mount()

    def once_of(keepfs):
        def once():
            return run_to_end(keepfs, ("trigger", "full"))
        return once

    alone, both = mounted("alone", {}), mounted("both", {"copies": "primary, offsite"})
    try:
        found = bench_common.measured({"without copies and lease": once_of(alone), "with copies and a lease": once_of(both)})
    finally:
        for one in (alone, both):
            one.close()
            one.store.clear()
    bench_common.print_table("from a trigger until the backup is listed", ["", "ms"], [[name, f"{1000 * s.median('seconds'):.0f}"] for name, s in found.items()])
    more = 1000 * (found["with copies and a lease"].median("seconds") - found["without copies and lease"].median("seconds"))
    bench_common.goal(f"less than {GOAL_MS} ms more with copies and a lease: {more:.0f}", more < GOAL_MS)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    servers = {}
    server = postgres.Postgres()
    try:
        server.create("sample")
        server.sql("sample", postgres.SAMPLE)
        measure_listing(directory, server, servers)
        data = noise(directory)
        for kind in KINDS:
            measure_rate(kind, directory, servers, data)
    finally:
        for one in servers.values():
            one.stop()
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


main()
