#!/usr/bin/env bash
# ./run.sh <competition> [stage ...]   make the environment if need be, then run the stages (see ./run.sh --help)
# ./run.sh <competition> submit ...    and other commands, by which a run meets Kaggle (see ./run.sh --help)
# ./run.sh test [pytest arguments]     lint, format check and tests
# ./run.sh bench [name ...]            timings beside other people's code (see ./run.sh bench --help)
# ./run.sh help [topic ...]            what is written of a stage, a command, a competition or a room of src
set -euo pipefail

# A stream that is closed, as some schedulers do: the next file that a program opens would take its number.
{ : 3<&0; } 2>/dev/null || exec </dev/null
{ : 3>&1; } 2>/dev/null || exec >/dev/null

# Paths that the caller gave are the caller's; everything else is relative to this file's folder.
for root in INPUT_DIR SUBMISSIONS_DIR SCRATCH_DIR; do
  path=${!root:-}
  if [[ -n $path && $path != /* ]]; then export "$root=$PWD/$path"; fi
done
export CALLED_FROM=$PWD # paths on the command line are relative to it
cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
unset PYTHONSAFEPATH # with it, python -m does not find src in this folder

# OpenMP's threads, torch's among them, wait for each other by spinning. Steps of a tiny ConvNeXt on two cores, 7 paired
# runs on an idle machine and 6 beside one busy process: with at most 3,000 spins they took 0.98 of the default's time
# (0.80 to 1.22) and 0.63 (0.53 to 0.85). 1,000 spins gain more beside others (0.56) and lose on an idle machine (1.08).
if [[ -z ${OMP_WAIT_POLICY:-} ]]; then export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-3000}; fi

# glibc gives large pieces of memory back to the system at once, which clears them again for the next step: a step of
# lite0 at 160 pixels on two cores takes 0.77 of the time without that (0.76 and 0.79 in two rounds). Not known to be
# taken by glibc before 2.36.
if glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null) && [[ $(printf '%s\n' "glibc 2.36" "$glibc" | sort -V) == "glibc 2.36"* ]]; then
  export MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-4294967296} MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-8589934592}
fi

say() { printf '%s\n' "$*" >&2; }

supported() { # is "$1" a Python that this repository supports?
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
    if supported "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
    if [[ -n ${PYTHON:-} ]]; then break; fi # the one that was asked for, or none
  done
  say "run.sh needs Python 3.11, 3.12 or 3.13 and found $("${PYTHON:-python3}" -V 2>/dev/null || echo none):" \
    "install one, or name it: PYTHON=/path/to/python3.12 ./run.sh ..."
  exit 2
}

make_venv() { # the copy of requirements.txt is written last: it marks a whole .venv and says what is in it
  local python
  python=$(find_python)
  if [[ -e .venv/requirements.txt ]] && supported .venv/bin/python; then
    # not from nothing: where pip cannot get what is new, all that was there is still there
    say "== .venv does not fit requirements.txt: updating it"
  else
    if [[ -e .venv ]]; then
      say "== .venv was left half-made: making it again"
      rm -rf .venv
    fi
    say "== making .venv with $("$python" -V) from requirements.txt: once, some minutes and 6 GB"
    "$python" -m venv .venv || {
      say "run.sh could not make .venv: is the venv module installed (Debian: apt install python3-venv)?"
      exit 2
    }
  fi
  .venv/bin/python -m pip install --disable-pip-version-check --requirement requirements.txt || {
    say "run.sh could not install requirements.txt (pip says why above): fix that and run the same command again"
    exit 2
  }
  cp requirements.txt .venv/requirements.txt
}

add_peers() { # what the benchmarks compare with; --no-deps: else pip would add to what requirements.txt has pinned
  say "== adding the packages of src/bench/requirements.txt to .venv"
  if .venv/bin/python -m pip install --disable-pip-version-check --no-deps \
    --requirement src/bench/requirements.txt --constraint requirements.txt; then
    cp src/bench/requirements.txt .venv/bench-requirements.txt
  else
    say "run.sh could not install src/bench/requirements.txt (pip says why above): what needs it is skipped"
  fi
}

is_help() { # is help asked for, which needs no environment? (./run.sh test --help is pytest's)
  local word
  if [[ ${1:-help} == help ]]; then return; fi
  for word in "$@"; do
    if [[ $1 != test && ($word == --help || $word == -h) ]]; then return; fi
  done
  return 1
}

if [[ ${USE_CURRENT_ENV:-} == 1 ]] || is_help "$@"; then
  python=$(find_python)
else
  cmp -s requirements.txt .venv/requirements.txt || make_venv
  python=.venv/bin/python
fi

if [[ ${1:-} == test ]]; then
  shift
  unset PYTHONDONTWRITEBYTECODE # tests start some 60 processes, and each would compile src anew: 40 s of six minutes
  "$python" -m src.base.packages
  "$python" -m ruff check
  "$python" -m ruff format --check
  # a process has torch: half a GB each; a fixture of a module is made once a process
  exec "$python" -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal "$@"
fi
if [[ ${1:-} == bench ]]; then
  shift
  if [[ $python == .venv/bin/python ]]; then
    cmp -s src/bench/requirements.txt .venv/bench-requirements.txt || add_peers
  fi
  exec "$python" -m src.bench "$@"
fi
exec "$python" -m src "$@"
