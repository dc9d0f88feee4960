# SPDX-License-Identifier: Apache-2.0
"""What is kept: on a real mount, over a year of backups, against a model of the rules written anew (keeping.py)."""
import datetime
import errno
import json
import os
import subprocess

import pytest

import handmade
from keeping import kept, name_of, week_of

UTC = datetime.timezone.utc

pytestmark = pytest.mark.usefixtures("one_day")


def publish_year(store, days, at_hour=2, missing=()):
    """one backup a day for so many days before today, but for those whose number is in @missing; their times, oldest first"""
    today = datetime.datetime.now(UTC).replace(hour=at_hour, minute=0, second=0, microsecond=0)
    times = [today - datetime.timedelta(days=days - i) for i in range(days) if i not in missing]
    for run, at in enumerate(times, 1):
        handmade.publish(store, f"backups/full/{name_of(at)}.dump", b"PGDMP", run=run)
    return times


def names(times):
    return sorted(f"{name_of(at)}.dump" for at in times)


def audit(keepfs, action):
    lines = [json.loads(line) for line in keepfs.text("status", "audit.jsonl").splitlines()]
    return [a for a in lines if a["action"] == action]


def plan_of(keepfs, scope="full"):
    return json.loads(keepfs.ask("prune", f"{scope} json"))


@pytest.fixture
def year(new_keepfs, store):
    """(keepfs, times): a year with two outages, rules that were never applied"""
    times = publish_year(store, 365, missing={*range(100, 117), 200, 300})
    keepfs = new_keepfs({"full": {"database": "postgresql:///none", "keep_daily": 7, "keep_weekly": 4, "keep_monthly": 3,
                                  "keep_within": "1m", "week_starts": "sunday", "timezone": "UTC"}})
    keepfs.run("rebuild")
    keepfs.mount()
    return keepfs, times


def test_rules_that_are_new_wait_until_somebody_confirms_them(year):
    keepfs, times = year
    expected = names(kept(times, 7, 4, 3, week_starts=0))
    plan = plan_of(keepfs)
    (directory,) = plan["directories"]
    assert plan["kept"] == len(expected) and plan["due"] == len(times) - len(expected)
    assert directory["state"] == "waits" and "there were no rules yet" in directory["why"]
    assert len(keepfs.artifacts()) == len(times)
    assert "1 waits" not in keepfs.ask("prune", "full apply") and len(keepfs.artifacts()) == len(times)
    assert "retention backups/full" in keepfs.text("status", "health")
    assert f"full confirm={plan['plan']}" in keepfs.text("status", "health")
    with pytest.raises(OSError) as caught:
        keepfs.write("prune", "full confirm=00000000")
    assert caught.value.errno == errno.ESTALE
    done = keepfs.run("prune", "-m", keepfs.mountpoint, "full", "--confirm", plan["plan"])
    assert done.stdout.startswith(f"{plan['due']} removed, {plan['kept']} stay\n")
    assert keepfs.artifacts() == expected
    removed = audit(keepfs, "remove")
    assert len(removed) == plan["due"] and all(a["uid"] is None and "retention, uid" in a["detail"] for a in removed)
    assert "retention backups/full" not in keepfs.text("status", "health")
    assert plan_of(keepfs)["due"] == 0
    keepfs.remount()
    assert keepfs.artifacts() == expected


def test_what_is_kept_is_told_with_its_reasons(year):
    keepfs, times = year
    text = keepfs.text("status", "retention")
    stay = kept(times, 7, 4, 3, week_starts=0)
    lines = {line.split()[1]: line for line in text.splitlines() if line.startswith("  stays") or line.startswith("  goes")}
    assert len(lines) == len(times)
    for at in times:
        line = lines[f"{name_of(at)}.dump"]
        assert line.startswith("  stays" if at in stay else "  goes"), line
    assert "floor" in lines[f"{name_of(max(times))}.dump"]
    assert any("newer days have one" in line for line in lines.values())
    assert "confirm=" in text


def test_pages_of_what_would_go(year):
    """an answer has 200 of a directory; the next page begins behind the last, and all together are the plan"""
    keepfs, times = year
    seen, after, pages = [], "", 0
    while True:
        plan = plan_of(keepfs, f"full{after}")
        (directory,) = plan["directories"]
        assert plan["due"] == directory["due"] == len(seen) + len(directory["goes"]) + directory["left"]
        seen += [one["name"] for one in directory["goes"]]
        pages += 1
        if directory["after"] is None:
            break
        assert directory["after"] == seen[-1] and len(directory["goes"]) == 200
        after = f" after={directory['after']}"
    assert pages == 2 and directory["left"] == 0
    assert seen == sorted(set(names(times)) - set(names(kept(times, 7, 4, 3, week_starts=0))))
    text = keepfs.run("prune", "-m", keepfs.mountpoint, "full").stdout
    assert f"  and {len(seen) - 200} more: keepfs prune full after={seen[199]}\n" in text
    text = keepfs.run("prune", "-m", keepfs.mountpoint, "full", f"after={seen[199]}").stdout
    assert seen[200] in text and seen[199] not in text and " more: " not in text
    for command in ("full after=20200101T000000Z.dump", f"full apply after={seen[0]}", f"full simulate=30d after={seen[0]}"):
        with pytest.raises(OSError) as caught:
            keepfs.write("prune", command)
        assert caught.value.errno == errno.EINVAL


def test_the_tiers_are_links(year):
    keepfs, times = year
    mondays = {}
    for at in times:
        mondays.setdefault(week_of(at, 0), at)
    weekly = keepfs.path("tiers", "weekly", "full")
    assert sorted(os.listdir(weekly)) == names(mondays.values())
    assert sorted(os.listdir(keepfs.path("tiers"))) == ["daily", "monthly", "weekly", "yearly"]
    for name in os.listdir(weekly):
        assert os.readlink(weekly / name) == f"../../../backups/full/{name}"
        assert (weekly / name).read_bytes() == b"PGDMP"
        assert os.lstat(weekly / name).st_size == len(os.readlink(weekly / name))
        assert "weekly" in os.getxattr(weekly / name, "user.keepfs.tier").decode().split(",")
    oldest = sorted(os.listdir(weekly))[0]
    os.unlink(keepfs.path("backups", "full", oldest))
    assert oldest not in os.listdir(weekly) and not (weekly / oldest).is_symlink()
    with pytest.raises(PermissionError):
        os.unlink(weekly / sorted(os.listdir(weekly))[0])
    subprocess.run(["find", str(keepfs.path("tiers"))], check=True, stdout=subprocess.DEVNULL)


def test_a_run_applies_them(new_keepfs, pg, store):
    """each new backup lets one go"""
    times = publish_year(store, 3)
    keepfs = new_keepfs({"full": {"database": pg.uri("sample"), "keep_daily": 3, "keep_within": "1m", "timezone": "UTC"}},
                        policy_delay="none")
    keepfs.run("rebuild")
    keepfs.mount()
    run = keepfs.backup()
    assert run["tier"] and "daily" in run["tier"].split(",") and run["org"] == "sample"
    assert keepfs.artifacts()[:-1] == names(times)[1:]
    assert "retention: 1 of 4 backups removed" in keepfs.text("jobs", str(run["run"]), "log")
    newest = keepfs.path("backups", "full", keepfs.artifacts()[-1])
    assert os.getxattr(newest, "user.keepfs.tier").decode() == run["tier"]
    manifest = json.loads(store.get(f"manifests/backups/full/{newest.name}.json"))
    assert ",".join(manifest["tiers"]) == run["tier"] and manifest["version"] == 2
    # A second one of the day is of no tier; of the rules only the floor keeps it.
    again = keepfs.backup()
    assert again["tier"] is None
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("backups", "full", keepfs.artifacts()[-1]))
    assert "is the newest good backup" in keepfs.text("status", "last-error").splitlines()[0]


def test_holds(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}).mount()
    keepfs.backup("full hold='before the migration' keep=90d")
    keepfs.backup()
    first = keepfs.path("backups", "full", keepfs.artifacts()[0])
    path = f"backups/full/{first.name}"
    assert os.getxattr(first, "user.keepfs.hold").decode().startswith("trigger: before the migration (by uid ")
    until = datetime.datetime.fromisoformat(os.getxattr(first, "user.keepfs.keep_until").decode().replace("Z", "+00:00"))
    assert 89 < (until - datetime.datetime.now(UTC)).days + 1 <= 91
    assert keepfs.ask("hold", f"{path} on reason='audit 2026' name=audit until=2099-01-31") == f"{path} is held as audit\n"
    with pytest.raises(PermissionError):
        os.unlink(first)
    assert "before the migration" in keepfs.text("status", "last-error").splitlines()[0]
    assert "held as audit: audit 2026" in keepfs.text("status", "retention")
    # Both survive the catalog.
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    held = os.getxattr(first, "user.keepfs.hold").decode()
    assert "trigger: before the migration" in held and "audit: audit 2026" in held and "until 2099-01-31T00:00:00Z" in held
    assert "say which one ends" in keepfs.refused("hold", f"{path} off")
    keepfs.run("hold", "-m", keepfs.mountpoint, first, "off", "name=audit")
    keepfs.run("hold", "-m", keepfs.mountpoint, path, "off")
    with pytest.raises(PermissionError):  # it was promised
        os.unlink(first)
    assert "is to be kept until" in keepfs.text("status", "last-error").splitlines()[0]
    assert [a["result"] for a in audit(keepfs, "release")] == ["ok", "ok", "failed"]


@pytest.mark.parametrize("command", ["", "backups/full/x.dump", "backups/full/x.dump on", "backups/full/x.dump maybe",
                                     "backups/full/x.dump on reason=", "backups/full/x.dump on reason=a name=../x",
                                     "backups/full/x.dump on reason=a until=yesterday",
                                     "backups/full/x.dump on reason=a until=2001-01-01", "a b on reason=x"])
def test_holds_that_are_no_commands(keepfs, command):
    if command:
        assert keepfs.refused("hold", command)
    with pytest.raises(OSError) as caught:
        keepfs.write("hold", "backups/full/20200101T000000Z.dump on reason=a")
    assert caught.value.errno == errno.ENOENT


def test_the_trash(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}, trash="3d").mount()
    for _ in range(3):
        keepfs.backup()
    first, second, _ = keepfs.artifacts()
    content = keepfs.path("backups", "full", first).read_bytes()
    stats = json.loads(keepfs.text("status", "stats.json"))
    for name in (first, second):
        os.unlink(keepfs.path("backups", "full", name))
    assert len(keepfs.artifacts()) == 1
    assert f"backups/full/{first}" in keepfs.store.keys() and f"trash/backups/full/{first}.json" in keepfs.store.keys()
    trashed = json.loads(keepfs.text("status", "stats.json"))
    assert trashed["trash_artifacts"] == 2 and trashed["stored_bytes"] + trashed["trash_bytes"] == stats["stored_bytes"]
    assert f"  backups/full/{first}  removed " in keepfs.text("status", "retention")
    # A catalog made anew knows as well, and so does one that goes on.
    keepfs.unmount()
    (keepfs.state / "catalog.db").unlink()
    keepfs.run("rebuild")
    keepfs.mount()
    assert len(keepfs.artifacts()) == 1
    keepfs.run("undelete", "-m", keepfs.mountpoint, f"backups/full/{first}")
    assert keepfs.artifacts()[0] == first and keepfs.path("backups", "full", first).read_bytes() == content
    assert f"trash/backups/full/{first}.json" not in keepfs.store.keys()
    with pytest.raises(OSError) as caught:
        keepfs.write("undelete", f"backups/full/{first}")
    assert caught.value.errno == errno.ENOENT
    keepfs.remount()
    assert len(keepfs.artifacts()) == 2


def test_its_time_in_the_trash_ends(new_keepfs, pg):
    keepfs = new_keepfs({"full": {"database": pg.uri("sample")}}, trash="3d").mount()
    keepfs.backup()
    keepfs.backup()
    first = keepfs.artifacts()[0]
    os.unlink(keepfs.path("backups", "full", first))
    keepfs.unmount()
    keepfs.end_trash()
    keepfs.mount()  # a start brings to an end what is due
    assert not [key for key in keepfs.store.keys() if first in key]
    with pytest.raises(OSError) as caught:
        keepfs.write("undelete", f"backups/full/{first}")
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize("command, why", [("nothing", "neither a job"), ("full confirm", "neither a job"),
                                          ("full simulate=0d", "number of days"), ("full simulate=x", "number of days"),
                                          ("full clock=wrong", "allowed are")])
def test_prunes_that_are_no_commands(keepfs, command, why):
    assert why in keepfs.refused("prune", command)


def test_a_simulation_goes_on_as_the_schedule_does(new_keepfs, store):
    times = publish_year(store, 40)
    keepfs = new_keepfs({"full": {"database": "postgresql:///none", "keep_daily": 7, "keep_monthly": 3, "keep_within": "1m",
                                  "timezone": "UTC", "schedule": "0 2 * * *", "catch_up": "none"}})
    keepfs.run("rebuild")
    keepfs.mount()
    (place,) = json.loads(keepfs.run("prune", "-m", keepfs.mountpoint, "full", "--simulate", "60d", "--json").stdout)
    now = datetime.datetime.now(UTC)
    day = now.replace(hour=2, minute=0, second=0, microsecond=0)
    for step in place["steps"]:
        if step["made"]:
            day = day if day > now else day + datetime.timedelta(days=1)
            times = [*times, day]
            now = day
        times = sorted(kept(times, 7, 0, 3))
        assert step["there"] == len(times), step
    assert len(place["steps"]) == 60 and len(times) <= 10
    months = keepfs.ask("prune", "full simulate=400d").splitlines()
    assert len(months) in (15, 16) and "daily 7" in months[-1] and "monthly 3" in months[-1]
