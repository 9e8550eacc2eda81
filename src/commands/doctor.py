"""doctor: finds what stands between this machine and a submission, one line a check. Changes nothing, here or there.

Run it before hours of training: it distinguishes a missing token, an expired token, a mistyped competition, rules that
are not accepted (with the page to accept them), a closed competition, a competition for notebooks only, and a used-up
number of submissions. It also says which GPU is used, why torch cannot use the one that is there, or that there is none
for networks that want one. The exit code is that of the first problem: ./run.sh help exit-codes
"""

from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.kaggle.refusals import CODES, Refusal
from src.leaderboard import preflight
from src.leaderboard.preflight import Check
from src.schema.competition import Competition


def run(competition: Competition) -> int:
    """Print the checks up to the first problem; return the exit code, 0 or that of the problem."""
    show(preflight.gpu_check(competition))
    if competition.source.page is None:
        print(f"{competition.name} is not a Kaggle competition: nothing is sent, and no account is needed")
        return 0
    cause = ""
    for check in preflight.local():
        cause = cause or show(check)
    if credentials.active() is not None:
        try:
            with kaggle_api.session(competition.source.slug, f"a word on {competition.source.slug}") as api:
                for check in preflight.remote(api, competition):
                    cause = cause or show(check)
        except Refusal as error:
            cause = cause or show(Check("kaggle", str(error), error.cause))
    print(f"doctor: {'all is well' if not cause else 'fix what is marked with no'}")
    return CODES[cause] if cause else 0


def show(check: Check) -> str:
    """Print a check; return its cause."""
    mark = "no" if check.cause else "!" if check.warning else "ok"
    print(f"{mark:2}  {check.what:12} {check.said}")
    return check.cause
