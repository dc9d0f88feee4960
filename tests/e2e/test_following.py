# SPDX-License-Identifier: Apache-2.0
"""Files that grow are followed as any log is: tail -f, tail -F, less +F, and whoever reads on at the end."""
import contextlib
import json
import os
import pathlib
import pty
import shutil
import subprocess

import pytest

import daemon


class Follower:
    """a program whose output is a file, and that is ended at the end"""

    def __init__(self, keepfs, *command, **options):
        keepfs.logs += 1
        self.path = keepfs.directory / f"{keepfs.logs}.followed"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT, env=keepfs.env,
                                            **{"stdin": subprocess.DEVNULL, **options})

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.kill()
        self.process.wait()

    def text(self):
        return self.path.read_text()

    def wait_for(self, words):
        daemon.wait_until(lambda: words in self.text(), f"{words!r} in {self.text()!r}")


@pytest.fixture
def slow(new_keepfs, pg):
    """its runs have a log that goes on when the test says so: the hook waits for a line in a fifo, and tells it"""
    keepfs = new_keepfs()
    fifo = keepfs.directory / "fifo"
    os.mkfifo(fifo)
    keepfs.jobs["full"]["pre_hook"] = f"while read line; do test $line = go && break; echo $line; done <> {fifo}"
    keepfs.write_conf()
    keepfs.say = lambda line: fifo.write_text(line + "\n")
    return keepfs.mount()


FOLLOWERS = {"tail -f": ["tail", "-n", "+1", "-s", "0.1", "-f"], "tail -F": ["tail", "-n", "+1", "-F", "-s", "0.1"],
             "tail that polls": ["tail", "-n", "+1", "-s", "0.1", "-f", "---disable-inotify"], "the end": ["tail", "-n", "1", "-f"],
             "from the end": ["tail", "-n", "0", "-s", "0.1", "-f"]}


def has_seeked(pid, path):
    """it stands behind the beginning of the file"""
    for fd, name in daemon.files_of(pid).items():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile: the program is only about to begin
            if name == str(path):
                return int(pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text().split()[1]) > 0
    return False


@pytest.mark.parametrize("how", FOLLOWERS)
def test_a_log_is_followed(slow, how):
    """to its end, and for as long as --pid says"""
    run = slow.trigger()
    log = slow.path("jobs", str(run), "log")
    slow.say("first")
    daemon.wait_until(lambda: "first" in log.read_text(), "the first line")
    until = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    with Follower(slow, *FOLLOWERS[how], f"--pid={until.pid}", log) as follower:
        daemon.wait_until(lambda: has_seeked(follower.process.pid, log), "tail to have read so far")
        for word in ("second", "third"):
            slow.say(word)
            follower.wait_for(f"{word}\n")
        slow.say("go")
        assert slow.wait_run(run)["state"] == "completed"
        follower.wait_for("run completed")
        text, whole = follower.text(), log.read_text()
        assert whole.endswith(text)  # so nothing twice, nothing torn, and no "file truncated"
        assert text.count("first") == (0 if how == "from the end" else 1) and (text == whole or "+1" not in FOLLOWERS[how])
        until.stdin.close()
        until.wait()
        assert follower.process.wait(daemon.DEADLINE_S) == 0


def read_all(terminal, shown):
    """what a terminal has shown since; it is added to @shown"""
    try:
        shown += os.read(terminal, 65536)
    except BlockingIOError:
        pass
    return shown


@pytest.mark.skipif(not shutil.which("less"), reason="needs less")
def test_less_follows_a_log(slow):
    run = slow.trigger()
    log = slow.path("jobs", str(run), "log")
    slow.say("first")
    daemon.wait_until(lambda: "first" in log.read_text(), "the first line")
    terminal, its_own = pty.openpty()
    os.set_blocking(terminal, False)
    process = subprocess.Popen(["less", "-K", "+F", str(log)], stdin=its_own, stdout=its_own, stderr=its_own, start_new_session=True,
                               env={**slow.env, "TERM": "vt100"})
    shown = bytearray()
    try:
        for said, seen in ((None, b"first"), ("second", b"second"), ("go", b"run completed")):
            if said:
                slow.say(said)
            daemon.wait_until(lambda seen=seen: seen in read_all(terminal, shown), f"less to show {seen}")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(its_own)
    assert slow.wait_run(run)["state"] == "completed"


def test_the_audit_and_the_errors_are_followed(keepfs):
    """the newest line is the first of the file, and the next of what follows"""
    keepfs.ask("probe", "now")
    for _ in range(2):
        keepfs.refused("trigger", "nosuch")
    audit, errors = keepfs.path("status", "audit.jsonl"), keepfs.path("status", "last-error")
    with Follower(keepfs, "tail", "-n", "0", "-s", "0.1", "-f", audit) as tail, Follower(keepfs, "tail", "-s", "0.1", "-F", errors) as tail_errors:
        daemon.wait_until(lambda: has_seeked(tail.process.pid, audit) and has_seeked(tail_errors.process.pid, errors), "tail to be at the end")
        keepfs.backup()
        tail.wait_for("trigger")
        for n in range(3):
            keepfs.refused("trigger", f"nosuch{n}")
            tail_errors.wait_for(f"nosuch{n}")
            tail.wait_for(f"nosuch{n}")
        followed = [json.loads(line) for line in tail.text().splitlines()]
        assert [e["object"] for e in followed if e["action"] == "trigger"] == ["now", "nosuch0", "nosuch1", "nosuch2"]
        whole = [json.loads(line) for line in audit.read_text().splitlines()]
        assert followed == whole[len(followed) - 1::-1]
        assert [line for line in tail_errors.text().splitlines()[1:]] == errors.read_text().splitlines()[2::-1]


def test_progress_is_not_torn(slow):
    """it is rewritten, not added to: whoever follows it sees whole lines, and `watch cat` the present one"""
    run = slow.trigger()
    slow.say("first")
    progress = slow.path("jobs", str(run), "progress")
    with Follower(slow, "tail", "-s", "0.1", "-F", progress) as tail:
        tail.wait_for("state=running")
        for _ in range(20):
            assert progress.read_text().startswith(f"run={run} job=full state=running ")
        slow.say("go")
        assert slow.wait_run(run)["state"] == "completed"
        assert "state=completed" in progress.read_text()
        tail.wait_for("state=completed")
        lines = [line for line in tail.text().splitlines() if "file truncated" not in line]
    assert all(line.startswith(f"run={run} job=full state=") for line in lines), lines


def test_one_reading_is_of_one_moment(slow, tmp_path):
    """what is read from beginning to end has the size that stat tells, while the run goes on"""
    run = slow.trigger()
    slow.say("first")
    directory = slow.path("jobs", str(run))
    daemon.wait_until(lambda: "first" in (directory / "log").read_text(), "the first line")
    for command in ("cp {0} {1}/copy", "cat {0} > {1}/copy", "rsync {0} {1}/copy", "tar -C {2} -cf - {3} | tar -xO > {1}/copy"):
        for name in ("log", "status"):
            file = directory / name
            subprocess.run(["sh", "-ec", command.format(file, tmp_path, directory, name)], check=True)
            assert (tmp_path / "copy").read_bytes() == file.read_bytes() and (tmp_path / "copy").stat().st_size == file.stat().st_size
    slow.say("go")
    assert slow.wait_run(run)["state"] == "completed"
