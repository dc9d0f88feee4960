# SPDX-License-Identifier: Apache-2.0
"""A database is more than what is in it: whoever has nothing but a backup and a new cluster gets owner, locale, tablespace, limits, settings,
rights and comment back, too."""
import gzip
import stat
import subprocess

import pytest

import postgres
import everything
from test_fidelity import beside, dump, major

NAME = 'the "shop" =ä'
QUOTED = '"the ""shop"" =ä"'
URI = "the%20%22shop%22%20%3D%C3%A4"
ROLES = ("CREATE ROLE shop_owner", "CREATE ROLE shop_app LOGIN PASSWORD 'hidden'")
SETTINGS = f"""
ALTER DATABASE {QUOTED} CONNECTION LIMIT 7;
ALTER DATABASE {QUOTED} SET work_mem = '7MB';
ALTER DATABASE {QUOTED} SET search_path = "$user", "a, b";
ALTER ROLE shop_app IN DATABASE {QUOTED} SET "app.key" = 'it''s secret';
ALTER ROLE shop_app IN DATABASE {QUOTED} SET statement_timeout = '1min';
REVOKE ALL ON DATABASE {QUOTED} FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {QUOTED} TO shop_app;
GRANT CREATE ON DATABASE {QUOTED} TO shop_app WITH GRANT OPTION;
COMMENT ON DATABASE {QUOTED} IS 'what we
sell';
"""
# The version of a collation belongs to the machine, numbers to the cluster: none of them is restored.
WHAT_IT_IS = f"""
SELECT to_jsonb(d) - '{{oid,datdba,dattablespace,datfrozenxid,datminmxid,datacl,datcollversion,datlastsysoid}}'::text[]
       || jsonb_build_object('owner', r.rolname, 'tablespace', t.spcname, 'comment', shobj_description(d.oid, 'pg_database'),
            'rights', (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a),
            'settings', (SELECT array_agg(coalesce(r.rolname, '') || ': ' || array_to_string(s.setconfig, ' | ') ORDER BY r.rolname)
                         FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid))
FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE datname = '{NAME}'
"""


def tablespace(pg):
    """each cluster has it somewhere else: its place on the disk is a matter of the machine"""
    directory = pg.directory / "space"
    if not directory.exists():
        subprocess.run([*pg.as_user, "mkdir", str(directory)], check=True)
    pg.sql("postgres", f"CREATE TABLESPACE shop_space LOCATION '{directory}'")


@pytest.fixture(scope="module")
def shop(pg):
    """a database of which everything is set"""
    locale = "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C.UTF-8'" if major(pg) >= 15 else "LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
    tablespace(pg)
    for statement in ROLES:
        pg.sql("postgres", statement)
    pg.sql("postgres", f"CREATE DATABASE {QUOTED} TEMPLATE template0 ENCODING 'UTF8' {locale} OWNER shop_owner TABLESPACE shop_space")
    pg.sql(URI, "CREATE TABLE things (id int PRIMARY KEY); INSERT INTO things SELECT generate_series(1, 9); GRANT SELECT ON things TO shop_app;"
                "CREATE EXTENSION IF NOT EXISTS plpgsql; CREATE PUBLICATION all_of_it FOR ALL TABLES; SELECT lo_create(4711)")
    pg.sql("postgres", SETTINGS)
    yield NAME
    pg.sql("postgres", f"DROP DATABASE {QUOTED} WITH (FORCE)")
    pg.sql("postgres", "DROP TABLESPACE shop_space")
    pg.sql("postgres", "DROP ROLE shop_app; DROP ROLE shop_owner")


@pytest.fixture(scope="module")
def new_cluster():
    with_nothing = postgres.Postgres()
    tablespace(with_nothing)
    yield with_nothing
    with_nothing.remove()


@pytest.fixture
def saved(new_keepfs, pg, shop):
    return new_keepfs({"full": {"database": pg.uri(URI)}}, file_mode="0644").mount()


@pytest.fixture
def target(new_cluster):
    yield new_cluster
    new_cluster.sql("postgres", f"DROP DATABASE IF EXISTS {QUOTED} WITH (FORCE)")
    # Those of other tests, too, whose server was dumped.
    new_cluster.sql("postgres", "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' "
                                "AND rolname <> 'postgres' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP; END $$")


def load(pg, database, path):
    """as docs/formats.md says; ON_ERROR_STOP makes sure of it"""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    subprocess.run([str(pg.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.uri(database)], input=text, check=True,
                   stdout=subprocess.DEVNULL)


def load_globals(pg, path):
    """the role that the new cluster was made with is there, and so is the tablespace"""
    text = gzip.decompress(path.read_bytes()).decode()
    kept = [line for line in text.splitlines() if not line.startswith(("CREATE ROLE postgres;", "CREATE TABLESPACE "))]
    subprocess.run([str(pg.bindir / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", pg.uri("postgres")], input="\n".join(kept), text=True,
                   check=True, stdout=subprocess.DEVNULL)


def make_roles(pg):
    for statement in ROLES:
        pg.sql("postgres", statement)


def is_the_same(pg, other):
    assert other.sql("postgres", WHAT_IT_IS) == pg.sql("postgres", WHAT_IT_IS) != ""


@pytest.mark.parametrize("keys", ["", "compression=none"])
def test_a_plain_backup_makes_the_same_database(saved, pg, target, keys):
    path = dump(saved, f"format=plain {keys}")
    load_globals(target, beside(path, "globals.sql.gz"))
    load(target, "postgres", beside(path, "database.sql.gz"))
    is_the_same(pg, target)
    load(target, URI, path)
    assert everything.plain_digest(target, URI) == everything.plain_digest(pg, URI)
    is_the_same(pg, target)


@pytest.mark.parametrize("keys", ["content=schema", "tables=public.things", "exclude_table_data=public.things", "globals=no"])
def test_so_does_a_part_of_one(saved, pg, target, keys):
    """whoever makes the roles in another way has all that the database is"""
    path = dump(saved, f"format=plain {keys}")
    make_roles(target)
    load(target, "postgres", beside(path, "database.sql.gz"))
    is_the_same(pg, target)
    load(target, URI, path)
    assert target.sql(URI, "SELECT count(*) FROM public.things") == ("0" if "content" in keys or "exclude" in keys else "9")


@pytest.mark.parametrize("keys", ["format=custom", "format=custom content=schema", "format=custom tables=public.things", "format=directory jobs=2"])
def test_archives_have_it_inside(saved, pg, target, keys):
    path = dump(saved, keys)
    assert not beside(path, "database.sql.gz").exists()
    make_roles(target)
    target.tool("pg_restore", "-e", "-C", "-d", target.uri("postgres"), path)
    is_the_same(pg, target)


def test_it_holds_the_database_and_nothing_in_it(saved, pg, shop):
    path = dump(saved, "format=plain")
    text = gzip.decompress(beside(path, "database.sql.gz").read_bytes()).decode()
    made = [line.split()[0:2] for line in text.splitlines() if line.startswith(("CREATE", "ALTER", "GRANT", "REVOKE", "COMMENT", "COPY"))]
    assert ["CREATE", "DATABASE"] in made
    assert {tuple(words) for words in made} <= {("CREATE", "DATABASE"), ("ALTER", "DATABASE"), ("ALTER", "ROLE"), ("COMMENT", "ON"), ("REVOKE", "CONNECT,TEMPORARY"),
                                                ("REVOKE", "ALL"), ("GRANT", "CONNECT"), ("GRANT", "TEMPORARY"), ("GRANT", "CREATE"), ("GRANT", "TEMPORARY,CONNECT"),
                                                ("GRANT", "CONNECT,TEMPORARY")}, made
    assert "things" not in text and "all_of_it" not in text
    line = [line for line in (path.parent / "SHA256SUMS").read_text().splitlines() if line.endswith(beside(path, "database.sql.gz").name)]
    assert len(line) == 1


def test_its_settings_are_for_the_owner_alone(saved):
    """ALTER ROLE … IN DATABASE … SET may hold a key"""
    path = dump(saved, "format=plain")
    assert "it''s secret" in gzip.decompress(beside(path, "database.sql.gz").read_bytes()).decode()
    assert stat.S_IMODE(beside(path, "database.sql.gz").stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    saved.unmount()
    for file in saved.state.glob("catalog.db*"):
        file.unlink()
    saved.run("rebuild")
    saved.mount()
    assert stat.S_IMODE(beside(path, "database.sql.gz").stat().st_mode) == 0o600


def test_rows_alone_are_for_a_database_that_is_there(saved):
    assert not beside(dump(saved, "format=plain content=data"), "database.sql.gz").exists()
