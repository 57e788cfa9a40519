"""Names of columns, kinds and states that a report shows, by the keys that other modules use."""

from __future__ import annotations

from segbench.locale import Message, message

HEAD = {
    "approach": message("approach"),
    "mean": message("mean"),
    "interval": message("interval"),
    "seed_sd": message("seed SD"),
    "seeds": message("seeds"),
    "seed": message("seed"),
    "rank": message("rank"),
    "collapsed": message("collapsed"),
    "with_margin": message("with the margin"),
    "training_s": message("training"),
    "images_per_s": message("images/s"),
    "parameters": message("parameters"),
    "pair_first": message("first"),
    "pair_second": message("second"),
    "difference": message("first − second"),
    "p": message("p"),
    "p_holm": message("p (Holm)"),
    "wilcoxon": message("p (Wilcoxon)"),
    "permutation": message("p (sign flips)"),
    "d_z": message("d_z"),
    "better_on": message("first better on"),
    "class": message("class"),
    "scored": message("scored"),
    "run": message("run"),
    "state": message("state"),
    "epochs": message("epochs"),
    "why": message("why"),
    "curves_say": message("the loss curves say"),
    "best_epoch": message("kept epoch"),
    "cost_of_last": message("lost by keeping the last"),
    "train_score": message("training score"),
    "val_score": message("validation score"),
    "clean_gap": message("gap"),
    "wrong": message("wrong pixels"),
    "claim": message("claim"),
    "answer": message("answer"),
    "clues": message("rank correlations with the score"),
    "attribute": message("attribute"),
    "rho": message("rank correlation"),
    "n": message("n"),
    "slice": message("part"),
    "values": message("values"),
    "epoch": message("epoch"),
    "alert": message("what was told while it trained"),
}
"""Column -> its title."""

ALERT = {
    "one_class": message("predicts one class only"),
    "loss_flat": message("the loss stands still"),
    "not_finite": message("the loss became infinite or undefined"),
    "overfits": message("overfits"),
    "still_improving": message("still improving at its end"),
    "learning_rate": message("the learning rate is far off"),
    "class_never_predicted": message("a class is never predicted"),
}
"""Code of an alert -> what goes wrong; the alert itself says more, in English."""

PART = {
    "train": message("training"),
    "val": message("validation"),
    "test": message("test"),
}
"""Part of the data -> its name."""

TASK = {
    "binary": message("binary: object or background"),
    "multiclass": message("one of several classes a pixel"),
    "multilabel": message("any number of classes a pixel"),
}
"""Task -> what it is."""

COST_AXIS = {
    "training_s": message("training, s a run"),
    "images_per_s": message("prediction, images/s"),
    "parameters": message("parameters, million"),
}
"""Cost -> name of its axis."""

CURVE = {
    "train": message("training (augmented)"),
    "val": message("validation"),
    "best": message("kept epoch"),
    "turn": message("validation turns"),
    "epoch": message("epoch"),
}
"""What a curve or a mark in it shows."""

ERROR = {
    "missed_object": message("missed object"),
    "false_object": message("invented object"),
    "boundary": message("along the border"),
    "class_swap": message("wrong class"),
    "missing_part": message("missing part"),
    "extra_part": message("extra part"),
}
"""Kind of error -> its name."""

SLICE = {
    "low": message("low"),
    "middle": message("middle"),
    "high": message("high"),
    "no": message("no"),
    "yes": message("yes"),
}
"""Part of an attribute's range -> its name."""

ANSWER = {
    "supported": message("supported by these images"),
    "not shown": message("not shown, which is not refuted"),
    "too few images": message("too few images to say"),
}
"""Answer to a claim -> in words."""

ANSWER_WITH_MARGIN = {
    "better": message("better"),
    "worse": message("worse"),
    "equivalent": message("equivalent"),
    "not worse": message("not worse"),
    "not better": message("not better"),
    "undecided": message("undecided"),
}
"""Answer of two approaches with a margin -> in words, first against second."""

ATTRIBUTE = {
    "object_share": message("share of the largest object"),
    "object_size": message("object size"),
    "foreground_share": message("foreground share"),
    "object_count": message("number of objects"),
    "compactness": message("roundness"),
    "perimeter": message("outline length"),
    "touches_frame": message("touches the frame"),
    "border_contrast": message("contrast across the border"),
    "dominant_colors": message("dominant colours in the object"),
    "dominant_color_contrast": message("contrast of the dominant colours"),
    "color_spread": message("colour spread in the object"),
    "brightness": message("brightness"),
    "contrast": message("contrast"),
    "colorfulness": message("colourfulness"),
    "blur": message("blur"),
    "hair": message("hair-like lines"),
}
"""Attribute of an image -> its name."""

CASES = {
    "worst": message("Worst"),
    "median": message("Middle"),
    "best": message("Best"),
}
"""Group of images to look at -> its title."""

PIXEL = {
    "missed": message("missed"),
    "false": message("wrongly predicted"),
    "swapped": message("wrong class"),
    "right": message("right"),
    "ignored": message("not counted"),
}
"""Kind of pixel in a picture of errors -> its name."""

STATE = {
    "running": message("running"),
    "stopped": message("stopped"),
    "failed": message("failed"),
    "waiting": message("not begun"),
    "finished": message("finished"),
}
"""State of a run -> in words."""

ENVIRONMENT = {
    "processor": message("processor"),
    "device": message("device"),
    "threads": message("threads a run"),
    "precision": message("precision"),
    "system": message("system"),
    "python": message("Python"),
}
"""Fact of a machine -> its name."""


def error_meanings(band: str) -> dict[str, Message]:
    """Returns kind of error -> what it means; `band` as a share of the image diagonal."""
    return {
        "missed_object": message("an object of the truth of which less than 10 % was found"),
        "false_object": message("a predicted object that hardly overlaps any true one of its class"),
        "boundary": message(
            "near the border between the two classes concerned, within {band} of the image diagonal", band=band
        ),
        "class_swap": message("an object's pixels predicted as another object class, away from borders"),
        "missing_part": message("a hole or a piece that is missing from an object that was found, away from borders"),
        "extra_part": message("a spill of an object that was found, away from borders"),
    }
