"""What any program needs: errors, whole files, locks, threads, progress, paths, the machine. Knows no competition."""
