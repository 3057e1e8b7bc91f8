"""What the wheel holds: keras_lite, and in it the folders recipes/, weights/ and examples/web/ of the repository."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# Recipes that work in the repository alone: they need what is not in the wheel.
OF_THE_REPOSITORY = {("keras_lite.recipes", "latency")}
PAGE = "keras_lite.examples.web"


class BuildPackages(build_py):
    """Builds without what an earlier build left in build/, and without the recipes of the repository."""

    def run(self):
        """Copy the files of the packages into an empty folder."""
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib, "keras_lite"), ignore_errors=True)
        super().run()

    def find_package_modules(self, package, package_dir):
        """Return (package, module, file) for each module of a package."""
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if module[:2] not in OF_THE_REPOSITORY]


setup(
    packages=[*find_packages(include=["keras_lite*"]), "keras_lite.recipes", "keras_lite.weights", PAGE],
    package_dir={"keras_lite.recipes": "recipes", "keras_lite.weights": "weights", PAGE: "examples/web"},
    package_data={"": ["*.json"], "keras_lite.weights": ["*.h5"], PAGE: ["*.html", "*.css", "*.js"]},
    cmdclass={"build_py": BuildPackages},
)
