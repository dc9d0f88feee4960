# SPDX-License-Identifier: Apache-2.0
"""100,000 artifacts: how soon the mount is there, how fast it lists, how small it stays; and next to general mounts of a bucket."""
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

import bench_common
import bench_mounts
import daemon
import stores

COUNT = int(os.environ.get("BENCH_ARTIFACTS", "100000"))
PEER_COUNT = int(os.environ.get("BENCH_PEER_OBJECTS", "10000"))
RUNS = 3


def seconds(command):
    start = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


def row(what, value, limit=""):
    print(f"  {what:<44} {value:>12}   {limit}", flush=True)


def keepfs_figures(directory, count):
    """medians of RUNS mounts, each with a cold kernel cache"""
    store = stores.DirStore(directory / "objects")
    keepfs = daemon.Keepfs(directory, store, {"full": {"database": "postgresql:///none"}}, memory="192M")
    keepfs.state.mkdir()
    # The listed backups have no objects; that the store was used before is all that a start asks for.
    (store.root / ".keepfs").mkdir(parents=True)
    subprocess.run([os.environ["FILL_CATALOG"], str(keepfs.state), str(count)], check=True)
    figures = {}
    full = keepfs.path("backups", "full")
    for _ in range(RUNS):
        start = time.monotonic()
        keepfs.mount()
        once = {"mount until it serves, s": time.monotonic() - start}
        (pid,) = keepfs.daemons()
        once["resident after the mount, MiB"] = bench_common.status_mib(pid, "VmRSS")
        once["first ls -f of the directory, s"] = seconds(["ls", "-f", full])
        names = [n for n in os.listdir(full) if n.startswith("2")]
        assert len(names) == count
        keepfs.remount()
        (pid,) = keepfs.daemons()
        once["first ls -l of the directory, s"] = seconds(["ls", "-l", full])
        keepfs.remount()
        (pid,) = keepfs.daemons()
        times = []
        for name in random.Random(1).sample(names, 1000):
            start = time.monotonic()
            os.stat(full / name)
            times.append(time.monotonic() - start)
        once["cold lookup by name, median, ms"] = statistics.median(times) * 1000
        once["cold lookup by name, 99 %, ms"] = sorted(times)[990] * 1000
        seconds(["ls", "-l", full])
        once["resident after all of it, MiB"] = bench_common.status_mib(pid, "VmRSS")
        keepfs.unmount()
        for what, value in once.items():
            figures.setdefault(what, []).append(value)
    return {what: statistics.median(values) for what, values in figures.items()}


def peer_figures(directory, server, prefix):
    """{name: (ls -f s, ls -l s, resident MiB)} of other mounts of the same bucket"""
    found = {}
    for kind in (bench_mounts.Rclone, bench_mounts.S3fs):
        mount = kind(server.facts, directory, prefix)
        if not bench_common.installed(mount.command[0], mount.command[0], mount.name):
            continue
        mount.start()
        try:
            found[mount.name] = (seconds(["ls", "-f", mount.path("")]), seconds(["ls", "-l", mount.path("")]),
                                 bench_common.status_mib(mount.pid, "VmRSS"))
        finally:
            mount.stop()
    return found


def compare(directory):
    server = stores.S3Server("ceph")
    try:
        store = stores.S3Store(server, "bench")
        for i in range(PEER_COUNT):
            store.put(f"{i:08}.dump", b"x")
        keepfs_directory = directory / "few"
        keepfs_directory.mkdir()
        ours = keepfs_figures(keepfs_directory, PEER_COUNT)
        own = (ours["first ls -f of the directory, s"], ours["first ls -l of the directory, s"],
               ours["resident after all of it, MiB"])
        print(f"\n{PEER_COUNT} files, cold: ls -f s, ls -l s, resident MiB (others' figures as times ours)")
        print(f"  {'keepfs':<14} {own[0]:8.3f} {own[1]:8.3f} {own[2]:8.1f}")
        for name, peer in peer_figures(directory, server, "bench").items():
            ratios = " ".join(f"x{theirs / mine:.1f}" for theirs, mine in zip(peer, own))
            print(f"  {name:<14} {peer[0]:8.3f} {peer[1]:8.3f} {peer[2]:8.1f}   {ratios}")
    finally:
        server.stop()


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    try:
        limits = {"mount until it serves, s": "goal 0.5", "first ls -f of the directory, s": "goal 1",
                  "first ls -l of the directory, s": "goal 3", "cold lookup by name, median, ms": "goal 1",
                  "resident after the mount, MiB": "goal 64"}
        many = directory / "many"
        many.mkdir()
        print(f"{COUNT} artifacts in one directory, medians of {RUNS} mounts")
        for what, value in keepfs_figures(many, COUNT).items():
            row(what, f"{value:.3f}", limits.get(what, ""))
        if shutil.which("radosgw"):
            compare(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


main()
