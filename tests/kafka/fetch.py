"""Fetch Apache Kafka into a cache folder by Maven coordinates: ``python -m tests.kafka.fetch`` (``make kafka``).

Guarantee: the folder is either absent or complete, also when several processes ask at once or one is interrupted. Where
something is missing ``home`` raises ``Unavailable``, whose message says what and how to get it.

``CALMSTREAM_KAFKA_HOME`` names a folder to use instead; any unpacked distribution of Apache Kafka 4 will do.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KAFKA_VERSION = "4.4.0"
JAVA_VERSION = 17  # the oldest that Kafka 4's server runs on
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

# kafka_2.13 brings the server and the tool that formats its folder; slf4j-simple writes their log to standard error.
_POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>calmstream.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


class Unavailable(RuntimeError):
    """Apache Kafka cannot be run here; the message says what is missing."""


def home() -> Path:
    """The folder whose ``libs`` holds Kafka's jars; fetched if it is not there yet."""
    java()
    named = os.environ.get("CALMSTREAM_KAFKA_HOME")
    folder = Path(named) if named else _cache() / f"kafka-{KAFKA_VERSION}"
    if _is_complete(folder):
        return folder
    if named:
        raise Unavailable(f"CALMSTREAM_KAFKA_HOME={named}: no libs/kafka_2.13-*.jar in it")
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not _is_complete(folder):
            _fetch(folder)
    return folder


def java() -> str:
    """The absolute path of a Java that Kafka runs on."""
    java_home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{java_home}/bin" if java_home else None)
    if not found:
        raise Unavailable(f"no java in {'JAVA_HOME' if java_home else 'PATH'}: install Java {JAVA_VERSION} or newer")
    says = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', says)
    if not version or int(version[1]) < JAVA_VERSION:
        raise Unavailable(f"{found} is not Java {JAVA_VERSION} or newer: {says.strip() or 'it says no version'}")
    return os.path.abspath(found)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "calmstream"


def _is_complete(folder: Path) -> bool:
    return any((folder / "libs").glob("kafka_2.13-*.jar"))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise Unavailable("Apache Kafka is not fetched and there is no mvn in PATH: install Maven, then `make kafka`")
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as scratch:
        project, fetched = Path(scratch, "pom.xml"), Path(scratch, "fetched")
        project.write_text(_POM)
        command = [maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", project, _COPY]
        command += [f"-DoutputDirectory={fetched / 'libs'}", "-DincludeScope=runtime"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode or not _is_complete(fetched):
            raise Unavailable(f"mvn could not fetch Apache Kafka {KAFKA_VERSION}: {done.stdout[-2000:].strip()}")
        shutil.rmtree(folder, ignore_errors=True)  # what an older version of this module may have left
        fetched.rename(folder)


if __name__ == "__main__":
    try:
        print(f"Apache Kafka {KAFKA_VERSION}: {home()}")
    except Unavailable as error:
        sys.exit(f"Apache Kafka cannot be run here: {error}")
