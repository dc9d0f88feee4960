# SPDX-License-Identifier: Apache-2.0
"""Large objects of a mirror that the server copies by itself: what is stored is the same as if keepfs had written it, all of it was read back, and where the server does not do it keepfs does."""
import base64
import hashlib
import json
import os
import re
import subprocess
import threading
import urllib.parse
import uuid

import pytest

import faulty_s3
import s3client
from daemon import wait_until
from test_encrypt import Identity, age_opens
from test_mirror import MIB, contents, facts, foreign, lines_of, packs, states  # noqa: F401 a fixture
from test_mirror_locks import locks
from test_object_lock import lock_settings, locked  # noqa: F401 a fixture

LARGE = 17 * MIB + 3
SOURCE = "src/"


def log_of(keepfs, run):
    return keepfs.text("jobs", str(run["run"] if isinstance(run, dict) else run), "log")


def copied(log):
    """how many objects, by the log"""
    found = re.search(r"copied by the server itself: (\d+) objects", log)
    return int(found.group(1)) if found else 0


def stored(store, job):
    """the newest state of a job: each entry of its listing without what differs between two runs, and what the manifests of its packs say of their objects"""
    path = sorted(key for key in store.keys() if key.startswith(f"manifests/backups/{job}/") and key.endswith(".json"))[-1].removeprefix("manifests/").removesuffix(".json")
    entries, manifests = [], []
    for e in lines_of(store, path)[1:-1]:
        data = store.get(f"packs/{job}/{e['pack']}.tar")
        assert hashlib.sha256(data[e["at"]:e["at"] + e["size"]]).hexdigest() == e["sha256"]
        name = f"manifests/packs/{job}/{e['pack']}.tar"
        manifest = json.loads(store.get(f"{name}.json"))
        assert manifest["files"][0]["sha256"] == hashlib.sha256(data).hexdigest() and manifest["files"][0]["size"] == len(data) and manifest["verified_at"], manifest
        # But for names and times, and for the list of members, which has them.
        own = manifest["objects"][0]
        table = manifest["extents"]
        extents = base64.b64decode(table["table"]) if table.get("table") else store.get(table["object"])
        manifests.append((manifest["files"][0]["sha256"], manifest["facts"], sorted(manifest), {name: value for name, value in own.items() if name != "key"},
                          extents[:8 * own["extents"]]))
        entries.append({**e, "pack": None})
    return entries, manifests


@pytest.mark.parametrize("store,foreign", [("ceph", "ceph")], indirect=True)  # noqa: F811
def test_it_is_the_same_as_without(new_keepfs, store, foreign):  # noqa: F811
    for i in range(20):
        foreign.put(f"{i:02}-small", os.urandom(1000 + i), content_type="text/plain")
    foreign.put("03-large", os.urandom(LARGE), x_amz_meta_owner="somebody")
    foreign.put("05-whole-blocks", os.urandom(18 * MIB))
    foreign.put("07-just-enough", os.urandom(16 * MIB))
    foreign.put("09-" + "long-name/" * 30, os.urandom(90 * MIB + 77))  # headers of its own; in more pieces than one
    foreign.put("11-not-enough", os.urandom(16 * MIB - 1))
    keepfs = new_keepfs({"mirror docs": foreign.section(), "mirror other": foreign.section(server_copy="no")}).mount()
    log = log_of(keepfs, keepfs.backup("docs"))
    assert copied(log) == 4, log
    assert copied(log_of(keepfs, keepfs.backup("other"))) == 0
    (path,) = states(store)
    assert contents(store, path) == foreign.objects
    assert stored(store, "docs") == stored(store, "other")
    same = ("objects", "content_bytes", "new", "packs", "changed")
    other = json.loads(store.get([key for key in store.keys() if key.startswith("manifests/backups/other/") and key.endswith(".json")][0]))["facts"]
    assert {name: facts(store, path)[name] for name in same} == {name: other[name] for name in same}
    with open(keepfs.path(*path.split("/"), "03-large"), "rb") as file:
        assert file.read() == foreign.objects["03-large"]
    assert store.uploads() == []
    # What follows knows it all.
    foreign.put("03-large", os.urandom(LARGE))
    log = log_of(keepfs, keepfs.backup("docs"))
    assert copied(log) == 1, log
    assert contents(store, states(store)[1]) == foreign.objects
    keepfs.unmount()


@pytest.mark.parametrize("store,foreign", [("ceph", "ceph")], indirect=True)  # noqa: F811
def test_what_is_encrypted_is_not_copied(new_keepfs, store, foreign, tmp_path):  # noqa: F811
    foreign.put("large", os.urandom(LARGE))
    identity = Identity(tmp_path / "identity")
    keepfs = new_keepfs({"mirror docs": foreign.section(encrypt_to=identity.recipient)}).mount()
    log = log_of(keepfs, keepfs.backup("docs"))
    assert copied(log) == 0 and "does not copy" not in log, log
    (pack,) = packs(store)
    assert foreign.objects["large"] in age_opens(store.get(pack), identity)


@pytest.mark.parametrize("store,foreign", [("ceph", "ceph")], indirect=True)  # noqa: F811
def test_what_is_not_read_back_is_not_copied(new_keepfs, store, foreign):  # noqa: F811
    foreign.put("large", os.urandom(LARGE))
    keepfs = new_keepfs({"mirror docs": foreign.section(verify="none")}).mount()
    assert copied(log_of(keepfs, keepfs.backup("docs"))) == 0
    (path,) = states(store)
    assert contents(store, path) == foreign.objects


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_credentials_that_may_not_read_the_source(new_keepfs, store, s3_servers):
    """the bucket is another user's: it is found out by the first object, and told once"""
    server = s3_servers("ceph")
    access, secret = f"OTHER{uuid.uuid4().hex[:12]}", "of-the-other-user"
    subprocess.run(["radosgw-admin", "-c", f"{server.directory}/ceph.conf", "user", "create", f"--uid={access.lower()}", "--display-name=other", f"--access-key={access}",
                    f"--secret-key={secret}"], check=True, capture_output=True)
    f = server.facts
    client = s3client.S3Client(f["ENDPOINT"], f["REGION"], access, secret, f"others-{uuid.uuid4().hex[:12]}")
    client.create_bucket()
    objects = {f"{i}": os.urandom(LARGE + i) for i in range(3)}
    try:
        for key, data in objects.items():
            client.put(key, data)
        keepfs = new_keepfs({"mirror docs": {"url": f"s3://{client.bucket}", "endpoint": f["ENDPOINT"], "region": f["REGION"], "access_key": access, "secret_key": secret,
                                             "allow_http": "yes"}}).mount()
        log = log_of(keepfs, keepfs.backup("docs"))
        assert copied(log) == 0 and log.count("the server does not copy large objects by itself") == 1 and "AccessDenied" in log, log
        (path,) = states(store)
        assert contents(store, path) == objects and store.uploads() == []
    finally:
        for key in client.keys(""):
            client.remove(key)
        client.request("DELETE")


@pytest.mark.parametrize("foreign", ["ceph"], indirect=True)  # noqa: F811
def test_packs_are_locked_as_ever(new_keepfs, locked, foreign):  # noqa: F811
    store = locked()
    foreign.put("large", os.urandom(LARGE))
    keepfs = lock_settings(new_keepfs({"mirror docs": foreign.section(keep_last=3, keep_within="3d")}, store=store)).mount()
    assert copied(log_of(keepfs, keepfs.backup("docs"))) == 1
    (state,) = states(store)
    (pack,) = packs(store)
    wait_until(lambda: len(locks(store, pack)) >= 3 and all(locks(store, pack).values()), lambda: locks(store, pack))
    assert len(set(locks(store, pack).values())) == 1 and set(locks(store, state).values()) <= set(locks(store, pack).values())


# A server with bad days. Source and store are in its one bucket.


class Server(faulty_s3.FaultyS3):
    def __init__(self):
        super().__init__()
        self.copies = []        # (key in the source, range) that were asked for
        self.on_copy = None     # function(number of the request, key): bytes, (status, code), or None: it is copied
        self.on_pack = None     # function(answer) of a get of a pack; None: the good answer
        self.compares = True    # the ETag

    def section(self, **further):
        return {**{key: value for key, value in self.settings.items() if key != "addressing"}, "url": f"s3://{faulty_s3.BUCKET}/src", "retry_deadline": "5s", **further}

    def keys(self):
        """of the store"""
        return [key for key in super().keys() if not key.startswith(SOURCE)]

    def sources(self):
        with self.lock:
            return {key.removeprefix(SOURCE): data for key, data in self.objects.items() if key.startswith(SOURCE)}

    def _answer(self, connection, method, key, query, headers, body):
        if method == "PUT" and "x-amz-copy-source" in headers:
            return self._part_copy(connection, key, query, headers)
        if method == "PUT" and "uploadId" in query and query["uploadId"] not in self.open_uploads:  # it was aborted
            return faulty_s3.Answer(self, connection, headers, b"").refuse("404 Not Found", "NoSuchUpload")
        return super()._answer(connection, method, key, query, headers, body)

    def _part_copy(self, connection, _target, query, headers):
        key = urllib.parse.unquote(headers["x-amz-copy-source"]).removeprefix(f"/{faulty_s3.BUCKET}/")
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", headers["x-amz-copy-source-range"]).groups())
        with self.lock:
            self.copies.append((key.removeprefix(SOURCE), first, last))
            number = len(self.copies)
            self.lock.notify_all()
        found = self.on_copy(number, key.removeprefix(SOURCE)) if self.on_copy else None
        answer = faulty_s3.Answer(self, connection, headers, b"")
        if isinstance(found, tuple):
            return answer.refuse(*found)
        with self.lock:
            data = self.objects.get(key)
        if data is None:
            return answer.refuse("404 Not Found", "NoSuchKey")
        if self.compares and headers["x-amz-copy-source-if-match"].strip('"') != faulty_s3.etag_of(data):
            return answer.refuse("412 Precondition Failed", "PreconditionFailed")
        part = found if found is not None else data[first:last + 1]
        with self.lock:
            if query["uploadId"] not in self.open_uploads:
                part = None
            else:
                self.open_uploads[query["uploadId"]][1][int(query["partNumber"])] = part
        if part is None:
            return answer.refuse("404 Not Found", "NoSuchUpload")
        text = f"<CopyPartResult><ETag>&quot;{faulty_s3.etag_of(part)}&quot;</ETag></CopyPartResult>".encode()
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
        return True

    def _get(self, answer, key, found):
        if self.on_pack and key.startswith("packs/") and key.endswith(".tar") and (done := self.on_pack(answer)) is not None:
            return done
        return super()._get(answer, key, found)

    def _list(self, query):
        if not query.get("prefix", "").startswith(SOURCE):
            return super()._list(query)
        items = "".join(f"<Contents><Key>{SOURCE}{key}</Key><Size>{len(data)}</Size><ETag>&quot;{faulty_s3.etag_of(data)}&quot;</ETag>"
                        f"<LastModified>2026-11-20T02:00:00.000Z</LastModified></Contents>" for key, data in sorted(self.sources().items()))
        return f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def put(server, count=3, size=LARGE):
    for i in range(count):
        server.put(f"{SOURCE}{i}", os.urandom(size))
        server.put(f"{SOURCE}{i}-small", os.urandom(1000))


def failed(keepfs):
    run = keepfs.trigger("docs")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed", log_of(keepfs, run)
    return status["error"]


def nothing_is_left(server):
    assert packs(server) == [] and states(server) == [] and server.uploads() == []


def holds(server, keepfs):
    """all that is in the source now"""
    path = states(server)[-1]
    assert contents(server, path) == server.sources()
    assert server.uploads() == []
    keepfs.unmount()


@pytest.mark.parametrize("status,code", [("403 Forbidden", "AccessDenied"), ("501 Not Implemented", "NotImplemented"), ("400 Bad Request", "InvalidRequest")])
def test_a_server_that_refuses_is_asked_once(new_keepfs, server, status, code):
    put(server)
    server.on_copy = lambda number, key: (status, code)
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    log = log_of(keepfs, keepfs.backup("docs"))
    assert len(server.copies) == 1 and log.count("the server does not copy") == 1 and code in log and copied(log) == 0, log
    holds(server, keepfs)


def test_a_server_that_refuses_later(new_keepfs, server):
    put(server)
    server.on_copy = lambda number, key: ("403 Forbidden", "AccessDenied") if key == "1" else None
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    log = log_of(keepfs, keepfs.backup("docs"))
    assert log.count("the server does not copy") == 1 and copied(log) >= 1, log  # what was asked for already is tried, too
    holds(server, keepfs)


@pytest.mark.parametrize("compares", [True, False], ids=["compares", "does-not-compare"])
def test_an_object_that_is_replaced_meanwhile(new_keepfs, server, compares):
    """also where the server copies without a look at the ETag: one half would be of the old object"""
    put(server)

    def replace(number, key):
        if key == "1" and sum(one == "1" for one, *_ in server.copies) == 1:
            server.put(f"{SOURCE}1", os.urandom(LARGE))

    server.compares, server.on_copy = compares, replace
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    log = log_of(keepfs, keepfs.backup("docs"))
    assert copied(log) == 2 and "1 objects changed and 0 vanished" in log and "does not copy" not in log, log
    holds(server, keepfs)


def test_an_object_that_vanishes_meanwhile(new_keepfs, server):
    put(server)
    server.on_copy = lambda number, key: server.remove(f"{SOURCE}1") if key == "1" and "1" in server.sources() else None
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    log = log_of(keepfs, keepfs.backup("docs"))
    assert copied(log) == 2 and "1 vanished" in log, log
    assert "1" not in server.sources()
    holds(server, keepfs)


def test_the_first_vanishes_and_the_next_is_tried(new_keepfs, server):
    put(server)
    server.on_copy = lambda number, key: server.remove(f"{SOURCE}0") if key == "0" and "0" in server.sources() else None
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    assert copied(log_of(keepfs, keepfs.backup("docs"))) == 2
    holds(server, keepfs)


def test_a_busy_server_is_asked_again(new_keepfs, server):
    put(server, 1)
    server.on_copy = lambda number, key: ("503 Slow Down", "SlowDown") if number == 1 else None
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    assert copied(log_of(keepfs, keepfs.backup("docs"))) == 1 and len(server.copies) == 2
    holds(server, keepfs)


def test_a_copy_of_other_bytes_is_found_out(new_keepfs, server):
    put(server)
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    server.on_copy = lambda number, key: bytes(server.copies[-1][2] + 1 - server.copies[-1][1]) if key == "1" else None
    why = failed(keepfs)
    assert "could not be read back" in why and "has the MD5" in why and "server_copy = no" in why, why
    assert states(server) == [] and server.uploads() == []
    server.on_copy = None
    keepfs.backup("docs")
    holds(server, keepfs)


def test_a_copy_that_is_too_short_is_found_out(new_keepfs, server):
    put(server, 1)
    server.on_copy = lambda number, key: b"short"
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    why = failed(keepfs)
    assert "could not be read back" in why and "it ends before the" in why, why
    nothing_is_left(server)
    server.on_copy = None
    keepfs.backup("docs")
    holds(server, keepfs)


@pytest.mark.parametrize("at", [100, 2 * MIB, 9 * MIB, LARGE - 5, LARGE + 700], ids=["header", "put", "copied", "end", "zeros"])
def test_what_is_damaged_when_it_is_read_back(new_keepfs, server, at):
    put(server, 1)
    server.on_pack = faulty_s3.corrupted(at)
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    why = failed(keepfs)
    assert "could not be read back" in why, why
    nothing_is_left(server)
    server.on_pack = None
    keepfs.backup("docs")
    holds(server, keepfs)


@pytest.fixture
def copying(new_keepfs, server):
    """a run whose second copy is not answered"""
    go_on = threading.Event()
    put(server)
    server.on_copy = lambda number, key: go_on.wait(120) and None if key == "1" else None
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server).mount()
    run = keepfs.trigger("docs")
    server.wait(lambda: any(key == "1" for key, *_ in server.copies), "the second copy")
    yield keepfs, run
    server.on_copy = None
    go_on.set()
    keepfs.backup("docs")
    holds(server, keepfs)


def test_cancelled_while_the_server_copies(copying, server):
    keepfs, run = copying
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert states(server) == [] and server.uploads() == []


def test_killed_while_the_server_copies(copying, server):
    keepfs, _ = copying
    keepfs.kill()
    server.on_copy = None
    keepfs.mount()
    wait_until(lambda: server.uploads() == [], "nothing of the upload is left")
    assert states(server) == []


def test_one_is_copied_while_the_one_before_is_read_back(new_keepfs, server):
    """and what is listed behind it waits for its digest"""
    def wait_for_the_next(answer):
        if len(server.copies) < 2:
            server.wait(lambda: len(server.copies) >= 2, "the second copy")

    for i in range(3):
        server.put(f"{SOURCE}{i}-unchanged", b"as before")
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server, memory="320M").mount()
    keepfs.backup("docs")
    for i in range(3):
        server.put(f"{SOURCE}{i}", os.urandom(LARGE))
    server.on_pack = wait_for_the_next
    assert copied(log_of(keepfs, keepfs.backup("docs"))) == 3
    assert [key for key, *_ in server.copies] == ["0", "1", "2"]
    holds(server, keepfs)


def test_with_little_memory(new_keepfs, server):
    put(server)
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server, memory="112M").mount()
    assert copied(log_of(keepfs, keepfs.backup("docs"))) == 3
    holds(server, keepfs)


def test_parts_of_one_size_alone(new_keepfs, server):
    """of a store whose parts must be alike none is copied"""
    put(server, 1)
    keepfs = new_keepfs({"mirror docs": server.section()}, store=server)
    keepfs.store_settings.update(equal_parts="yes")
    keepfs.write_conf()
    keepfs.mount()
    log = log_of(keepfs, keepfs.backup("docs"))
    assert server.copies == [] and "the server does not copy" in log, log
    holds(server, keepfs)
