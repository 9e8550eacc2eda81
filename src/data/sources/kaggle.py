"""A Kaggle competition's files: its folder, its zip, or the Kaggle API."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from src.base.errors import UserError
from src.base.files import explain_os_errors, replacing_folder
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.kaggle.refusals import Refusal, page_of
from src.schema.source import Source

# A photograph hardly shrinks in a zip, a CSV perhaps 20 times: what claims 200 times, or does not fit, is a bomb.
MOST_SHRUNK = 200


class Kaggle(Source):
    """A Kaggle competition: the folder that is there, a zip that the user put beside it, or the Kaggle API."""

    def __init__(self, slug: str, **fields):
        super().__init__(slug=slug, **fields)

    @property
    def page(self) -> str:
        return page_of(self.slug)

    def fetch(self, input_dir: Path) -> None:
        folder, archive = input_dir / self.slug, input_dir / f"{self.slug}.zip"
        if folder.is_dir():
            return
        if not archive.is_file():
            if credentials.active() is None:
                raise Refusal(
                    "credentials",
                    f"no data for {self.slug}: download its zip from {self.page}/data and put it at {archive}, or "
                    f"accept the rules at {self.page}/rules, make a token at {credentials.TOKEN_PAGE} and set "
                    f"KAGGLE_API_TOKEN to it",
                )
            print(f"downloading {self.slug} with the credentials in {credentials.active_source()}")
            part = input_dir / f".{self.slug}.download"  # kept when killed: the next run resumes in it
            with explain_os_errors(part):
                part.mkdir(parents=True, exist_ok=True)
                kaggle_api.download(self.slug, part).replace(archive)
                shutil.rmtree(part)
        print(f"unzipping {archive}")
        unzip(archive, folder)


def unzip(archive: Path, folder: Path) -> None:
    """Unpack `archive` to `folder`, all of it or nothing.

    Raises:
        UserError: Not a zip, damaged, encrypted, larger than the disk or than a zip of data can be, or with an entry
            that is a link or would land outside of `folder`.
    """
    again = "download it again"
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = zipped.infolist()
            for entry in entries:
                name = PurePosixPath(entry.filename.replace("\\", "/"))
                if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
                    raise UserError(f"{archive} has an entry that would leave its folder ({entry.filename!r}): {again}")
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise UserError(f"{archive} has an entry that is a link ({entry.filename!r}): {again}")
                if entry.flag_bits & 1:
                    raise UserError(f"{archive} is encrypted ({entry.filename!r}): unpack it to {folder} yourself")
            size, free = sum(entry.file_size for entry in entries), shutil.disk_usage(archive.parent).free
            if size > MOST_SHRUNK * archive.stat().st_size:
                raise UserError(
                    f"{archive} claims to unpack to {size:,} bytes, more than {MOST_SHRUNK} times its size: {again}"
                )
            if size > free:
                raise UserError(f"{archive} unpacks to {size:,} bytes and the disk has {free:,} free: make room")
            with replacing_folder(folder) as part:
                for entry in entries:
                    zipped.extract(entry, part)  # checks each entry's CRC, and reads no more than its declared size
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(f"{archive} is not a whole zip file ({error}): {again}") from error
