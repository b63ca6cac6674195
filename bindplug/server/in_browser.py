"""A page whose models run in the browser's tab: an exported folder and onnxruntime-web as files."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, JSONResponse, Response

from ..errors import BindplugError, MissingDependency
from ..models.onnx.manifest import MANIFEST, check_files, read_manifest

PAGE = Path(__file__).with_name("tab")
READS = ("small/audio", "small/image", "small/text")  # transforms that the page's script has
RUNTIME = (
    "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
)  # fmt: skip
KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript",
    ".wasm": "application/wasm", ".json": "application/json",
}  # fmt: skip
POLICY = (  # nothing from elsewhere, and nothing is sent elsewhere
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def browser_files(folder: str | Path) -> dict[str, Path]:
    """What the page fetches, by name: its own files, the graphs of an exported folder with their
    tables, and onnxruntime-web, which npm has put below that folder.

    Raises BindplugError: it is no exported folder, or not of the small embedder;
    MissingDependency: onnxruntime-web is not there."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    readable = {m: e for m, e in manifest.encoders.items() if e.transform["name"] in READS}
    if "text" not in readable or len(readable) < 2:
        raise BindplugError(
            f"{folder}: a browser runs only exports of the small embedder, of text with images or "
            "sounds; run: bindplug export small --modality text --modality image --modality audio "
            f"-o {folder}"
        )
    names = tuple(name for encoder in readable.values() for name in encoder.files)
    check_files(folder, manifest, names)
    runtime = folder / "node_modules" / "onnxruntime-web" / "dist"
    if not all((runtime / name).is_file() for name in RUNTIME):
        raise MissingDependency(
            f"{runtime}: lacks {', '.join(RUNTIME)}; run: npm install --prefix {folder} "
            "onnxruntime-web"
        )
    return {
        **{path.name: path for path in PAGE.iterdir()},
        **{name: folder / name for name in (MANIFEST, *names)},
        **{name: runtime / name for name in RUNTIME},
    }


def add_browser(app: FastAPI, files: dict[str, Path]) -> None:
    """Answer /browser/ and the names of some files below it, and no other path."""

    @app.get("/browser/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in files:
            return JSONResponse({"error": "no such file of the page"}, 404)
        kind = KINDS.get(files[name].suffix, "application/octet-stream")
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return FileResponse(files[name], headers=headers, media_type=kind)

    @app.get("/browser/", include_in_schema=False)
    async def page() -> Response:
        return await file("index.html")
