# SPDX-License-Identifier: Apache-2.0
"""control/: commands are judged in the write, answers are read from the same descriptor, rights are checked."""
import errno
import os
import subprocess
import tempfile

import pytest


def refused(keepfs, name, command):
    with pytest.raises(OSError) as caught:
        keepfs.write(name, command)
    return caught.value.errno


@pytest.mark.parametrize("command", ["nosuchjob", "full bogus=1", 'full "unclosed', "full extra words", "=", ""])
def test_a_wrong_command_is_refused(keepfs, command):
    assert refused(keepfs, "trigger", command) == errno.EINVAL
    assert keepfs.history() == []


def test_why_it_was_refused_can_be_read(keepfs):
    fd = os.open(keepfs.path("control", "trigger"), os.O_RDWR)
    try:
        with pytest.raises(OSError):
            os.write(fd, b"nosuchjob\n")
        answer = os.read(fd, 4096).decode()
    finally:
        os.close(fd)
    assert "nosuchjob" in answer and "full" in answer
    assert "nosuchjob" in keepfs.text("control", "trigger")


def test_a_shell_sees_the_refusal(keepfs):
    done = subprocess.run(["bash", "-c", f"echo nosuchjob > {keepfs.path('control', 'trigger')}"], stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and "Invalid argument" in done.stderr


def test_the_answer_names_the_run(keepfs):
    answer = keepfs.ask("trigger", "full")
    number, state, job = answer.split()[:3]
    assert (state, job) == ("pending", "full")
    assert keepfs.wait_run(int(number))["state"] == "completed"


def test_two_runs_of_a_job_never_overlap(keepfs, pg):
    with pg.lock("sample", "sales.orders"):
        run = keepfs.trigger()
        keepfs.wait_run(run, {"running"})
        assert refused(keepfs, "trigger", "now") == errno.EBUSY
        assert refused(keepfs, "trigger", "full") == errno.EBUSY
    assert keepfs.wait_run(run)["state"] == "completed"
    assert keepfs.backup()["state"] == "completed"
    assert len(keepfs.history()) == 2


def test_two_jobs_run_side_by_side(new_keepfs, pg):
    keepfs = new_keepfs({"a": {"database": pg.uri("sample")}, "b": {"database": pg.uri("postgres")}}, parallel_runs=2,
                        memory="176M").mount()
    with pg.lock("sample", "sales.orders"):
        slow = keepfs.trigger("a")
        keepfs.wait_run(slow, {"running"})
        assert keepfs.wait_run(keepfs.trigger("b"))["state"] == "completed"
    assert keepfs.wait_run(slow)["state"] == "completed"


def test_cancel(keepfs, pg):
    with pg.lock("sample", "sales.orders"):
        run = keepfs.trigger()
        keepfs.wait_run(run, {"running"})
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        assert keepfs.wait_run(run)["state"] == "cancelled"
    assert keepfs.children("pg_dump") == []
    assert keepfs.store.keys() == []
    assert not keepfs.path("backups", "full", "latest.dump").exists()
    with pytest.raises(OSError):
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")


def test_cancel_in_mid_upload(new_keepfs, pg, noise):
    """the store takes its time; the upload that is open is aborted"""
    keepfs = new_keepfs({"big": {"database": pg.uri(noise)}})
    keepfs.store_settings["faults"] = "part:1+:slow:20000"
    keepfs.write_conf()
    keepfs.mount()
    run = keepfs.trigger()
    keepfs.wait_run(run, condition=lambda _: keepfs.store.uploads())
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert keepfs.store.uploads() == [] and keepfs.store.keys() == []


def test_readme(keepfs):
    text = keepfs.text("control", "README")
    files = set(os.listdir(keepfs.path("control")))
    assert files == {"README", "trigger", "probe", "schedule", "prune", "hold", "ack", "undelete", "verify", "restore", "rescue",
                     "drill", "import", "restore-tenant", "erase", "replicate", "confirm", "rewrap", "adopt", "thaw"}
    for name in files - {"README"}:
        assert name in text


def test_probe(keepfs):
    answer = keepfs.ask("probe", "now")
    assert "store" in answer and "ok" in answer


def test_what_may_not_be_done(keepfs):
    keepfs.backup()
    name = keepfs.artifacts()[0]
    full = keepfs.path("backups", "full")
    tries = {
        "create": lambda: open(full / "new", "wb"),
        "overwrite": lambda: open(full / name, "r+b"),
        "truncate": lambda: os.truncate(full / name, 0),
        "rename": lambda: os.rename(full / name, full / "other.dump"),
        "link": lambda: os.link(full / name, full / "other.dump"),
        "symlink": lambda: os.symlink("x", full / "s"),
        "mkdir": lambda: os.mkdir(keepfs.path("backups", "new")),
        "rmdir": lambda: os.rmdir(full),
        "remove SHA256SUMS": lambda: os.unlink(full / "SHA256SUMS"),
        "remove a status file": lambda: os.unlink(keepfs.path("status", "health")),
    }
    for what, act in tries.items():
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno in (errno.EPERM, errno.EACCES, errno.EROFS), (what, caught.value)
    assert keepfs.artifacts() == [name]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_others_are_kept_out(new_keepfs):
    """without allow_other the kernel refuses; with it the modes do"""
    with tempfile.TemporaryDirectory(prefix="keepfs-open-") as directory:
        os.chmod(directory, 0o755)
        keepfs = new_keepfs(directory=directory, allow_other="yes").mount()
        try:
            look_from_outside(keepfs)
        finally:
            keepfs.close()


def look_from_outside(keepfs):
    keepfs.backup()

    def as_nobody(command):
        return subprocess.run(["runuser", "-u", "nobody", "--", "sh", "-c", command], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    assert as_nobody(f"ls {keepfs.path('backups', 'full')}").returncode != 0
    assert as_nobody(f"echo now > {keepfs.path('control', 'trigger')}").returncode != 0
    assert len(keepfs.history()) == 1
