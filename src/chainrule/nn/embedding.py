"""``Embedding``: a trained vector for each code of a category."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from chainrule import functions as f
from chainrule.errors import IndexOutOfRangeError, SettingError, caller_line
from chainrule.nn.choices import choose
from chainrule.nn.initialisers import Initialiser, find_initialiser, normal
from chainrule.nn.layers import need_count
from chainrule.nn.module import Module, Parameter, Seed, seed_key
from chainrule.nn.targets import known
from chainrule.ops.dtypes import int64
from chainrule.ops.record import Array, is_float
from chainrule.tensor import Tensor

UNSEEN = {"error": "raises an error", "mean": "the mean of all vectors"}


class Embedding(Module):
    """A trained vector for each of ``count`` codes: codes [...] -> [..., size].

    Codes are 0 to count - 1, as integers or as floats that are whole numbers (a column of a float32 matrix; exact up
    to 2**24). ``unseen`` says what any other whole number and NaN become: ``"error"`` raises IndexOutOfRangeError, in
    compiled code as well; ``"mean"`` gives the mean of the vectors, for levels that are not among the training rows.
    A fraction always raises it: no level has such a code, but a column of codes that was scaled does.

    ``weight`` [count, size] is drawn from the standard normal distribution, as in PyTorch, unless an initialiser is
    given. Weight decay and penalties apply to it unless ``penalised=False``.

    Raises SettingError for counts below 1, and for float32 codes of more than 2**24 levels.

    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.Embedding(3, 2, unseen="mean")
    >>> layer.load_state_dict({"weight": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]})
    >>> layer(np.array([2, 0])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    >>> layer(np.array([7.0, np.nan])).tolist()
    [[2.0, 3.0], [2.0, 3.0]]
    """

    in_features = None  # any number of codes

    def __init__(
        self,
        count: int,
        size: int,
        *,
        unseen: str = "error",
        weight_initialiser: str | Initialiser | None = None,
        penalised: bool = True,
        seed: Seed = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.count, self.size = need_count("count", count), need_count("size", size)
        choose("rule for unseen codes", unseen, UNSEEN)
        self.unseen = unseen
        first = normal(1.0) if weight_initialiser is None else find_initialiser(weight_initialiser)
        key = (*seed_key(seed), 0)
        self.weight = Parameter.drawn((count, size), first, key, dtype=dtype, penalised=penalised)

    def forward(self, codes: Tensor) -> Tensor:
        """[...] -> [..., size]."""
        self._need_exact(codes)
        number = codes if is_float(codes.dtype) else f.astype(codes, int64)
        there, refused = self._sorted(number)
        if known(refused):
            self._need(codes.peek()[refused.peek()])
        # the count itself is no index, so that it is refused in compiled code as well
        index = f.where(refused, self.count, f.astype(f.where(there, number, 0), int64))
        picked = f.take(self.weight, index)
        if self.unseen == "error":
            return picked
        return f.where(f.expand_dims(there, -1), picked, f.mean(self.weight, 0))

    def _sorted(self, number: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each code has a vector, and whether it is refused."""
        there = (number >= 0) & (number < self.count)
        if not is_float(number.dtype):
            return there, ~there & (self.unseen == "error")
        whole = f.floor(number) == number
        there = there & whole
        # a fraction is a mistake, such as a column of codes that was scaled, and no level; NaN is a missing one
        return there, ~there if self.unseen == "error" else ~whole & (number == number)  # noqa: PLR0124

    def _need_exact(self, codes: Tensor) -> None:
        if codes.dtype == np.float32 and self.count > 2**24:
            raise SettingError(
                f"{self!r}: float32 cannot tell so many codes apart",
                expected=f"integer or float64 codes for more than {2**24} levels",
                got="float32 codes",
                where=caller_line(),
            )

    def _need(self, refused: Array) -> None:
        """Raise the error that names the refused codes, if there are any."""
        if refused.size:
            fraction = (np.isfinite(refused) & (np.floor(refused) != refused)).any()
            raise IndexOutOfRangeError(
                f"{self!r}: there are codes without a vector",
                expected=f"whole numbers from 0 to {self.count - 1}",
                got=", ".join(str(code) for code in np.unique(refused)[:5]) + f", in {refused.size} places",
                where=caller_line(),
                hint="scale the columns of numbers only, not those of codes"
                if fraction
                else 'unseen="mean" gives such codes the mean of all vectors',
            )

    def describe(self) -> str:
        """The number of codes, the size, and what unseen codes become."""
        return f"{self.count}, {self.size}" + (f", unseen={self.unseen!r}" if self.unseen != "error" else "")
