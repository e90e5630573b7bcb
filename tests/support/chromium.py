"""Chromium without a window, steered over its own protocol (DevTools): what a person does with our pages, and no more."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
_LONGEST_S = 30.0


class Page:
    """A window with cookies of its own. Expressions are JavaScript; ``frame`` is the document of our page inside
    Airflow's, or the page itself where it stands alone."""

    _FRAME = "const frame = document.querySelector('iframe')?.contentDocument ?? document;"

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its answer."""
        return self._browser.tell(method, parameters, self._session, self.errors)

    def ask(self, expression: str) -> Any:
        """The value of an expression."""
        code = f"(() => {{ {self._FRAME} return ({expression}); }})()"
        answer = self.tell("Runtime.evaluate", expression=code, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise AssertionError(
                f"{expression}: {details.get('exception', details).get('description', details)}"
            )
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        until, last = time.monotonic() + _LONGEST_S, ""
        while time.monotonic() < until:
            try:
                value = self.ask(f"!!({expression})")
            except AssertionError as error:  # the document is being replaced
                value, last = None, str(error)
            if value:
                return
            time.sleep(0.1)
        text = self.ask("location.href + '\\n' + (frame.body?.innerText ?? '')")
        raise AssertionError(f"{expression} did not come true ({last}) on {text[:3000]}")

    def open(self, address: str) -> None:
        """Go to an address, until its document is there."""
        self.tell("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def text(self) -> str:
        """All that can be read on our page."""
        return str(self.ask("frame.body.innerText"))

    def click(self, selector: str) -> None:
        """Click on the first element of our page that a CSS selector finds, once it is there."""
        self.wait(f"frame.querySelector({json.dumps(selector)})")
        self.ask(f"frame.querySelector({json.dumps(selector)}).click()")

    def write(self, selector: str, text: str) -> None:
        """Write into a field as a keyboard does."""
        self.wait(f"frame.querySelector({json.dumps(selector)})")
        self.ask(f"frame.querySelector({json.dumps(selector)}).focus()")
        self.tell("Input.insertText", text=text)

    def screenshot(self, file: Path) -> None:
        """What is seen, as PNG."""
        file.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))


class Browser:
    """One Chromium."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._number = 0

    def page(self, width: int = 1400, height: int = 850) -> Page:
        """A window of its own, as of another person."""
        context = self.tell("Target.createBrowserContext", {})["browserContextId"]
        where = {"url": "about:blank", "browserContextId": context, "width": width, "height": height}
        target = self.tell("Target.createTarget", where)["targetId"]
        session = self.tell("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        page.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        return page

    def tell(
        self,
        method: str,
        parameters: dict[str, Any],
        session: str | None = None,
        errors: list[str] | None = None,
    ) -> dict[str, Any]:
        """One command of the protocol; its answer. Errors that a page reports meanwhile are added to *errors*."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            told = json.loads(self._connection.recv(timeout=_LONGEST_S))
            if told.get("id") == self._number:
                if "error" in told:
                    raise AssertionError(f"{method}: {told['error']}")
                return dict(told["result"])
            if errors is not None and told.get("sessionId") == session:
                errors.extend(_errors(told))


def _errors(told: dict[str, Any]) -> list[str]:
    parameters = told.get("params", {})
    if told.get("method") == "Runtime.exceptionThrown":
        return [str(parameters["exceptionDetails"].get("exception", {}).get("description"))]
    entry = parameters.get("entry", {})
    return [f"{entry['text']} {entry.get('url', '')}"] if entry.get("level") == "error" else []


@contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """A Chromium that the system's package manager installed, with its profile in *directory*."""
    from websockets.sync.client import connect

    assert PROGRAM is not None
    command = [
        PROGRAM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        f"--user-data-dir={directory}",
        "about:blank",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = directory / "DevToolsActivePort"
        until = time.monotonic() + _LONGEST_S
        while not (told.exists() and len(lines := told.read_text().splitlines()) == 2):
            assert time.monotonic() < until, "Chromium did not start"
            assert process.poll() is None, "Chromium ended at once"
            time.sleep(0.1)
        with connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=None) as connection:
            yield Browser(connection)
    finally:
        process.terminate()
        process.wait(timeout=10)
