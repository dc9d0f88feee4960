# SPDX-License-Identifier: Apache-2.0
"""What a process inherits, and what the system sends it: descriptors, limits, masks, signals, other people's children."""
import os
import pathlib
import resource
import signal
import socket
import subprocess
import time

import pytest

import daemon


@pytest.fixture
def unmounted(new_keepfs):
    return new_keepfs()


def start(keepfs, *arguments, before=None, env=None, command=(), **options):
    """a command as somebody with odd habits starts it; @before is done between fork and exec"""
    with open(keepfs.directory / "started.err", "wb") as stderr:
        done = subprocess.run([*command, daemon.PROGRAM, arguments[0], "-c", str(keepfs.conf), *arguments[1:]], env=env or keepfs.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, preexec_fn=before,
                              timeout=daemon.DEADLINE_S, **options)
    return done.returncode, (keepfs.directory / "started.err").read_text()


def close_standard():
    for fd in (0, 1, 2):
        os.close(fd)


def test_without_standard_descriptors(unmounted):
    """else a file of the catalog would be standard error, and words of the log would get into it"""
    code, _ = start(unmounted, "mount", before=close_standard)
    assert code == 0
    (pid,) = unmounted.daemons()
    for fd, name in ((0, "/dev/null"), (1, "/dev/null"), (2, str(unmounted.state / "keepfs.log"))):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == name
    unmounted.backup()


def test_no_descriptor_of_others_is_kept(unmounted):
    """a script's lock would be held for as long as the daemon lives"""
    with open(unmounted.directory / "lock", "w") as lock:
        os.set_inheritable(lock.fileno(), True)
        code, words = start(unmounted, "mount", close_fds=False)
        assert code == 0, words
        (pid,) = unmounted.daemons()
        assert lock.name not in daemon.files_of(pid).values()


def limit_files(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_few_open_files(unmounted):
    code, words = start(unmounted, "mount", before=limit_files(64, 64))
    assert code == 2
    assert "may have 64 files open at once, and needs" in words and "LimitNOFILE=" in words
    assert unmounted.daemons() == []
    code, words = start(unmounted, "mount", before=limit_files(64, 1024))
    assert code == 0, words
    unmounted.backup()


@pytest.mark.parametrize("mask", [0, 0o777])
def test_umask(unmounted, mask):
    code, words = start(unmounted, "mount", before=lambda: os.umask(mask))
    assert code == 0, words
    unmounted.backup()
    unmounted.unmount()  # so that nothing vanishes while it is looked at
    for path in (unmounted.state, *unmounted.state.rglob("*"), *unmounted.store.root.rglob("*")):
        mode = path.stat().st_mode & 0o777
        assert mode & 0o700 >= (0o700 if path.is_dir() else 0o600), (path, oct(mode))
        assert mode & 0o022 == 0, (path, oct(mode))


def ignore_children():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))


def ignore_the_end():
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("before", [ignore_children, block_all, ignore_the_end])
def test_signals_are_heard(unmounted, before):
    """a failed child must not count as one that did its work, nor SIGTERM for nothing"""
    unmounted.jobs = {**unmounted.jobs, "hooked": {**unmounted.jobs["full"], "pre_hook": "exit 3"}}
    unmounted.write_conf()
    code, words = start(unmounted, "mount", before=before)
    assert code == 0, words
    unmounted.backup("full")
    failed = unmounted.wait_run(unmounted.trigger("hooked"))
    assert failed["state"] == "failed" and "exit status 3" in failed["error"]
    unmounted.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(lambda: "read again" in (unmounted.state / "keepfs.log").read_text(), "the reload")
    unmounted.signal(signal.SIGTERM)
    assert not daemon.is_mounted(unmounted.mountpoint)


@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_waits_for_its_store_can_be_ended(unmounted, foreground, number):
    """a store that says nothing: the first start of all waits for it"""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(daemon.DEADLINE_S)
        unmounted.store_settings = {"url": "s3://bucket", "endpoint": f"http://127.0.0.1:{mute.getsockname()[1]}", "allow_http": "yes",
                                    "access_key": "a", "secret_key": "b", "retry_deadline": "1h", "first_byte_timeout": "1h",
                                    "stall_timeout": "1h"}
        unmounted.write_conf()
        process = subprocess.Popen([daemon.PROGRAM, "mount", *(["-f"] if foreground else []), "-c", str(unmounted.conf)], env=unmounted.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        connection, _ = mute.accept()
        began = time.monotonic()
        for pid in unmounted.daemons():
            if pid != process.pid or foreground:
                os.kill(pid, number)
        assert process.wait(daemon.DEADLINE_S) != 0
        assert time.monotonic() - began < 8  # it would have given up after 10 s
        connection.close()
    assert unmounted.processes() == {} and not daemon.is_mounted(unmounted.mountpoint)


def test_a_hook_that_hears_nothing_does_not_hold_the_end_up(unmounted):
    unmounted.jobs["full"].update(pre_hook="trap '' TERM INT HUP; echo ready; while :; do sleep 1000; done", post_hook="trap '' TERM; sleep 1000")
    unmounted.settings["stop_grace"] = "0s"
    unmounted.write_conf()
    unmounted.mount()
    run = unmounted.trigger()
    daemon.wait_until(lambda: "ready" in unmounted.text("jobs", str(run), "log"), "the hook to have begun")
    began = time.monotonic()
    unmounted.signal(signal.SIGTERM)
    assert time.monotonic() - began < 30
    assert unmounted.processes() == {}


def test_without_home_and_from_a_deleted_directory(unmounted):
    gone = unmounted.directory / "gone"
    gone.mkdir()

    def enter():
        os.chdir(gone)
        gone.rmdir()

    env = {name: value for name, value in unmounted.env.items() if name not in ("HOME", "PATH")}
    code, words = start(unmounted, "mount", before=enter, env=env)
    assert code == 0, words
    unmounted.backup()


def test_no_name_of_its_own(unmounted):
    done = subprocess.run(["keepfs"], executable=daemon.PROGRAM, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert done.returncode == 2 and "no command given" in done.stderr


def zombies_of(parent):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, NotADirectoryError):
            continue
        if fields and fields[0] == "Z" and fields[1] == str(parent):
            found.append(entry.name)
    return found


LEAVES_CHILDREN = "setsid true & setsid sh -c 'true & exit 0' & true"


@pytest.fixture
def init(unmounted):
    """the daemon as the init of a container: a name space of processes, and nothing else of one"""
    unmounted.jobs["full"].update(pre_hook=LEAVES_CHILDREN, post_hook=LEAVES_CHILDREN)
    unmounted.settings["stop_grace"] = "0s"
    unmounted.write_conf()
    with open(unmounted.directory / "init.err", "wb") as stderr:
        unshare = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", daemon.PROGRAM, "mount", "-f", "-c", str(unmounted.conf)],
                                   env=unmounted.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
        daemon.wait_until(lambda: daemon.is_mounted(unmounted.mountpoint) or unshare.poll() is not None, "the mount")
        try:
            yield unmounted
            unmounted.signal(signal.SIGTERM)
        finally:
            unshare.kill()
            unshare.wait()
    assert "Sanitizer" not in (unmounted.directory / "init.err").read_text()


needs_name_spaces = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a name space of processes")


@needs_name_spaces
def test_init_leaves_no_zombies(init):
    """hooks leave children behind, which are init's then; none of ours may be taken for one of these"""
    (pid,) = init.daemons()
    (numbers,) = [line.split() for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:")]
    assert numbers[-1] == "1"
    for _ in range(3):
        init.backup()
    daemon.wait_until(lambda: not zombies_of(pid), "zombies to be reaped")
    init.jobs["full"]["pre_hook"] = "setsid true & exit 3"
    init.write_conf()
    os.kill(pid, signal.SIGHUP)
    daemon.wait_until(lambda: "exit 3" in init.text("status", "config"), "the reload")
    failed = init.wait_run(init.trigger())
    assert failed["state"] == "failed" and "exit status 3" in failed["error"]
    daemon.wait_until(lambda: not zombies_of(pid), "zombies to be reaped")
    os.kill(pid, signal.SIGTERM)
    daemon.wait_exit(pid)
    assert not daemon.is_mounted(init.mountpoint)


@needs_name_spaces
def test_run_as_init_leaves_no_zombies(unmounted):
    unmounted.jobs["full"].update(pre_hook=LEAVES_CHILDREN, post_hook=LEAVES_CHILDREN)
    unmounted.write_conf()
    code, words = start(unmounted, "run", "full", command=("unshare", "--pid", "--fork", "--kill-child"))
    assert code == 0, words
