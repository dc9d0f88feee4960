# SPDX-License-Identifier: Apache-2.0
"""Where the program gets its credentials from, as a container or somebody's profile gives them"""
import http.server
import threading
import urllib.parse
import uuid

import pytest

import stores

ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId>
<SecretAccessKey>{SECRET_KEY}</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


@pytest.fixture
def keyless(new_keepfs, s3_servers):
    """on a real S3 server, without a key in the configuration"""
    keepfs = new_keepfs(store=stores.S3Store(s3_servers("ceph"), f"credentials-{uuid.uuid4()}"))
    for key in "access_key", "secret_key":
        del keepfs.store_settings[key]
    keepfs.write_conf()
    (keepfs.directory / ".aws").mkdir()
    return keepfs


class TokenService(http.server.ThreadingHTTPServer):
    """STS, as far as web identities need it; it gives the S3 server's own keys"""

    def __init__(self, facts):
        super().__init__(("127.0.0.1", 0), TokenRequest)
        self.facts, self.asked = facts, []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.shutdown()
        self.thread.join()
        self.server_close()


class TokenRequest(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(dict(urllib.parse.parse_qsl(body)))
        answer = ANSWER.format(**self.server.facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *unused):
        pass


def test_a_web_identity(keyless):
    """a pod's role: asked for once for each process, whatever it does"""
    token = keyless.directory / "token"
    token.write_text("of-the-pod\n")
    with TokenService(keyless.store.server.facts) as sts:
        keyless.env.update(AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN="arn:aws:iam::1:role/backup",
                           AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{sts.server_port}")
        keyless.mount()
        keyless.backup()
        before = len(sts.asked)
        keyless.backup()
        (artifact, *_) = keyless.artifacts()
        assert keyless.path("backups", "full", artifact).read_bytes()
        assert len(sts.asked) == before
        assert all(asked["Action"] == "AssumeRoleWithWebIdentity" and asked["WebIdentityToken"] == "of-the-pod"
                   and asked["RoleArn"] == "arn:aws:iam::1:role/backup" for asked in sts.asked)
        keyless.unmount()


def test_a_program_of_the_config_file(keyless):
    facts = keyless.store.server.facts
    runs = keyless.directory / "runs"
    program = keyless.directory / "program"
    program.write_text(f"""#!/bin/sh
echo "$AWS_PROFILE" >>{runs}
echo '{{"Version": 1, "AccessKeyId": "{facts["ACCESS_KEY"]}", "SecretAccessKey": "{facts["SECRET_KEY"]}"}}'
""")
    program.chmod(0o700)
    (keyless.directory / ".aws/config").write_text(f'[profile "night"]\nCredential_Process = "{program}" --for keepfs\n')
    keyless.env["AWS_PROFILE"] = "night"
    keyless.mount()
    keyless.backup()
    before = runs.read_text()
    assert set(before.split()) == {"night"}
    keyless.backup()
    assert runs.read_text() == before


def test_what_is_not_supported_is_said_at_once(keyless):
    (keyless.directory / ".aws/config").write_text("[default]\nsso_session = office\nsso_account_id = 1\n")
    done = keyless.run("check", check=False)
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "[default] asks for IAM Identity Center (sso_session), which keepfs does not support" in text
    assert "gave up" not in text


def test_services_named_like_the_program(new_keepfs):
    """Kubernetes tells of them in variables that begin with KEEPFS_"""
    keepfs = new_keepfs()
    keepfs.env.update(KEEPFS_PORT="tcp://10.0.0.1:9100", KEEPFS_SERVICE_HOST="10.0.0.1", KEEPFS_SERVICE_PORT="9100",
                      KEEPFS_SERVICE_PORT_HTTP="9100", KEEPFS_PORT_9100_TCP_PROTO="tcp", KEEPFS_VERSION="1.2",
                      KEEPFS_STORE_PORT="tcp://10.0.0.2:9000", KEEPFS_STORE_SERVICE_HOST="10.0.0.2")
    keepfs.mount()
    keepfs.unmount()
    keepfs.env["KEEPFS_STORE_PROT"] = "x"
    done = keepfs.run("mount", check=False)
    assert done.returncode == 2 and "KEEPFS_STORE_PROT: this environment variable means nothing" in done.stderr
