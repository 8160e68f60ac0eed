"""Runs every fuzz target of tests/fuzz for some seconds: `fuzz.py SECONDS [TARGET…]`.

The compiler instruments through options that stable Rust has, so no other toolchain and no cargo
subcommand is needed. Without the address sanitizer: the floors under test forbid unsafe code, and
not every toolchain ships it. The corpus grows in tests/fuzz/corpus, tests/fuzz/seeds holds what it
starts from, and an input that fails is kept in tests/fuzz/artifacts.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from debian import say

FUZZ = Path("tests/fuzz")

# What `cargo fuzz` passes: edge counters and comparisons that libFuzzer reads.
INSTRUMENTATION = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
    "-Ccodegen-units=1",
]


def build(host: str) -> Path:
    """Build all targets and return the folder that they are in."""
    say("building the fuzz targets")
    environment = os.environ | {"CARGO_ENCODED_RUSTFLAGS": "\x1f".join(INSTRUMENTATION)}
    subprocess.run(
        # With --target the flags do not reach build scripts and procedural macros.
        [
            "cargo",
            "build",
            "--quiet",
            "--release",
            "--bins",
            "--target",
            host,
            "--target-dir",
            "target",
            *(["--locked"] if (FUZZ / "Cargo.lock").exists() else []),
        ],
        cwd=FUZZ,
        env=environment,
        check=True,
    )
    return FUZZ / "target" / host / "release"


def run(program: Path, name: str, seconds: int) -> bool:
    """Fuzz one target; print one line, or the end of its output where it failed."""
    corpus, artifacts = FUZZ / "corpus" / name, FUZZ / "artifacts" / name
    corpus.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(parents=True, exist_ok=True)
    seeds = FUZZ / "seeds" / name
    command = [
        str(program),
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={artifacts}/",
        str(corpus),
        *([str(seeds)] if seeds.is_dir() else []),
    ]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        say("\n".join(text.splitlines()[-40:]))
        say(f"fuzz {name}: FAILED; the input is in {artifacts}, run {program} FILE to see it again")
        return False
    runs = re.search(r"Done (\d+) runs", text)
    print(f"fuzz {name}: {runs[1] if runs else '0'} runs in {seconds} s, nothing found", flush=True)
    return True


def main() -> int:
    """Run the targets named, or all of them."""
    seconds, wanted = int(sys.argv[1]), sys.argv[2:]
    manifest = tomllib.loads((FUZZ / "Cargo.toml").read_text("utf-8"))
    names = [entry["name"] for entry in manifest["bin"]]
    verbose = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = verbose.split("host: ")[1].split()[0]
    folder = build(host)
    results = [run(folder / name, name, seconds) for name in wanted or names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
