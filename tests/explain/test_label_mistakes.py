"""Masks that may be wrong: planted mistakes come first, a clean set gives none, weak runs have no say."""

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
from segbench.explain.label_mistakes import MOST_RUNS, choose_runs, find_label_candidates


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Returns two entries over 8 images; read only."""
    return make_evidence(tmp_path_factory.mktemp("cases"), count=8)


def emptied(mask: Mask, image_id: str, seed: int) -> Mask:
    return np.zeros_like(mask)


class TestLabelCandidates:
    def planted(self, folder: Path, shares: Mapping[str, float] = MappingProxyType({"img_005": 0.5})) -> Evidence:
        """Returns evidence whose predictions fit the true ellipses; masks lack the given share of their object."""
        data = write_pairs(folder / "data", 10)
        right = {path.stem: np.asarray(Image.open(path)) // 255 for path in (data / "masks").glob("*.png")}
        for image_id, share in shares.items():
            wrong = right[image_id].copy()
            wrong[:, : int(np.quantile(np.nonzero(wrong)[1], share))] = 0
            Image.fromarray(wrong * 255).save(data / "masks" / f"{image_id}.png")

        def predicted(rows: int) -> Distort:
            """Returns the true ellipse without its topmost rows."""

            def distort(mask: Mask, image_id: str, seed: int) -> Mask:
                mask = right[image_id].copy()
                top = int(np.nonzero(mask)[0].min())
                mask[top : top + rows] = 0
                return mask

            return distort

        return make_evidence(folder, data=data, distortions={"a": predicted(0), "b": predicted(2)})

    def test_a_planted_mistake_is_first_and_alone(self, tmp_path: Path) -> None:
        evidence = self.planted(tmp_path)
        found = find_label_candidates(evidence)
        assert [case.image_id for case in found.cases] == ["img_005"]
        case = found.cases[0]
        assert 0.3 < case.share < 0.5
        assert 0.0 < case.unsure < 0.1
        assert case.score == case.share - case.unsure
        assert (case.mask_class, case.runs_class) == evidence.class_map.names
        assert case.class_name == evidence.class_map.names[1]
        assert (found.n, found.runs, found.weaker) == (10, 4, ())
        assert find_label_candidates(evidence, min_score=0.9).cases == ()
        assert find_label_candidates(evidence, min_pixels=10_000).cases == ()

    def test_the_larger_mistake_is_first(self, tmp_path: Path) -> None:
        found = find_label_candidates(self.planted(tmp_path, {"img_002": 0.3, "img_005": 0.6, "img_007": 0.45}))
        assert [case.image_id for case in found.cases] == ["img_005", "img_007", "img_002"]

    def test_most_runs_are_enough(self, tmp_path: Path) -> None:
        evidence = self.planted(tmp_path, {"img_005": 0.7})
        follows = make_evidence(tmp_path / "more", data=evidence.manifest, distortions={"c": shifted(0)}, seeds=(0,))
        with_one_more = replace(evidence, entries=(*evidence.entries, *follows.entries))
        alone, found = find_label_candidates(evidence), find_label_candidates(with_one_more)
        assert [case.image_id for case in found.cases] == ["img_005"]
        assert found.runs == 5
        # 4 runs of 5 against 1 are less sure than 4 of 4.
        assert found.cases[0].share == pytest.approx(0.6 * alone.cases[0].share, rel=0.1)
        assert found.cases[0].score < alone.cases[0].score

    def test_weak_runs_are_not_asked(self, tmp_path: Path) -> None:
        evidence = self.planted(tmp_path)
        weak = make_evidence(tmp_path / "more", data=evidence.manifest, distortions={"weak": emptied}, seeds=(0, 1, 2))
        found = find_label_candidates(replace(evidence, entries=(*weak.entries, *evidence.entries)))
        assert (found.compared, found.weaker, found.runs) == (("a", "b"), ("weak",), 4)
        assert [case.image_id for case in found.cases] == ["img_005"]

    def test_networks_that_fail_everywhere_accuse_nobody(self, tmp_path: Path) -> None:
        distortions = {"a": shifted(10), "b": shifted(11)}
        evidence = make_evidence(tmp_path, count=12, distortions=distortions, seeds=(0,))
        found = find_label_candidates(evidence)
        assert found.min_score > 0.15
        assert found.cases == ()

    def test_networks_that_fail_differently_accuse_nobody(self, tmp_path: Path) -> None:
        def fails(number: int) -> Distort:
            step = (-16, -8, 8, 16)[number]
            return lambda mask, image_id, seed: np.roll(mask, step, axis=1) if image_id == "img_003" else mask

        evidence = make_evidence(tmp_path, count=8, distortions={f"n{k}": fails(k) for k in range(4)}, seeds=(0,))
        assert find_label_candidates(evidence).cases == ()

    def test_errors_along_the_border_are_no_candidates(self, tmp_path: Path) -> None:
        evidence = make_evidence(tmp_path, count=6, distortions={"a": shifted(1), "b": shifted(1)}, seeds=(0,))
        assert find_label_candidates(evidence, min_score=0.0001, min_pixels=1).cases == ()

    def test_the_classes_concerned_are_named(self, tmp_path: Path) -> None:
        def swapped(mask: Mask, image_id: str, seed: int) -> Mask:
            return np.where(mask == 1, 2, mask).astype(np.uint8) if image_id == "img_000" else mask

        evidence = make_evidence(tmp_path, count=6, classes=3, distortions={"a": swapped, "b": swapped}, seeds=(0,))
        case = find_label_candidates(evidence).cases[0]
        names = evidence.class_map.names
        assert (case.image_id, case.mask_class, case.runs_class) == ("img_000", names[1], names[2])
        truth = evidence.load("img_000")[1]
        assert (case.class_name, case.pixels) == (names[1], (truth == 1).sum())
        assert (case.class_pixels, case.object_pixels) == ((truth == 1).sum(), (truth > 0).sum())
        assert case.share == pytest.approx((case.class_pixels / case.object_pixels) ** 0.5)

    def test_a_mistake_in_a_small_class_is_not_hidden_by_a_large_one(self, tmp_path: Path) -> None:
        right = np.zeros((48, 64), np.uint8)
        right[:24] = 2  # a large class that all are right about
        right[40:46, 4:14] = 1
        data = write_pairs(tmp_path / "data", 6, classes=3)
        for path in (data / "masks").glob("*.png"):
            Image.fromarray(np.where(right == 1, 0, right) if path.stem == "img_001" else right).save(path)

        def predicted(mask: Mask, image_id: str, seed: int) -> Mask:
            return right

        evidence = make_evidence(tmp_path, data=data, distortions={"a": predicted, "b": predicted}, seeds=(0,))
        found = find_label_candidates(evidence)
        names = evidence.class_map.names
        assert [(case.image_id, case.class_name) for case in found.cases] == [("img_001", names[1])]
        # 60 of 60 pixels of the class, 60 of 1596 of all objects.
        assert found.cases[0].score == pytest.approx((60 / 1596) ** 0.5)

    def test_multilabel_classes_are_there_or_not(self, tmp_path: Path, multilabel_pairs: Path) -> None:
        from segbench.data.manifest.read import read_dataset

        manifest = read_dataset(multilabel_pairs, task="multilabel")
        first = manifest.samples[0].id

        def lacks(mask: Mask, image_id: str, seed: int) -> Mask:
            mask[1] = 0 if image_id == first else mask[1]
            return mask

        evidence = make_evidence(tmp_path, data=manifest, distortions={"a": lacks, "b": lacks}, seeds=(0,))
        found = find_label_candidates(evidence)
        name = manifest.class_map.names[1]
        assert [(case.image_id, case.mask_class, case.runs_class) for case in found.cases] == [(first, name, None)]
        assert found.n == len(evidence.ids)

    def test_one_run_is_not_enough(self, evidence: Evidence) -> None:
        one = replace(evidence.entries[0], masks=evidence.entries[0].masks[:1], values=evidence.entries[0].values[:1])
        found = find_label_candidates(replace(evidence, entries=(one,)))
        assert found.cases == ()
        assert found.reason == "two trainings with masks that are good enough are needed, there are 1"

    def test_a_mask_of_another_size_is_refused(self, evidence: Evidence) -> None:
        close = replace(evidence.entries[1], values=evidence.entries[0].values)
        with pytest.raises(
            RunError, match=r"'good' has a mask of the shape \(48, 64\) for the image 'img_000', expected"
        ):
            find_label_candidates(replace(evidence, entries=(evidence.entries[0], close), size=(24, 32)))


class TestChooseRuns:
    def scored(self, evidence: Evidence, *means: float, better: str = "higher") -> Evidence:
        """Returns evidence whose first entry has a run a mean; the SD over the 8 images is 0.1."""
        images = np.array([-1, 1, -1, 1, -1, 1, -1, 1]) * 0.1
        entry = evidence.entries[0]
        masks = entry.masks[:1] * len(means)
        values = np.array(means)[:, None] + images
        return replace(
            evidence,
            entries=(replace(entry, masks=masks, values=values),),
            definition={**evidence.definition, "better": better},
        )

    def test_the_best_come_first_and_those_clearly_worse_are_left_out(self, evidence: Evidence) -> None:
        assert choose_runs(self.scored(evidence, 0.69, 0.80, 0.76, 0.71)) == [(0, 1), (0, 2), (0, 3)]
        assert choose_runs(self.scored(evidence, 5.0, 4.0, 4.05, better="lower")) == [(0, 1), (0, 2)]

    def test_no_more_than_needed(self, evidence: Evidence) -> None:
        assert len(choose_runs(self.scored(evidence, *([0.8] * 30)))) == MOST_RUNS

    def test_without_masks_nobody_is_asked(self, evidence: Evidence) -> None:
        assert choose_runs(replace(evidence, entries=(replace(evidence.entries[0], masks=()),))) == []
