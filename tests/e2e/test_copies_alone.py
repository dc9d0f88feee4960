# SPDX-License-Identifier: Apache-2.0
"""A further store alone, when the first one is gone: it has the chain of signatures, checkpoints, the audit and the history, and is proven, rebuilt and read by itself. A13 C6 D7"""
import json
import os
import shutil
import signal

import pytest

import signing
import stores
from daemon import wait_until

BESIDE = ("chain/", "checkpoints/", "records/", "erasures/")


@pytest.fixture
def key(tmp_path):
    return signing.make_key(tmp_path, "signing")


@pytest.fixture
def offsite(tmp_path):
    return stores.DirStore(tmp_path / "offsite")


@pytest.fixture
def signed(new_keepfs, pg, key, offsite):
    """the job full has copies, the job alone has none; all is signed"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "copies": "primary, offsite"}, "alone": {"database": pg.uri("sample")}},
                        signing_key_file=key[0])
    keepfs.sections = {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}}
    keepfs.write_conf()
    return keepfs


def states(keepfs):
    return {one["path"].split("/")[-1]: one["state"] for one in map(json.loads, keepfs.run("replicate", "--list", "--json").stdout.splitlines())}


def wait_copied(keepfs, *names):
    wait_until(lambda: all(states(keepfs).get(name) in ("whole", "removed") for name in names), lambda: keepfs.text("status", "replicas"))


def beside(store):
    return {key: store.get(key) for key in store.all_keys() if key.startswith(BESIDE)}


def wait_beside(keepfs, offsite):
    wait_until(lambda: beside(keepfs.store) == beside(offsite), lambda: (sorted(beside(keepfs.store)), sorted(beside(offsite)), keepfs.text("status", "health")))


def says(offsite):
    return json.loads(offsite.get("state/copied.json"))


def wait_proven(keepfs, offsite, public):
    """the further store says all that it has"""
    wait_until(lambda: signing.prove(offsite, public, arguments=["--copy"])["problems"] == [] and says(offsite)["sequence"] == signing.prove(keepfs.store, public)["end"]["sequence"],
               lambda: (signing.prove(offsite, public, arguments=["--copy"]), keepfs.text("status", "replicas")))


def test_a_copy_is_proven_by_itself(signed, offsite, key):
    keepfs, public = signed.mount(), key[1]
    names = [keepfs.run_artifact(keepfs.backup("full")["run"]) for _ in range(3)]
    keepfs.backup("alone")
    wait_copied(keepfs, *names)
    os.unlink(keepfs.path("backups", "full", names[0]))
    wait_beside(keepfs, offsite)
    wait_proven(keepfs, offsite, public)
    assert "state/copied.json" not in keepfs.store.all_keys()
    said = signing.prove(offsite, public, arguments=["--copy"], check=0)
    assert (said["manifests"], said["gone"], said["copy"]["kept"], said["copy"]["elsewhere"]) == (3, 0, 1, 1)
    assert said["end"] == signing.prove(keepfs.store, public, check=0)["end"]
    keepfs.unmount()
    # Without a word nobody is to believe that of a first store: it says what to do.
    alone = signing.prove(offsite, public, check=1)
    assert signing.kinds(alone) == ["missing", "replayed"]
    # By the name of its section, with its own endpoint and keys.
    shown = keepfs.run("verify", "--key", public, "--store", "offsite").stdout
    assert "a store of copies" in shown and "1 are kept here" in shown and shown.endswith("0 problems\n")
    assert "give its url, or the name of one" in keepfs.run("verify", "--key", public, "--store", "nowhere", check=False).stderr


def link_types(store):
    return [json.loads(store.get(key))["type"] for key in sorted(store.all_keys()) if key.startswith("chain/")]


def test_what_is_brought_back_is_proven(signed, offsite, key):
    """a backup that was removed is copied back from the further store: a link says so, for both stores, for a catalog that is made anew, and when it is removed once more"""
    keepfs, public = signed.mount(), key[1]
    names = [keepfs.run_artifact(keepfs.backup("full")["run"]) for _ in range(2)]
    wait_copied(keepfs, *names)
    expected = keepfs.path("backups", "full", names[0]).read_bytes()
    manifest = f"manifests/backups/full/{names[0]}.json"
    text = keepfs.store.get(manifest)
    os.unlink(keepfs.path("backups", "full", names[0]))
    wait_until(lambda: states(keepfs)[names[0]] == "removed", lambda: keepfs.text("status", "replicas"))
    assert manifest not in keepfs.store.all_keys()
    # Whoever only puts it there again has not brought it back.
    keepfs.store.put(manifest, text)
    assert signing.kinds(signing.prove(keepfs.store, public, check=1)) == ["replayed"]
    keepfs.store.remove(manifest)
    keepfs.run("replicate", f"full/{names[0]}", "from=offsite", "--wait")
    assert keepfs.path("backups", "full", names[0]).read_bytes() == expected
    assert link_types(keepfs.store) == ["begun", "removed", "returned"]
    assert signing.prove(keepfs.store, public, check=0)["manifests"] == 2
    wait_beside(keepfs, offsite)
    wait_proven(keepfs, offsite, public)
    keepfs.unmount()
    keepfs.run("rebuild")
    keepfs.mount()
    assert sorted(keepfs.artifacts()) == sorted(names)
    signing.prove(keepfs.store, public, check=0)
    os.unlink(keepfs.path("backups", "full", names[0]))
    wait_until(lambda: link_types(keepfs.store)[-1] == "removed", lambda: link_types(keepfs.store))
    said = signing.prove(keepfs.store, public, check=0)
    assert (said["manifests"], said["gone"]) == (1, 1)
    wait_beside(keepfs, offsite)
    wait_proven(keepfs, offsite, public)


def test_what_is_taken_from_a_copy_is_missed(signed, offsite, key):
    keepfs, public = signed.mount(), key[1]
    names = [keepfs.run_artifact(keepfs.backup("full")["run"]) for _ in range(2)]
    wait_copied(keepfs, *names)
    wait_proven(keepfs, offsite, public)
    keepfs.unmount()
    for name in names:
        manifest = f"manifests/backups/full/{name}.json"
        text = offsite.get(manifest)
        offsite.remove(manifest)
        assert signing.kinds(signing.prove(offsite, public, arguments=["--copy"], check=1)) == ["missing"]
        offsite.put(manifest, text)
    signing.prove(offsite, public, arguments=["--copy"], check=0)
    # What it says of itself is signed, too.
    text = offsite.get("state/copied.json")
    for changed, kind in ((text.replace(b'"absent": []', b'"absent": [[2,2]]').replace(b'"absent":[]', b'"absent":[[2,2]]'), "changed"), (b"{", "changed"), (None, "missing")):
        assert changed != text
        offsite.remove("state/copied.json") if changed is None else offsite.put("state/copied.json", changed)
        said = signing.prove(offsite, public, arguments=["--copy"])
        assert (kind in signing.kinds(said)) and "state/copied.json" in signing.texts(said)
    # One that was told of does not make a first store better.
    offsite.put("state/copied.json", text)
    keepfs.store.put("state/copied.json", text)
    victim = f"manifests/backups/full/{names[0]}.json"
    text = keepfs.store.get(victim)
    keepfs.store.remove(victim)
    assert signing.kinds(signing.prove(keepfs.store, public, check=1)) == ["missing"]
    keepfs.store.put(victim, text)
    keepfs.store.remove("state/copied.json")


def test_the_first_store_is_gone(signed, new_keepfs, offsite, key, tmp_path, pg):
    """the second one alone: proven, rebuilt with its history and its audit, read, and gone on with"""
    keepfs, public = signed, key[1]
    keepfs.settings["catalog_copies"] = "3"
    keepfs.write_conf()
    keepfs.mount()
    names = [keepfs.run_artifact(keepfs.backup("full")["run"]) for _ in range(2)]
    wait_copied(keepfs, *names)
    os.unlink(keepfs.path("backups", "full", names[0]))
    history = keepfs.text("status", "history.csv")
    expected = keepfs.path("backups", "full", names[1]).read_bytes()
    keepfs.unmount()
    # The copy of the catalog that the end has made comes with the next start.
    keepfs.mount()
    wait_until(lambda: [key for key in offsite.all_keys() if key.startswith("catalog/")], lambda: offsite.all_keys())
    wait_until(lambda: "checkpoints/" in "".join(offsite.all_keys()) or not any(key.startswith("checkpoints/") for key in keepfs.store.all_keys()), "checkpoints")
    wait_beside(keepfs, offsite)
    wait_proven(keepfs, offsite, public)
    keepfs.unmount()
    for one in keepfs.store.all_keys():
        keepfs.store.remove(one)
    shutil.rmtree(keepfs.state)

    signing.prove(offsite, public, arguments=["--copy"], check=0)
    again = new_keepfs({"full": {"database": pg.uri("sample")}}, store=offsite, directory=tmp_path / "again", signing_key_file=key[0])
    refused = again.run("rebuild", check=False)
    assert refused.returncode != 0 and "--moved" in refused.stderr
    said = again.run("rebuild", "--moved").stdout
    assert "2 backups" in said and "its history, audit and settings are those of catalog/" in said
    again.mount()
    assert sorted(again.artifacts()) == sorted(names)
    assert again.path("backups", "full", names[1]).read_bytes() == expected
    assert set(history.splitlines()[1:]) <= set(again.text("status", "history.csv").splitlines())
    assert again.run("audit", "verify").returncode == 0
    again.run("verify", "all")
    third = again.run_artifact(again.backup("full")["run"])
    assert third in again.artifacts()
    said = signing.prove(offsite, public, arguments=["--copy"], check=0)
    assert said["manifests"] == 3 and said["end"]["sequence"] > said["copy"]["sequence"]


def test_what_others_put_beside(signed, offsite, key):
    """the name of a link of the chain is taken by something else: that is told, it is never overwritten, and the link is copied when that has gone"""
    keepfs, public = signed.mount(), key[1]
    names = [keepfs.run_artifact(keepfs.backup("full")["run"]) for _ in range(2)]
    wait_copied(keepfs, *names)
    wait_proven(keepfs, offsite, public)
    link = "chain/000000000004.json"
    offsite.put(link, b"of somebody else")
    os.unlink(keepfs.path("backups", "full", names[0]))
    wait_until(lambda: "objects in offsite are wrong" in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))
    assert link in keepfs.text("status", "health") and "CRIT" in keepfs.text("status", "health").split()[0]
    assert link in (keepfs.state / "keepfs.log").read_text()
    assert offsite.get(link) == b"of somebody else" and link in keepfs.store.all_keys()
    assert signing.kinds(signing.prove(offsite, public, arguments=["--copy"])) != []
    offsite.remove(link)
    keepfs.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: "objects in offsite are wrong" not in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))
    assert offsite.get(link) == keepfs.store.get(link)
    wait_proven(keepfs, offsite, public)


def test_old_links_follow_when_their_copies_have_gone(signed, offsite, key, clocks):
    """what [store] has replaced by one link goes there as well, but for links that tell of copies that are kept there; all of it stays provable"""
    signed.settings |= {"chain_compact": "10d", "chain_compact_links": 2}
    signed.env = clocks.environment(signed.env)
    signed.write_conf()
    signed.mount()
    names = [signed.run_artifact(signed.backup("full")["run"]) for _ in range(3)]
    wait_copied(signed, *names)
    for name in names[:2]:
        os.unlink(signed.path("backups", "full", name))
    wait_until(lambda: [states(signed)[name] for name in names] == ["removed", "removed", "whole"], lambda: states(signed))
    wait_beside(signed, offsite)

    def links(store):
        return {path: json.loads(store.get(path))["type"] for path in store.all_keys() if path.startswith("chain/")}

    clocks.pass_time(11 * 86400)
    wait_until(lambda: sorted(links(signed.store).values()) == ["begun", "compacted"], lambda: links(signed.store))
    clocks.pass_time(2 * 86400)
    # Both copies are kept, and the links that say what they were.
    wait_until(lambda: "compacted" in links(offsite).values(), lambda: links(offsite))
    said = signing.prove(offsite, key[1], check=0, arguments=["--copy"])
    assert said["copy"]["kept"] == 2 and sorted(links(offsite).values()) == ["begun", "compacted", "removed", "removed"]
    signed.unmount()
    signed.sections["store offsite"] |= {"keep_last": 1, "keep_within": "none"}
    signed.write_conf()
    signed.mount()
    clocks.pass_time(2 * 86400)
    wait_until(lambda: links(offsite) == links(signed.store), lambda: (links(offsite), links(signed.store), signed.text("status", "replicas"), signed.text("status", "health")))
    assert sorted(states(signed)) == [names[2]]
    wait_proven(signed, offsite, key[1])
