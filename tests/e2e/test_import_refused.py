# SPDX-License-Identifier: Apache-2.0
"""Imports that would do harm: what clashes, what is missing in the target, files that somebody has edited, and names and values that look like SQL."""
import os
import re
import subprocess

import pytest

from importing import Imports, edited, rows

SMALL = """
CREATE TABLE orgs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, slug text UNIQUE NOT NULL, domain text);
CREATE UNIQUE INDEX ON orgs (lower(domain)) WHERE domain IS NOT NULL;
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org_id bigint NOT NULL REFERENCES orgs, email varchar(40) UNIQUE NOT NULL, token text NOT NULL, old text);
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, body text);
"""
FEW = """
INSERT INTO orgs (slug, domain) VALUES ('acme', 'Acme.example'), ('globex', NULL);
INSERT INTO users (org_id, email, token) SELECT o.id, o.slug || n || '@x', 't' FROM orgs o, generate_series(1, 3) n ORDER BY o.id, n;
INSERT INTO notes (user_id, body) SELECT id, 'note of ' || email FROM users ORDER BY id;
"""


@pytest.fixture
def databases(pg):
    """the source, and a target with the same tables"""
    names = [f"import_refused_{os.getpid()}_{n}" for n in range(2)]
    for name in names:
        pg.create(name)
        pg.sql(name, SMALL)
    pg.sql(names[0], FEW)
    yield names
    for name in names:
        pg.drop(name)


@pytest.fixture
def imports(new_keepfs, pg, store):
    return Imports(new_keepfs(), pg, store)


def section(pg, database, **further):
    return {"database": pg.uri(database), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id", **(further or {"redact": "token"})}


def test_redacted_values(imports, pg, databases):
    """a column that must have a value, of which the file has none"""
    source, target = databases
    path = imports.export(section(pg, source))
    said = imports.refused(target, path)
    assert "public.users.token must have a value" in said and "set=users.token=VALUE" in said
    assert "no column of a table" in imports.refused(target, path, "set=users.tokens=x")
    assert "set=users.email=VALUE" in imports.into(target, path, "set=users", check=False)
    imports.into(target, path, "set=users.token=it's ${HOME} \\N")
    assert rows(pg, target, "SELECT DISTINCT token FROM users") == [r"it's ${HOME} \\N"]
    assert "already" in imports.into(target, path, "set=users.token=it's ${HOME} \\N")
    # As null: the file has the column.
    path = imports.export(section(pg, source, redact="token:null, old:null"))
    pg.sql(target, "TRUNCATE orgs CASCADE")
    assert "is null in 3 rows" in imports.refused(target, path)
    imports.into(target, path, "set=users.token=!")
    assert rows(pg, target, "SELECT DISTINCT token, old FROM users") == ["!\t\\N"]


def test_clashes(imports, pg, databases):
    """what others have already is told, with what would mend it, and is renamed where that was said"""
    source, _ = databases
    path = imports.export(section(pg, source))
    words = ("set=users.token=!",)
    plan = imports.into(source, path, "--tenant", "copy", *words, "--dry-run")
    assert re.search(r"clash: public.users \(email\): 3 values are taken in the target: acme1@x, acme2@x, acme3@x; rename=users.email=", plan)
    assert "clash: public.orgs (lower(domain)): 1 values are taken in the target: acme.example" in plan
    assert "refused: 2 clashes" in plan and "nothing was changed" in plan
    said = imports.refused(source, path, "--tenant", "copy", *words)
    assert "2 clashes" in said and "rename=users.email={value}.imported" in said
    words += ("rename=orgs.domain=copy.{value}",)
    assert "1 clashes" in imports.refused(source, path, "--tenant", "copy", *words)
    # What does not fit is no rename.
    assert "rename=users.email" in imports.refused(source, path, "--tenant", "copy", *words, "rename=users.email=" + "x" * 40 + "{value}")
    assert "{value}" in imports.into(source, path, *words, "rename=users.email=one", check=False)
    words += ("rename=users.email={value}.imported",)
    imports.into(source, path, "--tenant", "copy", *words)
    assert rows(pg, source, "SELECT email FROM users WHERE org_id = 3 ORDER BY id") == ["acme1@x.imported", "acme2@x.imported", "acme3@x.imported"]
    assert rows(pg, source, "SELECT domain FROM orgs WHERE id = 3") == ["copy.Acme.example"]
    assert "already: nothing was changed" in imports.into(source, path, "--tenant", "copy", *words)
    # Keys that are kept, and taken by others.
    pg.sql(databases[1], "INSERT INTO orgs OVERRIDING SYSTEM VALUE VALUES (2, 'other', NULL); INSERT INTO users OVERRIDING SYSTEM VALUE VALUES (2, 2, 'x', 't')")
    said = imports.refused(databases[1], path, "set=users.token=!")
    assert "clash: public.users (id): 1 keys are taken in the target: 2; keys=remap" in said
    imports.into(databases[1], path, "set=users.token=!", "--keys", "remap")
    assert rows(pg, databases[1], "SELECT email FROM users WHERE org_id = (SELECT id FROM orgs WHERE slug = 'acme') ORDER BY id") == ["acme1@x", "acme2@x", "acme3@x"]


def test_what_the_target_lacks(imports, pg, databases):
    """tables, columns, row security"""
    source, target = databases
    path = imports.export(section(pg, source, allow_secrets="users.token"))
    pg.sql(target, "ALTER TABLE notes RENAME body TO text")
    assert "row 1 of public.notes: body: the target has no such column" in imports.refused(target, path)
    imports.into(target, path, "ignore-column=notes.body")
    assert rows(pg, target, "SELECT DISTINCT text FROM notes") == [r"\N"]
    pg.sql(target, "TRUNCATE orgs CASCADE; ALTER TABLE users DROP old; ALTER TABLE notes RENAME text TO body")
    imports.into(target, path)  # it has nothing but NULL there
    pg.sql(target, "DROP TABLE notes")
    assert "the target has no table public.notes, of which the file has 3 rows" in imports.refused(target, path)
    pg.sql(target, "TRUNCATE orgs CASCADE; CREATE TABLE notes (id bigint PRIMARY KEY, user_id int, body int)")
    assert "public.notes" in imports.refused(target, path)
    pg.sql(target, "DROP TABLE notes; CREATE VIEW notes AS SELECT 1")
    assert "no table public.notes" in imports.refused(target, path)


def test_row_security(imports, pg, databases):
    """it is in force in the target where it was in the source; who imports sees all rows"""
    source, target = databases
    role = f"importer_{os.getpid()}"
    pg.sql(source, "ALTER TABLE notes ENABLE ROW LEVEL SECURITY")
    path = imports.export(section(pg, source, allow_secrets="users.token"))
    said = imports.refused(target, path)
    assert 'row level security was enabled on public.notes' in said and "ENABLE ROW LEVEL SECURITY" in said
    pg.sql(target, "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY")
    pg.sql(target, f"CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role};"
                   f" ALTER TABLE notes OWNER TO {role}")
    try:
        uri = pg.uri(target, user=role)
        done = imports.keepfs.run("import", path, "--database", uri, check=False)
        assert done.returncode == 1 and "row security of public.notes applies to the role" in done.stdout + done.stderr and "FORCE" in done.stdout + done.stderr
        pg.sql(target, "ALTER TABLE notes NO FORCE ROW LEVEL SECURITY")
        imports.keepfs.run("import", path, "--database", uri)
        assert pg.sql(target, "SELECT count(*) FROM notes") == "3"
    finally:
        pg.sql(target, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_edited_files(imports, pg, databases):
    """rows of others, references to others' rows, keys twice, a file that is cut off"""
    source, target = databases
    path = imports.export(section(pg, source, allow_secrets="users.token"))

    def line(text, start, change):
        lines = text.split("\n")
        place = next(i for i, one in enumerate(lines) if one.startswith(start))
        return "\n".join(lines[:place] + [change(lines[place])] + lines[place + 1:])

    others = edited(path, lambda text: line(text, '{"id":2,"org_id":1,', lambda one: one.replace('"org_id":1,', '"org_id":2,')))
    for words in ((), ("--tenant", "copy")):
        assert "1 rows of the file are another tenant's" in imports.refused(source, others, *words)
        assert "1 rows of the file are another tenant's" in imports.refused(target, others, *words)
    # The note of a user that the file has not: in the source that one is globex's.
    foreign = edited(path, lambda text: line(text, '{"id":1,"user_id":1,', lambda one: one.replace('"user_id":1,', '"user_id":5,')))
    for words in ((), ("--tenant", "copy")):
        assert "refer to rows of public.users that the file has not" in imports.refused(source, foreign, *words)
    twice = edited(path, lambda text: line(text, '{"id":3,"org_id":1,', lambda one: one.replace('"id":3,', '"id":2,')))
    assert "two rows of the file have the same key" in imports.refused(target, twice)
    two = edited(path, lambda text: text.replace('{"id":1,"slug":"acme"', '{"id":2,"slug":"acme"'))
    assert "another tenant's" in imports.refused(target, two)
    cut = edited(path, lambda text: text[:len(text) // 2])
    imports.refused(target, cut)
    wrong = edited(path, lambda text: line(text, '{"id":2,"org_id":1,', lambda one: one.replace('"id":2', '"id":"2; DROP TABLE notes"')))
    imports.refused(target, wrong)
    fewer = edited(path, lambda text: text.replace('"row_security"', '"row_insecurity"').replace('"way":"column"', '"way":"whatever"'))
    imports.refused(target, fewer)


def test_hostile_names(imports, pg):
    """names and values that are SQL are names and values"""
    names = [f"import_hostile_{os.getpid()}_{n}" for n in range(2)]
    tables = r"""
    CREATE SCHEMA "a""b; DROP";
    CREATE TABLE "a""b; DROP"."t'; DROP TABLE orgs; --" ("id" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "org""id'" int NOT NULL, "c\d, ""e"" $1" text UNIQUE, "SELECT" text);
    CREATE TABLE orgs (id int PRIMARY KEY, slug text);
    ALTER TABLE "a""b; DROP"."t'; DROP TABLE orgs; --" ADD FOREIGN KEY ("org""id'") REFERENCES orgs;
    """
    values = r"""
    INSERT INTO orgs VALUES (1, 'acme');
    INSERT INTO "a""b; DROP"."t'; DROP TABLE orgs; --" ("org""id'", "c\d, ""e"" $1", "SELECT") VALUES (1, E'\'); DROP TABLE orgs; --\n\\.\n\\N', '$$ || pg_sleep(9) || $$'),
        (1, E'\\N', E'\\.'), (1, 'a{value}b', NULL), (1, '', '');
    """
    query = '''SELECT * FROM "a""b; DROP"."t'; DROP TABLE orgs; --" WHERE "org""id'" = {} ORDER BY id'''
    try:
        for name in names:
            pg.create(name)
            pg.sql(name, tables)
        pg.sql(names[0], values)
        path = imports.export({"database": pg.uri(names[0]), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "\"org\"\"id'\""})
        imports.into(names[1], path)
        assert rows(pg, names[1], query.format(1)) == rows(pg, names[0], query.format(1))
        said = imports.refused(names[1], path, "--tenant", "x'; DROP TABLE orgs; --", "--tenant-id", "2")
        assert "clash" in said
        pg.sql(names[1], r'''UPDATE "a""b; DROP"."t'; DROP TABLE orgs; --" SET "c\d, ""e"" $1" = id''')
        imports.into(names[1], path, "--tenant", "x'; DROP TABLE orgs; --", "--tenant-id", "2")
        assert rows(pg, names[1], "SELECT slug FROM orgs ORDER BY id") == ["acme", "x'; DROP TABLE orgs; --"]
        assert [r.split("\t")[2:] for r in rows(pg, names[1], query.format(2))] == [r.split("\t")[2:] for r in rows(pg, names[0], query.format(1))]
    finally:
        for name in names:
            pg.drop(name)


def test_rows_of_several_tenants(imports, pg):
    """people who belong to several tenants, and tables of everybody: those that are there stay as they are, and what differs is told"""
    names = [f"import_shared_{os.getpid()}_{n}" for n in range(2)]
    tables = """
    CREATE TABLE orgs (id int PRIMARY KEY, slug text); CREATE TABLE plans (code text PRIMARY KEY, price numeric);
    CREATE TABLE people (id uuid PRIMARY KEY, email text UNIQUE, plan text REFERENCES plans);
    CREATE TABLE members (org_id int REFERENCES orgs, person uuid REFERENCES people, PRIMARY KEY (org_id, person));
    """
    try:
        for name in names:
            pg.create(name)
            pg.sql(name, tables)
        pg.sql(names[0], "INSERT INTO orgs VALUES (1, 'acme'), (2, 'globex'); INSERT INTO plans VALUES ('a', 1), ('b', 2); "
                         "INSERT INTO people SELECT md5(n::text)::uuid, n || '@x', 'a' FROM generate_series(1, 4) n; "
                         "INSERT INTO members SELECT 1, md5(n::text)::uuid FROM generate_series(1, 3) n; INSERT INTO members SELECT 2, md5(n::text)::uuid FROM generate_series(3, 4) n")
        path = imports.export({"database": pg.uri(names[0]), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id", "referred": "people", "shared": "plans"})
        assert "the target lacks 2 rows of the file; shared=insert" in imports.refused(names[1], path)
        pg.sql(names[1], "INSERT INTO plans VALUES ('a', 1), ('b', 3); INSERT INTO people VALUES (md5('1')::uuid, '1@x', 'a')")
        assert "clash: public.plans is shared: 1 rows differ in price; living=keep" in imports.refused(names[1], path)
        pg.sql(names[1], "UPDATE plans SET price = 2 WHERE code = 'b'; UPDATE people SET email = 'new@x'")
        assert "clash: public.people is of several tenants: 1 rows differ in email" in imports.refused(names[1], path)
        imports.into(names[1], path, "living=keep")
        assert rows(pg, names[1], "SELECT email FROM people ORDER BY 1") == ["2@x", "3@x", "new@x"]
        assert pg.sql(names[1], "SELECT count(*) FROM members") == "3"
        assert "already" in imports.into(names[1], path, "living=keep")
        # Beside the tenant that it was: the same people.
        imports.into(names[0], path, "--tenant", "copy", "--tenant-id", "3")
        assert pg.sql(names[0], "SELECT count(*) FROM people") == "4" and pg.sql(names[0], "SELECT count(*) FROM members WHERE org_id = 3") == "3"
    finally:
        for name in names:
            pg.drop(name)


def test_triggers(imports, pg, databases):
    """they fire as they do for the application, and what they change is told"""
    source, target = databases
    path = imports.export(section(pg, source, allow_secrets="users.token"))
    pg.sql(target, "CREATE TABLE seen (v text); CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (NEW.body); "
                   "NEW.body = upper(NEW.body); RETURN NEW; END $$; CREATE TRIGGER see BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION see()")
    plan = imports.into(target, path, "--dry-run")
    assert "triggers fire: see" in plan
    said = imports.refused(target, path)
    assert "3 differ in body" in said and "(triggers fire there: see)" in said and "changed=allow" in said
    assert "3 differ in body" in imports.into(target, path, "changed=allow")
    assert pg.sql(target, "SELECT count(*) FROM seen") == "3"
    assert "already" in imports.into(target, path, "changed=allow")
    pg.sql(target, "TRUNCATE orgs, seen CASCADE; CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
    assert "3 are missing" in imports.refused(target, path, "changed=allow")


def test_an_import_that_is_at_work(imports, pg, databases):
    """two of one tenant at once would both find that it is not there"""
    source, target = databases
    path = imports.export(section(pg, source, allow_secrets="users.token"))
    psql = subprocess.Popen([str(pg.bindir / "psql"), "-X", "-q", "-A", "-t", "-d", pg.uri(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    psql.stdin.write("BEGIN; SELECT 'locked' WHERE pg_try_advisory_xact_lock(hashtextextended('keepfs import acme', 0));\n")
    psql.stdin.flush()
    assert psql.stdout.readline().strip() == "locked"
    assert "another import of the tenant acme" in imports.refused(target, path)
    psql.communicate("ROLLBACK;\n")
    imports.into(target, path)
