"""Child processes that end with this one, however it ends."""

import os
import sys
from collections.abc import Sequence

# Asks the kernel to end the child with its parent (prctl 1 is PR_SET_PDEATHSIG), then becomes the command.
_LEASH = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit('the parent is gone')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


def leashed(*command: str) -> Sequence[str]:
    """The command line of a child that the kernel ends with the thread that starts it: start it from the main one."""
    return (sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command)
