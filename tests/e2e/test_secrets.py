# SPDX-License-Identifier: Apache-2.0
"""Secrets that keepfs knows are planted, and then looked for wherever somebody else could read them."""
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import uuid

import pytest

import daemon
import receivers
from daemon import wait_until
from postgres import PASSWORD
from signing import make_key


def environment_of(pid):
    """{name: value}"""
    text = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def secrets_in(text, keepfs):
    secrets = [keepfs.env["KEEPFS_STORE_SECRET_KEY"], "planted-aws-secret", "planted-aws-token", PASSWORD, PASSWORD.replace(" ", "%20")]
    return [secret for secret in secrets if secret in text]


@pytest.fixture
def planted(new_keepfs, pg, tmp_path):
    """a keepfs that gets all its secrets from the environment"""
    keepfs = new_keepfs({"full": {"jobs": 1, "pre_hook": f"env > {tmp_path}/pre.env",
                                  "post_hook": f"env > {tmp_path}/post.env"}})
    for name in ("access_key", "secret_key"):
        keepfs.env[f"KEEPFS_STORE_{name.upper()}"] = keepfs.store_settings.pop(name)
    keepfs.env["KEEPFS_BACKUP_FULL_DATABASE"] = pg.uri_tcp("sample")
    keepfs.env.update({"AWS_SECRET_ACCESS_KEY": "planted-aws-secret", "AWS_ACCESS_KEY_ID": "planted-aws-key",
                       "AWS_SESSION_TOKEN": "planted-aws-token", "OTHER_SECRET": "planted-other", "HOOKS_NEED_THIS": "yes"})
    keepfs.write_conf()
    return keepfs.mount()


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_children_get_no_secrets(planted, pg, tmp_path):
    with pg.lock("sample", "sales.orders") as lock:
        run = planted.trigger()
        lock.wait_until_waited_for()
        (dump,) = planted.children("pg_dump")
        environment, arguments = environment_of(dump), daemon.arguments_of(dump)
    assert planted.wait_run(run)["state"] == "completed"
    assert environment["PGPASSWORD"] == PASSWORD  # where only the user can read it
    assert not secrets_in("\n".join(arguments), planted), arguments
    assert not [name for name in environment if name.startswith(("KEEPFS_", "AWS_", "OTHER_"))], environment
    for hook in ("pre.env", "post.env"):
        text = (tmp_path / hook).read_text()
        assert "HOOKS_NEED_THIS=yes" in text and "KEEPFS_JOB=full" in text
        assert not secrets_in(text, planted), text


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_nobody_is_told_a_secret(planted):
    planted.backup()
    failing = planted.trigger("full tables=nosuch.nosuch")
    assert planted.wait_run(failing)["state"] == "failed"
    planted.run("check", check=False)
    shown = [planted.text("status", name) for name in os.listdir(planted.path("status")) if name != "evidence"]
    shown += [planted.text("jobs", str(failing), name) for name in ("status", "log")]
    shown += [planted.text("control", "trigger"), (planted.state / "keepfs.log").read_text()]
    shown += ["\n".join(daemon.arguments_of(pid)) for pid in planted.processes()]
    for text in shown:
        assert not secrets_in(text, planted), text
    assert "secret_key = ********" in planted.text("status", "config")
    assert "postgres:********@" in planted.text("status", "config")


def test_there_is_no_core_with_secrets(keepfs):
    """neither a file (a limit below a page) nor a pipe to a program, from which only a limit of 1 keeps it"""
    (pid,) = keepfs.daemons()
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4] in ("0", "1"), core
    keepfs.signal(signal.SIGSEGV)
    assert not list(pathlib.Path("/").glob("core*")) and not list(keepfs.directory.glob("core*"))


NOBODY = 65534


def write_secret(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def seal_value(keepfs, secret):
    return keepfs.run("seal", "--value", input=secret.encode() + b"\n").stdout.strip()


# Where a secret can be.

@pytest.fixture
def moved(new_keepfs, store, tmp_path):
    """a keepfs on S3, and its secret key, which is not in its configuration"""
    keepfs = new_keepfs()
    secret = keepfs.store_settings.pop("secret_key")
    return keepfs, secret, tmp_path / "s3-key"


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_a_key_of_s3_comes_from_everywhere(moved):
    keepfs, secret, file = moved

    def run(**settings):
        kept = dict(keepfs.store_settings)
        keepfs.store_settings.update(settings)
        keepfs.write_conf()
        done = keepfs.run("run", "full", check=False)
        keepfs.store_settings = kept
        return done

    write_secret(file, secret + "\n")
    assert run(secret_key_file=file).returncode == 0
    assert run(secret_key_command=f"cat {file}").returncode == 0
    keepfs.env["CREDENTIALS_DIRECTORY"] = str(file.parent)
    assert run(secret_key_file=f"credential:{file.name}").returncode == 0
    assert run(secret_key=seal_value(keepfs, secret)).returncode == 0
    keepfs.run("seal", file)
    assert secret not in file.read_text()
    file.chmod(0o644)  # it says nothing to anybody else
    assert run(secret_key_file=file).returncode == 0
    assert "1 can be read that are sealed, in files or printed by commands" in keepfs.run("check").stdout
    both = run(secret_key=secret, secret_key_file=file)
    assert both.returncode == 2 and secret not in both.stderr
    assert re.search(r"keepfs.conf:\d+: \[store\] secret_key_file = .*: stands beside \[store\] secret_key = \*{8} \(.*keepfs.conf:\d+\); allowed: one of", both.stderr), both.stderr
    failing = run(secret_key_command="echo planted-output; echo the vault is sealed >&2; exit 3")
    assert failing.returncode == 1 and "[store] secret_key_command: " in failing.stderr and "the vault is sealed" in failing.stderr
    assert "planted-output" not in failing.stderr


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_a_new_key_needs_no_reload(moved):
    keepfs, secret, file = moved
    write_secret(file, secret)
    keepfs.store_settings["secret_key_file"] = file
    keepfs.store_settings["retry_deadline"] = "1s"
    keepfs.write_conf()
    keepfs.mount().backup()
    write_secret(file, "planted-wrong-key")
    failed = keepfs.wait_run(keepfs.trigger())
    assert failed["state"] == "failed" and "secret" in failed["error"] and "planted-wrong" not in failed["error"], failed
    write_secret(file, secret, 0o644)
    failed = keepfs.wait_run(keepfs.trigger())
    assert failed["state"] == "failed" and "can be read or written by others" in failed["error"], failed
    write_secret(file, secret)
    keepfs.backup()


# Sealing.

def test_sealing_replaces_a_file(keepfs, tmp_path):
    file = write_secret(tmp_path / "mail-password", "planted-password\n", 0o640)
    os.chown(file, 1234, 4321)
    before = file.stat()
    done = keepfs.run("seal", file)
    assert "is sealed" in done.stdout and "free blocks" in done.stderr
    after = file.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (1234, 4321, 0o640) and after.st_ino != before.st_ino
    assert file.read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----\n") and "planted" not in file.read_text()
    assert [name for name in os.listdir(tmp_path) if name.startswith("mail-password")] == ["mail-password"]
    assert keepfs.run("seal", file).stdout == f"{file} is sealed already\n"
    assert keepfs.run("seal", "--unseal", file).stdout == "planted-password\n"
    key = keepfs.state / "host.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and "AGE-SECRET-KEY-1" in key.read_text()
    if shutil.which("age"):
        assert subprocess.run(["age", "-d", "-i", key, file], check=True, stdout=subprocess.PIPE).stdout == b"planted-password\n"


def test_what_is_not_sealed(keepfs, tmp_path):
    def refused(*arguments, **options):
        done = keepfs.run("seal", *arguments, check=False, **options)
        assert done.returncode in (1, 2) and "planted" not in done.stderr, done
        return done.stderr

    file = write_secret(tmp_path / "secret", "planted")
    (tmp_path / "link").symlink_to(file)
    os.link(file, tmp_path / "other-name")
    write_secret(tmp_path / "empty", "")
    write_secret(tmp_path / "long", "planted" * 10000)
    assert "symbolic link" in refused(tmp_path / "link")
    assert "has other names" in refused(file)
    assert "is empty" in refused(tmp_path / "empty")
    assert "longer than 64 KiB" in refused(tmp_path / "long")
    assert "no regular file" in refused(tmp_path)
    assert "cannot be opened" in refused(tmp_path / "missing")
    assert "is the configuration" in refused(keepfs.conf)
    assert "never a secret as an argument" in refused("--value", "planted", input=b"")
    assert "nothing at standard input" in refused("--value", input=b"")
    assert "is not sealed" in refused("--unseal", write_secret(tmp_path / "plain", "planted"))
    assert file.read_text() == "planted"
    seal_value(keepfs, "makes the key")
    assert "is the key" in refused(keepfs.state / "host.key")


def test_sealed_on_another_host(keepfs, tmp_path):
    file = write_secret(tmp_path / "secret", "planted-elsewhere")
    keepfs.run("seal", file)
    value = seal_value(keepfs, "planted-elsewhere")
    assert keepfs.run("seal", "--unseal", "--value", input=value.encode()).stdout == "planted-elsewhere"
    (keepfs.state / "host.key").rename(keepfs.state / "away")
    gone = keepfs.run("seal", "--unseal", file, check=False)
    assert gone.returncode != 0 and "there is no key to open it" in gone.stderr and "host.key" in gone.stderr
    seal_value(keepfs, "makes another key")
    for done in (keepfs.run("seal", "--unseal", file, check=False), keepfs.run("seal", file, check=False),
                 keepfs.run("seal", "--unseal", "--value", input=value.encode(), check=False)):
        assert done.returncode == 1 and "was sealed on another host" in done.stderr, done
    lines = file.read_text().splitlines()
    lines[2] = lines[2][::-1]
    file.write_text("\n".join(lines) + "\n")
    assert "damaged" in keepfs.run("seal", "--unseal", file, check=False).stderr


def test_a_credential_of_systemd(keepfs, tmp_path):
    """by the program itself where it is installed, else by one that takes the same arguments"""
    file = write_secret(tmp_path / "chat-url", "planted-url")
    if not shutil.which("systemd-creds"):
        fake = tmp_path / "bin" / "systemd-creds"
        fake.parent.mkdir()
        fake.write_text('#!/bin/sh\n[ "$1 $2" = "encrypt --name=chat-url" ] && tr a-z n-za-m < "$3" > "$4"\n')
        fake.chmod(0o755)
        keepfs.env["PATH"] = f"{fake.parent}:{keepfs.env['PATH']}"
    done = keepfs.run("seal", "--with-systemd", file)
    assert done.stdout == f"LoadCredentialEncrypted=chat-url:{file}.cred\n" and "credential:chat-url" in done.stderr
    assert b"planted" not in (tmp_path / "chat-url.cred").read_bytes() and file.read_text() == "planted-url"
    keepfs.run("seal", file)
    assert "is sealed already" in keepfs.run("seal", "--with-systemd", file, check=False).stderr


def test_a_password_as_an_argument_is_warned_of(pg, tmp_path):
    conninfo = f"host=127.0.0.1 port={pg.port} user=postgres password='{PASSWORD}' dbname=sample"
    done = subprocess.run([daemon.PROGRAM, "init", "-c", tmp_path / "keepfs.conf", "--quick", f"dir:{tmp_path}/objects", "--database", conninfo,
                           "--state-dir", tmp_path / "state"], env={**daemon.clean_environment(), "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done
    assert "every user of this host can see a password in an argument" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr and stat.S_IMODE((tmp_path / "keepfs.conf").stat().st_mode) == 0o600


# Nobody else's.

def as_nobody():
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@pytest.fixture
def home_of_nobody():
    """a directory that another user can get to"""
    path = pathlib.Path(tempfile.mkdtemp(prefix="keepfs-nobody-", dir="/var/tmp"))
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def test_its_memory_is_nobody_elses(home_of_nobody):
    """the same user may look into any other of his processes, but not into keepfs"""
    def can_look_into(pid):
        command = ["gcore", "-o", str(home / "core"), str(pid)] if shutil.which("gcore") else ["cat", f"/proc/{pid}/environ"]
        return subprocess.run(command, preexec_fn=as_nobody, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home).returncode == 0

    home = home_of_nobody
    environment = {**daemon.clean_environment(), "HOME": str(home), "KEEPFS_STORE_SECRET_KEY": "planted", "KEEPFS_STORE_ACCESS_KEY": "A",
                   "KEEPFS_STORE_URL": "s3://bucket"}
    other = subprocess.Popen(["cat"], stdin=subprocess.PIPE, preexec_fn=as_nobody)
    keepfs = subprocess.Popen([daemon.PROGRAM, "seal", "--value"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, preexec_fn=as_nobody)
    try:
        # It reads its standard input when it no more can be looked into.
        wait_until(lambda: "pipe" in pathlib.Path(f"/proc/{keepfs.pid}/wchan").read_text()
                   or pathlib.Path(f"/proc/{keepfs.pid}/syscall").read_text().startswith("0 "), "keepfs waits for the secret")
        assert can_look_into(other.pid)
        assert not can_look_into(keepfs.pid)
    finally:
        out, _ = keepfs.communicate(b"planted\n", timeout=60)
        other.communicate(timeout=60)
    assert out.startswith(b"sealed:")


# Planted in every place where one can be configured.

def plain_of(name, data):
    """what is compressed as it was before"""
    program = "zstd" if ".zst" in name else "gzip" if ".gz" in name else None
    if not program or not data:
        return data
    return subprocess.run([program, "-dc"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout


class Planted:
    def __init__(self):
        self.secrets = {}

    def new(self, name):
        self.secrets[name] = f"planted-{name}-{uuid.uuid4().hex}"
        return self.secrets[name]

    def found_in(self, data, but=()):
        data = data if isinstance(data, bytes) else data.encode()
        return [name for name, secret in self.secrets.items() if name not in but and secret.encode() in data]


def wrap_programs(pg, directory, told):
    """programs of PostgreSQL that write down what they got"""
    directory.mkdir()
    for program in ("pg_dump", "pg_dumpall", "pg_restore"):
        wrapper = directory / program
        wrapper.write_text(f"#!/bin/sh\n{{ env; tr '\\0' '\\n' < /proc/$$/cmdline; }} > {told}/{program}.$$\nexec {pg.bindir}/{program} \"$@\"\n")
        wrapper.chmod(0o755)
    return directory


def keys_of(text):
    """{(kind of section, key)} of a configuration, also of what is commented out; "store" is the kind of "store acme", which has the same keys"""
    keys, kind = set(), None
    for line in text.splitlines():
        if title := re.match(r"#?\s*\[(\w+).*\]$", line):
            kind = title.group(1)
        elif key := re.match(r"#? ?(\w+) *=", line):
            keys.add((kind, key.group(1)))
    return keys


def secret_keys(directory):
    """of all that the program takes for a secret, by the configuration that it writes itself: each can be in a file, or be printed by a command"""
    path = directory / "all-keys.conf"
    subprocess.run([daemon.PROGRAM, "init", "-c", path], check=True, capture_output=True, env=daemon.clean_environment())
    keys = keys_of(path.read_text())
    return {(kind, key) for kind, key in keys if {(kind, f"{key}_file"), (kind, f"{key}_command")} <= keys}


def new_identity(path):
    """(the secret key, the public one)"""
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    path.chmod(0o600)
    return re.search("AGE-SECRET-KEY-1[0-9A-Z]+", path.read_text()).group(), re.search("age1[0-9a-z]+", path.read_text()).group()


@pytest.mark.parametrize("store", ["ceph"], indirect=True)
def test_planted_secrets_are_found_nowhere(new_keepfs, store, pg, web, tmp_path):
    """whatever is a secret for the program is planted: a new one makes this test fail until it is, too"""
    planted = Planted()
    told, hidden = tmp_path / "told", tmp_path / "hidden"
    told.mkdir()
    hidden.mkdir()
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("nothing secret")

    def file(name, text=None):
        return write_secret(hidden / name, text or planted.new(name))

    mail = receivers.MailServer("starttls", receivers.certificate(tmp_path), users={"keepfs": "another one"})
    keepfs = new_keepfs({"full": {"database": pg.uri_tcp("sample"), "pg_bindir": wrap_programs(pg, tmp_path / "bin", told),
                                  "pre_hook": f"env > {told}/pre; cat /proc/$$/cmdline >> {told}/pre", "post_hook": f"env > {told}/post"},
                         "bad": {"database": pg.uri_tcp("sample", password=planted.new("database")),
                                 "drill_server": pg.uri_tcp("postgres", password=planted.new("drill-server"))},
                         "sealed": {"database": pg.uri("sample"), "encrypt_passphrase": planted.new("job-passphrase")},
                         "files media": {"path": tree, "encrypt_passphrase_file": file("files-passphrase")},
                         "inbox legacy": {"encrypt_passphrase": planted.new("inbox-passphrase")},
                         "cluster main": {"database": pg.uri_tcp("postgres", password=planted.new("cluster")),
                                          "encrypt_passphrase": planted.new("cluster-passphrase")},
                         "bundle whole": {"parts": "media", "encrypt_passphrase_file": file("bundle-passphrase")}},
                        log_level="debug", erasure_key=planted.new("erasure"))
    planted.secrets["identity"], recipient = new_identity(hidden / "identity")
    keepfs.jobs["full"]["encrypt_to"] = recipient
    keepfs.settings |= {"identity_file": hidden / "identity", "identity_passphrase": planted.new("identity-passphrase"),
                        "encrypt_passphrase_command": f"cat {file('passphrase')}"}
    for name in ("signing_key", "signing_key_old"):
        keepfs.settings[f"{name}_file"], _ = make_key(hidden, name)
        planted.secrets[name] = keepfs.settings[f"{name}_file"].read_text().splitlines()[1]
    planted.secrets["s3"] = keepfs.store_settings.pop("secret_key")
    keepfs.jobs["mirror objects"] = {"url": "s3://no-such-bucket/x", "endpoint": keepfs.store_settings["endpoint"], "allow_http": "yes",
                                     "access_key": "nobody", "secret_key_file": file("mirror-key"), "session_token_file": file("mirror-session"),
                                     "encrypt_passphrase": planted.new("mirror-passphrase")}
    planted.secrets["password"] = PASSWORD.replace(" ", "%20")
    keepfs.store_settings["secret_key_command"] = f"env > {told}/secret-command; cat {file('s3-key', planted.secrets['s3'])}"
    web.answers["/refused"] = 403
    url, dead, beat = planted.new("url"), planted.new("dead"), planted.new("beat")
    keepfs.sections = {
        "webhook chat": {"url_file": file("chat-url", f"{web.url}/refused?{url}"), "headers": f'"Authorization: Bearer {planted.new("header")}"',
                         "gather": "none"},
        "webhook dead": {"url": f"http://127.0.0.1:1/{dead}", "gather": "none"},
        "heartbeat beat": {"template": daemon.TOP / "data/templates/healthchecks.json", "url_command": f"cat {file('beat-url', f'{web.url}/beat/{beat}')}", "headers_file": file("headers", f"X-Token: {planted.new('token')}\n")},
        "mail": {"to": "ops@example.com", "server": mail.url, "user": "keepfs", "password_file": file("mail"), "ca_file": mail.certificate[0],
                 "from": "keepfs@example.com", "gather": "none", "digest": "disabled"},
        "export": {"database": pg.uri_tcp("sample", password=planted.new("export")), "tenants": "SELECT 1 AS id, 'acme' AS slug", "tenant_column": "id",
                   "redact_key_file": file("redact"), "encrypt_passphrase_file": file("export-passphrase")},
        "command pager": {"command": f"env > {told}/pager; cat > {told}/pager.json", "gather": "none"},
    }
    keepfs.env |= {"PGPASSWORD": planted.new("pgpassword"), "AWS_SECRET_ACCESS_KEY": planted.new("aws"), "AWS_ACCESS_KEY_ID": "x"}
    keepfs.write_conf()
    keepfs.run("seal", hidden / "mail")
    keepfs.sections["store broken"] = {"url": "s3://no-such-bucket/x", "endpoint": keepfs.store_settings["endpoint"], "allow_http": "yes",
                                       "access_key": "nobody", "secret_key": seal_value(keepfs, planted.new("broken")),
                                       "session_token_file": file("session")}
    keepfs.write_conf()
    is_set = keys_of(keepfs.conf.read_text())
    left = {(kind, key) for kind, key in secret_keys(tmp_path) if not {(kind, key), (kind, f"{key}_file"), (kind, f"{key}_command")} & is_set}
    assert not left, f"plant these, too: {left}"
    (key,) = re.findall("AGE-SECRET-KEY-1[0-9A-Z]+", (keepfs.state / "host.key").read_text())
    planted.secrets["host"] = key
    shown = []

    def see(what, data, but=()):
        shown.append(what)
        assert not planted.found_in(data, but), what

    try:
        keepfs.mount()
        keepfs.backup("full")
        keepfs.backup("media")
        keepfs.backup("whole")
        keepfs.path("inbox", "legacy", "notes.txt").write_text("nothing secret")
        for command in ("bad", "exports", "objects"):
            assert keepfs.wait_run(keepfs.trigger(command))["state"] == "failed"
        assert keepfs.path("backups", "full", "latest.dump").read_bytes().startswith(b"PGDMP")
        wait_until(lambda: any(r[1].startswith("/refused") for r in web.requests), "a webhook is tried")
        wait_until(lambda: (told / "pager.json").exists() and any(r[1].startswith("/beat") for r in web.requests), "the pager and the monitor are told")
        assert any(url in r[1] and r[2]["Authorization"].endswith(planted.secrets["header"]) for r in web.requests)
        assert any(beat in r[1] and r[2]["X-Token"] == planted.secrets["token"] for r in web.requests)
        for command in (("check",), ("check", "--json"), ("notify", "--test"), ("info", "--json"), ("status",), ("jobs",)):
            done = keepfs.run(*command, check=False)
            see(command, done.stdout + done.stderr)
        for pid in keepfs.processes():
            see("arguments", "\0".join(daemon.arguments_of(pid)))
        for top in ("status", "jobs", "control"):
            for directory, _, names in os.walk(keepfs.path(top)):
                for name in names:
                    path = pathlib.Path(directory, name)
                    if path.stat().st_mode & 0o400:
                        see(path, path.read_bytes())
        assert "secret_key_command = " in keepfs.text("status", "config")
    finally:
        mail.stop()
    keepfs.unmount()
    for path in keepfs.state.rglob("*"):
        if path.is_file() and path.name != "host.key":
            see(path, path.read_bytes())
    names = store.all_keys()
    assert any(name.startswith("catalog/") for name in names)
    for name in names:
        see(name, store.get(name) + plain_of(name, store.get(name)))
    copy = next(name for name in names if name.startswith("catalog/"))
    assert copy.endswith(".sqlite.zst.age") and len(planted.secrets) > 25, planted.secrets
    for path in told.iterdir():
        # libpq's own variable is there for what connects to a server; hooks may do that, too.
        mine = {"pgpassword"} if re.match("pg_|pre|post", path.name) else set()
        see(path, path.read_bytes(), mine | ({"password"} if path.name.startswith("pg_") else set()))
    assert {"pre", "post", "pager", "pager.json", "secret-command"} <= {path.name for path in told.iterdir()}
    assert any(path.name.startswith("pg_dump.") for path in told.iterdir())
    assert len(shown) > 60, len(shown)
