"""The service's certificate, where no proxy has one."""

from __future__ import annotations

import ssl
from typing import TypedDict

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.settings import Settings


class TlsOptions(TypedDict, total=False):
    """Options of uvicorn."""

    ssl_certfile: str
    ssl_keyfile: str


def tls_options(settings: Settings) -> TlsOptions:
    """What makes the server speak TLS; nothing where it is not to.

    Raises:
        InvalidRequest: certificate and key cannot be read, or do not belong together.
    """
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None and key is None:
        return {}
    if certificate is None or key is None:
        missing = "tls_cert" if certificate is None else "tls_key"
        raise InvalidRequest(FieldProblem(missing, "TLS needs both --tls-cert and --tls-key"))
    for field, file in (("tls_cert", certificate), ("tls_key", key)):
        try:
            file.open("rb").close()
        except OSError as error:
            raise InvalidRequest(FieldProblem(field, f"cannot read {file} ({error.strerror})")) from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None) or str(error)
        message = (
            f"{certificate} and {key} are not a certificate and its key ({why}); give PEM files, the key unencrypted"
        )
        raise InvalidRequest(FieldProblem("tls_cert", message)) from None
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
