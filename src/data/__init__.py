"""What goes in: tables, rows, folds, pictures. `sources/`: where the files come from, one source a file.

Tables are CSVs, or patterns that list files: with train="train/{species}/{file}" each file is a row, the names in
braces are columns, and `image` is the path. Ids are text: 007 is not 7.

Pictures are decoded once into a memory map, submissions/<name>/pictures/, which all stages and workers share. It takes
at most `store_gb` of the config (8.0 by default), and leaves a GB of the disk free: the first pictures, those of train
before those of test; the others are decoded each time, to the same pixels. Networks of other sizes have folders of
their own in it: one more model changes no number of the others. SCRATCH_DIR=/a/folder keeps it below that folder
instead, on a disk of the machine's own where submissions/ is on a network's. The square that a model sees is made in
native code with antialiasing, and is open_clip's or timm's own to within 2 of 255.
A picture of more than 178,956,970 pixels is read reduced if it is a JPEG, and refused else, unless MAX_PIXELS in the
environment allows as many.

Where files may come from: ./run.sh help sources
"""
