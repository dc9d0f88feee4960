# SPDX-License-Identifier: Apache-2.0
"""[mirror NAME]: states of a bucket or a directory that share what did not change, held to what tar, zstd and a client of S3 say of them."""
import datetime
import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
import uuid

import pytest

import s3client
import test_encrypt
from daemon import wait_until

KIB, MIB = 1 << 10, 1 << 20
STATE = "manifests/backups/docs/"
HOSTILE = ["a//b", "/x", "dir/", "dir/file", "%", "100%/25", "..", "a/../b", ".", "späße/ü", "k" * 900, "new\nline", "a", "a/b", "a b+c&d=e?f#g", "tab\there"]


class Bucket:
    """somebody else's, on a real server"""

    def __init__(self, server):
        f = self.facts = server.facts
        self.name = f"foreign-{uuid.uuid4().hex[:12]}"
        self.client = s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], self.name)
        self.client.create_bucket()
        self.objects = {}

    def section(self, **further):
        f = self.facts
        return {"url": f"s3://{self.name}", "endpoint": f["ENDPOINT"], "region": f["REGION"], "access_key": f["ACCESS_KEY"],
                "secret_key": f["SECRET_KEY"], "allow_http": "yes", "retry_deadline": "5s", **further}

    def put(self, key, data, **headers):
        self.client.request("PUT", key, body=data, more_headers={name.replace("_", "-"): value for name, value in headers.items()})
        self.objects[key] = data

    def remove(self, key):
        self.client.remove(key)
        del self.objects[key]

    def clear(self):
        for key in list(self.objects):
            self.client.remove(key)
        self.client.request("DELETE")


class Directory:
    def __init__(self, root):
        self.root, self.objects = root, {}
        root.mkdir()

    def section(self, **further):
        return {"url": f"dir:{self.root}", **further}

    def put(self, key, data):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.objects[key] = data

    def remove(self, key):
        (self.root / key).unlink()
        del self.objects[key]

    def clear(self):
        pass


@pytest.fixture
def foreign(request, tmp_path):
    kind = getattr(request, "param", "dir")
    made = Directory(tmp_path / "foreign") if kind == "dir" else Bucket(request.getfixturevalue("s3_servers")(kind))
    yield made
    made.clear()


def unescaped(name):
    """the key of a shown name, as docs/formats.md says"""
    parts, goes_on = [], False
    for part in name.split("/"):
        more, rest = part.endswith("%-"), part.removesuffix("%-")
        text = b""
        at = 0
        raw = rest.encode()
        if raw == b"%":
            raw = b""
        while at < len(raw):
            if raw[at:at + 1] == b"%":
                text += bytes([int(raw[at + 1:at + 3], 16)])
                at += 3
            else:
                text += raw[at:at + 1]
                at += 1
        parts[-1:] = [parts[-1] + text] if goes_on else parts[-1:] + [text]
        goes_on = more
    return b"/".join(parts).decode(errors="surrogateescape")


def states(store):
    return sorted(key.removeprefix("manifests/").removesuffix(".json") for key in store.keys() if key.startswith(STATE) and key.endswith(".json"))


def packs(store):
    return sorted(key for key in store.keys() if key.startswith("packs/"))


def lines_of(store, path, plain=bytes):
    data = plain(store.get(f"manifests/{path}.contents.zst"))
    return [json.loads(line) for line in subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout.splitlines()]


def contents(store, path):
    """key → bytes, by the listing and the packs alone"""
    head, *entries, tail = lines_of(store, path)
    assert head["format"] == "keepfs-mirror" and head["version"] == 1 and head["job"] == "docs"
    assert tail == {"count": len(entries), "bytes": sum(e["size"] for e in entries)}
    found, tars = {}, {}
    for e in entries:
        if e["pack"] not in tars:
            tars[e["pack"]] = store.get(f"packs/docs/{e['pack']}.tar")
        data = tars[e["pack"]][e["at"]:e["at"] + e["size"]]
        assert hashlib.sha256(data).hexdigest() == e["sha256"]
        found[unescaped(e["name"])] = data
    keys = [key.encode(errors="surrogateescape") for key in found]
    assert keys == sorted(keys)
    manifest = json.loads(store.get(f"manifests/{path}.json"))
    needed = {f"packs/docs/{pack.split('/')[0]}" for pack in tars}
    assert set(manifest.get("needs", {})) == needed
    return found


def facts(store, path):
    return json.loads(store.get(f"manifests/{path}.json"))["facts"]


@pytest.mark.parametrize("store,foreign", [("dir", "dir"), ("ceph", "ceph")], indirect=True)
def test_states_share_what_did_not_change(new_keepfs, store, foreign):
    for i in range(300):
        foreign.put(f"docs/{i:04}.txt", os.urandom(1000 + i))
    foreign.put("empty", b"")
    foreign.put("docs/medium", os.urandom(6 * MIB + 11))
    foreign.put("large", os.urandom(17 * MIB + 3))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    run = keepfs.backup("docs")
    assert run["kind"] == "mirror"
    (first,) = states(store)
    assert contents(store, first) == foreign.objects
    assert facts(store, first)["new"] == 303 and facts(store, first)["objects"] == 303
    before = packs(store)
    assert len(before) < 6
    # Each pack is an ordinary tar.
    for key in before:
        with tarfile.open(fileobj=io.BytesIO(store.get(key))) as tar:
            for member in tar:
                assert tar.extractfile(member).read() == foreign.objects[unescaped(member.name)]
    keepfs.backup("docs")
    second = states(store)[1]
    assert contents(store, second) == foreign.objects and packs(store) == before
    assert facts(store, second)["unchanged"] == 303 and facts(store, second)["packs"] == 0
    foreign.put("docs/0007.txt", b"other bytes")
    foreign.put("docs/new", b"new")
    foreign.remove("docs/0009.txt")
    keepfs.backup("docs")
    third = states(store)[2]
    assert contents(store, third) == foreign.objects
    f = facts(store, third)
    assert (f["new"], f["changed"], f["removed"], f["unchanged"], f["packs"]) == (1, 1, 1, 301, 1)
    assert "docs/0009.txt" in contents(store, second) and contents(store, second)["docs/0007.txt"] != b"other bytes"
    assert "packs" not in os.listdir(keepfs.path())
    assert "OK" in keepfs.text("status/health").splitlines()[0], keepfs.text("status/health")


@pytest.mark.parametrize("foreign", ["ceph"], indirect=True)
def test_any_key_and_its_headers(new_keepfs, store, foreign):
    for key in HOSTILE:
        foreign.put(key, key.encode(), content_type="text/x-odd", x_amz_meta_owner="somebody", cache_control="no-store")
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    (path,) = states(store)
    assert contents(store, path) == foreign.objects
    for e in lines_of(store, path)[1:-1]:
        assert e["type"] == "text/x-odd" and e["meta"] == {"x-amz-meta-owner": "somebody", "cache-control": "no-store"}
        assert datetime.datetime.fromisoformat(e["modified"].replace("Z", "+00:00")).year >= 2024
    run = keepfs.backup("docs")
    assert facts(store, states(store)[1])["unchanged"] == len(HOSTILE), keepfs.text("jobs", str(run["run"]), "log")


@pytest.mark.parametrize("foreign", ["ceph"], indirect=True)
def test_other_metadata_of_the_same_bytes(new_keepfs, store, foreign):
    """an ETag is of the bytes alone: what was written anew with the same ones is asked what it says of itself, and not stored again"""
    foreign.put("page", b"<p>", content_type="text/plain", x_amz_meta_owner="a")
    foreign.put("other", b"o", content_type="text/plain")
    foreign.put("empty", b"", content_type="text/plain")
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    foreign.put("page", b"<p>", content_type="text/html", x_amz_meta_owner="b")
    foreign.put("empty", b"", content_type="text/html")
    keepfs.backup("docs")
    before, after = ({e["name"]: e for e in lines_of(store, path)[1:-1]} for path in states(store))
    assert after["page"]["type"] == "text/html" and after["page"]["meta"] == {"x-amz-meta-owner": "b"}
    assert after["empty"]["type"] == "text/html" and after["other"] == before["other"]
    assert after["page"]["modified"] > before["page"]["modified"]
    assert all(after[name]["pack"] == before[name]["pack"] for name in after)
    assert facts(store, states(store)[1])["packs"] == 0
    assert keepfs.path("backups", "docs", "latest", "page").read_bytes() == b"<p>"
    keepfs.backup("docs")
    assert facts(store, states(store)[2])["unchanged"] == 3


def test_links_are_told_and_left_out(new_keepfs, store, foreign):
    foreign.put("file", b"x")
    os.symlink("file", foreign.root / "link")
    os.mkfifo(foreign.root / "fifo")
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    run = keepfs.backup("docs")
    assert contents(store, states(store)[0]) == {"file": b"x"}
    assert facts(store, states(store)[0])["left_out"] == 2
    assert "1 symbolic links" in keepfs.text("jobs", str(run["run"]), "log")


def test_none_is_said(new_keepfs, store):
    keepfs = new_keepfs({"mirror docs": {"url": "none"}}).mount()
    run = keepfs.backup("docs")
    assert "somebody else's" in keepfs.text("jobs", str(run["run"]), "log") and states(store) == []


def test_a_rebuild_knows_packs_and_who_needs_them(new_keepfs, store, foreign):
    for i in range(20):
        foreign.put(f"f{i}", os.urandom(100))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    with keepfs.catalog() as db:
        before = db.execute("SELECT * FROM need").fetchall()
        assert before
    keepfs.unmount()
    done = keepfs.run("rebuild")
    assert ", 0 problems" in done.stdout + done.stderr
    with keepfs.catalog() as db:
        assert db.execute("SELECT * FROM need").fetchall() == before
        assert db.execute("SELECT job, kind FROM run WHERE job = 'packs'").fetchall() == []
    keepfs.mount()
    keepfs.backup("docs")
    assert facts(store, states(store)[1])["unchanged"] == 20


def test_what_a_killed_run_packed_is_used(new_keepfs, store, foreign):
    for i in range(12):
        foreign.put(f"f{i:02}", os.urandom(8 * MIB))
    keepfs = new_keepfs({"mirror docs": foreign.section(max_rate="40M/s")}).mount()
    keepfs.trigger("docs")
    wait_until(lambda: len([k for k in store.keys() if k.startswith("manifests/packs/") and k.endswith(".json")]) >= 1, "a first pack")
    keepfs.kill()
    there = packs(store)
    keepfs.mount()
    run = keepfs.backup("docs")
    (path,) = states(store)
    assert contents(store, path) == foreign.objects
    assert there[0] in packs(store)
    assert "packs of a run that broke off: " in keepfs.text("jobs", str(run["run"]), "log")
    assert facts(store, path)["packs"] < 4


def test_encrypted(new_keepfs, store, foreign, tmp_path):
    identity = test_encrypt.Identity(tmp_path / "identity")
    for i in range(50):
        foreign.put(f"name-{i}", test_encrypt.PLANTED + os.urandom(1000))
    keepfs = new_keepfs({"mirror docs": foreign.section()}, encrypt_to=identity.recipient, identity_file=identity.path).mount()
    keepfs.backup("docs")
    (path,) = states(store)
    everything = b"".join(store.get(key) for key in store.keys() if not key.startswith("catalog/"))
    assert test_encrypt.PLANTED not in everything and b"name-7" not in everything

    def plain(key):
        return subprocess.run(["age", "-d", "-i", identity.path], input=store.get(key), capture_output=True, check=True).stdout

    (pack,) = packs(store)
    with tarfile.open(fileobj=io.BytesIO(plain(pack))) as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar} == foreign.objects
    lines = subprocess.run(["zstd", "-dcq"], input=plain(f"manifests/{path}.contents.zst.age"), capture_output=True, check=True).stdout
    assert [json.loads(line)["name"] for line in lines.splitlines()[1:-1]] == sorted(foreign.objects)
    keepfs.backup("docs")
    assert facts(store, states(store)[1])["unchanged"] == 50


def test_packs_go_when_nothing_needs_them(new_keepfs, store, foreign, clocks):
    def put_all():
        for i in range(10):
            foreign.put(f"f{i}", os.urandom(50 * KIB))

    keepfs = new_keepfs({"mirror docs": foreign.section(keep_last=1, keep_within="none")})
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    put_all()
    keepfs.backup("docs")
    (old,) = packs(store)
    put_all()
    clocks.pass_time(3600)
    keepfs.backup("docs")
    (state,) = states(store)
    assert len(packs(store)) == 2  # rules remove no pack by themselves
    clocks.pass_time(7200)
    wait_until(lambda: old not in packs(store), "the pack that nothing needs is removed")
    assert contents(store, state) == foreign.objects
    wait_until(lambda: any(json.loads(line)["object"] == old and "no backup needs" in json.loads(line)["detail"]
                           for line in keepfs.text("status", "audit.jsonl").splitlines()), "the audit says so")


def test_what_is_in_the_trash_still_needs_its_packs(new_keepfs, store, foreign, clocks):
    keepfs = new_keepfs({"mirror docs": foreign.section(keep_last=1, keep_within="none")}, trash="3d")
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    foreign.put("one", b"1")
    keepfs.backup("docs")
    (old,) = packs(store)
    foreign.put("one", b"2")
    clocks.pass_time(3600)
    keepfs.backup("docs")
    compared = keepfs.text("status", "health")
    clocks.pass_time(2 * 86400)
    keepfs.backup("docs")
    assert old in packs(store), compared
    clocks.pass_time(2 * 86400)
    wait_until(lambda: old not in packs(store), "the pack goes when its state has left the trash")


def test_a_pack_of_which_little_is_needed_is_left(new_keepfs, store, foreign):
    for i in range(10):
        foreign.put(f"f{i}", os.urandom(50 * KIB))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    (old,) = packs(store)
    for i in range(9):
        foreign.put(f"f{i}", os.urandom(50 * KIB))
    keepfs.backup("docs")
    assert old in {f"packs/docs/{e['pack']}.tar" for e in lines_of(store, states(store)[1])[1:-1]}
    run = keepfs.backup("docs")
    path = states(store)[2]
    assert contents(store, path) == foreign.objects
    assert old not in {f"packs/docs/{e['pack']}.tar" for e in lines_of(store, path)[1:-1]}
    assert "1 objects that did not change were stored anew" in keepfs.text("jobs", str(run["run"]), "log")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
@pytest.mark.parametrize("foreign", ["ceph"], indirect=True)
def test_what_must_not_be_read(new_keepfs, store, foreign):
    foreign.put("open", b"1")
    foreign.put("secret", b"2")
    keepfs = new_keepfs({"mirror docs": foreign.section(), "mirror skipping": foreign.section(unreadable="skip")}).mount()
    arn = f"arn:aws:s3:::{foreign.name}"
    foreign.client.set_policy({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["s3:GetObject"],
                                                                        "Resource": f"{arn}/secret"}]})
    try:
        status = keepfs.wait_run(keepfs.trigger("docs"))
        assert status["state"] == "failed" and "secret" in status["error"] and "unreadable = skip" in status["error"], status
        assert states(store) == []
        run = keepfs.backup("skipping")
        (path,) = [key.removeprefix("manifests/").removesuffix(".json") for key in store.keys()
                   if key.startswith("manifests/backups/skipping/") and key.endswith(".json")]
        assert [e["name"] for e in lines_of(store, path)[1:-1]] == ["open"] and facts(store, path)["unreadable"] == 1
        assert "secret" in run["warning"]
    finally:
        foreign.client.remove_policy()


def test_verify_reads_the_packs(new_keepfs, store, foreign):
    foreign.put("one", os.urandom(100 * KIB))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    (path,), (pack,) = states(store), packs(store)
    done = keepfs.run("verify", path)
    assert f"{pack} is right" in keepfs.text("jobs", done.stdout.split()[1], "log")
    data = bytearray(store.get(pack))
    data[2000] ^= 1
    store.put(pack, bytes(data))
    done = keepfs.run("verify", path, check=False)
    assert done.returncode != 0 and pack in done.stdout + done.stderr
    # The next state does not build on it.
    run = keepfs.backup("docs")
    assert contents(store, states(store)[1]) == foreign.objects
    assert "stored anew" in keepfs.text("jobs", str(run["run"]), "log")


def test_on_a_host_without_an_identity(new_keepfs, store, foreign, tmp_path):
    """each run works, and stores everything anew since nobody can read the listing before; verify compares what is stored, and says what it cannot look into"""
    identity = test_encrypt.Identity(tmp_path / "identity")
    for i in range(20):
        foreign.put(f"f{i}", test_encrypt.PLANTED + os.urandom(1000))
    keepfs = new_keepfs({"mirror docs": foreign.section()}, encrypt_to=identity.recipient).mount()
    keepfs.backup("docs")
    run = keepfs.backup("docs")
    said = keepfs.text("jobs", str(run["run"]), "log")
    assert "stored anew" in said and "identity" in said, said
    first, second = states(store)
    assert facts(store, second)["new"] == 20 and len(packs(store)) == 2
    assert test_encrypt.PLANTED not in b"".join(store.get(key) for key in store.keys() if not key.startswith("catalog/"))
    done = keepfs.run("verify", second)
    said = keepfs.text("jobs", done.stdout.split()[1], "log")
    assert f"{second} is right" in said and f"{packs(store)[1].removesuffix('.age')} is right" in said, said
    assert said.count("it is encrypted, and this host has no identity to look into it") == 2, said
    # What is stored is compared nevertheless.
    victim = packs(store)[1]
    data = store.get(victim)
    store.put(victim, data[:2000] + b"x" + data[2001:])
    done = keepfs.run("verify", second, check=False)
    assert done.returncode != 0 and f"{victim.removesuffix('.age')} is damaged" in keepfs.text("jobs", done.stdout.split()[1], "log")
    keepfs.run("verify", first)
    store.put(victim, data)
    keepfs.run("verify", second)
    # Whoever has the identity has all of it.
    keepfs.unmount()
    keepfs.settings["identity_file"] = identity.path
    keepfs.write_conf()
    keepfs.mount()
    for path in (first, second):
        assert {e.name: e.read_bytes() for e in keepfs.path(*path.split("/")).iterdir() if e.name != "SHA256SUMS"} == foreign.objects
    keepfs.backup("docs")
    assert facts(store, states(store)[2])["unchanged"] == 20
