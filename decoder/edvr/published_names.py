"""Names of EDVR's parameters in other projects' checkpoints, turned into the published ones.

Three projects have published EDVR: the authors' own repository (2019), BasicSR, whose names this
project's network carries, and mmagic (once mmediting). All three are the same network.
"""

from __future__ import annotations

import re

# mmagic's names; `.conv.` is its convolution inside a block with activation.
_MMAGIC = (
    (r"^feat_l([23])_conv([12])\.conv\.", r"conv_l\1_\2."),
    (r"^pcd_alignment\.", "pcd_align."),
    (r"^upsample([12])\.upsample_conv\.", r"upconv\1."),
    (r"^((?:pcd_align|fusion)\..*)\.conv\.(weight|bias)$", r"\1.\2"),
)

# The authors' names: levels in front, "fea" for features, blocks before alignment without a list.
_AUTHORS = (
    (r"^pre_deblur\.conv_first_1\.", "predeblur.conv_first."),
    (r"^pre_deblur\.conv_first_2\.", "predeblur.stride_conv_hr1."),
    (r"^pre_deblur\.conv_first_3\.", "predeblur.stride_conv_hr2."),
    (r"^pre_deblur\.deblur_L([23])_conv\.", r"predeblur.stride_conv_l\1."),
    (r"^pre_deblur\.RB_L3_1\.", "predeblur.resblock_l3."),
    (r"^pre_deblur\.RB_L2_([12])\.", r"predeblur.resblock_l2_\1."),
    # counted from 1 there, from 0 in a list
    *((rf"^pre_deblur\.RB_L1_{n + 1}\.", f"predeblur.resblock_l1.{n}.") for n in range(5)),
    (r"^pre_deblur\.", "predeblur."),
    (r"^fea_L([23])_conv([12])\.", r"conv_l\1_\2."),
    (r"^pcd_align\.L([123])_offset_conv([123])\.", r"pcd_align.offset_conv\2.l\1."),
    (r"^pcd_align\.L([123])_dcnpack\.", r"pcd_align.dcn_pack.l\1."),
    (r"^pcd_align\.L([12])_fea_conv\.", r"pcd_align.feat_conv.l\1."),
    (r"^(pcd_align\..*)\.conv_offset_mask\.", r"\1.conv_offset."),
    (r"^tsa_fusion\.tAtt_([12])\.", r"fusion.temporal_attn\1."),
    (r"^tsa_fusion\.fea_fusion\.", "fusion.feat_fusion."),
    (r"^tsa_fusion\.sAtt_([1-5])\.", r"fusion.spatial_attn\1."),
    (r"^tsa_fusion\.sAtt_L([123])\.", r"fusion.spatial_attn_l\1."),
    (r"^tsa_fusion\.sAtt_add_([12])\.", r"fusion.spatial_attn_add\1."),
    (r"^tsa_fusion\.", "fusion."),  # without attention: one convolution
    (r"^recon_trunk\.", "reconstruction."),
    (r"^HRconv\.", "conv_hr."),
)

_RENAMES = tuple(
    (re.compile(pattern), replacement) for pattern, replacement in (*_MMAGIC, *_AUTHORS)
)


def published_name(name: str) -> str:
    """What BasicSR calls a parameter that mmagic or the authors call `name`; else as it is."""
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name
