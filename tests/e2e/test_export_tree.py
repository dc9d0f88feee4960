# SPDX-License-Identifier: Apache-2.0
"""exports/: a root of its own in the mount and in the store, with a directory for each tenant; and whoever thought that all is below backups/."""
import hashlib
import json
import os
import re
import subprocess

import pytest


DATABASE = "export_tree"
HOSTILE = ["..", ".", "a/b", "../../etc", 'say "hi"', "it's", "ünï☃", "-rf", "a b=c", "*", "$(id)", "SHA256SUMS", "latest.json.gz",
           "20261120T020000Z", "x" * 255]
EXPORT = re.compile(r"\d{8}T\d{6}Z(-\d+)?\.json\.gz")


@pytest.fixture(scope="module")
def app(pg):
    pg.create(DATABASE)
    pg.sql(DATABASE, "CREATE TABLE org (id int PRIMARY KEY, slug text NOT NULL, kind text);"
                     "CREATE TABLE thing (id int PRIMARY KEY, org_id int NOT NULL REFERENCES org, label text)")
    yield pg
    pg.drop(DATABASE)


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def put_tenants(app, slugs, kind=None):
    app.sql(DATABASE, "TRUNCATE org CASCADE")
    for number, slug in enumerate(slugs, 1):
        app.sql(DATABASE, f"INSERT INTO org VALUES ({number}, {literal(slug)}, {literal(kind) if kind else 'NULL'});"
                          f"INSERT INTO thing VALUES ({number}, {number}, 'of ' || {number})")


@pytest.fixture
def exporting(new_keepfs, app):
    """a keepfs, mounted, with the section [export] beside the job full"""
    def make(slugs=("acme", "beta"), kind=None, further=None, **settings):
        put_tenants(app, slugs, kind)
        keepfs = new_keepfs()
        keepfs.sections = {"export": {"database": app.uri(DATABASE), "tenants": "SELECT id, slug, kind AS class FROM org ORDER BY id",
                                      "tenant_column": "org_id", **settings}, **(further or {})}
        keepfs.write_conf()
        return keepfs.mount()

    return make


def made_in(keepfs, org):
    names = (name for name in os.listdir(keepfs.path("exports", org)) if EXPORT.fullmatch(name))
    return sorted(names, key=lambda name: name.split(".")[0])


def ended(keepfs, command, state="completed"):
    run = keepfs.trigger(command)
    assert keepfs.wait_run(run)["state"] == state, keepfs.text("jobs", str(run), "log")
    return run


def test_the_tree(exporting, store):
    """listing, links, sums, attributes, the texts of status/, and the store"""
    keepfs = exporting()
    run = ended(keepfs, "exports")
    assert sorted(os.listdir(keepfs.path("exports"))) == ["acme", "beta"]
    (name,) = made_in(keepfs, "acme")
    path = keepfs.path("exports", "acme", name)
    assert os.readlink(keepfs.path("exports", "acme", "latest.json.gz")) == name
    sums = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=path.parent, stdout=subprocess.PIPE, check=True)
    assert f"{name}: OK".encode() in sums.stdout
    assert os.getxattr(path, "user.keepfs.org") == b"acme" and os.getxattr(path, "user.keepfs.job") == b"exports"
    assert os.getxattr(path, "user.keepfs.kind") == b"export"
    assert "user.keepfs.org" in os.listxattr(path)
    assert f"exports/acme/{name}" in store.keys() and f"manifests/exports/acme/{name}.json" in store.keys()
    # In links/, and not among the backups of databases.
    assert sorted(os.listdir(keepfs.path("links", "exports"))) == ["acme", "beta"]
    assert name in os.listdir(keepfs.path("links", "exports", "acme"))
    for directory in ["backups", "inside", "history"]:
        assert os.listdir(keepfs.path(directory)) == ["full"]
    # Whoever reports.
    history = keepfs.history(run)
    assert (history["job"], history["kind"], history["targets"], history["org"]) == ("exports", "export", 2, None)
    assert f"exports/acme/{name}" in keepfs.text("jobs", str(run), "status")
    (line,) = [json.loads(b) for b in keepfs.text("status", "backups.jsonl").splitlines() if f"exports/acme/{name}" in b]
    assert (line["job"], line["kind"], line["target"]) == ("exports", "export", "acme")
    info = json.loads(keepfs.run("info", "exports/acme", "--json").stdout)
    assert [b["path"] for b in info["backups"]] == [f"exports/acme/{name}"]
    assert f"exports/acme/{name}" in keepfs.run("info", "exports").stdout
    assert 'job="exports"' in keepfs.text("status", "metrics.prom")
    dashboard = keepfs.text("status", "dashboard.html")
    assert "Tenants" in dashboard and f"exports/acme/{name}" in dashboard
    assert "exports/acme" in keepfs.text("status", "retention")
    assert "WARN  retention" not in keepfs.text("status", "health")
    # From outside, without a mount.
    glance = keepfs.run("status", "--store", store.settings["url"], "--json", check=False)
    assert {"exports/acme", "exports/beta"} <= {d["directory"] for d in json.loads(glance.stdout)["directories"]}


def test_words_that_trigger(exporting, app):
    keepfs = exporting()
    run = ended(keepfs, "export beta")
    assert os.listdir(keepfs.path("exports")) and made_in(keepfs, "beta") and not made_in(keepfs, "acme")
    assert "options tenant=beta" in keepfs.text("jobs", str(run), "status") and keepfs.history(run)["org"] == "beta"
    ended(keepfs, "exports tenant=acme note='for the lawyer'")
    assert os.getxattr(keepfs.path("exports", "acme", made_in(keepfs, "acme")[0]), "user.keepfs.note") == b"for the lawyer"
    assert "job exports has no tenant 'acm'; its tenants: acme, beta" in keepfs.refused("trigger", "export acm")
    assert "names no tenant" in keepfs.refused("trigger", "export")
    assert "one tenant at a time" in keepfs.refused("trigger", "export acme beta")
    assert "allowed: format, compression, verify, max_rate, note, hold, keep, tenant, class, then-delete" in keepfs.refused("trigger", "exports database=x")
    assert "export TENANT" in keepfs.text("control", "README")
    # The command, too.
    done = keepfs.run("export", "acme", "beta", "--wait", "note=again")
    assert len(re.findall(r"run \d+ completed: .*, exports/(acme|beta)/", done.stdout)) == 2
    assert json.loads(keepfs.run("export", "--all", "--wait", "--json").stdout)["job"] == "exports"
    refused = keepfs.run("export", "nosuch", check=False)
    assert refused.returncode == 2 and "its tenants: acme, beta" in refused.stderr
    assert keepfs.run("export", check=False).returncode == 2
    assert (len(made_in(keepfs, "acme")), len(made_in(keepfs, "beta"))) == (3, 3)


def test_slugs_of_all_kinds(exporting):
    """each is one directory, which no other has, and that leads nowhere else"""
    slugs = [*HOSTILE, "Case", "case"]
    keepfs = exporting(slugs)
    run = ended(keepfs, "exports")
    names = os.listdir(keepfs.path("exports"))
    assert len(names) == len(slugs) and all(re.fullmatch(r"[A-Za-z0-9_=][A-Za-z0-9._=-]*", name) for name in names)
    orgs = {os.getxattr(keepfs.path("exports", name, made_in(keepfs, name)[0]), "user.keepfs.org").decode() for name in names}
    assert orgs == set(slugs)
    assert "differ in nothing but case" in keepfs.text("jobs", str(run), "log")
    assert "exports" not in os.listdir(keepfs.path("backups"))


def test_tenants_come_and_go(exporting, app):
    """one that is known has a directory before it has an export; one that is gone keeps what it has for keep_deleted"""
    keepfs = exporting(keep_last=1)
    ended(keepfs, "exports")
    # One more, whose export fails: nothing of it can be proven.
    app.sql(DATABASE, "INSERT INTO org VALUES (9, 'late')")
    run = keepfs.trigger("exports")
    keepfs.wait_run(run)
    assert sorted(os.listdir(keepfs.path("exports"))) == ["acme", "beta", "late"]
    assert "tenant late is new" in keepfs.text("jobs", str(run), "log")
    app.sql(DATABASE, "DELETE FROM thing WHERE org_id = 1; DELETE FROM org WHERE id = 1")
    keepfs.wait_run(keepfs.trigger("exports"))
    keepfs.unmount()
    keepfs.mount()
    assert made_in(keepfs, "acme") and "its exports stay until" in keepfs.text("status", "health")


def test_what_is_kept(exporting, store):
    """retention, holds, removal and the trash are those of every job"""
    keepfs = exporting(("acme",), keep_last=2)
    keepfs.unmount()
    keepfs.settings["trash"] = "3d"
    keepfs.write_conf()
    keepfs.mount()
    for _ in range(2):
        ended(keepfs, "exports")
    first, second = made_in(keepfs, "acme")
    path = keepfs.path("exports", "acme", first)
    keepfs.ask("hold", f"exports/acme/{first} on reason='a lawsuit'")
    assert b"a lawsuit" in os.getxattr(path, "user.keepfs.hold")
    with pytest.raises(PermissionError):
        path.unlink()
    keepfs.ask("hold", f"exports/acme/{first} off")
    with pytest.raises(PermissionError):  # the newest good one
        keepfs.path("exports", "acme", second).unlink()
    path.unlink()
    assert made_in(keepfs, "acme") == [second]
    keepfs.run("undelete", f"exports/acme/{first}")
    assert made_in(keepfs, "acme") == [first, second]
    # By the word for the job, and by that for the tenant.
    ended(keepfs, "exports")
    for scope in ["exports", "exports/acme"]:
        plan = json.loads(keepfs.run("prune", scope, "--json").stdout)
        assert [d["path"] for d in plan["directories"]] == ["exports/acme"]
    assert keepfs.run("prune", "exports/nosuch", check=False).returncode == 2
    assert "EPERM exports/acme/" in keepfs.text("status", "last-error")


def test_what_cannot_be_done_with_an_export(exporting):
    keepfs = exporting(("acme",))
    ended(keepfs, "exports")
    ended(keepfs, "full")
    (name,) = made_in(keepfs, "acme")
    for command in [("restore", f"exports/acme/{name} into=again"), ("restore", "exports/acme to=/tmp/x"),
                    ("rescue", f"exports/acme/{name} public.thing"), ("drill", f"exports/acme/{name}")]:
        assert "is an export of a tenant's data" in keepfs.refused(*command), command
    assert "no backup yet that is whole, and could be restored for a trial" in keepfs.refused("drill", "exports")
    said = keepfs.run("diff", f"exports/acme/{name}", f"exports/acme/{name}", check=False)
    assert said.returncode == 2 and "it is an export of a tenant's data" in said.stderr
    assert "exports of tenants have no versions of tables" in keepfs.run("log", "exports", "thing", check=False).stderr
    # Every byte of it can be read again.
    run = int(keepfs.ask("verify", f"exports/acme/{name}").split()[0])
    assert keepfs.wait_run(run)["state"] == "completed"
    assert keepfs.history(run)["job"] == "verify:exports"


def test_rebuild(exporting, store):
    """the catalog can be lost"""
    keepfs = exporting()
    ended(keepfs, "exports")
    before = {org: made_in(keepfs, org) for org in ["acme", "beta"]}
    digests = {org: hashlib.sha256(keepfs.path("exports", org, names[0]).read_bytes()).hexdigest() for org, names in before.items()}
    keepfs.unmount()
    for file in keepfs.state.glob("catalog.db*"):
        file.unlink()
    assert "2 backups" in keepfs.run("rebuild").stdout
    keepfs.mount()
    assert {org: made_in(keepfs, org) for org in ["acme", "beta"]} == before
    for org, digest in digests.items():
        path = keepfs.path("exports", org, before[org][0])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        assert os.getxattr(path, "user.keepfs.org").decode() == org


def test_without_the_section(keepfs):
    """the directory is there, and empty"""
    assert os.listdir(keepfs.path("exports")) == []
    assert "add a section [export]" in keepfs.refused("trigger", "export acme")
    with pytest.raises(OSError):
        keepfs.path("exports", "acme").mkdir()


def test_a_job_of_that_name(new_keepfs, pg):
    """stays what it was, as long as there is no [export]"""
    keepfs = new_keepfs({"exports": {"database": pg.uri("sample")}}).mount()
    ended(keepfs, "exports")
    assert os.listdir(keepfs.path("exports")) == [] and os.listdir(keepfs.path("backups")) == ["exports"]
    assert keepfs.path("backups", "exports", "latest.dump").exists()
    assert "retention  " not in keepfs.text("status", "health") and "backups/exports" in keepfs.text("status", "retention")
