"""Tasks on the small data sets that scikit-learn ships, so they need no download."""

from __future__ import annotations

from collections.abc import Callable

from actsearch.tasks.classification import (
    DIRECTIONS,
    classification_dataset,
    classification_metrics,
    cross_entropy,
    stacked_cross_entropy,
)
from actsearch.tasks.declaration import Dataset, Task, register
from actsearch.tasks.regression import DIRECTIONS as REGRESSION_DIRECTIONS
from actsearch.tasks.regression import mean_squared_error, regression_dataset, regression_metrics, stacked_squared_error
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
    register(
        Task(
            name=name,
            description=description,
            kind="classification",
            load=load,
            loss=cross_entropy,
            stacked_loss=stacked_cross_entropy,
            metrics=classification_metrics,
            metric="accuracy",
            directions=DIRECTIONS,
            source=f"{source}, shipped with scikit-learn",
            parameters=(SPLIT_SEED,),
        )
    )


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
    Task(
        name="diabetes",
        description="Progress of diabetes after a year from 10 measurements of a patient, 442 samples.",
        kind="regression",
        load=_diabetes,
        loss=mean_squared_error,
        stacked_loss=stacked_squared_error,
        metrics=regression_metrics,
        metric="r2",
        directions=REGRESSION_DIRECTIONS,
        source="Efron, Hastie, Johnstone & Tibshirani, Least Angle Regression (2004), shipped with scikit-learn",
        parameters=(SPLIT_SEED,),
    )
)
