"""teensafe: fine-tune, judge and hand over content classifiers that protect minors.

From Python: `train.recipe.load` reads a recipe, `train.__main__.train` runs it, and
`train.serving.predictor.Predictor` scores texts with what came out. From the shell: `teensafe --help`.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("teensafe")
except PackageNotFoundError:  # the folder is used without being installed
    __version__ = "0+uninstalled"
