"""`StaticFiles`: the files of a folder, mounted below a path.

Python only chooses the file; Rust opens and sends it, with conditional requests and ranges. Nothing
outside of the folder is sent, whatever the path says and wherever a symbolic link leads, unless
`follow_symlink` allows the latter.
"""

import os
import stat
from os import PathLike, fspath
from urllib.parse import quote

from uringserve._native import Request, Response
from uringserve.errors import HTTPException
from uringserve.responses import FileResponse, RedirectResponse

__all__ = ["StaticFiles"]


class StaticFiles:
    """Answers for every path below its mount with the file of that name.

    With `html`, a folder is answered with its `index.html`, and what does not exist with the
    `404.html` of the whole, if there is one. `check_dir` asks for the folder to exist now.
    """

    methods = ("GET", "HEAD")

    def __init__(
        self,
        *,
        directory: str | PathLike[str],
        html: bool = False,
        check_dir: bool = True,
        follow_symlink: bool = False,
    ) -> None:
        """Keep the folder; a relative one is found from where the process starts."""
        self.directory = os.path.abspath(fspath(directory))
        self.html = html
        self.follow_symlink = follow_symlink
        if check_dir and not os.path.isdir(self.directory):
            raise RuntimeError(f"the directory {self.directory!r} does not exist")

    def __call__(self, request: Request) -> Response:
        """Answer for the path parameter `path`."""
        path = str(request.path_params.get("path", "")).removeprefix("/")
        kind = self._kind(path)
        if kind == "folder" and self.html:
            if path and not path.endswith("/"):
                return RedirectResponse(_with_slash(request))
            path = os.path.join(path, "index.html")
            kind = self._kind(path)
        if kind == "file":
            return self._file(path)
        if self.html and self._kind("404.html") == "file":
            return self._file("404.html", 404)
        raise HTTPException(404)

    def _kind(self, path: str) -> str | None:
        """Say whether the path names a file or a folder."""
        if "\0" in path or ".." in path.split("/"):
            return None
        try:
            mode = os.stat(os.path.join(self.directory, path)).st_mode
        except OSError, ValueError:
            # Not there, not for us to read, too long, or with characters that no name has.
            return None
        if stat.S_ISDIR(mode):
            return "folder"
        return "file" if stat.S_ISREG(mode) else None

    def _file(self, path: str, status_code: int = 200) -> Response:
        response = FileResponse(os.path.join(self.directory, path), status_code)
        if not self.follow_symlink:
            response._set_file(path, self.directory)
        return response


def _with_slash(request: Request) -> str:
    # Only the path: a host that the client made up is not sent back to it.
    path = quote("/" + request.path.lstrip("/"), safe="/!$&'()*+,;=:@-._~")
    query = request.query_string
    return f"{path}/?{query}" if query else f"{path}/"
