# SPDX-License-Identifier: Apache-2.0
"""Containerfile and compose.yml, as far as they can be tried without a container engine: what they copy is there, what they install
exists and is all that the program needs, and keepfs takes every variable that they set."""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

import daemon

yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed (tools/setup test)")
TOP = daemon.TOP
BUILD = pathlib.Path(daemon.PROGRAM).resolve().parents[1]


def instructions():
    """[(instruction, the rest)] of each stage"""
    text = re.sub(r"^\s*#.*\n", "", (TOP / "Containerfile").read_text(), flags=re.M).replace("\\\n", " ")
    stages = []
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stages.append([])
        if word:
            stages[-1].append((word, rest.strip()))
    return stages


def installed_packages(stage):
    found = []
    arguments = dict(rest.split("=", 1) for word, rest in stage if word == "ARG")
    for word, rest in stage:
        for command in re.findall(r"apt-get install ([^&]*)", rest) if word == "RUN" else []:
            for name, value in arguments.items():
                command = command.replace("${" + name + "}", value.strip('"'))
            found += [one for one in command.split() if not one.startswith("-")]
    return found


def environment_of_image():
    stage = instructions()[-1]
    return dict(pair.split("=", 1) for word, rest in stage if word == "ENV" for pair in shlex.split(rest))


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((TOP / "compose.yml").read_text())


def test_what_is_copied_is_there():
    build, runtime = instructions()
    for rest in (rest for word, rest in build if word == "COPY"):
        *sources, _ = rest.split()
        assert all((TOP / source).exists() for source in sources), rest
    copied = [rest.split()[1] for word, rest in runtime if word == "COPY"]
    assert all(source.startswith("/image/usr/") for source in copied)
    ignored = (TOP / ".containerignore").read_text()
    assert ignored == (TOP / ".dockerignore").read_text() and "secrets\n" in ignored


def test_what_is_copied_from_the_build_is_made_by_it(tmp_path):
    """the step of the first stage that installs, from the build that is there"""
    if not (BUILD / "build.ninja").exists():
        pytest.skip("the program is not in a directory of a build")
    build, runtime = instructions()
    (step,) = [rest for word, rest in build if word == "RUN" and "meson install" in rest]
    command = step.split("&& ")[1].replace("DESTDIR=/image", f"DESTDIR={tmp_path}").replace("-C /build", f"-C {BUILD}")
    assert command != step.split("&& ")[1]
    subprocess.run(["sh", "-ec", command], check=True, stdout=subprocess.DEVNULL)
    prefix = next(one["value"] for one in json.loads(subprocess.run(["meson", "introspect", "--buildoptions", str(BUILD)], check=True,
                                                                    capture_output=True).stdout) if one["name"] == "prefix")
    for word, rest in runtime:
        if word == "COPY":
            assert (tmp_path / rest.split()[1].replace("/image/usr", prefix.lstrip("/"), 1)).exists(), rest


def test_packages_exist():
    if not shutil.which("apt-cache"):
        pytest.skip("apt-cache is not here: this is no Debian")
    wanted = installed_packages(instructions()[-1])
    assert "fuse3" in wanted and "postgresql-client-15" in wanted
    known = subprocess.run(["apt-cache", "--names-only", "search", "."], capture_output=True, text=True).stdout
    names = {line.split(" ")[0] for line in known.splitlines()}
    assert names and not [one for one in wanted if one not in names]


def test_libraries_are_installed():
    """of each library that the program itself is linked to, the package is in the list"""
    if not shutil.which("dpkg"):
        pytest.skip("dpkg is not here: this is no Debian")
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", subprocess.run(["readelf", "-d", daemon.PROGRAM], check=True, capture_output=True, text=True).stdout)
    paths = dict(re.findall(r"^\s*(\S+) => (\S+)", subprocess.run(["ldd", daemon.PROGRAM], check=True, capture_output=True, text=True).stdout, re.M))
    wanted = installed_packages(instructions()[-1])
    for library in needed:
        if re.match(r"lib(c|m|gcc_s|asan|ubsan|tsan)\.so", library):
            continue
        owner = ""
        for path in {paths[library], os.path.realpath(paths[library]), paths[library].replace("/lib/", "/usr/lib/", 1)}:
            owner += subprocess.run(["dpkg", "-S", path], capture_output=True, text=True).stdout
        assert any(f"{package}:" in owner for package in wanted), (library, owner)


def test_the_user_is_not_root():
    stage = instructions()[-1]
    assert [rest for word, rest in stage if word == "USER"] == ["keepfs"]
    (health,) = [rest for word, rest in stage if word == "HEALTHCHECK"]
    assert "keepfs status" in health
    assert [json.loads(rest) for word, rest in stage if word in ("ENTRYPOINT", "CMD")] == [["keepfs"], ["mount", "-f"]]


@pytest.mark.parametrize("status, healthy", [(0, True), (1, True), (2, True), (3, False)])
def test_the_health_check(tmp_path, status, healthy):
    """a daemon that does not answer is unhealthy; a restart mends nothing else"""
    (health,) = [rest for word, rest in instructions()[-1] if word == "HEALTHCHECK"]
    (tmp_path / "keepfs").write_text(f"#!/bin/sh\n[ \"$1\" = status ] && exit {status}\nexit 9\n")
    (tmp_path / "keepfs").chmod(0o755)
    done = subprocess.run(["sh", "-c", health.split("CMD ")[1]], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode == 0) == healthy and done.returncode in (0, 1)


def test_services_fit_together(compose):
    assert set(compose["services"]) == {"postgres", "s3", "bucket", "keepfs", "metrics", "prometheus"}
    for name, service in compose["services"].items():
        assert "image" in service, name
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("./"):
                # The rules of alerts come with the documentation of monitoring.
                assert (TOP / source).exists() or source == "./docs/alerts.yml", source
            elif not source.startswith("/"):
                assert source in compose["volumes"], source
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"], secret
        for other in service.get("depends_on", []):
            assert other in compose["services"], other
        assert not [key for key in service.get("environment", {}) if re.search("PASSWORD$|SECRET", key)], "secrets come by files"
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", [])}
    assert used == set(compose["secrets"])
    assert {v.split(":")[0] for s in compose["services"].values() for v in s.get("volumes", []) if isinstance(v, str) and v[0] not in "./"} == set(
        compose["volumes"])


def test_the_mount(compose):
    keepfs, metrics = compose["services"]["keepfs"], compose["services"]["metrics"]
    assert keepfs["devices"] == ["/dev/fuse"] and keepfs["cap_add"] == ["SYS_ADMIN"] and "apparmor:unconfined" in keepfs["security_opt"]
    assert keepfs["build"] == {"context": ".", "dockerfile": "Containerfile"}
    (mount,) = [v for v in keepfs["volumes"] if isinstance(v, dict)]
    assert mount["target"] == environment_of_image()["KEEPFS_MOUNTPOINT"] and mount["bind"]["propagation"] == "rshared"
    (seen,) = metrics["volumes"]
    assert seen["source"] == mount["source"] and f"--collector.textfile.directory={seen['target']}/status" in metrics["command"]
    uid = re.search(r"useradd -u (\d+)", (TOP / "Containerfile").read_text())[1]
    assert metrics["user"] == f"{uid}:{uid}"
    assert f"state:{environment_of_image()['KEEPFS_STATE_DIR']}" in keepfs["volumes"]


def test_keepfs_takes_every_variable(compose, tmp_path):
    """of the image and of the service: the probe gets as far as asking the two servers, which are not here"""
    variables = {**environment_of_image(), **compose["services"]["keepfs"]["environment"]}
    known = {key: value for key, value in variables.items() if key.startswith("KEEPFS_")}
    assert "KEEPFS_BACKUP_FULL_SCHEDULE" in known and "KEEPFS_BACKUP_FULL_KEEP_DAILY" in known
    env = {**daemon.clean_environment(), **known, "HOME": str(tmp_path), "KEEPFS_STATE_DIR": str(tmp_path / "state"),
           "KEEPFS_STORE_RETRY_DEADLINE": "0"}
    done = subprocess.run([daemon.PROGRAM, "check", "--json"], env=env, capture_output=True, text=True, timeout=daemon.DEADLINE_S)
    assert done.returncode == 1 and not done.stderr, done.stderr
    checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert "database full/shop" in checks and "s3://backups/prod" in json.dumps(checks["store"]) or "credentials" in checks["store"]["detail"]
    done = subprocess.run([daemon.PROGRAM, "check"], env={**env, "KEEPFS_BACKUP_FULL_SHEDULE": "daily-2am"}, capture_output=True, text=True)
    assert done.returncode == 2 and "KEEPFS_BACKUP_FULL_SHEDULE" in done.stderr


def test_a_backup_by_variables_alone(new_keepfs, pg, compose, tmp_path):
    """the schedule among them, as in a container without any file"""
    keepfs = new_keepfs()
    known = {key: value for key, value in compose["services"]["keepfs"]["environment"].items() if key.startswith("KEEPFS_BACKUP_") or key == "KEEPFS_TIMEZONE"}
    env = {**keepfs.env, **known, "KEEPFS_BACKUP_FULL_DATABASE": pg.uri("sample"), "KEEPFS_STATE_DIR": str(keepfs.state), "KEEPFS_MEMORY": "112M",
           "KEEPFS_STORE_URL": keepfs.store_settings["url"], "KEEPFS_MOUNTPOINT": str(keepfs.mountpoint), "KEEPFS_PARALLEL_RUNS": "1"}
    keepfs.run("mount", conf=False, env=env)
    config = keepfs.text("status", "config")
    assert re.search(r"^schedule = daily-2am", config, re.M) and re.search(r"^keep_monthly = 12", config, re.M), config
    assert keepfs.backup()["state"] == "completed"


def test_prometheus_finds_the_metrics(compose):
    conf = yaml.safe_load((TOP / "tools/container/prometheus.yml").read_text())
    ((target,),) = [static["targets"] for scrape in conf["scrape_configs"] for static in scrape["static_configs"]]
    assert target.split(":")[0] in compose["services"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["prometheus"]["volumes"]]
    assert all(rule in mounted for rule in conf["rule_files"]) and "/etc/prometheus/prometheus.yml" in mounted
