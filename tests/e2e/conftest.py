# SPDX-License-Identifier: Apache-2.0
import datetime
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import pytest

import clocks as moved
import daemon
import everything
import postgres
import receivers
import stores


def pytest_configure(config):
    config.addinivalue_line("markers", "slow(quicker): takes more than 15 s, and the test called `quicker` keeps the promise, too; "
                                       "`tools/test all` runs it")
    # Whoever stops the tests (a time limit, say) leaves no server behind: like Ctrl-C, it ends in the fixtures' clean-up.
    # Ctrl-C itself is ignored by what a shell started in the background, unless it says otherwise.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    reason = None
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        reason = "/dev/fuse cannot be opened"
    elif postgres.newest_bindir() is None:
        reason = "no PostgreSQL server is installed (tools/setup test)"
    elif not os.access(daemon.PROGRAM, os.X_OK):
        reason = f"{daemon.PROGRAM} is not built (tools/build)"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def begun_here(files, claims):
    """the tests of each file that nobody has begun yet: making a directory succeeds for one process only"""
    for path, items in files.items():
        try:
            (claims / path.name).mkdir()
        except FileExistsError:
            continue
        yield items


def pytest_runtestloop(session):
    """several processes share the files: whichever is free takes the next that none has begun (tools/test says where they agree)"""
    claims = os.environ.get("KEEPFS_E2E_CLAIMS")
    if not claims or session.testsfailed or session.config.option.collectonly:
        return None  # pytest's own loop
    files = {}
    for item in session.items:
        files.setdefault(item.path, []).append(item)
    for items in begun_here(files, pathlib.Path(claims)):
        # After the last test of a file its fixtures end, and those of the session do not: which file comes next is not known yet.
        stranger = next((item for item in session.items if item.path != items[0].path), None)
        for item, following in zip(items, [*items[1:], stranger]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    return True


@pytest.fixture(scope="session")
def pg():
    """a PostgreSQL for the session, with the database `sample` of a few MB"""
    with postgres.with_sample() as server:
        yield server


@pytest.fixture(scope="session")
def noise(pg):
    """a database whose dump is some 32 MB: several parts of an upload"""
    pg.create("noise")
    postgres.fill_noise(pg, "noise", 32)
    return "noise"


@pytest.fixture(scope="session")
def with_everything(pg):
    """the database of everything, once for all tests that only read it"""
    with everything.extension(pg) as has_extension:
        everything.build(pg, "everything", has_extension)
        yield everything.Original(pg, "everything")


@pytest.fixture
def scratch(pg):
    """an empty database to restore into"""
    name = f"scratch_{uuid.uuid4().hex[:12]}"
    pg.create(name)
    yield name
    pg.drop(name)


@pytest.fixture
def target(pg):
    """a name for a database that is not there; whatever became of it is dropped"""
    name = f"restored_{os.getpid()}"
    yield name
    for found in pg.sql("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'").splitlines():
        pg.sql("postgres", f'ALTER DATABASE "{found}" CONNECTION LIMIT -1')
        try:
            everything.empty(pg, found)
        except subprocess.CalledProcessError:
            pass
        pg.drop(found)


@pytest.fixture(scope="session")
def made_pg():
    """the directory of a server with the database `sample` that was shut down; it is copied for each test that has one of its own"""
    with postgres.with_sample() as server:
        server.stop("fast")
        yield server.directory


@pytest.fixture
def own_pg(made_pg):
    """a server of the test's own, which it may stop"""
    server = postgres.Postgres(copy_of=made_pg)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def s3_servers():
    """S3 servers by kind, each started when it is first asked for"""
    started = {}

    def server(kind):
        if kind not in started:
            program = {"ceph": "radosgw", "swift": "swift-proxy-server"}[kind]
            if not shutil.which(program):
                pytest.skip(f"{program} is not installed (tools/setup test)")
            started[kind] = stores.S3Server(kind)
        return started[kind]

    yield server
    for one in started.values():
        one.stop()


@pytest.fixture
def store(request, tmp_path):
    """an empty store: of the kind that the test's parameter names, else a directory"""
    kind = getattr(request, "param", "dir")
    if kind == "dir":
        made = stores.DirStore(tmp_path / "objects")
    else:
        made = stores.S3Store(request.getfixturevalue("s3_servers")(kind), f"test-{uuid.uuid4().hex[:12]}")
    yield made
    made.clear()


@pytest.fixture
def new_keepfs(tmp_path, store, pg):
    """make a Keepfs (not mounted); each is held to leaving nothing behind"""
    made = []

    def make(jobs=None, store=store, directory=None, **settings):
        where = pathlib.Path(directory or tmp_path)
        where.mkdir(exist_ok=True)
        one = daemon.Keepfs(where, store, jobs or {"full": {"database": pg.uri("sample")}}, **settings)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def drill_dir():
    """where throw-away servers are made: one of its own, since one at a time works there. The server runs as another user, who must be able to pass"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-drill-", dir=postgres.quick_base() or "/var/tmp"))
    os.chmod(path, 0o711)
    yield path
    left = [name for _, directories, files in os.walk(path) for name in directories + files if name not in ("exports", "lock")]
    shutil.rmtree(path)
    assert left == []


@pytest.fixture
def keepfs(new_keepfs):
    """a mounted keepfs with one job `full` over the database `sample`"""
    return new_keepfs().mount()


@pytest.fixture
def in_memory(tmp_path):
    """a directory that waits for no disk, where there is one: each run waits for it a dozen times"""
    base = "/dev/shm"
    if not os.access(base, os.W_OK) or shutil.disk_usage(base).free < 256 << 20:
        yield tmp_path
        return
    made = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-year-", dir=base))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def clocks(tmp_path):
    """clocks that the test moves; it is noon, on a Sunday"""
    made = moved.Clocks(tmp_path / "clocks", datetime.datetime(2030, 12, 1, 12, tzinfo=datetime.timezone.utc))
    moved.work_here(made)
    yield made
    made.close()


@pytest.fixture
def one_day():
    """for tests that look at the date more than once: there is no midnight (in UTC) in the next two minutes"""
    if time.time() % 86400 > 86400 - 120:
        daemon.wait_until(lambda: time.time() % 86400 < 86400 - 120, "midnight", deadline_s=180, pause_s=0.2)


@pytest.fixture
def web():
    server = receivers.WebServer()
    yield server
    server.stop()
