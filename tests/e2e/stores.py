# SPDX-License-Identifier: Apache-2.0
"""The stores that the tests run on: what keepfs is told about each, and a way to look into it behind keepfs's back."""
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.parse
import uuid

import s3client

TOP = pathlib.Path(__file__).resolve().parents[2]
BUCKET = "keepfs-tests"


class S3Server:
    """tools/s3-server: a real one, for the whole session"""

    def __init__(self, kind, *more):
        """@more: further arguments of tools/s3-server start"""
        self.kind = kind
        self.directory = tempfile.mkdtemp(prefix=f"keepfs-{kind}-")
        try:
            done = subprocess.run([TOP / "tools/s3-server", "start", kind, self.directory, "--bucket", BUCKET, *more],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
        except BaseException:
            self.stop()
            raise
        self.facts = dict(word.split("=", 1) for word in shlex.split(done.stdout) if "=" in word)

    def stop(self):
        subprocess.run([TOP / "tools/s3-server", "stop", self.directory], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       check=True)

    def client(self):
        f = self.facts
        return s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], BUCKET)


class Link:
    """a TCP connection to a server that can be cut and joined again: to a client the server goes down and comes back"""

    def __init__(self, endpoint):
        url = urllib.parse.urlsplit(endpoint)
        self.target = (url.hostname, url.port)
        self.lock = threading.Lock()
        self.open = set()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.listener = None
        self.join()

    def join(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        with self.lock:
            listener, self.listener = self.listener, None
            if listener:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for one in self.open:
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.open |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            with self.lock:
                self.open.discard(one)
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def files_below(root):
    """relative paths; what a daemon removes meanwhile is left out, and raises nothing"""
    return sorted(os.path.relpath(os.path.join(where, name), root) for where, _, names in os.walk(root) for name in names)


def without_copies(keys):
    """all but the copies of the catalog, which come whenever a daemon or a run ends, and what it says of itself while it runs"""
    return [key for key in keys if not key.startswith("catalog/") and key not in ("state/lease.json", "state/head.json")]


class DirStore:
    kind = "dir"

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.settings = {"url": f"dir:{self.root}"}

    def all_keys(self):
        """objects only: open uploads and temporary files are in .keepfs/"""
        return [path for path in files_below(self.root) if not path.startswith(".keepfs/")]

    def keys(self):
        return without_copies(self.all_keys())

    def uploads(self):
        return [f".keepfs/{path}" for path in files_below(self.root / ".keepfs") if not path.endswith(".match.lock")]

    def get(self, key):
        return (self.root / key).read_bytes()

    def put(self, key, data):
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).write_bytes(data)

    def remove(self, key):
        (self.root / key).unlink()

    def clear(self):
        shutil.rmtree(self.root, ignore_errors=True)


class S3Store:
    def __init__(self, server, prefix):
        self.server, self.prefix, self.kind = server, prefix, server.kind
        self.client = server.client()
        f = server.facts
        self.settings = {"url": f"s3://{BUCKET}/{prefix}", "endpoint": f["ENDPOINT"], "region": f["REGION"],
                         "access_key": f["ACCESS_KEY"], "secret_key": f["SECRET_KEY"], "allow_http": "yes"}

    def all_keys(self):
        return [key[len(self.prefix) + 1:] for key in self.client.keys(self.prefix + "/")]

    def keys(self):
        return without_copies(self.all_keys())

    def uploads(self):
        return self.client.uploads(self.prefix + "/")

    def get(self, key):
        return self.client.get(f"{self.prefix}/{key}")

    def put(self, key, data):
        self.client.put(f"{self.prefix}/{key}", data)

    def remove(self, key):
        self.client.remove(f"{self.prefix}/{key}")

    def clear(self):
        for key in self.all_keys():
            self.remove(key)


class OwnBucket(S3Store):
    """a bucket that no other test has, for what is set for a bucket as a whole: a policy, versions"""

    def __init__(self, server, name):
        super().__init__(server, "prod")
        f = server.facts
        self.bucket = f"{name}-{uuid.uuid4().hex[:12]}"
        self.client = s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], self.bucket)
        self.settings["url"] = f"s3://{self.bucket}/prod"
        self.client.create_bucket()
