"""What a run leaves in `submissions/<name>/`: one writer and one reader for each kind of file. No torch at import.

  folds.csv, folds.json        the fold of each train row, and what the folds were made from
  images.parquet, pictures/    the checks of each image file, and the decoded pictures
  features/<encoder>-<view>/   features in shards of 4096 images at most; pandas.read_feather reads a shard
  models/<model>/              oof.parquet, test.parquet, fold<k>.safetensors, model.json; history.csv if trained
  <what>-cv<score>-<sha7>.csv  a submission; sha7 begins the sha256 of its content: same answers, same name
  scores.csv                   the ledger, one row per submission: it joins CV, commit and leaderboard scores
  report.html, plots/          the report
  audit.csv, audit.json, duplicates/, ab.csv, compare.csv, pack/   the results of the stage or command of that name

oof.parquet and test.parquet hold an id and one float32 probability per class. In oof.parquet (out of fold) each train
row is predicted by the model that was not trained on its fold. model.json holds score, time, versions, and the key:
all that changes the model's numbers. If the key is unchanged, the model is reused; otherwise it is recomputed, and a
line says what changed.

Git keeps folds.csv, folds.json, submissions and scores.csv, and ignores the rest. A smoke run (--limit N) has a folder
of its own, submissions/<name>-limit<N>/, which git ignores.
"""
