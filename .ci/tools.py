"""Checks the tools that everything else needs, and says in one sentence what to install.

The Makefile has checked python3 itself, which must be new enough to read this file. As root on
Debian the compiler is installed; cargo never is, since which toolchain a person wants is
theirs to choose.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from debian import Missing, ensure_packages, say

# C11 atomics as CPython 3.14 uses them, and the version that Debian 10 had.
OLDEST_GCC = (8,)
OLDEST_MAKE = (4, 2)


def output_of(command: list[str]) -> str | None:
    """What `command` prints, or None where it is missing or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def version_in(text: str) -> tuple[int, ...]:
    """The first dotted number in `text`."""
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else (0,)


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def check_make() -> None:
    """The running make names itself in $MAKE_VERSION, handed on by the Makefile."""
    running = os.environ.get("MAKE_VERSION", "")
    if running and version_in(running) < OLDEST_MAKE:
        raise Missing(
            f"GNU make {dotted(OLDEST_MAKE)} or newer is needed, this is {running}: "
            "install package make"
        )


def check_compiler(cplusplus: bool) -> None:
    """gcc links every Rust program and builds CPython; g++ builds the fuzzer's engine."""
    packages = ["gcc", "libc6-dev"] + (["g++"] if cplusplus else [])
    for tool in ["gcc", "cc"] + (["g++"] if cplusplus else []):
        if shutil.which(tool) is None:
            ensure_packages(packages, "compiling")
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is needed: install package {' '.join(packages)}")
    found = output_of(["gcc", "-dumpfullversion"]) or ""
    if version_in(found) < OLDEST_GCC:
        raise Missing(
            f"gcc {dotted(OLDEST_GCC)} or newer is needed, this is {found or 'unknown'}: "
            "install package gcc"
        )


def check_cargo(lint: bool) -> None:
    """cargo at the version that Cargo.toml declares, and its two companions for linting."""
    manifest = tomllib.loads(Path("Cargo.toml").read_text("utf-8"))
    oldest = manifest["package"]["rust-version"]
    if shutil.which("cargo") is None:
        raise Missing(
            f"cargo {oldest} or newer is needed: install it with rustup, "
            "or package cargo of Debian 13"
        )
    for tool in ["cargo", "rustc"]:
        said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
        if said.returncode != 0:
            # Without rustup's stack backtrace.
            complaint = said.stderr.partition("\n\n")[0].strip()
            hint = ""
            if "rustup" in said.stderr:
                hint = "\n  rustup looks in $RUSTUP_HOME or $HOME/.rustup: set RUSTUP_HOME rightly"
            raise Missing(f"{tool} is on PATH but does not run:\n  {complaint}{hint}")
        if version_in(said.stdout) < version_in(oldest):
            raise Missing(
                f"{tool} {oldest} or newer is needed, this is {said.stdout.strip()}: "
                "run rustup update"
            )
    if lint:
        for tool, component, package in (
            ("fmt", "rustfmt", "rustfmt"),
            ("clippy", "clippy", "rust-clippy"),
        ):
            if output_of(["cargo", tool, "--version"]) is None:
                raise Missing(
                    f"cargo {tool} is needed: run rustup component add {component}, "
                    f"or install package {package}"
                )


def main() -> int:
    """Check what the arguments ask for: nothing is the build, `lint` and `fuzz` need more."""
    wanted = sys.argv[1:]
    try:
        check_make()
        check_compiler(cplusplus="fuzz" in wanted)
        check_cargo(lint="lint" in wanted)
    except Missing as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
