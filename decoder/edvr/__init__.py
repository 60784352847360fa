"""EDVR in plain torch (Wang et al., CVPRW 2019, arXiv 1905.02716), for training and export.

Importing this package loads nothing; its modules need torch. Words of the paper used here:

PCD
    Pyramid, cascading and deformable alignment of a frame's features to those of the reference.
TSA
    Temporal and spatial attention fusion of the aligned features into one.
predeblur
    A small network in front of the features, for blurred or compressed input.
HR-in
    Input already of the output's size (deblurring): features live on a quarter of its grid.
"""
