"""Corn on a machine without GPU or hub: the same files, ImageNet weights of packages, ten minutes for 574 rows.

Accuracy out of fold ± standard error on 574 of the 14,322 train rows, nearly all of them broken or discolored, measured
on 2 idle CPU cores (AMD EPYC with AVX2, torch 2.15.0, timm 1.0.31, OpenVINO 2026.4.1), 9m47 in all:

  model                            CV               log loss  time
  pixels                           0.7944 ± 0.0169  0.5379    3 s
  probe_lite0 (8 views)            0.8693 ± 0.0141  0.3724    14 s, and 63 s for the features
  lite0 (160 pixels, one seed)     0.9024 ± 0.0124  0.2943    7m39
  blend (stack in every fold)      0.9059 ± 0.0122  0.2694    1 s

With two other seeds of folds, forest and training lite0 has 0.8937 and 0.8920, the blend 0.8885 and 0.8937, so that the
three runs have 0.896 in the mean. The most memory is 2.6 GB. Two cores with AVX-512 took 2m43: lite0 0.9146 ± 0.0117,
the blend 0.9111 ± 0.0119.

Seven networks from scratch, which this config had before, took 2.8 hours for 0.8415 ± 0.0152. The epochs and
the frozen layers were chosen for the ten minutes; of 8 epochs two folds were looked at, and no other recipe.

Weights between ImageNet's and the trained ones (as WiSE-FT) were worse at each share of the trained ones, of a lite0 of
128 pixels with 0.8606: 0.9 by 0.019 ± 0.011, 0.8 by 0.044 ± 0.014, 0.5 by 0.077 ± 0.018 (paired).
"""

from src.config import Blend, Pixels
from src.configs.corn import competition as corn

competition = corn.model_copy(
    update={
        "title": "It's Corn (PogChamps #3), by ImageNet weights of packages on a CPU",
        "models": {"pixels": Pixels(), **{name: corn.models[name] for name in ("probe_lite0", "lite0")}},
        "blend": Blend(),
        # single models of theirs are of another kind; a blend stands beside a blend
        "reported": tuple(
            row if row.model == "blend" else row.model_copy(update={"model": None}) for row in corn.reported
        ),
    }
)
