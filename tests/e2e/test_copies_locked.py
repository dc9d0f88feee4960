# SPDX-License-Identifier: Apache-2.0
"""Copies in a further store that locks: nobody can delete them there before the rules of that store could let them go, also when the first store has no locks at all. A13 B11"""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import signing
from daemon import wait_until
from test_encrypt import Identity, age_opens
from test_object_lock import Locked, locked, midnight_after, objects_of  # noqa: F401 a fixture

pytestmark = pytest.mark.usefixtures("one_day")


@pytest.fixture
def offsite(locked):  # noqa: F811
    return locked()


@pytest.fixture
def copied(new_keepfs, pg, offsite):
    """two days are kept in the first store, and five in the second, which locks"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "timezone": "UTC", "keep_daily": 2, "copies": "primary, offsite"}})
    keepfs.sections = {"store offsite": {**offsite.settings, "object_lock": "governance", "keep_daily": "5"}}
    keepfs.write_conf()
    return keepfs


def listed(keepfs):
    return {one["path"].split("/")[-1]: one for one in map(json.loads, keepfs.run("replicate", "--list", "--json").stdout.splitlines())}


def reload(keepfs, **more):
    keepfs.sections["store offsite"].update(more)
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)


def wait_locked(keepfs, store, name, until, hold=False):
    """all objects of the copy, by the word of the store; who holds it is said beside it, and is not locked there either"""
    def locks():
        return [(key, store.lock_of(key)) for key, _ in objects_of(store, name) if "/holds/" not in key]

    wait_until(lambda: listed(keepfs).get(name, {}).get("state") in ("whole", "removed") and all(lock == ("GOVERNANCE", until, hold) for _, lock in locks()),
               lambda: (locks(), keepfs.text("status", "replicas"), keepfs.text("status", "health")))


def test_a_copy_is_locked_by_the_rules_of_its_store(copied, offsite, tmp_path):
    key, public = signing.make_key(tmp_path, "signing")
    copied.settings["signing_key_file"] = key
    copied.write_conf()
    said = copied.run("check", check=False).stdout
    assert re.search(r"^ok +object lock \[store offsite\]: governance: what is locked cannot be deleted, which was tried$", said, re.M), said
    keepfs = copied.mount()
    name = keepfs.run_artifact(keepfs.backup("full")["run"])
    wait_locked(keepfs, offsite, name, midnight_after(5))
    objects = objects_of(offsite, name)
    assert {key.split("/")[1] for key, _ in objects} == {"backups", "manifests"}
    for one, version in objects:
        assert offsite.cannot_delete(one, version)
    wait_until(lambda: listed(keepfs)[name]["locked_until"][:19] == midnight_after(5), lambda: listed(keepfs))
    assert listed(keepfs)[name]["lock_mode"] == "governance" and not listed(keepfs)[name]["put_off"]
    assert f"locked until {midnight_after(5)}Z" in keepfs.text("status", "replicas")
    assert "OK    object lock of copies: 1 copies are locked" in keepfs.text("status", "health"), keepfs.text("status", "health")
    # What proves something is locked for longer, and what is rewritten is not.
    wait_until(lambda: any(key.startswith("chain/") for key in offsite.keys()), lambda: offsite.keys())
    for one in offsite.keys():
        until = offsite.lock_of(f"{offsite.prefix}/{one}")[1]
        assert (until > midnight_after(700)) == one.startswith(("chain/", "checkpoints/")), (one, until)
        assert until or not one.startswith(("backups/", "manifests/")), one
    # A hold is a legal hold there as well, and ends with it.
    keepfs.ask("hold", f"backups/full/{name} on name=audit reason=audit")
    wait_locked(keepfs, offsite, name, midnight_after(5), hold=True)
    wait_until(lambda: listed(keepfs)[name]["held"], lambda: listed(keepfs))
    assert [one["name"] for one in json.loads(offsite.get(f"holds/backups/full/{name}.json"))["holds"]] == ["audit"]
    keepfs.ask("hold", f"backups/full/{name} off name=audit")
    wait_locked(keepfs, offsite, name, midnight_after(5))
    # Rules that keep more make it longer; rules that keep less never make it shorter.
    reload(keepfs, keep_daily="9")
    wait_locked(keepfs, offsite, name, midnight_after(9))
    reload(keepfs, keep_daily="3")
    second = keepfs.run_artifact(keepfs.backup("full")["run"])
    # The second of its day: no period is kept by it.
    wait_until(lambda: listed(keepfs).get(second, {}).get("state") == "whole", lambda: keepfs.text("status", "replicas"))
    wait_locked(keepfs, offsite, name, midnight_after(9))
    # From that store alone it can be read, and brought back.
    os.unlink(keepfs.path("backups", "full", name))
    wait_until(lambda: listed(keepfs)[name]["state"] == "removed", lambda: listed(keepfs))
    keepfs.run("replicate", f"full/{name}", "from=offsite", "--wait")
    assert name in keepfs.artifacts()
    signing.prove(keepfs.store, public, check=0)


def test_its_removal_is_put_off(copied, offsite):
    """no rule of its store keeps it, and its lock does: it is listed with its date, and nothing is hidden"""
    copied.sections["store offsite"].update(keep_daily="none", keep_last="1", keep_within="none", min_keep="1", lock_min="2d")
    copied.write_conf()
    keepfs = copied.mount()
    first, second = (keepfs.run_artifact(keepfs.backup("full")["run"]) for _ in range(2))
    wait_until(lambda: all(listed(keepfs).get(name, {}).get("locked_until") for name in (first, second)), lambda: keepfs.text("status", "replicas"))
    before = sorted(objects_of(offsite, first))
    os.unlink(keepfs.path("backups", "full", first))
    wait_until(lambda: listed(keepfs)[first]["state"] == "removed", lambda: listed(keepfs))
    keepfs.unmount()
    # A catalog that is made anew finds the copy there, has its rules let it go, and asks the store first.
    shutil.rmtree(keepfs.state)
    for key in keepfs.store.all_keys():
        if key.startswith("catalog/"):
            keepfs.store.remove(key)
    keepfs.run("rebuild")
    keepfs.run("replicate", f"full/{second}", "to=offsite", "--wait")
    keepfs.mount()
    wait_until(lambda: listed(keepfs).get(first, {}).get("put_off"), lambda: (listed(keepfs), keepfs.text("status", "health"), (keepfs.state / "keepfs.log").read_text()))
    row = listed(keepfs)[first]
    assert row["state"] == "removed" and row["locked_until"] > midnight_after(1)
    assert "put off: locked until" in keepfs.text("status", "replicas")
    assert "the removal of 1 is put off" in keepfs.text("status", "health"), keepfs.text("status", "health")
    assert sorted(objects_of(offsite, first)) == before
    assert {f"backups/full/{first}", f"manifests/backups/full/{first}.json"} <= set(offsite.keys())


def test_a_rewrapped_copy(copied, offsite, tmp_path, target, pg):
    """what it has from then on is locked as long, the new key alone opens and restores it there, and what it had before stays behind its lock and is named by nothing"""
    old, new = Identity(tmp_path / "old"), Identity(tmp_path / "new")
    both = tmp_path / "both"
    both.write_text(old.path.read_text() + new.path.read_text())
    both.chmod(0o600)
    copied.settings |= {"encrypt_to": old.recipient, "identity_file": old.path}
    copied.write_conf()
    keepfs = copied.mount()
    name, later = (keepfs.run_artifact(keepfs.backup("full")["run"]) for _ in range(2))
    until = midnight_after(5)
    wait_locked(keepfs, offsite, name, until)
    wait_until(lambda: listed(keepfs).get(later, {}).get("state") == "whole", lambda: keepfs.text("status", "replicas"))
    before = {(key, version) for key, version in objects_of(offsite, name)}
    keepfs.unmount()
    keepfs.settings |= {"encrypt_to": new.recipient, "identity_file": both}
    keepfs.write_conf()
    keepfs.mount()
    run = int(keepfs.ask("rewrap", f"full/{name}").split()[0])
    assert keepfs.wait_run(run)["state"] == "completed", keepfs.history(run)
    manifest, stored = f"manifests/backups/full/{name}.json", f"backups/full/{name}.r2.age"
    wait_until(lambda: stored in offsite.keys() and offsite.get(manifest) == keepfs.store.get(manifest), lambda: (offsite.keys(), keepfs.text("status", "replicas")))
    wait_until(lambda: listed(keepfs)[name]["state"] == "whole", lambda: keepfs.text("status", "replicas"))
    named = [manifest, *(one["key"] for one in json.loads(offsite.get(manifest))["objects"])]
    for one in named:
        wait_until(lambda: offsite.lock_of(f"{offsite.prefix}/{one}")[:2] == ("GOVERNANCE", until), lambda: (one, offsite.lock_of(f"{offsite.prefix}/{one}"), keepfs.text("status", "health")))
    # Nobody may delete any of it, old or new.
    after = set(objects_of(offsite, name))
    assert before < after
    for one, version in after:
        assert offsite.cannot_delete(one, version)
    assert age_opens(offsite.get(stored), new).startswith(b"PGDMP")
    assert subprocess.run(["age", "-d", "-i", old.path], input=offsite.get(stored), capture_output=True).returncode != 0
    assert "WARN  object lock of copies" not in keepfs.text("status", "health") and "damaged" not in keepfs.text("status", "health")
    # From the further store alone, by the new key alone.
    os.unlink(keepfs.path("backups", "full", name))
    wait_until(lambda: listed(keepfs)[name]["state"] == "removed", lambda: listed(keepfs))
    keepfs.unmount()
    keepfs.settings["identity_file"] = new.path
    keepfs.write_conf()
    keepfs.mount()
    keepfs.run("verify", f"copies/offsite/full/{name}")
    keepfs.run("restore", f"copies/offsite/full/{name}", f"into={target}")
    assert pg.sql(target, "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')") == pg.sql("sample", "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")


def test_a_bucket_that_does_not_lock(new_keepfs, pg, s3_servers):
    """the copy is one all the same; health says why it is not locked, and it is locked when it can be"""
    from test_versions import Versioned
    bare = Versioned(s3_servers("ceph"))
    try:
        keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "copies": "primary, offsite"}})
        keepfs.sections = {"store offsite": {**bare.settings, "object_lock": "governance"}}
        keepfs.write_conf()
        keepfs.mount()
        name = keepfs.run_artifact(keepfs.backup("full")["run"])
        wait_until(lambda: listed(keepfs).get(name, {}).get("state") == "whole", lambda: keepfs.text("status", "replicas"))
        wait_until(lambda: "WARN  object lock of copies" in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))
        assert listed(keepfs)[name]["lock_error"], listed(keepfs)
        assert "not locked as it is to be" in keepfs.text("status", "replicas")
        # Nobody asks for locks any more.
        reload(keepfs, object_lock="none")
        wait_until(lambda: "object lock of copies" not in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))
        keepfs.unmount()
    finally:
        bare.clear()
