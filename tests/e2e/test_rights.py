# SPDX-License-Identifier: Apache-2.0
"""keepfs check --fix: the role that it writes the SQL of can make backups, and can do nothing else; and what mends each failure."""
import json
import re
import subprocess
import uuid

import pytest

from test_fidelity import restore

# Everything that a role of few rights stumbles over.
THINGS = '''
CREATE SCHEMA "Odd ""schema"""; CREATE SCHEMA parts;
CREATE TABLE "Odd ""schema"""."a table" (id serial PRIMARY KEY, body text); INSERT INTO "Odd ""schema"""."a table" (body) SELECT md5(i::text) FROM generate_series(1, 100) i;
CREATE TABLE parts.whole (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parts.y2025 PARTITION OF parts.whole FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE parts.rest PARTITION OF parts.whole DEFAULT;
INSERT INTO parts.whole SELECT i, '2025-06-01'::date + i * 10 FROM generate_series(1, 100) i;
CREATE SEQUENCE parts.alone START 42; SELECT nextval('parts.alone');
CREATE TABLE parts.hidden (id int, owner text); INSERT INTO parts.hidden SELECT i, 'somebody' FROM generate_series(1, 50) i;
ALTER TABLE parts.hidden ENABLE ROW LEVEL SECURITY; ALTER TABLE parts.hidden FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON parts.hidden USING (owner = current_user);
SELECT lo_from_bytea(0, decode(string_agg(md5(i::text), ''), 'hex')) FROM generate_series(1, 3000) i;
REVOKE ALL ON ALL TABLES IN SCHEMA parts FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC;
'''


@pytest.fixture
def things(pg):
    """a database with all that, to which nobody may connect but superusers; its name is odd, too"""
    name = f'odd "things" of \'{uuid.uuid4().hex[:8]}\''
    pg.sql("postgres", f'CREATE DATABASE {quoted(name)}')
    sql(pg, name, THINGS)
    sql(pg, "postgres", f"REVOKE CONNECT ON DATABASE {quoted(name)} FROM PUBLIC")
    yield name
    sql(pg, "postgres", f"DROP DATABASE {quoted(name)} WITH (FORCE)")


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def conninfo(pg, database, user="postgres"):
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"host={pg.directory} port={pg.port} user={user} dbname='{escaped}'"


def sql(pg, database, text):
    return pg.tool("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", conninfo(pg, database), "-c", text).strip()


@pytest.fixture
def role(pg):
    """a name of a role that is not there yet; what was granted to it goes with it"""
    name = f"back'up \"{uuid.uuid4().hex[:8]}\""
    yield name
    drop(pg, name)


def drop(pg, name):
    if not sql(pg, "postgres", f"SELECT 1 FROM pg_roles WHERE rolname = '{name.replace(chr(39), chr(39) * 2)}'"):
        return
    for database in sql(pg, "postgres", "SELECT datname FROM pg_database WHERE datallowconn").splitlines():
        sql(pg, database, f"DROP OWNED BY {quoted(name)}")
    sql(pg, "postgres", f"DROP ROLE {quoted(name)}")


def job(pg, database, user, **more):
    user = user.replace("\\", "\\\\").replace("'", "\\'")
    return {"full": {"database": conninfo(pg, database, f"'{user}'"), **more}}


def fixes(keepfs):
    """the script, whole: every line is a comment or SQL that psql takes"""
    return keepfs.run("check", "--fix", check=False).stdout


def run_script(pg, script):
    done = subprocess.run([pg.bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo(pg, "postgres")], input=script, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr + script


def version(pg):
    return int(sql(pg, "postgres", "SHOW server_version_num"))


def passes(pg, keepfs, database, scratch):
    """the check does, and a backup, which holds everything"""
    done = keepfs.run("check", check=False)
    assert f"ok   database full/{database}" in done.stdout, done.stdout
    if "FAIL pg_dump" in done.stdout:
        pytest.skip("the pg_dump of this host is older than the server: the check alone was tried")
    keepfs.run("run", "full")
    assert not keepfs.store.uploads()
    (name,) = [key for key in keepfs.store.keys() if key.endswith(".dump")]
    path = keepfs.directory / "restored.dump"
    path.write_bytes(keepfs.store.get(name))
    restore(pg, path, scratch, 1)
    assert sql(pg, scratch, "SELECT count(*) FROM parts.hidden") == "50"
    assert sql(pg, scratch, "SELECT count(*) FROM parts.whole") == "100"
    assert sql(pg, scratch, 'SELECT count(*) FROM "Odd ""schema""\".\"a table\"') == "100"
    assert sql(pg, scratch, "SELECT last_value FROM parts.alone") == "42"
    assert sql(pg, scratch, "SELECT length(lo_get(oid)) FROM pg_largeobject_metadata") == "48000"


def changes_nothing(pg, database, role):
    """whoever has the role can write nowhere, but into large objects where only that lets it read them"""
    as_role = conninfo(pg, database, "'" + role.replace("'", "\\'") + "'")
    statements = ["DELETE FROM parts.whole", "CREATE TABLE parts.mine (i int)", "CREATE SCHEMA mine", "SELECT nextval('parts.alone')",
                  "CREATE ROLE other", "DROP TABLE parts.hidden", "ALTER ROLE postgres NOLOGIN"]
    if version(pg) < 140000:
        statements.append("SELECT rolpassword FROM pg_authid")
    for statement in statements:
        done = subprocess.run([pg.bindir / "psql", "-X", "-d", as_role, "-c", statement], capture_output=True, text=True)
        assert done.returncode != 0 and ("ermission denied" in done.stderr or "must be " in done.stderr), statement + done.stderr


def test_a_role_that_is_not_there(new_keepfs, pg, things, role, scratch):
    """the server lets nobody in, so the script has to find out by itself what is needed"""
    keepfs = new_keepfs(job(pg, things, role))
    script = fixes(keepfs)
    assert "FAIL database full" in script
    run_script(pg, script)
    run_script(pg, script)  # it can be run again
    passes(pg, keepfs, things, scratch)
    changes_nothing(pg, things, role)


def test_a_role_without_rights(new_keepfs, pg, things, role, scratch):
    """the server can be asked: the statements are plain, and only what is needed is there"""
    sql(pg, "postgres", f"CREATE ROLE {quoted(role)} LOGIN; GRANT CONNECT ON DATABASE {quoted(things)} TO {quoted(role)}")
    keepfs = new_keepfs(job(pg, things, role))
    script = fixes(keepfs)
    assert f"ALTER ROLE {quoted(role)} BYPASSRLS;" in script
    assert ("GRANT pg_read_all_data TO" in script) == (version(pg) >= 140000)
    assert (f"\nALTER ROLE {quoted(role)} SET lo_compat_privileges = on;" in script) == (version(pg) < 180000)
    run_script(pg, script)
    passes(pg, keepfs, things, scratch)
    changes_nothing(pg, things, role)


def test_what_is_made_later_is_read_too(new_keepfs, pg, things, role):
    keepfs = new_keepfs(job(pg, things, role))
    run_script(pg, fixes(keepfs))
    sql(pg, things, "CREATE SCHEMA later; CREATE TABLE later.t (id serial); SELECT lo_create(0)")
    done = keepfs.run("check", check=False)
    assert f"ok   database full/{things}" in done.stdout, done.stdout


def test_nothing_that_is_not_needed(new_keepfs, pg, role):
    """no row security, no large objects: neither right is given"""
    pg.create("plain_things")
    try:
        sql(pg, "plain_things", "CREATE TABLE t (i int)")
        sql(pg, "postgres", f"CREATE ROLE {quoted(role)} LOGIN")
        keepfs = new_keepfs(job(pg, "plain_things", role, globals="no"))
        script = fixes(keepfs)
        run_script(pg, script)
        found = sql(pg, "postgres", "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, rolconfig IS NULL FROM pg_roles "
                                    f"WHERE rolname = '{role.replace(chr(39), chr(39) * 2)}'")
        assert found == "f|f|f|f|f|t"
        assert "pg_authid" not in script  # the job keeps no roles
        assert "ok   database full/plain_things" in keepfs.run("check", check=False).stdout
    finally:
        drop(pg, role)
        pg.drop("plain_things")


def test_a_job_that_connects_as_a_superuser(new_keepfs, pg, things, scratch):
    """gets a role of its own, and is told how to take it"""
    keepfs = new_keepfs(job(pg, things, "postgres"))
    try:
        script = fixes(keepfs)
        assert "ALTER ROLE \"keepfs\" LOGIN" in script and "user=keepfs in its 'database'" in script
        run_script(pg, script)
        keepfs.jobs = job(pg, things, "keepfs")
        keepfs.write_conf()
        passes(pg, keepfs, things, scratch)
    finally:
        drop(pg, "keepfs")


def test_passwords_of_roles(new_keepfs, pg, things, role, scratch):
    """from version 14 on pg_read_all_data reads them; before that they are left out, the run says so, and a line that lets them be read
    stands there as a comment"""
    keepfs = new_keepfs(job(pg, things, role))
    run_script(pg, fixes(keepfs))
    script = fixes(keepfs)
    if "FAIL pg_dump" in keepfs.run("check", check=False).stdout:
        pytest.skip("the pg_dump of this host is older than the server")
    assert ("passwords" in keepfs.run("run", "full").stdout) == (version(pg) < 140000)
    line = re.findall(r"^-- (GRANT SELECT ON pg_catalog\.pg_authid TO .*;)$", script, re.M)
    assert bool(line) == (version(pg) < 140000) and "can try them out elsewhere" in script
    if line:
        sql(pg, things, line[0])
        assert "passwords" not in keepfs.run("run", "full").stdout


def test_several_databases(new_keepfs, pg, things, role):
    pg.create("second things")
    try:
        names = f'"{things}"'.replace('""', '"')
        keepfs = new_keepfs({"all": {"database": conninfo(pg, "postgres", "'" + role.replace("'", "\\'") + "'"),
                                     "databases": 'sample, "second things"'}})
        sql(pg, "postgres", 'REVOKE CONNECT ON DATABASE "second things" FROM PUBLIC')
        script = fixes(keepfs)
        run_script(pg, script)
        out = keepfs.run("check", check=False).stdout
        assert "ok   database all/sample" in out and "ok   database all/second things" in out, out + names
    finally:
        drop(pg, role)
        pg.drop("second things")


def found(keepfs, name):
    checks = json.loads(keepfs.run("check", "--json", check=False).stdout)["checks"]
    (one,) = [check for check in checks if check["check"].startswith(name)]
    return one


def test_each_failure_has_its_statement(new_keepfs, pg, things, role):
    """one after the other, until nothing is left: the fixes of the findings do it as well as the script"""
    keepfs = new_keepfs(job(pg, things, role))
    statements = []
    for _ in range(9):
        one = found(keepfs, "database full/")
        if one["ok"]:
            break
        assert one["fix"], one
        assert one["fix"] not in statements or version(pg) < 140000, one
        statements.append(one["fix"])
        sql(pg, things, one["fix"])
    assert one["ok"] and one["fix"] is None, (one, statements)
    words = " ".join(statements)
    assert "CREATE ROLE" in words and "GRANT CONNECT" in words and "BYPASSRLS" in words, words


def test_fixes_of_the_rest(new_keepfs, pg, tmp_path):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "pg_bindir": "/nowhere/at/all"}})
    keepfs.store_settings = {"url": "dir:/proc/objects"}
    keepfs.write_conf()
    assert found(keepfs, "pg_dump")["fix"] == f"apt-get install postgresql-client-{version(pg) // 10000}"
    store = found(keepfs, "store")
    assert not store["ok"] and store["fix"].endswith(" /proc/objects"), store
    script = fixes(keepfs)
    assert re.search(r"^-- FAIL store: .*\n--      mend: install -d ", script, re.M), script
    keepfs.jobs = {"full": {"database": pg.uri("no_such_database")}}
    keepfs.write_conf()
    assert "psql -l" in found(keepfs, "database")["fix"]
    keepfs.jobs = {"full": {"database": pg.uri_tcp("sample", password="wrong")}}
    keepfs.write_conf()
    assert f"127.0.0.1:{pg.port}:*:postgres:PASSWORD" in found(keepfs, "database")["fix"]


def test_nothing_is_changed(new_keepfs, pg, things, role):
    keepfs = new_keepfs(job(pg, things, role))
    before = sql(pg, "postgres", "SELECT string_agg(rolname, ',') FROM pg_roles") + sql(pg, things, "SELECT datacl::text FROM pg_database")
    answer = json.loads(keepfs.run("check", "--fix", "--json", check=False).stdout)
    assert "CREATE ROLE" in answer["sql"] and answer["ok"] is False
    assert before == sql(pg, "postgres", "SELECT string_agg(rolname, ',') FROM pg_roles") + sql(pg, things, "SELECT datacl::text FROM pg_database")


def test_words_of_others_are_no_statements(new_keepfs, pg, tmp_path):
    """a server's message, or a name, with a line end in it stays in its comment"""
    keepfs = new_keepfs({"full": {"database": f"host={pg.directory} port={pg.port} user=postgres dbname='no\\\\nDROP'"}})
    for line in fixes(keepfs).splitlines():
        assert re.match(r"--|$|DO |ALTER ROLE|GRANT|\\connect", line), line


def test_health_says_what_mends(new_keepfs, pg, things, role):
    keepfs = new_keepfs(job(pg, things, role))
    keepfs.run("check", check=False)
    keepfs.mount()
    assert f"CREATE ROLE {quoted(role)} LOGIN;; then try again with: keepfs check" in keepfs.text("status", "health")
