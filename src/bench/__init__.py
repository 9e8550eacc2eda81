"""Benchmarks beside other people's code.

Usage: ./run.sh bench --help. The table has ratios to named peers (above 1: faster than the peer); both run in turns in
the same run. Medians (least to greatest), measured on 2 CPU cores (AMD EPYC, AVX2; torch 2.15.0, scikit-learn 1.9.1,
open_clip 3.3.0, Pillow 13.0). GPU numbers are not measured yet: ./run.sh bench gpu takes them in one table and at most
eight minutes, each part in a process of its own, and a second call goes on where the first ended. ./run.sh cifar10 for
its score and time, and ./run.sh compare cifar10 from scratch, take longer, and the data.

  what                                             beside                                   ratio
  bench decode
  real seeds (130 x 140 PNG), a core               open_clip's transform (Pillow)           2.11 (1.90 to 2.25)
  JPEG of 500 x 400, a core                        open_clip's transform (Pillow)           2.14 (2.00 to 2.20)
  bench features
  a tiny CLIP, 718 seeds, decoded before           the model alone, on tensors in memory    0.92 (0.64 to 1.00)
  the same                                         open_clip's README loop                  2.44 (1.84 to 2.84)
  the same, a tenth of the images is new           the loop, which starts again             12.1 (9.1 to 14.9)
  ViT-B-32, 128 seeds, decoded before              the model alone                          1.02 (0.89 to 1.15)
  the same                                         open_clip's README loop                  1.04 (0.93 to 1.28)
  the same, a tenth of the images is new           the loop, which starts again             10.9 (10.0 to 13.1)
  tf_efficientnet_lite0, batches of 32, by         the model alone by torch, contiguous     2.05 (1.75 to 2.45)
    OpenVINO from files to features (AVX2)
  the model alone by OpenVINO                      the same                                 2.61 (2.26 to 2.83)
  the model alone by torch, channels_last          the same                                 1.40 (1.39 to 1.47)
  bench finetune
  an epoch of a tiny ConvNeXt at 32 pixels,        its steps on tensors in memory           0.93 (0.86 to 1.32)
    718 seeds, flips
  the same                                         DataLoader, Pillow, albumentations       2.19 (1.93 to 2.35)
  the same, flips and shifts                       its steps on tensors in memory           0.80 (0.77 to 0.86)
  the same                                         DataLoader, Pillow, albumentations       2.09 (1.72 to 2.25)
  bench probe
  14,322 x 1,024, 4 classes, 80 fits               scikit-learn newton-cg                   18.4 (16.4 to 23.9)
  the same, to 1e-6                                scikit-learn newton-cg                   13.0 (12.1 to 15.8)
  50,000 x 512, 10 classes, 80 fits                scikit-learn newton-cg                   14.9 (14.1 to 15.0)
  the same, to 1e-6                                scikit-learn newton-cg                   7.6 (7.4 to 8.1)
  50,000 x 768, 100 classes, 15 fits, one round    scikit-learn newton-cg                   9.5
  the same, to 1e-6                                scikit-learn newton-cg                   3.8

The probe's rows are 16 values of C (3 for 100 classes) x 5 folds on synthetic features like CLIP's, solved to a
gradient no larger than the peer's, and to 1e-6, the default. At 1e-6 its probabilities are within 1e-3 of a float64
optimum for every C (3e-4 for 4 and 10 classes); those of scikit-learn's warm-started sweep are off by up to 0.22,
because from C = 10 up it takes no iteration.

Memory: the sweep's peak, including the features themselves, is 3.2 times the features where they take 60 MB (fixed
costs weigh there), 2.8 times from 100 MB up, and 2.5 times, 2.8 GB in all, for 200,000 x 1,024. A million rows of
features are written, found and read in 1.2 GB.

Plans, simulated (./run.sh bench makespan): all units of corn on 1, 2, 4, 8 and 40 GPUs are done within 1.00, 1.00,
1.00, 1.00 and 1.00 of a time that no order could beat, placed by the longest way to the end of what waits for them;
the longest first within 1.00, 1.09, 1.26, 1.26 and 1.02.

Features on the disk: float16 moves an entry of a unit vector by 1e-4 at most and a cosine by 1e-7 (corn_small: a
probability by 0.003, no label).
"""
