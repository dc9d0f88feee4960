# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: the log is opened anew, and the configuration is read again, as far as a daemon that runs can take it over."""
import os
import shutil
import signal
import subprocess
import threading

import pytest

import daemon


def log_of(keepfs):
    """nothing, while it has been moved away and is not there anew"""
    try:
        return (keepfs.state / "keepfs.log").read_text()
    except FileNotFoundError:
        return ""


def reload(keepfs, expected):
    """send SIGHUP, and wait for the words that it has logged since"""
    before = len(log_of(keepfs))
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(lambda: expected in log_of(keepfs)[before:], f"the log to say: {expected}")
    return log_of(keepfs)[before:]


def item_of_health(keepfs):
    return next((line for line in keepfs.text("status", "health").splitlines() if " configuration: " in line), "")


def test_a_rotated_log(keepfs):
    """as logrotate does: rename, then SIGHUP; no line is lost, none goes to the old file any more"""
    old = keepfs.state / "keepfs.log.1"
    (keepfs.state / "keepfs.log").rename(old)
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until((keepfs.state / "keepfs.log").exists, "the new log")
    daemon.wait_until(lambda: "the configuration was read again: nothing has changed" in log_of(keepfs), "the new log's first line")
    size = old.stat().st_size
    keepfs.backup()
    assert "run 1 of job full completed" in log_of(keepfs)
    assert old.stat().st_size == size
    (pid,) = keepfs.daemons()
    assert os.readlink(f"/proc/{pid}/fd/2") == str(keepfs.state / "keepfs.log")
    assert (keepfs.state / "keepfs.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not shutil.which("logrotate"), reason="logrotate is not installed")
def test_the_logrotate_snippet(keepfs):
    """what is installed does it, with the names of this test in it"""
    text = (daemon.TOP / "tools" / "keepfs.logrotate").read_text()
    snippet = keepfs.directory / "logrotate.conf"
    assert "/var/lib/keepfs/keepfs.log" in text
    snippet.write_text(text.replace("/var/lib/keepfs", str(keepfs.state)))
    subprocess.run(["logrotate", "--force", "--state", keepfs.directory / "logrotate.state", snippet], check=True)
    daemon.wait_until(lambda: "read again" in log_of(keepfs), "the new log's first line")
    assert "serves" in (keepfs.state / "keepfs.log.1").read_text()


def test_a_log_that_cannot_be_opened_anew(keepfs):
    log, old = keepfs.state / "keepfs.log", keepfs.state / "keepfs.log.1"
    log.rename(old)
    log.mkdir()
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(lambda: "the log goes on in the old file: " in old.read_text(), "a warning")
    log.rmdir()
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(log.exists, "the new log")


def test_jobs_are_taken_over(keepfs, pg):
    """a new one, another value, and one that is gone; a run goes on with the job that it began with"""
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        keepfs.jobs = {"other": {**keepfs.jobs["full"], "compression": "none"}}
        keepfs.write_conf()
        said = reload(keepfs, "[backup full] is gone")
        assert "in force: [backup other] is new" in said
        assert "[backup other]" in keepfs.text("status", "config") and "[backup full]" not in keepfs.text("status", "config")
        assert keepfs.refused("trigger", "full").startswith("EINVAL: there is no job 'full'; write one of: now, other")
        assert sorted(os.listdir(keepfs.path("backups"))) == ["full", "other"]
        assert " job other: " in keepfs.text("status", "health")
    assert keepfs.wait_run(run)["state"] == "completed"
    assert len(keepfs.artifacts("full")) == 1
    keepfs.backup("now")
    assert len(keepfs.artifacts("other")) == 1
    keepfs.jobs["other"]["max_rate"] = "50M/s"
    keepfs.write_conf()
    assert "in force: [backup other] max_rate: none is now 50M/s" in reload(keepfs, "is now")
    assert "max_rate = 50M/s  # " in keepfs.text("status", "config")
    assert item_of_health(keepfs) == ""


def test_what_needs_a_restart_is_told(keepfs):
    """by name, with old and new value; it stays as it is, and the rest is taken over"""
    keepfs.settings.update(memory="128M", stop_grace="1s", log_level="debug")
    keepfs.store_settings["retry_deadline"] = "1s"
    keepfs.write_conf()
    said = reload(keepfs, "retry_deadline")
    assert "in force: [keepfs] stop_grace: 30s is now 1s" in said
    assert "in force: [keepfs] log_level: info is now debug" in said
    assert "needs a restart: [keepfs] memory: 112M stays, not yet 128M" in said
    assert "needs a restart: [store] retry_deadline: 2m stays, not yet 1s" in said
    config = keepfs.text("status", "config")
    assert "memory = 112M" in config and "retry_deadline = 2m" in config and "stop_grace = 1s" in config
    daemon.wait_until(lambda: "needs a restart: [keepfs] memory: 112M" in item_of_health(keepfs), "health to say so")
    keepfs.remount()
    assert item_of_health(keepfs) == ""
    assert "memory = 128M" in keepfs.text("status", "config")


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_secrets_are_masked(keepfs):
    secret = keepfs.store_settings["secret_key"]
    keepfs.store_settings["secret_key"] = "another-secret"
    keepfs.jobs["full"]["database"] = "postgresql://somebody:changed-password@127.0.0.1/x"
    keepfs.write_conf()
    said = reload(keepfs, "[store] secret_key")
    assert "needs a restart: [store] secret_key: ******** stays, not yet ********" in said
    assert "is now postgresql://somebody:********@127.0.0.1/x" in said
    for text in (said, keepfs.text("status", "health"), keepfs.text("status", "config")):
        assert not [word for word in (secret, "another-secret", "changed-password") if word in text], text


def test_a_wrong_configuration_changes_nothing(keepfs):
    keepfs.jobs["full"]["compression"] = "none"
    keepfs.jobs["full"]["max_rate"] = "fast"
    keepfs.jobs["broken"] = {"nosuch": 1}
    keepfs.write_conf()
    said = reload(keepfs, "[backup full] max_rate = fast")
    assert "error: the configuration is wrong: that of before stays in force" in said
    assert f"{keepfs.conf}:" in said and "nosuch" in said
    assert "compression = none" not in keepfs.text("status", "config") and "broken" not in keepfs.text("status", "config")
    assert os.listdir(keepfs.path("backups")) == ["full"]
    daemon.wait_until(lambda: "[backup full] max_rate = fast" in item_of_health(keepfs), "health to say so")
    assert item_of_health(keepfs).startswith("WARN ")
    keepfs.backup()

    keepfs.conf.unlink()
    assert "No such file or directory" in reload(keepfs, str(keepfs.conf))
    keepfs.backup()

    del keepfs.jobs["broken"], keepfs.jobs["full"]["max_rate"]
    keepfs.write_conf()
    reload(keepfs, "the configuration was read again")
    daemon.wait_until(lambda: not item_of_health(keepfs), "health to have nothing more to say")


def test_a_file_that_was_named_relatively(new_keepfs):
    """the daemon works in /, and hooks wherever they like"""
    keepfs = new_keepfs()
    keepfs.jobs["full"]["post_hook"] = f"echo \"$KEEPFS_CONFIG\" > {keepfs.directory}/named"
    keepfs.write_conf()
    subprocess.run([daemon.PROGRAM, "mount", "-c", keepfs.conf.name], cwd=keepfs.directory, env=keepfs.env, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    reload(keepfs, "the configuration was read again")
    keepfs.backup()
    assert (keepfs.directory / "named").read_text() == f"{keepfs.conf}\n"


def test_many_reloads_while_others_read(keepfs):
    """nobody has a version that is gone: for sanitizers above all"""
    enough = threading.Event()

    def read():
        while not enough.is_set():
            for name in ("config", "health", "stats.json", "metrics.prom"):
                assert keepfs.text("status", name)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for i in range(30):
            keepfs.jobs["full"]["max_rate"] = f"{i + 1}M/s"
            keepfs.jobs[f"job{i}"] = dict(keepfs.jobs["full"])
            keepfs.write_conf()
            reload(keepfs, f"is now {i + 1}M/s")
            assert keepfs.refused("trigger", "nosuch").startswith("EINVAL: there is no job 'nosuch'")
    finally:
        enough.set()
        for reader in readers:
            reader.join()
    assert "[backup job29]" in keepfs.text("status", "config")
