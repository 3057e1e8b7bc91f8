"""Building blocks of the networks, each a `keras.layers.Layer` made of stock layers."""

from keras_lite.layers.activations import HardSwish
from keras_lite.layers.attention_downsampling import AttentionDownsampling, StridedAttention
from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.bsconv import BSConvS, BSConvU, OrthonormalRegularizer
from keras_lite.layers.channel_attention import ChannelAttention
from keras_lite.layers.channel_shuffle import ChannelShuffle
from keras_lite.layers.channel_slice import ChannelSlice
from keras_lite.layers.channel_split import ChannelInterleave, ChannelSplit
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.convolution import Conv2D
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.ghost_module import GhostModule
from keras_lite.layers.group_conv_block import GroupConvBlock
from keras_lite.layers.grouped_convolution import GroupedConv2D
from keras_lite.layers.hybrid_stem import HybridStem
from keras_lite.layers.padding_free_downsampling import PaddingFreeDownsampling
from keras_lite.layers.position_aware_circular_conv import PositionAwareCircularConv, PositionEmbedding

__all__ = [
    "AttentionDownsampling",
    "BSConvS",
    "BSConvU",
    "BatchNormalization",
    "ChannelAttention",
    "ChannelInterleave",
    "ChannelShuffle",
    "ChannelSlice",
    "ChannelSplit",
    "CompositeLayer",
    "Conv2D",
    "DepthwiseConv2D",
    "GhostModule",
    "GroupConvBlock",
    "GroupedConv2D",
    "HardSwish",
    "HybridStem",
    "OrthonormalRegularizer",
    "PaddingFreeDownsampling",
    "PositionAwareCircularConv",
    "PositionEmbedding",
    "StridedAttention",
]
