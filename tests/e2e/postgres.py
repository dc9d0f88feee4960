# SPDX-License-Identifier: Apache-2.0
"""A throw-away PostgreSQL: a cluster of its own in a temporary directory, on a unix socket and a free port of 127.0.0.1."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import daemon

PASSWORD = "correct horse"


def newest_bindir():
    """of Debian's; KEEPFS_TEST_PG_BINDIR names another one, for a test against a version that Debian does not have"""
    if daemon.PG_BINDIR:
        return pathlib.Path(daemon.PG_BINDIR)
    found = [p for p in pathlib.Path("/usr/lib/postgresql").glob("*/bin") if (p / "initdb").exists()]
    return max(found, key=lambda p: int(p.parent.name), default=None)


@contextlib.contextmanager
def locale_path(name):
    """a directory for LOCPATH, with the locale @name in UTF-8"""
    directory = tempfile.mkdtemp(prefix="keepfs-locale-")
    try:
        os.chmod(directory, 0o755)
        subprocess.run(["localedef", "-i", name, "-f", "UTF-8", f"{directory}/{name}.UTF-8"], check=True)
        yield directory
    finally:
        shutil.rmtree(directory)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quick_base():
    """where servers have their files: in memory, where there is enough of it, because the file system of a disk computes three times as long
    for each database that comes and goes. None: where temporary files are"""
    base = "/dev/shm"
    if not os.access(base, os.W_OK) or shutil.disk_usage(base).free < 4 << 30:
        return None
    available = next(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return base if available > 6 << 20 else None


class Postgres:
    def __init__(self, settings="", environment=None, directory=None, copy_of=None, bindir=None):
        """@settings: lines for postgresql.conf; @environment: the server's, on top of ours; @directory: an empty one, to be used; @copy_of: the
        directory of a server that was shut down, to begin with what it has: initdb computes for a second, and so does whatever fills a database; @bindir: programs of another version"""
        self.settings = settings
        self.copy_of = copy_of
        self.environment = {**os.environ, **(environment or {})}
        self.bindir = bindir or newest_bindir()
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="keepfs-pg-", dir=quick_base()))
        self.port = free_port()
        self.data = self.directory / "data"
        os.chmod(self.directory, 0o755)
        if self.as_user:
            shutil.chown(self.directory, "postgres")
        try:
            self._create()
        except BaseException:
            self.remove()
            raise

    def _run(self, program, *arguments):
        done = subprocess.run([*self.as_user, str(self.bindir / program), *map(str, arguments)], cwd="/",
                              env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")

    def _create(self):
        if self.copy_of:
            subprocess.run(["cp", "-a", "--reflink=auto", str(self.copy_of / "data"), str(self.data)], check=True)
            (self.data / "server.log").unlink()
        else:
            self._initdb()
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                       f"unix_socket_directories = '{self.directory}'\n"
                       "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nshared_buffers = 64MB\n"
                       "max_wal_size = 512MB\nautovacuum = off\n" + self.settings)
        (self.data / "pg_hba.conf").write_text("local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.start()

    def _initdb(self):
        password = self.directory / "password"
        password.write_text(PASSWORD + "\n")
        os.chmod(password, 0o644)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--pwfile", password, "-E", "UTF8",
                  "--locale=C.UTF-8", "--no-sync", "--wal-segsize=1")

    def set(self, text):
        """further lines for postgresql.conf, which win; read when the server starts"""
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(text)

    def start(self):
        # pg_ctl's own output goes to a file: the server would keep a pipe open.
        with open(self.directory / "pg_ctl.log", "wb") as log:
            subprocess.run([*self.as_user, str(self.bindir / "pg_ctl"), "-D", str(self.data), "-w", "-t", "60", "-l",
                            str(self.data / "server.log"), "start"], cwd="/", env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                           stderr=log, check=True)

    def stop(self, mode="immediate"):
        self._run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def running(self):
        return (self.data / "postmaster.pid").exists()

    def answers(self):
        return subprocess.run([str(self.bindir / "pg_isready"), "-q", "-d", self.uri("postgres")], check=False).returncode == 0

    def remove(self):
        if self.running():
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def uri(self, database, user="postgres"):
        """over the unix socket, where everybody is trusted"""
        return f"postgresql:///{database}?host={self.directory}&port={self.port}&user={user}"

    def uri_tcp(self, database, password=PASSWORD, user="postgres"):
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def tool(self, name, *arguments, **options):
        try:
            return subprocess.run([str(self.bindir / name), *map(str, arguments)], check=True, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options).stdout
        except subprocess.CalledProcessError as error:
            error.add_note(f"{name}: {error.stderr}")  # the exception itself does not say why
            raise

    def sql(self, database, text):
        return self.tool("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.uri(database), "-c", text).strip()

    def create(self, database, template=None):
        self.sql("postgres", f'CREATE DATABASE "{database}"' + (f' TEMPLATE "{template}"' if template else ""))

    def drop(self, database):
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def fingerprint(self, database):
        """{table: (rows, hash of all rows)} and the large objects: what a restore must bring back"""
        tables = self.sql(database, "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
                                    "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1").splitlines()
        facts = {t: self.sql(database, f"SELECT count(*), md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))) FROM {t} r")
                 for t in tables}
        facts["large objects"] = self.sql(database, "SELECT count(*), md5(string_agg(md5(lo_get(oid)), '' ORDER BY oid)) "
                                                    "FROM pg_largeobject_metadata")
        facts["policies"] = self.sql(database, "SELECT string_agg(schemaname || tablename || policyname, ',') FROM pg_policies")
        return facts

    def lock(self, database, table):
        """a session that holds a table exclusively: pg_dump waits for it as long as it lasts (use as a context)"""
        return TableLock(self, database, table)


class Standby(Postgres):
    """a copy of a server, which follows it"""

    def __init__(self, primary, settings=""):
        self.primary = primary
        super().__init__(settings)

    def _create(self):
        self._run("pg_basebackup", "-R", "-c", "fast", "--no-sync", "-D", self.data, "-d", self.primary.uri(""))
        self.set(f"port = {self.port}\nunix_socket_directories = '{self.directory}'\n{self.settings}")
        self.start()

    def catch_up(self):
        position = self.primary.sql("postgres", "SELECT pg_current_wal_lsn()")
        daemon.wait_until(lambda: self.sql("postgres", f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == "t", "the standby to catch up")


class Pooler:
    """PgBouncer before a server, on a unix socket of its own"""
    PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

    def __init__(self, server, mode, size=20, wait_s=120):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-pgb-"))
        self.port = free_port()
        conf = self.directory / "pgbouncer.ini"
        conf.write_text(f"[databases]\n* = host={server.directory} port={server.port} user=postgres\n[pgbouncer]\nlisten_addr =\n"
                        f"listen_port = {self.port}\nunix_socket_dir = {self.directory}\nauth_type = any\npool_mode = {mode}\n"
                        f"default_pool_size = {size}\nmax_client_conn = 100\nquery_wait_timeout = {wait_s}\n")
        os.chmod(self.directory, 0o755)
        if server.as_user:
            shutil.chown(self.directory, "postgres")
        with open(self.directory.with_suffix(".log"), "wb") as log:
            self.process = subprocess.Popen([self.PROGRAM, str(conf)], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            **({"user": "postgres"} if server.as_user else {}))
        socket_file = self.directory / f".s.PGSQL.{self.port}"
        daemon.wait_until(lambda: socket_file.exists() or self.process.poll() is not None, "pgbouncer to listen")
        if self.process.poll() is not None:
            words = self.directory.with_suffix(".log").read_text()
            self.remove()
            raise RuntimeError(f"pgbouncer: {words}")

    def uri(self, database):
        return f"postgresql:///{database}?host={self.directory}&port={self.port}&user=postgres"

    def remove(self):
        self.process.terminate()
        self.process.wait()
        self.directory.with_suffix(".log").unlink()
        shutil.rmtree(self.directory, ignore_errors=True)


class TableLock:
    def __init__(self, postgres, database, table):
        self.postgres, self.database, self.table = postgres, database, table

    def __enter__(self):
        self.psql = subprocess.Popen([str(self.postgres.bindir / "psql"), "-X", "-q", "-A", "-t", "-d",
                                      self.postgres.uri(self.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write(f"BEGIN; LOCK TABLE {self.table} IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline().strip() == "locked"
        return self

    def wait_until_waited_for(self):
        """until another session waits for the table"""
        daemon.wait_until(lambda: self.postgres.sql(self.database, "SELECT pid FROM pg_locks WHERE NOT granted AND relation = "
                                                                   f"'{self.table}'::regclass"), f"a session to wait for {self.table}")

    def release(self):
        if self.psql:
            self.psql.communicate("ROLLBACK;\n")
            self.psql = None

    def __exit__(self, *_):
        self.release()


SAMPLE = """
CREATE SCHEMA sales; CREATE SCHEMA archive;
CREATE TABLE public.orgs (id int PRIMARY KEY, slug text NOT NULL UNIQUE);
INSERT INTO public.orgs SELECT i, 'org-' || i FROM generate_series(1, 20) i;
CREATE TABLE sales.orders (id bigint PRIMARY KEY, org_id int NOT NULL REFERENCES public.orgs, note text, amount numeric(12,2));
INSERT INTO sales.orders SELECT i, 1 + i % 20, md5(i::text) || 'äöü 漢字', i / 7.0 FROM generate_series(1, 20000) i;
ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_org ON sales.orders USING (org_id = current_setting('app.org', true)::int);
CREATE TABLE archive."odd name, 1" (id serial PRIMARY KEY, body bytea);
INSERT INTO archive."odd name, 1" (body) SELECT decode(md5(i::text), 'hex') FROM generate_series(1, 500) i;
CREATE TABLE public.nothing (id int);
CREATE VIEW sales.totals AS SELECT org_id, sum(amount) FROM sales.orders GROUP BY org_id;
SELECT lo_from_bytea(0, decode(string_agg(md5(i::text), ''), 'hex')) FROM generate_series(1, 8000) i;
"""


def fill_noise(postgres, database, megabytes):
    """rows that do not compress: the dump is about as large"""
    postgres.sql(database, "CREATE TABLE public.noise (id int PRIMARY KEY, body bytea)")
    postgres.sql(database, "ALTER TABLE public.noise ALTER body SET STORAGE EXTERNAL")
    postgres.sql(database, "INSERT INTO public.noise SELECT n, (SELECT decode(string_agg(md5(i::text || '/' || n), ''), 'hex') "
                           f"FROM generate_series(1, 4096) i) FROM generate_series(1, {megabytes * 16}) n")


@contextlib.contextmanager
def with_sample(settings=""):
    """a server with the database `sample`, for as long as it is needed"""
    server = Postgres(settings)
    try:
        server.create("sample")
        server.sql("sample", SAMPLE)
        yield server
    finally:
        server.remove()
