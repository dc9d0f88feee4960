# SPDX-License-Identifier: Apache-2.0
"""What is done with encrypted backups where there is a key: restored, drilled, compared, rescued, brought back from the trash; and that a key
which cannot be used says nothing against a backup."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

import daemon

FORMATS = {"custom": {}, "directory": {"format": "directory"}, "plain": {"format": "plain"}}
LATEST = {"custom": "full/latest.dump", "directory": "full/latest", "plain": "full/latest.sql.gz"}
DATABASE = "sealed_use"


@pytest.fixture(scope="module")
def shop(pg):
    pg.create(DATABASE)
    yield pg
    pg.drop(DATABASE)


@pytest.fixture
def orders(shop):
    shop.sql(DATABASE, """
        DROP TABLE IF EXISTS orders, customers CASCADE;
        CREATE TABLE customers (id int PRIMARY KEY, name text);
        INSERT INTO customers SELECT g, md5(g::text) FROM generate_series(1, 100) g;
        CREATE TABLE orders (id int PRIMARY KEY, note text);
        INSERT INTO orders SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 6000) g
        """)
    return shop


@pytest.fixture
def identity(tmp_path):
    path = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    path.chmod(0o600)
    return path


def recipient(identity):
    return subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True).stdout.strip()


def log_of(keepfs, command, words):
    """the log of a run that is to end well"""
    run = int(keepfs.ask(command, words).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == "completed", f"{status}\n{log}"
    return log


@pytest.mark.parametrize("form", FORMATS)
def test_all_that_is_done_with_a_backup(new_keepfs, orders, identity, drill_dir, target, form):
    keepfs = new_keepfs({"full": {"database": orders.uri(DATABASE), **FORMATS[form]}}, encrypt_to=recipient(identity), identity_file=identity,
                        drill_dir=drill_dir, trash="3d").mount()
    keepfs.backup()
    log_of(keepfs, "restore", f"{LATEST[form]} into={target}")
    everything = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"
    assert orders.sql(target, everything) == orders.sql(DATABASE, everything)
    assert orders.sql(target, "SELECT count(*) FROM customers") == "100"
    assert "can be restored: level" in log_of(keepfs, "drill", "full")
    assert "is right: level 1" in log_of(keepfs, "verify", LATEST[form])
    orders.sql(DATABASE, "DELETE FROM orders WHERE id IN (11, 12)")
    log = log_of(keepfs, "rescue", f"{LATEST[form]} public.orders confirm=public.orders")
    assert "2 rows were inserted into public.orders" in log
    assert orders.sql(target, everything) == orders.sql(DATABASE, everything)
    orders.sql(DATABASE, "DELETE FROM orders WHERE id BETWEEN 100 AND 119; INSERT INTO orders VALUES (9000, 'new')")
    keepfs.backup()
    first, second = (f"full/{name}" for name in keepfs.artifacts())
    answer = json.loads(keepfs.run("diff", "--json", first, second).stdout)
    assert {t["table"]: t["state"] for t in answer["tables"]} == {"orders": "changed", "customers": "same"}, answer
    answer = json.loads(keepfs.run("diff", "--json", first, second, "public.orders").stdout)
    assert (answer["removed"], answer["added"]) == (20, 1)
    (keepfs.path("backups", *pathlib.Path(first).parts)).unlink() if form != "directory" else os.rmdir(keepfs.path("backups", first))
    keepfs.ask("undelete", f"backups/{first}")
    assert "is right: level 1" in log_of(keepfs, "verify", first)
    assert "damaged" not in keepfs.text("status", "health")


def test_a_sealed_key_that_is_damaged_says_nothing_against_a_backup(new_keepfs, orders, identity):
    keepfs = new_keepfs({"full": {"database": orders.uri(DATABASE)}}, encrypt_to=recipient(identity), identity_file=identity)
    keepfs.run("seal", identity)
    sealed = identity.read_bytes()
    lines = sealed.splitlines(keepends=True)
    keepfs.mount()
    keepfs.backup()
    latest = keepfs.path("backups", "full", "latest.dump")
    for wrong in (b"".join(lines[:-1]), b"".join(lines[:2] + lines[3:]), lines[0] + b"!!!\n" + lines[-1]):
        identity.write_bytes(wrong)
        with pytest.raises(OSError):
            latest.open("rb").close()
        assert "is sealed, and damaged" in keepfs.text("status", "last-error")
        run = int(keepfs.ask("verify", "full").split()[0])
        assert keepfs.wait_run(run)["state"] == "failed"
        with keepfs.catalog() as catalog:
            assert catalog.execute("SELECT count(*) FROM audit WHERE action = 'damaged'").fetchone() == (0,)
    identity.write_bytes(sealed)
    assert latest.read_bytes().startswith(b"PGDMP")
    assert "damaged" not in keepfs.text("status", "health")


def test_a_reload_encrypts_copies_of_the_catalog_too(new_keepfs, orders, identity):
    keepfs = new_keepfs({"full": {"database": orders.uri(DATABASE)}}).mount()
    keepfs.settings["encrypt_to"] = recipient(identity)
    keepfs.write_conf()
    keepfs.signal(signal.SIGHUP, wait=False)
    daemon.wait_until(lambda: "in force: " in (keepfs.state / "keepfs.log").read_text(), "the reload")
    keepfs.backup()
    assert os.readlink(keepfs.path("backups", "full", "latest.dump.age"))
    keepfs.unmount()
    copies = [key for key in keepfs.store.all_keys() if key.startswith("catalog/")]
    assert copies and all(key.endswith(".sqlite.zst.age") for key in copies)
