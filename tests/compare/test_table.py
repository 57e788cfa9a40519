"""Tables of scores as people have them: what is read, what is refused, and in which words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segbench.compare.table import ScoreTable, read_scores
from segbench.compare.table_files import stem_of_image
from segbench.compare.table_verdict import bounds_of, compare_table
from segbench.errors import ConfigError, DatasetError, SegbenchError
from segbench.statistics import compare_scores

IMAGES = 12


def numbers(entries: int = 2, seeds: int = 2, images: int = IMAGES) -> np.ndarray:
    """Returns (entries, seeds, images) scores with four decimals; the first entry is the best."""
    drawn = np.random.default_rng(3)
    scores = 0.8 + 0.05 * drawn.standard_normal(images) + 0.01 * drawn.standard_normal((entries, seeds, images))
    return np.round(scores - 0.05 * np.arange(entries)[:, None, None], 4)


def long_lines(values: np.ndarray, *, head: str = "entry,seed,image,group,score") -> list[str]:
    names = ("unet", "segnet", "fcn")
    return [head] + [
        f"{names[k]},{s},img{i:02d},patient{i // 2},{values[k, s, i]:.4f}"
        for k in range(values.shape[0])
        for s in range(values.shape[1])
        for i in range(values.shape[2])
    ]


def write(path: Path, lines: list[str], *, end: str = "\n", encoding: str = "utf-8") -> Path:
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    return path


def read_arrays(table: ScoreTable) -> np.ndarray:
    return np.stack(table.sets[0].values)


def test_a_table_gives_the_verdict_of_its_arrays(tmp_path: Path) -> None:
    values = numbers()
    comparison = compare_table(write(tmp_path / "scores.csv", long_lines(values)))
    groups = [f"patient{i // 2}" for i in range(IMAGES)]
    told = compare_scores(
        values, names=["unet", "segnet"], groups=groups, score="score", margin=0.01, bounds=(0.0, 1.0)
    )
    assert comparison.verdict.to_dict() == told.to_dict()
    assert comparison.verdict.winner == 0
    assert comparison.to_dict()["ids"] == [f"img{i:02d}" for i in range(IMAGES)]
    assert comparison.notes == ()


@pytest.mark.parametrize("seeds", [(1,), (0, 1), ()])
def test_a_training_with_one_score_on_every_image_is_named_and_spoils_nobodys_interval(
    tmp_path: Path, seeds: tuple[int, ...]
) -> None:
    values = numbers(entries=3, seeds=3)
    calm = compare_table(write(tmp_path / "calm.csv", long_lines(values)))
    assert calm.doubts == ()
    values[1, list(seeds)] = 0.0
    values[2] = 1.0  # perfect everywhere is no collapse
    comparison = compare_table(write(tmp_path / "scores.csv", long_lines(values)))
    if not seeds:
        assert comparison.doubts == ()
        return
    (told,) = comparison.doubts
    assert told.startswith(f"{len(seeds)} of 3 trainings of segnet have one score on every image (0; seed ")
    assert f"seed {', '.join(map(str, seeds))}): collapsed" in told
    assert comparison.sentences()[0] == told
    unet = [each.verdict.standing(0).mean for each in (calm, comparison)]
    assert unet[1].high - unet[1].low < 1.5 * (unet[0].high - unet[0].low)
    assert comparison.verdict.standing(1).failures == (len(seeds), 3)


VARIANTS = {
    "semicolons and decimal commas": lambda lines: ([line.replace(",", ";").replace(".", ",") for line in lines], {}),
    "a byte order mark and Windows' line ends": lambda lines: (lines, {"end": "\r\n", "encoding": "utf-8-sig"}),
    "Excel's Unicode text": lambda lines: ([line.replace(",", "\t") for line in lines], {"encoding": "utf-16"}),
    "Excel's first line": lambda lines: (["sep=;", *(line.replace(",", ";") for line in lines)], {}),
    "empty rows and columns": lambda lines: ([*(f"{line},," for line in lines), ",,,,,,", ""], {}),
    "seeds that became numbers with a point": lambda lines: ([line.replace(",0,", ",0.0,") for line in lines], {}),
    "capitals and other names": lambda lines: (["Model,Run,Case ID,Patient,Value", *lines[1:]], {}),
    "percent": lambda lines: ([lines[0], *(in_percent(line) for line in lines[1:])], {}),
}


def in_percent(line: str) -> str:
    rest, _, number = line.rpartition(",")
    return f"{rest},{100 * float(number):.2f} %"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_ways_programs_write_tables_are_read_alike(tmp_path: Path, variant: str) -> None:
    values = numbers()
    lines, options = VARIANTS[variant](long_lines(values))
    table = read_scores([write(tmp_path / "scores.csv", lines, **options)])
    [found] = table.sets
    assert np.allclose(np.stack(found.values), values)
    assert found.entries == ("unet", "segnet")
    assert found.seeds == (("0", "1"), ("0", "1"))
    assert found.groups is not None
    assert found.groups[2] == "patient1"
    assert [str(note) for note in table.notes] == (
        ["48 scores are in percent and were divided by 100"] if variant == "percent" else []
    )


def test_wide_tables_have_a_column_an_entry_and_may_name_the_seed(tmp_path: Path) -> None:
    values = numbers()
    head = "image,unet_seed1,unet_seed2,segnet_seed1,segnet_seed2"
    rows = [f"img{i},{','.join(f'{v:.4f}' for v in values[:, :, i].ravel())}" for i in range(IMAGES)]
    [found] = read_scores([write(tmp_path / "wide.csv", [head, *rows])]).sets
    assert (found.entries, found.seeds) == (("unet", "segnet"), (("1", "2"), ("1", "2")))
    assert np.allclose(np.stack(found.values), values)


def test_a_data_frame_without_images_pairs_its_rows(tmp_path: Path) -> None:
    values = numbers(seeds=1)
    rows = [f"{i},{values[0, 0, i]},{values[1, 0, i]}" for i in range(IMAGES)]
    [indexed] = read_scores([write(tmp_path / "a.csv", [",unet,segnet", *rows])]).sets
    [plain] = read_scores([write(tmp_path / "b.csv", ["unet,segnet", *(r.partition(",")[2] for r in rows)])]).sets
    assert np.allclose(np.stack(indexed.values), values)
    assert np.array_equal(np.stack(indexed.values), np.stack(plain.values))
    assert indexed.ids[3] == "3"


def test_a_file_for_every_entry_and_seed(tmp_path: Path) -> None:
    values = numbers()
    files = []
    for k, name in enumerate(("unet", "segnet")):
        for s in range(2):
            rows = [f"/out/{name}/img{i}.nii.gz,{values[k, s, i]},{i}" for i in range(IMAGES)]
            files.append(write(tmp_path / f"{name}-seed{s}.csv", ["filename,dice,tp", *rows]))
    table = read_scores(files)
    [found] = table.sets
    assert (table.score, found.entries, found.seeds) == ("dice", ("unet", "segnet"), (("0", "1"), ("0", "1")))
    assert np.allclose(np.stack(found.values), values)
    assert found.ids[0] == "img0"
    assert "columns that are not used: tp" in table.notes
    assert "images are told apart by their names without folders and suffixes" in table.notes


def test_summaries_of_nnunet_are_entries_named_by_their_folders(tmp_path: Path) -> None:
    values = numbers(seeds=1)
    files = []
    for k, name in enumerate(("plain", "residual")):
        cases = [
            {
                "prediction_file": f"/x/{name}/case_{i}.nii.gz",
                "metrics": {
                    "1": {"Dice": values[k, 0, i], "IoU": 0.5, "FN": 3},
                    "2": {"Dice": float("nan"), "IoU": float("nan"), "FN": 0},
                },
            }
            for i in range(IMAGES)
        ]
        (tmp_path / name).mkdir()
        files.append(tmp_path / name / "summary.json")
        files[-1].write_text(json.dumps({"metric_per_case": cases, "mean": {}}))
    with pytest.raises(ConfigError, match=r"score: Dice, Dice\[1\], IoU, IoU\[1\] of .* may hold the scores"):
        read_scores(files)
    table = read_scores(files, score="Dice")
    assert table.sets[0].entries == ("plain", "residual")
    assert np.allclose(read_arrays(table), values)
    assert np.allclose(read_arrays(read_scores(files, score="Dice[1]")), values)


@pytest.mark.parametrize("form", ["records", "lines", "columns", "frame", "nested"])
def test_json_in_the_forms_that_programs_write(tmp_path: Path, form: str) -> None:
    values = numbers(seeds=1)
    records = [
        {"entry": name, "image": f"img{i}", "score": values[k, 0, i]}
        for k, name in enumerate(("unet", "segnet"))
        for i in range(IMAGES)
    ]
    path = tmp_path / ("scores.jsonl" if form == "lines" else "scores.json")
    columns = {key: [record[key] for record in records] for key in ("entry", "image", "score")}
    nested = {name: {r["image"]: r["score"] for r in records if r["entry"] == name} for name in ("unet", "segnet")}
    path.write_text(
        {
            "records": json.dumps(records),
            "lines": "\n".join(map(json.dumps, records)),
            "columns": json.dumps(columns),
            "frame": json.dumps({key: dict(enumerate(column)) for key, column in columns.items()}),
            "nested": json.dumps(nested),
        }[form]
    )
    assert np.allclose(read_arrays(read_scores([path])), values)


def test_an_image_that_an_entry_lacks_counts_nowhere(tmp_path: Path) -> None:
    lines = long_lines(numbers())
    gone = [line for line in lines if not line.startswith("segnet,1,img03")]
    gone[1] = gone[1].rpartition(",")[0] + ",#DIV/0!"
    verdict = compare_table(write(tmp_path / "scores.csv", gone)).verdict
    assert verdict.n_images == IMAGES - 2
    assert any("2 of 12 images have no score" in warning for warning in verdict.warnings)


def test_rows_that_sum_up_are_no_images(tmp_path: Path) -> None:
    lines = [*long_lines(numbers()), "unet,0,mean,,0.8", "unet,0,Std,,0.1", "segnet,0,mean,,0.7"]
    table = read_scores([write(tmp_path / "scores.csv", lines)])
    assert len(table.sets[0].ids) == IMAGES
    assert [str(note) for note in table.notes] == ["rows that sum up (Std, mean) are no images and count nowhere here"]


def test_a_distance_is_better_where_it_is_smaller_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", long_lines(10 * numbers(), head="entry,seed,image,group,hd95"))
    comparison = compare_table(path)
    assert not comparison.higher_is_better
    assert comparison.verdict.names[comparison.verdict.best] == "segnet"
    assert compare_table(path, higher_is_better=True).verdict.best == 0


def test_an_entry_without_seeds_is_one_that_nobody_trains(tmp_path: Path) -> None:
    lines = long_lines(numbers())
    lines += [f"otsu,,img{i:02d},patient{i // 2},0.4{i:02d}" for i in range(IMAGES)]
    verdict = compare_table(write(tmp_path / "scores.csv", lines)).verdict
    assert verdict.standing(2).seeds == 1
    assert verdict.speaks_of == "the networks"
    assert verdict.standing(2).used_seed_sd == 0.0


def test_every_data_set_of_a_table_is_judged_and_all_together(tmp_path: Path) -> None:
    drawn = np.random.default_rng(5)
    lines = ["dataset,entry,seed,image,dice"]
    for d in range(6):
        hard = drawn.normal(0.7, 0.05, 8)
        lines += [
            f"set {d},{name},{s},img{i},{hard[i] + shift + drawn.normal(0, 0.005):.4f}"
            for name, shift in (("a", 0.1), ("b", 0.0), ("c", -0.1))
            for s in range(2)
            for i in range(8)
        ]
    lines += [f"set 0,d,0,img{i},0.5{i}" for i in range(8)]
    comparison = compare_table(write(tmp_path / "scores.csv", lines))
    assert comparison.across is not None
    assert comparison.across.datasets == tuple(f"set {d}" for d in range(6))
    assert comparison.across.names == ("a", "b", "c")
    assert comparison.across.winner == 0
    assert "Over 6 data sets the best is a" in comparison.sentences()
    assert "d have no score on some of the data sets and are not compared" in comparison.notes
    plain = comparison.to_dict()
    assert plain["across"]["mean_ranks"] == [1.0, 2.0, 3.0]
    json.dumps(plain, allow_nan=False)


GOOD = long_lines(numbers())
FAULTS: dict[str, tuple[list[str], str]] = {
    "a column is missing": (
        ["entry,seed,score", "unet,0,0.9", "segnet,0,0.8"],
        "expected a column image, so that scores of one image can be paired; got the columns entry, seed, score",
    ),
    "a row twice": (
        [*GOOD, GOOD[1]],
        "line 2 of scores.csv and line 50 of scores.csv both hold the score of img00 by unet, seed 0; remove",
    ),
    "a score that is no number": (
        [*GOOD[:-1], "segnet,1,img11,patient5,good"],
        "line 49 of .*: expected a number, got 'g",
    ),
    "a date made by Excel": ([*GOOD[:-1], "segnet,1,img11,patient5,22. Mai"], "looks like a date: Excel turns numbers"),
    "a mean with its spread": (
        [*GOOD[:-1], "segnet,1,img11,patient5,0.8±0.1"],
        "needs the score of every single image",
    ),
    "a formula": ([*GOOD[:-1], "segnet,1,img11,patient5,=A1"], "a formula; save the table with its values"),
    "an error of a spreadsheet": ([*GOOD[:-1], "segnet,1,img11,patient5,#REF!"], "an error of a spreadsheet"),
    "infinite": (
        [*GOOD[:-1], "segnet,1,img11,patient5,inf"],
        "expected a finite number, got 'inf'; leave the cell empty",
    ),
    "points and commas": ([*GOOD[:-1], 'segnet,1,img11,patient5,"0,81"'], "both '0.[0-9]*' and '0,81' occur"),
    "decimal commas without quotes": (
        ["entry,image,score", "unet,a,0,9"],
        "a decimal comma needs quotes, or ; between",
    ),
    "percent and shares above one": (
        [
            *(in_percent(line) if "," in line[6:] and n else line for n, line in enumerate(GOOD[:-1])),
            "segnet,1,img11,p,81",
        ],
        "some scores have a percent sign, and others are larger than 1 without one",
    ),
    "no line of names": (
        ["unet,0,0.9,0.8", "segnet,0,0.8,0.7"],
        r"the first line holds numbers \(unet, 0, 0.9, 0.8\); it has",
    ),
    "numbers instead of names": (["img0,0.9,0.8", "img1,0.8,0.7"], r"the first line holds numbers \(img0, 0.9, 0.8\)"),
    "no line of names in a long table": (
        [line for line in GOOD if not line.startswith("entry")],
        r"the first line holds numbers \(unet, 0, img00, patient0 and 1 more\); it has to hold the names of",
    ),
    "a column of something else": (
        ["image,unet,segnet,lesion_size", "a,0.9,0.8,310", "b,0.8,0.7,2000"],
        "lesion_size hold whole numbers, unet, segnet do not: which are scores of entries",
    ),
    "scores of one approach": (
        ["image,dice,iou", "a,0.9,0.8", "b,0.8,0.7"],
        "dice, iou are scores, not entries: which approach are they of",
    ),
    "one approach": (["image,dice", "a,0.9", "b,0.8"], "expected a column entry, or one file or one column for every"),
    "one entry": (["entry,image,score", "u,a,0.9", "u,b,0.8"], "expected two entries or more, got u of u"),
    "one image": (["entry,image,score", "u,a,0.9", "v,a,0.8"], "expected at least 2 images to judge by, got 1"),
    "other images": (
        ["entry,image,score", "u,a,0.9", "u,b,0.9", "v,c,0.8", "v,d,0.8"],
        r"no image has a score of every entry, .*; the images are called b \(u\), d \(v\)|are called a \(u\), c \(v\)",
    ),
    "a copy under another seed": (
        [*GOOD[:25], *(line.replace("unet,0", "unet,7") for line in GOOD[1:13])],
        "seeds 0 and 7 of unet have the same score on every image: a copy, or a method that knows no chance",
    ),
    "a seed in some rows": (
        [*GOOD[:-1], "segnet,,img11,patient5,0.8"],
        "some rows of segnet have a seed and others have",
    ),
    "two groups": ([*GOOD[:-1], "segnet,1,img11,patient9,0.8"], "img11 is in the group 'patient5' in line 13"),
    "an entry without a name": (
        [*GOOD[:-1], ",1,img11,patient5,0.8"],
        "line 49: the cell of the column entry is empty",
    ),
    "a cell too few": (
        [*GOOD[:-1], "segnet,1,img11"],
        r"line 49: expected 5 cells \(entry, seed, image, group, score\)",
    ),
    "two columns of one name": (
        ["entry,image,score,score", "u,a,1,1"],
        "expected a column of every name, got score more",
    ),
    "names alone": (["entry,image,score"], "there is no row below the column names entry, image, score"),
    "an empty file": ([""], "expected a table with a line of column names, got an empty file"),
    "a damaged quote": (["entry,image,score", 'u,"a,1'], "damaged CSV"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_cannot_be_judged_is_refused_with_the_place(tmp_path: Path, fault: str) -> None:
    lines, told = FAULTS[fault]
    path = write(tmp_path / "scores.csv", lines)
    with pytest.raises(DatasetError, match=told) as caught:
        compare_table(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("lines", "score", "told"),
    [
        (
            ["entry,image,dice,iou", "u,a,0.9,0.8", "v,a,0.8,0.7"],
            None,
            r"dice, iou of .* may hold the scores; say which",
        ),
        (GOOD, "dcie", r"has no column 'dcie'; known: entry, group"),
    ],
)
def test_the_column_of_the_score_is_asked_for(tmp_path: Path, lines: list[str], score: str | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        compare_table(write(tmp_path / "scores.csv", lines), score=score)


def test_the_margin_is_a_hundredth_of_the_range_unless_given(tmp_path: Path) -> None:
    shares = write(tmp_path / "shares.csv", long_lines(numbers(), head="entry,seed,image,group,dice"))
    percent = write(tmp_path / "percent.csv", long_lines(100 * numbers(), head="entry,seed,image,group,dice"))
    distance = write(tmp_path / "distance.csv", long_lines(numbers(), head="entry,seed,image,group,hd95"))
    assert [compare_table(each).verdict.margin for each in (shares, percent, distance)] == [0.01, 1.0, None]
    assert compare_table(distance, margin=2.0).verdict.margin == 2.0
    with pytest.raises(ConfigError, match=r"margin: expected a number above 0, such as 0\.01, got -1"):
        compare_table(shares, margin=-1)


def test_a_baseline_is_one_of_the_entries(tmp_path: Path) -> None:
    path = write(tmp_path / "scores.csv", GOOD)
    assert compare_table(path, baseline="segnet").verdict.baseline == 1
    with pytest.raises(ConfigError, match="there is no entry 'segent'; did you mean 'segnet'"):
        compare_table(path, baseline="segent")


@pytest.mark.parametrize("name", ["scores.xlsx", "scores.parquet", "scores"])
def test_files_of_other_programs_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"expected a table that ends in \.csv"):
        compare_table(tmp_path / name)
    with pytest.raises(SegbenchError, match="cannot read the table: No such file"):
        compare_table(tmp_path / "missing.csv")


def test_a_spreadsheet_under_another_name_is_told(tmp_path: Path) -> None:
    for data in (b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest"):
        (tmp_path / "scores.csv").write_bytes(data)
        with pytest.raises(DatasetError, match=r"this is a spreadsheet .* save it as CSV"):
            compare_table(tmp_path / "scores.csv")


def test_images_lose_folders_and_suffixes() -> None:
    assert [stem_of_image(name) for name in (r"C:\out\a.v2.PNG", "x/b.nii.gz", "c.5")] == ["a.v2", "b", "c.5"]


@pytest.mark.parametrize(
    ("score", "values", "bounds"),
    [
        ("dice", [0.0, 1.0], (0.0, 1.0)),
        ("IoU[car]", [0.1, 0.2], (0.0, 1.0)),
        ("dice_per_image", [10.0, 90.0], (0.0, 100.0)),
        ("dice", [0.1, 1.0000001], (0.0, 1.0)),
        ("dice", [0.1, 1.4], None),
        ("score", [0.1, 0.2], (0.0, 1.0)),
        ("score", [0.1, 2.0], None),
        ("hd95", [0.1, 0.2], None),
        ("my number", [0.1, 0.2], None),
    ],
)
def test_the_range_of_a_score(score: str, values: list[float], bounds: tuple[float, float] | None) -> None:
    assert bounds_of(score, [np.array([values])]) == bounds


def test_a_column_of_folds_is_a_cross_validation(tmp_path: Path) -> None:
    values = numbers()
    lines = long_lines(values)
    folded = [f"{lines[0]},fold"] + [f"{line},{n % IMAGES // 2 % 3}" for n, line in enumerate(lines[1:])]
    comparison = compare_table(write(tmp_path / "scores.csv", folded))
    verdict = comparison.verdict
    assert any("cross-validation over 3 folds" in note for note in comparison.notes)
    told = compare_scores(
        values,
        names=["unet", "segnet"],
        groups=[f"patient{i // 2}" for i in range(IMAGES)],
        folds=[str(i // 2 % 3) for i in range(IMAGES)],
        score="score",
        bounds=(0.0, 1.0),
    )
    assert verdict.to_dict() == told.to_dict()
    assert any("Cross-validation" in method for method in verdict.method)
    lacking = [line if "img03" not in line else line.rpartition(",")[0] + "," for line in folded]
    with pytest.raises(DatasetError, match="expected a fold of every image, got none for img03"):
        compare_table(write(tmp_path / "lacking.csv", lacking))


def test_a_perfect_score_in_float32_is_no_percentage(tmp_path: Path) -> None:
    lines = long_lines(numbers(), head="entry,seed,image,group,dice")
    lines[1] = lines[1].rsplit(",", 1)[0] + ",1.0000001"
    verdict = compare_table(write(tmp_path / "scores.csv", lines)).verdict
    assert verdict.margin == 0.01
    assert verdict.winner == 0


def test_a_margin_as_wide_as_the_range_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "scores.csv", long_lines(numbers()))
    with pytest.raises(ConfigError, match="no difference exceeds 2"):
        compare_table(path, margin=2.0)


def test_groups_of_one_image_are_images(tmp_path: Path) -> None:
    lines = long_lines(numbers())
    alone = [lines[0]] + [",".join([*(cells := line.split(","))[:3], cells[2], cells[4]]) for line in lines[1:]]
    verdict = compare_table(write(tmp_path / "scores.csv", alone)).verdict
    assert (verdict.unit, verdict.n_units) == ("images", IMAGES)


def test_an_entry_without_any_score_is_named(tmp_path: Path) -> None:
    lines = long_lines(numbers())
    empty = [line.rsplit(",", 1)[0] + "," if line.startswith("unet") else line for line in lines]
    with pytest.raises(DatasetError, match="unet has no score on any image"):
        compare_table(write(tmp_path / "scores.csv", empty))
