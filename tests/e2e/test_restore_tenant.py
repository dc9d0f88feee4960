# SPDX-License-Identifier: Apache-2.0
"""One tenant brought back from a backup, and nothing of anybody else touched."""
import functools
import os

import pytest

import exporting
from daemon import wait_until
from test_offboard import Session
from exporting import ended, made, settings

DATABASE = "tenant_app"
OF_OTHERS = """SELECT md5(string_agg(line, '' ORDER BY line)) FROM (
    SELECT o::text FROM orgs o WHERE id <> 1 UNION ALL SELECT c::text FROM countries c UNION ALL SELECT u::text FROM users u WHERE org_id <> 1
    UNION ALL SELECT p::text FROM projects p WHERE org_id <> 1
    UNION ALL SELECT t::text FROM tasks t JOIN projects p ON p.id = project_id WHERE org_id <> 1
    UNION ALL SELECT c::text FROM comments c JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id WHERE org_id <> 1) all_rows (line)"""
OF_ACME = OF_OTHERS.replace("<> 1", "= 1")
CHANGE = """UPDATE users SET email = 'new@example.org' WHERE id = (SELECT min(id) FROM users WHERE org_id = 1);
    DELETE FROM comments WHERE task_id IN (SELECT t.id FROM tasks t JOIN projects p ON p.id = project_id WHERE org_id = 1) AND number = 2;
    INSERT INTO projects (org_id, title) VALUES (1, 'made since')"""

PLAIN = {"redact": "", "allow_secrets": "*.password_hash"}  # an export with all values


@pytest.fixture
def new_keepfs(new_keepfs, drill_dir):
    return functools.partial(new_keepfs, drill_dir=drill_dir)


@pytest.fixture(scope="module")
def app(pg):
    yield from exporting.application(pg, DATABASE)


@pytest.fixture
def copy(app):
    yield from exporting.copied(app, DATABASE)


def start(new_keepfs, app, database, **further):
    keepfs = new_keepfs({"full": {"database": app.uri(database)}})
    keepfs.sections = {"export": settings(app.uri(database), **further)}
    keepfs.write_conf()
    return keepfs.mount()


def restored(keepfs, words, state="completed"):
    run = int(keepfs.ask("restore-tenant", words).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == state, log
    return log if state == "completed" else status["error"]


def hidden(keepfs):
    """what stays of the tenant's data on the local disk"""
    return [n for n in os.listdir(keepfs.state) if n.startswith("tenant-")]


@pytest.mark.parametrize("source", ["dump", "export"])
def test_back_to_yesterday(new_keepfs, app, copy, source):
    """diff shows it, replace does it, in one transaction, with the keys as they were"""
    keepfs = start(new_keepfs, app, copy, **(PLAIN if source == "export" else {}))
    if source == "dump":
        keepfs.backup("full")
        origin = "full"
    else:
        ended(keepfs, "export acme")
        origin = f"exports/acme/{made(keepfs, 'acme')[0]}"
    acme, others = app.sql(copy, OF_ACME), app.sql(copy, OF_OTHERS)
    assert "acme is as it was" in restored(keepfs, f"acme from={origin} mode=diff")
    app.sql(copy, CHANGE)
    changed = app.sql(copy, OF_ACME)
    log = restored(keepfs, f"acme from={origin} mode=diff")
    assert "public.comments: of 40 rows of the backup 20 are not there now, 0 are different; 0 rows came since" in log
    assert "public.users: of 7 rows of the backup 0 are not there now, 1 are different (email); 0 rows came since" in log
    assert "public.projects: of 4 rows of the backup 0 are not there now, 0 are different; 1 rows came since" in log
    assert app.sql(copy, OF_ACME) == changed
    before = made(keepfs, "acme")
    log = restored(keepfs, f"acme from={origin} mode=replace confirm=acme")
    assert app.sql(copy, OF_ACME) == acme and app.sql(copy, OF_OTHERS) == others
    (safety,) = set(made(keepfs, "acme")) - set(before)
    assert f"acme/{safety}" in log and os.getxattr(keepfs.path("exports", "acme", safety), "user.keepfs.verified_at")
    assert "made since" in str(exporting.document(keepfs, "acme", safety)) and hidden(keepfs) == []
    # Keys go on from where they are.
    app.sql(copy, "INSERT INTO users (org_id, email) VALUES (1, 'next@example.org')")


def test_words(new_keepfs, app, copy):
    keepfs = start(new_keepfs, app, copy)
    keepfs.backup("full")
    changed = app.sql(copy, OF_ACME)
    for words, reason in (("acme from=full", "one of mode=diff"), ("acme mode=diff", "from=BACKUP"), ("acme from=full mode=diff into=x", "one of mode=diff"),
                          ("acme from=full mode=replace", "write confirm=acme; nothing was done"), ("acme from=full mode=replace confirm=globex", "write confirm=acme"),
                          ("acme from=full mode=both", "one of mode=diff"), ("from=full mode=diff", "TENANT")):
        assert reason in keepfs.refused("restore-tenant", words), words
    assert "there is no tenant nobody" in restored(keepfs, "nobody from=full id=1 mode=diff", "failed")
    ended(keepfs, "export globex")
    name = made(keepfs, "globex")[0]
    assert "is the data of globex, not of acme" in restored(keepfs, f"acme from=exports/globex/{name} mode=diff", "failed")
    # What was redacted would be lost.
    assert "(public.users.password_hash)" in restored(keepfs, f"globex from=exports/globex/{name} mode=replace confirm=globex", "failed")
    assert "there is no export" in restored(keepfs, "globex from=exports/globex/20200101T000000Z.json.gz mode=diff", "failed")
    assert app.sql(copy, OF_ACME) == changed


def test_beside(new_keepfs, app, copy):
    """as another tenant, with keys of its own"""
    keepfs = start(new_keepfs, app, copy)
    keepfs.backup("full")
    everything = app.sql(copy, OF_ACME), app.sql(copy, OF_OTHERS)
    restored(keepfs, "acme from=full into=acme-copy")
    other = app.sql(copy, "SELECT id FROM orgs WHERE slug = 'acme-copy'")
    assert other not in ("", "1")
    assert app.sql(copy, f"SELECT count(*) FROM users WHERE org_id = {other}") == "7"
    assert app.sql(copy, f"SELECT count(*) FROM comments c JOIN tasks t ON t.id = task_id JOIN projects p ON p.id = project_id WHERE org_id = {other}") == "40"
    assert app.sql(copy, f"SELECT count(*) FROM users WHERE org_id = {other} AND password_hash IS NOT NULL") == "7"
    assert app.sql(copy, OF_ACME) == everything[0] and hidden(keepfs) == []
    app.sql(copy, f"DELETE FROM comments WHERE task_id IN (SELECT t.id FROM tasks t JOIN projects p ON p.id = project_id WHERE org_id = {other});"
                  f"DELETE FROM tasks WHERE project_id IN (SELECT id FROM projects WHERE org_id = {other}); DELETE FROM projects WHERE org_id = {other}; DELETE FROM users WHERE org_id = {other}; DELETE FROM orgs WHERE id = {other}")
    assert app.sql(copy, OF_OTHERS) == everything[1]


def test_a_tenant_that_is_gone(new_keepfs, app, copy):
    keepfs = start(new_keepfs, app, copy)
    keepfs.backup("full")
    acme, others = app.sql(copy, OF_ACME), app.sql(copy, OF_OTHERS)
    ended(keepfs, "export acme then-delete=acme")
    assert "there is no tenant acme" in restored(keepfs, "acme from=full mode=replace confirm=acme", "failed")
    restored(keepfs, "acme from=full into=acme")
    assert (app.sql(copy, OF_ACME), app.sql(copy, OF_OTHERS)) == (acme, others)


def test_what_stands_in_the_way(new_keepfs, app, copy):
    """rows elsewhere that would be deleted with the tenant's; nothing is changed"""
    keepfs = start(new_keepfs, app, copy, exclude="sessions")
    app.sql(copy, "CREATE TABLE sessions (user_id bigint REFERENCES users ON DELETE CASCADE)")
    keepfs.backup("full")
    app.sql(copy, CHANGE + "; INSERT INTO sessions SELECT min(id) FROM users WHERE org_id = 1")
    changed = app.sql(copy, OF_ACME)
    error = restored(keepfs, "acme from=full mode=replace confirm=acme", "failed")
    assert "public.sessions" in error and "nothing was changed" in error
    # A row of the backup whose place somebody else has taken.
    app.sql(copy, "DELETE FROM sessions; DELETE FROM projects WHERE title = 'made since'")
    app.sql(copy, "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := 'meddled@example.org'; RETURN NEW; END $$; CREATE TRIGGER meddle BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION meddle()")
    changed = app.sql(copy, OF_ACME)
    error = restored(keepfs, "acme from=full mode=replace confirm=acme", "failed")
    assert "nothing was changed" in error and app.sql(copy, OF_ACME) == changed


@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT"])
def test_references_that_would_be_lost(new_keepfs, app, copy, action):
    """by rows of others, or of what is excluded: the tenant's rows come back, and these would not refer to them any more"""
    keepfs = start(new_keepfs, app, copy, exclude="sessions")
    app.sql(copy, f"CREATE TABLE sessions (user_id bigint REFERENCES users ON DELETE {action})")
    keepfs.backup("full")
    app.sql(copy, CHANGE + "; INSERT INTO sessions SELECT min(id) FROM users WHERE org_id = 1")
    changed = app.sql(copy, OF_ACME)
    error = restored(keepfs, "acme from=full mode=replace confirm=acme", "failed")
    assert f"public.sessions that are in no export refer to rows of public.users by sessions_user_id_fkey, and would lose that reference for good (ON DELETE {action})" in error
    assert app.sql(copy, OF_ACME) == changed and app.sql(copy, "SELECT count(user_id) FROM sessions") == "1"


def test_a_database_of_its_own(new_keepfs, app):
    """what is excluded is in no export: it stays"""
    registry, own = (f"tenant_{what}_{os.getpid()}" for what in ("registry", "own"))
    for name in (registry, own):
        app.create(name)
    try:
        app.sql(registry, f"CREATE TABLE tenants (id int, slug text); INSERT INTO tenants VALUES (1, '{own}')")
        app.sql(own, "CREATE TABLE items (id int PRIMARY KEY, word text); INSERT INTO items VALUES (1, 'one'), (2, 'two'); CREATE TABLE cache (n int); INSERT INTO cache VALUES (1)")
        keepfs = new_keepfs()
        keepfs.sections = {"export": {"database": app.uri(registry), "tenancy": "database", "tenants": "SELECT id, slug FROM tenants", "exclude": "cache"}}
        keepfs.write_conf()
        keepfs.mount()
        ended(keepfs, f"export {own}")
        (origin,) = made(keepfs, own)
        app.sql(own, "DELETE FROM items WHERE id = 1; UPDATE items SET word = 'changed'; INSERT INTO items VALUES (3, 'new')")
        restored(keepfs, f"{own} from=exports/{own}/{origin} mode=replace confirm={own}")
        assert app.sql(own, "SELECT string_agg(word, ',' ORDER BY id) FROM items") == "one,two"
        assert app.sql(own, "SELECT count(*) FROM cache") == "1"
    finally:
        for name in (registry, own):
            app.drop(name)


def test_rows_that_come_meanwhile(new_keepfs, app, copy):
    """written after the export that is made before: they are in none, so nothing is deleted"""
    keepfs = start(new_keepfs, app, copy)
    keepfs.backup("full")
    with Session(app, copy) as other:
        other.do("BEGIN; INSERT INTO users (org_id, email) VALUES (1, 'late@example.org')")
        run = int(keepfs.ask("restore-tenant", "acme from=full mode=replace confirm=acme").split()[0])
        wait_until(lambda: app.sql(copy, "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"), "the deletion to wait for the row")
        other.do("COMMIT")
    changed = app.sql(copy, OF_ACME)
    status = keepfs.wait_run(run)
    assert status["state"] == "failed" and "nothing was changed" in status["error"] and "public.users" in status["error"], status
    assert app.sql(copy, OF_ACME) == changed and app.sql(copy, "SELECT count(*) FROM users WHERE email = 'late@example.org'") == "1"


def test_killed(new_keepfs, app, copy):
    """in the middle of the transaction: the tenant is as it was, and nothing of it stays on the disk"""
    keepfs = start(new_keepfs, app, copy)
    keepfs.backup("full")
    app.sql(copy, CHANGE)
    changed = app.sql(copy, OF_ACME)
    with Session(app, copy) as other:
        other.do("BEGIN; LOCK TABLE comments IN EXCLUSIVE MODE")
        keepfs.ask("restore-tenant", "acme from=full mode=replace confirm=acme")
        wait_until(lambda: app.sql(copy, "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'comments'::regclass"), "the deletion to wait")
        keepfs.kill()
        other.do("ROLLBACK")
    (keepfs.state / "tenant-99.json.gz").write_text("left by a crash while it was made")
    keepfs.remount()
    assert app.sql(copy, OF_ACME) == changed and hidden(keepfs) == []
    restored(keepfs, "acme from=full mode=replace confirm=acme")


def test_what_was_erased(new_keepfs, app, copy):
    """does not come back so either"""
    keepfs = start(new_keepfs, app, copy, **PLAIN)
    key = keepfs.directory / "erasure.key"
    key.write_bytes(os.urandom(32))
    os.chmod(key, 0o600)
    keepfs.settings["erasure_key_file"] = key
    keepfs.write_conf()
    keepfs.remount()
    keepfs.backup("full")
    ended(keepfs, "export globex")
    name = made(keepfs, "globex")[0]
    user = app.sql(copy, "SELECT max(id) FROM users WHERE org_id = 2")
    app.sql(copy, f"UPDATE comments SET author_id = NULL WHERE author_id = {user}; DELETE FROM users WHERE id = {user}")
    keepfs.run("erase", "public.users", f"id={user}", f"database={copy}")
    assert "1 rows of public.users in this export are registered as erased" in restored(keepfs, f"globex from=exports/globex/{name} mode=replace confirm=globex", "failed")
    restored(keepfs, "globex from=full mode=replace confirm=globex")
    assert app.sql(copy, f"SELECT count(*), count(*) FILTER (WHERE id = {user}) FROM users WHERE org_id = 2") == "6|0"
    keepfs.run("erase", "tenant", "globex")
    assert "registered as erased" in restored(keepfs, "globex from=full mode=diff", "failed")
    assert "registered as erased" in restored(keepfs, f"globex from=exports/globex/{name} into=again", "failed")
