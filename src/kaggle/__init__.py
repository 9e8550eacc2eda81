"""Kaggle's API as functions, its refusals as sentences. Knows no competition of ours.

Credentials are looked for in the order of Kaggle's own client: KAGGLE_API_TOKEN, ~/.kaggle/access_token, the legacy key
(KAGGLE_USERNAME and KAGGLE_KEY, or kaggle.json), and then what `kaggle auth login` left. A token is made at
https://www.kaggle.com/settings. `./run.sh corn doctor` prints which one is used.

A download resumes where it broke off, waits and retries after HTTP 429 and 5xx (as long as Kaggle asks, at most five
minutes each time), and checks the free disk space first. No credentials are needed if the competition's zip lies at
input/<slug>.zip.

Each kind of refusal has an exit code of its own: ./run.sh help exit-codes
"""
