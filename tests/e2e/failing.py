# SPDX-License-Identifier: Apache-2.0
"""What the tests of failures share: a run that must fail, and a store that fails by rules."""

SHORT = {"retry_deadline": "3s", "connect_timeout": "2s", "stall_timeout": "2s"}


def fails(keepfs, *words):
    """a run that must fail, with these words in its error and in the history; nothing stays in the store"""
    before = keepfs.store.keys()
    run = keepfs.trigger()
    status = keepfs.wait_run(run)
    assert status["state"] == "failed"
    error = keepfs.history(run)["error"]
    for word in words:
        assert word.lower() in error.lower(), error
    assert keepfs.store.keys() == before
    return error


def noisy(new_keepfs, pg, noise, faults=None, **settings):
    keepfs = new_keepfs({"big": {"database": pg.uri(noise)}}, **settings)
    if faults:
        keepfs.store_settings["faults"] = faults
    keepfs.write_conf()
    return keepfs


def without_faults(keepfs):
    keepfs.store_settings.pop("faults", None)
    keepfs.write_conf()
