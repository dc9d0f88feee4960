# SPDX-License-Identifier: Apache-2.0
"""keepfs rescue and control/rescue: rows that a backup has and the living table lacks come back, and nothing else is touched."""
import json
import os

import pytest

import daemon

FORMATS = ("custom", "directory", "plain")
DATABASE = "rescue_shop"


@pytest.fixture(scope="module")
def shop(pg):
    pg.create(DATABASE)
    yield DATABASE
    pg.drop(DATABASE)


def begun(keepfs, command):
    return int(keepfs.ask("rescue", command).split()[0])


def rescued(keepfs, command, states=("completed",)):
    """one run to its end; its log"""
    run = begun(keepfs, command)
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] in states, f"{status}\n{log}"
    return log


def refused(keepfs, command):
    """the same, of one that fails: why"""
    run = begun(keepfs, command)
    status = keepfs.wait_run(run)
    assert status["state"] == "failed", status
    assert "nothing was changed" in status["error"]
    return status["error"]


def table(pg, name="orders", database=DATABASE):
    return pg.sql(database, f"SELECT t::text FROM {name} t ORDER BY 1")


@pytest.fixture
def orders(pg, shop):
    """every value that COPY writes in a way of its own; and what hangs on one another"""
    pg.sql(shop, r"""
        DROP TABLE IF EXISTS orders, customers, noted, pairs CASCADE; DROP SCHEMA IF EXISTS archive CASCADE;
        CREATE TABLE customers (id int PRIMARY KEY, name text);
        INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 50) g;
        CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customers, note text, data bytea,
                             twice int GENERATED ALWAYS AS (customer * 2) STORED);
        INSERT INTO orders (customer, note) SELECT 1 + g % 50, 'note ' || g FROM generate_series(1, 500) g;
        UPDATE orders SET note = NULL WHERE id = 11;
        UPDATE orders SET note = E'tab\tnew\nline\r\\N \\. \\' WHERE id = 12;
        UPDATE orders SET note = 'ä€😀', data = '\x00ff5c0a' WHERE id = 13;
        CREATE TABLE noted (note text);
        INSERT INTO noted VALUES ('a'), ('b');
        CREATE TABLE pairs (a int, b text, v text, PRIMARY KEY (a, b));
        INSERT INTO pairs SELECT g % 10, g::text, 'v' FROM generate_series(1, 100) g""")


@pytest.fixture
def backed_up(new_keepfs, pg, orders):
    keepfs = new_keepfs({"full": {"database": pg.uri(DATABASE)}}).mount()
    keepfs.backup()
    return keepfs


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_missing_comes_back_and_nothing_else(new_keepfs, pg, orders, form):
    keepfs = new_keepfs({"full": {"database": pg.uri(DATABASE), "format": form}}).mount()
    keepfs.backup()
    before = table(pg)
    pg.sql(DATABASE, "DELETE FROM orders WHERE id IN (11, 12, 13)")
    less = table(pg)
    log = rescued(keepfs, "full/latest" + {"custom": ".dump", "plain": ".sql.gz", "directory": ""}[form] + " public.orders")
    for line in ("500 rows are in the backup", "3 of them are missing in public.orders", "missing: id=11", "missing: id=13",
                 "0 are there with other values", "SQL: INSERT INTO public.orders (id, customer, note, data) OVERRIDING SYSTEM VALUE",
                 "nothing was changed: this is what would be done; to do it, order it once more with confirm=public.orders"):
        assert line in log, log
    assert table(pg) == less
    for plan in ("plan=yes", "dry-run=yes"):
        assert "nothing was changed" in rescued(keepfs, f"full public.orders confirm=public.orders {plan} note='a trial'")
    assert table(pg) == less
    log = rescued(keepfs, "full public.orders confirm=public.orders")
    assert "3 rows were inserted into public.orders, and 0 were replaced" in log
    assert table(pg) == before
    assert "0 rows were inserted" in rescued(keepfs, "full orders confirm=orders")
    audit = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    assert any(a["action"] == "rescue" and "confirm=public.orders" in a["object"] for a in audit)
    assert [(row["job"], row["kind"]) for row in keepfs.history()[:3]] == [("rescue:full", "rescue")] * 3


def test_what_was_changed_since_is_left_or_replaced(backed_up, pg):
    before = table(pg)
    pg.sql(DATABASE, "UPDATE orders SET note = 'mine' WHERE id = 20; DELETE FROM orders WHERE id IN (21, 22)")
    log = rescued(backed_up, "full public.orders confirm=public.orders where='id <> 22'")
    assert "499 of them are wanted" in log and "1 are there with other values, which stay" in log and "differs: id=20" in log
    assert pg.sql(DATABASE, "SELECT note FROM orders WHERE id = 20") == "mine"
    assert pg.sql(DATABASE, "SELECT count(*) FROM orders WHERE id IN (21, 22)") == "1"
    log = rescued(backed_up, "full public.orders confirm=public.orders replace=yes")
    assert "1 rows were inserted into public.orders, and 1 were replaced" in log
    assert table(pg) == before


def test_the_command(backed_up, pg):
    """by the mount, and without one"""
    before = table(pg)
    for mounted in (True, False):
        pg.sql(DATABASE, "DELETE FROM orders WHERE id IN (1, 2, 3); UPDATE orders SET note = 'mine' WHERE id = 4")
        if not mounted:
            backed_up.unmount()
        plan = backed_up.run("rescue", "full/latest.dump", "public.orders", "--where", "orders.id < 3").stdout
        assert "2 of them are missing" in plan and "nothing was changed" in plan
        assert "nothing was changed" in backed_up.run("rescue", "full", "public.orders", "--dry-run", "--confirm", "public.orders").stdout
        assert pg.sql(DATABASE, "SELECT count(*) FROM orders") == "497"
        done = backed_up.run("rescue", "full", "public.orders", "--replace", "--confirm", "public.orders").stdout
        assert "3 rows were inserted into public.orders, and 1 were replaced" in done
        assert table(pg) == before
    wrong = backed_up.run("rescue", "full", check=False)
    assert wrong.returncode == 2 and "takes a backup and a table" in wrong.stderr
    wrong = backed_up.run("rescue", "full", "public.orders", "--confirm", "public.order", check=False)
    assert wrong.returncode != 0 and "rows would be brought into public.orders" in wrong.stderr
    assert json.loads(backed_up.run("rescue", "full", "orders", "--json").stdout)["state"] == "completed"


def test_another_table_and_another_database(backed_up, pg):
    pg.sql(DATABASE, "CREATE SCHEMA archive; CREATE TABLE archive.orders (LIKE orders INCLUDING ALL); DELETE FROM orders")
    log = rescued(backed_up, "full public.orders into=archive.orders confirm=archive.orders where='id <= 10'")
    assert "10 rows were inserted into archive.orders" in log and table(pg) == ""
    other = f"rescued_{os.getpid()}"
    pg.create(other)
    pg.sql(other, "CREATE TABLE orders (id int PRIMARY KEY, customer int, note text, data bytea)")
    rescued(backed_up, f"full public.orders database={other} server={pg.uri('postgres')} confirm=public.orders")
    assert pg.sql(other, "SELECT count(*) FROM orders") == "500"
    pg.drop(other)
    assert "database \"nowhere\" does not exist" in refused(backed_up, "full orders database=nowhere")


def test_keys(backed_up, pg):
    pg.sql(DATABASE, "DELETE FROM pairs WHERE b IN ('7', '17', '20'); DELETE FROM noted WHERE note = 'b'")
    assert "missing: a=0, b=20" in rescued(backed_up, "full pairs")
    assert "3 rows were inserted" in rescued(backed_up, "full pairs confirm=pairs")
    assert "has no primary key" in refused(backed_up, "full noted confirm=noted")
    assert "1 rows were inserted" in rescued(backed_up, "full noted by=note confirm=noted")
    assert table(pg, "noted") == "(a)\n(b)"


def test_a_sequence_that_is_behind_is_told(backed_up, pg):
    pg.sql(DATABASE, "TRUNCATE orders RESTART IDENTITY; INSERT INTO orders (customer) SELECT 1 FROM generate_series(1, 3)")
    log = rescued(backed_up, "full orders confirm=orders")
    mend = "SELECT pg_catalog.setval('public.orders_id_seq', (SELECT pg_catalog.max(id) FROM public.orders))"
    assert f"the sequence public.orders_id_seq is behind the values of id, and is not changed here: a new row would get a number that is taken; set it with: {mend}" in log
    assert pg.sql(DATABASE, "SELECT last_value FROM orders_id_seq") == "3"
    pg.sql(DATABASE, mend)
    assert "the sequence" not in rescued(backed_up, "full orders")


def test_what_the_server_misses_is_no_damage_of_the_backup(backed_up):
    """nor is it read through for that"""
    run = begun(backed_up, "full orders where='EXISTS (SELECT FROM public.nowhere)'")
    assert 'relation "public.nowhere" does not exist' in backed_up.wait_run(run)["error"]
    assert "is right: level" not in backed_up.text("jobs", str(run), "log")
    assert "damaged" not in backed_up.text("status", "health")


def test_long_statements_are_shortened(backed_up, pg):
    """in the log: what is done to which table, and by what, without its hundred columns; of a constraint that is no key no row is told"""
    columns = ", ".join(f"\"a column with ö and a number {number}\" int DEFAULT {number}" for number in range(100))
    pg.sql(DATABASE, f"CREATE TABLE wide (id int PRIMARY KEY, {columns}, email text UNIQUE, secret text); INSERT INTO wide (id, email, secret) VALUES (1, 'a@b', 'hidden'), (2, 'c@d', 'hidden')")
    backed_up.backup()
    pg.sql(DATABASE, "DELETE FROM wide")
    log = rescued(backed_up, "full wide confirm=wide")
    statements = [line for line in log.splitlines() if "SQL: " in line]
    assert max(map(len, statements)) < 400
    (insert,) = [line for line in statements if "INSERT INTO" in line]
    assert "INSERT INTO public.wide (id, " in insert and " bytes) … " in insert and insert.endswith("ON CONFLICT (id) DO NOTHING")
    pg.sql(DATABASE, "UPDATE wide SET id = 3 WHERE id = 1; DELETE FROM wide WHERE id = 2")
    said = refused(backed_up, "full wide confirm=wide")
    assert "the row with id=1: " in said and "Key (email)=(a@b) already exists." in said
    pg.sql(DATABASE, "DELETE FROM wide; ALTER TABLE wide ADD CHECK (secret <> 'hidden')")
    said = refused(backed_up, "full wide confirm=wide")
    assert "the row with id=1: " in said and "wide_secret_check" in said and "hidden" not in said
    pg.sql(DATABASE, "DROP TABLE wide")


def test_what_the_server_refuses_changes_nothing(backed_up, pg):
    pg.sql(DATABASE, "DELETE FROM orders; DELETE FROM customers WHERE id = 21")
    said = refused(backed_up, "full orders confirm=orders")
    assert "the row with id=20: " in said and "orders_customer_fkey" in said and table(pg) == ""
    assert 'Key (customer)=(21) is not present in table "customers".' in said
    rescued(backed_up, "full customers confirm=customers")
    pg.sql(DATABASE, """
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 77 THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()""")
    said = refused(backed_up, "full orders confirm=orders")
    assert "the row with id=77: " in said and "not this one" in said and table(pg) == ""
    assert "499 rows were inserted" in rescued(backed_up, "full orders confirm=orders where='id <> 77'")


def test_columns_that_are_others_now(backed_up, pg):
    pg.sql(DATABASE, "ALTER TABLE orders RENAME note TO remark; DELETE FROM orders WHERE id = 5")
    said = refused(backed_up, "full orders confirm=orders")
    assert "the backup alone has values for note; the living table alone has remark: columns=common" in said
    assert "1 rows were inserted" in rescued(backed_up, "full orders columns=common confirm=orders")
    assert pg.sql(DATABASE, "SELECT customer FROM orders WHERE id = 5 AND remark IS NULL") == "6"


def test_names_and_conditions_that_are_wrong(backed_up, pg):
    assert "did you mean public.orders?" in refused(backed_up, "full public.order")
    assert "did you mean public.customers?" in refused(backed_up, "full custmers")
    assert "there is no table public.ordrs" in refused(backed_up, "full orders into=public.ordrs")
    assert "where=" in refused(backed_up, "full orders where='true); DROP TABLE orders; --'")
    assert "where=" in refused(backed_up, "full orders where='nothing > 5'")
    pg.sql(DATABASE, "ALTER TABLE orders RENAME TO gone")
    assert "keepfs restore … tables=SCHEMA.TABLE" in refused(backed_up, "full orders")
    pg.sql(DATABASE, "ALTER TABLE gone RENAME TO orders")
    assert "no backup, and no directory" in backed_up.refused("rescue", "nobody orders")
    assert "name a backup and a table" in backed_up.refused("rescue", "full")
    assert table(pg).count("\n") >= 499


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_backup_changes_nothing(new_keepfs, pg, orders, form):
    keepfs = new_keepfs({"full": {"database": pg.uri(DATABASE), "format": form}}).mount()
    name = keepfs.run_artifact(keepfs.backup()["run"])
    pg.sql(DATABASE, "DELETE FROM orders WHERE id > 3")
    for key in keepfs.store.keys():
        if key.startswith(f"backups/full/{name}") and (form != "directory" or "/toc.dat" not in key):
            data = bytearray(keepfs.store.get(key))
            for at in range(len(data) // 2, len(data), 997):
                data[at] ^= 0xff
            keepfs.store.put(key, bytes(data))
    refused(keepfs, f"full/{name} public.orders confirm=public.orders")
    assert json.loads(keepfs.run("info", "--json").stdout)["backups"][0]["damaged"]
    assert pg.sql(DATABASE, "SELECT count(*) FROM orders") == "3"


def test_cancelled_in_the_middle(backed_up, pg):
    """while the server inserts: what waits there for ever is ended"""
    pg.sql(DATABASE, """
        DELETE FROM orders WHERE id > 100;
        CREATE OR REPLACE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 300 THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;
        CREATE TRIGGER wait_here BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION wait_here()""")
    run = begun(backed_up, "full orders confirm=orders")
    daemon.wait_until(lambda: pg.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'INSERT INTO public.orders%'") == "1", "it waits in the middle")
    backed_up.path("jobs", str(run), "cancel").write_text("1\n")
    status = backed_up.wait_run(run)
    assert status["state"] == "cancelled" and "nothing was changed" in status["error"], status
    daemon.wait_until(lambda: pg.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keepfs rescue'") == "0", "its session has ended")
    assert pg.sql(DATABASE, "SELECT count(*) FROM orders") == "100"


@pytest.fixture
def latin1(pg):
    """psql would take our UTF-8 for LATIN1: names and values are escaped"""
    name = "rescue_latin1"
    pg.sql("postgres", f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    pg.sql(name, r"""
        CREATE TABLE U&"gr\00f6\00dfe" (id int PRIMARY KEY, U&"ma\00df" text);
        INSERT INTO U&"gr\00f6\00dfe" VALUES (1, U&'\00e4rger'), (2, U&'\00e9' || E'\n' || U&'\00fc\\'), (3, NULL)""")
    yield name
    pg.drop(name)


@pytest.mark.parametrize("form", FORMATS)
def test_another_encoding(new_keepfs, pg, latin1, form):
    rows = r"""SELECT string_agg(encode(convert_to(t::text, 'UTF8'), 'hex'), ' ' ORDER BY id) FROM U&"gr\00f6\00dfe" t"""
    before = pg.sql(latin1, rows)
    keepfs = new_keepfs({"full": {"database": pg.uri(latin1), "format": form}}).mount()
    keepfs.backup()
    pg.sql(latin1, r"""DELETE FROM U&"gr\00f6\00dfe" WHERE id > 1""")
    log = rescued(keepfs, "full public.größe confirm=public.größe where='maß IS NULL OR maß LIKE $$%ü%$$'")
    assert "2 rows were inserted into public.\"größe\"" in log, log
    assert pg.sql(latin1, rows) == before
    # Who was erased is found there, too.
    keepfs.unmount()
    key = keepfs.directory / "erasure.key"
    key.write_bytes(os.urandom(32))
    key.chmod(0o600)
    keepfs.settings["erasure_key_file"] = key
    keepfs.write_conf()
    keepfs.mount()
    keepfs.run("erase", "public.größe", "column=maß", "value=ärger")
    pg.sql(latin1, r"""DELETE FROM U&"gr\00f6\00dfe" WHERE id < 3""")
    log = rescued(keepfs, "full public.größe confirm=public.größe")
    assert "1 rows of public.größe are left out" in log and "1 rows were inserted" in log, log
    assert pg.sql(latin1, rows).split(" ") == before.split(" ")[1:]
    keepfs.unmount()


def test_names_with_dots(new_keepfs, pg):
    """of two tables that can be meant by one word none is taken: in quotes it is clear which one is"""
    name = "rescue_dots"
    pg.create(name)
    pg.sql(name, """CREATE SCHEMA "a.b"; CREATE SCHEMA a; CREATE TABLE "a.b".c (id int PRIMARY KEY); CREATE TABLE a."b.c" (id int PRIMARY KEY);
                    INSERT INTO "a.b".c VALUES (1), (2); INSERT INTO a."b.c" VALUES (1), (2)""")
    keepfs = new_keepfs({"full": {"database": pg.uri(name)}}).mount()
    first = keepfs.run_artifact(keepfs.backup()["run"])
    pg.sql(name, """DELETE FROM "a.b".c; DELETE FROM a."b.c" """)
    second = keepfs.run_artifact(keepfs.backup()["run"])
    backups = [f"full/{first}", f"full/{second}"]
    said = refused(keepfs, f"full/{first} a.b.c confirm=a.b.c")
    assert "a.b.c may be " in said and '"a.b"."c"' in said and '"a"."b.c"' in said and "write the one that is meant just so" in said
    log = rescued(keepfs, f"""full/{first} '"a"."b.c"' confirm='"a"."b.c"'""")
    assert "2 rows were inserted into a.\"b.c\"" in log, log
    assert pg.sql(name, """SELECT count(*) FROM "a.b".c""") == "0"
    failed = keepfs.run("diff", *backups, "a.b.c", check=False)
    assert failed.returncode == 2 and " may be " in failed.stderr, failed.stderr
    assert sorted(keepfs.run("diff", *backups, '"a.b"."c"').stdout.splitlines()) == ["-1", "-2"]
    keepfs.unmount()
    pg.drop(name)


def test_a_trigger_that_leaves_rows_out(backed_up, pg):
    pg.sql(DATABASE, """
        DELETE FROM orders WHERE id IN (5, 6);
        CREATE OR REPLACE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER leave_out BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION leave_out()""")
    assert "the first one is that with id=5" in refused(backed_up, "full orders confirm=orders")
    assert pg.sql(DATABASE, "SELECT count(*) FROM orders") == "498"
