"""ImageEmbedder: features of a frozen network, with a cache."""

import hashlib
import json
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import TransformerMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skattr._cache.embeddings import EmbeddingStore
from skattr._cache.keys import image_keys
from skattr._estimators.options import ImageReading, TrainingOptions, as_object, resolve
from skattr._estimators.parameters import NestedParameters, check_image_size, random_generator
from skattr._inputs.checks import check_images, reject_features
from skattr._inputs.decoding import PREPROCESSING, Decoding
from skattr._inputs.deep import ValueRange
from skattr._inputs.rows import FileRows, ImageRows
from skattr._inputs.unreadable import raise_or_record, readable_rows, warn_unreadable
from skattr._training.dataset import AttributeDataset
from skattr._training.devices import is_cuda, resolve_device, resolve_precision
from skattr._training.embedding import FrozenNetwork
from skattr._training.loader import BatchLoader, warn_no_processes
from skattr._utils.parameters import AT_LEAST_1, RANDOM_STATE
from skattr._utils.tables import as_pandas
from skattr.exceptions import ImageReadError

_Reading = tuple[Decoding, ValueRange | None]
_NORMALIZATION = 2  # part of every cache key: increase it when the normalization changes


@dataclass(eq=False, repr=False)
class ImageEmbedder(TransformerMixin, NestedParameters):
    """Transform images to the features of a frozen network, one row per image.

    Use it before a classifier in a pipeline if training the network itself would be too slow or
    there are too few images. With a `cache` each image passes through the network once, for all
    folds, candidates, processes and runs.

    Parameters
    ----------
    backbone : str or callable, default="resnet50"
        Any torchvision classification model, or an importable callable that returns a module
        mapping (n, 3, H, W) to features (n, F) or maps (n, F, h, w).
    weights : str, default=None
        Pretrained weights of a torchvision backbone: "DEFAULT", the name of torchvision
        weights, or the path of a state dict (of `torch.save` or safetensors). With None the
        weights are random, or those that a callable brings. Pixels are normalized as named
        weights expect it, otherwise by ImageNet's mean and deviation.
    layer : str, default="pool"
        "pool" is the input of the backbone's classifier. Otherwise the name of one of the
        backbone's modules (``named_modules``), such as "layer3" or "layer3.0.conv1": its map is
        averaged over all positions (tokens, for a transformer).
    image_size : int or (height, width), default=224
        Size that images are resized to, without regard to their aspect ratio.
    batch_size : int, default=64
        Images per pass through the network.
    device : str, default="auto"
        "auto" (CUDA if available, else the CPU) or a torch device such as "cuda:1".
    precision : {"auto", "float32", "float64", "bfloat16"}, default="auto"
        Type that the network computes in; "auto" is float32 on the CPU, with bfloat16 products on
        GPUs that have bfloat16. Features are always float32; those that the network computed in
        bfloat16 have its eight significant bits, unless they are means of a map.
    images : ImageReading or {"exact", "scaled"}, default=None
        Decoding of image files; a string is the `decoding` of :class:`ImageReading`. With
        ``ImageReading(on_bad_image="warn")`` the features of images that cannot be read are NaN,
        which a classifier with the same option treats as such an image; they are not cached.
        ``ImageReading(cache="memory")`` has no use here: each image is read once.
    cache : str or path-like, default=None
        A folder to store features in, created where needed. None computes them at every call.
    cache_key : {"content", "stat"}, default="content"
        How an image file is identified in the cache: by the SHA-256 of its bytes, for which each
        call reads them; or by its absolute path, size and modification time, which is faster but
        embeds a file again after it was moved. Images in memory are identified by their content.
    random_state : int, RandomState or None, default=0
        Seed of random weights, so that the clones of a search agree. None draws new weights in
        each fit, which cannot be cached.
    verbose : int, default=0
        1 or more shows a progress bar.

    Attributes
    ----------
    n_features_out_ : int
        Number of features.

    See Also
    --------
    AttributeClassifier : Trains a network on images, or branches on these features.

    Notes
    -----
    The cache is a SQLite file in the folder. The key of a row is a digest of the image, its box,
    the backbone, its weights, `layer`, `image_size`, `images` (its decoding, value range and
    whether damaged images are kept) and the precision. If one of
    them changes, new rows are added and old ones stay. To remove them, delete the folder while no
    process uses it. After a process is killed, the next one continues with its cache. Processes
    that start together share the work: each claims batches that no other has claimed, so that
    only the last batches may be computed twice. The folder must be on a local disk: SQLite's locks
    are unreliable on network file systems.

    A fitted embedder that has found all it needed in a cache holds no network: its pickle is
    small, and needs the weights for images that are new to the cache. Otherwise the pickle
    contains the weights.

    A callable is identified in the cache by the weights and the printed structure of the module
    that it returns, for which `fit` builds it.

    The features of an image do not depend on its position in X. They depend on the other images
    of its batch, on `batch_size`, threads and device only up to rounding. A cache returns the
    features that were computed first; they are bit-identical to those without a cache if the
    cache was empty and X has no image twice.

    Parameters that are changed after `fit` do not change the features. `batch_size`, `device`,
    `cache`, `cache_key`, `verbose` and, of `images`, `on_bad_image` and `num_workers` take effect
    without another `fit`.

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
        "backbone": [str, callable],
        "weights": [str, None],
        "layer": [str],
        "image_size": [AT_LEAST_1, tuple, list],
        "batch_size": [AT_LEAST_1],
        "device": [str],
        "precision": TrainingOptions._parameter_constraints["precision"],
        "images": [StrOptions({"exact", "scaled"}), ImageReading, None],
        "cache": [str, os.PathLike, None],
        "cache_key": [StrOptions({"content", "stat"})],
        "random_state": RANDOM_STATE,
        "verbose": ["verbose"],
    }

    backbone: str | Callable[[], Any] = "resnet50"
    _: KW_ONLY
    weights: str | None = None
    layer: str = "pool"
    image_size: int | tuple[int, int] = 224
    batch_size: int = 64
    device: str = "auto"
    precision: str = "auto"
    images: ImageReading | str | None = None
    cache: str | os.PathLike[str] | None = None
    cache_key: Any = "content"
    random_state: Any = 0
    verbose: int = 0

    def __sklearn_tags__(self) -> Any:
        """Declare the valid kinds of X."""
        tags = super().__sklearn_tags__()
        # X is never a table of numbers: the checks of scikit-learn that need one are skipped.
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check X and the parameters, and choose the network; nothing is learned.

        The network is built unless `cache` already knows its number of features.

        Parameters
        ----------
        X : ndarray, list, Series or DataFrame of n rows
            uint8 images (n, H, W, 3) or (n, H, W); a sequence of images of any sizes, each a path,
            a Pillow image of any mode, a uint8 array or tensor, or the content of a file (bytes, a
            binary file object, a dict ``{"bytes": ..., "path": ...}``); a DataFrame (also of
            polars or pyarrow) with a ``path`` column and, for crops, the columns ``xmin ymin xmax
            ymax`` (0-based, half-open, in pixels of the upright image, all NaN for the whole
            image). Further columns are ignored.
        y : ignored

        Returns
        -------
        ImageEmbedder

        Raises
        ------
        ValueError
            If a parameter or X is invalid.
        OSError
            If weights can be neither found nor downloaded, or the cache cannot be used.
        """
        size = check_image_size(self.image_size)
        images = resolve(ImageReading, self.images)
        reading = images.decoding, images.value_range
        self._rows(X, size, reading)
        is_repeatable = self.weights is not None or self.random_state is not None
        store = self._store(is_repeatable)
        network = FrozenNetwork(
            self.backbone,
            weights=self.weights,
            layer=self.layer,
            image_size=size,
            seed=int(random_generator(self.random_state).integers(2**31)),
        )
        description = self._description(network, reading, self.precision)
        n_features = None if store is None else store.n_features(_digest(description))
        if n_features is None:
            n_features = network.build().n_features
            if store is not None:
                store.register(_digest(description), description, n_features)
        # One assignment: Ctrl-C cannot leave the attributes of two fits.
        self.__dict__ |= {
            "_network": network,
            "_reading": reading,
            "_precision": self.precision,
            "_is_repeatable": is_repeatable,
            "n_features_out_": n_features,
        }
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
            If an image cannot be read or a box exceeds it; path and row are named. Features that
            were computed before it stay in the cache.
        """
        check_is_fitted(self)
        rows = self._rows(X, self._network.image_size, self._reading)
        features = np.full((len(rows), self.n_features_out_), np.nan, dtype=np.float32)
        warn_no_processes(rows, as_object(ImageReading, self.images).num_workers)
        store = self._store(self._is_repeatable)
        if store is None:
            with closing(self._batches(rows, readable_rows(rows))) as batches:
                for indices, embed in batches:
                    features[indices] = embed(slice(None))
        else:
            keys = self._fill_store(store, rows)
            readable = readable_rows(rows)
            keys_in_order = [keys[row] for row in readable.tolist()]
            features[readable] = store.read(keys_in_order, self.n_features_out_)
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

    def _rows(self, X: Any, size: tuple[int, int], reading: _Reading) -> ImageRows | FileRows:
        """Check X, without opening a file."""
        images = resolve(ImageReading, self.images)
        if images.cache is not None:
            raise ValueError(
                "images has cache='memory', but ImageEmbedder reads each image once; use "
                "`cache` of ImageEmbedder to store features."
            )
        X = as_pandas(X)
        reject_features(X)
        decoding, value_range = reading
        return check_images(X, size, images.on_bad_image, decoding, value_range)

    def _fill_store(self, store: EmbeddingStore, rows: ImageRows | FileRows) -> dict[int, bytes]:
        """Compute and store the features that the store lacks; return the key of each row."""
        description = self._description(self._network, self._reading, self._precision)
        network = _digest(description)
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
                self._fill(store, rows, keys, get_keys, claim)
        return keys

    def _fill(
        self,
        store: EmbeddingStore,
        rows: ImageRows | FileRows,
        keys: dict[int, bytes],
        get_keys: Callable[[Any], list[bytes]],
        claim: bool,
    ) -> None:
        """Compute and store missing features, one row of each key; with `claim` unclaimed ones."""
        # In reverse order the first of several rows with the same key stays.
        first = {keys[row]: row for row in reversed(readable_rows(rows).tolist())}
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
        """Yield the rows of each batch, and a function that embeds the images at some positions."""
        device = resolve_device(self.device)
        precision = resolve_precision(self._precision, device)
        if not len(indices):
            return
        self._network.build()
        batches = BatchLoader(
            AttributeDataset(rows, indices),
            self.batch_size,
            num_workers=as_object(ImageReading, self.images).num_workers,
            pin_memory=is_cuda(device),
        ).read()
        total = n_done + len(indices)
        bar = tqdm(total=total, initial=n_done, disable=self.verbose < 1, unit="image")
        with bar, closing(batches):
            for part in batches:
                yield part.indices, partial(self._network.embed, part.batch, device, precision)
                bar.update(len(part.indices))

    def _store(self, is_repeatable: bool) -> EmbeddingStore | None:
        if self.cache is None:
            return None
        if not is_repeatable:
            raise ValueError(
                "cache needs features that can be computed again: set random_state to an int, or "
                "set weights. (For a callable that brings its own weights, any int will do.)"
            )
        return EmbeddingStore(self.cache)

    def _description(self, network: FrozenNetwork, reading: _Reading, precision: str) -> str:
        """Describe all that features depend on, except the image."""
        images = as_object(ImageReading, self.images)
        parts = {
            "backbone": _name(network.backbone),
            "identity": network.identity,
            "layer": network.layer,
            "image_size": network.image_size,
            "precision": resolve_precision(precision, resolve_device(self.device)),
            "preprocessing": [PREPROCESSING, _NORMALIZATION],
            "decoding": [*reading, images.on_bad_image == "keep"],
        }
        return json.dumps(parts, sort_keys=True)


def _digest(description: str) -> bytes:
    return hashlib.sha256(description.encode()).digest()


def _name(backbone: Any) -> str:
    if isinstance(backbone, str):
        return backbone
    return str(getattr(backbone, "__name__", type(backbone).__name__))
