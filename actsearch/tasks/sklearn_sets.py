"""Tasks on the small data sets that scikit-learn ships, so they need no download."""

from __future__ import annotations

from collections.abc import Callable

from actsearch.tasks.classification import classification_dataset
from actsearch.tasks.declaration import Dataset, register
from actsearch.tasks.kinds import task_of_kind
from actsearch.tasks.regression import regression_dataset
from actsearch.tasks.splits import SPLIT_SEED, split


def _digits(split_seed: int = 0) -> Dataset:
    from sklearn.datasets import load_digits

    data = load_digits()
    return classification_dataset(split(data.images[:, None], data.target, split_seed, stratify=True), "image")


def _breast_cancer(split_seed: int = 0) -> Dataset:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return classification_dataset(split(data.data, data.target, split_seed, stratify=True), "vector")


def _wine(split_seed: int = 0) -> Dataset:
    from sklearn.datasets import load_wine

    data = load_wine()
    return classification_dataset(split(data.data, data.target, split_seed, stratify=True), "vector")


def _diabetes(split_seed: int = 0) -> Dataset:
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)  # the scaled form was scaled with all samples, test ones too
    return regression_dataset(split(data.data, data.target[:, None], split_seed, stratify=False), "vector")


def _classification(name: str, description: str, source: str, load: Callable[..., Dataset]) -> None:
    source = f"{source}, shipped with scikit-learn"
    register(task_of_kind("classification", name, description, load, source=source, parameters=(SPLIT_SEED,)))


_classification(
    "digits",
    "Handwritten digits, 1,797 images of 8x8 grey pixels, 10 classes.",
    "UCI Optical Recognition of Handwritten Digits (Alpaydin & Kaynak, 1998)",
    _digits,
)
_classification(
    "breast_cancer",
    "Diagnosis (malignant, benign) from 30 measurements of cell nuclei, 569 samples.",
    "UCI Breast Cancer Wisconsin, Diagnostic (Wolberg et al., 1993)",
    _breast_cancer,
)
_classification(
    "wine",
    "Cultivar of a wine, one of 3, from 13 chemical measurements, 178 samples.",
    "UCI Wine (Aeberhard & Forina, 1992)",
    _wine,
)
register(
    task_of_kind(
        "regression",
        "diabetes",
        "Progress of diabetes after a year from 10 measurements of a patient, 442 samples.",
        _diabetes,
        metric="r2",
        source="Efron, Hastie, Johnstone & Tibshirani, Least Angle Regression (2004), shipped with scikit-learn",
        parameters=(SPLIT_SEED,),
    )
)
