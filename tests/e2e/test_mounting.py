# SPDX-License-Identifier: Apache-2.0
"""What is mounted on: an empty directory that hides nothing, by whatever name it is called."""
import os
import pathlib
import shutil
import subprocess

import pytest

import daemon


def mount_refused(keepfs, *arguments):
    done = keepfs.run("mount", *arguments, check=False)
    assert done.returncode == 2 and not keepfs.daemons(), done.stdout + done.stderr
    return done.stderr


def test_a_directory_that_holds_something(new_keepfs):
    keepfs = new_keepfs()
    for name in ("a", "b", "c"):
        (keepfs.mountpoint / name).write_text(name)
    why = mount_refused(keepfs)
    assert f"the mountpoint {keepfs.mountpoint} is not empty: it holds " in why and "-o nonempty" in why
    keepfs.mount("-o", "nonempty,noatime")
    assert keepfs.text("control", "README")
    keepfs.unmount()
    assert sorted(os.listdir(keepfs.mountpoint)) == ["a", "b", "c"]


def test_a_database_server_is_not_hidden(new_keepfs, own_pg):
    keepfs = new_keepfs()
    assert f"the mountpoint {own_pg.data} is not empty" in mount_refused(keepfs, own_pg.data)
    assert (own_pg.data / "PG_VERSION").exists()


@pytest.mark.parametrize("place, what", [("state", "[keepfs] state_dir"), ("objects", "the directory of [store] url"), ("cache", "[read] cache_dir"),
                                         ("objects/mnt", "the directory of [store] url"), ("media", "archived by the job media"), (".", "[keepfs] state_dir")])
def test_its_own_directories(new_keepfs, pg, tmp_path, place, what):
    """not even when asked to: what is there would be hidden from keepfs itself"""
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}, "files media": {"path": tmp_path / "media"}})
    keepfs.read_settings = {"cache_dir": tmp_path / "cache"}
    keepfs.write_conf()
    for name in ("state", "objects", "cache", "media"):
        (tmp_path / name).mkdir(exist_ok=True)
    assert what in mount_refused(keepfs, "-o", "nonempty", tmp_path / place)
    assert not os.path.ismount(tmp_path / place)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs mounts of its own")
def test_a_bind_mount_of_its_own_directory(new_keepfs, store):
    keepfs = new_keepfs()
    other = keepfs.directory / "other"
    other.mkdir()
    (keepfs.directory / "objects" / "mnt").mkdir(parents=True)
    for place in (other, other / "mnt"):
        done = subprocess.run(["unshare", "-m", "sh", "-c", 'mount --bind "$1" "$2" && "$3" mount -o nonempty -c "$4" "$5"', "sh",
                               str(keepfs.directory / "objects"), str(other), daemon.PROGRAM, str(keepfs.conf), str(place)], env=keepfs.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=daemon.DEADLINE_S)
        assert done.returncode == 2 and "the directory of [store] url" in done.stderr, done.stderr
    (keepfs.directory / "objects" / "mnt").rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask the kernel for more")
def test_the_kernel_reads_ahead(new_keepfs):
    """1 MiB at once, whichever comes first: that it is asked for, or that the kernel's first request is answered, which sets a limit"""
    keepfs = new_keepfs()
    for _ in range(4):
        keepfs.mount()
        device = keepfs.mountpoint.stat().st_dev
        setting = pathlib.Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
        if not os.access(setting, os.W_OK):
            pytest.skip("what the kernel reads ahead cannot be changed here")
        assert setting.read_text().strip() == "1024"
        keepfs.unmount()


def test_a_link_to_the_mountpoint(new_keepfs):
    """it is the directory that is mounted on, and found again, and replaced when its daemon has gone"""
    keepfs = new_keepfs()
    link = keepfs.directory / "link"
    link.symlink_to("mnt")
    keepfs.mount(link)
    done = keepfs.run("mount", link, check=False)
    assert done.returncode == 1 and f"another keepfs (pid {keepfs.daemons()[0]}) uses the state directory" in done.stderr, done.stderr
    assert (link / "control" / "README").read_text()
    keepfs.kill()
    assert keepfs.run("status", "-m", link, check=False).returncode == 3
    keepfs.mount(link)
    assert keepfs.text("control", "README")


def test_by_another_name_of_the_present_directory(new_keepfs):
    keepfs = new_keepfs()
    keepfs.run("mount", f"{keepfs.mountpoint}/../mnt/.")
    assert os.path.ismount(keepfs.mountpoint) and keepfs.text("control", "README")
    keepfs.kill()
    keepfs.mount(f"{keepfs.mountpoint}/.")
