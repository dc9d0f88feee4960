# SPDX-License-Identifier: Apache-2.0
"""One keepfs under test: its configuration, its mount, its processes, and the state it must leave behind."""
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import re
import select
import signal
import sqlite3
import subprocess
import time
import uuid

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("KEEPFS", str(TOP / "build/src/keepfs"))
DEADLINE_S = float(os.environ.get("KEEPFS_E2E_DEADLINE_S", "300"))
PG_BINDIR = os.environ.get("KEEPFS_TEST_PG_BINDIR")
ARTIFACT = re.compile(r"^\d{8}T\d{6}Z(-\d+)?(\.(schema|data|partial))?(\.dump|\.sql|\.sql\.gz)?$")
ENDED = {"completed", "failed", "cancelled"}


def wait_until(condition, what, deadline_s=DEADLINE_S, pause_s=0.02):
    """for states that have no descriptor to wait on; @what may be a function that says it"""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"still waiting after {deadline_s:.0f} s: {what() if callable(what) else what}"
        select.select([], [], [], pause_s)


def wait_exit(pid, deadline_s=DEADLINE_S):
    """until a process that need not be our child has ended"""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(deadline_s * 1000), f"process {pid} did not end within {deadline_s:.0f} s"
    finally:
        os.close(fd)


def arguments_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []  # it ended meanwhile


def tasks_of(pid, file):
    """(number, text of the file in /proc) of each thread of a process; a thread that ends while they are read is left out"""
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield task, pathlib.Path(f"/proc/{pid}/task/{task}/{file}").read_text()


def threads_of(pid):
    """the names of a process's threads and their numbers"""
    return {name.strip(): task for task, name in tasks_of(pid, "comm")}


def files_of(pid):
    """{descriptor: the path that it is open at}; what is closed while they are read is left out"""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def clean_environment():
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("KEEPFS_", "AWS_", "PG", "NOTIFY_"))}
    keep.pop("KEEPFS", None)
    keep["AWS_EC2_METADATA_DISABLED"] = "true"  # where there is no such service, asking for it takes a second
    if PG_BINDIR:
        keep["PATH"] = f"{PG_BINDIR}:{keep['PATH']}"
    return keep


class Keepfs:
    def __init__(self, directory, store, jobs, **keepfs_settings):
        """@jobs: {name: settings of its section}; the name of one that is no dump is the section's: files media"""
        self.directory = pathlib.Path(directory)
        self.store = store
        self.mountpoint = self.directory / "mnt"
        self.state = self.directory / "state"
        self.conf = self.directory / "keepfs.conf"
        self.jobs = jobs
        self.settings = {"mountpoint": self.mountpoint, "state_dir": self.state, "memory": "112M", "parallel_runs": 1,
                         "ignore_databases": "*",  # those of other tests, which share the server
                         "trash": "none",  # what is removed is gone: the tests of the trash say otherwise
                         **keepfs_settings}
        # What a test has damaged is not to be found by somebody else meanwhile: the tests of the scrub say otherwise.
        self.store_settings = {**store.settings, "scrub_within": "none"}
        self.killed = False  # by a test that meant to: a mount without its daemon is no crash
        self.read_settings = {}
        self.sections = {}  # further ones: {"mail": settings, "webhook chat": settings}
        self.mark = f"KEEPFS_E2E={uuid.uuid4()}"
        self.env = {**clean_environment(), "HOME": str(self.directory), "PGE2E_MARK": self.mark}  # PG: pg_dump gets it, too
        self.uploads_may_stay = False
        self.logs = 0
        self.mountpoint.mkdir(exist_ok=True)
        self.write_conf()

    def write_conf(self):
        def section(title, settings):
            return [f"[{title}]", *(f"{key} = {value}" for key, value in settings.items()), ""]

        lines = section("keepfs", self.settings) + section("store", self.store_settings)
        if self.read_settings:
            lines += section("read", self.read_settings)
        for name, settings in self.jobs.items():
            lines += section(name if " " in name else f"backup {name}", settings)
        for title, settings in self.sections.items():
            lines += section(title, settings)
        self.conf.write_text("\n".join(lines))
        self.conf.chmod(0o600)

    # commands

    def run(self, *arguments, check=True, env=None, input=None, conf=True, timeout=DEADLINE_S):
        """a command; output goes to files, because a daemon that it leaves behind would keep a pipe open"""
        self.logs += 1
        out, err = self.directory / f"{self.logs}.out", self.directory / f"{self.logs}.err"
        command = [PROGRAM, str(arguments[0]), *(["-c", str(self.conf)] if conf else []), *map(str, arguments[1:])]
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            done = subprocess.run(command, env=env or self.env, stdout=stdout, stderr=stderr, timeout=timeout,
                                  **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}))
        done.stdout, done.stderr = out.read_text(), err.read_text()
        assert "Sanitizer" not in done.stderr, done.stderr
        if check:
            assert done.returncode == 0, f"{command} exited {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def mount(self, *arguments, **options):
        self.run("mount", *arguments, **options)
        assert os.path.ismount(self.mountpoint)
        return self

    def verify_store(self):
        """a store that was never verified takes no scheduled jobs; this passes the probe"""
        return self.run("check", check=False)

    def unmount(self):
        daemons = self.daemons()
        subprocess.run(["fusermount3", "-u", str(self.mountpoint)], check=True)
        for pid in daemons:
            wait_exit(pid)

    def remount(self, *arguments):
        self.unmount()
        return self.mount(*arguments)

    def signal(self, number, wait=True):
        self.killed = self.killed or number in (signal.SIGKILL, signal.SIGSEGV)
        for pid in self.daemons():
            os.kill(pid, number)
            if wait:
                wait_exit(pid)

    def wait_end(self):
        """until the daemon has ended by itself: while it ends, it has no environment to be found by any more, but still its lock"""
        def is_free():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        with open(self.state / "lock") as lock:
            wait_until(is_free, "the end of the daemon")

    def kill(self):
        self.signal(signal.SIGKILL)

    # processes

    def processes(self):
        """{pid: program} of everything that was started from here and still lives"""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if self.mark.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = os.readlink(entry / "exe")
            except OSError:
                continue  # it ended meanwhile, or is not ours
        return found

    def daemons(self):
        return [pid for pid, program in self.processes().items() if os.path.realpath(PROGRAM) == program]

    def children(self, name):
        """of this program, those that are asked for more than their version"""
        return [pid for pid, program in self.processes().items() if os.path.basename(program) == name
                and "--version" not in arguments_of(pid)]

    # the mount

    def path(self, *parts):
        return self.mountpoint.joinpath(*parts)

    def text(self, *parts):
        return self.path(*parts).read_text()

    def write(self, name, command):
        """one command into a control file, as `echo … > file` does"""
        with open(self.path("control", name), "wb", buffering=0) as f:
            f.write(command.encode() + b"\n")

    def ask(self, name, command):
        """write, then read the answer on the same descriptor"""
        fd = os.open(self.path("control", name), os.O_RDWR)
        try:
            os.write(fd, command.encode() + b"\n")
            return os.read(fd, 65536).decode()
        finally:
            os.close(fd)

    def trigger(self, command="now"):
        """returns the number of the run"""
        return int(self.ask("trigger", command).split()[0])

    def refused(self, name, command):
        """the reason, by reading the control file that took the command for none"""
        fd = os.open(self.path("control", name), os.O_RDWR)
        try:
            os.write(fd, command.encode() + b"\n")
        except OSError as error:
            assert error.errno == errno.EINVAL
            return os.read(fd, 65536).decode()
        finally:
            os.close(fd)
        raise AssertionError(f"{command} was taken")

    def run_status(self, run):
        return parse_status(self.text("jobs", str(run), "status"))

    def wait_run(self, run, states=frozenset(ENDED), condition=None, deadline_s=DEADLINE_S):
        """until the run is in one of @states (or @condition holds), waiting with poll(2) on its status file"""
        end = time.monotonic() + deadline_s
        while True:
            with open(self.path("jobs", str(run), "status"), "rb", buffering=0) as f:
                status = parse_status(f.read().decode())
                if condition(status) if condition else status["state"] in states:
                    return status
                assert condition is None or status["state"] not in ENDED, f"run {run} ended: {status}"
                left = end - time.monotonic()
                assert left > 0, f"run {run} is still {status}"
                poll = select.poll()
                poll.register(f, select.POLLPRI)
                # The status file does not tell when a condition that looks elsewhere may hold.
                poll.poll(min(left * 1000, 20) if condition else left * 1000)

    def backup(self, command="now"):
        """trigger, wait for success; returns the run's line of the history"""
        run = self.trigger(command)
        status = self.wait_run(run)
        assert status["state"] == "completed", status
        return self.history(run)

    def history(self, run=None):
        runs = [json.loads(line) for line in self.text("status", "history.jsonl").splitlines()]
        return runs if run is None else next(r for r in runs if r["run"] == run)

    def run_artifact(self, run):
        """name of the one artifact of a run"""
        directory = self.path("backups", "full")
        (name,) = [n for n in self.artifacts() if os.getxattr(directory / n, "user.keepfs.run").decode() == str(run)]
        return name

    def artifacts(self, directory="full"):
        """names of the artifacts of a directory, oldest first"""
        found = [n for n in os.listdir(self.path("backups", directory)) if ARTIFACT.match(n)]
        return sorted(found, key=lambda name: name.split(".")[0])  # of one second: …Z.dump, then …Z-2.dump

    # the end

    def catalog(self):
        return sqlite3.connect(f"file:{self.state / 'catalog.db'}?mode=ro", uri=True)

    @contextlib.contextmanager
    def writable_catalog(self):
        """while no daemon has it: to make of it what time, or an accident, would"""
        with contextlib.closing(sqlite3.connect(self.state / "catalog.db")) as catalog, catalog:
            yield catalog

    def end_trash(self):
        """as if the time of all that is in the trash were over; no daemon runs"""
        with self.writable_catalog() as catalog:
            catalog.execute("UPDATE trash SET until_us = 1")
        for key in self.store.keys():
            if key.startswith("trash/"):
                mark = {**json.loads(self.store.get(key)), "until": "1970-01-01T00:00:00.000001Z"}
                self.store.put(key, json.dumps(mark).encode())

    def close(self):
        """unmount, and hold keepfs to what every test may expect: nothing is left"""
        crashed = is_mounted(self.mountpoint) and not self.daemons() and not self.killed
        if is_mounted(self.mountpoint):
            self.unmount()
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            wait_exit(pid)
        still = is_mounted(self.mountpoint)
        if still:
            subprocess.run(["umount", "-l", str(self.mountpoint)], check=False)
        log = self.state / "keepfs.log"
        words = log.read_text() if log.exists() else ""
        assert "Sanitizer" not in words, words
        assert not crashed, f"the daemon ended by itself; its log:\n{words}"
        assert not left, f"processes left behind: {left}"
        assert not still, "the mount was left behind"
        if (self.state / "catalog.db").exists():
            with sqlite3.connect(self.state / "catalog.db") as catalog:
                assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            catalog.close()
        if not self.uploads_may_stay:
            assert self.store.uploads() == []
            assert orphans(self.store) == []


def is_mounted(path):
    """also true for a mount whose daemon is dead"""
    return any(line.split()[4] == str(path) for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())


def parse_status(text):
    return {key: value.strip() for key, _, value in (line.partition(" ") for line in text.splitlines() if line)}


def _objects_of(manifest):
    """the keys of the objects a manifest describes; version 1 names them by the backup's path and its files' names"""
    if "objects" in manifest:
        return {one["key"] for one in manifest["objects"]}
    path = manifest["path"]
    prefix = path if manifest["format"] == "directory" else path.rsplit("/", 1)[0]
    keys = {f"{prefix}/{file['name']}" for file in manifest["files"]}
    return keys if manifest["format"] == "directory" else keys | {path}


def orphans(store):
    """objects that no manifest describes, and those described that are not there"""
    keys = store.keys()
    keys = [key for key in keys if not key.startswith(("records/", "holds/", "trash/", "catalog/", "erasures/", "chain/", "checkpoints/", "wal/", "recovery/", "state/canary-", "state/copied.json", "state/lease.json", "state/head.json"))]
    objects = {key for key in keys if not key.startswith("manifests/") or not re.search(r"\.(json|extents(\.r\d+)?)$", key)}
    described = set()
    for key in keys:
        if key.startswith("manifests/") and key.endswith(".json"):
            described |= _objects_of(json.loads(store.get(key)))
    # What was adopted lies in other places.
    return sorted(objects ^ {key for key in described if not key.startswith("adopted/")})
