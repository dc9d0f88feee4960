"""nginx before an S3 server: objects that were put aside are served as files, by ranges; everything else is passed on."""
import os
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
        listen 127.0.0.1:{port};
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
    def __init__(self, directory, root, endpoint):
        """@root: objects as files, BUCKET/KEY; @endpoint: the server that has the rest"""
        self.directory = directory / "nginx"
        self.directory.mkdir()
        port = postgres.free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        conf = self.directory / "nginx.conf"
        conf.write_text(CONF.format(directory=self.directory, root=root, port=port, target=endpoint.removeprefix("http://"),
                                    user="user root;" if os.geteuid() == 0 else ""))
        with open(self.directory / "out.log", "wb") as log:
            self.process = subprocess.Popen(["nginx", "-p", str(self.directory), "-e", str(self.directory / "error.log"), "-c", str(conf)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        daemon.wait_until(lambda: self._answers() or self.process.poll() is not None, "nginx", 60)
        assert self.process.poll() is None, (self.directory / "out.log").read_text()

    def _answers(self):
        return subprocess.run(["curl", "-q", "-s", "-o", "/dev/null", self.endpoint]).returncode == 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
