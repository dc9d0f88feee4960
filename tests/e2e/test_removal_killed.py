# SPDX-License-Identifier: Apache-2.0
"""kill -9 while backups are removed: each is wholly there or wholly gone, the next start ends what was begun, and the audit tells each once."""
import collections
import contextlib
import datetime
import json
import os
import threading

import pytest

import handmade
from daemon import wait_until

UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
KEPT = 3


def fill(store, count, every=0, files=0):
    """{stem: the keys of its objects}, oldest first; each @every-th is a directory of @files files"""
    newest = datetime.datetime.now(UTC).replace(microsecond=0) - DAY
    made = {}
    for run in range(1, count + 1):
        stem = f"{newest - (count - run) * DAY:%Y%m%dT%H%M%SZ}"
        before = set(store.keys())
        if every and run % every == 0:
            handmade.publish(store, f"backups/full/{stem}", files={f"{n}.dat.gz": b"data" for n in range(files)}, run=run)
        else:
            handmade.publish(store, f"backups/full/{stem}.dump", b"PGDMP", {f"{stem}.tables.csv": b"schema,table,rows\n"}, run=run)
        made[stem] = set(store.keys()) - before
    return made


def stems(keepfs):
    return {name.split(".")[0] for name in keepfs.artifacts()}


def names_below(store, directory):
    """read at once: a walk through the store would meet what vanishes meanwhile"""
    path = store.root / directory / "backups/full"
    return os.listdir(path) if path.exists() else []


def in_trash(keepfs):
    return {name.split(".")[0] for name in names_below(keepfs.store, "trash")}


def removed_by_audit(keepfs):
    """how often each removal is told as done"""
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    return collections.Counter(a["object"].rsplit("/", 1)[1].split(".")[0] for a in lines
                               if a["action"] == "remove" and a["result"] == "ok")


def each_is_whole_or_gone(keepfs, made):
    """the stems of those that are gone"""
    listed, trashed, there = stems(keepfs), in_trash(keepfs), set(keepfs.store.keys())
    gone = set()
    for stem, keys in made.items():
        if stem in listed or stem in trashed:
            assert keys <= there, f"{stem} lacks {keys - there}"
            assert not (stem in listed and stem in trashed), stem
        else:
            assert not keys & there, f"{stem} is gone, but for {keys & there}"
            gone.add(stem)
    with contextlib.closing(keepfs.catalog()) as catalog:
        assert catalog.execute("SELECT count(*) FROM artifact WHERE tomb = 1 AND trashed_at_us IS NULL").fetchone() == (0,)
    assert set(list(made)[-KEPT:]) <= listed
    told = removed_by_audit(keepfs)
    assert set(told) == gone | trashed and all(times == 1 for times in told.values()), told
    return gone


@contextlib.contextmanager
def pruning(keepfs):
    """have the rules applied, and kill the daemon at the end of the block"""
    def apply():
        with contextlib.suppress(OSError):
            keepfs.ask("prune", "full apply")

    thread = threading.Thread(target=apply)
    thread.start()
    try:
        yield
    finally:
        keepfs.kill()
        thread.join()


def with_rules(new_keepfs, faults, **settings):
    keepfs = new_keepfs({"full": {"database": "postgresql:///none", "keep_last": KEPT, "keep_within": "1m", "timezone": "UTC"}},
                        policy_delay="none", **settings)
    keepfs.run("rebuild")
    keepfs.store_settings["faults"] = faults
    keepfs.write_conf()
    return keepfs


def manifests(store):
    return len(names_below(store, "manifests"))


def test_killed_again_and_again(new_keepfs, store):
    made = fill(store, 40, every=4, files=20)
    keepfs = with_rules(new_keepfs, "remove:1+:slow:2")  # so that there is a middle
    for left in (38, 33, 25, 14, 6):
        keepfs.mount()
        with pruning(keepfs):
            wait_until(lambda left=left: manifests(store) <= left, f"no more than {left} backups are there")
        assert manifests(store) >= KEPT
        del keepfs.store_settings["faults"]
        keepfs.write_conf()
        keepfs.mount()
        each_is_whole_or_gone(keepfs, made)
        keepfs.unmount()
        keepfs.store_settings["faults"] = "remove:1+:slow:2"
        keepfs.write_conf()
    keepfs.mount()
    keepfs.ask("prune", "full apply")
    assert each_is_whole_or_gone(keepfs, made) == set(list(made)[:-KEPT])
    assert stems(keepfs) == set(list(made)[-KEPT:])
    assert not [key for key in store.keys() if any(stem in key for stem in list(made)[:-KEPT])]


def test_killed_with_a_trash(new_keepfs, store):
    made = fill(store, 40, every=4, files=20)
    keepfs = with_rules(new_keepfs, "put:1+:slow:5", trash="3d")
    for count in (1, 6, 17, 30):
        keepfs.mount()
        with pruning(keepfs):
            wait_until(lambda count=count: len(in_trash(keepfs)) >= count, f"{count} backups are in the trash")
        keepfs.mount()
        assert not unmarked(keepfs)
        assert each_is_whole_or_gone(keepfs, made) == set()
        keepfs.unmount()
    keepfs.mount()
    keepfs.ask("prune", "full apply")
    assert each_is_whole_or_gone(keepfs, made) == set()
    assert stems(keepfs) == set(list(made)[-KEPT:]) and in_trash(keepfs) == set(list(made)[:-KEPT])
    first = list(made)[0]
    keepfs.ask("undelete", f"backups/full/{first}.dump")
    assert keepfs.path("backups", "full", f"{first}.dump").read_bytes() == b"PGDMP"


def unmarked(keepfs):
    with contextlib.closing(keepfs.catalog()) as catalog:
        return catalog.execute("SELECT count(*) FROM trash WHERE is_marked = 0").fetchone()[0]


@pytest.mark.parametrize("trash", ["none", "3d"])
def test_a_crash_at_named_points(new_keepfs, store, trash):
    """before the manifest goes, behind it, among many objects; by the store's own calls, so that no moment is missed"""
    made = fill(store, 13, every=1, files=90)
    calls = ("remove:1", "remove:2", "remove:3", "remove:4", "remove:60", "remove:95", "remove:150") if trash == "none" else ("put:1", "put:2", "put:4")
    keepfs = with_rules(new_keepfs, f"{calls[0]}:crash", trash=trash)
    for call in calls:
        keepfs.store_settings["faults"] = f"{call}:crash"
        keepfs.write_conf()
        keepfs.mount()
        with pruning(keepfs):
            keepfs.wait_end()
        del keepfs.store_settings["faults"]
        keepfs.write_conf()
        keepfs.mount()
        if trash != "none":
            assert not unmarked(keepfs)
        assert each_is_whole_or_gone(keepfs, made) <= set(list(made)[:-KEPT])
        keepfs.unmount()
    keepfs.mount()
    keepfs.ask("prune", "full apply")
    each_is_whole_or_gone(keepfs, made)
    assert stems(keepfs) == set(list(made)[-KEPT:])
