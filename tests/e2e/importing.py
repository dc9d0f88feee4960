# SPDX-License-Identifier: Apache-2.0
"""Exports, as files, and what an import makes of them."""
import gzip
import json
import os


class Imports:
    """one keepfs without a mount, whose exports lie as files in a directory"""

    def __init__(self, keepfs, pg, store):
        self.keepfs, self.pg, self.store = keepfs, pg, store

    def export(self, section, tenant="acme"):
        """the path of a new export of @tenant"""
        self.keepfs.sections = {"export": section}
        self.keepfs.write_conf()
        before = set(self.store.keys())
        self.keepfs.run("run", "exports", f"tenant={tenant}")
        (key,) = (k for k in self.store.keys() if k.startswith(f"exports/{tenant}/") and k not in before)
        path = self.keepfs.directory / f"{tenant}-{os.path.basename(key)}"
        path.write_bytes(self.store.get(key))
        return path

    def into(self, database, path, *words, check=True):
        """what `keepfs import` says"""
        done = self.keepfs.run("import", path, "--database", self.pg.uri(database), *words, check=False)
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == check, said
        return said

    def refused(self, database, path, *words):
        """the reason; and nothing was changed"""
        before = self.pg.fingerprint(database)
        said = self.into(database, path, *words, check=False)
        assert self.pg.fingerprint(database) == before
        assert "nothing was changed" in said
        return said


def edited(path, edit):
    """another file, with the text that @edit makes of the document's"""
    changed = path.with_name(f"edited-{path.name}")
    before = gzip.decompress(path.read_bytes()).decode()
    after = edit(before)
    assert after != before
    changed.write_bytes(gzip.compress(after.encode()))
    return changed


def read(path):
    return json.loads(gzip.decompress(path.read_bytes()))


def rows(pg, database, query):
    """byte for byte, as COPY has them"""
    return pg.sql(database, f"COPY ({query}) TO STDOUT").splitlines()

