# SPDX-License-Identifier: Apache-2.0
"""An S3 server of the tests' own, small enough to misbehave on demand: objects are in memory, signatures are not looked at.

A trouble is a function (answer) that is called in place of the good answer to a GET of an object below backups/, in the
thread of its connection. It may send what it likes, and says whether the connection goes on. The good answer is answer.good().
"""
import contextlib
import email.utils
import hashlib
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse

TLS_HANDSHAKE = 0x16
BUCKET, PREFIX = "trouble", "pre"


def error_xml(code):
    return (f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>a rehearsed refusal</Message>'
            f"<RequestId>R-{code}</RequestId></Error>").encode()


class Gone(Exception):
    """the client has closed the connection"""


class Answer:
    """one request for a range of an object, and what can be sent for it"""

    def __init__(self, server, connection, headers, data):
        self.server, self.connection, self.headers = server, connection, headers
        self.object = data
        self.etag = etag_of(data)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        self.ranged = bool(found)
        self.first = int(found.group(1)) if found else 0
        self.last = min(int(found.group(2)), len(data) - 1) if found else len(data) - 1
        self.body = data[self.first:self.last + 1]

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise Gone() from error

    def head(self, status="206 Partial Content", length=None, **headers):
        fields = {"Content-Length": len(self.body) if length is None else length, "ETag": f'"{self.etag}"',
                  **({"Content-Range": f"bytes {self.first}-{self.last}/{len(self.object)}"} if status.startswith("206") else {}),
                  **{name.replace("_", "-"): value for name, value in headers.items()}}
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        self.send(f"HTTP/1.1 {status}\r\n{text}\r\n".encode())

    def good(self):
        if not self.ranged:
            self.head("200 OK")
        elif self.first > self.last:
            return self.refuse("416 Range Not Satisfiable", "InvalidRange")
        else:
            self.head()
        self.send(self.body)
        return True

    def refuse(self, status, code=None, **headers):
        body = error_xml(code) if code else b""
        text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{text}\r\n".encode() + body)
        return True

    def until_gone(self):
        """wait until the client closes the connection, or the test ends"""
        try:
            while self.connection.recv(4096):
                pass
        except OSError:
            pass
        return False

    def reset(self):
        """close so that the client gets a RST"""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def etag_of(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


# Troubles. Each is made for the test that names it.


def slow(pause_s=0.01, step=16 << 10):
    def trouble(answer):
        answer.head()
        for at in range(0, len(answer.body), step):
            answer.send(answer.body[at:at + step])
            time.sleep(pause_s)  # what is rehearsed
        return True
    return trouble


def silent(answer):
    return answer.until_gone()


def stalled(part):
    """the first @part of the bytes (0.5: half of them), and then nothing"""
    def trouble(answer):
        answer.head()
        answer.send(answer.body[:int(len(answer.body) * part)])
        return answer.until_gone()
    return trouble


def cut(part, reset=False):
    """the first @part of the bytes, and then the end; a few bytes come whole, so that there is an end to it"""
    def trouble(answer):
        if part and len(answer.body) < 1000:
            return answer.good()
        answer.head()
        answer.send(answer.body[:int(len(answer.body) * part)])
        return answer.reset() if reset else False
    return trouble


def corrupted(at):
    """one byte of the object is another"""
    def trouble(answer):
        if answer.first <= at <= answer.last:
            here = at - answer.first
            answer.body = answer.body[:here] + bytes([answer.body[here] ^ 1]) + answer.body[here + 1:]
        return answer.good()
    return trouble


def truncated(answer):
    """a shorter Content-Length than the Content-Range says"""
    answer.head(length=len(answer.body) // 2)
    answer.send(answer.body[:len(answer.body) // 2])
    return True


def fewer(bytes_at_most):
    """a shorter range than was asked for, rightly named"""
    def trouble(answer):
        answer.body = answer.body[:bytes_at_most]
        answer.last = answer.first + len(answer.body) - 1
        return answer.good()
    return trouble


def shifted(answer):
    """another range than the one asked for"""
    answer.first += 1
    return answer.good()


def whole(answer):
    """200 and the whole object, whatever was asked for"""
    answer.body = answer.object
    answer.ranged = False
    return answer.good()


def refused(status, code=None, **headers):
    return lambda answer: answer.refuse(status, code, **headers)


def busy_until_date(seconds):
    def trouble(answer):
        return answer.refuse("503 Slow Down", "SlowDown", Retry_After=email.utils.formatdate(time.time() + seconds, usegmt=True))
    return trouble


def garbage(answer):
    answer.send(b"220 mail.example.com ESMTP\r\n")
    return False


class FaultyS3:
    kind = "faulty"

    def __init__(self, tls=None):
        self.lock = threading.Condition()
        self.objects, self.open_uploads = {}, {}
        self.asked = []   # (first, last, headers) of each GET below backups/
        self.asked_at = []
        self.troubles = []  # [function, how many times, from which offset on]
        self.ended = 0  # troubles
        self.connections, self.listener = set(), None
        self.tls = tls
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.listen()

    @property
    def settings(self):
        return {"url": f"s3://{BUCKET}/{PREFIX}", "endpoint": f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}",
                "region": "us-east-1", "access_key": "AKIA", "secret_key": "hush", "allow_http": "yes", "addressing": "path"}

    # the network

    def listen(self):
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        with self.lock:
            self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self):
        """nobody listens, and every connection is gone"""
        with self.lock:
            listener, self.listener = self.listener, None
            connections = list(self.connections)
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with self.lock:
            self.connections.add(connection)
        raw = connection
        try:
            if self.tls:
                connection = self.tls.wrap_socket(raw, server_side=True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._one(connection):
                pass
        except (Gone, OSError, ssl.SSLError):
            pass
        finally:
            with self.lock:
                self.connections.discard(raw)
            connection.close()

    def _one(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return False
            data += more
            if data[0] == TLS_HANDSHAKE:  # to a server that speaks none
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return False
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if ": " in line)}
        while len(body) < int(headers.get("content-length", 0)):
            more = connection.recv(1 << 20)
            if not more:
                return False
            body += more
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        key = urllib.parse.unquote(path).removeprefix(f"/{BUCKET}").removeprefix("/").removeprefix(f"{PREFIX}/")
        return self._answer(connection, method, key, dict(urllib.parse.parse_qsl(query, keep_blank_values=True)), headers, body)

    # S3

    def _answer(self, connection, method, key, query, headers, body):
        def reply(status, data=b"", length=None, **more):
            fields = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(data) if length is None else length}\r\n{fields}\r\n".encode() + data)
            return True

        with self.lock:
            found = self.objects.get(key)
        if key and method == "GET" and not query:
            return self._get(Answer(self, connection, headers, found or b""), key, found)
        if key and method == "HEAD":
            return reply("404 Not Found") if found is None else reply("200 OK", length=len(found), ETag=f'"{etag_of(found)}"')
        if method == "PUT" and "partNumber" in query:
            with self.lock:
                self.open_uploads[query["uploadId"]][1][int(query["partNumber"])] = body
            return reply("200 OK", ETag=f'"{etag_of(body)}"')
        if method == "PUT":
            if headers.get("if-none-match") == "*" and found is not None:
                return reply("412 Precondition Failed", error_xml("PreconditionFailed"))
            self.put(key, body)
            return reply("200 OK", ETag=f'"{etag_of(body)}"')
        if method == "POST" and "uploads" in query:
            with self.lock:
                upload = f"upload-{len(self.open_uploads)}-{etag_of(key.encode())}"
                self.open_uploads[upload] = (key, {})
            return reply("200 OK", f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode())
        if method == "POST":
            with self.lock:
                _, parts = self.open_uploads.pop(query["uploadId"])
            numbers = [int(n) for n in re.findall(rb"<PartNumber>(\d+)</PartNumber>", body)]
            self.put(key, b"".join(parts[n] for n in numbers))
            return reply("200 OK", f'<CompleteMultipartUploadResult><ETag>"{etag_of(self.get(key))}"</ETag></CompleteMultipartUploadResult>'.encode())
        if method == "DELETE":
            with self.lock:
                (self.open_uploads.pop(query["uploadId"], None) if "uploadId" in query else self.objects.pop(key, None))
            return reply("204 No Content")
        if "uploadId" in query and query["uploadId"] not in self.open_uploads:  # are there parts of it?
            return reply("404 Not Found", error_xml("NoSuchUpload"))
        return reply("200 OK", self._list(query))

    def _list(self, query):
        prefix = query.get("prefix", "").removeprefix(f"{PREFIX}/")
        with self.lock:
            if "uploads" in query:
                items = "".join(f"<Upload><Key>{PREFIX}/{key}</Key><UploadId>{upload}</UploadId></Upload>"
                                for upload, (key, _) in self.open_uploads.items())
                return f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{items}</ListMultipartUploadsResult>".encode()
            after = query.get("start-after", "").removeprefix(f"{PREFIX}/")
            items = "".join(f'<Contents><Key>{PREFIX}/{key}</Key><Size>{len(data)}</Size><ETag>"{etag_of(data)}"</ETag></Contents>'
                            for key, data in sorted(self.objects.items()) if key.startswith(prefix) and key > after)
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()

    def _get(self, answer, key, found):
        trouble = None
        if key.startswith("backups/"):
            with self.lock:
                self.asked.append((answer.first, answer.last, answer.headers))
                self.asked_at.append(time.monotonic())
                self.lock.notify_all()
                for one in self.troubles:
                    if one[1] > 0 and answer.last >= one[2]:
                        one[1] -= 1
                        trouble = one[0]
                        break
        if trouble:
            try:
                return trouble(answer)
            finally:
                with self.lock:
                    self.ended += 1
                    self.lock.notify_all()
        if found is None:
            return answer.refuse("404 Not Found", "NoSuchKey")
        match = answer.headers.get("if-match")
        if match and match.strip('"') != answer.etag:
            return answer.refuse("412 Precondition Failed", "PreconditionFailed")
        return answer.good()

    # for tests

    def trouble(self, function, times=float("inf"), from_offset=0):
        """@times: gets; @from_offset: only those that reach it"""
        with self.lock:
            self.troubles.append([function, times, from_offset])

    def calm(self):
        with self.lock:
            self.troubles.clear()

    def wait(self, condition, what, deadline_s=60):
        """until @condition() holds, which is looked at with the lock when something was asked or a trouble ended"""
        with self.lock:
            assert self.lock.wait_for(condition, deadline_s), f"still waiting: {what}"

    def wait_asked(self, count):
        self.wait(lambda: len(self.asked) >= count, f"{count} gets")

    def reset(self, objects):
        self.calm()
        with self.lock:
            self.objects = dict(objects)
            self.open_uploads.clear()
            self.asked.clear()
            self.asked_at.clear()
            self.ended = 0
            closed = self.listener is None
        if closed:
            self.listen()

    def keys(self):
        with self.lock:
            return sorted(self.objects)

    def uploads(self):
        with self.lock:
            return sorted(key for key, _ in self.open_uploads.values())

    def get(self, key):
        with self.lock:
            return self.objects[key]

    def put(self, key, data):
        with self.lock:
            self.objects[key] = data

    def remove(self, key):
        with self.lock:
            del self.objects[key]

    def clear(self):
        self.reset({})
