# SPDX-License-Identifier: Apache-2.0
"""A restore takes care: nothing is dropped, replaced or run that is somebody else's, and what is said of a failure is so."""
import contextlib
import json
import os
import select
import socket
import threading

import pytest

from restoring import left, names_like, restored, rows
from test_restore import backed_up, shop  # noqa: F401 (fixtures)


def sql_hook(pg, *statements):
    return "pre_hook='" + "; ".join(
        f'{pg.bindir}/psql -X -h {pg.directory} -p {pg.port} -U postgres -d {database} -c "{statement}"' for database, statement in statements) + "'"


def test_what_somebody_makes_meanwhile_stays(backed_up, pg, target):
    """a database of that name comes into being after the restore was accepted: it is as whoever made it wants it"""
    hook = sql_hook(pg, ("postgres", f"CREATE DATABASE {target}"), (target, "CREATE TABLE theirs AS SELECT 7 AS a"))
    log = restored(backed_up, f"full/latest.dump into={target} {hook}", {"failed"})
    assert f"write confirm={target}" in log and "no database was changed" in log
    assert names_like(pg, target) == [target] and pg.sql(target, "SELECT a FROM theirs") == "7"
    assert left(backed_up) == []


@pytest.mark.parametrize("exists", [True, False])
def test_a_name_that_is_taken(backed_up, pg, target, exists):
    """what is called as the new one would be for a while is left alone"""
    if exists:
        pg.create(target)
    run = backed_up.history()[0]["run"] + 1
    taken = f"{target}_restoring_{run}"
    pg.create(taken)
    pg.sql(taken, "CREATE TABLE theirs AS SELECT 7 AS a")
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target}", {"failed"})
    assert "already exists" in log and "nothing is left of the restore" in log
    assert pg.sql(taken, "SELECT a FROM theirs") == "7" and left(backed_up) == []
    restored(backed_up, f"full/latest.dump into={target} confirm={target}")
    assert rows(pg, target) == 20000


class Between:
    """what is between keepfs and the server: it loses the answer to the statement that holds @words"""

    def __init__(self, pg, words, forever=False):
        self.pg, self.words, self.lost, self.forever = pg, words, threading.Event(), forever
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                if self.forever and self.lost.is_set():
                    client.close()
                    continue
                self.threads.append(threading.Thread(target=self._pass_on, args=(client,)))
                self.threads[-1].start()

    def _pass_on(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self.pg.directory}/.s.PGSQL.{self.pg.port}")
        loses = False
        with client, server, contextlib.suppress(OSError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data or (loses and ready is server):
                        if loses:
                            self.lost.set()
                        return
                    loses = loses or (ready is client and self.words in data)
                    (server if ready is client else client).sendall(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def losing(pg, words, **options):
    between = Between(pg, words, **options)
    try:
        yield f"postgresql://postgres@127.0.0.1:{between.port}/postgres"
    finally:
        between.close()


@pytest.mark.parametrize("exists", [True, False])
def test_the_answer_to_the_exchange_of_names_gets_lost(backed_up, pg, shop, target, exists):
    """but it was done: so it is told, and nothing is dropped"""
    if exists:
        pg.create(target)
        pg.sql(target, "CREATE TABLE old AS SELECT 1 AS one")
    with losing(pg, b"RENAME TO") as server:
        log = restored(backed_up, f"full/latest.dump into={target} confirm={target} server={server}")
    assert "got lost" in log and left(backed_up) == []
    assert shop.differs(target) == ""
    assert [pg.sql(name, "SELECT one FROM old") for name in names_like(pg, target) if name != target] == (["1"] if exists else [])


@pytest.mark.parametrize("words, said", [(b"RENAME TO", "Whether names were exchanged could not be found out"), (b"CREATE DATABASE", "is not known")])
def test_nobody_can_look_what_became_of_it(backed_up, pg, target, words, said):
    """the server is out of reach from then on: it is told, and stays told"""
    pg.create(target)
    with losing(pg, words, forever=True) as server:
        log = restored(backed_up, f"full/latest.dump into={target} confirm={target} server={server}", {"failed"})
    assert said in log and "is as it was" not in log and "127.0.0.1" in log
    assert left(backed_up)[0][3] == 1


def test_what_fails_before_it_changes_anything_leaves_nothing(backed_up, pg, target):
    """in the living database: it is neither changed nor told of"""
    pg.create(target)
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} swap=no pre_hook=false", {"failed"})
    assert "no database was changed" in log
    assert left(backed_up) == [] and "did not end well" not in backed_up.text("status", "health")


def test_a_part_that_was_restored_settles_nothing(backed_up, pg, target):
    """what an earlier one has left stays told, until all of the database is restored; and is settled by its run"""
    restored(backed_up, f"full/latest.dump into={target}")
    pg.sql(target, "DROP TABLE public.orders; CREATE INDEX orders_customer ON public.customers (id)")
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=public.orders", {"failed"})
    assert "already exists" in log
    health = backed_up.text("status", "health")
    assert f"{target} itself was changed, or may have been" in health and "confirm=" not in health and str(pg.directory) in health
    restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=public.orders clean=yes")
    assert len(left(backed_up)) == 1
    restored(backed_up, f"forget run={backed_up.history()[1]['run']} into={target}")
    assert left(backed_up) == []


@pytest.mark.parametrize("command, said", [("forget full/x.dump", "forget takes no further word"), ("forget server=x", "allowed are into, run")])
def test_forgetting_something_else(backed_up, command, said):
    assert said in backed_up.refused("restore", command)


def test_one_that_is_marked_as_damaged_is_refused(backed_up, pg, store, target):
    """even when its bytes are right by now; a directory stands for the newest that is not"""
    backed_up.backup()
    older, newer = backed_up.artifacts()
    key = f"backups/full/{newer}"
    data = store.get(key)
    store.put(key, data[:-20] + bytes([data[-20] ^ 0x40]) + data[-19:])
    run = int(backed_up.ask("verify", f"full/{newer}").split()[0])
    backed_up.wait_run(run, {"failed"})
    store.put(key, data)
    said = backed_up.refused("restore", f"full/{newer} into={target}")
    assert "is marked as damaged" in said and f"the nearest good one is backups/full/{older}" in said
    log = restored(backed_up, f"full into={target}")
    assert older in log and newer not in log
    run = int(backed_up.ask("verify", f"full/{newer} level=1").split()[0])
    backed_up.wait_run(run)
    restored(backed_up, f"full/{newer} into={target}_2")


def test_a_part_does_not_take_the_place_of_all(backed_up, pg, target):
    """neither a part of a backup nor a backup of a part, unless somebody says so"""
    restored(backed_up, f"full/latest.dump into={target}")
    said = backed_up.refused("restore", f"full/latest.dump into={target} confirm={target} content=schema")
    assert "already, so nothing was done" in said and rows(pg, target) == 20000 and names_like(pg, target) == [target]
    backed_up.backup("full content=schema")
    (part,) = [name for name in backed_up.artifacts() if ".schema" in name]
    assert "write swap=yes" in backed_up.refused("restore", f"full/{part} into={target} confirm={target}")
    restored(backed_up, f"full/{part} into={target} confirm={target} swap=yes")
    assert rows(pg, target) == 0


def test_one_table_beside_what_is_there(new_keepfs, pg, target):
    """to look into it: with the schema and the types that it is made of, without the foreign keys to what does not come along"""
    pg.create(f"{target}_source")
    pg.sql(f"{target}_source", """
        CREATE TABLE public.customers (id int PRIMARY KEY);
        CREATE SCHEMA "Odd Schema";
        CREATE TYPE "Odd Schema".mood AS ENUM ('well', 'ill');
        CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
        CREATE TABLE "Odd Schema"."Order Items" (id serial PRIMARY KEY, customer int REFERENCES public.customers, mood "Odd Schema".mood, n public.positive);
        CREATE TABLE "Odd Schema".other (id int PRIMARY KEY);
        INSERT INTO public.customers VALUES (1);
        INSERT INTO "Odd Schema"."Order Items" (customer, mood, n) VALUES (1, 'well', 5);
        """)
    keepfs = new_keepfs({"full": {"database": pg.uri(f"{target}_source")}}).mount()
    keepfs.backup()
    log = restored(keepfs, f"full/latest.dump into={target} tables='Odd Schema.Order Items'")
    assert 'the foreign key Order Items Order Items_customer_fkey is left out: it leads to a table that is not restored' in log
    assert pg.sql(target, 'SELECT customer, mood, n FROM "Odd Schema"."Order Items"') == "1|well|5"
    assert pg.sql(target, "SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'S') AND oid >= 16384") == "Order Items, Order Items_id_seq"
    # Both: with the key.
    log = restored(keepfs, f"full/latest.dump into={target}_both tables='Odd Schema.Order Items,public.customers'")
    assert "left out" not in log and pg.sql(f"{target}_both", "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "1"


def test_what_a_run_has_no_backup_of_is_named(new_keepfs, pg, target):
    """and the restore fails at its end, with all others restored"""
    names = [f"{target}_{n}" for n in ("one", "two")]
    for name in names:
        pg.create(name)
        pg.sql(name, "CREATE TABLE public.orders AS SELECT 1 AS a")
    keepfs = new_keepfs({"all": {"database": pg.uri("postgres"), "databases": ", ".join(names)}}).mount()
    run = keepfs.backup("all")["run"]
    keepfs.backup("all")
    oldest = keepfs.path("backups", "all", names[0], keepfs.artifacts(f"all/{names[0]}")[0])
    oldest.unlink()
    for name in names:
        pg.drop(name)
    log = restored(keepfs, f"run={run}", {"failed"})
    assert f"backups/all/{names[0]}/{oldest.name} (it is not there any more)" in log
    assert names_like(pg, target) == [names[1]]


def test_without_a_mount_it_is_in_the_audit(backed_up, pg, target):
    """who ordered it, also what was refused; and no password"""
    backed_up.unmount()
    backed_up.run("restore", "full/latest.dump", f"into={target}")
    for words in (("restore", "none"), ("drill", "full", "server=postgresql://postgres:hidden@127.0.0.1/x")):
        assert backed_up.run(*words, check=False).returncode != 0
    backed_up.mount()
    lines = [json.loads(line) for line in backed_up.text("status", "audit.jsonl").splitlines()]
    seen = {(a["action"], a["object"], a["result"]) for a in lines if a["uid"] == os.getuid()}
    assert {("restore", f"full/latest.dump into={target}", "ok"), ("restore", "none", "failed"), ("drill", "a command with a password", "failed")} <= seen
    assert "must not hold a password" in backed_up.refused("drill", "full server=postgresql://postgres:hidden@127.0.0.1/x")
    assert "hidden" not in backed_up.text("status", "audit.jsonl") + backed_up.text("status", "history.jsonl")
