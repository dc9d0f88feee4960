# SPDX-License-Identifier: Apache-2.0
"""States of mirrors in further stores: copied with the packs that they need, kept with them, read and brought back from there alone."""
import errno
import json
import os
import shutil
import subprocess

import pytest

import stores
import test_encrypt
from daemon import wait_until
from test_mirror import contents, foreign, packs, states  # noqa: F401 a fixture

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def offsite(tmp_path):
    return stores.DirStore(tmp_path / "offsite")


@pytest.fixture
def copied(new_keepfs, foreign, offsite):
    """the mirror docs has copies in the store offsite"""
    def make(**section):
        keepfs = new_keepfs({"mirror docs": foreign.section(copies="primary, offsite", **section)})
        keepfs.sections = {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s", "keep_last": "1", "keep_within": "none"}}
        keepfs.write_conf()
        return keepfs

    return make


def rows(keepfs):
    return {one["path"]: one for one in map(json.loads, keepfs.run("replicate", "--list", "--json").stdout.splitlines())}


def copy_states(keepfs):
    return {path: one["state"] for path, one in rows(keepfs).items()}


def wait_copied(keepfs, offsite, *paths):
    wait_until(lambda: all(copy_states(keepfs).get(path) == "whole" for path in paths), lambda: (keepfs.text("status", "replicas"), offsite.keys()))


def fill(foreign, count=10, size=50 * KIB, first=0):
    for i in range(first, first + count):
        foreign.put(f"f{i:03}", os.urandom(size))


def mirror(keepfs):
    run = keepfs.backup("docs")
    return keepfs.history(run["run"]) and states(keepfs.store)[-1]


def same_packs(keepfs, offsite):
    return {key: keepfs.store.get(key) for key in packs(keepfs.store)} == {key: offsite.get(key) for key in packs(offsite)}


def files_of(top):
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file() and path.name != "SHA256SUMS"}


def test_a_state_is_copied_with_its_packs(copied, offsite, foreign):
    fill(foreign)
    keepfs = copied().mount()
    first = mirror(keepfs)
    wait_copied(keepfs, offsite, first)
    assert contents(offsite, first) == foreign.objects and same_packs(keepfs, offsite)
    before = {key: os.stat(offsite.root / key).st_mtime_ns for key in packs(offsite)}
    fill(foreign, 3)
    second = mirror(keepfs)
    wait_copied(keepfs, offsite, second)
    assert contents(offsite, second) == foreign.objects and same_packs(keepfs, offsite)
    # Each pack once.
    assert {key: os.stat(offsite.root / key).st_mtime_ns for key in before} == before
    # What is there is right, packs and all; and it is not any more when a pack is not.
    keepfs.run("replicate", first, "verify=yes", "--wait")
    victim = packs(offsite)[0]
    data = bytearray(offsite.get(victim))
    data[1500] ^= 1
    offsite.put(victim, bytes(data))
    said = keepfs.run("replicate", first, "verify=yes", "--wait", check=False)
    assert said.returncode != 0
    # It is made again, and what needs it is whole again then.
    wait_until(lambda: offsite.get(victim) == keepfs.store.get(victim), lambda: keepfs.text("status", "replicas"))
    wait_copied(keepfs, offsite, first, second)


def test_packs_go_from_both_stores(copied, offsite, foreign, clocks):
    """one that no state needs goes here, and stays there as long as a copy there needs it"""
    keepfs = copied(keep_last=1, keep_within="none")
    keepfs.sections["store offsite"].update(keep_last="2")
    keepfs.write_conf()
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    made = []
    for _ in range(2):
        fill(foreign)
        made.append(mirror(keepfs))
        wait_copied(keepfs, offsite, made[-1])
        clocks.pass_time(3600)
    old, new = packs(offsite)
    wait_until(lambda: packs(keepfs.store) == [new], "the pack that nothing needs here is removed")
    assert states(keepfs.store) == [made[1]]
    wait_until(lambda: copy_states(keepfs)[made[0]] == "removed", lambda: keepfs.text("status", "replicas"))
    clocks.pass_time(2 * 86400)
    fill(foreign)
    made.append(mirror(keepfs))
    wait_copied(keepfs, offsite, made[2])
    clocks.pass_time(2 * 86400)
    # Three states were copied there, and two are kept.
    wait_until(lambda: old not in packs(offsite), lambda: (packs(offsite), keepfs.text("status", "replicas"), (keepfs.state / "keepfs.log").read_text()))
    assert states(offsite) == made[1:] and new in packs(offsite)
    wait_until(lambda: any(line["action"] == "remove-copy" and line["object"] == old and "no copy in that store needs it" in line["detail"]
                           for line in map(json.loads, keepfs.text("status", "audit.jsonl").splitlines())), lambda: keepfs.text("status", "audit.jsonl"))


def test_a_state_is_brought_back_with_its_packs(copied, offsite, foreign, clocks):
    keepfs = copied(keep_last=1, keep_within="none")
    keepfs.sections["store offsite"].update(keep_last="5")
    keepfs.write_conf()
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    fill(foreign)
    first = mirror(keepfs)
    expected = dict(foreign.objects)
    wait_copied(keepfs, offsite, first)
    fill(foreign)
    mirror(keepfs)
    clocks.pass_time(7200)
    wait_until(lambda: len(packs(keepfs.store)) == 1, "the first pack is removed here")
    # A catalog that has the copy, and not yet what it says: it would seem to need no packs.
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        for table in ("copy_tree", "copy_need"):
            assert catalog.execute(f"DELETE FROM {table} WHERE path = ?", (first,)).rowcount > 0
    keepfs.mount()
    keepfs.run("replicate", first, "from=offsite", "--wait")
    assert contents(keepfs.store, first) == expected
    assert files_of(keepfs.path(*first.split("/"))) == expected
    keepfs.run("verify", first)
    # What is damaged here is made anew from there.
    victim = packs(keepfs.store)[0]
    keepfs.store.put(victim, b"x" * len(keepfs.store.get(victim)))
    assert keepfs.run("verify", first, check=False).returncode != 0
    keepfs.run("replicate", first, "from=offsite", "repair=yes", "--wait")
    keepfs.run("verify", first)


@pytest.mark.parametrize("encrypted", [False, True])
def test_copies_show_its_files(copied, offsite, foreign, tmp_path, encrypted):
    """as files that are read from there alone, packs and all"""
    fill(foreign)
    foreign.put("a//b", b"1")
    foreign.put("below/it", os.urandom(3 * MIB))
    keepfs = copied()
    if encrypted:
        identity = test_encrypt.Identity(tmp_path / "identity")
        keepfs.settings.update(encrypt_to=identity.recipient, identity_file=identity.path)
        keepfs.write_conf()
    keepfs.mount()
    first = mirror(keepfs)
    wait_copied(keepfs, offsite, first)
    here, there = keepfs.path(*first.split("/")), keepfs.path("copies", "offsite", *first.split("/"))
    expected = files_of(here)
    assert len(expected) == 12
    saved = {key: keepfs.store.get(key) for key in keepfs.store.keys() if "packs/" in key or first in key}
    for key in saved:
        keepfs.store.remove(key)
    assert files_of(there) == expected
    assert (there / "SHA256SUMS").read_bytes() and subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=there).returncode == 0
    assert sorted(os.listdir(keepfs.path("copies", "offsite"))) == ["backups"]
    assert os.getxattr(there / "f001", "user.keepfs.sha256") == os.getxattr(here / "f001", "user.keepfs.sha256")
    assert os.getxattr(there / "f001", "user.keepfs.state") == b"completed"
    with pytest.raises(OSError) as refused:
        (there / "f001").unlink()
    assert refused.value.errno in (errno.EPERM, errno.EROFS)
    numbers = {name: os.stat(there / name).st_ino for name in expected}
    keepfs.unmount()
    keepfs.mount()
    assert {name: os.stat(there / name).st_ino for name in expected} == numbers
    for key, data in saved.items():
        keepfs.store.put(key, data)
    # What is damaged there is EIO, and is made again, with what needs it.
    victim = packs(offsite)[0]
    data = offsite.get(victim)
    offsite.put(victim, b"x" * len(data))
    keepfs.unmount()
    keepfs.mount()
    with pytest.raises(OSError) as failed:
        files_of(there)
    assert failed.value.errno == errno.EIO
    wait_until(lambda: offsite.get(victim) == data, lambda: keepfs.text("status", "replicas"))
    wait_copied(keepfs, offsite, first)
    assert files_of(there) == expected


def test_the_first_store_is_lost(copied, new_keepfs, offsite, foreign, tmp_path):
    """states and packs are found by a rebuild, read, and built upon"""
    fill(foreign)
    keepfs = copied().mount()
    first = mirror(keepfs)
    expected = dict(foreign.objects)
    fill(foreign, 3)
    second = mirror(keepfs)
    wait_copied(keepfs, offsite, first, second)
    keepfs.unmount()
    for one in keepfs.store.all_keys():
        keepfs.store.remove(one)
    shutil.rmtree(keepfs.state)
    again = new_keepfs({"mirror docs": foreign.section()}, store=offsite, directory=tmp_path / "again")
    said = again.run("rebuild", "--moved").stdout
    assert "4 backups" in said or "2 backups" in said, said
    again.mount()
    assert files_of(again.path(*first.split("/"))) == expected
    assert files_of(again.path(*second.split("/"))) == foreign.objects
    again.run("verify", "all")
    before = packs(offsite)
    third = again.backup("docs")
    assert third and packs(offsite) == before and contents(offsite, states(offsite)[-1]) == foreign.objects


def test_the_second_store_is_away(copied, offsite, foreign):
    """what was made meanwhile is copied when it is back; and reads go on from there when the first one has lost a pack"""
    fill(foreign)
    keepfs = copied()
    (offsite.root.parent / "elsewhere").write_text("no directory")
    keepfs.sections["store offsite"]["url"] = f"dir:{offsite.root.parent}/elsewhere/x"
    keepfs.write_conf()
    keepfs.mount()
    first = mirror(keepfs)
    wait_until(lambda: copy_states(keepfs).get(first) == "wanted" and "copies in offsite wait" in (keepfs.state / "keepfs.log").read_text(), lambda: (keepfs.text("status", "replicas"), (keepfs.state / "keepfs.log").read_text()))
    assert not any(state == "whole" for state in copy_states(keepfs).values())
    (offsite.root.parent / "elsewhere").unlink()
    (offsite.root.parent / "elsewhere" / "x").mkdir(parents=True)
    keepfs.run("replicate", first, "--wait")
    wait_until(lambda: copy_states(keepfs)[first] == "whole", lambda: keepfs.text("status", "replicas"))
    (victim,) = packs(keepfs.store)
    data = keepfs.store.get(victim)
    keepfs.store.remove(victim)
    assert files_of(keepfs.path(*first.split("/"))) == foreign.objects
    keepfs.store.put(victim, data)


def test_kill_between_packs_and_state(copied, offsite, foreign):
    """what was copied is not copied again, and a state without all its packs is not there"""
    for i in range(6):
        foreign.put(f"large-{i}", os.urandom(17 * MIB))
    keepfs = copied()
    keepfs.sections["store offsite"]["rate"] = "30M/s"
    keepfs.write_conf()
    keepfs.mount()
    first = mirror(keepfs)
    wait_until(lambda: len([key for key in offsite.keys() if key.startswith("manifests/packs/") and key.endswith(".json")]) >= 2, "two packs are copied")
    keepfs.kill()
    there = {key: os.stat(offsite.root / key).st_mtime_ns for key in packs(offsite) if f"manifests/{key}.json" in offsite.keys()}
    assert there and len(there) < 6 and not states(offsite)
    keepfs.sections["store offsite"].pop("rate")
    keepfs.write_conf()
    keepfs.mount()
    wait_copied(keepfs, offsite, first)
    assert {key: os.stat(offsite.root / key).st_mtime_ns for key in there} == there
    assert contents(offsite, first) == foreign.objects and same_packs(keepfs, offsite)


def test_a_bundle_with_a_mirror(new_keepfs, offsite, foreign, tmp_path):
    """what is copied of it, shown in copies/ and brought back from there has the packs of its mirror, too"""
    fill(foreign)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "site.conf").write_text("port = 1\n")
    keepfs = new_keepfs({"mirror docs": foreign.section(), "files config": {"path": tmp_path / "etc"}, "bundle site": {"parts": "config, docs", "copies": "primary, offsite"}})
    keepfs.sections = {"store offsite": {"url": offsite.settings["url"]}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("site")
    (path,) = [key.removeprefix("manifests/").removesuffix(".json") for key in keepfs.store.keys() if key.startswith("manifests/backups/site/") and key.endswith(".json")]
    wait_copied(keepfs, offsite, path)
    assert same_packs(keepfs, offsite) and len(packs(offsite)) == 1
    here, there = keepfs.path(*path.split("/")), keepfs.path("copies", "offsite", *path.split("/"))
    expected = files_of(here)
    assert {f"docs/{key}" for key in foreign.objects} < set(expected)
    assert files_of(there) == expected
    keepfs.run("verify", f"copies/offsite/{path.removeprefix('backups/')}")
    keepfs.backup("site")
    here.rmdir()
    wait_until(lambda: copy_states(keepfs)[path] == "removed", lambda: keepfs.text("status", "replicas"))
    keepfs.run("replicate", path, "from=offsite", "--wait")
    assert files_of(here) == expected
