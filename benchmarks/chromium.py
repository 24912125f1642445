"""A headless Chromium driven over its DevTools pipe: no driver program, no port, no package."""

import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


def chromium_program() -> str | None:
    """The browser's path; None where there is none."""
    return next((program for name in NAMES if (program := shutil.which(name))), None)


class Tab:
    """One page of a running browser.

    Args:
        write: descriptor of the browser's commands.
        read: descriptor of its answers.
    """

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._rest = write, read, b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.console: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a DevTools command.

        Raises:
            RuntimeError: the browser refuses it, is gone or does not answer within a minute.
        """
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 60
        while True:
            answer = self._next(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def evaluate(self, expression: str) -> Any:
        """The value (JSON-able) of a JavaScript expression, awaited.

        Raises:
            RuntimeError: it throws.
        """
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def open(self, url: str) -> None:
        """Go to a page and wait until it holds; its scripts may still be at work."""
        self.call("Page.navigate", url=url)

    def wait_for(self, expression: str, seconds: float = 60) -> Any:
        """The first true value of an expression.

        Raises:
            TimeoutError: it stays false.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = self.evaluate(f"(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()")
            if value:
                return value
            time.sleep(0.02)
        raise TimeoutError(f"never true: {expression}; console: {self.console}")

    def press(self, key: str) -> None:
        """A key by its name in KeyboardEvent.key: `a`, `ArrowRight`, `Enter`."""
        more = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        codes = {"Enter": 13, "Escape": 27, "Tab": 9}
        code = {"windowsVirtualKeyCode": codes[key]} if key in codes else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def look(self, width: int, height: int, dark: bool = False) -> None:
        """Set the window's size in pixels, and light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            self.console.append(json.dumps(event["params"]["exceptionDetails"])[:500])
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.console.append(event["params"]["entry"]["text"])

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("the browser does not answer" if not ready else "the browser is gone")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def chromium_tab(program: str) -> Iterator[Tab]:
    """A browser with a profile of its own, ended and removed with the block."""
    (their_read, write), (read, their_write) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="agssp-chromium-", ignore_cleanup_errors=True) as profile:
        # The browser takes commands at descriptor 3 and answers at 4; a shell numbers them safely.
        words = ["bash", "-c", f'exec "$@" 3<&{their_read} 4>&{their_write}', "bash", program, *FLAGS]
        process = subprocess.Popen(
            [*words, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(their_read, their_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_read)
        os.close(their_write)
        try:
            yield Tab(write, read)
        finally:
            os.close(write)  # the browser ends with its pipe
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(read)
