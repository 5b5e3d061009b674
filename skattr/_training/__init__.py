"""Training with skorch and inference: conversion of arrays to tensors and back."""

from skattr._training.augmentation import ImageAugmenter as ImageAugmenter
from skattr._training.build import build_and_train as build_and_train
from skattr._training.build import build_net as build_net
from skattr._training.build import train_net as train_net
from skattr._training.config import TrainingConfig as TrainingConfig
from skattr._training.config import TrainingProblem as TrainingProblem
from skattr._training.inference import predict_rows as predict_rows
from skattr._training.loader import find_unreadable as find_unreadable

__all__ = [
    "ImageAugmenter",
    "TrainingConfig",
    "TrainingProblem",
    "find_unreadable",
    "build_and_train",
    "build_net",
    "predict_rows",
    "train_net",
]
