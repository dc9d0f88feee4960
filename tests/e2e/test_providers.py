# SPDX-License-Identifier: Apache-2.0
"""The main job at each provider of S3, as its documentation describes it: strict_s3.py refuses what that provider refuses. None of these servers is
the provider's own; Ceph and Swift, which are, have all other tests."""
import hashlib
import os
import urllib.error
import urllib.request

import pytest

import daemon
import postgres
import strict_s3
from strict_s3 import PROFILES, MIB, Refusal

@pytest.fixture(scope="module")
def noise(pg):
    """a database whose dump is some 13 MB: three parts"""
    pg.create("providers_noise")
    postgres.fill_noise(pg, "providers_noise", 13)
    yield "providers_noise"
    pg.drop("providers_noise")



@pytest.fixture(params=sorted(PROFILES))
def at(request):
    server = strict_s3.StrictS3(request.param, busy_every=61)
    yield server
    server.stop()


@pytest.fixture
def server_at():
    """a server of a profile of the test's choice"""
    started = []

    def start(profile, **more):
        started.append(strict_s3.StrictS3(profile, **more))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def job(pg, noise, **more):
    return {"full": {"database": pg.uri(noise), "keep_last": 2, "keep_within": "none", "min_keep": 1, **more}}


def test_the_main_job(new_keepfs, pg, noise, at, scratch, tmp_path):
    """probe, backup in parts, list, read, hand out, restore, remove, find again after the catalog is lost; with a refusal of one in 61 requests"""
    keepfs = new_keepfs(job(pg, noise), store=at)
    keepfs.store_settings["part_size"] = "5M"
    keepfs.write_conf()
    check = keepfs.run("check", check=False).stdout
    assert "ok   store" in check, check
    keepfs.mount()
    first = keepfs.backup()
    (name,) = keepfs.artifacts()
    path = keepfs.path("backups", "full", name)
    copy = tmp_path / "copy.dump"
    copy.write_bytes(path.read_bytes())
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == first["sha256"]
    assert at.peak_parts[f"{strict_s3.PREFIX}/backups/full/{name}"] >= 3
    # What is handed out is signed for that region, and needs no key.
    url = keepfs.text("links", "backups", "full", name).strip()
    assert hashlib.sha256(fetched(url)).hexdigest() == first["sha256"]
    keepfs.backup()
    assert len(keepfs.artifacts()) == 2
    assert pg.tool("pg_restore", "-l", path).count("TABLE DATA") == 1
    pg.tool("pg_restore", "-d", pg.uri(scratch), copy)
    assert pg.sql(scratch, "SELECT count(*) FROM noise") == pg.sql(noise, "SELECT count(*) FROM noise")
    os.unlink(path)
    assert keepfs.artifacts() != [] and name not in keepfs.artifacts()
    left = keepfs.artifacts()
    keepfs.unmount()
    for file in keepfs.state.glob("catalog.db*"):
        file.unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert keepfs.artifacts() == left
    # Nothing that this provider does not have was asked for, and what it refused by way of trouble was tried again.
    refused = [a for a in at.asked if a[4].startswith("501") and not (a[0] == "PUT" and ("if-none-match" in a[3] or "if-match" in a[3]))]
    assert not refused, refused
    assert not [a for a in at.asked if a[4].startswith("400")]
    if at.profile.name in ("gcs", "b2", "wasabi"):  # known, so it is not even tried
        assert not [a for a in at.asked if a[0] == "PUT" and "if-none-match" in a[3]]
    assert not [a for a in at.asked if any(h.startswith(("x-goog-", "x-amz-checksum")) for h in a[3])]


def test_a_backup_is_not_replaced(new_keepfs, pg, server_at):
    """two may say that they made the same name: the second finds it there, whether the server has conditions or not"""
    for profile in ("r2", "gcs", "spaces"):
        server = server_at(profile)
        keepfs = new_keepfs(store=server, directory=None)
        said = keepfs.run("check", check=False).stdout
        assert "ok   store" in said, said
        asked = [a for a in server.asked if a[0] == "PUT" and a[3].get("if-none-match")]
        assert bool(asked) == (profile != "gcs")
        if profile != "r2":
            assert [a for a in server.asked if a[0] == "HEAD"], "it was looked for first"


def test_parts_of_one_size(new_keepfs, pg, noise, server_at):
    """equal_parts = yes at any server, and an override of what is known of r2"""
    server = server_at("r2")
    keepfs = new_keepfs(job(pg, noise, format="custom"), store=server)
    keepfs.store_settings["part_size"] = "6M"
    keepfs.write_conf()
    said = keepfs.run("check", check=False).stdout
    assert "all parts of an upload have one size" in said, said
    keepfs.run("run", "full")
    (key,) = [k for k in server.keys() if k.endswith(".dump")]
    assert server.peak_parts[f"{strict_s3.PREFIX}/{key}"] == -(-len(server.get(key)) // (6 * MIB))


def test_what_is_kept_as_versions_is_deleted(new_keepfs, pg, server_at):
    """Backblaze keeps versions always: without delete_versions what was deleted is told, with it it is gone"""
    server = server_at("b2")
    keepfs = new_keepfs(store=server)
    assert "the bucket keeps versions" in keepfs.run("check", check=False).stdout
    assert any(t.data for them in server.things.values() for t in them)
    server.clear()
    keepfs.store_settings["delete_versions"] = "yes"
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    keepfs.backup()
    os.unlink(keepfs.path("backups", "full", name))
    keys = {key.removeprefix(f"{strict_s3.PREFIX}/") for key in server.things}
    assert not [key for key in keys if key.startswith(f"backups/full/{name.split('.')[0]}.")], keys


def fetched(url):
    """as a browser does that is told to slow down: it asks once more"""
    def get():
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.read()
        except urllib.error.HTTPError as failure:
            assert failure.code == 503
            return None

    return daemon.wait_until(get, "an answer")


@pytest.mark.parametrize("answer, words", [
    (Refusal("400 Bad Request", "AuthorizationHeaderMalformed", "the region is wrong", more="<Region>eu-north-1</Region>"), "set [store] region = eu-north-1"),
    (Refusal("301 Moved Permanently", "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-3"}), "set [store] region = eu-west-3"),
    (Refusal("307 Temporary Redirect", "TemporaryRedirect", more="<Endpoint>b.s3.eu-west-3.amazonaws.com</Endpoint>"), "(endpoint: b.s3.eu-west-3.amazonaws.com)"),
    (Refusal("403 Forbidden", "RequestTimeTooSkewed"), "clock"),
    (Refusal("400 Bad Request", "ExpiredRequest"), "ExpiredRequest"),
    (Refusal("401 Unauthorized", "Unauthorized"), "may not do this"),
])
def test_refusals_say_what_to_do(new_keepfs, server_at, answer, words):
    server = server_at("aws")
    keepfs = new_keepfs(store=server)
    server.answers = [answer] * 50
    said = keepfs.run("check", check=False).stdout
    assert words in " ".join(said.split()), said
    server.answers = []


def test_the_wrong_region_is_told_before_a_request(new_keepfs, tmp_path):
    """contradictions stand in the configuration, with their line"""
    def problems(**store):
        lines = ["[keepfs]", f"state_dir = {tmp_path}/s", f"mountpoint = {tmp_path}/m", "[store]", "url = s3://bucket/p",
                 *(f"{k} = {v}" for k, v in store.items()), "[backup full]", "database = dbname=x"]
        conf = tmp_path / "k.conf"
        conf.write_text("\n".join(lines) + "\n")
        keepfs = new_keepfs()
        return keepfs.run("check", "-c", str(conf), check=False, conf=False).stderr

    assert "provider b2 needs it" in problems(provider="b2")
    assert "k.conf:6: [store] provider" in problems(provider="gcs", endpoint="https://s3.us-west-004.backblazeb2.com")


def test_a_tenants_bucket_at_a_provider(new_keepfs, tmp_path, pg):
    """the query's store_provider gives the endpoint, which must be one that it may name"""
    query = ("SELECT 1 AS id, $$acme$$ AS slug, $$acme-b$$ AS store_bucket, $$acme$$ AS store_credentials, $$b2$$ AS store_provider, "
             "$$us-west-004$$ AS store_region")
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "acme").write_text("access_key = A\nsecret_key = B\ntenants = acme\nendpoint = https://s3.us-west-004.backblazeb2.com\n")
    (keys / "acme").chmod(0o600)
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}})
    keepfs.sections["export"] = {"database": pg.uri("sample"), "tenants": query, "tenant_column": "id", "store_credentials_dir": keys,
                                 "store_endpoints": "https://elsewhere.example"}
    keepfs.write_conf()
    said = keepfs.run("check", check=False)
    assert "https://s3.us-west-004.backblazeb2.com is none of those that it may name" in said.stdout + said.stderr, said.stdout
