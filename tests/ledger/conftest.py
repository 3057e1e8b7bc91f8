"""Made-up runs: they live in a test's own folder, never in `results/`."""

import json

import pytest

from ledger import RunResult


@pytest.fixture
def run_result():
    """Make a result; by default of ResNet-20 with all 200 epochs and a test accuracy of 68%."""

    def make(test_accuracy=0.68, epochs=200, **changes):
        values = {
            "row": "cifar100_first/resnet20/ours",
            "recipe": "cifar100_resnet",
            "model": "resnet20_ours",
            "seed": 0,
            "protocol": "published",
            "epochs": epochs,
            "published_epochs": 200,
            "image_size": [32, 32],
            "batch_size": 128,
            "changes": {},
            "test_accuracy": test_accuracy,
            "last_accuracy": test_accuracy,
            "best_accuracy": 0.75,
            "best_epoch": 7,
            "images": {"train": 50000, "test": 10000},
            "parameters": 282138,
            "macs": 37093552,
            "seconds": 600.0,
            "images_per_second": 500.0,
            "hardware": {"devices": ["cpu:0"], "system": "Linux", "processor": "Some CPU", "cpus": 2},
            "backend": "tensorflow",
            "python": "3.11.7",
            "versions": {"keras": "3.15.1"},
            "commit": "0123456789abcdef",
            "commit_modified": False,
            "remark": None,
            "quantized": None,
            "train_accuracies": [0.5] * epochs,
            "epoch_accuracies": [0.4] * epochs,
        }
        return RunResult(**(values | changes))

    return make


class RunFiles:
    """The files of a run folder that a result is made from: 2 epochs of ResNet-20, with a validation split."""

    def __init__(self, path):
        self.path = path
        last = {"epoch": 2, "accuracy": 0.3, "loss": 2.5, "val_accuracy": 0.2501234, "val_loss": 2.6}
        best = {"epoch": 1, "accuracy": 0.2, "loss": 3.0, "val_accuracy": 0.3, "val_loss": 2.5}
        self.result = {
            "recipe": "cifar100_resnet",
            "model": "resnet20_ours",
            "row": "cifar100_first/resnet20/ours",
            "smoke": False,
            "seed": 3,
            "protocol": "held_out",
            "epochs": 2,
            "published_epochs": 200,
            "changes": {"epochs": 2, "label_smoothing": 0.1},
            "last": last,
            "best": best,
            "tested_epoch": "last",
            "test": {"accuracy": 0.2612, "loss": 2.6},
            "images": {"train": 45000, "valid": 5000, "test": 10000},
            "image_size": [32, 32],
            "batch_size": 128,
            "seconds": 180.04,
            "peak_memory_bytes": 1_500_000_000,
            "parameters": 282138,
            "macs": 37093552,
            "published": {"accuracy": 68.3},
        }
        self.config = {"class_names": [f"class {number}" for number in range(100)], "flags": {"batch_size": 128}}
        self.environment = {
            "keras_lite": "0.1.0",
            "commit": "0123456789abcdef",
            "commit_modified": False,
            "backend": "tensorflow",
            "devices": ["cpu:0"],
            "python": "3.11.7",
            "versions": {"keras": "3.15.1"},
            "machine": {"system": "Linux", "processor": "Some CPU", "cpus": 2},
        }
        self.metrics = "epoch,accuracy,loss,val_accuracy,val_loss\n1,0.2,3.0,0.3,2.5\n2,0.3,2.5,0.2501234,2.6\n"

    def write(self):
        """Write the files and return the folder."""
        self.path.mkdir(exist_ok=True)
        for name in ("result", "config", "environment"):
            (self.path / f"{name}.json").write_text(json.dumps(getattr(self, name)))
        (self.path / "metrics.csv").write_text(self.metrics)
        return self.path


@pytest.fixture
def run_files(tmp_path):
    return RunFiles(tmp_path / "run")
