"""A stand-in of Kaggle on this machine, which the real client talks to; nothing of the client is replaced.

In a test:

    with serving(Kaggle("toy", folder, accuracy(solution))) as kaggle:
        kaggle.fail("CreateSubmission", drop="after")  # once: the submission is made, the answer is lost
        run_sh("toy", "submit", **client_environment(kaggle.url, tmp_path))
        assert [submission.public for submission in kaggle.submissions] == ["0.75000"]

By hand, until it is interrupted:

    python -m tests.standin --slug toy --zip toy.zip --solution solution.csv --set pending_for=2 --client FOLDER

It answers as https://api.kaggle.com/v1 does: POST {service}/{method} with JSON, errors as
{"error": {"code": 403, "message": "...", "status": "PERMISSION_DENIED"}}, files by a redirect to an address with ranges,
uploads by Google's resumable protocol. What it cannot know of the real one, it leaves to `fail`.
"""

import argparse
import base64
import io
import json
import math
import shlex
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pandas as pd
from aiohttp import web

from src.base.files import write_text
from tests.faulty import Answer, Fault, Faulty, Refused, download, receive, serving

TOKEN = "not-a-secret"
PARTS = ("Public", "Private")
FILES = ("download", "upload", "resume")
STATUS = {400: "FAILED_PRECONDITION", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
POINTER = """\
import os
import sys
from importlib.machinery import PathFinder


class Pointer:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "kagglesdk.kaggle_env":
            return None
        spec = PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            module._env_to_endpoint[module.KaggleEnv.PROD] = os.environ["KAGGLE_STANDIN"]

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("KAGGLE_STANDIN"):
    sys.meta_path.insert(0, Pointer)
"""


def client_environment(url: str, folder: Path) -> dict[str, str]:
    """Variables that lead the Kaggle client of any Python process to `url`, with a token that only a stand-in believes.

    Writes folder/sitecustomize.py, which changes one row of the client's table of addresses and nothing else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(POINTER)
    return {
        "PYTHONPATH": str(folder),
        "KAGGLE_STANDIN": url,
        "KAGGLE_API_TOKEN": TOKEN,
        "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    }


def cut(score: float | Fraction) -> str:
    """A score as Kaggle shows it: five decimals, the others cut off."""
    units = math.trunc(Fraction(str(score)) * 10**5)
    return f"{'-' * (units < 0)}{abs(units) // 10**5}.{abs(units) % 10**5:05d}"


def accuracy(solution: pd.DataFrame) -> Callable[[bytes], tuple[Fraction, Fraction]]:
    """A `grade` by a solution, all text: its first column is the id, its second the label; Usage: Public or Private."""
    id, label = solution.columns[:2]
    truth = solution.set_index(id)

    def grade(content: bytes) -> tuple[Fraction, Fraction]:
        df = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)  # what it raises are ValueErrors
        if not {id, label} <= {*df}:
            raise ValueError(f"Submission must have the columns: {id}, {label}")
        if sorted(df[id]) != sorted(truth.index):
            raise ValueError(f"Submission must have {len(truth)} rows, one for each {id}")
        right = df.set_index(id)[label].loc[truth.index] == truth[label]
        usage = truth["Usage"]
        return tuple(Fraction(int(right[usage == part].sum()), int((usage == part).sum())) for part in PARTS)

    return grade


@dataclass
class Submission:
    ref: int
    file_name: str
    description: str
    content: bytes
    date: datetime
    public: str = ""
    private: str = ""
    error: str = ""
    reads: int = 0  # answers that told of it
    status: str = "PENDING"  # as last told


@dataclass
class Upload:
    name: str
    size: int
    content: bytearray = field(default_factory=bytearray)  # what came in so far


def denied(permission: str) -> Refused:
    return Refused(403, f"Permission '{permission}' was denied")


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


@dataclass
class Kaggle(Faulty):
    """One competition and one user. All attributes may be read, and all but `faults` set, while it serves."""

    slug: str
    archive: bytes | Path = b""  # a zip, the path of one, or a folder
    grade: Callable[[bytes], tuple] = lambda content: (0, 0)  # public, private; ValueError: its error

    # the competition and the user
    title: str = "A competition"
    deadline: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(days=30))
    over: bool | None = None  # private scores are shown; None: after the deadline
    entered: bool = True  # the rules are accepted
    known: bool = True  # False: there is no such slug
    others: list[str] = field(default_factory=list)  # slugs of other competitions
    disabled: bool = False  # no submissions any more
    kernels_only: bool = False
    daily: int = 5  # submissions a day
    quota: int = 5  # how many are left today
    token: bool = True  # credentials are valid
    introspection: int = 401  # answered to IntrospectToken about those that are not; 200: it says so
    user: str = "me"
    board: list[tuple[str, str, str]] = field(default_factory=list)  # other teams: name, public, private

    # how it behaves
    pending_for: int = 0  # so many answers tell of a submission as pending
    pending_seconds: float = 0.0
    rejects: str | None = None  # what is wrong with every submission
    page_cap: int = 100  # submissions in an answer, at most
    truncated: int | None = None  # only so many bytes of the zip are there
    modified: datetime = datetime(2023, 4, 1, 12, tzinfo=UTC)  # the zip
    ranges: bool = True  # of downloads
    flat: bool = False  # errors as www.kaggle.com/api/v1 has them: {"code": 403, "message": "..."}
    dataset_statuses: tuple[str, ...] = ("READY",)  # told one after the other, the last for good
    kernel_statuses: tuple[str, ...] = ("COMPLETE",)
    kernel_failure: str = ""
    kernel_output: bytes = b""  # what a notebook writes and CreateCodeSubmission submits
    state: Path | None = None  # a JSON file of the submissions and calls so far

    # what it received
    submissions: list[Submission] = field(default_factory=list)
    uploads: dict[str, Upload] = field(default_factory=dict)  # by token
    datasets: dict[str, list[dict]] = field(default_factory=dict)  # by owner/slug, the versions: request, files
    kernels: dict[str, list[dict]] = field(default_factory=dict)  # by owner/slug, the versions: the requests

    def __post_init__(self):
        if isinstance(self.archive, Path):
            self.archive = zipped(self.archive) if self.archive.is_dir() else self.archive.read_bytes()
        super().__post_init__()

    # security.OAuthService

    def rpc_IntrospectToken(self, body: dict) -> dict:
        return {"active": self.token, "username": self.user if self.token else ""}

    # competitions.CompetitionApiService

    def competition(self, body: dict, permission: str = "competitions.participate") -> None:
        if not self.known or body.get("competitionName") != self.slug:
            raise denied(permission)

    def participant(self, body: dict, message: str | None = None) -> None:
        self.competition(body)
        if not self.entered:
            raise Refused(403, message) if message else denied("competitions.participate")

    def shows_private(self) -> bool:
        return self.now() > self.deadline if self.over is None else self.over

    def rpc_GetCompetition(self, body: dict) -> dict:
        self.competition(body, "competitions.get")
        page = f"https://www.kaggle.com/competitions/{self.slug}"
        return {
            "id": 1,
            "ref": page,
            "url": page,
            "title": self.title,
            "deadline": stamp(self.deadline),
            "userHasEntered": self.entered,
            "maxDailySubmissions": self.daily,
            "isKernelsSubmissionsOnly": self.kernels_only,
            "submissionsDisabled": self.disabled,
        }

    def rpc_ListCompetitions(self, body: dict) -> dict:
        """Those whose slug begins like the one that is searched for."""
        slugs = [self.slug] if self.known else []
        found = [slug for slug in [*slugs, *self.others] if slug[:3] == body.get("search", "")[:3]]
        return {"competitions": [{"ref": f"https://www.kaggle.com/competitions/{slug}"} for slug in found]}

    def rpc_DownloadDataFiles(self, body: dict) -> Answer:
        self.participant(body, "You must accept this competition's rules before you'll be able to download files.")
        return Answer(b"", 302, {"Location": f"{self.url}/files/{self.slug}.zip?signature=x"})

    def rpc_StartSubmissionUpload(self, body: dict) -> dict:
        self.participant(body, "You cannot submit until you accept the competition rules")
        return self.start_upload(body["fileName"], body.get("contentLength", 0))

    def start_upload(self, name: str, size: int) -> dict:
        token = f"token-{len(self.uploads) + 1}"
        self.uploads[token] = Upload(name, size)
        return {"token": token, "createUrl": f"{self.url}/uploads/{token}"}

    def uploaded(self, token: str) -> Upload:
        upload = self.uploads.get(token)
        if upload is None or len(upload.content) < upload.size:
            raise Refused(400, f"No whole file was uploaded as {token}")
        return upload

    def rpc_CreateSubmission(self, body: dict) -> dict:
        self.participant(body, "You cannot submit until you accept the competition rules")
        if self.kernels_only:
            raise Refused(400, "Submission not allowed:  This competition only accepts Submissions from Notebooks.")
        upload = self.uploaded(body["blobFileTokens"])
        return self.submit(upload.name, bytes(upload.content), body)

    def rpc_CreateCodeSubmission(self, body: dict) -> dict:
        self.participant(body, "You cannot submit until you accept the competition rules")
        versions = self.kernels.get(f"{body.get('kernelOwner')}/{body.get('kernelSlug')}", [])
        if not 1 <= body.get("kernelVersion", len(versions)) <= len(versions):
            raise denied("kernelSessions.get")
        return self.submit(body.get("fileName", ""), self.kernel_output, body)

    def submit(self, name: str, content: bytes, body: dict) -> dict:
        if self.disabled:
            raise Refused(400, "Submission not allowed:  Submissions have been disabled for this competition.")
        if self.quota <= 0:
            used = f"Your team has used its daily Submission allowance ({self.daily}) today"
            left = f"{24 - self.now().hour - self.now().minute / 60:.1f} hours from now"
            raise Refused(400, f"Submission not allowed:  {used}, please try again tomorrow UTC ({left}).")
        ref = 50000001 + len(self.submissions)
        submission = Submission(ref, name, body.get("submissionDescription", ""), content, self.now())
        try:
            if self.rejects is not None:
                raise ValueError(self.rejects)
            submission.public, submission.private = map(cut, self.grade(content))
            self.quota -= 1
        except ValueError as error:  # such a submission does not count
            submission.error = str(error)
        self.submissions.append(submission)
        return {"message": f"Successfully submitted to {self.title}", "ref": ref}

    def told(self, submission: Submission) -> dict:
        submission.reads += 1
        age = (self.now() - submission.date).total_seconds()
        done = submission.reads > self.pending_for and age >= self.pending_seconds
        submission.status = ("ERROR" if submission.error else "COMPLETE") if done else "PENDING"
        return {
            "ref": submission.ref,
            "totalBytes": len(submission.content),
            "date": stamp(submission.date),
            "description": submission.description,
            "errorDescription": submission.error if done else "",
            "fileName": submission.file_name,
            "publicScore": submission.public if done else "",
            "privateScore": submission.private if done and self.shows_private() else "",
            "status": submission.status,
        }

    def rpc_GetSubmission(self, body: dict) -> dict:
        for submission in self.submissions:
            if submission.ref == body.get("ref"):
                return self.told(submission)
        raise Refused(404, "Not found")

    def rpc_ListSubmissions(self, body: dict) -> dict:
        self.participant(body)
        page, token = self.page(self.submissions[::-1], body)
        return {"submissions": [self.told(submission) for submission in page], "nextPageToken": token}

    def page(self, rows: list, body: dict) -> tuple[list, str]:
        size = min(body.get("pageSize") or 20, self.page_cap)
        start = int(body.get("pageToken") or (max(body.get("page", 1), 1) - 1) * size)
        return rows[start : start + size], str(start + size) if start + size < len(rows) else ""

    def rpc_GetSubmissionLimits(self, body: dict) -> dict:
        self.competition(body)
        if not self.entered:
            return {}
        counted = len([submission for submission in self.submissions if not submission.error])
        return {"numToday": max(self.daily - self.quota, 0), "numTotal": counted, "numAllowedNow": max(self.quota, 0)}

    def teams(self, private: bool) -> list[tuple[int, str, str]]:
        """(rank, name, score) of all teams. Ours has the last score, and the id of a team is its rank."""
        ours = [(self.user, one.private if private else one.public) for one in self.submissions if one.public]
        scores = [*((name, scores[private]) for name, *scores in self.board), *ours[-1:]]
        return [(i, *team) for i, team in enumerate(sorted(scores, key=lambda team: -float(team[1])), 1)]

    def rpc_GetLeaderboard(self, body: dict) -> dict:
        self.competition(body, "competitions.get")
        teams = self.teams(self.shows_private() and not body.get("overridePublic"))
        date = stamp(self.modified)
        rows = [{"teamId": id, "teamName": name, "submissionDate": date, "score": score} for id, name, score in teams]
        page, token = self.page(rows, body)
        return {"submissions": page, "nextPageToken": token}

    def rpc_DownloadLeaderboard(self, body: dict) -> Answer:
        if not self.known or body.get("competitionName") != self.slug:
            raise Refused(404, "Not found")
        lines = ["Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames"]
        for rank, name, score in self.teams(private=False):
            lines.append(f"{rank},{rank},{name},{self.modified:%F %T},{score},1,{name}")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            name = f"{self.slug}-publicleaderboard-{self.now():%FT%T}.csv"
            archive.writestr(name, "\n".join([*lines, ""]).encode("utf-8-sig"))
        return Answer(buffer.getvalue(), headers={"Content-Type": "application/zip"})

    # blobs.BlobApiService, datasets.DatasetApiService, kernels.KernelsApiService

    def rpc_StartBlobUpload(self, body: dict) -> dict:
        return self.start_upload(body["name"], body.get("contentLength", 0))

    def dataset(self, ref: str, request: dict, body: dict) -> dict:
        uploads = [self.uploaded(file["token"]) for file in body.get("files", [])]
        files = {upload.name: bytes(upload.content) for upload in uploads}
        self.datasets.setdefault(ref, []).append({"request": request, "files": files})
        return {"ref": ref, "url": f"https://www.kaggle.com/datasets/{ref}", "status": "Ok", "error": ""}

    def rpc_CreateDataset(self, body: dict) -> dict:
        ref = f"{body['ownerSlug']}/{body['slug']}"
        if ref in self.datasets:
            title = body.get("title")
            error = f'The requested title "{title}" is already in use by a dataset. Please choose another title.'
            return {"status": "Error", "error": error}
        return self.dataset(ref, body, body)

    def rpc_CreateDatasetVersion(self, body: dict) -> dict:
        ref = f"{body['ownerSlug']}/{body['datasetSlug']}"
        if ref not in self.datasets:
            raise denied("datasets.update")
        return self.dataset(ref, body, body.get("body", {}))

    def rpc_GetDatasetStatus(self, body: dict) -> dict:
        if f"{body['ownerSlug']}/{body['datasetSlug']}" not in self.datasets:
            raise denied("datasets.get")
        status, *rest = self.dataset_statuses
        self.dataset_statuses = rest or [status]
        return {"status": status}

    def rpc_SaveKernel(self, body: dict) -> dict:
        versions = self.kernels.setdefault(body["slug"], [])
        versions.append(body)
        return {
            "ref": f"/code/{body['slug']}",
            "url": f"https://www.kaggle.com/code/{body['slug']}",
            "versionNumber": len(versions),
            "kernelId": 1,
            "error": "",
            "invalidDatasetSources": [ref for ref in body.get("datasetDataSources", []) if ref not in self.datasets],
            "invalidCompetitionSources": [ref for ref in body.get("competitionDataSources", []) if ref != self.slug],
        }

    def rpc_GetKernelSessionStatus(self, body: dict) -> dict:
        if f"{body['userName']}/{body['kernelSlug']}" not in self.kernels:
            raise denied("kernels.get")
        status, *rest = self.kernel_statuses
        self.kernel_statuses = rest or [status]
        return {"status": status, "failureMessage": self.kernel_failure if status == "ERROR" else ""}

    # the server

    def methods(self) -> list[str]:
        """Those of the API, "download", "upload", and "resume": how far did the upload come?"""
        return [name.removeprefix("rpc_") for name in dir(self) if name.startswith("rpc_")] + list(FILES)

    def route(self, request: web.Request) -> str:
        if request.method == "POST":
            return request.path.rpartition("/")[2]
        if request.headers.get("Content-Range", "").startswith("bytes */"):
            return "resume"
        return "download" if request.method == "GET" else "upload"

    def error(self, refusal: Refused) -> Answer:
        answer = super().error(refusal)
        if self.flat:
            return answer
        error = {**json.loads(answer.body), "status": STATUS.get(refusal.status, "UNKNOWN")}
        return answer._replace(body=json.dumps({"error": error}).encode())

    async def answer(self, method: str, body: dict, request: web.Request, fault: Fault) -> Answer:
        if method == "download":
            return download(request, memoryview(self.archive)[: self.truncated], self.modified, self.ranges)
        if method in FILES:
            upload = self.uploads.get(request.path.rpartition("/")[2])
            if upload is None:
                raise Refused(404, "No such upload")
            return await receive(request, upload.content, upload.size, fault)
        if method not in self.methods():
            raise Refused(404, f"the stand-in has no method {method}")
        introspected = method == "IntrospectToken"
        if not self.token and not (introspected and self.introspection == 200):
            raise Refused(self.introspection if introspected else 401, "Unauthenticated")
        if secret(request.headers.get("Authorization", "")) != TOKEN:
            raise Refused(401, "Unauthenticated")
        answer = getattr(self, "rpc_" + method)(body)
        if self.state:
            self.write_state()
        return answer if isinstance(answer, Answer) else Answer(json.dumps(answer).encode())

    def write_state(self) -> None:
        rows = [
            {**vars(one), "date": stamp(one.date), "content": one.content.decode(errors="replace")}
            for one in self.submissions
        ]
        write_text(self.state, json.dumps({"submissions": rows, "calls": self.calls()}, indent=1))


def secret(authorization: str) -> str:
    """The token of `Bearer <token>`, or the key of `Basic <base64 of user:key>`."""
    kind, _, text = authorization.partition(" ")
    return base64.b64decode(text).decode().partition(":")[2] if kind == "Basic" else text


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%FT%T.%f") + "0Z"  # seven decimals, as Kaggle has them


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description="A stand-in of Kaggle, until Ctrl+C.")
    parser.add_argument("--slug", required=True)
    parser.add_argument("--zip", type=Path, required=True, help="the competition's zip, or a folder")
    parser.add_argument("--solution", type=Path, help="a CSV: id, label, Usage (Public or Private)")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--state", type=Path, help="a JSON file of what it received, written again at each call")
    parser.add_argument("--client", type=Path, help="a folder to make; prints what leads a shell's processes here")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="an attribute, e.g. quota=0")
    given = parser.parse_args()
    settings = {name: json.loads(text) for name, text in (setting.split("=", 1) for setting in given.set)}
    if "deadline" in settings:
        settings["deadline"] = datetime.fromisoformat(settings["deadline"])
    if given.solution:
        settings["grade"] = accuracy(pd.read_csv(given.solution, dtype=str))
    with serving(Kaggle(given.slug, given.zip, state=given.state, **settings), given.port) as kaggle:
        print(kaggle.url, flush=True)
        if given.client:
            variables = client_environment(kaggle.url, given.client.resolve())
            print("export", *(f"{name}={shlex.quote(value)}" for name, value in variables.items()), flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)


if __name__ == "__main__":
    main()
