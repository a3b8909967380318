"""Refuses a Python or a machine that the pinned requirements have no packages for, and says what would be right.

Needs nothing but the standard library and runs on any Python from 2.7 on, so that an old one gets a sentence and not a
syntax error. Exit code 0: supported, 1: not; `--quiet` says nothing. `pin.py` reads the three limits from here.
"""

import os
import platform
import struct
import sys

PYTHONS = ((3, 11), (3, 12), (3, 13))
MACHINES = ("x86_64", "aarch64")
GLIBC = (2, 28)

_RIGHT = "CPython %s to %s on Linux (x86-64 or aarch64) with glibc %s or newer" % (
    ".".join(map(str, PYTHONS[0])),
    ".".join(map(str, PYTHONS[-1])),
    ".".join(map(str, GLIBC)),
)


def problems():
    """What is wrong with this Python and this machine: a list of sentences, empty when both are supported."""
    return _python_problems() + _machine_problems()


def _python_problems():
    name = platform.python_implementation()
    version = platform.python_version()
    if name != "CPython":
        return ["%s %s is not supported: use CPython." % (name, version)]
    if sys.version_info[:2] not in PYTHONS:
        word = "old" if sys.version_info[:2] < PYTHONS[0] else "new"
        return ["Python %s is too %s." % (version, word)]
    import sysconfig

    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return ["Python %s without the GIL (free-threaded) is not supported: use the ordinary build." % version]
    return _missing_modules(version)


def _missing_modules(version):
    missing = []
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            missing.append(module)
    if not missing:
        return []
    return [
        "Python %s lacks its own %s, needed for the virtual environment: install the python3-venv package of your "
        "distribution (Debian, Ubuntu: apt install python3-venv)." % (version, " and ".join(missing))
    ]


def _machine_problems():
    if not sys.platform.startswith("linux"):
        return ["%s is not supported: use Linux (a container or WSL 2 will do)." % platform.system()]
    if platform.machine() not in MACHINES:
        return ["Linux on %s is not supported: use x86-64 or aarch64." % platform.machine()]
    if struct.calcsize("P") != 8:
        return ["This is a 32-bit Python: use a 64-bit one."]
    if sys.version_info[0] < 3:
        return []  # such a Python cannot tell its C library
    glibc = _glibc()
    if glibc is None:
        return ["The C library is not glibc (musl, as in Alpine?): use a distribution with glibc, such as Debian."]
    if glibc < GLIBC:
        return ["glibc %d.%d is too old." % glibc]
    return []


def _glibc():
    """The version of glibc as (major, minor); None where the C library is another one."""
    try:
        name, version = os.confstr("CS_GNU_LIBC_VERSION").split()
        major, minor = version.split(".")[:2]
    except (AttributeError, OSError, ValueError):
        return None
    return (int(major), int(minor)) if name == "glibc" else None


def main():
    found = problems()
    if found and "--quiet" not in sys.argv[1:]:
        sys.stderr.write("Calmstream cannot be installed with %s:\n" % (sys.executable or "this Python"))
        for problem in found:
            sys.stderr.write("  - %s\n" % problem)
        sys.stderr.write("It needs %s.\n" % _RIGHT)
        sys.stderr.write("To choose another Python: make PYTHON=/path/to/python3.13 ...\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
