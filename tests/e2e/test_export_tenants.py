# SPDX-License-Identifier: Apache-2.0
"""Tenants have a directory as soon as they exist, without a run, and one that is gone as long as it has exports; .explain.txt and .trigger of each."""
import errno
import json
import os

import pytest

import daemon

DATABASE = "export_tenants"


@pytest.fixture(scope="module")
def app(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE org (id int PRIMARY KEY, slug text NOT NULL);"
                     "CREATE TABLE thing (id int PRIMARY KEY, org_id int NOT NULL REFERENCES org, label text);"
                     "CREATE TABLE nobodys (id int PRIMARY KEY)")
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def exporting(new_keepfs, app):
    def make(slugs=("acme", "beta"), mounted=True, **settings):
        app.sql(DATABASE, "TRUNCATE org CASCADE;" + "".join(
            f"INSERT INTO org VALUES ({n}, '{slug}'); INSERT INTO thing VALUES ({n}, {n}, 'x');" for n, slug in enumerate(slugs, 1)))
        keepfs = new_keepfs()
        keepfs.sections = {"export": {"database": app.uri(DATABASE), "tenants": "SELECT id, slug FROM org ORDER BY id", "tenant_column": "org_id",
                                      "exclude": "nobodys", **settings}}
        keepfs.write_conf()
        return keepfs.mount() if mounted else keepfs

    return make


def tenants_are(keepfs, *slugs):
    daemon.wait_until(lambda: sorted(os.listdir(keepfs.path("exports"))) == sorted(slugs), f"the tenants to be {slugs}")


def ended(keepfs, command, state="completed"):
    run = keepfs.trigger(command)
    assert keepfs.wait_run(run)["state"] == state, keepfs.text("jobs", str(run), "log")
    return run


def order(keepfs, tenant, command):
    """what is answered, whether it was taken or not"""
    fd = os.open(keepfs.path("exports", tenant, ".trigger"), os.O_RDWR)
    try:
        try:
            os.write(fd, command.encode() + b"\n")
            return 0, os.read(fd, 65536).decode()
        except OSError as error:
            return error.errno, os.read(fd, 65536).decode()
    finally:
        os.close(fd)


def test_they_come_and_go_without_a_run(exporting, app):
    keepfs = exporting()
    tenants_are(keepfs, "acme", "beta")
    assert keepfs.history() == []
    # A reload asks again.
    app.sql(DATABASE, "INSERT INTO org VALUES (3, 'late')")
    keepfs.signal(1, wait=False)
    tenants_are(keepfs, "acme", "beta", "late")
    assert sorted(os.listdir(keepfs.path("links", "exports"))) == ["acme", "beta", "late"]
    ended(keepfs, "export beta")
    # One that has exports stays, one that has none does not.
    app.sql(DATABASE, "DELETE FROM thing WHERE org_id > 1; DELETE FROM org WHERE id > 1")
    keepfs.signal(1, wait=False)
    tenants_are(keepfs, "acme", "beta")
    assert keepfs.path("exports", "beta", "latest.json.gz").exists()
    with pytest.raises(FileNotFoundError):
        os.stat(keepfs.path("exports", "late"))
    said = keepfs.refused("trigger", "export beta")
    assert "tenant beta is gone: the query of [export] tenants named it last at 2" in said and "acme" not in said
    code, said = order(keepfs, "beta", "now")
    assert code == errno.EINVAL and "tenant beta is gone: it was named last at 2" in said
    assert "is gone" in keepfs.path("exports", "beta", ".explain.txt").read_text()


def test_the_end_of_keep_deleted(exporting, app, clocks):
    """what was exported of a tenant that is gone goes with keep_deleted, and its directory with the next run"""
    keepfs = exporting(mounted=False, keep_deleted="30d", keep_last=20)
    keepfs.settings["trash"] = "none"
    keepfs.write_conf()
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    ended(keepfs, "exports")
    app.sql(DATABASE, "DELETE FROM thing WHERE org_id = 2; DELETE FROM org WHERE id = 2")
    ended(keepfs, "exports")
    clocks.pass_time(29 * 86400)
    ended(keepfs, "exports")
    assert keepfs.path("exports", "beta", "latest.json.gz").exists()
    clocks.pass_time(2 * 86400)
    ended(keepfs, "exports")
    plan = json.loads(keepfs.run("prune", "-m", keepfs.mountpoint, "exports", "--json").stdout)
    if plan["due"]:
        keepfs.run("prune", "-m", keepfs.mountpoint, "exports", "--confirm", plan["plan"])
    ended(keepfs, "exports")
    tenants_are(keepfs, "acme")
    assert "beta" not in os.listdir(keepfs.path("links", "exports"))


def test_a_server_that_is_down(exporting, app):
    """the mount is there at once, health tells, and the next run learns"""
    keepfs = exporting(mounted=False)
    good = keepfs.sections["export"]["database"]
    keepfs.sections["export"]["database"] = f"host={keepfs.directory} user=postgres dbname=x"
    keepfs.write_conf()
    keepfs.mount()
    daemon.wait_until(lambda: "the tenants of job exports could not be asked for" in keepfs.text("status", "health"), "health to tell")
    assert os.listdir(keepfs.path("exports")) == []
    keepfs.sections["export"]["database"] = good
    keepfs.write_conf()
    keepfs.signal(1, wait=False)
    tenants_are(keepfs, "acme", "beta")


def test_explained(exporting, app):
    """by asking the server when it is opened; what cannot be found out is a text, too"""
    keepfs = exporting()
    tenants_are(keepfs, "acme", "beta")
    path = keepfs.path("exports", "acme", ".explain.txt")
    assert os.stat(path).st_size == 0 and ".explain.txt" not in os.listdir(path.parent)
    with open(path, "rb") as file:
        text = file.read()
        assert os.fstat(file.fileno()).st_size == len(text)
    assert os.stat(path).st_size == len(text)
    assert text.decode().startswith("What an export of acme (id 1) has of the database export_tenants")
    assert "public.thing" in text.decode() and "public.nobodys" in text.decode()
    with pytest.raises(OSError):
        path.write_text("x")
    with pytest.raises(PermissionError):
        path.unlink()
    # While it waits for the server, names and other files are answered.
    app.sql(DATABASE, "ALTER TABLE org RENAME TO orgs")
    try:
        said = path.read_text()
        assert "could not be found out" in said and 'relation "org" does not exist' in said
    finally:
        app.sql(DATABASE, "ALTER TABLE orgs RENAME TO org")
    for place in ("backups/full/.explain.txt", "links/exports/acme/.explain.txt", "exports/.trigger", "exports/nosuch/.trigger"):
        with pytest.raises(FileNotFoundError):
            os.stat(keepfs.mountpoint / place)


def test_triggered(exporting):
    keepfs = exporting()
    tenants_are(keepfs, "acme", "beta")
    trigger = keepfs.path("exports", "acme", ".trigger")
    trigger.write_text("now note='as asked' format=csv\n")
    answer = trigger.read_text()
    run = int(answer.split()[0])
    assert answer == f"{run} pending exports\n" and keepfs.wait_run(run)["state"] == "completed"
    assert keepfs.path("exports", "acme", "latest.csv.zip").exists() and not keepfs.path("exports", "beta", "latest.csv.zip").exists()
    assert keepfs.history(run)["org"] == "acme" and keepfs.history(run)["note"] == "as asked"
    for command, why in [("full", "'full' is no command here"), ("now tenant=beta", "allowed: note, format"), ("now format=x", "format")]:
        code, said = order(keepfs, "acme", command)
        assert code == errno.EINVAL and why in said
    assert "exports/<tenant>/.trigger" in keepfs.text("control", "README")
    assert "exports/acme/.trigger" in keepfs.text("status", "audit.jsonl")


def test_each_class_has_its_schedule(exporting, clocks):
    """and its retention, as databases of a job have"""
    query = "SELECT id, slug, CASE id WHEN 1 THEN 'paid' END AS class FROM org ORDER BY id"
    keepfs = exporting(mounted=False, tenants=query, schedule="0 2 * * *", keep_last=1, keep_within="1m", timezone="UTC")
    keepfs.sections["class paid"] = {"schedule": "0 */6 * * *", "keep_last": 2}
    keepfs.settings["trash"] = "none"
    keepfs.write_conf()
    keepfs.env = clocks.environment(keepfs.env)
    keepfs.mount()
    tenants_are(keepfs, "acme", "beta")
    runs = 0
    # It is noon. At six and at midnight those of the class are due, at two the others.
    for hours, due in ((6, "acme"), (6, "acme"), (2, "beta"), (4, "acme"), (6, "acme"), (6, "acme"), (6, "acme"), (2, "beta")):
        clocks.pass_time(hours * 3600)
        runs += 1
        daemon.wait_until(lambda: [run["state"] for run in keepfs.history()] == ["completed"] * runs, f"{due} to be exported")
        newest = keepfs.path("exports", due, "latest.json.gz").readlink().name
        assert newest.startswith(f"{clocks.now():%Y%m%dT%H}")
    plan = json.loads(keepfs.run("prune", "-m", keepfs.mountpoint, "exports", "--json").stdout)
    if plan["due"]:
        keepfs.run("prune", "-m", keepfs.mountpoint, "exports", "--confirm", plan["plan"])
    assert [len(exporting_names(keepfs, tenant)) for tenant in ("acme", "beta")] == [2, 1]


def exporting_names(keepfs, tenant):
    return [name for name in os.listdir(keepfs.path("exports", tenant)) if name[0].isdigit()]
