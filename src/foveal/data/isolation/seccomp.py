"""A filter of system calls for a process that only computes, written as a BPF program.

Linux, "Seccomp BPF", https://docs.kernel.org/userspace-api/seccomp_filter.html. By hand because the
library that writes such programs is LGPL, and ours is short: what a decoder needs is allowed,
what it might probe fails with an error, and what only an intruder wants ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import final

_ALLOW, _KILL, _FAIL = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
# Instructions: load a word of the call, jump if equal, jump if any bit is set, return.
_LOAD, _IF_EQUAL, _IF_ANY, _RETURN = 0x20, 0x15, 0x45, 0x06
# Where `struct seccomp_data` has the number, the architecture and the low words of arguments.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_CLONE_THREAD, _PROT_EXEC = 0x10000, 4
# Of the 32-bit kind of calls on x86-64, none is expected.
_X32 = 0x4000_0000

# machine → (AUDIT_ARCH, column of the tables below)
_MACHINES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
# Numbers of the calls on x86-64 and on 64-bit ARM; -1 where it does not have one.
_ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "poll": (7, -1),
    "lseek": (8, 62), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67),
    "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66), "sched_yield": (24, 124),
    "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172),
    "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "exit": (60, 93), "uname": (63, 160), "fcntl": (72, 25), "ftruncate": (77, 46),
    "getcwd": (79, 17), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "getuid": (102, 174), "sigaltstack": (131, 132), "setrlimit": (160, 164),
    "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115),
    "exit_group": (231, 94), "ppoll": (271, 73), "set_robust_list": (273, 99),
    "preadv": (295, 69), "pwritev": (296, 70), "getrandom": (318, 278), "membarrier": (324, 283),
    "rseq": (334, 293),
}  # fmt: skip
_FATAL = {
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1), "vfork": (58, -1),
    "socket": (41, 198), "connect": (42, 203), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "bpf": (321, 280),
    "io_uring_setup": (425, 425),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), (435, 435)
_MMAP, _MPROTECT, _PRLIMIT = (9, 222), (10, 226), (302, 261)
_KILL_CALL, _TGKILL = (62, 129), (234, 131)


@final
class _Filter(ctypes.Structure):
    """The argument of `prctl`: number and address of the instructions."""

    _fields_ = (("count", ctypes.c_ushort), ("program", ctypes.c_void_p))


def is_supported() -> bool:
    """Return whether system calls can be filtered on this machine."""
    return sys.platform == "linux" and platform.machine() in _MACHINES


def allow_only_computing() -> None:
    """Disable all system calls except those for computing on open files, permanently.

    Threads may be started, processes not. Nothing can be opened, nor memory made executable.

    Raises:
        OSError: If the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    program = ctypes.create_string_buffer(_program(*_MACHINES[platform.machine()], os.getpid()))
    chosen = _Filter(len(program) // 8, ctypes.addressof(program))
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(chosen), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "The kernel refuses to filter system calls")


def _program(architecture: int, column: int, pid: int) -> bytes:
    """Return the filter: the first check that holds decides."""
    steps = [_load(_ARCHITECTURE), _step(_IF_EQUAL, architecture, yes=1), _give(_KILL)]
    steps += [_load(_NUMBER), _step(_IF_ANY, _X32, no=1), _give(_KILL)]
    for numbers in _FATAL.values():
        steps += _answer(numbers[column], _KILL)
    for numbers in _ALLOWED.values():
        steps += _answer(numbers[column], _ALLOW)
    # Its flags are in memory, which a filter cannot see: libc then takes the older call.
    steps += _answer(_CLONE3[column], _FAIL | errno.ENOSYS)
    steps += _examine(_CLONE[column], 0, _IF_ANY, _CLONE_THREAD, _ALLOW, _KILL)
    for call in (_MMAP, _MPROTECT):
        steps += _examine(call[column], 2, _IF_ANY, _PROT_EXEC, _FAIL | errno.EPERM, _ALLOW)
    # Of no process but itself: its own limits, and its own end by abort().
    steps += _examine(_PRLIMIT[column], 0, _IF_EQUAL, 0, _ALLOW, _FAIL | errno.EPERM)
    for call in (_KILL_CALL, _TGKILL):
        steps += _examine(call[column], 0, _IF_EQUAL, pid, _ALLOW, _KILL)
    return b"".join([*steps, _give(_FAIL | errno.EPERM)])


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _load(offset: int) -> bytes:
    return _step(_LOAD, offset)


def _give(value: int) -> bytes:
    return _step(_RETURN, value)


def _answer(number: int, value: int) -> list[bytes]:
    return [] if number < 0 else [_step(_IF_EQUAL, number, no=1), _give(value)]


def _examine(
    number: int, argument: int, test: int, operand: int, if_so: int, if_not: int
) -> list[bytes]:
    """Return the steps that decide by the low word of an argument."""
    return [
        _step(_IF_EQUAL, number, no=4),
        _load(_ARGUMENTS + 8 * argument),
        _step(test, operand, no=1),
        _give(if_so),
        _give(if_not),
    ]
