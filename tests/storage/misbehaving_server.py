"""What the HTTP server of test_download answers."""

import os
from http.server import BaseHTTPRequestHandler

DATA = os.urandom(3 * 2**20 + 17)


class Handler(BaseHTTPRequestHandler):
    """`server.behaviour`: whole, cut, short, other, no_ranges, gone, busy_once.

    `server.body` is what it has, `server.sent` the headers that go with it (ETag, Last-Modified),
    `server.busy` a list of (status, Retry-After) answered first.
    """

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        server.if_range.append(self.headers.get("If-Range"))
        behaviour, body = server.behaviour, server.body
        if server.busy:
            status, pause = server.busy.pop(0)
            self.send_response(status)
            if pause:
                self.send_header("Retry-After", pause)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if behaviour == "gone" or (behaviour == "busy_once" and len(server.requests) == 1):
            self.send_error(404 if behaviour == "gone" else 503)
            return
        if behaviour == "other":
            body = bytes(len(DATA))
        if behaviour == "short":
            body = DATA[:-5]
        start = 0
        same = self.headers.get("If-Range") in (None, *server.sent.values()) or server.ignores
        if self.headers.get("Range") and behaviour != "no_ranges" and same:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        for name, value in server.sent.items():
            self.send_header(name, value)
        self.end_headers()
        end = len(body)
        if behaviour == "cut" or (behaviour == "no_ranges" and len(server.requests) == 1):
            end = min(end, start + 2**20)
        if behaviour == "dead":
            end = start
        self.wfile.write(body[start:end])

    def log_message(self, *args):
        pass
