# SPDX-License-Identifier: Apache-2.0
"""Mirrors of sources that have bad days: what becomes of the objects, and what the user is told of them."""
import io
import os
import pathlib
import subprocess
import tarfile
import urllib.parse

import pytest

import faulty_s3
from daemon import wait_until
from test_mirror import KIB, MIB, contents, facts, foreign, lines_of, packs, states  # noqa: F401

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")


class Source(faulty_s3.FaultyS3):
    """somebody else's bucket: with pages, and with troubles for a key"""

    def __init__(self):
        super().__init__()
        self.on_get = {}        # key: function(answer), which answers, or returns None for the good answer
        self.refusal = None     # (status, code) of every request
        self.classes, self.etags, self.versions = {}, {}, {}
        self.page = 1000
        self.pages = None       # function(token, keys of the page): other ones

    def section(self, **further):
        settings = {key: value for key, value in self.settings.items() if key != "addressing"}
        return {**settings, "retry_deadline": "5s", **further}

    def etag(self, key):
        return self.etags.get(key) or faulty_s3.etag_of(self.objects[key])

    def _answer(self, connection, method, key, query, headers, body):
        if self.refusal:
            return faulty_s3.Answer(self, connection, headers, b"").refuse(*self.refusal)
        if key and method == "HEAD" and key in self.objects:
            connection.sendall(f'HTTP/1.1 200 OK\r\nContent-Length: {len(self.objects[key])}\r\nETag: "{self.etag(key)}"\r\n\r\n'.encode())
            return True
        return super()._answer(connection, method, key, query, headers, body)

    def _get(self, answer, key, found):
        trouble = self.on_get.get(key)
        if trouble and (done := trouble(answer)) is not None:
            return done
        with self.lock:
            self.asked.append((key, answer.first))
            found = self.objects.get(key)
        if found is None:
            return answer.refuse("404 Not Found", "NoSuchKey")
        answer = faulty_s3.Answer(self, answer.connection, answer.headers, found)
        answer.etag = self.etag(key)
        if answer.headers.get("if-match", f'"{answer.etag}"').strip('"') != answer.etag:
            return answer.refuse("412 Precondition Failed", "PreconditionFailed")
        answer.head("206 Partial Content" if answer.ranged else "200 OK", x_amz_version_id=self.versions.get(key))
        answer.send(answer.body)
        return True

    def _list(self, query):
        token = query.get("continuation-token", "")
        with self.lock:
            keys = [key for key in sorted(self.objects) if key > token]
            page = keys[:self.page]
            more = keys[self.page:] != []
            if self.pages:
                page = self.pages(token, page)
            items = "".join(f"<Contents><Key>{urllib.parse.quote(f'{faulty_s3.PREFIX}/{key}')}</Key><Size>{len(self.objects[key])}</Size><ETag>&quot;{self.etag(key)}&quot;</ETag>"
                            f"<LastModified>2026-11-20T02:00:00.000Z</LastModified><StorageClass>{self.classes.get(key, 'STANDARD')}</StorageClass></Contents>" for key in page)
        following = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        return f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{'true' if more else 'false'}</IsTruncated>{following}{items}</ListBucketResult>".encode()


@pytest.fixture
def source():
    made = Source()
    yield made
    made.close()


def failed(keepfs, command="docs"):
    run = keepfs.trigger(command)
    status = keepfs.wait_run(run)
    assert status["state"] == "failed", keepfs.text("jobs", str(run), "log")
    return status["error"]


def log_of(keepfs, run):
    return keepfs.text("jobs", str(run["run"]), "log")


def replace(source, key, data):
    with source.lock:
        source.objects[key] = data


def first_time(function):
    """for one get, and then never again"""
    left = [1]

    def trouble(answer):
        if left and left.pop():
            return function(answer)
        return None
    return trouble


def test_an_object_that_is_replaced_while_it_is_got(new_keepfs, store, source):
    """between its pieces: what was got of the old one is in no state"""
    new = os.urandom(11 * MIB)

    def at_second_piece(answer):
        if answer.first > 0 and source.objects["b"] != new:
            replace(source, "b", new)

    source.objects = {"a": b"a" * 100, "b": os.urandom(12 * MIB), "c": b"c" * 100}
    source.on_get["b"] = at_second_piece
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    run = keepfs.backup("docs")
    (path,) = states(store)
    assert contents(store, path) == {"a": b"a" * 100, "b": new, "c": b"c" * 100}
    assert facts(store, path)["changed"] == 1 and "1 objects changed" in log_of(keepfs, run)


def test_an_object_that_vanishes(new_keepfs, store, source):
    source.objects = {"a": b"a", "b": b"b" * 100, "c": b"c"}
    source.on_get["b"] = lambda answer: source.remove("b") if "b" in source.objects else None
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    run = keepfs.backup("docs")
    (path,) = states(store)
    assert contents(store, path) == {"a": b"a", "c": b"c"} and facts(store, path)["vanished"] == 1
    assert "1 vanished" in log_of(keepfs, run)


def test_an_object_that_changes_and_vanishes(new_keepfs, store, source):
    """HEAD says 404 of it, and not why"""
    def replaced(answer):
        source.remove("b")
        return answer.refuse("412 Precondition Failed", "PreconditionFailed")

    source.objects = {"a": b"a", "b": b"b" * 100, "c": b"c"}
    source.on_get["b"] = first_time(replaced)
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    keepfs.backup("docs")
    (path,) = states(store)
    assert contents(store, path) == {"a": b"a", "c": b"c"} and facts(store, path)["vanished"] == 1


def test_an_object_that_never_stays_as_it_is(new_keepfs, store, source):
    tries = []

    def at_each(answer):
        tries.append(answer.first)
        replace(source, "logs/now", os.urandom(1000 + len(tries)))

    source.objects = {"a": b"a", "logs/now": b"first", "z": b"z"}
    source.on_get["logs/now"] = at_each
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    why = failed(keepfs)
    assert "changed 6 times" in why and "logs/now" in why and "next run" in why, why
    assert len(tries) == 6 and states(store) == []
    # What was right is used, and the next run has all.
    source.on_get.clear()
    keepfs.backup("docs")
    assert contents(store, states(store)[0]) == source.objects


@pytest.mark.parametrize("trouble", [faulty_s3.refused("503 Slow Down", "SlowDown"), faulty_s3.refused("500 Internal Server Error", "InternalError"),
                                     faulty_s3.cut(0), faulty_s3.cut(0.5), faulty_s3.cut(0.5, reset=True), faulty_s3.truncated, faulty_s3.garbage])
def test_what_passes_is_asked_for_again(new_keepfs, store, source, trouble):
    source.objects = {f"f{i:03}": os.urandom(20 * KIB + i) for i in range(40)}

    def one(answer):
        answer.etag = source.etag("f007")
        return trouble(faulty_s3.Answer(source, answer.connection, answer.headers, source.objects["f007"]))

    source.on_get["f007"] = first_time(one)
    keepfs = new_keepfs({"mirror docs": source.section(retry_deadline="1m")}).mount()
    keepfs.backup("docs")
    assert contents(store, states(store)[0]) == source.objects
    assert facts(store, states(store)[0])["requests"] == 42  # one list, and each object, one of them twice


def test_what_does_not_pass_ends_the_run(new_keepfs, store, source):
    source.objects = {"a": b"a" * 100, "dir/b": b"b" * 100}
    source.on_get["dir/b"] = faulty_s3.refused("503 Slow Down", "SlowDown")
    keepfs = new_keepfs({"mirror docs": source.section(retry_deadline="1s")}).mount()
    why = failed(keepfs)
    assert "dir/b" in why and "SlowDown" in why and states(store) == [], why
    assert "CRIT" in keepfs.text("status", "health").splitlines()[0]
    source.on_get.clear()
    keepfs.backup("docs")
    assert contents(store, states(store)[0]) == source.objects


def test_a_source_that_goes_silent(new_keepfs, store, source):
    source.objects = {f"f{i}": os.urandom(1000) for i in range(5)}
    source.on_get["f3"] = first_time(faulty_s3.silent)
    keepfs = new_keepfs({"mirror docs": source.section(first_byte_timeout="300ms", retry_deadline="1m")}).mount()
    keepfs.backup("docs")
    assert contents(store, states(store)[0]) == source.objects


@pytest.mark.parametrize("refusal,said", [(("403 Forbidden", "InvalidAccessKeyId"), "InvalidAccessKeyId"), (("403 Forbidden", "SignatureDoesNotMatch"), "SignatureDoesNotMatch"),
                                          (("404 Not Found", "NoSuchBucket"), "NoSuchBucket"), (("403 Forbidden", "AccessDenied"), "AccessDenied")])
def test_a_source_that_is_not_there_or_not_ours(new_keepfs, store, source, refusal, said):
    source.objects = {"a": b"a"}
    source.refusal = refusal
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    why = failed(keepfs)
    assert said in why and f"s3://{faulty_s3.BUCKET}" in why, why
    assert "[store]" not in why and "[mirror docs] " in why, why
    assert "Multipart" not in why, why
    done = keepfs.run("check", check=False)
    assert said in done.stdout + done.stderr
    # Nothing was read, so it is not said of any object.
    assert "objects cannot be read" not in why and states(store) == [] and packs(store) == []


def test_a_source_where_nobody_listens(new_keepfs, store, source):
    source.close()
    keepfs = new_keepfs({"mirror docs": source.section(retry_deadline="1s")}).mount()
    why = failed(keepfs)
    assert f"127.0.0.1:{source.port}" in why or f"s3://{faulty_s3.BUCKET}" in why, why


@pytest.mark.parametrize("pages", [lambda token, page: list(reversed(page)), lambda token, page: page if not token else ["a", *page],
                                   lambda token, page: [page[0], *page]])
def test_lists_that_repeat_or_are_in_no_order(new_keepfs, store, source, pages):
    """there is no telling which objects are missing in such a list"""
    source.objects = {name: name.encode() for name in "abcdefgh"}
    source.page, source.pages = 4, pages
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    why = failed(keepfs)
    assert "byte order" in why and f"s3://{faulty_s3.BUCKET}" in why and "cannot be mirrored" in why, why
    assert states(store) == []
    source.pages = None
    keepfs.backup("docs")
    assert contents(store, states(store)[0]) == source.objects


def test_etags_of_parts_and_versions(new_keepfs, store, source):
    """an ETag is what the server says, and never taken for a digest"""
    source.objects = {"plain": b"p" * 100, "parts": os.urandom(3 * MIB)}
    source.etags["parts"] = "9bb58f26192e4ba00f01e2e7b136bbd8-3"
    source.versions = {"parts": "3sL4kqtJlcpXroDTDmJ", "plain": "null"}
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    keepfs.backup("docs")
    listed = {e["name"]: e for e in lines_of(store, states(store)[0])[1:-1]}
    assert listed["parts"]["etag"] == source.etags["parts"] and listed["parts"]["version_id"] == "3sL4kqtJlcpXroDTDmJ"
    assert "version_id" not in listed["plain"]
    keepfs.backup("docs")
    assert facts(store, states(store)[1])["unchanged"] == 2 and facts(store, states(store)[1])["packs"] == 0
    # Put once more with the same bytes: another ETag, so it is got.
    source.etags["parts"] = "0cc58f26192e4ba00f01e2e7b136bbd8-2"
    keepfs.backup("docs")
    assert facts(store, states(store)[2])["changed"] == 1 and contents(store, states(store)[2]) == source.objects


def test_what_is_in_an_archive(new_keepfs, store, source):
    source.objects = {"cold": b"c" * 100, "warm": b"w" * 100, "frozen later": b"f"}
    source.classes = {"cold": "GLACIER", "warm": "GLACIER_IR"}
    source.on_get["frozen later"] = faulty_s3.refused("403 Forbidden", "InvalidObjectState")
    keepfs = new_keepfs({"mirror docs": source.section(), "mirror skipping": source.section(unreadable="skip")}).mount()
    why = failed(keepfs)
    assert "2 objects cannot be read" in why and "cold" in why and "archive" in why and "frozen later" in why and "unreadable = skip" in why, why
    run = keepfs.backup("skipping")
    assert "cold" in run["warning"]
    assert [asked for asked in source.asked if asked[0] == "cold"] == []
    (path,) = [key.removeprefix("manifests/").removesuffix(".json") for key in store.keys() if key.startswith("manifests/backups/skipping/") and key.endswith(".json")]
    assert [e["name"] for e in lines_of(store, path)[1:-1]] == ["warm"]


@needs_root
def test_a_store_that_is_full(new_keepfs, store, foreign):
    for i in range(20):
        foreign.put(f"f{i:02}", os.urandom(4 * MIB))
    where = pathlib.Path(store.root)
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m,mode=700", "keepfs-small", str(where)], check=True)
    try:
        keepfs = new_keepfs({"mirror docs": foreign.section()}).mount()
        why = failed(keepfs)
        assert "No space left" in why and "packs/docs/" in why, why
        assert states(store) == [] and len(packs(store)) <= 1
        subprocess.run(["mount", "-o", "remount,size=300m", str(where)], check=True)
        run = keepfs.backup("docs")
        assert contents(store, states(store)[0]) == foreign.objects
        assert "packs of a run that broke off: 1" in log_of(keepfs, run)
        keepfs.unmount()
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def test_a_run_that_is_cancelled(new_keepfs, store, source):
    source.objects = {f"f{i:03}": os.urandom(100) for i in range(100)}
    source.on_get["f050"] = faulty_s3.silent
    keepfs = new_keepfs({"mirror docs": source.section(first_byte_timeout="1m", retry_deadline="5m")}).mount()
    run = keepfs.trigger("docs")
    wait_until(lambda: len(source.asked) >= 50, "half of them were asked for")
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled" and states(store) == []
    source.on_get.clear()
    keepfs.backup("docs")
    assert contents(store, states(store)[0]) == source.objects


@pytest.mark.parametrize("foreign", ["dir"], indirect=True)
def test_a_source_that_is_empty_all_at_once(new_keepfs, store, foreign):
    """a file system that is not mounted: the states that are right must not be let go for it"""
    keepfs = new_keepfs({"mirror docs": foreign.section(keep_last=1, keep_within="none")}).mount()
    keepfs.backup("docs")  # nothing is there yet, and nothing was before
    for i in range(10):
        foreign.put(f"f{i}", b"x")
    keepfs.backup("docs")
    (right,) = states(store)[-1:]
    aside = foreign.root.with_name("aside")
    foreign.root.rename(aside)
    foreign.root.mkdir()
    for _ in range(2):
        why = failed(keepfs)
        assert str(foreign.root) in why and "10 objects" in why and "mounted" in why and "allow_empty = yes in [mirror docs]" in why, why
    assert right in states(store) and "job docs" in keepfs.text("status", "health").splitlines()[0]
    run = keepfs.backup("docs allow_empty=yes")
    assert "is empty" in run["warning"] and contents(store, states(store)[-1]) == {}
    keepfs.backup("docs")  # as the one before
    # A source that is not there at all is an error of its own.
    foreign.root.rmdir()
    why = failed(keepfs)
    assert str(foreign.root) in why and "No such file" in why, why
    aside.rename(foreign.root)
    keepfs.backup("docs")
    assert contents(store, states(store)[-1]) == foreign.objects


def test_credentials_that_are_refused_in_between(new_keepfs, store, source):
    """that says nothing of the object, which must not be left out for it"""
    source.objects = {"a": b"a" * 100, "b": b"b" * 100}
    source.on_get["b"] = faulty_s3.refused("403 Forbidden", "ExpiredToken")
    keepfs = new_keepfs({"mirror docs": source.section(unreadable="skip")}).mount()
    why = failed(keepfs)
    assert "ExpiredToken" in why and "[mirror docs] access_key" in why and states(store) == [], why


def test_a_run_that_fails_in_the_middle_of_an_object(new_keepfs, store, source):
    """what was whole is in a pack that any tar can read, though the last of its members is none"""
    source.objects = {"a": os.urandom(100 * KIB), "b": os.urandom(12 * MIB)}
    source.on_get["b"] = lambda answer: None if answer.first == 0 else answer.refuse("403 Forbidden", "ExpiredToken")
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    why = failed(keepfs)
    assert "ExpiredToken" in why and states(store) == [], why
    (pack,) = packs(store)
    with tarfile.open(fileobj=io.BytesIO(store.get(pack))) as tar:
        assert [(member.name, member.size) for member in tar] == [("a", 100 * KIB), ("b", 12 * MIB)]
    source.on_get.clear()
    source.asked.clear()
    keepfs.backup("docs")
    assert contents(store, states(store)[0]) == source.objects
    assert {key for key, _ in source.asked} == {"b"}


def test_a_server_that_tells_no_etags(new_keepfs, store, source):
    """nobody could tell whether an object is another one now: what was written anew would stay as it was, in all states"""
    source.objects = {"a": b"first"}
    source.etag = lambda key: ""
    keepfs = new_keepfs({"mirror docs": source.section()}).mount()
    assert "tells no ETag of a" in failed(keepfs) and states(store) == []
