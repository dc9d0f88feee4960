# SPDX-License-Identifier: Apache-2.0
"""A small S3 client of the tests' own, to look into a bucket without keepfs: http.client and Signature Version 4."""
import base64
import datetime
import hashlib
import hmac
import http.client
import json
import re
import urllib.parse


class S3Error(Exception):
    pass


def _encoded(query):
    return "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(str(v), safe='-_.~')}"
                    for k, v in sorted(dict(query).items()))


def _now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


class S3Client:
    def __init__(self, endpoint, region, access_key, secret_key, bucket):
        url = urllib.parse.urlsplit(endpoint)
        self.host, self.port = url.hostname, url.port
        self.region, self.access_key, self.secret_key, self.bucket = region, access_key, secret_key, bucket

    def _path(self, key):
        return urllib.parse.quote(f"/{self.bucket}/{key}" if key else f"/{self.bucket}", safe="/-_.~")

    def _scope(self, stamp):
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def _signature(self, stamp, canonical):
        key = ("AWS4" + self.secret_key).encode()
        for part in self._scope(stamp).split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, self._scope(stamp), hashlib.sha256(canonical.encode()).hexdigest()])
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def url(self, key, valid_s):
        """that anybody may get the object with, for so long"""
        path, stamp, host = self._path(key), _now(), f"{self.host}:{self.port}"
        pairs = _encoded({"X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{self.access_key}/{self._scope(stamp)}",
                          "X-Amz-Date": stamp, "X-Amz-Expires": valid_s, "X-Amz-SignedHeaders": "host"})
        signature = self._signature(stamp, "\n".join(["GET", path, pairs, f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"]))
        return f"http://{host}{path}?{pairs}&X-Amz-Signature={signature}"

    def request(self, method, key="", query=(), body=b"", more_headers=()):
        path = self._path(key)
        pairs = _encoded(query)
        stamp = _now()
        payload = hashlib.sha256(body).hexdigest()
        headers = {"host": f"{self.host}:{self.port}", "x-amz-content-sha256": payload, "x-amz-date": stamp, **dict(more_headers)}
        names = ";".join(sorted(headers))
        signature = self._signature(stamp, "\n".join([method, path, pairs, *(f"{n}:{headers[n]}" for n in sorted(headers)), "",
                                                      names, payload]))
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self._scope(stamp)},SignedHeaders={names},"
                                    f"Signature={signature}")
        del headers["host"]
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, path + ("?" + pairs if pairs else ""), body=body or None, headers=headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status // 100 != 2:
            raise S3Error(f"{method} {path}: {answer.status} {data[:300]!r}")
        self.headers = {name.lower(): value for name, value in answer.getheaders()}  # of the last answer
        return data

    def _pages(self, query, element):
        token = None
        while True:
            text = self.request("GET", query={**query, **({"continuation-token": token} if token else {})}).decode()
            yield from re.findall(f"<{element}>(.*?)</{element}>", text, re.S)
            following = re.search("<NextContinuationToken>(.*?)</NextContinuationToken>", text)
            if not following:
                return
            token = following.group(1)

    def keys(self, prefix):
        return sorted(re.search("<Key>(.*?)</Key>", item, re.S).group(1)
                      for item in self._pages({"list-type": "2", "prefix": prefix}, "Contents"))

    def uploads(self, prefix):
        found = [re.search("<Key>(.*?)</Key>", item).group(1) for item in self._pages({"uploads": ""}, "Upload")]
        return sorted(key for key in found if key.startswith(prefix))

    def get(self, key):
        return self.request("GET", key)

    def put(self, key, data):
        self.request("PUT", key, body=data)

    def remove(self, key):
        self.request("DELETE", key)

    def create_bucket(self, can_lock=False):
        """with object lock the bucket keeps versions from the beginning"""
        self.request("PUT", more_headers={"x-amz-bucket-object-lock-enabled": "true"} if can_lock else {})

    def set_policy(self, policy):
        self.request("PUT", query={"policy": ""}, body=json.dumps(policy).encode())

    def remove_policy(self):
        self.request("DELETE", query={"policy": ""})

    def keep_versions(self):
        self.request("PUT", query={"versioning": ""}, body=b"<VersioningConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
                                                           b"<Status>Enabled</Status></VersioningConfiguration>")

    def versions(self, prefix=""):
        """(key, id of the version, whether it is a delete marker)"""
        text = self.request("GET", query={"versions": "", "prefix": prefix}).decode()
        entries = re.findall("<(Version|DeleteMarker)>(.*?)</(?:Version|DeleteMarker)>", text, re.S)
        return [(re.search("<Key>(.*?)</Key>", entry).group(1), re.search("<VersionId>(.*?)</VersionId>", entry).group(1),
                 kind == "DeleteMarker") for kind, entry in entries]

    def lock(self, key, version, until, bypass=False):
        """@bypass: also when it is locked for longer"""
        body = (f"<Retention xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Mode>GOVERNANCE</Mode>"
                f"<RetainUntilDate>{until}</RetainUntilDate></Retention>").encode()
        more = {"x-amz-bypass-governance-retention": "true"} if bypass else {}
        self.request("PUT", key, query={"retention": "", "versionId": version}, body=body,
                     more_headers={"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode(), **more})

    def head(self, key):
        """what the answer's headers say"""
        self.request("HEAD", key)
        return self.headers

    def hold(self, key, version, on):
        """a legal hold; delete markers have none"""
        body = f"<LegalHold><Status>{'ON' if on else 'OFF'}</Status></LegalHold>".encode()
        try:
            self.request("PUT", key, query={"legal-hold": "", "versionId": version}, body=body,
                         more_headers={"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()})
        except S3Error:
            pass

    def remove_version(self, key, version):
        self.request("DELETE", key, query={"versionId": version}, more_headers={"x-amz-bypass-governance-retention": "true"})
