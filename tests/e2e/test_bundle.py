# SPDX-License-Identifier: Apache-2.0
"""[bundle NAME]: what several jobs make is one backup, made and removed as one."""
import hashlib
import json
import os
import pathlib
import signal
import stat
import subprocess

import pytest

import daemon
import signing
import stores
from test_encrypt_use import identity, recipient  # noqa: F401 (a fixture)

DATABASE, OTHER = "bundle_shop", "bundle.other"


@pytest.fixture(scope="module")
def shop(pg):
    for name in (DATABASE, OTHER):
        pg.create(name)
        pg.sql(name, """
            CREATE TABLE customers (id int PRIMARY KEY, name text);
            INSERT INTO customers SELECT g, md5(g::text) FROM generate_series(1, 100) g;
            CREATE TABLE orders (id int PRIMARY KEY, note text);
            INSERT INTO orders SELECT g, repeat(md5(g::text), 40) FROM generate_series(1, 3000) g
            """)
    yield pg
    for name in (DATABASE, OTHER):
        pg.drop(name)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config"
    path.mkdir()
    (path / "env").write_text("PASSWORD=x\n")
    (path / "site.conf").write_text("listen 80\n")
    return path


def jobs_of(shop, config, parts="config, database", bundle=None, database=None, files=None):
    return {"database": {"database": shop.uri(DATABASE), **(database or {})},
            "files config": {"path": config, **(files or {})},
            "bundle site": {"parts": parts, "name": "acme.example.com", **(bundle or {})}}


def bundles(keepfs):
    return sorted(name for name in os.listdir(keepfs.path("backups", "site")) if name[0].isdigit())


def newest(keepfs):
    return keepfs.path("backups", "site", "latest").resolve()


def tree(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def content(root):
    return {name: (root / name).read_bytes() for name in tree(root)}


def check_sums(root):
    subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    listed = [line.split("  ", 1)[1] for line in (root / "SHA256SUMS").read_text().splitlines()]
    assert sorted(listed) == [name for name in tree(root) if name != "SHA256SUMS"]


@pytest.mark.parametrize("store", ["dir", "ceph"], indirect=True)
def test_a_bundle_is_one_directory(new_keepfs, shop, config):
    keepfs = new_keepfs(jobs_of(shop, config, bundle={"version_command": "echo ' 1.4.2 ' && echo more"})).mount()
    run = keepfs.backup("site note='before the upgrade'")
    assert run["kind"] == "bundle"
    (name,) = bundles(keepfs)
    root = newest(keepfs)
    assert tree(root) == ["MANIFEST.json", "MANIFEST.txt", "SHA256SUMS", "config.tar.zst", "database.dump", "database.globals.sql.gz",
                          "database.tables.csv"]
    check_sums(root)
    assert stat.S_IMODE((root / "database.globals.sql.gz").stat().st_mode) == 0o600
    said = json.loads((root / "MANIFEST.json").read_text())
    assert (said["format"], said["name"], said["job"], said["deployment_version"], said["note"]) == (
        "keepfs-bundle", "acme.example.com", "site", "1.4.2", "before the upgrade")
    assert [(part["name"], part["kind"]) for part in said["parts"]] == [("config.tar.zst", "files"), ("database.dump", "dump")]
    assert said["parts"][0]["finished_at"] <= said["parts"][1]["finished_at"]
    assert said["missing"] == []
    for part in said["parts"]:
        for file in part["files"]:
            data = (root / file["name"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"])
    text = (root / "MANIFEST.txt").read_text()
    assert text.startswith("Backup of acme.example.com\n") and "1.4.2" in text and "before the upgrade" in text
    for part in said["parts"]:
        assert part["sha256"] in text and part["name"] in text
    assert os.getxattr(root, "user.keepfs.deployment_version") == b"1.4.2"
    subprocess.run(["tar", "-tf", root / "config.tar.zst"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["pg_restore", "-l", root / "database.dump"], check=True, stdout=subprocess.DEVNULL)
    assert not keepfs.path("backups", "database").exists() or keepfs.artifacts("database") == []
    keys = [key for key in keepfs.store.keys() if key.startswith("manifests/")]
    assert keys == [f"manifests/backups/site/{name}.json"]
    manifest = json.loads(keepfs.store.get(keys[0]))
    assert [(part["name"], part["job"]) for part in manifest["parts"]] == [("config.tar.zst", "config"), ("database.dump", "database")]
    keepfs.run("status")


@pytest.mark.parametrize("form", ["custom", "directory", "plain"])
def test_each_kind_of_part(new_keepfs, shop, config, form):
    for sub in ("a", "a.b"):
        (config / sub).mkdir()
        (config / sub / "file").write_text(sub)
    jobs = {"all": {"database": shop.uri("postgres"), "databases": f'{DATABASE}, {OTHER}', "format": form},
            "files each": {"path": config, "each": "*/"},
            "files none": {"path": config, "each": "nothing*/"},
            "bundle site": {"parts": "all each none"}}
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("site")
    root = newest(keepfs)
    check_sums(root)
    suffix = {"custom": ".dump", "directory": "", "plain": ".sql.gz"}[form]
    said = json.loads((root / "MANIFEST.json").read_text())
    assert said["name"] == "site"
    assert [part["name"] for part in said["parts"]] == [f"all/{DATABASE}{suffix}", f"all/bundle=2Eother{suffix}", "each/a.tar.zst",
                                                       "each/a=2Eb.tar.zst"]
    assert [missing["job"] for missing in said["missing"]] == ["none"]
    assert "nothing*/" in said["missing"][0]["why"] and "NOT IN THIS BUNDLE\n  none: " in (root / "MANIFEST.txt").read_text()
    if form == "directory":
        assert (root / "all" / DATABASE / "toc.dat").exists()
        subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=root / "all" / DATABASE, check=True, stdout=subprocess.DEVNULL)
    inside = keepfs.path("inside", "site", root.name)
    assert sorted(os.listdir(inside)) == ["all"]
    assert sorted(os.listdir(inside / "all")) == sorted([DATABASE, "bundle=2Eother"])
    assert not (inside / "each").exists() and not (inside / "all" / "none").exists()
    assert len((inside / "all" / "bundle=2Eother" / "tables" / "public.orders.tsv").read_text().splitlines()) == 3000
    # Again, since the archives of `each` are of the bundle alone.
    before = content(root)
    keepfs.backup("site")
    assert tree(newest(keepfs)) == sorted(before)
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert content(root) == before
    assert daemon.orphans(keepfs.store) == []


def test_a_part_that_fails_fails_the_bundle(new_keepfs, shop, config, tmp_path):
    jobs = jobs_of(shop, config, parts="config, media, database")
    jobs["files media"] = {"path": tmp_path / "not there"}
    keepfs = new_keepfs(jobs).mount()
    run = keepfs.trigger("site")
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "the part media failed, so there is no bundle" in keepfs.history(run)["error"]
    assert keepfs.store.keys() == [] and keepfs.store.uploads() == []
    assert bundles(keepfs) == [] if keepfs.path("backups", "site").exists() else True
    (tmp_path / "not there").mkdir()
    keepfs.backup("site")
    assert len(bundles(keepfs)) == 1


def test_a_part_of_which_nothing_is_seen_any_more_fails_the_bundle(new_keepfs, shop, config, tmp_path):
    """a disk that is not mounted: bundles without what is on it must not take the place of those that have it"""
    disk = tmp_path / "disk"
    jobs = jobs_of(shop, config, parts="config, uploads")
    jobs["files uploads"] = {"path": disk, "each": "*/"}
    disk.mkdir()
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("site")  # nothing was there yet
    (disk / "acme").mkdir()
    keepfs.backup("site")
    assert (newest(keepfs) / "uploads" / "acme.tar.zst").exists()
    disk.rename(tmp_path / "unmounted")
    disk.mkdir()
    run = keepfs.trigger("site")
    assert keepfs.wait_run(run)["state"] == "failed"
    error = keepfs.history(run)["error"]
    assert "the part uploads failed, so there is no bundle" in error and "the newest bundle has it" in error
    assert len(bundles(keepfs)) == 2 and (newest(keepfs) / "uploads" / "acme.tar.zst").exists()
    disk.rmdir()
    (tmp_path / "unmounted").rename(disk)
    keepfs.backup("site")
    assert len(bundles(keepfs)) == 3


def test_kill_9_between_parts_leaves_nothing(new_keepfs, shop, config):
    keepfs = new_keepfs(jobs_of(shop, config)).mount()
    with shop.lock(DATABASE, "orders") as lock:
        run = keepfs.trigger("site")
        lock.wait_until_waited_for()
        assert any(key.endswith("/config.tar.zst") for key in keepfs.store.keys())
        keepfs.kill()
    daemon.wait_until(lambda: not keepfs.processes(), "pg_dump to end with its reader")
    assert keepfs.store.keys() != []
    keepfs.mount()
    assert keepfs.run_status(run)["state"] == "failed"
    assert keepfs.store.keys() == [] and keepfs.store.uploads() == []
    keepfs.backup("site")


def test_a_cancelled_bundle_leaves_nothing(new_keepfs, shop, config):
    keepfs = new_keepfs(jobs_of(shop, config)).mount()
    with shop.lock(DATABASE, "orders") as lock:
        run = keepfs.trigger("site")
        lock.wait_until_waited_for()
        keepfs.path("jobs", str(run), "cancel").write_text("1\n")
        assert keepfs.wait_run(run)["state"] == "cancelled"
    assert keepfs.store.keys() == []


def test_it_is_removed_kept_and_counted_as_one(new_keepfs, shop, config):
    keepfs = new_keepfs(jobs_of(shop, config, bundle={"keep_last": 2, "keep_within": "none"}), trash="3d").mount()
    for _ in range(3):
        keepfs.backup("site")
    assert len(bundles(keepfs)) == 2
    first, second = bundles(keepfs)
    before = content(keepfs.path("backups", "site", first))
    keepfs.run("hold", f"site/{first}", "on", "reason=audit")
    with pytest.raises(PermissionError):
        os.rmdir(keepfs.path("backups", "site", first))
    keepfs.run("hold", f"site/{first}", "off")
    os.rmdir(keepfs.path("backups", "site", first))
    assert bundles(keepfs) == [second]
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("backups", "site", second, "database.dump"))
    keepfs.run("undelete", f"site/{first}")
    assert content(keepfs.path("backups", "site", first)) == before


def test_it_is_signed_and_encrypted(new_keepfs, shop, config, tmp_path, identity):
    private, public = signing.make_key(tmp_path, "sign")
    keepfs = new_keepfs(jobs_of(shop, config, bundle={"encrypt_to": recipient(identity)}, files={"secret": "yes"}), identity_file=identity,
                        signing_key_file=private, file_mode="0644").mount()
    run = keepfs.backup("site")
    root = newest(keepfs)
    check_sums(root)
    assert stat.S_IMODE((root / "config.tar.zst").stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "database.dump").stat().st_mode) == 0o644
    assert json.loads((root / "MANIFEST.json").read_text())["parts"][0]["files"][0]["secret"] is True
    # As docs/formats.md says, "Signatures".
    script = """head -n -1 m.json > signed
        jq -r .signature.ed25519 m.json | base64 -d > sig
        openssl pkeyutl -verify -pubin -inkey "$PUB" -rawin -in signed -sigfile sig
        jq -r .signature.key m.json"""
    (tmp_path / "m.json").write_bytes((root / "MANIFEST.json").read_bytes())
    done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, env={**os.environ, "PUB": str(public)}, capture_output=True, text=True, check=True)
    assert "Signature Verified Successfully" in done.stdout and done.stdout.split()[-1] == signing.id_of(public)
    for key in keepfs.store.keys():
        data = keepfs.store.get(key)
        if key.startswith("backups/"):
            assert key.endswith(".age") and data.startswith(b"age-encryption.org/v1")
        assert b"PASSWORD" not in data and b"orders" not in data
    assert "PASSWORD" not in keepfs.text("jobs", str(run["id"] if "id" in run else run["run"]), "log")
    signing.prove(keepfs.store, public, check=0)


def test_secrets_are_not_laid_open(new_keepfs, shop, config):
    keepfs = new_keepfs(jobs_of(shop, config, files={"secret": "yes"}))
    done = keepfs.run("mount", check=False)
    line = [number for number, text in enumerate(keepfs.conf.read_text().splitlines(), 1) if text.startswith("parts =")][0]
    assert done.returncode != 0 and f"keepfs.conf:{line}: [bundle site] parts: 'config' is secret" in done.stderr, done.stderr
    keepfs.jobs["bundle site"]["allow_plain_secrets"] = "yes"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("site")
    assert stat.S_IMODE((newest(keepfs) / "config.tar.zst").stat().st_mode) == 0o600


def test_a_job_that_is_only_a_part_is_missed_by_nobody(new_keepfs, shop, config):
    keepfs = new_keepfs(jobs_of(shop, config, bundle={"schedule": "daily-2am"})).mount()
    keepfs.backup("site")
    said = keepfs.run("check", check=False)
    assert "database" in said.stdout
    health = keepfs.text("status", "health")
    assert "job database: is made as a part of site alone" in health and "job config: is made as a part of site alone" in health, health
    keepfs.run("status")


def test_a_version_that_cannot_be_told_is_a_warning(new_keepfs, shop, config, tmp_path):
    keepfs = new_keepfs(jobs_of(shop, config, bundle={"version_file": tmp_path / "VERSION"})).mount()
    run = keepfs.trigger("site")
    assert keepfs.wait_run(run)["state"] == "completed"
    assert "version_file" in keepfs.history(run)["warning"]
    (tmp_path / "VERSION").write_text("2.0\n")
    keepfs.backup("site")
    assert json.loads((newest(keepfs) / "MANIFEST.json").read_text())["deployment_version"] == "2.0"


def log_of(keepfs, command, words):
    """the log of a run that is to end well"""
    run = int(keepfs.ask(command, words).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == "completed", f"{status}\n{log}"
    return log


FORMATS = {"custom": ({}, "database.dump"), "directory": ({"format": "directory"}, "database"), "plain": ({"format": "plain"}, "database.sql.gz")}


@pytest.mark.parametrize("form", FORMATS)
def test_a_part_is_a_backup(new_keepfs, shop, config, identity, drill_dir, target, tmp_path, form):
    """restored, drilled, verified and rescued as if its job had made it"""
    settings, name = FORMATS[form]
    jobs = jobs_of(shop, config, database=settings, bundle={"encrypt_to": recipient(identity)})
    keepfs = new_keepfs(jobs, identity_file=identity, drill_dir=drill_dir).mount()
    keepfs.backup("site")
    (bundle,) = bundles(keepfs)
    part = f"site/{bundle}/{name}"
    assert f"site/{bundle} is right: level 1" in log_of(keepfs, "verify", "site")
    assert f"{part} is right: level 1" in log_of(keepfs, "verify", part)
    assert f"{part} can be restored: level" in log_of(keepfs, "drill", f"site/latest/{name}")
    log_of(keepfs, "restore", f"backups/{part} into={target}")
    everything = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"
    assert shop.sql(target, everything) == shop.sql(DATABASE, everything)
    shop.sql(DATABASE, "DELETE FROM orders WHERE id IN (11, 12)")
    log = log_of(keepfs, "rescue", f"{part} public.orders confirm=public.orders")
    assert "2 rows were inserted into public.orders" in log
    assert shop.sql(target, everything) == shop.sql(DATABASE, everything)
    assert os.listdir(keepfs.path("inside", "site")) == [bundle] and os.listdir(keepfs.path("inside", "site", bundle)) == ["database"]
    rows = keepfs.path("inside", "site", bundle, "database", "tables", "public.orders.tsv").read_text().splitlines()
    assert sorted(int(row.split("\t")[0]) for row in rows) == list(range(1, 3001))
    assert "CREATE TABLE" in keepfs.path("inside", "site", bundle, "database", "schema.sql").read_text()
    log_of(keepfs, "restore", f"site/latest/config.tar.zst to={tmp_path}/back")
    assert (tmp_path / "back" / "env").read_text() == "PASSWORD=x\n"
    assert "confirm=acme.example.com" in keepfs.refused("restore", f"site/{bundle}")


def test_what_is_wrong_with_a_part_is_found(new_keepfs, shop, config):
    jobs = jobs_of(shop, config)
    jobs["files other"] = {"path": config}
    jobs["bundle site"]["parts"] = "config, other, database"
    keepfs = new_keepfs(jobs).mount()
    keepfs.backup("site")
    (bundle,) = bundles(keepfs)
    key = f"backups/site/{bundle}/other.tar.zst"
    data = bytearray(keepfs.store.get(key))
    data[len(data) // 2] ^= 1
    keepfs.store.put(key, bytes(data))
    run = int(keepfs.ask("verify", f"site/{bundle}").split()[0])
    assert keepfs.wait_run(run)["state"] == "failed"
    assert "other.tar.zst" in keepfs.history(run)["error"]
    assert f"site/{bundle}" in keepfs.text("status", "health")
    # The others are as good as they were.
    assert "database.dump is right: level 1" in log_of(keepfs, "verify", f"site/{bundle}/database.dump")
    assert "config.tar.zst is right: level 1" in log_of(keepfs, "verify", f"site/{bundle}/config.tar.zst")
    run = int(keepfs.ask("verify", f"site/{bundle}/other.tar.zst").split()[0])
    assert keepfs.wait_run(run)["state"] == "failed"


def test_what_goes_over_objects_goes_over_those_of_parts(new_keepfs, shop, config, tmp_path, store, target):
    """copied into a further store, followed by a reader, rewrapped for another key, read from the copy, made anew from the store"""
    old, new, both = tmp_path / "old", tmp_path / "new", tmp_path / "both"
    for path in (old, new):
        subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    both.write_text(old.read_text() + new.read_text())
    both.chmod(0o600)
    offsite = stores.DirStore(tmp_path / "offsite")
    keepfs = new_keepfs(jobs_of(shop, config, bundle={"copies": "primary, offsite", "encrypt_to": recipient(old)}), identity_file=both)
    keepfs.sections = {"store offsite": {"url": offsite.settings["url"]}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup("site")
    root = newest(keepfs)
    before = content(root)
    copies = lambda: os.getxattr(root, "user.keepfs.copies").decode()
    daemon.wait_until(lambda: copies() == "primary:whole, offsite:whole", lambda: keepfs.text("status", "replicas"))
    reader = new_keepfs({}, store=store, directory=tmp_path / "reader", role="reader", follow="1s", identity_file=both).mount()
    path = reader.path("backups", "site", root.name)
    daemon.wait_until(lambda: path.exists(), lambda: reader.text("status", "health"))
    assert content(path) == before
    assert "CREATE TABLE" in reader.path("inside", "site", root.name, "database", "schema.sql").read_text()
    keepfs.jobs["bundle site"]["encrypt_to"] = recipient(new)
    keepfs.write_conf()
    keepfs.remount()
    assert "1 backups" in log_of(keepfs, "rewrap", f"site/{root.name}")
    assert content(root) == before
    assert b"".join(keepfs.store.get(key) for key in keepfs.store.keys() if key.startswith("manifests/")).count(recipient(new).encode()) == 1
    assert all(".r2" in key for key in keepfs.store.keys() if key.startswith("backups/"))
    assert "is right: level 1" in log_of(keepfs, "verify", f"site/{root.name}")
    daemon.wait_until(lambda: copies() == "primary:whole, offsite:whole", lambda: keepfs.text("status", "replicas"))
    assert sorted(key for key in offsite.keys() if key.startswith("backups/")) == sorted(key for key in keepfs.store.keys() if key.startswith("backups/"))
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    log_of(keepfs, "restore", f"site/latest/database.dump into={target}")
    assert shop.sql(target, "SELECT count(*) FROM orders") == shop.sql(DATABASE, "SELECT count(*) FROM orders")
