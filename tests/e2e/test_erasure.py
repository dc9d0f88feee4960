# SPDX-License-Identifier: Apache-2.0
"""What was erased does not come back with a backup, and the register tells nobody who it was."""
import functools
import json
import os

import pytest

import exporting
from daemon import wait_until
from exporting import settings

DATABASE = "erasure_app"
LEFT = "SELECT concat_ws(',', (SELECT count(*) FROM orgs), (SELECT count(*) FROM users), (SELECT count(*) FROM projects), (SELECT count(*) FROM tasks), (SELECT count(*) FROM comments))"
ALL = "3,21,12,60,120"


@pytest.fixture
def new_keepfs(new_keepfs, drill_dir):
    return functools.partial(new_keepfs, drill_dir=drill_dir)


@pytest.fixture(scope="module")
def app(pg):
    yield from exporting.application(pg, DATABASE)


def start(new_keepfs, app, database=DATABASE, **further):
    keepfs = new_keepfs({"full": {"database": app.uri(database)}})
    key = keepfs.directory / "erasure.key"
    key.write_bytes(os.urandom(32))
    os.chmod(key, 0o600)
    keepfs.settings["erasure_key_file"] = key
    keepfs.sections = {"export": settings(app.uri(database), **further)}
    keepfs.write_conf()
    return keepfs.mount()


def restored(keepfs, name, state="completed", of="full"):
    run = int(keepfs.ask("restore", f"{of} into={name}").split()[0])
    status = keepfs.wait_run(run)
    assert status["state"] == state, keepfs.text("jobs", str(run), "log")
    return keepfs.text("jobs", str(run), "log"), status


def entries(store):
    return {key: json.loads(store.get(key)) for key in store.keys() if key.startswith("erasures/")}


def test_a_row(new_keepfs, app, store, target):
    """with what cannot be without it; nobody learns which row from the register, the audit or the answers"""
    keepfs = start(new_keepfs, app)
    keepfs.backup("full")
    user = app.sql(DATABASE, "SELECT min(id) FROM users WHERE org_id = 2")
    assert keepfs.run("erasures").stdout == "nothing is registered as erased\n"
    done = keepfs.run("erase", "public.users", f"id=0{user}", "note=asked for it")
    assert done.stdout == f"registered as erased: rows of public.users by id, in the database {DATABASE}\n"
    assert "registered already" in keepfs.run("erase", "public.users", f"id={user}").stdout
    ((key, entry),) = entries(store).items()
    assert entry["kind"] == "rows" and (entry["schema"], entry["table"], entry["column"], entry["database"]) == ("public", "users", "id", DATABASE)
    assert set(entry) == {"format", "version", "at", "by", "note", "kind", "database", "schema", "table", "column", "key", "hash"} and len(entry["hash"]) == 64
    audit = [line for line in keepfs.text("status", "audit.jsonl").splitlines() if '"erase"' in line]
    assert len(audit) == 2 and all("public.users by id" in line and f"id={user}" not in line and f"id=0{user}" not in line for line in audit)
    listed = keepfs.run("erasures").stdout
    assert "rows of public.users by id" in listed and "asked for it" in listed and len(listed.splitlines()) == 1
    log, _ = restored(keepfs, target)
    assert app.sql(target, f"SELECT count(*) FROM users WHERE id = {user}") == "0" and app.sql(DATABASE, LEFT) == ALL
    # Comments that it wrote may be without an author; nobody else is touched.
    assert app.sql(target, LEFT) == "3,20,12,60,120" and app.sql(target, "SELECT count(*) FROM comments WHERE author_id IS NULL") == "40"
    assert "1 rows of public.users were deleted" in log and "40 rows of public.comments do not refer to what was erased any more" in log


def test_a_tenant(new_keepfs, app, target, store):
    """all of its rows, by the rules of [export]; also when it is gone and only its id is known"""
    keepfs = start(new_keepfs, app)
    keepfs.backup("full")
    assert "a tenant of the database" in keepfs.run("erase", "tenant", "acme").stdout
    assert "the tenant has to be known" in keepfs.run("erase", "tenant", "gone", check=False).stderr
    keepfs.run("erase", "tenant", "gone", "id=3")
    assert "acme" not in str(entries(store)) and len(entries(store)) == 2
    log, _ = restored(keepfs, target)
    assert app.sql(target, LEFT) == "1,7,4,20,40" and app.sql(target, "SELECT slug FROM orgs") == "globex"
    assert "2 rows of public.orgs were deleted" in log
    app.drop(target)
    # Another host: the store has the register, and without the key nothing is restored.
    keepfs.unmount()
    for name in os.listdir(keepfs.state / "erasures"):
        os.unlink(keepfs.state / "erasures" / name)
    key = keepfs.settings.pop("erasure_key_file")
    keepfs.write_conf()
    keepfs.mount()
    _, status = restored(keepfs, target, "failed")
    assert "2 erasures are registered, and without [keepfs] erasure_key_file" in status["error"] and "no database was changed" in status["error"]
    other = keepfs.directory / "other.key"
    other.write_bytes(b"x" * 32)
    os.chmod(other, 0o600)
    keepfs.settings["erasure_key_file"] = other
    keepfs.write_conf()
    keepfs.remount()
    _, status = restored(keepfs, target, "failed")
    assert "is not the key with which 2 erasures were registered" in status["error"]
    keepfs.settings["erasure_key_file"] = key
    keepfs.write_conf()
    keepfs.remount()
    restored(keepfs, target)
    assert app.sql(target, LEFT) == "1,7,4,20,40"


def test_chains_and_circles(new_keepfs, app, target):
    """rows that may not be without the erased one go, too, and those that may are kept"""
    name = f"erasure_chain_{os.getpid()}"
    app.create(name)
    try:
        app.sql(name, """CREATE TABLE people (id uuid PRIMARY KEY, best_friend uuid); CREATE TABLE letters (id int PRIMARY KEY, of uuid NOT NULL REFERENCES people);
            CREATE TABLE pages (letter int NOT NULL REFERENCES letters, n int, PRIMARY KEY (letter, n)); CREATE TABLE notes (page_letter int, page_n int, body text, FOREIGN KEY (page_letter, page_n) REFERENCES pages);
            CREATE TABLE log (of uuid REFERENCES people ON DELETE CASCADE); CREATE TABLE parts (of uuid NOT NULL REFERENCES people) PARTITION BY HASH (of); CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
            INSERT INTO people SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid FROM generate_series(1, 4) n; UPDATE people SET best_friend = '00000000-0000-0000-0000-000000000001';
            ALTER TABLE people ADD FOREIGN KEY (best_friend) REFERENCES people; INSERT INTO letters SELECT row_number() OVER (), id FROM people; INSERT INTO pages SELECT id, 1 FROM letters;
            INSERT INTO notes SELECT letter, n, 'x' FROM pages; INSERT INTO log SELECT id FROM people; INSERT INTO parts SELECT id FROM people""")
        keepfs = new_keepfs({"full": {"database": app.uri(name)}})
        key = keepfs.directory / "erasure.key"
        key.write_bytes(os.urandom(64))
        os.chmod(key, 0o600)
        keepfs.settings["erasure_key_file"] = key
        keepfs.write_conf()
        keepfs.mount()
        keepfs.backup("full")
        assert "no table public.nobody with a column id" in keepfs.run("erase", "public.nobody", "id=1", check=False).stderr
        secret = keepfs.run("erase", "public.people", "id=Jane-Doe", check=False).stderr
        assert "does not take the key" in secret and "Jane" not in secret and "Jane" not in keepfs.text("status", "last-error") + keepfs.text("status", "audit.jsonl")
        keepfs.run("erase", "public.people", "id=00000000-0000-0000-0000-000000000001".upper().replace("ID=", "id="))
        restored(keepfs, target)
        counts = app.sql(target, "SELECT concat_ws(',', (SELECT count(*) FROM people), (SELECT count(*) FROM letters), (SELECT count(*) FROM pages), (SELECT count(*) FROM notes), (SELECT count(page_n) FROM notes), (SELECT count(*) FROM log), (SELECT count(*) FROM parts), (SELECT count(best_friend) FROM people))")
        assert counts == "3,3,3,4,3,3,3,0"
    finally:
        app.drop(name)


def test_a_register_that_cannot_be_read(new_keepfs, app, store, target):
    """it is never taken for an empty one"""
    keepfs = start(new_keepfs, app)
    keepfs.backup("full")
    keepfs.run("erase", "public.users", "id=1")
    (name,) = os.listdir(keepfs.state / "erasures")
    text = (keepfs.state / "erasures" / name).read_text()
    (keepfs.state / "erasures" / name).write_text(text[:40])
    _, status = restored(keepfs, target, "failed")
    assert f"erasures/{name} of the erasure register cannot be read" in status["error"]
    assert app.sql("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{target}'") == "0"
    (keepfs.state / "erasures" / name).write_text(text)
    # What a store has lost comes back from here.
    store_key = f"erasures/{name}"
    store.remove(store_key)
    restored(keepfs, target)
    assert store_key in store.keys() and json.loads(store.get(store_key)) == json.loads(text)


def test_schemas_and_databases(new_keepfs, app, target, pg):
    """that were a tenant's"""
    name = f"erasure_schemas_{os.getpid()}"
    app.create(name)
    try:
        app.sql(name, "CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, 'red'), (2, 'blue'); CREATE SCHEMA red; CREATE TABLE red.t (n int); CREATE SCHEMA blue; CREATE TABLE blue.t (n int)")
        keepfs = start(new_keepfs, app, name)
        keepfs.sections["export"] = {"database": app.uri(name), "tenancy": "schema", "tenants": "SELECT id, slug FROM tenants", "exclude": "public.tenants"}
        keepfs.write_conf()
        keepfs.remount()
        keepfs.backup("full")
        keepfs.run("erase", "tenant", "red")
        restored(keepfs, target)
        assert app.sql(target, "SELECT string_agg(nspname, ',' ORDER BY 1) FROM pg_namespace WHERE nspname IN ('red', 'blue')") == "blue"
        app.drop(target)
        app.sql(name, f"UPDATE tenants SET slug = '{name}' WHERE id = 1")
        keepfs.sections["export"] = {"database": app.uri(name), "tenancy": "database", "tenants": "SELECT id, slug FROM tenants", "tenant_database": "{slug}"}
        keepfs.write_conf()
        keepfs.remount()
        refused = keepfs.run("erase", "tenant", name, check=False)
        assert refused.returncode != 0  # a database that is asked for the tenants is nobody's
        app.sql(name, "UPDATE tenants SET slug = 'postgres_app' WHERE id = 1")
        keepfs.run("erase", "tenant", "postgres_app")
    finally:
        app.drop(name)


def test_what_is_registered_while_a_restore_runs(new_keepfs, app, target):
    """is deleted by that one, too"""
    name, role = f"erasure_meanwhile_{os.getpid()}", f"erasure_go_{os.getpid()}"
    app.create(name)
    try:
        app.sql(name, f"""CREATE TABLE people (id int PRIMARY KEY); INSERT INTO people VALUES (1), (2); CREATE ROLE {role};
            CREATE FUNCTION waited() RETURNS int LANGUAGE plpgsql AS $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{role}') LOOP PERFORM pg_catalog.pg_sleep(0.05); END LOOP; RETURN 1; END $$;
            CREATE MATERIALIZED VIEW slow AS SELECT waited() AS n; DROP ROLE {role}""")
        keepfs = new_keepfs({"full": {"database": app.uri(name)}})
        key = keepfs.directory / "erasure.key"
        key.write_bytes(os.urandom(32))
        os.chmod(key, 0o600)
        keepfs.settings["erasure_key_file"] = key
        keepfs.write_conf()
        keepfs.mount()
        keepfs.backup("full")
        run = int(keepfs.ask("restore", f"full into={target}").split()[0])
        wait_until(lambda: app.sql("postgres", "SELECT pid FROM pg_stat_activity WHERE query LIKE 'REFRESH MATERIALIZED VIEW%slow%' AND state = 'active'"), "the restore to be at the view")
        keepfs.run("erase", "public.people", "id=2")
        app.sql("postgres", f"CREATE ROLE {role}")
        assert keepfs.wait_run(run)["state"] == "completed", keepfs.text("jobs", str(run), "log")
        assert app.sql(target, "SELECT string_agg(id::text, ',') FROM people") == "1"
    finally:
        app.sql("postgres", f"DROP ROLE IF EXISTS {role}")
        app.drop(name)


def brought_back(keepfs, words):
    """why a tenant is not brought back"""
    status = keepfs.wait_run(int(keepfs.ask("restore-tenant", words).split()[0]))
    assert status["state"] == "failed", status
    return status["error"]


def test_an_export_of_an_erased_schema(new_keepfs, app):
    """does not come back either"""
    name = f"erasure_exported_{os.getpid()}"
    app.create(name)
    try:
        app.sql(name, "CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, 'red'), (2, 'blue'); CREATE SCHEMA red; CREATE TABLE red.t (n int PRIMARY KEY); INSERT INTO red.t VALUES (1); CREATE SCHEMA blue; CREATE TABLE blue.t (n int PRIMARY KEY)")
        keepfs = start(new_keepfs, app, name)
        keepfs.sections["export"] = {"database": app.uri(name), "tenancy": "schema", "tenants": "SELECT id, slug FROM tenants", "exclude": "public.tenants"}
        keepfs.write_conf()
        keepfs.remount()
        exporting.ended(keepfs, "exports")
        red, blue = (f"exports/{slug}/{exporting.made(keepfs, slug)[0]}" for slug in ("red", "blue"))
        keepfs.run("erase", "tenant", "red")
        app.sql(name, "DELETE FROM red.t")
        assert "the tenant red is registered as erased" in brought_back(keepfs, f"red from={red} mode=replace confirm=red")
        assert "the tenant red is registered as erased" in keepfs.run("import", red, check=False).stderr
        assert app.sql(name, "SELECT count(*) FROM red.t") == "0"
        run = int(keepfs.ask("restore-tenant", f"blue from={blue} mode=diff").split()[0])
        assert keepfs.wait_run(run)["state"] == "completed"
    finally:
        app.drop(name)


def test_an_export_in_which_the_key_is_redacted(new_keepfs, app):
    """nobody can tell whether it has what was erased"""
    keepfs = start(new_keepfs, app, redact="email, password_hash")
    exporting.ended(keepfs, "exports")
    before = exporting.made(keepfs, "globex")[0]
    keepfs.run("erase", "public.users", "email=globex1@example.org", f"database={DATABASE}")
    assert "registered as erased by email (keepfs erasures), which is redacted in this export" in brought_back(keepfs, f"globex from=exports/globex/{before} into=again")
    # Later ones were made of a database in which it had been erased.
    exporting.ended(keepfs, "export globex")
    assert "public.users.email must have a value" in brought_back(keepfs, f"globex from=exports/globex/{exporting.made(keepfs, 'globex')[-1]} into=again")


def test_ids_that_are_written_in_other_ways(new_keepfs, app, target):
    """are those of the rows"""
    name = f"erasure_uuids_{os.getpid()}"
    app.create(name)
    try:
        app.sql(name, """CREATE TABLE orgs (id uuid PRIMARY KEY, slug text); CREATE TABLE users (id int PRIMARY KEY, org_id uuid NOT NULL REFERENCES orgs);
            INSERT INTO orgs VALUES ('00000000-0000-0000-0000-00000000000a', 'acme'), ('00000000-0000-0000-0000-00000000000b', 'globex'); INSERT INTO users SELECT row_number() OVER (), id FROM orgs""")
        keepfs = start(new_keepfs, app, name)
        keepfs.sections["export"] = {"database": app.uri(name), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id"}
        keepfs.write_conf()
        keepfs.remount()
        keepfs.backup("full")
        refused = keepfs.run("erase", "tenant", "gone", "id=no-uuid", check=False)
        assert refused.returncode != 0 and "no-uuid" not in refused.stderr
        keepfs.run("erase", "tenant", "gone", "id={00000000-0000-0000-0000-00000000000A}")
        restored(keepfs, target)
        assert app.sql(target, "SELECT concat_ws(',', (SELECT string_agg(slug, ',') FROM orgs), (SELECT count(*) FROM users))") == "globex,1"
    finally:
        app.drop(name)


def test_a_drill_that_is_kept(new_keepfs, app):
    """it is proven equal first"""
    keepfs = start(new_keepfs, app)
    keepfs.backup("full")
    keepfs.run("erase", "tenant", "acme")
    run = int(keepfs.ask("drill", f"full level=3 keep=yes server='{app.uri('postgres')}'").split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == "completed", log
    (made,) = [n for n in app.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'keepfs_drill_%'").splitlines()]
    try:
        app.sql("postgres", f"ALTER DATABASE {made} CONNECTION LIMIT -1")
        assert app.sql(made, LEFT) == "2,14,8,40,80"
    finally:
        app.drop(made)


def rescued(keepfs, words, state="completed"):
    run = int(keepfs.ask("rescue", words).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == state, log
    return log, status


def test_a_rescue_leaves_out_what_was_erased(new_keepfs, app):
    """rows that are missing because somebody was erased are not brought back with those that were lost"""
    keepfs = start(new_keepfs, app)
    acme, other = app.sql(DATABASE, "SELECT string_agg(id::text, ',' ORDER BY slug <> 'acme', id) FROM orgs").split(",")[:2]
    app.sql(DATABASE, f"CREATE TABLE people (id int PRIMARY KEY, org_id int, born timestamptz, name text); CREATE TABLE plain (id int PRIMARY KEY, name text);"
                      f"INSERT INTO people SELECT g, CASE WHEN g <= 2 THEN {acme} ELSE {other} END, '2000-01-01 00:00+00'::timestamptz + g * interval '1 day', 'p' || g FROM generate_series(1, 6) g;"
                      "INSERT INTO plain SELECT g, 'x' FROM generate_series(1, 3) g;")
    try:
        keepfs.backup("full")
        (old,) = keepfs.artifacts()
        app.sql(DATABASE, "ALTER ROLE CURRENT_USER IN DATABASE " + DATABASE + " SET timezone = 'Asia/Tokyo'")
        keepfs.run("erase", "public.people", "id=4")
        keepfs.run("erase", "public.people", "born=2000-01-07 00:00:00+00")
        keepfs.run("erase", "tenant", "acme")
        app.sql(DATABASE, "DELETE FROM people; DELETE FROM plain WHERE id = 2")
        plan, _ = rescued(keepfs, f"full/{old} public.people")
        assert plan.count("the erasure register: 1 rows of public.people are left out") == 2 and "the erasure register: 2 rows of public.people are left out" in plan, plan
        assert "6 rows are in the backup" in plan and "2 of them are missing" in plan and "id=4" not in plan and "id=1" not in plan
        rescued(keepfs, f"full/{old} public.people confirm=public.people")
        assert app.sql(DATABASE, "SELECT string_agg(id::text, ',' ORDER BY id) FROM people") == "3,5"
        # Nothing of it changes what is there, either.
        app.sql(DATABASE, f"INSERT INTO people VALUES (4, {other}, now(), 'new')")
        log, _ = rescued(keepfs, f"full/{old} public.people replace=yes confirm=public.people")
        assert "0 rows were inserted into public.people, and 0 were replaced" in log and app.sql(DATABASE, "SELECT name FROM people WHERE id = 4") == "new"
        # Whose rows these are nobody can tell.
        log, _ = rescued(keepfs, f"full/{old} public.plain confirm=public.plain")
        assert "the rows of public.plain do not say by themselves whose they are" in log and app.sql(DATABASE, "SELECT count(*) FROM plain") == "3"
        keepfs.unmount()
        keepfs.settings.pop("erasure_key_file")
        keepfs.write_conf()
        keepfs.mount()
        app.sql(DATABASE, "DELETE FROM plain")
        for words in ("", " confirm=public.plain"):
            _, status = rescued(keepfs, f"full/{old} public.plain{words}", "failed")
            assert "without [keepfs] erasure_key_file" in status["error"] and "nothing was changed" in status["error"], status
        assert app.sql(DATABASE, "SELECT count(*) FROM plain") == "0"
    finally:
        app.sql(DATABASE, "DROP TABLE people, plain; ALTER ROLE CURRENT_USER IN DATABASE " + DATABASE + " RESET timezone")


def test_whoever_looks_into_an_old_backup_is_told(new_keepfs, app):
    """a backup cannot be changed: it still has what was erased since, and each place that shows rows of it says so"""
    keepfs = start(new_keepfs, app)
    keepfs.backup("full")
    old = keepfs.artifacts()[0]
    inside = keepfs.path("inside", "full", old.removesuffix(".dump"))
    assert "ERASED.txt" not in os.listdir(inside) and not (inside / "ERASED.txt").exists()
    user = app.sql(DATABASE, "SELECT min(id) FROM users WHERE org_id = 2")
    keepfs.run("erase", "public.users", f"id={user}")
    keepfs.run("erase", "tenant", "acme")
    told = f"2 erasures of the database {DATABASE} registered since backups/full/{old} was begun"
    assert "ERASED.txt" in os.listdir(inside) and (inside / "ERASED.txt").read_text().startswith(told)
    run = int(keepfs.ask("rescue", f"full/{old} public.users").split()[0])
    keepfs.wait_run(run)
    assert told in keepfs.text("jobs", str(run), "log")
    # what was made since has nothing of them
    keepfs.backup("full")
    new = next(name for name in keepfs.artifacts() if name != old)
    assert "ERASED.txt" not in os.listdir(keepfs.path("inside", "full", new.removesuffix(".dump")))
    done = keepfs.run("diff", f"full/{old}", f"full/{new}")
    assert done.stderr.count(told) == 1 and "registered since" not in done.stdout and new not in done.stderr
    pair = keepfs.path("diff", "full", f"{old.split('.')[0]}..{new.split('.')[0]}")
    assert "ERASED.txt" in os.listdir(pair) and (pair / "ERASED.txt").read_text().startswith(told)
    assert len(os.listdir(pair)) == len(set(os.listdir(pair))) and "summary.csv" in os.listdir(pair)
    # a register that nobody can read is not taken for an empty one
    for name in os.listdir(keepfs.state / "erasures"):
        (keepfs.state / "erasures" / name).write_text("{")
    (keepfs.state / "erasures" / "another.json").write_text("{")
    assert "is not known: the entry erasures/" in (inside / "ERASED.txt").read_text()
    assert "is not known" in keepfs.run("diff", f"full/{old}", f"full/{new}").stderr
