# SPDX-License-Identifier: Apache-2.0
"""Receivers of notices: a real mail server (aiosmtpd) with TLS, STARTTLS and logins, and a server of HTTP; each keeps what it took."""
import asyncio
import email
import email.policy
import http.server
import socket
import ssl
import subprocess
import threading
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

from daemon import wait_until


def certificate(directory, name="mail", host="127.0.0.1"):
    """a certificate that signs itself: (the file with it, the file with its key)"""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{host}", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert, key


class _Handler:
    def __init__(self, server):
        self.server = server

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.server.asked.append(address)
        if address in self.server.refused:
            return "550 5.1.1 no such user here"
        if address in self.server.busy:
            return "451 4.7.1 come again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.server.refuse_content:
            return "554 5.7.1 this looks like spam"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        message.raw = envelope.content
        message.recipients = envelope.rcpt_tos
        message.with_tls = session.ssl is not None
        with self.server.lock:
            self.server.mails.append(message)
        return "250 OK"


class MailServer:
    def __init__(self, tls=None, certificate=None, users=None, port=0):
        """@tls: None, "starttls", "tls"; @users: {name: password}: a login is needed"""
        self.mails, self.asked, self.refused, self.busy = [], [], set(), set()
        self.refuse_content = False
        self.lock = threading.Lock()
        self.tls, self.certificate, self.users = tls, certificate, users
        self.port = port
        self.controller = None
        self.start()

    def _context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        return context

    def _authenticate(self, server, session, envelope, mechanism, data):
        name, password = data.login.decode(), data.password.decode()
        good = self.users.get(name) == password
        return AuthResult(success=good, handled=False, message=None if good else "535 5.7.8 bad user or password")

    def start(self):
        options = {"enable_SMTPUTF8": True}
        if self.tls == "starttls":
            options |= {"tls_context": self._context(), "require_starttls": True}
        if self.users:
            options |= {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": self.tls == "starttls"}
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")  # it begins with TLS
        context = self._context() if self.tls == "tls" else None
        handler = _Handler(self)
        loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve():
            self.server = await loop.create_server(lambda: SMTP(handler, hostname="mail.test", loop=loop, **options),
                                                   "127.0.0.1", self.port, ssl=context, reuse_address=True)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            asyncio.set_event_loop(loop)
            loop.run_until_complete(serve())
            loop.run_forever()

        self.loop = loop
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert ready.wait(60)

    def stop(self):
        """from now on connections are refused; start() takes the same port"""
        if not self.loop:
            return

        async def close():
            self.server.close()
            for task in asyncio.all_tasks(self.loop):
                if task is not asyncio.current_task():
                    task.cancel()
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(close(), self.loop)
        self.thread.join(60)
        self.loop.close()
        self.loop = None

    @property
    def url(self):
        return f"{'smtps' if self.tls == 'tls' else 'smtp'}://127.0.0.1:{self.port}"

    @property
    def subjects(self):
        with self.lock:
            return [str(m["subject"]) for m in self.mails]

    def wait(self, count):
        wait_until(lambda: len(self.mails) >= count, f"{count} mails")
        return self.mails[count - 1]


class WebServer:
    def __init__(self):
        self.requests, self.answers = [], {}
        self.lock = threading.Lock()
        self.default = 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def take(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with outer.lock:
                    status = outer.answers.get(self.path.partition("?")[0], outer.default)
                    outer.requests.append((self.command, self.path, dict(self.headers), body, status))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = do_PUT = take

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def taken(self, prefix="/"):
        with self.lock:
            return [r for r in self.requests if r[1].startswith(prefix) and r[4] < 300]

    def wait(self, count, prefix="/"):
        wait_until(lambda: len(self.taken(prefix)) >= count, f"{count} requests")
        return self.taken(prefix)[count - 1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(60)


class SilentServer:
    """takes connections, and never says a word"""
    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(60)
        self.port = self.socket.getsockname()[1]
        self.connections = []

    def accept(self):
        self.connections.append(self.socket.accept()[0])

    def is_waited_for(self):
        """is the other end of each connection still there?"""
        for connection in self.connections:
            connection.setblocking(False)
            try:
                while connection.recv(65536):
                    pass
                return False
            except BlockingIOError:
                pass
            except ConnectionError:
                return False
        return True

    def stop(self):
        for connection in self.connections:
            connection.close()
        self.socket.close()
