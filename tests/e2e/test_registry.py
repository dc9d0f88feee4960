# SPDX-License-Identifier: Apache-2.0
"""Databases that a job finds out by itself: a query on a registry, classes, tenants that come and go, and a registry with bad days."""
import json
import os
import re
import signal
import sqlite3

import pytest

from daemon import wait_until

QUERY = "SELECT name, class FROM tenant ORDER BY place, name"
HOSTILE = ["..", "a/b", 'say "hi"', "it's", "SHA256SUMS", "latest.dump", "20261120T020000Z.dump", "ünï\u2603", "x" * 63, "-rf", "a b=c", "*"]


class Platform:
    """a server of its own: a registry in the database `registry`, and databases of tenants"""

    def __init__(self, server):
        self.server = server
        server.create("registry")
        server.sql("registry", "CREATE TABLE tenant (name text, class text, place int DEFAULT 100)")

    def create(self, name):
        quoted = name.replace('"', '""')
        self.server.sql("postgres", f'CREATE DATABASE "{quoted}"')

    def add(self, name, class_=None, place=100, create=True):
        if create:
            self.create(name)
        quoted = name.replace("'", "''")
        self.server.sql("registry", f"INSERT INTO tenant VALUES ('{quoted}', {'NULL' if class_ is None else repr(class_)}, {place})")

    def drop(self, name):
        self.server.sql("registry", f"DELETE FROM tenant WHERE name = '{name}'")


@pytest.fixture
def platform(own_pg):
    return Platform(own_pg)


@pytest.fixture
def tenants(new_keepfs, platform):
    def make(**job):
        settings = {"database": platform.server.uri("registry"), "databases": QUERY, "compression": "none", "globals": "no"}
        settings.update(job)
        return new_keepfs({"tenants": settings})

    return make


def directories(keepfs):
    return sorted(os.listdir(keepfs.path("backups", "tenants")))




def ended(keepfs, command, state="completed"):
    run = keepfs.trigger(command)
    status = keepfs.wait_run(run)
    assert status["state"] == state, keepfs.text("jobs", str(run), "log")
    return run, status


def log_of(keepfs, run):
    return keepfs.text("jobs", str(run), "log")


def test_a_platform(tenants, platform):
    """the order of the query, classes, a tenant that is new, one that is gone, its last backup"""
    platform.add("master", place=1)
    platform.add("acme", "paid")
    platform.add("zeta", "demo")
    keepfs = tenants().mount()
    run, _ = ended(keepfs, "tenants")
    assert directories(keepfs) == ["acme", "master", "zeta"]
    assert log_of(keepfs, run).index("database master is new") < log_of(keepfs, run).index("database acme is new of the class paid")
    made = keepfs.artifacts("tenants/acme")
    assert os.getxattr(keepfs.path("backups/tenants/acme", made[0]), "user.keepfs.class") == b"paid"
    # One of them alone, and those of a class.
    ended(keepfs, "tenants database=zeta")
    run, _ = ended(keepfs, "tenants class=paid")
    assert [len(keepfs.artifacts(f"tenants/{name}")) for name in ("acme", "master", "zeta")] == [2, 1, 2]
    assert keepfs.history(run)["options"] == "class=paid"
    assert "no database of the class 'free'; the classes of its databases: paid, demo" in keepfs.refused("trigger", "tenants class=free")
    assert "job tenants has no database 'acm'" in keepfs.refused("trigger", "tenants database=acm")
    # A new one is taken up by itself.
    platform.add("brand new", "demo")
    ended(keepfs, "tenants")
    assert "brand=20new" in directories(keepfs)
    # One that is not named any more keeps what it has, and is told of.
    platform.drop("acme")
    run, _ = ended(keepfs, "tenants")
    assert "database acme is not named any more" in log_of(keepfs, run)
    assert len(keepfs.artifacts("tenants/acme")) == 3
    assert "acme" in keepfs.text("status", "health")
    keepfs.remount()
    assert len(keepfs.artifacts("tenants/acme")) == 3
    assert "has no database 'acme'" in keepfs.refused("trigger", "tenants database=acme")
    run, _ = ended(keepfs, "tenants database=acme final=yes")
    last = keepfs.artifacts("tenants/acme")[-1]
    assert os.getxattr(keepfs.path("backups/tenants/acme", last), "user.keepfs.note") == b"final"
    assert os.getxattr(keepfs.path("backups/tenants/acme", last), "user.keepfs.final") == b"yes"
    audits = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    assert any(a["action"] == "registry" and a["object"] == "tenants/acme" for a in audits)


def test_a_registry_with_bad_days(tenants, platform):
    """it is down, or says nothing: what is known is backed up, the run fails, and nothing is gone"""
    for name in ("one", "two"):
        platform.add(name)
    keepfs = tenants().mount()
    ended(keepfs, "tenants")
    platform.server.sql("registry", "ALTER TABLE tenant RENAME TO away")
    run, status = ended(keepfs, "tenants", "failed")
    assert "the registry could not be asked" in status["error"] and "2 databases that were named the last time" in status["error"]
    assert [len(keepfs.artifacts(f"tenants/{name}")) for name in ("one", "two")] == [2, 2]
    assert "registry tenants" in keepfs.text("status", "health")
    # A start does not ask it either.
    keepfs.remount()
    assert directories(keepfs) == ["one", "two"]
    platform.server.sql("registry", "ALTER TABLE away RENAME TO tenant; CREATE TABLE kept AS TABLE tenant; DELETE FROM tenant")
    run, status = ended(keepfs, "tenants", "failed")
    assert "the registry names no database" in status["error"]
    assert len(keepfs.artifacts("tenants/one")) == 3
    platform.server.sql("registry", "INSERT INTO tenant SELECT * FROM kept")
    run, _ = ended(keepfs, "tenants")
    assert "not named" not in log_of(keepfs, run) and "is new" not in log_of(keepfs, run)


def test_a_sudden_loss(tenants, platform):
    for n in range(6):
        platform.add(f"t{n}")
    keepfs = tenants().mount()
    ended(keepfs, "tenants")
    platform.server.sql("registry", "DELETE FROM tenant WHERE name <> 't0'")
    run, status = ended(keepfs, "tenants")
    assert "5 databases are suddenly not named any more" in log_of(keepfs, run)
    health = keepfs.text("status", "health")
    assert "CRIT" in health and "5 of 6" in health
    assert len(keepfs.artifacts("tenants/t0")) == 2 and len(keepfs.artifacts("tenants/t5")) == 1


def test_a_loss_is_believed_after_the_delay_of_now(tenants, platform):
    """policy_delay was a day when the daemon began, and is a minute since it has read its file again"""
    for n in range(6):
        platform.add(f"t{n}")
    keepfs = tenants().mount()
    ended(keepfs, "tenants")
    platform.server.sql("registry", "DELETE FROM tenant WHERE name <> 't0'")
    run, _ = ended(keepfs, "tenants")
    assert "5 databases are suddenly not named any more" in log_of(keepfs, run)
    catalog = sqlite3.connect(keepfs.state / "catalog.db")
    catalog.execute("UPDATE member SET missing_since_us = missing_since_us - 120000000 WHERE missing_since_us > 0")
    catalog.commit()
    catalog.close()
    keepfs.settings["policy_delay"] = "1m"
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: "policy_delay = 1m" in keepfs.text("status", "config"), "a reload")
    run, _ = ended(keepfs, "tenants")
    assert "database t5 is not named any more" in log_of(keepfs, run)
    assert "suddenly" not in keepfs.text("status", "health")


def test_nothing_was_ever_known(tenants, platform):
    keepfs = tenants(databases="SELECT name FROM nothing").mount()
    _, status = ended(keepfs, "tenants", "failed")
    assert "the registry could not be asked" in status["error"] and "nothing" in status["error"]
    keepfs.jobs["tenants"]["databases"] = "SELECT name, class, place FROM tenant"
    keepfs.write_conf()
    keepfs.remount()
    _, status = ended(keepfs, "tenants", "failed")
    assert "has 3 columns" in status["error"]


def test_bad_rows(tenants, platform):
    """each is told, and stops nobody else"""
    platform.add("good")
    platform.add("absent", create=False)
    platform.server.sql("registry", "INSERT INTO tenant VALUES (NULL), (''), (E'a\\nb'), ('good')")
    keepfs = tenants().mount()
    run, status = ended(keepfs, "tenants", "failed")
    for words in ("is NULL", "is empty", "has a control character", "good is named twice", "absent"):
        assert words in status["error"], words
    assert len(keepfs.artifacts("tenants/good")) == 1
    assert "does not exist" in log_of(keepfs, run)


def test_hostile_names(tenants, platform):
    for name in HOSTILE:
        platform.add(name)
    keepfs = tenants().mount()
    ended(keepfs, "tenants")
    assert len(directories(keepfs)) == len(HOSTILE)
    for directory in directories(keepfs):
        assert not directory.startswith((".", "-")) and "/" not in directory
        assert len(keepfs.artifacts(f"tenants/{directory}")) == 1
    ended(keepfs, "tenants database='say \"hi\"'")


def test_patterns(new_keepfs, platform):
    for name in ("shop", "crm", "scratch", "test_1"):
        platform.create(name)
    keepfs = new_keepfs({"tenants": {"database": platform.server.uri("postgres"), "globals": "no", "compression": "none",
                                     "databases": "shop, *, !scratch, !test_*, !postgres, !sample"}}).mount()
    run, _ = ended(keepfs, "tenants")
    assert directories(keepfs) == ["crm", "registry", "shop"]
    platform.create("later")
    platform.server.drop("crm")
    run, _ = ended(keepfs, "tenants")
    assert "database later is new" in log_of(keepfs, run) and "database crm is not named any more" in log_of(keepfs, run)
    assert len(keepfs.artifacts("tenants/crm")) == 1
    _, status = ended(keepfs, "tenants database=crm final=yes", "failed")
    assert "does not exist" in status["error"]


def test_what_no_job_backs_up(new_keepfs, platform):
    platform.create("crm")
    platform.create("ignored_1")
    keepfs = new_keepfs({"full": {"database": platform.server.uri("sample")}}, ignore_databases="ignored_*").mount()
    keepfs.backup()
    health = keepfs.text("status", "health")
    line = next(line for line in health.splitlines() if "backed up by no job" in line)
    assert line.startswith("WARN") and "crm" in line and "registry" in line
    assert "ignored_1" not in line and "postgres" not in line and "sample" not in line
    check = keepfs.run("check", check=False)
    assert "crm" in check.stdout
    platform.server.sql("postgres", "CREATE TABLE used (a int)")
    keepfs.backup()
    assert any("postgres" in line for line in keepfs.text("status", "health").splitlines() if "backed up by no job" in line)


def test_check_shows_what_the_query_gives(tenants, platform):
    platform.add("acme", "paid")
    platform.add("zeta", "demo")
    platform.add("plain")
    keepfs = tenants()
    done = keepfs.run("check", check=False)
    line = next(line for line in done.stdout.splitlines() if "registry tenants" in line)
    assert line.startswith("ok") and "3 databases" in line and "1 paid" in line and "1 demo" in line
    for name in ("acme", "zeta", "plain"):
        assert f"database tenants/{name}" in done.stdout
    platform.server.sql("registry", "DROP TABLE tenant")
    done = keepfs.run("check", check=False)
    assert done.returncode == 1 and "FAIL registry tenants: the registry could not be asked" in done.stdout


def test_the_script_of_rights_is_about_all_of_them(tenants, platform):
    """what a query or patterns give, and the database that is asked; without an answer it says what is missing"""
    platform.add("acme", "paid")
    platform.add("zeta", "demo")
    for databases, left_out in ((QUERY, "sample"), ("*, !zeta", "zeta")):
        script = tenants(databases=databases).run("check", "--fix", check=False).stdout
        granted = re.findall(r'^GRANT CONNECT ON DATABASE "(.*?)" TO ', script, re.M)
        assert {"registry", "acme"} <= set(granted) and left_out not in granted and len(granted) == len(set(granted)), script
        assert "are known yet" not in script, script
    script = tenants(databases="SELECT name FROM nothing").run("check", "--fix", check=False).stdout
    assert re.findall(r'^GRANT CONNECT ON DATABASE "(.*?)" TO ', script, re.M) == ["registry"], script
    assert re.search(r"^-- Not all databases of the following job are known yet: .*nothing", script, re.M), script


def test_run_without_a_daemon(tenants, platform):
    platform.add("acme")
    platform.add("zeta")
    keepfs = tenants()
    keepfs.run("run", "tenants", "database=zeta")
    keepfs.mount()
    # What is known has a directory, though it has no backup yet.
    assert directories(keepfs) == ["acme", "zeta"]
    assert [len(keepfs.artifacts(f"tenants/{name}")) for name in ("acme", "zeta")] == [0, 1]
