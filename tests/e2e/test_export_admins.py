# SPDX-License-Identifier: Apache-2.0
"""The admin of a tenant may fetch its exports and order one, and can see nothing else: no name, no byte, no number of another tenant, whatever the kernel
remembers of what root has looked at a moment before."""
import errno
import gzip
import json
import os
import random
import stat
import tempfile
import time

import pytest

import daemon
from people import Errno, gathering

DATABASE = "export_admins"
ACME, GLOBEX, INITECH = "acmeqx", "globexqx", "initechqx"
ANNA, BERT, CARL, DORA, STRANGER = 61001, 61002, 61003, 61004, 61009
OPS = 62003  # a group
DENIED = (errno.EACCES, errno.ENOENT, errno.EPERM)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs further users, and allow_other")


@pytest.fixture(scope="module")
def app(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE org (id int PRIMARY KEY, slug text NOT NULL, uid text, gid int);"
                     "CREATE TABLE thing (id int PRIMARY KEY, org_id int NOT NULL REFERENCES org, label text)")
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def tenants(app):
    """Anna and Dora administer acme, Bert (by the configuration) and Dora globex, and the group of Carl initech"""
    app.sql(DATABASE, "TRUNCATE org CASCADE;"
                      f"INSERT INTO org VALUES (1, '{ACME}', '{ANNA}, {DORA}', NULL), (2, '{GLOBEX}', '{DORA}', NULL), (3, '{INITECH}', NULL, {OPS});"
                      "INSERT INTO thing SELECT o.id * 100 + n, o.id, 'the secret of ' || o.slug FROM org o, generate_series(1, 5) n")
    return app


@pytest.fixture
def open_place():
    with tempfile.TemporaryDirectory(prefix="keepfs-open-") as directory:
        os.chmod(directory, 0o755)
        yield directory


@pytest.fixture
def exporting(new_keepfs, tenants, open_place):
    made = []

    def make(**settings):
        keepfs = new_keepfs(directory=open_place, allow_other="yes")
        keepfs.sections = {"export": {"database": tenants.uri(DATABASE), "tenants": "SELECT id, slug, uid, gid FROM org ORDER BY id",
                                      "tenant_column": "org_id", "admins": f"{GLOBEX}:{BERT}", **settings}}
        keepfs.write_conf()
        made.append(keepfs)
        return keepfs.mount()

    yield make
    for keepfs in made:
        keepfs.close()


@pytest.fixture
def people():
    yield from gathering(61000)


def ended(keepfs, command, state="completed"):
    run = keepfs.trigger(command)
    assert keepfs.wait_run(run)["state"] == state, keepfs.text("jobs", str(run), "log")
    return run


def known(keepfs, person, tenant):
    """who administers what is learned from the server, without a run"""
    path = keepfs.path("exports", tenant)
    daemon.wait_until(lambda: not isinstance(person.done(os.stat, path), Errno), f"{path} to be {person.uid}'s")


# What is tried, by whoever tries it.

def read(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, 1 << 20)
    finally:
        os.close(fd)


def write(path):
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.write(fd, b"nonsense\n")
    finally:
        os.close(fd)


def create(path):
    os.close(os.open(os.path.join(path, "new"), os.O_CREAT | os.O_WRONLY))


def list_with_attributes(path):
    with os.scandir(path) as entries:
        return [(e.name, e.inode(), e.is_dir(follow_symlinks=False)) for e in entries]


def all_attributes(path):
    return [(name, os.getxattr(path, name)) for name in os.listxattr(path)]


def order(path, command):
    """what is answered, whether it was taken or not"""
    fd = os.open(path, os.O_RDWR)
    try:
        try:
            os.write(fd, command.encode() + b"\n")
            return 0, os.read(fd, 65536).decode()
        except OSError as error:
            return error.errno, os.read(fd, 65536).decode()
    finally:
        os.close(fd)


def space(path):
    found = os.statvfs(path)
    return found.f_blocks, found.f_bfree


LOOKS = [os.lstat, os.listdir, list_with_attributes, read, os.readlink, all_attributes]
CHANGES = [write, os.unlink, os.rmdir, create]


def walk(keepfs, depth=4):
    """what root sees, relative to the mount"""
    found = [""]
    for at in found:
        if at.count("/") >= depth or at.startswith("diff"):
            continue
        full = keepfs.mountpoint / at
        if full.is_dir() and not full.is_symlink():
            found += [os.path.join(at, name) for name in sorted(os.listdir(full))]
    return found


def warm(path):
    """root looks at it, so that the kernel has it"""
    for look in (os.lstat, list_with_attributes, os.readlink):
        try:
            look(path)
        except OSError:
            pass
    if path.name == ".explain.txt":  # asks the server
        return
    try:
        if path.is_file():
            read(path)
    except OSError:  # links/ of a store without URLs
        pass


def sees_only(keepfs, person, tenants, paths, runs):
    """everything is tried, in an order of chance; root looks at it right before"""
    others = [word.encode() for word in (ACME, GLOBEX, INITECH) if word not in tenants]
    passages = {"", "exports", "links", "links/exports", "jobs"}
    chance = random.Random(person.uid)
    for path in chance.sample(paths, len(paths)):
        own = any(path == f"{root}/{t}" or path.startswith(f"{root}/{t}/") for root in ("exports", "links/exports") for t in tenants)
        own = own or any(path in (f"jobs/{run}", f"jobs/{run}/status") for run in runs)
        full = keepfs.mountpoint / path
        if chance.random() < 0.8:
            warm(full)
        for look in chance.sample(LOOKS, len(LOOKS)):
            answer = person.done(look, full)
            if look is os.lstat and (own or path in passages):
                assert not isinstance(answer, Errno), (path, errno.errorcode[answer])
            elif not own and not (path in passages and look in (os.lstat, all_attributes)):
                assert isinstance(answer, Errno) and answer in (*DENIED, errno.EINVAL, errno.ENOTDIR), (path, look, answer)
            shown = b"" if isinstance(answer, Errno) else repr(answer).encode()
            if look is read and isinstance(answer, bytes) and answer[:2] == b"\x1f\x8b":
                shown += gzip.decompress(answer)
            assert not any(word in shown for word in others), (path, look, answer)
        if path.endswith(".trigger"):
            continue
        for change in chance.sample(CHANGES, len(CHANGES)):
            answer = person.done(change, full)
            assert isinstance(answer, Errno) and answer in (*DENIED, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EBUSY), (path, change, answer)


def test_each_sees_what_is_his(exporting, people):
    keepfs = exporting()
    ended(keepfs, "exports")
    runs = {tenant: ended(keepfs, f"export {tenant}") for tenant in (ACME, GLOBEX, INITECH)}
    keepfs.backup("full")
    paths = walk(keepfs)
    others = [path for path in paths if path.count("/") > 1 and not path.startswith(("exports", "links", "jobs"))]
    paths = [path for path in paths if path not in others and not path.startswith("control/")] + random.Random(1).sample(others, 25)
    paths += [f"exports/{tenant}/{name}" for tenant in runs for name in (".explain.txt", ".trigger")] + ["control/trigger", "exports/nosuch"]
    for uid, groups, tenants in [(ANNA, [], [ACME]), (BERT, [], [GLOBEX]), (CARL, [7, OPS, 9], [INITECH]), (DORA, [], [ACME, GLOBEX])]:
        person = people(uid, groups=groups)
        known(keepfs, person, tenants[0])
        sees_only(keepfs, person, tenants, paths, [runs[t] for t in tenants])
        # How much there is of all is not told either.
        assert person.done(space, keepfs.mountpoint) == (0, 0) and space(keepfs.mountpoint) != (0, 0)
        # Names are not listed where there are others, nor is anybody told of them: who may not read a directory cannot watch it.
        for passage in ("", "exports", "links", "jobs"):
            assert person.done(os.listdir, keepfs.path(passage)) == errno.EACCES
        assert person.done(os.access, keepfs.path("exports"), os.R_OK) is False
        # In what is his he finds his way.
        directory = keepfs.path("exports", tenants[0])
        names = person.done(os.listdir, directory)
        assert "SHA256SUMS" in names and "latest.json.gz" in names
        assert json.loads(gzip.decompress(person.done(read, directory / "latest.json.gz")))["tenant"]["slug"] == tenants[0]
        told = dict(person.done(all_attributes, directory / "latest.json.gz"))
        assert told["user.keepfs.org"].decode() == tenants[0] and "user.keepfs.triggered_by" not in told and "user.keepfs.run" not in told
        assert person.done(os.listdir, keepfs.path("jobs", str(runs[tenants[0]]))) == ["status"]
    stranger = people(STRANGER)
    for path in paths:
        if path:
            assert isinstance(stranger.done(os.lstat, keepfs.mountpoint / path), Errno), path
        assert isinstance(stranger.done(os.listdir, keepfs.mountpoint / path), Errno), path
        assert isinstance(stranger.done(read, keepfs.mountpoint / path), Errno), path
    # Root is kept from nothing by all that.
    assert sorted(os.listdir(keepfs.path("exports"))) == [ACME, GLOBEX, INITECH]
    assert all(keepfs.path("exports", t, "latest.json.gz").exists() for t in runs)


def test_an_admin_orders_an_export(exporting, people, open_place):
    pipe = os.path.join(open_place, "go")
    os.mkfifo(pipe)
    keepfs = exporting(pre_hook=f"cat {pipe}")
    anna, bert, stranger = people(ANNA), people(BERT), people(STRANGER)
    known(keepfs, anna, ACME)
    trigger = keepfs.path("exports", ACME, ".trigger")
    assert bert.done(order, trigger, "now") == errno.ENOENT and stranger.done(order, trigger, "now") in DENIED
    assert anna.done(order, keepfs.path("control", "trigger"), f"export {ACME}") in DENIED
    # What is refused is said, and names nobody else.
    for command in ["exports", f"export {GLOBEX}", "now hold=mine", "now tenant=" + GLOBEX, "now format=nosuch", "now keep=90d", "now 'x"]:
        code, said = anna.done(order, trigger, command)
        assert code == errno.EINVAL and said.startswith("EINVAL: "), (command, said)
        assert INITECH not in said and (GLOBEX not in said or GLOBEX in command)
    code, said = anna.done(order, trigger, "now note='for the audit'")
    assert code == 0 and said.endswith(" pending exports\n")
    run = int(said.split()[0])
    # One at a time, whoever asks.
    code, said = anna.done(order, trigger, "now")
    assert code == errno.EBUSY and "there is one at a time" in said
    code, said = bert.done(order, keepfs.path("exports", GLOBEX, ".trigger"), "now")
    assert code == errno.EBUSY and ACME not in said and str(run) not in said
    status = keepfs.path("jobs", str(run), "status")
    assert bert.done(read, status) == errno.ENOENT and b"acme" not in anna.done(read, status)
    with open(pipe, "w"):
        pass
    assert keepfs.wait_run(run)["state"] == "completed"
    told = daemon.parse_status(anna.done(read, status).decode())
    assert told["state"] == "completed" and told["export"].startswith(f"exports/{ACME}/")
    assert len(anna.done(read, status)) == anna.done(os.stat, status).st_size
    assert json.loads(gzip.decompress(anna.done(read, keepfs.mountpoint / told["export"])))["tenant"]["slug"] == ACME
    assert not os.path.exists(keepfs.path("exports", GLOBEX, "latest.json.gz"))
    # What was read is told when the kernel has closed it.
    def audited():
        return [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    daemon.wait_until(lambda: any(e["action"] == "read" and e["uid"] == ANNA for e in audited()), "that Anna has read is in the audit")
    lines = audited()
    assert {(e["action"], e["object"], e["uid"], e["result"]) for e in lines} >= {
        ("trigger", f"exports/{ACME}/.trigger", ANNA, "ok"), ("trigger", f"exports/{GLOBEX}/.trigger", BERT, "failed")}
    # How long exports stay is the platform's: nothing can be removed.
    for remove in (os.unlink, os.truncate):
        arguments = (keepfs.mountpoint / told["export"],) + ((0,) if remove is os.truncate else ())
        assert anna.done(remove, *arguments) in (errno.EACCES, errno.EPERM)


def test_failures_tell_no_names(exporting, people, tenants):
    """what goes wrong is told to the platform, with names, and to the tenant's admin without"""
    # By the configuration, since the query tells of no admins of a tenant that is gone.
    keepfs = exporting(admins=f"{ACME}:{ANNA}")
    anna = people(ANNA)
    known(keepfs, anna, ACME)
    ended(keepfs, f"export {ACME}")  # else the directory goes with the tenant
    trigger, explain = keepfs.path("exports", ACME, ".trigger"), keepfs.path("exports", ACME, ".explain.txt")
    tenants.sql(DATABASE, f"UPDATE org SET slug = '{GLOBEX}' WHERE id = 1; INSERT INTO org VALUES (4, 'fourthqx')")
    run = int(anna.done(order, trigger, "now")[1].split()[0])
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "is gone: the query of [export] tenants named it last at 2" in keepfs.text("jobs", str(run), "status")
    assert "is gone: it was named last at 2" in keepfs.path("exports", ACME, ".explain.txt").read_text()
    told = anna.done(read, keepfs.path("jobs", str(run), "status")) + anna.done(read, explain)
    assert b"state failed" in told and b"could not be" in told
    assert not any(word in told for word in (GLOBEX.encode(), INITECH.encode(), b"fourthqx"))


def test_rights_end(exporting, people, tenants):
    """with the next answer of the query, and with a reload; what is open ends with the next order"""
    keepfs = exporting()
    anna, bert = people(ANNA), people(BERT)
    known(keepfs, anna, ACME)
    assert isinstance(bert.done(os.listdir, keepfs.path("exports", GLOBEX)), list)
    tenants.sql(DATABASE, "UPDATE org SET uid = NULL")
    ended(keepfs, "exports")
    assert anna.done(os.stat, keepfs.path("exports", ACME)) in DENIED
    keepfs.sections["export"]["admins"] = f"{ACME}:{BERT}"
    keepfs.write_conf()
    keepfs.signal(1, wait=False)
    known(keepfs, bert, ACME)
    assert bert.done(os.stat, keepfs.path("exports", GLOBEX)) == errno.ENOENT


def test_a_slug_that_another_tenant_has_now(exporting, people, tenants):
    """who administers the tenant that was given a slug anew does not get what was exported of the one that had it"""
    keepfs = exporting()
    anna, stranger = people(ANNA), people(STRANGER)
    known(keepfs, anna, ACME)
    ended(keepfs, f"export {ACME}")
    path = keepfs.path("exports", ACME)
    (old,) = (name for name in anna.done(os.listdir, path) if name[0] == "2")
    tenants.sql(DATABASE, f"UPDATE org SET slug = 'acmeformerqx' WHERE id = 1; INSERT INTO org VALUES (5, '{ACME}', '{STRANGER}', NULL)")
    run = ended(keepfs, "exports", "failed")
    assert f"exports/{ACME} has exports of another tenant" in keepfs.text("jobs", str(run), "status")
    assert stranger.done(os.stat, path) in DENIED and stranger.done(read, path / old) in DENIED and anna.done(read, path / old) in DENIED
    assert anna.done(os.stat, keepfs.path("exports", "acmeformerqx")).st_mode
    # It has an export, all the same; and its admin has it, when it is alone there.
    os.unlink(path / old)
    ended(keepfs, "exports")
    names = [name for name in stranger.done(os.listdir, path) if name[0] == "2"]
    # The name of the old one may be given again within its second.
    assert len(names) == 2 and {str(json.loads(gzip.decompress(stranger.done(read, path / name)))["tenant"]["id"]) for name in names} == {"5"}


def test_somebody_unknown(exporting, tenants):
    """a user that this host does not have is told of, and all others have their exports"""
    tenants.sql(DATABASE, "UPDATE org SET uid = 'no such user' WHERE id = 1")
    keepfs = exporting()
    run = ended(keepfs, "exports", "failed")
    assert f"of the admins of {ACME} this host has no user 'no'" in keepfs.text("jobs", str(run), "status")
    assert all(keepfs.path("exports", t, "latest.json.gz").exists() for t in (ACME, GLOBEX, INITECH))
    keepfs.sections["export"]["admins"] = "acme:nosuchuser"
    keepfs.write_conf()
    assert "FAIL export admins: acme:nosuchuser: this host has no user 'nosuchuser'" in keepfs.run("check", check=False).stdout


def test_without_allow_other_nothing_is_wider(new_keepfs, tenants):
    keepfs = new_keepfs()
    keepfs.sections = {"export": {"database": tenants.uri(DATABASE), "tenants": "SELECT id, slug, uid, gid FROM org ORDER BY id", "tenant_column": "org_id"}}
    keepfs.write_conf()
    keepfs.mount()
    ended(keepfs, f"export {ACME}")
    for path in ("", "exports", f"exports/{ACME}", "jobs", "jobs/1"):
        assert stat.S_IMODE(os.stat(keepfs.mountpoint / path).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(keepfs.path("exports", ACME, "latest.json.gz")).st_mode) == 0o600
