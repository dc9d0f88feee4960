# SPDX-License-Identifier: Apache-2.0
"""Mirrors of a bucket beside `rclone sync` between two buckets of the same server, [files] beside tar with zstd, and reading a state's tree beside a plain directory.

BENCH_PARTS           of small,large,again,files,memory,tree; default all
BENCH_MIRROR_OBJECTS  small objects (10 KB each) of `small`, files of `files` and of the reads of `tree`; default 20000
BENCH_MIRROR_MB       of each of the eight large objects, default 256
BENCH_MIRROR_MANY     objects of `again` (which are in the bucket) and of the listing in `tree`, and what `memory` begins with: default 100000
BENCH_STORES          of ceph,swift: the server of `small`, `large` and `again`; default ceph
BENCH_ROUNDS          default 5

`small`   each way makes everything anew in each round: keepfs into an empty store, rclone into an empty bucket. Both buckets are on one server, so rclone has it
          copy by itself; with --disable Copy it gets and puts, as it does between two servers, and as a backup on another server needs it
`large`   with the server copying (server_copy = auto) and without (no); the physical limit is what that server gives and takes over four connections at once
`again`   second runs of an unchanged bucket, with the requests to the source that the run counted
`memory`  the peak of resident memory of the daemon while a directory of so many, and of three times as many, files is mirrored for the first and for the second time
`tree`    ls and find of one directory with all objects, and tar and cp of a state, each behind a new mount
"""
import concurrent.futures
import http.client
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import uuid

import bench_common
import bench_mounts
import daemon
import s3client
import stores

PARTS = bench_common.parts("small,large,again,files,memory,tree")
OBJECTS = int(os.environ.get("BENCH_MIRROR_OBJECTS", "20000"))
SMALL_BYTES = 10_000
LARGE = 8
LARGE_MB = int(os.environ.get("BENCH_MIRROR_MB", "256"))
MANY = int(os.environ.get("BENCH_MIRROR_MANY", "100000"))
SERVER = os.environ.get("BENCH_STORES", "ceph")
PER_DIRECTORY = 1000
WRITERS = 8
DEADLINE_S = 3 * 3600
GOAL_DEFAULT, GOAL_TUNED, GOAL_RATE = 3, 1.5, 0.9
GOAL_AGAIN_S = 30
GOAL_MORE_MIB = 8  # of three times as many objects
TUNED = ("--transfers", "32", "--checkers", "32")
BETWEEN = ("--disable", "Copy")  # as between two servers


class Bucket:
    """one of its own, filled over connections that are kept"""

    def __init__(self, server):
        f = self.facts = server.facts
        self.name = f"bench-{uuid.uuid4().hex[:12]}"
        self.client = s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], self.name)
        self.client.create_bucket()

    def section(self):
        f = self.facts
        return {"url": f"s3://{self.name}", "endpoint": f["ENDPOINT"], "region": f["REGION"], "access_key": f["ACCESS_KEY"], "secret_key": f["SECRET_KEY"],
                "allow_http": "yes"}

    def fill(self, directory):
        """as rclone puts it: nothing else here puts as fast"""
        self.rclone("copy", directory, f"B:{self.name}", *TUNED)

    def rclone(self, command, *arguments):
        environment = {**{name: value for name, value in os.environ.items() if not name.startswith("AWS_")}, **bench_mounts.rclone_environment(self.facts, pathlib.Path(tempfile.gettempdir()))}
        subprocess.run(["rclone", "--log-level", "ERROR", command, *map(str, arguments)], check=True, env=environment, stdin=subprocess.DEVNULL)

    def remove(self):
        self.rclone("purge", f"B:{self.name}", *TUNED)


def make_files(root, count, size, per_directory=PER_DIRECTORY):
    """none is like another"""
    for i in range(count):
        where = root / f"d{i // per_directory:04}"
        if i % per_directory == 0:
            where.mkdir(parents=True)
        (where / f"object-{i:07}.bin").write_bytes(os.urandom(size))
    return root


def run_to_end(keepfs, command):
    """how long it took, the daemon's processor seconds, the requests to the source that the run counted, and the objects that the server copied"""
    (pid,) = keepfs.daemons()
    before, start = bench_common.cpu_s(pid), time.monotonic()
    run = int(keepfs.ask("trigger", command).split()[0])
    status = keepfs.wait_run(run, deadline_s=DEADLINE_S)
    seconds = time.monotonic() - start
    assert status["state"] == "completed", status
    log = keepfs.text("jobs", str(run), "log")
    requests, copied = re.search(r"(\d+) requests to the source", log), re.search(r"copied by the server itself: (\d+) objects", log)
    return {"seconds": seconds, "cpu": bench_common.cpu_s(pid) - before, "requests": int(requests.group(1)) if requests else 0, "copied": int(copied.group(1)) if copied else 0}


def fresh(directory, store, jobs, **settings):
    where = directory / f"keepfs-{uuid.uuid4().hex[:8]}"
    where.mkdir()
    return daemon.Keepfs(where, store, jobs, memory="256M", **settings)


def mirror_once(directory, server, source, copied=0, **keys):
    """into a prefix where nothing is. @copied: so many objects the server has to have copied"""
    def once():
        store = stores.S3Store(server, f"bench-{uuid.uuid4().hex[:12]}")
        keepfs = fresh(directory, store, {"mirror docs": {**source.section(), **keys}}).mount()
        try:
            took = run_to_end(keepfs, "docs")
            assert took["copied"] == copied, took
            return took
        finally:
            keepfs.close()
            store.clear()
            shutil.rmtree(keepfs.directory)
    return once


def rclone_once(server, source, *options):
    def once():
        target = Bucket(server)
        before, start = bench_common.children_cpu_s(), time.monotonic()
        source.rclone("sync", f"B:{source.name}", f"B:{target.name}", *options)
        took = {"seconds": time.monotonic() - start, "cpu": bench_common.children_cpu_s() - before, "requests": 0}
        target.remove()
        return took
    return once


def table(title, found, megabytes, first):
    base = found[first].median("seconds")
    bench_common.print_table(title, ["", "seconds", "MB/s", "of keepfs", "processor s", "requests"], [
        [name, f"{s.median('seconds'):.2f}", f"{megabytes / s.median('seconds'):.1f}", f"{base / s.median('seconds'):.2f}", f"{s.median('cpu'):.2f}",
         f"{s.median('requests'):.0f}" if s.median("requests") else None] for name, s in found.items()])


def ratio(found, name):
    return found[name].median("seconds") / found["keepfs"].median("seconds")


def measure_objects(directory, server, count, size, what):
    """a mirror, and both ways of rclone: their figures"""
    data = make_files(directory / what, count, size)
    source = Bucket(server)
    try:
        source.fill(data)
        shutil.rmtree(data)
        found = bench_common.measured({"keepfs": mirror_once(directory, server, source), "rclone sync": rclone_once(server, source, *BETWEEN),
                                       "rclone sync " + " ".join(TUNED): rclone_once(server, source, *TUNED, *BETWEEN),
                                       "rclone sync, the server copies": rclone_once(server, source)})
    finally:
        source.remove()
    table(f"{count} {what} objects of {size} bytes, from one bucket of {SERVER} into another", found, count * size / 1e6, "keepfs")
    return found


def measure_small(directory, server):
    found = measure_objects(directory, server, OBJECTS, SMALL_BYTES, "small")
    plain, tuned = ratio(found, "rclone sync"), ratio(found, "rclone sync " + " ".join(TUNED))
    bench_common.goal(f"{GOAL_DEFAULT} times as fast as rclone sync: {plain:.2f}", plain >= GOAL_DEFAULT)
    bench_common.goal(f"{GOAL_TUNED} times as fast as with {' '.join(TUNED)}: {tuned:.2f}", tuned >= GOAL_TUNED)


def get_and_put(server, source, size):
    """what the server gives: all bytes are got over four connections, and put as parts of 16 MiB are, each of them at the same time as others are got"""
    def transfer(number, target):
        f = server.facts
        part = 16 << 20
        for at in range(0, size, part):
            connection = http.client.HTTPConnection(source.client.host, source.client.port)
            url = source.client.url(f"d0000/object-{number:07}.bin", 3600)
            connection.request("GET", url[url.index("/", len("http://")):], headers={"Host": f"{source.client.host}:{source.client.port}",
                                                                                      "Range": f"bytes={at}-{min(at + part, size) - 1}"})
            data = connection.getresponse().read()
            connection.close()
            s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], target.name).put(f"{number}.{at}", data)

    def once():
        target = Bucket(server)
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(transfer, number, target) for number in range(LARGE)]:
                done.result()
        took = {"seconds": time.monotonic() - start, "cpu": 0, "requests": 0}
        target.remove()
        return took
    return once


def measure_large(directory, server):
    size = LARGE_MB << 20
    data = make_files(directory / "large", LARGE, size)
    source = Bucket(server)
    try:
        source.fill(data)
        shutil.rmtree(data)
        found = bench_common.measured({"keepfs": mirror_once(directory, server, source, server_copy="no"), "keepfs, the server copies": mirror_once(directory, server, source, copied=LARGE),
                                       "the store's rate": get_and_put(server, source, size),
                                       "rclone sync": rclone_once(server, source, *BETWEEN), "rclone sync, the server copies": rclone_once(server, source)})
    finally:
        source.remove()
    table(f"{LARGE} objects of {LARGE_MB} MiB, from one bucket of {SERVER} into another (keepfs also reads back what it stored)", found, LARGE * size / 1e6, "keepfs")
    of_rate = ratio(found, "the store's rate")
    copied = found["the store's rate"].median("seconds") / found["keepfs, the server copies"].median("seconds")
    bench_common.goal(f"{GOAL_RATE} of the store's rate: {of_rate:.2f}; {copied:.2f} where the server copies", of_rate >= GOAL_RATE)


def measure_again(directory, server):
    data = make_files(directory / "many", MANY, 100)
    source = Bucket(server)
    store = stores.S3Store(server, f"bench-{uuid.uuid4().hex[:12]}")
    keepfs = None
    try:
        source.fill(data)
        keepfs = fresh(directory, store, {"mirror docs": source.section()}).mount()
        first = run_to_end(keepfs, "docs")
        found = bench_common.measured({"keepfs": lambda: run_to_end(keepfs, "docs")})
    finally:
        if keepfs:
            keepfs.close()
        store.clear()
        source.remove()
        shutil.rmtree(data)
    print(f"\nthe first run of {MANY} objects: {first['seconds']:.1f} s, {first['requests']} requests")
    table(f"second runs of {MANY} unchanged objects", found, MANY * 100 / 1e6, "keepfs")
    again = found["keepfs"]
    bench_common.goal(f"a second run in less than {GOAL_AGAIN_S} s and with a few hundred requests: {again.median('seconds'):.1f} s, {again.median('requests'):.0f} requests",
                      again.median("seconds") < GOAL_AGAIN_S and again.median("requests") < 1000)


def measure_files(directory, _server):
    """[files] with the compression that tar is given: what it writes is read back, too"""
    data = make_files(directory / "files", OBJECTS, SMALL_BYTES)
    for number, file in enumerate(data.rglob("*.bin")):
        if number % 2:  # half of them can be compressed
            file.write_text("".join(f"{number} a line of text, number {i}\n" for i in range(SMALL_BYTES // 32)))
    keepfs = fresh(directory, stores.DirStore(directory / "files-store"), {"files data": {"path": data, "compression": "zstd:1"}}).mount()

    def tar():
        target = directory / "peer.tar.zst"
        before, start = bench_common.children_cpu_s(), time.monotonic()
        subprocess.run(["tar", "-I", "zstd -1 -T2", "-cf", target, "-C", data.parent, data.name], check=True)
        took = {"seconds": time.monotonic() - start, "cpu": bench_common.children_cpu_s() - before, "requests": 0}
        target.unlink()
        return took

    try:
        found = bench_common.measured({"keepfs": lambda: run_to_end(keepfs, "data"), "tar -I 'zstd -1 -T2'": tar})
    finally:
        keepfs.close()
        shutil.rmtree(data)
    table(f"{OBJECTS} files of {SMALL_BYTES} bytes into an archive", found, OBJECTS * SMALL_BYTES / 1e6, "keepfs")
    of_tar = ratio(found, "tar -I 'zstd -1 -T2'")
    bench_common.goal(f"no slower than tar -I 'zstd -1 -T2': {of_tar:.2f} times as fast", of_tar >= 1)


def measure_memory(directory, _server):
    """the peaks of a first and of a second run"""
    def peaks(count):
        data = make_files(directory / f"memory-{count}", count, 0)
        keepfs = fresh(directory, stores.DirStore(directory / f"memory-store-{count}"), {"mirror docs": {"url": f"dir:{data}"}}).mount()
        (pid,) = keepfs.daemons()
        found = []
        try:
            for _ in range(2):
                bench_common.forget_peak(pid)
                took = run_to_end(keepfs, "docs")
                found.append((bench_common.status_mib(pid, "VmHWM"), took))
        finally:
            keepfs.close()
            shutil.rmtree(data)
        return found

    all_peaks = {count: peaks(count) for count in (MANY, 3 * MANY)}
    bench_common.print_table("resident memory at its peak, of mirrors of a directory of empty files", ["files", "first run, MiB", "s", "second run, MiB", "s"], [
        [str(count), f"{first[0]:.1f}", f"{first[1]['seconds']:.1f}", f"{second[0]:.1f}", f"{second[1]['seconds']:.1f}"] for count, (first, second) in all_peaks.items()])
    more = max(all_peaks[3 * MANY][i][0] - all_peaks[MANY][i][0] for i in range(2))
    bench_common.goal(f"three times as many objects take no more memory (index and tables of packs: less than {GOAL_MORE_MIB} MiB): {more:.1f} MiB more", more < GOAL_MORE_MIB)


def timed(*command):
    start = time.monotonic()
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def measure_tree(directory, _server):
    """each command behind a new mount; the kernel knows nothing of it"""
    many = make_files(directory / "tree-many", MANY, 0, per_directory=MANY)
    small = make_files(directory / "tree-small", OBJECTS, SMALL_BYTES)
    keepfs = fresh(directory, stores.DirStore(directory / "tree-store"), {"mirror many": {"url": f"dir:{many}"}, "mirror small": {"url": f"dir:{small}"}}).mount()
    out = directory / "copy"
    commands = {"ls -f, one directory": (many, ["ls", "-f"]), "ls -l, one directory": (many, ["ls", "-l"]), "find -type f -size 0": (many, ["find", ".", "-type", "f", "-size", "0"]),
                "tar cf - | cat": (small, ["sh", "-c", "tar cf - . | cat > /dev/null"]), "cp -a": (small, ["cp", "-a", ".", out])}

    def once(where, command, mounted):
        def turn():
            if mounted:
                keepfs.remount()
                where_now = keepfs.path("backups", "many" if where == many else "small", state["many" if where == many else "small"])
                (pid,) = keepfs.daemons()
                before = bench_common.cpu_s(pid)
            else:
                where_now = where
            full = pathlib.Path(where_now) / "d0000" if where == many else pathlib.Path(where_now)
            start = time.monotonic()
            subprocess.run([str(word) for word in command], check=True, cwd=full, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            took = {"seconds": time.monotonic() - start, "cpu": bench_common.cpu_s(pid) - before if mounted else 0}
            shutil.rmtree(out, ignore_errors=True)
            return took
        return turn

    try:
        state = {}
        for job in ("many", "small"):
            run_to_end(keepfs, job)
            state[job] = max(os.listdir(keepfs.path("backups", job)), key=lambda name: (name[:1].isdigit(), name))
        found = bench_common.measured({(name, mounted): once(where, command, mounted) for name, (where, command) in commands.items() for mounted in (True, False)})
    finally:
        keepfs.close()
        for one in (many, small):
            shutil.rmtree(one)
    bench_common.print_table(f"the tree of a state ({MANY} empty files in one directory; {OBJECTS} files of {SMALL_BYTES} bytes in {OBJECTS // PER_DIRECTORY} directories)",
                             ["", "mount, s", "its processor s", "plain directory, s", "times as long"],
                             [[name, f"{found[name, True].median('seconds'):.2f}", f"{found[name, True].median('cpu'):.2f}", f"{found[name, False].median('seconds'):.2f}",
                               f"{found[name, True].median('seconds') / found[name, False].median('seconds'):.1f}"] for name in commands])


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    needs_server = {"small": measure_small, "large": measure_large, "again": measure_again}
    others = {"files": measure_files, "memory": measure_memory, "tree": measure_tree}
    wanted = [part for part in PARTS if part in others]
    server = None
    try:
        if set(PARTS) & set(needs_server):
            if bench_common.installed("radosgw", "radosgw", "everything between buckets") and bench_common.installed("rclone", "rclone", "everything between buckets"):
                wanted = PARTS
                server = stores.S3Server(SERVER)
        for part in wanted:
            {**needs_server, **others}[part](directory, server)
    finally:
        if server:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


main()
