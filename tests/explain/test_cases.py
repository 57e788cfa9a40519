"""Cases: the right images first, a planted label mistake found, entries without masks named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image
from tests.compare._evidence import Distort, Mask, make_evidence, shifted, write_pairs

from segbench.compare.evidence import Evidence
from segbench.errors import RunError
from segbench.explain.cases import find_disagreements, find_label_candidates, pick_cases


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Returns two entries over 8 images; read only."""
    return make_evidence(tmp_path_factory.mktemp("cases"), count=8)


def test_cases_are_sorted_by_the_mean_over_seeds(evidence: Evidence) -> None:
    values = np.array([[0.1, 0.9, 0.5, 0.3, 0.7, 0.4, 0.6, 0.8], [0.3, 0.9, 0.5, 0.1, 0.7, 0.4, 0.6, 0.8]])
    entry = replace(evidence.entries[0], values=values)
    cases = pick_cases(evidence, entry, count=2)
    assert [case.image_id for case in cases.worst] == ["img_000", "img_003"]  # both 0.2: the first stays first
    assert [case.image_id for case in cases.median] == ["img_002", "img_006"]
    assert [case.image_id for case in cases.best] == ["img_001", "img_007"]
    assert cases.worst[0].seed_scores == (0.1, 0.3)
    assert cases.worst[0].score == pytest.approx(0.2)
    lower = replace(evidence, definition={**evidence.definition, "better": "lower"})
    assert pick_cases(lower, entry, count=1).worst[0].image_id == "img_001"
    assert len(pick_cases(evidence, entry, count=99).median) == 8


def only_on(chosen: str, distort: Distort) -> Distort:
    """Returns the distortion of one image; all others are as the truth."""

    def one(mask: Mask, image_id: str, seed: int) -> Mask:
        return distort(mask, image_id, seed) if image_id == chosen else mask

    return one


def emptied(mask: Mask, image_id: str, seed: int) -> Mask:
    return np.zeros_like(mask)


class TestDisagreements:
    def test_the_image_that_differs_is_first_with_its_pair(self, tmp_path: Path) -> None:
        distortions = {"a": shifted(0), "b": only_on("img_003", shifted(3)), "c": only_on("img_003", emptied)}
        found = find_disagreements(make_evidence(tmp_path, count=6, distortions=distortions, seeds=(0,)), count=2)
        first = found.cases[0]
        assert first.image_id == "img_003"
        assert first.pair_disagreement == 1.0
        assert "c" in first.pair
        assert first.scores["c"] == 0.0
        assert found.cases[1].disagreement == 0.0
        assert found.mean == pytest.approx(first.disagreement / 6)
        assert len(found.compared) == 3

    def test_the_number_by_hand(self, evidence: Evidence) -> None:
        found = find_disagreements(evidence, count=8)
        case = found.cases[0]
        expected = []
        for seed in range(2):
            first, second = (entry.masks[seed].read(case.image_id) for entry in evidence.entries)
            expected.append(1 - (first & second).sum() / (first | second).sum())
        assert case.disagreement == pytest.approx(np.mean(expected))
        assert "1 - IoU of two foregrounds" in found.definition

    def test_three_classes_are_compared_by_pixels(self, tmp_path: Path) -> None:
        evidence = make_evidence(tmp_path, count=3, classes=3, seeds=(0,))
        found = find_disagreements(evidence, count=1)
        first, second = (entry.masks[0].read(found.cases[0].image_id) for entry in evidence.entries)
        assert found.cases[0].disagreement == pytest.approx((first != second).mean())

    def test_multilabel_is_compared_by_pairs(self, tmp_path: Path, multilabel_pairs: Path) -> None:
        from segbench.data.manifest.read import read_dataset

        manifest = read_dataset(multilabel_pairs, task="multilabel")
        evidence = make_evidence(tmp_path, data=manifest, seeds=(0,))
        found = find_disagreements(evidence, count=1)
        first, second = (entry.masks[0].read(found.cases[0].image_id) for entry in evidence.entries)
        assert first.ndim == 3
        assert found.cases[0].disagreement == pytest.approx((first != second).mean())
        assert find_label_candidates(evidence).n == 24

    def test_entries_without_masks_are_named(self, tmp_path: Path) -> None:
        distortions = {"a": shifted(0), "b": shifted(2), "c": shifted(3)}
        some = make_evidence(tmp_path, count=2, distortions=distortions, seeds=(0,), without_masks=("b",))
        found = find_disagreements(some)
        assert (found.compared, found.without_masks) == (("a", "c"), ("b",))
        none = replace(some, entries=some.entries[:2])
        assert find_disagreements(none).cases == ()
        assert find_disagreements(none).compared == ("a",)

    def test_two_empty_masks_agree(self, tmp_path: Path) -> None:
        found = find_disagreements(make_evidence(tmp_path, count=2, distortions={"a": emptied, "b": emptied}))
        assert found.mean == 0.0


class TestLabelCandidates:
    def planted(self, folder: Path, shares: Mapping[str, float] = MappingProxyType({"img_005": 0.5})) -> Evidence:
        """Returns evidence whose predictions fit the true ellipses; masks lack the given share of their object."""
        data = write_pairs(folder / "data", 10)
        right = {path.stem: np.asarray(Image.open(path)) // 255 for path in (data / "masks").glob("*.png")}
        for image_id, share in shares.items():
            wrong = right[image_id].copy()
            wrong[:, : int(np.quantile(np.nonzero(wrong)[1], share))] = 0
            Image.fromarray(wrong * 255).save(data / "masks" / f"{image_id}.png")

        def predicted(pixels: int) -> Distort:
            return lambda mask, image_id, seed: np.roll(right[image_id], pixels, axis=0)

        return make_evidence(folder, data=data, distortions={"a": predicted(0), "b": predicted(1)})

    def test_a_planted_mistake_is_first_and_alone(self, tmp_path: Path) -> None:
        evidence = self.planted(tmp_path)
        found = find_label_candidates(evidence)
        assert [case.image_id for case in found.cases] == ["img_005"]
        assert 0.3 < found.cases[0].share < 0.5
        assert found.masks_per_image == 4
        assert (found.n, len(found.compared)) == (10, 2)
        assert find_label_candidates(evidence, min_share=0.9).cases == ()
        assert find_label_candidates(evidence, min_pixels=10_000).cases == ()

    def test_the_larger_mistake_is_first(self, tmp_path: Path) -> None:
        found = find_label_candidates(self.planted(tmp_path, {"img_002": 0.3, "img_005": 0.6, "img_007": 0.45}))
        assert [case.image_id for case in found.cases] == ["img_005", "img_007", "img_002"]

    def test_a_single_dissenter_clears_the_label(self, tmp_path: Path) -> None:
        evidence = self.planted(tmp_path)
        follows = make_evidence(tmp_path / "more", data=evidence.manifest, distortions={"c": shifted(0)}, seeds=(0,))
        found = find_label_candidates(replace(evidence, entries=(*evidence.entries, *follows.entries)))
        assert found.cases == ()
        assert (found.n, found.masks_per_image) == (10, 5)

    def test_errors_along_the_border_are_no_candidates(self, tmp_path: Path) -> None:
        evidence = make_evidence(tmp_path, count=6, distortions={"a": shifted(1), "b": shifted(1)}, seeds=(0,))
        assert find_label_candidates(evidence, min_share=0.0001, min_pixels=1).cases == ()

    def test_one_entry_is_not_enough(self, evidence: Evidence) -> None:
        found = find_label_candidates(replace(evidence, entries=evidence.entries[:1]))
        assert found.cases == ()
        assert found.reason == "two approaches with masks are needed, 1 keep masks"

    def test_a_mask_of_another_size_is_refused(self, evidence: Evidence) -> None:
        with pytest.raises(
            RunError, match=r"'good' has a mask of the shape \(48, 64\) for the image 'img_000', expected"
        ):
            find_label_candidates(replace(evidence, size=(24, 32)))
