"""Quantization-aware training: the quantized model, by Keras alone or by TF-MOT, and its fine-tuning.

This room stands above the files of `keras_lite.quantization`: it may import them, and they import nothing of it. They
take the model that is made here as it is given to them.
"""
