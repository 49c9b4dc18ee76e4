"""The doctor: is this machine's arithmetic what the proofs assume?

Every certified number rests on three assumptions, and on nothing else of the machine or the tensor library:

1. float64 ``+ − × ÷`` of the tensor library are correctly rounded to nearest, with gradual underflow;
2. a float64 matrix product (or sum) is *some* sum of the exact products, in any order, with or without FMA;
3. Python integers and `fractions.Fraction` are exact.

No finite test proves the first two. The doctor refuses the ways in which they are known to fail: another
rounding mode, subnormals flushed to zero (on some thread, or in some kernel only), double rounding, products
in a shorter format (TF32, bfloat16), emulated float64, autocasting. Expected values come from exact integers
and rationals. The library's square root is not among the assumptions: `certkit.rounding` checks each one
(MKL's is not always correctly rounded); the doctor only looks whether it is near. `examine` runs everything,
in some tens of milliseconds; `require_sound` runs it once for a device and number of threads, and repeats
before every proof the part that a program can change while it runs.
"""

from __future__ import annotations

import math
import os
import platform
import random
import sys
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import Final, Protocol

import attrs
import torch
from torch import Tensor

from certkit._known_answers import exact_products, expected, matrices, nearest
from certkit.display import table_html

Record = dict[str, "str | int | bool | dict[str, str]"]


class EnvironmentRefused(RuntimeError):
    """The arithmetic of this machine, as it is set up now, is not what proofs assume."""


@attrs.frozen
class Check:
    """One thing the doctor looked at.

    Attributes:
        name: what was checked.
        passed: whether it is as assumed.
        detail: what was seen.
        remedy: what to do where it failed.
    """

    name: str
    passed: bool
    detail: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" + ("" if self.passed else f"; {self.remedy}")


@attrs.frozen
class Report:
    """What the doctor found on one device.

    Attributes:
        device: ``cpu``, ``cuda:0`` …
        hardware: the device's name.
        threads: threads of the tensor library.
        checks: everything that was looked at.
    """

    device: str
    hardware: str
    threads: int
    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether every check passed (a report without checks is not sound)."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    def __repr__(self) -> str:
        failed = ", ".join(check.name for check in self.failures) or "nothing was checked"
        found = "sound" if self.sound else f"not sound: {failed}"
        return f"Report({self.device!r}, {self.hardware!r}, {len(self.checks)} checks, {found})"

    def _repr_html_(self) -> str:
        rows = [(check.name, "ok" if check.passed else "FAILS", check.detail) for check in self.checks]
        title = f"{self.device}: {self.hardware}, {'sound' if self.sound else 'not sound'}"
        return table_html(title, ("check", "", "seen"), rows)

    def record(self) -> Record:
        """The report as JSON-able data, for a certificate's remarks and for ``--json``."""
        return {
            "device": self.device,
            "hardware": self.hardware,
            "threads": self.threads,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "sound": self.sound,
            "checks": {check.name: "ok" if check.passed else check.detail for check in self.checks},
        }


class Arithmetic(Protocol):
    """The operations under examination."""

    def add(self, a: Tensor, b: Tensor) -> Tensor: ...
    def sub(self, a: Tensor, b: Tensor) -> Tensor: ...
    def mul(self, a: Tensor, b: Tensor) -> Tensor: ...
    def div(self, a: Tensor, b: Tensor) -> Tensor: ...
    def sqrt(self, a: Tensor) -> Tensor: ...
    def matmul(self, a: Tensor, b: Tensor) -> Tensor: ...
    def sum(self, a: Tensor) -> Tensor: ...


class TorchArithmetic:
    """The tensor library's own operations, called as the proofs call them."""

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        return a / b

    def sqrt(self, a: Tensor) -> Tensor:
        return a.sqrt()

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b

    def sum(self, a: Tensor) -> Tensor:
        return a.sum(-1)


# --- the checks --------------------------------------------------------------------------------------------

_MODE: Final = "call fesetround(FE_TONEAREST), or find the library that changed the rounding mode"
_FLUSH: Final = (
    "call torch.set_flush_denormal(False) before anything else, and do not load -ffast-math libraries"
)
_PRODUCT: Final = "turn off reduced-precision and emulated float64 products, or use the CPU"


def _check_interpreter() -> Check:
    """Python's own floats: nearest-even, gradual underflow, no double rounding."""
    tiny = math.ldexp(1.0, -1022)
    one, tie = float("1"), math.ldexp(1.0, -53)
    up = one + (tie + math.ldexp(1.0, -80)) == 1 + math.ldexp(1.0, -52)
    good = one + tie == 1 and one - tie / 2 == 1 and up and tiny * 0.5 > 0 and sys.float_info.mant_dig == 53
    return Check("interpreter floats", good, "as IEEE-754" if good else "not IEEE-754 to nearest", _MODE)


def _check_rounding(arithmetic: Arithmetic, device: str, name: str, first: int | None = None) -> Check:
    """One elementwise operation against exact rationals, in vectors long enough for every code path."""
    cases = expected(name)[:first]
    a, b, want = (
        torch.tensor(column, dtype=torch.float64, device=device) for column in zip(*cases, strict=True)
    )
    got = getattr(arithmetic, name)(a, b)
    wrong = (got != want).nonzero().flatten().tolist()
    alone = [i for i in range(0, len(cases), 40) if not _scalar_agrees(arithmetic, name, a[i], b[i], want[i])]
    bad = wrong + alone
    detail = f"{len(cases)} results correctly rounded"
    if bad:
        x, y, value = cases[bad[0]]
        detail = f"{name}({x.hex()}, {y.hex()}) is not {value.hex()} ({len(bad)} of {len(cases)} wrong)"
    title = f"rounding of {name}" if first is None else "rounding mode"
    return Check(title, not bad, detail, f"{_MODE}; {_FLUSH}")


def _scalar_agrees(arithmetic: Arithmetic, name: str, a: Tensor, b: Tensor, want: Tensor) -> bool:
    return bool(getattr(arithmetic, name)(a, b) == want)


def _check_root(arithmetic: Arithmetic, device: str) -> Check:
    """The square root is one of the two floats around the exact one; it need not be the nearer."""
    cases = expected("sqrt")
    a, _, want = (
        torch.tensor(column, dtype=torch.float64, device=device) for column in zip(*cases, strict=True)
    )
    got = arithmetic.sqrt(a)
    # the spacing of floats at a root r is at most r·2⁻⁵²; roots of float64 numbers are never subnormal
    far = ~((got - want).abs() <= want * 2.0**-52)
    detail = (
        f"{int((got != want).sum())} of {len(cases)} not correctly rounded, all near (each is checked anyway)"
    )
    return Check(
        "square root", not bool(far.any()), "far from the exact root" if bool(far.any()) else detail, _MODE
    )


def _check_underflow(arithmetic: Arithmetic, device: str, size: int) -> Check:
    """Subnormals as operands and results: over ``size`` elements (every thread), and in products."""
    tiny = torch.full((size,), 2.0**-1022, dtype=torch.float64, device=device)
    half = arithmetic.mul(tiny, torch.full_like(tiny, 0.5))
    back = arithmetic.mul(half, torch.full_like(tiny, 2.0**52))
    elementwise = bool((back == 2.0**-971).all())
    small = torch.full((24, 8), 2.0**-600, dtype=torch.float64, device=device)
    products = arithmetic.matmul(small, torch.full((8, 24), 2.0**-450, dtype=torch.float64, device=device))
    summed = arithmetic.matmul(products, torch.full((24, 3), 2.0**200, dtype=torch.float64, device=device))
    in_products = bool((products == 2.0**-1047).all()) and bool((summed == 24 * 2.0**-847).all())
    where = [n for n, good in (("elementwise", elementwise), ("in products", in_products)) if not good]
    detail = f"subnormals are flushed to zero {' and '.join(where)}" if where else "gradual"
    return Check("underflow", not where, detail, _FLUSH)


_SHAPES: Final = ((3, 1, 3), (1, 7, 5), (5, 33, 1), (9, 32, 10))
"""Outer product, row × matrix, matrix × column, matrix × matrix: different kernels."""


def _check_products(arithmetic: Arithmetic, device: str) -> Check:
    """Products within the bound that holds for every order of summation, with and without wide rows."""
    for m, k, n in _SHAPES:
        for wide in (False, True):
            left, right = (torch.tensor(x, dtype=torch.float64) for x in matrices(m, k, n, wide))
            for a, b in (
                (left.to(device), right.to(device)),
                (left.mT.contiguous().to(device).mT, right.to(device)),
            ):
                got = arithmetic.matmul(a, b).flatten().tolist()
                exact = exact_products(m, k, n, wide)
                if not all(_within(value, *bound) for value, bound in zip(got, exact, strict=True)):
                    detail = f"a [{m},{k}] × [{k},{n}] product is no sum of its exact products"
                    return Check("products", False, detail, _PRODUCT)
    return Check("products", True, f"{2 * len(_SHAPES)} known products within bounds of any order", _PRODUCT)


def _within(value: float, exact: Fraction, error: Fraction) -> bool:
    return math.isfinite(value) and abs(Fraction(value) - exact) <= error


def _check_exact_products(arithmetic: Arithmetic, device: str) -> Check:
    """Integers below 2⁵³, exact in every order of summation; and rows whose large entries meet zeros."""
    draw = random.Random(53)
    left = [[draw.getrandbits(24) for _ in range(16)] for _ in range(64)]
    right = [[draw.getrandbits(24) for _ in range(48)] for _ in range(16)]
    want = [
        [sum(a * b for a, b in zip(row, col, strict=True)) for col in zip(*right, strict=True)]
        for row in left
    ]
    a, b, c = (torch.tensor(x, dtype=torch.float64, device=device) for x in (left, right, want))
    integers = bool((arithmetic.matmul(a, b) == c).all()) and bool(
        (arithmetic.matmul(a.expand(3, -1, -1), b.expand(3, -1, -1)) == c).all()
    )
    total = sum(range(2**20, 2**20 + 50_000))
    terms = torch.arange(2**20, 2**20 + 50_000, dtype=torch.float64, device=device)
    sums = bool(arithmetic.sum(terms) == float(total))
    huge = torch.zeros(16, 16, dtype=torch.float64, device=device)
    huge[:, 0], huge[:, 1] = 2.0**300, 1 + 2.0**-52
    column = torch.zeros(16, 16, dtype=torch.float64, device=device)
    column[1] = 1 - 2.0**-53
    want_one = nearest(Fraction(1 + 2.0**-52) * Fraction(1 - 2.0**-53))
    kept = bool((arithmetic.matmul(huge, column) == want_one).all())
    bad = [n for n, good in (("integers", integers), ("sums", sums), ("wide rows", kept)) if not good]
    detail = f"not exact: {', '.join(bad)}" if bad else "integers, sums and wide rows exact"
    return Check("exact products", not bad, detail, _PRODUCT)


def _check_settings(device: str) -> Check:
    """Settings that shorten products: TF32, bfloat16 products, autocasting, emulated float64."""
    bad = []
    if torch.get_float32_matmul_precision() != "highest":
        bad.append(f"float32 matmul precision is {torch.get_float32_matmul_precision()!r}")
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        bad.append("autocast is on")
    if device.startswith("cuda"):
        if torch.backends.cuda.matmul.allow_tf32:
            bad.append("TF32 products are allowed")
        emulated = sorted(name for name in os.environ if name.startswith("CUBLAS_EMULAT"))
        bad += [f"{name} is set" for name in emulated if os.environ[name] not in ("", "0")]
    remedy = "torch.set_float32_matmul_precision('highest'); no autocast; unset CUBLAS_EMULATE_*"
    return Check("settings", not bad, "; ".join(bad) or "no shortened formats", remedy)


def _check_byte_order() -> Check:
    good = sys.byteorder == "little"
    return Check("byte order", good, sys.byteorder, "model digests are taken over little-endian bytes")


# --- the doctor --------------------------------------------------------------------------------------------

_EVERY_THREAD: Final = 2**18


def _volatile(arithmetic: Arithmetic, device: str, size: int) -> list[Check]:
    """What a running program can change: the rounding mode, flushing, settings."""
    return [
        _check_interpreter(),
        _check_settings(device),
        _check_rounding(arithmetic, device, "add", 30),
        _check_underflow(arithmetic, device, size),
    ]


def _check_device(device: str) -> str:
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r}: the doctor knows cpu and cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: no CUDA device is available here; use cpu")
    return torch.cuda.get_device_name(device) if kind == "cuda" else platform.machine()


def examine(device: str = "cpu", arithmetic: Arithmetic | None = None) -> Report:
    """Check the trust base on one device, completely.

    Args:
        device: ``cpu`` or ``cuda`` (``cuda:1`` …).
        arithmetic: the operations to examine; the tensor library's own by default.

    Raises:
        ValueError: the device is unknown or not there.

    >>> examine().sound
    True
    """
    hardware, under_test = _check_device(device), arithmetic or TorchArithmetic()
    checks = _volatile(under_test, device, _EVERY_THREAD)
    checks += [_check_rounding(under_test, device, name) for name in ("add", "sub", "mul", "div")]
    checks += [_check_root(under_test, device), _check_products(under_test, device)]
    checks += [_check_exact_products(under_test, device), _check_byte_order()]
    return Report(device, hardware, torch.get_num_threads(), tuple(checks))


def devices() -> Iterable[str]:
    """The devices of this machine that the doctor can examine."""
    yield "cpu"
    for index in range(torch.cuda.device_count()):
        yield f"cuda:{index}"


def examine_all() -> tuple[Report, ...]:
    """`examine` for every device of this machine."""
    return tuple(examine(device) for device in devices())


@cache
def _examined(device: str, threads: int) -> Report:
    return examine(device)


def require_sound(device: str = "cpu") -> Report:
    """The doctor's report, or `EnvironmentRefused`; cheap enough to call before every proof.

    The complete examination is done once for each device and number of threads; rounding mode, flushing and
    settings are looked at every time.

    Raises:
        EnvironmentRefused: a check failed; the message names it and the remedy.
        ValueError: the device is unknown or not there.
    """
    report = _examined(device, torch.get_num_threads())
    now = _volatile(TorchArithmetic(), device, 64)
    names = {check.name for check in now if not check.passed}
    if names or not report.sound:
        checks = tuple(check for check in now if check.name in names) or report.failures
        raise EnvironmentRefused("; ".join(map(str, checks)))
    return report
