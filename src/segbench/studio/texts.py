"""The sentences of the page, in the language of whoever looks; the page fills in what stands in braces."""

from __future__ import annotations

from segbench.locale import message, translate

TEXTS = {
    "study": message("Study"),
    "compare": message("Compare"),
    "data": message("Data"),
    "runs": message("Runs"),
    "try": message("Try"),
    "correct": message("Correct"),
    "language": message("Language"),
    "theme": message("Dark or light"),
    "read_only": message("Only shown"),
    "reading": message("{what}: {done} of {total}", what="{what}", done="{done}", total="{total}"),
    "starting": message("The data set is being read ..."),
    "no_data": message("No data set is open. Start the studio with a folder: segbench studio FOLDER"),
    "approach": message("Approach"),
    "mean": message("Mean"),
    "interval": message("95 % interval"),
    "rank": message("Rank"),
    "seeds": message("Seeds"),
    "of": message("{n} of {total}", n="{n}", total="{total}"),
    "collapsed_n": message("{n} collapsed", n="{n}"),
    "failed_n": message("{n} failed", n="{n}"),
    "constant": message("always the most frequent class"),
    "together": message("joined by a line: no difference is shown"),
    "may_be_best": message("may be the best"),
    "judging": message("The scores are being compared ..."),
    "not_yet": message("No verdict yet"),
    "so_far": message("The verdict so far. It does not count as a look at the study; the one that counts is made by"),
    "smallest": message(
        "A difference below {value} would hardly be seen with these images and seeds.", value="{value}"
    ),
    "drop": message("Without collapsed trainings"),
    "dropped": message(
        "{n} collapsed trainings are left out, by your choice. They belong to how an approach trains, so this is not "
        "the verdict of the study.",
        n="{n}",
    ),
    "trainings": message("Trainings"),
    "training": message("Training"),
    "state": message("State"),
    "epoch": message("Epoch"),
    "best_value": message("Best on validation"),
    "finished": message("finished"),
    "running": message("running"),
    "stopped": message("stopped"),
    "failed": message("failed"),
    "waiting": message("waiting"),
    "confusion": message("What {name} takes each class for", name="{name}"),
    "confusion_hint": message("Choose a cell to see the images with most such pixels."),
    "confused": message("{true} taken for {predicted}", true="{true}", predicted="{predicted}"),
    "rarely": message("rarer than 1 % of the class: no images are named"),
    "true_class": message("true"),
    "what_next": message("What next"),
    "definition": message("What the score is"),
    "samples": message("{n} samples", n="{n}"),
    "area": message("Areas"),
    "nothing": message("Image alone"),
    "close": message("Close"),
    "previous": message("Previous"),
    "next": message("Next"),
    "lost": message("The studio does not answer any more. What was saved is on the disk; start it again."),
}


def texts_in(lang: str) -> dict[str, str]:
    """Returns key -> sentence."""
    return {key: translate(text, lang) for key, text in TEXTS.items()}
