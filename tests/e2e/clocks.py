# SPDX-License-Identifier: Apache-2.0
"""Clocks that a test moves, for a program that does not know (tests/support/clocks.c, preloaded)."""
import datetime
import mmap
import pathlib
import struct
import subprocess
import time

import pytest

import daemon

LIBRARY = pathlib.Path(daemon.PROGRAM).parents[1] / "tests/support/libclocks.so"
UTC = datetime.timezone.utc
NS = 1_000_000_000
FIELDS = "=5q"  # struct clocks: version, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_MONOTONIC, sets


class Clocks:
    """What is started with environment() shows the time that this says. It goes on by itself, too, as fast as any clock does."""

    def __init__(self, path, start):
        """@start: a datetime; what CLOCK_REALTIME shows now"""
        self.version, self.boot, self.mono, self.sets = 0, 0, 0, 0
        self.real = int(start.timestamp() * NS) - time.time_ns()
        self.path = pathlib.Path(path)
        self.path.write_bytes(struct.pack(FIELDS, self.version, self.real, self.boot, self.mono, self.sets))
        self.file = open(self.path, "r+b", buffering=0)
        self.map = mmap.mmap(self.file.fileno(), struct.calcsize(FIELDS))

    def close(self):
        self.map.close()
        self.file.close()

    def environment(self, env):
        return {**env, "LD_PRELOAD": str(LIBRARY), "KEEPFS_TEST_CLOCKS": str(self.path),
                "ASAN_OPTIONS": env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def _write(self):
        # Odd while it is written. The last write is one to the file, because the map's are told to nobody.
        struct.pack_into("=q", self.map, 0, self.version + 1)
        struct.pack_into("=4q", self.map, 8, self.real, self.boot, self.mono, self.sets)
        self.version += 2
        self.file.seek(0)
        self.file.write(struct.pack("=q", self.version))

    def now(self):
        return datetime.datetime.fromtimestamp((time.time_ns() + self.real) / NS, UTC)

    def pass_time(self, seconds):
        """it passes while the host is up; never back"""
        assert seconds >= 0
        self.real += int(seconds * NS)
        self.boot += int(seconds * NS)
        self.mono += int(seconds * NS)
        self._write()

    def pass_until(self, at):
        """to a moment that is to come; it is now when that was just passed"""
        self.pass_time(max(0, (at - self.now()).total_seconds()))

    def sleep_host(self, seconds):
        """suspended and resumed"""
        self.real += int(seconds * NS)
        self.boot += int(seconds * NS)
        self.sets += 1
        self._write()

    def set_clock(self, seconds):
        """somebody sets it forth, or back"""
        self.real += int(seconds * NS)
        self.sets += 1
        self._write()


def work_here(clocks):
    """skip where nothing can be preloaded, as with some sanitizers"""
    done = subprocess.run([daemon.PROGRAM, "version"], env=clocks.environment(daemon.clean_environment()), capture_output=True,
                          text=True)
    if done.returncode != 0:
        pytest.skip(f"{LIBRARY.name} cannot be preloaded here: {done.stderr.strip()[-200:]}")
