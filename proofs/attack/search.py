"""Attack a certificate: look for a sequence it wrongly certifies, and decide what was found.

The search is plain float64 and trusted for nothing; a *counterexample* is a sequence that the certificate's
content says is right and that is wrong in the semantics of the certificate (`proofs.attack.deciding`): in
exact arithmetic for claims in the reals, in an execution that follows the rules for claims under float32.
Finding one refutes the certificate. Finding none proves nothing; the report says how many sequences were
tried. Three searches, class by class (q, m):

* **worst cases**: for each certified cell or box and each x the member with the largest ``Σ_p f_p(t_p, x)``
  (Identity 1: each position's best token); likewise the whole class for an x that is said never to fail;
* **random members**, as many as the budget allows, in proportion to the number of sequences;
* **local search** from the members that come closest, and from exceptions: every change of one token.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator

import attrs
import torch
from torch import Tensor

from certkit.certificate import Certificate
from certkit.content import Content, SetContent, class_size, full_content
from certkit.failing import covered_outputs
from proofs.attack.deciding import Call, Decider, decider
from proofs.attack.regions import BoxRegion, CellRegion, FloatClass, Region, distinct
from proofs.explain import check_subject
from proofs.model import Model
from proofs.paths import path_tables
from proofs.task import as_max_of_k

EXACT_TRIES = 200
"""How many of the closest calls are decided at least, whatever float64 says of them."""


@attrs.frozen
class Counterexample:
    """A refutation.

    Attributes:
        sequence: a misclassified sequence of K tokens, query last.
        x: an output that is not beaten there: ``logit[x] ≥ logit[right]``.
        right: the right answer there; of Max-of-K the largest token.
        how: by which arithmetic: exactly, or by which execution in float32.
        where: what the certificate wrongly says, in words (it names tokens by rank).
    """

    sequence: tuple[int, ...]
    x: int
    right: int
    how: str
    where: str


@attrs.frozen
class AttackReport:
    """What an attack tried and found.

    Attributes:
        semantics: what the certificate, hence the counterexample, is about: real or float32.
        tried: certified sequences evaluated in float64.
        decided: those decided in that semantics.
        closest: the largest relative margin ``Σ f / Σ |f|`` seen; 0 is a tie, negative is right.
        counterexample: a refutation, if one was found.
    """

    semantics: str
    tried: int
    decided: int
    closest: float
    counterexample: Counterexample | None


def _regions(content: Content, view: FloatClass, k: int) -> Iterator[Region]:
    """The sets on which the content says that nothing, or that certain outputs, never fail."""
    if isinstance(content, SetContent):
        for cell in content.cells:
            yield CellRegion(view, None, cell)
        for box in content.boxes:
            yield BoxRegion(view, None, box)
        return
    vocab = view.f.shape[2]
    rows = set(covered_outputs(content, vocab))
    never = tuple(x for x in range(vocab) if x != content.m and x not in rows)
    for box in full_content(content.q, content.m, k).boxes:
        yield BoxRegion(view, never, box)


@attrs.define
class _Search:
    """The closest calls so far (a heap, the least close on top), and how many sequences were looked at."""

    generator: torch.Generator
    judge: Decider
    calls: list[Call] = attrs.field(factory=list)
    tried: int = 0

    def look_at(self, region: Region, others: Tensor) -> Tensor:
        """Evaluate members, keep the closest calls, and return these."""
        margins = region.margins(others).max(1)
        self.tried += len(others)
        closest = margins.values.topk(min(len(others), 8)).indices
        for index in closest.tolist():
            tokens, margin = tuple(others[index].tolist()), float(margins.values[index])
            if margin > -math.inf:  # −∞: the certificate speaks of no output here
                self._keep(Call(margin, tokens, int(margins.indices[index]), region))
        return others[closest]

    def _keep(self, call: Call) -> None:
        close = call.margin > self.judge.close and len(self.calls) < self.judge.most
        if len(self.calls) < EXACT_TRIES or close:
            heapq.heappush(self.calls, call)
        else:
            heapq.heappushpop(self.calls, call)

    def attack(self, region: Region, tries: int) -> None:
        """All three searches on one region."""
        drawn = distinct(torch.cat([region.worst(), region.draw(tries, self.generator)]))
        closest = self.look_at(region, drawn[region.contains(drawn)])
        around = region.neighbours(torch.cat([closest[:2], region.starts()]))
        self.look_at(region, around)


def attack(model: Model, certificate: Certificate, tries: int = 100_000, seed: int = 0) -> AttackReport:
    """Search the certified content for a misclassified sequence.

    Args:
        model: the model the certificate is about.
        certificate: any content.
        tries: about how many random members to evaluate, over all classes.
        seed: of the random members.

    Raises:
        ExplainError: the certificate is about another model.
    """
    check_subject(model, certificate)
    task = certificate.claim.task
    model, certificate = as_max_of_k(model, certificate)
    k, semantics = model.n_ctx, certificate.claim.semantics
    judge = decider(model, semantics, seed)
    paths, search = path_tables(model), _Search(torch.Generator().manual_seed(seed), judge)
    entries = certificate.content.entries
    covered = sum(class_size(entry.q, entry.m, k) for entry in entries)
    for entry in entries:
        view = FloatClass.of(paths, entry.q, entry.m)
        regions = list(_regions(entry, view, k))
        share = tries * class_size(entry.q, entry.m, k) // max(covered * len(regions), 1)
        for region in regions:
            search.attack(region, 1 + share)
    ranked = sorted(search.calls, reverse=True)
    closest, decided = ranked[0].margin if ranked else -1.0, 0
    for decided, found in enumerate(judge.decide(ranked), 1):
        if found.x is not None:
            sequence, where = task.tokens(found.call.sequence), f"{found.call.region} is said to be right"
            refuted = Counterexample(sequence, task.logits[found.x], task.answer(sequence), found.how, where)
            return AttackReport(semantics, search.tried, decided, closest, refuted)
    return AttackReport(semantics, search.tried, decided, closest, None)
