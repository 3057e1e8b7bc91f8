"""Prints the labels that MediaPipe's ImageClassifier finds in images, as JSON. Needs mediapipe and NumPy alone.

python checks/mediapipe_labels.py MODEL.tflite IMAGES.npy
"""

import json
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

model, images = sys.argv[1:]
options = ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=1)
with ImageClassifier.create_from_options(options) as classifier:
    labels = []
    for image in np.load(images):
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        labels.append(classifier.classify(picture).classifications[0].categories[0].category_name)
print(json.dumps({"mediapipe": mediapipe.__version__, "labels": labels}))
