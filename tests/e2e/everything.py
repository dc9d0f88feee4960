# SPDX-License-Identifier: Apache-2.0
"""Builds everything.sql: a database with every type of object, on a server of 12 to 18."""
import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

SQL = pathlib.Path(__file__).with_name("everything.sql")
ROLES = """
DO $$ BEGIN
    CREATE ROLE everything_owner; CREATE ROLE everything_reader LOGIN PASSWORD 'reader''s'; CREATE ROLE "odd ""role""; Ä";
EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""
TABLESPACE = 'everything "space"'
EXTENSION = "keepfs_e2e"
EXTENSION_SQL = """
CREATE TYPE extension_type AS (a int, b text);
CREATE TABLE configured (id int PRIMARY KEY, t text, by_user bool DEFAULT true);
INSERT INTO configured VALUES (1, 'of the extension', false), (2, 'of the extension, too', false);
CREATE TABLE configured_wholly (id int, t text);
CREATE SEQUENCE configured_numbers;
CREATE TABLE not_configured AS SELECT generate_series(1, 10) AS n;
CREATE FUNCTION of_the_extension() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT pg_catalog.pg_extension_config_dump('configured', 'WHERE by_user AND t <> ''it''''s''');
SELECT pg_catalog.pg_extension_config_dump('configured_wholly', '');
SELECT pg_catalog.pg_extension_config_dump('configured_numbers', '');
"""
# What `pg_restore -l` calls the entries that must be there on each version: that the builder has not lost a type of object.
ENTRIES = """ACCESS METHOD|ACL|AGGREGATE|BLOB|BLOBS|CAST|CHECK CONSTRAINT|COLLATION|COMMENT|CONSTRAINT|CONVERSION|DEFAULT|DEFAULT ACL|DOMAIN|
EVENT TRIGGER|FK CONSTRAINT|FOREIGN DATA WRAPPER|FOREIGN TABLE|FUNCTION|INDEX|INDEX ATTACH|MATERIALIZED VIEW|MATERIALIZED VIEW DATA|OPERATOR|
OPERATOR CLASS|OPERATOR FAMILY|POLICY|PROCEDURAL LANGUAGE|PROCEDURE|PUBLICATION|PUBLICATION TABLE|ROW SECURITY|RULE|SCHEMA|SEQUENCE|
SEQUENCE OWNED BY|SEQUENCE SET|SERVER|SHELL TYPE|STATISTICS|SUBSCRIPTION|TABLE|TABLE ATTACH|TABLE DATA|TEXT SEARCH CONFIGURATION|
TEXT SEARCH DICTIONARY|TEXT SEARCH PARSER|TEXT SEARCH TEMPLATE|TRANSFORM|TRIGGER|TYPE|USER MAPPING|VIEW""".replace("\n", "").split("|")


def join(path):
    """a shared lock of the file, which is still there: whoever was its last user removes it"""
    while True:
        lock = open(path, "a")
        fcntl.flock(lock, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        lock.close()


@contextlib.contextmanager
def extension(server, name=EXTENSION):
    """an extension of the tests' own in the server's share directory, for as long as anybody needs it (other tests may run beside these, and
    share the directory); False where that cannot be written"""
    where = pathlib.Path(subprocess.run([str(server.bindir / "pg_config"), "--sharedir"], check=True, text=True, stdout=subprocess.PIPE)
                         .stdout.strip()) / "extension"
    files = {where / f"{name}.control": "default_version = '1.0'\nrelocatable = true\ncomment = 'made by the tests of keepfs'\n",
             where / f"{name}--1.0.sql": EXTENSION_SQL}
    users = pathlib.Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}.lock"
    with contextlib.closing(join(users)) as lock:
        try:
            for path, text in files.items():
                mine = path.with_name(f"{path.name}.{os.getpid()}")
                mine.write_text(text)
                mine.rename(path)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in (*files, users):
                    path.unlink(missing_ok=True)


def can(server, database, command):
    """was the server built with this?"""
    try:
        server.sql(database, f"BEGIN; {command}; ROLLBACK")
    except subprocess.CalledProcessError:
        return False
    return True


def build(server, database, has_extension):
    """the database; restoring it into another one of the same server needs nothing more"""
    server.sql("postgres", ROLES)
    place = server.directory / "tablespace"
    if not place.exists():
        place.mkdir()
        if server.as_user:
            shutil.chown(place, "postgres")
        quoted = TABLESPACE.replace('"', '""')
        server.sql("postgres", f"CREATE TABLESPACE \"{quoted}\" LOCATION '{place}'")
    server.create(database)
    version = int(server.sql(database, "SHOW server_version_num")) // 10000
    facts = {f"v{v}": version >= v for v in range(13, 19)}
    facts["has_icu"] = can(server, database, "CREATE COLLATION tried (provider = icu, locale = 'und')")
    facts["has_xml"] = can(server, database, "SELECT '<a/>'::xml")
    facts["has_file_fdw"] = can(server, database, "CREATE EXTENSION file_fdw")
    facts["has_extension"] = has_extension
    settings = [word for name, value in facts.items() for word in ("-v", f"{name}={str(value).lower()}")]
    server.tool("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *settings, "-v", f"tablespace={TABLESPACE}", "-d", server.uri(database), "-f", SQL)


def empty(server, database):
    """drop what keeps a copy of it from being dropped"""
    for name in server.sql(database, "SELECT quote_ident(subname) FROM pg_subscription WHERE subdbid = "
                                     "(SELECT oid FROM pg_database WHERE datname = current_database())").splitlines():
        server.sql(database, f"DROP SUBSCRIPTION {name}")


# A second database, of some 200 MB: rows and tables that are too large for one piece of whatever reads them.
LARGE = """
CREATE TABLE a_small AS SELECT i AS id, 'small ' || i AS t FROM generate_series(1, 100) i;
CREATE TABLE big_rows (id int, t text, b bytea);
ALTER TABLE big_rows ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
INSERT INTO big_rows VALUES (1, 'before', NULL);
INSERT INTO big_rows SELECT 2, repeat('0123456789 \\t\\n\\\\ äöü ''"', 2900000), NULL;
INSERT INTO big_rows SELECT 3, NULL, decode(repeat('00ff5c0a', 1200000), 'hex');
INSERT INTO big_rows VALUES (4, 'after', '');
CREATE TABLE holes (id int PRIMARY KEY, a text, gone text, b text, n numeric, at timestamptz);
INSERT INTO holes SELECT i, md5(i::text), 'x', md5((-i)::text), i / 7.0, '2025-01-01 UTC'::timestamptz + i * interval '1.5 s'
    FROM generate_series(1, 550000) i;
ALTER TABLE holes DROP gone;
DELETE FROM holes WHERE id BETWEEN 100000 AND 190000 OR id % 11 = 0 OR id > 549000;
UPDATE holes SET a = 'updated ' || id WHERE id % 13 = 0;
CREATE TABLE m_small AS TABLE a_small;
CREATE TABLE toasted (id int, t text);
ALTER TABLE toasted ALTER t SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT n, (SELECT string_agg(md5(i::text || n), '') FROM generate_series(1, 16000) i) FROM generate_series(1, 60) n;
CREATE TABLE z_small AS TABLE a_small;
"""
LARGE_AFTER_VACUUM = "INSERT INTO holes SELECT -i, 'into a hole', 'b', i, NULL FROM generate_series(1, 30000) i"


def build_large(server, database):
    server.create(database)
    server.sql(database, LARGE)
    server.sql(database, "VACUUM ANALYZE holes")
    server.sql(database, LARGE_AFTER_VACUUM)
    assert int(server.sql(database, "SELECT pg_relation_size('holes')")) > 64 << 20
    assert int(server.sql(database, "SELECT max(octet_length(t)) FROM big_rows")) > 64 << 20


def plain_dump(pg, database, *options):
    """pg_dump's words about a database, but for the lines with a random token: what two equal databases have in common"""
    command = ["bash", "-o", "pipefail", "-c", r"""bin=$1; shift; "$bin/pg_dump" -Fp "$@" | { grep -a -v -E '^\\(un)?restrict ' || true; }""", "-",
               str(pg.bindir), "-d", pg.uri(database), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def plain_digest(pg, database, *options):
    with plain_dump(pg, database, *options) as dump:
        digest = subprocess.run(["sha256sum"], stdin=dump.stdout, stdout=subprocess.PIPE, check=True, text=True).stdout.split()[0]
    assert dump.returncode == 0
    return digest


class Original:
    """a database to be dumped: what pg_dump says of it, asked once"""

    def __init__(self, pg, name):
        self.pg, self.name = pg, name
        self.digest = plain_digest(pg, name)
        self.tables_csv = None

    def differs(self, copy):
        """"" when @copy is the same to pg_dump"""
        if plain_digest(self.pg, copy) == self.digest:
            return ""
        with plain_dump(self.pg, self.name) as one, plain_dump(self.pg, copy) as other:
            return subprocess.run(["bash", "-c", f"diff -a <(cat <&{one.stdout.fileno()}) <(cat <&{other.stdout.fileno()}) | cut -c 1-200 | head -n 40"],
                                  pass_fds=(one.stdout.fileno(), other.stdout.fileno()), stdout=subprocess.PIPE).stdout.decode(errors="replace")

    def check_tables(self, text):
        """the list of tables beside a dump: the same whichever way it was made, for the data is"""
        if self.tables_csv is None:
            self.tables_csv = text
        assert text == self.tables_csv
