"""The stores that the tests run on: what keepfs is told about each, and a way to look into it behind keepfs's back."""
import pathlib
import shutil
import subprocess
import tempfile

import s3client

TOP = pathlib.Path(__file__).resolve().parents[2]


class S3Server:
    """tools/s3-server: a real one, for the whole session"""

    def __init__(self, kind):
        self.kind = kind
        self.directory = tempfile.mkdtemp(prefix=f"keepfs-{kind}-")
        self.facts = {}
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self):
        done = subprocess.run([TOP / "tools/s3-server", "start", self.kind, self.directory, "--bucket", "keepfs-tests"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
        self.facts = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def stop(self):
        subprocess.run([TOP / "tools/s3-server", "stop", self.kind, self.directory], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, check=True)

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def client(self):
        f = self.facts
        return s3client.S3Client(f["ENDPOINT"], f["REGION"], f["ACCESS_KEY"], f["SECRET_KEY"], f["BUCKET"])


class DirStore:
    kind = "dir"

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.settings = {"url": f"dir:{self.root}"}

    def keys(self):
        """objects only: the driver keeps its open uploads and temporary files under names that begin with a dot"""
        found = (p.relative_to(self.root) for p in self.root.rglob("*") if p.is_file())
        return sorted(str(p) for p in found if not any(part.startswith(".") for part in p.parts))

    def uploads(self):
        found = (p.relative_to(self.root) for p in self.root.rglob("*") if p.is_file())
        return sorted(str(p) for p in found if any(part.startswith(".") for part in p.parts))

    def get(self, key):
        return (self.root / key).read_bytes()

    def put(self, key, data):
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
        self.settings = {"url": f"s3://{f['BUCKET']}/{prefix}", "endpoint": f["ENDPOINT"], "region": f["REGION"],
                         "access_key": f["ACCESS_KEY"], "secret_key": f["SECRET_KEY"], "allow_http": "yes"}

    def keys(self):
        return [key[len(self.prefix) + 1:] for key in self.client.keys(self.prefix + "/")]

    def uploads(self):
        return self.client.uploads(self.prefix + "/")

    def get(self, key):
        return self.client.get(f"{self.prefix}/{key}")

    def put(self, key, data):
        self.client.put(f"{self.prefix}/{key}", data)

    def remove(self, key):
        self.client.remove(f"{self.prefix}/{key}")

    def clear(self):
        for key in self.keys():
            self.remove(key)
