# SPDX-License-Identifier: Apache-2.0
"""Secrets that keepfs knows are planted, and then looked for wherever somebody else could read them."""
import os
import pathlib
import signal

import pytest

import daemon
from postgres import PASSWORD


def environment_of(pid):
    """{name: value}"""
    text = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def secrets_in(text, keepfs):
    secrets = [keepfs.env["KEEPFS_STORE_SECRET_KEY"], "planted-aws-secret", "planted-aws-token", PASSWORD, PASSWORD.replace(" ", "%20")]
    return [secret for secret in secrets if secret in text]


@pytest.fixture
def planted(new_keepfs, pg, tmp_path):
    """a keepfs that gets all its secrets from the environment"""
    keepfs = new_keepfs({"full": {"jobs": 1, "pre_hook": f"env > {tmp_path}/pre.env",
                                  "post_hook": f"env > {tmp_path}/post.env"}})
    for name in ("access_key", "secret_key"):
        keepfs.env[f"KEEPFS_STORE_{name.upper()}"] = keepfs.store_settings.pop(name)
    keepfs.env["KEEPFS_BACKUP_FULL_DATABASE"] = pg.uri_tcp("sample")
    keepfs.env.update({"AWS_SECRET_ACCESS_KEY": "planted-aws-secret", "AWS_ACCESS_KEY_ID": "planted-aws-key",
                       "AWS_SESSION_TOKEN": "planted-aws-token", "OTHER_SECRET": "planted-other", "HOOKS_NEED_THIS": "yes"})
    keepfs.write_conf()
    return keepfs.mount()


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_children_get_no_secrets(planted, pg, tmp_path):
    with pg.lock("sample", "sales.orders") as lock:
        run = planted.trigger()
        lock.wait_until_waited_for()
        (dump,) = planted.children("pg_dump")
        environment, arguments = environment_of(dump), daemon.arguments_of(dump)
    assert planted.wait_run(run)["state"] == "completed"
    assert environment["PGPASSWORD"] == PASSWORD  # where only the user can read it
    assert not secrets_in("\n".join(arguments), planted), arguments
    assert not [name for name in environment if name.startswith(("KEEPFS_", "AWS_", "OTHER_"))], environment
    for hook in ("pre.env", "post.env"):
        text = (tmp_path / hook).read_text()
        assert "HOOKS_NEED_THIS=yes" in text and "KEEPFS_JOB=full" in text
        assert not secrets_in(text, planted), text


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_nobody_is_told_a_secret(planted):
    planted.backup()
    failing = planted.trigger("full tables=nosuch.nosuch")
    assert planted.wait_run(failing)["state"] == "failed"
    planted.run("check", check=False)
    shown = [planted.text("status", name) for name in os.listdir(planted.path("status"))]
    shown += [planted.text("jobs", str(failing), name) for name in ("status", "log")]
    shown += [planted.text("control", "trigger"), (planted.state / "keepfs.log").read_text()]
    shown += ["\n".join(daemon.arguments_of(pid)) for pid in planted.processes()]
    for text in shown:
        assert not secrets_in(text, planted), text
    assert "secret_key = ********" in planted.text("status", "config")
    assert "postgres:********@" in planted.text("status", "config")


def test_there_is_no_core_with_secrets(keepfs):
    """neither a file (a limit below a page) nor a pipe to a program, from which only a limit of 1 keeps it"""
    (pid,) = keepfs.daemons()
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4] in ("0", "1"), core
    keepfs.signal(signal.SIGSEGV)
    assert not list(pathlib.Path("/").glob("core*")) and not list(keepfs.directory.glob("core*"))
