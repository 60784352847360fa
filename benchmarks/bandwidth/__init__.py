"""How many bits a second restoration saves at equal quality, measured from file to file.

    clips      what is measured, cut and sized the same for everyone
    codings    the encoders that are compared, all in live settings
    coding     one clip through one encoder, kept by content
    points     one coded clip, restored and judged: a point of a rate-quality curve
    judge      the numbers of a point, by ffmpeg and libvmaf
    curves     upper hulls, BD-rate, crossover (no I/O)
    summary    what the points say about every family of curves (no I/O)
    report     tables and the page to look at

`run` goes from a config to a folder with the report.
"""
