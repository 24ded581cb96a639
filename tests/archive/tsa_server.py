"""A time stamp authority on loopback: `openssl ts -reply` behind HTTP, and the ways in which it can go wrong."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.archive.tsa_maker import MadeAuthority


class TsaServer:
    """Answers until `close`. `alter` is given each good response and may return another; `status` and `content_type`
    are what it answers with; while `stalled` is set an answer waits for `release`."""

    def __init__(self, authority: MadeAuthority) -> None:
        self.authority = authority
        self.alter: Callable[[bytes], bytes] = bytes
        self.status = 200
        self.content_type = "application/timestamp-reply"
        self.headers: dict[str, str] = {}
        self.queries: list[tuple[str, str, bytes]] = []
        self.release = threading.Event()
        self.release.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                outer.queries.append((self.path, self.headers["Content-Type"], query))
                outer.release.wait(60)
                body = outer.alter(outer.authority.reply(query))
                self.send_response(outer.status)
                self.send_header("Content-Type", outer.content_type)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Tests print what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/tsa/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
