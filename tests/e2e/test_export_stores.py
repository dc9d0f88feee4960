# SPDX-License-Identifier: Apache-2.0
"""A tenant's exports go to the tenant's own bucket, with its own endpoint and credentials. A3"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import types
import urllib.request
import uuid

import pytest

import exporting
import s3client
import signing
import stores
from daemon import wait_until
from exporting import document, ended, made, settings, start

DATABASE = f"export_stores_{os.getpid()}"
COLUMNS = ("store", "store_url", "store_bucket", "store_endpoint", "store_region", "store_credentials")
QUERY = f"SELECT o.id, o.slug, o.name, o.plan AS class, {', '.join('p.' + c for c in COLUMNS)} FROM orgs o LEFT JOIN places p USING (slug) ORDER BY o.id"


@pytest.fixture
def app(pg):
    """an application that says in a table of its own where the exports of its tenants go"""
    pg.create(DATABASE)
    pg.sql(DATABASE, exporting.TABLES + exporting.ROWS + f"CREATE TABLE places (slug text PRIMARY KEY, {', '.join(c + ' text' for c in COLUMNS)})")
    yield pg
    pg.drop(DATABASE)


def place(pg, slug, **columns):
    """what the application says of one tenant from now on"""
    assert set(columns) <= set(COLUMNS)
    values = ", ".join(f"'{columns[c]}'" if c in columns else "NULL" for c in COLUMNS)
    pg.sql(DATABASE, f"DELETE FROM places WHERE slug = '{slug}'; INSERT INTO places VALUES ('{slug}', {values})")


class Bucket:
    """of a tenant's own on a real server"""

    def __init__(self, server, prefix="keepfs"):
        f = server.facts
        self.name, self.prefix, self.facts = f"own-{uuid.uuid4().hex[:12]}", prefix, f
        self.client = s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], self.name)
        self.client.create_bucket()
        self.url = f"s3://{self.name}/{prefix}"

    def keys(self):
        return self.client.keys("")

    def uploads(self):
        return self.client.uploads("")

    def section(self, **further):
        f = self.facts
        return {"url": self.url, "endpoint": f["ENDPOINT"], "region": f["REGION"], "access_key": f["ACCESS_KEY"], "secret_key": f["SECRET_KEY"],
                "allow_http": "yes", "retry_deadline": "2s", "connect_timeout": "1s", **further}

    def named(self, credentials, **further):
        """as the query names it"""
        return {"store_url": self.url, "store_endpoint": self.facts["ENDPOINT"], "store_region": self.facts["REGION"],
                "store_credentials": credentials, **further}

    def clear(self):
        for key in self.keys():
            self.client.remove(key)
        self.client.request("DELETE")


@pytest.fixture
def bucket(s3_servers):
    """make one on a server of that kind"""
    created = []

    def make(kind="ceph", **options):
        created.append(Bucket(s3_servers(kind), **options))
        return created[-1]

    yield make
    for one in created:
        one.clear()


def credentials(directory, name, facts, tenants, **further):
    directory.mkdir(mode=0o700, exist_ok=True)
    lines = {"access_key": facts["ACCESS_KEY"], "secret_key": facts["SECRET_KEY"], "endpoint": facts["ENDPOINT"], "tenants": tenants, **further}
    (directory / name).write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value is not None))
    (directory / name).chmod(0o600)


def begin(new_keepfs, app, tmp_path, sections=None, **further):
    keepfs = new_keepfs()
    # A directory, so that only the tenants' stores are asked over the network.
    keepfs.store_settings = {**keepfs.store_settings, "retry_deadline": "2s", "connect_timeout": "1s"}
    keepfs.sections = {"export": {**settings(app.uri(DATABASE)), "tenants": QUERY, "exclude": "places", "store_credentials_dir": tmp_path / "credentials",
                                  "store_endpoints": "http://127.0.0.1:*, https://127.0.0.1:*", **further}, **(sections or {})}
    keepfs.write_conf()
    return keepfs.mount()


def relative(bucket):
    return [key.removeprefix(bucket.prefix + "/") for key in bucket.keys()]


def failed(keepfs, command="exports"):
    run, _ = ended(keepfs, command, state="failed")
    return keepfs.text("jobs", str(run), "log")


def is_right(keepfs, tenant, name):
    """what the mount gives is what SHA256SUMS says, for cp and sha256sum as for anybody"""
    copied = keepfs.directory / "copied"
    copied.mkdir(exist_ok=True)
    shutil.copy(keepfs.path("exports", tenant, name), copied / name)
    (line,) = [one for one in keepfs.text("exports", tenant, "SHA256SUMS").splitlines() if one.endswith("  " + name)]
    assert line.split()[0] == hashlib.sha256((copied / name).read_bytes()).hexdigest()
    subprocess.run(["sh", "-c", "sha256sum -c SHA256SUMS >/dev/null"], cwd=keepfs.path("exports", tenant), check=True)
    return (copied / name).read_bytes()


def test_each_tenant_has_its_own(new_keepfs, app, store, bucket, tmp_path):
    """two servers with credentials of their own, and a third tenant without anything; whatever is done with an export is done there"""
    ceph, swift = bucket("ceph"), bucket("swift", prefix="deep/er")
    credentials(tmp_path / "credentials", "acme.key", ceph.facts, "acme")
    credentials(tmp_path / "credentials", "globex", swift.facts, "globex, other-*", bucket=swift.name)
    place(app, "acme", **ceph.named("acme.key"))
    place(app, "globex", **swift.named("globex"))
    keepfs = begin(new_keepfs, app, tmp_path)
    ended(keepfs)
    names = {slug: made(keepfs, slug)[0] for slug in ("acme", "globex", "initech")}
    for slug, own in (("acme", ceph), ("globex", swift)):
        # The object and its manifest, and nothing else of anybody.
        assert relative(own) == [f"exports/{slug}/{names[slug]}", f"manifests/exports/{slug}/{names[slug]}.json"]
        assert own.uploads() == []
    assert [k for k in store.keys() if "acme" in k or "globex" in k] == []
    assert [k for k in store.keys() if k.startswith("exports/")] == [f"exports/initech/{names['initech']}"]
    for slug in names:
        assert document(keepfs, slug)["tenant"]["slug"] == slug
        is_right(keepfs, slug, names[slug])
    # Who asks where it is.
    attribute = os.getxattr(keepfs.path("exports", "acme", names["acme"]), "user.keepfs.store").decode()
    assert attribute == f"{ceph.url} at {ceph.facts['ENDPOINT']}"
    assert "user.keepfs.store" not in os.listxattr(keepfs.path("exports", "initech", names["initech"]))
    listed = {one["path"]: one.get("store") for one in map(json.loads, keepfs.text("status", "backups.jsonl").splitlines())}
    assert listed[f"exports/globex/{names['globex']}"] == f"{swift.url} at {swift.facts['ENDPOINT']}"
    assert not listed[f"exports/initech/{names['initech']}"]
    # Links lead to the right bucket.
    for slug, own in (("acme", ceph), ("globex", swift)):
        url = keepfs.text("links", "exports", slug, names[slug]).strip()
        assert url.startswith(own.facts["ENDPOINT"]) and own.name in url
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == keepfs.path("exports", slug, names[slug]).read_bytes()
    # Verified, where it is.
    status = keepfs.wait_run(int(keepfs.ask("verify", f"exports/acme/{names['acme']}").split()[0]))
    assert status["state"] == "completed", status
    metrics = keepfs.text("status", "metrics.prom")
    assert f'keepfs_other_store_up{{store="{ceph.url} at {ceph.facts["ENDPOINT"]}",tenant="acme"}} 1' in metrics
    # The daemon is another one, and nobody asks the database.
    keepfs.remount()
    is_right(keepfs, "acme", names["acme"])
    # A second one, so that the first may go; it does, with all that it has there.
    ended(keepfs, "export acme")
    ended(keepfs, "export globex")
    keepfs.path("exports", "acme", names["acme"]).unlink()
    assert not any(names["acme"] in k and k.startswith("keepfs/exports") for k in ceph.keys()) or f"trash/exports/acme/{names['acme']}.json" in relative(ceph)
    if f"trash/exports/acme/{names['acme']}.json" in relative(ceph):
        keepfs.unmount()
        keepfs.end_trash()
        keepfs.mount()
    wait_until(lambda: not any(names["acme"] in key for key in ceph.keys()), "all of it is gone")
    assert made(keepfs, "acme") != [] and len(relative(ceph)) == 2


def test_a_broken_one_breaks_no_other(new_keepfs, app, bucket, s3_servers, tmp_path):
    """no bucket, wrong credentials, nobody who answers, TLS where there is none: each fails that tenant alone, and says so"""
    ceph = bucket("ceph")
    facts = ceph.facts
    dead = stores.Link(facts["ENDPOINT"])
    dead.cut()
    directory = tmp_path / "credentials"
    credentials(directory, "acme", facts, "acme")
    credentials(directory, "wrong", {**facts, "SECRET_KEY": "wrong" * 8}, "acme")
    credentials(directory, "dead", {**facts, "ENDPOINT": dead.endpoint}, "acme")
    tls = facts["ENDPOINT"].replace("http://", "https://")
    credentials(directory, "tls", {**facts, "ENDPOINT": tls}, "acme")
    keepfs = begin(new_keepfs, app, tmp_path)
    for number, (columns, words) in enumerate((
        ({**ceph.named("acme"), "store_url": f"s3://missing-{uuid.uuid4().hex}"}, ["missing-", "bucket"]),
        (ceph.named("wrong"), ["denied", "signature", "SignatureDoesNotMatch"]),
        (ceph.named("dead", store_endpoint=dead.endpoint), ["connect", "refused"]),
        (ceph.named("tls", store_endpoint=tls), ["TLS", "SSL", "ssl"]),
    ), 1):
        place(app, "acme", **columns)
        log = failed(keepfs)
        told = [line for line in log.splitlines() if "of tenant acme" in line]
        assert told and any(word in line for line in told for word in words), log
        assert made(keepfs, "acme") == []
        assert len(made(keepfs, "globex")) == len(made(keepfs, "initech")) == number
        health = keepfs.text("status", "health")
        assert "acme" in health, health
    assert ceph.keys() == [] and ceph.uploads() == []
    # The probe tells of it, and of nothing else.
    done = keepfs.run("check", check=False)
    wrong = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(wrong) == 1 and wrong[0].startswith("FAIL export store acme: ") and "the store s3://" in wrong[0] and "of tenant acme: " in wrong[0] and "more tenants" not in wrong[0], done.stdout
    place(app, "acme", **ceph.named("acme"))
    done = keepfs.run("check")
    assert "ok   export stores: 1 stores of tenants: written, read back, deleted" in done.stdout
    assert ceph.keys() == []
    ended(keepfs)
    assert len(made(keepfs, "acme")) == 1


def test_what_a_query_may_not_say(new_keepfs, app, bucket, tmp_path):
    """who writes into the application's database reaches no directory of the host, no other tenant's key, and no server that nobody allowed"""
    ceph = bucket("ceph")
    directory = tmp_path / "credentials"
    credentials(directory, "acme", ceph.facts, "acme")
    credentials(directory, "globex", ceph.facts, "globex")
    credentials(directory, "nobody", ceph.facts, None)
    credentials(directory, "elsewhere", {**ceph.facts, "ENDPOINT": "https://s3.example.net"}, "acme")
    credentials(directory, "open", ceph.facts, "acme")
    (directory / "open").chmod(0o644)
    keepfs = begin(new_keepfs, app, tmp_path, {"store eu": ceph.section(tenants="globex, initech"), "store acme": {"url": f"dir:{tmp_path / 'host'}"}})
    place(app, "globex", store="eu")
    ended(keepfs, "export globex")
    for columns, words in (
        ({"store": "eu"}, "is not for this tenant"),
        ({"store": "acme"}, "is a directory of this host"),
        ({"store": "us"}, "there is no section [store us]"),
        ({"store": "eu", "store_bucket": "b-b-b"}, "names both a store and an address"),
        (ceph.named("acme", store_url=f"dir:{tmp_path / 'host'}"), "a query can name buckets only"),
        (ceph.named("globex"), "is for other tenants"),
        (ceph.named("nobody"), "does not say for which tenants it is"),
        (ceph.named("elsewhere"), "is for the endpoint https://s3.example.net"),
        (ceph.named("open"), "can be read or written by others"),
        (ceph.named("../credentials/acme"), "not the plain name of a file"),
        (ceph.named("missing"), "cannot be opened"),
        (ceph.named("acme", store_endpoint="http://example.net"), "none of those that it may name"),
        (ceph.named("acme", store_endpoint="http://user@127.0.0.1:1"), "not of the form"),
        (ceph.named("acme", store_region="x.example.net/"), "no name of a region"),
        ({"store_bucket": ceph.name, "store_endpoint": ceph.facts["ENDPOINT"]}, "but no store_credentials"),
        ({"store_credentials": "acme"}, "neither store_url nor store_bucket"),
    ):
        place(app, "acme", **columns)
        log = failed(keepfs, "export acme")
        assert words in log and "acme" in log, log
    assert made(keepfs, "acme") == [] and not (tmp_path / "host").exists()
    assert all("globex" in key for key in ceph.keys())
    # All others were made meanwhile, and the secrets are nowhere.
    place(app, "acme", **ceph.named("globex"))
    failed(keepfs)
    assert len(made(keepfs, "initech")) == 1 and len(made(keepfs, "globex")) == 2
    told = keepfs.text("status", "config") + (keepfs.state / "keepfs.log").read_text() + keepfs.text("status", "health")
    assert ceph.facts["SECRET_KEY"] not in told


def test_stores_of_the_configuration(new_keepfs, app, store, bucket, tmp_path):
    """by class, and for all; a reload; a store that has moved keeps what is where it was; one that is gone does not hold up others"""
    ceph, other = bucket("ceph"), bucket("ceph")
    (tmp_path / "key").write_text(f"access_key = {ceph.facts['ACCESS_KEY']}\nsecret_key = {ceph.facts['SECRET_KEY']}\n")
    (tmp_path / "key").chmod(0o600)
    by_file = {k: v for k, v in ceph.section(credentials_file=tmp_path / "key").items() if k not in ("access_key", "secret_key")}
    keepfs = begin(new_keepfs, app, tmp_path, {"store all": {"url": f"dir:{tmp_path / 'all'}"}, "store paying": by_file, "class paid": {"store": "paying"}},
                   store="all")
    ended(keepfs)
    (first,) = made(keepfs, "acme")
    assert relative(ceph) == [f"exports/acme/{first}", f"manifests/exports/acme/{first}.json"]
    assert sorted(os.listdir(tmp_path / "all" / "exports")) == ["globex", "initech"]
    assert [k for k in store.keys() if "exports/" in k] == []
    attribute = os.getxattr(keepfs.path("exports", "acme", first), "user.keepfs.store").decode()
    assert attribute == f"paying ({ceph.url} at {ceph.facts['ENDPOINT']})"

    def reload(**sections):
        keepfs.sections.update(sections)
        keepfs.write_conf()
        before = keepfs.text("status", "config")
        keepfs.signal(signal.SIGHUP, wait=False)
        wait_until(lambda: keepfs.text("status", "config") != before, "the configuration is another one")

    # The tenant has another bucket now.
    reload(**{"store paying": other.section()})
    ended(keepfs, "export acme")
    second = made(keepfs, "acme")[-1]
    assert relative(other) == [f"exports/acme/{second}", f"manifests/exports/acme/{second}.json"]
    is_right_of_one(keepfs, "acme", second)
    # Nobody says how to get at the old one.
    with pytest.raises(OSError):
        keepfs.path("exports", "acme", first).read_bytes()
    assert "[store paying] is s3://" in keepfs.text("status", "last-error")
    # Somebody does.
    reload(**{"store before": ceph.section()})
    is_right(keepfs, "acme", first)
    # A bucket that is gone: the others are made, read, and pruned.
    reload(**{"store paying": other.section(url=f"s3://gone-{uuid.uuid4().hex}")})
    log = failed(keepfs)
    assert "the store paying (s3://gone-" in log
    assert len(made(keepfs, "globex")) == 2
    is_right(keepfs, "globex", made(keepfs, "globex")[-1])


def is_right_of_one(keepfs, tenant, name):
    (line,) = [one for one in keepfs.text("exports", tenant, "SHA256SUMS").splitlines() if one.endswith("  " + name)]
    assert line.split()[0] == hashlib.sha256(keepfs.path("exports", tenant, name).read_bytes()).hexdigest()


def test_killed_in_an_upload(new_keepfs, app, bucket, tmp_path):
    """the next start finds in the tenant's bucket what the crash left there, and takes it away"""
    ceph = bucket("ceph")
    app.sql(DATABASE, "INSERT INTO projects (org_id, title, picture) SELECT 1, 'large', decode(string_agg(md5(random()::text || n || m), ''), 'hex') "
                      "FROM generate_series(1, 16) n, generate_series(1, 65536) m GROUP BY n")
    keepfs = begin(new_keepfs, app, tmp_path, {"store acme": ceph.section(faults="part:2:crash")})
    place(app, "acme", store="acme")
    keepfs.killed = True
    keepfs.write("trigger", "export acme")
    wait_until(lambda: not keepfs.daemons(), "the daemon has killed itself")
    subprocess.run(["umount", "-l", keepfs.mountpoint], check=False)
    assert [key for key in ceph.uploads() if "exports/acme/" in key] != [] and ceph.keys() == []
    keepfs.sections["store acme"] = ceph.section()
    keepfs.write_conf()
    keepfs.mount()
    wait_until(lambda: ceph.uploads() == [] and ceph.keys() == [], "nothing is left")
    assert made(keepfs, "acme") == []
    ended(keepfs, "export acme")
    assert len(relative(ceph)) >= 2
    is_right(keepfs, "acme", made(keepfs, "acme")[-1])
    # Between the manifest and the catalog: it is whole, and listed.
    before = made(keepfs, "acme")
    keepfs.unmount()
    keepfs.sections["store acme"] = ceph.section(faults="complete:1:crash")
    keepfs.write_conf()
    keepfs.mount()
    keepfs.write("trigger", "export acme")
    wait_until(lambda: not keepfs.daemons(), "the daemon has killed itself")
    subprocess.run(["umount", "-l", keepfs.mountpoint], check=False)
    keepfs.sections["store acme"] = ceph.section()
    keepfs.write_conf()
    keepfs.mount()
    assert made(keepfs, "acme") == before
    wait_until(lambda: ceph.uploads() == [], "nothing is left")
    assert sum(key.startswith("keepfs/exports/") for key in ceph.keys()) == 1


def test_rebuild(new_keepfs, app, store, bucket, tmp_path):
    """a host that has lost everything finds what its tenants' buckets hold; one that does not answer keeps what is listed of it; what a tenant has put there is
    nobody else's"""
    ceph, swift = bucket("ceph"), bucket("swift")
    credentials(tmp_path / "credentials", "acme", ceph.facts, "acme")
    place(app, "acme", **ceph.named("acme"))
    place(app, "globex", store="globex")
    keepfs = begin(new_keepfs, app, tmp_path, {"store globex": swift.section()})
    ended(keepfs)
    names = {slug: made(keepfs, slug) for slug in ("acme", "globex", "initech")}
    # A manifest of somebody else's, made by who may write into the bucket.
    manifest = ceph.client.get(f"keepfs/manifests/exports/acme/{names['acme'][0]}.json")
    data = ceph.client.get(f"keepfs/exports/acme/{names['acme'][0]}")
    forged = json.loads(manifest)
    for path in (f"exports/initech/20200101T000000Z.json.gz", "backups/full/20200101T000000Z.json.gz"):
        text = json.dumps(forged).replace(f"exports/acme/{names['acme'][0]}", path).replace(names["acme"][0], path.rsplit("/", 1)[1])
        ceph.client.put(f"keepfs/manifests/{path}.json", text.encode())
        ceph.client.put(f"keepfs/{path}", data)
    keepfs.unmount()
    shutil.rmtree(keepfs.state)
    done = keepfs.run("rebuild", check=False)
    assert "exports/initech/20200101T000000Z.json.gz: it is in the store of a tenant" in done.stderr, done.stderr
    assert "backups/full/20200101T000000Z" not in done.stderr
    for path in (f"exports/initech/20200101T000000Z.json.gz", "backups/full/20200101T000000Z.json.gz"):
        ceph.client.remove(f"keepfs/manifests/{path}.json")
        ceph.client.remove(f"keepfs/{path}")
    keepfs.mount()
    assert {slug: made(keepfs, slug) for slug in names} == names
    for slug in names:
        is_right(keepfs, slug, names[slug][0])
    # Without a copy, by what the query says; and with a store that does not answer.
    keepfs.unmount()
    shutil.rmtree(keepfs.state)
    keepfs.run("rebuild", "--no-history")
    keepfs.sections["store globex"] = swift.section(secret_key="wrong" * 8)
    keepfs.write_conf()
    done = keepfs.run("rebuild", check=False)
    assert done.returncode == 1 and "the store globex (" in done.stderr and "is listed as it was" in done.stderr
    keepfs.mount()
    assert {slug: made(keepfs, slug) for slug in names} == names
    assert "store globex: has 1 exports, and could not be listed since" in keepfs.text("status", "health")
    with pytest.raises(OSError):
        keepfs.path("exports", "globex", names["globex"][0]).read_bytes()
    is_right(keepfs, "acme", names["acme"][0])


def test_each_store_has_a_chain_of_signatures_of_its_own(new_keepfs, app, store, bucket, tmp_path):
    """what lies in a tenant's bucket can be proven by itself, and tells of nobody else"""
    own = bucket()
    credentials(tmp_path / "credentials", "acme.key", own.facts, "acme")
    place(app, "acme", **own.named("acme.key"))
    keepfs = begin(new_keepfs, app, tmp_path)
    private, public = signing.make_key(tmp_path, "signing")
    keepfs.settings["signing_key_file"] = private
    keepfs.write_conf()
    keepfs.remount()
    for _ in range(2):
        ended(keepfs)
    there = types.SimpleNamespace(settings=own.section())
    said = signing.prove(there, public, check=0)
    assert said["manifests"] == 2 and said["end"]["sequence"] == 3
    assert signing.prove(store, public, check=0)["end"]["chain"] != said["end"]["chain"]
    keepfs.path("exports", "acme", made(keepfs, "acme")[0]).unlink()
    said = signing.prove(there, public, check=0)
    assert said["gone"] == 1 and said["end"]["sequence"] == 4
    assert not any("globex" in own.client.get(key).decode(errors="replace") for key in own.keys() if "/chain/" in key)
    own.client.remove([key for key in own.keys() if key.endswith("chain/000000000001.json")][0])
    assert signing.kinds(signing.prove(there, public, check=1)) == ["missing"]
