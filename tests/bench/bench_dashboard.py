# SPDX-License-Identifier: Apache-2.0
"""status/dashboard.html: how long it takes to make, and how large it is, by how much there is to tell."""
import os
import pathlib
import subprocess
import tempfile

GOALS = "goal 300 ms, 2 MB"


def main():
    print(f"  {'history':<44} {'ms':>8} {'kB':>8}")
    for demo, what in (("empty", "one job that never ran"), ("realistic", "5 jobs, 17 databases, 364 runs"),
                       ("large", "10 jobs, 1,009 databases, 10,000 runs"),
                       ("jobs", "1,000 jobs of one database, 10,000 runs")):
        with tempfile.TemporaryDirectory(prefix="keepfs-bench-") as directory:
            page = pathlib.Path(directory, "dashboard.html")
            done = subprocess.run([os.environ["DEMO_DASHBOARD"], demo, directory, page], check=True, stdout=subprocess.PIPE, text=True)
            print(f"  {what:<44} {float(done.stdout):8.1f} {page.stat().st_size / 1000:8.0f}   {GOALS}", flush=True)


main()
