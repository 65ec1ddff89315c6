"""What keeps a child within its bounds; set by the child itself, before any work.

Bounded are memory, size of written files, open files and, per call, processor time. On Linux a
filter of system calls also refuses sockets, further processes, other programs and looking into
processes. Not bounded is what the child may read: it runs as the same system user.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import struct
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

OUT_OF_MEMORY: Final = 86  # the exit status of a child that met its bound
_NICENESS: Final = 5
_OPEN_FILES: Final = 128
_PARENT_GONE: Final = 87

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050001  # EPERM
_UNKNOWN: Final = 0x00050026  # ENOSYS: glibc then takes clone, whose flags can be seen
_X32_BIT: Final = 0x40000000
_CLONE_THREAD: Final = 0x00010000

# Operation codes of classic BPF: load a word, compare, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16

_Calls = Mapping[str, int]
_Step = tuple[int, int, int, int]  # operation, steps to skip if so, steps if not, value
# AUDIT_ARCH and the numbers of the refused calls, by machine.
_MACHINES: Final[Mapping[str, tuple[int, _Calls]]] = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "ptrace": 101,
            "process_vm_readv": 310, "process_vm_writev": 311, "execveat": 322,
            "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_getfd": 438,
            "clone": 56, "clone3": 435,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": 198, "execve": 221, "kill": 129, "ptrace": 117,
            "process_vm_readv": 270, "process_vm_writev": 271, "execveat": 281,
            "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_getfd": 438,
            "clone": 220, "clone3": 435,
        },
    ),
}  # fmt: skip


def confine(pipe: int, parent_id: int, memory_bytes: int) -> None:
    """Bounds this process, for good, and ties its life to the parent's."""
    os.nice(_NICENESS)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)
    # Libraries cache compiled modules, and one unpacks a model of 80 MB into a temporary file.
    _lower(resource.RLIMIT_FSIZE, memory_bytes)
    # Private memory; the whole address space would count libraries and mapped models too.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
        _filter_calls()
    if not _die_by_signal(parent_id):
        threading.Thread(target=watch_pipe, args=(pipe,), daemon=True).start()


def bound_processor_time(seconds: int) -> None:
    """Ends the process by a signal after so many further seconds of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + seconds, is_soft=True)


def watch_pipe(pipe: int) -> None:
    """Waits until the other end of the pipe is closed, then ends this process."""
    poll = select.poll()
    poll.register(pipe, 0)  # a hang-up is told unasked
    poll.poll()
    os._exit(_PARENT_GONE)


def _lower(which: int, bound: int, *, is_soft: bool = False) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(which, (bound, hard if is_soft else bound))


def _die_by_signal(parent_id: int) -> bool:
    """Whether the kernel will kill this process when its parent ends."""
    if sys.platform != "linux":
        return False
    if _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        return False
    if os.getppid() != parent_id:  # it ended before
        os._exit(_PARENT_GONE)
    return True


def _filter_calls() -> None:
    """Refuses the system calls of this machine's list; nothing on another, or on an old kernel."""
    known = _MACHINES.get(os.uname().machine)
    if known is None or sys.maxsize < 2**32:
        return
    steps = _to_program(*known)
    packed = b"".join(struct.pack("<HBBI", *step) for step in steps)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))

    program = Program(len(steps), packed)
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) == 0:
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _prctl(option: int, *arguments: int) -> int:
    padded = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    return ctypes.CDLL(None).prctl(ctypes.c_int(option), *padded)


def _to_program(architecture: int, calls: _Calls) -> list[_Step]:
    """The steps that decide on a system call: jumps into the verdicts at the end."""
    refused = [number for name, number in calls.items() if name not in {"clone", "clone3"}]
    verdicts: list[_Step] = [
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _UNKNOWN),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),  # of clone: a thread may be made, a process not
        (_ANY_BIT, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    unknown, refuse, clone = 1, 2, 3
    tests = [
        (_AT_LEAST, _X32_BIT, refuse),
        (_EQUAL, calls["clone3"], unknown),
        (_EQUAL, calls["clone"], clone),
        *((_EQUAL, number, refuse) for number in refused),
    ]
    count = len(tests)
    return [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 0, 1 + count + refuse, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        *(
            (operation, count - 1 - at + verdict, 0, value)
            for at, (operation, value, verdict) in enumerate(tests)
        ),
        *verdicts,
    ]
