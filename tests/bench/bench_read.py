# SPDX-License-Identifier: Apache-2.0
"""Reading backups through the mount next to rclone mount and s3fs, and to what curl gets of the same server: one run, medians, ratios.

BENCH_READ_MB      size of the large backup, default 1024; others, all together, are twice as large
BENCH_READ_IOS     reads of 64 KiB per round and way in `random`, default 1024; of what is too slow for that, as many as
BENCH_READ_S       seconds allow, default 5
BENCH_ROUNDS       default 5
BENCH_PARTS        of sequential,copy,warm,random,first,four,memory; default all
BENCH_STORES       of ceph,nginx,link; default ceph,nginx. nginx serves the objects as files: its limits are not the S3 server's; link is
                   nginx at the other end of a link (as root): its limit is not that of the processors that keepfs and it share
BENCH_LINK         the link's rate, default 8gbit
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

import bench_common
import bench_floors
import bench_mounts
import bench_nginx
import daemon
import stores

MEGABYTES = int(os.environ.get("BENCH_READ_MB", "1024"))
IOS = int(os.environ.get("BENCH_READ_IOS", "1024"))
SECONDS = int(os.environ.get("BENCH_READ_S", "5"))
PARTS = bench_common.parts("sequential,copy,warm,random,first,four,memory")
STORES = os.environ.get("BENCH_STORES", "ceph,nginx").split(",")
LINK = os.environ.get("BENCH_LINK", "8gbit")
PREFIX = "bench"
# No round number: of a file that ends where one of its chunks does, rclone asks for an empty range, which nginx refuses.
LARGE_BYTES = (MEGABYTES << 20) + 12345
READERS = 4           # files that are a fourth of the large one
SMALL = 16            # files that are a sixteenth of it
RANDOM_BYTES = 64 << 10
JOBS = (1, 8)
URL_VALID_S = 86400


class Place:
    """an endpoint: what reads from it, and what is there"""

    def __init__(self, name, endpoint, facts, artifacts, mounts):
        self.name, self.endpoint, self.mounts = name, endpoint, mounts
        client = stores.s3client.S3Client(endpoint, facts["REGION"], facts["ACCESS_KEY"], facts["SECRET_KEY"], stores.BUCKET)
        self.urls = {artifact: client.url(f"{PREFIX}/{artifact}", URL_VALID_S) for artifact in artifacts}
        self.large, self.fourths, self.small = artifacts[0], artifacts[1:1 + READERS], artifacts[1 + READERS:]
        self.peers = [mount.name for mount in mounts if mount.name != "keepfs"]


def through(mount, read):
    """@read(mount) of a mount that was not there before; its seconds, what the mount's process used, and what @read tells itself"""
    mount.start()
    try:
        bench_common.forget_peak(mount.pid)
        cpu, reader, start = bench_common.cpu_s(mount.pid), bench_common.children_cpu_s(), time.monotonic()
        told = read(mount) or {}
        seconds = time.monotonic() - start
        return {"seconds": seconds, "cpu": bench_common.cpu_s(mount.pid) - cpu, "reader": bench_common.children_cpu_s() - reader,
                "peak": bench_common.status_mib(mount.pid, "VmHWM"), **told}
    finally:
        mount.stop()


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def dd(path, *more):
    return ["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none", *more]


def at_once(commands):
    running = [subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL) for command in commands]
    assert [process.wait() for process in running] == [0] * len(running)


def rate(series):
    """MB/s of the large one's bytes"""
    return LARGE_BYTES / 1e6 / series.median("seconds")


def rates_table(title, found, place, floors):
    best_floor = max((rate(found[name]) for name in floors), default=None)
    best_peer = max((rate(found[name]) for name in place.peers), default=None)
    gigabytes = LARGE_BYTES / 1e9
    rows = [[name, f"{rate(one):.0f}", f"{LARGE_BYTES / 1e6 / one.max('seconds'):.0f}", f"{LARGE_BYTES / 1e6 / one.min('seconds'):.0f}",
             f"{one.median('cpu') / gigabytes:.2f}", f"{one.median('reader') / gigabytes:.2f}" if "reader" in one.figures else None,
             f"{one.max('peak'):.0f}" if "peak" in one.figures else None,
             f"{rate(one) / best_floor:.2f}" if best_floor else None, f"{rate(one) / best_peer:.2f}" if best_peer else None]
            for name, one in found.items()]
    bench_common.print_table(f"{title}, {place.name}",
                             ["", "MB/s", "min", "max", "cpu s/GB", "reader's", "peak MiB", "x best floor", "x best peer"], rows)
    return best_floor, best_peer


def floor_ways(place):
    """{name: one round of it}"""
    url = place.urls[place.large]

    def once(function, *arguments):
        start = time.monotonic()
        cpu = bench_floors.with_cpu(function, *arguments)
        return {"seconds": time.monotonic() - start, "cpu": cpu}

    return {"curl": lambda: once(bench_floors.stream, url), "8 curls, 8 MiB each": lambda: once(bench_floors.pieces, url, LARGE_BYTES)}


def compare_rates(title, place, read, more=None):
    """a cold read of the large file by each way, and the goals for it; @more: ways that are only shown"""
    floors = floor_ways(place)
    found = bench_common.measured({**floors, **{m.name: lambda m=m: through(m, read) for m in place.mounts}, **(more or {})})
    best_floor, best_peer = rates_table(title, found, place, floors)
    ours = rate(found["keepfs"])
    bench_common.goal(f"{ours / best_floor:.2f} of the best floor, wanted 0.9", ours >= 0.9 * best_floor)
    if place.peers:
        least = min(found[name].median("cpu") for name in place.peers)
        cpu = found["keepfs"].median("cpu")
        bench_common.goal(f"{ours / best_peer:.2f} times the best peer, wanted 1.5", ours >= 1.5 * best_peer)
        bench_common.goal(f"{cpu / least:.2f} of the processor time of the peer that uses least, wanted less than 1", cpu < least)


def sequential(place, scratch):
    """and past the kernel's page cache, which only keepfs is asked for: the others do not take it for what it is"""
    (keepfs,) = [mount for mount in place.mounts if mount.name == "keepfs"]
    direct = {"keepfs, O_DIRECT": lambda: through(keepfs, lambda mount: run(*dd(mount.path(place.large), "iflag=direct")))}
    compare_rates("dd bs=1M, cold", place, lambda mount: run(*dd(mount.path(place.large))), direct)


def copy(place, scratch):
    def read(mount):
        target = scratch / "copy"
        run("cp", mount.path(place.large), target)
        assert target.stat().st_size == LARGE_BYTES
        target.unlink()

    compare_rates("cp to memory, cold", place, read)


def warm(place, scratch):
    def once(mount):
        def read(_):
            path = mount.path(place.large)
            run(*dd(path))
            cpu, start = bench_common.cpu_s(mount.pid), time.monotonic()
            run(*dd(path))
            return {"seconds": time.monotonic() - start, "cpu": bench_common.cpu_s(mount.pid) - cpu}

        figures = through(mount, read)
        del figures["reader"]  # of both reads
        return figures

    found = bench_common.measured({m.name: lambda m=m: once(m) for m in place.mounts})
    rates_table("dd bs=1M once more, warm", found, place, [])
    bench_common.goal(f"{rate(found['keepfs']):.0f} MB/s, wanted 1500", rate(found["keepfs"]) >= 1500)


def percentile(values, share):
    """of sorted ones"""
    return values[min(len(values) - 1, int(len(values) * share))]


def random_floor(place, seed):
    """as fio reads, but that each process's first transfer makes its connection, and does not count"""
    figures, offsets = {}, random.Random(seed)
    url = place.urls[place.large]
    for jobs in JOBS:
        work = [[bench_floors.transfer(url, offsets.randrange(LARGE_BYTES // RANDOM_BYTES) * RANDOM_BYTES, RANDOM_BYTES)
                 for _ in range(IOS // jobs + 1)] for _ in range(jobs)]
        start = time.monotonic()
        times = bench_floors.latencies_ms(*work)
        figures |= {f"p50 {jobs}": percentile(times, 0.5), f"p99 {jobs}": percentile(times, 0.99),
                    f"reads {jobs}": len(times) / (time.monotonic() - start)}
    return figures


def fio(path, jobs, seed, directory):
    """each job reads in a region of its own, so that none finds in the page cache what another one has read"""
    output = directory / "fio.json"
    region = LARGE_BYTES // jobs // RANDOM_BYTES * RANDOM_BYTES
    run("fio", "--name=read", f"--filename={path}", "--rw=randread", f"--bs={RANDOM_BYTES}", "--ioengine=psync", "--readonly", "--invalidate=1",
        f"--size={region}", f"--offset_increment={region}", f"--numjobs={jobs}", f"--number_ios={IOS // jobs}", f"--runtime={SECONDS}",
        f"--randseed={seed}", "--thread", "--group_reporting", "--output-format=json", f"--output={output}")
    (job,) = json.loads(output.read_text())["jobs"]
    assert job["error"] == 0 and job["read"]["total_ios"] > 0, job
    percentiles = job["read"]["clat_ns"]["percentile"]
    return {f"p50 {jobs}": percentiles["50.000000"] / 1e6, f"p99 {jobs}": percentiles["99.000000"] / 1e6, f"reads {jobs}": job["read"]["iops"],
            "ios": job["read"]["total_ios"]}


def random_reads(place, scratch):
    if not bench_common.installed("fio", "fio", "random reading"):
        return
    seeds = {}

    def seed(name):
        """another one in each round, the same for all ways"""
        seeds[name] = seeds.get(name, 0) + 1
        return seeds[name]

    def once(mount):
        figures, number = {}, seed(mount.name)
        for jobs in JOBS:
            told = through(mount, lambda _: fio(mount.path(place.large), jobs, number, scratch))
            figures |= {**told, f"cpu {jobs}": told["cpu"] * 1000 / told["ios"]}
        return figures

    floor = f"curl, ranges of {RANDOM_BYTES >> 10} KiB"
    found = bench_common.measured({floor: lambda: random_floor(place, seed(floor)),
                                   **{m.name: lambda m=m: once(m) for m in place.mounts}})
    columns = [f"{figure} {jobs}" for jobs in JOBS for figure in ("p50", "p99", "reads", "cpu")]
    rows = [[name, *(f"{one.median(c):.{0 if c.startswith('reads') else 2}f}" if c in one.figures else None for c in columns)]
            for name, one in found.items()]
    units = {"p50": "p50 ms", "p99": "p99 ms", "reads": "reads/s", "cpu": "cpu ms"}
    header = [f"{units[c.split()[0]]}, {c.split()[1]}" for c in columns]
    bench_common.print_table(f"random reads of {RANDOM_BYTES >> 10} KiB by 1 and by 8 jobs, cold, {place.name}", ["", *header], rows)
    for jobs in JOBS:
        ours, ground = found["keepfs"], found[floor].median(f"p50 {jobs}")
        more = ours.median(f"p50 {jobs}") - ground
        bench_common.goal(f"{jobs} jobs: p50 {more:+.2f} ms from the range's, wanted at most +0.3", more <= 0.3)
        if place.peers:
            least = min(found[name].median(f"p99 {jobs}") for name in place.peers)
            bench_common.goal(f"{jobs} jobs: p99 {ours.median(f'p99 {jobs}'):.2f} ms, the best peer's {least:.2f}",
                              ours.median(f"p99 {jobs}") < least)


def first_bytes(place, scratch):
    """each of the small files once; the first is left out, as it may have to make the connection"""
    def read(mount):
        times = []
        for artifact in place.small:
            path = mount.path(artifact)
            start = time.monotonic()
            fd = os.open(path, os.O_RDONLY)
            assert len(os.pread(fd, RANDOM_BYTES, 0)) == RANDOM_BYTES
            times.append((time.monotonic() - start) * 1000)
            os.close(fd)
        return spread(times[1:])

    def spread(times):
        return {"ms": statistics.median(times), "least": min(times), "most": max(times)}

    floor = f"curl, a range of {RANDOM_BYTES >> 10} KiB"
    ranges = [bench_floors.transfer(place.urls[artifact], 0, RANDOM_BYTES) for artifact in place.small]
    found = bench_common.measured({floor: lambda: spread(bench_floors.latencies_ms(ranges)),
                                   **{m.name: lambda m=m: through(m, read) for m in place.mounts}})
    ground = found[floor].median("ms")
    rows = [[name, f"{one.median('ms'):.2f}", f"{one.min('least'):.2f}", f"{one.max('most'):.2f}", f"{one.median('ms') / ground:.2f}"]
            for name, one in found.items()]
    bench_common.print_table(f"open, and {RANDOM_BYTES >> 10} KiB read, of a file that was not read before, {place.name}",
                             ["", "ms", "min", "max", "x floor"], rows)
    ours = found["keepfs"].median("ms") / ground
    bench_common.goal(f"{ours:.2f} times one range over a kept connection, wanted at most 1.2", ours <= 1.2)


def four_readers(place, scratch):
    """as many bytes by one reader as by four"""
    ways = {}
    for mount in place.mounts:
        ways[f"{mount.name}, 1 reader"] = lambda m=mount: through(m, lambda _: run(*dd(m.path(place.large))))
        ways[f"{mount.name}, {READERS}"] = lambda m=mount: through(m, lambda _: at_once([dd(m.path(a)) for a in place.fourths]))
    found = bench_common.measured(ways)
    rows = [[name, f"{rate(one):.0f}", f"{one.median('cpu') / (LARGE_BYTES / 1e9):.2f}", f"{one.max('peak'):.0f}",
             f"{rate(one) / rate(found[name.rpartition(',')[0] + ', 1 reader']):.2f}"] for name, one in found.items()]
    bench_common.print_table(f"dd bs=1M of one file and of {READERS} at once, cold, {place.name}",
                             ["", "MB/s", "cpu s/GB", "peak MiB", "x 1 reader"], rows)
    ours = rate(found[f"keepfs, {READERS}"]) / rate(found["keepfs, 1 reader"])
    bench_common.goal(f"{READERS} readers {ours:.2f} times as fast as one, wanted at least 1", ours >= 1)


def memory(place, scratch):
    (keepfs,) = [mount for mount in place.mounts if mount.name == "keepfs"]
    share = LARGE_BYTES // SMALL
    found = bench_common.measured({
        f"{SMALL} ranges of one file": lambda: through(keepfs, lambda m: at_once(
            [dd(m.path(place.large), "iflag=skip_bytes,count_bytes", f"skip={i * share}", f"count={share}") for i in range(SMALL)])),
        f"{SMALL} files": lambda: through(keepfs, lambda m: at_once([dd(m.path(a)) for a in place.small])),
    })
    bench_common.print_table(f"keepfs with {SMALL} readers at once, default settings, {place.name}", ["", "MB/s", "peak MiB"],
                             [[name, f"{rate(one):.0f}", f"{one.max('peak'):.0f}"] for name, one in found.items()])
    most = max(one.max("peak") for one in found.values())
    bench_common.goal(f"{most:.0f} MiB, wanted less than 256", most < 256)


def mounts_of(directory, facts, keepfs, endpoint):
    mounts = [bench_mounts.KeepfsMount(keepfs, endpoint)]
    if shutil.which("rclone"):
        mounts += [bench_mounts.Rclone(facts, directory, PREFIX, endpoint),
                   bench_mounts.Rclone(facts, directory, PREFIX, endpoint, "rclone mount, tuned",
                                       ["--buffer-size", "64M", "--vfs-read-chunk-size", "64M"])]
    if shutil.which("s3fs"):
        mounts.append(bench_mounts.S3fs(facts, directory, PREFIX, endpoint))
    return mounts


def put_artifacts(keepfs):
    """paths of the large one, the fourths and the small ones"""
    keepfs.state.mkdir()
    sizes = [LARGE_BYTES, *[LARGE_BYTES // READERS] * READERS, *[LARGE_BYTES // SMALL] * SMALL]
    done = subprocess.run([os.environ["PUT_ARTIFACTS"], str(keepfs.conf), *map(str, sizes)], check=True, env=keepfs.env, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return done.stdout.split()


def put_aside(scratch, ceph):
    """all objects as files below a directory, as nginx wants them"""
    root = scratch / "objects"
    for artifact, url in ceph.urls.items():
        file = root / stores.BUCKET / PREFIX / artifact
        file.parent.mkdir(parents=True, exist_ok=True)
        run("curl", "-q", "-s", "-f", "-o", file, url)
    return root


@contextlib.contextmanager
def nginx_at(directory, *arguments, **options):
    nginx = bench_nginx.Nginx(directory, *arguments, **options)
    try:
        yield nginx
    finally:
        nginx.stop()
        shutil.rmtree(nginx.directory)


@contextlib.contextmanager
def link(rate):
    one = bench_nginx.Link(rate)
    try:
        yield one
    finally:
        one.remove()


def measure(place, scratch):
    parts = {"sequential": sequential, "copy": copy, "warm": warm, "random": random_reads, "first": first_bytes, "four": four_readers,
             "memory": memory}
    for name, part in parts.items():
        if name in PARTS:
            part(place, scratch)


def main():
    if not bench_common.installed("radosgw", "radosgw", "everything"):
        return
    bench_common.installed("rclone", "rclone", "rclone mount")
    bench_common.installed("s3fs", "s3fs", "s3fs")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    scratch, where = bench_common.scratch_directory(directory, 4 * MEGABYTES)
    server = keepfs = None
    try:
        server = stores.S3Server("ceph")
        facts = server.facts
        keepfs = daemon.Keepfs(directory, stores.S3Store(server, PREFIX), {"full": {"database": "postgresql:///none"}}, memory="256M",
                               parallel_runs=2)
        start = time.monotonic()
        artifacts = put_artifacts(keepfs)
        print(f"backups of {MEGABYTES} MiB, {READERS} of {MEGABYTES // READERS} and {SMALL} of {MEGABYTES // SMALL}, made in "
              f"{time.monotonic() - start:.0f} s; {os.cpu_count()} cores, copies in {where}", flush=True)
        ceph = Place("Ceph", facts["ENDPOINT"], facts, artifacts, mounts_of(directory, facts, keepfs, facts["ENDPOINT"]))
        if "ceph" in STORES:
            measure(ceph, scratch)
        if {"nginx", "link"} & set(STORES) and bench_common.installed("nginx", "nginx", "the plain HTTP server"):
            root = put_aside(scratch, ceph)
            if "nginx" in STORES:
                with nginx_at(directory, root, ceph.endpoint) as nginx:
                    measure(Place("nginx", nginx.endpoint, facts, artifacts, mounts_of(directory, facts, keepfs, nginx.endpoint)), scratch)
            if "link" in STORES and not bench_nginx.Link.is_possible():
                print("  a link is for root, and needs ip and tc (the Debian package iproute2): it is left out")
            elif "link" in STORES:
                # The peers ask for what only the S3 server tells, and that is not reached from there.
                with link(LINK) as far, nginx_at(directory, root, ceph.endpoint, address=far.FAR, within=far.within) as nginx:
                    alone = [bench_mounts.KeepfsMount(keepfs, nginx.endpoint)]
                    measure(Place(f"nginx behind {LINK}", nginx.endpoint, facts, artifacts, alone), scratch)
    finally:
        if keepfs:
            keepfs.store_settings["endpoint"] = facts["ENDPOINT"]
            keepfs.close()
        if server:
            server.stop()
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
