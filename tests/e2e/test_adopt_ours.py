# SPDX-License-Identifier: Apache-2.0
"""What keepfs itself has put somewhere is a backup already: 'keepfs adopt' leaves it alone, wherever it lies in a place of others."""
import os

import pytest

import stores
import strict_s3
from daemon import wait_until
from test_adopt import adopt, backups, database, dumps  # noqa: F401  fixtures


@pytest.fixture
def server():
    made = strict_s3.StrictS3("aws")
    yield made
    made.stop()


@pytest.fixture
def keepfs(new_keepfs, server, tmp_path, pg, database):  # noqa: F811
    """one with a backup and its copy; the places around its store, within it, and that of the copies"""
    keepfs = new_keepfs({"full": {"database": pg.uri(database), "copies": "primary, offsite"}, "inbox legacy": {}}, store=server)
    keepfs.offsite = stores.DirStore(tmp_path / "offsite")
    removing = {"remove_adopted": "yes"}
    keepfs.sections = {"store above": {**server.settings, **removing, "url": f"s3://{strict_s3.BUCKET}"},
                       "store within": {**server.settings, **removing, "url": f"{server.settings['url']}/backups"},
                       "store offsite": {**removing, "url": keepfs.offsite.settings["url"], "keep_last": "1"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    wait_until(lambda: any(key.endswith(".dump.json") for key in keepfs.offsite.all_keys()), "the copy")
    yield keepfs
    # What is beside its store is nothing that it has left.
    with server.lock:
        for key in [key for key in server.things if not key.startswith(strict_s3.PREFIX + "/")]:
            del server.things[key]


def test_what_keepfs_has_put_there_is_left_alone(keepfs, server, dumps):  # noqa: F811
    with server.lock:
        server._store("theirs/backups/shop.dump", dumps["custom"], None)
        server._store("pre.sql.gz", dumps["plain.gz"], None)
    before = server.all_keys()
    for place, text in (("within", "[store within] is a store of keepfs, or lies in one"), (f"s3://{strict_s3.BUCKET}/pre/backups/full", "or lies in one"),
                        ("offsite", "[store offsite] is a store of keepfs")):
        refused = adopt(keepfs, place, "all=yes", check=False)
        assert refused.returncode == 1 and text in refused.stdout + refused.stderr, refused
        assert backups(keepfs) == {}, place
    said = adopt(keepfs, "above", "all=yes").stdout
    assert "pre/ is a store of keepfs" in said and "2 files (" in said, said
    # What others have in such a bucket is taken, also where they use names as keepfs does.
    found = backups(keepfs)
    assert sorted(found) == ["pre.sql.gz", "shop.dump"] and found["shop.dump"].read_bytes() == dumps["custom"]
    assert all(os.getxattr(path, "user.keepfs.adopted_from").decode().endswith(("/theirs/backups/shop.dump", "/pre.sql.gz")) for path in found.values())
    assert set(before) <= set(server.all_keys())


def test_a_store_of_another_keepfs_in_the_bucket(new_keepfs, server, dumps):  # noqa: F811
    """one that has only made exports by now, and one of which only copies are there"""
    keepfs = new_keepfs({"inbox legacy": {}})
    keepfs.sections = {"store old": {**server.settings, "url": f"s3://{strict_s3.BUCKET}"}}
    with server.lock:
        for key in ("a/catalog/20260101T000000Z-1.sqlite.zst", "a/state/lease.json", "b/adopted/x/shop.dump", "b/manifests/backups/legacy/20260101T000000Z.dump.json",
                    "b/zz/shop.dump", "c/catalog/shop.dump"):
            server._store(key, dumps["custom"], None)
    keepfs.write_conf()
    keepfs.mount()
    said = adopt(keepfs, "old", "all=yes").stdout
    assert "a/ is a store of keepfs" in said and "b/ is a store of keepfs" in said and "1 files (" in said, said
    (path,) = backups(keepfs).values()
    assert os.getxattr(path, "user.keepfs.adopted_from").decode().endswith("/c/catalog/shop.dump")


def test_two_sections_over_the_same_files(new_keepfs, server, dumps):  # noqa: F811
    """each file is adopted as one of the innermost section alone, or its removal would take it from another backup"""
    keepfs = new_keepfs({"inbox legacy": {}, "inbox other": {}})
    removing = {"remove_adopted": "yes"}
    keepfs.sections = {"store old": {**server.settings, **removing, "url": f"s3://{strict_s3.BUCKET}/dumps"},
                       "store same": {**server.settings, **removing, "url": f"s3://{strict_s3.BUCKET}/dumps/"},
                       "store year": {**server.settings, **removing, "url": f"s3://{strict_s3.BUCKET}/dumps/2024"}}
    with server.lock:
        server._store("dumps/shop.dump", dumps["custom"], None)
        server._store("dumps/2024/shop.sql", dumps["plain"], None)
    keepfs.write_conf()
    keepfs.mount()
    said = keepfs.run("adopt", "old", "--job", "legacy").stdout
    assert "1 files (" in said and "2024/shop.sql lies in [store year]" in said, said
    said = keepfs.run("adopt", "same", "--job", "other").stdout
    assert "0 files (" in said and "shop.dump lies in [store old]" in said, said
    said = keepfs.run("adopt", "year", "--job", "other").stdout
    assert "1 files (" in said, said
    assert [os.listdir(keepfs.path("backups", job)) != [] for job in ("legacy", "other")] == [True, True]


@pytest.mark.parametrize("sees_above", (True, False))
def test_a_place_within_the_store_of_another_keepfs(new_keepfs, server, dumps, tmp_path, sees_above):  # noqa: F811
    """the place has nothing that says so; what it lies in has, where that may be looked at"""
    keepfs = new_keepfs({"inbox legacy": {}})
    there = tmp_path / "theirs"
    (there / "backups/full").mkdir(parents=True)
    (there / "manifests/backups/full").mkdir(parents=True)
    (there / "manifests/backups/full/20260101T000000Z.dump.json").write_text("{}")
    (there / "backups/full/20260101T000000Z.dump").write_bytes(dumps["custom"])
    keepfs.sections = {"store bucket": {**server.settings, "url": f"s3://{strict_s3.BUCKET}/a/backups/full"},
                       "store directory": {"url": f"dir:{there}/backups/full"}}
    with server.lock:
        for key in ("a/state/lease.json", "a/backups/full/20260101T000000Z.dump"):
            server._store(key, dumps["custom"], None)
    server.allowed = lambda _method, key, query: sees_above or (key or "").startswith("a/backups/full") or query.get("prefix", "").startswith("a/backups/full")
    keepfs.write_conf()
    keepfs.mount()
    said = adopt(keepfs, "directory", check=False)
    assert said.returncode == 1 and "[store directory] is a store of keepfs, or lies in one" in said.stdout + said.stderr, said
    said = adopt(keepfs, "bucket", check=False)
    if sees_above:
        assert said.returncode == 1 and "[store bucket] is a store of keepfs, or lies in one" in said.stdout + said.stderr, said
        assert backups(keepfs) == {}
    else:
        assert said.returncode == 0 and len(backups(keepfs)) == 1, said
    server.allowed = None


def test_a_file_is_replaced_when_it_has_just_been_read(new_keepfs, server, dumps):  # noqa: F811
    """what was read and what is there are not the same: it is no backup, and with remove_adopted nothing would go but what was read"""
    keepfs = new_keepfs({"inbox legacy": {}})
    keepfs.sections = {"store old": {**server.settings, "remove_adopted": "yes"}}
    keepfs.write_conf()
    other = bytearray(dumps["plain"])
    other[100] ^= 1  # of the same size
    server.put("shop.sql", dumps["plain"])

    def replace(method, key, query):
        if method == "HEAD" and key.endswith("/shop.sql"):
            server.allowed = None
            server._store(key, bytes(other), None)
        return True

    server.allowed = replace
    keepfs.mount()
    done = adopt(keepfs, "old", check=False)
    assert server.allowed is None and done.returncode == 1 and "was changed while it was read" in done.stdout, done
    assert backups(keepfs) == {}
    adopt(keepfs, "old")
    assert backups(keepfs)["shop.sql"].read_bytes() == other
