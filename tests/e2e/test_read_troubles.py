# SPDX-License-Identifier: Apache-2.0
"""What a reader sees when the store misbehaves: right bytes after a while for what retries can cure, else EIO with the reason."""
import contextlib
import errno
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading

import pytest

import daemon
from exposition import Metrics
import faulty_s3
import postgres
from faulty_s3 import (busy_until_date, corrupted, cut, fewer, garbage, refused, shifted, silent, slow, stalled, truncated,
                       whole)

PATIENT = {"retry_deadline": "60s", "connect_timeout": "2s", "first_byte_timeout": "300ms", "stall_timeout": "300ms"}
HASTY = {**PATIENT, "retry_deadline": "1s"}
SLOWEST = {"retry_deadline": "10m", "connect_timeout": "5m", "first_byte_timeout": "5m", "stall_timeout": "5m"}
MIDDLE = 4 << 20


class Made:
    """a backup in a server, and the catalog that lists it"""

    def __init__(self, pg, directory):
        self.server = faulty_s3.FaultyS3()
        self.jobs = {"full": {"database": pg.uri("troubled"), "compression": "none"}}
        keepfs = daemon.Keepfs(directory, self.server, self.jobs).mount()
        keepfs.backup()
        (self.name,) = keepfs.artifacts()
        keepfs.close()
        self.state, self.objects = keepfs.state, dict(self.server.objects)
        self.key = f"backups/full/{self.name}"
        self.bytes = self.objects[self.key]
        assert len(self.bytes) > MIDDLE + (2 << 20)


@pytest.fixture(scope="module")
def made(pg, tmp_path_factory):
    pg.create("troubled")
    postgres.fill_noise(pg, "troubled", 4)
    one = Made(pg, tmp_path_factory.mktemp("troubled"))
    yield one
    one.server.close()
    pg.drop("troubled")


@pytest.fixture
def mount(new_keepfs, made):
    """mount that backup, with a cold cache, and some settings of [store]"""
    def mounted(settings, server=None, env=None, **more):
        keepfs = new_keepfs(made.jobs, store=made.server)
        for key, value in {**(server or made.server).settings, **settings, **more}.items():
            keepfs.store_settings[key] = value
            if value is None:
                del keepfs.store_settings[key]
        keepfs.env.update(env or {})
        keepfs.write_conf()
        shutil.copytree(made.state, keepfs.state)
        keepfs.mount()
        keepfs.artifact = keepfs.path("backups", "full", made.name)
        return keepfs

    made.server.reset(made.objects)
    yield mounted
    made.server.reset(made.objects)


def read(path, expected, fd=None, at=0):
    """read on, in order; every byte that is given must be right. Returns (where it ended, errno or None)"""
    own = os.open(path, os.O_RDONLY) if fd is None else None
    try:
        while True:
            try:
                chunk = os.pread(own if fd is None else fd, 128 << 10, at)
            except OSError as error:
                return at, error.errno
            if not chunk:
                return at, None
            assert chunk == expected[at:at + len(chunk)], f"wrong bytes at {at}"
            at += len(chunk)
    finally:
        if own is not None:
            os.close(own)


def damaged(keepfs):
    return "damaged backup" in keepfs.text("status", "health")


def expect_whole(keepfs, made):
    assert read(keepfs.artifact, made.bytes) == (len(made.bytes), None)
    assert keepfs.text("status", "last-error") == ""
    assert not damaged(keepfs)


def expect_error(keepfs, made, *words, number=errno.EIO):
    done, error = read(keepfs.artifact, made.bytes)
    assert done < len(made.bytes) and error == number
    line = keepfs.text("status", "last-error").splitlines()[0]
    for word in (made.name, *words):
        assert word.lower() in line.lower(), line
    assert made.name in os.listdir(keepfs.artifact.parent)
    return line


# cured


CURES = {
    "slow": (slow(), 1),
    "silent": (silent, 1),
    "stalled-at-once": (stalled(0), 1),
    "stalled": (stalled(0.5), 2),
    "cut-fin": (cut(0.5), 2),
    "cut-rst": (cut(0.5, reset=True), 2),
    "cut-before": (cut(0), 3),
    "cut-always": (cut(0.7), float("inf")),
    "corrupted-once": (corrupted(MIDDLE + 5), 1),
    "truncated-once": (truncated, 2),
    "fewer-always": (fewer(500_000), float("inf")),
    "shifted-once": (shifted, 2),
    "whole-once": (whole, 1),
    "500": (refused("500 Internal Server Error", "InternalError"), 2),
    "502-bare": (refused("502 Bad Gateway"), 2),
    "503": (refused("503 Slow Down", "SlowDown"), 2),
    "429": (refused("429 Too Many Requests"), 2),
    "garbage": (garbage, 2),
}


@pytest.mark.parametrize("trouble, times", CURES.values(), ids=CURES)
def test_what_retries_can_cure(mount, made, trouble, times):
    keepfs = mount(PATIENT)
    made.server.trouble(trouble, times, MIDDLE)
    expect_whole(keepfs, made)
    assert times == float("inf") or made.server.troubles[0][1] == 0


@pytest.mark.parametrize("trouble", [stalled(0.5), cut(0.5), cut(0.5, reset=True)], ids=["stalled", "fin", "rst"])
def test_only_what_is_missing_is_asked_again(mount, made, trouble):
    keepfs = mount(PATIENT)
    made.server.trouble(trouble, 1, MIDDLE)
    expect_whole(keepfs, made)
    asked = [(first, last, headers.get("if-match")) for first, last, headers in made.server.asked]
    condition = f'"{faulty_s3.etag_of(made.bytes)}"'
    # A RST takes with it what was not read yet.
    assert any(again == last and began < first <= began + (last - began + 1) // 2 and match == condition
               for began, last, _ in asked for first, again, match in asked), asked


@pytest.mark.parametrize("trouble", [refused("503 Slow Down", "SlowDown", Retry_After="1"), busy_until_date(2)], ids=["seconds", "date"])
def test_the_server_is_given_the_time_that_it_asks_for(mount, made, trouble):
    keepfs = mount(PATIENT)
    made.server.trouble(trouble, 1, MIDDLE)
    expect_whole(keepfs, made)
    ranges = [last for _, last, _ in made.server.asked]
    (again,) = [last for last in set(ranges) if ranges.count(last) == 2 and last >= MIDDLE]
    first, second = [at for at, last in zip(made.server.asked_at, ranges) if last == again]
    assert second - first >= 1


def test_more_time_than_there_is_is_not_waited_for(mount, made):
    keepfs = mount(PATIENT)
    made.server.trouble(refused("503 Slow Down", "SlowDown", Retry_After="3600"))
    assert "gave up after 1 try" in expect_error(keepfs, made, "asks for fewer requests")


def test_a_server_that_comes_back(mount, made):
    """refused for a while, seen as latency"""
    keepfs = mount(PATIENT)
    made.server.trouble(lambda answer: made.server.close() or threading.Timer(0.5, made.server.listen).start(), 1, MIDDLE)
    expect_whole(keepfs, made)


def test_a_server_that_went_without_a_word(mount, made):
    """one request pays for it, not each of the connections that were kept"""
    keepfs = mount({**PATIENT, "first_byte_timeout": "1s"})
    expect_whole(keepfs, made)
    gone = set(made.server.connections)
    assert gone
    subprocess.run([sys.executable, "-c", "import os,sys; os.posix_fadvise(os.open(sys.argv[1], os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)",
                    keepfs.artifact], check=True)
    made.server.trouble(lambda answer: answer.until_gone() if answer.connection in gone else answer.good())
    expect_whole(keepfs, made)


# not cured


LOSSES = {
    "silent": (silent, ["gave up after", "no byte of an answer came for 0.3 s"]),
    "stalled": (stalled(0), ["gave up after", "no byte moved for 0.3 s"]),
    "cut-before": (cut(0), ["gave up after", "lost the connection"]),
    "truncated": (truncated, ["gave up after", "length is not what it says"]),
    "shifted": (shifted, ["gave up after", "another range"]),
    "whole": (whole, ["gave up after", "ranges"]),
    "500": (refused("500 Internal Server Error", "InternalError"), ["gave up after", "HTTP 500 InternalError"]),
    "503": (refused("503 Slow Down", "SlowDown"), ["gave up after", "HTTP 503 SlowDown"]),
    "garbage": (garbage, ["gave up after", "no HTTP is spoken"]),
    "403": (refused("403 Forbidden", "AccessDenied"), ["s3:GetObject", "HTTP 403 AccessDenied", "R-AccessDenied"]),
    "403-bare": (refused("403 Forbidden"), ["HTTP 403"]),
    "expired": (refused("403 Forbidden", "ExpiredToken"), ["renew the credentials"]),
    "skewed": (refused("403 Forbidden", "RequestTimeTooSkewed"), ["clock"]),
    "404-bare": (refused("404 Not Found"), ["is [store] endpoint an S3 server?"]),
    "no-bucket": (refused("404 Not Found", "NoSuchBucket"), ["no bucket"]),
}


@pytest.mark.parametrize("trouble, words", LOSSES.values(), ids=LOSSES)
def test_what_retries_cannot_cure(mount, made, trouble, words):
    """an error within the bound, with its reason; and never a mark on the backup, which is whole"""
    # On a busy machine an answer may take longer than 0.3 s, where that is not what is looked at.
    waits = any("0.3 s" in word for word in words)
    keepfs = mount(HASTY if waits else {**HASTY, "first_byte_timeout": "5s", "stall_timeout": "5s"})
    made.server.trouble(trouble, from_offset=MIDDLE)
    line = expect_error(keepfs, made, *words)
    tried = re.search(r"gave up after \d+ tr(?:y|ies) in ([\d.]+) s", line)
    assert bool(tried) == (words[0] == "gave up after")
    assert not tried or float(tried.group(1)) < 5
    assert not damaged(keepfs)
    assert re.search("^WARN +reads", keepfs.text("status", "health"), re.M)


DAMAGES = {
    "corrupted": (corrupted(MIDDLE + 5), ["damaged in the store", "CRC-32C"]),
    "404": (refused("404 Not Found", "NoSuchKey"), ["no such object"]),
    "416": (refused("416 Range Not Satisfiable", "InvalidRange"), ["ends before"]),
}


@pytest.mark.parametrize("trouble, words", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damage(mount, made, trouble, words):
    keepfs = mount(HASTY)
    made.server.trouble(trouble, from_offset=MIDDLE)
    expect_error(keepfs, made, *words)
    assert damaged(keepfs)


def test_an_object_that_became_shorter(mount, made):
    keepfs = mount(HASTY)
    made.server.put(made.key, made.bytes[:MIDDLE + 1000])
    expect_error(keepfs, made, "the object ends")
    assert damaged(keepfs)


def test_an_object_that_was_replaced(mount, made):
    """while it is open: never the one's bytes behind the other's"""
    keepfs = mount(HASTY)
    other = made.bytes[:MIDDLE] + bytes(byte ^ 1 for byte in made.bytes[MIDDLE:])
    made.server.trouble(lambda answer: made.server.put(made.key, other) or answer.refuse("500 Internal Server Error"), 1, MIDDLE)
    expect_error(keepfs, made, "replaced", number=errno.ESTALE)
    assert not damaged(keepfs)


def test_a_refused_condition(mount, made):
    keepfs = mount(HASTY)
    made.server.trouble(refused("412 Precondition Failed", "PreconditionFailed"), from_offset=MIDDLE)
    expect_error(keepfs, made, "replaced", number=errno.ESTALE)
    assert not damaged(keepfs)


# no server


def test_nobody_listens(mount, made):
    """and reading works again, without a remount, when somebody does"""
    keepfs = mount(HASTY)
    made.server.close()
    expect_error(keepfs, made, "cannot connect")
    assert not damaged(keepfs)
    # While nobody has an error yet, the log says what everybody waits for.
    assert re.search("warning: .*cannot connect.*; it is tried again for up to", (keepfs.state / "keepfs.log").read_text())
    made.server.listen()
    daemon.wait_until(lambda: read(keepfs.artifact, made.bytes) == (len(made.bytes), None), "reading to work again")


def test_a_name_that_nobody_has(mount, made):
    """a label longer than names may have: no server needs to be asked to know that there is none"""
    keepfs = mount(HASTY, endpoint=f"http://{'x' * 64}.test:80")
    expect_error(keepfs, made, "cannot find")
    assert not damaged(keepfs)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """an authority, and what it signs: (its certificate, {name: TLS context of a server})"""
    where = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=where, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def key(name):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    (where / "index").touch()
    (where / "ca.cnf").write_text("[ca]\ndefault_ca = a\n[a]\ndatabase = index\nnew_certs_dir = .\nserial = serial\nrand_serial = yes\n"
                                  "default_md = sha256\npolicy = p\ncopy_extensions = copy\nunique_subject = no\n[p]\ncommonName = supplied\n")
    key("ca")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=authority", "-days", "2", "-out", "ca.pem")
    contexts = {}
    for name, address, end in (("good", "127.0.0.1", "20990101000000Z"), ("expired", "127.0.0.1", "20200102000000Z"),
                               ("another's", "127.0.0.2", "20990101000000Z")):
        key(name)
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}", "-out", f"{name}.csr")
        openssl("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr", "-out", f"{name}.pem",
                "-startdate", "20200101000000Z", "-enddate", end, "-notext")
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(where / f"{name}.pem", where / f"{name}.key")
    return where / "ca.pem", contexts


@contextlib.contextmanager
def speaking_tls(made, context):
    server = faulty_s3.FaultyS3(context)
    server.reset(made.objects)
    try:
        yield server
    finally:
        server.close()


def test_tls(mount, made, certificates):
    authority, contexts = certificates
    with speaking_tls(made, contexts["good"]) as server:
        keepfs = mount(PATIENT, server, ca_file=authority)
        expect_whole(keepfs, made)
        keepfs.unmount()


@pytest.mark.parametrize("name, trusted, word", [("good", False, "not trusted"), ("expired", True, "expired"), ("another's", True, "127.0.0.1")],
                         ids=["self-signed", "expired", "another's"])
def test_tls_that_cannot_be_trusted(mount, made, certificates, name, trusted, word):
    """no byte is sent to such a server, and no second try made"""
    authority, contexts = certificates
    with speaking_tls(made, contexts[name]) as server:
        keepfs = mount(PATIENT, server, ca_file=authority if trusted else None)
        line = expect_error(keepfs, made, "TLS certificate", word)
        assert "gave up" not in line and server.asked == []
        assert not damaged(keepfs)
        keepfs.unmount()


def test_tls_to_a_server_without(mount, made):
    keepfs = mount(HASTY, endpoint=f"https://127.0.0.1:{made.server.port}")
    expect_error(keepfs, made, "cannot agree on TLS")


def test_no_tls_to_a_server_with(mount, made, certificates):
    with speaking_tls(made, certificates[1]["good"]) as server:
        keepfs = mount(HASTY, endpoint=f"http://127.0.0.1:{server.port}")
        expect_error(keepfs, made, f"127.0.0.1:{server.port}")
        keepfs.unmount()


# credentials that end


class Credentials:
    def __init__(self, directory):
        self.path = directory / "credentials"
        self.env = {"AWS_SHARED_CREDENTIALS_FILE": str(self.path)}

    def write(self, token):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"[default]\naws_access_key_id = AKIA\naws_secret_access_key = hush\naws_session_token = {token}\n")
        fresh.chmod(0o600)
        fresh.rename(self.path)


def expired(token, first=None):
    def trouble(answer):
        if answer.headers.get("x-amz-security-token") != token:
            return answer.good()
        if first:
            first()
        return answer.refuse("403 Forbidden", "ExpiredToken")
    return trouble


def test_credentials_that_expire_in_mid_file(mount, made, tmp_path):
    """an error that says so, and the same open file goes on when there are new ones"""
    credentials = Credentials(tmp_path)
    credentials.write("one")
    keepfs = mount(PATIENT, env=credentials.env, access_key=None, secret_key=None)
    made.server.trouble(expired("one"), from_offset=MIDDLE)
    fd = os.open(keepfs.artifact, os.O_RDONLY)
    try:
        done, error = read(None, made.bytes, fd)
        assert error == errno.EIO and 0 < done < len(made.bytes)
        line = keepfs.text("status", "last-error").splitlines()[0]
        assert "session token" in line and str(credentials.path) in line and "gave up" not in line
        assert not damaged(keepfs)
        credentials.write("two")
        daemon.wait_until(lambda: read(None, made.bytes, fd, done) == (len(made.bytes), None), "reading to go on")
    finally:
        os.close(fd)


def test_credentials_that_are_renewed_in_mid_file(mount, made, tmp_path):
    """the old ones are refused for requests that were under way: nobody sees that"""
    credentials = Credentials(tmp_path)
    credentials.write("one")
    keepfs = mount(PATIENT, env=credentials.env, access_key=None, secret_key=None)
    made.server.trouble(expired("one", first=lambda: credentials.write("two")), from_offset=MIDDLE)
    expect_whole(keepfs, made)


# nobody else is held up


def metrics(keepfs):
    return Metrics(keepfs.path("status", "metrics.prom").read_bytes().decode())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("trouble", [silent, stalled(0.5)], ids=["silent", "stalled"])
def test_a_reader_that_is_killed_goes_at_once(mount, made, number, trouble):
    """long before any timeout"""
    keepfs = mount(SLOWEST)
    made.server.trouble(trouble)
    # Whoever was started in the background ignores SIGINT, and so would its children.
    with subprocess.Popen(["cat", keepfs.artifact], stdout=subprocess.DEVNULL,
                          preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None) as reader:
        try:
            made.server.wait_asked(1)
            reader.send_signal(number)
            assert reader.wait(60) == -number
        finally:
            reader.kill()
    # Nor does keepfs go on with what nobody waits for.
    daemon.wait_until(lambda: metrics(keepfs).get("keepfs_read_open_files") == 0, "the file to be closed")
    assert not damaged(keepfs)


def in_pread(thread):
    with contextlib.suppress(OSError):
        with open(f"/proc/self/task/{thread.native_id}/syscall") as f:
            return f.read().split()[0] == "17"  # pread64 on x86-64
    return False


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="knows system calls by their numbers on x86-64")
def test_nobody_waits_for_those_who_read(mount, made):
    """200 readers hang: ls, df, status and another open answer; and all get their bytes in the end"""
    keepfs = mount(SLOWEST)
    go_on = threading.Event()
    made.server.trouble(lambda answer: go_on.wait() and answer.good())
    fd = os.open(keepfs.artifact, os.O_RDONLY)
    places = [i * len(made.bytes) // 200 for i in range(200)]
    got = {}
    readers = [threading.Thread(target=lambda at=at: got.update({at: os.pread(fd, 4096, at)}), daemon=True) for at in places]
    try:
        for reader in readers:
            reader.start()
        daemon.wait_until(lambda: all(map(in_pread, readers)), "all to read")
        made.server.wait_asked(1)
        # What is inside of backups, or between two of them, is read from the store, so whoever lists that waits.
        listed = [entry for entry in keepfs.path().iterdir() if entry.name not in ("inside", "history", "diff")]
        assert len(listed) > 5
        for command in (["ls", "-lR", *listed], ["ls", "-l", keepfs.path(), keepfs.path("inside", "full")], ["df", keepfs.path()], ["cat", keepfs.path("status", "health")],
                        ["stat", keepfs.artifact], ["getfattr", "-d", keepfs.artifact], ["head", "-c0", keepfs.artifact]):
            if shutil.which(command[0]):
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
        assert got == {}
    finally:
        go_on.set()
        made.server.calm()
        for reader in readers:
            reader.join(60)
        os.close(fd)
    assert all(got[at] == made.bytes[at:at + 4096] for at in places)


def test_unmounting_while_all_hangs(mount, made):
    """those who read get an error, and the daemon ends"""
    keepfs = mount(SLOWEST)
    made.server.trouble(silent)
    with subprocess.Popen(["cat", keepfs.artifact], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as reader:
        made.server.wait_asked(1)
        keepfs.signal(signal.SIGTERM)
        assert reader.communicate(timeout=60)[1] and reader.returncode == 1
