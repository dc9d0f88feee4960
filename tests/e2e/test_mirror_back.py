# SPDX-License-Identifier: Apache-2.0
"""States of mirrors brought back: into what they are of, into another bucket or directory; only what differs, and nothing removed unless asked."""
import hashlib
import os

import pytest

import faulty_s3
import stores
import test_encrypt
from daemon import wait_until
from test_mirror import HOSTILE, KIB, MIB, Bucket, Directory, foreign, packs, states  # noqa: F401

KEYS = [*(key for key in HOSTILE if len(key) < 900), "k" * 1000, "x/" * 150 + "deep", "a/b/c"]
# What can be no file, or not beside the others.
IMPOSSIBLE = {"a//b", "/x", "dir/", "..", "a/../b", ".", "k" * 1000, "a", "a/b"}
ODD = {"content_type": "text/x-odd; charset=utf-8", "x_amz_meta_owner": "somebody", "cache_control": "no-store, max-age=0",
       "content_disposition": "attachment; filename=\"a b\"", "content_encoding": "identity", "content_language": "de"}


def run_of(keepfs, words):
    """ordered, ended: status, log"""
    run = int(keepfs.ask("restore", words).split()[0])
    status = keepfs.wait_run(run)
    return status, keepfs.text("jobs", str(run), "log")


def brought_back(keepfs, words):
    status, log = run_of(keepfs, words)
    assert status["state"] == "completed", (status, log)
    return log


def failed(keepfs, words):
    status, log = run_of(keepfs, words)
    assert status["state"] == "failed", (status, log)
    return status["error"], log


def counts(log):
    """written=3 … of the line that ends a run"""
    (line,) = [line for line in log.splitlines() if " written=" in line and " failed=" in line]
    return {key: int(value) for key, value in (word.split("=") for word in line.split() if "=" in word and word.split("=")[1].isdigit())}


def objects_of(bucket):
    return {key: bucket.client.request("GET", key) for key in bucket.objects}


def headers_of(bucket, key):
    bucket.client.request("HEAD", key)
    return {name: value for name, value in bucket.client.headers.items()
            if name in ("content-type", "etag", "content-length", *(n.replace("_", "-") for n in ODD))}


def files_below(root):
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, root)] = f.read()
    return found


def whole_files(root):
    """names in it, without those that are being written"""
    return [name for name in os.listdir(root) if not name.startswith(".keepfs-back-")]


def destroy(made):
    for key in list(made.objects):
        if isinstance(made, Directory):
            (made.root / key).unlink(missing_ok=True)
        else:
            made.client.remove(key)


@pytest.mark.parametrize("store,foreign", [("dir", "ceph")], indirect=True)
def test_everything_destroyed_comes_back(new_keepfs, store, foreign):
    for key in KEYS:
        foreign.put(key, key.encode() + os.urandom(10), **ODD)
    foreign.put("plain", b"without any of that")
    foreign.put("empty", b"")
    for i in range(200):
        foreign.put(f"many/{i:03}", os.urandom(10 * KIB))
    foreign.put("large", os.urandom(17 * MIB + 3), content_type="video/x-large")
    parts = s3client_multipart(foreign, "parts", [os.urandom(5 * MIB), os.urandom(5 * MIB), os.urandom(7)])
    assert parts.endswith("-3")
    before = {key: headers_of(foreign, key) for key in foreign.objects}
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    destroy(foreign)
    assert foreign.client.keys("") == []
    log = brought_back(keepfs, "docs plan=yes")
    assert f"missing: {len(foreign.objects)} objects" in log and "nothing was done" in log and foreign.client.keys("") == []
    log = brought_back(keepfs, "docs/latest")
    assert counts(log)["written"] == len(foreign.objects) and counts(log)["failed"] == 0
    assert objects_of(foreign) == foreign.objects
    # With the same ETags, those of uploads in parts among them; so the next state has nothing new.
    assert {key: headers_of(foreign, key) for key in foreign.objects} == before
    assert counts(brought_back(keepfs, "docs"))["written"] == 0
    keepfs.backup("docs")
    assert keepfs.text("status", "health").splitlines()[0].split()[0] == "OK"
    assert len(packs(store)) == len({key for key in packs(store) if states(store)[0].split("/")[-1] in key})


def s3client_multipart(bucket, key, parts):
    """the ETag"""
    text = bucket.client.request("POST", key, query={"uploads": ""}).decode()
    upload = text.split("<UploadId>")[1].split("<")[0]
    etags = []
    for number, part in enumerate(parts, 1):
        bucket.client.request("PUT", key, query={"partNumber": number, "uploadId": upload}, body=part)
        etags.append(bucket.client.headers["etag"])
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in enumerate(etags, 1))
    bucket.client.request("POST", key, query={"uploadId": upload}, body=f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode())
    bucket.objects[key] = b"".join(parts)
    bucket.client.request("HEAD", key)
    return bucket.client.headers["etag"].strip('"')


@pytest.mark.parametrize("store,foreign", [("dir", "ceph")], indirect=True)
def test_only_what_differs_is_written(new_keepfs, store, foreign):
    for i in range(30):
        foreign.put(f"f{i:02}", os.urandom(1000))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    url = f"s3://{foreign.name}"
    foreign.client.remove("f03")
    foreign.client.request("PUT", "f04", body=b"shorter")
    foreign.client.request("PUT", "f05", body=os.urandom(1000))
    foreign.client.request("PUT", "new", body=b"of somebody")
    log = brought_back(keepfs, "docs plan=yes")
    assert "missing: 1 objects (1000 B): f03" in log and "different: 2 objects" in log and "only there: 1 objects" in log, log
    assert "it would be refused" in log
    error, log = failed(keepfs, "docs")
    assert f"confirm={url}" in error and "f04" in error and "f03" not in foreign.client.keys("")
    assert "nothing was done" in keepfs.refused("restore", "docs confirm=s3://other")
    log = brought_back(keepfs, f"docs confirm={url}")
    c = counts(log)
    assert (c["written"], c["same"], c["deleted"], c["left"]) == (3, 27, 0, 1)
    assert c["requests"] <= 3 + 2  # a put each, and a list before and while
    assert objects_of(foreign) == foreign.objects and "new" in foreign.client.keys("")
    # Nothing is removed unless that is asked for, and confirmed.
    error, _ = failed(keepfs, "docs delete=yes")
    assert "1 removed: new" in error and "new" in foreign.client.keys("")
    c = counts(brought_back(keepfs, f"docs delete=yes confirm={url}"))
    assert (c["written"], c["deleted"], c["left"]) == (0, 1, 0)
    assert foreign.client.keys("") == sorted(foreign.objects)


@pytest.mark.parametrize("store,foreign", [("dir", "ceph")], indirect=True)
def test_a_directory_as_the_target_of_any_keys(new_keepfs, store, foreign, tmp_path):
    for key in KEYS:
        foreign.put(key, key.encode())
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    place = tmp_path / "place"
    error, log = failed(keepfs, f"docs to=dir:{place}")
    assert "because of their names" in error
    possible = set(KEYS) - IMPOSSIBLE
    assert files_below(place) == {key: key.encode() for key in possible}
    assert set(os.listdir(tmp_path)) >= {"place"} and not os.path.exists(tmp_path / "b")
    for name in ("..", "dir/", "a//b", "/x"):
        assert f"cannot be there: {name}: " in log
    # Its time is that of the object, and so the next run finds it the same.
    _, log = failed(keepfs, f"docs to=dir:{place}")
    assert counts(log)["written"] == 0 and counts(log)["same"] == len(possible)


def test_a_directory_comes_back(new_keepfs, store, foreign):
    for i in range(100):
        foreign.put(f"docs/{i % 7}/{i:03}.txt", os.urandom(100 + i))
    foreign.put("empty", b"")
    foreign.put("large", os.urandom(17 * MIB + 3))
    times = {key: os.stat(foreign.root / key).st_mtime_ns // 1000 for key in foreign.objects}
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    os.rename(foreign.root, foreign.root.with_name("gone"))
    assert counts(brought_back(keepfs, "docs"))["written"] == 102
    assert files_below(foreign.root) == foreign.objects
    assert {key: os.stat(foreign.root / key).st_mtime_ns // 1000 for key in foreign.objects} == times
    # The same size and another time: the bytes are compared.
    os.utime(foreign.root / "docs/1/001.txt", (1, 1))
    (foreign.root / "docs/2/002.txt").write_bytes(b"x" * 102)
    error, log = failed(keepfs, "docs")
    assert "docs/2/002.txt" in error and f"confirm=dir:{foreign.root}" in error and "001" not in error
    c = counts(brought_back(keepfs, f"docs confirm=dir:{foreign.root}"))
    assert (c["written"], c["same"]) == (1, 101)
    assert files_below(foreign.root) == foreign.objects


def test_a_part_of_a_state(new_keepfs, store, foreign):
    for key in ("a/1", "a/2", "ab", "b/1"):
        foreign.put(key, key.encode())
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    destroy(foreign)
    (foreign.root / "a" / "other").write_bytes(b"o")
    (foreign.root / "b" / "other").write_bytes(b"o")
    c = counts(brought_back(keepfs, f"docs/latest/a delete=yes confirm=dir:{foreign.root}"))
    assert (c["written"], c["deleted"]) == (2, 1)
    assert files_below(foreign.root) == {"a/1": b"a/1", "a/2": b"a/2", "b/other": b"o"}
    assert counts(brought_back(keepfs, "docs/latest/b/1"))["written"] == 1
    error, _ = failed(keepfs, "docs/latest/nothing")
    assert "nothing of that name" in error
    for words, why in (("docs into=shop", "into"), ("docs to=/tmp", "to=s3://bucket/prefix"), ("docs to=s3://", "no place"),
                       (f"docs to=dir:{keepfs.state}", "choose another directory"), ("docs rate=fast", "rate=fast")):
        assert why in keepfs.refused("restore", words)


def test_links_in_a_directory_are_not_followed(new_keepfs, store, foreign, tmp_path):
    for key in ("a/1", "b/c/1", "link", "fine"):
        foreign.put(key, key.encode())
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"mine")
    place = tmp_path / "place"
    (place / "b").mkdir(parents=True)
    os.symlink(outside, place / "a")
    os.symlink("../../outside", place / "b" / "c")
    os.symlink(outside / "file", place / "link")
    error, log = failed(keepfs, f"docs to=dir:{place}")
    assert "3 objects could not be brought back" in error and "link" in error, error
    assert files_below(outside) == {"file": b"mine"} and os.path.islink(place / "a") and os.path.islink(place / "link")
    assert (place / "fine").read_bytes() == b"fine" and os.listdir(place / "b") == ["c"]


def test_a_damaged_pack_takes_only_its_own(new_keepfs, store, foreign):
    foreign.put("one", os.urandom(100 * KIB))
    foreign.put("large", os.urandom(17 * MIB))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    small = min(packs(store), key=lambda key: len(store.get(key)))
    data = bytearray(store.get(small))
    data[2000] ^= 1
    store.put(small, bytes(data))
    (foreign.root / "extra").write_bytes(b"e")
    destroy(foreign)
    error, log = failed(keepfs, f"docs delete=yes confirm=dir:{foreign.root}")
    assert "1 objects could not be brought back" in error and "one" in error and "nothing was removed" in log
    assert files_below(foreign.root) == {"large": foreign.objects["large"], "extra": b"e"}
    assert small in keepfs.text("status", "health")


def test_killed_in_the_middle_and_again(new_keepfs, store, foreign):
    for i in range(40):
        foreign.put(f"f{i:02}", os.urandom(300 * KIB))
    foreign.put("large", os.urandom(20 * MIB))
    keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
    keepfs.backup("docs")
    destroy(foreign)
    keepfs.ask("restore", "docs rate=4M")
    wait_until(lambda: len(whole_files(foreign.root)) > 5, "some files")
    keepfs.kill()
    there = whole_files(foreign.root)
    assert 0 < len(there) < 41 and all((foreign.root / key).read_bytes() == foreign.objects[key] for key in there)
    keepfs.mount()
    assert counts(brought_back(keepfs, "docs"))["same"] == len(there)
    assert files_below(foreign.root) == foreign.objects
    # One that is cancelled says how far it came.
    destroy(foreign)
    run = int(keepfs.ask("restore", "docs rate=4M").split()[0])
    wait_until(lambda: len(whole_files(foreign.root)) > 5, "some files")
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert not [key for key in files_below(foreign.root) if ".keepfs" in key]


class Refusing(faulty_s3.FaultyS3):
    """a server whose puts of some keys fail; what was asked of it is remembered"""

    def _list(self, query):
        return super()._list(query).replace(b"<Contents>", b"<Contents><LastModified>2026-11-20T02:00:00.000Z</LastModified>")

    def __init__(self):
        super().__init__()
        self.puts, self.fails, self.broken = [], lambda key: None, []

    def _answer(self, connection, method, key, query, headers, body):
        if method == "PUT":
            self.puts.append(key)
            code = self.fails(key)
            if code:
                data = faulty_s3.error_xml(code[1])
                connection.sendall(f"HTTP/1.1 {code[0]}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
                return True
            if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
                self.broken.append(key)
        return super()._answer(connection, method, key, query, headers, body)


@pytest.fixture
def refusing():
    server = Refusing()
    yield server
    server.close()


def test_a_server_that_fails(new_keepfs, store, foreign, refusing):
    for i in range(20):
        refusing.put(f"f{i:02}", os.urandom(1000))
    kept = dict(refusing.objects)
    keepfs = new_keepfs({"mirror docs": {**refusing.settings, "retry_deadline": "2s"}}).mount()
    keepfs.backup("docs")
    refusing.reset({})
    once = {"f01": ("503 Slow Down", "SlowDown"), "f02": ("400 Bad Request", "XAmzContentSHA256Mismatch")}
    refusing.fails = lambda key: once.pop(key, None)
    assert counts(brought_back(keepfs, "docs"))["written"] == 20
    assert refusing.objects == kept and sorted(refusing.puts) == sorted([*kept, "f01", "f02"]) and refusing.broken == []
    # Keys that are refused keep no others from being written.
    refusing.reset({})
    refusing.fails = lambda key: ("403 Forbidden", "AccessDenied") if key == "f07" else None
    error, log = failed(keepfs, "docs")
    assert "1 objects could not be brought back, and 19 were written: f07" in error
    assert len(refusing.objects) == 19 and "failed: f07: " in log
    # But when it does not answer, it is not asked for every one of them.
    refusing.reset({})
    refusing.puts.clear()
    refusing.fails = lambda key: ("500 Internal Server Error", "InternalError")
    error, log = failed(keepfs, "docs")
    assert refusing.objects == {}
    refusing.fails = lambda key: None
    assert counts(brought_back(keepfs, "docs"))["written"] == 20
    assert refusing.objects == kept


@pytest.mark.parametrize("foreign", ["dir"], indirect=True)
def test_what_comes_meanwhile_is_not_removed(new_keepfs, store, foreign, refusing):
    """delete=yes is for what was told to be only there, and not for what the application puts there while all else is written"""
    refusing.put("a", b"a")
    keepfs = new_keepfs({"mirror docs": {**refusing.settings, "retry_deadline": "20s"}}).mount()
    keepfs.backup("docs")
    refusing.reset({})
    refusing.put("old", b"o")
    refusing.fails = lambda key: refusing.put("new", b"nobody has another one")
    words = f"docs delete=yes confirm={refusing.settings['url']}"
    error, log = failed(keepfs, words)
    assert "nothing was removed: 2 objects are only there by now (new, old), and not the 1 that" in error, error
    assert refusing.objects == {"a": b"a", "old": b"o", "new": b"nobody has another one"}
    assert (counts(log)["written"], counts(log)["deleted"]) == (1, 0)
    # Nor is one that was replaced.
    refusing.objects.pop("a")
    refusing.fails = lambda key: refusing.put("old", b"O")
    error, _ = failed(keepfs, words)
    assert "nothing was removed: 2 objects" in error and refusing.objects["old"] == b"O"
    log = brought_back(keepfs, words)
    assert "only there: 2 objects" in log and refusing.objects == {"a": b"a"} and counts(log)["deleted"] == 2


@pytest.mark.parametrize("foreign", ["dir"], indirect=True)
def test_one_object_that_others_go_on_from(new_keepfs, store, foreign, refusing):
    """a%= is the object a alone: what is below a/ stays as it is, and is not removed either"""
    for key in ("a", "a-", "a/b", "a/c"):
        refusing.put(key, key.encode())
    keepfs = new_keepfs({"mirror docs": {**refusing.settings, "retry_deadline": "20s"}}).mount()
    keepfs.backup("docs")
    refusing.reset({"a": b"x", "a-": b"x", "a/b": b"newer", "a/d": b"came later"})
    log = brought_back(keepfs, f"docs/latest/a%= delete=yes confirm={refusing.settings['url']}")
    assert refusing.objects == {"a": b"a", "a-": b"x", "a/b": b"newer", "a/d": b"came later"}
    assert (counts(log)["written"], counts(log)["deleted"]) == (1, 0)
    brought_back(keepfs, f"docs/latest/a delete=yes confirm={refusing.settings['url']}")
    assert refusing.objects == {"a": b"a", "a-": b"x", "a/b": b"a/b", "a/c": b"a/c"}


@pytest.mark.parametrize("foreign", ["dir"], indirect=True)
def test_what_could_not_be_read_is_not_removed(new_keepfs, store, foreign, refusing):
    """an object that the source did not give is not in the state: delete=yes would destroy the only one there is"""
    refusing.put("cold", b"nobody has another one")
    refusing.put("warm", b"w")
    get = refusing._get
    refusing._get = lambda answer, key, found: answer.refuse("403 Forbidden", "AccessDenied") if key == "cold" else get(answer, key, found)
    keepfs = new_keepfs({"mirror docs": {**refusing.settings, "retry_deadline": "20s", "unreadable": "skip"}}).mount()
    keepfs.backup("docs")
    refusing.put("new", b"n")
    there = dict(refusing.objects)
    url = refusing.settings["url"]
    said = keepfs.refused("restore", f"docs delete=yes confirm={url}")
    assert "1 objects or directories" in said and "delete=yes" in said
    log = brought_back(keepfs, "docs delete=yes plan=yes")
    assert "it would be refused: delete=yes would remove" in log
    assert refusing.objects == there
    # Without it nothing of this is in the way.
    assert counts(brought_back(keepfs, f"docs confirm={url}"))["left"] == 2
    assert refusing.objects == there


@pytest.mark.parametrize("foreign", ["dir"], indirect=True)
@pytest.mark.parametrize("size", [1000, 17 * MIB])
def test_what_comes_meanwhile_stays(new_keepfs, store, foreign, refusing, size):
    """an object that was missing when the target was listed, and that its application has put there since: it is newer"""
    refusing.put("a", os.urandom(1000))
    refusing.put("b", os.urandom(size))
    kept = dict(refusing.objects)
    keepfs = new_keepfs({"mirror docs": {**refusing.settings, "retry_deadline": "20s"}}).mount()
    keepfs.backup("docs")
    refusing.reset({})

    def meanwhile(key):
        if key == "b":
            refusing.put("b", b"newer")

    refusing.fails = meanwhile
    error, log = failed(keepfs, "docs")
    assert "1 objects of s3://" in error and "turned out to be others, and stayed: b" in error, error
    assert refusing.objects == {"a": kept["a"], "b": b"newer"}
    assert (counts(log)["written"], counts(log)["left"], counts(log)["failed"]) == (1, 1, 0)


@pytest.mark.parametrize("store,foreign", [("dir", "ceph")], indirect=True)
def test_another_bucket_and_encrypted(new_keepfs, store, foreign, s3_servers, tmp_path):
    identity = test_encrypt.Identity(tmp_path / "identity")
    other = Bucket(s3_servers("ceph"))
    try:
        for key in ("a", "b/c", "large"):
            foreign.put(key, os.urandom(17 * MIB if key == "large" else 1000), content_type="text/x-odd")
        keepfs = new_keepfs({"mirror docs": foreign.section()}, encrypt_to=identity.recipient, identity_file=identity.path).mount()
        keepfs.backup("docs")
        log = brought_back(keepfs, f"docs to=s3://{other.name}/some/where")
        assert counts(log)["written"] == 3
        assert {key: other.client.request("GET", f"some/where/{key}") for key in foreign.objects} == foreign.objects
        assert counts(brought_back(keepfs, f"docs to=s3://{other.name}/some/where"))["written"] == 0
        assert any('"mirror-back"' in line and other.name in line and "written=3" in line for line in keepfs.text("status", "audit.jsonl").splitlines())
    finally:
        for key in other.client.keys(""):
            other.client.remove(key)
        other.client.request("DELETE")


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_a_directory_brought_into_a_bucket(new_keepfs, store, foreign, s3_servers):
    """its ETags tell nothing of a bucket's: those of the bytes are computed"""
    other = Bucket(s3_servers("ceph"))
    try:
        for key in ("a", "b/c", "empty", "large"):
            foreign.put(key, {"large": os.urandom(17 * MIB), "empty": b""}.get(key, key.encode()))
        keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
        keepfs.backup("docs")
        words = f"docs to=s3://{other.name}"
        assert counts(brought_back(keepfs, words))["written"] == 4
        assert {key: other.client.request("GET", key) for key in other.client.keys("")} == foreign.objects
        c = counts(brought_back(keepfs, words))
        assert (c["written"], c["same"]) == (0, 4) and c["requests"] == 1
        other.client.request("PUT", "b/c", body=b"xyz")
        error, _ = failed(keepfs, words)
        assert "1 objects" in error and "b/c" in error and f"confirm=s3://{other.name}" in error
        assert counts(brought_back(keepfs, f"{words} confirm=s3://{other.name}"))["written"] == 1
        assert other.client.request("GET", "b/c") == b"b/c"
    finally:
        for key in other.client.keys(""):
            other.client.remove(key)
        other.client.request("DELETE")


def test_a_part_of_a_bundle(new_keepfs, store, foreign, tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    (config / "env").write_text("A=1\n")
    for key in ("a/1", "a/2", "b"):
        foreign.put(key, key.encode())
    keepfs = new_keepfs({"files config": {"path": config}, "mirror objects": foreign.section(), "bundle site": {"parts": "config, objects"}}).mount()
    keepfs.backup("site")
    destroy(foreign)
    (foreign.root / "new").write_bytes(b"n")
    (state,) = [name for name in os.listdir(keepfs.path("backups", "site")) if name[0].isdigit()]
    assert counts(brought_back(keepfs, f"site/{state}/objects/b"))["written"] == 1
    assert counts(brought_back(keepfs, "site/latest/objects"))["written"] == 2
    assert files_below(foreign.root) == {**foreign.objects, "new": b"n"}
    place = tmp_path / "place"
    assert counts(brought_back(keepfs, f"site/{state}/objects to=dir:{place}"))["written"] == 3
    assert files_below(place) == foreign.objects
    assert "is no state of a mirror" in keepfs.refused("restore", f"site/{state}/config.tar.zst to=dir:{place}")


def test_from_a_copy_alone(new_keepfs, store, foreign, tmp_path):
    offsite = stores.DirStore(tmp_path / "offsite")
    for key in ("a/1", "b"):
        foreign.put(key, os.urandom(100 * KIB))
    foreign.put("large", os.urandom(17 * MIB))
    keepfs = new_keepfs({"mirror docs": foreign.section(copies="primary, offsite")})
    keepfs.sections = {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("docs")
    (state,) = states(store)
    wait_until(lambda: f"manifests/{state}.json" in offsite.keys() and "whole" in keepfs.run("replicate", "--list").stdout, "a copy")
    destroy(foreign)
    for key in packs(store):
        store.put(key, bytes(len(store.get(key))))
    copy = state.replace("backups/", "copies/offsite/")
    log = brought_back(keepfs, copy)
    assert counts(log)["written"] == 3 and files_below(foreign.root) == foreign.objects
