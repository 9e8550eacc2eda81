"""A Kaggle competition's files: its folder, its zip, or the Kaggle API."""

import functools
import lzma
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from src.base.errors import UserError
from src.base.files import explain_os_errors, replacing_folder
from src.base.paths import input_root, may_write, nearest, own_input_root
from src.data import patterns
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.kaggle.refusals import Refusal, page_of
from src.schema.source import Source

# A photograph hardly shrinks in a zip, a CSV perhaps 20 times: what claims 200 times, or does not fit, is a bomb.
MOST_SHRUNK = 200
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


class Kaggle(Source):
    """A Kaggle competition: the folder that is there, a zip that the user put beside it, or the Kaggle API.

    Both are looked for in INPUT_DIR and in its folder competitions/, as in a Kaggle notebook. Where a folder is
    read-only and has its pictures in zips, they are unpacked below SUBMISSIONS_DIR.
    """

    def __init__(self, slug: str, **fields):
        super().__init__(slug=slug, **fields)

    @property
    def page(self) -> str:
        return page_of(self.slug)

    @property
    def places(self) -> tuple[Path, ...]:
        inputs = (root for root in places_in(input_root()) if not is_packed(root / self.slug))
        return *inputs, own_input_root()

    def fetch(self, input_dir: Path) -> None:
        folder = input_dir / self.slug
        if folder.is_dir():
            return
        packed = next(filter(is_packed, (root / self.slug for root in places_in(input_root()))), None)
        if packed is not None:
            print(f"unzipping the zips in {packed}, which is read-only, to {folder}")
            unzip_beside(packed, folder)
            return
        archives = [root / f"{self.slug}.zip" for root in (input_dir, *places_in(input_root()))]
        archive = next(filter(Path.is_file, archives), archives[0])
        if not archive.is_file():
            if credentials.active() is None:
                raise Refusal(
                    "credentials",
                    f"no data for {self.slug}, and {credentials.none_to_take()}: "
                    f"download its zip from {self.page}/data and put it at {archive}, or accept "
                    f"the rules at {self.page}/rules, make a token at {credentials.TOKEN_PAGE} and set "
                    f"KAGGLE_API_TOKEN to it",
                )
            print(f"downloading {self.slug} with the credentials in {credentials.active_source()}")
            part = input_dir / f".{self.slug}.download"  # kept when killed: the next run resumes in it
            with explain_os_errors(part):
                part.mkdir(parents=True, exist_ok=True)
                kaggle_api.download(self.slug, part).replace(archive)
                shutil.rmtree(part)
        print(f"unzipping {archive}" + (f" to {folder}" if folder.parent != archive.parent else ""))
        unzip(archive, folder)


def places_in(root: Path) -> tuple[Path, Path]:
    """Where a Kaggle notebook has a competition's folder."""
    return root, root / "competitions"


def is_packed(folder: Path) -> bool:
    """Return whether the folder has zips in the place of pictures, and nobody can unpack them there."""
    return folder.is_dir() and not may_write(folder) and has_zips_alone(folder)


@functools.cache  # asked for each path of a competition
def has_zips_alone(folder: Path) -> bool:
    return bool(zips_below(folder)) and not any(patterns.pictures(folder))


def unzip(archive: Path, folder: Path) -> None:
    """Unpack `archive` to `folder`, all of it or nothing, and the zips in it, but none in these.

    What train.zip has comes to lie in train/; beside it, if it is one file, or all of it lies in a folder train.

    Raises:
        UserError: Not a zip, damaged, encrypted, packed by a method that is not read here, larger than the disk or than
            a zip of data can be, or with an entry that is a link or would land outside of `folder`.
    """
    with replacing_folder(folder) as part:
        extract(archive, part, folder)
        unzip_inside(archive, part, folder)


def unzip_beside(there: Path, folder: Path) -> None:
    """Link all that `there` has into `folder`, and unpack the zips among it, as those in a zip.

    Raises:
        UserError: As `unzip` raises it of one of them.
    """
    with replacing_folder(folder) as part:
        for path in there.iterdir():
            (part / path.name).symlink_to(path.absolute())
        unzip_inside(there, part, folder)


def unzip_inside(whole: Path, part: Path, folder: Path) -> None:
    """Unpack each zip in `part`, which is to become `folder` and has what `whole` has, and remove it there."""
    for inner in zips_below(part):
        target = place_of(inner)
        if target.exists() and target != inner.parent:
            print(f"{inner.relative_to(part)} in {whole.name} stays packed: {target.relative_to(part)} is there")
            continue
        print(f"unzipping {inner.relative_to(part)} in {whole.name}")
        try:
            extract(inner, target, folder / target.relative_to(part))
        except UserError as error:
            raise UserError(str(error).replace(str(inner), f"{inner.relative_to(part)} in {whole}")) from error
        inner.unlink()


def zips_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".zip" and path.is_file())


def extract(archive: Path, part: Path, folder: Path) -> None:
    """Unpack `archive` to `part`, which is to become `folder`."""
    again = "download it again"
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = [entry for entry in zipped.infolist() if bare_name(entry)]
            for entry in entries:
                if fault := entry_fault(entry):
                    raise UserError(f"{archive} has {fault} ({entry.orig_filename!r}): unpack it to {folder} yourself")
            if twice := different_twice(entries):
                raise UserError(f"{archive} has two entries that are both {twice!r}: unpack it to {folder} yourself")
            size, free = sum(entry.file_size for entry in entries), shutil.disk_usage(nearest(folder)).free
            if size > MOST_SHRUNK * archive.stat().st_size:
                raise UserError(
                    f"{archive} claims to unpack to {size:,} bytes, more than {MOST_SHRUNK} times its size: {again}"
                )
            if size > free:
                raise UserError(f"{archive} unpacks to {size:,} bytes and the disk has {free:,} free: make room")
            for entry in entries:
                entry.filename = bare_name(entry)
                zipped.extract(entry, part)  # checks each entry's CRC, and reads no more than its declared size
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{archive} is not a whole zip file ({error}): {again}") from error


def place_of(inner: Path) -> Path:
    """Return the folder where an inner zip's files belong: its own name's, unless they lie in one of that name."""
    try:
        with zipfile.ZipFile(inner) as zipped:
            names = [name for name in map(bare_name, zipped.infolist()) if name and not name.startswith("__MACOSX/")]
    except zipfile.BadZipFile:  # `extract` says so
        names = []
    files = [name for name in names if not name.endswith("/")]
    tops = {name.partition("/")[0] for name in names}
    taken = any((inner.parent / top).exists() for top in tops)
    return inner.parent if (tops == {inner.stem} or len(files) == 1) and not taken else inner.with_suffix("")


def bare_name(entry: zipfile.ZipInfo) -> str:
    """Return an entry's path with slashes, which Windows' backslashes are too, and without `.`; empty of `./` and `/`.

    A folder's ends with a slash.
    """
    name = entry.filename.replace("\\", "/")
    path = PurePosixPath(name)
    if not path.name:
        return ""
    return f"{path}/" if name.endswith("/") else str(path)


def different_twice(entries: list[zipfile.ZipInfo]) -> str:
    """The first path under which two files of different content are packed; empty where there is none."""
    known = {}
    for entry in entries:
        content = entry.CRC, entry.file_size
        if known.setdefault(bare_name(entry), content) != content:
            return bare_name(entry)
    return ""


def entry_fault(entry: zipfile.ZipInfo) -> str:
    """What makes an entry one that is not unpacked; empty where nothing does."""
    path = PurePosixPath(bare_name(entry))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "an entry that would leave its folder"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "an entry that is a link"
    if entry.flag_bits & 1:
        return "an entry that is encrypted"
    if entry.compress_type not in METHODS:
        name = zipfile.compressor_names.get(entry.compress_type, f"method {entry.compress_type}")
        return f"an entry that is packed by {name}, which is not read here"
    return ""
