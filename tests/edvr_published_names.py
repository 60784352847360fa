"""Names and shapes of published EDVR checkpoints, written down from the projects' files.

Each line: BasicSR's name, mmagic's name, outputs, inputs, kernel. F is the number of features, N of
frames, D of channels that predict offsets and masks (27 per deformable group). Every layer has a
weight (outputs, inputs, kernel, kernel) and a bias (outputs). Blocks in a row stand for one.
"""

from __future__ import annotations

import re

_FIRST = "conv_first  conv_first  F 3 3"

_PREDEBLUR = """
predeblur.conv_first             -  F 3 3
predeblur.stride_conv_l2         -  F F 3
predeblur.stride_conv_l3         -  F F 3
predeblur.resblock_l3.conv1      -  F F 3
predeblur.resblock_l3.conv2      -  F F 3
predeblur.resblock_l2_1.conv1    -  F F 3
predeblur.resblock_l2_1.conv2    -  F F 3
predeblur.resblock_l2_2.conv1    -  F F 3
predeblur.resblock_l2_2.conv2    -  F F 3
predeblur.resblock_l1.0.conv1    -  F F 3
predeblur.resblock_l1.0.conv2    -  F F 3
predeblur.resblock_l1.1.conv1    -  F F 3
predeblur.resblock_l1.1.conv2    -  F F 3
predeblur.resblock_l1.2.conv1    -  F F 3
predeblur.resblock_l1.2.conv2    -  F F 3
predeblur.resblock_l1.3.conv1    -  F F 3
predeblur.resblock_l1.3.conv2    -  F F 3
predeblur.resblock_l1.4.conv1    -  F F 3
predeblur.resblock_l1.4.conv2    -  F F 3
conv_1x1                         -  F F 1
"""

_HR_IN = """
predeblur.stride_conv_hr1        -  F F 3
predeblur.stride_conv_hr2        -  F F 3
"""

_EXTRACTION_BLOCK = """
feature_extraction.{}.conv1  feature_extraction.{}.conv1  F F 3
feature_extraction.{}.conv2  feature_extraction.{}.conv2  F F 3
"""

_PYRAMID_AND_ALIGNMENT = """
conv_l2_1                          feat_l2_conv1.conv                       F  F  3
conv_l2_2                          feat_l2_conv2.conv                       F  F  3
conv_l3_1                          feat_l3_conv1.conv                       F  F  3
conv_l3_2                          feat_l3_conv2.conv                       F  F  3
pcd_align.offset_conv1.l1          pcd_alignment.offset_conv1.l1.conv       F  2F 3
pcd_align.offset_conv1.l2          pcd_alignment.offset_conv1.l2.conv       F  2F 3
pcd_align.offset_conv1.l3          pcd_alignment.offset_conv1.l3.conv       F  2F 3
pcd_align.offset_conv2.l1          pcd_alignment.offset_conv2.l1.conv       F  2F 3
pcd_align.offset_conv2.l2          pcd_alignment.offset_conv2.l2.conv       F  2F 3
pcd_align.offset_conv2.l3          pcd_alignment.offset_conv2.l3.conv       F  F  3
pcd_align.offset_conv3.l1          pcd_alignment.offset_conv3.l1.conv       F  F  3
pcd_align.offset_conv3.l2          pcd_alignment.offset_conv3.l2.conv       F  F  3
pcd_align.dcn_pack.l1              pcd_alignment.dcn_pack.l1                F  F  3
pcd_align.dcn_pack.l1.conv_offset  pcd_alignment.dcn_pack.l1.conv_offset    D  F  3
pcd_align.dcn_pack.l2              pcd_alignment.dcn_pack.l2                F  F  3
pcd_align.dcn_pack.l2.conv_offset  pcd_alignment.dcn_pack.l2.conv_offset    D  F  3
pcd_align.dcn_pack.l3              pcd_alignment.dcn_pack.l3                F  F  3
pcd_align.dcn_pack.l3.conv_offset  pcd_alignment.dcn_pack.l3.conv_offset    D  F  3
pcd_align.feat_conv.l1             pcd_alignment.feat_conv.l1.conv          F  2F 3
pcd_align.feat_conv.l2             pcd_alignment.feat_conv.l2.conv          F  2F 3
pcd_align.cas_offset_conv1         pcd_alignment.cas_offset_conv1.conv      F  2F 3
pcd_align.cas_offset_conv2         pcd_alignment.cas_offset_conv2.conv      F  F  3
pcd_align.cas_dcnpack              pcd_alignment.cas_dcnpack                F  F  3
pcd_align.cas_dcnpack.conv_offset  pcd_alignment.cas_dcnpack.conv_offset    D  F  3
"""

_TSA = """
fusion.temporal_attn1     fusion.temporal_attn1            F F  3
fusion.temporal_attn2     fusion.temporal_attn2            F F  3
fusion.feat_fusion        fusion.feat_fusion.conv          F NF 1
fusion.spatial_attn1      fusion.spatial_attn1.conv        F NF 1
fusion.spatial_attn2      fusion.spatial_attn2.conv        F 2F 1
fusion.spatial_attn3      fusion.spatial_attn3.conv        F F  3
fusion.spatial_attn4      fusion.spatial_attn4.conv        F F  1
fusion.spatial_attn5      fusion.spatial_attn5             F F  3
fusion.spatial_attn_l1    fusion.spatial_attn_l1.conv      F F  1
fusion.spatial_attn_l2    fusion.spatial_attn_l2.conv      F 2F 3
fusion.spatial_attn_l3    fusion.spatial_attn_l3.conv      F F  3
fusion.spatial_attn_add1  fusion.spatial_attn_add1.conv    F F  1
fusion.spatial_attn_add2  fusion.spatial_attn_add2         F F  1
"""

_NO_TSA = "fusion  fusion  F NF 1"

_RECONSTRUCTION_BLOCK = """
reconstruction.{}.conv1  reconstruction.{}.conv1  F F 3
reconstruction.{}.conv2  reconstruction.{}.conv2  F F 3
"""

_TAIL = """
upconv1    upsample1.upsample_conv  4F  F  3
upconv2    upsample2.upsample_conv  256 F  3
conv_hr    conv_hr                  64  64 3
conv_last  conv_last                3   64 3
"""

# BasicSR's name and the authors' own of 2019, where they differ.
_AUTHORS = """
predeblur.conv_first               pre_deblur.conv_first
predeblur.stride_conv_l2           pre_deblur.deblur_L2_conv
predeblur.stride_conv_l3           pre_deblur.deblur_L3_conv
predeblur.resblock_l3.conv1        pre_deblur.RB_L3_1.conv1
predeblur.resblock_l3.conv2        pre_deblur.RB_L3_1.conv2
predeblur.resblock_l2_1.conv1      pre_deblur.RB_L2_1.conv1
predeblur.resblock_l2_1.conv2      pre_deblur.RB_L2_1.conv2
predeblur.resblock_l2_2.conv1      pre_deblur.RB_L2_2.conv1
predeblur.resblock_l2_2.conv2      pre_deblur.RB_L2_2.conv2
predeblur.resblock_l1.0.conv1      pre_deblur.RB_L1_1.conv1
predeblur.resblock_l1.0.conv2      pre_deblur.RB_L1_1.conv2
predeblur.resblock_l1.1.conv1      pre_deblur.RB_L1_2.conv1
predeblur.resblock_l1.1.conv2      pre_deblur.RB_L1_2.conv2
predeblur.resblock_l1.2.conv1      pre_deblur.RB_L1_3.conv1
predeblur.resblock_l1.2.conv2      pre_deblur.RB_L1_3.conv2
predeblur.resblock_l1.3.conv1      pre_deblur.RB_L1_4.conv1
predeblur.resblock_l1.3.conv2      pre_deblur.RB_L1_4.conv2
predeblur.resblock_l1.4.conv1      pre_deblur.RB_L1_5.conv1
predeblur.resblock_l1.4.conv2      pre_deblur.RB_L1_5.conv2
predeblur.stride_conv_hr1          pre_deblur.conv_first_2
predeblur.stride_conv_hr2          pre_deblur.conv_first_3
conv_l2_1                          fea_L2_conv1
conv_l2_2                          fea_L2_conv2
conv_l3_1                          fea_L3_conv1
conv_l3_2                          fea_L3_conv2
pcd_align.offset_conv1.l1          pcd_align.L1_offset_conv1
pcd_align.offset_conv1.l2          pcd_align.L2_offset_conv1
pcd_align.offset_conv1.l3          pcd_align.L3_offset_conv1
pcd_align.offset_conv2.l1          pcd_align.L1_offset_conv2
pcd_align.offset_conv2.l2          pcd_align.L2_offset_conv2
pcd_align.offset_conv2.l3          pcd_align.L3_offset_conv2
pcd_align.offset_conv3.l1          pcd_align.L1_offset_conv3
pcd_align.offset_conv3.l2          pcd_align.L2_offset_conv3
pcd_align.dcn_pack.l1              pcd_align.L1_dcnpack
pcd_align.dcn_pack.l1.conv_offset  pcd_align.L1_dcnpack.conv_offset_mask
pcd_align.dcn_pack.l2              pcd_align.L2_dcnpack
pcd_align.dcn_pack.l2.conv_offset  pcd_align.L2_dcnpack.conv_offset_mask
pcd_align.dcn_pack.l3              pcd_align.L3_dcnpack
pcd_align.dcn_pack.l3.conv_offset  pcd_align.L3_dcnpack.conv_offset_mask
pcd_align.feat_conv.l1             pcd_align.L1_fea_conv
pcd_align.feat_conv.l2             pcd_align.L2_fea_conv
pcd_align.cas_dcnpack.conv_offset  pcd_align.cas_dcnpack.conv_offset_mask
fusion.temporal_attn1              tsa_fusion.tAtt_1
fusion.temporal_attn2              tsa_fusion.tAtt_2
fusion.feat_fusion                 tsa_fusion.fea_fusion
fusion.spatial_attn1               tsa_fusion.sAtt_1
fusion.spatial_attn2               tsa_fusion.sAtt_2
fusion.spatial_attn3               tsa_fusion.sAtt_3
fusion.spatial_attn4               tsa_fusion.sAtt_4
fusion.spatial_attn5               tsa_fusion.sAtt_5
fusion.spatial_attn_l1             tsa_fusion.sAtt_L1
fusion.spatial_attn_l2             tsa_fusion.sAtt_L2
fusion.spatial_attn_l3             tsa_fusion.sAtt_L3
fusion.spatial_attn_add1           tsa_fusion.sAtt_add_1
fusion.spatial_attn_add2           tsa_fusion.sAtt_add_2
reconstruction.{}.conv1            recon_trunk.{}.conv1
reconstruction.{}.conv2            recon_trunk.{}.conv2
conv_hr                            HRconv
fusion                             tsa_fusion
"""

Shapes = dict[str, tuple[int, ...]]


def published_layers(
    *,
    features: int,
    frames: int = 5,
    groups: int = 8,
    extraction_blocks: int = 5,
    reconstruction_blocks: int,
    with_tsa: bool = True,
    with_predeblur: bool = False,
    hr_in: bool = False,
) -> list[tuple[str, str, Shapes]]:
    """(BasicSR's name, mmagic's name, shapes of `weight` and `bias`) of every layer."""
    table = _PREDEBLUR if with_predeblur else _FIRST
    table += _HR_IN if hr_in else ""
    for index in range(extraction_blocks):
        table += "\n" + _EXTRACTION_BLOCK.replace("{}", str(index))
    table += _PYRAMID_AND_ALIGNMENT + (_TSA if with_tsa else _NO_TSA)
    for index in range(reconstruction_blocks):
        table += "\n" + _RECONSTRUCTION_BLOCK.replace("{}", str(index))
    table += _TAIL
    sizes = {
        "F": features,
        "2F": 2 * features,
        "4F": 4 * features,
        "NF": frames * features,
        "D": 27 * groups,
    }
    layers = []
    for line in filter(None, table.splitlines()):
        basicsr, mmagic, outputs, inputs, kernel = line.split()
        rows, columns = (sizes[x] if x in sizes else int(x) for x in (outputs, inputs))
        side = int(kernel)
        layers.append((basicsr, mmagic, {"weight": (rows, columns, side, side), "bias": (rows,)}))
    return layers


def basicsr_shapes(layers: list[tuple[str, str, Shapes]]) -> Shapes:
    """Every tensor's BasicSR name and shape."""
    return {f"{name}.{kind}": shape for name, _, shapes in layers for kind, shape in shapes.items()}


def authors_name(basicsr: str) -> str:
    """What the authors' own repository calls a layer."""
    block = re.match(r"reconstruction\.(\d+)", basicsr)
    number = block[1] if block else ""
    for line in filter(None, _AUTHORS.splitlines()):
        ours, theirs = line.replace("{}", number).split()
        if ours == basicsr:
            return theirs
    return basicsr
