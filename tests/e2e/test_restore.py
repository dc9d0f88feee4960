# SPDX-License-Identifier: Apache-2.0
"""keepfs restore and control/restore: what was backed up comes back, beside what is there and then in its place; whatever fails, what is
there is as it was, or it is told what is where."""
import contextlib
import json
import os
import re
import shutil
import subprocess

import pytest

import daemon
import everything
from restoring import GATE, LACKED, killed, left, names_like, restored, rows

FORMATS = {"custom": {}, "directory": {"format": "directory"}, "plain": {"format": "plain"}}


@pytest.mark.parametrize("form, jobs", [("custom", 1), ("custom", 2), ("custom", 4), ("directory", 1), ("directory", 4), ("plain", 1)])
def test_what_was_backed_up_comes_back(new_keepfs, pg, with_everything, target, form, jobs):
    """every kind of object and value; and what is restored from a backup of the restored one is the same again"""
    keepfs = new_keepfs({"full": {"database": pg.uri("everything"), **FORMATS[form]}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    log = restored(keepfs, f"full/{name} into={target} jobs={jobs}")
    assert with_everything.differs(target) == "", log


@pytest.fixture(scope="module")
def shop(pg):
    """a small database with what hangs on one another: a serial, foreign keys, two schemas, a large object"""
    pg.create("shop")
    pg.sql("shop", """
        CREATE SCHEMA stock;
        CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
        CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, note text DEFAULT 'none');
        CREATE INDEX orders_customer ON orders (customer);
        COMMENT ON INDEX orders_customer IS 'by customer';
        CREATE TABLE stock.items (id int PRIMARY KEY, name text);
        CREATE VIEW stock.few AS SELECT * FROM stock.items WHERE id < 10;
        INSERT INTO customers (name) SELECT md5(g::text) FROM generate_series(1, 500) g;
        INSERT INTO orders SELECT g, 1 + g % 500 FROM generate_series(1, 20000) g;
        INSERT INTO stock.items SELECT g, md5(g::text) FROM generate_series(1, 3000) g;
        SELECT lo_from_bytea(4711, decode(repeat('ab', 3000000), 'hex'));
        ALTER DATABASE shop SET search_path = stock, public;
        """)
    yield everything.Original(pg, "shop")
    pg.drop("shop")


@pytest.fixture
def backed_up(new_keepfs, pg, shop):
    keepfs = new_keepfs({"full": {"database": pg.uri("shop")}}).mount()
    keepfs.backup()
    return keepfs


def test_it_takes_the_place_of_what_is_there(backed_up, pg, shop, target):
    """the swap: with sessions connected to the old one, which is there afterwards under its other name"""
    pg.create(target)
    pg.sql(target, "CREATE TABLE old AS SELECT 1 AS one")
    said = backed_up.refused("restore", f"full/latest.dump into={target}")
    assert f"write confirm={target}" in said and names_like(pg, target) == [target]
    assert f"it would be restored into {target}" in backed_up.refused("restore", f"full/latest.dump into={target} confirm={target}x")
    session = subprocess.Popen([*pg.as_user, str(pg.bindir / "psql"), "-X", "-d", pg.uri(target), "-c", "SELECT pg_sleep(600)"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemon.wait_until(lambda: "pg_sleep" in pg.sql("postgres", f"SELECT query FROM pg_stat_activity WHERE datname = '{target}'"), "the session is there")
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} check='SELECT count(*) = 20000 FROM public.orders'")
    assert session.wait() != 0
    assert shop.differs(target) == ""
    (old,) = [name for name in names_like(pg, target) if name != target]
    assert re.fullmatch(target + r"_before_\d{8}T\d{6}Z", old) and old in log
    assert pg.sql(old, "SELECT one FROM old") == "1"
    assert left(backed_up) == []
    # what belongs to the database, too
    assert pg.sql(target, "SHOW search_path") == "stock, public"
    assert int(pg.sql(target, "SELECT reltuples FROM pg_class WHERE relname = 'orders'")) == 20000  # ANALYZE
    audit = [json.loads(line) for line in backed_up.text("status", "audit.jsonl").splitlines()]
    assert any(a["action"] == "restore" and f"into={target}" in a["object"] for a in audit)
    (row, *_) = backed_up.history()
    assert row["job"] == "restore:full" and row["kind"] == "restore" and row["state"] == "completed"


def test_the_plan_changes_nothing(backed_up, pg, target):
    pg.create(target)
    log = restored(backed_up, f"full/latest.dump into={target} plan=yes")
    assert f"the old one becomes {target}_before_" in log and "nothing was done" in log
    assert names_like(pg, target) == [target] and left(backed_up) == []


def on_a_terminal(keepfs, typed, *arguments, prompt=b"type the name of the database, "):
    """what a person sees who types that when asked"""
    main, other = os.openpty()
    process = subprocess.Popen([daemon.PROGRAM, "restore", "-c", str(keepfs.conf), *arguments], env=keepfs.env, stdin=other, stdout=other, stderr=other)
    os.close(other)
    seen = b""
    try:
        while True:
            seen += os.read(main, 65536)
            if typed is not None and prompt in seen:
                os.write(main, typed.encode())
                typed = None
    except OSError:
        pass  # the end
    os.close(main)
    return process.wait(), seen.decode()


@pytest.mark.parametrize("mounted", [True, False])
def test_the_name_is_typed_on_a_terminal(backed_up, pg, shop, target, mounted):
    pg.create(target)
    if not mounted:
        backed_up.unmount()
    status, seen = on_a_terminal(backed_up, "other\n", "full/latest.dump", f"into={target}")
    assert status != 0 and f"the old one becomes {target}_before_" in seen and f"it would be restored into {target}" in seen
    status, seen = on_a_terminal(backed_up, "\x04", "full/latest.dump", f"into={target}")
    assert status == 1 and "nothing was typed" in seen
    assert names_like(pg, target) == [target]
    status, seen = on_a_terminal(backed_up, f"{target}\n", "full/latest.dump", f"into={target}")
    assert status == 0 and "is the restored database now" in seen, seen
    assert shop.differs(target) == ""


def test_a_check_that_fails_leaves_everything_as_it_was(backed_up, pg, target):
    pg.create(target)
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} check='SELECT count(*) > 99999 FROM public.orders'", {"failed"})
    assert "is answered with f, and not with true" in log and "is as it was: nothing is left of the restore" in log
    assert names_like(pg, target) == [target] and left(backed_up) == []


def test_what_the_server_misses_is_no_damage_of_the_backup(backed_up, pg, target):
    """so it is not read through once more"""
    log = restored(backed_up, f"full/latest.dump into={target} check='SELECT count(*) > 0 FROM public.nowhere'", {"failed"})
    assert 'relation "public.nowhere" does not exist' in log and log.count("is right: level 0") == 1
    assert "damaged" not in backed_up.text("status", "health")


def test_in_place_with_clean(backed_up, pg, shop, target):
    pg.create(target)
    restored(backed_up, f"full/latest.dump into={target} confirm={target} swap=no")
    pg.sql(target, "DELETE FROM public.orders; CREATE TABLE public.mine AS SELECT 1 AS one; ALTER TABLE public.customers ADD x int")
    restored(backed_up, f"full/latest.dump into={target} confirm={target} clean=yes")
    assert pg.sql(target, "SELECT one FROM public.mine") == "1"  # it is not of the backup
    pg.sql(target, "DROP TABLE public.mine")
    pg.sql("postgres", f'ALTER DATABASE "{target}" SET search_path = stock, public')
    assert shop.differs(target) == ""
    assert names_like(pg, target) == [target]


def test_what_is_there_already_is_an_error_without_clean(backed_up, pg, target):
    pg.create(target)
    pg.sql(target, "CREATE SCHEMA stock")
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} swap=no", {"failed"})
    assert "already exists" in log and f"{target} itself was changed" in log
    assert left(backed_up)[0][:4] == (target, "", 1, 1)
    health = backed_up.text("status", "health")
    assert "restore" in health and f"{target} itself was changed" in health
    restored(backed_up, f"forget into={target}")
    assert left(backed_up) == [] and f"{target} itself" not in backed_up.text("status", "health")


def test_schema_then_data(backed_up, pg, shop, target):
    restored(backed_up, f"full/latest.dump into={target} content=schema")
    assert rows(pg, target) == 0 and pg.sql(target, "SELECT count(*) FROM pg_indexes WHERE indexname = 'orders_customer'") == "1"
    restored(backed_up, f"full/latest.dump into={target} confirm={target} content=data jobs=4")
    assert shop.differs(target) == ""


def test_one_schema(backed_up, pg, target):
    restored(backed_up, f"full/latest.dump into={target} schemas=stock")
    assert pg.sql(target, "SELECT count(*) FROM stock.few") == "9"
    assert pg.sql(target, "SELECT to_regclass('public.orders') IS NULL") == "t"


def test_chosen_tables(backed_up, pg, target):
    """with what is theirs: the serial's sequence and its value, indexes and their comments; and no other"""
    restored(backed_up, f"full/latest.dump into={target} tables=public.orders,public.customers")
    assert rows(pg, target) == 20000
    assert pg.sql(target, "SELECT nextval('public.customers_id_seq')") == "501"
    assert pg.sql(target, "SELECT obj_description('public.orders_customer'::regclass)") == "by customer"
    assert pg.sql(target, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "1"
    assert pg.sql(target, "SELECT to_regclass('stock.items') IS NULL") == "t"


@pytest.mark.parametrize("words, said", [
    ("tables=public.orders", "has public.orders already, so nothing was done: with clean=yes"),
    ("tables=orders,customers", "has public.customers, public.customers_id_seq, public.orders already"),
    ("schemas=stock", "has stock.few, stock.items"),
    ("swap=no", "already, so nothing was done"),
    ("content=schema", "already, so nothing was done"),
    ("tables=public.orders plan=yes", "has public.orders already"),
    ("tables=public.nothing clean=yes", "the backup has no table public.nothing; 'pg_restore -l'"),
    ("tables=public.ordres", "the backup has no table public.ordres: did you mean public.orders?"),
    ("schemas=nothing", "the backup has no schema nothing"),
])
def test_what_can_be_known_before_is_refused(backed_up, pg, target, words, said):
    """before a run is queued: nothing was begun, so health has nothing to tell of"""
    restored(backed_up, f"full/latest.dump into={target}")
    runs = len(backed_up.history())
    assert said in backed_up.refused("restore", f"full/latest.dump into={target} confirm={target} {words}")
    done = backed_up.run("restore", "full/latest.dump", f"into={target}", f"confirm={target}", *words.split(), "-m", backed_up.mountpoint, check=False)
    assert done.returncode == 2 and said in done.stderr
    assert len(backed_up.history()) == runs and left(backed_up) == [] and rows(pg, target) == 20000
    assert "restore" not in backed_up.text("status", "health")


def test_what_is_not_in_the_way(backed_up, pg, target):
    """what is loaded into, dropped before, or passed over"""
    restored(backed_up, f"full/latest.dump into={target}")
    pg.sql(target, "DELETE FROM public.orders")
    restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=orders content=data")
    assert rows(pg, target) == 20000
    pg.sql(target, "DROP TABLE public.orders")
    restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=orders")
    restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=orders clean=yes")
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=orders on_error=continue", {"failed"})
    assert "already exists" in log


def test_a_table_without_its_schema(new_keepfs, pg, target):
    """where one alone is called so; else the ones that are meant are named; and quotes tell apart what looks alike"""
    pg.create(f"{target}_named")
    pg.sql(f"{target}_named", """
        CREATE SCHEMA sales; CREATE SCHEMA "a.b"; CREATE SCHEMA a;
        CREATE TABLE public.orders AS SELECT 1 AS id; CREATE TABLE sales.orders AS SELECT 2 AS id; CREATE TABLE sales.items AS SELECT 3 AS id;
        CREATE TABLE "a.b".c AS SELECT 4 AS id; CREATE TABLE a."b.c" AS SELECT 5 AS id; CREATE VIEW public.shown AS SELECT id FROM public.orders;
        """)
    keepfs = new_keepfs({"full": {"database": pg.uri(f"{target}_named")}}).mount()
    keepfs.backup()
    assert "orders is in 2 schemas: write which one you mean: public.orders, sales.orders" in keepfs.refused(
        "restore", f"full/latest.dump into={target} tables=orders")
    assert 'a.b.c may be "a"."b.c" or "a.b"."c"' in keepfs.refused("restore", f"full/latest.dump into={target} tables=a.b.c").replace(
        '"a.b"."c" or "a"."b.c"', '"a"."b.c" or "a.b"."c"')
    restored(keepfs, f"full/latest.dump into={target} tables=items")
    assert pg.sql(target, "SELECT id FROM sales.items") == "3" and pg.sql(target, "SELECT to_regclass('sales.orders') IS NULL") == "t"
    restored(keepfs, f"""full/latest.dump into={target}_2 tables='"a"."b.c",sales.orders'""")
    assert pg.sql(f"{target}_2", 'SELECT id FROM a."b.c" UNION SELECT id FROM sales.orders ORDER BY 1') == "2\n5"
    assert pg.sql(f"{target}_2", "SELECT to_regnamespace('\"a.b\"') IS NULL") == "t"


def test_a_lost_table_comes_back_into_the_living_database(backed_up, pg, target):
    restored(backed_up, f"full/latest.dump into={target}")
    pg.sql(target, "DELETE FROM stock.items WHERE id > 5")
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=stock.items clean=yes", {"failed"})  # the view hangs on it
    assert "No database was changed" in log and left(backed_up) == [] and f"{target} itself" not in backed_up.text("status", "health")
    assert pg.sql(target, "SELECT count(*) FROM stock.items") == "5"  # one transaction drops all, or nothing
    restored(backed_up, f"full/latest.dump into={target} confirm={target} tables=public.orders clean=yes")
    assert rows(pg, target) == 20000


def test_no_password_is_written_down(backed_up, pg, target):
    for server in ("postgresql://postgres:hidden@127.0.0.1/x", "host=127.0.0.1 password=hidden"):
        assert "must not hold a password" in backed_up.refused("restore", f"full/latest.dump into={target} server='{server}'")
        done = backed_up.run("restore", "full/latest.dump", f"into={target}", f"server={server}", "-m", backed_up.mountpoint, check=False)
        assert done.returncode != 0 and "must not hold a password" in done.stderr
    assert "hidden" not in backed_up.text("status", "audit.jsonl") + backed_up.text("status", "history.jsonl") + backed_up.text("status", "last-error")


@pytest.mark.parametrize("command, said", [
    ("nothing", "is no backup, and no directory that has any"),
    ("into=x", "name one or more backups"),
    ("full/latest.dump run=1", "name one or more backups"),
    ("full/latest.dump full/latest.dump into=x", "several would be restored into the same database"),
    ("full/latest.dump clean=maybe", "allowed are yes and no"),
    ("full/latest.dump clean=yes swap=yes", "does not go with clean=yes"),
    ("full/latest.dump clean=yes content=data", "leave one of them away"),
    ("full/latest.dump content=all", "allowed are full, schema, data"),
    ("full/latest.dump jobs=0", "a number from 1 to 64"),
    ("full/latest.dump colour=red", "allowed are into, server"),
    ("full/latest.dump into=none create=no", "there is no database none on that server"),
    ("full/latest.dump into=" + "x" * 64, "a name has at most 63 bytes"),
])
def test_commands_that_are_none(backed_up, command, said):
    assert said in backed_up.refused("restore", command)


@pytest.mark.parametrize("where", ["archive", "tables"])
def test_a_damaged_one_is_refused_before_anything_is_changed(backed_up, pg, store, target, where):
    pg.create(target)
    (name,) = backed_up.artifacts()
    key = f"backups/full/{name if where == 'archive' else name.replace('.dump', '.tables.csv')}"
    data = bytearray(store.get(key))
    data[-20] ^= 0x40
    store.put(key, bytes(data))
    log = restored(backed_up, f"full/{name} into={target} confirm={target} swap=no clean=yes", {"failed"})
    assert "the backup is damaged, and nothing was changed" in log
    assert names_like(pg, target) == [target] and left(backed_up) == []
    assert "damaged backup" in backed_up.text("status", "health")


def test_without_a_mount_on_a_new_host(new_keepfs, pg, shop, target):
    """configuration and rebuild, nothing else; the server is another word of the command"""
    keepfs = new_keepfs({"full": {"database": pg.uri("shop"), "format": "directory"}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    keepfs.unmount()
    os.rename(keepfs.state, keepfs.directory / "lost")
    keepfs.jobs = {"other": {"database": "postgresql:///none"}}
    keepfs.write_conf()
    keepfs.run("rebuild")
    done = keepfs.run("restore", f"full/{name}", f"into={target}", check=False)
    assert done.returncode != 0 and "the configuration has no job full" in done.stderr
    keepfs.run("restore", f"full/{name}", f"into={target}", f"server={pg.uri('postgres')}")
    assert shop.differs(target) == ""
    assert [f for f in os.listdir(keepfs.state) if f.startswith("restore-")] == []


def test_roles_that_are_missing(new_keepfs, pg, own_pg, target):
    """on another server: roles come from the backup; without them owners are left out, or it fails and says so"""
    pg.sql("postgres", "CREATE ROLE keepfs_seller LOGIN PASSWORD 'x'; CREATE ROLE keepfs_group; GRANT keepfs_group TO keepfs_seller")
    pg.create("owned")
    try:
        pg.sql("owned", "CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t OWNER TO keepfs_seller; GRANT SELECT ON t TO keepfs_group")
        keepfs = new_keepfs({"full": {"database": pg.uri("owned")}}).mount()
        keepfs.backup()
        server = own_pg.uri("postgres")
        log = restored(keepfs, f"full/latest.dump into={target} server={server} roles=no", {"failed"})
        assert "the roles keepfs_group, keepfs_seller (make them" in log and "No database was changed" in log
        assert names_like(own_pg, target) == []
        restored(keepfs, f"full/latest.dump into={target}_plain server={server} no_owner=yes no_privileges=yes")
        assert own_pg.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'keepfs_%'") == "0"
        log = restored(keepfs, f"full/latest.dump into={target} server={server}")
        assert "keepfs_group" in log and "'x'" not in log
        assert own_pg.sql(target, "SELECT tableowner FROM pg_tables WHERE tablename = 't'") == "keepfs_seller"
        assert own_pg.sql("postgres", "SELECT pg_has_role('keepfs_seller', 'keepfs_group', 'member')") == "t"
        # nobody gets in by what was brought along, unless it was asked for
        can_log_in = "SELECT rolcanlogin, rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'keepfs_seller'"
        assert "roles=yes: as they were" in log and own_pg.sql("postgres", can_log_in) == "f|f"
        own_pg.drop(target)
        own_pg.sql("postgres", "DROP ROLE keepfs_seller")
        restored(keepfs, f"full/latest.dump into={target} server={server} roles=yes")
        assert own_pg.sql("postgres", can_log_in) == "t|t"
    finally:
        pg.drop("owned")
        pg.sql("postgres", "DROP ROLE keepfs_seller; DROP ROLE keepfs_group")


def test_errors_are_counted_and_the_rest_goes_on_where_that_is_asked(backed_up, pg, target):
    """on_error=continue: what can be restored is, and the run fails all the same"""
    pg.create(target)
    pg.sql(target, "CREATE TABLE public.orders (id int)")
    log = restored(backed_up, f"full/latest.dump into={target} confirm={target} swap=no on_error=continue", {"failed"})
    assert "it was restored but for" in log
    assert rows(pg, target, "customers") == 500 and rows(pg, target) == 0


@pytest.mark.parametrize("how", ["cancel", "kill", "server"])
def test_in_the_middle(new_keepfs, own_pg, target, how):
    """while rows are loaded: a cancel, kill -9 of keepfs, the server's end; what was there is as it was, and what is left is told"""
    own_pg.create("big")
    own_pg.sql("big", "CREATE TABLE public.orders AS SELECT g AS id, repeat(md5(g::text), 40) AS note FROM generate_series(1, 100000) g; CHECKPOINT")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("big"), "compression": "none"}}).mount()
    keepfs.backup()
    own_pg.create(target)
    own_pg.sql(target, "CREATE TABLE public.living AS SELECT 1 AS one; CHECKPOINT")
    run = int(keepfs.ask("restore", f"full/latest.dump into={target} confirm={target} jobs=1").split()[0])
    daemon.wait_until(lambda: "COPY public.orders" in own_pg.sql("postgres", "SELECT string_agg(query, ' ') FROM pg_stat_activity"), "rows are loaded")
    if how == "kill":
        keepfs.kill()
        subprocess.run(["umount", "-l", str(keepfs.mountpoint)], check=True)
        keepfs.mount()
        assert left(keepfs)[0][:4] == (target, f"{target}_restoring_{run}", 0, 1)
        health = keepfs.text("status", "health")
        assert f"{target} is as it was" in health and f"{target}_restoring_{run}" in health, health
        assert names_like(own_pg, target) == [target, f"{target}_restoring_{run}"]
        # how to go on: as health says
        own_pg.sql("postgres", f'DROP DATABASE "{target}_restoring_{run}" WITH (FORCE)')
        restored(keepfs, f"full/latest.dump into={target} confirm={target}")
        assert left(keepfs) == [] and rows(own_pg, target) == 100000
        return
    if how == "cancel":
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        keepfs.wait_run(run, {"cancelled"})
        assert names_like(own_pg, target) == [target] and left(keepfs) == []
    else:
        own_pg.stop()
        status = keepfs.wait_run(run, {"failed"})
        assert f"{target} is as it was" in status["error"], status
        assert left(keepfs)[0][3] == 1
        own_pg.start()
    assert own_pg.sql(target, "SELECT one FROM public.living") == "1"


def test_killed_before_anything_was_changed(new_keepfs, pg, shop, target, store):
    """while the backup is read: there is nothing to tell"""
    keepfs = new_keepfs({"full": {"database": pg.uri("shop")}}).mount()
    keepfs.backup()
    keepfs.unmount()
    pg.create(target)
    keepfs.store_settings["faults"] = "get:3+:slow:60000"
    keepfs.write_conf()
    keepfs.mount()
    run = int(keepfs.ask("restore", f"full/latest.dump into={target} confirm={target}").split()[0])
    daemon.wait_until(lambda: "stays as it is until" in keepfs.text("jobs", str(run), "log"), "it is planned")
    del keepfs.store_settings["faults"]
    keepfs.write_conf()
    killed(keepfs)
    assert keepfs.run_status(run)["state"] == "failed"
    assert left(keepfs) == [] and names_like(pg, target) == [target]


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("phase", ["data", "indexes"])
def test_killed(new_keepfs, own_pg, target, phase, in_place):
    """in each phase that changes the server, and beside as well as in place: what is where is told, and the advice works"""
    own_pg.create("waits")
    own_pg.sql("waits", GATE)
    where = "int CHECK (public.wait_here(id) > 0)" if phase == "data" else "int"
    own_pg.sql("waits", f"CREATE TABLE public.orders (id {where}); INSERT INTO public.orders SELECT generate_series(1, 10)")
    if phase == "indexes":
        own_pg.sql("waits", "CREATE INDEX slow ON public.orders (public.wait_here(id))")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("waits")}}).mount()
    keepfs.backup()
    own_pg.create(target)
    own_pg.sql("postgres", "CREATE ROLE gate")
    run = int(keepfs.ask("restore", f"full/latest.dump into={target} confirm={target} {'swap=no' if in_place else ''}").split()[0])
    made = target if in_place else f"{target}_restoring_{run}"
    daemon.wait_until(lambda: own_pg.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "0", "it waits")
    killed(keepfs)
    own_pg.sql("postgres", "DROP ROLE gate")
    health = keepfs.text("status", "health")
    if in_place:
        assert left(keepfs)[0][:4] == (target, "", 1, 1) and health.startswith("CRIT") and f"{target} itself was changed" in health
        restored(keepfs, f"full/latest.dump into={target} confirm={target} clean=yes")
    else:
        assert left(keepfs)[0][:4] == (target, made, 0, 1) and f"{target} is as it was" in health
        own_pg.drop(made)
        restored(keepfs, f"full/latest.dump into={target} confirm={target}")
    assert rows(own_pg, target) == 10 and left(keepfs) == []
    assert "did not end well" not in keepfs.text("status", "health")


def test_killed_while_names_are_exchanged(new_keepfs, own_pg, target):
    """somebody else changes that database just then, so it waits: whatever the server makes of it, both names are changed, or none"""
    own_pg.create("swapped")
    own_pg.sql("swapped", "CREATE TABLE public.orders AS SELECT 1 AS a")
    keepfs = new_keepfs({"full": {"database": own_pg.uri("swapped")}}).mount()
    keepfs.backup()
    own_pg.create(target)
    holder = subprocess.Popen([*own_pg.as_user, str(own_pg.bindir / "psql"), "-X", "-q", "-d", own_pg.uri("postgres")], stdin=subprocess.PIPE, text=True)
    holder.stdin.write(f'BEGIN; ALTER DATABASE "{target}" CONNECTION LIMIT 7;\n')
    holder.stdin.flush()
    daemon.wait_until(lambda: "CONNECTION LIMIT 7" in own_pg.sql("postgres", "SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE state LIKE 'idle in%'"), "it is held")
    run = int(keepfs.ask("restore", f"full/latest.dump into={target} confirm={target}").split()[0])
    daemon.wait_until(lambda: own_pg.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%RENAME TO%' AND wait_event_type = 'Lock'") == "1", "it waits")
    killed(keepfs)
    assert left(keepfs)[0][:4] == (target, f"{target}_restoring_{run}", 2, 1)
    assert f"either {target} is the restored database" in keepfs.text("status", "health")
    holder.stdin.close()
    holder.wait()
    daemon.wait_until(lambda: own_pg.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%RENAME TO%' AND pid <> pg_backend_pid()") == "0", "the server has ended it")
    names = names_like(own_pg, target)
    assert len(names) == 2 and target in names
    restored_one = target if any("_before_" in name for name in names) else f"{target}_restoring_{run}"
    assert rows(own_pg, restored_one) == 1
    restored(keepfs, f"forget into={target}")
    assert left(keepfs) == []


def test_sql_text_that_is_cut_off_in_the_middle_is_not_kept(new_keepfs, pg, target):
    """keepfs is killed while psql is fed: what psql has is not all, and nothing of it may stay"""
    pg.create("text")
    try:
        pg.sql("text", "CREATE TABLE public.orders AS SELECT g AS id, repeat(md5(g::text), 100) AS note FROM generate_series(1, 30000) g")
        keepfs = new_keepfs({"full": {"database": pg.uri("text"), "format": "plain", "compression": "none"}}).mount()
        keepfs.backup()
        pg.create(target)
        keepfs.ask("restore", f"full/latest.sql into={target} confirm={target} swap=no")
        daemon.wait_until(lambda: "COPY public.orders" in pg.sql("postgres", f"SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE datname = '{target}'"), "rows are loaded")
        killed(keepfs)
        daemon.wait_until(lambda: pg.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{target}'") == "0", "psql has ended")
        assert pg.sql(target, "SELECT to_regclass('public.orders') IS NULL") == "t"
        restored(keepfs, f"full/latest.sql into={target} confirm={target} swap=no")
        assert rows(pg, target) == 30000
    finally:
        pg.drop("text")


@pytest.mark.parametrize("what, said", [
    ("extension", f"the extensions {LACKED} (install"),
    ("tablespace", "the tablespaces elsewhere (make them"),
])
def test_what_the_target_does_not_have(new_keepfs, pg, own_pg, target, tmp_path, what, said):
    """it is named, with what to do, and nothing is changed"""
    with everything.extension(own_pg, LACKED) if what == "extension" else contextlib.nullcontext(True) as there:
        if not there:
            pytest.skip("the server's directory cannot be written")
        own_pg.create("source")
        if what == "extension":
            own_pg.sql("source", f"CREATE EXTENSION {LACKED}")
        else:
            place = own_pg.directory / "elsewhere"
            place.mkdir()
            if own_pg.as_user:
                shutil.chown(place, "postgres")
            own_pg.sql("postgres", f"CREATE TABLESPACE elsewhere LOCATION '{place}'")
            own_pg.sql("source", "CREATE TABLE t (a int) TABLESPACE elsewhere")
        keepfs = new_keepfs({"full": {"database": own_pg.uri("source")}}).mount()
        keepfs.backup()
    server = pg.uri("postgres")
    log = restored(keepfs, f"full/latest.dump into={target} server={server}", {"failed"})
    assert said in log and "No database was changed" in log
    assert names_like(pg, target) == [] and left(keepfs) == []
    if what == "extension":
        restored(keepfs, f"full/latest.dump into={target} server={server} extensions=no on_error=continue", {"failed", "completed"})


def test_a_database_that_is_only_read(new_keepfs, pg, target):
    pg.create("sealed")
    try:
        pg.sql("sealed", "CREATE TABLE public.orders AS SELECT 1 AS a; CREATE INDEX ON public.orders (a); ALTER DATABASE sealed SET default_transaction_read_only = on")
        keepfs = new_keepfs({"full": {"database": pg.uri("sealed")}}).mount()
        keepfs.backup()
        restored(keepfs, f"full/latest.dump into={target}")
        assert rows(pg, target) == 1 and pg.sql(target, "SHOW default_transaction_read_only") == "on"
    finally:
        pg.drop("sealed")


def test_a_database_that_takes_one_connection(new_keepfs, pg, target):
    """psql has it while it runs, and keepfs wants none beside it"""
    role = f"{target}_single"
    pg.create(target)
    pg.sql("postgres", f"CREATE ROLE {role} LOGIN; ALTER DATABASE {target} OWNER TO {role}")
    try:
        uri = pg.uri(target, user=role)
        pg.tool("psql", "-X", "-q", "-d", uri, "-c", "CREATE SCHEMA mine; CREATE TABLE mine.orders AS SELECT generate_series(1, 10) AS a")
        keepfs = new_keepfs({"full": {"database": uri, "format": "plain"}}).mount()
        keepfs.backup()
        (name,) = keepfs.artifacts()
        pg.sql(target, "DROP SCHEMA mine CASCADE")
        pg.sql("postgres", f"ALTER DATABASE {target} CONNECTION LIMIT 1")
        restored(keepfs, f"full/{name} into={target} confirm={target} swap=no server={pg.uri('postgres', user=role)}")
        assert pg.sql(target, "SELECT count(*) FROM mine.orders") == "10"
    finally:
        pg.drop(target)
        pg.sql("postgres", f"DROP ROLE {role}")


def test_several_of_a_run(new_keepfs, pg, target):
    """in the job's order; one that fails does not stop the others"""
    names = [f"{target}_{n}" for n in ("one", "two", "three")]
    for name in names:
        pg.create(name)
        pg.sql(name, "CREATE TABLE public.orders AS SELECT 1 AS a")
    keepfs = new_keepfs({"all": {"database": pg.uri("postgres"), "databases": ", ".join(names)}}).mount()
    run = keepfs.backup("all")["run"]
    pg.drop(names[0])
    pg.drop(names[2])
    said = keepfs.refused("restore", f"run={run}")
    assert f"write confirm={names[1]}" in said
    pg.drop(names[1])
    log = restored(keepfs, f"run={run}")
    assert [rows(pg, name) for name in names] == [1, 1, 1]
    assert log.index(names[0]) < log.index(names[1]) < log.index(names[2])


def test_hooks(backed_up, pg, target, tmp_path):
    """around it; the second one whatever became of it"""
    mark = tmp_path / "mark"
    restored(backed_up, f"""full/latest.dump into={target} pre_hook='echo "before $KEEPFS_DATABASE" >> {mark}'
             post_hook='echo "after $KEEPFS_STATE" >> {mark}'""".replace("\n", " "))
    assert mark.read_text() == f"before {target}\nafter completed\n"
    log = restored(backed_up, f"full/latest.dump into={target}2 pre_hook='echo no; exit 7' post_hook='echo \"$KEEPFS_STATE\" > {mark}'", {"failed"})
    assert "pre_hook" in log and "exit status 7" in log
    assert mark.read_text() == "failed\n" and names_like(pg, target) == [target]
