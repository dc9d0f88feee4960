# SPDX-License-Identifier: Apache-2.0
"""keepfs drill and control/drill: a backup is restored for a trial, on a server of its own, held against what was backed up, and nothing of
it stays but what was learned."""
import json
import os
import re
import shutil
import signal
import sqlite3

import pytest

import daemon
import handmade

FORMATS = {"custom": {}, "directory": {"format": "directory"}, "plain": {"format": "plain"}}


@pytest.fixture(scope="module")
def source(pg):
    pg.create("drilled")
    pg.sql("drilled", """
        CREATE ROLE drill_owner; CREATE ROLE drill_reader;
        CREATE SCHEMA shop AUTHORIZATION drill_owner;
        CREATE TABLE shop.orders (id serial PRIMARY KEY, code text NOT NULL, note text, CHECK (id > 0));
        ALTER TABLE shop.orders OWNER TO drill_owner;
        INSERT INTO shop.orders (code, note) SELECT md5(g::text), E'a\\\\b\\tc' FROM generate_series(1, 5000) g;
        CREATE TABLE shop.items (order_id int REFERENCES shop.orders, n int);
        INSERT INTO shop.items SELECT g, g FROM generate_series(1, 2000) g;
        CREATE INDEX ON shop.items (n);
        CREATE FUNCTION shop.f(i int) RETURNS int LANGUAGE sql AS 'SELECT i + 1';
        CREATE VIEW shop.v AS SELECT count(*) FROM shop.orders;
        CREATE MATERIALIZED VIEW shop.m AS SELECT count(*) AS n FROM shop.items;
        ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY;
        CREATE POLICY mine ON shop.items TO drill_reader USING (n > 5);
        GRANT SELECT ON shop.items TO drill_reader;
        COMMENT ON TABLE shop.orders IS 'what was ordered';
        CREATE TABLE "a, ""quoted"" name" AS SELECT E'a\\\\b\\tc\\nd'::text AS v;
        SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex')), lo_from_bytea(0, ''), lo_from_bytea(0, 'x');
        """)
    yield pg
    pg.drop("drilled")
    pg.sql("postgres", "DROP ROLE drill_owner; DROP ROLE drill_reader")


def report(keepfs, n=-1):
    catalog = keepfs.catalog()
    try:
        rows = catalog.execute("SELECT report FROM drill ORDER BY id").fetchall()
    finally:
        catalog.close()
    return json.loads(rows[n][0])


def drilled(keepfs, words="full"):
    """the log of a drill that is to pass"""
    run = int(keepfs.ask("drill", words).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == "completed", log
    return log


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_and_level(drill_dir, new_keepfs, source, form):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled"), **FORMATS[form]}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    log = drilled(keepfs)
    found = report(keepfs)
    best = 2 if form == "plain" else 4
    assert f"can be restored: level {best}" in log
    assert found["result"] == "passed" and found["level"] == best and found["differences"] == 0, found
    assert [p["name"] for p in found["phases"]] == ["server", "globals", "restore", "rest", "equal", "sound", "yours"]
    assert found["rto"]["seconds"] > 0 and found["peak_disk_bytes"] > 1 << 20 and found["pick"] == "newest"
    if form != "plain":
        assert found["tables"]["compared"] == 3 and found["tables"]["rows"] == 7001
        assert found["objects"]["POLICY"] == {"in_backup": 1, "restored": 1}
        assert found["objects"]["ROW SECURITY"]["restored"] == 1 and found["objects"]["FK CONSTRAINT"]["restored"] == 1
        assert found["objects"]["ACL"] == {"in_backup": 1, "restored": 1}
    drilled(keepfs, "full level=2")
    assert report(keepfs)["level"] == 2 and len(report(keepfs)["phases"]) == 4


def refused_run(keepfs, words, state="failed"):
    run = int(keepfs.ask("drill", words).split()[0])
    status = keepfs.wait_run(run)
    log = keepfs.text("jobs", str(run), "log")
    assert status["state"] == state, log
    return log


def tampered(drill_dir, new_keepfs, source, store, change):
    """a backup of which every byte is what was sent, and which says something else of its rows, or is made of another archive"""
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    stem = name.removesuffix(".dump")
    data = store.get(f"backups/full/{name}")
    files = {key.rsplit("/", 1)[1]: store.get(key) for key in store.keys() if key.startswith(f"backups/full/{stem}.") and not key.endswith(".dump")}
    keepfs.unmount()
    for key in store.keys():
        store.remove(key)
    data, files = change(data, {name: bytes(content) for name, content in files.items()}, stem)
    handmade.publish(store, "backups/full/20261120T020000Z.dump", data,
                     {n.replace(stem, "20261120T020000Z"): content for n, content in files.items()}, database="drilled")
    shutil.rmtree(keepfs.state)
    keepfs.run("rebuild")
    return keepfs.mount()


def change_counts(old, new):
    def change(data, files, stem):
        counts = files[f"{stem}.tables.csv"]
        assert re.search(old, counts)
        files[f"{stem}.tables.csv"] = re.sub(old, new, counts)
        return data, files
    return change


@pytest.mark.parametrize("old, new, said", [
    (rb"(shop,items,2000,\d+,.*).\n", rb"\g<1>z\n".replace(b"z", b"0"), "shop.items holds the 2000 rows that were backed up, but some have other values"),
    (rb"shop,orders,5000,", rb"shop,orders,5001,", "shop.orders holds 5000 rows of"),
    (rb"pg_largeobject,3,", rb"pg_largeobject,4,", "there are 3 large objects of 100001 bytes, and 4 of 100001 bytes were backed up"),
])
def test_what_differs_is_found(drill_dir, new_keepfs, source, store, old, new, said):
    if b"items" in old:
        # one digit of the hash is another one, whatever it was
        def change(data, files, stem):
            counts = files[f"{stem}.tables.csv"].decode()
            at = re.search(r"shop,items,2000,\d+,[0-9a-f]{15}", counts).end()
            digit = "0" if counts[at] != "0" else "1"
            files[f"{stem}.tables.csv"] = (counts[:at] + digit + counts[at + 1:]).encode()
            return data, files
    else:
        change = change_counts(old, new)
    keepfs = tampered(drill_dir, new_keepfs, source, store, change)
    log = refused_run(keepfs, "full")
    found = report(keepfs)
    assert f"differs: {said}" in log and "it was restored, and is not what it should be" in log
    assert found["result"] == "differs" and found["level"] == 2 and found["differences"] == 1
    assert said in found["first_differences"][0]
    # at level 2 nobody looks, so that it passes settles nothing
    drilled(keepfs, "full level=2")
    health = keepfs.text("status", "health")
    assert health.startswith("CRIT") and "drill full" in health and "try again with: keepfs drill full/20261120T020000Z.dump" in health, health


def test_what_nobody_has_counted_is_told(drill_dir, new_keepfs, source, store):
    """the last table is not in the counts: what it should hold nobody knows"""
    keepfs = tampered(drill_dir, new_keepfs, source, store, change_counts(rb"[^\n]+\n\Z", b""))
    log = refused_run(keepfs, "full level=3")
    assert "differs: fewer tables were counted than the table of contents has data of; the first of the rest: " in log, log
    assert report(keepfs)["result"] == "differs" and report(keepfs)["level"] == 2


def test_an_object_that_is_missing_is_found(drill_dir, new_keepfs, source, store):
    """the statement that makes an index makes nothing"""
    keepfs = tampered(drill_dir, new_keepfs, source, store,
                      lambda data, files, stem: (data.replace(b"CREATE INDEX items_n_idx ON shop.items USING btree (n);",
                                                              b"/*CREATE INDEX items_n_idx ON shop.items USING btree*/;"), files))
    log = refused_run(keepfs, "full level=3")
    assert "differs: INDEX shop.items_n_idx is in the backup, and not in what was restored" in log, log
    assert report(keepfs)["objects"]["INDEX"] == {"in_backup": 1, "restored": 0}


def test_what_cannot_be_restored(drill_dir, new_keepfs, source, store):
    keepfs = tampered(drill_dir, new_keepfs, source, store,
                      lambda data, files, stem: (data.replace(b"CREATE INDEX items_n_idx ON shop.items USING btree (n);",
                                                              b"CREATE INDEX items_n_idx ON shop.itemz USING btree (n);"), files))
    log = refused_run(keepfs, "full")
    assert 'relation "shop.itemz" does not exist' in log
    found = report(keepfs)
    assert found["result"] == "failed" and found["level"] == -1 and "itemz" in found["error"]


def test_checks(drill_dir, new_keepfs, source, tmp_path):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir)
    out = tmp_path / "told"
    keepfs.sections = {
        "check many": {"sql": "SELECT count(*) FROM shop.orders", "expect": "n > 100", "jobs": "full"},
        "check other": {"sql": "select false", "databases": "other"},
        "check app": {"command": f"echo $PGDATABASE $KEEPFS_DATABASE $KEEPFS_JOB > {out}; echo said so; psql -X -q -c 'table shop.v'"},
    }
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    log = drilled(keepfs)
    assert "can be restored: level 5" in log and "check many: ok, the answer is 5000" in log and "said so" in log, log
    assert out.read_text() == "drilled drilled full\n"
    assert [(c["name"], c["ok"]) for c in report(keepfs)["checks"]] == [("many", True), ("app", True)]
    keepfs.sections = {"check many": {"sql": "SELECT count(*) FROM shop.orders", "expect": "n > 100000"},
                       "check app": {"command": "exit 3"}, "check wrong": {"sql": "select nothing"}}
    keepfs.write_conf()
    (pid,) = keepfs.daemons()
    os.kill(pid, signal.SIGHUP)
    daemon.wait_until(lambda: "[check wrong]" in keepfs.text("status", "config"), "the reload")
    log = refused_run(keepfs, "full")
    assert "differs: check many: the answer is 5000, and is to be n > 100000" in log
    assert "differs: check app: " in log and "differs: check wrong: " in log
    assert report(keepfs)["level"] == 4 and report(keepfs)["result"] == "differs"


def test_the_disk_has_a_budget(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("filling")}}, drill_dir=drill_dir, drill_disk="128M")
    source.create("filling")
    try:
        source.sql("filling", "CREATE TABLE much AS SELECT repeat(md5(g::text), 60) AS t FROM generate_series(1, 80000) g")
        source.sql("filling", "ALTER TABLE much ALTER t SET STORAGE EXTERNAL")
        keepfs.mount()
        keepfs.backup()
        log = refused_run(keepfs, "full")
    finally:
        source.drop("filling")
    assert "more than the 128.0 MiB that it may have" in log and "raise [keepfs] drill_disk" in log, log
    assert report(keepfs)["result"] == "failed"


def test_no_programs(drill_dir, new_keepfs, source, tmp_path):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir, drill_bindir=tmp_path).mount()
    keepfs.backup()
    log = refused_run(keepfs, "full")
    assert f"no initdb for a server of version 15: it must be 15 or newer. Found none in drill_bindir" in log or "no initdb" in log, log
    assert "drill_bindir" in log


def slow(keepfs, drill_dir):
    """a drill that is at its check, which waits: its number"""
    run = int(keepfs.ask("drill", "full").split()[0])
    daemon.wait_until(lambda: (drill_dir / "waits").exists(), "the drill asks its check")
    return run


def slow_keepfs(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir)
    keepfs.sections = {"check slow": {"command": f"touch {drill_dir}/waits; sleep 600"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    return keepfs


def scratches(drill_dir):
    return [name for name in os.listdir(drill_dir) if name.startswith("scratch-")]


def test_a_cancel_and_a_backup_meanwhile(drill_dir, new_keepfs, source):
    keepfs = slow_keepfs(drill_dir, new_keepfs, source)
    run = slow(keepfs, drill_dir)
    keepfs.backup()
    # of the same job the second is refused, one of another waits
    with pytest.raises(OSError):
        keepfs.write("drill", "full")
    (keepfs.path("jobs", str(run), "cancel")).write_text("1\n")
    assert keepfs.wait_run(run)["state"] == "cancelled"
    assert scratches(drill_dir) == [] and report(keepfs)["result"] == "cancelled"
    (drill_dir / "waits").unlink()


def test_two_at_once_on_a_host(drill_dir, new_keepfs, source, store, tmp_path):
    keepfs = slow_keepfs(drill_dir, new_keepfs, source)
    run = slow(keepfs, drill_dir)
    other = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir, directory=tmp_path / "other", lease="none")
    other.run("rebuild")
    done = other.run("drill", "full", check=False)
    assert done.returncode == 1 and "another drill is under way on this host" in done.stdout + done.stderr, done.stdout + done.stderr
    assert len(scratches(drill_dir)) == 2  # a lock and a directory
    (keepfs.path("jobs", str(run), "cancel")).write_text("1\n")
    keepfs.wait_run(run)
    (drill_dir / "waits").unlink()


def test_killed(drill_dir, new_keepfs, source):
    keepfs = slow_keepfs(drill_dir, new_keepfs, source)
    run = slow(keepfs, drill_dir)
    (lock,) = [name for name in scratches(drill_dir) if name.endswith(".lock")]
    data = drill_dir / lock.removesuffix(".lock") / "data"
    server = int((data / "postmaster.pid").read_text().split()[0])
    for pid in keepfs.daemons():
        os.kill(pid, signal.SIGKILL)
        daemon.wait_exit(pid)
    keepfs.killed = True
    # the kernel has ended it, and nobody has removed its files
    daemon.wait_exit(server)
    assert data.exists()
    for pid, program in keepfs.processes().items():
        os.kill(pid, signal.SIGKILL)  # the check's command
    keepfs.unmount()
    keepfs.mount()
    daemon.wait_until(lambda: scratches(drill_dir) == [], "the next start removes it")
    assert keepfs.run_status(run)["state"] == "failed"
    (drill_dir / "waits").unlink()


def test_without_a_mount(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir)
    keepfs.run("run", "full")
    done = keepfs.run("drill", "full", "level=4")
    assert re.search(r"^state:?\s+completed", done.stdout, re.M), done.stdout
    assert report(keepfs)["level"] == 4


def test_on_another_server(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    before = source.sql("postgres", "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database")
    log = drilled(keepfs, f"full server={source.uri('postgres')}")
    assert "can be restored: level 4" in log
    assert source.sql("postgres", "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database") == before
    log = drilled(keepfs, f"full server={source.uri('postgres')} keep=yes level=3")
    (kept,) = re.findall(r"what was restored stays, in the database (\S+)", log)
    assert source.sql(kept, "SELECT count(*) FROM shop.orders") == "5000"
    source.drop(kept)


def test_on_another_server_what_is_not_ours_stays(drill_dir, new_keepfs, source):
    """another keepfs, which has runs of the same numbers, uses that server, too"""
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    others = f"keepfs_drill_{max(r['run'] for r in keepfs.history()) + 1}"
    source.create(others)
    source.sql(others, "CREATE TABLE theirs (i int)")
    try:
        keepfs.wait_run(int(keepfs.ask("drill", f"full level=2 server={source.uri('postgres')}").split()[0]))
        assert source.sql(others, "SELECT count(*) FROM theirs") == "0"
    finally:
        source.drop(others)
    assert report(keepfs)["result"] == "passed"


def test_on_another_server_after_a_crash(drill_dir, new_keepfs, source):
    """a copy of the database is left there, which nobody may read, and of which somebody is told"""
    keepfs = slow_keepfs(drill_dir, new_keepfs, source)
    run = int(keepfs.ask("drill", f"full server={source.uri('postgres')}").split()[0])
    daemon.wait_until(lambda: (drill_dir / "waits").exists(), "the drill asks its check")
    (left,) = source.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'keepfs_drill_%'").split()
    try:
        assert left.startswith(f"keepfs_drill_{run}_")
        assert source.sql("postgres", f"SELECT has_database_privilege('drill_reader', '{left}', 'CONNECT')") == "f"
        for pid in keepfs.daemons():
            os.kill(pid, signal.SIGKILL)
            daemon.wait_exit(pid)
        keepfs.killed = True
        for pid, program in keepfs.processes().items():
            os.kill(pid, signal.SIGKILL)  # the check's command
        keepfs.unmount()
        keepfs.mount()
        assert f"restore {left}" in keepfs.text("status", "health")
    finally:
        source.drop(left)
    (drill_dir / "waits").unlink()


@pytest.mark.parametrize("words, said", [
    ("nothing", "is neither a backup nor a directory that has any"),
    ("full level=1", "level=1: allowed are 2"),
    ("full keep=yes", "a throw-away server does not stay"),
    ("full keep=maybe", "keep=maybe: allowed are yes and no"),
    ("full pick=oldest", "allowed are newest (of each directory) and rotate"),
    ("full jobs=0", "allowed are 1 to 64 connections"),
    ("full speed=1", "allowed are level, server, mirror, keep, pick, jobs, note"),
    ("level=3", "name a backup, a job, or: all"),
])
def test_commands_that_are_none(keepfs, words, said):
    assert said in keepfs.refused("drill", words)


def test_the_database_of_everything(drill_dir, new_keepfs, pg, with_everything):
    """nothing that is there is told to differ"""
    keepfs = new_keepfs({"full": {"database": pg.uri(with_everything.name)}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    log = drilled(keepfs)
    assert report(keepfs)["level"] == 4, log


def test_what_was_learned_is_told(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled"), "rto": "1h"}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    path = keepfs.path("backups/full", name)
    assert "user.keepfs.drilled_at" not in os.listxattr(path)
    assert "not known: no drill has passed yet" in keepfs.text("status", "recovery")
    drilled(keepfs, "full level=3")
    assert os.getxattr(path, "user.keepfs.drilled_level") == b"3"
    assert os.getxattr(path, "user.keepfs.drilled_at").startswith(b"20")
    names = sorted(os.listdir(keepfs.path("drills")))
    assert len(names) == 2 and names[0].endswith(".json") and names[1] == names[0].removesuffix("json") + "txt"
    found = json.loads(keepfs.text("drills", names[0]))
    assert found == report(keepfs) and found["rto"]["met"] is True
    text = keepfs.text("drills", names[1])
    assert text.startswith("result          passed\n") and "tables          3 compared, 7001 rows" in text
    assert os.stat(keepfs.path("drills", names[1])).st_size == len(text)
    recovery = keepfs.text("status", "recovery")
    assert "goal 60 min: met" in recovery or "goal 1 h: met" in recovery, recovery
    assert "level 3 (equal)" in recovery and f"passed, of {name} (newest): drills/{names[1]}" in recovery
    assert 'keepfs_drill_level{backup_job="full"} 3' in keepfs.text("status", "metrics.prom")
    # a catalog that is made anew knows of the proof still
    keepfs.unmount()
    keepfs.run("rebuild")
    keepfs.mount()
    assert os.getxattr(path, "user.keepfs.drilled_level") == b"3"


def test_health_tells_of_one_that_failed(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir)
    keepfs.sections = {"check no": {"sql": "select false"}}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()
    refused_run(keepfs, "full")
    health = keepfs.text("status", "health")
    assert "drill full" in health and "check no: the answer is f, and is to be true" in health and health.startswith("CRIT"), health


def test_one_that_differs_is_told_until_one_passes(drill_dir, new_keepfs, source, tmp_path):
    """by a notice, with the drill's own log; in metrics and on the dashboard, with the goal that is missed"""
    told = tmp_path / "told"
    keepfs = new_keepfs({"full": {"database": source.uri("drilled"), "rto": "1m", "drill_max_age": "30d"}}, drill_dir=drill_dir)
    command = f"cat >> {told}.part && echo >> {told}.part && cp {told}.part {told}.new && mv {told}.new {told}"
    pager = {"command pager": {"command": command, "gather": "none", "events": "drill"}}
    keepfs.sections = {"check no": {"sql": "SELECT pg_sleep(1) IS NULL"}, **pager}
    keepfs.write_conf()
    keepfs.mount()
    keepfs.backup()

    def notices(count):
        def texts():
            return [json.loads(line) for line in told.read_text().splitlines() if line] if told.exists() else []
        daemon.wait_until(lambda: len(texts()) >= count, f"{count} notices")
        return texts()

    refused_run(keepfs, "full")
    (differs,) = notices(1)
    assert differs["level"] == "CRIT" and "check no: the answer is f" in differs["text"], differs
    assert "differs: check no" in differs["text"] and differs["events"][0]["job"] == "full"  # of its log, too
    prom = keepfs.text("status", "metrics.prom")
    assert 'keepfs_drill_last_result{backup_job="full",result="differs"} 1' in prom
    assert 'keepfs_drill_last_level_passed{backup_job="full",level="4"} 1' in prom
    assert 'keepfs_drill_last_level_passed{backup_job="full",level="5"} 0' in prom
    assert "keepfs_rto_seconds{" not in prom and 'keepfs_rto_target_seconds{backup_job="full"} 60' in prom
    page = keepfs.text("status", "dashboard.html")
    assert "differs</strong>" in page and "4: sound<br><span class=\"muted\">of 5</span>" in page
    (text,) = [name for name in os.listdir(keepfs.path("drills")) if name.endswith(".txt")]
    assert f"<code>drills/{text}</code>" in page
    keepfs.sections = pager
    keepfs.write_conf()
    (pid,) = keepfs.daemons()
    os.kill(pid, signal.SIGHUP)
    daemon.wait_until(lambda: "[check no]" not in keepfs.text("status", "config"), "the reload")
    drilled(keepfs)
    ended = next(n for n in notices(2)[1:] if "well again" in n["text"])
    assert ended["event"] in ("drill", "several")
    prom = keepfs.text("status", "metrics.prom")
    took = float(re.search(r'^keepfs_rto_seconds\{backup_job="full",source="drill"\} (\S+)', prom, re.M)[1])
    assert took == pytest.approx(report(keepfs)["rto"]["seconds"], abs=0.01)
    assert re.search(r'^keepfs_drill_overdue_after_timestamp_seconds\{backup_job="full"\} \d', prom, re.M)
    assert re.search(r'^keepfs_proven_timestamp_seconds\{backup_job="full",level="2"\} \d', prom, re.M)
    page = keepfs.text("status", "dashboard.html")
    assert "passed</strong>" in page and "not measured" not in page
    assert ("rto full" in keepfs.text("status", "health")) == (took > 60)


def test_by_turns(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir).mount()
    for _ in range(2):
        keepfs.backup()
    for _ in range(3):
        drilled(keepfs, "full pick=rotate level=2")
    assert [report(keepfs, n)["pick"] for n in range(3)] == ["newest", "daily", "weekly"]
    assert report(keepfs, 0)["backup"] != report(keepfs, 1)["backup"]
    names = [n.removesuffix(".txt") for n in os.listdir(keepfs.path("drills")) if n.endswith(".txt")]
    assert len(names) == 3 and names == sorted(names, reverse=True)


def test_the_probe_says_whether_one_could_be_made(drill_dir, new_keepfs, source, tmp_path):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled"), "drill": "weekly-sun-3am"}}, drill_dir=drill_dir)
    assert f"makes throw-away servers in {drill_dir}, where " in keepfs.run("check").stdout
    keepfs.settings["drill_bindir"] = tmp_path
    keepfs.write_conf()
    done = keepfs.run("check", check=False)
    assert done.returncode == 1 and "no initdb" in done.stdout and "or name another server: drill_server" in done.stdout, done.stdout


@pytest.mark.parametrize("what", [".dump", ".tables.csv", ".globals.sql.gz"])
def test_what_the_store_has_lost_is_marked(drill_dir, new_keepfs, source, store, what):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    (name,) = keepfs.artifacts()
    key = f"backups/full/{name.removesuffix('.dump')}{what}"
    data = bytearray(store.get(key))
    data[-20] ^= 0x40
    store.put(key, bytes(data))
    log = refused_run(keepfs, "full")
    assert "damaged in the store" in log or "CRC" in log or "is damaged" in log, log
    assert "damaged backup" in keepfs.text("status", "health"), log
    assert report(keepfs)["result"] == "failed"
    # what is known to be damaged is not tried
    assert "there is no backup yet that is whole" in keepfs.refused("drill", "full") if what == ".dump" else True


def test_what_a_data_file_has_lost_is_marked(drill_dir, new_keepfs, source, store):
    """whoever loads it is not who has read the table of contents"""
    keepfs = new_keepfs({"full": {"database": source.uri("drilled"), "format": "directory"}}, drill_dir=drill_dir).mount()
    keepfs.backup()
    key = max((key for key in store.keys() if re.search(r"/\d+\.dat", key)), key=lambda key: len(store.get(key)))
    data = bytearray(store.get(key))
    data[-20] ^= 0x40
    store.put(key, bytes(data))
    log = refused_run(keepfs, "full")
    assert "damaged backup" in keepfs.text("status", "health"), log


def test_what_the_server_misses_is_no_damage(drill_dir, new_keepfs, source):
    """a function that finds its tables by a search path works in the original, and not while its rows are loaded: the backup is right"""
    source.create("unloadable")
    try:
        source.sql("unloadable", """
            CREATE TABLE known AS SELECT 1 AS id;
            CREATE FUNCTION is_known(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM known WHERE id = $1)';
            CREATE TABLE asking (id int CHECK (is_known(id)));
            INSERT INTO asking VALUES (1)""")
        keepfs = new_keepfs({"full": {"database": source.uri("unloadable")}}, drill_dir=drill_dir).mount()
        for _ in range(2):
            keepfs.backup()
        log = refused_run(keepfs, "full")
    finally:
        source.drop("unloadable")
    newest = keepfs.artifacts()[-1]
    assert 'relation "known" does not exist' in log and f"backups/full/{newest} is right: level 1" in log, log
    assert "damaged backup" not in keepfs.text("status", "health")
    assert os.readlink(keepfs.path("backups/full/latest.dump")) == newest


def test_rights_without_roles_are_not_missed(drill_dir, new_keepfs, source):
    """a backup without the roles of its cluster is restored without owners and rights: that is no difference"""
    source.create("granted")
    try:
        source.sql("granted", "CREATE TABLE t AS SELECT 1 AS id; GRANT SELECT ON t TO drill_reader; ALTER TABLE t OWNER TO drill_owner")
        keepfs = new_keepfs({"full": {"database": source.uri("granted"), "globals": "no"}}, drill_dir=drill_dir).mount()
        keepfs.backup()
    finally:
        source.drop("granted")
    log = drilled(keepfs, "full level=3")
    assert "the backup has no roles (globals)" in log and "ACL" not in report(keepfs)["objects"], log


def test_a_database_whose_backups_are_all_damaged_is_not_passed_over(drill_dir, new_keepfs, source):
    keepfs = new_keepfs({"full": {"database": source.uri("drilled")}, "other": {"database": source.uri("drilled")}}, drill_dir=drill_dir).mount()
    for job in ("full", "other"):
        keepfs.backup(job)
    keepfs.unmount()
    with sqlite3.connect(keepfs.state / "catalog.db") as catalog:
        catalog.execute("UPDATE artifact SET damaged = 'flipped bits' WHERE job = 'other'")
    catalog.close()
    keepfs.mount()
    log = refused_run(keepfs, "all level=2")
    assert "backups/other: none of its backups can be restored for a trial, since 1 of them are damaged" in log, log
    assert report(keepfs)["result"] == "passed" and report(keepfs)["job"] == "full"


def test_many_reports_are_listed_in_pages(keepfs):
    keepfs.unmount()
    with sqlite3.connect(keepfs.state / "catalog.db") as catalog:
        catalog.executemany("INSERT INTO drill VALUES (?, ?, 1, 'full', 'backups/full', 'backups/full/x.dump', 'newest', ?, ?, 0, 3, 5, 1, 1, '', ?, 0)",
                            [(n, f"20261120T{n:06}Z", n, n, json.dumps({"run": n})) for n in range(1, 491)])
    catalog.close()
    keepfs.mount()
    names = os.listdir(keepfs.path("drills"))
    assert names == [f"20261120T{n:06}Z{end}" for n in range(490, 0, -1) for end in (".json", ".txt")]
    for n in (1, 77, 490):
        assert json.loads(keepfs.text("drills", f"20261120T{n:06}Z.json")) == {"run": n}
        assert "run             " in keepfs.text("drills", f"20261120T{n:06}Z.txt")
    for wrong in ("none.txt", "20261120T000001Z", "20261120T000001Z.csv", ".txt"):
        assert not keepfs.path("drills", wrong).exists()
    with pytest.raises(PermissionError):
        os.unlink(keepfs.path("drills", names[0]))
