# SPDX-License-Identifier: Apache-2.0
"""Being told: by a real mail server and a real server of HTTP, also when these are away while it happens."""
import json
import os
import re
import signal
import time

import pytest

import receivers
from daemon import TOP, tasks_of, wait_until

TEMPLATES = TOP / "data" / "templates"


@pytest.fixture
def mail(request, tmp_path):
    """a mail server; its parameter says how it is reached"""
    kind = getattr(request, "param", None)
    server = receivers.MailServer(kind, receivers.certificate(tmp_path), users={"keepfs": "correct horse"} if kind else None)
    yield server
    server.stop()


@pytest.fixture
def silent():
    """makes servers that take connections, and never answer"""
    servers = []

    def make():
        servers.append(receivers.SilentServer())
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def mail_section(server, **settings):
    base = {"to": "ops@example.com", "server": server.url, "gather": "none", "digest": "disabled", "from": "keepfs@example.com"}
    if server.tls:
        base |= {"user": "keepfs", "password": "correct horse", "ca_file": server.certificate[0]}
    else:
        base |= {"tls": "none"}
    return {**base, **settings}


@pytest.fixture
def told(new_keepfs, pg):
    """a keepfs whose job can be made to fail, with the sections it is given"""
    def make(sections, **jobs):
        one = new_keepfs({"full": {"database": pg.uri("sample")}, **jobs})
        one.sections = sections
        one.write_conf()
        return one

    return make


def break_job(keepfs, pg, job="full"):
    keepfs.jobs[job]["database"] = pg.uri("there_is_no_such_database")
    keepfs.write_conf()
    reload(keepfs)


def mend_job(keepfs, pg, job="full"):
    keepfs.jobs[job]["database"] = pg.uri("sample")
    keepfs.write_conf()
    reload(keepfs)


def reload(keepfs):
    """until the daemon has read its configuration again"""
    before = log_of(keepfs).count("the configuration was read again")
    keepfs.signal(signal.SIGHUP, wait=False)
    wait_until(lambda: log_of(keepfs).count("the configuration was read again") > before, "a reload")


def log_of(keepfs):
    return (keepfs.state / "keepfs.log").read_text()


def fail_run(keepfs, command="full"):
    status = keepfs.wait_run(keepfs.trigger(command))
    assert status["state"] == "failed"
    return status


def queue(keepfs):
    catalog = keepfs.catalog()
    try:
        return catalog.execute("SELECT count(*) FROM notice").fetchone()[0]
    finally:
        catalog.close()


def receiver(keepfs, name):
    """(attempts, error, given_up, refusal) of a receiver"""
    catalog = keepfs.catalog()
    try:
        return catalog.execute("SELECT attempts, error, given_up, refusal FROM notice_receiver WHERE name = ?",
                               (name,)).fetchone() or (0, "", 0, "")
    finally:
        catalog.close()


@pytest.mark.parametrize("mail", [None, "starttls", "tls"], indirect=True)
def test_a_failure_and_its_end_are_one_mail_each(told, mail, pg):
    keepfs = told({"mail": mail_section(mail)}).mount()
    keepfs.backup("full")
    break_job(keepfs, pg)
    fail_run(keepfs)
    first = mail.wait(1)
    fail_run(keepfs)  # it goes on failing: that is no news
    mend_job(keepfs, pg)
    keepfs.backup("full")
    second = mail.wait(2)
    wait_until(lambda: queue(keepfs) == 0, "an empty queue")
    assert len(mail.mails) == 2, [m["Subject"] for m in mail.mails]
    assert "full, there_is_no_such_database: failed (since 20" in first["subject"]
    assert "full: is well again" in second["subject"]
    text = first.get_content()
    assert "there_is_no_such_database" in text and "The end of its log:" in text and "run failed" in text
    assert first["auto-submitted"] == "auto-generated" and first["to"] == "ops@example.com"
    assert first["from"] == "keepfs <keepfs@example.com>" and first["date"] and first["message-id"] != second["message-id"]
    assert first.with_tls == (mail.tls == "starttls")
    assert b"correct horse" not in first.raw
    for line in first.raw.splitlines():
        assert len(line) <= 78, line


def test_nothing_is_lost_or_doubled_while_the_server_is_away(told, mail, pg):
    keepfs = told({"mail": mail_section(mail, to="ops@example.com, dba@example.com")}).mount()
    keepfs.backup("full")
    mail.stop()
    break_job(keepfs, pg)
    fail_run(keepfs)
    wait_until(lambda: receiver(keepfs, "mail ops@example.com")[0] >= 1, "an attempt that fails")
    keepfs.kill()
    keepfs.mount()
    wait_until(lambda: receiver(keepfs, "mail ops@example.com")[0] >= 2, "an attempt after the crash")
    health = keepfs.text("status", "health")
    assert "notices to mail ops@example.com: could not send since" in health
    assert "keepfs notify --test mail" in health
    assert 'keepfs_notify_queue{receiver="mail ops@example.com"} 1' in keepfs.text("status", "metrics.prom")
    mail.start()
    keepfs.kill()
    keepfs.mount()
    mail.wait(2)
    mend_job(keepfs, pg)
    keepfs.backup("full")
    mail.wait(4)
    wait_until(lambda: queue(keepfs) == 0, "an empty queue")
    assert sorted(m["to"] for m in mail.mails) == ["dba@example.com"] * 2 + ["ops@example.com"] * 2
    assert len({m["message-id"] for m in mail.mails}) == 4
    assert sum("failed" in s for s in mail.subjects) == 2
    assert "could not send" not in keepfs.text("status", "health")


def test_a_refused_recipient_keeps_nothing_from_others(told, mail, pg):
    mail.refused.add("gone@example.com")
    keepfs = told({"mail": mail_section(mail, to="gone@example.com, ops@example.com")}).mount()
    keepfs.backup("full")
    break_job(keepfs, pg)
    fail_run(keepfs)
    mail.wait(1)
    wait_until(lambda: receiver(keepfs, "mail gone@example.com")[2] == 1, "it is given up")
    assert mail.mails[0].recipients == ["ops@example.com"]
    assert "550 5.1.1 no such user here" in receiver(keepfs, "mail gone@example.com")[3]
    assert "were refused for good" in keepfs.text("status", "health")
    assert "has refused a notice, which is not sent again" in log_of(keepfs)
    assert mail.asked.count("gone@example.com") == 1


@pytest.mark.parametrize("mail", ["starttls"], indirect=True)
@pytest.mark.parametrize("wrong, said", [({"password": "battery staple"}, "refuses the user keepfs or its password"),
                                         ({"ca_file": ""}, "is not trusted")])
def test_what_cannot_be_sent_is_told_and_waits(told, mail, pg, wrong, said):
    keepfs = told({"mail": mail_section(mail, **wrong)}).mount()
    break_job(keepfs, pg)
    fail_run(keepfs)
    wait_until(lambda: receiver(keepfs, "mail ops@example.com")[0] >= 1, "an attempt that fails")
    assert said in receiver(keepfs, "mail ops@example.com")[1]
    assert mail.mails == [] and queue(keepfs) == 1
    test = keepfs.run("notify", "--test", check=False)
    assert test.returncode == 1 and said in test.stdout
    keepfs.sections["mail"] = mail_section(mail)
    keepfs.write_conf()
    reload(keepfs)  # whoever has mended it does not wait for the next attempt
    assert "failed" in mail.wait(1)["subject"]
    assert "battery" not in log_of(keepfs) and "battery" not in keepfs.text("status", "config")


def test_hostile_texts(told, mail, web, pg):
    sections = {"mail": mail_section(mail)}
    for name in ("slack", "discord", "telegram", "mattermost", "teams", "ntfy", "gotify"):
        sections[f"webhook {name}"] = {"url": f"{web.url}/{name}?token=SECRET", "template": TEMPLATES / f"{name}.json",
                                       "gather": "none", "to": "backups"}
    keepfs = told(sections).mount()
    break_job(keepfs, pg)
    fail_run(keepfs, r"""full note='@everyone <!channel> ```"}]} ü \u0000 Subject: x \r\nBcc: all@example.com'""")
    text = mail.wait(1).get_content()
    assert "@everyone <!channel>" in text and "ü" in text
    assert mail.mails[0]["bcc"] is None and len(mail.mails[0].recipients) == 1
    for name in ("slack", "discord", "telegram", "mattermost", "teams", "ntfy", "gotify"):
        method, _, headers, body, _ = web.wait(1, f"/{name}")
        assert method == "POST" and headers["Content-Type"] == "application/json"
        said = json.loads(body)
        assert "there_is_no_such_database" in json.dumps(said), name
        if name in ("slack", "telegram", "mattermost"):
            assert "@everyone" not in body.decode() and "<!channel>" not in said.get("text", "") or name != "slack"
    assert "@everyone" not in json.loads(web.wait(1, "/slack")[3])["text"]
    assert "<!" not in json.loads(web.wait(1, "/slack")[3])["text"]
    assert "@everyone" not in json.loads(web.wait(1, "/mattermost")[3])["text"]
    assert json.loads(web.wait(1, "/discord")[3])["allowed_mentions"] == {"parse": []}
    assert json.loads(web.wait(1, "/ntfy")[3])["priority"] == 5
    assert "SECRET" not in log_of(keepfs) and "SECRET" not in keepfs.text("status", "config")


def test_events_within_gather_are_one_message(told, web, pg):
    sections = {"webhook ops": {"url": f"{web.url}/ops", "gather": "3s"},
                "webhook some": {"url": f"{web.url}/some", "gather": "none", "events": "recovered"}}
    keepfs = told(sections, media={"database": pg.uri("sample")}).mount()
    break_job(keepfs, pg)
    break_job(keepfs, pg, "media")
    for job in ("full", "media"):
        fail_run(keepfs, job)
    message = json.loads(web.wait(1, "/ops")[3])
    assert [e["job"] for e in message["events"]] == ["full", "media"]
    assert message["event"] == "several" and message["level"] == "CRIT" and "2 notices: " in message["subject"]
    assert message["events"][0]["run"] == 1 and message["events"][0]["log"]
    assert web.taken("/some") == []


def test_a_hold_and_another_policy_are_told(told, mail, pg):
    keepfs = told({"mail": mail_section(mail)}).mount()
    keepfs.backup("full")
    name = "full/" + os.readlink(keepfs.path("backups", "full", "latest.dump"))
    keepfs.ask("hold", f"{name} on reason='audit 2026'")
    held = mail.wait(1)
    assert "is held" in held["Subject"] and "audit 2026" in held.get_content()
    keepfs.ask("hold", f"{name} off")
    assert "no longer held" in mail.wait(2)["Subject"]
    keepfs.wait_run(keepfs.trigger("full hold='before the migration'"))
    held = mail.wait(3)
    assert "full: its new backup is held" in held["Subject"]
    assert "before the migration" in held.get_content() and keepfs.artifacts()[-1] in held.get_content()
    keepfs.jobs["full"]["keep_daily"] = "3"
    keepfs.write_conf()
    reload(keepfs)
    changed = mail.wait(4)
    assert "[backup full] keep_daily: none is now 3" in changed.get_content()


def test_who_does_not_answer_holds_up_nobody(told, web, pg, silent, tmp_path):
    chat, post, monitor = silent(), silent(), silent()
    sections = {"mail": {"to": "ops@example.com, dba@example.com", "server": f"smtp://127.0.0.1:{post.port}", "tls": "none", "gather": "none",
                         "digest": "disabled", "from": "keepfs@example.com"},
                "webhook chat": {"url": f"http://127.0.0.1:{chat.port}/chat", "gather": "none"},
                "webhook ops": {"url": f"{web.url}/ops", "gather": "none"},
                "command pager": {"command": f"touch {tmp_path}/paged; exec sleep 1000", "gather": "none", "timeout": "1h"},
                "heartbeat dead": {"url": f"http://127.0.0.1:{monitor.port}/hc", "template": TEMPLATES / "healthchecks.json"},
                "heartbeat hc": {"url": f"{web.url}/hc", "template": TEMPLATES / "healthchecks.json"}}
    keepfs = told(sections).mount()
    break_job(keepfs, pg)
    fail_run(keepfs)
    for server in (chat, post, monitor):
        server.accept()
    wait_until((tmp_path / "paged").exists, "the command")
    mend_job(keepfs, pg)
    keepfs.backup("full")
    assert [web.wait(n, "/hc")[1] for n in (1, 2, 3, 4)] == ["/hc/start", "/hc/1", "/hc/start", "/hc/0"]
    assert [json.loads(web.wait(n, "/ops")[3])["event"] for n in (1, 2)] == ["failed", "recovered"]
    assert all(server.is_waited_for() for server in (chat, post, monitor))
    assert [receiver(keepfs, name)[0] for name in ("mail ops@example.com", "webhook chat", "command pager", "heartbeat dead")] == [0, 0, 0, 0]
    before = time.monotonic()
    keepfs.unmount()
    assert time.monotonic() - before < 20  # none of them was waited for: that would have taken 40 seconds, a minute, an hour
    assert queue(keepfs) >= 5


def test_a_web_server_that_is_away_and_one_that_refuses(told, web, pg):
    web.answers = {"/later": 503, "/never": 404}
    sections = {f"webhook {name}": {"url": f"{web.url}/{name}?key=SECRET", "gather": "none"} for name in ("later", "never")}
    keepfs = told(sections).mount()
    break_job(keepfs, pg)
    fail_run(keepfs)
    wait_until(lambda: receiver(keepfs, "webhook later")[0] == 1, "an attempt that fails")
    wait_until(lambda: receiver(keepfs, "webhook never")[2] == 1, "it is given up")
    assert "answers HTTP 404" in receiver(keepfs, "webhook never")[3]
    assert queue(keepfs) >= 1
    web.answers = {}
    keepfs.remount()
    web.wait(1, "/later")
    assert [e["event"] for e in json.loads(web.taken("/later")[0][3])["events"]][0] == "failed"
    assert "SECRET" not in log_of(keepfs)


def test_heartbeats(told, web, pg, tmp_path):
    def beat(name, template, **more):
        return {"url": f"{web.url}/{name}", "template": TEMPLATES / f"{template}.json", **more}

    sections = {"heartbeat hc": beat("hc", "healthchecks", jobs="full"), "heartbeat kuma": beat("kuma", "uptime-kuma", jobs="full"),
                "heartbeat cron": beat("cron", "cronitor", jobs="full"), "heartbeat other": beat("other", "healthchecks", jobs="media")}
    keepfs = told(sections, media={"database": pg.uri("sample")}).mount()
    keepfs.backup("full")
    assert [r[1] for r in (web.wait(1, "/hc"), web.wait(2, "/hc"))] == ["/hc/start", "/hc/0"]
    assert b"run completed" in web.taken("/hc")[1][3]
    assert "status=up" in web.wait(1, "/kuma")[1]
    assert "state=run&series=1" in web.wait(1, "/cron")[1] and "state=complete&series=1" in web.wait(2, "/cron")[1]
    break_job(keepfs, pg)
    fail_run(keepfs)
    assert [r[1] for r in (web.wait(3, "/hc"), web.wait(4, "/hc"))] == ["/hc/start", "/hc/1"]
    assert b"there_is_no_such_database" in web.taken("/hc")[3][3]
    assert "status=down&msg=" in web.wait(2, "/kuma")[1]
    assert "state=fail&series=2" in web.wait(4, "/cron")[1]
    wait_until(lambda: queue(keepfs) == 0, "an empty queue")
    assert web.taken("/other") == [] and len(web.taken("/kuma")) == 2


def test_a_command(told, pg, tmp_path):
    out = tmp_path / "told"
    command = f"cat > {out}.json && env > {out}.env.part && mv {out}.env.part {out}.env"
    keepfs = told({"command pager": {"command": command, "gather": "none", "events": "failed"}})
    keepfs.env["KEEPFS_WEBHOOK_X_URL"] = "http://127.0.0.1:1/SECRET"
    keepfs.mount()
    break_job(keepfs, pg)
    fail_run(keepfs)
    wait_until((tmp_path / "told.env").exists, "the command")
    facts = json.loads((tmp_path / "told.json").read_text())
    env = (tmp_path / "told.env").read_text()
    assert facts["events"][0]["event"] == "failed"
    assert "KEEPFS_EVENT=failed\n" in env and "KEEPFS_JOB=full\n" in env and "KEEPFS_LEVEL=CRIT\n" in env
    assert "SECRET" not in env


def test_a_run_without_a_mount_tells_before_it_ends(told, mail, web, pg):
    keepfs = told({"mail": mail_section(mail, gather="1h"),
                   "heartbeat hc": {"url": f"{web.url}/hc", "template": TEMPLATES / "healthchecks.json"}})
    keepfs.jobs["full"]["database"] = pg.uri("there_is_no_such_database")
    keepfs.write_conf()
    assert keepfs.run("run", "full", check=False).returncode == 1
    assert len(mail.mails) == 1 and "failed" in mail.subjects[0]
    assert [r[1] for r in web.taken()] == ["/hc/start", "/hc/1"]
    keepfs.run("run", "full", check=False)
    assert len(mail.mails) == 1
    mail.stop()
    keepfs.jobs["full"]["database"] = pg.uri("sample")
    keepfs.write_conf()
    keepfs.run("run", "full")
    assert len(mail.mails) == 1 and queue(keepfs) == 1
    mail.start()
    keepfs.run("run", "full")
    assert len(mail.mails) == 2 and "is well again" in mail.subjects[1]


def test_the_test(told, mail, web):
    keepfs = told({"mail": mail_section(mail, to="ops@example.com, dba@example.com"), "webhook chat": {"url": f"{web.url}/chat"},
                   "heartbeat hc": {"url": f"{web.url}/hc", "template": TEMPLATES / "healthchecks.json"}})
    done = keepfs.run("notify", "--test")
    assert done.stdout.splitlines() == ["ok   mail ops@example.com: the test was taken", "ok   mail dba@example.com: the test was taken",
                                        "ok   webhook chat: the test was taken"]
    assert len(mail.mails) == 2 and json.loads(web.taken("/chat")[0][3])["event"] == "test"
    web.answers = {"/chat": 410}
    failed = keepfs.run("notify", "--test", "chat", "--json", check=False)
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["receivers"][0] == {"receiver": "webhook chat", "ok": False, "detail": json.loads(failed.stdout)["receivers"][0]["detail"]}
    assert web.taken("/hc") == []
    keepfs.run("notify", "--test", "hc")
    assert web.taken("/hc")[0][1] == "/hc/0"
    unknown = keepfs.run("notify", "--test", "nobody", check=False)
    assert unknown.returncode == 2 and "there are: mail ops@example.com" in unknown.stderr
    keepfs.sections = {}
    keepfs.write_conf()
    nobody = keepfs.run("notify", "--test", check=False)
    assert nobody.returncode == 1 and "nobody is told" in nobody.stderr
    assert keepfs.run("notify", check=False).returncode == 2


def test_at_rest_the_thread_sleeps(told, mail):
    keepfs = told({"mail": mail_section(mail, digest="daily-7am")}).mount()
    keepfs.backup("full")
    (pid,) = keepfs.daemons()

    def switches():
        for _, text in tasks_of(pid, "status"):
            if text.startswith("Name:\tnotify\n"):
                return int(text.partition("voluntary_ctxt_switches:")[2].split()[0])
        raise AssertionError("there is no thread that sends notices")

    wait_until(lambda: queue(keepfs) == 0, "an empty queue")
    before = []
    # What the backup has caused comes to an end; then nothing changes for as many looks.
    wait_until(lambda: before.append(switches()) or (len(before) > 150 and len(set(before[-150:])) == 1), "rest")


def restored(keepfs, command, state="completed"):
    status = keepfs.wait_run(int(keepfs.ask("restore", command).split()[0]))
    assert status["state"] == state, keepfs.text("jobs", status["id"], "log")


def drop_like(pg, name):
    for found in pg.sql("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'").splitlines():
        pg.drop(found)


def test_a_restore_is_told_when_it_has_ended(told, mail, pg):
    """into which state the database came; not its plan, and a failure that changed nothing as such"""
    name = f"told_{os.getpid()}"
    keepfs = told({"mail": mail_section(mail)}).mount()
    keepfs.backup("full")
    try:
        restored(keepfs, f"full/latest.dump into={name} plan=yes")
        restored(keepfs, f"full/latest.dump into={name}")
        first = mail.wait(1)
        assert f"full, {name}: {name} was restored from backups/full/{keepfs.artifacts()[-1]}" in first["subject"]
        restored(keepfs, f"full/latest.dump into={name} confirm={name}")
        text = mail.wait(2).get_content()
        (old,) = [d for d in pg.sql("postgres", "SELECT datname FROM pg_database").splitlines() if d.startswith(f"{name}_before")]
        assert f"what was there before is {old}" in text.replace("\n", " ") and f"dropdb '{old}'" in text, text
        restored(keepfs, f"full/latest.dump into={name} confirm={name} check='SELECT false'", "failed")
        third = mail.wait(3)
        assert "the restore of backups/full/" in third["subject"] and "failed" in third["subject"]
        assert f"{name} is as it was: nothing is left of the restore" in third.get_content().replace("\n", " ")
        assert len(mail.mails) == 3, [m["subject"] for m in mail.mails]
        page = keepfs.text("status", "dashboard.html")
        assert "failed</span> <code>keepfs restore" in page and "completed</span> <code>keepfs restore" in page
    finally:
        drop_like(pg, name)


def test_damage_names_what_can_be_restored_and_how(told, mail, pg, store):
    """the command that the notice names does it; and when the store has the right bytes again, it is over"""
    name = f"told_{os.getpid()}"
    keepfs = told({"mail": mail_section(mail)}).mount()
    keepfs.backup("full")
    keepfs.backup("full")
    good, bad = keepfs.artifacts()
    data = bytearray(store.get(f"backups/full/{bad}"))
    store.put(f"backups/full/{bad}", bytes(data[:-20] + bytes([data[-20] ^ 0x40]) + data[-19:]))
    assert keepfs.wait_run(int(keepfs.ask("verify", f"full/{bad}").split()[0]))["state"] == "failed"
    damaged = mail.wait(1)
    text = damaged.get_content().replace("\n  ", " ").replace("\n", " ")
    assert "full: damaged backup" in damaged["subject"]
    command = re.search(r"keepfs (restore full/\S+\.dump)", text)
    assert command and command[1].endswith(good), text
    page = keepfs.text("status", "dashboard.html")
    assert f"<code>keepfs {command[1]}</code>" in page
    try:
        keepfs.run(*command[1].split(), f"into={name}")
        mail.wait(2)  # that it was restored
        store.put(f"backups/full/{bad}", bytes(data))
        assert keepfs.wait_run(int(keepfs.ask("verify", f"full/{bad}").split()[0]))["state"] == "completed"
        assert "is not damaged any more" in mail.wait(3)["subject"]
    finally:
        drop_like(pg, name)
