"""Compare the branches and their loss with the bare matrix product.

Run::

    python benchmarks/bench_heads.py

2048 features, batches of 128 and 256 rows, 64, 312 and 620 attributes that are binary or have a
mixture of 2 to 10 classes, a tenth of the labels missing; forward and backward, including the
gradient of the features. Compared are ``FusedBranches`` with ``SummedCrossEntropy``, a
``ModuleList`` of linear maps with a loop of cross-entropies that ignores missing labels (two
logits for a binary attribute), and the bare product: one linear map to the same number of logits,
and its backward pass. Operations are those that torch dispatches, including views. The losses are
checked to be equal.
"""

from collections.abc import Sequence

import numpy as np
import torch
from measure import Limits, interleaved, parser, table, write
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from skattr.nn import BranchLayout, SummedCrossEntropy
from skattr.nn._branches import FusedBranches

N_FEATURES = 2048


class Counted(TorchDispatchMode):
    """Mode that counts the dispatched operations."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


class Separate(nn.Module):
    """One linear map per attribute and a loop over their losses."""

    def __init__(self, n_classes: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(N_FEATURES, count) for count in n_classes)

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """Return the sum of the attributes' mean losses."""
        losses = [
            functional.cross_entropy(head(features), codes[:, j], ignore_index=-1)
            for j, head in enumerate(self.heads)
        ]
        return torch.stack(losses).sum()


class Fused(nn.Module):
    """Our branches and loss."""

    def __init__(self, n_classes: Sequence[int]) -> None:
        super().__init__()
        layout = BranchLayout(tuple(n_classes))
        self.branches = FusedBranches(N_FEATURES, layout)
        self.criterion = SummedCrossEntropy(layout)

    def copy_of(self, separate: Separate) -> None:
        """Copy the weights of separate heads; one logit is the difference of two."""
        layout = self.branches.layout
        with torch.no_grad():
            for columns, head in zip(layout.slices, separate.heads, strict=True):
                weight, bias = head.weight, head.bias
                if columns.stop - columns.start == 1:
                    weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
                self.branches.weight[columns], self.branches.bias[columns] = weight, bias


def compare(kind: str, n_labels: int, n_rows: int, runs: int, limits: Limits) -> dict[str, object]:
    """Time one size."""
    rng = np.random.default_rng(0)
    n_classes = [2] * n_labels if kind == "binary" else rng.integers(2, 11, n_labels).tolist()
    codes = torch.from_numpy(np.stack([rng.integers(0, k, n_rows) for k in n_classes], axis=1))
    codes[torch.from_numpy(rng.random(codes.shape) < 0.1)] = -1
    features = torch.from_numpy(rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32))
    features.requires_grad_()
    weights = torch.ones(codes.shape)
    separate, fused = Separate(n_classes), Fused(n_classes)
    fused.copy_of(separate)
    layout = fused.branches.layout
    bare = nn.Linear(N_FEATURES, layout.n_logits)
    ones = torch.ones(n_rows, layout.n_logits)

    def ours() -> Tensor:
        return fused.criterion(fused.branches(features), codes, weights)

    def step(function, *parameters):
        for parameter in (features, *parameters):
            parameter.grad = None
        function()

    torch.testing.assert_close(ours(), separate(features, codes), rtol=1e-4, atol=0)
    with Counted() as of_ours:
        ours().backward()
    with Counted() as of_separate:
        separate(features, codes).backward()
    functions = {
        "separate": lambda: step(
            lambda: separate(features, codes).backward(), *separate.parameters()
        ),
        "ours": lambda: step(lambda: ours().backward(), *fused.parameters()),
        "product": lambda: step(lambda: bare(features).backward(ones), *bare.parameters()),
    }
    few = {name: functions[name] for name in ("ours", "product")}
    seconds = interleaved(functions, runs)
    close = interleaved(few, 10 * runs, warmups=5)
    operations = 6 * n_rows * N_FEATURES * layout.n_logits
    n_bytes = 4 * (3 * N_FEATURES * layout.n_logits + 3 * n_rows * N_FEATURES)
    return {
        "kind": kind,
        "attributes": n_labels,
        "logits": layout.n_logits,
        "rows": n_rows,
        "ours, ms": 1e3 * close["ours"],
        "times as fast as separate": seconds["separate"] / seconds["ours"],
        "over the product": close["ours"] / close["product"],
        "operations": of_ours.count,
        "separate's": of_separate.count,
        "GFLOP": operations / 1e9,
        "MB": n_bytes / 1e6,
        "over the limit": close["ours"] / limits.seconds(operations, n_bytes),
    }


def main() -> None:
    """Time all sizes."""
    options = parser(__doc__)
    options.add_argument("--quick", action="store_true", help="one small size")
    options = options.parse_args()
    limits = Limits()
    print(f"This machine: {limits}")
    sizes = [(64, 128)] if options.quick else [(n, m) for n in (64, 312, 620) for m in (128, 256)]
    rows = []
    for kind in ("binary", "mixed"):
        for n_labels, n_rows in sizes:
            rows.append(compare(kind, n_labels, n_rows, options.runs, limits))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    write("heads", rows, limits={"operations": limits.operations, "bytes": limits.bytes})


if __name__ == "__main__":
    main()
