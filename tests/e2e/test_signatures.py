# SPDX-License-Identifier: Apache-2.0
"""Signed manifests and their chain: `keepfs verify --key` finds what whoever holds the bucket has done, and nothing else."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import handmade
from daemon import wait_until
from signing import id_of, kinds, links, make_key, manifests, place, prove, texts

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def key(tmp_path):
    return make_key(tmp_path, "signing")


@pytest.fixture
def signed(new_keepfs, key):
    """a mounted keepfs that signs"""
    return new_keepfs(signing_key_file=key[0]).mount()


@pytest.fixture
def three(signed, key):
    """three backups, and nobody at work: (keepfs, the public key)"""
    for _ in range(3):
        signed.backup()
    signed.unmount()
    prove(signed.store, key[1], check=0)
    return signed, key[1]


def stems(store):
    return [key.removeprefix("manifests/").removesuffix(".json") for key in manifests(store)]


def in_order(store):
    """the manifests by their numbers: names of one second sort in another way"""
    return sorted(manifests(store), key=lambda key: place(store, key))


def of_one(store, key):
    """all that belongs to the backup with that manifest"""
    stem = key.removeprefix("manifests/").split(".")[0] + "."
    return [one for one in store.keys() if stem in one]


def remove(keepfs, name):
    os.unlink(keepfs.path("backups", "full", name))


def settled(keepfs, public):
    """start and end once, and all is proven"""
    keepfs.mount()
    keepfs.unmount()
    return prove(keepfs.store, public, check=0)


# what keepfs does by itself

@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_backups_and_removals_are_a_chain(signed, key):
    for _ in range(4):
        signed.backup()
    names = signed.artifacts()
    remove(signed, names[0])
    remove(signed, names[2])
    said = prove(signed.store, key[1], check=0)
    assert (said["manifests"], said["links"], said["gone"], said["before"]) == (2, 3, 2, 0)
    assert said["end"]["sequence"] == 7 and said["keys"] == [
        {"key": id_of(key[1]), "given": True, "signed": 5, "first": 1, "last": 7}]
    chain = links(signed.store)
    assert chain[1]["type"] == "begun" and "artifacts" not in chain[1]
    assert [(chain[n]["type"], [one["path"] for one in chain[n]["artifacts"]]) for n in (6, 7)] == [
        ("removed", [f"backups/full/{names[0]}"]), ("removed", [f"backups/full/{names[2]}"])]
    signed.backup()
    assert prove(signed.store, key[1], check=0)["end"]["sequence"] == 8
    assert prove(signed.store, key[1], arguments=["--objects"], check=0)["objects"] >= 3


def test_what_the_rules_remove_is_said(new_keepfs, key, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "keep_last": 2, "keep_within": "none", "min_keep": 1}}, signing_key_file=key[0]).mount()
    for _ in range(4):
        keepfs.backup()
    wait_until(lambda: "2 of 4 go" in keepfs.run("prune", "full").stdout or len(manifests(keepfs.store)) == 2, "two may go")
    keepfs.ask("prune", "full apply")
    wait_until(lambda: len(manifests(keepfs.store)) == 2, "two backups stay")
    keepfs.unmount()
    said = prove(keepfs.store, key[1], check=0)
    assert said["manifests"] == 2 and said["gone"] == 2


def test_what_is_in_the_trash_is_there(new_keepfs, key):
    keepfs = new_keepfs(signing_key_file=key[0], trash="3d").mount()
    for _ in range(2):
        keepfs.backup()
    oldest = keepfs.artifacts()[0]
    remove(keepfs, oldest)
    said = prove(keepfs.store, key[1], check=0)
    assert said["manifests"] == 2 and said["gone"] == 0
    keepfs.ask("undelete", f"full/{oldest}")
    assert oldest in keepfs.artifacts()
    assert prove(keepfs.store, key[1], check=0)["end"]["sequence"] == 3


def test_backups_from_before_are_named_by_the_first_link(new_keepfs, key):
    keepfs = new_keepfs().mount()
    for _ in range(2):
        keepfs.backup()
    keepfs.unmount()
    keepfs.settings["signing_key_file"] = key[0]
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    oldest, second, _ = keepfs.artifacts()
    said = prove(keepfs.store, key[1], check=0)
    assert (said["manifests"], said["before"]) == (1, 2)
    remove(keepfs, oldest)
    said = prove(keepfs.store, key[1], check=0)
    assert (said["manifests"], said["before"]) == (1, 1)
    keepfs.unmount()
    manifest = f"manifests/backups/full/{second}.json"
    whole = keepfs.store.get(manifest)
    keepfs.store.put(manifest, whole.replace(b'"size": ', b'"size": 1', 1))
    assert "changed" in kinds(prove(keepfs.store, key[1], check=1))
    for one in [key for key in keepfs.store.keys() if second.split(".")[0] + "." in key]:
        keepfs.store.remove(one)
    said = prove(keepfs.store, key[1], check=1)
    assert kinds(said) == ["missing"] and second in texts(said)
    handmade.publish(keepfs.store, "backups/full/20200101T000000Z.dump", b"PGDMP")
    assert "20200101T000000Z" in texts(prove(keepfs.store, key[1], check=1))


def test_a_catalog_made_anew_goes_on_with_the_chain(three):
    keepfs, public = three
    shutil.rmtree(keepfs.state)
    keepfs.run("rebuild", "--no-history")
    keepfs.mount()
    keepfs.backup()
    oldest = keepfs.artifacts()[0]
    remove(keepfs, oldest)
    keepfs.unmount()
    said = prove(keepfs.store, public, check=0)
    assert said["manifests"] == 3 and said["gone"] == 1 and said["end"]["sequence"] == 6
    assert [link["type"] for link in links(keepfs.store).values()].count("begun") == 1


def unsigned(keepfs):
    """signing is off from here on"""
    del keepfs.settings["signing_key_file"]
    keepfs.write_conf()


def signed_again(keepfs, key):
    keepfs.settings["signing_key_file"] = key[0]
    keepfs.write_conf()


def test_what_was_made_while_signing_was_off_is_named(signed, key):
    keepfs = signed
    keepfs.backup()
    keepfs.unmount()
    unsigned(keepfs)
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    assert kinds(prove(keepfs.store, key[1], check=1)) == ["added"]
    signed_again(keepfs, key)
    keepfs.mount()
    keepfs.backup()
    names = keepfs.artifacts()
    keepfs.unmount()
    said = prove(keepfs.store, key[1], check=0)
    assert (said["manifests"], said["before"], said["before_loose"]) == (2, 1, 0)
    (named,) = [link for link in links(keepfs.store).values() if link["type"] == "unsigned"]
    assert [one["path"] for one in named["artifacts"]] == [f"backups/full/{names[1]}"]
    # A catalog that is made anew lists it, and nothing that somebody has put there.
    handmade.publish(keepfs.store, "backups/full/20300101T000000Z.dump", b"PGDMP", run=99)
    shutil.rmtree(keepfs.state)
    done = keepfs.run("rebuild", "--no-history", check=False)
    assert "3 backups" in done.stdout and "20300101T000000Z.dump: its manifest is not signed" in done.stderr
    for one in [one for one in keepfs.store.keys() if "20300101T000000Z" in one]:
        keepfs.store.remove(one)
    keepfs.mount()
    assert keepfs.artifacts() == names
    remove(keepfs, names[1])
    keepfs.unmount()
    assert prove(keepfs.store, key[1], check=0)["before"] == 0


def test_an_older_catalog_gives_out_no_number_twice(three, tmp_path):
    """it knows nothing of the newest manifests, and goes on with a removal"""
    keepfs, public = three
    keepfs.mount()
    first = keepfs.artifacts()[0]
    keepfs.unmount()
    keepfs.store_settings["faults"] = "remove:1+:eio"
    keepfs.write_conf()
    keepfs.mount()
    with pytest.raises(OSError):
        remove(keepfs, first)
    keepfs.unmount()
    del keepfs.store_settings["faults"]
    keepfs.write_conf()
    shutil.copytree(keepfs.state, tmp_path / "old")
    keepfs.jobs["other"] = dict(keepfs.jobs["full"])
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("other")
    keepfs.unmount()
    whole = prove(keepfs.store, public, check=0)
    assert whole["gone"] == 1
    # What the old catalog does not know: the removal was ended, and a manifest has a number behind it, in a directory that it does not know either.
    kept = {one: keepfs.store.get(one) for one in keepfs.store.keys() if one.startswith("chain/") and links(keepfs.store)[int(one[6:18])]["type"] == "removed"}
    assert len(kept) == 1
    shutil.rmtree(keepfs.state)
    shutil.copytree(tmp_path / "old", keepfs.state)
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    said = prove(keepfs.store, public, check=0)
    assert said["end"]["sequence"] > whole["end"]["sequence"]


def test_an_older_catalog_reads_the_numbers_before_it_gives_one_out(three, tmp_path):
    """nothing is left to do, no lease tells that somebody else was here, and what it does not know is where no job looks any more"""
    keepfs, public = three
    keepfs.settings["lease"] = "none"
    shutil.copytree(keepfs.state, tmp_path / "old")
    keepfs.jobs["other"] = dict(keepfs.jobs["full"])
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("other")
    keepfs.unmount()
    whole = prove(keepfs.store, public, check=0)
    shutil.rmtree(keepfs.state)
    shutil.copytree(tmp_path / "old", keepfs.state)
    del keepfs.jobs["other"]
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    said = prove(keepfs.store, public, check=0)
    assert said["manifests"] == 5 and said["end"]["sequence"] == whole["end"]["sequence"] + 1


def test_prune_without_a_key_is_refused_where_there_is_a_chain(three):
    keepfs, public = three
    keepfs.jobs["full"].update(keep_last=1, keep_within="none", min_keep=1)
    unsigned(keepfs)
    assert "go" in keepfs.run("prune", "full").stdout
    done = keepfs.run("prune", "full", "--apply", check=False)
    assert done.returncode != 0 and "has a chain of signatures, and nobody here can sign what is removed" in done.stderr
    assert len(manifests(keepfs.store)) == 3
    prove(keepfs.store, public, check=0)


def test_links_are_replaced_by_one_when_they_are_old(new_keepfs, key, clocks):
    keepfs = new_keepfs(signing_key_file=key[0], chain_compact="10d", chain_compact_links=2)
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    for _ in range(4):
        keepfs.backup()
    for name in keepfs.artifacts()[:3]:
        remove(keepfs, name)
    clocks.pass_time(11 * 86400)
    wait_until(lambda: any(link["type"] == "compacted" for link in links(keepfs.store).values()), "the links are replaced by one")
    wait_until(lambda: len(links(keepfs.store)) == 2, "the old ones are removed")
    keepfs.backup()
    keepfs.unmount()
    said = prove(keepfs.store, key[1], check=0)
    assert (said["manifests"], said["links"], said["gone"]) == (2, 2, 6)
    shutil.rmtree(keepfs.state)
    keepfs.run("rebuild", "--no-history")
    settled(keepfs, key[1])


def test_runs_at_once_are_one_chain(new_keepfs, key, pg):
    keepfs = new_keepfs({f"job{n}": {"database": pg.uri("sample")} for n in range(4)}, signing_key_file=key[0], parallel_runs=4, memory="512M").mount()
    runs = [keepfs.trigger(f"job{n}") for n in range(4)]
    assert all(keepfs.wait_run(run)["state"] == "completed" for run in runs)
    keepfs.unmount()
    said = prove(keepfs.store, key[1], check=0)
    assert said["manifests"] == 4 and said["end"]["sequence"] == 5


# other keys

def test_another_key_for_which_the_old_one_vouches(three, tmp_path):
    keepfs, old = three
    private, new = make_key(tmp_path, "second")
    keepfs.settings.update(signing_key_old_file=keepfs.settings["signing_key_file"], signing_key_file=private)
    keepfs.write_conf()
    keepfs.mount()
    del keepfs.settings["signing_key_old_file"]
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    keepfs.backup()
    keepfs.unmount()
    for key, other in ((old, new), (new, old)):
        said = prove(keepfs.store, key, check=0)
        assert [(one["key"], one["given"], one["first"], one["last"]) for one in sorted(said["keys"], key=lambda one: one["first"])] == [
            (id_of(old), key == old, 1, 4), (id_of(new), key == new, 5, 6)]
    assert links(keepfs.store)[5]["type"] == "rotated"
    shutil.rmtree(keepfs.state)
    assert keepfs.run("rebuild", "--no-history").stdout.startswith("the catalog is made anew: 4 backups")


def test_a_reload_takes_another_key(signed, key, tmp_path):
    signed.backup()
    private, new = make_key(tmp_path, "second")
    assert f"ok   signing: manifests are signed with the key {id_of(key[1])}, " in signed.run("check", check=False).stdout
    signed.settings.update(signing_key_old_file=key[0], signing_key_file=private)
    signed.write_conf()
    signed.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: 3 in links(signed.store), "the new key signs")
    signed.backup()
    signed.unmount()
    assert prove(signed.store, new, check=0)["manifests"] == 2


def test_another_key_without_the_old_one_needs_both(three, tmp_path):
    keepfs, old = three
    private, new = make_key(tmp_path, "second")
    keepfs.settings["signing_key_file"] = private
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    prove(keepfs.store, old, new, check=0)
    for one in (old, new):
        said = prove(keepfs.store, one, check=1)
        assert "added" in kinds(said) and "was not given" in texts(said)


@pytest.mark.parametrize("make, word", [
    (lambda path: path.write_text("secret"), "no key in PEM"),
    (lambda path: subprocess.run(["openssl", "genpkey", "-algorithm", "rsa", "-out", path], check=True, stderr=subprocess.DEVNULL), "kind RSA"),
    (lambda path: subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", path], check=True), "encrypted with a passphrase"),
    (lambda path: shutil.copy(make_key(path.parent, "other")[1], path), "public half"),
])
def test_a_key_of_another_kind_is_refused(new_keepfs, tmp_path, make, word):
    path = tmp_path / "wrong.pem"
    make(path)
    path.chmod(0o600)
    keepfs = new_keepfs(signing_key_file=path)
    done = keepfs.run("mount", check=False)
    assert done.returncode != 0 and "signing_key_file" in done.stderr and word in done.stderr
    (line,) = [one for one in keepfs.run("check", check=False).stdout.splitlines() if one.startswith("FAIL signing")]
    assert word in line


# kill -9

def catch_up(keepfs, public):
    """what was interrupted is ended by the next start"""
    keepfs.store_settings.pop("faults", None)
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    return prove(keepfs.store, public, check=0)


def crash(keepfs, faults, act):
    keepfs.store_settings["faults"] = faults
    keepfs.write_conf()
    keepfs.killed = True
    keepfs.run("mount", check=False)
    with contextlib.suppress(OSError, AssertionError, subprocess.SubprocessError):
        act()
    wait_until(lambda: not keepfs.daemons(), "the daemon was killed")
    subprocess.run(["fusermount3", "-uz", str(keepfs.mountpoint)], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("when", ["put:1:crash", "put:2:crash", "put:3:crash"])
def test_a_crash_while_publishing(new_keepfs, key, when):
    keepfs = new_keepfs(signing_key_file=key[0])
    crash(keepfs, when, lambda: (keepfs.trigger(), wait_until(lambda: not keepfs.daemons(), "killed")))
    said = catch_up(keepfs, key[1])
    assert said["end"]["sequence"] >= 2


@pytest.mark.parametrize("when", ["remove:1:crash", "remove:2:crash", "remove:4:crash", "put:1:crash"])
def test_a_crash_while_removing(three, when):
    keepfs, public = three
    crash(keepfs, when, lambda: remove(keepfs, sorted(stems(keepfs.store))[0].rsplit("/", 1)[1]))
    said = catch_up(keepfs, public)
    assert said["manifests"] + said["gone"] == 4


def test_a_store_that_does_not_take_the_link_gets_it_later(three):
    keepfs, public = three
    keepfs.store_settings["faults"] = "put:1+:eio"
    keepfs.write_conf()
    keepfs.mount()
    with pytest.raises(OSError):
        remove(keepfs, keepfs.artifacts()[0])
    assert len(keepfs.artifacts()) == 2
    keepfs.unmount()
    assert kinds(prove(keepfs.store, public, check=1)) == ["missing"]
    del keepfs.store_settings["faults"]
    keepfs.write_conf()
    assert settled(keepfs, public)["gone"] == 1


def test_a_number_that_was_never_used_is_void(three):
    keepfs, public = three
    keepfs.store_settings["faults"] = "put:1:eio"
    keepfs.write_conf()
    keepfs.mount()
    assert keepfs.wait_run(keepfs.trigger())["state"] == "failed"
    del keepfs.store_settings["faults"]
    keepfs.unmount()
    keepfs.write_conf()
    settled(keepfs, public)
    keepfs.mount()
    keepfs.backup()
    keepfs.unmount()
    prove(keepfs.store, public, check=0)


# whoever holds the bucket

def delete_a_backup(store):
    for key in of_one(store, in_order(store)[1]):
        store.remove(key)


def edit_a_size(store):
    key = in_order(store)[1]
    store.put(key, re.sub(rb'"size": (\d)', rb'"size": 1\1', store.get(key), count=1))


def copy_under_another_name(store):
    key = in_order(store)[1]
    store.put("manifests/backups/full/20300101T000000Z.dump.json", store.get(key))


def add_one_of_his_own(store):
    handmade.publish(store, "backups/full/20300101T000000Z.dump", b"PGDMP")


def add_an_old_one_of_his_own(store):
    handmade.publish(store, "backups/full/20200101T000000Z.dump", b"PGDMP")


def delete_a_link(store):
    store.remove("chain/000000000001.json")


def edit_a_link(store):
    key = "chain/000000000001.json"
    store.put(key, store.get(key).replace(b'"begun"', b'"Begun"'))


def take_the_signature_off(store):
    key = in_order(store)[1]
    store.put(key, re.sub(rb',\n"signature":.*\n$', b"\n}\n", store.get(key)))


def take_the_chain_off(store):
    key = in_order(store)[1]
    manifest = json.loads(store.get(key))
    del manifest["chain"], manifest["signature"]
    store.put(key, json.dumps(manifest).encode())


def sign_with_his_own_key(store):
    key = in_order(store)[2]
    folder = pathlib.Path(os.environ["PYTEST_FOLDER"])
    private, public = make_key(folder, "his")
    body = store.get(key).rsplit(b"\n", 2)[0] + b"\n"
    (folder / "body").write_bytes(body)
    subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", folder / "body", "-out", folder / "sig"], check=True)
    coded = subprocess.run(["base64", "-w0", folder / "sig"], check=True, capture_output=True, text=True).stdout
    store.put(key, body + f'"signature":{{"key":"{id_of(public)}","ed25519":"{coded}"}}}}\n'.encode())


@pytest.mark.parametrize("attack, kind", [
    (delete_a_backup, "missing"), (edit_a_size, "changed"), (copy_under_another_name, "moved"), (add_one_of_his_own, "added"),
    (add_an_old_one_of_his_own, "added"), (delete_a_link, "missing"), (edit_a_link, "changed"), (take_the_signature_off, "changed"),
    (take_the_chain_off, "added"), (sign_with_his_own_key, "added"),
])
def test_an_attack_is_found(three, tmp_path, monkeypatch, attack, kind):
    keepfs, public = three
    monkeypatch.setenv("PYTEST_FOLDER", str(tmp_path))
    kept = {key: keepfs.store.get(key) for key in keepfs.store.keys()}
    attack(keepfs.store)
    said = prove(keepfs.store, public, check=1)
    assert kind in kinds(said), said["problems"]
    for key in set(keepfs.store.keys()) - set(kept):
        keepfs.store.remove(key)
    for key, data in kept.items():
        keepfs.store.put(key, data)
    prove(keepfs.store, public, check=0)


def test_a_removed_one_that_is_put_back_is_found(three):
    keepfs, public = three
    key = in_order(keepfs.store)[0]
    path = key.removeprefix("manifests/").removesuffix(".json")
    kept = {one: keepfs.store.get(one) for one in of_one(keepfs.store, key)}
    keepfs.mount()
    remove(keepfs, path.rsplit("/", 1)[1])
    keepfs.unmount()
    prove(keepfs.store, public, check=0)
    for key, data in kept.items():
        keepfs.store.put(key, data)
    said = prove(keepfs.store, public, check=1)
    assert kinds(said) == ["replayed"] and path in texts(said)
    for key in kept:
        keepfs.store.remove(key)


def test_a_cut_end_is_found_by_whoever_knows_where_it_was(three, tmp_path):
    keepfs, public = three
    checkpoint = tmp_path / "checkpoint.json"
    checkpoint.write_text(json.dumps(prove(keepfs.store, public, check=0)))
    prove(keepfs.store, public, arguments=["--checkpoint", checkpoint], check=0)
    kept = {key: keepfs.store.get(key) for key in of_one(keepfs.store, in_order(keepfs.store)[-1])}
    for key in kept:
        keepfs.store.remove(key)
    said = prove(keepfs.store, public, check=0)
    assert said["end"]["sequence"] == 3 and not said["end_is_checked"]
    for arguments in (["--checkpoint", checkpoint], ["--expect-sequence", 4]):
        assert kinds(prove(keepfs.store, public, arguments=arguments, check=1)) == ["cut"]
    prove(keepfs.store, public, arguments=["--expect-sequence", 3], check=0)
    for key, data in kept.items():
        keepfs.store.put(key, data)


def test_other_bytes_are_found_when_objects_are_read(three):
    keepfs, public = three
    path = stems(keepfs.store)[1]
    whole = keepfs.store.get(path)
    keepfs.store.put(path, whole[:-1] + bytes([whole[-1] ^ 1]))
    prove(keepfs.store, public, check=0)
    said = prove(keepfs.store, public, arguments=["--objects"], check=1)
    assert kinds(said) == ["object"] and path in texts(said)
    keepfs.store.put(path, whole)


# the daemon does not believe it either

def test_a_manifest_that_somebody_has_changed_is_not_listed(three):
    keepfs, _ = three
    key = manifests(keepfs.store)[1]
    whole = keepfs.store.get(key)
    keepfs.store.put(key, whole.replace(b'"partial": false', b'"partial": true'))
    shutil.rmtree(keepfs.state)
    done = keepfs.run("rebuild", "--no-history", check=False)
    assert done.returncode == 1 and "the signature of its manifest is wrong" in done.stderr
    keepfs.mount()
    assert len(keepfs.artifacts()) == 2
    keepfs.unmount()
    keepfs.store.put(key, whole)
    assert keepfs.run("rebuild", "--no-history").stdout.startswith("the catalog is made anew: 3 backups")


def test_one_that_is_not_signed_is_not_listed_when_signing_had_begun(three):
    keepfs, _ = three
    handmade.publish(keepfs.store, "backups/full/20300101T000000Z.dump", b"PGDMP", run=99)
    handmade.publish(keepfs.store, "backups/full/20200101T000000Z.dump", b"PGDMP", run=98)
    shutil.rmtree(keepfs.state)
    done = keepfs.run("rebuild", "--no-history", check=False)
    assert done.returncode == 1 and "20300101T000000Z.dump: its manifest is not signed" in done.stderr
    assert "4 backups" in done.stdout
    for key in [key for key in keepfs.store.keys() if "20300101T000000Z" in key]:
        keepfs.store.remove(key)


# without keepfs

def test_the_recipe_of_the_documents(three, tmp_path):
    keepfs, public = three
    text = (DOCS / "formats.md").read_text()
    recipe = re.search(r"```sh\n(# verify one signed text.*?)```", text, re.S)[1]
    (tmp_path / "recipe.sh").write_text(recipe)
    for key in manifests(keepfs.store) + ["chain/000000000001.json"]:
        (tmp_path / "m.json").write_bytes(keepfs.store.get(key))
        done = subprocess.run(["sh", "-eu", tmp_path / "recipe.sh"], cwd=tmp_path, env={**os.environ, "PUB": str(public)},
                              capture_output=True, text=True)
        assert done.returncode == 0 and "Signature Verified Successfully" in done.stdout, done.stdout + done.stderr
        assert id_of(public) in done.stdout
    changed = keepfs.store.get(manifests(keepfs.store)[0]).replace(b'"run": ', b'"run": 1')
    (tmp_path / "m.json").write_bytes(changed)
    assert subprocess.run(["sh", "-eu", tmp_path / "recipe.sh"], cwd=tmp_path, env={**os.environ, "PUB": str(public)},
                          capture_output=True).returncode != 0


def test_options_that_need_a_key(new_keepfs):
    keepfs = new_keepfs()
    done = keepfs.run("verify", "--objects", check=False)
    assert done.returncode == 2 and "--key" in done.stderr
    done = keepfs.run("verify", "--key", "/nonexistent", check=False)
    assert done.returncode == 2 and "/nonexistent" in done.stderr
