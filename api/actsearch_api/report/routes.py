"""`/v1/jobs/{id}/report`."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request, Response

from actsearch.errors import FieldProblem, InvalidRequest, NotFound
from actsearch.schemas import Chart, ReportFormat, Schema
from actsearch_api.dependencies import ServiceSettings
from actsearch_api.heavy import Heavy
from actsearch_api.jobs.routes import JobId
from actsearch_api.problems import documented
from actsearch_api.report.writing import write_report

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

# The page needs its own styles and nothing else: whatever else it might hold, a browser will not run or fetch it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_KINDS = ("text/html", "image/svg+xml", "image/png")
_MEDIA_TYPES = {"html": "text/html; charset=utf-8", "svg": "image/svg+xml", "png": "image/png"}


class ReportFilter(Schema):
    """The page, or one of its charts as a picture."""

    format: ReportFormat = "html"
    chart: Chart | None = None


@router.get(
    "/{job_id}/report",
    response_class=Response,
    responses=documented(404, 422, 503)
    | {200: {"description": "the page or the picture", "content": {kind: {} for kind in _KINDS}}},
)
async def get_report(
    request: Request,
    job_id: JobId,
    wanted: Annotated[ReportFilter, Query()],
    settings: ServiceSettings,
    heavy: Heavy,
) -> Response:
    """A job's report: one self-contained HTML page, or with `format=svg|png` the chart named by `chart`."""
    _check(wanted)
    content = await heavy.answer(request, job_id, write_report, settings.stall_timeout, wanted.format, wanted.chart)
    if content is None:
        raise NotFound("chart", f"{wanted.chart} of this job")
    headers = {"Content-Security-Policy": _POLICY}
    return Response(content, media_type=_MEDIA_TYPES[wanted.format], headers=headers)


def _check(wanted: ReportFilter) -> None:
    if wanted.format == "html":
        if wanted.chart is not None:
            raise InvalidRequest(FieldProblem("chart", "the page has all charts; leave it out, or ask for svg or png"))
    elif wanted.chart is None:
        raise InvalidRequest(
            FieldProblem("chart", f"name the chart to draw: {', '.join(get_args(Chart))}", get_args(Chart))
        )
