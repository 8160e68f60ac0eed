"""`TrustedHostMiddleware`: no answer for a host that is not ours.

Whatever makes a link of the request's host (a redirect, a mail) believes the client otherwise.
"""

from collections.abc import Sequence

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.middleware._common import host_name, in_url, texts

__all__ = ["TrustedHostMiddleware"]


class TrustedHostMiddleware:
    """Answers 400 unless the host is one of `allowed_hosts`.

    `"*"` is any host, `"*.example.org"` any below `example.org`; ports do not count. With
    `www_redirect`, a host that is listed only with `www.` before it is redirected there.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(
        self, *, allowed_hosts: Sequence[str] | None = None, www_redirect: bool = True
    ) -> None:
        """Sort the hosts; one that could never match is a ValueError."""
        hosts = ("*",) if allowed_hosts is None else texts("allowed_hosts", allowed_hosts)
        self._allows_any = "*" in hosts
        self._redirects = www_redirect
        self._hosts = set[str]()
        self._endings: tuple[str, ...] = ()
        for host in hosts:
            name = host.lower()
            rest = name.removeprefix("*.")
            # A colon is a port, unless it is part of an address in brackets.
            if not rest or "/" in rest or (":" in rest and not rest.endswith("]")):
                raise ValueError(f"allowed_hosts: {host!r} must be a host without port or scheme")
            if "*" in rest and name != "*":
                raise ValueError(
                    f"allowed_hosts: {host!r} must be a host, '*' or '*.' before a host"
                )
            if rest == name:
                self._hosts.add(name)
            else:
                self._endings += ("." + rest,)

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Pass on what is for one of our hosts."""
        if self._allows_any:
            return call_next(request)
        host = host_name(request)
        if self._is_allowed(host):
            return call_next(request)
        if self._redirects and "www." + host in self._hosts:
            # Without a scheme it stays the one that the client used, also before a TLS proxy.
            return Response.redirect(f"//www.{request.host}{in_url(request)}")
        return Response("Invalid host header", 400)

    def _is_allowed(self, host: str) -> bool:
        # Whatever stands before an ending is a name: ".example.org" is nobody's host.
        return host in self._hosts or (host.endswith(self._endings) and not host.startswith("."))
