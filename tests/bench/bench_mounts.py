# SPDX-License-Identifier: Apache-2.0
"""Mounts of one bucket, each a process of its own that is started and ended for every figure: nothing is cached then."""
import os
import subprocess

import bench_common  # noqa: F401  (finds daemon and stores)
import daemon
import stores


def rclone_environment(facts, directory, endpoint=None):
    """a remote B: that is the server of @facts, or what stands before it"""
    return {"RCLONE_CONFIG_B_TYPE": "s3", "RCLONE_CONFIG_B_PROVIDER": "Ceph", "RCLONE_CONFIG_B_ENDPOINT": endpoint or facts["ENDPOINT"],
            "RCLONE_CONFIG_B_ACCESS_KEY_ID": facts["ACCESS_KEY"], "RCLONE_CONFIG_B_SECRET_ACCESS_KEY": facts["SECRET_KEY"],
            "RCLONE_CONFIG": str(directory / "rclone.conf")}


class KeepfsMount:
    def __init__(self, keepfs, endpoint):
        self.name, self.keepfs, self.endpoint, self.pid = "keepfs", keepfs, endpoint, None

    def start(self):
        self.keepfs.store_settings["endpoint"] = self.endpoint
        self.keepfs.write_conf()
        self.keepfs.mount()
        (self.pid,) = self.keepfs.daemons()

    def path(self, artifact):
        """@artifact: "backups/full/….dump" """
        return self.keepfs.path(artifact)

    def stop(self):
        self.keepfs.unmount()


class PeerMount:
    """the whole bucket, by a program that stays in the foreground"""

    def __init__(self, name, directory, prefix, command, environment):
        self.name, self.prefix, self.command, self.pid = name, prefix, command, None
        self.environment = {**daemon.clean_environment(), **environment}
        self.log = directory / f"{command[0]}.log"
        self.where = directory / "peer"
        self.where.mkdir(exist_ok=True)
        self.process = None

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        daemon.wait_until(lambda: os.path.ismount(self.where) or self.process.poll() is not None, f"the mount of {self.name}", 60)
        assert self.process.poll() is None, f"{self.name}: {self.log.read_text()}"

    def path(self, artifact):
        return self.where / self.prefix / artifact

    def stop(self):
        subprocess.run(["fusermount3", "-u", str(self.where)], check=True)
        self.process.wait()


class Rclone(PeerMount):
    def __init__(self, facts, directory, prefix, endpoint=None, name="rclone mount", options=()):
        super().__init__(name, directory, prefix, ["rclone", "mount", f"B:{stores.BUCKET}", str(directory / "peer"), *options],
                         rclone_environment(facts, directory, endpoint))


class S3fs(PeerMount):
    def __init__(self, facts, directory, prefix, endpoint=None, name="s3fs", options=()):
        password = directory / "passwd-s3fs"
        password.write_text(f"{facts['ACCESS_KEY']}:{facts['SECRET_KEY']}\n")
        password.chmod(0o600)
        super().__init__(name, directory, prefix, ["s3fs", stores.BUCKET, str(directory / "peer"), "-f", "-o", f"passwd_file={password}",
                                                   "-o", f"url={endpoint or facts['ENDPOINT']}", "-o", "use_path_request_style", *options],
                         {})
