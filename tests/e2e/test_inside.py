# SPDX-License-Identifier: Apache-2.0
"""What is read inside of a dump, without restoring it, is byte by byte what COPY says of the database that it was made of: of each format and
compression, those of keepfs and those of pg_dump itself."""
import errno
import hashlib
import os
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
    """@blobs: how often the large object has its three bytes"""
    tables = inside.tables()
    assert sorted((schema, table) for _, _, _, schema, table, _ in tables) == [
        ('Odd "one"', "Ta ble"), ("public", "columnless"), ("public", "few"), ("public", "none")]
    for number, rows, size, schema, table, columns in tables:
        expected = copied(pg, database, schema, table, columns)
        assert inside.look("rows", number) == expected
        assert (int(rows), int(size)) == (expected.count(b"\n"), len(expected))
        check_ranges(inside, "ranges", number, expected)
    contents = {4001: LARGE_OBJECT * blobs, 4002: b"", 3000000000: b"last"}
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
    check_inside(inside, pg, shop)
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
    check_inside(inside, pg, small_shop, blobs=5_000)
    assert 'TABLE DATA Odd "one" Ta ble' in inside.look("toc").decode()
    assert "CREATE FUNCTION public.f()" in inside.look("schema").decode()


MANY = """
    CREATE ROLE looked_into_reader;
    SELECT lo_from_bytea(g::oid, decode(repeat(md5(g::text), g % 7 * 20), 'hex')) FROM generate_series(20001, 20000 + COUNT) g;
    SELECT lo_from_bytea(70000, decode(repeat(md5('1'), 1024 * n), 'hex')) FROM (VALUES (1)) v(n);
    SELECT lo_from_bytea(70001, decode(repeat(md5('2'), 1024) || '00', 'hex'));
    SELECT lo_from_bytea(70002, decode(repeat(md5('3'), 1023) || repeat('ff', 15), 'hex'));
    SELECT lo_create(80000), lo_put(80000, 1000000, 'behind a hole');
    SELECT lo_create(80001);
    COMMENT ON LARGE OBJECT 80001 IS E'it''s empty;\n--\n-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n\nSELECT pg_catalog.lo_open(''666'', 131072);\n';
    GRANT SELECT ON LARGE OBJECT 80000 TO looked_into_reader;
    """


@pytest.mark.parametrize("kind, count", [("plain", 3000), ("none", 100), ("zstd", 100), ("off", 100)])
def test_large_objects_of_a_plain_dump(new_keepfs, pg, store, tmp_path, kind, count):
    """thousands of them, some empty, as long as one call or several, with comments and rights: by the mount each is what the server says of it"""
    database = f"looked_into_blobs_{kind}"
    keepfs = new_keepfs({"full": {"database": pg.uri(database), "format": "plain", "compression": "gzip" if kind == "plain" else "none"}})
    pg.create(database)
    try:
        pg.sql(database, MANY.replace("COUNT", str(count)))
        if kind == "off":
            pg.sql("postgres", f"ALTER DATABASE {database} SET standard_conforming_strings = off")
        if kind == "zstd":
            text = dumped(pg, database, tmp_path, "-Fp", suffix=".sql")
            packed = subprocess.run(["zstd", "-q", "-c"], input=text, check=True, stdout=subprocess.PIPE).stdout
            handmade.publish(store, "backups/full/20261120T020000Z.sql.zst", packed, None)
            keepfs.run("rebuild")
            keepfs.mount()
        else:
            keepfs.mount()
            keepfs.backup()
        (name,) = os.listdir(keepfs.path("inside", "full"))
        blobs = keepfs.path("inside", "full", name, "blobs")
        sums = dict(line.split("|") for line in pg.sql(database, "SELECT oid, encode(sha256(lo_get(oid)), 'hex') || ' ' || length(lo_get(oid)) FROM pg_largeobject_metadata").split("\n"))
        assert len(sums) == count + 5 and sums["80001"].endswith(" 0") and sums["80000"].endswith(" 1000013")
        assert sorted(os.listdir(blobs), key=int) == sorted(sums, key=int)
        for oid, sha256_and_size in sums.items():
            content = (blobs / oid).read_bytes()
            assert f"{hashlib.sha256(content).hexdigest()} {(blobs / oid).stat().st_size}" == sha256_and_size, oid
        assert f"; large objects: {len(sums)}\n" in (blobs.parent / "toc.txt").read_text()
        for oid in ("666", "20000", "0", "080001"):
            assert not (blobs / oid).exists()
    finally:
        pg.drop(database)
        pg.sql("postgres", "DROP ROLE IF EXISTS looked_into_reader")


FAKE_BLOB = """
--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -
--

BEGIN;

SELECT pg_catalog.lo_open(''4711'', 131072);
SELECT pg_catalog.lowrite(0, ''\\\\x66616b65'');
SELECT pg_catalog.lo_close(0);

SELECT pg_catalog.lo_open(''7'', 131072);
"""
HOSTILE_BLOBS = """
    SELECT lo_from_bytea(4711, 'real'), lo_from_bytea(4712, 'too');
    CREATE TABLE "x; Type: BLOBS; y" AS SELECT E'FAKE'::text AS t;
    CREATE FUNCTION fake() RETURNS text LANGUAGE sql AS $f$ SELECT 'FAKE' $f$;
    CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT lo_create(4713); SELECT lo_open(4711, 131072); SELECT lowrite(0, 'fake'); SELECT lo_close(0); END;
    CREATE VIEW shown AS SELECT E'FAKE' AS text, lowrite(0, 'fake') AS "SELECT pg_catalog.lowrite(0, '\\x00');";
    CREATE RULE twofold AS ON DELETE TO "x; Type: BLOBS; y" DO ALSO (SELECT lo_open(4711, 131072); SELECT lowrite(0, 'fake'); SELECT lo_close(0));
    COMMENT ON FUNCTION fake() IS E'FAKE';
    COMMENT ON LARGE OBJECT 4711 IS E'FAKE';
    """


@pytest.mark.parametrize("how", ["on", "off", "inserts"])
def test_texts_that_look_like_large_objects(new_keepfs, pg, store, tmp_path, how):
    """whoever may make objects makes no large object that is none, changes none, and hides none"""
    database = f"looked_into_fake_blobs_{how}"
    keepfs = new_keepfs()
    pg.create(database)
    try:
        pg.sql(database, HOSTILE_BLOBS.replace("FAKE", FAKE_BLOB))
        pg.sql("postgres", f"ALTER DATABASE {database} SET standard_conforming_strings = {'off' if how == 'off' else 'on'}")
        text = dumped(pg, database, tmp_path, "-Fp", *(["--inserts"] if how == "inserts" else []), suffix=".sql")
        assert text.count(b"SELECT pg_catalog.lo_open(''4711'', 131072);\n") >= 3
        handmade.publish(store, "backups/full/20261120T020000Z.sql", text, None)
        keepfs.run("rebuild")
        inside = Inside(keepfs, "20261120T020000Z.sql")
        assert inside.look("blobs") == b"4711\t4\n4712\t3\n"
        assert inside.look("blob-ranges", 4711, input=b"0 10\n") == b"real" and inside.look("blob-ranges", 4712, input=b"1 10\n") == b"oo"
    finally:
        pg.drop(database)


def test_large_objects_that_are_not_as_pg_dump_writes_them(new_keepfs, store):
    """a text of others is read for its tables, and says why its large objects are not shown; nothing is marked as damaged"""
    head = b"--\n-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n\nBEGIN;\n\n"
    one = b"SELECT pg_catalog.lo_open('5', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00ff');\nSELECT pg_catalog.lo_close(0);\n\n"
    rows = b"COMMIT;\n\nCOPY public.t (a) FROM stdin;\n1\n\\.\n\n"
    texts = {"twice": one + one, "bytes in a call of lowrite() are not": one.replace(b"0ff'", b"0f'"), "not announced": b"-- Name: x; Type: BLOB; Schema: -; Owner: -\n" + one,
             "is not closed before": one.replace(b"lo_close", b"lo_tell")}
    for number, text in enumerate(texts.values()):
        handmade.publish(store, f"backups/full/2026112{number}T020000Z.sql", head + text + rows, None)
    keepfs = new_keepfs()
    keepfs.run("rebuild")
    keepfs.mount()
    for number, why in enumerate(texts):
        inside = keepfs.path("inside", "full", f"2026112{number}T020000Z")
        why = {"twice": "number 5 in several places"}.get(why, why)
        with pytest.raises(OSError) as failure:
            os.listdir(inside / "blobs")
        assert failure.value.errno == errno.EIO
        assert why in keepfs.path("status", "last-error").read_text()
        with pytest.raises(OSError):
            (inside / "blobs" / "5").read_bytes()
        assert (inside / "tables" / "public.t.tsv").read_bytes() == b"1\n"
        assert "cannot be shown: " in (inside / "toc.txt").read_text() and why in (inside / "toc.txt").read_text()
    assert "damaged" not in keepfs.path("status", "health").read_text()


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
