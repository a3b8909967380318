"""``make fuzz``: coverage-guided fuzzing of every codec with atheris, for a bounded time each; skipped without atheris.

    python -m tests.fuzz --seconds 60 --only otlp_metrics

Each format runs in a process of its own, in a directory that keeps what was found (``build/fuzz/FORMAT``); the corpus
is written there from the tests' encoders, and grows. Exit code 1 if a message made a codec fail: it is kept there, and
``--message FILE --only FORMAT`` feeds it again.
"""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Kept small: a longer input finds nothing that a shorter one does not, and is slower.
LONGEST_BYTES = 4096
MEMORY_MIB = 2048


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz every codec with atheris.")
    parser.add_argument("--seconds", type=int, default=30, help="for each format (default: 30)")
    parser.add_argument("--only", help="one format")
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--message", type=Path, help="feed this file once, without atheris")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.message:
        return feed_once(asked.only, asked.message)
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: skipped: atheris is not installed here (pip install atheris; it has wheels for Linux x86-64)")
        return 0
    if asked.child:
        return run(asked.only, asked.directory / asked.only, asked.seconds)
    return run_each([asked.only] if asked.only else formats(), asked.directory, asked.seconds)


def formats() -> Sequence[str]:
    from tests.fuzz.seeds import SEEDS

    return list(SEEDS)


def feed_once(name: str, path: Path) -> int:
    from tests.fuzz.feeding import Sent, feed

    feed(name, Sent(path.read_bytes()))
    print(f"{name}: {path} is read or refused as it should be")
    return 0


def run_each(names: Sequence[str], directory: Path, seconds: int) -> int:
    """One after the other; every format is tried even if one before it failed."""
    failed = []
    for name in names:
        print(f"fuzz: {name}, {seconds} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", "--child", "--only", name, "--seconds", str(seconds)]
        if subprocess.run([*command, "--directory", str(directory)], cwd=ROOT, check=False).returncode:
            failed.append(name)
    for name in failed:
        print(f"fuzz: {name} failed; the message stands in {directory / name}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str, directory: Path, seconds: int) -> int:
    """Fuzz one format in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["pipeline.codecs", "pipeline.flow"], exclude=sorted(compiled())):
        from tests.fuzz.feeding import Sent, feed
        from tests.fuzz.seeds import SEEDS

    corpus = directory / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST_BYTES}", f"-rss_limit_mb={MEMORY_MIB}", "-timeout=20"]
    quiet = ["-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={directory}/"]
    atheris.Setup(["fuzz", *limits, *quiet, str(corpus)], lambda value: feed(name, Sent(value)))
    atheris.Fuzz()
    return 0


def compiled() -> set[str]:
    """Modules that numba compiles, which it cannot when they are instrumented."""
    paths = (ROOT / "pipeline").rglob("*.py")
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return {name for path, name in names.items() if "numba" in path.read_text(encoding="utf-8")}


if __name__ == "__main__":
    sys.exit(main())
