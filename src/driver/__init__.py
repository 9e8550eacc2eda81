"""A competition's run: its stages as units of work, by the placer that the machine and the command line ask for.

What has no units (data, folds, blend, submission, audit) runs in the process that was called. The rest is units, as a
model, a fold of one, or 4,096 images through an encoder. Each is a function of names to files: it is done when its
files say so, and is not run again.

  one device            one unit after the other, stage by stage
  several GPUs          all of them, by Ray (pip install ray): units of all models at once, the longest way first;
                        --gpus N takes N of them, --gpus 0 none; CUDA_VISIBLE_DEVICES is obeyed
  --at-once N           units side by side on a CPU, each with its part of the cores. The number of threads of a unit
                        changes the last digits of what is trained: that of one after the other has them all
  --ray auto|HOST:PORT  a cluster of Ray, from one of its machines

A cluster needs one version of Python and of Ray on all machines, the repository at the same path, and this
environment. They know each other by a token: without one whoever reaches the cluster runs what he likes on it. Make it
on one machine by `ray get-auth-token --generate`, give the others a copy of its ~/.ray/auth_token, and on each of them
`export RAY_AUTH_MODE=token`. Then, on one of them, on each other one, and on any:

    ray start --head --port 6379
    ray start --address HEAD:6379
    ./run.sh corn --ray auto

or all of it as one job of SLURM:

    srun ray symmetric-run --address $HEAD:6379 --min-nodes $N -- ./run.sh corn --ray auto

Set SCRATCH_DIR to a local disk where submissions/ is on a network's. Machines that do not see the folder of the one
that was called fetch the competition's files themselves and are sent what a unit needs; what it makes comes back. Ray
listens on the machine's own address. Without Ray: ./run.sh help units

Failures. A process that is lost is begun again, three times at most, and goes on from its checkpoint; a machine that is
lost loses what was not shared. A mistake of the user's is not tried again: what waits for that unit is skipped by name,
the others finish, and the exit code is that mistake's. Of a model whose loss is not finite no further fold is trained.
A full disk ends the run: no other unit could write its files. A unit that needs more GPUs than any machine has is
refused before anything begins. Ctrl-C has all units save after their step; once more ends them at once.

--hours H. Cheap models come first. One whose rate was measured on this machine, and which does not fit, is left out
before it begins; any other is measured by its first epochs, and stopped where its folds would not all fit. Each is
named, and a run without the option goes on with it. On Kaggle the rest of the session's 12 hours is a deadline by
itself. From the first finished model on there is a checked submission of what is finished, whatever happens.
"""
