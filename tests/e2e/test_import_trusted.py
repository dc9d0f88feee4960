# SPDX-License-Identifier: Apache-2.0
"""What an edited file says of its tables is held against what [export] says of them: else it would decide itself whose its rows are."""
import os
import re

import pytest

from importing import Imports, edited, rows

TABLES = """
CREATE TABLE orgs (id int PRIMARY KEY, slug text UNIQUE NOT NULL);
CREATE TABLE users (id int PRIMARY KEY, org_id int NOT NULL REFERENCES orgs, email text);
CREATE TABLE notes (id int PRIMARY KEY, org_id int NOT NULL, user_id int REFERENCES users, body text);
CREATE TABLE colours (name text PRIMARY KEY, hue int);
"""
ROWS = """
INSERT INTO orgs VALUES (1, 'acme'), (2, 'globex');
INSERT INTO users VALUES (1, 1, 'a@x'), (2, 2, 'g@x');
INSERT INTO notes VALUES (1, 1, 1, 'of acme'), (2, 2, 2, 'of globex');
INSERT INTO colours VALUES ('red', 0);
"""


@pytest.fixture
def databases(pg):
    """the source, and a target in which the other tenant is"""
    names = [f"import_trusted_{os.getpid()}_{n}" for n in range(2)]
    for name in names:
        pg.create(name)
        pg.sql(name, TABLES)
    pg.sql(names[0], ROWS)
    pg.sql(names[1], "INSERT INTO orgs VALUES (2, 'globex'); INSERT INTO colours VALUES ('red', 0)")
    yield names
    for name in names:
        pg.drop(name)


@pytest.fixture
def imports(new_keepfs, pg, store):
    return Imports(new_keepfs(), pg, store)


def section(pg, database):
    return {"database": pg.uri(database), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id", "shared": "colours"}


def another_ones(text):
    """the note becomes globex's"""
    return text.replace('{"id":1,"org_id":1,"user_id":1,', '{"id":1,"org_id":2,"user_id":1,')


def test_rows_that_are_found_otherwise(imports, pg, databases):
    """a file that says of a table with the tenant's column that its rows are found by a key, or by another column, or are of everybody"""
    source, target = databases
    path = imports.export(section(pg, source))
    said = re.compile(r'("table":"notes".*?)"way":"column","tenant_column":"org_id"', re.S)
    ways = ('"way":"key"', '"way":"column","tenant_column":"user_id"', '"way":"whole"')
    for database in (target, source):
        pg.sql(database, "DELETE FROM notes WHERE org_id = 1; DELETE FROM users WHERE org_id = 1; DELETE FROM orgs WHERE id = 1")
        for way in ways:
            hostile = edited(path, lambda text: another_ones(said.sub(lambda found: found[1] + way, text, count=1)))
            refusal = imports.refused(database, hostile, "shared=insert")
            assert "public.notes" in refusal and "org_id" in refusal
        database_wide = edited(path, lambda text: another_ones(re.sub(r'"way":"(column|self)","tenant_column":"[a-z_]+"', '"way":"whole"', text)).replace('"tenancy":"column"', '"tenancy":"database"'))
        imports.refused(database, database_wide)
        assert rows(pg, database, "SELECT id FROM notes WHERE org_id = 2 ORDER BY id") == (["2"] if database == source else [])
        # And as it is, it comes.
        imports.into(database, path)
        assert rows(pg, database, "SELECT body FROM notes WHERE org_id = 1") == ["of acme"]


def test_rows_of_everybody_that_differ(imports, pg, databases):
    """what is not as in the file is not said to be there"""
    source, target = databases
    path = imports.export(section(pg, source))
    imports.into(target, path)
    assert "already" in imports.into(target, path)
    pg.sql(target, "UPDATE colours SET hue = 7")
    said = imports.refused(target, path)
    assert "clash: public.colours is shared: 1 rows differ in hue" in said and "already: nothing" not in said
    assert "all of it is in the target already" not in imports.into(target, path, "--dry-run")
    assert "already" in imports.into(target, path, "living=keep")
