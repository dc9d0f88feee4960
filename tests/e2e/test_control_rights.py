# SPDX-License-Identifier: Apache-2.0
"""Who may write and read which file of control/, by uid and gid, and commands that wait for a second person: with real users on a mount with allow_other."""
import errno
import json
import os
import re
import tempfile

import pytest

from daemon import wait_until
from people import Errno, gathering

BACKUP, DBA, APPROVERS, AUDITORS = 63001, 63002, 63003, 63004  # groups
ANNA, BERT, CARL, DORA, STRANGER = 63101, 63102, 63103, 63104, 63109

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs further users, and allow_other")


@pytest.fixture
def people():
    yield from gathering(63000)


@pytest.fixture
def ruled(new_keepfs, pg):
    """a mount whose control/ has rules"""
    with tempfile.TemporaryDirectory(prefix="keepfs-open-") as directory:
        os.chmod(directory, 0o755)
        made = []

        def make(**control):
            keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}, directory=directory, allow_other="yes")
            keepfs.sections["control"] = control
            keepfs.write_conf()
            made.append(keepfs)
            return keepfs.mount()

        yield make
        for keepfs in made:
            keepfs.close()


# What is tried, by whoever tries it.

def ask(path, command):
    fd = os.open(path, os.O_RDWR)
    try:
        os.write(fd, command.encode() + b"\n")
        return os.read(fd, 65536).decode()
    finally:
        os.close(fd)


def why(path, command):
    """of what is refused: errno and reason"""
    fd = os.open(path, os.O_RDWR)
    try:
        os.write(fd, command.encode() + b"\n")
    except OSError as error:
        return error.errno, os.read(fd, 65536).decode()
    finally:
        os.close(fd)
    return 0, "it was taken"


def read(path):
    with open(path, "rb") as f:
        return f.read().decode()


def audited(keepfs, action):
    return [a for a in map(json.loads, keepfs.text("status", "audit.jsonl").splitlines()) if a["action"] == action]


def test_files_are_for_whom_they_are(ruled, people):
    keepfs = ruled(write=f"trigger:@{BACKUP}, restore*:@{DBA}, *:{DORA}", read=f"probe:@{AUDITORS}")
    anna, bert, carl, dora, stranger = (people(ANNA, groups=[BACKUP]), people(BERT, DBA), people(CARL, groups=[AUDITORS]), people(DORA),
                                        people(STRANGER))
    control = keepfs.path("control")
    keepfs.ask("probe", "now")
    run = anna.done(ask, control / "trigger", "now")
    assert isinstance(run, str) and run.endswith(" pending full\n"), run
    assert keepfs.wait_run(int(run.split()[0]))["state"] == "completed"
    assert f"uid {ANNA} " in keepfs.text("jobs", run.split()[0], "status")
    assert "echo now > trigger" in anna.done(read, control / "README")
    for person, name in ((anna, "restore"), (anna, "erase"), (bert, "trigger"), (carl, "probe"), (stranger, "trigger"), (stranger, "README")):
        assert person.done(ask, control / name, "now") == errno.EACCES, (person.uid, name)
    for person, name in ((anna, "restore"), (bert, "trigger"), (stranger, "probe")):
        assert person.done(read, control / name) == errno.EACCES, (person.uid, name)
    assert "ok   store" in carl.done(read, control / "probe")
    assert bert.done(why, control / "restore", "nonsense")[0] == errno.EINVAL
    assert dora.done(why, control / "hold", "nonsense")[0] == errno.EINVAL
    # Nothing else has become theirs: neither names nor backups.
    for person in (anna, bert, carl, dora, stranger):
        for path in (keepfs.mountpoint, keepfs.path("backups"), keepfs.path("status"), keepfs.path("jobs")):
            assert isinstance(person.done(os.listdir, path), Errno), (person.uid, path)
    assert stranger.done(os.listdir, control) == errno.EACCES
    assert "trigger" in anna.done(os.listdir, control)
    # Root has what it always had, and what the command itself allows still counts.
    assert keepfs.ask("trigger", "now")
    name = keepfs.artifacts()[0]
    assert bert.done(why, control / "restore", f"full/{name} into=x pre_hook=id")[0] == errno.EPERM


def number_of(answer):
    return re.search(r"as number (\d{9})\b", answer)[1]


def test_a_second_person_confirms(ruled, people):
    keepfs = ruled(write=f"hold:{ANNA}, hold:{BERT}", confirm_by=f"@{APPROVERS}", confirm_within="1h")
    anna, bert, carl = people(ANNA, groups=[APPROVERS]), people(BERT, groups=[APPROVERS]), people(CARL)
    keepfs.backup()
    (name,) = keepfs.artifacts()
    control, path = keepfs.path("control"), f"backups/full/{name}"
    assert "is held" in anna.done(ask, control / "hold", f"{path} on reason='audit'")
    answer = anna.done(ask, control / "hold", f"{path} off")
    assert answer.startswith("waits for a second person as number "), answer
    number = number_of(answer)
    listed = keepfs.text("status", "confirmations")
    assert f"{number} hold {path} off; ordered by uid {ANNA} (" in listed, listed
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("backups", "full", name))
    # Neither the one who ordered it, nor whoever is no approver, root among them.
    assert anna.done(why, control / "confirm", f"confirm={number}")[0] == errno.EPERM
    assert carl.done(why, control / "confirm", f"confirm={number}") == errno.EACCES
    with pytest.raises(PermissionError):
        keepfs.ask("confirm", f"confirm={number}")
    assert bert.done(why, control / "confirm", f"confirm={int(number) + 1}")[0] == errno.ENOENT
    assert bert.done(why, control / "confirm", "1")[0] == errno.EINVAL
    assert "no longer held" in bert.done(ask, control / "confirm", f"confirm={number}")
    assert keepfs.text("status", "confirmations") == "nothing waits for a second person\n"
    assert bert.done(why, control / "confirm", f"confirm={number}")[0] == errno.ENOENT
    (confirmed,) = [a for a in audited(keepfs, "confirm") if a["result"] == "ok"]
    assert confirmed["uid"] == BERT and f"uid {ANNA} " in confirmed["detail"] and path in confirmed["object"]
    assert [a["uid"] for a in audited(keepfs, "wait")] == [ANNA]
    assert [a["uid"] for a in audited(keepfs, "release")] == [ANNA]
    # Root's own orders wait as well, and an approver can refuse; whoever ordered it may give it up.
    keepfs.ask("hold", f"{path} on reason='again'")
    number = number_of(keepfs.ask("hold", f"{path} off"))
    assert "is not done" in anna.done(ask, control / "confirm", f"refuse={number}")
    number = number_of(anna.done(ask, control / "hold", f"{path} off"))
    assert "is not done" in anna.done(ask, control / "confirm", f"refuse={number}")


def test_what_was_told_before_a_restart_is_no_other(ruled, people):
    """the number in a mail means the command that the mail tells of, or none"""
    keepfs = ruled(write=f"hold:{ANNA}", confirm_by=f"@{APPROVERS}")
    anna, bert = people(ANNA), people(BERT, groups=[APPROVERS])
    keepfs.backup()
    path = f"backups/full/{keepfs.artifacts()[0]}"
    anna.done(ask, keepfs.path("control", "hold"), f"{path} on reason='one' name=one")
    anna.done(ask, keepfs.path("control", "hold"), f"{path} on reason='two' name=two")
    told = number_of(anna.done(ask, keepfs.path("control", "hold"), f"{path} off name=one"))
    keepfs.unmount()
    keepfs.mount()
    assert number_of(anna.done(ask, keepfs.path("control", "hold"), f"{path} off name=two")) != told
    assert bert.done(why, keepfs.path("control", "confirm"), f"confirm={told}")[0] == errno.ENOENT


def test_a_hold_does_not_end_by_a_shorter_one(ruled, people):
    keepfs = ruled(write=f"hold:{ANNA}", confirm_by=f"@{APPROVERS}")
    anna, control = people(ANNA), keepfs.path("control")
    keepfs.backup()
    path = f"backups/full/{keepfs.artifacts()[0]}"
    anna.done(ask, control / "hold", f"{path} on reason='audit' until=2098-01-01")
    number, reason = anna.done(why, control / "hold", f"{path} on reason='x' until=2097-01-01")
    assert number == errno.EEXIST and "for longer already" in reason
    assert "is held" in anna.done(ask, control / "hold", f"{path} on reason='audit'")
    assert anna.done(why, control / "hold", f"{path} on reason='x' until=2098-01-01")[0] == errno.EEXIST


def test_the_same_person_by_another_name(ruled, people):
    """the kernel remembers who has logged in, whatever sudo and su do: that one cannot confirm himself"""
    def login(uid):
        with open("/proc/self/loginuid", "w", encoding="ascii") as f:
            f.write(str(uid))

    try:
        with open("/proc/self/loginuid", encoding="ascii") as f:
            before = int(f.read())
        login(ANNA)
    except (OSError, ValueError):
        pytest.skip("the kernel keeps no loginuid here")
    try:
        keepfs = ruled(write=f"hold:{ANNA}", confirm_by=f"@{APPROVERS}")
        anna, as_bert = people(ANNA), people(BERT, groups=[APPROVERS])
        keepfs.backup()
        path = f"backups/full/{keepfs.artifacts()[0]}"
        anna.done(ask, keepfs.path("control", "hold"), f"{path} on reason='audit'")
        waits = number_of(anna.done(ask, keepfs.path("control", "hold"), f"{path} off"))
        number, reason = as_bert.done(why, keepfs.path("control", "confirm"), f"confirm={waits}")
        assert number == errno.EPERM and "under another name neither" in reason
    finally:
        login(before)


def test_restores_over_what_is_there(ruled, people, pg):
    """the command line shows what waits, and confirms"""
    keepfs = ruled(write=f"restore:{ANNA}, trigger:{ANNA}", confirm_by=f"@{APPROVERS}")
    anna, bert = people(ANNA), people(BERT, groups=[APPROVERS])
    target = "control_rights_target"
    pg.create(target)
    try:
        keepfs.backup()
        control = keepfs.path("control")
        done = anna.done(ask, control / "restore", f"full/latest.dump into={target} confirm={target}")
        number = number_of(done)
        assert "control_rights_target" in keepfs.run("confirm").stdout
        assert "confirm_by does not name you" in keepfs.run("confirm", number, check=False).stderr
        run = bert.done(ask, control / "confirm", f"confirm={number}")
        assert isinstance(run, str) and "restore:" in run, run
        assert keepfs.wait_run(int(run.split()[0]))["state"] == "completed"
        assert f"confirmed by uid {BERT}" in keepfs.text("jobs", run.split()[0], "status")
    finally:
        for name in pg.sql("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{target}%'").split():
            pg.drop(name)


@pytest.mark.parametrize("word", ["full/latest.dump", "full"])
def test_what_is_confirmed_is_what_was_ordered(ruled, people, pg, word):
    """'latest' is what it was when the order was given, whatever was made since"""
    keepfs = ruled(write=f"restore:{ANNA}, rescue:{ANNA}, hold:{ANNA}", confirm_by=f"@{APPROVERS}")
    anna, bert = people(ANNA), people(BERT, groups=[APPROVERS])
    target = "control_rights_meant"
    pg.create(target)
    try:
        keepfs.backup()
        (first,) = keepfs.artifacts()
        control = keepfs.path("control")
        answer = anna.done(ask, control / "restore", f"{word} into={target} confirm={target}")
        assert f"{word} is backups/full/{first}" in answer, answer
        waits = keepfs.text("status", "confirmations")
        assert f" restore backups/full/{first} into={target} confirm={target};" in waits, waits
        keepfs.backup()
        run = bert.done(ask, control / "confirm", f"confirm={number_of(answer)}").split()[0]
        assert keepfs.wait_run(int(run))["state"] == "completed"
        assert f"backups/full/{first}" in keepfs.text("jobs", run, "status"), keepfs.text("jobs", run, "status")
        # What names one already is written as it was.
        answer = anna.done(ask, control / "restore", f"full/{first} into={target} confirm={target}")
        assert f" restore full/{first} into={target} confirm={target};" in keepfs.text("status", "confirmations")
        # A table whose name has to be quoted, beside a backup that has not.
        answer = anna.done(ask, control / "rescue", "full/latest.dump 'public.odd name' confirm='public.odd name'")
        assert f"/{keepfs.artifacts()[-1]} 'public.odd name' " in keepfs.text("status", "confirmations").replace('"', "'"), answer
    finally:
        for name in pg.sql("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{target}%'").split():
            pg.drop(name)


def test_it_is_told(people, tmp_path, new_keepfs, pg):
    told = tmp_path / "told"
    with tempfile.TemporaryDirectory(prefix="keepfs-open-") as directory:
        os.chmod(directory, 0o755)
        keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}, directory=directory, allow_other="yes")
        keepfs.sections = {"control": {"write": f"erase:{ANNA}, prune:{ANNA}, restore:{ANNA}", "confirm_by": f"{BERT}"},
                           "command log": {"command": f"cat >> {told}", "events": "confirm", "gather": "none"}}
        keepfs.write_conf()
        keepfs.mount()
        anna = people(ANNA)
        answer = anna.done(ask, keepfs.path("control", "prune"), "clock=right")
        assert number_of(answer)
        wait_until(lambda: told.exists() and "waits for a second person" in told.read_text(), "the notice")
        # Whose erasure it is stands nowhere, and a password neither.
        number = number_of(anna.done(ask, keepfs.path("control", "erase"), "public.customers email=bob@secret.example"))
        refused = anna.done(why, keepfs.path("control", "restore"), "full/latest.dump into=x confirm=x server=postgresql://u:hush@h/")
        assert refused[0] == errno.EINVAL and "password" in refused[1], refused
        seen = keepfs.text("status", "confirmations") + keepfs.text("status", "audit.jsonl")
        assert f"{number} erase public.customers …" in seen and "bob@secret" not in seen and "hush" not in seen, seen
        keepfs.close()
