"""A service with a certificate of its own, behind a real socket."""

from __future__ import annotations

import shutil
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine

from actsearch import Client, ServerUnreachable
from actsearch.cli.stack import only_this
from actsearch.client.service import Service, http_options
from actsearch.errors import ClientError, InvalidRequest
from actsearch.schemas import KeyScope
from actsearch.settings import Settings, settings
from actsearch.store.keys import create_key
from actsearch_api.main import serve
from actsearch_api.tls import tls_options

SECRET = "s" * 32
CERTIFICATE = Path(__file__).parent / "certificates" / "cert.pem"
KEY = CERTIFICATE.with_name("key.pem")


@pytest.fixture
def address(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`actsearch serve --tls-cert ... --tls-key ...`, in a thread."""
    servers: list[uvicorn.Server] = []
    run = uvicorn.Server.run

    def remember(server: uvicorn.Server, sockets: object) -> None:
        servers.append(server)
        run(server, sockets)  # type: ignore[arg-type]

    monkeypatch.setattr(uvicorn.Server, "run", remember)
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)
    where = {"port": 0, "database_url": database_url, "data_dir": tmp_path, "key_secret": SECRET}
    given = Settings(_env_file=None, tls_cert=CERTIFICATE, tls_key=KEY, **where)
    thread = threading.Thread(target=serve, args=(given,))
    thread.start()
    while not (servers and servers[0].started):
        time.sleep(0.01)
        assert thread.is_alive()
    yield f"https://127.0.0.1:{servers[0].servers[0].sockets[0].getsockname()[1]}"
    servers[0].should_exit = True
    thread.join()


def test_the_service_speaks_tls_and_its_cookies_stay_on_it(
    address: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin() as connection:
        token, _ = create_key(connection, [SECRET.encode()], "ada", KeyScope.submit)
    with httpx.Client(base_url=address, verify=only_this(CERTIFICATE)) as http:
        assert http.get("/readyz").status_code == 200
        # Told otherwise by someone on this machine, the service still knows that it speaks TLS.
        forwarded = {"X-Forwarded-Proto": "http"}
        cookie = http.post("/login", data={"key": token}, headers=forwarded).headers["set-cookie"]
        assert cookie.startswith("__Host-actsearch-session=")
        assert cookie.endswith("; Secure")
        assert http.post("/v1/jobs", json={"task": "digits"}).json()["owner"] == "ada"
    with pytest.raises(httpx.TransportError):
        httpx.get(address.replace("https", "http") + "/healthz")

    # The SDK trusts what it is told to trust.
    with Client(address, api_key="", retries=0) as client, pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY"):
        client.workers()
    monkeypatch.setenv("ACTSEARCH_CA_CERT", str(CERTIFICATE))
    settings.cache_clear()
    try:
        with Client(address, api_key=token) as client:
            assert [job.owner for job in client.jobs(mine=True)] == ["ada"]
    finally:
        settings.cache_clear()


def test_certificates_that_the_sdk_cannot_read_are_named(tmp_path: Path) -> None:
    for file in (tmp_path / "none.pem", KEY):
        with pytest.raises(ClientError, match=r"ACTSEARCH_CA_CERT"):
            http_options(Service("https://service", ca_cert=file), 1.0)


@pytest.mark.parametrize(
    ("certificate", "key", "told"),
    [
        (CERTIFICATE, None, "--tls-key"),
        (None, KEY, "--tls-cert"),
        (CERTIFICATE, Path("none.pem"), "cannot read none.pem"),
        (Path("none.pem"), KEY, "cannot read none.pem"),
        (KEY, KEY, "not a certificate"),
        (CERTIFICATE, CERTIFICATE, "not a certificate"),
        (CERTIFICATE, Path("locked.pem"), "unencrypted"),
    ],
)
def test_files_that_do_not_fit_are_named_before_the_service_starts(
    certificate: Path | None, key: Path | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(KEY.with_name("locked.pem"), "locked.pem")
    with pytest.raises(InvalidRequest, match=told):
        tls_options(Settings(_env_file=None, tls_cert=certificate, tls_key=key))
    assert tls_options(Settings(_env_file=None, tls_cert="", tls_key="")) == {}


def test_the_childs_certificate_is_the_one_that_is_trusted() -> None:
    context = only_this(CERTIFICATE)
    assert context.verify_mode == ssl.CERT_REQUIRED
