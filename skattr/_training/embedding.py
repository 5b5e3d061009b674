"""Features of images from a frozen network (tensor to array conversion)."""

import copy
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skattr._training.devices import resolve_dtypes, torch_defaults
from skattr._training.inference import BatchHalver, make_forward, max_images_at_once
from skattr._training.seeds import seed_of
from skattr.exceptions import DivergedError
from skattr.nn._backbones.torchvision import check_names, naming_image_size
from skattr.nn._batchnorm_folding import with_folded_batchnorm
from skattr.nn._embedding import (
    Backbone,
    EmbeddingNetwork,
    identity_of_module,
    identity_of_weights,
)
from skattr.nn._random import make_generators, use_generators


@dataclass(eq=False)
class FrozenNetwork:
    """The network of an embedder, built when it is first needed.

    Pickles and copies of a built network hold it on the CPU, so that loading them needs neither
    its weight file nor its device.

    Parameters
    ----------
    backbone, weights, layer, image_size
        See :class:`~skattr.nn._embedding.EmbeddingNetwork`.
    seed : int
        Seed of random initial weights.

    Attributes
    ----------
    identity : str
        Identifies the backbone and its weights. The name of a callable says nothing of its
        weights, so its network is built in the constructor.

    Raises
    ------
    ValueError
        If the name of the backbone or of its weights is unknown.
    """

    backbone: Backbone
    _: KW_ONLY
    weights: str | None
    layer: str
    image_size: tuple[int, int]
    seed: int

    def __post_init__(self) -> None:
        """Check the names, without building a named network."""
        check_names(self.backbone, self.weights)
        self._module: EmbeddingNetwork | None = None
        self._quick: tuple[Any, nn.Module] | None = None
        self.identity = self._identity()

    def _identity(self) -> str:
        if callable(self.backbone):
            return identity_of_module(self.build())
        return f"{self.backbone}, {identity_of_weights(self.backbone, self.weights, self.seed)}"

    def build(self) -> EmbeddingNetwork:
        """Return the network, built if it has not been.

        Raises
        ------
        ValueError
            If its weight file has changed since, or if :class:`EmbeddingNetwork` rejects the
            parameters.
        """
        if self._module is None:
            generators = make_generators("cpu", seed_of("initialization", self.seed))
            naming_size = naming_image_size(self.backbone, None, self.image_size)
            with torch_defaults(), use_generators(*generators), naming_size:
                module = EmbeddingNetwork(
                    self.backbone,
                    weights=self.weights,
                    layer=self.layer,
                    image_size=self.image_size,
                )
            if not callable(self.backbone) and self._identity() != self.identity:
                raise ValueError(f"weights={self.weights!r} have changed since fit; fit again.")
            self._module = module
        return self._module

    def embed(
        self, pixels: Tensor, device: str, precision: str, positions: Any = slice(None)
    ) -> NDArray[np.float32]:
        """Compute the features of uint8 images.

        Parameters
        ----------
        pixels : Tensor of shape (n, H, W, 3), uint8
        device : str
        precision : {"float32", "float64", "bfloat16"}
            Type of the parameters; for "bfloat16" the type of products alone.
        positions : slice or list of int
            The images to compute; all by default.

        Returns
        -------
        ndarray of shape (n, n_features), float32

        Raises
        ------
        DivergedError
            If a feature is not finite.
        """
        dtype, autocast = resolve_dtypes(precision)
        target = torch.device(device)
        with torch_defaults():
            forward = make_forward(self._ready(target, dtype), target, autocast)
        images = pixels[positions]
        size = (images.shape[1], images.shape[2])
        naming_size = naming_image_size(self.backbone, self.build().features, size)
        with torch_defaults(), naming_size, torch.inference_mode():
            features = BatchHalver(forward, max_images_at_once(size, target))(images)
        result: NDArray[np.float32] = features.float().cpu().numpy()
        is_finite = np.isfinite(result).all(axis=1)
        if not is_finite.all():
            raise DivergedError(
                f"The features of {int((~is_finite).sum())} image(s) are not finite: the weights "
                f"of backbone={self.backbone!r} are not, or their products overflow."
            )
        return result

    def _ready(self, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """Return the network on a device, with batch normalization folded into convolutions."""
        if self._quick is None or self._quick[0] != (device, dtype):
            module = self.build().to(device, dtype)
            if not callable(self.backbone):
                module = with_folded_batchnorm(module, "features", self.image_size)
            self._quick = (device, dtype), module
        return self._quick[1]

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with the network on the CPU."""
        state = {**self.__dict__, "_quick": None}
        if self._module is not None and next(self._module.buffers()).device.type != "cpu":
            state["_module"] = copy.deepcopy(self._module).cpu()
        return state
