"""Certificates of one model put together: in each class the content that proves most.

A class (q, m) is certified on its own: the content of a certificate is the collection of its classes'
contents, and the claim is their sum. So any choice of one content for each class is certified content again,
as sound as its parts, and choosing the largest in each class gives the largest sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from certkit.certificate import Certificate, Claim
from certkit.content import CertifiedSet, Content, SetContent, class_size

COMBINED = "combined"
"""The strategy name of a combined certificate; its parameters name the strategies of its parts."""


class MismatchError(ValueError):
    """Certificates that are not about the same thing; the message names the field."""


def check_same_subject(first: Certificate, second: Certificate) -> None:
    """Raise `MismatchError` unless both are about the same task, model and semantics."""
    for field in ("task", "k", "vocab", "semantics", "model_sha256"):
        a, b = getattr(first.claim, field), getattr(second.claim, field)
        if a != b:
            raise MismatchError(
                f"the certificates differ in {field}: {a} and {b}; they must be about one model and task"
            )


@attrs.frozen
class _Candidate:
    """The content of one class in one certificate."""

    content: Content
    certificate: Certificate

    @property
    def two_sided(self) -> bool:
        """Whether what this content says about failures may be claimed.

        Exceptions of a box were only proved to fail if their certificate claims an upper bound; counts carry
        their own lower bound on failures.
        """
        listed = isinstance(self.content, SetContent) and any(box.exceptions for box in self.content.boxes)
        return not listed or self.certificate.claim.correct_at_most is not None


def combine(certificates: Sequence[Certificate]) -> Certificate:
    """Return the certificate with the best content of each class; on a tie the earlier certificate's.

    It claims an upper bound if some part does and no part lists exceptions that were not proved to fail.

    Raises:
        MismatchError: no certificate, or certificates of different models, tasks or semantics.
    """
    if not certificates:
        raise MismatchError("no certificate to combine; name at least one")
    first = certificates[0]
    best: dict[tuple[int, int], _Candidate] = {}
    for certificate in certificates:
        check_same_subject(first, certificate)
        for entry in certificate.content.entries:
            place, candidate = (entry.q, entry.m), _Candidate(entry, certificate)
            kept = best.get(place)
            if kept is None or _rank(candidate) > _rank(kept):
                best[place] = candidate
    chosen = [best[place] for place in sorted(best)]
    two_sided = any(c.claim.correct_at_most is not None for c in certificates)
    two_sided = two_sided and all(candidate.two_sided for candidate in chosen)
    claim = first.claim
    content = CertifiedSet(claim.k, claim.vocab, tuple(c.content for c in chosen), two_sided=two_sided)
    parts = Counter(f"{c.certificate.strategy}/{c.certificate.version}" for c in chosen)
    return Certificate(
        claim=Claim(
            k=claim.k,
            vocab=claim.vocab,
            model_sha256=claim.model_sha256,
            correct_at_least=content.correct_at_least,
            correct_at_most=content.correct_at_most if two_sided else None,
            semantics=claim.semantics,
            task=claim.task,
        ),
        strategy=COMBINED,
        version=1,
        content=content,
        parameters={"classes_from": dict(sorted(parts.items()))},
    )


def _rank(candidate: _Candidate) -> tuple[int, bool]:
    k = candidate.certificate.claim.k
    return candidate.content.correct_at_least(k), candidate.two_sided


@attrs.frozen
class ClassDifference:
    """What two certificates prove about one class of so many sequences; q and m are tokens, not ranks."""

    q: int
    m: int
    sequences: int
    first: int
    second: int

    @property
    def gain(self) -> int:
        """How many sequences more the second proves (negative: fewer)."""
        return self.second - self.first


def differences(first: Certificate, second: Certificate) -> list[ClassDifference]:
    """Return the classes in which the two prove different numbers of sequences, in class order.

    Raises:
        MismatchError: they are about different models, tasks or semantics.
    """
    check_same_subject(first, second)
    k, order = first.claim.k, first.claim.task.order
    counts: list[dict[tuple[int, int], int]] = [
        {(entry.q, entry.m): entry.correct_at_least(k) for entry in certificate.content.entries}
        for certificate in (first, second)
    ]
    places = sorted(counts[0].keys() | counts[1].keys())
    pairs = [
        ClassDifference(order[q], order[m], class_size(q, m, k), *(count.get((q, m), 0) for count in counts))
        for q, m in places
    ]
    return [pair for pair in pairs if pair.gain]
