# SPDX-License-Identifier: Apache-2.0
"""keepfs verify and control/verify: what the store holds is what was sent, and sound in itself; what is not is marked, told, and
found right again when it is."""
import datetime
import errno
import json
import os
import re
import signal
import zlib

import pytest

import daemon
import handmade

FORMATS = {
    "custom": {},
    "stored": {"compression": "none"},
    "directory": {"format": "directory"},
    "plain": {"format": "plain"},
    "schema": {"content": "schema"},
}


def flip(store, key, at=-20):
    data = bytearray(store.get(key))
    data[at] ^= 0x40
    store.put(key, bytes(data))


def audit(keepfs):
    return [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]


def verified_at(path):
    return os.getxattr(path, "user.keepfs.verified_at").decode()


@pytest.fixture(scope="module")
def source(pg):
    """a database with what archives treat in ways of their own: large objects, an empty table, names in quotes, much and little data"""
    pg.create("proven")
    pg.sql("proven", """
        CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS code, repeat(md5(g::text), 30) AS note FROM generate_series(1, 4000) g;
        CREATE TABLE "a, ""quoted"" name" AS SELECT E'a\\\\b\\tc\\nd'::text AS v;
        CREATE TABLE empty (id int);
        SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex')), lo_from_bytea(0, ''), lo_from_bytea(0, 'x');
        """)
    yield pg
    pg.drop("proven")


def jobs_of(source, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "one").write_bytes(os.urandom(3 << 20))
    jobs = {name: {"database": source.uri("proven"), **settings} for name, settings in FORMATS.items()}
    for compression in ("none", "gzip", "zstd"):
        jobs[f"files {compression}"] = {"path": tree, "compression": compression}
    return jobs


def test_each_format_is_proven_by_its_structure(new_keepfs, source, tmp_path):
    keepfs = new_keepfs(jobs_of(source, tmp_path)).mount()
    names = [*FORMATS, "none", "gzip", "zstd"]
    for name in names:
        keepfs.backup(name)
    run = int(keepfs.ask("verify", "all").split()[0])
    keepfs.wait_run(run, condition=lambda s: s["state"] == "completed")
    log = keepfs.text("jobs", str(run), "log")
    for name in names:
        assert re.search(rf"backups/{name}/\S+ is right: level 1, ", log), log
    (row,) = [r for r in keepfs.history() if r["run"] == run]
    assert row["job"] == "verify:all" and row["kind"] == "verify" and row["targets"] == len(names)
    # level 0 says less, and costs less
    done = keepfs.run("verify", "custom", "level=0", f"{keepfs.mountpoint}/backups/plain/latest.sql.gz", "-m", keepfs.mountpoint)
    assert "completed" in done.stdout
    log = keepfs.text("jobs", str(run + 1), "log")
    assert log.count("is right: level 0") == 2 and "level 1," not in log
    assert "OK" in keepfs.text("status", "health").splitlines()[0]


def test_a_damaged_one_is_marked_and_told_and_may_be_right_again(new_keepfs, source, store):
    keepfs = new_keepfs({"full": {"database": source.uri("proven")}}).mount()
    for _ in range(2):
        keepfs.backup()
    good, bad = (f"backups/full/{name}" for name in keepfs.artifacts())
    before = verified_at(keepfs.path(good))
    whole = store.get(bad)
    flip(store, bad)
    done = keepfs.run("verify", "full", "-m", keepfs.mountpoint, check=False)
    assert done.returncode == 1
    assert f"{bad} is damaged in the store" in done.stdout + done.stderr
    run = max(r["run"] for r in keepfs.history())
    assert f"the nearest good one is {good}" in keepfs.text("jobs", str(run), "log")
    assert os.getxattr(keepfs.path(bad), "user.keepfs.state") == b"damaged"
    assert os.readlink(keepfs.path("backups/full/latest.dump")) == os.path.basename(good)
    health = keepfs.text("status", "health")
    assert health.startswith("CRIT") and bad in health and good in health
    assert verified_at(keepfs.path(good)) >= before
    assert any(a["action"] == "damaged" and a["object"] == bad for a in audit(keepfs))
    # the store has its bytes again: from a copy of its own, say
    store.put(bad, whole)
    keepfs.run("verify", bad, "-m", keepfs.mountpoint)
    assert os.getxattr(keepfs.path(bad), "user.keepfs.state") == b"completed"
    assert "damaged backup" not in keepfs.text("status", "health")
    assert os.readlink(keepfs.path("backups/full/latest.dump")) == os.path.basename(bad)


@pytest.mark.parametrize("what", ["tables", "globals", "manifest", "gone", "cut"])
def test_what_lies_beside_belongs_to_it(new_keepfs, source, store, what):
    keepfs = new_keepfs({"full": {"database": source.uri("proven")}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    stem = f"backups/full/{name.removesuffix('.dump')}"
    said = "damaged in the store"
    if what == "tables":
        flip(store, f"{stem}.tables.csv")
    elif what == "globals":
        flip(store, f"{stem}.globals.sql.gz")
    elif what == "manifest":
        store.put(f"manifests/backups/full/{name}.json", b"{")
        said = f"manifests/backups/full/{name}.json"
    elif what == "gone":
        store.remove(f"backups/full/{name}")
        said = name
    else:
        store.put(f"backups/full/{name}", store.get(f"backups/full/{name}")[:-1])
    done = keepfs.run("verify", "full", "level=0", "-m", keepfs.mountpoint, check=False)
    assert done.returncode == 1 and said in done.stdout + done.stderr, done.stdout + done.stderr
    assert "damaged backup" in keepfs.text("status", "health")
    keepfs.uploads_may_stay = True


def archive(rows, counted, compress=zlib.compress):
    """a custom archive of one table, and counts of its own"""
    def integer(n):
        return bytes([n < 0]) + abs(n).to_bytes(4, "little")

    def text(s):
        return integer(-1) if s is None else integer(len(s)) + s.encode()

    head = b"PGDMP" + bytes([1, 14, 0, 4, 8, 1]) + integer(-1) + b"".join(map(integer, (0, 0, 2, 20, 10, 126, 0)))
    head += text("proven") + text("15.18") + text("15.18") + integer(1)
    entry = integer(1) + integer(1) + text("0") + text("1") + text("t") + text("TABLE DATA") + integer(3) + text(None) + text(None)
    entry += text("COPY public.t (v) FROM stdin;\n") + text("public") + text(None) + text(None) + text("o") + text("false") + text(None)
    place = len(head) + len(entry)
    entry += bytes([2]) + (place + 9).to_bytes(8, "little")
    data = compress(rows + b"\\.\n\n\n")
    block = bytes([1]) + integer(1) + integer(len(data)) + data + integer(0)
    return head + entry + block, f"schema,table,rows,bytes,hash\npublic,t,{counted}\n".encode()


@pytest.mark.parametrize("rows, counted, said", [
    (b"a\nb\n", "2,4,0000000000000000", "public.t holds 2 rows of 4 bytes with another hash"),
    (b"a\nb\n", "3,6,0000000000000000", "public.t holds 2 rows of 4 bytes, and 3 of 6 bytes were counted"),
])
def test_rows_are_held_against_what_was_counted(new_keepfs, store, rows, counted, said):
    """every byte is what was sent, and yet it is not what it should be: that no checksum shows"""
    data, counts = archive(rows, counted)
    handmade.publish(store, "backups/full/20261120T020000Z.dump", data, {"20261120T020000Z.tables.csv": counts})
    keepfs = new_keepfs({"full": {"database": "postgresql:///none"}})
    keepfs.run("rebuild")
    done = keepfs.run("verify", "full", "level=0", check=False)
    assert done.returncode == 0, done.stderr
    done = keepfs.run("verify", "full", check=False)
    assert done.returncode == 1 and said in done.stdout + done.stderr, done.stdout + done.stderr


def objects_of(store, path):
    """{role, or key: key}"""
    return {o.get("role", o["key"]): o["key"] for o in json.loads(store.get(f"manifests/{path}.json"))["objects"]}


@pytest.mark.parametrize("compression", ["fast", "none"])
def test_rows_of_a_directory_are_held_against_what_was_counted(new_keepfs, source, store, compression):
    keepfs = new_keepfs({"full": {"database": source.uri("proven"), "format": "directory", "compression": compression}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    path = f"backups/full/{name}"
    keepfs.unmount()
    key = next(k for k in objects_of(store, path) if k.endswith("tables.csv"))
    counts = store.get(key)
    line = next(line for line in counts.splitlines() if line.startswith(b"public,orders,"))
    handmade.replace(store, path, key, counts.replace(line, line[:-1] + (b"1" if line[-1:] == b"0" else b"0")))
    keepfs.run("rebuild")
    done = keepfs.run("verify", "full", check=False)
    assert done.returncode == 1 and re.search(r"public\.orders holds 4000 rows of \d+ bytes with another hash", done.stdout + done.stderr)
    handmade.replace(store, path, key, counts)
    keepfs.run("rebuild")
    assert "completed" in keepfs.run("verify", "full").stdout


def test_a_wrong_segment_index_makes_no_backup_wrong(new_keepfs, source, store):
    """it is a help: without it, the files are read as streams"""
    keepfs = new_keepfs({"full": {"database": source.uri("proven"), "format": "directory"}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    path = f"backups/full/{name}"
    keepfs.unmount()
    key = objects_of(store, path)["segments"]
    index = store.get(key)
    records = [index[at:at + 24] for at in range(24, len(index), 24)]
    assert len(records) > 4
    wrong = {
        "offsets that are too large": [r[:8] + (1 << 40).to_bytes(8, "little") + r[16:] for r in records],
        "offsets that are none": [r[:8] + (int.from_bytes(r[8:16], "little") + 1).to_bytes(8, "little") + r[16:] for r in records],
        "backwards": records[::-1],
        "entries that do not exist": [(77777).to_bytes(4, "little") + r[4:] for r in records],
    }
    for other in wrong.values():
        handmade.replace(store, path, key, index[:24] + b"".join(other))
        keepfs.run("rebuild")
        done = keepfs.run("verify", "full")
        assert "completed" in done.stdout and "damaged -" in done.stdout


def test_what_cannot_be_decompressed(new_keepfs, store):
    data, counts = archive(b"a\n", "1,2,0000000000000000", compress=lambda raw: zlib.compress(raw)[:-3])
    handmade.publish(store, "backups/full/20261120T020000Z.dump", data, {"20261120T020000Z.tables.csv": counts})
    keepfs = new_keepfs({"full": {"database": "postgresql:///none"}})
    keepfs.run("rebuild")
    done = keepfs.run("verify", "full", check=False)
    assert done.returncode == 1 and "cannot be decompressed: it ends too early" in done.stdout + done.stderr


def test_on_a_new_host_without_a_mount(new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("proven"), "format": "directory"}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    verified = verified_at(keepfs.path("backups/full", name))
    keepfs.unmount()
    os.rename(keepfs.state, keepfs.directory / "lost")
    keepfs.run("rebuild")
    done = keepfs.run("verify", f"full/{name}")
    assert re.search(r"^state:?\s+completed", done.stdout, re.M), done.stdout
    # what was proven outlives the catalog's being made anew
    keepfs.mount()
    after = verified_at(keepfs.path("backups/full", name))
    assert after > verified or after == verified  # by the second
    keepfs.unmount()
    keepfs.run("rebuild")
    keepfs.mount()
    assert verified_at(keepfs.path("backups/full", name)) == after


@pytest.mark.parametrize("command, said", [
    ("nothing", "is neither a backup nor a directory that has any"),
    ("full level=2", "higher ones are proven by a drill"),
    ("full rate=fast", "such as 10M"),
    ("full speed=1", "allowed are level, rate, note"),
    ("level=1", "name a backup, a job, or: all"),
    ("full/latest.dump", "is neither a backup"),
])
def test_commands_that_are_none(keepfs, command, said):
    assert said in keepfs.refused("verify", command)


def test_a_slow_one_is_cancelled_and_another_of_its_job_is_refused(new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("proven"), "compression": "none"}}).mount()
    keepfs.backup()
    run = int(keepfs.ask("verify", "full rate=64K").split()[0])
    keepfs.wait_run(run, states={"running"})
    with pytest.raises(OSError) as caught:
        keepfs.write("verify", "full")
    assert caught.value.errno == errno.EBUSY
    keepfs.backup()  # a backup of the same job is another thing
    (keepfs.path("jobs", str(run), "cancel")).write_text("1\n")
    keepfs.wait_run(run, states={"cancelled"})
    assert "damaged backup" not in keepfs.text("status", "health")


def days_ago(days):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)).strftime("%Y%m%dT%H%M%SZ")


def test_what_nobody_has_read_for_long_is_read_again(new_keepfs, store):
    """the scrub: those that are due, and no others; what is wrong is found while there is another one"""
    old, bad, young = days_ago(40), days_ago(39), days_ago(2)
    for run, name in enumerate((old, bad, young), 1):
        handmade.publish(store, f"backups/full/{name}.dump", b"PGDMP" + os.urandom(100), run=run)
    flip(store, f"backups/full/{bad}.dump")
    keepfs = new_keepfs({"full": {"database": "postgresql:///none"}})
    keepfs.run("rebuild")
    keepfs.mount()
    before = {name: verified_at(keepfs.path("backups/full", f"{name}.dump")) for name in (old, bad, young)}
    late = "2 backups were not read from the store for more than 30 days"
    # the harness has switched it off; what a user has
    keepfs.store_settings["scrub_within"] = "30d"
    keepfs.write_conf()
    (pid,) = keepfs.daemons()
    os.kill(pid, signal.SIGHUP)
    daemon.wait_until(lambda: verified_at(keepfs.path("backups/full", f"{old}.dump")) != before[old], "the scrub reads the oldest one")
    daemon.wait_until(lambda: "damaged backup" in keepfs.text("status", "health"), "what is damaged is told")
    health = keepfs.text("status", "health")
    assert late not in health and f"the next good one is backups/full/{old}.dump" in health
    assert verified_at(keepfs.path("backups/full", f"{young}.dump")) == before[young]
    damaged = lambda: [a["object"] for a in audit(keepfs) if a["action"] == "damaged"]  # written behind the mark
    daemon.wait_until(damaged, "the audit tells it")
    assert damaged() == [f"backups/full/{bad}.dump"]
    assert keepfs.history() == [] or all(r["kind"] != "verify" for r in keepfs.history())
