# SPDX-License-Identifier: Apache-2.0
"""Listing and health of 100,000 backups, beside an older build: BENCH_OLD is the directory of that build (…/build). Not one of
`meson test --benchmark`, which has no older build: run it with BENCH_OLD and BENCH_NEW, its own build's directory."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import bench_common
import daemon

COUNT = int(os.environ.get("BENCH_ARTIFACTS", "100000"))
READS = 15
CONF = """[keepfs]
mountpoint = {0}/mnt
state_dir = {0}/state
memory = 192M
[store]
url = dir:{0}/objects
[backup full]
database = postgresql:///none
"""


class Mount:
    """one build over a catalog of its own; everything is measured in the daemon's processor seconds, and by the clock"""

    def __init__(self, build, directory):
        self.build, self.directory = pathlib.Path(build), directory
        for name in ("mnt", "state", "objects/.keepfs"):
            (directory / name).mkdir(parents=True)
        self.conf = directory / "keepfs.conf"
        self.conf.write_text(CONF.format(directory))
        self.conf.chmod(0o600)
        subprocess.run([self.build / "tests/bench/fill_catalog", directory / "state", str(COUNT)], check=True)

    def keepfs(self, *arguments):
        return subprocess.run([self.build / "src/keepfs", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=open(self.directory / "log", "ab"))

    def pid(self):
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.conf) in (process / "cmdline").read_text() and "/src/keepfs" in os.readlink(process / "exe"):
                    return int(process.name)
            except OSError:
                pass
        raise AssertionError("no daemon")

    def measure(self, command, pid):
        cpu, began = bench_common.cpu_s(pid), time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return bench_common.cpu_s(pid) - cpu, time.monotonic() - began

    def once(self):
        full, status = self.directory / "mnt/backups/full", self.directory / "mnt/status"
        figures = {}
        for name, command in (("ls -f", ["ls", "-f", full]), ("ls -l", ["ls", "-l", full]), ("find", ["find", full.parent, "-size", "+1"]),
                              ("health", ["sh", "-c", f"for i in $(seq {READS}); do cat {status}/metrics.prom {status}/health; done"])):
            self.keepfs("mount", "-c", self.conf)  # anew, so that the kernel knows nothing
            pid = self.pid()
            try:
                figures[name + ", processor s"], figures[name + ", s"] = self.measure(command, pid)
            finally:
                subprocess.run(["fusermount3", "-u", self.directory / "mnt"], check=True)
                daemon.wait_exit(pid)
        return figures


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    try:
        ways = {name: Mount(os.environ[f"BENCH_{name.upper()}"], directory / name) for name in ("old", "new")}
        found = bench_common.measured({name: mount.once for name, mount in ways.items()})
        rows = [[what, *(f"{found[name].median(what):.3f}" for name in ways), f"{found['new'].median(what) / (found['old'].median(what) or 1e-3):.2f}"]
                for what in found["old"].figures]
        bench_common.print_table(f"{COUNT} backups in one directory; health and metrics {READS} times", ["", "old", "new", "new / old"], rows)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


main()
