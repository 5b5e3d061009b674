"""Positions of branches in the logits tensor.

The logits of all attributes leave the network as one tensor. In it, branches of the same form and
width are adjacent and form a block, which reshapes to (n, branches, width) without a copy. Losses
and hidden layers loop over the few distinct blocks, never over the attributes, and scatter nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal

Form = Literal["sigmoid", "softmax", "joint", "ordinal", "constant"]

_FORMS: tuple[Form, ...] = ("sigmoid", "softmax", "joint", "ordinal")  # in the order of columns


@dataclass(frozen=True)
class Block:
    """All branches of one form and width.

    Attributes
    ----------
    form : {"sigmoid", "softmax", "joint", "ordinal"}
    width : int
        Logits per branch.
    branches : slice
        Positions of the block's branches in the order of the layout.
    columns : slice
        Columns of the block in the logits.
    """

    form: Form
    width: int
    branches: slice
    columns: slice

    @property
    def n_branches(self) -> int:
        """Number of branches."""
        return int(self.branches.stop - self.branches.start)

    @property
    def n_targets(self) -> int:
        """Number of distinct training targets of a branch (see :class:`BranchLayout`)."""
        return self.width if self.form == "softmax" else self.width + 1

    @property
    def is_binary(self) -> bool:
        """Whether target 0 of a branch means absent and every other target present."""
        return self.form in ("sigmoid", "joint") or (self.form == "softmax" and self.width == 2)


@dataclass(frozen=True)
class BranchLayout:
    """Position and meaning of the logits of each attribute.

    ========  ======================  ======  ==============================================
    form      for attributes with     logits  targets in training
    ========  ======================  ======  ==============================================
    constant  one class               0       none
    sigmoid   two classes             1       0, 1
    softmax   two classes, or more    K       0 ... K - 1
    joint     two classes             C + 1   0 absent, 1 ... C present on an object of that
                                              category, C + 1 present, category unknown
    ordinal   three classes or more   K - 1   0 ... K - 1
    ========  ======================  ======  ==============================================

    The logits of an ordinal branch are cumulative: the k-th is the log odds of class k or above.

    Parameters
    ----------
    n_classes : tuple of int
        Number of classes of each attribute, in the column order of y.
    binary_head : {"sigmoid", "softmax"}
        Whether an attribute with two classes has one logit or two.
    ordinal : tuple of int
        Positions of the attributes whose classes are ordered.
    n_categories : int
        Number of object categories. If positive, the classes of a branch with two classes are
        "absent" and one per category.
    n_auxiliary : int
        Number of attributes, counted from the last one, that are trained but are not outputs.

    Examples
    --------
    >>> layout = BranchLayout((3, 2, 3))
    >>> layout.slices
    (slice(1, 4, None), slice(0, 1, None), slice(4, 7, None))
    >>> layout.order
    (1, 0, 2)
    """

    n_classes: tuple[int, ...]
    binary_head: str = "sigmoid"
    ordinal: tuple[int, ...] = ()
    n_categories: int = 0
    n_auxiliary: int = 0

    @property
    def outputs(self) -> tuple[int, ...]:
        """Positions of the attributes that are outputs."""
        return tuple(range(len(self.n_classes) - self.n_auxiliary))

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """Form of each attribute's branch, in the column order of y."""
        return tuple(self._form(j, count) for j, count in enumerate(self.n_classes))

    def _form(self, attribute: int, n_classes: int) -> Form:
        if n_classes == 1:
            return "constant"
        if n_classes == 2:
            if self.n_categories:
                return "joint"
            return "sigmoid" if self.binary_head == "sigmoid" else "softmax"
        return "ordinal" if attribute in self.ordinal else "softmax"

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Number of logits of each attribute, in the column order of y."""
        return tuple(
            {
                "constant": 0,
                "sigmoid": 1,
                "softmax": count,
                "joint": self.n_categories + 1,
                "ordinal": count - 1,
            }[form]
            for form, count in zip(self.forms, self.n_classes, strict=True)
        )

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The attributes that have logits, in the order of the layout."""
        attributes = [j for j, width in enumerate(self.widths) if width > 0]
        return tuple(sorted(attributes, key=self._sort_key))

    def _sort_key(self, attribute: int) -> tuple[int, int]:
        return _FORMS.index(self.forms[attribute]), self.widths[attribute]

    @cached_property
    def n_logits(self) -> int:
        """Number of columns of the logits tensor."""
        return sum(self.widths)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Columns of each attribute, in the column order of y."""
        result = [slice(0, 0)] * len(self.widths)
        start = 0
        for attribute in self.order:
            result[attribute] = slice(start, start + self.widths[attribute])
            start += self.widths[attribute]
        return tuple(result)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The contiguous blocks of branches with the same form and width."""
        blocks: list[Block] = []
        branch = column = 0
        for (form, width), group in groupby(self.order, key=self._sort_key):
            count = len(list(group))
            branches = slice(branch, branch + count)
            columns = slice(column, column + count * width)
            blocks.append(Block(_FORMS[form], width, branches, columns))
            branch, column = branches.stop, columns.stop
        return tuple(blocks)


class GroupedLayout:
    """Concatenated layouts: the columns of each follow those of the one before.

    Parameters
    ----------
    parts : sequence of BranchLayout
    """

    def __init__(self, parts: Sequence[BranchLayout]) -> None:
        self.parts = tuple(parts)

    @cached_property
    def n_classes(self) -> tuple[int, ...]:
        """Number of classes of each attribute."""
        return tuple(count for part in self.parts for count in part.n_classes)

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """Form of each attribute's branch."""
        return tuple(form for part in self.parts for form in part.forms)

    @cached_property
    def n_logits(self) -> int:
        """Number of columns of the logits tensor."""
        return sum(part.n_logits for part in self.parts)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Columns of each attribute."""
        result: list[slice] = []
        start = 0
        for part in self.parts:
            result += [slice(start + own.start, start + own.stop) for own in part.slices]
            start += part.n_logits
        return tuple(result)

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """Positions of the attributes that are outputs."""
        result: list[int] = []
        start = 0
        for part in self.parts:
            result += [start + attribute for attribute in part.outputs]
            start += len(part.n_classes)
        return tuple(result)
