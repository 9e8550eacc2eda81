"""CLIPs and timm backbones: weights, inputs, features on the disk."""
