"""The doctor passes this machine and refuses every kind of arithmetic that proofs could not rest on."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from certkit import environment, rounding
from certkit._known_answers import exact_products, expected, matrices, nearest, nearest_root
from certkit.environment import (
    Check,
    EnvironmentRefused,
    Report,
    TorchArithmetic,
    examine,
    examine_all,
    require_sound,
)


def failing(report: Report) -> set[str]:
    return {check.name for check in report.failures}


def test_this_machine_is_sound_and_says_so() -> None:
    report = examine()
    assert report.sound, [str(check) for check in report.failures]
    assert require_sound().sound
    record = json.loads(json.dumps(report.record()))
    assert record["sound"] is True
    assert set(record["checks"].values()) == {"ok"}
    assert record["torch"] == torch.__version__
    assert examine_all()[0].device == "cpu"


def test_a_report_without_checks_is_not_sound() -> None:
    assert not Report("cpu", "none", 1, ()).sound


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="'tpu': the doctor knows cpu and cuda"):
        examine("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            require_sound("cuda")


def test_flushed_subnormals_are_refused(flush_denormal: None) -> None:
    assert "underflow" in failing(examine())
    with pytest.raises(EnvironmentRefused, match=r"underflow: .*set_flush_denormal\(False\)"):
        require_sound()


def test_after_flushing_is_off_again_all_is_well(flush_denormal: None) -> None:
    with pytest.raises(EnvironmentRefused):
        require_sound()
    torch.set_flush_denormal(False)
    assert require_sound().sound


@pytest.fixture
def rounding_upward() -> Iterator[None]:
    library = ctypes.util.find_library("m")
    if library is None:
        pytest.skip("no C mathematics library to change the rounding mode with")
    c = ctypes.CDLL(library)
    upward = {"x86_64": 0x800, "aarch64": 0x400000}.get(environment.platform.machine())
    if upward is None or c.fesetround(upward) != 0:
        pytest.skip("the rounding mode cannot be changed here")
    yield
    c.fesetround(0)


def test_another_rounding_mode_is_refused(rounding_upward: None) -> None:
    with pytest.raises(EnvironmentRefused, match="fesetround"):
        require_sound()


def test_short_products_in_the_settings_are_refused() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(EnvironmentRefused, match="precision is 'medium'"):
            require_sound()
    finally:
        torch.set_float32_matmul_precision("highest")
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(EnvironmentRefused, match="autocast is on"),
    ):
        require_sound()


# --- arithmetic that is wrong on purpose -------------------------------------------------------------------


class Single(TorchArithmetic):
    """Everything in float32."""

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.float() + b.float()).double()

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.float() @ b.float()).double()


class ProductsInSingle(TorchArithmetic):
    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.float() @ b.float()).double()


class ShortProducts(TorchArithmetic):
    """float64 products of operands cut to ``bits`` bits, as TF32 and bfloat16 products do."""

    def __init__(self, bits: int) -> None:
        self.mask = -1 << (53 - bits)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        cut = [(x.contiguous().view(torch.int64) & self.mask).view(torch.float64) for x in (a, b)]
        return cut[0] @ cut[1]


class Emulated(TorchArithmetic):
    """Fixed-point slices, ``bits`` deep, below the largest entry of each row and column (Ozaki's scheme)."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def _cut(self, x: Tensor, dim: int) -> Tensor:
        top = x.abs().amax(dim, keepdim=True)
        unit = torch.where(top > 0, 2.0 ** (torch.frexp(top).exponent.double() - self.bits), 1.0)
        return (x / unit).round() * unit

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return self._cut(a, -1) @ self._cut(b, -2)


class FlushedProducts(TorchArithmetic):
    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        c = a @ b
        return torch.where(c.abs() < 2.0**-1022, 0.0, c)


class FlushedOnOneThread(TorchArithmetic):
    """Only the last part of a long tensor is flushed."""

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        c = a * b
        late = torch.arange(c.numel()) > 100_000
        return torch.where((c.abs() < 2.0**-1022) & late, 0.0, c)


class TwiceRounded(TorchArithmetic):
    """Rounded to 64 bits, then to 53, as x87 registers do."""

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        def once(x: float, y: float) -> float:
            exact = Fraction(x) + Fraction(y)
            if exact == 0:
                return 0.0
            unit = Fraction(2) ** (math.frexp(nearest(exact))[1] - 64)
            return nearest(Fraction(round(exact / unit)) * unit)

        pairs = zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
        return torch.tensor([once(x, y) for x, y in pairs], dtype=torch.float64).reshape(a.shape)


class Reciprocals(TorchArithmetic):
    """Division as multiplication by a reciprocal."""

    def div(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b.reciprocal()


class LooseRoot(TorchArithmetic):
    def sqrt(self, a: Tensor) -> Tensor:
        return a.sqrt() * (1 + 2.0**-50)


class WrongTail(TorchArithmetic):
    """Right in vectors, wrong for single elements."""

    def sub(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b if a.dim() else (a - b) * (1 + 2.0**-52)


class ShortSums(TorchArithmetic):
    def sum(self, a: Tensor) -> Tensor:
        return a.float().sum(-1).double()


class NoNumbers(TorchArithmetic):
    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return (a @ b) * math.nan


class DroppedTerm(TorchArithmetic):
    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return a[..., :-1] @ b[..., :-1, :] if a.shape[-1] > 30 else a @ b


FAULTY: dict[str, tuple[TorchArithmetic, set[str]]] = {
    "float32": (Single(), {"rounding of add", "products"}),
    "float32 products": (ProductsInSingle(), {"products", "exact products"}),
    "TF32": (ShortProducts(11), {"products", "exact products"}),
    "bfloat16": (ShortProducts(8), {"products", "exact products"}),
    "one bit short": (ShortProducts(52), {"products"}),
    "emulated, 53 bits": (Emulated(53), {"products", "exact products"}),
    "emulated, 80 bits": (Emulated(80), {"exact products"}),
    "flushed products": (FlushedProducts(), {"underflow"}),
    "flushed on one thread": (FlushedOnOneThread(), {"underflow"}),
    "double rounding": (TwiceRounded(), {"rounding of add"}),
    "reciprocals": (Reciprocals(), {"rounding of div"}),
    "far roots": (LooseRoot(), {"square root"}),
    "wrong tails": (WrongTail(), {"rounding of sub"}),
    "short sums": (ShortSums(), {"exact products"}),
    "NaN": (NoNumbers(), {"products", "exact products", "underflow"}),
    "a term dropped": (DroppedTerm(), {"products"}),
}


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_arithmetic_is_refused(name: str) -> None:
    arithmetic, caught_by = FAULTY[name]
    report = examine("cpu", arithmetic)
    assert not report.sound
    assert caught_by <= failing(report)
    assert report.record()["sound"] is False
    for check in report.failures:
        assert check.remedy in str(check)


# --- the known answers themselves --------------------------------------------------------------------------


def test_the_interpreter_agrees_with_the_known_answers() -> None:
    """CPython's floats are the processor's: an independent path to the same results."""
    operations: dict[str, Callable[[float, float], float]] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "sqrt": lambda a, _: math.sqrt(a),
    }
    for name, operation in operations.items():
        cases = expected(name)
        assert len(cases) > 400
        assert [c for c in cases if operation(c[0], c[1]) != c[2]] == []


@pytest.mark.parametrize("wide", [False, True])
def test_the_allowed_error_of_products_is_the_least_that_holds_for_every_order(wide: bool) -> None:
    u = Fraction(1, 2**53)
    for exact, error in exact_products(3, 1, 3, wide):
        assert error == abs(exact) * u / (1 - u)
    left, right = matrices(2, 5, 2, wide)
    terms = [Fraction(a) * Fraction(row[0]) for a, row in zip(left[0], right, strict=True)]
    assert exact_products(2, 5, 2, wide)[0] == (sum(terms), sum(map(abs, terms)) * 5 * u / (1 - 5 * u))


def test_nearest_root_on_squares_and_ties() -> None:
    draw = random.Random(0)
    for _ in range(200):
        root = math.ldexp(draw.getrandbits(26) | 1, draw.randint(-500, 400))
        assert nearest_root(root * root) == root
    assert nearest_root(0.0) == 0.0
    assert nearest_root(2.0**-1074) == 2.0**-537
    assert nearest(Fraction(10) ** 400) == math.inf
    assert nearest(-(Fraction(10) ** 400)) == -math.inf


@pytest.mark.parametrize("guess", [1.0, 1 + 2.0**-51, 1 - 2.0**-50])
def test_directed_roots_do_not_rest_on_the_library_root(
    monkeypatch: pytest.MonkeyPatch, guess: float
) -> None:
    """MKL's float64 square root is not always the nearest float; a worse one must do no harm either."""
    library = torch.sqrt
    monkeypatch.setattr(torch, "sqrt", lambda a: library(a) * guess)
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(600, generator=generator, dtype=torch.float64) * 3
    a = torch.cat([a, a * 2.0**-1060, a * 2.0**1020, torch.tensor([4.0, 2.0**-1074, 2.0]).double()])
    down, up = rounding.sqrt_down(a), rounding.sqrt_up(a)
    for value, low, high in zip(a.tolist(), down.tolist(), up.tolist(), strict=True):
        exact = Fraction(value)
        assert Fraction(low) ** 2 <= exact <= Fraction(high) ** 2
        assert low == high or math.nextafter(low, math.inf) == high


def test_a_check_tells_what_and_how() -> None:
    assert str(Check("underflow", False, "flushed", "do this")) == "underflow: flushed; do this"
    assert str(Check("underflow", True, "gradual", "do this")) == "underflow: gradual"


@pytest.mark.cuda
def test_cuda_is_examined() -> None:
    report = examine("cuda")
    assert report.sound, [str(check) for check in report.failures]
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with pytest.raises(EnvironmentRefused, match="TF32"):
            require_sound("cuda")
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
