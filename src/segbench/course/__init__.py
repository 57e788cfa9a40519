"""The course: lessons that run, tasks that are checked, results that are compared with what is expected.

The lessons stand in `segbench/course/lessons/`: each is a script that runs as it is, a page of the site, and a notebook
to be downloaded there. `check` tells a student right from wrong without giving the answer; `expect` prints a result
beside what it should be; `real` is where a real set lies, if it is there; `show` shows a figure of `segbench.plots`.
"""

from segbench.course.check import check, tasks
from segbench.course.data import real
from segbench.course.expect import UnexpectedError, expect
from segbench.course.show import show

__all__ = ["UnexpectedError", "check", "expect", "real", "show", "tasks"]
