# SPDX-License-Identifier: Apache-2.0
"""A copy in a further store is restored, tried and verified as it lies there: what was removed here, and when the first store is lost. A13 C6 D2"""
import os
import pathlib
import subprocess

import pytest

from daemon import wait_until
from test_copies_tree import backup, copied, lose, offsite, states, wait_state  # noqa: F401

ROWS = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t"


def tables(pg, database):
    names = pg.sql(database, "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1").splitlines()
    return {name: pg.sql(database, ROWS.format(name)) for name in names}


def change(store, key):
    data = bytearray(store.get(key))
    data[len(data) // 2] ^= 1
    store.put(key, bytes(data))


def left_places(keepfs):
    return [name for name in os.listdir(keepfs.state) if name.startswith(("copy-", "restore-"))]


def removed(keepfs):
    """a backup that only the further store has any more, and one that both have"""
    first, second = backup(keepfs), backup(keepfs)
    os.unlink(keepfs.path("backups", "full", first))
    wait_state(keepfs, first, "removed")
    return first, second


@pytest.mark.parametrize("form", ["custom", "directory"])
def test_what_was_removed_here(copied, target, pg, form):
    """by the command and by control/restore; nothing of it is listed here afterwards, and nothing is left in state_dir"""
    keepfs = copied({"full": {"format": form}}).mount()
    first, second = backup(keepfs), backup(keepfs)
    path = keepfs.path("backups", "full", first)
    os.unlink(path) if form == "custom" else os.rmdir(path)
    wait_state(keepfs, first, "removed")
    plan = keepfs.run("restore", f"copies/offsite/full/{first}", f"into={target}", "plan=yes").stdout
    assert f"is read from its copy in offsite alone" in plan and "nothing was done" in plan
    keepfs.run("restore", f"copies/offsite/full/{first}", f"into={target}")
    expected = tables(pg, "sample")
    assert len(expected) > 2 and tables(pg, target) == expected
    # Over it: as everywhere it has to be confirmed.
    refused = keepfs.run("restore", f"copies/offsite/backups/full/{first}", f"into={target}", check=False)
    assert refused.returncode == 2 and f"confirm={target}" in refused.stderr
    run = int(keepfs.ask("restore", f"copies/offsite/backups/full/{first} into={target}_2").split()[0])
    assert keepfs.wait_run(run)["state"] == "completed", keepfs.history(run)
    assert tables(pg, f"{target}_2") == expected
    assert keepfs.history(run)["job"] == "restore:full"
    assert not path.exists() and states(keepfs)[first] == "removed" and left_places(keepfs) == []


def test_of_a_directory_the_newest(copied, target, pg):
    keepfs = copied().mount()
    first, second = removed(keepfs)
    out = keepfs.run("restore", "copies/offsite/full", f"into={target}").stdout
    assert f"backups/full/{second} is read from its copy in offsite alone" in out
    assert tables(pg, target) == tables(pg, "sample")


def test_the_first_store_does_not_answer(copied, target, pg):
    """nothing of it is needed, and that the register of erasures was not asked there is told"""
    keepfs = copied(lease="none").mount()
    name = backup(keepfs)
    keepfs.unmount()
    keepfs.store_settings |= {"faults": "*:1+:eio", "retry_deadline": "1s"}
    keepfs.write_conf()
    keepfs.mount()
    out = keepfs.run("restore", f"copies/offsite/full/{name}", f"into={target}").stdout
    assert "taken from the register in offsite and on this host" in out, out
    assert tables(pg, target) == tables(pg, "sample")
    keepfs.unmount()
    keepfs.store_settings.pop("faults")
    keepfs.write_conf()
    keepfs.mount()


def test_the_first_store_has_nothing(copied, target, pg):
    """not even manifests: what is listed is restored with the help of its copy, and looked into as ever"""
    keepfs = copied().mount()
    name = backup(keepfs)
    keepfs.unmount()
    for key in keepfs.store.keys():
        if key.startswith(("backups/", "manifests/")):
            keepfs.store.remove(key)
    keepfs.mount()
    inside = [path for path in keepfs.path("inside", "full").rglob("*.csv")]
    assert inside and all(path.read_bytes() for path in inside)
    out = keepfs.run("restore", f"full/{name}", f"into={target}").stdout
    assert "is restored from its copy in a further store" in out
    assert tables(pg, target) == tables(pg, "sample")
    keepfs.run("replicate", f"full/{name}", "from=offsite", "repair=yes", "--wait")
    keepfs.run("verify", f"full/{name}")


def test_what_is_damaged_there(copied, offsite, target, pg):
    """nothing is changed, and no other store is asked: whoever names a copy is told of that one"""
    keepfs = copied().mount()
    first, second = removed(keepfs)
    for name, state in ((first, "wrong"), (second, "lost")):
        change(offsite, f"backups/full/{name}")
        failed = keepfs.run("restore", f"copies/offsite/full/{name}", f"into={target}", check=False)
        assert failed.returncode != 0 and "nothing was changed" in failed.stderr, failed.stderr
        assert target not in pg.sql("postgres", "SELECT datname FROM pg_database")
        wait_state(keepfs, name, "whole" if state == "lost" else "wrong")
        again = keepfs.run("restore", f"copies/offsite/full/{first}", f"into={target}", check=False)
        assert again.returncode == 2 and "cannot be read: that copy is wrong" in again.stderr
    # It was made anew of what is here.
    keepfs.run("restore", f"copies/offsite/full/{second}", f"into={target}")
    assert tables(pg, target) == tables(pg, "sample")
    assert keepfs.path("backups", "full", second).read_bytes() and left_places(keepfs) == []
    with keepfs.catalog() as catalog:
        assert catalog.execute("SELECT count(*) FROM artifact WHERE damaged IS NOT NULL").fetchone() == (0,)


def verified(keepfs, words, state="completed"):
    run = int(keepfs.ask("verify", words).split()[0])
    assert keepfs.wait_run(run)["state"] == state, keepfs.history(run)
    return keepfs.text("jobs", str(run), "log")


def test_verify(copied, offsite):
    """one, a job, all of a store, to the rows; what is not right is told, and made again"""
    keepfs = copied().mount()
    first, second = removed(keepfs)
    assert verified(keepfs, f"copies/offsite/full/{first}").count(f"backups/full/{first} in offsite is right: level 1") == 1
    assert verified(keepfs, "copies/offsite level=0").count("in offsite is right: level 0") == 2
    change(offsite, f"backups/full/{second}")
    assert f"the copy of backups/full/{second} in offsite is not right" in verified(keepfs, "copies/offsite/full", "failed")
    wait_state(keepfs, second, "whole")
    keepfs.run("verify", "copies/offsite/full")
    assert keepfs.run("verify", f"full/{second}").returncode == 0
    for word in ("copies/nowhere", "copies/offsite/none", "copies/offsite/full/20010101T000000Z.dump"):
        refused = keepfs.run("verify", word, check=False)
        assert refused.returncode == 2 and "keepfs replicate --list" in refused.stderr
    refused = keepfs.run("rescue", f"copies/offsite/full/{first}", "public.t", "where=true", check=False)
    assert refused.returncode == 2 and f"keepfs replicate full/{first} from=offsite" in refused.stderr


def test_drill(copied, drill_dir):
    """the report says which store had it"""
    keepfs = copied(drill_dir=drill_dir).mount()
    first, second = removed(keepfs)
    run = int(keepfs.ask("drill", f"copies/offsite/full/{first} level=3").split()[0])
    assert keepfs.wait_run(run)["state"] == "completed", keepfs.history(run)
    with keepfs.catalog() as catalog:
        assert catalog.execute("SELECT path, job, level FROM drill").fetchall() == [(f"copies/offsite/backups/full/{first}", "full", 3)]
    assert left_places(keepfs) == []


def test_an_archive_of_files(new_keepfs, offsite, tmp_path):
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below" / "a").write_text("this is a\n")
    keepfs = new_keepfs({"files media": {"path": tree, "copies": "primary, offsite"}})
    keepfs.sections = {"store offsite": {"url": offsite.settings["url"]}}
    keepfs.write_conf()
    keepfs.mount()
    for _ in range(2):
        keepfs.backup("media")
    wait_until(lambda: list(states(keepfs).values()) == ["whole"] * 2, lambda: keepfs.text("status", "replicas"))
    first = min(states(keepfs), key=lambda name: name.split(".")[0])
    os.unlink(keepfs.path("backups", "media", first))
    wait_state(keepfs, first, "removed")
    to = tmp_path / "to"
    keepfs.run("restore", f"copies/offsite/media/{first}", f"to={to}")
    assert (to / "below" / "a").read_text() == "this is a\n" and left_places(keepfs) == []


def test_encrypted(copied, tmp_path, target, pg):
    identity = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", identity], check=True, stderr=subprocess.DEVNULL)
    recipient = [line.split(": ")[1] for line in identity.read_text().splitlines() if "public key" in line][0]
    keepfs = copied(encrypt_to=recipient, identity_file=identity).mount()
    first, second = removed(keepfs)
    keepfs.run("restore", f"copies/offsite/full/{first}", f"into={target}")
    assert tables(pg, target) == tables(pg, "sample")
    # Without an identity every byte is held against its checksum, and nothing is restored.
    keepfs.unmount()
    del keepfs.settings["identity_file"]
    keepfs.write_conf()
    keepfs.mount()
    assert f"backups/full/{first} in offsite is right: level 0" in verified(keepfs, f"copies/offsite/full/{first}.age")
    assert keepfs.run("restore", f"copies/offsite/full/{first}.age", f"into={target}_2", check=False).returncode != 0


def test_what_a_crash_leaves(copied):
    keepfs = copied().mount()
    backup(keepfs)
    keepfs.unmount()
    place = pathlib.Path(keepfs.state) / "copy-AbCdEf"
    place.mkdir(mode=0o700)
    for name in ("catalog.db", "catalog.db-wal"):
        (place / name).write_bytes(b"")
    keepfs.mount()
    wait_until(lambda: not place.exists(), lambda: os.listdir(keepfs.state))
