"""A dump through keepfs: time and peak memory, next to pg_dump to a file and pg_dump piped into rclone."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))
import daemon  # noqa: E402
import postgres  # noqa: E402
import stores  # noqa: E402

MEGABYTES = int(os.environ.get("BENCH_DUMP_MB", "256"))
RUNS = 3


def peak_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0


def through_keepfs(directory, store, uri):
    """(seconds, peak MiB, bytes): medians over RUNS"""
    keepfs = daemon.Keepfs(directory, store, {"full": {"database": uri}}, memory="192M")
    keepfs.mount()
    (pid,) = keepfs.daemons()
    times, size = [], 0
    for _ in range(RUNS):
        start = time.monotonic()
        size = keepfs.backup()["size_bytes"]
        times.append(time.monotonic() - start)
    peak = peak_mib(pid)
    keepfs.unmount()
    return statistics.median(times), peak, size


def timed(command, environment=None):
    times = []
    for _ in range(RUNS):
        start = time.monotonic()
        subprocess.run(["bash", "-c", command], check=True, env={**daemon.clean_environment(), **(environment or {})})
        times.append(time.monotonic() - start)
    return statistics.median(times)


def line(name, seconds, base, peak=None):
    memory = f"{peak:8.1f} MiB peak" if peak else ""
    print(f"  {name:<34} {seconds:8.2f} s   x{seconds / base:.2f} {memory}", flush=True)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-bench-"))
    server = postgres.Postgres()
    s3 = None
    try:
        server.create("bench")
        postgres.fill_noise(server, "bench", MEGABYTES)
        uri = server.uri("bench")
        pg_dump = f"{server.bindir}/pg_dump -Fc -d '{uri}'"
        base = timed(f"{pg_dump} -f {directory}/plain.dump")
        print(f"a database of {MEGABYTES} MB that does not compress, medians of {RUNS}")
        line("pg_dump -Fc -f FILE", base, base)
        (directory / "dir").mkdir()
        seconds, peak, size = through_keepfs(directory / "dir", stores.DirStore(directory / "objects"), uri)
        line("keepfs into dir:", seconds, base, peak)
        assert abs(size - os.path.getsize(directory / "plain.dump")) < 1 << 20
        if shutil.which("radosgw"):
            s3 = stores.S3Server("ceph")
            (directory / "s3").mkdir()
            seconds, peak, _ = through_keepfs(directory / "s3", stores.S3Store(s3, "bench"), uri)
            line("keepfs into S3 (Ceph)", seconds, base, peak)
            if shutil.which("rclone"):
                f = s3.facts
                environment = {"RCLONE_CONFIG_B_TYPE": "s3", "RCLONE_CONFIG_B_PROVIDER": "Ceph",
                               "RCLONE_CONFIG_B_ENDPOINT": f["ENDPOINT"], "RCLONE_CONFIG_B_ACCESS_KEY_ID": f["ACCESS_KEY"],
                               "RCLONE_CONFIG_B_SECRET_ACCESS_KEY": f["SECRET_KEY"],
                               "RCLONE_CONFIG": str(directory / "rclone.conf")}
                line("pg_dump -Fc | rclone rcat", timed(f"{pg_dump} | rclone rcat B:{stores.BUCKET}/peer.dump", environment), base)
    finally:
        if s3:
            s3.stop()
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


main()
