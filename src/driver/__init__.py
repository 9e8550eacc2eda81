"""A competition's run: its stages as units of work, by the placer that the machine and the command line ask for.

What has no units (data, folds, blend, submission, audit) runs here, in the process that was called. From the first
finished model on there is a checked submission of what is finished (so_far.py).
"""
