"""The application: paths, and how a request becomes an answer."""

import asyncio
import logging
import os
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)

from .. import __version__
from ..detection.query import COMPETITIONS
from ..storage.examples import example_images, example_sounds
from ..storage.json_text import to_json
from .endpoints import classify, detect, embed, explain, generate
from .fields import Form
from .in_browser import add_browser
from .openapi import describe_body
from .question import BRIDGES
from .security import Guard
from .server import Long, Server, status_of
from .settings import Refused
from .uploads import read_fields

log = logging.getLogger("bindplug")
PAGE = Path(__file__).with_name("page.html")
ENDPOINTS = {  # path: function and fields
    "/v1/embed": (embed.embed, embed.FIELDS),
    "/v1/detect": (detect.detect, detect.FIELDS),
    "/v1/generate": (generate.generate, generate.FIELDS),
    "/v1/classify": (classify.classify, classify.FIELDS),
    "/v1/explain": (explain.explain, explain.FIELDS),
}


def create_app(server: Server) -> FastAPI:
    """The ASGI application of a server."""

    @asynccontextmanager
    async def lifespan(app):
        yield
        await server.close()

    page = PAGE.read_text("utf-8")
    app = FastAPI(
        title="bindplug", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description=(
            "Files and texts in, embeddings, objects and images out. Fields bear the names of the "
            "command line's options, in multipart/form-data and in application/json alike; in JSON "
            "a file is its bytes in base64, and a field that may be repeated also a list."
        ),
    )  # fmt: skip
    if server.access.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(server.access.origins),
            allow_methods=["GET", "POST"], allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip
    app.add_middleware(Guard, access=server.access, metrics=server.metrics, page=page)
    app.exception_handler(Exception)(_failed)
    app.exception_handler(404)(_no_such_path)
    app.exception_handler(405)(_no_such_method)
    for path, (work, table) in ENDPOINTS.items():
        _add(app, server, path, work, table)
    _add_reads(app, server, page)
    if server.browser:
        add_browser(app, server.browser)
    return app


def _add(app: FastAPI, server: Server, path: str, work, table) -> None:
    async def endpoint(request: Request) -> Response:
        return await answer(server, path, request, work, table)

    app.post(
        path, summary=work.__doc__.split(".")[0].replace("\n", " "), name=path[4:],
        openapi_extra=describe_body(table), responses=ERRORS, response_class=JSONResponse,
    )(endpoint)  # fmt: skip


ERRORS = {
    400: {"description": "Bad input; `error` says what to change."},
    401: {"description": "No token, or a wrong one."},
    413: {"description": "Too large."},
    429: {"description": "Too many requests; `Retry-After` says when to come again."},
}


async def answer(server: Server, path: str, request: Request, work, table) -> Response:
    """Read a request's fields and answer it; what it raises becomes a status and one line."""
    try:
        with ExitStack() as held:
            held.enter_context(server.gate(path))
            account = held.enter_context(server.budget.account())

            def take(count: int) -> None:
                account(count)
                server.metrics.received(count)

            pairs = await read_fields(request, server.limits, take)
            form = await asyncio.to_thread(Form, table, pairs, server.limits)
            async with asyncio.timeout(server.limits.timeout):
                result = await until_gone(request, _worked(server, request, work, form))
            if isinstance(result, Long):
                return result.response(server.limits.timeout, held.pop_all())
            if isinstance(result, Response):
                return result
            return await asyncio.to_thread(json_response, result)
    except TimeoutError:
        return _refuse(Refused(504, f"not done within {server.limits.timeout:g} seconds"))
    except Exception as err:
        return _refuse(err)


async def _worked(server: Server, request: Request, work, form: Form):
    """The result of an endpoint, or its long work where that is to be streamed."""
    result = await work(server, form)
    if isinstance(result, Long) and not (
        result.stream or "text/event-stream" in request.headers.get("accept", "")
    ):
        return await result.result()
    return result


async def until_gone(request: Request, work):
    """The result of a coroutine, which is cancelled when the client closes the connection."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refused(499, "the client is gone")
        return task.result()
    finally:
        task.cancel()
        watch.cancel()


def json_response(data, status: int = 200, headers=None) -> Response:
    return Response(to_json(data), status, headers, "application/json")


def _refuse(err: Exception) -> Response:
    status, message = status_of(err)
    if status == 500:
        if os.environ.get("BINDPLUG_DEBUG"):
            raise err
        log.error("unexpected %s: %s", type(err).__name__, err)
    return json_response({"error": message}, status, getattr(err, "headers", None))


async def _failed(request: Request, err: Exception) -> Response:
    return json_response({"error": f"unexpected {type(err).__name__}"}, 500)


async def _no_such_path(request: Request, err: Exception) -> Response:
    return json_response({"error": "there is nothing here; see /openapi.json"}, 404)


async def _no_such_method(request: Request, err: Exception) -> Response:
    headers = getattr(err, "headers", None)
    return json_response({"error": "wrong method; see /openapi.json"}, 405, headers)


def _add_reads(app: FastAPI, server: Server, page: str) -> None:
    media = {p.name: p for p in (*example_sounds(), *example_images())}

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page)

    @app.get("/examples/{name}", include_in_schema=False)
    async def example(name: str) -> Response:
        if name not in media:
            return json_response({"error": "no such example"}, 404)
        return FileResponse(media[name], headers={"Cache-Control": "max-age=3600"})

    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="Whether the server answers")
    async def health() -> Response:
        return json_response({"status": "ok", "bindplug": __version__})

    @app.get(
        "/metrics", summary="Counts and times, for Prometheus", response_class=PlainTextResponse
    )
    async def metrics() -> Response:
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models", summary="What is served, and within which limits")
    async def models() -> Response:
        return json_response({**describe_models(server), "examples": list(media)})

    @app.get("/v1/files/{secret}/{name}", summary="A result by its link",
             responses={404: {"description": "Kept no more."}})  # fmt: skip
    async def file(secret: str, name: str) -> Response:
        found = server.results.files.get(secret)
        if found is None:
            return json_response({"error": "this result is kept no more; ask for it again"}, 404)
        return Response(found.data, media_type=found.kind)


def describe_models(server: Server) -> dict:
    """The models of a server as JSON data."""
    engine, limits = server.engines[0], server.limits
    embedder, detector, session = engine.embedder, engine.detector, engine.session
    modalities = {m: list(embedder.options(m)) for m in embedder.modalities}
    return {
        "schema": 1,
        "model": {"name": server.models.model, "space": embedder.space, "modalities": modalities},
        "detector": detector and {
            "name": detector.name, "threshold": detector.score_threshold,
            "bridges": list(BRIDGES), "competitions": list(COMPETITIONS),
        },
        "generator": session and {
            "name": f"{server.models.generator}/{server.models.generator_weights}",
            "size": session.generator.size,
            "candidates": getattr(session.generator, "candidates", 1),
        },
        "devices": [engine.device for engine in server.engines],
        "limits": {"megabytes": limits.megabytes, "pixels": limits.pixels,
                   "seconds": limits.seconds, "files": limits.files, "images": limits.images,
                   "requests": limits.requests},
    }  # fmt: skip
