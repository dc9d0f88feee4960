# SPDX-License-Identifier: Apache-2.0
"""Object lock of packs: each is locked as long as the longest-locked state that needs it, in the first store and in a further one. A13 B11"""
import datetime
import errno
import os
import re
import signal

import pytest

from daemon import wait_until
from test_mirror import foreign, packs, states  # noqa: F401 a fixture
from test_mirror_copies import fill, rows
from test_object_lock import live_by, locked, midnight_after, pass_a_while, wait_while_time_passes  # noqa: F401 a fixture

pytestmark = pytest.mark.usefixtures("one_day")
RULES = {"keep_daily": 3, "keep_within": "none", "keep_last": 1, "timezone": "UTC"}


def locks(store, path):
    """of all objects of the artifact, by the word of the store; one of the same second is called so, too, with a number behind it"""
    stem = path.split("/", 1)[1].removesuffix(".tar")
    return {key: store.lock_of(key)[1] for key, _ in store.versions() if re.search(f"{re.escape(stem)}(?!-)", key) and "/holds/" not in key and "/trash/" not in key}


def now():
    return f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}"


def until(store, path):
    found = locks(store, path)
    assert len(found) >= 3, found
    return min(found.values())


def test_packs_are_locked_as_long_as_states(new_keepfs, locked, foreign, clocks):  # noqa: F811
    store = locked()
    keepfs = new_keepfs({"mirror docs": foreign.section(**{**RULES, "keep_daily": 9})}, store=store)
    keepfs.store_settings.update(object_lock="governance")
    keepfs.write_conf()
    live_by(clocks, keepfs)
    fill(foreign)
    keepfs.mount()
    keepfs.backup("docs")
    (state,) = states(store)
    (pack,) = packs(store)
    wait_until(lambda: until(store, pack) == until(store, state) == midnight_after(9), lambda: (locks(store, pack), locks(store, state)))
    assert len(set(locks(store, pack).values())) == 1, "no longer than the state"
    assert os.getxattr(keepfs.path(*state.split("/")), "user.keepfs.locked_until").decode()[:19] == until(store, state)
    # Of a state that is kept for less, what is new is locked for less, and what is old stays locked.
    fill(foreign, 1)
    keepfs.backup("docs")
    (new,) = set(packs(store)) - {pack}
    second = states(store)[1]
    assert until(store, pack) == midnight_after(9)
    wait_until(lambda: until(store, new) >= until(store, second), lambda: (locks(store, new), locks(store, second)))
    # One that is promised for longer has all its packs locked for longer, the old ones, too.
    keepfs.backup("docs keep=20d")
    third = states(store)[2]
    promised = until(store, third)
    assert promised > midnight_after(19)
    wait_until(lambda: until(store, pack) == until(store, new) == promised, lambda: (locks(store, pack), locks(store, new), promised))
    for key, version in store.versions():
        if "/packs/" in key:
            assert store.cannot_delete(key, version)
    # Rules that keep more lock states for longer as time passes, and their packs with them.
    keepfs.jobs["mirror docs"]["keep_daily"] = 30
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: "keep_daily: 9 is now 30" in (keepfs.state / "keepfs.log").read_text(), "the new rules")
    pass_a_while(clocks, 86400)
    wait_while_time_passes(clocks, lambda: until(store, state) == until(store, pack) == midnight_after(30), "locked for 30 days")
    # A catalog that is made anew asks the store, and extends nothing.
    before = locks(store, pack)
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert locks(store, pack) == before


def test_a_locked_pack_goes_when_its_time_is_over(new_keepfs, locked, foreign, clocks):  # noqa: F811
    """nothing needs it, and its lock keeps it: that is no failure, and it is removed afterwards"""
    store = locked()
    keepfs = new_keepfs({"mirror docs": foreign.section(keep_last=1, keep_within="none", min_keep=1)}, store=store)
    keepfs.store_settings.update(object_lock="governance", lock_min="12s")
    keepfs.write_conf()
    live_by(clocks, keepfs)
    keepfs.mount()
    fill(foreign)
    keepfs.backup("docs")
    (pack,), (state,) = packs(store), states(store)
    with pytest.raises(OSError) as refused:
        keepfs.path(*state.split("/")).rmdir()
    assert refused.value.errno == errno.EPERM
    fill(foreign)
    wait_until(lambda: until(store, state) < now(), "the lock of the state ends")
    wait_until(lambda: until(store, pack) < now(), "the lock of the pack ends")
    keepfs.backup("docs")
    wait_while_time_passes(clocks, lambda: pack not in packs(store), "the pack is removed")
    assert len(states(store)) == 1
    assert "stay for now" not in (keepfs.state / "keepfs.log").read_text()


def test_copies_of_packs_are_locked(new_keepfs, locked, foreign):  # noqa: F811
    """by the rules of their own store, as long as the longest of the copies there that need them"""
    offsite = locked()
    keepfs = new_keepfs({"mirror docs": foreign.section(**RULES, copies="primary, offsite")})
    keepfs.sections = {"store offsite": {**offsite.settings, "object_lock": "governance", "keep_daily": "5"}}
    keepfs.write_conf()
    fill(foreign)
    keepfs.mount()
    keepfs.backup("docs")
    (state,), (pack,) = states(keepfs.store), packs(keepfs.store)
    wait_until(lambda: pack in packs(offsite) and state in states(offsite) and until(offsite, pack) == until(offsite, state) == midnight_after(5),
               lambda: (keepfs.text("status", "replicas"), offsite.keys()))
    wait_until(lambda: rows(keepfs)[pack]["locked_until"][:19] == midnight_after(5), lambda: rows(keepfs))
    # A later state needs the old pack, and is kept for longer.
    keepfs.backup("docs keep=20d")
    second = states(keepfs.store)[1]
    wait_until(lambda: second in states(offsite) and until(offsite, second) > midnight_after(19) and until(offsite, pack) == until(offsite, second),
               lambda: (keepfs.text("status", "replicas"), locks(offsite, pack)))
    keepfs.sections["store offsite"]["keep_daily"] = "40"
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: until(offsite, state) == until(offsite, pack) == midnight_after(40), lambda: (locks(offsite, pack), locks(offsite, state)))
    assert "FAIL" not in keepfs.text("status", "health")
