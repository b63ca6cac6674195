"""Who may call, checked before a request is read; and the headers that keep the page to itself."""

import base64
import hashlib
import re
import time
from hmac import compare_digest

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from .metrics import Metrics
from .settings import Access

HEALTH = "/health"
OPEN = ("/", HEALTH, "/openapi.json")  # without a token, as the examples
PATHS = re.compile(
    r"/(?:v1/(?:models|embed|detect|generate|classify|explain|files)|health|metrics|openapi\.json"
    r"|examples|browser)?(?=/|$)"
)


class Guard:
    """ASGI middleware: hosts, origins and tokens of `Access`, security headers, and the count of
    each request.

    A page of another origin is turned away even where no token is asked for: browsers let any page
    send forms to 127.0.0.1. So is another host name that resolves to this machine.
    """

    def __init__(self, app, access: Access, metrics: Metrics, page: str):
        self.app, self.access, self.metrics = app, access, metrics
        self.policy = content_policy(page)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def tell(message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers.setdefault("Content-Security-Policy", self.policy)
                headers.setdefault("Cache-Control", "no-store")
                milliseconds = (time.perf_counter() - began) * 1000
                headers["Server-Timing"] = f"total;dur={milliseconds:.1f}"
            await send(message)

        refusal = self._refusal(scope)
        origin = Headers(scope=scope).get("origin")
        if refusal and origin in self.access.origins:  # so that the page can read why
            refusal.headers["Access-Control-Allow-Origin"] = origin
            refusal.headers["Vary"] = "Origin"
        try:
            await (refusal or self.app)(scope, receive, tell)
        finally:
            # Links to results would give a line each.
            found = PATHS.match(scope["path"])
            known = found[0] if found and status != 404 else "other"
            self.metrics.request(known, status, time.perf_counter() - began)

    def _refusal(self, scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        elsewhere = self.access.hosts and _name(host) not in self.access.hosts
        if elsewhere and scope["path"] != HEALTH:  # which is asked of an address
            return _refuse(403, "this server does not answer to this host name")
        origin = headers.get("origin")
        if origin and origin not in self.access.origins and origin.partition("://")[2] != host:
            return _refuse(403, "pages of another origin may not call; name theirs by --cors")
        if not self.access.tokens or scope["method"] == "OPTIONS" or _is_open(scope["path"]):
            return None
        kind, _, token = headers.get("authorization", "").partition(" ")
        right = [compare_digest(token.strip().encode(), t.encode()) for t in self.access.tokens]
        if kind.lower() == "bearer" and any(right):
            return None
        return _refuse(
            401, "send a token: Authorization: Bearer ...", {"WWW-Authenticate": "Bearer"}
        )


def _name(host: str) -> str:
    """A Host header without its port."""
    return host.lower() if host.endswith("]") else host.lower().rpartition(":")[0] or host.lower()


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith("/examples/")


def _refuse(status: int, message: str, headers=None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


def content_policy(page: str) -> str:
    """A Content-Security-Policy under which the page's own script runs, and nothing from elsewhere
    is loaded."""
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    return (
        f"default-src 'none'; script-src {allowed or chr(39) + 'none' + chr(39)}; "
        "style-src 'unsafe-inline'; connect-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
