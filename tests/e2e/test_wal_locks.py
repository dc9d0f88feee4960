# SPDX-License-Identifier: Apache-2.0
"""Object lock of WAL: locked when it is put, for longer as far as a locked base backup needs it, and not removed before its time. A13"""
import datetime

import pytest

import daemon
from test_object_lock import UTC, locked  # noqa: F401 a fixture
from test_wal_keep import JOB, days_ago, listed, names, prune, publish_base, put_segments, with_bases
from waling import SYSTEM_ID, name_of, segment

pytestmark = pytest.mark.usefixtures("one_day")


def locked_for(store, number):
    """days, or None"""
    until = store.lock_of(f"{store.prefix}/wal/{JOB}/{SYSTEM_ID}/{name_of(number)}.zst")[1]
    return round((datetime.datetime.fromisoformat(f"{until}+00:00") - datetime.datetime.now(UTC)).total_seconds() / 86400, 2) if until else None


def walfs(new_keepfs, store, **section):
    keepfs = new_keepfs({f"cluster {JOB}": {"wal": "archive", "timezone": "UTC", **section}}, store=store, policy_delay="none")
    keepfs.store_settings.update(object_lock="governance", lock_min="2d")
    keepfs.write_conf()
    return keepfs.mount()


def test_wal_is_locked_when_it_comes(new_keepfs, locked, tmp_path):  # noqa: F811
    store = locked()
    keepfs = walfs(new_keepfs, store, wal_window="5d")
    put_segments(keepfs, tmp_path, [1])
    assert locked_for(store, 1) == pytest.approx(5, abs=0.1)
    assert keepfs.path("wal", JOB, name_of(1)).read_bytes() == segment(1)


def test_what_is_locked_stays_and_what_a_locked_base_needs_is_locked_for_longer(new_keepfs, locked, tmp_path):  # noqa: F811
    store = locked()
    keepfs = walfs(new_keepfs, store, keep_daily=9, keep_within="none")
    put_segments(keepfs, tmp_path, range(1, 7))
    assert locked_for(store, 1) == pytest.approx(2, abs=0.1)
    publish_base(keepfs.store, days_ago(0), 3, 4)
    with_bases(keepfs, 1)

    def extended():
        prune(keepfs)
        return (locked_for(store, 4) or 0) > 7 and (locked_for(store, 3) or 0) > 7

    # The base backup's own lock is made by the tidier.
    daemon.wait_until(extended, lambda: [locked_for(store, n) for n in range(1, 7)], pause_s=0.5)
    assert locked_for(store, 5) == pytest.approx(2, abs=0.1)
    # Nobody needs the first two, and their lock keeps them: also for a catalog that is made anew, which asks the store.
    assert listed(keepfs) == names(range(1, 7))
    assert "2 files are needed by nobody, and locked in the store" in prune(keepfs, "")
    keepfs.unmount()
    for file in keepfs.state.glob("catalog.db*"):
        file.unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    prune(keepfs)
    assert listed(keepfs) == names(range(1, 7))
    assert locked_for(store, 1) == pytest.approx(2, abs=0.1)
