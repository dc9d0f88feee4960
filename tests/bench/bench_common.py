# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: rounds, what a process used, where scratch files go, tables."""
import os
import pathlib
import resource
import shutil
import statistics
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))  # daemon, stores, …: for every benchmark that imports this

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
TICKS = os.sysconf("SC_CLK_TCK")


def parts(default):
    """which of @default were asked for with BENCH_PARTS"""
    wanted = os.environ.get("BENCH_PARTS", default).split(",")
    unknown = set(wanted) - set(default.split(","))
    assert not unknown, f"BENCH_PARTS is of {default}, not {','.join(unknown)}"
    return wanted


def interleaved(turns):
    """each of these once in every round, so that whatever else the machine does hits all of them"""
    for _ in range(ROUNDS):
        for turn in turns:
            turn()


def installed(program, package, for_what):
    """else says what is left out, and how to have it"""
    if shutil.which(program):
        return True
    print(f"  {program} is not installed: {for_what} is left out (tools/setup bench, or the Debian package {package})")
    return False


def cpu_s(pid, with_itself=True):
    """of a process and of its children that have ended"""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[i]) for i in ((11, 12, 13, 14) if with_itself else (13, 14))) / TICKS


def children_cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def status_mib(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return 0


def forget_peak(pid):
    """VmHWM, the peak of resident memory, begins anew"""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def scratch_directory(directory, megabytes):
    """in memory where that is large enough: what is written is then limited by what writes it alone"""
    memory = pathlib.Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > megabytes * 1.5e6:
        return pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-", dir=memory)), "tmpfs"
    (directory / "scratch").mkdir(exist_ok=True)
    return directory / "scratch", "disk"


class Series:
    """what the rounds of one way gave, by figure"""

    def __init__(self):
        self.figures = {}

    def add(self, **figures):
        for key, value in figures.items():
            self.figures.setdefault(key, []).append(value)

    def median(self, key):
        return statistics.median(self.figures[key])

    def min(self, key):
        return min(self.figures[key])

    def max(self, key):
        return max(self.figures[key])


def measured(ways):
    """@ways: {name: function that does it once and returns {figure: value}}; {name: Series} of all rounds"""
    found = {name: Series() for name in ways}
    interleaved([lambda name=name, once=once: found[name].add(**once()) for name, once in ways.items()])
    return found


def load():
    return pathlib.Path("/proc/loadavg").read_text().split()[0]


def print_table(title, header, rows):
    """the first cell of each row is its name; others are text, or None for nothing"""
    rows = [["" if cell is None else cell for cell in row] for row in rows]
    widths = [max(len(cells[i]) for cells in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}: medians of {ROUNDS} (load {load()})")
    for cells in [header, *rows]:
        print("  " + "  ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(zip(cells, widths))))
    sys.stdout.flush()


def goal(text, met):
    print(f"  {'met   ' if met else 'MISSED'}  {text}", flush=True)
