# SPDX-License-Identifier: Apache-2.0
"""Classes of databases that a registry names: each is kept by the rules of its class, also when that changes, or the database is gone."""
import contextlib
import datetime
import json

import pytest

import handmade

QUERY = "SELECT name, class FROM tenant ORDER BY name"
OLD = 8  # backups that each has
UTC = datetime.timezone.utc

pytestmark = pytest.mark.usefixtures("one_day")
LONG_AGO_US = 800 * 86400 * 1000000


class Registry:
    def __init__(self, server):
        self.server = server
        server.create("registry")
        server.sql("registry", "CREATE TABLE tenant (name text PRIMARY KEY, class text)")

    def add(self, name, class_=None, create=True):
        if create:
            self.server.create(name)
        self.server.sql("registry", f"INSERT INTO tenant VALUES ('{name}', {'NULL' if class_ is None else repr(class_)})")

    def set(self, name, class_):
        self.server.sql("registry", f"UPDATE tenant SET class = '{class_}' WHERE name = '{name}'")

    def drop(self, name):
        self.server.sql("registry", f"DELETE FROM tenant WHERE name = '{name}'")


@pytest.fixture
def platform(own_pg, store, new_keepfs):
    """make (keepfs, registry): three tenants of two classes and of none, each with a backup of each of the last days"""
    registry = Registry(own_pg)

    def make(**settings):
        newest = datetime.datetime.now(UTC).replace(microsecond=0)
        run = 0
        for day in range(OLD, 0, -1):
            for name, class_ in (("acme", "paid"), ("plain", None), ("zeta", "demo")):
                run += 1
                stem = f"{newest - datetime.timedelta(days=day):%Y%m%dT%H%M%SZ}"
                handmade.publish(store, f"backups/tenants/{name}/{stem}.dump", b"PGDMP", run=run, database=name)
        registry.add("acme", "paid")
        registry.add("plain")
        registry.add("zeta", "demo")
        keepfs = new_keepfs({"tenants": {"database": own_pg.uri("registry"), "databases": QUERY, "compression": "none", "globals": "no",
                                         "keep_last": 5, "keep_within": "1m", "timezone": "UTC", "schedule": "0 2 * * *",
                                         "catch_up": "none"}}, **settings)
        keepfs.sections["class paid"] = {"keep_last": 7, "schedule": "0 */6 * * *"}
        keepfs.sections["class demo"] = {"keep_last": 2, "schedule": "0 3 * * sun"}
        keepfs.write_conf()
        keepfs.run("rebuild")
        return keepfs.mount(), registry

    return make


def counts(keepfs):
    return {name: len(keepfs.artifacts(f"tenants/{name}")) for name in ("acme", "plain", "zeta")}


def ended(keepfs, command="tenants", state="completed"):
    run = keepfs.trigger(command)
    assert keepfs.wait_run(run)["state"] == state, keepfs.text("jobs", str(run), "log")
    return keepfs.text("jobs", str(run), "log")


def plan_of(keepfs, name):
    answer = json.loads(keepfs.ask("prune", f"tenants/{name} json"))
    return answer, answer["directories"][0]


@contextlib.contextmanager
def stopped(keepfs):
    """the catalog, to let time pass in it"""
    keepfs.unmount()
    with keepfs.writable_catalog() as catalog:
        yield catalog
    keepfs.mount()


def test_each_is_kept_by_the_rules_of_its_class(platform):
    keepfs, _ = platform(policy_delay="none")
    assert counts(keepfs) == {"acme": OLD, "plain": OLD, "zeta": OLD}
    ended(keepfs)
    assert counts(keepfs) == {"acme": 7, "plain": 5, "zeta": 2}
    units = {s["class"]: s for s in json.loads(keepfs.text("status", "schedule.json"))["schedules"]}
    assert set(units) == {None, "paid", "demo"} and units["demo"]["databases"] == 1
    assert units["demo"]["interval_s"] == 7 * 86400 and units["paid"]["interval_s"] == 6 * 3600
    # A run of one class touches no other's, though all are due for less.
    keepfs.sections["class paid"]["keep_last"] = keepfs.sections["class demo"]["keep_last"] = 1
    keepfs.write_conf()
    keepfs.remount()
    ended(keepfs, "tenants class=demo")
    assert counts(keepfs)["acme"] == 7 and counts(keepfs)["plain"] == 5 and counts(keepfs)["zeta"] <= 2


def test_another_class_is_another_rule_and_waits(platform):
    keepfs, registry = platform()  # policy_delay: a day
    ended(keepfs)
    assert counts(keepfs) == {"acme": OLD + 1, "plain": OLD + 1, "zeta": OLD + 1}  # no rules were in force yet
    answer, _ = plan_of(keepfs, "acme")
    keepfs.ask("prune", f"tenants/acme confirm={answer['plan']}")
    assert counts(keepfs)["acme"] == 7
    registry.set("acme", "demo")
    assert "database acme is of the class demo now" in ended(keepfs)
    assert counts(keepfs)["acme"] == 8  # one more: nothing went by the new rules
    answer, place = plan_of(keepfs, "acme")
    assert place["state"] == "waits" and "the rules were: last 7" in place["why"] and "now they are: last 2" in place["why"]
    assert "retention backups/tenants/acme" in keepfs.text("status", "health")
    # Back again before anybody has confirmed it: as if nothing had been.
    registry.set("acme", "paid")
    ended(keepfs)
    assert counts(keepfs)["acme"] == 7 and plan_of(keepfs, "acme")[1]["state"] != "waits"
    registry.set("acme", "demo")
    ended(keepfs)
    answer, _ = plan_of(keepfs, "acme")
    keepfs.ask("prune", f"tenants/acme confirm={answer['plan']}")
    assert counts(keepfs)["acme"] <= 4 and plan_of(keepfs, "acme")[1]["due"] == 0  # and those of this minute


def test_one_that_is_gone_keeps_all_and_comes_back(platform):
    keepfs, registry = platform(policy_delay="none")
    ended(keepfs)
    before = keepfs.artifacts("tenants/zeta")
    registry.drop("zeta")
    keepfs.sections["class demo"]["keep_last"] = 1
    keepfs.write_conf()
    keepfs.remount()
    for _ in range(2):
        ended(keepfs)
    assert keepfs.artifacts("tenants/zeta") == before  # by no rule, while nothing takes their place
    assert "gone" in keepfs.text("status", "retention")
    # Its time is over; but while the registry cannot be read, its last word is not enough.
    with stopped(keepfs) as catalog:
        catalog.execute(f"UPDATE member SET gone_since_us = gone_since_us - {LONG_AGO_US} WHERE name = 'zeta'")
    registry.server.sql("registry", "ALTER TABLE tenant RENAME TO away")
    ended(keepfs, state="failed")
    assert keepfs.artifacts("tenants/zeta") == before
    registry.server.sql("registry", "ALTER TABLE away RENAME TO tenant")
    # It comes back in time, and is kept as any other.
    registry.add("zeta", "demo", create=False)
    log = ended(keepfs)
    assert "database zeta is named again" in log
    assert len(keepfs.artifacts("tenants/zeta")) >= 1 and set(keepfs.artifacts("tenants/zeta")) - set(before)


def test_one_that_is_gone_for_good_waits_to_be_confirmed(platform):
    keepfs, registry = platform()
    ended(keepfs)
    held = keepfs.artifacts("tenants/zeta")[3]
    keepfs.ask("hold", f"backups/tenants/zeta/{held} on reason='the contract'")
    registry.drop("zeta")
    ended(keepfs)
    with stopped(keepfs) as catalog:
        catalog.execute(f"UPDATE member SET gone_since_us = gone_since_us - {LONG_AGO_US} WHERE name = 'zeta'")
    ended(keepfs)
    assert counts(keepfs)["zeta"] == OLD + 1
    answer, place = plan_of(keepfs, "zeta")
    assert place["state"] == "waits" and "nothing stays" in place["why"] and place["due"] == OLD
    assert all("its database is gone since" in one["why"] for one in place["goes"])
    keepfs.ask("prune", f"tenants/zeta confirm={answer['plan']}")
    assert keepfs.artifacts("tenants/zeta") == [held]
