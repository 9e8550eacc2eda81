"""Networks fine-tuned over folds: the training loop, its checkpoints, averages of weights.

The network is any timm backbone (backbone=) at an `img_size` of your choice, whose position embeddings and relative
biases are resized, or a CLIP's image tower (clip=, weights=). The linear head of a CLIP starts from the zero-shot
classifier or, with head="probe", from a probe of the fold's training rows (LP-FT, Kumar et al. 2022). Shapes are tried
before anything is computed.

Of one class the loss is the softmax's cross-entropy, of several labels each sigmoid's, and a number is learnt as its
share of the span (losses.py).

The recipe is in the config; src/schema/models.py has each field, its default and the source of the default:

  epochs, lr, head_lr, warmup_epochs, head_epochs, weight_decay, layer_decay, clip_grad   AdamW and its schedule
  max_steps=300                                  fewer epochs of many rows, so that --limit and all rows are one config
  frozen_groups=3                                        the stem and two stages stay as they are: half the time
  batch_size, micro_batch, grad_checkpointing, compile, precision                         what fits into memory
  augment=(Augment("HorizontalFlip", p=0.5),)    albumentations by name and arguments; an unknown argument, which
                                                 albumentations 2.0.8 only warns of, is refused
  augment_on="device"                            flips and shifts where the network is, all pictures with it: for tiny
                                                 networks, whose steps are over before a loader has made a batch
  mixup, cutmix, mix_p, label_smoothing, drop_path, ema_decay                             regularisation
  margin=0.3, margin_scale                       classes are parted by angles, with a margin (ArcFace)
  class_weight, sampling, label_noise                                                     classes and labels
  seeds=4                                        runs per fold, whose mean predicts
  views=("identity", "hflip")                    test-time augmentation by exact flips and turns
  temperature=True                               temperature scaling, cross-fitted

Averages of weights: wise_ft=(0.0, 0.5, 1.0) interpolates a CLIP between its start and its end (WiSE-FT), and the model
Soup(of=("a", "b")) is the mean of those models and seeds that do not lower the score (model soups). The alpha or the
ingredients of a fold are chosen on the other folds' rows.

Epochs are fixed, and the last (or averaged) weights are used, never the best epoch of the scored fold.

A checkpoint is saved each minute, while training goes on, and on Ctrl-C and SIGTERM, between any two steps. The last
two are kept, and the randomness of a step depends on its number alone: a resumed run ends with the weights of an
uninterrupted one (bit for bit on one CPU). A change of `views`, `wise_ft` or `temperature` trains nothing again; more
`seeds` train only the new ones. If GPU memory runs out, fewer images are computed at a time, and the batch stays the
same. A loss that is not finite stops the run with epoch, step, lr and the ids of the batch.
"""
