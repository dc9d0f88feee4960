# SPDX-License-Identifier: Apache-2.0
"""What the tests of restores share: a restore to its end, what is on the server, what keepfs says is left; and a database whose restore
waits until the test lets it go on."""
import os
import subprocess

import daemon

# As long as there is a role of that name, whoever computes this waits.
LACKED = f"keepfs_lacked_{os.getpid()}"  # an extension that no other test needs
GATE = """
    CREATE FUNCTION public.gate() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN WHILE EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'gate') LOOP PERFORM pg_catalog.pg_sleep(0.01); END LOOP; END $$;
    CREATE FUNCTION public.wait_here(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.gate(); RETURN $1; END $$
    """


def begun(keepfs, command):
    """the number of its run"""
    return int(keepfs.ask("restore", command).split()[0])


def ended(keepfs, run, states=("completed",)):
    """its log"""
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] in states, f"{status}\n{log}"
    return log


def restored(keepfs, command, states=("completed",)):
    """one restore to its end; its log"""
    return ended(keepfs, begun(keepfs, command), states)


def rows(pg, database, table="orders"):
    return int(pg.sql(database, f"SELECT count(*) FROM public.{table}"))


def names_like(pg, name):
    return sorted(pg.sql("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'").splitlines())


def left(keepfs):
    with keepfs.catalog() as catalog:
        return catalog.execute("SELECT target, made, phase, is_over, problem FROM restore").fetchall()


def killed(keepfs):
    """kill -9, and the next start"""
    keepfs.kill()
    subprocess.run(["umount", "-l", str(keepfs.mountpoint)], check=True)
    keepfs.mount()


def is_loading(pg, table="orders"):
    return f"COPY public.{table}" in pg.sql("postgres", "SELECT string_agg(query, ' ') FROM pg_stat_activity")


def wait_loading(pg, table="orders"):
    daemon.wait_until(lambda: is_loading(pg, table), "rows are loaded")


def gate_shut(pg):
    pg.sql("postgres", "CREATE ROLE gate")


def gate_opened(pg):
    pg.sql("postgres", "DROP ROLE IF EXISTS gate")


def wait_at_gate(pg):
    daemon.wait_until(lambda: pg.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "0", "it waits at the gate")
