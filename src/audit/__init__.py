"""What is doubtful in the data: near-duplicates, outliers.

Near-duplicates are pictures that are the same but for brightness, contrast, crop, scale, flip, turn or noise.
Candidates are neighbours in the features of the config's first encoder and by a perceptual hash; each pair is then
registered onto each other and correlated. Outliers are pictures far from all others in feature space, of one colour, or
tiny.
"""
