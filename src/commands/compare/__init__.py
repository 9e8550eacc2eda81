"""CLIP against ResNet: zero-shot, probe and fine-tuned networks on data sets, epoch by epoch."""
