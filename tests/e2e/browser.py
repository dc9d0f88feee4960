# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by the DevTools protocol over its pipe (NUL-terminated JSON), with nothing but the standard library.
https://chromedevtools.github.io/devtools-protocol/"""
import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

import daemon

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"]


def above_the_pipe(fd):
    """the program's ends of the pipe are its descriptors 3 and 4: nothing else may be in their way"""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved


class Browser:
    """one browser; page() gives it a page that knows nothing of earlier ones"""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="keepfs-chromium-")
        to_read, self.to = map(above_the_pipe, os.pipe())
        self.back, to_write = map(above_the_pipe, os.pipe())
        arguments = ARGUMENTS + ["--no-sandbox"] * (os.geteuid() == 0)

        def give_the_pipe():
            os.dup2(to_read, 3)
            os.dup2(to_write, 4)

        self.log = open(f"{self.directory}/log", "wb")
        self.process = subprocess.Popen([PROGRAM, *arguments, f"--user-data-dir={self.directory}/profile", "about:blank"],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=(3, 4),
                                        preexec_fn=give_the_pipe, env={**os.environ, "HOME": self.directory})
        os.close(to_read)
        os.close(to_write)
        self.numbers = itertools.count(1)
        self.rest = b""
        self.events = []
        self.session = None

    def close(self):
        self.session = None
        try:
            self.call("Browser.close")
            self.process.wait(daemon.DEADLINE_S)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self.to)
            os.close(self.back)
            self.log.close()
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # the protocol

    def receive(self, deadline):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.back], [], [], max(0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self.back, 1 << 20)
            assert piece, f"the browser ended: {open(self.log.name).read()[-2000:]}"
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\0")
        return json.loads(line)

    def call(self, method, **params):
        number, deadline = next(self.numbers), time.monotonic() + daemon.DEADLINE_S
        message = {"id": number, "method": method, "params": params, **({"sessionId": self.session} if self.session else {})}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        deadline = time.monotonic() + daemon.DEADLINE_S
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive(deadline))

    def told(self, *methods):
        return [event["params"] for event in self.events if event.get("method") in methods]

    # the page

    @contextlib.contextmanager
    def page(self):
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            self.call(f"{domain}.enable")
        try:
            yield self
        finally:
            self.session = None
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def before_load(self, script):
        """run in each page before its own scripts; the page's policy does not apply"""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")
        return self

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def press(self, key, shift=False):
        codes = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39, " ": 32}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key],
                  "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self):
        """what the console says, what went wrong in scripts, and what the policy of the page has stopped"""
        said = [" ".join(str(arg.get("value")) for arg in one["args"]) for one in self.told("Runtime.consoleAPICalled")]
        thrown = [one["exceptionDetails"] for one in self.told("Runtime.exceptionThrown")]
        return said + thrown + [one["entry"]["text"] for one in self.told("Log.entryAdded")]

    def requests(self):
        return [one["request"]["url"] for one in self.told("Network.requestWillBeSent")]
