"""The sections of the report, one a file."""

from src.report.sections import advice, blend, compare, data, labels, mistakes, provenance, result, training, trust

# in the order of the page
SECTIONS = (result, advice, mistakes, training, compare, blend, trust, data, labels, provenance)
