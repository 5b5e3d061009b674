"""Networks with one shared backbone and one branch per attribute."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skattr.nn._backbones.build import (
    PixelNormalization,
    build_feature_backbone,
    build_image_backbone,
)
from skattr.nn._branches import BranchGroups, CategoryFiLM, FusedBranches
from skattr.nn._layout import BranchLayout

Backbone = str | Callable[..., nn.Module]


class MultiBranchNetwork(nn.Module):
    """A shared backbone with one branch per attribute.

    Under :class:`torch.autocast` the backbone computes in its type. What follows the backbone has
    the type of the parameters: in bfloat16, hundreds of rows would have the same logit.

    Parameters
    ----------
    backbone : str or callable
        For images the name of a torchvision classification model or a callable without
        arguments; for features "linear", "mlp" or a callable that takes their number.
    layout : BranchLayout
        Positions of the logits of each attribute.
    n_inputs : int, optional
        Columns of 2-D features; None for images.
    image_size : (height, width)
        Of images; only vision transformers depend on it.
    weights : str, optional
        Pretrained weights of a torchvision backbone: "DEFAULT", a name, or the path of a
        state dict.
    branch_hidden : int, optional
        Hidden units of each branch.
    dropout : float
        Probability of dropping a shared feature, or a hidden unit of a branch, in training.
    n_conditions : int
        Number of object categories. If positive, the category is a second input that modulates
        the shared features.
    prior : Tensor of shape (n_logits,), optional
        Prediction of the untrained network: exact for features, approximate for images, whose
        branches are initialized at random by :meth:`FusedBranches.init_weights`.
    untrained : collection of int
        Attributes without a label to learn from. Their prior is exact for images too.
    dtype : torch.dtype
        Type of parameters and outputs.
    """

    def __init__(
        self,
        backbone: Backbone,
        layout: BranchLayout,
        *,
        n_inputs: int | None = None,
        image_size: tuple[int, int] = (224, 224),
        weights: str | None = None,
        branch_hidden: int | None = None,
        dropout: float = 0.0,
        n_conditions: int = 0,
        prior: Tensor | None = None,
        untrained: Collection[int] = (),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.n_inputs = n_inputs
        self.n_conditions = n_conditions
        self.normalization: nn.Module
        if n_inputs is None:
            self.normalization = PixelNormalization(backbone, weights)
            self.backbone, self.n_features = build_image_backbone(backbone, weights, image_size)
        else:
            if weights is not None:
                raise ValueError(f"weights={weights!r} needs images, but X holds 2-D features.")
            self.normalization = nn.Identity()
            self.backbone, self.n_features = build_feature_backbone(backbone, n_inputs)
        self._is_linear = n_inputs is not None and backbone == "linear"
        self.modulation = CategoryFiLM(n_conditions, self.n_features) if n_conditions else None
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        branches = FusedBranches(self.n_features, layout, branch_hidden, dropout)
        if n_inputs is None:
            # Maps of zeros pass no gradient on: a ResNet-18 trained from scratch on 2,500 photos
            # had .688 correct after three epochs, and .741 with random maps.
            branches.init_weights(untrained)
        self.branches: FusedBranches | BranchGroups = branches
        self.to(dtype)
        if n_inputs is None:
            # Images arrive channels last, and convolutions on the CPU are faster so.
            self.backbone.to(memory_format=torch.channels_last)
        if prior is not None:
            branches.set_prior(prior)

    @property
    def propagates_non_finite(self) -> bool:
        """Whether non-finite inputs always produce non-finite outputs.

        A linear map does, while ReLU, pooling and normalization can hide them. Rows of a linear
        network need no check of their own then, which would read X once more.
        """
        groups = getattr(self.branches, "groups", [self.branches])
        is_linear = self._is_linear and all(one.n_hidden is None for one in groups)
        return is_linear and self.branches.layout.n_logits > 0 and self.modulation is None

    @property
    def layout(self) -> Any:
        """Positions of the logits of each attribute."""
        return self.branches.layout

    def grow(self, branches: FusedBranches) -> None:
        """Append branches; the logits of those that are there stay bit-identical."""
        self.branches = BranchGroups(self.branches, branches)

    def forward_features(self, inputs: Tensor, category: Tensor | None = None) -> Tensor:
        """Map inputs to shared features (n, n_features).

        Parameters
        ----------
        inputs : Tensor
            uint8 images (n, H, W, 3), or features (n, n_inputs).
        category : Tensor of shape (n,), int64, optional
            With `n_conditions`: the category of each object, -1 where it is unknown.
        """
        if self.n_inputs is None:
            inputs = self.normalization(inputs)
        elif inputs.dtype is not (dtype := self.branches.bias.dtype):
            inputs = inputs.to(dtype)
        features: Tensor = self.backbone(inputs)
        with _without_autocast(features):
            if features.dtype is not (dtype := self.branches.bias.dtype):
                features = features.to(dtype)
            if self.modulation is not None:
                features = self.modulation(features, category)
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """Map shared features (n, n_features) to the logits (n, n_logits) of all branches."""
        with _without_autocast(features):
            logits: Tensor = self.branches(self.dropout(features))
        return logits

    def forward(self, inputs: Tensor, category: Tensor | None = None) -> Tensor:
        """Map inputs to the logits (n, n_logits) of all branches."""
        return self.forward_head(self.forward_features(inputs, category))


def _without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which the device of a tensor does not autocast."""
    device = tensor.device.type
    # Entering the context takes as long as a linear map of a few rows.
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return contextlib.nullcontext()
    return torch.autocast(device, enabled=False)


class MultiBranchResNet(MultiBranchNetwork):
    """A torchvision ResNet, or another of its models, with one branch per attribute.

    Parameters
    ----------
    n_classes : sequence of int
        Number of classes of each attribute. Two classes have one logit with
        ``binary_head="sigmoid"``.
    backbone : str or callable, default="resnet18"
        See :class:`MultiBranchNetwork`.
    binary_head : {"sigmoid", "softmax"}, default="sigmoid"
    weights, image_size, branch_hidden
        See :class:`MultiBranchNetwork`.

    Examples
    --------
    >>> import torch
    >>> from skattr.nn import MultiBranchResNet
    >>> network = MultiBranchResNet([2, 5, 2]).eval()
    >>> logits = network(torch.zeros(4, 60, 80, 3, dtype=torch.uint8))
    >>> logits.shape
    torch.Size([4, 7])
    >>> logits[:, network.layout.slices[1]].shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        n_classes: Sequence[int],
        backbone: Backbone = "resnet18",
        *,
        binary_head: str = "sigmoid",
        weights: str | None = None,
        image_size: tuple[int, int] = (224, 224),
        branch_hidden: int | None = None,
    ) -> None:
        super().__init__(
            backbone,
            BranchLayout(tuple(n_classes), binary_head),
            weights=weights,
            image_size=image_size,
            branch_hidden=branch_hidden,
        )
