# SPDX-License-Identifier: Apache-2.0
"""What is kept of a million backups of one directory: how long it takes to plan that, and in how much memory. Making the catalog of a million
takes some minutes; BENCH_CATALOG is a state directory that has one already."""
import os
import re
import shutil
import subprocess
import tempfile

import bench_common

COUNT = int(os.environ.get("BENCH_ARTIFACTS", "1000000"))


def plan_once(directory):
    done = subprocess.run([os.environ["PLAN_RETENTION"], directory], check=True, stdout=subprocess.PIPE, text=True)
    count, wall, cpu, each = map(float, re.search(r"^(\d+) backups, .* in ([\d.]+) s \(([\d.]+) .*, (\d+) bytes", done.stdout).groups())
    return {"count": count, "s": wall, "processor s": cpu, "bytes each": each}


def main():
    made = os.environ.get("BENCH_CATALOG")
    directory = made or tempfile.mkdtemp(prefix="keepfs-bench-")
    try:
        if not made:
            subprocess.run([os.environ["FILL_CATALOG"], directory, str(COUNT)], check=True)
        plans = bench_common.measured({"plan": lambda: plan_once(directory)})["plan"]
        bench_common.print_table(f"A plan of {plans.median('count'):.0f} backups", ["", "median", "least", "most"],
                                 [[what, *(f"{of(what):.2f}" for of in (plans.median, plans.min, plans.max))] for what in ("s", "processor s", "bytes each")])
        bench_common.goal("2 s of a processor", plans.median("processor s") < 2)
        bench_common.goal("200 bytes for each", plans.median("bytes each") < 200)
    finally:
        if not made:
            shutil.rmtree(directory, ignore_errors=True)


main()
