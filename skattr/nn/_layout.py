"""Positions of branches in the logits tensor."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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
        The block's branches, in the order of the layout.
    columns : slice
        The block's columns in the logits.
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
        """Number of distinct targets of a branch in training (see :class:`BranchLayout`)."""
        return self.width if self.form == "softmax" else self.width + 1

    @property
    def is_binary(self) -> bool:
        """Whether a branch tells absent (target 0) from present (any other)."""
        return self.form in ("sigmoid", "joint") or (self.form == "softmax" and self.width == 2)


@dataclass(frozen=True)
class BranchLayout:
    """Where the logits of each attribute stand, and what they mean.

    ========  ======================  ======  ==============================================
    form      for attributes of       logits  targets in training
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
        Classes per attribute, in the user's order.
    binary_head : {"sigmoid", "softmax"}
        Whether an attribute of two classes has one logit or two.
    ordinal : tuple of int
        Attributes whose classes are ordered.
    n_categories : int
        If positive, the branch of every attribute of two classes is over {absent} and so many
        categories of objects.
    n_auxiliary : int
        The last so many attributes are trained, but are no outputs.

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
        """The attributes that are outputs."""
        return tuple(range(len(self.n_classes) - self.n_auxiliary))

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """Form of each attribute's branch, in the user's order."""
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
        """Logits per attribute, in the user's order."""
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
        return tuple(sorted(attributes, key=self._place))

    def _place(self, attribute: int) -> tuple[int, int]:
        """Return by what attributes are ordered."""
        return _FORMS.index(self.forms[attribute]), self.widths[attribute]

    @cached_property
    def n_logits(self) -> int:
        """Columns of the logits tensor."""
        return sum(self.widths)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Columns of each attribute, in the user's order."""
        result = [slice(0, 0)] * len(self.widths)
        start = 0
        for attribute in self.order:
            result[attribute] = slice(start, start + self.widths[attribute])
            start += self.widths[attribute]
        return tuple(result)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The contiguous blocks of equal form and width."""
        blocks: list[Block] = []
        branch = column = 0
        places = [self._place(attribute) for attribute in self.order]
        for place in sorted(set(places)):
            count, width = places.count(place), place[1]
            branches = slice(branch, branch + count)
            blocks.append(
                Block(_FORMS[place[0]], width, branches, slice(column, column + count * width))
            )
            branch += count
            column += count * width
        return tuple(blocks)


class GroupedLayout:
    """Layouts side by side: the columns of the second follow those of the first.

    Parameters
    ----------
    parts : sequence of BranchLayout
    """

    def __init__(self, parts: Sequence[BranchLayout]) -> None:
        self.parts = tuple(parts)

    @cached_property
    def n_classes(self) -> tuple[int, ...]:
        """Classes per attribute."""
        return tuple(count for part in self.parts for count in part.n_classes)

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """Form of each attribute's branch."""
        return tuple(form for part in self.parts for form in part.forms)

    @cached_property
    def n_logits(self) -> int:
        """Columns of the logits tensor."""
        return sum(part.n_logits for part in self.parts)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Columns of each attribute."""
        result: list[slice] = []
        start = 0
        for part in self.parts:
            result += [slice(start + one.start, start + one.stop) for one in part.slices]
            start += part.n_logits
        return tuple(result)

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """The attributes that are outputs."""
        result: list[int] = []
        start = 0
        for part in self.parts:
            result += [start + attribute for attribute in part.outputs]
            start += len(part.n_classes)
        return tuple(result)
