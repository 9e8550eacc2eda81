"""The report: one page of what lies on the disk, a section a module."""
