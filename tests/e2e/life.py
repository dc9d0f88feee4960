# SPDX-License-Identifier: Apache-2.0
"""A keepfs that lives through months in seconds (clocks.py), held to a model of what it should have made and kept (keeping.py)."""
import datetime
import json
import functools
import os
import signal

import daemon
from keeping import DAY

wait_until = functools.partial(daemon.wait_until, pause_s=0.002)  # there are thousands
HOUR = datetime.timedelta(hours=1)
SECOND = datetime.timedelta(seconds=1)
LATE = 120 * SECOND  # of wall time; machines are slow


def time_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class Life:
    def __init__(self, keepfs, clocks, directories, web):
        """@directories: {job: keeping.Directory}; @web: the receivers.WebServer that is told of all events"""
        self.keepfs, self.clocks, self.directories, self.web = keepfs, clocks, directories, web
        self.last_run = 0
        self.told = 0  # events that were looked at
        self.failing = {}  # {job: why its runs fail}
        self.all_names = []  # of all backups that were ever made
        self.made = {job: 0 for job in directories}
        self.failed = {job: 0 for job in directories}
        keepfs.env = clocks.environment(keepfs.env)

    @property
    def now(self):
        return self.clocks.now()

    # time

    def _work(self):
        """(is any thread of the daemon at work, how often they have slept)"""
        slept, busy = 0, False
        for pid in self.daemon_pids:
            for _, text in daemon.tasks_of(pid, "status"):
                busy = busy or "\nState:\tS" not in text
                slept += int(text.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0])
        return busy, slept

    def rest(self):
        """until the daemon has nothing left to do: whoever reads two clocks must not have hours pass between them"""
        seen = []

        def is_at_rest():
            seen.append(self._work())
            return len(seen) > 1 and seen[-1] == seen[-2] and not seen[-1][0]

        wait_until(is_at_rest, "the daemon to be at rest")

    def mount(self):
        self.resumed = self.now
        self.keepfs.mount()
        self.daemon_pids = self.keepfs.daemons()
        self.rest()

    def pass_until(self, at):
        self.rest()
        self.clocks.pass_until(at)

    def pass_time(self, time):
        self.pass_until(self.now + time)

    def set_clock(self, time):
        self.rest()
        self.resumed = self.now + time
        self.clocks.set_clock(time.total_seconds())

    def sleep_host(self, time):
        self.rest()
        self.resumed = self.now + time
        self.clocks.sleep_host(time.total_seconds())

    # runs

    def next_due(self):
        """(when, job) of the next run"""
        return min((directory.next_due(self.now), job) for job, directory in self.directories.items())

    def begun(self):
        """the number of the next run, as soon as there is one"""
        self.last_run += 1
        wait_until(lambda: os.path.exists(self.keepfs.path("jobs", str(self.last_run))), f"run {self.last_run}")
        return self.last_run

    def expect_run(self, job, due, note="-"):
        """the next run is one of @job, and begins at @due"""
        status = self.keepfs.wait_run(self.begun())
        state = "failed" if job in self.failing else "completed"
        assert (status["job"], status["state"], status["triggered_by"]) == (job, state, "scheduled"), status
        began = time_of(status["queued"])
        assert due - SECOND <= began <= due + LATE, (due, status)
        assert status["note"] == note, status
        if state == "completed":
            self.take_backup(job, status)
        else:
            self.failed[job] += 1
        return status

    def trigger(self, job):
        """a run by hand"""
        self.last_run = self.keepfs.trigger(job)
        status = self.keepfs.wait_run(self.last_run)
        assert status["state"] == "completed", status
        self.take_backup(job, status)
        return status

    def expect_missed(self, *jobs):
        """what could not begin when it was due is made up for, as soon as the daemon could know: once for each of @jobs, in any order"""
        left = set(jobs)
        while left:
            job = self.keepfs.run_status(self.begun())["job"]
            self.last_run -= 1
            left.remove(job)
            directory = self.directories[job]
            due = directory.last_due(self.now).astimezone(directory.zone)
            self.expect_run(job, self.resumed, f"missed at {due:%Y-%m-%d %H:%M} ({directory.zone.key})")

    def take_backup(self, job, status):
        path, at = status["target"].split()[2], time_of(status["started"])
        self.made[job] += 1
        self.all_names.append(os.path.basename(path))
        return self.directories[job].made(at, os.path.basename(path), int(status["run"]), self.now)

    def live_until(self, at):
        """each run that is due begins when it is due; nothing else does"""
        while self.next_due()[0] <= at:
            due, job = self.next_due()
            self.pass_until(due)
            self.expect_run(job, due)
        self.pass_until(at)

    def live_days(self, count=1):
        """until noon of the day that is so many days from now, and look each noon"""
        for _ in range(count):
            noon = self.now.replace(hour=12, minute=0, second=0, microsecond=0)
            self.live_until(noon if noon > self.now else noon + DAY)
            self.look()

    # what is there

    def artifacts(self, job):
        return [n for n in os.listdir(self.keepfs.path("backups", job)) if n[:8].isdigit() and not n.endswith((".csv", ".gz"))]

    def stored(self, job):
        """the names of backups that have a manifest in the store"""
        directory = self.keepfs.store.root / "manifests" / "backups" / job
        return sorted(n[:-len(".json")] for n in os.listdir(directory) if n.endswith(".json"))

    def look(self):
        for job, directory in self.directories.items():
            if not directory.backups:
                continue
            found = sorted(self.artifacts(job))
            assert found == directory.names, (self.now, job, set(found) ^ set(directory.names), self.keepfs.text("status", "retention"))
            expected = sorted(directory.names + directory.stored(self.now))
            wait_until(lambda: self.stored(job) == expected, lambda: f"{self.now}: the store has {set(self.stored(job)) ^ set(expected)}; {self.log[-1500:]}")

    def health(self):
        """its lines that are not well"""
        return [line for line in self.keepfs.text("status", "health").splitlines()[1:] if line[:4] in ("WARN", "CRIT")]

    def wait_health(self, *words):
        """until what is not well is what each of these is found in, line by line"""
        def fits():
            lines = self.health()
            return len(lines) == len(words) and all(word in line for word, line in zip(words, lines))

        wait_until(fits, lambda: f"{words} in {self.health()}")

    def all_events(self):
        """what the receiver was told of, in the order in which it came; whether a copy of the catalog or a look at health is
        first after a long pause is left open"""
        told = [one for request in self.web.taken("/ops") for one in json.loads(request[3])["events"]]
        return [one for one in told if one.get("check") != "catalog_copy"]

    def new_events(self):
        """what has come since the last events(): "failed media", "policy-changed" """
        return [f"{one['event']} {one['job']}".strip() for one in self.all_events()[self.told:]]

    def events(self):
        """what has come since the last call, when nothing more is on its way"""
        self.wait_quiet()
        new = self.new_events()
        self.told += len(new)
        return new

    def expect_events(self, *events, maybe=()):
        """until these have come, in any order, and nothing else has; who is faster decides whether all of `maybe` come as well"""
        wanted = [sorted(events), sorted(events + maybe)]
        wait_until(lambda: sorted(self.new_events()) in wanted, lambda: f"{events}, after {self.new_events()}")
        found = self.events()
        assert sorted(found) in wanted, (self.now, found, self.all_events()[self.told - len(found):])

    @property
    def log(self):
        return (self.keepfs.state / "keepfs.log").read_text()

    def wait_quiet(self):
        """until nothing waits to be told to the receiver of all events"""
        def waiting():
            catalog = self.keepfs.catalog()
            try:
                return catalog.execute("SELECT count(*) FROM notice WHERE receiver = 'webhook ops'").fetchone()[0]
            finally:
                catalog.close()

        wait_until(lambda: waiting() == 0, "an empty queue of notices")

    # what happens to it

    def doubt_clock(self, doubtful):
        for directory in self.directories.values():
            directory.doubted_since = self.now if doubtful else None

    def change(self, **settings):
        """keys of the job `media`, and a reload"""
        self.keepfs.jobs["files media"].update(settings)
        self.keepfs.write_conf()
        before = self.log.count("the configuration was read again")
        self.keepfs.signal(signal.SIGHUP, wait=False)
        wait_until(lambda: self.log.count("the configuration was read again") > before, "a reload")
