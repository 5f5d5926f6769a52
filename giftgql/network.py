"""What calls of other servers have in common: whom to trust, and how they fail."""

import ssl
from functools import cache

import httpcore2

FAILURES = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)


@cache
def tls() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()


def reason(error: BaseException) -> str:
    """What went wrong on the network, in words of our own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate is not trusted: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore2.ConnectError | httpcore2.ConnectTimeout):
        return "No connection"
    return "The connection broke" if isinstance(error, httpcore2.NetworkError) else "No HTTP answer"
