# SPDX-License-Identifier: Apache-2.0
"""A clock that somebody sets, and a host that sleeps: nothing that goes by the time waits for one that does not come."""
import datetime
import os

import pytest

import stores
from daemon import wait_until
from keeping import DAY, Directory
from life import HOUR, Life

NIGHTLY = "30 2 * * *"


@pytest.fixture
def store(in_memory):
    return stores.DirStore(in_memory / "objects")


@pytest.fixture
def new_life(new_keepfs, tmp_path, in_memory, clocks, web):
    """a keepfs whose job `media` archives a file; it tells of what happens, and has made a backup"""
    def make(job, **settings):
        (tmp_path / "media").mkdir()
        (tmp_path / "media" / "file").write_text("some text\n" * 100)
        keepfs = new_keepfs({"files media": {"path": tmp_path / "media", **job}}, directory=in_memory, timezone="Europe/Berlin", **settings)
        keepfs.sections = {"webhook ops": {"url": f"{web.url}/ops", "gather": "none"}}
        keepfs.write_conf()
        life = Life(keepfs, clocks, {"media": Directory(datetime.time(2, 30), {"daily": 7})}, web)
        life.mount()
        life.trigger("media")
        return life

    return make


def test_what_time_brings_is_told_after_the_clock_was_set_back(new_life):
    life = new_life({"expected_interval": "1d", "grace": "6h"}, catalog_copies="none")
    life.set_clock(3 * DAY)
    life.expect_events("missed media")
    life.set_clock(-3 * DAY)
    life.expect_events("recovered media")
    life.pass_time(31 * HOUR)
    life.expect_events("missed media")


def test_what_changes_is_told_after_the_clock_was_set_back(new_life):
    life = new_life({"schedule": NIGHTLY, "catch_up": "none"})
    life.set_clock(12 * HOUR)
    life.rest()
    life.set_clock(-12 * HOUR)
    life.keepfs.ask("schedule", "media off")
    life.expect_events("warning media")


def test_what_is_in_the_trash_comes_back_whatever_the_clock_says(new_life):
    life = new_life({"expected_interval": "30d"}, trash="3d")
    name = os.path.basename(life.trigger("media")["target"].split()[2])
    life.trigger("media")
    path = life.keepfs.path("backups", "media", name)
    content = path.read_bytes()
    os.unlink(path)
    life.set_clock(30 * DAY)
    life.rest()
    life.keepfs.ask("undelete", f"backups/media/{name}")
    assert path.read_bytes() == content


def test_a_host_that_slept_does_what_is_due(new_life):
    """a copy of the catalog is made, and what was in the trash for long enough leaves it"""
    life = new_life({"expected_interval": "30d"}, trash="3d")
    name = os.path.basename(life.trigger("media")["target"].split()[2])
    life.trigger("media")
    os.unlink(life.keepfs.path("backups", "media", name))
    life.pass_time(2 * HOUR)
    life.rest()
    assert name in str(life.keepfs.store.keys())
    life.sleep_host(4 * DAY)
    wait_until(lambda: name not in str(life.keepfs.store.keys()), "the trash to be emptied")
    well = 'keepfs_health_items{check="catalog_copy",level="warn"} 0'
    wait_until(lambda: well in life.keepfs.text("status", "metrics.prom"), "a copy of the catalog")
