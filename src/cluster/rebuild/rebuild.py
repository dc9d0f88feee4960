#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the data directory of a PostgreSQL server out of a base backup of keepfs, without keepfs.

    rebuild.py [--identity FILE] LISTING PACKS DIRECTORY

LISTING is manifests/backups/JOB/TIME.contents.zst of the store, PACKS its directory packs/JOB, and DIRECTORY does not exist. All are files here: get them from a bucket before,
PACKS at least with what "needs" of manifests/backups/JOB/TIME.json names. Where their names end in .age, FILE has the identity that opens them, and the program age is there.
The program zstd has to be. Then run pg_verifybackup -n DIRECTORY, move what is in DIRECTORY/pg_tblspc/OID to where its tablespace is to be, put a link in its place, give
the server a restore_command and a recovery.signal, and start it. docs/formats.md of keepfs, "Base backups", says what these files are.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile


def plain(path, identity, to):
    """the bytes of an object, decrypted and decompressed, into a file"""
    first = f"age -d -i {shlex.quote(str(identity))}" if str(path).endswith(".age") else "cat"
    if first != "cat" and not identity:
        sys.exit(f"{path} is encrypted: name the identity, --identity FILE")
    subprocess.run(["bash", "-o", "pipefail", "-c", f"{first} < {shlex.quote(str(path))} | zstd -dcq"], stdout=to, check=True)
    to.flush()


def key(name):
    """the path below the data directory, in bytes: names escape what they cannot have"""
    if name == "%":
        return b""
    joined = name.encode("utf-8", "surrogateescape").replace(b"%-/", b"")
    path = re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), joined)
    if b".." in path.split(b"/") or path.startswith(b"/"):
        sys.exit(f"the listing is damaged: {name} would be outside of the data directory")
    return path


def read_listing(path, identity):
    with tempfile.TemporaryFile() as text:
        plain(path, identity, text)
        text.seek(0)
        head = json.loads(text.readline())
        if head.get("format") != "keepfs-base" or head.get("version") != 1:
            sys.exit(f"{path} is no listing of a base that this program knows")
        try:
            lines = [json.loads(line) for line in text]
        except ValueError:
            sys.exit(f"{path} was cut off, or is damaged")
    if not lines or lines.pop().get("count") != len(lines):
        sys.exit(f"{path} was cut off")
    return lines


def make_tree(lines, top):
    """directories, and files that have holes yet; what is to come from each pack"""
    wanted = {}
    for line in sorted(lines, key=lambda line: key(line["name"])):
        path = os.path.join(os.fsencode(top), key(line["name"]))
        if line.get("dir"):
            os.makedirs(path, 0o700, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(path, "xb") as file:
            file.truncate(line["size"])
        for at, size, *place in line["runs"]:
            if place:
                pack = line["packs"][place[0]] if isinstance(place[0], int) else place[0]
                wanted.setdefault(pack, []).append((path, at, size, place[1]))
    return wanted


def fill(pack, packs, identity, runs):
    found = [path for path in (packs / f"{pack}.tar.zst", packs / f"{pack}.tar.zst.age") if path.exists()]
    if not found:
        sys.exit(f"{packs}/{pack}.tar.zst is not there: get it from the store")
    with tempfile.TemporaryFile() as tar:
        plain(found[0], identity, tar)
        for path, at, size, place in runs:
            with open(path, "r+b") as file:
                data = os.pread(tar.fileno(), size, place)
                if len(data) != size:
                    sys.exit(f"{found[0]} is shorter than the listing says")
                os.pwrite(file.fileno(), data, at)


def finish(lines, top):
    """modes and times; of directories last, and those below before those above"""
    for line in sorted(lines, key=lambda line: (line.get("dir", False), -len(key(line["name"])))):
        os.chmod(os.path.join(os.fsencode(top), key(line["name"])), int(line["mode"], 8))


def main():
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--identity", type=pathlib.Path)
    given.add_argument("listing", type=pathlib.Path)
    given.add_argument("packs", type=pathlib.Path)
    given.add_argument("directory", type=pathlib.Path)
    given = given.parse_args()
    lines = read_listing(given.listing, given.identity)
    given.directory.mkdir(0o700)
    for pack, runs in sorted(make_tree(lines, given.directory).items()):
        fill(pack, given.packs, given.identity, runs)
    finish(lines, given.directory)
    print(f"{len(lines)} files and directories are in {given.directory}")


if __name__ == "__main__":
    main()
