"""The quantization-aware model: carried to tf_keras, quantized by TF-MOT, set up without training, and fine-tuned.

This room stands above the files of `keras_lite.quantization`: it may import them, and they import nothing of it. They
take the model that is made here as it is given to them.
"""
