"""Features that are computed once: where a network is cut, and that its head trains as through the whole network."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tiny
from test_finetuning_run import NETWORKS, RECIPE, build, without_dropout

from keras_lite.data import Augmentation, Batches
from keras_lite.training import Finetuning, Options, RecipeModel, fit
from keras_lite.training.frozen_layers import FeatureBatches, copies_of, fits_in_memory, keras_features, split_frozen

layers = keras.layers


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(brightness=0.5, horizontal_flip=True)])
def test_head_on_features_is_the_head_through_the_network(augmentation, tmp_path):
    recipe = dataclasses.replace(
        RECIPE,
        models={"tiny": RecipeModel(without_dropout)},
        augmentation=augmentation,
        finetuning=Finetuning(head_epochs=2, head_learning_rate=0.02, class_weights=False),
    )
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            weights = NETWORKS[-1].get_layer("classifier").get_weights()
            seen.append(([weight.copy() for weight in weights], len(self.model.layers), logs))

        def get_state(self):
            return {}

        def set_state(self, state):
            pass

    data = tiny.data()
    fit(recipe, data, Options.of(recipe, epochs=3, seed=3), tmp_path, callbacks=[Watch()])

    network = without_dropout((8, 8), 3)
    for layer in network.layers:
        layer.trainable = layer.name == "classifier"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"], jit_compile=False)
    batches = Batches(data["train"], 4, recipe.preprocessing(), augmentation, shuffle=True, seed=3)
    for epoch in range(2):
        for index in range(batches.num_batches):
            network.train_on_batch(*batches.batch(epoch, index))
        for weight, expected in zip(seen[epoch][0], network.get_layer("classifier").get_weights(), strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)
        valid = Batches(data["valid"], 4, recipe.preprocessing())
        found = [network.predict_on_batch(valid.batch(0, index)[0]).argmax(1) for index in range(2)]
        accuracy = (np.concatenate(found) == data["valid"].labels).mean()
        assert seen[epoch][2]["val_accuracy"] == pytest.approx(accuracy)
    assert seen[0][1] < seen[2][1]  # less than the network trains at first


@pytest.mark.tensorflow_only
def test_cut_is_before_all_that_changes():
    model = build((8, 8), 3)
    Finetuning().freeze(model, head_only=True)
    body, head = split_frozen(model)
    assert body.layers[-1].name == "relu"  # dropout comes next
    assert {layer.name for layer in head.layers} >= {"dropout", "pooling", "second_dropout", "classifier"}
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("float32")
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(head.predict_on_batch(body.predict_on_batch(images)), expected, rtol=1e-5, atol=1e-6)
    assert fits_in_memory(split_frozen(model), 2**30 // (4 * 4 * 4 * 8))
    assert not fits_in_memory(split_frozen(model), 2**30 // (4 * 4 * 4 * 8) + 1)

    # Order and labels of each epoch are those of the photos' batches; photos are changed as in one of the first epochs.
    batches = Batches(tiny.source(70, 0), 4, RECIPE.preprocessing(), Augmentation(rotation=90.0), shuffle=True, seed=1)
    features = FeatureBatches(batches, keras_features(body), copies=2)
    with ThreadPoolExecutor(2) as pool:
        for epoch, copy in ((0, 0), (1, 1), (2, 0)):
            features.prepare(epoch, pool)
            pixels = np.empty((70, 8, 8, 3), "float32")
            for index in range(18):
                pixels[batches.indices(copy, index)] = batches.batch(copy, index)[0]
            for index in (0, 17):
                received, labels = features.batch(epoch, index)
                places = batches.indices(epoch, index)
                np.testing.assert_array_equal(labels, batches.source.labels[places])
                np.testing.assert_allclose(received, body.predict_on_batch(pixels[places]), rtol=1e-5, atol=1e-6)
    assert copies_of(Augmentation(), 3) == 1
    assert [copies_of(batches.augmentation, epochs) for epochs in (0, 3, 20)] == [1, 3, 5]

    # All layers are trained: nothing comes before them.
    Finetuning(freeze_batch_norm=False).freeze(model, head_only=False)
    assert split_frozen(model) is None


@keras.saving.register_keras_serializable("test_frozen_layers")
class Shift(layers.Layer):
    """A layer from elsewhere that does something else in training, without a word."""

    def call(self, inputs, training=None):
        return inputs + 1.0 if training else inputs


@pytest.mark.tensorflow_only
def test_no_cut_where_two_tensors_go_on_or_layers_are_not_known():
    inputs = keras.Input((8,))
    x = layers.Dense(4, trainable=False, name="frozen")(inputs)
    outputs = layers.Dense(3)(layers.Concatenate()([layers.Dropout(0.5)(x), inputs]))
    assert split_frozen(keras.Model(inputs, outputs)) is None
    outputs = layers.Dense(3)(layers.Dense(5, trainable=False)(Shift()(x)))
    body, _ = split_frozen(keras.Model(inputs, outputs))
    assert body.layers[-1].name == "frozen"
