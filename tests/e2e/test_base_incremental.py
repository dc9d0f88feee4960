# SPDX-License-Identifier: Apache-2.0
"""Base backups that store what has changed: each is whole, whatever becomes of those whose packs it needs."""
import json
import os
import random
import subprocess
import sys

import pytest

import postgres
import stores
import test_base
import test_base_tree
import test_encrypt
from daemon import wait_until
from test_base import JOB
from test_object_lock import locked  # noqa: F401 a fixture

make_cluster, open_place, cluster = test_base.make_cluster, test_base.open_place, test_base.cluster
PAGE = 8192


def bases(cluster):
    top = cluster.keepfs.path("backups", JOB)
    return sorted((top / name for name in os.listdir(top) if name[:1].isdigit()), key=lambda path: path.name.ljust(40, "-"))


def files_of(top):
    return {str(p.relative_to(top)): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


def pages_that_differ(before, after):
    """bytes of the files of @after that are not in the same page of those of @before"""
    total = 0
    for name, data in after.items():
        old = before.get(name, b"")
        total += sum(len(data[at:at + PAGE]) for at in range(0, len(data), PAGE) if data[at:at + PAGE] != old[at:at + PAGE] or name not in before)
    return total


def update(cluster, count, seed=1, database="bench"):
    rows = int(cluster.server.sql(database, "SELECT count(*) FROM pgbench_accounts"))
    picked = random.Random(seed).sample(range(1, rows + 1), count)
    cluster.server.sql(database, f"UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid IN ({','.join(map(str, picked))})")


def remove(base):
    try:
        os.rmdir(base)
    except OSError as error:
        raise AssertionError((base.parents[2] / "status" / "last-error").read_text()) from error


def manifests(cluster):
    """of all bases, in the order of their runs"""
    return sorted((json.loads(path.read_text()) for path in cluster.manifests()), key=lambda m: m["run"])


def needed(cluster):
    """paths of packs that manifests name"""
    paths = set()
    for m in manifests(cluster):
        for directory, ranges in m["needs"].items():
            for part in ranges.split(","):
                first, _, last = part.partition("-")
                paths |= {f"{directory}/{number:05}.tar.zst" for number in range(int(first), int(last or first) + 1)}
    return paths


def wait_for_collection(cluster):
    """packs that nothing needs go, and all others stay"""
    root = cluster.keepfs.store.root
    wait_until(lambda: {str(path.relative_to(root)) for path in cluster.packs()} == needed(cluster), "packs that nothing needs to be removed")


def checked(cluster, base):
    """its files, which are those that its own backup_manifest promises"""
    cluster.server.tool("pg_verifybackup", "-n", base)
    return files_of(base)


def test_only_pages_that_changed_are_stored(cluster, tmp_path):
    cluster.fill(scale=4)
    cluster.backup()
    # Hint bits and the like are written before, so that what changes is what the test changes.
    cluster.server.sql("bench", "VACUUM (FREEZE) pgbench_accounts")
    cluster.backup()
    first = bases(cluster)[-1]
    before = checked(cluster, first)
    update(cluster, 300)
    run = cluster.backup()
    m = cluster.manifest()
    assert m["facts"]["parent"] == f"backups/{JOB}/{first.name}" and f"are as in backups/{JOB}/{first.name}" in cluster.log(run)
    second = bases(cluster)[-1]
    after = checked(cluster, second)
    changed = pages_that_differ(before, after)
    assert 300 * PAGE < changed < sum(map(len, after.values())) / 4
    assert m["facts"]["new_bytes"] <= 1.3 * changed
    assert len(m["needs"]) > 1
    # The page sums are there, and of the length that the files have.
    sums = next(one for one in m["objects"] if one.get("role") == "page-sums")
    assert (cluster.keepfs.store.root / sums["key"]).stat().st_size == 40 + sum(12 * -(-len(data) // PAGE) for data in after.values())
    assert f"{second.name} is right: level 1" in test_base_tree.verify(cluster.keepfs, f"{JOB}/{second.name}")
    # What it is to keepfs, it is to a server.
    cluster.check_it_starts(test_base_tree.copy_of(second, tmp_path / "data"))
    data = tmp_path / "restored"
    cluster.keepfs.run("restore", f"{JOB}/{second.name}", data, *(["owner=postgres"] if os.geteuid() == 0 else []))
    assert {name: text for name, text in files_of(data).items() if name in after and not name.startswith("postgresql.auto")} == {
        name: text for name, text in after.items() if not name.startswith("postgresql.auto")}
    # The one that it was made from goes, and takes nothing with it.
    for base in bases(cluster)[:-1]:
        remove(base)
    assert bases(cluster) == [second] and files_of(second) == after
    wait_for_collection(cluster)
    assert len(m["needs"]) == 3 and files_of(second) == after


def test_a_pack_that_is_gone(cluster):
    """it is noticed before the next base is listed, and that one has everything"""
    cluster.fill()
    cluster.backup()
    [gone] = cluster.packs()
    data = gone.read_bytes()
    gone.unlink()
    run = cluster.backup()
    said = cluster.log(run)
    assert f"the store does not have the pack {gone.parent.name}/00001" in said and "is made once more, and stores everything" in said
    second = manifests(cluster)[-1]
    assert len(second["needs"]) == 1 and f"packs/{JOB}/{gone.parent.name}" not in second["needs"] and "parent" not in second["facts"]
    assert len(cluster.packs()) == 1  # what was stored first is not there any more
    checked(cluster, cluster.keepfs.path(second["path"]))
    gone.write_bytes(data)


@pytest.mark.parametrize("role", ["page-sums", "listing"])
def test_a_base_before_that_cannot_be_read(cluster, role):
    cluster.fill()
    cluster.backup()
    [damaged] = [one["key"] for one in cluster.manifest()["objects"] if one.get("role") == role]
    path = cluster.keepfs.store.root / damaged
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    cluster.keepfs.remount()
    run = cluster.backup()
    assert "everything is stored, since backups/" in cluster.log(run) and "cannot be built upon" in cluster.log(run)
    assert [len(m["needs"]) for m in manifests(cluster)] == [1, 1]
    checked(cluster, bases(cluster)[-1])


def test_it_can_be_told_to_store_everything(make_cluster):
    cluster = make_cluster(incremental="off")
    cluster.fill()
    for command, packs in ((JOB, 1), (JOB, 1), (f"{JOB} incremental=compare", 2), (f"{JOB} incremental=auto", None), (f"{JOB} incremental=off", 1)):
        run = cluster.backup(command)
        [made] = [m for m in manifests(cluster) if m["run"] == int(run)]
        assert packs is None or len(made["needs"]) == packs, command
        assert ("parent" in made["facts"]) == (packs != 1)


def test_what_is_encrypted(make_cluster, tmp_path):
    """who cannot decrypt the page sums stores everything, and a base that is encrypted needs nothing that is not"""
    identity = test_encrypt.Identity(tmp_path / "identity")
    cluster = make_cluster()
    cluster.fill()
    cluster.backup()
    test_base_tree.with_settings(cluster, encrypt_to=identity.recipient, identity_file=identity.path)
    cluster.backup()
    cluster.backup()
    first, second, third = (m["needs"] for m in manifests(cluster))
    assert not set(first) & set(second) and set(second) < set(third)
    assert all(one["key"].endswith(".age") for one in manifests(cluster)[-1]["objects"])
    checked(cluster, bases(cluster)[-1])
    del cluster.keepfs.settings["identity_file"]
    test_base_tree.with_settings(cluster)
    run = cluster.backup()
    assert "cannot be built upon" in cluster.log(run) and len(manifests(cluster)[-1]["needs"]) == 1


def test_a_copy_has_what_it_needs(make_cluster, tmp_path):
    """in a further store, and read from there when the first one has lost its packs"""
    offsite = stores.DirStore(tmp_path / "offsite")
    cluster = make_cluster()
    cluster.keepfs.jobs[f"cluster {JOB}"]["copies"] = "primary, offsite"
    keepfs = test_base_tree.with_settings(cluster, {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}})
    cluster.fill()
    cluster.backup()
    cluster.backup()
    base = bases(cluster)[-1]
    assert len(manifests(cluster)[-1]["needs"]) == 2
    there = keepfs.path("copies", "offsite", "backups", JOB, base.name)
    wait_until(lambda: there.is_dir() and keepfs.run("replicate", "--list", "--json").stdout.count('"whole"') >= len(cluster.packs()) + 2, "the copy is whole")
    expected = checked(cluster, base)
    saved = {pack: pack.read_bytes() for pack in cluster.packs()}
    for pack in saved:
        pack.unlink()
    assert checked(cluster, there) == expected
    for pack, data in saved.items():
        pack.write_bytes(data)


def test_one_in_the_trash_keeps_what_it_needs(cluster):
    test_base_tree.with_settings(cluster, trash="1d")
    cluster.fill()
    cluster.backup()
    update(cluster, 100)
    cluster.backup()
    cluster.backup(f"{JOB} incremental=off")
    first, second, _ = (cluster.keepfs.path(m["path"]) for m in manifests(cluster))
    expected, packs = checked(cluster, second), cluster.packs()
    remove(first)
    remove(second)
    cluster.keepfs.remount()
    assert cluster.packs() == packs
    cluster.keepfs.run("undelete", f"{JOB}/{second.name}")
    assert checked(cluster, second) == expected
    cluster.keepfs.verify_store()


def test_packs_are_locked_as_long_as_the_bases_that_need_them(locked, new_keepfs, open_place):  # noqa: F811
    store, server = locked(), postgres.Postgres(test_base.ARCHIVING)
    try:
        rules = {"wal": "archive", "database": server.uri("postgres"), "keep_daily": 3, "keep_within": "none", "keep_last": 1, "timezone": "UTC"}
        keepfs = new_keepfs({f"cluster {JOB}": rules}, store=store, directory=open_place)
        keepfs.store_settings.update(object_lock="governance")
        if os.geteuid() == 0:
            keepfs.settings |= {"owner": "postgres", "allow_other": "yes"}
        keepfs.write_conf()
        keepfs.mount()
        server.set(f"archive_command = 'cp %p {keepfs.path('wal', JOB)}/%f'\n")
        server.sql("postgres", "SELECT pg_reload_conf()")
        cluster = test_base.Cluster(keepfs, server)

        def until(part):
            """of what is below that: when the first lock ends"""
            return min(store.lock_of(key)[1] for key, _ in store.versions() if f"{part}" in key)

        cluster.fill()
        cluster.backup()
        [first] = [base.name for base in bases(cluster)]
        pack = f"packs/{JOB}/{first}/00001"
        wait_until(lambda: until(pack) >= until(f"manifests/backups/{JOB}/{first}"), "the pack to be locked as its base is")
        before = until(pack)
        cluster.backup(f"{JOB} keep=20d")
        wait_until(lambda: until(pack) > before, "what the second base needs of the first one to be locked for longer")
        [second] = {base.name for base in bases(cluster)} - {first}
        wait_until(lambda: until(pack) >= until(f"manifests/backups/{JOB}/{second}"), "the pack to be locked as the second base is")
        keepfs.unmount()
    finally:
        server.remove()


def rebuilt(cluster, tmp_path, m):
    """by the program that is in the store, out of the objects alone"""
    root = cluster.keepfs.store.root
    program = root / "recovery" / "rebuild-1.py"
    listing = next(one["key"] for one in m["objects"] if one.get("role") == "listing")
    identity = ["--identity", cluster.keepfs.settings["identity_file"]] if listing.endswith(".age") else []
    data = tmp_path / f"rebuilt-{m['run']}"
    subprocess.run([sys.executable, program, *identity, root / listing, root / "packs" / JOB, data], check=True)
    return data


@pytest.mark.parametrize("encrypted", [False, True])
def test_rebuilt_without_keepfs(make_cluster, tmp_path, encrypted):
    cluster = make_cluster()
    if encrypted:
        identity = test_encrypt.Identity(tmp_path / "identity")
        test_base_tree.with_settings(cluster, encrypt_to=identity.recipient, identity_file=identity.path)
    cluster.fill()
    cluster.backup()
    update(cluster, 200)
    cluster.server.sql("postgres", 'CREATE DATABASE "other one"')
    cluster.backup()
    full, incremental = manifests(cluster)
    assert len(full["needs"]) == 1 and len(incremental["needs"]) == 2
    for m in (full, incremental):
        data = rebuilt(cluster, tmp_path, m)
        shown = cluster.keepfs.path(m["path"])
        assert set(test_base_tree.tree_of(data)) == set(test_base_tree.tree_of(shown)) and checked(cluster, data) == checked(cluster, shown)
        assert {oct(path.stat().st_mode & 0o7777) for path in data.rglob("*")} == {"0o600", "0o700"}
    cluster.check_it_starts(data)


def test_rebuilding_what_is_damaged_is_refused(cluster, tmp_path):
    cluster.fill()
    cluster.backup()
    root = cluster.keepfs.store.root
    listing = root / next(one["key"] for one in cluster.manifest()["objects"] if one.get("role") == "listing")
    text = subprocess.run(["zstd", "-dcq", listing], check=True, stdout=subprocess.PIPE).stdout

    def refused(data, packs, why):
        wrong = tmp_path / "listing.zst"
        wrong.write_bytes(subprocess.run(["zstd", "-cq"], input=data, check=True, stdout=subprocess.PIPE).stdout)
        target = tmp_path / f"target-{len(list(tmp_path.iterdir()))}"
        done = subprocess.run([sys.executable, root / "recovery" / "rebuild-1.py", wrong, packs, target], stderr=subprocess.PIPE, text=True)
        assert done.returncode != 0 and why in done.stderr, done.stderr

    refused(text[:-30], root / "packs" / JOB, "cut off")
    refused(text.replace(b"keepfs-base", b"keepfs-mirror", 1), root / "packs" / JOB, "no listing of a base")
    refused(text.replace(b'"PG_VERSION"', b'"%2E%2E/PG_VERSION"', 1), root / "packs" / JOB, "outside of the data directory")
    refused(text, tmp_path, "get it from the store")


SCHEDULE_SEED, STEPS = 20261120, 10


def test_whatever_comes(make_cluster):
    """bases, changes, removals, holds and deaths, in an order drawn by lot: what is listed is whole at any time, and nothing else stays in the end"""
    draw = random.Random(SCHEDULE_SEED)
    cluster = make_cluster()
    cluster.fill()
    whole, held = {}, set()

    def make_base():
        cluster.backup(draw.choice([JOB, JOB, JOB, f"{JOB} incremental=off"]))
        base = next(base for base in bases(cluster) if base.name not in whole)
        whole[base.name] = checked(cluster, base)

    def change():
        step = draw.randrange(4)
        if step == 0:
            update(cluster, 200, seed=draw.random())
        elif step == 1:
            cluster.server.sql("bench", "TRUNCATE pgbench_history")
            cluster.server.sql("bench", "INSERT INTO pgbench_history SELECT n, n, n, n, now(), 'x' FROM generate_series(1, 30000) n")
        elif step == 2:
            cluster.server.sql("bench", "DROP TABLE IF EXISTS once; CREATE TABLE once AS SELECT n, md5(n::text) FROM generate_series(1, 20000) n")
        else:
            cluster.server.sql("bench", "VACUUM FULL pgbench_branches; DELETE FROM pgbench_accounts WHERE aid % 1000 = 7; VACUUM pgbench_accounts")

    def remove_one():
        newest = manifests(cluster)[-1]["path"].split("/")[-1]  # which nobody may remove
        free = [base for base in bases(cluster) if base.name not in held | {newest}]
        if free:
            picked = draw.choice(free)
            remove(picked)
            del whole[picked.name]

    def hold_one():
        picked = draw.choice(bases(cluster))
        cluster.keepfs.ask("hold", f"backups/{JOB}/{picked.name} on reason='the test says so'")
        held.add(picked.name)

    def die():
        change()
        with cluster.slow_backup("8M/s"):
            cluster.keepfs.kill()
        cluster.keepfs.mount()

    make_base()
    for step in [draw.choice([make_base, make_base, change, change, remove_one, remove_one, hold_one, die]) for _ in range(STEPS)]:
        step()
        assert {base.name for base in bases(cluster)} == set(whole)
        picked = draw.choice(sorted(whole))
        assert files_of(cluster.keepfs.path("backups", JOB, picked)) == whole[picked], picked
    make_base()
    remove_one()
    wait_for_collection(cluster)
    for name, expected in whole.items():
        assert checked(cluster, cluster.keepfs.path("backups", JOB, name)) == expected, name
    cluster.keepfs.verify_store()
