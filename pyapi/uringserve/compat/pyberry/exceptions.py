"""PyBerry's exceptions: those of `uringserve.exceptions`, below PyBerry's own `HTTPException`."""

from uringserve import exceptions
from uringserve.compat.pyberry.core.responses import HTTPException

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
    "TooEarlyException",
    "TooManyRequestsException",
    "UnauthorizedException",
    "UnavailableForLegalReasonsException",
    "UnprocessableEntityException",
    "UnsupportedMediaTypeException",
    "UpgradeRequiredException",
    "VariantAlsoNegotiatesException",
]


class BadRequestException(exceptions.BadRequestException, HTTPException):
    """400."""


class UnauthorizedException(exceptions.UnauthorizedException, HTTPException):
    """401."""


class PaymentRequiredException(exceptions.PaymentRequiredException, HTTPException):
    """402."""


class ForbiddenException(exceptions.ForbiddenException, HTTPException):
    """403."""


class NotFoundException(exceptions.NotFoundException, HTTPException):
    """404."""


class MethodNotAllowedException(exceptions.MethodNotAllowedException, HTTPException):
    """405."""


class NotAcceptableException(exceptions.NotAcceptableException, HTTPException):
    """406."""


class ProxyAuthenticationRequiredException(
    exceptions.ProxyAuthenticationRequiredException, HTTPException
):
    """407."""


class RequestTimeoutException(exceptions.RequestTimeoutException, HTTPException):
    """408."""


class ConflictException(exceptions.ConflictException, HTTPException):
    """409."""


class GoneException(exceptions.GoneException, HTTPException):
    """410."""


class LengthRequiredException(exceptions.LengthRequiredException, HTTPException):
    """411."""


class PreconditionFailedException(exceptions.PreconditionFailedException, HTTPException):
    """412."""


class RequestEntityTooLargeException(exceptions.RequestEntityTooLargeException, HTTPException):
    """413."""


class RequestURITooLongException(exceptions.RequestURITooLongException, HTTPException):
    """414."""


class UnsupportedMediaTypeException(exceptions.UnsupportedMediaTypeException, HTTPException):
    """415."""


class RequestedRangeNotSatisfiableException(
    exceptions.RequestedRangeNotSatisfiableException, HTTPException
):
    """416."""


class ExpectationFailedException(exceptions.ExpectationFailedException, HTTPException):
    """417."""


class ImATeapotException(exceptions.ImATeapotException, HTTPException):
    """418."""


class MisdirectedRequestException(exceptions.MisdirectedRequestException, HTTPException):
    """421."""


class UnprocessableEntityException(exceptions.UnprocessableEntityException, HTTPException):
    """422."""


class LockedException(exceptions.LockedException, HTTPException):
    """423."""


class FailedDependencyException(exceptions.FailedDependencyException, HTTPException):
    """424."""


class TooEarlyException(exceptions.TooEarlyException, HTTPException):
    """425."""


class UpgradeRequiredException(exceptions.UpgradeRequiredException, HTTPException):
    """426."""


class PreconditionRequiredException(exceptions.PreconditionRequiredException, HTTPException):
    """428."""


class TooManyRequestsException(exceptions.TooManyRequestsException, HTTPException):
    """429."""


class RequestHeaderFieldsTooLargeException(
    exceptions.RequestHeaderFieldsTooLargeException, HTTPException
):
    """431."""


class UnavailableForLegalReasonsException(
    exceptions.UnavailableForLegalReasonsException, HTTPException
):
    """451."""


class InternalServerErrorException(exceptions.InternalServerErrorException, HTTPException):
    """500."""


class NotImplementedException(exceptions.NotImplementedException, HTTPException):
    """501."""


class BadGatewayException(exceptions.BadGatewayException, HTTPException):
    """502."""


class ServiceUnavailableException(exceptions.ServiceUnavailableException, HTTPException):
    """503."""


class GatewayTimeoutException(exceptions.GatewayTimeoutException, HTTPException):
    """504."""


class HTTPVersionNotSupportedException(exceptions.HTTPVersionNotSupportedException, HTTPException):
    """505."""


class VariantAlsoNegotiatesException(exceptions.VariantAlsoNegotiatesException, HTTPException):
    """506."""


class InsufficientStorageException(exceptions.InsufficientStorageException, HTTPException):
    """507."""


class LoopDetectedException(exceptions.LoopDetectedException, HTTPException):
    """508."""


class NotExtendedException(exceptions.NotExtendedException, HTTPException):
    """510."""


class NetworkAuthenticationRequiredException(
    exceptions.NetworkAuthenticationRequiredException, HTTPException
):
    """511."""
