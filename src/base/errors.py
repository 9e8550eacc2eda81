"""The user's mistakes as UserErrors: one sentence that says what, where and what to do."""

import copyreg
import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The user's mistake. Printed without a traceback; the process exits with `code`."""

    code = 2

    def __reduce__(self):
        """As it is, for other processes: its __init__ may take something else than the message."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__


def unknown(what: str, name: object, valid: Iterable[str]) -> str:
    """`unknown stage 'blnd': did you mean 'blend'? (one of data, folds, ...)`: the nearest names, and a short list."""
    valid = [str(one) for one in valid]
    hint = "one of " + ", ".join(valid[:40]) + (f" and {len(valid) - 40} more" if len(valid) > 40 else "")
    near = difflib.get_close_matches(str(name), valid, n=3, cutoff=0.6)
    if not near and len(str(name)) > 2:  # it may be a part of one
        near = [one for one in valid if str(name).lower() in one.lower()][:3]
    if near:
        hint = f"did you mean {' or '.join(map(repr, near))}?" + (f" ({hint})" if len(valid) <= 12 else "")
    return f"unknown {what} {str(name)!r}: {hint}"


def counted(n: int, what: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def listed(faults: list[str], most: int = 20) -> str:
    """The faults, one a line, the first `most` of them and a count of the rest."""
    rest = [f"... and {len(faults) - most} more"] if len(faults) > most else []
    return "\n".join(f"  {line}" for line in (*faults[:most], *rest))
