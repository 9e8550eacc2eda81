"""What is learnt: `pixels/`, `zeroshot.py`, `probe/`, `neighbours/`, `finetune/`, `blend/`, and `logreg/` for some.

A config's `models` names them: Pixels, ZeroShot, Probe, Neighbours, FineTune, Soup; its `blend` combines them. Details:

  ./run.sh help pixels
  ./run.sh help zeroshot
  ./run.sh help probe
  ./run.sh help neighbours
  ./run.sh help finetune
  ./run.sh help blend
"""
