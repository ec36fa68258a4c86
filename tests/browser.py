"""A page in headless Chromium, driven over its debugging pipe: no driver, no port, no network."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# Without a sandbox, which containers do not allow; /dev/shm may be small there, too.
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
FLAGS += ["--remote-debugging-pipe", "--disable-background-networking", "--disable-extensions"]


class Page:
    """An open page: what it logged and asked for, and what a script in it returns."""

    def __init__(self, process, to_browser, from_browser):
        self._process, self._to, self._from = process, to_browser, from_browser
        self._calls, self._session, self._buffer = 0, None, b""
        self.complaints = []  # errors and warnings of its console, and exceptions
        self.requests = []  # addresses that it asked for, but for data:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, file, width, dark=False):
        """Show a file in a window of a width, in CSS pixels, and wait until all of it is there."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        self._call("Page.navigate", url=Path(file).absolute().as_uri())
        while not self._loaded:
            self._event(self._read())
        return self

    def evaluate(self, expression):
        """The plain value of a JavaScript expression; of a promise what it resolves to."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file):
        """Write a picture of the whole page."""
        picture = self._call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        Path(file).write_bytes(base64.b64decode(picture["data"]))

    def _call(self, method, **parameters):
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                return answer["result"]
            self._event(answer)

    def _event(self, message):
        name, content = message.get("method"), message.get("params", {})
        if name == "Page.loadEventFired":
            self._loaded = True
        elif name == "Runtime.consoleAPICalled" and content["type"] in ("error", "warning", "assert"):
            self.complaints.append(content["args"])
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(content["exceptionDetails"]["text"])
        elif name == "Log.entryAdded" and content["entry"]["level"] in ("error", "warning"):
            self.complaints.append(content["entry"]["text"])
        elif name == "Network.requestWillBeSent" and not content["request"]["url"].startswith("data:"):
            self.requests.append(content["request"]["url"])

    def _read(self):
        while b"\0" not in self._buffer:
            chunk = os.read(self._from, 1 << 16)
            assert chunk, f"Chromium ended with exit code {self._process.wait()}"
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


@contextlib.contextmanager
def chromium(profile):
    """A blank page of a browser of its own, whose profile lies in a folder."""
    from_us, to_browser = os.pipe()
    from_browser, from_them = os.pipe()

    # Chromium reads its file descriptor 3 and writes to 4.
    command = ["bash", "-c", f'exec "$@" 3<&{from_us} 4>&{from_them}', "bash", CHROMIUM]
    command += [*FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, pass_fds=(from_us, from_them), stderr=subprocess.DEVNULL)
    os.close(from_us)
    os.close(from_them)
    try:
        yield Page(process, to_browser, from_browser)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)


def assert_sound(page, file):
    """Nothing was complained about or fetched, all pictures are there, links lead somewhere, and nothing sticks out."""
    assert page.complaints == []
    assert set(page.requests) == {Path(file).absolute().as_uri()}
    assert page.evaluate("[...document.images].filter(image => !image.naturalWidth).length") == 0
    assert page.evaluate("document.images.length") > 0
    dead = "[...document.links].map(a => a.getAttribute('href')).filter(h => !document.getElementById(h.slice(1)))"
    assert page.evaluate(dead) == []
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    # Wide tables scroll in their boxes.
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
