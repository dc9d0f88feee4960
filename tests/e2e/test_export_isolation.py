# SPDX-License-Identifier: Apache-2.0
"""Exports of a database whose tables and rows are drawn by lot: each holds exactly the rows of its tenant.

Whose a row is was decided when it was made, so what an export has to hold is known without asking a query that may be as wrong as the
export's own. KEEPFS_TEST_SEED takes other lots than usual."""
import os
import random
import re
import zlib

import pytest

from exporting import document, ended, made, rows_of, start

TENANTS = 50
SEEDS = [int(s) for s in os.environ.get("KEEPFS_TEST_SEED", "2").split()]
MARK = re.compile(r"row of (t\d+)")


class Table:
    """rows: {id: {"owner": slug or None, column: value}}"""

    def __init__(self, name, has_column):
        self.name, self.has_column = name, has_column
        self.is_partitioned = self.nullable_column = False
        self.keys = []  # (column, table, column there, nullable)
        self.soft = []  # tables that subject_type, subject_id may name
        self.within = None  # the table whose id stands in payload->>'of'
        self.author = self.parent = False
        self.child = None  # one that inherits
        self.rows = {}

    @property
    def sql_name(self):
        schema, name = self.name.split(".", 1)
        return f'{schema}."{name}"'

    def of(self, owner):
        return [i for i, row in self.rows.items() if row["owner"] == owner]


class World:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.slugs = [f"t{n}" for n in range(1, TENANTS + 1)]
        # The ids of tenants have nothing to do with their slugs.
        self.ids = dict(zip(self.slugs, self.r.sample(range(100, 1000), TENANTS)))
        self.tables = []
        for n in range(self.r.randint(9, 13)):
            self.tables.append(self.draw_table(n))
        if not any(t.soft for t in self.tables):
            self.soften(self.tables[-1])
        for table in self.tables:
            self.draw_rows(table)
        self.close_circles()

    def chance(self, p):
        return self.r.random() < p

    def draw_table(self, n):
        r = self.r
        table = Table(r.choice(["public", "public", "more"]) + "." + r.choice(["things", "Part's", "a.b", "lines"]) + str(n), n < 2 or self.chance(0.3))
        table.nullable_column = table.has_column and n >= 2 and self.chance(0.3)
        table.is_partitioned = self.chance(0.2)
        table.author, table.parent = self.chance(0.4), self.chance(0.4)
        candidates = r.sample(self.tables, min(len(self.tables), r.randint(1, 3)))
        all_may_be_null = self.chance(0.3)
        for i, to in enumerate(candidates):
            there = "id" if to.is_partitioned or self.chance(0.6) else "code"
            table.keys.append((f"k{i}", to, there, all_may_be_null or i > 0))
        if not table.has_column and len(self.tables) > 3 and self.chance(0.25):
            self.soften(table)
        if table.has_column and not table.is_partitioned and n >= 2 and self.chance(0.3):
            table.child = Table(table.name + "_child", True)
        return table

    def soften(self, table):
        """no foreign key says it"""
        table.keys, table.has_column, table.nullable_column, table.child = [], False, False, None
        others = [t for t in self.tables if t is not table]
        table.soft = self.r.sample(others, 2)
        if self.chance(0.5):
            table.within = self.r.choice(others)

    def owner(self, table):
        may_be_nobodys = (table.nullable_column or not table.has_column) and all(nullable for _, _, _, nullable in table.keys)
        maybe = [None] if may_be_nobodys and self.chance(0.1) else []
        return self.r.choice(maybe or self.slugs)

    def draw_rows(self, table):
        r = self.r
        for ident in r.sample(range(1, 2000), TENANTS * 3):  # those of different tables overlap
            owner = self.owner(table)
            row = {"owner": owner, "k": {}}
            if owner and not self.refer(table, row):
                continue
            row["author"] = r.randint(1, 80) if table.author and owner and self.chance(0.7) else None
            mine = table.of(owner) if table.parent and owner else []
            row["parent"] = r.choice(mine) if mine and self.chance(0.5) else None
            table.rows[ident] = row
        if table.child:
            for ident in r.sample(range(2000, 3000), TENANTS):
                table.child.rows[ident] = {"owner": r.choice(self.slugs), "k": {}, "author": None, "parent": None}

    def refer(self, table, row):
        """choose what the row refers to, all of its owner; False: there is nothing by which it would be its owner's"""
        found = table.has_column
        for column, to, there, nullable in table.keys:
            mine = to.of(row["owner"])
            if not mine and not nullable:
                return False
            if mine and not (nullable and self.chance(0.3)):
                row["k"][column] = self.r.choice(mine)
                found = True
        subjects = [t for t in table.soft if t.of(row["owner"])]
        if subjects and self.chance(0.8):
            subject = self.r.choice(subjects)
            row["subject"] = (subject, self.r.choice(subject.of(row["owner"])))
            found = True
        if table.within and table.within.of(row["owner"]) and (not found or self.chance(0.5)):
            row["within"] = self.r.choice(table.within.of(row["owner"]))
            found = True
        return found

    def close_circles(self):
        """the first table also refers to the last ones, whose rows refer to it in the end"""
        self.circles = [t for t in self.tables[2:] if not t.is_partitioned][-2:]
        for i, to in enumerate(self.circles):
            for row in self.tables[0].rows.values():
                mine = to.of(row["owner"])
                row["k"][f"c{i}"] = self.r.choice(mine) if mine and self.chance(0.5) else None

    # What is said to the database, and to keepfs.

    def sql(self):
        tenants = ", ".join(f"({i}, '{slug}')" for slug, i in self.ids.items())
        yield "CREATE SCHEMA more; CREATE TABLE orgs (id int PRIMARY KEY, slug text); CREATE TABLE people (id int PRIMARY KEY, name text);"
        yield f"INSERT INTO orgs VALUES {tenants}; INSERT INTO people SELECT n, 'person ' || n FROM generate_series(1, 80) n;"
        yield "CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds VALUES (1), (2); CREATE TABLE noise (at timestamptz);"
        for table in self.tables:
            yield from self.sql_of(table)
        first = self.tables[0].sql_name
        for i, to in enumerate(self.circles):
            yield f"ALTER TABLE {first} ADD c{i} bigint REFERENCES {to.sql_name};"
            values = ", ".join(f"({ident}, {row['k'][f'c{i}']})" for ident, row in self.tables[0].rows.items() if row["k"][f"c{i}"])
            if values:
                yield f"UPDATE {first} t SET c{i} = v.c FROM (VALUES {values}) v (id, c) WHERE t.id = v.id;"

    def sql_of(self, table):
        columns = ["id bigint PRIMARY KEY", f"code text{'' if table.is_partitioned else ' UNIQUE'}", "mark text"]
        if table.has_column:
            columns.append("org_id int" + ("" if table.nullable_column else " NOT NULL") + " REFERENCES orgs")
        for column, to, there, nullable in table.keys:
            columns.append(f"{column} {'bigint' if there == 'id' else 'text'}{'' if nullable else ' NOT NULL'} REFERENCES {to.sql_name} ({there})")
        if table.soft:
            columns += ["subject_type text", "subject_id text" if zlib.crc32(table.name.encode()) % 2 else "subject_id bigint", "payload jsonb"]
        if table.author:
            columns.append("author int REFERENCES people")
        if table.parent:
            columns.append(f"parent bigint REFERENCES {table.sql_name}")
        by = " PARTITION BY HASH (id)" if table.is_partitioned else ""
        yield f"CREATE TABLE {table.sql_name} ({', '.join(columns)}){by};"
        if table.is_partitioned:
            schema, name = table.name.split(".", 1)
            for n in range(3):
                yield f'CREATE TABLE {schema}."{name} p{n}" PARTITION OF {table.sql_name} FOR VALUES WITH (MODULUS 3, REMAINDER {n});'
        if table.child:
            yield f"CREATE TABLE {table.child.sql_name} () INHERITS ({table.sql_name});"
            yield from self.inserts(table.child, table)
        yield from self.inserts(table, table)

    def inserts(self, table, form):
        names = ["id", "code", "mark"] + (["org_id"] if form.has_column else []) + (["author"] if form.author else []) + (["parent"] if form.parent else [])
        names += [k[0] for k in form.keys] + (["subject_type", "subject_id", "payload"] if form.soft else [])
        rows = []
        for ident, row in table.rows.items():
            values = [ident, f"code {ident}", f"row of {row['owner'] or 'nobody'}"]
            values += [self.ids.get(row["owner"])] if form.has_column else []
            values += [row["author"]] if form.author else []
            values += [row["parent"]] if form.parent else []
            for column, _, there, nullable in form.keys:
                to = row["k"].get(column)
                if to is None and table is not form and not nullable:
                    to = self.r.choice(_.of(row["owner"]) or list(_.rows))
                values.append(to if there == "id" or to is None else f"code {to}")
            if form.soft:
                subject = row.get("subject")
                values += [subject[0].name if subject else self.r.choice([None, "nothing"]), subject[1] if subject else self.r.randint(1, 2000)]
                values.append('{"of": %d}' % row["within"] if "within" in row else '{"of": null}')
            rows.append("(" + ", ".join("NULL" if v is None else str(v) if isinstance(v, int) else "'" + v.replace("'", "''") + "'" for v in values) + ")")
        if rows:
            yield f"INSERT INTO {table.sql_name} ({', '.join(names)}) VALUES {', '.join(rows)};"

    def section(self, uri):
        references = []
        for table in self.tables:
            references += [f"{table.sql_name}.subject_id -> {to.sql_name}.id when subject_type = '" + to.name.replace("'", "''") + "'" for to in table.soft]
            if table.within:
                references.append(f"{table.sql_name}.payload->>'of' -> {table.within.sql_name}.id")
        return {"database": uri, "tenants": "SELECT id, slug FROM orgs ORDER BY slug", "tenant_column": "org_id", "shared": "kinds",
                "referred": "people", "exclude": "noise", **({"references": "; ".join(references)} if references else {})}

    def all_tables(self):
        return [t for table in self.tables for t in (table, table.child) if t]


def check(world, read, slug, text):
    """just the rows of that tenant, of all tables, and all that they refer to"""
    for table in world.all_tables():
        schema, name = table.name.split(".", 1)
        rows = rows_of(read, name, schema)
        assert sorted(row["id"] for row in rows) == sorted(table.of(slug)), (slug, table.name)
    assert [row["id"] for row in rows_of(read, "orgs")] == [world.ids[slug]]
    authors = {row["author"] for t in world.all_tables() for row in t.rows.values() if row["owner"] == slug} - {None}
    assert sorted(row["id"] for row in rows_of(read, "people")) == sorted(authors)
    assert len(rows_of(read, "kinds")) == 2
    assert set(MARK.findall(text)) <= {slug}
    assert [t["table"] for t in read["left_out"]] == ["noise"]
    there = {(t["schema"], t["table"]): t for t in read["tables"]}
    for t in read["tables"]:
        for key in t["foreign_keys"]:
            to = {tuple(row[c] for c in key["references"]) for row in there[key["schema"], key["table"]]["rows"]}
            for row in t["rows"]:
                value = tuple(row[c] for c in key["columns"])
                assert None in value or value in to, (t["table"], key, row)


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_by_lot(new_keepfs, pg, seed):
    """fifty tenants; tables that tell their tenant, refer to others that do, over several ways, in circles, by soft references"""
    name = f"export_lot_{seed}"
    world = World(seed)
    pg.create(name)
    try:
        pg.sql(name, "\n".join(world.sql()))
        keepfs = start(new_keepfs, world.section(pg.uri(name)))
        ended(keepfs)
        for slug in world.slugs:
            read = document(keepfs, slug)
            assert read["tenant"]["id"] == str(world.ids[slug])
            check(world, read, slug, str(read))
    finally:
        pg.drop(name)


APPLICATION = """
CREATE TABLE orgs (id int PRIMARY KEY, slug text); INSERT INTO orgs VALUES (1, 'acme'), (2, 'globex');
CREATE TABLE orders (id int PRIMARY KEY, org_id int NOT NULL, mark text); CREATE TABLE notes (id int PRIMARY KEY, org_id int NOT NULL, mark text);
INSERT INTO orders SELECT n, 1 + n % 2, 'row of t' || 1 + n % 2 FROM generate_series(1, 20) n; INSERT INTO notes TABLE orders;
CREATE FUNCTION everybody() RETURNS SETOF int LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT id FROM public.orgs';
CREATE VIEW all_orgs AS SELECT id FROM orgs;
ALTER TABLE orgs ENABLE ROW LEVEL SECURITY; ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orgs USING (id = current_setting('app.org_id')::int);
CREATE POLICY own ON orders USING (org_id = current_setting('app.org_id')::int);
CREATE POLICY own ON notes USING (org_id = current_setting('app.org_id')::int);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO export_app, export_owner;
"""

# What went wrong with row security elsewhere; the word that a failure says of it, or None where the export holds its rows and no others all the same.
LEAKS = {
    "as it should be": ("", None),
    "the policy trusts a function that sees everything": ("DROP POLICY own ON orders; CREATE POLICY own ON orders USING (org_id IN (SELECT everybody()))", None),
    "the policy asks a view of its owner's": ("DROP POLICY own ON orders; CREATE POLICY own ON orders USING (org_id IN (SELECT id FROM all_orgs))", None),
    "a second policy lets all through": ("CREATE POLICY support ON orders USING (true)", None),
    "a table was forgotten": ("ALTER TABLE notes DISABLE ROW LEVEL SECURITY", None),
    "a table has no policy": ("DROP POLICY own ON notes", "row security hides rows of public.notes"),
    "a policy hides some of the rows": ("DROP POLICY own ON notes; CREATE POLICY own ON notes USING (org_id = current_setting('app.org_id')::int AND id <> 4)",
                                        "row security hides rows of public.notes that are the tenant's: 9 were seen"),
    "the role owns a table": ("ALTER TABLE notes OWNER TO export_app", "export_app owns public.notes"),
    "the role has a share in the owner's rights": ("ALTER TABLE notes OWNER TO export_owner; GRANT export_owner TO export_app", "FORCE ROW LEVEL SECURITY"),
    "the owner is held, too": ("ALTER TABLE notes OWNER TO export_app; ALTER TABLE notes FORCE ROW LEVEL SECURITY", None),
    "the policies ask for another setting": ("DROP POLICY own ON notes; CREATE POLICY own ON notes USING (org_id = current_setting('app.org', true)::int)",
                                             "row security hides rows of public.notes"),
}


def test_row_security_that_leaks(new_keepfs, pg):
    """an export within a role and a setting holds the tenant's rows, all of them and no others, or there is none"""
    keepfs = start(new_keepfs, {"database": pg.uri("export_leaks"), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id",
                                "tenant_table": "orgs.id", "role": "export_app", "settings": "app.org_id={id}"})
    for leak, (statements, word) in LEAKS.items():
        before = len(made(keepfs, "acme"))
        pg.sql("postgres", "CREATE ROLE export_app; CREATE ROLE export_owner")
        pg.create("export_leaks")
        try:
            pg.sql("export_leaks", APPLICATION + statements)
            _, status = ended(keepfs, "export acme", "failed" if word else "completed")
        finally:
            pg.drop("export_leaks")
            pg.sql("postgres", "DROP ROLE export_app; DROP ROLE export_owner")
        assert len(made(keepfs, "acme")) == before + (word is None), leak
        if word:
            assert word in status["error"], leak
            continue
        read = document(keepfs, "acme")
        for table in ("orders", "notes"):
            assert sorted(row["id"] for row in rows_of(read, table)) == list(range(2, 21, 2)), leak
        assert [row["slug"] for row in rows_of(read, "orgs")] == ["acme"], leak
        assert set(MARK.findall(str(read))) == {"t1"}, leak
