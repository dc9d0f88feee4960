# SPDX-License-Identifier: Apache-2.0
"""What is read inside of a dump, without restoring it, is byte by byte what COPY says of the database that it was made of: of each format and
compression, those of keepfs and those of pg_dump itself."""
import pathlib
import random
import subprocess

import pytest

import daemon
import handmade

INSIDE_READ = pathlib.Path(daemon.PROGRAM).parents[1] / "tests/support/inside_read"
RANGES = 60

MADE = '''
    CREATE SCHEMA "Odd ""one""";
    CREATE TABLE "Odd ""one"""."Ta ble" ("a b" int, note text, bin bytea);
    INSERT INTO "Odd ""one"""."Ta ble" SELECT g, md5(g::text) || CASE g % 5 WHEN 0 THEN E'\\n' WHEN 1 THEN E'\\t\\\\.' WHEN 2 THEN '\\.' ELSE repeat('x', g % 50) END,
        CASE WHEN g % 3 = 0 THEN NULL ELSE decode(md5((g * 3)::text), 'hex') END FROM generate_series(1, 120000) g;
    INSERT INTO "Odd ""one"""."Ta ble" SELECT -1, string_agg(md5(g::text), E'\\n'), NULL FROM generate_series(1, 60000) g;
    CREATE TABLE public.few AS SELECT g AS id, E'\\\\.' AS t FROM generate_series(1, 7) g;
    CREATE TABLE public.none (id int PRIMARY KEY, t text);
    CREATE TABLE public.columnless ();
    INSERT INTO public.columnless DEFAULT VALUES;
    CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $f$ SELECT '
--
-- Data for Name: few; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.few (id, t) FROM stdin;
666\tfake
' $f$;
    CREATE INDEX few_id ON public.few (id);
    COMMENT ON INDEX public.few_id IS '
--
-- Data for Name: few; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.few (1;2) FROM stdin;
666
';
    SELECT lo_from_bytea(4001, decode(repeat('00ff17', 500000), 'hex'));
    SELECT lo_from_bytea(4002, '');
    SELECT lo_from_bytea(3000000000, 'last')
    '''


LARGE_OBJECT = bytes.fromhex("00ff17")


@pytest.fixture(scope="module")
def shop(pg):
    pg.create("looked_into")
    pg.sql("looked_into", MADE)
    yield "looked_into"
    pg.drop("looked_into")


@pytest.fixture(scope="module")
def small_shop(pg):
    """the same with less, for dumps that are put into the store by hand"""
    pg.create("looked_into_small")
    pg.sql("looked_into_small", MADE.replace("0000)", "00)"))
    yield "looked_into_small"
    pg.drop("looked_into_small")


def copied(pg, database, schema, table, columns):
    quoted = ".".join('"' + name.replace('"', '""') + '"' for name in (schema, table))
    done = subprocess.run([pg.bindir / "psql", "-X", "-d", pg.uri(database), "-c", f"COPY {quoted} {columns} TO STDOUT"], check=True,
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    return done.stdout


class Inside:
    def __init__(self, keepfs, name):
        self.words = [INSIDE_READ, keepfs.state, keepfs.store.root, f"backups/full/{name}"]

    def look(self, *words, input=b""):
        done = subprocess.run([*self.words, *map(str, words)], input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def tables(self):
        return [line.split("\t") for line in self.look("tables").decode().splitlines()]


def check_ranges(inside, what, number, rows):
    chance = random.Random(4711)
    ranges = [(chance.randrange(len(rows) + 10), chance.randrange(1, 300_000)) for _ in range(RANGES)]
    ranges += [(at, 131072) for at in range(0, len(rows), 131072)]
    found = inside.look(what, number, input="".join(f"{at} {length}\n" for at, length in ranges).encode())
    assert found == b"".join(rows[at:at + length] for at, length in ranges)


def check_inside(inside, pg, database, blobs=500_000):
    """@blobs: how often the large object has its three bytes; 0: the dump shows none"""
    tables = inside.tables()
    assert sorted((schema, table) for _, _, _, schema, table, _ in tables) == [
        ('Odd "one"', "Ta ble"), ("public", "columnless"), ("public", "few"), ("public", "none")]
    for number, rows, size, schema, table, columns in tables:
        expected = copied(pg, database, schema, table, columns)
        assert inside.look("rows", number) == expected
        assert (int(rows), int(size)) == (expected.count(b"\n"), len(expected))
        check_ranges(inside, "ranges", number, expected)
    contents = {4001: LARGE_OBJECT * blobs, 4002: b"", 3000000000: b"last"} if blobs else {}
    assert inside.look("blobs").decode() == "".join(f"{oid}\t{len(data)}\n" for oid, data in contents.items())
    for oid, data in contents.items():
        check_ranges(inside, "blob-ranges", oid, data)


KINDS = {"custom": {}, "gzip": {"compression": "gzip"}, "none": {"compression": "none"}, "directory": {"format": "directory"},
         "directory_none": {"format": "directory", "compression": "none"}, "directory_gzip": {"format": "directory", "compression": "gzip"},
         "plain": {"format": "plain"}, "plain_none": {"format": "plain", "compression": "none"}}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_copy_says(new_keepfs, pg, shop, kind):
    keepfs = new_keepfs({"full": {"database": pg.uri(shop), **KINDS[kind]}}).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    inside = Inside(keepfs, name)
    check_inside(inside, pg, shop, blobs=0 if "plain" in kind else 500_000)
    toc, schema = inside.look("toc").decode(), inside.look("schema").decode()
    assert 'TABLE DATA Odd "one" Ta ble' in toc
    assert "CREATE FUNCTION public.f()" in schema and "\n\\.\n" not in schema
    if "plain" not in kind:
        dump = keepfs.path("backups", "full", name)
        for word, text in (("-l", toc), ("-s", schema)):
            done = subprocess.run([pg.bindir / "pg_restore", word, *(["-f", "-"] if word == "-s" else []), dump], check=True,
                                  stdout=subprocess.PIPE, text=True)
            drop = (";     Dumped by pg_restore", "\\restrict", "\\unrestrict")
            assert [line for line in text.splitlines() if not line.startswith(drop)] == [
                line for line in done.stdout.splitlines() if not line.startswith(drop)]


def dumped(pg, database, tmp_path, *words, piped=False, suffix=".dump"):
    """what pg_dump writes: bytes, or {name: bytes} of a directory"""
    path = tmp_path / f"dumped{suffix}"
    if piped:
        return subprocess.run([pg.bindir / "pg_dump", *words, pg.uri(database)], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run([pg.bindir / "pg_dump", *words, "-f", path, pg.uri(database)], check=True)
    return {p.name: p.read_bytes() for p in sorted(path.iterdir())} if path.is_dir() else path.read_bytes()


OTHERS = {"custom": (["-Fc"], {}), "piped": (["-Fc"], {"piped": True}), "none": (["-Fc", "-Z0"], {}), "directory": (["-Fd"], {"suffix": ""}),
          "directory_none": (["-Fd", "-Z0"], {"suffix": ""}), "plain": (["-Fp"], {"suffix": ".sql"}),
          "plain_gzip": (["-Fp", "-Z6"], {"suffix": ".sql.gz"})}


@pytest.mark.parametrize("kind", OTHERS)
def test_dumps_that_pg_dump_has_made_alone(new_keepfs, pg, small_shop, store, tmp_path, kind):
    words, how = OTHERS[kind]
    data = dumped(pg, small_shop, tmp_path, *words, **how)
    keepfs = new_keepfs()
    name = f"20261120T020000Z{how.get('suffix', '.dump')}"
    is_directory = isinstance(data, dict)
    handmade.publish(store, f"backups/full/{name}", None if is_directory else data, data if is_directory else None)
    keepfs.run("rebuild")
    inside = Inside(keepfs, name)
    check_inside(inside, pg, small_shop, blobs=0 if "plain" in kind else 5_000)
    assert 'TABLE DATA Odd "one" Ta ble' in inside.look("toc").decode()
    assert "CREATE FUNCTION public.f()" in inside.look("schema").decode()


FAKE = """
--
-- Data for Name: real; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.real (id, t) FROM stdin;
666\tfake
"""
HOSTILE = """
    CREATE TABLE real AS SELECT g AS id, E'it''s $$ "\\\\' AS t FROM generate_series(1, 3) g;
    CREATE TABLE "a$$ "" ' -- /*" AS SELECT 1 AS "-- ' $_$";
    CREATE FUNCTION tagged() RETURNS text LANGUAGE sql AS $f$ SELECT '$$ $_$ $_X$ $_XX FAKE' $f$;
    CREATE FUNCTION parameter(text) RETURNS text LANGUAGE sql AS $f$ SELECT $1 || ' FAKE' $f$;
    CREATE FUNCTION atomic(a int) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT $1; SELECT E'\\\\'' FAKE'; END;
    CREATE VIEW shown AS SELECT E'\\\\'' FAKE' AS text, 1 AS "; $$";
    CREATE RULE twofold AS ON DELETE TO real DO ALSO (SELECT E'a;\\\\'' FAKE'; SELECT 2);
    ALTER TABLE real ADD CHECK (t <> E'\\\\'' FAKE');
    CREATE INDEX late ON real (id);
    COMMENT ON INDEX late IS E'\\\\'' \\\\'' /* -- $$ FAKE';
    COMMENT ON TABLE real IS E'\\\\''; -- FAKE';
    """


@pytest.mark.parametrize("conforming", ["on", "off"])
def test_texts_that_look_like_rows(new_keepfs, pg, conforming):
    """whoever may make objects has any lines he likes in a plain dump, but no rows that are none, and none are hidden"""
    database = f"looked_into_hostile_{conforming}"
    keepfs = new_keepfs({"full": {"database": pg.uri(database), "format": "plain"}}).mount()
    pg.create(database)
    try:
        pg.sql(database, HOSTILE.replace("FAKE", FAKE))
        pg.sql("postgres", f"ALTER DATABASE {database} SET standard_conforming_strings = {conforming}")
        keepfs.backup()
        (name,) = keepfs.artifacts()
        inside = Inside(keepfs, name)
        tables = {table: number for number, _, _, _, table, _ in inside.tables()}
        assert len(inside.tables()) == 2 and set(tables) == {"real", "a$$ \" ' -- /*"}
        assert inside.look("rows", tables["real"]).decode() == "".join(f"{g}\tit's $$ \"\\\\\n" for g in (1, 2, 3))
        schema = inside.look("schema").decode()
        assert schema.count("666\tfake") == 8 and schema.rstrip().splitlines()[-1].startswith(("--", "\\unrestrict"))
    finally:
        pg.drop(database)
