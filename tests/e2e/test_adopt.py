# SPDX-License-Identifier: Apache-2.0
"""keepfs adopt: dumps that others have made become backups where they lie. B1 C1 D5"""
import csv
import errno
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import daemon
import stores

DATABASE = "adopt_sample"
#: awkward names as cron jobs make them, and in which format each is
NAMES = {"shop 2024-01-05.dump": "custom", "täglich/shop+5%.sql": "plain", "nightly/2024-01-06_0230/shop.sql.gz": "plain.gz",
         "pg=dump&x=1.tar": "tar", "cluster/all-20240107.sql.gz": "all.gz"}


@pytest.fixture(scope="module")
def database(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE item (id int PRIMARY KEY, note text); "
                     "INSERT INTO item SELECT n, md5(n::text) FROM generate_series(1, 30000) n; SELECT lo_from_bytea(4712, 'large object')")
    yield DATABASE
    pg.drop(DATABASE)


@pytest.fixture(scope="module")
def dumps(pg, database, tmp_path_factory):
    """the bytes of a dump in each format, as cron jobs make them"""
    def made(*command):
        return subprocess.run([str(pg.bindir / command[0]), *command[1:], "-d", pg.uri(database)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout

    directory = tmp_path_factory.mktemp("dumps") / "fd"
    subprocess.run([str(pg.bindir / "pg_dump"), "-Fd", "-f", str(directory), "-d", pg.uri(database)], check=True)
    plain, cluster = made("pg_dump", "-Fp"), made("pg_dumpall")
    return {"custom": made("pg_dump", "-Fc"), "plain": plain, "plain.gz": gzip.compress(plain, 1), "tar": made("pg_dump", "-Ft"),
            "all.gz": gzip.compress(cluster, 1), "directory": directory}


class Place:
    """where others put their files"""

    def __init__(self, store, dumps):
        self.store = store
        for name, kind in NAMES.items():
            store.put(name, dumps[kind])

    @property
    def url(self):
        return self.store.settings["url"]


@pytest.fixture(params=["dir", "ceph"])
def place(request, dumps, tmp_path, s3_servers):
    if request.param == "dir":
        store = stores.DirStore(tmp_path / "old dumps")
    else:
        store = stores.S3Store(s3_servers("ceph"), f"old-dumps/{os.getpid()}")
    yield Place(store, dumps)
    store.clear()


@pytest.fixture
def dumps_there(dumps, tmp_path):
    """the same in a directory, for what is alike everywhere"""
    return Place(stores.DirStore(tmp_path / "dumps"), dumps)


def set_up(new_keepfs, place, job=None, store=None, settings=None, **more):
    keepfs = new_keepfs({"inbox legacy": job or {}}, **(settings or {}))
    keepfs.sections = {"store old": {**place.store.settings, "retry_deadline": "1s", **(store or {})}, **more}
    keepfs.write_conf()
    return keepfs.mount()


def adopt(keepfs, url, *more, check=True):
    done = keepfs.run("adopt", url, "--job", "legacy", *more, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def backups(keepfs):
    """original name -> path in the mount"""
    directory = keepfs.path("backups", "legacy")
    names = [n for n in os.listdir(directory) if not n.startswith(("SHA256SUMS", "latest")) and not n.endswith(".tables.csv")]
    return {fact(directory / n, "original_name"): directory / n for n in names}


def fact(path, name):
    return os.getxattr(path, f"user.keepfs.{name}").decode()


def base(name):
    return name.rsplit("/", 1)[-1]


def unchanged(place, dumps):
    for name, kind in NAMES.items():
        assert place.store.get(name) == dumps[kind], name


def completed(keepfs, name, command):
    run = keepfs.wait_run(int(keepfs.ask(name, command).split()[0]))
    assert run["state"] == "completed", run


def test_dumps_of_cron_jobs_become_backups_where_they_lie(new_keepfs, place, pg, dumps, scratch):
    keepfs = set_up(new_keepfs, place)
    before = place.store.all_keys()
    planned = adopt(keepfs, place.url, "--plan").stdout
    assert all(name in planned for name in NAMES) and "5 files" in planned and "would become backups" in planned
    assert backups(keepfs) == {}
    said = adopt(keepfs, place.url).stdout
    assert "5 files" in said and "became backups" in said
    found = backups(keepfs)
    assert sorted(found) == sorted(base(name) for name in NAMES)
    for name, kind in NAMES.items():
        path = found[base(name)]
        assert path.read_bytes() == dumps[kind], name
        assert fact(path, "adopted_from").endswith(f"/{name}") and fact(path, "job") == "legacy"
        assert fact(path, "sha256") == hashlib.sha256(dumps[kind]).hexdigest()
    assert {base(n): fact(found[base(n)], "kind") for n in NAMES} == {"shop 2024-01-05.dump": "dump", "shop+5%.sql": "dump", "shop.sql.gz": "dump",
                                                                     "pg=dump&x=1.tar": "files", "all-20240107.sql.gz": "dump"}
    assert found["all-20240107.sql.gz"].name == "20240107T000000Z.sql.gz" and found["shop.sql.gz"].name == "20240106T023000Z.sql.gz"
    assert fact(found["shop 2024-01-05.dump"], "dated_by") == "content" and fact(found["shop+5%.sql"], "dated_by") == "modified"
    # Nothing was written there, and nothing of it is in our store.
    assert place.store.all_keys() == before
    unchanged(place, dumps)
    assert [key for key in keepfs.store.keys() if key.startswith("backups/") and not key.endswith(".tables.csv")] == []
    # It is a backup as every other.
    custom = found["shop 2024-01-05.dump"]
    counted = {r["table"]: int(r["rows"]) for r in csv.DictReader(io.StringIO((custom.parent / f"{custom.stem}.tables.csv").read_text()))}
    assert counted["item"] == 30000
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=custom.parent, check=True)
    assert "public.item.csv" in os.listdir(keepfs.path("inside", "legacy", custom.stem, "tables"))
    assert keepfs.path("inside", "legacy", custom.stem, "tables", "public.item.csv").read_text().count("\n") == 30001
    subprocess.run([str(pg.bindir / "pg_restore"), "-d", pg.uri(scratch), str(custom)], check=True)
    assert pg.sql(scratch, "SELECT count(*) FROM item").strip() == "30000"
    completed(keepfs, "verify", "legacy")
    again = adopt(keepfs, place.url).stdout
    assert "5 were known" in again and "0 files" in again
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    assert sorted(line["object"].split("/")[-1] for line in lines if line["action"] == "adopt" and line["detail"].startswith("run ")) == sorted(found)


def test_restore_by_keepfs_and_a_catalog_that_is_lost(new_keepfs, place, pg, dumps, target):
    keepfs = set_up(new_keepfs, place)
    adopt(keepfs, place.url)
    path = backups(keepfs)["shop 2024-01-05.dump"]
    keepfs.run("restore", f"legacy/{path.name}", f"into={target}", f"server={pg.uri('postgres')}")
    assert pg.sql(target, "SELECT count(*) FROM item").strip() == "30000"
    keepfs.unmount()
    shutil.rmtree(pathlib.Path(keepfs.settings["state_dir"]))
    keepfs.run("rebuild", "--no-history")
    keepfs.mount()
    found = backups(keepfs)
    assert sorted(found) == sorted(base(name) for name in NAMES)
    assert found["shop.sql.gz"].read_bytes() == dumps["plain.gz"]
    again = adopt(keepfs, place.url).stdout
    assert "5 were known" in again and "0 files" in again and len(backups(keepfs)) == len(NAMES)


def test_what_is_known_is_not_read_again(new_keepfs, dumps, s3_servers):
    place = Place(stores.S3Store(s3_servers("ceph"), f"count/{os.getpid()}"), dumps)
    keepfs = set_up(new_keepfs, place)

    def requests(*more):
        return int(adopt(keepfs, place.url, *more).stdout.rsplit(" requests", 1)[0].rsplit(" ", 1)[1])

    assert requests() >= 2 * len(NAMES)
    # A page of the listing, four questions whether the place is a store of keepfs, and one for each directory.
    assert requests() == 1 + 4 + 4
    place.store.put("new.sql.gz", gzip.compress(dumps["plain"] + b"\n"))
    assert requests() == 1 + 4 + 5 + 2  # its directory is asked for again, since others come before and behind it
    assert "new.sql.gz" in backups(keepfs)
    # Below the place, and by its name.
    assert "1 were known" in adopt(keepfs, place.url + "/nightly/").stdout
    assert f"{len(NAMES) + 1} were known" in adopt(keepfs, "old").stdout
    place.store.clear()


def test_what_is_cut_off_is_named_and_the_others_are_taken(new_keepfs, dumps_there, dumps):
    place = dumps_there
    place.store.put("cut.dump", dumps["custom"][:-3000])
    place.store.put("cut.sql.gz", dumps["plain.gz"][:-100])
    place.store.put("empty.dump", b"")
    place.store.put("README.txt", b"dumps of the shop\n")
    place.store.put("half.sql.partial", dumps["plain"])
    place.store.put("line\nend.sql", dumps["plain"])
    place.store.put("same/copy.dump", dumps["custom"])
    shutil.copytree(dumps["directory"], place.store.root / "fd of 2024")
    os.symlink("shop 2024-01-05.dump", place.store.root / "latest.dump")
    keepfs = set_up(new_keepfs, place)
    done = adopt(keepfs, place.url, check=False)
    assert done.returncode == 1
    for text in ("cut.dump: ", "cut.sql.gz: ", "empty.dump: the file is empty", "README.txt is a file of a kind that is not known here, and is left alone",
                 "half.sql.partial is left alone", "pg_dump -Fd", "cannot be adopted under this name", "has the same content as", "1 symbolic links", "5 files (", "4 could not be taken"):
        assert text in done.stdout, (text, done.stdout)
    assert len(backups(keepfs)) == len(NAMES) and "4 files could not be taken; the first: cut.dump" in done.stderr + done.stdout
    # The next time it is quiet about what it has refused, as long as that is the same.
    done = adopt(keepfs, place.url)
    assert "cut.dump" not in done.stdout and "5 were refused before" in done.stdout and "6 were known" in done.stdout, done.stdout
    place.store.put("cut.dump", dumps["custom"])
    assert "cut.dump has the same content as" in adopt(keepfs, place.url).stdout
    assert "README.txt" in adopt(keepfs, place.url, "all=yes", check=False).stdout and "README.txt" in backups(keepfs)


def test_what_is_changed_or_gone_is_damage_and_never_other_bytes(new_keepfs, place, dumps):
    keepfs = set_up(new_keepfs, place)
    adopt(keepfs, place.url)
    found = backups(keepfs)
    bent = bytearray(dumps["custom"])
    bent[len(bent) // 2] ^= 0xff
    place.store.put("shop 2024-01-05.dump", bytes(bent))
    place.store.remove("pg=dump&x=1.tar")
    keepfs.remount()
    for name in ("shop 2024-01-05.dump", "pg=dump&x=1.tar"):
        with pytest.raises(OSError) as failed:
            found[name].read_bytes()
        assert failed.value.errno == errno.EIO
    run = keepfs.wait_run(int(keepfs.ask("verify", "legacy").split()[0]))
    assert run["state"] == "failed"
    for name in ("shop 2024-01-05.dump", "pg=dump&x=1.tar"):
        assert fact(found[name], "state") == "damaged", name
    assert found["shop 2024-01-05.dump"].name in keepfs.text("status", "health") or "damaged" in keepfs.text("status", "health")
    assert found["shop.sql.gz"].read_bytes() == dumps["plain.gz"]


def test_a_name_that_is_written_again_and_again(new_keepfs, dumps_there, dumps):
    place = dumps_there
    keepfs = set_up(new_keepfs, place)
    adopt(keepfs, place.url)
    first = backups(keepfs)["shop.sql.gz"]
    # One that was only touched is the same.
    os.utime(place.store.root / "nightly/2024-01-06_0230/shop.sql.gz", (1, 1))
    said = adopt(keepfs, place.url).stdout
    assert "5 were known" in said and "replaced" not in said and fact(first, "state") != "damaged"
    place.store.put("nightly/2024-01-06_0230/shop.sql.gz", gzip.compress(dumps["plain"], 9))
    said = adopt(keepfs, place.url).stdout
    assert "was replaced since it became" in said and fact(first, "state") == "damaged"
    assert len([n for n in os.listdir(keepfs.path("backups", "legacy")) if n.endswith(".sql.gz") and not n.startswith("latest")]) == 3


def test_what_is_written_into_the_inbox_is_ours_though_the_same_was_adopted(new_keepfs, dumps_there, dumps, tmp_path):
    """who copies a dump is promised that it is in the store, and that is what he does before the old place goes"""
    place = dumps_there
    keepfs = set_up(new_keepfs, place)
    adopt(keepfs, place.url)
    adopted = set(backups(keepfs).values())
    (tmp_path / "copy.dump").write_bytes(dumps["custom"])
    for _ in range(2):  # the second time it is one
        subprocess.run(["cp", str(tmp_path / "copy.dump"), str(keepfs.path("inbox", "legacy", "copy.dump"))], check=True)
    (own,) = set(backups(keepfs).values()) - adopted
    # The adopted one that was only touched is still known as what it is.
    os.utime(place.store.root / "shop 2024-01-05.dump", (1, 1))
    said = adopt(keepfs, place.url).stdout
    assert "5 were known" in said and "replaced" not in said, said
    assert all(fact(path, "state") != "damaged" for path in adopted)
    shutil.rmtree(place.store.root)
    assert own.read_bytes() == dumps["custom"]
    completed(keepfs, "verify", f"legacy/{own.name}")


@pytest.mark.parametrize("removes", ["no", "yes"])
def test_rm_and_the_rules(new_keepfs, place, dumps, removes):
    """what others have made stays, unless the configuration says that keepfs may remove it"""
    keepfs = set_up(new_keepfs, place, store={"remove_adopted": removes}, settings={"trash": "7d"})
    adopt(keepfs, place.url)
    found = backups(keepfs)
    with pytest.raises(PermissionError):  # it stays for a day, whatever the rules say
        os.unlink(found["all-20240107.sql.gz"])
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE artifact SET keep_until_us = 0")
    keepfs.mount()
    os.unlink(found["all-20240107.sql.gz"])
    # In the trash nothing is moved, and nothing goes.
    assert place.store.get("cluster/all-20240107.sql.gz") == dumps["all.gz"]
    assert "all-20240107.sql.gz" not in backups(keepfs)
    keepfs.run("undelete", f"legacy/{found['all-20240107.sql.gz'].name}")
    assert found["all-20240107.sql.gz"].read_bytes() == dumps["all.gz"]
    os.unlink(found["all-20240107.sql.gz"])
    os.unlink(found["shop.sql.gz"])
    # Somebody has put another one there.
    place.store.put("nightly/2024-01-06_0230/shop.sql.gz", b"another")
    keepfs.unmount()
    keepfs.end_trash()
    keepfs.mount()
    daemon.wait_until(lambda: not any(key.startswith(("trash/", "manifests/backups/legacy/" + found["all-20240107.sql.gz"].name)) for key in keepfs.store.all_keys()),
                      "the end of what is in the trash")
    assert ("cluster/all-20240107.sql.gz" in place.store.all_keys()) == (removes == "no")
    assert place.store.get("nightly/2024-01-06_0230/shop.sql.gz") == b"another"
    # What stays does not come back.
    adopt(keepfs, place.url)
    assert "all-20240107.sql.gz" not in backups(keepfs) and len(backups(keepfs)) == len(NAMES) - 2


def test_copies_and_their_removal(new_keepfs, dumps_there, dumps, tmp_path):
    offsite = stores.DirStore(tmp_path / "offsite")
    keepfs = set_up(new_keepfs, dumps_there, job={"copies": "primary, offsite"}, **{"store offsite": {"url": offsite.settings["url"], "keep_last": "1"}})
    adopt(keepfs, dumps_there.url)
    found = backups(keepfs)
    path = found["shop 2024-01-05.dump"]

    def copied():
        rows = [json.loads(line) for line in keepfs.run("replicate", "--list", "--json").stdout.splitlines()]
        return [r for r in rows if r["state"] == "whole"]

    daemon.wait_until(lambda: len(copied()) == len(NAMES), lambda: keepfs.text("status", "replicas"))
    assert offsite.get("adopted/old/shop 2024-01-05.dump") == dumps["custom"]
    completed(keepfs, "replicate", "legacy to=offsite verify=yes")
    # The place is gone: what was copied is read from there.
    dumps_there.store.remove("shop 2024-01-05.dump")
    keepfs.remount()
    assert path.read_bytes() == dumps["custom"]
    assert keepfs.path("copies", "offsite", "backups", "legacy", path.name).read_bytes() == dumps["custom"]


def test_of_an_inbox_that_encrypts_it_stays_plain(new_keepfs, dumps_there, dumps, tmp_path):
    subprocess.run(["age-keygen", "-o", str(tmp_path / "identity")], stderr=subprocess.DEVNULL, check=True)
    recipient = subprocess.run(["age-keygen", "-y", str(tmp_path / "identity")], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    keepfs = set_up(new_keepfs, dumps_there, job={"encrypt_to": recipient})
    adopt(keepfs, dumps_there.url)
    path = backups(keepfs)["shop 2024-01-05.dump"]
    assert path.read_bytes() == dumps["custom"] and fact(path, "rows") == "30001"
    # Nothing that names a table is in our store.
    assert not any(b"item" in keepfs.store.get(key) for key in keepfs.store.keys() if key.startswith(("backups/", "manifests/")))


def test_what_is_wrong_with_the_place_is_said(new_keepfs, dumps, tmp_path, s3_servers):
    place = Place(stores.S3Store(s3_servers("ceph"), f"wrong/{os.getpid()}"), dumps)
    keepfs = set_up(new_keepfs, place)
    refused = [adopt(keepfs, "s3://elsewhere/x", check=False), keepfs.run("adopt", place.url, "--job", "nobody", check=False),
               keepfs.run("adopt", place.url, check=False), adopt(keepfs, place.url, "x=y", check=False)]
    for done, text in zip(refused, ("[store old]", "no [inbox NAME]", "say which inbox", "allowed are job, plan, all and note")):
        assert done.returncode == 2 and text in done.stderr, done
    adopt(keepfs, place.url)
    path = backups(keepfs)["shop 2024-01-05.dump"]
    keepfs.unmount()
    # Of another keepfs, with credentials that are wrong; a place that is not there.
    keepfs.sections["store old"]["secret_key"] = "wrong"
    keepfs.sections["store gone"] = {"url": f"dir:{tmp_path / 'gone'}"}
    keepfs.sections["store ours"] = {"url": f"dir:{tmp_path / 'ours'}"}
    (tmp_path / "ours" / "state").mkdir(parents=True)
    (tmp_path / "ours" / "state" / "lease.json").write_text("{}")
    keepfs.write_conf()
    keepfs.mount()
    for url, text in ((place.url, "the store old"), (f"dir:{tmp_path / 'gone'}", "gone"), (f"dir:{tmp_path / 'ours'}", "is a store of keepfs")):
        done = adopt(keepfs, url, check=False)
        assert done.returncode == 1 and text in done.stdout + done.stderr, (url, done)
    # What cannot be reached is no damage.
    with pytest.raises(OSError) as failed:
        path.read_bytes()
    assert failed.value.errno in (errno.EIO, errno.EACCES)
    assert fact(path, "state") != "damaged"
    keepfs.unmount()
    del keepfs.sections["store old"]
    keepfs.write_conf()
    keepfs.mount()
    with pytest.raises(OSError):
        path.read_bytes()
    assert "[store old]" in keepfs.text("status", "last-error") and fact(path, "state") != "damaged"
    place.store.clear()


def test_without_a_mount(new_keepfs, dumps_there, dumps):
    keepfs = new_keepfs({"inbox legacy": {}})
    keepfs.sections = {"store old": dict(dumps_there.store.settings)}
    keepfs.write_conf()
    assert "5 files" in adopt(keepfs, dumps_there.url).stdout
    keepfs.mount()
    assert len(backups(keepfs)) == len(NAMES)
    unchanged(dumps_there, dumps)


def test_of_two_that_are_the_same_the_other_one_is_gone(new_keepfs, dumps_there, dumps):
    """what is known to be in a backup is looked at again when that backup has lost its bytes"""
    place = dumps_there
    place.store.put("a/copy.sql.gz", dumps["plain.gz"])  # before nightly/…/shop.sql.gz
    keepfs = set_up(new_keepfs, place)
    said = adopt(keepfs, place.url).stdout
    assert "nightly/2024-01-06_0230/shop.sql.gz has the same content as" in said
    lost = backups(keepfs)["copy.sql.gz"]
    place.store.remove("a/copy.sql.gz")
    keepfs.remount()
    run = keepfs.wait_run(int(keepfs.ask("verify", f"legacy/{lost.name}").split()[0]))
    assert run["state"] == "failed" and fact(lost, "state") == "damaged"
    assert "1 files (" in adopt(keepfs, place.url, "--plan").stdout
    said = adopt(keepfs, place.url).stdout
    assert "1 files (" in said and "4 were known" in said, said
    assert backups(keepfs)["shop.sql.gz"].read_bytes() == dumps["plain.gz"]
    assert "5 were known" in adopt(keepfs, place.url).stdout
