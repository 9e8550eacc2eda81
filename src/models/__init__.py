"""What is learnt: `zeroshot.py`, `probe/`, `finetune/`, `blend/`, and `logreg/` that probe and blend solve with.

A config's `models` names them: ZeroShot, Probe, FineTune, Soup; its `blend` combines them. Details:

  ./run.sh help zeroshot
  ./run.sh help probe
  ./run.sh help finetune
  ./run.sh help blend
"""
