# SPDX-License-Identifier: Apache-2.0
"""An S3 server that is as strict as the documentation of a provider says: what that provider refuses is refused, in its words.

Profiles hold what docs/operations.md ("Providers") tells of each, written down a second time, so that a mistake in the table of the program is
seen. Every request must be signed (SigV4, with the right region, over all x-amz-… headers and the real hash of its body); objects are in memory.
`asked` holds what came: (method, key, query, headers, status).
"""
import base64
import calendar
import collections
import email.utils
import hashlib
import hmac
import http.server
import re
import threading
import time
import urllib.parse
import uuid
from xml.sax.saxutils import escape

BUCKET, PREFIX = "strict", "pre"
ACCESS_KEY, SECRET_KEY = "AKIASTRICT", "hush/+hush"
SKEW_S = 900
MIB = 1 << 20
AWS_NS = "http://s3.amazonaws.com/doc/2006-03-01/"


class Profile:
    def __init__(self, name, regions, **more):
        self.name = name
        self.regions = regions          # that a signature may name; the first is the bucket's
        self.conditional = "yes"        # put If-None-Match: yes, refused (501), ignored
        self.equal_parts = False
        self.min_part, self.max_part, self.max_parts = 5 * MIB, 5 << 30, 10000
        self.refused_headers = ()       # 501
        self.ignored_if_match_put = False
        self.versions = "off"           # off, always
        self.locks = False              # object lock is enabled: only where versions are kept
        self.classes = CLASSES          # others are refused
        self.list_page = 1000           # keys in an answer, whatever was asked for
        self.namespace = AWS_NS
        self.quoted_etags = True
        self.etag = "md5"               # md5; opaque: no hash of anything
        self.empty_messages = False
        self.busy = ("503 Slow Down", "SlowDown")
        self.mixed_headers = True       # x-goog-… beside x-amz-…
        self.virtual = True
        self.__dict__.update(more)


ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
CLASSES = ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", *ARCHIVES)
SSE = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
LOCK = ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold")
CHECKSUM = ("x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-sha256", "x-amz-sdk-checksum-algorithm")

PROFILES = {p.name: p for p in (
    Profile("aws", ["eu-central-1"]),
    Profile("gcs", ["auto"], conditional="ignored", refused_headers=(*SSE, *LOCK), namespace="http://doc.s3.amazonaws.com/2006-03-01",
            etag="opaque", mixed_headers=False, busy=("429 Too Many Requests", "SlowDown")),
    Profile("b2", ["us-west-004"], conditional="refused", max_part=5 * 10**9, versions="always", refused_headers=(SSE[1], *CHECKSUM)),
    Profile("wasabi", ["us-east-1"], conditional="ignored", quoted_etags=True, refused_headers=(SSE[1],)),
    Profile("spaces", ["fra1"], conditional="refused", refused_headers=(*SSE, *LOCK), quoted_etags=False, list_page=100),
    Profile("minio", ["us-east-1"], namespace=AWS_NS),
    Profile("r2", ["auto", "us-east-1", ""], equal_parts=True, max_part=(5 << 30) - 5 * MIB, refused_headers=(*SSE, *LOCK, "x-amz-acl", "x-amz-tagging",
            "x-amz-expected-bucket-owner"), busy=("429 Too Many Requests", "TooManyRequests")),
    Profile("hetzner", ["fsn1"], refused_headers=SSE, empty_messages=True, namespace=None),
)}


class Refusal(Exception):
    def __init__(self, status, code, message="", headers=(), more=""):
        super().__init__(code)
        self.status, self.code, self.message, self.headers, self.more = status, code, message, dict(headers), more


class Thing:
    """one version of an object"""

    def __init__(self, data, etag, version, storage_class="STANDARD"):
        self.data, self.etag, self.version, self.storage_class = data, etag, version, storage_class
        self.thawing, self.ready_until = False, None  # of RestoreObject; ready_until: of the client's clock
        self.mode = self.retain_until = None
        self.hold = False

    def is_frozen(self, now):
        return self.storage_class in ARCHIVES and (self.thawing or self.ready_until is None or self.ready_until <= now)


class StrictS3:
    kind = "strict"

    def __init__(self, profile, busy_every=0):
        """@busy_every: one of so many requests is refused, as the provider refuses when it has too many"""
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.lock = threading.RLock()
        self.things = {}       # key -> [versions, oldest first]; data None: a delete marker
        self.open_uploads = {}  # id -> (key, {number: (data, etag)})
        self.asked = []
        self.busy_every, self.count = busy_every, 0
        self.answers = []       # refusals for the next requests, whatever they are
        self.allowed = None     # (method, what) -> bool: rights; None: all
        self.peak_parts = collections.Counter()
        self.skew_s = SKEW_S
        self.ahead_s = 0        # by how much the clock of the tests is ahead of this host's
        self.upload_classes = {}
        self.gate = None        # called before each answer, without a lock, with (method, query, headers): it may wait
        self.thaws = []         # (key, days, tier) that were asked for
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    @property
    def settings(self):
        return {"url": f"s3://{BUCKET}/{PREFIX}", "provider": self.profile.name, "endpoint": f"http://127.0.0.1:{self.port}",
                "region": self.profile.regions[0], "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "allow_http": "yes"}

    # what the harness and the tests look at

    def all_keys(self):
        with self.lock:
            return sorted(key.removeprefix(f"{PREFIX}/") for key, them in self.things.items() if them[-1].data is not None)

    def keys(self):
        return [key for key in self.all_keys() if not key.startswith("catalog/")]

    def uploads(self):
        with self.lock:
            return sorted(key.removeprefix(f"{PREFIX}/") for key, _ in self.open_uploads.values())

    def get(self, key):
        with self.lock:
            return self.things[f"{PREFIX}/{key}"][-1].data

    def put(self, key, data):
        with self.lock:
            self._store(f"{PREFIX}/{key}", data, None)

    def now(self):
        return time.time() + self.ahead_s

    def class_of(self, key):
        with self.lock:
            return self.things[f"{PREFIX}/{key}"][-1].storage_class

    def transition(self, key, storage_class):
        """what a lifecycle rule of the bucket does: the same version, in another class"""
        with self.lock:
            self.things[f"{PREFIX}/{key}"][-1].storage_class = storage_class

    def finish_thaws(self, days=7):
        """hours have passed"""
        with self.lock:
            for them in self.things.values():
                for thing in them:
                    if thing.thawing:
                        thing.thawing, thing.ready_until = False, self.now() + days * 86400

    def remove(self, key):
        with self.lock:
            self.things.pop(f"{PREFIX}/{key}", None)

    def clear(self):
        with self.lock:
            self.things.clear()
            self.open_uploads.clear()

    def statuses(self, method=None):
        with self.lock:
            return collections.Counter(a[4].split()[0] for a in self.asked if method in (None, a[0]))

    # objects

    def _etag(self, data, parts=None):
        if self.profile.etag == "opaque" and parts is not None:
            return f"CJ{uuid.uuid4().hex[:12]}="
        if parts is None:
            return hashlib.md5(data, usedforsecurity=False).hexdigest()
        digest = hashlib.md5(b"".join(hashlib.md5(p, usedforsecurity=False).digest() for p in parts), usedforsecurity=False)
        return f"{digest.hexdigest()}-{len(parts)}"

    def _store(self, key, data, parts, storage_class="STANDARD"):
        thing = Thing(data, self._etag(data, parts), uuid.uuid4().hex, storage_class)
        if self.profile.versions == "always":
            self.things.setdefault(key, []).append(thing)
        else:
            self.things[key] = [thing]
        return thing

    def _find(self, key):
        them = self.things.get(key)
        return them[-1] if them and them[-1].data is not None else None

    def quoted(self, etag):
        return f'"{etag}"' if self.profile.quoted_etags else etag


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    # the frame

    def _serve(self):
        owner, profile = self.owner, self.owner.profile
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.path_raw, _, query = self.path.partition("?")
        self.pairs = [tuple(urllib.parse.unquote(x) for x in (p.partition("=")[0], p.partition("=")[2])) for p in query.split("&") if p]
        self.query = dict(self.pairs)
        self.key, self.sent = None, "000"
        try:
            self._look_for_trouble()
            if owner.gate:
                owner.gate(self.command, self.query, self.headers)
            self._address()
            self._verify()
            self._check_headers()
            with owner.lock:
                self._check_rights()
                self._answer()
            self._send()  # a client that reads slowly holds nobody up
        except Refusal as r:
            message = "" if profile.empty_messages else escape(r.message or "a refusal as documented")
            body = (f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{r.code}</Code><Message>{message}</Message>{r.more}'
                    f"<RequestId>R{owner.count}</RequestId></Error>").encode()
            self._reply(r.status, body, {"Content-Type": "application/xml", **r.headers})
            self._send()
        finally:
            with owner.lock:
                owner.asked.append((self.command, self.key, self.query, {k.lower(): v for k, v in self.headers.items()}, self.sent))

    def _look_for_trouble(self):
        owner = self.owner
        with owner.lock:
            owner.count += 1
            if owner.answers:
                raise owner.answers.pop(0)
            if owner.busy_every and owner.count % owner.busy_every == 0:
                raise Refusal(*owner.profile.busy, "Please reduce your request rate.", {"Retry-After": "0"})

    def _reply(self, status, body=b"", headers=()):
        self.sent, self.answer = status, (status, body, headers)

    def _send(self):
        status, body, headers = self.answer
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        fields = dict(headers)
        fields.setdefault("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _address(self):
        host = self.headers["host"].partition(":")[0]
        path = urllib.parse.unquote(self.path_raw).lstrip("/")
        if host.startswith(f"{BUCKET}."):
            self.bucket, self.key = BUCKET, path or None
        else:
            self.bucket, _, self.key = path.partition("/")
            self.key = self.key or None

    # SigV4

    def _verify(self):
        profile = self.owner.profile
        if "X-Amz-Signature" in self.query:
            return self._verify_presigned()
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]*)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
                             self.headers.get("authorization", ""))
        if not found:
            raise Refusal("403 Forbidden", "AccessDenied", "no signature of version 4")
        key, day, region, names, signature = found.groups()
        if key != ACCESS_KEY:
            raise Refusal("403 Forbidden", "InvalidAccessKeyId")
        if region not in profile.regions:
            raise Refusal("400 Bad Request", "AuthorizationHeaderMalformed", f"the region '{region}' is wrong; expecting '{profile.regions[0]}'",
                          more=f"<Region>{profile.regions[0]}</Region>")
        stamp = self.headers.get("x-amz-date", "")
        self._check_time(stamp, day)
        signed = names.split(";")
        needed = {"host", *(n.lower() for n in self.headers if n.lower().startswith("x-amz-"))}
        if not needed <= set(signed) or signed != sorted(signed):
            raise Refusal("403 Forbidden", "AccessDenied", f"There were headers present in the request which were not signed: {sorted(needed - set(signed))}")
        claimed = self.headers.get("x-amz-content-sha256")
        if not claimed:
            raise Refusal("400 Bad Request", "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        if claimed.startswith("STREAMING-"):
            raise Refusal("501 Not Implemented", "NotImplemented")
        if claimed != hashlib.sha256(self.body).hexdigest():
            raise Refusal("400 Bad Request", "XAmzContentSHA256Mismatch")
        headers = "".join(f"{n}:{' '.join(self.headers[n].split())}\n" for n in signed)
        canonical = "\n".join([self.command, self.path_raw, self._canonical_query(self.pairs), headers, names, claimed])
        if not hmac.compare_digest(signature, self._sign(stamp, region, canonical)):
            raise Refusal("403 Forbidden", "SignatureDoesNotMatch")
        md5 = self.headers.get("content-md5")
        if md5 and base64.b64encode(hashlib.md5(self.body, usedforsecurity=False).digest()).decode() != md5:
            raise Refusal("400 Bad Request", "BadDigest")

    def _verify_presigned(self):
        q = self.query
        _, day, region, _, _ = q["X-Amz-Credential"].split("/")
        if region not in self.owner.profile.regions:
            raise Refusal("400 Bad Request", "AuthorizationQueryParametersError")
        if not 1 <= int(q["X-Amz-Expires"]) <= 604800:
            raise Refusal("400 Bad Request", "AuthorizationQueryParametersError", "X-Amz-Expires must be less than a week")
        made = calendar.timegm(time.strptime(q["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
        if self.owner.now() > made + int(q["X-Amz-Expires"]):
            raise Refusal("403 Forbidden", "AccessDenied", "Request has expired")
        pairs = [p for p in self.pairs if p[0] != "X-Amz-Signature"]
        canonical = "\n".join([self.command, self.path_raw, self._canonical_query(pairs), f"host:{self.headers['host']}\n", "host", "UNSIGNED-PAYLOAD"])
        if not hmac.compare_digest(q["X-Amz-Signature"], self._sign(q["X-Amz-Date"], region, canonical)):
            raise Refusal("403 Forbidden", "SignatureDoesNotMatch")
        self.query = {name: value for name, value in q.items() if not name.startswith("X-Amz-")}

    @staticmethod
    def _canonical_query(pairs):
        quote = lambda text: urllib.parse.quote(text, safe="-_.~")  # noqa: E731
        return "&".join(f"{n}={v}" for n, v in sorted((quote(n), quote(v)) for n, v in pairs))

    @staticmethod
    def _sign(stamp, region, canonical):
        key = ("AWS4" + SECRET_KEY).encode()
        for part in (stamp[:8], region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, f"{stamp[:8]}/{region}/s3/aws4_request", hashlib.sha256(canonical.encode()).hexdigest()])
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def _check_time(self, stamp, day):
        try:
            at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
        except ValueError:
            raise Refusal("403 Forbidden", "AccessDenied", "no x-amz-date") from None
        if stamp[:8] != day or abs(self.owner.now() - at) > self.owner.skew_s:
            raise Refusal("403 Forbidden", "RequestTimeTooSkewed")

    def _check_headers(self):
        profile = self.owner.profile
        names = {n.lower() for n in self.headers}
        for name in sorted(names & set(profile.refused_headers)):
            raise Refusal("501 Not Implemented", "NotImplemented", f"Header '{name}' with value '{self.headers[name]}' not implemented")
        if not profile.mixed_headers and any(n.startswith("x-goog-") for n in names):
            raise Refusal("400 Bad Request", "ExcessHeaderValues", "Requests cannot specify both x-amz and x-goog headers")
        if self.command == "PUT" and {"if-none-match", "if-match"} & names and profile.conditional == "refused":
            raise Refusal("501 Not Implemented", "NotImplemented", "A header you provided implies functionality that is not implemented")
        if self.command == "PUT" and "content-length" not in names:
            raise Refusal("411 Length Required", "MissingContentLength")

    def _check_rights(self):
        if self.owner.allowed and not self.owner.allowed(self.command, self.key, self.query):
            raise Refusal("403 Forbidden", "AccessDenied")

    # the operations

    def _answer(self):
        if self.bucket != BUCKET:
            raise Refusal("404 Not Found", "NoSuchBucket")
        if self.key and len(self.key.encode()) > 1024:
            raise Refusal("400 Bad Request", "KeyTooLongError")
        # In this order: what the query says is the operation.
        operations = [("GET", "object-lock", self._get_bucket_lock), ("GET", "versioning", self._get_versioning),
                      ("GET", "retention", self._get_retention), ("PUT", "retention", self._put_retention),
                      ("GET", "legal-hold", self._get_hold), ("PUT", "legal-hold", self._put_hold), ("POST", "restore", self._restore),
                      ("GET", "uploads", self._list_uploads), ("GET", "versions", self._list_versions), ("GET", "list-type", self._list),
                      ("POST", "uploads", self._begin), ("PUT", "partNumber", self._part), ("POST", "uploadId", self._complete),
                      ("DELETE", "uploadId", self._abort), ("GET", "uploadId", self._list_parts), ("GET", None, self._get), ("HEAD", None, self._get),
                      ("PUT", None, self._put), ("DELETE", None, self._delete)]
        for method, word, function in operations:
            if method == self.command and (word in self.query if word else self.key and set(self.query) <= {"versionId"}):
                return function()
        raise Refusal("501 Not Implemented", "NotImplemented")

    def _xml(self, name, inner):
        namespace = f' xmlns="{self.owner.profile.namespace}"' if self.owner.profile.namespace else ""
        return self._reply("200 OK", f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}{namespace}>{inner}</{name}>'.encode(),
                           {"Content-Type": "application/xml"})

    def _put(self):
        owner = self.owner
        there = owner._find(self.key)
        if owner.profile.conditional == "yes":
            if self.headers.get("if-none-match") == "*" and there:
                raise Refusal("412 Precondition Failed", "PreconditionFailed")
            match = self.headers.get("if-match")
            if match and (not there or match.strip('"') != there.etag):
                raise Refusal("412 Precondition Failed", "PreconditionFailed")
        if len(self.body) > owner.profile.max_part:
            raise Refusal("400 Bad Request", "EntityTooLarge")
        thing = owner._store(self.key, self.body, None, self._class())
        self._lock_from_headers(thing)
        self._reply("200 OK", headers={"ETag": owner.quoted(thing.etag), **self._sse(), **self._version(thing)})

    # storage classes and locks

    def _class(self):
        wanted = self.headers.get("x-amz-storage-class", "STANDARD")
        if wanted not in self.owner.profile.classes:
            raise Refusal("400 Bad Request", "InvalidStorageClass", "The storage class you specified is not valid")
        return wanted

    def _refuse_frozen(self, thing):
        if thing.is_frozen(self.owner.now()):
            raise Refusal("403 Forbidden", "InvalidObjectState", "The operation is not valid for the object's storage class",
                          more=f"<StorageClass>{thing.storage_class}</StorageClass>")

    def _class_headers(self, thing):
        fields = {} if thing.storage_class == "STANDARD" else {"x-amz-storage-class": thing.storage_class}
        if thing.thawing:
            fields["x-amz-restore"] = 'ongoing-request="true"'
        elif thing.ready_until and thing.ready_until > self.owner.now():
            fields["x-amz-restore"] = f'ongoing-request="false", expiry-date="{email.utils.formatdate(thing.ready_until, usegmt=True)}"'
        if thing.mode:
            fields.update({"x-amz-object-lock-mode": thing.mode, "x-amz-object-lock-retain-until-date": thing.retain_until})
        if self.owner.profile.locks:
            fields["x-amz-object-lock-legal-hold"] = "ON" if thing.hold else "OFF"
        return fields

    def _there(self):
        thing = self.owner._find(self.key)
        if not thing:
            raise Refusal("404 Not Found", "NoSuchKey")
        return thing

    def _restore(self):
        thing = self._there()
        days, tier = re.search(rb"<Days>(\d+)</Days>", self.body), re.search(rb"<Tier>(\w+)</Tier>", self.body)
        if thing.storage_class not in ARCHIVES:
            raise Refusal("403 Forbidden", "InvalidObjectState", "Restore is not allowed for the object's current storage class",
                          more=f"<StorageClass>{thing.storage_class}</StorageClass>")
        if thing.storage_class == "DEEP_ARCHIVE" and tier.group(1) == b"Expedited":
            raise Refusal("400 Bad Request", "InvalidArgument", "Expedited is not supported for DEEP_ARCHIVE")
        if thing.thawing:
            raise Refusal("409 Conflict", "RestoreAlreadyInProgress", "Object restore is already in progress")
        self.owner.thaws.append((self.key, int(days.group(1)), tier.group(1).decode()))
        if thing.ready_until and thing.ready_until > self.owner.now():
            thing.ready_until = self.owner.now() + int(days.group(1)) * 86400
            return self._reply("200 OK")
        thing.thawing = True
        return self._reply("202 Accepted")

    def _get_versioning(self):
        return self._xml("VersioningConfiguration", "<Status>Enabled</Status>" if self.owner.profile.versions == "always" else "")

    def _get_bucket_lock(self):
        if not self.owner.profile.locks:
            raise Refusal("404 Not Found", "ObjectLockConfigurationNotFoundError")
        return self._xml("ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>")

    def _lock_from_headers(self, thing):
        if not self.owner.profile.locks:
            return
        thing.mode, thing.retain_until = self.headers.get(LOCK[0]), self.headers.get(LOCK[1])
        thing.hold = self.headers.get(LOCK[2]) == "ON"

    def _get_retention(self):
        thing = self._there()
        if not thing.mode:
            raise Refusal("404 Not Found", "NoSuchObjectLockConfiguration")
        return self._xml("Retention", f"<Mode>{thing.mode}</Mode><RetainUntilDate>{thing.retain_until}</RetainUntilDate>")

    def _put_retention(self):
        thing = self._there()
        mode, until = (re.search(f"<{name}>(.*?)</{name}>", self.body.decode()).group(1) for name in ("Mode", "RetainUntilDate"))
        if thing.retain_until and until < thing.retain_until:
            raise Refusal("403 Forbidden", "AccessDenied", "the lock would be shorter")
        thing.mode, thing.retain_until = mode, until
        return self._reply("200 OK")

    def _get_hold(self):
        return self._xml("LegalHold", f"<Status>{'ON' if self._there().hold else 'OFF'}</Status>")

    def _put_hold(self):
        self._there().hold = b">ON<" in self.body
        return self._reply("200 OK")

    def _sse(self):
        name = "x-amz-server-side-encryption"
        return {name: self.headers[name]} if name in self.headers else {}

    def _version(self, thing):
        return {"x-amz-version-id": thing.version} if self.owner.profile.versions == "always" else {}

    def _get(self):
        thing = self.owner._find(self.key)
        if not thing:
            raise Refusal("404 Not Found", "NoSuchKey")
        match = self.headers.get("if-match")
        if match and match.strip('"') != thing.etag:
            raise Refusal("412 Precondition Failed", "PreconditionFailed")
        if self.command == "GET":
            self._refuse_frozen(thing)
        fields = {"ETag": self.owner.quoted(thing.etag), "Accept-Ranges": "bytes", **self._version(thing), **self._class_headers(thing)}
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if not found or self.command == "HEAD":
            return self._reply("200 OK", thing.data, {**fields, "Content-Length": str(len(thing.data))})
        first, last = int(found.group(1)), min(int(found.group(2) or 1 << 62), len(thing.data) - 1)
        if first > last:
            raise Refusal("416 Requested Range Not Satisfiable", "InvalidRange")
        return self._reply("206 Partial Content", thing.data[first:last + 1],
                           {**fields, "Content-Range": f"bytes {first}-{last}/{len(thing.data)}"})

    def _delete(self):
        owner = self.owner
        them = owner.things.get(self.key, [])
        if "versionId" in self.query:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(owner.now()))
            if any(t.version == self.query["versionId"] and (t.hold or (t.retain_until or "") > now) for t in them):
                raise Refusal("403 Forbidden", "AccessDenied", "the version is locked")
            left = [t for t in them if t.version != self.query["versionId"]]
            if left:
                owner.things[self.key] = left
            else:
                owner.things.pop(self.key, None)
            return self._reply("204 No Content", headers={"x-amz-version-id": self.query["versionId"]})
        if owner.profile.versions == "always":
            marker = Thing(None, "", uuid.uuid4().hex)
            owner.things.setdefault(self.key, []).append(marker)
            return self._reply("204 No Content", headers={"x-amz-delete-marker": "true", "x-amz-version-id": marker.version})
        owner.things.pop(self.key, None)
        return self._reply("204 No Content")

    def _list(self):
        q, profile = self.query, self.owner.profile
        if q["list-type"] != "2":
            raise Refusal("400 Bad Request", "InvalidArgument")
        most = min(int(q.get("max-keys", 1000)), profile.list_page, 1000)
        after = base64.urlsafe_b64decode(q["continuation-token"]).decode() if "continuation-token" in q else q.get("start-after", "")
        keys = sorted((k for k, t in self.owner.things.items() if t[-1].data is not None and k.startswith(q.get("prefix", "")) and k > after),
                      key=lambda k: k.encode())
        page, more = keys[:most], len(keys) > most
        encode = urllib.parse.quote if q.get("encoding-type") == "url" else escape
        items = "".join(f"<Contents><Key>{encode(k)}</Key><LastModified>2026-11-30T00:00:00.000Z</LastModified>"
                        f"<ETag>{escape(self.owner.quoted(self.owner.things[k][-1].etag), {chr(34): '&quot;'})}</ETag>"
                        f"<Size>{len(self.owner.things[k][-1].data)}</Size><StorageClass>{self.owner.things[k][-1].storage_class}</StorageClass></Contents>" for k in page)
        token = f"<NextContinuationToken>{base64.urlsafe_b64encode(page[-1].encode()).decode()}</NextContinuationToken>" if more and page else ""
        return self._xml("ListBucketResult", f"<Name>{BUCKET}</Name><Prefix>{encode(q.get('prefix', ''))}</Prefix><KeyCount>{len(page)}</KeyCount>"
                                             f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}")

    def _list_versions(self):
        if self.owner.profile.versions != "always":
            raise Refusal("501 Not Implemented", "NotImplemented")
        items = ""
        for key in sorted(k for k in self.owner.things if k.startswith(self.query.get("prefix", ""))):
            for thing in reversed(self.owner.things[key]):
                kind = "DeleteMarker" if thing.data is None else "Version"
                items += f"<{kind}><Key>{escape(key)}</Key><VersionId>{thing.version}</VersionId><IsLatest>false</IsLatest></{kind}>"
        return self._xml("ListVersionsResult", f"<IsTruncated>false</IsTruncated>{items}")

    def _list_uploads(self):
        q = self.query
        mark = (q.get("key-marker", ""), q.get("upload-id-marker", ""))
        found = sorted((key, one) for one, (key, _) in self.owner.open_uploads.items() if key.startswith(q.get("prefix", "")) and (key, one) > mark)
        page, more = found[:2], len(found) > 2  # so that the second page is tried, too
        items = "".join(f"<Upload><Key>{escape(key)}</Key><UploadId>{one}</UploadId></Upload>" for key, one in page)
        following = f"<NextKeyMarker>{escape(page[-1][0])}</NextKeyMarker><NextUploadIdMarker>{page[-1][1]}</NextUploadIdMarker>" if more else ""
        return self._xml("ListMultipartUploadsResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{following}{items}")

    # uploads in parts

    def _begin(self):
        one, storage_class = uuid.uuid4().hex, self._class()
        self.owner.open_uploads[one] = (self.key, {})
        self.owner.upload_classes[one] = storage_class
        return self._xml("InitiateMultipartUploadResult", f"<Bucket>{BUCKET}</Bucket><Key>{escape(self.key)}</Key><UploadId>{one}</UploadId>")

    def _upload(self):
        found = self.owner.open_uploads.get(self.query["uploadId"])
        if not found or found[0] != self.key:
            raise Refusal("404 Not Found", "NoSuchUpload")
        return found[1]

    def _part(self):
        profile, parts = self.owner.profile, self._upload()
        number = int(self.query["partNumber"])
        if not 1 <= number <= profile.max_parts:
            raise Refusal("400 Bad Request", "InvalidArgument", f"Part number must be an integer between 1 and {profile.max_parts}, inclusive")
        if "x-amz-copy-source" in self.headers:
            return self._part_copy(number, parts)
        if len(self.body) > profile.max_part:
            raise Refusal("400 Bad Request", "EntityTooLarge")
        etag = hashlib.md5(self.body, usedforsecurity=False).hexdigest()
        parts[number] = (self.body, etag)
        return self._reply("200 OK", headers={"ETag": self.owner.quoted(etag)})

    def _part_copy(self, number, parts):
        bucket, _, key = urllib.parse.unquote(self.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        source = self.owner._find(key) if bucket == BUCKET else None
        if not source:
            raise Refusal("404 Not Found", "NoSuchKey")
        match = self.headers.get("x-amz-copy-source-if-match")
        if match and match.strip('"') != source.etag:
            raise Refusal("412 Precondition Failed", "PreconditionFailed")
        self._refuse_frozen(source)
        if "x-amz-copy-source-range" not in self.headers:
            first, last = 0, len(source.data) - 1
        elif len(source.data) <= 5 * MIB:
            raise Refusal("400 Bad Request", "InvalidRequest", "The specified copy source is not supported as a byte-range copy source")
        else:
            first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["x-amz-copy-source-range"]).groups())
        if last >= len(source.data):
            raise Refusal("400 Bad Request", "InvalidArgument", "the range is beyond the object")
        data = source.data[first:last + 1]
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        parts[number] = (data, etag)
        return self._xml("CopyPartResult", f"<LastModified>2026-11-30T00:00:00.000Z</LastModified><ETag>{escape(self.owner.quoted(etag), {chr(34): '&quot;'})}</ETag>")

    def _complete(self):
        owner, profile, parts = self.owner, self.owner.profile, self._upload()
        listed = [(int(n), e.replace("&quot;", '"').strip('"')) for n, e in
                  re.findall(r"<PartNumber>(\d+)</PartNumber>\s*<ETag>(.*?)</ETag>", self.body.decode())]
        if not listed:
            raise Refusal("400 Bad Request", "MalformedXML")
        if [n for n, _ in listed] != sorted({n for n, _ in listed}):
            raise Refusal("400 Bad Request", "InvalidPartOrder")
        for number, etag in listed:
            if number not in parts or parts[number][1] != etag:
                raise Refusal("400 Bad Request", "InvalidPart")
        sizes = [len(parts[n][0]) for n, _ in listed]
        if any(size < profile.min_part for size in sizes[:-1]):
            raise Refusal("400 Bad Request", "EntityTooSmall")
        if profile.equal_parts and (len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]):
            raise Refusal("400 Bad Request", "InvalidPart", "All non-trailing parts must have the same length.")
        if profile.conditional == "yes" and self.headers.get("if-none-match") == "*" and owner._find(self.key):
            raise Refusal("412 Precondition Failed", "PreconditionFailed")
        data = [parts[n][0] for n, _ in listed]
        thing = owner._store(self.key, b"".join(data), data, owner.upload_classes.pop(self.query["uploadId"]))
        del owner.open_uploads[self.query["uploadId"]]
        owner.peak_parts[self.key] = len(data)
        return self._xml("CompleteMultipartUploadResult", f"<Bucket>{BUCKET}</Bucket><Key>{escape(self.key)}</Key>"
                                                          f"<ETag>{escape(owner.quoted(thing.etag), {chr(34): '&quot;'})}</ETag>")

    def _abort(self):
        self._upload()
        del self.owner.open_uploads[self.query["uploadId"]]
        return self._reply("204 No Content")

    def _list_parts(self):
        items = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag><Size>{len(d)}</Size></Part>" for n, (d, e) in sorted(self._upload().items()))
        return self._xml("ListPartsResult", f"<IsTruncated>false</IsTruncated>{items}")
