"""Training with skorch and inference: conversion of arrays to tensors and back."""
