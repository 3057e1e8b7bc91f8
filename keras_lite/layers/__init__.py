"""Building blocks, each a `keras.layers.Layer` made of stock layers."""

from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.channel_attention import ChannelAttention
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.group_conv_block import GroupConvBlock
from keras_lite.layers.grouped_convolution import GroupedConv2D

__all__ = ["BatchNormalization", "ChannelAttention", "CompositeLayer", "GroupConvBlock", "GroupedConv2D"]
