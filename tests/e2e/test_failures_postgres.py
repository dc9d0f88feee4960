# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL fails: each failure is seen, named, and leaves nothing behind."""
import os
import signal

from failing import fails, noisy


def test_postgresql_stopped(new_keepfs, own_pg):
    keepfs = new_keepfs({"full": {"database": own_pg.uri("sample")}}).mount()
    keepfs.backup()
    own_pg.stop()
    fails(keepfs, "connect")
    assert keepfs.text("status", "health").split()[0] in ("WARN", "CRIT")
    done = keepfs.run("trigger", "--wait", "now", check=False)
    assert done.returncode == 1 and done.stdout == "" and "\nstate failed\n" in done.stderr and "\nerror " in done.stderr
    assert len(keepfs.artifacts()) == 1
    own_pg.start()
    keepfs.backup()
    health = keepfs.text("status", "health")
    assert health.split()[0] == "OK", health


def test_wrong_password(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri_tcp("sample", password="hunter2-wrong")}}).mount()
    error = fails(keepfs, "password authentication failed")
    assert "hunter2" not in error


def test_database_does_not_exist(new_keepfs, pg):
    fails(new_keepfs({"full": {"database": pg.uri("nosuch")}}).mount(), "nosuch", "does not exist")


def test_a_role_under_row_security(new_keepfs, pg):
    pg.sql("sample", "DO $$ BEGIN CREATE ROLE limited LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
                     "GRANT pg_read_all_data TO limited")
    fails(new_keepfs({"full": {"database": pg.uri("sample", user="limited")}}).mount(), "row", "orders")


def test_pg_dump_killed_while_it_waits(keepfs, pg):
    with pg.lock("sample", "sales.orders") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        (pid,) = keepfs.children("pg_dump")
        os.kill(pid, signal.SIGKILL)
        assert keepfs.wait_run(run)["state"] == "failed"
    assert "signal 9" in keepfs.history(run)["error"] or "kill" in keepfs.history(run)["error"].lower()
    assert keepfs.store.keys() == []


def test_pg_dump_killed_in_the_middle(new_keepfs, pg, noise):
    """it is stopped at its first part, so that it cannot be through before it is killed"""
    keepfs = noisy(new_keepfs, pg, noise, "part:1+:slow:20000").mount()
    with pg.lock(noise, "public.noise") as lock:
        run = keepfs.trigger()
        lock.wait_until_waited_for()
        (pid,) = keepfs.children("pg_dump")
    keepfs.wait_run(run, condition=lambda _: keepfs.store.uploads())
    os.kill(pid, signal.SIGKILL)
    assert keepfs.wait_run(run)["state"] == "failed"
    assert keepfs.store.uploads() == [] and keepfs.store.keys() == []
    assert keepfs.artifacts("big") == []


def test_one_database_of_several_fails(new_keepfs, pg):
    """of several databases one fails: the others are there, the run says which one and why"""
    keepfs = new_keepfs({"tenants": {"database": pg.uri("postgres"), "databases": "sample, nosuch, postgres"}}).mount()
    run = keepfs.trigger("tenants")
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "nosuch" in keepfs.history(run)["error"]
    assert len(keepfs.artifacts("tenants/sample")) == len(keepfs.artifacts("tenants/postgres")) == 1
    assert keepfs.history(run)["targets_failed"] == 1
