"""Runs units of work: here, on all GPUs of this machine, or on a Ray cluster. Knows no competition.

A unit (unit.py) is names: a pure function of config and input files to output files. Whoever has units says by a Work
what they do; a placer has them run, each after those that it waits for. A unit is done when its files say so, never
because a process said so.

  inline.py    one after the other, in this process
  rates.py     how much work a device does a second, as measured
  schedule.py  when units run on so many GPUs, simulated, and how soon they could be done at best
  deadline.py  which groups of units fit into the time until a deadline
  pace.py      how long the unit that runs may take, and whether it keeps to that
  rays.py      as tasks of Ray: on the GPUs and cores of this machine, or of a cluster
  cluster.py   Ray itself, started or joined, and what its machines have
  placement.py pending units on their way through processes
  processes.py the processes that Ray was asked for
  process.py   what a process does for a unit
  lines.py     what units print, as it comes here
  apart.py     files for machines that do not share the folder
"""
