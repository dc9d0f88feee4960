# SPDX-License-Identifier: Apache-2.0
"""What goes wrong at the server, in the network and in the store while a backup is restored: it is told with what to do, and the database that
was there is as it was, or is named with the state that it is in."""
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import urllib.parse

import pytest

import daemon
import everything
import handmade
import postgres
import stores
from restoring import GATE, LACKED, begun, ended, gate_opened, gate_shut, is_loading, killed, left, names_like, restored, rows, wait_at_gate, wait_loading

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")
FULL = re.compile("No space left on device|wrote only [0-9]+ of [0-9]+ bytes")  # the last write may go half way


def fill(pg, database, count):
    """some 1.3 MB for a thousand rows"""
    pg.create(database)
    pg.sql(database, f"CREATE TABLE public.orders AS SELECT g AS id, repeat(md5(g::text), 40) AS note FROM generate_series(1, {count}) g; CHECKPOINT")


def living(pg, name):
    """what is there before"""
    pg.create(name)
    pg.sql(name, "CREATE TABLE public.living AS SELECT 1 AS one")


def assert_living(pg, name):
    assert pg.sql(name, "SELECT one FROM public.living") == "1"


@contextlib.contextmanager
def small_disk(size):
    """a directory of the server's that has no more room than that; `enlarge` gives it more"""
    where = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-small-"))
    os.chmod(where, 0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "keepfs-small", str(where)], check=True)
    shutil.chown(where, "postgres", "postgres")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)
        where.rmdir()


# The disk.

@needs_root
def test_a_tablespace_runs_full(new_keepfs, own_pg, target):
    """rows do not fit where the dump wants them; the server itself goes on"""
    with small_disk("40m") as disk:
        place = own_pg.directory / "place"
        place.mkdir()
        shutil.chown(place, "postgres")
        own_pg.sql("postgres", f"CREATE TABLESPACE small LOCATION '{place}'")
        fill(own_pg, "big", 50000)
        own_pg.sql("postgres", "ALTER DATABASE big SET TABLESPACE small")
        keepfs = new_keepfs({"full": {"database": own_pg.uri("big"), "compression": "none"}}).mount()
        keepfs.backup()
        own_pg.drop("big")
        own_pg.sql("postgres", "DROP TABLESPACE small")
        own_pg.sql("postgres", f"CREATE TABLESPACE small LOCATION '{disk}'")
        living(own_pg, target)
        run = begun(keepfs, f"full/latest.dump into={target} confirm={target}")
        log = ended(keepfs, run, {"failed"})
        error = keepfs.run_status(run)["error"]
        assert FULL.search(error) and "a disk of the server or of this host is full" in error, log
        assert f"{target} is as it was" in error
        assert_living(own_pg, target)
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        if left(keepfs):  # a server whose disk is full cannot always drop
            assert f"{target}_restoring_{run} holds a part of the backup: drop it" in error, error
            own_pg.drop(f"{target}_restoring_{run}")
        else:
            assert "nothing is left of the restore" in error, error
        assert names_like(own_pg, target) == [target]
        # with room it goes
        restored(keepfs, f"full/latest.dump into={target} confirm={target}")
        assert rows(own_pg, target) == 50000
        for name in names_like(own_pg, target):
            own_pg.drop(name)
        own_pg.sql("postgres", "DROP TABLESPACE small")


@needs_root
def test_the_disk_of_the_server_runs_full(new_keepfs, pg, target):
    """all of it, its log of transactions too: the server may crash of that, and what was there is there when it runs again"""
    fill(pg, "big", 200000)
    try:
        keepfs = new_keepfs({"full": {"database": pg.uri("big"), "compression": "none"}}).mount()
        keepfs.backup()
    finally:
        pg.drop("big")
    with small_disk("200m") as disk:
        server = postgres.Postgres("max_wal_size = 64MB\n", directory=disk)
        try:
            living(server, target)
            server.sql("postgres", "CHECKPOINT")
            keepfs.jobs = {"full": {"database": server.uri("big")}}
            keepfs.write_conf()
            keepfs.remount()
            run = begun(keepfs, f"full/latest.dump into={target} confirm={target}")
            ended(keepfs, run, {"failed"})
            error = keepfs.run_status(run)["error"]
            assert f"{target} is as it was" in error, error
            assert FULL.search(error) or "connection" in error, error
            if left(keepfs):
                assert f"{target}_restoring_{run}" in error and "drop it, at " in error
                assert f"{target} is as it was" in keepfs.text("status", "health")
            subprocess.run(["mount", "-o", "remount,size=1500m", str(disk)], check=True)
            if not server.answers():
                if server.running():
                    server.stop()
                server.start()
            assert_living(server, target)
            server.drop(f"{target}_restoring_{run}")
            restored(keepfs, f"full/latest.dump into={target} confirm={target}")
            assert rows(server, target) == 200000 and left(keepfs) == []
        finally:
            server.remove()


# The connection.

@pytest.mark.parametrize("in_place", [False, True])
def test_the_network_breaks(new_keepfs, own_pg, target, in_place):
    """and stays broken, so that nothing can be put away: it is told what is where"""
    link = stores.Link(f"http://127.0.0.1:{own_pg.port}")
    fill(own_pg, "big", 60000)
    uri = f"postgresql://postgres:{postgres.PASSWORD.replace(' ', '%20')}@127.0.0.1:{link.port}/big"
    keepfs = new_keepfs({"full": {"database": uri, "compression": "none"}}).mount()
    keepfs.backup()
    living(own_pg, target)
    run = begun(keepfs, f"full/latest.dump into={target} confirm={target} {'swap=no' if in_place else ''}")
    wait_loading(own_pg)
    link.cut()
    ended(keepfs, run, {"failed"})
    error, health = keepfs.run_status(run)["error"], keepfs.text("status", "health")
    assert "connection" in error.lower(), error
    if in_place:
        assert f"{target} itself was changed" in error and f"{target} itself was changed" in health
        assert left(keepfs)[0][:4] == (target, "", 1, 1)
        again = "clean=yes"
    else:
        assert f"{target} is as it was; {target}_restoring_{run} holds a part of the backup: drop it" in error
        assert f"{target} is as it was" in health and f"drop {target}_restoring_{run}, if it is there" in health
        assert left(keepfs)[0][:4] == (target, f"{target}_restoring_{run}", 0, 1)
        again = ""
    assert_living(own_pg, target)
    link.join()
    daemon.wait_until(lambda: not is_loading(own_pg), "the server has noticed")
    own_pg.drop(f"{target}_restoring_{run}")
    restored(keepfs, f"full/latest.dump into={target} confirm={target} {again}")
    assert rows(own_pg, target) == 60000 and left(keepfs) == []
    link.cut()


def test_somebody_ends_a_session(new_keepfs, own_pg, target):
    fill(own_pg, "big", 60000)
    keepfs = new_keepfs({"full": {"database": own_pg.uri("big"), "compression": "none"}}).mount()
    keepfs.backup()
    living(own_pg, target)
    run = begun(keepfs, f"full/latest.dump into={target} confirm={target}")
    wait_loading(own_pg)
    own_pg.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY public.orders%'")
    ended(keepfs, run, {"failed"})
    error = keepfs.run_status(run)["error"]
    # the connection may break before the server's own words are read
    assert "terminating connection" in error or "the connection to PostgreSQL broke" in error, error
    assert "nothing is left of the restore" in error, error
    assert names_like(own_pg, target) == [target] and left(keepfs) == []
    assert_living(own_pg, target)


# Killed.

@pytest.mark.parametrize("when", ["before the drop", "after the drop"])
def test_killed_around_a_drop(new_keepfs, own_pg, target, when):
    """clean=yes: what is dropped is dropped as a whole, or not at all"""
    own_pg.create("waits")
    own_pg.sql("waits", GATE)
    own_pg.sql("waits", "CREATE TABLE public.orders (id int CHECK (public.wait_here(id) > 0)); INSERT INTO public.orders SELECT generate_series(1, 10)")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("waits")}}).mount()
    keepfs.backup()
    restored(keepfs, f"full/latest.dump into={target}")
    own_pg.sql(target, "DELETE FROM public.orders WHERE id > 7")
    gate_shut(own_pg)
    command = f"full/latest.dump into={target} confirm={target} clean=yes"
    if when == "before the drop":
        with own_pg.lock(target, "public.orders") as lock:
            begun(keepfs, command)
            lock.wait_until_waited_for()
            killed(keepfs)
        daemon.wait_until(lambda: own_pg.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{target}'") == "0", "psql has ended")
        there = "SELECT count(*) FROM pg_class WHERE relname = 'orders'", "SELECT count(*) FROM pg_proc WHERE proname IN ('gate', 'wait_here')"
        assert [own_pg.sql(target, sql) for sql in there] in (["1", "2"], ["0", "0"])
    else:
        begun(keepfs, command)
        wait_at_gate(own_pg)
        killed(keepfs)
        assert own_pg.sql(target, "SELECT count(*) FROM pg_class WHERE relname = 'orders'") == "1"  # the new one, which is empty
    gate_opened(own_pg)
    assert left(keepfs)[0][:4] == (target, "", 1, 1)
    health = keepfs.text("status", "health")
    assert health.startswith("CRIT") and f"{target} itself was changed" in health and "jobs/3/log" in health
    restored(keepfs, command)
    assert rows(own_pg, target) == 10 and left(keepfs) == []


# The store.

@pytest.mark.parametrize("form, jobs", [("custom", 1), ("custom", 2), ("directory", 2), ("plain", 1)])
def test_what_the_store_loses_meanwhile(new_keepfs, own_pg, target, store, form, jobs):
    """it was whole when it was checked, and somebody deletes it while it is restored"""
    own_pg.create("waits")
    own_pg.sql("waits", GATE)
    # the largest, which is loaded first; each connection reads ahead no more than 8 MiB
    own_pg.sql("waits", """
        CREATE TABLE public.a (id int CHECK (id > 1 OR public.wait_here(id) > 0), note text);
        INSERT INTO public.a SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 40000) g;
        CREATE TABLE public.b AS SELECT * FROM public.a LIMIT 1000;
        """)
    keepfs = new_keepfs({"full": {"database": own_pg.uri("waits"), "compression": "none", "format": form}}).mount()
    keepfs.backup()
    living(own_pg, target)
    (name,) = keepfs.artifacts()
    gate_shut(own_pg)
    run = begun(keepfs, f"full/{name} into={target} confirm={target} jobs={jobs}")
    wait_at_gate(own_pg)
    lost = {key: store.get(key) for key in store.keys() if key.startswith(f"backups/full/{name}")}
    for key in lost:
        store.remove(key)
    gate_opened(own_pg)
    ended(keepfs, run, {"failed"})
    error = keepfs.run_status(run)["error"]
    for key, data in lost.items():
        store.put(key, data)
    assert f"backups/full/{name}" in error and "nothing is left of the restore" in error, error
    assert names_like(own_pg, target) == [target] and left(keepfs) == []
    assert_living(own_pg, target)
    assert "damaged backup" in keepfs.text("status", "health")
    # somebody has put it back
    keepfs.run("verify", f"full/{name}", "-m", keepfs.mountpoint)
    restored(keepfs, f"full/{name} into={target} confirm={target} jobs={jobs}")
    assert rows(own_pg, target, "a") == 40000


# The server is another one.

def test_a_locale_that_the_server_does_not_have(new_keepfs, pg, target):
    if not shutil.which("localedef") or not os.path.exists("/usr/share/i18n/locales/de_DE"):
        pytest.skip("locales is not installed (tools/setup test)")
    with postgres.locale_path("de_DE") as path:
        server = postgres.Postgres(environment={"LOCPATH": path})
        try:
            server.sql("postgres", "CREATE DATABASE german TEMPLATE template0 LOCALE 'de_DE.UTF-8'")
            server.sql("german", "CREATE TABLE public.orders AS SELECT 1 AS a")
            keepfs = new_keepfs({"full": {"database": server.uri("german")}}).mount()
            keepfs.backup()
        finally:
            server.remove()
    living(pg, target)
    log = restored(keepfs, f"full/latest.dump into={target} confirm={target} server={pg.uri('postgres')}", {"failed"})
    assert 'invalid locale name: "de_DE.UTF-8"' in log and "createdb -T template0" in log and "create=no" in log
    assert names_like(pg, target) == [target] and left(keepfs) == []
    assert_living(pg, target)
    # as it says
    pg.sql("postgres", f"CREATE DATABASE {target}_other TEMPLATE template0 LOCALE 'C.UTF-8'")
    restored(keepfs, f"full/latest.dump into={target}_other confirm={target}_other create=no server={pg.uri('postgres')}")
    assert rows(pg, f"{target}_other") == 1


def test_an_encoding_that_lacks_its_characters(new_keepfs, pg, target):
    pg.create("wide")
    try:
        pg.sql("wide", "CREATE TABLE public.orders AS SELECT '漢字'::text AS a")
        keepfs = new_keepfs({"full": {"database": pg.uri("wide")}}).mount()
        keepfs.backup()
    finally:
        pg.drop("wide")
    pg.sql("postgres", f"CREATE DATABASE {target} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    living_table = "CREATE TABLE public.living AS SELECT 1 AS one"
    pg.sql(target, living_table)
    log = restored(keepfs, f"full/latest.dump into={target} confirm={target} create=no", {"failed"})
    assert 'has no equivalent in encoding "LATIN1"' in log and f"{target} itself was changed" in log
    assert_living(pg, target)
    # with the encoding of the dump, in its place
    restored(keepfs, f"full/latest.dump into={target} confirm={target}")
    assert pg.sql(target, "SELECT a FROM public.orders") == "漢字"


def program(directory, name, real, version):
    """one that says that it is of another version"""
    path = directory / name
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{name} (PostgreSQL) {version}" && exit 0\nexec {real} "$@"\n')
    path.chmod(0o755)


def test_versions(new_keepfs, pg, store, target, tmp_path):
    """the dump is of a newer pg_dump than all that is installed; then there is one"""
    pg.create("newer")
    try:
        pg.sql("newer", "CREATE TABLE public.orders AS SELECT 1 AS a")
        keepfs = new_keepfs({"full": {"database": pg.uri("newer"), "compression": "none"}}).mount()
        keepfs.backup()
    finally:
        pg.drop("newer")
    (name,) = keepfs.artifacts()
    data = bytearray(store.get(f"backups/full/{name}"))
    at = data.index(b"(Debian", data.index(b"(Debian") + 1)  # its pg_dump's version stands behind the server's
    start = data.rindex(b"\0", 0, at) + 1
    assert data[start:start + 2] == b"15", data[start:at]
    data[start:start + 2] = b"19"
    keepfs.unmount()
    for key in store.keys():
        store.remove(key)
    handmade.publish(store, "backups/full/20261120T020000Z.dump", bytes(data), database="newer", tool_version="19.1")
    shutil.rmtree(keepfs.state)
    keepfs.run("rebuild")
    keepfs.mount()
    living(pg, target)
    log = restored(keepfs, f"full/20261120T020000Z.dump into={target} confirm={target}", {"failed"})
    assert "no pg_restore" in log and "it must be 19 or newer" in log and "Install postgresql-client-19" in log, log
    assert names_like(pg, target) == [target] and left(keepfs) == []
    # one that is new enough, where pg_bindir says; one that is too old is passed over
    bindir = tmp_path / "bin"
    bindir.mkdir()
    program(bindir, "pg_restore", pg.bindir / "pg_restore", "14.2")
    keepfs.jobs["full"]["pg_bindir"] = bindir
    keepfs.write_conf()
    keepfs.remount()
    log = restored(keepfs, f"full/20261120T020000Z.dump into={target} confirm={target}", {"failed"})
    assert "14.2" in log and str(bindir) in log, log
    program(bindir, "pg_restore", pg.bindir / "pg_restore", "19.0")
    log = restored(keepfs, f"full/20261120T020000Z.dump into={target} confirm={target}")
    assert f"program: {bindir}/pg_restore" in log and rows(pg, target) == 1


def test_no_database_to_connect_to(new_keepfs, own_pg, tmp_path):
    """the database postgres was dropped, and somebody sits in template1"""
    own_pg.create("shop")
    own_pg.sql("shop", "CREATE TABLE public.orders AS SELECT 1 AS a")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("shop")}}).mount()
    keepfs.backup()
    own_pg.sql("template1", "DROP DATABASE postgres WITH (FORCE)")
    with own_pg.lock("template1", "pg_catalog.pg_class"):
        pass
    session = subprocess.Popen([*own_pg.as_user, str(own_pg.bindir / "psql"), "-X", "-q", "-d", own_pg.uri("template1")], stdin=subprocess.PIPE)
    try:
        restored(keepfs, "full/latest.dump into=other")
        restored(keepfs, "full/latest.dump confirm=shop")
        assert rows(own_pg, "other") == rows(own_pg, "shop") == 1
        assert session.poll() is None
    finally:
        session.stdin.close()
        session.wait()


# What the target does not have is named, all of it, before anything is changed.

def needy(server, extension):
    """a database that needs a role, another one that is granted something, a tablespace, an extension"""
    place = server.directory / "elsewhere"
    place.mkdir()
    if server.as_user:
        shutil.chown(place, "postgres")
    server.sql("postgres", f"CREATE TABLESPACE elsewhere LOCATION '{place}'")
    server.sql("postgres", 'CREATE ROLE keepfs_owner; CREATE ROLE "Keepfs ""Reader"" TO"')
    server.create("source")
    server.sql("source", """
        CREATE TABLE public.orders AS SELECT 1 AS a;
        ALTER TABLE public.orders OWNER TO keepfs_owner;
        GRANT SELECT ON public.orders TO "Keepfs ""Reader"" TO";
        CREATE TABLE public.others (a int) TABLESPACE elsewhere;
        """ + (f"CREATE EXTENSION {LACKED}" if extension else ""))


@pytest.mark.parametrize("form", ["custom", "directory"])
def test_all_that_is_missing_is_named_before_anything_is_dropped(new_keepfs, pg, own_pg, target, form):
    with everything.extension(own_pg, LACKED) as extension:
        needy(own_pg, extension)
        keepfs = new_keepfs({"full": {"database": own_pg.uri("source"), "format": form}}).mount()
        keepfs.backup()
    (name,) = keepfs.artifacts()
    living(pg, target)
    pg.sql(target, "CREATE TABLE public.orders AS SELECT 7 AS a")
    command = f"full/{name} into={target} confirm={target} server={pg.uri('postgres')}"
    for way in ("clean=yes", "swap=no clean=yes jobs=1", ""):
        log = restored(keepfs, f"{command} roles=no {way}", {"failed"})
        assert 'the roles Keepfs "Reader" TO, keepfs_owner (make them' in log and "the tablespaces elsewhere (make them" in log, log
        assert not extension or f"the extensions {LACKED} (install" in log
        assert "No database was changed" in log
        assert names_like(pg, target) == [target] and left(keepfs) == []
        assert pg.sql(target, "SELECT a FROM public.orders") == "7"
    # what is left out is not asked for
    log = restored(keepfs, f"{command} no_owner=yes no_privileges=yes extensions=no swap=no clean=yes tables=public.orders")
    assert pg.sql(target, "SELECT a FROM public.orders") == "1"
    assert_living(pg, target)
    # who wants what can be had gets that, and is told of the rest
    log = restored(keepfs, f"{command} roles=no on_error=continue", {"failed"})
    assert "the roles Keepfs" in log and "it was restored but for" in log and f"{target} is as it was" in log
    (beside,) = [one for one in names_like(pg, target) if "_restoring_" in one]
    assert pg.sql(beside, "SELECT a FROM public.orders") == "1" and left(keepfs)[0][1] == beside
    health = keepfs.text("status", "health")
    assert f"drop {beside}, if it is there" in health


def test_sql_text_that_commits_by_itself(new_keepfs, pg, target):
    """pg_dump does so behind large objects: what was run until then is there, and nobody is told that nothing was changed"""
    pg.create("commits")
    try:
        pg.sql("commits", "CREATE TABLE public.orders AS SELECT generate_series(1, 10) AS a; CREATE INDEX late ON public.orders (a); SELECT lo_from_bytea(0, 'x')")
        keepfs = new_keepfs({"full": {"database": pg.uri("commits"), "format": "plain"}}).mount()
        keepfs.backup()
    finally:
        pg.drop("commits")
    living(pg, target)
    pg.sql(target, "CREATE TABLE public.late ()")  # so the index of that name cannot be made
    log = restored(keepfs, f"full/latest.sql.gz into={target} confirm={target} swap=no", {"failed"})
    assert f"{target} itself was changed" in log and left(keepfs)[0][:4] == (target, "", 1, 1)
    assert rows(pg, target) == 10


NEWER = "SET idle_in_transaction_session_timeout = 0;\nSET transaction_timeout = 0;\n"
AS_HERE = "SET idle_in_transaction_session_timeout = 0;\n"
LEFT_OUT = "left out, since the server has no such setting: SET transaction_timeout = 0;"


def has_newer_settings(pg):
    return pg.sql("postgres", "SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'") == "1"


@pytest.mark.parametrize("words, setting", [("", "transaction_timeout"), ("on_error=continue", "transaction_timeout"), ("", "time_limit_of_2040")])
def test_sql_text_of_a_newer_pg_dump(new_keepfs, pg, store, target, words, setting):
    """lifts a limit that this server does not know: that line is left out, at the head of the text and nowhere else; of what nobody knows the server is asked"""
    pg.create("source")
    try:
        pg.sql("source", """CREATE TABLE public.orders (a int, t text); INSERT INTO public.orders VALUES (1, E'SET transaction_timeout = 0;\nSET transaction_timeout = 0;');
            COMMENT ON TABLE public.orders IS E'\nSET transaction_timeout = 0;\n'; CREATE INDEX late ON public.orders (a)""")
        text = pg.tool("pg_dump", "-Fp", pg.uri("source"))
    finally:
        pg.drop("source")
    if AS_HERE + "SET transaction_timeout" not in text:
        text = text.replace(AS_HERE, NEWER)
    text = text.replace("SET transaction_timeout = 0;", f"SET {setting} = 0;", 1)
    handmade.publish(store, "backups/full/20261120T020000Z.sql", text.encode(), None, format="plain", database="source")
    keepfs = new_keepfs({"full": {"database": pg.uri("postgres")}})
    keepfs.run("rebuild")
    keepfs.mount()
    pg.create(target)
    known = setting == "transaction_timeout"
    log = restored(keepfs, f"full/20261120T020000Z.sql into={target} confirm={target} swap=no {words}", {"completed"} if known else {"failed"})
    assert (LEFT_OUT in log) == (known and not has_newer_settings(pg))
    if known:
        assert rows(pg, target) == 1 and pg.sql(target, "SELECT obj_description('public.orders'::regclass)").strip() == "SET transaction_timeout = 0;"
        assert "error: " not in log and "harmless" not in log
    else:
        assert 'unrecognized configuration parameter "time_limit_of_2040"' in log and "No database was changed" in log and left(keepfs) == []


def test_a_newer_pg_restore_drops_what_is_there(new_keepfs, pg, tmp_path, target):
    """its script begins with that line, too"""
    pg.create("source")
    try:
        pg.sql("source", "CREATE TABLE public.orders AS SELECT generate_series(1, 10) AS a")
        keepfs = new_keepfs({"full": {"database": pg.uri("source")}}).mount()
        keepfs.backup()
    finally:
        pg.drop("source")
    restored(keepfs, f"full/latest.dump into={target}")
    pg.sql(target, "DELETE FROM public.orders")
    (tmp_path / "bin").mkdir()
    for program in ("pg_dump", "pg_dumpall", "psql"):
        (tmp_path / "bin" / program).symlink_to(pg.bindir / program)
    newer = tmp_path / "bin" / "pg_restore"
    newer.write_text(f"""#!/bin/sh
case "$*" in
*--if-exists*) "{pg.bindir}/pg_restore" "$@" | sed 's/^SET idle_in_transaction_session_timeout = 0;$/&\\nSET transaction_timeout = 0;/' ;;
*) exec "{pg.bindir}/pg_restore" "$@" ;;
esac
""")
    newer.chmod(0o755)
    keepfs.unmount()
    keepfs.jobs["full"]["pg_bindir"] = tmp_path / "bin"
    keepfs.write_conf()
    keepfs.mount()
    log = restored(keepfs, f"full/latest.dump into={target} confirm={target} clean=yes")
    assert rows(pg, target) == 10 and (LEFT_OUT in log or has_newer_settings(pg))


def test_what_cannot_be_dropped_is_not_filled_again(new_keepfs, pg, target):
    """also where errors are passed over"""
    pg.create("source")
    try:
        pg.sql("source", "CREATE TABLE public.orders AS SELECT generate_series(1, 10) AS a")
        keepfs = new_keepfs({"full": {"database": pg.uri("source")}}).mount()
        keepfs.backup()
    finally:
        pg.drop("source")
    restored(keepfs, f"full/latest.dump into={target}")
    pg.sql(target, "CREATE VIEW public.hangs AS SELECT * FROM public.orders")
    log = restored(keepfs, f"full/latest.dump into={target} confirm={target} clean=yes on_error=continue", {"failed"})
    assert "while what is there was dropped" in log and "cannot drop table" in log
    assert rows(pg, target) == 10


# The target.

def psql(server, sql):
    """for a hook, of the user who runs the tests"""
    return f"""'{server.bindir}/psql -X -q -d "{server.uri("postgres")}" -c "{sql}"'"""


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_somebody_makes_that_database_meanwhile(new_keepfs, pg, target, form):
    """it is not there when it is looked for, and is when it is to be made: it is somebody else's"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "format": form}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    log = restored(keepfs, f"full/{name} into={target} pre_hook={psql(pg, f'CREATE DATABASE {target}')}", {"failed"})
    assert f"no database was changed: the database {target} exists on that server" in log
    assert names_like(pg, target) == [target] and left(keepfs) == []
    pg.sql("postgres", f"CREATE DATABASE {target}_restoring_3")
    log = restored(keepfs, f"full/{name} into={target} confirm={target}", {"failed"})
    assert "somebody has made a database of that name meanwhile, which is left as it is" in log
    assert names_like(pg, target) == [target, f"{target}_restoring_3"]


def test_a_part_takes_the_place_of_nothing_that_was_made_meanwhile(new_keepfs, pg, target):
    """it is asked again after the hook, as the name was"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}).mount()
    keepfs.backup("full content=schema")
    (name,) = keepfs.artifacts()
    log = restored(keepfs, f"full/{name} into={target} confirm={target} pre_hook={psql(pg, f'CREATE DATABASE {target}')}", {"failed"})
    assert "no database was changed: " in log and f"would take the place of all of {target}" in log
    assert names_like(pg, target) == [target] and left(keepfs) == []


def test_somebody_makes_it_while_the_backup_is_checked(new_keepfs, pg, target):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}).mount()
    keepfs.backup()
    keepfs.unmount()
    keepfs.store_settings["faults"] = "get:3+:slow:3000"
    keepfs.write_conf()
    keepfs.mount()
    run = begun(keepfs, f"full/latest.dump into={target}")
    daemon.wait_until(lambda: "it is made" in keepfs.text("jobs", str(run), "log"), "it is planned")
    living(pg, target)
    ended(keepfs, run, {"failed"})
    assert f"the database {target} exists on that server" in keepfs.run_status(run)["error"]
    assert_living(pg, target)
    assert names_like(pg, target) == [target] and left(keepfs) == []


def test_databases_of_the_server(new_keepfs, own_pg):
    """postgres, template1 and template0 are exchanged for no others; into the first ones can be restored"""
    own_pg.create("shop")
    own_pg.sql("shop", "CREATE TABLE public.orders AS SELECT 1 AS a")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("shop")}}).mount()
    keepfs.backup()
    for name in ("postgres", "template1", "template0"):
        said = keepfs.refused("restore", f"full/latest.dump into={name} confirm={name}")
        assert f"{name} is a database of the server itself" in said and "swap=no" in said
    said = keepfs.refused("restore", "full/latest.dump into=template0 confirm=template0 swap=no")
    assert "nobody may connect to the database template0" in said
    assert "write confirm=postgres" in keepfs.refused("restore", "full/latest.dump into=postgres swap=no")
    for name in ("postgres", "template1"):
        restored(keepfs, f"full/latest.dump into={name} confirm={name} swap=no")
        assert rows(own_pg, name) == 1
    assert left(keepfs) == []


def test_a_template(new_keepfs, pg, target):
    """it makes the new one a template, too, which must be no hindrance when it is to be dropped"""
    pg.create("model")
    try:
        pg.sql("model", "CREATE TABLE public.orders AS SELECT 1 AS a; ALTER DATABASE model IS_TEMPLATE true")
        keepfs = new_keepfs({"full": {"database": pg.uri("model")}}).mount()
        keepfs.backup()
    finally:
        pg.sql("postgres", "ALTER DATABASE model IS_TEMPLATE false")
        pg.drop("model")
    log = restored(keepfs, f"full/latest.dump into={target} check='SELECT false'", {"failed"})
    assert "nothing is left of the restore" in log and names_like(pg, target) == [] and left(keepfs) == []
    restored(keepfs, f"full/latest.dump into={target}")
    restored(keepfs, f"full/latest.dump into={target} confirm={target}")
    is_template = "SELECT string_agg(datistemplate::text, ' ') FROM pg_database WHERE datname LIKE '%s%%'"
    assert pg.sql("postgres", is_template % target) == "true true"
    for name in names_like(pg, target):
        pg.sql("postgres", f'ALTER DATABASE "{name}" IS_TEMPLATE false')
    # a drill on that server leaves nothing either
    keepfs.run("drill", "full/latest.dump", f"server={pg.uri('postgres')}", "level=2", "-m", keepfs.mountpoint)
    assert pg.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'keepfs_drill_%'") == "0"


def test_prepared_transactions(new_keepfs, target):
    """with one nobody can rename a database: that is said before hours of work"""
    server = postgres.Postgres("max_prepared_transactions = 5\n")
    try:
        living(server, target)
        keepfs = new_keepfs({"full": {"database": server.uri(target)}}).mount()
        keepfs.backup()
        server.sql(target, "BEGIN; INSERT INTO public.living VALUES (2); PREPARE TRANSACTION 'left'")
        said = keepfs.refused("restore", f"full/latest.dump confirm={target}")
        assert f"{target} has 1 prepared transactions" in said and "ROLLBACK PREPARED" in said
        server.sql(target, "ROLLBACK PREPARED 'left'")
        restored(keepfs, f"full/latest.dump confirm={target}")
        assert_living(server, target)
        # one that comes meanwhile
        prepare = psql(server, "SELECT 1").replace(server.uri("postgres"), server.uri(target)).replace(
            "SELECT 1", "BEGIN; INSERT INTO public.living VALUES (3); PREPARE TRANSACTION \\$\\$late\\$\\$")
        log = restored(keepfs, f"full/latest.dump confirm={target} pre_hook={prepare}", {"failed"})
        assert f"no database was changed: {target} has 1 prepared transactions" in log
        assert_living(server, target)
        assert not any("_restoring_" in name for name in names_like(server, target))
        server.sql(target, "ROLLBACK PREPARED 'late'")
    finally:
        server.remove()


NAMES = {
    "quotes": """We"ird 'name' $1 \\ %s {x}""",
    "words": "restored select; DROP TABLE --x",
    "dash": "-d",
    "url": "a=b host=c",
    "long": "n" * 63,
    "wide": "名" * 21,
}


@pytest.mark.parametrize("what", NAMES)
@pytest.mark.parametrize("form", ["custom", "plain"])
def test_names(new_keepfs, own_pg, what, form):
    """a database, its owner and a table of that name, which is exchanged for what is restored"""
    name = NAMES[what]
    quoted, literal = '"' + name.replace('"', '""') + '"', "E'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
    own_pg.sql("postgres", f"CREATE ROLE {quoted}")
    own_pg.sql("postgres", f"CREATE DATABASE {quoted} OWNER {quoted}")
    uri = own_pg.uri(urllib.parse.quote(name, safe=""))
    own_pg.tool("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", uri, "-c", f"CREATE TABLE {quoted} AS SELECT 1 AS a; ALTER TABLE {quoted} OWNER TO {quoted}")
    keepfs = new_keepfs({"full": {"database": uri, "format": form}}).mount()
    keepfs.backup()
    (backup,) = keepfs.artifacts()
    own_pg.tool("psql", "-X", "-q", "-d", uri, "-c", f"INSERT INTO {quoted} VALUES (2)")
    word = f"confirm={shlex.quote(name)}"
    log = restored(keepfs, f"full/{backup} {word}")
    count = own_pg.tool("psql", "-X", "-A", "-t", "-d", uri, "-c", f"SELECT count(*) FROM {quoted}").strip()
    assert count == "1", log
    begin = literal if len(name.encode()) < 63 else f"left({literal}, 9)"
    names = own_pg.sql("postgres", f"SELECT datname FROM pg_database WHERE left(datname, length({begin})) = {begin}").splitlines()
    assert len(names) == 2 and name in names and any("_before_" in one for one in names), names
    assert own_pg.sql("postgres", f"SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {literal}") == name
    assert left(keepfs) == []


# Hooks.

def test_the_hook_behind_it_fails(new_keepfs, pg, target):
    """what was restored is there, and somebody must look why the application does not start"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}).mount()
    keepfs.backup()
    run = begun(keepfs, f"full/latest.dump into={target} post_hook='echo the application does not start >&2; exit 3'")
    log = ended(keepfs, run)
    assert "hook: the application does not start" in log and "exit status 3" in keepfs.run_status(run)["warning"]
    assert names_like(pg, target) == [target] and left(keepfs) == []


@needs_root
def test_hooks_are_for_those_who_may_run_commands_anyway(new_keepfs, pg, target):
    """whoever may write into control/restore does not become the user of keepfs by that"""
    with tempfile.TemporaryDirectory(prefix="keepfs-open-") as directory:
        os.chmod(directory, 0o755)
        keepfs = new_keepfs(directory=directory, allow_other="yes", file_mode="0666", dir_mode="0755").mount()
        try:
            keepfs.backup()
            mark = pathlib.Path(directory, "mark")
            command = f"echo \"full/latest.dump into={target} pre_hook='touch {mark}'\" > {keepfs.path('control', 'restore')}"
            done = subprocess.run(["runuser", "-u", "nobody", "--", "sh", "-c", command], check=False, capture_output=True, text=True)
            assert done.returncode != 0, done
            assert "pre_hook" in keepfs.text("status", "last-error") and len(keepfs.history()) == 1
            assert not mark.exists() and names_like(pg, target) == []
        finally:
            keepfs.close()
