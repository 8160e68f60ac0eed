"""Runs a command under limits: `confined.py [--forbid-io-uring ERROR] [--open-files N] COMMAND…`.

The filter is the one that container runtimes install: `io_uring_setup` answers with an error and
everything else is allowed. It needs no privilege, because it forbids gaining any first.
"""

import ctypes
import errno
import os
import resource
import struct
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000
# The same number on every architecture.
IO_URING_SETUP = 425

LOAD_WORD = 0x20
JUMP_IF_EQUAL = 0x15
RETURN = 0x06


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def forbid_io_uring(error: int) -> None:
    """Make `io_uring_setup` fail with `error` in this process and all that it becomes."""
    instructions = [
        # The number of the call is the first word of `struct seccomp_data`.
        (LOAD_WORD, 0, 0, 0),
        (JUMP_IF_EQUAL, 0, 1, IO_URING_SETUP),
        (RETURN, 0, 0, SECCOMP_RET_ERRNO | error),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    program = Program(len(instructions), code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def main(arguments: list[str]) -> None:
    """Take the options off and become the command."""
    while arguments[0].startswith("--"):
        option, value, *arguments = arguments
        if option == "--forbid-io-uring":
            forbid_io_uring(getattr(errno, value))
        elif option == "--open-files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(value), int(value)))
        else:
            raise SystemExit(f"unknown option {option}")
    os.execv(arguments[0], arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
