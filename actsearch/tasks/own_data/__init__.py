"""Tasks on the user's own data: `data:<path>[:<target column>]`, read from the worker's data directory.

A path names a file (npz, csv, parquet), a folder of images (one folder a class) or a folder saved by `datasets`.
"""

from actsearch.tasks.own_data.places import PREFIX, datasets_directory, own_names
from actsearch.tasks.own_data.task import own_task

__all__ = ["PREFIX", "datasets_directory", "own_names", "own_task"]
