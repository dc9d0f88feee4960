# SPDX-License-Identifier: Apache-2.0
"""A whole deployment, brought back from one bundle: its database, its uploads, its configuration, and what is secret."""
import json
import os
import re
import pty
import select
import shutil
import subprocess
import sys

import pytest

import daemon
from test_bundle import identity, log_of, newest, recipient  # noqa: F401 (a fixture)
from test_mirror import MIB, Directory, foreign  # noqa: F401 (a fixture)
from test_mirror_back import files_below

DATABASE, NAME = "rbundle_shop", "acme.example.com"
EVERYTHING = """SELECT (SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o), (SELECT md5(string_agg(c::text, ',' ORDER BY id)) FROM customers c),
    (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)"""


class Deployment:
    """a small one: what a restore is held against is what it was when @remember() was called"""

    def __init__(self, pg, root):
        self.pg, self.root = pg, root
        for name in ("uploads/a/b", "config", "secrets/certs"):
            (root / name).mkdir(parents=True)
        for number in range(20):
            (root / "uploads" / "a" / f"{number}.bin").write_bytes(os.urandom(5000))
        (root / "uploads" / "a" / "b" / "späße.txt").write_text("ü")
        (root / "config" / "site.conf").write_text("listen 80\n")
        (root / "secrets" / "env").write_text("DATABASE_URL=postgres://app:hunter2@db/shop\nAPI_KEY=k-1234\nLOG_LEVEL=info\n")
        (root / "secrets" / "certs" / "site.key").write_text("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg==\n-----END PRIVATE KEY-----\n")
        os.chmod(root / "secrets" / "env", 0o600)
        self.fill()

    def fill(self):
        self.pg.create(DATABASE)
        self.pg.sql(DATABASE, """
            CREATE TABLE customers (id int PRIMARY KEY, name text);
            INSERT INTO customers SELECT g, md5(g::text) FROM generate_series(1, 100) g;
            CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, note text);
            INSERT INTO orders SELECT g, 1 + g % 100, repeat(md5(g::text), 20) FROM generate_series(1, 2000) g
            """)

    def jobs(self, **bundle):
        return {"database": {"database": self.pg.uri(DATABASE)},
                "files uploads": {"path": self.root / "uploads"},
                "files config": {"path": self.root / "config"},
                "files secrets": {"path": self.root / "secrets", "secret": "yes"},
                "bundle site": {"parts": "uploads, config, secrets, database", "name": NAME, "allow_plain_secrets": "yes", **bundle}}

    def files(self):
        found = {}
        for path in sorted(self.root.rglob("*")):
            stat = path.lstat()
            found[str(path.relative_to(self.root))] = (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime_ns, path.read_bytes() if path.is_file() else None)
        return found

    def state(self):
        return self.files(), self.pg.sql(DATABASE, EVERYTHING)

    def destroy(self):
        self.pg.drop(DATABASE)
        for name in ("uploads", "config", "secrets"):
            shutil.rmtree(self.root / name)

    def drop_all(self):
        for found in self.pg.sql("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}%'").splitlines():
            self.pg.sql("postgres", f'ALTER DATABASE "{found}" CONNECTION LIMIT -1')
            self.pg.drop(found)


@pytest.fixture
def site(pg, tmp_path):
    made = Deployment(pg, tmp_path / "site")
    yield made
    made.drop_all()


def failed(keepfs, words, command="restore"):
    """(its error, its log)"""
    run = int(keepfs.ask(command, words).split()[0])
    status = keepfs.wait_run(run)
    assert status["state"] == "failed", status
    return keepfs.history(run)["error"], keepfs.text("jobs", str(run), "log")


def hooks(mark):
    return {"restore_stop_hook": f"echo stop $KEEPFS_DEPLOYMENT $KEEPFS_STATE >> {mark}",
            "restore_start_hook": f"echo start $KEEPFS_JOB $KEEPFS_STATE >> {mark}"}


def test_everything_is_destroyed_and_comes_back(new_keepfs, site, tmp_path, identity):  # noqa: F811
    mark = tmp_path / "mark"
    bundle = {"version_command": "echo 1.4.2", "encrypt_to": recipient(identity), **hooks(mark)}
    keepfs = new_keepfs(site.jobs(**bundle), identity_file=identity)
    keepfs.sections = {"check web": {"jobs": "site", "command": f"echo web $KEEPFS_DEPLOYMENT >> {mark}; test $(grep -c web {mark}) -ge 2"},
                       "check worker": {"jobs": "site", "command": f"echo worker >> {mark}"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("site")
    before = site.state()
    path = f"site/{newest(keepfs).name}"
    said = keepfs.refused("restore", path)
    assert f"confirm={NAME}" in said and f"the database {DATABASE}" in said and f"{site.root}/config" in said and "secrets" not in said
    assert f"whose name is to be given" in keepfs.refused("restore", f"{path} confirm={DATABASE}")
    plan = log_of(keepfs, "restore", f"{path} plan=yes secrets=yes")
    assert f"the deployment {NAME}: backups/{path}" in plan and "version 1.4.2" in plan
    assert "secret part secrets.tar.zst" in plan and "NOT restored" not in plan and "plan=yes: nothing was done" in plan
    assert not mark.exists()
    site.destroy()
    log = log_of(keepfs, "restore", f"{path} confirm={NAME} secrets=yes")
    assert site.state() == before
    assert mark.read_text().splitlines() == [f"stop {NAME} running", "start site completed", f"web {NAME}", f"web {NAME}", "worker"]
    order = [log.index(f"part {name} is restored") for name in ("database.dump", "uploads.tar.zst", "config.tar.zst", "secrets.tar.zst")]
    assert order == sorted(order)
    assert log.index("restore_stop_hook: ") < order[0] and order[-1] < log.index("restore_start_hook: ") < log.index("health check web: well")
    assert "hunter2" not in log and "k-1234" not in log
    assert "restore " not in keepfs.text("status", "health")
    audit = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    assert [entry["result"] for entry in audit if entry["action"] == "restore-deployment"] == ["ok"]


def test_an_env_file_that_is_there_is_kept(new_keepfs, site):
    keepfs = new_keepfs(site.jobs()).mount()
    keepfs.backup("site")
    env = site.root / "secrets" / "env"
    backed_up = env.read_text()
    env.write_text("DATABASE_URL=postgres://app:swordfish@db/shop\nLOG_LEVEL=info\nNEW_ONE=zzz\n")
    site.pg.sql(DATABASE, "DELETE FROM orders")
    (site.root / "uploads" / "a" / "3.bin").unlink()
    (site.root / "config" / "site.conf").write_text("listen 8080\n")
    # Without a second word what is secret is not touched at all.
    (site.root / "secrets" / "certs" / "site.key").unlink()
    log = log_of(keepfs, "restore", f"site/latest confirm={NAME}")
    assert "secret part secrets.tar.zst" in log and "NOT restored" in log and not (site.root / "secrets" / "certs" / "site.key").exists()
    assert site.pg.sql(DATABASE, "SELECT count(*) FROM orders") == "2000" and (site.root / "uploads" / "a" / "3.bin").exists()
    assert (site.root / "config" / "site.conf").read_text() == "listen 8080\n" and "1 files differ and stay as they are there: site.conf" in log
    log = log_of(keepfs, "restore", f"site/latest parts=secrets secrets=yes confirm={NAME}")
    assert (site.root / "secrets" / "certs" / "site.key").exists() and "swordfish" in env.read_text()
    for line in ("env: DATABASE_URL=… has another value there than in the backup", "env: API_KEY=… is only in the backup", "env: NEW_ONE=… is only there",
                 "env: 1 variables are the same"):
        assert line in log, log
    assert not any(secret in log for secret in ("swordfish", "hunter2", "k-1234", "zzz"))
    log_of(keepfs, "restore", f"site/latest parts=secrets,config secrets=yes overwrite=secrets confirm={NAME}")
    assert env.read_text() == backed_up and (site.root / "config" / "site.conf").read_text() == "listen 8080\n"
    log_of(keepfs, "restore", f"site/latest parts=config overwrite=yes confirm={NAME}")
    assert (site.root / "config" / "site.conf").read_text() == "listen 80\n"


def test_a_damaged_part_refuses_before_anything_is_touched(new_keepfs, site, tmp_path):
    mark = tmp_path / "mark"
    keepfs = new_keepfs(site.jobs(**hooks(mark))).mount()
    keepfs.backup("site")
    bundle = newest(keepfs).name
    key = f"backups/site/{bundle}/config.tar.zst"
    data = bytearray(keepfs.store.get(key))
    data[len(data) // 2] ^= 1
    keepfs.store.put(key, bytes(data))
    shutil.rmtree(site.root / "uploads")
    site.pg.sql(DATABASE, "DELETE FROM orders")
    before = site.state()
    error, log = failed(keepfs, f"site/{bundle} confirm={NAME} secrets=yes")
    assert "config.tar.zst" in error and "nothing was changed" in error, error
    assert site.state() == before and not mark.exists()
    # It is known now, and refused at once; what is right comes back all the same, when it is named.
    assert "damaged" in keepfs.refused("restore", f"site/{bundle} confirm={NAME}")
    assert "damaged" in keepfs.refused("restore", f"site/{bundle} parts=config confirm={NAME}")
    log_of(keepfs, "restore", f"site/{bundle} parts=uploads,database confirm={NAME}")
    assert site.pg.sql(DATABASE, "SELECT count(*) FROM orders") == "2000" and (site.root / "uploads" / "a" / "3.bin").exists()


def test_words_that_are_wrong(new_keepfs, site):
    keepfs = new_keepfs(site.jobs()).mount()
    keepfs.backup("site")
    keepfs.backup("database")
    path = f"site/{newest(keepfs).name}"
    for words, said in (("to=/srv/x", "to= is for one backup"), ("into=x", "target=PART:PLACE"), ("parts=nothing", "has no such part; it has uploads, config, secrets, database"),
                        ("target=nothing:x", "has no such part"), ("target=x", "PART:PLACE"), ("overwrite=nothing", "has no such part"),
                        ("secrets=perhaps", "allowed are yes and no"), ("target=config:relative", "from the root on"), ("parts=secrets", "secrets=yes"),
                        ("target=config:/nowhere/at/all", "there is no directory")):
        assert said in keepfs.refused("restore", f"{path} confirm={NAME} {words}"), words
    for words, said in (("parts=x", "parts= is for a whole bundle"), ("secrets=yes", "is for a whole bundle"), ("overwrite=x", "allowed are yes and no"),
                        ("overwrite=yes", "say with to=/DIRECTORY")):
        assert said in keepfs.refused("restore", f"database/latest.dump {words}"), words


def test_two_parts_that_would_go_to_one_place(new_keepfs, site, tmp_path):
    """the later one would take the other's place, and both would be told as restored"""
    other = f"{DATABASE}_other"
    site.pg.create(other)
    site.pg.sql(other, "CREATE TABLE other (id int)")
    jobs = site.jobs()
    jobs["second"] = {"database": site.pg.uri(other)}
    jobs["files pictures"] = {"path": site.root / "uploads", "exclude": "*.txt"}
    jobs["mirror objects"] = {"url": f"dir:{tmp_path / 'media'}"}
    jobs["mirror within"] = {"url": f"dir:{tmp_path / 'media' / 'within'}"}
    jobs["bundle site"]["parts"] = "database, second, within, objects, uploads, pictures, config"
    (tmp_path / "media" / "within").mkdir(parents=True)
    (tmp_path / "media" / "within" / "w").write_text("w")
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("site")
    before = site.state()
    for words, said in ((f"target=database:{DATABASE}_x target=second:{DATABASE}_x", "target=second:PLACE"),
                        (f"target=database:{other}", f"the database {other}"),
                        (f"target=config:{site.root}/uploads", "where another part"),
                        (f"target=config:{tmp_path}/new target=uploads:{tmp_path}/new/", "where another part"),
                        (f"target=objects:dir:{tmp_path}/new target=within:dir:{tmp_path}/new", "another part of"),
                        ("delete=yes", "remove each other")):
        for further in (f"confirm={NAME}", "plan=yes"):
            assert said in keepfs.refused("restore", f"site/latest {words} {further}"), words
    assert site.state() == before and site.pg.sql(other, "SELECT count(*) FROM other") == "0"
    # Two that archive one directory go back into it, and what nobody asked for is no matter.
    (site.root / "uploads" / "a" / "3.bin").unlink()
    log = log_of(keepfs, "restore", f"site/latest confirm={NAME} target=second:{DATABASE}_x")
    assert (site.root / "uploads" / "a" / "3.bin").exists() and "part pictures.tar.zst is restored" in log
    log_of(keepfs, "restore", f"site/latest confirm={NAME} parts=objects delete=yes")


def test_what_stays_different_settles_nothing(new_keepfs, site):
    """a restore that replaced files was killed in its middle: one that keeps what differs leaves the directory a mixture, so health tells of it on"""
    keepfs = new_keepfs(site.jobs()).mount()
    keepfs.backup("site")
    (site.root / "config" / "site.conf").write_text("listen 8080\n")
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        catalog.execute("INSERT INTO restore (run_id, target, server, backup, made, before, phase, begun_at_us, is_over, problem)"
                        " VALUES (77, ?, '', 'backups/site/x', '.keepfs-restore-77', '', 4, 1, 1, 'keepfs ended in the middle of it')", (str(site.root / "config"),))
    keepfs.mount()
    unsettled = re.compile(rf"restore.*{re.escape(str(site.root / 'config'))}|{re.escape(str(site.root / 'config'))}.*restore")
    assert unsettled.search(keepfs.text("status", "health"))
    log = log_of(keepfs, "restore", f"site/latest confirm={NAME}")
    assert f"{site.root}/config has all of it, but 1 files that differ" in log and f"{site.root}/uploads has all of it\n" in log, log
    assert unsettled.search(keepfs.text("status", "health"))
    log_of(keepfs, "restore", f"site/latest confirm={NAME} overwrite=config")
    assert not unsettled.search(keepfs.text("status", "health"))


def test_a_bundle_that_goes_away_meanwhile(new_keepfs, site, tmp_path):
    """another host removes it: what of it is not back is no restore of all of it"""
    mark = tmp_path / "mark"
    keepfs = new_keepfs(site.jobs()).mount()
    keepfs.backup("site")
    # As a comparison with the store does that finds no manifest.
    gone = f"{sys.executable} -c \"import sqlite3; c = sqlite3.connect('{keepfs.state}/catalog.db', timeout=60); c.execute('UPDATE artifact SET tomb = 1'); c.commit()\""
    keepfs.jobs["bundle site"].update({**hooks(mark), "restore_stop_hook": gone})
    keepfs.write_conf()
    keepfs.remount()
    (site.root / "uploads" / "a" / "3.bin").unlink()
    error, log = failed(keepfs, f"site/latest confirm={NAME}")
    assert "is not there any more: 0 of its parts were found, of 3" in error and f"nothing of the deployment {NAME} was changed" in error
    assert f"the deployment {NAME} is restored" not in log and mark.read_text() == "start site failed\n"


def test_what_fails_in_the_middle(new_keepfs, site, tmp_path):
    mark = tmp_path / "mark"
    keepfs = new_keepfs(site.jobs(**hooks(mark))).mount()
    keepfs.backup("site")
    files = site.files()
    # Nothing was changed: it is started again.
    keepfs.jobs["bundle site"]["restore_stop_hook"] = f"echo stop >> {mark}; exit 3"
    keepfs.write_conf()
    keepfs.remount()
    error, _ = failed(keepfs, f"site/latest confirm={NAME}")
    assert f"nothing of the deployment {NAME} was changed: restore_stop_hook" in error
    assert mark.read_text() == "stop\nstart site failed\n" and not re.search(r"^\w+ +restore", keepfs.text("status", "health"), re.M)
    mark.unlink()
    # The database is there, and a directory cannot be: it stays stopped.
    shutil.rmtree(site.root / "config")
    keepfs.jobs["bundle site"]["restore_stop_hook"] = f"echo stop >> {mark}; echo no directory > {site.root}/config"
    keepfs.write_conf()
    keepfs.remount()
    error, _ = failed(keepfs, f"site/latest confirm={NAME}")
    assert "the part config.tar.zst" in error and f"{NAME} is restored in part (database.dump, uploads.tar.zst), so restore_start_hook was not run" in error
    assert mark.read_text() == "stop\n"
    health = keepfs.text("status", "health")
    assert health.startswith("CRIT") and f"the deployment {NAME}" in health and "may be stopped" in health
    # All of it is well again when it was restored.
    (site.root / "config").unlink()
    keepfs.jobs["bundle site"]["restore_stop_hook"] = "true"
    keepfs.write_conf()
    keepfs.remount()
    log_of(keepfs, "restore", f"site/latest confirm={NAME} secrets=yes")
    assert mark.read_text() == "stop\nstart site completed\n" and f"the deployment {NAME}" not in keepfs.text("status", "health")
    assert site.files() == files


def test_a_health_check_that_fails_fails_the_restore(new_keepfs, site, tmp_path):
    keepfs = new_keepfs(site.jobs())
    keepfs.sections = {"check web": {"jobs": "site", "command": "echo no answer; exit 7", "timeout": "2s"}, "check db": {"jobs": "site", "command": "true"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("site")
    error, log = failed(keepfs, f"site/latest confirm={NAME}")
    assert "everything was restored" in error and "the health check web failed" in error and "no answer" in error
    assert "health check web: FAILED" in log and "health check db: well" in log
    assert "all of its parts are those of the backup" in keepfs.text("status", "health")
    keepfs.write("restore", f"forget run={keepfs.history()[0]['run']}")
    daemon.wait_until(lambda: f"the deployment {NAME}" not in keepfs.text("status", "health"), lambda: keepfs.text("status", "health"))


def test_from_the_store_alone_onto_another_host(new_keepfs, site, store, tmp_path, target):
    first = new_keepfs(site.jobs(), directory=tmp_path / "first").mount()
    first.backup("site")
    before = site.state()
    path = f"site/{newest(first).name}"
    first.unmount()
    # It has neither the configuration nor the catalog: where each part goes to is said.
    other = new_keepfs({"full": {"database": site.pg.uri("postgres")}}, store=store, directory=tmp_path / "second")
    other.run("rebuild")
    other.mount()
    there = tmp_path / "there"
    there.mkdir()
    places = " ".join(f"target={name}:{there}/{name}" for name in ("uploads", "config", "secrets"))
    assert "server=" in other.refused("restore", f"{path} confirm={NAME}")
    log = log_of(other, "restore", f"{path} confirm={NAME} secrets=yes server={site.pg.uri('postgres')} target=database:{target} {places}")
    assert "the configuration has no [bundle site]" in log
    site.root = there
    assert site.files() == before[0] and site.pg.sql(target, EVERYTHING) == before[1]


def objects_there(foreign):  # noqa: F811
    if isinstance(foreign, Directory):
        return files_below(foreign.root)
    return {key: foreign.client.request("GET", key) for key in foreign.client.keys("")}


@pytest.mark.parametrize("foreign", ["dir", "ceph"], indirect=True)
def test_objects_come_back_into_their_bucket(new_keepfs, site, foreign):  # noqa: F811
    for number in range(30):
        foreign.put(f"docs/{number % 3}/{number}.txt", os.urandom(300 + number))
    foreign.put("large", os.urandom(17 * MIB + 1))
    there = dict(foreign.objects)
    jobs = {**site.jobs(), "mirror objects": foreign.section(), "mirror elsewhere": {"url": "none"}}
    jobs["bundle site"]["parts"] = "objects, elsewhere, config, database"
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("site")
    site.pg.sql(DATABASE, "DELETE FROM orders")
    foreign.remove("docs/1/1.txt")
    foreign.put("docs/2/2.txt", b"another one")
    foreign.put("new", b"came later")
    said = keepfs.refused("restore", "site/latest")
    assert "the objects of " in said and f"confirm={NAME}" in said
    plan = log_of(keepfs, "restore", "site/latest plan=yes")
    assert "not in it: elsewhere: " in plan and objects_there(foreign)["docs/2/2.txt"] == b"another one", plan
    log_of(keepfs, "restore", f"site/latest confirm={NAME}")
    assert objects_there(foreign) == {**there, "new": b"came later"}
    assert site.pg.sql(DATABASE, "SELECT count(*) FROM orders") == "2000"
    log_of(keepfs, "restore", f"site/latest parts=objects delete=yes confirm={NAME}")
    assert objects_there(foreign) == there
    foreign.objects.update(there)  # as it is to be cleared


def test_on_a_terminal_the_name_is_typed(new_keepfs, site):
    keepfs = new_keepfs(site.jobs()).mount()
    keepfs.backup("site")
    before = site.state()

    def run(*answers):
        site.destroy()
        ours, theirs = pty.openpty()
        command = [daemon.PROGRAM, "restore", "-c", keepfs.conf, f"site/{newest(keepfs).name}"]
        done = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=keepfs.env)
        os.close(theirs)
        said, waiting = b"", [(question, answer) for question, answer in zip((b"name of the deployment: ", b"yes or no: "), answers)]
        while select.select([ours], [], [], daemon.DEADLINE_S)[0]:
            try:
                said += os.read(ours, 65536)
            except OSError:  # it has ended
                break
            if waiting and said.endswith(waiting[0][0]):
                os.write(ours, waiting.pop(0)[1].encode() + b"\n")
        os.close(ours)
        return done.wait(daemon.DEADLINE_S), said.decode()

    status, said = run("acme", "yes")
    assert status != 0 and "type the name of the deployment" in said and not (site.root / "config").exists(), said
    site.root.joinpath("uploads").mkdir(), site.root.joinpath("config").mkdir(), site.root.joinpath("secrets").mkdir()
    site.fill()
    status, said = run(NAME, "no")
    assert status == 0 and "yes or no" in said and (site.root / "config").exists() and not (site.root / "secrets").exists(), said
    site.root.joinpath("secrets").mkdir()
    status, said = run(NAME, "yes")
    assert status == 0, said
    assert site.state() == before
