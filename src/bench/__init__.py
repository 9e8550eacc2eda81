"""Benchmarks beside what people use elsewhere: ./run.sh bench [decode] [features] [probe]."""
