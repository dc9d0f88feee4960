# SPDX-License-Identifier: Apache-2.0
"""nginx before an S3 server: objects that were put aside are served as files, by ranges; everything else is passed on. Also at the other end
of a link of limited rate, in a network namespace of its own."""
import os
import shutil
import subprocess

import bench_common  # noqa: F401
import daemon
import postgres

# A GET of what is a file below the root never reaches the store; signatures hold, because the Host that was signed is passed on.
CONF = """
daemon off;
worker_processes auto;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type application/octet-stream;
    upstream store {{ server {target}; keepalive 16; }}
    server {{
        listen {address}:{port};
        root {root};
        location / {{
            error_page 418 = @store;
            if ($request_method != GET) {{ return 418; }}
            try_files $uri @store;
        }}
        location @store {{
            proxy_pass http://store;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""


class Nginx:
    def __init__(self, directory, root, endpoint, address="127.0.0.1", within=()):
        """@root: objects as files, BUCKET/KEY; @endpoint: the server that has the rest; @within: a command that runs nginx elsewhere"""
        self.directory = directory / "nginx"
        self.directory.mkdir()
        port = postgres.free_port()
        self.endpoint = f"http://{address}:{port}"
        conf = self.directory / "nginx.conf"
        conf.write_text(CONF.format(directory=self.directory, root=root, address=address, port=port, target=endpoint.removeprefix("http://"),
                                    user="user root;" if os.geteuid() == 0 else ""))
        with open(self.directory / "out.log", "wb") as log:
            self.process = subprocess.Popen([*within, "nginx", "-p", str(self.directory), "-e", str(self.directory / "error.log"), "-c", str(conf)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        daemon.wait_until(lambda: self._answers() or self.process.poll() is not None, "nginx", 60)
        assert self.process.poll() is None, (self.directory / "out.log").read_text()

    def _answers(self):
        return subprocess.run(["curl", "-q", "-s", "-o", "/dev/null", self.endpoint]).returncode == 0

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Link:
    """a network namespace behind a pair of interfaces, from which no more than @rate (of tc: 8gbit) comes"""

    NEAR, FAR = "10.199.0.1", "10.199.0.2"

    def __init__(self, rate):
        self.name = f"keepfs-bench-{os.getpid()}"
        near, far = f"kb{os.getpid()}n", f"kb{os.getpid()}f"
        self.within = ["ip", "netns", "exec", self.name]
        self._run("ip", "netns", "add", self.name)
        try:
            self._run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
            self._run("ip", "link", "set", far, "netns", self.name)
            self._run("ip", "addr", "add", f"{self.NEAR}/30", "dev", near)
            self._run("ip", "link", "set", near, "up")
            self._run(*self.within, "ip", "addr", "add", f"{self.FAR}/30", "dev", far)
            self._run(*self.within, "ip", "link", "set", far, "up")
            self._run(*self.within, "tc", "qdisc", "add", "dev", far, "root", "tbf", "rate", rate, "burst", "1m", "latency", "20ms")
        except BaseException:
            self.remove()
            raise

    @staticmethod
    def _run(*command):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    @staticmethod
    def is_possible():
        return os.geteuid() == 0 and all(shutil.which(program) for program in ("ip", "tc"))

    def remove(self):
        """the interfaces go with it"""
        self._run("ip", "netns", "del", self.name)
