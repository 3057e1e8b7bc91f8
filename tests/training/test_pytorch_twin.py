import keras
import numpy as np
import pytest

from keras_lite import published
from keras_lite.errors import InputError
from keras_lite.training.pytorch_twin import pytorch_twin

# One of each kind of layer: grouped convolutions, channel shuffles, circular convolutions, gates, hybrid stems.
ROWS = (
    "cifar100_first/resnet20/ours",
    "cifar100_second/mobilenetv3_large/ours",
    "cifar100_second/ghostnet/original",
    "cifar100_second/shufflenetv2/ours",
    "cifar100_second/parc_mobilenetv2/ours",
    "cifar10_efficient_resnet/efficient_resnet/ours",
)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("row_id", ROWS)
def test_outputs_as_the_keras_model_does(row_id):
    torch = pytest.importorskip("torch")
    model = published.get(row_id).build(classifier_activation=None)
    rng = np.random.default_rng(0)
    for variable in model.non_trainable_variables:  # else the running statistics would be alike everywhere
        if variable.dtype == "float32":
            variable.assign(rng.uniform(0.5, 1.5, variable.shape).astype("float32"))
    images = rng.normal(size=(2, *model.input_shape[1:])).astype("float32")
    expected = keras.ops.convert_to_numpy(model(images, training=False))  # tracing takes longer
    with torch.no_grad():
        received = pytorch_twin(model).eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    assert np.abs(received - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.tensorflow_only
def test_unknown_layer_is_named():
    pytest.importorskip("torch")
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.UpSampling2D(name="bigger")(inputs))
    with pytest.raises(InputError, match="bigger of type UpSampling2D"):
        pytorch_twin(model)
