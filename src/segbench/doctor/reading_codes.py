"""What may be found while a data set is read, before any check is asked."""

from __future__ import annotations

from segbench.doctor.code import Code, Title
from segbench.doctor.finding import Severity
from segbench.locale import message

SEVERAL_WAYS = Code(
    "several_ways",
    Severity.WARNING,
    Title("this folder can be read in {n} ways; looked at is the one with most classes"),
    means=message("Which of them is meant, only a person can say."),
    advice=message("choose with the options that stand here"),
)
GUESSED = Code(
    "guessed",
    Severity.INFO,
    Title("how to read this folder was guessed"),
    means=message("Nobody said what the masks' values mean, so the likeliest meaning was taken."),
    advice=message("check it, and write it into the config under data.options"),
)
SEVERAL_DATA_SETS = Code(
    "several_data_sets",
    Severity.ERROR,
    Title("this folder holds several data sets"),
    means=message("They are not read as one, since their masks may mean different things."),
    advice=message("check one of them"),
)
CANNOT_BE_READ = Code(
    "cannot_be_read",
    Severity.ERROR,
    Title("the folder cannot be read as a data set"),
    means=message("The reader stopped, and a training would stop in the same way."),
    advice=message(
        "mend it, or answer it with an option that it names; other findings, if any, were made without reading it"
    ),
)
READER_NOTES = Code(
    "reader_notes",
    Severity.INFO,
    Title("what the reader {reader!r} says"),
    means=message("What it left out or took as given."),
    advice=message("check that it is what you meant"),
)
FAST_LOOK = Code(
    "fast_look",
    Severity.INFO,
    Title("a quick look: images were not decoded"),
    means=message(
        "Not looked for: damaged pixels behind a sound header, transparency, near copies, neighbouring slices and "
        "frames, crops, masks beside their objects, the sizes of objects, polygons that cross themselves."
    ),
    advice=message("leave out `fast` to look for them too"),
)
READ_BY_WINDOWS = Code(
    "read_by_windows",
    Severity.INFO,
    Title(
        "{n} sample of files read by windows: it can be read, lies on one grid with its mask and holds known classes; "
        "copies, objects and statistics were not looked at",
        "{n} samples of files read by windows: all can be read, lie on one grid with their masks and hold known "
        "classes; copies, objects and statistics were not looked at",
    ),
    means=message("The other checks are made for images that fit into memory."),
    advice=message("nothing has to be done"),
)
CANNOT_BE_DRAWN = Code(
    "cannot_be_drawn",
    Severity.ERROR,
    Title("the annotations of {n} image cannot be drawn", "the annotations of {n} images cannot be drawn"),
    means=message("These images have no usable mask."),
    advice=message("mend the annotations, or export them again"),
)
CANNOT_BE_SPLIT = Code(
    "cannot_be_split",
    Severity.WARNING,
    Title("the data set cannot be divided into train, val and test"),
    means=message("Without a part of its own for the test, no score can be trusted."),
    advice=message("a training would refuse it: set data.split in the config, or add images"),
    otherwise=Severity.ERROR,
    when=message("where data.split asks for this division"),
)
CHECK_FAILED = Code(
    "check_failed",
    Severity.WARNING,
    Title("a check could not be made ({check})"),
    means=message("The other checks went on; this one says nothing about the data set."),
    advice=message("mend what the other findings name, then look again; else report it with this message"),
)
NOT_REMEMBERED = Code(
    "not_remembered",
    Severity.INFO,
    Title("what was found could not be remembered"),
    means=message("The next look reads every file again."),
    advice=message("free space on the disk, or let SEGBENCH_CACHE name a folder that can be written to"),
)

CODES = (
    SEVERAL_WAYS,
    GUESSED,
    SEVERAL_DATA_SETS,
    CANNOT_BE_READ,
    READER_NOTES,
    FAST_LOOK,
    READ_BY_WINDOWS,
    CANNOT_BE_DRAWN,
    CANNOT_BE_SPLIT,
    CHECK_FAILED,
    NOT_REMEMBERED,
)
