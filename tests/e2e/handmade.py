# SPDX-License-Identifier: Apache-2.0
"""Backups put into a store by hand: objects and manifests as docs/formats.md describes them, for `keepfs rebuild`."""
import base64
import datetime
import functools
import hashlib
import json
import re
import struct

EXTENT_BYTES = 1 << 20
NAME = re.compile(r"(\d{8}T\d{6}Z)(-\d+)?(.*)")


def _crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC_TABLE = _crc_table()


@functools.lru_cache(maxsize=1024)
def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sums(files):
    """SHA256SUMS of {name: bytes}"""
    return "".join(f"{sha256(data)}  {name}\n" for name, data in files.items()).encode()


@functools.lru_cache(maxsize=256)
def _extents(data):
    if isinstance(data, tuple):
        pieces = data
    else:
        pieces = [data[i:i + EXTENT_BYTES] for i in range(0, len(data), EXTENT_BYTES)]
    return b"".join(struct.pack("<II", len(piece), crc32c(piece)) for piece in pieces)


def publish(store, path, data=None, files=None, run=1, **facts):
    """
    @path: "backups/full/20261120T020000Z.dump"; @data: its bytes, or a tuple of its extents; None when it is a directory
    @files: {name: bytes} of its further files; a directory gets a SHA256SUMS in addition
    """
    directory, name = path.rsplit("/", 1)
    when, _, suffix = NAME.fullmatch(name).groups()
    began = datetime.datetime.strptime(when, "%Y%m%dT%H%M%SZ")
    files = dict(files or {})
    table = _extents(data or b"")
    if isinstance(data, tuple):
        data = b"".join(data)
    if data is None:
        files["SHA256SUMS"] = sums(files)
    prefix = path if data is None else directory
    for file, content in files.items():
        store.put(f"{prefix}/{file}", content)
    if data is not None:
        store.put(path, data)
    tables = [table, *map(_extents, files.values())]
    digest = sha256(files["SHA256SUMS"] if data is None else data)
    manifest = {
        "version": 1, "path": path, "job": path.split("/")[1], "kind": "dump", "run": run, "database": "sample",
        "server_version": "15.18", "tool_version": "15.18", "triggered_by": "uid 0 (bash)",
        "format": "directory" if data is None else "plain" if ".sql" in suffix else "custom",
        "content": "full", "compression": "gzip", "partial": False,
        "started_at": f"{began.isoformat()}.000000Z", "finished_at": f"{began.isoformat()}.500000Z",
        "verified_at": f"{began.isoformat()}.750000Z",
        "size": sum(map(len, files.values())) if data is None else len(data), "sha256": digest,
        "stored_size": 0 if data is None else len(data), "stored_sha256": None if data is None else digest,
        "keepfs_version": "0.1.0",
        "files": [{"name": file, "size": len(content), "sha256": sha256(content), "extents": len(table) // 8}
                  for (file, content), table in zip(files.items(), tables[1:])],
        "extents": {"count": len(tables[0]) // 8, "sha256": sha256(b"".join(tables)),
                    "table": base64.b64encode(b"".join(tables)).decode()},
        **facts,
    }
    store.put(f"manifests/{path}.json", json.dumps(manifest).encode())
    return manifest


def replace(store, path, key, data):
    """Put other bytes of the same number in the place of an object of the backup @path, with checksums that are right, as if that had been sent:
    an object of one extent"""
    old = store.get(key)
    assert len(data) == len(old) <= 64 << 10
    manifest = store.get(f"manifests/{path}.json").decode().replace(sha256(old), sha256(data))
    extents = json.loads(manifest)["extents"]
    table = base64.b64decode(extents["table"])
    record = _extents(old)
    assert table.count(record) == 1
    changed = table.replace(record, _extents(data))
    manifest = manifest.replace(extents["table"], base64.b64encode(changed).decode()).replace(sha256(table), sha256(changed))
    store.put(key, data)
    store.put(f"manifests/{path}.json", manifest.encode())
