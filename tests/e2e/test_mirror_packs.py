# SPDX-License-Identifier: Apache-2.0
"""Packs on their way into the store: one is read back while the next is filled, and nothing is listed before all of them were."""
import os

import pytest

import faulty_s3
from daemon import wait_until
from test_mirror import MIB, contents, foreign, packs, states  # noqa: F401

LARGE = 17 * MIB  # each is a pack of its own
ROOM, NO_ROOM = {"memory": "320M"}, {"memory": "112M"}  # for two packs at once


class Store(faulty_s3.FaultyS3):
    """a store that knows in which order packs were asked for and sent, and whose answers about the first can be others"""

    def __init__(self):
        super().__init__()
        self.seen = []  # (method, name of the pack)
        self.on_get = None  # function(answer), of a stretch of the first pack

    def _answer(self, connection, method, key, query, headers, body):
        if key.startswith("packs/") and key.endswith(".tar") and method in ("GET", "POST", "PUT"):
            with self.lock:
                self.seen.append((method, key.rsplit("/", 1)[1]))
                self.lock.notify_all()
        return super()._answer(connection, method, key, query, headers, body)

    def _get(self, answer, key, found):
        if self.on_get and key.startswith("packs/") and key.endswith("/00001.tar"):
            return self.on_get(answer)
        return super()._get(answer, key, found)

    def second_is_sent(self):
        return any(method != "GET" and name == "00002.tar" for method, name in self.seen)


@pytest.fixture
def bad_store():
    made = Store()
    yield made
    made.close()


@pytest.fixture
def begun(new_keepfs, bad_store, foreign):  # noqa: F811
    """three packs to make, of which the first is not answered while it is read back"""
    for i in range(3):
        foreign.put(f"{i}", os.urandom(LARGE))
    keepfs = new_keepfs({"mirror docs": foreign.section()}, store=bad_store, **ROOM).mount()
    bad_store.on_get = faulty_s3.silent
    run = keepfs.trigger("docs")
    bad_store.wait(bad_store.second_is_sent, "the second pack")
    yield keepfs, run
    # Whatever became of it: the next run makes the state.
    bad_store.on_get = None
    keepfs.backup("docs")
    (path,) = states(bad_store)
    assert contents(bad_store, path) == foreign.objects
    keepfs.unmount()


def test_one_is_read_back_while_the_next_is_sent(new_keepfs, bad_store, foreign):  # noqa: F811
    def wait_for_the_second(answer):
        bad_store.wait(bad_store.second_is_sent, "the second pack")
        return answer.good()

    for i in range(3):
        foreign.put(f"{i}", os.urandom(LARGE))
    bad_store.on_get = wait_for_the_second
    keepfs = new_keepfs({"mirror docs": foreign.section()}, store=bad_store, **ROOM).mount()
    keepfs.backup("docs")
    (path,) = states(bad_store)
    assert contents(bad_store, path) == foreign.objects
    keepfs.unmount()


def test_without_the_memory_one_after_the_other(new_keepfs, bad_store, foreign):  # noqa: F811
    for i in range(3):
        foreign.put(f"{i}", os.urandom(LARGE))
    keepfs = new_keepfs({"mirror docs": foreign.section()}, store=bad_store, **NO_ROOM).mount()
    keepfs.backup("docs")
    (path,) = states(bad_store)
    assert contents(bad_store, path) == foreign.objects
    names = [name for _, name in bad_store.seen]
    assert names == sorted(names) and set(names) == {"00001.tar", "00002.tar", "00003.tar"}
    keepfs.unmount()


@pytest.mark.parametrize("beside", [True, False])
def test_a_pack_that_was_damaged_on_its_way(new_keepfs, bad_store, foreign, beside):  # noqa: F811
    """it is found out late, when the next is under way: no state, and no pack of what came behind it"""
    def damaged(answer):
        if beside:
            bad_store.wait(bad_store.second_is_sent, "the second pack")
        return faulty_s3.corrupted(9 * MIB)(answer)

    for i in range(3):
        foreign.put(f"{i}", os.urandom(LARGE))
    keepfs = new_keepfs({"mirror docs": foreign.section()}, store=bad_store, **(ROOM if beside else NO_ROOM)).mount()
    bad_store.on_get = damaged
    run = keepfs.trigger("docs")
    status = keepfs.wait_run(run)
    assert status["state"] == "failed"
    assert "could not be read back" in status["error"] and "/00001.tar is damaged in the store" in status["error"], status["error"]
    assert states(bad_store) == [] and packs(bad_store) == [] and bad_store.uploads() == []
    assert not [key for key in bad_store.keys() if key.startswith("manifests/packs/")]
    assert not any(name == "00003.tar" for _, name in bad_store.seen)
    bad_store.on_get = None
    keepfs.backup("docs")
    (path,) = states(bad_store)
    assert contents(bad_store, path) == foreign.objects
    keepfs.unmount()


def test_cancelled_while_both_are_under_way(begun, bad_store):
    keepfs, run = begun
    keepfs.path("jobs", str(run), "cancel").write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert states(bad_store) == [] and packs(bad_store) == [] and bad_store.uploads() == []


def test_killed_while_both_are_under_way(begun, bad_store):
    keepfs, _ = begun
    keepfs.kill()
    bad_store.on_get = None
    keepfs.mount()
    wait_until(lambda: packs(bad_store) == [] and bad_store.uploads() == [], "nothing of the run that was killed is left")
    assert states(bad_store) == []
