# SPDX-License-Identifier: Apache-2.0
"""keepfs init --quick: from nothing to a first backup, or what is wrong and a file that can be mended."""
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import tempfile

import pytest

import daemon
import postgres
import stores


class Newcomer:
    """somebody with a home directory and a PostgreSQL, and no configuration"""

    def __init__(self, home, uid=None):
        self.home, self.uid = home, uid
        self.conf = home / "keepfs.conf"
        self.env = {**daemon.clean_environment(), "HOME": str(home)}
        self.ask = ["-c", str(self.conf), "--state-dir", str(home / "state"), "-m", str(home / "mnt")]

    def as_user(self):
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"] if self.uid else []

    def quick(self, *arguments, ask=None, **env):
        return self.run(daemon.PROGRAM, "init", "--quick", *(self.ask if ask is None else ask), *map(str, arguments), **env)

    def run(self, *command, **env):
        done = subprocess.run([*self.as_user(), *command], env={**self.env, **env}, cwd=self.home, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=daemon.DEADLINE_S)
        assert "Sanitizer" not in done.stderr, done.stderr
        return done


def next_lines(done):
    """the lines to go on with: commands, as they are to be pasted"""
    return [line.strip() for line in done.stdout.partition("\nNext:")[2].splitlines()[1:]]


@pytest.fixture
def newcomer(tmp_path):
    return Newcomer(tmp_path)


@pytest.fixture
def home():
    """a directory of the user nobody"""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-home-"))
    os.chown(directory, 65534, 65534)
    yield directory
    assert subprocess.run(["mountpoint", "-q", str(directory / "keep")]).returncode != 0
    shutil.rmtree(directory)


def naming(server):
    """the environment that names it"""
    return {"PGHOST": str(server.directory), "PGPORT": str(server.port), "PGUSER": "postgres"}


@pytest.fixture(scope="module")
def named(pg):
    return naming(pg)


def unmount(path):
    subprocess.run(["fusermount3", "-u", str(path)], check=True)


@pytest.fixture
def far(own_pg):
    """the database whose data are the most, with a name that a shell and libpq would take apart; on a server of its own, because
    other tests make larger ones on the server of the session"""
    name = "the largest 'one'; $HOME"
    own_pg.create(name)
    postgres.fill_noise(own_pg, name, 40)
    own_pg.sql(name, "CREATE TABLE told (id int); INSERT INTO told SELECT generate_series(1, 7)")
    return name


def test_what_it_prints_can_be_pasted(newcomer, own_pg, far):
    """mount, list, cp, restore: each line as it is, in a shell, for the database that it has chosen"""
    named = naming(own_pg)
    done = newcomer.quick(newcomer.home / "objects", **named)
    assert done.returncode == 0, done.stdout + done.stderr
    assert far in done.stdout and "ok   store" in done.stdout
    assert stat.S_IMODE(newcomer.conf.stat().st_mode) == 0o600
    assert f"url = dir:{newcomer.home}/objects" in newcomer.conf.read_text()
    mount, listing, copy, restore, boot = next_lines(done)
    assert "schedule = daily-2am\n" in newcomer.conf.read_text() and "keep_daily = 7\n" in newcomer.conf.read_text()
    assert boot == (f"echo '{newcomer.conf} {newcomer.home}/mnt fuse.keepfs _netdev,nofail 0 0' >>/etc/fstab" if os.geteuid() == 0 else
                    f"(crontab -l; echo '@reboot keepfs mount -c {newcomer.conf}') | crontab -")
    assert mount.startswith("keepfs mount -c ") and "pg_restore" in restore
    environment = {**named, "PATH": f"{pathlib.Path(daemon.PROGRAM).parent}:{own_pg.bindir}:{os.environ['PATH']}"}
    try:
        for line in (mount, listing, copy, restore):
            ran = newcomer.run("bash", "-ec", line, **environment)
            assert ran.returncode == 0, line + ran.stdout + ran.stderr
        (name,) = [path.name for path in newcomer.home.glob("*.dump")]
        assert name in newcomer.run("bash", "-ec", listing).stdout
        assert own_pg.sql(f"{far}_restored", "SELECT count(*), sum(id) FROM told") == "7|28"
    finally:
        unmount(newcomer.home / "mnt")


def test_the_file_is_enough(newcomer, pg, named):
    """whoever reads it later has another environment"""
    done = newcomer.quick("--database", "sample", **named)
    assert done.returncode == 0, done.stdout + done.stderr
    assert newcomer.run(daemon.PROGRAM, "check", "-c", str(newcomer.conf)).returncode == 0
    done = newcomer.run(daemon.PROGRAM, "run", "full", "-c", str(newcomer.conf))
    assert done.returncode == 0, done.stderr
    assert "dbname=sample\n" in newcomer.conf.read_text()


def test_other_databases_are_named(newcomer, pg, named):
    pg.create("left out")
    try:
        done = newcomer.quick("--database", "sample", **named)
        assert re.search(r"not backed up by this: database left out, ", done.stdout), done.stdout
        assert re.search(r"# The server has more databases: .*left out", newcomer.conf.read_text())
    finally:
        pg.drop("left out")


def test_nothing_is_overwritten(newcomer, named):
    newcomer.conf.write_text("# mine\n")
    done = newcomer.quick("--database", "sample", **named)
    assert done.returncode == 1 and "--force" in done.stderr and "Nothing was changed" in done.stderr
    assert newcomer.conf.read_text() == "# mine\n" and not (newcomer.home / "state").exists()
    assert newcomer.quick("--force", "--database", "sample", **named).returncode == 0
    assert "# mine" not in newcomer.conf.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_as_a_normal_user(home, pg, named):
    """in places of his own, with no option at all"""
    newcomer = Newcomer(home, uid=65534)
    done = newcomer.quick("--database", "sample", ask=[], **named)
    conf = home / ".config/keepfs/keepfs.conf"
    assert done.returncode == 0, done.stdout + done.stderr
    assert conf.stat().st_uid == 65534 and stat.S_IMODE(conf.stat().st_mode) == 0o600
    text = conf.read_text()
    assert f"mountpoint = {home}/keep\n" in text and f"state_dir = {home}/.local/state/keepfs\n" in text
    if stat.S_IMODE(os.stat("/dev/fuse").st_mode) & 0o006 != 0o006:
        assert "FAIL fuse" in done.stdout and next_lines(done)[0].startswith("ls -l ")
        return
    mount, listing, *_ = next_lines(done)
    assert mount == "keepfs mount"  # finds the file by itself
    path = f"{pathlib.Path(daemon.PROGRAM).parent}:{os.environ['PATH']}"
    ran = newcomer.run("bash", "-ec", f"{mount} && {listing}", PATH=path)
    try:
        assert ran.returncode == 0, ran.stderr
        assert ".dump" in ran.stdout
    finally:
        newcomer.run("fusermount3", "-u", str(home / "keep"))


def test_a_server_is_found_by_its_socket(newcomer):
    """in /tmp, with nothing in the environment but the port, which keeps other servers of this machine out of it"""
    server = postgres.Postgres("unix_socket_directories = '/tmp'\n")
    try:
        found = f"host=/tmp port={server.port} user=postgres"
        server.tool("psql", "-q", "-d", found + " dbname=postgres", "-c", "CREATE DATABASE shop")
        server.tool("psql", "-q", "-d", found + " dbname=shop", "-c", "CREATE TABLE t AS SELECT generate_series(1, 100000) i")
        done = newcomer.quick(PGPORT=str(server.port))
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"the socket in /tmp, port {server.port}" in done.stdout
        text = newcomer.conf.read_text()
        assert re.search(rf"^database = host=/tmp port={server.port}( user=postgres)? dbname=shop$", text, re.M), text
    finally:
        server.remove()


def test_no_server(newcomer):
    port = postgres.free_port()
    done = newcomer.quick(PGPORT=str(port))
    assert done.returncode == 1, done.stdout
    for place in ("/tmp", "localhost", str(port), "PGHOST", "--database", "Nothing was written"):
        assert place in done.stderr, done.stderr
    assert os.listdir(newcomer.home) == []


def test_a_socket_of_anybody_is_not_asked(newcomer):
    """in /tmp anybody can pose as the server, and be told a password"""
    if os.getuid() != 0:
        pytest.skip("only root can make a socket of somebody else")
    port = postgres.free_port()
    path = pathlib.Path(f"/tmp/.s.PGSQL.{port}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        try:
            os.chown(path, 65534, 65534)
            listener.listen()
            listener.setblocking(False)
            done = newcomer.quick(PGPORT=str(port), PGPASSWORD="secret")
            with pytest.raises(BlockingIOError):
                listener.accept()
            os.chown(path, 0, 0)
            listener.settimeout(daemon.DEADLINE_S)
            asked = subprocess.Popen([daemon.PROGRAM, "init", "--quick", *newcomer.ask], env={**newcomer.env, "PGPORT": str(port)},
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            listener.accept()[0].close()
            listener.close()
            asked.wait(daemon.DEADLINE_S)
        finally:
            path.unlink()
    assert done.returncode == 1 and not newcomer.conf.exists()
    assert f"the socket in /tmp, port {port}: not asked, since it belongs to nobody (uid 65534)" in done.stderr
    assert f"--database 'host=/tmp port={port} dbname=" in done.stderr and "secret" not in done.stderr


def test_a_server_that_is_named_and_not_there(newcomer):
    done = newcomer.quick(PGHOST="/nowhere/at/all")
    assert done.returncode == 1
    assert "PGHOST=/nowhere/at/all" in done.stderr and "Nothing was written" in done.stderr and "/tmp:" not in done.stderr


def test_a_server_that_refuses(newcomer, pg, named):
    done = newcomer.quick(**{**named, "PGUSER": "nobody_knows_me"})
    assert done.returncode == 1
    assert "does not let us in" in done.stderr and "nobody_knows_me" in done.stderr
    text = newcomer.conf.read_text()
    assert f"host={pg.directory}" in text and "user=nobody_knows_me" in text
    newcomer.conf.write_text(text.replace("user=nobody_knows_me", "user=postgres").replace("dbname=postgres", "dbname=sample"))
    assert newcomer.run(daemon.PROGRAM, "run", "full", "-c", str(newcomer.conf)).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes the server's user, which only root may without a password")
def test_the_way_in_can_be_pasted(newcomer, pg, named):
    """a role that is not there: the line that makes it, and once more"""
    role = "quick_newcomer"
    environment = {**named, "PGUSER": role}
    done = newcomer.quick("--database", "sample", **environment)
    assert done.returncode == 1
    (line,) = [line.strip() for line in done.stderr.splitlines() if line.startswith("  keepfs check --fix")]
    try:
        ran = newcomer.run("bash", "-o", "pipefail", "-c", line, **environment, PATH=f"{pathlib.Path(daemon.PROGRAM).parent}:{os.environ['PATH']}")
        assert "ALTER ROLE" in ran.stdout + ran.stderr, ran.stderr
        done = newcomer.quick("--force", "--database", "sample", **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"user={role}" in newcomer.conf.read_text()
    finally:
        pg.sql("sample", f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_password_stays_out_of_the_file(newcomer, pg):
    done = newcomer.quick("--database", "sample", PGHOST="127.0.0.1", PGPORT=str(pg.port), PGUSER="postgres", PGPASSWORD=postgres.PASSWORD)
    assert done.returncode == 0, done.stderr
    assert postgres.PASSWORD not in newcomer.conf.read_text() + done.stdout + done.stderr
    assert ".pgpass" in newcomer.conf.read_text()


@pytest.mark.parametrize("arguments, words", [(["--database", "no_such"], ["no_such", "sample"]), (["ftp://x"], ["ftp://x", "s3://BUCKET"]),
                                              (["/a", "/b"], ["one URL"]), (["relative"], ["dir:/PATH"])])
def test_asked_for_what_cannot_be(newcomer, named, arguments, words):
    done = newcomer.quick(*arguments, **named)
    assert done.returncode != 0 and all(word in done.stderr for word in words), done.stderr
    assert not newcomer.conf.exists()


def test_a_connection_string(newcomer, pg):
    done = newcomer.quick("--database", pg.uri("sample"))
    assert done.returncode == 0, done.stderr
    assert f"database = {pg.uri('sample')}\n" in newcomer.conf.read_text()


def test_a_store_that_cannot_be_written(newcomer, named):
    """the file stays, and works when that is mended"""
    done = newcomer.quick("/proc/keepfs-objects", "--database", "sample", **named)
    assert done.returncode == 1
    assert "FAIL store" in done.stdout and "keepfs check -c" in done.stderr and "keepfs run full -c" in done.stderr
    newcomer.conf.write_text(newcomer.conf.read_text().replace("/proc/keepfs-objects", f"{newcomer.home}/objects"))
    assert newcomer.run(daemon.PROGRAM, "run", "full", "-c", str(newcomer.conf)).returncode == 0


def test_without_fuse(newcomer, pg, named):
    """a first backup all the same, and lines that need no mount"""
    if os.geteuid() != 0:
        pytest.skip("hides the device, which only root may")
    hidden = newcomer.home / "fuse"
    hidden.write_text("")
    hidden.chmod(0)
    done = newcomer.run("unshare", "-m", "sh", "-ec", f"mount --bind {hidden} /dev/fuse; exec setpriv --bounding-set -sys_admin "
                        f"--inh-caps -sys_admin {daemon.PROGRAM} init --quick {' '.join(newcomer.ask)} --database sample", **named)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL fuse" in done.stdout
    listing, copy, restore, nightly = next_lines(done)
    assert nightly == f"(crontab -l; echo '0 2 * * * keepfs run full -c {newcomer.conf}') | crontab -"
    environment = {**named, "PATH": f"{pg.bindir}:{os.environ['PATH']}"}
    try:
        for line in (listing, copy, restore):
            ran = newcomer.run("bash", "-ec", line, **environment)
            assert ran.returncode == 0, line + ran.stdout + ran.stderr
        assert pg.sql("sample_restored", "SELECT count(*) FROM sales.orders") == "20000"
    finally:
        pg.drop("sample_restored")


def s3_environment(server):
    facts = server.facts
    return {"AWS_ENDPOINT_URL": facts["ENDPOINT"], "AWS_REGION": facts["REGION"], "AWS_ACCESS_KEY_ID": facts["ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": facts["SECRET_KEY"]}


def test_a_bucket(newcomer, s3_servers, named):
    server = s3_servers("ceph")
    store = stores.S3Store(server, f"quick-{newcomer.home.name}")
    try:
        done = newcomer.quick(f"s3://{stores.BUCKET}/{store.prefix}", "--database", "sample", **named, **s3_environment(server))
        assert done.returncode == 0, done.stdout + done.stderr
        text = newcomer.conf.read_text()
        assert f"endpoint = {server.facts['ENDPOINT']}\n" in text and "allow_http = yes" in text
        assert server.facts["SECRET_KEY"] not in text + done.stdout + done.stderr and "AWS_ACCESS_KEY_ID" in text
        assert any(key.endswith(".dump.json") for key in store.keys())
    finally:
        store.clear()


def test_a_bucket_that_is_missing(newcomer, s3_servers, named):
    server = s3_servers("ceph")
    done = newcomer.quick("s3://no-such-bucket/prefix", "--database", "sample", **named, **s3_environment(server))
    assert done.returncode == 1
    assert re.search("FAIL store: .*no-such-bucket", done.stdout), done.stdout
    assert "url = s3://no-such-bucket/prefix" in newcomer.conf.read_text()
