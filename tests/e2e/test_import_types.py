# SPDX-License-Identifier: Apache-2.0
"""Values of all types of PostgreSQL, exported and imported: the same to the byte, as COPY shows them."""
import os

import pytest

from importing import Imports, rows

TYPES = r"""
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'a "b" \c');
CREATE TYPE inner_t AS (a int, b text, c numeric);
CREATE TYPE pair AS (x inner_t, y inner_t[], j jsonb, at timestamptz, d bytea);
CREATE DOMAIN positive AS numeric(12,3) CHECK (VALUE > 0);
CREATE DOMAIN ints AS int[] CHECK (cardinality(VALUE) < 10);
CREATE DOMAIN doc AS jsonb;
CREATE DOMAIN place AS inner_t;
"""

# type, and values as SQL writes them. Not among them: the json value null, which an export as JSON writes as it writes NULL.
COLUMNS = [
    ("boolean", "true", "false"),
    ("smallint", "-32768", "32767"),
    ("integer", "-2147483648", "2147483647"),
    ("bigint", "-9223372036854775808", "9007199254740993", "9223372036854775807"),
    ("numeric", "0.1", "-0.00", "1e-300", "12345678901234567890.123456789012345678901234567890", "'NaN'", "'Infinity'", "'-Infinity'", "1e400", "5.10", "100"),
    ("numeric(10,2)", "5.10", "-99999999.99"),
    ("real", "'NaN'", "'Infinity'", "'-0'", "1.17549435e-38", "3.4028235e+38", "0.1"),
    ("double precision", "'NaN'", "'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1", "1e20"),
    ("money", "'-92233720368547758.08'", "'1.50'"),
    ("text", "''", r"E'a\\b\n\r\t\b\f\v\x01\x7f\"''$$'", "'NULL'", r"'\N'", r"'\.'", "'ünï 漢字 🎉'", "repeat('x', 300000)"),
    ("varchar(5)", "'abc  '", "''"),
    ("char(5)", "'ab'", "''"),
    ("name", "'n'"),
    ("\"char\"", "'c'", "''", r"'\200'"),
    ("citext", "'MiXed'"),
    ("bytea", r"'\x'", r"'\x00ff5c0a'", "decode(repeat('00', 5000), 'hex')"),
    ("timestamp", "'2024-02-29 23:59:59.999999'", "'infinity'", "'-infinity'", "'0044-03-15 10:00 BC'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'"),
    ("timestamptz", "'2026-11-20 02:00:00.123+05:30'", "'infinity'", "'-infinity'", "'0044-03-15 10:00 BC'", "'20000-01-01'"),
    ("date", "'2026-11-20'", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'"),
    ("time", "'24:00:00'", "'00:00:00.000001'"),
    ("timetz", "'12:00:00.5-15:59'", "'00:00+05:30'"),
    ("interval", "'1 year -2 months 3 days -04:05:06.789'", "'-178000000 years'", "'0'", "'1 day -1 second'", "'-0.000001 s'"),
    ("interval day to second", "'3 04:05:06'"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ("inet", "'192.168.0.1/24'", "'::1'", "'10.0.0.1'"),
    ("cidr", "'10.0.0.0/8'", "'2001:db8::/32'"),
    ("macaddr", "'08:00:2b:01:02:03'"),
    ("macaddr8", "'08:00:2b:01:02:03:04:05'"),
    ("bit(5)", "B'10101'"),
    ("varbit", "B''", "B'1010101010101'"),
    ("json", """'{"a": 1, "a": 2, "b": [1.50, 1e5, "\\u00e4\\n"]}'""", "'\"x\"'", "'[]'"),
    ("jsonb", """'{"a": 1.50, "big": 12345678901234567890.1, "n": null, "t": "\\u0001"}'""", "'[1, [2, {}]]'", "'\"x\"'", "'1e400'"),
    ("xml", "'<a b=\"c\">d</a>'", "'x<b/>y'"),
    ("tsvector", "'a:1A fat:2,4B ''it''''s'':3'"),
    ("tsquery", "'fat & (rat | !cat:*A)'"),
    ("point", "'(1.5,-2e10)'"),
    ("line", "'{1,2,3}'"),
    ("lseg", "'[(1,2),(3,4)]'"),
    ("box", "'(3,4),(1,2)'"),
    ("path", "'[(1,2),(3,4)]'", "'((1,2),(3,4))'"),
    ("polygon", "'((0,0),(1,1),(1,0))'"),
    ("circle", "'<(1,2),3>'"),
    ("pg_lsn", "'16/B374D848'"),
    ("oid", "4294967295"),
    ("regclass", "'pg_catalog.pg_class'"),
    ("xid8", "'18446744073709551615'"),
    ("hstore", """'a=>1, "b c"=>NULL, "q\\"q"=>"x,y"'"""),
    ("ltree", "'Top.Science.Astronomy'"),
    ("mood", "'sad'", "'o''k'", r"""E'a "b" \\c'"""),
    ("positive", "5.1", "123456789.123"),
    ("ints", "'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"),
    ("doc", "'{\"d\": [1, 2.0]}'"),
    ("place", "ROW(1, 'a,b', 2.50)", "ROW(NULL, NULL, NULL)"),
    ("int4range", "'[1,10)'", "'empty'", "'(,5)'", "'(,)'"),
    ("numrange", "'(1.50,2.5]'"),
    ("tstzrange", "'[2026-01-01 00:00+00,infinity)'"),
    ("daterange", "'[2026-01-01,2026-02-01)'"),
    ("int4multirange", "'{[1,3),[5,7)}'", "'{}'"),
    ("tsmultirange", "'{[2026-01-01,2026-02-01)}'"),
    ("int[]", "'{}'", "'{1,NULL,-3}'", "'{{1,2},{3,NULL}}'", "'{{{1}},{{2}}}'", "'[0:1]={1,2}'", "'[-2:-1][3:4]={{1,2},{3,4}}'"),
    ("bigint[]", "'{9007199254740993}'"),
    ("text[]", r"""E'{"a b","q\\"q","back\\\\slash",NULL,"NULL",""," x ","{}","a,b"}'""", r"""ARRAY[E'line\nfeed\ttab', 'ü']"""),
    ("numeric[]", "'{1.50,NaN,Infinity,12345678901234567890.5}'"),
    ("double precision[]", "'{NaN,-0,1e300}'"),
    ("boolean[]", "'{t,f,NULL}'"),
    ("bytea[]", r"""ARRAY['\x00'::bytea, '\x', NULL]"""),
    ("timestamptz[]", "'{2026-01-01 00:00+00,infinity,0044-03-15 10:00+00 BC}'"),
    ("json[]", """ARRAY['{"a": 1, "a": 2}'::json, '[1, 2]', NULL]"""),
    ("jsonb[]", """ARRAY['{"a": [1]}'::jsonb, '[[1], [2]]', '"x"', NULL]"""),
    ("mood[]", r"""ARRAY['sad', 'o''k', E'a "b" \\c']::mood[]"""),
    ("positive[]", "ARRAY[1.5, 2]::positive[]"),
    ("hstore[]", "ARRAY['a=>1'::hstore, NULL]"),
    ("int4range[]", "ARRAY['[1,2)'::int4range, 'empty']"),
    ("box[]", "ARRAY['(3,4),(1,2)'::box, '(1,1),(0,0)']"),
    ("interval[]", "ARRAY['1 day'::interval, '-1 mon +2 days -00:00:03']"),
    ("inner_t", r"""ROW(1, E'quote " back \\ comma, paren )', 1.50)""", "ROW(NULL, NULL, NULL)", "ROW(NULL, '', 0)"),
    ("inner_t[]", "ARRAY[ROW(1, 'a', 2.50)::inner_t, NULL, ROW(NULL, '', NULL)::inner_t]", "'{}'"),
    ("pair", "ROW(ROW(1, 'x', 12345678901234567890.123), ARRAY[ROW(2, 'y', 1.0)::inner_t], '{\"k\": 1.50}', '2026-11-20 02:00+00', '\\x00ff')"),
]


def column(n):
    return f"c{n}"


@pytest.fixture
def databases(pg):
    names = [f"import_types_{os.getpid()}_{n}" for n in range(2)]
    for name in names:
        pg.create(name)
    yield names
    for name in names:
        pg.drop(name)


def test_all_types(new_keepfs, pg, store, databases):
    source, target = databases
    imports = Imports(new_keepfs(), pg, store)
    tables = TYPES + "CREATE TABLE orgs (id int PRIMARY KEY, slug text); CREATE TABLE wide (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, " \
        "org_id int NOT NULL REFERENCES orgs, " + ", ".join(f"{column(n)} {kind}" for n, (kind, *_) in enumerate(COLUMNS)) + "); " \
        "CREATE TABLE plain AS SELECT * FROM wide; ALTER TABLE plain ADD FOREIGN KEY (org_id) REFERENCES orgs;"
    for name in databases:
        pg.sql(name, tables)
    count = max(len(values) for _, *values in COLUMNS)
    each = ["(1, " + ", ".join(f"({values[row]})::{kind}" if row < len(values) else "NULL" for kind, *values in COLUMNS) + ")" for row in range(count)]
    names = ", ".join(column(n) for n in range(len(COLUMNS)))
    pg.sql(source, "SET timezone = 'UTC'; INSERT INTO orgs VALUES (1, 'acme'), (2, 'globex');"
           + "".join(f"INSERT INTO wide (org_id, {names}) VALUES {row};" for row in each) + "INSERT INTO plain SELECT * FROM wide")
    path = imports.export({"database": pg.uri(source), "tenants": "SELECT id, slug FROM orgs", "tenant_column": "org_id", "secrets_unsure": "warn"})
    was = rows(pg, source, f"SELECT {names} FROM wide ORDER BY id")
    imports.into(target, path)
    for table in ("wide", "plain"):
        assert same(rows(pg, target, f"SELECT {names} FROM {table} WHERE org_id = 1 ORDER BY id"), was), table
    # Under new keys, and found again.
    said = imports.into(target, path, "--tenant", "other", "--tenant-id", "7")
    assert "the tenant's id is 7" in said
    for table in ("wide", "plain"):
        assert same(rows(pg, target, f"SELECT {names} FROM {table} WHERE org_id = 7 ORDER BY id"), was), table
    assert "already: nothing was changed" in imports.into(target, path, "--tenant", "other", "--tenant-id", "7")


def same(came, was):
    """each value, with the name of its type"""
    kinds = [kind for kind, *_ in COLUMNS]
    assert len(came) == len(was)
    for a, b in zip(came, was):
        for kind, x, y in zip(kinds, a.split("\t"), b.split("\t"), strict=True):
            assert x == y, kind
    return True
