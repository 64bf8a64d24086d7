"""Every knob of the service, from environment variables `ACTSEARCH_*` or a `.env` file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _empty_is_none(value: object) -> object:
    return value or None


OptionalFile = Annotated[Path | None, BeforeValidator(_empty_is_none)]


class Settings(BaseSettings):
    """Settings of server, workers and command line.

    Args:
        database_url: `postgresql://...`; without it a private PostgreSQL is started in `data_dir`.
        data_dir: where the embedded PostgreSQL and other state live.
        host, port: where the API listens.
        allowed_hosts: names besides `localhost` under which clients may reach the API, as a comma list; `*` for any.
            Without it: any where `host` stands for all addresses, else `host` alone.
        require_key: ask for an API key on loopback addresses, too; on others one is always asked for.
        key_secret: what API keys are hashed with, at least 32 characters; several as a comma list, the newest first.
            Without it one is made in `data_dir`.
        tls_cert, tls_key: files (PEM) of the certificate, its chain included, and its key, for an API that speaks TLS.
        trusted_proxies: addresses or networks of proxies, as a comma list, whose `X-Forwarded-For` and
            `X-Forwarded-Proto` are believed.
        trusted_user_header: header in which these proxies name the user whom they have authenticated; empty for none.
        trusted_user_scope: what such users may do.
        session_lifetime: seconds after which people who signed in in a browser do so again.
        request_rate: requests per second that a client (the name of an API key) may send, over 10 s; 0 for any.
        open_jobs: jobs that a client may have queued, running, paused or confirming at once; 0 for any.
        url: where SDK and CLI find the API.
        api_key: the key that SDK and CLI show it.
        ca_cert: file (PEM) with the certificates that SDK and CLI trust in place of those of the system.
        devices: what a worker trains on: `auto`, or a comma list of `cpu`, `cuda:0`, ...; a device named twice gets
            two processes.
        time_slice: seconds a runner works on a job before it lets others have the device.
        stall_timeout: seconds without a heartbeat after which a worker counts as gone and its trials go elsewhere.
        hang_timeout: seconds without progress after which a device process is killed while it does something of unknown
            length (loading data, proposing, evaluating); between training steps the limit follows the steps measured.
        drain_timeout: seconds a stopping worker lets trials finish before it gives them back to the queue.
        heartbeat_interval: seconds between a worker's heartbeats.
        trial_attempts: times a trial is tried when crashes interrupt it.
        max_request_bytes: largest request body accepted.
        log_level: `debug`, `info`, `warning`, `error`.
        log_format: `console` or `json`.
    """

    model_config = SettingsConfigDict(env_prefix="ACTSEARCH_", env_file=".env", extra="ignore")

    database_url: SecretStr | None = None
    data_dir: Path = Field(default_factory=lambda: user_data_path("actsearch"))
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8800
    allowed_hosts: str = ""
    require_key: bool = False
    key_secret: SecretStr | None = None
    tls_cert: OptionalFile = None
    tls_key: OptionalFile = None
    trusted_proxies: str = ""
    trusted_user_header: str = ""
    trusted_user_scope: Literal["read", "submit", "admin"] = "submit"
    session_lifetime: Annotated[int, Field(ge=60, le=90 * 86400)] = 12 * 3600
    request_rate: Annotated[int, Field(ge=0)] = 100
    open_jobs: Annotated[int, Field(ge=0)] = 100
    url: str = "http://127.0.0.1:8800"
    api_key: SecretStr | None = None
    ca_cert: OptionalFile = None
    devices: str = "auto"
    time_slice: Annotated[float, Field(gt=0)] = 60.0
    stall_timeout: Annotated[float, Field(gt=0)] = 30.0
    hang_timeout: Annotated[float, Field(gt=0)] = 600.0
    drain_timeout: Annotated[float, Field(ge=0)] = 20.0
    heartbeat_interval: Annotated[float, Field(gt=0)] = 5.0
    trial_attempts: Annotated[int, Field(ge=1)] = 3
    max_request_bytes: Annotated[int, Field(ge=1024)] = 1_000_000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    log_format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = "console"


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
