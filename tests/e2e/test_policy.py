# SPDX-License-Identifier: Apache-2.0
"""keepfs policy s3: on a real server (Ceph), users who have nothing but what the printed policy gives them do their part with keepfs, and are refused by the
server whatever else they try."""
import json
import os
import subprocess
import uuid

import pytest

import s3client
import stores

ROLES = ("writer", "reader", "pruner", "drill")


class Owned(stores.OwnBucket):
    """a versioned bucket of the owner's, for which the policy is set; and the same as another user"""

    def __init__(self, server):
        super().__init__(server, "owned")
        self.client.keep_versions()

    def clear(self):
        for key, version, _ in self.client.versions():
            self.client.remove_version(key, version)


class User:
    """of the gateway, who owns nothing"""

    def __init__(self, server, role):
        self.name, self.access_key, self.secret_key = f"{role}-{uuid.uuid4().hex[:8]}", f"K{uuid.uuid4().hex[:15]}", uuid.uuid4().hex
        self.arn = f"arn:aws:iam:::user/{self.name}"
        self.server = server
        self.admin("user", "create", f"--uid={self.name}", "--display-name=x", f"--access-key={self.access_key}", f"--secret-key={self.secret_key}")

    def admin(self, *words):
        done = subprocess.run(["radosgw-admin", "-c", f"{self.server.directory}/ceph.conf", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def client(self, store):
        f = self.server.facts
        return s3client.S3Client(f["ENDPOINT"], f["REGION"], self.access_key, self.secret_key, store.bucket)


@pytest.fixture
def owned(s3_servers):
    store = Owned(s3_servers("ceph"))
    yield store
    store.clear()


@pytest.fixture
def users(owned):
    return {role: User(owned.server, role) for role in ROLES}


@pytest.fixture
def as_user(new_keepfs, owned, users, pg, tmp_path):
    """a keepfs with the credentials of a role, and a state_dir of its own"""
    def make(role, **job):
        keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "keep_last": 1, "keep_within": "none", "min_keep": 1, "timezone": "UTC", **job}},
                            store=owned, directory=tmp_path / role, policy_delay="none")
        keepfs.store_settings = {**keepfs.store_settings, "access_key": users[role].access_key, "secret_key": users[role].secret_key}
        keepfs.write_conf()
        return keepfs
    return make


def allow(owned, users, keepfs):
    """what the owner does: print, and set"""
    statements = []
    for role in ROLES:
        printed = json.loads(keepfs.run("policy", "s3", role, "--principal", users[role].arn).stdout)
        assert printed["Version"] == "2012-10-17"
        statements += printed["Statement"]
    # What somebody has put is his: the owner of the bucket gives himself what he needs to look (at AWS: Object Ownership, bucket owner enforced).
    statements.append({"Sid": "owner", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/keepfs"]}, "Action": ["s3:*"],
                       "Resource": [f"arn:aws:s3:::{owned.bucket}", f"arn:aws:s3:::{owned.bucket}/*"]})
    owned.client.set_policy({"Version": "2012-10-17", "Statement": statements})


def refused(function, *arguments):
    with pytest.raises(s3client.S3Error) as caught:
        function(*arguments)
    return ": 403 " in str(caught.value)


def test_each_role_does_its_part_and_nothing_else(owned, users, as_user):
    writer = as_user("writer")
    # Before the owner has said anything nobody may do anything.
    assert "AccessDenied" in writer.run("check", check=False).stdout
    allow(owned, users, writer)

    # The writer: makes backups, reads them, and cannot remove any.
    said = writer.run("check", check=False).stdout
    assert "ok   store" in said, said
    writer.mount()
    first = writer.backup()
    second = writer.backup()
    names = writer.artifacts()
    assert len(names) == 2, "what the rules let go is still there: the removal is the pruner's"
    assert "could not be removed" in writer.text("status", "health")
    assert writer.path("backups", "full", names[0]).read_bytes()[:5] == b"PGDMP"
    with pytest.raises(PermissionError):
        os.unlink(writer.path("backups", "full", names[0]))
    key = f"prod/backups/full/{names[0]}"
    client = users["writer"].client(owned)
    (version,) = [v for k, v, _ in owned.client.versions(key) if k == key]
    for attempt in ((client.remove, key), (client.remove_version, key, version), (client.remove, f"prod/manifests/full/{names[0]}.json"),
                    (client.put, "elsewhere/x", b"x"), (client.set_policy, {}), (client.versions,), (client.keep_versions,)):
        assert refused(*attempt), attempt
    assert client.get(key) == owned.client.get(key)

    # The reader: lists and reads, with the eye that needs no catalog, and writes nothing.
    reader = as_user("reader")
    said = reader.run("status", "--store", owned.settings["url"], check=False).stdout
    assert "full" in said, said
    client = users["reader"].client(owned)
    assert client.get(key) and client.keys("prod/")
    for attempt in ((client.put, "prod/state/x", b"x"), (client.remove, key), (client.put, key, b"x"), (client.remove_version, key, version),
                    (client.versions,), (client.remove, "prod/state/x")):
        assert refused(*attempt), attempt

    # Who drills: reads backups, and no catalog.
    drill = as_user("drill")
    drill.run("rebuild", "--no-history")
    drill.run("verify", "all")
    client = users["drill"].client(owned)
    assert client.get(key)
    copies = [k for k in owned.all_keys() if k.startswith("catalog/")]
    for attempt in ((client.put, "prod/state/x", b"x"), (client.remove, key), (client.versions,), *((client.get, f"prod/{k}") for k in copies)):
        assert refused(*attempt), attempt

    # The pruner: removes what the rules let go, with its versions, and makes nothing.
    pruner = as_user("pruner")
    pruner.store_settings["delete_versions"] = "yes"
    pruner.settings["lease"] = "none"
    pruner.write_conf()
    pruner.run("rebuild", "--no-history")
    shown = pruner.run("prune", "full").stdout
    assert names[0] in shown, shown
    done = pruner.run("prune", "full", "--apply").stdout
    left = [k for k in owned.keys() if k.startswith("backups/full/") and k.endswith(".dump")]
    assert left == [f"backups/full/{names[1]}"], done
    assert not [k for k, _, marker in owned.client.versions(key) if not marker]
    client = users["pruner"].client(owned)
    for attempt in ((client.put, "prod/backups/full/x.dump", b"x"), (client.put, "prod/manifests/full/x.json", b"x"), (client.put, "elsewhere/x", b"x"),
                    (client.set_policy, {}), (client.keep_versions,)):
        assert refused(*attempt), attempt
    assert first["run"] != second["run"]

    # The writer's daemon finds that it is gone, and goes on.
    writer.remount()
    writer.backup()
    assert f"{names[1]}" in writer.artifacts()


def test_the_printed_policy(new_keepfs):
    keepfs = new_keepfs()
    assert "is no bucket" in keepfs.run("policy", "s3", check=False).stderr
    keepfs.store_settings = {"url": "s3://shop-backups/prod/eu", "region": "cn-north-1"}
    keepfs.sections["store eu"] = {"url": "s3://eu-bucket", "access_key": "A", "secret_key": "B"}
    keepfs.write_conf()
    whole = json.loads(keepfs.run("policy", "s3").stdout)["Statement"]
    assert {s["Principal"]["AWS"][0].rsplit("-", 1)[1] for s in whole} == set(ROLES)
    assert all(r.startswith("arn:aws-cn:s3:::shop-backups") for s in whole for r in s["Resource"])
    (writes,) = [s for s in whole if s["Sid"] == "keepfsWriterWrite"]
    assert writes["Resource"] == ["arn:aws-cn:s3:::shop-backups/prod/eu/*"] and "s3:DeleteObject" not in writes["Action"]
    named = json.loads(keepfs.run("policy", "s3", "reader", "eu", "--principal", "arn:aws:iam::1:user/eye").stdout)["Statement"]
    assert {tuple(s["Principal"]["AWS"]) for s in named} == {("arn:aws:iam::1:user/eye",)}
    assert {r for s in named for r in s["Resource"]} == {"arn:aws:s3:::eu-bucket", "arn:aws:s3:::eu-bucket/*"}
    # What locks needs further rights, which others are not given.
    lock = {"s3:PutObjectRetention", "s3:GetObjectRetention", "s3:PutObjectLegalHold", "s3:GetObjectLegalHold", "s3:GetBucketVersioning",
            "s3:GetBucketObjectLockConfiguration", "s3:ListBucketVersions"}
    assert not lock & {a for s in whole if s["Sid"].startswith("keepfsWriter") for a in s["Action"]}
    keepfs.store_settings["object_lock"] = "governance"
    keepfs.write_conf()
    for role, given in (("writer", lock), ("pruner", lock - {"s3:PutObjectRetention"}), ("reader", set())):
        printed = json.loads(keepfs.run("policy", "s3", role).stdout)["Statement"]
        assert lock & {a for s in printed if s["Effect"] == "Allow" for a in s["Action"]} == given, role
    for words, said in ((("policy",), "takes s3"), (("policy", "gcs"), "takes s3"), (("policy", "s3", "owner"), "is no role"),
                        (("policy", "s3", "reader", "us"), "no section [store us]"), (("policy", "s3", "--principal", "x"), "of one role"),
                        (("policy", "s3", "reader", "eu", "x"), "takes s3")):
        done = keepfs.run(*words, check=False)
        assert done.returncode == 2 and said in done.stderr, done.stderr
