"""What can go wrong, and the exit code each kind ends with.

0 done, 1 failed, 2 the input is wrong, 3 a gate did not hold, 130/143 interrupted and resumable.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing a person has to mend: where it is, what it is, what was expected, what to try."""

    where: str  # "recipes/x.yaml:12", "data/x.csv:40" or "command line"
    what: str  # the field and the value found; never a user's text
    expected: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}"]
        if self.expected:
            lines.append(f"    expected: {self.expected}")
        if self.remedy:
            lines.append(f"    try: {self.remedy}")
        return "\n".join(lines)


class TeensafeError(Exception):
    """An error that ends a command with one clear message instead of a traceback."""

    exit_code = 1


class InputError(TeensafeError):
    """The recipe, the data or the arguments are wrong. Carries every problem found, in reading order."""

    exit_code = 2

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class Failure(TeensafeError):
    """The work itself failed (non-finite loss, full disk, damaged checkpoint). Message: what, where, try."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


class Diverged(Failure):
    """Loss or gradient is not finite: the recipe's own doing, and met by all processes at one update."""


class Interrupted(TeensafeError):
    """A signal asked us to stop; the state is saved and the same command resumes it."""

    def __init__(self, signum: int, message: str) -> None:
        self.exit_code = 128 + signum
        super().__init__(message)


class Pruned(TeensafeError):
    """Whoever asked for a training does not want the rest of it; the state is saved, and it can go on."""


def guarded(program: str, work: Callable[[], int]) -> int:
    """Run a command; an error becomes one message on stderr and its exit code, never a traceback.

    Errors that are not ours are bugs and keep their traceback.
    """
    try:
        return work()
    except TeensafeError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return error.exit_code
    except OSError as error:
        if error.errno not in _DISK:
            raise
        sys.stderr.write(
            f"{program}: {error.filename or 'a file'}: {error.strerror}\n"
            "    nothing that was finished is lost or half-written\n"
            "    try: make room or give access, then run the same command again\n"
        )
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted\n")
        return 130


_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
)
