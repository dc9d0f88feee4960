# SPDX-License-Identifier: Apache-2.0
"""What a restore waits for (other restores), what it does not (anything else), what stays as long as it needs it, how long it takes, and what is
where after it was stopped in any of its phases."""
import contextlib
import errno
import os
import re
import signal
import subprocess

import pytest

import daemon
from restoring import left, names_like, restored, rows


@contextlib.contextmanager
def gate(pg):
    """as long as it is closed, whoever computes wait_here() waits"""
    pg.sql("postgres", "CREATE ROLE gate")
    try:
        yield
    finally:
        pg.sql("postgres", "DROP ROLE IF EXISTS gate")


def gated(pg, name, where="index"):
    """a database whose restore waits at the gate: at its rows (data), an index, or (analyze) the planner's statistics of one"""
    pg.create(name)
    pg.sql(name, """
        CREATE FUNCTION public.gate() RETURNS void LANGUAGE plpgsql AS
            $$ BEGIN WHILE EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'gate') LOOP PERFORM pg_catalog.pg_sleep(0.01); END LOOP; END $$;
        CREATE FUNCTION public.wait_here(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.gate(); RETURN $1; END $$""")
    column = "int CHECK (public.wait_here(id) > 0)" if where == "data" else "int"
    pg.sql(name, f"CREATE TABLE public.orders (id {column}); INSERT INTO public.orders SELECT generate_series(1, 10)")
    if where == "index":
        pg.sql(name, "CREATE INDEX slow ON public.orders (public.wait_here(id))")


def wait_at_gate(pg, count=1):
    daemon.wait_until(lambda: int(pg.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")) >= count, "it waits at the gate")


def ask(keepfs, command):
    return int(keepfs.ask("restore", command).split()[0])


def refused(call, code):
    with pytest.raises(OSError) as failure:
        call()
    assert failure.value.errno == code


def test_it_waits_for_no_verify(new_keepfs, own_pg, target):
    """two verifies that take for ever, and a third that says for what it waits; a restore comes to its end meanwhile"""
    for name in ("first", "second", "third"):
        own_pg.create(name)
        own_pg.sql(name, "CREATE TABLE public.orders AS SELECT g AS id, repeat(md5(g::text), 10) AS note FROM generate_series(1, 2000) g")
    keepfs = new_keepfs({name: {"database": own_pg.uri(name), "compression": "none"} for name in ("first", "second", "third")}).mount()
    for name in ("first", "second", "third"):
        keepfs.backup(name)
    slow = [int(keepfs.ask("verify", f"{name} rate=100").split()[0]) for name in ("first", "second")]
    for run in slow:
        keepfs.wait_run(run, condition=lambda status: status["state"] == "running")
    waiting = int(keepfs.ask("verify", "third").split()[0])
    want = f"run {slow[0]} (verify:first), run {slow[1]} (verify:second)"
    assert f"waits_for {want}\n" in keepfs.text("jobs", str(waiting), "status")
    assert f"waits_for={want.replace(' ', '%20')}" in keepfs.text("jobs", str(waiting), "progress")
    restored(keepfs, f"first/latest.dump into={target}")
    assert rows(own_pg, target) == 2000
    assert [keepfs.run_status(run)["state"] for run in (*slow, waiting)] == ["running", "running", "pending"]
    # what is looked at stays
    (first,) = keepfs.artifacts("first")
    refused(lambda: os.unlink(keepfs.path("backups", "first", first)), errno.EBUSY)
    assert f"is being checked by run {slow[0]}" in keepfs.text("status", "last-error")
    for run in slow:
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    keepfs.wait_run(waiting, {"completed"})
    assert "waits_for" not in keepfs.text("jobs", str(waiting), "status")


def test_what_is_restored_stays(new_keepfs, own_pg, target):
    """rm is refused, retention leaves it to the next run, and says so; after the end both take it"""
    gated(own_pg, "kept")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("kept"), "keep_last": "1", "min_keep": "1", "keep_within": "none"}}, policy_delay="none").mount()
    keepfs.backup()
    (old,) = keepfs.artifacts()
    with gate(own_pg):
        run = ask(keepfs, f"full/{old} into={target}")
        wait_at_gate(own_pg)
        said = keepfs.path("backups", "full", old)
        refused(lambda: os.unlink(said), errno.EBUSY)
        reason = f"backups/full/{old} is being restored by run {run}"
        assert reason in keepfs.text("status", "last-error") and reason in keepfs.text("status", "audit.jsonl")
        # into the same database there is one at a time
        fd = os.open(keepfs.path("control", "restore"), os.O_RDWR)
        refused(lambda: os.write(fd, f"full/{old} into={target} confirm={target}\n".encode()), errno.EBUSY)
        assert f"run {run} is at work on the database {target}" in os.read(fd, 65536).decode()
        os.close(fd)
        made = keepfs.backup()["run"]
        log = keepfs.text("jobs", str(made), "log")
        assert "stay until the next run: " + reason in log, log
        assert old in keepfs.artifacts()
    keepfs.wait_run(run, {"completed"})
    keepfs.backup()
    assert old not in keepfs.artifacts() and len(keepfs.artifacts()) == 1


def test_nothing_stays_locked_after_a_kill(new_keepfs, own_pg, target):
    """without a mount no other keepfs may work on this catalog; whoever comes after kill -9 may, and may remove what was restored"""
    gated(own_pg, "kept")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("kept")}}).mount()
    keepfs.backup()
    keepfs.backup()
    old = keepfs.artifacts()[0]
    keepfs.unmount()
    with gate(own_pg):
        process = subprocess.Popen([daemon.PROGRAM, "restore", "-c", str(keepfs.conf), f"full/{old}", f"into={target}"], env=keepfs.env,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_at_gate(own_pg)
        done = keepfs.run("mount", check=False)
        assert done.returncode != 0 and "keepfs" in done.stderr and not os.path.ismount(keepfs.mountpoint)
        process.kill()
        process.wait()
    keepfs.wait_end()
    keepfs.mount()
    os.unlink(keepfs.path("backups", "full", old))
    assert old not in keepfs.artifacts()
    assert f"restore {target}" in keepfs.text("status", "health")


def test_how_long_it_takes(new_keepfs, own_pg, target):
    """nothing is known before the first one; then both parts are, and by what"""
    gated(own_pg, "paced")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("paced")}}).mount()
    keepfs.backup()
    log = restored(keepfs, f"full/latest.dump into={target} plan=yes")
    assert "how long restoring it takes is not known" in log and "how long reading and checking it takes is not known" in log
    restored(keepfs, f"full/latest.dump into={target}")
    log = restored(keepfs, f"full/latest.dump into={target} plan=yes")
    assert re.search(r"reading and checking it takes probably .* per second, as the last time in backups/full, on 20", log), log
    assert re.search(r"restoring it takes probably .* per second, as the last time in backups/full, on 20", log), log
    log = restored(keepfs, f"full/latest.dump into={target} plan=yes content=schema clean=yes")
    assert "restoring not a part, but all of it takes probably" in log
    # as long as it is on time, what is left is told
    with keepfs.catalog() as catalog:
        assert catalog.execute("SELECT count(*) FROM pace WHERE work = 2 AND database_bytes > 0").fetchone() == (1,)
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("UPDATE pace SET took_us = 3600000000")
    keepfs.mount()
    with gate(own_pg):
        run = ask(keepfs, f"full/latest.dump into={target}2")
        wait_at_gate(own_pg)
        progress = keepfs.text("jobs", str(run), "progress")
        assert " phase=restoring " in progress and 0 < int(re.search(r" eta_s=(\d+)", progress)[1]) <= 3600, progress
    keepfs.wait_run(run, {"completed"})


def test_who_is_connected(new_keepfs, own_pg, target):
    gated(own_pg, "asked")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("asked")}}).mount()
    keepfs.backup()
    own_pg.create(target)
    env = {**os.environ, "PGAPPNAME": "till 7"}
    session = subprocess.Popen([*own_pg.as_user, "env", "PGAPPNAME=till 7", str(own_pg.bindir / "psql"), "-X", "-d", own_pg.uri(target), "-c", "SELECT pg_sleep(600)"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    daemon.wait_until(lambda: "till 7" in own_pg.sql("postgres", f"SELECT string_agg(application_name, '') FROM pg_stat_activity WHERE datname = '{target}'"), "the session is there")
    want = r"postgres \(till 7, (local|from 127\.0\.0\.1), since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\)"
    said = keepfs.refused("restore", f"full/latest.dump into={target}")
    assert re.search(r", 1 sessions: " + want + r"\): to restore over it", said), said
    log = restored(keepfs, f"full/latest.dump into={target} plan=yes")
    assert re.search(f"connected to {target}: {want}", log), log
    own_pg.sql("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{target}'")
    session.wait()


PHASES = ["read", "hook", "data", "index", "check", "swap"]


@pytest.mark.parametrize("how", ["cancel", "term"])
@pytest.mark.parametrize("phase", PHASES)
def test_stopped(new_keepfs, own_pg, target, tmp_path, phase, how):
    """beside what is there: whatever it was doing, the living database is as it was, nothing is left, and that is told"""
    gated(own_pg, "stopped", phase)
    # What is at the gate would use up any time that it is given to end by itself.
    keepfs = new_keepfs({"full": {"database": own_pg.uri("stopped")}}, stop_grace="1s").mount()
    keepfs.backup()
    own_pg.create(target)
    own_pg.sql(target, "CREATE TABLE public.living AS SELECT 1 AS one")
    if phase == "read":
        keepfs.unmount()
        keepfs.store_settings["faults"] = "get:3+:slow:60000"
        keepfs.write_conf()
        keepfs.mount()
    holder = None
    words = {"hook": f"pre_hook='touch {tmp_path}/begun; exec sleep 600'", "check": "check='SELECT public.wait_here(1) = 1'"}.get(phase, "")
    with gate(own_pg):
        if phase == "swap":
            holder = subprocess.Popen([*own_pg.as_user, str(own_pg.bindir / "psql"), "-X", "-q", "-d", own_pg.uri("postgres")], stdin=subprocess.PIPE, text=True)
            holder.stdin.write(f'BEGIN; ALTER DATABASE "{target}" CONNECTION LIMIT 7;\n')
            holder.stdin.flush()
            daemon.wait_until(lambda: "CONNECTION LIMIT 7" in own_pg.sql("postgres", "SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE state LIKE 'idle in%'"), "it is held")
        run = ask(keepfs, f"full/latest.dump into={target} confirm={target} {words}")
        if phase == "read":
            daemon.wait_until(lambda: "stays as it is until" in keepfs.text("jobs", str(run), "log"), "it is planned")
        elif phase == "hook":
            daemon.wait_until((tmp_path / "begun").exists, "the hook has begun")
        elif phase == "swap":
            daemon.wait_until(lambda: own_pg.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%RENAME TO%' AND wait_event_type = 'Lock'") == "1", "it waits")
        else:
            wait_at_gate(own_pg)
        if how == "cancel":
            keepfs.path("jobs", str(run), "cancel").write_text("1\n")
            error = keepfs.wait_run(run, {"cancelled"})["error"]
        else:
            keepfs.signal(signal.SIGTERM)
            keepfs.wait_end()
            with keepfs.catalog() as catalog:
                state, error = catalog.execute("SELECT state, error FROM run WHERE id = ?", (run,)).fetchone()
            assert state == 4
    if holder:
        holder.stdin.close()
        holder.wait()
    want = "before anything was changed" if phase == "read" else "no database was changed" if phase == "hook" else f"{target} is as it was: nothing is left of the restore"
    assert want in error, error
    assert names_like(own_pg, target) == [target] and own_pg.sql(target, "SELECT one FROM public.living") == "1"
    assert left(keepfs) == []


@pytest.mark.parametrize("phase", ["data", "index"])
def test_stopped_in_place(new_keepfs, own_pg, target, phase):
    """the database itself was changed: that is said, and stays in health until it is settled"""
    gated(own_pg, "stopped", phase)
    keepfs = new_keepfs({"full": {"database": own_pg.uri("stopped")}}).mount()
    keepfs.backup()
    own_pg.create(target)
    with gate(own_pg):
        run = ask(keepfs, f"full/latest.dump into={target} confirm={target} swap=no")
        wait_at_gate(own_pg)
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        error = keepfs.wait_run(run, {"cancelled"})["error"]
    assert f"{target} itself was changed, or may have been, and can hold a part of the backup" in error
    assert left(keepfs)[0][:4] == (target, "", 1, 1) and f"{target} itself was changed" in keepfs.text("status", "health")
