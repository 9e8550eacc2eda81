import os

# before whichever module imports albumentations first: its import asks the network for a newer version of itself
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
