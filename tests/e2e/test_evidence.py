# SPDX-License-Identifier: Apache-2.0
"""Evidence for auditors: the tar of a quarter, from the mount and from the command, verified without keepfs."""
import contextlib
import datetime
import errno
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

import pytest

import daemon
from signing import make_key

OF_THE_QUARTER = {"audit.jsonl", "runs.jsonl", "findings.txt"}
AS_IT_IS = {"configuration.txt", "schedule.txt", "retention.txt", "recovery.txt", "health.txt", "keys.txt", "backups.jsonl"}


def quarter(back=0):
    now = datetime.datetime.now(datetime.timezone.utc)
    number = now.year * 4 + (now.month - 1) // 3 - back
    return f"{number // 4}-Q{number % 4 + 1}"


def unpacked(data, name):
    """{file: bytes}, as tarfile reads it; all names begin with the quarter"""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
        assert all(m.isreg() and m.mode == 0o600 and m.name.startswith(f"{name}/") for m in members)
        return {m.name.removeprefix(f"{name}/"): archive.extractfile(m).read() for m in members}


def assert_sums(files):
    listed = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert set(files) == set(listed) | ({"SHA256SUMS", "SHA256SUMS.sig", "signer.pem"} & set(files))
    assert {name: hashlib.sha256(files[name]).hexdigest() for name in listed} == listed


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_the_tar_of_a_quarter(new_keepfs, tmp_path):
    private, public = make_key(tmp_path, "signing")
    keepfs = new_keepfs(signing_key_file=private, audit_keep=2).mount()
    for _ in range(4):
        keepfs.backup()
    # A daemon puts its first checkpoint a minute after its start; a command at its end.
    keepfs.unmount()
    keepfs.run("run", "full")
    keepfs.mount()
    keepfs.run("drill", "full")
    daemon.wait_until(lambda: any(key.startswith("records/audit/") for key in keepfs.store.keys()), "a record of the audit")
    name = quarter()
    assert os.listdir(keepfs.path("status", "evidence")) == [f"{quarter(back)}.tar" for back in range(4)]
    data = keepfs.path("status", "evidence", f"{name}.tar").read_bytes()
    assert os.stat(keepfs.path("status", "evidence", f"{name}.tar")).st_size == len(data)
    files = unpacked(data, name)
    assert_sums(files)
    assert OF_THE_QUARTER | AS_IT_IS | {"README.txt", "SHA256SUMS.sig", "signer.pem"} <= set(files)
    assert any(one.startswith("checkpoints/") for one in files) and any(one.startswith("drills/") for one in files)
    assert files["findings.txt"] == b""

    # All lines of the audit, also those that have moved into the store: a chain from the first one on.
    lines = [json.loads(line) for line in files["audit.jsonl"].splitlines()]
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1)) and len(lines) > 4
    kept = tmp_path / "audit.jsonl"
    kept.write_bytes(files["audit.jsonl"])
    assert "every line is" in keepfs.run("audit", "verify", kept, conf=False).stdout
    runs = [json.loads(line) for line in files["runs.jsonl"].splitlines()]
    assert {run["run"] for run in runs} >= {1, 2, 3, 4, 5} and len({run["run"] for run in runs}) == len(runs)
    # What README.txt says.
    for one in ("SHA256SUMS", "SHA256SUMS.sig"):
        (tmp_path / one).write_bytes(files[one])
    subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", "SHA256SUMS", "-sigfile", "SHA256SUMS.sig"],
                   cwd=tmp_path, check=True, capture_output=True)
    assert f"audit.jsonl        who did what: {len(lines)} lines".encode() in files["README.txt"]
    # No secret, and who asked for it stands in the audit.
    assert b"PRIVATE" not in data
    assert json.loads(keepfs.text("status", "audit.jsonl").splitlines()[0])["action"] == "evidence"

    # The same without the mount, into a new file.
    target = tmp_path / "evidence.tar"
    keepfs.run("evidence", name, target)
    again = unpacked(target.read_bytes(), name)
    assert_sums(again)
    assert again["runs.jsonl"] == files["runs.jsonl"] and os.stat(target).st_mode & 0o777 == 0o600
    with contextlib.closing(keepfs.catalog()) as catalog:
        newest = catalog.execute("SELECT action, object, command, uid FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    assert newest == ("evidence", f"status/evidence/{name}.tar", "keepfs", os.getuid())
    assert keepfs.run("evidence", name, target, check=False).returncode == 1
    assert not (tmp_path / "evidence.tar.unfinished").exists()


def test_other_quarters(keepfs):
    keepfs.backup()
    before = unpacked(keepfs.path("status", "evidence", "2020-Q1.tar").read_bytes(), "2020-Q1")
    assert before["audit.jsonl"] == b"" and before["runs.jsonl"] == b"" and "SHA256SUMS.sig" not in before
    for wrong in (f"{quarter(-1)}.tar", "2026-Q5.tar", "2026-Q0.tar", "1999-Q1.tar", "2026-q1.tar", "2026-Q1", "2026-Q1.tar.gz"):
        with pytest.raises(FileNotFoundError):
            os.stat(keepfs.path("status", "evidence", wrong))
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("status", "evidence", f"{quarter()}.tar"))
    for words in ([], ["2026"], ["2026-Q5"], ["2026-Q1", "a", "b"]):
        assert keepfs.run("evidence", *words, check=False).returncode == 2


def test_a_store_that_is_away(new_keepfs):
    """no evidence, rather than some with a gap"""
    keepfs = new_keepfs()
    keepfs.store_settings["faults"] = "list:9+:eio"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    with pytest.raises(OSError) as caught:
        for _ in range(9):
            keepfs.path("status", "evidence", f"{quarter()}.tar").read_bytes()
    assert caught.value.errno == errno.EIO
    assert f"status/evidence/{quarter()}.tar" in keepfs.text("status", "last-error")


def test_a_record_that_somebody_damaged_is_named(new_keepfs):
    keepfs = new_keepfs(audit_keep=2).mount()
    for _ in range(4):
        keepfs.backup()
    daemon.wait_until(lambda: any(key.startswith("records/audit/") for key in keepfs.store.keys()), "a record of the audit")
    key = next(key for key in keepfs.store.keys() if key.startswith("records/audit/"))
    kept = keepfs.store.get(key)
    keepfs.store.put(key, b"no gzip")
    files = unpacked(keepfs.path("status", "evidence", f"{quarter()}.tar").read_bytes(), quarter())
    assert f"{key} cannot be read, its lines are missing here".encode() in files["findings.txt"]
    keepfs.store.put(key, kept)


def test_a_line_that_somebody_changed_is_named(new_keepfs, tmp_path):
    """in a record that can be read, so that only the chain of the audit tells; and none is missing without a word"""
    keepfs = new_keepfs(audit_keep=2).mount()
    for _ in range(4):
        keepfs.backup()
    daemon.wait_until(lambda: any(key.startswith("records/audit/") for key in keepfs.store.keys()), "a record of the audit")
    key = next(key for key in sorted(keepfs.store.keys()) if key.startswith("records/audit/"))
    kept = keepfs.store.get(key)
    lines = gzip.decompress(kept).splitlines()

    def findings():
        return unpacked(keepfs.path("status", "evidence", f"{quarter()}.tar").read_bytes(), quarter())["findings.txt"].decode()

    assert findings() == ""
    forged = [line.replace(b'"result":"ok"', b'"result":"no"') for line in lines]
    assert forged != lines
    keepfs.store.put(key, gzip.compress(b"".join(line + b"\n" for line in forged)))
    assert "line" in findings()
    keepfs.store.remove(key)
    assert "line" in findings()
