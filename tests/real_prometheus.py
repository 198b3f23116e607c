"""A real Prometheus on loopback, and the application that it scrapes: what tests of both together need."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.tools import tool
from tests.waiting import wait_for

SCRAPE = 0.25
"""Seconds."""
WINDOW = 2
"""Seconds over which the rules' rates look: eight scrapes, so that a busy machine may miss some."""
_QUICK, _SLOW = 0.05, 1.0
"""Bounds of the histogram, in seconds; all requests take either half of the former, or less than the latter."""


class Application:
    """Serves requests in name only: its counters grow with time as it is told, and /metrics tells them."""

    def __init__(self) -> None:
        self.rate, self.errors, self.slow = 100.0, 0.0, 0.0
        """Requests per second, and the shares that fail and that are slow."""
        self.port = 0
        self._lock = threading.Lock()
        self.start()

    def start(self) -> None:
        """Serve, on the same port as before; the counters begin at zero, as those of a new process do."""
        self._all, self._failed, self._late, self._at = 0.0, 0.0, 0.0, time.monotonic()
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = application.metrics().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def metrics(self) -> str:
        """The counters as of now, in Prometheus' text format."""
        with self._lock:
            now = time.monotonic()
            grown, self._at = self.rate * (now - self._at), now
            self._all += grown
            self._failed += grown * self.errors
            self._late += grown * self.slow
            bucket = "http_request_duration_seconds_bucket"
            return (
                f'http_requests_total{{code="200"}} {self._all - self._failed}\n'
                f'http_requests_total{{code="500"}} {self._failed}\n'
                f'{bucket}{{le="{_QUICK}"}} {self._all - self._late}\n'
                f'{bucket}{{le="{_SLOW}"}} {self._all}\n'
                f'{bucket}{{le="+Inf"}} {self._all}\n'
            )

    def stop(self) -> None:
        """Refuse connections."""
        self._server.shutdown()
        self._server.server_close()


class Prometheus:
    """The program that Debian packages, with a folder of its own; start() and kill() are for whoever makes it."""

    def __init__(
        self,
        directory: Path,
        application: Application | None = None,
        *,
        jobs: Mapping[str, str] | None = None,
        rules: Sequence[Path] = (),
        scrape: float = SCRAPE,
    ) -> None:
        """*jobs*: what else to scrape, addresses by job; *rules*: files of alert rules; *scrape*: how often, s."""
        targets = {**({"shop": f"127.0.0.1:{application.port}"} if application else {}), **(jobs or {})}
        every = f"{scrape * 1000:g}ms"
        self._program = tool("prometheus")
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}"
        (directory / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
                    "rule_files": [str(file) for file in rules],
                    "scrape_configs": [
                        {"job_name": name, "static_configs": [{"targets": [target]}]}
                        for name, target in targets.items()
                    ],
                }
            )
        )

    def start(self) -> None:
        """Start it on its port and its data, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={self._directory}/prometheus.yml",
                    f"--storage.tsdb.path={self._directory}/data",
                    f"--web.listen-address={self.address}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        wait_for(self._ready, within=20, message=(self._directory / "log").read_text)

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/-/ready", timeout=1, trust_env=False).status_code == 200
        return False

    def values(self, query: str, seconds: float) -> list[float]:
        """What one series was in the last so many seconds, at each scrape; [] where it is not there."""
        now = time.time()
        asked = {"query": query, "start": f"{now - seconds}", "end": f"{now}", "step": f"{SCRAPE}"}
        answer = httpx.get(f"{self.url}/api/v1/query_range", params=asked, timeout=5, trust_env=False).json()
        found = answer["data"]["result"]
        return [float(text) for _, text in found[0]["values"] if text != "NaN"] if found else []

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each series of an expression now. Fails where Prometheus does not take it."""
        asked = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=5, trust_env=False)
        answer = asked.json()
        assert answer["status"] == "success", f"{query}: {answer}"
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

    def alerts(self) -> dict[str, str]:
        """State of each alert, by its name: `inactive`, `pending` or `firing`. Fails where one cannot be evaluated."""
        groups = httpx.get(f"{self.url}/api/v1/rules", timeout=5, trust_env=False).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert [rule for rule in rules if rule["health"] == "err"] == []
        return {rule["name"]: rule["state"] for rule in rules if rule["health"] == "ok"}

    def kill(self) -> None:
        """End it without a farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
