"""The application of the demonstration, as a process: a shop that reads and writes orders and tells how it fares.

    python -m guard.demo.application PORT FLAG-FILE        (the connection string is in DEMO_DSN)

GET /health answers requests, error rate and latency of the last two seconds. While the flag file exists, the new
pricing code is in use, which cannot read what the backfill has written. It knows nothing of the guard.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg

WINDOW = 2.0
READERS, WRITERS = 4, 2
_THINKS = 0.06
_TAX = {"EU": 0.21, "US": 0.07}


class Shop:
    """Serves orders in threads, each with its own connection, and remembers how the last requests went."""

    def __init__(self, dsn: str, flag: Path) -> None:
        self._dsn, self._flag = dsn, flag
        self._lock = threading.Lock()
        self._done: deque[tuple[float, float, bool]] = deque(maxlen=5000)

    def start(self) -> None:
        """Begin to serve; the threads end with the process."""
        for number in range(READERS + WRITERS):
            threading.Thread(target=self._serve, args=(number < READERS,), daemon=True).start()

    def health(self) -> dict[str, object]:
        """Of the last two seconds. The rate is null when no request ended in them: nothing is known then."""
        since = time.monotonic() - WINDOW
        with self._lock:
            recent = [(took, ok) for at, took, ok in self._done if at >= since]
        failed = sum(not ok for _, ok in recent)
        took = sorted(took for took, _ in recent)
        latency = {"p50": _ms(statistics.median(took)), "p99": _ms(took[int(len(took) * 0.99)])} if took else None
        rate = failed / len(recent) if recent else None
        return {"requests": len(recent), "errors": failed, "error_rate": rate, "latency_ms": latency}

    def _serve(self, reads: bool) -> None:  # noqa: FBT001 -- one of two kinds of thread
        kind = "reader" if reads else "writer"
        while True:
            try:
                with psycopg.connect(self._dsn, application_name=f"shop: {kind}", autocommit=True) as connection:
                    row = connection.execute("select max(id) from orders").fetchone()
                    orders = row[0] if row else 1
                    while True:
                        self._request(connection, random.randint(1, orders), reads=reads)  # noqa: S311 - no secret
                        time.sleep(_THINKS)
            except psycopg.OperationalError:
                self._note(0.0, ok=False)
                time.sleep(0.5)

    def _request(self, connection: psycopg.Connection[tuple[object, ...]], order: int, *, reads: bool) -> None:
        began, ok = time.monotonic(), True
        try:
            if reads:
                row = connection.execute("select amount, region from orders where id = %s", [order]).fetchone()
                if row is not None and self._flag.exists():
                    self._price(row)
            else:
                connection.execute("update orders set amount = amount + 1 where id = %s", [order])
        except (psycopg.errors.DatabaseError, KeyError) as error:
            if isinstance(error, psycopg.OperationalError) and connection.broken:
                raise
            ok = False
        self._note(time.monotonic() - began, ok=ok)

    @staticmethod
    def _price(row: tuple[object, ...]) -> float:
        amount, region = row
        tax = 0.0 if region is None else _TAX[str(region)]  # the backfill wrote "eu": the mistake of the change
        return float(str(amount)) * (1 + tax)

    def _note(self, took: float, *, ok: bool) -> None:
        with self._lock:
            self._done.append((time.monotonic(), took, ok))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


class _Handler(BaseHTTPRequestHandler):
    shop: Shop

    def do_GET(self) -> None:
        body = json.dumps(self.shop.health()).encode()
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


def main(port: int, flag: Path) -> None:
    """Serve until the process is ended."""
    shop = Shop(os.environ["DEMO_DSN"], flag)
    shop.start()
    handler = type("Handler", (_Handler,), {"shop": shop})
    ThreadingHTTPServer(("127.0.0.1", port), handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
