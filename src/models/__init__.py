"""What is learnt: `pixels/`, `zeroshot.py`, `probe/`, `finetune/`, `blend/`, and `logreg/` that others solve with.

A config's `models` names them: Pixels, ZeroShot, Probe, FineTune, Soup; its `blend` combines them. Details:

  ./run.sh help pixels
  ./run.sh help zeroshot
  ./run.sh help probe
  ./run.sh help finetune
  ./run.sh help blend
"""
