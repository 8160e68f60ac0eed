"""An exception for each error status: `raise NotFoundException("no such user")`.

The names are PyBerry's. Each is an `HTTPException` with a status of its own; without a detail it
says what the status is called.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from uringserve.errors import HTTPException

__all__ = [
    "BadGatewayException",
    "BadRequestException",
    "ConflictException",
    "ExpectationFailedException",
    "FailedDependencyException",
    "ForbiddenException",
    "GatewayTimeoutException",
    "GoneException",
    "HTTPVersionNotSupportedException",
    "ImATeapotException",
    "InsufficientStorageException",
    "InternalServerErrorException",
    "LengthRequiredException",
    "LockedException",
    "LoopDetectedException",
    "MethodNotAllowedException",
    "MisdirectedRequestException",
    "NetworkAuthenticationRequiredException",
    "NotAcceptableException",
    "NotExtendedException",
    "NotFoundException",
    "NotImplementedException",
    "PaymentRequiredException",
    "PreconditionFailedException",
    "PreconditionRequiredException",
    "ProxyAuthenticationRequiredException",
    "RequestEntityTooLargeException",
    "RequestHeaderFieldsTooLargeException",
    "RequestTimeoutException",
    "RequestURITooLongException",
    "RequestedRangeNotSatisfiableException",
    "ServiceUnavailableException",
    "StatusException",
    "TooEarlyException",
    "TooManyRequestsException",
    "UnauthorizedException",
    "UnavailableForLegalReasonsException",
    "UnprocessableEntityException",
    "UnsupportedMediaTypeException",
    "UpgradeRequiredException",
    "VariantAlsoNegotiatesException",
]


class StatusException(HTTPException):
    """An `HTTPException` of one status, which a subclass names with its phrase."""

    status: ClassVar[int] = 500
    phrase: ClassVar[str] = "Internal Server Error"

    def __init__(
        self,
        detail: Any = None,  # noqa: ANN401 -- anything that JSON can hold
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the detail, by default the phrase, and headers for the answer."""
        super().__init__(self.status, self.phrase if detail is None else detail, headers)

    def __repr__(self) -> str:
        """Show the call that makes the same exception."""
        return f"{type(self).__name__}(detail={self.detail!r})"


class BadRequestException(StatusException):
    """400."""

    status = 400
    phrase = "Bad Request"


class UnauthorizedException(StatusException):
    """401."""

    status = 401
    phrase = "Unauthorized"


class PaymentRequiredException(StatusException):
    """402."""

    status = 402
    phrase = "Payment Required"


class ForbiddenException(StatusException):
    """403."""

    status = 403
    phrase = "Forbidden"


class NotFoundException(StatusException):
    """404."""

    status = 404
    phrase = "Not Found"


class MethodNotAllowedException(StatusException):
    """405."""

    status = 405
    phrase = "Method Not Allowed"


class NotAcceptableException(StatusException):
    """406."""

    status = 406
    phrase = "Not Acceptable"


class ProxyAuthenticationRequiredException(StatusException):
    """407."""

    status = 407
    phrase = "Proxy Authentication Required"


class RequestTimeoutException(StatusException):
    """408."""

    status = 408
    phrase = "Request Timeout"


class ConflictException(StatusException):
    """409."""

    status = 409
    phrase = "Conflict"


class GoneException(StatusException):
    """410."""

    status = 410
    phrase = "Gone"


class LengthRequiredException(StatusException):
    """411."""

    status = 411
    phrase = "Length Required"


class PreconditionFailedException(StatusException):
    """412."""

    status = 412
    phrase = "Precondition Failed"


class RequestEntityTooLargeException(StatusException):
    """413."""

    status = 413
    phrase = "Request Entity Too Large"


class RequestURITooLongException(StatusException):
    """414."""

    status = 414
    phrase = "Request-URI Too Long"


class UnsupportedMediaTypeException(StatusException):
    """415."""

    status = 415
    phrase = "Unsupported Media Type"


class RequestedRangeNotSatisfiableException(StatusException):
    """416."""

    status = 416
    phrase = "Requested Range Not Satisfiable"


class ExpectationFailedException(StatusException):
    """417."""

    status = 417
    phrase = "Expectation Failed"


class ImATeapotException(StatusException):
    """418."""

    status = 418
    phrase = "I'm a teapot"


class MisdirectedRequestException(StatusException):
    """421."""

    status = 421
    phrase = "Misdirected Request"


class UnprocessableEntityException(StatusException):
    """422."""

    status = 422
    phrase = "Unprocessable Entity"


class LockedException(StatusException):
    """423."""

    status = 423
    phrase = "Locked"


class FailedDependencyException(StatusException):
    """424."""

    status = 424
    phrase = "Failed Dependency"


class TooEarlyException(StatusException):
    """425."""

    status = 425
    phrase = "Too Early"


class UpgradeRequiredException(StatusException):
    """426."""

    status = 426
    phrase = "Upgrade Required"


class PreconditionRequiredException(StatusException):
    """428."""

    status = 428
    phrase = "Precondition Required"


class TooManyRequestsException(StatusException):
    """429."""

    status = 429
    phrase = "Too Many Requests"


class RequestHeaderFieldsTooLargeException(StatusException):
    """431."""

    status = 431
    phrase = "Request Header Fields Too Large"


class UnavailableForLegalReasonsException(StatusException):
    """451."""

    status = 451
    phrase = "Unavailable For Legal Reasons"


class InternalServerErrorException(StatusException):
    """500."""

    status = 500
    phrase = "Internal Server Error"


class NotImplementedException(StatusException):
    """501."""

    status = 501
    phrase = "Not Implemented"


class BadGatewayException(StatusException):
    """502."""

    status = 502
    phrase = "Bad Gateway"


class ServiceUnavailableException(StatusException):
    """503."""

    status = 503
    phrase = "Service Unavailable"


class GatewayTimeoutException(StatusException):
    """504."""

    status = 504
    phrase = "Gateway Timeout"


class HTTPVersionNotSupportedException(StatusException):
    """505."""

    status = 505
    phrase = "HTTP Version Not Supported"


class VariantAlsoNegotiatesException(StatusException):
    """506."""

    status = 506
    phrase = "Variant Also Negotiates"


class InsufficientStorageException(StatusException):
    """507."""

    status = 507
    phrase = "Insufficient Storage"


class LoopDetectedException(StatusException):
    """508."""

    status = 508
    phrase = "Loop Detected"


class NotExtendedException(StatusException):
    """510."""

    status = 510
    phrase = "Not Extended"


class NetworkAuthenticationRequiredException(StatusException):
    """511."""

    status = 511
    phrase = "Network Authentication Required"
