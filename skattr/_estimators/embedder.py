"""Images to the features of a frozen network, each image once."""

import hashlib
import json
import os
from collections.abc import Callable, Generator
from contextlib import closing
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skattr._cache.embeddings import EmbeddingStore
from skattr._cache.keys import image_keys
from skattr._estimators.fitting import random_generator
from skattr._estimators.parameters import PARAMETER_CONSTRAINTS, check_image_size
from skattr._inputs.checks import VALID_IMAGES, check_images, describe, infer_kind
from skattr._inputs.decoding import PREPROCESSING, Decoding
from skattr._inputs.rows import FileRows, ImageRows
from skattr._inputs.unreadable import raise_or_record, readable_rows, warn_unreadable
from skattr._training.devices import resolve_device, resolve_precision
from skattr._training.embedding import FrozenNetwork, read_batches
from skattr.exceptions import ImageReadError

_NORMALIZATION = 1  # to be raised when images are normalised otherwise
_SHARED = (
    "backbone", "weights", "image_size", "batch_size", "device", "precision", "num_workers",
    "decoding", "on_bad_image", "random_state", "verbose",
)  # fmt: skip


class ImageEmbedder(TransformerMixin, BaseEstimator):
    """Turn images into features of a frozen network, one row an image.

    It stands before a classifier in a pipeline, where training the network itself would be too
    slow or have too few images. With a `cache` each image passes through the network once,
    however many folds, candidates, processes and runs ask for it.

    Parameters
    ----------
    backbone : str or callable, default="resnet50"
        Any torchvision classification model, or an importable callable that returns a module
        mapping (n, 3, H, W) to features (n, F) or maps (n, F, h, w).
    weights : str, default=None
        Pretrained weights of a torchvision backbone: "DEFAULT", the name of torchvision
        weights, or the path of a state dict. None leaves random weights, or those that a
        callable brings.
    layer : str, default="pool"
        "pool" is what the classifier of the backbone would read. Else one of the backbone's
        modules (``named_modules``), such as "layer3" or "layer3.0.conv1": its map is averaged
        over all places (tokens, for a transformer).
    image_size : int or (height, width), default=224
        Images are resized to this size, without regard to their aspect ratio.
    batch_size : int, default=64
        Images in one pass through the network.
    device : str, default="auto"
        "auto" (CUDA if there is one, else the CPU) or a torch device such as "cuda:1".
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        What the network computes in; "auto" is float32 on the CPU, with bfloat16 products on
        CUDA. Features are float32 always.
    num_workers : int, default=0
        Processes that decode image files. With 0 they are decoded between the batches, on as
        many threads as torch computes with.
    decoding : {"exact", "scaled"}, default="exact"
        "scaled" decodes JPEG files without a box at a fraction of their size, which is faster
        and differs by less than two levels on average; see :class:`AttributeClassifier`.
    on_bad_image : {"raise", "warn"}, default="raise"
        What `transform` does about images that cannot be read: the file is missing, truncated
        or no image, the box leaves it, ... "raise" names path and row. "warn" counts and names
        them in one :class:`~skattr.exceptions.BadImageWarning`, and returns NaN for them, which
        ``AttributeClassifier(on_bad_image="warn")`` takes for what it is. They are not cached.
    cache : str or path-like, default=None
        A folder to keep features in, made where needed. None computes them at every call.
    cache_key : {"content", "stat"}, default="content"
        What an image file is known by in the cache: the SHA-256 of its bytes, for which each
        call reads them; or its absolute path, size and time of modification, which is faster
        and embeds a file anew that was moved. Images in memory are known by their pixels.
    random_state : int, RandomState or None, default=0
        Seeds random weights, so that the clones of a search agree. None draws fresh ones at each
        fit, which cannot be cached.
    verbose : int, default=0
        From 1, a progress bar.

    Attributes
    ----------
    n_features_out_ : int
        Number of features.

    See Also
    --------
    AttributeClassifier : Trains a network on images, or branches on these features.

    Notes
    -----
    The cache is a SQLite file in the folder. A row is kept under a digest of the image, its
    box, the backbone, its weights, `layer`, `image_size`, `decoding` and the precision: what
    changes one of them makes other rows, and old ones stay. To be rid of them, delete the folder
    while no process uses it. A process that is killed leaves a cache that the next one goes on
    with. Processes that start together share the work: each claims batches that no other has
    claimed, so that only batches in work at the very end may be computed twice. The folder must
    be on a disk of the machine: SQLite's locks do not hold on network file systems.

    A fitted embedder that has found all it needed in a cache holds no network: its pickle is
    small, and needs the weights where images are new to it. Else the pickle holds them.

    A callable is known in the cache by the weights and the printed structure of the module it
    returns, for which `fit` builds it.

    The features of an image do not depend on its place in X. They depend on the other
    images of its batch, on `batch_size`, threads and device no more than rounding does. A
    cache returns the bits that were computed first, which are those of no cache if it was empty
    and X holds no image twice.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skattr import ImageEmbedder
    >>> from skattr.datasets import make_attribute_images
    >>> X, y = make_attribute_images(60, return_X_y=True, random_state=0)
    >>> embedder = ImageEmbedder("resnet18", layer="layer2", image_size=32, random_state=0)
    >>> embedder.fit_transform(X).shape
    (60, 128)
    >>> pipeline = make_pipeline(embedder, LogisticRegression(max_iter=1000))
    >>> pipeline.fit(X[:40], y["color"][:40]).predict(X[40:]).shape
    (20,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{name: PARAMETER_CONSTRAINTS[name] for name in _SHARED},
        "layer": [str],
        "cache": [str, os.PathLike, None],
        "cache_key": [StrOptions({"content", "stat"})],
    }

    def __init__(
        self,
        backbone: str | Callable[[], Any] = "resnet50",
        *,
        weights: str | None = None,
        layer: str = "pool",
        image_size: int | tuple[int, int] = 224,
        batch_size: int = 64,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int = 0,
        decoding: Any = "exact",
        on_bad_image: str = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_key: Any = "content",
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.image_size = image_size
        self.batch_size = batch_size
        self.device = device
        self.precision = precision
        self.num_workers = num_workers
        self.decoding = decoding
        self.on_bad_image = on_bad_image
        self.cache = cache
        self.cache_key = cache_key
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Declare what X may be."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check X and the parameters, and fix the network; nothing is learned.

        The network is built unless `cache` already knows it.

        Parameters
        ----------
        X : ndarray, list, Series or DataFrame of n rows
            uint8 images (n, H, W, 3) or (n, H, W); paths of image files; or a DataFrame
            with a ``path`` column and, for crops, the columns ``xmin ymin xmax ymax`` (0-based,
            half-open, in pixels of the upright image, all NaN for the whole image). Its
            further columns are left alone.
        y : ignored

        Returns
        -------
        ImageEmbedder

        Raises
        ------
        ValueError
            If a parameter or X is invalid.
        OSError
            If weights can be neither found nor fetched, or the cache cannot be used.
        """
        size = check_image_size(self.image_size)
        _open_images(X, size, self.on_bad_image, self.decoding)
        store = self._store()
        network = FrozenNetwork(
            self.backbone,
            weights=self.weights,
            layer=self.layer,
            image_size=size,
            seed=int(random_generator(self.random_state).integers(2**31)),
        )
        description = self._description(network)
        n_features = None if store is None else store.n_features(_digest(description))
        if n_features is None:
            n_features = network.build().n_features
            if store is not None:
                store.register(_digest(description), description, n_features)
        self._network = network
        self.n_features_out_ = n_features
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the features of images.

        Parameters
        ----------
        X : n rows of any kind that :meth:`fit` takes

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            NaN where a row could not be read, with ``on_bad_image="warn"``.

        Raises
        ------
        ImageReadError, InvalidBoxError
            If an image cannot be read or a box leaves it; path and row are named. What was
            embedded before it stays in the cache.
        """
        check_is_fitted(self)
        size = self._network.image_size
        rows = _open_images(X, size, self.on_bad_image, self.decoding)
        store = self._store()
        features = self._computed(rows) if store is None else self._cached(store, rows)
        warn_unreadable(rows, "their features are NaN")
        return features

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the features: "resnet50_pool_0" and so on.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of shape (n_features_out_,), object
        """
        check_is_fitted(self)
        stem = f"{_name(self._network.backbone)}_{self._network.layer}"
        return np.array([f"{stem}_{j}" for j in range(self.n_features_out_)], dtype=object)

    def _computed(self, rows: ImageRows | FileRows) -> NDArray[np.float32]:
        """Return the features of all rows, each computed."""
        features = np.full((len(rows), self.n_features_out_), np.nan, dtype=np.float32)
        with closing(self._batches(rows, readable_rows(rows))) as batches:
            for indices, embed in batches:
                features[indices] = embed(slice(None))
        return features

    def _cached(self, store: EmbeddingStore, rows: ImageRows | FileRows) -> NDArray[np.float32]:
        """Return the features of all rows from the store, after computing those it lacks."""
        network = _digest(self._description(self._network))
        get_keys = partial(image_keys, rows, network, self.cache_key)
        readable = readable_rows(rows).tolist()
        keys = dict(zip(readable, get_keys(readable), strict=True))
        n_unreadable = -1
        # Of rows with equal keys one is read. If it proves unreadable, another one is tried.
        while n_unreadable < len(rows.unreadable or ()):
            n_unreadable = len(rows.unreadable or ())
            # First the rows that no other process works on; then what others have claimed but
            # not stored, as they may have been killed.
            for claim in (True, False):
                keys = {row: keys[row] for row in readable_rows(rows).tolist()}
                self._fill(store, rows, keys, get_keys, claim=claim)
        found = readable_rows(rows)
        cached = store.read([keys[row] for row in found.tolist()], self.n_features_out_)
        if len(found) == len(rows):
            return cached
        features = np.full((len(rows), self.n_features_out_), np.nan, dtype=np.float32)
        features[found] = cached
        return features

    def _fill(
        self,
        store: EmbeddingStore,
        rows: ImageRows | FileRows,
        keys: dict[int, bytes],
        get_keys: Callable[[Any], list[bytes]],
        *,
        claim: bool,
    ) -> None:
        """Compute and store missing features, one row of each key; with `claim` unclaimed ones."""
        first: dict[bytes, int] = {}
        for row, key in keys.items():
            first.setdefault(key, row)
        missing = np.array(sorted(first[key] for key in store.missing(first)), dtype=np.intp)
        n_done = len(first) - len(missing)
        with closing(self._batches(rows, missing, n_done)) as batches:
            for indices, embed in batches:
                positions: dict[bytes, int] = {}
                for position, (row, key) in enumerate(
                    zip(indices.tolist(), get_keys(indices), strict=True)
                ):
                    if key == keys[row]:
                        positions[key] = position
                    else:
                        changed = ImageReadError("the file changed while it was read.")
                        raise_or_record(rows.unreadable, row, changed)
                # Nothing is locked while the network computes.
                absent = store.claim(positions) if claim else store.missing(positions)
                chosen = {key: positions[key] for key in positions if key in absent}
                if chosen:
                    store.store(list(chosen), embed(list(chosen.values())))

    def _batches(
        self, rows: ImageRows | FileRows, indices: NDArray[np.intp], n_done: int = 0
    ) -> Generator[tuple[NDArray[np.intp], Callable[[Any], NDArray[np.float32]]], None, None]:
        """Yield the rows of each batch, and what embeds those of them at some places."""
        device, precision = self._computation()
        if not len(indices):
            return
        self._network.build()
        batches = read_batches(
            rows, indices, batch_size=self.batch_size, device=device, num_workers=self.num_workers
        )
        total = n_done + len(indices)
        bar = tqdm(total=total, initial=n_done, disable=self.verbose < 1, unit="image")
        with bar, closing(batches):
            for some, pixels in batches:
                yield some, partial(self._network.embed, pixels, device, precision)
                bar.update(len(some))

    def _computation(self) -> tuple[str, str]:
        """Return the device and the precision to compute in."""
        device = resolve_device(self.device)
        return device, resolve_precision(self.precision, device)

    def _store(self) -> EmbeddingStore | None:
        if self.cache is None:
            return None
        if self.weights is None and self.random_state is None:
            raise ValueError(
                "cache needs features that can be computed again: give random_state an int, or "
                "weights. (A callable that brings its own weights takes any int.)"
            )
        return EmbeddingStore(self.cache)

    def _description(self, network: FrozenNetwork) -> str:
        """Describe all that features depend on but the image."""
        parts = {
            "backbone": _name(network.backbone),
            "identity": network.identity,
            "layer": network.layer,
            "image_size": network.image_size,
            "precision": self._computation()[1],
            "preprocessing": [PREPROCESSING, _NORMALIZATION],
            "decoding": self.decoding,
        }
        return json.dumps(parts, sort_keys=True)


def _digest(description: str) -> bytes:
    return hashlib.sha256(description.encode()).digest()


def _name(backbone: Any) -> str:
    if isinstance(backbone, str):
        return backbone
    return str(getattr(backbone, "__name__", type(backbone).__name__))


def _open_images(
    X: Any, size: tuple[int, int], on_bad_image: str, decoding: Decoding
) -> ImageRows | FileRows:
    """Check X, without opening a file."""
    if infer_kind(X) == "features":
        raise ValueError(
            f"X holds no images, which ImageEmbedder embeds, but is {describe(X)}; valid are "
            f"{VALID_IMAGES}."
        )
    return check_images(X, size, on_bad_image, decoding)
