# SPDX-License-Identifier: Apache-2.0
"""attach.sql: SQL on a backup that was not restored. The server reads the files of inside/ by file_fdw."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

import daemon
import everything
from test_runbooks import DOCUMENT

DATABASE = "attach_e2e"
KINDS = ["format=custom compression=gzip", "format=directory compression=none", "format=plain compression=gzip"]
MAKE = """
CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric(12, 2), at timestamptz DEFAULT now());
INSERT INTO orders SELECT i, CASE WHEN i % 7 > 0 THEN E'tab\\t, line\\n, \\\\ ' || i END, i * 1.25 FROM generate_series(1, 20000) i;
CREATE SCHEMA other; CREATE TABLE other.orders (n int); INSERT INTO other.orders VALUES (1);
"""


@pytest.fixture
def open_place():
    """a directory that the server's user can reach; pytest's own are closed"""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-attach-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def shared(open_place, new_keepfs, pg):
    """a mounted keepfs that lets the server's user in"""
    if os.geteuid() and "user_allow_other" not in pathlib.Path("/etc/fuse.conf").read_text():
        pytest.skip("mounting with allow_other needs root, or user_allow_other in /etc/fuse.conf")

    def make(jobs, **settings):
        modes = {"group": "postgres", "file_mode": "0640", "dir_mode": "0750"} if pg.as_user else {"file_mode": "0600", "dir_mode": "0700"}
        return new_keepfs(jobs, directory=open_place, allow_other="yes", **modes, **settings).mount()
    return make


@pytest.fixture
def database(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, MAKE)
    yield DATABASE
    pg.drop(DATABASE)


def attach(pg, database, keepfs, job="full"):
    """the schema's name, and the text"""
    (stem,) = {name.split(".")[0] for name in keepfs.artifacts(job) if name[0] == "2"}
    path = keepfs.path("inside", job, stem, "attach.sql")
    assert pg.tool("psql", "-X", "-q", "-d", pg.uri(database), "-f", path) == ""
    return f"{job}_{stem.lower().replace('-', '_')}", path.read_text()


def take_away(pg, database, text):
    """by the statement in the head of the file, as docs/operations.md says"""
    statement = [line.removeprefix("--     ") for line in text.split("\\set ON_ERROR_STOP")[0].splitlines() if line.startswith("--     ")]
    subprocess.run([f"{pg.bindir}/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.uri(database)], input="\n".join(statement) + "\n", text=True, check=True)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_rows_come_back(shared, pg, database, kind):
    keepfs = shared({"full": {"database": pg.uri(database), **dict(word.split("=") for word in kind.split())}})
    keepfs.backup()
    schema, text = attach(pg, database, keepfs)
    assert "not in the backup" not in text
    assert pg.sql(database, f"SELECT count(*), sum(amount) FROM {schema}.orders") == pg.sql(database, "SELECT count(*), sum(amount) FROM orders")
    assert pg.sql(database, f"SELECT count(*) FROM {schema}.orders EXCEPT ALL SELECT count(*) FROM {schema}_other.orders") == "20000"
    pg.sql(database, "DELETE FROM orders WHERE id BETWEEN 4000 AND 4999; UPDATE orders SET customer = 'new' WHERE id = 1")
    missing = f"FROM {schema}.orders o LEFT JOIN orders l USING (id) WHERE l.id IS NULL"
    assert pg.sql(database, f"SELECT count(*), min(o.id), max(o.id) {missing}") == "1000|4000|4999"
    pg.sql(database, f"INSERT INTO orders SELECT o.* {missing}")
    assert pg.sql(database, f"SELECT count(*) FROM (TABLE {schema}.orders EXCEPT ALL TABLE orders) x") == "1"
    assert attach(pg, database, keepfs)[1] == text  # again: it is there already
    take_away(pg, database, text)
    assert pg.sql(database, f"SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, '{schema}')") == "0"


def test_every_table_of_everything(shared, pg):
    """what the server reads from the files is what is in the tables"""
    name = "attach_everything"
    with everything.extension(pg) as has_extension:
        everything.build(pg, name, has_extension)
        try:
            keepfs = shared({"full": {"database": pg.uri(name)}})
            keepfs.backup()
            schema, text = attach(pg, name, keepfs)
            missing = set(re.findall(r'CREATE FOREIGN TABLE \S+?\."([^"]+)" \([^;]*?-- its type is not in the backup', text))
            assert missing == ({"configured", "configured_wholly"} if has_extension else set())
            tables = pg.sql(name, "SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', replace(n.nspname, '" + schema + "_', ''), c.relname), "
                                  "(SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) "
                                  f"FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'f' AND obj_description(n.oid) LIKE 'keepfs: full/%' "
                                  "AND relname NOT LIKE E'%\\n%' AND relname <> 'configured'").splitlines()
            assert len(tables) > 40
            differ = []
            for there, here, columns in (line.split("|") for line in tables):
                one, two = f"SELECT ROW({columns})::text FROM ONLY {here}", f"SELECT ROW({columns})::text FROM {there}"
                differ.append(f"SELECT '{here.replace(chr(39), chr(39) * 2)}' WHERE EXISTS (({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one}))")
            assert pg.sql(name, " UNION ALL ".join(differ)) == ""
            assert pg.sql(name, f"SELECT count(*) FROM {schema}_plain.\"every value\"") == pg.sql(name, 'SELECT count(*) FROM plain."every value"')
        finally:
            everything.empty(pg, name)
            pg.drop(name)


def test_server_that_is_not_let_in(new_keepfs, pg, database):
    """without allow_other: the statements are taken, and a query says what is wrong"""
    if not pg.as_user:
        pytest.skip("the server has the same user as the daemon")
    keepfs = new_keepfs({"full": {"database": pg.uri(database)}}).mount()
    keepfs.backup()
    schema, _ = attach(pg, database, keepfs)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        pg.sql(database, f"SELECT count(*) FROM {schema}.orders")
    assert "Permission denied" in refused.value.stderr


def test_document_is_followed(shared, pg, database, tmp_path):
    """the lines of docs/operations.md, as they stand there"""
    keepfs = shared({"full": {"database": pg.uri(database)}})
    keepfs.backup()
    (stem,) = {name.split(".")[0] for name in keepfs.artifacts() if name[0] == "2"}
    lines = DOCUMENT.read_text().split("### SQL on a backup\n")[1].split("\n- ")[0].splitlines()
    commands = [line[6:].split("   #")[0].strip() for line in lines if line.startswith("    $ ")]
    assert len(commands) == 6
    pg.sql(database, "DELETE FROM orders WHERE id = 4711")
    pg.sql(database, "DROP SCHEMA other CASCADE")
    env = {**keepfs.env, "PATH": f"{pg.bindir}:{os.environ['PATH']}", "PGHOST": str(pg.directory), "PGPORT": str(pg.port), "PGUSER": "postgres"}
    said = []
    for command in commands:
        for word, own in (("/mnt/keep", str(keepfs.mountpoint)), ("20261120T020000Z", stem), ("20261120t020000z", stem.lower()), ("-d shop", f"-d {database}")):
            command = command.replace(word, own)
        done = subprocess.run(["bash", "-c", command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "20000" in said[1] and "4711" in said[2] and "(1 row)" in said[2] and "(1 row)" in said[3] and said[4] == "INSERT 0 1\n"
    assert pg.sql(database, "SELECT count(*) FROM orders") == "20000"
