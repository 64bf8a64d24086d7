"""`/docs`: the reference of the API, from its OpenAPI document; all that the page needs comes from this service."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

PAGE = "/docs"
_FILES = "/docs-files"
_KINDS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}
_LOOK = {"persistAuthorization": False, "validatorUrl": None, "displayRequestDuration": True, "docExpansion": "list"}
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def add_reference(app: FastAPI) -> None:
    """Serve the page at `/docs`, and Swagger UI's files as an installed package has them."""
    script, style, icon = _KINDS
    page = bytes(
        get_swagger_ui_html(
            openapi_url=app.openapi_url or "",
            title="actsearch: the API",
            swagger_js_url=f"{_FILES}/{script}",
            swagger_css_url=f"{_FILES}/{style}",
            swagger_favicon_url=f"{_FILES}/{icon}",
            swagger_ui_parameters=_LOOK,
        ).body
    )
    policy = _policy(page)

    async def show() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    app.add_api_route(PAGE, show, include_in_schema=False)
    for name, kind in _KINDS.items():
        app.add_api_route(f"{_FILES}/{name}", _giving(name, kind), include_in_schema=False)


def _giving(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    content = files("fastapi_swagger.resources").joinpath(name).read_bytes()

    async def give() -> Response:
        return Response(content, media_type=kind)

    return give


def _policy(page: bytes) -> str:
    """Only the page's own scripts run, and nothing comes from or goes to elsewhere."""
    hashes = [b64encode(hashlib.sha256(script).digest()).decode() for script in _SCRIPT.findall(page)]
    own = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src 'self' {own}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
