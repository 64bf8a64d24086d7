"""The application: routes, errors, guards and the dashboard put together."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from fastapi.responses import RedirectResponse
from fastapi.security import HTTPBearer
from sqlalchemy import Engine
from starlette.middleware.gzip import GZipMiddleware

from actsearch.settings import Settings
from actsearch.version import __version__
from actsearch_api import problems
from actsearch_api.access import AccessLog, HeadAsGet
from actsearch_api.apart import preload
from actsearch_api.callers import LOGIN, Forbidden, KnownCallers, asks_for_keys
from actsearch_api.catalogue import routes as catalogue
from actsearch_api.dashboard import dashboard_routes
from actsearch_api.guard import BodyGuard
from actsearch_api.health import routes as health
from actsearch_api.heavy import HeavyAnswers
from actsearch_api.jobs import routes as jobs
from actsearch_api.jobs.importances import write_importances
from actsearch_api.leaderboard import routes as leaderboard
from actsearch_api.limits import WrongKeys
from actsearch_api.live import Live, News
from actsearch_api.login import routes as login
from actsearch_api.origins import Cautious, KnownHosts, SameOrigin, host_name, is_loopback
from actsearch_api.pareto import routes as pareto
from actsearch_api.proxies import FromProxies, named_proxies
from actsearch_api.reference import add_reference
from actsearch_api.report import routes as report
from actsearch_api.report.writing import write_report
from actsearch_api.serving import COMPRESSED, Content
from actsearch_api.slots import Slots
from actsearch_api.together import Together
from actsearch_api.trials import routes as trials
from actsearch_api.unchanged import Unchanged
from actsearch_api.workers import routes as workers

_DESCRIPTION = (
    "Finds the right activation function for a network, and proves it. Errors are problem details (RFC 9457)."
)


_KEY = HTTPBearer(scheme_name="key", auto_error=False, description="An API key.")


def create_app(settings: Settings, engine: Engine) -> FastAPI:
    """The service on a migrated database.

    Args:
        settings: of the service.
        engine: of the trial store; closed by whoever made it.

    Raises:
        InvalidRequest: the settings name no proxy that can be, or trust a header of nobody.
    """
    named_proxies(settings)
    preload([write_importances.__module__, write_report.__module__])
    app = FastAPI(title="actsearch", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.settings, app.state.engine, app.state.slots = settings, engine, Slots()
    app.state.reads = engine.execution_options(isolation_level="AUTOCOMMIT")
    app.state.wrong_keys = WrongKeys()
    app.state.heavy, app.state.together = HeavyAnswers(engine, app.state.slots), Together[Content](app.state.slots)
    app.state.live, app.state.news = Live(engine), Together[News](app.state.slots)
    problems.install(app)
    app.add_exception_handler(Forbidden, lambda _, error: problems.problem(403, str(error)))
    app.add_middleware(BodyGuard, limit=settings.max_request_bytes, forms=LOGIN)
    app.add_middleware(KnownCallers, state=app.state)
    app.add_middleware(SameOrigin)
    app.add_middleware(KnownHosts, names=known_names(settings))
    app.add_middleware(Unchanged)
    app.add_middleware(HeadAsGet)
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED, compresslevel=1)
    app.add_middleware(AccessLog)
    app.add_middleware(Cautious)
    app.add_middleware(FromProxies, settings=settings)
    app.include_router(health.router)
    app.include_router(login.router)
    # The dependency only describes the key: `KnownCallers` has checked it by then.
    described = [Depends(_KEY)] if asks_for_keys(settings) else []
    for subject in (jobs, pareto, report, trials, leaderboard, catalogue, workers):
        app.include_router(
            subject.router, responses=problems.documented(401, 403, 408, 429, 431, 503), dependencies=described
        )
    app.add_api_route("/", _home, include_in_schema=False)
    add_reference(app)
    app.router.routes.extend(dashboard_routes(engine))
    return app


def known_names(settings: Settings) -> list[str]:
    """Names that the service answers to besides loopback ones: those allowed, or its own address, or all."""
    allowed = [name.strip() for name in settings.allowed_hosts.split(",") if name.strip()]
    own = host_name(f"[{settings.host}]" if ":" in settings.host else settings.host)
    if allowed or is_loopback(own):
        return allowed
    return ["*"] if own in ("0.0.0.0", "::", "") else [own]  # noqa: S104 - compared, not bound


async def _home() -> RedirectResponse:
    return RedirectResponse("/dashboard")
