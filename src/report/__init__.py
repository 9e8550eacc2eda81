"""One page of what lies on the disk; `sections/`, one section a file.

Nothing is trained for the page, and torch is not needed to make it.
"""
