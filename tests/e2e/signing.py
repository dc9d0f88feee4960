# SPDX-License-Identifier: Apache-2.0
"""Keys of signatures, and `keepfs verify --key` as an auditor runs it: without a configuration, a catalog or a mount."""
import hashlib
import json
import os
import pathlib
import subprocess

from daemon import PROGRAM, clean_environment


def make_key(directory, name):
    """(the private file, the public file)"""
    private, public = pathlib.Path(directory) / f"{name}.pem", pathlib.Path(directory) / f"{name}.pub.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, stderr=subprocess.DEVNULL)
    private.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def id_of(public):
    raw = subprocess.run(["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"], check=True, capture_output=True).stdout[-32:]
    return hashlib.sha256(raw).hexdigest()[:16]


def prove(store, *keys, arguments=(), check=None):
    """what `keepfs verify --key … --json` says; @check: the exit status that is expected"""
    words = [word for key in keys for word in ("--key", str(key))]
    env = {**clean_environment(), **{f"KEEPFS_STORE_{name.upper()}": str(value) for name, value in store.settings.items() if name != "url"}}
    done = subprocess.run([PROGRAM, "verify", "-c", "/dev/null", *words, "--store", store.settings["url"], "--json", *map(str, arguments)],
                          env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode in (0, 1), done.stderr
    said = json.loads(done.stdout)
    assert done.returncode == (1 if said["problems"] else 0)
    if check is not None:
        assert done.returncode == check, json.dumps(said, indent=1)
    return said


def kinds(said):
    return sorted({problem["kind"] for problem in said["problems"]})


def texts(said):
    return "\n".join(problem["text"] for problem in said["problems"])


def manifests(store):
    return sorted(key for key in store.keys() if key.startswith("manifests/") and key.endswith(".json"))


def links(store):
    """{number: what the link says}"""
    found = {key: json.loads(store.get(key)) for key in store.keys() if key.startswith("chain/")}
    return {link["chain"]["sequence"]: link for link in found.values()}


def place(store, key):
    return json.loads(store.get(key))["chain"]["sequence"]
