# SPDX-License-Identifier: Apache-2.0
"""The keys of restore, verify and drill: each is in the documents and is tried by a test; here are those that no other file tries."""
import os
import pathlib
import re
import shutil
import tempfile

import pytest

import everything
import handmade
import postgres
from restoring import LACKED, left, names_like, restored, rows

TOP = pathlib.Path(__file__).parents[2]
TESTS = {"restore": "test_restore*.py", "verify": "test_verify.py", "drill": "test_drill*.py", "rescue": "test_rescue.py"}


def keys_of(keepfs, command):
    """as the program itself lists them"""
    return re.search(r"allowed are ([a-z_, -]+)", keepfs.refused(command, "full nokey=1")).group(1).split(", ")


def part(text, begin, end):
    return text.split(begin, 1)[1].split(end, 1)[0]


@pytest.mark.parametrize("command", TESTS)
def test_each_key_is_in_the_documents_and_has_a_test(keepfs, command):
    keys = keys_of(keepfs, command)
    man = (TOP / "docs/man/keepfs.1.scd").read_text()
    has_section = command in ("restore", "rescue")
    man = part(man, f"# {command.upper()}", "\n# ") if has_section else part(man, f"\n*{command}* _BACKUP_", "\n\n")
    if has_section:
        man += part((TOP / "docs/man/keepfs.1.scd").read_text(), f"\n*{command}* _BACKUP_", "\n\n")
    tests = "".join(path.read_text() for pattern in (TESTS[command], "test_use_options.py", "test_pitr.py") for path in (TOP / "tests/e2e").glob(pattern))
    operations = (TOP / "docs/operations.md").read_text()
    readme = keepfs.text("control", "README")
    for key in keys:
        assert re.search(rf"\b{key}\b", man), f"{key} is not in keepfs(1)"
        assert re.search(rf"\b{key}=", tests), f"no test tries {command} {key}="
        if command == "restore":
            assert re.search(rf"[`\s]{key}=", operations), f"{key} is not in operations.md"
    assert f"control/{command}" in readme or command in readme


# Restore.

@pytest.fixture(scope="module")
def market(pg):
    """two schemas, an owner, somebody who may read"""
    pg.sql("postgres", "CREATE ROLE market_owner; CREATE ROLE market_reader")
    pg.create("market")
    pg.sql("market", """
        CREATE SCHEMA stock; CREATE SCHEMA other;
        CREATE TABLE public.orders AS SELECT generate_series(1, 100) AS id;
        CREATE TABLE stock.items AS SELECT 1 AS a;
        CREATE TABLE other.things AS SELECT 1 AS a;
        ALTER TABLE public.orders OWNER TO market_owner;
        GRANT SELECT ON public.orders TO market_reader;
        """)
    yield "market"
    pg.drop("market")
    pg.sql("postgres", "DROP ROLE market_owner; DROP ROLE market_reader")


@pytest.fixture
def backed_up(new_keepfs, pg, market):
    keepfs = new_keepfs({"full": {"database": pg.uri(market)}}).mount()
    keepfs.backup()
    return keepfs


def facts(pg, database):
    """owner of the table, and whether somebody may read it"""
    return pg.sql(database, "SELECT tableowner || ' ' || has_table_privilege('market_reader', 'public.orders', 'SELECT') FROM pg_tables WHERE tablename = 'orders'")


@pytest.mark.parametrize("words, expected", [
    ("no_owner=no no_privileges=no", "market_owner true"),
    ("no_owner=yes", "postgres true"),
    ("no_privileges=yes", "market_owner false"),
    ("no_owner=yes no_privileges=yes", "postgres false"),
])
def test_owners_and_rights(backed_up, pg, target, words, expected):
    restored(backed_up, f"full/latest.dump into={target} {words}")
    assert facts(pg, target) == expected


def test_the_words_for_what_is_done_anyway(backed_up, pg, target):
    pg.create(target)
    restored(backed_up, f"full/latest.dump into={target} confirm={target} swap=yes clean=no create=yes content=full on_error=stop roles=yes extensions=yes level=0 analyze=yes plan=no")
    assert rows(pg, target) == 100 and len(names_like(pg, target)) == 2


def test_without_statistics(backed_up, pg, target):
    restored(backed_up, f"full/latest.dump into={target} analyze=no")
    assert pg.sql(target, "SELECT reltuples FROM pg_class WHERE relname = 'orders'") == "-1"


def test_a_note(backed_up, target):
    restored(backed_up, f"full/latest.dump into={target} note='for the auditors'")
    assert backed_up.history()[0]["note"] == "for the auditors"


def test_several_schemas_and_a_table(backed_up, pg, target):
    restored(backed_up, f"full/latest.dump into={target} schemas='stock, other'")
    assert [pg.sql(target, f"SELECT to_regclass('{t}') IS NULL") for t in ("stock.items", "other.things", "public.orders")] == ["f", "f", "t"]
    restored(backed_up, f"full/latest.dump into={target}2 schemas=stock tables=public.orders")
    assert [pg.sql(f"{target}2", f"SELECT to_regclass('{t}') IS NULL") for t in ("stock.items", "other.things", "public.orders")] == ["f", "t", "f"]
    said = backed_up.refused("restore", f"full/latest.dump into={target}3 schemas=stock,nothing")
    assert "the backup has no schema nothing" in said and names_like(pg, f"{target}3") == []


def test_several_checks(backed_up, pg, target):
    """all must be true"""
    restored(backed_up, f"full/latest.dump into={target} check='SELECT true' check='SELECT count(*) = 100 FROM public.orders'")
    log = restored(backed_up, f"full/latest.dump into={target}2 check='SELECT true' check='SELECT NULL'", {"failed"})
    assert "is answered with nothing, and not with true" in log and names_like(pg, f"{target}2") == []
    log = restored(backed_up, f"full/latest.dump into={target}2 check='DELETE FROM public.orders RETURNING true'", {"failed"})
    assert "read-only transaction" in log and names_like(pg, f"{target}2") == []
    log = restored(backed_up, f"full/latest.dump into={target}2 check='SELECT nothing'", {"failed"})
    assert 'column "nothing" does not exist' in log and names_like(pg, f"{target}2") == []


def test_a_directory_is_what_was_made_last_in_it(backed_up, pg, market, target):
    pg.sql(market, "INSERT INTO public.orders VALUES (101)")
    try:
        backed_up.backup()
    finally:
        pg.sql(market, "DELETE FROM public.orders WHERE id = 101")
    restored(backed_up, f"full into={target}")
    assert rows(pg, target) == 101
    (first, _) = backed_up.artifacts()
    restored(backed_up, f"full/{first} into={target}2")
    assert rows(pg, f"{target}2") == 100


def test_two_backups_by_name(new_keepfs, pg, target):
    """each into the database that it is of"""
    names = [f"{target}_one", f"{target}_two"]
    for name in names:
        pg.create(name)
        pg.sql(name, "CREATE TABLE public.orders AS SELECT 1 AS a")
    keepfs = new_keepfs({name: {"database": pg.uri(name)} for name in names}).mount()
    for name in names:
        keepfs.backup(name)
        pg.drop(name)
    restored(keepfs, f"{names[0]}/latest.dump backups/{names[1]}/latest.dump")
    assert [rows(pg, name) for name in names] == [1, 1]
    assert keepfs.history()[0]["job"] == "restore:all"


def test_a_service_names_the_server(backed_up, pg, target, tmp_path):
    """with its password, which is in no command"""
    (tmp_path / "services").write_text(f"[staging]\nhost={pg.directory}\nport={pg.port}\nuser=postgres\npassword=hidden\n")
    backed_up.unmount()
    backed_up.env["PGSERVICEFILE"] = str(tmp_path / "services")
    backed_up.run("restore", "full/latest.dump", "server=service=staging", f"into={target}")
    assert rows(pg, target) == 100
    backed_up.mount()
    assert "hidden" not in backed_up.text("status", "history.jsonl") + backed_up.text("status", "audit.jsonl")


def test_without_extensions(new_keepfs, pg, own_pg, target):
    """the server has none of that name, and what hangs on nothing of it is all there"""
    with everything.extension(own_pg, LACKED) as there:
        if not there:
            pytest.skip("the server's directory cannot be written")
        own_pg.create("source")
        own_pg.sql("source", f"CREATE EXTENSION {LACKED}; CREATE TABLE public.orders AS SELECT 1 AS a")
        keepfs = new_keepfs({"full": {"database": own_pg.uri("source")}}).mount()
        keepfs.backup()
    restored(keepfs, f"full/latest.dump into={target} server={pg.uri('postgres')} extensions=no")
    assert rows(pg, target) == 1
    assert pg.sql(target, f"SELECT count(*) FROM pg_extension WHERE extname = '{LACKED}'") == "0"


def test_the_second_level_finds_what_the_first_does_not(backed_up, pg, store, target):
    """every byte is what was sent, and other rows were counted: found before anything is changed, or when they are loaded"""
    (name,) = backed_up.artifacts()
    stem = name.removesuffix(".dump")
    data, counts = store.get(f"backups/full/{name}"), store.get(f"backups/full/{stem}.tables.csv")
    backed_up.unmount()
    for key in store.keys():
        store.remove(key)
    changed = counts.replace(b"public,orders,100,", b"public,orders,99,")
    assert changed != counts
    handmade.publish(store, "backups/full/20261120T020000Z.dump", bytes(data), {"20261120T020000Z.tables.csv": bytes(changed)}, database="market")
    shutil.rmtree(backed_up.state)
    backed_up.run("rebuild")
    backed_up.mount()
    pg.create(target)
    log = restored(backed_up, f"full/20261120T020000Z.dump into={target} confirm={target}", {"failed"})
    assert "while the data were loaded" in log and "nothing is left of the restore" in log
    log = restored(backed_up, f"full/20261120T020000Z.dump into={target} confirm={target} level=1", {"failed"})
    assert "nothing was changed" in log and "public.orders" in log and "while the data were loaded" not in log
    assert names_like(pg, target) == [target] and left(backed_up) == []


@pytest.mark.parametrize("command, said", [
    ("run=1 into=x", "several would be restored into the same database"),
    ("run=99", "that run has made no backup that is still there"),
    ("run=none", "run=none: a number from 1"),
    ("full level=2", "level=2: allowed are 0, 1"),
    ("full on_error=ask", "allowed are stop, continue"),
    ("full analyze=maybe", "allowed are yes and no"),
    ("full swap=yes content=data", "does not go with clean=yes"),
    ("full swap=yes tables=public.orders", "does not go with clean=yes"),
])
def test_restores_that_are_none(backed_up, command, said):
    assert said in backed_up.refused("restore", command)


# Verify.

def test_verifying_with_a_note_and_a_rate(backed_up):
    run = int(backed_up.ask("verify", "full level=0 rate=10M note='before the audit'").split()[0])
    backed_up.wait_run(run)
    row = backed_up.history()[0]
    assert row["kind"] == "verify" and row["state"] == "completed" and row["note"] == "before the audit"


def test_verifying_all(new_keepfs, pg, market):
    keepfs = new_keepfs({"full": {"database": pg.uri(market)}, "text": {"database": pg.uri(market), "format": "plain"}}).mount()
    keepfs.backup()
    keepfs.backup("text")
    run = int(keepfs.ask("verify", "all level=1").split()[0])
    keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    for job in ("full", "text"):
        (name,) = keepfs.artifacts(job)
        assert f"backups/{job}/{name} is right: level" in log
    done = keepfs.run("verify", "full/latest.dump", "text", "-m", keepfs.mountpoint)
    assert re.search(r"^state:?\s+completed", done.stdout, re.M), done.stdout


# Drill.

@pytest.fixture
def drilling(new_keepfs, pg, market):
    """a job with one check, which holds"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-drill-", dir=postgres.quick_base() or "/var/tmp"))
    os.chmod(path, 0o711)
    keepfs = new_keepfs({"full": {"database": pg.uri(market)}}, drill_dir=path)
    keepfs.sections = {"check orders": {"sql": "SELECT count(*) FROM orders", "expect": "n = 100"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    yield keepfs
    keepfs.close()
    shutil.rmtree(path)


def drilled(keepfs, words):
    run = int(keepfs.ask("drill", words).split()[0])
    keepfs.wait_run(run)
    return keepfs.text("jobs", str(run), "log")


def test_a_drill_of_the_highest_level_with_a_note(drilling):
    log = drilled(drilling, "full level=5 jobs=2 pick=newest note='for the auditors'")
    assert "can be restored: level 5" in log and "check orders: ok, the answer is 100" in log and "; 2 connections" in log
    row = drilling.history()[0]
    assert row["kind"] == "drill" and row["note"] == "for the auditors"
    (name,) = drilling.artifacts()
    assert os.getxattr(drilling.path("backups", "full", name), "user.keepfs.drilled_level") == b"5"


def test_a_drill_on_another_server_keeps_nothing_unless_told(drilling, pg):
    databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"
    before = pg.sql("postgres", databases)
    log = drilled(drilling, f"full/latest.dump server={pg.uri('postgres')} keep=no level=4")
    assert "can be restored: level 4" in log and pg.sql("postgres", databases) == before


def test_a_drill_leaves_alone_what_has_the_name_of_its_database(drilling, pg):
    """numbers of runs begin anew where a catalog was lost: what an earlier one has kept is somebody's"""
    pg.sql("postgres", "CREATE DATABASE keepfs_drill_2")
    try:
        run = int(drilling.ask("drill", f"full server={pg.uri('postgres')} level=2").split()[0])
        assert run == 2
        drilling.wait_run(run, {"completed"})
        assert pg.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'keepfs_drill_2'") == "1"
    finally:
        pg.drop("keepfs_drill_2")
