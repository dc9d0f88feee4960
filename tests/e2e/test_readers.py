# SPDX-License-Identifier: Apache-2.0
"""One writer, many readers: what they serve, what they refuse, how they follow, and what that costs in requests."""
import datetime
import errno
import os
import socket
import subprocess
import time

import pytest

import daemon
import stores

FOLLOW_S = 1


@pytest.fixture
def new_reader(new_keepfs, tmp_path, store):
    """a reader of the store, not mounted; it has no job, as a host that only serves backups"""
    def make(name, store=store, **settings):
        reader = new_keepfs({}, store=store, directory=tmp_path / name, role="reader", follow=f"{FOLLOW_S}s", **settings)
        return reader

    return make


def tree(keepfs):
    """all that is below backups/, with numbers, sizes, times, modes; what went away during the walk makes it a tree that is like no other"""
    found = []
    # After a removal SHA256SUMS has the time at which each of them has heard of it.
    for what in (["-printf", "%P %y %i %s %m %l\n"], ["-type", "f", "!", "-name", "SHA256SUMS", "-printf", "%P %T@\n"]):
        done = subprocess.run(["find", str(keepfs.path("backups")), *what], capture_output=True, text=True, check=False)
        complaints = done.stderr.splitlines()
        assert all(line.endswith(": No such file or directory") for line in complaints), done.stderr
        found += sorted(done.stdout.splitlines()) + [f"{keepfs.mountpoint} {line}" for line in complaints]
    return found


def follow(writer, reader):
    daemon.wait_until(lambda: tree(reader) == tree(writer), lambda: f"{tree(writer)}\n{tree(reader)}\n{reader.text('status', 'health')}")


def hold_of(keepfs, name):
    try:
        return os.getxattr(keepfs.path("backups", "full", name), "user.keepfs.hold")
    except OSError as error:
        assert error.errno == errno.ENODATA
        return b""


def requests(keepfs):
    """how often the store was asked, by kind"""
    found = {}
    for line in keepfs.text("status", "metrics.prom").splitlines():
        if line.startswith("keepfs_store_calls_total{"):
            labels, value = line.rsplit(" ", 1)
            found[labels] = float(value)
    return found


@pytest.mark.parametrize("store", ["dir", "ceph", "swift"], indirect=True)
def test_readers_serve_the_same_tree(new_keepfs, new_reader, tmp_path, store):
    writer = new_keepfs(directory=tmp_path / "writer", trash="1h").mount()
    writer.backup()
    one = new_reader("one").mount()
    two = new_reader("two").mount()
    for reader in (one, two):
        follow(writer, reader)
    # What is made, held, removed, and brought back.
    writer.backup()
    name = writer.artifacts()[0]
    writer.write("hold", f"backups/full/{name} on name=audit reason='who asks'")
    for reader in (one, two):
        follow(writer, reader)
        daemon.wait_until(lambda: b"who asks" in hold_of(reader, name), "the hold to be seen")
    writer.write("hold", f"backups/full/{name} off name=audit")
    writer.path("backups", "full", name).unlink()
    for reader in (one, two):
        follow(writer, reader)
        assert reader.artifacts() == writer.artifacts() != [name]
    writer.write("undelete", f"backups/full/{name}")
    for reader in (one, two):
        follow(writer, reader)
    # The same bytes, and rsync has nothing to copy.
    target = tmp_path / "copy"
    subprocess.run(["rsync", "-a", f"{writer.path('backups')}/", target], check=True)
    again = subprocess.run(["rsync", "-ain", f"{one.path('backups')}/", target], check=True, capture_output=True, text=True).stdout
    assert [line for line in again.splitlines() if line.startswith(">f") and "SHA256SUMS" not in line] == []
    for name in writer.artifacts():
        assert one.path("backups", "full", name).read_bytes() == writer.path("backups", "full", name).read_bytes()
    assert "following" in one.text("status", "health") and "last heard" in one.text("status", "health")


def test_a_reader_changes_nothing(new_keepfs, new_reader, tmp_path, store, pg, target):
    """what would write is refused with a reason; what only reads works"""
    writer = new_keepfs(directory=tmp_path / "writer").mount()
    writer.backup()
    reader = new_reader("reader").mount()
    follow(writer, reader)
    name = reader.artifacts()[0]
    # The writer is at work beside, and puts what is due.
    def of_backups():
        return {key: store.get(key) for key in store.keys() if not key.startswith(("checkpoints/", "catalog/", "records/"))}

    before = of_backups()
    for control, command in (("trigger", "now"), ("hold", f"backups/full/{name} on reason=x"), ("prune", "now"), ("schedule", "off"),
                             ("undelete", f"backups/full/{name}"), ("erase", "anything")):
        with pytest.raises(OSError) as caught:
            reader.write(control, command)
        assert caught.value.errno == errno.EROFS, control
        assert "role = reader" in reader.text("control", control)
    with pytest.raises(OSError) as caught:
        reader.path("backups", "full", name).unlink()
    assert caught.value.errno == errno.EROFS
    assert "role = reader" in reader.text("status", "last-error")
    run = int(reader.ask("verify", f"backups/full/{name}").split()[0])
    assert reader.wait_run(run)["state"] == "completed", reader.history(run)
    run = int(reader.ask("restore", f"full/{name} into={target} server={pg.uri('postgres')}").split()[0])
    assert reader.wait_run(run)["state"] == "completed", reader.history(run)
    assert os.listdir(reader.path("inside", "full", name.removesuffix(".dump")) if reader.path("inside", "full", name.removesuffix(".dump")).exists()
                      else reader.path("inside", "full", name))
    reader.unmount()
    refused = reader.run("run", "full", check=False)
    assert refused.returncode != 0
    assert of_backups() == before
    assert reader.store.uploads() == []


def everything(directory):
    """what is there and when it was changed, down to what the store keeps for itself"""
    done = subprocess.run(["find", str(directory), "-printf", "%P %y %s %T@\\n"], capture_output=True, text=True, check=True)
    return sorted(done.stdout.splitlines())


def test_a_check_on_a_reader_tries_no_object(new_keepfs, new_reader, tmp_path, store):
    """neither in the store nor in one that has copies; nor does a start make anything there"""
    second = tmp_path / "second"
    second.mkdir()
    writer = new_keepfs(directory=tmp_path / "writer").mount()
    writer.backup()
    writer.unmount()
    reader = new_reader("reader")
    reader.jobs = {"full": {"database": "postgresql:///none", "copies": "primary, second"}}
    reader.sections["store second"] = {"url": f"dir:{second}"}
    reader.write_conf()
    place = store.settings["url"].removeprefix("dir:")
    before = everything(place), everything(second)
    done = reader.run("check", check=False)
    assert "nothing was written, since this keepfs is a reader" in done.stdout, done
    reader.mount()
    reader.write("probe", "now")
    reader.unmount()
    assert (everything(place), everything(second)) == before


def test_a_store_that_is_down(new_keepfs, new_reader, s3_servers, tmp_path):
    """what is known is served, and since when it is not followed is said; then it catches up"""
    server = s3_servers("ceph")
    store = stores.S3Store(server, f"test-readers-{os.getpid()}")
    link = stores.Link(server.facts["ENDPOINT"])
    try:
        writer = new_keepfs(directory=tmp_path / "writer", store=store).mount()
        writer.backup()
        far = stores.S3Store(server, store.prefix)
        far.settings["endpoint"] = link.endpoint
        reader = new_reader("reader", store=far)
        reader.store_settings["retry_deadline"] = "1s"
        reader.write_conf()
        reader.mount()
        follow(writer, reader)
        link.cut()
        daemon.wait_until(lambda: "it goes on by itself when the store answers" in reader.text("status", "health"), lambda: reader.text("status", "health"))
        assert reader.text("status", "health").startswith("WARN")
        assert reader.artifacts() == writer.artifacts()
        writer.backup()
        # A start without the store serves what was known.
        reader.remount()
        assert len(reader.artifacts()) == 1
        link.join()
        follow(writer, reader)
        reader.unmount()
        writer.unmount()
    finally:
        link.cut()
        store.clear()


def test_copies_in_further_stores(new_keepfs, new_reader, tmp_path, store, pg, target, clocks):
    """a reader shows what lies there, also of backups that were removed, restores from there, and puts nothing there; it looks once an hour"""
    offsite = stores.DirStore(tmp_path / "offsite")
    sections = {"store offsite": {"url": offsite.settings["url"], "retry_deadline": "1s"}}
    writer = new_keepfs({"full": {"database": pg.uri("sample"), "copies": "primary, offsite"}}, directory=tmp_path / "writer")
    writer.sections = sections
    writer.write_conf()
    writer.mount()

    def copy_of(name, state):
        daemon.wait_until(lambda: f"offsite      {state}" in "".join(line for line in writer.text("status", "replicas").splitlines() if name in line), lambda: writer.text("status", "replicas"))

    names = [writer.run_artifact(writer.backup()["run"]) for _ in range(2)]
    for name in names:
        copy_of(name, "whole")
    os.unlink(writer.path("backups", "full", names[0]))
    copy_of(names[0], "removed")
    before = sorted((key, offsite.get(key)) for key in offsite.all_keys())

    def copies(keepfs):
        top = keepfs.path("copies")
        done = subprocess.run(["find", ".", "-type", "f", "-exec", "sha256sum", "{}", ";"], cwd=top, capture_output=True, text=True, check=False)
        return sorted(done.stdout.splitlines())

    reader = new_reader("reader")
    reader.sections = sections
    reader.env = clocks.environment(reader.env)
    reader.write_conf()
    reader.mount()
    daemon.wait_until(lambda: len(copies(writer)) > 3 and copies(reader) == copies(writer), lambda: (copies(writer), copies(reader)))
    there = reader.path("copies", "offsite", "backups", "full")
    subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=there, check=True, stdout=subprocess.DEVNULL)
    assert os.getxattr(there / names[0], "user.keepfs.job") == b"full"
    run = int(reader.ask("restore", f"copies/offsite/full/{names[0]} into={target} server={pg.uri('postgres')}").split()[0])
    assert reader.wait_run(run)["state"] == "completed", reader.history(run)
    assert "full" in reader.text("status", "replicas")
    for refused in (lambda: os.unlink(there / names[1]), lambda: reader.ask("replicate", f"full/{names[1]} to=offsite")):
        with pytest.raises(OSError):
            refused()
    assert sorted((key, offsite.get(key)) for key in offsite.all_keys()) == before and offsite.uploads() == []
    # What the first store does not give it reads from there.
    # A further one of the same second would get the name of the one that was removed, whose copy has it.
    daemon.wait_until(lambda: datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ") > names[1][:16], "the next second")
    third = writer.run_artifact(writer.backup()["run"])
    copy_of(third, "whole")
    daemon.wait_until(lambda: third in reader.artifacts(), lambda: reader.artifacts())
    assert not (there / third).exists()
    clocks.pass_time(3700)
    daemon.wait_until((there / third).exists, lambda: (copies(reader), reader.text("status", "health")))
    assert f"{third}" in (there / "SHA256SUMS").read_text()


def test_far_behind(new_keepfs, new_reader, tmp_path, store):
    """a reader that was away for longer than the changes are kept compares everything; so it does after a writer's crash"""
    writer = new_keepfs(directory=tmp_path / "writer").mount()
    writer.backup()
    reader = new_reader("reader").mount()
    follow(writer, reader)
    writer.kill()
    store.remove("state/head.json")  # all that was told is lost
    writer.mount()
    writer.backup()
    first = writer.artifacts()[0]
    writer.path("backups", "full", first).unlink()
    follow(writer, reader)
    assert first not in reader.artifacts()


def test_the_service_manager_waits_while_a_reader_reads(new_keepfs, new_reader, tmp_path, store):
    """without a copy of the catalog the first start reads all manifests, which may take longer than a start may take"""
    writer = new_keepfs(directory=tmp_path / "writer").mount()
    writer.backup()
    writer.unmount()
    for key in [key for key in store.all_keys() if key.startswith("catalog/")]:
        store.remove(key)
    reader = new_reader("reader")
    address, heard = str(tmp_path / "notify"), []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(daemon.DEADLINE_S)
        process = subprocess.Popen([daemon.PROGRAM, "mount", "-f", "-c", str(reader.conf)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={**reader.env, "NOTIFY_SOCKET": address})
        try:
            while "READY=1" not in heard:
                heard += listener.recv(4096).decode().splitlines()
            assert len(reader.artifacts()) == 1
        finally:
            process.terminate()
            process.wait(daemon.DEADLINE_S)
    said = heard.index("STATUS=reads what the store has: 1 backups so far")
    assert heard[said + 1] == "EXTEND_TIMEOUT_USEC=60000000" and said + 1 < heard.index("READY=1"), heard


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_a_reader_that_waits_asks_once_each_time(new_keepfs, new_reader, tmp_path, store):
    """one conditional get for each look, and nothing else; a change costs two more"""
    writer = new_keepfs(directory=tmp_path / "writer").mount()
    writer.backup()
    # What the writer tells only after the reader compared would be asked for once more.
    (name,) = writer.artifacts()
    daemon.wait_until(lambda: name in writer.store.get("state/head.json").decode(), "the writer to tell of it")
    reader = new_reader("reader").mount()
    follow(writer, reader)

    def compared():
        before = requests(reader)
        looks = sum(before.values())
        daemon.wait_until(lambda: sum(requests(reader).values()) >= looks + 5, "five looks")
        after = requests(reader)
        return {kind: after[kind] - before.get(kind, 0) for kind in after if after[kind] != before.get(kind, 0)}

    began = time.monotonic()
    asked = compared()
    took_s = time.monotonic() - began
    assert list(asked) == [kind for kind in asked if '"get"' in kind], asked
    assert sum(asked.values()) <= took_s / FOLLOW_S + 2, (asked, took_s)
