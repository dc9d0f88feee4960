# SPDX-License-Identifier: Apache-2.0
"""
Many readers at once, in every pattern and at every edge: whatever they are given is compared with what was stored. Readers
that die, files that are removed, and mounts that go away under them may cost an answer, but never give a wrong byte.
"""
import base64
import concurrent.futures
import errno
import functools
import itertools
import json
import mmap
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import threading

import pytest

import daemon
import handmade
import stores

KIB, MIB = 1 << 10, 1 << 20
PIECE = 64 * KIB
SMALL_MIB = 70  # the least that holds the parts of a backup
# Lengths of extents that no keepfs writes, and every one must read.
ODD = [1, 1, 65535, 100_001, 3, 65536, MIB, 17, 4096, 1, MIB - 1, 65537, 2, 262144]
MAY_FAIL = {errno.EIO, errno.ENOENT}
GONE = MAY_FAIL | {errno.ENOTCONN, errno.ECONNABORTED, errno.ESHUTDOWN}


class Library:
    """backups in a store, and what is in them: {path below backups/: bytes}"""

    def __init__(self, store):
        self.store = store
        self.files = {}

    def publish(self, name, pieces):
        handmade.publish(self.store, f"backups/full/{name}", tuple(pieces), run=len(self.files) + 1)
        self.files[f"full/{name}"] = b"".join(pieces)

    def publish_all(self):
        chance = random.Random(1)
        pieces = [chance.randbytes(PIECE) for _ in range(40)]
        for number in range(16):
            chance.shuffle(pieces)
            self.publish(f"20261101T02{number:02}00Z.dump", [*pieces[:2 * number + 1], chance.randbytes(999 * number + 1)])
        data = chance.randbytes(sum(ODD))
        ends = list(itertools.accumulate(ODD))
        self.publish("20261102T020000Z.dump", [data[end - length:end] for end, length in zip(ends, ODD)])
        self.publish("20261102T020001Z.dump", [])
        self.publish("20261102T020002Z.dump", [b"x"])


@functools.lru_cache(maxsize=None)
def edges(store, path):
    """where extents begin and end"""
    manifest = json.loads(store.get(f"manifests/backups/{path}.json"))
    table = manifest["extents"]
    stored = store.get(table["object"]) if table.get("object") else base64.b64decode(table["table"])
    lengths = [length for length, _ in struct.iter_unpack("<II", stored)]
    # Version 2 says for each object how many are its; in version 1 those of the backup itself come first.
    objects = [(one["key"], one["extents"]) for one in manifest["objects"]] if "objects" in manifest else [(f"backups/{path}", table["count"])]
    before = [key for key, _ in objects].index(f"backups/{path}")
    first = sum(count for _, count in objects[:before])
    return [0, *itertools.accumulate(lengths[first:first + objects[before][1]])]


def big_one(library):
    """the one that keepfs wrote"""
    return max(library.files, key=lambda path: len(library.files[path]))


ODD_ONE = "full/20261102T020000Z.dump"


@pytest.fixture(scope="module")
def library(request, noise, pg, tmp_path_factory):
    """a store with a backup of 32 MB that keepfs made, and others of odd shapes"""
    where = tmp_path_factory.mktemp("library")
    if getattr(request, "param", "dir") == "dir":
        store = stores.DirStore(where / "objects")
    else:
        store = stores.S3Store(request.getfixturevalue("s3_servers")(request.param), "library")
    made = Library(store)
    keepfs = daemon.Keepfs(where, store, {"full": {"database": pg.uri(noise), "compression": "none"}})
    try:
        keepfs.mount()
        keepfs.backup()
        (name,) = keepfs.artifacts()
        made.files[f"full/{name}"] = store.get(f"backups/full/{name}")
    finally:
        keepfs.close()
    made.publish_all()
    yield made
    store.clear()


def open_library(new_keepfs, library, faults=None, memory_mib=112, **read_settings):
    """a mount of all that is in the library"""
    keepfs = new_keepfs(store=library.store, memory=f"{memory_mib}M")
    keepfs.read_settings = read_settings
    if memory_mib < 112:
        keepfs.store_settings["part_size"] = "5M"
    keepfs.write_conf()
    keepfs.run("rebuild", "--moved")
    if faults:
        keepfs.store_settings["faults"] = faults
        keepfs.write_conf()
    return keepfs.mount()


def at(keepfs, path):
    return keepfs.path("backups", path)


def together(*calls):
    """all of them at once, each on its own thread; the first failure is raised"""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def same(got, data, offset, length, what):
    wanted = data[offset:offset + length]
    if got == wanted:
        return
    first = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    raise AssertionError(f"{what}: {length} bytes from {offset}: got {len(got)} of {len(wanted)}, wrong from {offset + first}")


def expect(fd, data, offset, length, what=""):
    same(os.pread(fd, length, offset), data, offset, length, what)


def expect_pieces(fd, data, offset, length, what):
    """in as many reads as it takes: what the kernel had when the rest failed is a short answer, and right"""
    while length > 0 and offset < len(data):
        got = os.pread(fd, length, offset)
        assert got, f"{what}: nothing at {offset} of {len(data)}"
        same(got, data, offset, len(got), what)
        offset += len(got)
        length -= len(got)


def sequential(path, data, chunk=256 * KIB, flags=0):
    """from beginning to end, cold"""
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        for offset in range(0, len(data) + 1, chunk):
            expect(fd, data, offset, chunk, path)
    finally:
        os.close(fd)


def expect_all(keepfs, library):
    for path, data in library.files.items():
        sequential(at(keepfs, path), data)


def sanitized(pid):
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    return "libasan" in maps or "libtsan" in maps


def expect_bounded(keepfs, configured_mib):
    (pid,) = keepfs.daemons()
    if sanitized(pid):
        return  # which keep what was freed
    facts = daemon.parse_status(pathlib.Path(f"/proc/{pid}/status").read_text().replace(":", " ").replace("\t", " "))
    assert int(facts["VmHWM"].split()[0]) * KIB < (configured_mib + 64) * MIB


def wait_until_idle(keepfs):
    """nobody reads: no file is open, no buffer in use, no request unanswered"""
    def idle():
        metrics = keepfs.text("status", "metrics.prom").splitlines()
        return {"keepfs_read_open_files 0", "keepfs_read_buffer_bytes 0"} <= set(metrics)

    daemon.wait_until(idle, "the end of all reading")


# Patterns


def at_random(chance, fd, data, what):
    for _ in range(12):
        length = chance.choice([1, 511, 4096, PIECE, PIECE, 3 * PIECE + 1, MIB, MIB + 4097, 3 * MIB])
        expect(fd, data, chance.randrange(len(data) + 1), length, what)


def in_order(chance, fd, data, what):
    chunk = chance.choice([4096 * 7, PIECE, 128 * KIB, 1_000_000])
    offset = chance.randrange(len(data) + 1)
    for _ in range(16):
        expect(fd, data, offset, chunk, what)
        offset += chunk


def backwards(chance, fd, data, what):
    chunk = chance.choice([PIECE, 100_000, MIB])
    offset = chance.randrange(len(data) + 1)
    while offset > 0 and chance.random() < 0.95:
        offset = max(0, offset - chunk)
        expect(fd, data, offset, chunk, what)


def in_strides(chance, fd, data, what):
    step = chance.choice([96 * KIB, MIB, MIB + PIECE, 5 * MIB])
    for offset in range(chance.randrange(MIB), len(data), step):
        expect(fd, data, offset, 10_000, what)


def mapped(chance, fd, data, what):
    if not data:
        return
    with mmap.mmap(fd, len(data), prot=mmap.PROT_READ) as view:
        for _ in range(12):
            offset, length = chance.randrange(len(data)), chance.choice([1, 5000, 200_000])
            same(view[offset:offset + length], data, offset, length, what)


def cold(chance, fd, data, what):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    offset = chance.randrange(len(data) + 1)
    os.posix_fadvise(fd, offset, 2 * MIB, chance.choice([os.POSIX_FADV_WILLNEED, os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_RANDOM]))
    expect(fd, data, offset, 300_000, what)


PATTERNS = [at_random, in_order, backwards, in_strides, mapped, cold]


def seek(keepfs, library, seed, rounds):
    chance = random.Random(seed)
    paths = list(library.files)
    weights = [1 + len(library.files[path]) // MIB for path in paths]
    for _ in range(rounds):
        (path,) = chance.choices(paths, weights)
        flags = chance.choice([0, os.O_DIRECT])
        fd = os.open(at(keepfs, path), os.O_RDONLY | flags)
        try:
            for pattern in chance.choices(PATTERNS, k=3):
                if pattern is not mapped or not flags:
                    pattern(chance, fd, library.files[path], f"seed {seed}: {pattern.__name__} in {path}")
        finally:
            os.close(fd)


def seek_stress(keepfs, library, rounds):
    """threads with files of their own, and others that share one open file"""
    path = big_one(library)
    fd = os.open(at(keepfs, path), os.O_RDONLY | os.O_DIRECT)
    try:
        def share(seed):
            chance = random.Random(seed)
            for pattern in [at_random, in_order, backwards] * rounds:
                pattern(chance, fd, library.files[path], f"seed {seed}: {pattern.__name__} in {path}, shared")

        together(*(functools.partial(seek, keepfs, library, seed, 4 * rounds) for seed in range(8)),
                 *(functools.partial(share, 100 + seed) for seed in range(3)))
    finally:
        os.close(fd)


def test_seeks(new_keepfs, library):
    keepfs = open_library(new_keepfs, library)
    seek_stress(keepfs, library, 3)
    expect_all(keepfs, library)


def test_seeks_in_small_memory_with_trouble(new_keepfs, library, tmp_path):
    faults = "get:3:corrupt,get:150:corrupt,get:5%:slow:20"
    keepfs = open_library(new_keepfs, library, faults=faults, memory_mib=SMALL_MIB, sha256="always",
                          cache_dir=tmp_path / "cache", cache_size="64M")
    seek_stress(keepfs, library, 2)
    assert keepfs.text("status", "last-error") == "" or "damaged" not in keepfs.text("status", "last-error")
    expect_all(keepfs, library)
    expect_bounded(keepfs, SMALL_MIB)


# Edges


@pytest.mark.parametrize("flags", [0, os.O_DIRECT], ids=["cached", "direct"])
def test_edges(new_keepfs, library, flags):
    keepfs = open_library(new_keepfs, library)
    for path, data in library.files.items():
        marks = edges(library.store, path)
        assert marks[-1] == len(data)
        if path == big_one(library):
            assert PIECE in marks and len(marks) > len(data) // PIECE
            marks = sorted({*marks[:4], *marks[-4:], MIB, 4 * MIB})
        elif path != ODD_ONE:
            marks = marks[-3:]
        offsets = sorted({mark + by for mark in marks for by in (-1, 0, 1) if mark + by >= 0} | {len(data) + MIB, 1 << 40})
        fd = os.open(at(keepfs, path), os.O_RDONLY | flags)
        try:
            assert os.fstat(fd).st_size == len(data)
            for offset in offsets:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                for length in (0, 1, 2, PIECE, MIB, MIB + 1):
                    expect(fd, data, offset, length, path)
            for first, last in zip(marks, marks[1:]):
                expect(fd, data, first, last - first, path)
            expect(fd, data, 0, len(data) + 5 * MIB, path)
        finally:
            os.close(fd)


def shell(command, **options):
    done = subprocess.run(["sh", "-ec", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
    return done.stdout


def test_tools(new_keepfs, library, tmp_path):
    keepfs = open_library(new_keepfs, library)
    path = big_one(library)
    data, file = library.files[path], at(keepfs, path)
    for block, skip, count in (1, 65535, 3), (4096, 255, 2), (PIECE, 3, 1), (MIB, 1, 2), (3 * MIB + 7, 1, 2), (MIB, 1000, 1):
        same(shell(f"dd if={file} bs={block} skip={skip} count={count} status=none"), data, block * skip, block * count, "dd")
    same(shell(f"dd if={file} bs=1M iflag=direct status=none"), data, 0, len(data), "dd iflag=direct")
    for count in 0, 1, PIECE, PIECE + 1, MIB, len(data) - 1, len(data), len(data) + 1:
        same(shell(f"head -c {count} {file}"), data, 0, count, "head")
        same(shell(f"tail -c {count} {file}"), data, max(0, len(data) - count), count, "tail")
    shell(f"cp {file} copy && cmp {file} copy && cmp -i 65535 -n 200001 {file} copy", cwd=tmp_path)
    backups = keepfs.path("backups")
    shell(f"mkdir away && rsync -a {backups}/ away/", cwd=tmp_path)
    for name, content in library.files.items():
        assert (tmp_path / "away" / name).read_bytes() == content
    assert shell(f"rsync -a --checksum --dry-run --itemize-changes {backups}/ away/", cwd=tmp_path) == b""
    shell(f"tar -C {backups} -cf - full | tar -C {backups} -df -", cwd=tmp_path)


# Opens, ends and memory


def test_a_thousand_opens(new_keepfs, library):
    """while others read; half of the files are closed with what was asked for ahead of them under way"""
    keepfs = open_library(new_keepfs, library, faults="get:20%:slow:5")

    def open_and_close(seed):
        chance = random.Random(seed)
        for _ in range(125):
            path = chance.choice(list(library.files))
            data = library.files[path]
            fd = os.open(at(keepfs, path), os.O_RDONLY | chance.choice([0, os.O_DIRECT]))
            try:
                if chance.random() < 0.5:
                    expect(fd, data, chance.randrange(len(data) + 1), chance.choice([1, PIECE]), path)
            finally:
                os.close(fd)

    together(*(functools.partial(open_and_close, seed) for seed in range(8)),
             *(functools.partial(sequential, at(keepfs, path), library.files[path], flags=os.O_DIRECT)
               for path in (big_one(library), ODD_ONE)))
    expect_all(keepfs, library)


def read_until_killed(path, bytes_, seed, started):
    """in a child: never returns; says x once it has opened the file, and what went wrong"""
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        chance = random.Random(seed)
        fd = os.open(path, os.O_RDONLY | chance.choice([0, os.O_DIRECT, os.O_DIRECT]))
        os.write(started, b"x")
        for _ in range(4):
            os.pread(fd, chance.choice([1, PIECE, MIB]), chance.randrange(bytes_))
        signal.pause()
    except BaseException as error:
        os.write(started, f"{error!r}\n".encode())
    finally:
        os._exit(1)


def start_readers(keepfs, library, count, chance):
    """children that read; all have begun to"""
    ready, started = os.pipe()
    children = []
    large = [path for path, data in library.files.items() if len(data) > MIB]
    for _ in range(count):
        path = chance.choice(large)
        pid = os.fork()
        if pid == 0:
            read_until_killed(at(keepfs, path), len(library.files[path]), chance.random(), started)
        children.append(pid)
    os.close(started)
    try:
        for _ in children:
            byte = os.read(ready, 1)
            assert byte == b"x", f"{byte + os.read(ready, 65536)}, daemons {keepfs.daemons()}, {(keepfs.state / 'keepfs.log').read_text()}"
    finally:
        os.close(ready)
    return children


def end_readers(children, number):
    for pid in children:
        os.kill(pid, number)
    for pid in children:
        daemon.wait_exit(pid)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == number


def test_a_thousand_killed_readers(new_keepfs, library):
    keepfs = open_library(new_keepfs, library, faults="get:1+:slow:200", sha256="always")
    chance = random.Random(5)
    for batch in range(20):
        end_readers(start_readers(keepfs, library, 50, chance), signal.SIGINT if batch % 2 else signal.SIGKILL)
    wait_until_idle(keepfs)
    assert len(os.listdir(keepfs.path("backups", "full"))) > len(library.files)
    together(*(functools.partial(sequential, at(keepfs, path), data) for path, data in library.files.items()))
    expect_bounded(keepfs, 112)


def test_readers_are_killed_while_the_store_hangs(new_keepfs, library):
    """nobody waits for it: not the readers that die, and not the mount that ends"""
    keepfs = open_library(new_keepfs, library, faults="get:1+:slow:3600000")
    chance = random.Random(6)
    for number in signal.SIGKILL, signal.SIGINT:
        end_readers(start_readers(keepfs, library, 30, chance), number)
    wait_until_idle(keepfs)
    keepfs.unmount()
    del keepfs.store_settings["faults"]
    keepfs.write_conf()
    keepfs.mount()
    expect_all(keepfs, library)


def test_sixteen_readers_in_small_memory(new_keepfs, library):
    keepfs = open_library(new_keepfs, library, memory_mib=SMALL_MIB, sha256="always")
    large = sorted(library.files, key=lambda path: len(library.files[path]))[-16:]
    together(*(functools.partial(sequential, at(keepfs, path), library.files[path], chunk) for path, chunk in
               zip(large, itertools.cycle([PIECE, 128 * KIB, MIB, 3 * MIB]))))
    expect_bounded(keepfs, SMALL_MIB)


@pytest.mark.parametrize("library", ["ceph"], indirect=True)
def test_many_connections_in_small_memory(new_keepfs, library):
    """each connection has a buffer beside the pool: 64 of them stay within what operations.md promises"""
    keepfs = open_library(new_keepfs, library, memory_mib=SMALL_MIB, connections=64)
    large = sorted(library.files, key=lambda path: len(library.files[path]))[-16:]
    together(*(functools.partial(sequential, at(keepfs, path), library.files[path], MIB, os.O_DIRECT) for path in large * 4))
    expect_bounded(keepfs, SMALL_MIB)


# What goes away


def close(fd):
    """also when the mount has gone"""
    try:
        os.close(fd)
    except OSError as error:
        assert error.errno in GONE, error


def read_for_ever(keepfs, path, data, seed, ends, failures, may_fail):
    """opens, reads and closes; a read may fail so, and is tried again"""
    chance = random.Random(seed)
    reads = 0
    while not ends.is_set():
        try:
            fd = os.open(at(keepfs, path), os.O_RDONLY | chance.choice([0, os.O_DIRECT]))
        except OSError as error:
            assert error.errno in may_fail, error
            failures.append(error.errno)
            ends.wait(0.01)
            continue
        try:
            while not ends.is_set() and chance.random() < 0.98:
                offset = chance.randrange(len(data))
                expect_pieces(fd, data, offset, chance.choice([1, PIECE, 300_000, MIB]), path)
                reads += 1
        except OSError as error:
            assert error.errno in may_fail, error
            failures.append(error.errno)
        finally:
            close(fd)
    assert reads > 0, path


class Readers:
    """of each file of a library, on threads; with it ends the block"""

    def __init__(self, keepfs, files, may_fail):
        self.ends = threading.Event()
        self.failures = []
        self.pool = concurrent.futures.ThreadPoolExecutor(len(files))
        self.done = [self.pool.submit(read_for_ever, keepfs, path, data, seed, self.ends, self.failures, may_fail)
                     for seed, (path, data) in enumerate(files.items())]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.pool.shutdown()
        for done in self.done:
            done.result()


def test_a_backup_is_removed_while_it_is_read(new_keepfs, library, tmp_path):
    """those that have it open read on, or fail"""
    copy = Library(stores.DirStore(tmp_path / "copy"))
    shutil.copytree(library.store.root, copy.store.root)
    copy.files = {path: data for path, data in library.files.items() if data}
    newest, gone = [], []
    keepfs = open_library(new_keepfs, copy, faults="get:10%:slow:5")
    with Readers(keepfs, copy.files, MAY_FAIL):
        fds = {path: os.open(at(keepfs, path), os.O_RDONLY | os.O_DIRECT) for path in copy.files}
        try:
            for path in copy.files:
                try:
                    at(keepfs, path).unlink()
                    gone.append(path)
                except PermissionError:
                    newest.append(path)
            assert len(newest) == len({path.split("/")[0] for path in copy.files})  # it stays in any case
            for path, fd in fds.items():
                try:
                    expect(fd, copy.files[path], len(copy.files[path]) // 2, MIB, path)
                except OSError as error:
                    assert error.errno in MAY_FAIL and path in gone
        finally:
            for fd in fds.values():
                os.close(fd)
    left = {f"backups/{path}" for path in library.files if path not in gone}
    daemon.wait_until(lambda: {key for key in copy.store.keys() if key.startswith("backups/")} == left, "the objects' end")
    for path in newest:
        sequential(at(keepfs, path), copy.files[path])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_the_mount_goes_away_under_readers(new_keepfs, library, number):
    keepfs = open_library(new_keepfs, library, faults="get:10%:slow:5")
    with Readers(keepfs, {path: data for path, data in library.files.items() if len(data) > MIB}, GONE) as readers:
        for _ in range(3):
            keepfs.signal(number)
            if daemon.is_mounted(keepfs.mountpoint):
                subprocess.run(["fusermount3", "-u", "-z", keepfs.mountpoint], check=True)
            seen = len(readers.failures)
            daemon.wait_until(lambda: len(readers.failures) > seen, "readers that notice")
            keepfs.mount()
            sequential(at(keepfs, ODD_ONE), library.files[ODD_ONE])
    expect_all(keepfs, library)


def test_few_descriptors_are_enough(new_keepfs, library):
    """five hundred files are open at once, each is read"""
    keepfs = open_library(new_keepfs, library)
    path = big_one(library)
    data = library.files[path]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fds = [os.open(at(keepfs, path), os.O_RDONLY | os.O_DIRECT) for _ in range(min(500, soft - 100))]
    try:
        chance = random.Random(7)
        for fd in fds:
            expect(fd, data, chance.randrange(len(data)), 1000, path)
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("library", ["ceph"], indirect=True)
def test_seeks_in_an_s3_store(new_keepfs, library):
    keepfs = open_library(new_keepfs, library)
    chance = random.Random(8)
    for _ in range(4):
        end_readers(start_readers(keepfs, library, 30, chance), signal.SIGKILL)
    wait_until_idle(keepfs)
    seek_stress(keepfs, library, 2)
    expect_all(keepfs, library)
