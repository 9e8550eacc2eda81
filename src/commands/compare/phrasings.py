"""Phrasings: for a data set, templates of one kind and as many varied ones, in a text file that a person can read.

src/configs/shared/phrasings/<name>.txt has two parts, each under a line that names it, [one kind] and [varied], then
one template a line, with {} where the class goes. Empty lines and lines that begin with # say nothing.
"""

from src.base.errors import UserError, unknown
from src.base.paths import CONFIGS

FOLDER = CONFIGS / "shared" / "phrasings"
PHRASING_KINDS = ("one kind", "varied")


def kinds(name: str) -> dict[str, tuple[str, ...]]:
    """`{"one kind": (...), "varied": (...)}`: the templates of a data set, equally many of both.

    Raises:
        UserError: There is no such file; or a part is missing, empty or unknown; or a template has not one {}, or
            stands there twice; or one part has more templates than the other.
    """
    names = sorted(path.stem for path in FOLDER.glob("*.txt"))
    if name not in names:
        raise UserError(unknown("file of phrasings", name, names) + f" (each is a text file in {FOLDER})")
    path = FOLDER / f"{name}.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8") from error
    parts: dict[str, list[str]] = {}
    part = None
    for number, line in enumerate(map(str.strip, lines), 1):
        where = f"{path}, line {number}"
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            part = line.strip("[] ")
            if part not in PHRASING_KINDS:
                raise UserError(f"{where}: {unknown('part', part, PHRASING_KINDS)}")
            if part in parts:
                raise UserError(f"{where}: the part [{part}] stands there twice: make one of them")
            parts[part] = []
            continue
        if part is None:
            either = " or ".join(f"[{kind}]" for kind in PHRASING_KINDS)
            raise UserError(f"{where}: {line!r} is in no part: put {either} above it")
        if line.count("{}") != 1 or line.replace("{}", "").count("{"):
            raise UserError(f"{where}: the template {line!r} needs one {{}}, where the class goes")
        if line in parts[part]:
            raise UserError(f"{where}: the template {line!r} stands there twice: take one out")
        parts[part].append(line)
    for part in PHRASING_KINDS:
        if not parts.get(part):
            raise UserError(f"{path} has no templates under [{part}]: add them, as many as in the other part")
    one, varied = (len(parts[part]) for part in PHRASING_KINDS)
    if one != varied:
        raise UserError(
            f"{path} has {one} templates of one kind and {varied} varied ones: equally many are needed, or "
            "their number would be compared and not their kind"
        )
    return {part: tuple(parts[part]) for part in PHRASING_KINDS}
