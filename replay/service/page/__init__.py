"""The page to watch and start jobs: one HTML file without any data, its script and its style, all from this service."""

from __future__ import annotations

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from crep import __version__
from crep.harness.config.resources import resource

_FOLDER = "replay/service/page"


def install(app: FastAPI) -> None:
    """Serve it at ``/``. It holds no data: the script asks for the token and shows what the REST interface answers."""
    folder = resource(_FOLDER)
    templates = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
    html = templates.get_template("page.html.j2").render(version=__version__)
    script = (folder / "page.js").read_text(encoding="utf-8")
    style = (folder / "page.css").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return HTMLResponse(html)

    @app.get("/page.js", include_in_schema=False)
    def page_script() -> Response:
        return Response(script, media_type="text/javascript")

    @app.get("/page.css", include_in_schema=False)
    def page_style() -> Response:
        return Response(style, media_type="text/css")
