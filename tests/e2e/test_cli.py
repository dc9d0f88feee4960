# SPDX-License-Identifier: Apache-2.0
"""The commands: help, exit codes (0 done, 1 failed, 2 used wrongly, 3 not reachable), --json, starting in every manner."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

import daemon

COMMANDS = ["init", "check", "mount", "run", "trigger", "status", "ack", "info", "jobs", "watch", "notify", "rebuild", "version"]


@pytest.fixture
def unmounted(new_keepfs):
    return new_keepfs()


@pytest.mark.parametrize("command", COMMANDS)
def test_help(unmounted, command):
    done = unmounted.run(command, "--help", conf=False)
    assert f"keepfs {command}" in done.stdout and done.stderr == ""


def test_help_of_rescue_names_its_words(unmounted):
    text = unmounted.run("rescue", "--help", conf=False).stdout
    assert all(word in text for word in ("by=COLUMN,COLUMN", "columns=common", "server=URI", "database=NAME"))


def test_help_names_every_command(unmounted):
    text = unmounted.run("--help", conf=False).stdout
    for command in COMMANDS:
        assert command in text


@pytest.mark.parametrize("arguments", [["nosuch"], ["status", "--nosuch"], ["trigger"], ["watch"], ["run"], ["run", "nosuchjob"],
                                       ["mount", "a", "b", "c"], ["watch", "notanumber"]])
def test_used_wrongly(unmounted, arguments):
    done = unmounted.run(*arguments, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("keepfs") and done.stdout == ""


@pytest.mark.parametrize("arguments", [["status"], ["jobs"], ["trigger", "now"], ["watch", "1"], ["ack", "job/full", "off"]])
def test_not_mounted(unmounted, arguments):
    done = unmounted.run(*arguments, check=False)
    assert done.returncode == 3
    assert str(unmounted.mountpoint) in done.stderr


@pytest.mark.parametrize("arguments", [["status"], ["jobs"], ["trigger", "now"], ["watch", "1"], ["ack", "job/full", "off"]])
def test_a_dead_mount_is_not_reachable(keepfs, arguments):
    """what the kernel remembers of the tree outlives the daemon"""
    keepfs.backup()
    keepfs.run("status", check=False)
    keepfs.kill()
    done = keepfs.run(*arguments, check=False)
    assert done.returncode == 3 and "keepfs mount" in done.stderr, done.stderr
    subprocess.run(["fusermount3", "-uz", str(keepfs.mountpoint)], check=True)


def test_version(unmounted):
    assert unmounted.run("version", conf=False).stdout.startswith("keepfs ")


def test_init_check_mount(new_keepfs, pg, tmp_path):
    """a new user's way: the file that init writes is complete, check says what is missing, mount serves"""
    keepfs = new_keepfs()
    keepfs.conf.unlink()
    keepfs.run("init")
    assert keepfs.conf.stat().st_mode & 0o077 == 0
    assert keepfs.run("init", check=False).returncode != 0  # never overwrites
    keepfs.write_conf()
    done = keepfs.run("check")
    assert "store" in done.stdout and "full" in done.stdout and "pg_dump" in done.stdout
    keepfs.mount()
    keepfs.backup()


@pytest.mark.skipif(os.geteuid() != 0, reason="some defaults are different for root")
def test_the_example_is_what_init_writes(unmounted):
    unmounted.conf.unlink()
    unmounted.run("init")
    assert unmounted.conf.read_text() == (daemon.TOP / "docs/keepfs.conf.example").read_text()
    unmounted.write_conf()


def test_all_errors_at_once_with_file_and_line(new_keepfs):
    keepfs = new_keepfs()
    keepfs.conf.write_text("[keepfs]\nmemory = lots\nmont_point = /x\n[store]\nurl = ftp://x\n[nosuch]\na = b\n")
    done = keepfs.run("check", check=False)
    assert done.returncode == 2
    for line, words in {2: ["memory", "lots"], 3: ["mont_point", "mountpoint"], 5: ["url", "ftp://x"]}.items():
        (said,) = [text for text in done.stderr.splitlines() if f"{keepfs.conf}:{line}:" in text]
        assert all(word in said for word in words), said
    assert "nosuch" in done.stderr


def test_environment_overrides(new_keepfs):
    keepfs = new_keepfs()
    other = keepfs.directory / "elsewhere"
    other.mkdir()
    env = {**keepfs.env, "KEEPFS_MOUNTPOINT": str(other)}
    done = keepfs.run("mount", env=env, check=False)
    try:
        assert done.returncode == 0, done.stderr
        assert os.path.ismount(other)
    finally:
        keepfs.signal(signal.SIGTERM)


def test_trigger_wait(keepfs):
    done = keepfs.run("trigger", "--wait", "now")
    (name,) = keepfs.artifacts()
    assert re.fullmatch(rf"run 1 completed: [0-9.]+ \w+ in \d+ s, backups/full/{re.escape(name)}\n", done.stdout), done.stdout
    assert done.stderr == ""  # cron mails all that is said
    done = keepfs.run("trigger", "--wait", "nosuch", check=False)
    assert done.returncode != 0 and "nosuch" in done.stderr and "full" in done.stderr


def test_trigger_returns_at_once_without_wait(keepfs, pg):
    with pg.lock("sample", "sales.orders"):
        done = keepfs.run("trigger", "full")
        run = int(done.stdout.split()[0])
        assert keepfs.run("trigger", "full", check=False).returncode == 1
    assert keepfs.wait_run(run)["state"] == "completed"
    keepfs.run("watch", run)


def test_watch_ends_with_the_run(keepfs, pg):
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger()
        keepfs.wait_run(run, {"running"})
        watch = subprocess.Popen([daemon.PROGRAM, "watch", "-c", str(keepfs.conf), str(run)], env=keepfs.env,
                                 stdout=subprocess.PIPE, text=True)
        lock.release()
        out, _ = watch.communicate(timeout=60)
    assert watch.returncode == 0 and "completed" in out


def test_watch_of_a_failed_run(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("nosuch")}}).mount()
    run = keepfs.trigger()
    done = keepfs.run("watch", run, check=False)
    assert done.returncode == 1 and "nosuch" in done.stdout + done.stderr


def test_status(new_keepfs, own_pg):
    keepfs = new_keepfs({"full": {"database": own_pg.uri("sample")}})
    keepfs.verify_store()
    keepfs.mount()
    keepfs.backup()
    done = keepfs.run("status")
    assert done.stdout.split()[0] == "OK"
    own_pg.stop()
    assert keepfs.wait_run(keepfs.trigger())["state"] == "failed"
    done = keepfs.run("status", check=False)
    assert done.returncode in (1, 2) and done.stdout.split()[0] == {1: "WARN", 2: "CRIT"}[done.returncode]


def test_json(keepfs):
    run = keepfs.backup()
    json.loads(keepfs.run("status", "--json").stdout)
    rows = [json.loads(line) for line in keepfs.run("jobs", "--json").stdout.splitlines()]
    assert rows[0]["run"] == run["run"] and rows[0]["state"] == "completed"
    assert json.loads(keepfs.run("jobs", run["run"], "--json").stdout)["run"] == run["run"]
    keepfs.unmount()
    result = json.loads(keepfs.run("check", "--json").stdout)
    assert result["ok"] is True and all(check["ok"] for check in result["checks"])
    assert "store" in [check["check"] for check in result["checks"]]


def test_jobs(keepfs):
    run = keepfs.backup()
    assert f"{run['run']}" in keepfs.run("jobs").stdout
    assert "completed" in keepfs.run("jobs", run["run"]).stdout
    for command in ("jobs", "watch"):
        done = keepfs.run(command, 4711, check=False)
        assert done.returncode == 2 and done.stderr == "keepfs: there is no run 4711\n"


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_run_without_a_mount(unmounted):
    done = unmounted.run("run", "full")
    said = done.stderr.splitlines()
    assert said[-1] == "run 1 completed" and len(said) == len(set(said)) and all(line.startswith("run 1 ") for line in said), said
    unmounted.mount()
    assert len(unmounted.artifacts()) == 1
    assert unmounted.history()[0]["triggered_by"] .endswith("(keepfs run)")


def start_run(keepfs, *before):
    # Whoever runs the tests in the background may ignore SIGHUP, and so would all that is started.
    process = subprocess.Popen([*before, daemon.PROGRAM, "run", "-c", str(keepfs.conf), "full"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=keepfs.env,
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    daemon.wait_until(lambda: (keepfs.state / "catalog.db").exists() and run_states(keepfs) == ["1"], "the run is under way")
    return process


def run_states(keepfs):
    with keepfs.catalog() as catalog:
        has_runs = catalog.execute("SELECT 1 FROM sqlite_schema WHERE name = 'run'").fetchone()
        states = [str(state) for state, in catalog.execute("SELECT state FROM run")] if has_runs else []
    catalog.close()
    return states


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_run_is_cancelled_by_a_signal(unmounted, pg, number):
    """it clears up: nothing is left for the next start to settle"""
    with pg.lock("sample", "sales.orders"):
        process = start_run(unmounted)
        process.send_signal(number)
        assert process.wait(daemon.DEADLINE_S) == 1
    assert run_states(unmounted) == ["4"]
    assert unmounted.store.keys() == [] and unmounted.store.uploads() == []


@pytest.mark.skipif(not shutil.which("nohup"), reason="needs nohup")
def test_run_under_nohup_goes_on(unmounted, pg):
    with pg.lock("sample", "sales.orders"):
        process = start_run(unmounted, "nohup")
        process.send_signal(signal.SIGHUP)
    assert process.wait(daemon.DEADLINE_S) == 0
    assert run_states(unmounted) == ["2"]


def test_output_that_cannot_be_written(keepfs):
    def full(*arguments):
        with open("/dev/full", "wb") as device:
            done = subprocess.run([daemon.PROGRAM, *arguments, "-c", str(keepfs.conf)], env=keepfs.env, stdin=subprocess.DEVNULL,
                                  stdout=device, stderr=subprocess.PIPE, text=True, timeout=daemon.DEADLINE_S)
        assert "the output could not be written: No space left on device" in done.stderr, done.stderr
        return done.returncode

    keepfs.backup()
    assert [full(*command) for command in (["jobs"], ["jobs", "1"], ["jobs", "--json"], ["status"], ["check"], ["watch", "1"],
                                           ["trigger", "--wait", "full"])] == [1, 1, 1, 3, 1, 1, 1]
    keepfs.unmount()
    assert [full(*command) for command in (["run", "full"], ["rebuild"])] == [1, 1]
    assert len(keepfs.catalog().execute("SELECT 1 FROM artifact").fetchall()) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a mount of its own")
def test_a_device_that_may_not_be_used(unmounted):
    """as in a container without --device: it is there, and that the module is loaded helps nobody"""
    hidden = unmounted.directory / "devices"
    hidden.mkdir()
    done = subprocess.run(["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o nodev tmpfs "$1" && cp -a /dev/fuse "$1/fuse" && '
                           'mount --bind "$1/fuse" /dev/fuse && "$2" check -c "$3"', "sh", str(hidden), daemon.PROGRAM,
                           str(unmounted.conf)], env=unmounted.env, capture_output=True, text=True, timeout=daemon.DEADLINE_S)
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("FAIL ")]
    assert "/dev/fuse cannot be opened: Permission denied" in line and "--device /dev/fuse --cap-add SYS_ADMIN" in line
    assert "modprobe" not in line and done.returncode == 1


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs a capability to give up")
def test_root_that_may_not_mount(unmounted):
    done = subprocess.run(["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", daemon.PROGRAM, "check", "-c", str(unmounted.conf)],
                          env=unmounted.env, capture_output=True, text=True, timeout=daemon.DEADLINE_S)
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("FAIL ")]
    assert "fuse: root may not mount here" in line and "--cap-add SYS_ADMIN" in line


def test_run_that_fails(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("nosuch")}})
    done = keepfs.run("run", "full", check=False)
    assert done.returncode == 1 and "nosuch" in done.stderr


@pytest.mark.parametrize("command", [["trigger", "--wait"], ["watch"]])
def test_a_note_does_not_make_a_failed_run_a_success(new_keepfs, pg, command):
    """cron looks at the exit status, and nobody at the note"""
    keepfs = new_keepfs({"full": {"database": pg.uri("nosuch")}}).mount()
    note = "note='the one before ended in state completed'"
    if command == ["watch"]:
        run = keepfs.trigger(f"full {note}")
        done = keepfs.run("watch", run, check=False)
    else:
        done = keepfs.run(*command, "full", "note=the one before ended in state completed", check=False)
    assert done.returncode == 1, done.stdout
    assert "completed:" not in done.stdout and "state failed" in done.stdout + done.stderr


def test_several_databases(new_keepfs, pg):
    keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": "sample, nosuch, postgres"}})
    done = keepfs.run("run", "tenants", check=False)
    assert done.returncode == 1 and "nosuch" in done.stdout + done.stderr
    keepfs.mount()
    assert sorted(n for n in os.listdir(keepfs.path("backups", "tenants")) if keepfs.path("backups", "tenants", n).is_dir()
                  and keepfs.artifacts(f"tenants/{n}")) == ["postgres", "sample"]


def test_databases_with_the_names_of_files(new_keepfs, pg, store):
    """the job's directory has files of these names, and each database has a directory all the same"""
    names = {"SHA256SUMS": "=53HA256SUMS", "latest.dump": "=6Catest.dump", "20261120T020000Z": "=320261120T020000Z"}
    keepfs = new_keepfs({"full": {"database": pg.uri("postgres")}})
    keepfs.run("run", "full")
    keepfs.jobs["full"]["databases"] = ", ".join(names)
    keepfs.write_conf()
    for name in names:
        pg.create(name)
    try:
        keepfs.run("run", "full")
    finally:
        for name in names:
            pg.drop(name)
    keepfs.run("rebuild")
    keepfs.mount()
    full = keepfs.path("backups", "full")
    (one,) = [n for n in keepfs.artifacts() if n.endswith(".dump")]
    assert os.readlink(full / "latest.dump") == one and one in (full / "SHA256SUMS").read_text()
    for name, directory in names.items():
        (dump,) = keepfs.artifacts(f"full/{directory}")
        assert os.getxattr(full / directory / dump, "user.keepfs.database").decode() == name
        assert f"backups/full/{directory}/{dump}" in store.keys()
    assert {n for n in os.listdir(full) if (full / n).is_dir()} == set(names.values())


def test_fstab_style(unmounted):
    """what mount.fuse3 calls: keepfs CONFIG MOUNTPOINT -o options"""
    subprocess.run([daemon.PROGRAM, str(unmounted.conf), str(unmounted.mountpoint), "-o", "rw,noatime"], env=unmounted.env,
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)
    assert os.path.ismount(unmounted.mountpoint)
    unmounted.backup()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount.fuse3"), reason="needs root and mount.fuse3")
def test_mount_t_fuse_keepfs(unmounted):
    bin = unmounted.directory / "bin"
    bin.mkdir()
    (bin / "keepfs").symlink_to(daemon.PROGRAM)
    # mount(8) clears PATH for its helper; the type may hold the program's name only. mount.fuse3 itself is what fstab ends in.
    subprocess.run(["mount.fuse3", str(unmounted.conf), str(unmounted.mountpoint), "-t", "fuse.keepfs", "-o", "rw,nosuid,_netdev"],
                   env={**unmounted.env, "PATH": f"{bin}:{os.environ['PATH']}"}, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, timeout=60)
    assert os.path.ismount(unmounted.mountpoint)
    unmounted.backup()


def test_notify_socket(unmounted):
    """Type=notify: READY=1 when the mount serves, not before; STOPPING=1 at the end; exit status 0"""
    address = str(unmounted.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(60)
        process = subprocess.Popen([daemon.PROGRAM, "mount", "-f", "-c", str(unmounted.conf)], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env={**unmounted.env, "NOTIFY_SOCKET": address})
        try:
            while "READY=1" not in listener.recv(4096).decode():
                pass
            assert os.path.ismount(unmounted.mountpoint)
            process.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in listener.recv(4096).decode():
                pass
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    assert not daemon.is_mounted(unmounted.mountpoint)


def test_mount_says_what_is_wrong(unmounted):
    unmounted.mountpoint.rmdir()
    unmounted.mountpoint.write_text("a file")
    done = unmounted.run("mount", check=False)
    assert done.returncode != 0 and str(unmounted.mountpoint) in done.stderr and "not a directory" in done.stderr


def test_a_daemon_that_has_gone_is_not_reachable(keepfs):
    """also right after its death, when the kernel still remembers the names"""
    keepfs.text("control", "README")
    keepfs.kill()
    for command in (["status"], ["jobs"], ["trigger", "now"]):
        done = keepfs.run(*command, check=False)
        assert done.returncode == 3 and "has gone" in done.stderr, done.stderr
    keepfs.mount()
    assert keepfs.text("status", "health")
