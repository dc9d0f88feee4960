# SPDX-License-Identifier: Apache-2.0
"""What HTTP itself allows: curl on presigned URLs, with nothing between it and the server."""
import subprocess

import bench_common
import daemon

PIECE_BYTES = 8 << 20
PROCESSES = 8
REUSED = "0"  # connections that had to be made for a transfer


def transfer(url, first=None, length=None, output="/dev/null"):
    """a section of curl's configuration"""
    lines = [f'url = "{url}"', f'output = "{output}"', "fail", "silent", 'write-out = "%{num_connects} %{time_total}\\n"']
    if first is not None:
        lines.append(f'range = "{first}-{first + length - 1}"')
    return "\n".join(lines) + "\n"


def curl(*work):
    """one process for each list of transfers, all at the same time; a process keeps its connection. What they wrote out, in lines"""
    running = []
    for transfers in work:
        running.append(subprocess.Popen(["curl", "-q", "--fail-early", "-K", "-"], env=daemon.clean_environment(), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        running[-1].stdin.write("next\n".join(transfers))
        running[-1].stdin.close()
    said = [process.stdout.read().splitlines() for process in running]
    for process in running:
        process.stdout.close()
        assert process.wait() == 0, f"curl ended with {process.returncode}"
    return [line for lines in said for line in lines]


def stream(url):
    curl([transfer(url)])


def pieces(url, size):
    """every eighth piece of the object by the same process"""
    starts = range(0, size, PIECE_BYTES)
    curl(*[[transfer(url, first, min(PIECE_BYTES, size - first)) for first in starts[i::PROCESSES]]
           for i in range(min(PROCESSES, len(starts)))])


def latencies_ms(*work):
    """of transfers over connections that were there"""
    said = [line.split() for line in curl(*work)]
    return sorted(float(seconds) * 1000 for connections, seconds in said if connections == REUSED)


def with_cpu(function, *arguments):
    """(seconds of processor time of the processes that it ran)"""
    before = bench_common.children_cpu_s()
    function(*arguments)
    return bench_common.children_cpu_s() - before
