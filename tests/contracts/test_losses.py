"""What every loss of the table promises, for every task it claims."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from segbench.losses import LOSSES, build_loss
from segbench.types import Task

CASES = [(name, task) for name in LOSSES.names() for task in sorted(LOSSES.get(name).tasks)]
NOT_CLAIMED = [(name, task) for name in LOSSES.names() for task in Task if (name, task) not in CASES]
CHANNELS = {Task.BINARY: 1, Task.MULTICLASS: 3, Task.MULTILABEL: 3}

# The exceptions to the contract, each with its reason.
FLAT_WHEN_SURE = {("lovasz", Task.BINARY), ("lovasz", Task.MULTILABEL)}  # a hinge: beyond a margin of 1 all is well
SPATIAL = {"structural_similarity"}  # its cells begin at the corner of the image, ignored or not
SEMI_GRADIENT = {"structural_similarity"}  # weighs pixels without gradient; checked with the weights held, in its test

every_case = pytest.mark.parametrize(("name", "task"), CASES)


def make_target(task: Task, *, ignored: bool = True, batch: int = 3, size: int = 6) -> Tensor:
    """Returns labels in which every class occurs; some pixels of every image are ignored."""
    generator = torch.Generator().manual_seed(7)
    shape = (batch, 3, size, size) if task is Task.MULTILABEL else (batch, size, size)
    target = torch.randint(0, 3 if task is Task.MULTICLASS else 2, shape, generator=generator)
    if ignored:
        target[..., 0, :2] = 255
    return target


def logits_for(target: Tensor, task: Task, confidence: float) -> Tensor:
    """Returns logits that say the target with this confidence; arbitrary ones where it is ignored."""
    if task is Task.MULTICLASS:
        classes = torch.arange(3).view(1, 3, 1, 1)
        return torch.where(target.unsqueeze(1) == classes, confidence, -confidence).float()
    logits = torch.where(target == 1, confidence, -confidence).float()
    return logits.unsqueeze(1) if task is Task.BINARY else logits


def random_logits(task: Task, batch: int = 3, size: int = 6, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return 2 * torch.randn(batch, CHANNELS[task], size, size, generator=generator, dtype=dtype)


def value_and_grad(name: str, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = build_loss(name)(logits, target)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


@every_case
def test_perfect_is_near_zero_and_worse_costs_more(name: str, task: Task) -> None:
    target = make_target(task)
    loss = build_loss(name)
    confidences = (30.0, 0.8, 0.5, -0.5, -5.0) if (name, task) in FLAT_WHEN_SURE else (30.0, 2.0, 0.5, -0.5, -5.0)
    values = [loss(logits_for(target, task, confidence), target).item() for confidence in confidences]
    assert 0 <= values[0] < 1e-6
    assert values == sorted(values)
    assert len(set(values)) == len(values)


@every_case
@pytest.mark.parametrize("confidence", [200.0, 1e4])
def test_perfect_and_sure_is_exactly_finite(name: str, task: Task, confidence: float) -> None:
    """The PH2 homework's losses gave NaN here: 0 / 0, or the logarithm of 0."""
    for target in (make_target(task), torch.zeros_like(make_target(task)), torch.ones_like(make_target(task))):
        value, gradient = value_and_grad(name, logits_for(target, task, confidence), target)
        assert 0 <= value < 1e-6
        assert (gradient.abs() < 1e-6).all()


@every_case
def test_a_step_downhill_helps(name: str, task: Task) -> None:
    target, logits = make_target(task), random_logits(task)
    before, gradient = value_and_grad(name, logits, target)
    after = build_loss(name)(logits - 0.1 * gradient / gradient.norm(), target)
    assert after < before


@every_case
def test_ignored_pixels_change_nothing(name: str, task: Task) -> None:
    target, logits = make_target(task), random_logits(task)
    value, gradient = value_and_grad(name, logits, target)
    ignored = (target == 255) if task is Task.MULTILABEL else (target == 255).unsqueeze(1)
    assert ignored.any()
    for nonsense in (50.0, 1e4, float("inf"), float("nan")):
        other_value, other_gradient = value_and_grad(name, logits.masked_fill(ignored, nonsense), target)
        assert torch.equal(value, other_value)
        assert torch.equal(gradient, other_gradient)
    assert (gradient[ignored.expand_as(gradient)] == 0).all()
    assert (gradient[~ignored.expand_as(gradient)] != 0).any()


@every_case
def test_an_ignored_image_changes_nothing(name: str, task: Task) -> None:
    target, logits = make_target(task), random_logits(task)
    expected, expected_gradient = value_and_grad(name, logits[:2], target[:2])
    target[2] = 255
    value, gradient = value_and_grad(name, logits, target)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient[:2], expected_gradient)
    assert (gradient[2] == 0).all()


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, task in CASES if name not in SPATIAL])
def test_cutting_ignored_pixels_off_gives_the_same(name: str, task: Task) -> None:
    """Ignored pixels are as if they were not there: nothing divides by their number."""
    target, logits = make_target(task, ignored=False), random_logits(task)
    whole = build_loss(name)(logits[..., 2:, :], target[..., 2:, :])
    target[..., :2, :] = 255
    torch.testing.assert_close(build_loss(name)(logits, target), whole)


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, task in CASES if name not in SEMI_GRADIENT])
def test_gradients_are_right(name: str, task: Task) -> None:
    target = make_target(task, batch=2, size=3)
    logits = random_logits(task, batch=2, size=3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: build_loss(name)(x, target), (logits,))


@every_case
def test_float64_stays_float64(name: str, task: Task) -> None:
    assert build_loss(name)(random_logits(task).double(), make_target(task)).dtype is torch.float64


@every_case
@pytest.mark.parametrize("size", [200.0, 1e4])
def test_finite_at_large_logits(name: str, task: Task, size: float) -> None:
    target = make_target(task)
    signs = random_logits(task).sign()
    for logits in (size * signs, logits_for(target, task, size), logits_for(target, task, -size)):
        value, gradient = value_and_grad(name, logits, target)
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()


@every_case
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_finite_at_large_logits_in_mixed_precision(name: str, task: Task, dtype: torch.dtype, autocast: bool) -> None:
    target = make_target(task)
    for logits in (1e4 * random_logits(task).sign(), logits_for(target, task, -1e4), logits_for(target, task, 1e4)):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            value, gradient = value_and_grad(name, logits.to(dtype), target)
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()


@every_case
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 4), (8, 3)])
def test_any_height_and_width(name: str, task: Task, shape: tuple[int, int]) -> None:
    target, logits = make_target(task, ignored=False, size=8), random_logits(task, size=8)
    value, gradient = value_and_grad(
        name, logits[..., : shape[0], : shape[1]], target[..., : shape[0], : shape[1]].clone()
    )
    assert value >= 0
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@every_case
def test_order_in_the_batch_does_not_matter(name: str, task: Task) -> None:
    target, logits = make_target(task), random_logits(task)
    order = torch.tensor([2, 0, 1])
    expected, expected_gradient = value_and_grad(name, logits, target)
    value, gradient = value_and_grad(name, logits[order], target[order])
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient[order])


@every_case
def test_memory_format_does_not_matter(name: str, task: Task) -> None:
    target, logits = make_target(task), random_logits(task)
    other = logits.to(memory_format=torch.channels_last)
    torch.testing.assert_close(build_loss(name)(other, target), build_loss(name)(logits, target))


@every_case
def test_everything_ignored_is_exactly_zero(name: str, task: Task) -> None:
    value, gradient = value_and_grad(name, random_logits(task), torch.full_like(make_target(task), 255))
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@every_case
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_everywhere_is_finite_and_teaches(name: str, task: Task, label: int) -> None:
    """Empty and full masks: the gradient still leads to the label."""
    target = torch.full_like(make_target(task), label)
    value, gradient = value_and_grad(name, random_logits(task), target)
    assert torch.isfinite(value)
    column = gradient[:, label] if task is Task.MULTICLASS else gradient
    expected_sign = 1 if task is not Task.MULTICLASS and label == 0 else -1
    assert (expected_sign * column >= 0).all()
    assert (column != 0).any()


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_in_float32(name: str, task: Task, dtype: torch.dtype) -> None:
    target, logits = make_target(task), random_logits(task).to(dtype)
    expected, _ = value_and_grad(name, logits.float(), target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, gradient = value_and_grad(name, logits, target)
    assert value.dtype is torch.float32
    assert torch.equal(value, expected)
    assert gradient.dtype is dtype


@every_case
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_integer_target(name: str, task: Task, dtype: torch.dtype) -> None:
    target, logits = make_target(task), random_logits(task)
    assert torch.equal(build_loss(name)(logits, target.to(dtype)), build_loss(name)(logits, target))


@every_case
def test_wrong_labels_are_named_and_counted(name: str, task: Task) -> None:
    target = make_target(task)
    target[0, ..., 3, 3] = 7
    count = 3 if task is Task.MULTILABEL else 1
    with pytest.raises(ValueError, match=rf"label 7 is outside 0 to [12] .*: {count} of {target.numel()} pixels"):
        build_loss(name)(random_logits(task), target)
    with pytest.raises(ValueError, match="label -1 is outside"):
        build_loss(name)(random_logits(task), torch.full_like(target, -1))


@every_case
def test_wrong_shapes_and_dtypes_are_refused(name: str, task: Task) -> None:
    target, logits, loss = make_target(task), random_logits(task), build_loss(name)
    with pytest.raises(ValueError, match=r"shapes disagree: .*\(3, 5, 6\)|shapes disagree: .*\(3, 3, 5, 6\)"):
        loss(logits, target[..., 1:, :])
    with pytest.raises(ValueError, match=r"integer labels, got torch.float32; convert"):
        loss(logits, target.float())
    with pytest.raises(ValueError, match="floating-point logits"):
        loss(logits.long(), target)
    with pytest.raises(ValueError, match=r"expected logits \(B, C, H, W\)"):
        loss(logits[0], target)


@every_case
def test_another_ignored_label(name: str, task: Task) -> None:
    target, logits = make_target(task), random_logits(task)
    moved = target.masked_fill(target == 255, 9)
    assert torch.equal(build_loss(name, ignore_index=9)(logits, moved), build_loss(name)(logits, target))


@pytest.mark.parametrize(("name", "task"), NOT_CLAIMED)
def test_other_tasks_are_refused(name: str, task: Task) -> None:
    with pytest.raises(ValueError, match=r"is made for|needs one logit a class"):
        build_loss(name)(random_logits(task), make_target(task))


def test_the_exceptions_are_still_needed() -> None:
    """Otherwise the table of exceptions hides what holds."""
    assert {name for name, _ in FLAT_WHEN_SURE} | SPATIAL | SEMI_GRADIENT <= set(LOSSES.names())
    for name, task in FLAT_WHEN_SURE:
        target = make_target(task)
        assert build_loss(name)(logits_for(target, task, 2.0), target) == 0
    target, logits = make_target(Task.BINARY), random_logits(Task.BINARY)
    for name in SPATIAL:
        target[:, :2] = 255
        assert build_loss(name)(logits, target) != build_loss(name)(logits[..., 2:, :], target[..., 2:, :])
    for name in SEMI_GRADIENT:
        with pytest.raises(RuntimeError, match="Jacobian mismatch"):
            test_gradients_are_right(name, Task.BINARY)


def test_every_loss_claims_a_task_and_is_described() -> None:
    assert {name for name, _ in CASES} == set(LOSSES.names())
    assert all(len(LOSSES.summary(name)) > 20 for name in LOSSES.names())
