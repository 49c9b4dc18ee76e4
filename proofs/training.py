"""Training models of Max-of-K and tasks like it: all seeds of one setting are one batched tensor program.

The recipe is the one the published study used: weights drawn from N(0, (0.8/sqrt(d_model))²), AdamW (learning
rate 1e-3, betas 0.9 and 0.999, weight decay 0.01), batches of 128 uniform random sequences, 3000 steps,
cross-entropy at the last position with the log-softmax in float64.

Nothing here is trusted: a certificate is about the weights that come out, however they were made.

**What is deterministic.** Each seed draws its weights and its data from generators of its own, always on
the CPU, keyed by the setting, the seed and (for data) the step. So a seed sees the same start and the same
batches whichever other seeds train beside it, whatever the device, and wherever a run was interrupted. Every
operation of a step acts on each seed alone. What can vary is the rounding of the library's kernels: on one
machine with one torch version the weights are reproduced bit for bit, with other neighbours too (tested on
the CPU); another processor, torch version or device may round sums in another order, and after 3000 steps
that gives another, equally good, model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from certkit.atomic import write_atomically
from proofs.model import LAYOUT, TENSOR_NAMES, Model, ModelError, load_model, load_notes, save_model
from proofs.task import Task, targets

_CHUNK: Final = 50
"""Steps of data drawn at once; part of what a seed means (another value gives other batches)."""
_CHECKPOINT_SECONDS: Final = 5.0
_GROUP: Final = {"cpu": 16, "cuda": 256}
"""Seeds in one tensor program: on the CPU more do not fit the caches and are not faster."""
_CPU_THREADS: Final = 2
"""The products are small: beside other busy processes four threads are many times slower than two."""


class TrainingError(ValueError):
    """A training request that cannot be carried out; the message names the value and the remedy."""


def _positive(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TrainingError(f"{attribute.name} = {value!r}; it must be an integer, at least 1")


@attrs.frozen
class Recipe:
    """What is trained and how; the defaults are the published study's, of Max-of-K.

    >>> Recipe(n_ctx=4, vocab=64).stem(7)
    'k4-v64-s7'
    """

    n_ctx: int = attrs.field(validator=_positive)
    vocab: int = attrs.field(validator=_positive)
    d_model: int = attrs.field(default=32, validator=_positive)
    d_head: int = attrs.field(default=32, validator=_positive)
    steps: int = attrs.field(default=3000, validator=_positive)
    batch: int = attrs.field(default=128, validator=_positive)
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    init_scale: float = 0.8
    task: Task = attrs.field()

    @task.default
    def _max_of_k(self) -> Task:
        _positive(self, attrs.fields(Recipe).vocab, self.vocab)
        return Task.max_of_k(self.vocab)

    @task.validator
    def _same_tokens(self, attribute: attrs.Attribute[Task], value: Task) -> None:
        value.check_vocab(self.vocab)

    def stem(self, seed: int) -> str:
        """The file name, without ending, of this setting's model for ``seed``.

        >>> Recipe(n_ctx=4, vocab=64, task=Task.min_of_k(64)).stem(7)
        'k4-v64-min-of-k-s7'
        """
        taught = "" if self.task.is_max_of_k else f"-{self.task.name}"
        return f"k{self.n_ctx}-v{self.vocab}{taught}-s{seed}"

    def shapes(self) -> dict[str, tuple[int, int]]:
        """The shape of each tensor, by name."""
        sizes = {axis: getattr(self, axis) for axis in ("vocab", "n_ctx", "d_model", "d_head")}
        return {name: (sizes[LAYOUT[name][0]], sizes[LAYOUT[name][1]]) for name in TENSOR_NAMES}

    def as_json(self) -> str:
        """The recipe as canonical JSON (kept in the metadata of every trained file)."""
        fields = attrs.asdict(self, recurse=False)
        fields["task"] = self.task.as_json()
        if self.task.is_max_of_k:
            del fields["task"]  # so that a recipe reads as it did before there were other tasks
        return json.dumps(fields, sort_keys=True)


@attrs.frozen
class Progress:
    """How far a group of seeds is.

    Attributes:
        seeds: the seeds that train together.
        step: steps done, of ``steps``.
        loss: mean loss of the last batch over the seeds.
        accuracy: mean accuracy on the last batch over the seeds, after it was learnt from.
    """

    seeds: tuple[int, ...]
    step: int
    steps: int
    loss: float
    accuracy: float


Watch = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """A `Watch` that reports nothing."""


def _generator(*key: object) -> torch.Generator:
    """A CPU generator whose stream depends on ``key`` alone."""
    text = "/".join(str(part) for part in key)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
    return torch.Generator().manual_seed(number)


def initial_weights(recipe: Recipe, seed: int) -> dict[str, Tensor]:
    """The float32 weights ``seed`` starts from: N(0, (init_scale/sqrt(d_model))²), drawn in name order."""
    generator = _generator("certkit weights", recipe.n_ctx, recipe.vocab, seed)
    scale = recipe.init_scale / math.sqrt(recipe.d_model)
    return {name: torch.randn(shape, generator=generator) * scale for name, shape in recipe.shapes().items()}


def batches(recipe: Recipe, seed: int, chunk: int) -> Tensor:
    """The ``chunk``-th run of batches of seed ``seed``: uniform tokens, int32, ``[_CHUNK, batch, n_ctx]``."""
    generator = _generator("certkit data", recipe.n_ctx, recipe.vocab, seed, chunk)
    size = (_CHUNK, recipe.batch, recipe.n_ctx)
    return torch.randint(recipe.vocab, size, generator=generator, dtype=torch.int32)


def batched_logits(weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """Last-position logits ``[S, B, V]`` of many models: weights ``[S, …]``, tokens ``[S, B, K]``.

    Only the last position's query matters, so its key direction ``W_K (W_Qᵀ r)`` is formed once per sequence
    and the attention mixes residuals before values are taken: a K-fold saving, equal in real arithmetic.
    """
    n_models, n_batch, n_ctx = tokens.shape
    vocab, d_model = weights["W_E"].shape[1:]
    first_row = torch.arange(n_models, device=tokens.device, dtype=tokens.dtype).mul_(vocab).view(-1, 1, 1)
    # embedding on flattened ids: a gather on expanded tables is several times slower
    rows = F.embedding((tokens + first_row).reshape(-1), weights["W_E"].reshape(-1, d_model))
    residual = rows.view(n_models, n_batch, n_ctx, d_model) + weights["W_pos"].unsqueeze(1)
    last = residual[:, :, -1]
    key = (last @ weights["W_Q"]) @ weights["W_K"].mT / math.sqrt(weights["W_Q"].shape[-1])
    # products and sums, not thousands of tiny matrix products
    attention = (residual * key.unsqueeze(2)).sum(-1).softmax(-1)
    mixed = (residual * attention.unsqueeze(-1)).sum(2)
    return (last + (mixed @ weights["W_V"]) @ weights["W_O"]) @ weights["W_U"]


class _Group:
    """Seeds in training: stacked weights ``[S, …]``, AdamW's state, and the number of steps done."""

    def __init__(self, recipe: Recipe, seeds: Sequence[int], device: torch.device) -> None:
        self.recipe, self.seeds, self.device, self.step = recipe, tuple(seeds), device, 0
        start = [initial_weights(recipe, seed) for seed in seeds]
        self.weights = {
            name: torch.stack([weights[name] for weights in start]).to(device).requires_grad_()
            for name in TENSOR_NAMES
        }
        self.optimizer = torch.optim.AdamW(
            list(self.weights.values()), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )

    def learn(self, tokens: Tensor) -> Tensor:
        """One step on ``tokens [S, B, K]``; returns the mean loss before it (on the device)."""
        logits = batched_logits(self.weights, tokens)
        target = targets(tokens, self.recipe.task).unsqueeze(-1)
        loss = -logits.double().log_softmax(-1).gather(-1, target).mean((1, 2))
        self.optimizer.zero_grad()
        torch.autograd.backward(loss.sum())
        self.optimizer.step()
        self.step += 1
        return loss.detach().mean()

    def accuracy(self, tokens: Tensor) -> float:
        """Mean accuracy on ``tokens [S, B, K]`` as the weights are now."""
        with torch.no_grad():
            best = batched_logits(self.weights, tokens).argmax(-1)
        return float((best == targets(tokens, self.recipe.task)).double().mean())

    def _state(self) -> list[tuple[str, Tensor, str]]:
        """Where AdamW keeps its state: ``(parameter name, parameter, state key)``."""
        keys = ("exp_avg", "exp_avg_sq", "step")
        return [(name, weight, key) for name, weight in self.weights.items() for key in keys]

    def model(self, index: int) -> Model:
        """The model of the ``index``-th seed as it is now."""
        return Model.from_tensors({name: weight[index] for name, weight in self.weights.items()})

    def save(self, path: Path) -> None:
        """Write everything needed to go on from here, atomically."""
        tensors = {name: weight.detach() for name, weight in self.weights.items()}
        tensors |= {f"{name}.{key}": self.optimizer.state[weight][key] for name, weight, key in self._state()}
        on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        notes = {"recipe": self.recipe.as_json(), "seeds": json.dumps(self.seeds), "step": str(self.step)}
        write_atomically(path, bytes(safetensors.torch.save(on_cpu, notes)))

    def restore(self, path: Path) -> None:
        """Take up the state that `save` wrote; going on gives the bits of an unbroken run."""
        tensors = safetensors.torch.load(path.read_bytes())
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[name])
        for name, weight, key in self._state():
            self.optimizer.state[weight][key] = tensors[f"{name}.{key}"].to(self.device)
        self.step = int(load_notes(path)["step"])


def _run(group: _Group, watch: Watch, checkpoint: Path | None) -> None:
    """Train ``group`` to the end of its recipe, with a checkpoint every few seconds if it has a place.

    A checkpoint is only written between two runs of batches, so a group always goes on at the start of one.
    """
    recipe, saved = group.recipe, time.monotonic()
    while group.step < recipe.steps:
        chunk = group.step // _CHUNK
        data = torch.stack([batches(recipe, seed, chunk) for seed in group.seeds]).to(group.device)
        for step in range(min(_CHUNK, recipe.steps - group.step)):
            loss = group.learn(data[:, step])
        accuracy = group.accuracy(data[:, step])
        watch(Progress(group.seeds, group.step, recipe.steps, float(loss), accuracy))
        if checkpoint is not None and time.monotonic() - saved > _CHECKPOINT_SECONDS:
            group.save(checkpoint)
            saved = time.monotonic()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainingError(f"device {name!r} is unknown; use cpu or cuda") from error
    if device.type not in _GROUP:
        raise TrainingError(f"device {name!r} is not supported; use cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise TrainingError(f"device {name!r}: no CUDA device is available here; use cpu")
    return device


def _check_seeds(seeds: Iterable[int]) -> list[int]:
    unique = sorted(set(seeds))
    if not unique:
        raise TrainingError("no seeds given; name at least one, as in 0-15")
    if unique[0] < 0:
        raise TrainingError(f"seed {unique[0]} is negative; seeds are integers from 0 on")
    return unique


def _groups(seeds: Sequence[int], device: torch.device) -> list[tuple[int, ...]]:
    size = _GROUP[device.type]
    return [tuple(seeds[start : start + size]) for start in range(0, len(seeds), size)]


@contextlib.contextmanager
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, _CPU_THREADS))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    recipe: Recipe, seeds: Iterable[int], device: str = "cpu", watch: Watch = silent
) -> dict[int, Model]:
    """Train one model per seed and return them by seed; nothing is written.

    Raises:
        TrainingError: no seed, a negative one, or a device that is not there.
        ModelError: training diverged to NaN or infinity.

    >>> models = train(Recipe(n_ctx=2, vocab=3, steps=2, batch=4), [0, 5])
    >>> models[5].n_ctx
    2
    """
    place = _device(device)
    result: dict[int, Model] = {}
    with _few_threads():
        for members in _groups(_check_seeds(seeds), place):
            group = _Group(recipe, members, place)
            _run(group, watch, None)
            result |= {seed: group.model(index) for index, seed in enumerate(members)}
    return result


def _finished(path: Path, recipe: Recipe, seed: int) -> bool:
    """Whether ``path`` holds this seed of this recipe; another model there is never overwritten."""
    if not path.exists():
        return False
    notes = load_notes(path)
    if (notes.get("recipe"), notes.get("seed")) != (recipe.as_json(), str(seed)):
        raise TrainingError(
            f"{path} exists and is not this recipe's seed {seed}; move it or choose another folder"
        )
    load_model(path)
    return True


def _checkpoint_path(folder: Path, recipe: Recipe, seeds: Sequence[int]) -> Path:
    key = hashlib.sha256(f"{recipe.as_json()} {list(seeds)}".encode()).hexdigest()[:16]
    return folder / f".training-{key}.safetensors"


def _plan(folder: Path, recipe: Recipe, missing: set[int], device: torch.device) -> list[tuple[int, ...]]:
    """The groups still to train: first those an interrupted run left a checkpoint of, then the rest."""
    interrupted, rest = [], set(missing)
    for path in sorted(folder.glob(".training-*.safetensors")):
        seeds = tuple(json.loads(load_notes(path).get("seeds", "[]")))
        if path != _checkpoint_path(folder, recipe, seeds):
            continue
        if any((folder / f"{recipe.stem(seed)}.safetensors").exists() for seed in seeds):
            path.unlink()  # its group was split since; it can never be taken up again
        elif rest.issuperset(seeds):
            interrupted.append(seeds)
            rest -= set(seeds)
    return interrupted + _groups(sorted(rest), device)


def _finish(group: _Group, paths: dict[int, Path]) -> list[str]:
    """Write the group's models; returns a line for each seed that is no model (diverged)."""
    failures = []
    for index, seed in enumerate(group.seeds):
        try:
            notes = {"recipe": group.recipe.as_json(), "seed": str(seed), "task": group.recipe.task.name}
            save_model(group.model(index), paths[seed], notes)
        except ModelError as error:
            failures.append(f"seed {seed} diverged ({error}); use a smaller learning rate")
    return failures


def train_into(
    folder: Path, recipe: Recipe, seeds: Iterable[int], device: str = "cpu", watch: Watch = silent
) -> dict[int, Path]:
    """Train one model per seed into ``folder`` (``k4-v64-s0.safetensors`` …) and return the paths by seed.

    Models that are already there are kept, and an interrupted run (kill −9 included) goes on from its last
    checkpoint; both give the bits of an unbroken run. Files appear complete or not at all.

    Raises:
        TrainingError: as `train`; or a file of that name is another model; or some seeds diverged (the others
            are written first).
        OSError: the folder cannot be written or the disk is full.
    """
    place, wanted = _device(device), _check_seeds(seeds)
    paths = {seed: folder / f"{recipe.stem(seed)}.safetensors" for seed in wanted}
    folder.mkdir(parents=True, exist_ok=True)
    missing = {seed for seed in wanted if not _finished(paths[seed], recipe, seed)}
    diverged: list[str] = []
    with _few_threads():
        for members in _plan(folder, recipe, missing, place):
            group, checkpoint = _Group(recipe, members, place), _checkpoint_path(folder, recipe, members)
            if checkpoint.exists():
                group.restore(checkpoint)
            _run(group, watch, checkpoint)
            diverged += _finish(group, paths)
            checkpoint.unlink(missing_ok=True)
    if diverged:
        raise TrainingError("; ".join(diverged))
    return paths
