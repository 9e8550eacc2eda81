"""Where a competition's files come from, one source a file.

  source=Kaggle("<slug>")         a Kaggle competition: the folder input/<slug>/, input/<slug>.zip, or the Kaggle API;
                                  archives in it are unpacked beside themselves
  source=Folder("input/pets")     pictures of your own: a folder per class, or a CSV with columns of images and labels
  source=Torchvision("DTD", ...)  a data set that torchvision can download
  source=Wilds("fmow")            fmow or iwildcam of WILDS
  source=Digits()                 scikit-learn's handwritten digits

Pictures are files of any format that Pillow reads, arrays (.npy, .npz), or DICOM files of one picture; in a folder that
has some of the first, the others are none.

Ten public data sets are configs: imagenette, cifar10_official, cifar100, textures, fmow, aircraft, flowers102, food101,
iwildcam and stl10. They are downloaded to input/<slug>/ (all but fmow and iwildcam by torchvision's own code, with
their checksums); files that lie there already are used. Where that folder is read-only, as in a Kaggle notebook, all
that has to be written is at .input/<slug>/ below SUBMISSIONS_DIR. The official validation rows are the test rows (the
official test rows, for a data set without validation rows), and their labels are in solution.csv: every stage runs
unchanged, and the score of the test rows is printed. Folds of iwildcam keep a camera together; its sequences, and the
region and year of fmow, are columns. CLIP and ResNet on these data sets: ./run.sh help compare
"""
