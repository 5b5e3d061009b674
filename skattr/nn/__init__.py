"""The network: backbones, branches and losses in plain torch, without scikit-learn or skorch."""

from skattr.nn.focal import SummedAsymmetric as SummedAsymmetric
from skattr.nn.focal import SummedFocal as SummedFocal
from skattr.nn.focal import SummedPartialAsymmetric as SummedPartialAsymmetric
from skattr.nn.heads import BranchLayout as BranchLayout
from skattr.nn.heads import FusedBranches as FusedBranches
from skattr.nn.losses import SummedCrossEntropy as SummedCrossEntropy
from skattr.nn.model import MultiBranchNetwork as MultiBranchNetwork
from skattr.nn.model import MultiBranchResNet as MultiBranchResNet

__all__ = [
    "BranchLayout",
    "FusedBranches",
    "MultiBranchNetwork",
    "MultiBranchResNet",
    "SummedAsymmetric",
    "SummedCrossEntropy",
    "SummedFocal",
    "SummedPartialAsymmetric",
]
