"""my-strategy: for each class (q, m) one box, "every token before the last is m or below a limit".

Rests on: the model is right on a sequence iff ``Σ_p f_p(t_p, x) < 0`` for every x ≠ m. Take the worst x of
each term on its own, ``f_p(t, x) ≤ F_p(t) = w_p(t)·(D_p[t,m] + U[q,m])`` with D and U the largest lead of a
wrong token. If the sum of the worst F of each position is negative, every sequence of the box is right.
"""

import attrs
import torch
from torch import Tensor

from certkit.certificate import Box, CertifiedSet, SetContent, runs_from_tokens
from certkit.interval import Interval, cat
from proofs.cells import everything, max_over_others
from proofs.model import Model
from proofs.paths import path_tables
from proofs.strategy import ComplexityClass, Family, Semantics
from proofs.weights import attention_weights
from proofs.witness import require_range, require_tensor


@attrs.frozen(eq=False)
class Limits:
    """``limit [V, V]``: in class (q, m) tokens but m are below ``limit[q, m]``; −1 gives the class up."""

    limit: Tensor


def worst_cases(model: Model, q: int) -> Interval:
    """``[V+1, V]``: row j, column m bounds the sum when tokens below j, and m, stand before the query."""
    paths, weights = path_tables(model), attention_weights(model)[q]
    rows, direct = paths.EVOU[:, None, :] + paths.PVOU, paths.EUPU[q]
    lead = max_over_others(rows) - rows + (max_over_others(direct) - direct)
    f = weights.over(weights.exponent.max())[:, :, None] * lead  # [token, position, m]
    at_max = f.diagonal(dim1=0, dim2=2)[:-1]  # [position, m]
    below = cat([at_max[None], f[:, :-1].cummax(0).maximum(at_max)])
    return below.sum(1) + f[q, -1]


@attrs.frozen
class MyStrategy:
    name: str = "my-strategy"
    version: int = 1
    family: Family = Family.PLUG_IN
    complexity_class: ComplexityClass = ComplexityClass.CUBIC
    semantics: Semantics = Semantics.REAL
    description: str = "one box of low tokens for each (q, m); O(V^3 K)"
    witness_type: type[Limits] = Limits

    def search(self, model: Model) -> Limits:
        """The largest limit that passes; rows only grow with j, so the passing ones come first."""
        if model.vocab == 1:
            return Limits(torch.zeros(1, 1, dtype=torch.int64))
        passing = torch.stack([(worst_cases(model, q).hi < 0).sum(0) - 1 for q in range(model.vocab)])
        return Limits(passing.minimum(torch.arange(model.vocab)))

    def verify(self, model: Model, witness: Limits) -> CertifiedSet:
        limit = require_tensor("limit", witness.limit, [model.vocab, model.vocab], torch.int64)
        require_range("limit", limit, -1, model.vocab)
        if model.vocab == 1:
            return everything(model)
        entries = []
        for q in range(model.vocab):
            proved = worst_cases(model, q).certainly_lt(0.0).tolist()
            for m in range(q, model.vocab) if model.n_ctx > 1 else [q]:
                j = min(int(limit[q, m]), m)
                if j >= 0 and proved[j][m]:
                    tokens = runs_from_tokens([*range(j), m])
                    entries.append(SetContent(q, m, boxes=(Box((tokens,) * (model.n_ctx - 1), q < m),)))
        return CertifiedSet(model.n_ctx, model.vocab, tuple(entries))

    def unexplained_dimension(self, model: Model) -> int:
        return 3 * model.vocab**2 + 2 * model.n_ctx * model.vocab


STRATEGIES = (MyStrategy(),)
